//! The machine: one ScaledJob in the hands of KEDA's operator.
//!
//! The controller reconciles the object whenever its specification or its pause annotation changed, and when
//! the operator starts (K:controllers/keda/scaledjob_controller.go); a reconcile that succeeds starts the loop anew.
//! The loop polls at once and then every `pollingInterval` (K:pkg/scaling/scale_handler.go, `startScaleLoop`).
//!
//! The machine is told what happens with [`Machine::handle`] and woken with [`Machine::advance`] at
//! [`Machine::next_deadline`]. Simplifications: writes of status and events take no time, and
//! the scalers that a new loop may build beside its first poll, for triggers that push, are not built.

mod poll;
mod reconcile;
#[cfg(test)]
mod tests;

pub use reconcile::SECOND_RECONCILE;

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Instant, Millis};
use rand_chacha::ChaCha8Rng;
use semver::Version;

use super::action::{Action, ApiCall, Condition, Event, Status};
use super::client::ClientBucket;
use super::combine::Reading;
use super::counts::JobView;
use super::object::{Revision, Source};
use super::series::{Series, Want};
use crate::rules::{JobPaused, Rules};
use crate::scaler::{Answer, CacheKey, CallId, Scalers, Task};

/// An operator's process: which KEDA it is, and how it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its version, which Jobs are labelled with.
    pub version: Version,
    /// The rules of that version.
    pub rules: &'static Rules,
    /// `KEDA_HTTP_DEFAULT_TIMEOUT`.
    pub http_timeout: Millis,
    /// `KEDA_KUBERNETES_API_TIMEOUT`, which 2.21 adds to P to limit a series of creations or deletions.
    pub api_timeout: Millis,
}

/// What the machine is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    /// The operator's process has come to the object: it was started, or the object was created while it ran.
    OperatorStarted(Operator),
    /// The operator's process has ended, and with it whatever it was about to do.
    OperatorStopped,
    /// The object was changed.
    Edited(Source),
    /// The object was deleted. Its Jobs are the garbage collector's.
    Deleted,
    /// Azure DevOps has answered [`Action::Request`].
    Answered {
        /// The request's number.
        call: CallId,
        /// What came back.
        answer: Answer,
    },
    /// The API has answered [`Action::CreateJob`] or [`Action::DeleteJob`].
    Done {
        /// Which request.
        call: ApiCall,
        /// Whether it was done.
        succeeded: bool,
    },
    /// The answer to [`Action::LookAtJobs`]: the ScaledJob's Jobs in the operator's informer cache, at least those
    /// that [`Machine::wanted_jobs`] says.
    Jobs(&'a [JobView<'a>]),
}

/// Which Jobs matter for what the machine does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedJobs {
    /// All.
    All,
    /// Those that are neither complete nor failed.
    Unfinished,
    /// Those that are.
    Finished,
}

/// One ScaledJob in the hands of KEDA's operator.
#[derive(Debug, Clone)]
pub struct Machine {
    operator: Operator,
    /// Whether the operator's process runs.
    runs: bool,
    deleted: bool,
    /// Whether it has KEDA's finalizer, which its first reconcile writes.
    finalized: bool,
    revision: Arc<Revision>,
    scalers: Scalers,
    /// Each condition as the API has it, with its reason.
    conditions: [(Status, &'static str); 3],
    random: ChaCha8Rng,
    calls: u64,
    reconcile: Reconcile,
    /// When a reconcile that failed is tried again.
    retry: Option<Instant>,
    /// Reconciles that failed in a row.
    failures: u32,
    /// Whether the object was changed while it was being reconciled.
    again: bool,
    polling: Option<Loop>,
}

/// Where the reconcile stands.
#[derive(Debug, Clone)]
enum Reconcile {
    Idle,
    /// It wants to know the Jobs of earlier generations.
    Looking(Arc<Revision>),
    /// It deletes them.
    RollingOut(Arc<Revision>, Series),
    /// It makes the scalers.
    Obtaining(Arc<Revision>),
}

/// The loop.
#[derive(Debug, Clone)]
struct Loop {
    /// The polling interval when it was started; later ones do not matter.
    interval: Millis,
    /// When the next poll is due.
    next: Instant,
    poll: Option<Poll>,
}

/// A poll.
#[derive(Debug, Clone)]
struct Poll {
    /// The object as it was when the poll began.
    revision: Arc<Revision>,
    stage: Stage,
    readings: Vec<Reading>,
    /// Whether a trigger, or all of them, could not be read.
    failed: bool,
    active: bool,
}

#[derive(Debug, Clone)]
enum Stage {
    /// It needs the scalers.
    Obtaining,
    /// It reads the triggers, one after the other.
    Reading(CacheKey),
    /// It wants to count Jobs.
    Counting,
    /// It creates so many Jobs.
    Creating(u64, Series),
    /// It wants to know which Jobs are finished.
    Looking,
    /// It deletes finished Jobs, and then these.
    CleaningUp(Series, VecDeque<Box<str>>),
}

/// One call of the machine: the time, the client and the caller's list.
struct Turn<'a> {
    now: Instant,
    client: &'a mut ClientBucket,
    actions: &'a mut Vec<Action>,
}

impl Turn<'_> {
    fn event(&mut self, event: Event) {
        self.actions.push(Action::Event(event));
    }
}

