//! Where a build stands: which of its jobs are to be queued next, and what became of its phases and stages.
//!
//! A machine of its own: it knows shapes and results, no pools, no time. Whoever runs it queues what it
//! says and tells it how each job ended.
//!
//! ```text
//! pending ── running ── ended (a result)
//!    └─────────────────── ended (skipped: its condition did not hold, or it was cancelled first)
//! ```
//! A stage that has ended may be run again, with some of its jobs: then what depends on it is pending again.

use std::collections::BTreeMap;
use std::ops::Range;

use model::event::JobResult;
use serde::{Deserialize, Serialize};

use super::definition::Condition;

/// What a build is made of, without names. Dependencies are places in the same list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Outline {
    pub(crate) stages: Vec<StageShape>,
    pub(crate) phases: Vec<PhaseShape>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StageShape {
    pub(crate) depends_on: Vec<usize>,
    pub(crate) condition: Condition,
    pub(crate) phases: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PhaseShape {
    pub(crate) stage: usize,
    pub(crate) depends_on: Vec<usize>,
    pub(crate) condition: Condition,
    pub(crate) jobs: usize,
    /// How many of its jobs may be unfinished at once; at least one.
    pub(crate) max_parallel: usize,
}

/// Where a stage or a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standing {
    Pending,
    Running,
    Ended(JobResult),
}

impl Standing {
    pub(crate) fn result(self) -> Option<JobResult> {
        match self {
            Self::Ended(result) => Some(result),
            Self::Pending | Self::Running => None,
        }
    }
}

/// A job of a build: the places of its phase and of the job in it.
pub(crate) type JobPlace = (usize, usize);

