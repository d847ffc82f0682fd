//! Tests of whole runs: what a good one and a bad one come to.

use model::scenario::{Expectation, KnownBad, Percentiles, Within};
use model::{Fact, Millis};

use crate::report::{Severity, Verdict};
use crate::testing::{Log, article, busy_agents_killed};

fn expecting_all(log: Log) -> Log {
    log.expect(Expectation::PeakReplicas(4))
        .expect(Expectation::ReturnsToMin(Within { within: Millis::minutes(6) }))
        .expect(Expectation::NoSecondRise)
        .expect(Expectation::AgentsDeregister)
        .expect(Expectation::NoBusyAgentKilled)
        .expect(Expectation::QueueWait(Percentiles {
            p95: Some(Millis::seconds(90)),
            ..Percentiles::default()
        }))
}

fn known_bad(log: Log, rules: &[&str]) -> Log {
    let findings = rules.iter().map(|rule| (*rule).to_owned()).collect();
    log.started(|started| {
        started.scenario.known_bad = Some(KnownBad { keda: ">=2.20.0, <2.21.0".into(), findings });
    })
}

#[test]
fn the_article_as_it_should_be_passes() {
    let report = expecting_all(article()).verify();
    assert_eq!(report.findings, []);
    assert_eq!(report.not_judged, []);
    assert_eq!(report.verdict, Verdict::Passed);
}

#[test]
fn the_article_is_measured() {
    let measured = article().verify().measurements;
    assert_eq!(measured.peak.map(|peak| (peak.replicas, peak.at.0)), Some((4, 66_000)));
    assert_eq!(measured.back_to_min_ms, Some((696 - 389) * 1000));
    assert_eq!(measured.queue_wait.map(|wait| (wait.p50_ms, wait.max_ms)), Some((27_000, 29_000)));
    let fresh =
        measured.stages.iter().find(|stage| stage.stage == "seen → replicas raised").expect("that stage");
    assert_eq!(fresh.took.map(|took| (took.count, took.max_ms)), Some((3, 1000)));
    // Four agents of five minutes each, in replicas that stay about five minutes longer.
    assert!((measured.agents.busy_minutes - 20.0).abs() < 0.01, "{measured:?}");
    assert!(measured.pods.surplus_minutes > 14.0 && measured.pods.surplus_minutes < 17.0, "{measured:?}");
}

#[test]
fn a_bad_version_is_found_and_that_is_as_announced() {
    let log = known_bad(expecting_killed(), &["no_busy_agent_killed"]);
    let report = log.verify();
    assert_eq!(report.verdict, Verdict::ExpectedFindings, "{:#?}", report.findings);
    assert_eq!(report.measurements.agents.busy_pods_killed, ["agents-1", "agents-2"]);
}

fn expecting_killed() -> Log {
    busy_agents_killed().expect(Expectation::NoBusyAgentKilled)
}

#[test]
fn a_bad_version_that_passes_is_a_finding() {
    let log = known_bad(article().keda("2.20.1"), &["no_busy_agent_killed"]);
    assert!(log.only("known_bad_passed").measured.contains("no_busy_agent_killed"));
    let other = known_bad(article(), &["no_busy_agent_killed"]);
    assert_eq!(other.found("known_bad_passed"), []);
}

#[test]
fn a_range_of_versions_that_cannot_be_read_is_said() {
    let log = article().started(|started| {
        started.scenario.known_bad = Some(KnownBad { keda: "older ones".into(), findings: vec![] });
    });
    assert!(log.verify().not_judged.iter().any(|rule| rule.because.contains("older ones")));
}

#[test]
fn a_name_that_no_rule_has_is_a_slip_of_the_scenario() {
    let announced = |name: &str| {
        let name = name.to_owned();
        expecting_killed().started(|started| started.scenario.expect_findings = vec![name])
    };
    assert_eq!(announced("job_abandoned").found("announced_rule_unknown"), []);
    let slip = announced("job_abandonned").only("announced_rule_unknown");
    assert!(slip.because.contains("job_abandoned"), "{}", slip.because);
    // Also where everything else may break.
    let bad = known_bad(expecting_killed(), &["no_busy_agent_kiled"]);
    assert!(bad.only("announced_rule_unknown").subject == "known_bad.findings");
    assert_eq!(bad.verify().verdict, Verdict::Findings);
}

