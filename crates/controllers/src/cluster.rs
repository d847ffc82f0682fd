//! The objects, the queue of what is to happen, and who is called then.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::{Fact, Instant, Millis, stream};
use rand_chacha::ChaCha8Rng;

use crate::client::{Bucket, Client};
use crate::ids::{JobId, NodeId, PodId, WorkloadId, at, next};
use crate::job::Job;
use crate::node::Node;
use crate::pod::Pod;
use crate::queue::{ALWAYS, CONTROLLERS, Call, Controller, Key, Pool, Timer, Timers, Work};
use crate::scheduler::Scheduler;
use crate::settings::{Settings, TAINT_INTERVAL, WORKERS};
use crate::workload::{Kind, Workload};

/// What a cluster wants done, or saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The pod is bound to a node that listens: its kubelet has it now. Said again for each of a
    /// node's pods that is not terminating when a lost node is back.
    StartPod {
        /// The pod.
        pod: PodId,
        /// Its node.
        node: NodeId,
    },
    /// A pod that is bound to a node that listens has a deletion timestamp, or got a shorter grace.
    /// A lost node is told when it is back.
    DeletePod {
        /// The pod.
        pod: PodId,
        /// `deletionGracePeriodSeconds`.
        grace: Millis,
    },
    /// The object of a pod that was bound is gone, whoever removed it: whatever still runs for it
    /// is to end at once.
    PodGone {
        /// The pod; it cannot be looked up any more.
        pod: PodId,
    },
    /// What a watch sees, now. Only with [`Settings::facts`].
    Saw(Box<Fact>),
}

/// How an object's dependents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// The object at once, its dependents afterwards.
    #[default]
    Background,
    /// The object once its dependents are gone.
    Foreground,
    /// They stay.
    Orphan,
}

/// Somebody else has changed the object since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

/// The API objects of one namespace, their controllers and the scheduler.
///
/// Time never goes back, and whoever calls anything else at an instant has
/// called [`Self::advance`] for it first.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) pods: Vec<Option<Box<Pod>>>,
    /// Those of `pods` that exist.
    pub(crate) live_pods: BTreeSet<PodId>,
    pub(crate) jobs: Vec<Option<Box<Job>>>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) scaled_jobs: BTreeMap<u32, BTreeSet<JobId>>,
    /// Those of them that have not finished.
    pub(crate) unfinished_jobs: BTreeMap<u32, BTreeSet<JobId>>,
    pub(crate) timers: Timers,
    fired: u64,
    pub(crate) scheduler: Scheduler,
    pub(crate) dictated: VecDeque<PodId>,
    /// Which of several equal nodes a pod gets.
    pub(crate) dictated_nodes: Vec<Option<NodeId>>,
    pub(crate) random: Random,
    pub(crate) manager: Manager,
}

/// The streams that choices are drawn from.
#[derive(Debug)]
pub(crate) struct Random {
    pub(crate) names: ChaCha8Rng,
    pub(crate) uids: ChaCha8Rng,
    pub(crate) latencies: ChaCha8Rng,
    pub(crate) scheduling: ChaCha8Rng,
    pub(crate) victims: ChaCha8Rng,
    pub(crate) nodes: ChaCha8Rng,
}

/// What the kube-controller-manager only remembers.
#[derive(Debug)]
pub(crate) struct Manager {
    /// Whether it leads.
    pub(crate) up: bool,
    /// Since when.
    pub(crate) since: Instant,
    /// Which life it is: timers of an earlier one are void.
    pub(crate) life: u32,
    pub(crate) pools: [Pool; 4],
    pub(crate) clients: [Client; CONTROLLERS],
    /// How often nodes get taints.
    pub(crate) taints: Bucket,
    /// Pods without a Job whose finalizer is to be removed, by one worker.
    pub(crate) orphans: VecDeque<PodId>,
    /// Whether it removes one.
    pub(crate) frees_orphan: bool,
    /// Whether no node is ready: then no pod is evicted.
    pub(crate) all_silent: bool,
}

