//! What `bench latency` measured, as text: a table of stages with their budgets and bars for one combination of settings,
//! one line for each combination for several.
//!
//! ```text
//! queued → seen by KEDA     ████████▒▒▒▒▒▒▒░╎
//! ```
//!
//! A bar is filled to p50, dotted to p95, light to the longest; a mark stands at the budget.

use std::collections::BTreeMap;

use model::Millis;

use super::NARROWEST;
use super::text::{Style, Tone, left, right};
use crate::latency::{Latency, Row, Spread, StageName, StageSummary};
use crate::words::{counted, names, span};

/// Columns of the stage table.
const STAGE: usize = 35;
const JOBS: usize = 6;
const TIME: usize = 9;
/// From this width on the table says what each budget is made of.
const WITH_REASONS: usize = 110;
/// Between two columns.
const GAP: usize = 2;
/// The narrowest plot.
const PLOT: usize = 20;
const TO_P50: char = '█';
const TO_P95: char = '▒';
const TO_MAX: char = '░';
const BUDGET: char = '╎';
/// Distances between labels of the time axis, in seconds.
const TICKS: [u64; 12] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
/// A label takes so many columns, space included.
const LABEL: usize = 8;
/// One of the figures of a stage.
type Figure = fn(&Spread) -> u64;

/// So many runs that were left out are told one by one.
const LEFT_OUT: usize = 3;

impl Latency {
    /// The result as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let mut out = String::new();
        let mut rows = self.rows.as_slice();
        while let [first, ..] = rows {
            let same = rows.iter().take_while(|row| row.scenario == first.scenario).count();
            let (of_scenario, others) = rows.split_at(same);
            if !out.is_empty() {
                out.push('\n');
            }
            match of_scenario {
                [row] => out.push_str(&one(self, row, style)),
                rows => out.push_str(&several(self, rows, style)),
            }
            rows = others;
        }
        out.push_str(&format!("\nagain  {}\n", self.again));
        out
    }
}

/// What ran: `latency-scaledjob  KEDA 2.21.0, simulated, 100 runs, 1200 jobs`.
fn head(latency: &Latency, rows: &[Row], style: Style) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let engine = match latency.speed {
        0 => "simulated".to_owned(),
        speed => format!("{} at {speed} times real time", latency.engine),
    };
    let runs: usize = rows.iter().map(|row| row.runs.len()).sum();
    let jobs: u64 = rows.iter().flat_map(|row| &row.runs).map(|run| u64::from(run.received)).sum();
    format!(
        "{}  KEDA {}, {engine}, {}, {}\n",
        style.paint(Tone::Strong, &first.scenario),
        first.keda,
        counted(runs as u64, "run"),
        counted(jobs, "job")
    )
}

fn one(latency: &Latency, row: &Row, style: Style) -> String {
    let mut out = head(latency, std::slice::from_ref(row), style);
    if !row.settings.is_empty() {
        out.push_str(&style.paragraph("", 2, &row.settings_in_words()));
    }
    out.push_str(&remarks(row, style));
    if row.stages.is_empty() {
        out.push_str("  nothing was measured\n");
        return out;
    }
    out.push('\n');
    out.push_str(&table(row, style));
    out.push('\n');
    out.push_str(&chart(row, style));
    out
}

/// What a reader of the figures has to know: jobs and runs that are not in them, rules that were broken.
fn remarks(row: &Row, style: Style) -> String {
    let mut out = String::new();
    let mut say = |text: &str| out.push_str(&style.paragraph("! ", 2, text));
    if row.never_received() > 0 {
        say(&format!("{} never received, in no figure", counted(row.never_received(), "job")));
    }
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in row.runs.iter().flat_map(|run| &run.broken) {
        *broken.entry(rule).or_default() += 1;
    }
    if !broken.is_empty() {
        let rules: Vec<String> = broken.iter().map(|(rule, runs)| format!("{rule} ×{runs}")).collect();
        say(&format!(
            "of {}, so many broke a rule: {}",
            counted(row.runs.len() as u64, "run"),
            names(&rules, 6)
        ));
    }
    for left_out in row.left_out.iter().take(LEFT_OUT) {
        say(&format!("seed {} is left out: {}", left_out.seed, left_out.because));
    }
    if row.left_out.len() > LEFT_OUT {
        say(&format!("{} more runs are left out", row.left_out.len() - LEFT_OUT));
    }
    out
}

fn table(row: &Row, style: Style) -> String {
    let titles = ["p50", "p95", "p99", "max", "budget"].map(|title| right(title, TIME)).concat();
    let head = format!("  {}{}{titles}", left("from → to", STAGE), right("jobs", JOBS));
    let mut out = format!("{}\n", style.paint(Tone::Dim, &head));
    for stage in &row.stages {
        out.push_str(&line(stage, style));
    }
    out
}

