//! Faults of the service: which requests they hit, and what becomes of those.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::{Millis, MillisRange};
use crate::scenario::ParallelJobs;

/// Azure DevOps answers otherwise for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFault {
    /// From when.
    pub from: Millis,
    /// Until when; to the end of the run, if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Millis>,
    /// Which requests.
    #[serde(default)]
    pub route: Route,
    /// Whose requests, by the program that makes them.
    #[serde(default, skip_serializing_if = "CalledBy::is_default")]
    pub caller: CalledBy,
    /// Whose requests, by what they show of themselves.
    #[serde(default, skip_serializing_if = "Shown::is_default")]
    pub credential: Shown,
    /// How many of these requests it hits, in percent, by chance: all of them, if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// How many it hits at most: the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What is answered instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<ServiceAnswer>,
    /// How much later it answers: always the same, or by chance between two bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<MillisRange>,
    /// How much later it answers a list for each row of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_per_row: Option<Millis>,
    /// How much a caller may ask before it is slowed down, and then refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How many parallel jobs the organisation has instead: `unlimited`, or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_jobs: Option<ParallelJobs>,
}

/// Which requests a fault of the service is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Every one.
    #[default]
    All,
    /// A pool, or the list of pools: what KEDA asks to learn a pool's id.
    Pools,
    /// The list of a pool's job requests, which KEDA counts.
    JobRequests,
    /// A pool's agents: registered, listed, removed.
    Agents,
    /// An agent's session: opened, closed.
    Sessions,
    /// An agent's messages: polled, deleted.
    Messages,
    /// One job request: its lock renewed, its end told.
    Locks,
    /// What a running job tells: its end, its timeline, its logs.
    Plans,
    /// The list of agent packages, which start scripts ask for.
    Packages,
    /// Projects, definitions, builds, pipelines and their runs.
    Builds,
    /// What clients ask to find their way: connection data, resource areas, locations.
    Discovery,
    /// Access tokens for agents.
    Tokens,
}

/// The program that makes a request, by its `User-Agent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalledBy {
    /// Any.
    #[default]
    Anybody,
    /// KEDA, which sets no `User-Agent`: Go's own default is there.
    Keda,
    /// An agent, its set-up included.
    Agent,
    /// Any other: SDKs, `curl` in start scripts, people.
    Other,
}

impl CalledBy {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Anybody
    }

    /// The program that names itself so. A program without a name is none of ours.
    ///
    /// Sources: Go `net/http` (KEDA sets none of its own), azure-pipelines-agent (its `User-Agent` is that of
    /// the VSS SDK with the agent's own behind it).
    #[must_use]
    pub fn named(user_agent: Option<&str>) -> Self {
        match user_agent {
            Some(name) if name.starts_with(KEDA_USER_AGENT) => Self::Keda,
            Some(name) if AGENT_USER_AGENTS.iter().any(|part| name.contains(part)) => Self::Agent,
            _ => Self::Other,
        }
    }
}

/// How the `User-Agent` of KEDA begins.
pub const KEDA_USER_AGENT: &str = "Go-http-client";
/// What the `User-Agent` of an agent holds.
const AGENT_USER_AGENTS: [&str; 2] = ["VstsAgentCore", "VSServices"];

/// What a request shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// Anything, or nothing.
    #[default]
    Anything,
    /// The personal access token.
    PersonalAccessToken,
    /// An agent's own access token.
    AgentToken,
    /// The token of a running job.
    JobToken,
    /// Nothing, or nothing that opens anything.
    Nothing,
}

impl Shown {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::Anything
    }
}

/// What the service answers instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ServiceAnswer {
    /// This HTTP status, with the body that goes with it.
    Status(u16),
    /// Something else.
    Named(NamedAnswer),
}

/// An answer that is more than a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NamedAnswer {
    /// 203 and a page in HTML, as for a token that is no good.
    SignInPage,
    /// 302 to the sign-in page, as for a token that is no good.
    Redirect,
    /// 401 to whoever shows the personal access token: it has expired.
    TokenExpired,
    /// 200 and JSON that breaks off.
    Malformed,
    /// 200, and the connection breaks off in the middle of the answer.
    Truncated,
    /// 200 and an object without a list in it: KEDA counts nothing.
    WithoutList,
    /// The answer of the moment when the fault began.
    Stale,
    /// The rows of lists the other way round: job requests the newest first, before `$top` cuts them off.
    Reordered,
    /// None, until the caller gives up.
    Hang,
    /// A message that is on its way to an agent gets lost, and the service takes it for delivered.
    MessageLost,
    /// A message comes twice.
    MessageTwice,
    /// A renewal finds that the lock is lost, and the job with it.
    LockLost,
}

impl NamedAnswer {
    /// Whether it is about messages or locks rather than requests: it is no answer to any other request.
    #[must_use]
    pub fn is_special(self) -> bool {
        matches!(self, Self::MessageLost | Self::MessageTwice | Self::LockLost)
    }

