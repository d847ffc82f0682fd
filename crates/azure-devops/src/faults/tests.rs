//! What faults hit, and what they do not.

use model::MillisRange;

use super::*;

fn asked(seconds: u64, route: Route, caller: CalledBy) -> Asked {
    let credential = Shown::PersonalAccessToken;
    Asked { at: Instant::START + Millis::seconds(seconds), route: Some(route), caller, credential }
}

fn keda(seconds: u64) -> Asked {
    asked(seconds, Route::JobRequests, CalledBy::Keda)
}

fn agent(route: Route) -> Asked {
    asked(0, route, CalledBy::Agent)
}

fn with(fault: ServiceFault) -> Faults {
    let mut faults = Faults::new(1);
    faults.begin(FaultId::Scenario(0), fault);
    faults
}

fn named(answer: NamedAnswer) -> ServiceFault {
    ServiceFault { answer: Some(ServiceAnswer::Named(answer)), ..ServiceFault::default() }
}

fn status(status: u16) -> ServiceFault {
    ServiceFault { answer: Some(ServiceAnswer::Status(status)), ..ServiceFault::default() }
}

fn message(id: u64) -> Message {
    let content = crate::MessageContent::Cancel { request: RequestId(7) };
    Message { id: MessageId(id), content }
}

#[test]
fn a_fault_is_about_its_route_and_its_caller_while_it_is_on() {
    let mut faults = with(ServiceFault { route: Route::JobRequests, caller: CalledBy::Keda, ..status(503) });
    assert!(faults.effect(&keda(0)).is_some());
    assert!(faults.effect(&asked(0, Route::Pools, CalledBy::Keda)).is_none());
    assert!(faults.effect(&asked(0, Route::JobRequests, CalledBy::Other)).is_none());
    assert!(faults.effect(&Asked { route: None, ..keda(0) }).is_none());
    assert_eq!(faults.hits(FaultId::Scenario(0)), Some(1));
    faults.end(FaultId::Scenario(0));
    assert!(faults.effect(&keda(0)).is_none() && faults.is_empty());
}

#[test]
fn a_fault_of_every_route_is_about_unknown_ones_too() {
    let mut faults = with(status(503));
    assert!(faults.effect(&Asked { route: None, ..keda(0) }).is_some());
    assert!(faults.effect(&agent(Route::Messages)).is_some());
}

#[test]
fn a_fault_of_a_credential_is_about_those_who_show_it() {
    let mut faults = with(ServiceFault { credential: Shown::JobToken, ..status(403) });
    assert!(faults.effect(&Asked { credential: Shown::JobToken, ..agent(Route::Locks) }).is_some());
    assert!(faults.effect(&agent(Route::Locks)).is_none());
}

#[test]
fn an_expired_token_is_that_of_people_and_not_that_of_a_job() {
    let mut faults = with(named(NamedAnswer::TokenExpired));
    assert!(faults.effect(&keda(0)).is_some());
    assert!(faults.effect(&Asked { credential: Shown::JobToken, ..agent(Route::Locks) }).is_none());
    assert!(faults.effect(&Asked { credential: Shown::Nothing, ..keda(0) }).is_none());
}

#[test]
fn of_several_faults_the_first_answer_counts_and_the_longest_delay() {
    let delay = |seconds| Some(MillisRange::exactly(Millis::seconds(seconds)));
    let mut faults = with(ServiceFault { delay: delay(5), ..ServiceFault::default() });
    faults.begin(FaultId::Scenario(1), ServiceFault { delay: delay(3), ..named(NamedAnswer::Hang) });
    faults.begin(FaultId::Control(1), status(500));
    let effect = faults.effect(&keda(0)).expect("an effect");
    assert_eq!(effect.delay, Millis::seconds(5));
    let hang = ServiceAnswer::Named(NamedAnswer::Hang);
    assert_eq!(effect.answer, Some((FaultId::Scenario(1), hang)));
}

#[test]
fn only_the_first_are_hit_if_they_are_counted() {
    let mut faults = with(ServiceFault { count: Some(2), ..status(500) });
    let hit: Vec<bool> = (0..4).map(|second| faults.effect(&keda(second)).is_some()).collect();
    assert_eq!(hit, [true, true, false, false]);
}

#[test]
fn by_chance_a_share_is_hit_and_the_same_for_the_same_seed() {
    let fault = ServiceFault { percent: Some(30), ..status(500) };
    let hit = |seed| -> Vec<bool> {
        let mut faults = Faults::new(seed);
        faults.begin(FaultId::Scenario(0), fault.clone());
        (0..1000).map(|second| faults.effect(&keda(second)).is_some()).collect()
    };
    let share = hit(1).iter().filter(|hit| **hit).count();
    assert!((250..350).contains(&share), "{share} of 1000");
    assert_eq!(hit(1), hit(1));
    assert_ne!(hit(1), hit(2));
}

#[test]
fn a_random_delay_lies_within_its_range_and_moves_no_other_fault() {
    let range = MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) };
    let fault = ServiceFault { delay: Some(range), ..ServiceFault::default() };
    let mut alone = with(fault.clone());
    let mut beside = with(fault.clone());
    beside.begin(FaultId::Scenario(1), ServiceFault { percent: Some(50), ..status(500) });
    for second in 0..100 {
        let delay = alone.effect(&keda(second)).expect("an effect").delay;
        assert!(range.least <= delay && delay <= range.most);
        assert_eq!(beside.effect(&keda(second)).expect("an effect").delay, delay);
    }
}

