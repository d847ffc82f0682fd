//! Polls: reads, creations, conditions and the history.

use serde_json::{Value as Json, json};

use super::super::*;
use super::{World, scaled_job};
use crate::scaled_job::Finished;

fn world(version: &str, queue: u64, spec: &Json) -> World {
    let mut world = World::new(version, scaled_job(&[7], spec));
    world.queues.insert(7, queue);
    world
}

#[test]
fn a_poll_creates_what_the_queue_asks_for_and_says_why() {
    let mut world = world("2.21.0", 3, &json!({}));
    world.run(1_000);
    assert_eq!(world.times("create"), [200, 202, 204]);
    assert_eq!(world.times("KEDAJobsCreated 3"), [206]);
    assert_eq!(world.times("Active=True ScalerActive"), [206]);
    assert_eq!(world.reasons, ["3 queued make 3 Jobs; default: 3 - 0 unfinished = room for 3"]);
    assert_eq!(world.jobs[0].generation.as_deref(), Some("1"));
}

#[test]
fn many_jobs_take_as_long_as_the_client_allows() {
    let mut world = world("2.20.2", 100, &json!({}));
    world.run(20_000);
    let created = world.times("create");
    assert_eq!(created.len(), 100);
    // 30 and what their 58 ms brought, then 20 a second.
    assert_eq!((created[0], created[29], created[99]), (200, 258, 200 + 70 * 50));
}

#[test]
fn a_poll_that_takes_longer_than_the_interval_is_followed_at_once() {
    let mut world = world("2.20.2", 100, &json!({"pollingInterval": 1}));
    world.run(5_000);
    let reads = world.times("read");
    assert_eq!((reads[0], reads[1]), (100, 3_702));
}

#[test]
fn in_2_21_a_series_ends_with_the_interval() {
    let mut world = world("2.21.0", 100, &json!({"pollingInterval": 1}));
    world.run(1_250);
    assert_eq!(world.times("create").len(), 49);
    // The next one would go out at 1,200, when the time is up.
    assert_eq!(world.times("KEDAJobCreateFailed 51"), [1_152]);
    assert_eq!(world.times("KEDAJobsCreated 49"), [1_152]);
    assert_eq!(world.times("Ready=False KEDAJobCreateFailed"), [1_152]);
}

#[test]
fn creations_that_fail_are_told_from_2_19_and_lower_ready_in_2_21() {
    for (version, failures, created, ready) in [
        ("2.18.2", 0, "KEDAJobsCreated 2", true),
        ("2.20.2", 1, "KEDAJobsCreated 2", true),
        ("2.21.0", 1, "KEDAJobsCreated 0", false),
    ] {
        let mut world = world(version, 2, &json!({}));
        world.api_fails = true;
        world.run(1_000);
        assert_eq!(world.times("KEDAJobCreateFailed 2").len(), failures, "{version}");
        assert_eq!(world.times(created).len(), usize::from(ready), "{version}");
        assert_eq!(world.machine.condition(Condition::Ready) == Status::True, ready, "{version}");
    }
}

#[test]
fn a_failed_read_is_tried_again_with_a_new_scaler_and_creates_nothing() {
    let mut world = world("2.21.0", 3, &json!({}));
    world.reads_fail.push(7);
    world.run(1_000);
    let requests: Vec<_> =
        world.entries().into_iter().filter(|e| e.starts_with("pool") || e.starts_with("read")).collect();
    assert_eq!(requests, ["pool 7", "read 7", "pool 7", "read 7"]);
    assert_eq!(world.unfinished(), 0);
    // The scalers are kept.
    world.reads_fail.clear();
    world.run(31_000);
    assert_eq!(world.times("read"), [100, 300, 30_100]);
    assert_eq!(world.unfinished(), 3);
}

