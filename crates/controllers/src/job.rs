//! A Kubernetes Job as the API has it.

mod back_off;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use model::{Instant, Millis};

use crate::client::Spam;
use crate::ids::PodId;
use crate::queue::Work;

use back_off::BackOff;
use sync::Sync;

/// Job's backoffLimit (Kubernetes 1.35.4, `pkg/apis/batch/v1/defaults.go`, `SetDefaults_Job`).
pub const BACKOFF_LIMIT: u32 = 6;
/// Pod's terminationGracePeriodSeconds (`staging/src/k8s.io/api/core/v1/types.go`,
/// `DefaultTerminationGracePeriodSeconds`).
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
#[derive(Debug)]
pub struct Job {
    pub(crate) name: Arc<str>,
    pub(crate) scaled_job: u32,
    pub(crate) generation: u64,
    pub(crate) spec: JobSpec,
    pub(crate) created: Instant,
    pub(crate) pods: Vec<PodId>,
    pub(crate) finished: Option<Finished>,
    /// Whether it has a deletion timestamp: its pods go first.
    pub(crate) deleting: bool,
    pub(crate) work: Work,
    /// What its controller has last written.
    status: Status,
    spam: Spam,
    back_off: BackOff,
    sync: Option<Box<Sync>>,
}

/// A Job's status, the end aside.
#[derive(Debug, Clone, Default)]
struct Status {
    start: Option<Instant>,
    active: u32,
    ready: u32,
    terminating: u32,
    succeeded: u32,
    failed: u32,
    /// Pods that are counted once their finalizer is gone.
    uncounted_succeeded: Vec<PodId>,
    uncounted_failed: Vec<PodId>,
    /// `SuccessCriteriaMet` or `FailureTarget`, with the reason.
    interim: Option<(bool, &'static str)>,
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
    pub(crate) fn new(now: Instant, name: Arc<str>, new: &NewJob<'_>) -> Self {
        Self {
            name,
            scaled_job: new.scaled_job,
            generation: new.generation,
            spec: new.spec,
            created: now,
            pods: Vec::new(),
            finished: None,
            deleting: false,
            work: Work::default(),
            status: Status::default(),
            spam: Spam::default(),
            back_off: BackOff::default(),
            sync: None,
        }
    }

    /// The controller-manager ends.
    pub(crate) fn forget(&mut self) {
        self.work = Work::default();
        self.spam = Spam::default();
        self.back_off = BackOff::default();
        self.sync = None;
    }

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

    /// `status.startTime`: when its controller first looked at it.
    #[must_use]
    pub fn start_time(&self) -> Option<Instant> {
        self.status.start
    }

    /// `status.active`.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.status.active
    }

    /// `status.succeeded`.
    #[must_use]
    pub fn succeeded(&self) -> u32 {
        self.status.succeeded
    }

    /// `status.failed`.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.status.failed
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
