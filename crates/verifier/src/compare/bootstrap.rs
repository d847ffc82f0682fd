//! What chance alone does to a difference of percentiles: the runs of both sides are drawn
//! anew, with replacement, many times.
//!
//! Runs are drawn, not jobs: the jobs of a run share its polls, its pods and its machine, and
//! are no witnesses of their own. Runs of both sides under the same seeds are drawn in pairs.
//!
//! B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapters 8 (more general data
//! structures) and 13 (the percentile interval).

use model::stream::{below, stream};

use crate::latency::{RunTimes, StageName, rank};

/// How often the runs are drawn anew.
pub(super) const DRAWS: usize = 2000;
/// How sure an interval is, in percent.
pub(super) const CONFIDENCE: u32 = 95;
/// The seed of the draws: the same input gives the same intervals.
const SEED: u64 = 1;

/// The spans of one stage, sorted, each with the number of its run.
struct Sorted {
    spans: Vec<(u64, u32)>,
    /// How many each run has.
    counts: Vec<u64>,
}

impl Sorted {
    fn of(runs: &[RunTimes], stage: StageName) -> Self {
        let of = |run: &RunTimes| run.took_ms.get(&stage).cloned().unwrap_or_default();
        let counts = runs.iter().map(|run| of(run).len() as u64).collect();
        let numbered =
            (0_u32..).zip(runs).flat_map(|(at, run)| of(run).into_iter().map(move |took| (took, at)));
        let mut spans: Vec<(u64, u32)> = numbered.collect();
        spans.sort_unstable();
        Self { spans, counts }
    }

    /// The value at each percentile, ascending ones, where each run was drawn so often.
    fn percentiles(&self, drawn: &[u32], percents: &[u32]) -> Option<Vec<u64>> {
        let count: u64 = self.counts.iter().zip(drawn).map(|(count, times)| count * u64::from(*times)).sum();
        let mut wanted = percents.iter().map(|percent| rank(count, *percent)).peekable();
        let mut found = Vec::with_capacity(percents.len());
        let mut passed = 0;
        if count == 0 {
            return None;
        }
        for (span, run) in &self.spans {
            passed += u64::from(drawn[*run as usize]);
            while wanted.next_if(|rank| *rank <= passed).is_some() {
                found.push(*span);
            }
            if wanted.peek().is_none() {
                break;
            }
        }
        Some(found)
    }
}

/// What percentiles of a stage came out as, in pairs of both sides: as measured, and in every draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) percentile: u32,
    /// As measured.
    pub(super) measured: (u64, u64),
    /// In every draw that had jobs on both sides.
    pub(super) draws: Vec<(u64, u64)>,
}

/// Draws the runs of both sides, and tells of each stage what its percentiles, ascending ones, came out as. A stage that a
/// side has no jobs of comes out as nothing.
pub(super) fn draw(
    (a, b): (&[RunTimes], &[RunTimes]),
    paired: bool,
    stages: &[(StageName, Vec<u32>)],
) -> Vec<Vec<Drawn>> {
    let sorted: Vec<(Sorted, Sorted)> =
        stages.iter().map(|(stage, _)| (Sorted::of(a, *stage), Sorted::of(b, *stage))).collect();
    let (once_a, once_b) = (vec![1; a.len()], vec![1; b.len()]);
    let measured = |at: usize| {
        let (percents, (a, b)) = (&stages[at].1, &sorted[at]);
        Some((a.percentiles(&once_a, percents)?, b.percentiles(&once_b, percents)?))
    };
    let mut all: Vec<Vec<Drawn>> = (0..stages.len())
        .map(|at| {
            let Some((a, b)) = measured(at) else { return Vec::new() };
            let pairs = stages[at].1.iter().zip(a.into_iter().zip(b));
            pairs
                .map(|(percentile, measured)| Drawn { percentile: *percentile, measured, draws: Vec::new() })
                .collect()
        })
        .collect();
    let mut chance = stream(SEED, "runs of a comparison");
    let (mut drawn_a, mut drawn_b) = (once_a, once_b);
    for _ in 0..DRAWS {
        again(&mut drawn_a, |bound| below(&mut chance, bound));
        if paired {
            drawn_b.copy_from_slice(&drawn_a);
        } else {
            again(&mut drawn_b, |bound| below(&mut chance, bound));
        }
        for ((drawn, (a, b)), (_, percents)) in all.iter_mut().zip(&sorted).zip(stages) {
            if drawn.is_empty() {
                continue;
            }
            let sides = (a.percentiles(&drawn_a, percents), b.percentiles(&drawn_b, percents));
            let (Some(a), Some(b)) = sides else { continue };
            for (drawn, pair) in drawn.iter_mut().zip(a.into_iter().zip(b)) {
                drawn.draws.push(pair);
            }
        }
    }
    all
}

