//! Quirks of Azure DevOps: behaviour that is not documented, or has been seen both ways.
//!
//! What a scenario leaves out is as `azure_devops::Switches` has it by default; docs/fidelity.md has a table with
//! where each is known from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent_version::AgentVersion;
use crate::instant::Millis;

/// How this Azure DevOps behaves where nobody knows for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quirks {
    /// What a wrong or missing token is answered, unless the caller asks for no redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_token: Option<BadToken>,
    /// Whether `pools?poolID=N` of an unknown pool answers an empty object instead of 404.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_pool_is_empty: Option<bool>,
    /// What a job request's `receiveTime` waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_time: Option<ReceiveTime>,
    /// In which order job requests are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_order: Option<RowOrder>,
    /// How many finished job requests a list without a query holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_by_default: Option<u32>,
    /// Whether `matchedAgents` is there on job requests without an agent only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matched_agents_on_unassigned_only: Option<bool>,
    /// Whether disabled agents are among `matchedAgents`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_agents_match: Option<bool>,
    /// What a job request tells if its demands match every agent of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_agents_match: Option<AllAgentsMatch>,
    /// What becomes of a build that no agent could ever run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_time_failure: Option<QueueTimeFailure>,
    /// Whether an agent that takes the place of another ends its live session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_ends_session: Option<bool>,
    /// Whether an agent that says it is shutting down gets no further job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heed_shutting_down: Option<bool>,
    /// How long an assigned job waits for its agent before it is queued again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_limit: Option<Millis>,
    /// How long a poll for messages is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_poll: Option<Millis>,
    /// The status of "the agent is running a job".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_still_running_status: Option<u16>,
    /// The status of "the session has expired".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_expired_status: Option<u16>,
    /// The status of "the lock is lost, or the job has ended".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_token_expired_status: Option<u16>,
    /// Whether agents that register with a key get tokens of their own, and listen with those.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_authorization: Option<bool>,
    /// What the messages to agents that registered with a key are encrypted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_encryption: Option<SessionEncryption>,
    /// The version that agents are asked to update to, as in `4.258.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest_agent: Option<AgentVersion>,
    /// How long such a token lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_token_life: Option<Millis>,
    /// What becomes of a request whose api-version does not suit the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_versions: Option<ApiVersions>,
}

impl Quirks {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a wrong or missing token is answered. All three are reported by users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BadToken {
    /// 401 with the challenge.
    Unauthorized,
    /// 302 to a page that answers 203 with HTML.
    Redirect,
    /// 203 with the sign-in page at once.
    SignInPage,
}

/// What a job request's `receiveTime` waits for. The end of the job sets it at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiveTime {
    /// The agent deletes the message or renews the lock, whichever comes first.
    FirstSign,
    /// The agent deletes the message.
    MessageDeleted,
    /// The agent renews the lock.
    LockRenewed,
}

/// In which order job requests are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Unfinished ones by id, then finished ones, the latest first.
    UnfinishedFirst,
    /// All by id, the highest first.
    NewestFirst,
}

/// What a job request tells if its demands match every agent of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllAgentsMatch {
    /// The agents.
    Listed,
    /// That all match, and the agents.
    Told,
    /// That all match, and no names.
    ToldOnly,
}

/// What the messages to agents that registered with a key are encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEncryption {
    /// Nothing.
    None,
    /// AES, whose key is told as it is.
    PlainKey,
    /// AES, whose key is wrapped by the agent's: RSA-OAEP with SHA-1.
    #[serde(rename = "oaep_sha1")]
    OaepSha1,
    /// The same with SHA-256.
    #[serde(rename = "oaep_sha256")]
    OaepSha256,
}

/// What becomes of a build that no agent of its pool could ever run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueueTimeFailure {
    /// It is refused with 400.
    Refused,
    /// It is there, and has failed.
    FailedBuild,
}

/// What becomes of a request whose api-version does not suit the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiVersions {
    /// It is answered as if it did.
    Lenient,
    /// It is refused.
    Strict,
}
