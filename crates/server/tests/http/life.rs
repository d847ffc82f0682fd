//! An agent's whole life, and builds, as clients live them.

use azure_devops::wire::{JobMessage, MessageEnvelope};
use model::Fact;
use model::event::JobResult;

use crate::client::Served;

pub(crate) const POOL: &str = "_apis/distributedtask/pools/18";
const AGENT: &str = r#"{"name":"pod-a","version":"4.258.1","osDescription":"Linux","maxParallelism":1,"id":0,
    "status":0,"provisioningState":"Provisioned","authorization":{"publicKey":{"exponent":"AQAB","modulus":"AA=="}},
    "systemCapabilities":{"Agent.Name":"pod-a","java":"17"}}"#;

pub(crate) async fn register(served: &Served) -> u64 {
    let agent = served.ask("POST", &format!("{POOL}/agents"), AGENT).await;
    assert_eq!(agent.status, 200);
    agent.json()["id"].as_u64().expect("an id")
}

pub(crate) async fn open(served: &Served, agent: u64) -> String {
    let body = format!(
        r#"{{"sessionId":"00000000-0000-0000-0000-000000000000","ownerName":"pod-a",
            "agent":{{"id":{agent},"name":"pod-a","version":"4.258.1"}},"systemCapabilities":{{"java":"17"}}}}"#
    );
    let session = served.ask("POST", &format!("{POOL}/sessions"), &body).await;
    assert_eq!(session.status, 200);
    session.json()["sessionId"].as_str().expect("an id").to_owned()
}

pub(crate) fn job(body: &[u8]) -> (u64, JobMessage) {
    let envelope: MessageEnvelope = serde_json::from_slice(body).expect("a message");
    (envelope.message_id, serde_json::from_str(&envelope.body).expect("a job"))
}

