//! The world: one queue, and who is told what when.
//!
//! Each machine says when it wants to be woken and what it wants done; the world
//! carries one machine's wishes to the others until nobody wants anything more at
//! this instant, and then takes the next event out of the queue.

mod cluster;
mod edits;
mod faults;
mod hpa;
mod log;
mod operator;
mod requests;
mod setup;
mod stage;
mod upsets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use azure_devops::{Call, Effects, Reply, Service};
use controllers::{Cluster, PodId, WorkloadId};
use model::event::Outcome;
use model::{Instant, Millis, Source};

use self::faults::ServiceFaults;
use self::log::Log;
use self::operator::Operator;
use self::requests::Pending;
use self::stage::Stage;
pub use self::stage::{DRAIN_SLACK, IN_PLACE_LIMIT, SETTLED_FOR};
use crate::manifests::objects::Objects;
use crate::node::{Around, Nodes, Out, PodTemplate, Wake};
use crate::queue::Queue;
use crate::request::{Ended, Request, Statistics, TwinError};

/// Simulates a scenario.
///
/// # Errors
/// [`TwinError`] if the scenario cannot be simulated as it is, or does not come to an end.
pub fn run(request: &Request<'_>) -> Result<Ended, TwinError> {
    let mut world = World::new(request)?;
    world.apply();
    world.live()?;
    Ok(world.ended())
}

/// What happens at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// A machine wants to be woken.
    Machine(Machine),
    /// A pod's kubelet, or its agent, wants to be woken.
    Pod(PodId),
    /// A build is queued: its place in the plan.
    Build(u32),
    /// A fault begins: its place in the scenario.
    Fault(u32),
    /// It ends.
    FaultEnds(u32),
    /// The answer to a request of KEDA's arrives, or its time to arrive has come.
    Answer(u64),
    /// A program that was killed runs again.
    Started(model::fault::Program),
    /// Where the run stands may have changed by time alone.
    Stage(u32),
}

/// The machines that are woken one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
    Service,
    Cluster,
    Operator,
    Hpa,
}

impl Task {
    /// Whether KEDA's operator or the HPA may be told something because of it: what happens on nodes, in
    /// the service and to the controllers' objects they find out at their own time.
    fn concerns_operator(self) -> bool {
        !matches!(self, Self::Pod(_) | Self::Machine(Machine::Service | Machine::Cluster))
    }
}

struct World<'r> {
    request: &'r Request<'r>,
    now: Instant,
    queue: Queue<Task>,
    /// When each machine's next entry in the queue is due.
    armed: [Option<Instant>; 4],
    statistics: Statistics,
    log: Log,
    service: Service,
    faults: ServiceFaults,
    nodes: Nodes,
    /// What the nodes want, emptied after each step.
    out: Out,
    /// What comes of a call to the service, kept for its room.
    effects: Effects,
    cluster: Cluster,
    cluster_actions: Vec<controllers::Action>,
    operator: Operator,
    objects: Objects,
    /// The scaled workload; none for a ScaledJob.
    scaled: Option<WorkloadId>,
    workloads: Vec<WorkloadId>,
    /// Pod templates by their hash, those of earlier specs too.
    templates: BTreeMap<u32, Arc<PodTemplate>>,
    /// The hash of the template of a ScaledJob's generation.
    job_templates: BTreeMap<u64, u32>,
    /// Requests of KEDA's whose answers are under way.
    pending: Pending,
    stage: Stage,
    /// When the last of the scenario's faults is over: before that nothing is settled.
    faults_over: Instant,
    faults_begun: BTreeSet<u32>,
    /// How the run will have come to its end, once the pods have drained.
    ending: Option<Outcome>,
    because: Option<String>,
    outcome: Option<Outcome>,
}

