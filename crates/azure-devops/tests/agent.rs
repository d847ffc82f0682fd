//! The agent's machine, fed answers and times, without any service.

use std::time::Duration;

use azure_devops::agent::{
    Answer, Call, CallId, Completion, Failure, FailureKind, Id, Listener, Observation, Output, Settings,
};
use model::event::JobResult;
use model::{Instant, Millis};
use proptest::prelude::*;

const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// A listener and the calls that await an answer.
struct Bench {
    listener: Listener,
    now: Instant,
    calls: Vec<(CallId, Call)>,
    observed: Vec<Observation>,
    exit: Option<i32>,
}

impl Bench {
    fn start(once: bool, seed: u64) -> Self {
        let listener = Listener::new(Settings::new(once, seed, EPOCH));
        let mut bench =
            Self { listener, now: Instant::START, calls: Vec::new(), observed: Vec::new(), exit: None };
        let outputs = bench.listener.start(bench.now);
        bench.take(outputs);
        bench
    }

    fn listening(once: bool) -> Self {
        let mut bench = Self::start(once, 1);
        bench.answer(is_open_session, session("s1"));
        bench
    }

    /// A listener that works on a job of so many minutes.
    fn working(once: bool, minutes: u64) -> Self {
        let mut bench = Self::listening(once);
        bench.answer(is_poll, job(1, 41, Millis::minutes(minutes)));
        let renewed = bench.renewed();
        bench.answer(is_renew, renewed);
        bench.answer(is_delete, Ok(Answer::Done));
        bench
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            assert_eq!(self.exit, None, "nothing comes after the exit, but {output:?} did");
            match output {
                Output::Call { id, call } => self.calls.push((id, call)),
                Output::Abandon(id) => {
                    let position = self.calls.iter().position(|(known, _)| *known == id);
                    self.calls.remove(position.expect("only a call under way is abandoned"));
                }
                Output::Observed(observation) => self.observed.push(observation),
                Output::Exit(code) => self.exit = Some(code),
            }
        }
    }

    fn find(&self, which: fn(&Call) -> bool) -> Option<&Call> {
        self.calls.iter().map(|(_, call)| call).find(|call| which(call))
    }

    fn answer(&mut self, which: fn(&Call) -> bool, answer: Result<Answer, Failure>) {
        let position = self.calls.iter().position(|(_, call)| which(call));
        let (id, _) = self.calls.remove(position.unwrap_or_else(|| panic!("no such call: {:?}", self.calls)));
        let outputs = self.listener.answer(self.now, id, answer);
        self.take(outputs);
    }

    /// Lets time go on to the next thing that is due.
    fn step(&mut self) {
        self.now = self.now.max(self.listener.next_deadline().expect("a live listener awaits something"));
        let outputs = self.listener.advance(self.now);
        self.take(outputs);
    }

    /// Lets time go on until a call is made, and says how long that took.
    fn wait_for(&mut self, which: fn(&Call) -> bool) -> Millis {
        let since = self.now;
        while self.find(which).is_none() {
            assert!(self.now.since(since) < Millis::minutes(60) && self.exit.is_none(), "it was never made");
            self.step();
        }
        self.now.since(since)
    }

    fn renewed(&self) -> Result<Answer, Failure> {
        let now = EPOCH + Duration::from_millis(self.now.0);
        Ok(Answer::Renewed { locked_until: now + Duration::from_secs(600) })
    }

    fn completion(&self) -> Option<&Completion> {
        self.calls.iter().find_map(|(_, call)| match call {
            Call::Complete(completion) => Some(completion.as_ref()),
            _ => None,
        })
    }

    fn stop(&mut self) {
        let outputs = self.listener.stop(self.now);
        self.take(outputs);
    }
}

