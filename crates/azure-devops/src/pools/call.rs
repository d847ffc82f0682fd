//! What can be asked about pools, their queues and the parallel jobs, beyond what agents and KEDA ask.

use std::collections::BTreeMap;

use model::event::JobResult;
use model::scenario::ParallelJobs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::{Answer, Include, JobRequestQuery};
use crate::demands::Demand;
use crate::direct_requests::RequestDraft;
use crate::ids::{AgentId, PoolId, QueueId, RequestId};
use crate::messages::SentText;
use crate::parallel::ParallelismTag;
use crate::queues::QueueQuery;
use crate::{Refusal, Service};

/// Properties by name, each with its value as it was told.
pub type Properties = BTreeMap<String, Value>;

/// One call about pools.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PoolCall {
    /// `GET pools`.
    List(PoolQuery),
    /// `POST pools`.
    Create(PoolDraft),
    /// `PATCH pools/{id}`.
    Change {
        /// The pool.
        pool: PoolId,
        /// What changes.
        change: PoolChange,
    },
    /// `DELETE pools/{id}`.
    Remove(PoolId),
    /// `GET pools/{id}/poolmetadata`.
    GetMetadata(PoolId),
    /// `PUT pools/{id}/poolmetadata`.
    SetMetadata {
        /// The pool.
        pool: PoolId,
        /// Any text.
        metadata: String,
    },
    /// `GET pools/{id}/permissions/{permissions}`: whether the caller has these.
    HasPermissions {
        /// The pool.
        pool: PoolId,
        /// As bits. An owner has all of them.
        permissions: u32,
    },
    /// `GET agents`, with properties.
    ListAgents {
        /// The pool.
        pool: PoolId,
        /// Which of them, and what to tell.
        query: AgentQuery,
    },
    /// `GET agents/{id}`, with properties.
    GetAgent {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// What to tell of it.
        include: Include,
        /// Which properties to tell.
        properties: PropertyFilter,
    },
    /// `GET queues`.
    ListQueues {
        /// By id or name.
        project: String,
        /// Which of them.
        query: QueueQuery,
    },
    /// `GET queues/{id}`.
    GetQueue {
        /// By id or name.
        project: String,
        /// The queue.
        queue: QueueId,
    },
    /// `POST queues`.
    AddQueue {
        /// By id or name.
        project: String,
        /// Its name; the pool's, if it is not given.
        name: Option<String>,
        /// Its pool; the one of its name, if it is not given.
        pool: Option<PoolId>,
    },
    /// `DELETE queues/{id}`.
    RemoveQueue {
        /// By id or name.
        project: String,
        /// The queue.
        queue: QueueId,
    },
    /// `PUT queues`: makes the queues of a project's pools.
    ProvisionQueues {
        /// By id or name.
        project: String,
    },
    /// `GET queues/{id}/agentrequests`: the job requests of the queue's project in its pool.
    ListQueueRequests {
        /// By id or name.
        project: String,
        /// The queue.
        queue: QueueId,
        /// Which of them.
        query: JobRequestQuery,
    },
    /// `POST jobrequests`: queues a request without a build.
    QueueRequest {
        /// The pool.
        pool: PoolId,
        /// What is said of it.
        draft: RequestDraft,
    },
    /// `POST queues/{id}/agentrequests`: the same by the pool's queue.
    QueueRequestTo {
        /// By id or name.
        project: String,
        /// The queue.
        queue: QueueId,
        /// What is said of it.
        draft: RequestDraft,
    },
    /// `POST messages?requestId=`: sends a message to the agent that has a request.
    SendMessage {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
        /// What is sent.
        text: SentText,
    },
    /// `GET jobrequests/{id}?includeStatus=true`.
    GetStatus {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
    },
    /// `DELETE jobrequests/{id}`: ends it, wherever it stands.
    EndJobRequest {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
        /// How it ends.
        result: JobResult,
        /// Whether its agent takes no further job.
        agent_shutting_down: bool,
    },
    /// `GET resourcelimits`.
    ResourceLimits,
    /// `GET resourceusage`.
    ResourceUsage {
        /// Of which jobs.
        tag: ParallelismTag,
        /// On Microsoft's agents, of which there are none here.
        hosted: bool,
        /// Whether to tell which run.
        running: bool,
    },
    /// A control route: from now on so many jobs may run at once.
    SetParallelJobs {
        /// Of which jobs.
        tag: ParallelismTag,
        /// How many.
        limit: ParallelJobs,
    },
}

