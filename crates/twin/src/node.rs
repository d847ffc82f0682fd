//! Pods on nodes in virtual time, with agents inside.
//!
//! [`Nodes`] owns what runs: every pod's machine ([`kubelet::Pod`]), the images of
//! every node ([`kubelet::Images`]) and every container's agent
//! ([`azure_devops::agent`]). Agents call the service in the same thread, at the
//! same instant; a poll that the service holds is answered when its waiter is.
//!
//! ```text
//!  StartPod, DeletePod, PodGone ──►┐                        ┌──► wakes: when to come back
//!  wakes ─────────────────────────►├─ Nodes ── Pod ── agent ├──► reports and ends of pods
//!  answered waiters ──────────────►┘               │   ▲    └──► facts, the service's too
//!                                                  ▼   │
//!                                                 Service (and its faults)
//! ```
//!
//! # Time
//! The world has one queue. After every call here it takes [`Out::wakes`] into that queue,
//! and looks at [`Service::next_deadline`] again: agents have called the service. A
//! wake that came too early or twice does nothing, and costs next to nothing.
//!
//! # Draws
//! Streams are numbered by the pod's ordinal, its [`PodId`], which is how many pods were created
//! before it: those of `pod` by it alone, those of `start up` by it and the starts before, those of
//! `agent` by it and the start, counted from 1. One is named: `image pull/0/agent:1`, the first node's.
//! Names of pods are random and must not matter.

mod calls;
mod life;
mod pod;
mod steps;
mod template;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use azure_devops::agent::Output;
use azure_devops::{Answer, Effects, Refusal, Service, WaiterId};
use controllers::{NodeId, PodId, PodReport, Uid};
use kubelet::{Images, Input};
use model::fault::{CalledBy, Route, ServiceAnswer};
use model::stream::Numbered;
use model::{Event, Instant, Millis, MillisRange};

pub use template::PodTemplate;

use calls::Step;
use pod::PodOnNode;
use waiters::Waiters;

/// What the nodes are like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What every random choice comes from.
    pub seed: u64,
    /// The date of `Instant::START`, since 1970, as the service has it.
    pub epoch: Duration,
    /// The nodes' names. [`NodeId`] counts them.
    pub nodes: Vec<String>,
    /// How long a node takes to pull an image; it pulls it once.
    pub image_pull: MillisRange,
    /// How long a container takes to start when its image is there.
    pub container_start: MillisRange,
    /// From an agent container's start to listening for jobs.
    pub agent_start_up: MillisRange,
}

/// A pod that a node is given.
#[derive(Debug, Clone, Copy)]
pub struct NewPod<'a> {
    /// How the controllers call it.
    pub id: PodId,
    /// Where it runs.
    pub node: NodeId,
    /// Its name.
    pub name: &'a Arc<str>,
    /// Its UID.
    pub uid: Uid,
    /// What it is made from.
    pub template: &'a Arc<PodTemplate>,
}

/// When which pod is to be woken. Two words, to be kept in the world's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// When.
    pub at: Instant,
    /// Which.
    pub pod: PodId,
}

/// What a pod's kubelet writes to the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its status: for `Cluster::report_pod`.
    Report(PodId, PodReport),
    /// It has ended: its object is to be deleted without grace, `Cluster::finish_pod`.
    Finished(PodId),
}

/// What comes of a step. The world empties it and uses it again.
#[derive(Debug, Default)]
pub struct Out {
    /// When to come back.
    pub wakes: Vec<Wake>,
    /// What is written to the API, in order.
    pub changes: Vec<Change>,
    /// What was seen, in order, if anybody wants it: by the nodes and by the service.
    pub facts: Vec<Event>,
    /// Whether the nodes' facts are wanted. Whether the service's are is the service's to say.
    pub wants_facts: bool,
}

/// How the service's answers to agents are spoilt at the moment.
pub trait Faults {
    /// What happens to a request of that program on that route now; nothing if all is well.
    fn intercept(&mut self, now: Instant, route: Route, caller: CalledBy) -> Option<FaultAnswer>;

    /// What decides about messages and locks, if any fault is on.
    fn on(&mut self) -> Option<&mut azure_devops::faults::Faults> {
        None
    }
}

/// What happens to a request instead of being answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAnswer {
    /// What is answered instead; the service is not asked. `stale` counts for lists only, and an
    /// agent's calls are answered as they are.
    pub answer: Option<ServiceAnswer>,
    /// How much later the answer comes.
    pub delay: Millis,
    /// How much later for each row of a list.
    pub delay_per_row: Millis,
}

/// A service without faults.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn intercept(&mut self, _now: Instant, _route: Route, _caller: CalledBy) -> Option<FaultAnswer> {
        None
    }
}

/// What the nodes need of the world for one step.
pub struct Around<'a> {
    /// The agents' organisation.
    pub service: &'a mut Service,
    /// Its faults.
    pub faults: &'a mut dyn Faults,
    /// What comes of the step.
    pub out: &'a mut Out,
}

/// What an agent in a pod is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occupation {
    /// No container runs.
    Nothing,
    /// Containers run, and no agent listens.
    Runs,
    /// An agent listens and has no job.
    Idle,
    /// An agent has a job.
    Busy,
}

