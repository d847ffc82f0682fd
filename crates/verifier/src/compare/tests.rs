//! Comparisons of results whose distribution is known.

use std::collections::{BTreeMap, BTreeSet};

use model::stream::{below, stream};
use proptest::prelude::*;

use super::*;
use crate::latency::LeftOut;

/// Jobs of a run, as the twin's scenarios have them.
const JOBS: u64 = 12;

/// A result of so many runs. A run's jobs have half of their time in common, as a poll that they all wait for; `slower` is
/// how many percent longer everything takes.
fn result(name: &str, seeds: std::ops::Range<u64>, slower: u64) -> Latency {
    let run = |seed: u64| {
        let mut chance = stream(seed, name);
        let common = below(&mut chance, 15_000);
        let spans = (0..JOBS).map(|_| (20_000 + common + below(&mut chance, 15_000)) * (100 + slower) / 100);
        RunTimes {
            seed,
            queued: JOBS as u32,
            received: JOBS as u32,
            broken: BTreeSet::new(),
            took_ms: [(StageName::Whole, spans.collect())].into(),
        }
    };
    of_runs(seeds.map(run).collect())
}

fn of_runs(runs: Vec<RunTimes>) -> Latency {
    let row = Row {
        scenario: "article".into(),
        keda: "2.21.0".into(),
        settings: BTreeMap::new(),
        stages: Vec::new(),
        runs,
        left_out: Vec::new(),
    };
    of_rows(vec![row])
}

fn of_rows(rows: Vec<Row>) -> Latency {
    Latency {
        format: FORMAT,
        poolproof: "0.1.0".into(),
        engine: "sim".into(),
        speed: 0,
        again: "poolproof bench latency".into(),
        rows,
    }
}

fn judged(a: &Latency, b: &Latency, limit: &str) -> JudgedLimit {
    let limits = [limit.parse().expect("a limit")];
    compare(a, b, &limits).expect("rows in both").rows.remove(0).limits.remove(0)
}

fn judgement(a: &Latency, b: &Latency, limit: &str) -> Judgement {
    judged(a, b, limit).judgement
}

#[test]
fn a_real_slow_down_is_found() {
    let (before, after) = (result("before", 0..40, 0), result("after", 100..140, 40));
    assert_eq!(judgement(&before, &after, "p95 +10%"), Judgement::Slower);
    assert_eq!(judgement(&before, &after, "p50 +5s"), Judgement::Slower);
    assert_eq!(judgement(&after, &before, "p95 +10%"), Judgement::Within);
}

#[test]
fn a_real_slow_down_is_found_whenever_it_is_looked_for() {
    let found = (0..20).filter(|trial| {
        let (before, after) =
            (result(&format!("a{trial}"), 0..20, 0), result(&format!("b{trial}"), 50..70, 40));
        judgement(&before, &after, "p95 +10%") == Judgement::Slower
    });
    assert_eq!(found.count(), 20);
}

#[test]
fn noise_is_no_slow_down() {
    let limits = ["p50 +0%", "p95 +0%", "p95 +10%"].map(|limit| limit.parse().expect("a limit"));
    let runs = FEWEST_RUNS as u64;
    let mut alarms = [0; 3];
    for trial in 0..50 {
        let a = result(&format!("a{trial}"), 0..runs, 0);
        let b = result(&format!("b{trial}"), 500..500 + runs, 0);
        let judged = compare(&a, &b, &limits).expect("a row").rows.remove(0).limits;
        for (alarms, judged) in alarms.iter_mut().zip(judged) {
            *alarms += u32::from(judged.judgement == Judgement::Slower);
        }
    }
    // Without any allowance a fortieth would break the limit, were the interval exact, and with so few runs a twentieth.
    assert!(alarms[0] <= 6 && alarms[1] <= 6 && alarms[2] <= 1, "{alarms:?} of 50");
}

#[test]
fn the_same_seeds_are_compared_one_by_one() {
    // Three percent are lost in the noise of other runs, and plain beside the same ones.
    let (before, after) = (result("it", 0..40, 0), result("it", 0..40, 3));
    assert_eq!(judgement(&before, &after, "p50 +1%"), Judgement::Slower);
    let others = result("it", 100..140, 3);
    assert_eq!(judgement(&before, &others, "p50 +1%"), Judgement::NotShown);
    assert!(compare(&before, &after, &[]).expect("a row").rows[0].paired);
    assert!(!compare(&before, &others, &[]).expect("a row").rows[0].paired);
}

#[test]
fn the_jobs_of_one_run_are_no_witnesses_of_their_own() {
    // All jobs of a run take the same time: there are as many numbers as runs, however many jobs there are.
    let side = |name: &str| {
        let run = |seed: u64| {
            let span = 20_000 + below(&mut stream(seed, name), 20_000);
            RunTimes {
                took_ms: [(StageName::Whole, vec![span; 30])].into(),
                ..result(name, seed..seed + 1, 0).rows[0].runs[0].clone()
            }
        };
        of_runs((0..10).map(run).collect())
    };
    let alarm = |trial: &u32| {
        judgement(&side(&format!("a{trial}")), &side(&format!("b{trial}")), "p50 +0%") == Judgement::Slower
    };
    // Nearly half of them would, were jobs drawn.
    assert!((0..20).filter(alarm).count() <= 3);
}

