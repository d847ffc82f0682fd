//! What people are told about manifests that are wrong, or that do not fit their scenario.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::load::{self, Loaded};
use model::manifest::{self, Document, Object};
use model::problem::Problem;

const SCENARIO: &str = "\
name: example
about: Two jobs.
organization:
  pools: [{ name: linux, id: 18 }]
manifests: [agents.yml]
substitute:
  https://dev.azure.com/your organization: organization_url
  your token: personal_access_token_base64
load:
  - { at: 1m, duration: 5m }
at_most: 25m
";

const AGENTS: &str = "\
apiVersion: v1
kind: Secret
metadata:
  name: token
data:
  token: your token
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: agents
spec:
  template:
    spec:
      containers:
        - name: agent
          env:
            - { name: AZP_URL, value: https://dev.azure.com/your organization }
            - { name: AZP_POOL, value: linux }
            - name: AZP_TOKEN
              valueFrom:
                secretKeyRef: { name: token, key: token }
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: { name: login }
spec:
  secretTargetRef:
    - { parameter: personalAccessToken, name: token, key: token }
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: agents
spec:
  scaleTargetRef:
    name: agents
  minReplicaCount: 1
  triggers:
    - type: azure-pipelines
      metadata:
        poolID: '18'
        organizationURLFromEnv: AZP_URL
      authenticationRef:
        name: login
";

fn scenario() -> Loaded {
    load::scenario_with_places("example.yaml", SCENARIO).expect("a good scenario")
}

fn documents(text: &str) -> Vec<Document> {
    manifest::load("agents.yml", text).expect("good manifests")
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut told, problem| {
        writeln!(told, "{problem}").expect("writing to a string");
        told
    })
}

fn with(part: &str, instead: &str) -> String {
    assert!(AGENTS.contains(part), "the example has no `{part}`");
    AGENTS.replacen(part, instead, 1)
}

/// What is told of a file that cannot be understood.
fn misread(part: &str, instead: &str) -> String {
    lines(&manifest::load("agents.yml", &with(part, instead)).expect_err("a mistake"))
}

/// What is told of a file that does not fit the scenario.
fn misfit(part: &str, instead: &str) -> String {
    let loaded = scenario();
    let documents = documents(&with(part, instead));
    lines(&manifest::check(&loaded.scenario, &loaded.places, &documents).expect_err("a mistake"))
}

#[test]
fn good_manifests_fit_and_say_what_is_scaled() {
    let loaded = scenario();
    let targets = manifest::check(&loaded.scenario, &loaded.places, &documents(AGENTS)).expect("a fit");
    let event = targets.scale_target("2.21.0", "1.35.4");
    assert_eq!((event.name.as_str(), event.workload.as_str()), ("agents", "Deployment/agents"));
    assert_eq!((event.min, event.max, event.idle), (1, 100, None));
    assert_eq!(event.triggers[0].metric_type, "AverageValue");
}

#[test]
fn only_objects_of_the_manifests_can_be_edited() {
    let edit = |object: &str| {
        let fault =
            format!("faults: [{{ edit: {{ at: 2m, object: {object}, patch: {{ spec: {{ a: 1 }} }} }} }}]");
        let text = format!("{SCENARIO}{fault}\n");
        let loaded = load::scenario_with_places("example.yaml", &text).expect("a good scenario");
        manifest::check(&loaded.scenario, &loaded.places, &documents(AGENTS))
            .map_err(|problems| lines(&problems))
    };
    assert!(edit("ScaledObject/agents").is_ok());
    let told = edit("ScaledObject/agent").expect_err("a mistake");
    let expected = "ScaledObject/agent is in no manifest";
    assert!(told.contains(expected) && told.contains("ScaledObject/agents"), "{told}");
    assert!(told.starts_with("example.yaml:12:36"), "{told}");
}

