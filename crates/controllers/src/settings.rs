//! What the real components let one set, and how long things take.

use model::{Millis, MillisRange};

/// From a request's way to the API server until it took effect. An assumption for a small cluster with etcd
/// on an SSD.
pub const CALL: MillisRange = MillisRange { least: Millis(2), most: Millis(8) };
/// From a change until a controller's informer has it. An assumption.
pub const WATCH: MillisRange = MillisRange { least: Millis(1), most: Millis(4) };
/// From a pod's creation until the scheduler binds it. An assumption: nothing else competes for the nodes.
/// Measured on the local engine: 6 ms to 11 ms of its machine's time.
pub const SCHEDULING: MillisRange = MillisRange { least: Millis(5), most: Millis(15) };
/// `--kube-api-qps` of the controller-manager: requests a second and controller
/// (Kubernetes 1.35.4, `pkg/controller/apis/config/v1alpha1/defaults.go`).
pub const MANAGER_QPS: u32 = 20;
/// `--kube-api-burst` of the controller-manager.
pub const MANAGER_BURST: u32 = 30;
/// The scheduler's client (Kubernetes 1.35.4, `pkg/scheduler/apis/config/v1/defaults.go`,
/// `SetDefaults_KubeSchedulerConfiguration`).
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
/// Nodes of a zone that get the taint `NoExecute`, one in that time: `--node-eviction-rate` of 0.1 a second.
pub const TAINT_INTERVAL: Millis = Millis::seconds(10);
/// With more nodes silent than this, and this share of all, no more taints are set in a cluster of up to 50
/// nodes: `--unhealthy-zone-threshold` (Kubernetes 1.35.4, `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, `ComputeZoneState`,
/// `ReducedQPSFunc`).
pub const UNHEALTHY_NODES: usize = 2;
/// The share, in percent, from the same place.
pub const UNHEALTHY_PERCENT: usize = 55;
/// Up to so many nodes of a zone: `--large-cluster-size-threshold`.
pub const LARGE_CLUSTER: usize = 50;
/// How often the pods of nodes that are gone are looked for (Kubernetes 1.35.4,
/// `pkg/controller/podgc/gc_controller.go`, `gcCheckPeriod`).
pub const POD_GC: Millis = Millis::seconds(20);
/// How long they are left alone then (the same file, `quarantineTime`).
pub const POD_GC_QUARANTINE: Millis = Millis::seconds(40);
/// Pods that a controller creates or deletes in one sync (Kubernetes 1.35.4,
/// `pkg/controller/replicaset/replica_set.go`, `BurstReplicas`;
/// `pkg/controller/job/job_controller.go`, `MaxPodCreateDeletePerSync`).
pub const PODS_PER_SYNC: u32 = 500;
/// A Job waits that long after an event of a pod before it is looked at (Kubernetes 1.35.4,
/// `pkg/controller/job/job_controller.go`, `SyncJobBatchPeriod`).
pub const JOB_BATCH: Millis = Millis::seconds(1);

/// Delays and limits of a [`crate::Cluster`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From a request's way to the API server until it took effect and its answer is back.
    pub call: MillisRange,
    /// From a change until whoever watches it has it: the lag of everything that is derived, of a status for
    /// example.
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

impl Settings {
    /// The same on a control plane whose clocks run so many times faster than its machine: what
    /// the machine takes for calls, watches and scheduling takes that many times longer.
    #[must_use]
    pub fn at_speed(self, speed: u32) -> Self {
        let slower = |range: MillisRange| MillisRange {
            least: Millis(range.least.0.saturating_mul(u64::from(speed))),
            most: Millis(range.most.0.saturating_mul(u64::from(speed))),
        };
        Self {
            call: slower(self.call),
            watch: slower(self.watch),
            scheduling: slower(self.scheduling),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_clock_makes_the_machine_slower_and_nothing_else() {
        let settings = Settings::default().at_speed(20);
        assert_eq!(settings.scheduling, MillisRange { least: Millis(100), most: Millis(300) });
        assert_eq!(settings.call.least, Millis(CALL.least.0 * 20));
        assert_eq!((settings.qps, settings.node_grace), (MANAGER_QPS, NODE_GRACE));
        assert_eq!(Settings::default().at_speed(1), Settings::default());
    }
}
