//! What the scenario broke or changed on purpose, and what KEDA objects say since.

use std::collections::BTreeMap;

use model::event::{ScaleTarget, Trigger};
use model::fault::{CalledBy, Edit, Fault, NamedAnswer, Program, Route, ServiceAnswer};
use model::{Instant, Millis};
use serde_json::{Map, Value};

use super::{Pod, Target};

/// kedacore/keda apis/keda/v1alpha1/withtriggers_types.go and scaledobject_types.go: what holds where nothing is written.
const DEFAULT_MIN: u64 = 0;
const DEFAULT_MAX: u64 = 100;
const DEFAULT_POLL_S: u64 = 30;
const DEFAULT_COOLDOWN_S: u64 = 300;
const DEFAULT_WINDOW_S: u64 = 300;

/// A fault of the scenario, as it came.
#[derive(Debug, Clone)]
pub(crate) struct FaultSpan {
    /// Which of the scenario's, from 0.
    pub(crate) index: u32,
    /// What it is, in a few words.
    pub(crate) what: String,
    /// The pod or node that it hits.
    pub(crate) hits: Option<String>,
    /// When it began.
    pub(crate) from: Instant,
    /// When it was over, if it lasts and the log says so.
    pub(crate) to: Option<Instant>,
    /// The scenario's words for it, if the log has them.
    pub(crate) fault: Option<Fault>,
}

impl FaultSpan {
    /// It, as sentences name it.
    pub(crate) fn name(&self) -> String {
        match &self.hits {
            Some(hits) => format!("fault {} ({}: {hits})", self.index, self.what),
            None => format!("fault {} ({})", self.index, self.what),
        }
    }

    /// Whether it answers KEDA's reads with JSON that breaks off.
    pub(super) fn breaks_reads(&self) -> bool {
        matches!(&self.fault, Some(Fault::Service(fault))
            if fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Malformed))
                && fault.concerns(Route::JobRequests, CalledBy::Keda))
    }

    /// Whether agents' requests to these routes are answered otherwise, or too late, while it lasts.
    pub(crate) fn cuts_agents_off(&self, from: &[Route]) -> bool {
        let Some(Fault::Service(fault)) = &self.fault else { return false };
        // What a caller's token says of it may be more than its name does.
        let callers = [CalledBy::Agent, CalledBy::Other];
        from.iter().any(|route| callers.iter().any(|caller| fault.concerns(*route, *caller)))
    }

    /// Whether KEDA's operator starts anew.
    pub(crate) fn restarts_keda(&self) -> bool {
        matches!(&self.fault, Some(Fault::KedaUpgrade(_)))
            || matches!(&self.fault, Some(Fault::Restart(restart)) if restart.what == Program::KedaOperator)
    }

    /// Whether Kubernetes' controllers start anew.
    pub(crate) fn restarts_controllers(&self) -> bool {
        matches!(&self.fault, Some(Fault::Restart(restart)) if restart.what == Program::KubeControllerManager)
    }

    /// Whether a node is gone by it at an instant, or was.
    pub(crate) fn takes_node(&self, node: &str, at: Instant) -> bool {
        matches!(self.fault, Some(Fault::NodeLoss(_)))
            && self.hits.as_deref().map(bare_name) == Some(bare_name(node))
            && self.from <= at
    }

    /// Whether it takes the node away that a pod is on.
    pub(crate) fn takes_node_of(&self, pod: &Pod) -> bool {
        matches!(self.fault, Some(Fault::NodeLoss(_)))
            && self.hits.is_some()
            && self.hits.as_deref().map(bare_name) == pod.node.as_deref()
            && pod.appeared <= self.from
            && pod.gone.is_none_or(|gone| gone >= self.from)
    }

    /// Whether it kills or deletes a pod.
    pub(crate) fn takes_pod(&self, pod: &Pod) -> bool {
        matches!(self.fault, Some(Fault::PodKill(_) | Fault::PodDelete(_)))
            && self.hits.as_deref().map(bare_name) == Some(&pod.name)
            && pod.appeared <= self.from
    }

    /// The change that it makes to an object, if it makes one.
    pub(crate) fn edits(&self, object: &str) -> Option<&Edit> {
        match &self.fault {
            Some(Fault::Edit(edit)) if edit.object == object => Some(edit),
            _ => None,
        }
    }

    /// The span from its beginning to its end; one that does not last has none, one that never ends lasts to `end`.
    pub(crate) fn span(&self, end: Instant) -> (Instant, Instant) {
        let lasts = matches!(self.fault, Some(Fault::Service(_) | Fault::NodeLoss(_)));
        (self.from, self.to.unwrap_or(if lasts { end } else { self.from }))
    }
}

/// A name without its kind.
fn bare_name(object: &str) -> &str {
    object.rsplit_once('/').map_or(object, |(_, name)| name)
}

/// A read of the metric by the HPA.
#[derive(Debug, Clone)]
pub(crate) struct HpaRead {
    /// When it was answered.
    pub(crate) at: Instant,
    /// The metric's name.
    pub(crate) metric: String,
    /// The status.
    pub(crate) status: u16,
    /// From the request's arrival to the answer.
    pub(crate) latency: Millis,
    /// The value in thousandths.
    pub(crate) value_milli: Option<i64>,
}

