//! The Job controller.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/job/job_controller.go`: `syncJob`, `manageJob`,
//! `trackJobStatusAndRemoveFinalizers`, `flushUncountedAndRemoveFinalizers`, `enactJobFinished`.

use model::{Instant, Millis};

use super::back_off::BackOff;
use super::{Finished, Job, PodReplacement, RestartPolicy, Status};
use crate::cluster::{Action, Cluster};
use crate::ids::{JobId, PodId, next};
use crate::pod::{Owner, Phase, Pod};
use crate::pods;
use crate::queue::{Call, Controller, Key};
use crate::replica_set::SlowStart;
use crate::settings::{JOB_BATCH, PODS_PER_SYNC};

/// Pods whose end is counted in one sync (the source's `MaxUncountedPods`).
const MOST_UNCOUNTED: usize = 500;
/// The reason of `Complete`.
const COMPLETED: &str = "CompletionsReached";
/// The reason of `Failed` after too many failures.
const BACK_OFF_LIMIT: &str = "BackoffLimitExceeded";
/// The reason of `Failed` after too long a time.
const DEADLINE: &str = "DeadlineExceeded";

/// How a Job ends: whether well, and the reason.
type End = (bool, &'static str);

/// A sync under way. What it has computed is in `status`, and is the Job's once it was written.
#[derive(Debug)]
pub(super) struct Sync {
    step: Step,
    slow_start: SlowStart,
    /// Whether pods are created, rather than deleted.
    creating: bool,
    status: Status,
    back_off: BackOff,
    /// Succeeded pods, those that will be too.
    succeeded: u32,
    end: Option<End>,
    /// Whether the end was known before this sync.
    end_is_old: bool,
    /// Pods with the finalizer as they were when the sync began.
    tracked: Vec<(PodId, Class)>,
    /// Those that lose it.
    to_untrack: Vec<PodId>,
    /// Whether more pods have ended than one sync counts.
    more: bool,
    flush: bool,
    /// Whether the Job is being deleted: all pods are let go then.
    deleting: bool,
}

/// What a sync waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Pods,
    FirstStatus,
    Finalizers,
    LastStatus,
}

/// How a pod counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Succeeded,
    Failed,
    Neither,
}

impl Class {
    /// `isPodFailed` and what stands around its calls.
    fn of(pod: &Pod, replacement: PodReplacement) -> Self {
        let going = replacement == PodReplacement::TerminatingOrFailed && pod.deletion.is_some();
        match pod.phase {
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
            Phase::Pending | Phase::Running if going => Self::Failed,
            Phase::Pending | Phase::Running => Self::Neither,
        }
    }
}

impl Sync {
    /// What the pods say, before anything is decided. Also their restarts.
    fn new(cluster: &Cluster, now: Instant, job: &Job) -> (Self, Vec<PodId>, u32) {
        let mut status = job.status.clone();
        status.start = status.start.or(Some(now));
        (status.ready, status.terminating) = (0, 0);
        let (mut active, mut tracked, mut restarts) = (Vec::new(), Vec::new(), 0);
        let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
        for (id, pod) in job.pods.iter().filter_map(|id| Some((*id, cluster.pod(*id)?))) {
            if !pod.phase.is_terminal() {
                restarts += pod.restarts.sum;
            }
            if pod.is_active() {
                active.push(id);
                status.ready += u32::from(pod.is_ready());
            }
            status.terminating += u32::from(pod.is_terminating());
            if !pod.tracked {
                continue;
            }
            let class = Class::of(pod, job.spec.replacement);
            tracked.push((id, class));
            let ended = || cluster.end_of(pod);
            match class {
                Class::Succeeded if !status.uncounted_succeeded.contains(&id) => succeeded.push(ended()),
                Class::Failed if !status.uncounted_failed.contains(&id) => failed.push(ended()),
                _ => {}
            }
        }
        let sync = Self {
            step: Step::Pods,
            slow_start: SlowStart::default(),
            creating: false,
            succeeded: status.succeeded + next(succeeded.len() + status.uncounted_succeeded.len()),
            back_off: job.back_off.after(&succeeded, &failed),
            end: None,
            end_is_old: false,
            tracked,
            to_untrack: Vec::new(),
            more: false,
            flush: false,
            deleting: job.deleting,
            status,
        };
        (sync, active, restarts)
    }

