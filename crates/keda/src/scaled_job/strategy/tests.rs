//! Jobs that one poll creates, as KEDA's own functions reckon them, and what must hold of any number.

use proptest::sample::select;
use proptest::strategy::Strategy as _;
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::scaled_job::combine::{Calculation, Reading, combine};
use crate::scaled_job::tests::rules;

const CUSTOM_1_HALF: Strategy = Strategy::Custom { deduction: Some(1), share: 0.5 };
const CUSTOM_0_HALF: Strategy = Strategy::Custom { deduction: Some(0), share: 0.5 };

/// One trigger of `queue` with `target`, bounds, and so many running (of which so many pending).
#[derive(Debug, Clone, Copy)]
struct Poll {
    queue: u32,
    target: u32,
    minimum: u32,
    maximum: u32,
    running: i64,
    pending: i64,
}

impl From<[u32; 6]> for Poll {
    fn from([queue, target, minimum, maximum, running, pending]: [u32; 6]) -> Self {
        let (running, pending) = (i64::from(running), i64::from(pending));
        Self { queue, target, minimum, maximum, running, pending }
    }
}

fn decide(version: &str, strategy: Strategy, poll: Poll) -> Created {
    let rules = rules(version);
    let bounds = Bounds::of(rules, Some(poll.minimum), Some(poll.maximum)).expect("bounds");
    let reading =
        Reading { queue: f64::from(poll.queue), target: f64::from(poll.target), active: poll.queue > 0 };
    let asked = combine(Calculation::Max, bounds, &[reading]);
    let counts = Counts { running: poll.running, pending: poll.pending };
    jobs_to_create(rules, strategy, bounds, asked, counts).expect("no panic")
}

fn number(version: &str, strategy: Strategy, poll: [u32; 6]) -> u64 {
    decide(version, strategy, poll.into()).number
}

fn because(version: &str, strategy: Strategy, poll: [u32; 6]) -> String {
    decide(version, strategy, poll.into()).because.to_string()
}

#[test]
fn default_creates_what_is_asked_for_less_what_is_unfinished() {
    assert_eq!(number("2.21.0", Strategy::Default, [5, 1, 0, 10, 3, 1]), 2);
    assert_eq!(number("2.21.0", Strategy::Default, [12, 5, 0, 100, 0, 0]), 3);
    assert_eq!(number("2.21.0", Strategy::Default, [2, 1, 0, 10, 10, 0]), 0);
}

#[test]
fn below_the_minimum_the_queue_is_not_listened_to() {
    assert_eq!(number("2.21.0", Strategy::Default, [9, 1, 2, 10, 1, 0]), 1);
    assert_eq!(number("2.21.0", Strategy::Default, [9, 1, 2, 10, 4, 0]), 6);
}

#[test]
fn a_minimum_above_the_maximum_lets_twice_the_maximum_run_since_2_11() {
    // Four are there as the minimum, four more may come.
    assert_eq!(number("2.11.0", Strategy::Default, [7, 1, 6, 4, 4, 0]), 4);
    assert_eq!(number("2.10.1", Strategy::Default, [7, 1, 6, 4, 4, 0]), 0);
}

#[test]
fn the_longer_queue_brings_its_own_number_of_jobs() {
    let rules = rules("2.21.0");
    let bounds = Bounds { minimum: 0, beyond: 10 };
    let reading = |queue, target| Reading { queue, target, active: true };
    let decide = |readings: &[Reading]| {
        let asked = combine(Calculation::Max, bounds, readings);
        jobs_to_create(rules, Strategy::Default, bounds, asked, Counts::default()).expect("no panic").number
    };
    assert_eq!(decide(&[reading(6.0, 3.0), reading(5.0, 1.0)]), 2);
    assert_eq!(decide(&[reading(4.0, 3.0), reading(5.0, 1.0)]), 5);
}

#[test]
fn accurate_creates_what_is_asked_for_less_what_is_pending() {
    assert_eq!(number("2.19.0", Strategy::Accurate, [8, 1, 0, 10, 5, 2]), 5);
    assert_eq!(number("2.19.0", Strategy::Accurate, [6, 1, 0, 10, 5, 2]), 4);
    assert_eq!(number("2.19.0", Strategy::Accurate, [2, 1, 0, 20, 10, 0]), 2);
    assert_eq!(number("2.19.0", Strategy::Accurate, [4, 1, 2, 8, 5, 1]), 3);
}

