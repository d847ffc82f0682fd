//! Requests about projects, definitions, builds and pipelines, as calls.

use axum::http::Method;
use azure_devops::wire::millis_of_date;
use azure_devops::{
    BuildCall, BuildChange, BuildDetails, BuildDraft, BuildId, BuildPriority, BuildQuery, BuildReason,
    BuildStatus, BuildTime, Call, DefinitionId, DefinitionQuery, DefinitionRef, LogPart, ProjectChange,
    Refusal, TagChange, results_named,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Work, definitions, read};
use crate::query::{Query, WireEnum};
use crate::routes::{BuildPlace, BuildRoute};

/// Says what such a request asks for, or that its method is not modelled on this route.
pub(super) fn decode(
    method: &Method,
    route: &BuildRoute,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let project = || route.project.clone();
    let call = match (method.as_str(), &route.place) {
        ("GET", BuildPlace::Projects) => BuildCall::ListProjects {
            top: query.value("$top")?,
            skip: match query.value("continuationtoken")? {
                Some(next) => next,
                None => query.value("$skip")?.unwrap_or_default(),
            },
        },
        ("GET", BuildPlace::Project(name)) => BuildCall::GetProject(name.clone()),
        ("POST", BuildPlace::Projects) => BuildCall::CreateProject(project_change(body)?),
        ("PATCH", BuildPlace::Project(name)) => BuildCall::ChangeProject(name.clone(), project_change(body)?),
        ("DELETE", BuildPlace::Project(name)) => BuildCall::RemoveProject(name.clone()),
        ("GET", BuildPlace::Operation(id)) => BuildCall::GetOperation(*id),
        (_, BuildPlace::Definition(_) | BuildPlace::Definitions | BuildPlace::Revisions(_)) => {
            return definitions::decode(method, route, query, body);
        }
        ("POST", BuildPlace::Builds) => BuildCall::Queue(Box::new(build_draft(project(), query, body)?)),
        ("GET", BuildPlace::Builds) => BuildCall::list(build_query(project(), query)?),
        ("GET", BuildPlace::Build(id)) => BuildCall::Get(project(), *id),
        ("PATCH", BuildPlace::Build(id)) => match build_change(body)? {
            Some(change) => BuildCall::Change(project(), *id, change),
            None => return Ok(None),
        },
        ("PATCH", BuildPlace::Builds) => match build_changes(body)? {
            Some(changes) => BuildCall::ChangeSeveral(project(), changes),
            None => return Ok(None),
        },
        ("DELETE", BuildPlace::Build(id)) => BuildCall::Delete(project(), *id),
        ("GET", BuildPlace::Latest(definition)) => {
            let branch = query.text("branchname").map(str::to_owned);
            BuildCall::GetLatest(project(), definition_named(definition), branch)
        }
        ("GET", BuildPlace::Timeline(id, timeline)) => BuildCall::GetTimeline(project(), *id, *timeline),
        ("GET", BuildPlace::Logs(id)) => BuildCall::ListLogs(project(), *id),
        ("GET", BuildPlace::Log(id, log)) => BuildCall::ReadLog(project(), *id, log_part(*log, query)?),
        ("GET", BuildPlace::Artifacts(_)) if query.text("artifactname").is_some() => {
            let name = query.text("artifactname").unwrap_or_default();
            return Err(Refusal::NothingHere(format!("artifact {name}")));
        }
        ("GET", BuildPlace::Artifacts(id) | BuildPlace::Changes(id) | BuildPlace::WorkItems(id)) => {
            BuildCall::ListNothing(project(), *id)
        }
        (_, BuildPlace::Tags(_) | BuildPlace::Tag(..)) => return tags(method, route, body),
        ("PATCH", BuildPlace::Stage(id, stage)) => match stage_change(body)? {
            Some(StageChange::Cancel) => BuildCall::CancelStage(project(), *id, stage.clone()),
            Some(StageChange::Retry { all_jobs }) => {
                BuildCall::RetryStage(project(), *id, stage.clone(), all_jobs)
            }
            None => return Ok(None),
        },
        ("GET", BuildPlace::ResourceUsage) => BuildCall::GetResourceUsage,
        _ => return pipelines(method, route, query, body),
    };
    Ok(Some(Work::Call(Call::Build(call))))
}

