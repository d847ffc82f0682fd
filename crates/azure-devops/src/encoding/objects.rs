//! The objects of the wire that only the service writes, member by member.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::event::JobResult;
use serde::Serialize;
use uuid::Uuid;

use crate::AgentVersion;
use crate::oauth::PublicKey;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolReference<'a> {
    pub(super) id: u64,
    pub(super) scope: Uuid,
    pub(super) name: &'a str,
    pub(super) is_hosted: bool,
    pub(super) pool_type: &'static str,
    pub(super) size: usize,
    pub(super) is_legacy: bool,
    pub(super) options: &'static str,
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) href: String,
}

#[derive(Serialize)]
pub(super) struct Links {
    #[serde(rename = "self")]
    pub(super) this: Link,
    pub(super) web: Link,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentReference<'a> {
    #[serde(rename = "_links")]
    pub(super) links: Links,
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) os_description: Option<&'a str>,
    pub(super) enabled: bool,
    pub(super) status: &'static str,
    pub(super) provisioning_state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_point: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentObject<'a> {
    #[serde(flatten)]
    pub(super) reference: AgentReference<'a>,
    pub(super) max_parallelism: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<AgentAuthorization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pending_update: Option<PendingUpdateObject<'a>>,
    pub(super) created_on: String,
    pub(super) status_changed_on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_capabilities: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_capabilities: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentAuthorization<'a> {
    pub(super) client_id: Uuid,
    pub(super) authorization_url: String,
    pub(super) public_key: &'a PublicKey,
}

#[derive(Serialize)]
pub(super) struct VersionObject {
    major: u32,
    minor: u32,
    patch: u32,
}

impl From<AgentVersion> for VersionObject {
    fn from(AgentVersion { major, minor, patch }: AgentVersion) -> Self {
        Self { major, minor, patch }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PendingUpdateObject<'a> {
    pub(super) request_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_version: Option<VersionObject>,
    pub(super) target_version: VersionObject,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current_state: Option<&'a str>,
}

/// OAuth's names are not camelCase.
#[derive(Serialize)]
pub(super) struct TokenObject<'a> {
    pub(super) access_token: &'a str,
    pub(super) token_type: &'static str,
    pub(super) expires_in: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionObject<'a> {
    pub(super) session_id: Uuid,
    pub(super) owner_name: &'a str,
    pub(super) agent: AgentReference<'a>,
}

#[derive(Serialize)]
pub(super) struct LinkedReference<'a> {
    #[serde(rename = "_links")]
    pub(super) links: Links,
    pub(super) id: u64,
    pub(super) name: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobRequestObject<'a> {
    pub(super) request_id: u64,
    pub(super) queue_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assign_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receive_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<JobResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) locked_until: Option<String>,
    pub(super) service_owner: &'static str,
    pub(super) host_id: Uuid,
    pub(super) scope_id: Uuid,
    pub(super) plan_type: &'a str,
    pub(super) plan_id: Uuid,
    pub(super) job_id: Uuid,
    pub(super) demands: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reserved_agent: Option<AgentReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) definition: Option<LinkedReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<LinkedReference<'a>>,
    pub(super) data: JobData,
    pub(super) pool_id: u64,
    pub(super) orchestration_id: String,
    pub(super) priority: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct JobData {
    pub(super) parallelism_tag: &'static str,
    pub(super) is_scheduled_key: &'static str,
}

#[derive(Serialize)]
pub(super) struct QueueReference<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) pool: PoolReference<'a>,
}
