//! Projects, definitions and pipelines as JSON, and a build's timeline; a build itself is in `build`.
//!
//! They are read by people and their tools, not again and again: they are made of values, member by member.

use std::collections::BTreeSet;

use model::Instant;
use model::event::JobResult;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{build_result, write};
use crate::Service;
use crate::builds::{
    Build, BuildAnswer, Earlier, KnownDefinition, LogPart, REPOSITORY_KINDS, Revision, Standing,
};
use crate::ids::{BuildId, DefinitionId};
use crate::job_requests::JobRequest;
use crate::plans::{PlanReports, Record, RecordState};
use crate::secret::without_secrets;
use crate::wire::WireResult;
use crate::zip::Archive;

/// The file that a pipeline's YAML would be in.
const YAML_PATH: &str = "azure-pipelines.yml";
/// What builds came from: nothing is ever checked out.
pub(super) const NO_VERSION: &str = "0000000000000000000000000000000000000000";

/// An object without its members that are not set: they are left out on the wire.
fn object(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        members.retain(|_, member| !member.is_null());
    }
    value
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.into_iter().collect();
    json!({ "count": items.len(), "value": items })
}

impl Service {
    pub(super) fn write_build_answer(&self, answer: &BuildAnswer, out: &mut Vec<u8>) {
        let value = match answer {
            BuildAnswer::Projects(ids) => list(ids.iter().map(|id| self.project_value(*id))),
            BuildAnswer::Project(id) => self.whole_project(*id),
            BuildAnswer::Operation { id, is_new } => self.operation_value(*id, *is_new),
            BuildAnswer::Archive(id, part) => {
                out.append(&mut self.archive(*id, *part));
                return;
            }
            BuildAnswer::Revisions(id) => list(self.revision_values(*id)),
            BuildAnswer::Timeline(id) => self.timeline_value(*id),
            BuildAnswer::Logs(id) => list(self.log_values(*id)),
            BuildAnswer::Log(id, part) => {
                let lines = self.log_lines(*id, *part);
                if !part.as_json {
                    for line in lines {
                        out.extend_from_slice(line.as_bytes());
                        out.extend_from_slice(b"\r\n");
                    }
                    return;
                }
                json!({ "count": lines.len(), "value": lines })
            }
            BuildAnswer::Texts(texts) => json!({ "count": texts.len(), "value": texts }),
            BuildAnswer::ResourceUsage => self.resource_usage(),
            BuildAnswer::Pipelines(ids) => list(ids.iter().map(|id| self.pipeline_value(*id))),
            BuildAnswer::Pipeline(id) => self.whole_pipeline(*id),
            BuildAnswer::Runs(ids) => list(ids.iter().map(|id| self.run_value(*id))),
            BuildAnswer::Run(id) => self.run_value(*id),
            BuildAnswer::Preview(id) => {
                let yaml = self.definitions.get(*id).map(|known| self.yaml(known)).unwrap_or_default();
                json!({ "finalYaml": yaml })
            }
            BuildAnswer::RunLogs(id, None) => {
                json!({ "logs": self.log_values(*id), "url": self.run_url(*id).map(|url| format!("{url}/logs")) })
            }
            BuildAnswer::RunLogs(id, Some(log)) => {
                let mut logs = self.log_values(*id).into_iter();
                logs.find(|known| known["id"] == *log).unwrap_or_default()
            }
        };
        write(out, &value);
    }

    pub(super) fn project_value(&self, id: Uuid) -> Value {
        let Some(project) = self.projects.get(id) else { return Value::Null };
        object(json!({
            "id": id, "name": project.name, "description": project.description, "url": format!("{}/_apis/projects/{id}", self.settings.url),
            "state": "wellFormed", "revision": 1, "visibility": if project.public { "public" } else { "private" },
            "lastUpdateTime": self.date(Instant::START),
        }))
    }

    fn operation_value(&self, id: Uuid, is_new: bool) -> Value {
        let url = format!("{}/_apis/operations/{id}", self.settings.url);
        let status = if is_new { "queued" } else { "succeeded" };
        let mut value = json!({ "id": id, "status": status, "url": url });
        if !is_new {
            value["_links"] = json!({ "self": { "href": url } });
        }
        value
    }

