//! What of a pod's specification a node reads. The rest is skipped while parsing.
//!
//! The members are the API's own; see its reference for what they mean.

#![allow(missing_docs, reason = "the API's reference documents its members")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::quantity::Quantity;

/// A pod's specification.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeanSpec {
    pub node_name: String,
    pub hostname: Option<String>,
    pub restart_policy: String,
    pub termination_grace_period_seconds: Option<u64>,
    pub share_process_namespace: Option<bool>,
    pub service_account_name: Option<String>,
    pub init_containers: Vec<LeanContainer>,
    pub containers: Vec<LeanContainer>,
}

/// A container's specification.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeanContainer {
    pub name: String,
    pub image: String,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub env_from: Vec<VariablesFrom>,
    pub resources: Resources,
    pub restart_policy: Option<String>,
    pub lifecycle: Option<Lifecycle>,
    pub readiness_probe: Option<Probe>,
}

/// What a container asks for, and what it gets at the most.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub limits: BTreeMap<String, Quantity>,
    pub requests: BTreeMap<String, Quantity>,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Variable {
    pub name: String,
    pub value: String,
    pub value_from: Option<ValueFrom>,
}

/// Where a variable's value comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueFrom {
    pub secret_key_ref: Option<KeyRef>,
    pub config_map_key_ref: Option<KeyRef>,
    pub field_ref: Option<FieldRef>,
    pub resource_field_ref: Option<ResourceFieldRef>,
}

/// An entry of a Secret or ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRef {
    pub name: String,
    pub key: String,
    pub optional: bool,
}

/// A field of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldRef {
    pub field_path: String,
}

/// A container's request or limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceFieldRef {
    pub container_name: String,
    pub resource: String,
    /// As it is written; without one, the API server says `0`, which counts as one.
    #[serde(deserialize_with = "divisor")]
    pub divisor: String,
}

/// All entries of a Secret or ConfigMap as variables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VariablesFrom {
    pub prefix: String,
    pub secret_ref: Option<ObjectRef>,
    pub config_map_ref: Option<ObjectRef>,
}

/// A Secret or ConfigMap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectRef {
    pub name: String,
    pub optional: bool,
}

/// What runs at turns of a container's life.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    pub pre_stop: Option<Hook>,
}

/// What runs before a container is told to stop. `tcpSocket` has been without effect for years.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hook {
    pub exec: Option<Exec>,
    pub sleep: Option<Sleep>,
}

/// A command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Exec {
    pub command: Vec<String>,
}

/// A pause.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sleep {
    pub seconds: u64,
}

/// A probe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Probe {
    pub exec: Option<Exec>,
    pub initial_delay_seconds: Option<u64>,
    pub period_seconds: Option<u64>,
    pub success_threshold: Option<u32>,
    pub failure_threshold: Option<u32>,
}

/// A quantity that is not set is written as `0` (k8s.io/apimachinery, `pkg/api/resource/quantity.go`).
fn divisor<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let divisor = Quantity::deserialize(deserializer)?;
    Ok(if divisor.as_str() == "0m" { String::new() } else { divisor.as_str().to_owned() })
}
