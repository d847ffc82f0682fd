//! Things that are numbered in the order in which they come: found by their number
//! in one step, however many there are.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number that counts up.
pub(crate) trait Numbered: Copy {
    /// The number.
    fn number(self) -> u64;
}

/// Things by their number. Room is given back as the oldest go.
#[derive(Debug)]
pub(crate) struct Sequence<K, T> {
    /// The number of the first place.
    first: u64,
    places: VecDeque<Option<T>>,
    key: PhantomData<K>,
}

impl<K, T> Default for Sequence<K, T> {
    fn default() -> Self {
        Self { first: 0, places: VecDeque::new(), key: PhantomData }
    }
}

/// As pairs of number and thing: most places may be empty.
impl<K, T: Serialize> Serialize for Sequence<K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbered = (self.first..).zip(&self.places);
        serializer.collect_seq(numbered.filter_map(|(number, place)| Some((number, place.as_ref()?))))
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
        while self.places.len() < place {
            self.places.push_back(None);
        }
        if place == self.places.len() {
            self.places.push_back(Some(value));
        } else {
            self.places[place] = Some(value);
        }
    }
}

impl<K: Numbered, T> Sequence<K, T> {
    fn place(&self, key: K) -> Option<usize> {
        usize::try_from(key.number().checked_sub(self.first)?).ok()
    }

    pub(crate) fn get(&self, key: &K) -> Option<&T> {
        self.places.get(self.place(*key)?)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut T> {
        let place = self.place(*key)?;
        self.places.get_mut(place)?.as_mut()
    }

    /// Adds something with a number that is higher than any before.
    pub(crate) fn insert(&mut self, key: K, value: T) {
        self.put(key.number(), value);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<T> {
        let place = self.place(*key)?;
        let removed = self.places.get_mut(place)?.take();
        while self.places.front().is_some_and(Option::is_none) {
            self.places.pop_front();
            self.first += 1;
        }
        removed
    }

    /// In the order of their numbers.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.places.iter().flatten()
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
    fn numbers_may_be_left_out() {
        let mut sequence = Sequence::<WaiterId, u64>::default();
        sequence.insert(WaiterId(1), 1);
        sequence.insert(WaiterId(4), 4);
        assert_eq!(sequence.values().copied().collect::<Vec<_>>(), [1, 4]);
        assert_eq!(sequence.get(&WaiterId(2)), None);
    }
}
