//! One pod on a node, and what is told of it.

use std::sync::Arc;

use controllers::{Conditions, NodeId, Phase, PodReport, Restarts};
use kubelet::Pod;
use kubelet::status::ConditionKind;
use model::Instant;
use smallvec::SmallVec;

use super::life::{Life, earliest};
use super::template::{PodTemplate, Singular};
use super::{Occupation, at};

/// The containers' agents: nearly always one.
pub(super) type Lives = SmallVec<[Option<Life>; 1]>;

/// A pod. What an agent that waits is looked up for lies in one piece: thousands of them wait, and each look at
/// far memory costs more than what is done with it.
#[derive(Debug)]
pub(super) struct PodOnNode {
    pub(super) ordinal: u64,
    pub(super) node: NodeId,
    pub(super) name: Arc<str>,
    pub(super) uid: u128,
    pub(super) template: Arc<PodTemplate>,
    pub(super) machine: Box<Pod>,
    /// The machine's next deadline.
    pub(super) machine_due: Option<Instant>,
    /// The containers' agents, init containers first.
    pub(super) lives: Lives,
    /// What the API was told last.
    pub(super) reported: Option<PodReport>,
    /// Whether its object is gone.
    pub(super) gone: bool,
    /// Whether its node was lost, and has not been told of it again.
    pub(super) lost: bool,
    /// The wake that counts.
    pub(super) wakes_at: Option<Instant>,
    /// Whether its deadline is to be looked at when the step is over.
    pub(super) touched: bool,
}

impl PodOnNode {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let agents = self.lives.iter().flatten().filter_map(Life::next_deadline).min();
        earliest(self.machine_due, agents)
    }

    pub(super) fn singular<'a>(&'a self, node_names: &'a [String]) -> Singular<'a> {
        let node_index = at(self.node.0);
        Singular {
            name: &self.name,
            uid: self.uid,
            node: &node_names[node_index],
            node_index,
            ordinal: self.ordinal,
        }
    }

    pub(super) fn occupation(&self) -> Occupation {
        let agent = self.lives.iter().flatten().filter(|_| !self.lost).map(|life| match &life.listener {
            Some(listener) if listener.has_job() => Occupation::Busy,
            Some(_) if life.listens => Occupation::Idle,
            _ => Occupation::Nothing,
        });
        let runs = !self.lost && (0..self.lives.len()).any(|container| self.machine.runs(container));
        let container = if runs { Occupation::Runs } else { Occupation::Nothing };
        agent.max().unwrap_or(container).max(container)
    }

    pub(super) fn report(&self) -> PodReport {
        let phase = match self.machine.phase() {
            kubelet::Phase::Pending => Phase::Pending,
            kubelet::Phase::Running => Phase::Running,
            kubelet::Phase::Succeeded => Phase::Succeeded,
            kubelet::Phase::Failed => Phase::Failed,
        };
        let conditions = CONDITIONS.into_iter().filter(|(kind, _)| self.machine.has(*kind));
        let conditions = conditions.fold(Conditions::NONE, |all, (_, one)| all.with(one));
        PodReport { phase, conditions, restarts: self.restarts(), finished: self.machine.finished() }
    }

    fn restarts(&self) -> Restarts {
        let init = self.machine.spec().init_containers.len();
        let mut restarts = Restarts::default();
        for container in 0..self.lives.len() {
            let of_it = self.machine.restarts(container);
            restarts.sum += of_it;
            if container >= init {
                restarts.most = restarts.most.max(of_it);
            } else if self.machine.container(container).sidecar {
                restarts.most_of_sidecars = restarts.most_of_sidecars.max(of_it);
            }
        }
        restarts
    }
}

const CONDITIONS: [(ConditionKind, Conditions); 4] = [
    (ConditionKind::PodReadyToStartContainers, Conditions::POD_READY_TO_START_CONTAINERS),
    (ConditionKind::Initialized, Conditions::INITIALIZED),
    (ConditionKind::ContainersReady, Conditions::CONTAINERS_READY),
    (ConditionKind::Ready, Conditions::READY),
];
