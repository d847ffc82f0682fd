//! What can be asked about projects, definitions and builds, and what is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::definition::Definition;
use super::draft::DefinitionDraft;
use super::{BuildPriority, BuildReason, BuildStatus};
use crate::Refusal;
use crate::Service;
use crate::call::{Answer, Reply};
use crate::ids::{BuildId, DefinitionId};
use crate::project_changes::ProjectChange;

/// One call about projects, definitions or builds.
///
/// A project is meant by name or id; `None` is the whole organisation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum BuildCall {
    /// `GET _apis/projects`.
    ListProjects {
        /// `$top`.
        top: Option<u32>,
        /// `$skip`, or what a continuation token says.
        skip: u32,
    },
    /// `GET _apis/projects/{id or name}`.
    GetProject(String),
    /// `POST _apis/projects`.
    CreateProject(ProjectChange),
    /// `PATCH _apis/projects/{id}`.
    ChangeProject(String, ProjectChange),
    /// `DELETE _apis/projects/{id}`.
    RemoveProject(String),
    /// `GET _apis/operations/{id}`.
    GetOperation(Uuid),
    /// A control route: makes a project, or changes who can see it.
    DefineProject {
        /// Its name.
        name: String,
        /// Whether everybody can see it: its jobs then count as public ones.
        public: bool,
    },
    /// `GET build/definitions` and `GET pipelines`.
    ListDefinitions(Box<DefinitionQuery>),
    /// `GET build/definitions/{id}`.
    GetDefinition(Option<String>, DefinitionId),
    /// `GET build/definitions/{id}?revision=`: what it was in former ones is not kept.
    GetRevision(Option<String>, DefinitionId, u32),
    /// `POST build/definitions`.
    CreateDefinition(Box<DefinitionDraft>),
    /// `POST pipelines`: the same, answered in the words of that area.
    CreatePipeline(Box<DefinitionDraft>),
    /// `PUT build/definitions/{id}`.
    UpdateDefinition(DefinitionId, Box<DefinitionDraft>),
    /// `DELETE build/definitions/{id}`.
    DeleteDefinition(Option<String>, DefinitionId),
    /// `PATCH build/definitions/{id}?deleted=false`.
    RestoreDefinition(Option<String>, DefinitionId),
    /// `GET build/definitions/{id}/revisions`.
    ListRevisions(Option<String>, DefinitionId),
    /// A control route: makes a definition, or takes the place of the one with the same name.
    Define(Box<Definition>),
    /// `POST build/builds`.
    Queue(Box<BuildDraft>),
    /// `GET build/builds`.
    List(Box<BuildQuery>),
    /// `GET build/builds/{id}`.
    Get(Option<String>, BuildId),
    /// `GET build/latest/{definition}`: the latest completed build, of a branch if one is named.
    GetLatest(Option<String>, DefinitionRef, Option<String>),
    /// `PATCH build/builds/{id}`.
    Change(Option<String>, BuildId, BuildChange),
    /// `PATCH build/builds`, of several.
    ChangeSeveral(Option<String>, Vec<(BuildId, BuildChange)>),
    /// `DELETE build/builds/{id}`.
    Delete(Option<String>, BuildId),
    /// `PATCH build/builds/{id}/stages/{name}` with `cancel`.
    CancelStage(Option<String>, BuildId, String),
    /// The same with `retry`, with all jobs of the stage or those that did not succeed.
    RetryStage(Option<String>, BuildId, String, bool),
    /// `GET build/builds/{id}/timeline[/{id}]`.
    GetTimeline(Option<String>, BuildId, Option<Uuid>),
    /// `GET build/builds/{id}/logs`.
    ListLogs(Option<String>, BuildId),
    /// `GET build/builds/{id}/logs/{id}`, as text or as JSON.
    ReadLog(Option<String>, BuildId, LogPart),
    /// `GET build/builds/{id}/logs[/{id}]` as an archive: of all logs, or of a part of one.
    ReadArchive(Option<String>, BuildId, Option<LogPart>),
    /// `GET build/builds/{id}/artifacts`, `changes`, `workitems`: nothing is ever there.
    ListNothing(Option<String>, BuildId),
    /// `GET build/builds/{id}/tags`.
    ListTags(Option<String>, BuildId),
    /// `PUT` or `DELETE build/builds/{id}/tags/{tag}`, or `POST` of several.
    ChangeTags(Option<String>, BuildId, TagChange),
    /// `GET build/ResourceUsage`.
    GetResourceUsage,
    /// `GET pipelines/{id}`.
    GetPipeline(Option<String>, DefinitionId),
    /// `GET pipelines/{id}/runs`.
    ListRuns(Option<String>, DefinitionId),
    /// `GET pipelines/{id}/runs/{id}`.
    GetRun(Option<String>, DefinitionId, BuildId),
    /// `POST pipelines/{id}/preview`, or a run with `previewRun`.
    Preview(Option<String>, DefinitionId),
    /// `GET pipelines/{id}/runs/{id}/logs[/{id}]`.
    GetRunLogs(Option<String>, DefinitionId, BuildId, Option<u64>),
}

