//! A Deployment or a StatefulSet as the API has it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::Millis;

use crate::client::Spam;
use crate::deployment::Step;
use crate::ids::{PodId, Version};
use crate::queue::Work;
use crate::replica_set::ReplicaSet;
use crate::stateful_set::OrdinalSync;

/// Pods above the replicas during a rolling update, in percent, rounded up
/// (Kubernetes 1.35.4, `pkg/apis/apps/v1/defaults.go`, `SetDefaults_Deployment`).
pub const MAX_SURGE_PERCENT: u32 = 25;
/// Replicas that may be unavailable during a rolling update, in percent, rounded down, from the same place.
pub const MAX_UNAVAILABLE_PERCENT: u32 = 25;

/// What a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Deployment.
    Deployment(Strategy),
    /// A StatefulSet; its update strategy is RollingUpdate.
    StatefulSet(PodManagement),
}

/// How a Deployment's pods are replaced when the template changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// A few at a time, with the defaults of 25 %.
    #[default]
    RollingUpdate,
    /// All old ones end first.
    Recreate,
}

/// How a StatefulSet's pods come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodManagement {
    /// One after the other.
    #[default]
    OrderedReady,
    /// All at once.
    Parallel,
}

/// A pod template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// What makes it differ from others: the ReplicaSet's name carries it.
    pub hash: u32,
    /// `terminationGracePeriodSeconds`.
    pub grace: Millis,
}

/// A workload that is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkload {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// `spec.replicas`.
    pub replicas: u32,
    /// Its pods.
    pub template: Template,
}

/// A workload.
#[derive(Debug)]
pub struct Workload {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) replicas: u32,
    pub(crate) template: Template,
    pub(crate) status: Counts,
    pub(crate) version: Version,
    /// Whether the object is gone.
    pub(crate) deleted: bool,
    /// Whether it has a deletion timestamp: its dependents go first.
    pub(crate) deleting: bool,
    /// Whether its dependents were left behind.
    pub(crate) orphaned: bool,
    pub(crate) generation: u64,
    /// `status.observedGeneration`.
    pub(crate) observed: u64,
    /// `status.terminatingReplicas`; a StatefulSet has none.
    pub(crate) terminating: u32,
    /// The counts that a watch was last told.
    pub(crate) told: Option<(u32, u32, u32)>,
    pub(crate) work: Work,
    pub(crate) spam: Spam,
    /// A Deployment's ReplicaSets, oldest first, those that are gone too.
    pub(crate) sets: Vec<ReplicaSet>,
    /// What a Deployment's sync has yet to do.
    pub(crate) steps: VecDeque<Step>,
    /// A StatefulSet's pods.
    pub(crate) ordinals: BTreeMap<u32, PodId>,
    /// A StatefulSet's active pods by node.
    pub(crate) on: Vec<u32>,
    /// A StatefulSet's sync.
    pub(crate) sync: OrdinalSync,
}

/// What a controller has last written into a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `status.replicas`.
    pub replicas: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
}

impl Workload {
    pub(crate) fn new(new: NewWorkload) -> Self {
        Self {
            name: new.name,
            kind: new.kind,
            replicas: new.replicas,
            template: new.template,
            status: Counts::default(),
            version: Version(1),
            deleted: false,
            deleting: false,
            orphaned: false,
            generation: 1,
            observed: 0,
            terminating: 0,
            told: None,
            work: Work::default(),
            spam: Spam::default(),
            sets: Vec::new(),
            steps: VecDeque::new(),
            ordinals: BTreeMap::new(),
            on: Vec::new(),
            sync: OrdinalSync::default(),
        }
    }
}

/// Adds or takes one, if it applies at all.
pub(crate) fn bump(count: &mut u32, applies: bool, counts_in: bool) {
    let one = u32::from(applies);
    *count = if counts_in { *count + one } else { *count - one };
}

impl Workload {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `spec.replicas`.
    #[must_use]
    pub fn replicas(&self) -> u32 {
        self.replicas
    }

    /// Its pods' template.
    #[must_use]
    pub fn template(&self) -> Template {
        self.template
    }

    /// What its controller has last written.
    #[must_use]
    pub fn status(&self) -> Counts {
        self.status
    }

    /// Its resource version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether it was deleted; its pods may still be there.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }
}
