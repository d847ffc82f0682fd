//! What can be asked of the service, and what it answers: the calls of the
//! protocol after they were decoded, the answers before they are encoded.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Fact;
use model::event::{JobResult, RequestForm};
use model::scenario::Placeholder;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::builds::{BuildAnswer, BuildCall};
use crate::capabilities::SystemCapabilities;
use crate::demands::Demand;
use crate::faults::Upset;
use crate::ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, RequestId, WaiterId};
use crate::messages::Message;
use crate::oauth::{Assertion, IssuedToken, PublicKey};
use crate::plans::{PlanAnswer, PlanCall};
use crate::pools::{PoolAnswer, PoolCall, Properties};
use crate::{Refusal, Secret};

/// One call of the protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    /// Whatever else is asked about pools, queues and parallel jobs.
    Pools(Box<PoolCall>),
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
    /// `POST messages`: asks an agent, or all of the pool, to update.
    RefreshAgents {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: Option<AgentId>,
    },
    /// `PUT agents/{id}/updates`: how far an update is.
    SetUpdateState {
        /// The pool.
        pool: PoolId,
        /// The agent.
        agent: AgentId,
        /// `currentState`.
        state: String,
    },
    /// `POST oauth2/token`: a token for an assertion whose signature was checked.
    IssueToken(Box<Assertion>),
    /// Whatever workers tell and ask about a plan.
    Plan {
        /// The plan.
        plan: Uuid,
        /// What is asked.
        call: Box<PlanCall>,
    },
    /// Whatever is asked about projects, definitions and builds.
    Build(BuildCall),
    /// No client's call: what a fault does to the service.
    Upset(Upset),
}

impl Call {
    /// Whether a service that has accepted this call may be another than before: a journal has to keep
    /// those. Polls may: they keep their session alive, and mark what they return. The others only look.
    ///
    /// A call that is refused changes nothing.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Self::ListPools { .. }
            | Self::FindPool(_)
            | Self::GetPool(_)
            | Self::ListAgents { .. }
            | Self::GetAgent { .. }
            | Self::ListJobRequests { .. }
            | Self::GetJobRequest { .. } => false,
            Self::CreatePool { .. }
            | Self::RegisterAgent { .. }
            | Self::ReplaceAgent { .. }
            | Self::UpdateAgent { .. }
            | Self::SetUserCapabilities { .. }
            | Self::RemoveAgent { .. }
            | Self::OpenSession { .. }
            | Self::CloseSession { .. }
            | Self::Poll { .. }
            | Self::DeleteMessage { .. }
            | Self::RenewJobRequest { .. }
            | Self::FinishJobRequest { .. }
            | Self::CompleteJob { .. }
            | Self::RefreshAgents { .. }
            | Self::SetUpdateState { .. }
            | Self::IssueToken(_)
            | Self::Upset(_) => true,
            Self::Plan { call, .. } => call.changes_state(),
            Self::Build(call) => call.changes_state(),
            Self::Pools(call) => call.changes_state(),
        }
    }
}

impl From<BuildCall> for Call {
    fn from(call: BuildCall) -> Self {
        Self::Build(call)
    }
}

/// What to tell of an agent: members are absent unless asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Include {
    /// `includeCapabilities`.
    pub capabilities: bool,
    /// `includeAssignedRequest`.
    pub assigned_request: bool,
    /// `includeLastCompletedRequest`.
    pub last_completed_request: bool,
}

/// What an agent says of itself when it registers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// What its users say that it can do; `None` leaves it as it is.
    pub user_capabilities: Option<BTreeMap<String, String>>,
    /// How many jobs it says it could run at once; `None` is one.
    pub max_parallelism: Option<u32>,
    /// Whatever somebody notes of it.
    pub properties: Properties,
    /// What it is known by when it asks for tokens, and what its session's key is wrapped with.
    pub public_key: Option<Arc<PublicKey>>,
}

