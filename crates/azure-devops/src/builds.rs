//! Builds: what pipelines run, and what became of it. A build queues jobs as its definition's
//! dependencies and limits allow, and is completed when none of them is left.

mod blueprint;
mod call;
mod definition;
mod details;
mod draft;
mod progress;
mod queries;
mod retry;
mod scenario;
mod told;
mod words;

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::sync::Arc;

use model::event::JobResult;
use model::{Fact, Instant};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use self::blueprint::{Blueprint, Definitions, KnownDefinition};
pub use self::call::{
    BuildAnswer, BuildCall, BuildChange, BuildDetails, BuildDraft, BuildQuery, BuildTime, DefinitionQuery,
    DefinitionRef, LogPart, TagChange,
};
pub use self::definition::{Condition, DEFAULT_STAGE, Definition, JOB_TIMEOUT, JobTemplate, Phase, Stage};
pub use self::draft::{DEFAULT_DURATION, DefinitionDraft, PhaseDraft, QueueReference, REPOSITORY_KINDS};
pub(crate) use self::progress::Standing;
use self::progress::{JobPlace, Progress};
pub(crate) use self::retry::Earlier;
pub(crate) use self::told::Revision;
pub use self::words::{BuildPriority, BuildReason, BuildStatus, results_named};

use crate::call::Answer;
use crate::demands::Demands;
use crate::ids::{BuildId, DefinitionId, RequestId};
use crate::job_requests::{JobRequest, State};
use crate::limits::{MAX_COMPLETED_BUILDS, MAX_NAME, MAX_UNFINISHED_REQUESTS};
use crate::pools::same_name;
use crate::sequence::Sequence;
use crate::{ParallelismTag, QueueTimeFailure, Refusal, Service};

/// A build.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) id: BuildId,
    pub(crate) definition: DefinitionId,
    pub(crate) plan: Uuid,
    pub(crate) queued: Instant,
    pub(crate) started: Option<Instant>,
    pub(crate) finished: Option<Instant>,
    pub(crate) cancelling: bool,
    /// What it runs: its definition may have other jobs by now.
    pub(crate) what: Arc<Blueprint>,
    pub(crate) progress: Progress,
    /// The ids of its job requests, by phase, as far as they were queued: the latest of each job.
    pub(crate) requests: Vec<Vec<RequestId>>,
    /// Those of former attempts.
    pub(crate) earlier: Vec<Earlier>,
    pub(crate) details: Box<BuildDetails>,
    /// Why it failed before any of its jobs was queued.
    pub(crate) failure: Option<String>,
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
        self.finished?;
        if self.failure.is_some() { Some(JobResult::Failed) } else { self.progress.result() }
    }

    /// All its job requests.
    pub(crate) fn requests(&self) -> impl Iterator<Item = RequestId> {
        let earlier = self.earlier.iter().map(|earlier| earlier.request);
        self.requests.iter().flatten().copied().chain(earlier)
    }
}

/// All builds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Builds {
    by_id: Sequence<BuildId, Build>,
    /// The oldest first.
    completed: VecDeque<BuildId>,
    last: u64,
    /// How many jobs of builds that are not completed were not queued yet.
    to_come: usize,
    /// How many bytes are kept of what was said about builds, about.
    bytes: usize,
}

impl Builds {
    pub(crate) fn get(&self, id: BuildId) -> Option<&Build> {
        self.by_id.get(&id)
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &Build> {
        self.by_id.values()
    }
}

impl Service {
    /// How many jobs of builds that are not completed were not queued yet.
    pub(crate) fn jobs_to_come(&self) -> usize {
        self.builds.to_come
    }

