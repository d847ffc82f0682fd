//! The event queue: what happens when, ordered by (time, number).
//!
//! Two events of the same instant happen in the order in which they were put in,
//! so that a run is the same on every machine. Entries are never taken out: one
//! that nobody wants any more is told so by the receiver, which is cheaper.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use model::Instant;

/// Events to come. `T` is small: the heap moves it about.
///
/// An event that is taken out leaves its place at the heap's top to the next one that is put in: most
/// events put in another, and it goes down from there once instead of the last one first.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    /// Whether the top was taken out.
    vacant: bool,
    number: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry<T> {
    at: Instant,
    number: u64,
    event: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), vacant: false, number: 0 }
    }
}

impl<T: Copy> Queue<T> {
    /// Puts an event in.
    pub fn push(&mut self, at: Instant, event: T) {
        let entry = Entry { at, number: self.number, event };
        self.number += 1;
        if std::mem::take(&mut self.vacant)
            && let Some(mut top) = self.heap.peek_mut()
        {
            *top = entry;
        } else {
            self.heap.push(entry);
        }
    }

    /// Takes the next event out.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        if self.vacant {
            self.heap.pop();
        }
        let next = self.heap.peek();
        self.vacant = next.is_some();
        next.map(|entry| (entry.at, entry.event))
    }

    /// How many events are to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len() - usize::from(self.vacant)
    }

    /// Whether nothing is to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

        #[test]
        fn what_is_put_in_between_finds_its_place(
            steps in prop::collection::vec(prop::option::of(0_u64..20), 0..200),
        ) {
            let mut queue = Queue::default();
            let mut expected = std::collections::BTreeSet::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Some(at) => {
                        queue.push(Instant(at), number);
                        expected.insert((Instant(at), number));
                    }
                    None => prop_assert_eq!(queue.pop(), expected.pop_first()),
                }
                prop_assert_eq!(queue.len(), expected.len());
            }
        }
    }
}
