//! KEDA's kinds, with the defaults that KEDA fills in when it reads them.
//!
//! Sources are KEDA 2.21.0 (`K:`) and Kubernetes 1.35.4 (`k8s:`). Read from manifests and from a cluster's API alike: unknown fields are
//! refused in manifests, where they are slips, and passed over elsewhere.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::kubernetes::{JobSpec, Metadata};

/// The API version of KEDA's kinds, in every version since 2.0.
pub const API_VERSION: &str = "keda.sh/v1alpha1";
/// The type of the triggers that this project is about.
pub const AZURE_PIPELINES: &str = "azure-pipelines";

/// pollingInterval (K:apis/keda/v1alpha1/withtriggers_types.go, `defaultPollingInterval`).
pub const DEFAULT_POLLING_INTERVAL_S: u64 = 30;
/// cooldownPeriod (K:pkg/scaling/executor/scale_executor.go, `defaultCooldownPeriod`).
pub const DEFAULT_COOLDOWN_PERIOD_S: u64 = 300;
/// initialCooldownPeriod (K:pkg/scaling/executor/scale_executor.go, `defaultInitialCooldownPeriod`).
pub const DEFAULT_INITIAL_COOLDOWN_PERIOD_S: u64 = 0;
/// minReplicaCount. For the HPA it is 1 (K:apis/keda/v1alpha1/scaledobject_types.go, `defaultHPAMinReplicas`),
/// for a ScaledJob 0 (scaledjob_types.go, `defaultScaledJobMinReplicaCount`).
pub const DEFAULT_MIN_REPLICA_COUNT: u32 = 0;
/// maxReplicaCount (scaledobject_types.go, `defaultHPAMaxReplicas`; scaledjob_types.go, `defaultScaledJobMaxReplicaCount`).
pub const DEFAULT_MAX_REPLICA_COUNT: u32 = 100;
/// metricType of a trigger (K:pkg/scalers/scaler.go, `GetMetricTargetType`).
pub const DEFAULT_METRIC_TYPE: &str = "AverageValue";
/// scalingStrategy.strategy (K:pkg/scaling/executor/scale_jobs.go, `NewScalingStrategy`).
pub const DEFAULT_STRATEGY: &str = "default";
/// What a scaleTargetRef means without a kind (K:controllers/keda/scaledobject_controller.go, through
/// `ParseGVKR` in K:apis/keda/v1alpha1/gvkr.go).
pub const DEFAULT_TARGET_KIND: &str = "Deployment";
/// scaleDown.stabilizationWindowSeconds of an HPA, from `--horizontal-pod-autoscaler-downscale-stabilization`
/// (k8s:pkg/controller/podautoscaler/config/v1alpha1/defaults.go).
pub const DEFAULT_STABILIZATION_S: u64 = 300;

/// A ScaledObject.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ScaledObject {
    /// Metadata.
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: ScaledObjectSpec,
}

/// What a ScaledObject asks for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct ScaledObjectSpec {
    /// What is scaled.
    pub scale_target_ref: ScaleTargetReference,
    /// Seconds between polls.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub polling_interval: Option<u32>,
    /// Seconds from creation until it may go to zero though it was never active.
    #[serde(default)]
    pub initial_cooldown_period: Option<u32>,
    /// Seconds from the last activity until it goes to zero.
    #[serde(default)]
    pub cooldown_period: Option<u32>,
    /// Replicas while there is nothing to do.
    #[serde(default)]
    pub idle_replica_count: Option<u32>,
    /// The fewest replicas.
    #[serde(default)]
    pub min_replica_count: Option<u32>,
    /// The most replicas.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_replica_count: Option<u32>,
    /// How the HPA behaves.
    #[serde(default)]
    pub advanced: Option<Advanced>,
    /// What it is scaled by.
    #[schemars(length(min = 1))]
    pub triggers: Vec<Trigger>,
    /// Replicas while a trigger fails.
    #[serde(default)]
    pub fallback: Option<Json>,
}

/// What a ScaledObject scales.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct ScaleTargetReference {
    /// The workload's name.
    pub name: String,
    /// Its API version.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Its kind.
    #[serde(default)]
    pub kind: Option<String>,
    /// The container whose environment `...FromEnv` means.
    #[serde(default)]
    pub env_source_container_name: Option<String>,
}

impl ScaleTargetReference {
    /// The workload's kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or(DEFAULT_TARGET_KIND)
    }
}

/// How the HPA behaves.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct Advanced {
    /// The HPA that KEDA makes.
    #[serde(default)]
    pub horizontal_pod_autoscaler_config: Option<AutoscalerConfig>,
    /// Whether deleting the ScaledObject brings the replicas back that it found.
    #[serde(default)]
    pub restore_to_original_replica_count: Option<bool>,
    /// A formula over the triggers.
    #[serde(default)]
    pub scaling_modifiers: Option<Json>,
}

/// The HPA that KEDA makes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct AutoscalerConfig {
    /// Passed on to the HPA as it is.
    #[serde(default)]
    pub behavior: Option<Json>,
    /// The HPA's name.
    #[serde(default)]
    pub name: Option<String>,
}

/// A ScaledJob.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct ScaledJob {
    /// Metadata.
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: ScaledJobSpec,
}

