//! Annotations.

use super::*;

fn hpa_deletions(world: &World) -> usize {
    world.log.iter().filter(|(_, action)| matches!(action, Action::DeleteHpa { .. })).count()
}

#[test]
fn pausing_deletes_the_hpa_and_stops_the_loop_and_unpausing_polls_at_once() {
    let mut world = World::created("2.21.0", json!({}), 2, 2);
    world.run_to(10);
    world.annotate(json!({}), &[(PAUSED, "true")]);
    world.run_to(100);
    assert_eq!(hpa_deletions(&world), 1);
    assert!(!world.machine.loop_runs());
    assert_eq!(world.reads(), [0]);
    assert_eq!(world.view.replicas, Some(2));
    assert_eq!(world.condition(ConditionType::Paused), "True/ScaledObjectPaused");
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
    world.annotate(json!({}), &[]);
    world.run_to(101);
    assert_eq!(world.reads(), [0, 100]);
    assert!(world.machine.hpa().is_some());
    assert_eq!(world.condition(ConditionType::Paused), "False/ScaledObjectUnpaused");
    assert!(world.events().contains(&"ScaledObjectUnpaused"));
}

#[test]
fn paused_replicas_are_set_by_the_reconcile_and_tried_again_after_a_conflict() {
    let mut world = World::created("2.21.0", json!({}), 2, 2);
    world.run_to(10);
    world.conflict = Some("the object has been modified");
    world.annotate(json!({}), &[(PAUSED_REPLICAS, "5")]);
    assert_eq!(world.view.replicas, Some(2));
    assert_eq!(world.condition(ConditionType::Ready), "False/ScaledObjectCheckFailed");
    world.conflict = None;
    world.run_to(11);
    assert_eq!(world.view.replicas, Some(5));
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
}

#[test]
fn in_2_10_the_loop_sets_paused_replicas_and_both_bounds_of_the_hpa_are_theirs() {
    let mut world = World::created("2.10.1", json!({}), 2, 2);
    world.run_to(10);
    world.annotate(json!({}), &[(PAUSED_REPLICAS, "0")]);
    world.run_to(31);
    assert_eq!(world.view.replicas, Some(0));
    let hpa = world.machine.hpa().expect("it stays");
    assert_eq!((hpa.min, hpa.max), (1, 1));
    assert!(world.machine.loop_runs());
}

#[test]
fn paused_false_pauses_in_2_12_only() {
    for (version, paused) in [("2.11.2", false), ("2.12.1", true), ("2.13.0", false), ("2.21.0", false)] {
        let spec = spec(version, json!({}), &[(PAUSED, "false")]);
        assert_eq!(spec.policy.paused, paused, "{version}");
    }
    assert!(spec("2.13.0", json!({}), &[(PAUSED, "perhaps")]).policy.paused, "no truth value counts as true");
}

#[test]
fn directions_are_paused_in_the_hpa_too_from_2_18() {
    let disabled = |version: &str, behavior: Json| {
        let more = json!({ "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior } } });
        let mut world = World::new("2.21.0", spec(version, more, &[(PAUSED_SCALE_IN, "true")]), 1, 1);
        world.machine.rules = rules(version);
        world.tell(Input::Created);
        world.run_to(1);
        let paused = world.condition(ConditionType::Paused);
        (world.machine.hpa().and_then(|hpa| hpa.behavior.clone()), paused)
    };
    let expected = json!({ "scaleDown": { "selectPolicy": "Disabled" } });
    assert_eq!(disabled("2.18.0", Json::Null), (Some(expected), "True/ScaledObjectPaused".to_owned()));
    assert_eq!(disabled("2.17.0", Json::Null).0, None);
    let window = json!({ "scaleDown": { "stabilizationWindowSeconds": 60 } });
    let merged = json!({ "scaleDown": { "stabilizationWindowSeconds": 60, "selectPolicy": "Disabled" } });
    assert_eq!(disabled("2.21.0", window).0, Some(merged));
}

#[test]
fn forced_activation_says_so() {
    let mut world = World::new("2.21.0", spec("2.21.0", json!({}), &[(FORCE_ACTIVATION, "true")]), 0, 0);
    world.tell(Input::Created);
    world.run_to(1);
    assert_eq!(world.scales(), [(0, 1, Because::ForcedActivation)]);
    let active = world.machine.condition(ConditionType::Active).expect("set");
    assert_eq!(active.message, "Scaling is performed because activation is being forced by annotation");
}
