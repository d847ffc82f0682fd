//! One case after the other, and the bench that plays them.

use std::sync::Arc;

use model::stream::stream;
use model::{Instant, Millis, MillisRange};

use crate::entrypoint::{self, Package, Script};
use crate::spec::{ContainerSpec, PodSpec, ReadinessProbe, RestartPolicy};
use crate::status::{ConditionKind, ContainerState, Phase};
use crate::{Action, Input, Pod, Program, Settings, Sight};

/// A pod whose images take 20 s and whose containers take 2 s to start.
pub(super) struct Bench {
    pub(super) pod: Pod,
    pub(super) now: Instant,
    pub(super) program: Program,
    /// What it wanted, with its time, publishing aside.
    pub(super) wanted: Vec<(Instant, Action)>,
    pub(super) finished: Option<Instant>,
}

pub(super) fn container(name: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: "agent".to_owned(),
        sidecar: false,
        pre_stop: None,
        readiness: None,
    }
}

pub(super) fn spec(restart_policy: RestartPolicy) -> PodSpec {
    PodSpec {
        restart_policy,
        grace: Millis::seconds(30),
        share_process_namespace: false,
        init_containers: vec![],
        containers: vec![container("agent")],
    }
}

pub(super) fn script() -> Program {
    Program::Entrypoint(entrypoint::Settings {
        script: Script::RunDocker,
        once: true,
        template: false,
        complete: true,
        first_process: false,
        start_up: Millis::seconds(10),
    })
}

impl Bench {
    pub(super) fn new(spec: PodSpec, program: Program, seed: u64) -> Self {
        let settings = Settings { container_start: MillisRange::exactly(Millis::seconds(2)) };
        let (pod, actions) = Pod::new(Instant(0), Arc::new(spec), settings, stream(seed, "test"));
        let mut bench = Self { pod, now: Instant(0), program, wanted: vec![], finished: None };
        bench.carry_out(actions);
        bench
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            let answer = match &action {
                Action::Publish => continue,
                Action::Pull { container } => {
                    Some(Input::Image { container: *container, at: self.now.max(Instant(20_000)) })
                }
                Action::Configure { container } => {
                    Some(Input::Program { container: *container, program: self.program })
                }
                Action::Entrypoint { container, start, action } => match action {
                    entrypoint::Action::LookUpPackage => Some(entrypoint::Input::Package(Package::Found)),
                    entrypoint::Action::Configure => Some(entrypoint::Input::Configured),
                    entrypoint::Action::RunAgent { .. } => Some(entrypoint::Input::Listening),
                    entrypoint::Action::Remove | entrypoint::Action::Exit(_) => None,
                }
                .map(|input| Input::Entrypoint { container: *container, start: *start, input }),
                Action::Finish => {
                    self.finished = Some(self.now);
                    None
                }
                Action::Vanish { .. } | Action::Saw { .. } => None,
            };
            self.wanted.push((self.now, action));
            if let Some(answer) = answer {
                self.told(answer);
            }
        }
    }

    pub(super) fn told(&mut self, input: Input) {
        let actions = self.pod.handle(self.now, input);
        self.carry_out(actions);
    }

    pub(super) fn entrypoint(&mut self, input: entrypoint::Input) {
        let start = self.pod.containers[0].starts;
        self.told(Input::Entrypoint { container: 0, start, input });
    }

    /// Lets time pass until `instant`.
    pub(super) fn until(&mut self, instant: Instant) {
        while let Some(deadline) = self.pod.next_deadline().filter(|deadline| *deadline <= instant) {
            self.now = self.now.max(deadline);
            let actions = self.pod.advance(self.now);
            self.carry_out(actions);
        }
        self.now = self.now.max(instant);
    }

    pub(super) fn seconds(&mut self, seconds: u64) {
        self.until(self.now + Millis::seconds(seconds));
    }

    fn sights(&self) -> Vec<(u64, Sight)> {
        let sight = |(at, action): &(Instant, Action)| match action {
            Action::Saw { sight, .. } => Some((at.0 / 1000, *sight)),
            _ => None,
        };
        self.wanted.iter().filter_map(sight).collect()
    }

    fn state(&self, index: usize) -> ContainerState {
        self.pod.status().containers[index].state.clone()
    }

    fn holds(&self, kind: ConditionKind) -> bool {
        self.pod.status().conditions.iter().any(|condition| condition.kind == kind && condition.holds)
    }
}

