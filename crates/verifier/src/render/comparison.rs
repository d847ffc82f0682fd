//! Two results of `bench latency` as text: the limits first, then the stages.

use model::Millis;

use super::NARROWEST;
use super::text::{Style, Tone, left, right};
use crate::compare::{ComparedPercentile, ComparedRow, ComparedStage, Comparison, Judgement, SideOfRow};
use crate::latency::StageName;
use crate::words::{counted, span};

/// Columns of the table.
const STAGE: usize = 35;
const PERCENTILE: usize = 4;
const TIME: usize = 9;
const DIFFERENCE: usize = 11;
const SHARE: usize = 9;

impl Judgement {
    fn words(self) -> (&'static str, Tone) {
        match self {
            Self::Within => ("within", Tone::Good),
            Self::NotShown => ("not shown", Tone::Good),
            Self::CannotTell => ("CANNOT TELL", Tone::Odd),
            Self::Slower => ("SLOWER", Tone::Bad),
        }
    }
}

impl Comparison {
    /// The comparison as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let mut out = String::new();
        for row in &self.rows {
            if !out.is_empty() {
                out.push('\n');
            }
            out.push_str(&self.row(row, style));
        }
        for (only, which) in [(&self.only_a, "A"), (&self.only_b, "B")] {
            for name in only {
                out.push_str(&format!("\n{} is only in {which}\n", style.paint(Tone::Odd, name)));
            }
        }
        out
    }

    fn row(&self, row: &ComparedRow, style: Style) -> String {
        let mut out = format!("{}\n", style.paint(Tone::Strong, &title(row)));
        for (side, which) in [(&row.a, "A"), (&row.b, "B")] {
            out.push_str(&style.paragraph(&format!("{which}  "), 2, &side_in_words(side)));
        }
        let paired =
            if row.paired { "the same seeds, held against each other one by one" } else { "other seeds" };
        out.push_str(&style.paragraph("", 5, paired));
        for limit in &row.limits {
            let (words, tone) = limit.judgement.words();
            let label = format!("{}  {}  ", style.paint(tone, &left(words, 11)), limit.limit);
            out.push_str(&format!("  {label}{}\n", limit.because));
        }
        out.push('\n');
        let interval = format!("{} % interval", self.confidence_percent);
        let head = format!(
            "  {}{}{}{}{}{}  {interval}",
            left("from → to", STAGE),
            left("", PERCENTILE),
            right("A", TIME),
            right("B", TIME),
            right("difference", DIFFERENCE),
            right("", SHARE),
        );
        out.push_str(&format!("{}\n", style.paint(Tone::Dim, &head)));
        // One row is read in full, of many only what everybody asks for first.
        let stages =
            row.stages.iter().filter(|stage| self.rows.len() == 1 || stage.stage == StageName::Whole);
        stages.for_each(|stage| out.push_str(&stage_lines(stage, style)));
        out
    }
}

fn title(row: &ComparedRow) -> String {
    if row.a.name == row.b.name { row.a.name.clone() } else { format!("{} → {}", row.a.name, row.b.name) }
}

fn side_in_words(side: &SideOfRow) -> String {
    let mut text = format!("KEDA {}, {}", side.keda, counted(side.runs, "run"));
    if side.left_out > 0 {
        text.push_str(&format!(", {} more left out", side.left_out));
    }
    if side.never_received > 0 {
        text.push_str(&format!(", {} never received, in no figure", counted(side.never_received, "job")));
    }
    text
}

fn stage_lines(stage: &ComparedStage, style: Style) -> String {
    let mut out = String::new();
    for (at, percentile) in stage.percentiles.iter().enumerate() {
        let name = if at == 0 { stage.between.as_str() } else { "" };
        out.push_str(&percentile_line(name, percentile, style));
    }
    out
}

fn percentile_line(name: &str, of: &ComparedPercentile, style: Style) -> String {
    let share = of.difference_percent.map_or_else(|| "-".to_owned(), percent);
    let interval = of.interval.map_or_else(
        || "too few to say".to_owned(),
        |interval| {
            let times = format!("{} .. {}", signed(interval.low_ms), signed(interval.high_ms));
            match interval.low_percent.zip(interval.high_percent) {
                Some((low, high)) => format!("{times}  ({} .. {})", percent(low), percent(high)),
                None => times,
            }
        },
    );
    let tone = match of.interval {
        Some(interval) if interval.low_ms > 0 => Tone::Bad,
        Some(interval) if interval.high_ms < 0 => Tone::Good,
        _ => Tone::Dim,
    };
    let line = format!(
        "  {}{}{}{}{}{}  {}",
        left(name, STAGE),
        left(&format!("p{}", of.percentile), PERCENTILE),
        right(&span(Millis(of.a_ms)), TIME),
        right(&span(Millis(of.b_ms)), TIME),
        right(&signed(of.difference_ms), DIFFERENCE),
        right(&share, SHARE),
        style.paint(tone, &interval)
    );
    format!("{}\n", line.trim_end())
}

/// `+1.2s`, `-300ms`, `0s`.
fn signed(difference_ms: i64) -> String {
    let sign = match difference_ms {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    format!("{sign}{}", span(Millis(difference_ms.unsigned_abs())))
}

/// `+12.3 %`.
fn percent(share: f64) -> String {
    if share == 0.0 { "0 %".to_owned() } else { format!("{share:+.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Interval, JudgedLimit};
    use crate::latency::FORMAT;

    fn comparison() -> Comparison {
        let side = |runs, never_received| SideOfRow {
            name: "article".into(),
            keda: "2.21.0".into(),
            runs,
            left_out: 0,
            never_received,
        };
        let percentile = |percentile, interval| ComparedPercentile {
            percentile,
            a_ms: 40_000,
            b_ms: 52_400,
            difference_ms: 12_400,
            difference_percent: Some(31.0),
            interval,
        };
        let interval =
            Interval { low_ms: 10_000, high_ms: 15_500, low_percent: Some(25.5), high_percent: Some(38.0) };
        let limit = |limit: &str, judgement, because: &str| JudgedLimit {
            limit: limit.into(),
            judgement,
            because: because.into(),
        };
        Comparison {
            format: FORMAT,
            confidence_percent: 95,
            judgement: Some(Judgement::Slower),
            rows: vec![ComparedRow {
                a: side(20, 0),
                b: side(20, 2),
                paired: true,
                stages: vec![ComparedStage {
                    stage: StageName::Whole,
                    between: StageName::Whole.between().into(),
                    jobs_a: 80,
                    jobs_b: 78,
                    percentiles: vec![percentile(95, Some(interval)), percentile(99, None)],
                }],
                limits: vec![
                    limit("whole:p95 +10%", Judgement::Slower, "the whole interval lies beyond the limit"),
                    limit("whole:p99 +10%", Judgement::CannotTell, "there are 80 and 78 jobs"),
                ],
            }],
            only_a: Vec::new(),
            only_b: vec!["other".into()],
        }
    }

    #[test]
    fn a_comparison_tells_its_limits_and_where_each_difference_lies() {
        insta::assert_snapshot!(comparison().render(100, false));
    }

    #[test]
    fn differences_have_signs() {
        assert_eq!((signed(0), signed(1_234), signed(-300)), ("0s".into(), "+1.2s".into(), "-300ms".into()));
        assert_eq!(
            (percent(0.0), percent(12.34), percent(-5.0)),
            ("0 %".into(), "+12.3 %".into(), "-5.0 %".into())
        );
    }
}