impl From<PoolCall> for crate::Call {
    fn from(call: PoolCall) -> Self {
        Self::Pools(Box::new(call))
    }
}

impl PoolCall {
    /// Whether it may change anything; the others only look.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Self::List(_)
            | Self::GetMetadata(_)
            | Self::HasPermissions { .. }
            | Self::ListAgents { .. }
            | Self::GetAgent { .. }
            | Self::ListQueues { .. }
            | Self::GetQueue { .. }
            | Self::ListQueueRequests { .. }
            | Self::GetStatus { .. }
            | Self::ResourceLimits
            | Self::ResourceUsage { .. } => false,
            Self::Create(_)
            | Self::Change { .. }
            | Self::Remove(_)
            | Self::SetMetadata { .. }
            | Self::AddQueue { .. }
            | Self::RemoveQueue { .. }
            | Self::ProvisionQueues { .. }
            | Self::QueueRequest { .. }
            | Self::QueueRequestTo { .. }
            | Self::SendMessage { .. }
            | Self::EndJobRequest { .. }
            | Self::SetParallelJobs { .. } => true,
        }
    }

    /// Whether an agent may make this call with its own token: it sees pools and the agents in them.
    #[must_use]
    pub fn is_open_to_agents(&self) -> bool {
        matches!(
            self,
            Self::List(_) | Self::ListAgents { .. } | Self::GetAgent { .. } | Self::GetStatus { .. }
        )
    }

    /// Whether a running job may make this call: it may see what a job request waits for.
    #[must_use]
    pub fn is_open_to_jobs(&self) -> bool {
        matches!(self, Self::GetStatus { .. })
    }
}

/// Which pools to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolQuery {
    /// `poolName`: exactly this, whatever the case.
    pub name: Option<String>,
    /// `poolIds`; any if empty.
    pub ids: Vec<PoolId>,
    /// `poolType`.
    pub kind: Option<PoolType>,
    /// `properties`: which ones to tell.
    pub properties: PropertyFilter,
}

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PoolType {
    /// Builds and releases.
    #[default]
    Automation,
    /// Machines that are deployed to.
    Deployment,
}

impl PoolType {
    /// Numbers and lower-case names of the protocol (azure-devops-node-api, TaskAgentInterfaces, `TaskAgentPoolType`).
    pub const NAMES: [(u64, &'static str, Self); 2] =
        [(1, "automation", Self::Automation), (2, "deployment", Self::Deployment)];
}

/// Which properties to tell of something: none, all (`*`), or those that are named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PropertyFilter(Vec<String>);

impl PropertyFilter {
    /// These, whatever their case; `*` stands for all.
    #[must_use]
    pub fn of(names: Vec<String>) -> Self {
        Self(names)
    }

    pub(crate) fn is_told(&self, property: &str) -> bool {
        self.0.iter().any(|name| name == "*" || name.eq_ignore_ascii_case(property))
    }
}

/// A pool that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolDraft {
    /// Its name.
    pub name: String,
    /// Everything else.
    pub details: PoolDetails,
}

/// What is told of a pool beside its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolDetails {
    /// What it is for.
    pub kind: PoolType,
    /// Whether every project has a queue to it.
    pub auto_provision: bool,
    /// Whether its agents are brought up to date by the service. It is shown, and no more.
    pub auto_update: bool,
    /// Whether it grows by itself. It is shown, and no more.
    pub auto_size: bool,
    /// How large it is to grow. It is shown, and no more.
    pub target_size: Option<u32>,
    /// The agent cloud that it takes its agents from. It is shown, and no more.
    pub agent_cloud: Option<u32>,
    /// Whatever somebody notes of it.
    pub properties: Properties,
    /// A text that somebody keeps with it.
    pub metadata: Option<String>,
}

impl PoolDetails {
    /// Of a pool that a scenario names.
    pub(crate) fn usual() -> Self {
        Self { auto_provision: true, auto_update: true, auto_size: true, ..Self::default() }
    }
}

