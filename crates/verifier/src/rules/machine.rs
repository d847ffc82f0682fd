//! The machine and the nodes: whether they were good enough for a judgement.
//!
//! The limits follow from what dilated clocks do: at twenty times the wall clock's speed HPA reads stay
//! 15.1 to 15.3 s apart; at the point where a machine is too slow, they spread over 0 to 17.5 s and more.

use model::{Instant, Millis};

use super::tracking::tracked;
use super::{Breach, Judged, Rule};
use crate::disturbances;
use crate::held_up;
use crate::history::History;
use crate::report::{SIMULATED, Severity};
use crate::words::span;

/// The mean lateness of the clock probe.
const MEAN_LATENESS: Millis = Millis(500);
/// The worst lateness of the clock probe.
const WORST_LATENESS: Millis = Millis::seconds(10);
/// Ticks later than a second, in percent.
const LATE_TICKS: u64 = 2;
/// Answers of the service slower than a second, in percent.
const SLOW_ANSWERS: u64 = 2;
/// What counts as a slow answer.
pub(crate) const SLOW_ANSWER: Millis = Millis::seconds(1);
/// HPA reads are this far apart, less and more than that is odd.
const SYNC_SPACING: (Millis, Millis) = (Millis(14_000), Millis(20_000));
/// Odd spacings, in percent.
const ODD_SPACINGS: u64 = 20;
/// Shares of fewer than this say nothing.
const SHARE_OF: usize = 10;

const TOO_SLOW: Rule = Rule {
    name: "machine_too_slow",
    severity: Severity::Inconclusive,
    about: "clocks kept time: the probe's ticks, the service's answers and the spacing of HPA reads were on time",
    source: "events clock.quality and scaler.read; HPA sync period: kubernetes \
             pkg/controller/podautoscaler/config/v1alpha1/defaults.go",
};
const NODE_NOT_READY: Rule = Rule {
    name: "node_not_ready",
    severity: Severity::Inconclusive,
    about: "no node was lost that the scenario did not lose on purpose",
    source: "kubernetes pkg/controller/nodelifecycle, Event NodeNotReady",
};

pub(super) const RULES: &[Rule] = &[TOO_SLOW, NODE_NOT_READY];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    // Virtual time is never late.
    if history.started.as_ref().is_none_or(|started| started.engine != SIMULATED) {
        judge_probe(history, judged);
        judge_answers(history, judged);
        judge_syncs(history, judged);
        judge_standstills(history, judged);
    }
    for event in &history.kubernetes_events {
        let lost_on_purpose = history.faults.iter().any(|fault| fault.takes_node(&event.object, event.at));
        if event.object.starts_with("Node/") && event.reason == "NodeNotReady" && !lost_on_purpose {
            judged.find(
                &NODE_NOT_READY,
                event.at,
                Breach {
                    subject: event.object.clone(),
                    measured: event.message.clone(),
                    bound: "ready throughout".to_owned(),
                    because: "the scenario does not lose it, so the machine or the cluster broke".to_owned(),
                },
            );
        }
    }
}

fn too_slow(history: &History, subject: &str, measured: String, bound: String) -> Breach {
    let speed = history.started.as_ref().map_or(1, |started| started.speed);
    let because =
        format!("the machine is too slow for {speed} times the wall clock's speed; run it slower or alone");
    Breach { subject: subject.to_owned(), measured, bound, because }
}

