//! What several tests of this module need.

use model::Instant;
use semver::Version;

use super::counts::JobView;
use crate::rules::{Rules, ScaledJobRules};

/// The rules of a version.
pub(super) fn rules(version: &str) -> &'static ScaledJobRules {
    let version: Version = version.parse().expect("a version");
    &Rules::of(&version).expect("a known version").scaled_job
}

/// An unfinished Job without pods and annotations.
pub(super) fn job(name: &'static str, created: Instant) -> JobView<'static> {
    JobView { name, finished: None, completion_time: None, created, generation: None, pods: &[] }
}
