//! What an organisation is started with. Whatever is not known about the real
//! service is a setting here, with a named default.

use std::time::Duration;

use model::quirks::{self, Quirks};
use model::scenario::{self, ParallelJobs};
use model::{Millis, MillisRange};
use serde::Serialize;

use crate::{AgentVersion, Refusal, Secret};

/// How long a poll for messages is held (seen in public captures: 50 s, then 202).
pub const LONG_POLL: Millis = Millis::seconds(50);
/// How long an assigned job waits for its agent to take it, even if the session lives. The real
/// service is said to take it back within minutes; nobody has measured how many.
pub const RECEIVE_LIMIT: Millis = Millis::minutes(5);
/// How long a running job may take to end after it was cancelled: the default of
/// `cancelTimeoutInMinutes` in pipeline YAML.
pub const CANCEL_TIMEOUT: Millis = Millis::minutes(5);
/// How long after the cancel time-out the service ends the job itself. The real service's wait is
/// not known. It has to leave the agent time to report: versions of the agent kill the worker at
/// different moments around the time-out (azure-pipelines-agent, JobDispatcher.cs,
/// `WorkerDispatcher.Cancel`: 15 s before it at commit 017cd62).
pub const CANCEL_GRACE: Millis = Millis::minutes(1);
/// What `Agent.Version -gtVersion` is added to every job's demands with (seen in public payloads).
pub const MINIMUM_AGENT_VERSION: &str = "2.182.1";
/// The version that a placeholder agent is registered with.
pub const PLACEHOLDER_VERSION: &str = "4.258.1";
/// How long a token that an agent was issued lives: `expires_in` in public captures.
pub const LISTENER_TOKEN_LIFE: Millis = Millis::seconds(2_999);
/// The version that agents are asked to update to: that of the package that this project offers.
pub const NEWEST_AGENT: AgentVersion = AgentVersion { major: 4, minor: 258, patch: 1 };
/// How many finished requests a list without a query holds. The real number is not known.
pub const COMPLETED_BY_DEFAULT: u32 = 250;

/// The status of a refusal to remove an agent that has a job. Clients go by its name, not by this.
pub const JOB_STILL_RUNNING: u16 = 409;
/// The status of a call on a dead session: 403 in ChristopherHX/runner.server, 404 is also seen.
pub const SESSION_EXPIRED: u16 = 403;
/// The status of a call about a job whose lock is lost: 409; 403 is also seen.
pub const JOB_TOKEN_EXPIRED: u16 = 409;

/// An organisation's settings.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its address, without a slash at the end: `http://127.0.0.1:8080/acme`.
    #[serde(skip)]
    pub url: String,
    /// The personal access token that opens it.
    #[serde(skip)]
    pub token: Secret,
    /// Where every random choice comes from.
    pub seed: u64,
    /// The date of `Instant::START`, since 1970.
    #[serde(skip)]
    pub epoch: Duration,
    /// How many jobs may run at once.
    pub parallel_jobs: ParallelJobs,
    /// From the moment that a job and an agent are both there to the assignment.
    pub assign_delay: MillisRange,
    /// How long a job stays locked by an agent that is not heard of.
    pub job_lock: Millis,
    /// How long a session without polls lives.
    pub session_expiry: Millis,
    /// How long a poll for messages is held.
    pub long_poll: Millis,
    /// How long an assigned job waits for its agent to take it.
    pub receive_limit: Millis,
    /// How long a cancelled job may go on.
    pub cancel_timeout: Millis,
    /// The version that every job demands at least.
    pub minimum_agent_version: String,
    /// The pools that are there from the start, with their placeholders.
    pub pools: Vec<scenario::Pool>,
    /// Where the real service's behaviour is not known, or has been seen both ways.
    pub switches: Switches,
}

/// Behaviour that is not documented, and what we take it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Switches {
    /// `PUT agents/{id}` ends the live session of the agent that it replaces. Default: it does.
    pub replace_ends_session: bool,
    /// An agent that says `agentShuttingDown` is assigned nothing more. Default: it is not. The
    /// service before azure-pipelines-agent#2728 knew no such flag.
    pub heed_shutting_down: bool,
    /// `pools?poolID=N` of an unknown pool answers an empty object instead of 404 (kedacore/keda#2342).
    pub unknown_pool_is_empty: bool,
    /// `matchedAgents` on rows without an agent only. Default: so. Otherwise on every unfinished row.
    pub matched_agents_on_unassigned_only: bool,
    /// What a job request's `receiveTime` waits for.
    pub receive_time: ReceiveTime,
    /// In which order `jobrequests` lists its rows.
    pub row_order: RowOrder,
    /// How many finished requests a list without a query holds.
    pub completed_by_default: u32,
    /// An agent that registers with a key is told where to get tokens for it, and listens with those. Default: it
    /// is. Otherwise it stores the token that it was registered with, and listens with that
    /// (azure-pipelines-agent, ConfigurationManager.cs, `ConfigureAsync`).
    pub agent_authorization: bool,
    /// What the messages to an agent that registered with a key are encrypted with. The real service always does.
    pub session_encryption: SessionEncryption,
    /// How long an agent's token lives.
    pub listener_token_life: Millis,
    /// The version that agents are asked to update to.
    pub newest_agent: AgentVersion,
    /// What a wrong or missing token is answered, unless the caller asked for no redirect.
    pub bad_token: BadToken,
    /// What becomes of a build that no agent could ever run. Default: it is refused.
    pub queue_time_failure: QueueTimeFailure,
    /// What a row tells if its demands match every agent of the pool.
    pub all_agents_match: AllAgentsMatch,
    /// What becomes of a request whose api-version does not suit the resource.
    pub api_versions: ApiVersions,
    /// Disabled agents are among `matchedAgents`. Default: they are, since a build is accepted because of them, too.
    pub disabled_agents_match: bool,
    /// The status of [`Refusal::JobStillRunning`].
    pub job_still_running_status: u16,
    /// The status of [`Refusal::SessionExpired`].
    pub session_expired_status: u16,
    /// The status of [`Refusal::JobTokenExpired`].
    pub job_token_expired_status: u16,
}

