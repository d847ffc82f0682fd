//! Agents with a key: their tokens, their sessions' keys, their updates.

use std::sync::Arc;

use azure_devops::limits::{MAX_ASSERTION_ID, MAX_ASSERTION_SECONDS};
use azure_devops::oauth::{Assertion, CLOCK_SKEW_SECONDS, PublicKey};
use azure_devops::{
    AgentDraft, AgentId, AgentVersion, Answer, Call, Caller, MessageContent, Refusal, RequestId, Secret,
    SessionEncryption, Settings,
};
use model::Millis;
use model::event::JobResult;
use uuid::Uuid;

use crate::driver::{Organization, POOL, draft, settings};

fn key() -> Arc<PublicKey> {
    Arc::new(PublicKey { exponent: "AQAB".to_owned(), modulus: "tw==".to_owned() })
}

fn with_key(name: &str) -> AgentDraft {
    AgentDraft { public_key: Some(key()), ..draft(name, &[]) }
}

/// An agent with a key, and its client id.
fn registered(settings: Settings) -> (Organization, AgentId, Uuid) {
    let mut organization = Organization::new(settings);
    let answer = organization.call(Call::RegisterAgent { pool: POOL, draft: with_key("pod-a") });
    let answer = answer.expect("registered");
    let Answer::Agent(agent, _) = answer else { panic!("{answer:?}") };
    let shown = organization.json(&answer);
    let client = shown["authorization"]["clientId"].as_str().expect("a client id").parse().expect("a GUID");
    (organization, agent, client)
}

fn assertion(organization: &Organization, client: Uuid, id: &str) -> Assertion {
    let epoch = organization.service.settings().epoch.as_secs();
    let now = i64::try_from(epoch + organization.now.0 / 1000).expect("a date");
    Assertion {
        issuer: client.to_string(),
        subject: client.to_string(),
        audience: organization.service.authorization_url(),
        id: id.to_owned(),
        not_before: now,
        expires: now + 300,
    }
}

impl Organization {
    fn issue(&mut self, assertion: Assertion) -> Result<Secret, Refusal> {
        match self.call(Call::IssueToken(Box::new(assertion)))? {
            Answer::Token(issued) => Ok(issued.token),
            other => panic!("no token: {other:?}"),
        }
    }
}

#[test]
fn an_agent_with_a_key_is_told_where_to_get_tokens_and_one_without_is_not() {
    let (mut organization, agent, client) = registered(settings());
    let shown = organization.agent(agent);
    let url = format!("http://127.0.0.1:8080/_apis/oauth2/token/{}", organization.service.instance_id());
    assert_eq!(shown["authorization"]["authorizationUrl"], url);
    assert_eq!(shown["authorization"]["publicKey"]["exponent"], "AQAB");
    assert_eq!(organization.service.key_of_client(client), Some(key()));
    let other = organization.register("pod-b");
    assert!(organization.agent(other).get("authorization").is_none());
    assert_eq!(organization.service.key_of_client(Uuid::from_u128(1)), None);
}

#[test]
fn by_a_switch_no_agent_is_told_where_to_get_tokens() {
    let mut settings = settings();
    settings.switches.agent_authorization = false;
    let mut organization = Organization::new(settings);
    let answer = organization.call(Call::RegisterAgent { pool: POOL, draft: with_key("pod-a") });
    assert!(organization.json(&answer.expect("registered")).get("authorization").is_none());
}

#[test]
fn a_token_opens_its_agent_s_session_until_it_runs_out() {
    let (mut organization, agent, client) = registered(settings());
    let token = organization.issue(assertion(&organization, client, "a")).expect("a token");
    let caller = organization.service.authorize(Some(&token)).expect("it opens");
    assert_eq!(caller, Caller::Listener(agent));
    let life = organization.service.settings().switches.listener_token_life;
    organization.pass(life - Millis(1));
    assert!(organization.service.authorize(Some(&token)).is_ok());
    organization.pass(Millis(1));
    assert_eq!(organization.service.authorize(Some(&token)), Err(Refusal::Unauthorized));
    for other in ["listener.0.", "listener.0.00000000000000000000000000000000", "listener.7.x", "listener"] {
        assert_eq!(
            organization.service.authorize(Some(&Secret::new(other))),
            Err(Refusal::Unauthorized),
            "{other}"
        );
    }
}