/// Where a build stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Progress {
    stages: Vec<StageProgress>,
    phases: Vec<PhaseProgress>,
    /// Which jobs of a phase run in this attempt, if not all of them do.
    again: BTreeMap<usize, Vec<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct StageProgress {
    standing: Standing,
    cancelled: bool,
    /// Whoever queued the build left it out: nothing waits for it, nothing asks what became of it.
    left_out: bool,
    /// Something of it was not done because somebody cancelled.
    cut_short: bool,
    /// How often it was run again.
    retries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct PhaseProgress {
    standing: Standing,
    /// How many of its jobs were queued.
    begun: usize,
    unfinished: usize,
    worst: JobResult,
    /// It was cancelled while it ran: what was not queued by then never is.
    stopped: bool,
}

impl PhaseProgress {
    /// One that has not begun. `worst` is the result of jobs that are not run again.
    fn pending(worst: JobResult) -> Self {
        Self { standing: Standing::Pending, begun: 0, unfinished: 0, worst, stopped: false }
    }
}

/// How bad a result is for what it is part of.
pub(crate) fn severity(result: JobResult) -> u8 {
    match result {
        JobResult::Skipped => 0,
        JobResult::Succeeded => 1,
        JobResult::SucceededWithIssues => 2,
        JobResult::Canceled => 3,
        JobResult::Failed | JobResult::Abandoned => 4,
    }
}

/// The worse of two results. An abandoned job fails what it is part of.
fn worse(one: JobResult, other: JobResult) -> JobResult {
    let worst = if severity(other) > severity(one) { other } else { one };
    if worst == JobResult::Abandoned { JobResult::Failed } else { worst }
}

impl Condition {
    /// Whether it holds for the results of everything that is depended on.
    fn holds(self, results: impl Iterator<Item = JobResult>, cancelled: bool) -> bool {
        let mut results = results;
        let is_success = |result| matches!(result, JobResult::Succeeded | JobResult::SucceededWithIssues);
        match self {
            Self::Always => true,
            _ if cancelled => false,
            Self::Succeeded => results.all(is_success),
            Self::Failed => results.any(|result| matches!(result, JobResult::Failed | JobResult::Abandoned)),
            Self::SucceededOrFailed => true,
        }
    }
}

impl Progress {
    /// A build that begins, without the stages that are left out. What is to be queued first is added
    /// to `queue`.
    pub(crate) fn begin(outline: &Outline, left_out: &[usize], queue: &mut Vec<JobPlace>) -> Self {
        let stage = StageProgress {
            standing: Standing::Pending,
            cancelled: false,
            left_out: false,
            cut_short: false,
            retries: 0,
        };
        let phase = PhaseProgress::pending(JobResult::Skipped);
        let mut progress = Self {
            stages: vec![stage; outline.stages.len()],
            phases: vec![phase; outline.phases.len()],
            again: BTreeMap::new(),
        };
        for stage in left_out {
            progress.stages[*stage].left_out = true;
            progress.skip_stage(outline, *stage);
        }
        progress.go_on(outline, queue);
        progress
    }

    pub(crate) fn stage(&self, stage: usize) -> Standing {
        self.stages.get(stage).map_or(Standing::Pending, |stage| stage.standing)
    }

    pub(crate) fn phase(&self, phase: usize) -> Standing {
        self.phases.get(phase).map_or(Standing::Pending, |phase| phase.standing)
    }

    /// Whether jobs of a phase may still be queued.
    pub(crate) fn may_queue(&self, outline: &Outline, number: usize) -> bool {
        let Some(phase) = self.phases.get(number) else { return false };
        match phase.standing {
            Standing::Pending => true,
            Standing::Running => !phase.stopped && phase.begun < self.jobs_of(outline, number),
            Standing::Ended(_) => false,
        }
    }

    /// How many of its jobs were not queued in this attempt, and may still be, unless it has ended.
    pub(crate) fn to_come(&self, outline: &Outline) -> usize {
        let to_come = |(number, phase): (usize, &PhaseProgress)| {
            self.jobs_of(outline, number).saturating_sub(phase.begun)
        };
        self.phases.iter().enumerate().map(to_come).sum()
    }

    /// How many jobs of a phase run in this attempt.
    fn jobs_of(&self, outline: &Outline, phase: usize) -> usize {
        self.again.get(&phase).map_or(outline.phases[phase].jobs, Vec::len)
    }

    /// How often a stage was run again.
    pub(crate) fn retries(&self, stage: usize) -> u32 {
        self.stages.get(stage).map_or(0, |stage| stage.retries)
    }

    /// Its result, once everything has ended: the worst of all jobs'. One that somebody cut short by
    /// cancelling is cancelled at best.
    pub(crate) fn result(&self) -> Option<JobResult> {
        let cut_short = self.stages.iter().any(|stage| stage.cut_short);
        let mut worst = if cut_short { JobResult::Canceled } else { JobResult::Skipped };
        for stage in &self.stages {
            worst = worse(worst, stage.standing.result()?);
        }
        Some(worst)
    }

    /// One of the queued jobs has ended.
    pub(crate) fn job_ended(
        &mut self,
        outline: &Outline,
        phase: usize,
        result: JobResult,
        queue: &mut Vec<JobPlace>,
    ) {
        let Some(ended) = self.phases.get_mut(phase) else { return };
        ended.unfinished = ended.unfinished.saturating_sub(1);
        ended.worst = worse(ended.worst, result);
        self.go_on(outline, queue);
    }

    /// Cancels all stages, or one. The queued jobs are the caller's to cancel; what was not queued never
    /// is, except for phases that always run and have not begun.
    pub(crate) fn cancel(&mut self, outline: &Outline, stage: Option<usize>, queue: &mut Vec<JobPlace>) {
        let is_meant = |one: usize| stage.is_none_or(|stage| stage == one);
        for (number, known) in self.stages.iter_mut().enumerate() {
            known.cancelled |= is_meant(number);
        }
        for (phase, shape) in self.phases.iter_mut().zip(&outline.phases) {
            phase.stopped |= is_meant(shape.stage) && phase.standing == Standing::Running;
        }
        self.go_on(outline, queue);
    }

    /// Runs a stage again that has ended. `left` tells which jobs of a phase are to run, and the worst result of
    /// the others; a phase without such jobs stays as it is. What depends on the stage is as if it had never begun.
    pub(crate) fn retry(
        &mut self,
        outline: &Outline,
        stage: usize,
        left: impl Fn(usize) -> (Vec<usize>, JobResult),
        queue: &mut Vec<JobPlace>,
    ) {
        for number in outline.stages[stage].phases.clone() {
            let (jobs, worst) = left(number);
            if !jobs.is_empty() {
                self.phases[number] = PhaseProgress::pending(worst);
                self.again.insert(number, jobs);
            }
        }
        self.begin_again(stage, Standing::Running);
        let mut again = vec![stage];
        while let Some(before) = again.pop() {
            for (number, shape) in outline.stages.iter().enumerate() {
                let StageProgress { standing, left_out, .. } = self.stages[number];
                if left_out || standing == Standing::Pending || !shape.depends_on.contains(&before) {
                    continue;
                }
                self.begin_again(number, Standing::Pending);
                for phase in shape.phases.clone() {
                    self.phases[phase] = PhaseProgress::pending(JobResult::Skipped);
                    self.again.remove(&phase);
                }
                again.push(number);
            }
        }
        self.go_on(outline, queue);
    }

    fn begin_again(&mut self, stage: usize, standing: Standing) {
        let known = &mut self.stages[stage];
        // What was skipped was never run.
        let was_run = known.standing != Standing::Ended(JobResult::Skipped);
        known.retries = known.retries.saturating_add(u32::from(was_run));
        (known.standing, known.cancelled, known.cut_short) = (standing, false, false);
    }

    /// Starts and ends whatever can be, until nothing more changes.
    fn go_on(&mut self, outline: &Outline, queue: &mut Vec<JobPlace>) {
        loop {
            let mut changed = false;
            for stage in 0..outline.stages.len() {
                changed |= self.look_at_stage(outline, stage);
            }
            for phase in 0..outline.phases.len() {
                changed |= self.look_at_phase(outline, phase, queue);
            }
            if !changed {
                return;
            }
        }
    }

    fn look_at_stage(&mut self, outline: &Outline, number: usize) -> bool {
        let shape = &outline.stages[number];
        let StageProgress { standing, cancelled, .. } = self.stages[number];
        let next = match standing {
            Standing::Ended(_) => return false,
            Standing::Pending => {
                let before = shape.depends_on.iter().map(|stage| self.stages[*stage]);
                let before = before.filter(|stage| !stage.left_out).map(|stage| stage.standing.result());
                let Some(results) = before.collect::<Option<Vec<_>>>() else { return false };
                if shape.condition.holds(results.into_iter(), cancelled) {
                    Standing::Running
                } else {
                    self.stages[number].cut_short |= cancelled;
                    self.skip_stage(outline, number);
                    return true;
                }
            }
            Standing::Running => {
                let mut results =
                    self.phases[shape.phases.clone()].iter().map(|phase| phase.standing.result());
                let worst = results.try_fold(JobResult::Skipped, |worst, one| Some(worse(worst, one?)));
                let Some(worst) = worst else { return false };
                Standing::Ended(worst)
            }
        };
        self.stages[number].standing = next;
        true
    }

    fn skip_stage(&mut self, outline: &Outline, number: usize) {
        let skipped = Standing::Ended(JobResult::Skipped);
        self.stages[number].standing = skipped;
        for phase in &mut self.phases[outline.stages[number].phases.clone()] {
            phase.standing = skipped;
        }
    }

    fn look_at_phase(&mut self, outline: &Outline, number: usize, queue: &mut Vec<JobPlace>) -> bool {
        let shape = &outline.phases[number];
        let stage = self.stages[shape.stage];
        if stage.standing != Standing::Running {
            return false;
        }
        match self.phases[number].standing {
            Standing::Ended(_) => false,
            Standing::Pending => {
                let before = shape.depends_on.iter().map(|phase| self.phases[*phase].standing.result());
                let Some(results) = before.collect::<Option<Vec<_>>>() else { return false };
                let holds = shape.condition.holds(results.into_iter(), stage.cancelled);
                self.stages[shape.stage].cut_short |= !holds && stage.cancelled;
                self.phases[number].standing =
                    if holds { Standing::Running } else { Standing::Ended(JobResult::Skipped) };
                true
            }
            Standing::Running => {
                let jobs = self.jobs_of(outline, number);
                let (phase, again) = (&mut self.phases[number], self.again.get(&number));
                while !phase.stopped && phase.begun < jobs && phase.unfinished < shape.max_parallel {
                    queue.push((number, again.map_or(phase.begun, |again| again[phase.begun])));
                    phase.begun += 1;
                    phase.unfinished += 1;
                }
                if phase.unfinished > 0 {
                    return false;
                }
                if phase.begun < jobs {
                    self.stages[shape.stage].cut_short = true;
                    phase.worst = worse(phase.worst, JobResult::Canceled);
                }
                phase.standing = Standing::Ended(phase.worst);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
