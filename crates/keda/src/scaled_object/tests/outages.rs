//! Failures of the service: what a poll does with them, back-off, closed caches.

use super::*;

#[test]
fn a_failed_poll_freezes_the_replicas_and_drops_the_cache() {
    let mut world = World::created("2.21.0", json!({ "cooldownPeriod": 10 }), 3, 1);
    world.run_to(20);
    world.jobs = Says::Fails(503);
    world.run_to(100);
    assert_eq!(world.scales(), []);
    assert_eq!(world.requests_since(30), "32323232323", "the first fails in its cache, the others make one");
    assert_eq!(world.condition(ConditionType::Ready), "False/TriggerError");
    world.jobs = Says::Jobs(0);
    world.run_to(121);
    assert_eq!(world.scales(), [(120, 0, Because::CooledDown)], "no new cooldown after the outage");
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
}

#[test]
fn a_total_outage_stops_polls_before_they_read() {
    let mut world = World::created("2.21.0", json!({}), 1, 1);
    world.run_to(20);
    (world.jobs, world.pools) = (Says::Fails(503), false);
    world.run_to(100);
    assert_eq!(world.requests_since(20), "3222", "one read, its retry, then one pool a poll");
    assert_eq!(world.condition(ConditionType::Ready), "False/TriggerError");
}

#[test]
fn a_reconcile_that_fails_is_tried_again_after_doubling_waits() {
    let mut world = World::new("2.21.0", spec("2.21.0", json!({}), &[]), 0, 1);
    world.pools = false;
    world.tell(Input::Created);
    world.run_to(7);
    let asked: Vec<u64> = world
        .log
        .iter()
        .filter(|(_, action)| matches!(action, Action::Request { .. }))
        .map(|(at, _)| at.0)
        .collect();
    assert_eq!(asked, [0, 45, 95, 155, 235, 355, 555, 915, 1595, 2915, 5515]);
    assert!(!world.machine.loop_runs());
    assert_eq!(world.condition(ConditionType::Ready), "False/ScaledObjectCheckFailed");
    assert_eq!(world.condition(ConditionType::Active), "Unknown/UnknownState");
    world.pools = true;
    world.run_to(20);
    assert_eq!(world.scales(), [(10, 1, Because::Activated)]);
}

#[test]
fn waits_double_up_to_a_thousand_seconds() {
    assert_eq!(back_off(0), Millis(5));
    assert_eq!(back_off(10), Millis(5120));
    assert_eq!(back_off(17), Millis(655_360));
    assert_eq!(back_off(18), LONGEST_BACK_OFF);
    assert_eq!(back_off(200), LONGEST_BACK_OFF);
}

#[test]
fn causes_of_failed_checks_are_told_from_2_18() {
    let message = |version| {
        let mut world = World::new(
            version,
            spec(version, json!({ "maxReplicaCount": 2, "minReplicaCount": 3 }), &[]),
            0,
            1,
        );
        world.tell(Input::Created);
        world.machine.condition(ConditionType::Ready).map(|ready| ready.message.to_string())
    };
    let told = "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification";
    assert_eq!(message("2.17.0").as_deref(), Some(told));
    let cause = "MinReplicaCount=3 must be less than MaxReplicaCount=2";
    assert_eq!(message("2.18.0"), Some(format!("{told}: {cause}")));
}

#[test]
fn a_target_of_zero_is_refused_by_the_api() {
    let zero = json!({ "triggers": [
        { "type": "azure-pipelines", "metadata": { "poolID": "7", "targetPipelinesQueueLength": "0" } },
    ]});
    let mut world = World::created("2.21.0", zero, 0, 1);
    world.run_to(1);
    assert!(world.machine.hpa().is_none());
    assert!(
        world
            .machine
            .condition(ConditionType::Ready)
            .is_some_and(|ready| ready.message.ends_with("must be positive"))
    );
}

/// A poll and a query read in the same cache. The query fails first and closes it.
fn closed_by_a_query(version: &'static str) -> World {
    let mut world = World::created(version, json!({ "cooldownPeriod": 20 }), 3, 1);
    world.run_to(29);
    world.jobs = Says::Hangs;
    world.tell(Input::Query { id: 1, metric: 0 });
    // The query's first call ends at 32 s, its second at 35 s, which closes the cache. The poll's
    // first call ends at 33 s; its second, in a scaler that was made anew, at 36 s.
    world.run_to(59);
    world
}

#[test]
fn a_query_that_fails_closes_the_cache_of_a_poll_and_the_poll_then_may_go_to_zero() {
    let mut world = World::created("2.21.0", json!({ "cooldownPeriod": 20, "pollingInterval": 30 }), 3, 1);
    world.run_to(25);
    world.jobs = Says::Hangs;
    // Reads at 25 s, gives up at 28 s, asks for the pool, reads again until 31.04 s, fails, closes.
    world.tell(Input::Query { id: 1, metric: 0 });
    world.run_to(32);
    assert_eq!(world.scales(), [], "the poll reads since 30.04 s");
    world.run_to(34);
    assert_eq!(
        world.scales(),
        [(33, 0, Because::CooledDown)],
        "its cache is closed: inactive without an error"
    );
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
}

#[test]
fn until_2_19_a_closed_cache_is_an_error() {
    let mut world = World::created("2.19.0", json!({ "cooldownPeriod": 20 }), 3, 1);
    world.run_to(25);
    world.jobs = Says::Hangs;
    world.tell(Input::Query { id: 1, metric: 0 });
    world.run_to(34);
    assert_eq!(world.scales(), []);
    assert_eq!(world.condition(ConditionType::Ready), "False/TriggerError");
}

#[test]
fn readers_of_one_cache_that_both_fail_do_not_hang() {
    for version in ["2.21.0", "2.20.2", "2.19.0"] {
        let world = closed_by_a_query(version);
        let answered =
            world.log.iter().any(|(_, action)| matches!(action, Action::AnswerQuery { result: Err(_), .. }));
        assert!(answered, "{version}");
        assert!(world.machine.next_deadline().is_some(), "{version}");
    }
}

#[test]
fn in_2_9_a_poll_that_fails_keeps_its_cache() {
    for (version, requests) in [("2.9.0", "323323"), ("2.10.0", "3232323")] {
        let mut world = World::created(version, json!({}), 1, 1);
        world.run_to(20);
        world.jobs = Says::Fails(503);
        world.run_to(70);
        assert_eq!(world.requests_since(20), requests, "{version}");
    }
}
