//! The HPA that KEDA makes (K:controllers/keda/hpa.go, `newHPAForScaledObject`).

use serde_json::{Map, Value as Json, json};

use super::spec::Spec;
use crate::rules::{PausedReplicas, Rules};
use crate::scaler::{AzurePipelines, MetricType};

/// An HPA's specification, autoscaling/v2, as far as KEDA decides it.
#[derive(Debug, Clone, PartialEq)]
pub struct HpaSpec {
    /// Its name.
    pub name: String,
    /// minReplicas.
    pub min: u32,
    /// maxReplicas.
    pub max: u32,
    /// The External metrics, in the order of the triggers.
    pub metrics: Vec<HpaMetric>,
    /// Passed on as the ScaledObject has it; its absence selects other rules of the HPA.
    pub behavior: Option<Json>,
}

/// An External metric of the HPA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HpaMetric {
    /// Its name.
    pub name: String,
    /// The target value in thousandths.
    pub target_milli: i64,
    /// What the target is compared with.
    pub metric_type: MetricType,
}

/// The name of a trigger's metric (K:pkg/scalers/scaler.go, `GenerateMetricNameWithIndex`).
#[must_use]
pub fn metric_name(trigger: usize, pool: i64) -> String {
    format!("s{trigger}-azure-pipelines-{pool}")
}

impl HpaMetric {
    /// The metric of a trigger.
    #[must_use]
    pub fn of(trigger: usize, settings: &AzurePipelines, pool: i64) -> Self {
        Self {
            name: metric_name(trigger, pool),
            target_milli: settings.target.saturating_mul(1000),
            metric_type: settings.metric_type,
        }
    }
}

impl HpaSpec {
    /// What KEDA makes of a ScaledObject with these metrics.
    #[must_use]
    pub fn of(rules: &Rules, spec: &Spec, metrics: Vec<HpaMetric>) -> Self {
        let policy = &spec.policy;
        let (mut min, mut max) = (policy.min.max(1), spec.max);
        if rules.scaled_object.paused_replicas == PausedReplicas::Loop
            && let Some(replicas) = policy.paused_replicas
        {
            (min, max) = (replicas.max(1), replicas.max(1));
        }
        let mut behavior = spec.behavior.clone();
        for (paused, direction) in
            [(policy.scale_in_paused, "scaleDown"), (policy.scale_out_paused, "scaleUp")]
        {
            if paused {
                disable(&mut behavior, direction);
            }
        }
        Self { name: spec.hpa_name.clone(), min, max, metrics, behavior }
    }

    /// What the API refuses (k8s:pkg/apis/autoscaling/validation, `validateMetricTarget`).
    pub(super) fn refusal(&self) -> Option<String> {
        let wrong = self.metrics.iter().position(|metric| metric.target_milli <= 0)?;
        let metric = self.metrics.get(wrong)?;
        let field = match metric.metric_type {
            MetricType::AverageValue => "averageValue",
            MetricType::Value => "value",
        };
        Some(format!(
            "HorizontalPodAutoscaler.autoscaling {:?} is invalid: spec.metrics[{wrong}].external.target.{field}: \
             Invalid value: \"{}\": must be positive",
            self.name,
            metric.target_milli / 1000
        ))
    }
}

/// `selectPolicy: Disabled` in one direction, which makes a behavior where there was none.
fn disable(behavior: &mut Option<Json>, direction: &str) {
    let behavior = behavior.get_or_insert_with(|| json!({}));
    let Some(behavior) = behavior.as_object_mut() else { return };
    let rules = behavior.entry(direction).or_insert(Json::Null);
    if !rules.is_object() {
        *rules = Json::Object(Map::new());
    }
    if let Some(rules) = rules.as_object_mut() {
        rules.insert("selectPolicy".to_owned(), json!("Disabled"));
    }
}
