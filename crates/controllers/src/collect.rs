//! Who removes what nobody else does: the garbage collector, the Job controller's worker for orphans, and
//! the TTL controller.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/garbagecollector/garbagecollector.go`,
//! `pkg/controller/job/job_controller.go` (`syncOrphanPod`),
//! `pkg/controller/ttlafterfinished/ttlafterfinished_controller.go`.

use model::{Fact, Instant};

use crate::cluster::{Action, Cluster};
use crate::ids::{JobId, PodId, WorkloadId, next};
use crate::pod::Owner;
use crate::queue::{Controller, Key, Timer};

/// Calls of the garbage collector for one object: it reads it, and deletes it.
const CALLS_TO_COLLECT: u32 = 2;
/// Calls of the TTL controller for one Job: the same.
const CALLS_TO_EXPIRE: u32 = 2;

impl Cluster {
    /// The garbage collector hears that these pods' owner is gone or is going.
    pub(crate) fn collect_pods(&mut self, now: Instant, pods: &[PodId]) {
        if !self.manager.up {
            return;
        }
        for pod in pods {
            let heard = now + self.watch_delay();
            let at = self.calls(heard, Controller::Garbage, CALLS_TO_COLLECT);
            self.manager_timer(at, Timer::CollectPod(*pod));
        }
    }

    pub(crate) fn collect_pod(&mut self, now: Instant, pod: PodId, out: &mut Vec<Action>) {
        self.delete_pod(now, pod, None, out);
    }

    /// The garbage collector hears that a workload is gone or is going.
    pub(crate) fn collect_dependents(&mut self, now: Instant, id: WorkloadId) {
        if !self.manager.up {
            return;
        }
        for set in 0..u16::try_from(self.workload(id).sets.len()).unwrap_or(u16::MAX) {
            if self.set(id, set).gone {
                continue;
            }
            if self.workload(id).deleting {
                // In the foreground the ReplicaSets wait for their pods.
                let pods: Vec<PodId> = self.set(id, set).pods.iter().copied().collect();
                self.collect_pods(now, &pods);
                self.set_may_go(now, id, set);
            } else {
                self.plan_set_collection(now, id, set);
            }
        }
        let pods: Vec<PodId> = self.workload(id).ordinals.values().copied().collect();
        self.collect_pods(now, &pods);
    }

    fn plan_set_collection(&mut self, now: Instant, id: WorkloadId, set: u16) {
        let heard = now + self.watch_delay();
        let at = self.calls(heard, Controller::Garbage, CALLS_TO_COLLECT);
        self.manager_timer(at, Timer::CollectSet(id, set));
    }

    pub(crate) fn collect_set(&mut self, now: Instant, id: WorkloadId, index: u16) {
        let set = self.set_mut(id, index);
        if std::mem::replace(&mut set.gone, true) {
            return;
        }
        let pods: Vec<PodId> = set.pods.iter().copied().collect();
        self.end_sync(Key::ReplicaSet(id, index));
        self.collect_pods(now, &pods);
        self.workload_may_go(id);
    }

    /// In the foreground: a ReplicaSet without pods goes.
    pub(crate) fn set_may_go(&mut self, now: Instant, id: WorkloadId, set: u16) {
        let workload = self.workload(id);
        if workload.deleting && self.manager.up && self.set(id, set).pods.is_empty() {
            self.plan_set_collection(now, id, set);
        }
    }

    /// In the foreground: a workload without dependents goes.
    pub(crate) fn workload_may_go(&mut self, id: WorkloadId) {
        let workload = self.workload(id);
        let alone = workload.ordinals.is_empty() && workload.sets.iter().all(|set| set.gone);
        if workload.deleting && !workload.deleted && alone {
            self.workload_gone(id);
        }
    }

    /// In the foreground: a Job without pods goes.
    pub(crate) fn job_may_go(&mut self, now: Instant, id: JobId) {
        if self.manager.up && self.job(id).is_some_and(|job| job.deleting && job.pods.is_empty()) {
            let heard = now + self.watch_delay();
            let at = self.calls(heard, Controller::Garbage, CALLS_TO_COLLECT);
            self.manager_timer(at, Timer::ReleaseJob(id));
        }
    }

