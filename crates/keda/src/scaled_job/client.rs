//! How fast the operator talks to the API about Jobs.

use model::{Instant, Millis};

/// Requests a second (K:cmd/operator/main.go, `--kube-api-qps`).
pub const QPS: u64 = 20;
/// Requests at once (K:cmd/operator/main.go, `--kube-api-burst`).
pub const BURST: u64 = 30;
/// A request's worth of the bucket, so that everything is a whole number.
const REQUEST: u64 = 1000 / QPS;
/// As full as the bucket gets.
const FULL: i64 = (BURST * REQUEST).cast_signed();

/// The token bucket of the operator's client for Jobs, which all ScaledJobs share
/// (client-go `util/flowcontrol`, `tokenBucketRateLimiter`, which is golang.org/x/time/rate;
/// controller-runtime's client has one REST client, and so one bucket, per kind).
#[derive(Debug, Clone)]
pub struct ClientBucket {
    /// In milliseconds of refilling; negative if requests that wait were promised more than there is.
    level: i64,
    filled: Instant,
}

impl ClientBucket {
    /// A full bucket: the operator has started.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { level: FULL, filled: now }
    }

    /// When the next request may be sent; the request is counted. Nothing, and it is not counted,
    /// if that is not before `latest` (x/time/rate, `WaitN`: it fails at once).
    pub fn take(&mut self, now: Instant, latest: Option<Instant>) -> Option<Instant> {
        let refilled = i64::try_from(now.since(self.filled).0).unwrap_or(FULL);
        self.level = self.level.saturating_add(refilled).min(FULL);
        self.filled = self.filled.max(now);
        let left = self.level - REQUEST.cast_signed();
        let at = now + Millis(left.min(0).unsigned_abs());
        if latest.is_some_and(|latest| latest <= at) {
            return None;
        }
        self.level = left;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(bucket: &mut ClientBucket, now: u64, number: usize) -> u64 {
        let last = (0..number).filter_map(|_| bucket.take(Instant(now), None)).last();
        last.expect("a request").0
    }

    #[test]
    fn thirty_requests_go_at_once_and_then_twenty_a_second() {
        let mut bucket = ClientBucket::new(Instant(0));
        assert_eq!(sent(&mut bucket, 0, 30), 0);
        assert_eq!(sent(&mut bucket, 0, 1), 50);
        assert_eq!(sent(&mut bucket, 0, 20), 1050);
    }

    #[test]
    fn a_second_brings_twenty_and_the_bucket_never_holds_more_than_thirty() {
        let mut bucket = ClientBucket::new(Instant(0));
        sent(&mut bucket, 0, 30);
        assert_eq!(sent(&mut bucket, 1000, 20), 1000);
        assert_eq!(sent(&mut bucket, 1000, 1), 1050);
        assert_eq!(sent(&mut bucket, 100_000, 30), 100_000);
        assert_eq!(sent(&mut bucket, 100_000, 1), 100_050);
    }

    #[test]
    fn a_request_that_would_come_too_late_is_refused_and_not_counted() {
        let mut bucket = ClientBucket::new(Instant(0));
        sent(&mut bucket, 0, 30);
        assert_eq!(bucket.take(Instant(0), Some(Instant(50))), None);
        assert_eq!(bucket.take(Instant(0), Some(Instant(51))), Some(Instant(50)));
    }
}