impl BuildCall {
    /// Queues a build of a definition, with nothing else said about it.
    #[must_use]
    pub fn queue(definition: DefinitionRef) -> Self {
        Self::Queue(Box::new(definition.into()))
    }

    /// Makes a definition.
    #[must_use]
    pub fn define(definition: Definition) -> Self {
        Self::Define(Box::new(definition))
    }

    /// Lists builds.
    #[must_use]
    pub fn list(query: BuildQuery) -> Self {
        Self::List(Box::new(query))
    }

    /// A build, in whatever project.
    #[must_use]
    pub fn get(build: BuildId) -> Self {
        Self::Get(None, build)
    }

    /// Cancels what is left of a build, in whatever project.
    #[must_use]
    pub fn cancel(build: BuildId) -> Self {
        Self::Change(None, build, BuildChange { cancel: true, ..BuildChange::default() })
    }

    /// Whether it may change anything; the others only look.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Self::ListProjects { .. }
            | Self::GetProject(_)
            | Self::GetOperation(_)
            | Self::ReadArchive(..)
            | Self::ListDefinitions(_)
            | Self::GetDefinition(..)
            | Self::GetRevision(..)
            | Self::ListRevisions(..)
            | Self::List(_)
            | Self::Get(..)
            | Self::GetLatest(..)
            | Self::GetTimeline(..)
            | Self::ListLogs(..)
            | Self::ReadLog(..)
            | Self::ListNothing(..)
            | Self::ListTags(..)
            | Self::GetResourceUsage
            | Self::GetPipeline(..)
            | Self::ListRuns(..)
            | Self::GetRun(..)
            | Self::Preview(..)
            | Self::GetRunLogs(..) => false,
            Self::DefineProject { .. }
            | Self::CreateProject(_)
            | Self::ChangeProject(..)
            | Self::RemoveProject(_)
            | Self::CreateDefinition(_)
            | Self::CreatePipeline(_)
            | Self::ChangeSeveral(..)
            | Self::UpdateDefinition(..)
            | Self::DeleteDefinition(..)
            | Self::RestoreDefinition(..)
            | Self::Define(_)
            | Self::Queue(_)
            | Self::Change(..)
            | Self::Delete(..)
            | Self::CancelStage(..)
            | Self::RetryStage(..)
            | Self::ChangeTags(..) => true,
        }
    }

    /// Whether a running job may make this call: it reads, queues builds, and tags them.
    #[must_use]
    pub fn is_open_to_jobs(&self) -> bool {
        !self.changes_state() || matches!(self, Self::Queue(_) | Self::ChangeTags(..))
    }
}

/// Which definition to build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefinitionRef {
    /// By id.
    Id(DefinitionId),
    /// By name, whatever the case.
    Name(String),
}

/// Which definitions to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DefinitionQuery {
    /// Only this project's.
    pub project: Option<String>,
    /// Only of this name, whatever the case; `*` at its ends stands for anything.
    pub name: Option<String>,
    /// `definitionIds`; all of them if empty.
    pub ids: Vec<DefinitionId>,
    /// `$top`.
    pub top: Option<u32>,
    /// The first of the page: what a continuation token says.
    pub after: Option<DefinitionId>,
    /// Ordered by name instead of age.
    pub by_name: bool,
    /// `GET pipelines`: in the words of that area.
    pub as_pipelines: bool,
}

/// A build that is to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildDraft {
    /// The project that was named.
    pub project: Option<String>,
    /// Of which definition.
    pub definition: DefinitionRef,
    /// What is said about it.
    pub details: BuildDetails,
    /// `POST pipelines/{id}/runs`: answered in the words of that area.
    pub as_run: bool,
}

impl From<DefinitionRef> for BuildDraft {
    fn from(definition: DefinitionRef) -> Self {
        Self { project: None, definition, details: BuildDetails::default(), as_run: false }
    }
}

/// What is said about a build, and shown again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildDetails {
    /// `sourceBranch`.
    pub source_branch: Option<String>,
    /// `sourceVersion`.
    pub source_version: Option<String>,
    /// `parameters`: JSON as a text.
    pub parameters: Option<String>,
    /// `templateParameters`.
    pub template_parameters: Option<Value>,
    /// `variables` of a run.
    pub variables: Option<Value>,
    /// `stagesToSkip` of a run.
    pub stages_to_skip: Vec<String>,
    /// `reason`.
    pub reason: BuildReason,
    /// `priority`; the definition's if it does not say.
    pub priority: Option<BuildPriority>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `keepForever`.
    pub keep_forever: bool,
    /// `buildNumber`, if it was changed.
    pub number: Option<String>,
}

