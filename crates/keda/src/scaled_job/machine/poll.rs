//! The loop and its polls (K:pkg/scaling/scale_handler.go, `checkScalers` and `getScaledJobMetrics`;
//! K:pkg/scaling/executor/scale_jobs.go, `RequestJobScale`).

use super::*;
use crate::rules::Ready;
use crate::scaled_job::OperatorPanics;
use crate::scaled_job::combine::combine;
use crate::scaled_job::counts::{Finished, count};
use crate::scaled_job::history::beyond_limit;
use crate::scaled_job::series::Work;
use crate::scaled_job::strategy::jobs_to_create;
use crate::scaler::{self, Outcome};

impl Loop {
    pub(super) fn series(&self) -> Option<&Series> {
        match &self.poll.as_ref()?.stage {
            Stage::Creating(_, series) | Stage::CleaningUp(series, _) => Some(series),
            _ => None,
        }
    }

    pub(super) fn series_mut(&mut self) -> Option<&mut Series> {
        match &mut self.poll.as_mut()?.stage {
            Stage::Creating(_, series) | Stage::CleaningUp(series, _) => Some(series),
            _ => None,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.poll.is_none() { Some(self.next) } else { self.series().and_then(Series::next_deadline) }
    }

    /// The poll, if it stands at a stage like this.
    fn poll_at(&mut self, stage: impl Fn(&Stage) -> bool) -> Option<&mut Poll> {
        self.poll.as_mut().filter(|poll| stage(&poll.stage))
    }
}

impl Machine {
    /// A new loop takes the place of the one there is, which drops the scalers on its way out: most often before
    /// the new loop looks for them, since it wakes first (`HandleScalableObject` and `startScaleLoop`).
    pub(super) fn start_loop(&mut self, interval: Millis, turn: &mut Turn<'_>) {
        if self.polling.is_some() {
            self.drop_loop(turn);
        } else {
            turn.event(Event::ScalersStarted);
        }
        self.polling = Some(Loop { interval, next: turn.now, poll: None });
    }

    /// Ends the loop (`DeleteScalableObject`).
    pub(super) fn stop_loop(&mut self, turn: &mut Turn<'_>) {
        if self.polling.is_some() {
            self.drop_loop(turn);
            turn.event(Event::ScalersStopped);
        }
    }

    fn drop_loop(&mut self, turn: &mut Turn<'_>) {
        let polling = self.polling.take();
        abandon(polling.as_ref().and_then(Loop::series), turn);
        self.scalers.end(turn.now, Task::Poll, turn.actions);
        self.scalers.clear_cache();
    }

    /// Something about the scalers is known.
    pub(super) fn take(&mut self, outcome: Outcome, turn: &mut Turn<'_>) {
        if let Outcome::Obtained { result: Err(error), .. } = &outcome {
            turn.event(Event::ScalerFailed { trigger: None, error: error.clone() });
        }
        match outcome {
            Outcome::Obtained { task: Task::Reconcile, result } => self.obtained(result.is_ok(), turn),
            Outcome::Obtained { task: Task::Poll, result: Ok(cache) } => {
                let polling = self.polling.as_mut();
                let Some(poll) = polling.and_then(|l| l.poll_at(|stage| matches!(stage, Stage::Obtaining)))
                else {
                    return;
                };
                poll.stage = Stage::Reading(cache);
                self.read_trigger(0, turn);
            }
            Outcome::Obtained { task: Task::Poll, result: Err(_) } => self.poll_without_scalers(turn),
            Outcome::Read { task: Task::Poll, trigger, reading } => self.read_done(trigger, reading, turn),
            // ScaledJobs have no HPA.
            Outcome::Obtained { task: Task::Query(_), .. } | Outcome::Read { .. } => {}
        }
    }

    fn begin_poll(&mut self, turn: &mut Turn<'_>) {
        let Some(polling) = &mut self.polling else { return };
        polling.next = turn.now + polling.interval;
        let revision = Arc::clone(&self.revision);
        let readings = Vec::with_capacity(revision.triggers.len());
        polling.poll =
            Some(Poll { revision, stage: Stage::Obtaining, readings, failed: false, active: false });
        self.scalers.obtain(turn.now, Task::Poll, turn.actions);
    }

    fn poll_without_scalers(&mut self, turn: &mut Turn<'_>) {
        let Some(polling) = &mut self.polling else { return };
        if !self.operator.rules.scaled_job.polls_without_scalers {
            polling.poll = None;
        } else if let Some(poll) = &mut polling.poll {
            poll.failed = true;
            self.count_jobs(turn);
        }
    }

