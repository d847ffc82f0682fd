//! What is done to pods and nodes on purpose: processes that are killed from outside, nodes that
//! vanish and come back with nothing running on them.
//!
//! A lost node does nothing and says nothing. What the API server tells of its pods meanwhile, and
//! what was on its way when it vanished, is heard when it is back: its pods' containers are dead
//! then, and what comes of that is the kubelet's to decide.

use std::collections::{BTreeMap, BTreeSet};

use kubelet::Input;
use model::Instant;

use super::PodWorkers;
use super::ordinals;
use crate::node::lean::LeanPod;
use crate::node::tasks::{Life, News, PodKey, What, count};

/// Something that is to happen to a pod or a node.
#[derive(Debug)]
pub(in crate::node) enum Order {
    /// The processes of the pod's containers get SIGKILL.
    Kill { namespace: String, pod: String },
    /// The node of that index vanishes.
    Lose(usize),
    /// It is back.
    Return(usize),
}

/// The nodes that have vanished, and what they have not heard.
#[derive(Debug, Default)]
pub(super) struct Lost {
    nodes: BTreeSet<usize>,
    /// Each pod as it was seen last, by uid.
    pods: BTreeMap<String, LeanPod>,
    news: Vec<News>,
}

impl Lost {
    pub(super) fn has(&self, node: usize) -> bool {
        self.nodes.contains(&node)
    }

    /// A pod of a lost node has changed.
    pub(super) fn park(&mut self, uid: String, pod: &LeanPod) {
        self.pods.insert(uid, pod.clone());
    }

    pub(super) fn forget(&mut self, uid: &str) {
        self.pods.remove(uid);
    }

    /// What a container runs is still asked for when the node is back; all other news is of processes
    /// that are no more.
    pub(super) fn keep(&mut self, news: News) {
        if matches!(news.what, What::Decided(_)) {
            self.news.push(news);
        }
    }
}

impl PodWorkers {
    pub(super) fn ordered(&mut self, now: Instant, order: Order) {
        match order {
            Order::Kill { namespace, pod } => {
                let named =
                    |name: &crate::node::writes::PodName| *name.namespace == *namespace && *name.name == *pod;
                let key = self.workers.iter().find(|(_, worker)| named(&worker.name)).map(|(key, _)| *key);
                key.into_iter().for_each(|key| self.kill(now, key));
            }
            Order::Lose(node) => self.lose(node),
            Order::Return(node) => self.bring_back(now, node),
        }
    }

    fn kill(&mut self, now: Instant, key: PodKey) {
        let containers = self.workers.get(&key).map_or(0, |worker| count(worker.machine.spec()));
        for container in 0..containers {
            self.tell(now, key, Input::Killed { container });
        }
    }

    fn lose(&mut self, node: usize) {
        if !self.lost.nodes.insert(node) {
            return;
        }
        for worker in self.workers.values_mut().filter(|worker| worker.node == node) {
            worker.lives.iter_mut().flatten().for_each(Life::vanish);
            worker.wakes_at = None;
            worker.retry_at = None;
        }
    }

    fn bring_back(&mut self, now: Instant, node: usize) {
        if !self.lost.nodes.remove(&node) {
            return;
        }
        let keys: Vec<PodKey> =
            self.workers.iter().filter(|(_, worker)| worker.node == node).map(|(key, _)| *key).collect();
        for key in keys {
            self.kill(now, key);
            self.set_timer(key);
        }
        let news = std::mem::take(&mut self.lost.news);
        // Those of other lost nodes are kept again.
        news.into_iter().for_each(|news| self.heard(now, news));
        let mut pods: Vec<LeanPod> = std::mem::take(&mut self.lost.pods).into_values().collect();
        pods.sort_by_cached_key(ordinals::creation);
        pods.iter().for_each(|pod| self.applied(now, pod));
    }
}
