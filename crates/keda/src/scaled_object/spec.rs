//! A ScaledObject as it was written, read for one version of KEDA.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Millis;
use model::manifest::keda::{
    AZURE_PIPELINES, DEFAULT_COOLDOWN_PERIOD_S, DEFAULT_INITIAL_COOLDOWN_PERIOD_S, DEFAULT_MAX_REPLICA_COUNT,
    DEFAULT_POLLING_INTERVAL_S, ScaledObject as Manifest,
};
use serde::Deserialize;
use serde_json::Value as Json;

use super::decide::Policy;
use crate::rules::{Paused, PausedReplicas, Rules};
use crate::scaler::{AzurePipelines, Surroundings, Triggers, go_boolean};

/// Pauses at the present replicas.
pub const PAUSED: &str = "autoscaling.keda.sh/paused";
/// Pauses at a number of replicas.
pub const PAUSED_REPLICAS: &str = "autoscaling.keda.sh/paused-replicas";
/// Pauses scaling in.
pub const PAUSED_SCALE_IN: &str = "autoscaling.keda.sh/paused-scale-in";
/// Pauses scaling out.
pub const PAUSED_SCALE_OUT: &str = "autoscaling.keda.sh/paused-scale-out";
/// Makes it active whatever the triggers say.
pub const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";

/// A ScaledObject that cannot be modelled, or that the API would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A field is wrong.
    #[error("ScaledObject/{object}: {field}: {problem}")]
    Field {
        /// The object's name.
        object: String,
        /// The field's path.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A field is right, but not modelled.
    #[error("ScaledObject/{object}: {field} is not modelled: {problem}")]
    NotModelled {
        /// The object's name.
        object: String,
        /// The field's path.
        field: String,
        /// What is not modelled.
        problem: String,
    },
}

/// What the operator does while a trigger fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FallbackSpec {
    /// Failures in a row past which it falls back.
    pub failure_threshold: u32,
    /// Replicas to fall back to.
    pub replicas: u32,
    /// How they relate to those at present (from 2.17).
    #[serde(default)]
    pub behavior: FallbackBehavior,
}

/// How the fallback's replicas relate to those at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FallbackBehavior {
    /// As they are given.
    #[default]
    Static,
    /// Those at present.
    CurrentReplicas,
    /// Those at present if they are more.
    CurrentReplicasIfHigher,
    /// Those at present if they are fewer.
    CurrentReplicasIfLower,
    /// For formulas (from 2.20).
    ScalingModifiers,
}

/// A ScaledObject, read.
#[derive(Debug, Clone)]
pub struct Spec {
    source: Arc<(Manifest, Vec<Surroundings>)>,
    /// pollingInterval.
    pub polling_interval: Millis,
    /// What polls go by.
    pub policy: Policy,
    /// maxReplicaCount.
    pub max: u32,
    /// What to do while triggers fail.
    pub fallback: Option<FallbackSpec>,
    /// Passed on to the HPA.
    pub behavior: Option<Json>,
    /// The HPA's name.
    pub hpa_name: String,
    /// Whether deletion restores the replicas that KEDA found.
    pub restore: bool,
    /// The triggers, in order or with the scaler's error.
    pub triggers: Triggers,
    /// Which triggers have `useCachedMetrics`.
    pub cached: Vec<bool>,
}

