//! What the real agent's worker sends, as calls.

use axum::http::Method;
use azure_devops::plans::RecordChange;
use azure_devops::wire::{JOB_COMPLETED, WireResult};
use azure_devops::{Call, PlanCall, Refusal, RequestId};
use model::event::JobResult;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Work, read};
use crate::query::Query;
use crate::routes::PlanRoute;

/// A list as it is, or wrapped: `{"count":1,"value":[...]}`. The agent wraps some and not others.
#[derive(Deserialize)]
#[serde(untagged)]
enum MaybeWrapped<T> {
    List(Vec<T>),
    Wrapped { value: Vec<T> },
}

impl<T: DeserializeOwned> MaybeWrapped<T> {
    fn read(body: &[u8]) -> Result<Vec<T>, Refusal> {
        Ok(match read::<Self>(body)? {
            Self::List(list) | Self::Wrapped { value: list } => list,
        })
    }
}

/// Says what such a request asks for, or that its method is not modelled on this route.
pub(super) fn decode(
    method: &Method,
    route: &PlanRoute,
    query: &Query,
    body: &[u8],
) -> Result<Option<Work>, Refusal> {
    let (plan, call) = match (method.as_str(), route) {
        ("GET", PlanRoute::FeatureFlag(name)) => return Ok(Some(Work::Json(feature_flag(name)))),
        ("POST", PlanRoute::Token) => return Err(Refusal::NothingHere("_apis/oauth2/token".to_owned())),
        ("POST", PlanRoute::CustomerIntelligence) => return Ok(Some(Work::Heard)),
        // The agent asks whether the address knows tasks at all; none are kept here (azure-pipelines-agent,
        // TaskServer.cs, `TaskDefinitionEndpointExist` takes both an empty list and a refusal for a yes).
        ("GET", PlanRoute::Task(task)) if query.text("versionstring").is_some() => {
            return Err(Refusal::TaskDefinitionNotFound(task.clone()));
        }
        ("GET", PlanRoute::Tasks | PlanRoute::Task(_)) => {
            return Ok(Some(Work::Json(r#"{"count":0,"value":[]}"#.to_owned())));
        }
        ("GET", PlanRoute::TaskVersion(task)) => return Err(Refusal::TaskDefinitionNotFound(task.clone())),
        ("PUT", PlanRoute::AgentUpdates(pool, agent)) => {
            let state = query.text("currentstate").unwrap_or_default().to_owned();
            return Ok(Some(Work::Call(Call::SetUpdateState { pool: *pool, agent: *agent, state })));
        }
        ("POST", PlanRoute::Events(plan)) => return event(*plan, body).map(|call| Some(Work::Call(call))),
        ("GET", PlanRoute::Plan(plan)) => (plan, PlanCall::Get),
        ("GET", PlanRoute::Timelines(plan)) => (plan, PlanCall::ListTimelines),
        ("POST", PlanRoute::Timelines(plan)) => {
            #[derive(Deserialize)]
            struct NewTimeline {
                id: Uuid,
            }
            (plan, PlanCall::CreateTimeline(read::<NewTimeline>(body)?.id))
        }
        ("GET", PlanRoute::Timeline(plan, timeline)) => {
            let records = query.is_set("includerecords");
            (plan, PlanCall::GetTimeline { timeline: *timeline, records })
        }
        ("PUT", PlanRoute::Timeline(plan, timeline)) => (plan, PlanCall::CreateTimeline(*timeline)),
        ("GET", PlanRoute::Records(plan, timeline)) => (plan, PlanCall::ListRecords(*timeline)),
        ("PATCH", PlanRoute::Records(plan, timeline)) => {
            let changes: Vec<RecordChange> = MaybeWrapped::read(body)?;
            (plan, PlanCall::UpdateRecords { timeline: *timeline, changes })
        }
        ("POST", PlanRoute::Feed { plan, timeline, record }) => (plan, feed(*timeline, *record, body)?),
        ("GET", PlanRoute::Logs(plan)) => (plan, PlanCall::ListLogs),
        ("POST", PlanRoute::Logs(plan)) => {
            #[derive(Deserialize)]
            struct NewLog {
                #[serde(default)]
                path: String,
            }
            (plan, PlanCall::CreateLog { path: read::<NewLog>(body)?.path })
        }
        ("GET", PlanRoute::Log(plan, log)) => {
            let start = query.value("startline")?.unwrap_or_default();
            (plan, PlanCall::ReadLog { log: *log, start, end: query.value("endline")? })
        }
        ("POST", PlanRoute::Log(plan, log)) => {
            let text = String::from_utf8_lossy(body).into_owned();
            (plan, PlanCall::AppendLog { log: *log, text })
        }
        ("PUT", PlanRoute::Attachment(plan, key)) => {
            (plan, PlanCall::PutAttachment { key: key.clone(), content: body.to_vec() })
        }
        ("GET", PlanRoute::Attachment(plan, key)) => (plan, PlanCall::GetAttachment(key.clone())),
        ("GET", PlanRoute::PlanAttachments(plan, kind)) => {
            (plan, PlanCall::ListAttachments { kind: kind.clone() })
        }
        _ => return Ok(None),
    };
    Ok(Some(Work::Call(Call::Plan { plan: *plan, call: Box::new(call) })))
}

/// The end of a job. .NET may leave out a result that is the first of its enum.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Completed {
    request_id: u64,
    result: Option<WireResult>,
    #[serde(default)]
    agent_shutting_down: bool,
}

/// The end of a job, or one of the events that nothing comes of: `JobAssigned`, `JobStarted`, ...
fn event(plan: Uuid, body: &[u8]) -> Result<Call, Refusal> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let name = read::<Named>(body)?.name;
    if !name.eq_ignore_ascii_case(JOB_COMPLETED) {
        return Ok(Call::Plan { plan, call: Box::new(PlanCall::Event { name }) });
    }
    let event: Completed = read(body)?;
    Ok(Call::CompleteJob {
        plan,
        request: RequestId(event.request_id),
        result: event.result.map_or(JobResult::Succeeded, |result| result.0),
        agent_shutting_down: event.agent_shutting_down,
    })
}

fn feed(timeline: Uuid, record: Uuid, body: &[u8]) -> Result<PlanCall, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Lines {
        value: Vec<String>,
        step_id: Option<Uuid>,
    }
    let lines: Lines = read(body)?;
    // A worker without steps says so with the zero GUID.
    let step = lines.step_id.filter(|step| !step.is_nil());
    Ok(PlanCall::AppendFeed { timeline, record, step, lines: lines.value })
}