/// What changes about a build; everything else stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildChange {
    /// Cancel what is left of it.
    pub cancel: bool,
    /// `keepForever`.
    pub keep_forever: Option<bool>,
    /// `buildNumber`.
    pub number: Option<String>,
}

/// How a build's tags change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagChange {
    /// These are added.
    Add(Vec<String>),
    /// This one goes.
    Remove(String),
}

/// A part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPart {
    /// The log.
    pub log: u64,
    /// `startLine`, counted from 1.
    pub start: Option<u64>,
    /// `endLine`, the last.
    pub end: Option<u64>,
    /// A list of lines in JSON instead of text.
    pub as_json: bool,
}

impl LogPart {
    /// All of a log, as text.
    #[must_use]
    pub fn whole(log: u64) -> Self {
        Self { log, start: None, end: None, as_json: false }
    }
}

/// In which order builds are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BuildTime {
    /// When they were queued.
    #[default]
    Queued,
    /// When they were started. What was not comes after everything that was.
    Started,
    /// When they ended. What has not comes after everything that has.
    Finished,
}

/// Which builds to list. Lists of wanted values mean any value if they are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildQuery {
    /// Only this project's.
    pub project: Option<String>,
    /// `buildIds`.
    pub ids: Vec<BuildId>,
    /// `definitions`.
    pub definitions: Vec<DefinitionId>,
    /// `queues`.
    pub queues: Vec<u64>,
    /// `buildNumber`; `*` at its ends stands for anything.
    pub number: Option<String>,
    /// `statusFilter`.
    pub statuses: Vec<BuildStatus>,
    /// `resultFilter`: results as the wire names them.
    pub results: Vec<String>,
    /// `reasonFilter`.
    pub reasons: Vec<BuildReason>,
    /// `tagFilters`: all of them.
    pub tags: Vec<String>,
    /// `requestedFor`: a name or a part of it.
    pub requested_for: Option<String>,
    /// `branchName`.
    pub branch: Option<String>,
    /// `minTime` of [`by`](Self::by), in milliseconds since 1970.
    pub min_time: Option<i64>,
    /// `maxTime` of [`by`](Self::by), in milliseconds since 1970.
    pub max_time: Option<i64>,
    /// `maxBuildsPerDefinition`.
    pub per_definition: Option<u32>,
    /// `$top`.
    pub top: Option<u32>,
    /// The first of the page: what a continuation token says.
    pub from: Option<BuildId>,
    /// Which time orders and bounds them.
    pub by: BuildTime,
    /// The earliest first; otherwise the latest.
    pub ascending: bool,
}

/// What is answered about projects, definitions and builds beside builds and definitions themselves.
#[derive(Debug, Clone)]
pub enum BuildAnswer {
    /// Projects.
    Projects(Vec<Uuid>),
    /// A project.
    Project(Uuid),
    /// A definition's revisions.
    Revisions(DefinitionId),
    /// A change of a project: queued if it is new, and otherwise done.
    Operation {
        /// Its id.
        id: Uuid,
        /// Whether it was asked for just now.
        is_new: bool,
    },
    /// A ZIP archive of a build's logs, or of a part of one.
    Archive(BuildId, Option<LogPart>),
    /// A build's timeline.
    Timeline(BuildId),
    /// A build's logs.
    Logs(BuildId),
    /// A part of a log.
    Log(BuildId, LogPart),
    /// A list of texts.
    Texts(Vec<String>),
    /// `ResourceUsage`.
    ResourceUsage,
    /// Pipelines.
    Pipelines(Vec<DefinitionId>),
    /// A pipeline.
    Pipeline(DefinitionId),
    /// Runs.
    Runs(Vec<BuildId>),
    /// A run.
    Run(BuildId),
    /// The pipeline's YAML.
    Preview(DefinitionId),
    /// A run's logs, or one of them.
    RunLogs(BuildId, Option<u64>),
}

impl BuildAnswer {
    /// Whether it is plain text, not JSON.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Log(_, part) if !part.as_json)
    }
}

