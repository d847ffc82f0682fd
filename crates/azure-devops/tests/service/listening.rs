//! Sessions and messages.

use azure_devops::wire::{JobMessage, MessageEnvelope};
use azure_devops::{Answer, Call, MessageContent, MessageId, PoolId, Refusal, Reply, SessionDraft};
use model::{Fact, Millis};

use crate::driver::{Organization, POOL, draft, owned, settings};

#[test]
fn a_session_makes_its_agent_online_and_its_end_offline() {
    let mut organization = Organization::new(settings());
    let agent = organization.register("pod-a");
    assert_eq!(organization.agent(agent)["status"], "offline");
    let session = organization.open(agent);
    assert_eq!(organization.agent(agent)["status"], "online");
    organization.close(session);
    assert_eq!(organization.agent(agent)["status"], "offline");
    let gone = organization.call(Call::CloseSession { pool: POOL, session });
    assert_eq!(gone.err(), Some(Refusal::SessionExpired(session)));
}

#[test]
fn a_session_brings_the_agent_s_version_and_capabilities() {
    let mut organization = Organization::new(settings());
    let agent = organization.register_with("pod-a", &[("old", "1")]);
    let draft = SessionDraft {
        owner: "pod".into(),
        agent,
        version: Some("4.300.0".into()),
        os_description: None,
        capabilities: Some(owned(&[("new", "1")]).into()),
    };
    let answer = organization.call(Call::OpenSession { pool: POOL, draft }).expect("a session");
    let session = organization.json(&answer);
    assert_eq!(session["agent"]["version"], "4.300.0");
    assert_eq!(session["ownerName"], "pod");
    assert!(session.get("encryptionKey").is_none(), "bodies are plain");
    let agent = organization.agent(agent);
    assert_eq!(agent["osDescription"], "Linux", "what is not told stays");
    assert!(agent["systemCapabilities"].get("old").is_none());
    assert_eq!(agent["systemCapabilities"]["new"], "1");
}

#[test]
fn a_second_session_is_a_conflict_while_the_first_lives() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    let conflict = organization.try_open(agent).expect_err("a conflict");
    assert_eq!(conflict.to_string(), "The task agent pod-a already has an active session for owner pod.");
    assert_eq!(organization.count(|fact| matches!(fact, Fact::SessionRefused { .. })), 1);
    organization.close(session);
    organization.open(agent);
}

#[test]
fn a_session_without_polls_expires() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    organization.pass(Millis::minutes(4));
    organization.hold(session, None);
    organization.pass(Millis::minutes(5));
    assert_eq!(organization.agent(agent)["status"], "online", "the poll counts from its end");
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.agent(agent)["status"], "offline");
    assert!(matches!(organization.poll(session, None), Reply::Refused(Refusal::SessionExpired(_))));
    organization.open(agent);
}

#[test]
fn a_held_poll_keeps_the_session_alive_however_long() {
    let mut settings = settings();
    settings.session_expiry = Millis::seconds(10);
    let mut organization = Organization::new(settings);
    let (agent, session) = organization.listen("pod-a");
    organization.hold(session, None);
    organization.pass(Millis::seconds(50));
    assert_eq!(organization.agent(agent)["status"], "online");
    organization.pass(Millis::seconds(10));
    assert_eq!(organization.agent(agent)["status"], "offline");
}

#[test]
fn a_poll_without_a_message_is_held_and_then_empty() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    let held = organization.hold(session, None);
    organization.pass(Millis(49_999));
    assert!(organization.answered.is_empty());
    organization.pass(Millis(1));
    assert!(matches!(organization.answered[&held], Ok(Answer::NoMessage)));
}

#[test]
fn the_held_polls_of_an_agent_that_ends_its_session_end_empty() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    let polls = [organization.hold(session, None), organization.hold(session, None)];
    organization.close(session);
    for poll in polls {
        assert!(matches!(organization.answered[&poll], Ok(Answer::NoMessage)), "{poll}");
    }
    assert!(matches!(organization.poll(session, None), Reply::Refused(Refusal::SessionExpired(_))));
}

#[test]
fn the_held_polls_of_an_agent_that_others_end_are_refused() {
    let mut organization = Organization::new(settings());
    let (replaced, session) = organization.listen("pod-a");
    let held = organization.hold(session, None);
    let draft = draft("pod-a", &[]);
    organization.call(Call::ReplaceAgent { pool: POOL, agent: replaced, draft }).expect("replaced");
    assert_eq!(organization.answered[&held].as_ref().err(), Some(&Refusal::SessionExpired(session)));
    let (removed, session) = organization.listen("pod-b");
    let held = organization.hold(session, None);
    organization.call(Call::RemoveAgent { pool: POOL, agent: removed }).expect("removed");
    assert_eq!(organization.answered[&held].as_ref().err(), Some(&Refusal::AgentNotFound(removed)));
}

