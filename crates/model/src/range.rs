//! Ranges of versions, as a scenario's `known_bad` writes them.

use std::fmt;
use std::str::FromStr;

use semver::{Version, VersionReq};

/// What stands between alternatives.
const OR: &str = "||";

/// Versions: comparisons that all hold, or several such lists of which one does. `>=2.9.0, <2.20.0 || >=2.21.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    alternatives: Vec<VersionReq>,
}

impl Range {
    /// Whether a version lies in it.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|alternative| alternative.matches(version))
    }
}

impl FromStr for Range {
    type Err = semver::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(OR)
            .map(|part| VersionReq::parse(part.trim()))
            .collect::<Result<_, _>>()
            .map(|alternatives| Self { alternatives })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, alternative) in self.alternatives.iter().enumerate() {
            if at > 0 {
                write!(f, " {OR} ")?;
            }
            write!(f, "{alternative}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, version: &str) -> bool {
        let range: Range = range.parse().expect("a range");
        range.contains(&version.parse().expect("a version"))
    }

    #[test]
    fn comparisons_with_a_comma_all_hold() {
        assert!(contains(">=2.20.0, <2.21.0", "2.20.2"));
        assert!(!contains(">=2.20.0, <2.21.0", "2.21.0"));
        assert!(contains("=2.10.0", "2.10.0") && !contains("=2.10.0", "2.10.1"));
    }

    #[test]
    fn of_alternatives_one_holds() {
        let outside = "<2.20.0 || >=2.21.0";
        assert!(contains(outside, "2.19.0") && contains(outside, "2.21.0"));
        assert!(!contains(outside, "2.20.0") && !contains(outside, "2.20.2"));
    }

    #[test]
    fn what_is_no_comparison_is_refused_also_as_an_alternative() {
        for wrong in ["2.20 and 2.21", "<2.20.0 ||", "|| >=2.21.0", "<2.20.0 | >=2.21.0"] {
            assert!(wrong.parse::<Range>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let text = ">=2.9.0, <2.20.0 || >=2.21.0";
        assert_eq!(text.parse::<Range>().map(|range| range.to_string()).ok().as_deref(), Some(text));
    }
}
