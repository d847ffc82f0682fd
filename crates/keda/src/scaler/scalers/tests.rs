//! Caches, reads and retries.

use semver::Version;

use super::*;
use crate::rules::ScalerRules;
use crate::scaler::tests::parse;

struct Bench {
    scalers: Scalers,
    sent: Vec<Wire>,
    now: Instant,
}

fn triggers(rules: &ScalerRules, number: usize) -> Triggers {
    (0..number).map(|_| parse(rules, &[]).map(Arc::new)).collect()
}

fn bench(version: &str, number: usize) -> Bench {
    let rules = Rules::of(&Version::parse(version).expect("a version")).expect("modelled");
    let scalers = Scalers::new(rules, DEFAULT_HTTP_TIMEOUT, triggers(&rules.scaler, number), 1);
    Bench { scalers, sent: Vec::new(), now: Instant::START }
}

const DOWN: Answer = Answer::Failure(Failure::Status(503));

impl Bench {
    /// Answers the one request that is under way.
    fn answer(&mut self, answer: Answer) {
        let calls: Vec<CallId> = self.scalers.calls.iter().map(|call| call.id).collect();
        assert_eq!(calls.len(), 1, "one request under way: {:?}", self.sent);
        self.scalers.answer(self.now, calls[0], answer, &mut self.sent);
    }

    fn obtain(&mut self, task: Task) {
        self.scalers.obtain(self.now, task, &mut self.sent);
    }

    /// A cache, made for this task.
    fn cached(&mut self, task: Task) -> CacheKey {
        self.obtain(task);
        if self.scalers.outstanding() == 1 {
            self.answer(Answer::Pool(7));
        }
        match self.scalers.next_outcome() {
            Some(Outcome::Obtained { result: Ok(key), .. }) => key,
            other => panic!("no cache: {other:?}"),
        }
    }

    fn read(&mut self, task: Task, key: CacheKey) {
        self.scalers.read(self.now, task, key, 0, &mut self.sent);
    }

    fn reading(&mut self) -> Reading {
        match self.scalers.next_outcome() {
            Some(Outcome::Read { reading, .. }) => reading,
            other => panic!("no reading: {other:?}"),
        }
    }

    /// The kinds of the requests sent so far: `2` for the pool, `3` for job requests, `x` for one given up.
    fn sequence(&self) -> String {
        let letter = |wire: &Wire| match wire {
            Wire::Request { request: Request::PoolById { .. } | Request::PoolByName, .. } => '2',
            Wire::Request { .. } => '3',
            Wire::Abandon { .. } => 'x',
        };
        self.sent.iter().map(letter).collect()
    }
}

#[test]
fn a_healthy_read_is_one_request() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(Answer::Count(4));
    assert_eq!(bench.reading(), Reading::Count(4));
    assert_eq!(bench.sequence(), "23");
}

#[test]
fn a_failed_read_makes_the_scaler_anew_and_asks_again() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(DOWN);
    bench.answer(Answer::Pool(7));
    bench.answer(Answer::Count(1));
    assert_eq!(bench.reading(), Reading::Count(1));
    assert_eq!(bench.sequence(), "2323");
}

#[test]
fn a_failed_read_ends_when_the_scaler_cannot_be_made_anew() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(DOWN);
    bench.answer(DOWN);
    let Reading::Failed(error) = bench.reading() else { panic!("it fails") };
    assert!(error.starts_with("error parsing azure Pipelines metadata: agent pool with id `7` not found: "));
    assert_eq!(bench.sequence(), "232");
}

#[test]
fn each_request_is_given_up_after_three_seconds() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    assert_eq!(bench.scalers.next_deadline(), Some(Instant(3000)));
    for at in [3000, 6000, 9000] {
        bench.scalers.advance(Instant(at), &mut bench.sent);
        if at == 6000 {
            assert!(matches!(bench.reading(), Reading::Failed(_)), "the pool cannot be asked either");
            break;
        }
    }
    assert_eq!(bench.sequence(), "23x2x");
    assert_eq!(bench.scalers.next_deadline(), None);
}

#[test]
fn a_cache_of_another_generation_is_replaced_for_a_poll_and_kept_for_a_query() {
    let mut bench = bench("2.21.0", 1);
    let first = bench.cached(Task::Reconcile);
    let again = triggers(&bench.scalers.rules.scaler, 1);
    bench.scalers.change(again, 2);
    assert_eq!(bench.cached(Task::Query(1)), first);
    assert_ne!(bench.cached(Task::Poll), first);
    bench.read(Task::Query(1), first);
    assert_eq!(bench.reading(), Reading::Closed);
}

#[test]
fn several_triggers_are_built_one_after_the_other_and_the_first_failure_ends_it() {
    let mut bench = bench("2.21.0", 2);
    bench.obtain(Task::Poll);
    bench.answer(Answer::Pool(7));
    bench.answer(DOWN);
    assert!(matches!(bench.scalers.next_outcome(), Some(Outcome::Obtained { result: Err(_), .. })));
    assert_eq!(bench.sequence(), "22");
    assert!(!bench.scalers.is_cached());
}

#[test]
fn settings_out_of_order_cost_no_request() {
    let mut bench = bench("2.21.0", 1);
    let wrong: Triggers =
        [parse(&bench.scalers.rules.scaler, &[("poolID", "0")]).map(Arc::new)].into_iter().collect();
    bench.scalers.change(wrong, 2);
    bench.obtain(Task::Poll);
    assert!(matches!(bench.scalers.next_outcome(), Some(Outcome::Obtained { result: Err(_), .. })));
    assert_eq!(bench.sequence(), "");
}

