//! Requests about pools, queues and parallel jobs as calls.

use std::collections::BTreeMap;

use axum::http::Method;
use azure_devops::wire::WireResult;
use azure_devops::{
    AgentQuery, Call, Include, ParallelismTag, PoolCall, PoolChange, PoolDetails, PoolDraft, PoolId,
    PoolQuery, PoolType, Properties, PropertyFilter, QueueQuery, Refusal, RequestDraft, RequestId, SentText,
};
use model::event::JobResult;
use model::scenario::ParallelJobs;
use serde::Deserialize;
use uuid::Uuid;

use super::definitions::{DemandBody, demands, duration};
use super::{Work, job_request_query, read};
use crate::query::{Query, WireEnum};
use crate::routes::PoolRoute;

/// Numbers and names of what a caller wants to do with the pools that it lists (azure-devops-node-api 17.0.1,
/// TaskAgentInterfaces, `TaskAgentPoolActionFilter`).
const ACTIONS: [(u64, &str, ()); 3] = [(0, "none", ()), (2, "manage", ()), (16, "use", ())];

pub(super) fn decode(
    method: &Method,
    route: &PoolRoute,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let call = match (method.as_str(), route) {
        ("GET", PoolRoute::Metadata(pool)) => PoolCall::GetMetadata(*pool),
        ("PUT", PoolRoute::Metadata(pool)) => {
            PoolCall::SetMetadata { pool: *pool, metadata: metadata(body)? }
        }
        ("GET", PoolRoute::Permissions(pool, permissions)) => {
            PoolCall::HasPermissions { pool: *pool, permissions: *permissions }
        }
        ("GET", PoolRoute::Queues(project)) => {
            PoolCall::ListQueues { project: project.clone(), query: queue_query(query)? }
        }
        ("POST", PoolRoute::Queues(project)) => new_queue(project, body)?,
        ("PUT", PoolRoute::Queues(project)) => PoolCall::ProvisionQueues { project: project.clone() },
        ("GET", PoolRoute::Queue(project, queue)) => {
            PoolCall::GetQueue { project: project.clone(), queue: *queue }
        }
        ("DELETE", PoolRoute::Queue(project, queue)) => {
            PoolCall::RemoveQueue { project: project.clone(), queue: *queue }
        }
        ("GET", PoolRoute::QueueRequests(project, queue)) => PoolCall::ListQueueRequests {
            project: project.clone(),
            queue: *queue,
            query: job_request_query(query)?,
        },
        ("POST", PoolRoute::QueueRequests(project, queue)) => {
            PoolCall::QueueRequestTo { project: project.clone(), queue: *queue, draft: request(body)? }
        }
        ("GET", PoolRoute::ResourceLimits) => PoolCall::ResourceLimits,
        ("GET", PoolRoute::ResourceUsage) => PoolCall::ResourceUsage {
            tag: tag(query.text("parallelismtag").unwrap_or(ParallelismTag::Private.as_str()))?,
            hosted: query.is_set("poolishosted"),
            running: query.is_set("includerunningrequests"),
        },
        ("PUT" | "POST", PoolRoute::ParallelJobs) => parallel_jobs(body)?,
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(call.into())))
}

