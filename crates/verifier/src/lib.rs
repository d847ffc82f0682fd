//! An event log gives findings.
//!
//! [`verify`] folds a log into a history and holds every rule against it. It
//! knows the event vocabulary and the documented rules of KEDA, the HPA, the
//! kubelet and Azure DevOps, each cited where it is used, and shares no code with
//! what produced the log: an oracle that does agrees with its bugs.
//!
//! [`explain()`] tells from the same history why replicas were what they were, and
//! [`diff()`] holds two logs of one scenario side by side. [`latency`] is how long jobs
//! took over many runs, and [`compare()`] tells whether that got slower.
//!
//! Reading order: [`report`] (what comes out), `history` (what the log says),
//! `bounds` (what the documentation allows), `rules` (one file a noun), `verdict`.
//!
//! Absent on purpose: input and output, clocks, exit codes.

mod aggregate;
mod bounds;
pub mod compare;
mod count;
pub mod diff;
mod disturbances;
pub mod explain;
mod held_up;
mod history;
mod hpa;
pub mod latency;
mod log;
mod measure;
pub mod measurements;
mod render;
pub mod report;
mod rules;
mod scaled_job;
pub mod series;
mod stages;
mod verdict;
mod words;

#[cfg(test)]
mod absurd_logs;
#[cfg(test)]
mod faulty_runs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod whole_runs;

pub use aggregate::{Aggregate, RuleShare, aggregate};
pub use compare::compare;
pub use diff::{Difference, Likeness, diff, diff_within};
pub use explain::{Entry, Explanation, explain};
pub use log::{LogError, read_log};
pub use report::{Finding, Report, Severity, Verdict};
pub use rules::{Rule, rules};

use model::Event;

/// Judges a run by its log.
#[must_use]
pub fn verify(events: impl IntoIterator<Item = Event>) -> Report {
    let history = history::History::of(events);
    let judged = rules::judge(&history);
    verdict::report(&history, judged)
}

/// Judges a run by its log, and tells how long each stage took for each of its jobs.
#[must_use]
pub fn verify_with_times(events: impl IntoIterator<Item = Event>) -> (Report, Vec<latency::StageTimes>) {
    let history = history::History::of(events);
    let judged = rules::judge(&history);
    (verdict::report(&history, judged), stages::times(&history))
}
