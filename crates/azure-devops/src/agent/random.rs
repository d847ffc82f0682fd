//! An agent's random pauses: one stream, from its seed.

use model::{Millis, MillisRange};
use rand_chacha::ChaCha8Rng;

/// The stream of one agent.
#[derive(Debug, Clone)]
pub(super) struct Random(ChaCha8Rng);

impl Random {
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        Self(model::stream::stream(seed, purpose))
    }

    /// A span between two bounds, both included.
    pub(super) fn between(&mut self, least: Millis, most: Millis) -> Millis {
        MillisRange { least, most }.draw(&mut self.0)
    }
}
