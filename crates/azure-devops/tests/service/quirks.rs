//! Quirks of the real service: what a scenario says of them is what the service does, and what faults do to it.

use azure_devops::faults::Upset;
use azure_devops::{
    AgentChange, BadToken, Call, JobRequestQuery, Refusal, RequestId, RowOrder, SessionEncryption, Settings,
    Switches,
};
use model::event::JobResult;
use model::quirks::{self, Quirks};
use model::scenario::{self, ParallelJobs};
use model::{Fact, Millis};

use crate::driver::{Organization, POOL, settings, with_placeholder};

fn of(quirks: Quirks) -> Settings {
    let mut settings = with_placeholder(settings(), &[]);
    settings.switches = Switches::of(&quirks);
    settings
}

fn matched(organization: &mut Organization, request: u64) -> Vec<String> {
    let row = organization.row(RequestId(request));
    let agents = row["matchedAgents"].as_array().cloned().unwrap_or_default();
    agents.iter().map(|agent| agent["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn what_a_scenario_says_is_switched_and_the_rest_is_as_ever() {
    assert_eq!(Switches::of(&Quirks::default()), Switches::default());
    let quirks = Quirks {
        bad_token: Some(quirks::BadToken::Redirect),
        row_order: Some(quirks::RowOrder::NewestFirst),
        completed_by_default: Some(5),
        ..Quirks::default()
    };
    let switches = Switches::of(&quirks);
    assert_eq!(switches.bad_token, BadToken::Redirect);
    assert_eq!((switches.row_order, switches.completed_by_default), (RowOrder::NewestFirst, 5));
    let rest = Switches {
        bad_token: BadToken::Unauthorized,
        row_order: RowOrder::UnfinishedFirst,
        completed_by_default: Switches::default().completed_by_default,
        ..switches
    };
    assert_eq!(rest, Switches::default());
}

#[test]
fn limits_of_a_scenario_s_quirks_are_the_organization_s() {
    let mut organization = scenario::Organization::with_pools(Vec::new());
    organization.quirks.receive_limit = Some(Millis::minutes(2));
    organization.quirks.long_poll = Some(Millis::seconds(20));
    let token = azure_devops::Secret::new("pat");
    let settings =
        Settings::new("acme", "http://ado/acme", token, 1, std::time::Duration::ZERO, &organization);
    assert_eq!((settings.receive_limit, settings.long_poll), (Millis::minutes(2), Millis::seconds(20)));
}

#[test]
fn a_poll_is_held_as_long_as_the_switch_says() {
    for seconds in [20, 50] {
        let mut settings = settings();
        settings.long_poll = Millis::seconds(seconds);
        let mut organization = Organization::new(settings);
        let (_, session) = organization.listen("pod-a");
        let held = organization.hold(session, None);
        organization.pass(Millis::seconds(seconds) - Millis(1));
        assert!(!organization.answered.contains_key(&held));
        organization.pass(Millis(1));
        assert!(organization.answered.contains_key(&held));
    }
}

#[test]
fn disabled_agents_match_unless_the_switch_says_otherwise() {
    for (switch, names) in [(None, &["template", "pod-a"][..]), (Some(false), &["template"][..])] {
        let mut organization =
            Organization::new(of(Quirks { disabled_agents_match: switch, ..Quirks::default() }));
        let agent = organization.register("pod-a");
        organization.burst(1);
        assert_eq!(matched(&mut organization, 1), ["template", "pod-a"]);
        let change = AgentChange { enabled: Some(false), ..AgentChange::default() };
        organization.call(Call::UpdateAgent { pool: POOL, agent, change }).expect("changed");
        assert_eq!(matched(&mut organization, 1), names);
    }
}

#[test]
fn rows_with_an_agent_list_who_matches_if_the_switch_says_so() {
    for (switch, count) in [(None, 0), (Some(false), 2)] {
        let quirks = Quirks { matched_agents_on_unassigned_only: switch, ..Quirks::default() };
        let mut organization = Organization::new(of(quirks));
        let (_, session) = organization.listen("pod-a");
        organization.burst(1);
        organization.take(session);
        assert_eq!(matched(&mut organization, 1).len(), count);
    }
}

/// Whether a row has its receive time and its lock.
fn is_received(organization: &mut Organization, request: RequestId) -> (bool, bool) {
    let row = organization.row(request);
    (row.get("receiveTime").is_some(), row.get("lockedUntil").is_some())
}

#[test]
fn receive_time_waits_for_what_the_switch_says_and_the_lock_for_the_first_sign() {
    use quirks::ReceiveTime::{FirstSign, LockRenewed, MessageDeleted};
    // What the agent does first and then, and after which of both there is a receive time.
    for (switch, is_deleted_first, after_the_first) in [
        (None, true, true),
        (None, false, true),
        (Some(FirstSign), true, true),
        (Some(FirstSign), false, true),
        (Some(MessageDeleted), true, true),
        (Some(MessageDeleted), false, false),
        (Some(LockRenewed), true, false),
        (Some(LockRenewed), false, true),
    ] {
        let mut organization = Organization::new(of(Quirks { receive_time: switch, ..Quirks::default() }));
        let (_, session) = organization.listen("pod-a");
        organization.burst(1);
        let got = organization.job(session);
        assert_eq!(is_received(&mut organization, got.request), (false, false), "{switch:?}");
        for (is_deletion, is_told) in [(is_deleted_first, after_the_first), (!is_deleted_first, true)] {
            if is_deletion {
                organization.delete(session, got.message).expect("the message");
            } else {
                organization.renew(got.request).expect("the agent drops its job if this is refused");
            }
            let case = format!("{switch:?}, the message deleted first: {is_deleted_first}");
            assert_eq!(is_received(&mut organization, got.request), (is_told, true), "{case}");
        }
    }
}

#[test]
fn a_job_that_has_ended_has_a_receive_time_whatever_it_waited_for() {
    for switch in [quirks::ReceiveTime::MessageDeleted, quirks::ReceiveTime::LockRenewed] {
        let quirks = Quirks { receive_time: Some(switch), ..Quirks::default() };
        let mut organization = Organization::new(of(quirks));
        let (_, session) = organization.listen("pod-a");
        organization.burst(2);
        let got = organization.job(session);
        organization.pass(Millis::seconds(2));
        organization.complete(got, JobResult::Succeeded).expect("the end");
        assert_eq!(is_received(&mut organization, got.request), (true, true), "{switch:?}");
        assert_eq!(is_received(&mut organization, RequestId(2)), (false, false), "{switch:?}");
    }
}

#[test]
fn a_row_counts_as_received_for_a_scaler_from_its_receive_time_on() {
    let quirks = Quirks { receive_time: Some(quirks::ReceiveTime::LockRenewed), ..Quirks::default() };
    let mut organization = Organization::new(of(quirks));
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    let got = organization.take(session);
    let received = |organization: &mut Organization| {
        let list = organization.rows(JobRequestQuery::default());
        organization.service.rows(&list).map(|row| row.is_received()).collect::<Vec<_>>()
    };
    assert_eq!(received(&mut organization), [false]);
    organization.renew(got.request).expect("renewed");
    assert_eq!(received(&mut organization), [true]);
}

#[test]
fn what_agents_update_to_and_how_their_messages_are_encrypted_is_what_the_scenario_says() {
    let newest = azure_devops::AgentVersion { major: 4, minor: 260, patch: 1 };
    let quirks = Quirks {
        newest_agent: Some(newest),
        session_encryption: Some(quirks::SessionEncryption::OaepSha256),
        ..Quirks::default()
    };
    let switches = Switches::of(&quirks);
    assert_eq!((switches.newest_agent, switches.session_encryption), (newest, SessionEncryption::OaepSha256));
    let none = Quirks { session_encryption: Some(quirks::SessionEncryption::None), ..Quirks::default() };
    assert_eq!(
        Switches::of(&none),
        Switches { session_encryption: SessionEncryption::Off, ..Switches::default() }
    );
}

#[test]
fn statuses_are_as_the_switch_says_and_others_as_ever() {
    let quirks = Quirks {
        job_still_running_status: Some(400),
        session_expired_status: Some(404),
        job_token_expired_status: Some(403),
        ..Quirks::default()
    };
    let (default, switches) = (Switches::default(), Switches::of(&quirks));
    let busy = Refusal::JobStillRunning { agent: "a".to_owned(), pool: "p".to_owned() };
    let expired = Refusal::SessionExpired(uuid::Uuid::nil());
    let lost = Refusal::JobTokenExpired(RequestId(1));
    for (refusal, plain, switched) in [(&busy, 409, 400), (&expired, 403, 404), (&lost, 409, 403)] {
        assert_eq!((default.status(refusal), switches.status(refusal)), (plain, switched));
        assert_eq!(refusal.status(), plain);
    }
    assert_eq!(switches.status(&Refusal::PoolNotFound(POOL)), 404);
}

#[test]
fn rows_run_the_other_way_round_for_one_list_alone() {
    let mut organization = Organization::with_template();
    organization.burst(3);
    let mut ids = |query: JobRequestQuery| organization.rows(query).rows;
    let right = ids(JobRequestQuery::default());
    let top = JobRequestQuery { top: Some(1), reversed: true, ..JobRequestQuery::default() };
    assert_eq!(ids(top), [RequestId(3)]);
    assert_eq!(ids(JobRequestQuery::default()), right);
}

#[test]
fn a_lock_that_is_lost_is_a_job_abandoned_and_one_that_nobody_has_stays() {
    let mut organization = Organization::with_template();
    let (_, session) = organization.listen("pod-a");
    organization.burst(2);
    let got = organization.take(session);
    organization.call(Call::Upset(Upset::LoseLock(got.request))).expect("done");
    assert_eq!(organization.ending(got.request), Some(JobResult::Abandoned));
    assert_eq!(organization.renew(got.request).err(), Some(Refusal::JobTokenExpired(got.request)));
    let waiting = RequestId(2);
    organization.call(Call::Upset(Upset::LoseLock(waiting))).expect("done");
    assert_eq!(organization.ending(waiting), None);
}

#[test]
fn a_message_that_is_lost_is_sent_again_with_the_job_s_next_assignment() {
    let mut organization = Organization::with_template();
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    let message = organization.message(session);
    organization.call(Call::Upset(Upset::LoseMessage { session, message: message.id })).expect("done");
    let held = organization.hold(session, None);
    organization.pass(Millis::seconds(30));
    assert!(!organization.answered.contains_key(&held), "it is not there any more");
    for _ in 0..6 {
        organization.pass(Millis::minutes(1));
        organization.poll(session, None);
    }
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestRequeued { .. })), 1);
    assert!(organization.message(session).id > message.id);
}

