//! Nodes that come, fall silent, come back and go, and what the controllers of nodes do then.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/nodelifecycle/node_lifecycle_controller.go`,
//! `pkg/controller/tainteviction/taint_eviction.go`, `pkg/controller/podgc/gc_controller.go`.

#[cfg(test)]
mod tests;

use model::stream::below;
use model::{Instant, Millis};

use crate::cluster::{Action, Cluster};
use crate::ids::{NodeId, PodId, next};
use crate::node::{NewNode, Node};
use crate::pod::{Conditions, Phase};
use crate::queue::{Controller, Timer};
use crate::settings::{
    LARGE_CLUSTER, LEASE_RENEWAL, NODE_MONITOR, POD_GC, POD_GC_QUARANTINE, TOLERATION, UNHEALTHY_NODES,
    UNHEALTHY_PERCENT,
};

/// Calls to evict a pod, or to remove one whose node is gone: its status is patched, it is deleted.
const CALLS_TO_EVICT: u32 = 2;

impl Cluster {
    /// A node joins, ready.
    pub fn add_node(&mut self, now: Instant, new: NewNode, _out: &mut Vec<Action>) -> NodeId {
        let id = NodeId(next(self.nodes.len()));
        let renewal = Millis(below(&mut self.random.nodes, LEASE_RENEWAL.0));
        self.nodes.push(Node::new(new, renewal));
        self.disruption(now);
        self.room(now);
        id
    }

    /// A node falls silent: its kubelet neither listens nor renews its lease. Nothing happens if it does
    /// already.
    pub fn lose_node(&mut self, now: Instant, id: NodeId) {
        let node = self.node_mut(id);
        if !node.present || !node.listening {
            return;
        }
        node.listening = false;
        node.silence += 1;
        let since_renewal = (now.0 + LEASE_RENEWAL.0 - node.renewal.0) % LEASE_RENEWAL.0;
        self.plan_silence(now, id, now - Millis(since_renewal));
    }

    /// The first look of the controller at which the lease is too old.
    fn plan_silence(&mut self, now: Instant, id: NodeId, last_sign: Instant) {
        let node = self.node(id);
        if !self.manager.up || !node.present || !node.ready {
            return;
        }
        let silence = node.silence;
        let late = (last_sign + self.settings.node_grace).max(now);
        let looks = late.since(self.manager.since).0 / NODE_MONITOR.0 + 1;
        let at = self.manager.since + Millis(looks * NODE_MONITOR.0);
        self.manager_timer(at, Timer::Silent(id, silence));
    }

    /// The node is not ready any more in the API's eyes.
    pub(crate) fn silent(&mut self, now: Instant, id: NodeId, silence: u32) {
        let node = self.node_mut(id);
        if !node.present || node.listening || node.silence != silence {
            return;
        }
        node.ready = false;
        let pods: Vec<PodId> = node.pods.iter().copied().collect();
        let mut at = self.calls(now, Controller::NodeLifecycle, 1);
        for pod in pods {
            if self.pod(pod).is_some_and(crate::Pod::is_ready) {
                at = self.calls(at, Controller::NodeLifecycle, 1);
                self.manager_timer(at, Timer::MarkNotReady(pod));
            }
        }
        self.disruption(now);
        if !self.manager.all_silent {
            self.plan_taint(now, id);
        }
    }

    /// A pod on a silent node is not ready.
    pub(crate) fn mark_not_ready(&mut self, now: Instant, id: PodId) {
        let Some(pod) = self.pod(id) else { return };
        let owner = pod.owner;
        if !pod.is_ready() || pod.node.is_some_and(|node| self.node(node).listening) {
            return;
        }
        self.change_pod(id, |pod| {
            pod.conditions = pod.conditions.without(Conditions::READY);
            pod.ready_changed = Some(now);
        });
        self.pod_changed(now, owner);
    }

    fn plan_taint(&mut self, now: Instant, id: NodeId) {
        let silence = self.node(id).silence;
        let at = self.manager.taints.take(now);
        let at = self.calls(at, Controller::NodeLifecycle, 1);
        self.manager_timer(at, Timer::Taint(id, silence));
    }

    /// Whether so many nodes are silent that the fault is thought to lie elsewhere.
    fn is_partly_disrupted(&self) -> bool {
        let present = self.nodes.iter().filter(|node| node.present).count();
        let silent = self.nodes.iter().filter(|node| node.present && !node.ready).count();
        present <= LARGE_CLUSTER && silent > UNHEALTHY_NODES && silent * 100 >= present * UNHEALTHY_PERCENT
    }

    /// The node gets the taint `NoExecute`: its pods' toleration runs.
    pub(crate) fn taint(&mut self, now: Instant, id: NodeId, silence: u32) {
        let node = self.node(id);
        let stale = !node.present || node.ready || node.silence != silence || node.tainted;
        if stale || self.manager.all_silent {
            return;
        }
        if self.is_partly_disrupted() {
            // It stays in the queue: it is tried again.
            self.plan_taint(now, id);
            return;
        }
        self.node_mut(id).tainted = true;
        self.plan_intolerance(now, id);
    }

    fn plan_intolerance(&mut self, now: Instant, id: NodeId) {
        let silence = self.node(id).silence;
        let heard = now + self.watch_delay();
        self.manager_timer(heard + TOLERATION, Timer::Intolerable(id, silence));
    }

