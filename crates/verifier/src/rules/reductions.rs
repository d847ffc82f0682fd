//! Reductions of a ScaledObject's replicas: not before the window or the cool-down is over, and not long after.

use model::{Instant, Millis};

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule};
use crate::bounds::LAST_ACTIVE_ROUNDING;
use crate::history::{Change, History, Plateau};
use crate::report::Severity;
use crate::words::span;

const EARLY: Rule = Rule {
    name: "early_reduction",
    severity: Severity::Violation,
    about: "replicas fall only after the scale-down window, or to zero after the cool-down, and never while reads fail",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, stabilizeRecommendation; \
             keda pkg/scaling/executor/scale_scaledobjects.go, scaleToZeroOrIdle",
};
const LATE: Rule = Rule {
    name: "late_return",
    severity: Severity::Violation,
    about: "replicas fall in the first HPA sync after the scale-down window, or to zero in the first poll after the cool-down",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, stabilizeRecommendation; \
             keda pkg/scaling/executor/scale_scaledobjects.go, scaleToZeroOrIdle",
};

pub(super) const RULES: &[Rule] = &[EARLY, LATE];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let tracked = tracked(history, "ScaledObject", |object, because| {
        for rule in RULES {
            judged.skip(rule, object.clone(), because.clone());
        }
    });
    for tracking in &tracked {
        for disturbance in tracking.disturbances.iter().filter(|one| one.decides) {
            for rule in RULES {
                judged.skip(rule, tracking.subject.clone(), disturbance.sentence());
            }
        }
        for disturbance in tracking.disturbances.iter().filter(|one| one.rests && !one.decides) {
            let because = format!("the last replicas, {}", disturbance.sentence());
            judged.skip(&EARLY, tracking.subject.clone(), because);
        }
        let reductions = tracking.replicas.changes().filter(|change| change.to < change.from);
        for change in reductions.filter(|change| tracking.judges(change.at)) {
            if tracking.rest() == Some(change.to) && change.to < tracking.floor() {
                if tracking.judges_rest(change.at) {
                    judge_early_rest(tracking, change, judged);
                }
            } else if change.from <= tracking.scale.max {
                judge_early_sync(tracking, change, judged);
            }
        }
        for plateau in tracking.replicas.plateaus(tracking.until) {
            judge_late_sync(tracking, plateau, judged);
            judge_late_rest(tracking, plateau, judged);
        }
        if !tracking.hpa.lowers_at_once() {
            judged.skip(&LATE, tracking.subject.clone(), "its scaleDown policies lower it step by step");
        }
    }
}

/// When a sync last had a proposal of at least `replicas`, at the earliest, before `before`; and the proposal's count.
fn last_proposal(tracking: &Tracking, replicas: u32, before: Instant) -> Option<(Instant, u64)> {
    let mut last = None;
    let mut since: Option<Instant> = None;
    for seen in tracking.seen_between(Instant::START, before) {
        let running = tracking.replicas.at(seen.at).is_some_and(|now| now > 0);
        if !seen.good || !running || seen.low < replicas {
            since = None;
            continue;
        }
        let start = *since.get_or_insert(seen.at);
        if tracking.only_syncs_read {
            last = Some((seen.at, seen.count));
        } else if seen.at.since(start) >= tracking.bounds.sync + tracking.bounds.slack {
            // Polls read too. In so long a span of such reads one at least was a sync's.
            last = Some((seen.at - tracking.bounds.sync - tracking.bounds.slack, seen.count));
        }
    }
    // An HPA that sees its target first, or again after it forgot everything, takes the replicas that it finds
    // for a proposal.
    let found = tracking.restarts.iter().copied().chain([tracking.target.at]).filter(|at| *at <= before);
    let found =
        found.filter_map(|at| Some((at, tracking.replicas.at(at).filter(|found| *found >= replicas)?)));
    last.into_iter().chain(found.map(|(at, count)| (at, count.into()))).max_by_key(|(at, _)| *at)
}

