//! Agents of a service that has its faults.

use model::event::JobResult;
use model::fault::{CalledBy, NamedAnswer, Route, ServiceAnswer};
use model::{Fact, Instant, Millis};

use super::bench::{Bench, manifest, template};
use crate::node::{FaultAnswer, Faults, Occupation};

/// One fault for a while.
struct Fault {
    from: Instant,
    to: Instant,
    route: Route,
    answer: FaultAnswer,
}

impl Faults for Fault {
    fn intercept(&mut self, now: Instant, route: Route, _caller: CalledBy) -> Option<FaultAnswer> {
        let meant = self.route == Route::All || self.route == route;
        (meant && self.from <= now && now < self.to).then_some(self.answer)
    }
}

fn fault(seconds: (u64, u64), route: Route, answer: Option<ServiceAnswer>, delay: Millis) -> Box<Fault> {
    let at = |seconds: u64| Instant::START + Millis::seconds(seconds);
    let answer = FaultAnswer { answer, delay, delay_per_row: Millis::ZERO };
    Box::new(Fault { from: at(seconds.0), to: at(seconds.1), route, answer })
}

fn idle(bench: &mut Bench) -> controllers::PodId {
    let pod = bench.start(&template(&manifest("Always", "pat", "run")));
    bench.wait(Millis::seconds(60), |bench| bench.is(pod, Occupation::Idle));
    bench.until(Instant(100_000));
    pod
}

#[test]
fn an_agent_outlives_an_outage_and_takes_a_job_afterwards() {
    let mut bench = Bench::new(1);
    let pod = idle(&mut bench);
    bench.faults = fault((100, 220), Route::All, Some(ServiceAnswer::Status(503)), Millis::ZERO);
    bench.until(Instant(220_000));
    assert!(bench.is(pod, Occupation::Idle), "it tries on");
    bench.build(1, Millis::minutes(1));
    bench.wait(Millis::minutes(8), |bench| bench.results() == [JobResult::Succeeded]);
}

#[test]
fn a_hanging_service_is_given_up_after_the_time_limit() {
    let mut bench = Bench::new(2);
    let hang = Some(ServiceAnswer::Named(NamedAnswer::Hang));
    bench.faults = fault((0, 50), Route::Pools, hang, Millis::ZERO);
    let pod = bench.start(&template(&manifest("Never", "pat", "run-docker")));
    bench.until(Instant(125_000));
    assert!(bench.is(pod, Occupation::Runs), "config.sh still waits");
    bench.until(Instant(180_000));
    assert_eq!(bench.exits(), [1]);
}

#[test]
fn a_sign_in_page_in_a_poll_ends_the_listener() {
    let mut bench = Bench::new(3);
    let pod = idle(&mut bench);
    let page = Some(ServiceAnswer::Named(NamedAnswer::SignInPage));
    bench.faults = fault((100, 190), Route::Messages, page, Millis::ZERO);
    bench.until(Instant(190_000));
    assert!(!bench.exits().is_empty());
    bench.wait(Millis::minutes(3), |bench| bench.is(pod, Occupation::Idle));
}

#[test]
fn a_slow_service_only_takes_longer() {
    let mut bench = Bench::new(4);
    bench.faults = fault((0, 10_000), Route::All, None, Millis::seconds(4));
    bench.build(1, Millis::minutes(1));
    let pod = bench.start(&template(&manifest("Never", "pat", "run-docker")));
    let took = bench.wait(Millis::minutes(3), |bench| bench.is(pod, Occupation::Busy));
    assert!(took > Millis::seconds(40), "{took}");
    bench.wait(Millis::minutes(5), |bench| bench.results() == [JobResult::Succeeded]);
    bench.pass(Millis::minutes(1));
    assert_eq!((bench.exits(), bench.registered()), (vec![0], 0));
    assert_eq!(bench.count(|fact| matches!(fact, Fact::SessionOpened { .. })), 1);
}

#[test]
fn broken_json_is_an_error_like_any_other() {
    let mut bench = Bench::new(5);
    let malformed = Some(ServiceAnswer::Named(NamedAnswer::Malformed));
    bench.faults = fault((0, 60), Route::Agents, malformed, Millis::ZERO);
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.until(Instant(60_000));
    assert!(bench.exits().iter().all(|code| *code == 1) && !bench.exits().is_empty());
    bench.wait(Millis::minutes(3), |bench| bench.is(pod, Occupation::Idle));
}