#[test]
fn a_budget_is_told_near_its_end_then_delays_then_blocks_and_fills_up_again() {
    let budget = Budget {
        units: 10,
        window: Millis::seconds(100),
        per_request: 1,
        longest_delay: Millis::seconds(30),
    };
    let mut faults = with(ServiceFault { budget: Some(budget), ..ServiceFault::default() });
    let mut ask = |second| faults.effect(&keda(second)).expect("an effect");
    // Light use: nothing is told of it.
    for _ in 0..7 {
        assert_eq!(ask(0), Effect::default());
    }
    let near = ask(0).rate.expect("headers");
    assert_eq!((near.limit, near.remaining, near.delay), (10, 2, Millis::ZERO));
    assert_eq!(near.reset, Millis::seconds(80));
    ask(0);
    assert_eq!(ask(0).rate.expect("headers").remaining, 0);
    // A unit comes back in ten seconds: three more are lent, and no fourth.
    for owed in [10, 20, 30] {
        let effect = ask(0);
        assert_eq!((effect.delay, effect.answer), (Millis::seconds(owed), None));
    }
    let blocked = ask(0);
    assert_eq!(blocked.answer, Some((FaultId::Scenario(0), ServiceAnswer::Status(BLOCKED))));
    assert_eq!(blocked.rate.expect("headers").retry_after, Some(Millis::seconds(10)));
    // What was refused took nothing.
    assert_eq!(ask(10).delay, Millis::seconds(30));
    assert_eq!(ask(200), Effect::default());
}

#[test]
fn each_caller_has_a_budget_of_its_own() {
    let budget = Budget { units: 1, longest_delay: Millis::ZERO, ..Budget::default() };
    let mut faults = with(ServiceFault { budget: Some(budget), ..ServiceFault::default() });
    assert!(faults.effect(&keda(0)).expect("an effect").answer.is_none());
    assert!(faults.effect(&keda(0)).expect("an effect").answer.is_some());
    assert!(faults.effect(&agent(Route::Messages)).expect("an effect").answer.is_none());
}

#[test]
fn a_lost_message_is_lost_to_both_polls_and_the_next_is_not() {
    let session = Uuid::from_u128(1);
    let mut faults = with(ServiceFault { count: Some(1), ..named(NamedAnswer::MessageLost) });
    let poll = agent(Route::Messages);
    assert_eq!(faults.message(&poll, session, message(1)), Fate::Lost);
    assert_eq!(faults.message(&poll, session, message(1)), Fate::Lost);
    assert_eq!(faults.message(&poll, session, message(2)), Fate::Arrives);
    assert!(faults.effect(&poll).is_none(), "a poll itself is answered as ever");
}

#[test]
fn a_doubled_message_comes_again_to_the_poll_for_work_once() {
    let session = Uuid::from_u128(1);
    let mut faults = with(named(NamedAnswer::MessageTwice));
    assert_eq!(faults.message(&agent(Route::Messages), session, message(5)), Fate::Twice);
    let can_come = |_: &Message| true;
    assert_eq!(faults.again(session, None, can_come), None, "the poll that keeps alive throws it away");
    assert_eq!(faults.again(Uuid::from_u128(2), Some(MessageId(5)), can_come), None);
    assert_eq!(faults.again(session, Some(MessageId(5)), can_come), Some(message(5)));
    assert_eq!(faults.again(session, Some(MessageId(5)), can_come), None);
}

#[test]
fn a_doubled_message_does_not_outlive_its_session() {
    let session = Uuid::from_u128(1);
    let mut faults = with(named(NamedAnswer::MessageTwice));
    assert_eq!(faults.message(&agent(Route::Messages), session, message(5)), Fate::Twice);
    faults.end(FaultId::Scenario(0));
    assert!(!faults.is_empty(), "it is still to come");
    assert_eq!(faults.again(session, Some(MessageId(5)), |_| false), None);
    assert!(faults.is_empty());
}

#[test]
fn of_doubled_messages_as_many_are_remembered_as_there_can_be_sessions() {
    let mut faults = with(named(NamedAnswer::MessageTwice));
    let most = MAX_AGENTS as u64;
    for number in 0..=most {
        faults.message(&agent(Route::Messages), Uuid::from_u128(number.into()), message(number));
    }
    let mut again = |number: u64| {
        faults.again(Uuid::from_u128(number.into()), Some(MessageId(number)), |_| true).is_some()
    };
    assert!(!again(0) && again(1) && again(most));
}

#[test]
fn a_lock_is_lost_at_the_renewals_that_are_hit() {
    let mut faults =
        with(ServiceFault { route: Route::Locks, count: Some(1), ..named(NamedAnswer::LockLost) });
    assert!(!faults.loses_lock(&keda(0)));
    assert!(faults.loses_lock(&agent(Route::Locks)));
    assert!(!faults.loses_lock(&agent(Route::Locks)));
}

#[test]
fn of_several_numbers_of_parallel_jobs_the_first_counts_while_it_is_on() {
    let jobs =
        |jobs| ServiceFault { parallel_jobs: Some(ParallelJobs::Limited(jobs)), ..ServiceFault::default() };
    let mut faults = with(jobs(2));
    faults.begin(FaultId::Scenario(1), jobs(5));
    assert_eq!(faults.parallel_jobs(), Some(ParallelJobs::Limited(2)));
    assert!(faults.effect(&keda(0)).is_none(), "no request is hit by it");
    faults.end(FaultId::Scenario(0));
    assert_eq!(faults.parallel_jobs(), Some(ParallelJobs::Limited(5)));
    faults.end(FaultId::Scenario(1));
    assert_eq!(faults.parallel_jobs(), None);
}
