//! Logs side by side, in both cases: alike, and not.

use model::Fact;
use model::event::{JobResult, Outcome};

use super::*;
use crate::testing::{Log, article, busy_agents_killed};

/// Four jobs at 60; the sync at 65 or the one at 80 sees the last.
fn raised(log: Log, steps: &[(u64, u32)]) -> Log {
    let log = log.without(|fact| matches!(fact, Fact::Replicas { .. })).replicas(1, 1);
    steps.iter().fold(log, |log, (at, replicas)| log.replicas(*at, *replicas))
}

#[test]
fn a_log_equals_itself() {
    let difference = diff(article().events(), article().events());
    assert_eq!(difference.verdict, Likeness::Equal { worst_ms: 0 }, "{}", difference.render(100, false));
    assert!(difference.steps[0].equal && difference.steps[0].steps[0].len() == 3);
}

#[test]
fn steps_within_the_limit_are_equal_and_the_worst_is_told() {
    let later = raised(article(), &[(67, 4), (667, 3), (697, 1)]);
    assert_eq!(diff(article().events(), later.events()).verdict, Likeness::Equal { worst_ms: 1000 });
    let strict = diff_within(article().events(), later.events(), Millis(500));
    assert_eq!(strict.verdict, Likeness::Different, "{}", strict.because);
}

#[test]
fn another_step_is_a_difference_and_named() {
    let other = raised(article(), &[(66, 4), (400, 2), (696, 1)]);
    let difference = diff(article().events(), other.events());
    assert_eq!(difference.verdict, Likeness::Different);
    assert_eq!(difference.steps[0].first_difference, Some(1));
    assert!(
        difference.because.starts_with("Deployment/agents has 4 in A and 2 in B"),
        "{}",
        difference.because
    );
}

/// One job at `queued`, seen by a sync at 65 or at 80.
fn one_more(queued: u64, raised: u64) -> Log {
    let log =
        Log::new().replicas(1, 1).reads(20, 15, 200).queued(30, 1).queued(queued, 2).replicas(raised, 2);
    log.end(200, Outcome::DurationReached)
}

#[test]
fn a_job_that_comes_with_a_sync_may_be_seen_by_it_or_by_the_next() {
    let difference = diff(one_more(65, 66).events(), one_more(65, 81).events());
    let boundary = Likeness::EqualButBoundary { worst_ms: 0, boundaries: 1 };
    assert_eq!(difference.verdict, boundary, "{}", difference.render(100, false));
    let named = difference.steps[0].disagreements[0].boundary.clone().unwrap_or_default();
    assert!(named.contains("job 2 was queued"), "{named}");
    assert_eq!(diff(one_more(60, 66).events(), one_more(60, 81).events()).verdict, Likeness::Different);
}

#[test]
fn a_boundary_case_explains_one_period_and_no_more() {
    assert_eq!(diff(one_more(65, 66).events(), one_more(65, 130).events()).verdict, Likeness::Different);
}

#[test]
fn a_boundary_case_that_sends_replicas_to_other_heights_lasts_until_the_window_is_over() {
    // A third job is queued at 65, with the sync: one log's read sees it, the other's does not.
    let heights = |queued: u64, of: u32| {
        let log = Log::new().replicas(1, 1).reads(20, 15, 200).queued(30, 1).queued(40, 2).queued(queued, 3);
        log.replicas(66, of).end(200, Outcome::DurationReached)
    };
    let boundary = diff(heights(65, 3).events(), heights(65, 2).events());
    assert!(matches!(boundary.verdict, Likeness::EqualButBoundary { .. }), "{}", boundary.render(100, false));
    let none = diff(heights(58, 3).events(), heights(58, 2).events());
    assert_eq!(none.verdict, Likeness::Different, "{}", none.render(100, false));
}

