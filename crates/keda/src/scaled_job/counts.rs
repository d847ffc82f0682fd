//! The Jobs of a ScaledJob as KEDA sees and counts them.

use model::Instant;

use crate::rules::{PendingConditions, ScaledJobRules};

/// A Job in KEDA's informer cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is finished: Complete or Failed is True.
    pub finished: Option<Finished>,
    /// `status.completionTime`, which only complete Jobs have.
    pub completion_time: Option<Instant>,
    /// When it was created.
    pub created: Instant,
    /// The annotation `scaledjob.keda.sh/generation`, as it is.
    pub generation: Option<&'a str>,
    /// Its pods, those that ended too. Only those of an unfinished Job matter.
    pub pods: &'a [PodView],
}

/// How a Job is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Its condition Complete is True.
    Complete,
    /// Its condition Failed is True.
    Failed,
}

/// A pod of a Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodView {
    /// Its phase.
    pub phase: PodPhase,
    /// Its conditions that are True.
    pub conditions: PodConditions,
}

/// A pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodPhase {
    /// Not all of its containers have been started, or none.
    #[default]
    Pending,
    /// It runs.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly, for good.
    Failed,
    /// The node does not answer.
    Unknown,
}

/// A set of pod conditions (k8s:staging/src/k8s.io/api/core/v1/types.go, `PodConditionType`).
/// Those of readiness gates are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodConditions(u8);

impl PodConditions {
    /// None.
    pub const NONE: Self = Self(0);
    /// `PodScheduled`.
    pub const POD_SCHEDULED: Self = Self(1);
    /// `PodReadyToStartContainers`.
    pub const READY_TO_START_CONTAINERS: Self = Self(1 << 1);
    /// `Initialized`.
    pub const INITIALIZED: Self = Self(1 << 2);
    /// `ContainersReady`.
    pub const CONTAINERS_READY: Self = Self(1 << 3);
    /// `Ready`.
    pub const READY: Self = Self(1 << 4);
    /// `DisruptionTarget`.
    pub const DISRUPTION_TARGET: Self = Self(1 << 5);

    /// The condition of that name; nothing if it is none of Kubernetes' own.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "PodScheduled" => Self::POD_SCHEDULED,
            "PodReadyToStartContainers" => Self::READY_TO_START_CONTAINERS,
            "Initialized" => Self::INITIALIZED,
            "ContainersReady" => Self::CONTAINERS_READY,
            "Ready" => Self::READY,
            "DisruptionTarget" => Self::DISRUPTION_TARGET,
            _ => return None,
        })
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// How many of `others` are among these.
    #[must_use]
    pub const fn shared(self, others: Self) -> u32 {
        (self.0 & others.0).count_ones()
    }
}

/// How many Jobs KEDA counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Unfinished ones, the pending ones among them, and those that are being deleted.
    pub running: i64,
    /// Unfinished ones whose pods do not yet count as started.
    pub pending: i64,
}

/// What makes a Job count as pending: `pendingPodConditions`, made ready for counting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pending {
    /// Every condition that is listed, as often as it is listed; one that no pod can have is nothing.
    listed: Box<[Option<PodConditions>]>,
}

impl Pending {
    /// The rule of this list; an empty one means the phase.
    #[must_use]
    pub fn of(listed: &[String]) -> Self {
        Self { listed: listed.iter().map(|name| PodConditions::of(name)).collect() }
    }

    /// Whether an unfinished Job with these pods is pending (`getPendingJobCount`).
    #[must_use]
    pub fn holds(&self, rules: &ScaledJobRules, pods: &[PodView]) -> bool {
        if self.listed.is_empty() {
            return !pods.iter().any(|pod| matches!(pod.phase, PodPhase::Running | PodPhase::Succeeded));
        }
        match rules.pending_conditions {
            PendingConditions::SumOverPods => {
                let fulfilled: usize = pods.iter().map(|pod| self.listed_in(*pod)).sum();
                fulfilled != self.listed.len()
            }
            PendingConditions::OnePodAll => {
                !pods.iter().any(|pod| self.distinct_in(*pod) == self.listed.len())
            }
        }
    }