    fn failed(&self) -> u32 {
        let is_new = |(id, class): &&(PodId, Class)| {
            *class == Class::Failed && !self.status.uncounted_failed.contains(id)
        };
        let new = self.tracked.iter().filter(is_new).count();
        self.status.failed + next(new + self.status.uncounted_failed.len())
    }

    /// Whether the Job has to end, by what is known when the sync begins.
    fn find_end(&mut self, job: &Job, restarts: u32, spent: Millis) {
        if let Some(interim) = self.status.interim {
            (self.end, self.end_is_old) = (Some(interim), true);
            return;
        }
        let limit = job.spec.backoff_limit;
        // `pastBackoffLimitOnFailure`
        let restarted_too_often =
            job.spec.restart_policy == RestartPolicy::OnFailure && restarts >= limit.max(1);
        if self.failed() > limit || restarted_too_often {
            self.end = Some((false, BACK_OFF_LIMIT));
        } else if job.spec.active_deadline.is_some_and(|deadline| spent >= deadline) {
            self.end = Some((false, DEADLINE));
        }
    }

    /// How many pods there should be.
    fn wanted(&self, job: &Job, active: u32) -> u32 {
        match job.spec.completions {
            None if self.succeeded > 0 => active,
            None => job.spec.parallelism,
            Some(completions) => completions.saturating_sub(self.succeeded).min(job.spec.parallelism),
        }
    }

    /// Puts the ends of pods into the status, and says which pods lose their finalizer.
    fn track(&mut self) {
        let fails = self.end.is_some_and(|(succeeds, _)| !succeeds);
        for (id, class) in std::mem::take(&mut self.tracked) {
            let status = &mut self.status;
            if class == Class::Neither && self.end.is_none() && !self.deleting {
                continue;
            }
            self.to_untrack.push(id);
            let counted = status.uncounted_failed.contains(&id) || status.uncounted_succeeded.contains(&id);
            if counted {
                continue;
            }
            if class == Class::Succeeded {
                status.uncounted_succeeded.push(id);
            } else if class == Class::Failed || fails {
                status.uncounted_failed.push(id);
            } else {
                continue;
            }
            self.flush = true;
            if status.uncounted_succeeded.len() + status.uncounted_failed.len() >= MOST_UNCOUNTED {
                self.more = true;
                break;
            }
        }
        if self.end.is_some() && !self.end_is_old {
            self.status.interim = self.end;
            self.flush = true;
        }
    }
}

impl Cluster {
    /// The second in which a pod ended, or began to.
    ///
    /// Source: `pkg/controller/job/backoff_utils.go`, `getFinishedTime`.
    fn end_of(&self, pod: &Pod) -> Instant {
        let not_ready = pod.ready_changed.filter(|_| !pod.is_ready());
        let deleted = pod.deletion.map(|deletion| deletion.at);
        self.whole_second(pod.finished.or(not_ready).or(deleted).unwrap_or(pod.created))
    }

