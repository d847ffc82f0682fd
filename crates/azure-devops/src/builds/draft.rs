//! Definitions as clients write them: what they say, and what a build of one is to run.

use model::{Millis, MillisRange};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::BuildPriority;
use super::definition::{Condition, DEFAULT_STAGE, Definition, JOB_TIMEOUT, JobTemplate, Phase, Stage};
use crate::demands::Demand;
use crate::ids::{DefinitionId, PoolId, QueueId};

/// How long a job of a client's definition takes unless a variable `poolproof.durationMillis` of the definition or of
/// the phase says otherwise. Clients have no word for it: real jobs take as long as their steps do.
pub const DEFAULT_DURATION: Millis = Millis::minutes(1);
/// Kinds of repositories: number and name of pipelines, and what definitions call them (azure-devops-node-api 17.0.1,
/// PipelinesInterfaces, `RepositoryType`; seen in public payloads).
pub const REPOSITORY_KINDS: [(u64, &str, &str); 5] = [
    (0, "unknown", "Unknown"),
    (1, "gitHub", "GitHub"),
    (2, "azureReposGit", "TfsGit"),
    (3, "gitHubEnterprise", "GitHubEnterprise"),
    (4, "bitBucket", "Bitbucket"),
];
/// What the job of a definition without phases is called (seen in public payloads).
const ONLY_JOB: &str = "Job";

/// A definition that a client makes or changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefinitionDraft {
    /// Its project, by name or id.
    pub project: String,
    /// The id that the body tells; a new one has none, or 0.
    pub id: Option<DefinitionId>,
    /// The revision that it was read in.
    pub revision: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its queue; the first one of the project if it does not say.
    pub queue: Option<QueueReference>,
    /// The phases of a designer's process; empty for every other process.
    pub phases: Vec<PhaseDraft>,
    /// What all its jobs demand.
    pub demands: Vec<Demand>,
    /// How long its jobs take; [`DEFAULT_DURATION`] if it does not say.
    pub duration: Option<Millis>,
    /// `jobTimeoutInMinutes`; zero is for ever.
    pub timeout: Option<Millis>,
    /// `jobCancelTimeoutInMinutes`.
    pub cancel_timeout: Option<Millis>,
    /// `queueStatus`: whether no builds of it may be queued.
    pub disabled: bool,
    /// `definitionToCloneId`: it runs what this one runs.
    pub copy_of: Option<DefinitionId>,
    /// `comment`: what its revision is for.
    pub comment: Option<String>,
    /// Everything that is shown again as it was told.
    pub members: Map<String, Value>,
}

/// A queue as a body names it: by its id, by its name, or as the pool that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueReference {
    /// Its id.
    pub id: Option<QueueId>,
    /// Its name.
    pub name: Option<String>,
    /// The id of its pool.
    pub pool: Option<PoolId>,
}

/// A phase of a designer's process (azure-devops-node-api 17.0.1, BuildInterfaces, `Phase`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseDraft {
    /// Its name.
    pub name: String,
    /// What others depend on it by; its name if it has none.
    pub reference: Option<String>,
    /// The references of the phases that have to end first.
    pub depends_on: Vec<String>,
    /// What has to have become of them.
    pub condition: Condition,
    /// What its jobs demand beside what the definition demands.
    pub demands: Vec<Demand>,
    /// Its queue, if it is not the definition's.
    pub queue: Option<QueueReference>,
    /// How many jobs it has.
    pub jobs: u32,
    /// How many of them may be unfinished at once.
    pub max_parallel: Option<u32>,
    /// How long its jobs take; as long as the definition's if it does not say.
    pub duration: Option<Millis>,
    /// How long a job may run; as the definition has it if it does not say, and for ever if zero.
    pub timeout: Option<Millis>,
    /// How long a cancelled job may go on; as the definition has it if it does not say.
    pub cancel_timeout: Option<Millis>,
}

impl PhaseDraft {
    fn reference(&self) -> &str {
        self.reference.as_deref().unwrap_or(&self.name)
    }
}

impl DefinitionDraft {
    /// One of which only the name is said.
    #[must_use]
    pub fn new(project: String, name: String) -> Self {
        Self {
            project,
            id: None,
            revision: None,
            name,
            queue: None,
            phases: Vec::new(),
            demands: Vec::new(),
            duration: None,
            timeout: None,
            cancel_timeout: None,
            disabled: false,
            copy_of: None,
            comment: None,
            members: Map::new(),
        }
    }

    /// What a build of it runs. Pools are named; `pool_of` finds the one that a phase's queue leads to.
    pub(crate) fn definition<E>(
        &self,
        pool: String,
        pool_of: impl Fn(&QueueReference) -> Result<String, E>,
    ) -> Result<Definition, E> {
        let phases = match self.phases.as_slice() {
            [] => vec![self.only_phase()],
            phases => {
                phases.iter().map(|phase| self.phase(phase, &pool_of)).collect::<Result<Vec<_>, _>>()?
            }
        };
        Ok(Definition {
            name: self.name.clone(),
            project: self.project.clone(),
            pool,
            priority: BuildPriority::default(),
            stages: vec![Stage::of(DEFAULT_STAGE, phases)],
        })
    }

    fn only_phase(&self) -> Phase {
        let (timeout, cancel_timeout) = self.timeouts(None, None);
        Phase {
            name: ONLY_JOB.to_owned(),
            timeout,
            cancel_timeout,
            jobs: vec![JobTemplate::new(ONLY_JOB, self.demands.clone(), self.duration(None))],
            ..Phase::default()
        }
    }

    fn phase<E>(
        &self,
        draft: &PhaseDraft,
        pool_of: &impl Fn(&QueueReference) -> Result<String, E>,
    ) -> Result<Phase, E> {
        let (timeout, cancel_timeout) = self.timeouts(draft.timeout, draft.cancel_timeout);
        let demands: Vec<Demand> = self.demands.iter().chain(&draft.demands).cloned().collect();
        let job = |number: u32| {
            let name = if draft.jobs == 1 { draft.name.clone() } else { format!("{} {number}", draft.name) };
            JobTemplate {
                name,
                demands: demands.clone(),
                duration: MillisRange::exactly(self.duration(draft.duration)),
            }
        };
        let named = |wanted: &String| {
            let found = self.phases.iter().find(|phase| phase.reference().eq_ignore_ascii_case(wanted));
            found.map_or_else(|| wanted.clone(), |phase| phase.name.clone())
        };
        Ok(Phase {
            name: draft.name.clone(),
            depends_on: draft.depends_on.iter().map(named).collect(),
            condition: draft.condition,
            max_parallel: draft.max_parallel,
            timeout,
            cancel_timeout,
            pool: draft.queue.as_ref().map(pool_of).transpose()?,
            jobs: (1..=draft.jobs).map(job).collect(),
        })
    }

    fn duration(&self, own: Option<Millis>) -> Millis {
        own.or(self.duration).unwrap_or(DEFAULT_DURATION)
    }

    fn timeouts(
        &self,
        timeout: Option<Millis>,
        cancel_timeout: Option<Millis>,
    ) -> (Option<Millis>, Option<Millis>) {
        let timeout = timeout.or(self.timeout).unwrap_or(JOB_TIMEOUT);
        (Some(timeout).filter(|timeout| *timeout != Millis::ZERO), cancel_timeout.or(self.cancel_timeout))
    }
}
