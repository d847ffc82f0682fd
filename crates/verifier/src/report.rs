//! What the verifier hands back: a verdict, the findings it rests on, and what
//! was measured. Everything here serializes; nothing here decides.

use std::collections::BTreeMap;

use model::Instant;
use model::event::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measurements::Measurements;
use crate::series::Series;

/// The judgement of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The judgement in a word.
    pub verdict: Verdict,
    /// The judgement in a sentence.
    pub because: String,
    /// What ran.
    pub run: Run,
    /// Which findings the scenario announced.
    pub announced: Announced,
    /// What was found, gravest first, then by time.
    pub findings: Vec<Finding>,
    /// What could not be judged from this log, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<NotJudged>,
    /// What was measured.
    pub measurements: Measurements,
    /// Counts over time, for charts.
    pub series: Series,
}

impl Report {
    /// Counts over time: jobs that wait, replicas, agents at work, and their like.
    #[must_use]
    pub fn series(&self) -> &Series {
        &self.series
    }
}

/// The judgement in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every rule holds.
    Passed,
    /// Rules were broken exactly as the scenario said they would be.
    ExpectedFindings,
    /// Rules were broken.
    Findings,
    /// The log cannot carry a judgement.
    Inconclusive,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::ExpectedFindings => "expected findings",
            Self::Findings => "findings",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The harness, the machine or the log is at fault: nothing can be concluded.
    Inconclusive,
    /// A rule is broken.
    Violation,
    /// Worth knowing; the verdict does not depend on it.
    Note,
}

/// A rule that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// The rule's name: see [`crate::rules()`].
    pub rule: String,
    /// When, in milliseconds since the start of the run.
    pub at: Instant,
    /// Whom it concerns, such as `Deployment/agents` or `Pod/agents-7d9f`.
    pub subject: String,
    /// What was seen.
    pub measured: String,
    /// What would have been right.
    pub bound: String,
    /// Why that is so, in words that need no knowledge of this program.
    pub because: String,
    /// Whether the scenario announced it, by `expect_findings` or `known_bad`.
    #[serde(default)]
    pub expected: bool,
}

/// A rule that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotJudged {
    /// The rule's name.
    pub rule: String,
    /// Whom it would have concerned.
    pub subject: String,
    /// Why it was not applied.
    pub because: String,
}

/// The engine that runs in virtual time.
pub(crate) const SIMULATED: &str = "sim";

/// What ran.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The scenario's name.
    pub scenario: String,
    /// What the scenario shows.
    pub about: String,
    /// Public threads it comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// The engine.
    pub engine: String,
    /// How many times faster than the wall clock scenario time ran.
    pub speed: u32,
    /// The seed.
    pub seed: u64,
    /// Which repetition it was, from 1.
    pub repetition: u32,
    /// What took part, by name.
    pub versions: BTreeMap<String, String>,
    /// The command that repeats the run.
    pub replay: String,
    /// How the run came to its end, if the log says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The last instant of the log.
    pub ended: Instant,
}

impl Run {
    /// Whether it ran in virtual time, where no clock can be late.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.engine == SIMULATED
    }
}

/// Which findings the scenario announced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Announced {
    /// Rules that the scenario breaks by design.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_design: Vec<String>,
    /// Present when KEDA's version is one on which the scenario must fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_bad: Option<KnownBadVersion>,
}

/// A version on which the scenario must fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownBadVersion {
    /// KEDA's version in this run.
    pub keda: String,
    /// The versions that the scenario names.
    pub range: String,
    /// The rules that must be found broken; any, if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}