#[test]
fn a_retry_in_a_cache_that_a_query_built_sends_nothing_until_2_20() {
    for (version, sequence) in [("2.20.2", "23"), ("2.21.0", "232")] {
        let mut bench = bench(version, 1);
        let key = bench.cached(Task::Query(1));
        bench.scalers.end(bench.now, Task::Query(1), &mut bench.sent);
        bench.read(Task::Poll, key);
        bench.answer(DOWN);
        assert_eq!(bench.sequence(), sequence, "{version}");
    }
}

#[test]
fn a_retry_by_the_query_that_built_the_cache_is_sent_in_every_version() {
    let mut bench = bench("2.20.2", 1);
    let key = bench.cached(Task::Query(1));
    bench.read(Task::Query(1), key);
    bench.answer(DOWN);
    assert_eq!(bench.sequence(), "232");
}

#[test]
fn a_reader_whose_cache_was_closed_is_inactive_from_2_20_and_fails_before() {
    for (version, closed) in [("2.21.0", true), ("2.20.0", true), ("2.19.0", false)] {
        let mut bench = bench(version, 1);
        let key = bench.cached(Task::Poll);
        bench.read(Task::Poll, key);
        bench.scalers.clear_cache();
        bench.answer(DOWN);
        assert_eq!(bench.reading() == Reading::Closed, closed, "{version}: it wanted to try again");
        bench.read(Task::Poll, key);
        assert_eq!(bench.reading() == Reading::Closed, closed, "{version}: at its first call");
        assert!(bench.scalers.caches.is_empty());
    }
}

#[test]
fn a_read_under_way_in_a_closed_cache_counts_if_it_succeeds() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.scalers.clear_cache();
    bench.answer(Answer::Count(2));
    assert_eq!(bench.reading(), Reading::Count(2));
}

#[test]
fn while_a_scaler_is_made_anew_others_wait_and_closing_waits_too() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(DOWN);
    bench.read(Task::Query(5), key);
    assert_eq!(bench.scalers.outstanding(), 1, "the query waits");
    bench.scalers.clear_cache();
    bench.answer(Answer::Pool(7));
    assert_eq!(bench.reading(), Reading::Closed, "the query");
    bench.answer(Answer::Count(3));
    assert_eq!(bench.reading(), Reading::Count(3), "who held the lock goes on");
}

#[test]
fn work_that_ends_gives_up_its_requests_and_frees_the_lock() {
    let mut bench = bench("2.21.0", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(DOWN);
    bench.read(Task::Query(5), key);
    bench.scalers.end(bench.now, Task::Poll, &mut bench.sent);
    assert_eq!(bench.sequence(), "232x3");
    bench.answer(Answer::Count(0));
    assert_eq!(bench.reading(), Reading::Count(0));
}

#[test]
fn the_pool_of_the_answer_is_read_until_2_16() {
    for (version, pool) in [("2.16.1", 0), ("2.17.0", 7)] {
        let mut bench = bench(version, 1);
        bench.obtain(Task::Poll);
        bench.answer(Answer::Pool(0));
        let Some(Outcome::Obtained { result: Ok(key), .. }) = bench.scalers.next_outcome() else {
            panic!("a cache")
        };
        assert_eq!(bench.scalers.scaler(key, 0).map(|(_, pool)| pool), Some(pool), "{version}");
    }
}

#[test]
fn until_2_12_0_one_build_waits_for_the_other_and_takes_its_cache() {
    for (version, requests) in [("2.12.0", "2"), ("2.12.1", "22")] {
        let mut bench = bench(version, 1);
        bench.obtain(Task::Poll);
        bench.obtain(Task::Query(1));
        assert_eq!(bench.sequence(), requests, "{version}");
        while let Some(call) = bench.scalers.calls.first().map(|call| call.id) {
            bench.scalers.answer(bench.now, call, Answer::Pool(7), &mut bench.sent);
        }
        let obtained = std::iter::from_fn(|| bench.scalers.next_outcome());
        let keys: Vec<_> = obtained
            .map(|outcome| match outcome {
                Outcome::Obtained { result: Ok(key), .. } => key,
                other => panic!("no cache: {other:?}"),
            })
            .collect();
        assert_eq!(keys[0] == keys[1], version == "2.12.0");
    }
}

#[test]
fn a_build_that_waited_builds_itself_when_the_first_fails_or_is_given_up() {
    let mut bench = bench("2.12.0", 1);
    bench.obtain(Task::Poll);
    bench.obtain(Task::Query(1));
    bench.answer(DOWN);
    assert_eq!(bench.sequence(), "22");
    bench.obtain(Task::Poll);
    bench.scalers.end(bench.now, Task::Query(1), &mut bench.sent);
    assert_eq!(bench.sequence(), "22x2");
}

#[test]
fn until_2_15_nobody_waits_while_a_scaler_is_made_anew() {
    let mut bench = bench("2.15.1", 1);
    let key = bench.cached(Task::Poll);
    bench.read(Task::Poll, key);
    bench.answer(DOWN);
    bench.read(Task::Query(5), key);
    assert_eq!(bench.sequence(), "2323");
}
