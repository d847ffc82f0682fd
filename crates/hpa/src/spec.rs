//! What an HPA asks for, with the defaults that the API server fills in.

use model::Millis;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::quantity::{Quantity, QuantityError};
use crate::rules::DOWNSCALE_STABILISATION;

/// minReplicas. Source: Kubernetes 1.35.4, `pkg/apis/autoscaling/v2/defaults.go`,
/// `SetDefaults_HorizontalPodAutoscaler`.
pub const DEFAULT_MIN_REPLICAS: i32 = 1;
/// Pods that may be added in a period. Source: as above, `scaleUpLimitMinimumPods`.
pub const DEFAULT_UP_PODS: i32 = 4;
/// By how many percent the replicas may grow in a period. Source: as above, `scaleUpLimitPercent`.
pub const DEFAULT_UP_PERCENT: i32 = 100;
/// By how many percent the replicas may shrink in a period. Source: as above, `scaleDownLimitPercent`.
pub const DEFAULT_DOWN_PERCENT: i32 = 100;
/// The period of the default policies, in seconds. Source: as above, `scaleUpPeriod`, `scaleDownPeriod`.
pub const DEFAULT_PERIOD_S: i32 = 15;
/// The longest stabilisation window, in seconds. Source: `pkg/apis/autoscaling/validation/validation.go`,
/// `MaxStabilizationWindowSeconds`.
pub const LONGEST_WINDOW_S: i32 = 3600;
/// The longest period of a policy, in seconds. Source: as above, `MaxPeriodSeconds`.
pub const LONGEST_PERIOD_S: i32 = 1800;

/// What an HPA asks for. Replicas are `i32` as everywhere in Kubernetes.
#[derive(Debug, Clone, PartialEq)]
pub struct HpaSpec {
    /// The fewest replicas.
    pub min: i32,
    /// The most replicas.
    pub max: i32,
    /// What it scales by, in this order.
    pub metrics: Vec<Metric>,
    /// How fast it may; without it, older rules apply, which are not these with their defaults.
    pub behavior: Option<Behavior>,
}

/// One External metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name, as `s0-azure-pipelines-7`.
    pub name: Box<str>,
    /// What its value is held against.
    pub target: Target,
}

/// What a metric's value is held against, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// So much for each pod.
    AverageValue(i64),
    /// So much in all.
    Value(i64),
}

/// How fast the replicas may change, every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    /// More replicas.
    pub up: ScalingRules,
    /// Fewer replicas.
    pub down: ScalingRules,
}

/// How fast the replicas may change in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingRules {
    /// How far back recommendations count.
    pub window: Millis,
    /// Which of the policies counts.
    pub select: Select,
    /// The policies.
    pub policies: Vec<Policy>,
    /// A tolerance of this direction's own.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Select {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: no change in this direction.
    Disabled,
}

/// What a policy limits the change to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum PolicyKind {
    /// So many pods.
    Pods,
    /// So many percent of the replicas at the start of the period.
    Percent,
}

/// A limit to the change within a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: PolicyKind,
    /// How many.
    pub value: i32,
    /// The period in seconds.
    pub period_seconds: i32,
}

/// Why something is not an HPA that the API server would take, or not one that is modelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It has the wrong shape.
    #[error("not as autoscaling/v2 wants it: {0}")]
    Shape(String),
    /// A number is not in its range.
    #[error("`{field}` is {value}; it must be {least} to {most}")]
    Range {
        /// Which.
        field: &'static str,
        /// What it is.
        value: i64,
        /// The least that is allowed.
        least: i64,
        /// The most that is allowed.
        most: i64,
    },
    /// A list of policies that is there must not be empty.
    #[error("`policies` is empty; leave it out for the defaults")]
    NoPolicies,
    /// A quantity cannot be read.
    #[error(transparent)]
    Quantity(#[from] QuantityError),
    /// Something else than External metrics.
    #[error("a metric of type `{0}`; only External metrics are modelled")]
    MetricType(String),
    /// A metric without a target.
    #[error("metric `{0}` has neither averageValue nor value")]
    NoTarget(String),
}

