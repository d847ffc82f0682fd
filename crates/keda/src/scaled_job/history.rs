//! Which Jobs KEDA deletes: those beyond the history limits, and those of an earlier generation.

use model::stream::below;
use rand_chacha::ChaCha8Rng;

use super::counts::{Finished, JobView};
use crate::rules::{RolloutCheck, ScaledJobRules};

/// Jobs of each kind that are kept (K:pkg/scaling/executor/scale_jobs.go, `defaultSuccessfulJobsHistoryLimit`
/// and `defaultFailedJobsHistoryLimit`).
pub const DEFAULT_HISTORY_LIMIT: usize = 100;

/// How many finished Jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Complete ones.
    pub successful: usize,
    /// Failed ones.
    pub failed: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self { successful: DEFAULT_HISTORY_LIMIT, failed: DEFAULT_HISTORY_LIMIT }
    }
}

/// The places, in `jobs`, of the Jobs of this kind beyond the limit, in the order of their deletion (`cleanUp`).
///
/// Complete ones go oldest first. Their times have whole seconds, and failed Jobs have none: which of
/// several equals goes first depends on the order of a map in KEDA, here on the stream.
#[must_use]
pub fn beyond_limit(
    jobs: &[JobView<'_>],
    kind: Finished,
    limit: usize,
    random: &mut ChaCha8Rng,
) -> Vec<usize> {
    let finished = |job: &&JobView<'_>| job.finished == Some(kind);
    let number = jobs.iter().filter(finished).count();
    let Some(surplus) = number.checked_sub(limit).filter(|surplus| *surplus > 0) else {
        return Vec::new();
    };
    let of_kind = jobs.iter().enumerate().filter(|(_, job)| finished(job));
    // One without a time is neither before nor after any other; all of a kind are alike in that.
    let of_kind = of_kind.map(|(place, job)| (job.completion_time.map(|time| time.0 / 1000), place));
    if surplus == 1
        && let Some(place) = oldest_of(of_kind.clone())
    {
        skip_shuffle(number, random);
        return vec![place];
    }
    let mut seconds: Vec<(Option<u64>, usize)> = Vec::with_capacity(number);
    seconds.extend(of_kind);
    let mut ordered = seconds.clone();
    let (_, (last, _), _) = ordered.select_nth_unstable(surplus - 1);
    let last = *last;
    let may_go = |seconds: &[(Option<u64>, usize)]| -> Vec<(Option<u64>, usize)> {
        seconds.iter().copied().filter(|(second, _)| *second <= last).collect()
    };
    let mut oldest = may_go(&ordered);
    oldest.sort_unstable();
    let differ = oldest.len() == surplus && oldest.windows(2).all(|pair| pair[0].0 != pair[1].0);
    if differ {
        // Whatever order the shuffle makes, they go in this one.
        skip_shuffle(number, random);
    } else {
        shuffle(&mut seconds, random);
        oldest = may_go(&seconds);
        oldest.sort_by_key(|(second, _)| *second);
        oldest.truncate(surplus);
    }
    oldest.into_iter().map(|(_, place)| place).collect()
}

/// The place of the one that is older than all others, if there is one: mostly one Job more has finished than is
/// kept.
fn oldest_of(jobs: impl Iterator<Item = (Option<u64>, usize)>) -> Option<usize> {
    let (mut oldest, mut alone): (Option<(Option<u64>, usize)>, bool) = (None, false);
    for (second, place) in jobs {
        match oldest {
            Some((least, _)) if second > least => {}
            Some((least, _)) if second == least => alone = false,
            _ => (oldest, alone) = (Some((second, place)), true),
        }
    }
    oldest.filter(|_| alone).map(|(_, place)| place)
}

/// Puts them into an order of the stream's choosing (Fisher and Yates).
fn shuffle<T>(them: &mut [T], random: &mut ChaCha8Rng) {
    for last in (1..them.len()).rev() {
        let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
        let other = usize::try_from(below(random, bound)).unwrap_or(last);
        them.swap(last, other);
    }
}

/// The words of the stream that a draw takes.
const WORDS_A_DRAW: u128 = 2;

/// Leaves the stream as it is after a shuffle of so many.
fn skip_shuffle(number: usize, random: &mut ChaCha8Rng) {
    let draws = u128::try_from(number.saturating_sub(1)).unwrap_or_default();
    random.set_word_pos(random.get_word_pos().wrapping_add(WORDS_A_DRAW * draws));
}

/// Whether an immediate rollout to this generation deletes the Job
/// (K:controllers/keda/scaledjob_controller.go, `deletePreviousVersionScaleJobs`). Finished ones are not spared.
#[must_use]
pub fn rolled_out(rules: &ScaledJobRules, generation: u64, job: &JobView<'_>) -> bool {
    match rules.rollout {
        RolloutCheck::None => true,
        RolloutCheck::Generation => {
            // The annotation is compared as a text with the number in its usual form.
            job.generation.is_none_or(|text| {
                text.parse() != Ok(generation)
                    || text.starts_with('+')
                    || (text.len() > 1 && text.starts_with('0'))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Instant;
    use model::stream::stream;
    use proptest::prelude::*;

    use super::*;
    use crate::scaled_job::tests::{job, rules};

    fn complete(name: &'static str, at: u64) -> JobView<'static> {
        let completion_time = Some(Instant(at));
        JobView { finished: Some(Finished::Complete), completion_time, ..job(name, Instant(0)) }
    }

    fn failed(name: &'static str) -> JobView<'static> {
        JobView { finished: Some(Finished::Failed), ..job(name, Instant(0)) }
    }

    fn deleted<'a>(jobs: &[JobView<'a>], kind: Finished, limit: usize, seed: u64) -> Vec<&'a str> {
        let places = beyond_limit(jobs, kind, limit, &mut stream(seed, "history"));
        places.into_iter().map(|place| jobs[place].name).collect()
    }

    #[test]
    fn the_oldest_complete_jobs_go_first() {
        let jobs = [
            complete("c", 9000),
            failed("x"),
            complete("a", 1000),
            complete("b", 5000),
            job("u", Instant(0)),
        ];
        assert_eq!(deleted(&jobs, Finished::Complete, 1, 0), ["a", "b"]);
        assert!(deleted(&jobs, Finished::Complete, 3, 0).is_empty());
        assert!(deleted(&jobs, Finished::Failed, 1, 0).is_empty());
        assert_eq!(deleted(&jobs, Finished::Failed, 0, 0), ["x"]);
    }

    #[test]
    fn which_failed_jobs_go_is_the_streams_choice() {
        let jobs = [failed("a"), failed("b"), failed("c"), failed("d")];
        let choices: std::collections::BTreeSet<_> =
            (0..50).map(|seed| deleted(&jobs, Finished::Failed, 3, seed)).collect();
        assert_eq!(choices.len(), 4);
        assert_eq!(deleted(&jobs, Finished::Failed, 2, 7), deleted(&jobs, Finished::Failed, 2, 7));
    }

    #[test]
    fn within_a_second_complete_jobs_are_alike() {
        let jobs = [complete("a", 1900), complete("b", 1100), complete("c", 2000)];
        let first: std::collections::BTreeSet<_> =
            (0..50).map(|seed| deleted(&jobs, Finished::Complete, 2, seed)).collect();
        assert_eq!(first.into_iter().collect::<Vec<_>>(), [["a"], ["b"]]);
    }

    #[test]
    fn what_is_left_to_chance_does_not_depend_on_what_was_not() {
        let distinct = [complete("a", 1000), complete("b", 5000), complete("c", 9000)];
        let alike = [complete("a", 1900), complete("b", 1100), complete("c", 2000)];
        let mut random = stream(3, "history");
        assert_eq!(beyond_limit(&distinct, Finished::Complete, 1, &mut random), [0, 1]);
        // Two draws for three Jobs, whether they were needed or not.
        let mut drawn = stream(3, "history");
        let _ = [below(&mut drawn, 3), below(&mut drawn, 2)];
        assert_eq!(random.get_word_pos(), drawn.get_word_pos());
        let next = |random: &mut ChaCha8Rng| beyond_limit(&alike, Finished::Complete, 2, random);
        assert_eq!(next(&mut random), next(&mut drawn));
    }

    proptest! {
        #[test]
        fn the_oldest_go_as_if_all_had_been_shuffled_and_sorted(
            times in prop::collection::vec(prop::option::of(0_u64..20_000), 0..40),
            limit in 0_usize..40,
            seed: u64,
        ) {
            let jobs: Vec<_> =
                times.iter().map(|time| JobView { completion_time: time.map(Instant), ..complete("j", 0) }).collect();
            let (mut one, mut other) = (stream(seed, "history"), stream(seed, "history"));
            let mut expected: Vec<usize> = (0..jobs.len()).collect();
            if jobs.len() > limit {
                shuffle(&mut expected, &mut other);
            }
            expected.sort_by_key(|place| times[*place].map(|time| time / 1000));
            expected.truncate(jobs.len().saturating_sub(limit));
            prop_assert_eq!(beyond_limit(&jobs, Finished::Complete, limit, &mut one), expected);
            prop_assert_eq!(one.get_word_pos(), other.get_word_pos());
        }
    }

    #[test]
    fn a_rollout_spares_its_own_generation_since_2_14_1() {
        let mine = JobView { generation: Some("2"), ..job("a", Instant(0)) };
        assert!(!rolled_out(rules("2.14.1"), 2, &mine));
        assert!(rolled_out(rules("2.14.1"), 3, &mine));
        assert!(rolled_out(rules("2.14.1"), 2, &job("b", Instant(0))));
        assert!(rolled_out(rules("2.14.0"), 2, &mine));
    }

    #[test]
    fn the_generation_is_compared_as_a_text() {
        for text in ["02", "+2", "two", ""] {
            assert!(rolled_out(
                rules("2.21.0"),
                2,
                &JobView { generation: Some(text), ..job("a", Instant(0)) }
            ));
        }
    }
}
