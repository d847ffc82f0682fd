//! Many seeds of one scenario: how every measured value is spread, which seed was
//! the worst, and the command that repeats it.

use std::fmt::Write as _;

use serde::Serialize;
use verifier::{Report, Severity, Verdict};

/// How the measured values of many runs are spread.
#[derive(Debug, Serialize)]
pub(crate) struct Sweep {
    /// One entry for each value that was measured in any run.
    pub(crate) values: Vec<Spread>,
    /// The run that a person should look at first.
    pub(crate) worst: Worst,
}

/// How one value is spread over the runs in which it was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Spread {
    /// What was measured.
    pub(crate) value: &'static str,
    unit: Unit,
    /// In how many runs.
    pub(crate) runs: usize,
    /// Half of them have at most this.
    pub(crate) p50: f64,
    /// Nineteen of twenty have at most this.
    pub(crate) p95: f64,
    /// The most.
    pub(crate) max: f64,
    /// The first seed that has the most.
    pub(crate) max_seed: u64,
}

/// The worst run.
#[derive(Debug, Serialize)]
pub(crate) struct Worst {
    seed: u64,
    because: String,
    /// The command that repeats it.
    again: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Unit {
    Milliseconds,
    Count,
    Minutes,
}

/// The values of a report that are worth a line.
fn values(report: &Report) -> Vec<(&'static str, Unit, Option<f64>)> {
    use Unit::{Count, Milliseconds, Minutes};
    let measured = &report.measurements;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a month have 32 bits")]
    let span = |span: Option<u64>| span.map(|span| span as f64);
    let wait = measured.queue_wait.as_ref();
    let count = |count: u32| Some(f64::from(count));
    vec![
        ("queued → received, p50", Milliseconds, span(wait.map(|wait| wait.p50_ms))),
        ("queued → received, p95", Milliseconds, span(wait.map(|wait| wait.p95_ms))),
        ("queued → received, max", Milliseconds, span(wait.map(|wait| wait.max_ms))),
        ("back at the minimum after", Milliseconds, span(measured.back_to_min_ms)),
        ("peak replicas", Count, measured.peak.as_ref().and_then(|peak| count(peak.replicas))),
        ("replica time", Minutes, Some(measured.pods.replica_minutes)),
        ("surplus replica time", Minutes, Some(measured.pods.surplus_minutes)),
        ("time in restart back-off", Minutes, Some(measured.pods.back_off_minutes)),
        ("agents' busy time", Minutes, Some(measured.agents.busy_minutes)),
        ("agents' idle time", Minutes, Some(measured.agents.idle_minutes)),
        ("agents registered", Count, count(measured.agents.registered)),
        (
            "agents left behind",
            Count,
            count(measured.agents.registered.saturating_sub(measured.agents.removed)),
        ),
        (
            "busy pods killed",
            Count,
            u32::try_from(measured.agents.busy_pods_killed.len()).ok().and_then(count),
        ),
        ("jobs abandoned", Count, count(measured.jobs.abandoned)),
        ("reads of the queue", Count, count(measured.scaler.count)),
    ]
}

/// What many runs come to; nothing of no run.
pub(crate) fn sweep(reports: &[Report]) -> Option<Sweep> {
    let worst =
        reports.iter().max_by(|a, b| badness(a).cmp(&badness(b)).then(b.run.seed.cmp(&a.run.seed)))?;
    let names = values(worst).into_iter().map(|(name, unit, _)| (name, unit));
    let spreads = names.enumerate().filter_map(|(at, (value, unit))| {
        let measured = reports.iter().filter_map(|report| Some((values(report)[at].2?, report.run.seed)));
        spread(value, unit, measured.collect())
    });
    Some(Sweep {
        values: spreads.collect(),
        worst: Worst { seed: worst.run.seed, because: because(worst), again: worst.run.replay.clone() },
    })
}

/// How bad a run is: what breaks a rule unannounced, then what breaks one at all, then who waited longest.
fn badness(report: &Report) -> (u8, usize, u64) {
    let verdict = match report.verdict {
        Verdict::Findings => 3,
        Verdict::Inconclusive => 2,
        Verdict::ExpectedFindings => 1,
        Verdict::Passed => 0,
    };
    let broken = report.findings.iter().filter(|finding| finding.severity == Severity::Violation).count();
    let wait = report.measurements.queue_wait.as_ref().map_or(0, |wait| wait.max_ms);
    (verdict, broken, wait)
}

fn because(report: &Report) -> String {
    let broken: Vec<_> =
        report.findings.iter().filter(|finding| finding.severity == Severity::Violation).collect();
    match (broken.as_slice(), &report.measurements.queue_wait) {
        ([first, ..], _) => format!("{}, {} in all", first.rule, broken.len()),
        ([], Some(wait)) => format!("a job waited {}", model::Millis(wait.max_ms)),
        ([], None) => report.because.clone(),
    }
}

fn spread(value: &'static str, unit: Unit, mut measured: Vec<(f64, u64)>) -> Option<Spread> {
    measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
    let (max, max_seed) = *measured.last()?;
    let runs = measured.len();
    let rank = |percent: usize| measured[(runs * percent).div_ceil(100).max(1) - 1].0;
    Some(Spread { value, unit, runs, p50: rank(50), p95: rank(95), max, max_seed })
}

impl Sweep {
    /// The table.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        let _ =
            writeln!(text, "  {:<28}{:>10}{:>10}{:>10}  seed of max", "over all seeds", "p50", "p95", "max");
        for Spread { value, unit, p50, p95, max, max_seed, .. } in &self.values {
            let [p50, p95, most] = [*p50, *p95, *max].map(|number| written(number, *unit));
            let seed = if *max > 0.0 { max_seed.to_string() } else { String::new() };
            let _ =
                writeln!(text, "  {}", format!("{value:<28}{p50:>10}{p95:>10}{most:>10}  {seed}").trim_end());
        }
        let Worst { seed, because, again } = &self.worst;
        let _ = writeln!(text, "  worst: seed {seed}, {because}\n  again: {again}");
        text
    }
}

fn written(number: f64, unit: Unit) -> String {
    match unit {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was a number of milliseconds"
        )]
        Unit::Milliseconds => model::Millis(number as u64).to_string(),
        Unit::Count => format!("{number:.0}"),
        Unit::Minutes => format!("{number:.1} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let measured = (1..=20_u32).map(|n| (f64::from(n), u64::from(n))).collect();
        let spread = spread("it", Unit::Count, measured).expect("measured");
        assert_eq!((spread.p50, spread.p95, spread.max, spread.max_seed), (10.0, 19.0, 20.0, 20));
        assert!(super::spread("it", Unit::Count, Vec::new()).is_none());
    }

    #[test]
    fn of_equal_values_the_first_seed_is_named() {
        let spread = spread("it", Unit::Count, vec![(5.0, 3), (5.0, 2), (1.0, 1)]).expect("measured");
        assert_eq!(spread.max_seed, 2);
    }
}
