//! The routes of projects, definitions, builds and pipelines.

use azure_devops::{BuildId, DefinitionId, Refusal};
use uuid::Uuid;

use crate::query::parse;

/// One of those routes, and the project that its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildRoute {
    /// By name or id; the whole organisation if it names none.
    pub(crate) project: Option<String>,
    pub(crate) place: BuildPlace,
}

/// What stands behind the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildPlace {
    Projects,
    Project(String),
    /// A change of a project.
    Operation(Uuid),
    Definitions,
    Definition(DefinitionId),
    Revisions(DefinitionId),
    Builds,
    Build(BuildId),
    /// The latest build of a definition, by id or name.
    Latest(String),
    Timeline(BuildId, Option<Uuid>),
    Logs(BuildId),
    Log(BuildId, u64),
    Artifacts(BuildId),
    Changes(BuildId),
    WorkItems(BuildId),
    Tags(BuildId),
    Tag(BuildId, String),
    Stage(BuildId, String),
    ResourceUsage,
    Pipelines,
    Pipeline(DefinitionId),
    Preview(DefinitionId),
    Runs(DefinitionId),
    Run(DefinitionId, BuildId),
    RunLogs(DefinitionId, BuildId, Option<u64>),
}

impl BuildRoute {
    /// Its template, for the log.
    pub(crate) fn template(&self) -> &'static str {
        match &self.place {
            BuildPlace::Projects => "_apis/projects",
            BuildPlace::Project(_) => "_apis/projects/{projectId}",
            BuildPlace::Operation(_) => "_apis/operations/{operationId}",
            BuildPlace::Definitions => "{project}/_apis/build/definitions",
            BuildPlace::Definition(_) => "{project}/_apis/build/definitions/{definitionId}",
            BuildPlace::Revisions(_) => "{project}/_apis/build/definitions/{definitionId}/revisions",
            BuildPlace::Builds => "{project}/_apis/build/builds",
            BuildPlace::Build(_) => "{project}/_apis/build/builds/{buildId}",
            BuildPlace::Latest(_) => "{project}/_apis/build/latest/{definition}",
            BuildPlace::Timeline(..) => "{project}/_apis/build/builds/{buildId}/timeline/{timelineId}",
            BuildPlace::Logs(_) => "{project}/_apis/build/builds/{buildId}/logs",
            BuildPlace::Log(..) => "{project}/_apis/build/builds/{buildId}/logs/{logId}",
            BuildPlace::Artifacts(_) => "{project}/_apis/build/builds/{buildId}/artifacts",
            BuildPlace::Changes(_) => "{project}/_apis/build/builds/{buildId}/changes",
            BuildPlace::WorkItems(_) => "{project}/_apis/build/builds/{buildId}/workitems",
            BuildPlace::Tags(_) => "{project}/_apis/build/builds/{buildId}/tags",
            BuildPlace::Tag(..) => "{project}/_apis/build/builds/{buildId}/tags/{tag}",
            BuildPlace::Stage(..) => "{project}/_apis/build/builds/{buildId}/stages/{stageRefName}",
            BuildPlace::ResourceUsage => "_apis/build/ResourceUsage",
            BuildPlace::Pipelines => "{project}/_apis/pipelines",
            BuildPlace::Pipeline(_) => "{project}/_apis/pipelines/{pipelineId}",
            BuildPlace::Preview(_) => "{project}/_apis/pipelines/{pipelineId}/preview",
            BuildPlace::Runs(_) => "{project}/_apis/pipelines/{pipelineId}/runs",
            BuildPlace::Run(..) => "{project}/_apis/pipelines/{pipelineId}/runs/{runId}",
            BuildPlace::RunLogs(..) => "{project}/_apis/pipelines/{pipelineId}/runs/{runId}/logs/{logId}",
        }
    }
}