/// As it comes over the wire.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RulesWire {
    stabilization_window_seconds: Option<i32>,
    select_policy: Option<Select>,
    policies: Option<Vec<Policy>>,
    tolerance: Option<Json>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BehaviorWire {
    scale_up: Option<RulesWire>,
    scale_down: Option<RulesWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecWire {
    min_replicas: Option<i32>,
    max_replicas: i32,
    #[serde(default)]
    metrics: Vec<MetricWire>,
    behavior: Option<Json>,
}

#[derive(Deserialize)]
struct MetricWire {
    #[serde(rename = "type")]
    kind: String,
    external: Option<ExternalWire>,
}

#[derive(Deserialize)]
struct ExternalWire {
    metric: IdentifierWire,
    target: TargetWire,
}

#[derive(Deserialize)]
struct IdentifierWire {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetWire {
    average_value: Option<Json>,
    value: Option<Json>,
}

impl HpaSpec {
    /// Reads the `spec` of an `autoscaling/v2` HPA.
    ///
    /// # Errors
    /// What the API server would refuse, and metrics that are not External.
    pub fn from_json(spec: &Json) -> Result<Self, SpecError> {
        let wire = SpecWire::deserialize(spec).map_err(|error| SpecError::Shape(error.to_string()))?;
        let max = within("maxReplicas", wire.max_replicas, 1, i32::MAX)?;
        let min = wire.min_replicas.unwrap_or(DEFAULT_MIN_REPLICAS);
        let min = within("minReplicas", min, 1, max)?;
        let metrics = wire.metrics.into_iter().map(Metric::read).collect::<Result<_, _>>()?;
        let behavior = wire.behavior.as_ref().map(Behavior::from_json).transpose()?;
        Ok(Self { min, max, metrics, behavior })
    }
}

impl Metric {
    fn read(wire: MetricWire) -> Result<Self, SpecError> {
        let Some(external) = wire.external.filter(|_| wire.kind == "External") else {
            return Err(SpecError::MetricType(wire.kind));
        };
        let name = external.metric.name;
        // averageValue is looked at first, as in `computeStatusForExternalMetric`.
        let target = match (external.target.average_value, external.target.value) {
            (Some(average), _) => Target::AverageValue(positive("averageValue", &average)?),
            (None, Some(value)) => Target::Value(positive("value", &value)?),
            (None, None) => return Err(SpecError::NoTarget(name)),
        };
        Ok(Self { name: name.into(), target })
    }
}

impl Behavior {
    /// Reads the `behavior` of an `autoscaling/v2` HPA and fills in every default. One that is there,
    /// if only as `{}`, gets all of them. Source: Kubernetes 1.35.4, `pkg/apis/autoscaling/v2/defaults.go`,
    /// `SetDefaults_HorizontalPodAutoscalerBehavior`; limits: `pkg/apis/autoscaling/validation/validation.go`,
    /// `validateScalingRules`.
    ///
    /// # Errors
    /// What the API server would refuse.
    pub fn from_json(behavior: &Json) -> Result<Self, SpecError> {
        let wire =
            BehaviorWire::deserialize(behavior).map_err(|error| SpecError::Shape(error.to_string()))?;
        let defaults = Self::default();
        Ok(Self {
            up: ScalingRules::filled(wire.scale_up, defaults.up)?,
            down: ScalingRules::filled(wire.scale_down, defaults.down)?,
        })
    }
}

impl Default for Behavior {
    /// What an empty behavior becomes.
    fn default() -> Self {
        let policy = |kind, value| Policy { kind, value, period_seconds: DEFAULT_PERIOD_S };
        let rules =
            |window, policies| ScalingRules { window, select: Select::Max, policies, tolerance: None };
        Self {
            up: rules(
                Millis::ZERO,
                vec![
                    policy(PolicyKind::Pods, DEFAULT_UP_PODS),
                    policy(PolicyKind::Percent, DEFAULT_UP_PERCENT),
                ],
            ),
            down: rules(DOWNSCALE_STABILISATION, vec![policy(PolicyKind::Percent, DEFAULT_DOWN_PERCENT)]),
        }
    }
}

impl ScalingRules {
    fn filled(wire: Option<RulesWire>, defaults: Self) -> Result<Self, SpecError> {
        let Some(wire) = wire else { return Ok(defaults) };
        let window = match wire.stabilization_window_seconds {
            Some(seconds) => seconds_of("stabilizationWindowSeconds", seconds, 0, LONGEST_WINDOW_S)?,
            None => defaults.window,
        };
        let policies = wire.policies.unwrap_or(defaults.policies);
        if policies.is_empty() {
            return Err(SpecError::NoPolicies);
        }
        for policy in &policies {
            within("policies.value", policy.value, 1, i32::MAX)?;
            within("policies.periodSeconds", policy.period_seconds, 1, LONGEST_PERIOD_S)?;
        }
        let tolerance = wire.tolerance.as_ref().map(quantity).transpose()?;
        if let Some(tolerance) = tolerance.filter(|tolerance| tolerance.milli() < 0) {
            return Err(SpecError::Range {
                field: "tolerance",
                value: tolerance.milli(),
                least: 0,
                most: i64::MAX,
            });
        }
        Ok(Self {
            window,
            select: wire.select_policy.unwrap_or(defaults.select),
            policies,
            tolerance: tolerance.map(Quantity::as_f64),
        })
    }

    /// The longest period of the policies. Source: as above, horizontal.go, `getLongestPolicyPeriod`.
    #[must_use]
    pub fn longest_period(&self) -> Millis {
        self.policies.iter().map(Policy::period).max().unwrap_or(Millis::ZERO)
    }
}

impl Policy {
    /// The period.
    #[must_use]
    pub fn period(&self) -> Millis {
        Millis::seconds(u64::from(self.period_seconds.unsigned_abs()))
    }
}

/// A quantity is a string or, in manifests, a number.
fn quantity(json: &Json) -> Result<Quantity, SpecError> {
    let text = match json {
        Json::String(text) => text.parse(),
        Json::Number(number) => number.to_string().parse(),
        other => Err(QuantityError(other.to_string())),
    };
    Ok(text?)
}

/// A quantity that is a target, in thousandths.
fn positive(field: &'static str, json: &Json) -> Result<i64, SpecError> {
    let milli = quantity(json)?.milli();
    if milli > 0 {
        Ok(milli)
    } else {
        Err(SpecError::Range { field, value: milli, least: 1, most: i64::MAX })
    }
}

fn within(field: &'static str, value: i32, least: i32, most: i32) -> Result<i32, SpecError> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        let (value, least, most) = (value.into(), least.into(), most.into());
        Err(SpecError::Range { field, value, least, most })
    }
}

fn seconds_of(field: &'static str, value: i32, least: i32, most: i32) -> Result<Millis, SpecError> {
    within(field, value, least, most).map(|seconds| Millis::seconds(u64::from(seconds.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn behavior(json: &Json) -> Result<Behavior, SpecError> {
        Behavior::from_json(json)
    }

    #[test]
    fn an_hpa_is_read_as_keda_makes_it() {
        let spec = HpaSpec::from_json(&json!({
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "agents"},
            "minReplicas": 1, "maxReplicas": 10,
            "metrics": [{"type": "External", "external": {
                "metric": {"name": "s0-azure-pipelines-7", "selector": {"matchLabels": {}}},
                "target": {"type": "AverageValue", "averageValue": "1"}}}],
        }));
        let metric = Metric { name: "s0-azure-pipelines-7".into(), target: Target::AverageValue(1000) };
        assert_eq!(spec, Ok(HpaSpec { min: 1, max: 10, metrics: vec![metric], behavior: None }));
    }

    #[test]
    fn what_the_api_server_would_refuse_is_refused() {
        let metric = |kind: &str, target: Json| {
            let external = json!({"metric": {"name": "m"}, "target": target});
            json!({"maxReplicas": 3, "metrics": [{"type": kind, "external": external}]})
        };
        for spec in [
            json!({}),
            json!({"maxReplicas": 0}),
            json!({"minReplicas": 4, "maxReplicas": 3}),
            json!({"minReplicas": 0, "maxReplicas": 3}),
            metric("Resource", json!({"averageValue": "1"})),
            metric("External", json!({})),
            metric("External", json!({"averageValue": "0"})),
            metric("External", json!({"value": "many"})),
        ] {
            assert!(HpaSpec::from_json(&spec).is_err(), "{spec}");
        }
    }

    #[test]
    fn an_empty_behavior_is_not_none() {
        let spec = |behavior: Json| HpaSpec::from_json(&json!({"maxReplicas": 3, "behavior": behavior}));
        assert_eq!(spec(json!({})).map(|spec| spec.behavior), Ok(Some(Behavior::default())));
        assert_eq!(spec(Json::Null).map(|spec| spec.behavior), Ok(None));
    }

    #[test]
    fn what_is_left_out_of_a_behavior_gets_its_default() {
        let read = behavior(&json!({"scaleDown": {"stabilizationWindowSeconds": 60, "tolerance": 0.05}}));
        let mut expected = Behavior::default();
        expected.down.window = Millis::seconds(60);
        expected.down.tolerance = Some(0.05);
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn policies_replace_the_default_ones() {
        let read = behavior(&json!({"scaleUp": {"selectPolicy": "Min", "policies": [
            {"type": "Percent", "value": 10, "periodSeconds": 60}]}}));
        let mut expected = Behavior::default();
        expected.up.select = Select::Min;
        expected.up.policies = vec![Policy { kind: PolicyKind::Percent, value: 10, period_seconds: 60 }];
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn a_behavior_outside_of_its_limits_is_refused() {
        let policy =
            |value, period| json!({"policies": [{"type": "Pods", "value": value, "periodSeconds": period}]});
        for rules in [
            json!({"stabilizationWindowSeconds": 3601}),
            json!({"stabilizationWindowSeconds": -1}),
            json!({"selectPolicy": "Most"}),
            json!({"policies": []}),
            json!({"tolerance": "-0.1"}),
            policy(0, 15),
            policy(1, 0),
            policy(1, 1801),
        ] {
            assert!(behavior(&json!({"scaleUp": rules})).is_err(), "{rules}");
        }
    }
}
