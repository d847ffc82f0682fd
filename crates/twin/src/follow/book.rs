//! Where decisions are written down.

use std::collections::BTreeMap;

use model::Instant;

use super::{Compared, Followed, Skipped, What, Who, kinds};

/// The decisions so far.
#[derive(Debug, Default)]
pub(super) struct Book {
    decisions: Vec<Compared>,
    skipped: BTreeMap<String, Skipped>,
}

/// What the rules make of one of the states that may have been seen.
#[derive(Debug, Clone)]
pub(super) struct Choice<T> {
    /// What is to be done.
    pub(super) expected: Option<i64>,
    /// Why.
    pub(super) because: String,
    /// How this state differs from the one that the log tells; empty for that one.
    pub(super) unless: String,
    /// What goes on from here.
    pub(super) state: T,
}

impl Book {
    /// Writes down a decision. `options` are what may have been seen, what the log tells first.
    /// Returns what goes on from the option that was equal, or else from the first one.
    pub(super) fn compare<T>(
        &mut self,
        (at, who, what): (Instant, Who, What),
        seen: Option<i64>,
        mut options: Vec<Choice<T>>,
    ) -> Option<T> {
        let place = options.iter().position(|option| option.expected == seen);
        let option = if options.is_empty() { return None } else { options.swap_remove(place.unwrap_or(0)) };
        let Choice { expected, because, unless, state } = option;
        let boundary = (place.is_some() && !unless.is_empty()).then_some(unless);
        let equal = place.is_some();
        self.decisions.push(Compared { at, who, what, expected, seen, equal, boundary, because });
        Some(state)
    }

    /// Writes down what was not compared. The same reason is counted.
    pub(super) fn skip(&mut self, at: Instant, why: impl Into<String>) {
        let why = why.into();
        let skipped = self.skipped.entry(why.clone()).or_insert(Skipped { times: 0, at, why });
        skipped.times += 1;
    }

    /// The account.
    pub(super) fn close(mut self, followed: Followed) -> Followed {
        self.decisions.sort_by_key(|decision| decision.at);
        let count = |fits: fn(&Compared) -> bool| {
            u64::try_from(self.decisions.iter().filter(|decision| fits(decision)).count()).unwrap_or(u64::MAX)
        };
        let list = |fits: fn(&Compared) -> bool| {
            self.decisions.iter().filter(|decision| fits(decision)).cloned().collect()
        };
        let mut skipped: Vec<Skipped> = self.skipped.into_values().collect();
        skipped.sort_by_key(|skipped| skipped.at);
        Followed {
            compared: count(|_| true),
            equal: count(|decision| decision.equal),
            boundary: count(|decision| decision.equal && decision.boundary.is_some()),
            kinds: kinds(&self.decisions),
            differences: list(|decision| !decision.equal),
            boundaries: list(|decision| decision.equal && decision.boundary.is_some()),
            skipped,
            decisions: self.decisions,
            ..followed
        }
    }
}
