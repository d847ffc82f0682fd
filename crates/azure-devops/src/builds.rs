//! Definitions and builds. A definition names its jobs; a build of it queues them all at once.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use model::event::JobResult;
use model::{Fact, Instant, Millis};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::call::{Answer, BuildQuery, DefinitionRef};
use crate::demands::{Demand, Demands};
use crate::ids::{BuildId, DefinitionId, PoolId, RequestId};
use crate::job_requests::{JobRequest, State};
use crate::limits::{MAX_COMPLETED_BUILDS, MAX_DEFINITIONS, MAX_JOBS_OF_BUILD, MAX_UNFINISHED_REQUESTS};
use crate::pools::{checked_name, same_name};
use crate::sequence::Sequence;
use crate::{Refusal, Service, wire};

/// What a pipeline runs: jobs, all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The project it belongs to.
    pub project: String,
    /// The pool its jobs wait in, by name.
    pub pool: String,
    /// Its jobs.
    pub jobs: Vec<JobTemplate>,
}

/// A job of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTemplate {
    /// Its name.
    pub name: String,
    /// What it demands of an agent. The service adds a least version of the agent.
    pub demands: Vec<Demand>,
    /// How long the emulated agent works on it.
    pub duration: Millis,
}

/// A definition that is known.
#[derive(Debug)]
pub(crate) struct KnownDefinition {
    pub(crate) id: DefinitionId,
    pub(crate) name: Arc<str>,
    pub(crate) project: String,
    pub(crate) project_id: Uuid,
    pub(crate) pool: PoolId,
    pub(crate) revision: u32,
    jobs: Arc<[KnownJob]>,
}

#[derive(Debug, Clone)]
struct KnownJob {
    name: Arc<str>,
    demands: Demands,
    duration: Millis,
}

/// All definitions.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    by_id: BTreeMap<DefinitionId, KnownDefinition>,
    by_name: BTreeMap<String, DefinitionId>,
}

impl Definitions {
    pub(crate) fn get(&self, id: DefinitionId) -> Option<&KnownDefinition> {
        self.by_id.get(&id)
    }
}

/// A build.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) id: BuildId,
    pub(crate) definition: DefinitionId,
    pub(crate) plan: Uuid,
    pub(crate) queued: Instant,
    pub(crate) started: Option<Instant>,
    pub(crate) finished: Option<Instant>,
    pub(crate) cancelling: bool,
    /// The ids of its job requests.
    jobs: Range<u64>,
    left: usize,
    worst: JobResult,
}

impl Build {
    pub(crate) fn status(&self) -> BuildStatus {
        if self.finished.is_some() {
            BuildStatus::Completed
        } else if self.cancelling {
            BuildStatus::Cancelling
        } else if self.started.is_some() {
            BuildStatus::InProgress
        } else {
            BuildStatus::NotStarted
        }
    }

    /// The worst result of its jobs, once it is completed.
    pub(crate) fn result(&self) -> Option<JobResult> {
        self.finished.map(|_| self.worst)
    }
}

/// All builds.
#[derive(Debug, Default)]
pub(crate) struct Builds {
    by_id: Sequence<BuildId, Build>,
    /// The oldest first.
    completed: VecDeque<BuildId>,
    last: u64,
}

impl Builds {
    pub(crate) fn get(&self, id: BuildId) -> Option<&Build> {
        self.by_id.get(&id)
    }
}

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

impl BuildStatus {
    /// A status by its name in the protocol, whatever the case; `all` and the like are none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        STATUSES.iter().find(|(_, known, _)| name.eq_ignore_ascii_case(known)).map(|(_, _, status)| *status)
    }
}

/// Numbers, names and statuses of the protocol.
const STATUSES: [(u64, &str, BuildStatus); 4] = [
    (1, "inprogress", BuildStatus::InProgress),
    (2, "completed", BuildStatus::Completed),
    (4, "cancelling", BuildStatus::Cancelling),
    (32, "notstarted", BuildStatus::NotStarted),
];

impl<'de> Deserialize<'de> for BuildStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::wire_enum(deserializer, "a build's status", STATUSES.into_iter())
    }
}

/// How bad a job's result is for its build. An abandoned job fails its build.
fn severity(result: JobResult) -> u8 {
    match result {
        JobResult::Skipped => 0,
        JobResult::Succeeded => 1,
        JobResult::SucceededWithIssues => 2,
        JobResult::Canceled => 3,
        JobResult::Failed | JobResult::Abandoned => 4,
    }
}

impl Service {
    pub(crate) fn list_definitions(&self, name: Option<&str>) -> Answer {
        let wanted = |known: &&KnownDefinition| name.is_none_or(|name| same_name(&known.name, name));
        Answer::Definitions(self.definitions.by_id.values().filter(wanted).map(|known| known.id).collect())
    }

