//! Whatever happens, in whatever order.

use std::collections::BTreeMap;

use model::{Instant, Millis};
use proptest::prelude::*;

use super::life::{Bench, container, script, spec};
use crate::entrypoint;
use crate::spec::{ContainerSpec, PodSpec, RestartPolicy};
use crate::status::Phase;
use crate::{Action, Input, Pod, Program, Sight, TEAR_DOWN};

#[derive(Debug, Clone)]
enum Step {
    Seconds(u64),
    Tell(Input),
    /// News of the container's current start.
    News(usize, entrypoint::Input),
}

fn any_news() -> impl Strategy<Value = entrypoint::Input> {
    prop_oneof![
        Just(entrypoint::Input::Configured),
        (0..4).prop_map(entrypoint::Input::ConfigureFailed),
        Just(entrypoint::Input::Listening),
        (0..4).prop_map(entrypoint::Input::AgentExited),
        Just(entrypoint::Input::Removed),
        Just(entrypoint::Input::RemoveFailed),
        Just(entrypoint::Input::Term),
    ]
}

fn any_step(containers: usize) -> impl Strategy<Value = Step> {
    let index = 0..containers;
    prop_oneof![
        4 => (0_u64..200).prop_map(Step::Seconds),
        6 => (index.clone(), any_news()).prop_map(|(container, news)| Step::News(container, news)),
        1 => index.clone().prop_map(|container| Step::Tell(Input::Killed { container })),
        1 => (index.clone(), 0_u64..100_000)
            .prop_map(|(container, at)| Step::Tell(Input::Image { container, at: Instant(at) })),
        1 => index.clone().prop_map(|container| Step::Tell(Input::Program { container, program: script() })),
        1 => index.prop_map(|container| Step::Tell(Input::ConfigurationError { container, message: "no".into() })),
        1 => (0_u64..100).prop_map(|grace| Step::Tell(Input::Deleted { grace: Millis::seconds(grace) })),
    ]
}

fn any_spec() -> impl Strategy<Value = PodSpec> {
    let policy =
        prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)];
    let hook = proptest::option::of(0_u64..90);
    (policy, 1_usize..3, proptest::collection::vec(any::<bool>(), 0..3), hook, any::<bool>()).prop_map(
        |(policy, containers, init, hook, share)| PodSpec {
            share_process_namespace: share,
            init_containers: init
                .into_iter()
                .map(|sidecar| ContainerSpec { sidecar, ..container("before") })
                .collect(),
            containers: (0..containers)
                .map(|_| ContainerSpec { pre_stop: hook.map(Millis::seconds), ..container("agent") })
                .collect(),
            ..spec(policy)
        },
    )
}

fn play(spec: PodSpec, program: Program, seed: u64, steps: Vec<Step>) -> (Bench, Vec<Phase>) {
    let mut bench = Bench::new(spec, program, seed);
    let mut phases = vec![bench.pod.phase()];
    for step in steps {
        match step {
            Step::Seconds(seconds) => bench.seconds(seconds),
            Step::Tell(input) => bench.told(in_range(&bench.pod, input)),
            Step::News(container, input) => {
                let container = container % bench.pod.containers.len();
                let start = bench.pod.containers[container].starts;
                bench.told(Input::Entrypoint { container, start, input });
            }
        }
        phases.push(bench.pod.phase());
    }
    (bench, phases)
}

fn in_range(pod: &Pod, input: Input) -> Input {
    let count = pod.containers.len();
    match input {
        Input::Killed { container } => Input::Killed { container: container % count },
        Input::Image { container, at } => Input::Image { container: container % count, at },
        Input::Program { container, program } => Input::Program { container: container % count, program },
        Input::ConfigurationError { container, message } => {
            Input::ConfigurationError { container: container % count, message }
        }
        other => other,
    }
}

fn any_program() -> impl Strategy<Value = Program> {
    prop_oneof![Just(Program::Plain), Just(script())]
}

proptest! {
    #[test]
    fn a_deleted_pod_ends_within_its_grace_and_a_bound(
        spec in any_spec(),
        program in any_program(),
        seed: u64,
        steps in proptest::collection::vec(any_step(5), 0..40),
        grace in 0_u64..100,
    ) {
        // Two seconds at the least for the containers, and for each sidecar after them.
        let bound = Millis::seconds(grace.max(1) + 3 * (1 + spec.init_containers.len() as u64)) + TEAR_DOWN;
        let (mut bench, _) = play(spec, program, seed, steps);
        bench.told(Input::Deleted { grace: Millis::seconds(grace) });
        let deleted = bench.now;
        bench.until(deleted + bound);
        prop_assert!(bench.finished.is_some(), "{:?} at {}", bench.pod, bench.now);
        prop_assert!(bench.pod.phase().is_terminal());
        prop_assert_eq!(bench.pod.next_deadline(), None);
    }

    #[test]
    fn phases_only_move_forward(
        spec in any_spec(),
        program in any_program(),
        seed: u64,
        steps in proptest::collection::vec(any_step(5), 0..60),
    ) {
        let (_, phases) = play(spec, program, seed, steps);
        prop_assert!(phases.is_sorted(), "{phases:?}");
        let ends = phases.iter().filter(|phase| phase.is_terminal()).collect::<std::collections::BTreeSet<_>>();
        prop_assert!(ends.len() <= 1, "{phases:?}");
    }

    #[test]
    fn a_container_never_has_two_processes_and_keeps_its_back_off(
        spec in any_spec(),
        program in any_program(),
        seed: u64,
        steps in proptest::collection::vec(any_step(5), 0..60),
    ) {
        let (bench, _) = play(spec, program, seed, steps);
        let mut running: BTreeMap<usize, bool> = BTreeMap::new();
        let mut exited: BTreeMap<usize, Instant> = BTreeMap::new();
        let mut back_off: BTreeMap<usize, Instant> = BTreeMap::new();
        for (at, action) in &bench.wanted {
            match action {
                Action::Saw { container, sight: Sight::Started { .. } } => {
                    prop_assert_eq!(running.insert(*container, true).unwrap_or(false), false);
                    if let Some(until) = back_off.remove(container) {
                        prop_assert!(*at >= until);
                        let waited = until.since(exited[container]);
                        prop_assert!(waited >= Millis::seconds(10) && waited <= Millis::seconds(450) + Millis(1));
                    }
                }
                Action::Saw { container, sight: Sight::Exited { .. } } => {
                    prop_assert_eq!(running.insert(*container, false), Some(true));
                    exited.insert(*container, *at);
                }
                Action::Saw { container, sight: Sight::BackOff { until } } => {
                    back_off.insert(*container, *until);
                }
                Action::Entrypoint { container, .. } => prop_assert_eq!(running.get(container), Some(&true)),
                _ => {}
            }
        }
    }

    #[test]
    fn one_seed_gives_one_life(
        spec in any_spec(),
        seed: u64,
        steps in proptest::collection::vec(any_step(5), 0..30),
    ) {
        let (first, _) = play(spec.clone(), script(), seed, steps.clone());
        let (second, _) = play(spec, script(), seed, steps);
        prop_assert_eq!(first.wanted, second.wanted);
    }
}
