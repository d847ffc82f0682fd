//! A node as the API has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Millis;

use crate::ids::PodId;

/// A node that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its name.
    pub name: Arc<str>,
    /// How many pods fit (`status.allocatable.pods`).
    pub pods: u32,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) limit: u32,
    pub(crate) load: u32,
    pub(crate) pods: BTreeSet<PodId>,
    pub(crate) present: bool,
    pub(crate) listening: bool,
    pub(crate) ready: bool,
    /// Whether it has the taint `NoExecute`.
    pub(crate) tainted: bool,
    /// How often it fell silent or came back.
    pub(crate) silence: u32,
    /// How long after a multiple of 10 s its kubelet renews its lease.
    pub(crate) renewal: Millis,
}

impl Node {
    pub(crate) fn new(new: NewNode, renewal: Millis) -> Self {
        Self {
            name: new.name,
            limit: new.pods,
            load: 0,
            pods: BTreeSet::new(),
            present: true,
            listening: true,
            ready: true,
            tainted: false,
            silence: 0,
            renewal,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether its object exists.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Whether it is ready in the API's eyes: the scheduler uses it, and its pods may stay.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.present && self.ready
    }

    /// Pods that are bound to it and exist, oldest first.
    pub fn pods(&self) -> impl Iterator<Item = PodId> {
        self.pods.iter().copied()
    }
}
