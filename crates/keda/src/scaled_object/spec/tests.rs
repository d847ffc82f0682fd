//! Specs that are refused, by field.

use semver::Version;
use serde_json::json;

use super::*;

fn read(more: Json, annotations: &[(&str, &str)]) -> Result<Spec, String> {
    let mut manifest = json!({
        "metadata": { "name": "agents", "annotations": BTreeMap::from_iter(annotations.iter().copied()) },
        "spec": {
            "scaleTargetRef": { "name": "agents" },
            "triggers": [{ "type": "azure-pipelines", "metadata": { "poolID": "7" } }],
        },
    });
    if let Json::Object(fields) = more {
        for (field, value) in fields {
            manifest["spec"][field] = value;
        }
    }
    let rules = Rules::of(&Version::new(2, 21, 0)).expect("modelled");
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    Spec::read(rules, manifest, Vec::new()).map_err(|error| error.to_string())
}

fn refused(more: Json) -> String {
    read(more, &[]).expect_err("refused")
}

#[test]
fn defaults_are_kedas() {
    let spec = read(json!({}), &[]).expect("in order");
    assert_eq!(spec.polling_interval, Millis::seconds(30));
    assert_eq!(spec.policy.cooldown, Millis::seconds(300));
    assert_eq!((spec.policy.min, spec.max), (0, 100));
    assert!(
        spec.triggers[0].is_err(),
        "without surroundings there is no address, which KEDA retries for ever"
    );
}

#[test]
fn a_fallback_is_refused_by_its_field() {
    assert!(
        refused(json!({ "fallback": { "replicas": 2 } }))
            .starts_with("ScaledObject/agents: spec.fallback: missing")
    );
    assert!(
        refused(json!({ "fallback": { "replicas": -2, "failureThreshold": 1 } })).contains("spec.fallback")
    );
    let behavior =
        json!({ "fallback": { "replicas": 2, "failureThreshold": 1, "behavior": "scalingModifiers" } });
    assert!(refused(behavior).contains("spec.fallback.behavior is not modelled"));
}

#[test]
fn a_behavior_is_refused_by_its_field() {
    let behavior =
        |behavior: Json| json!({ "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior } } });
    assert!(
        refused(behavior(json!("fast")))
            .ends_with("horizontalPodAutoscalerConfig.behavior: must be an object")
    );
    assert!(refused(behavior(json!({ "up": {} }))).contains("behavior.up: is not known"));
    assert!(read(behavior(json!({ "scaleUp": { "policies": [] } })), &[]).is_ok());
}

#[test]
fn what_is_not_modelled_says_so() {
    assert!(
        refused(json!({ "advanced": { "scalingModifiers": { "formula": "a" } } }))
            .contains("is not modelled")
    );
    let cron = json!({ "triggers": [{ "type": "cron", "metadata": {} }] });
    assert!(refused(cron).starts_with("ScaledObject/agents: spec.triggers[0].type is not modelled"));
}

#[test]
fn paused_replicas_must_be_a_number() {
    let error = read(json!({}), &[(PAUSED_REPLICAS, "many")]).expect_err("refused");
    assert!(error.contains("paused-replicas: \"many\" is no number of replicas"), "{error}");
}

#[test]
fn bounds_are_checked_as_the_reconciler_does() {
    let wrong = |more| read(more, &[]).expect("read").wrong_bounds();
    assert_eq!(wrong(json!({})), None);
    assert!(wrong(json!({ "minReplicaCount": 3, "maxReplicaCount": 2 })).is_some());
    assert!(
        wrong(json!({ "minReplicaCount": 0, "idleReplicaCount": 0 })).is_none(),
        "a written 0 counts as 1"
    );
    assert!(wrong(json!({ "idleReplicaCount": 0 })).is_some());
    assert!(wrong(json!({ "minReplicaCount": 2, "idleReplicaCount": 2 })).is_some());
}
