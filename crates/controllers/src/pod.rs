//! A pod as the API has it.

use std::sync::Arc;

use model::{Instant, Millis};

use crate::ids::{JobId, NodeId, Uid, WorkloadId};

/// A pod's phase. `Unknown` is not written by any kubelet since 1.22 and is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A container was never started.
    Pending,
    /// Every container was started once, and one runs or will be started again.
    Running,
    /// Every container ended with 0 and stays that way.
    Succeeded,
    /// Every container ended, one of them not with 0.
    Failed,
}

impl Phase {
    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// Whether a pod never leaves this phase.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// The conditions of a pod that are `True`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions(u8);

impl Conditions {
    /// None is true.
    pub const NONE: Self = Self(0);
    /// It has a node.
    pub const POD_SCHEDULED: Self = Self(1);
    /// The sandbox and its network are there.
    pub const POD_READY_TO_START_CONTAINERS: Self = Self(2);
    /// The init containers are done.
    pub const INITIALIZED: Self = Self(4);
    /// Its containers are ready.
    pub const CONTAINERS_READY: Self = Self(8);
    /// It is ready.
    pub const READY: Self = Self(16);

    /// These and those.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// The condition of this type as the API writes it; nothing for a type that no kubelet sets.
    #[must_use]
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "PodScheduled" => Some(Self::POD_SCHEDULED),
            "PodReadyToStartContainers" => Some(Self::POD_READY_TO_START_CONTAINERS),
            "Initialized" => Some(Self::INITIALIZED),
            "ContainersReady" => Some(Self::CONTAINERS_READY),
            "Ready" => Some(Self::READY),
            _ => None,
        }
    }
}

/// How often a pod's containers were started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restarts {
    /// The most of any container that is no init container.
    pub most: u32,
    /// The most of any init container with `restartPolicy: Always`.
    pub most_of_sidecars: u32,
    /// Of all containers, init containers too.
    pub sum: u32,
}

/// What a kubelet writes into a pod's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodReport {
    /// Its phase.
    pub phase: Phase,
    /// The conditions that are true; `PodScheduled` is the scheduler's and is added.
    pub conditions: Conditions,
    /// Restarts.
    pub restarts: Restarts,
    /// When the last container ended, if all of them have.
    pub finished: Option<Instant>,
}

/// Who owns a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// A ReplicaSet of a Deployment, counted from zero.
    ReplicaSet(WorkloadId, u16),
    /// A StatefulSet; the pod's ordinal.
    StatefulSet(WorkloadId, u32),
    /// A Job.
    Job(JobId),
}

/// That a pod has a deletion timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// When its deletion was asked for.
    pub at: Instant,
    /// `deletionGracePeriodSeconds`.
    pub grace: Millis,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub(crate) name: Arc<str>,
    pub(crate) uid: Uid,
    pub(crate) owner: Owner,
    pub(crate) template: u32,
    pub(crate) grace: Millis,
    pub(crate) created: Instant,
    pub(crate) reserved: Option<NodeId>,
    pub(crate) node: Option<NodeId>,
    pub(crate) phase: Phase,
    pub(crate) conditions: Conditions,
    pub(crate) ready_changed: Option<Instant>,
    pub(crate) restarts: Restarts,
    pub(crate) finished: Option<Instant>,
    pub(crate) deletion: Option<Deletion>,
    /// Whether it has the finalizer `batch.kubernetes.io/job-tracking`.
    pub(crate) tracked: bool,
    pub(crate) cost: i32,
    /// Whether its owner left it behind.
    pub(crate) orphan: bool,
    pub(crate) told_running: bool,
    pub(crate) told_ready: bool,
    pub(crate) told_ended: bool,
}

impl Pod {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its UID.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// Its owner.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// The hash of the template that it was made from.
    #[must_use]
    pub fn template(&self) -> u32 {
        self.template
    }

    /// `terminationGracePeriodSeconds`.
    #[must_use]
    pub fn grace(&self) -> Millis {
        self.grace
    }

    /// When it was created, to the millisecond; the API has whole seconds.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.created
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// Its phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The conditions that are true.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.has(Conditions::READY)
    }

    /// Restarts.
    #[must_use]
    pub fn restarts(&self) -> Restarts {
        self.restarts
    }

    /// Its deletion timestamp, if it has one.
    #[must_use]
    pub fn deletion(&self) -> Option<Deletion> {
        self.deletion
    }

    /// Whether controllers count it: neither ended nor terminating.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/controller/controller_utils.go`, `IsPodActive`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.phase.is_terminal() && self.deletion.is_none()
    }

    /// Whether it is going but has not ended.
    ///
    /// Source: the same file, `IsPodTerminating`.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !self.phase.is_terminal() && self.deletion.is_some()
    }
}
