//! Polls: cadence, activation, cooldown, conditions.

use super::*;

#[test]
fn the_first_poll_is_at_once_and_the_others_follow_from_start_to_start() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(100);
    assert_eq!(world.reads(), [0, 30, 60, 90]);
    assert_eq!(world.requests_since(0), "23333");
    let starts: Vec<u64> = world
        .log
        .iter()
        .filter(|(_, action)| matches!(action, Action::Request { request, .. } if request.form().is_some()))
        .map(|(at, _)| at.0)
        .collect();
    assert_eq!(starts, [40, 30_040, 60_040, 90_040], "no drift");
}

#[test]
fn a_poll_that_takes_longer_than_the_interval_is_followed_at_once() {
    let mut world = World::created("2.21.0", json!({ "pollingInterval": 2 }), 0, 0);
    world.jobs = Says::Hangs;
    world.run_to(30);
    let starts: Vec<u64> = world.reads();
    assert_eq!(starts[..4], [0, 3, 6, 9], "3 s, the pool, 3 s more, and the cache made anew");
}

#[test]
fn a_job_brings_one_replica_and_the_last_activity_is_cut_to_seconds() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(29);
    world.jobs = Says::Jobs(5);
    world.run_to(31);
    assert_eq!(world.scales(), [(30, 1, Because::Activated)]);
    assert_eq!(world.machine.last_active(), Some(Instant(30_000)));
    let told = world.log.iter().find_map(|(_, action)| match action {
        Action::Event { reason: "KEDAScaleTargetActivated", message, .. } => Some(message.clone()),
        _ => None,
    });
    assert_eq!(
        told.as_deref(),
        Some("Scaled apps/v1.Deployment team/agents from 0 to 1, triggered by s0-azure-pipelines-7")
    );
    assert_eq!(world.condition(ConditionType::Active), "True/ScalerActive");
}

#[test]
fn zero_comes_with_the_first_poll_after_the_cooldown() {
    let mut world = World::created("2.21.0", json!({ "cooldownPeriod": 60 }), 3, 1);
    world.run_to(31);
    world.jobs = Says::Jobs(0);
    world.run_to(85);
    assert_eq!(world.condition(ConditionType::Active), "False/ScalerCooldown");
    assert_eq!(world.scales(), [], "30 + 60 is not over before 90 s");
    world.run_to(91);
    assert_eq!(world.scales(), [(90, 0, Because::CooledDown)], "30.0 + 60 < 90.04");
    assert_eq!(world.condition(ConditionType::Active), "False/ScalerNotActive");
}

#[test]
fn a_new_object_with_replicas_and_an_empty_queue_is_zeroed_by_its_first_poll() {
    let mut world = World::created("2.21.0", json!({}), 4, 0);
    world.run_to(1);
    assert_eq!(world.scales(), [(0, 0, Because::CooledDown)]);
    let mut world = World::created("2.21.0", json!({ "initialCooldownPeriod": 45 }), 4, 0);
    world.run_to(100);
    assert_eq!(world.scales(), [(60, 0, Because::CooledDown)]);
    let mut world = World::created("2.13.0", json!({ "initialCooldownPeriod": 45 }), 4, 0);
    world.run_to(100);
    assert_eq!(world.scales(), [(0, 0, Because::CooledDown)], "unknown before 2.14");
}

#[test]
fn a_conflict_leaves_the_replicas_to_the_next_poll() {
    for (version, ready) in [
        ("2.21.0", "False/ErrorScalingTarget"),
        ("2.20.2", "True/ScaledObjectReady"),
        ("2.19.0", "True/ScaledObjectReady"),
    ] {
        let mut world = World::created(version, json!({}), 0, 3);
        world.conflict = Some("the object has been modified");
        world.run_to(1);
        assert_eq!(world.view.replicas, Some(0));
        assert_eq!(world.condition(ConditionType::Ready), ready, "{version}");
        assert_eq!(world.machine.last_active(), None);
        world.conflict = None;
        world.run_to(31);
        assert_eq!(world.view.replicas, Some(1));
        assert!(world.events().contains(&"KEDAScaleTargetActivationFailed"));
        assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
    }
}

#[test]
fn triggers_are_read_side_by_side_from_2_13() {
    let two = json!({ "triggers": [
        { "type": "azure-pipelines", "metadata": { "poolID": "7" } },
        { "type": "azure-pipelines", "metadata": { "poolID": "8" } },
    ]});
    let starts = |version| {
        let mut world = World::created(version, two.clone(), 0, 1);
        world.run_to(1);
        let read = |(at, action): &(Instant, Action)| match action {
            Action::Request { request, .. } if request.form().is_some() => Some(at.0),
            _ => None,
        };
        world.log.iter().filter_map(read).collect::<Vec<_>>()
    };
    assert_eq!(starts("2.13.0"), [80, 80]);
    assert_eq!(starts("2.12.1"), [80, 120]);
}

#[test]
fn the_activation_target_must_be_exceeded() {
    let two = json!({ "triggers": [
        { "type": "azure-pipelines", "metadata": { "poolID": "7", "activationTargetPipelinesQueueLength": "2" } },
    ]});
    for (jobs, scaled) in [(2, false), (3, true)] {
        let mut world = World::created("2.21.0", two.clone(), 0, jobs);
        world.run_to(1);
        assert_eq!(!world.scales().is_empty(), scaled, "{jobs} jobs");
    }
}

#[test]
fn the_hpas_health_is_a_condition_from_2_20_2_and_lowers_ready_before() {
    let ready = |version: &'static str, second| {
        let mut world = World::created(version, json!({}), 1, 1);
        world.run_to(2);
        world.hpa_says(false, "FailedGetExternalMetric");
        world.run_to(second);
        (world.condition(ConditionType::Ready), world.condition(ConditionType::HpaActive))
    };
    let (fine, none) = ("True/ScaledObjectReady".to_owned(), String::new());
    assert_eq!(ready("2.20.1", 55), (fine.clone(), none.clone()), "a minute's grace");
    assert_eq!(ready("2.20.1", 95), ("False/HPAMetricsUnavailable".to_owned(), none.clone()));
    assert_eq!(ready("2.20.2", 95), (fine.clone(), "False/FailedGetExternalMetric".to_owned()));
    assert_eq!(ready("2.19.0", 95), (fine, none));
}

#[test]
fn a_target_that_is_gone_is_told_by_polls_from_2_20() {
    for (version, ready) in
        [("2.21.0", "False/ErrorGettingCurrentReplicas"), ("2.19.0", "True/ScaledObjectReady")]
    {
        let mut world = World::created(version, json!({}), 1, 1);
        world.run_to(20);
        world.view.replicas = None;
        world.run_to(40);
        assert_eq!(world.condition(ConditionType::Ready), ready, "{version}");
    }
}
