//! Reconciles: pause, rollout, scalers, and a new loop
//! (K:controllers/keda/scaledjob_controller.go, `reconcileScaledJob`).

use super::*;
use crate::scaled_job::action::CheckFailure;
use crate::scaled_job::history::rolled_out;
use crate::scaled_job::object::Rollout;
use crate::scaled_job::series::Work;
use crate::scaled_object::back_off;

/// From the end of an object's first reconcile to its second one: a few writes of status. An assumption.
///
/// The first reconcile writes the finalizer with an update of the whole object (K:controllers/keda/scaledjob_finalizer.go,
/// `ensureFinalizer`). In Go's types, members that no manifest has are written too, `scalingStrategy: {}` among them. So
/// the specification has changed, its generation grows, and the controller reconciles once more, which restarts the
/// loop: a new ScaledJob is polled twice in short order. Runs with KEDA 2.21.0 show just that.
pub const SECOND_RECONCILE: Millis = Millis(50);

impl Reconcile {
    pub(super) fn series(&self) -> Option<&Series> {
        if let Self::RollingOut(_, series) = self { Some(series) } else { None }
    }

    pub(super) fn series_mut(&mut self) -> Option<&mut Series> {
        if let Self::RollingOut(_, series) = self { Some(series) } else { None }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.series().and_then(Series::next_deadline)
    }
}

impl Machine {
    fn try_again_at(&mut self, at: Instant) {
        self.retry = Some(self.retry.map_or(at, |earlier| earlier.min(at)));
    }

    /// Begins a reconcile, now or after the one that is under way.
    pub(super) fn ask_for_reconcile(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.reconcile, Reconcile::Idle) {
            self.begin_reconcile(turn);
        } else {
            self.again = true;
        }
    }

    pub(super) fn begin_reconcile(&mut self, turn: &mut Turn<'_>) {
        self.again = false;
        if !self.operator.rules.scaled_job.retries_stay {
            self.retry = None;
        }
        let revision = Arc::clone(&self.revision);
        let told = self.operator.rules.scaled_job.activity_events;
        let paused = self.condition(Condition::Paused) == Status::True;
        if revision.settings.paused {
            if !paused {
                self.set(Condition::Paused, Status::True, "ScaledJobPaused", turn);
                if told {
                    turn.event(Event::Paused);
                }
            }
            self.stop_loop(turn);
            self.reconcile = Reconcile::Idle;
            return self.end_reconcile(Ok(()), turn);
        }
        if paused {
            self.set(Condition::Paused, Status::False, "ScaledJobUnpaused", turn);
            if told {
                turn.event(Event::Unpaused);
            }
        }
        match revision.settings.rollout {
            Rollout::Gradual => self.obtain_scalers(revision, turn),
            Rollout::Immediate { .. } => {
                self.reconcile = Reconcile::Looking(revision);
                turn.actions.push(Action::LookAtJobs);
            }
        }
    }

    /// The Jobs are known: those of earlier generations go.
    pub(super) fn roll_out(&mut self, jobs: &[JobView<'_>], turn: &mut Turn<'_>) {
        let Reconcile::Looking(revision) = &self.reconcile else { return };
        let revision = Arc::clone(revision);
        let (rules, generation) = (&self.operator.rules.scaled_job, revision.source.generation);
        let old = jobs.iter().filter(|job| rolled_out(rules, generation, job));
        let names: VecDeque<Box<str>> = old.map(|job| job.name.into()).collect();
        if names.is_empty() {
            return self.obtain_scalers(revision, turn);
        }
        if rules.activity_events {
            let number = u64::try_from(names.len()).unwrap_or(u64::MAX);
            turn.event(Event::RolloutStarted { number });
        }
        self.reconcile = Reconcile::RollingOut(revision, Series::new(Work::Delete(names), None));
    }

    /// Does whatever the reconcile can do now. Whether it did anything that others may wait for.
    pub(super) fn go_on_reconciling(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.retry.is_some_and(|at| at <= turn.now) {
            self.retry = None;
            self.ask_for_reconcile(turn);
            return true;
        }
        match &mut self.reconcile {
            Reconcile::RollingOut(revision, series) => {
                let foreground = matches!(revision.settings.rollout, Rollout::Immediate { foreground: true });
                Self::send(&mut self.calls, series, revision, foreground, turn);
                if !series.is_over() {
                    return false;
                }
                let (failed, revision) = (series.failed > 0, Arc::clone(revision));
                let told = self.operator.rules.scaled_job.activity_events;
                if told {
                    let number = series.succeeded;
                    turn.event(if failed {
                        Event::RolloutFailed
                    } else {
                        Event::RolloutCompleted { number }
                    });
                }
                if failed {
                    self.end_reconcile(Err(CheckFailure::Deletion), turn);
                } else {
                    self.obtain_scalers(revision, turn);
                }
                true
            }
            _ => false,
        }
    }

    fn obtain_scalers(&mut self, revision: Arc<Revision>, turn: &mut Turn<'_>) {
        self.reconcile = Reconcile::Obtaining(revision);
        self.scalers.obtain(turn.now, Task::Reconcile, turn.actions);
    }

    /// The reconcile has its scalers, or they cannot be made.
    pub(super) fn obtained(&mut self, succeeded: bool, turn: &mut Turn<'_>) {
        let Reconcile::Obtaining(revision) = &self.reconcile else { return };
        let result = if !succeeded {
            Err(CheckFailure::Scalers)
        } else if revision.settings.metric_type {
            Err(CheckFailure::MetricType)
        } else {
            let interval = revision.settings.polling_interval;
            self.start_loop(interval, turn);
            Ok(())
        };
        self.end_reconcile(result, turn);
    }

    fn end_reconcile(&mut self, result: Result<(), CheckFailure>, turn: &mut Turn<'_>) {
        self.reconcile = Reconcile::Idle;
        match result {
            Ok(()) => {
                self.failures = 0;
                if self.condition(Condition::Ready) != Status::True {
                    turn.event(Event::Ready);
                }
                self.set(Condition::Ready, Status::True, "ScaledJobReady", turn);
            }
            Err(failure) => {
                let retry = turn.now + back_off(self.failures);
                self.failures = self.failures.saturating_add(1);
                self.set(Condition::Ready, Status::False, "ScaledJobCheckFailed", turn);
                self.set(Condition::Active, Status::Unknown, "UnknownState", turn);
                turn.event(Event::CheckFailed(failure));
                self.try_again_at(retry);
            }
        }
        if !self.finalized {
            self.finalized = true;
            self.try_again_at(turn.now + SECOND_RECONCILE);
        }
        if self.again {
            self.begin_reconcile(turn);
        }
    }
}
