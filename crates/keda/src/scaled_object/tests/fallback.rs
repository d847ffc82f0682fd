//! Fallback, by version, behavior and kind of outage.

use super::*;

fn with(threshold: u32, more: Json) -> Json {
    let mut fallback = json!({ "failureThreshold": threshold, "replicas": 6 });
    if let Json::Object(fields) = more {
        for (field, value) in fields {
            fallback[field] = value;
        }
    }
    json!({ "fallback": fallback })
}

#[test]
fn polls_fall_back_from_zero_past_the_threshold_from_2_19() {
    let mut world = World::created("2.19.0", with(2, json!({})), 0, 0);
    world.run_to(10);
    world.jobs = Says::Fails(503);
    world.run_to(89);
    assert_eq!(world.scales(), [], "two failures are not more than two");
    world.run_to(91);
    assert_eq!(world.scales(), [(90, 1, Because::Activated)]);
    assert_eq!(world.condition(ConditionType::Fallback), "True/FallbackExists");
    assert!(world.events().contains(&"ScaledObjectFallbackActivated"));
    world.jobs = Says::Jobs(0);
    world.run_to(121);
    assert_eq!(world.condition(ConditionType::Fallback), "False/NoFallbackFound");
    assert!(world.events().contains(&"ScaledObjectFallbackDeactivated"));
}

#[test]
fn nothing_falls_back_from_zero_in_2_17_and_2_18() {
    for version in ["2.17.0", "2.18.3"] {
        let mut world = World::created(version, with(0, json!({})), 0, 0);
        world.run_to(10);
        world.jobs = Says::Fails(503);
        world.run_to(200);
        assert_eq!(world.scales(), [], "{version}");
        assert_eq!(world.condition(ConditionType::Fallback), "Unknown/", "{version}");
    }
}

#[test]
fn until_2_16_the_first_failed_poll_sets_the_fallbacks_replicas() {
    let mut world = World::created("2.16.1", with(5, json!({})), 0, 0);
    world.run_to(10);
    world.jobs = Says::Fails(503);
    world.run_to(31);
    assert_eq!(world.scales(), [(30, 6, Because::FallbackAtOnce)]);
    assert_eq!(world.condition(ConditionType::Fallback), "True/FallbackExists");
}

#[test]
fn queries_count_too_and_are_answered_with_the_target_times_the_replicas() {
    let mut world = World::created("2.21.0", with(1, json!({})), 2, 2);
    world.run_to(10);
    world.jobs = Says::Fails(503);
    assert!(world.ask(1).is_err());
    assert_eq!(world.ask(2), Ok(6000));
    world.run_to(12);
    assert_eq!(world.condition(ConditionType::Fallback), "True/FallbackExists");
    assert_eq!(world.machine.condition(ConditionType::Ready).map(|ready| ready.status), Some(Status::True));
}

#[test]
fn a_success_resets_the_counter() {
    let mut world = World::created("2.21.0", with(1, json!({})), 2, 2);
    world.run_to(10);
    world.jobs = Says::Fails(503);
    assert!(world.ask(1).is_err());
    world.jobs = Says::Jobs(2);
    assert_eq!(world.ask(2), Ok(2000));
    world.jobs = Says::Fails(503);
    assert!(world.ask(3).is_err());
}

#[test]
fn behaviors_look_at_the_present_replicas() {
    for (behavior, replicas, value) in [
        ("static", 9, 6000),
        ("currentReplicas", 9, 9000),
        ("currentReplicasIfHigher", 9, 9000),
        ("currentReplicasIfHigher", 3, 6000),
        ("currentReplicasIfLower", 9, 6000),
        ("currentReplicasIfLower", 3, 3000),
    ] {
        let mut world = World::created("2.21.0", with(0, json!({ "behavior": behavior })), replicas, 2);
        world.run_to(10);
        world.jobs = Says::Fails(503);
        assert_eq!(world.ask(1), Ok(value), "{behavior} of {replicas}");
    }
    let mut world = World::created("2.16.1", with(0, json!({ "behavior": "currentReplicas" })), 9, 2);
    world.run_to(10);
    world.jobs = Says::Fails(503);
    assert_eq!(world.ask(1), Ok(6000), "unknown before 2.17");
}

#[test]
fn a_value_falls_back_from_2_18_if_pods_are_ready() {
    let more = |threshold| {
        let mut more = with(threshold, json!({}));
        more["triggers"] =
            json!([{ "type": "azure-pipelines", "metricType": "Value", "metadata": { "poolID": "7" } }]);
        more
    };
    for (version, ready, answer) in [("2.18.0", 4, Ok(1500)), ("2.18.0", 0, Err(())), ("2.17.0", 4, Err(()))]
    {
        let mut world = World::created(version, more(0), 4, 2);
        world.run_to(10);
        world.view.ready = ready;
        world.jobs = Says::Fails(503);
        assert_eq!(world.ask(1).map_err(|_| ()), answer, "{version} with {ready} ready");
    }
}

#[test]
fn in_a_total_outage_only_a_threshold_of_zero_engages() {
    for (threshold, engages) in [(0, true), (1, false), (2, false)] {
        let mut world = World::created("2.21.0", with(threshold, json!({})), 2, 2);
        world.run_to(20);
        (world.jobs, world.pools) = (Says::Fails(503), false);
        let mut answers = Vec::new();
        for id in 0..8 {
            world.run_to(22 + id * 15);
            answers.push(world.ask(id).is_ok());
        }
        assert_eq!(answers.iter().all(|answered| *answered), engages, "threshold {threshold}: {answers:?}");
        assert_eq!(answers.iter().any(|answered| *answered), engages, "threshold {threshold}: {answers:?}");
    }
}

#[test]
fn while_it_falls_back_the_cache_is_kept_and_the_last_activity_moves_on() {
    let mut world = World::created("2.21.0", with(0, json!({})), 2, 2);
    world.run_to(20);
    world.jobs = Says::Fails(503);
    world.run_to(95);
    assert_eq!(world.requests_since(20), "323323323", "no cache is built");
    assert_eq!(world.machine.last_active(), Some(Instant(90_000)));
    assert_eq!(world.condition(ConditionType::Active), "True/ScalerActive");
}

#[test]
fn a_record_that_was_filled_by_a_fallback_resets_the_counter() {
    let mut more = with(0, json!({}));
    more["triggers"] =
        json!([{ "type": "azure-pipelines", "useCachedMetrics": true, "metadata": { "poolID": "7" } }]);
    let mut world = World::created("2.21.0", more, 2, 2);
    world.run_to(20);
    world.jobs = Says::Fails(503);
    world.run_to(32);
    assert_eq!(world.condition(ConditionType::Fallback), "True/FallbackExists");
    assert_eq!(world.ask(1), Ok(6000));
    assert_eq!(world.condition(ConditionType::Fallback), "False/NoFallbackFound", "it flaps");
}
