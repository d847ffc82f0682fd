//! The event queue: what happens when, ordered by (time, number).
//!
//! Two events of the same instant happen in the order in which they were put in,
//! so that a run is the same on every machine. Entries are never taken out: one
//! that nobody wants any more is told so by the receiver, which is cheaper.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use model::Instant;

/// Events to come. `T` is small: the heap moves it about.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    number: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    number: u64,
    event: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), number: 0 }
    }
}

impl<T> Queue<T> {
    /// Puts an event in.
    pub fn push(&mut self, at: Instant, event: T) {
        self.heap.push(Entry { at, number: self.number, event });
        self.number += 1;
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// Takes the next event out.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// How many events are to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// The earliest is the greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn events_come_by_time_and_then_in_the_order_in_which_they_were_put_in(
            times in prop::collection::vec(0_u64..20, 0..100),
        ) {
            let mut queue = Queue::default();
            for (number, at) in times.iter().enumerate() {
                queue.push(Instant(*at), number);
            }
            let mut expected: Vec<(Instant, usize)> =
                times.iter().enumerate().map(|(number, at)| (Instant(*at), number)).collect();
            expected.sort();
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert_eq!(popped, expected);
        }
    }
}
