//! What a kubelet publishes of a pod: phase, conditions, container statuses.

use model::Instant;

/// A pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// A container was never started.
    Pending,
    /// Every container was started once, and one runs or will be started again.
    Running,
    /// Every container ended with 0 and stays that way.
    Succeeded,
    /// Every container ended, one of them not with 0, or the pod was deleted before it ran.
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

/// A pod's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodStatus {
    /// Its phase.
    pub phase: Phase,
    /// When the kubelet took it.
    pub start_time: Instant,
    /// Its conditions, `PodScheduled` aside, which is the scheduler's.
    pub conditions: Vec<Condition>,
    /// The init containers, in the order of the spec.
    pub init_containers: Vec<ContainerStatus>,
    /// The containers, in the order of the spec.
    pub containers: Vec<ContainerStatus>,
}

impl PodStatus {
    /// Whether the condition `Ready` is true.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == ConditionKind::Ready && condition.holds)
    }
}

/// A condition's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The sandbox and its network are there.
    PodReadyToStartContainers,
    /// The init containers are done.
    Initialized,
    /// The pod is ready.
    Ready,
    /// Its containers are ready.
    ContainersReady,
}

impl ConditionKind {
    /// All of them, in the order in which a kubelet lists them.
    pub const ALL: [Self; 4] =
        [Self::PodReadyToStartContainers, Self::Initialized, Self::Ready, Self::ContainersReady];

    /// As the API writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodReadyToStartContainers => "PodReadyToStartContainers",
            Self::Initialized => "Initialized",
            Self::Ready => "Ready",
            Self::ContainersReady => "ContainersReady",
        }
    }
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: ConditionKind,
    /// Whether it is true.
    pub holds: bool,
    /// Since when.
    pub since: Instant,
    /// One word, or nothing.
    pub reason: &'static str,
    /// A sentence, or nothing.
    pub message: String,
}

/// A container's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerStatus {
    /// What it does now.
    pub state: ContainerState,
    /// How it ended last, if it was started again or waits for that.
    pub last: Option<Termination>,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it runs.
    pub started: bool,
    /// How often it was started again.
    pub restarts: u32,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// It waits.
    Waiting {
        /// For what, in one word.
        reason: &'static str,
        /// A sentence, or nothing.
        message: String,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Instant,
    },
    /// It ended.
    Terminated(Termination),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Termination {
    /// Its exit code; 128 + n after signal n.
    pub code: i32,
    /// When it was started; nothing if it never was.
    pub started: Option<Instant>,
    /// When it ended.
    pub finished: Instant,
}

impl Termination {
    /// The reason in one word.
    ///
    /// Source: Kubernetes 1.35.4, containerd's CRI plugin (`Completed`, `Error`) and
    /// `pkg/kubelet/container/runtime.go`, `ContainerReasonStatusUnknown`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match (self.started, self.code) {
            (None, _) => "ContainerStatusUnknown",
            (Some(_), 0) => "Completed",
            (Some(_), _) => "Error",
        }
    }

    /// A sentence, or nothing.
    #[must_use]
    pub fn message(&self) -> &'static str {
        if self.started.is_none() {
            "The container could not be located when the pod was terminated"
        } else {
            ""
        }
    }
}
