//! Several repetitions of one scenario, judged together: chance decides which pod
//! is picked, so one run proves little about a rule that is broken now and then.

use std::collections::{BTreeMap, BTreeSet};

use model::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{Finding, Report, Severity, Verdict};
use crate::rules::Breach;
use crate::verdict::{KNOWN_BAD_PASSED, NOTHING_AS_ANNOUNCED, known_bad_breach, unmet};
use crate::words::{counted, names};

/// The judgement of several runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Aggregate {
    /// The judgement in a word.
    pub verdict: Verdict,
    /// The judgement in a sentence.
    pub because: String,
    /// How many runs there were.
    pub runs: u32,
    /// How many of them came to each verdict.
    pub verdicts: BTreeMap<Verdict, u32>,
    /// Every rule that was found broken, the most frequent first.
    pub rules: Vec<RuleShare>,
    /// What only all runs together show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// In how many runs a rule was found broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleShare {
    /// The rule's name.
    pub rule: String,
    /// How much it weighs.
    pub severity: Severity,
    /// Whether the scenario announced it.
    pub expected: bool,
    /// In how many runs.
    pub runs: u32,
    /// The same as a share of all runs, 0 to 1.
    pub share: f64,
    /// The seeds of those runs.
    pub seeds: Vec<u64>,
    /// Whom it concerned, such as the pods that were killed.
    pub subjects: Vec<String>,
}

/// Judges the repetitions of one scenario together.
///
/// One unannounced breach in any run is a finding. What was announced must have been found in at least one.
/// Runs that are inconclusive make the whole inconclusive, unless another shows a breach.
#[must_use]
pub fn aggregate(reports: &[Report]) -> Aggregate {
    let mut verdicts = BTreeMap::new();
    for report in reports {
        *verdicts.entry(own_verdict(report)).or_insert(0_u32) += 1;
    }
    let rules = shares(reports);
    let findings = missing(reports);
    let (verdict, because) = decide(reports, &verdicts, &rules, &findings);
    Aggregate { verdict, because, runs: number(reports.len()), verdicts, rules, findings }
}

/// A run's verdict without the complaint that it alone did not show what a bad version does.
fn own_verdict(report: &Report) -> Verdict {
    let unannounced = |finding: &&Finding| finding.severity == Severity::Violation && !finding.expected;
    let other =
        report.findings.iter().filter(unannounced).any(|finding| finding.rule != KNOWN_BAD_PASSED.name);
    match report.verdict {
        Verdict::Findings if !other => {
            let announced = report.findings.iter().any(|finding| finding.expected);
            if announced { Verdict::ExpectedFindings } else { Verdict::Passed }
        }
        verdict => verdict,
    }
}

fn shares(reports: &[Report]) -> Vec<RuleShare> {
    let mut rules: BTreeMap<&str, RuleShare> = BTreeMap::new();
    let findings = |report: &Report| {
        let kept = report
            .findings
            .iter()
            .filter(|finding| finding.severity != Severity::Note && finding.rule != KNOWN_BAD_PASSED.name);
        kept.cloned().collect::<Vec<_>>()
    };
    let all: Vec<(u64, Vec<Finding>)> =
        reports.iter().map(|report| (report.run.seed, findings(report))).collect();
    for (seed, findings) in &all {
        let mut counted = BTreeSet::new();
        for finding in findings {
            let share = rules.entry(&finding.rule).or_insert_with(|| RuleShare {
                rule: finding.rule.clone(),
                severity: finding.severity,
                expected: finding.expected,
                runs: 0,
                share: 0.0,
                seeds: Vec::new(),
                subjects: Vec::new(),
            });
            share.expected &= finding.expected;
            if counted.insert(finding.rule.as_str()) {
                share.runs += 1;
                share.seeds.push(*seed);
            }
            if !share.subjects.contains(&finding.subject) {
                share.subjects.push(finding.subject.clone());
            }
        }
    }
    let mut rules: Vec<RuleShare> = rules.into_values().collect();
    for share in &mut rules {
        share.share = f64::from(share.runs) / f64::from(number(reports.len()).max(1));
    }
    rules.sort_by(|a, b| (a.severity, b.runs, &a.rule).cmp(&(b.severity, a.runs, &b.rule)));
    rules
}

/// What was announced and not found in any run.
fn missing(reports: &[Report]) -> Vec<Finding> {
    let Some(first) = reports.first() else { return Vec::new() };
    let broken: BTreeSet<&str> = reports
        .iter()
        .filter(|report| report.verdict != Verdict::Inconclusive)
        .flat_map(|report| &report.findings)
        .filter(|finding| finding.severity == Severity::Violation && finding.rule != KNOWN_BAD_PASSED.name)
        .map(|finding| finding.rule.as_str())
        .collect();
    let mut findings = Vec::new();
    if let Some(known_bad) = &first.announced.known_bad {
        let unmet = unmet(known_bad, &|rule| broken.contains(rule), !broken.is_empty());
        if !unmet.is_empty() {
            findings.push(KNOWN_BAD_PASSED.finding(Instant::START, known_bad_breach(known_bad, &unmet)));
        }
    } else if reports.len() > 1 {
        let absent = first.announced.by_design.iter().filter(|rule| !broken.contains(rule.as_str()));
        findings.extend(absent.map(|rule| {
            NOTHING_AS_ANNOUNCED.finding(
                Instant::START,
                Breach {
                    subject: rule.clone(),
                    measured: format!("not found in {}", counted(number(reports.len()), "run")),
                    bound: "found in at least one".to_owned(),
                    because: "the scenario says that it breaks this rule by design".to_owned(),
                },
            )
        }));
    }
    findings
}

