//! Requests as calls: the route, the query and the body together say what is asked.
//!
//! Members that are not known are ignored, as the real service does.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::Method;
use azure_devops::oauth::PublicKey;
use azure_devops::wire::WireResult;
use azure_devops::{
    AgentChange, AgentDraft, AgentId, BuildCall, Call, Include, JobRequestQuery, PoolCall, Properties,
    PropertyFilter, Refusal, SessionDraft,
};
use model::event::RequestForm;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) mod builds;
mod definitions;
mod plans;
mod pools;

use crate::control;
use crate::control_faults::{self, FaultWork};
use crate::packages::PackageQuery;
use crate::query::Query;
use crate::routes::Route;
use crate::sealing;

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Work {
    /// A call that the service decides.
    Call(Call),
    /// Who and where the service is.
    ConnectionData,
    /// Where areas live: all of them here.
    ResourceAreas,
    /// Which routes there are, in an area or in all.
    Locations(Option<String>),
    /// Telemetry, which is heard and forgotten.
    Heard,
    /// JSON that is always the same.
    Json(String),
    /// Agent packages; one object instead of a list if a version is named.
    Packages(PackageQuery),
    /// Faults, made over the control route.
    Faults(FaultWork),
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
        ("OPTIONS", Route::Locations(area)) => return Ok(Some(Work::Locations(area.clone()))),
        ("GET", Route::Packages { platform, version }) => {
            return packages(query, platform.as_deref(), version.as_deref()).map(Some);
        }
        ("POST", Route::Define) => Call::Build(BuildCall::define(control::definition(body)?)),
        ("POST", Route::DefineProject) => control::project(body)?,
        ("POST", Route::DefinePool) => control::pool(body)?,
        ("POST", Route::Faults) => return control_faults::read(body).map(Work::Faults).map(Some),
        ("GET", Route::Faults) => return Ok(Some(Work::Faults(FaultWork::List))),
        ("DELETE", Route::Faults) => return Ok(Some(Work::Faults(FaultWork::RemoveAll))),
        ("GET", Route::Fault(id)) => return Ok(Some(Work::Faults(FaultWork::Show(*id)))),
        ("DELETE", Route::Fault(id)) => return Ok(Some(Work::Faults(FaultWork::Remove(*id)))),
        (_, Route::OfPools(route)) => return pools::decode(method, route, query, body),
        (_, Route::Plans(route)) => return plans::decode(method, route, query, body),
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
        (_, Route::Builds(route)) => return builds::decode(method, route, query, body),
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call)))
}

fn pools(method: &Method, route: &Route, query: &Query, body: &[u8]) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", Route::Pools) => pools::list(query)?,
        ("GET", Route::Pool(id)) => Call::GetPool(*id),
        ("POST", Route::Pools) => pools::new_pool(body)?,
        ("PATCH", Route::Pool(id)) => pools::changed_pool(*id, body)?,
        ("DELETE", Route::Pool(id)) => PoolCall::Remove(*id).into(),
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
    user_capabilities: Option<BTreeMap<String, String>>,
    properties: Option<Properties>,
    authorization: Option<AuthorizationBody>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationBody {
    public_key: Option<PublicKey>,
}

/// The key of an agent. One that nobody could use is none: clients that only make up an agent send such.
fn usable_key(authorization: Option<AuthorizationBody>) -> Option<Arc<PublicKey>> {
    let key = authorization?.public_key?;
    sealing::rsa_key(&key).is_some().then(|| Arc::new(key))
}

