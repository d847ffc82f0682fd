//! Raises of a ScaledObject's replicas: only for work that was seen, in time, and no faster than the HPA can.

use model::{Instant, Millis};

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule};
use crate::history::{Change, History, Plateau};
use crate::hpa::SYNC_PERIOD;
use crate::report::Severity;
use crate::words::span;

const WITHOUT_DEMAND: Rule = Rule {
    name: "raise_without_demand",
    severity: Severity::Violation,
    about: "replicas rise only to what the queue, as KEDA read it, asked for within the HPA's window",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, stabilizeRecommendation; \
             keda pkg/scaling/executor/scale_scaledobjects.go, RequestScale",
};
const LATE: Rule = Rule {
    name: "late_raise",
    severity: Severity::Violation,
    about: "replicas rise within a poll (from zero) or an HPA sync (from one) once the queue asks for more",
    source: "keda pkg/scaling/scale_handler.go, startScaleLoop; \
             kubernetes pkg/controller/podautoscaler/horizontal.go, reconcileAutoscaler",
};
const BEYOND_GROWTH: Rule = Rule {
    name: "raise_beyond_growth_limit",
    severity: Severity::Inconclusive,
    about: "one HPA sync raises by no more than its growth limit, and syncs are 15 s apart: nothing else may raise",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, calculateScaleUpLimit and \
             calculateScaleUpLimitWithScalingRules",
};

pub(super) const RULES: &[Rule] = &[WITHOUT_DEMAND, LATE, BEYOND_GROWTH];

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
        let raises = tracking.replicas.changes().filter(|change| change.to > change.from);
        for change in raises.filter(|change| tracking.judges(change.at)) {
            judge_demand(tracking, change, judged);
            judge_growth(tracking, change, judged);
        }
        for plateau in tracking.replicas.plateaus(tracking.until) {
            judge_lateness(tracking, plateau, judged);
        }
    }
}

/// Whether a change is KEDA's own: out of zero or of the idle count, or up to the minimum.
fn is_activation(tracking: &Tracking, change: Change) -> bool {
    change.from == 0 || tracking.scale.idle == Some(change.from) || change.to <= tracking.scale.min
}

fn judge_demand(tracking: &Tracking, change: Change, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    // The HPA's own minimum needs no demand, nor does KEDA's.
    if change.to <= tracking.scale.min {
        return;
    }
    // The HPA may be answered with what the last poll read.
    let cached = if tracking.is_cached { bounds.poll } else { Millis::ZERO };
    let (since, what) = if is_activation(tracking, change) {
        (change.at - bounds.poll - bounds.read - bounds.slack, "a poll")
    } else if tracking.hpa.window_pulls_up() {
        (change.at - bounds.window - bounds.sync - cached - bounds.slack, "the scale-down window")
    } else {
        (change.at - bounds.sync - cached - bounds.slack, "an HPA sync")
    };
    let seen = tracking.seen_between(since, change.at + bounds.slack);
    let good = seen.iter().filter(|seen| seen.good);
    let allowed = good.clone().filter(|seen| seen.active).map(|seen| seen.high).max().unwrap_or_default();
    if change.to <= allowed.max(tracking.scale.min) {
        return;
    }
    let highest = good.map(|seen| seen.count).max();
    let because = match highest {
        None => format!(
            "no read of the queue succeeded in the {} before, which is the time of {what}",
            span(change.at.since(since))
        ),
        Some(count) => format!(
            "in the {} before, which is the time of {what}, the queue never held more than {count} jobs that count",
            span(change.at.since(since))
        ),
    };
    judged.find(
        &WITHOUT_DEMAND,
        change.at,
        Breach {
            subject: tracking.subject.clone(),
            measured: format!("raised from {} to {}", change.from, change.to),
            bound: format!("at most {}", allowed.max(tracking.scale.min)),
            because,
        },
    );
}

