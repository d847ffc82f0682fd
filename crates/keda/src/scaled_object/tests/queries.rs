//! The HPA's queries, records, and what 2.21 makes of them.

use super::*;

#[test]
fn a_query_is_one_read_and_is_answered_in_thousandths() {
    let mut world = World::created("2.21.0", json!({}), 2, 4);
    world.run_to(10);
    assert_eq!(world.ask(1), Ok(4000));
    assert_eq!(world.requests_since(10), "3");
}

#[test]
fn a_failed_query_says_which_metric_and_drops_the_cache() {
    let mut world = World::created("2.21.0", json!({}), 2, 4);
    world.run_to(10);
    world.jobs = Says::Fails(500);
    assert_eq!(world.ask(1), Err("metric:s0-azure-pipelines-7 encountered error".to_owned()));
    assert_eq!(world.requests_since(10), "323");
    world.pools = false;
    world.run_to(12);
    let error = world.ask(2).expect_err("no scalers");
    assert!(error.starts_with("error getting scalers error parsing azure Pipelines metadata: "), "{error}");
}

#[test]
fn polls_with_a_minimum_take_over_what_the_hpa_read_from_2_21() {
    for (version, reads) in [("2.21.0", vec![0, 15, 45]), ("2.20.2", vec![0, 15, 30, 45, 60])] {
        let mut world = World::created(version, json!({ "minReplicaCount": 1 }), 1, 4);
        world.run_to(15);
        world.hpa_says(true, "ValidMetricFound");
        world.ask(1).expect("a value");
        world.run_to(45);
        world.ask(2).expect("a value");
        world.run_to(61);
        assert_eq!(world.reads(), reads, "{version}");
    }
}

#[test]
fn polls_read_themselves_while_the_hpa_does_not_scale_or_has_not_read() {
    let mut world = World::created("2.21.0", json!({ "minReplicaCount": 1 }), 1, 4);
    world.hpa_says(true, "ValidMetricFound");
    world.run_to(31);
    assert_eq!(world.reads(), [0, 30], "there is no record");
    world.ask(1).expect("a value");
    world.hpa_says(false, "FailedGetExternalMetric");
    world.run_to(61);
    assert_eq!(world.reads(), [0, 30, 31, 60], "the HPA does not scale");
    world.hpa_says(true, "ValidMetricFound");
    world.run_to(91);
    assert_eq!(world.reads().last(), Some(&60), "the record may be old");
}

#[test]
fn a_minimum_of_zero_or_an_idle_count_or_cached_metrics_keep_polls_reading() {
    let cached = json!({ "minReplicaCount": 2, "triggers": [
        { "type": "azure-pipelines", "useCachedMetrics": true, "metadata": { "poolID": "7" } },
    ]});
    for more in [json!({}), json!({ "minReplicaCount": 2, "idleReplicaCount": 1 }), cached] {
        let mut world = World::created("2.21.0", more, 2, 4);
        world.run_to(15);
        world.hpa_says(true, "ValidMetricFound");
        world.ask(1).expect("a value");
        world.run_to(31);
        assert_eq!(world.reads().last(), Some(&30));
    }
}

#[test]
fn an_observed_error_is_the_polls_error_too() {
    let mut world = World::created("2.21.0", json!({ "minReplicaCount": 1 }), 1, 4);
    world.run_to(15);
    world.hpa_says(true, "ValidMetricFound");
    world.jobs = Says::Fails(503);
    world.ask(1).expect_err("it fails");
    world.run_to(29);
    world.jobs = Says::Jobs(4);
    world.run_to(31);
    assert_eq!(world.condition(ConditionType::Ready), "False/TriggerError");
    assert_eq!(world.requests_since(30), "2", "the cache is made anew, nothing is read");
}

fn cached(version: &'static str) -> World {
    let more = json!({ "triggers": [
        { "type": "azure-pipelines", "useCachedMetrics": true, "metadata": { "poolID": "7" } },
    ]});
    let mut world = World::created(version, more, 2, 4);
    world.run_to(10);
    world
}

#[test]
fn cached_metrics_are_those_of_the_last_poll() {
    let mut world = cached("2.21.0");
    world.jobs = Says::Jobs(9);
    assert_eq!(world.ask(1), Ok(4000));
    assert_eq!(world.requests_since(10), "");
    world.run_to(40);
    assert_eq!(world.ask(2), Ok(9000));
}

#[test]
fn a_polls_error_is_kept_for_queries_from_2_21_and_dropped_by_the_first_of_them_before() {
    for (version, second) in [("2.21.0", Err(())), ("2.20.2", Ok(4000))] {
        let mut world = cached(version);
        world.run_to(29);
        world.jobs = Says::Fails(503);
        world.run_to(35);
        world.jobs = Says::Jobs(4);
        assert!(world.ask(1).is_err(), "{version}: what the poll found");
        assert_eq!(world.ask(2).map_err(|_| ()), second, "{version}");
    }
}

#[test]
fn a_query_without_an_operator_waits_in_the_adapter_for_a_minute() {
    let mut world = World::created("2.21.0", json!({}), 2, 4);
    world.run_to(10);
    world.tell(Input::OperatorDown);
    world.tell(Input::Query { id: 1, metric: 0 });
    world.run_to(69);
    assert!(!world.log.iter().any(|(_, action)| matches!(action, Action::AnswerQuery { .. })));
    world.run_to(71);
    let late = world.log.iter().filter(|(at, action)| {
        at.0 == 70_000 && matches!(action, Action::AnswerQuery { result: Err(_), .. })
    });
    assert_eq!(late.count(), 1);
    world.tell(Input::Query { id: 2, metric: 0 });
    world.run_to(80);
    world.tell(Input::OperatorStarted(rules("2.21.0")));
    world.run_to(81);
    assert!(
        world.log.iter().any(|(_, action)| matches!(action, Action::AnswerQuery { id: 2, result: Ok(4000) }))
    );
}

#[test]
fn a_query_for_a_pool_that_has_become_another_finds_nothing() {
    let mut world = World::created("2.16.1", json!({}), 2, 4);
    world.run_to(10);
    world.machine.hpa.as_mut().expect("an HPA").metrics[0].name = "s0-azure-pipelines-9".to_owned();
    assert_eq!(world.ask(1), Err("no matching metrics found for s0-azure-pipelines-9".to_owned()));
}

#[test]
fn what_queries_found_before_there_was_a_loop_is_its_first_polls() {
    let mut world = World::created("2.21.0", json!({ "minReplicaCount": 1 }), 1, 4);
    world.run_to(15);
    world.hpa_says(true, "ValidMetricFound");
    world.pools = false;
    world.tell(Input::OperatorStarted(rules("2.21.0")));
    world.run_to(40);
    assert!(!world.machine.loop_runs(), "the reconcile finds no pool");
    world.pools = true;
    world.ask(1).expect("a query builds the scalers itself");
    world.run_to(80);
    assert!(world.machine.loop_runs());
    assert_eq!(world.reads(), [0, 40]);
}
