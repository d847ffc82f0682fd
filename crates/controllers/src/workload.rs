//! A Deployment or a StatefulSet as the API has it.

use std::sync::Arc;

use model::Millis;

use crate::ids::Version;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) replicas: u32,
    pub(crate) template: Template,
    pub(crate) status: Counts,
    pub(crate) version: Version,
    pub(crate) deleted: bool,
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