fn judge_growth(tracking: &Tracking, change: Change, judged: &mut Judged) {
    let bounds = &tracking.bounds;
    // What was added at the edge of the period may count no more, and what was taken away there may still.
    let earlier = |period: Millis| {
        let of_hpa = |step: &Change| step.from > 0 && step.to > 0 && step.at < change.at;
        let steps = tracking.replicas.changes().filter(of_hpa);
        steps.fold((0_u32, 0_u32), |(added, removed), step| {
            if step.to > step.from && step.at > change.at - (period - bounds.slack) {
                (added.saturating_add(step.to - step.from), removed)
            } else if step.to < step.from && step.at > change.at - (period + bounds.slack) {
                (added, removed.saturating_add(step.from - step.to))
            } else {
                (added, removed)
            }
        })
    };
    let limit = if is_activation(tracking, change) {
        tracking.floor()
    } else {
        tracking.hpa.growth_limit(change.from, earlier).max(tracking.floor())
    };
    let breach = |measured, bound, because: &str| Breach {
        subject: tracking.subject.clone(),
        measured,
        bound,
        because: format!("{because}; something else changed the replicas, or the log misses changes"),
    };
    if change.to > limit {
        let measured = format!("raised from {} to {} at once", change.from, change.to);
        judged.find(
            &BEYOND_GROWTH,
            change.at,
            breach(measured, format!("at most {limit}"), "the HPA does not grow that fast"),
        );
    }
    // Write to write: a sync period, less what the read before the earlier write took.
    let least = SYNC_PERIOD - bounds.read - bounds.slack;
    let before = tracking.replicas.changes().take_while(|raise| raise.at < change.at).last();
    let before = before.filter(|raise| raise.to > raise.from && !is_activation(tracking, *raise));
    if let Some(before) =
        before.filter(|before| !is_activation(tracking, change) && change.at.since(before.at) < least)
    {
        let measured = format!(
            "raised to {} and {} later to {}",
            before.to,
            span(change.at.since(before.at)),
            change.to
        );
        judged.find(
            &BEYOND_GROWTH,
            change.at,
            breach(measured, format!("{} apart", span(least)), "HPA syncs are 15 s apart"),
        );
    }
}

fn judge_lateness(tracking: &Tracking, plateau: Plateau, judged: &mut Judged) {
    let resting = tracking.rest().is_some_and(|rest| plateau.value == rest && rest < tracking.floor());
    if plateau.value >= tracking.scale.max || (!resting && tracking.hpa.never_raises()) {
        return;
    }
    let (wants, allowed): (fn(&super::tracking::Seen, u32) -> bool, Millis) = if resting || plateau.value == 0
    {
        (|seen, _| seen.active, tracking.bounds.activation())
    } else {
        (|seen, value| seen.low > value, raise_time(tracking))
    };
    let start = plateau.from.max(tracking.start());
    let mut wanted =
        tracking.last_good(start).filter(|seen| wants(seen, plateau.value)).map(|seen| (start, seen.count));
    if start >= plateau.until {
        return;
    }
    let late = |wanted: Option<(Instant, u64)>, until: Instant, judged: &mut Judged| {
        let Some((since, count)) = wanted else { return false };
        let blind = tracking.blind_between(since, until);
        let took = until.since(since) - blind;
        if took > allowed {
            judged.find(&LATE, since + allowed, late_breach(tracking, plateau, (count, took, allowed)));
        }
        took > allowed
    };
    for seen in tracking.seen_between(start, plateau.until) {
        if seen.good && wants(seen, plateau.value) {
            wanted.get_or_insert((seen.at, seen.count));
        } else {
            // A failed read costs a sync, so the wait starts again with the next good one.
            if late(wanted.take(), seen.at, judged) {
                return;
            }
        }
    }
    late(wanted, plateau.until, judged);
}

/// From a read that asks for more to the raise.
fn raise_time(tracking: &Tracking) -> Millis {
    let bounds = &tracking.bounds;
    let stalled = u64::from(tracking.hpa.a_sync_may_stall());
    let cached = if tracking.is_cached { bounds.poll } else { Millis::ZERO };
    bounds.syncs(1 + stalled + bounds.syncs_per_conflict) + tracking.hpa.raise_delay() + cached + bounds.slack
}

fn late_breach(
    tracking: &Tracking,
    plateau: Plateau,
    (count, took, allowed): (u64, Millis, Millis),
) -> Breach {
    let because = if plateau.value == 0 {
        format!(
            "KEDA reads the queue every {} and leaves zero in the poll that finds work; one conflicting write costs another poll",
            span(tracking.bounds.poll)
        )
    } else {
        "the HPA syncs every 15 s and raises in the first sync that reads more work than the replicas are for"
            .to_owned()
    };
    Breach {
        subject: tracking.subject.clone(),
        measured: format!(
            "stayed at {} for {} while the queue held {count} jobs that count",
            plateau.value,
            span(took)
        ),
        bound: format!("raised within {}", span(allowed)),
        because,
    }
}

#[cfg(test)]
mod tests {
    use model::Fact;
    use model::event::Outcome;
    use serde_json::json;

    use crate::report::Severity;
    use crate::testing::{Log, article};

    fn without_replicas(log: Log) -> Log {
        log.without(|fact| matches!(fact, Fact::Replicas { .. }))
    }

    /// A pool that scales from zero: one job at 60, seen by the poll at 75.
    fn from_zero() -> Log {
        let log = Log::new().target(|target| target.min = 0).replicas(1, 0).reads(15, 30, 400).queued(60, 1);
        log.end(400, Outcome::DurationReached)
    }