#[test]
fn accurate_overlooked_pending_jobs_near_the_maximum_until_2_18() {
    assert_eq!(number("2.18.3", Strategy::Accurate, [6, 1, 0, 10, 5, 2]), 5);
    assert_eq!(number("2.19.0", Strategy::Accurate, [6, 1, 0, 10, 5, 2]), 4);
}

#[test]
fn eager_creates_as_many_as_there_is_room_for() {
    assert_eq!(number("2.15.0", Strategy::Eager, [3, 1, 0, 10, 4, 1]), 3);
    assert_eq!(number("2.15.0", Strategy::Eager, [12, 1, 1, 9, 3, 1]), 5);
}

#[test]
fn custom_may_go_beyond_the_maximum() {
    assert_eq!(number("2.21.0", CUSTOM_1_HALF, [10, 1, 0, 20, 7, 0]), 6);
    assert_eq!(number("2.21.0", CUSTOM_0_HALF, [100, 1, 0, 100, 50, 0]), 75);
}

#[test]
fn with_a_queue_of_waiting_jobs_only_default_starves_and_accurate_does_not() {
    // kedacore/keda#7878: ten agents work, two jobs wait, and only those are in the queue.
    let poll = [2, 1, 0, 20, 10, 0];
    assert_eq!(number("2.20.0", Strategy::Default, poll), 0);
    assert_eq!(number("2.20.0", Strategy::Accurate, poll), 2);
}

#[test]
fn with_working_jobs_in_the_queue_accurate_creates_too_many_and_default_does_not() {
    // kedacore/keda#7747: ten agents work on the ten jobs of the queue, nothing waits.
    let poll = [10, 1, 0, 100, 10, 0];
    assert_eq!(number("2.19.0", Strategy::Accurate, poll), 10);
    assert_eq!(number("2.19.0", Strategy::Default, poll), 0);
}

fn specified(strategy: &str, percentage: Option<&str>, deduction: Option<i32>) -> ScalingStrategy {
    ScalingStrategy {
        strategy: Some(strategy.to_owned()),
        custom_scaling_queue_length_deduction: deduction,
        custom_scaling_running_job_percentage: percentage.map(str::to_owned),
        pending_pod_conditions: Vec::new(),
        multiple_scalers_calculation: None,
    }
}

#[test]
fn a_custom_strategy_without_a_readable_percentage_is_the_default() {
    let of = |percentage| Strategy::of(rules("2.21.0"), Some(&specified("custom", percentage, Some(1))));
    assert_eq!(of(Some("0.5")), CUSTOM_1_HALF);
    for unreadable in [None, Some(""), Some("half"), Some("50%"), Some(" 0.5")] {
        assert_eq!(of(unreadable), Strategy::Default, "{unreadable:?}");
    }
}

#[test]
fn eager_was_unknown_until_2_14() {
    let of = |version| Strategy::of(rules(version), Some(&specified("eager", None, None)));
    assert_eq!(of("2.15.0"), Strategy::Eager);
    assert_eq!(of("2.14.1"), Strategy::Default);
}

#[test]
fn custom_without_a_deduction_was_fatal_until_2_20_1() {
    let strategy = Strategy::of(rules("2.20.1"), Some(&specified("custom", Some("0.5"), None)));
    let bounds = Bounds { minimum: 1, beyond: 9 };
    let decide = |version, running| {
        let (asked, counts) = (Asked::default(), Counts { running, pending: 0 });
        jobs_to_create(rules(version), strategy, bounds, asked, counts)
    };
    // Active or not.
    assert_eq!(decide("2.20.1", 1), Err(OperatorPanics::CustomWithoutDeduction));
    assert_eq!(decide("2.20.2", 1).map(|created| created.number), Ok(0));
    // The strategy is not asked below the minimum.
    assert_eq!(decide("2.20.1", 0).map(|created| created.number), Ok(1));
}

