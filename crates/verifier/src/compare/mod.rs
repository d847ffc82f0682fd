//! Two results of `bench latency`, side by side: is the second slower, or is that noise?
//!
//! A difference of percentiles comes with the interval in which it lies with 95 % confidence
//! ([`bootstrap`]), and a limit is broken only if the whole interval lies beyond it.

mod bootstrap;
mod limit;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use limit::{Allowance, Limit, LimitError};

use self::bootstrap::{Drawn, draw, interval};
use crate::latency::{FORMAT, Latency, Row, RunTimes, StageName};

/// With fewer runs on a side nothing is said of chance: what few runs have in common may be all there is. With as many,
/// noise alone breaks a limit of +0 % on p50 or p95 in 3 to 5 of 100 comparisons rather than in 2.5, and one of +10 % in
/// fewer than 1 of 300 (2000 comparisons of runs of 6, 12 and 20 jobs that have half of their spread in common).
pub const FEWEST_RUNS: usize = 8;
/// What is told of every stage.
const PERCENTILES: [u32; 3] = [50, 95, 99];

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The whole interval lies within the limit.
    Within,
    /// The interval lies on both sides of the limit: that it is broken is not shown.
    NotShown,
    /// There is too little to say anything.
    CannotTell,
    /// The whole interval lies beyond the limit.
    Slower,
}

/// Two results side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// How sure the intervals are, in percent.
    pub confidence_percent: u32,
    /// The worst of all limits; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// What both have.
    pub rows: Vec<ComparedRow>,
    /// What only the first has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_a: Vec<String>,
    /// What only the second has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_b: Vec<String>,
}

/// A scenario under one combination of settings, in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRow {
    /// What the first one is of.
    pub a: SideOfRow,
    /// What the second one is of.
    pub b: SideOfRow,
    /// Whether both have the same seeds: then each run is held against the one of its seed.
    pub paired: bool,
    /// Stage by stage.
    pub stages: Vec<ComparedStage>,
    /// The limits, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<JudgedLimit>,
}

/// What one side of a row is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SideOfRow {
    /// The scenario and its settings.
    pub name: String,
    /// KEDA's version.
    pub keda: String,
    /// How many runs.
    pub runs: u32,
    /// Runs that are in no figure.
    pub left_out: u32,
    /// Jobs that no agent received, which are in no figure.
    pub never_received: u64,
}

/// A stage in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedStage {
    /// Which.
    pub stage: StageName,
    /// From what to what, for people.
    pub between: String,
    /// How many jobs went through it in the first.
    pub jobs_a: u64,
    /// How many jobs went through it in the second.
    pub jobs_b: u64,
    /// Its percentiles; none if no job went through it on one side.
    pub percentiles: Vec<ComparedPercentile>,
}

/// A percentile of a stage in both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedPercentile {
    /// Which.
    pub percentile: u32,
    /// In the first.
    pub a_ms: u64,
    /// In the second.
    pub b_ms: u64,
    /// How much more the second is.
    pub difference_ms: i64,
    /// The same as a share of the first, if that is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference_percent: Option<f64>,
    /// Where the difference lies; absent if there is too little to say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// Where a difference lies, with the comparison's confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// At least.
    pub low_ms: i64,
    /// At most.
    pub high_ms: i64,
    /// At least, as a share of the first, if that is never zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_percent: Option<f64>,
    /// At most, as a share of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_percent: Option<f64>,
}

/// A limit, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedLimit {
    /// The limit.
    pub limit: String,
    /// What came of it.
    pub judgement: Judgement,
    /// Why.
    pub because: String,
}

/// The two results have nothing in common.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing is in both: A has {a}, B has {b}")]
pub struct NothingInBoth {
    a: String,
    b: String,
}

