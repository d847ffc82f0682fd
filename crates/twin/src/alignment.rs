//! What of a real log the twin can take over, so that both can be held against
//! each other: when KEDA polled, when the HPA read, and which pods were deleted.
//!
//! All of it is chance in a real cluster (phases of loops, UIDs of pods), and
//! none of it is a decision.

use std::collections::BTreeMap;

use model::event::Fact;
use model::{Event, Instant, Millis};

/// The phases and victims of a log, from the moment that everything was in place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alignment {
    /// When KEDA polled.
    pub polls: Vec<Millis>,
    /// When the HPA read.
    pub syncs: Vec<Millis>,
    /// How many times faster than the wall clock it ran: what takes wall time, as a call to the API
    /// does, took that many times as long in scenario time.
    pub speed: u32,
    /// Which pods were deleted by their controllers, in that order, by how many were created before them.
    pub victims: Vec<u32>,
}

/// How long before it is seen to end, or after, a read of the HPA's may have read the queue.
const SLACK: Millis = Millis(1_500);

impl Alignment {
    /// The alignment with this log.
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let ready = events.iter().find(|event| matches!(event.fact, Fact::RunReady {})).map(|event| event.at);
        let Some(ready) = ready else { return Self::default() };
        let mut reads: Vec<Instant> = events
            .iter()
            .filter(|event| matches!(event.fact, Fact::ScalerRead { .. }))
            .map(|event| event.at)
            .collect();
        reads.sort();
        let mut syncs = Vec::new();
        for event in events {
            let Fact::HpaRead { status, latency_ms, .. } = event.fact else { continue };
            let from = Instant(event.at.0.saturating_sub(latency_ms + SLACK.0));
            let within = |at: &Instant| from <= *at && *at <= event.at + SLACK;
            // What counts is when the queue was read: the answer's way back may take long. What fails
            // was tried twice.
            let tries = if (200..300).contains(&status) { 1 } else { 2 };
            let mut began = None;
            for _ in 0..tries {
                began = reads.iter().rposition(within).map(|caused| reads.remove(caused)).or(began);
            }
            syncs.push(began.unwrap_or(Instant(event.at.0.saturating_sub(latency_ms))));
        }
        let since = |at: &Instant| (*at >= ready).then(|| at.since(ready));
        Self {
            polls: reads.iter().filter_map(since).collect(),
            syncs: syncs.iter().filter_map(since).collect(),
            speed: speed(events),
            victims: victims(events),
        }
    }
}

fn speed(events: &[Event]) -> u32 {
    let started = events.iter().find_map(|event| match &event.fact {
        Fact::RunStarted(started) => Some(started.speed),
        _ => None,
    });
    started.unwrap_or(1).max(1)
}

/// The pods that were deleted before the workload was, by the number of pods before them.
fn victims(events: &[Event]) -> Vec<u32> {
    let mut ordinals = BTreeMap::new();
    let mut victims = Vec::new();
    for event in events {
        match &event.fact {
            Fact::PodCreated { pod, .. } => {
                let next = u32::try_from(ordinals.len()).unwrap_or(u32::MAX);
                ordinals.entry(pod.as_str()).or_insert(next);
            }
            Fact::PodTerminating { pod, .. } => victims.extend(ordinals.get(pod.as_str()).copied()),
            Fact::RunDraining {} => break,
            _ => {}
        }
    }
    victims
}
