//! A pod's object as a node reads it. The rest is skipped while parsing.

use kube::api::{ApiResource, Object};
use kubelet::template::lean::LeanSpec;
use serde::{Deserialize, Serialize};

/// A pod, as far as a node cares.
pub(super) type LeanPod = Object<LeanSpec, LeanStatus>;

/// The kind of [`LeanPod`].
pub(super) fn pods() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&())
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
