//! The objects, and everything that others do with them.

use model::{Fact, Instant, Millis};

use crate::ids::{JobId, NodeId, PodId, Version, WorkloadId, at, next};
use crate::job::{Job, NewJob};
use crate::node::{NewNode, Node};
use crate::pod::{Pod, PodReport};
use crate::settings::Settings;
use crate::workload::{Counts, NewWorkload, Template, Workload};

/// What a cluster wants done, or saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The pod is bound to a node that listens: its kubelet has it now. Said again for each of a node's pods that is
    /// not terminating when a lost node is back.
    StartPod {
        /// The pod.
        pod: PodId,
        /// Its node.
        node: NodeId,
    },
    /// A pod that is bound to a node that listens has a deletion timestamp, or got a shorter grace. A lost node is told when it is back.
    DeletePod {
        /// The pod.
        pod: PodId,
        /// `deletionGracePeriodSeconds`.
        grace: Millis,
    },
    /// The object of a pod that was bound is gone, whoever removed it: whatever still runs for it is to end at once.
    PodGone {
        /// The pod; it cannot be looked up any more.
        pod: PodId,
    },
    /// What a watch sees, now. Only with [`Settings::facts`].
    Saw(Box<Fact>),
}

/// How an object's dependents go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// The object at once, its dependents afterwards.
    #[default]
    Background,
    /// The object once its dependents are gone.
    Foreground,
    /// They stay.
    Orphan,
}

/// Somebody else has changed the object since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict;

/// The API objects of one namespace, their controllers and the scheduler.
#[derive(Debug)]
pub struct Cluster {
    settings: Settings,
    pods: Vec<Option<Box<Pod>>>,
    jobs: Vec<Option<Box<Job>>>,
    workloads: Vec<Workload>,
    nodes: Vec<Node>,
}

impl Cluster {
    /// An empty namespace. Everything random comes from streams of this seed whose names begin with `controllers/`.
    #[must_use]
    pub fn new(_seed: u64, settings: Settings) -> Self {
        Self { settings, pods: Vec::new(), jobs: Vec::new(), workloads: Vec::new(), nodes: Vec::new() }
    }

    /// When [`Self::advance`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Does everything that is due.
    pub fn advance(&mut self, _now: Instant, _out: &mut Vec<Action>) {}

    /// A Deployment or a StatefulSet is created.
    pub fn create_workload(&mut self, _now: Instant, new: NewWorkload, _out: &mut Vec<Action>) -> WorkloadId {
        let id = WorkloadId(next(self.workloads.len()));
        self.workloads.push(Workload {
            name: new.name,
            kind: new.kind,
            replicas: new.replicas,
            template: new.template,
            status: Counts::default(),
            version: Version(1),
            deleted: false,
        });
        id
    }

    /// Somebody writes `spec.replicas`, through the scale subresource or not.
    pub fn scale(&mut self, _now: Instant, id: WorkloadId, replicas: u32, _out: &mut Vec<Action>) {
        self.workloads[at(id.0)].replicas = replicas;
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
        if self.workloads[at(id.0)].version != seen {
            return Err(Conflict);
        }
        self.scale(now, id, replicas, out);
        Ok(())
    }

    /// Somebody edits the pod template.
    pub fn edit_template(
        &mut self,
        _now: Instant,
        _id: WorkloadId,
        _template: Template,
        _out: &mut Vec<Action>,
    ) {
    }

    /// Somebody deletes the workload.
    pub fn delete_workload(
        &mut self,
        _now: Instant,
        _id: WorkloadId,
        _propagation: Propagation,
        _out: &mut Vec<Action>,
    ) {
    }

    /// A Job is created.
    pub fn create_job(&mut self, _now: Instant, _new: NewJob<'_>, _out: &mut Vec<Action>) -> JobId {
        JobId(next(self.jobs.len()))
    }

    /// Somebody deletes a Job. Nothing happens if it is gone.
    pub fn delete_job(
        &mut self,
        _now: Instant,
        _id: JobId,
        _propagation: Propagation,
        _out: &mut Vec<Action>,
    ) {
    }

    /// Somebody deletes a pod, with the pod's own grace if none is given. Nothing happens if it is gone.
    pub fn delete_pod(&mut self, _now: Instant, _pod: PodId, _grace: Option<Millis>, _out: &mut Vec<Action>) {
    }

    /// Sets the annotation `controller.kubernetes.io/pod-deletion-cost`.
    pub fn set_deletion_cost(&mut self, _pod: PodId, _cost: i32) {}

    /// A kubelet writes a pod's status. Nothing happens if the pod is gone.
    pub fn report_pod(&mut self, _now: Instant, _pod: PodId, _report: PodReport, _out: &mut Vec<Action>) {}

    /// A kubelet is done with a pod that is being deleted, and removes its object: delete without grace. The object of a Job's pod
    /// stays until the Job's controller has counted it.
    pub fn finish_pod(&mut self, _now: Instant, _pod: PodId, _out: &mut Vec<Action>) {}

    /// A node joins, ready.
    pub fn add_node(&mut self, _now: Instant, _new: NewNode, _out: &mut Vec<Action>) -> NodeId {
        NodeId(next(self.nodes.len()))
    }

    /// A node falls silent: its kubelet neither listens nor renews its lease.
    pub fn lose_node(&mut self, _now: Instant, _node: NodeId) {}

    /// A lost node is back, ready at once. Its kubelet is told all of its pods.
    pub fn return_node(&mut self, _now: Instant, _node: NodeId, _out: &mut Vec<Action>) {}

    /// A node's object is deleted. Its pods are collected a minute later or so.
    pub fn remove_node(&mut self, _now: Instant, _node: NodeId, _out: &mut Vec<Action>) {}

    /// The kube-controller-manager ends: calls under way are lost, and so is everything that it only remembers.
    pub fn stop_manager(&mut self) {}

    /// The kube-controller-manager leads again: it looks at everything anew.
    pub fn start_manager(&mut self, _now: Instant) {}

    /// When ReplicaSets next choose pods to delete, these go first, in this order: so a run
    /// can follow a log in which others were chosen. Adds to what was dictated before.
    pub fn dictate_victims(&mut self, _pods: impl IntoIterator<Item = PodId>) {}

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A pod that exists.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(at(id.0))?.as_deref()
    }

    /// A Job that exists.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(at(id.0))?.as_deref()
    }

    /// The Jobs of a ScaledJob that exist, oldest first.
    pub fn jobs_of(&self, _scaled_job: u32) -> impl Iterator<Item = (JobId, &Job)> {
        std::iter::empty()
    }

    /// A workload.
    #[must_use]
    pub fn workload(&self, id: WorkloadId) -> &Workload {
        &self.workloads[at(id.0)]
    }

    /// The pods of a workload that exist, oldest first.
    pub fn pods_of(&self, _id: WorkloadId) -> impl Iterator<Item = (PodId, &Pod)> {
        std::iter::empty()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[at(id.0)]
    }
}
