//! The HPA's decisions.

use super::*;

fn story() -> Story {
    let mut story =
        Story::of("ScaledObject", "2.21.0", json!({ "minReplicaCount": 1, "maxReplicaCount": 10 }));
    story.replicas(10, 1);
    story
}

/// One pod, nine jobs: 4, 8, 9.
fn growth(last: u64) -> Story {
    let mut story = story();
    for (at, replicas) in [(15_000, 4), (30_020, 8), (45_040, last)] {
        story.sync(at, 9, 0, Some(9000));
        story.write(at + 20, "hpa", replicas);
        story.replicas(at + 400, replicas);
    }
    story
}

#[test]
fn growth_is_equal_step_by_step() {
    assert_equal(&growth(9).follow(), 9);
}

#[test]
fn a_step_that_is_too_large_is_found() {
    let followed = growth(10).follow();
    assert_differs(&followed, What::Replicas, Some(9), Some(10));
    assert_eq!(followed.differences[0].because, "9 wanted; there are 8");
}

#[test]
fn a_sync_that_had_to_write_and_did_not_is_found() {
    let mut story = growth(9);
    story.sync(60_060, 10, 0, Some(10_000));
    // Ten jobs are within the tolerance of nine pods only just not.
    assert_differs(&story.follow(), What::Replicas, Some(10), None);
}

#[test]
fn a_value_that_is_not_the_count_is_found() {
    let mut story = story();
    story.sync(15_000, 1, 0, Some(2000));
    story.write(15_020, "hpa", 2);
    assert_differs(&story.follow(), What::Value, Some(1000), Some(2000));
}

#[test]
fn jobs_that_were_received_count_in_2_21_and_not_in_2_20() {
    for (version, expected) in [("2.21.0", 3000), ("2.20.2", 1000), ("2.19.0", 3000)] {
        let mut story = Story::of("ScaledObject", version, json!({ "minReplicaCount": 3 }));
        story.replicas(10, 3);
        story.sync(15_000, 1, 2, Some(expected));
        // Three are held by the first recommendation.
        assert_equal(&story.follow(), 3);
    }
}

#[test]
fn a_window_holds_for_five_minutes_and_no_longer() {
    let story = |last: u64| {
        let mut story = story();
        story.sync(15_000, 4, 0, None);
        story.write(15_020, "hpa", 4);
        story.replicas(15_400, 4);
        for sync in 1..=last {
            story.sync(15_000 + sync * 15_020, 0, 0, None);
        }
        story
    };
    assert_equal(&story(19).follow(), 40);
    let mut right = story(20);
    right.write(315_420, "hpa", 1);
    assert_equal(&right.follow(), 42);
    assert_differs(&story(20).follow(), What::Replicas, Some(1), None);
}

#[test]
fn at_the_windows_end_both_are_accepted_and_told() {
    let mut story = story();
    story.sync(15_000, 4, 0, None);
    story.write(15_020, "hpa", 4);
    story.replicas(15_400, 4);
    story.sync(300_000, 0, 0, None);
    story.sync(315_020, 0, 0, None);
    let followed = story.follow();
    assert_eq!((followed.differences.len(), followed.boundary), (0, 1), "{followed:#?}");
    assert_eq!(followed.boundaries[0].boundary.as_deref(), Some("its clock was behind"));
}

#[test]
fn a_status_that_changed_just_then_may_have_been_seen_or_not() {
    let mut story =
        Story::of("ScaledObject", "2.21.0", json!({ "minReplicaCount": 1, "maxReplicaCount": 20 }));
    let counts = |spec: u64, status: u64| json!({ "event": "replicas", "workload": "Deployment/agents", "spec": spec, "status": status, "ready": 0 });
    story.fact(10, counts(10, 9));
    // Eleven jobs are within the tolerance of ten pods, and not of nine.
    story.sync(15_000, 11, 0, None);
    story.fact(15_030, counts(10, 10));
    let followed = story.follow();
    assert_eq!((followed.differences.len(), followed.boundary), (0, 1), "{followed:#?}");
}

#[test]
fn a_failed_read_changes_nothing() {
    let mut story = growth(9);
    story.refused(60_050, 503);
    story.refused(60_055, 503);
    story.asked(60_060, 500, None);
    assert_equal(&story.follow(), 11);
    story.asked(75_080, 200, None);
    let followed = story.follow();
    assert_eq!(kind(&followed, Who::Hpa, What::Answered), (5, 4), "{followed:#?}");
}

#[test]
fn a_write_that_was_refused_is_a_decision_all_the_same() {
    let mut story = story();
    story.sync(15_000, 4, 0, None);
    story.wrote(15_020, "hpa", 4, 409);
    story.wrote(15_035, "hpa", 4, 200);
    assert_equal(&story.follow(), 2);
}

#[test]
fn replicas_above_the_maximum_come_down_without_a_read() {
    let story = |replicas| {
        let mut story = story();
        story.write(20_000, "somebody", 12);
        story.write(30_000, "hpa", replicas);
        story
    };
    assert_equal(&story(10).follow(), 1);
    assert_differs(&story(9).follow(), What::Replicas, Some(10), Some(9));
}

