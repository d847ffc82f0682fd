//! A pod's containers: their turn, their program, their end.

use std::sync::Arc;

use model::Instant;

use super::{Action, LONGEST_RESTART, Pod, Sight, spec_of};
use crate::container::{State, Want};
use crate::entrypoint;
use crate::process::Program;
use crate::spec::RestartPolicy;

impl Pod {
    pub(super) fn fulfil(&mut self, now: Instant, index: usize, want: Want, actions: &mut Vec<Action>) {
        match want {
            Want::Pull => actions.push(Action::Pull { container: index }),
            Want::Configure => actions.push(Action::Configure { container: index }),
            Want::Start(program) => {
                let init = index < self.spec.init_containers.len();
                let spec = Arc::clone(&self.spec);
                let container = &mut self.containers[index];
                let action = container.start(now, program, spec_of(&spec, index), init);
                let restarts = container.restarts();
                actions.push(Action::Saw { container: index, sight: Sight::Started { restarts } });
                actions.push(Action::Publish);
                self.carry_out(now, index, action, actions);
            }
            Want::Do(action) => self.carry_out(now, index, Some(action), actions),
            Want::Term => {
                actions.push(Action::Saw { container: index, sight: Sight::Term });
                let action = self.containers[index]
                    .running_mut()
                    .and_then(|running| running.process.handle(now, entrypoint::Input::Term));
                self.carry_out(now, index, action, actions);
            }
            Want::Kill => self.kill(now, index, actions),
        }
    }

    pub(super) fn carry_out(
        &mut self,
        now: Instant,
        index: usize,
        action: Option<entrypoint::Action>,
        actions: &mut Vec<Action>,
    ) {
        match action {
            Some(entrypoint::Action::Exit(code)) => {
                self.containers[index].exited(now, code);
                self.ended(now, index, code, actions);
                return;
            }
            Some(action) => {
                let start = self.containers[index].starts;
                actions.push(Action::Entrypoint { container: index, start, action });
            }
            None => {}
        }
        let spec = Arc::clone(&self.spec);
        if let Some(running) = self.containers[index].running_mut() {
            running.watch_readiness(now, spec_of(&spec, index));
        }
    }

    pub(super) fn kill(&mut self, now: Instant, index: usize, actions: &mut Vec<Action>) {
        actions.push(Action::Saw { container: index, sight: Sight::Kill });
        let code = self.containers[index].killed(now);
        self.ended(now, index, code, actions);
    }

    /// A container's first process is gone: the others go too, and perhaps it is started again.
    pub(super) fn ended(&mut self, now: Instant, index: usize, code: i32, actions: &mut Vec<Action>) {
        actions.push(Action::Vanish { container: index });
        actions.push(Action::Saw { container: index, sight: Sight::Exited { code } });
        actions.push(Action::Publish);
        if self.is_started_again(index, code) {
            let container = &mut self.containers[index];
            let until = container.back_off.restart_at(now, &mut self.random);
            container.state = State::BackOff { until };
            container.crash_loops = until > now;
            if until > now {
                actions.push(Action::Saw { container: index, sight: Sight::BackOff { until } });
            }
        }
    }

    pub(super) fn is_started_again(&self, index: usize, code: i32) -> bool {
        let policy = self.spec.restart_policy;
        if self.deletion.is_some() || self.end.is_some() {
            false
        } else if self.container(index).sidecar {
            self.sidecars_stop.is_none()
        } else if index < self.spec.init_containers.len() {
            // An init container that fails is started again unless the pod never restarts anything.
            code != 0 && policy != RestartPolicy::Never
        } else {
            policy.restarts(code)
        }
    }

    pub(super) fn configured(&mut self, now: Instant, index: usize, program: Program) {
        if !matches!(self.containers[index].state, State::Configuring) {
            return;
        }
        let drawn = self.settings.container_start.draw(&mut self.random);
        let span = if self.containers[index].starts > 0 { drawn.min(LONGEST_RESTART) } else { drawn };
        let program = match program {
            Program::Entrypoint(settings) => Program::Entrypoint(entrypoint::Settings {
                first_process: !self.spec.share_process_namespace,
                ..settings
            }),
            Program::Plain => Program::Plain,
        };
        self.containers[index].state = State::Starting { until: now + span, program };
    }

    /// Containers are started one after the other, init containers first.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, `SyncPod`, and
    /// `kuberuntime_container.go`, `computeInitContainerActions`.
    pub(super) fn next_to_start(&self) -> Option<usize> {
        let init = self.spec.init_containers.len();
        for (index, container) in self.containers.iter().enumerate() {
            if matches!(container.state, State::Waiting) {
                return Some(index);
            }
            let holds_up_the_rest = if index >= init {
                container.is_being_started()
            } else if self.container(index).sidecar {
                container.starts == 0
            } else {
                !container.succeeded()
            };
            if holds_up_the_rest {
                return None;
            }
        }
        None
    }
}
