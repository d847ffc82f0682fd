//! What an organisation is started with. Whatever is not known about the real
//! service is a setting here, with a named default.

use std::time::Duration;

use model::scenario::{self, ParallelJobs};
use model::{Millis, MillisRange};

use crate::Secret;

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
/// How many finished requests a list without a query holds. The real number is not known.
pub const COMPLETED_BY_DEFAULT: u32 = 250;

/// An organisation's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// Its address, without a slash at the end: `http://127.0.0.1:8080/acme`.
    pub url: String,
    /// The personal access token that opens it.
    pub token: Secret,
    /// Where every random choice comes from.
    pub seed: u64,
    /// The date of `Instant::START`, since 1970.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// In which order `jobrequests` lists its rows.
    pub row_order: RowOrder,
    /// How many finished requests a list without a query holds.
    pub completed_by_default: u32,
    /// What a wrong or missing token is answered, unless the caller asked for no redirect.
    pub bad_token: BadToken,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            replace_ends_session: true,
            heed_shutting_down: true,
            unknown_pool_is_empty: false,
            matched_agents_on_unassigned_only: true,
            row_order: RowOrder::UnfinishedFirst,
            completed_by_default: COMPLETED_BY_DEFAULT,
            bad_token: BadToken::Unauthorized,
        }
    }
}

/// In which order `jobrequests` lists its rows; the real order is not documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowOrder {
    /// Unfinished ones by id, then finished ones, the latest first.
    #[default]
    UnfinishedFirst,
    /// All by id, the highest first: with `$top`, more than 200 newer ones hide an old one that
    /// still waits (kedacore/keda#6819).
    NewestFirst,
}

/// What a wrong or missing token is answered. All three are reported by users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadToken {
    /// 401 with the challenge.
    #[default]
    Unauthorized,
    /// 302 to a page that answers 203 with HTML.
    Redirect,
    /// 203 with the sign-in page at once.
    SignInPage,
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
            long_poll: LONG_POLL,
            receive_limit: RECEIVE_LIMIT,
            cancel_timeout: CANCEL_TIMEOUT,
            minimum_agent_version: MINIMUM_AGENT_VERSION.to_owned(),
            pools: scenario.pools.clone(),
            switches: Switches::default(),
        }
    }

    /// How many jobs may run at once, as a number.
    pub(crate) fn parallel_limit(&self) -> usize {
        match self.parallel_jobs {
            ParallelJobs::Limited(jobs) => usize::try_from(jobs).unwrap_or(usize::MAX),
            ParallelJobs::Unlimited => usize::MAX,
        }
    }
}
