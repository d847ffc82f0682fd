//! Repetitions of one scenario on one KEDA version, read as one.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use verifier::{Aggregate, Report, RuleShare, Verdict};

use crate::sweep::{Sweep, sweep};

/// How many breaches of a rule are listed.
const MOST_BREACHES: usize = 10;

/// The runs of one scenario on one version.
#[derive(Debug, Serialize)]
pub(crate) struct Group {
    pub(crate) scenario: String,
    pub(crate) keda: String,
    pub(crate) reports: Vec<Report>,
    /// What they come to together, if there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aggregate: Option<Aggregate>,
    /// How their measured values are spread, if there is more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sweep: Option<Sweep>,
}

/// Sorts reports into groups, in the order in which they first come.
pub(crate) fn group(reports: Vec<Report>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for report in reports {
        let scenario = report.run.scenario.clone();
        let keda = report.run.versions.get("keda").cloned().unwrap_or_default();
        match groups.iter_mut().find(|group| group.scenario == scenario && group.keda == keda) {
            Some(group) => group.reports.push(report),
            None => {
                groups.push(Group { scenario, keda, reports: vec![report], aggregate: None, sweep: None });
            }
        }
    }
    for group in &mut groups {
        group.reports.sort_by_key(|report| report.run.repetition);
        if group.reports.len() > 1 {
            group.aggregate = Some(verifier::aggregate(&group.reports));
            group.sweep = sweep(&group.reports);
        }
    }
    groups
}

impl Group {
    /// The verdict on all of its runs.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        match (&self.aggregate, self.reports.as_slice()) {
            (Some(aggregate), _) => Some(aggregate.verdict),
            (None, [report]) => Some(report.verdict),
            (None, _) => None,
        }
    }

    /// Writes what repetitions come to together beside their folders.
    pub(crate) fn write(&self, out: &Path) -> Result<(), String> {
        let Some(aggregate) = &self.aggregate else { return Ok(()) };
        let path = out.join(format!("{}-keda-{}.json", self.scenario, self.keda));
        let text = serde_json::to_string_pretty(aggregate).map_err(|error| error.to_string())? + "\n";
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// The report of a single run, or a table of rules and the share of runs that broke them.
    pub(crate) fn render(&self, width: usize, colour: bool) -> String {
        match (&self.aggregate, self.reports.as_slice()) {
            (None, [report]) => report.render(width, colour),
            (None, _) => String::new(),
            (Some(aggregate), reports) => table(self, aggregate, reports),
        }
    }
}

fn table(group: &Group, aggregate: &Aggregate, reports: &[Report]) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} on KEDA {}: {} runs, {}",
        group.scenario,
        group.keda,
        aggregate.runs,
        verdict(aggregate.verdict)
    );
    let _ = writeln!(text, "  {}", aggregate.because);
    let counts: Vec<_> =
        aggregate.verdicts.iter().map(|(of, runs)| format!("{runs} {}", verdict(*of))).collect();
    let _ = writeln!(text, "  runs: {}", counts.join(", "));
    for share in &aggregate.rules {
        rule(&mut text, share, aggregate.runs, reports);
    }
    if let Some(sweep) = &group.sweep {
        text.push_str(&sweep.render());
    }
    text
}

/// A rule: how often it was broken, what it asks for, and each breach.
fn rule(text: &mut String, share: &RuleShare, of: u32, reports: &[Report]) {
    let meant = if share.expected { ", meant to be found" } else { "" };
    let _ =
        writeln!(text, "  {}: {} of {of} runs ({:.0} %){meant}", share.rule, share.runs, share.share * 100.0);
    let breaches = reports.iter().flat_map(|report| {
        let findings = report.findings.iter().filter(|finding| finding.rule == share.rule);
        findings.map(|finding| (report.run.seed, finding))
    });
    for (at, (seed, finding)) in breaches.enumerate() {
        if at == MOST_BREACHES {
            let _ = writeln!(text, "    and more, in the JSON");
            break;
        }
        if at == 0 {
            let _ = writeln!(text, "    bound: {}", finding.bound);
            let _ = writeln!(text, "    such as: {}", finding.because);
        }
        let subject = &finding.subject;
        let _ = writeln!(text, "    seed {seed}: {} {subject}: {}", finding.at, finding.measured);
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Findings => "findings",
        Verdict::ExpectedFindings => "expected findings",
        Verdict::Inconclusive => "inconclusive",
    }
}
