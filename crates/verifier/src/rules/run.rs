//! The run itself: that it was whole, tested something and came to its end.

use model::event::Outcome;

use super::{Breach, Judged, Rule};
use crate::history::History;
use crate::report::Severity;
use crate::words::{counted, names, span};

const INCOMPLETE: Rule = Rule {
    name: "log_incomplete",
    severity: Severity::Inconclusive,
    about: "the log has a beginning and an end",
    source: "a run writes run.started first and run.finished last; a killed one does not",
};
const FAILED: Rule = Rule {
    name: "harness_failed",
    severity: Severity::Inconclusive,
    about: "nothing broke that belongs to the harness",
    source: "event harness.failed, or run.finished with outcome failed",
};
const INTERRUPTED: Rule = Rule {
    name: "run_interrupted",
    severity: Severity::Inconclusive,
    about: "nobody interrupted the run",
    source: "run.finished with outcome interrupted",
};
const NOTHING_TESTED: Rule = Rule {
    name: "nothing_tested",
    severity: Severity::Inconclusive,
    about: "at least one build was queued or refused",
    source: "a run without load passes every rule and shows nothing",
};
const NOT_SETTLED: Rule = Rule {
    name: "run_not_settled",
    severity: Severity::Violation,
    about: "within `at_most` no job is unfinished and the replicas are at their minimum",
    source: "the scenario's until and at_most",
};

pub(super) const RULES: &[Rule] = &[INCOMPLETE, FAILED, INTERRUPTED, NOTHING_TESTED, NOT_SETTLED];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    judge_completeness(history, judged);
    judge_failures(history, judged);
    judge_load(history, judged);
    judge_settling(history, judged);
}

fn judge_completeness(history: &History, judged: &mut Judged) {
    let missing = match (&history.started, &history.finished) {
        (Some(_), Some(_)) => return,
        (None, _) if history.events == 0 => "the log is empty",
        (None, _) => "the log has no run.started",
        (_, None) => "the log has no run.finished",
    };
    judged.find(
        &INCOMPLETE,
        history.end,
        Breach {
            subject: "log".to_owned(),
            measured: format!("{}, the last at {}", counted(history.events as u64, "event"), history.end),
            bound: "run.started to run.finished".to_owned(),
            because: format!("{missing}: the run was killed, or it still goes on"),
        },
    );
}

fn judge_failures(history: &History, judged: &mut Judged) {
    let ended = history.finished.iter().filter(|(_, outcome, _)| *outcome == Outcome::Failed);
    let ended =
        ended.map(|(at, _, because)| (*at, because.clone().unwrap_or_else(|| "no reason given".to_owned())));
    // The end of a run that failed repeats what failed.
    let failures = history.harness_failures.iter().cloned();
    let all: Vec<_> = if history.harness_failures.is_empty() { ended.collect() } else { failures.collect() };
    for (at, because) in all {
        judged.find(
            &FAILED,
            at,
            Breach {
                subject: "harness".to_owned(),
                measured: because,
                bound: "no failure".to_owned(),
                because: "a part of the test rig broke, so nothing after it can be trusted".to_owned(),
            },
        );
    }
    if let Some((at, Outcome::Interrupted, because)) = &history.finished {
        judged.find(
            &INTERRUPTED,
            *at,
            Breach {
                subject: "run".to_owned(),
                measured: because.clone().unwrap_or_else(|| "interrupted".to_owned()),
                bound: "run to its end".to_owned(),
                because: "what would have happened next is not known".to_owned(),
            },
        );
    }
}

fn judge_load(history: &History, judged: &mut Judged) {
    let loaded = history.builds > 0
        || !history.refused.is_empty()
        || history.jobs.values().any(|job| job.queued.is_some());
    // A scaler that never got ready is why nothing could be tested, and is a finding of its own.
    if loaded || super::not_ready_to_the_end(history) {
        return;
    }
    judged.find(
        &NOTHING_TESTED,
        history.end,
        Breach {
            subject: "load".to_owned(),
            measured: "no build was queued".to_owned(),
            bound: "at least one".to_owned(),
            because: "without load there is nothing to scale for".to_owned(),
        },
    );
}