fn tags(method: &Method, route: &BuildRoute, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let project = route.project.clone();
    let call = match (method.as_str(), &route.place) {
        ("GET", BuildPlace::Tags(id)) => BuildCall::ListTags(project, *id),
        ("POST", BuildPlace::Tags(id)) => BuildCall::ChangeTags(project, *id, TagChange::Add(read(body)?)),
        ("PUT", BuildPlace::Tag(id, tag)) => {
            BuildCall::ChangeTags(project, *id, TagChange::Add(vec![tag.clone()]))
        }
        ("DELETE", BuildPlace::Tag(id, tag)) => {
            BuildCall::ChangeTags(project, *id, TagChange::Remove(tag.clone()))
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(Call::Build(call))))
}

fn pipelines(
    method: &Method,
    route: &BuildRoute,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let project = route.project.clone();
    let call = match (method.as_str(), &route.place) {
        ("GET", BuildPlace::Pipelines) => BuildCall::ListDefinitions(Box::new(DefinitionQuery {
            as_pipelines: true,
            ..definition_query(project, query)?
        })),
        ("POST", BuildPlace::Pipelines) => match definitions::pipeline(project, body)? {
            Some(draft) => BuildCall::CreatePipeline(Box::new(draft)),
            None => return Ok(None),
        },
        ("GET", BuildPlace::Pipeline(id)) => BuildCall::GetPipeline(project, *id),
        ("POST", BuildPlace::Preview(id)) => BuildCall::Preview(project, *id),
        ("POST", BuildPlace::Runs(id)) => run(project, *id, body)?,
        ("GET", BuildPlace::Runs(id)) => BuildCall::ListRuns(project, *id),
        ("GET", BuildPlace::Run(pipeline, id)) => BuildCall::GetRun(project, *pipeline, *id),
        ("GET", BuildPlace::RunLogs(pipeline, id, log)) => {
            BuildCall::GetRunLogs(project, *pipeline, *id, *log)
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(Call::Build(call))))
}

pub(super) fn definition_query(project: Option<String>, query: &Query) -> Result<DefinitionQuery, Refusal> {
    let order = query.text("queryorder").or(query.text("orderby")).unwrap_or_default().to_lowercase();
    Ok(DefinitionQuery {
        project,
        top: query.value("$top")?,
        after: query.value("continuationtoken")?,
        by_name: order.starts_with("definitionname") || order.starts_with("name"),
        ..DefinitionQuery::default()
    })
}