fn is_open_session(call: &Call) -> bool {
    matches!(call, Call::OpenSession)
}
fn is_close_session(call: &Call) -> bool {
    matches!(call, Call::CloseSession { .. })
}
fn is_poll(call: &Call) -> bool {
    matches!(call, Call::Poll { .. })
}
fn is_keep_alive(call: &Call) -> bool {
    matches!(call, Call::KeepAlive { .. })
}
fn is_delete(call: &Call) -> bool {
    matches!(call, Call::DeleteMessage { .. })
}
fn is_renew(call: &Call) -> bool {
    matches!(call, Call::Renew { .. })
}
fn is_complete(call: &Call) -> bool {
    matches!(call, Call::Complete(_))
}

fn session(id: &str) -> Result<Answer, Failure> {
    Ok(Answer::Session { session: id.into() })
}

fn failure(kind: FailureKind) -> Result<Answer, Failure> {
    Err(Failure::new(kind, format!("{kind:?}")))
}

fn job(message: u64, request: u64, duration: Millis) -> Result<Answer, Failure> {
    let body = serde_json::json!({
        "requestId": request,
        "jobId": format!("job-{request}"),
        "jobName": "Job",
        "plan": { "scopeIdentifier": "project", "planType": "Build", "planId": "plan" },
        "variables": { "poolproof.durationMillis": { "value": duration.0.to_string() } },
    });
    Ok(Answer::Message { message, kind: "pipelineagentjobrequest".to_owned(), body: body.to_string() })
}

