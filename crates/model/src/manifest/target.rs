//! What KEDA scales, with every default filled in.

use std::collections::BTreeMap;

use super::keda::{
    self, DEFAULT_COOLDOWN_PERIOD_S, DEFAULT_INITIAL_COOLDOWN_PERIOD_S, DEFAULT_MAX_REPLICA_COUNT,
    DEFAULT_METRIC_TYPE, DEFAULT_MIN_REPLICA_COUNT, DEFAULT_POLLING_INTERVAL_S, DEFAULT_STABILIZATION_S,
    DEFAULT_STRATEGY, ScaledJob, ScaledObject,
};
use crate::event::{ScaleTarget, Trigger};

/// Which of KEDA's two ways of scaling it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaler {
    /// A workload's replicas are changed, by KEDA and by the HPA that it makes.
    ScaledObject,
    /// A Kubernetes Job is made for each job.
    ScaledJob,
}

/// A KEDA object and what it scales.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Which kind of KEDA object it is.
    pub scaler: Scaler,
    /// The KEDA object's name.
    pub name: String,
    /// The workload's kind: `Deployment`, `StatefulSet`, or `Job` for a ScaledJob.
    pub workload_kind: String,
    /// The workload's name; a ScaledJob's Jobs have names that begin with it.
    pub workload_name: String,
    /// The fewest replicas.
    pub min: u32,
    /// The most replicas.
    pub max: u32,
    /// Replicas while there is nothing to do.
    pub idle: Option<u32>,
    /// Seconds between polls.
    pub polling_interval_s: u64,
    /// Seconds from the last activity until it goes to zero; a ScaledJob has none.
    pub cooldown_s: u64,
    /// Seconds from creation until it may go to zero though it was never active.
    pub initial_cooldown_s: u64,
    /// The pods' grace period in seconds.
    grace_s: u64,
    /// The triggers.
    pub triggers: Vec<keda::Trigger>,
    /// The HPA's behavior, if one is set.
    pub behavior: Option<serde_json::Value>,
    /// The HPA's scaleDown.stabilizationWindowSeconds that applies; a ScaledJob has none.
    pub stabilization_s: u64,
    /// A ScaledJob's strategy.
    pub strategy: Option<String>,
    /// Its spec as it was written, without the pods of a ScaledJob: their environment may hold a secret.
    pub spec: serde_json::Value,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Targets {
    /// What this ScaledObject scales. `grace_s` is the workload's.
    #[must_use]
    pub fn of_scaled_object(object: &ScaledObject, grace_s: u64) -> Self {
        let spec = &object.spec;
        let config =
            spec.advanced.as_ref().and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
        let behavior =
            config.and_then(|config| config.behavior.clone()).filter(|behavior| !behavior.is_null());
        let window =
            behavior.as_ref().and_then(|behavior| behavior.pointer("/scaleDown/stabilizationWindowSeconds"));
        Self {
            scaler: Scaler::ScaledObject,
            name: object.metadata.name.clone(),
            workload_kind: spec.scale_target_ref.kind().to_owned(),
            workload_name: spec.scale_target_ref.name.clone(),
            min: spec.min_replica_count.unwrap_or(DEFAULT_MIN_REPLICA_COUNT),
            max: spec.max_replica_count.unwrap_or(DEFAULT_MAX_REPLICA_COUNT),
            idle: spec.idle_replica_count,
            polling_interval_s: seconds(spec.polling_interval, DEFAULT_POLLING_INTERVAL_S),
            cooldown_s: seconds(spec.cooldown_period, DEFAULT_COOLDOWN_PERIOD_S),
            initial_cooldown_s: seconds(spec.initial_cooldown_period, DEFAULT_INITIAL_COOLDOWN_PERIOD_S),
            grace_s,
            triggers: spec.triggers.clone(),
            stabilization_s: window.and_then(serde_json::Value::as_u64).unwrap_or(DEFAULT_STABILIZATION_S),
            behavior,
            strategy: None,
            spec: serde_json::Value::Null,
            annotations: object.metadata.annotations.clone(),
        }
    }

    /// What this ScaledJob makes.
    #[must_use]
    pub fn of_scaled_job(object: &ScaledJob) -> Self {
        let spec = &object.spec;
        let strategy = spec.scaling_strategy.as_ref().and_then(|strategy| strategy.strategy.as_deref());
        Self {
            scaler: Scaler::ScaledJob,
            name: object.metadata.name.clone(),
            workload_kind: "Job".to_owned(),
            workload_name: object.metadata.name.clone(),
            min: spec.min_replica_count.unwrap_or(DEFAULT_MIN_REPLICA_COUNT),
            max: spec.max_replica_count.unwrap_or(DEFAULT_MAX_REPLICA_COUNT),
            idle: None,
            polling_interval_s: seconds(spec.polling_interval, DEFAULT_POLLING_INTERVAL_S),
            cooldown_s: 0,
            initial_cooldown_s: 0,
            grace_s: spec.job_target_ref.template.spec.grace_s(),
            triggers: spec.triggers.clone(),
            behavior: None,
            stabilization_s: 0,
            strategy: Some(strategy.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_STRATEGY).to_owned()),
            spec: serde_json::Value::Null,
            annotations: object.metadata.annotations.clone(),
        }
    }

    /// The same with the spec as it was written, for whoever has to follow it exactly.
    #[must_use]
    pub(super) fn written(mut self, document: &serde_json::Value) -> Self {
        self.spec = document.get("spec").cloned().unwrap_or_default();
        if let Some(spec) = self.spec.as_object_mut() {
            spec.remove("jobTargetRef");
        }
        self
    }

    /// From TERM to KILL in seconds, for the pods.
    #[must_use]
    pub fn grace_s(&self) -> u64 {
        self.grace_s
    }

    /// The same as an event, with the versions that took part.
    #[must_use]
    pub fn scale_target(&self, keda: &str, kubernetes: &str) -> ScaleTarget {
        let scaler = match self.scaler {
            Scaler::ScaledObject => "ScaledObject",
            Scaler::ScaledJob => "ScaledJob",
        };
        let trigger = |trigger: &keda::Trigger| Trigger {
            kind: trigger.kind.clone(),
            metadata: trigger.metadata.clone(),
            metric_type: trigger.metric_type.clone().unwrap_or_else(|| DEFAULT_METRIC_TYPE.to_owned()),
        };
        ScaleTarget {
            scaler: scaler.to_owned(),
            name: self.name.clone(),
            workload: format!("{}/{}", self.workload_kind, self.workload_name),
            min: self.min,
            max: self.max,
            idle: self.idle,
            polling_interval_s: self.polling_interval_s,
            cooldown_s: self.cooldown_s,
            grace_s: self.grace_s,
            triggers: self.triggers.iter().map(trigger).collect(),
            behavior: self.behavior.clone(),
            stabilization_s: self.stabilization_s,
            strategy: self.strategy.clone(),
            spec: self.spec.clone(),
            annotations: self.annotations.clone(),
            keda: keda.to_owned(),
            kubernetes: kubernetes.to_owned(),
        }
    }
}

fn seconds(written: Option<u32>, default: u64) -> u64 {
    written.map_or(default, u64::from)
}
