//! A ScaledJob's Kubernetes Jobs: created in time and for work that was seen, never more than the maximum, never
//! deleted unfinished.

use model::event::ScaleTarget;
use model::{Instant, Millis};
use semver::Version;
use serde_json::Value;

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule};
use crate::bounds::creating;
use crate::count::version;
use crate::disturbances;
use crate::history::History;
use crate::report::Severity;
use crate::words::span;

const LATE: Rule = Rule {
    name: "late_job_creation",
    severity: Severity::Violation,
    about: "with no unfinished Job, the poll that reads work creates one (any strategy but custom)",
    source: "keda pkg/scaling/executor/scale_jobs.go, RequestJobScale and getScalingDecision",
};
const WITHOUT_DEMAND: Rule = Rule {
    name: "job_creation_without_demand",
    severity: Severity::Violation,
    about: "Jobs beyond minReplicaCount are created only in a poll that reads work",
    source: "keda pkg/scaling/executor/scale_jobs.go, RequestJobScale",
};
const ABOVE_MAX: Rule = Rule {
    name: "unfinished_jobs_above_max",
    severity: Severity::Violation,
    about: "unfinished Jobs never exceed maxReplicaCount (strategies default, accurate and eager)",
    source: "keda pkg/scaling/executor/scale_jobs.go, GetEffectiveMaxScale of each strategy",
};
const DELETED: Rule = Rule {
    name: "unfinished_job_deleted",
    severity: Severity::Violation,
    about: "no unfinished Job is deleted: KEDA does so only when its spec changed, before 2.14.1 at every reconcile",
    source: "keda controllers/keda/scaledjob_controller.go, deletePreviousVersionScaleJobs",
};

/// Until a changed ScaledJob's old Jobs are deleted.
const ROLLOUT: Millis = Millis::seconds(60);

pub(super) const RULES: &[Rule] = &[LATE, WITHOUT_DEMAND, ABOVE_MAX, DELETED];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let objects: Vec<&String> = history
        .targets
        .iter()
        .filter(|(_, target)| target.scale.scaler == "ScaledJob")
        .map(|(name, _)| name)
        .collect();
    if objects.is_empty() {
        return;
    }
    judge_deletions(history, judged);
    if objects.len() > 1 {
        for (object, rule) in
            objects.iter().flat_map(|object| [LATE, WITHOUT_DEMAND, ABOVE_MAX].map(|rule| (*object, rule)))
        {
            judged.skip(
                &rule,
                object.clone(),
                "there are several ScaledJobs, and a Job does not tell whose it is",
            );
        }
        return;
    }
    judge_maximum(history, judged);
    let tracked = tracked(history, "ScaledJob", |object, because| {
        judged.skip(&LATE, object.clone(), because.clone());
        judged.skip(&WITHOUT_DEMAND, object, because);
    });
    for tracking in &tracked {
        for disturbance in tracking.disturbances.iter().filter(|one| one.decides) {
            for rule in [LATE, WITHOUT_DEMAND] {
                judged.skip(&rule, tracking.subject.clone(), disturbance.sentence());
            }
        }
        judge_demand(tracking, judged);
        judge_lateness(tracking, judged);
    }
}

fn judge_deletions(history: &History, judged: &mut Judged) {
    let until = history.judged_until();
    let rollouts = rollouts(history);
    for (name, job) in &history.kubernetes_jobs {
        let Some(deleted) = job.deleted.filter(|deleted| *deleted < until || history.draining.is_none())
        else {
            continue;
        };
        let rolled_out = rollouts.iter().any(|(from, to)| *from <= deleted && deleted <= *to);
        if job.finished.is_none_or(|finished| finished > deleted) && !rolled_out {
            judged.find(
                &DELETED,
                deleted,
                Breach {
                    subject: format!("Job/{name}"),
                    measured: "deleted unfinished".to_owned(),
                    bound: "deleted only when Complete or Failed".to_owned(),
                    because: "its pod goes with it, whatever its agent does".to_owned(),
                },
            );
        }
    }
}

/// When KEDA deletes what an older spec made: after a change of the ScaledJob unless its rollout is gradual,
/// and before 2.14.1 whenever its operator starts (kedacore/keda#5656).
fn rollouts(history: &History) -> Vec<(Instant, Instant)> {
    let mut spans = Vec::new();
    for (object, target) in history.targets.iter().filter(|(_, target)| target.scale.scaler == "ScaledJob") {
        for fault in &history.faults {
            let scale = target.scale_at(fault.from);
            let text = |path| scale.spec.pointer(path).and_then(Value::as_str);
            let gradual = [text("/rollout/strategy"), text("/rolloutStrategy")].contains(&Some("gradual"));
            let old = version(&target.scale.keda).is_some_and(|keda| keda < Version::new(2, 14, 1));
            if !gradual && (fault.edits(object).is_some() || (old && fault.restarts_keda())) {
                spans.push((fault.from, fault.from + ROLLOUT + disturbances::restart(history)));
            }
        }
    }
    spans
}

