//! What the log says, ordered by whom it concerns instead of by time.
//!
//! A fold without judgement: events that make no sense, come twice or never are
//! kept as they are, for the rules to speak about.

mod agents;
mod faults;
mod jobs;
mod pods;
mod queue;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use model::event::{Outcome, RunStarted, ScaleTarget};
use model::{Event, Fact, Instant, Millis};

pub(crate) use agents::Agent;
pub(crate) use faults::{Era, FaultSpan, HpaRead, ScaleWrite};
pub(crate) use jobs::{Hold, Job};
pub(crate) use pods::{Container, Pod};
pub(crate) use queue::{KEDA_TIME_OUT, Read, WrittenCondition};
pub(crate) use steps::{Change, Plateau, Steps};

/// The whole log.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What was asked for.
    pub(crate) started: Option<Box<RunStarted>>,
    /// When the load's clock started.
    pub(crate) ready: Option<Instant>,
    /// When the workload was deleted.
    pub(crate) draining: Option<Instant>,
    /// The run's end, how, and why.
    pub(crate) finished: Option<(Instant, Outcome, Option<String>)>,
    /// The instant of the last event.
    pub(crate) end: Instant,
    /// How many events there were.
    pub(crate) events: usize,
    /// The furthest that an event stood behind a later one.
    pub(crate) disorder: Millis,
    /// KEDA objects by kind and name, as first seen, and when.
    pub(crate) targets: BTreeMap<String, Target>,
    /// Builds that were accepted.
    pub(crate) builds: u32,
    /// Builds that were refused.
    pub(crate) refused: Vec<RefusedBuild>,
    /// Job requests by id.
    pub(crate) jobs: BTreeMap<u64, Job>,
    /// Agents by id.
    pub(crate) agents: BTreeMap<u64, Agent>,
    /// Pods in the order of their first event. A name that comes back is another pod.
    pub(crate) pods: Vec<Pod>,
    /// The pods of a name, as positions in `pods`.
    pods_by_name: BTreeMap<String, Vec<usize>>,
    /// Workloads by `Kind/name`.
    pub(crate) workloads: BTreeMap<String, Workload>,
    /// Kubernetes Jobs by name.
    pub(crate) kubernetes_jobs: BTreeMap<String, KubernetesJob>,
    /// When Kubernetes Jobs were made, in order.
    pub(crate) jobs_made: Vec<Instant>,
    /// Reads of the queue in order.
    pub(crate) reads: Vec<Read>,
    /// Requests that were refused, failed or are not modelled.
    pub(crate) requests: Vec<Request>,
    /// The HPA's statuses in order.
    pub(crate) hpa: Vec<HpaStatus>,
    /// Conditions by object and type, in order.
    pub(crate) conditions: BTreeMap<(String, String), Vec<WrittenCondition>>,
    /// Kubernetes Events in order.
    pub(crate) kubernetes_events: Vec<KubernetesEvent>,
    /// Samples of the clocks.
    pub(crate) clock: Vec<ClockSample>,
    /// Failures of the harness.
    pub(crate) harness_failures: Vec<(Instant, String)>,
    /// What the scenario broke or changed, in order.
    pub(crate) faults: Vec<FaultSpan>,
    /// The HPA's reads of its metrics in order, where the engine sees them.
    pub(crate) hpa_reads: Vec<HpaRead>,
    /// Writes of replicas in order, where the engine sees them.
    pub(crate) scale_writes: Vec<ScaleWrite>,
}

/// A KEDA object.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// When it was first seen.
    pub(crate) at: Instant,
    /// What it says at first.
    pub(crate) scale: Box<ScaleTarget>,
    /// What it says later, in order.
    later: Vec<Era>,
}

impl Target {
    /// What it says at an instant.
    pub(crate) fn scale_at(&self, at: Instant) -> &ScaleTarget {
        self.later.iter().rfind(|era| era.from <= at).map_or(&self.scale, |era| &era.scale)
    }

    /// What it says, from when, and what changed it; the first from when it was seen.
    pub(crate) fn eras(&self) -> Vec<(Instant, &ScaleTarget, &str)> {
        let first = (self.at, &*self.scale, "");
        let later = self.later.iter().map(|era| (era.from, &*era.scale, era.because.as_str()));
        std::iter::once(first).chain(later).collect()
    }

