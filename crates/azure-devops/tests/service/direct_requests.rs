//! Job requests without a build, and messages to the agent of one.

use azure_devops::{
    Answer, Call, DEFAULT_DURATION, JobRequestQuery, MessageContent, PlanCall, PoolCall, QueueId, Refusal,
    RequestDraft, RequestId, SentText,
};
use model::event::JobResult;
use model::{Fact, Millis};
use serde_json::Value;
use uuid::Uuid;

use crate::driver::{Organization, POOL};

fn queue(organization: &mut Organization, draft: RequestDraft) -> Result<RequestId, Refusal> {
    match organization.call(PoolCall::QueueRequest { pool: POOL, draft }.into())? {
        Answer::JobRequest(id) => Ok(id),
        other => panic!("no request: {other:?}"),
    }
}

fn send(organization: &mut Organization, request: RequestId, kind: &str) -> Result<Answer, Refusal> {
    let text = SentText { kind: kind.to_owned(), body: "hello".to_owned() };
    organization.call(PoolCall::SendMessage { pool: POOL, request, text }.into())
}

#[test]
fn a_request_that_is_queued_directly_is_a_job_like_any_other() {
    let mut organization = Organization::with_template();
    let draft = RequestDraft {
        name: Some("by hand".to_owned()),
        owner: Some((7, "somebody".to_owned())),
        plan_type: Some("Release".to_owned()),
        ..RequestDraft::default()
    };
    let request = queue(&mut organization, draft).expect("a request");
    let row = organization.row(request);
    assert_eq!((&row["owner"]["id"], &row["owner"]["name"]), (&7.into(), &"somebody".into()));
    assert_eq!((&row["planType"], row.get("definition")), (&"Release".into(), None));
    assert_eq!(row["matchedAgents"][0]["name"], "template");
    let listed = organization.rows(JobRequestQuery::default());
    assert_eq!(listed.rows, [request]);

    let (_, session) = organization.listen("pod-a");
    let message = organization.message(session);
    assert!(matches!(message.content, MessageContent::Job { duration, .. } if duration == DEFAULT_DURATION));
    let got = organization.take(session);
    let plan = Call::Plan { plan: got.plan, call: Box::new(PlanCall::ListRecords(got.plan)) };
    let records = organization.read(plan);
    assert_eq!(records["value"][0]["name"], "by hand");
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert_eq!(organization.row(request)["result"], "succeeded");
    assert_eq!(organization.service.unfinished(), 0);
    assert_eq!(organization.count(|fact| matches!(fact, Fact::BuildCompleted { .. })), 0);
}

#[test]
fn a_request_keeps_the_ids_and_the_duration_that_it_is_given() {
    let mut organization = Organization::with_template();
    let [plan, job] = [1, 2].map(|number| Some(Uuid::from_u128(number)));
    let draft = RequestDraft { plan, job, duration: Some(Millis(5)), ..RequestDraft::default() };
    let request = queue(&mut organization, draft.clone()).expect("a request");
    let row = organization.row(request);
    let id = |member: &str| row[member].as_str().and_then(|id| id.parse().ok());
    assert_eq!((id("planId"), id("jobId")), (plan, job));
    assert!(matches!(queue(&mut organization, draft), Err(Refusal::Invalid(_))), "that job is there");
    let (_, session) = organization.listen("pod-a");
    let message = organization.message(session);
    assert!(matches!(message.content, MessageContent::Job { duration: Millis(5), .. }));
}

#[test]
fn a_request_that_no_agent_could_run_or_that_is_too_long_is_refused() {
    let mut organization = Organization::with_template();
    let demands = vec!["gpu".parse().expect("a demand")];
    let refused = queue(&mut organization, RequestDraft { demands, ..RequestDraft::default() });
    assert!(matches!(refused, Err(Refusal::NoAgentSatisfies { .. })));
    let name = Some("x".repeat(5_000));
    assert!(matches!(
        queue(&mut organization, RequestDraft { name, ..RequestDraft::default() }),
        Err(Refusal::Invalid(_))
    ));
    assert_eq!(organization.service.unfinished(), 0);
}

#[test]
fn a_queue_s_request_is_its_project_s() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let queue = QueueId(2);
    let to = |project: &str| PoolCall::QueueRequestTo {
        project: project.to_owned(),
        queue,
        draft: RequestDraft::default(),
    };
    let row = organization.read(to("shop").into());
    let project = organization.read(azure_devops::BuildCall::GetProject("shop".to_owned()).into());
    assert_eq!(row["scopeId"], project["id"]);
    let query = JobRequestQuery::default();
    let listed = |organization: &mut Organization, project: &str, queue: u64| -> Result<Value, Refusal> {
        let project = project.to_owned();
        let call = PoolCall::ListQueueRequests { project, queue: QueueId(queue), query: query.clone() };
        organization.call(call.into()).map(|answer| organization.json(&answer)["count"].clone())
    };
    assert_eq!(listed(&mut organization, "shop", 2), Ok(1.into()));
    assert_eq!(listed(&mut organization, "poolproof", 1), Ok(0.into()));
    assert_eq!(organization.call(to("poolproof").into()).err(), Some(Refusal::QueueNotFound(queue)));
}

#[test]
fn a_message_reaches_the_agent_that_has_the_request() {
    let mut organization = Organization::with_template();
    let request = queue(&mut organization, RequestDraft::default()).expect("a request");
    assert!(matches!(send(&mut organization, request, "Note"), Err(Refusal::Invalid(_))), "nobody has it");
    let (_, session) = organization.listen("pod-a");
    let got = organization.take(session);
    let held = organization.hold(session, Some(got.message));
    send(&mut organization, request, "Note").expect("sent");
    let answer = organization.answered.remove(&held).expect("answered").expect("a message");
    let message = organization.json(&answer);
    assert_eq!((&message["messageType"], &message["body"]), (&"Note".into(), &"hello".into()));
    let again = organization.message(session);
    organization.delete(session, again.id).expect("deleted");
    assert_eq!(organization.ending(request), None, "its job goes on");
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert!(matches!(send(&mut organization, request, "Note"), Err(Refusal::Invalid(_))), "it is over");
}

#[test]
fn messages_that_somebody_sends_have_a_type_and_are_bounded() {
    let mut organization = Organization::with_template();
    let request = queue(&mut organization, RequestDraft::default()).expect("a request");
    let (_, session) = organization.listen("pod-a");
    organization.take(session);
    assert!(matches!(send(&mut organization, request, ""), Err(Refusal::Invalid(_))));
    for _ in 0..100 {
        send(&mut organization, request, "Note").expect("sent");
    }
    assert!(matches!(send(&mut organization, request, "Note"), Err(Refusal::Full { .. })));
}