    pub(crate) fn sync_job(&mut self, now: Instant, id: JobId) {
        let key = Key::Job(id);
        let Some(job) = self.job(id) else { return };
        if job.finished.is_some() {
            if let Some(job) = self.job_mut(id) {
                job.back_off = BackOff::default();
            }
            self.end_sync(key);
            return;
        }
        let (mut sync, active, restarts) = Sync::new(self, now, job);
        let start = self.whole_second(sync.status.start.unwrap_or(now));
        sync.find_end(job, restarts, now.since(start));
        let deadline = job.spec.active_deadline;
        sync.flush = sync.status.start != job.status.start
            || (sync.status.ready, sync.status.terminating) != (job.status.ready, job.status.terminating);
        sync.status.active = next(active.len());
        let deletes = if sync.end.is_some() { active } else { Vec::new() };
        if let Some(deadline) = deadline.filter(|_| sync.end.is_none()) {
            self.enqueue_at(start + deadline, key);
        }
        if !deletes.is_empty() {
            sync.slow_start = SlowStart::at_once(next(deletes.len()));
            sync.slow_start.launch();
            for pod in deletes {
                self.call(now, key, Call::DeletePod(pod));
            }
        } else if sync.end.is_none() {
            self.manage_pods(now, id, &mut sync);
        }
        self.keep_sync(id, sync);
        self.create_job_pods(now, id);
    }

    fn keep_sync(&mut self, id: JobId, sync: Sync) {
        if let Some(job) = self.job_mut(id) {
            job.sync = Some(Box::new(sync));
        }
    }

    fn sync_of(&mut self, id: JobId) -> Option<&mut Sync> {
        self.job_mut(id)?.sync.as_deref_mut()
    }

    /// `manageJob`: how many pods this sync creates.
    fn manage_pods(&mut self, now: Instant, id: JobId, sync: &mut Sync) {
        let Some(job) = self.job(id).filter(|job| !job.deleting) else { return };
        let active = sync.status.active;
        let terminating = match job.spec.replacement {
            PodReplacement::Failed => sync.status.terminating,
            PodReplacement::TerminatingOrFailed => 0,
        };
        let missing = sync.wanted(job, active).saturating_sub(terminating + active);
        if missing == 0 {
            return;
        }
        let left = sync.back_off.left(now);
        if left > Millis::ZERO {
            // The source reports no active pod then, whatever there is.
            sync.status.active = 0;
            self.enqueue_at(now + left.max(JOB_BATCH), Key::Job(id));
            return;
        }
        let creates = missing.min(PODS_PER_SYNC);
        sync.slow_start = SlowStart::new(creates);
        sync.creating = true;
        sync.status.active += creates;
    }

    /// Begins the next batch of pods, or goes on if nothing is left to wait for.
    fn create_job_pods(&mut self, now: Instant, id: JobId) {
        let Some(sync) = self.sync_of(id) else { return };
        if !sync.slow_start.is_idle() {
            return;
        }
        let batch = if sync.creating { sync.slow_start.launch() } else { 0 };
        for _ in 0..batch {
            self.call(now, Key::Job(id), Call::CreatePod(0));
        }
        if batch == 0 {
            self.track_pods(now, id);
        }
    }

    /// The pods are as they should be: now the status.
    fn track_pods(&mut self, now: Instant, id: JobId) {
        let Some(job) = self.job(id) else { return };
        let (completions, written) = (job.spec.completions, job.status.active);
        let Some(sync) = self.sync_of(id) else { return };
        if sync.end.is_none() && sync.status.active == 0 && sync.succeeded >= completions.unwrap_or(1) {
            sync.end = Some((true, COMPLETED));
        }
        sync.flush |= sync.status.active != written;
        sync.track();
        if sync.flush {
            sync.step = Step::FirstStatus;
            self.call(now, Key::Job(id), Call::WriteStatus);
        } else {
            self.remove_finalizers(now, id);
        }
    }

    fn remove_finalizers(&mut self, now: Instant, id: JobId) {
        let Some(sync) = self.sync_of(id) else { return };
        sync.step = Step::Finalizers;
        sync.slow_start = SlowStart::at_once(next(sync.to_untrack.len()));
        sync.slow_start.launch();
        let pods = std::mem::take(&mut sync.to_untrack);
        for pod in &pods {
            self.call(now, Key::Job(id), Call::Untrack(*pod));
        }
        if pods.is_empty() {
            self.count_ends(now, id);
        }
    }

