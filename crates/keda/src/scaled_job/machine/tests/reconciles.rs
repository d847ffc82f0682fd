//! Creation, edits, restarts, upgrades, outages and pauses.

use model::manifest::keda::ScaledJob;
use serde_json::json;

use super::super::*;
use super::{World, scaled_job};
use crate::scaled_job::PAUSED;

fn one() -> Source {
    scaled_job(&[7], &json!({}))
}

#[test]
fn a_new_object_is_polled_as_soon_as_its_pool_is_found_and_then_every_interval() {
    let mut world = World::new("2.21.0", one());
    world.run(90_000);
    assert_eq!(world.times("pool"), [0]);
    assert_eq!(world.times("read"), [100, 30_100, 60_100]);
    assert_eq!(world.times("Ready=True ScaledJobReady"), [100]);
    assert_eq!(world.times("Active=False ScalerNotActive"), [200]);
}

#[test]
fn an_object_without_a_finalizer_is_reconciled_and_polled_twice() {
    let mut world = World::unseen("2.21.0", one());
    world.tell(Input::OperatorStarted(super::world::operator("2.21.0")));
    world.run(40_000);
    // The finalizer changes the specification; the second loop finds the first one's scalers dropped.
    assert_eq!(world.times("pool"), [0, 150]);
    assert_eq!(world.times("read"), [100, 250, 30_150]);
    world.restart("2.21.0");
    world.run(75_000);
    assert_eq!(world.times("read")[3..], [40_100, 70_100]);
}

#[test]
fn until_2_14_0_the_second_reconcile_deletes_the_first_jobs() {
    for (version, deleted) in [("2.14.0", 1), ("2.14.1", 0)] {
        let mut world = World::unseen(version, one());
        world.queues.insert(7, 1);
        world.latency = 10;
        world.tell(Input::OperatorStarted(super::world::operator(version)));
        world.run(1_000);
        assert_eq!((world.times("delete").len(), world.unfinished()), (deleted, 1), "{version}");
    }
}

#[test]
fn until_an_operator_comes_nothing_happens() {
    let mut world = World::before("2.21.0", one());
    world.run(100_000);
    assert!(world.log.is_empty());
}

#[test]
fn a_pool_that_is_not_found_is_asked_for_again_after_delays_that_double() {
    let mut world = World::before("2.21.0", one());
    world.pools_fail = true;
    world.tell(Input::OperatorStarted(super::world::operator("2.21.0")));
    world.run(1_500);
    // Each answer takes 100 ms; then 5, 10, 20, 40, 80, 160 ms.
    assert_eq!(world.times("pool"), [0, 105, 215, 335, 475, 655, 915, 1335]);
    assert!(world.times("read").is_empty());
    assert_eq!(world.times("Ready=False ScaledJobCheckFailed"), [100]);
    world.pools_fail = false;
    world.run(10_000);
    assert_eq!(world.times("read"), [2175]);
    assert_eq!(world.times("Ready=True"), [2175]);
}

#[test]
fn after_a_long_outage_the_next_try_is_at_most_a_thousand_seconds_away() {
    let mut world = World::new("2.21.0", one());
    world.pools_fail = true;
    world.run(10_000_000);
    let tries = world.times("pool");
    let longest = tries.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert_eq!(longest, Some(1_000_100));
}

#[test]
fn an_edit_restarts_the_loop_with_an_immediate_poll() {
    let mut world = World::new("2.21.0", one());
    world.run(40_000);
    world.edit(|object| object.spec.polling_interval = Some(10));
    world.run(70_000);
    // The reconcile and then the new loop, whose scalers the old one dropped.
    assert_eq!(world.times("pool"), [0, 40_000, 40_100]);
    assert_eq!(world.times("read"), [100, 30_100, 40_200, 50_100, 60_100]);
}

#[test]
fn an_edit_gives_up_the_poll_that_is_under_way() {
    let mut world = World::new("2.21.0", one());
    world.run(30_050);
    world.hangs = true;
    world.run(30_150);
    world.hangs = false;
    world.edit(|object| object.spec.max_replica_count = Some(3));
    world.run(31_000);
    assert_eq!(world.times("abandon"), [30_250]);
    assert_eq!(world.times("read"), [100, 30_100, 30_350]);
}

#[test]
fn if_an_edit_cannot_be_reconciled_the_old_loop_goes_on_with_its_interval() {
    let mut world = World::new("2.21.0", one());
    world.run(40_000);
    world.pools_fail = true;
    world.edit(|object| object.spec.polling_interval = Some(10));
    world.run(100_000);
    assert!(world.machine.is_polling());
    // It polls the new generation, whose scalers it cannot make either, and says so.
    assert_eq!(world.times("read"), [100, 30_100]);
    assert!(world.times("pool").contains(&60_100) && world.times("pool").contains(&90_100));
    assert!(world.times("Ready=False TriggerError").contains(&60_200));
}

