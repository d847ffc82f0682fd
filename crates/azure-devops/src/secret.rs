//! Tokens, which must never be seen in logs, events or errors.

use std::fmt;
use std::hint::black_box;

/// A token: comparable, never printable.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token. White space around it is not part of it: files end with a line feed.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.trim().to_owned())
    }

    /// The token itself, for the one place that puts it on the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same token. How long it takes depends on the lengths alone,
    /// not on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let mut difference = usize::from(ours.len() != theirs.len());
        for (position, byte) in theirs.iter().enumerate() {
            let our_byte = ours.get(position).copied().unwrap_or_default();
            difference |= usize::from(black_box(our_byte ^ byte));
        }
        black_box(difference) == 0 && !ours.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_equals_itself_and_nothing_else() {
        let token = Secret::new("abc\n");
        assert!(token.matches(&Secret::new("abc")));
        for other in ["abd", "ab", "abcd", ""] {
            assert!(!token.matches(&Secret::new(other)), "{other}");
        }
        assert!(!Secret::new("").matches(&Secret::new("")), "no token opens nothing");
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
        assert!(!format!("{:?}", Some(Secret::new("hunter2"))).contains("hunter2"));
    }
}
