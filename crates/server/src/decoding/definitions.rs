//! Requests that read, make, change and delete definitions, as calls.
//!
//! The members are those of azure-devops-node-api 17.0.1 (BuildInterfaces, `BuildDefinition`, `DesignerProcess`,
//! `Phase`). Names of phases and conditions are those of a designer's pipelines.

use std::collections::BTreeMap;

use axum::http::Method;
use azure_devops::wire::DURATION_VARIABLE;
use azure_devops::{
    BuildCall, Call, Condition, DefinitionDraft, DefinitionId, DefinitionQuery, Demand, PhaseDraft, PoolId,
    QueueId, QueueReference, REPOSITORY_KINDS, Refusal,
};
use model::Millis;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::builds::definition_query;
use super::{Work, read};
use crate::query::{Query, WireEnum};
use crate::routes::{BuildPlace, BuildRoute};

/// What is shown of a definition as it was told.
const MEMBERS: [&str; 20] = [
    "path",
    "description",
    "comment",
    "badgeEnabled",
    "buildNumberFormat",
    "dropLocation",
    "jobAuthorizationScope",
    "jobTimeoutInMinutes",
    "jobCancelTimeoutInMinutes",
    "options",
    "process",
    "processParameters",
    "properties",
    "quality",
    "queueStatus",
    "repository",
    "retentionRules",
    "tags",
    "triggers",
    "variables",
];
/// The same, where clients write numbers: member, and its words by number.
const WORDS: [(&str, &[(u64, &str)]); 3] = [
    ("quality", &[(1, "definition"), (2, "draft")]),
    ("jobAuthorizationScope", &[(1, "projectCollection"), (2, "project")]),
    ("queueStatus", &[(0, "enabled"), (1, "paused"), (2, "disabled")]),
];
/// Whether builds of a definition can be queued. A paused one takes builds and does not start them.
const QUEUE_STATUSES: [(u64, &str, Status); 3] =
    [(0, "enabled", Status::Enabled), (1, "paused", Status::Paused), (2, "disabled", Status::Disabled)];
/// The number of a designer's process.
const DESIGNER: u64 = 1;
/// The number of a process that is in a YAML file.
const YAML: u64 = 2;
/// Kinds of configurations of pipelines, and whether they are modelled (azure-devops-node-api 17.0.1,
/// PipelinesInterfaces, `ConfigurationType`).
const CONFIGURATIONS: [(u64, &str, bool); 5] = [
    (0, "unknown", false),
    (1, "yaml", true),
    (2, "designerJson", false),
    (2, "designer-json", false),
    (3, "justInTime", false),
];
/// The number of a phase's target that is an agent.
const AGENT_TARGET: u64 = 1;
/// The number of the execution options of a phase that runs on several agents at once.
const MULTIPLE_AGENTS: u64 = 2;
/// The most jobs that one phase may stand for.
const MAX_AGENTS_OF_PHASE: u32 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Enabled,
    Paused,
    Disabled,
}

