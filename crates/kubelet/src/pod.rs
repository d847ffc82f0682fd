//! One pod from the moment that a node has it until its object is gone.

mod conditions;
mod containers;
mod ending;

use std::sync::Arc;

use model::{Instant, Millis, MillisRange};
use rand_chacha::ChaCha8Rng;

use crate::container::{Container, State};
use crate::entrypoint;
use crate::process::Program;
use crate::spec::{ContainerSpec, PodSpec};
use crate::status::{ConditionKind, Phase, PodStatus};

/// From the last container's end to the deletion of the object: noticing it and taking the sandbox
/// down. An assumption; the kubelet looks for ended containers every second
/// (Kubernetes 1.35.4, `pkg/kubelet/kubelet.go`, `genericPlegRelistPeriod`).
pub const TEAR_DOWN: Millis = Millis(500);
/// A container that is started again needs no sandbox and no network. An assumption.
pub const LONGEST_RESTART: Millis = Millis::seconds(1);

/// How long things take on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From the moment that its image is there until a container runs.
    pub container_start: MillisRange,
}

/// What a pod is told. Containers are counted from zero, init containers first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The answer to [`Action::Pull`]: the image will be there at that instant.
    Image {
        /// The container.
        container: usize,
        /// When its image is there.
        at: Instant,
    },
    /// The answer to [`Action::Configure`]: the environment says what will run.
    Program {
        /// The container.
        container: usize,
        /// What it runs.
        program: Program,
    },
    /// The answer to [`Action::Configure`] if something that the environment refers to is missing.
    ConfigurationError {
        /// The container.
        container: usize,
        /// What is missing.
        message: Box<str>,
    },
    /// Something happened to what the container's start script wanted done.
    Entrypoint {
        /// The container.
        container: usize,
        /// Which start of it: news of an earlier one is ignored.
        start: u32,
        /// What happened.
        input: entrypoint::Input,
    },
    /// The container's processes were killed from outside.
    Killed {
        /// The container.
        container: usize,
    },
    /// The object has a deletion timestamp.
    Deleted {
        /// `deletionGracePeriodSeconds`.
        grace: Millis,
    },
    /// The object is gone.
    Gone,
}

/// What a pod wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write [`Pod::status`] to the API.
    Publish,
    /// Have the container's image on the node.
    Pull {
        /// The container.
        container: usize,
    },
    /// Resolve the container's environment.
    Configure {
        /// The container.
        container: usize,
    },
    /// Carry out what the container's start script does.
    Entrypoint {
        /// The container.
        container: usize,
        /// Which start of it, to be repeated in the answer.
        start: u32,
        /// What it does; never [`entrypoint::Action::Exit`].
        action: entrypoint::Action,
    },
    /// The container's processes are gone: whatever ran for it ends without a word.
    Vanish {
        /// The container.
        container: usize,
    },
    /// For the log.
    Saw {
        /// The container.
        container: usize,
        /// What was seen.
        sight: Sight,
    },
    /// The pod has ended: delete its object without grace, if there still is one.
    Finish,
}

/// Something worth logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The first process was started, after so many restarts.
    Started {
        /// How often it was started before.
        restarts: u32,
    },
    /// The first process got SIGTERM.
    Term,
    /// Every process got SIGKILL.
    Kill,
    /// The first process ended.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// It waits for its restart.
    BackOff {
        /// When it is started again.
        until: Instant,
    },
}

/// A pod on a node.
#[derive(Debug, Clone)]
pub struct Pod {
    spec: Arc<PodSpec>,
    settings: Settings,
    random: ChaCha8Rng,
    taken: Instant,
    /// Init containers first.
    containers: Box<[Container]>,
    deletion: Option<Deletion>,
    /// Whether the sidecars were told to stop.
    sidecars_stop: Option<Deletion>,
    end: Option<End>,
    /// Whether each condition holds, and since when.
    conditions: [(bool, Instant); 4],
}

#[derive(Debug, Clone, Copy)]
struct Deletion {
    at: Instant,
    grace: Millis,
}

#[derive(Debug, Clone, Copy)]
struct End {
    phase: Phase,
    /// When the object is to be deleted; nothing for a pod that ended by itself, or whose deletion was asked for.
    finish_at: Option<Instant>,
}

impl Pod {
    /// The node has taken the pod at `now`.
    #[must_use]
    pub fn new(
        now: Instant,
        spec: Arc<PodSpec>,
        settings: Settings,
        random: ChaCha8Rng,
    ) -> (Self, Vec<Action>) {
        let mut actions = Vec::new();
        let pod = Self::new_into(now, spec, settings, random, &mut actions);
        (pod, actions)
    }

    /// The same, with what it wants behind what is in the list already.
    pub fn new_into(
        now: Instant,
        spec: Arc<PodSpec>,
        settings: Settings,
        random: ChaCha8Rng,
        actions: &mut Vec<Action>,
    ) -> Self {
        let count = spec.init_containers.len() + spec.containers.len();
        let mut pod = Self {
            spec,
            settings,
            random,
            taken: now,
            containers: (0..count).map(|_| Container::new()).collect(),
            deletion: None,
            sidecars_stop: None,
            end: None,
            conditions: [(false, now); 4],
        };
        let from = actions.len();
        actions.push(Action::Publish);
        pod.settle(now, actions);
        publish_once(actions, from);
        pod
    }