#[test]
fn a_pod_is_pending_until_its_container_runs() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), Program::Plain, 1);
    bench.until(Instant(21_999));
    assert_eq!(bench.pod.phase(), Phase::Pending);
    let waiting = ContainerState::Waiting { reason: "ContainerCreating", message: String::new() };
    assert_eq!(bench.state(0), waiting);
    assert!(bench.holds(ConditionKind::Initialized) && !bench.holds(ConditionKind::Ready));
    bench.until(Instant(22_000));
    assert_eq!(bench.pod.phase(), Phase::Running);
    assert!(bench.pod.status().is_ready() && bench.holds(ConditionKind::ContainersReady));
    assert_eq!(bench.state(0), ContainerState::Running { since: Instant(22_000) });
}

#[test]
fn a_plain_container_ends_on_term() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), Program::Plain, 1);
    bench.seconds(30);
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    assert_eq!(bench.pod.phase(), Phase::Failed, "143 is no success");
    bench.seconds(10);
    let expected =
        [(22, Sight::Started { restarts: 0 }), (30, Sight::Term), (30, Sight::Exited { code: 143 })];
    assert_eq!(bench.sights(), expected);
    assert_eq!(bench.finished, Some(Instant(30_500)));
}

#[test]
fn an_idle_agent_leaves_a_succeeded_pod() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    assert!(bench.pod.status().is_ready(), "a terminating pod is ready until its container ends");
    bench.entrypoint(entrypoint::Input::Removed);
    assert_eq!(bench.pod.phase(), Phase::Succeeded);
    let last = bench.sights().last().copied();
    assert_eq!(last, Some((60, Sight::Exited { code: 0 })));
}

#[test]
fn a_busy_agent_is_killed_when_the_grace_is_over() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    bench.entrypoint(entrypoint::Input::RemoveFailed);
    bench.seconds(60);
    let expected = [
        (22, Sight::Started { restarts: 0 }),
        (60, Sight::Term),
        (90, Sight::Kill),
        (90, Sight::Exited { code: 137 }),
    ];
    assert_eq!(bench.sights(), expected);
    assert_eq!((bench.pod.phase(), bench.finished), (Phase::Failed, Some(Instant(90_500))));
}

#[test]
fn a_deletion_before_the_traps_waits_out_the_grace() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(24);
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    bench.seconds(60);
    assert!(bench.sights().contains(&(54, Sight::Kill)), "{:?}", bench.sights());
    let ran = bench.wanted.iter().any(|(_, action)| {
        matches!(action, Action::Entrypoint { action: entrypoint::Action::RunAgent { .. }, .. })
    });
    assert!(ran, "the agent comes up all the same");
}

#[test]
fn the_hook_is_part_of_the_grace_but_two_seconds_always_remain() {
    for (hook, grace, term, kill) in [(10, 30, 70, 90), (29, 30, 89, 91), (60, 30, 90, 92), (0, 0, 60, 62)] {
        let mut spec = spec(RestartPolicy::Always);
        spec.containers[0].pre_stop = Some(Millis::seconds(hook));
        let mut bench = Bench::new(spec, script(), 1);
        bench.seconds(60);
        bench.told(Input::Deleted { grace: Millis::seconds(grace) });
        bench.seconds(8);
        bench.entrypoint(entrypoint::Input::RemoveFailed);
        bench.seconds(120);
        let signals: Vec<_> = bench
            .sights()
            .into_iter()
            .filter(|(_, sight)| matches!(sight, Sight::Term | Sight::Kill))
            .collect();
        assert_eq!(signals, [(term, Sight::Term), (kill, Sight::Kill)], "hook {hook} s, grace {grace} s");
    }
}

