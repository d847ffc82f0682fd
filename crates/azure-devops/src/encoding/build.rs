//! A build as JSON.
//!
//! Whoever queues builds is answered with each of them, so unlike what is in `builds` it is written without a value
//! in between, which would take three times as long as everything else about the request. Its members are in the order
//! of their names, as there.

use model::Instant;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use super::builds::NO_VERSION;
use super::objects::{Link, QueueReference};
use super::{build_result, build_uri, write};
use crate::Service;
use crate::builds::{Build, BuildPriority, BuildReason, BuildStatus, KnownDefinition};
use crate::ids::{BuildId, DefinitionId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildObject<'a> {
    #[serde(rename = "_links")]
    links: BuildLinks,
    append_commit_message_to_run_name: bool,
    build_number: String,
    build_number_revision: BuildId,
    definition: DefinitionMember<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_time: Option<String>,
    id: BuildId,
    keep_forever: bool,
    last_changed_by: &'a Identity,
    last_changed_date: String,
    logs: LogsMember,
    orchestration_plan: PlanMember,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a str>,
    plans: [PlanMember; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<BuildPriority>,
    project: &'a Value,
    properties: NoMembers,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueReference<'a>>,
    queue_time: String,
    reason: BuildReason,
    repository: Value,
    requested_by: &'a Identity,
    requested_for: &'a Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    retained_by_release: bool,
    source_branch: &'a str,
    source_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    status: BuildStatus,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    template_parameters: Option<&'a Value>,
    trigger_info: NoMembers,
    uri: String,
    url: &'a str,
    validation_results: Vec<Problem<'a>>,
}

#[derive(Serialize)]
struct BuildLinks {
    #[serde(rename = "self")]
    this: Link,
    timeline: Link,
    web: Link,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DefinitionMember<'a> {
    drafts: [NoMembers; 0],
    id: DefinitionId,
    name: &'a str,
    path: &'a str,
    project: &'a Value,
    queue_status: &'static str,
    revision: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    uri: String,
    url: String,
}

/// Who queues builds, and changes them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    #[serde(rename = "_links")]
    links: IdentityLinks,
    descriptor: &'static str,
    display_name: &'static str,
    id: Uuid,
    image_url: String,
    unique_name: &'static str,
    url: String,
}

#[derive(Serialize)]
struct IdentityLinks {
    avatar: Link,
}

#[derive(Serialize)]
struct LogsMember {
    id: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanMember {
    plan_id: Uuid,
}

#[derive(Serialize)]
struct Problem<'a> {
    message: &'a str,
    result: &'static str,
}

/// An object without members.
struct NoMembers;

impl Serialize for NoMembers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(std::iter::empty::<(&str, &str)>())
    }
}

impl Service {
    pub(super) fn write_build(&self, id: BuildId, out: &mut Vec<u8>) {
        let found =
            self.builds.get(id).and_then(|build| Some((build, self.definitions.get(build.definition)?)));
        let Some((build, definition)) = found else { return };
        self.write_known_build(build, definition, out);
    }

    fn write_known_build(&self, build: &Build, definition: &KnownDefinition, out: &mut Vec<u8>) {
        let owner = self.owner_reference(build, Some(definition)).links;
        let url = owner.this.href.clone();
        let (details, requester) = (&build.details, self.requester());
        let project = self.project_value(definition.project_id);
        let plan = PlanMember { plan_id: build.plan };
        let date = |instant: Instant| self.date(instant);
        let problems = build.failure.iter().map(|message| Problem { message, result: "error" });
        let object = BuildObject {
            links: BuildLinks {
                timeline: Link { href: format!("{url}/Timeline") },
                this: owner.this,
                web: owner.web,
            },
            append_commit_message_to_run_name: true,
            build_number: self.build_number(build),
            build_number_revision: build.id,
            definition: self.definition_member(definition, &project),
            finish_time: build.finished.map(date),
            id: build.id,
            keep_forever: details.keep_forever,
            last_changed_by: &requester,
            last_changed_date: date(build.finished.or(build.started).unwrap_or(build.queued)),
            logs: LogsMember { id: 0, kind: "Container", url: format!("{url}/logs") },
            orchestration_plan: plan,
            parameters: details.parameters.as_deref(),
            plans: [plan],
            priority: details.priority,
            project: &project,
            properties: NoMembers,
            queue: self.queue_reference(definition),
            queue_time: date(build.queued),
            reason: details.reason,
            repository: self.build_repository(definition.project_id),
            requested_by: &requester,
            requested_for: &requester,
            result: build.result().map(build_result),
            retained_by_release: false,
            source_branch: build.branch(),
            source_version: details.source_version.as_deref().unwrap_or(NO_VERSION),
            start_time: build.started.map(date),
            status: build.status(),
            tags: &details.tags,
            template_parameters: details.template_parameters.as_ref().filter(|value| !value.is_null()),
            trigger_info: NoMembers,
            uri: build_uri(build.id),
            url: &url,
            validation_results: problems.collect(),
        };
        write(out, &object);
    }

    fn definition_member<'a>(
        &self,
        definition: &'a KnownDefinition,
        project: &'a Value,
    ) -> DefinitionMember<'a> {
        DefinitionMember {
            drafts: [],
            id: definition.id,
            name: &definition.name,
            path: definition.path(),
            project,
            queue_status: "enabled",
            revision: definition.revision,
            kind: "build",
            uri: format!("vstfs:///Build/Definition/{}", definition.id),
            url: self.definition_reference(definition).links.this.href,
        }
    }

    /// Who queues builds, and changes them.
    pub(super) fn requester(&self) -> Identity {
        let (url, id) = (&self.settings.url, self.instance_id());
        let image = format!("{url}/_apis/GraphProfile/MemberAvatars/aad.poolproof");
        Identity {
            links: IdentityLinks { avatar: Link { href: image.clone() } },
            descriptor: "aad.poolproof",
            display_name: "Poolproof",
            id,
            image_url: image,
            unique_name: "poolproof",
            url: format!("{url}/_apis/Identities/{id}"),
        }
    }
}