    /// The specification it was made from.
    #[must_use]
    pub fn spec(&self) -> &Arc<PodSpec> {
        &self.spec
    }

    /// A container's specification, init containers first.
    #[must_use]
    pub fn container(&self, index: usize) -> &ContainerSpec {
        let init = self.spec.init_containers.len();
        if index < init { &self.spec.init_containers[index] } else { &self.spec.containers[index - init] }
    }

    /// How often a container was started.
    #[must_use]
    pub fn starts(&self, container: usize) -> u32 {
        self.containers[container].starts
    }

    /// Whether the pod has a deletion timestamp.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deletion.is_some()
    }

    /// When the pod wants to be woken with [`Self::advance`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let finish = self.end.and_then(|end| end.finish_at);
        self.containers.iter().filter_map(Container::next_deadline).chain(finish).min()
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.advance_into(now, &mut actions);
        actions
    }

    /// The same, with what it wants behind what is in the list already.
    pub fn advance_into(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let from = actions.len();
        for index in 0..self.containers.len() {
            while let Some(want) = self.containers[index].advance(now) {
                self.fulfil(now, index, want, actions);
            }
        }
        self.settle(now, actions);
        if let Some(end) = &mut self.end
            && end.finish_at.is_some_and(|at| at <= now)
        {
            end.finish_at = None;
            actions.push(Action::Finish);
        }
        publish_once(actions, from);
    }

    /// Something happened. What comes too late is ignored.
    pub fn handle(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.handle_into(now, input, &mut actions);
        actions
    }

    /// The same, with what it wants behind what is in the list already.
    pub fn handle_into(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        let from = actions.len();
        match input {
            Input::Image { container, at } => {
                if let State::Pulling { until } = &mut self.containers[container].state {
                    *until = Some(at);
                }
            }
            Input::Program { container, program } => self.configured(now, container, program),
            Input::ConfigurationError { container, message } => {
                if matches!(self.containers[container].state, State::Configuring) {
                    self.containers[container].refuse(now, message, &mut self.random);
                    actions.push(Action::Publish);
                }
            }
            Input::Entrypoint { container, start, input } => {
                let current = self.containers[container].starts == start;
                if let (true, Some(running)) = (current, self.containers[container].running_mut()) {
                    let action = running.process.handle(now, input);
                    self.carry_out(now, container, action, actions);
                }
            }
            Input::Killed { container } => {
                if self.containers[container].running().is_some() {
                    self.kill(now, container, actions);
                }
            }
            Input::Deleted { grace } => self.delete(now, grace, actions),
            Input::Gone => self.delete(now, Millis::ZERO, actions),
        }
        // What became due by it (a hook of no length, an image that is there) happens now.
        self.advance_into(now, actions);
        publish_once(actions, from);
    }

    /// Whether a condition is true.
    #[must_use]
    pub fn has(&self, kind: ConditionKind) -> bool {
        self.conditions[kind as usize].0
    }

    /// How often a container was started again.
    #[must_use]
    pub fn restarts(&self, container: usize) -> u32 {
        self.containers[container].restarts()
    }

    /// Whether a container's first process runs.
    #[must_use]
    pub fn runs(&self, container: usize) -> bool {
        self.containers[container].running().is_some()
    }

    /// When the last container ended, if all of them have and none is started again.
    #[must_use]
    pub fn finished(&self) -> Option<Instant> {
        let ends = self.containers.iter().filter_map(|container| container.last);
        self.end.and_then(|_| ends.map(|last| last.finished).max())
    }

    /// What the kubelet publishes.
    #[must_use]
    pub fn status(&self) -> PodStatus {
        let init = self.spec.init_containers.len();
        let initialized = self.conditions[ConditionKind::Initialized as usize].0;
        let (before, after) = self.containers.split_at(init);
        PodStatus {
            phase: self.phase(),
            start_time: self.taken,
            conditions: ConditionKind::ALL.into_iter().map(|kind| self.condition(kind)).collect(),
            init_containers: before.iter().map(|container| container.status(true)).collect(),
            containers: after.iter().map(|container| container.status(!initialized)).collect(),
        }
    }

    /// The pod's phase.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet_pods.go`, `getPhase`.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let init = self.spec.init_containers.len();
        match self.end {
            Some(end) => end.phase,
            None if self.containers[init..].iter().all(|container| container.starts > 0) => Phase::Running,
            None => Phase::Pending,
        }
    }
}

/// One write is enough for all of it.
fn publish_once(actions: &mut Vec<Action>, from: usize) {
    let (mut at, mut published) = (0, false);
    actions.retain(|action| {
        at += 1;
        at <= from || *action != Action::Publish || !std::mem::replace(&mut published, true)
    });
}

fn spec_of(spec: &PodSpec, index: usize) -> &ContainerSpec {
    let init = spec.init_containers.len();
    if index < init { &spec.init_containers[index] } else { &spec.containers[index - init] }
}

#[cfg(test)]
mod tests;
