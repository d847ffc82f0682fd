//! A controller's client: its bucket of requests, and its events, which take from the same bucket.

use model::{Instant, Millis};

/// Events of one object at once before they are dropped (client-go 0.35.4, `tools/record/events_cache.go`,
/// `defaultSpamBurst`).
const EVENT_BURST: u32 = 25;
/// One more event of an object after that long, from the same file (`defaultSpamQPS`).
const EVENT_REFILL: Millis = Millis::seconds(300);
/// Events that wait to be written; more are dropped (client-go 0.35.4, `tools/record/event.go`,
/// `maxQueuedEvents`).
const EVENT_QUEUE: u32 = 1000;

/// A token bucket that is full at first.
///
/// Source: client-go 0.35.4, `util/flowcontrol/throttle.go`, which is `golang.org/x/time/rate`: who
/// asks is served in order, after a wait if need be.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    /// Microseconds until a token more.
    interval: u64,
    /// How many microseconds the last token taken may lie ahead.
    ahead: u64,
    /// When the bucket is full again.
    full: u64,
}

impl Bucket {
    /// `qps` tokens a second, at most `burst` at once; both at least one.
    pub(crate) fn per_second(qps: u32, burst: u32) -> Self {
        Self::new(1_000_000 / u64::from(qps.max(1)), burst)
    }

    fn new(interval: u64, burst: u32) -> Self {
        Self { interval, ahead: interval.saturating_mul(u64::from(burst.max(1))), full: 0 }
    }

    /// One token each `interval`, at most `burst` at once.
    pub(crate) fn every(interval: Millis, burst: u32) -> Self {
        Self::new(interval.0.saturating_mul(1000), burst)
    }

    /// Takes a token: when it may be used.
    pub(crate) fn take(&mut self, now: Instant) -> Instant {
        let micros = now.0.saturating_mul(1000);
        self.full = self.full.max(micros).saturating_add(self.interval);
        Instant(self.full.saturating_sub(self.ahead).max(micros).div_ceil(1000))
    }

    /// Takes a token if there is one now.
    pub(crate) fn try_take(&mut self, now: Instant) -> bool {
        let micros = now.0.saturating_mul(1000);
        let full = self.full.max(micros).saturating_add(self.interval);
        let there = full <= micros.saturating_add(self.ahead);
        if there {
            self.full = full;
        }
        there
    }
}

/// The events about one object that are not dropped as spam.
#[derive(Debug, Clone)]
pub(crate) struct Spam(Bucket);

impl Default for Spam {
    fn default() -> Self {
        Self(Bucket::every(EVENT_REFILL, EVENT_BURST))
    }
}

impl Spam {
    pub(crate) fn passes(&mut self, now: Instant) -> bool {
        self.0.try_take(now)
    }
}

/// A controller's client.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) bucket: Bucket,
    /// Events that wait until the one before is written.
    waiting: u32,
    /// Whether one is being written.
    writing: bool,
}

impl Client {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self { bucket, waiting: 0, writing: false }
    }

    /// An event is to be written: whether now.
    pub(crate) fn record(&mut self) -> bool {
        if self.writing {
            self.waiting = (self.waiting + 1).min(EVENT_QUEUE);
            return false;
        }
        self.writing = true;
        true
    }

    /// One was written: whether another is to be.
    pub(crate) fn recorded(&mut self) -> bool {
        self.writing = self.waiting > 0;
        self.waiting = self.waiting.saturating_sub(1);
        self.writing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_one_each_50_ms() {
        let mut bucket = Bucket::per_second(20, 30);
        let now = Instant(1000);
        assert!((0..30).all(|_| bucket.take(now) == now));
        assert_eq!(bucket.take(now), Instant(1050));
        assert_eq!(bucket.take(now), Instant(1100));
        assert_eq!(bucket.take(Instant(3000)), Instant(3000));
    }

    #[test]
    fn a_bucket_fills_up_to_its_burst_only() {
        let mut bucket = Bucket::per_second(10, 2);
        let now = Instant(60_000);
        assert_eq!(
            [bucket.take(now), bucket.take(now), bucket.take(now)].map(|at| at.0 - now.0),
            [0, 0, 100]
        );
    }

    #[test]
    fn the_26th_event_of_an_object_is_dropped() {
        let mut spam = Spam::default();
        assert_eq!((0..30).filter(|_| spam.passes(Instant(0))).count(), 25);
        assert!(!spam.passes(Instant(299_999)));
        assert!(spam.passes(Instant(300_000)));
    }

    #[test]
    fn events_are_written_one_after_the_other() {
        let mut client = Client::new(Bucket::per_second(20, 30));
        assert!(client.record());
        assert!(!client.record());
        assert!(client.recorded());
        assert!(!client.recorded());
        assert!(client.record());
    }
}