fn judge_settling(history: &History, judged: &mut Judged) {
    let Some((at, Outcome::BoundReached, because)) = &history.finished else { return };
    let unfinished: Vec<String> = history
        .jobs
        .iter()
        .filter(|(_, job)| job.finishes.is_empty())
        .map(|(request, _)| request.to_string())
        .collect();
    let minimum = history.minimum();
    let replicas = history.replicas().at(history.last_judged()).unwrap_or_default();
    let mut hanging = Vec::new();
    if !unfinished.is_empty() {
        hanging.push(format!(
            "{} unfinished ({})",
            counted(unfinished.len() as u64, "job"),
            names(&unfinished, 5)
        ));
    }
    if replicas > minimum {
        hanging.push(format!("{replicas} replicas"));
    }
    if hanging.is_empty() {
        hanging.push("no job unfinished and replicas at the minimum".to_owned());
    }
    let bound = history
        .started
        .as_ref()
        .map_or_else(String::new, |started| format!(" within {}", span(started.scenario.at_most)));
    judged.find(
        &NOT_SETTLED,
        *at,
        Breach {
            subject: "run".to_owned(),
            measured: hanging.join(", "),
            bound: format!("no job unfinished and {}{bound}", counted(minimum, "replica")),
            because: because
                .clone()
                .unwrap_or_else(|| "the time that the scenario allows was over first".to_owned()),
        },
    );
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Source};

    use crate::report::{Severity, Verdict};
    use crate::testing::{Log, article};

    #[test]
    fn a_whole_log_is_complete_and_one_without_its_end_is_not() {
        assert_eq!(article().found("log_incomplete"), []);
        assert!(article().endless().only("log_incomplete").because.contains("no run.finished"));
        assert_eq!(article().endless().verify().verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_harness_that_failed_makes_the_run_inconclusive() {
        assert_eq!(article().found("harness_failed"), []);
        let failed = article().fact(100, Source::Run, Fact::HarnessFailed { because: "etcd exited".into() });
        assert_eq!(failed.only("harness_failed").measured, "etcd exited");
        // The end of the run repeats it, and is not told twice.
        let ended = failed.end(720, Outcome::Failed);
        assert_eq!(ended.only("harness_failed").at.0, 100_000);
        assert_eq!(
            article().end(720, Outcome::Failed).only("harness_failed").severity,
            Severity::Inconclusive
        );
    }

    #[test]
    fn an_interrupted_run_is_inconclusive() {
        assert_eq!(article().found("run_interrupted"), []);
        article().end(720, Outcome::Interrupted).only("run_interrupted");
    }

    #[test]
    fn a_run_without_load_tests_nothing_unless_keda_never_got_ready() {
        assert_eq!(article().found("nothing_tested"), []);
        let idle = Log::new().replicas(1, 1).reads(20, 15, 200).end(200, Outcome::DurationReached);
        idle.only("nothing_tested");
        let refused = Fact::BuildRefused { definition: "build".into(), jobs: 1, because: "no agent".into() };
        assert_eq!(idle.clone().fact(60, Source::Service, refused).found("nothing_tested"), []);
        let broken = idle.condition(5, "False", "ScaledObjectCheckFailed", "401");
        assert_eq!(broken.found("nothing_tested"), []);
        assert_eq!(broken.verify().verdict, Verdict::Findings);
    }

    #[test]
    fn a_run_that_does_not_settle_says_what_hangs() {
        assert_eq!(article().found("run_not_settled"), []);
        let hanging = article().queued(400, 9).replicas(697, 2).end(720, Outcome::BoundReached);
        let finding = hanging.only("run_not_settled");
        assert_eq!(finding.measured, "1 job unfinished (9), 2 replicas");
        assert_eq!(finding.bound, "no job unfinished and 1 replica within 25m");
    }
}
