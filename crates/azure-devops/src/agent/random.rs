//! An agent's random pauses: one stream, from its seed.

use std::convert::Infallible;

use model::{Millis, MillisRange};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, TryRng};

/// How many draws are made at once.
const AT_ONCE: usize = 4;

/// The stream of one agent. Most agents that take one job never draw from it, so it is made at the
/// first draw. An agent that waits draws once a minute: the next draws lie beside the rest of it, or
/// each of them would be a look at far memory.
#[derive(Debug, Clone)]
pub(super) struct Random {
    seed: u64,
    purpose: &'static str,
    stream: Option<Box<ChaCha8Rng>>,
    /// The next draws, the last one first.
    drawn: [u64; AT_ONCE],
    left: usize,
}

impl Random {
    pub(super) fn new(seed: u64, purpose: &'static str) -> Self {
        Self { seed, purpose, stream: None, drawn: [0; AT_ONCE], left: 0 }
    }

    /// A span between two bounds, both included.
    pub(super) fn between(&mut self, least: Millis, most: Millis) -> Millis {
        MillisRange { least, most }.draw(self)
    }

    fn draw(&mut self) -> u64 {
        if self.left == 0 {
            let stream =
                self.stream.get_or_insert_with(|| Box::new(model::stream::stream(self.seed, self.purpose)));
            self.drawn.iter_mut().rev().for_each(|drawn| *drawn = stream.next_u64());
            self.left = AT_ONCE;
        }
        self.left -= 1;
        self.drawn[self.left]
    }
}

/// The same draws as the stream's, as long as all of them are of 64 bits: those of spans are.
impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.draw() >> u32::BITS).unwrap_or_default())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.draw())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(size_of::<u64>()) {
            chunk.copy_from_slice(&self.draw().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_those_of_the_stream_one_after_the_other() {
        let (least, most) = (Millis(5), Millis(15_000));
        let mut random = Random::new(7, "a test");
        let mut stream = model::stream::stream(7, "a test");
        for _ in 0..3 * AT_ONCE {
            assert_eq!(random.between(least, most), MillisRange { least, most }.draw(&mut stream));
        }
    }

    #[test]
    fn two_seeds_give_two_streams() {
        let spans = |seed| {
            let mut random = Random::new(seed, "a test");
            [(); AT_ONCE + 1].map(|()| random.between(Millis::ZERO, Millis(1 << 40)))
        };
        assert_eq!(spans(1), spans(1));
        assert_ne!(spans(1), spans(2));
    }
}
