//! What a pipeline runs, as a scenario or the configuration of a served organisation states it: the words of
//! pipeline YAML, in this project's spelling.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::{Millis, MillisRange};

/// A pipeline: its jobs, or stages with jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The project it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The pool its jobs wait in, by name. It can be left out if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How urgent its builds are: jobs of more urgent ones are assigned first.
    #[serde(default)]
    pub priority: Priority,
    /// Its jobs, if it has no stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<Job>,
    /// Its stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// The stages that have to end first. Left out, it is the stage before; `[]` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// What has to have become of them, or else the stage is skipped.
    #[serde(default)]
    pub condition: Condition,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// A job of a pipeline, with all the jobs that its strategy makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its name. It can be left out if it is the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The jobs of the same stage that have to end first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// What has to have become of them, or else the job is skipped.
    #[serde(default)]
    pub condition: Condition,
    /// How long it runs.
    pub duration: MillisRange,
    /// What it demands of an agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
    /// The pool it waits in, by name, if it is not the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How many copies of it there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Its variants, instead of copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matrix: Vec<Leg>,
    /// How many of its copies or variants may be unfinished at once; all of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// How long it may run; `0s` is for ever.
    #[serde(default = "Job::default_timeout")]
    pub timeout: Millis,
    /// How long it may go on once it is cancelled.
    #[serde(default = "Job::default_cancel_timeout")]
    pub cancel_timeout: Millis,
}

impl Job {
    /// `timeoutInMinutes` of pipeline YAML.
    fn default_timeout() -> Millis {
        Millis::minutes(60)
    }

    /// `cancelTimeoutInMinutes` of pipeline YAML.
    fn default_cancel_timeout() -> Millis {
        Millis::minutes(5)
    }

    /// How many jobs reach a pool.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.parallel.map_or(self.matrix.len().max(1) as u64, u64::from)
    }
}

/// A variant of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Its name.
    pub name: String,
    /// How long it runs, if it is not as long as the job says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<MillisRange>,
    /// What it demands beside what the job demands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
}

/// What has to have become of what something depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// All of it succeeded.
    #[default]
    Succeeded,
    /// Something of it failed.
    Failed,
    /// It ended, unless the build was cancelled.
    SucceededOrFailed,
    /// It ended, even if the build was cancelled.
    Always,
}

/// How urgent a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
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

/// A project of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// Whether everybody can see it: its jobs then count as public ones.
    #[serde(default)]
    pub public: bool,
}

/// An organisation that is served by itself, with what its pipelines run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Served {
    /// The organisation.
    pub organization: crate::scenario::Organization,
    /// Its projects, beside those that pipelines name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<Project>,
    /// Its pipelines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<Definition>,
}

impl Definition {
    /// All its jobs, in order, before any strategy.
    pub fn all_jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().chain(self.stages.iter().flat_map(|stage| &stage.jobs))
    }
}
