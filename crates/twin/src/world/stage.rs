//! Where a run stands: being put in place, under load, settled or not, draining.
//!
//! The same course as a real run's (`runner::run`): what is waited for is what a
//! watcher of the log could see.

use azure_devops::{BuildCall, Call, Reply};
use controllers::Propagation;
use model::event::Outcome;
use model::scenario::Until;
use model::stream::stream;
use model::{Fact, Instant, Millis, MillisRange};

use super::{Task, World};
use crate::node::Occupation;

/// How long KEDA, the workload and the first agents may take to be in place.
pub const IN_PLACE_LIMIT: Millis = Millis::minutes(5);
/// How long a run must be settled before it is over: two syncs of the HPA, which could still move.
pub const SETTLED_FOR: Millis = Millis::seconds(30);
/// How much longer than their grace period pods may take to drain.
pub const DRAIN_SLACK: Millis = Millis::minutes(2);

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Everything was applied.
    Starting,
    /// Everything is in place; the load begins once the loops' phase is what chance wants it to be.
    InPlace,
    /// Builds are still to be queued.
    Loading,
    /// All builds are queued; nothing is left to wait for but the end.
    Settling {
        /// Since when nothing was left to do.
        calm_since: Option<Instant>,
    },
    /// The workload is being taken away.
    Draining,
}

/// What a [`Task::Stage`] is about. One that comes when the run has moved on does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    InPlaceLimit = 0,
    Ready = 1,
    Duration = 2,
    Limit = 3,
    Calm = 4,
    DrainLimit = 5,
}