#[test]
fn a_retry_outlives_an_edit_until_2_19_and_restarts_the_loop_once_more() {
    for (version, reads) in [("2.19.0", vec![20_100, 21_775, 51_675]), ("2.20.0", vec![20_100, 50_100])] {
        let mut world = World::before(version, one());
        world.pools_fail = true;
        world.tell(Input::OperatorStarted(super::world::operator(version)));
        // After twelve failures of 100 ms each, and 5 + 10 + ... + 10,240 ms of waiting: the next try is at 21,675.
        world.run(20_000);
        world.pools_fail = false;
        world.edit(|object| object.spec.max_replica_count = Some(5));
        world.run(60_000);
        assert_eq!(world.times("read"), reads, "{version}");
    }
}

#[test]
fn annotations_and_labels_alone_do_not_restart_the_loop() {
    let mut world = World::new("2.21.0", one());
    world.run(40_000);
    world.annotate("team", "blue");
    world.run(70_000);
    assert_eq!(world.times("read"), [100, 30_100, 60_100]);
    assert_eq!(world.machine.revision().metadata.annotations["team"], "blue");
}

#[test]
fn an_edit_during_a_reconcile_makes_another_one() {
    let mut world = World::new("2.21.0", one());
    world.run(50);
    world.edit(|object| object.spec.polling_interval = Some(10));
    world.run(5_000);
    // The first loop finds the object changed, and makes scalers too before it is replaced.
    assert_eq!(world.times("pool"), [0, 100, 100, 200]);
    assert_eq!(world.times("read"), [300]);
    assert_eq!(world.times("KEDAScalersStarted"), [100]);
}

fn old_jobs(version: &str, change: impl FnOnce(&mut ScaledJob)) -> World {
    let mut world = World::new(version, one());
    world.run(1_000);
    let mine =
        (crate::rules::Rules::of(&version.parse().expect("a version")).expect("known").scaled_job.rollout
            == crate::rules::RolloutCheck::Generation)
            .then_some("1");
    world.add_job("busy", mine, None);
    world.add_job("done", mine, Some(crate::scaled_job::Finished::Complete));
    world.edit(change);
    world.run(2_000);
    world
}

#[test]
fn an_immediate_rollout_deletes_all_jobs_of_earlier_generations() {
    let world = old_jobs("2.21.0", |object| object.spec.polling_interval = Some(10));
    assert_eq!(world.times("delete busy"), [1_000]);
    assert_eq!(world.times("delete done"), [1_002]);
    assert_eq!(world.times("ScaledJobRolloutCleanupCompleted"), [1_004]);
    // Jobs go before the pool is asked for.
    assert_eq!(world.times("pool")[1], 1_004);
    assert!(world.jobs.is_empty());
}

#[test]
fn a_gradual_rollout_deletes_none() {
    let world = old_jobs("2.21.0", |object| object.spec.rollout_strategy = Some("gradual".to_owned()));
    assert_eq!(world.jobs.len(), 2);
}

#[test]
fn a_foreground_rollout_says_so() {
    let world = old_jobs("2.21.0", |object| {
        object.spec.rollout =
            serde_json::from_value(json!({"propagationPolicy": "foreground"})).expect("a rollout");
    });
    assert_eq!(world.times("delete busy after its pods"), [1_000]);
}

#[test]
fn a_restart_deleted_busy_jobs_until_2_14_0() {
    for (version, left) in [("2.14.0", 0), ("2.14.1", 2), ("2.21.0", 2)] {
        let mut world = World::new(version, one());
        world.queues.insert(7, 2);
        world.run(1_000);
        assert_eq!(world.unfinished(), 2);
        world.queues.insert(7, 0);
        world.restart(version);
        world.run(2_000);
        assert_eq!(world.unfinished(), left, "{version}");
    }
}

#[test]
fn an_upgrade_from_before_2_14_1_deletes_all_jobs_once() {
    let mut world = World::new("2.13.1", one());
    world.queues.insert(7, 2);
    world.run(1_000);
    assert_eq!(world.unfinished(), 2);
    world.restart("2.21.0");
    assert_eq!(world.machine.revision().metadata.labels["app.kubernetes.io/version"], "2.21.0");
    world.run(2_000);
    // Two were deleted, two were made for the same queue.
    assert_eq!((world.times("delete").len(), world.unfinished()), (2, 2));
    world.restart("2.21.0");
    world.run(3_000);
    assert_eq!(world.times("delete").len(), 2);
}

