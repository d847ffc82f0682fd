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
mod encoding;
mod errors;
mod ids;
mod job_requests;
pub mod limits;
mod messages;
mod pools;
mod rows;
mod secret;
mod sequence;
mod service;
mod sessions;
pub mod settings;
pub mod wire;

pub use agents::AgentSnapshot;
pub use builds::{BuildStatus, Definition, JobTemplate};
pub use call::{
    AgentChange, AgentDraft, Answer, BuildQuery, Call, Caller, Credential, DefinitionRef, Effects, Include,
    JobRequestList, JobRequestQuery, Reply, SessionDraft,
};
pub use capabilities::{OwnCapability, SharedCapabilities, SystemCapabilities};
pub use demands::{Demand, NotADemand};
pub use errors::Refusal;
pub use ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, RequestId, WaiterId};
pub use messages::{Message, MessageContent};
pub use rows::Row;
pub use secret::Secret;
pub use service::Service;
pub use settings::{BadToken, RowOrder, Settings, Switches};