#[test]
fn what_is_written_wins_over_the_defaults() {
    let text = with("minReplicaCount: 1", "minReplicaCount: 2\n  maxReplicaCount: 9\n  idleReplicaCount: 0\n  pollingInterval: 5\n  cooldownPeriod: 7\n  advanced: { horizontalPodAutoscalerConfig: { behavior: { scaleDown: { stabilizationWindowSeconds: 11 } } } }")
        .replacen("    spec:\n", "    spec:\n      terminationGracePeriodSeconds: 13\n", 1);
    let loaded = scenario();
    let targets = manifest::check(&loaded.scenario, &loaded.places, &documents(&text)).expect("a fit");
    let event = targets.scale_target("2.21.0", "1.35.4");
    assert_eq!((event.min, event.max, event.idle), (2, 9, Some(0)));
    assert_eq!(
        (event.polling_interval_s, event.cooldown_s, event.stabilization_s, event.grace_s),
        (5, 7, 11, 13)
    );
    assert!(event.behavior.is_some());
}

#[test]
fn what_is_not_understood_passes_through_untouched() {
    let text = "apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: a }\nspec: { mode: 0644, on: yes, list: [1, ~] }\n";
    let documents = documents(text);
    assert_eq!(documents[0].typed(), &Object::Other);
    let expected = serde_json::json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": { "name": "a" },
        "spec": { "mode": 420, "on": true, "list": [1, null] }
    });
    assert_eq!(documents[0].value(), &expected);
}

#[test]
fn every_object_says_what_it_is() {
    let told = lines(&manifest::load("agents.yml", "kind: Widget\nmetadata: {}\n").expect_err("mistakes"));
    assert_eq!(
        told,
        "\
agents.yml:1:1: `apiVersion` is missing
  hint: `apiVersion`: Group and version
agents.yml:2:1: `name` is missing in `metadata`
  hint: `name`: Its name
"
    );
    let empty = lines(&manifest::load("agents.yml", "---\n---\n").expect_err("nothing"));
    assert!(empty.starts_with("agents.yml:1:1: the file holds no object"), "{empty}");
    let text = lines(&manifest::load("agents.yml", "---\njust a text\n").expect_err("no object"));
    assert_eq!(text, "agents.yml:2:1: the file must be a mapping, not `just a text`\n");
}

#[test]
fn a_slip_in_a_scaled_object_is_told() {
    assert_eq!(
        misread("minReplicaCount: 1", "poolingInterval: 30"),
        "agents.yml:38:3: unknown field `poolingInterval` in `spec`\n  hint: did you mean `pollingInterval`?\n"
    );
    assert_eq!(
        misread("poolID: '18'", "poolID: 18"),
        "agents.yml:42:17: `poolID` must be a text, not the number 18\n  hint: put it into quotes: \"18\"\n"
    );
    assert_eq!(
        misread("minReplicaCount: 1", "minReplicaCount: -1"),
        "agents.yml:38:20: `minReplicaCount` must be 0 or more, not -1\n"
    );
    assert!(
        misread("scaleTargetRef:\n    name: agents", "scaleTargetRef: {}")
            .contains("`name` is missing in `scaleTargetRef`")
    );
    assert!(
        misread("authenticationRef:\n        name: login", "metricType: Utilization")
            .contains("`metricType` must be `AverageValue` or `Value`, not `Utilization`")
    );
}

#[test]
fn a_kind_under_the_wrong_version_is_told() {
    let old = misread(
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject",
        "apiVersion: keda.k8s.io/v1alpha1\nkind: ScaledObject",
    );
    assert!(old.contains("`ScaledObject` is not understood in `keda.k8s.io/v1alpha1`\n  hint: did you mean `keda.sh/v1alpha1`?"), "{old}");
    let typo = misread("kind: ScaledObject", "kind: ScaleObject");
    assert!(typo.contains("KEDA has no kind `ScaleObject`\n  hint: did you mean `ScaledObject`?"), "{typo}");
    assert!(misread("kind: Secret", "kind: List").contains("a `List` is not understood"));
    assert!(
        misread("metadata:\n  name: token", "metadata:\n  name: token\n  namespace: mine")
            .contains("agents.yml:5:3: an object must not name its namespace")
    );
}