fn judge_early_sync(tracking: &Tracking, change: Change, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    let breach = |bound: String, because: String| Breach {
        subject: tracking.subject.clone(),
        measured: format!("lowered from {} to {}", change.from, change.to),
        bound,
        because,
    };
    if tracking.hpa.never_lowers() {
        judged.find(
            &EARLY,
            change.at,
            breach("never".into(), "scaleDown is disabled in the HPA's behavior".into()),
        );
        return;
    }
    // With cached metrics a sync is answered from the last poll.
    let within = bounds.sync + if tracking.is_cached { bounds.poll } else { Millis::ZERO };
    let recent = tracking.seen_between(change.at - within - bounds.slack, change.at + bounds.slack);
    if !recent.iter().any(|seen| seen.good) {
        let because = format!(
            "no read of the queue succeeded in the {} before, and without a metric the HPA does not scale",
            span(within)
        );
        judged.find(&EARLY, change.at, breach("not before a read succeeds".into(), because));
        return;
    }
    let Some((proposed, count)) = last_proposal(tracking, change.to.saturating_add(1), change.at) else {
        return;
    };
    let earliest = proposed + bounds.window - bounds.slack;
    if change.at < earliest {
        let because = format!(
            "{} before, the queue still asked for more than {}: it held {count} jobs that count, and the HPA keeps the highest proposal of the last {}",
            span(change.at.since(proposed)),
            change.to,
            span(bounds.window)
        );
        judged.find(&EARLY, change.at, breach(format!("not before {earliest}"), because));
    }
}

fn judge_early_rest(tracking: &Tracking, change: Change, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    let breach = |bound: String, because: String| Breach {
        subject: tracking.subject.clone(),
        measured: format!("lowered from {} to {}", change.from, change.to),
        bound,
        because,
    };
    let since = change.at - bounds.poll - bounds.read - bounds.read - bounds.slack;
    let recent = tracking.seen_between(since, change.at + bounds.slack);
    if !recent.iter().any(|seen| seen.good && !seen.active) {
        let because = format!(
            "no read in the {} before found the queue empty, and only such a poll takes the last replicas away",
            span(change.at.since(since))
        );
        judged.find(&EARLY, change.at, breach("not before a poll finds no work".into(), because));
        return;
    }
    let active =
        tracking.seen_between(Instant::START, change.at).iter().rfind(|seen| seen.good && seen.active);
    let Some(active) = active else { return };
    // Only polls move lastActiveTime, and the read that is known may be an HPA sync's.
    let poll = active.at - bounds.poll - bounds.read;
    let earliest = poll + bounds.cooldown - LAST_ACTIVE_ROUNDING - bounds.slack;
    if change.at < earliest {
        let because = format!(
            "the queue still held {} jobs that count {} before, and cooldownPeriod is {}",
            active.count,
            span(change.at.since(active.at)),
            span(bounds.cooldown)
        );
        judged.find(&EARLY, change.at, breach(format!("not before {earliest}"), because));
    }
}

/// A reason to stay, and until when it is one.
struct Reason {
    at: Instant,
    until: Instant,
}

fn judge_late_sync(tracking: &Tracking, plateau: Plateau, judged: &mut Judged) {
    if plateau.value <= tracking.floor() || tracking.hpa.never_lowers() || !tracking.hpa.lowers_at_once() {
        return;
    }
    let bounds = &tracking.bounds;
    let allowed = bounds.window + bounds.syncs(1 + bounds.syncs_per_conflict) + bounds.slack;
    let allowed = allowed + if tracking.is_cached { bounds.poll } else { Millis::ZERO };
    let start = tracking.start();
    if start >= plateau.until {
        return;
    }
    let mut reason = Reason { at: start, until: start + allowed };
    let mut restarts = tracking.restarts.iter().copied().filter(|at| *at >= start).peekable();
    for seen in tracking.seen_between(start, plateau.until) {
        while let Some(at) = restarts.next_if(|at| *at <= seen.at) {
            // The HPA forgot its proposals, and keeps the replicas that it finds for a window.
            if tracking.replicas.at(at) == Some(plateau.value) {
                reason = Reason { at, until: at + allowed };
            }
        }
        if seen.good && seen.high >= plateau.value {
            if late_until(tracking, plateau, &reason, seen.at, judged) {
                return;
            }
            reason = Reason { at: seen.at, until: seen.at + allowed };
        } else if !seen.good {
            // A failed read never scales, and costs a sync.
            reason.until += bounds.sync;
        }
    }
    late_until(tracking, plateau, &reason, plateau.until, judged);
}

