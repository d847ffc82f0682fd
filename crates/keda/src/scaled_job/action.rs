//! The words between the ScaledJob machine and whoever runs it.

use std::fmt;
use std::sync::Arc;

use super::OperatorPanics;
use super::object::Revision;
use super::strategy::Created;
use crate::scaler::{CallId, Request, Wire};

/// Names a request to the Kubernetes API until it is answered; never used twice by the same machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiCall(pub u64);

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask Azure DevOps; answered with [`super::Input::Answered`].
    Request {
        /// The request's number.
        call: CallId,
        /// The trigger that it is for.
        trigger: usize,
        /// What is asked for.
        request: Request,
    },
    /// Nobody waits for Azure DevOps' answer any more: the connection is closed.
    Abandon {
        /// The request's number.
        call: CallId,
    },
    /// Nobody waits for the Kubernetes API's answer any more. What it was asked for may have been done.
    AbandonApi {
        /// Which request.
        call: ApiCall,
    },
    /// Say at once which Jobs there are, with [`super::Input::Jobs`].
    LookAtJobs,
    /// Create a Job; answered with [`super::Input::Done`].
    CreateJob {
        /// Which request.
        call: ApiCall,
        /// What the Job is made from.
        revision: Arc<Revision>,
    },
    /// Delete a Job; answered with [`super::Input::Done`]. That it is gone already counts as a failure.
    DeleteJob {
        /// Which request.
        call: ApiCall,
        /// The Job's name.
        name: Box<str>,
        /// Whether the Job goes after its pods; otherwise before them.
        foreground: bool,
    },
    /// A poll has decided. For the log.
    Decided(Created),
    /// A condition of the ScaledJob has changed.
    Condition {
        /// Which.
        condition: Condition,
        /// Its status.
        status: Status,
        /// Its reason.
        reason: &'static str,
    },
    /// An event about the ScaledJob.
    Event(Event),
    /// The operator's process ends. Once it is started again, it is told so with
    /// [`super::Input::OperatorStarted`], as every other machine of it is.
    Panic(OperatorPanics),
}

impl From<Wire> for Action {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Request { call, trigger, request } => Self::Request { call, trigger, request },
            Wire::Abandon { call } => Self::Abandon { call },
        }
    }
}

/// A condition of a ScaledJob (K:apis/keda/v1alpha1/condition_types.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Whether it works.
    Ready,
    /// Whether a trigger is active.
    Active,
    /// Whether it is paused.
    Paused,
}

/// A condition's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    #[default]
    Unknown,
}

/// An event about a ScaledJob. Displayed, it is KEDA's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A loop was started where there was none.
    ScalersStarted,
    /// The loop was stopped.
    ScalersStopped,
    /// A reconcile made it ready.
    Ready,
    /// A reconcile failed.
    CheckFailed(CheckFailure),
    /// A trigger could not be read, or the scalers not be made.
    ScalerFailed {
        /// The trigger's place; nothing if the scalers could not be made.
        trigger: Option<usize>,
        /// The error.
        error: String,
    },
    /// So many Jobs were created; until 2.20, so many were wanted.
    JobsCreated {
        /// How many.
        number: u64,
    },
    /// So many events that a Job could not be created.
    JobCreateFailed {
        /// How many.
        number: u64,
    },
    /// It became active.
    Active,
    /// It became inactive.
    Inactive,
    /// It was paused.
    Paused,
    /// It was paused no longer.
    Unpaused,
    /// A rollout deletes so many Jobs.
    RolloutStarted {
        /// How many.
        number: u64,
    },
    /// A rollout has deleted so many Jobs.
    RolloutCompleted {
        /// How many.
        number: u64,
    },
    /// A rollout could not delete a Job.
    RolloutFailed,
}

/// Why a reconcile failed (K:controllers/keda/scaledjob_controller.go, `reconcileScaledJob`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckFailure {
    /// The scalers could not be made.
    Scalers,
    /// A trigger has a metricType.
    MetricType,
    /// A Job of an earlier generation could not be deleted.
    Deletion,
}

