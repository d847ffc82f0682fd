//! The StatefulSet controller.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/statefulset/stateful_set_control.go`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use model::Instant;

use crate::cluster::{Action, Cluster};
use crate::ids::{PodId, WorkloadId, next};
use crate::pod::{Owner, Phase, Pod};
use crate::pods;
use crate::queue::{Call, Controller, Key};
use crate::replica_set::SlowStart;
use crate::workload::{Counts, Kind, PodManagement, Template};

/// A sync under way.
#[derive(Debug, Default)]
pub(crate) struct OrdinalSync {
    calls: VecDeque<Call>,
    slow_start: SlowStart,
    /// The counts when it began: these are written when it ends.
    seen: Counts,
}

/// A pod as the decisions see it.
#[derive(Debug, Clone, Copy)]
struct Replica {
    ordinal: u32,
    /// Nothing: it is to be created.
    pod: Option<PodId>,
    terminal: bool,
    deleted: bool,
    ready: bool,
    current: bool,
}

impl Replica {
    fn missing(ordinal: u32) -> Self {
        Self { ordinal, pod: None, terminal: false, deleted: false, ready: false, current: true }
    }

    fn of(ordinal: u32, id: PodId, pod: &Pod, hash: u32) -> Self {
        Self {
            ordinal,
            pod: Some(id),
            terminal: pod.phase.is_terminal(),
            deleted: pod.deletion.is_some(),
            ready: pod.phase == Phase::Running && pod.is_ready(),
            current: pod.template == hash,
        }
    }

    fn is_unavailable(&self) -> bool {
        !self.ready || self.deleted
    }
}

/// What one sync does to the pods: `replicas` by ordinal, `condemned` from the highest ordinal on.
fn decide(replicas: &[Replica], condemned: &[Replica], ordered: bool) -> VecDeque<Call> {
    let mut calls = VecDeque::new();
    for replica in replicas {
        let waits = match replica.pod {
            Some(pod) if replica.terminal => {
                if !replica.deleted {
                    calls.push_back(Call::DeletePod(pod));
                }
                true
            }
            Some(_) => replica.is_unavailable(),
            None => {
                calls.push_back(Call::CreatePod(replica.ordinal));
                true
            }
        };
        if ordered && waits {
            return calls;
        }
    }
    let unavailable = replicas.iter().chain(condemned.iter().rev()).find(|one| one.is_unavailable());
    for replica in condemned {
        let first = unavailable.is_some_and(|one| one.ordinal == replica.ordinal);
        if ordered && (replica.deleted || (!replica.ready && !first)) {
            return calls;
        }
        if let Some(pod) = replica.pod.filter(|_| !replica.deleted) {
            calls.push_back(Call::DeletePod(pod));
            if ordered {
                return calls;
            }
        }
    }
    if calls.is_empty() {
        calls.extend(update(replicas));
    }
    calls
}

/// A rolling update: from the highest ordinal on, each awaited.
fn update(replicas: &[Replica]) -> Option<Call> {
    for replica in replicas.iter().rev() {
        if !replica.current && !replica.deleted {
            return replica.pod.map(Call::DeletePod);
        }
        if replica.is_unavailable() {
            return None;
        }
    }
    None
}

impl Cluster {
    pub(crate) fn sync_stateful_set(&mut self, now: Instant, id: WorkloadId) {
        let workload = self.workload(id);
        if workload.deleted {
            self.end_sync(Key::StatefulSet(id));
            return;
        }
        let (hash, wanted) = (workload.template.hash, workload.replicas);
        let ordered = workload.kind == Kind::StatefulSet(PodManagement::OrderedReady);
        let replica =
            |(ordinal, pod): (&u32, &PodId)| Some(Replica::of(*ordinal, *pod, self.pod(*pod)?, hash));
        let mut seen = Counts::default();
        let mut replicas: Vec<Replica> = (0..wanted).map(Replica::missing).collect();
        let mut condemned = Vec::new();
        for one in workload.ordinals.iter().rev().filter_map(replica) {
            seen.replicas += 1;
            seen.ready += u32::from(one.ready);
            match replicas.get_mut(crate::ids::at(one.ordinal)) {
                Some(place) => *place = one,
                None => condemned.push(one),
            }
        }
        let calls = if workload.deleting { VecDeque::new() } else { decide(&replicas, &condemned, ordered) };
        let slow_start = SlowStart::new(next(calls.len()));
        self.workload_mut(id).sync = OrdinalSync { calls, slow_start, seen };
        self.next_ordinals(now, id);
    }

    /// Begins the next batch of calls, or ends the sync with its status.
    fn next_ordinals(&mut self, now: Instant, id: WorkloadId) {
        let key = Key::StatefulSet(id);
        let number = self.workload_mut(id).sync.slow_start.launch();
        for _ in 0..number {
            if let Some(call) = self.workload_mut(id).sync.calls.pop_front() {
                self.call(now, key, call);
            }
        }
        if number > 0 {
            return;
        }
        let workload = self.workload(id);
        if workload.status == workload.sync.seen && workload.observed == workload.generation {
            self.end_sync(key);
        } else {
            self.call(now, key, Call::WriteStatus);
        }
    }

    pub(crate) fn stateful_set_called(
        &mut self,
        now: Instant,
        id: WorkloadId,
        call: Call,
        out: &mut Vec<Action>,
    ) {
        if self.workload(id).deleted {
            self.end_sync(Key::StatefulSet(id));
            return;
        }
        match call {
            // Who has the name already keeps it.
            Call::CreatePod(ordinal) if !self.workload(id).ordinals.contains_key(&ordinal) => {
                let Template { hash, grace } = self.workload(id).template;
                self.create_pod(now, Owner::StatefulSet(id, ordinal), pods::Template { hash, grace }, out);
            }
            Call::DeletePod(pod) => self.delete_pod(now, pod, None, out),
            Call::WriteStatus => {
                let workload = self.workload_mut(id);
                workload.status = workload.sync.seen;
                workload.observed = workload.generation;
                workload.version.0 += 1;
                self.tell_replicas(id, out);
                self.end_sync(Key::StatefulSet(id));
                return;
            }
            Call::CreatePod(_) | Call::WriteSet | Call::Untrack(_) => {}
        }
        if self.workload_mut(id).spam.passes(now) {
            self.record(now, Controller::StatefulSet);
        }
        if self.workload_mut(id).sync.slow_start.answered() {
            self.next_ordinals(now, id);
        }
    }
}