fn judge_maximum(history: &History, judged: &mut Judged) {
    for target in history.targets.values().filter(|target| target.scale.scaler == "ScaledJob") {
        let eras = target.eras();
        let may = |scale: &ScaleTarget| scale.strategy.as_deref() == Some("custom") || scale.min > scale.max;
        if eras.iter().any(|(_, scale, _)| may(scale)) {
            judged.skip(
                &ABOVE_MAX,
                target.scale.name.clone(),
                "strategy custom, or a minimum above the maximum, may exceed it",
            );
            continue;
        }
        let unfinished = history.unfinished_kubernetes_jobs();
        let until = history.judged_until();
        // Jobs that an earlier maximum allowed are left to end.
        let max = |at: Instant| {
            let known = eras.iter().filter(|(from, ..)| *from <= at);
            known.map(|(_, scale, _)| scale.max).max().unwrap_or(target.scale.max)
        };
        if let Some(above) = unfinished.plateaus(until).find(|plateau| plateau.value > max(plateau.from)) {
            let max = max(above.from);
            judged.find(
                &ABOVE_MAX,
                above.from,
                Breach {
                    subject: format!("ScaledJob/{}", target.scale.name),
                    measured: format!(
                        "{} unfinished Jobs for {}",
                        above.value,
                        span(above.until.since(above.from))
                    ),
                    bound: format!("at most {max}"),
                    because: format!("maxReplicaCount is {max}"),
                },
            );
        }
    }
}

fn judge_demand(tracking: &Tracking, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    for change in tracking.replicas.changes() {
        if change.to <= change.from || change.to <= tracking.scale.min || !tracking.judges(change.at) {
            continue;
        }
        let most = creating(tracking.scale.max);
        let since = change.at - bounds.read - bounds.slack - most;
        let seen = tracking.seen_between(since, change.at + bounds.slack);
        if !seen.iter().any(|seen| seen.good && seen.active) {
            judged.find(
                &WITHOUT_DEMAND,
                change.at,
                Breach {
                    subject: tracking.subject.clone(),
                    measured: format!("unfinished Jobs went from {} to {}", change.from, change.to),
                    bound: "a poll that reads work first".to_owned(),
                    because: format!(
                        "no read in the {} before found work that counts",
                        span(change.at.since(since))
                    ),
                },
            );
        }
    }
}

fn judge_lateness(tracking: &Tracking, judged: &mut Judged) {
    if tracking.scale.strategy.as_deref() == Some("custom") {
        judged.skip(&LATE, tracking.subject.clone(), "strategy custom may hold Jobs back");
        return;
    }
    let allowed = tracking.bounds.activation();
    for plateau in tracking.replicas.plateaus(tracking.until).filter(|plateau| plateau.value == 0) {
        let mut wanted: Option<Instant> = None;
        let start = plateau.from.max(tracking.start());
        let seen = tracking.seen_between(start, plateau.until);
        let last = [(plateau.until, false)];
        for (at, wants) in seen.iter().map(|seen| (seen.at, seen.good && seen.active)).chain(last) {
            let took = |since: Instant| at.since(since) - tracking.disturbed_between(since, at);
            if let Some(since) = wanted.filter(|since| took(*since) > allowed) {
                judged.find(
                    &LATE,
                    since + allowed,
                    Breach {
                        subject: tracking.subject.clone(),
                        measured: format!("no Job {} after a poll read work", span(at.since(since))),
                        bound: format!("created within {}", span(allowed)),
                        because:
                            "the poll that reads work creates Jobs, unless as many are unfinished already"
                                .to_owned(),
                    },
                );
                break;
            }
            wanted = if wants { wanted.or(Some(at)) } else { None };
        }
    }
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Source};

    use crate::testing::Log;

    /// Two builds at 60, seen by the poll at 75; a Kubernetes Job for each at `created`.
    fn two_jobs(created: u64) -> Log {
        let log = Log::scaled_job().reads(15, 30, 500).job(1, 1, (60, 150, 290)).job(2, 2, (60, 150, 290));
        let log =
            log.kubernetes_job("agents-a", created, Some(300)).kubernetes_job("agents-b", created, Some(310));
        log.end(500, Outcome::DurationReached)
    }

    #[test]
    fn the_poll_that_reads_work_creates_jobs() {
        assert_eq!(two_jobs(76).found("late_job_creation"), []);
        assert!(two_jobs(130).only("late_job_creation").measured.starts_with("no Job"));
        let custom = two_jobs(130).target(|target| target.strategy = Some("custom".into()));
        assert_eq!(custom.found("late_job_creation"), []);
    }

    #[test]
    fn jobs_are_created_for_work_only() {
        assert_eq!(two_jobs(76).found("job_creation_without_demand"), []);
        assert_eq!(
            two_jobs(50).only("job_creation_without_demand").measured,
            "unfinished Jobs went from 0 to 2"
        );
        // A minimum needs no work.
        assert_eq!(two_jobs(50).target(|target| target.min = 2).found("job_creation_without_demand"), []);
    }

    #[test]
    fn unfinished_jobs_never_exceed_the_maximum() {
        assert_eq!(two_jobs(76).target(|target| target.max = 2).found("unfinished_jobs_above_max"), []);
        let above = two_jobs(76).target(|target| target.max = 1);
        assert_eq!(above.only("unfinished_jobs_above_max").measured, "2 unfinished Jobs for 3m44s");
        let custom = above.target(|target| target.strategy = Some("custom".into()));
        assert_eq!(custom.found("unfinished_jobs_above_max"), []);
    }

    #[test]
    fn an_unfinished_job_is_not_deleted() {
        let deleted = |at| {
            two_jobs(76).fact(at, Source::Kubernetes, Fact::KubernetesJobDeleted { job: "agents-a".into() })
        };
        assert_eq!(deleted(400).found("unfinished_job_deleted"), []);
        assert_eq!(deleted(200).only("unfinished_job_deleted").subject, "Job/agents-a");
    }

    #[test]
    fn the_runs_own_deletion_is_not_keda_s() {
        let log = two_jobs(76).kubernetes_job("agents-c", 100, None);
        let log = log.fact(501, Source::Kubernetes, Fact::KubernetesJobDeleted { job: "agents-c".into() });
        assert_eq!(log.found("unfinished_job_deleted"), []);
    }
}