#[test]
fn a_late_write_is_the_last_syncs() {
    let mut story = story();
    story.sync(15_000, 4, 0, None);
    story.write(28_000, "hpa", 4);
    assert_equal(&story.follow(), 2);
}

#[test]
fn a_write_that_nothing_accounts_for_is_found() {
    let mut story = story();
    story.write(20_000, "hpa", 3);
    assert_differs(&story.follow(), What::Unaccounted, None, Some(3));
}

#[test]
fn a_restart_of_the_controllers_loses_the_history() {
    let faults = json!([{ "restart": { "at": "1m", "what": "kube_controller_manager" } }]);
    let spec = json!({ "minReplicaCount": 1, "maxReplicaCount": 20 });
    let story = |restarts: bool| {
        let mut story = Story::with_faults("ScaledObject", "2.21.0", spec.clone(), &faults);
        story.replicas(10, 1);
        // Twenty are wanted, eight are there when they are not any more.
        for (at, queued, replicas) in [(15_000, 20, 4), (30_020, 20, 8)] {
            story.sync(at, queued, 0, None);
            story.write(at + 20, "hpa", replicas);
            story.replicas(at + 400, replicas);
        }
        if restarts {
            story.fault(40_000, 0);
        }
        story.sync(60_000, 0, 0, None);
        story
    };
    assert_equal(&story(true).follow(), 6);
    // Without it, twenty pull up.
    assert_differs(&story(false).follow(), What::Replicas, Some(16), None);
}

#[test]
fn a_change_of_the_spec_counts_once_it_has_settled() {
    let faults = json!([{ "edit": {
        "at": "1m", "object": "ScaledObject/agents", "patch": { "spec": { "maxReplicaCount": 6 } }
    } }]);
    let spec = json!({ "minReplicaCount": 1, "maxReplicaCount": 20 });
    let story = |edited: u64, replicas: u64| {
        let mut story = Story::with_faults("ScaledObject", "2.21.0", spec.clone(), &faults);
        story.replicas(10, 4);
        story.fault(edited, 0);
        story.sync(15_000, 9, 0, None);
        story.write(15_020, "hpa", replicas);
        story
    };
    assert_equal(&story(5000, 6).follow(), 2);
    assert_differs(&story(5000, 8).follow(), What::Replicas, Some(6), Some(8));
    let followed = story(14_000, 8).follow();
    assert_eq!((followed.differences.len(), followed.boundary), (0, 1), "{followed:#?}");
}

#[test]
fn an_upgrade_changes_what_counts() {
    let faults = json!([{ "keda_upgrade": { "at": "1m", "version": "2.21.0" } }]);
    let mut story = Story::with_faults("ScaledObject", "2.20.2", json!({ "minReplicaCount": 1 }), &faults);
    story.replicas(10, 3);
    story.sync(15_000, 0, 3, Some(0));
    story.fault(20_000, 0);
    story.sync(195_000, 0, 3, Some(3000));
    assert_equal(&story.follow(), 6);
}

#[test]
fn the_fallback_answers_with_its_replicas() {
    let spec = json!({ "minReplicaCount": 1, "fallback": { "failureThreshold": 1, "replicas": 6 } });
    let mut story = Story::of("ScaledObject", "2.21.0", spec);
    story.replicas(10, 3);
    story.refused(14_995, 503);
    story.asked(15_000, 500, None);
    story.refused(30_015, 503);
    story.asked(30_020, 200, None);
    story.write(30_040, "hpa", 6);
    let followed = story.follow();
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(kind(&followed, Who::Hpa, What::Replicas), (2, 2));
}

#[test]
fn policies_look_back_at_what_was_written() {
    let behavior =
        json!({ "scaleUp": { "policies": [{ "type": "Pods", "value": 3, "periodSeconds": 30 }] } });
    let spec = json!({
        "minReplicaCount": 1, "maxReplicaCount": 20,
        "advanced": { "horizontalPodAutoscalerConfig": { "behavior": behavior } },
    });
    let mut story = Story::of("ScaledObject", "2.21.0", spec);
    story.replicas(10, 1);
    for (at, replicas) in [(15_000, Some(4)), (30_020, None), (45_040, Some(7)), (60_060, None)] {
        story.sync(at, 12, 0, None);
        if let Some(replicas) = replicas {
            story.write(at + 20, "hpa", replicas);
            story.replicas(at + 400, replicas);
        }
    }
    let followed = story.follow();
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(kind(&followed, Who::Hpa, What::Replicas), (4, 4));
}

#[test]
fn without_an_audit_log_spacing_tells_who_read() {
    let mut story = Story::of("ScaledObject", "2.20.2", json!({ "minReplicaCount": 1 }));
    story.replicas(10, 1);
    for poll in 0..4 {
        story.read(2000 + poll * 30_000, 0, 0);
    }
    for sync in 0..7 {
        story.read(17_500 + sync * 15_020, 3 * u64::from(sync > 2), 0);
    }
    story.replicas(17_500 + 3 * 15_020 + 100, 3);
    let followed = story.follow();
    assert!(!followed.audited);
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(kind(&followed, Who::Hpa, What::Replicas), (7, 7), "{followed:#?}");
    assert_eq!(kind(&followed, Who::Keda, What::Replicas), (4, 4), "{followed:#?}");
}