    pub(crate) fn get_definition(&self, id: DefinitionId) -> Result<Answer, Refusal> {
        let known = self.definitions.get(id).ok_or(Refusal::DefinitionNotFound(id))?;
        Ok(Answer::Definition(known.id))
    }

    /// Makes a definition. One with the same name keeps its id and gets the new jobs.
    pub(crate) fn define(&mut self, definition: Definition) -> Result<Answer, Refusal> {
        let name = checked_name(&definition.name, "definition")?.to_owned();
        let pool = self.pool_by_name(&definition.pool).map(|pool| pool.id);
        let pool = pool.ok_or_else(|| Refusal::PoolNameNotFound(definition.pool.clone()))?;
        if definition.jobs.is_empty() || definition.jobs.len() > MAX_JOBS_OF_BUILD {
            return Err(Refusal::Invalid(format!("A definition names 1 to {MAX_JOBS_OF_BUILD} jobs.")));
        }
        let key = name.to_lowercase();
        let known = self.definitions.by_name.get(&key).and_then(|id| self.definitions.get(*id));
        let (id, revision) = match known {
            Some(known) => (known.id, known.revision.saturating_add(1)),
            None if self.definitions.by_id.len() >= MAX_DEFINITIONS => {
                return Err(Refusal::Full { what: "definitions", limit: MAX_DEFINITIONS });
            }
            None => (DefinitionId(self.definitions.by_id.len() as u64 + 1), 1),
        };
        let jobs = self.known_jobs(definition.jobs);
        let project_id = self.named_guid("project", &definition.project);
        let project = definition.project;
        let name: Arc<str> = name.into();
        if self.definitions.get(id).is_some_and(|known| known.name != name || known.project != project) {
            for build in self.builds.by_id.values().filter(|build| build.definition == id) {
                self.write_rows_of(build);
            }
        }
        let known = KnownDefinition { id, name, project, project_id, pool, revision, jobs };
        self.definitions.by_name.insert(key, id);
        self.definitions.by_id.insert(id, known);
        Ok(Answer::Definition(id))
    }

    /// The service adds a demand on the agent's version to every job (seen in public payloads).
    fn known_jobs(&self, templates: Vec<JobTemplate>) -> Arc<[KnownJob]> {
        let version = Demand::agent_version(&self.settings.minimum_agent_version);
        let known = |template: JobTemplate| {
            let mut demands = template.demands;
            if !demands.iter().any(Demand::is_agent_version) {
                demands.push(version.clone());
            }
            KnownJob {
                name: template.name.into(),
                demands: Demands::new(demands),
                duration: template.duration,
            }
        };
        templates.into_iter().map(known).collect()
    }

    pub(crate) fn queue_build(&mut self, reference: &DefinitionRef) -> Result<Answer, Refusal> {
        let id = match reference {
            DefinitionRef::Id(id) => *id,
            DefinitionRef::Name(name) => *self
                .definitions
                .by_name
                .get(&name.to_lowercase())
                .ok_or_else(|| Refusal::DefinitionNameNotFound(name.clone()))?,
        };
        let definition = self.definitions.get(id).ok_or(Refusal::DefinitionNotFound(id))?;
        let (pool, jobs) = (definition.pool, Arc::clone(&definition.jobs));
        let name = Arc::clone(&definition.name);
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        if let Err(refusal) = self.check_queueable(pool, &jobs) {
            let because = refusal.to_string();
            self.tell(|| Fact::BuildRefused { definition: name.to_string(), jobs: count, because });
            return Err(refusal);
        }
        let plan = self.guid();
        let build = self.insert_build(id, plan);
        self.tell(|| Fact::BuildQueued { build: build.0, definition: name.to_string(), jobs: count });
        let first = self.numbers.request;
        for job in &*jobs {
            self.queue_job(build, plan, pool, job);
        }
        if let Some(build) = self.builds.by_id.get_mut(&build) {
            build.left = jobs.len();
            build.jobs = first..self.numbers.request;
        }
        Ok(Answer::Build(build))
    }

    /// Queue-time validation: some agent of the pool, in whatever state, must satisfy each job's
    /// demands (seen in public reports: `No agent found in pool ...`). With one offline agent that does,
    /// the job waits for ever.
    fn check_queueable(&self, pool: PoolId, jobs: &[KnownJob]) -> Result<(), Refusal> {
        if self.unfinished() + jobs.len() > MAX_UNFINISHED_REQUESTS {
            return Err(Refusal::Full { what: "unfinished job requests", limit: MAX_UNFINISHED_REQUESTS });
        }
        let pool = self.pool(pool)?;
        let mut last: Option<&Demands> = None;
        for job in jobs {
            if last.is_some_and(|last| *last == job.demands) {
                continue;
            }
            if self.matching_agents(pool, &job.demands).next().is_none() {
                let demands = job.demands.texts().collect::<Vec<_>>().join(", ");
                return Err(Refusal::NoAgentSatisfies { pool: pool.name.clone(), demands });
            }
            last = Some(&job.demands);
        }
        Ok(())
    }

