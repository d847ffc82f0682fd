//! One HPA in the controller: when it is synced, and what a sync reads and writes.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`.

mod sync;
#[cfg(test)]
mod tests;

use model::{Instant, Millis};

use crate::desired::{Answer, Because, Desired, View};
use crate::history::History;
use crate::propose::Proposal;
use crate::queue::Queue;
use crate::rules::KubernetesRules;
use crate::spec::HpaSpec;
use crate::status::Status;
use sync::Sync;

/// From the last answer of a sync until the controller has put the HPA back into its queue: writing
/// the status. An assumption; the whole of a sync, with reading the scale and the metric, takes 10 to
/// 16 ms on a quiet machine. That is work and no waiting, so that a cluster whose clocks run N times
/// faster needs N times as much of its own time: [`Hpa::set_finishing`].
pub const FINISHING: Millis = Millis(8);

/// What an HPA is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The answer to [`Action::Read`].
    Answered {
        /// The sync that asked; the answer to another one is passed over.
        sync: u32,
        /// What was read.
        answer: Answer,
    },
    /// The answer to [`Action::Write`].
    Written {
        /// The sync that wrote; the answer to another one is passed over.
        sync: u32,
        /// How it went.
        outcome: Written,
    },
    /// The object has a new spec. One that changes nothing is no event.
    Edited(HpaSpec),
    /// Somebody else changed the object in any other way, as its labels.
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
        /// When the workload was read: any change of it since then is a conflict.
        read_at: Instant,
    },
    /// The status has changed: [`Hpa::status`] is to be written. No answer is expected.
    Status,
    /// The deleted object's history is gone: the machine can be dropped.
    Forgotten,
}

/// The controller's part that belongs to one name.
///
/// The shell calls [`Hpa::advance`] when [`Hpa::next_deadline`] has come, carries out what is pushed to
/// `actions`, and tells the outcome with [`Hpa::handle`]. A read or a write that is never answered
/// leaves the sync under way, as one that hangs does, until the controller is stopped.
#[derive(Debug, Clone)]
pub struct Hpa {
    spec: HpaSpec,
    rules: KubernetesRules,
    history: History,
    status: Status,
    queue: Queue,
    sync: Sync,
    /// What the metrics of the last sync asked for, as far as they are read.
    proposals: Vec<Option<Proposal>>,
    /// The last decision.
    last: Option<Desired>,
    /// An edit that fell into a sync, which goes on with the spec that it began with.
    edited: Option<HpaSpec>,
    /// Whether there is an object.
    exists: bool,
    /// Whether kube-controller-manager runs.
    running: bool,
    /// When the informer resyncs.
    resync: Option<Instant>,
    finishing: Millis,
}

impl Hpa {
    /// An HPA that was created at `created_at`; it is synced for the first time 15 s later.
    #[must_use]
    pub fn new(created_at: Instant, spec: HpaSpec, rules: KubernetesRules) -> Self {
        let mut queue = Queue::default();
        queue.touch(created_at);
        Self {
            proposals: Vec::with_capacity(spec.metrics.len()),
            spec,
            rules,
            history: History::new(),
            status: Status::default(),
            queue,
            sync: Sync::default(),
            last: None,
            edited: None,
            exists: true,
            running: true,
            resync: None,
            finishing: FINISHING,
        }
    }

    /// Takes `input`; what is to be done is pushed to `actions`. `view` is what is seen at `now`, which
    /// only answers are combined with; without it, what was seen when the sync began counts.
    pub fn handle(&mut self, now: Instant, input: Input, view: Option<&View>, actions: &mut Vec<Action>) {
        match input {
            Input::Answered { sync, answer } => self.answered(now, sync, answer, view, actions),
            Input::Written { sync, outcome } => self.written(now, sync, outcome, actions),
            Input::Edited(spec) if spec == *self.spec() => {}
            Input::Edited(spec) => self.edit(now, spec),
            Input::Touched => self.touch(now),
            Input::Deleted => self.delete(now),
            Input::Recreated(spec) => self.recreate(now, spec),
            Input::ControllerStopped => self.stop(),
            Input::ControllerStarted => self.start(now, actions),
        }
    }

    /// Does what is due at `now`; `view` is nothing if there is no workload.
    pub fn advance(&mut self, now: Instant, view: Option<&View>, actions: &mut Vec<Action>) {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if self.sync.is_under_way() {
            self.write_again(actions);
        } else {
            self.begin(now, view, actions);
        }
    }

    /// When [`Hpa::advance`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.sync.is_under_way() {
            self.sync.pause_ends()
        } else {
            self.queue.due().filter(|_| self.running)
        }
    }

    /// Puts the next sync at `at`, to follow a real controller's phase. From there on the cadence is
    /// the controller's again.
    pub fn align(&mut self, at: Instant) {
        self.queue.align(at);
    }

    /// The informer resyncs at `phase` and every 15 s before and after it. That matters only when it
    /// falls into a sync; until this is called there are no resyncs. A start of the controller sets
    /// the phase to that start.
    pub fn resync_at(&mut self, phase: Instant) {
        self.resync = Some(phase);
        self.queue.resync_at(self.resync.filter(|_| self.exists));
    }

    /// How long a sync takes after its last answer, [`FINISHING`] if this is not called.
    pub fn set_finishing(&mut self, finishing: Millis) {
        self.finishing = finishing;
    }

    /// Whether a sync is under way: the scale was read at its beginning, and after every conflict.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.sync.is_under_way()
    }

    /// Whether there is an object, rather than only what the controller remembers of one.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> &HpaSpec {
        self.edited.as_ref().unwrap_or(&self.spec)
    }

    /// What the controller says about it.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The last decision, of which an [`Action::Write`] is only told if something is to be written.
    #[must_use]
    pub fn last(&self) -> Option<&Desired> {
        self.last.as_ref()
    }

    fn touch(&mut self, now: Instant) {
        self.sync.object_changed();
        if self.exists && self.running {
            self.queue.touch(now);
        }
    }

    fn edit(&mut self, now: Instant, spec: HpaSpec) {
        if self.sync.is_under_way() {
            self.edited = Some(spec);
        } else {
            self.spec = spec;
        }
        self.touch(now);
    }

    /// The key stays in the queue: the history goes when its time comes. Source: `deleteHPA`.
    fn delete(&mut self, now: Instant) {
        self.sync.object_changed();
        self.exists = false;
        self.queue.settle(now);
        self.queue.resync_at(None);
    }

    fn recreate(&mut self, now: Instant, spec: HpaSpec) {
        self.exists = true;
        self.status = Status::default();
        self.edit(now, spec);
        self.queue.resync_at(self.resync);
    }

    fn stop(&mut self) {
        self.running = false;
        self.history.clear();
        self.queue.clear();
        self.sync.abandon();
        self.adopt_edit();
    }

    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.running = true;
        if self.exists {
            self.queue.touch(now);
            self.resync_at(now);
        } else {
            self.resync = Some(now);
            actions.push(Action::Forgotten);
        }
    }

    fn adopt_edit(&mut self) {
        if let Some(spec) = self.edited.take() {
            self.spec = spec;
        }
    }
}