    /// How many entries of the list the pod fulfils; one that is listed twice counts twice.
    fn listed_in(&self, pod: PodView) -> usize {
        self.listed.iter().flatten().filter(|condition| pod.conditions.shared(**condition) == 1).count()
    }

    /// How many different conditions of the list the pod fulfils: a list with a condition twice is
    /// never fulfilled (`areAllPendingPodConditionsFulfilled` compares a set with the list).
    fn distinct_in(&self, pod: PodView) -> usize {
        let all = self.listed.iter().flatten().fold(PodConditions::NONE, |all, one| all.and(*one));
        usize::try_from(pod.conditions.shared(all)).unwrap_or(usize::MAX)
    }
}

/// Counts the Jobs (`getRunningJobCount` and `getPendingJobCount`).
#[must_use]
pub fn count(rules: &ScaledJobRules, pending: &Pending, jobs: &[JobView<'_>]) -> Counts {
    let mut counts = Counts::default();
    for job in jobs.iter().filter(|job| job.finished.is_none()) {
        counts.running += 1;
        counts.pending += i64::from(pending.holds(rules, job.pods));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaled_job::tests::{job, rules};

    const RUNNING: PodView = PodView { phase: PodPhase::Running, conditions: PodConditions::NONE };
    const FAILED: PodView = PodView { phase: PodPhase::Failed, conditions: PodConditions::NONE };

    fn with(conditions: PodConditions) -> PodView {
        PodView { phase: PodPhase::Running, conditions }
    }

    fn pending(version: &str, listed: &[&str], pods: &[PodView]) -> bool {
        let listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        Pending::of(&listed).holds(rules(version), pods)
    }

    #[test]
    fn a_job_without_a_pod_that_runs_or_ran_is_pending() {
        assert!(pending("2.21.0", &[], &[]));
        assert!(pending("2.21.0", &[], &[PodView::default(), FAILED]));
        assert!(!pending("2.21.0", &[], &[FAILED, RUNNING]));
        assert!(!pending("2.21.0", &[], &[PodView { phase: PodPhase::Succeeded, ..RUNNING }]));
    }

    #[test]
    fn pending_jobs_count_as_running_and_finished_ones_do_not() {
        let mut done = job("a", Instant(0));
        done.finished = Some(Finished::Failed);
        let mut runs = job("b", Instant(0));
        runs.pods = &[RUNNING];
        let counts = count(rules("2.21.0"), &Pending::default(), &[done, runs, job("c", Instant(0))]);
        assert_eq!(counts, Counts { running: 2, pending: 1 });
    }

    #[test]
    fn conditions_must_hold_on_one_pod_since_2_18() {
        let spread = [with(PodConditions::READY), with(PodConditions::POD_SCHEDULED)];
        assert!(pending("2.18.0", &["Ready", "PodScheduled"], &spread));
        assert!(!pending("2.17.2", &["Ready", "PodScheduled"], &spread));
        let together = [with(PodConditions::READY.and(PodConditions::POD_SCHEDULED))];
        assert!(!pending("2.18.0", &["Ready", "PodScheduled"], &together));
        assert!(!pending("2.17.2", &["Ready", "PodScheduled"], &together));
    }

    #[test]
    fn two_ready_pods_were_one_too_many_until_2_17() {
        let two = [with(PodConditions::READY), with(PodConditions::READY)];
        assert!(pending("2.17.2", &["Ready"], &two));
        assert!(!pending("2.18.0", &["Ready"], &two));
    }

    #[test]
    fn a_condition_listed_twice_is_never_fulfilled_since_2_18() {
        let ready = [with(PodConditions::READY)];
        assert!(pending("2.18.0", &["Ready", "Ready"], &ready));
        assert!(!pending("2.17.2", &["Ready", "Ready"], &ready));
    }

    #[test]
    fn a_condition_that_no_pod_has_keeps_jobs_pending() {
        assert!(pending("2.21.0", &["example.com/ready"], &[with(PodConditions::READY)]));
        assert!(!pending("2.21.0", &["Ready"], &[with(PodConditions::READY)]));
    }
}
