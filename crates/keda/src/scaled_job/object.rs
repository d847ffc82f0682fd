//! A ScaledJob, made ready for polls.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Millis;
use model::manifest::keda::{DEFAULT_POLLING_INTERVAL_S, ScaledJob};
use semver::Version;

use super::OperatorPanics;
use super::bounds::Bounds;
use super::combine::Calculation;
use super::counts::Pending;
use super::history::{DEFAULT_HISTORY_LIMIT, HistoryLimits};
use super::strategy::Strategy;
use crate::rules::{JobPaused, RolloutCheck, Rules, ScaledJobRules};
use crate::scaler::{AzurePipelines, Surroundings, Triggers, go_boolean};

/// Pauses a ScaledJob (K:apis/keda/v1alpha1/scaledobject_types.go, `PausedAnnotation`).
pub const PAUSED: &str = "autoscaling.keda.sh/paused";
/// Names the ScaledJob on its Jobs and their pods (scale_jobs.go, `generateJobs`).
pub const NAME_LABEL: &str = "scaledjob.keda.sh/name";
/// The generation of the ScaledJob that a Job was made from (2.14.1 and later).
pub const GENERATION: &str = "scaledjob.keda.sh/generation";
/// Labels that Jobs do not get, separated by commas (scaledjob_types.go, `ScaledJobExcludedLabelsAnnotation`).
pub const EXCLUDED_LABELS: &str = "scaledjob.keda.sh/job-excluded-labels";
/// restartPolicy of a Job whose template names none (scale_jobs.go, `generateJobs`).
pub const DEFAULT_RESTART_POLICY: &str = "OnFailure";

/// What happens to Jobs of an earlier generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rollout {
    /// They stay.
    Gradual,
    /// They are deleted, those that run too.
    Immediate {
        /// Whether each is deleted after its pods.
        foreground: bool,
    },
}

/// What polls and reconciles need of a ScaledJob, read once per version of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// P.
    pub polling_interval: Millis,
    /// The bounds, or what they do to the operator.
    pub bounds: Result<Bounds, OperatorPanics>,
    /// How triggers are combined.
    pub calculation: Calculation,
    /// How many Jobs a poll creates.
    pub strategy: Strategy,
    /// Which Jobs are pending.
    pub pending: Pending,
    /// How many finished Jobs are kept.
    pub history: HistoryLimits,
    /// What happens to Jobs of an earlier generation.
    pub rollout: Rollout,
    /// Whether it is paused.
    pub paused: bool,
    /// Whether a trigger has a metricType, which no ScaledJob may have
    /// (K:controllers/keda/scaledjob_controller.go, `reconcileScaledJob`).
    pub metric_type: bool,
}

