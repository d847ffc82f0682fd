//! For tests: a cluster with kubelets whose containers start and stop after fixed times.

use std::collections::BTreeMap;

use model::{Fact, Instant, Millis};

use crate::{
    Action, Cluster, Conditions, JobId, JobSpec, Kind, NewJob, NewNode, NewWorkload, NodeId, Phase, PodId,
    PodReport, Restarts, Settings, Strategy, Template, WorkloadId,
};

/// From a pod's binding until it is ready.
pub(crate) const START: Millis = Millis::seconds(2);
/// From a pod's deletion until its containers have ended, unless the grace is shorter.
pub(crate) const STOP: Millis = Millis::seconds(3);

#[derive(Debug, Clone, Copy)]
enum Kubelet {
    Started,
    Stopped,
}

pub(crate) struct Trial {
    pub(crate) cluster: Cluster,
    pub(crate) now: Instant,
    pub(crate) log: Vec<(Instant, Fact)>,
    pub(crate) told: Vec<Action>,
    pub(crate) start: Millis,
    kubelets: BTreeMap<(Instant, PodId, bool), Kubelet>,
    out: Vec<Action>,
}

pub(crate) fn running() -> PodReport {
    PodReport {
        phase: Phase::Running,
        conditions: Conditions::READY.with(Conditions::CONTAINERS_READY).with(Conditions::INITIALIZED),
        restarts: Restarts::default(),
        finished: None,
    }
}

impl Trial {
    /// With nodes of this many places each.
    pub(crate) fn new(seed: u64, nodes: &[u32]) -> Self {
        let mut trial = Self {
            cluster: Cluster::new(seed, Settings::default()),
            now: Instant::START,
            log: Vec::new(),
            told: Vec::new(),
            start: START,
            kubelets: BTreeMap::new(),
            out: Vec::new(),
        };
        for (index, pods) in nodes.iter().enumerate() {
            let new = NewNode { name: format!("node-{index}").into(), pods: *pods };
            trial.cluster.add_node(trial.now, new, &mut trial.out);
        }
        trial
    }

    pub(crate) fn workload(&mut self, kind: Kind, replicas: u32) -> WorkloadId {
        let template = Template { hash: 1, grace: Millis::seconds(30) };
        let new = NewWorkload { name: "agents".into(), kind, replicas, template };
        self.with(|cluster, now, out| cluster.create_workload(now, new, out))
    }

    pub(crate) fn deployment(&mut self, replicas: u32) -> WorkloadId {
        self.workload(Kind::Deployment(Strategy::RollingUpdate), replicas)
    }

    pub(crate) fn job(&mut self, spec: JobSpec) -> JobId {
        let new = NewJob { generate_name: "agents-", scaled_job: 0, generation: 1, spec };
        self.with(|cluster, now, out| cluster.create_job(now, new, out))
    }

    pub(crate) fn with<T>(&mut self, act: impl FnOnce(&mut Cluster, Instant, &mut Vec<Action>) -> T) -> T {
        let result = act(&mut self.cluster, self.now, &mut self.out);
        self.listen();
        result
    }

    pub(crate) fn scale(&mut self, id: WorkloadId, replicas: u32) {
        self.with(|cluster, now, out| cluster.scale(now, id, replicas, out));
    }

    pub(crate) fn report(&mut self, pod: PodId, report: PodReport) {
        self.with(|cluster, now, out| cluster.report_pod(now, pod, report, out));
    }

    /// A pod's containers end by themselves.
    pub(crate) fn end(&mut self, pod: PodId, phase: Phase) {
        let report =
            PodReport { phase, conditions: Conditions::INITIALIZED, finished: Some(self.now), ..running() };
        self.report(pod, report);
    }

    fn listen(&mut self) {
        let mut gone = Vec::new();
        for action in self.out.drain(..) {
            match &action {
                Action::StartPod { pod, .. } => {
                    self.kubelets.insert((self.now + self.start, *pod, false), Kubelet::Started);
                }
                Action::DeletePod { pod, grace } => {
                    self.kubelets.insert((self.now + (*grace).min(STOP), *pod, true), Kubelet::Stopped);
                }
                Action::PodGone { pod } => gone.push(*pod),
                Action::Saw(fact) => {
                    self.log.push((self.now, (**fact).clone()));
                    continue;
                }
            }
            self.told.push(action);
        }
        if !gone.is_empty() {
            self.kubelets.retain(|(_, pod, _), _| !gone.contains(pod));
        }
    }

    pub(crate) fn run_until(&mut self, end: Instant) {
        loop {
            let kubelet = self.kubelets.first_key_value().map(|((at, ..), _)| *at);
            let next = [kubelet, self.cluster.next_deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next >= self.now, "time goes on");
            self.now = next;
            self.with(Cluster::advance);
            while let Some(entry) = self.kubelets.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let ((_, pod, _), what) = entry.remove_entry();
                self.kubelet(pod, what);
            }
        }
        self.now = end;
    }

    fn kubelet(&mut self, pod: PodId, what: Kubelet) {
        let Some(state) = self.cluster.pod(pod) else { return };
        let listens = state.node().is_some_and(|node| self.cluster.node(node).listening);
        match what {
            _ if !listens => {}
            Kubelet::Started if state.deletion().is_none() => self.report(pod, running()),
            Kubelet::Started => {}
            Kubelet::Stopped => {
                self.end(pod, Phase::Succeeded);
                self.with(|cluster, now, out| cluster.finish_pod(now, pod, out));
            }
        }
    }

    pub(crate) fn run_for(&mut self, seconds: u64) {
        self.run_until(self.now + Millis::seconds(seconds));
    }

    /// Pods that exist.
    pub(crate) fn pods(&self) -> Vec<PodId> {
        self.cluster.existing_pods().collect()
    }

    /// Active pods.
    pub(crate) fn active(&self) -> Vec<PodId> {
        self.pods().into_iter().filter(|id| self.cluster.pod(*id).unwrap().is_active()).collect()
    }

    pub(crate) fn is_ready(&self, pod: PodId) -> bool {
        self.cluster.pod(pod).is_some_and(crate::Pod::is_ready)
    }

    pub(crate) fn node_of(&self, pod: PodId) -> Option<NodeId> {
        self.cluster.pod(pod)?.node()
    }

    /// When facts of this kind were seen, in milliseconds.
    pub(crate) fn times(&self, of: impl Fn(&Fact) -> bool) -> Vec<u64> {
        self.log.iter().filter(|(_, fact)| of(fact)).map(|(at, _)| at.0).collect()
    }

    pub(crate) fn created(&self) -> Vec<u64> {
        self.times(|fact| matches!(fact, Fact::PodCreated { .. }))
    }

    pub(crate) fn terminating(&self) -> Vec<u64> {
        self.times(|fact| matches!(fact, Fact::PodTerminating { .. }))
    }
}