impl Event {
    /// Its reason (K:pkg/eventreason/eventreason.go).
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ScalersStarted => "KEDAScalersStarted",
            Self::ScalersStopped => "KEDAScalersStopped",
            Self::Ready => "ScaledJobReady",
            Self::CheckFailed(_) => "ScaledJobCheckFailed",
            Self::ScalerFailed { .. } => "KEDAScalerFailed",
            Self::JobsCreated { .. } => "KEDAJobsCreated",
            Self::JobCreateFailed { .. } => "KEDAJobCreateFailed",
            Self::Active => "ScaledJobActive",
            Self::Inactive => "ScaledJobInactive",
            Self::Paused => "ScaledJobPaused",
            Self::Unpaused => "ScaledJobUnpaused",
            Self::RolloutStarted { .. } => "ScaledJobRolloutCleanupStarted",
            Self::RolloutCompleted { .. } => "ScaledJobRolloutCleanupCompleted",
            Self::RolloutFailed => "ScaledJobRolloutCleanupFailed",
        }
    }

    /// Whether it is a warning.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::CheckFailed(_)
                | Self::ScalerFailed { .. }
                | Self::JobCreateFailed { .. }
                | Self::RolloutFailed
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const OF_EARLIER: &str = "jobs owned by the previous version of the scaledJob";
        match self {
            Self::ScalersStarted => f.write_str("Started scalers watch"),
            Self::ScalersStopped => f.write_str("Stopped scalers watch"),
            Self::Ready => f.write_str("ScaledJob is ready for scaling"),
            Self::CheckFailed(failure) => f.write_str(failure.message()),
            Self::ScalerFailed { error, .. } => f.write_str(error),
            Self::JobsCreated { number } => write!(f, "Created {number} jobs"),
            Self::JobCreateFailed { .. } => f.write_str("Failed to create job"),
            Self::Active => f.write_str(ACTIVE),
            Self::Inactive => f.write_str(INACTIVE),
            Self::Paused => f.write_str(PAUSED),
            Self::Unpaused => f.write_str(UNPAUSED),
            Self::RolloutStarted { number } => write!(f, "Deleting {number} {OF_EARLIER}"),
            Self::RolloutCompleted { number } => write!(f, "Deleted {number} {OF_EARLIER}"),
            Self::RolloutFailed => f.write_str("Failed to delete job"),
        }
    }
}

impl CheckFailure {
    /// KEDA's message.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Scalers => "Failed to ensure ScaledJob is correctly created",
            Self::MetricType => "Cannot set metricType in ScaledJob triggers",
            Self::Deletion => "Not able to delete job",
        }
    }
}

const ACTIVE: &str = "Scaling is performed because triggers are active";
const INACTIVE: &str = "Scaling is not performed because triggers are not active";
const PAUSED: &str = "ScaledJob is paused";
const UNPAUSED: &str = "ScaledJob is unpaused";

/// KEDA's message beside a condition's reason; empty where it depends on more than the reason.
#[must_use]
pub fn condition_message(reason: &str) -> &'static str {
    match reason {
        "ScaledJobReady" => "ScaledJob is defined correctly and is ready for scaling",
        "PartialTriggerError" => "Some triggers defined in ScaledJob are not working correctly",
        "TriggerError" => "Triggers defined in ScaledJob are not working correctly",
        "UnknownState" => "ScaledJob check failed",
        "ScalerActive" => ACTIVE,
        "ScalerNotActive" => INACTIVE,
        "ScaledJobPaused" => PAUSED,
        "ScaledJobUnpaused" => UNPAUSED,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_a_reason_a_kind_and_a_message() {
        let event = Event::JobsCreated { number: 3 };
        assert_eq!((event.reason(), event.is_warning()), ("KEDAJobsCreated", false));
        assert_eq!(event.to_string(), "Created 3 jobs");
        let event = Event::CheckFailed(CheckFailure::MetricType);
        assert_eq!((event.reason(), event.is_warning()), ("ScaledJobCheckFailed", true));
        assert_eq!(event.to_string(), "Cannot set metricType in ScaledJob triggers");
    }
}
