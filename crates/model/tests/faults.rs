//! Faults of the service as scenarios state them: read as written, and what cannot be with its place.

use model::fault::{CalledBy, Fault};
use model::load;

const ALL: &str = "\
name: faults
about: Everything that a service can do.
organization: { pools: [{ name: linux, id: 7 }] }
manifests: [agents.yml]
load:
  - { at: 1m, duration: 1m }
faults:
  - service: { from: 1m, to: 2m, route: job_requests, caller: keda, delay: 1s..4s, delay_per_row: 2ms }
  - service: { from: 1m, credential: job_token, answer: 500, percent: 30, count: 5 }
  - service: { from: 1m, to: 2m, budget: { units: 100, window: 1m } }
  - service: { from: 1m, to: 2m, parallel_jobs: 2 }
  - service: { from: 1m, to: 2m, parallel_jobs: unlimited }
  - service: { from: 1m, to: 2m, answer: token_expired }
  - service: { from: 1m, to: 2m, route: messages, answer: message_lost, count: 1 }
at_most: 25m
";

#[test]
fn faults_of_the_service_are_read_as_written() {
    let scenario = load::scenario("faults.yaml", ALL).expect("a good scenario");
    let whats: Vec<String> = scenario.faults.iter().map(Fault::what).collect();
    assert_eq!(
        whats,
        [
            "jobrequests of KEDA: answers after 1s..4s and 2ms a row",
            "every request with a job's token, 30 %, the first 5: answers 500",
            "every request: answers as ever, 100 units in 1m",
            "the organization has 2 parallel jobs",
            "the organization's parallel jobs are unlimited",
            "every request: answers 401, the personal access token has expired",
            "messages, the first 1: messages get lost",
        ]
    );
    assert_eq!(scenario.faults[1].until(), None);
    let text = serde_json::to_value(&scenario).expect("JSON");
    let again: model::Scenario = serde_json::from_value(text).expect("a scenario");
    assert_eq!(scenario, again);
}

#[test]
fn what_a_scenario_leaves_out_is_not_written() {
    let fault = load::fault("x", "service: { from: 1m, to: 2m, answer: 503 }").expect("a fault");
    let text = serde_json::to_string(&fault).expect("JSON");
    assert_eq!(text, r#"{"service":{"from":"1m","to":"2m","route":"all","answer":503}}"#);
}

#[test]
fn a_fault_of_the_service_that_cannot_be_is_refused_at_its_place() {
    for (good, bad, message) in [
        ("caller: keda", "caller: kedda", "kedda"),
        ("route: job_requests, caller", "route: sessions, caller", "8:41: KEDA never asks for `sessions`"),
        ("delay: 1s..4s", "delay: 4s..1s", "ends before it begins"),
        ("delay_per_row: 2ms", "delay_per_row: 0s", "`delay_per_row` must be more than 0s"),
        ("percent: 30", "percent: 0", "`percent` must be 1 or more, not 0"),
        ("percent: 30", "percent: 101", "`percent` must be 100 or less, not 101"),
        ("count: 5", "count: 0", "`count` must be 1 or more, not 0"),
        ("units: 100", "units: 0", "`units` must be 1 or more, not 0"),
        ("window: 1m }", "window: 1m }, percent: 5", "`percent` and `budget` do not go together"),
        ("parallel_jobs: 2", "parallel_jobs: 0", "`parallel_jobs` must be 1 or more, not 0"),
        ("parallel_jobs: 2", "parallel_jobs: 2, delay: 1s", "`delay` has no meaning beside `parallel_jobs`"),
        ("route: messages", "route: agents", "`message_lost` does not happen on `agents`"),
        ("message_lost, count: 1", "message_lost, delay: 1s", "`delay` has no meaning beside `message_lost`"),
        ("answer: 500", "answer: malformed", "`malformed` do not go together"),
        ("answer: token_expired", "answer: token_expird", "did you mean `token_expired`?"),
    ] {
        let text = ALL.replacen(good, bad, 1);
        assert_ne!(text, ALL, "{good}");
        let problems = load::scenario("faults.yaml", &text).expect_err(bad);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(message)), "{bad}: {told:?}");
    }
}

#[test]
fn a_fault_alone_is_held_to_the_same_rules() {
    let wrong = |text: &str| load::fault("here", text).expect_err(text)[0].to_string();
    assert!(wrong(r#"{"service":{"from":"1m","answer":200}}"#).starts_with("here:1:34: `answer` must be"));
    assert!(wrong(r#"{"service":{"from":"1m","to":"1m","answer":503}}"#).contains("`to` (1m) must be later"));
    assert!(wrong(r#"{"service":{"from":"1m"}}"#).contains("this fault changes nothing"));
    assert!(wrong("[]").contains("this is no fault but"));
    assert!(load::fault("here", r#"{"service":{"from":"0s","answer":"hang"}}"#).is_ok());
}

#[test]
fn programs_are_told_apart_by_their_names() {
    assert_eq!(CalledBy::named(Some("Go-http-client/2.0")), CalledBy::Keda);
    assert_eq!(CalledBy::named(Some("VstsAgentCore-linux-x64/4.258.1 (poolproof)")), CalledBy::Agent);
    assert_eq!(CalledBy::named(Some("go/1.22 (linux amd64) azure-devops-go-api/0.0.0")), CalledBy::Other);
    assert_eq!(CalledBy::named(None), CalledBy::Other);
}

#[test]
fn quirks_are_read_and_only_those_that_are_said_are_written() {
    let text = ALL.replacen(
        "organization: { pools",
        "organization: { quirks: { bad_token: sign_in_page, completed_by_default: 5 }, pools",
        1,
    );
    let scenario = load::scenario("faults.yaml", &text).expect("a good scenario");
    let quirks = serde_json::to_value(scenario.organization.quirks).expect("JSON");
    assert_eq!(quirks, serde_json::json!({ "bad_token": "sign_in_page", "completed_by_default": 5 }));
    let plain = load::scenario("faults.yaml", ALL).expect("a good scenario");
    assert!(!serde_json::to_string(&plain).expect("JSON").contains("quirks"));
}

#[test]
fn the_version_of_a_quirk_is_one_or_is_refused_at_its_place() {
    let read = |version: &str| {
        let quirks = format!("organization: {{ quirks: {{ newest_agent: {version} }}, pools");
        load::scenario("faults.yaml", &ALL.replacen("organization: { pools", &quirks, 1))
    };
    let newest = read("4.260.1").expect("a version").organization.quirks.newest_agent;
    assert_eq!(newest.map(|newest| newest.to_string()).as_deref(), Some("4.260.1"));
    for (version, told) in
        [("4.260.x", "it has three numbers"), ("4.260", "must be a version such as 4.258.1")]
    {
        let problems = read(version).expect_err(version);
        let problem = problems[0].to_string();
        assert!(problem.contains(told) && problem.contains("newest_agent"), "{problem}");
    }
}

#[test]
fn a_quirk_that_is_none_is_refused_at_its_place() {
    let text =
        ALL.replacen("organization: { pools", "organization: { quirks: { bad_tokn: redirect }, pools", 1);
    let problems = load::scenario("faults.yaml", &text).expect_err("no such quirk");
    assert!(problems[0].to_string().contains("bad_tok"), "{problems:?}");
}