    pub(crate) fn queue_build(&mut self, mut draft: BuildDraft) -> Result<Answer, Refusal> {
        let definition = self.find_definition(draft.project.as_deref(), &draft.definition)?;
        if definition.told.as_ref().is_some_and(|told| told.disabled) {
            return Err(Refusal::DefinitionDisabled(definition.name.to_string()));
        }
        let (id, what, name) = (definition.id, Arc::clone(&definition.what), Arc::clone(&definition.name));
        draft.details.priority.get_or_insert(definition.priority);
        let left_out = left_out(&what, &draft.details.stages_to_skip)?;
        self.check_details(&draft.details)?;
        let count = u32::try_from(what.jobs).unwrap_or(u32::MAX);
        let refusal = self.check_queueable(&what).err();
        if let Some(refusal) = refusal {
            let because = refusal.to_string();
            self.tell(|| Fact::BuildRefused { definition: name.to_string(), jobs: count, because });
            let is_failure = matches!(refusal, Refusal::NoAgentSatisfies { .. });
            if !is_failure || self.settings.switches.queue_time_failure == QueueTimeFailure::Refused {
                return Err(refusal);
            }
            let plan = self.guid();
            let build = self.insert_build(id, plan, what, draft.details);
            self.tell(|| Fact::BuildQueued { build: build.0, definition: name.to_string(), jobs: 0 });
            self.fail_at_once(build, refusal.to_string());
            return Ok(answer(build, draft.as_run));
        }
        let plan = self.guid();
        let build = self.insert_build(id, plan, Arc::clone(&what), draft.details);
        self.tell(|| Fact::BuildQueued { build: build.0, definition: name.to_string(), jobs: count });
        self.builds.to_come += what.jobs;
        let mut queue = Vec::new();
        let progress = Progress::begin(&what.outline, &left_out, &mut queue);
        if let Some(build) = self.builds.by_id.get_mut(&build) {
            build.progress = progress;
        }
        self.queue_jobs(build, &queue);
        self.complete_build_if_over(build);
        Ok(answer(build, draft.as_run))
    }

    /// Queue-time validation: some agent of the pool, in whatever state, must satisfy each job's
    /// demands (seen in public reports: `No agent found in pool ...`). With one offline agent that does,
    /// the job waits for ever.
    fn check_queueable(&self, what: &Blueprint) -> Result<(), Refusal> {
        if self.unfinished() + self.builds.to_come + what.jobs > MAX_UNFINISHED_REQUESTS {
            return Err(Refusal::Full { what: "unfinished job requests", limit: MAX_UNFINISHED_REQUESTS });
        }
        for phase in &what.phases {
            let pool = self.pool(phase.pool)?;
            let mut last: Option<&Demands> = None;
            for job in &phase.jobs {
                if last.is_some_and(|last| *last == job.demands) {
                    continue;
                }
                if self.matching_agents(pool, &job.demands).next().is_none() {
                    let demands = job.demands.texts().collect::<Vec<_>>().join(", ");
                    return Err(Refusal::NoAgentSatisfies { pool: pool.name.clone(), demands });
                }
                last = Some(&job.demands);
            }
        }
        Ok(())
    }

    fn insert_build(
        &mut self,
        definition: DefinitionId,
        plan: Uuid,
        what: Arc<Blueprint>,
        details: BuildDetails,
    ) -> BuildId {
        self.builds.last += 1;
        let id = BuildId(self.builds.last);
        self.make_room_for_details(&details);
        let build = Build {
            id,
            definition,
            plan,
            queued: self.now,
            started: None,
            finished: None,
            cancelling: false,
            progress: Progress::default(),
            requests: vec![Vec::new(); what.phases.len()],
            earlier: Vec::new(),
            what,
            details: Box::new(details),
            failure: None,
        };
        self.builds.by_id.insert(id, build);
        id
    }

    /// A build that no agent could ever run: it is there, and over.
    fn fail_at_once(&mut self, id: BuildId, because: String) {
        let now = self.now;
        if let Some(build) = self.builds.by_id.get_mut(&id) {
            build.failure = Some(because);
            (build.started, build.finished) = (Some(now), Some(now));
        }
        self.keep_completed(id);
        self.tell(|| Fact::BuildCompleted { build: id.0, result: JobResult::Failed });
    }

    fn queue_jobs(&mut self, build: BuildId, places: &[JobPlace]) {
        for place in places {
            self.queue_job(build, *place);
        }
    }

