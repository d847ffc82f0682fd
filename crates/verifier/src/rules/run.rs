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
    let replicas = history.replicas().at(history.judged_until()).unwrap_or_default();
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