    fn what(self) -> &'static str {
        match self {
            Self::SignInPage => "answers 203, a sign-in page",
            Self::Redirect => "answers 302, to the sign-in page",
            Self::TokenExpired => "answers 401, the personal access token has expired",
            Self::Malformed => "answers 200 and broken JSON",
            Self::Truncated => "answers 200 and breaks the connection off",
            Self::WithoutList => "answers 200 and no list",
            Self::Stale => "answers as it did when the fault began",
            Self::Reordered => "answers rows the other way round",
            Self::Hang => "never answers",
            Self::MessageLost => "messages get lost",
            Self::MessageTwice => "messages come twice",
            Self::LockLost => "locks are lost",
        }
    }
}

/// How much a caller may ask: a bucket for each kind of caller and credential. Requests take units out of it, time
/// fills it. An empty one lends: its requests are delayed until they are paid back; what would take longer than
/// `longest_delay` is refused with 429.
///
/// Source: Azure DevOps, "Rate and usage limits": 200 throughput units in five minutes, delays of up to 30 s, then
/// requests are blocked. How many units a request takes is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// How many units the bucket holds.
    pub units: u32,
    /// In what time an empty bucket is full again.
    pub window: Millis,
    /// How many units a request takes.
    pub per_request: u32,
    /// The longest that a request is delayed.
    pub longest_delay: Millis,
}

impl Budget {
    /// Azure DevOps' own budget.
    pub const UNITS: u32 = 200;
    /// Azure DevOps' own window.
    pub const WINDOW: Millis = Millis::minutes(5);
    /// What a request takes, unless a scenario says otherwise. The real number is not known.
    pub const PER_REQUEST: u32 = 1;
    /// The longest delay that Azure DevOps' documentation speaks of.
    pub const LONGEST_DELAY: Millis = Millis::seconds(30);
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            units: Self::UNITS,
            window: Self::WINDOW,
            per_request: Self::PER_REQUEST,
            longest_delay: Self::LONGEST_DELAY,
        }
    }
}

impl ServiceFault {
    /// It, in a few words.
    #[must_use]
    pub fn what(&self) -> String {
        if let Some(parallel_jobs) = self.parallel_jobs {
            return match parallel_jobs {
                ParallelJobs::Limited(jobs) => format!("the organization has {jobs} parallel jobs"),
                ParallelJobs::Unlimited => "the organization's parallel jobs are unlimited".to_owned(),
            };
        }
        let mut what = self.requests();
        let answer = self.answer.map(|answer| match answer {
            ServiceAnswer::Status(status) => format!("answers {status}"),
            ServiceAnswer::Named(named) => named.what().to_owned(),
        });
        what += ": ";
        what += &match (answer, self.delayed()) {
            (Some(answer), Some(delay)) => format!("{answer}, after {delay}"),
            (Some(answer), None) => answer,
            (None, Some(delay)) => format!("answers after {delay}"),
            (None, None) => "answers as ever".to_owned(),
        };
        if let Some(Budget { units, window, .. }) = self.budget {
            let _ = write!(what, ", {units} units in {window}");
        }
        what
    }

    /// The requests that it is about.
    fn requests(&self) -> String {
        let mut what = match self.route {
            Route::All => "every request",
            Route::Pools => "pools",
            Route::JobRequests => "jobrequests",
            Route::Agents => "agents",
            Route::Sessions => "sessions",
            Route::Messages => "messages",
            Route::Locks => "locks",
            Route::Plans => "plans",
            Route::Packages => "packages",
            Route::Builds => "builds",
            Route::Discovery => "discovery",
            Route::Tokens => "tokens",
        }
        .to_owned();
        what += match self.caller {
            CalledBy::Anybody => "",
            CalledBy::Keda => " of KEDA",
            CalledBy::Agent => " of agents",
            CalledBy::Other => " of others",
        };
        what += match self.credential {
            Shown::Anything => "",
            Shown::PersonalAccessToken => " with the personal access token",
            Shown::AgentToken => " with an agent's token",
            Shown::JobToken => " with a job's token",
            Shown::Nothing => " without a token",
        };
        if let Some(percent) = self.percent {
            let _ = write!(what, ", {percent} %");
        }
        if let Some(count) = self.count {
            let _ = write!(what, ", the first {count}");
        }
        what
    }

    fn delayed(&self) -> Option<String> {
        let per_row = self.delay_per_row.map(|delay| format!("{delay} a row"));
        match (self.delay, per_row) {
            (Some(delay), Some(per_row)) => Some(format!("{delay} and {per_row}")),
            (Some(delay), None) => Some(delay.to_string()),
            (None, per_row) => per_row,
        }
    }

    /// The longest that it may keep an answer back; none if there is no bound to it.
    #[must_use]
    pub fn longest_delay(&self) -> Option<Millis> {
        if self.delay_per_row.is_some() || self.answer == Some(ServiceAnswer::Named(NamedAnswer::Hang)) {
            return None;
        }
        let delay = self.delay.map_or(Millis::ZERO, |delay| delay.most);
        Some(delay.max(self.budget.map_or(Millis::ZERO, |budget| budget.longest_delay)))
    }

    /// Whether it is about requests of this program to this route.
    #[must_use]
    pub fn concerns(&self, route: Route, caller: CalledBy) -> bool {
        self.parallel_jobs.is_none()
            && (self.route == Route::All || self.route == route)
            && (self.caller == CalledBy::Anybody || self.caller == caller)
    }
}
