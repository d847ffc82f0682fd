//! What the real components let one set, and how long things take.

use model::{Millis, MillisRange};

/// From a request's way to the API server until it took effect. An assumption for a small cluster with etcd on an SSD.
pub const CALL: MillisRange = MillisRange { least: Millis(2), most: Millis(8) };
/// From a change until a controller's informer has it. An assumption.
pub const WATCH: MillisRange = MillisRange { least: Millis(1), most: Millis(4) };
/// From a pod's creation until the scheduler binds it. An assumption: nothing else competes for the nodes.
pub const SCHEDULING: MillisRange = MillisRange { least: Millis(10), most: Millis(60) };
/// `--kube-api-qps` of the controller-manager: requests a second and controller
/// (controller-manager 0.35.4, `config/v1alpha1/defaults.go`, `RecommendedDefaultGenericControllerManagerConfiguration`).
pub const MANAGER_QPS: u32 = 20;
/// `--kube-api-burst` of the controller-manager.
pub const MANAGER_BURST: u32 = 30;
/// The scheduler's client (Kubernetes 1.35.4, `pkg/scheduler/apis/config/v1/defaults.go`, `SetDefaults_KubeSchedulerConfiguration`).
pub const SCHEDULER_QPS: u32 = 50;
/// The burst of the scheduler's client, from the same place.
pub const SCHEDULER_BURST: u32 = 100;
/// Workers of each controller (Kubernetes 1.35.4, `--concurrent-deployment-syncs` and its siblings).
pub const WORKERS: u32 = 5;
/// `--node-monitor-grace-period`: without a lease for that long a node is not ready. 40 s up to 1.31.
pub const NODE_GRACE: Millis = Millis::seconds(50);
/// `--node-monitor-period`.
pub const NODE_MONITOR: Millis = Millis::seconds(5);
/// How often a kubelet renews its lease: a quarter of its duration of 40 s (`pkg/kubelet/kubelet.go`).
pub const LEASE_RENEWAL: Millis = Millis::seconds(10);
/// How long a pod tolerates a node that is not ready or not reachable
/// (Kubernetes 1.35.4, `plugin/pkg/admission/defaulttolerationseconds/admission.go`).
pub const TOLERATION: Millis = Millis::seconds(300);

/// Delays and limits of a [`crate::Cluster`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From a request's way to the API server until it took effect and its answer is back.
    pub call: MillisRange,
    /// From a change until whoever watches it has it: the lag of everything that is derived, of a status for example.
    pub watch: MillisRange,
    /// From a pod's creation, or from the moment that there is room for it, until it is bound.
    pub scheduling: MillisRange,
    /// Requests a second of each controller's client.
    pub qps: u32,
    /// Requests at once of each controller's client.
    pub burst: u32,
    /// Without a lease for that long a node is not ready.
    pub node_grace: Millis,
    /// How far the run's start is into a second of the wall clock: the API's times have whole seconds.
    pub second_offset: Millis,
    /// Whether [`crate::Action::Saw`] is wanted.
    pub facts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call: CALL,
            watch: WATCH,
            scheduling: SCHEDULING,
            qps: MANAGER_QPS,
            burst: MANAGER_BURST,
            node_grace: NODE_GRACE,
            second_offset: Millis::ZERO,
            facts: true,
        }
    }
}