fn decide(
    reports: &[Report],
    verdicts: &BTreeMap<Verdict, u32>,
    rules: &[RuleShare],
    findings: &[Finding],
) -> (Verdict, String) {
    let with = |verdict| verdicts.get(&verdict).copied().unwrap_or_default();
    let runs = counted(number(reports.len()), "run");
    if reports.is_empty() {
        return (Verdict::Inconclusive, "there was no run".to_owned());
    }
    if with(Verdict::Findings) > 0 {
        let broken: Vec<&str> = rules
            .iter()
            .filter(|share| share.severity == Severity::Violation && !share.expected)
            .map(|share| share.rule.as_str())
            .collect();
        return (
            Verdict::Findings,
            format!("{} of {runs} broke {}", with(Verdict::Findings), names(&broken, 5)),
        );
    }
    if with(Verdict::Inconclusive) > 0 {
        return (
            Verdict::Inconclusive,
            format!("{} of {runs} cannot be judged", with(Verdict::Inconclusive)),
        );
    }
    if let Some(finding) = findings.first() {
        return (Verdict::Findings, format!("{}: {}", finding.rule, finding.measured));
    }
    if with(Verdict::ExpectedFindings) > 0 {
        return (
            Verdict::ExpectedFindings,
            format!("{} of {runs} broke what was announced", with(Verdict::ExpectedFindings)),
        );
    }
    (Verdict::Passed, format!("every rule holds in {runs}"))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::scenario::{Expectation, KnownBad};

    use super::*;
    use crate::testing::{Log, article, busy_agents_killed};

    fn killed() -> Log {
        busy_agents_killed().expect(Expectation::NoBusyAgentKilled)
    }

    fn bad(log: Log) -> Log {
        let known_bad =
            KnownBad { keda: ">=2.20.0, <2.21.0".into(), findings: vec!["no_busy_agent_killed".into()] };
        log.keda("2.20.2").started(|started| started.scenario.known_bad = Some(known_bad))
    }

    fn by_design(log: Log) -> Log {
        log.started(|started| {
            started.scenario.expect_findings = vec!["no_busy_agent_killed".into(), "job_abandoned".into()];
        })
    }

    fn together(logs: &[Log]) -> Aggregate {
        let reports: Vec<Report> = logs.iter().map(Log::verify).collect();
        aggregate(&reports)
    }

    #[test]
    fn runs_that_all_pass_pass() {
        let all = together(&[article(), article()]);
        assert_eq!((all.verdict, all.runs, all.rules.len()), (Verdict::Passed, 2, 0));
    }

    #[test]
    fn one_breach_in_many_runs_is_a_finding_with_its_share_seeds_and_subjects() {
        let seeded = killed().started(|started| started.seed = 41);
        let all = together(&[article(), article(), article(), seeded]);
        assert_eq!(all.verdict, Verdict::Findings);
        let share = all.rules.iter().find(|share| share.rule == "no_busy_agent_killed").expect("that rule");
        assert_eq!((share.runs, share.seeds.as_slice()), (1, &[41][..]));
        assert!((share.share - 0.25).abs() < 1e-9);
        assert_eq!(share.subjects, ["Pod/agents-1", "Pod/agents-2"]);
    }

    #[test]
    fn a_bad_version_needs_to_fail_in_one_run_only() {
        assert_eq!(bad(article()).verify().verdict, Verdict::Findings);
        let all = together(&[bad(article()), bad(killed())]);
        assert_eq!(all.verdict, Verdict::ExpectedFindings, "{all:#?}");
        let never = together(&[bad(article()), bad(article())]);
        assert_eq!((never.verdict, never.findings[0].rule.as_str()), (Verdict::Findings, "known_bad_passed"));
    }

    #[test]
    fn what_is_wrong_by_design_has_to_show_in_some_run() {
        assert_eq!(by_design(article()).verify().verdict, Verdict::Passed);
        assert_eq!(together(&[by_design(article()), by_design(killed())]).verdict, Verdict::ExpectedFindings);
        let never = together(&[by_design(article()), by_design(article())]);
        assert_eq!((never.verdict, never.findings.len()), (Verdict::Findings, 2));
        assert_eq!(never.findings[0].rule, "expected_finding_missing");
    }

    #[test]
    fn an_inconclusive_run_makes_the_whole_so_unless_another_shows_a_breach() {
        let cut = article().end(720, Outcome::Interrupted);
        assert_eq!(together(&[article(), cut.clone()]).verdict, Verdict::Inconclusive);
        assert_eq!(together(&[killed(), cut]).verdict, Verdict::Findings);
        assert_eq!(together(&[]).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn many_runs_are_pleasant_to_read() {
        let all = together(&[by_design(article()), by_design(killed()), by_design(killed())]);
        insta::assert_snapshot!("aggregate_80", all.render(80, false));
    }
}