    fn change(&mut self, from: Instant, scale: ScaleTarget, because: String) {
        if *self.scale_at(from) != scale {
            self.later.push(Era { from, scale: Box::new(scale), because });
        }
    }
}

/// A build that was refused.
#[derive(Debug, Clone)]
pub(crate) struct RefusedBuild {
    /// When.
    pub(crate) at: Instant,
    /// The definition's name.
    pub(crate) definition: String,
    /// The service's message.
    pub(crate) because: String,
}

/// The counts of a workload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workload {
    /// Asked for.
    pub(crate) spec: Steps,
    /// Existing.
    pub(crate) status: Steps,
    /// Ready.
    pub(crate) ready: Steps,
}

/// A Kubernetes Job.
#[derive(Debug, Clone, Default)]
pub(crate) struct KubernetesJob {
    /// When it was created.
    pub(crate) created: Option<Instant>,
    /// When it was Complete or Failed.
    pub(crate) finished: Option<Instant>,
    /// When its object was gone.
    pub(crate) deleted: Option<Instant>,
}

/// A request that was refused, failed or is not modelled.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When.
    pub(crate) at: Instant,
    /// Method and route.
    pub(crate) what: String,
    /// The status.
    pub(crate) status: u16,
    /// The caller.
    pub(crate) caller: Option<String>,
}

/// A status of the HPA.
#[derive(Debug, Clone)]
pub(crate) struct HpaStatus {
    /// When.
    pub(crate) at: Instant,
    /// The HPA's name.
    pub(crate) hpa: String,
    /// The replicas it saw.
    pub(crate) current: u32,
    /// The replicas it wanted.
    pub(crate) desired: u32,
    /// The condition `ScalingActive` as `status/reason`, if the status has it.
    pub(crate) scaling_active: Option<String>,
    /// Every condition as `status/reason`.
    pub(crate) conditions: BTreeMap<String, String>,
}

/// A Kubernetes Event.
#[derive(Debug, Clone)]
pub(crate) struct KubernetesEvent {
    /// When.
    pub(crate) at: Instant,
    /// The object, as `Kind/name`.
    pub(crate) object: String,
    /// One word.
    pub(crate) reason: String,
    /// A sentence.
    pub(crate) message: String,
}

/// A sample of the clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockSample {
    /// Ticks of the probe.
    pub(crate) ticks: u32,
    /// The latest.
    pub(crate) late_ms_max: u64,
    /// Their mean.
    pub(crate) late_ms_mean: u64,
    /// Ticks later than a second of scenario time.
    pub(crate) late_ticks: u32,
}

impl History {
    /// Folds a log. Events that stand out of order are put in order first.
    pub(crate) fn of(events: impl IntoIterator<Item = Event>) -> Self {
        let mut events: Vec<Event> = events.into_iter().collect();
        let mut history = Self { events: events.len(), disorder: disorder(&events), ..Self::default() };
        events.sort_by_key(|event| event.at);
        for event in events {
            history.end = event.at;
            history.take(event.at, event.fact);
        }
        for pod in &mut history.pods {
            pod.settle();
        }
        faults::settle(&mut history.targets, &history.faults);
        history.break_reads();
        history
    }

    fn take(&mut self, at: Instant, fact: Fact) {
        match fact {
            Fact::RunStarted(started) => {
                self.started.get_or_insert(started);
            }
            Fact::RunReady {} => {
                self.ready.get_or_insert(at);
            }
            Fact::RunDraining {} => {
                self.draining.get_or_insert(at);
            }
            Fact::RunFinished { outcome, because } => {
                self.finished.get_or_insert((at, outcome, because));
            }
            Fact::ScaleTarget(scale) => {
                let key = format!("{}/{}", scale.scaler, scale.name);
                self.targets.entry(key).or_insert(Target { at, scale, later: Vec::new() });
            }
            Fact::BuildQueued { .. } => self.builds = self.builds.saturating_add(1),
            Fact::BuildRefused { definition, because, .. } => {
                self.refused.push(RefusedBuild { at, definition, because });
            }
            Fact::BuildCompleted { .. } => {}
            Fact::HarnessFailed { because } => self.harness_failures.push((at, because)),
            Fact::FaultOn { fault, what, hits } => self.begin_fault(at, fault, what, hits),
            Fact::FaultOff { fault } => {
                let begun = self.faults.iter_mut().rfind(|begun| begun.index == fault && begun.to.is_none());
                if let Some(begun) = begun {
                    begun.to = Some(at);
                }
            }
            Fact::ClockQuality { ticks, late_ms_max, late_ms_mean, late_ticks } => {
                self.clock.push(ClockSample { ticks, late_ms_max, late_ms_mean, late_ticks });
            }
            fact => self.take_job_or_agent(at, fact),
        }
    }

