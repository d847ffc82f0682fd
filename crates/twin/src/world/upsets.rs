//! What the scenario wants to go wrong, and what it wants changed in mid-run.

use azure_devops::Call;
use azure_devops::faults::Upset;
use controllers::NodeId;
use model::fault::{Fault, NO_POD_FITS, NamedAnswer, PodFault, Program, ServiceAnswer, WhichPod};
use model::{Fact, Millis};
use serde_json::Value as Json;

use super::{Task, World};
use crate::manifests::objects::{self, Surroundings};
use crate::merge_patch::merge;
use crate::node::{Around, Occupation};

/// From the end of a killed operator until it has reconciled and polls again: 0.9 s on a quiet machine in real
/// time. The process' own start takes wall time, which is more scenario time on a faster clock: measured at 1
/// and at 20 times the wall clock's speed.
const OPERATOR_RESTARTS: (Millis, Millis) = (Millis(740), Millis(160));
/// The same for kube-controller-manager, until it has listed its objects.
const CONTROLLERS_RESTART: (Millis, Millis) = (Millis(850), Millis(650));
/// The same for an upgrade of KEDA: the old operator ends, CRDs are applied, the new one starts.
const OPERATOR_UPGRADES: (Millis, Millis) = (Millis(700), Millis(1_600));

