//! How long jobs take through KEDA, the HPA, the scheduler and the agent, over
//! many runs: the document that `bench latency` writes. It keeps every job's
//! times, run by run, so that two of them can be compared ([`crate::compare()`]).
//!
//! Spans are in milliseconds of scenario time.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::{Report, Severity, Verdict};

/// The number of the document's format.
pub const FORMAT: u32 = 1;
/// The document's name in its folder.
pub const FILE: &str = "result.json";

/// A part of a job's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// From queued to the first read of KEDA's that holds it.
    Seen,
    /// From there to the raise of the replicas, or the Kubernetes Job, that its agent's pod was made for.
    Raised,
    /// From there to the pod's creation.
    Created,
    /// From there to the pod's scheduling.
    Scheduled,
    /// From there to the container's start.
    Running,
    /// From there to the agent's registration.
    Registered,
    /// From there to the assignment.
    Assigned,
    /// From the assignment to the agent's receipt.
    Received,
    /// From queued to received, of jobs whose agent came in a pod that was created after they were queued.
    NewPod,
    /// From queued to received, of jobs whose agent was there.
    AgentThere,
    /// From queued to received, of all jobs.
    Whole,
}

impl StageName {
    /// All of them, in the order of the way; the sums come last.
    pub const ALL: [Self; 11] = [
        Self::Seen,
        Self::Raised,
        Self::Created,
        Self::Scheduled,
        Self::Running,
        Self::Registered,
        Self::Assigned,
        Self::Received,
        Self::NewPod,
        Self::AgentThere,
        Self::Whole,
    ];

    /// Those that follow each other.
    pub const WAY: [Self; 8] = [
        Self::Seen,
        Self::Raised,
        Self::Created,
        Self::Scheduled,
        Self::Running,
        Self::Registered,
        Self::Assigned,
        Self::Received,
    ];

    /// Its name, as on a command line and in the document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Raised => "raised",
            Self::Created => "created",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Registered => "registered",
            Self::Assigned => "assigned",
            Self::Received => "received",
            Self::NewPod => "new-pod",
            Self::AgentThere => "agent-there",
            Self::Whole => "whole",
        }
    }

    /// From what to what, for people.
    #[must_use]
    pub const fn between(self) -> &'static str {
        match self {
            Self::Seen => "queued → seen by KEDA",
            Self::Raised => "seen → replicas raised",
            Self::Created => "raised → pod created",
            Self::Scheduled => "pod created → scheduled",
            Self::Running => "scheduled → running",
            Self::Registered => "running → agent registered",
            Self::Assigned => "registered → job assigned",
            Self::Received => "assigned → received",
            Self::NewPod => "queued → received, new pod",
            Self::AgentThere => "queued → received, agent was there",
            Self::Whole => "queued → received, all jobs",
        }
    }
}

/// A stage in one run: how long it took for each job that went through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTimes {
    /// Which.
    pub stage: StageName,
    /// One span a job.
    pub took_ms: Vec<u64>,
    /// The most it should take, if that can be told.
    pub budget_ms: Option<u64>,
    /// What the budget is made of.
    pub budget_because: String,
}

/// What `bench latency` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// The number of this format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The version of the program that measured.
    pub poolproof: String,
    /// The engine.
    pub engine: String,
    /// How many times faster than the wall clock scenario time ran; zero in virtual time.
    pub speed: u32,
    /// The command that measures it again.
    pub again: String,
    /// One entry for each scenario under each combination of settings.
    pub rows: Vec<Row>,
}

/// A scenario under one combination of settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// KEDA's version.
    pub keda: String,
    /// What was set in its manifests, by name; empty if they are as they were written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What the jobs of all runs come to, stage by stage.
    pub stages: Vec<StageSummary>,
    /// Each run by itself.
    pub runs: Vec<RunTimes>,
    /// Runs that are in no figure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// A stage over the jobs of all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageSummary {
    /// Which.
    pub stage: StageName,
    /// From what to what, for people.
    pub between: String,
    /// How long it took; absent if no job went through it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Spread>,
    /// The most it should take, if that can be told: the largest budget of any run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u64>,
    /// What that budget is made of.
    pub budget_because: String,
    /// How many jobs took longer than their own run's budget.
    pub over_budget: u32,
}

