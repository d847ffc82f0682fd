//! One sync: read the scale, read each metric after the other, decide, write, tell the status.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`, `reconcileAutoscaler`.

use model::Instant;

use crate::desired::{Answer, Because, Desired, View, decide, unread};
use crate::hpa::{Action, Hpa, Written};
use crate::normalise::longest_period;
use crate::propose::{Tolerances, propose};
use crate::rules::RETRY_PAUSE;
use crate::status::{Condition, Conditions, Reason};

/// How far a sync is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Step {
    /// There is none.
    #[default]
    None,
    /// A metric is being read.
    Reading { metric: usize },
    /// The scale is being written.
    Writing(Attempt),
    /// A write met a conflict and will be tried again.
    Pausing { attempt: Attempt, until: Instant },
}

/// A write of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attempt {
    /// How many were tried, this one included.
    number: u8,
    /// When the workload was read for it.
    read_at: Instant,
}

/// The sync under way, or the last one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sync {
    number: u32,
    step: Step,
    began: Instant,
    /// The scale as it was read at the beginning.
    view: View,
    /// The object was changed since the sync began: its status cannot be written, that is a conflict
    /// which is not tried again. Source: `updateStatus`.
    object_changed: bool,
}

impl Sync {
    pub(super) fn is_under_way(&self) -> bool {
        self.step != Step::None
    }

    pub(super) fn pause_ends(&self) -> Option<Instant> {
        match self.step {
            Step::Pausing { until, .. } => Some(until),
            _ => None,
        }
    }

    pub(super) fn object_changed(&mut self) {
        self.object_changed = true;
    }

    pub(super) fn abandon(&mut self) {
        self.step = Step::None;
    }
}

/// What a sync tells the status besides its conditions.
#[derive(Clone, Copy)]
struct Outcome {
    /// `desiredReplicas`, if that changes.
    desired: Option<i32>,
    /// Whether the scale was written.
    rescaled: bool,
}

impl Outcome {
    const UNCHANGED: Self = Self { desired: None, rescaled: false };
}

impl Hpa {
    /// The key's turn in the queue has come.
    pub(super) fn begin(&mut self, now: Instant, view: Option<&View>, actions: &mut Vec<Action>) {
        self.queue.begin(now);
        self.proposals.clear();
        if !self.exists {
            self.history.clear();
            self.queue.drop_key();
            if self.queue.is_empty() {
                actions.push(Action::Forgotten);
            }
            return;
        }
        self.sync = Sync {
            number: self.sync.number.wrapping_add(1),
            began: now,
            view: view.copied().unwrap_or_default(),
            ..Sync::default()
        };
        let Some(view) = view else { return self.no_scale(now, actions) };
        self.history.first_seen(now, view.spec_replicas);
        match unread(&self.spec, view.spec_replicas) {
            Some(desired) => self.decided(now, desired, actions),
            None if self.spec.metrics.is_empty() => self.decide(now, actions),
            None => self.read(0, actions),
        }
    }

    fn read(&mut self, metric: usize, actions: &mut Vec<Action>) {
        self.sync.step = Step::Reading { metric };
        actions.push(Action::Read { sync: self.sync.number, metric });
    }

    pub(super) fn answered(
        &mut self,
        now: Instant,
        sync: u32,
        answer: Answer,
        view: Option<&View>,
        actions: &mut Vec<Action>,
    ) {
        let Step::Reading { metric } = self.sync.step else { return };
        if sync != self.sync.number {
            return;
        }
        let Some(target) = self.spec.metrics.get(metric).map(|metric| metric.target) else { return };
        // The scale is as it was read, the pods are as they are now.
        let scale = self.sync.view;
        let pods = view.unwrap_or(&scale);
        let view = View { pods: pods.pods, ready: pods.ready, ..scale };
        let tolerances = Tolerances::of(&self.rules, self.spec.behavior.as_ref());
        self.proposals.push(answer.and_then(|milli| propose(tolerances, target, &view, milli)));
        if self.proposals.len() < self.spec.metrics.len() {
            self.read(metric + 1, actions);
        } else {
            self.decide(now, actions);
        }
    }

    fn decide(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let current = self.sync.view.spec_replicas;
        let proposals = self.proposals.iter().copied();
        let desired = decide(&self.spec, &mut self.history, now, current, proposals);
        self.decided(now, desired, actions);
    }