#[test]
fn what_ready_tells_of_failed_triggers_depends_on_the_version() {
    for (version, during, after) in [
        ("2.14.0", "Ready=True ScaledJobReady", Status::True),
        ("2.14.1", "Ready=Unknown PartialTriggerError", Status::Unknown),
        ("2.16.1", "Ready=Unknown PartialTriggerError", Status::True),
        ("2.18.2", "Ready=False TriggerError", Status::True),
        ("2.21.0", "Ready=False TriggerError", Status::True),
    ] {
        let mut world = world(version, 0, &json!({}));
        world.reads_fail.push(7);
        world.run(10_000);
        let last = world.log.iter().rev().find(|(_, entry)| entry.starts_with("Ready="));
        assert_eq!(last.map(|(_, entry)| entry.as_str()), Some(during), "{version}");
        world.reads_fail.clear();
        world.run(40_000);
        assert_eq!(world.machine.condition(Condition::Ready), after, "{version}");
    }
}

#[test]
fn triggers_are_read_one_after_the_other_and_a_failed_one_is_passed_over() {
    let mut world = World::new("2.21.0", scaled_job(&[7, 8, 9], &json!({})));
    world.queues.extend([(7, 2), (8, 50), (9, 3)]);
    world.reads_fail.push(8);
    world.run(1_500);
    assert_eq!(world.times("pool"), [0, 100, 200, 500]);
    assert_eq!(world.times("read"), [300, 400, 600, 700]);
    assert_eq!(world.times("KEDAScalerFailed"), [700]);
    assert_eq!(world.unfinished(), 3);
    assert_eq!(world.times("Ready=Unknown PartialTriggerError").len(), 1);
}

#[test]
fn a_service_that_hangs_is_left_after_three_seconds() {
    let mut world = world("2.21.0", 3, &json!({}));
    world.run(150);
    world.hangs = true;
    world.run(30_150);
    world.hangs = false;
    world.run(33_050);
    assert!(world.times("abandon").is_empty());
    world.run(40_000);
    assert_eq!(world.times("abandon"), [33_100]);
    assert_eq!(world.times("pool"), [0, 33_100]);
    assert_eq!(world.times("read"), [100, 30_100, 33_200]);
}

#[test]
fn the_minimum_is_kept_though_no_trigger_can_be_read() {
    let mut world = world("2.21.0", 0, &json!({"minReplicaCount": 2}));
    world.run(1_000);
    assert_eq!(world.unfinished(), 2);
    world.reads_fail.push(7);
    world.jobs[0].finished = Some(Finished::Complete);
    world.run(40_000);
    assert_eq!(world.unfinished(), 2);
}

#[test]
fn without_scalers_a_poll_ended_until_2_11() {
    for (version, unfinished) in [("2.11.2", 0), ("2.12.0", 2)] {
        let mut world = world(version, 0, &json!({"minReplicaCount": 2, "maxReplicaCount": 5}));
        world.run(1_000);
        assert_eq!(world.unfinished(), 2);
        world.jobs.clear();
        world.pools_fail = true;
        // The old loop goes on, and finds no scalers for the new generation.
        world.edit(|object| object.spec.max_replica_count = Some(6));
        world.run(40_000);
        assert_eq!(world.unfinished(), unfinished, "{version}");
    }
}

#[test]
fn with_a_queue_of_waiting_jobs_default_starves_until_agents_are_done() {
    for (strategy, created) in [("default", 2), ("accurate", 4)] {
        let mut world = world("2.20.2", 2, &json!({"scalingStrategy": {"strategy": strategy}}));
        world.run(1_000);
        // Both jobs are received, two more wait.
        world.jobs.iter_mut().for_each(|job| job.runs = true);
        world.run(40_000);
        assert_eq!(world.unfinished(), created, "{strategy}");
    }
}

#[test]
fn with_working_jobs_in_the_queue_accurate_creates_more_at_every_poll() {
    for (strategy, created) in [("default", 2), ("accurate", 6)] {
        let mut world = world("2.19.0", 2, &json!({"scalingStrategy": {"strategy": strategy}}));
        for until in [1_000, 31_000, 61_000] {
            world.run(until);
            world.jobs.iter_mut().for_each(|job| job.runs = true);
        }
        assert_eq!(world.unfinished(), created, "{strategy}");
    }
}

