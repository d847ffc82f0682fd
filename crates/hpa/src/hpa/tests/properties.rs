//! What holds whatever happens.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::*;
use crate::rules::DOWNSCALE_STABILISATION;
use crate::spec::{Policy, PolicyKind, ScalingRules, Select};

/// What happens before a sync.
#[derive(Debug, Clone)]
enum Event {
    Nothing,
    /// Somebody else scales.
    Scaled(i32),
    /// The workload's status lags behind, by so many.
    Lag(i32),
    Restart,
    Edited(HpaSpec),
}

fn scaling_rules() -> impl Strategy<Value = ScalingRules> {
    let kind = prop_oneof![Just(PolicyKind::Pods), Just(PolicyKind::Percent)];
    let policy = (kind, prop_oneof![1..200i32, 1..=i32::MAX], 1..=1800i32)
        .prop_map(|(kind, value, period_seconds)| Policy { kind, value, period_seconds });
    let select = prop_oneof![Just(Select::Max), Just(Select::Min), Just(Select::Disabled)];
    (0..=3600u64, select, vec(policy, 1..4), proptest::option::of(0.0..2.0f64)).prop_map(
        |(window, select, policies, tolerance)| ScalingRules {
            window: Millis::seconds(window),
            select,
            policies,
            tolerance,
        },
    )
}

fn behavior() -> impl Strategy<Value = Option<Behavior>> {
    let any = (scaling_rules(), scaling_rules()).prop_map(|(up, down)| Some(Behavior { up, down }));
    prop_oneof![2 => Just(None), 2 => Just(Some(Behavior::default())), 3 => any]
}

fn target() -> impl Strategy<Value = Target> {
    let milli = prop_oneof![Just(1000i64), 1..20_000i64, 1..=i64::MAX];
    prop_oneof![
        3 => milli.clone().prop_map(Target::AverageValue),
        1 => milli.prop_map(Target::Value)
    ]
}

fn specs(behavior: impl Strategy<Value = Option<Behavior>>) -> impl Strategy<Value = HpaSpec> {
    let most = prop_oneof![1..50i32, 1..=i32::MAX];
    (1..5i32, most, vec(target(), 1..4), behavior).prop_map(|(min, max, targets, behavior)| HpaSpec {
        min: min.min(max),
        max,
        metrics: targets.into_iter().map(|target| Metric { name: "jobs".into(), target }).collect(),
        behavior,
    })
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let milli = prop_oneof![8 => (0..100i64).prop_map(|jobs| jobs * 1000), 1 => any::<i64>()];
    vec(weighted(0.9, milli), 3)
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Nothing),
        1 => prop_oneof![0..60i32, 0..=i32::MAX].prop_map(Event::Scaled),
        2 => (-3..3i32).prop_map(Event::Lag),
        1 => Just(Event::Restart),
        1 => specs(behavior()).prop_map(Event::Edited),
    ]
}

impl Cluster {
    fn happen(&mut self, event: Event) {
        let now = self.hpa.next_deadline().expect("a sync to come");
        match event {
            Event::Nothing => {}
            Event::Scaled(replicas) => self.scale(replicas),
            Event::Lag(pods) => {
                self.view.status_replicas = self.view.spec_replicas.saturating_add(pods).max(0);
                self.view.ready = self.view.status_replicas;
            }
            Event::Restart => {
                for input in [Input::ControllerStopped, Input::ControllerStarted] {
                    self.hpa.handle(now, input, None, &mut self.actions);
                }
                self.history.clear();
            }
            Event::Edited(spec) => self.hpa.handle(now, Input::Edited(spec), None, &mut self.actions),
        }
    }
}