#[test]
fn a_job_that_cannot_be_deleted_fails_the_reconcile() {
    let mut world = World::new("2.21.0", one());
    world.run(1_000);
    world.add_job("a", None, None);
    world.add_job("b", None, None);
    world.api_fails = true;
    world.edit(|object| object.spec.polling_interval = Some(10));
    world.run(1_020);
    assert_eq!(world.times("delete a"), [1_000, 1_007, 1_019]);
    assert_eq!(world.times("delete b").len(), 0);
    assert_eq!(world.times("Active=Unknown UnknownState"), [1_002]);
    world.api_fails = false;
    world.run(2_000);
    assert!(world.jobs.is_empty());
}

#[test]
fn a_restart_forgets_everything_and_polls_at_once() {
    let mut world = World::new("2.21.0", one());
    world.run(40_000);
    world.restart("2.21.0");
    world.run(75_000);
    assert_eq!(world.times("pool"), [0, 40_000]);
    assert_eq!(world.times("read"), [100, 30_100, 40_100, 70_100]);
}

#[test]
fn a_restart_during_an_outage_leaves_the_object_without_a_loop() {
    let mut world = World::new("2.21.0", one());
    world.run(40_000);
    world.pools_fail = true;
    world.restart("2.21.0");
    world.run(100_000);
    assert!(!world.machine.is_polling());
    assert_eq!(world.times("read"), [100, 30_100]);
}

#[test]
fn an_operator_that_ends_gives_up_its_requests() {
    let mut world = World::new("2.21.0", one());
    world.queues.insert(7, 3);
    world.run(203);
    world.tell(Input::OperatorStopped);
    assert_eq!(world.times("abandon API"), [203]);
    world.run(100_000);
    assert_eq!(world.unfinished(), 1);
    assert!(world.machine.next_deadline().is_none());
}

#[test]
fn a_deleted_object_has_no_loop_and_its_jobs_stay() {
    let mut world = World::new("2.21.0", one());
    world.queues.insert(7, 3);
    world.run(1_000);
    world.tell(Input::Deleted);
    world.restart("2.21.0");
    world.run(100_000);
    assert_eq!(world.times("read"), [100]);
    assert_eq!(world.unfinished(), 3);
}

#[test]
fn a_pause_stops_the_loop_and_its_end_polls_at_once() {
    let mut world = World::new("2.21.0", one());
    world.queues.insert(7, 1);
    world.run(40_000);
    world.annotate(PAUSED, "true");
    world.run(100_000);
    assert_eq!(world.times("read"), [100, 30_100]);
    assert_eq!(world.times("Paused=True"), [40_000]);
    assert_eq!(world.unfinished(), 1);
    world.annotate(PAUSED, "false");
    world.run(110_000);
    assert_eq!(world.times("pool"), [0, 100_000]);
    assert_eq!(world.times("read"), [100, 30_100, 100_100]);
    assert_eq!(world.times("Paused=False"), [100_000]);
}

#[test]
fn what_the_pause_annotation_may_say_depends_on_the_version() {
    for (version, text, polls) in [
        ("2.10.1", "true", true),
        ("2.11.0", "false", false),
        ("2.13.0", "false", true),
        ("2.13.0", "0", true),
        ("2.13.0", "maybe", false),
        ("2.21.0", "", false),
    ] {
        let mut source = one();
        let object = Arc::make_mut(&mut source.object);
        object.metadata.annotations.insert(PAUSED.to_owned(), text.to_owned());
        let mut world = World::new(version, source);
        world.run(1_000);
        assert_eq!(world.machine.is_polling(), polls, "{version} {text}");
    }
}

#[test]
fn a_metric_type_is_refused_once_the_pool_is_found() {
    let mut source = one();
    Arc::make_mut(&mut source.object).spec.triggers[0].metric_type = Some("AverageValue".to_owned());
    let mut world = World::new("2.21.0", source);
    world.run(1_000);
    assert!(!world.machine.is_polling());
    // The scalers stay made.
    assert_eq!(world.times("pool"), [0]);
    assert_eq!(world.times("ScaledJobCheckFailed")[..3], [100, 105, 115]);
}

#[test]
fn settings_that_the_scaler_refuses_ask_nothing() {
    let mut source = one();
    Arc::make_mut(&mut source.object).spec.triggers[0].metadata.remove("poolID");
    let mut world = World::new("2.21.0", source);
    world.run(1_000);
    assert!(world.times("pool").is_empty());
    assert_eq!(world.times("ScaledJobCheckFailed")[..3], [0, 5, 15]);
}