/// Every node's pods.
#[derive(Debug)]
pub struct Nodes {
    settings: Settings,
    streams: Streams,
    nodes: Vec<OneNode>,
    /// By their ids.
    pods: Vec<Option<Box<PodOnNode>>>,
    waiters: Waiters,
    /// What is still to be done in this step, in order.
    steps: VecDeque<Step>,
    /// Pods whose deadlines may have changed in this step.
    touched: Vec<PodId>,
    /// Kept for their room.
    actions: Vec<kubelet::Action>,
    outputs: Vec<Output>,
    effects: Effects,
    calls: u64,
}

/// What is drawn for each pod, start and agent.
#[derive(Debug)]
struct Streams {
    pod: Numbered,
    start_up: Numbered,
    agent: Numbered,
}

#[derive(Debug, Default)]
struct OneNode {
    images: Images,
    lost: bool,
}

impl Nodes {
    /// Nodes without pods.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let numbered = |purpose| Numbered::new(settings.seed, purpose);
        Self {
            streams: Streams {
                pod: numbered("pod"),
                start_up: numbered("start up"),
                agent: numbered("agent"),
            },
            nodes: settings.nodes.iter().map(|_| OneNode::default()).collect(),
            settings,
            pods: Vec::new(),
            waiters: Waiters::default(),
            steps: VecDeque::new(),
            touched: Vec::new(),
            actions: Vec::new(),
            outputs: Vec::new(),
            effects: Effects::default(),
            calls: 0,
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A pod was bound to a node. One that is there already was on a node that was lost and is
    /// back: its processes are gone, and its containers are started again.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn start_pod(&mut self, now: Instant, new: NewPod<'_>, around: &mut Around<'_>) {
        if self.nodes[at(new.node.0)].lost {
            return;
        }
        if self.pod_mut(new.id).is_some() {
            self.resume(now, new.id, around);
        } else {
            self.take(now, new, around);
        }
        self.finish_step(now, around);
    }

    /// The pod's object has a deletion timestamp, or a shorter grace.
    pub fn delete_pod(&mut self, now: Instant, pod: PodId, grace: Millis, around: &mut Around<'_>) {
        self.resume(now, pod, around);
        self.tell(now, pod, Input::Deleted { grace }, around);
        self.finish_step(now, around);
    }

    /// The pod's object is gone: whatever still runs for it ends without grace.
    pub fn pod_gone(&mut self, now: Instant, pod: PodId, around: &mut Around<'_>) {
        let Some(known) = self.pod_mut(pod) else { return };
        known.gone = true;
        if known.lost || known.machine.phase().is_terminal() {
            self.forget(pod);
        } else {
            self.tell(now, pod, Input::Gone, around);
            self.finish_step(now, around);
        }
    }

    /// The processes of the pod's containers get SIGKILL.
    pub fn kill(&mut self, now: Instant, pod: PodId, around: &mut Around<'_>) {
        self.kill_containers(now, pod, around);
        self.finish_step(now, around);
    }

    /// The node vanishes, and everything that runs on it. The pods' objects are not touched.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn lose_node(&mut self, _now: Instant, node: NodeId) {
        self.nodes[at(node.0)].lost = true;
        for place in &mut self.pods {
            let Some(pod) = place.as_mut().filter(|pod| pod.node == node) else { continue };
            pod.lost = true;
            pod.wakes_at = None;
            pod.lives.iter_mut().flatten().for_each(life::Life::vanish);
            if pod.gone {
                // Nobody will tell the node of it again.
                *place = None;
            }
        }
    }

    /// The node is back, with nothing running on it. The controllers tell it its pods again
    /// ([`start_pod`](Self::start_pod), [`delete_pod`](Self::delete_pod)).
    ///
    /// # Panics
    /// If there is no such node.
    pub fn return_node(&mut self, _now: Instant, node: NodeId) {
        self.nodes[at(node.0)].lost = false;
    }

    /// A wake of [`Out::wakes`] is due.
    pub fn wake(&mut self, now: Instant, wake: Wake, around: &mut Around<'_>) {
        let Some(pod) = self.pod_mut(wake.pod).filter(|pod| pod.wakes_at == Some(wake.at)) else { return };
        pod.wakes_at = None;
        self.wake_pod(now, wake.pod, around);
        self.finish_step(now, around);
    }

    /// The service has answered a held poll outside of a call from here: in [`Service::advance`], or in
    /// a call that somebody else made.
    pub fn answered(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        answer: Result<Answer, Refusal>,
        around: &mut Around<'_>,
    ) {
        self.poll_answered(now, waiter, answer, around);
        self.finish_step(now, around);
    }

    /// How many calls the agents have made to the service.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// What the agent in a pod is at.
    #[must_use]
    pub fn occupation(&self, pod: PodId) -> Occupation {
        let known = self.pods.get(at(pod.0)).and_then(|pod| pod.as_ref());
        known.map_or(Occupation::Nothing, |pod| pod.occupation())
    }
}

/// The place of an id in a list.
fn at(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}
