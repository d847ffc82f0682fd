//! The search for the version that changed something: which one to try next, and what it came to.

pub(crate) mod change;

use std::collections::BTreeSet;

use keda::rules::RELEASES;
use semver::Version;
use verifier::{Report, Severity};

/// Rules that judge what a scenario announced, not what happened.
const ABOUT_THE_SCENARIO: [&str; 2] = ["known_bad_passed", "expected_finding_missing"];

/// Versions in a row, of which the first and the last differ: halves what lies between.
#[derive(Debug)]
pub(crate) struct Search {
    versions: Vec<Version>,
    /// The last version that is known to be as the first.
    before: usize,
    /// The first version that is known to be as the last.
    after: usize,
}

impl Search {
    /// Between these two, whichever is older. `None` if they are one version.
    pub(crate) fn between(one: &Version, other: &Version) -> Option<Self> {
        let (oldest, newest) = (one.min(other), one.max(other));
        if oldest == newest {
            return None;
        }
        let inside = RELEASES.into_iter().filter(|release| release > oldest && release < newest);
        let versions: Vec<Version> =
            [oldest.clone()].into_iter().chain(inside).chain([newest.clone()]).collect();
        let after = versions.len() - 1;
        Some(Self { versions, before: 0, after })
    }

    /// The version to try next; none if it is found.
    pub(crate) fn next(&self) -> Option<&Version> {
        (self.after - self.before > 1).then(|| &self.versions[usize::midpoint(self.before, self.after)])
    }

    /// The version that [`next`](Self::next) named is as the last one, or as the first.
    pub(crate) fn tell(&mut self, as_the_last: bool) {
        let middle = usize::midpoint(self.before, self.after);
        if as_the_last {
            self.after = middle;
        } else {
            self.before = middle;
        }
    }

    /// The last version as the first and the first as the last, as far as it is known.
    pub(crate) fn found(&self) -> (&Version, &Version) {
        (&self.versions[self.before], &self.versions[self.after])
    }
}

/// The rules that were broken in any of these runs, whether somebody announced it or not.
pub(crate) fn broken(reports: &[Report]) -> BTreeSet<String> {
    let findings = reports.iter().flat_map(|report| &report.findings);
    let violations = findings.filter(|finding| finding.severity == Severity::Violation);
    violations
        .map(|finding| finding.rule.clone())
        .filter(|rule| !ABOUT_THE_SCENARIO.contains(&rule.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).expect("a version")
    }

    #[test]
    fn neighbours_need_no_search() {
        let search = Search::between(&version("2.20.2"), &version("2.21.0")).expect("two versions");
        assert_eq!(search.next(), None);
        assert_eq!(search.found(), (&version("2.20.2"), &version("2.21.0")));
        assert!(Search::between(&version("2.20.2"), &version("2.20.2")).is_none());
    }

    #[test]
    fn a_version_that_is_no_release_is_an_end_too() {
        let mut search = Search::between(&version("2.19.7"), &version("2.20.2")).expect("two versions");
        assert_eq!(search.next(), Some(&version("2.20.0")));
        search.tell(false);
        assert_eq!(search.next(), Some(&version("2.20.1")));
        search.tell(true);
        assert_eq!(search.found(), (&version("2.20.0"), &version("2.20.1")));
    }

    proptest! {
        #[test]
        fn the_version_that_changed_is_found_in_few_steps(first in 1..RELEASES.len(), newer_first: bool) {
            let (mut one, mut other) = (&RELEASES[0], &RELEASES[RELEASES.len() - 1]);
            if newer_first {
                (one, other) = (other, one);
            }
            let mut search = Search::between(one, other).expect("two versions");
            let mut steps = 0;
            while let Some(next) = search.next().cloned() {
                search.tell(next >= RELEASES[first]);
                steps += 1;
            }
            prop_assert_eq!(search.found(), (&RELEASES[first - 1], &RELEASES[first]));
            prop_assert!(steps <= RELEASES.len().ilog2() + 1, "{} steps", steps);
        }
    }
}