#[test]
fn a_second_deletion_can_only_shorten_the_grace() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Deleted { grace: Millis::seconds(3600) });
    bench.seconds(10);
    bench.told(Input::Deleted { grace: Millis::seconds(7200) });
    bench.told(Input::Deleted { grace: Millis::seconds(5) });
    bench.seconds(60);
    assert!(bench.sights().contains(&(75, Sight::Kill)), "{:?}", bench.sights());
}

#[test]
fn a_pod_whose_object_is_gone_is_torn_down_without_grace() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Gone);
    bench.seconds(60);
    assert!(bench.sights().contains(&(62, Sight::Kill)), "{:?}", bench.sights());
}

#[test]
fn a_pod_deleted_before_it_runs_fails_at_once() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), Program::Plain, 1);
    bench.seconds(10);
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    assert_eq!(bench.pod.phase(), Phase::Failed);
    assert!(
        matches!(bench.state(0), ContainerState::Terminated(last) if last.reason() == "ContainerStatusUnknown")
    );
    bench.seconds(20);
    assert_eq!(bench.finished, Some(Instant(10_500)));
    assert_eq!(bench.sights(), [], "nothing was ever started");
}

#[test]
fn an_agent_that_ends_is_started_again_with_back_off() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    let mut exits = Vec::new();
    for _ in 0..4 {
        while !bench.pod.containers[0].running().is_some_and(|running| running.process.listens()) {
            bench.seconds(1);
        }
        bench.seconds(5);
        exits.push(bench.now);
        bench.entrypoint(entrypoint::Input::AgentExited(0));
        bench.entrypoint(entrypoint::Input::Removed);
        assert_eq!(bench.pod.phase(), Phase::Running, "a pod that restarts keeps its phase");
        assert!(!bench.pod.status().is_ready());
    }
    assert!(matches!(bench.state(0), ContainerState::Waiting { reason: "CrashLoopBackOff", .. }));
    bench.seconds(100);
    let started = |restarts| {
        let wanted = Sight::Started { restarts };
        bench.sights().into_iter().find(|(_, sight)| *sight == wanted).expect("it is started again").0
    };
    for (restart, delay) in [(1, 0), (2, 10), (3, 20), (4, 40)] {
        let waited = started(restart) - exits[restart as usize - 1].0 / 1000;
        assert!((delay..=delay * 3 / 2 + 2).contains(&waited), "restart {restart} after {waited} s");
    }
    assert_eq!(bench.pod.status().containers[0].restarts, 4);
}

#[test]
fn a_job_pod_succeeds_or_fails_by_its_exit_code() {
    for (policy, code, phase) in [
        (RestartPolicy::Never, 0, Phase::Succeeded),
        (RestartPolicy::OnFailure, 0, Phase::Succeeded),
        (RestartPolicy::Never, 1, Phase::Failed),
        (RestartPolicy::OnFailure, 1, Phase::Running),
    ] {
        let Program::Entrypoint(settings) = script() else { unreachable!("a script") };
        let template = Program::Entrypoint(entrypoint::Settings { template: true, ..settings });
        let mut bench = Bench::new(spec(policy), template, 1);
        bench.seconds(60);
        bench.entrypoint(entrypoint::Input::AgentExited(code));
        assert_eq!(bench.pod.phase(), phase, "{policy:?}, exit code {code}");
        bench.seconds(60);
        assert_eq!(bench.finished, None, "nobody deleted it");
    }
}

#[test]
fn an_ended_pod_that_is_deleted_only_loses_its_object() {
    let mut bench = Bench::new(spec(RestartPolicy::Never), script(), 1);
    bench.seconds(60);
    bench.entrypoint(entrypoint::Input::AgentExited(0));
    bench.entrypoint(entrypoint::Input::Removed);
    bench.told(Input::Deleted { grace: Millis::ZERO });
    assert_eq!(bench.finished, Some(bench.now));
}

#[test]
fn a_missing_reference_is_tried_again() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), Program::Plain, 1);
    bench.pod.containers[0].state = super::super::State::Configuring;
    bench.told(Input::ConfigurationError { container: 0, message: "secret \"azdevops\" not found".into() });
    assert!(matches!(bench.state(0), ContainerState::Waiting { reason: "CreateContainerConfigError", .. }));
    bench.until(Instant(9_999));
    assert_eq!(bench.pod.phase(), Phase::Pending);
    bench.until(Instant(17_001));
    assert_eq!(bench.pod.phase(), Phase::Running);
}