    pub(crate) fn release_job(&mut self, now: Instant, id: JobId, out: &mut Vec<Action>) {
        if self.job(id).is_some_and(|job| job.deleting && job.pods.is_empty()) {
            self.remove_job(now, id, out);
        }
    }

    /// The Job controller removes the finalizer of a pod whose Job is gone or has finished; one worker does
    /// that.
    pub(crate) fn free_if_orphaned(&mut self, now: Instant, id: PodId) {
        let Some(pod) = self.pod(id).filter(|pod| pod.tracked) else { return };
        let Owner::Job(job) = pod.owner else { return };
        let cared_for = self.job(job).is_some_and(|job| job.finished.is_none());
        if cared_for || !self.manager.up {
            return;
        }
        self.manager.orphans.push_back(id);
        if !self.manager.frees_orphan {
            let heard = now + self.watch_delay();
            self.free_next_orphan(heard);
        }
    }

    fn free_next_orphan(&mut self, now: Instant) {
        self.manager.frees_orphan = false;
        while let Some(id) = self.manager.orphans.pop_front() {
            if self.pod(id).is_some_and(|pod| pod.tracked) {
                self.manager.frees_orphan = true;
                let at = self.calls(now, Controller::Job, 1);
                self.manager_timer(at, Timer::UntrackOrphan(id));
                return;
            }
        }
    }

    pub(crate) fn orphan_called(&mut self, now: Instant, id: PodId, out: &mut Vec<Action>) {
        self.untrack(now, id, out);
        self.free_next_orphan(now);
    }

    /// A Job has the condition `Complete` or `Failed`.
    pub(crate) fn job_finished(&mut self, now: Instant, id: JobId, out: &mut Vec<Action>) {
        let Some(finished) = self.job(id).and_then(|job| job.finished) else { return };
        let succeeded = finished.succeeded;
        self.saw_job(id, out, |job| Fact::KubernetesJobFinished { job, succeeded });
        self.plan_expiry(now, id);
        let pods = self.job(id).map(|job| job.pods.clone()).unwrap_or_default();
        for pod in pods {
            self.free_if_orphaned(now, pod);
        }
    }

    /// The time of a Job that has finished runs, if it has one.
    pub(crate) fn plan_expiry(&mut self, now: Instant, id: JobId) {
        let Some(job) = self.job(id) else { return };
        if let (Some(finished), Some(ttl), false) = (job.finished, job.spec.ttl, job.deleting) {
            let at = (self.whole_second(finished.at) + ttl).max(now);
            let heard = at.max(now + self.watch_delay());
            self.manager_timer(heard, Timer::Expired(id));
        }
    }

    pub(crate) fn expired(&mut self, now: Instant, id: JobId) {
        if self.job(id).is_some() {
            let at = self.calls(now, Controller::TimeToLive, CALLS_TO_EXPIRE);
            self.manager_timer(at, Timer::Expire(id));
        }
    }

    /// After a restart the garbage collector finds everything whose owner is gone or is going.
    pub(crate) fn collect_everything(&mut self, now: Instant) {
        for id in (0..next(self.workloads.len())).map(WorkloadId) {
            let workload = self.workload(id);
            if (workload.deleting || workload.deleted) && !workload.orphaned {
                self.collect_dependents(now, id);
            }
        }
        for id in self.existing_pods().collect::<Vec<_>>() {
            let Some(pod) = self.pod(id) else { continue };
            let owner_is_going = match pod.owner {
                Owner::ReplicaSet(workload, set) => self.set(workload, set).gone,
                Owner::StatefulSet(..) => false,
                Owner::Job(job) => self.job(job).is_none_or(|job| job.deleting),
            };
            let collected = owner_is_going && !pod.orphan;
            self.free_if_orphaned(now, id);
            self.plan_unscheduled_collection(now, id);
            if collected {
                self.collect_pods(now, &[id]);
            }
        }
        for id in (0..next(self.jobs.len())).map(JobId) {
            self.job_may_go(now, id);
        }
    }
}