impl Service {
    pub(crate) fn dispatch_build(&mut self, call: BuildCall) -> Result<Reply, Refusal> {
        use BuildAnswer as Told;
        let answer: Answer = match call {
            BuildCall::ListProjects { top, skip } => self.list_projects(top, skip),
            BuildCall::GetProject(name) => Told::Project(self.project_id(&name)?).into(),
            BuildCall::CreateProject(draft) => self.create_project(draft)?,
            BuildCall::ChangeProject(project, change) => self.change_project(&project, change)?,
            BuildCall::RemoveProject(project) => self.remove_project(&project)?,
            BuildCall::GetOperation(id) => self.get_operation(id)?,
            BuildCall::ReadArchive(project, id, part) => {
                let id = self.get_build(project.as_deref(), id)?.id;
                if let Some(part) = part {
                    self.read_log(None, id, part)?;
                }
                Told::Archive(id, part).into()
            }
            BuildCall::DefineProject { name, public } => self.define_project(&name, public)?,
            BuildCall::ListDefinitions(query) => self.list_definitions(&query)?,
            BuildCall::GetDefinition(project, id) => {
                Answer::Definition(self.get_definition(project.as_deref(), id)?.id)
            }
            BuildCall::GetRevision(project, id, revision) => {
                let known = self.get_definition(project.as_deref(), id)?;
                if known.revision != revision {
                    let route = format!("Revision {revision} of definition {id}");
                    return Err(Refusal::NotModelled { route });
                }
                Answer::Definition(id)
            }
            BuildCall::CreateDefinition(draft) => self.create_definition(*draft)?,
            BuildCall::CreatePipeline(draft) => match self.create_definition(*draft)? {
                Answer::Definition(id) => Told::Pipeline(id).into(),
                other => other,
            },
            BuildCall::UpdateDefinition(id, draft) => self.update_definition(id, *draft)?,
            BuildCall::DeleteDefinition(project, id) => self.delete_definition(project.as_deref(), id)?,
            BuildCall::RestoreDefinition(project, id) => self.restore_definition(project.as_deref(), id)?,
            BuildCall::ListRevisions(project, id) => self.list_revisions(project.as_deref(), id)?,
            BuildCall::Define(definition) => self.define(&definition)?,
            BuildCall::Queue(draft) => self.queue_build(*draft)?,
            BuildCall::List(query) => self.list_builds(&query)?,
            BuildCall::Get(project, id) => Answer::Build(self.get_build(project.as_deref(), id)?.id),
            BuildCall::GetLatest(project, definition, branch) => {
                self.latest_build(project.as_deref(), &definition, branch.as_deref())?
            }
            BuildCall::Change(project, id, change) => self.change_build(project.as_deref(), id, change)?,
            BuildCall::ChangeSeveral(project, changes) => self.change_builds(project.as_deref(), changes)?,
            BuildCall::Delete(project, id) => self.delete_build(project.as_deref(), id)?,
            BuildCall::CancelStage(project, id, stage) => {
                self.cancel_stage(project.as_deref(), id, &stage)?
            }
            BuildCall::RetryStage(project, id, stage, all_jobs) => {
                self.retry_stage(project.as_deref(), id, &stage, all_jobs)?
            }
            BuildCall::GetTimeline(project, id, timeline) => {
                self.get_timeline(project.as_deref(), id, timeline)?
            }
            BuildCall::ListLogs(project, id) => Told::Logs(self.get_build(project.as_deref(), id)?.id).into(),
            BuildCall::ReadLog(project, id, part) => self.read_log(project.as_deref(), id, part)?,
            BuildCall::ListNothing(project, id) => {
                self.get_build(project.as_deref(), id)?;
                Told::Texts(Vec::new()).into()
            }
            BuildCall::ListTags(project, id) => {
                Told::Texts(self.get_build(project.as_deref(), id)?.details.tags.clone()).into()
            }
            BuildCall::ChangeTags(project, id, change) => self.change_tags(project.as_deref(), id, change)?,
            BuildCall::GetResourceUsage => Told::ResourceUsage.into(),
            BuildCall::GetPipeline(project, id) => {
                Told::Pipeline(self.get_definition(project.as_deref(), id)?.id).into()
            }
            BuildCall::Preview(project, id) => {
                Told::Preview(self.get_definition(project.as_deref(), id)?.id).into()
            }
            BuildCall::ListRuns(project, id) => self.list_runs(project.as_deref(), id)?,
            BuildCall::GetRun(project, pipeline, id) => {
                Told::Run(self.get_run(project.as_deref(), pipeline, id)?.id).into()
            }
            BuildCall::GetRunLogs(project, pipeline, id, log) => {
                let build = self.get_run(project.as_deref(), pipeline, id)?.id;
                if let Some(log) = log {
                    self.read_log(None, build, LogPart { log, start: None, end: None, as_json: true })?;
                }
                Told::RunLogs(build, log).into()
            }
        };
        Ok(Reply::Answer(answer))
    }
}

impl From<BuildAnswer> for Answer {
    fn from(answer: BuildAnswer) -> Self {
        Self::OfBuilds(answer)
    }
}
