//! What is due when.

use std::collections::BTreeSet;

use model::Instant;
use serde::{Deserialize, Serialize};

use crate::service::Timer;

/// Timers in the order in which they go off. The first is at hand: it is asked for many times for each
/// one that is set.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timers {
    all: BTreeSet<(Instant, Timer)>,
    first: Option<(Instant, Timer)>,
}

impl Timers {
    /// The one that goes off next.
    pub(crate) fn first(&self) -> Option<(Instant, Timer)> {
        self.first
    }

    pub(crate) fn insert(&mut self, timer: (Instant, Timer)) {
        if self.first.is_none_or(|first| timer < first) {
            self.first = Some(timer);
        }
        self.all.insert(timer);
    }

    pub(crate) fn remove(&mut self, timer: (Instant, Timer)) {
        self.all.remove(&timer);
        if self.first == Some(timer) {
            self.first = self.all.first().copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;

    #[test]
    fn the_first_is_the_first_of_all_whatever_comes_and_goes() {
        let timer = |at, request| (Instant(at), Timer::Lock(RequestId(request)));
        let mut timers = Timers::default();
        assert_eq!(timers.first(), None);
        for (at, request) in [(5, 1), (3, 2), (4, 3), (3, 1)] {
            timers.insert(timer(at, request));
            assert_eq!(timers.first(), timers.all.first().copied());
        }
        for (at, request) in [(4, 3), (3, 1), (9, 9), (5, 1), (3, 2)] {
            timers.remove(timer(at, request));
            assert_eq!(timers.first(), timers.all.first().copied());
        }
        assert_eq!(timers.first(), None);
    }
}
