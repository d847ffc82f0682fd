//! Two logs of the same scenario side by side: whether the same was decided, and how far apart in time.
//!
//! Times are aligned at `run.ready`. A decision is taken when a poll or a sync comes by; what happens
//! within a second of one may be seen by it in one log and by the next in the other. Such a difference
//! is named as a boundary case: neither log is wrong.

use model::{Event, Instant, Millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::report::Run;
use crate::verdict;

/// Lines up two logs of the same scenario; decisions may be [`LIMIT`] apart.
#[must_use]
pub fn diff(a: impl IntoIterator<Item = Event>, b: impl IntoIterator<Item = Event>) -> Difference {
    diff_within(a, b, LIMIT)
}

/// Lines up two logs of the same scenario; decisions may be `limit` apart.
#[must_use]
pub fn diff_within(
    a: impl IntoIterator<Item = Event>,
    b: impl IntoIterator<Item = Event>,
    limit: Millis,
) -> Difference {
    let both = [History::of(a), History::of(b)];
    Difference {
        verdict: Likeness::Different,
        because: "nothing was compared".to_owned(),
        limit_ms: limit.0,
        runs: both.each_ref().map(verdict::run),
        steps: Vec::new(),
        jobs: JobsApart {
            queued: [0, 0],
            other_results: Vec::new(),
            worst_wait: None,
            waits_beyond_limit: 0,
        },
        reads: ReadsApart {
            reads: [0, 0],
            failed: [0, 0],
            spacing_ms: [None, None],
            first_ms: [None, None],
            alike: false,
        },
        agents: AgentsApart { registered: [0, 0], removed: [0, 0] },
    }
}

/// So far apart may the same decision be, unless another limit is asked for.
pub const LIMIT: Millis = Millis::seconds(2);

/// How two logs differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The judgement.
    pub verdict: Likeness,
    /// The judgement in a sentence.
    pub because: String,
    /// So far apart may the same decision be.
    pub limit_ms: u64,
    /// What ran, of both.
    pub runs: [Run; 2],
    /// Replica steps, one entry for each workload or ScaledJob.
    pub steps: Vec<StepSequence>,
    /// Jobs: how long they waited and how they ended.
    pub jobs: JobsApart,
    /// KEDA's reads of the queue.
    pub reads: ReadsApart,
    /// Agents that came and went.
    pub agents: AgentsApart,
}

/// The judgement in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Likeness {
    /// The same decisions, all within the limit.
    Equal {
        /// The largest difference in time.
        worst_ms: u64,
    },
    /// The same, but for what fell so close to a poll or sync that either log may be right.
    EqualButBoundary {
        /// The largest difference in time of what is no boundary case.
        worst_ms: u64,
        /// How many boundary cases there are.
        boundaries: u32,
    },
    /// Other decisions, or the same at other times.
    Different,
}

/// The steps of one workload in both logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSequence {
    /// The workload, as `Deployment/name`, or the ScaledJob.
    pub of: String,
    /// The steps of both.
    pub steps: [Vec<TimedStep>; 2],
    /// Whether both take the same steps in the same order.
    pub equal: bool,
    /// The first step that differs, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_difference: Option<u32>,
    /// Each pair of equal steps: how far the second log's is behind the first's; negative if ahead.
    pub apart_ms: Vec<i64>,
    /// The spans for longer than the limit in which both logs have different replicas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disagreements: Vec<Disagreement>,
}

/// A step, in time since `run.ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimedStep {
    /// When.
    pub at: Instant,
    /// The replicas before; for a ScaledJob the Jobs made so far.
    pub from: u32,
    /// The replicas after.
    pub to: u32,
}

/// A span in which both logs have different replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// From when, since `run.ready`.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
    /// The replicas of both when it began.
    pub replicas: [u32; 2],
    /// What fell within a second of a poll or sync, if something did: then neither log is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
}

/// Jobs of both logs, by request number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobsApart {
    /// How many jobs were queued.
    pub queued: [u32; 2],
    /// How many jobs ended otherwise, or in one log only.
    pub other_results: Vec<OtherResult>,
    /// The job whose wait from queued to received differs most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_wait: Option<WaitApart>,
    /// How many waits differ by more than the limit.
    pub waits_beyond_limit: u32,
}

/// A job that ended otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherResult {
    /// The job request's id.
    pub request: u64,
    /// How it ended in both logs: a result, `unfinished` or `never queued`.
    pub results: [String; 2],
}

/// A job that waited longer in one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitApart {
    /// The job request's id.
    pub request: u64,
    /// From queued to received in both logs; none if it was never received.
    pub waits_ms: [Option<u64>; 2],
}

/// KEDA's reads of the queue in both logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReadsApart {
    /// How many.
    pub reads: [u32; 2],
    /// How many failed.
    pub failed: [u32; 2],
    /// The middle distance from one to the next.
    pub spacing_ms: [Option<u64>; 2],
    /// When the first came, since `run.ready`; the phase of everything after it.
    pub first_ms: [Option<u64>; 2],
    /// Whether both read about as often: to a twentieth, or to two.
    pub alike: bool,
}

/// Agents of both logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentsApart {
    /// How many registered, placeholders aside.
    pub registered: [u32; 2],
    /// How many were removed.
    pub removed: [u32; 2],
}