    /// The pods of a node have tolerated its taint long enough.
    pub(crate) fn intolerable(&mut self, now: Instant, id: NodeId, silence: u32) {
        let node = self.node(id);
        if !node.present || !node.tainted || node.silence != silence {
            return;
        }
        let pods: Vec<PodId> = node.pods.iter().copied().collect();
        for pod in pods {
            if self.pod(pod).is_some_and(crate::Pod::is_active) {
                let at = self.calls(now, Controller::TaintEviction, CALLS_TO_EVICT);
                self.manager_timer(at, Timer::Evict(pod));
            }
        }
    }

    /// If no node is ready, nothing is evicted: all taints go. Once one is, the others get theirs again.
    ///
    /// Source: `handleDisruption`.
    fn disruption(&mut self, now: Instant) {
        let mut present = self.nodes.iter().filter(|node| node.present).peekable();
        let all_silent = present.peek().is_some() && present.all(|node| !node.ready);
        let were = std::mem::replace(&mut self.manager.all_silent, all_silent);
        if all_silent && !were {
            for node in &mut self.nodes {
                node.tainted = false;
            }
        } else if were && !all_silent && self.manager.up {
            let ids = (0..next(self.nodes.len())).map(NodeId);
            let silent: Vec<NodeId> =
                ids.filter(|id| self.node(*id).present && !self.node(*id).ready).collect();
            for id in silent {
                self.plan_taint(now, id);
            }
        }
    }

    /// A lost node is back, ready at once. Its kubelet is told all of its pods.
    pub fn return_node(&mut self, now: Instant, id: NodeId, out: &mut Vec<Action>) {
        let node = self.node_mut(id);
        if !node.present || node.listening {
            return;
        }
        node.listening = true;
        node.ready = true;
        node.tainted = false;
        node.silence += 1;
        node.renewal = Millis(now.0 % LEASE_RENEWAL.0);
        for pod in node.pods.clone() {
            match self.pod(pod).map(|pod| (pod.phase, pod.deletion)) {
                Some((_, Some(deletion))) => {
                    out.push(Action::DeletePod { pod, grace: deletion.grace });
                }
                Some((Phase::Pending | Phase::Running, None)) => {
                    out.push(Action::StartPod { pod, node: id });
                }
                _ => {}
            }
        }
        self.disruption(now);
        self.room(now);
    }

    /// A node's object is deleted. Its pods fail and are removed 40 s to 60 s later.
    pub fn remove_node(&mut self, now: Instant, id: NodeId, _out: &mut Vec<Action>) {
        let node = self.node_mut(id);
        if !node.present {
            return;
        }
        (node.present, node.listening, node.ready, node.tainted) = (false, false, false, false);
        self.disruption(now);
        self.plan_node_collection(now, id);
    }

    /// When the collector of pods looks next.
    fn next_collection(&self, now: Instant) -> Instant {
        let looks = now.since(self.manager.since).0 / POD_GC.0 + 1;
        self.manager.since + Millis(looks * POD_GC.0)
    }

    fn plan_node_collection(&mut self, now: Instant, id: NodeId) {
        if self.manager.up {
            let at = self.next_collection(now) + POD_GC_QUARANTINE;
            self.manager_timer(at, Timer::CollectNode(id));
        }
    }

    /// A pod that is being deleted and never had a node is only kept by a finalizer: it fails at the next
    /// look.
    ///
    /// Source: `gcUnscheduledTerminating`.
    pub(crate) fn plan_unscheduled_collection(&mut self, now: Instant, id: PodId) {
        let waits = |pod: &crate::Pod| pod.node.is_none() && pod.is_terminating();
        if self.manager.up && self.pod(id).is_some_and(waits) {
            let at = self.next_collection(now);
            self.manager_timer(at, Timer::Abandon(id));
        }
    }

    pub(crate) fn collect_node(&mut self, now: Instant, id: NodeId) {
        let mut at = now;
        for pod in self.node(id).pods.clone() {
            at = self.calls(at, Controller::PodGarbage, CALLS_TO_EVICT);
            self.manager_timer(at, Timer::Abandon(pod));
        }
    }

    /// A pod whose node is gone fails and is removed.
    pub(crate) fn abandon(&mut self, now: Instant, id: PodId, out: &mut Vec<Action>) {
        let Some(owner) = self.pod(id).map(|pod| pod.owner) else { return };
        self.change_pod(id, |pod| {
            if !pod.phase.is_terminal() {
                pod.phase = Phase::Failed;
            }
        });
        self.tell_status(id, out);
        self.pod_changed(now, owner);
        self.delete_pod(now, id, Some(Millis::ZERO), out);
    }

    /// After a restart the controllers of nodes begin from what the API says.
    pub(crate) fn watch_nodes_anew(&mut self, now: Instant) {
        self.disruption(now);
        for id in (0..next(self.nodes.len())).map(NodeId) {
            let node = self.node(id);
            if !node.present {
                self.plan_node_collection(now, id);
            } else if !node.listening && node.ready {
                self.plan_silence(now, id, now);
            } else if node.tainted {
                // What was tolerated before is forgotten.
                self.plan_intolerance(now, id);
            } else if !node.ready && !self.manager.all_silent {
                self.plan_taint(now, id);
            }
        }
    }
}
