//! KEDA's decisions about a ScaledJob.

use super::*;

fn story(strategy: &str) -> Story {
    Story::of(
        "ScaledJob",
        "2.21.0",
        json!({
            "maxReplicaCount": 10, "scalingStrategy": { "strategy": strategy }, "successfulJobsHistoryLimit": 1,
        }),
    )
}

impl Story {
    fn job(&mut self, at: u64, job: &str) {
        self.fact(at, json!({ "event": "kubernetes_job.created", "job": job }));
        let owner = format!("Job/{job}");
        self.fact(at + 100, json!({ "event": "pod.created", "pod": format!("{job}-pod"), "owner": owner }));
    }

    fn runs(&mut self, at: u64, job: &str) {
        self.fact(at, json!({ "event": "pod.running", "pod": format!("{job}-pod") }));
    }

    fn ends(&mut self, at: u64, job: &str) {
        self.fact(at, json!({ "event": "kubernetes_job.finished", "job": job, "succeeded": true }));
    }

    fn deleted(&mut self, at: u64, job: &str) {
        self.fact(at, json!({ "event": "kubernetes_job.deleted", "job": job }));
    }
}

/// Two Jobs for two requests, one of which ends.
fn two(strategy: &str, more: u64) -> Story {
    let mut story = story(strategy);
    story.read(1000, 2, 0);
    story.job(1100, "a");
    story.job(1200, "b");
    story.runs(3000, "a");
    story.ends(20_000, "a");
    story.read(31_000, 2, 1);
    for job in 0..more {
        story.job(31_100 + job, &format!("more-{job}"));
    }
    story.read(61_000, 0, 0);
    story
}

#[test]
fn polls_create_what_the_strategy_says() {
    // Three asked for; one is unfinished and has not begun.
    assert_equal(&two("default", 2).follow(), 3);
    assert_equal(&two("accurate", 2).follow(), 3);
    assert_differs(&two("default", 3).follow(), What::JobsCreated, Some(2), Some(3));
    assert_differs(&two("accurate", 1).follow(), What::JobsCreated, Some(2), Some(1));
}

#[test]
fn a_job_that_ends_just_then_may_have_been_counted_or_not() {
    let story = |ended: u64, more: u64| {
        let mut story = story("default");
        story.read(1000, 1, 0);
        story.job(1100, "a");
        story.ends(ended, "a");
        story.read(31_000, 2, 0);
        for job in 0..more {
            story.job(31_200 + job, &format!("more-{job}"));
        }
        story.read(61_000, 0, 0);
        story.follow()
    };
    assert_equal(&story(30_900, 2), 3);
    let followed = story(30_980, 1);
    assert_eq!((followed.differences.len(), followed.boundary), (0, 1), "{followed:#?}");
    let because = followed.boundaries[0].boundary.as_deref();
    assert_eq!(because, Some("1 unfinished and 0 pending Jobs were seen, as a changed just then"));
    assert_differs(&story(30_900, 1), What::JobsCreated, Some(2), Some(1));
}

#[test]
fn a_failed_read_creates_nothing() {
    let story = |jobs: u64| {
        let mut story = story("default");
        story.refused(1000, 503);
        story.refused(1100, 503);
        for job in 0..jobs {
            story.job(1200 + job, &format!("more-{job}"));
        }
        story.read(31_000, jobs, 0);
        story
    };
    assert_equal(&story(0).follow(), 2);
    assert_differs(&story(1).follow(), What::JobsCreated, Some(0), Some(1));
}

#[test]
fn finished_jobs_beyond_the_limit_are_deleted_oldest_first() {
    let story = |gone: &[&str]| {
        let mut story = story("default");
        story.read(1000, 3, 0);
        for (at, job) in [(1100, "a"), (1200, "b"), (1300, "c")] {
            story.job(at, job);
            story.ends(at * 10, job);
        }
        story.read(31_000, 0, 0);
        for job in gone {
            story.deleted(31_100, job);
        }
        story.read(61_000, 0, 0);
        story.follow()
    };
    let followed = story(&["a", "b"]);
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(kind(&followed, Who::Keda, What::JobsDeleted), (1, 1), "{followed:#?}");
    let followed = story(&["a"]);
    assert!(
        kind(&followed, Who::Keda, What::JobsDeleted).1 < kind(&followed, Who::Keda, What::JobsDeleted).0
    );
}

#[test]
fn the_oldest_are_those_that_ended_first() {
    let mut story = story("default");
    story.read(1000, 2, 0);
    for (at, job, ended) in [(1100, "a", 25_000), (1200, "b", 12_000)] {
        story.job(at, job);
        story.ends(ended, job);
    }
    story.read(31_000, 0, 0);
    story.deleted(31_100, "a");
    story.read(61_000, 0, 0);
    let followed = story.follow();
    assert_differs(&followed, What::JobsDeleted, None, Some(1));
    assert_eq!(followed.differences[0].because, "b ended before a, and the oldest go first");
}

#[test]
fn deletions_within_the_limits_are_somebody_elses() {
    let mut story = story("default");
    story.read(1000, 1, 0);
    story.job(1100, "a");
    story.ends(12_000, "a");
    story.deleted(12_000, "a");
    story.read(31_000, 0, 0);
    let followed = story.follow();
    assert_eq!(followed.differences, [], "{followed:#?}");
}
