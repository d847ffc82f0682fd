//! Whatever happens in whatever order: the invariants that hold.

use model::Millis;
use proptest::prelude::*;

use crate::trial::{Trial, running};
use crate::{
    JobSpec, Kind, NewNode, NodeId, Phase, PodId, PodManagement, PodReplacement, PodReport, Propagation,
    RestartPolicy, Restarts, Strategy as Rollout, Template, WorkloadId,
};

/// Something that somebody does. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Deed {
    Wait(u64),
    Scale(u8, u32),
    Edit(u8, u32),
    Job(JobSpec),
    DeleteJob(u8, Propagation),
    DeletePod(u8, Option<u64>),
    EndPod(u8, bool),
    Restart(u8, u32),
    LoseNode(u8),
    ReturnNode(u8),
    RemoveNode(u8),
    AddNode(u32),
    StopManager,
    StartManager,
    Dictate(u8),
    DeleteWorkload(u8, Propagation),
}

fn propagation() -> impl Strategy<Value = Propagation> {
    prop_oneof![Just(Propagation::Background), Just(Propagation::Foreground)]
}

fn job() -> impl Strategy<Value = JobSpec> {
    let often = (0_u32..4, proptest::option::of(0_u32..4), 0_u32..3);
    let ends =
        (proptest::option::of(0_u64..100), proptest::option::of(0_u64..100), any::<bool>(), any::<bool>());
    (often, ends).prop_map(
        |((parallelism, completions, backoff_limit), (deadline, ttl, failed, on_failure))| JobSpec {
            parallelism,
            completions,
            backoff_limit,
            active_deadline: deadline.map(Millis::seconds),
            ttl: ttl.map(Millis::seconds),
            replacement: if failed { PodReplacement::Failed } else { PodReplacement::TerminatingOrFailed },
            restart_policy: if on_failure { RestartPolicy::OnFailure } else { RestartPolicy::Never },
            ..JobSpec::default()
        },
    )
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0_u64..20_000).prop_map(Deed::Wait),
        1 => (0_u64..400_000).prop_map(Deed::Wait),
        4 => (any::<u8>(), 0_u32..12).prop_map(|(which, replicas)| Deed::Scale(which, replicas)),
        1 => (any::<u8>(), 1_u32..4).prop_map(|(which, hash)| Deed::Edit(which, hash)),
        3 => job().prop_map(Deed::Job),
        1 => (any::<u8>(), propagation()).prop_map(|(which, how)| Deed::DeleteJob(which, how)),
        2 => (any::<u8>(), proptest::option::of(0_u64..40)).prop_map(|(which, grace)| Deed::DeletePod(which, grace)),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, well)| Deed::EndPod(which, well)),
        1 => (any::<u8>(), 0_u32..4).prop_map(|(which, times)| Deed::Restart(which, times)),
        1 => any::<u8>().prop_map(Deed::LoseNode),
        2 => any::<u8>().prop_map(Deed::ReturnNode),
        1 => any::<u8>().prop_map(Deed::RemoveNode),
        1 => (0_u32..10).prop_map(Deed::AddNode),
        1 => Just(Deed::StopManager),
        2 => Just(Deed::StartManager),
        1 => any::<u8>().prop_map(Deed::Dictate),
        1 => (any::<u8>(), propagation()).prop_map(|(which, how)| Deed::DeleteWorkload(which, how)),
    ]
}

struct Run {
    trial: Trial,
    nodes: u32,
    jobs: u32,
    workloads: u32,
    up: bool,
}

impl Run {
    fn new(seed: u64, kinds: &[Kind]) -> Self {
        let mut trial = Trial::new(seed, &[8, 5]);
        for kind in kinds {
            trial.workload(*kind, 3);
        }
        let workloads = u32::try_from(kinds.len()).unwrap();
        Self { trial, nodes: 2, jobs: 0, workloads, up: true }
    }

    fn pod(&self, which: u8) -> Option<PodId> {
        let pods = self.trial.pods();
        (!pods.is_empty()).then(|| pods[usize::from(which) % pods.len()])
    }

