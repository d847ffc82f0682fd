//! Logs of real runs, with a real KEDA and a real control plane, followed: every decision is equal, and a number
//! that is changed is found.

use model::{Event, Fact};
use twin::follow::{Followed, What, Who, follow};

/// Recorded with the local engine at 20 times the speed. `clock.quality` is left out.
const ARTICLE: &str = include_str!("logs/article-keda-2.21.0.jsonl");
const BUSY_AGENTS_VANISH: &str = include_str!("logs/busy-agents-vanish-keda-2.20.2.jsonl");
const SCALEDJOB_SCALE_IN: &str = include_str!("logs/scaledjob-scale-in-keda-2.21.0.jsonl");

fn read(log: &str) -> Vec<Event> {
    log.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

fn numbers(followed: &Followed, who: Who, what: What) -> u64 {
    assert_eq!(followed.differences, [], "{}", followed.object);
    assert_eq!(followed.equal, followed.compared);
    let kind = followed.kinds.iter().find(|kind| (kind.who, kind.what) == (who, what));
    kind.map_or(0, |kind| kind.equal)
}

#[test]
fn the_article_is_followed_with_every_decision_equal() {
    let followed = follow(&read(ARTICLE));
    assert!(followed.audited);
    assert_eq!(numbers(&followed, Who::Hpa, What::Replicas), 50);
    assert_eq!(numbers(&followed, Who::Hpa, What::Answered), 50);
    // The minimum is above zero: polls take over what the HPA read, after the first.
    assert_eq!(numbers(&followed, Who::Keda, What::Replicas), 1);
    assert_eq!(followed.boundary, 0);
}

#[test]
fn the_busy_agents_of_2_20_are_followed_to_their_end() {
    let followed = follow(&read(BUSY_AGENTS_VANISH));
    assert_eq!(numbers(&followed, Who::Keda, What::Replicas), 28);
    assert_eq!(numbers(&followed, Who::Hpa, What::Replicas), 6);
    let zero =
        followed.decisions.iter().find(|decision| decision.seen == Some(0) && decision.who == Who::Keda);
    let because = zero.map(|decision| decision.because.as_str());
    assert_eq!(because, Some("0 of 2 rows count: no trigger was active for the cooldown; there are 2"));
}

#[test]
fn every_poll_of_the_scaled_job_creates_what_it_must() {
    let followed = follow(&read(SCALEDJOB_SCALE_IN));
    assert_eq!(numbers(&followed, Who::Keda, What::JobsCreated), 56);
    let made: Vec<i64> =
        followed.decisions.iter().filter_map(|decision| decision.seen).filter(|number| *number > 0).collect();
    assert_eq!(made, [4]);
}

/// Whatever is done otherwise, it is found: each change makes at least one difference.
#[test]
fn a_number_that_is_changed_is_found() {
    for log in [ARTICLE, BUSY_AGENTS_VANISH] {
        let events = read(log);
        let mut changed = 0;
        for place in 0..events.len() {
            let mut events = events.clone();
            match &mut events[place].fact {
                Fact::ScaleWritten { replicas, status: 200, .. } => *replicas += 1,
                _ => continue,
            }
            changed += 1;
            let followed = follow(&events);
            assert!(!followed.differences.is_empty(), "event {place} of {}", followed.object);
        }
        assert!(changed > 1);
    }
}

#[test]
fn a_write_that_is_missing_is_found() {
    for log in [ARTICLE, BUSY_AGENTS_VANISH] {
        let events = read(log);
        for place in 0..events.len() {
            if matches!(events[place].fact, Fact::ScaleWritten { status: 200, .. }) {
                let mut events = events.clone();
                let at = events.remove(place).at;
                // Another try may have met a conflict before.
                let near = |event: &Event| event.at.since(at).max(at.since(event.at)).0 < 5000;
                events.retain(|event| !(near(event) && matches!(event.fact, Fact::ScaleWritten { .. })));
                let followed = follow(&events);
                assert!(!followed.differences.is_empty(), "event {place} of {}", followed.object);
            }
        }
    }
}

#[test]
fn a_job_more_and_a_job_fewer_are_found() {
    let events = read(SCALEDJOB_SCALE_IN);
    let made = events.iter().position(|event| matches!(event.fact, Fact::KubernetesJobCreated { .. }));
    let made = made.expect("a Job");
    let mut fewer = events.clone();
    let Fact::KubernetesJobCreated { job } = fewer.remove(made).fact else { panic!("a Job") };
    // Its pod would tell of it as well.
    fewer.retain(|event| !matches!(&event.fact, Fact::PodCreated { pod, .. } if pod.starts_with(&job)));
    assert!(!follow(&fewer).differences.is_empty());
    let mut more = events;
    let mut another = more[made].clone();
    another.fact = Fact::KubernetesJobCreated { job: "another".to_owned() };
    more.insert(made, another);
    assert!(!follow(&more).differences.is_empty());
}

/// Rules of another version do not fit: received jobs count there and here they do not.
#[test]
fn the_rules_of_another_version_do_not_fit() {
    let mut events = read(BUSY_AGENTS_VANISH);
    for event in &mut events {
        if let Fact::ScaleTarget(target) = &mut event.fact {
            target.keda = "2.19.0".to_owned();
        }
    }
    let followed = follow(&events);
    assert!(followed.differences.len() >= 2, "{:#?}", followed.differences);
}