    fn queue_job(&mut self, id: BuildId, (phase_number, job_number): JobPlace) {
        let Some(build) = self.builds.get(id) else { return };
        let (plan, rank, what) =
            (build.plan, build.details.priority.unwrap_or_default(), Arc::clone(&build.what));
        let project = self.definitions.get(build.definition).map(|known| known.project_id);
        let is_public =
            project.and_then(|project| self.projects.get(project)).is_some_and(|known| known.public);
        let phase = &what.phases[phase_number];
        let job = &phase.jobs[job_number];
        let request = RequestId(self.numbers.request);
        self.numbers.request += 1;
        self.tell(|| Fact::JobRequestQueued {
            request: request.0,
            build: id.0,
            job: job.name.to_string(),
            pool: phase.pool.0,
            demands: job.demands.texts().map(str::to_owned).collect(),
        });
        let queued = JobRequest {
            id: request,
            pool: phase.pool,
            build: id,
            plan,
            job_id: self.guid(),
            phase: phase_number,
            name: Arc::clone(&job.name),
            demands: job.demands.clone(),
            duration: job.duration.draw(&mut self.durations),
            timeout: phase.timeout,
            cancel_timeout: phase.cancel_timeout.unwrap_or(self.settings.cancel_timeout),
            timed_out: false,
            priority: 0,
            rank,
            tag: if is_public { ParallelismTag::Public } else { ParallelismTag::Private },
            queued: self.now,
            token: None,
            state: State::Queued,
            row: OnceCell::new(),
            shown_agent: None,
        };
        self.requests.insert(request, queued);
        if let Some(pool) = self.pools.get_mut(&phase.pool) {
            pool.unfinished.insert(request);
        }
        self.builds.to_come = self.builds.to_come.saturating_sub(1);
        if let Some(build) = self.builds.by_id.get_mut(&id) {
            match build.requests[phase_number].get_mut(job_number) {
                Some(latest) => {
                    let request = std::mem::replace(latest, request);
                    let job_id = self.requests.get(&request).map(|job| job.job_id);
                    build.earlier.push(Earlier { request, job_id, phase: phase_number, job: job_number });
                }
                None => build.requests[phase_number].push(request),
            }
        }
        self.put_in_queue(request);
    }

    pub(crate) fn change_build(
        &mut self,
        project: Option<&str>,
        id: BuildId,
        change: BuildChange,
    ) -> Result<Answer, Refusal> {
        self.get_build(project, id)?;
        self.change_details(id, |details| {
            details.keep_forever = change.keep_forever.unwrap_or(details.keep_forever);
            details.number = change.number.or(details.number.take());
        })?;
        if change.cancel {
            self.cancel_jobs(id, None);
        }
        Ok(Answer::Build(id))
    }

    /// Changes several builds, or none of them.
    pub(crate) fn change_builds(
        &mut self,
        project: Option<&str>,
        changes: Vec<(BuildId, BuildChange)>,
    ) -> Result<Answer, Refusal> {
        for (id, change) in &changes {
            self.get_build(project, *id)?;
            if change.number.as_ref().is_some_and(|number| number.len() > MAX_NAME) {
                return Err(Refusal::Invalid(format!("A build's number has at most {MAX_NAME} bytes.")));
            }
        }
        let ids = changes.iter().map(|(id, _)| *id).collect();
        for (id, change) in changes {
            self.change_build(project, id, change)?;
        }
        Ok(Answer::Builds(ids))
    }

    pub(crate) fn cancel_stage(
        &mut self,
        project: Option<&str>,
        id: BuildId,
        stage: &str,
    ) -> Result<Answer, Refusal> {
        let build = self.get_build(project, id)?;
        let place = build.what.stages.iter().position(|name| same_name(name, stage));
        let place = place.ok_or_else(|| Refusal::Invalid(format!("The build has no stage {stage}.")))?;
        self.cancel_jobs(id, Some(place));
        Ok(Answer::Done)
    }

    /// Cancels what is left of a build.
    pub(crate) fn cancel_build(&mut self, id: BuildId) {
        self.cancel_jobs(id, None);
    }