#[test]
fn a_listener_may_listen_as_itself_and_manages_no_agents() {
    let (mut organization, agent, _) = registered(settings());
    let (other, session) = organization.listen("pod-b");
    let own = organization.open(agent);
    let me = Caller::Listener(agent);
    let poll = |session| Call::Poll { pool: POOL, session, after: None };
    assert_eq!(organization.service.permit(me, &poll(own)), Ok(()));
    assert_eq!(organization.service.permit(me, &poll(session)), Err(Refusal::AccessDenied));
    // That it is gone is the service's to say.
    assert_eq!(organization.service.permit(me, &poll(Uuid::from_u128(1))), Ok(()));
    for agent in [agent, other] {
        let remove = Call::RemoveAgent { pool: POOL, agent };
        assert_eq!(organization.service.permit(me, &remove), Err(Refusal::AccessDenied));
    }
    assert_eq!(organization.service.permit(Caller::Owner, &Call::RemoveAgent { pool: POOL, agent }), Ok(()));
}

#[test]
fn an_assertion_whose_times_are_off_is_refused_with_the_server_s_time() {
    let (mut organization, _, client) = registered(settings());
    let good = assertion(&organization, client, "a");
    let expired = Assertion { expires: good.not_before - 301, ..good.clone() };
    let early = Assertion { not_before: good.not_before + 301, ..good.clone() };
    for (off, why) in [(expired, "expired on"), (early, "not valid until")] {
        let refused = organization.issue(off).expect_err("its times are off").to_string();
        assert!(refused.contains(why) && refused.contains("Current server time is 09/21/2026"), "{refused}");
    }
    for (id, by) in [("b", -299), ("c", 299)] {
        let times = (good.not_before + by, good.expires + by);
        let near = Assertion { id: id.to_owned(), not_before: times.0, expires: times.1, ..good.clone() };
        assert!(organization.issue(near).is_ok(), "{by}");
    }
}

#[test]
fn an_assertion_is_good_once_and_for_this_service_alone() {
    let (mut organization, _, client) = registered(settings());
    let good = assertion(&organization, client, "a");
    assert!(organization.issue(good.clone()).is_ok());
    let others = [
        good.clone(),
        Assertion { id: String::new(), ..good.clone() },
        Assertion { audience: "http://127.0.0.1:8080/other".to_owned(), id: "b".to_owned(), ..good.clone() },
        Assertion { subject: Uuid::nil().to_string(), id: "c".to_owned(), ..good.clone() },
        Assertion { issuer: "nobody".to_owned(), id: "d".to_owned(), ..good.clone() },
    ];
    for other in others {
        let refused = organization.issue(other.clone());
        assert!(matches!(refused, Err(Refusal::InvalidClient(_))), "{other:?}");
    }
    let body: serde_json::Value =
        serde_json::from_slice(&organization.issue(good).expect_err("used").body()).expect("JSON");
    assert_eq!(body["error"], "invalid_client");
}

#[test]
fn an_assertion_that_is_good_for_too_long_or_has_a_long_identifier_is_refused() {
    let (mut organization, _, client) = registered(settings());
    let good = assertion(&organization, client, "one");
    let hour = good.not_before + MAX_ASSERTION_SECONDS;
    for bad in [
        Assertion { expires: hour + CLOCK_SKEW_SECONDS + 1, ..good.clone() },
        Assertion { expires: i64::MAX, ..good.clone() },
        Assertion { id: "x".repeat(MAX_ASSERTION_ID + 1), ..good.clone() },
    ] {
        assert!(matches!(organization.issue(bad), Err(Refusal::InvalidClient(_))));
    }
    organization.issue(Assertion { expires: hour, ..good }).expect("a token");
}

#[test]
fn a_listener_renews_and_ends_its_own_job_alone() {
    let mut organization = Organization::with_template();
    let (own, session) = organization.listen("pod-a");
    let (other, _) = organization.listen("pod-b");
    organization.burst(3);
    let got = organization.take(session);
    let request = got.request;
    let calls = [
        Call::RenewJobRequest { pool: POOL, request, to_top: false },
        Call::FinishJobRequest { pool: POOL, request, result: JobResult::Succeeded },
    ];
    for call in &calls {
        let permit = |agent| organization.service.permit(Caller::Listener(agent), call);
        assert_eq!(permit(own), Ok(()));
        assert_eq!(permit(other), Err(Refusal::JobTokenExpired(request)));
    }
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert_eq!(organization.service.permit(Caller::Listener(own), &calls[0]), Ok(()), "it learns of the end");
}