#[test]
fn a_probe_that_asks_the_agent_waits_for_it() {
    let probe =
        ReadinessProbe { asks_the_agent: true, initial_delay: Millis::seconds(5), ..Default::default() };
    let mut with_probe = spec(RestartPolicy::Always);
    with_probe.containers[0].readiness = Some(probe);
    let mut bench = Bench::new(with_probe.clone(), script(), 1);
    // Started at 22 s, listening at 32 s; asked at 27 s, 37 s and so on.
    bench.until(Instant(36_999));
    assert!(bench.pod.phase() == Phase::Running && !bench.pod.status().is_ready());
    bench.until(Instant(37_000));
    assert!(bench.pod.status().is_ready());
    with_probe.containers[0].readiness = Some(ReadinessProbe { asks_the_agent: false, ..probe });
    let mut bench = Bench::new(with_probe, script(), 1);
    bench.until(Instant(27_000));
    assert!(bench.pod.status().is_ready());
}

#[test]
fn an_agent_that_is_gone_makes_its_pod_unready_after_three_probes() {
    let mut with_probe = spec(RestartPolicy::Always);
    with_probe.containers[0].readiness = Some(ReadinessProbe { asks_the_agent: true, ..Default::default() });
    let mut bench = Bench::new(with_probe, script(), 1);
    bench.until(Instant(60_000));
    bench.entrypoint(entrypoint::Input::AgentExited(0));
    bench.until(Instant(81_999));
    assert!(bench.pod.status().is_ready());
    bench.until(Instant(82_000));
    assert!(!bench.pod.status().is_ready());
}

#[test]
fn init_containers_come_first_and_sidecars_stay() {
    let mut spec = spec(RestartPolicy::Always);
    spec.init_containers = vec![ContainerSpec { sidecar: true, ..container("proxy") }, container("prepare")];
    spec.containers.push(container("second"));
    let mut bench = Bench::new(spec, Program::Plain, 1);
    bench.until(Instant(24_500));
    assert!(!bench.holds(ConditionKind::Initialized));
    assert!(matches!(bench.state(0), ContainerState::Waiting { reason: "PodInitializing", .. }));
    bench.until(Instant(40_000));
    assert_eq!(bench.pod.phase(), Phase::Running);
    assert!(bench.pod.status().is_ready());
    let started: Vec<_> = bench.sights().iter().map(|(at, _)| *at).collect();
    assert_eq!(started, [22, 24, 25, 27, 29], "proxy, prepare, its end after 1 s, agent, second");
    bench.told(Input::Deleted { grace: Millis::seconds(30) });
    bench.seconds(5);
    let ended: Vec<usize> = bench
        .wanted
        .iter()
        .filter_map(|(_, action)| match action {
            Action::Saw { container, sight: Sight::Exited { code: 143 } } => Some(*container),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [2, 3, 0], "the sidecar is the last");
    assert!(bench.finished.is_some());
}

#[test]
fn a_killed_container_is_started_again_under_the_same_pod() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Killed { container: 0 });
    bench.seconds(3);
    assert_eq!(bench.pod.phase(), Phase::Running);
    assert_eq!(bench.pod.status().containers[0].restarts, 1);
    let vanished =
        bench.wanted.iter().filter(|(_, action)| *action == Action::Vanish { container: 0 }).count();
    assert_eq!(vanished, 1);
}

#[test]
fn news_of_an_earlier_start_is_ignored() {
    let mut bench = Bench::new(spec(RestartPolicy::Always), script(), 1);
    bench.seconds(60);
    bench.told(Input::Killed { container: 0 });
    bench.seconds(20);
    let before = bench.wanted.len();
    bench.told(Input::Entrypoint { container: 0, start: 1, input: entrypoint::Input::AgentExited(1) });
    assert_eq!(bench.wanted.len(), before);
    bench.entrypoint(entrypoint::Input::AgentExited(1));
    assert!(bench.wanted.len() > before);
}
