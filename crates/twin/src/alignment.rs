//! What of a real log the twin can take over, so that both can be held against
//! each other: when KEDA polled, when the HPA read, and which pods were deleted.
//!
//! All of it is chance in a real cluster (phases of loops, UIDs of pods), and
//! none of it is a decision.

use std::collections::{BTreeMap, BTreeSet};

use model::event::Fact;
use model::{Event, Instant, Millis};

/// The phases and victims of a log, from the moment that everything was in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alignment {
    /// When KEDA polled.
    pub polls: Vec<Millis>,
    /// When the HPA read.
    pub syncs: Vec<Millis>,
    /// How many times faster than the wall clock it ran: what takes wall time, as a call to the API
    /// does, took that many times as long in scenario time.
    pub speed: u32,
    /// On which node each pod came to lie, by how many were created before it; both counted from 0.
    pub nodes: Vec<Option<u32>>,
    /// Which pods were deleted by their controllers, in that order, by how many were created before them.
    pub victims: Vec<u32>,
}

/// How long before it is seen to end, or after, a read of the HPA's may have read the queue.
const SLACK: Millis = Millis(1_500);

/// How long after a read that failed it may be tried again: KEDA's client gives a request up after 3 s.
const RETRY: Millis = Millis::seconds(4);

impl Alignment {
    /// The alignment with this log; nothing if it never came to `run.ready`.
    #[must_use]
    pub fn of(events: &[Event]) -> Option<Self> {
        let ready = events.iter().find(|event| matches!(event.fact, Fact::RunReady {})).map(|event| event.at);
        let ready = ready?;
        let failed = |event: &Event| match event.fact {
            Fact::ScalerRead { status, .. } => Some((event.at, !(200..300).contains(&status))),
            _ => None,
        };
        let mut reads: Vec<(Instant, bool)> = events.iter().filter_map(failed).collect();
        reads.sort();
        // With `useCachedMetrics` the HPA is answered from the last poll, and reads nothing.
        let cached = is_cached(events);
        let mut syncs = Vec::new();
        for event in events {
            let Fact::HpaRead { status, latency_ms, .. } = event.fact else { continue };
            let from = Instant(event.at.0.saturating_sub(latency_ms + SLACK.0));
            let within = |(at, _): &(Instant, bool)| from <= *at && *at <= event.at + SLACK;
            // What counts is when the queue was read: the answer's way back may take long. What fails
            // was tried twice.
            let tries = if (200..300).contains(&status) { 1 } else { 2 };
            let mut began = None;
            for _ in 0..if cached { 0 } else { tries } {
                began = reads.iter().rposition(within).map(|caused| reads.remove(caused).0).or(began);
            }
            syncs.push(began.unwrap_or(Instant(event.at.0.saturating_sub(latency_ms))));
        }
        let since = |at: &Instant| (*at >= ready).then(|| at.since(ready));
        Some(Self {
            polls: polls(&reads).iter().filter_map(since).collect(),
            syncs: syncs.iter().filter_map(since).collect(),
            speed: speed(events),
            nodes: nodes(events),
            victims: victims(events),
        })
    }
}

/// When polls began: what failed is tried again within the same one.
fn polls(reads: &[(Instant, bool)]) -> Vec<Instant> {
    let mut polls: Vec<Instant> = Vec::new();
    let mut retry_until = None;
    for (at, failed) in reads {
        if retry_until.is_none_or(|until| *at > until) {
            polls.push(*at);
            retry_until = failed.then(|| *at + RETRY);
        }
    }
    polls
}

fn is_cached(events: &[Event]) -> bool {
    let target = events.iter().find_map(|event| match &event.fact {
        Fact::ScaleTarget(target) => Some(target),
        _ => None,
    });
    let triggers = target.and_then(|target| target.spec.get("triggers")?.as_array());
    triggers.is_some_and(|triggers| triggers.iter().any(|trigger| trigger["useCachedMetrics"] == true))
}

fn speed(events: &[Event]) -> u32 {
    let started = events.iter().find_map(|event| match &event.fact {
        Fact::RunStarted(started) => Some(started.speed),
        _ => None,
    });
    started.unwrap_or(1).max(1)
}

/// The node of each pod, by the pods created before it. Nodes' names end with their number, from 1.
fn nodes(events: &[Event]) -> Vec<Option<u32>> {
    let mut ordinals = BTreeMap::new();
    let mut nodes = Vec::new();
    for event in events {
        match &event.fact {
            Fact::PodCreated { pod, .. } => {
                ordinals.insert(pod.as_str(), nodes.len());
                nodes.push(None);
            }
            Fact::PodScheduled { pod, node } => {
                let number = node.rsplit('-').next().and_then(|number| number.parse::<u32>().ok());
                if let Some(place) = ordinals.get(pod.as_str()) {
                    nodes[*place] = number.and_then(|number| number.checked_sub(1));
                }
            }
            _ => {}
        }
    }
    nodes
}

/// The pods that controllers deleted before the workload was, by the number of pods before them.
fn victims(events: &[Event]) -> Vec<u32> {
    let mut ordinals = BTreeMap::new();
    let mut victims = Vec::new();
    let mut hit = BTreeSet::new();
    for event in events {
        match &event.fact {
            Fact::PodCreated { pod, .. } => {
                let next = u32::try_from(ordinals.len()).unwrap_or(u32::MAX);
                ordinals.entry(pod.as_str()).or_insert(next);
            }
            // Whom a fault deletes it names itself.
            Fact::FaultOn { hits: Some(hits), .. } => {
                hit.extend(hits.strip_prefix("Pod/"));
            }
            Fact::PodTerminating { pod, .. } if !hit.contains(pod.as_str()) => {
                victims.extend(ordinals.get(pod.as_str()).copied());
            }
            Fact::RunDraining {} => break,
            _ => {}
        }
    }
    victims
}