fn late_until(
    tracking: &Tracking,
    plateau: Plateau,
    reason: &Reason,
    until: Instant,
    judged: &mut Judged,
) -> bool {
    let deadline = (reason.until + tracking.blind_between(reason.at, until))
        .max(plateau.from + tracking.bounds.sync + tracking.bounds.slack);
    if until <= deadline {
        return false;
    }
    judged.find(
        &LATE,
        deadline,
        Breach {
            subject: tracking.subject.clone(),
            measured: format!(
                "still {} replicas {} after the queue last asked for them",
                plateau.value,
                span(until.since(reason.at))
            ),
            bound: format!("lowered within {}", span(deadline.since(reason.at))),
            because: format!(
                "the HPA keeps its highest proposal for {} and lowers in the next sync, at most {} later",
                span(tracking.bounds.window),
                span(tracking.bounds.sync)
            ),
        },
    );
    true
}

fn judge_late_rest(tracking: &Tracking, plateau: Plateau, judged: &mut Judged) {
    let Some(rest) = tracking.rest().filter(|rest| plateau.value > *rest) else { return };
    let bounds = &tracking.bounds;
    // One more poll for a write that met a conflict.
    let allowed = bounds.cooldown + bounds.poll + bounds.poll + bounds.read + bounds.read + bounds.slack;
    let mut reason: Option<Instant> = None;
    let judge_at = |reason: Option<Instant>, until: Instant, judged: &mut Judged| {
        let Some(since) = reason else { return false };
        let since = since.max(tracking.from);
        let deadline = (since + allowed + tracking.disturbed_between(since, until))
            .max(plateau.from + bounds.poll + bounds.poll + bounds.read + bounds.slack);
        if until <= deadline {
            return false;
        }
        judged.find(&LATE, deadline, Breach {
            subject: tracking.subject.clone(),
            measured: format!("still {} replicas {} after the last read that found work", plateau.value, span(until.since(since))),
            bound: format!("lowered to {rest} within {}", span(deadline.since(since))),
            because: format!(
                "cooldownPeriod is {}, and the first poll after it takes the last replicas away; polls are {} apart",
                span(bounds.cooldown), span(bounds.poll)
            ),
        });
        true
    };
    for seen in tracking.seen_between(Instant::START, plateau.until) {
        let stays = seen.active || !seen.good;
        if stays && (seen.good || reason.is_some()) {
            if seen.at > plateau.from && judge_at(reason, seen.at, judged) {
                return;
            }
            reason = Some(seen.at);
        }
    }
    judge_at(reason, plateau.until, judged);
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Source};
    use serde_json::json;

    use crate::testing::{Log, article};

    fn lowered(changes: &[(u64, u32)]) -> Log {
        let log =
            article().without(|fact| matches!(fact, Fact::Replicas { .. })).replicas(1, 1).replicas(66, 4);
        changes.iter().fold(log, |log, (at, replicas)| log.replicas(*at, *replicas))
    }

    /// One job from 60 to 200 on a pool that may scale to zero after 60 s; KEDA lowers it at `zero`.
    fn to_zero(zero: u64) -> Log {
        let log = Log::new().target(|target| (target.min, target.cooldown_s) = (0, 60)).replicas(1, 0);
        let log = log.reads(15, 30, 500).reads(80, 15, zero).replicas(76, 1).agent_pod(77, 1);
        log.job(1, 1, (60, 92, 200)).replicas(zero, 0).end(500, Outcome::Settled)
    }

    #[test]
    fn replicas_fall_after_the_window_and_not_before() {
        assert_eq!(article().found("early_reduction"), []);
        let finding = lowered(&[(640, 3), (696, 1)]).only("early_reduction");
        assert_eq!(finding.measured, "lowered from 4 to 3");
        assert!(finding.because.contains("held 4 jobs"), "{}", finding.because);
        // Three jobs were read at 380 last, so one is too early although three is not.
        assert_eq!(lowered(&[(666, 1)]).only("early_reduction").measured, "lowered from 4 to 1");
    }

    #[test]
    fn where_polls_read_too_one_read_proves_no_sync() {
        let polled =
            lowered(&[(640, 3), (696, 1)]).target(|target| (target.min, target.cooldown_s) = (0, 900));
        assert_eq!(polled.found("early_reduction"), []);
        let much_earlier =
            lowered(&[(560, 3), (696, 1)]).target(|target| (target.min, target.cooldown_s) = (0, 900));
        assert_eq!(much_earlier.only("early_reduction").measured, "lowered from 4 to 3");
    }

    #[test]
    fn replicas_stay_while_reads_fail() {
        let log = lowered(&[(666, 3), (696, 1)]);
        assert_eq!(log.found("early_reduction"), []);
        let failing = log.unread(675, 700).answered(680, 503, 5).answered(695, 503, 5);
        assert!(failing.only("early_reduction").because.contains("no read of the queue succeeded"));
    }

    #[test]
    fn a_behavior_that_never_lowers_is_obeyed() {
        let never = lowered(&[])
            .target(|target| target.behavior = Some(json!({ "scaleDown": { "selectPolicy": "Disabled" } })));
        assert_eq!((never.found("early_reduction").len(), never.found("late_return").len()), (0, 0));
        assert_eq!(never.replicas(700, 1).only("early_reduction").bound, "never");
    }

    #[test]
    fn zero_comes_after_the_cool_down_and_not_before() {
        assert_eq!(to_zero(286).found("early_reduction"), []);
        let finding = to_zero(216).only("early_reduction");
        assert!(finding.because.contains("cooldownPeriod is 1m"), "{}", finding.because);
    }

    #[test]
    fn zero_needs_a_poll_that_finds_no_work() {
        let failing =
            to_zero(286).unread(220, 290).answered(225, 503, 5).answered(255, 503, 5).answered(285, 503, 5);
        assert!(failing.only("early_reduction").because.contains("no read"));
    }

    #[test]
    fn replicas_fall_in_the_first_sync_after_the_window() {
        assert_eq!(article().found("late_return"), []);
        let longer = |changes: &[(u64, u32)]| lowered(changes).reads(725, 15, 900).end(900, Outcome::Settled);
        assert_eq!(longer(&[(666, 3), (696, 1)]).found("late_return"), []);
        let finding = longer(&[(720, 1)]).only("late_return");
        assert!(finding.measured.starts_with("still 4 replicas 6m10s after"), "{}", finding.measured);
        assert_eq!(longer(&[(666, 3)]).found("late_return").len(), 1);
    }

    #[test]
    fn a_failed_read_delays_the_return() {
        let failing =
            lowered(&[(682, 3), (700, 1)]).unread(660, 700).answered(665, 503, 5).reads(680, 15, 700);
        assert_eq!(failing.found("late_return"), []);
        let good = lowered(&[(682, 3), (700, 1)]);
        assert_eq!(good.found("late_return").len(), 1);
    }

    #[test]
    fn zero_comes_in_the_first_poll_after_the_cool_down() {
        assert_eq!(to_zero(286).found("late_return"), []);
        assert!(to_zero(400).only("late_return").bound.starts_with("lowered to 0 within"));
    }

    #[test]
    fn an_hpa_that_cannot_read_delays_the_return() {
        let conditions = |active: &str| [("ScalingActive".to_owned(), active.to_owned())].into();
        let status = |active: &str| Fact::HpaStatus {
            hpa: "keda-hpa-agents".into(),
            current: 4,
            desired: 4,
            conditions: conditions(active),
        };
        let late = lowered(&[(710, 1)]);
        assert_eq!(late.found("late_return").len(), 1);
        let blind = late.fact(640, Source::Kubernetes, status("False/FailedGetExternalMetric"));
        assert_eq!(
            blind.fact(700, Source::Kubernetes, status("True/ValidMetricFound")).found("late_return"),
            []
        );
    }
}