impl World<'_> {
    /// Takes events out of the queue until the run is over.
    fn live(&mut self) -> Result<(), TwinError> {
        self.settle(true);
        while self.outcome.is_none() {
            let Some((at, task)) = self.queue.pop() else {
                // Machines that wait for nobody: the run's own limits always come.
                unreachable!("the stage's limit is in the queue");
            };
            self.now = at;
            self.statistics.events += 1;
            if self.statistics.events > self.request.limits.events {
                let at = at.since(Instant::START);
                return Err(TwinError::TooMuch { events: self.request.limits.events, at });
            }
            if self.happens(task) {
                self.settle(task.concerns_operator() || self.request.alignment.is_some());
            }
        }
        Ok(())
    }

    /// Does what is due; whether anything was.
    fn happens(&mut self, task: Task) -> bool {
        match task {
            Task::Machine(machine) => return self.wake(machine),
            Task::Pod(pod) => {
                let wake = Wake { at: self.now, pod };
                let mut around =
                    Around { service: &mut self.service, faults: &mut self.faults, out: &mut self.out };
                self.nodes.wake(self.now, wake, &mut around);
            }
            Task::Build(build) => self.queue_build(build),
            Task::Fault(fault) => self.begin_fault(fault),
            Task::FaultEnds(fault) => self.end_fault(fault),
            Task::Answer(call) => self.answer_arrives(call),
            Task::Started(program) => self.program_starts(program),
            Task::Stage(number) => self.stage_is_due(number),
        }
        true
    }

    fn wake(&mut self, machine: Machine) -> bool {
        let armed = &mut self.armed[machine as usize];
        // An earlier wish took this one's place.
        if *armed != Some(self.now) {
            return false;
        }
        *armed = None;
        if self.deadline(machine).is_none_or(|deadline| deadline > self.now) {
            self.arm(machine);
            return false;
        }
        match machine {
            Machine::Service => self.advance_service(),
            Machine::Cluster => self.cluster.advance(self.now, &mut self.cluster_actions),
            Machine::Operator => self.advance_operator(),
            Machine::Hpa => self.advance_hpa(),
        }
        true
    }

    fn deadline(&self, machine: Machine) -> Option<Instant> {
        match machine {
            Machine::Service => self.service.next_deadline(),
            Machine::Cluster => self.cluster.next_deadline(),
            Machine::Operator => self.operator.next_deadline(),
            Machine::Hpa => self.operator.hpa_deadline(),
        }
    }

    /// Carries everybody's wishes to whom they concern until there are none left. Most events do not concern
    /// KEDA and the HPA: neither their wishes nor their deadlines have changed then.
    fn settle(&mut self, with_operator: bool) {
        loop {
            self.carry_out_cluster();
            if self.take_out() || !self.cluster_actions.is_empty() {
                continue;
            }
            if !with_operator || !self.operator_reacts() && self.cluster_actions.is_empty() {
                break;
            }
        }
        if self.request.alignment.is_some() {
            self.align_poll();
            self.align_sync();
        }
        self.arm(Machine::Service);
        self.arm(Machine::Cluster);
        if with_operator {
            self.arm(Machine::Operator);
            self.arm(Machine::Hpa);
        }
        self.look_at_stage();
    }

    /// Puts the machine's next deadline into the queue, if it is earlier than what is there.
    fn arm(&mut self, machine: Machine) {
        let Some(deadline) = self.deadline(machine) else { return };
        let armed = &mut self.armed[machine as usize];
        if armed.is_none_or(|armed| deadline < armed) {
            let at = deadline.max(self.now);
            *armed = Some(at);
            self.queue.push(at, Task::Machine(machine));
        }
    }

    /// Takes what the nodes want; whether it was anything that others have to react to.
    fn take_out(&mut self) -> bool {
        for wake in self.out.wakes.drain(..) {
            self.queue.push(wake.at.max(self.now), Task::Pod(wake.pod));
        }
        self.tell_of_nodes();
        self.take_changes()
    }

    /// What the nodes saw goes into the log before what others see because of it.
    fn tell_of_nodes(&mut self) {
        if !self.out.facts.is_empty() {
            self.log.events.append(&mut self.out.facts);
        }
    }

    /// A call to the service that nobody on a node made.
    fn call(&mut self, call: Call) -> Reply {
        let reply = self.service.handle_into(self.now, call, &mut self.effects);
        self.take_effects();
        reply
    }

    fn advance_service(&mut self) {
        self.service.advance_into(self.now, &mut self.effects);
        self.take_effects();
    }

    fn take_effects(&mut self) {
        self.tell_of_nodes();
        for fact in self.effects.facts.drain(..) {
            self.log.tell(self.now, Source::Service, || fact);
        }
        let mut around = Around { service: &mut self.service, faults: &mut self.faults, out: &mut self.out };
        for (waiter, answer) in self.effects.answered.drain(..) {
            self.nodes.answered(self.now, waiter, answer, &mut around);
        }
    }

    fn ended(self) -> Ended {
        let outcome = self.outcome.unwrap_or(Outcome::Failed);
        let length: Millis = self.now.since(Instant::START);
        let (calls, steps) = (self.nodes.calls(), self.cluster.steps());
        let statistics = Statistics { calls, steps, length, ..self.statistics };
        Ended { events: self.log.events, outcome, statistics }
    }
}
