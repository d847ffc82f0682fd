//! How often Azure DevOps is asked for the queue, as the scenario expects it.

use model::scenario::Expectation;
use model::{Instant, Millis};

use super::{Breach, Judged, Rule};
use crate::history::History;
use crate::report::Severity;
use crate::words::span;

const READS: Rule = Rule {
    name: "reads_per_hour",
    severity: Severity::Violation,
    about: "KEDA reads the queue no more often than the scenario expects, on average over the run",
    source: "the scenario's expect: reads_per_hour",
};

pub(super) const RULES: &[Rule] = &[READS];

const HOUR: Millis = Millis::minutes(60);

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for expectation in history.started.iter().flat_map(|started| &started.scenario.expect) {
        let Expectation::ReadsPerHour(bound) = expectation else { continue };
        let from = history.ready.unwrap_or(Instant::START);
        let to = history.judged_until();
        let took = to.since(from);
        let reads = history.reads.iter().filter(|read| read.at >= from && read.at <= to).count();
        let reads = u64::try_from(reads).unwrap_or(u64::MAX);
        let Some(per_hour) = reads.saturating_mul(HOUR.0).checked_div(took.0) else {
            judged.skip(&READS, "queue", "the run took no time");
            continue;
        };
        if per_hour <= u64::from(*bound) {
            continue;
        }
        judged.find(
            &READS,
            to,
            Breach {
                subject: "queue".to_owned(),
                measured: format!("{reads} reads in {}, {per_hour} an hour", span(took)),
                bound: format!("{bound} an hour"),
                because: "each read counts against Azure DevOps' rate limit, and the HPA asks every sync on its own, \
                          whatever the polling interval"
                    .to_owned(),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;

    use super::*;
    use crate::testing::Log;

    fn read_every(seconds: u64) -> Log {
        let log = Log::new().replicas(1, 1).reads(5, seconds, 3600).end(3600, Outcome::DurationReached);
        log.expect(Expectation::ReadsPerHour(130))
    }

    #[test]
    fn few_reads_are_no_finding() {
        assert_eq!(read_every(30).found("reads_per_hour"), []);
    }

    #[test]
    fn more_reads_than_expected_are_told_with_their_rate() {
        let finding = read_every(15).only("reads_per_hour");
        assert!(finding.measured.starts_with("240 reads in "), "{}", finding.measured);
        assert_eq!(finding.bound, "130 an hour");
    }
}