#[test]
fn a_pool_that_is_not_declared_is_told() {
    assert_eq!(
        misfit("value: linux", "value: linus"),
        "agents.yml:19:40: agents would join pool `linus`, which the scenario does not declare\n  hint: did you mean `linux`?\n"
    );
    assert_eq!(
        misfit("poolID: '18'", "poolID: '81'"),
        "agents.yml:42:17: the scenario declares no pool with the id `81`\n  hint: the scenario declares `18`\n"
    );
    assert_eq!(
        misfit("poolID: '18'", "poolName: Linux pool"),
        "agents.yml:42:19: the scenario declares no pool `Linux pool`\n  hint: the scenario declares `linux`\n"
    );
    assert_eq!(
        misfit("poolID: '18'", "poolId: '18'"),
        "agents.yml:41:7: the trigger names no pool\n  hint: did you mean `poolID`?\n"
    );
    // KEDA takes the name where both are given.
    let loaded = scenario();
    let both = documents(&with("poolID: '18'", "poolID: '81'\n        poolName: linux"));
    assert!(manifest::check(&loaded.scenario, &loaded.places, &both).is_ok());
}

#[test]
fn a_pool_is_followed_to_where_it_stands() {
    let map =
        "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { pool: windows }\n";
    let from_map = "- { name: AZP_POOL, valueFrom: { configMapKeyRef: { name: settings, key: pool } } }";
    let told = misfit("- { name: AZP_POOL, value: linux }", from_map);
    assert!(told.contains("ConfigMap/settings is in no manifest"), "{told}");

    let loaded = scenario();
    let check = |text: &str| manifest::check(&loaded.scenario, &loaded.places, &documents(text));
    let text = with("- { name: AZP_POOL, value: linux }", from_map) + map;
    let told = lines(&check(&text).expect_err("another pool"));
    assert!(told.contains("agents would join pool `windows`"), "{told}");
    assert!(check(&text.replace("pool: windows", "pool: linux")).is_ok());

    // What only the cluster knows is not judged.
    assert!(check(&with("value: linux", "value: $(SOMETHING)")).is_ok());
}

#[test]
fn what_is_scaled_must_be_there() {
    assert_eq!(
        misfit("scaleTargetRef:\n    name: agents", "scaleTargetRef:\n    name: agent"),
        "agents.yml:37:11: Deployment/agent is in no manifest\n  hint: did you mean `agents`?\n"
    );
    assert!(
        misfit("    name: agents\n  min", "    name: agents\n    kind: StatefulSet\n  min")
            .contains("StatefulSet/agents is in no manifest\n  hint: no manifest has a StatefulSet")
    );
    assert!(
        misfit("    name: agents\n  min", "    name: agents\n    kind: DaemonSet\n  min")
            .contains("scaling a `DaemonSet` is not understood")
    );
    let logon = misfit("        name: login", "        name: logon");
    assert!(
        logon.contains("TriggerAuthentication/logon is in no manifest\n  hint: did you mean `login`?"),
        "{logon}"
    );
    let keys = misfit("name: token, key: token }\n---", "name: token, key: tokens }\n---");
    assert!(keys.contains("Secret/token has no key `tokens`\n  hint: did you mean `token`?"), "{keys}");
}

#[test]
fn one_thing_is_scaled() {
    let loaded = scenario();
    let check = |text: &str| {
        lines(&manifest::check(&loaded.scenario, &loaded.places, &documents(text)).expect_err("a mistake"))
    };
    let without = &AGENTS
        [..AGENTS.find("---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject").expect("a ScaledObject")];
    assert_eq!(
        check(without),
        "example.yaml:5:1: nothing is scaled: no manifest has a KEDA object\n  hint: add the file with the ScaledObject or the ScaledJob\n"
    );
    let object = &AGENTS[without.len()..];
    let two = format!("{AGENTS}{}", object.replacen("name: agents", "name: more", 1));
    assert!(
        check(&two).contains("agents.yml:48:7: a second KEDA object: there is ScaledObject/agents already"),
        "{}",
        check(&two)
    );
    assert!(
        check(&format!("{AGENTS}{object}"))
            .contains("ScaledObject/agents is defined twice\n  hint: the first is in agents.yml, line 34")
    );
}

