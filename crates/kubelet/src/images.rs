//! A node's images: each is pulled once, one pull at a time.

use std::collections::BTreeMap;

use model::{Instant, Millis};

/// The images of one node.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// Image to the instant from which it is there.
    present_at: BTreeMap<Box<str>, Instant>,
    /// When the last pull in the queue ends.
    busy_until: Instant,
}

impl Images {
    /// When `image` is there, if it is asked for at `now` and pulling it would take `pull`.
    ///
    /// Pulls of different images wait for each other (`serializeImagePulls`, on by default); one
    /// that is there or on its way is not pulled again. That holds for `imagePullPolicy: Always` too:
    /// the kubelet then asks the registry, finds the layers present and is done in a moment.
    pub fn request(&mut self, now: Instant, image: &str, pull: Millis) -> Instant {
        if let Some(at) = self.present_at.get(image) {
            return (*at).max(now);
        }
        let at = self.busy_until.max(now) + pull;
        self.busy_until = at;
        self.present_at.insert(image.into(), at);
        at
    }

    /// Whether asking for `image` would start a pull.
    #[must_use]
    pub fn lacks(&self, image: &str) -> bool {
        !self.present_at.contains_key(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pulled_once() {
        let mut images = Images::default();
        assert!(images.lacks("agent"));
        assert_eq!(images.request(Instant(1000), "agent", Millis(20_000)), Instant(21_000));
        assert_eq!(images.request(Instant(2000), "agent", Millis(30_000)), Instant(21_000));
        assert_eq!(images.request(Instant(50_000), "agent", Millis(20_000)), Instant(50_000));
        assert!(!images.lacks("agent"));
    }

    #[test]
    fn another_image_waits_for_the_pull_before_it() {
        let mut images = Images::default();
        images.request(Instant(0), "agent", Millis(20_000));
        assert_eq!(images.request(Instant(1000), "sidecar", Millis(5000)), Instant(25_000));
    }
}