/// How many spans are spread. Percentiles are values that occurred (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// How many.
    pub count: u32,
    /// Half of them took at most this.
    pub p50_ms: u64,
    /// Nineteen of twenty took at most this.
    pub p95_ms: u64,
    /// Ninety-nine of a hundred took at most this.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Spread {
    /// How `spans` are spread; nothing of none.
    #[must_use]
    pub fn of(mut spans: Vec<u64>) -> Option<Self> {
        spans.sort_unstable();
        let rank = |percent| percentile(&spans, percent);
        Some(Self {
            count: u32::try_from(spans.len()).unwrap_or(u32::MAX),
            p50_ms: rank(50)?,
            p95_ms: rank(95)?,
            p99_ms: rank(99)?,
            max_ms: *spans.last()?,
        })
    }
}

/// The value at a percentile of sorted ones, by nearest rank.
pub(crate) fn percentile(sorted: &[u64], percent: u32) -> Option<u64> {
    let rank = rank(sorted.len() as u64, percent).checked_sub(1)?;
    sorted.get(usize::try_from(rank).ok()?).copied()
}

/// The rank of a percentile among so many values, from 1; zero if there are none.
pub(crate) fn rank(count: u64, percent: u32) -> u64 {
    (count.saturating_mul(u64::from(percent))).div_ceil(100).max(1).min(count)
}

/// One run's jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunTimes {
    /// The seed.
    pub seed: u64,
    /// Jobs that were queued.
    pub queued: u32,
    /// Those of them that an agent received; only they are in the figures.
    pub received: u32,
    /// The rules that were broken, of those that always hold; what the scenario expects is not asked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub broken: BTreeSet<String>,
    /// The spans of each stage that any job went through, one a job.
    pub took_ms: BTreeMap<StageName, Vec<u64>>,
}

/// A run that is in no figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The seed.
    pub seed: u64,
    /// Why.
    pub because: String,
}

/// One run, judged and measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The seed.
    pub seed: u64,
    /// Its stages, or why it is left out.
    pub stages: Result<Vec<StageTimes>, String>,
    queued: u32,
    received: u32,
    broken: BTreeSet<String>,
}

impl Measured {
    /// A run by its report and its stages. One that cannot be judged, because the machine was too slow for instance, is left
    /// out of the figures.
    #[must_use]
    pub fn new(report: &Report, stages: Vec<StageTimes>) -> Self {
        let jobs = &report.measurements.jobs;
        let broken = report.findings.iter().filter(|finding| finding.severity == Severity::Violation);
        Self {
            seed: report.run.seed,
            stages: if report.verdict == Verdict::Inconclusive {
                Err(report.because.clone())
            } else {
                Ok(stages)
            },
            queued: jobs.queued,
            received: jobs.received,
            broken: broken.map(|finding| finding.rule.clone()).collect(),
        }
    }

    /// A run that did not come to a log.
    #[must_use]
    pub fn failed(seed: u64, because: String) -> Self {
        Self { seed, stages: Err(because), queued: 0, received: 0, broken: BTreeSet::new() }
    }
}

impl Row {
    /// What runs under one combination of settings come to.
    #[must_use]
    pub fn of(
        scenario: String,
        keda: String,
        settings: BTreeMap<String, String>,
        runs: Vec<Measured>,
    ) -> Self {
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        let mut by_stage: BTreeMap<StageName, Vec<StageTimes>> = BTreeMap::new();
        for run in runs {
            let stages = match run.stages {
                Ok(stages) => stages,
                Err(because) => {
                    left_out.push(LeftOut { seed: run.seed, because });
                    continue;
                }
            };
            let measured = stages.iter().filter(|times| !times.took_ms.is_empty());
            kept.push(RunTimes {
                seed: run.seed,
                queued: run.queued,
                received: run.received,
                broken: run.broken,
                took_ms: measured.map(|times| (times.stage, times.took_ms.clone())).collect(),
            });
            stages.into_iter().for_each(|times| by_stage.entry(times.stage).or_default().push(times));
        }
        let stages = by_stage.into_iter().map(|(stage, times)| StageSummary::of(stage, &times)).collect();
        Self { scenario, keda, settings, stages, runs: kept, left_out }
    }

    /// A stage's summary.
    #[must_use]
    pub fn stage(&self, stage: StageName) -> Option<&StageSummary> {
        self.stages.iter().find(|summary| summary.stage == stage)
    }