proptest! {
    #[test]
    fn never_more_than_max_after_a_sync_and_never_fewer_than_min(
        spec in specs(behavior()),
        minor in 32..36u64,
        steps in vec((events(), answers()), 1..60),
    ) {
        let mut cluster = Cluster::new(spec, minor, 1);
        for (event, answers) in steps {
            cluster.happen(event);
            let before = cluster.view.spec_replicas;
            let after = cluster.sync(&answers);
            let (min, max) = (cluster.hpa.spec().min, cluster.hpa.spec().max);
            prop_assert!(after <= max && (after >= min || before == 0), "{before} became {after}");
        }
    }

    #[test]
    fn failures_change_nothing(
        spec in specs(behavior()),
        replicas in 1..60i32,
        steps in vec(weighted(0.5, 0..100i64), 1..60),
    ) {
        let replicas = replicas.clamp(spec.min, spec.max);
        let mut cluster = Cluster::new(spec, 35, replicas);
        for jobs in steps {
            let (before, history) = (cluster.view.spec_replicas, cluster.hpa.history.clone());
            cluster.sync(&[jobs.map(|jobs| jobs * 1000); 3]);
            if jobs.is_none() {
                prop_assert_eq!(cluster.view.spec_replicas, before);
                prop_assert!(cluster.hpa.history == history || history == History::new());
                prop_assert!(!cluster.conditions().is_active());
            }
        }
    }

    #[test]
    fn never_fewer_within_300_s_of_a_higher_recommendation(
        spec in specs(prop_oneof![Just(None), Just(Some(Behavior::default()))]),
        steps in vec((weighted(0.2, 0..60i32), answers()), 1..100),
    ) {
        let mut cluster = Cluster::new(spec, 35, 1);
        let mut recommended: Vec<(Instant, i32)> = Vec::new();
        for (scaled, answers) in steps {
            scaled.into_iter().for_each(|replicas| cluster.scale(replicas));
            let (now, before) = (cluster.hpa.next_deadline().expect("a sync"), cluster.view.spec_replicas);
            let after = cluster.sync(&answers);
            let max = cluster.hpa.spec().max;
            let within = recommended.iter().filter(|(at, _)| now.since(*at) < DOWNSCALE_STABILISATION);
            let highest = within.map(|(_, replicas)| *replicas).max().unwrap_or(0);
            prop_assert!(after >= before || after >= highest.min(max), "{before}, {highest} became {after}");
            let last = cluster.hpa.last().expect("a decision");
            let reads = !matches!(last.because, Because::Zero | Because::AboveMax { .. } | Because::BelowMin { .. });
            if reads && !matches!(last.because, Because::Unread { .. }) {
                recommended.push((now, last.raw));
            }
        }
    }

    #[test]
    fn with_a_behavior_old_recommendations_never_pull_up(
        spec in specs(behavior().prop_filter("a behavior", Option::is_some)),
        steps in vec((weighted(0.2, 0..60i32), answers()), 1..100),
    ) {
        let mut cluster = Cluster::new(spec, 35, 1);
        for (scaled, answers) in steps {
            scaled.into_iter().for_each(|replicas| cluster.scale(replicas));
            let before = cluster.view.spec_replicas;
            let after = cluster.sync(&answers);
            let raw = cluster.hpa.last().expect("a decision").raw;
            let most = before.max(raw).max(cluster.hpa.spec().min);
            prop_assert!(after <= most, "{before}, {raw} became {after}");
        }
    }
}

/// What a shell may do, in any order, also what it should not.
fn inputs() -> impl Strategy<Value = Option<Input>> {
    let outcome = prop_oneof![Just(Written::Done), Just(Written::Conflict), Just(Written::Failed)];
    prop_oneof![
        12 => Just(None),
        6 => (0..9u32, proptest::option::of(any::<i64>()))
            .prop_map(|(sync, answer)| Some(Input::Answered { sync, answer })),
        6 => (0..9u32, outcome).prop_map(|(sync, outcome)| Some(Input::Written { sync, outcome })),
        1 => specs(behavior()).prop_map(|spec| Some(Input::Edited(spec))),
        1 => specs(behavior()).prop_map(|spec| Some(Input::Recreated(spec))),
        1 => Just(Some(Input::Touched)),
        1 => Just(Some(Input::Deleted)),
        1 => Just(Some(Input::ControllerStopped)),
        1 => Just(Some(Input::ControllerStarted)),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_there_is_one_request_at_a_time_and_no_deadline_in_the_past(
        spec in specs(behavior()),
        minor in 32..36u64,
        phase in proptest::option::of(0..15_000u64),
        steps in vec((inputs(), 0..20_000u64, weighted(0.9, 0..20i32)), 1..200),
    ) {
        let mut hpa = Hpa::new(Instant::START, spec, rules(minor));
        phase.into_iter().for_each(|phase| hpa.resync_at(Instant(phase)));
        let mut now = Instant::START;
        for (input, passes, replicas) in steps {
            let view = |n| View { spec_replicas: n, status_replicas: n, pods: n, ready: n };
            let replicas = replicas.map(view);
            let mut actions = Vec::new();
            match input {
                Some(input) => hpa.handle(now, input, replicas.as_ref(), &mut actions),
                None => {
                    now = hpa.next_deadline().map_or(now + Millis(passes), |deadline| deadline.max(now));
                    hpa.advance(now, replicas.as_ref(), &mut actions);
                }
            }
            let asks = |action: &&Action| matches!(action, Action::Read { .. } | Action::Write { .. });
            prop_assert!(actions.iter().filter(asks).count() <= 1);
            if let Some(Action::Write { replicas, .. }) = actions.last() {
                prop_assert!(*replicas >= 0);
            }
            if let (None, Some(deadline)) = (&actions.iter().find(asks), hpa.next_deadline()) {
                prop_assert!(deadline >= now || !hpa.sync.is_under_way(), "{deadline} is before {now}");
            }
            prop_assert!(hpa.status().desired >= 0 && hpa.status().metrics.len() <= 3);
        }
    }
}

#[test]
fn a_week_of_syncs_remembers_no_more_than_its_window() {
    let mut cluster = Cluster::new(spec(100, 1), 35, 1);
    let mut most = 0;
    for sync in 0..40_000 {
        cluster.syncs([Some(sync % 37)]);
        most = most.max(cluster.hpa.history.recommendations().len());
    }
    assert!(most <= 21, "{most}");
}