fn cancellation(message: u64, request: u64) -> Result<Answer, Failure> {
    let body = format!(r#"{{"jobId":"JOB-{request}","timeout":"00:05:00"}}"#);
    Ok(Answer::Message { message, kind: "JobCancellation".to_owned(), body })
}

fn seconds(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Millis> {
    Millis::seconds(*range.start())..=Millis::seconds(*range.end())
}

#[test]
fn a_session_is_followed_by_two_polls_without_a_last_message() {
    let bench = Bench::listening(false);
    let session: Id = "s1".into();
    assert_eq!(bench.find(is_poll), Some(&Call::Poll { session: session.clone(), last_message: None }));
    assert_eq!(bench.find(is_keep_alive), Some(&Call::KeepAlive { session: session.clone() }));
    assert_eq!(bench.observed, [Observation::Listening { session }]);
}

#[test]
fn after_an_empty_poll_the_loop_rests_five_to_fifteen_seconds() {
    let mut bench = Bench::listening(false);
    let pauses: Vec<Millis> = (0..50)
        .map(|_| {
            bench.answer(is_poll, Ok(Answer::NoMessage));
            bench.wait_for(is_poll)
        })
        .collect();
    assert!(pauses.iter().all(|pause| seconds(5..=15).contains(pause)), "{pauses:?}");
    assert!(pauses.iter().max() > pauses.iter().min(), "the pauses are random");
}

#[test]
fn keep_alive_rests_thirty_seconds_whatever_it_was_told() {
    let mut bench = Bench::listening(false);
    for answer in [Ok(Answer::NoMessage), job(1, 1, Millis(0)), failure(FailureKind::SessionExpired)] {
        bench.answer(is_keep_alive, answer);
        let mut rested = Millis::ZERO;
        while bench.find(is_keep_alive).is_none() {
            let before = bench.now;
            bench.step();
            rested += bench.now.since(before);
            if bench.find(is_poll).is_none() {
                bench.wait_for(is_poll);
            }
        }
        assert_eq!(rested, Millis::seconds(30));
        assert_eq!(bench.find(is_renew), None, "what keep-alive hears of is left alone");
    }
}

#[test]
fn a_session_conflict_is_borne_for_four_minutes() {
    let mut bench = Bench::start(false, 1);
    let mut tries = 0;
    while bench.exit.is_none() {
        bench.wait_for(is_open_session);
        bench.answer(is_open_session, failure(FailureKind::SessionConflict));
        tries += 1;
    }
    assert_eq!((tries, bench.now, bench.exit), (8, Instant(210_000), Some(1)));
    assert!(bench.observed.contains(&Observation::SessionExistsStopRetry));
}

#[test]
fn a_session_conflict_that_ends_in_time_is_forgotten() {
    let mut bench = Bench::start(false, 1);
    for _ in 0..7 {
        bench.answer(is_open_session, failure(FailureKind::SessionConflict));
        assert_eq!(bench.wait_for(is_open_session), Millis::seconds(30));
    }
    bench.answer(is_open_session, session("s1"));
    assert!(bench.find(is_poll).is_some() && bench.exit.is_none());
    assert!(bench.observed.contains(&Observation::Reconnected));
}

#[test]
fn no_session_for_an_agent_that_is_gone_or_unwelcome_and_for_others_patience() {
    for kind in [
        FailureKind::AgentNotFound,
        FailureKind::PoolNotFound,
        FailureKind::AccessDenied,
        FailureKind::Unauthorized,
    ] {
        let mut bench = Bench::start(false, 1);
        bench.answer(is_open_session, failure(kind));
        assert_eq!(bench.exit, Some(1), "{kind:?}");
    }
    let mut bench = Bench::start(false, 1);
    bench.answer(is_open_session, failure(FailureKind::AccessTokenExpired));
    assert_eq!(bench.exit, Some(0), "a token that was revoked ends an agent in order");
    let mut bench = Bench::start(false, 1);
    for _ in 0..200 {
        bench.answer(is_open_session, failure(FailureKind::Other));
        assert_eq!(bench.wait_for(is_open_session), Millis::seconds(30));
    }
}

#[test]
fn failed_polls_back_off_and_later_ones_further() {
    let mut bench = Bench::listening(false);
    for attempt in 1..=12 {
        bench.answer(is_poll, failure(FailureKind::Other));
        let pause = bench.wait_for(is_poll);
        let bounds = if attempt <= 5 { seconds(20..=45) } else { seconds(35..=75) };
        assert!(bounds.contains(&pause), "{pause} after failure {attempt}");
    }
    bench.answer(is_poll, Ok(Answer::NoMessage));
    assert!(seconds(5..=15).contains(&bench.wait_for(is_poll)), "one success and all is well");
    let errors = bench.observed.iter().filter(|seen| matches!(seen, Observation::ConnectError { .. }));
    assert_eq!(errors.count(), 1, "only the first of a series is worth a line");
    assert!(bench.observed.contains(&Observation::Reconnected));
}

#[test]
fn an_unavailable_service_is_asked_three_times_more_before_it_counts_as_a_failure() {
    let mut bench = Bench::listening(false);
    for _ in 0..3 {
        bench.answer(is_poll, failure(FailureKind::Unavailable));
        assert!(seconds(10..=19).contains(&bench.wait_for(is_poll)));
        assert_eq!(bench.observed.len(), 1, "nobody hears of it");
    }
    bench.answer(is_poll, failure(FailureKind::Unavailable));
    assert!(matches!(bench.observed.last(), Some(Observation::ConnectError { .. })));
    assert!(seconds(20..=45).contains(&bench.wait_for(is_poll)));
}

#[test]
fn a_poll_without_an_answer_is_given_up_after_a_hundred_seconds() {
    let mut bench = Bench::listening(false);
    bench.step();
    assert_eq!(bench.now, Instant(100_000));
    assert_eq!(bench.find(is_poll), None);
    assert!(matches!(bench.observed.last(), Some(Observation::ConnectError { .. })));
}

#[test]
fn an_expired_session_is_replaced_while_the_job_goes_on() {
    let mut bench = Bench::working(false, 5);
    bench.answer(is_poll, failure(FailureKind::SessionExpired));
    bench.answer(is_open_session, session("s2"));
    assert!(seconds(5..=15).contains(&bench.wait_for(is_poll)));
    let Some(Call::Poll { session, last_message }) = bench.find(is_poll) else { panic!("it polls") };
    assert_eq!((session.to_string().as_str(), *last_message), ("s2", Some(1)));
    assert!(bench.wait_for(is_renew) <= Millis::seconds(60));
}

#[test]
fn an_agent_that_was_removed_under_way_fails_and_tries_to_close_its_session() {
    let mut bench = Bench::listening(false);
    bench.answer(is_poll, failure(FailureKind::AgentNotFound));
    assert_eq!(bench.find(is_poll), None);
    bench.answer(is_close_session, failure(FailureKind::SessionExpired));
    assert_eq!(bench.exit, Some(2));
}

#[test]
fn a_job_is_locked_then_taken_off_the_queue_and_renewed_every_minute() {
    let mut bench = Bench::listening(false);
    bench.answer(is_poll, job(1, 41, Millis::minutes(3)));
    let calls: Vec<bool> =
        bench.calls.iter().map(|(_, call)| is_renew(call) || is_keep_alive(call)).collect();
    assert_eq!(calls, [true, true, false], "keep-alive, then the lock, then the message's deletion");
    assert_eq!(bench.find(is_poll), None, "no poll before the message is gone");
    bench.answer(is_delete, failure(FailureKind::Other));
    assert!(matches!(bench.find(is_poll), Some(Call::Poll { last_message: Some(1), .. })));
    for minute in 1..=3 {
        let renewed = bench.renewed();
        bench.answer(is_renew, renewed);
        if minute < 3 {
            while bench.find(is_renew).is_none() {
                bench.step();
            }
            assert_eq!(bench.now, Instant::START + Millis::minutes(minute));
        }
    }
    bench.wait_for(is_complete);
    assert_eq!(bench.now, Instant::START + Millis::minutes(3), "the work takes as long as the job says");
    let completion = bench.completion().unwrap();
    assert_eq!((completion.result, completion.agent_shutting_down), (JobResult::Succeeded, false));
    bench.answer(is_complete, Ok(Answer::Done));
    assert_eq!((bench.exit, bench.find(is_renew)), (None, None));
}

#[test]
fn an_agent_that_runs_once_leaves_after_its_job_and_says_so_before() {
    let mut bench = Bench::working(true, 0);
    bench.wait_for(is_complete);
    assert!(bench.completion().unwrap().agent_shutting_down);
    bench.answer(is_complete, Ok(Answer::Done));
    assert!(bench.find(is_poll).is_none() && bench.find(is_keep_alive).is_none());
    bench.answer(is_close_session, Ok(Answer::Done));
    assert_eq!(bench.exit, Some(0));
    assert_eq!(bench.listener.next_deadline(), None);
}

#[test]
fn an_agent_that_runs_once_leaves_a_second_job_on_the_queue() {
    let mut bench = Bench::working(true, 5);
    bench.answer(is_poll, job(2, 42, Millis(0)));
    assert_eq!(bench.find(is_delete), None);
    assert!(matches!(bench.find(is_poll), Some(Call::Poll { last_message: Some(2), .. })));
    let started = bench.observed.iter().filter(|seen| matches!(seen, Observation::JobStarted { .. }));
    assert_eq!(started.count(), 1);
}

#[test]
fn the_next_job_may_come_before_the_last_one_is_acknowledged() {
    let mut bench = Bench::working(false, 0);
    bench.wait_for(is_complete);
    bench.answer(is_poll, job(2, 42, Millis(0)));
    bench.answer(is_delete, Ok(Answer::Done));
    bench.answer(is_complete, Ok(Answer::Done));
    assert!(matches!(bench.find(is_renew), Some(Call::Renew { request: 42 })));
}

#[test]
fn a_job_that_comes_while_another_runs_is_not_run() {
    let mut bench = Bench::working(false, 5);
    bench.answer(is_poll, job(2, 42, Millis(0)));
    assert!(matches!(bench.observed.last(), Some(Observation::JobDropped { request: 42, .. })));
    bench.answer(is_delete, Ok(Answer::Done));
    bench.wait_for(is_complete);
    assert_eq!(bench.completion().unwrap().request, 41);
}

#[test]
fn a_cancelled_job_ends_soon_and_another_jobs_cancellation_means_nothing() {
    let mut bench = Bench::working(true, 5);
    bench.answer(is_poll, cancellation(2, 99));
    assert_eq!(bench.find(is_delete), None, "under --once it stays on the queue");
    bench.answer(is_poll, cancellation(3, 41));
    bench.answer(is_delete, Ok(Answer::Done));
    assert!(bench.wait_for(is_complete) <= Millis::seconds(1));
    assert_eq!(bench.completion().unwrap().result, JobResult::Canceled);
}

#[test]
fn a_job_whose_lock_is_never_held_is_dropped_after_six_tries() {
    let mut bench = Bench::listening(true);
    bench.answer(is_poll, job(1, 41, Millis(0)));
    for _ in 0..5 {
        bench.answer(is_renew, failure(FailureKind::Other));
        assert!(seconds(1..=10).contains(&bench.wait_for(is_renew)));
    }
    bench.answer(is_renew, failure(FailureKind::Other));
    assert!(matches!(bench.observed.last(), Some(Observation::JobDropped { request: 41, .. })));
    assert_eq!(bench.find(is_complete), None, "the service is told nothing");
    bench.answer(is_close_session, Ok(Answer::Done));
    assert_eq!(bench.exit, Some(0), "an agent that runs once is done all the same");
}

#[test]
fn a_job_whose_lock_is_lost_is_cancelled_at_once_or_when_its_time_is_over() {
    let mut bench = Bench::working(false, 60);
    bench.wait_for(is_renew);
    bench.answer(is_renew, failure(FailureKind::JobNotFound));
    assert!(bench.wait_for(is_complete) <= Millis::seconds(1));
    assert_eq!(bench.completion().unwrap().result, JobResult::Canceled);

    let mut bench = Bench::working(false, 60);
    let mut failures = 0;
    while bench.find(is_complete).is_none() {
        if bench.find(is_renew).is_some() {
            bench.answer(is_renew, failure(FailureKind::Other));
            failures += 1;
        }
        bench.step();
    }
    // The lock of ten minutes, five more, and at most one last pause and a second of cancelling.
    let over = Instant::START + Millis::minutes(15);
    assert!(bench.now >= over && bench.now <= over + Millis::seconds(31), "{}", bench.now);
    assert!(failures > 25, "{failures}");
}

#[test]
fn the_end_of_a_job_is_told_five_times_five_seconds_apart() {
    let mut bench = Bench::working(true, 0);
    bench.wait_for(is_complete);
    for _ in 0..4 {
        bench.answer(is_complete, failure(FailureKind::Other));
        assert_eq!(bench.wait_for(is_complete), Millis::seconds(5));
    }
    bench.answer(is_complete, failure(FailureKind::Other));
    assert!(bench.find(is_close_session).is_some(), "then it gives up and leaves");
}

#[test]
fn a_stopped_agent_closes_its_session_and_succeeds() {
    let mut bench = Bench::listening(false);
    bench.stop();
    assert_eq!(bench.calls.len(), 1, "the polls are over");
    bench.answer(is_close_session, Ok(Answer::Done));
    assert_eq!(bench.exit, Some(0));

    let mut bench = Bench::start(false, 1);
    bench.stop();
    assert_eq!((bench.exit, bench.calls.len()), (Some(0), 0), "there is nothing to close yet");
}

#[test]
fn a_stopped_agent_cancels_its_job_first() {
    let mut bench = Bench::working(false, 5);
    bench.stop();
    assert_eq!(bench.find(is_close_session), None);
    bench.wait_for(is_complete);
    assert_eq!(bench.completion().unwrap().result, JobResult::Canceled);
    bench.answer(is_complete, Ok(Answer::Done));
    bench.answer(is_close_session, Ok(Answer::Done));
    assert_eq!(bench.exit, Some(0));
}

#[test]
fn a_session_that_cannot_be_closed_turns_success_into_failure_within_thirty_seconds() {
    let mut bench = Bench::listening(false);
    bench.stop();
    bench.answer(is_close_session, failure(FailureKind::Unavailable));
    while bench.exit.is_none() {
        bench.step();
    }
    assert_eq!((bench.exit, bench.now), (Some(2), Instant(30_000)));
}

/// What the world does next.
#[derive(Debug, Clone)]
enum Event {
    Answer { which: usize, how: usize },
    Step,
    Stop,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0usize..8, 0usize..40).prop_map(|(which, how)| Event::Answer { which, how }),
        4 => Just(Event::Step),
        1 => Just(Event::Stop),
    ];
    prop::collection::vec(event, 0..200)
}