    fn act(&mut self, deed: &Deed) {
        let now = self.trial.now;
        let workload = |which: u8| WorkloadId(u32::from(which) % self.workloads);
        let node = |which: u8| NodeId(u32::from(which) % self.nodes);
        match deed.clone() {
            Deed::Wait(span) => self.trial.run_until(now + Millis(span)),
            Deed::Scale(which, replicas) => self.trial.scale(workload(which), replicas),
            Deed::Edit(which, hash) => {
                let template = Template { hash, grace: Millis::seconds(u64::from(hash)) };
                let id = workload(which);
                self.trial.with(|cluster, now, out| cluster.edit_template(now, id, template, out));
            }
            Deed::Job(spec) => {
                self.trial.job(spec);
                self.jobs += 1;
            }
            Deed::DeleteJob(which, how) if self.jobs > 0 => {
                let id = crate::JobId(u32::from(which) % self.jobs);
                self.trial.with(|cluster, now, out| cluster.delete_job(now, id, how, out));
            }
            Deed::DeletePod(which, grace) => {
                if let Some(pod) = self.pod(which) {
                    let grace = grace.map(Millis::seconds);
                    self.trial.with(|cluster, now, out| cluster.delete_pod(now, pod, grace, out));
                }
            }
            Deed::EndPod(which, well) => {
                // Two ended pods of a StatefulSet that it wants to be rid of hold each other up for ever,
                // in the original too.
                let owner = |pod| self.trial.cluster.pod(pod).map(crate::Pod::owner);
                let may_end = |pod: &PodId| {
                    self.trial.is_ready(*pod) && !matches!(owner(*pod), Some(crate::Owner::StatefulSet(..)))
                };
                if let Some(pod) = self.pod(which).filter(may_end) {
                    self.trial.end(pod, if well { Phase::Succeeded } else { Phase::Failed });
                }
            }
            Deed::Restart(which, times) => {
                if let Some(pod) = self.pod(which).filter(|pod| self.trial.is_ready(*pod)) {
                    let restarts = Restarts { most: times, most_of_sidecars: 0, sum: times };
                    self.trial.report(pod, PodReport { restarts, ..running() });
                }
            }
            Deed::LoseNode(which) => self.trial.cluster.lose_node(now, node(which)),
            Deed::ReturnNode(which) => {
                let id = node(which);
                self.trial.with(|cluster, now, out| cluster.return_node(now, id, out));
            }
            Deed::RemoveNode(which) => {
                let id = node(which);
                self.trial.with(|cluster, now, out| cluster.remove_node(now, id, out));
            }
            Deed::AddNode(pods) => self.add_node(pods),
            Deed::StopManager => {
                self.trial.cluster.stop_manager();
                self.up = false;
            }
            Deed::StartManager => self.start_manager(),
            Deed::Dictate(which) => self.trial.cluster.dictate_victims([PodId(u32::from(which))]),
            Deed::DeleteWorkload(which, how) => {
                let id = workload(which);
                self.trial.with(|cluster, now, out| cluster.delete_workload(now, id, how, out));
            }
            Deed::DeleteJob(..) => {}
        }
        self.check();
    }

    fn add_node(&mut self, pods: u32) {
        let new = NewNode { name: format!("late-{}", self.nodes).into(), pods };
        self.trial.with(|cluster, now, out| cluster.add_node(now, new, out));
        self.nodes += 1;
    }

    fn start_manager(&mut self) {
        if !self.up {
            let now = self.trial.now;
            self.trial.cluster.start_manager(now);
            self.up = true;
        }
    }

    /// Holds at every instant.
    fn check(&self) {
        let cluster = &self.trial.cluster;
        let mut bound = std::collections::BTreeSet::new();
        for id in (0..self.nodes).map(NodeId) {
            let node = cluster.node(id);
            let mut load = 0;
            for pod in node.pods() {
                assert!(bound.insert(pod), "{pod:?} is on two nodes");
                let state = cluster.pod(pod).expect("a pod on a node exists");
                assert_eq!(state.node(), Some(id));
                load += u32::from(!state.phase().is_terminal());
            }
            assert!(load <= node.load && node.load <= node.limit.max(load), "{node:?}");
        }
        for id in (0..self.workloads).map(WorkloadId) {
            for set in &cluster.workload(id).sets {
                let pods = || set.pods.iter().map(|pod| cluster.pod(*pod).expect("it exists"));
                let count = |of: fn(&crate::Pod) -> bool| {
                    u32::try_from(pods().filter(|pod| of(pod)).count()).unwrap()
                };
                assert_eq!(set.active, count(crate::Pod::is_active));
                assert_eq!(set.ready, count(|pod| pod.is_active() && pod.is_ready()));
                assert_eq!(set.terminating, count(crate::Pod::is_terminating));
            }
        }
    }

