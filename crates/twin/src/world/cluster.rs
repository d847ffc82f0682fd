//! Between the controllers and the nodes: pods that are to start or to go, and
//! what becomes of them.

use controllers::{Action, Owner, PodId};
use model::Source;

use super::World;
use crate::node::{Around, Change, NewPod};

impl World<'_> {
    /// Tells the nodes what the controllers want.
    pub(super) fn carry_out_cluster(&mut self) {
        if self.cluster_actions.is_empty() {
            return;
        }
        let mut actions = std::mem::take(&mut self.cluster_actions);
        for action in actions.drain(..) {
            let mut around =
                Around { service: &mut self.service, faults: &mut self.faults, out: &mut self.out };
            match action {
                Action::StartPod { pod: id, node } => {
                    let Some(pod) = self.cluster.pod(id) else { continue };
                    let hash = match pod.owner() {
                        Owner::Job(job) => {
                            let generation = self.cluster.job(job).map(controllers::Job::generation);
                            generation.and_then(|generation| self.job_templates.get(&generation)).copied()
                        }
                        Owner::ReplicaSet(..) | Owner::StatefulSet(..) => Some(pod.template()),
                    };
                    let Some(template) = hash.and_then(|hash| self.templates.get(&hash)) else { continue };
                    let new = NewPod { id, node, name: pod.name(), uid: pod.uid(), template };
                    self.nodes.start_pod(self.now, new, &mut around);
                }
                Action::DeletePod { pod, grace } => {
                    self.nodes.delete_pod(self.now, pod, grace, &mut around);
                }
                Action::PodGone { pod } => self.nodes.pod_gone(self.now, pod, &mut around),
                Action::Saw(fact) => self.log.tell(self.now, Source::Kubernetes, || *fact),
            }
        }
        // The nodes never talk to the controllers behind the world's back: nothing was added meanwhile.
        self.cluster_actions = actions;
    }

    /// Writes what the kubelets report; whether there was anything.
    pub(super) fn take_changes(&mut self) -> bool {
        if self.out.changes.is_empty() {
            return false;
        }
        let mut changes = std::mem::take(&mut self.out.changes);
        for change in changes.drain(..) {
            match change {
                Change::Report(pod, report) => {
                    self.cluster.report_pod(self.now, pod, report, &mut self.cluster_actions);
                }
                Change::Finished(pod) => self.cluster.finish_pod(self.now, pod, &mut self.cluster_actions),
            }
        }
        self.out.changes = changes;
        true
    }

    /// The oldest pod that fits.
    pub(super) fn oldest_pod(&self, fits: impl Fn(PodId) -> bool) -> Option<PodId> {
        self.cluster.existing_pods().find(|id| fits(*id))
    }
}
