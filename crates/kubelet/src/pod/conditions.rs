//! A pod's conditions: whether they hold, since when, and why not.

use model::Instant;

use super::{Action, Pod};
use crate::container::Container;
use crate::status::{Condition, ConditionKind, Phase};

impl Pod {
    pub(super) fn settle_conditions(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for kind in ConditionKind::ALL {
            let holds = self.holds(kind);
            let (held, since) = &mut self.conditions[kind as usize];
            if *held != holds {
                (*held, *since) = (holds, now);
                actions.push(Action::Publish);
            }
        }
    }

    pub(super) fn holds(&self, kind: ConditionKind) -> bool {
        let init = self.spec.init_containers.len();
        let ready = |container: &Container| container.running().is_some_and(|running| running.ready);
        match kind {
            ConditionKind::PodReadyToStartContainers => self.end.is_none(),
            ConditionKind::Initialized => {
                // Once initialized, always initialized.
                self.conditions[kind as usize].0
                    || self.containers[..init].iter().enumerate().all(|(index, container)| {
                        if self.container(index).sidecar {
                            container.starts > 0
                        } else {
                            container.succeeded()
                        }
                    })
            }
            ConditionKind::Ready | ConditionKind::ContainersReady => {
                self.end.is_none()
                    && self.containers[init..].iter().all(ready)
                    && (0..init).all(|index| !self.container(index).sidecar || ready(&self.containers[index]))
            }
        }
    }

    /// Source: Kubernetes 1.35.4, `pkg/kubelet/status/generate.go`.
    pub(super) fn condition(&self, kind: ConditionKind) -> Condition {
        let (holds, since) = self.conditions[kind as usize];
        let phase = self.phase();
        let (reason, message) = match kind {
            ConditionKind::PodReadyToStartContainers => ("", String::new()),
            ConditionKind::Initialized if phase == Phase::Succeeded => ("PodCompleted", String::new()),
            _ if holds => ("", String::new()),
            ConditionKind::Initialized => ("ContainersNotInitialized", self.names_of_incomplete()),
            _ if phase == Phase::Succeeded => ("PodCompleted", String::new()),
            _ if phase == Phase::Failed => ("PodFailed", String::new()),
            _ => ("ContainersNotReady", self.names_of_unready()),
        };
        Condition { kind, holds, since, reason, message }
    }

    pub(super) fn names_of_incomplete(&self) -> String {
        let incomplete = (0..self.spec.init_containers.len()).filter(|index| {
            let container = &self.containers[*index];
            if self.container(*index).sidecar { container.starts == 0 } else { !container.succeeded() }
        });
        format!("containers with incomplete status: [{}]", self.names(incomplete))
    }

    pub(super) fn names_of_unready(&self) -> String {
        let init = self.spec.init_containers.len();
        let unready = (0..self.containers.len()).filter(|index| {
            (*index >= init || self.container(*index).sidecar)
                && !self.containers[*index].running().is_some_and(|running| running.ready)
        });
        format!("containers with unready status: [{}]", self.names(unready))
    }

    pub(super) fn names(&self, indices: impl Iterator<Item = usize>) -> String {
        indices.map(|index| self.container(index).name.as_str()).collect::<Vec<_>>().join(" ")
    }
}