    fn decided(&mut self, now: Instant, desired: Desired, actions: &mut Vec<Action>) {
        self.last = Some(desired);
        if desired.replicas != self.sync.view.spec_replicas {
            return self.write(desired, Attempt { number: 1, read_at: self.sync.began }, actions);
        }
        let failed = matches!(desired.because, Because::Unread { .. });
        let outcome = Outcome { desired: (!failed).then_some(desired.replicas), rescaled: false };
        self.finish(now, desired.conditions, outcome, actions);
    }

    fn write(&mut self, desired: Desired, attempt: Attempt, actions: &mut Vec<Action>) {
        self.sync.step = Step::Writing(attempt);
        actions.push(Action::Write {
            sync: self.sync.number,
            replicas: desired.replicas,
            because: desired.because,
            read_at: attempt.read_at,
        });
    }

    /// The pause after a conflict is over: the very same number is written.
    pub(super) fn write_again(&mut self, actions: &mut Vec<Action>) {
        if let (Step::Pausing { attempt, .. }, Some(desired)) = (self.sync.step, self.last) {
            self.write(desired, attempt, actions);
        }
    }

    pub(super) fn written(&mut self, now: Instant, sync: u32, outcome: Written, actions: &mut Vec<Action>) {
        let (Step::Writing(attempt), Some(desired)) = (self.sync.step, self.last) else { return };
        if sync != self.sync.number {
            return;
        }
        match outcome {
            Written::Done => self.scaled(now, desired, actions),
            Written::Conflict if attempt.number < self.rules.write_tries => {
                // The workload is read again at once, and written after the pause.
                let attempt = Attempt { number: attempt.number + 1, read_at: now };
                self.sync.step = Step::Pausing { attempt, until: now + RETRY_PAUSE };
            }
            Written::Conflict | Written::Failed => {
                let able_to_scale = Some(Condition::no(Reason::FailedUpdateScale));
                let conditions = Conditions { able_to_scale, ..desired.conditions };
                self.finish(now, conditions, Outcome::UNCHANGED, actions);
            }
        }
    }

    fn scaled(&mut self, now: Instant, desired: Desired, actions: &mut Vec<Action>) {
        let (from, to) = (self.sync.view.spec_replicas, desired.replicas);
        if let Some(behavior) = &self.spec.behavior {
            self.history.scaled(now, from, to, longest_period(behavior, from, to));
        }
        let able_to_scale = Some(Condition::yes(Reason::SucceededRescale { replicas: to }));
        let conditions = Conditions { able_to_scale, ..desired.conditions };
        self.finish(now, conditions, Outcome { desired: Some(to), rescaled: true }, actions);
    }

    /// There is no workload to read the scale of.
    fn no_scale(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let before = self.status.conditions;
        self.status.conditions.able_to_scale = Some(Condition::no(Reason::FailedGetScale));
        self.close(now, self.status.conditions != before, actions);
    }

    /// Tells the status, if that changes. Source: `setStatus`, `updateStatusIfNeeded`.
    fn finish(&mut self, now: Instant, conditions: Conditions, outcome: Outcome, actions: &mut Vec<Action>) {
        if self.sync.object_changed {
            return self.close(now, false, actions);
        }
        let status = &mut self.status;
        let mut all = status.conditions;
        all.overlay(conditions);
        let current = self.sync.view.spec_replicas;
        let desired = outcome.desired.unwrap_or(status.desired);
        let metrics = || self.proposals.iter().map(|proposal| proposal.map(|proposal| proposal.shown));
        let same_metrics = status.metrics.iter().copied().eq(metrics());
        let same = same_metrics
            && !outcome.rescaled
            && (status.current, status.desired, status.conditions) == (current, desired, all);
        if !same_metrics {
            status.metrics.clear();
            status.metrics.extend(metrics());
        }
        (status.current, status.desired, status.conditions) = (current, desired, all);
        if outcome.rescaled {
            status.last_scale = Some(now);
        }
        self.close(now, !same, actions);
    }

    fn close(&mut self, now: Instant, changed: bool, actions: &mut Vec<Action>) {
        self.sync.step = Step::None;
        self.adopt_edit();
        if changed {
            actions.push(Action::Status);
        }
        self.queue.end(now + self.finishing);
    }
}
