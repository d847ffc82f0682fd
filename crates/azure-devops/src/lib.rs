//! Azure DevOps decided: the service and the agent as pure state machines, and
//! the wire format.
//!
//! [`Service`] is one organisation: it decides everything about pools, agents,
//! sessions, messages, job requests and builds. It is told the time with every
//! call, draws chances from streams of one seed, and does no I/O: the same calls
//! at the same times give the same answers and facts. A poll that finds nothing
//! is held: its answer comes with the effects of a later call or of time.
//!
//! `server` puts it on sockets; a simulation calls it with virtual time. What is
//! left out: everything that neither KEDA, nor a start script, nor an agent
//! without real steps asks for.

pub mod agent;
mod agents;
mod assignment;
mod builds;
mod call;
mod capabilities;
mod demands;
mod direct_requests;
mod encoding;
mod errors;
pub mod faults;
mod ids;
mod inbox;
mod job_requests;
pub mod limits;
mod messages;
pub mod oauth;
mod parallel;
pub mod plans;
mod pools;
mod project_changes;
mod projects;
mod queues;
mod rows;
mod seals;
mod secret;
mod sequence;
mod service;
mod sessions;
pub mod settings;
mod snapshot;
mod timers;
mod updates;
pub mod wire;
mod zip;

pub use agents::AgentSnapshot;
pub use builds::{
    BuildAnswer, BuildCall, BuildChange, BuildDetails, BuildDraft, BuildPriority, BuildQuery, BuildReason,
    BuildStatus, BuildTime, Condition, DEFAULT_DURATION, DEFAULT_STAGE, Definition, DefinitionDraft,
    DefinitionQuery, DefinitionRef, JOB_TIMEOUT, JobTemplate, LogPart, Phase, PhaseDraft, QueueReference,
    REPOSITORY_KINDS, Stage, TagChange, results_named,
};
pub use call::{
    AgentChange, AgentDraft, Answer, Call, Caller, Credential, Effects, Include, JobRequestList,
    JobRequestQuery, Reply, SessionDraft,
};
pub use capabilities::{OwnCapability, SharedCapabilities, SystemCapabilities};
pub use demands::{Demand, NotADemand};
pub use direct_requests::RequestDraft;
pub use errors::Refusal;
pub use ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, QueueId, RequestId, WaiterId};
pub use messages::{Message, MessageContent, SentText};
pub use parallel::ParallelismTag;
pub use plans::{PlanAnswer, PlanCall, PlanReports};
pub use pools::{
    AgentQuery, PoolAnswer, PoolCall, PoolChange, PoolDetails, PoolDraft, PoolQuery, PoolType, Properties,
    PropertyFilter,
};
pub use project_changes::ProjectChange;
pub use projects::DEFAULT_PROJECT;
pub use queues::QueueQuery;
pub use rows::Row;
pub use seals::SessionKey;
pub use secret::Secret;
pub use service::Service;
pub use settings::{
    AllAgentsMatch, ApiVersions, BadToken, QueueTimeFailure, ReceiveTime, RowOrder, SessionEncryption,
    Settings, Switches,
};
pub use snapshot::NotASnapshot;
pub use updates::{AgentVersion, NotAVersion};
