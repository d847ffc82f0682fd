//! Faults of the service in simulated runs: what KEDA, agents and jobs make of each, and what is not modelled.

#[expect(dead_code, reason = "shared with the test of the invariants")]
mod random;

use model::event::JobResult;
use model::{Event, Fact, Instant, Millis};
use random::case::Case;
use semver::Version;
use twin::Limits;

const MANIFESTS: &str = concat!(
    include_str!("../../../scenarios/article/deployment.yml"),
    "\n---\n",
    include_str!("../../../scenarios/article/scale-object.yml")
);

fn scenario(fault: &str, organization: &str) -> String {
    format!(
        "name: faults
about: One fault.
organization: {{ pools: [{{ name: keda-pool, id: 18 }}]{organization} }}
manifests: [manifest.yml]
substitute:
  https://dev.azure.com/your-organization: organization_url
  personal access token, base64: personal_access_token_base64
load:
  - {{ at: 1m, builds: 4, duration: 4m }}
faults:
  - service: {fault}
until: settled
at_most: 60m
"
    )
}

fn simulate(fault: &str, organization: &str) -> Result<Vec<Event>, String> {
    let case = Case::read(&scenario(fault, organization), MANIFESTS, Version::new(2, 21, 0))?;
    case.run(1, true, Limits { events: 2_000_000 }).map(|ended| ended.events)
}

fn run(fault: &str) -> Vec<Event> {
    simulate(fault, "").expect("a simulated run")
}

/// A read's status, rows and latency.
type Read = (u16, usize, u64);

/// Statuses, rows and latencies of KEDA's reads while the fault was on, and of the others.
fn reads(events: &[Event]) -> (Vec<Read>, Vec<Read>) {
    let when = |like: fn(&Fact) -> bool| events.iter().find(|event| like(&event.fact)).map(|event| event.at);
    let from = when(|fact| matches!(fact, Fact::FaultOn { .. })).expect("it begins");
    let to = when(|fact| matches!(fact, Fact::FaultOff { .. })).unwrap_or(Instant(u64::MAX));
    let read = |event: &Event| match &event.fact {
        Fact::ScalerRead { status, rows, latency_ms, .. } => {
            let asked = Instant(event.at.0.saturating_sub(*latency_ms));
            Some((from <= asked && asked < to, (*status, rows.len(), *latency_ms)))
        }
        _ => None,
    };
    let (hit, not): (Vec<_>, Vec<_>) = events.iter().filter_map(read).partition(|(on, _)| *on);
    let told = |reads: Vec<(bool, Read)>| reads.into_iter().map(|(_, read)| read).collect();
    (told(hit), told(not))
}

fn count(events: &[Event], like: impl Fn(&Fact) -> bool) -> usize {
    events.iter().filter(|event| like(&event.fact)).count()
}

fn results(events: &[Event]) -> Vec<JobResult> {
    let result = |event: &Event| match &event.fact {
        Fact::JobRequestFinished { result, .. } => Some(*result),
        _ => None,
    };
    events.iter().filter_map(result).collect()
}

/// The statuses that KEDA meets while an answer is on, and that all is well before and after.
#[test]
fn each_answer_is_met_while_it_is_on_and_not_before_or_after() {
    for (answer, status) in [
        ("503", 503),
        ("403", 403),
        ("429", 429),
        ("sign_in_page", 203),
        ("redirect", 302),
        ("token_expired", 401),
        ("truncated", 0),
        ("hang", 0),
        ("malformed", 200),
        ("without_list", 200),
        ("reordered", 200),
        ("stale", 200),
    ] {
        let fault = format!("{{ from: 2m, to: 4m, route: job_requests, caller: keda, answer: {answer} }}");
        let events = run(&fault);
        let (hit, not) = reads(&events);
        assert!(hit.len() > 4 && hit.iter().all(|(found, ..)| *found == status), "{answer}: {hit:?}");
        assert!(not.len() > 4 && not.iter().all(|(found, ..)| *found == 200), "{answer}: {not:?}");
        assert_eq!(results(&events), [JobResult::Succeeded; 4], "{answer}");
    }
}

#[test]
fn a_fault_of_others_leaves_keda_and_agents_alone() {
    let plain = run("{ from: 2m, to: 4m, route: pools, caller: keda, answer: 503 }");
    let other = run("{ from: 2m, to: 4m, route: packages, caller: other, answer: 503 }");
    assert!(reads(&plain).0.iter().all(|(status, ..)| *status == 200));
    assert!(reads(&other).0.iter().all(|(status, ..)| *status == 200));
}

#[test]
fn rows_and_chance_make_an_answer_late() {
    let (hit, not) = reads(&run("{ from: 2m, to: 4m, route: job_requests, delay: 100ms..300ms }"));
    assert!(hit.iter().all(|(.., latency)| (100..=300).contains(latency)), "{hit:?}");
    assert!(hit.iter().any(|(.., latency)| *latency != hit[0].2), "by chance: {hit:?}");
    assert!(not.iter().all(|(.., latency)| *latency == 0));
    let (hit, _) = reads(&run("{ from: 2m, to: 4m, route: job_requests, delay_per_row: 50ms }"));
    assert!(hit.iter().all(|(_, rows, latency)| *latency == 50 * *rows as u64), "{hit:?}");
}

