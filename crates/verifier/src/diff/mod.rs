//! Two logs of the same scenario side by side: whether the same was decided, and how far apart in time.
//!
//! Times are aligned at `run.ready`. A decision is taken when a poll or a sync comes by; what happens
//! within a second of one may be seen by it in one log and by the next in the other. Such a difference
//! is named as a boundary case: neither log is wrong.

mod counts;
mod side;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use model::event::Outcome;
use model::{Event, Instant, Millis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::side::Side;
use crate::history::History;
use crate::report::Run;
use crate::{verdict, words};

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
    let (a, b) = (Side::of(History::of(a)), Side::of(History::of(b)));
    let sides = [&a, &b];
    let (left, right) = (a.courses(), b.courses());
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let compared = names
        .into_iter()
        .filter_map(|name| Some(steps::compare(name, sides, [left.get(name)?, right.get(name)?], limit)));
    let mut difference = Difference {
        verdict: Likeness::Different,
        because: String::new(),
        limit_ms: limit.0,
        runs: [verdict::run(&a.history), verdict::run(&b.history)],
        steps: compared.collect(),
        jobs: counts::jobs(sides, limit.0),
        reads: counts::reads(sides),
        agents: counts::agents(sides),
    };
    let same_objects = left.keys().eq(right.keys());
    (difference.verdict, difference.because) = judge(&difference, sides, same_objects);
    difference
}

/// The first reason to call them different, or how alike they are.
fn judge(difference: &Difference, sides: [&Side; 2], same_objects: bool) -> (Likeness, String) {
    let different = |because: String| (Likeness::Different, because);
    let [a, b] = &difference.runs;
    if a.scenario != b.scenario {
        return different(format!("A is of scenario `{}`, B of `{}`", a.scenario, b.scenario));
    }
    if !same_objects {
        return different("the logs tell of other KEDA objects".to_owned());
    }
    let spans = || difference.steps.iter().flat_map(|sequence| &sequence.disagreements);
    let boundaries =
        u32::try_from(spans().filter(|span| span.boundary.is_some()).count()).unwrap_or(u32::MAX);
    for sequence in &difference.steps {
        if let Some(span) = sequence.disagreements.iter().find(|span| span.boundary.is_none()) {
            let [a, b] = span.replicas;
            let phase = steps::out_of_phase(sides, span.from, Millis(difference.limit_ms));
            let phase = phase.map_or_else(String::new, |off| {
                format!("; reads of the queue are {} out of phase then", words::span(off))
            });
            return different(format!(
                "{} has {a} in A and {b} in B from {} to {} after run.ready{phase}",
                sequence.of, span.from, span.to
            ));
        }
    }
    // What one log did not live to see is no other result.
    let both = |other: &&OtherResult| other.results.iter().all(|result| result != UNFINISHED);
    let other = difference.jobs.other_results.iter().find(both);
    if let Some(other) = other.filter(|_| boundaries == 0) {
        let [a, b] = &other.results;
        return different(format!("job {} is {a} in A and {b} in B", other.request));
    }
    // How long a job waits is the machine's doing as much: it is told, and decides nothing.
    let wait = difference.jobs.worst_wait.map_or(0, |worst| match worst.waits_ms {
        [Some(a), Some(b)] => a.abs_diff(b),
        _ => 0,
    });
    let told = if wait > difference.limit_ms {
        let request = difference.jobs.worst_wait.map_or(0, |worst| worst.request);
        format!("; the wait of job {request} is {} apart", words::span(Millis(wait)))
    } else {
        String::new()
    };
    let agents = &difference.agents;
    // A run that was cut off in mid-flight has agents that were about to come or to go.
    let cut_off = difference.runs.iter().any(|run| run.outcome == Some(Outcome::DurationReached));
    if boundaries == 0
        && !cut_off
        && (agents.registered[0] != agents.registered[1] || agents.removed[0] != agents.removed[1])
    {
        return different(format!(
            "{} agents registered in A and {} in B, {} and {} were removed",
            agents.registered[0], agents.registered[1], agents.removed[0], agents.removed[1]
        ));
    }
    if boundaries == 0 && !difference.reads.alike {
        let [a, b] = difference.reads.reads;
        return different(format!("the queue was read {a} times in A and {b} times in B"));
    }
    let steps =
        difference.steps.iter().flat_map(|sequence| &sequence.apart_ms).map(|apart| apart.unsigned_abs());
    let worst_ms = steps.filter(|apart| *apart <= difference.limit_ms).max().unwrap_or_default();
    let worst = words::span(Millis(worst_ms));
    if boundaries == 0 {
        return (Likeness::Equal { worst_ms }, format!("the same decisions, at most {worst} apart{told}"));
    }
    let cases = words::counted(boundaries, "boundary case");
    let because = format!("the same decisions but for {cases}, at most {worst} apart otherwise{told}");
    (Likeness::EqualButBoundary { worst_ms, boundaries }, because)
}

/// The result of a job that has none.
pub(crate) const UNFINISHED: &str = "unfinished";

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