impl World<'_> {
    pub(super) fn begin_fault(&mut self, number: u32) {
        let Some(fault) = self.fault(number) else { return };
        if !self.is_under_load() {
            return;
        }
        self.faults_begun.insert(number);
        let hits = self.hits(&fault);
        let (at, mut what) = (self.now, fault.what());
        if hits.is_none() && matches!(fault, Fault::PodKill(_) | Fault::PodDelete(_)) {
            what = format!("{what}: {NO_POD_FITS}");
        }
        self.log.run(at, || Fact::FaultOn { fault: number, what, hits });
        match fault {
            Fault::Service(fault) => {
                if fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Stale)) {
                    self.remember_answers(number);
                }
                let changes_jobs = fault.parallel_jobs.is_some();
                self.faults.begin(number, fault);
                if changes_jobs {
                    self.change_parallel_jobs();
                }
            }
            Fault::Restart(restart) => self.restart(restart.what),
            Fault::PodKill(fault) => self.kill(&fault),
            Fault::PodDelete(fault) => {
                if let Some(pod) = self.pod_that_fits(fault.pod) {
                    self.cluster.delete_pod(self.now, pod, None, &mut self.cluster_actions);
                }
            }
            Fault::NodeLoss(loss) => {
                let node = NodeId(loss.node - 1);
                self.cluster.lose_node(self.now, node);
                self.nodes.lose_node(self.now, node);
            }
            Fault::Edit(edit) => self.edit(&edit.object, &Json::Object(edit.patch)),
            Fault::KedaUpgrade(upgrade) => self.upgrade(&upgrade.version),
        }
    }

    pub(super) fn end_fault(&mut self, number: u32) {
        let Some(fault) = self.fault(number).filter(|_| self.faults_begun.contains(&number)) else { return };
        match fault {
            Fault::Service(fault) => {
                self.faults.end(number);
                if fault.parallel_jobs.is_some() {
                    self.change_parallel_jobs();
                }
            }
            Fault::NodeLoss(loss) => {
                let node = NodeId(loss.node - 1);
                self.nodes.return_node(self.now, node);
                self.cluster.return_node(self.now, node, &mut self.cluster_actions);
            }
            _ => return,
        }
        self.log.run(self.now, || Fact::FaultOff { fault: number });
    }

    fn change_parallel_jobs(&mut self) {
        let parallel_jobs = self.faults.parallel_jobs();
        self.call(Call::Upset(Upset::ParallelJobs(parallel_jobs)));
    }

    fn fault(&self, number: u32) -> Option<Fault> {
        self.request.scenario.faults.get(usize::try_from(number).ok()?).cloned()
    }

    /// The pod or the node that a fault hits, by its name.
    fn hits(&self, fault: &Fault) -> Option<String> {
        match fault {
            Fault::PodKill(PodFault { pod, .. }) | Fault::PodDelete(PodFault { pod, .. }) => {
                let pod = self.pod_that_fits(*pod)?;
                Some(format!("Pod/{}", self.cluster.pod(pod)?.name()))
            }
            Fault::NodeLoss(loss) => {
                Some(format!("Node/{}", self.cluster.node(NodeId(loss.node - 1)).name()))
            }
            _ => None,
        }
    }

    fn pod_that_fits(&self, which: WhichPod) -> Option<controllers::PodId> {
        self.oldest_pod(|pod| {
            // One that is on its way out already fits nothing.
            let leaves = self.cluster.pod(pod).is_none_or(|pod| pod.deletion().is_some());
            !leaves
                && match (which, self.nodes.occupation(pod)) {
                    (WhichPod::Busy, occupation) => occupation == Occupation::Busy,
                    (WhichPod::Idle, occupation) => occupation == Occupation::Idle,
                    (WhichPod::Any, occupation) => occupation != Occupation::Nothing,
                }
        })
    }

    fn kill(&mut self, fault: &PodFault) {
        let Some(pod) = self.pod_that_fits(fault.pod) else { return };
        let mut around = Around { service: &mut self.service, faults: &mut self.faults, out: &mut self.out };
        self.nodes.kill(self.now, pod, &mut around);
    }

    fn restart(&mut self, program: Program) {
        match program {
            Program::KedaOperator => self.stop_operator(),
            Program::KubeControllerManager => {
                self.cluster.stop_manager();
                self.stop_hpa();
            }
        }
        let takes = self.takes(match program {
            Program::KedaOperator => OPERATOR_RESTARTS,
            Program::KubeControllerManager => CONTROLLERS_RESTART,
        });
        self.queue.push(self.now + takes, Task::Started(program));
    }

    /// So long at the wall clock's speed, and so much longer for every time faster.
    fn takes(&self, (always, for_speed): (Millis, Millis)) -> Millis {
        let speed = u64::from(self.request.alignment.map_or(1, |alignment| alignment.speed));
        always + Millis(for_speed.0.saturating_mul(speed))
    }

    fn upgrade(&mut self, version: &str) {
        if self.upgrade_operator(version) {
            let takes = self.takes(OPERATOR_UPGRADES);
            self.queue.push(self.now + takes, Task::Started(Program::KedaOperator));
        }
    }

    pub(super) fn program_starts(&mut self, program: Program) {
        match program {
            Program::KedaOperator => self.start_operator(),
            Program::KubeControllerManager => {
                self.cluster.start_manager(self.now);
                self.start_hpa();
            }
        }
    }

    /// Merges `patch` into the object as it is by now, and tells whoever watches it.
    fn edit(&mut self, object: &str, patch: &Json) {
        let Some(written) = self.objects.written.get_mut(object) else { return };
        let before = written.clone();
        merge(written, patch);
        let written = written.clone();
        if written == before {
            return;
        }
        if let Some(at) = self.objects.workloads.iter().position(|workload| workload.object == object) {
            self.edit_workload(at, &before, &written);
        } else {
            self.edit_scaler(&before, &written);
        }
    }

    fn edit_workload(&mut self, at: usize, before: &Json, written: &Json) {
        let scenario = self.request.scenario;
        let around =
            Surroundings { namespace: self.namespace(), capabilities: &scenario.agents.capabilities };
        // A patch that leaves no workload behind is refused by the API, and nothing changes.
        let Ok(new) = objects::workload(written, &self.objects.values, &around) else { return };
        let id = self.workloads[at];
        if before.pointer("/spec/replicas") != written.pointer("/spec/replicas") {
            self.cluster.scale(self.now, id, new.new.replicas, &mut self.cluster_actions);
        }
        if before.pointer("/spec/template") != written.pointer("/spec/template") {
            self.templates.insert(new.new.template.hash, new.template.clone());
            self.cluster.edit_template(self.now, id, new.new.template, &mut self.cluster_actions);
        }
        self.objects.workloads[at] = new;
    }
}