#[test]
fn reasons_are_sentences_with_numbers() {
    assert_eq!(
        because("2.21.0", Strategy::Default, [5, 1, 0, 10, 3, 1]),
        "5 queued make 5 Jobs; default: 5 - 3 unfinished = room for 2"
    );
    assert_eq!(
        because("2.21.0", Strategy::Default, [9, 1, 2, 10, 4, 0]),
        "9 queued make 8 Jobs; default: 8 - 4 unfinished + 2 at least = room for 6"
    );
    assert_eq!(
        because("2.21.0", Strategy::Default, [9, 1, 2, 10, 1, 0]),
        "1 Jobs are unfinished and the minimum is 2"
    );
    assert_eq!(because("2.21.0", Strategy::Default, [0, 1, 0, 10, 1, 0]), "no trigger is active");
    assert_eq!(
        because("2.21.0", Strategy::Accurate, [8, 1, 0, 10, 5, 2]),
        "8 queued make 8 Jobs; accurate: at most 10 - 5 unfinished = room for 5"
    );
    assert_eq!(
        because("2.21.0", Strategy::Eager, [3, 1, 0, 10, 4, 1]),
        "3 queued; eager: the lesser of 3 and 10 - 4 unfinished - 1 pending = room for 3"
    );
    assert_eq!(
        because("2.21.0", CUSTOM_1_HALF, [10, 1, 0, 20, 7, 0]),
        "10 queued make 10 Jobs; custom: 10 - 1 deducted - 0.5 of 7 unfinished = room for 6"
    );
}

fn versions() -> impl proptest::strategy::Strategy<Value = &'static str> {
    select(vec!["2.9.0", "2.11.0", "2.15.0", "2.19.0", "2.20.2", "2.21.0"])
}

fn polls() -> impl proptest::strategy::Strategy<Value = Poll> {
    (0_u32..300, 0_u32..4, 0_u32..40, 0_u32..40, 0_i64..150, 0_i64..150).prop_map(
        |(queue, target, minimum, beyond, running, pending)| Poll {
            queue,
            target,
            minimum,
            maximum: minimum + beyond,
            running,
            pending: pending.min(running),
        },
    )
}

proptest! {
    #[test]
    fn unfinished_jobs_stay_within_the_maximum(
        version in versions(),
        strategy in select(vec![Strategy::Default, Strategy::Accurate, Strategy::Eager]),
        poll in polls(),
    ) {
        let before = poll.running.min(i64::from(poll.maximum));
        let poll = Poll { running: before, pending: poll.pending.min(before), ..poll };
        let created = decide(version, strategy, poll);
        prop_assert!(poll.running.unsigned_abs() + created.number <= u64::from(poll.maximum), "{created:?}");
    }

    #[test]
    fn beyond_the_maximum_nothing_is_created(
        version in versions(),
        strategy in select(vec![Strategy::Default, Strategy::Accurate, Strategy::Eager]),
        poll in polls(),
        excess in 0_i64..100,
    ) {
        // After the maximum was lowered.
        let poll = Poll { running: i64::from(poll.maximum) + excess, ..poll };
        prop_assert_eq!(decide(version, strategy, poll).number, 0);
    }

    #[test]
    fn below_the_minimum_exactly_the_rest_is_created(version in versions(), poll in polls(), lack in 1_i64..40) {
        let minimum = i64::from(poll.minimum);
        let running = (minimum - lack).max(0);
        let created = decide(version, Strategy::Default, Poll { running, pending: 0, ..poll });
        prop_assert!(minimum == 0 || running.unsigned_abs() + created.number == minimum.unsigned_abs());
    }

    #[test]
    fn no_number_makes_it_fail(
        minimum: Option<u32>,
        maximum: Option<u32>,
        queue: f64,
        target: f64,
        active: bool,
        share: f64,
        deduction: Option<i32>,
        running in 0_i64..1_000_000,
        pending in 0_i64..1_000_000,
    ) {
        let rules = rules("2.21.0");
        let bounds = Bounds::of(rules, minimum, maximum).expect("bounds");
        let strategies = [
            Strategy::Default, Strategy::Accurate, Strategy::Eager, Strategy::Custom { deduction, share },
        ];
        for calculation in [Calculation::Max, Calculation::Min, Calculation::Average, Calculation::Sum] {
            let asked = combine(calculation, bounds, &[Reading { queue, target, active }; 3]);
            for strategy in strategies {
                let created = jobs_to_create(rules, strategy, bounds, asked, Counts { running, pending });
                let created = created.expect("no panic of the operator");
                prop_assert!(!created.because.to_string().is_empty());
            }
        }
    }
}