/// `GET pools`, in all its forms.
pub(super) fn list(query: &Query) -> Result<Call, Refusal> {
    query.one_of("actionfilter", &ACTIONS)?;
    let name = query.text("poolname").map(str::to_owned);
    // KEDA before 2.17 asks so, and takes one object.
    if let (Some(id), None) = (query.value::<PoolId>("poolid")?, &name) {
        return Ok(Call::FindPool(id));
    }
    let query = PoolQuery {
        name,
        ids: query.list("poolids")?,
        kind: query.one_of("pooltype", &PoolType::NAMES)?,
        properties: PropertyFilter::of(query.list("properties")?),
    };
    Ok(PoolCall::List(query).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolBody {
    name: Option<String>,
    pool_type: Option<WireEnum>,
    auto_provision: Option<bool>,
    auto_update: Option<bool>,
    auto_size: Option<bool>,
    target_size: Option<u32>,
    agent_cloud_id: Option<u32>,
    properties: Option<Properties>,
}

/// `POST pools`. What is not said is as .NET leaves it: no.
pub(super) fn new_pool(body: &[u8]) -> Result<Call, Refusal> {
    let body: PoolBody = read(body)?;
    let kind = body.pool_type.map(|kind| kind.of("poolType", &PoolType::NAMES)).transpose()?;
    let details = PoolDetails {
        kind: kind.unwrap_or_default(),
        auto_provision: body.auto_provision.unwrap_or_default(),
        auto_update: body.auto_update.unwrap_or(true),
        auto_size: body.auto_size.unwrap_or_default(),
        target_size: body.target_size,
        agent_cloud: body.agent_cloud_id,
        properties: body.properties.unwrap_or_default(),
        metadata: None,
    };
    Ok(PoolCall::Create(PoolDraft { name: body.name.unwrap_or_default(), details }).into())
}

/// `PATCH pools/{id}`.
pub(super) fn changed_pool(pool: PoolId, body: &[u8]) -> Result<Call, Refusal> {
    let body: PoolBody = read(body)?;
    let change = PoolChange {
        name: body.name,
        auto_provision: body.auto_provision,
        auto_update: body.auto_update,
        auto_size: body.auto_size,
        target_size: body.target_size,
        properties: body.properties.unwrap_or_default(),
    };
    Ok(PoolCall::Change { pool, change }.into())
}

/// The text of a pool: the Node client sends it as a stream of its own, others as a JSON text.
fn metadata(body: &[u8]) -> Result<String, Refusal> {
    if let Ok(text) = serde_json::from_slice::<String>(body) {
        return Ok(text);
    }
    String::from_utf8(body.to_vec()).map_err(|_| Refusal::Invalid("The metadata is no text.".to_owned()))
}

/// `GET agents`. Without properties it is the call that agents make, too.
pub(super) fn agents(pool: PoolId, query: &Query, include: Include) -> Result<Call, Refusal> {
    let properties: Vec<String> = query.list("propertyfilters")?;
    let (name, demands) = (query.text("agentname").map(str::to_owned), query.list("demands")?);
    if properties.is_empty() {
        return Ok(Call::ListAgents { pool, name, demands, include });
    }
    let properties = PropertyFilter::of(properties);
    Ok(PoolCall::ListAgents { pool, query: AgentQuery { name, demands, include, properties } }.into())
}

fn queue_query(query: &Query) -> Result<QueueQuery, Refusal> {
    query.one_of("actionfilter", &ACTIONS)?;
    let mut names: Vec<String> = query.list("queuenames")?;
    names.extend(query.text("queuename").map(str::to_owned));
    Ok(QueueQuery { names, ids: query.list("queueids")?, pools: query.list("poolids")? })
}

#[derive(Deserialize)]
struct QueueBody {
    name: Option<String>,
    pool: Option<PoolOfQueue>,
}

#[derive(Deserialize)]
struct PoolOfQueue {
    id: Option<PoolId>,
}

fn new_queue(project: &str, body: &[u8]) -> Result<PoolCall, Refusal> {
    let QueueBody { name, pool } = read(body)?;
    Ok(PoolCall::AddQueue { project: project.to_owned(), name, pool: pool.and_then(|pool| pool.id) })
}

/// A job request that somebody queues (azure-devops-node-api 17.0.1, TaskAgentInterfaces, `TaskAgentJobRequest`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestBody {
    demands: Option<Vec<DemandBody>>,
    job_name: Option<String>,
    plan_id: Option<Uuid>,
    job_id: Option<Uuid>,
    scope_id: Option<Uuid>,
    plan_type: Option<String>,
    orchestration_id: Option<String>,
    definition: Option<OwnerBody>,
    owner: Option<OwnerBody>,
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct OwnerBody {
    id: Option<u64>,
    name: Option<String>,
}

/// `POST jobrequests`. Empty GUIDs are what .NET writes for none.
pub(super) fn request(body: &[u8]) -> Result<RequestDraft, Refusal> {
    let body: RequestBody = read(body)?;
    let given = |id: Option<Uuid>| id.filter(|id| !id.is_nil());
    let owner = |owner: OwnerBody| (owner.id.unwrap_or_default(), owner.name.unwrap_or_default());
    Ok(RequestDraft {
        demands: demands(body.demands)?,
        name: body.job_name.filter(|name| !name.is_empty()),
        plan: given(body.plan_id),
        job: given(body.job_id),
        scope: given(body.scope_id),
        plan_type: body.plan_type.filter(|kind| !kind.is_empty()),
        orchestration: body.orchestration_id.filter(|id| !id.is_empty()),
        definition: body.definition.map(owner),
        owner: body.owner.map(owner),
        duration: duration(body.data.iter().flatten().map(|(name, value)| (name, Some(value.as_str()))))?,
    })
}

/// `POST messages?requestId=`.
pub(super) fn sent(pool: PoolId, request: RequestId, body: &[u8]) -> Result<Call, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MessageBody {
        message_type: Option<String>,
        body: Option<String>,
    }
    let MessageBody { message_type, body } = read(body)?;
    let text = SentText { kind: message_type.unwrap_or_default(), body: body.unwrap_or_default() };
    Ok(PoolCall::SendMessage { pool, request, text }.into())
}

fn tag(text: &str) -> Result<ParallelismTag, Refusal> {
    ParallelismTag::named(text)
        .ok_or_else(|| Refusal::Invalid(format!("The value '{text}' is not valid for parallelismTag.")))
}

/// `_poolproof/parallel-jobs`: `{"parallelismTag": "Private", "limit": 2}`, or `"unlimited"`.
fn parallel_jobs(body: &[u8]) -> Result<PoolCall, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Body {
        parallelism_tag: Option<String>,
        limit: ParallelJobs,
    }
    let body: Body = read(body)?;
    let tag = tag(body.parallelism_tag.as_deref().unwrap_or(ParallelismTag::Private.as_str()))?;
    Ok(PoolCall::SetParallelJobs { tag, limit: body.limit })
}

