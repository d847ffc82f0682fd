//! The objects of the wire that only the service writes, member by member.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::event::JobResult;
use serde::Serialize;
use uuid::Uuid;

use crate::builds::BuildStatus;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolObject<'a> {
    pub(super) created_on: String,
    pub(super) auto_provision: bool,
    pub(super) auto_update: bool,
    pub(super) auto_size: bool,
    pub(super) properties: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) reference: PoolReference<'a>,
}

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
    pub(super) created_on: String,
    pub(super) status_changed_on: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) system_capabilities: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_capabilities: Option<&'a BTreeMap<String, String>>,
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
    pub(super) plan_type: &'static str,
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
pub(super) struct ProjectReference<'a> {
    pub(super) id: Uuid,
    pub(super) name: &'a str,
    pub(super) url: String,
    pub(super) state: &'static str,
    pub(super) visibility: &'static str,
}

#[derive(Serialize)]
pub(super) struct QueueReference<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) pool: PoolReference<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DefinitionObject<'a> {
    #[serde(rename = "_links")]
    pub(super) links: Links,
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) url: String,
    pub(super) path: &'static str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) queue_status: &'static str,
    pub(super) revision: u32,
    pub(super) project: ProjectReference<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<QueueReference<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildDefinition<'a> {
    pub(super) id: u64,
    pub(super) name: &'a str,
    pub(super) url: String,
    pub(super) path: &'static str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) queue_status: &'static str,
    pub(super) project: ProjectReference<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlanReference {
    pub(super) plan_id: Uuid,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildObject<'a> {
    #[serde(rename = "_links")]
    pub(super) links: Links,
    pub(super) id: u64,
    pub(super) build_number: String,
    pub(super) status: BuildStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<&'static str>,
    pub(super) queue_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finish_time: Option<String>,
    pub(super) last_changed_date: String,
    pub(super) url: String,
    pub(super) definition: BuildDefinition<'a>,
    pub(super) project: ProjectReference<'a>,
    pub(super) uri: String,
    pub(super) source_branch: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue: Option<QueueReference<'a>>,
    pub(super) priority: &'static str,
    pub(super) reason: &'static str,
    pub(super) orchestration_plan: PlanReference,
    pub(super) plans: [PlanReference; 1],
    pub(super) keep_forever: bool,
    pub(super) tags: [&'static str; 0],
    pub(super) validation_results: [&'static str; 0],
}