#[test]
fn counts_must_be_in_order() {
    assert!(
        misfit("minReplicaCount: 1", "minReplicaCount: 9\n  maxReplicaCount: 5")
            .contains("minReplicaCount 9 is more than maxReplicaCount 5")
    );
    assert!(
        misfit("minReplicaCount: 1", "minReplicaCount: 1\n  idleReplicaCount: 1")
            .contains("idleReplicaCount 1 must be less than minReplicaCount 1")
    );
    assert!(
        misfit("type: azure-pipelines", "type: azure-pipeline")
            .contains("no trigger has the type `azure-pipelines`\n  hint: did you mean `azure-pipelines`?")
    );
}

#[test]
fn a_secret_holds_base64() {
    assert!(
        misfit("token: your token", "token: your token\n  more: not base64!")
            .contains("agents.yml:7:9: `more` is not base64")
    );
    let plain = SCENARIO.replace("personal_access_token_base64", "personal_access_token");
    let loaded = load::scenario_with_places("example.yaml", &plain).expect("a good scenario");
    let told =
        lines(&manifest::check(&loaded.scenario, &loaded.places, &documents(AGENTS)).expect_err("a mistake"));
    assert_eq!(
        told,
        "agents.yml:6:10: `token` must be base64, and `personal_access_token` would stand in it\n  hint: substitute it by `personal_access_token_base64`\n"
    );
}

#[test]
fn a_text_that_stands_nowhere_is_told_in_the_scenario() {
    assert_eq!(
        misfit("token: your token", "token: eW91ciB0b2tlbg=="),
        "example.yaml:8:3: the text for `personal_access_token_base64` stands in no manifest\n  hint: write it exactly as it stands there\n"
    );
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(text, instead)| ((*text).to_owned(), (*instead).to_owned())).collect()
}

#[test]
fn what_is_filled_in_is_counted() {
    let mut documents = documents(AGENTS);
    let token = manifest::base64("secret");
    let counts = manifest::substitute(
        &mut documents,
        &texts(&[("your organization", "o"), ("your token", &token), ("nowhere", "x")]),
    );
    assert_eq!(counts, [("your organization".to_owned(), 1), ("your token".to_owned(), 1)].into());
    assert_eq!(documents[0].value()["data"]["token"], "c2VjcmV0");
    let Object::Secret(secret) = documents[0].typed() else { panic!("a Secret") };
    assert_eq!(secret.data["token"], "c2VjcmV0");
    let url = documents[1].value().pointer("/spec/template/spec/containers/0/env/0/value");
    assert_eq!(url.and_then(|url| url.as_str()), Some("https://dev.azure.com/o"));
}

#[test]
fn the_longer_text_wins_and_nothing_is_filled_in_twice() {
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: token tokens token, token: b }\n";
    let mut documents = documents(text);
    let counts = manifest::substitute(
        &mut documents,
        &texts(&[("token", "tokens"), ("tokens", "x"), ("ConfigMap", "y")]),
    );
    assert_eq!(documents[0].value()["data"], serde_json::json!({ "a": "tokens x tokens", "token": "b" }));
    assert_eq!(counts, [("token".to_owned(), 2), ("tokens".to_owned(), 1)].into());
    assert_eq!(documents[0].kind(), "ConfigMap");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(at in 0_usize..1300, length in 0_usize..20, instead in "[ -~\n]{0,12}") {
        let start = at.min(AGENTS.len());
        let text = format!("{}{instead}{}", &AGENTS[..start], &AGENTS[(start + length).min(AGENTS.len())..]);
        if let Ok(documents) = manifest::load("agents.yml", &text) {
            let loaded = scenario();
            let _ = manifest::check(&loaded.scenario, &loaded.places, &documents);
        }
    }

    /// What is understood before something is filled in is understood after it.
    #[test]
    fn filling_in_changes_texts_alone(text in "[a-z]{1,3}", instead in "\\PC{0,6}") {
        let mut documents = documents(AGENTS);
        let before: Vec<_> = documents.iter().map(|document| std::mem::discriminant(document.typed())).collect();
        manifest::substitute(&mut documents, &texts(&[(&text, &instead)]));
        let after: Vec<_> = documents.iter().map(|document| std::mem::discriminant(document.typed())).collect();
        proptest::prop_assert_eq!(before, after);
    }
}
