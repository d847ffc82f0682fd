//! How long jobs wait, as the scenario expects it.

use model::Millis;
use model::scenario::{Expectation, Percentiles};

use super::{Breach, Judged, Rule};
use crate::history::History;
use crate::measurements::Distribution;
use crate::report::Severity;
use crate::words::span;

const QUEUE_WAIT: Rule = Rule {
    name: "queue_wait",
    severity: Severity::Violation,
    about: "from queued to received by an agent, jobs wait no longer than the scenario expects",
    source: "the scenario's expect: queue_wait; percentiles by nearest rank",
};

pub(super) const RULES: &[Rule] = &[QUEUE_WAIT];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for expectation in history.started.iter().flat_map(|started| &started.scenario.expect) {
        if let Expectation::QueueWait(bounds) = expectation {
            judge_percentiles(history, *bounds, judged);
        }
    }
}

fn judge_percentiles(history: &History, bounds: Percentiles, judged: &mut Judged) {
    let waits = waits(history);
    let unreceived =
        history.jobs.values().filter(|job| job.queued.is_some() && job.received().is_none()).count();
    let Some(wait) = Distribution::of(waits) else {
        judged.skip(&QUEUE_WAIT, "jobs", "no job was queued");
        return;
    };
    let measured = [
        ("half of the jobs", bounds.p50, wait.p50_ms),
        ("19 of 20 jobs", bounds.p95, wait.p95_ms),
        ("every job", bounds.max, wait.max_ms),
    ];
    for (who, bound, took) in measured {
        let Some(bound) = bound.filter(|bound| Millis(took) > *bound) else { continue };
        let waiting = if unreceived > 0 {
            format!("; {unreceived} were never received, and count as waiting to the end")
        } else {
            String::new()
        };
        judged.find(
            &QUEUE_WAIT,
            history.end,
            Breach {
                subject: format!("{} jobs", wait.count),
                measured: format!("{who} within {}{waiting}", span(Millis(took))),
                bound: format!("{who} within {}", span(bound)),
                because: "the table of stages shows where the time went, and what each stage may take"
                    .to_owned(),
            },
        );
    }
}

/// How long each job waited; one that was never received waits to the end.
fn waits(history: &History) -> Vec<u64> {
    let jobs = history.jobs.values();
    jobs.filter_map(|job| {
        let queued = job.queued?;
        Some(job.received().map_or(history.end, |taken| taken.at).since(queued).0)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    fn bound(p50: u64, p95: u64, max: u64) -> Vec<String> {
        let seconds = |seconds| Some(Millis::seconds(seconds));
        let bounds = Percentiles { p50: seconds(p50), p95: seconds(p95), max: seconds(max) };
        let found = article().expect(Expectation::QueueWait(bounds)).found("queue_wait");
        found.into_iter().map(|finding| finding.measured).collect()
    }

    #[test]
    fn jobs_wait_no_longer_than_expected() {
        assert_eq!(bound(27, 29, 29), Vec::<String>::new());
        assert_eq!(bound(26, 29, 29), ["half of the jobs within 27s"]);
        assert_eq!(
            bound(27, 28, 28),
            ["every job within 29s", "19 of 20 jobs within 29s"]
                .map(str::to_owned)
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_job_that_is_never_received_waits_to_the_end() {
        let bounds = Percentiles { max: Some(Millis::minutes(2)), ..Percentiles::default() };
        let log = article().expect(Expectation::QueueWait(bounds));
        assert_eq!(log.found("queue_wait"), []);
        assert!(log.queued(400, 9).only("queue_wait").measured.contains("1 were never received"));
    }
}