#[test]
fn a_listener_moves_nothing_to_the_top_and_has_no_job_that_waits() {
    let mut organization = Organization::with_template();
    let (own, session) = organization.listen("pod-a");
    organization.burst(2);
    let request = organization.take(session).request;
    let permit = |call: &Call| organization.service.permit(Caller::Listener(own), call);
    assert_eq!(
        permit(&Call::RenewJobRequest { pool: POOL, request, to_top: true }),
        Err(Refusal::AccessDenied)
    );
    let waits = RequestId(request.0 + 1);
    let finish = Call::FinishJobRequest { pool: POOL, request: waits, result: JobResult::Succeeded };
    assert_eq!(permit(&finish), Err(Refusal::JobTokenExpired(waits)));
}

#[test]
fn an_agent_that_does_not_listen_to_it_is_asked_to_update_once() {
    let mut settings = settings();
    settings.switches.newest_agent = AgentVersion { major: 4, minor: 259, patch: 0 };
    let mut organization = Organization::new(settings);
    let (agent, session) = organization.listen("pod-a");
    let refresh = || Call::RefreshAgents { pool: POOL, agent: Some(agent) };
    for _ in 0..3 {
        organization.call(refresh()).expect("asked");
    }
    let first = organization.message(session);
    assert!(matches!(first.content, MessageContent::Refresh { .. }));
    let held = organization.hold(session, Some(first.id));
    organization.call(refresh()).expect("asked");
    assert!(!organization.answered.contains_key(&held), "it has the message");
    organization.delete(session, first.id).expect("the message");
    organization.call(refresh()).expect("asked");
    assert!(organization.answered.contains_key(&held), "it is asked again");
}

#[test]
fn who_is_unregistered_gets_no_further_token_but_keeps_the_one_it_has() {
    let (mut organization, agent, client) = registered(settings());
    let token = organization.issue(assertion(&organization, client, "a")).expect("a token");
    organization.remove(agent).expect("idle");
    assert!(organization.issue(assertion(&organization, client, "b")).is_err());
    // It is to learn that it is gone, not that it is a stranger.
    assert_eq!(organization.service.authorize(Some(&token)), Ok(Caller::Listener(agent)));
}

#[test]
fn a_session_s_key_and_its_messages_beginnings_are_its_own_and_the_same_for_the_same_seed() {
    let session_key = || {
        let (mut organization, agent, _) = registered(settings());
        let session = organization.open(agent);
        let key = organization.service.session_key(session).expect("a key");
        assert_eq!(key.encryption, SessionEncryption::OaepSha1);
        (key.key, organization.service.message_iv(session, azure_devops::MessageId(1)), organization, session)
    };
    let (key, iv, organization, session) = session_key();
    let (again, iv_again, ..) = session_key();
    assert_eq!((key, iv), (again, iv_again));
    assert_ne!(iv, organization.service.message_iv(session, azure_devops::MessageId(2)));
}

#[test]
fn a_session_has_no_key_without_the_agent_s_or_by_a_switch() {
    let mut organization = Organization::new(settings());
    let (_, session) = organization.listen("pod-b");
    assert!(organization.service.session_key(session).is_none());
    let mut off = settings();
    off.switches.session_encryption = SessionEncryption::Off;
    let (mut organization, agent, _) = registered(off);
    let session = organization.open(agent);
    assert!(organization.service.session_key(session).is_none());
}

#[test]
fn an_old_agent_that_listens_is_asked_to_update_and_is_done_when_it_comes_back() {
    let mut newer = settings();
    newer.switches.newest_agent = AgentVersion { major: 4, minor: 259, patch: 0 };
    let mut organization = Organization::new(newer);
    let (agent, session) = organization.listen("pod-a");
    let offline = organization.register("pod-b");
    organization.call(Call::RefreshAgents { pool: POOL, agent: None }).expect("asked");
    let message = organization.message(session);
    assert!(matches!(message.content, MessageContent::Refresh { agent: asked, .. } if asked == agent));
    let state = |agent| Call::SetUpdateState { pool: POOL, agent, state: "Downloading".to_owned() };
    assert_eq!(organization.read(state(agent))["pendingUpdate"]["currentState"], "Downloading");
    assert_eq!(organization.call(state(offline)).err(), Some(Refusal::NoPendingUpdate(offline)));
    organization.close(session);
    let draft = azure_devops::SessionDraft {
        agent,
        version: Some("4.259.0".into()),
        ..azure_devops::SessionDraft::default()
    };
    organization.call(Call::OpenSession { pool: POOL, draft }).expect("it is back");
    assert!(organization.agent(agent).get("pendingUpdate").is_none());
}

#[test]
fn an_agent_that_is_up_to_date_is_not_asked_to_update() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    organization.call(Call::RefreshAgents { pool: POOL, agent: Some(agent) }).expect("nothing to do");
    organization.hold(session, None);
    assert!(organization.agent(agent).get("pendingUpdate").is_none());
}
