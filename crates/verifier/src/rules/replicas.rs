//! Replicas as the scenario expects them, and the maximum that nobody may exceed.

use model::scenario::Expectation;
use model::{Instant, Millis};

use super::{Breach, Judged, Rule};
use crate::bounds::Bounds;
use crate::disturbances;
use crate::history::History;
use crate::report::Severity;
use crate::words::span;

const PEAK: Rule = Rule {
    name: "peak_replicas",
    severity: Severity::Violation,
    about: "the most replicas that were ever asked for are exactly those that the scenario expects",
    source: "the scenario's expect: peak_replicas",
};
const RETURNS: Rule = Rule {
    name: "returns_to_min",
    severity: Severity::Violation,
    about: "after the last job ended, replicas are back at the minimum in time",
    source: "the scenario's expect: returns_to_min",
};
const NO_SECOND_RISE: Rule = Rule {
    name: "no_second_rise",
    severity: Severity::Violation,
    about: "after their peak, replicas never rise again",
    source: "the scenario's expect: no_second_rise",
};
const ABOVE_MAX: Rule = Rule {
    name: "replicas_above_max",
    severity: Severity::Violation,
    about: "replicas never exceed maxReplicaCount; a workload that starts above it is lowered in the first HPA sync",
    source: "kubernetes pkg/controller/podautoscaler/horizontal.go, reconcileAutoscaler: current above maxReplicas",
};

pub(super) const RULES: &[Rule] = &[PEAK, RETURNS, NO_SECOND_RISE, ABOVE_MAX];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for expectation in history.started.iter().flat_map(|started| &started.scenario.expect) {
        match expectation {
            Expectation::PeakReplicas(replicas) => judge_peak(history, *replicas, judged),
            Expectation::ReturnsToMin(bound) => judge_return(history, bound.within, judged),
            Expectation::NoSecondRise => judge_second_rise(history, judged),
            _ => {}
        }
    }
    judge_maximum(history, judged);
}

/// The most replicas before the workload was deleted, and when first.
pub(crate) fn peak(history: &History) -> Option<(u32, Instant)> {
    let until = history.judged_until();
    let plateaus: Vec<_> = history.replicas().plateaus(until).collect();
    let most = plateaus.iter().map(|plateau| plateau.value).max()?;
    plateaus.iter().find(|plateau| plateau.value == most).map(|plateau| (most, plateau.from))
}

/// When replicas were back at the minimum after the last job.
pub(crate) fn back_at_minimum(history: &History) -> Option<(Instant, Instant)> {
    let ended = history.last_job_ended()?;
    let back = history.replicas().first_at_most(ended, history.minimum())?;
    (back <= history.last_judged()).then_some((ended, back))
}

fn judge_peak(history: &History, expected: u32, judged: &mut Judged) {
    let (most, at) = peak(history).unwrap_or((0, history.end));
    if most == expected {
        return;
    }
    let because = if most < expected {
        "work was not seen, or agents were not created for it"
    } else {
        "more agents were created than the work needed"
    };
    judged.find(
        &PEAK,
        at,
        Breach {
            subject: "replicas".to_owned(),
            measured: format!("{most} at most"),
            bound: format!("exactly {expected}"),
            because: because.to_owned(),
        },
    );
}

fn judge_return(history: &History, within: Millis, judged: &mut Judged) {
    let Some(ended) = history.last_job_ended() else {
        judged.skip(&RETURNS, "replicas", "a job was still unfinished at the end, or there was none");
        return;
    };
    let until = back_at_minimum(history).map(|(_, back)| back);
    let took = until.unwrap_or_else(|| history.judged_until()).since(ended);
    if took <= within && until.is_none() {
        judged.skip(
            &RETURNS,
            "replicas",
            format!("the run ended {} after the last job, within the bound", span(took)),
        );
    }
    if took <= within {
        return;
    }
    let measured = match until {
        Some(back) => format!("back at the minimum at {back}, {} after the last job", span(took)),
        None => format!("not back at the minimum {} after the last job", span(took)),
    };
    judged.find(&RETURNS, ended + within, Breach {
        subject: "replicas".to_owned(),
        measured,
        bound: format!("within {} of the last job's end at {ended}", span(within)),
        because: "agents without work cost money; the scale-down window and the cool-down are what they should cost".to_owned(),
    });
}

fn judge_second_rise(history: &History, judged: &mut Judged) {
    let Some((most, at)) = peak(history) else { return };
    let until = history.judged_until();
    let replicas = history.replicas();
    if let Some(rise) =
        replicas.changes().find(|change| change.at > at && change.at < until && change.to > change.from)
    {
        judged.find(
            &NO_SECOND_RISE,
            rise.at,
            Breach {
                subject: "replicas".to_owned(),
                measured: format!("raised again from {} to {}", rise.from, rise.to),
                bound: format!("no raise after the peak of {most} at {at}"),
                because: "the load has one burst, so a second rise is for work that is not there".to_owned(),
            },
        );
    }
}

