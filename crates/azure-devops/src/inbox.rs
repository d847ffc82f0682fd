//! A session's messages in the order in which they were sent.
//!
//! Nearly always there is one or none: a list is smaller than a tree, and is gone through faster.

use serde::{Deserialize, Serialize};

use crate::ids::MessageId;
use crate::messages::StoredMessage;

/// Messages that are not deleted yet, by their ids, which count up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Inbox(Vec<(MessageId, StoredMessage)>);

impl Inbox {
    fn place(&self, id: MessageId) -> Option<usize> {
        self.0.iter().position(|(known, _)| *known == id)
    }

    /// Adds a message, whose id is higher than any before.
    pub(crate) fn insert(&mut self, id: MessageId, message: StoredMessage) {
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.push((id, message));
    }

    pub(crate) fn get(&self, id: &MessageId) -> Option<&StoredMessage> {
        self.place(*id).map(|place| &self.0[place].1)
    }

    pub(crate) fn get_mut(&mut self, id: &MessageId) -> Option<&mut StoredMessage> {
        self.place(*id).map(|place| &mut self.0[place].1)
    }

    pub(crate) fn remove(&mut self, id: &MessageId) -> Option<StoredMessage> {
        self.place(*id).map(|place| self.0.remove(place).1)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&MessageId, &mut StoredMessage) -> bool) {
        self.0.retain_mut(|(id, message)| keeps(id, message));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &StoredMessage> {
        self.0.iter().map(|(_, message)| message)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&MessageId, &mut StoredMessage)> {
        self.0.iter_mut().map(|(id, message)| (&*id, message))
    }
}
