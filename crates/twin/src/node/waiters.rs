//! Polls that the service holds, and whose they are.

use std::collections::VecDeque;

use azure_devops::WaiterId;
use azure_devops::agent::CallId;
use controllers::PodId;
use model::Millis;
use uuid::Uuid;

/// An agent: which start of which container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) pod: PodId,
    pub(super) container: u32,
    pub(super) start: u32,
}

/// A held poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) who: Who,
    pub(super) call: CallId,
    pub(super) session: Uuid,
    /// How much later than the service says its answer comes.
    pub(super) delay: Millis,
}

/// Held polls by the service's numbers, which count up.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    first: u64,
    places: VecDeque<Option<Waiting>>,
}

impl Waiters {
    pub(super) fn insert(&mut self, id: WaiterId, waiting: Waiting) {
        if self.places.is_empty() {
            self.first = id.0;
        }
        let Some(place) = id.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
            return;
        };
        while self.places.len() < place {
            self.places.push_back(None);
        }
        match self.places.get_mut(place) {
            Some(place) => *place = Some(waiting),
            None => self.places.push_back(Some(waiting)),
        }
    }

    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Waiting> {
        let place = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let waiting = self.places.get_mut(place)?.take();
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
        waiting
    }
}
