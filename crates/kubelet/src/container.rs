//! One container of a pod: its turn, its image, its process, its end.

use model::{Instant, Millis};
use rand_chacha::ChaCha8Rng;

use crate::back_off::{BackOff, jittered};
use crate::entrypoint;
use crate::process::{Process, Program};
use crate::spec::ContainerSpec;
use crate::status::{ContainerState, ContainerStatus, Termination};

/// From SIGTERM to SIGKILL at the least.
/// Source: Kubernetes 1.35.4, `pkg/kubelet/kuberuntime/kuberuntime_container.go`, `minimumGracePeriodInSeconds`.
pub const LEAST_GRACE: Millis = Millis::seconds(2);
/// From an error while starting a container to the next try, prolonged by up to half.
/// Source: as above, `pkg/kubelet/kubelet.go`, `backOffPeriod`; `pod_workers.go`, `completeWork`.
pub const RETRY_CONFIGURATION: Millis = Millis::seconds(10);
/// Exit code after SIGKILL: 128 + 9.
const KILLED: i32 = 137;

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) state: State,
    /// How it ended last.
    pub(crate) last: Option<Termination>,
    /// How often it was started.
    pub(crate) starts: u32,
    /// Whether it waits, or waited until it is started again, in CrashLoopBackOff.
    pub(crate) crash_loops: bool,
    pub(crate) back_off: BackOff,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Its turn has not come.
    Waiting,
    /// Its image is asked for; when it is there is known once the node has said so.
    Pulling { until: Option<Instant> },
    /// Its environment is being resolved.
    Configuring,
    /// Its environment cannot be resolved.
    Refused { retry: Instant, message: Box<str> },
    /// It is being created.
    Starting { until: Instant, program: Program },
    /// It runs.
    Running(Box<Running>),
    /// It ended and will be started again.
    BackOff { until: Instant },
    /// It ended, or will never be started.
    Ended,
}

#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) since: Instant,
    pub(crate) process: Process,
    pub(crate) stop: Option<Stop>,
    pub(crate) ready: bool,
    /// The probe whose answer changes `ready`.
    pub(crate) probe_at: Option<Instant>,
}

/// A container on its way out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stop {
    began: Instant,
    grace: Millis,
    /// When the pre-stop hook is done, until SIGTERM was sent.
    hook_until: Option<Instant>,
    /// When SIGKILL follows, once SIGTERM was sent.
    kill_at: Option<Instant>,
    termed: Instant,
}

/// What a container wants its pod to do.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    /// The environment, to go on.
    Configure,
    /// Carry this out.
    Do(entrypoint::Action),
    /// The program is to be started.
    Start(Program),
    /// SIGTERM was due.
    Term,
    /// SIGKILL was due.
    Kill,
    /// Ask for the image again: the back-off is over.
    Pull,
}

