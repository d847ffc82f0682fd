//! Things that are numbered in the order in which they come: found by their number
//! in one step, however many there are.
//!
//! Room is taken by what is there, not by how far the numbers are apart: once most places are empty, because some
//! old thing stays while the others go, the oldest ones move to a map of their own.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that counts up.
pub(crate) trait Numbered: Copy {
    /// The number.
    fn number(self) -> u64;
}

/// So many places are kept, whatever is in them.
const FEW: usize = 64;
/// Of so many places one is taken, at least, or the oldest things move.
const PLACES_EACH: usize = 4;

/// Things by their number. Room is given back as the oldest go.
#[derive(Debug)]
pub(crate) struct Sequence<K, T> {
    /// The number of the first place.
    first: u64,
    places: VecDeque<Option<T>>,
    /// How many places are taken.
    taken: usize,
    /// Those that have stayed while most of their time went, before the first place.
    stayed: BTreeMap<u64, T>,
    key: PhantomData<K>,
}

impl<K, T> Default for Sequence<K, T> {
    fn default() -> Self {
        Self { first: 0, places: VecDeque::new(), taken: 0, stayed: BTreeMap::new(), key: PhantomData }
    }
}

/// As pairs of number and thing: most places may be empty.
impl<K, T: Serialize> Serialize for Sequence<K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbered = (self.first..).zip(&self.places);
        let numbered = numbered.filter_map(|(number, place)| Some((number, place.as_ref()?)));
        let stayed = self.stayed.iter().map(|(number, thing)| (*number, thing));
        serializer.collect_seq(stayed.chain(numbered))
    }
}

impl<'de, K, T: Deserialize<'de>> Deserialize<'de> for Sequence<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sequence = Self::default();
        for (number, thing) in Vec::<(u64, T)>::deserialize(deserializer)? {
            sequence.put(number, thing);
        }
        Ok(sequence)
    }
}

impl<K, T> Sequence<K, T> {
    /// Puts something at a number that is not before the first place.
    fn put(&mut self, number: u64, value: T) {
        if self.places.is_empty() {
            self.first = number;
        }
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(place) = place else { return };
        if place > self.places.len() + FEW {
            // Not worth the places between.
            for number in self.first.. {
                let Some(thing) = self.places.pop_front() else { break };
                self.stayed.extend(thing.map(|thing| (number, thing)));
            }
            (self.first, self.taken) = (number, 0);
        }
        let place = usize::try_from(number - self.first).unwrap_or_default();
        while self.places.len() < place {
            self.places.push_back(None);
        }
        if place == self.places.len() {
            self.places.push_back(Some(value));
            self.taken += 1;
        } else if self.places[place].replace(value).is_none() {
            self.taken += 1;
        }
        if self.places.len() > FEW && self.taken * PLACES_EACH < self.places.len() {
            self.move_oldest();
        }
    }

    /// Has the oldest things stay elsewhere, until enough of the places are taken.
    #[cold]
    fn move_oldest(&mut self) {
        while self.places.len() > FEW && self.taken * PLACES_EACH < self.places.len() {
            if let Some(oldest) = self.places.pop_front().flatten() {
                self.stayed.insert(self.first, oldest);
                self.taken -= 1;
            }
            self.first += 1;
        }
        self.drop_empty();
    }

