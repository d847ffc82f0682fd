//! Creation, change, restart, upgrade, deletion.

use super::*;

#[test]
fn creation_makes_the_hpa_then_polls() {
    let more = json!({ "minReplicaCount": 0, "maxReplicaCount": 12 });
    let mut world = World::created("2.21.0", more, 0, 0);
    world.run_to(1);
    let hpa = world.machine.hpa().expect("an HPA");
    assert_eq!((hpa.name.as_str(), hpa.min, hpa.max, &hpa.behavior), ("keda-hpa-agents", 1, 12, &None));
    assert_eq!(hpa.metrics[0].name, "s0-azure-pipelines-7");
    assert_eq!(hpa.metrics[0].target_milli, 1000);
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
    assert_eq!(world.condition(ConditionType::Fallback), "False/NoFallbackFound");
    assert_eq!(world.condition(ConditionType::Paused), "False/");
    assert_eq!(world.events(), ["KEDAScalersStarted", "KEDAScalersStarted", "ScaledObjectReady"]);
}

#[test]
fn a_change_of_the_spec_makes_new_scalers_and_polls_at_once_in_the_new_cadence() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(10);
    world.annotate(json!({ "pollingInterval": 7 }), &[]);
    world.run_to(26);
    assert_eq!(world.reads(), [0, 10, 17, 24]);
    assert_eq!(world.requests_since(10), "22333", "one by the reconcile, one after the old loop dropped it");
}

#[test]
fn a_change_of_annotations_alone_keeps_the_loop() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(10);
    world.annotate(json!({}), &[(PAUSED_SCALE_OUT, "true")]);
    world.run_to(31);
    assert_eq!(world.reads(), [0, 30]);
    assert_eq!(world.condition(ConditionType::Paused), "True/ScaledObjectPaused");
}

#[test]
fn a_change_during_an_outage_leaves_the_old_loop_running() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(10);
    world.pools = false;
    world.annotate(json!({ "pollingInterval": 7 }), &[]);
    world.run_to(100);
    assert!(world.machine.loop_runs());
    assert_eq!(world.reads(), [0], "its polls find no scalers");
    assert_eq!(world.condition(ConditionType::Ready), "False/ScaledObjectCheckFailed");
    world.pools = true;
    world.run_to(300);
    assert_eq!(world.condition(ConditionType::Ready), "True/ScaledObjectReady");
}

#[test]
fn a_restart_starts_the_loop_anew_and_keeps_the_status() {
    let mut world = World::created("2.21.0", json!({ "cooldownPeriod": 40 }), 0, 2);
    world.run_to(20);
    world.jobs = Says::Jobs(0);
    world.tell(Input::OperatorDown);
    assert_eq!(world.machine.next_deadline(), None);
    world.run_to(35);
    assert_eq!(world.reads(), [0]);
    world.tell(Input::OperatorStarted(rules("2.21.0")));
    world.run_to(36);
    assert_eq!(world.reads(), [0, 35]);
    assert_eq!(world.machine.last_active(), Some(Instant(0)));
    world.run_to(66);
    assert_eq!(world.scales().last(), Some(&(65, 0, Because::CooledDown)));
}

#[test]
fn a_restart_in_the_middle_gives_up_requests_and_fails_queries() {
    let mut world = World::created("2.21.0", json!({}), 2, 2);
    world.run_to(10);
    world.jobs = Says::Hangs;
    world.tell(Input::Query { id: 1, metric: 0 });
    world.run_to(11);
    world.tell(Input::OperatorDown);
    assert_eq!(world.requests_since(10), "3x");
    assert!(
        world.log.iter().any(|(_, action)| matches!(action, Action::AnswerQuery { id: 1, result: Err(_) }))
    );
}

#[test]
fn an_upgrade_changes_the_rules_and_reads_the_settings_anew() {
    let more = json!({ "triggers": [
        { "type": "azure-pipelines", "metadata": { "poolID": "7", "fetchUnfinishedJobsOnly": "true" } },
    ]});
    let mut world = World::created("2.17.0", more, 0, 0);
    world.run_to(10);
    world.tell(Input::OperatorStarted(rules("2.21.0")));
    world.run_to(11);
    let forms: Vec<Request> = world
        .log
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Request { request, .. } if request.form().is_some() => Some(*request),
            _ => None,
        })
        .collect();
    assert_eq!(forms, [Request::Top { pool: 7, rows: 250 }, Request::Unfinished { pool: 7 }]);
}

#[test]
fn a_renamed_hpa_is_deleted_and_made_anew() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(10);
    world.annotate(json!({ "advanced": { "horizontalPodAutoscalerConfig": { "name": "mine" } } }), &[]);
    world.run_to(11);
    assert!(
        world
            .log
            .iter()
            .any(|(_, action)| matches!(action, Action::DeleteHpa { name } if name == "keda-hpa-agents"))
    );
    assert_eq!(world.machine.hpa().map(|hpa| hpa.name.as_str()), Some("mine"));
}

#[test]
fn an_hpa_that_somebody_deleted_comes_back_and_restarts_the_loop() {
    let mut world = World::created("2.21.0", json!({}), 0, 0);
    world.run_to(10);
    world.tell(Input::HpaGone);
    world.run_to(11);
    assert!(world.machine.hpa().is_some());
    assert_eq!(world.reads(), [0, 10]);
}

#[test]
fn deletion_ends_everything_and_may_restore_the_replicas() {
    let mut world =
        World::created("2.21.0", json!({ "advanced": { "restoreToOriginalReplicaCount": true } }), 3, 0);
    world.run_to(10);
    assert_eq!(world.view.replicas, Some(0));
    world.tell(Input::Deleted);
    assert_eq!(world.scales().last(), Some(&(10, 3, Because::Restored)));
    assert_eq!(world.machine.next_deadline(), None);
    let asked = world.ask(1);
    assert!(asked.is_err());
}

#[test]
fn a_missing_target_fails_the_check_until_it_is_there() {
    let mut world = World::new("2.21.0", spec("2.21.0", json!({}), &[]), 0, 1);
    world.view.replicas = None;
    world.tell(Input::Created);
    world.run_to(1);
    let ready = world.machine.condition(ConditionType::Ready).expect("set");
    assert_eq!(
        ready.message,
        "ScaledObject doesn't have correct scaleTargetRef specification: deployments.apps \"agents\" not found"
    );
    world.view.replicas = Some(0);
    world.run_to(3);
    assert_eq!(world.view.replicas, Some(1));
}