fn judge_probe(history: &History, judged: &mut Judged) {
    let ticks: u64 = history.clock.iter().map(|sample| u64::from(sample.ticks)).sum();
    let Some(worst) = history.clock.iter().map(|sample| sample.late_ms_max).max() else { return };
    let mean = mean_lateness(history);
    let late: u64 = history.clock.iter().map(|sample| u64::from(sample.late_ticks)).sum();
    let mut find =
        |measured, bound| judged.find(&TOO_SLOW, history.end, too_slow(history, "clock", measured, bound));
    if mean > MEAN_LATENESS {
        find(
            format!("ticks were {} late on average", span(mean)),
            format!("at most {}", span(MEAN_LATENESS)),
        );
    }
    if Millis(worst) > WORST_LATENESS {
        find(format!("a tick was {} late", span(Millis(worst))), format!("at most {}", span(WORST_LATENESS)));
    }
    if ticks > 0 && late.saturating_mul(100) > ticks.saturating_mul(LATE_TICKS) {
        find(
            format!("{late} of {ticks} ticks were more than a second late"),
            format!("at most {LATE_TICKS} %"),
        );
    }
}

/// The mean lateness over all samples, each with the weight of its ticks.
pub(crate) fn mean_lateness(history: &History) -> Millis {
    let ticks = history.clock.iter().fold(0_u64, |sum, sample| sum.saturating_add(u64::from(sample.ticks)));
    let late = history.clock.iter().fold(0_u64, |sum, sample| {
        sum.saturating_add(sample.late_ms_mean.saturating_mul(u64::from(sample.ticks)))
    });
    Millis(late.checked_div(ticks).unwrap_or_default())
}

fn judge_answers(history: &History, judged: &mut Judged) {
    let faults = disturbances::service_spans(history);
    let own = history
        .reads
        .iter()
        .filter(|read| !faults.iter().any(|(from, to)| *from <= read.at && read.at <= *to));
    let all = own.clone().count();
    let slow: Vec<Instant> = own.filter(|read| read.latency > SLOW_ANSWER).map(|read| read.at).collect();
    if let Some(first) = slow.first().filter(|_| all >= SHARE_OF && share(slow.len(), all, SLOW_ANSWERS)) {
        let measured =
            format!("{} of {all} reads took longer than {} of scenario time", slow.len(), span(SLOW_ANSWER));
        judged.find(
            &TOO_SLOW,
            *first,
            too_slow(history, "service", measured, format!("at most {SLOW_ANSWERS} %")),
        );
    }
}

/// Only where every read is an HPA sync's can their spacing be told from that of polls.
fn judge_syncs(history: &History, judged: &mut Judged) {
    for tracking in
        tracked(history, "ScaledObject", |_, _| {}).iter().filter(|tracking| tracking.only_syncs_read)
    {
        let pairs: Vec<(Instant, Millis)> = tracking
            .seen
            .windows(2)
            .skip(1)
            .filter_map(|pair| match pair {
                [before, after]
                    if before.good
                        && after.good
                        && before.at >= tracking.from
                        && tracking.disturbed_between(before.at, after.at) == Millis::ZERO =>
                {
                    Some((after.at, after.at.since(before.at)))
                }
                _ => None,
            })
            .collect();
        let odd: Vec<&(Instant, Millis)> =
            pairs.iter().filter(|(_, gap)| *gap < SYNC_SPACING.0 || *gap > SYNC_SPACING.1).collect();
        if let Some((at, gap)) =
            odd.first().filter(|_| pairs.len() >= SHARE_OF && share(odd.len(), pairs.len(), ODD_SPACINGS))
        {
            let measured = format!(
                "{} of {} HPA reads were not 15 s apart, the first {}",
                odd.len(),
                pairs.len(),
                span(*gap)
            );
            judged.find(
                &TOO_SLOW,
                *at,
                too_slow(history, &tracking.subject, measured, format!("at most {ODD_SPACINGS} %")),
            );
        }
    }
}

fn judge_standstills(history: &History, judged: &mut Judged) {
    for (object, target) in &history.targets {
        let spans = held_up::spans(history, target);
        let Some((from, to)) = spans.iter().max_by_key(|(from, to)| to.since(*from)) else { continue };
        let measured =
            format!("the HPA asked nothing for {}, though it had its answer", span(to.since(*from)));
        let bound = format!("asks again within {}", span(held_up::TOO_LONG));
        judged.find(&TOO_SLOW, *from, too_slow(history, object, measured, bound));
    }
}