/// A definition by its id, or by its name if it is no number.
fn definition_named(text: &str) -> DefinitionRef {
    text.parse().map_or_else(|_| DefinitionRef::Name(text.to_owned()), DefinitionRef::Id)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildBody {
    definition: Option<DefinitionBody>,
    source_branch: Option<String>,
    source_version: Option<String>,
    parameters: Option<String>,
    template_parameters: Option<Value>,
    reason: Option<BuildReason>,
    priority: Option<BuildPriority>,
    tags: Option<Vec<String>>,
    keep_forever: Option<bool>,
}

#[derive(Deserialize)]
struct DefinitionBody {
    id: Option<DefinitionId>,
    name: Option<String>,
}

fn build_draft(project: Option<String>, query: &Query, body: &[u8]) -> Result<BuildDraft, Refusal> {
    let body = if body.is_empty() { BuildBody::default() } else { read::<BuildBody>(body)? };
    let (id, name) = body.definition.map_or((None, None), |definition| (definition.id, definition.name));
    let id = id.map_or_else(|| query.value("definitionid"), |id| Ok(Some(id)))?;
    let definition = id
        .map(DefinitionRef::Id)
        .or(name.map(DefinitionRef::Name))
        .ok_or_else(|| Refusal::Invalid("The build has to name a definition.".to_owned()))?;
    let details = BuildDetails {
        source_branch: body.source_branch.filter(|branch| !branch.is_empty()).map(full_branch),
        source_version: body.source_version.filter(|version| !version.is_empty()),
        parameters: body.parameters,
        template_parameters: body.template_parameters,
        reason: body.reason.unwrap_or_default(),
        priority: body.priority,
        tags: body.tags.unwrap_or_default(),
        keep_forever: body.keep_forever.unwrap_or_default(),
        ..BuildDetails::default()
    };
    Ok(BuildDraft { project, definition, details, as_run: false })
}

/// A branch by its full name, as builds show it.
fn full_branch(branch: String) -> String {
    if branch.starts_with("refs/") { branch } else { format!("refs/heads/{branch}") }
}

fn build_query(project: Option<String>, query: &Query) -> Result<BuildQuery, Refusal> {
    let (by, ascending) = query_order(query.text("queryorder").unwrap_or_default());
    let text = |key: &str| query.text(key).map(str::to_owned);
    let time = |key: &str| query.text(key).map(|text| millis_since_1970(key, text)).transpose();
    let filter = |key: &str| query.text(key).unwrap_or_default();
    let tags = filter("tagfilters").split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(BuildQuery {
        project,
        ids: query.list::<BuildId>("buildids")?,
        definitions: query.list("definitions")?,
        queues: query.list("queues")?,
        number: text("buildnumber"),
        statuses: BuildStatus::named(filter("statusfilter")),
        results: results_named(filter("resultfilter")),
        reasons: BuildReason::named(filter("reasonfilter")),
        tags: tags.map(str::to_owned).collect(),
        requested_for: text("requestedfor"),
        branch: text("branchname").map(full_branch),
        min_time: time("mintime")?,
        max_time: time("maxtime")?,
        per_definition: query.value("maxbuildsperdefinition")?,
        top: query.value("$top")?,
        from: query.value("continuationtoken")?,
        by,
        ascending,
    })
}

/// Which time orders builds, and whether the earliest comes first. The numbers are those of
/// azure-devops-node-api, BuildInterfaces.ts, `BuildQueryOrder`.
fn query_order(text: &str) -> (BuildTime, bool) {
    match text.to_lowercase().as_str() {
        "2" | "finishtimeascending" => (BuildTime::Finished, true),
        "3" | "finishtimedescending" => (BuildTime::Finished, false),
        "5" | "queuetimeascending" => (BuildTime::Queued, true),
        "6" | "starttimedescending" => (BuildTime::Started, false),
        "7" | "starttimeascending" => (BuildTime::Started, true),
        _ => (BuildTime::Queued, false),
    }
}

fn millis_since_1970(key: &str, text: &str) -> Result<i64, Refusal> {
    millis_of_date(text)
        .ok_or_else(|| Refusal::Invalid(format!("The value '{text}' is not valid for {key}.")))
}

/// What a `PATCH` changes. Clients send the whole build back, most of it as it was; nothing if it asks for
/// something that is not modelled.
fn build_change(body: &[u8]) -> Result<Option<BuildChange>, Refusal> {
    Ok(read::<ChangeBody>(body)?.change())
}

/// What a `PATCH` of several builds changes: each names its id.
fn build_changes(body: &[u8]) -> Result<Option<Vec<(BuildId, BuildChange)>>, Refusal> {
    let change = |body: ChangeBody| {
        let id = body.id.ok_or_else(|| Refusal::Invalid("Each build has to name its id.".to_owned()))?;
        Ok(body.change().map(|change| (id, change)))
    };
    let changes = read::<Vec<ChangeBody>>(body)?.into_iter().map(change);
    Ok(changes.collect::<Result<Vec<_>, _>>()?.into_iter().collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeBody {
    id: Option<BuildId>,
    status: Option<Value>,
    keep_forever: Option<bool>,
    build_number: Option<String>,
}

impl ChangeBody {
    fn change(self) -> Option<BuildChange> {
        // `none` and `all` are statuses, too, and change nothing.
        let status = self.status.and_then(|status| serde_json::from_value::<BuildStatus>(status).ok());
        let change = BuildChange {
            cancel: status == Some(BuildStatus::Cancelling),
            keep_forever: self.keep_forever,
            number: self.build_number,
        };
        (change != BuildChange::default()).then_some(change)
    }
}

/// What is done to a stage (azure-devops-node-api 17.0.1, BuildInterfaces, `StageUpdateType`).
#[derive(Debug, Clone, Copy)]
enum StageChange {
    Cancel,
    Retry { all_jobs: bool },
}

/// What is done to a stage; nothing if that is not modelled.
fn stage_change(body: &[u8]) -> Result<Option<StageChange>, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct StageBody {
        state: WireEnum,
        force_retry_all_jobs: Option<bool>,
    }
    let body: StageBody = read(body)?;
    let retry = StageChange::Retry { all_jobs: body.force_retry_all_jobs.unwrap_or_default() };
    let changes = [(0, "cancel", Some(StageChange::Cancel)), (1, "retry", Some(retry)), (2, "run", None)];
    body.state.of("state", &changes)
}

/// The same, with a log as a list of its lines.
pub(crate) fn with_json(work: Work) -> Work {
    match work {
        Work::Call(Call::Build(BuildCall::ReadLog(project, id, part))) => {
            let part = LogPart { as_json: true, ..part };
            Work::Call(Call::Build(BuildCall::ReadLog(project, id, part)))
        }
        other => other,
    }
}

/// The same, with logs as an archive; nothing if there is none of what is asked for.
pub(crate) fn with_zip(work: Work) -> Option<Work> {
    let call = match work {
        Work::Call(Call::Build(BuildCall::ReadLog(project, id, part))) => {
            BuildCall::ReadArchive(project, id, Some(part))
        }
        Work::Call(Call::Build(BuildCall::ListLogs(project, id))) => {
            BuildCall::ReadArchive(project, id, None)
        }
        _ => return None,
    };
    Some(Work::Call(call.into()))
}

/// Whether the answer, if there is one, is an archive.
pub(crate) fn is_zip(call: &Call) -> bool {
    matches!(call, Call::Build(BuildCall::ReadArchive(..)))
}

/// Whether the answer, if there is one, is plain text.
pub(crate) fn is_text(call: &Call) -> bool {
    matches!(call, Call::Build(BuildCall::ReadLog(_, _, part)) if !part.as_json)
}

fn log_part(log: u64, query: &Query) -> Result<LogPart, Refusal> {
    let (start, end) = (query.value("startline")?, query.value("endline")?);
    Ok(LogPart { log, start, end, as_json: false })
}

/// A project that is made or changed. What it is to have beside that is not looked at.
fn project_change(body: &[u8]) -> Result<ProjectChange, Refusal> {
    #[derive(Deserialize)]
    struct ProjectBody {
        name: Option<String>,
        description: Option<String>,
        visibility: Option<WireEnum>,
    }
    let body: ProjectBody = read(body)?;
    let public = body.visibility.map(|visibility| visibility.of("visibility", &VISIBILITIES)).transpose()?;
    Ok(ProjectChange { name: body.name, description: body.description, public })
}

/// Who can see a project (azure-devops-node-api 17.0.1, CoreInterfaces, `ProjectVisibility`).
const VISIBILITIES: [(u64, &str, bool); 2] = [(0, "private", false), (2, "public", true)];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RunBody {
    resources: Option<Value>,
    template_parameters: Option<Value>,
    variables: Option<Value>,
    stages_to_skip: Option<Vec<String>>,
    preview_run: Option<bool>,
}

fn run(project: Option<String>, pipeline: DefinitionId, body: &[u8]) -> Result<BuildCall, Refusal> {
    let body = if body.is_empty() { RunBody::default() } else { read::<RunBody>(body)? };
    if body.preview_run == Some(true) {
        return Ok(BuildCall::Preview(project, pipeline));
    }
    let repository = body.resources.as_ref().map(|resources| &resources["repositories"]["self"]);
    let text = |key: &str| Some(repository?[key].as_str()?.to_owned());
    let details = BuildDetails {
        source_branch: text("refName").map(full_branch),
        source_version: text("version"),
        template_parameters: body.template_parameters,
        variables: body.variables,
        stages_to_skip: body.stages_to_skip.unwrap_or_default(),
        ..BuildDetails::default()
    };
    let definition = DefinitionRef::Id(pipeline);
    Ok(BuildCall::Queue(Box::new(BuildDraft { project, definition, details, as_run: true })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query, routes};

    fn decoded(method: &str, target: &str, body: &str) -> Result<Option<Work>, Refusal> {
        let method: Method = method.parse().expect("a method");
        let (path, text) = target.split_once('?').unwrap_or((target, ""));
        let route = routes::find(&method, &query::segments(path)).expect("ids").expect("a route");
        super::super::decode(&method, &route, &Query::parse(text), body.as_bytes())
    }

    fn call(method: &str, target: &str, body: &str) -> BuildCall {
        match decoded(method, target, body).expect("understood").expect("modelled") {
            Work::Call(Call::Build(call)) => call,
            other => panic!("not a call about builds: {other:?}"),
        }
    }

    #[test]
    fn a_build_is_cancelled_by_name_or_number_or_by_the_whole_build() {
        for body in [
            r#"{"status":"cancelling","id":5}"#,
            r#"{"status":4}"#,
            r#"{"status":"Cancelling","id":5,"definition":{"id":1},"keepForever":false,"tags":[]}"#,
        ] {
            let call = call("PATCH", "P/_apis/build/builds/5", body);
            assert!(
                matches!(call, BuildCall::Change(Some(project), BuildId(5), BuildChange { cancel: true, .. }) if project == "P"),
                "{body}"
            );
        }
        let kept = call("PATCH", "P/_apis/build/builds/5", r#"{"keepForever":true,"status":"inProgress"}"#);
        assert!(matches!(
            kept,
            BuildCall::Change(_, _, BuildChange { cancel: false, keep_forever: Some(true), .. })
        ));
        assert!(matches!(decoded("PATCH", "P/_apis/build/builds/5", r#"{"quality":"x"}"#), Ok(None)));
    }

    #[test]
    fn a_build_names_its_definition_by_id_or_name() {
        let draft = |body: &str| match call("POST", "P/_apis/build/builds", body) {
            BuildCall::Queue(draft) => *draft,
            other => panic!("{other:?}"),
        };
        let by_id =
            draft(r#"{"definition":{"id":4},"sourceBranch":"x","priority":1,"reason":"pullRequest"}"#);
        assert_eq!(by_id.definition, DefinitionRef::Id(DefinitionId(4)));
        assert_eq!(by_id.details.source_branch.as_deref(), Some("refs/heads/x"));
        assert_eq!(
            (by_id.details.priority, by_id.details.reason),
            (Some(BuildPriority::High), BuildReason::PullRequest)
        );
        let by_name = draft(r#"{"definition":{"name":"ci"}}"#);
        assert_eq!(by_name.definition, DefinitionRef::Name("ci".to_owned()));
        assert!(matches!(decoded("POST", "P/_apis/build/builds", "{}"), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn a_list_of_builds_is_filtered_by_words_and_by_numbers() {
        let query = |text: &str| match call("GET", &format!("_apis/build/builds?{text}"), "") {
            BuildCall::List(query) => *query,
            other => panic!("{other:?}"),
        };
        for text in ["statusFilter=inProgress&resultFilter=failed", "statusFilter=1&resultFilter=8"] {
            let query = query(text);
            assert_eq!(
                (query.statuses, query.results),
                (vec![BuildStatus::InProgress], vec!["failed".to_owned()])
            );
        }
        assert_eq!(query("statusFilter=all").statuses, []);
        let ordered =
            query("queryOrder=finishTimeAscending&$top=20&continuationToken=7&minTime=1970-01-01T00:00:01Z");
        assert_eq!((ordered.by, ordered.ascending), (BuildTime::Finished, true));
        assert_eq!((ordered.top, ordered.from, ordered.min_time), (Some(20), Some(BuildId(7)), Some(1_000)));
        assert!(matches!(decoded("GET", "_apis/build/builds?minTime=soon", ""), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn a_run_tells_its_branch_and_which_stages_to_leave_out() {
        let body =
            r#"{"resources":{"repositories":{"self":{"refName":"refs/heads/x"}}},"stagesToSkip":["b"]}"#;
        let BuildCall::Queue(draft) = call("POST", "P/_apis/pipelines/3/runs", body) else { panic!("a run") };
        assert_eq!(draft.details.source_branch.as_deref(), Some("refs/heads/x"));
        assert_eq!((draft.details.stages_to_skip, draft.as_run), (vec!["b".to_owned()], true));
        let preview = call("POST", "P/_apis/pipelines/3/runs", r#"{"previewRun":true}"#);
        assert!(matches!(preview, BuildCall::Preview(_, DefinitionId(3))));
    }

    #[test]
    fn several_builds_are_changed_at_once_and_each_names_its_id() {
        let body = r#"[{"id":5,"status":"cancelling"},{"id":6,"keepForever":true,"tags":[]}]"#;
        let BuildCall::ChangeSeveral(_, changes) = call("PATCH", "P/_apis/build/builds", body) else {
            panic!("no changes")
        };
        let told = changes.iter().map(|(id, change)| (id.0, change.cancel, change.keep_forever));
        assert_eq!(told.collect::<Vec<_>>(), [(5, true, None), (6, false, Some(true))]);
        let patch = |body: &str| decoded("PATCH", "P/_apis/build/builds", body);
        assert!(matches!(patch(r#"[{"status":"cancelling"}]"#), Err(Refusal::Invalid(_))));
        assert!(matches!(patch(r#"[{"id":5,"keepForever":true},{"id":6,"quality":"x"}]"#), Ok(None)));
    }

    #[test]
    fn projects_are_made_changed_and_taken_away() {
        for visibility in ["2", "\"Public\""] {
            let body =
                format!(r#"{{"name":"p","description":"d","visibility":{visibility},"capabilities":{{}}}}"#);
            let BuildCall::CreateProject(draft) = call("POST", "_apis/projects", &body) else {
                panic!("no project")
            };
            assert_eq!((draft.name.as_deref(), draft.public), (Some("p"), Some(true)));
        }
        let change = call("PATCH", "_apis/projects/p", r#"{"description":"other"}"#);
        assert!(
            matches!(change, BuildCall::ChangeProject(name, ProjectChange { name: None, .. }) if name == "p")
        );
        assert!(
            matches!(call("DELETE", "_apis/projects/p", ""), BuildCall::RemoveProject(name) if name == "p")
        );
        assert!(matches!(decoded("POST", "_apis/projects", r#"{"visibility":7}"#), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn a_stage_is_cancelled_or_retried_by_name_or_number() {
        let path = "P/_apis/build/builds/5/stages/Build";
        for body in [r#"{"state":"cancel"}"#, r#"{"state":0}"#] {
            let call = call("PATCH", path, body);
            assert!(matches!(call, BuildCall::CancelStage(_, BuildId(5), stage) if stage == "Build"));
        }
        for (body, expected) in
            [(r#"{"state":"Retry"}"#, false), (r#"{"state":1,"forceRetryAllJobs":true}"#, true)]
        {
            let call = call("PATCH", path, body);
            assert!(
                matches!(call, BuildCall::RetryStage(_, BuildId(5), _, all_jobs) if all_jobs == expected)
            );
        }
        assert!(matches!(decoded("PATCH", path, r#"{"state":"run"}"#), Ok(None)));
        assert!(matches!(decoded("PATCH", path, r#"{"state":"stop"}"#), Err(Refusal::Invalid(_))));
    }
}
