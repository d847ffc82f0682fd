//! The words between the ScaledJob machine and whoever runs it.

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

/// An event about a ScaledJob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A loop was started where there was none.
    ScalersStarted,
    /// The loop was stopped.
    ScalersStopped,
    /// A reconcile made it ready.
    Ready,
    /// A reconcile failed.
    CheckFailed,
    /// A trigger could not be read.
    ScalerFailed {
        /// The trigger's place.
        trigger: usize,
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
    /// A rollout has deleted them.
    RolloutCompleted,
    /// A rollout could not delete a Job.
    RolloutFailed,
}

impl Event {
    /// Its reason (K:pkg/eventreason/eventreason.go).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::ScalersStarted => "KEDAScalersStarted",
            Self::ScalersStopped => "KEDAScalersStopped",
            Self::Ready => "ScaledJobReady",
            Self::CheckFailed => "ScaledJobCheckFailed",
            Self::ScalerFailed { .. } => "KEDAScalerFailed",
            Self::JobsCreated { .. } => "KEDAJobsCreated",
            Self::JobCreateFailed { .. } => "KEDAJobCreateFailed",
            Self::Active => "ScaledJobActive",
            Self::Inactive => "ScaledJobInactive",
            Self::Paused => "ScaledJobPaused",
            Self::Unpaused => "ScaledJobUnpaused",
            Self::RolloutStarted { .. } => "ScaledJobRolloutCleanupStarted",
            Self::RolloutCompleted => "ScaledJobRolloutCleanupCompleted",
            Self::RolloutFailed => "ScaledJobRolloutCleanupFailed",
        }
    }
}
