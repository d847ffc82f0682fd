//! What can be asked of the service, and what it answers: the calls of the
//! protocol after they were decoded, the answers before they are encoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Fact;
use model::event::{JobResult, RequestForm};
use model::scenario::Placeholder;
use uuid::Uuid;

use crate::builds::{BuildStatus, Definition};
use crate::capabilities::SystemCapabilities;
use crate::demands::Demand;
use crate::ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, RequestId, WaiterId};
use crate::messages::Message;
use crate::{Refusal, Secret};

/// One call of the protocol.
#[derive(Debug, Clone)]
pub enum Call {
    /// `GET pools`, by name or by ids.
    ListPools {
        /// Exactly this name, whatever the case.
        name: Option<String>,
        /// Only these.
        ids: Vec<PoolId>,
    },
    /// `GET pools?poolID=N`: the one pool as an object.
    FindPool(PoolId),
    /// `GET pools/{id}`.
    GetPool(PoolId),
    /// `POST pools`, or the control route that also registers placeholders.
    CreatePool {
        /// Its name.
        name: String,
        /// Agents that are registered and stay offline.
        placeholders: Vec<Placeholder>,
    },
    /// `GET agents`.
    ListAgents {
        /// The pool.
        pool: PoolId,
        /// Exactly this name, whatever the case.
        name: Option<String>,
        /// Only agents that satisfy these.
        demands: Vec<Demand>,
        /// What to tell of each.
        include: Include,
    },
    /// `GET agents/{id}`.
    GetAgent {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// What to tell of it.
        include: Include,
    },
    /// `POST agents`.
    RegisterAgent {
        /// The pool.
        pool: PoolId,
        /// What it says of itself.
        draft: AgentDraft,
    },
    /// `PUT agents/{id}`: another agent takes the place of this one and keeps its id.
    ReplaceAgent {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// What the new one says of itself.
        draft: AgentDraft,
    },
    /// `PATCH agents/{id}`.
    UpdateAgent {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// What changes.
        change: AgentChange,
    },
    /// `PUT agents/{id}/usercapabilities`: takes the place of all that there were.
    SetUserCapabilities {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// All of them.
        capabilities: BTreeMap<String, String>,
    },
    /// `DELETE agents/{id}`.
    RemoveAgent {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
    },
    /// `POST sessions`.
    OpenSession {
        /// The pool.
        pool: PoolId,
        /// Whose session, and what its agent says of itself.
        draft: SessionDraft,
    },
    /// `DELETE sessions/{id}`.
    CloseSession {
        /// The pool.
        pool: PoolId,
        /// The session.
        session: Uuid,
    },
    /// `GET messages`: a long poll.
    Poll {
        /// The pool.
        pool: PoolId,
        /// The session.
        session: Uuid,
        /// Only messages after this one.
        after: Option<MessageId>,
    },
    /// `DELETE messages/{id}`.
    DeleteMessage {
        /// The pool.
        pool: PoolId,
        /// The session.
        session: Uuid,
        /// The message.
        message: MessageId,
    },
    /// `GET jobrequests`.
    ListJobRequests {
        /// The pool.
        pool: PoolId,
        /// Which of them, and in which form.
        query: JobRequestQuery,
    },
    /// `GET jobrequests/{id}`.
    GetJobRequest {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
    },
    /// `PATCH jobrequests/{id}` that renews the lock, or moves the request to the top.
    RenewJobRequest {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
        /// Move it to the top of the queue.
        to_top: bool,
    },
    /// `PATCH jobrequests/{id}` with a result.
    FinishJobRequest {
        /// The pool.
        pool: PoolId,
        /// The job request.
        request: RequestId,
        /// How it ended.
        result: JobResult,
    },
    /// `POST plans/{id}/events` with `JobCompleted`.
    CompleteJob {
        /// The plan.
        plan: Uuid,
        /// The job request.
        request: RequestId,
        /// How it ended.
        result: JobResult,
        /// Whether its agent takes no further job.
        agent_shutting_down: bool,
    },
    /// `GET build/definitions`.
    ListDefinitions {
        /// Exactly this name, whatever the case.
        name: Option<String>,
    },
    /// `GET build/definitions/{id}`.
    GetDefinition(DefinitionId),
    /// A control route: makes a definition, or takes the place of the one with the same name.
    Define(Definition),
    /// `POST build/builds`.
    QueueBuild(DefinitionRef),
    /// `GET build/builds`.
    ListBuilds(BuildQuery),
    /// `GET build/builds/{id}`.
    GetBuild(BuildId),
    /// `PATCH build/builds/{id}` with `cancelling`.
    CancelBuild(BuildId),
}

/// Which definition to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefinitionRef {
    /// By id.
    Id(DefinitionId),
    /// By name, whatever the case.
    Name(String),
}

/// What to tell of an agent: members are absent unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Include {
    /// `includeCapabilities`.
    pub capabilities: bool,
    /// `includeAssignedRequest`.
    pub assigned_request: bool,
    /// `includeLastCompletedRequest`.
    pub last_completed_request: bool,
}

