//! What happens to pods' objects, and the counts that are kept of them.

use model::{Fact, Instant, Millis};

use crate::cluster::{Action, Cluster};
use crate::ids::{NodeId, PodId, at, next};
use crate::names;
use crate::pod::Restarts;
use crate::pod::{Conditions, Deletion, Owner, Phase, Pod, PodReport};
use crate::queue::Key;
use crate::settings::JOB_BATCH;
use crate::workload::{Kind, Strategy, bump};

/// How a pod is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    active: bool,
    ready: bool,
    terminating: bool,
    /// The node that it takes room of.
    load: Option<NodeId>,
    /// The node where it counts for the spread.
    spread: Option<NodeId>,
}

impl Weight {
    fn of(pod: &Pod) -> Self {
        let active = pod.is_active();
        let load = pod.reserved.filter(|_| !pod.phase.is_terminal());
        Self {
            active,
            ready: active && pod.is_ready(),
            terminating: pod.is_terminating(),
            load,
            spread: load.filter(|_| active),
        }
    }
}

/// What a new pod is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    pub(crate) hash: u32,
    pub(crate) grace: Millis,
}

impl Cluster {
    /// A controller creates a pod.
    pub(crate) fn create_pod(
        &mut self,
        now: Instant,
        owner: Owner,
        template: Template,
        out: &mut Vec<Action>,
    ) -> PodId {
        let id = PodId(next(self.pods.len()));
        let name = self.name_pod(owner);
        let pod = Pod {
            name: name.into(),
            uid: names::uid(&mut self.random.uids),
            owner,
            template: template.hash,
            grace: template.grace,
            created: now,
            reserved: None,
            node: None,
            phase: Phase::Pending,
            conditions: Conditions::NONE,
            ready_changed: None,
            restarts: Restarts::default(),
            finished: None,
            deletion: None,
            tracked: matches!(owner, Owner::Job(_)),
            cost: 0,
            orphan: false,
            told_running: false,
            told_ready: false,
            told_ended: false,
        };
        let weight = Weight::of(&pod);
        self.pods.push(Some(Box::new(pod)));
        self.live_pods.insert(id);
        match owner {
            Owner::ReplicaSet(workload, set) => {
                self.workload_mut(workload).sets[usize::from(set)].pods.insert(id);
            }
            Owner::StatefulSet(workload, ordinal) => {
                self.workload_mut(workload).ordinals.insert(ordinal, id);
            }
            Owner::Job(job) => {
                if let Some(job) = self.job_mut(job) {
                    job.pods.push(id);
                }
            }
        }
        self.tally(owner, weight, true);
        self.saw_pod(id, out, |cluster, pod| Fact::PodCreated { pod, owner: cluster.owner_name(owner) });
        self.pod_changed(now, owner);
        self.schedule(now, id);
        id
    }

    fn name_pod(&mut self, owner: Owner) -> String {
        let parent = match owner {
            Owner::ReplicaSet(workload, set) => Some(self.set(workload, set).name.clone()),
            Owner::StatefulSet(workload, ordinal) => {
                return format!("{}-{ordinal}", self.workload(workload).name);
            }
            Owner::Job(job) => self.job(job).map(|job| job.name.clone()),
        };
        names::child(parent.as_deref().unwrap_or_default(), &mut self.random.names)
    }

    /// Changes a pod and keeps the counts right.
    pub(crate) fn change_pod(&mut self, id: PodId, change: impl FnOnce(&mut Pod)) {
        let Some(pod) = self.pod_mut(id) else { return };
        let before = Weight::of(pod);
        change(pod);
        let (after, owner) = (Weight::of(pod), pod.owner);
        if before != after {
            self.tally(owner, before, false);
            self.tally(owner, after, true);
        }
    }

    fn tally(&mut self, owner: Owner, weight: Weight, counts: bool) {
        match owner {
            Owner::ReplicaSet(workload, set) => {
                let set = &mut self.workload_mut(workload).sets[usize::from(set)];
                bump(&mut set.active, weight.active, counts);
                bump(&mut set.ready, weight.ready, counts);
                bump(&mut set.terminating, weight.terminating, counts);
                if let Some(node) = weight.spread {
                    bump_at(&mut set.on, node, counts);
                }
            }
            Owner::StatefulSet(workload, _) => {
                if let Some(node) = weight.spread {
                    bump_at(&mut self.workload_mut(workload).on, node, counts);
                }
            }
            Owner::Job(_) => {}
        }
        if let Some(node) = weight.load {
            bump(&mut self.node_mut(node).load, true, counts);
        }
    }

    /// A pod's owner hears of a change.
    pub(crate) fn pod_changed(&mut self, now: Instant, owner: Owner) {
        match owner {
            Owner::ReplicaSet(workload, set) => self.notify(now, Key::ReplicaSet(workload, set)),
            Owner::StatefulSet(workload, _) => self.notify(now, Key::StatefulSet(workload)),
            Owner::Job(job) => {
                if self.job(job).is_some_and(|job| job.finished.is_none()) {
                    self.notify_after(now, Key::Job(job), JOB_BATCH);
                }
            }
        }
    }

