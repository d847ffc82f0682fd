//! Requests as calls: the route, the query and the body together say what is asked.
//!
//! Members that are not known are ignored, as the real service does.

use std::collections::BTreeMap;

use axum::http::Method;
use azure_devops::wire::{JOB_COMPLETED, PlanEvent, WireResult};
use azure_devops::{
    AgentChange, AgentDraft, AgentId, BuildId, BuildQuery, BuildStatus, Call, DefinitionId, DefinitionRef,
    Include, JobRequestQuery, PoolId, Refusal, RequestId, SessionDraft,
};
use model::event::RequestForm;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::control;
use crate::packages::PackageQuery;
use crate::query::Query;
use crate::routes::Route;

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Work {
    /// A call that the service decides.
    Call(Call),
    /// Who and where the service is.
    ConnectionData,
    /// Where areas live: all of them here.
    ResourceAreas,
    /// Which routes there are.
    Locations,
    /// Agent packages; one object instead of a list if a version is named.
    Packages(PackageQuery),
}

/// Says what a request asks for, or that its method is not modelled on this route.
pub(crate) fn decode(
    method: &Method,
    route: &Route,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", Route::ConnectionData) => return Ok(Some(Work::ConnectionData)),
        ("GET", Route::ResourceAreas) => return Ok(Some(Work::ResourceAreas)),
        ("OPTIONS", Route::Locations) => return Ok(Some(Work::Locations)),
        ("GET", Route::Packages { platform, version }) => {
            return packages(query, platform.as_deref(), version.as_deref()).map(Some);
        }
        ("POST", Route::Define) => Call::Define(control::definition(body)?),
        ("POST", Route::DefinePool) => control::pool(body)?,
        ("POST", Route::PlanEvents(plan)) => {
            let event: PlanEvent = read(body)?;
            if !event.name.eq_ignore_ascii_case(JOB_COMPLETED) {
                return Ok(None);
            }
            Call::CompleteJob {
                plan: *plan,
                request: RequestId(event.request_id),
                result: event.result.0,
                agent_shutting_down: event.agent_shutting_down,
            }
        }
        (_, Route::Pools | Route::Pool(_)) => return pools(method, route, query, body),
        (_, Route::Agents(_) | Route::Agent(..) | Route::UserCapabilities(..)) => {
            return agents(method, route, query, body);
        }
        (_, Route::Sessions(_) | Route::Session(..) | Route::Messages(_) | Route::Message(..)) => {
            return listening(method, route, query, body);
        }
        (_, Route::JobRequests(_) | Route::JobRequest(..)) => {
            return job_requests(method, route, query, body);
        }
        (_, Route::Definitions | Route::Definition(_) | Route::Builds | Route::Build(_)) => {
            return builds(method, route, query, body);
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

fn pools(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", Route::Pools) => match query.value::<PoolId>("poolid")? {
            Some(id) if query.text("poolname").is_none() => Call::FindPool(id),
            _ => Call::ListPools {
                name: query.text("poolname").map(str::to_owned),
                ids: query.list("poolids")?,
            },
        },
        ("GET", Route::Pool(id)) => Call::GetPool(*id),
        ("POST", Route::Pools) => {
            #[derive(Deserialize)]
            struct NewPool {
                name: String,
            }
            Call::CreatePool { name: read::<NewPool>(body)?.name, placeholders: Vec::new() }
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentBody {
    name: Option<String>,
    version: Option<String>,
    os_description: Option<String>,
    enabled: Option<bool>,
    max_parallelism: Option<u32>,
    system_capabilities: Option<BTreeMap<String, String>>,
}

impl From<AgentBody> for AgentDraft {
    fn from(body: AgentBody) -> Self {
        Self {
            name: body.name.unwrap_or_default().into(),
            version: body.version.unwrap_or_default().into(),
            os_description: body.os_description.unwrap_or_default().into(),
            enabled: body.enabled,
            capabilities: body.system_capabilities.unwrap_or_default().into(),
        }
    }
}

fn agents(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let include = Include {
        capabilities: query.is_set("includecapabilities"),
        assigned_request: query.is_set("includeassignedrequest"),
        last_completed_request: query.is_set("includelastcompletedrequest"),
    };
    let call = match (method.as_str(), route) {
        ("GET", Route::Agents(pool)) => Call::ListAgents {
            pool: *pool,
            name: query.text("agentname").map(str::to_owned),
            demands: query.list("demands")?,
            include,
        },
        ("GET", Route::Agent(pool, agent)) => Call::GetAgent { pool: *pool, agent: *agent, include },
        ("POST", Route::Agents(pool)) => {
            Call::RegisterAgent { pool: *pool, draft: read::<AgentBody>(body)?.into() }
        }
        ("PUT", Route::Agent(pool, agent)) => {
            Call::ReplaceAgent { pool: *pool, agent: *agent, draft: read::<AgentBody>(body)?.into() }
        }
        ("PATCH", Route::Agent(pool, agent)) => {
            let change: AgentBody = read(body)?;
            let change = AgentChange { enabled: change.enabled, max_parallelism: change.max_parallelism };
            Call::UpdateAgent { pool: *pool, agent: *agent, change }
        }
        ("DELETE", Route::Agent(pool, agent)) => Call::RemoveAgent { pool: *pool, agent: *agent },
        ("PUT", Route::UserCapabilities(pool, agent)) => {
            Call::SetUserCapabilities { pool: *pool, agent: *agent, capabilities: read(body)? }
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionBody {
    owner_name: Option<String>,
    agent: SessionAgent,
    system_capabilities: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionAgent {
    id: AgentId,
    version: Option<String>,
    os_description: Option<String>,
}

fn listening(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let session = || {
        let given = query.value("sessionid")?;
        given.ok_or_else(|| Refusal::Invalid("The query has to name a sessionId.".to_owned()))
    };
    let call = match (method.as_str(), route) {
        ("POST", Route::Sessions(pool)) => {
            let body: SessionBody = read(body)?;
            let draft = SessionDraft {
                owner: body.owner_name.unwrap_or_default().into(),
                agent: body.agent.id,
                version: body.agent.version.map(Into::into),
                os_description: body.agent.os_description.map(Into::into),
                capabilities: body.system_capabilities.map(Into::into),
            };
            Call::OpenSession { pool: *pool, draft }
        }
        ("DELETE", Route::Session(pool, session)) => Call::CloseSession { pool: *pool, session: *session },
        ("GET", Route::Messages(pool)) => {
            Call::Poll { pool: *pool, session: session()?, after: query.value("lastmessageid")? }
        }
        ("DELETE", Route::Message(pool, message)) => {
            Call::DeleteMessage { pool: *pool, session: session()?, message: *message }
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

fn job_requests(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", Route::JobRequests(pool)) => {
            Call::ListJobRequests { pool: *pool, query: job_request_query(query)? }
        }
        ("GET", Route::JobRequest(pool, request)) => Call::GetJobRequest { pool: *pool, request: *request },
        ("PATCH", Route::JobRequest(pool, request)) => {
            #[derive(Deserialize)]
            struct JobRequestBody {
                result: Option<WireResult>,
            }
            let result = if body.is_empty() { None } else { read::<JobRequestBody>(body)?.result };
            match result {
                Some(result) => Call::FinishJobRequest { pool: *pool, request: *request, result: result.0 },
                None => Call::RenewJobRequest { pool: *pool, request: *request, to_top: to_top(query) },
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

fn job_request_query(query: &Query) -> Result<JobRequestQuery, Refusal> {
    let mut agents: Vec<AgentId> = query.list("agentids")?;
    agents.extend(query.value::<AgentId>("agentid")?);
    Ok(JobRequestQuery {
        top: query.value("$top")?,
        completed: query.value("completedrequestcount")?,
        agents,
        plan: query.value("planid")?,
        job: query.value("jobid")?,
    })
}

/// The form of a read of job requests, also of one that will be refused.
pub(crate) fn form(query: &Query) -> RequestForm {
    job_request_query(query).unwrap_or_default().form()
}

fn to_top(query: &Query) -> bool {
    let option = query.text("updateoptions");
    option.is_some_and(|option| option == "1" || option.eq_ignore_ascii_case("bumpRequestToTop"))
}

#[derive(Deserialize)]
struct BuildBody {
    definition: Option<DefinitionBody>,
}

#[derive(Deserialize)]
struct DefinitionBody {
    id: Option<DefinitionId>,
    name: Option<String>,
}

fn builds(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", Route::Definitions) => Call::ListDefinitions { name: query.text("name").map(str::to_owned) },
        ("GET", Route::Definition(id)) => Call::GetDefinition(*id),
        ("POST", Route::Builds) => Call::QueueBuild(definition_to_build(query, body)?),
        ("GET", Route::Builds) => Call::ListBuilds(build_query(query)?),
        ("GET", Route::Build(id)) => Call::GetBuild(*id),
        ("PATCH", Route::Build(id)) => {
            #[derive(Deserialize)]
            struct BuildChange {
                status: Option<BuildStatus>,
            }
            match read::<BuildChange>(body)?.status {
                Some(BuildStatus::Cancelling) => Call::CancelBuild(*id),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

fn definition_to_build(query: &Query, body: &[u8]) -> Result<DefinitionRef, Refusal> {
    let definition = if body.is_empty() { None } else { read::<BuildBody>(body)?.definition };
    let (id, name) = definition.map_or((None, None), |definition| (definition.id, definition.name));
    let id = id.map_or_else(|| query.value("definitionid"), |id| Ok(Some(id)))?;
    id.map(DefinitionRef::Id)
        .or(name.map(DefinitionRef::Name))
        .ok_or_else(|| Refusal::Invalid("The build has to name a definition.".to_owned()))
}

fn build_query(query: &Query) -> Result<BuildQuery, Refusal> {
    let statuses = query.text("statusfilter").unwrap_or_default().split(',').map(str::trim);
    let order = query.text("queryorder").unwrap_or_default();
    Ok(BuildQuery {
        ids: query.list::<BuildId>("buildids")?,
        definitions: query.list("definitions")?,
        statuses: statuses.filter_map(BuildStatus::named).collect(),
        top: query.value("$top")?,
        ascending: order.to_lowercase().ends_with("ascending"),
    })
}

/// start.sh asks with `top`, the SDKs with `$top`.
fn packages(query: &Query, platform: Option<&str>, version: Option<&str>) -> Result<Work, Refusal> {
    let top = query.value("$top")?.map_or_else(|| query.value("top"), |top| Ok(Some(top)))?;
    Ok(Work::Packages(PackageQuery {
        platform: platform.or_else(|| query.text("platform")).map(str::to_owned),
        version: version.map(str::to_owned),
        top,
    }))
}

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::Invalid(format!("The request body cannot be read: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{query, routes};

    fn decoded(method: &str, target: &str, body: &str) -> Result<Option<Work>, Refusal> {
        let method: Method = method.parse().expect("a method");
        let (path, text) = target.split_once('?').unwrap_or((target, ""));
        let route = routes::find(&method, &query::segments(path)).expect("ids").expect("a route");
        decode(&method, &route, &Query::parse(text), body.as_bytes())
    }

    fn call(method: &str, target: &str, body: &str) -> Call {
        match decoded(method, target, body).expect("understood").expect("modelled") {
            Work::Call(call) => call,
            other => panic!("not a call: {other:?}"),
        }
    }

    #[test]
    fn keda_s_forms_of_job_requests_are_told_apart() {
        let query =
            |text: &str| match call("GET", &format!("_apis/distributedtask/pools/1/jobrequests{text}"), "") {
                Call::ListJobRequests { query, .. } => query,
                other => panic!("{other:?}"),
            };
        assert_eq!(query(""), JobRequestQuery::default());
        assert_eq!(query("?$top=250").top, Some(250));
        assert_eq!(query("?%24top=250&completedRequestCount=0").top, Some(250));
        assert_eq!(query("?completedRequestCount=0").completed, Some(0));
        assert_eq!(query("?agentIds=3,4&agentId=5").agents, [AgentId(3), AgentId(4), AgentId(5)]);
    }

    #[test]
    fn a_pool_is_asked_for_by_name_or_by_id() {
        let by_name = call("GET", "_apis/distributedtask/pools?poolName=my+pool", "");
        assert!(matches!(by_name, Call::ListPools { name: Some(name), .. } if name == "my pool"));
        let by_id = call("GET", "_apis/distributedtask/pools?poolID=44", "");
        assert!(matches!(by_id, Call::FindPool(PoolId(44))));
    }

    #[test]
    fn a_renewal_and_an_end_are_told_apart_by_the_result() {
        let path =
            "_apis/distributedtask/pools/1/jobrequests/7?lockToken=00000000-0000-0000-0000-000000000000";
        let renewal = call("PATCH", path, r#"{"requestId":7,"lockedUntil":"0001-01-01T00:00:00"}"#);
        assert!(matches!(renewal, Call::RenewJobRequest { request: RequestId(7), to_top: false, .. }));
        let end = call("PATCH", path, r#"{"requestId":7,"result":2}"#);
        assert!(matches!(end, Call::FinishJobRequest { result: model::event::JobResult::Failed, .. }));
    }

    #[test]
    fn a_build_is_cancelled_by_name_or_number_and_nothing_else_of_it_changes() {
        for body in [r#"{"status":"cancelling","id":5}"#, r#"{"status":4}"#] {
            assert!(matches!(call("PATCH", "P/_apis/build/builds/5", body), Call::CancelBuild(BuildId(5))));
        }
        let kept = decoded("PATCH", "P/_apis/build/builds/5", r#"{"keepForever":true}"#);
        assert!(matches!(kept, Ok(None)));
    }

    #[test]
    fn a_build_names_its_definition_by_id_or_name() {
        let by_id = call("POST", "P/_apis/build/builds", r#"{"definition":{"id":4},"sourceBranch":"x"}"#);
        assert!(matches!(by_id, Call::QueueBuild(DefinitionRef::Id(DefinitionId(4)))));
        let by_name = call("POST", "P/_apis/build/builds", r#"{"definition":{"name":"ci"}}"#);
        assert!(matches!(by_name, Call::QueueBuild(DefinitionRef::Name(name)) if name == "ci"));
        assert!(matches!(decoded("POST", "P/_apis/build/builds", "{}"), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn another_event_than_the_end_of_a_job_is_not_modelled() {
        let path = "p/_apis/distributedtask/hubs/Build/plans/15b95994-7f7f-4d5a-8a3e-3c2c2c2c2c2c/events";
        let end = r#"{"name":"JobCompleted","requestId":7,"result":"Succeeded","agentShuttingDown":true}"#;
        assert!(matches!(call("POST", path, end), Call::CompleteJob { agent_shutting_down: true, .. }));
        let other = decoded("POST", path, r#"{"name":"TaskStarted","requestId":7,"result":"succeeded"}"#);
        assert!(matches!(other, Ok(None)));
    }
}
