//! ReplicaSets and their controller.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/replicaset/replica_set.go`.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Instant;
use model::stream::below;

use crate::client::Spam;
use crate::cluster::{Action, Cluster};
use crate::ids::{PodId, WorkloadId};
use crate::pod::{Conditions, Owner};
use crate::pods;
use crate::queue::{Call, Controller, Key, Work};
use crate::settings::PODS_PER_SYNC;
use crate::victims::{self, Candidate};
use crate::workload::{Counts, Template};

/// A ReplicaSet.
#[derive(Debug)]
pub(crate) struct ReplicaSet {
    pub(crate) name: Arc<str>,
    pub(crate) template: Template,
    /// `spec.replicas`.
    pub(crate) replicas: u32,
    /// The annotation `deployment.kubernetes.io/desired-replicas`.
    pub(crate) desired: u32,
    /// The annotation `deployment.kubernetes.io/max-replicas`.
    pub(crate) most: u32,
    pub(crate) status: Seen,
    /// Whether the object is gone.
    pub(crate) gone: bool,
    /// Its pods that exist.
    pub(crate) pods: BTreeSet<PodId>,
    pub(crate) active: u32,
    /// Active ones that are ready.
    pub(crate) ready: u32,
    pub(crate) terminating: u32,
    /// Active ones by node.
    pub(crate) on: Vec<u32>,
    pub(crate) work: Work,
    pub(crate) spam: Spam,
    sync: Sync,
}

/// What a status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) counts: Counts,
    pub(crate) terminating: u32,
}

/// A sync under way.
#[derive(Debug, Clone, Copy, Default)]
struct Sync {
    /// The counts when it began: these are written when it ends.
    seen: Seen,
    slow_start: SlowStart,
}

/// Calls that are made in batches of 1, 2, 4, 8 and so on, each awaited.
///
/// Source: the same file, `slowStartBatch`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SlowStart {
    left: u32,
    batch: u32,
    outstanding: u32,
}

impl SlowStart {
    /// So many calls, a batch at a time.
    pub(crate) fn new(calls: u32) -> Self {
        Self { left: calls, batch: 1, outstanding: 0 }
    }

    /// So many calls, all at once.
    pub(crate) fn at_once(calls: u32) -> Self {
        Self { left: calls, batch: calls, outstanding: 0 }
    }

    /// How many calls are to be made now; zero: all are done.
    pub(crate) fn launch(&mut self) -> u32 {
        let calls = self.batch.min(self.left);
        self.left -= calls;
        self.outstanding = calls;
        self.batch = self.batch.saturating_mul(2);
        calls
    }

    /// Whether no call is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding == 0
    }

    /// A call has been answered: whether that was the last of its batch.
    pub(crate) fn answered(&mut self) -> bool {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.outstanding == 0
    }
}

impl ReplicaSet {
    pub(crate) fn new(name: String, template: Template, replicas: u32, desired: u32, most: u32) -> Self {
        Self {
            name: name.into(),
            template,
            replicas,
            desired,
            most,
            status: Seen::default(),
            gone: false,
            pods: BTreeSet::new(),
            active: 0,
            ready: 0,
            terminating: 0,
            on: Vec::new(),
            work: Work::default(),
            spam: Spam::default(),
            sync: Sync::default(),
        }
    }

    fn seen(&self) -> Seen {
        let counts = Counts { replicas: self.active, ready: self.ready };
        Seen { counts, terminating: self.terminating }
    }
}

impl Cluster {
    pub(crate) fn set(&self, id: WorkloadId, set: u16) -> &ReplicaSet {
        &self.workload(id).sets[usize::from(set)]
    }

    pub(crate) fn set_mut(&mut self, id: WorkloadId, set: u16) -> &mut ReplicaSet {
        &mut self.workload_mut(id).sets[usize::from(set)]
    }

    pub(crate) fn sync_replica_set(&mut self, now: Instant, id: WorkloadId, index: u16) {
        let key = Key::ReplicaSet(id, index);
        let deleting = self.workload(id).deleting;
        let set = self.set_mut(id, index);
        if set.gone {
            self.end_sync(key);
            return;
        }
        let seen = set.seen();
        let missing = set.replicas.saturating_sub(set.active).min(PODS_PER_SYNC);
        let surplus = set.active.saturating_sub(set.replicas).min(PODS_PER_SYNC);
        set.sync = Sync { seen, slow_start: SlowStart::new(missing) };
        if missing > 0 && !deleting {
            self.create_batch(now, id, index);
        } else if surplus > 0 && !deleting {
            let victims = self.choose_victims(now, id, index, surplus);
            let mut slow_start = SlowStart::at_once(crate::ids::next(victims.len()));
            slow_start.launch();
            self.set_mut(id, index).sync.slow_start = slow_start;
            for pod in victims {
                self.call(now, key, Call::DeletePod(pod));
            }
        } else {
            self.write_set_status(now, id, index);
        }
    }

