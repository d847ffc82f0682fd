//! Environments from literals, references and the downward API, and what they say.

use serde_json::json;

use super::*;
use crate::template::Template;

fn facts() -> PodFacts {
    PodFacts {
        name: "agents-x2x7k".to_owned(),
        namespace: "article".into(),
        uid: "5d1a".to_owned(),
        host_name: "agents-x2x7k".to_owned(),
        node: "node-1".to_owned(),
        service_account: "default".to_owned(),
        pod_ip: "198.19.0.7".to_owned(),
        host_ip: "198.18.0.1".to_owned(),
        metadata: Some(Arc::new(Metadata {
            labels: BTreeMap::from([("app".to_owned(), "agents".to_owned())]),
            annotations: BTreeMap::new(),
        })),
    }
}

fn spec(container: &serde_json::Value) -> EnvironmentSpec {
    let mut pod = json!({"metadata": {"name": "x"}, "spec": {"nodeName": "node-1"}});
    pod["spec"]["containers"] = json!([container]);
    Template::of_manifest(&pod).expect("a pod").environments.remove(0)
}

/// Kind, name and entries.
type Object<'a> = (Kind, &'a str, &'a [(&'a str, &'a str)]);

fn referred(objects: &[Object<'_>]) -> Referred {
    objects
        .iter()
        .map(|(kind, name, entries)| {
            let entries =
                entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            ((*kind, (*name).to_owned()), Arc::new(entries))
        })
        .collect()
}

#[test]
fn values_come_from_everywhere() {
    let spec = spec(&json!({
        "name": "agent",
        "envFrom": [
            {"configMapRef": {"name": "settings"}, "prefix": "AZP_"},
            {"secretRef": {"name": "none", "optional": true}},
        ],
        "env": [
            {"name": "AZP_URL", "value": "https://$(HOST)/o"},
            {"name": "HOST", "value": "example.org"},
            {"name": "AZP_AGENT_NAME", "value": "$(AZP_POOL)-$(MISSING)"},
            {"name": "AZP_TOKEN", "valueFrom": {"secretKeyRef": {"name": "azdevops", "key": "AZP_TOKEN"}}},
            {"name": "LEFT_OUT", "valueFrom": {"secretKeyRef": {"name": "azdevops", "key": "no", "optional": true}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "LABELS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        ],
        "resources": {"limits": {"cpu": "1500m"}},
    }));
    let wanted: Vec<_> = references(&spec).into_iter().map(|(_, name)| name).collect();
    assert_eq!(wanted, ["azdevops", "none", "settings"]);
    let referred = referred(&[
        (Kind::Secret, "azdevops", &[("AZP_TOKEN", "secret")]),
        (Kind::ConfigMap, "settings", &[("POOL", "keda-pool"), ("URL", "overridden")]),
    ]);
    let environment = resolve(&spec, &facts(), &referred).expect("an environment");
    let expected = [
        ("APP", "agents"),
        ("AZP_AGENT_NAME", "keda-pool-$(MISSING)"),
        ("AZP_POOL", "keda-pool"),
        ("AZP_TOKEN", "secret"),
        ("AZP_URL", "https://$(HOST)/o"),
        ("CPU", "2"),
        ("HOST", "example.org"),
        ("IP", "198.19.0.7"),
        ("LABELS", "app=\"agents\""),
        ("POD", "agents-x2x7k"),
    ];
    let found: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_is_missing_is_named_as_the_kubelet_does() {
    let of = |source: serde_json::Value| spec(&json!({"env": [{"name": "A", "valueFrom": source}]}));
    let secret = referred(&[(Kind::Secret, "azdevops", &[])]);
    for (spec, referred, message) in [
        (
            of(json!({"secretKeyRef": {"name": "azdevops", "key": "k"}})),
            Referred::new(),
            "secret \"azdevops\" not found",
        ),
        (
            of(json!({"secretKeyRef": {"name": "azdevops", "key": "k"}})),
            secret,
            "couldn't find key k in Secret article/azdevops",
        ),
        (
            of(json!({"configMapKeyRef": {"name": "settings", "key": "k"}})),
            Referred::new(),
            "configmap \"settings\" not found",
        ),
        (
            spec(&json!({"envFrom": [{"secretRef": {"name": "all"}}]})),
            Referred::new(),
            "secret \"all\" not found",
        ),
    ] {
        assert_eq!(resolve(&spec, &facts(), &referred), Err(message.to_owned()));
    }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_address_and_a_pool_make_an_agent() {
    let variables =
        environment(&[("AZP_URL", "http://h/o"), ("AZP_POOL", "p"), ("AZP_TOKEN", "t\n"), ("JAVA", "17")]);
    let decided = decide(variables, "pod-1", Script::RunDocker, false, Millis(5)).expect("decided");
    let agent = decided.agent.expect("an agent");
    let told = [&agent.url, &agent.token, &agent.pool, &agent.name].map(String::as_str);
    assert_eq!(told, ["http://h/o", "t", "p", "pod-1"]);
    let Agent { capabilities, .. } = agent;
    assert!(capabilities.contains_key("JAVA") && !capabilities.contains_key("AZP_TOKEN"));
    assert!(
        matches!(decided.program, Program::Entrypoint(settings) if settings.complete && !settings.template)
    );
}

#[test]
fn a_name_of_its_own_may_be_a_template() {
    let variables = environment(&[
        ("AZP_URL", "http://h/o"),
        ("AZP_POOL", "p"),
        ("AZP_TOKEN", "t"),
        ("AZP_AGENT_NAME", "my-template"),
    ]);
    let decided = decide(variables, "pod-1", Script::RunDocker, false, Millis(5)).expect("decided");
    assert_eq!(decided.agent.expect("an agent").name, "my-template");
    assert!(matches!(decided.program, Program::Entrypoint(settings) if settings.template));
}

#[test]
fn anything_else_just_runs() {
    let decided = decide(environment(&[("AZP_URL", "x")]), "pod-1", Script::Run, false, Millis(5));
    assert_eq!(decided.expect("decided").program, Program::Plain);
}

#[test]
fn an_agent_without_a_token_is_incomplete_and_a_token_in_a_file_is_not_modelled() {
    let mut variables = environment(&[("AZP_URL", "x"), ("AZP_POOL", "p")]);
    let decided = decide(variables.clone(), "pod-1", Script::Run, false, Millis(5)).expect("decided");
    assert!(matches!(decided.program, Program::Entrypoint(settings) if !settings.complete));
    variables.insert("AZP_TOKEN_FILE".to_owned(), "/secrets/token".to_owned());
    assert!(decide(variables, "pod-1", Script::Run, false, Millis(5)).is_err());
}