/// Somebody set a workload's replicas.
#[derive(Debug, Clone)]
pub(crate) struct ScaleWrite {
    /// When.
    pub(crate) at: Instant,
    /// The workload.
    pub(crate) workload: String,
    /// Who: `hpa`, `keda` or the user's name.
    pub(crate) writer: String,
    /// What was asked for.
    pub(crate) replicas: u32,
    /// The status.
    pub(crate) status: u16,
}

/// What a KEDA object says from an instant on.
#[derive(Debug, Clone)]
pub(crate) struct Era {
    /// From when.
    pub(crate) from: Instant,
    /// What it says.
    pub(crate) scale: Box<ScaleTarget>,
    /// What changed it.
    pub(crate) because: String,
}

/// What every object says after each change that the scenario made to it, or to KEDA.
pub(super) fn settle(targets: &mut BTreeMap<String, Target>, faults: &[FaultSpan]) {
    for (object, target) in targets {
        for fault in faults {
            let mut scale = target.scale_at(fault.from).clone();
            if let Some(Fault::KedaUpgrade(upgrade)) = &fault.fault {
                scale.keda.clone_from(&upgrade.version);
            } else if let Some(edit) = fault.edits(object) {
                apply(&mut scale, &edit.patch);
            } else {
                continue;
            }
            target.change(fault.from, scale, fault.name());
        }
    }
}

/// RFC 7396, on what is known of the object.
fn apply(scale: &mut ScaleTarget, patch: &Map<String, Value>) {
    if let Some(annotations) = patch.get("metadata").and_then(|metadata| metadata.get("annotations")) {
        for (key, value) in annotations.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(scale.annotations.remove(key)),
                Value::String(text) => drop(scale.annotations.insert(key.clone(), text.clone())),
                other => drop(scale.annotations.insert(key.clone(), other.to_string())),
            }
        }
    }
    let Some(spec) = patch.get("spec").and_then(Value::as_object) else { return };
    merge(&mut scale.spec, &Value::Object(spec.clone()));
    let number = |value: &Value, default: u64| value.as_u64().unwrap_or(default);
    let count = |value: &Value, default| u32::try_from(number(value, default)).unwrap_or(u32::MAX);
    for (key, value) in spec {
        match key.as_str() {
            "minReplicaCount" => scale.min = count(value, DEFAULT_MIN),
            "maxReplicaCount" => scale.max = count(value, DEFAULT_MAX),
            "idleReplicaCount" => scale.idle = value.as_u64().and_then(|idle| u32::try_from(idle).ok()),
            "pollingInterval" => scale.polling_interval_s = number(value, DEFAULT_POLL_S),
            "cooldownPeriod" => scale.cooldown_s = number(value, DEFAULT_COOLDOWN_S),
            "triggers" => scale.triggers = value.as_array().into_iter().flatten().map(trigger).collect(),
            "advanced" => {
                let behavior = scale.spec.pointer("/advanced/horizontalPodAutoscalerConfig/behavior");
                scale.behavior = behavior.filter(|behavior| !behavior.is_null()).cloned();
                let window = behavior.and_then(|of| of.pointer("/scaleDown/stabilizationWindowSeconds"));
                scale.stabilization_s = window.and_then(Value::as_u64).unwrap_or(DEFAULT_WINDOW_S);
            }
            "scalingStrategy" => {
                let strategy = scale.spec.pointer("/scalingStrategy/strategy").and_then(Value::as_str);
                scale.strategy = strategy.map(str::to_owned);
            }
            _ => {}
        }
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn trigger(value: &Value) -> Trigger {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let metadata = value.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let metadata = metadata.map(|(key, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key.clone(), text)
    });
    Trigger {
        kind: text("type").unwrap_or_default().to_owned(),
        metadata: metadata.collect(),
        metric_type: text("metricType").unwrap_or("AverageValue").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::History;
    use crate::testing::Log;

    fn edited(patch: &Value) -> ScaleTarget {
        let patch = patch.as_object().expect("an object").clone();
        let log = Log::new().edited(100, "ScaledObject/agents", patch);
        let history = History::of(log.events());
        history.targets["ScaledObject/agents"].scale_at(Instant(100_000)).clone()
    }

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_else() {
        let scale = edited(&json!({ "spec": { "maxReplicaCount": 9, "cooldownPeriod": null } }));
        assert_eq!((scale.min, scale.max, scale.cooldown_s), (1, 9, 300));
        let triggers = json!([{ "type": "azure-pipelines", "metadata": { "scaleOnInFlight": "false" } }]);
        let scale = edited(&json!({ "spec": { "triggers": triggers } }));
        assert_eq!((scale.max, scale.triggers[0].metadata["scaleOnInFlight"].as_str()), (5, "false"));
        let behavior = json!({ "scaleDown": { "stabilizationWindowSeconds": 60 } });
        let advanced = json!({ "horizontalPodAutoscalerConfig": { "behavior": behavior } });
        let scale = edited(&json!({ "spec": { "advanced": advanced } }));
        assert_eq!((scale.stabilization_s, scale.behavior), (60, Some(behavior)));
    }

    #[test]
    fn what_an_object_said_before_the_edit_still_holds_for_before() {
        let patch = json!({ "spec": { "minReplicaCount": 2 } }).as_object().expect("an object").clone();
        let history = History::of(Log::new().edited(100, "ScaledObject/agents", patch).events());
        let target = &history.targets["ScaledObject/agents"];
        let min = |at| target.scale_at(Instant(at)).min;
        assert_eq!((min(0), min(99_999), min(100_000)), (1, 1, 2));
        assert_eq!(target.eras().len(), 2);
    }
}
