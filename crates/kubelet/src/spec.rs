//! What of a pod's specification its life depends on.
//!
//! Pods of one template have equal specs, so whoever runs many of them can share one.

use model::Millis;

/// A pod's specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodSpec {
    /// Whether containers that end are started again.
    pub restart_policy: RestartPolicy,
    /// `terminationGracePeriodSeconds`.
    pub grace: Millis,
    /// Whether the containers see each other's processes, so that PID 1 is the pause container's.
    pub share_process_namespace: bool,
    /// The init containers in order; those that restart always are sidecars.
    pub init_containers: Vec<ContainerSpec>,
    /// The containers in order.
    pub containers: Vec<ContainerSpec>,
}

/// A container's specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerSpec {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// For an init container: whether it runs beside the pod's containers instead of before them.
    pub sidecar: bool,
    /// What runs before the container is told to stop.
    pub pre_stop: Option<Millis>,
    /// When it counts as ready; without a probe, as soon as it runs.
    pub readiness: Option<ReadinessProbe>,
}

/// Whether containers that end are started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RestartPolicy {
    /// Whatever their exit code: pods of a Deployment.
    #[default]
    Always,
    /// Unless they exit with 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// Whether a container that exited with `code` is started again.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/container/helpers.go`, `ShouldContainerBeRestarted`.
    #[must_use]
    pub fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }
}

/// A readiness probe: asked every period, and believed after so many equal answers.
///
/// Nothing is really executed. A command's probe succeeds while the agent listens; a plain
/// container's probe, and one over HTTP, TCP or gRPC, succeeds from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReadinessProbe {
    /// Whether it is a command (`exec`), which stands for asking the agent.
    pub asks_the_agent: bool,
    /// `initialDelaySeconds`.
    pub initial_delay: Millis,
    /// `periodSeconds`.
    pub period: Millis,
    /// `successThreshold`.
    pub success_threshold: u32,
    /// `failureThreshold`.
    pub failure_threshold: u32,
}

impl Default for ReadinessProbe {
    /// Source: Kubernetes 1.35.4, `pkg/apis/core/v1/defaults.go`, `SetDefaults_Probe`.
    fn default() -> Self {
        Self {
            asks_the_agent: false,
            initial_delay: Millis::ZERO,
            period: Millis::seconds(10),
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}