    /// Cancels what is left of a build, or of one of its stages. A completed one stays as it is.
    fn cancel_jobs(&mut self, id: BuildId, stage: Option<usize>) {
        let Some(build) = self.builds.by_id.get_mut(&id).filter(|build| build.finished.is_none()) else {
            return;
        };
        build.cancelling |= stage.is_none();
        let mut queue = Vec::new();
        let what = Arc::clone(&build.what);
        build.progress.cancel(&what.outline, stage, &mut queue);
        let phases = stage.map_or(0..what.phases.len(), |stage| what.outline.stages[stage].phases.clone());
        let requests: Vec<RequestId> = build.requests[phases].iter().flatten().copied().collect();
        for request in requests {
            self.cancel(request);
        }
        self.queue_jobs(id, &queue);
        self.complete_build_if_over(id);
    }

    pub(crate) fn delete_build(&mut self, project: Option<&str>, id: BuildId) -> Result<Answer, Refusal> {
        let build = self.get_build(project, id)?;
        if build.finished.is_none() {
            return Err(Refusal::Invalid(format!("The build {id} is not completed: it cannot be deleted.")));
        }
        if build.details.keep_forever {
            return Err(Refusal::Invalid(format!("The build {id} is kept forever: it cannot be deleted.")));
        }
        self.remove_build(id);
        Ok(Answer::Done)
    }

    /// Takes a completed build away.
    fn remove_build(&mut self, id: BuildId) {
        self.builds.completed.retain(|completed| *completed != id);
        self.forget_build(id);
    }

    fn forget_build(&mut self, id: BuildId) {
        if let Some(build) = self.builds.get(id) {
            self.write_rows_of(build);
        }
        if let Some(build) = self.builds.by_id.remove(&id) {
            self.builds.details_went(&build);
        }
    }

    /// Writes the rows of ended jobs, which tell of build and definition as they were when the job ended.
    pub(crate) fn write_rows_of(&self, build: &Build) {
        let jobs = build.requests().filter_map(|id| self.requests.get(&id));
        jobs.filter(|job| job.result().is_some()).for_each(|job| {
            self.row(job);
        });
    }

    /// What people call a build: the day it was queued, and its id, unless somebody gave it a number.
    pub(crate) fn build_number(&self, build: &Build) -> String {
        if let Some(number) = &build.details.number {
            return number.clone();
        }
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

    /// A job of the build has ended: others may be queued now, and with the last one the build is completed.
    pub(crate) fn build_job_finished(&mut self, id: BuildId, phase: usize, result: JobResult) {
        let Some(build) = self.builds.by_id.get_mut(&id) else { return };
        let mut queue = Vec::new();
        build.progress.job_ended(&build.what.outline, phase, result, &mut queue);
        self.queue_jobs(id, &queue);
        self.complete_build_if_over(id);
    }

    fn complete_build_if_over(&mut self, id: BuildId) {
        let now = self.now;
        let Some(build) = self.builds.by_id.get_mut(&id).filter(|build| build.finished.is_none()) else {
            return;
        };
        let Some(result) = build.progress.result() else { return };
        build.finished = Some(now);
        let never_queued = build.progress.to_come(&build.what.outline);
        self.builds.to_come = self.builds.to_come.saturating_sub(never_queued);
        self.keep_completed(id);
        self.tell(|| Fact::BuildCompleted { build: id.0, result });
    }

    /// Keeps a completed build, until too many others are.
    fn keep_completed(&mut self, id: BuildId) {
        self.builds.completed.push_back(id);
        if self.builds.completed.len() > MAX_COMPLETED_BUILDS
            && let Some(oldest) = self.builds.completed.pop_front()
        {
            self.forget_build(oldest);
        }
    }
}

/// The places of the stages that are left out of a build.
fn left_out(what: &Blueprint, names: &[String]) -> Result<Vec<usize>, Refusal> {
    let place = |name: &String| {
        let found = what.stages.iter().position(|stage| same_name(stage, name));
        found.ok_or_else(|| Refusal::Invalid(format!("The pipeline has no stage {name}.")))
    };
    let places = names.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    if !places.is_empty() && (0..what.stages.len()).all(|stage| places.contains(&stage)) {
        return Err(Refusal::Invalid("All stages of the pipeline are left out.".to_owned()));
    }
    Ok(places)
}

/// The build, in the words of the area in which it was queued.
fn answer(build: BuildId, as_run: bool) -> Answer {
    if as_run { BuildAnswer::Run(build).into() } else { Answer::Build(build) }
}