    /// Gives back the places before the oldest thing.
    fn drop_empty(&mut self) {
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

impl<K: Numbered, T> Sequence<K, T> {
    fn place(&self, key: K) -> Option<usize> {
        usize::try_from(key.number().checked_sub(self.first)?).ok()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&T> {
        match self.place(*key) {
            Some(place) => self.places.get(place)?.as_ref(),
            None => self.stayed.get(&key.number()),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        match self.place(*key) {
            Some(place) => self.places.get_mut(place)?.as_mut(),
            None => self.stayed.get_mut(&key.number()),
        }
    }

    /// Adds something with a number that is higher than any before.
    pub(crate) fn insert(&mut self, key: K, value: T) {
        self.put(key.number(), value);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<T> {
        let Some(place) = self.place(*key) else { return self.stayed.remove(&key.number()) };
        let removed = self.places.get_mut(place)?.take();
        self.taken -= usize::from(removed.is_some());
        self.drop_empty();
        removed
    }

    /// In the order of their numbers.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.stayed.values().chain(self.places.iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::WaiterId;

    #[test]
    fn a_thing_is_found_by_its_number_until_it_goes() {
        let mut sequence = Sequence::<WaiterId, u64>::default();
        for number in 5..9 {
            sequence.insert(WaiterId(number), number * 10);
        }
        assert_eq!(sequence.get(&WaiterId(6)), Some(&60));
        assert_eq!(sequence.remove(&WaiterId(6)), Some(60));
        assert_eq!(sequence.get(&WaiterId(6)), None);
        assert_eq!(sequence.remove(&WaiterId(6)), None);
        assert_eq!(sequence.remove(&WaiterId(5)), Some(50));
        assert_eq!(sequence.places.len(), 2, "the room of the oldest is given back");
        assert_eq!(sequence.get(&WaiterId(4)), None);
        assert_eq!(sequence.values().copied().collect::<Vec<_>>(), [70, 80]);
    }

    #[test]
    fn one_that_stays_takes_no_room_for_those_that_went() {
        let mut sequence = Sequence::<WaiterId, u64>::default();
        for number in 1..=100_000 {
            sequence.insert(WaiterId(number), number);
            if number > 1 && number % 1_000 > 0 {
                assert_eq!(sequence.remove(&WaiterId(number)), Some(number));
            }
        }
        let expected: Vec<u64> = [1].into_iter().chain((1_000..=100_000).step_by(1_000)).collect();
        assert_eq!(sequence.values().copied().collect::<Vec<_>>(), expected);
        assert!(sequence.places.capacity() <= 4 * FEW, "{}", sequence.places.capacity());
        *sequence.get_mut(&WaiterId(1)).expect("it stayed") += 1;
        assert_eq!((sequence.get(&WaiterId(1)), sequence.get(&WaiterId(2))), (Some(&2), None));
        assert_eq!(sequence.remove(&WaiterId(1)), Some(2));
        assert_eq!(sequence.remove(&WaiterId(1)), None);
        let json = serde_json::to_string(&sequence).expect("JSON");
        let again: Sequence<WaiterId, u64> = serde_json::from_str(&json).expect("the same");
        assert!(again.values().eq(sequence.values()) && again.places.capacity() <= 4 * FEW);
    }

    #[test]
    fn many_at_once_stay_in_their_places_until_most_of_them_are_gone() {
        let mut sequence = Sequence::<WaiterId, u64>::default();
        for number in 0..1_000 {
            sequence.insert(WaiterId(number), number);
        }
        for number in (0..1_000).filter(|number| number % 2 > 0) {
            sequence.remove(&WaiterId(number));
        }
        sequence.insert(WaiterId(1_000), 1_000);
        assert!(sequence.stayed.is_empty());
        for number in (200..1_000).step_by(2) {
            sequence.remove(&WaiterId(number));
        }
        sequence.insert(WaiterId(1_001), 1_001);
        assert!(
            sequence.places.len() <= FEW + 2 && sequence.stayed.len() == 100,
            "{}",
            sequence.places.len()
        );
        let all: Vec<u64> = sequence.values().copied().collect();
        assert!(all.is_sorted() && all.len() == 102, "{all:?}");
        assert!(all.iter().all(|number| sequence.get(&WaiterId(*number)) == Some(number)));
    }

    #[test]
    fn numbers_may_be_left_out() {
        let mut sequence = Sequence::<WaiterId, u64>::default();
        sequence.insert(WaiterId(1), 1);
        sequence.insert(WaiterId(4), 4);
        assert_eq!(sequence.values().copied().collect::<Vec<_>>(), [1, 4]);
        assert_eq!(sequence.get(&WaiterId(2)), None);
    }
}