#[test]
fn a_job_that_ends_with_a_sync_moves_the_end_of_the_window() {
    // Agent 1's job ends at 363, between the syncs at 350 and 365: no boundary. At 365 it is one.
    let ends = |at: u64, lowered: u64| {
        let own = |fact: &Fact| matches!(fact, Fact::JobRequestFinished { request: 1, .. });
        let log = raised(article().without(own), &[(66, 4), (lowered, 3), (696, 1)]);
        log.finished(at, 1, 1, JobResult::Succeeded)
    };
    let boundary = diff(ends(365, 666).events(), ends(365, 681).events());
    assert!(
        matches!(boundary.verdict, Likeness::EqualButBoundary { boundaries: 1, .. }),
        "{}",
        boundary.render(100, false)
    );
    assert_eq!(diff(ends(357, 666).events(), ends(357, 696).events()).verdict, Likeness::Different);
}

#[test]
fn jobs_that_end_otherwise_are_a_difference() {
    let failed = article().without(|fact| matches!(fact, Fact::JobRequestFinished { request: 3, .. }));
    let difference = diff(article().events(), failed.finished(388, 3, 3, JobResult::Failed).events());
    assert_eq!(difference.verdict, Likeness::Different);
    assert_eq!(difference.because, "job 3 is Succeeded in A and Failed in B");
}

#[test]
fn a_longer_wait_is_told_and_decides_nothing() {
    let own = |fact: &Fact| matches!(fact, Fact::JobRequestReceived { request: 3, .. });
    let late = |at| article().without(own).received(at, 3, 3);
    assert_eq!(diff(article().events(), late(89).events()).verdict, Likeness::Equal { worst_ms: 0 });
    let difference = diff(article().events(), late(99).events());
    assert_eq!(difference.verdict, Likeness::Equal { worst_ms: 0 });
    assert!(difference.because.ends_with("the wait of job 3 is 11s apart"), "{}", difference.because);
}

#[test]
fn other_agents_and_more_reads_are_differences() {
    let more = diff(article().events(), article().registered(100, 9).events());
    assert!(more.because.contains("4 agents registered in A and 5 in B"), "{}", more.because);
    let reads = diff(article().events(), article().reads(27, 15, 300).events());
    assert!(reads.because.contains("the queue was read"), "{}", reads.because);
}

/// Jobs made for two builds at 60, seen by the poll at 75.
fn made(first: u64, second: u64) -> Log {
    let log = Log::scaled_job().reads(15, 30, 300).queued(60, 1).queued(62, 2);
    let log = log.kubernetes_job("agents-a", first, None).kubernetes_job("agents-b", second, None);
    log.end(300, Outcome::DurationReached)
}

#[test]
fn what_each_poll_of_a_scaled_job_makes_is_compared() {
    let same = diff(made(76, 76).events(), made(76, 77).events());
    assert_eq!(same.verdict, Likeness::Equal { worst_ms: 0 }, "{}", same.render(100, false));
    assert_eq!(same.steps[0].steps[0].iter().map(|step| step.to).collect::<Vec<_>>(), [2]);
    let other = diff(made(76, 76).events(), made(76, 106).events());
    assert_eq!((other.verdict, other.steps[0].first_difference), (Likeness::Different, Some(0)));
}

#[test]
fn other_scenarios_are_not_compared() {
    let other = article().started(|started| started.scenario.name = "other".into());
    assert!(diff(article().events(), other.events()).because.contains("B of `other`"));
}

#[test]
fn differences_read_back_from_json_and_fit_their_width() {
    let difference = diff(article().events(), busy_agents_killed().events());
    let json = serde_json::to_string(&difference).expect("JSON");
    assert_eq!(serde_json::from_str::<Difference>(&json).expect("a difference"), difference);
    for width in [80, 120] {
        let text = difference.render(width, false);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= width), "{text}");
    }
    insta::assert_snapshot!(
        "difference_80",
        diff(one_more(65, 66).events(), one_more(65, 81).events()).render(80, false)
    );
    insta::assert_snapshot!("equal_80", diff(article().events(), article().events()).render(80, false));
}
