//! What a run needs to know of Kubernetes' own kinds. Fields that are not here
//! are applied all the same.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Pod's terminationGracePeriodSeconds (k8s:api/core/v1/types.go, `DefaultTerminationGracePeriodSeconds`).
pub const DEFAULT_GRACE_S: u64 = 30;
/// Deployment's and StatefulSet's replicas (k8s:pkg/apis/apps/v1/defaults.go).
pub const DEFAULT_REPLICAS: u32 = 1;
/// Job's backoffLimit (k8s:pkg/apis/batch/v1/defaults.go).
pub const DEFAULT_BACKOFF_LIMIT: u32 = 6;

/// Any object.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Any {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Metadata.
    pub metadata: Metadata,
}

/// An object's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// A Deployment.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Metadata.
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: WorkloadSpec,
}

/// A StatefulSet.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct StatefulSet {
    /// Metadata.
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: WorkloadSpec,
}

/// What a Deployment or a StatefulSet asks for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct WorkloadSpec {
    /// Replicas, until something scales it.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Its pods.
    pub template: PodTemplate,
}

/// What a Job asks for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// Pods at once.
    #[serde(default)]
    pub parallelism: Option<u32>,
    /// Pods that must succeed.
    #[serde(default)]
    pub completions: Option<u32>,
    /// Failures before the Job fails.
    #[serde(default)]
    pub backoff_limit: Option<u32>,
    /// The longest it may run.
    #[serde(default)]
    pub active_deadline_seconds: Option<u64>,
    /// How long it is kept once finished.
    #[serde(default)]
    pub ttl_seconds_after_finished: Option<u64>,
    /// Its pod.
    pub template: PodTemplate,
}

/// The pods of a workload.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
pub struct PodTemplate {
    /// What they ask for.
    pub spec: PodSpec,
}

/// What a pod asks for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// Its containers.
    #[schemars(length(min = 1))]
    pub containers: Vec<Container>,
    /// From TERM to KILL.
    #[serde(default)]
    pub termination_grace_period_seconds: Option<u64>,
    /// `Always`, `OnFailure` or `Never`.
    #[serde(default)]
    #[schemars(extend("enum" = ["Always", "OnFailure", "Never", null]))]
    pub restart_policy: Option<String>,
}

impl PodSpec {
    /// From TERM to KILL in seconds, with Kubernetes' default.
    #[must_use]
    pub fn grace_s(&self) -> u64 {
        self.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_S)
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    #[serde(default)]
    pub image: Option<String>,
    /// Its environment, variable by variable.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// Its environment, from whole objects.
    #[serde(default)]
    pub env_from: Vec<EnvironmentSource>,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: Option<String>,
    /// Where its value stands.
    #[serde(default)]
    pub value_from: Option<VariableSource>,
}

/// Where a variable's value stands.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariableSource {
    /// In a Secret.
    #[serde(default)]
    pub secret_key_ref: Option<KeyReference>,
    /// In a ConfigMap.
    #[serde(default)]
    pub config_map_key_ref: Option<KeyReference>,
}

/// A key of a Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct KeyReference {
    /// The object's name.
    pub name: String,
    /// The key.
    pub key: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: Option<bool>,
}

/// An object whose every key becomes a variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSource {
    /// What each variable's name begins with.
    #[serde(default)]
    pub prefix: Option<String>,
    /// A Secret.
    #[serde(default)]
    pub secret_ref: Option<ObjectReference>,
    /// A ConfigMap.
    #[serde(default)]
    pub config_map_ref: Option<ObjectReference>,
}

/// A Secret or a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ObjectReference {
    /// The object's name.
    pub name: String,
    /// Whether it may be missing.
    #[serde(default)]
    pub optional: Option<bool>,
}

/// A Secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Metadata.
    pub metadata: Metadata,
    /// Values in base64.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// Values as they are.
    #[serde(default)]
    pub string_data: BTreeMap<String, String>,
}

/// A ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: Metadata,
    /// Values.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
}
