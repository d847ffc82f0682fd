//! Named random streams: one per purpose, each derived from the run's seed and
//! the purpose's name. One more draw in one place moves no other.
//!
//! Same seed, same name, same draws, on any machine and in any version: the
//! generator is fixed (ChaCha, 8 rounds), so is the derivation of its key, and
//! the first draws are tested against written-down values. Seeds are promises.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::instant::{Millis, MillisRange};

/// What a key is derived with, so that no other use of the seed gives the same stream.
const DOMAIN: &[u8] = b"poolproof stream\0";

/// The stream of this purpose.
///
/// The generator's key is SHA-256 of a fixed text, the seed (eight bytes, the
/// lowest first) and the name. Whoever needs a stream per pod or agent takes [`Numbered`].
#[must_use]
pub fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let key =
        Sha256::new().chain_update(DOMAIN).chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    ChaCha8Rng::from_seed(key.into())
}

/// Streams of one purpose that are told apart by numbers: those of all pods, of all agents.
///
/// The key is that of [`stream`] with the purpose's name, and the number is ChaCha's own 64-bit
/// stream number. So a stream costs no hash: a run makes several for each of its pods.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// Nothing was drawn from it.
    first: ChaCha8Rng,
}

impl Numbered {
    /// The streams of this purpose.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self { first: stream(seed, purpose) }
    }

    /// The stream of this number.
    #[must_use]
    pub fn of(&self, number: u64) -> ChaCha8Rng {
        let mut stream = self.first.clone();
        stream.set_stream(number);
        stream
    }

    /// The stream of two numbers, of which the first is below 2^32: a pod's, and which start of its container.
    #[must_use]
    pub fn of2(&self, number: u64, part: u32) -> ChaCha8Rng {
        self.of(number << u32::BITS | u64::from(part))
    }
}

/// A number below `bound`, which must not be zero, from exactly one draw.
///
/// Multiplies and shifts rather than rejecting: the bias is `bound` in 2^64, and
/// every caller takes the same number of draws whatever it asks for.
#[must_use]
pub fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    assert!(bound > 0, "nothing is below zero");
    let wide = u128::from(rng.next_u64()) * u128::from(bound);
    u64::try_from(wide >> 64).expect("the upper half of 128 bits has 64")
}

impl MillisRange {
    /// A span of this range, each millisecond as likely as the other, from exactly one draw.
    #[must_use]
    pub fn draw(self, rng: &mut impl Rng) -> Millis {
        let width = self.most.0.saturating_sub(self.least.0).saturating_add(1);
        Millis(self.least.0 + below(rng, width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_draws(seed: u64, name: &str) -> [u64; 3] {
        let mut rng = stream(seed, name);
        std::array::from_fn(|_| rng.next_u64())
    }

    #[test]
    fn a_stream_gives_the_same_draws_for_ever() {
        // Computed with another implementation of SHA-256 and ChaCha8.
        assert_eq!(
            first_draws(1, "job durations"),
            [17_052_859_935_279_719_315, 10_100_415_911_754_612_963, 326_935_307_300_886_946]
        );
        assert_eq!(
            first_draws(u64::MAX, ""),
            [2_232_467_823_383_512_587, 9_969_851_318_726_597_642, 2_529_323_098_443_894_100]
        );
    }

    #[test]
    fn a_numbered_stream_gives_the_same_draws_for_ever() {
        // Computed with another implementation of SHA-256 and ChaCha8.
        let draws = |mut rng: ChaCha8Rng| -> [u64; 2] { std::array::from_fn(|_| rng.next_u64()) };
        let pods = Numbered::new(1, "pod");
        assert_eq!(draws(pods.of(0)), draws(stream(1, "pod")), "the first is the purpose's own");
        assert_eq!(draws(pods.of(3)), [533_849_357_186_418_700, 13_775_391_765_620_599_086]);
        assert_eq!(draws(pods.of2(3, 1)), [3_665_298_956_197_743_337, 17_958_352_701_286_333_088]);
        assert_eq!(draws(pods.of2(3, 1)), draws(pods.of(3 << 32 | 1)));
        assert_eq!(
            draws(Numbered::new(2, "pod").of(3)),
            [14_712_029_618_574_209_031, 12_102_066_641_710_001_565]
        );
    }

    #[test]
    fn another_seed_or_another_name_is_another_stream() {
        let draws = first_draws(1, "job durations");
        assert_ne!(draws, first_draws(2, "job durations"));
        assert_ne!(draws, first_draws(1, "image pulls"));
    }

    proptest::proptest! {
        #[test]
        fn a_span_lies_within_its_range(seed: u64, least in 0_u64..1_000_000, width in 0_u64..1_000_000) {
            let range = MillisRange { least: Millis(least), most: Millis(least + width) };
            let span = range.draw(&mut stream(seed, "test"));
            proptest::prop_assert!(range.least <= span && span <= range.most);
        }
    }

    #[test]
    fn both_ends_of_a_range_are_drawn() {
        let range: MillisRange = "1ms..3ms".parse().expect("a range");
        let mut rng = stream(7, "test");
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| range.draw(&mut rng).0).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn the_widest_range_does_not_overflow() {
        let range = MillisRange { least: Millis::ZERO, most: Millis(u64::MAX) };
        let _ = range.draw(&mut stream(7, "test"));
    }
}