#[test]
fn a_simulated_run_has_no_clock_to_be_late() {
    let simulated = |engine: &str| {
        let log = article().started(|started| (started.engine, started.speed) = (engine.into(), 0));
        // One answer in two is slow, which a machine would be blamed for.
        log.answered(21, 200, 1500).answered(36, 200, 1500).answered(51, 200, 1500)
    };
    assert!(simulated("sim").found("machine_too_slow").is_empty());
    assert!(!simulated("local").found("machine_too_slow").is_empty());
    assert!(simulated("sim").verify().render(100, false).contains("run       simulated, seed 7"));
    assert_eq!(simulated("sim").verify().measurements.clock.ticks, 0);
}

#[test]
fn what_is_wrong_by_design_is_expected_and_nothing_else_is() {
    let by_design = |rules: &[&str]| {
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        expecting_killed().started(|started| started.scenario.expect_findings = rules).verify().verdict
    };
    assert_eq!(by_design(&["no_busy_agent_killed", "job_abandoned"]), Verdict::ExpectedFindings);
    assert_eq!(by_design(&["no_busy_agent_killed"]), Verdict::Findings);
}

#[test]
fn the_same_log_without_an_announcement_has_findings() {
    let report = expecting_killed().verify();
    assert_eq!(report.verdict, Verdict::Findings);
    let rules: Vec<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["no_busy_agent_killed", "no_busy_agent_killed", "job_abandoned", "job_abandoned"]);
    assert!(report.findings.iter().all(|finding| finding.severity == Severity::Violation));
}

#[test]
fn the_order_of_the_lines_does_not_matter() {
    let mut events = article().events();
    let report = crate::verify(events.clone());
    events.reverse();
    let mut reversed = crate::verify(events);
    assert!(reversed.measurements.clock.disorder_ms > 0);
    reversed.measurements.clock.disorder_ms = 0;
    assert_eq!((reversed.verdict, reversed.findings), (report.verdict, report.findings));
}

#[test]
fn a_report_reads_back_from_json() {
    let report = expecting_killed().verify();
    let json = serde_json::to_string(&report).expect("a report is JSON");
    assert_eq!(serde_json::from_str::<crate::Report>(&json).expect("a report"), report);
    let schema = serde_json::to_value(schemars::schema_for!(crate::Report)).expect("a schema");
    assert!(schema["properties"]["findings"].is_object());
}

#[test]
fn a_log_reads_back_from_its_lines() {
    let events = article().events();
    let lines: Vec<String> =
        events.iter().map(|event| serde_json::to_string(event).expect("an event is JSON")).collect();
    assert_eq!(crate::read_log(&lines.join("\n")), Ok(events));
}

#[test]
fn reports_are_pleasant_to_read() {
    insta::assert_snapshot!("passed_80", expecting_all(article()).verify().render(80, false));
    insta::assert_snapshot!("passed_120", expecting_all(article()).verify().render(120, false));
    insta::assert_snapshot!("findings_80", expecting_killed().verify().render(80, false));
    let empty = crate::verify(Vec::new());
    insta::assert_snapshot!("empty_80", empty.render(80, false));
}

#[test]
fn no_line_is_wider_than_asked() {
    for width in [80, 100, 120, 200] {
        for log in [expecting_all(article()), expecting_killed()] {
            let text = log.verify().render(width, false);
            let widest = text.lines().max_by_key(|line| line.chars().count()).expect("lines");
            assert!(widest.chars().count() <= width, "{width}: {widest}");
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let report = expecting_killed().verify();
    let mut plain = String::new();
    let mut escaped = false;
    for letter in report.render(80, true).chars() {
        match letter {
            '\u{1b}' => escaped = true,
            'm' if escaped => escaped = false,
            _ if escaped => {}
            letter => plain.push(letter),
        }
    }
    assert_eq!(plain, report.render(80, false));
}

#[test]
fn a_log_that_was_cut_off_is_inconclusive() {
    let mut events = article().events();
    events.retain(|event| !matches!(event.fact, Fact::RunFinished { .. }));
    assert_eq!(crate::verify(events).verdict, Verdict::Inconclusive);
}