pub(super) fn decode(
    method: &Method,
    route: &BuildRoute,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let project = || route.project.clone();
    // As MicrosoftDocs/vsts-rest-api-specs#273 has it.
    let in_query = || query.value::<DefinitionId>("definitionid");
    let call = match (method.as_str(), &route.place) {
        ("GET", BuildPlace::Definitions) => BuildCall::ListDefinitions(Box::new(DefinitionQuery {
            name: query.text("name").map(str::to_owned),
            ids: query.list("definitionids")?,
            ..definition_query(project(), query)?
        })),
        ("GET", BuildPlace::Definition(id)) => match query.value("revision")? {
            Some(revision) => BuildCall::GetRevision(project(), *id, revision),
            None => BuildCall::GetDefinition(project(), *id),
        },
        ("GET", BuildPlace::Revisions(id)) => BuildCall::ListRevisions(project(), *id),
        ("POST", BuildPlace::Definitions) => match draft(project(), query, body)? {
            Some(draft) => BuildCall::CreateDefinition(Box::new(draft)),
            None => return Ok(None),
        },
        ("PUT", BuildPlace::Definition(id)) => match draft(project(), query, body)? {
            Some(draft) => BuildCall::UpdateDefinition(*id, Box::new(draft)),
            None => return Ok(None),
        },
        ("DELETE", BuildPlace::Definition(id)) => BuildCall::DeleteDefinition(project(), *id),
        ("DELETE", BuildPlace::Definitions) => match in_query()? {
            Some(id) => BuildCall::DeleteDefinition(project(), id),
            None => return Ok(None),
        },
        ("PATCH", BuildPlace::Definition(id)) => match query.text("deleted") {
            Some(deleted) if deleted.eq_ignore_ascii_case("false") => {
                BuildCall::RestoreDefinition(project(), *id)
            }
            _ => return Err(Refusal::Invalid("Only deleted=false is known here: it restores.".to_owned())),
        },
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(Call::Build(call))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DefinitionBody {
    id: Option<DefinitionId>,
    revision: Option<u32>,
    name: Option<String>,
    comment: Option<String>,
    queue: Option<QueueBody>,
    queue_status: Option<WireEnum>,
    demands: Option<Vec<DemandBody>>,
    variables: Option<BTreeMap<String, VariableBody>>,
    job_timeout_in_minutes: Option<u32>,
    job_cancel_timeout_in_minutes: Option<u32>,
    process: Option<ProcessBody>,
}

#[derive(Deserialize)]
struct QueueBody {
    id: Option<QueueId>,
    name: Option<String>,
    pool: Option<PoolBody>,
}

#[derive(Deserialize)]
struct PoolBody {
    id: Option<PoolId>,
}

/// A demand is a text, or a name and perhaps a value (azure-devops-node-api 17.0.1, BuildInterfaces, `Demand`).
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum DemandBody {
    Text(String),
    Parts { name: String, value: Option<String> },
}

#[derive(Deserialize)]
struct VariableBody {
    value: Option<String>,
}

#[derive(Deserialize)]
struct ProcessBody {
    #[serde(rename = "type")]
    kind: Option<u64>,
    phases: Option<Vec<PhaseBody>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhaseBody {
    name: Option<String>,
    ref_name: Option<String>,
    condition: Option<String>,
    dependencies: Option<Vec<DependencyBody>>,
    job_timeout_in_minutes: Option<u32>,
    job_cancel_timeout_in_minutes: Option<u32>,
    target: Option<TargetBody>,
    variables: Option<BTreeMap<String, VariableBody>>,
}

#[derive(Deserialize)]
struct DependencyBody {
    scope: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetBody {
    #[serde(rename = "type")]
    kind: Option<u64>,
    demands: Option<Vec<DemandBody>>,
    queue: Option<QueueBody>,
    execution_options: Option<ExecutionBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecutionBody {
    #[serde(rename = "type")]
    kind: Option<u64>,
    max_concurrency: Option<u32>,
}

/// Reads a definition; nothing if it asks for something that is not modelled.
fn draft(project: Option<String>, query: &Query, body: &[u8]) -> Result<Option<DefinitionDraft>, Refusal> {
    let mut members: Map<String, Value> = read(body)?;
    let body: DefinitionBody = read(body)?;
    let status = body.queue_status.map(|status| status.of("queueStatus", &QUEUE_STATUSES)).transpose()?;
    let phases = body.process.filter(|process| process.kind == Some(DESIGNER)).and_then(|it| it.phases);
    let phases = phases.unwrap_or_default();
    let is_agents = |phase: &PhaseBody| {
        phase.target.as_ref().is_none_or(|target| target.kind.is_none_or(|kind| kind == AGENT_TARGET))
    };
    if status == Some(Status::Paused) || !phases.iter().all(is_agents) {
        return Ok(None);
    }
    members.retain(|name, value| MEMBERS.contains(&name.as_str()) && !value.is_null());
    for (member, words) in WORDS {
        if let Some(told) = members.get_mut(member)
            && let Some((_, word)) = words.iter().find(|(number, _)| *told == *number)
        {
            *told = Value::from(*word);
        }
    }
    Ok(Some(DefinitionDraft {
        project: project.ok_or_else(|| Refusal::Invalid("The path has to name a project.".to_owned()))?,
        id: body.id,
        revision: body.revision,
        name: body.name.unwrap_or_default(),
        queue: body.queue.map(queue),
        phases: phases.into_iter().enumerate().map(phase).collect::<Result<_, _>>()?,
        demands: demands(body.demands)?,
        duration: duration(values(&body.variables))?,
        timeout: body.job_timeout_in_minutes.map(minutes),
        cancel_timeout: body.job_cancel_timeout_in_minutes.map(minutes),
        disabled: status == Some(Status::Disabled),
        copy_of: query.value("definitiontocloneid")?,
        comment: body.comment,
        members,
    }))
}

#[derive(Deserialize)]
struct PipelineBody {
    name: Option<String>,
    folder: Option<String>,
    configuration: Option<ConfigurationBody>,
}

#[derive(Deserialize)]
struct ConfigurationBody {
    #[serde(rename = "type")]
    kind: Option<WireEnum>,
    path: Option<String>,
    repository: Option<RepositoryBody>,
}

#[derive(Deserialize)]
struct RepositoryBody {
    id: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<WireEnum>,
}

/// Reads a pipeline, which is a definition with a YAML process; nothing if its configuration is of another kind.
pub(super) fn pipeline(project: Option<String>, body: &[u8]) -> Result<Option<DefinitionDraft>, Refusal> {
    let body: PipelineBody = read(body)?;
    let missing = || Refusal::Invalid("The pipeline has to have a configuration with a type.".to_owned());
    let configuration = body.configuration.ok_or_else(missing)?;
    let kind = configuration.kind.as_ref().ok_or_else(missing)?;
    if !kind.of("configuration", &CONFIGURATIONS)? {
        return Ok(None);
    }
    let path = configuration
        .path
        .ok_or_else(|| Refusal::Invalid("The configuration has to name a path.".to_owned()))?;
    let mut members = Map::new();
    members.insert("process".to_owned(), json!({ "type": YAML, "yamlFilename": path }));
    if let Some(folder) = body.folder.filter(|folder| !folder.is_empty()) {
        members.insert("path".to_owned(), folder.into());
    }
    if let Some(repository) = configuration.repository {
        let kind = repository.kind.map(|kind| kind.of("repository", &REPOSITORY_KINDS)).transpose()?;
        let told = json!({ "id": repository.id, "name": repository.name, "type": kind });
        members.insert("repository".to_owned(), told);
    }
    let project = project.ok_or_else(|| Refusal::Invalid("The path has to name a project.".to_owned()))?;
    Ok(Some(DefinitionDraft { members, ..DefinitionDraft::new(project, body.name.unwrap_or_default()) }))
}

fn minutes(minutes: u32) -> Millis {
    Millis::minutes(minutes.into())
}

fn queue(body: QueueBody) -> QueueReference {
    QueueReference { id: body.id, name: body.name, pool: body.pool.and_then(|pool| pool.id) }
}

fn phase((number, body): (usize, PhaseBody)) -> Result<PhaseDraft, Refusal> {
    let (told, in_queue, options) =
        body.target.map_or((None, None, None), |it| (it.demands, it.queue, it.execution_options));
    let options = options.filter(|options| options.kind == Some(MULTIPLE_AGENTS));
    let jobs = options.and_then(|options| options.max_concurrency).unwrap_or(1).max(1);
    if jobs > MAX_AGENTS_OF_PHASE {
        let message = format!("A phase runs on at most {MAX_AGENTS_OF_PHASE} agents.");
        return Err(Refusal::Invalid(message));
    }
    let dependencies = body.dependencies.unwrap_or_default();
    Ok(PhaseDraft {
        name: body.name.unwrap_or_else(|| format!("Agent job {}", number + 1)),
        reference: body.ref_name,
        depends_on: dependencies.into_iter().filter_map(|before| before.scope).collect(),
        condition: condition(body.condition.as_deref().unwrap_or_default()),
        demands: demands(told)?,
        // Phases that use the definition's queue name none, or number 0.
        queue: in_queue
            .map(queue)
            .filter(|queue| queue.id != Some(QueueId(0)) && *queue != QueueReference::default()),
        jobs,
        max_parallel: None,
        duration: duration(values(&body.variables))?,
        // Zero is as the definition has it.
        timeout: body.job_timeout_in_minutes.filter(|minutes| *minutes > 0).map(minutes),
        cancel_timeout: body.job_cancel_timeout_in_minutes.filter(|minutes| *minutes > 0).map(minutes),
    })
}

/// A condition whose expression is only one of these functions; others are taken for the usual one.
fn condition(text: &str) -> Condition {
    match text.trim().trim_end_matches("()").to_lowercase().as_str() {
        "always" => Condition::Always,
        "failed" => Condition::Failed,
        "succeededorfailed" => Condition::SucceededOrFailed,
        _ => Condition::Succeeded,
    }
}

pub(super) fn demands(told: Option<Vec<DemandBody>>) -> Result<Vec<Demand>, Refusal> {
    let text = |demand: DemandBody| match demand {
        DemandBody::Text(text) => text,
        DemandBody::Parts { name, value: Some(value) } if !value.is_empty() => {
            format!("{name} -equals {value}")
        }
        DemandBody::Parts { name, .. } => name,
    };
    let read = |demand| text(demand).parse::<Demand>().map_err(|error| Refusal::Invalid(error.to_string()));
    told.unwrap_or_default().into_iter().map(read).collect()
}

/// How long jobs take, by the variable that tells an emulated agent.
pub(super) fn duration<'a>(
    mut variables: impl Iterator<Item = (&'a String, Option<&'a str>)>,
) -> Result<Option<Millis>, Refusal> {
    let told = variables.find(|(name, _)| name.eq_ignore_ascii_case(DURATION_VARIABLE));
    let millis = told.and_then(|(_, value)| value).map(|text| text.parse().map(Millis)).transpose();
    millis.map_err(|_| Refusal::Invalid(format!("The variable {DURATION_VARIABLE} has to be a number.")))
}

fn values(
    variables: &Option<BTreeMap<String, VariableBody>>,
) -> impl Iterator<Item = (&String, Option<&str>)> {
    variables.iter().flatten().map(|(name, variable)| (name, variable.value.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decoding, query, routes};

    fn decoded(method: &str, target: &str, body: &str) -> Result<Option<Work>, Refusal> {
        let method: Method = method.parse().expect("a method");
        let (path, text) = target.split_once('?').unwrap_or((target, ""));
        let route = routes::find(&method, &query::segments(path)).expect("ids").expect("a route");
        decoding::decode(&method, &route, &Query::parse(text), body.as_bytes())
    }

    fn draft(body: &str) -> DefinitionDraft {
        match decoded("POST", "P/_apis/build/definitions", body) {
            Ok(Some(Work::Call(Call::Build(BuildCall::CreateDefinition(draft))))) => *draft,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_definition_is_read_as_node_and_as_python_write_it() {
        let node = draft(
            r#"{"name":"ci","queue":{"id":3},"queueStatus":2,"quality":1,"demands":[{"name":"java","value":"17"}]}"#,
        );
        assert_eq!((node.disabled, node.members["quality"].as_str()), (true, Some("definition")));
        assert_eq!(node.demands, ["java -equals 17".parse().expect("a demand")]);
        let python = draft(
            r#"{"name":"ci","queue":{"name":"keda"},"queueStatus":"enabled","demands":["java"],"_links":{}}"#,
        );
        assert_eq!(
            (python.disabled, python.queue.and_then(|queue| queue.name).as_deref()),
            (false, Some("keda"))
        );
        assert!(!python.members.contains_key("_links"), "the service's own");
    }

    #[test]
    fn a_designer_s_process_says_what_runs_and_another_does_not() {
        let phases = r#""phases":[{"name":"Build","refName":"Job_1","target":{"type":1,"demands":["java"],
            "executionOptions":{"type":2,"maxConcurrency":3}},"variables":{"poolproof.durationMillis":{"value":"5000"}}},
            {"name":"Test","condition":"always()","dependencies":[{"event":"Completed","scope":"Job_1"}]}]"#;
        let designed = draft(&format!(r#"{{"name":"ci","process":{{"type":1,{phases}}}}}"#));
        let [build, test] = designed.phases.as_slice() else { panic!("two phases") };
        assert_eq!((build.jobs, build.duration, build.demands.len()), (3, Some(Millis::seconds(5)), 1));
        assert_eq!(
            (test.condition, test.depends_on.as_slice()),
            (Condition::Always, &["Job_1".to_owned()][..])
        );
        let yaml =
            draft(&format!(r#"{{"name":"ci","process":{{"type":2,"yamlFilename":"a.yml",{phases}}}}}"#));
        assert!(yaml.phases.is_empty());
    }

    #[test]
    fn what_is_not_modelled_of_a_definition_is_refused_by_name_and_what_is_wrong_as_wrong() {
        for body in [
            r#"{"name":"ci","queueStatus":"paused"}"#,
            r#"{"name":"ci","process":{"type":1,"phases":[{"target":{"type":2}}]}}"#,
        ] {
            assert!(matches!(decoded("POST", "P/_apis/build/definitions", body), Ok(None)), "{body}");
        }
        for body in [
            r#"{"name":"ci","queueStatus":"sometimes"}"#,
            r#"{"name":"ci","demands":["os -like x"]}"#,
            r#"{"name":"ci","variables":{"poolproof.durationMillis":{"value":"long"}}}"#,
        ] {
            assert!(
                matches!(decoded("POST", "P/_apis/build/definitions", body), Err(Refusal::Invalid(_))),
                "{body}"
            );
        }
    }

    #[test]
    fn a_pipeline_is_a_definition_with_a_yaml_file() {
        let post = |body: &str| decoded("POST", "P/_apis/pipelines", body);
        for kind in ["\"yaml\"", "1"] {
            let body = format!(
                r#"{{"name":"ci","folder":"\\a","configuration":{{"type":{kind},"path":"/x.yml",
                    "repository":{{"id":"r","type":"azureReposGit"}}}}}}"#
            );
            let Ok(Some(Work::Call(Call::Build(BuildCall::CreatePipeline(draft))))) = post(&body) else {
                panic!("no pipeline: {body}")
            };
            assert_eq!((draft.name.as_str(), draft.members["path"].as_str()), ("ci", Some("\\a")));
            assert_eq!(draft.members["process"], json!({ "type": 2, "yamlFilename": "/x.yml" }));
            assert_eq!(draft.members["repository"]["type"], "TfsGit");
        }
        let designer = r#"{"name":"ci","configuration":{"type":"designerJson"}}"#;
        assert!(matches!(post(designer), Ok(None)));
        for body in [r#"{"name":"ci"}"#, r#"{"name":"ci","configuration":{"type":"yaml"}}"#] {
            assert!(matches!(post(body), Err(Refusal::Invalid(_))), "{body}");
        }
    }

    #[test]
    fn a_definition_is_deleted_by_its_path_and_by_the_query() {
        for target in ["P/_apis/build/definitions/4", "P/_apis/build/definitions?definitionId=4"] {
            let call = decoded("DELETE", target, "");
            assert!(
                matches!(
                    call,
                    Ok(Some(Work::Call(Call::Build(BuildCall::DeleteDefinition(_, DefinitionId(4))))))
                ),
                "{target}"
            );
        }
        assert!(matches!(decoded("DELETE", "P/_apis/build/definitions", ""), Ok(None)));
        assert!(matches!(
            decoded("PATCH", "P/_apis/build/definitions/4?deleted=true", ""),
            Err(Refusal::Invalid(_))
        ));
    }
}