    fn take_job_or_agent(&mut self, at: Instant, fact: Fact) {
        match fact {
            Fact::JobRequestQueued { request, job, pool, demands, .. } => {
                self.job(request).queue(at, job, pool, demands);
            }
            Fact::JobRequestAssigned { request, agent } => self.job(request).assign(at, agent),
            Fact::JobRequestReceived { request, agent } => self.job(request).receive(at, agent),
            Fact::JobRequestFinished { request, agent, result } => {
                self.job(request).finish(at, agent, result);
            }
            Fact::JobRequestRequeued { request, agent, because } => {
                self.job(request).requeue(at, agent, because);
            }
            Fact::AgentRegistered { agent, name, pool, placeholder, .. } => {
                self.agent(agent).register(at, name, pool, placeholder);
            }
            Fact::AgentOnline { agent } => self.agent(agent).presence.set(at, 1),
            Fact::AgentOffline { agent } => self.agent(agent).presence.set(at, 0),
            Fact::AgentRemoved { agent } => self.agent(agent).remove(at),
            Fact::AgentRemovalRefused { .. }
            | Fact::SessionOpened { .. }
            | Fact::SessionClosed { .. }
            | Fact::SessionExpired { .. }
            | Fact::SessionRefused { .. } => {}
            fact => self.take_cluster(at, fact),
        }
    }

    fn take_cluster(&mut self, at: Instant, fact: Fact) {
        match fact {
            Fact::ScalerRead { pool, status, latency_ms, rows, .. } => {
                self.reads.push(Read { at, pool, status, latency: Millis(latency_ms), rows, broken: false });
            }
            Fact::Request { method, route, status, caller, .. } => {
                self.requests.push(Request { at, what: format!("{method} {route}"), status, caller });
            }
            Fact::Replicas { workload, spec, status, ready } => {
                let counts = self.workloads.entry(workload).or_default();
                counts.spec.set(at, spec);
                counts.status.set(at, status);
                counts.ready.set(at, ready);
            }
            Fact::KubernetesJobCreated { job } => {
                let job = self.kubernetes_jobs.entry(job).or_default();
                if job.created.is_none() {
                    self.jobs_made.push(at);
                }
                job.created.get_or_insert(at);
            }
            Fact::KubernetesJobFinished { job, .. } => {
                self.kubernetes_jobs.entry(job).or_default().finished.get_or_insert(at);
            }
            Fact::KubernetesJobDeleted { job } => {
                self.kubernetes_jobs.entry(job).or_default().deleted.get_or_insert(at);
            }
            Fact::HpaStatus { hpa, current, desired, conditions } => {
                let scaling_active = conditions.get("ScalingActive").cloned();
                self.hpa.push(HpaStatus { at, hpa, current, desired, scaling_active, conditions });
            }
            Fact::HpaRead { metric, status, latency_ms, value_milli } => {
                let latency = Millis(latency_ms);
                self.hpa_reads.push(HpaRead { at, metric, status, latency, value_milli });
            }
            Fact::ScaleWritten { workload, writer, replicas, status } => {
                self.scale_writes.push(ScaleWrite { at, workload, writer, replicas, status });
            }
            Fact::Condition { object, condition, status, reason, message } => {
                let written = self.conditions.entry((object, condition)).or_default();
                written.push(WrittenCondition { at, status, reason, message });
            }
            Fact::KubernetesEvent { object, reason, message, .. } => {
                self.kubernetes_events.push(KubernetesEvent { at, object, reason, message });
            }
            fact => self.take_pod(at, fact),
        }
    }