/// `DELETE jobrequests/{id}?result=&agentShuttingDown=`. Without a result it is a cancellation.
pub(super) fn ended(pool: PoolId, request: RequestId, query: &Query) -> Result<Call, Refusal> {
    let result = match query.text("result") {
        Some(text) => serde_json::from_value::<WireResult>(text.into())
            .map(|result| result.0)
            .map_err(|_| Refusal::Invalid(format!("The value '{text}' is not valid for result.")))?,
        None => JobResult::Canceled,
    };
    let agent_shutting_down = query.is_set("agentshuttingdown");
    Ok(PoolCall::EndJobRequest { pool, request, result, agent_shutting_down }.into())
}

#[cfg(test)]
mod tests {
    use azure_devops::QueueId;

    use super::*;
    use crate::{decoding, query, routes};

    fn decoded(method: &str, target: &str, body: &str) -> Result<Option<Work>, Refusal> {
        let method: Method = method.parse().expect("a method");
        let (path, text) = target.split_once('?').unwrap_or((target, ""));
        let route = routes::find(&method, &query::segments(path)).expect("ids").expect("a route");
        decoding::decode(&method, &route, &Query::parse(text), body.as_bytes())
    }

    fn call(method: &str, target: &str, body: &str) -> PoolCall {
        match decoded(method, target, body) {
            Ok(Some(Work::Call(Call::Pools(call)))) => *call,
            other => panic!("no such call: {other:?}"),
        }
    }

    const POOLS: &str = "_apis/distributedtask/pools";

    #[test]
    fn an_enum_is_a_name_in_any_case_or_a_number() {
        for kind in ["deployment", "Deployment", "2"] {
            let PoolCall::List(query) = call("GET", &format!("{POOLS}?poolType={kind}"), "") else {
                panic!("no list")
            };
            assert_eq!(query.kind, Some(PoolType::Deployment), "{kind}");
        }
        for kind in ["\"DEPLOYMENT\"", "2", "\"2\""] {
            let body = format!("{{\"name\":\"p\",\"poolType\":{kind}}}");
            let PoolCall::Create(draft) = call("POST", POOLS, &body) else { panic!("no pool") };
            assert_eq!(draft.details.kind, PoolType::Deployment, "{kind}");
        }
        for target in ["poolType=3", "poolType=hosted", "actionFilter=look"] {
            assert!(
                matches!(decoded("GET", &format!("{POOLS}?{target}"), ""), Err(Refusal::Invalid(_))),
                "{target}"
            );
        }
    }

    #[test]
    fn all_filters_of_pools_are_read() {
        let target = format!(
            "{POOLS}?poolName=a+b&poolIds=1,2&properties=x,y&actionFilter=Manage&poolType=automation"
        );
        let PoolCall::List(query) = call("GET", &target, "") else { panic!("no list") };
        assert_eq!((query.name.as_deref(), query.ids), (Some("a b"), vec![PoolId(1), PoolId(2)]));
        assert_eq!(query.properties, PropertyFilter::of(vec!["x".to_owned(), "y".to_owned()]));
        assert!(matches!(
            decoded("GET", &format!("{POOLS}?poolID=4"), ""),
            Ok(Some(Work::Call(Call::FindPool(PoolId(4)))))
        ));
    }

    #[test]
    fn a_pool_s_text_is_json_or_plain() {
        for body in ["\"kept\"", "kept"] {
            let call = call("PUT", &format!("{POOLS}/1/poolmetadata"), body);
            assert!(matches!(call, PoolCall::SetMetadata { metadata, .. } if metadata == "kept"), "{body}");
        }
    }