#[tokio::test]
async fn an_agent_registers_listens_works_and_leaves() {
    let mut served = Served::start().await;
    let agent = register(&served).await;
    let listed = served.get(&format!("{POOL}/agents?agentName=POD-A&includeCapabilities=False")).await.json();
    assert_eq!((&listed["count"], &listed["value"][0]["id"]), (&1.into(), &agent.into()));
    let session = open(&served, agent).await;
    let conflict = format!(r#"{{"ownerName":"x","agent":{{"id":{agent}}}}}"#);
    let conflict = served.ask("POST", &format!("{POOL}/sessions"), &conflict).await;
    assert_eq!(
        (conflict.status, &conflict.json()["typeKey"]),
        (409, &"TaskAgentSessionConflictException".into())
    );

    served.define("ci", 1);
    let messages = format!("{POOL}/messages?sessionId={session}&api-version=5.1-preview.1");
    let queue_later = async {
        // Both polls hang before there is a job.
        while served.organization.held() < 2 {
            tokio::task::yield_now().await;
        }
        served.organization.queue_build("ci").expect("a build");
    };
    let (work, alive, ()) = tokio::join!(served.get(&messages), served.get(&messages), queue_later);
    assert_eq!((work.status, alive.status), (200, 200));
    assert_eq!(work.body, alive.body, "both polls get the message");
    let (message, job) = job(&work.body);
    let busy = served.ask("DELETE", &format!("{POOL}/agents/{agent}"), "").await;
    assert_eq!((busy.status, &busy.json()["typeKey"]), (409, &"TaskAgentJobStillRunningException".into()));

    let request =
        format!("{POOL}/jobrequests/{}?lockToken=00000000-0000-0000-0000-000000000000", job.request_id);
    let renewed = served.ask("PATCH", &request, &format!(r#"{{"requestId":{}}}"#, job.request_id)).await;
    assert!(renewed.json()["lockedUntil"].is_string());
    let delete = format!("{POOL}/messages/{message}?sessionId={session}");
    assert_eq!(served.ask("DELETE", &delete, "").await.status, 204);

    let events = format!(
        "{}/_apis/distributedtask/hubs/Build/plans/{}/events",
        job.plan.scope_identifier, job.plan.plan_id
    );
    let end = format!(
        r#"{{"name":"JobCompleted","jobId":"{}","requestId":{},"result":"Succeeded","agentShuttingDown":true}}"#,
        job.job_id, job.request_id
    );
    assert_eq!(served.ask("POST", &events, &end).await.status, 204);
    assert_eq!(served.ask("DELETE", &format!("{POOL}/sessions/{session}"), "").await.status, 204);
    assert_eq!(served.ask("DELETE", &format!("{POOL}/agents/{agent}"), "").await.status, 204);
    assert_eq!(served.ask("DELETE", &format!("{POOL}/agents/{agent}"), "").await.status, 404);
    let ended = served.event(|fact| match fact {
        Fact::BuildCompleted { build, result } => Some((*build, *result)),
        _ => None,
    });
    assert_eq!(ended.await, (1, JobResult::Succeeded));
}

#[tokio::test]
async fn an_empty_poll_answers_202_without_a_body_when_its_time_is_over() {
    let served = Served::at_speed(30).await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let empty = served.get(&format!("{POOL}/messages?sessionId={session}")).await;
    assert_eq!((empty.status, empty.body.len(), empty.header("content-type")), (202, 0, None));
}

#[tokio::test]
async fn a_silent_agent_goes_offline_and_its_job_is_abandoned_by_time_alone() {
    // Its session lives for five seconds, which is far more than it takes to get the job.
    let mut served = Served::at_speed(60).await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let (message, _) = job(&served.get(&format!("{POOL}/messages?sessionId={session}")).await.body);
    served.ask("DELETE", &format!("{POOL}/messages/{message}?sessionId={session}"), "").await;
    served.event(|fact| matches!(fact, Fact::AgentOffline { .. }).then_some(())).await;
    let result = served.event(|fact| match fact {
        Fact::JobRequestFinished { result, .. } => Some(*result),
        _ => None,
    });
    assert_eq!(result.await, JobResult::Abandoned);
    let agents = served.organization.agents();
    let agent = agents.iter().find(|agent| agent.name == "pod-a").expect("still registered");
    assert!(!agent.online && agent.request.is_none());
}

#[tokio::test]
async fn a_client_that_goes_away_ends_neither_its_session_nor_loses_its_message() {
    let served = Served::start().await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let messages = format!("{POOL}/messages?sessionId={session}");
    let held = async {
        while served.organization.held() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = served.get(&messages) => panic!("the poll is held: {answer:?}"),
        () = held => {}
    }
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let (_, job) = job(&served.get(&messages).await.body);
    assert_eq!(job.request_id, 1);
}

#[tokio::test]
async fn a_poll_that_is_held_when_its_agent_leaves_ends_empty_and_is_not_logged() {
    let mut served = Served::start().await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let messages = format!("{POOL}/messages?sessionId={session}");
    let leave = async {
        while served.organization.held() == 0 {
            tokio::task::yield_now().await;
        }
        served.ask("DELETE", &format!("{POOL}/sessions/{session}"), "").await
    };
    let (held, left) = tokio::join!(served.get(&messages), leave);
    assert_eq!((held.status, held.body.len(), left.status), (202, 0, 204));
    let again = served.get(&messages).await;
    assert_eq!((again.status, &again.json()["typeKey"]), (403, &"TaskAgentSessionExpiredException".into()));
    let logged = served.event(|fact| match fact {
        Fact::Request { status, .. } => Some(*status),
        _ => None,
    });
    assert_eq!(logged.await, 403, "the first request that the log knows is the later poll");
}

#[tokio::test]
async fn held_polls_end_when_their_organization_is_removed() {
    let served = Served::start().await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let messages = format!("{POOL}/messages?sessionId={session}");
    let remove_later = async {
        while served.organization.held() == 0 {
            tokio::task::yield_now().await;
        }
        served.organization.remove();
    };
    let (held, ()) = tokio::join!(served.get(&messages), remove_later);
    assert_eq!(held.status, 404);
}

#[tokio::test]
async fn builds_are_queued_listed_and_cancelled_with_and_without_a_project() {
    let served = Served::start().await;
    served.define("ci", 2);
    let builds = "My%20Project/_apis/build/Builds";
    let build = served
        .ask("POST", builds, r#"{"definition":{"id":1},"sourceBranch":"refs/heads/main"}"#)
        .await
        .json();
    assert_eq!((&build["status"], &build["definition"]["name"]), (&"notStarted".into(), &"ci".into()));
    let listed = served.get("_apis/build/builds?definitions=1&statusFilter=all&$top=20").await.json();
    assert_eq!(listed["count"], 1);
    let cancelled = served.ask("PATCH", &format!("{builds}/{}", build["id"]), r#"{"status":4}"#).await.json();
    assert_eq!((&cancelled["status"], &cancelled["result"]), (&"completed".into(), &"canceled".into()));
    let definitions = served.get("My%20Project/_apis/build/definitions?name=CI").await.json();
    assert_eq!(
        (&definitions["count"], &definitions["value"][0]["queue"]["pool"]["id"]),
        (&1.into(), &18.into())
    );
}

#[tokio::test]
async fn a_build_that_no_agent_could_run_is_refused_with_the_documented_words() {
    let mut served = Served::start().await;
    let definition = r#"{"name":"gpu","pool":"keda-pool","jobs":[{"duration":"1m","demands":["gpu"]}]}"#;
    assert_eq!(served.ask("POST", "_poolproof/definitions", definition).await.status, 200);
    let refused = served.ask("POST", "_apis/build/builds", r#"{"definition":{"name":"gpu"}}"#).await;
    assert_eq!(
        (refused.status, &refused.json()["typeKey"]),
        (400, &"BuildRequestValidationFailedException".into())
    );
    let message = refused.json()["message"].as_str().expect("a message").to_owned();
    assert!(
        message.starts_with("No agent found in pool keda-pool which satisfies the specified demands: gpu")
    );
    let because = served.event(|fact| match fact {
        Fact::BuildRefused { because, .. } => Some(because.clone()),
        _ => None,
    });
    assert_eq!(because.await, message);
}

#[tokio::test]
async fn control_routes_make_pools_with_placeholders_and_definitions_on_them() {
    let served = Served::start().await;
    let pool = r#"{"name":"second","agents":[{"name":"template","capabilities":{"gpu":"1"}}]}"#;
    let pool = served.ask("POST", "_poolproof/pools", pool).await.json();
    assert_eq!((&pool["id"], &pool["size"]), (&19.into(), &1.into()));
    let definition =
        r#"{"name":"gpu","pool":"SECOND","jobs":[{"duration":"1m","demands":["gpu"],"count":3}]}"#;
    served.ask("POST", "_poolproof/definitions", definition).await;
    served.organization.queue_build("gpu").expect("the placeholder satisfies it");
    let jobs = served.get("_apis/distributedtask/pools/19/jobrequests?completedRequestCount=0").await.json();
    assert_eq!(jobs["count"], 3);
    let unreadable = served.ask("POST", "_poolproof/definitions", r#"{"name":"x"}"#).await;
    assert_eq!(unreadable.status, 400);
}
