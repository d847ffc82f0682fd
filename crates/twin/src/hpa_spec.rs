//! The HPA that KEDA makes, as its controller takes it.

use keda::scaled_object::HpaSpec;
use keda::scaler::MetricType;

/// The HPA as its controller takes it.
pub(crate) fn translated(spec: &HpaSpec) -> Result<hpa::HpaSpec, String> {
    let signed = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    let metrics = spec.metrics.iter().map(|metric| hpa::Metric {
        name: metric.name.as_str().into(),
        target: match metric.metric_type {
            MetricType::AverageValue => hpa::Target::AverageValue(metric.target_milli),
            MetricType::Value => hpa::Target::Value(metric.target_milli),
        },
    });
    let behavior = spec.behavior.as_ref().map(hpa::Behavior::from_json).transpose();
    Ok(hpa::HpaSpec {
        min: signed(spec.min),
        max: signed(spec.max),
        metrics: metrics.collect(),
        behavior: behavior.map_err(|error| error.to_string())?,
    })
}