    /// What has no finalizer any more is counted; if that is all, the Job has finished.
    fn count_ends(&mut self, now: Instant, id: JobId) {
        let Some(mut sync) = self.job_mut(id).and_then(|job| job.sync.take()) else { return };
        let status = &mut sync.status;
        let mut counted = 0;
        for (pods, count) in [
            (&mut status.uncounted_succeeded, &mut status.succeeded),
            (&mut status.uncounted_failed, &mut status.failed),
        ] {
            let before = pods.len();
            pods.retain(|pod| self.pod(*pod).is_some_and(|pod| pod.tracked));
            *count += next(before - pods.len());
            counted += before - pods.len();
        }
        let all = status.uncounted_succeeded.is_empty() && status.uncounted_failed.is_empty();
        if !all || sync.more || status.terminating > 0 {
            sync.end = None;
        }
        if counted > 0 || sync.end.is_some() {
            sync.step = Step::LastStatus;
            self.call(now, Key::Job(id), Call::WriteStatus);
            self.keep_sync(id, *sync);
        } else {
            self.end_sync(Key::Job(id));
        }
    }

    pub(crate) fn job_called(&mut self, now: Instant, id: JobId, call: Call, out: &mut Vec<Action>) {
        if self.sync_of(id).is_none() {
            return;
        }
        match call {
            Call::CreatePod(_) => {
                let Some(grace) = self.job(id).map(|job| job.spec.grace) else { return };
                self.create_pod(now, Owner::Job(id), pods::Template { hash: 0, grace }, out);
                self.job_pods_called(now, id);
            }
            Call::DeletePod(pod) => {
                if let Some(sync) = self.sync_of(id) {
                    sync.status.active = sync.status.active.saturating_sub(1);
                    sync.status.terminating += 1;
                }
                let ready = self.pod(pod).is_some_and(|pod| pod.is_ready() && pod.is_active());
                self.delete_pod(now, pod, None, out);
                if let Some(sync) = self.sync_of(id) {
                    sync.status.ready = sync.status.ready.saturating_sub(u32::from(ready));
                }
                self.job_pods_called(now, id);
            }
            Call::Untrack(pod) => {
                self.untrack(now, pod, out);
                if self.sync_of(id).is_some_and(|sync| sync.slow_start.answered()) {
                    self.count_ends(now, id);
                }
            }
            Call::WriteStatus => self.job_status_written(now, id, out),
            Call::WriteSet => {}
        }
    }

    fn job_pods_called(&mut self, now: Instant, id: JobId) {
        self.record_job_event(now, id);
        if self.sync_of(id).is_some_and(|sync| sync.slow_start.answered()) {
            self.create_job_pods(now, id);
        }
    }

    fn record_job_event(&mut self, now: Instant, id: JobId) {
        if self.job_mut(id).is_some_and(|job| job.spam.passes(now)) {
            self.record(now, Controller::Job);
        }
    }

    fn job_status_written(&mut self, now: Instant, id: JobId, out: &mut Vec<Action>) {
        let Some(job) = self.job_mut(id) else { return };
        let Some(sync) = &job.sync else { return };
        job.status = sync.status.clone();
        job.back_off = sync.back_off;
        if sync.step == Step::FirstStatus {
            self.notify_after(now, Key::Job(id), JOB_BATCH);
            self.remove_finalizers(now, id);
            return;
        }
        job.finished = sync.end.map(|(succeeded, because)| Finished { at: now, succeeded, because });
        job.sync = None;
        let of = job.scaled_job;
        if job.finished.is_some() {
            self.job_ended(of, id);
            self.record_job_event(now, id);
            self.job_finished(now, id, out);
        } else {
            self.notify_after(now, Key::Job(id), JOB_BATCH);
        }
        self.end_sync(Key::Job(id));
    }
}
