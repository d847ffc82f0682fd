//! One HPA in the controller: when it is synced, and what a sync reads and writes.

use model::{Instant, Millis};

use crate::desired::{Answer, Because, View};
use crate::history::History;
use crate::rules::KubernetesRules;
use crate::spec::HpaSpec;
use crate::status::Status;

/// From the last answer of a sync until the controller has put the HPA back into its queue: writing
/// the status. An assumption; the whole of a sync takes 10 to 16 ms on a quiet machine.
pub const FINISHING: Millis = Millis(8);

/// What an HPA is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The answer to [`Action::Read`].
    Answered {
        /// The sync that asked.
        sync: u32,
        /// What was read.
        answer: Answer,
    },
    /// The answer to [`Action::Write`].
    Written {
        /// The sync that wrote.
        sync: u32,
        /// How it went.
        outcome: Written,
    },
    /// The object has a new spec.
    Edited(HpaSpec),
    /// Somebody else changed the object in any way, labels or status: an update event.
    Touched,
    /// The object is deleted.
    Deleted,
    /// An object of this name is there again.
    Recreated(HpaSpec),
    /// kube-controller-manager is gone, and with it everything that it remembered.
    ControllerStopped,
    /// kube-controller-manager runs and has listed its objects.
    ControllerStarted,
}

/// How a write of the scale went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// 409: the workload changed since it was read.
    Conflict,
    /// Anything else.
    Failed,
}

/// What an HPA wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the external metrics API for this metric and tell the answer.
    Read {
        /// To be repeated in the answer.
        sync: u32,
        /// Which, from zero.
        metric: usize,
    },
    /// Write `spec.replicas` through the scale subresource and tell the outcome.
    Write {
        /// To be repeated in the answer.
        sync: u32,
        /// What to write.
        replicas: i32,
        /// Why.
        because: Because,
        /// When the workload was read: a change of it since then is a conflict.
        read_at: Instant,
    },
    /// The status has changed: [`Hpa::status`] is to be written. No answer is expected.
    Status,
    /// The deleted object's history is gone: the machine can be dropped.
    Forgotten,
}

/// The controller's part that belongs to one name.
#[derive(Debug, Clone)]
pub struct Hpa {
    spec: HpaSpec,
    rules: KubernetesRules,
    history: History,
    status: Status,
    next: Option<Instant>,
}

impl Hpa {
    /// An HPA that was created at `created_at`; it is synced for the first time 15 s later.
    #[must_use]
    pub fn new(created_at: Instant, spec: HpaSpec, rules: KubernetesRules) -> Self {
        Self {
            spec,
            rules,
            history: History::new(),
            status: Status::default(),
            next: Some(created_at + crate::rules::SYNC_PERIOD),
        }
    }

    /// Takes `input`; what is to be done is pushed to `actions`.
    pub fn handle(&mut self, now: Instant, input: Input, view: Option<&View>, actions: &mut Vec<Action>) {
        let _ = (now, input, view, actions, &self.rules, &self.history);
    }

    /// Does what is due at `now`; `view` is nothing if there is no workload.
    pub fn advance(&mut self, now: Instant, view: Option<&View>, actions: &mut Vec<Action>) {
        let _ = (now, view, actions);
    }

    /// When [`Hpa::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Puts the next sync at `at`, to follow a real controller's phase.
    pub fn align(&mut self, at: Instant) {
        self.next = Some(at);
    }

    /// From now on, the object's informer resyncs at `phase` and every 15 s after it (and before).
    pub fn resync_at(&mut self, phase: Instant) {
        let _ = phase;
    }

    /// How long a sync takes after its last answer.
    pub fn set_finishing(&mut self, finishing: Millis) {
        let _ = finishing;
    }

    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> &HpaSpec {
        &self.spec
    }

    /// What the controller says about it.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }
}
