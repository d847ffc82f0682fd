//! What users, KEDA and the HPA do with the objects.

use std::collections::VecDeque;

use model::{Fact, Instant};

use crate::cluster::{Action, Cluster, Conflict, Propagation};
use crate::ids::{JobId, PodId, Version, WorkloadId, next};
use crate::job::{Job, NewJob};
use crate::names;
use crate::queue::{Key, Work};
use crate::workload::{Kind, NewWorkload, Template, Workload};

impl Cluster {
    /// A Deployment or a StatefulSet is created.
    pub fn create_workload(&mut self, now: Instant, new: NewWorkload, out: &mut Vec<Action>) -> WorkloadId {
        let id = WorkloadId(next(self.workloads.len()));
        self.workloads.push(Workload::new(new));
        self.tell_replicas(id, out);
        self.notify(now, self.workload_key(id));
        id
    }

    pub(crate) fn workload_key(&self, id: WorkloadId) -> Key {
        match self.workload(id).kind {
            Kind::Deployment(_) => Key::Deployment(id),
            Kind::StatefulSet(_) => Key::StatefulSet(id),
        }
    }

    /// Somebody writes `spec.replicas`, through the scale subresource or not. Nothing happens if the workload
    /// is gone.
    pub fn scale(&mut self, now: Instant, id: WorkloadId, replicas: u32, out: &mut Vec<Action>) {
        let workload = self.workload_mut(id);
        // A write that changes nothing is no event.
        if workload.deleted || workload.replicas == replicas {
            return;
        }
        workload.replicas = replicas;
        self.spec_changed(now, id, out);
    }

    /// Writes `spec.replicas` if nobody has changed the workload since `seen`.
    ///
    /// # Errors
    /// Somebody has: the API answers 409.
    pub fn scale_if(
        &mut self,
        now: Instant,
        id: WorkloadId,
        replicas: u32,
        seen: Version,
        out: &mut Vec<Action>,
    ) -> Result<(), Conflict> {
        if self.workload(id).version != seen {
            return Err(Conflict);
        }
        self.scale(now, id, replicas, out);
        Ok(())
    }

    /// Somebody edits the pod template. The same hash is the same template.
    pub fn edit_template(&mut self, now: Instant, id: WorkloadId, template: Template, out: &mut Vec<Action>) {
        let workload = self.workload_mut(id);
        if workload.deleted || workload.template == template {
            return;
        }
        workload.template = template;
        self.spec_changed(now, id, out);
    }

    fn spec_changed(&mut self, now: Instant, id: WorkloadId, out: &mut Vec<Action>) {
        let workload = self.workload_mut(id);
        workload.generation += 1;
        workload.version.0 += 1;
        self.tell_replicas(id, out);
        self.notify(now, self.workload_key(id));
    }

    /// Somebody deletes the workload. Nothing happens if it is gone.
    pub fn delete_workload(
        &mut self,
        now: Instant,
        id: WorkloadId,
        propagation: Propagation,
        _out: &mut Vec<Action>,
    ) {
        let workload = self.workload_mut(id);
        if workload.deleted {
            return;
        }
        workload.version.0 += 1;
        match propagation {
            Propagation::Orphan => {
                workload.orphaned = true;
                self.workload_gone(id);
            }
            Propagation::Foreground => {
                workload.deleting = true;
                self.collect_dependents(now, id);
                self.workload_may_go(id);
            }
            Propagation::Background => {
                self.workload_gone(id);
                self.collect_dependents(now, id);
            }
        }
    }

    pub(crate) fn workload_gone(&mut self, id: WorkloadId) {
        let workload = self.workload_mut(id);
        workload.deleted = true;
        workload.steps = VecDeque::new();
        self.end_sync(self.workload_key(id));
    }

    /// A Job is created.
    pub fn create_job(&mut self, now: Instant, new: NewJob<'_>, out: &mut Vec<Action>) -> JobId {
        let id = JobId(next(self.jobs.len()));
        let name = names::generate(new.generate_name, &mut self.random.names);
        self.jobs.push(Some(Box::new(Job::new(now, name.into(), &new))));
        self.scaled_jobs.entry(new.scaled_job).or_default().insert(id);
        self.unfinished_jobs.entry(new.scaled_job).or_default().insert(id);
        self.saw_job(id, out, |job| Fact::KubernetesJobCreated { job });
        self.notify(now, Key::Job(id));
        id
    }