    /// Somebody deletes a pod, with the pod's own grace if none is given. Nothing happens if it is gone.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/registry/core/pod/strategy.go`, `CheckGracefulDelete`; apiserver
    /// 0.35.4, `pkg/registry/rest/delete.go`, `BeforeDelete`.
    pub fn delete_pod(&mut self, now: Instant, id: PodId, grace: Option<Millis>, out: &mut Vec<Action>) {
        let Some(pod) = self.pod(id) else { return };
        let mut grace = grace.unwrap_or(pod.grace);
        if pod.node.is_none() || pod.phase.is_terminal() {
            grace = Millis::ZERO;
        }
        let shorter = pod.deletion.is_none_or(|deletion| grace < deletion.grace);
        if !shorter {
            return;
        }
        if grace == Millis::ZERO && !pod.tracked {
            self.remove_pod(now, id, out);
            return;
        }
        let (owner, first) = (pod.owner, pod.deletion.is_none());
        let listens = pod.node.is_some_and(|node| self.node(node).listening);
        self.change_pod(id, |pod| {
            let at = pod.deletion.map_or(now, |deletion| deletion.at);
            pod.deletion = Some(Deletion { at, grace });
        });
        if first {
            self.saw_pod(id, out, |_, pod| Fact::PodTerminating { pod, grace_s: grace.0.div_ceil(1000) });
        }
        if listens {
            out.push(Action::DeletePod { pod: id, grace });
        }
        self.pod_changed(now, owner);
        self.free_if_orphaned(now, id);
        self.plan_unscheduled_collection(now, id);
    }

    /// A kubelet is done with a pod that is being deleted, and removes its object: delete without grace.
    /// The object of a Job's pod stays until the Job's controller has counted it.
    pub fn finish_pod(&mut self, now: Instant, id: PodId, out: &mut Vec<Action>) {
        let Some(pod) = self.pod(id) else { return };
        if !pod.tracked {
            self.remove_pod(now, id, out);
            return;
        }
        let owner = pod.owner;
        let first = pod.deletion.is_none();
        self.change_pod(id, |pod| {
            let at = pod.deletion.map_or(now, |deletion| deletion.at);
            pod.deletion = Some(Deletion { at, grace: Millis::ZERO });
        });
        if first {
            self.saw_pod(id, out, |_, pod| Fact::PodTerminating { pod, grace_s: 0 });
        }
        self.pod_changed(now, owner);
        self.free_if_orphaned(now, id);
    }

    /// The finalizer of a Job's pod is removed; if only that kept it, it goes.
    pub(crate) fn untrack(&mut self, now: Instant, id: PodId, out: &mut Vec<Action>) {
        let Some(pod) = self.pod_mut(id) else { return };
        pod.tracked = false;
        let owner = pod.owner;
        if pod.deletion.is_some_and(|deletion| deletion.grace == Millis::ZERO) {
            self.remove_pod(now, id, out);
        } else {
            self.pod_changed(now, owner);
        }
    }

    /// The object of a pod goes.
    pub(crate) fn remove_pod(&mut self, now: Instant, id: PodId, out: &mut Vec<Action>) {
        let Some(pod) = self.pods.get_mut(at(id.0)).and_then(Option::take) else { return };
        self.live_pods.remove(&id);
        let owner = pod.owner;
        self.tally(owner, Weight::of(&pod), false);
        if let Some(node) = pod.node {
            self.node_mut(node).pods.remove(&id);
            out.push(Action::PodGone { pod: id });
        }
        if self.settings.facts {
            out.push(Action::Saw(Box::new(Fact::PodGone { pod: pod.name.to_string() })));
        }
        match owner {
            Owner::ReplicaSet(workload, set) => {
                let workload_state = self.workload_mut(workload);
                workload_state.sets[usize::from(set)].pods.remove(&id);
                let recreates = workload_state.kind == Kind::Deployment(Strategy::Recreate);
                if recreates && workload_state.sets.iter().all(|set| set.pods.is_empty()) {
                    self.notify(now, Key::Deployment(workload));
                }
                self.set_may_go(now, workload, set);
            }
            Owner::StatefulSet(workload, ordinal) => {
                let ordinals = &mut self.workload_mut(workload).ordinals;
                if ordinals.get(&ordinal) == Some(&id) {
                    ordinals.remove(&ordinal);
                }
                self.workload_may_go(workload);
            }
            Owner::Job(job) => {
                if let Some(job) = self.job_mut(job) {
                    job.pods.retain(|pod| *pod != id);
                }
                self.job_may_go(now, job);
            }
        }
        self.pod_changed(now, owner);
        self.room(now);
    }

    /// A kubelet writes a pod's status. Nothing happens if the pod is gone.
    pub fn report_pod(&mut self, now: Instant, id: PodId, report: PodReport, out: &mut Vec<Action>) {
        let Some(pod) = self.pod(id) else { return };
        let phase = if pod.phase.is_terminal() { pod.phase } else { report.phase };
        let conditions = report.conditions.with(Conditions::POD_SCHEDULED);
        let unchanged = (pod.phase, pod.conditions, pod.restarts, pod.finished)
            == (phase, conditions, report.restarts, report.finished);
        if unchanged && pod.ready_changed.is_some() {
            return;
        }
        let owner = pod.owner;
        self.change_pod(id, |pod| {
            let ready = conditions.has(Conditions::READY);
            if pod.ready_changed.is_none() || pod.is_ready() != ready {
                pod.ready_changed = Some(now);
            }
            (pod.phase, pod.conditions) = (phase, conditions);
            (pod.restarts, pod.finished) = (report.restarts, report.finished);
        });
        self.tell_status(id, out);
        self.pod_changed(now, owner);
        if phase.is_terminal() {
            self.free_if_orphaned(now, id);
            self.room(now);
        }
    }

    /// Sets the annotation `controller.kubernetes.io/pod-deletion-cost`.
    pub fn set_deletion_cost(&mut self, pod: PodId, cost: i32) {
        if let Some(pod) = self.pod_mut(pod) {
            pod.cost = cost;
        }
    }
}

/// Counts a pod in or out on its node.
fn bump_at(counts: &mut Vec<u32>, node: NodeId, counts_in: bool) {
    let index = at(node.0);
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    bump(&mut counts[index], true, counts_in);
}