/// The route of the segments behind `_apis`: in lower case, and as they came.
///
/// # Errors
/// If something that has to be an id is none.
pub(crate) fn find(
    project: Option<&str>,
    lower: &[&str],
    as_given: &[String],
) -> Result<Option<BuildRoute>, Refusal> {
    let last = || as_given.last().cloned().unwrap_or_default();
    let place = match lower {
        ["projects"] => BuildPlace::Projects,
        ["projects", _] => BuildPlace::Project(last()),
        ["operations", id] => BuildPlace::Operation(parse("operationId", id)?),
        ["build", "definitions"] => BuildPlace::Definitions,
        ["build", "definitions", "templates", ..] => return Ok(None),
        ["build", "definitions", id] => BuildPlace::Definition(parse("definitionId", id)?),
        ["build", "definitions", id, "revisions"] => BuildPlace::Revisions(parse("definitionId", id)?),
        ["build", "builds"] => BuildPlace::Builds,
        ["build", "builds", id, rest @ ..] => match below_build(parse("buildId", id)?, rest, last)? {
            Some(place) => place,
            None => return Ok(None),
        },
        ["build", "latest", _] => BuildPlace::Latest(last()),
        ["build", "resourceusage"] => BuildPlace::ResourceUsage,
        ["pipelines"] => BuildPlace::Pipelines,
        ["pipelines", id, rest @ ..] => match below_pipeline(parse("pipelineId", id)?, rest)? {
            Some(place) => place,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(BuildRoute { project: project.map(str::to_owned), place }))
}

fn below_build(
    id: BuildId,
    segments: &[&str],
    last: impl Fn() -> String,
) -> Result<Option<BuildPlace>, Refusal> {
    Ok(Some(match segments {
        [] => BuildPlace::Build(id),
        ["timeline"] => BuildPlace::Timeline(id, None),
        ["timeline", timeline] => BuildPlace::Timeline(id, Some(parse("timelineId", timeline)?)),
        ["logs"] => BuildPlace::Logs(id),
        ["logs", log] => BuildPlace::Log(id, parse("logId", log)?),
        ["artifacts"] => BuildPlace::Artifacts(id),
        ["changes"] => BuildPlace::Changes(id),
        ["workitems"] => BuildPlace::WorkItems(id),
        ["tags"] => BuildPlace::Tags(id),
        ["tags", _] => BuildPlace::Tag(id, last()),
        ["stages", _] => BuildPlace::Stage(id, last()),
        _ => return Ok(None),
    }))
}

fn below_pipeline(id: DefinitionId, segments: &[&str]) -> Result<Option<BuildPlace>, Refusal> {
    Ok(Some(match segments {
        [] => BuildPlace::Pipeline(id),
        ["preview"] => BuildPlace::Preview(id),
        ["runs"] => BuildPlace::Runs(id),
        ["runs", run] => BuildPlace::Run(id, parse("runId", run)?),
        ["runs", run, "logs"] => BuildPlace::RunLogs(id, parse("runId", run)?, None),
        ["runs", run, "logs", log] => {
            BuildPlace::RunLogs(id, parse("runId", run)?, Some(parse("logId", log)?))
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;
    use crate::query;
    use crate::routes::{self, Route};

    fn route(path: &str) -> Option<Route> {
        routes::find(&Method::GET, &query::segments(path)).expect("good ids")
    }

    fn built(project: Option<&str>, place: BuildPlace) -> Option<Route> {
        Some(Route::Builds(BuildRoute { project: project.map(str::to_owned), place }))
    }

    #[test]
    fn builds_are_found_with_and_without_a_project() {
        let build = || BuildPlace::Build(BuildId(5));
        assert_eq!(route("/My%20Project/_apis/build/Builds/5"), built(Some("My Project"), build()));
        assert_eq!(route("/_apis/build/builds/5/"), built(None, build()));
    }

    #[test]
    fn a_word_that_stands_where_ids_do_is_none() {
        assert_eq!(route("/p/_apis/build/definitions/templates"), None);
        assert_eq!(route("/p/_apis/build/definitions/templates/1"), None);
    }

    #[test]
    fn names_keep_their_case() {
        let tag = BuildPlace::Tag(BuildId(5), "Nightly".to_owned());
        assert_eq!(route("/p/_apis/Build/builds/5/Tags/Nightly"), built(Some("p"), tag));
        let project = BuildPlace::Project("My Project".to_owned());
        assert_eq!(route("/_apis/Projects/My%20Project"), built(None, project));
    }

    #[test]
    fn runs_and_their_logs_are_found() {
        let (pipeline, run) = (DefinitionId(2), BuildId(7));
        for (path, place) in [
            ("/p/_apis/pipelines/2/runs", BuildPlace::Runs(pipeline)),
            ("/p/_apis/pipelines/2/runs/7", BuildPlace::Run(pipeline, run)),
            ("/p/_apis/pipelines/2/runs/7/logs/3", BuildPlace::RunLogs(pipeline, run, Some(3))),
        ] {
            assert_eq!(route(path), built(Some("p"), place), "{path}");
        }
        assert_eq!(route("/p/_apis/pipelines/2/approvals"), None);
    }
}
