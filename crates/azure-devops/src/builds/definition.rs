//! Definitions: what a pipeline runs, in the words of pipeline YAML.
//!
//! A definition has stages, a stage has phases (a phase is what YAML calls a
//! job), and a phase has jobs: one, or one for each leg of its matrix. Only jobs
//! reach a pool. Conditions, dependencies and limits are those of the YAML schema
//! (Azure Pipelines' documentation: "stages", "jobs", "strategy", "conditions").

use serde::{Deserialize, Serialize};

use model::{Millis, MillisRange};

use super::words::BuildPriority;
use crate::demands::Demand;

/// How long a job may run unless its phase says otherwise: `timeoutInMinutes` of pipeline YAML.
pub const JOB_TIMEOUT: Millis = Millis::minutes(60);
/// The name of the stage of a pipeline that names none (seen in public payloads).
pub const DEFAULT_STAGE: &str = "__default";

/// What a pipeline runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The project it belongs to.
    pub project: String,
    /// The pool its jobs wait in, by name, unless a phase names another.
    pub pool: String,
    /// How urgent its builds are, unless somebody says otherwise when queueing one.
    pub priority: BuildPriority,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// A stage of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// The stages that have to end before it starts. None: it starts at once.
    pub depends_on: Vec<String>,
    /// What has to have become of them.
    pub condition: Condition,
    /// What YAML calls its jobs.
    pub phases: Vec<Phase>,
}

/// A phase of a stage: a job of pipeline YAML, with all its legs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// The phases of the same stage that have to end before it starts. None: it starts with the stage.
    pub depends_on: Vec<String>,
    /// What has to have become of them.
    pub condition: Condition,
    /// How many of its jobs may be unfinished at once; all of them if it does not say.
    pub max_parallel: Option<u32>,
    /// How long a job of it may run; for ever if it does not say.
    pub timeout: Option<Millis>,
    /// How long a cancelled job of it may go on; as the organisation has it if it does not say.
    pub cancel_timeout: Option<Millis>,
    /// The pool its jobs wait in, by name, if it is not the definition's.
    pub pool: Option<String>,
    /// Its jobs.
    pub jobs: Vec<JobTemplate>,
}

/// A job of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTemplate {
    /// Its name.
    pub name: String,
    /// What it demands of an agent. The service adds a least version of the agent.
    pub demands: Vec<Demand>,
    /// How long the emulated agent works on it. A range is drawn from for each build.
    pub duration: MillisRange,
}

/// What has to have become of what something depends on (Azure Pipelines' documentation, "conditions").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Condition {
    /// All of it succeeded, with issues or without. What was skipped did not.
    #[default]
    Succeeded,
    /// Something of it failed.
    Failed,
    /// It ended, unless the build was cancelled.
    SucceededOrFailed,
    /// It ended, even if the build was cancelled.
    Always,
}

impl Definition {
    /// A definition of jobs that are all queued at once.
    pub fn flat(
        name: impl Into<String>,
        project: impl Into<String>,
        pool: impl Into<String>,
        jobs: Vec<JobTemplate>,
    ) -> Self {
        let phase = Phase { name: "Job".to_owned(), jobs, ..Phase::default() };
        Self {
            name: name.into(),
            project: project.into(),
            pool: pool.into(),
            priority: BuildPriority::default(),
            stages: vec![Stage::of(DEFAULT_STAGE, vec![phase])],
        }
    }

    /// All its jobs, in order, to be changed.
    pub fn jobs_mut(&mut self) -> impl Iterator<Item = &mut JobTemplate> {
        self.stages.iter_mut().flat_map(|stage| &mut stage.phases).flat_map(|phase| &mut phase.jobs)
    }

    /// All its jobs, in order.
    pub fn jobs(&self) -> impl Iterator<Item = &JobTemplate> {
        self.stages.iter().flat_map(|stage| &stage.phases).flat_map(|phase| &phase.jobs)
    }
}

impl Stage {
    /// A stage that depends on nothing.
    pub fn of(name: impl Into<String>, phases: Vec<Phase>) -> Self {
        Self { name: name.into(), depends_on: Vec::new(), condition: Condition::default(), phases }
    }
}

impl JobTemplate {
    /// A job that always takes equally long.
    pub fn new(name: impl Into<String>, demands: Vec<Demand>, duration: Millis) -> Self {
        Self { name: name.into(), demands, duration: MillisRange::exactly(duration) }
    }
}