impl Machine {
    /// The object, which no operator has seen yet: nothing happens until [`Input::OperatorStarted`].
    ///
    /// `random` says which of several equal Jobs leave the history.
    #[must_use]
    pub fn new(operator: Operator, source: Source, random: ChaCha8Rng) -> Self {
        let generation = source.generation;
        let revision = Arc::new(Revision::of(operator.rules, &operator.version, source));
        let triggers = Arc::clone(&revision.triggers);
        Self {
            scalers: Scalers::new(operator.rules, operator.http_timeout, triggers, generation),
            operator,
            runs: false,
            deleted: false,
            finalized: false,
            revision,
            conditions: [(Status::Unknown, ""); 3],
            random,
            calls: 0,
            reconcile: Reconcile::Idle,
            retry: None,
            failures: 0,
            again: false,
            polling: None,
        }
    }

    /// The object as the operator's version understands it.
    #[must_use]
    pub fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    /// The scalers, to count rows for the answer to a request.
    #[must_use]
    pub fn scalers(&self) -> &Scalers {
        &self.scalers
    }

    /// The status of a condition.
    #[must_use]
    pub fn condition(&self, condition: Condition) -> Status {
        self.conditions[condition.place()].0
    }

    /// Puts the next poll at `at`, to follow a real operator's phase. From there on the cadence is its own again.
    pub fn align(&mut self, at: Instant) {
        if let Some(polling) = &mut self.polling {
            polling.next = at;
        }
    }

