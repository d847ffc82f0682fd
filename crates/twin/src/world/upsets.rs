//! What the scenario wants to go wrong, and what it wants changed in mid-run.

use controllers::NodeId;
use model::fault::{Fault, NamedAnswer, PodFault, Program, ServiceAnswer, WhichPod};
use model::{Fact, Millis};
use serde_json::Value as Json;

use super::{Task, World};
use crate::manifests::objects::{self, Surroundings};
use crate::node::{Around, Occupation};

/// From the end of a killed program until it runs again and has listed its objects.
/// An assumption, from restarts of the real programs on a quiet machine.
pub(super) const RESTART_TAKES: Millis = Millis::seconds(3);

impl World<'_> {
    pub(super) fn begin_fault(&mut self, number: u32) {
        let Some(fault) = self.fault(number) else { return };
        if !self.is_under_load() {
            return;
        }
        let hits = self.hits(&fault);
        let (at, what) = (self.now, fault.what());
        self.log.run(at, || Fact::FaultOn { fault: number, what, hits });
        match fault {
            Fault::Service(fault) => {
                if fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Stale)) {
                    self.remember_answers();
                }
                self.faults.begin(number, fault);
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
            Fault::KedaUpgrade(upgrade) => self.upgrade_operator(&upgrade.version),
        }
    }

    pub(super) fn end_fault(&mut self, number: u32) {
        let Some(fault) = self.fault(number) else { return };
        match fault {
            Fault::Service(_) => self.faults.end(number),
            Fault::NodeLoss(loss) => {
                let node = NodeId(loss.node - 1);
                self.nodes.return_node(self.now, node);
                self.cluster.return_node(self.now, node, &mut self.cluster_actions);
            }
            _ => return,
        }
        self.log.run(self.now, || Fact::FaultOff { fault: number });
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
        self.oldest_pod(|pod| match (which, self.nodes.occupation(pod)) {
            (WhichPod::Busy, occupation) => occupation == Occupation::Busy,
            (WhichPod::Idle, occupation) => occupation == Occupation::Idle,
            (WhichPod::Any, occupation) => occupation != Occupation::Nothing,
        })
    }

    fn kill(&mut self, fault: &PodFault) {
        let Some(pod) = self.pod_that_fits(fault.pod) else { return };
        let mut around = Around { service: &mut self.service, faults: &self.faults, out: &mut self.out };
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
        self.queue.push(self.now + RESTART_TAKES, Task::Started(program));
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
            self.edit_scaler(&written);
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

/// A JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(serde_json::Map::new());
    }
    let Json::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_sets_adds_and_removes() {
        let mut target = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
        merge(&mut target, &json!({ "a": null, "b": { "c": 5 }, "e": [2, 3], "f": { "g": null, "h": 1 } }));
        assert_eq!(target, json!({ "b": { "c": 5, "d": 3 }, "e": [2, 3], "f": { "h": 1 } }));
    }
}