impl Spec {
    /// Reads a ScaledObject. `surroundings` are those of each trigger, in their order.
    ///
    /// # Errors
    /// A field that the API or KEDA would refuse to decode, or that is not modelled, by its path.
    /// Settings that the scaler refuses are no error here: KEDA retries them for ever.
    pub fn read(
        rules: &Rules,
        manifest: Manifest,
        surroundings: Vec<Surroundings>,
    ) -> Result<Self, SpecError> {
        let spec = &manifest.spec;
        let advanced = spec.advanced.as_ref();
        if advanced.is_some_and(|advanced| advanced.scaling_modifiers.is_some()) {
            return Err(not_modelled(
                &manifest,
                "spec.advanced.scalingModifiers",
                "formulas are not computed",
            ));
        }
        for (index, trigger) in spec.triggers.iter().enumerate() {
            if trigger.kind != AZURE_PIPELINES {
                let field = format!("spec.triggers[{index}].type");
                return Err(not_modelled(&manifest, &field, &format!("only {AZURE_PIPELINES} is")));
            }
        }
        let config = advanced.and_then(|advanced| advanced.horizontal_pod_autoscaler_config.as_ref());
        let behavior =
            config.and_then(|config| config.behavior.clone()).filter(|behavior| !behavior.is_null());
        check_behavior(&manifest, behavior.as_ref())?;
        let fallback = fallback(rules, &manifest)?;
        let policy = policy(rules, &manifest, fallback.as_ref())?;
        let seconds = |value: Option<u32>, default| Millis::seconds(value.map_or(default, u64::from));
        let name = config.and_then(|config| config.name.clone()).filter(|name| !name.is_empty());
        let nothing = Surroundings::default();
        let triggers = spec.triggers.iter().enumerate().map(|(index, trigger)| {
            let surroundings = surroundings.get(index).unwrap_or(&nothing);
            AzurePipelines::parse(&rules.scaler, trigger, surroundings).map(Arc::new)
        });
        Ok(Self {
            polling_interval: seconds(spec.polling_interval, DEFAULT_POLLING_INTERVAL_S),
            policy,
            max: spec.max_replica_count.unwrap_or(DEFAULT_MAX_REPLICA_COUNT),
            fallback,
            behavior,
            hpa_name: name.unwrap_or_else(|| format!("keda-hpa-{}", manifest.metadata.name)),
            restore: advanced
                .and_then(|advanced| advanced.restore_to_original_replica_count)
                .unwrap_or(false),
            triggers: triggers.collect(),
            cached: spec.triggers.iter().map(|trigger| trigger.use_cached_metrics.unwrap_or(false)).collect(),
            source: Arc::new((manifest, surroundings)),
        })
    }

    /// The same for another version.
    #[must_use]
    pub fn reread(&self, rules: &Rules) -> Self {
        let (manifest, surroundings) = (*self.source).clone();
        // What cannot be read cannot be read in any version, so this was never that.
        Self::read(rules, manifest, surroundings).unwrap_or_else(|_| self.clone())
    }

    /// The object as it was written.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.source.0
    }

    /// Whether the HPA's reads can stand for polls
    /// (K:apis/keda/v1alpha1/scaledobject_types.go, `UsesHPAObservations`, 2.21).
    #[must_use]
    pub fn uses_hpa_observations(&self) -> bool {
        self.policy.min > 0 && self.policy.idle.is_none() && !self.cached.contains(&true)
    }

    /// What is wrong with the bounds (same file, `CheckReplicaCountBoundsAreValid`): a minimum
    /// that is written, if only as 0, counts as 1 at least.
    pub(super) fn wrong_bounds(&self) -> Option<String> {
        let min = self.manifest().spec.min_replica_count.map_or(0, |min| min.max(1));
        if min > self.max {
            return Some(format!("MinReplicaCount={min} must be less than MaxReplicaCount={}", self.max));
        }
        let idle = self.policy.idle.filter(|idle| *idle >= min)?;
        Some(format!("IdleReplicaCount={idle} must be less than MinReplicaCount={min}"))
    }

    /// `kind` as it stands in the status, and the target's name.
    pub(super) fn target(&self) -> (&str, &str) {
        let reference = &self.manifest().spec.scale_target_ref;
        (reference.kind(), &reference.name)
    }
}

fn wrong(manifest: &Manifest, field: &str, problem: &dyn ToString) -> SpecError {
    let object = manifest.metadata.name.clone();
    SpecError::Field { object, field: field.to_owned(), problem: problem.to_string() }
}

fn not_modelled(manifest: &Manifest, field: &str, problem: &str) -> SpecError {
    let object = manifest.metadata.name.clone();
    SpecError::NotModelled { object, field: field.to_owned(), problem: problem.to_owned() }
}