    /// Whether the loop runs.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        self.polling.is_some()
    }

    /// Which Jobs an [`Input::Jobs`] has to show now: it counts the unfinished ones, and deletes finished ones.
    #[must_use]
    pub fn wanted_jobs(&self) -> WantedJobs {
        let stage = self.polling.as_ref().and_then(|polling| polling.poll.as_ref()).map(|poll| &poll.stage);
        match (&self.reconcile, stage) {
            (Reconcile::Looking(_), _) => WantedJobs::All,
            (_, Some(Stage::Counting)) => WantedJobs::Unfinished,
            (_, Some(Stage::Looking)) => WantedJobs::Finished,
            _ => WantedJobs::All,
        }
    }

    /// Something happened. What comes too late is passed over.
    pub fn handle(
        &mut self,
        now: Instant,
        input: Input<'_>,
        client: &mut ClientBucket,
        actions: &mut Vec<Action>,
    ) {
        let turn = &mut Turn { now, client, actions };
        match input {
            _ if self.deleted => {}
            Input::OperatorStarted(operator) => self.start(operator, turn),
            Input::OperatorStopped => self.stop(turn),
            Input::Deleted => {
                self.deleted = true;
                self.stop(turn);
            }
            Input::Edited(source) => self.edit(source, turn),
            Input::Answered { call, answer } => self.scalers.answer(now, call, answer, turn.actions),
            Input::Done { call, succeeded } => {
                let series = [self.reconcile.series_mut(), self.polling.as_mut().and_then(Loop::series_mut)];
                for series in series.into_iter().flatten() {
                    series.answered(call.0, succeeded);
                }
            }
            Input::Jobs(jobs) => {
                self.roll_out(jobs, turn);
                self.see_jobs(jobs, turn);
            }
        }
        self.go_on(turn);
    }

    /// When the machine wants to be woken with [`Self::advance`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let polling = self.polling.as_ref().and_then(Loop::next_deadline);
        [self.scalers.next_deadline(), self.retry, self.reconcile.next_deadline(), polling]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Instant, client: &mut ClientBucket, actions: &mut Vec<Action>) {
        let turn = &mut Turn { now, client, actions };
        self.scalers.advance(now, turn.actions);
        self.go_on(turn);
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, turn: &mut Turn<'_>) {
        loop {
            while let Some(outcome) = self.scalers.next_outcome() {
                self.take(outcome, turn);
            }
            if !(self.go_on_reconciling(turn) || self.go_on_polling(turn)) {
                return;
            }
        }
    }

    fn start(&mut self, operator: Operator, turn: &mut Turn<'_>) {
        self.stop(turn);
        self.scalers.restart(operator.rules, turn.actions);
        self.operator = operator;
        self.runs = true;
        self.read(self.revision.source.clone());
        self.begin_reconcile(turn);
    }

    /// The process is gone, or has nothing to do with the object any more.
    fn stop(&mut self, turn: &mut Turn<'_>) {
        self.runs = false;
        self.scalers.restart(self.operator.rules, turn.actions);
        let polling = self.polling.take();
        let reconcile = std::mem::replace(&mut self.reconcile, Reconcile::Idle);
        abandon(reconcile.series(), turn);
        abandon(polling.as_ref().and_then(Loop::series), turn);
        self.retry = None;
        self.failures = 0;
        self.again = false;
    }

    /// Edits that change neither the specification nor the pause are taken up by the next poll
    /// (`SetupWithManager`; K:controllers/keda/util/predicate.go, `PausedPredicate`).
    fn edit(&mut self, source: Source, turn: &mut Turn<'_>) {
        let before = Arc::clone(&self.revision);
        self.read(source);
        let pauses = self.operator.rules.scaled_job.paused != JobPaused::Unknown;
        let changed = before.source.generation != self.revision.source.generation
            || (pauses && before.pause() != self.revision.pause());
        if self.runs && changed {
            self.ask_for_reconcile(turn);
        }
    }

    fn read(&mut self, source: Source) {
        let generation = source.generation;
        self.revision = Arc::new(Revision::of(self.operator.rules, &self.operator.version, source));
        self.scalers.change(Arc::clone(&self.revision.triggers), generation);
    }

    fn set(&mut self, condition: Condition, status: Status, reason: &'static str, turn: &mut Turn<'_>) {
        let known = &mut self.conditions[condition.place()];
        if *known != (status, reason) {
            *known = (status, reason);
            turn.actions.push(Action::Condition { condition, status, reason });
        }
    }

    /// Sends what a series may send now.
    fn send(
        calls: &mut u64,
        series: &mut Series,
        revision: &Arc<Revision>,
        foreground: bool,
        turn: &mut Turn<'_>,
    ) {
        while let Some(want) = series.next(turn.now, turn.client, *calls + 1) {
            let call = ApiCall(*calls + 1);
            turn.actions.push(match want {
                Want::Abandon(call) => Action::AbandonApi { call: ApiCall(call) },
                Want::Create => {
                    *calls += 1;
                    Action::CreateJob { call, revision: Arc::clone(revision) }
                }
                Want::Delete(name) => {
                    *calls += 1;
                    Action::DeleteJob { call, name, foreground }
                }
            });
        }
    }
}

fn abandon(series: Option<&Series>, turn: &mut Turn<'_>) {
    if let Some(call) = series.and_then(Series::under_way) {
        turn.actions.push(Action::AbandonApi { call: ApiCall(call) });
    }
}

impl Condition {
    fn place(self) -> usize {
        match self {
            Self::Ready => 0,
            Self::Active => 1,
            Self::Paused => 2,
        }
    }
}