    /// Each log is a file with its number as its name; what the real service calls them is not documented.
    fn archive(&self, id: BuildId, part: Option<LogPart>) -> Vec<u8> {
        let reports = self.builds.get(id).and_then(|build| self.plan(build.plan));
        let parts: Vec<LogPart> = match part {
            Some(part) => vec![part],
            None => {
                reports.into_iter().flat_map(PlanReports::logs).map(|log| LogPart::whole(log.id)).collect()
            }
        };
        let mut archive = Archive::default();
        for part in parts {
            let mut text = Vec::new();
            for line in self.log_lines(id, part) {
                text.extend_from_slice(line.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
            archive.add(&format!("{}.txt", part.log), &text);
        }
        archive.finish()
    }

    fn whole_project(&self, id: Uuid) -> Value {
        let mut value = self.project_value(id);
        let url = &self.settings.url;
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        let team = self.named_guid("team", &id.to_string());
        value["_links"] = json!({
            "self": { "href": value["url"] },
            "collection": { "href": format!("{url}/_apis/projectCollections/{}", self.instance_id()) },
            "web": { "href": format!("{url}/{name}") },
        });
        value["defaultTeam"] = json!({
            "id": team, "name": format!("{name} Team"), "url": format!("{url}/_apis/projects/{id}/teams/{team}"),
        });
        value
    }

    fn repository(&self, project: Uuid) -> Value {
        let id = self.named_guid("repository", &project.to_string());
        json!({ "id": id, "type": "azureReposGit" })
    }

    pub(super) fn write_definition(&self, id: DefinitionId, out: &mut Vec<u8>) {
        let Some(known) = self.definitions.get(id) else { return };
        write(out, &self.definition_value(known));
    }

    fn definition_value(&self, known: &KnownDefinition) -> Value {
        let links = self.definition_reference(known).links;
        let mut value = json!({
            "path": "\\", "type": "build", "queueStatus": "enabled", "quality": "definition",
            "process": { "type": 2, "yamlFilename": YAML_PATH },
            "repository": self.build_repository(known.project_id),
            "drafts": [], "variables": {}, "properties": {}, "tags": [],
        });
        // What the service knows itself nobody can tell it otherwise.
        let told = known.told.iter().flat_map(|told| &told.members);
        told.for_each(|(name, member)| value[name] = member.clone());
        let own = json!({
            "_links": links, "url": links.this.href, "uri": format!("vstfs:///Build/Definition/{}", known.id),
            "id": known.id, "name": &*known.name, "revision": known.revision,
            "createdDate": self.date(known.changes.last().map_or(known.created, |change| change.at)),
            "authoredBy": self.requester(), "project": self.project_value(known.project_id),
            "queue": self.queue_reference(known),
        });
        if let Value::Object(own) = own {
            own.into_iter().for_each(|(name, member)| value[name] = member);
        }
        object(value)
    }

    fn revision_values(&self, id: DefinitionId) -> Vec<Value> {
        let Some(known) = self.definitions.get(id) else { return Vec::new() };
        let url = self.definition_reference(known).links.this.href;
        let value = |revision: Revision| {
            object(json!({
                "revision": revision.number, "name": &*revision.name, "changedBy": self.requester(),
                "changedDate": self.date(revision.at), "changeType": revision.kind, "comment": revision.comment,
                "definitionUrl": format!("{url}?revision={}", revision.number),
            }))
        };
        known.revisions().into_iter().map(value).collect()
    }

    pub(super) fn build_repository(&self, project: Uuid) -> Value {
        let name = self.projects.get(project).map(|project| project.name.clone());
        json!({
            "id": self.named_guid("repository", &project.to_string()), "type": "TfsGit", "name": name,
            "url": format!("{}/_git/{}", self.settings.url, name.as_deref().unwrap_or_default()),
            "defaultBranch": "refs/heads/main", "clean": null, "checkoutSubmodules": false,
        })
    }

    /// Stages and phases from what the service decides, jobs and tasks as their workers tell them.
    fn timeline_value(&self, id: BuildId) -> Value {
        let Some(build) = self.builds.get(id) else { return Value::Null };
        let url = format!("{}/_apis/build/builds/{id}/Timeline/{}", self.settings.url, build.plan);
        let changes = self.plan(build.plan).and_then(|reports| reports.timeline(build.plan));
        let changed = build.finished.or(build.started).unwrap_or(build.queued);
        json!({
            "records": self.build_records(build), "id": build.plan, "url": url, "lastChangedBy": self.instance_id(),
            "changeId": changes.map_or(1, |timeline| timeline.change_id), "lastChangedOn": self.date(changed),
        })
    }

    fn build_records(&self, build: &Build) -> Vec<Record> {
        let mut records = Vec::new();
        let stage_id = |stage: usize| self.part_id(build, "stage", stage);
        let mut reported = self.plan_records(build.plan);
        leave_out_earlier(build, &mut reported);
        for (number, name) in build.what.stages.iter().enumerate() {
            let phases = build.what.outline.stages[number].phases.clone();
            let jobs = build.requests[phases].iter().flatten();
            let standing = build.progress.stage(number);
            let mut record = self.part_record(build, jobs, standing);
            (record.id, record.kind, record.order) = (stage_id(number), "Stage".to_owned(), place(number));
            (record.name, record.identifier) = (name.to_string(), Some(name.to_string()));
            record.attempt += u64::from(build.progress.retries(number));
            records.push(record);
        }
        for (number, phase) in build.what.phases.iter().enumerate() {
            let stage = build.what.outline.phases[number].stage;
            let standing = build.progress.phase(number);
            let mut record = self.part_record(build, build.requests[number].iter(), standing);
            let identifier = format!("{}.{}", build.what.stages[stage], phase.name);
            (record.id, record.kind) = (self.part_id(build, "phase", number), "Phase".to_owned());
            (record.name, record.parent_id) = (phase.name.to_string(), Some(stage_id(stage)));
            (record.ref_name, record.identifier) = (Some(phase.name.to_string()), Some(identifier.clone()));
            record.attempt += u64::from(build.progress.retries(stage));
            let first = build.what.outline.stages[stage].phases.start;
            record.order = place(number - first);
            let id = record.id;
            records.push(record);
            let jobs = build.requests[number].iter().map(|request| self.requests.get(request)).enumerate();
            for (position, job) in jobs.filter_map(|(position, job)| Some((position, job?))) {
                let Some(known) = reported.iter_mut().find(|record| record.id == job.job_id) else {
                    continue;
                };
                let before =
                    build.earlier.iter().filter(|before| (before.phase, before.job) == (number, position));
                let attempt = |(number, before): (usize, &Earlier)| json!({ "attempt": number + 1, "timelineId": build.plan, "recordId": before.job_id });
                known.previous_attempts = before.enumerate().map(attempt).collect();
                known.attempt += known.previous_attempts.len() as u64;
                known.parent_id = Some(id);
                known.order.get_or_insert(position as i64 + 1);
                known
                    .identifier
                    .get_or_insert_with(|| format!("{identifier}.{}", leg(job, phase.jobs.len())));
            }
        }
        records.append(&mut reported);
        records
    }

    fn part_id(&self, build: &Build, kind: &str, number: usize) -> Uuid {
        self.named_guid(kind, &format!("{}/{number}", build.plan))
    }

    /// What is told of a stage or a phase: it begins with its first job and ends with its last.
    fn part_record<'a>(
        &self,
        build: &Build,
        jobs: impl Iterator<Item = &'a crate::ids::RequestId>,
        standing: Standing,
    ) -> Record {
        let jobs: Vec<&JobRequest> = jobs.filter_map(|id| self.requests.get(id)).collect();
        let received = |job: &&JobRequest| Some(job.reserved()?.received?.0);
        let started = jobs.iter().filter_map(received).min();
        let finished = jobs.iter().filter_map(|job| job.finished_at()).max().or(build.finished);
        let result = standing.result();
        let state = match (result, started) {
            (Some(_), _) => RecordState::Completed,
            (None, Some(_)) => RecordState::InProgress,
            (None, None) => RecordState::Pending,
        };
        let issues = build.failure.as_ref().map(|problem| json!({ "type": "error", "message": problem }));
        Record {
            state,
            result: result
                .map(|result| if build.failure.is_some() { JobResult::Failed } else { result })
                .map(WireResult),
            start_time: started.map(|started| self.date(started)),
            finish_time: finished.filter(|_| result.is_some()).map(|finished| self.date(finished)),
            error_count: issues.iter().count() as u64,
            issues: issues.into_iter().collect(),
            attempt: 1,
            change_id: 1,
            ..Record::default()
        }
    }

    fn log_values(&self, id: BuildId) -> Vec<Value> {
        let Some(build) = self.builds.get(id) else { return Vec::new() };
        let Some(reports) = self.plan(build.plan) else { return Vec::new() };
        let url = self.owner_reference(build, self.definitions.get(build.definition)).links.this.href;
        let value = |log: &crate::plans::Log| {
            json!({
                "id": log.id, "type": "Container", "url": format!("{url}/logs/{}", log.id),
                "lineCount": log.lines().count(), "createdOn": log.created, "lastChangedOn": log.changed,
            })
        };
        reports.logs().map(value).collect()
    }

    fn log_lines(&self, id: BuildId, part: LogPart) -> Vec<&str> {
        let reports = self.builds.get(id).and_then(|build| self.plan(build.plan));
        let lines = reports.and_then(|reports| reports.log_lines(part.log)).unwrap_or_default();
        let start = part.start.unwrap_or(1).max(1) - 1;
        let count = part.end.map_or(u64::MAX, |end| end.saturating_sub(start));
        let (start, count) = (start.try_into().unwrap_or(usize::MAX), count.try_into().unwrap_or(usize::MAX));
        lines.into_iter().skip(start).take(count).collect()
    }

    fn resource_usage(&self) -> Value {
        let running = self.requests.values().filter(|job| job.result().is_none() && job.reserved().is_some());
        json!({
            "distributedTaskAgents": self.pools.values().map(|pool| pool.agents.len()).sum::<usize>(), "paidPrivateAgentSlots": 0,
            "totalUsage": running.count(), "xamlControllers": 0,
        })
    }

    fn pipeline_url(&self, known: &KnownDefinition) -> String {
        let (url, project) = (&self.settings.url, known.project_id);
        format!("{url}/{project}/_apis/pipelines/{}", known.id)
    }

    fn pipeline_value(&self, id: DefinitionId) -> Value {
        let Some(known) = self.definitions.get(id) else { return Value::Null };
        let url = format!("{}?revision={}", self.pipeline_url(known), known.revision);
        let web = self.definition_reference(known).links.web;
        json!({
            "_links": { "self": { "href": url }, "web": web }, "url": url,
            "id": id, "revision": known.revision, "name": &*known.name, "folder": known.path(),
        })
    }

    fn whole_pipeline(&self, id: DefinitionId) -> Value {
        let mut value = self.pipeline_value(id);
        let Some(known) = self.definitions.get(id) else { return value };
        let told = |member: &str| known.told.as_ref().and_then(|told| told.members.get(member));
        let repository = told("repository").filter(|repository| repository["id"].is_string());
        let repository = repository.map_or_else(
            || self.repository(known.project_id),
            |told| json!({ "id": told["id"], "type": told["type"].as_str().map(repository_kind) }),
        );
        let path = told("process").and_then(|process| process["yamlFilename"].as_str()).unwrap_or(YAML_PATH);
        value["configuration"] = json!({ "type": "yaml", "path": path, "repository": repository });
        value
    }

    fn run_url(&self, id: BuildId) -> Option<String> {
        let known = self.definitions.get(self.builds.get(id)?.definition)?;
        Some(format!("{}/runs/{id}", self.pipeline_url(known)))
    }

    fn run_value(&self, id: BuildId) -> Value {
        let found =
            self.builds.get(id).and_then(|build| Some((build, self.definitions.get(build.definition)?)));
        let Some((build, known)) = found else { return Value::Null };
        let (details, url) = (&build.details, self.run_url(id));
        let web = self.owner_reference(build, Some(known)).links.web;
        let pipeline = self.pipeline_value(known.id);
        let links = json!({
            "self": { "href": url }, "web": web,
            "pipeline.web": pipeline["_links"]["web"], "pipeline": { "href": pipeline["url"] },
        });
        let state = match (build.finished, build.cancelling) {
            (Some(_), _) => "completed",
            (None, true) => "canceling",
            (None, false) => "inProgress",
        };
        let repository = json!({
            "repository": self.repository(known.project_id), "refName": build.branch(),
            "version": details.source_version.as_deref().unwrap_or(NO_VERSION),
        });
        object(json!({
            "_links": links, "url": url, "pipeline": pipeline, "id": id, "name": self.build_number(build),
            "templateParameters": details.template_parameters.clone().unwrap_or_else(|| json!({})),
            "variables": details.variables.as_ref().map(without_secrets), "state": state, "result": build.result().map(run_result),
            "createdDate": self.date(build.queued), "finishedDate": build.finished.map(|at| self.date(at)),
            "resources": { "repositories": { "self": repository } },
        }))
    }

    /// The definition as pipeline YAML.
    fn yaml(&self, known: &KnownDefinition) -> String {
        let mut yaml = "stages:\n".to_owned();
        let names = |names: Vec<&str>| format!("[{}]", names.join(", "));
        for (number, stage) in known.what.outline.stages.iter().enumerate() {
            let before = stage.depends_on.iter().map(|stage| &*known.what.stages[*stage]).collect();
            yaml +=
                &format!("- stage: {}\n  dependsOn: {}\n  jobs:\n", known.what.stages[number], names(before));
            for place in stage.phases.clone() {
                let (phase, shape) = (&known.what.phases[place], &known.what.outline.phases[place]);
                let before = shape.depends_on.iter().map(|phase| &*known.what.phases[*phase].name).collect();
                yaml += &format!("  - job: {}\n    dependsOn: {}\n", phase.name, names(before));
                if let Some(timeout) = phase.timeout {
                    yaml += &format!("    timeoutInMinutes: {}\n", timeout.0 / 60_000);
                }
                if phase.jobs.len() > 1 {
                    yaml += &format!("    strategy:\n      parallel: {}\n", phase.jobs.len());
                }
                let pool = self.pools.get(&phase.pool).map(|pool| pool.name.as_str()).unwrap_or_default();
                yaml += &format!("    pool:\n      name: {pool}\n      demands:\n");
                for demand in phase.jobs.iter().take(1).flat_map(|job| job.demands.texts()) {
                    yaml += &format!("      - {demand}\n");
                }
            }
        }
        yaml
    }
}

/// Leaves out what was told of jobs of former attempts, with their tasks.
fn leave_out_earlier(build: &Build, records: &mut Vec<Record>) {
    let mut gone: BTreeSet<Uuid> = build.earlier.iter().filter_map(|earlier| earlier.job_id).collect();
    let mut count = records.len() + 1;
    while !gone.is_empty() && records.len() < count {
        count = records.len();
        let is_gone = |record: &Record| {
            gone.contains(&record.id) || record.parent_id.is_some_and(|parent| gone.contains(&parent))
        };
        let more: Vec<Uuid> =
            records.iter().filter(|record| is_gone(record)).map(|record| record.id).collect();
        records.retain(|record| !is_gone(record));
        gone.extend(more);
    }
}

/// How pipelines name the kind of a repository that definitions name.
fn repository_kind(kind: &str) -> &str {
    let known = REPOSITORY_KINDS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(kind));
    known.map_or("unknown", |(_, name, _)| name)
}

/// A place in a list, as records count them.
fn place(number: usize) -> Option<i64> {
    i64::try_from(number + 1).ok()
}

/// What a job of a phase is called beside its phase; `__default` if it is the only one.
pub(super) fn leg(job: &JobRequest, jobs_of_phase: usize) -> String {
    if jobs_of_phase == 1 { "__default".to_owned() } else { job.name.to_lowercase().replace(' ', "_") }
}

/// How the wire names a run's result.
fn run_result(result: JobResult) -> &'static str {
    match build_result(result) {
        "partiallySucceeded" => "succeeded",
        other => other,
    }
}