    fn take_pod(&mut self, at: Instant, fact: Fact) {
        match fact {
            Fact::PodCreated { pod, owner } => self.new_pod(&pod).create(at, owner),
            Fact::PodScheduled { pod, node } => {
                let pod = self.pod(&pod);
                pod.scheduled.get_or_insert(at);
                pod.node.get_or_insert(node);
            }
            Fact::PodRunning { pod } => {
                self.pod(&pod).running.get_or_insert(at);
            }
            Fact::PodReady { pod } => {
                self.pod(&pod).ready.get_or_insert(at);
            }
            Fact::PodTerminating { pod, grace_s } => {
                self.pod(&pod).terminating.get_or_insert((at, Millis::seconds(grace_s)));
            }
            Fact::PodEnded { pod, phase } => {
                let pod = self.pod(&pod);
                pod.failed |= pod.ended.is_none() && phase == "Failed";
                pod.ended.get_or_insert(at);
            }
            Fact::PodGone { pod } => {
                self.pod(&pod).gone.get_or_insert(at);
            }
            Fact::ContainerStarted { pod, container, agent, .. } => {
                self.pod(&pod).container(container).start(at, agent);
            }
            Fact::ContainerSignalled { pod, container, signal } => {
                self.pod(&pod).container(container).signals.push((at, signal));
            }
            Fact::ContainerExited { pod, container, code, agent } => {
                self.pod(&pod).container(container).exit(at, code, agent);
            }
            Fact::ContainerBackOff { pod, container, until } => {
                self.pod(&pod).container(container).back_offs.push((at, until));
            }
            // Every other fact was taken before.
            _ => {}
        }
    }

    fn begin_fault(&mut self, at: Instant, index: u32, what: String, hits: Option<String>) {
        let listed =
            self.started.as_ref().map(|started| started.scenario.faults.as_slice()).unwrap_or_default();
        let fault = usize::try_from(index).ok().and_then(|index| listed.get(index)).cloned();
        self.faults.push(FaultSpan { index, what, hits, from: at, to: None, fault });
    }

    /// Answers of status 200 that a fault broke off.
    fn break_reads(&mut self) {
        let end = self.end;
        for (from, to) in self.faults.iter().filter(|fault| fault.breaks_reads()).map(|fault| fault.span(end))
        {
            for read in self.reads.iter_mut().filter(|read| read.at >= from && read.at <= to) {
                read.broken = true;
            }
        }
    }

    fn job(&mut self, request: u64) -> &mut Job {
        self.jobs.entry(request).or_default()
    }

    fn agent(&mut self, agent: u64) -> &mut Agent {
        self.agents.entry(agent).or_default()
    }

    /// The pod that has a name now; an event about an unknown pod makes one.
    fn pod(&mut self, name: &str) -> &mut Pod {
        let known = self.pods_by_name.get(name).and_then(|positions| positions.last()).copied();
        let position = known.unwrap_or_else(|| self.add_pod(name));
        &mut self.pods[position]
    }

    /// The pod that is created now: another one than a pod of that name that is gone.
    fn new_pod(&mut self, name: &str) -> &mut Pod {
        if self.pod(name).gone.is_some() {
            self.add_pod(name);
        }
        self.pod(name)
    }

    fn add_pod(&mut self, name: &str) -> usize {
        let position = self.pods.len();
        self.pods.push(Pod::new(name));
        self.pods_by_name.entry(name.to_owned()).or_default().push(position);
        position
    }
}

/// What several facts together say.
impl History {
    /// Until when the workload was left to itself: the run's own deletion is no scaling.
    pub(crate) fn judged_until(&self) -> Instant {
        self.draining.unwrap_or(self.end)
    }

    /// The last instant of the workload that is not the run's own deletion of it.
    pub(crate) fn last_judged(&self) -> Instant {
        self.draining.map_or(self.end, |draining| Instant(draining.0.saturating_sub(1)))
    }

    /// Every span that an agent held a job for, by agent and job.
    pub(crate) fn holds(&self) -> Vec<Hold> {
        self.jobs.iter().flat_map(|(request, job)| job.holds(*request)).collect()
    }

    /// The name of an agent.
    pub(crate) fn agent_name(&self, agent: u64) -> String {
        self.agents
            .get(&agent)
            .filter(|agent| !agent.name.is_empty())
            .map_or_else(|| format!("#{agent}"), |agent| agent.name.clone())
    }

