//! How jobs end: finished, renewed, abandoned, cancelled.

use azure_devops::{Answer, BuildCall, Call, MessageContent, Refusal, Reply, RequestId};
use model::event::JobResult;
use model::{Fact, Millis};

use crate::driver::{Got, Organization, POOL, draft};

fn received(organization: &mut Organization) -> (azure_devops::AgentId, uuid::Uuid, Got) {
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    let got = organization.take(session);
    (agent, session, got)
}

#[test]
fn a_job_is_received_by_the_first_renewal_or_the_deletion_whichever_comes_first() {
    let received = |fact: &Fact| matches!(fact, Fact::JobRequestReceived { request: 1, .. });
    let mut renewed = Organization::with_template();
    let (_, session) = renewed.listen("pod-a");
    renewed.burst(1);
    let got = renewed.job(session);
    assert_eq!(renewed.count(received), 0);
    renewed.renew(got.request).expect("renewed");
    assert_eq!(renewed.count(received), 1);
    renewed.delete(session, got.message).expect("deleted");
    assert_eq!(renewed.count(received), 1);

    let mut deleted = Organization::with_template();
    let (_, session) = deleted.listen("pod-a");
    deleted.burst(1);
    let got = deleted.job(session);
    deleted.delete(session, got.message).expect("deleted");
    assert_eq!(deleted.count(received), 1);
    deleted.renew(got.request).expect("renewed");
    assert_eq!(deleted.count(received), 1);
}

#[test]
fn a_renewal_moves_the_lock_on() {
    let mut organization = Organization::with_template();
    let (_, _, got) = received(&mut organization);
    assert_eq!(organization.row(got.request)["lockedUntil"], "2026-09-21T14:23:20Z");
    organization.pass(Millis(60_500));
    let answer = organization.renew(got.request).expect("renewed");
    assert_eq!(organization.json(&answer)["lockedUntil"], "2026-09-21T14:24:20.5Z");
}

#[test]
fn a_renewal_of_what_nobody_has_is_refused() {
    let mut organization = Organization::with_template();
    organization.burst(1);
    assert_eq!(organization.renew(RequestId(1)).err(), Some(Refusal::JobTokenExpired(RequestId(1))));
    assert_eq!(organization.renew(RequestId(9)).err(), Some(Refusal::JobNotFound(RequestId(9))));
    organization.listen("pod-a");
    let unseen = organization.renew(RequestId(1));
    assert_eq!(unseen.err(), Some(Refusal::JobTokenExpired(RequestId(1))), "its agent has not seen it");
}

#[test]
fn a_job_ends_by_its_event_and_its_agent_is_free() {
    let mut organization = Organization::with_template();
    let (agent, _, got) = received(&mut organization);
    organization.complete(got, JobResult::Failed).expect("the end");
    let row = organization.row(got.request);
    assert_eq!((&row["result"], &row["finishTime"]), (&"failed".into(), &"2026-09-21T14:13:20Z".into()));
    assert_eq!(row["reservedAgent"]["id"], agent.0);
    organization.remove(agent).expect("free");
}

#[test]
fn an_event_that_comes_twice_changes_nothing() {
    let mut organization = Organization::with_template();
    let (_, _, got) = received(&mut organization);
    organization.complete(got, JobResult::Succeeded).expect("the end");
    let again = organization.complete(got, JobResult::Failed);
    assert!(matches!(again, Ok(Answer::Done)));
    assert_eq!(organization.ending(got.request), Some(JobResult::Succeeded));
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestFinished { .. })), 1);
}

#[test]
fn an_event_of_another_plan_or_of_a_waiting_job_is_refused() {
    let mut organization = Organization::with_template();
    let (_, _, got) = received(&mut organization);
    let other = Got { plan: uuid::Uuid::nil(), ..got };
    let refused = organization.complete(other, JobResult::Succeeded);
    assert_eq!(refused.err(), Some(Refusal::PlanNotFound(uuid::Uuid::nil())));
    let mut waiting = Organization::with_template();
    waiting.burst(1);
    let plan: uuid::Uuid =
        serde_json::from_value(waiting.row(RequestId(1))["planId"].clone()).expect("a plan");
    let got = Got { plan, request: RequestId(1), ..got };
    let refused = waiting.complete(got, JobResult::Succeeded);
    assert_eq!(refused.err(), Some(Refusal::JobTokenExpired(RequestId(1))));
}

#[test]
fn a_job_may_also_end_by_a_patch_as_older_plans_do() {
    let mut organization = Organization::with_template();
    let (_, _, got) = received(&mut organization);
    let mut finish = |result| {
        organization.call(Call::FinishJobRequest { pool: POOL, request: got.request, result }).map(|_| ())
    };
    assert_eq!(finish(JobResult::SucceededWithIssues), Ok(()));
    assert_eq!(finish(JobResult::Failed), Err(Refusal::JobTokenExpired(got.request)));
    assert_eq!(organization.ending(got.request), Some(JobResult::SucceededWithIssues));
}