/// Draws as many runs as there are, and counts how often each was.
fn again(drawn: &mut [u32], mut below: impl FnMut(u64) -> u64) {
    let runs = drawn.len();
    drawn.fill(0);
    for _ in 0..runs {
        let at = usize::try_from(below(runs as u64)).unwrap_or_default();
        drawn[at] += 1;
    }
}

/// The interval that holds so much of the draws as we want to be sure, of a number that each draw comes to.
pub(super) fn interval<T: Copy + PartialOrd>(mut numbers: Vec<T>) -> Option<(T, T)> {
    /// Draws without any job say nothing; with fewer left than this nothing is said.
    const FEWEST: usize = DRAWS * 9 / 10;
    if numbers.len() < FEWEST {
        return None;
    }
    numbers.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let outside = numbers.len() * (100 - CONFIDENCE as usize) / 200;
    Some((*numbers.get(outside)?, *numbers.get(numbers.len() - 1 - outside)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, spans: &[u64]) -> RunTimes {
        let count = u32::try_from(spans.len()).expect("few");
        RunTimes {
            seed,
            queued: count,
            received: count,
            broken: std::collections::BTreeSet::new(),
            took_ms: [(StageName::Whole, spans.to_vec())].into(),
        }
    }

    #[test]
    fn a_run_that_was_drawn_twice_counts_twice() {
        let sorted = Sorted::of(&[run(1, &[10, 30]), run(2, &[20, 40])], StageName::Whole);
        assert_eq!(sorted.percentiles(&[1, 1], &[50, 99]), Some(vec![20, 40]));
        assert_eq!(sorted.percentiles(&[2, 0], &[50, 99]), Some(vec![10, 30]));
        assert_eq!(sorted.percentiles(&[0, 0], &[50]), None);
    }

    #[test]
    fn without_weights_it_is_the_percentile_of_all() {
        let spans: Vec<u64> = (0..97).map(|n| n * 31 % 97).collect();
        let sorted = Sorted::of(&[run(1, &spans[..40]), run(2, &spans[40..])], StageName::Whole);
        let mut all = spans;
        all.sort_unstable();
        for percent in 1..=99 {
            let expected = crate::latency::percentile(&all, percent).map(|value| vec![value]);
            assert_eq!(sorted.percentiles(&[1, 1], &[percent]), expected);
        }
    }

    #[test]
    fn pairs_are_drawn_together() {
        let a: Vec<RunTimes> = (0..10).map(|n| run(n, &[n * 100])).collect();
        let b: Vec<RunTimes> = (0..10).map(|n| run(n, &[n * 100 + 7])).collect();
        let stages = [(StageName::Whole, vec![50])];
        let paired = draw((&a, &b), true, &stages);
        assert!(paired[0][0].draws.iter().all(|(a, b)| b - a == 7));
        let apart = draw((&a, &b), false, &stages);
        assert!(apart[0][0].draws.iter().any(|(a, b)| b.abs_diff(*a) > 7));
        assert_eq!(paired[0][0].draws.len(), DRAWS);
    }

    #[test]
    fn an_interval_leaves_a_fortieth_out_on_either_side() {
        assert_eq!(interval((0..2000).rev().collect()), Some((50, 1949)));
        assert_eq!(interval((0..100).collect::<Vec<i32>>()), None);
    }
}