fn check_behavior(manifest: &Manifest, behavior: Option<&Json>) -> Result<(), SpecError> {
    const FIELD: &str = "spec.advanced.horizontalPodAutoscalerConfig.behavior";
    let Some(behavior) = behavior else { return Ok(()) };
    let Some(directions) = behavior.as_object() else {
        return Err(wrong(manifest, FIELD, &"must be an object"));
    };
    for (direction, rules) in directions {
        let field = format!("{FIELD}.{direction}");
        if !matches!(direction.as_str(), "scaleUp" | "scaleDown") {
            return Err(wrong(manifest, &field, &"is not known: `scaleUp` and `scaleDown` are"));
        }
        if !rules.is_object() && !rules.is_null() {
            return Err(wrong(manifest, &field, &"must be an object"));
        }
    }
    Ok(())
}

fn fallback(rules: &Rules, manifest: &Manifest) -> Result<Option<FallbackSpec>, SpecError> {
    let Some(json) = manifest.spec.fallback.as_ref().filter(|json| !json.is_null()) else { return Ok(None) };
    let mut fallback =
        FallbackSpec::deserialize(json).map_err(|error| wrong(manifest, "spec.fallback", &error))?;
    if !rules.scaled_object.fallback_behavior {
        fallback.behavior = FallbackBehavior::Static;
    }
    if fallback.behavior == FallbackBehavior::ScalingModifiers {
        return Err(not_modelled(manifest, "spec.fallback.behavior", "scalingModifiers belongs to formulas"));
    }
    Ok(Some(fallback))
}

fn policy(rules: &Rules, manifest: &Manifest, fallback: Option<&FallbackSpec>) -> Result<Policy, SpecError> {
    let spec = &manifest.spec;
    let annotations = &manifest.metadata.annotations;
    let rules = &rules.scaled_object;
    let seconds = |value: Option<u32>, default| Millis::seconds(value.map_or(default, u64::from));
    let paused_replicas = annotations.get(PAUSED_REPLICAS).map(|text| {
        let field = format!("metadata.annotations.{PAUSED_REPLICAS}");
        text.parse().map_err(|_| wrong(manifest, &field, &format!("{text:?} is no number of replicas")))
    });
    let paused_replicas = paused_replicas.transpose()?;
    let paused = paused_replicas.is_some()
        || match rules.paused {
            Paused::Unknown => false,
            Paused::Presence => annotations.contains_key(PAUSED),
            Paused::Value => is_true(annotations, PAUSED),
        };
    let initial = seconds(spec.initial_cooldown_period, DEFAULT_INITIAL_COOLDOWN_PERIOD_S);
    Ok(Policy {
        min: spec.min_replica_count.unwrap_or(0),
        idle: spec.idle_replica_count,
        cooldown: seconds(spec.cooldown_period, DEFAULT_COOLDOWN_PERIOD_S),
        initial_cooldown: if rules.initial_cooldown { initial } else { Millis::ZERO },
        fallback: fallback.map(|fallback| fallback.replicas),
        paused,
        paused_replicas,
        scale_in_paused: rules.partial_pause && is_true(annotations, PAUSED_SCALE_IN),
        scale_out_paused: rules.partial_pause && is_true(annotations, PAUSED_SCALE_OUT),
        forced: rules.partial_pause && is_true(annotations, FORCE_ACTIVATION),
    })
}

/// What is no truth value counts as true (scaledobject_types.go, `getBoolAnnotation`).
fn is_true(annotations: &BTreeMap<String, String>, name: &str) -> bool {
    annotations.get(name).is_some_and(|text| go_boolean(text).unwrap_or(true))
}

impl Spec {
    /// Whether the reconciler pauses it; in 2.9 and 2.10 the loop does, and goes on.
    pub(super) fn paused_by_reconciler(&self, rules: &Rules) -> bool {
        self.policy.paused && rules.scaled_object.paused_replicas != PausedReplicas::Loop
    }
}

#[cfg(test)]
mod tests;