impl Settings {
    /// Reads a ScaledJob.
    #[must_use]
    pub fn of(rules: &ScaledJobRules, object: &ScaledJob) -> Self {
        let spec = &object.spec;
        let scaling = spec.scaling_strategy.as_ref();
        let limit = |limit: Option<u32>| {
            limit.map_or(DEFAULT_HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
        };
        Self {
            polling_interval: Millis::seconds(
                spec.polling_interval.map_or(DEFAULT_POLLING_INTERVAL_S, u64::from),
            ),
            bounds: Bounds::of(rules, spec.min_replica_count, spec.max_replica_count),
            calculation: Calculation::of(scaling.and_then(|s| s.multiple_scalers_calculation.as_deref())),
            strategy: Strategy::of(rules, scaling),
            pending: Pending::of(scaling.map_or(&[], |s| &s.pending_pod_conditions)),
            history: HistoryLimits {
                successful: limit(spec.successful_jobs_history_limit),
                failed: limit(spec.failed_jobs_history_limit),
            },
            rollout: rollout(object),
            paused: paused(rules, &object.metadata.annotations),
            metric_type: spec
                .triggers
                .iter()
                .any(|t| t.metric_type.as_deref().is_some_and(|m| !m.is_empty())),
        }
    }
}

/// The rollout of a specification; the older field wins (`deletePreviousVersionScaleJobs`).
fn rollout(object: &ScaledJob) -> Rollout {
    let newer = object.spec.rollout.as_ref();
    let older = object.spec.rollout_strategy.as_deref().filter(|text| !text.is_empty());
    match older.or_else(|| newer.and_then(|rollout| rollout.strategy.as_deref())) {
        Some("gradual") => Rollout::Gradual,
        _ => Rollout::Immediate {
            foreground: newer.and_then(|r| r.propagation_policy.as_deref()) == Some("foreground"),
        },
    }
}

/// Whether the annotation pauses (`NeedToBePausedByAnnotation`): what is no truth value in Go's sense counts as true.
fn paused(rules: &ScaledJobRules, annotations: &BTreeMap<String, String>) -> bool {
    let Some(value) = annotations.get(PAUSED) else { return false };
    match rules.paused {
        JobPaused::Unknown => false,
        JobPaused::Presence => true,
        JobPaused::Value => go_boolean(value).unwrap_or(true),
    }
}

/// What every Job of a poll is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobMetadata {
    /// Its name without the five random characters.
    pub generate_name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The metadata of the Jobs of this generation (`generateJobs`). Pods get [`NAME_LABEL`] beside the template's labels.
#[must_use]
pub fn job_metadata(
    rules: &ScaledJobRules,
    keda: &Version,
    object: &ScaledJob,
    generation: u64,
) -> JobMetadata {
    let metadata = &object.metadata;
    let mut labels: BTreeMap<String, String> = [
        ("app.kubernetes.io/name", metadata.name.clone()),
        ("app.kubernetes.io/version", keda.to_string()),
        ("app.kubernetes.io/part-of", metadata.name.clone()),
        ("app.kubernetes.io/managed-by", "keda-operator".to_owned()),
        (NAME_LABEL, metadata.name.clone()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let excluded = metadata.annotations.get(EXCLUDED_LABELS).filter(|_| rules.labels_excluded);
    let excluded: Vec<&str> = excluded.map(|list| list.split(',').collect()).unwrap_or_default();
    let own = metadata.labels.iter().filter(|(key, _)| !excluded.contains(&key.as_str()));
    labels.extend(own.map(|(key, value)| (key.clone(), value.clone())));

    let mut annotations = BTreeMap::new();
    if rules.rollout == RolloutCheck::Generation {
        annotations.insert(GENERATION.to_owned(), generation.to_string());
    }
    if rules.annotations_copied {
        annotations.extend(metadata.annotations.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    JobMetadata { generate_name: format!("{}-", metadata.name), labels, annotations }
}

/// A ScaledJob as the API has it, and what its triggers refer to.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The object.
    pub object: Arc<ScaledJob>,
    /// `metadata.generation`, which grows with every change of the specification.
    pub generation: u64,
    /// What each trigger refers to, in the order of the triggers.
    pub surroundings: Arc<[Surroundings]>,
}

/// A ScaledJob as one version of KEDA understands it.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// What it was read from.
    pub source: Source,
    /// What polls and reconciles need of it.
    pub settings: Settings,
    /// Its triggers.
    pub triggers: Triggers,
    /// What Jobs are made with, beside `source.object.spec.job_target_ref`.
    pub metadata: JobMetadata,
}

impl Revision {
    /// Reads a ScaledJob.
    #[must_use]
    pub fn of(rules: &Rules, keda: &Version, source: Source) -> Self {
        let jobs = &rules.scaled_job;
        let none = Surroundings::default();
        let triggers = source.object.spec.triggers.iter().enumerate().map(|(place, trigger)| {
            let surroundings = source.surroundings.get(place).unwrap_or(&none);
            AzurePipelines::parse(&rules.scaler, trigger, surroundings).map(Arc::new)
        });
        Self {
            settings: Settings::of(jobs, &source.object),
            triggers: triggers.collect(),
            metadata: job_metadata(jobs, keda, &source.object, source.generation),
            source,
        }
    }

    /// The annotation that pauses, as it is.
    pub(super) fn pause(&self) -> &str {
        self.source.object.metadata.annotations.get(PAUSED).map_or("", String::as_str)
    }
}