    #[test]
    fn queues_are_of_a_project_whose_name_keeps_its_case() {
        let target =
            "My%20Project/_apis/distributedtask/queues?queueNames=a,b&queueName=c&queueIds=3&poolIds=7";
        let PoolCall::ListQueues { project, query } = call("GET", target, "") else { panic!("no list") };
        assert_eq!((project.as_str(), query.names.join("")), ("My Project", "abc".to_owned()));
        assert_eq!((query.ids, query.pools), (vec![QueueId(3)], vec![PoolId(7)]));
        let call = call("POST", "p/_apis/distributedtask/queues", r#"{"name":"q","pool":{"id":7}}"#);
        assert!(matches!(call, PoolCall::AddQueue { pool: Some(PoolId(7)), .. }));
    }

    #[test]
    fn a_request_is_queued_by_its_pool_or_by_its_queue() {
        let nil = "00000000-0000-0000-0000-000000000000";
        let body = format!(
            r#"{{"demands":["java",{{"name":"os","value":"linux"}}],"jobName":"j","planId":"{nil}",
                "owner":{{"id":3,"name":"o"}},"data":{{"poolproof.durationMillis":"5000"}}}}"#
        );
        let PoolCall::QueueRequest { pool, draft } = call("POST", &format!("{POOLS}/2/jobrequests"), &body)
        else {
            panic!("no request")
        };
        assert_eq!((pool, draft.plan, draft.name.as_deref()), (PoolId(2), None, Some("j")));
        let demands: Vec<&str> = draft.demands.iter().map(azure_devops::Demand::as_str).collect();
        assert_eq!(
            (demands, draft.duration),
            (vec!["java", "os -equals linux"], Some(model::Millis::seconds(5)))
        );
        assert_eq!((draft.owner, draft.definition), (Some((3, "o".to_owned())), None));
        let queued = call("POST", "p/_apis/distributedtask/queues/4/agentrequests", "{}");
        assert!(matches!(queued, PoolCall::QueueRequestTo { queue: QueueId(4), .. }));
        assert!(decoded("POST", &format!("{POOLS}/2/jobrequests"), r#"{"planId":"x"}"#).is_err());
    }

    #[test]
    fn a_message_is_sent_to_whoever_has_a_request_and_without_one_agents_are_asked_to_update() {
        let body = r#"{"messageType":"Note","body":"hello"}"#;
        let sent = call("POST", &format!("{POOLS}/2/messages?requestId=7"), body);
        assert!(
            matches!(sent, PoolCall::SendMessage { request: RequestId(7), text, .. } if text.body == "hello")
        );
        let refresh = decoded("POST", &format!("{POOLS}/2/messages?agentId=7"), "");
        assert!(matches!(refresh, Ok(Some(Work::Call(Call::RefreshAgents { .. })))));
    }

    #[test]
    fn parallel_jobs_are_set_by_tag() {
        let set = |body: &str| decoded("PUT", "_poolproof/parallel-jobs", body);
        for (body, expected) in [
            (r#"{"limit":2}"#, (ParallelismTag::Private, ParallelJobs::Limited(2))),
            (
                r#"{"parallelismTag":"public","limit":"unlimited"}"#,
                (ParallelismTag::Public, ParallelJobs::Unlimited),
            ),
        ] {
            match set(body) {
                Ok(Some(Work::Call(Call::Pools(call)))) => match *call {
                    PoolCall::SetParallelJobs { tag, limit } => assert_eq!((tag, limit), expected, "{body}"),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
        for body in [r#"{"limit":-1}"#, r#"{"parallelismTag":"hosted","limit":1}"#, "{}"] {
            assert!(matches!(set(body), Err(Refusal::Invalid(_))), "{body}");
        }
    }

    #[test]
    fn a_request_ends_with_the_result_that_is_named() {
        let end = |text: &str| match call("DELETE", &format!("{POOLS}/1/jobrequests/7?{text}"), "") {
            PoolCall::EndJobRequest { result, agent_shutting_down, .. } => (result, agent_shutting_down),
            other => panic!("{other:?}"),
        };
        assert_eq!(end("result=Failed&agentShuttingDown=True"), (JobResult::Failed, true));
        assert_eq!(end("result=2"), (JobResult::Failed, false));
        assert_eq!(end(""), (JobResult::Canceled, false));
        assert!(decoded("DELETE", &format!("{POOLS}/1/jobrequests/7?result=fine"), "").is_err());
    }
}