/// Every feature is off, which is also what an agent takes an error for (azure-pipelines-agent,
/// FeatureFlagProvider.cs).
fn feature_flag(name: &str) -> String {
    serde_json::json!({
        "name": name,
        "description": "",
        "uri": "",
        "effectiveState": "Off",
        "explicitState": "Off",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Uuid = Uuid::from_u128(7);

    fn call(method: &str, route: &PlanRoute, body: &str) -> PlanCall {
        let method = method.parse().expect("a method");
        match decode(&method, route, &Query::default(), body.as_bytes()) {
            Ok(Some(Work::Call(Call::Plan { call, .. }))) => *call,
            other => panic!("no call of a plan: {other:?}"),
        }
    }

    #[test]
    fn records_come_wrapped_or_not() {
        for body in
            [r#"{"count":1,"value":[{"id":"15b95994-7f7f-4d5a-8a3e-3c2c2c2c2c2c"}]}"#, r#"[{"name":"a"}]"#]
        {
            let PlanCall::UpdateRecords { changes, .. } =
                call("PATCH", &PlanRoute::Records(PLAN, PLAN), body)
            else {
                panic!("no records")
            };
            assert_eq!(changes.len(), 1);
        }
    }

    #[test]
    fn the_end_of_a_job_is_told_from_other_events() {
        let events = PlanRoute::Events(PLAN);
        let other =
            call("POST", &events, r#"{"name":"JobStarted","jobId":"15b95994-7f7f-4d5a-8a3e-3c2c2c2c2c2c"}"#);
        assert_eq!(other, PlanCall::Event { name: "JobStarted".to_owned() });
        let end = r#"{"name":"JobCompleted","requestId":7,"result":"Succeeded","agentShuttingDown":true}"#;
        let end = decode(&Method::POST, &events, &Query::default(), end.as_bytes());
        assert!(matches!(end, Ok(Some(Work::Call(Call::CompleteJob { agent_shutting_down: true, .. })))));
        let no_request = decode(&Method::POST, &events, &Query::default(), br#"{"name":"JobCompleted"}"#);
        assert!(matches!(no_request, Err(Refusal::Invalid(_))));
    }

    #[test]
    fn the_zero_step_of_a_feed_is_none() {
        let route = PlanRoute::Feed { plan: PLAN, timeline: PLAN, record: PLAN };
        let body =
            r#"{"count":1,"value":["hello"],"stepId":"00000000-0000-0000-0000-000000000000","startLine":1}"#;
        assert!(matches!(call("POST", &route, body), PlanCall::AppendFeed { step: None, .. }));
    }
}
