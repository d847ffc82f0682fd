//! What the controller remembers of one HPA, in memory only: recommendations and scale events.

use model::{Instant, Millis};

/// A recommendation as it was computed, before limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recommendation {
    pub(crate) at: Instant,
    pub(crate) replicas: i32,
}

/// A change that the controller wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ScaleEvent {
    at: Instant,
    /// How many replicas more or fewer; never negative.
    change: i32,
    /// Older than every policy looked back when the last event was stored: its place is free.
    outdated: bool,
}

/// Raw recommendations and scale events.
///
/// Entries that nobody looks at any more give their place to the next one, the last such place first,
/// as in the controller: so nothing is allocated once the windows are full, and a window that is made
/// longer later finds what the controller would find.
///
/// Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`, `recommendations`,
/// `scaleUpEvents`, `scaleDownEvents`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    recommendations: Vec<Recommendation>,
    ups: Vec<ScaleEvent>,
    downs: Vec<ScaleEvent>,
}

impl History {
    /// Of an HPA that was never synced.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, as a restart does.
    pub fn clear(&mut self) {
        self.recommendations.clear();
        self.ups.clear();
        self.downs.clear();
    }

    /// At the beginning of a sync: without any history, what is there counts as recommended, be it
    /// zero. Source: as above, `recordInitialRecommendation`.
    pub fn first_seen(&mut self, now: Instant, current: i32) {
        if self.recommendations.is_empty() {
            self.recommendations.push(Recommendation { at: now, replicas: current });
        }
    }

    /// After a scale was written: what policies look back at. Only HPAs with a behavior store it.
    ///
    /// `longest` is the longest period of the direction's policies. Source: as above, `storeScaleEvent`.
    pub fn scaled(&mut self, now: Instant, from: i32, to: i32, longest: Millis) {
        let events = if to > from { &mut self.ups } else { &mut self.downs };
        let mut free = None;
        for (place, event) in events.iter_mut().enumerate() {
            event.outdated |= event.at + longest < now;
            if event.outdated {
                free = Some(place);
            }
        }
        let event = ScaleEvent { at: now, change: to.wrapping_sub(from).wrapping_abs(), outdated: false };
        match free {
            Some(place) => events[place] = event,
            None => events.push(event),
        }
    }

    /// The recommendations that are kept, in no order.
    pub(crate) fn recommendations(&self) -> &[Recommendation] {
        &self.recommendations
    }

    /// Puts a recommendation into `free`, or behind the others.
    pub(crate) fn recommended(&mut self, now: Instant, replicas: i32, free: Option<usize>) {
        let recommendation = Recommendation { at: now, replicas };
        match free {
            Some(place) => self.recommendations[place] = recommendation,
            None => self.recommendations.push(recommendation),
        }
    }

    /// What `current` was `period` ago, as far as this HPA's own changes tell.
    /// Source: as above, `getReplicasChangePerPeriod` and its callers.
    pub(crate) fn replicas_at_start(&self, now: Instant, period: Millis, current: i32) -> i32 {
        let changes = |events: &[ScaleEvent]| {
            let within = events.iter().filter(|event| event.at + period > now);
            within.fold(0i32, |sum, event| sum.wrapping_add(event.change))
        };
        current.wrapping_sub(changes(&self.ups)).wrapping_add(changes(&self.downs))
    }
}
