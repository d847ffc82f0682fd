//! Requests to the API that are made one after the other: creations, and deletions.

use std::collections::VecDeque;

use model::Instant;

use super::client::ClientBucket;

/// What a series does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Creates so many Jobs; one that fails does not keep the others from being tried.
    Create(u64),
    /// Deletes these Jobs, until one fails.
    Delete(VecDeque<Box<str>>),
}

/// A series of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    work: Work,
    /// When everything that is not done by then has failed.
    latest: Option<Instant>,
    state: State,
    /// Requests that were made and succeeded.
    pub(super) succeeded: u64,
    /// Requests that failed, or were not made any more for want of time.
    pub(super) failed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The client has to be asked when the next request may go.
    Next,
    /// The next request goes then.
    Waiting(Instant),
    /// The request is under way.
    Sent(u64),
    /// Nothing more is done.
    Over,
}

/// What a series wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    /// Create a Job.
    Create,
    /// Delete this Job.
    Delete(Box<str>),
    /// Take no notice of the answer to this request any more.
    Abandon(u64),
}

impl Series {
    pub(super) fn new(work: Work, latest: Option<Instant>) -> Self {
        Self { work, latest, state: State::Next, succeeded: 0, failed: 0 }
    }

    /// What is to be done now; a request is sent under the number `call`. Nothing if it waits, or is over.
    pub(super) fn next(&mut self, now: Instant, client: &mut ClientBucket, call: u64) -> Option<Want> {
        if let State::Sent(sent) = self.state {
            // The request ends with the time that the series has.
            return self.latest.is_some_and(|latest| latest <= now).then(|| {
                self.failed += 1;
                self.state = State::Over;
                Want::Abandon(sent)
            });
        }
        if self.state == State::Next && self.left() > 0 {
            self.state = match client.take(now, self.latest) {
                Some(at) => State::Waiting(at),
                None => self.out_of_time(now),
            };
        }
        match self.state {
            State::Waiting(at) if at <= now => {
                self.state = State::Sent(call);
                Some(match &mut self.work {
                    Work::Create(left) => {
                        *left -= 1;
                        Want::Create
                    }
                    Work::Delete(names) => Want::Delete(names.pop_front()?),
                })
            }
            _ => None,
        }
    }

    /// The next request would be sent too late. Before the time is up, all creations are tried in vain; of
    /// deletions, and once it is up, only one.
    fn out_of_time(&mut self, now: Instant) -> State {
        let up = self.latest.is_some_and(|latest| latest < now);
        self.failed += match &self.work {
            Work::Create(left) if !up => *left,
            Work::Create(_) | Work::Delete(_) => 1,
        };
        State::Over
    }

    /// The request of that number was answered. Whether it was one of this series.
    pub(super) fn answered(&mut self, call: u64, done: bool) -> bool {
        if self.state != State::Sent(call) {
            return false;
        }
        let goes_on = done || matches!(self.work, Work::Create(_));
        self.state = if goes_on { State::Next } else { State::Over };
        *(if done { &mut self.succeeded } else { &mut self.failed }) += 1;
        true
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        match self.state {
            State::Over => true,
            State::Next => self.left() == 0,
            State::Waiting(_) | State::Sent(_) => false,
        }
    }

    /// The request that is under way.
    pub(super) fn under_way(&self) -> Option<u64> {
        if let State::Sent(call) = self.state { Some(call) } else { None }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(at) => Some(at),
            State::Sent(_) => self.latest,
            State::Next | State::Over => None,
        }
    }

    fn left(&self) -> u64 {
        match &self.work {
            Work::Create(left) => *left,
            Work::Delete(names) => u64::try_from(names.len()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a series whose requests take `latency`, and says when each was sent.
    fn sent(series: &mut Series, latency: u64, succeeds: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut client = ClientBucket::new(Instant(0));
        let (mut now, mut sent) = (Instant(0), Vec::new());
        while !series.is_over() {
            match series.next(now, &mut client, now.0) {
                Some(Want::Abandon(_)) => break,
                Some(_) => {
                    sent.push(now.0);
                    let answer = Instant(now.0 + latency);
                    let ends = series.next_deadline().filter(|end| *end < answer);
                    now = ends.unwrap_or(answer);
                    if ends.is_none() {
                        assert!(
                            series.answered(series.under_way().expect("a request"), succeeds(sent.len()))
                        );
                    }
                }
                None => now = series.next_deadline().unwrap_or(now),
            }
        }
        sent
    }

    fn names(number: usize) -> Work {
        Work::Delete((0..number).map(|place| format!("agents-{place}").into()).collect())
    }

    #[test]
    fn requests_follow_each_other_and_after_thirty_every_50_ms() {
        let mut series = Series::new(Work::Create(40), None);
        let sent = sent(&mut series, 1, |_| true);
        assert_eq!(sent[..3], [0, 1, 2]);
        // 30 and what 30 ms brought; then one for each 50 ms.
        assert_eq!(sent[29], 29);
        assert_eq!(sent[39], 500);
        assert_eq!((series.succeeded, series.failed), (40, 0));
    }

    #[test]
    fn a_slow_server_is_slower_than_the_client() {
        let sent = sent(&mut Series::new(Work::Create(40), None), 100, |_| true);
        assert_eq!(sent[39], 3900);
    }

    #[test]
    fn a_creation_that_fails_is_passed_over_and_a_deletion_is_the_last() {
        let mut series = Series::new(Work::Create(5), None);
        assert_eq!(sent(&mut series, 1, |number| number != 2).len(), 5);
        assert_eq!((series.succeeded, series.failed), (4, 1));
        let mut series = Series::new(names(5), None);
        assert_eq!(sent(&mut series, 1, |number| number != 2).len(), 2);
        assert_eq!((series.succeeded, series.failed), (1, 1));
    }

    #[test]
    fn what_does_not_fit_into_the_time_fails_at_once() {
        // One second: 30, and one more for each 50 ms before its end.
        let mut series = Series::new(Work::Create(100), Some(Instant(1000)));
        let sent = sent(&mut series, 1, |_| true);
        assert_eq!((sent.len(), sent[48]), (49, 950));
        assert_eq!((series.succeeded, series.failed), (49, 51));
    }

    #[test]
    fn the_request_under_way_when_the_time_is_up_is_the_last_that_fails() {
        let mut series = Series::new(Work::Create(3), Some(Instant(1000)));
        assert_eq!(sent(&mut series, 600, |_| true), [0, 600]);
        assert_eq!((series.succeeded, series.failed), (1, 1));
    }

    #[test]
    fn answers_to_other_requests_are_not_taken() {
        let mut series = Series::new(Work::Create(1), None);
        assert_eq!(series.next(Instant(0), &mut ClientBucket::new(Instant(0)), 7), Some(Want::Create));
        assert!(!series.answered(6, true));
        assert!(series.answered(7, true));
        assert!(!series.answered(7, true));
        assert!(series.is_over());
    }
}
