//! How many Jobs a poll of a ScaledJob makes.
//!
//! Sources: kedacore/keda pkg/scaling/executor/scale_jobs.go (`RequestJobScale`, `getScalingDecision`, each
//! strategy's `GetEffectiveMaxScale`, `createJobs`), pkg/scaling/scaledjob/metrics.go (`IsScaledJobActive`),
//! apis/keda/v1alpha1/scaledjob_types.go (`MinReplicaCount`, `MaxReplicaCount`).

use std::collections::BTreeMap;

use model::event::ScaleTarget;
use model::{Instant, Millis};
use semver::Version;
use serde_json::Value;

use crate::count::version;
use crate::history::{History, KubernetesJob, Pod, Steps};

/// The maximum of a ScaledJob that names none; it is not lessened by the minimum.
const DEFAULT_MAX: i64 = 100;

/// So many counts that a poll may have found are tried.
const MOST_CHOICES: usize = 200;

/// A ScaledJob's rules.
#[derive(Debug, Clone)]
pub(crate) struct JobRules {
    min: i64,
    /// The maximum beyond the minimum.
    room: i64,
    strategy: Strategy,
    calculation: Calculation,
    /// Whether what "pending" means depends on conditions of pods that the log does not have.
    pub(crate) pending_unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Strategy {
    Default,
    Custom {
        deduction: i64,
        percentage: f64,
    },
    /// `late` up to 2.18: pending Jobs are not taken off what runs (kedacore/keda#7329).
    Accurate {
        late: bool,
    },
    Eager,
}

/// scalingStrategy.multipleScalersCalculation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calculation {
    Max,
    Min,
    Avg,
    Sum,
}

/// What a trigger told a poll; none for one that failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    /// The jobs that count.
    pub(crate) count: u64,
    /// Jobs for one replica.
    pub(crate) target: u64,
    /// Whether the trigger is active.
    pub(crate) active: bool,
}

/// The Jobs that a poll may have found: the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Unfinished.
    pub(crate) running: (u32, u32),
    /// Of them, without a pod that runs.
    pub(crate) pending: (u32, u32),
}

impl Counts {
    /// Around an instant, since KEDA's informer and the watch that wrote the log both lag. Jobs made after
    /// it are the poll's own, and not among what it found.
    pub(crate) fn around(
        history: &History,
        (unfinished, pending): (&Steps, &Steps),
        at: Instant,
        slack: Millis,
    ) -> Self {
        let soon = |when: Option<Instant>| when.is_some_and(|when| when > at && when <= at + slack);
        let old = |job: &KubernetesJob| job.created.is_some_and(|created| created < at);
        let ended =
            history.kubernetes_jobs.values().filter(|job| old(job) && soon(job.finished.or(job.deleted)));
        let ended = ended.count();
        let started = history.pods.iter().filter(|pod| soon(pod.running)).count();
        let range = |steps: &Steps, fewer: usize| {
            let now = found(history, steps, at);
            let fewer = now.saturating_sub(u32::try_from(fewer).unwrap_or(u32::MAX));
            let before = steps.values(at - slack, Instant(at.0.saturating_sub(1)));
            before.fold((fewer, now), |(least, most), value| (least.min(value), most.max(value)))
        };
        Self { running: range(unfinished, ended), pending: range(pending, ended + started) }
    }
}

/// What a poll found at an instant: all but what was made in it.
pub(crate) fn found(history: &History, steps: &Steps, at: Instant) -> u32 {
    let made = history.jobs_made.iter().skip(history.jobs_made.partition_point(|made| *made < at));
    let made = made.take_while(|made| **made == at).count();
    steps.at(at).unwrap_or_default().saturating_sub(u32::try_from(made).unwrap_or(u32::MAX))
}

/// A poll's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    /// How many Jobs it makes.
    pub(crate) number: u32,
    /// How that comes about.
    pub(crate) because: String,
}