impl From<AgentBody> for AgentDraft {
    fn from(body: AgentBody) -> Self {
        Self {
            name: body.name.unwrap_or_default().into(),
            version: body.version.unwrap_or_default().into(),
            os_description: body.os_description.unwrap_or_default().into(),
            enabled: body.enabled,
            capabilities: body.system_capabilities.unwrap_or_default().into(),
            user_capabilities: body.user_capabilities,
            max_parallelism: body.max_parallelism,
            properties: body.properties.unwrap_or_default(),
            public_key: usable_key(body.authorization),
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
        ("GET", Route::Agents(pool)) => pools::agents(*pool, query, include)?,
        ("GET", Route::Agent(pool, agent)) if query.text("propertyfilters").is_some() => {
            let properties = PropertyFilter::of(query.list("propertyfilters")?);
            PoolCall::GetAgent { pool: *pool, agent: *agent, include, properties }.into()
        }
        ("GET", Route::Agent(pool, agent)) => Call::GetAgent { pool: *pool, agent: *agent, include },
        ("POST", Route::Agents(pool)) => {
            Call::RegisterAgent { pool: *pool, draft: read::<AgentBody>(body)?.into() }
        }
        ("PUT", Route::Agent(pool, agent)) => {
            Call::ReplaceAgent { pool: *pool, agent: *agent, draft: read::<AgentBody>(body)?.into() }
        }
        ("PATCH", Route::Agent(pool, agent)) => {
            let body: AgentBody = read(body)?;
            let change = AgentChange {
                enabled: body.enabled,
                max_parallelism: body.max_parallelism,
                name: body.name.map(Into::into),
                version: body.version.map(Into::into),
                os_description: body.os_description.map(Into::into),
                capabilities: body.system_capabilities.map(Into::into),
                user_capabilities: body.user_capabilities,
                properties: body.properties.unwrap_or_default(),
            };
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
        ("POST", Route::Messages(pool)) if query.text("requestid").is_some() => {
            pools::sent(*pool, query.value("requestid")?.unwrap_or_default(), body)?
        }
        ("POST", Route::Messages(pool)) => {
            Call::RefreshAgents { pool: *pool, agent: query.value("agentid")? }
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
        ("GET", Route::JobRequest(pool, request)) if query.is_set("includestatus") => {
            PoolCall::GetStatus { pool: *pool, request: *request }.into()
        }
        ("POST", Route::JobRequests(pool)) => {
            PoolCall::QueueRequest { pool: *pool, draft: pools::request(body)? }.into()
        }
        ("DELETE", Route::JobRequest(pool, request)) => pools::ended(*pool, *request, query)?,
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
        from: query.value("continuationtoken")?,
        ..JobRequestQuery::default()
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

/// start.sh asks with `top`, the SDKs with `$top`.
fn packages(query: &Query, platform: Option<&str>, version: Option<&str>) -> Result<Work, Refusal> {
    let top = query.value("$top")?.map_or_else(|| query.value("top"), |top| Ok(Some(top)))?;
    Ok(Work::Packages(PackageQuery {
        platform: platform.or_else(|| query.text("platform")).map(str::to_owned),
        version: version.map(str::to_owned),
        top,
    }))
}

/// The deepest that a body may be nested. What is kept of it stands deeper in the journal and in a
/// snapshot, and both are read with serde_json's limit of 128.
const MAX_DEPTH: usize = 64;

pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if depth(body) > MAX_DEPTH {
        return Err(Refusal::Invalid(format!(
            "The request body is nested more than {MAX_DEPTH} levels deep."
        )));
    }
    serde_json::from_slice(body)
        .map_err(|error| Refusal::Invalid(format!("The request body cannot be read: {error}.")))
}

/// How deep lists and objects lie in each other. Of what is no JSON it is some number.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = body.iter();
    let mut in_text = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_text => {
                bytes.next();
            }
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_refused_that_is_nested_too_deeply_to_be_kept() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read::<serde_json::Value>(nested(64).as_bytes()).is_ok());
        assert!(matches!(read::<serde_json::Value>(nested(65).as_bytes()), Err(Refusal::Invalid(_))));
        let text = format!(r#"{{"a":"\"{}"}}"#, "[".repeat(100));
        assert!(read::<serde_json::Value>(text.as_bytes()).is_ok(), "what is in a text is not nested");
    }
    use crate::{query, routes};
    use azure_devops::PoolId;
    use azure_devops::RequestId;

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
        assert!(
            matches!(by_name, Call::Pools(call) if matches!(&*call, PoolCall::List(query) if query.name.as_deref() == Some("my pool")))
        );
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
    fn another_event_than_the_end_of_a_job_is_the_plan_s() {
        let path = "p/_apis/distributedtask/hubs/Build/plans/15b95994-7f7f-4d5a-8a3e-3c2c2c2c2c2c/events";
        let end = r#"{"name":"JobCompleted","requestId":7,"result":"Succeeded","agentShuttingDown":true}"#;
        assert!(matches!(call("POST", path, end), Call::CompleteJob { agent_shutting_down: true, .. }));
        let other = call("POST", path, r#"{"name":"TaskStarted","requestId":7,"result":"succeeded"}"#);
        assert!(matches!(other, Call::Plan { .. }));
    }
}