/// What changes about an agent; everything else stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentChange {
    /// Whether it takes jobs.
    pub enabled: Option<bool>,
    /// How many jobs it says it could run at once. It is shown, and one job it is.
    pub max_parallelism: Option<u32>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its version.
    pub version: Option<Arc<str>>,
    /// What it runs on.
    pub os_description: Option<Arc<str>>,
    /// What it says that it can do.
    pub capabilities: Option<SystemCapabilities>,
    /// What its users say that it can do.
    pub user_capabilities: Option<BTreeMap<String, String>>,
    /// Properties that are added, or get another value.
    pub properties: Properties,
}

/// What an agent says of itself when it opens a session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// `scopeId`: the project of a queue's requests.
    pub scope: Option<Uuid>,
    /// `continuationToken`: the row that the page begins with. It counts with `top` only.
    pub from: Option<RequestId>,
    /// No client's wish: a fault has the rows run the other way round.
    pub reversed: bool,
}

impl JobRequestQuery {
    /// The form that the log knows this query by.
    #[must_use]
    pub fn form(&self) -> RequestForm {
        let narrowed = self.plan.is_some() || self.job.is_some() || self.scope.is_some();
        if narrowed || !self.agents.is_empty() {
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

/// What the service answers. Ids stand for what [`crate::Service::encode`] writes out.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Done, with nothing to tell.
    Done,
    /// A poll that ended without a message: 202 with an empty body.
    NoMessage,
    /// A token for an agent.
    Token(Box<IssuedToken>),
    /// What was asked about a plan.
    Plan(Uuid, Box<PlanAnswer>),
    /// An object without members.
    Empty,
    /// Pools.
    Pools(Vec<PoolId>),
    /// A pool.
    Pool(PoolId),
    /// What was asked about pools, queues and parallel jobs.
    OfPools(PoolAnswer),
    /// A page, after which the list goes on: the token says where.
    Continued(Box<Answer>, u64),
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
    /// What was asked about projects, definitions and builds beside these.
    OfBuilds(BuildAnswer),
}

impl Answer {
    /// The same as a page, if there is a next one.
    pub(crate) fn continued(self, next: Option<u64>) -> Self {
        match next {
            Some(token) => Self::Continued(Box::new(self), token),
            None => self,
        }
    }

    /// The token with which the next page is asked for, if the list goes on.
    #[must_use]
    pub fn continuation(&self) -> Option<u64> {
        match self {
            Self::Continued(_, token) => Some(*token),
            Self::JobRequests(list) => list.next.map(|next| next.0),
            _ => None,
        }
    }
}

/// Rows of a pool's job requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequestList {
    /// In order.
    pub rows: Vec<RequestId>,
    /// Whether the rows tell which agents match.
    pub matched_agents: bool,
    /// With which row the next page begins.
    pub next: Option<RequestId>,
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
    /// An agent, by a token that it was issued.
    Listener(AgentId),
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
            (Self::Listener(own), Call::OpenSession { draft, .. }) => own == draft.agent,
            (Self::Listener(own), Call::SetUpdateState { agent, .. }) => own == *agent,
            (
                Self::Listener(_),
                Call::ListPools { .. }
                | Call::FindPool(_)
                | Call::GetPool(_)
                | Call::ListAgents { .. }
                | Call::GetAgent { .. }
                | Call::CloseSession { .. }
                | Call::Poll { .. }
                | Call::DeleteMessage { .. }
                | Call::ListJobRequests { .. }
                | Call::GetJobRequest { .. }
                | Call::RenewJobRequest { .. }
                | Call::FinishJobRequest { .. },
            ) => true,
            (Self::Job(_), Call::GetJobRequest { .. } | Call::Plan { .. }) => true,
            (Self::Job(_), Call::Build(call)) => call.is_open_to_jobs(),
            (Self::Job(_), Call::Pools(call)) => call.is_open_to_jobs(),
            (Self::Listener(_), Call::Pools(call)) => call.is_open_to_agents(),
            (Self::Listener(_) | Self::Job(_), _) => false,
        }
    }
}

/// What a caller presents, by whatever scheme.
pub type Credential<'a> = Option<&'a Secret>;