    /// Reads this trigger; after the last one Jobs are counted.
    fn read_trigger(&mut self, trigger: usize, turn: &mut Turn<'_>) {
        let Some(poll) = self.polling.as_ref().and_then(|polling| polling.poll.as_ref()) else { return };
        match poll.stage {
            Stage::Reading(cache) if trigger < poll.revision.triggers.len() => {
                self.scalers.read(turn.now, Task::Poll, cache, trigger, turn.actions);
            }
            _ => self.count_jobs(turn),
        }
    }

    /// A trigger was read. One that failed, or whose scalers were closed meanwhile, has no part in the poll.
    fn read_done(&mut self, trigger: usize, reading: scaler::Reading, turn: &mut Turn<'_>) {
        let polling = self.polling.as_mut();
        let Some(poll) = polling.and_then(|l| l.poll_at(|stage| matches!(stage, Stage::Reading(_)))) else {
            return;
        };
        match reading {
            scaler::Reading::Count(count) => {
                if let Some(Ok(settings)) = poll.revision.triggers.get(trigger) {
                    poll.readings.push(reading_of(count, settings));
                }
            }
            scaler::Reading::Failed(error) => {
                poll.failed = true;
                turn.event(Event::ScalerFailed { trigger: Some(trigger), error });
            }
            scaler::Reading::Closed => {}
        }
        self.read_trigger(trigger + 1, turn);
    }

    fn count_jobs(&mut self, turn: &mut Turn<'_>) {
        let Some(poll) = self.polling.as_mut().and_then(|polling| polling.poll.as_mut()) else { return };
        if let Err(panic) = poll.revision.settings.bounds {
            return self.panic(panic, turn);
        }
        poll.stage = Stage::Counting;
        turn.actions.push(Action::LookAtJobs);
    }

    fn panic(&mut self, panic: OperatorPanics, turn: &mut Turn<'_>) {
        self.stop(turn);
        turn.actions.push(Action::Panic(panic));
    }

