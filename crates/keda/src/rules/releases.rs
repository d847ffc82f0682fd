//! KEDA's releases, so that somebody who looks for the first bad one tries none that never was.

use semver::Version;

/// Every release from the oldest version that is modelled on, oldest first.
/// Source: kedacore/keda, CHANGELOG.md of 2.21.0.
pub const RELEASES: [Version; 32] = [
    Version::new(2, 9, 0),
    Version::new(2, 9, 1),
    Version::new(2, 9, 2),
    Version::new(2, 9, 3),
    Version::new(2, 10, 0),
    Version::new(2, 10, 1),
    Version::new(2, 11, 0),
    Version::new(2, 11, 1),
    Version::new(2, 11, 2),
    Version::new(2, 12, 0),
    Version::new(2, 12, 1),
    Version::new(2, 13, 0),
    Version::new(2, 13, 1),
    Version::new(2, 14, 0),
    Version::new(2, 14, 1),
    Version::new(2, 15, 0),
    Version::new(2, 15, 1),
    Version::new(2, 16, 0),
    Version::new(2, 16, 1),
    Version::new(2, 17, 0),
    Version::new(2, 17, 1),
    Version::new(2, 17, 2),
    Version::new(2, 17, 3),
    Version::new(2, 18, 0),
    Version::new(2, 18, 1),
    Version::new(2, 18, 2),
    Version::new(2, 18, 3),
    Version::new(2, 19, 0),
    Version::new(2, 20, 0),
    Version::new(2, 20, 1),
    Version::new(2, 20, 2),
    Version::new(2, 21, 0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{OLDEST, TABLE};

    #[test]
    fn releases_come_in_their_order_and_every_change_of_the_rules_is_one() {
        assert!(RELEASES.is_sorted());
        assert_eq!(RELEASES.first(), Some(&OLDEST));
        for ((major, minor, patch), _) in TABLE {
            assert!(RELEASES.contains(&Version::new(major, minor, patch)), "{major}.{minor}.{patch}");
        }
    }
}