/// Compares two results, and holds the second one against the limits.
///
/// # Errors
/// [`NothingInBoth`] if no scenario is in both under the same settings. Two results of one row each are always compared.
pub fn compare(a: &Latency, b: &Latency, limits: &[Limit]) -> Result<Comparison, NothingInBoth> {
    let (pairs, only_a, only_b) = line_up(&a.rows, &b.rows);
    let names = |rows: &[&Row]| rows.iter().map(|row| name(row)).collect::<Vec<_>>();
    let (only_a, only_b) = (names(&only_a), names(&only_b));
    if pairs.is_empty() {
        let some = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        return Err(NothingInBoth { a: some(&only_a), b: some(&only_b) });
    }
    let rows: Vec<ComparedRow> = pairs.into_iter().map(|(a, b)| ComparedRow::of(a, b, limits)).collect();
    let mut judgement = rows.iter().flat_map(|row| &row.limits).map(|limit| limit.judgement).max();
    let gone = !only_a.is_empty() || !only_b.is_empty();
    if gone && !limits.is_empty() {
        // What is gone cannot be shown to be no slower.
        judgement = judgement.max(Some(Judgement::CannotTell));
    }
    Ok(Comparison {
        format: FORMAT,
        confidence_percent: bootstrap::CONFIDENCE,
        judgement,
        rows,
        only_a,
        only_b,
    })
}

/// Rows of the same scenario under the same settings, and what is only in one.
fn line_up<'r>(a: &'r [Row], b: &'r [Row]) -> (Vec<(&'r Row, &'r Row)>, Vec<&'r Row>, Vec<&'r Row>) {
    if let ([a], [b]) = (a, b) {
        return (vec![(a, b)], Vec::new(), Vec::new());
    }
    let same = |a: &Row, b: &Row| a.scenario == b.scenario && a.settings == b.settings;
    let pairs = a.iter().filter_map(|a| Some((a, b.iter().find(|b| same(a, b))?))).collect();
    let only_a = a.iter().filter(|a| !b.iter().any(|b| same(a, b))).collect();
    let only_b = b.iter().filter(|b| !a.iter().any(|a| same(a, b))).collect();
    (pairs, only_a, only_b)
}

fn name(row: &Row) -> String {
    format!("{} {}", row.scenario, row.settings_in_words()).trim_end().to_owned()
}

impl SideOfRow {
    fn of(row: &Row) -> Self {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            name: name(row),
            keda: row.keda.clone(),
            runs: count(row.runs.len()),
            left_out: count(row.left_out.len()),
            never_received: row.never_received(),
        }
    }
}

impl ComparedRow {
    fn of(a: &Row, b: &Row, limits: &[Limit]) -> Self {
        let paired = a.runs.iter().map(|run| run.seed).eq(b.runs.iter().map(|run| run.seed));
        let wanted: Vec<(StageName, Vec<u32>)> =
            StageName::ALL.into_iter().map(|stage| (stage, percentiles(stage, limits))).collect();
        let drawn = draw((&a.runs, &b.runs), paired, &wanted);
        let sides = Sides { a, b };
        let stages =
            wanted.iter().zip(&drawn).map(|((stage, _), drawn)| sides.stage(*stage, drawn)).collect();
        let judged = limits.iter().map(|limit| {
            let of_stage = wanted.iter().zip(&drawn).find(|((stage, _), _)| *stage == limit.stage);
            let found =
                of_stage.and_then(|(_, drawn)| drawn.iter().find(|one| one.percentile == limit.percentile));
            sides.judge(limit, found)
        });
        Self { a: SideOfRow::of(a), b: SideOfRow::of(b), paired, stages, limits: judged.collect() }
    }
}

/// What is to be told of a stage, ascending.
fn percentiles(stage: StageName, limits: &[Limit]) -> Vec<u32> {
    let limited = limits.iter().filter(|limit| limit.stage == stage).map(|limit| limit.percentile);
    let mut all: Vec<u32> = PERCENTILES.into_iter().chain(limited).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The two sides of a row.
#[derive(Clone, Copy)]
struct Sides<'r> {
    a: &'r Row,
    b: &'r Row,
}