#[test]
fn a_job_whose_agent_vanished_is_abandoned_when_the_lock_runs_out() {
    let mut organization = Organization::with_template();
    let (agent, _, got) = received(&mut organization);
    organization.pass(Millis::minutes(9));
    assert_eq!(organization.ending(got.request), None);
    assert_eq!(organization.agent(agent)["status"], "offline", "the session went first");
    assert!(organization.remove(agent).is_err(), "the job still holds it");
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.ending(got.request), Some(JobResult::Abandoned));
    organization.remove(agent).expect("free");
    organization.listen("pod-b");
    assert_eq!(organization.assignments().len(), 1, "it is not queued again");
}

#[test]
fn a_renewed_job_is_not_abandoned() {
    let mut organization = Organization::with_template();
    let (_, session, got) = received(&mut organization);
    for _ in 0..30 {
        organization.pass(Millis::minutes(1));
        organization.renew(got.request).expect("renewed");
        organization.hold(session, None);
    }
    assert_eq!(organization.ending(got.request), None);
    organization.pass(Millis::minutes(10));
    assert_eq!(organization.ending(got.request), Some(JobResult::Abandoned));
}

#[test]
fn an_abandoned_job_s_agent_hears_of_it_when_it_renews() {
    let mut organization = Organization::with_template();
    let (_, _, got) = received(&mut organization);
    organization.pass(Millis::minutes(10));
    assert_eq!(organization.renew(got.request).err(), Some(Refusal::JobTokenExpired(got.request)));
}

#[test]
fn an_agent_that_comes_back_keeps_the_old_job_until_its_lock_runs_out() {
    let mut organization = Organization::with_template();
    let (agent, _, got) = received(&mut organization);
    organization
        .call(Call::ReplaceAgent { pool: POOL, agent, draft: draft("pod-a", &[]) })
        .expect("replaced");
    let session = organization.open(agent);
    organization.burst(1);
    for _ in 0..9 {
        organization.hold(session, None);
        organization.pass(Millis::minutes(1));
    }
    assert_eq!(organization.assignments().len(), 1, "one job an agent");
    organization.hold(session, None);
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.ending(got.request), Some(JobResult::Abandoned));
    assert_eq!(organization.assignments(), [(1, agent.0), (2, agent.0)]);
}

#[test]
fn a_cancelled_build_s_waiting_jobs_end_at_once() {
    let mut organization = Organization::with_template();
    let build = organization.burst(2);
    let (_, session) = organization.listen("pod-a");
    organization.call(Call::Build(BuildCall::cancel(build))).expect("cancelled");
    assert_eq!(organization.ending(RequestId(1)), Some(JobResult::Canceled), "assigned, not received");
    assert_eq!(organization.ending(RequestId(2)), Some(JobResult::Canceled), "queued");
    assert!(matches!(organization.poll(session, None), Reply::Held(_)), "the message is taken back");
    assert_eq!(organization.service.unfinished(), 0);
}

#[test]
fn a_cancelled_build_s_running_job_is_asked_to_end() {
    let mut organization = Organization::with_template();
    let (_, session, got) = received(&mut organization);
    let held = organization.hold(session, Some(got.message));
    organization.call(Call::Build(BuildCall::cancel(azure_devops::BuildId(1)))).expect("cancelled");
    let Ok(Answer::Message(message)) = &organization.answered[&held] else { panic!("no message") };
    let message = *message;
    assert_eq!(message.content, MessageContent::Cancel { request: got.request });
    let envelope = organization.json(&Answer::Message(message));
    assert_eq!(envelope["messageType"], "JobCancellation");
    let body: serde_json::Value =
        serde_json::from_str(envelope["body"].as_str().expect("text")).expect("JSON");
    assert_eq!(body["timeout"], "00:05:00");
    assert_eq!(
        organization.read(Call::Build(BuildCall::get(azure_devops::BuildId(1))))["status"],
        "cancelling"
    );
    organization.complete(got, JobResult::Canceled).expect("the end");
    let build = organization.read(Call::Build(BuildCall::get(azure_devops::BuildId(1))));
    assert_eq!((&build["status"], &build["result"]), (&"completed".into(), &"canceled".into()));
}

#[test]
fn a_cancelled_job_that_does_not_end_is_ended() {
    let mut organization = Organization::with_template();
    let (agent, session, got) = received(&mut organization);
    organization.call(Call::Build(BuildCall::cancel(azure_devops::BuildId(1)))).expect("cancelled");
    organization.call(Call::Build(BuildCall::cancel(azure_devops::BuildId(1)))).expect("cancelled again");
    for _ in 0..5 {
        organization.pass(Millis::minutes(1));
        organization.renew(got.request).expect("it works on");
        organization.poll(session, None);
    }
    assert_eq!(organization.ending(got.request), None);
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.ending(got.request), Some(JobResult::Canceled));
    organization.remove(agent).expect("free");
}