fn line(stage: &StageSummary, style: Style) -> String {
    let time = |of: fn(&Spread) -> u64| {
        right(&stage.took.as_ref().map_or_else(|| "-".to_owned(), |took| span(Millis(of(took)))), TIME)
    };
    let count = stage.took.map_or_else(|| "-".to_owned(), |took| took.count.to_string());
    let max = time(|took| took.max_ms);
    let max = if stage.over_budget > 0 { style.paint(Tone::Odd, &max) } else { max };
    let budget = stage.budget_ms.map_or_else(|| "-".to_owned(), |budget| span(Millis(budget)));
    let mut line = format!(
        "  {}{}{}{}{}{max}{}",
        left(&stage.between, STAGE),
        right(&count, JOBS),
        time(|took| took.p50_ms),
        time(|took| took.p95_ms),
        time(|took| took.p99_ms),
        right(&budget, TIME)
    );
    let used = 2 + STAGE + JOBS + 5 * TIME + 1;
    if stage.over_budget > 0 {
        line.push_str(&format!(" ! {} over", counted(stage.over_budget, "job")));
    } else if style.width >= WITH_REASONS {
        let reason: String = stage.budget_because.chars().take(style.width - used).collect();
        line.push_str(&format!(" {}", style.paint(Tone::Dim, &reason)));
    }
    format!("{}\n", line.trim_end())
}

/// A bar for each stage that any job went through, all from the same zero: percentiles of parts do not add up.
fn chart(row: &Row, style: Style) -> String {
    let measured: Vec<(&StageSummary, Spread)> =
        row.stages.iter().filter_map(|stage| Some((stage, stage.took?))).collect();
    let most = measured.iter().map(|(stage, took)| took.max_ms.max(stage.budget_ms.unwrap_or(0))).max();
    let scale = Scale { most: most.unwrap_or(0), columns: style.width.saturating_sub(2 + STAGE).max(PLOT) };
    let mut out = String::new();
    for (stage, took) in measured {
        let bar = scale.bar(took, stage.budget_ms);
        let tone = if stage.over_budget > 0 { Tone::Odd } else { Tone::Good };
        out.push_str(&format!("  {}{}\n", left(&stage.between, STAGE), style.paint(tone, bar.trim_end())));
    }
    out.push_str(&format!("{}{}\n", " ".repeat(2 + STAGE), scale.axis()));
    out.push_str(&format!(
        "{}{TO_P50} to p50   {TO_P95} to p95   {TO_MAX} to the longest   {BUDGET} budget\n",
        " ".repeat(2 + STAGE)
    ));
    out
}

/// Columns and the time that they stand for.
#[derive(Debug, Clone, Copy)]
struct Scale {
    most: u64,
    columns: usize,
}

impl Scale {
    /// The column in which a span ends.
    fn of(self, span: u64) -> usize {
        let column = u128::from(span) * (self.columns as u128 - 1) / u128::from(self.most.max(1));
        usize::try_from(column).unwrap_or(usize::MAX).min(self.columns - 1)
    }

    fn bar(self, took: Spread, budget: Option<u64>) -> String {
        let mut cells = vec![' '; self.columns];
        for (end, cell) in [(took.max_ms, TO_MAX), (took.p95_ms, TO_P95), (took.p50_ms, TO_P50)] {
            // Even no time at all is a measured one.
            cells[..=self.of(end)].fill(cell);
        }
        if let Some(budget) = budget {
            cells[self.of(budget)] = BUDGET;
        }
        cells.into_iter().collect()
    }

    fn axis(self) -> String {
        let fits = |tick: &&u64| self.of(**tick * 1000) >= LABEL;
        let tick = TICKS.iter().find(fits).copied().unwrap_or(7200);
        let mut axis = String::new();
        let mut at = 0;
        while at * 1000 <= self.most && self.of(at * 1000) + LABEL <= self.columns {
            let label = Millis::seconds(at).to_string();
            axis = format!("{}{label}", left(&axis, self.of(at * 1000)));
            at += tick;
        }
        axis
    }
}

