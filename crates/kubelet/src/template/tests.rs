//! What a pod's template says, and that manifest and API say the same.

use serde_json::json;

use super::*;

fn command(words: &[&str]) -> Option<Millis> {
    slept(&Exec { command: words.iter().map(|word| (*word).to_owned()).collect() })
}

#[test]
fn a_hook_that_only_sleeps_is_understood() {
    for words in [
        &["sleep", "15"][..],
        &["/bin/sleep", "15s"],
        &["sh", "-c", "sleep 15"],
        &["/bin/bash", "-c", "exec sleep 15;"],
    ] {
        assert_eq!(command(words), Some(Millis::seconds(15)), "{words:?}");
    }
    assert_eq!(command(&["sleep", "2m"]), Some(Millis::minutes(2)));
}

#[test]
fn a_hook_that_does_more_is_not() {
    for words in [
        &["sh", "-c", "sleep 15 && ./config.sh remove"][..],
        &["sh", "-c", "while pgrep Agent.Worker; do sleep 5; done"],
        &["./config.sh", "remove"],
        &["sleep", "a while"],
        &[],
    ] {
        assert_eq!(command(words), None, "{words:?}");
    }
}

#[test]
fn a_known_image_says_its_start_script_unless_the_annotation_does() {
    let script = |image: &str, annotations: serde_json::Value| {
        let manifest = json!({
            "metadata": { "annotations": annotations },
            "spec": { "containers": [{ "name": "agent", "image": image }] },
        });
        Template::of_manifest(&manifest).expect("a template").script
    };
    let known = "ghcr.io/kedacore/tests-azure-pipelines-agent:b3a02cc";
    assert_eq!(script(known, json!({})), Script::KedaAgent);
    assert_eq!(script(known, json!({ "poolproof/start-script": "run" })), Script::Run);
    assert_eq!(script("agent:1", json!({})), Script::RunDocker);
}

#[test]
fn a_manifest_gives_what_the_api_s_pod_gives() {
    let manifest = json!({
        "metadata": { "labels": { "app": "agents" }, "annotations": { "poolproof/start-script": "run" } },
        "spec": {
            "initContainers": null,
            "containers": [{
                "name": "agent",
                "image": "agent:1",
                "args": null,
                "env": [
                    { "name": "AZP_POOL", "value": "keda" },
                    { "name": "CPU", "valueFrom": { "resourceFieldRef": { "resource": "requests.cpu" } } },
                ],
                "resources": { "limits": { "cpu": 0.5, "memory": "1.5Gi" } },
                "readinessProbe": { "exec": { "command": ["true"] } },
            }],
        },
    });
    let of_the_api = json!({
        "metadata": {
            "name": "agents-x", "labels": { "app": "agents", "pod-template-hash": "1" },
            "annotations": { "poolproof/start-script": "run" },
        },
        "spec": {
            "nodeName": "node-1", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            "serviceAccountName": "default", "dnsPolicy": "ClusterFirst",
            "containers": [{
                "name": "agent", "image": "agent:1", "imagePullPolicy": "IfNotPresent",
                "env": [
                    { "name": "AZP_POOL", "value": "keda" },
                    { "name": "CPU", "valueFrom": { "resourceFieldRef": { "resource": "requests.cpu", "divisor": "0" } } },
                ],
                "resources": {
                    "limits": { "cpu": "500m", "memory": "1536Mi" },
                    "requests": { "cpu": "500m", "memory": "1536Mi" },
                },
                "readinessProbe": {
                    "exec": { "command": ["true"] }, "timeoutSeconds": 1, "periodSeconds": 10,
                    "successThreshold": 1, "failureThreshold": 3,
                },
            }],
        },
    });
    let read = |value: &Value| Template::of_manifest(value).expect("a template");
    assert_eq!(read(&manifest), read(&of_the_api));
}

#[test]
fn another_grace_period_is_another_template() {
    let of = |grace: Option<u64>| {
        Template::of_manifest(&json!({ "spec": { "terminationGracePeriodSeconds": grace } }))
            .expect("a template")
    };
    assert_eq!(of(None), of(Some(30)));
    assert_ne!(of(None), of(Some(31)));
}

#[test]
fn what_is_no_template_is_refused() {
    assert!(Template::of_manifest(&json!({ "spec": { "containers": "agent" } })).is_err());
}
