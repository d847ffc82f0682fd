//! KEDA's decisions about a ScaledObject.

use super::*;

/// From zero, with a cooldown of a minute.
fn story(version: &str) -> Story {
    let mut story = Story::of("ScaledObject", version, json!({ "cooldownPeriod": 60 }));
    story.replicas(10, 0);
    // No audit facts would mean that writers are guessed.
    story.write(11, "somebody", 0);
    story
}

#[test]
fn the_first_job_activates() {
    let story = |queued| {
        let mut story = story("2.20.2");
        story.read(1000, 0, 0);
        story.read(31_000, queued, 0);
        story.write(31_010, "keda", 1);
        story
    };
    assert_equal(&story(1).follow(), 2);
    assert_differs(&story(0).follow(), What::Replicas, None, Some(1));
}

#[test]
fn an_activation_that_did_not_come_is_found() {
    let mut story = story("2.20.2");
    story.read(1000, 1, 0);
    assert_differs(&story.follow(), What::Replicas, Some(1), None);
}

/// A job that is received at once; polls from 1 s on.
fn cooldown(version: &str, zero: Option<u64>) -> Story {
    let mut story = story(version);
    story.read(1000, 1, 0);
    story.write(1010, "keda", 1);
    story.replicas(1200, 1);
    for poll in 1..=3 {
        story.read(1000 + poll * 30_100, 0, 1);
        if zero == Some(poll) {
            story.write(1010 + poll * 30_100, "keda", 0);
            story.replicas(1200 + poll * 30_100, 0);
        }
    }
    story
}

#[test]
fn in_2_20_the_cooldown_ends_while_the_job_runs() {
    assert_equal(&cooldown("2.20.2", Some(2)).follow(), 4);
    assert_differs(&cooldown("2.20.2", Some(3)).follow(), What::Replicas, Some(0), None);
    assert_differs(&cooldown("2.20.2", Some(1)).follow(), What::Replicas, None, Some(0));
}

#[test]
fn in_2_21_a_running_job_keeps_its_agent() {
    assert_equal(&cooldown("2.21.0", None).follow(), 4);
    let followed = cooldown("2.21.0", Some(2)).follow();
    let [zero, back] = followed.differences.as_slice() else { panic!("{followed:#?}") };
    assert_eq!((zero.expected, zero.seen), (None, Some(0)));
    // The job is still there, so the next poll would have to activate again.
    assert_eq!((back.expected, back.seen), (Some(1), None));
}

#[test]
fn whole_seconds_decide_at_the_cooldowns_end() {
    let mut story = story("2.20.2");
    story.read(1500, 1, 0);
    story.write(1510, "keda", 1);
    story.replicas(1700, 1);
    // lastActiveTime is somewhere in the second before 1.5 s.
    story.read(61_300, 0, 1);
    story.write(61_310, "keda", 0);
    let followed = story.follow();
    assert_eq!(followed.differences, [], "{followed:#?}");
}

#[test]
fn failed_reads_freeze_the_replicas() {
    let story = |writes: bool| {
        let mut story = cooldown("2.19.0", None);
        story.refused(151_000, 503);
        story.refused(151_010, 503);
        if writes {
            story.write(151_020, "keda", 0);
        }
        story
    };
    assert_equal(&story(false).follow(), 5);
    assert_differs(&story(true).follow(), What::Replicas, None, Some(0));
}

#[test]
fn until_2_16_the_fallback_is_set_at_once() {
    let spec = json!({ "fallback": { "failureThreshold": 3, "replicas": 6 } });
    for (version, replicas) in [("2.16.1", Some(6)), ("2.18.0", None)] {
        let mut story = Story::of("ScaledObject", version, spec.clone());
        story.replicas(10, 0);
        story.write(11, "somebody", 0);
        story.refused(1000, 503);
        if let Some(replicas) = replicas {
            story.write(1020, "keda", replicas);
        }
        assert_equal(&story.follow(), 1);
    }
}

#[test]
fn a_poll_that_falls_back_may_activate_since_2_19() {
    let mut story =
        Story::of("ScaledObject", "2.19.0", json!({ "fallback": { "failureThreshold": 0, "replicas": 6 } }));
    story.replicas(10, 0);
    story.refused(1000, 503);
    story.write(1020, "keda", 1);
    let followed = story.follow();
    assert_eq!((followed.differences.len(), followed.boundary), (0, 1), "{followed:#?}");
}

#[test]
fn somebodys_zero_is_raised_to_the_minimum() {
    let story = |raised: bool| {
        let mut story = Story::of("ScaledObject", "2.21.0", json!({ "minReplicaCount": 2 }));
        story.replicas(10, 2);
        story.read(1000, 0, 0);
        story.sync(15_500, 0, 0, None);
        story.write(20_000, "somebody", 0);
        if raised {
            story.write(31_000, "keda", 2);
        } else {
            story.replicas(90_000, 0);
        }
        story
    };
    let followed = story(true).follow();
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(kind(&followed, Who::Keda, What::Replicas), (2, 2), "{followed:#?}");
    assert_differs(&story(false).follow(), What::Overdue, Some(2), Some(0));
}

#[test]
fn a_write_without_a_poll_is_found() {
    let mut story = story("2.20.2");
    story.write(900, "keda", 1);
    assert_differs(&story.follow(), What::Unaccounted, None, Some(1));
}
