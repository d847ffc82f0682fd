//! Stages that are run again.
//!
//! A stage that failed or was cancelled runs again with those of its jobs that did not succeed, or with all of them if that
//! is asked for; whatever depends on it then runs again, too, as its condition says. The build keeps its id, its number
//! and its plan (azure-devops-node-api 17.0.1, BuildInterfaces, `UpdateStageParameters`; the service's pages call it
//! "Rerun failed jobs"). What becomes of stages that have run already is not documented.

use std::sync::Arc;

use model::event::JobResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::progress::severity;
use crate::call::Answer;
use crate::ids::{BuildId, RequestId};
use crate::job_requests::JobRequest;
use crate::limits::{MAX_RETRIES, MAX_UNFINISHED_REQUESTS};
use crate::pools::same_name;
use crate::{Refusal, Service};

/// A job request of a former attempt.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Earlier {
    pub(crate) request: RequestId,
    /// The id of its job, unless the request was forgotten before.
    pub(crate) job_id: Option<Uuid>,
    /// The place of its phase.
    pub(crate) phase: usize,
    /// The place of its job in the phase.
    pub(crate) job: usize,
}

impl Service {
    /// Runs a stage again: with all its jobs, or with those that did not succeed.
    pub(crate) fn retry_stage(
        &mut self,
        project: Option<&str>,
        id: BuildId,
        stage: &str,
        all_jobs: bool,
    ) -> Result<Answer, Refusal> {
        let build = self.get_build(project, id)?;
        let what = Arc::clone(&build.what);
        let place = what.stages.iter().position(|name| same_name(name, stage));
        let place = place.ok_or_else(|| Refusal::Invalid(format!("The build has no stage {stage}.")))?;
        let wrong = |why: &str| Err(Refusal::Invalid(format!("The stage {stage} cannot be retried: {why}.")));
        match build.progress.stage(place).result() {
            None => return wrong("it has not ended"),
            Some(JobResult::Skipped) => return wrong("it was skipped"),
            Some(JobResult::Succeeded | JobResult::SucceededWithIssues) if !all_jobs => {
                return wrong("it has succeeded");
            }
            Some(_) => {}
        }
        if build.progress.retries(place) >= MAX_RETRIES {
            return Err(Refusal::Full { what: "retries of a stage", limit: MAX_RETRIES as usize });
        }
        for phase in &what.phases {
            self.pool(phase.pool)?;
        }
        let (mut progress, mut queue) = (build.progress.clone(), Vec::new());
        let counted = if build.finished.is_some() { 0 } else { progress.to_come(&what.outline) };
        progress.retry(&what.outline, place, |phase| self.left_of(id, phase, all_jobs), &mut queue);
        let to_come = progress.to_come(&what.outline) + queue.len();
        if self.unfinished() + self.builds.to_come + to_come - counted > MAX_UNFINISHED_REQUESTS {
            return Err(Refusal::Full { what: "unfinished job requests", limit: MAX_UNFINISHED_REQUESTS });
        }
        self.builds.to_come = self.builds.to_come + to_come - counted;
        self.builds.completed.retain(|completed| *completed != id);
        if let Some(build) = self.builds.by_id.get_mut(&id) {
            (build.progress, build.finished, build.cancelling) = (progress, None, false);
        }
        self.queue_jobs(id, &queue);
        self.complete_build_if_over(id);
        Ok(Answer::Done)
    }

    /// Which jobs of a phase are left to do, and the worst result of the others. What is not known any more
    /// is left to do.
    fn left_of(&self, id: BuildId, phase: usize, all_jobs: bool) -> (Vec<usize>, JobResult) {
        let (mut left, mut worst) = (Vec::new(), JobResult::Skipped);
        let Some(build) = self.builds.get(id) else { return (left, worst) };
        for job in 0..build.what.phases[phase].jobs.len() {
            let request = build.requests[phase].get(job).and_then(|request| self.requests.get(request));
            match request.and_then(JobRequest::result) {
                Some(result @ (JobResult::Succeeded | JobResult::SucceededWithIssues)) if !all_jobs => {
                    if severity(result) > severity(worst) {
                        worst = result;
                    }
                }
                _ => left.push(job),
            }
        }
        (left, worst)
    }
}