impl Manager {
    pub(crate) fn new(life: u32, since: Instant, settings: &Settings) -> Self {
        let client = |controller| {
            // The garbage collector has twice the rate, since each deletion is two calls
            // (Kubernetes 1.35.4, `cmd/kube-controller-manager/app/core.go`).
            let factor = if controller == usize::from(Controller::Garbage as u8) { 2 } else { 1 };
            Client::new(Bucket::per_second(settings.qps * factor, settings.burst))
        };
        Self {
            up: true,
            since,
            life,
            pools: Default::default(),
            clients: std::array::from_fn(client),
            taints: Bucket::every(TAINT_INTERVAL, 1),
            orphans: VecDeque::new(),
            frees_orphan: false,
            all_silent: false,
        }
    }
}

impl Cluster {
    /// An empty namespace. Everything random comes from streams of this seed whose names begin with
    /// `controllers/`.
    #[must_use]
    pub fn new(seed: u64, settings: Settings) -> Self {
        Self {
            settings,
            pods: Vec::new(),
            live_pods: BTreeSet::new(),
            jobs: Vec::new(),
            workloads: Vec::new(),
            nodes: Vec::new(),
            scaled_jobs: BTreeMap::new(),
            unfinished_jobs: BTreeMap::new(),
            timers: Timers::default(),
            fired: 0,
            scheduler: Scheduler::default(),
            dictated: VecDeque::new(),
            dictated_nodes: Vec::new(),
            random: Random {
                names: stream(seed, "controllers/names"),
                uids: stream(seed, "controllers/uids"),
                latencies: stream(seed, "controllers/latencies"),
                scheduling: stream(seed, "controllers/scheduling"),
                victims: stream(seed, "controllers/victims"),
                nodes: stream(seed, "controllers/nodes"),
            },
            manager: Manager::new(0, Instant::START, &settings),
        }
    }