impl JobRules {
    /// The rules of a ScaledJob, or why they are not known.
    pub(crate) fn of(scale: &ScaleTarget) -> Result<Self, String> {
        let keda =
            version(&scale.keda).ok_or_else(|| format!("`{}` is not a version of KEDA", scale.keda))?;
        let spec = |path: &str| scale.spec.pointer(path).filter(|value| !value.is_null());
        let (min, max) = (i64::from(scale.min), i64::from(scale.max));
        let unset = scale.spec.is_object() && spec("/maxReplicaCount").is_none();
        let room = match (unset, min > max) {
            (true, _) => DEFAULT_MAX,
            (false, true) => max,
            (false, false) => max - min,
        };
        let conditions = spec("/scalingStrategy/pendingPodConditions").and_then(Value::as_array);
        let strategy = Strategy::of(scale, &keda)?;
        let calculation = match spec("/scalingStrategy/multipleScalersCalculation").and_then(Value::as_str) {
            Some("min") => Calculation::Min,
            Some("avg") => Calculation::Avg,
            Some("sum") => Calculation::Sum,
            None if scale.triggers.len() > 1 && !scale.spec.is_object() => {
                return Err(
                    "it has several triggers, and the log does not say how they are combined".to_owned()
                );
            }
            _ => Calculation::Max,
        };
        Ok(Self {
            min: if unset { min } else { min.min(max) },
            room,
            strategy,
            calculation,
            pending_unknown: conditions.is_some_and(|list| !list.is_empty())
                && matches!(strategy, Strategy::Accurate { .. } | Strategy::Eager),
        })
    }

    /// How many Jobs a poll makes that finds these unfinished Jobs, of them so many pending.
    pub(crate) fn number(&self, queues: &[Queue], (running, pending): (u32, u32)) -> u32 {
        let running = i64::from(running);
        if running < self.min {
            return whole(self.min - running);
        }
        let (active, length, scale) = self.combined(queues);
        let (effective, to) = self.effective(scale, length, running - self.min, i64::from(pending));
        if active { whole(effective.min(to)) } else { 0 }
    }

    /// The least and the most that a poll may make which finds counts like these.
    pub(crate) fn range(&self, queues: &[Queue], counts: &Counts) -> (u32, u32) {
        let ((least, most), (fewest, greatest)) = (counts.running, counts.pending);
        let mut range = (u32::MAX, 0);
        for running in (least..=most).take(MOST_CHOICES) {
            for pending in (fewest..=greatest).take(MOST_CHOICES) {
                let number = self.number(queues, (running, pending));
                range = (range.0.min(number), range.1.max(number));
            }
        }
        range
    }

    /// The same as [`Self::number`], with how that comes about.
    pub(crate) fn made(&self, queues: &[Queue], (running, pending): (u32, u32)) -> Made {
        let number = self.number(queues, (running, pending));
        let missing = self.min - i64::from(running);
        if missing > 0 {
            let because = format!("minReplicaCount {} - running {running} = {missing}", self.min);
            return Made { number, because };
        }
        let (active, length, scale) = self.combined(queues);
        if !active {
            return Made { number, because: "no trigger is active".to_owned() };
        }
        let (beyond, pending) = (i64::from(running) - self.min, i64::from(pending));
        let (effective, to) = self.effective(scale, length, beyond, pending);
        let runs = if self.min > 0 {
            format!("(running {running} - minReplicaCount {})", self.min)
        } else {
            format!("running {running}")
        };
        let room = self.room;
        let formula = match self.strategy {
            Strategy::Default => format!("default strategy: maxScale {scale} - {runs}"),
            Strategy::Custom { deduction, percentage } => {
                format!("custom strategy: maxScale {scale} - deduction {deduction} - {percentage} of {runs}")
            }
            Strategy::Accurate { late } if scale + beyond - if late { 0 } else { pending } > room => {
                format!("accurate strategy: maximum {room} - {runs}")
            }
            Strategy::Accurate { .. } => format!("accurate strategy: maxScale {scale} - pending {pending}"),
            Strategy::Eager => format!(
                "eager strategy: the less of maxScale {scale} and maximum {room} - {runs} - pending {pending}"
            ),
        };
        let capped = if to < effective { format!(", but {to} in the queue") } else { String::new() };
        Made { number, because: format!("{formula} = {effective}{capped}") }
    }

