//! Agents as the service sees them.

use model::Instant;

use super::steps::Steps;

/// An agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    /// Its name.
    pub(crate) name: String,
    /// The pool's id.
    pub(crate) pool: u64,
    /// Whether the scenario put it there to stay offline.
    pub(crate) placeholder: bool,
    /// Every registration.
    pub(crate) registered: Vec<Instant>,
    /// Every removal.
    pub(crate) removed: Vec<Instant>,
    /// 1 while it has a session.
    pub(crate) presence: Steps,
}

impl Agent {
    pub(super) fn register(&mut self, at: Instant, name: String, pool: u64, placeholder: bool) {
        (self.name, self.pool) = (name, pool);
        // A worker that takes a placeholder's place is a worker.
        self.placeholder = placeholder;
        self.registered.push(at);
    }

    pub(super) fn remove(&mut self, at: Instant) {
        self.removed.push(at);
        self.presence.set(at, 0);
    }

    /// Whether it is in the pool at the end of the log.
    pub(crate) fn is_registered(&self) -> bool {
        match (self.registered.last(), self.removed.last()) {
            (Some(registered), Some(removed)) => registered > removed,
            (registered, _) => registered.is_some(),
        }
    }

    /// The last registration at or before an instant.
    pub(crate) fn registered_before(&self, at: Instant) -> Option<Instant> {
        self.registered.iter().copied().rfind(|registered| *registered <= at)
    }
}
