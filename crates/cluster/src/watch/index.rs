//! What is new in an object, as facts. Pure: objects in, facts out.

use std::collections::BTreeMap;

use model::Fact;
use serde_json::Value;

use super::Kind;

/// What has been told of the objects of one kind.
#[derive(Debug)]
pub(super) struct Index {
    kind: Kind,
    told: BTreeMap<String, Told>,
}

/// What has been told of one object: each key at its last value. Facts are told when a value changes.
type Told = BTreeMap<String, String>;

impl Index {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, told: BTreeMap::new() }
    }

    /// The facts in `object` that were not told yet.
    pub(super) fn applied(&mut self, name: &str, object: &Value) -> Vec<Fact> {
        let told = self.told.entry(name.to_owned()).or_default();
        match self.kind {
            Kind::Pod => pod(name, object, told),
            Kind::Workload(kind) => replicas(kind, name, object, told),
            Kind::Job => job(name, object, told),
            Kind::Hpa => hpa(name, object, told),
            Kind::Keda(kind) => keda_conditions(kind, name, object, told),
            Kind::Event => kubernetes_event(object, told),
        }
    }

    /// The facts in an object's end.
    pub(super) fn gone(&mut self, name: &str) -> Vec<Fact> {
        if self.told.remove(name).is_none() {
            return Vec::new();
        }
        match self.kind {
            Kind::Pod => vec![Fact::PodGone { pod: name.to_owned() }],
            Kind::Job => vec![Fact::KubernetesJobDeleted { job: name.to_owned() }],
            Kind::Workload(_) | Kind::Hpa | Kind::Keda(_) | Kind::Event => Vec::new(),
        }
    }
}

/// Remembers `value` under `key`; whether that is news.
fn is_news(told: &mut Told, key: &str, value: &str) -> bool {
    told.insert(key.to_owned(), value.to_owned()).as_deref() != Some(value)
}

fn text<'v>(object: &'v Value, pointer: &str) -> Option<&'v str> {
    object.pointer(pointer).and_then(Value::as_str)
}

fn number(object: &Value, pointer: &str) -> Option<u64> {
    object.pointer(pointer).and_then(Value::as_u64)
}

