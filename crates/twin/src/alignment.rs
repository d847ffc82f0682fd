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
    /// Which pods were deleted by their controllers, in that order, by how many were created before them.
    pub victims: Vec<u32>,
}

/// Further apart than this, a read of the queue is not the one that an HPA's read caused.
const SAME_READ: Millis = Millis(1_500);

impl Alignment {
    /// The alignment with this log.
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let ready = events.iter().find(|event| matches!(event.fact, Fact::RunReady {})).map(|event| event.at);
        let Some(ready) = ready else { return Self::default() };
        let since = |at: Instant| at.since(ready);
        let syncs: Vec<Instant> = events
            .iter()
            .filter(|event| matches!(event.fact, Fact::HpaRead { .. }))
            .map(|event| event.at)
            .collect();
        let reads =
            events.iter().filter(|event| matches!(event.fact, Fact::ScalerRead { .. })).map(|event| event.at);
        let polls = reads.filter(|at| !syncs.iter().any(|sync| apart(*sync, *at) <= SAME_READ));
        Self {
            polls: polls.filter(|at| *at >= ready).map(since).collect(),
            syncs: syncs.iter().copied().filter(|at| *at >= ready).map(since).collect(),
            victims: victims(events),
        }
    }
}

fn apart(a: Instant, b: Instant) -> Millis {
    a.since(b).max(b.since(a))
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