    /// Begins the next batch of creations; whether there is one.
    fn create_batch(&mut self, now: Instant, id: WorkloadId, index: u16) -> bool {
        let calls = self.set_mut(id, index).sync.slow_start.launch();
        for _ in 0..calls {
            self.call(now, Key::ReplicaSet(id, index), Call::CreatePod(0));
        }
        calls > 0
    }

    pub(crate) fn replica_set_called(
        &mut self,
        now: Instant,
        id: WorkloadId,
        index: u16,
        call: Call,
        out: &mut Vec<Action>,
    ) {
        let key = Key::ReplicaSet(id, index);
        if self.set(id, index).gone {
            return;
        }
        match call {
            Call::CreatePod(_) => {
                let Template { hash, grace } = self.set(id, index).template;
                let template = pods::Template { hash, grace };
                self.create_pod(now, Owner::ReplicaSet(id, index), template, out);
            }
            Call::DeletePod(pod) => self.delete_pod(now, pod, None, out),
            Call::WriteStatus => {
                let set = self.set_mut(id, index);
                set.status = set.sync.seen;
                self.notify(now, Key::Deployment(id));
                self.end_sync(key);
                return;
            }
            Call::WriteSet | Call::Untrack(_) => return,
        }
        if self.set_mut(id, index).spam.passes(now) {
            self.record(now, Controller::ReplicaSet);
        }
        if self.set_mut(id, index).sync.slow_start.answered() && !self.create_batch(now, id, index) {
            self.write_set_status(now, id, index);
        }
    }

    /// The last call of a sync: the status as it was when the sync began, if that is news.
    fn write_set_status(&mut self, now: Instant, id: WorkloadId, index: u16) {
        let key = Key::ReplicaSet(id, index);
        let set = self.set(id, index);
        if set.status == set.sync.seen {
            self.end_sync(key);
        } else {
            self.call(now, key, Call::WriteStatus);
        }
    }

    /// Those that were dictated, then by the order of [`victims`].
    fn choose_victims(&mut self, now: Instant, id: WorkloadId, index: u16, number: u32) -> Vec<PodId> {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let mut chosen = self.take_dictated(id, index, number);
        let mut candidates = self.candidates(id, index, &chosen);
        for last in (1..candidates.len()).rev() {
            let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
            let other = below(&mut self.random.victims, bound);
            candidates.swap(last, usize::try_from(other).unwrap_or(last));
        }
        if chosen.len() + candidates.len() > number {
            victims::sort(&mut candidates, now);
        }
        let left = number.saturating_sub(chosen.len());
        chosen.extend(candidates.iter().take(left).map(|candidate| candidate.pod));
        chosen
    }

    fn take_dictated(&mut self, id: WorkloadId, index: u16, number: usize) -> Vec<PodId> {
        let mut chosen = Vec::new();
        let mut kept = std::mem::take(&mut self.dictated);
        kept.retain(|pod| {
            let Some(state) = self.pod(*pod) else {
                // It is gone, or it is yet to come.
                return pod.0 >= self.pods_created();
            };
            let fits = state.owner == Owner::ReplicaSet(id, index) && state.is_active();
            if fits && chosen.len() < number {
                chosen.push(*pod);
                return false;
            }
            state.is_active()
        });
        self.dictated = kept;
        chosen
    }

    fn candidates(&self, id: WorkloadId, index: u16, without: &[PodId]) -> Vec<Candidate> {
        // Pods without a node share a "node", as they do in the original.
        let mut on = vec![0_u32; self.nodes.len() + 1];
        let place = |pod: &crate::pod::Pod| pod.node.map_or(0, |node| crate::ids::at(node.0) + 1);
        for (_, pod) in self.pods_of(id).filter(|(_, pod)| pod.is_active()) {
            on[place(pod)] += 1;
        }
        let set = self.set(id, index);
        let pods = set.pods.iter().filter(|pod| !without.contains(pod));
        pods.filter_map(|id| Some((*id, self.pod(*id)?)))
            .filter(|(_, pod)| pod.is_active())
            .map(|(id, pod)| Candidate {
                pod: id,
                assigned: pod.node.is_some(),
                phase: pod.phase,
                ready: pod
                    .conditions
                    .has(Conditions::READY)
                    .then(|| self.whole_second(pod.ready_changed.unwrap_or(pod.created))),
                cost: pod.cost,
                rank: on[place(pod)],
                uid: pod.uid,
                restarts: pod.restarts,
                created: self.whole_second(pod.created),
            })
            .collect()
    }
}
