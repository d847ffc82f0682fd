//! What is secret in a manifest is in no message, and its lines are not shown.

use model::load;
use model::manifest;
use model::problem::Problem;

const SCENARIO: &str = "\
name: example
about: Two jobs.
organization:
  pools: [{ name: linux, id: 18 }]
manifests: [agents.yml]
load:
  - { at: 1m, duration: 5m }
at_most: 25m
";

const JOB: &str = "\
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: { name: agents }
spec:
  jobTargetRef:
    template:
      spec:
        containers:
          - name: agent
            env:
              - name: AZP_POOL
                valueFrom: { secretKeyRef: { name: held, key: pool } }
  triggers:
    - type: azure-pipelines
      metadata: { poolName: linux }
---
apiVersion: v1
kind: Secret
metadata: { name: held }
stringData:
  pool: linux
";

fn misread(text: &str) -> Vec<Problem> {
    manifest::load("agents.yml", text).expect_err("a mistake")
}

fn misfit(scenario: &str, text: &str) -> Vec<Problem> {
    let loaded = load::scenario_with_places("example.yaml", scenario).expect("a good scenario");
    let documents = manifest::load("agents.yml", text).expect("good manifests");
    manifest::check(&loaded.scenario, &loaded.places, &documents).expect_err("a mistake")
}

/// One problem, told in these words, with or without its lines.
fn assert_told(problems: &[Problem], words: &str, private: bool) {
    let [problem] = problems else { panic!("one problem, not {problems:#?}") };
    assert!(problem.to_string().contains(words), "{problem}");
    assert_eq!(problem.private, private, "{problem}");
    assert!(!format!("{problem:?}").contains("31415"), "{problem:?}");
}

fn object(kind: &str, rest: &str) -> String {
    format!("apiVersion: v1\nkind: {kind}\nmetadata: {{ name: held }}\n{rest}")
}

#[test]
fn a_value_of_a_secret_is_not_told() {
    for field in ["data", "stringData"] {
        let told = misread(&object("Secret", &format!("{field}:\n  pin: 31415\n")));
        assert_told(
            &told,
            "`pin` must be a text, not the number ...\n  hint: put it into quotes: \"...\"",
            true,
        );
    }
    let map = misread(&object("ConfigMap", "data:\n  pin: 27182\n"));
    assert_told(&map, "`pin` must be a text, not the number 27182", false);
}

#[test]
fn a_value_that_is_no_base64_is_not_told() {
    let secret = object("Secret", "data:\n  pin: '31415 !'\n");
    assert_told(
        &misfit(SCENARIO, &format!("{JOB}---\n{}", secret.replace("held", "pins"))),
        "`pin` is not base64",
        true,
    );
}

#[test]
fn the_lines_beside_a_secret_are_not_shown() {
    let beside = "data:\n  pin: MzE0MTU=\nimmutable: yes\nmetadata:\n  namespace: mine\n  name: held\n";
    let text = format!("apiVersion: v1\nkind: Secret\n{beside}");
    assert_told(&misread(&text), "must not name its namespace", false);
    assert_told(
        &misread(&text.replace("immutable: yes\nmetadata:\n", "metadata:\n")),
        "its namespace",
        false,
    );
    let near =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: held\n  namespace: mine\ndata: { pin: MzE0MTU= }\n";
    assert_told(&misread(near), "must not name its namespace", true);
}

#[test]
fn a_variable_that_is_named_like_a_token_is_not_told() {
    for name in ["AZP_TOKEN", "personalAccessToken", "MY_PAT"] {
        let text = JOB
            .replace("AZP_POOL", name)
            .replace("valueFrom: { secretKeyRef: { name: held, key: pool } }", "value: 31415");
        assert_told(&misread(&text), "`value` must be a text, not the number ...", true);
    }
    let pattern = JOB
        .replace("AZP_POOL", "PATTERN")
        .replace("valueFrom: { secretKeyRef: { name: held, key: pool } }", "value: 27182");
    assert_told(&misread(&pattern), "not the number 27182", false);
}

#[test]
fn a_pool_from_a_secret_is_not_told() {
    let told = misfit(SCENARIO, &JOB.replace("pool: linux\n", "pool: '31415'\n"));
    assert_told(&told, "agents would join a pool that the scenario does not declare", false);
}

#[test]
fn a_text_that_stands_for_a_token_is_not_told() {
    let scenario = SCENARIO.replace("load:", "substitute: { '31415': personal_access_token }\nload:");
    assert_told(&misfit(&scenario, JOB), "the text for `personal_access_token` stands in no manifest", true);
    let scenario = SCENARIO.replace("load:", "substitute: { 'https://x': organization_url }\nload:");
    assert_told(&misfit(&scenario, JOB), "`https://x` stands in no manifest", false);
}

#[test]
fn a_suggestion_does_not_tell_a_secret() {
    let scenario = SCENARIO.replace("load:", "substitute: { '31416': organization_url }\nload:");
    assert_told(
        &misfit(&scenario, &JOB.replace("pool: linux\n", "pool: linux\n  pin: '31415'\n")),
        "`31416` stands",
        false,
    );
}

#[test]
fn a_file_that_is_not_understood_may_hold_a_secret() {
    let broken = "data:\n  pin: 31415\n  more: a: b\n";
    assert_told(&misread(&object("Secret", broken)), "not YAML", true);
    let other = format!(
        "{}---\n{}",
        object("Secret", "data: {}\n"),
        object("ConfigMap", "data:\n  a: 1\n  more: a: b\n")
    );
    assert_told(&misread(&other), "not YAML", false);
    let variable = "spec:\n  - name: AZP_TOKEN\n    value: a: 31415\n";
    assert_told(&misread(&object("Any", variable)), "not YAML", true);
}
