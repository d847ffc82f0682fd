//! Which pod of its namespace a pod is, by creation: how many there were before it. Random streams are
//! named by it, as the twin's are: a pod's name is chosen anew in every run, its place is not.
//!
//! A pod is numbered when it is first seen, which is before it has a node: the watch tells of pods
//! in the order in which they were created, and nodes are found for them in any order.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::ResourceExt;

use crate::node::lean::LeanPod;

#[derive(Debug, Default)]
pub(super) struct Ordinals {
    /// How many there were, by namespace.
    counted: BTreeMap<Box<str>, u64>,
    /// Pods that have no node yet, by uid.
    waiting: BTreeMap<Box<str>, u64>,
}

impl Ordinals {
    /// A pod without a node was seen.
    pub(super) fn created(&mut self, namespace: &str, uid: &str) {
        if !self.waiting.contains_key(uid) {
            let ordinal = self.next(namespace);
            self.waiting.insert(uid.into(), ordinal);
        }
    }

    /// A pod has a node: this is its number.
    pub(super) fn taken(&mut self, namespace: &str, uid: &str) -> u64 {
        self.waiting.remove(uid).unwrap_or_else(|| self.next(namespace))
    }

    /// A pod without a node is gone. No other gets its number.
    pub(super) fn forget(&mut self, uid: &str) {
        self.waiting.remove(uid);
    }

    /// Only these pods are still there.
    pub(super) fn keep(&mut self, uids: &BTreeSet<String>) {
        self.waiting.retain(|uid, _| uids.contains(&**uid));
    }

    fn next(&mut self, namespace: &str) -> u64 {
        if let Some(counted) = self.counted.get_mut(namespace) {
            let before = *counted;
            *counted += 1;
            return before;
        }
        self.counted.insert(namespace.into(), 1);
        0
    }
}

/// What pods that are seen at once are sorted by: seconds of creation, then their last change, then
/// their name.
pub(super) fn creation(pod: &LeanPod) -> (Option<i64>, Option<u64>, String) {
    let created = pod.metadata.creation_timestamp.as_ref().map(|created| created.0.as_second());
    let version = pod.metadata.resource_version.as_ref().and_then(|version| version.parse().ok());
    (created, version, pod.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_the_number_of_its_creation_whenever_it_gets_its_node() {
        let mut ordinals = Ordinals::default();
        ordinals.created("mine", "a");
        ordinals.created("mine", "b");
        ordinals.created("mine", "a");
        assert_eq!(ordinals.taken("mine", "b"), 1);
        assert_eq!(ordinals.taken("mine", "a"), 0);
        assert_eq!(ordinals.taken("mine", "seen late"), 2);
    }

    #[test]
    fn namespaces_count_for_themselves_and_no_number_is_given_twice() {
        let mut ordinals = Ordinals::default();
        ordinals.created("mine", "a");
        ordinals.created("others", "b");
        ordinals.forget("a");
        ordinals.created("mine", "c");
        assert_eq!(ordinals.taken("mine", "c"), 1);
        assert_eq!(ordinals.taken("others", "b"), 0);
        ordinals.created("mine", "d");
        ordinals.keep(&BTreeSet::new());
        assert_eq!(ordinals.taken("mine", "e"), 3);
    }
}
