//! A report as text for a terminal: the verdict first, then what it rests on.

mod chart;
mod comparison;
mod difference;
mod explanation;
mod latency;
mod table;
mod text;

use model::event::Outcome;

use self::text::{Style, Tone};
use crate::aggregate::Aggregate;
use crate::report::{Finding, Report, Run, Severity, Verdict};
use crate::words::{counted, names};

/// So many findings of one rule are told in full.
const IN_FULL: usize = 3;
/// Narrower than this nothing is legible.
const NARROWEST: usize = 60;

impl Report {
    /// The report as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let mut out = head(self, style);
        if !self.findings.is_empty() {
            out.push_str(&style.heading("Findings"));
            out.push_str(&findings(&self.findings, style));
        }
        out.push_str(&style.heading("Over time"));
        let marks: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Violation)
            .map(|finding| finding.at)
            .collect();
        out.push_str(&chart::draw(&self.series, &marks, style));
        if !self.measurements.stages.is_empty() {
            out.push_str(&style.heading("Where the time went"));
            out.push_str(&table::stages(&self.measurements.stages, style));
        }
        out.push_str(&style.heading("Measured"));
        out.push_str(&table::measured(&self.measurements, style));
        if !self.not_judged.is_empty() {
            out.push_str(&style.heading("Not judged"));
            for rule in &self.not_judged {
                out.push_str(&style.paragraph(
                    "",
                    2,
                    &format!("{} for {}: {}", rule.rule, rule.subject, rule.because),
                ));
            }
        }
        out
    }
}

impl Aggregate {
    /// The judgement of several runs as text of `width` columns, coloured or not.
    #[must_use]
    pub fn render(&self, width: usize, colour: bool) -> String {
        let style = Style { colour, width: width.max(NARROWEST) };
        let mut out = format!("{}  {}\n", verdict(self.verdict, style), counted(self.runs, "run"));
        out.push_str(&style.paragraph("", 2, &self.because));
        if !self.rules.is_empty() {
            out.push_str(&style.heading("Found broken"));
        }
        for share in &self.rules {
            let announced = if share.expected { ", as announced" } else { "" };
            out.push_str(&format!(
                "  {} in {} of {} ({:.0} %){announced}\n",
                style.paint(tone(share.severity, share.expected), &share.rule),
                share.runs,
                counted(self.runs, "run"),
                share.share * 100.0
            ));
            out.push_str(&style.paragraph("whom      ", 4, &names(&share.subjects, 12)));
            let seeds: Vec<String> = share.seeds.iter().map(u64::to_string).collect();
            out.push_str(&style.paragraph("seeds     ", 4, &names(&seeds, 12)));
        }
        if !self.findings.is_empty() {
            out.push_str(&style.heading("Of all runs together"));
            out.push_str(&findings(&self.findings, style));
        }
        out
    }
}

fn verdict(verdict: Verdict, style: Style) -> String {
    let tone = match verdict {
        Verdict::Passed | Verdict::ExpectedFindings => Tone::Good,
        Verdict::Findings => Tone::Bad,
        Verdict::Inconclusive => Tone::Odd,
    };
    style.paint(tone, &verdict.to_string().to_uppercase())
}

fn head(report: &Report, style: Style) -> String {
    let run = &report.run;
    let name = if run.scenario.is_empty() { "no scenario" } else { &run.scenario };
    let mut out = format!("{}  {}\n", verdict(report.verdict, style), style.paint(Tone::Strong, name));
    out.push_str(&style.paragraph("", 2, &report.because));
    if !run.engine.is_empty() {
        out.push_str(&style.paragraph("run       ", 2, &run_words(run)));
    }
    if let Some(bad) = &report.announced.known_bad {
        let text = format!("KEDA {} is known to be bad here ({}): it must fail", bad.keda, bad.range);
        out.push_str(&style.paragraph("expected  ", 2, &text));
    }
    if !run.replay.is_empty() {
        out.push_str(&style.paragraph("again     ", 2, &run.replay));
    }
    out
}

/// What ran, in a line: the engine and its speed, the seed, the end and the versions.
fn run_words(run: &Run) -> String {
    let ended = match run.outcome {
        Some(Outcome::Settled) => "settled",
        Some(Outcome::DurationReached) => "over",
        Some(Outcome::BoundReached) => "not settled",
        Some(Outcome::Interrupted) => "interrupted",
        Some(Outcome::Failed) => "failed",
        None => "log ends",
    };
    let versions: Vec<String> =
        run.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let repetition =
        if run.repetition > 1 { format!(", repetition {}", run.repetition) } else { String::new() };
    let speed = if run.is_simulated() {
        "simulated".to_owned()
    } else if run.speed > 1 {
        format!("{} at {} times real time", run.engine, run.speed)
    } else {
        format!("{} in real time", run.engine)
    };
    format!("{speed}, seed {}{repetition}, {ended} at {}; {}", run.seed, run.ended, versions.join(", "))
}

fn tone(severity: Severity, expected: bool) -> Tone {
    match severity {
        Severity::Violation if expected => Tone::Good,
        Severity::Violation => Tone::Bad,
        Severity::Inconclusive => Tone::Odd,
        Severity::Note => Tone::Dim,
    }
}

fn findings(findings: &[Finding], style: Style) -> String {
    let mut rules: Vec<&str> = Vec::new();
    for finding in findings {
        if !rules.contains(&finding.rule.as_str()) {
            rules.push(&finding.rule);
        }
    }
    let mut out = String::new();
    for rule in rules {
        let of_rule: Vec<&Finding> = findings.iter().filter(|finding| finding.rule == rule).collect();
        for finding in of_rule.iter().take(IN_FULL) {
            out.push_str(&one_finding(finding, style));
        }
        let more: Vec<&str> = of_rule.iter().skip(IN_FULL).map(|finding| finding.subject.as_str()).collect();
        if !more.is_empty() {
            out.push_str(&style.paragraph(
                "",
                4,
                &format!("{} more of {rule}: {}", more.len(), names(&more, 8)),
            ));
        }
    }
    out
}

fn one_finding(finding: &Finding, style: Style) -> String {
    let sign = match finding.severity {
        Severity::Inconclusive => "?",
        Severity::Violation if finding.expected => "=",
        Severity::Violation => "x",
        Severity::Note => "-",
    };
    let tone = tone(finding.severity, finding.expected);
    let announced = if finding.expected { "  (announced)" } else { "" };
    let mut out = format!(
        "  {} {}  {}  {}{announced}\n",
        style.paint(tone, sign),
        style.paint(tone, &finding.rule),
        finding.at,
        finding.subject
    );
    out.push_str(&style.paragraph("measured  ", 4, &finding.measured));
    out.push_str(&style.paragraph("bound     ", 4, &finding.bound));
    out.push_str(&style.paragraph("because   ", 4, &finding.because));
    out
}
