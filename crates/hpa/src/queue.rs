//! When an HPA is synced: the controller's delaying queue, as far as one key is concerned.
//!
//! Everything that happens to an HPA (it is added, updated, resynced by the informer, or its sync
//! ends) puts its key into the queue with a delay of 15 s; a key that waits already keeps the earlier
//! time. So a sync normally begins 15 s after the last one ended, and earlier by at most what the last
//! one took if an event fell into that one.
//!
//! If that event was a resync, the next sync falls on the next resync. The two timers then run a few
//! microseconds apart, the sync's first, so that the resync falls into that sync as well, and so on
//! until the machine is late with one of them: see [`STUCK`].
//!
//! Sources: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`, `enqueueHPA`,
//! `processNextWorkItem`, and `rate_limiters.go`; client-go 0.35.4, `util/workqueue/delaying_queue.go`,
//! `insert`, and `queue.go`.

use model::{Instant, Millis};

use crate::rules::SYNC_PERIOD;

/// How many syncs that fall on a resync are followed by another one that does. Chance in reality: in
/// twelve runs of Kubernetes 1.35.4 the interval was 15.0 s, without the time that a sync takes, two to
/// eight times in a row whenever syncs and resyncs met.
pub(crate) const STUCK: u8 = 4;

/// One key's place in the queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    /// When the key's delay is over.
    waiting: Option<Instant>,
    /// The delay was over while the key was being worked on: it is worked on again at once.
    again: bool,
    work: Work,
    /// An instant at which the informer resyncs; it does so every 15 s.
    resync: Option<Instant>,
    /// Up to when resyncs have been taken into account.
    seen: Instant,
    /// How many syncs in a row fell on a resync.
    stuck: u8,
}

/// Whether the key is being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Work {
    #[default]
    No,
    Open,
    Until(Instant),
}

impl Queue {
    /// An event at `now`.
    pub(crate) fn touch(&mut self, now: Instant) {
        self.settle(now);
        self.add(now);
    }

