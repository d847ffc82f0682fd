//! A pod's deletion, its sidecars' turn to stop, and its end.

use model::{Instant, Millis};

use super::{Action, Deletion, End, Pod, TEAR_DOWN};
use crate::container::{Container, State};
use crate::status::{ConditionKind, Phase};

impl Pod {
    pub(super) fn delete(&mut self, now: Instant, grace: Millis, actions: &mut Vec<Action>) {
        if let Some(end) = &mut self.end {
            // It has ended already, so nothing is left but its object.
            if self.deletion.is_none() {
                end.finish_at = None;
                actions.push(Action::Finish);
            }
            self.deletion.get_or_insert(Deletion { at: now, grace });
            return;
        }
        let limit = now + grace;
        if self.deletion.is_some_and(|earlier| earlier.at + earlier.grace <= limit) {
            return;
        }
        self.deletion = Some(Deletion { at: now, grace });
        // Sidecars whose turn has not come have no longer than everybody else.
        if let Some(stop) = self.sidecars_stop.as_mut().filter(|stop| stop.at + stop.grace > limit) {
            *stop = Deletion { at: now, grace };
        }
        for index in 0..self.containers.len() {
            if !self.container(index).sidecar || self.sidecars_stop.is_some() {
                self.stop(now, index, grace);
            }
        }
    }

    pub(super) fn stop(&mut self, now: Instant, index: usize, grace: Millis) {
        let pre_stop = self.container(index).pre_stop;
        let container = &mut self.containers[index];
        let was_told = container.running().is_some_and(|running| running.stop.is_some());
        // A sidecar whose turn has not come is told when it comes.
        if was_told || !self.is_waiting_sidecar(index) {
            self.containers[index].stop(now, grace, pre_stop);
        }
    }

    /// Whether the sidecar has to wait for the ones after it to end.
    pub(super) fn is_waiting_sidecar(&self, index: usize) -> bool {
        let init = self.spec.init_containers.len();
        self.container(index).sidecar
            && (index + 1..init)
                .any(|later| self.container(later).sidecar && !self.containers[later].has_ended())
    }

    /// Brings the pod to where its containers are: next starts, sidecars, the end, conditions.
    pub(super) fn settle(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.deletion.is_none()
            && self.sidecars_stop.is_none()
            && let Some(index) = self.next_to_start()
        {
            self.containers[index].state = State::Pulling { until: None };
            actions.push(Action::Pull { container: index });
        }
        self.settle_sidecars(now, actions);
        self.settle_end(now, actions);
        self.settle_conditions(now, actions);
    }

    pub(super) fn work_is_over(&self) -> bool {
        let init = self.spec.init_containers.len();
        let failed_init = self.containers[..init].iter().enumerate().any(|(index, container)| {
            !self.container(index).sidecar && container.has_ended() && !container.succeeded()
        });
        let works = |(index, container): (usize, &Container)| {
            !self.container(index).sidecar && !container.has_ended()
        };
        if failed_init && self.deletion.is_none() {
            return true;
        }
        !self.containers.iter().enumerate().any(works)
    }

    /// Sidecars are told to stop when the work is over, the last one first.
    ///
    /// Source: Kubernetes 1.35.4, `kuberuntime_termination_order.go`, `newTerminationOrdering`.
    pub(super) fn settle_sidecars(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.work_is_over() || self.end.is_some() {
            return;
        }
        let stop = *self
            .sidecars_stop
            .get_or_insert(self.deletion.unwrap_or(Deletion { at: now, grace: self.spec.grace }));
        let left = (stop.at + stop.grace).since(now);
        for index in (0..self.containers.len()).rev() {
            let container = &self.containers[index];
            let told = container.running().is_some_and(|running| running.stop.is_some());
            if container.has_ended() || told || self.is_waiting_sidecar(index) {
                continue;
            }
            self.stop(now, index, left);
            while let Some(want) = self.containers[index].advance(now) {
                self.fulfil(now, index, want, actions);
            }
        }
    }

    pub(super) fn settle_end(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.end.is_some()
            || self.sidecars_stop.is_none()
            || !self.containers.iter().all(Container::has_ended)
        {
            return;
        }
        let init = self.spec.init_containers.len();
        let was_initialized = self.conditions[ConditionKind::Initialized as usize].0;
        if self.deletion.is_some() && was_initialized {
            self.containers[init..].iter_mut().for_each(|container| container.never_started(now));
        }
        let succeeded = self.containers[init..].iter().all(Container::succeeded);
        let phase = if succeeded { Phase::Succeeded } else { Phase::Failed };
        let finish_at = self.deletion.map(|_| now + TEAR_DOWN);
        self.end = Some(End { phase, finish_at });
        actions.push(Action::Publish);
    }
}