    /// The jobs that no agent received, which are in no figure.
    #[must_use]
    pub fn never_received(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.queued.saturating_sub(run.received))).sum()
    }

    /// The settings in one line: `pollingInterval=5s strategy=accurate`.
    #[must_use]
    pub fn settings_in_words(&self) -> String {
        let words: Vec<String> =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        words.join(" ")
    }
}

impl StageSummary {
    fn of(stage: StageName, runs: &[StageTimes]) -> Self {
        let over = runs.iter().flat_map(|run| run.took_ms.iter().map(|took| (*took, run.budget_ms)));
        let over = over.filter(|(took, budget)| budget.is_some_and(|budget| *took > budget)).count();
        let widest = runs.iter().max_by_key(|run| run.budget_ms);
        Self {
            stage,
            between: stage.between().to_owned(),
            took: Spread::of(runs.iter().flat_map(|run| run.took_ms.iter().copied()).collect()),
            budget_ms: widest.and_then(|run| run.budget_ms),
            budget_because: widest.map(|run| run.budget_because.clone()).unwrap_or_default(),
            over_budget: u32::try_from(over).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    fn row(spans: &[(u64, &[u64], Option<u64>)]) -> Row {
        let measured = spans.iter().map(|(seed, took, budget)| {
            let report = Report { verdict: Verdict::Passed, ..article().verify() };
            let stage = StageTimes {
                stage: StageName::Whole,
                took_ms: took.to_vec(),
                budget_ms: *budget,
                budget_because: format!("of seed {seed}"),
            };
            let mut measured = Measured::new(&report, vec![stage]);
            measured.seed = *seed;
            measured
        });
        Row::of("article".into(), "2.21.0".into(), BTreeMap::new(), measured.collect())
    }

    #[test]
    fn the_jobs_of_all_runs_are_one_distribution() {
        let hundred: Vec<u64> = (1..=100).collect();
        let row = row(&[(1, &hundred[..50], None), (2, &hundred[50..], None)]);
        let took = row.stage(StageName::Whole).and_then(|stage| stage.took).expect("jobs");
        assert_eq!((took.count, took.p50_ms, took.p95_ms, took.p99_ms, took.max_ms), (100, 50, 95, 99, 100));
        assert_eq!(row.runs.len(), 2);
    }

    #[test]
    fn a_job_is_held_against_the_budget_of_its_own_run() {
        let row = row(&[(1, &[5, 15], Some(10)), (2, &[15, 25], Some(20))]);
        let stage = row.stage(StageName::Whole).expect("the stage");
        assert_eq!((stage.over_budget, stage.budget_ms), (2, Some(20)));
        assert_eq!(stage.budget_because, "of seed 2");
    }

    #[test]
    fn a_stage_that_no_job_went_through_has_no_figures() {
        let row = row(&[(1, &[], Some(10))]);
        let stage = row.stage(StageName::Whole).expect("the stage");
        assert_eq!((stage.took, stage.over_budget), (None, 0));
        assert!(row.runs[0].took_ms.is_empty());
    }

    #[test]
    fn a_run_that_cannot_be_judged_is_left_out_and_named() {
        let mut report = article().verify();
        report.verdict = Verdict::Inconclusive;
        report.because = "the machine was too slow".into();
        let late = Measured::new(&report, Vec::new());
        let row = Row::of("article".into(), "2.21.0".into(), BTreeMap::new(), vec![late]);
        assert_eq!((row.runs.len(), row.stages.len()), (0, 0));
        assert_eq!(row.left_out, [LeftOut { seed: 7, because: "the machine was too slow".into() }]);
    }

    #[test]
    fn the_stages_of_a_run_are_those_of_its_report() {
        let (report, times) = crate::verify_with_times(article().events());
        assert_eq!(times.len(), StageName::ALL.len());
        for stage in &report.measurements.stages {
            let same = times.iter().find(|times| times.stage.between() == stage.stage).expect("that stage");
            assert_eq!(stage.took.map_or(0, |took| took.count as usize), same.took_ms.len());
        }
        let whole = times.last().expect("the whole");
        assert_eq!((whole.stage, whole.took_ms.len()), (StageName::Whole, 4));
    }

    #[test]
    fn ranks_are_of_values_that_occurred() {
        assert_eq!((rank(0, 95), rank(1, 1), rank(20, 95), rank(100, 99)), (0, 1, 19, 99));
        assert_eq!((percentile(&[], 50), percentile(&[7], 99)), (None, Some(7)));
    }
}