#[test]
fn two_polls_are_held_and_a_third_ends_the_oldest() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    let oldest = organization.hold(session, None);
    let second = organization.hold(session, None);
    assert!(organization.answered.is_empty());
    organization.hold(session, None);
    assert!(matches!(organization.answered[&oldest], Ok(Answer::NoMessage)));
    assert!(!organization.answered.contains_key(&second));
}

#[test]
fn a_message_wakes_every_held_poll_and_stays_until_it_is_deleted() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    let polls = [organization.hold(session, None), organization.hold(session, None)];
    organization.burst(1);
    for poll in polls {
        assert!(matches!(organization.answered[&poll], Ok(Answer::Message(_))), "{poll}");
    }
    let first = organization.message(session);
    assert_eq!(organization.message(session), first, "reading consumes nothing");
    organization.delete(session, first.id).expect("deleted");
    organization.hold(session, None);
    assert_eq!(organization.delete(session, first.id).err(), Some(Refusal::MessageNotFound(first.id)));
}

#[test]
fn a_poll_after_a_message_does_not_get_it_again() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    let message = organization.message(session);
    let after = organization.hold(session, Some(message.id));
    organization.pass(Millis::seconds(1));
    assert!(!organization.answered.contains_key(&after));
    assert!(matches!(organization.poll(session, Some(MessageId(message.id.0 - 1))), Reply::Answer(_)));
}

#[test]
fn a_session_is_not_found_in_another_pool() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    organization.call(Call::CreatePool { name: "other".to_owned(), placeholders: vec![] }).expect("a pool");
    let poll = Call::Poll { pool: PoolId(19), session, after: None };
    assert_eq!(organization.call(poll).err(), Some(Refusal::SessionExpired(session)));
    let open = Call::OpenSession { pool: PoolId(7), draft: SessionDraft::default() };
    assert_eq!(organization.call(open).err(), Some(Refusal::PoolNotFound(PoolId(7))));
}

#[test]
fn a_job_s_message_holds_what_an_agent_needs() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    let message = organization.message(session);
    assert!(
        matches!(message.content, MessageContent::Job { duration, .. } if duration == Millis::minutes(5))
    );
    let mut bytes = Vec::new();
    organization.service.encode(&Answer::Message(message), &mut bytes);
    let envelope: MessageEnvelope = serde_json::from_slice(&bytes).expect("an envelope");
    assert_eq!(envelope.message_type, "PipelineAgentJobRequest");
    let job: JobMessage = serde_json::from_str(&envelope.body).expect("a job");
    assert_eq!((job.request_id, job.job_name.as_str(), job.plan.plan_type.as_str()), (1, "Job 1", "Build"));
    assert!(job.plan.version >= 8, "it ends by an event");
    assert_eq!(job.duration(), Some(Millis::minutes(5)));
    let token = azure_devops::Secret::new(job.access_token().expect("a token"));
    let caller = organization.service.authorize(Some(&token));
    assert_eq!(caller, Ok(azure_devops::Caller::Job(azure_devops::RequestId(1))));
}

#[test]
fn a_job_s_token_opens_its_own_job_only_and_only_while_it_runs() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    let message = organization.message(session);
    let mut bytes = Vec::new();
    organization.service.encode(&Answer::Message(message), &mut bytes);
    let envelope: MessageEnvelope = serde_json::from_slice(&bytes).expect("an envelope");
    let job: JobMessage = serde_json::from_str(&envelope.body).expect("a job");
    let token = azure_devops::Secret::new(job.access_token().expect("a token"));
    let caller = organization.service.authorize(Some(&token)).expect("a caller");
    let got = organization.take(session);
    let renewal = |request: u64| Call::RenewJobRequest {
        pool: POOL,
        request: azure_devops::RequestId(request),
        to_top: false,
    };
    assert!(caller.may(&renewal(1)));
    assert!(!caller.may(&renewal(2)));
    assert!(!caller.may(&Call::RemoveAgent { pool: POOL, agent }));
    organization.complete(got, model::event::JobResult::Succeeded).expect("the end");
    assert_eq!(organization.service.authorize(Some(&token)), Err(Refusal::Unauthorized));
}

#[test]
fn no_token_and_a_wrong_one_open_nothing() {
    let organization = Organization::new(settings());
    let authorize = |token: Option<&str>| {
        let token = token.map(azure_devops::Secret::new);
        organization.service.authorize(token.as_ref())
    };
    assert_eq!(authorize(Some("pat\n")), Ok(azure_devops::Caller::Owner));
    for wrong in [None, Some("pa"), Some("1.abc"), Some("")] {
        assert_eq!(authorize(wrong), Err(Refusal::Unauthorized), "{wrong:?}");
    }
}

#[test]
fn a_replaced_agent_s_old_session_gets_no_job() {
    let mut organization = Organization::new(settings());
    let (agent, old) = organization.listen("pod-a");
    organization
        .call(Call::ReplaceAgent { pool: POOL, agent, draft: draft("pod-a", &[]) })
        .expect("replaced");
    let new = organization.open(agent);
    organization.burst(1);
    assert!(matches!(organization.poll(old, None), Reply::Refused(Refusal::SessionExpired(_))));
    organization.job(new);
}