    /// Somebody deletes a Job. Nothing happens if it is gone.
    ///
    /// Who names no propagation to `batch/v1` orphans the pods
    /// (Kubernetes 1.35.4, `pkg/registry/batch/job/strategy.go`, `DefaultGarbageCollectionPolicy`).
    pub fn delete_job(&mut self, now: Instant, id: JobId, propagation: Propagation, out: &mut Vec<Action>) {
        let Some(job) = self.job_mut(id) else { return };
        let pods = job.pods.clone();
        match propagation {
            Propagation::Orphan => {
                self.remove_job(now, id, out);
                for pod in pods {
                    self.change_pod(pod, |pod| pod.orphan = true);
                }
            }
            Propagation::Foreground => {
                if std::mem::replace(&mut job.deleting, true) {
                    return;
                }
                self.notify(now, Key::Job(id));
                self.collect_pods(now, &pods);
                self.job_may_go(now, id);
            }
            Propagation::Background => {
                self.remove_job(now, id, out);
                self.collect_pods(now, &pods);
            }
        }
    }

    /// The object of a Job goes. Its pods do not, but nothing holds them any more.
    pub(crate) fn remove_job(&mut self, now: Instant, id: JobId, out: &mut Vec<Action>) {
        self.saw_job(id, out, |job| Fact::KubernetesJobDeleted { job });
        self.end_sync(Key::Job(id));
        let Some(job) = self.jobs.get_mut(crate::ids::at(id.0)).and_then(Option::take) else { return };
        if job.finished.is_none() {
            self.job_ended(job.scaled_job, id);
        }
        if let Some(ids) = self.scaled_jobs.get_mut(&job.scaled_job) {
            ids.remove(&id);
        }
        for pod in &job.pods {
            self.free_if_orphaned(now, *pod);
        }
    }

    /// When ReplicaSets next choose pods to delete, these go first, in this order: so a run
    /// can follow a log in which others were chosen. Adds to what was dictated before; a pod that goes in
    /// another way is struck off.
    pub fn dictate_victims(&mut self, pods: impl IntoIterator<Item = PodId>) {
        self.dictated.extend(pods);
    }

    /// Where several nodes are equally good for a pod, this one is chosen: so a run can follow a log in which chance
    /// chose. By the number of the pod, from zero; nothing leaves the choice to chance.
    pub fn dictate_nodes(&mut self, nodes: impl IntoIterator<Item = Option<crate::NodeId>>) {
        self.dictated_nodes = nodes.into_iter().collect();
    }

    /// The kube-controller-manager ends: calls under way are lost, and so is everything that it only
    /// remembers, back-offs for example.
    pub fn stop_manager(&mut self) {
        self.manager = crate::cluster::Manager::new(self.manager.life + 1, Instant::START, &self.settings);
        self.manager.up = false;
        for workload in &mut self.workloads {
            workload.work = Work::default();
            workload.spam = crate::client::Spam::default();
            workload.steps = VecDeque::new();
            for set in &mut workload.sets {
                set.work = Work::default();
                set.spam = crate::client::Spam::default();
            }
        }
        for job in self.jobs.iter_mut().flatten() {
            job.forget();
        }
    }

    /// The kube-controller-manager leads again: it looks at everything anew.
    pub fn start_manager(&mut self, now: Instant) {
        self.manager.up = true;
        self.manager.since = now;
        for id in (0..next(self.workloads.len())).map(WorkloadId) {
            if !self.workload(id).deleted {
                self.notify(now, self.workload_key(id));
            }
            for set in 0..u16::try_from(self.workload(id).sets.len()).unwrap_or(u16::MAX) {
                if !self.set(id, set).gone {
                    self.notify(now, Key::ReplicaSet(id, set));
                }
            }
        }
        for id in (0..next(self.jobs.len())).map(JobId) {
            if self.job(id).is_some() {
                self.notify(now, Key::Job(id));
                self.plan_expiry(now, id);
            }
        }
        self.collect_everything(now);
        self.watch_nodes_anew(now);
    }
}
