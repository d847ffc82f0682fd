//! The scheduler: which node a pod goes to, and when.
//!
//! Pods take nothing of a node but a place: its number of pods is the only limit. All pods are equal then, so
//! if the first that waits fits nowhere, none does.
//!
//! Source: Kubernetes 1.35.4, `pkg/scheduler/schedule_one.go`; the scores of
//! `framework/plugins/podtopologyspread` (pods of the same ReplicaSet or StatefulSet apart, weight 2) and
//! `framework/plugins/noderesources` (`LeastAllocated`, weight 1). A pod that fits nowhere is tried again
//! when a pod ends or a node joins, also out of its back-off (`SchedulerPopFromBackoffQ`, on since 1.33).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use model::stream::below;
use model::{Fact, Instant};

use crate::client::Bucket;
use crate::cluster::{Action, Cluster};
use crate::ids::{NodeId, PodId, at, next};
use crate::node::Node;
use crate::pod::{Conditions, Owner};
use crate::queue::{ALWAYS, Timer};
use crate::settings::{SCHEDULER_BURST, SCHEDULER_QPS};

/// A number that leaves no remainder worth noticing when it is divided by the number of nodes.
const TIES: u64 = 1 << 40;

/// The scheduler.
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// Pods without a node, oldest first, with the instant at which they are decided about at the earliest.
    waiting: VecDeque<(PodId, Instant)>,
    /// Whether an attempt is planned.
    planned: bool,
    /// Whether the first that waits fits nowhere.
    blocked: bool,
    client: Bucket,
}

impl Default for Scheduler {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            planned: false,
            blocked: false,
            client: Bucket::per_second(SCHEDULER_QPS, SCHEDULER_BURST),
        }
    }
}

impl Cluster {
    /// A pod without a node exists.
    pub(crate) fn schedule(&mut self, now: Instant, pod: PodId) {
        let ready = now + self.settings.scheduling.draw(&mut self.random.scheduling);
        // One after the other, in the order of creation.
        let ready = self.scheduler.waiting.back().map_or(ready, |(_, before)| ready.max(*before));
        self.scheduler.waiting.push_back((pod, ready));
        self.plan_attempt();
    }

    fn plan_attempt(&mut self) {
        let scheduler = &mut self.scheduler;
        if let Some((_, ready)) = scheduler.waiting.front()
            && !scheduler.planned
            && !scheduler.blocked
        {
            scheduler.planned = true;
            self.timers.push(*ready, ALWAYS, Timer::Attempt);
        }
    }

    /// There may be room again.
    pub(crate) fn room(&mut self, now: Instant) {
        if !self.scheduler.blocked {
            return;
        }
        self.scheduler.blocked = false;
        let ready = now + self.settings.scheduling.draw(&mut self.random.scheduling);
        if let Some((_, first)) = self.scheduler.waiting.front_mut() {
            *first = ready.max(*first);
        }
        self.plan_attempt();
    }

    pub(crate) fn attempt(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.scheduler.planned = false;
        while let Some((pod, ready)) = self.scheduler.waiting.front().copied() {
            if self.pod(pod).is_some_and(|pod| pod.deletion.is_none()) {
                if ready > now {
                    break;
                }
                let Some(node) = self.choose_node(pod) else {
                    self.scheduler.blocked = true;
                    return;
                };
                self.change_pod(pod, |pod| pod.reserved = Some(node));
                match self.scheduler.client.take(now) {
                    at if at > now => self.timers.push(at, ALWAYS, Timer::Bind(pod, node)),
                    _ => self.bind(now, pod, node, out),
                }
            }
            self.scheduler.waiting.pop_front();
        }
        self.plan_attempt();
    }

    /// The node with the fewest pods of the same owner, then with the fewest pods, then any.
    fn choose_node(&mut self, pod: PodId) -> Option<NodeId> {
        let owner = self.pod(pod)?.owner;
        // Each of several equals is as likely as the others.
        let tie = below(&mut self.random.scheduling, TIES);
        let none: &[u32] = &[];
        let siblings: &[u32] = match owner {
            Owner::ReplicaSet(workload, set) => &self.set(workload, set).on,
            Owner::StatefulSet(workload, _) => &self.workload(workload).on,
            Owner::Job(_) => none,
        };
        let score = |index: usize, node: &Node| {
            let fits = node.is_ready() && node.load < node.limit;
            fits.then(|| (siblings.get(index).copied().unwrap_or(0), node.load))
        };
        let scores = || {
            self.nodes
                .iter()
                .enumerate()
                .filter_map(|(index, node)| Some((score(index, node)?, NodeId(next(index)))))
        };
        let (best, _) = scores().min()?;
        let dictated = self.dictated_nodes.get(at(pod.0)).copied().flatten();
        if let Some(node) =
            dictated.filter(|node| scores().any(|(score, other)| other == *node && score == best))
        {
            return Some(node);
        }
        let equals = scores().filter(|(score, _)| *score == best).count();
        let mut equal = scores().filter(|(score, _)| *score == best).map(|(_, node)| node);
        equal.nth(usize::try_from(tie % u64::try_from(equals).ok()?).ok()?)
    }

    /// A pod gets its node.
    pub(crate) fn bind(&mut self, now: Instant, id: PodId, node: NodeId, out: &mut Vec<Action>) {
        let Some(pod) = self.pod(id) else { return };
        let owner = pod.owner;
        if pod.deletion.is_some() {
            // The API binds no pod that is being deleted.
            self.change_pod(id, |pod| pod.reserved = None);
            self.room(now);
            return;
        }
        self.change_pod(id, |pod| {
            pod.node = Some(node);
            pod.conditions = pod.conditions.with(Conditions::POD_SCHEDULED);
        });
        let state = &mut self.nodes[at(node.0)];
        state.pods.insert(id);
        let listening = state.listening;
        self.saw_pod(id, out, |cluster, pod| Fact::PodScheduled {
            pod,
            node: cluster.node(node).name.to_string(),
        });
        if listening {
            out.push(Action::StartPod { pod: id, node });
        }
        self.pod_changed(now, owner);
    }
}
