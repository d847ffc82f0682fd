//! Every row of the decision table, and the cooldown's edges.

use semver::Version;

use super::*;

fn rules(version: &str) -> &'static Rules {
    Rules::of(&Version::parse(version).expect("a version")).expect("modelled")
}

const POLICY: Policy = Policy {
    min: 0,
    idle: None,
    cooldown: Millis::seconds(300),
    initial_cooldown: Millis::ZERO,
    fallback: None,
    paused: false,
    paused_replicas: None,
    scale_in_paused: false,
    scale_out_paused: false,
    forced: false,
};

/// Long after the last activity.
const QUIET: PollInputs = PollInputs {
    now: Instant(1_000_000),
    created: Instant::START,
    last_active: Some(Instant(500_000)),
    current: 5,
    active: false,
    error: false,
};

fn decided(policy: Policy, poll: PollInputs) -> (Option<u32>, bool, Because) {
    let Decision { replicas, active_now, because } = decide(rules("2.21.0"), &policy, &poll);
    (replicas, active_now, because)
}

#[test]
fn an_active_trigger_brings_one_replica_or_the_minimum_from_zero() {
    let poll = PollInputs { active: true, current: 0, ..QUIET };
    assert_eq!(decided(POLICY, poll), (Some(1), true, Because::Activated));
    assert_eq!(decided(Policy { min: 3, ..POLICY }, poll), (Some(3), true, Because::Activated));
}

#[test]
fn an_error_beside_an_active_trigger_does_not_keep_it_at_zero() {
    let poll = PollInputs { active: true, error: true, current: 0, ..QUIET };
    assert_eq!(decided(POLICY, poll), (Some(1), true, Because::Activated));
}

#[test]
fn an_active_trigger_with_replicas_moves_only_the_time_of_the_last_activity() {
    let poll = PollInputs { active: true, ..QUIET };
    assert_eq!(decided(POLICY, poll), (None, true, Because::Active));
    let partial = PollInputs { error: true, ..poll };
    assert_eq!(decided(POLICY, partial), (None, false, Because::PartialError));
}

#[test]
fn activity_brings_idle_replicas_to_the_minimum() {
    let policy = Policy { min: 4, idle: Some(2), ..POLICY };
    let poll = PollInputs { active: true, current: 2, ..QUIET };
    assert_eq!(decided(policy, poll), (Some(4), true, Because::Activated));
    let enough = PollInputs { current: 4, ..poll };
    assert_eq!(decided(policy, enough), (None, true, Because::Active));
}

#[test]
fn forced_activation_is_activity() {
    let policy = Policy { forced: true, ..POLICY };
    assert_eq!(
        decided(policy, PollInputs { current: 0, ..QUIET }),
        (Some(1), true, Because::ForcedActivation)
    );
    assert_eq!(decided(policy, QUIET), (None, true, Because::Active));
}

#[test]
fn paused_directions_hold_only_their_direction() {
    let out = Policy { scale_out_paused: true, ..POLICY };
    let active = PollInputs { active: true, current: 0, ..QUIET };
    assert_eq!(decided(out, active), (None, false, Because::ScaleOutPaused));
    assert_eq!(decided(out, QUIET).2, Because::CooledDown);
    let scale_in = Policy { scale_in_paused: true, ..POLICY };
    assert_eq!(decided(scale_in, QUIET), (None, false, Because::ScaleInPaused));
    assert_eq!(decided(scale_in, active).2, Because::Activated);
}

#[test]
fn errors_without_a_fallback_freeze_the_replicas() {
    let poll = PollInputs { error: true, ..QUIET };
    assert_eq!(decided(POLICY, poll), (None, false, Because::TriggerError));
    assert_eq!(decided(POLICY, PollInputs { current: 0, ..poll }), (None, false, Because::TriggerError));
}

#[test]
fn errors_with_a_fallback_are_the_hpas_from_2_17_and_set_its_replicas_at_once_before() {
    let policy = Policy { fallback: Some(6), ..POLICY };
    let poll = PollInputs { error: true, current: 0, ..QUIET };
    assert_eq!(decided(policy, poll), (None, false, Because::FallbackIsTheHpas));
    let before = decide(rules("2.16.1"), &policy, &poll);
    assert_eq!((before.replicas, before.because), (Some(6), Because::FallbackAtOnce));
}

#[test]
fn a_fallback_to_zero_lets_an_erroneous_poll_go_to_zero() {
    let policy = Policy { fallback: Some(0), ..POLICY };
    assert_eq!(decided(policy, PollInputs { error: true, ..QUIET }), (Some(0), false, Because::CooledDown));
}

#[test]
fn zero_is_reached_from_any_number_in_one_step() {
    assert_eq!(decided(POLICY, QUIET), (Some(0), false, Because::CooledDown));
    let policy = Policy { min: 4, idle: Some(2), ..POLICY };
    assert_eq!(decided(policy, QUIET), (Some(2), false, Because::CooledDown));
}

#[test]
fn below_the_minimum_it_is_set_without_any_activity_unless_there_is_an_idle_count() {
    let policy = Policy { min: 3, ..POLICY };
    let poll = PollInputs { current: 1, ..QUIET };
    assert_eq!(decided(policy, poll), (Some(3), false, Because::BelowMinimum));
    assert_eq!(decided(policy, PollInputs { current: 3, ..QUIET }), (None, false, Because::Inactive));
    let idle = Policy { idle: Some(1), ..policy };
    assert_eq!(decided(idle, poll), (None, false, Because::Inactive));
}

#[test]
fn the_cooldown_is_over_only_after_its_last_millisecond() {
    let at = |now| decided(POLICY, PollInputs { now: Instant(now), ..QUIET }).2;
    assert_eq!(at(799_999), Because::CoolingDown);
    assert_eq!(at(800_000), Because::CoolingDown);
    assert_eq!(at(800_001), Because::CooledDown);
}

#[test]
fn what_was_never_active_waits_for_the_initial_cooldown_only() {
    let never = PollInputs { last_active: None, created: Instant(10_000), ..QUIET };
    assert_eq!(decided(POLICY, PollInputs { now: Instant(10_001), ..never }).2, Because::CooledDown);
    let policy = Policy { initial_cooldown: Millis::seconds(60), ..POLICY };
    assert_eq!(decided(policy, PollInputs { now: Instant(70_000), ..never }).2, Because::CoolingDown);
    assert_eq!(decided(policy, PollInputs { now: Instant(70_001), ..never }).2, Because::CooledDown);
}

#[test]
fn a_paused_object_is_left_alone_and_paused_replicas_are_set_once() {
    let policy = Policy { paused: true, ..POLICY };
    let active = PollInputs { active: true, current: 0, ..QUIET };
    assert_eq!(decided(policy, active), (None, false, Because::Paused));
    let at_two = Policy { paused_replicas: Some(2), ..policy };
    assert_eq!(decided(at_two, QUIET), (Some(2), false, Because::PausedReplicas));
    assert_eq!(decided(at_two, PollInputs { current: 2, ..QUIET }), (None, false, Because::Paused));
}