impl World<'_> {
    /// Whether the load has begun and nothing is taken away yet: only then there are faults.
    pub(super) fn is_under_load(&self) -> bool {
        matches!(self.stage, Stage::Loading | Stage::Settling { .. })
    }

    pub(super) fn start_stages(&mut self) {
        self.due(IN_PLACE_LIMIT, Due::InPlaceLimit);
    }

    fn due(&mut self, after: Millis, due: Due) {
        self.queue.push(self.now + after, Task::Stage(due as u32));
    }

    /// Looks whether what is waited for has come.
    pub(super) fn look_at_stage(&mut self) {
        match self.stage {
            Stage::Starting if self.is_in_place() => {
                self.stage = Stage::InPlace;
                let after = self.phase();
                self.due(after, Due::Ready);
            }
            Stage::Settling { calm_since } if self.request.scenario.until == Until::Settled => {
                match (calm_since, self.is_settled()) {
                    (None, true) => {
                        self.stage = Stage::Settling { calm_since: Some(self.now) };
                        self.due(SETTLED_FOR, Due::Calm);
                    }
                    (Some(_), false) => self.stage = Stage::Settling { calm_since: None },
                    _ => {}
                }
            }
            Stage::Draining if self.outcome.is_none() && self.cluster.existing_pods().next().is_none() => {
                self.finish();
            }
            _ => {}
        }
    }

    /// How long after everything is in place the load begins: where in KEDA's period is chance.
    /// A real run begins at once, at whatever phase it is; a run that is held against one takes its phases over.
    fn phase(&self) -> Millis {
        if self.request.alignment.is_some() {
            return Millis::ZERO;
        }
        let period = MillisRange { least: Millis::ZERO, most: self.operator.polling_interval() };
        period.draw(&mut stream(self.request.seed, "phase of the load"))
    }

    pub(super) fn stage_is_due(&mut self, due: u32) {
        match (due, self.stage) {
            (due, Stage::Starting) if due == Due::InPlaceLimit as u32 => {
                self.because = Some(self.not_in_place());
                self.outcome_is(Outcome::BoundReached);
                self.drain();
            }
            (due, Stage::InPlace) if due == Due::Ready as u32 => self.ready(),
            (due, Stage::Loading | Stage::Settling { .. }) if due == Due::Duration as u32 => {
                self.outcome_is(Outcome::DurationReached);
                self.drain();
            }
            (due, Stage::Loading | Stage::Settling { .. }) if due == Due::Limit as u32 => {
                self.outcome_is(Outcome::BoundReached);
                self.drain();
            }
            (due, Stage::Settling { calm_since: Some(since) })
                if due == Due::Calm as u32 && since + SETTLED_FOR <= self.now =>
            {
                self.outcome_is(Outcome::Settled);
                self.drain();
            }
            (due, Stage::Draining) if due == Due::DrainLimit as u32 => self.finish(),
            _ => {}
        }
    }

    /// Whether KEDA has taken the object, replicas are at the minimum and that many agents listen.
    fn is_in_place(&self) -> bool {
        self.operator.is_ready()
            && self.replicas() == self.operator.min()
            && self.listens(self.operator.min())
    }

    fn not_in_place(&self) -> String {
        let because = match self.operator.readiness() {
            Some(("True", _, _)) => format!("{} replicas are there", self.replicas()),
            Some((status, reason, message)) => format!("Ready={status} {reason}: {message}"),
            None => "KEDA has not taken the object up".to_owned(),
        };
        format!("not in place within {IN_PLACE_LIMIT}: {because}")
    }

    fn listens(&self, agents: u32) -> bool {
        let listening = |pod: &controllers::PodId| {
            matches!(self.nodes.occupation(*pod), Occupation::Idle | Occupation::Busy)
        };
        agents == 0
            || self.cluster.existing_pods().filter(listening).count() >= usize::try_from(agents).unwrap_or(0)
    }

    fn is_settled(&self) -> bool {
        self.now >= self.faults_over
            && self.service.unfinished() == 0
            && self.replicas() == self.operator.min()
    }

    /// Replicas that are asked for; of a ScaledJob, its unfinished Jobs.
    pub(super) fn replicas(&self) -> u32 {
        match self.scaled {
            Some(workload) => self.cluster.workload(workload).replicas(),
            None => self.cluster.unfinished_jobs(0),
        }
    }

    fn ready(&mut self) {
        let scenario = self.request.scenario;
        self.stage = Stage::Loading;
        self.log.run(self.now, || Fact::RunReady {});
        for definition in self.request.definitions {
            // What cannot be defined cannot be queued, and that is told.
            let _ = self.call(Call::Build(BuildCall::define(definition.clone())));
        }
        self.align();
        if let Some((at, _)) = self.request.builds.first() {
            self.queue.push(self.now + *at, Task::Build(0));
        } else {
            self.stage = Stage::Settling { calm_since: None };
        }
        for (number, fault) in scenario.faults.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let over = fault.until().unwrap_or_else(|| fault.at());
            self.faults_over = self.faults_over.max(self.now + over);
            self.queue.push(self.now + fault.at(), Task::Fault(number));
            if let Some(until) = fault.until() {
                self.queue.push(self.now + until, Task::FaultEnds(number));
            }
        }
        if let Until::After(duration) = scenario.until {
            self.due(duration, Due::Duration);
        }
        self.due(scenario.at_most, Due::Limit);
    }

    /// Queues a build of the plan, and sees to the next.
    pub(super) fn queue_build(&mut self, number: u32) {
        if !matches!(self.stage, Stage::Loading) {
            return;
        }
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let Some((moment, definition)) = self.request.builds.get(at) else { return };
        let definition = &self.request.definitions[*definition];
        let reply = self
            .call(Call::Build(BuildCall::queue(azure_devops::DefinitionRef::Name(definition.name.clone()))));
        if matches!(reply, Reply::Answer(_)) {
            self.statistics.jobs += definition.jobs().count() as u64;
        }
        match self.request.builds.get(at + 1) {
            Some((next, _)) => {
                let after = Millis(next.0.saturating_sub(moment.0));
                self.queue.push(self.now + after, Task::Build(number + 1));
            }
            None => self.stage = Stage::Settling { calm_since: None },
        }
    }

    fn outcome_is(&mut self, outcome: Outcome) {
        self.statistics.finished = self.statistics.jobs.saturating_sub(self.service.unfinished() as u64);
        self.ending = Some(outcome);
    }

    /// Takes the workload away, KEDA's object first: otherwise it would miss its target.
    fn drain(&mut self) {
        self.stage = Stage::Draining;
        self.log.run(self.now, || Fact::RunDraining {});
        self.delete_scaler();
        for workload in self.workloads.clone() {
            let actions = &mut self.cluster_actions;
            self.cluster.delete_workload(self.now, workload, Propagation::Background, actions);
        }
        let grace = self.grace();
        self.due(grace + DRAIN_SLACK, Due::DrainLimit);
    }

    fn finish(&mut self) {
        let outcome = self.ending.unwrap_or(Outcome::Failed);
        let because = self.because.take();
        self.log.run(self.now, || Fact::RunFinished { outcome, because });
        self.outcome = Some(outcome);
    }
}