    /// `GetEffectiveMaxScale` of the strategy.
    fn effective(&self, scale: i64, length: i64, beyond: i64, pending: i64) -> (i64, i64) {
        match self.strategy {
            Strategy::Default => (scale - beyond, length),
            Strategy::Custom { deduction, percentage } => (
                scale.saturating_sub(deduction).saturating_sub(portion(beyond, percentage)).min(self.room),
                length,
            ),
            Strategy::Accurate { late } => {
                let above = scale + beyond - if late { 0 } else { pending } > self.room;
                (if above { self.room - beyond } else { scale - pending }, length)
            }
            Strategy::Eager => ((self.room - beyond - pending).min(scale), self.room),
        }
    }

    /// Whether any trigger is active, the queue's length and the Jobs wanted for it.
    fn combined(&self, queues: &[Queue]) -> (bool, i64, i64) {
        #[expect(clippy::cast_precision_loss, reason = "counts of jobs stay far below 2^52")]
        let one = |queue: &Queue| {
            let wanted = if queue.target == 0 {
                0.0
            } else {
                (queue.count as f64 / queue.target as f64).min(self.room as f64)
            };
            (queue.count as f64, wanted)
        };
        let active: Vec<(f64, f64)> = queues.iter().filter(|queue| queue.active).map(one).collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of triggers")]
        let number = active.len() as f64;
        let sum = active.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let (length, wanted) = match self.calculation {
            _ if active.is_empty() => (0.0, 0.0),
            Calculation::Sum => sum,
            Calculation::Avg => (sum.0 / number, sum.1 / number),
            Calculation::Min => active
                .iter()
                .copied()
                .fold((0.0, 0.0), |least, one| if least.0 == 0.0 || one.0 < least.0 { one } else { least }),
            Calculation::Max => {
                active.iter().copied().fold((0.0, 0.0), |most, one| if one.0 > most.0 { one } else { most })
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "a maximum stays far below 2^52")]
        let wanted = wanted.min(self.room as f64);
        (!active.is_empty() || self.min > 0, ceiling(length), ceiling(wanted))
    }
}

