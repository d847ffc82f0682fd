//! Instants as the API writes them.

use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use model::Instant;

/// In whole seconds, as `metav1.Time`.
pub(super) fn seconds(clock: &Clock, instant: Instant) -> String {
    format!("{:.0}", timestamp(clock, instant))
}

/// With microseconds, as `metav1.MicroTime`.
pub(super) fn microseconds(clock: &Clock, instant: Instant) -> String {
    format!("{:.6}", timestamp(clock, instant))
}

fn timestamp(clock: &Clock, instant: Instant) -> Timestamp {
    let date = SignedDuration::try_from(clock.date(instant)).unwrap_or(SignedDuration::MAX);
    Timestamp::from_duration(date).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_precision_that_the_api_reads() {
        let clock = Clock::start(1);
        let (whole, fine) = (seconds(&clock, Instant(1)), microseconds(&clock, Instant(1)));
        assert!(whole.ends_with('Z') && !whole.contains('.'), "{whole}");
        assert_eq!(fine.len(), "2026-01-01T00:00:00.000000Z".len(), "{fine}");
        assert_eq!(whole[..19], fine[..19]);
    }
}