fn any_answer(bench: &Bench, call: &Call, how: usize) -> Result<Answer, Failure> {
    const KINDS: [FailureKind; 9] = [
        FailureKind::SessionConflict,
        FailureKind::SessionExpired,
        FailureKind::AgentNotFound,
        FailureKind::JobNotFound,
        FailureKind::AccessTokenExpired,
        FailureKind::PlanNotFound,
        FailureKind::Unavailable,
        FailureKind::Unreachable,
        FailureKind::Other,
    ];
    if let Some(kind) = KINDS.get(how) {
        return failure(*kind);
    }
    let number = how as u64;
    match call {
        Call::OpenSession => session("s"),
        Call::Poll { .. } | Call::KeepAlive { .. } => match how % 4 {
            0 => Ok(Answer::NoMessage),
            1 => cancellation(number, number - 1),
            _ => job(number, number, Millis::seconds(number)),
        },
        Call::Renew { .. } => bench.renewed(),
        _ => Ok(Answer::Done),
    }
}

proptest! {
    #[test]
    fn whatever_happens_there_is_one_loop_one_lock_and_always_something_awaited(
        seed: u64, once: bool, events in events(),
    ) {
        let mut bench = Bench::start(once, seed);
        let mut completed = Vec::new();
        for event in events {
            if bench.exit.is_some() {
                break;
            }
            match event {
                Event::Step => bench.step(),
                Event::Stop => bench.stop(),
                Event::Answer { which, how } => {
                    if let Some((id, call)) = bench.calls.get(which).cloned() {
                        let answer = any_answer(&bench, &call, how);
                        bench.calls.remove(which);
                        if let (Call::Complete(completion), Ok(_)) = (&call, &answer) {
                            completed.push(completion.request);
                        }
                        let outputs = bench.listener.answer(bench.now, id, answer);
                        bench.take(outputs);
                    }
                }
            }
            let count = |which: fn(&Call) -> bool| bench.calls.iter().filter(|(_, call)| which(call)).count();
            prop_assert!(count(is_poll) + count(is_delete) + count(is_open_session) <= 1);
            prop_assert!(count(is_keep_alive) <= 1 && count(is_renew) <= 1 && count(is_complete) <= 1);
            prop_assert_eq!(bench.listener.next_deadline().is_none(), bench.exit.is_some());
        }
        if once {
            prop_assert!(completed.len() <= 1, "an agent that runs once ends one job: {completed:?}");
        }
        // A stop ends every listener, even if nobody ever answers again.
        bench.stop();
        for _ in 0..1000 {
            if bench.exit.is_none() {
                bench.step();
            }
        }
        prop_assert!(bench.exit.is_some());
        prop_assert!(bench.calls.is_empty());
    }
}

#[test]
fn a_job_that_is_stopped_before_its_lock_is_held_ends_without_a_word() {
    let mut bench = Bench::listening(false);
    bench.answer(is_poll, job(1, 41, Millis::minutes(1)));
    bench.stop();
    assert!(bench.observed.iter().any(|seen| matches!(seen, Observation::JobDropped { request: 41, .. })));
    assert!(bench.find(is_renew).is_none() && bench.find(is_complete).is_none());
    bench.answer(is_close_session, Ok(Answer::Done));
    assert_eq!(bench.exit, Some(0));
}