fn count(object: &Value, pointer: &str) -> u32 {
    number(object, pointer).and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

/// The status of a condition: `True`, `False` or `Unknown`.
pub(super) fn condition<'v>(object: &'v Value, kind: &str) -> Option<&'v str> {
    conditions(object)
        .find(|condition| text(condition, "/type") == Some(kind))
        .and_then(|c| text(c, "/status"))
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn pod(name: &str, object: &Value, told: &mut Told) -> Vec<Fact> {
    let pod = name.to_owned();
    let mut facts = Vec::new();
    if is_news(told, "created", "") {
        facts.push(Fact::PodCreated { pod: pod.clone(), owner: owner(object) });
    }
    if let Some(node) = text(object, "/spec/nodeName")
        && is_news(told, "node", node)
    {
        facts.push(Fact::PodScheduled { pod: pod.clone(), node: node.to_owned() });
    }
    let phase = text(object, "/status/phase").unwrap_or_default();
    if phase == "Running" && is_news(told, "running", "") {
        facts.push(Fact::PodRunning { pod: pod.clone() });
    }
    if condition(object, "Ready") == Some("True") && is_news(told, "ready", "") {
        facts.push(Fact::PodReady { pod: pod.clone() });
    }
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
        && is_news(told, "terminating", "")
    {
        let grace_s = number(object, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
        facts.push(Fact::PodTerminating { pod: pod.clone(), grace_s });
    }
    if matches!(phase, "Succeeded" | "Failed") && is_news(told, "ended", "") {
        facts.push(Fact::PodEnded { pod, phase: phase.to_owned() });
    }
    facts
}

/// The controller, as `ReplicaSet/name`.
fn owner(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    Some(format!("{}/{}", text(owner, "/kind")?, text(owner, "/name")?))
}

fn replicas(kind: &str, name: &str, object: &Value, told: &mut Told) -> Vec<Fact> {
    // An absent spec.replicas never comes from the API server: it fills in 1.
    let (spec, status) = (count(object, "/spec/replicas"), count(object, "/status/replicas"));
    let ready = count(object, "/status/readyReplicas");
    if !is_news(told, "replicas", &format!("{spec} {status} {ready}")) {
        return Vec::new();
    }
    vec![Fact::Replicas { workload: format!("{kind}/{name}"), spec, status, ready }]
}

fn job(name: &str, object: &Value, told: &mut Told) -> Vec<Fact> {
    let job = name.to_owned();
    let mut facts = Vec::new();
    if is_news(told, "created", "") {
        facts.push(Fact::KubernetesJobCreated { job: job.clone() });
    }
    for (kind, succeeded) in [("Complete", true), ("Failed", false)] {
        if condition(object, kind) == Some("True") && is_news(told, "finished", "") {
            facts.push(Fact::KubernetesJobFinished { job: job.clone(), succeeded });
        }
    }
    facts
}

fn hpa(name: &str, object: &Value, told: &mut Told) -> Vec<Fact> {
    let (current, desired) =
        (count(object, "/status/currentReplicas"), count(object, "/status/desiredReplicas"));
    let conditions: BTreeMap<_, _> = conditions(object)
        .filter_map(|condition| {
            let value = format!("{}/{}", text(condition, "/status")?, text(condition, "/reason")?);
            Some((text(condition, "/type")?.to_owned(), value))
        })
        .collect();
    if !is_news(told, "status", &format!("{current} {desired} {conditions:?}")) {
        return Vec::new();
    }
    vec![Fact::HpaStatus { hpa: name.to_owned(), current, desired, conditions }]
}

fn keda_conditions(kind: &str, name: &str, object: &Value, told: &mut Told) -> Vec<Fact> {
    let mut facts = Vec::new();
    for condition in conditions(object) {
        let field = |pointer| text(condition, pointer).unwrap_or_default().to_owned();
        let (of, status) = (field("/type"), field("/status"));
        let (reason, message) = (field("/reason"), field("/message"));
        if is_news(told, &of, &format!("{status} {reason} {message}")) {
            let object = format!("{kind}/{name}");
            facts.push(Fact::Condition { object, condition: of, status, reason, message });
        }
    }
    facts
}

fn kubernetes_event(object: &Value, told: &mut Told) -> Vec<Fact> {
    let field = |pointer| text(object, pointer).unwrap_or_default().to_owned();
    let seen = count(object, "/count").max(count(object, "/series/count")).to_string();
    if !is_news(told, "seen", &seen) {
        return Vec::new();
    }
    vec![Fact::KubernetesEvent {
        object: format!("{}/{}", field("/involvedObject/kind"), field("/involvedObject/name")),
        kind: field("/type"),
        reason: field("/reason"),
        message: field("/message"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_life_is_told_once_and_in_order() {
        let mut index = Index::new(Kind::Pod);
        let mut pod = json!({ "metadata": { "ownerReferences": [
            { "kind": "ReplicaSet", "name": "web-1", "controller": true }] } });
        let created = Fact::PodCreated { pod: "a".into(), owner: Some("ReplicaSet/web-1".into()) };
        assert_eq!(index.applied("a", &pod), [created]);
        assert_eq!(index.applied("a", &pod), []);
        pod["spec"]["nodeName"] = json!("n");
        pod["status"] = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
        let facts = index.applied("a", &pod);
        let expected = [
            Fact::PodScheduled { pod: "a".into(), node: "n".into() },
            Fact::PodRunning { pod: "a".into() },
            Fact::PodReady { pod: "a".into() },
        ];
        assert_eq!(facts, expected);
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(30);
        assert_eq!(index.applied("a", &pod), [Fact::PodTerminating { pod: "a".into(), grace_s: 30 }]);
        assert_eq!(index.gone("a"), [Fact::PodGone { pod: "a".into() }]);
        assert_eq!(index.gone("a"), []);
    }

    #[test]
    fn replicas_are_told_when_a_count_changes() {
        let mut index = Index::new(Kind::Workload("Deployment"));
        let object = json!({ "spec": { "replicas": 4 }, "status": { "replicas": 1, "readyReplicas": 1 } });
        let told = Fact::Replicas { workload: "Deployment/d".into(), spec: 4, status: 1, ready: 1 };
        assert_eq!(index.applied("d", &object), [told]);
        assert_eq!(index.applied("d", &object), []);
    }

    #[test]
    fn a_condition_is_told_with_its_message() {
        let mut index = Index::new(Kind::Keda("ScaledObject"));
        let object = json!({ "status": { "conditions": [
            { "type": "Ready", "status": "False", "reason": "TriggerError", "message": "status: 401" }] } });
        let told = Fact::Condition {
            object: "ScaledObject/s".into(),
            condition: "Ready".into(),
            status: "False".into(),
            reason: "TriggerError".into(),
            message: "status: 401".into(),
        };
        assert_eq!(index.applied("s", &object), [told]);
        assert_eq!(index.applied("s", &object), []);
    }

    #[test]
    fn a_job_finishes_once() {
        let mut index = Index::new(Kind::Job);
        assert_eq!(index.applied("j", &json!({})), [Fact::KubernetesJobCreated { job: "j".into() }]);
        let done = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True" }] } });
        let finished = Fact::KubernetesJobFinished { job: "j".into(), succeeded: false };
        assert_eq!(index.applied("j", &done), [finished]);
        assert_eq!(index.applied("j", &done), []);
    }
}
