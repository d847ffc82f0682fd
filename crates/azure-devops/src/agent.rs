//! The agent decided: what an Azure Pipelines agent calls, when, and how it ends.
//!
//! [`Listener`] is `run.sh`: it opens a session, polls for messages, runs jobs
//! and leaves. [`Setup`] is `config.sh`, which registers the agent and takes it
//! out again. Both are told the time and the answers to their calls, and say
//! which calls to make next; the sockets, or the twin's service, are somebody
//! else's. [`wire`] turns the calls into requests and the responses into answers.
//!
//! What the real agent does and this one leaves out: self-update (refresh
//! messages are deleted unread), encrypted messages (a service that sends no key
//! gets plain text back), the OAuth exchange (the agent keeps the token it was
//! configured with), timelines, logs, and plans older than version 8.

mod call;
mod calls;
pub mod direct;
mod id;
mod job;
mod listener;
mod random;
mod setup;
pub mod wire;

pub use call::{Answer, Call, CallId, Completion, Failure, FailureKind, Observation, Output};
pub use id::Id;
pub use job::JobMessage;
pub use listener::{CANCEL_TAKES, Listener, Settings};
pub use setup::{Setup, SetupAnswer, SetupCall, SetupError, SetupResult, SetupStep};

use std::collections::BTreeMap;

/// The version that the emulated agent claims to have. Jobs of YAML pipelines demand at least
/// 2.182.1 (seen in public payloads); this is a release of 2026.
pub const AGENT_VERSION: &str = "4.258.1";

/// How a listener ends, as its parent process sees it.
///
/// Source: microsoft/azure-pipelines-agent, src/Agent.Listener/Program.cs and
/// src/Microsoft.VisualStudio.Services.Agent/Constants.cs, `ReturnCode`.
pub mod exit_code {
    /// Its work is done, or it was told to stop.
    pub const SUCCESS: i32 = 0;
    /// It can't work: not configured, or no session to be had.
    pub const TERMINATED_ERROR: i32 = 1;
    /// It failed while it listened.
    pub const RETRYABLE_ERROR: i32 = 2;
}

/// The capabilities of an agent of that name: its own, and those of its machine or container.
///
/// Source: microsoft/azure-pipelines-agent, src/Microsoft.VisualStudio.Services.Agent/Capabilities/
/// AgentCapabilitiesProvider.cs.
#[must_use]
pub fn capabilities(name: &str, machine: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let architecture = if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" };
    let own = [
        ("Agent.Name", name),
        ("Agent.Version", AGENT_VERSION),
        ("Agent.OS", "Linux"),
        ("Agent.OSArchitecture", architecture),
        ("InteractiveSession", "True"),
    ];
    let mut capabilities = machine;
    capabilities.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    capabilities.entry("Agent.ComputerName".to_owned()).or_insert_with(|| name.to_owned());
    capabilities.entry("Agent.HomeDirectory".to_owned()).or_insert_with(|| "/azp".to_owned());
    capabilities
}

/// What an agent knows of itself once it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The id of its pool.
    pub pool: u64,
    /// Its id in the pool.
    pub agent: u64,
    /// Its name.
    pub name: String,
    /// What it says it can do, by name.
    pub capabilities: BTreeMap<String, String>,
}
