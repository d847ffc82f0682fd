//! From findings to a verdict.

use model::Instant;
use model::range::Range;

use crate::count::version;
use crate::history::History;
use crate::measure;
use crate::report::{Announced, Finding, KnownBadVersion, NotJudged, Report, Run, Severity, Verdict};
use crate::rules::{Breach, Judged, Rule, rules};
use crate::words::{counted, names};

pub(crate) const KNOWN_BAD_PASSED: Rule = Rule {
    name: "known_bad_passed",
    severity: Severity::Violation,
    about: "on a version that is known to be bad, the scenario finds what is bad about it",
    source: "the scenario's known_bad",
};
pub(crate) const NOTHING_AS_ANNOUNCED: Rule = Rule {
    name: "expected_finding_missing",
    severity: Severity::Violation,
    about: "in some repetition at least, every rule of expect_findings is found broken",
    source: "the scenario's expect_findings",
};

const UNKNOWN_RULE: Rule = Rule {
    name: "announced_rule_unknown",
    severity: Severity::Violation,
    about: "every name in expect_findings and known_bad.findings is a rule's",
    source: "the scenario's expect_findings and known_bad",
};

pub(crate) const RULES: &[Rule] = &[KNOWN_BAD_PASSED, NOTHING_AS_ANNOUNCED, UNKNOWN_RULE];

/// Puts the report together.
pub(crate) fn report(history: &History, judged: Judged) -> Report {
    let Judged { mut findings, mut not_judged } = judged;
    let announced = announced(history);
    not_judged.extend(unreadable_range(history));
    for finding in &mut findings {
        finding.expected = finding.severity == Severity::Violation && is_announced(&announced, &finding.rule);
    }
    findings.extend(known_bad_passed(history, &announced, &findings));
    findings.extend(unknown_rules(history));
    findings.sort_by(|a, b| {
        (a.severity, a.expected, a.at, &a.rule, &a.subject)
            .cmp(&(b.severity, b.expected, b.at, &b.rule, &b.subject))
    });
    not_judged.sort_by(|a, b| (&a.rule, &a.subject).cmp(&(&b.rule, &b.subject)));
    not_judged.dedup();
    let (verdict, because) = decide(&findings);
    let (measurements, series) = measure::measure(history);
    Report { verdict, because, run: run(history), announced, findings, not_judged, measurements, series }
}

fn announced(history: &History) -> Announced {
    let Some(started) = &history.started else { return Announced::default() };
    let scenario = &started.scenario;
    let keda = history.targets.values().map(|target| target.scale.keda.clone()).next();
    let keda = keda.or_else(|| started.versions.get("keda").cloned());
    let known_bad = scenario.known_bad.as_ref().zip(keda).and_then(|(bad, keda)| {
        let range: Range = bad.keda.parse().ok()?;
        let matches = version(&keda).is_some_and(|version| range.contains(&version));
        matches.then(|| KnownBadVersion { keda, range: bad.keda.clone(), rules: bad.findings.clone() })
    });
    Announced { by_design: scenario.expect_findings.clone(), known_bad }
}

/// A range of versions that cannot be read announces nothing, and that is said.
fn unreadable_range(history: &History) -> Option<NotJudged> {
    let range = &history.started.as_ref()?.scenario.known_bad.as_ref()?.keda;
    let error = range.parse::<Range>().err()?;
    Some(NotJudged {
        rule: KNOWN_BAD_PASSED.name.to_owned(),
        subject: "scenario".to_owned(),
        because: format!("`{range}` is not a range of versions: {error}"),
    })
}

/// Names that announce nothing, since no rule has them: a slip, and what it was to announce would count as unexpected.
fn unknown_rules(history: &History) -> Vec<Finding> {
    let Some(started) = &history.started else { return Vec::new() };
    let scenario = &started.scenario;
    let known_bad = scenario.known_bad.iter().flat_map(|bad| &bad.findings);
    let known_bad = known_bad.map(|name| ("known_bad.findings", name));
    let by_design = scenario.expect_findings.iter().map(|name| ("expect_findings", name));
    let unknown = by_design.chain(known_bad).filter(|(_, name)| !rules().any(|rule| rule.name == **name));
    unknown
        .map(|(field, name)| {
            let hint = nearest(name).map(|rule| format!("no rule has this name; the nearest is `{rule}`"));
            UNKNOWN_RULE.finding(
                Instant::START,
                Breach {
                    subject: field.to_owned(),
                    measured: format!("`{name}`"),
                    bound: "the name of a rule".to_owned(),
                    because: hint.unwrap_or_else(|| "no rule has this name".to_owned()),
                },
            )
        })
        .collect()
}

