//! An agent's random pauses: one stream, from its seed.

use model::{Millis, MillisRange};
use rand_chacha::ChaCha8Rng;

/// The stream of one agent. Most agents that take one job never draw from it, so it is made at the
/// first draw.
#[derive(Debug, Clone)]
pub(super) struct Random {
    seed: u64,
    purpose: &'static str,
    stream: Option<Box<ChaCha8Rng>>,
}

impl Random {
    pub(super) fn new(seed: u64, purpose: &'static str) -> Self {
        Self { seed, purpose, stream: None }
    }

    /// A span between two bounds, both included.
    pub(super) fn between(&mut self, least: Millis, most: Millis) -> Millis {
        let stream =
            self.stream.get_or_insert_with(|| Box::new(model::stream::stream(self.seed, self.purpose)));
        MillisRange { least, most }.draw(&mut **stream)
    }
}