/// What changes about a pool; everything else stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PoolChange {
    /// Its name.
    pub name: Option<String>,
    /// Whether every project has a queue to it.
    pub auto_provision: Option<bool>,
    /// Whether its agents are brought up to date by the service.
    pub auto_update: Option<bool>,
    /// Whether it grows by itself.
    pub auto_size: Option<bool>,
    /// How large it is to grow.
    pub target_size: Option<u32>,
    /// Properties that are added, or get another value.
    pub properties: Properties,
}

/// Which agents to list, and what to tell of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentQuery {
    /// `agentName`: exactly this, whatever the case.
    pub name: Option<String>,
    /// Only agents that satisfy these.
    pub demands: Vec<Demand>,
    /// What to tell of each.
    pub include: Include,
    /// `propertyFilters`.
    pub properties: PropertyFilter,
}

/// What is answered to a [`PoolCall`]. Ids stand for what [`Service::encode`] writes out.
#[derive(Debug, Clone)]
pub enum PoolAnswer {
    /// Pools, with these properties.
    Pools(Vec<PoolId>, PropertyFilter),
    /// A pool's text.
    Metadata(PoolId),
    /// Yes or no.
    Yes(bool),
    /// Agents, with these properties.
    Agents(Vec<AgentId>, Include, PropertyFilter),
    /// An agent, with these properties.
    Agent(AgentId, Include, PropertyFilter),
    /// Queues.
    Queues(Vec<QueueId>),
    /// A queue.
    Queue(QueueId),
    /// A job request, with what it waits for.
    Status(RequestId),
    /// The limits of parallel jobs.
    ResourceLimits,
    /// What is in use of one of them.
    ResourceUsage {
        /// Of which jobs.
        tag: ParallelismTag,
        /// On Microsoft's agents.
        hosted: bool,
        /// Whether to tell which run.
        running: bool,
    },
}

impl Service {
    pub(crate) fn pool_call(&mut self, call: PoolCall) -> Result<Answer, Refusal> {
        let answer = match call {
            PoolCall::List(query) => self.find_pools(&query),
            PoolCall::Create(draft) => return self.make_pool(draft),
            PoolCall::Change { pool, change } => return self.change_pool(pool, change),
            PoolCall::Remove(pool) => return self.remove_pool(pool),
            PoolCall::GetMetadata(pool) => PoolAnswer::Metadata(self.pool(pool)?.id),
            PoolCall::SetMetadata { pool, metadata } => return self.set_metadata(pool, metadata),
            // Whoever gets here is an owner, and may do everything.
            PoolCall::HasPermissions { pool, .. } => PoolAnswer::Yes(self.pool(pool).map(|_| true)?),
            PoolCall::ListAgents { pool, query } => self.find_agents(pool, query)?,
            PoolCall::GetAgent { pool, agent, include, properties } => {
                PoolAnswer::Agent(self.agent(pool, agent)?.id, include, properties)
            }
            PoolCall::ListQueues { project, query } => return self.list_queues(&project, &query),
            PoolCall::GetQueue { project, queue } => return self.get_queue(&project, queue),
            PoolCall::AddQueue { project, name, pool } => {
                return self.add_queue(&project, name.as_deref(), pool);
            }
            PoolCall::RemoveQueue { project, queue } => return self.remove_queue(&project, queue),
            PoolCall::ProvisionQueues { project } => return self.provision_queues(&project),
            PoolCall::ListQueueRequests { project, queue, query } => {
                return self.list_queue_requests(&project, queue, query);
            }
            PoolCall::QueueRequest { pool, draft } => return self.queue_request(pool, draft),
            PoolCall::QueueRequestTo { project, queue, draft } => {
                return self.queue_request_to(&project, queue, draft);
            }
            PoolCall::SendMessage { pool, request, text } => return self.send_message(pool, request, text),
            PoolCall::GetStatus { pool, request } => PoolAnswer::Status(self.job(pool, request)?.id),
            PoolCall::EndJobRequest { pool, request, result, agent_shutting_down } => {
                return self.end_job_request(pool, request, result, agent_shutting_down);
            }
            PoolCall::ResourceLimits => PoolAnswer::ResourceLimits,
            PoolCall::ResourceUsage { tag, hosted, running } => {
                PoolAnswer::ResourceUsage { tag, hosted, running }
            }
            PoolCall::SetParallelJobs { tag, limit } => {
                self.set_parallel_jobs(tag, limit);
                return Ok(Answer::Done);
            }
        };
        Ok(Answer::OfPools(answer))
    }
}
