//! What a watch on the API sees, as facts. Nothing is built unless it is wanted.

use model::Fact;

use crate::cluster::{Action, Cluster};
use crate::ids::{JobId, PodId, WorkloadId};
use crate::pod::{Owner, Phase, Pod};
use crate::workload::Kind;

impl Cluster {
    /// A fact about a pod that exists, given its name.
    pub(crate) fn saw_pod(&self, id: PodId, out: &mut Vec<Action>, fact: impl FnOnce(&Self, String) -> Fact) {
        if !self.settings.facts {
            return;
        }
        if let Some(pod) = self.pod(id) {
            out.push(Action::Saw(Box::new(fact(self, pod.name.to_string()))));
        }
    }

    /// A fact about a Job that exists, given its name.
    pub(crate) fn saw_job(&self, id: JobId, out: &mut Vec<Action>, fact: impl FnOnce(String) -> Fact) {
        if !self.settings.facts {
            return;
        }
        if let Some(job) = self.job(id) {
            out.push(Action::Saw(Box::new(fact(job.name.to_string()))));
        }
    }

    /// An owner as `ReplicaSet/name`.
    pub(crate) fn owner_name(&self, owner: Owner) -> Option<String> {
        Some(match owner {
            Owner::ReplicaSet(workload, set) => {
                format!("ReplicaSet/{}", self.workload(workload).sets[usize::from(set)].name)
            }
            Owner::StatefulSet(workload, _) => format!("StatefulSet/{}", self.workload(workload).name),
            Owner::Job(job) => format!("Job/{}", self.job(job)?.name),
        })
    }

    /// What is new in a pod's status.
    pub(crate) fn tell_status(&mut self, id: PodId, out: &mut Vec<Action>) {
        if !self.settings.facts {
            return;
        }
        let Some(pod) = self.pod_mut(id) else { return };
        let mut tell = |pod: &Pod, fact: fn(String) -> Fact| {
            out.push(Action::Saw(Box::new(fact(pod.name.to_string()))));
        };
        if pod.phase == Phase::Running && !pod.told_running {
            pod.told_running = true;
            tell(pod, |pod| Fact::PodRunning { pod });
        }
        if pod.is_ready() && !pod.told_ready {
            pod.told_ready = true;
            tell(pod, |pod| Fact::PodReady { pod });
        }
        if pod.phase.is_terminal() && !pod.told_ended {
            pod.told_ended = true;
            let (pod, phase) = (pod.name.to_string(), pod.phase.as_str().to_owned());
            out.push(Action::Saw(Box::new(Fact::PodEnded { pod, phase })));
        }
    }

    /// A workload's counts, if they differ from what was told.
    pub(crate) fn tell_replicas(&mut self, id: WorkloadId, out: &mut Vec<Action>) {
        let facts = self.settings.facts;
        let workload = self.workload_mut(id);
        let counts = (workload.replicas, workload.status.replicas, workload.status.ready);
        if !facts || workload.deleted || workload.told == Some(counts) {
            return;
        }
        workload.told = Some(counts);
        let kind = match workload.kind {
            Kind::Deployment(_) => "Deployment",
            Kind::StatefulSet(_) => "StatefulSet",
        };
        let (spec, status, ready) = counts;
        let workload = format!("{kind}/{}", workload.name);
        out.push(Action::Saw(Box::new(Fact::Replicas { workload, spec, status, ready })));
    }
}
