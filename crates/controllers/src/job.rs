//! A Kubernetes Job as the API has it.

use std::sync::Arc;

use model::{Instant, Millis};

use crate::ids::PodId;

/// Job's backoffLimit (Kubernetes 1.35.4, `pkg/apis/batch/v1/defaults.go`, `SetDefaults_Job`).
pub const BACKOFF_LIMIT: u32 = 6;
/// Pod's terminationGracePeriodSeconds (`staging/src/k8s.io/api/core/v1/types.go`, `DefaultTerminationGracePeriodSeconds`).
pub const GRACE: Millis = Millis::seconds(30);

/// When the pod that replaces another is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodReplacement {
    /// As soon as the other is being deleted or has failed; the default without a pod failure policy.
    #[default]
    TerminatingOrFailed,
    /// Only once the other has failed.
    Failed,
}

/// What becomes of a Job's containers that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// The pod ends with them.
    #[default]
    Never,
    /// One that failed is started again in place.
    OnFailure,
}

/// What a Job asks for, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobSpec {
    /// Pods at once.
    pub parallelism: u32,
    /// Pods that must succeed; nothing: one success is enough, and then no new pod.
    pub completions: Option<u32>,
    /// Failures before the Job fails.
    pub backoff_limit: u32,
    /// The longest it may be active.
    pub active_deadline: Option<Millis>,
    /// How long it is kept once finished.
    pub ttl: Option<Millis>,
    /// When a pod is replaced.
    pub replacement: PodReplacement,
    /// Its pods' restart policy.
    pub restart_policy: RestartPolicy,
    /// Its pods' `terminationGracePeriodSeconds`.
    pub grace: Millis,
}

impl Default for JobSpec {
    fn default() -> Self {
        Self {
            parallelism: 1,
            completions: Some(1),
            backoff_limit: BACKOFF_LIMIT,
            active_deadline: None,
            ttl: None,
            replacement: PodReplacement::default(),
            restart_policy: RestartPolicy::default(),
            grace: GRACE,
        }
    }
}

/// A Job that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewJob<'n> {
    /// `metadata.generateName`: five characters are added.
    pub generate_name: &'n str,
    /// Whom it belongs to, in the caller's own counting: the label `scaledjob.keda.sh/name`.
    pub scaled_job: u32,
    /// The annotation `scaledjob.keda.sh/generation`.
    pub generation: u64,
    /// What it asks for.
    pub spec: JobSpec,
}

/// A Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub(crate) name: Arc<str>,
    pub(crate) scaled_job: u32,
    pub(crate) generation: u64,
    pub(crate) spec: JobSpec,
    pub(crate) created: Instant,
    pub(crate) pods: Vec<PodId>,
    pub(crate) finished: Option<Finished>,
    pub(crate) deleting: bool,
}

/// That a Job has the condition `Complete` or `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// When it got it.
    pub at: Instant,
    /// Whether it is `Complete`; only then there is a `completionTime`, which is the same instant.
    pub succeeded: bool,
    /// The condition's reason: `CompletionsReached`, `BackoffLimitExceeded` or `DeadlineExceeded`.
    pub because: &'static str,
}

impl Job {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whom it belongs to.
    #[must_use]
    pub fn scaled_job(&self) -> u32 {
        self.scaled_job
    }

    /// The annotation `scaledjob.keda.sh/generation`.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        &self.spec
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.created
    }

    /// Whether and how it has finished.
    #[must_use]
    pub fn finished(&self) -> Option<Finished> {
        self.finished
    }

    /// `status.completionTime`.
    #[must_use]
    pub fn completion_time(&self) -> Option<Instant> {
        self.finished.filter(|finished| finished.succeeded).map(|finished| finished.at)
    }

    /// Whether it has a deletion timestamp.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.deleting
    }

    /// Its pods that exist, ended ones too, oldest first.
    #[must_use]
    pub fn pods(&self) -> &[PodId] {
        &self.pods
    }
}
