//! The faults of a scenario, brought about on the local engine at their times,
//! and told to the log with what they hit.

use std::collections::BTreeMap;

use cluster::node::Nodes;
use cluster::watch::Watch;
use cluster::workspace::Workspace;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::event::Fact;
use model::fault::{Edit, Fault, NO_POD_FITS, WhichPod};
use model::manifest::Document;
use model::{Instant, Scenario};
use server::Organization;

use crate::engine::Engine;
use crate::recorder::Recorder;
use crate::run::RunError;

/// Everything that faults are brought about with.
pub(crate) struct Faults<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) recorder: &'a Recorder,
    pub(crate) workspace: &'a Workspace,
    pub(crate) organization: &'a Organization,
    pub(crate) nodes: &'a Nodes,
    pub(crate) watch: &'a Watch,
    /// The objects that were applied, as `Kind/name`.
    pub(crate) objects: BTreeMap<String, &'a Document>,
}

impl Faults<'_> {
    /// Brings every fault about at its time after `ready`. Ends only if one cannot be.
    pub(crate) async fn drive(&self, ready: Instant, scenario: &Scenario) -> RunError {
        let faults = scenario.faults.iter().enumerate();
        let mut coming: FuturesUnordered<_> = faults
            .map(|(number, fault)| {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                self.one(number, fault, ready)
            })
            .collect();
        while let Some(outcome) = coming.next().await {
            if let Err(error) = outcome {
                return error;
            }
        }
        std::future::pending().await
    }

    async fn one(&self, number: u32, fault: &Fault, ready: Instant) -> Result<(), RunError> {
        let clock = self.engine.clock();
        clock.sleep_until(ready + fault.at()).await;
        // Under load only: while everything is taken away, nothing new goes wrong.
        if self.recorder.state().borrow().is_draining() {
            return Ok(());
        }
        self.begin(number, fault).await?;
        let Some(until) = fault.until() else { return Ok(()) };
        clock.sleep_until(ready + until).await;
        self.end(number, fault).await
    }

    /// The fact goes first: what comes of a fault is seen after it.
    async fn begin(&self, number: u32, fault: &Fault) -> Result<(), RunError> {
        match fault {
            Fault::Service(service) => {
                self.on(number, fault, None);
                self.organization.begin_fault(number, service.clone());
            }
            Fault::Restart(restart) => {
                self.on(number, fault, None);
                self.engine.restart(restart.what).await?;
            }
            Fault::KedaUpgrade(upgrade) => {
                self.on(number, fault, None);
                self.engine.upgrade_keda(&upgrade.version).await?;
            }
            Fault::PodKill(which) => {
                if let Some(pod) = self.hit(number, fault, which.pod) {
                    self.nodes.kill(self.workspace.namespace(), &pod);
                }
            }
            Fault::PodDelete(which) => {
                if let Some(pod) = self.hit(number, fault, which.pod) {
                    self.workspace.delete_pod(&pod).await?;
                }
            }
            Fault::NodeLoss(loss) => {
                let node = self.nodes.name(loss.node);
                node.into_iter().for_each(|node| self.watch.announce_loss(node));
                self.on(number, fault, node.map(|node| format!("Node/{node}")));
                self.nodes.lose(loss.node);
            }
            Fault::Edit(edit) => {
                self.on(number, fault, None);
                self.edit(edit).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, number: u32, fault: &Fault) -> Result<(), RunError> {
        self.tell(Fact::FaultOff { fault: number });
        match fault {
            Fault::Service(_) => self.organization.end_fault(number),
            Fault::NodeLoss(loss) => {
                let back = self.nodes.bring_back(loss.node).await;
                back.map_err(|error| RunError::Nodes(error.to_string()))?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn edit(&self, edit: &Edit) -> Result<(), RunError> {
        match self.objects.get(&edit.object) {
            Some(document) => Ok(self.workspace.patch(document.value(), &edit.patch).await?),
            None => Err(RunError::NoSuchObject(edit.object.clone())),
        }
    }

    /// Finds the pod that a fault hits, and tells.
    fn hit(&self, number: u32, fault: &Fault, which: WhichPod) -> Option<String> {
        let state = self.recorder.state();
        let pod = state.borrow().oldest_pod(which);
        if pod.is_none() {
            let what = format!("{}: {NO_POD_FITS}", fault.what());
            self.tell(Fact::FaultOn { fault: number, what, hits: None });
        } else {
            self.on(number, fault, pod.as_ref().map(|pod| format!("Pod/{pod}")));
        }
        pod
    }

    fn on(&self, number: u32, fault: &Fault, hits: Option<String>) {
        self.tell(Fact::FaultOn { fault: number, what: fault.what(), hits });
    }

    fn tell(&self, fact: Fact) {
        self.recorder.tell(self.engine.clock().now(), fact);
    }
}

/// Whether a fault of the scenario hits everybody on the control plane.
#[must_use]
pub(crate) fn needs_a_cluster_of_its_own(scenario: &Scenario) -> bool {
    scenario.faults.iter().any(|fault| matches!(fault, Fault::Restart(_) | Fault::KedaUpgrade(_)))
}
