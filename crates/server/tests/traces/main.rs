//! The real agent's life as traces: requests as it makes them, in its order, with what it needs in the answers.
//!
//! Data is beside this file: a trace is a list of steps (`script.rs` says what a step may hold). The client signs
//! its assertions and decrypts its messages itself (`agent.rs`), with the key in `agent_key.json`, which is
//! in the form of the agent's own file and was made for these tests.

mod agent;
mod connection;
mod real;
mod replay;
mod script;

use std::time::Duration;

use azure_devops::{AgentVersion, SessionEncryption, Switches};
use model::Millis;
use model::event::JobResult;

use crate::replay::Replay;

/// Longer than any trace takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Replays these traces, one after the other, on a server that is made for them.
async fn replay(speed: u32, switches: Switches, traces: &[&str]) -> Replay {
    let mut replay = Replay::start(speed, switches, None).await;
    play(&mut replay, traces).await;
    replay
}

async fn play(replay: &mut Replay, traces: &[&str]) {
    for trace in traces {
        let played = clock::wall::timeout(LIMIT, replay.play(trace)).await;
        played.unwrap_or_else(|_| panic!("{trace} takes too long"));
    }
}

#[tokio::test]
async fn an_agent_is_configured() {
    let replay = replay(1, Switches::default(), &["configure"]).await;
    assert_eq!(replay.agents(), ["template", "pod-a"]);
}

#[tokio::test]
async fn an_agent_that_is_told_of_no_authorization_is_configured_with_its_token_alone() {
    let switches = Switches { agent_authorization: false, ..Switches::default() };
    replay(1, switches, &["configure_without_authorization"]).await;
}

#[tokio::test]
async fn an_agent_takes_the_place_of_another_of_its_name() {
    let replay = replay(1, Switches::default(), &["configure", "replace"]).await;
    assert_eq!(replay.agents(), ["template", "pod-a"]);
}

#[tokio::test]
async fn an_agent_runs_one_job_and_leaves() {
    let replay = replay(1, Switches::default(), &["configure", "run_once", "remove"]).await;
    assert_eq!(replay.result_of_build(), Some(JobResult::Succeeded));
    assert_eq!(replay.agents(), ["template"]);
}

#[tokio::test]
async fn messages_are_read_however_they_are_encrypted() {
    for session_encryption in [
        SessionEncryption::Off,
        SessionEncryption::PlainKey,
        SessionEncryption::OaepSha1,
        SessionEncryption::OaepSha256,
    ] {
        let switches = Switches { session_encryption, ..Switches::default() };
        let replay = replay(1, switches, &["configure", "run_once"]).await;
        assert_eq!(replay.result_of_build(), Some(JobResult::Succeeded), "{session_encryption:?}");
        assert_eq!(replay.saw_encryption(), session_encryption, "what the agent saw");
    }
}

#[tokio::test]
async fn an_idle_agent_keeps_two_polls_and_stays_online() {
    replay(25, Switches::default(), &["configure", "idle"]).await;
}

#[tokio::test]
async fn a_cancelled_job_ends_cancelled() {
    let replay = replay(1, Switches::default(), &["configure", "cancel"]).await;
    assert_eq!(replay.result_of_build(), Some(JobResult::Canceled));
}

#[tokio::test]
async fn an_agent_that_is_told_to_end_cancels_its_job_and_leaves_nothing_open() {
    let replay = replay(1, Switches::default(), &["configure", "sigterm"]).await;
    assert_eq!(replay.result_of_build(), Some(JobResult::Canceled));
    assert_eq!(replay.agents(), ["template"]);
}

#[tokio::test]
async fn an_agent_that_stays_gets_its_second_job_when_the_first_has_ended() {
    // Two polls of it find nothing.
    let mut replay = Replay::start(1, Switches::default(), Some(Millis::seconds(1))).await;
    play(&mut replay, &["configure", "second_job"]).await;
    assert_eq!(replay.result_of_build(), Some(JobResult::Succeeded));
}

#[tokio::test]
async fn a_job_too_many_stands_in_the_way_of_an_agent_s_removal_if_the_switch_says_so() {
    let switches = Switches { heed_shutting_down: false, ..Switches::default() };
    let unheeded = replay(1, switches, &["configure", "remove_race"]).await;
    let heeded = replay(1, Switches::default(), &["configure", "remove_after_the_last_job"]).await;
    for replay in [unheeded, heeded] {
        assert_eq!(replay.agents(), ["template"]);
        assert_eq!(replay.result_of_build(), None, "the second job waits for an agent");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_between_two_calls_is_refused() {
    let replay = replay(1, Switches::default(), &["configure", "name_taken"]).await;
    assert_eq!(replay.agents(), ["template", "pod-a"]);
}

#[tokio::test]
async fn an_agent_that_was_killed_finds_its_own_session_in_its_way() {
    replay(1, Switches::default(), &["configure", "session_conflict"]).await;
}

#[tokio::test]
async fn an_agent_updates_itself() {
    let newest_agent = AgentVersion { major: 4, minor: 259, patch: 0 };
    replay(1, Switches { newest_agent, ..Switches::default() }, &["configure", "update"]).await;
}

#[tokio::test]
async fn an_agent_whose_token_runs_out_gets_another() {
    // Five seconds, far longer than from its issue to its use.
    let switches = Switches { listener_token_life: Millis::seconds(150), ..Switches::default() };
    replay(30, switches, &["configure", "token_runs_out"]).await;
}

#[tokio::test]
async fn an_assertion_that_is_not_good_gets_no_token() {
    replay(1, Switches::default(), &["configure", "bad_assertions"]).await;
}

#[tokio::test]
async fn a_busy_agent_is_not_removed() {
    replay(1, Switches::default(), &["configure", "remove_busy"]).await;
}

#[tokio::test]
async fn a_job_s_token_opens_its_own_plan_alone() {
    replay(1, Switches::default(), &["configure", "foreign_plan"]).await;
}