#[test]
fn a_share_of_reads_or_the_first_ones_are_hit() {
    let failed = |fault: &str| {
        let (hit, _) = reads(&run(fault));
        (hit.iter().filter(|(status, ..)| *status == 500).count(), hit.len())
    };
    let (hits, all) =
        failed("{ from: 1m, to: 6m, route: job_requests, caller: keda, answer: 500, percent: 50 }");
    assert!(hits > 0 && hits < all, "{hits} of {all}");
    let (hits, all) =
        failed("{ from: 2m, to: 4m, route: job_requests, caller: keda, answer: 500, count: 2 }");
    assert!(hits == 2 && all > 2, "{hits} of {all}");
}

#[test]
fn a_budget_delays_keda_and_then_blocks_it() {
    let budget = "{ units: 3, window: 5m, longest_delay: 2s }";
    let (hit, not) = reads(&run(&format!("{{ from: 2m, to: 4m, route: job_requests, budget: {budget} }}")));
    assert!(hit[..3].iter().all(|(status, ..)| *status == 200), "{hit:?}");
    assert!(hit.iter().any(|(status, ..)| *status == 429), "{hit:?}");
    assert!(not.iter().all(|(status, ..)| *status == 200), "{not:?}");
}

#[test]
fn a_lost_message_costs_its_job_the_time_until_it_is_sent_again() {
    let fault = "{ from: 1m, to: 3m, answer: message_lost, count: 1 }";
    let events = run(fault);
    assert_eq!(count(&events, |fact| matches!(fact, Fact::JobRequestAssigned { .. })), 5);
    assert_eq!(results(&events), [JobResult::Succeeded; 4]);
    let quiet = run("{ from: 1m, to: 1m1s, answer: message_lost, count: 1 }");
    assert_eq!(count(&quiet, |fact| matches!(fact, Fact::JobRequestAssigned { .. })), 4);
}

#[test]
fn a_doubled_message_runs_no_job_twice() {
    let events = run("{ from: 1m, to: 4m, answer: message_twice }");
    assert_eq!(count(&events, |fact| matches!(fact, Fact::JobRequestReceived { .. })), 4);
    assert_eq!(results(&events).len(), 4);
}

#[test]
fn a_lost_lock_is_a_job_abandoned_and_only_that_one() {
    let events = run("{ from: 3m, to: 4m, route: locks, answer: lock_lost, count: 1 }");
    let abandoned = results(&events).iter().filter(|result| **result == JobResult::Abandoned).count();
    assert_eq!((abandoned, results(&events).len()), (1, 4));
}

#[test]
fn an_expired_token_that_is_never_renewed_keeps_agents_registered() {
    let events = run("{ from: 2m, answer: token_expired }");
    let (hit, _) = reads(&events);
    assert!(hit.iter().all(|(status, ..)| *status == 401), "{hit:?}");
    assert_eq!(count(&events, |fact| matches!(fact, Fact::FaultOff { .. })), 0);
}

#[test]
fn the_number_of_parallel_jobs_holds_while_the_fault_is_on() {
    let events = run("{ from: 30s, to: 12m, parallel_jobs: 1 }");
    let (mut running, mut most) = (0_u32, 0);
    let off = events.iter().find(|event| matches!(event.fact, Fact::FaultOff { .. })).expect("over").at;
    for event in events.iter().filter(|event| event.at < off) {
        match event.fact {
            Fact::JobRequestReceived { .. } => running += 1,
            Fact::JobRequestFinished { .. } => running -= 1,
            _ => {}
        }
        most = most.max(running);
    }
    assert_eq!(most, 1);
    assert_eq!(results(&events), [JobResult::Succeeded; 4]);
    let settled = events.last().expect("events").at;
    assert!(settled < Instant::START + Millis::minutes(40), "{settled}: the others run side by side again");
}

#[test]
fn what_is_not_modelled_is_an_error_with_its_field() {
    let error = |fault: &str, organization: &str| simulate(fault, organization).expect_err(fault);
    for (fault, field) in [
        ("{ from: 2m, to: 4m, route: builds, answer: 503 }", "faults.0.service.route"),
        ("{ from: 2m, to: 4m, credential: agent_token, answer: 503 }", "faults.0.service.credential"),
        ("{ from: 2m, to: 4m, route: agents, caller: other, answer: 503 }", "faults.0.service.caller"),
    ] {
        assert!(error(fault, "").contains(field), "{fault}");
    }
    let plain = "{ from: 2m, to: 4m, answer: 503 }";
    for (quirk, value) in
        [("api_versions", "strict"), ("session_encryption", "none"), ("newest_agent", "4.260.1")]
    {
        let told = error(plain, &format!(", quirks: {{ {quirk}: {value} }}"));
        assert!(told.contains(&format!("organization.quirks.{quirk}")), "{told}");
    }
    for quirks in ["row_order: newest_first, receive_limit: 2m", "receive_time: lock_renewed"] {
        assert!(simulate(plain, &format!(", quirks: {{ {quirks} }}")).is_ok(), "{quirks}");
    }
}