/// One line for each combination: the p95 of each stage, and the whole.
fn several(latency: &Latency, rows: &[Row], style: Style) -> String {
    let mut out = head(latency, rows, style);
    for row in rows {
        let said = remarks(row, style);
        if !said.is_empty() {
            out.push_str(&format!("  {}\n{said}", row.settings_in_words()));
        }
    }
    let swept: Vec<&String> = rows.first().map(|row| row.settings.keys().collect()).unwrap_or_default();
    let mut columns: Vec<Vec<String>> = Vec::new();
    for name in swept {
        let values = rows.iter().map(|row| row.settings.get(name).cloned().unwrap_or_default());
        columns.push(std::iter::once(name.clone()).chain(values).collect());
    }
    let settings = columns.len();
    let of = |row: &Row, stage: StageName, of: Figure| {
        let took = row.stage(stage).and_then(|stage| stage.took);
        took.map_or_else(|| "-".to_owned(), |took| span(Millis(of(&took))))
    };
    let figure = |title: String, stage: StageName, what: Figure| {
        std::iter::once(title).chain(rows.iter().map(|row| of(row, stage, what))).collect::<Vec<String>>()
    };
    for stage in StageName::WAY {
        columns.push(figure(stage.name().to_owned(), stage, |took| took.p95_ms));
    }
    let whole: [(&str, Figure); 4] = [
        ("p50", |took| took.p50_ms),
        ("p95", |took| took.p95_ms),
        ("p99", |took| took.p99_ms),
        ("max", |took| took.max_ms),
    ];
    columns.extend(whole.map(|(title, what)| figure(title.to_owned(), StageName::Whole, what)));
    let width = |column: &Vec<String>| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let before = |columns: usize| widths.iter().take(columns).map(|width| width + GAP).sum::<usize>();
    let stages = settings + StageName::WAY.len();
    let groups = format!(
        "{}{}",
        left("", before(settings)),
        left("  p95 of each stage", before(stages) - before(settings))
    );
    out.push_str(&format!("\n{}\n", style.paint(Tone::Dim, &format!("{groups}  queued → received"))));
    for at in 0..=rows.len() {
        let cells = columns.iter().zip(&widths).enumerate().map(|(column, (cells, width))| {
            let gap = " ".repeat(GAP);
            let cell = cells.get(at).map_or("", String::as_str);
            gap + &if column < settings { left(cell, *width) } else { right(cell, *width) }
        });
        let line: String = cells.collect();
        let line = if at == 0 { style.paint(Tone::Dim, &line) } else { line };
        out.push_str(&format!("{line}\n"));
    }
    out.push('\n');
    out.push_str(&bars(rows, style));
    out
}

/// A bar for the whole way under each combination.
fn bars(rows: &[Row], style: Style) -> String {
    let names: Vec<String> = rows.iter().map(Row::settings_in_words).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + GAP;
    let whole = |row: &Row| row.stage(StageName::Whole).and_then(|stage| stage.took);
    let most = rows.iter().filter_map(whole).map(|took| took.max_ms).max().unwrap_or(0);
    let scale = Scale { most, columns: style.width.saturating_sub(2 + widest).max(PLOT) };
    let mut out = String::new();
    for (row, name) in rows.iter().zip(&names) {
        let bar = whole(row).map(|took| scale.bar(took, None)).unwrap_or_default();
        out.push_str(&format!("  {}{}\n", left(name, widest), style.paint(Tone::Good, bar.trim_end())));
    }
    let margin = " ".repeat(2 + widest);
    out.push_str(&format!("{margin}{}\n", scale.axis()));
    out.push_str(&format!("{margin}{TO_P50} to p50   {TO_P95} to p95   {TO_MAX} to the longest\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::{FORMAT, Measured};
    use crate::testing::article;

    fn latency(settings: &[&str]) -> Latency {
        let row = |poll: &&str| {
            let (report, times) = crate::verify_with_times(article().events());
            let mut row = Row::of(
                "article".into(),
                "2.21.0".into(),
                BTreeMap::from([("pollingInterval".to_owned(), (*poll).to_owned())]),
                vec![Measured::new(&report, times)],
            );
            row.settings.retain(|_, value| !value.is_empty());
            row
        };
        Latency {
            format: FORMAT,
            poolproof: "0.1.0".into(),
            engine: "sim".into(),
            speed: 0,
            again: "poolproof bench latency scenarios/article.yaml".into(),
            rows: settings.iter().map(row).collect(),
        }
    }

    #[test]
    fn one_combination_is_a_table_of_stages_and_bars() {
        insta::assert_snapshot!(latency(&[""]).render(100, false));
    }

    #[test]
    fn several_combinations_are_a_line_each() {
        insta::assert_snapshot!(latency(&["5s", "30s"]).render(100, false));
    }

    #[test]
    fn a_bar_ends_where_its_time_does() {
        let scale = Scale { most: 10_000, columns: 11 };
        let took = Spread { count: 1, p50_ms: 2000, p95_ms: 4000, p99_ms: 5000, max_ms: 6000 };
        assert_eq!(scale.bar(took, Some(10_000)), "███▒▒░░   ╎");
        assert_eq!(scale.bar(took, Some(1_000)), "█╎█▒▒░░    ");
        let none = Spread { count: 1, p50_ms: 0, p95_ms: 0, p99_ms: 0, max_ms: 0 };
        assert_eq!(Scale { most: 0, columns: 3 }.bar(none, None), "█  ");
    }
}
