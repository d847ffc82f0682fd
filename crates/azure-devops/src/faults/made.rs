//! Faults that somebody made while the service ran: it does not heed them, it keeps them, so that whoever goes on
//! with the service after an end can have them on again.

use std::collections::BTreeMap;

use model::Instant;
use model::fault::ServiceFault;
use serde::{Deserialize, Serialize};

/// A fault, and when it was made: its times count from then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFault {
    /// When it was made.
    pub at: Instant,
    /// What it does.
    pub fault: ServiceFault,
}

/// The faults that were made and not taken away, by their number. No number is given twice.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MadeFaults {
    last: u32,
    by_id: BTreeMap<u32, MadeFault>,
}

impl MadeFaults {
    /// The number of the last one that was ever made; 0 if there was none.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&MadeFault> {
        self.by_id.get(&id)
    }

    /// All of them, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &MadeFault)> {
        self.by_id.iter().map(|(id, made)| (*id, made))
    }

    pub(super) fn insert(&mut self, id: u32, made: MadeFault) {
        self.last = self.last.max(id);
        self.by_id.insert(id, made);
    }

    pub(super) fn remove(&mut self, id: u32) {
        self.by_id.remove(&id);
    }
}