impl Sides<'_> {
    fn stage(self, stage: StageName, drawn: &[Drawn]) -> ComparedStage {
        ComparedStage {
            stage,
            between: stage.between().to_owned(),
            jobs_a: jobs(&self.a.runs, stage),
            jobs_b: jobs(&self.b.runs, stage),
            percentiles: drawn.iter().map(|drawn| self.percentile(stage, drawn)).collect(),
        }
    }

    fn percentile(self, stage: StageName, drawn: &Drawn) -> ComparedPercentile {
        let (a, b) = drawn.measured;
        let difference = |&(a, b): &(u64, u64)| signed(b).saturating_sub(signed(a));
        let enough = self.too_little(stage, drawn.percentile).is_none();
        let bounds = enough.then(|| interval(drawn.draws.iter().map(difference).collect())).flatten();
        let shares: Option<Vec<f64>> = drawn.draws.iter().map(|&(a, b)| share(a, b)).collect();
        let shares = shares.and_then(interval);
        ComparedPercentile {
            percentile: drawn.percentile,
            a_ms: a,
            b_ms: b,
            difference_ms: difference(&(a, b)),
            difference_percent: share(a, b),
            interval: bounds.map(|(low_ms, high_ms)| Interval {
                low_ms,
                high_ms,
                low_percent: shares.map(|(low, _)| low),
                high_percent: shares.map(|(_, high)| high),
            }),
        }
    }

    fn judge(self, limit: &Limit, drawn: Option<&Drawn>) -> JudgedLimit {
        let (judgement, because) = self.judged(limit, drawn);
        JudgedLimit { limit: limit.to_string(), judgement, because }
    }

    fn judged(self, limit: &Limit, drawn: Option<&Drawn>) -> (Judgement, String) {
        let cannot = |because: String| (Judgement::CannotTell, because);
        let Some(drawn) = drawn else {
            return cannot("on one side no job went through this stage".to_owned());
        };
        if let Some(because) = self.too_little(limit.stage, limit.percentile) {
            return cannot(because);
        }
        let excess = |&(a, b): &(u64, u64)| limit.allowance.excess(a, b);
        let Some((low, high)) = interval(drawn.draws.iter().map(excess).collect()) else {
            return cannot("too few of the runs have a job that went through this stage".to_owned());
        };
        // Whoever never got an agent would have waited longest.
        let lost = |row: &Row| row.never_received();
        if lost(self.b) > lost(self.a) && low <= 0 {
            return cannot(format!(
                "jobs that no agent ever received, which are in no figure: {} in A, {} in B",
                lost(self.a),
                lost(self.b)
            ));
        }
        if low > 0 {
            (Judgement::Slower, "the whole interval lies beyond the limit".to_owned())
        } else if high <= 0 {
            (Judgement::Within, "the whole interval lies within the limit".to_owned())
        } else {
            let because = "the interval lies on both sides of the limit, so it may be chance; more runs make it narrower";
            (Judgement::NotShown, because.to_owned())
        }
    }

    /// Why nothing is said about chance, if so.
    fn too_little(self, stage: StageName, percentile: u32) -> Option<String> {
        let measured = |row: &Row| row.runs.iter().filter(|run| run.took_ms.contains_key(&stage)).count();
        let runs = (measured(self.a), measured(self.b));
        if runs.0.min(runs.1) < FEWEST_RUNS {
            return Some(format!(
                "there are {} and {} runs, it takes {FEWEST_RUNS} on each side",
                runs.0, runs.1
            ));
        }
        let jobs = (jobs(&self.a.runs, stage), jobs(&self.b.runs, stage));
        let fewest = fewest_jobs(percentile);
        (jobs.0.min(jobs.1) < fewest).then(|| {
            format!("there are {} and {} jobs, p{percentile} takes {fewest} on each side", jobs.0, jobs.1)
        })
    }
}

/// How many jobs it takes so that one lies beyond the percentile.
fn fewest_jobs(percentile: u32) -> u64 {
    u64::from(100_u32.div_ceil(100_u32.saturating_sub(percentile).max(1)))
}

fn jobs(runs: &[RunTimes], stage: StageName) -> u64 {
    runs.iter().filter_map(|run| run.took_ms.get(&stage)).map(|took| took.len() as u64).sum()
}

fn signed(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}

/// How much more `b` is than `a`, in percent to the second decimal; nothing can be said of zero.
fn share(a: u64, b: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "spans stay far below 2^52 milliseconds")]
    let percent = (b as f64 - a as f64) / a as f64 * 100.0;
    (a > 0).then(|| (percent * 100.0).round() / 100.0)
}