    #[test]
    fn replicas_rise_only_for_work_that_was_seen() {
        assert_eq!(article().found("raise_without_demand"), []);
        let more = without_replicas(article()).replicas(1, 1).replicas(66, 4).replicas(81, 5);
        let finding = more.only("raise_without_demand");
        assert_eq!((finding.measured.as_str(), finding.bound.as_str()), ("raised from 4 to 5", "at most 4"));
        assert!(finding.because.contains("never held more than 4 jobs"));
    }

    #[test]
    fn with_behavior_old_work_does_not_pull_replicas_up() {
        let again =
            |log: Log| without_replicas(log).replicas(1, 1).replicas(66, 4).replicas(420, 1).replicas(440, 4);
        assert_eq!(again(article()).found("raise_without_demand"), []);
        let with_behavior = article().target(|target| target.behavior = Some(json!({})));
        assert_eq!(again(with_behavior).only("raise_without_demand").at.0, 440_000);
    }

    #[test]
    fn zero_is_left_for_work_only() {
        assert_eq!(from_zero().replicas(76, 1).found("raise_without_demand"), []);
        assert_eq!(from_zero().replicas(50, 1).only("raise_without_demand").measured, "raised from 0 to 1");
    }

    #[test]
    fn a_failed_read_is_no_reason_to_rise() {
        let failing = Log::new().target(|target| target.min = 0).replicas(1, 0).queued(60, 1);
        let failing = failing.answered(75, 503, 10).replicas(76, 1).end(90, Outcome::DurationReached);
        assert!(failing.only("raise_without_demand").because.contains("no read of the queue succeeded"));
    }

    #[test]
    fn replicas_rise_in_the_first_sync_that_sees_the_work() {
        assert_eq!(article().found("late_raise"), []);
        let late = |raise| without_replicas(article()).replicas(1, 1).replicas(raise, 4);
        assert_eq!(late(80).found("late_raise"), []);
        let finding = late(100).only("late_raise");
        assert!(
            finding.measured.starts_with("stayed at 1 for 35s while the queue held 4 jobs"),
            "{}",
            finding.measured
        );
    }

    #[test]
    fn a_failed_read_costs_a_sync_and_is_not_held_against_it() {
        let late = without_replicas(article()).unread(75, 85).answered(80, 503, 10);
        assert_eq!(late.replicas(1, 1).replicas(100, 4).found("late_raise"), []);
    }

    #[test]
    fn zero_is_left_within_a_poll_and_one_conflict() {
        assert_eq!(from_zero().replicas(76, 1).found("late_raise"), []);
        assert_eq!(from_zero().replicas(106, 1).found("late_raise"), []);
        assert!(from_zero().replicas(140, 1).only("late_raise").measured.starts_with("stayed at 0 for 1m5s"));
        assert_eq!(from_zero().found("late_raise").len(), 1);
    }

    #[test]
    fn one_sync_raises_no_further_than_its_growth_limit() {
        let many = |first| {
            let log = Log::new().target(|target| target.max = 20).replicas(1, 1).reads(20, 15, 400);
            let log = (1..=12).fold(log, |log, request| log.queued(60, request));
            log.replicas(66, first).replicas(81, 8).replicas(96, 12).end(120, Outcome::DurationReached)
        };
        assert_eq!(many(4).found("raise_beyond_growth_limit"), []);
        let finding = many(5).only("raise_beyond_growth_limit");
        assert_eq!((finding.bound.as_str(), finding.severity), ("at most 4", Severity::Inconclusive));
        // With behavior, five is the first step.
        assert_eq!(
            many(5).target(|target| target.behavior = Some(json!({}))).found("raise_beyond_growth_limit"),
            []
        );
    }

    #[test]
    fn two_raises_are_a_sync_apart() {
        let raises = |second| {
            let log = Log::new().replicas(1, 1).reads(20, 15, 400);
            let log = (1..=5).fold(log, |log, request| log.queued(60, request));
            log.replicas(66, 4).replicas(second, 5).end(120, Outcome::DurationReached)
        };
        assert_eq!(raises(81).found("raise_beyond_growth_limit"), []);
        assert!(raises(70).only("raise_beyond_growth_limit").measured.contains("4s later to 5"));
    }

    #[test]
    fn what_cannot_be_tracked_is_said() {
        let cron = article().target(|target| target.triggers[0].kind = "cron".into());
        let report = cron.verify();
        let skipped: Vec<&str> = report.not_judged.iter().map(|rule| rule.rule.as_str()).collect();
        assert!(skipped.contains(&"late_raise") && skipped.contains(&"late_return"), "{skipped:?}");
    }
}