#[test]
fn finished_jobs_beyond_the_limits_are_deleted_after_a_poll() {
    let limits = json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0});
    let mut world = world("2.21.0", 0, &limits);
    world.run(1_000);
    for (name, at) in [("b", 2_000), ("a", 1_000), ("c", 3_000)] {
        world.add_job(name, Some("1"), Some(Finished::Complete));
        world.jobs.last_mut().expect("a Job").completed = Some(at);
    }
    world.add_job("x", Some("1"), Some(Finished::Failed));
    world.add_job("busy", Some("1"), None);
    world.run(40_000);
    let deleted: Vec<_> = world.entries().into_iter().filter(|entry| entry.starts_with("delete")).collect();
    assert_eq!(deleted, ["delete a", "delete b", "delete x"]);
    assert_eq!(world.times("delete"), [30_200, 30_202, 30_204]);
}

#[test]
fn the_first_deletion_that_fails_ends_the_clean_up() {
    let mut world =
        world("2.21.0", 0, &json!({"successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 0}));
    world.run(1_000);
    for (name, kind) in [("a", Finished::Complete), ("b", Finished::Complete), ("x", Finished::Failed)] {
        world.add_job(name, Some("1"), Some(kind));
    }
    world.api_fails = true;
    world.run(40_000);
    assert_eq!(world.times("delete").len(), 1);
    world.api_fails = false;
    world.run(70_000);
    assert_eq!(world.times("delete").len(), 4);
    assert!(world.jobs.is_empty());
}

#[test]
fn activity_is_told_when_it_changes() {
    for (version, events) in [("2.18.3", [0, 0]), ("2.19.0", [1, 2]), ("2.20.2", [1, 1])] {
        let mut world = world(version, 0, &json!({}));
        world.run(1_000);
        world.queues.insert(7, 1);
        world.run(31_000);
        world.queues.insert(7, 0);
        world.run(91_000);
        let told = [world.times("ScaledJobActive").len(), world.times("ScaledJobInactive").len()];
        assert_eq!(told, events, "{version}");
        assert_eq!(world.times("Active=").len(), 3, "{version}");
    }
}

#[test]
fn specifications_that_were_fatal_end_the_process() {
    let custom =
        json!({"scalingStrategy": {"strategy": "custom", "customScalingRunningJobPercentage": "0.5"}});
    for (version, spec, ends) in [
        ("2.20.1", &custom, true),
        ("2.20.2", &custom, false),
        ("2.10.1", &json!({"minReplicaCount": 1}), true),
        ("2.11.0", &json!({"minReplicaCount": 1}), false),
    ] {
        let mut world = world(version, 1, spec);
        world.run(1_000);
        assert_eq!(world.times("panic").len(), usize::from(ends), "{version}");
        assert_eq!(world.machine.next_deadline().is_none(), ends, "{version}");
        assert_eq!(world.unfinished() > 0, !ends, "{version}");
    }
}

#[test]
fn jobs_get_the_labels_and_annotations_of_their_version() {
    let source = || {
        let mut source = scaled_job(&[7], &json!({}));
        let metadata = &mut Arc::make_mut(&mut source.object).metadata;
        metadata
            .labels
            .extend([("team", "blue"), ("stage", "test")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let annotations = [(crate::scaled_job::EXCLUDED_LABELS, "stage,x"), ("note", "n")];
        metadata.annotations.extend(annotations.map(|(k, v)| (k.to_owned(), v.to_owned())));
        source
    };
    for (version, labels, annotations) in
        [("2.12.1", 7, 0), ("2.14.0", 7, 2), ("2.14.1", 7, 3), ("2.18.0", 6, 3)]
    {
        let world = World::before(version, source());
        let metadata = &world.machine.revision().metadata;
        assert_eq!((metadata.labels.len(), metadata.annotations.len()), (labels, annotations), "{version}");
        assert_eq!(metadata.labels["scaledjob.keda.sh/name"], "agents");
        assert_eq!(metadata.generate_name, "agents-");
    }
}