/// What an agent says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentDraft {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// What it runs on.
    pub os_description: Arc<str>,
    /// Whether it takes jobs; `None` is yes.
    pub enabled: Option<bool>,
    /// What it can do.
    pub capabilities: SystemCapabilities,
}

/// What changes about an agent; everything else stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentChange {
    /// Whether it takes jobs.
    pub enabled: Option<bool>,
    /// How many jobs it says it could run at once. It is shown, and one job it is.
    pub max_parallelism: Option<u32>,
}

/// What an agent says of itself when it opens a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionDraft {
    /// The machine, or pod.
    pub owner: Arc<str>,
    /// The agent.
    pub agent: AgentId,
    /// Its version, if it tells.
    pub version: Option<Arc<str>>,
    /// What it runs on, if it tells.
    pub os_description: Option<Arc<str>>,
    /// What it can do, if it tells.
    pub capabilities: Option<SystemCapabilities>,
}

/// Which job requests of a pool to list. `top` wins over `completed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobRequestQuery {
    /// `$top`.
    pub top: Option<u32>,
    /// `completedRequestCount`.
    pub completed: Option<u32>,
    /// `agentId` and `agentIds`.
    pub agents: Vec<AgentId>,
    /// `planId`.
    pub plan: Option<Uuid>,
    /// `jobId`.
    pub job: Option<Uuid>,
}

impl JobRequestQuery {
    /// The form that the log knows this query by.
    #[must_use]
    pub fn form(&self) -> RequestForm {
        if !self.agents.is_empty() || self.plan.is_some() || self.job.is_some() {
            RequestForm::Filtered
        } else if self.top.is_some() {
            RequestForm::Top
        } else if self.completed.is_some() {
            RequestForm::CompletedCount
        } else {
            RequestForm::All
        }
    }
}

/// Which builds to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildQuery {
    /// `buildIds`; all of them if empty.
    pub ids: Vec<BuildId>,
    /// `definitions`; all of them if empty.
    pub definitions: Vec<DefinitionId>,
    /// `statusFilter`; any if empty.
    pub statuses: Vec<BuildStatus>,
    /// `$top`.
    pub top: Option<u32>,
    /// The earliest first; otherwise the latest.
    pub ascending: bool,
}

/// What the service answers. Ids stand for what [`crate::Service::encode`] writes out.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Done, with nothing to tell.
    Done,
    /// A poll that ended without a message: 202 with an empty body.
    NoMessage,
    /// An object without members.
    Empty,
    /// Pools.
    Pools(Vec<PoolId>),
    /// A pool.
    Pool(PoolId),
    /// Agents.
    Agents(Vec<AgentId>, Include),
    /// An agent.
    Agent(AgentId, Include),
    /// A session.
    Session(Uuid),
    /// A message.
    Message(Message),
    /// Rows of a pool's job requests.
    JobRequests(JobRequestList),
    /// A job request.
    JobRequest(RequestId),
    /// Definitions.
    Definitions(Vec<DefinitionId>),
    /// A definition.
    Definition(DefinitionId),
    /// Builds.
    Builds(Vec<BuildId>),
    /// A build.
    Build(BuildId),
}

/// Rows of a pool's job requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequestList {
    /// In order.
    pub rows: Vec<RequestId>,
    /// Whether the rows tell which agents match.
    pub matched_agents: bool,
}

/// A reply to a call.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answered.
    Answer(Answer),
    /// A poll that is held: the answer comes with the effects of a later call or of time.
    Held(WaiterId),
    /// Refused.
    Refused(Refusal),
}

/// What a call, or time, brought about beside the reply.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// What happened, in order.
    pub facts: Vec<Fact>,
    /// Held polls that have their answer now.
    pub answered: Vec<(WaiterId, Result<Answer, Refusal>)>,
}

impl Effects {
    /// Moves them behind those of before, and keeps the room.
    pub(crate) fn move_to(&mut self, others: &mut Self) {
        if others.facts.is_empty() && others.answered.is_empty() {
            std::mem::swap(self, others);
        } else {
            others.facts.append(&mut self.facts);
            others.answered.append(&mut self.answered);
        }
    }
}

/// Who calls, by the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// The owner of a personal access token: may do everything.
    Owner,
    /// A running job, by the token in its message.
    Job(RequestId),
}

impl Caller {
    /// Whether this caller may make this call. A job works on its own plan, reads and queues
    /// builds; it manages no pool, agent or session.
    #[must_use]
    pub fn may(self, call: &Call) -> bool {
        match (self, call) {
            (Self::Owner, _) => true,
            (
                Self::Job(own),
                Call::RenewJobRequest { request, .. } | Call::FinishJobRequest { request, .. },
            ) => own == *request,
            (Self::Job(own), Call::CompleteJob { request, .. }) => own == *request,
            (
                Self::Job(_),
                Call::GetJobRequest { .. }
                | Call::ListDefinitions { .. }
                | Call::GetDefinition(_)
                | Call::QueueBuild(_)
                | Call::ListBuilds(_)
                | Call::GetBuild(_),
            ) => true,
            (Self::Job(_), _) => false,
        }
    }
}

/// What a caller presents, by whatever scheme.
pub type Credential<'a> = Option<&'a Secret>;