#[test]
fn more_parallel_jobs_are_used_at_once_and_fewer_take_nothing_away() {
    let mut organization = Organization::with_template();
    let limit = |organization: &mut Organization, jobs| {
        organization.call(Call::Upset(Upset::ParallelJobs(Some(ParallelJobs::Limited(jobs))))).expect("done");
    };
    limit(&mut organization, 1);
    for name in ["pod-a", "pod-b", "pod-c"] {
        organization.listen(name);
    }
    organization.burst(3);
    assert_eq!(organization.assignments().len(), 1);
    limit(&mut organization, 2);
    assert_eq!(organization.assignments().len(), 2);
    limit(&mut organization, 1);
    assert_eq!(organization.assignments().len(), 2);
}

#[test]
fn a_build_that_no_agent_could_run_is_there_and_has_failed_by_a_switch() {
    for (switch, accepted) in [(None, false), (Some(quirks::QueueTimeFailure::FailedBuild), true)] {
        let mut organization =
            Organization::new(of(Quirks { queue_time_failure: switch, ..Quirks::default() }));
        organization.define("ci", 1, &["gpu"]);
        assert_eq!(organization.queue("ci").is_ok(), accepted);
        let failed = |fact: &Fact| matches!(fact, Fact::BuildCompleted { result: JobResult::Failed, .. });
        assert_eq!(organization.count(failed), usize::from(accepted));
    }
}