    /// Once everybody is up and there is room, and nothing more is done, all is as it was asked for.
    fn come_to_rest(&mut self) {
        self.start_manager();
        for id in (0..self.nodes).map(NodeId) {
            self.trial.with(|cluster, now, out| cluster.return_node(now, id, out));
        }
        self.add_node(500);
        self.trial.run_for(3_000);
        self.check();
    }
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        3 => Just(Kind::Deployment(Rollout::RollingUpdate)),
        1 => Just(Kind::Deployment(Rollout::Recreate)),
        1 => Just(Kind::StatefulSet(PodManagement::OrderedReady)),
        1 => Just(Kind::StatefulSet(PodManagement::Parallel)),
    ];
    proptest::collection::vec(kind, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn everything_comes_to_rest_as_it_was_asked_for(
        seed: u64, kinds in kinds(), deeds in proptest::collection::vec(deed(), 0..60),
    ) {
        let mut run = Run::new(seed, &kinds);
        for deed in &deeds {
            run.act(deed);
        }
        run.come_to_rest();
        let cluster = &run.trial.cluster;
        for id in (0..run.workloads).map(WorkloadId) {
            let workload = cluster.workload(id);
            let active: Vec<_> = cluster.pods_of(id).filter(|(_, pod)| pod.is_active()).collect();
            let wanted = if workload.is_deleted() { 0 } else { workload.replicas() };
            prop_assert_eq!(active.len(), usize::try_from(wanted).unwrap(), "{:?}", workload);
            prop_assert!(active.iter().all(|(_, pod)| pod.is_ready()));
            if !workload.is_deleted() {
                prop_assert_eq!((workload.status().replicas, workload.status().ready), (wanted, wanted));
                prop_assert!(active.iter().all(|(_, pod)| pod.template() == workload.template().hash));
            }
        }
        for pod in run.trial.pods() {
            let pod = cluster.pod(pod).unwrap();
            prop_assert!(pod.deletion().is_none(), "every deletion ends: {:?}", pod);
        }
        let unfinished = cluster.jobs_of(0).filter(|(_, job)| job.finished().is_none()).count();
        prop_assert_eq!(usize::try_from(cluster.unfinished_jobs(0)).unwrap(), unfinished);
        for (_, job) in cluster.jobs_of(0) {
            let active = u32::try_from(job.pods().iter().filter(|pod| cluster.pod(**pod).unwrap().is_active()).count()).unwrap();
            prop_assert!(active <= job.spec().parallelism);
            prop_assert!(job.finished().is_none() || active == 0);
            prop_assert!(!job.is_being_deleted());
            let deadline = job.spec().active_deadline;
            prop_assert!(job.finished().is_some() || deadline.is_none(), "{:?}", job);
            prop_assert!(job.finished().is_none() || job.spec().ttl.is_none(), "{:?}", job);
            let limit = job.spec().backoff_limit;
            prop_assert!(job.finished().is_some() || job.failed() <= limit);
            let idle = job.spec().parallelism == 0 || job.spec().completions == Some(0);
            prop_assert!(job.finished().is_some() || idle || active > 0, "{:?}", job);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_run(seed: u64, deeds in proptest::collection::vec(deed(), 0..30)) {
        let logs = [(); 2].map(|()| {
            let mut run = Run::new(seed, &[Kind::Deployment(Rollout::RollingUpdate)]);
            for deed in &deeds {
                run.act(deed);
            }
            run.come_to_rest();
            (run.trial.log, run.trial.told)
        });
        prop_assert_eq!(&logs[0], &logs[1]);
    }
}
