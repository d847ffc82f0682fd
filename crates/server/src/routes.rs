//! The routes that are modelled: a closed list, matched whatever the case.
//!
//! `azure_devops` decides what they do; the templates are those of the public
//! location tables (ChristopherHX/runner.server, azure-devops-node-api).

use axum::http::Method;
use azure_devops::{AgentId, MessageId, PoolId, Refusal, RequestId};
use uuid::Uuid;

use crate::query::parse;

mod builds;
mod plans;
mod pools;

pub(crate) use builds::{BuildPlace, BuildRoute};
pub(crate) use plans::PlanRoute;
pub(crate) use pools::PoolRoute;

/// A route of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    ConnectionData,
    ResourceAreas,
    /// All of them, or those of an area.
    Locations(Option<String>),
    Pools,
    Pool(PoolId),
    Agents(PoolId),
    Agent(PoolId, AgentId),
    UserCapabilities(PoolId, AgentId),
    Sessions(PoolId),
    Session(PoolId, Uuid),
    Messages(PoolId),
    Message(PoolId, MessageId),
    JobRequests(PoolId),
    JobRequest(PoolId, RequestId),
    Packages {
        platform: Option<String>,
        version: Option<String>,
    },
    /// Pools' metadata, queues and parallel jobs.
    OfPools(PoolRoute),
    /// What only the real agent and its worker ask.
    Plans(PlanRoute),
    /// Projects, definitions, builds and pipelines.
    Builds(BuildRoute),
    /// Control: definitions with their jobs.
    Define,
    /// Control: projects.
    DefineProject,
    /// Control: pools with placeholders.
    DefinePool,
    /// Control: faults.
    Faults,
    /// Control: one fault.
    Fault(u32),
}

impl Route {
    /// Its template, for the log.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::ConnectionData => "_apis/connectionData",
            Self::ResourceAreas => "_apis/ResourceAreas",
            Self::Locations(_) => "_apis",
            Self::Pools => "_apis/distributedtask/pools",
            Self::Pool(_) => "_apis/distributedtask/pools/{poolId}",
            Self::Agents(_) => "_apis/distributedtask/pools/{poolId}/agents",
            Self::Agent(..) => "_apis/distributedtask/pools/{poolId}/agents/{agentId}",
            Self::UserCapabilities(..) => {
                "_apis/distributedtask/pools/{poolId}/agents/{agentId}/usercapabilities"
            }
            Self::Sessions(_) => "_apis/distributedtask/pools/{poolId}/sessions",
            Self::Session(..) => "_apis/distributedtask/pools/{poolId}/sessions/{sessionId}",
            Self::Messages(_) => "_apis/distributedtask/pools/{poolId}/messages",
            Self::Message(..) => "_apis/distributedtask/pools/{poolId}/messages/{messageId}",
            Self::JobRequests(_) => "_apis/distributedtask/pools/{poolId}/jobrequests",
            Self::JobRequest(..) => "_apis/distributedtask/pools/{poolId}/jobrequests/{requestId}",
            Self::Packages { .. } => "_apis/distributedtask/packages/agent",
            Self::OfPools(route) => route.template(),
            Self::Plans(route) => route.template(),
            Self::Builds(route) => route.template(),
            Self::Define => "_poolproof/definitions",
            Self::DefineProject => "_poolproof/projects",
            Self::DefinePool => "_poolproof/pools",
            Self::Faults => "_poolproof/faults",
            Self::Fault(_) => "_poolproof/faults/{faultId}",
        }
    }
}