impl Strategy {
    fn of(scale: &ScaleTarget, keda: &Version) -> Result<Self, String> {
        let strategy = scale.spec.get("scalingStrategy");
        let custom = |key: &str| strategy.and_then(|strategy| strategy.get(key));
        let since = |minor| *keda >= Version::new(2, minor, 0);
        Ok(match scale.strategy.as_deref() {
            Some("custom") if !scale.spec.is_object() => {
                return Err("the numbers of its custom strategy are not in the log".to_owned());
            }
            Some("custom") => {
                let percentage = custom("customScalingRunningJobPercentage").and_then(Value::as_str);
                let deduction = custom("customScalingQueueLengthDeduction").and_then(Value::as_i64);
                match percentage.and_then(|text| text.parse().ok()) {
                    Some(percentage) => Self::Custom { deduction: deduction.unwrap_or_default(), percentage },
                    None => Self::Default,
                }
            }
            Some("accurate") => Self::Accurate { late: !since(19) },
            Some("eager") if since(15) => Self::Eager,
            _ => Self::Default,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts of jobs stay far below 2^63")]
fn ceiling(number: f64) -> i64 {
    number.ceil() as i64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "KEDA truncates too; counts of Jobs stay far below 2^52"
)]
fn portion(of: i64, percentage: f64) -> i64 {
    (of as f64 * percentage) as i64
}

fn whole(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

/// Unfinished Jobs without a pod that runs or has succeeded, over time (`isAnyPodRunningOrCompleted`).
pub(crate) fn pending_jobs(history: &History) -> Steps {
    let mut pods: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
    for pod in &history.pods {
        let owner = pod.owner.as_deref().and_then(|owner| owner.strip_prefix("Job/"));
        if let Some(owner) = owner {
            pods.entry(owner).or_default().push(pod);
        }
    }
    let mut deltas = vec![(Instant::START, 0)];
    for (name, job) in &history.kubernetes_jobs {
        let Some((from, to)) = unfinished_span(job, history.end) else { continue };
        let of_job = pods.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
        let active = of_job.iter().filter_map(|pod| {
            let running = pod.running?;
            let failed = pod.ended.filter(|_| pod.failed);
            Some((running, failed.or(pod.gone).unwrap_or(history.end)))
        });
        let mut at = from;
        let mut spans: Vec<_> = active.collect();
        spans.sort_unstable();
        for (start, end) in spans.into_iter().chain([(to, to)]) {
            let start = start.min(to);
            if start > at {
                deltas.extend([(at, 1), (start, -1)]);
            }
            at = at.max(end);
        }
    }
    Steps::counting(deltas)
}

fn unfinished_span(job: &KubernetesJob, end: Instant) -> Option<(Instant, Instant)> {
    let from = job.created?;
    let to = job.finished.or(job.deleted).unwrap_or(Instant(end.0.saturating_add(1)));
    Some((from, to.max(from)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::Log;

    /// What a poll makes: strategy, KEDA's version, then queue, target, minimum, maximum, running and pending.
    fn made(strategy: &Value, keda: &str, numbers: [u32; 6]) -> u32 {
        let [queue, target, min, max, running, pending] = numbers;
        let log = Log::scaled_job().keda(keda).target(|scale| {
            (scale.min, scale.max) = (min, max);
            scale.strategy = strategy.get("strategy").and_then(Value::as_str).map(str::to_owned);
            scale.spec = json!({ "scalingStrategy": strategy, "maxReplicaCount": max });
        });
        let history = History::of(log.events());
        let rules = JobRules::of(&history.targets["ScaledJob/agents"].scale).expect("rules");
        let queue = Queue { count: queue.into(), target: target.into(), active: queue > 0 };
        rules.made(&[queue], (running, pending)).number
    }

    #[test]
    fn each_strategy_makes_what_keda_makes() {
        let default = json!({ "strategy": "default" });
        let accurate = json!({ "strategy": "accurate" });
        let eager = json!({ "strategy": "eager" });
        let custom = |deduction: i32| {
            json!({ "strategy": "custom", "customScalingQueueLengthDeduction": deduction,
                    "customScalingRunningJobPercentage": "0.5" })
        };
        for (strategy, keda, numbers, expected) in [
            (&default, "2.21.0", [5, 1, 0, 10, 3, 1], 2),
            (&default, "2.21.0", [12, 5, 0, 100, 0, 0], 3),
            (&default, "2.21.0", [2, 1, 0, 10, 10, 0], 0),
            (&default, "2.21.0", [9, 1, 2, 10, 1, 0], 1),
            (&default, "2.21.0", [9, 1, 2, 10, 4, 0], 6),
            (&default, "2.21.0", [7, 1, 6, 4, 4, 0], 4),
            (&accurate, "2.19.0", [8, 1, 0, 10, 5, 2], 5),
            (&accurate, "2.19.0", [6, 1, 0, 10, 5, 2], 4),
            (&accurate, "2.19.0", [2, 1, 0, 20, 10, 0], 2),
            (&accurate, "2.19.0", [4, 1, 2, 8, 5, 1], 3),
            (&accurate, "2.18.3", [6, 1, 0, 10, 5, 2], 5),
            (&eager, "2.21.0", [3, 1, 0, 10, 4, 1], 3),
            (&eager, "2.21.0", [12, 1, 1, 9, 3, 1], 5),
            (&custom(1), "2.21.0", [10, 1, 0, 20, 7, 0], 6),
            (&custom(0), "2.21.0", [100, 1, 0, 100, 50, 0], 75),
        ] {
            assert_eq!(made(strategy, keda, numbers), expected, "{strategy} {keda} {numbers:?}");
        }
    }

    #[test]
    fn a_job_is_pending_until_a_pod_of_it_runs_and_again_when_that_failed() {
        let log = Log::scaled_job().kubernetes_job("agents-1", 10, Some(100)).job_pod(12, 20, "agents-1");
        let pending = pending_jobs(&History::of(log.events()));
        let points: Vec<(u64, u32)> =
            pending.points().iter().map(|point| (point.at.0 / 1000, point.value)).collect();
        assert_eq!(points, [(0, 0), (10, 1), (20, 0)]);
    }
}