    /// The pod that an agent lived in at an instant.
    pub(crate) fn pod_of(&self, agent: u64, at: Instant) -> Option<&Pod> {
        let name = &self.agents.get(&agent)?.name;
        let lived = |pod: &&Pod| pod.appeared <= at && pod.gone.is_none_or(|gone| gone >= at);
        let mut named =
            self.pods_by_name.get(name).into_iter().flatten().filter_map(|position| self.pods.get(*position));
        named
            .clone()
            .find(lived)
            .or_else(|| self.pods.iter().filter(|pod| pod.agents.contains(name)).find(lived))
            .or_else(|| named.next_back())
    }

    /// The pools that a trigger of this target reads, by id.
    pub(crate) fn pool_of(&self, metadata: &BTreeMap<String, String>) -> Option<u64> {
        let value = |key: &str| metadata.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        // The name wins over the id (kedacore/keda pkg/scalers/azure_pipelines_scaler.go, parseAzurePipelinesMetadata).
        if let Some(name) = value("poolName") {
            let pools = self.started.iter().flat_map(|started| &started.scenario.organization.pools);
            let named = pools.clone().find(|pool| pool.name.eq_ignore_ascii_case(name)).map(|pool| pool.id);
            return named.or_else(|| self.only_pool());
        }
        value("poolID").and_then(|id| id.parse().ok())
    }

    /// The pool of all reads and jobs, if there is one only.
    fn only_pool(&self) -> Option<u64> {
        let read = self.reads.iter().map(|read| read.pool);
        let queued = self.jobs.values().filter(|job| job.queued.is_some()).map(|job| job.pool);
        let pools: BTreeSet<u64> = read.chain(queued).collect();
        pools.first().copied().filter(|_| pools.len() == 1)
    }

    /// The replicas of a target over time: what a workload asks for, or a ScaledJob's unfinished Jobs.
    pub(crate) fn replicas_of(&self, target: &Target) -> Steps {
        if target.scale.scaler == "ScaledJob" {
            return self.unfinished_kubernetes_jobs();
        }
        self.workloads.get(&target.scale.workload).map(|workload| workload.spec.clone()).unwrap_or_default()
    }

    /// Kubernetes Jobs that have neither Complete nor Failed, over time.
    pub(crate) fn unfinished_kubernetes_jobs(&self) -> Steps {
        let mut deltas = Vec::new();
        for job in self.kubernetes_jobs.values() {
            if let Some(created) = job.created {
                deltas.push((created, 1));
                deltas.extend(job.finished.or(job.deleted).map(|ended| (ended.max(created), -1)));
            }
        }
        // A ScaledJob starts without Jobs, so the first Job is a raise.
        deltas.push((Instant::START, 0));
        Steps::counting(deltas)
    }

    /// The replicas of all targets over time, or of all workloads if no target is known.
    pub(crate) fn replicas(&self) -> Steps {
        let mut all: Vec<Steps> = self.targets.values().map(|target| self.replicas_of(target)).collect();
        if all.is_empty() {
            all = self.workloads.values().map(|workload| workload.spec.clone()).collect();
        }
        Steps::sum(&all)
    }

    /// The sum of the minimum of all targets, or of what they idle at.
    pub(crate) fn minimum(&self) -> u32 {
        let least = |scale: &ScaleTarget| scale.idle.map_or(scale.min, |idle| idle.min(scale.min));
        let last = self.targets.values().map(|target| target.scale_at(self.judged_until()));
        last.fold(0, |sum, scale| sum.saturating_add(least(scale)))
    }

    /// When the last job ended, if every job that was queued did.
    pub(crate) fn last_job_ended(&self) -> Option<Instant> {
        let ends: Option<Vec<Instant>> =
            self.jobs.values().map(|job| job.finishes.first().map(|finish| finish.at)).collect();
        ends.and_then(|ends| ends.into_iter().max())
    }
}

fn disorder(events: &[Event]) -> Millis {
    let mut latest = Instant::START;
    let mut furthest = Millis::ZERO;
    for event in events {
        furthest = furthest.max(latest.since(event.at));
        latest = latest.max(event.at);
    }
    furthest
}
