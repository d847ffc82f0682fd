//! The words and numbers of the protocol for what is told of builds.

use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::wire_enum;

/// Where a build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildStatus {
    /// No job has been received.
    NotStarted,
    /// At least one job has been received.
    InProgress,
    /// Somebody cancelled it.
    Cancelling,
    /// Every job has ended.
    Completed,
}

/// Numbers, names and statuses of the protocol.
const STATUSES: [(u64, &str, BuildStatus); 4] = [
    (1, "inprogress", BuildStatus::InProgress),
    (2, "completed", BuildStatus::Completed),
    (4, "cancelling", BuildStatus::Cancelling),
    (32, "notstarted", BuildStatus::NotStarted),
];

/// Numbers and names of the protocol's results of builds.
const RESULTS: [(u64, &str, &str); 4] = [
    (2, "succeeded", "succeeded"),
    (4, "partiallysucceeded", "partiallySucceeded"),
    (8, "failed", "failed"),
    (32, "canceled", "canceled"),
];

impl BuildStatus {
    /// The statuses that a filter names: one or several by name, whatever the case, or as the sum of their
    /// numbers. `all`, `none` and the like name none.
    #[must_use]
    pub fn named(filter: &str) -> Vec<Self> {
        named(filter, &STATUSES)
    }
}

/// The results of builds that a filter names, as the wire writes them.
#[must_use]
pub fn results_named(filter: &str) -> Vec<String> {
    named(filter, &RESULTS).into_iter().map(str::to_owned).collect()
}

fn named<T: Copy>(filter: &str, all: &[(u64, &str, T)]) -> Vec<T> {
    let names: Vec<&str> = filter.split(',').map(str::trim).collect();
    let is_meant = |number: u64, known: &str| {
        names.iter().any(|name| {
            name.parse::<u64>().map_or_else(|_| name.eq_ignore_ascii_case(known), |sum| sum & number != 0)
        })
    };
    all.iter().filter(|(number, known, _)| is_meant(*number, known)).map(|(_, _, value)| *value).collect()
}

impl<'de> Deserialize<'de> for BuildStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire_enum(deserializer, "a build's status", STATUSES.into_iter())
    }
}

/// Why a build was queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildReason {
    /// Somebody asked for it.
    #[default]
    Manual,
    /// A push.
    #[serde(rename = "individualCI")]
    IndividualCi,
    /// Several pushes.
    #[serde(rename = "batchedCI")]
    BatchedCi,
    /// Its time had come.
    Schedule,
    /// Its time had come, though nothing had changed.
    ScheduleForced,
    /// A user.
    UserCreated,
    /// A shelveset is looked at.
    ValidateShelveset,
    /// A gated check-in.
    CheckInShelveset,
    /// A pull request.
    PullRequest,
    /// Another build.
    BuildCompletion,
    /// Another resource.
    ResourceTrigger,
}

/// Numbers, names and reasons of the protocol.
const REASONS: [(u64, &str, BuildReason); 11] = [
    (1, "manual", BuildReason::Manual),
    (2, "individualci", BuildReason::IndividualCi),
    (4, "batchedci", BuildReason::BatchedCi),
    (8, "schedule", BuildReason::Schedule),
    (16, "scheduleforced", BuildReason::ScheduleForced),
    (32, "usercreated", BuildReason::UserCreated),
    (64, "validateshelveset", BuildReason::ValidateShelveset),
    (128, "checkinshelveset", BuildReason::CheckInShelveset),
    (256, "pullrequest", BuildReason::PullRequest),
    (512, "buildcompletion", BuildReason::BuildCompletion),
    (1024, "resourcetrigger", BuildReason::ResourceTrigger),
];

impl BuildReason {
    /// The reasons that a filter names, as [`BuildStatus::named`] has it.
    #[must_use]
    pub fn named(filter: &str) -> Vec<Self> {
        named(filter, &REASONS)
    }
}

impl<'de> Deserialize<'de> for BuildReason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let none = [(0, "none", Self::Manual)];
        wire_enum(deserializer, "a build's reason", REASONS.into_iter().chain(none))
    }
}

/// How urgent a build is. Jobs of more urgent ones are assigned first, whatever their age.
///
/// The protocol has the member; how the real service heeds it is not documented. All job requests of
/// builds show priority 0 there, and so they do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BuildPriority {
    /// The least.
    Low,
    /// Less than others.
    BelowNormal,
    /// As most are.
    #[default]
    Normal,
    /// More than others.
    AboveNormal,
    /// The most.
    High,
}

/// Numbers, names and priorities of the protocol.
const PRIORITIES: [(u64, &str, BuildPriority); 5] = [
    (5, "low", BuildPriority::Low),
    (4, "belownormal", BuildPriority::BelowNormal),
    (3, "normal", BuildPriority::Normal),
    (2, "abovenormal", BuildPriority::AboveNormal),
    (1, "high", BuildPriority::High),
];

impl<'de> Deserialize<'de> for BuildPriority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire_enum(deserializer, "a build's priority", PRIORITIES.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_by_word_list_or_sum() {
        use BuildStatus::{Cancelling, Completed, InProgress, NotStarted};
        assert_eq!(BuildStatus::named("inProgress,NotStarted"), [InProgress, NotStarted]);
        assert_eq!(BuildStatus::named("33"), [InProgress, NotStarted]);
        assert_eq!(BuildStatus::named("47"), [InProgress, Completed, Cancelling, NotStarted]);
        assert_eq!(BuildStatus::named("all"), []);
        assert_eq!(results_named("PartiallySucceeded"), ["partiallySucceeded"]);
        assert_eq!(BuildReason::named("258"), [BuildReason::IndividualCi, BuildReason::PullRequest]);
    }

    #[test]
    fn words_and_numbers_are_read_and_words_are_written() {
        let read = |json: &str| serde_json::from_str::<BuildPriority>(json).ok();
        assert_eq!(
            (read("\"High\""), read("1"), read("9")),
            (Some(BuildPriority::High), read("\"high\""), None)
        );
        for reason in REASONS.map(|(_, _, reason)| reason) {
            let written = serde_json::to_string(&reason).expect("a word");
            assert_eq!(serde_json::from_str::<BuildReason>(&written).expect("read back"), reason);
        }
        assert!(BuildPriority::High > BuildPriority::Normal);
    }
}