/// What a session's messages are encrypted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum SessionEncryption {
    /// Nothing: no key, and messages as they are.
    Off,
    /// AES, with the key as it is: `encrypted` is false (azure-pipelines-agent, MessageListener.cs,
    /// `GetMessageDecryptor` knows both).
    PlainKey,
    /// AES, with the key wrapped by the agent's RSA key, OAEP with SHA-1: what the agent can undo.
    #[default]
    OaepSha1,
    /// The same with SHA-256, and `useFipsEncryption` set (ChristopherHX/runner.server,
    /// TaskAgentSession.cs). The agent at commit 42dbde9 cannot undo it.
    OaepSha256,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            replace_ends_session: true,
            heed_shutting_down: true,
            unknown_pool_is_empty: false,
            matched_agents_on_unassigned_only: true,
            receive_time: ReceiveTime::FirstSign,
            row_order: RowOrder::UnfinishedFirst,
            completed_by_default: COMPLETED_BY_DEFAULT,
            agent_authorization: true,
            session_encryption: SessionEncryption::OaepSha1,
            listener_token_life: LISTENER_TOKEN_LIFE,
            newest_agent: NEWEST_AGENT,
            bad_token: BadToken::Unauthorized,
            queue_time_failure: QueueTimeFailure::Refused,
            all_agents_match: AllAgentsMatch::Told,
            api_versions: ApiVersions::Lenient,
            disabled_agents_match: true,
            job_still_running_status: JOB_STILL_RUNNING,
            session_expired_status: SESSION_EXPIRED,
            job_token_expired_status: JOB_TOKEN_EXPIRED,
        }
    }
}

/// What becomes of a build that no agent of its pool, in whatever state, could ever run. Both are reported:
/// the API answers 400, and runs of YAML pipelines are there and have failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum QueueTimeFailure {
    /// It is refused with 400.
    #[default]
    Refused,
    /// It is there, and has failed.
    FailedBuild,
}

/// What a job request's `receiveTime` waits for. Rows in public payloads have it 2 to 3 s after `assignTime`; what
/// sets it is not documented. The agent makes both calls at the same time (azure-pipelines-agent, JobDispatcher.cs,
/// `RenewJobRequestAsync`, and Agent.cs, `RunAsync`). The end of a job sets it at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum ReceiveTime {
    /// The first of both.
    #[default]
    FirstSign,
    /// The job's message is deleted.
    MessageDeleted,
    /// The lock is renewed for the first time.
    LockRenewed,
}

/// In which order `jobrequests` lists its rows; the real order is not documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum RowOrder {
    /// Unfinished ones by id, then finished ones, the latest first.
    #[default]
    UnfinishedFirst,
    /// All by id, the highest first: with `$top`, more than 200 newer ones hide an old one that
    /// still waits (kedacore/keda#6819).
    NewestFirst,
}

/// What a row tells if its demands match every agent of the pool. Newer services have the member
/// `matchesAllAgentsInPool` (azure-devops-node-api 17.0.1, TaskAgentInterfaces, `TaskAgentJobRequest`); whether
/// `matchedAgents` is then left out is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum AllAgentsMatch {
    /// Nothing more than the agents.
    Listed,
    /// The member, and the agents.
    #[default]
    Told,
    /// The member alone: a scaler that looks for a parent's name finds none.
    ToldOnly,
}

/// What becomes of a request whose api-version does not suit the resource: one that is out of range, one of a
/// preview without saying so, or a write without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum ApiVersions {
    /// It is answered as if its version suited.
    #[default]
    Lenient,
    /// It is refused, as Microsoft's documentation of REST API versioning says.
    Strict,
}

/// What a wrong or missing token is answered. All three are reported by users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum BadToken {
    /// 401 with the challenge.
    #[default]
    Unauthorized,
    /// 302 to a page that answers 203 with HTML.
    Redirect,
    /// 203 with the sign-in page at once.
    SignInPage,
}

