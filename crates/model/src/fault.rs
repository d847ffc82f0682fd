//! What goes wrong in a scenario, and when: faults of the service, of KEDA and
//! Kubernetes, of nodes and pods, and changes that somebody makes in mid-run.
//!
//! All times count from the moment that everything is in place, as the load's do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::Millis;

pub mod service;

pub use service::{Budget, CalledBy, NamedAnswer, Route, ServiceAnswer, ServiceFault, Shown};

/// What is told of a fault of a pod when none fits.
pub const NO_POD_FITS: &str = "no pod fits";

/// One fault, or one change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Azure DevOps answers otherwise for a while.
    Service(ServiceFault),
    /// A program of the cluster is killed and started again.
    Restart(Restart),
    /// The processes of a pod's containers are killed.
    PodKill(PodFault),
    /// Somebody deletes a pod.
    PodDelete(PodFault),
    /// A node and everything on it vanishes without a word.
    NodeLoss(NodeLoss),
    /// Somebody changes an object.
    Edit(Edit),
    /// Another version of KEDA takes over.
    KedaUpgrade(KedaUpgrade),
}

impl Fault {
    /// When it begins.
    #[must_use]
    pub fn at(&self) -> Millis {
        match self {
            Self::Service(fault) => fault.from,
            Self::Restart(restart) => restart.at,
            Self::PodKill(fault) | Self::PodDelete(fault) => fault.at,
            Self::NodeLoss(loss) => loss.from,
            Self::Edit(edit) => edit.at,
            Self::KedaUpgrade(upgrade) => upgrade.at,
        }
    }

    /// When it ends, if it lasts.
    #[must_use]
    pub fn until(&self) -> Option<Millis> {
        match self {
            Self::Service(fault) => fault.to,
            Self::NodeLoss(loss) => loss.to,
            _ => None,
        }
    }

    /// It, in a few words.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Service(fault) => fault.what(),
            Self::Restart(Restart { what: Program::KedaOperator, .. }) => "keda-operator restarts".to_owned(),
            Self::Restart(Restart { what: Program::KubeControllerManager, .. }) => {
                "kube-controller-manager restarts".to_owned()
            }
            Self::PodKill(fault) => format!("{} is killed", fault.pod.what()),
            Self::PodDelete(fault) => format!("{} is deleted", fault.pod.what()),
            Self::NodeLoss(loss) => format!("node {} is lost", loss.node),
            Self::Edit(edit) => format!("{} is changed", edit.object),
            Self::KedaUpgrade(upgrade) => format!("KEDA becomes {}", upgrade.version),
        }
    }
}

/// A program of the cluster is killed and started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// When.
    pub at: Millis,
    /// Which.
    pub what: Program,
}

/// A program of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// KEDA's operator: its loops and caches are gone.
    KedaOperator,
    /// Kubernetes' controllers: the HPA's history and every back-off are gone.
    KubeControllerManager,
}

/// Something happens to one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PodFault {
    /// When.
    pub at: Millis,
    /// To which: the oldest that fits.
    #[serde(default)]
    pub pod: WhichPod,
}

/// Which pods fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhichPod {
    /// One whose agent has a job.
    Busy,
    /// One whose agent listens and has none.
    Idle,
    /// Any that runs.
    #[default]
    Any,
}

impl WhichPod {
    fn what(self) -> &'static str {
        match self {
            Self::Busy => "the oldest busy pod",
            Self::Idle => "the oldest idle pod",
            Self::Any => "the oldest running pod",
        }
    }
}

/// A node and everything on it vanishes without a word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeLoss {
    /// From when.
    pub from: Millis,
    /// When it is back, with nothing on it; never, if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Millis>,
    /// Which node, counted from 1.
    #[serde(default = "first")]
    pub node: u32,
}

fn first() -> u32 {
    1
}

/// Somebody changes an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// When.
    pub at: Millis,
    /// Which object of the manifests, as `ScaledObject/name`.
    pub object: String,
    /// What is merged into it: a JSON merge patch.
    pub patch: serde_json::Map<String, serde_json::Value>,
}

/// Another version of KEDA takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KedaUpgrade {
    /// When.
    pub at: Millis,
    /// Which version.
    pub version: String,
}