/// What a ScaledJob asks for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct ScaledJobSpec {
    /// The Jobs that it makes.
    pub job_target_ref: JobSpec,
    /// Seconds between polls.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub polling_interval: Option<u32>,
    /// How many succeeded Jobs are kept.
    #[serde(default)]
    pub successful_jobs_history_limit: Option<u32>,
    /// How many failed Jobs are kept.
    #[serde(default)]
    pub failed_jobs_history_limit: Option<u32>,
    /// What a change does to running Jobs; the older name of `rollout.strategy`.
    #[serde(default)]
    #[schemars(extend("enum" = ["gradual", "immediate", null]))]
    pub rollout_strategy: Option<String>,
    /// What a change does to running Jobs.
    #[serde(default)]
    pub rollout: Option<Rollout>,
    /// The container whose environment `...FromEnv` means.
    #[serde(default)]
    pub env_source_container_name: Option<String>,
    /// The fewest unfinished Jobs.
    #[serde(default)]
    pub min_replica_count: Option<u32>,
    /// The most unfinished Jobs.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_replica_count: Option<u32>,
    /// How many Jobs a poll makes.
    #[serde(default)]
    pub scaling_strategy: Option<ScalingStrategy>,
    /// What it is scaled by.
    #[schemars(length(min = 1))]
    pub triggers: Vec<Trigger>,
}

/// What a change does to running Jobs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct Rollout {
    /// `gradual` or `immediate`.
    #[serde(default)]
    #[schemars(extend("enum" = ["gradual", "immediate", null]))]
    pub strategy: Option<String>,
    /// `foreground` or `background`.
    #[serde(default)]
    #[schemars(extend("enum" = ["foreground", "background", null]))]
    pub propagation_policy: Option<String>,
}

/// How many Jobs a poll makes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct ScalingStrategy {
    /// `default`, `custom`, `accurate` or `eager`.
    #[serde(default)]
    #[schemars(extend("enum" = ["default", "custom", "accurate", "eager", null]))]
    pub strategy: Option<String>,
    /// What `custom` takes off the queue.
    #[serde(default)]
    pub custom_scaling_queue_length_deduction: Option<i32>,
    /// How much of the running Jobs `custom` takes off.
    #[serde(default)]
    pub custom_scaling_running_job_percentage: Option<String>,
    /// What a pod must be not to count as pending.
    #[serde(default)]
    pub pending_pod_conditions: Vec<String>,
    /// `min`, `avg`, `sum` or `max`.
    #[serde(default)]
    #[schemars(extend("enum" = ["min", "avg", "sum", "max", null]))]
    pub multiple_scalers_calculation: Option<String>,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct Trigger {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name, for formulas.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether the HPA is answered from the last poll.
    #[serde(default)]
    pub use_cached_metrics: Option<bool>,
    /// Its settings; every one a text.
    pub metadata: BTreeMap<String, String>,
    /// How it authenticates.
    #[serde(default)]
    pub authentication_ref: Option<AuthenticationReference>,
    /// `AverageValue` or `Value`.
    #[serde(default)]
    #[schemars(extend("enum" = ["AverageValue", "Value", null]))]
    pub metric_type: Option<String>,
}

impl Trigger {
    /// A setting, trimmed; an empty one counts as absent (K:pkg/scalers/scalersconfig/typed_config.go).
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }
}

/// How a trigger authenticates.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct AuthenticationReference {
    /// The object's name.
    pub name: String,
    /// `TriggerAuthentication` or `ClusterTriggerAuthentication`.
    #[serde(default)]
    #[schemars(extend("enum" = ["TriggerAuthentication", "ClusterTriggerAuthentication", null]))]
    pub kind: Option<String>,
}

/// A TriggerAuthentication.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct TriggerAuthentication {
    /// Metadata.
    pub metadata: Metadata,
    /// Where the parameters stand.
    pub spec: TriggerAuthenticationSpec,
}

/// Where a trigger's parameters stand.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("additionalProperties" = false))]
pub struct TriggerAuthenticationSpec {
    /// The pod's own identity.
    #[serde(default)]
    pub pod_identity: Option<Json>,
    /// In Secrets.
    #[serde(default)]
    pub secret_target_ref: Vec<ParameterReference>,
    /// In ConfigMaps.
    #[serde(default)]
    pub config_map_target_ref: Vec<ParameterReference>,
    /// In the workload's environment.
    #[serde(default)]
    pub env: Vec<Json>,
    /// In a file.
    #[serde(default)]
    pub file_path: Option<String>,
    /// In HashiCorp Vault.
    #[serde(default)]
    pub hashi_corp_vault: Option<Json>,
    /// In Azure Key Vault.
    #[serde(default)]
    pub azure_key_vault: Option<Json>,
    /// In Google's Secret Manager.
    #[serde(default)]
    pub gcp_secret_manager: Option<Json>,
    /// In Amazon's Secrets Manager.
    #[serde(default)]
    pub aws_secret_manager: Option<Json>,
    /// A service account's token.
    #[serde(default)]
    pub bound_service_account_token: Option<Json>,
    /// OAuth 2.
    #[serde(default, rename = "oauth2")]
    pub oauth2: Option<Json>,
    /// A service principal (KEDA 2.21 and later).
    #[serde(default)]
    pub azure_service_principal: Option<Json>,
}

/// A parameter that stands in a Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct ParameterReference {
    /// The parameter.
    pub parameter: String,
    /// The object's name.
    pub name: String,
    /// The key in it.
    pub key: String,
}
