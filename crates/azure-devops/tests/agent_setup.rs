//! `config.sh` and what the agent makes of the service's words, without sockets.

use std::collections::BTreeMap;

use azure_devops::agent::{
    Call, Failure, FailureKind, Registration, Setup, SetupAnswer, SetupCall, SetupError, SetupResult,
    SetupStep, wire,
};
use azure_devops::{AgentId, PoolId, Refusal, RequestId};
use model::{Instant, Millis};
use uuid::Uuid;

const NOW: Instant = Instant(1000);

fn call(step: SetupStep) -> SetupCall {
    match step {
        SetupStep::Call { call, at, .. } => {
            assert_eq!(at, NOW, "nothing to wait for");
            call
        }
        SetupStep::End(end) => panic!("it has ended: {end:?}"),
    }
}

fn end(step: SetupStep) -> Result<SetupResult, SetupError> {
    match step {
        SetupStep::End(end) => end,
        SetupStep::Call { call, .. } => panic!("it goes on with {call:?}"),
    }
}

fn found(id: u64) -> Result<SetupAnswer, Failure> {
    Ok(SetupAnswer::Found(Some(id)))
}

const NONE: Result<SetupAnswer, Failure> = Ok(SetupAnswer::Found(None));

#[test]
fn a_new_name_is_added_and_a_known_one_replaced_under_its_id() {
    let mut setup = Setup::configure("pool", "pod", true, 1);
    assert_eq!(call(setup.start(NOW)), SetupCall::FindPool { name: "pool".into() });
    assert_eq!(call(setup.answer(NOW, found(18))), SetupCall::FindAgent { pool: 18, name: "pod".into() });
    assert_eq!(call(setup.answer(NOW, NONE)), SetupCall::AddAgent { pool: 18 });
    let registered = end(setup.answer(NOW, Ok(SetupAnswer::Agent(7))));
    assert_eq!(registered, Ok(SetupResult::Registered { pool: 18, agent: 7, replaced: false }));

    let mut setup = Setup::configure("pool", "pod", true, 1);
    setup.answer(NOW, found(18));
    assert_eq!(call(setup.answer(NOW, found(7))), SetupCall::ReplaceAgent { pool: 18, agent: 7 });
    let registered = end(setup.answer(NOW, Ok(SetupAnswer::Agent(7))));
    assert_eq!(registered, Ok(SetupResult::Registered { pool: 18, agent: 7, replaced: true }));
}

#[test]
fn a_taken_name_is_refused_by_the_client_or_in_a_race_by_the_service() {
    let taken = Err(SetupError::AgentExists { pool: 18, name: "pod".to_owned() });
    let mut setup = Setup::configure("pool", "pod", false, 1);
    setup.answer(NOW, found(18));
    assert_eq!(end(setup.answer(NOW, found(7))), taken, "nothing was asked of the service");

    let mut setup = Setup::configure("pool", "pod", true, 1);
    setup.answer(NOW, found(18));
    setup.answer(NOW, NONE);
    let race = Failure::new(FailureKind::AgentExists, "exists");
    assert_eq!(end(setup.answer(NOW, Err(race))), taken);
}

#[test]
fn a_removal_looks_for_the_name_and_deletes_the_id_that_was_stored() {
    let mut setup = Setup::remove(18, 7, "pod", 1);
    assert_eq!(call(setup.start(NOW)), SetupCall::FindAgent { pool: 18, name: "pod".into() });
    // Somebody else has taken the name meanwhile, under another id.
    assert_eq!(call(setup.answer(NOW, found(9))), SetupCall::RemoveAgent { pool: 18, agent: 7 });
    let gone = Failure::new(FailureKind::AgentNotFound, "no agent 7");
    assert_eq!(end(setup.answer(NOW, Err(gone.clone()))), Err(SetupError::Failed(gone)));

    let mut setup = Setup::remove(18, 7, "pod", 1);
    assert_eq!(end(setup.answer(NOW, NONE)), Ok(SetupResult::NotThere));
    let mut setup = Setup::remove(18, 7, "pod", 1);
    setup.answer(NOW, found(7));
    assert_eq!(end(setup.answer(NOW, Ok(SetupAnswer::Done))), Ok(SetupResult::Removed));
}