impl Container {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Waiting,
            last: None,
            starts: 0,
            crash_loops: false,
            back_off: BackOff::default(),
        }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        if let State::Running(running) = &self.state { Some(running) } else { None }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        if let State::Running(running) = &mut self.state { Some(running) } else { None }
    }

    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Whether it ended with 0 and stays that way.
    pub(crate) fn succeeded(&self) -> bool {
        self.has_ended() && self.last.is_some_and(|last| last.code == 0)
    }

    /// Whether it is between its turn and its first instruction.
    pub(crate) fn is_being_started(&self) -> bool {
        matches!(self.state, State::Pulling { .. } | State::Configuring | State::Starting { .. })
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting | State::Configuring | State::Ended => None,
            State::Pulling { until } => *until,
            State::Refused { retry: until, .. }
            | State::Starting { until, .. }
            | State::BackOff { until } => Some(*until),
            State::Running(running) => running.next_deadline(),
        }
    }

    /// The one thing that is due at `now`, if something is. Call it until nothing is.
    pub(crate) fn advance(&mut self, now: Instant) -> Option<Want> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        match &mut self.state {
            State::Waiting | State::Configuring | State::Ended => None,
            State::Pulling { .. } | State::Refused { .. } => {
                self.state = State::Configuring;
                Some(Want::Configure)
            }
            State::Starting { program, .. } => Some(Want::Start(*program)),
            State::BackOff { .. } => {
                let exit = self.last.map_or(now, |last| last.finished);
                self.back_off.restarted(now, exit);
                self.state = State::Pulling { until: None };
                Some(Want::Pull)
            }
            State::Running(running) => running.advance(now),
        }
    }

    pub(crate) fn refuse(&mut self, now: Instant, message: Box<str>, random: &mut ChaCha8Rng) {
        self.state = State::Refused { retry: now + jittered(RETRY_CONFIGURATION, random), message };
    }

    pub(crate) fn start(
        &mut self,
        now: Instant,
        program: Program,
        spec: &ContainerSpec,
        init: bool,
    ) -> Option<entrypoint::Action> {
        let (process, action) = Process::start(now, program, init && !spec.sidecar);
        self.starts += 1;
        self.crash_loops = false;
        let mut running =
            Running { since: now, process, stop: None, ready: spec.readiness.is_none(), probe_at: None };
        running.watch_readiness(now, spec);
        self.state = State::Running(Box::new(running));
        action
    }

    /// The first process is gone, and with it every other.
    pub(crate) fn exited(&mut self, now: Instant, code: i32) {
        let started = self.running().map(|running| running.since);
        self.last = Some(Termination { code, started, finished: now });
        self.state = State::Ended;
    }

    pub(crate) fn killed(&mut self, now: Instant) -> i32 {
        self.exited(now, KILLED);
        KILLED
    }

    /// It is to end, `grace` from now at the latest. What does not run yet never will.
    pub(crate) fn stop(&mut self, now: Instant, grace: Millis, pre_stop: Option<Millis>) {
        if let State::Running(running) = &mut self.state {
            running.stop(now, grace, pre_stop);
        } else {
            self.state = State::Ended;
        }
    }

    /// A pod that ends reports every container as ended, even one that was never seen.
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/status/status_manager.go`, `TerminatePod`.
    pub(crate) fn never_started(&mut self, now: Instant) {
        if self.last.is_none() {
            self.last = Some(Termination { code: KILLED, started: None, finished: now });
        }
    }

    pub(crate) fn status(&self, waits_for_init: bool) -> ContainerStatus {
        let waiting = |reason, message: &str| ContainerState::Waiting { reason, message: message.to_owned() };
        let state = match (&self.state, self.last) {
            (State::Running(running), _) => ContainerState::Running { since: running.since },
            (State::Refused { message, .. }, _) => waiting("CreateContainerConfigError", message),
            (State::Ended, Some(last)) => ContainerState::Terminated(last),
            // Until it is started again, it waits or shows how it ended.
            // Source: Kubernetes 1.35.4, `kubelet_pods.go`, `convertToAPIContainerStatuses`, the reason cache.
            (_, Some(_)) if self.crash_loops => waiting("CrashLoopBackOff", &self.back_off_message()),
            (_, Some(last)) => ContainerState::Terminated(last),
            _ if waits_for_init => waiting("PodInitializing", ""),
            _ => waiting("ContainerCreating", ""),
        };
        let ended = matches!(state, ContainerState::Terminated(_));
        let running = self.running();
        ContainerStatus {
            state,
            last: if ended { None } else { self.last },
            ready: running.is_some_and(|running| running.ready),
            started: running.is_some(),
            restarts: self.restarts(),
        }
    }

    fn back_off_message(&self) -> String {
        let exit = self.last.map_or(Instant::START, |last| last.finished);
        format!("back-off {} restarting failed container", self.back_off.delay_after(exit))
    }
}

impl Running {
    fn next_deadline(&self) -> Option<Instant> {
        let stop = self.stop.and_then(|stop| stop.hook_until.or(stop.kill_at));
        [self.process.next_deadline(), stop, self.probe_at].into_iter().flatten().min()
    }

    fn advance(&mut self, now: Instant) -> Option<Want> {
        if let Some(stop) = &mut self.stop {
            if stop.hook_until.is_some_and(|until| until <= now) {
                stop.term(now);
                return Some(Want::Term);
            }
            if stop.kill_at.is_some_and(|at| at <= now) {
                return Some(Want::Kill);
            }
        }
        if self.probe_at.is_some_and(|at| at <= now) {
            self.ready = !self.ready;
            self.probe_at = None;
        }
        // Deadlines of the process that call for no action change its state only; come back until none is due.
        while self.process.next_deadline().is_some_and(|deadline| deadline <= now) {
            if let Some(action) = self.process.advance(now) {
                return Some(Want::Do(action));
            }
        }
        None
    }

    fn stop(&mut self, now: Instant, grace: Millis, pre_stop: Option<Millis>) {
        // No matter what, a grace period of a second. Source: Kubernetes 1.35.4,
        // `pkg/kubelet/pod_workers.go`, `calculateEffectiveGracePeriod`.
        let grace = grace.max(Millis::seconds(1));
        match &mut self.stop {
            None => {
                let hook = pre_stop.unwrap_or(Millis::ZERO).min(grace);
                let hook_until = Some(now + hook);
                self.stop = Some(Stop { began: now, grace, hook_until, kill_at: None, termed: now });
            }
            Some(stop) => stop.shorten(now + grace),
        }
    }

    /// Plans the probe that will change whether the container is ready.
    pub(crate) fn watch_readiness(&mut self, now: Instant, spec: &ContainerSpec) {
        let Some(probe) = spec.readiness else { return };
        let answers = !probe.asks_the_agent || self.process.listens();
        if answers == self.ready {
            self.probe_at = None;
        } else if self.probe_at.is_none() {
            let threshold = if answers { probe.success_threshold } else { probe.failure_threshold };
            let period = probe.period.0.max(1);
            let first = self.since + probe.initial_delay;
            let missed = now.since(first).0.div_ceil(period);
            let probes = missed + u64::from(threshold.saturating_sub(1));
            self.probe_at = Some(first + Millis(probes.saturating_mul(period)));
        }
    }
}

impl Stop {
    /// What the hook took, in whole seconds, is taken off the grace; never less than two seconds remain.
    /// Source: Kubernetes 1.35.4, `kuberuntime_container.go`, `killContainer`, `executePreStopHook`.
    fn term(&mut self, now: Instant) {
        let hook = Millis(now.since(self.began).0 / 1000 * 1000);
        self.hook_until = None;
        self.termed = now;
        self.kill_at = Some(now + (self.grace - hook).max(LEAST_GRACE));
    }

    /// A second deletion with less grace: a grace period can only decrease.
    fn shorten(&mut self, limit: Instant) {
        self.hook_until = self.hook_until.map(|until| until.min(limit));
        self.grace = self.grace.min(limit.since(self.began));
        self.kill_at = self.kill_at.map(|at| at.min(limit.max(self.termed + LEAST_GRACE)));
    }
}