    /// Takes into account what happened by itself up to `now`.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.work == Work::Open {
            self.catch_up(now);
        }
    }

    /// When work on the key begins.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.work {
            Work::Open => None,
            Work::Until(end) if self.again => Some(end),
            Work::Until(end) => self.waiting.map(|at| at.max(end)),
            Work::No => self.waiting,
        }
    }

    /// Work on the key begins.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.again {
            self.again = false;
        } else {
            self.waiting = None;
        }
        self.work = Work::Open;
        self.seen = now;
        let on_resync = self.since_resync(now) == Some(Millis::ZERO);
        if on_resync && self.stuck < STUCK {
            self.stuck += 1;
            self.add(now);
        } else {
            self.stuck = 0;
        }
    }

    /// Work on the key ends at `end`, and it is put back.
    pub(crate) fn end(&mut self, end: Instant) {
        self.catch_up(end);
        self.add(end);
        self.work = Work::Until(end);
    }

    /// Work on the key ends: its object is gone, so it is not put back.
    pub(crate) fn drop_key(&mut self) {
        self.work = Work::No;
    }

    /// Whether anything is to come.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none() && !self.again && self.work != Work::Open
    }

    /// Everything that waited is gone with the process.
    pub(crate) fn clear(&mut self) {
        (self.waiting, self.again, self.work) = (None, false, Work::No);
    }

    /// Puts the key's time at `at`, whatever it was.
    pub(crate) fn align(&mut self, at: Instant) {
        (self.waiting, self.again) = (Some(at), false);
    }

    /// The informer resyncs at `phase` and every 15 s before and after it; nothing: never.
    pub(crate) fn resync_at(&mut self, phase: Option<Instant>) {
        self.resync = phase;
    }

    fn add(&mut self, now: Instant) {
        let at = now + SYNC_PERIOD;
        self.waiting = Some(self.waiting.map_or(at, |earlier| earlier.min(at)));
    }

    /// What happened up to `now` while the key was being worked on. Resyncs at any other time change
    /// nothing, since an earlier entry waits then.
    fn catch_up(&mut self, now: Instant) {
        while let Some(tick) = self.next_resync().filter(|&tick| tick <= now) {
            self.expire(tick);
            self.add(tick);
            self.seen = tick;
        }
        self.expire(now);
        self.seen = self.seen.max(now);
    }

    /// The delay is over while the key is being worked on.
    fn expire(&mut self, now: Instant) {
        if self.waiting.is_some_and(|at| at <= now) {
            self.waiting = None;
            self.again = true;
        }
    }

    /// The first resync after `seen`.
    fn next_resync(&self) -> Option<Instant> {
        Some(self.seen + (SYNC_PERIOD - self.since_resync(self.seen)?))
    }

    /// How long the last resync is ago, as if there had always been some.
    fn since_resync(&self, now: Instant) -> Option<Millis> {
        let period = SYNC_PERIOD.0;
        let phase = self.resync?.0 % period;
        Some(Millis((now.0 % period + period - phase) % period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant(millis)
    }

    /// A queue whose key was added at zero and is worked on from 15 s on.
    fn working() -> Queue {
        let mut queue = Queue::default();
        queue.touch(at(0));
        assert_eq!(queue.due(), Some(at(15_000)));
        queue.begin(at(15_000));
        assert_eq!(queue.due(), None);
        queue
    }

    #[test]
    fn the_next_sync_begins_15_s_after_the_last_one_ended() {
        let mut queue = working();
        queue.end(at(15_020));
        assert_eq!(queue.due(), Some(at(30_020)));
    }

    #[test]
    fn an_earlier_entry_wins() {
        let mut queue = working();
        queue.end(at(15_020));
        queue.touch(at(20_000));
        assert_eq!(queue.due(), Some(at(30_020)));
    }

    #[test]
    fn an_event_during_a_sync_brings_the_next_one_forward() {
        let mut queue = working();
        queue.touch(at(15_005));
        queue.end(at(15_020));
        assert_eq!(queue.due(), Some(at(30_005)));
    }

    #[test]
    fn a_resync_during_a_sync_brings_the_next_one_forward() {
        let mut queue = working();
        queue.resync_at(Some(at(7)));
        queue.end(at(15_020));
        assert_eq!(queue.due(), Some(at(30_007)));
    }

    #[test]
    fn a_resync_at_any_other_time_changes_nothing() {
        for phase in [21, 10_000, 14_999] {
            let mut queue = working();
            queue.resync_at(Some(at(phase)));
            queue.end(at(15_020));
            assert_eq!(queue.due(), Some(at(30_020)), "{phase}");
        }
    }

    #[test]
    fn syncs_stick_to_the_resyncs_for_a_while_when_they_meet() {
        let mut queue = working();
        queue.resync_at(Some(at(7)));
        let mut begins = Vec::new();
        for _ in 0..=STUCK + 2 {
            let end = queue.seen + Millis(20);
            queue.end(end);
            let begin = queue.due().expect("a time");
            queue.begin(begin);
            begins.push(begin.0);
        }
        assert_eq!(begins[..5], [30_007, 45_007, 60_007, 75_007, 90_007]);
        assert_eq!(begins[5..], [105_027, 120_047], "and then by what a sync takes");
    }

    #[test]
    fn a_sync_that_outlasts_the_delay_is_followed_by_another_at_once() {
        let mut queue = working();
        queue.resync_at(Some(at(20_000)));
        queue.end(at(75_000));
        assert_eq!(queue.due(), Some(at(75_000)));
        queue.begin(at(75_000));
        queue.end(at(75_020));
        assert_eq!(queue.due(), Some(at(80_000)), "by the resync at 65 s, whose delay went on");
    }

    #[test]
    fn a_long_sync_without_any_event_is_followed_after_15_s() {
        let mut queue = working();
        queue.end(at(75_000));
        assert_eq!(queue.due(), Some(at(90_000)));
    }

    #[test]
    fn no_sync_begins_before_the_last_one_ended() {
        let mut queue = working();
        queue.end(at(15_020));
        queue.align(at(15_010));
        assert_eq!(queue.due(), Some(at(15_020)));
    }
}