fn share(part: usize, whole: usize, percent: u64) -> bool {
    (part as u64).saturating_mul(100) > (whole as u64).saturating_mul(percent)
}

#[cfg(test)]
mod tests {
    use model::{Fact, Source};

    use crate::report::Verdict;
    use crate::testing::{Log, article};

    fn probed(late_ms_mean: u64, late_ms_max: u64, late_ticks: u32) -> Log {
        article().fact(
            300,
            Source::Machine,
            Fact::ClockQuality { ticks: 1000, late_ms_max, late_ms_mean, late_ticks },
        )
    }

    #[test]
    fn clocks_that_keep_time_are_good_enough_and_late_ones_are_not() {
        assert_eq!(probed(100, 2_000, 15).found("machine_too_slow"), []);
        assert!(probed(800, 2_000, 15).only("machine_too_slow").measured.contains("on average"));
        assert!(probed(100, 15_000, 15).only("machine_too_slow").measured.contains("15s"));
        assert!(probed(100, 2_000, 40).only("machine_too_slow").measured.contains("40 of 1000"));
        assert_eq!(probed(800, 15_000, 40).verify().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn one_slow_answer_is_nothing_but_a_share_of_them_is() {
        let slow = |answers: u64| {
            let at = |index: u64| 20 + 15 * index;
            (0..answers).fold(article(), |log, index| {
                log.unread(at(index), at(index) + 1).answered(at(index), 200, 1_500)
            })
        };
        assert_eq!(slow(0).found("machine_too_slow"), []);
        assert!(slow(3).only("machine_too_slow").measured.starts_with("3 of 46 reads"));
    }

    #[test]
    fn hpa_reads_are_15_seconds_apart_or_the_machine_is_too_slow() {
        let uneven = article().unread(400, 640).reads(405, 8, 640);
        assert!(uneven.found("machine_too_slow")[0].measured.contains("HPA reads were not 15 s apart"));
        // Where polls read too, the spacing says nothing.
        let polled = uneven.target(|target| target.min = 0);
        assert_eq!(polled.found("machine_too_slow"), []);
    }

    fn asked(mut log: Log, spans: &[(u64, u64)]) -> Log {
        for at in spans.iter().flat_map(|(from, to)| (*from..*to).step_by(15)) {
            let metric = "s0-azure-pipelines-1".to_owned();
            let read = Fact::HpaRead { metric, status: 200, latency_ms: 40, value_milli: None };
            log = log.fact(at, Source::Kubernetes, read);
        }
        log
    }

    #[test]
    fn an_hpa_that_asks_nothing_was_held_up_and_one_that_asks_in_vain_was_not() {
        let unread = article().unread(400, 460);
        let held_up = asked(unread.clone(), &[(5, 400), (460, 640)]);
        let finding = held_up.only("machine_too_slow");
        assert!(finding.measured.starts_with("the HPA asked nothing for 1m"), "{}", finding.measured);
        assert_eq!(held_up.found("queue_not_read"), []);
        assert_eq!(held_up.verify().verdict, Verdict::Inconclusive);
        let in_vain = asked(unread, &[(5, 640)]);
        assert_eq!(in_vain.found("machine_too_slow"), []);
        assert_eq!(in_vain.found("queue_not_read").len(), 1);
    }

    #[test]
    fn a_lost_node_makes_the_run_inconclusive() {
        let event = |object: &str, reason: &str| Fact::KubernetesEvent {
            object: object.into(),
            kind: "Normal".into(),
            reason: reason.into(),
            message: "Node node-1 status is now: NodeNotReady".into(),
        };
        assert_eq!(
            article().fact(5, Source::Kubernetes, event("Node/node-1", "NodeReady")).found("node_not_ready"),
            []
        );
        let lost = article().fact(100, Source::Kubernetes, event("Node/node-1", "NodeNotReady"));
        assert_eq!(lost.only("node_not_ready").subject, "Node/node-1");
    }
}
