//! The one place that reads a wall clock or sleeps.
//!
//! A [`Clock`] maps the wall clock to scenario time: it knows when the run
//! began and how many times faster than real its time goes. Everything that
//! belongs to the run waits through it. [`wall`] holds the protective waits of
//! the harness itself (is it ready, did it connect, is it gone), which must not
//! shrink with the speed.

#![expect(clippy::disallowed_methods, reason = "this is the crate that the ban points to")]

pub mod dilation;
pub mod wall;

use std::future::Future;
use std::time::{Duration, Instant as WallInstant, SystemTime, UNIX_EPOCH};

use model::{Instant, Millis};

/// Scenario time as a function of the wall clock. Copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: WallInstant,
    /// Scenario time at `started`.
    at: Instant,
    epoch: Duration,
    speed: u32,
}

/// Scenario time that is over before a wait was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl Clock {
    /// A clock whose scenario time is zero now and that runs `speed` times faster than the wall clock.
    ///
    /// # Panics
    /// If `speed` is zero.
    #[must_use]
    pub fn start(speed: u32) -> Self {
        assert!(speed > 0, "a clock must move");
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: WallInstant::now(), at: Instant::START, epoch, speed }
    }

    /// A clock that goes on where another one was: it is `at` now, counted from the same date.
    ///
    /// # Panics
    /// If `speed` is zero.
    #[must_use]
    pub fn resume(speed: u32, epoch: Duration, at: Instant) -> Self {
        Self { at, epoch, ..Self::start(speed) }
    }

    /// A clock whose scenario time is zero now and whose date agrees with processes that were told
    /// that time runs faster since `dilated_since` (a real date, since 1970).
    #[must_use]
    pub fn join(speed: u32, dilated_since: Duration) -> Self {
        let mut clock = Self::start(speed);
        let lived = clock.epoch.saturating_sub(dilated_since);
        clock.epoch = dilated_since + lived * speed;
        clock
    }

    /// How many times faster than the wall clock this clock runs.
    #[must_use]
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// The instant of scenario time that it is now.
    #[must_use]
    pub fn now(&self) -> Instant {
        let scaled = self.started.elapsed() * self.speed;
        self.at + Millis(u64::try_from(scaled.as_millis()).unwrap_or(u64::MAX))
    }

    /// The date at scenario time zero, since 1970, as every dilated process sees it.
    #[must_use]
    pub fn epoch(&self) -> Duration {
        self.epoch
    }

    /// The date at `instant`, since 1970.
    #[must_use]
    pub fn date(&self, instant: Instant) -> Duration {
        self.epoch + Duration::from_millis(instant.0)
    }

    /// The instant of a date (since 1970); zero for dates before the run.
    #[must_use]
    pub fn instant_of(&self, date: Duration) -> Instant {
        Instant(u64::try_from(date.saturating_sub(self.epoch).as_millis()).unwrap_or(u64::MAX))
    }

    /// How long `span` takes on the wall.
    #[must_use]
    pub fn on_the_wall(&self, span: Millis) -> Duration {
        Duration::from_millis(span.0) / self.speed
    }

    /// Waits until scenario time is `instant`.
    pub async fn sleep_until(&self, instant: Instant) {
        tokio::time::sleep_until(self.due(instant).into()).await;
    }

    /// Waits for `future`, at the longest until scenario time is `instant`.
    ///
    /// # Errors
    /// [`Elapsed`] if the instant came first.
    pub async fn timeout<F: Future>(&self, instant: Instant, future: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout_at(self.due(instant).into(), future).await.map_err(|_| Elapsed)
    }

    /// When it is `instant`, on the wall.
    fn due(&self, instant: Instant) -> WallInstant {
        self.started + self.on_the_wall(instant.since(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenario_time_runs_faster_than_the_wall() {
        let clock = Clock::start(20);
        assert_eq!(clock.on_the_wall(Millis::seconds(300)), Duration::from_secs(15));
        assert_eq!(clock.instant_of(clock.date(Instant(1234))), Instant(1234));
    }

    #[test]
    fn a_clock_that_joins_agrees_about_the_date() {
        // What lies between two looks at the wall clock counts twenty times; the machine does not stall every time.
        let drift = || {
            let first = Clock::start(20);
            let second = Clock::join(20, first.epoch());
            second.date(second.now()).abs_diff(first.date(first.now()))
        };
        let least = (0..100).map(|_| drift()).min().expect("a hundred of them");
        assert!(least < Duration::from_secs(1), "the dates differ by {least:?}");
    }

    #[tokio::test]
    async fn a_clock_goes_on_where_another_one_was() {
        let epoch = Duration::from_secs(1_700_000_000);
        let clock = Clock::resume(60, epoch, Instant(5_000_000));
        let now = clock.now();
        assert!(now >= Instant(5_000_000) && now < Instant(5_000_000) + Millis::minutes(60), "{now:?}");
        assert_eq!(clock.date(Instant::START), epoch);
        // An instant that is over is not waited for; one to come is not over at once.
        clock.sleep_until(Instant(1)).await;
        let soon = clock.now() + Millis(60);
        clock.sleep_until(soon).await;
        assert!(clock.now() >= soon);
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_future_or_with_its_instant() {
        let clock = Clock::start(60);
        assert_eq!(clock.timeout(clock.now() + Millis::minutes(60), async { 7 }).await, Ok(7));
        let soon = clock.now() + Millis(60);
        assert_eq!(clock.timeout(soon, std::future::pending::<()>()).await, Err(Elapsed));
        assert!(clock.now() >= soon);
    }
}
