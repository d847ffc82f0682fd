//! What of a pod's object a node reads. The rest is skipped while parsing.

use std::collections::BTreeMap;

use kube::api::{ApiResource, Object};
use serde::{Deserialize, Serialize};

/// A pod, as far as a node cares.
pub(super) type LeanPod = Object<LeanSpec, LeanStatus>;

/// The kind of [`LeanPod`].
pub(super) fn pods() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&())
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LeanSpec {
    pub(super) node_name: String,
    pub(super) hostname: Option<String>,
    pub(super) restart_policy: String,
    pub(super) termination_grace_period_seconds: Option<u64>,
    pub(super) share_process_namespace: Option<bool>,
    pub(super) service_account_name: Option<String>,
    pub(super) init_containers: Vec<LeanContainer>,
    pub(super) containers: Vec<LeanContainer>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LeanStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<LeanCondition>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LeanCondition {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LeanContainer {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<Variable>,
    pub(super) env_from: Vec<VariablesFrom>,
    pub(super) resources: Resources,
    pub(super) restart_policy: Option<String>,
    pub(super) lifecycle: Option<Lifecycle>,
    pub(super) readiness_probe: Option<Probe>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    pub(super) limits: BTreeMap<String, String>,
    pub(super) requests: BTreeMap<String, String>,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) value_from: Option<ValueFrom>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ValueFrom {
    pub(super) secret_key_ref: Option<KeyRef>,
    pub(super) config_map_key_ref: Option<KeyRef>,
    pub(super) field_ref: Option<FieldRef>,
    pub(super) resource_field_ref: Option<ResourceFieldRef>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeyRef {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FieldRef {
    pub(super) field_path: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ResourceFieldRef {
    pub(super) container_name: String,
    pub(super) resource: String,
    pub(super) divisor: String,
}

/// All entries of a Secret or ConfigMap as variables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct VariablesFrom {
    pub(super) prefix: String,
    pub(super) secret_ref: Option<ObjectRef>,
    pub(super) config_map_ref: Option<ObjectRef>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ObjectRef {
    pub(super) name: String,
    pub(super) optional: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Lifecycle {
    pub(super) pre_stop: Option<Hook>,
}

/// What runs before a container is told to stop. `tcpSocket` has been without effect for years.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hook {
    pub(super) exec: Option<Exec>,
    pub(super) sleep: Option<Sleep>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Exec {
    pub(super) command: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sleep {
    pub(super) seconds: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Probe {
    pub(super) exec: Option<Exec>,
    pub(super) initial_delay_seconds: Option<u64>,
    pub(super) period_seconds: Option<u64>,
    pub(super) success_threshold: Option<u32>,
    pub(super) failure_threshold: Option<u32>,
}