    /// When [`Self::advance`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// How many steps the controllers, the scheduler and the garbage collector have made.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.fired
    }

    /// Does everything that is due.
    pub fn advance(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some((at, life, timer)) = self.timers.pop(now) {
            if life == ALWAYS || (self.manager.up && life == self.manager.life) {
                self.fired += 1;
                self.fire(at, timer, out);
            }
        }
    }

    fn fire(&mut self, now: Instant, timer: Timer, out: &mut Vec<Action>) {
        match timer {
            Timer::Due(key) => self.due(now, key),
            Timer::Called(key, call) => self.called(now, key, call, out),
            Timer::Recorded(controller) => self.recorded(now, controller),
            Timer::CollectPod(pod) => self.collect_pod(now, pod, out),
            Timer::CollectSet(workload, set) => self.collect_set(now, workload, set),
            Timer::ReleaseJob(job) => self.release_job(now, job, out),
            Timer::UntrackOrphan(pod) => self.orphan_called(now, pod, out),
            Timer::Expired(job) => self.expired(now, job),
            Timer::Expire(job) => self.delete_job(now, job, Propagation::Foreground, out),
            Timer::Silent(node, silence) => self.silent(now, node, silence),
            Timer::MarkNotReady(pod) => self.mark_not_ready(now, pod),
            Timer::Taint(node, silence) => self.taint(now, node, silence),
            Timer::Intolerable(node, silence) => self.intolerable(now, node, silence),
            Timer::Evict(pod) => self.delete_pod(now, pod, None, out),
            Timer::CollectNode(node) => self.collect_node(now, node),
            Timer::Abandon(pod) => self.abandon(now, pod, out),
            Timer::Attempt => self.attempt(now, out),
            Timer::Bind(pod, node) => self.bind(now, pod, node, out),
        }
        if let Timer::Due(key) | Timer::Called(key, _) = timer {
            self.work_off(now, key.controller());
        }
    }

    /// Has something happen at an instant, unless the controller-manager ends before.
    pub(crate) fn manager_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.push(at, self.manager.life, timer);
    }

    pub(crate) fn call_delay(&mut self) -> Millis {
        self.settings.call.draw(&mut self.random.latencies)
    }

    pub(crate) fn watch_delay(&mut self) -> Millis {
        self.settings.watch.draw(&mut self.random.latencies)
    }

    /// Takes so many tokens of a controller's client: when the last of these calls, made one after the other,
    /// takes effect.
    pub(crate) fn calls(&mut self, now: Instant, controller: Controller, number: u32) -> Instant {
        let mut at = now;
        for _ in 0..number {
            at = self.manager.clients[usize::from(controller as u8)].bucket.take(at) + self.call_delay();
        }
        at
    }

    /// A sync makes a call, and is told by [`Timer::Called`].
    pub(crate) fn call(&mut self, now: Instant, key: Key, call: Call) {
        let at = self.calls(now, key.controller(), 1);
        self.manager_timer(at, Timer::Called(key, call));
    }

    /// A controller writes an event.
    pub(crate) fn record(&mut self, now: Instant, controller: Controller) {
        if self.manager.clients[usize::from(controller as u8)].record() {
            let at = self.calls(now, controller, 1);
            self.manager_timer(at, Timer::Recorded(controller));
        }
    }

    fn recorded(&mut self, now: Instant, controller: Controller) {
        if self.manager.clients[usize::from(controller as u8)].recorded() {
            let at = self.calls(now, controller, 1);
            self.manager_timer(at, Timer::Recorded(controller));
        }
    }

    fn work_mut(&mut self, key: Key) -> Option<&mut Work> {
        match key {
            Key::Deployment(id) | Key::StatefulSet(id) => Some(&mut self.workloads[at(id.0)].work),
            Key::ReplicaSet(id, set) => Some(&mut self.workloads[at(id.0)].sets[usize::from(set)].work),
            Key::Job(id) => self.jobs[at(id.0)].as_mut().map(|job| &mut job.work),
        }
    }

    /// Something happened to an object: its controller hears of it after the watch's delay.
    pub(crate) fn notify(&mut self, now: Instant, key: Key) {
        self.notify_after(now, key, Millis::ZERO);
    }

    /// The same, and then it waits so long before it looks.
    pub(crate) fn notify_after(&mut self, now: Instant, key: Key, delay: Millis) {
        if self.manager.up {
            let at = now + self.watch_delay() + delay;
            self.enqueue_at(at, key);
        }
    }

    /// A key is put into its work queue at an instant, unless it will be earlier.
    pub(crate) fn enqueue_at(&mut self, at: Instant, key: Key) {
        let Some(work) = self.work_mut(key) else { return };
        if work.due.is_none_or(|due| at < due) {
            work.due = Some(at);
            self.manager_timer(at, Timer::Due(key));
        }
    }

    fn due(&mut self, now: Instant, key: Key) {
        let Some(work) = self.work_mut(key) else { return };
        // Otherwise an earlier entry has taken this one's place.
        if work.due != Some(now) {
            return;
        }
        work.due = None;
        let waits = std::mem::replace(&mut work.dirty, true);
        if !waits && !work.busy {
            self.manager.pools[usize::from(key.controller() as u8)].ready.push_back(key);
        }
    }

    /// Workers that are free take what is ready.
    fn work_off(&mut self, now: Instant, controller: Controller) {
        let pool = usize::from(controller as u8);
        while self.manager.pools[pool].busy < WORKERS {
            let Some(key) = self.manager.pools[pool].ready.pop_front() else { return };
            let Some(work) = self.work_mut(key) else { continue };
            work.dirty = false;
            work.busy = true;
            self.manager.pools[pool].busy += 1;
            match key {
                Key::Deployment(id) => self.sync_deployment(now, id),
                Key::ReplicaSet(id, set) => self.sync_replica_set(now, id, set),
                Key::StatefulSet(id) => self.sync_stateful_set(now, id),
                Key::Job(id) => self.sync_job(now, id),
            }
        }
    }

    fn called(&mut self, now: Instant, key: Key, call: Call, out: &mut Vec<Action>) {
        match key {
            Key::Deployment(id) => self.deployment_called(now, id, call, out),
            Key::ReplicaSet(id, set) => self.replica_set_called(now, id, set, call, out),
            Key::StatefulSet(id) => self.stateful_set_called(now, id, call, out),
            Key::Job(id) => self.job_called(now, id, call, out),
        }
    }

    /// A sync is over: its worker is free, and the key is ready again if something happened meanwhile.
    pub(crate) fn end_sync(&mut self, key: Key) {
        let Some(work) = self.work_mut(key) else { return };
        let (busy, dirty) = (std::mem::replace(&mut work.busy, false), work.dirty);
        let pool = &mut self.manager.pools[usize::from(key.controller() as u8)];
        pool.busy -= u32::from(busy);
        if busy && dirty {
            pool.ready.push_back(key);
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The pods that exist, in the order of their creation.
    pub fn existing_pods(&self) -> impl Iterator<Item = PodId> {
        self.live_pods.iter().copied()
    }

    /// A pod that exists.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(at(id.0))?.as_deref()
    }

    pub(crate) fn pod_mut(&mut self, id: PodId) -> Option<&mut Pod> {
        self.pods.get_mut(at(id.0))?.as_deref_mut()
    }

    /// A Job that exists.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(at(id.0))?.as_deref()
    }

    pub(crate) fn job_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.jobs.get_mut(at(id.0))?.as_deref_mut()
    }

    /// The Jobs of a ScaledJob that exist, oldest first.
    pub fn jobs_of(&self, scaled_job: u32) -> impl Iterator<Item = (JobId, &Job)> {
        let ids = self.scaled_jobs.get(&scaled_job).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.job(*id)?)))
    }

    /// The Jobs of a ScaledJob that exist and have not finished, oldest first.
    pub fn unfinished_jobs_of(&self, scaled_job: u32) -> impl Iterator<Item = (JobId, &Job)> {
        let ids = self.unfinished_jobs.get(&scaled_job).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.job(*id)?)))
    }

    /// How many of a ScaledJob's Jobs exist and have not finished.
    #[must_use]
    pub fn unfinished_jobs(&self, scaled_job: u32) -> u32 {
        self.unfinished_jobs.get(&scaled_job).map_or(0, |jobs| next(jobs.len()))
    }

    /// One of them has finished, or is gone.
    pub(crate) fn job_ended(&mut self, scaled_job: u32, id: JobId) {
        if let Some(unfinished) = self.unfinished_jobs.get_mut(&scaled_job) {
            unfinished.remove(&id);
        }
    }

    /// A workload.
    ///
    /// # Panics
    /// There never was one of this id.
    #[must_use]
    pub fn workload(&self, id: WorkloadId) -> &Workload {
        &self.workloads[at(id.0)]
    }

    pub(crate) fn workload_mut(&mut self, id: WorkloadId) -> &mut Workload {
        &mut self.workloads[at(id.0)]
    }

    /// The workload of this kind (`Deployment` or `StatefulSet`) and name that is not deleted.
    #[must_use]
    pub fn find_workload(&self, kind: &str, name: &str) -> Option<WorkloadId> {
        let found = self.workloads.iter().rposition(|workload| {
            let fits = matches!(
                (workload.kind, kind),
                (Kind::Deployment(_), "Deployment") | (Kind::StatefulSet(_), "StatefulSet")
            );
            fits && !workload.deleted && &*workload.name == name
        })?;
        Some(WorkloadId(crate::ids::next(found)))
    }

    /// The pods of a workload that exist, ended and terminating ones too: a Deployment's by ReplicaSet and
    /// then by age, a StatefulSet's by ordinal.
    pub fn pods_of(&self, id: WorkloadId) -> impl Iterator<Item = (PodId, &Pod)> {
        let workload = self.workload(id);
        let of_sets = workload.sets.iter().flat_map(|set| set.pods.iter().copied());
        let ids = of_sets.chain(workload.ordinals.values().copied());
        ids.filter_map(|id| Some((id, self.pod(id)?)))
    }

    /// A node.
    ///
    /// # Panics
    /// There never was one of this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[at(id.0)]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[at(id.0)]
    }

    /// How many pods were created so far; the next one's id.
    #[must_use]
    pub fn pods_created(&self) -> u32 {
        crate::ids::next(self.pods.len())
    }

    /// An instant as the API writes it: without a fraction of a second of the wall clock.
    pub(crate) fn whole_second(&self, at: Instant) -> Instant {
        at - Millis((at.0 + self.settings.second_offset.0) % 1000)
    }
}