#[test]
fn few_runs_are_no_ground_to_say_anything() {
    let fewest = FEWEST_RUNS as u64;
    let before = result("before", 0..fewest, 0);
    let short = judged(&before, &result("after", 100..100 + fewest - 1, 40), "p95 +10%");
    assert_eq!(short.judgement, Judgement::CannotTell);
    assert!(short.because.contains("8 and 7 runs"), "{}", short.because);
    assert_eq!(judgement(&before, &result("after", 100..100 + fewest, 40), "p95 +10%"), Judgement::Slower);
}

#[test]
fn a_percentile_beyond_which_no_job_lies_is_not_judged() {
    let (before, after) = (result("before", 0..8, 0), result("after", 100..108, 40));
    let short = judged(&before, &after, "p99 +10%");
    assert_eq!(short.judgement, Judgement::CannotTell);
    assert!(short.because.contains("96 and 96 jobs, p99 takes 100"), "{}", short.because);
    assert_eq!(judgement(&before, &after, "p98 +10%"), Judgement::Slower);
    let row = compare(&before, &after, &[]).expect("a row").rows.remove(0);
    let whole = row.stages.last().expect("the whole");
    let with: Vec<_> = whole.percentiles.iter().map(|one| (one.percentile, one.interval.is_some())).collect();
    assert_eq!(with, [(50, true), (95, true), (99, false)]);
}

#[test]
fn a_stage_that_one_side_does_not_have_cannot_be_told() {
    let both = result("it", 0..20, 0);
    let said = judged(&both, &both, "seen:p50 +10%");
    assert_eq!(said.judgement, Judgement::CannotTell);
    assert!(said.because.contains("no job"), "{}", said.because);
}

#[test]
fn jobs_that_were_never_received_are_no_good_sign() {
    let before = result("it", 0..20, 0);
    let mut after = before.clone();
    assert_eq!(judgement(&before, &after, "p95 +10%"), Judgement::Within);
    after.rows[0].runs[3].received -= 1;
    assert_eq!(judgement(&before, &after, "p95 +10%"), Judgement::CannotTell);
    // It was no better before: nothing got worse.
    assert_eq!(judgement(&after, &before, "p95 +10%"), Judgement::Within);
}

#[test]
fn rows_are_those_of_the_same_scenario_under_the_same_settings() {
    let row = |scenario: &str, poll: &str| Row {
        scenario: scenario.into(),
        settings: [("pollingInterval".to_owned(), poll.to_owned())].into(),
        ..result("it", 0..20, 0).rows.remove(0)
    };
    let a = of_rows(vec![row("one", "5s"), row("one", "30s")]);
    let b = of_rows(vec![row("one", "30s"), row("two", "5s")]);
    let limits = ["p95 +10%".parse().expect("a limit")];
    let compared = compare(&a, &b, &limits).expect("a row in both");
    let names: Vec<_> = compared.rows.iter().map(|row| row.a.name.as_str()).collect();
    assert_eq!(names, ["one pollingInterval=30s"]);
    assert_eq!(
        (compared.only_a, compared.only_b),
        (vec!["one pollingInterval=5s".to_owned()], vec!["two pollingInterval=5s".to_owned()])
    );
    assert_eq!(compared.judgement, Some(Judgement::CannotTell));
    let nothing =
        compare(&a, &of_rows(vec![row("two", "5s"), row("three", "5s")]), &[]).expect_err("nothing");
    assert!(nothing.to_string().contains("three"), "{nothing}");
}

#[test]
fn two_results_of_one_row_each_are_compared_whatever_they_are_of() {
    let mut other = result("it", 0..20, 0);
    other.rows[0].scenario = "other".into();
    let compared = compare(&result("it", 0..20, 0), &other, &[]).expect("a row");
    assert_eq!((compared.rows[0].b.name.as_str(), compared.judgement), ("other", None));
}

#[test]
fn what_was_left_out_is_counted() {
    let mut result = result("it", 0..20, 0);
    result.rows[0].left_out.push(LeftOut { seed: 20, because: "the machine was too slow".into() });
    assert_eq!(compare(&result, &result, &[]).expect("a row").rows[0].b.left_out, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_same_input_gives_the_same_answer_and_no_difference_to_itself(seed in 0_u64..1000, runs in 1_u64..30) {
        let result = result("it", seed..seed + runs, 0);
        let limits = ["p95 +0%".parse().expect("a limit")];
        let compared = compare(&result, &result, &limits).expect("a row");
        prop_assert_eq!(&compared, &compare(&result, &result, &limits).expect("a row"));
        for percentile in compared.rows.iter().flat_map(|row| &row.stages).flat_map(|stage| &stage.percentiles) {
            prop_assert_eq!(percentile.difference_ms, 0);
            if let Some(interval) = percentile.interval {
                prop_assert_eq!((interval.low_ms, interval.high_ms), (0, 0));
            }
        }
        let expected = if runs < FEWEST_RUNS as u64 { Judgement::CannotTell } else { Judgement::Within };
        prop_assert_eq!(compared.judgement, Some(expected));
    }

    #[test]
    fn an_interval_holds_the_middle_of_its_draws(slower in 0_u64..60, runs in 8_u64..20) {
        let (a, b) = (result("a", 0..runs, 0), result("b", 100..100 + runs, slower));
        let compared = compare(&a, &b, &[]).expect("a row");
        let whole = compared.rows[0].stages.last().expect("the whole");
        for percentile in &whole.percentiles {
            if let Some(interval) = percentile.interval {
                prop_assert!(interval.low_ms <= interval.high_ms);
                prop_assert!(interval.low_percent <= interval.high_percent);
            }
        }
    }
}