#[test]
fn an_unavailable_service_is_asked_four_times_in_all() {
    let unavailable = Failure::new(FailureKind::Unavailable, "503");
    let mut setup = Setup::configure("pool", "pod", true, 1);
    let mut pauses = Vec::new();
    let ended = loop {
        match setup.answer(NOW, Err(unavailable.clone())) {
            SetupStep::Call { at, .. } => pauses.push(at.since(NOW)),
            SetupStep::End(end) => break end,
        }
    };
    assert_eq!(ended, Err(SetupError::Failed(unavailable)));
    // Ten seconds and about one, three and seven more.
    let bounds = [(10_800, 11_200), (12_400, 13_600), (15_600, 18_400)];
    assert_eq!(pauses.len(), bounds.len());
    for (pause, (least, most)) in pauses.iter().zip(bounds) {
        assert!((Millis(least)..=Millis(most)).contains(pause), "{pause}");
    }
}

#[test]
fn the_agent_knows_the_refusals_of_the_service_by_their_type_keys() {
    let session = Uuid::from_u128(1);
    let call = Call::Renew { request: 41 };
    for (refusal, kind) in [
        (Refusal::Unauthorized, FailureKind::Unauthorized),
        (Refusal::AccessDenied, FailureKind::AccessDenied),
        (Refusal::PoolNotFound(PoolId(3)), FailureKind::PoolNotFound),
        (Refusal::AgentNotFound(AgentId(5)), FailureKind::AgentNotFound),
        (Refusal::SessionExpired(session), FailureKind::SessionExpired),
        (Refusal::JobNotFound(RequestId(41)), FailureKind::JobNotFound),
        (Refusal::JobTokenExpired(RequestId(41)), FailureKind::JobTokenExpired),
        (Refusal::PlanNotFound(session), FailureKind::PlanNotFound),
        (Refusal::NotModelled { route: "GET /x".to_owned() }, FailureKind::Other),
        (Refusal::AgentExists { pool: "p".to_owned(), name: "n".to_owned() }, FailureKind::AgentExists),
        (
            Refusal::JobStillRunning { agent: "n".to_owned(), pool: "p".to_owned() },
            FailureKind::JobStillRunning,
        ),
        (
            Refusal::SessionConflict { agent: "n".to_owned(), owner: "o".to_owned() },
            FailureKind::SessionConflict,
        ),
    ] {
        let failure = wire::answer(&call, refusal.status(), &refusal.body()).unwrap_err();
        assert_eq!(failure.kind, kind, "{refusal:?}");
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn statuses_count_where_there_is_no_type_key() {
    let call = Call::OpenSession;
    let kind = |status, body: &str| wire::answer(&call, status, body.as_bytes()).unwrap_err().kind;
    assert_eq!(kind(503, "<html>"), FailureKind::Unavailable);
    assert_eq!(kind(429, ""), FailureKind::Other, "the agent does not know to wait");
    assert_eq!(kind(401, ""), FailureKind::Unauthorized);
    assert_eq!(kind(203, "<html>Sign In</html>"), FailureKind::Unauthorized);
    assert_eq!(kind(200, "<html>"), FailureKind::Other);
    assert_eq!(kind(200, r#"{"sessionId":"x","encryptionKey":{"value":"aGk="}}"#), FailureKind::Other);
}

#[test]
fn names_travel_percent_encoded() {
    let find = SetupCall::FindPool { name: "keda pool/ä".into() };
    let target = wire::setup_request(&find, "pod", &BTreeMap::new()).target;
    assert!(target.contains("poolName=keda%20pool%2F%C3%A4&"), "{target}");
    let registration =
        Registration { pool: 18, agent: 7, name: "pod".to_owned(), capabilities: BTreeMap::new() };
    let poll = Call::Poll { session: "s".into(), last_message: Some(3) };
    let request = wire::request(&poll, &registration);
    assert_eq!((request.method, request.body), ("GET", None));
    assert!(
        request.target.starts_with("_apis/distributedtask/pools/18/messages?sessionId=s&lastMessageId=3&")
    );
}