    /// The Jobs are known.
    pub(super) fn see_jobs(&mut self, jobs: &[JobView<'_>], turn: &mut Turn<'_>) {
        match self.polling.as_ref().and_then(|polling| polling.poll.as_ref()).map(|poll| &poll.stage) {
            Some(Stage::Counting) => self.decide(jobs, turn),
            Some(Stage::Looking) => self.clean_up(jobs, turn),
            _ => {}
        }
    }

    fn decide(&mut self, jobs: &[JobView<'_>], turn: &mut Turn<'_>) {
        let Some(poll) = self.polling.as_mut().and_then(|polling| polling.poll.as_mut()) else { return };
        let (rules, settings) = (&self.operator.rules.scaled_job, &poll.revision.settings);
        let created = settings.bounds.and_then(|bounds| {
            let asked = combine(settings.calculation, bounds, &poll.readings);
            poll.active = asked.active;
            let counts = count(rules, &settings.pending, jobs);
            jobs_to_create(rules, settings.strategy, bounds, asked, counts)
        });
        match created {
            Err(panic) => self.panic(panic, turn),
            Ok(created) => {
                turn.actions.push(Action::Decided(created));
                let latest = self.operator.series_ends(turn.now, settings.polling_interval);
                poll.stage =
                    Stage::Creating(created.number, Series::new(Work::Create(created.number), latest));
            }
        }
    }

    /// Does whatever the loop can do now. Whether it did anything that others may wait for.
    pub(super) fn go_on_polling(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(polling) = &mut self.polling else { return false };
        let Some(poll) = &mut polling.poll else {
            let due = polling.next <= turn.now;
            if due {
                self.begin_poll(turn);
            }
            return due;
        };
        let (Stage::Creating(_, series) | Stage::CleaningUp(series, _)) = &mut poll.stage else {
            return false;
        };
        Self::send(&mut self.calls, series, &poll.revision, false, turn);
        if !series.is_over() {
            return false;
        }
        let failed = series.failed;
        match &mut poll.stage {
            Stage::Creating(wanted, series) => {
                let (wanted, succeeded) = (*wanted, series.succeeded);
                poll.stage = Stage::Looking;
                self.tell_of_creations(wanted, succeeded, failed, turn);
                self.judge(failed > 0, turn);
                turn.actions.push(Action::LookAtJobs);
            }
            Stage::CleaningUp(series, then) => {
                if failed > 0 || then.is_empty() {
                    polling.poll = None;
                } else {
                    let latest = self.operator.series_ends(turn.now, poll.revision.settings.polling_interval);
                    *series = Series::new(Work::Delete(std::mem::take(then)), latest);
                }
            }
            _ => {}
        }
        true
    }

    fn tell_of_creations(&mut self, wanted: u64, succeeded: u64, failed: u64, turn: &mut Turn<'_>) {
        let rules = &self.operator.rules.scaled_job;
        if failed > 0 && rules.activity_events {
            turn.event(Event::JobCreateFailed { number: failed });
        }
        let number = if rules.series_limit { succeeded } else { wanted };
        if number > 0 {
            turn.event(Event::JobsCreated { number });
        }
    }

    /// The conditions after a poll.
    fn judge(&mut self, creation_failed: bool, turn: &mut Turn<'_>) {
        let Some(poll) = self.polling.as_ref().and_then(|polling| polling.poll.as_ref()) else { return };
        let (failed, active) = (poll.failed, poll.active);
        let rules = &self.operator.rules.scaled_job;
        let some = if active || !rules.all_failed_is_false {
            (Status::Unknown, "PartialTriggerError")
        } else {
            (Status::False, "TriggerError")
        };
        let ready = self.condition(Condition::Ready);
        let told = match rules.ready {
            Ready::EveryPoll if creation_failed && rules.series_limit => {
                Some((Status::False, "KEDAJobCreateFailed"))
            }
            Ready::EveryPoll => Some(if failed { some } else { (Status::True, "ScaledJobReady") }),
            // Only the status is compared: the reason of another False or Unknown stays.
            Ready::WhenWrong if failed => {
                Some(some).filter(|(status, _)| rules.ready_tells_errors && *status != ready)
            }
            Ready::WhenWrong if rules.ready_recovers && ready != Status::True => {
                Some((Status::True, "ScaledJobReady"))
            }
            Ready::WhenWrong => None,
        };
        if let Some((status, reason)) = told {
            self.set(Condition::Ready, status, reason, turn);
        }
        self.judge_activity(active, turn);
    }

    fn judge_activity(&mut self, active: bool, turn: &mut Turn<'_>) {
        let rules = &self.operator.rules.scaled_job;
        let before = self.condition(Condition::Active);
        // From 2.20 on it must have been active to become inactive.
        let ended = match rules.ready {
            Ready::EveryPoll => before == Status::True,
            Ready::WhenWrong => before != Status::False,
        };
        let told = rules.activity_events;
        if active {
            if told && before != Status::True {
                turn.event(Event::Active);
            }
            self.set(Condition::Active, Status::True, "ScalerActive", turn);
        } else {
            if told && ended {
                turn.event(Event::Inactive);
            }
            self.set(Condition::Active, Status::False, "ScalerNotActive", turn);
        }
    }

    /// Finished Jobs beyond the limits go; failed ones only if all complete ones went.
    fn clean_up(&mut self, jobs: &[JobView<'_>], turn: &mut Turn<'_>) {
        let Some(poll) = self.polling.as_mut().and_then(|polling| polling.poll.as_mut()) else { return };
        let settings = &poll.revision.settings;
        let mut beyond = |kind, limit| -> VecDeque<Box<str>> {
            let places = beyond_limit(jobs, kind, limit, &mut self.random);
            places.into_iter().map(|place| jobs[place].name.into()).collect()
        };
        let complete = beyond(Finished::Complete, settings.history.successful);
        let failed = beyond(Finished::Failed, settings.history.failed);
        let latest = self.operator.series_ends(turn.now, settings.polling_interval);
        poll.stage = Stage::CleaningUp(Series::new(Work::Delete(complete), latest), failed);
    }
}

impl Operator {
    /// When a series of requests that begins now is given up.
    fn series_ends(&self, now: Instant, interval: Millis) -> Option<Instant> {
        self.rules.scaled_job.series_limit.then(|| now + interval + self.api_timeout)
    }
}

/// A count as a trigger's reading (K:pkg/scalers/azure_pipelines_scaler.go, `GetMetricsAndActivity`).
#[expect(clippy::cast_precision_loss, reason = "counts and targets stay far below 2^53")]
fn reading_of(count: u64, settings: &scaler::AzurePipelines) -> Reading {
    Reading {
        queue: count as f64,
        target: settings.target as f64,
        active: i128::from(count) > i128::from(settings.activation_target),
    }
}