/// The rule whose name begins most like this, if half of it does.
fn nearest(name: &str) -> Option<&'static str> {
    let alike = |rule: &str| rule.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
    let nearest = rules().max_by_key(|rule| (alike(rule.name), std::cmp::Reverse(rule.name.len())))?;
    (alike(nearest.name) * 2 >= name.len()).then_some(nearest.name)
}

/// On a version that is known to be bad anything may break, since one breach leads to others; by design only what is named.
fn is_announced(announced: &Announced, rule: &str) -> bool {
    announced.known_bad.is_some() || announced.by_design.iter().any(|name| name == rule)
}

/// Which of the rules that must be broken were not.
pub(crate) fn unmet<'a>(
    known_bad: &'a KnownBadVersion,
    found: &dyn Fn(&str) -> bool,
    any: bool,
) -> Vec<&'a str> {
    if known_bad.rules.is_empty() {
        return if any { Vec::new() } else { vec!["any rule"] };
    }
    known_bad.rules.iter().map(String::as_str).filter(|rule| !found(rule)).collect()
}

fn known_bad_passed(history: &History, announced: &Announced, findings: &[Finding]) -> Option<Finding> {
    let known_bad = announced.known_bad.as_ref()?;
    let violated = |rule: &str| {
        findings.iter().any(|finding| finding.severity == Severity::Violation && finding.rule == rule)
    };
    let any = findings.iter().any(|finding| finding.severity == Severity::Violation);
    let unmet = unmet(known_bad, &violated, any);
    (!unmet.is_empty()).then(|| KNOWN_BAD_PASSED.finding(history.end, known_bad_breach(known_bad, &unmet)))
}

pub(crate) fn known_bad_breach(known_bad: &KnownBadVersion, unmet: &[&str]) -> Breach {
    Breach {
        subject: format!("KEDA {}", known_bad.keda),
        measured: format!("not found broken: {}", names(unmet, 10)),
        bound: "found broken".to_owned(),
        because: format!(
            "the scenario says that KEDA {} fails it: the fault is gone, or the scenario no longer provokes it",
            known_bad.range
        ),
    }
}

fn decide(findings: &[Finding]) -> (Verdict, String) {
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    if let Some(first) = of(Severity::Inconclusive).next() {
        return (Verdict::Inconclusive, format!("{}: {} {}", first.rule, first.subject, first.measured));
    }
    let unexpected: Vec<&Finding> = of(Severity::Violation).filter(|finding| !finding.expected).collect();
    if !unexpected.is_empty() {
        let rules = rules_of(unexpected.iter().copied());
        return (
            Verdict::Findings,
            format!(
                "{} of {}",
                counted(unexpected.len() as u64, "breach").replace("breachs", "breaches"),
                names(&rules, 5)
            ),
        );
    }
    let expected: Vec<&Finding> = of(Severity::Violation).collect();
    if expected.is_empty() {
        return (Verdict::Passed, "every rule holds".to_owned());
    }
    (Verdict::ExpectedFindings, format!("broken as announced: {}", names(&rules_of(expected), 5)))
}

fn rules_of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Vec<&'a str> {
    let mut rules: Vec<&str> = Vec::new();
    for finding in findings {
        if !rules.contains(&finding.rule.as_str()) {
            rules.push(&finding.rule);
        }
    }
    rules
}

/// What ran.
pub(crate) fn run(history: &History) -> Run {
    let outcome = history.finished.as_ref().map(|(_, outcome, _)| *outcome);
    let ended = history.end;
    let Some(started) = &history.started else { return Run { outcome, ended, ..Run::default() } };
    Run {
        scenario: started.scenario.name.clone(),
        about: started.scenario.about.clone(),
        references: started.scenario.references.clone(),
        engine: started.engine.clone(),
        speed: started.speed,
        seed: started.seed,
        repetition: started.repetition,
        versions: started.versions.clone(),
        replay: started.replay.clone(),
        outcome,
        ended,
    }
}