fn judge_maximum(history: &History, judged: &mut Judged) {
    let until = history.judged_until();
    for (object, target) in history.targets.iter().filter(|(_, target)| target.scale.scaler == "ScaledObject")
    {
        let replicas = history.replicas_of(target);
        let started = replicas.points().first().map(|point| point.at);
        let disturbed = disturbances::of(history, object);
        let disturbed: Vec<_> =
            disturbed.iter().filter(|one| one.decides).map(|one| (one.from, one.to)).collect();
        let disturbed = disturbances::merged(disturbed);
        let eras = target.eras();
        for (index, (since, scale, _)) in eras.iter().enumerate() {
            let bounds = Bounds::of(history, scale);
            let max = scale.max.max(scale.min).max(1);
            let end = eras.get(index + 1).map_or(until, |(next, ..)| *next).min(until);
            // The HPA's first sync comes a period after it was created, so it may take two.
            let found_above = *since + bounds.syncs(2) + bounds.slack;
            let above = replicas.plateaus(end).find(|plateau| {
                let was_there =
                    if index == 0 { started == Some(plateau.from) } else { plateau.from <= *since };
                let excused = was_there && plateau.until <= found_above;
                let from = plateau.from.max(*since);
                plateau.value > max
                    && plateau.until > *since
                    && !excused
                    && disturbances::overlap(&disturbed, from, plateau.until) < plateau.until.since(from)
            });
            let Some(plateau) = above else { continue };
            judged.find(
                &ABOVE_MAX,
                plateau.from,
                Breach {
                    subject: scale.workload.clone(),
                    measured: format!(
                        "{} replicas for {}",
                        plateau.value,
                        span(plateau.until.since(plateau.from))
                    ),
                    bound: format!("at most {max}"),
                    because: format!("maxReplicaCount is {}", scale.max),
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Fact;
    use model::event::Outcome;
    use model::scenario::Within;

    use super::*;
    use crate::testing::{Log, article};

    #[test]
    fn the_peak_is_exactly_what_is_expected() {
        assert_eq!(article().expect(Expectation::PeakReplicas(4)).found("peak_replicas"), []);
        let finding = article().expect(Expectation::PeakReplicas(5)).only("peak_replicas");
        assert_eq!((finding.measured.as_str(), finding.bound.as_str()), ("4 at most", "exactly 5"));
        assert!(
            article()
                .expect(Expectation::PeakReplicas(3))
                .only("peak_replicas")
                .because
                .contains("more agents")
        );
    }

    #[test]
    fn replicas_return_to_the_minimum_in_time() {
        let within = |minutes| {
            article().expect(Expectation::ReturnsToMin(Within { within: Millis::minutes(minutes) }))
        };
        assert_eq!(within(6).found("returns_to_min"), []);
        assert!(within(5).only("returns_to_min").measured.contains("5m7s after the last job"));
        let never = within(5).without(|fact| matches!(fact, Fact::Replicas { spec: 1, .. })).replicas(1, 1);
        assert!(never.only("returns_to_min").measured.starts_with("not back at the minimum"));
    }

    #[test]
    fn a_run_that_ends_before_the_bound_leaves_the_return_open() {
        let short = article().expect(Expectation::ReturnsToMin(Within { within: Millis::minutes(6) }));
        let report = short.end(600, Outcome::DurationReached).verify();
        assert!(report.not_judged.iter().any(|rule| rule.rule == "returns_to_min"));
    }

    #[test]
    fn after_the_peak_replicas_never_rise() {
        assert_eq!(article().expect(Expectation::NoSecondRise).found("no_second_rise"), []);
        let again = article().expect(Expectation::NoSecondRise).replicas(705, 2);
        assert_eq!(again.only("no_second_rise").measured, "raised again from 1 to 2");
    }

    #[test]
    fn replicas_never_exceed_the_maximum() {
        assert_eq!(article().found("replicas_above_max"), []);
        let above = article().target(|target| target.max = 3);
        assert_eq!(above.only("replicas_above_max").measured, "4 replicas for 10m");
    }

    #[test]
    fn a_workload_that_starts_above_the_maximum_has_two_syncs_to_fall() {
        let started = |lowered| {
            let log = Log::new().replicas(1, 9).replicas(lowered, 5).reads(20, 15, 120);
            log.end(120, Outcome::DurationReached)
        };
        assert_eq!(started(20).found("replicas_above_max"), []);
        started(80).only("replicas_above_max");
    }
}
