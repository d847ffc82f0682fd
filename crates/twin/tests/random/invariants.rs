//! What holds in every run, whatever the scenario: a fold over the log.

use model::event::Outcome;
use model::{Event, Fact, Instant, Millis};
use twin::Ended;

use super::Trial;
use super::jobs::Jobs;
use super::pods::Pods;
use super::scale::Scale;

/// How long a run may need beyond what its scenario says: to be put in place, to begin at a phase of KEDA's
/// loop, and to drain (`twin::world::stage`).
const AROUND: Millis = Millis::minutes(5 + 2 + 1);

/// One kind of invariant.
pub(super) trait Invariant {
    /// Takes a fact in.
    fn see(&mut self, event: &Event) -> Result<(), String>;
    /// The log is over.
    fn end(&self, ended: &Ended) -> Result<(), String>;
}

/// Checks a run with its log.
pub(super) fn check(trial: &Trial, ended: &Ended) -> Result<(), String> {
    let mut invariants: [Box<dyn Invariant>; 4] = [
        Box::new(Course::of(trial)),
        Box::new(Jobs::of(trial)),
        Box::new(Pods::of(trial)),
        Box::new(Scale::of(trial)),
    ];
    for event in &ended.events {
        for invariant in &mut invariants {
            invariant
                .see(event)
                .map_err(|broken| format!("at {}: {broken}", event.at.since(Instant::START)))?;
        }
    }
    invariants
        .iter()
        .try_for_each(|invariant| invariant.end(ended).map_err(|broken| format!("at the end: {broken}")))
}

/// The run's own course: times, beginning and end.
struct Course {
    now: Instant,
    latest: Millis,
    number: usize,
    ready: bool,
    draining: bool,
    outcome: Option<Outcome>,
}

impl Course {
    fn of(trial: &Trial) -> Self {
        let grace = Millis::seconds(trial.recipe.grace.into());
        let interval = Millis::seconds(trial.recipe.polling_interval.into());
        let latest = trial.scenario().at_most + AROUND + grace + interval;
        Self { now: Instant::START, latest, number: 0, ready: false, draining: false, outcome: None }
    }
}

impl Invariant for Course {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        self.number += 1;
        if event.at < self.now {
            return Err(format!("time goes back from {}", self.now.since(Instant::START)));
        }
        self.now = event.at;
        if self.outcome.is_some() {
            return Err("something happens after the end".to_owned());
        }
        let begins = matches!(event.fact, Fact::RunStarted(_));
        if begins != (self.number == 1) {
            return Err("a run begins once, and with its beginning".to_owned());
        }
        match &event.fact {
            Fact::RunReady {} if self.ready || self.draining => Err("ready twice, or too late".to_owned()),
            Fact::RunReady {} => {
                self.ready = true;
                Ok(())
            }
            Fact::RunDraining {} if self.draining => Err("drained twice".to_owned()),
            Fact::RunDraining {} => {
                self.draining = true;
                Ok(())
            }
            Fact::RunFinished { outcome, .. } => {
                self.outcome = Some(*outcome);
                Ok(())
            }
            Fact::HarnessFailed { because } => Err(because.clone()),
            _ => Ok(()),
        }
    }

    fn end(&self, ended: &Ended) -> Result<(), String> {
        if self.outcome != Some(ended.outcome) {
            return Err(format!("{:?} in the log, {:?} as the answer", self.outcome, ended.outcome));
        }
        if matches!(ended.outcome, Outcome::Failed | Outcome::Interrupted) {
            return Err(format!("{:?}", ended.outcome));
        }
        if !self.draining {
            return Err("nothing was drained".to_owned());
        }
        if ended.statistics.length > self.latest {
            return Err(format!("a run of {} where {} were enough", ended.statistics.length, self.latest));
        }
        Ok(())
    }
}