    fn insert_build(&mut self, definition: DefinitionId, plan: Uuid) -> BuildId {
        self.builds.last += 1;
        let id = BuildId(self.builds.last);
        let build = Build {
            id,
            definition,
            plan,
            queued: self.now,
            started: None,
            finished: None,
            cancelling: false,
            jobs: 0..0,
            left: 0,
            worst: JobResult::Skipped,
        };
        self.builds.by_id.insert(id, build);
        id
    }

    fn queue_job(&mut self, build: BuildId, plan: Uuid, pool: PoolId, job: &KnownJob) {
        let id = RequestId(self.numbers.request);
        self.numbers.request += 1;
        self.tell(|| Fact::JobRequestQueued {
            request: id.0,
            build: build.0,
            job: job.name.to_string(),
            pool: pool.0,
            demands: job.demands.texts().map(str::to_owned).collect(),
        });
        let request = JobRequest {
            id,
            pool,
            build,
            plan,
            job_id: self.guid(),
            name: Arc::clone(&job.name),
            demands: job.demands.clone(),
            duration: job.duration,
            priority: 0,
            queued: self.now,
            token: None,
            state: State::Queued,
            row: OnceCell::new(),
            shown_agent: None,
        };
        self.requests.insert(id, request);
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.unfinished.insert(id);
        }
        self.put_in_queue(id);
    }

    pub(crate) fn get_build(&self, id: BuildId) -> Result<Answer, Refusal> {
        self.builds.get(id).map(|build| Answer::Build(build.id)).ok_or(Refusal::BuildNotFound(id))
    }

    pub(crate) fn list_builds(&self, query: &BuildQuery) -> Answer {
        let wanted = |build: &&Build| {
            (query.ids.is_empty() || query.ids.contains(&build.id))
                && (query.definitions.is_empty() || query.definitions.contains(&build.definition))
                && (query.statuses.is_empty() || query.statuses.contains(&build.status()))
        };
        let mut found: Vec<BuildId> =
            self.builds.by_id.values().filter(wanted).map(|build| build.id).collect();
        if !query.ascending {
            found.reverse();
        }
        found.truncate(query.top.map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX)));
        Answer::Builds(found)
    }

    /// Cancels what is left of a build. A completed one stays as it is.
    pub(crate) fn cancel_build(&mut self, id: BuildId) -> Result<Answer, Refusal> {
        let build = self.builds.by_id.get_mut(&id).ok_or(Refusal::BuildNotFound(id))?;
        if build.finished.is_none() {
            build.cancelling = true;
            for request in build.jobs.clone() {
                self.cancel(RequestId(request));
            }
        }
        Ok(Answer::Build(id))
    }

    /// Writes the rows of ended jobs, which tell of build and definition as they were when the job ended.
    fn write_rows_of(&self, build: &Build) {
        let jobs = build.jobs.clone().filter_map(|id| self.requests.get(&RequestId(id)));
        jobs.filter(|job| job.result().is_some()).for_each(|job| {
            self.row(job);
        });
    }

    /// What people call a build: the day it was queued, and its id.
    pub(crate) fn build_number(&self, build: &Build) -> String {
        let day = self.date(build.queued).chars().take(10).filter(char::is_ascii_digit).collect::<String>();
        format!("{day}.{}", build.id)
    }

    /// A job of the build was received.
    pub(crate) fn build_started(&mut self, id: BuildId) {
        let now = self.now;
        if let Some(build) = self.builds.by_id.get_mut(&id) {
            build.started.get_or_insert(now);
        }
    }

    /// A job of the build has ended; with the last one the build is completed.
    pub(crate) fn build_job_finished(&mut self, id: BuildId, result: JobResult) {
        let now = self.now;
        let Some(build) = self.builds.by_id.get_mut(&id) else { return };
        if severity(result) > severity(build.worst) {
            build.worst = if result == JobResult::Abandoned { JobResult::Failed } else { result };
        }
        build.left = build.left.saturating_sub(1);
        if build.left > 0 {
            return;
        }
        build.finished = Some(now);
        let worst = build.worst;
        self.builds.completed.push_back(id);
        if self.builds.completed.len() > MAX_COMPLETED_BUILDS
            && let Some(oldest) = self.builds.completed.pop_front()
        {
            if let Some(build) = self.builds.get(oldest) {
                self.write_rows_of(build);
            }
            self.builds.by_id.remove(&oldest);
        }
        self.tell(|| Fact::BuildCompleted { build: id.0, result: worst });
    }
}
