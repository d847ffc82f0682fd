//! The ScaledJob loop decided: how many Jobs each poll creates, and which ones KEDA deletes.
//!
//! Decisions are pure functions, so that they can be held against a real run as well:
//!
//! - [`combine()`]: what several triggers ask for together,
//! - [`count`]: running and pending Jobs,
//! - [`jobs_to_create`]: how many Jobs a poll creates, and why,
//! - [`beyond_limit`] and [`rolled_out`]: which Jobs are deleted.
//!
//! [`Machine`] is the loop around them: reconciles, polls, creations and deletions in scenario time.
//!
//! Sources are files of github.com/kedacore/keda; a bare function name is one of K:pkg/scaling/executor/scale_jobs.go.

mod action;
mod bounds;
mod client;
mod combine;
mod counts;
mod history;
mod machine;
mod object;
mod series;
mod strategy;
#[cfg(test)]
mod tests;

pub use action::{Action, ApiCall, CheckFailure, Condition, Event, Status, condition_message};
pub use bounds::Bounds;
pub use client::{BURST, ClientBucket, QPS};
pub use combine::{Asked, Calculation, Reading, combine};
pub use counts::{Counts, Finished, JobView, Pending, PodConditions, PodPhase, PodView, count};
pub use history::{DEFAULT_HISTORY_LIMIT, HistoryLimits, beyond_limit, rolled_out};
pub use machine::{Input, Machine, Operator, SECOND_RECONCILE, WantedJobs};
pub use object::{
    DEFAULT_RESTART_POLICY, EXCLUDED_LABELS, GENERATION, JobMetadata, NAME_LABEL, PAUSED, Revision, Rollout,
    Settings, Source, job_metadata,
};
pub use strategy::{Because, Case, Created, Inputs, Strategy, jobs_to_create};

/// A specification that makes the operator's process end, and again as soon as it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperatorPanics {
    /// `minReplicaCount` without `maxReplicaCount`, until 2.10.
    #[error("minReplicaCount without maxReplicaCount makes the operator panic until KEDA 2.10")]
    MinimumWithoutMaximum,
    /// Strategy `custom` without `customScalingQueueLengthDeduction`, until 2.20.1.
    #[error(
        "the strategy custom without customScalingQueueLengthDeduction makes the operator panic until KEDA 2.20.1"
    )]
    CustomWithoutDeduction,
}