impl Switches {
    /// Those of a scenario.
    #[must_use]
    pub fn of(quirks: &Quirks) -> Self {
        let default = Self::default();
        Self {
            replace_ends_session: quirks.replace_ends_session.unwrap_or(default.replace_ends_session),
            heed_shutting_down: quirks.heed_shutting_down.unwrap_or(default.heed_shutting_down),
            unknown_pool_is_empty: quirks.unknown_pool_is_empty.unwrap_or(default.unknown_pool_is_empty),
            matched_agents_on_unassigned_only: quirks
                .matched_agents_on_unassigned_only
                .unwrap_or(default.matched_agents_on_unassigned_only),
            receive_time: quirks.receive_time.map_or(default.receive_time, |moment| match moment {
                quirks::ReceiveTime::FirstSign => ReceiveTime::FirstSign,
                quirks::ReceiveTime::MessageDeleted => ReceiveTime::MessageDeleted,
                quirks::ReceiveTime::LockRenewed => ReceiveTime::LockRenewed,
            }),
            row_order: quirks.row_order.map_or(default.row_order, |order| match order {
                quirks::RowOrder::UnfinishedFirst => RowOrder::UnfinishedFirst,
                quirks::RowOrder::NewestFirst => RowOrder::NewestFirst,
            }),
            completed_by_default: quirks.completed_by_default.unwrap_or(default.completed_by_default),
            agent_authorization: quirks.agent_authorization.unwrap_or(default.agent_authorization),
            session_encryption: quirks.session_encryption.map_or(
                default.session_encryption,
                |with| match with {
                    quirks::SessionEncryption::None => SessionEncryption::Off,
                    quirks::SessionEncryption::PlainKey => SessionEncryption::PlainKey,
                    quirks::SessionEncryption::OaepSha1 => SessionEncryption::OaepSha1,
                    quirks::SessionEncryption::OaepSha256 => SessionEncryption::OaepSha256,
                },
            ),
            newest_agent: quirks.newest_agent.unwrap_or(default.newest_agent),
            listener_token_life: quirks.listener_token_life.unwrap_or(default.listener_token_life),
            bad_token: quirks.bad_token.map_or(default.bad_token, |answer| match answer {
                quirks::BadToken::Unauthorized => BadToken::Unauthorized,
                quirks::BadToken::Redirect => BadToken::Redirect,
                quirks::BadToken::SignInPage => BadToken::SignInPage,
            }),
            queue_time_failure: quirks.queue_time_failure.map_or(default.queue_time_failure, |failure| {
                match failure {
                    quirks::QueueTimeFailure::Refused => QueueTimeFailure::Refused,
                    quirks::QueueTimeFailure::FailedBuild => QueueTimeFailure::FailedBuild,
                }
            }),
            all_agents_match: quirks.all_agents_match.map_or(default.all_agents_match, |told| match told {
                quirks::AllAgentsMatch::Listed => AllAgentsMatch::Listed,
                quirks::AllAgentsMatch::Told => AllAgentsMatch::Told,
                quirks::AllAgentsMatch::ToldOnly => AllAgentsMatch::ToldOnly,
            }),
            api_versions: quirks.api_versions.map_or(default.api_versions, |answer| match answer {
                quirks::ApiVersions::Lenient => ApiVersions::Lenient,
                quirks::ApiVersions::Strict => ApiVersions::Strict,
            }),
            disabled_agents_match: quirks.disabled_agents_match.unwrap_or(default.disabled_agents_match),
            job_still_running_status: quirks
                .job_still_running_status
                .unwrap_or(default.job_still_running_status),
            session_expired_status: quirks.session_expired_status.unwrap_or(default.session_expired_status),
            job_token_expired_status: quirks
                .job_token_expired_status
                .unwrap_or(default.job_token_expired_status),
        }
    }

    /// The status of a refusal.
    #[must_use]
    pub fn status(&self, refusal: &Refusal) -> u16 {
        match refusal {
            Refusal::JobStillRunning { .. } => self.job_still_running_status,
            Refusal::SessionExpired(_) => self.session_expired_status,
            Refusal::JobTokenExpired(_) => self.job_token_expired_status,
            other => other.status(),
        }
    }
}

impl Settings {
    /// Settings for a scenario's organisation; everything that a scenario does not say has its default.
    #[must_use]
    pub fn new(
        name: &str,
        url: &str,
        token: Secret,
        seed: u64,
        epoch: Duration,
        scenario: &scenario::Organization,
    ) -> Self {
        Self {
            name: name.to_owned(),
            url: url.trim_end_matches('/').to_owned(),
            token,
            seed,
            epoch,
            parallel_jobs: scenario.parallel_jobs,
            assign_delay: scenario.assign_delay,
            job_lock: scenario.job_lock,
            session_expiry: scenario.session_expiry,
            long_poll: scenario.quirks.long_poll.unwrap_or(LONG_POLL),
            receive_limit: scenario.quirks.receive_limit.unwrap_or(RECEIVE_LIMIT),
            cancel_timeout: CANCEL_TIMEOUT,
            minimum_agent_version: MINIMUM_AGENT_VERSION.to_owned(),
            pools: scenario.pools.clone(),
            switches: Switches::of(&scenario.quirks),
        }
    }
}