/// The route of a path below its organisation, if it is modelled.
///
/// # Errors
/// If something that has to be an id is none.
pub(crate) fn find(method: &Method, segments: &[String]) -> Result<Option<Route>, Refusal> {
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["_poolproof", "definitions"] => Ok(Some(Route::Define)),
        ["_poolproof", "projects"] => Ok(Some(Route::DefineProject)),
        ["_poolproof", "pools"] => Ok(Some(Route::DefinePool)),
        ["_poolproof", "parallel-jobs"] => Ok(Some(Route::OfPools(PoolRoute::ParallelJobs))),
        ["_poolproof", "faults"] => Ok(Some(Route::Faults)),
        ["_poolproof", "faults", fault] => Ok(Some(Route::Fault(parse("faultId", fault)?))),
        ["_apis", area @ ..] | [_, "_apis", area @ ..] if method == Method::OPTIONS => {
            Ok(Some(Route::Locations(area.first().map(|area| (*area).to_owned()))))
        }
        ["_apis", rest @ ..] | [_, "_apis", rest @ ..] => {
            // Attachments and flags keep the case of their names.
            let given = &segments[segments.len() - rest.len()..];
            if let Some(route) = plans::find(rest, given)? {
                return Ok(Some(Route::Plans(route)));
            }
            match builds::find(project(segments), rest, given)? {
                Some(route) => Ok(Some(Route::Builds(route))),
                None => match pools::find(project(segments), rest)? {
                    Some(route) => Ok(Some(Route::OfPools(route))),
                    None => below_apis(rest),
                },
            }
        }
        _ => Ok(None),
    }
}

/// The project before `_apis`, as it was written.
fn project(segments: &[String]) -> Option<&str> {
    match segments {
        [project, apis, ..] if apis.eq_ignore_ascii_case("_apis") => Some(project),
        _ => None,
    }
}

fn below_apis(segments: &[&str]) -> Result<Option<Route>, Refusal> {
    Ok(Some(match segments {
        ["connectiondata"] => Route::ConnectionData,
        ["resourceareas"] | ["resourceareas", _] => Route::ResourceAreas,
        ["distributedtask", "pools"] => Route::Pools,
        ["distributedtask", "pools", pool] => Route::Pool(parse("poolId", pool)?),
        ["distributedtask", "pools", pool, rest @ ..] => return below_pool(parse("poolId", pool)?, rest),
        ["distributedtask", "packages", "agent", rest @ ..] => {
            let [platform, version] = match rest {
                [] => [None, None],
                [platform] => [Some(*platform), None],
                [platform, version] => [Some(*platform), Some(*version)],
                _ => return Ok(None),
            };
            Route::Packages { platform: platform.map(str::to_owned), version: version.map(str::to_owned) }
        }
        _ => return Ok(None),
    }))
}

fn below_pool(pool: PoolId, segments: &[&str]) -> Result<Option<Route>, Refusal> {
    Ok(Some(match segments {
        ["agents"] => Route::Agents(pool),
        ["agents", agent] => Route::Agent(pool, parse("agentId", agent)?),
        ["agents", agent, "usercapabilities"] => Route::UserCapabilities(pool, parse("agentId", agent)?),
        ["sessions"] => Route::Sessions(pool),
        ["sessions", session] => Route::Session(pool, parse("sessionId", session)?),
        ["messages"] => Route::Messages(pool),
        ["messages", message] => Route::Message(pool, parse("messageId", message)?),
        ["jobrequests"] => Route::JobRequests(pool),
        ["jobrequests", request] => Route::JobRequest(pool, parse("requestId", request)?),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    fn route(path: &str) -> Result<Option<Route>, Refusal> {
        find(&Method::GET, &query::segments(path))
    }

    #[test]
    fn a_path_matches_whatever_its_case_and_trailing_slash() {
        for path in ["/_apis/distributedtask/pools", "/_APIS/DistributedTask/Pools/"] {
            assert_eq!(route(path), Ok(Some(Route::Pools)), "{path}");
        }
        assert_eq!(
            route("/_apis/distributedtask/POOLS/7/JobRequests/9"),
            Ok(Some(Route::JobRequest(PoolId(7), RequestId(9))))
        );
    }

    #[test]
    fn what_is_not_modelled_is_no_route_and_a_bad_id_is_an_error() {
        assert_eq!(route("/_apis/wit/workitems"), Ok(None));
        assert_eq!(route("/"), Ok(None));
        assert!(matches!(route("/_apis/distributedtask/pools/abc/agents"), Err(Refusal::Invalid(_))));
    }

    #[test]
    fn every_options_request_below_apis_asks_for_the_locations() {
        let options = |path: &str| find(&Method::OPTIONS, &query::segments(path));
        assert_eq!(options("/_apis"), Ok(Some(Route::Locations(None))));
        assert_eq!(options("/_apis/Build"), Ok(Some(Route::Locations(Some("build".to_owned())))));
    }
}
