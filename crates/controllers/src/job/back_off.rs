//! How long a Job's failed pod is not replaced.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/job/backoff_utils.go`.

use model::{Instant, Millis};

/// After the first failure (`pkg/controller/job/job_controller.go`, `DefaultJobPodFailureBackOff`).
pub(crate) const FIRST: Millis = Millis::seconds(10);
/// The longest (the same file, `MaxJobPodFailureBackOff`).
pub(crate) const LONGEST: Millis = Millis::minutes(10);

/// The failures since the last success. It lives in memory only: a restart of the controller-manager forgets
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BackOff {
    failures: u32,
    last: Option<Instant>,
}

impl BackOff {
    /// With pods that have newly succeeded and failed, each by the second in which it ended.
    pub(crate) fn after(self, succeeded: &[Instant], failed: &[Instant]) -> Self {
        let last_failure = failed.iter().max().copied();
        let Some(success) = succeeded.iter().max() else {
            return Self {
                failures: self.failures.saturating_add(crate::ids::next(failed.len())),
                last: last_failure.or(self.last),
            };
        };
        let since = failed.iter().filter(|at| *at > success).count();
        Self { failures: crate::ids::next(since), last: last_failure.filter(|at| at > success) }
    }

    /// How long no pod is created from now on.
    pub(crate) fn left(self, now: Instant) -> Millis {
        let (Some(last), Some(doublings)) = (self.last, self.failures.checked_sub(1)) else {
            return Millis::ZERO;
        };
        let doubled = 1_u64.checked_shl(doublings).map_or(LONGEST.0, |factor| FIRST.0.saturating_mul(factor));
        Millis(doubled.min(LONGEST.0)) - now.since(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant(100_000);

    #[test]
    fn the_delay_doubles_from_10_s_to_10_min() {
        let left = |failures| BackOff { failures, last: Some(AT) }.left(AT).0 / 1000;
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8, 70].map(left), [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert_eq!(left(0), 0);
    }

    #[test]
    fn the_delay_runs_from_the_last_failure() {
        let back_off = BackOff::default().after(&[], &[Instant(90_000), AT]);
        assert_eq!(back_off.left(AT), Millis::seconds(20));
        assert_eq!(back_off.left(AT + Millis::seconds(15)), Millis::seconds(5));
        assert_eq!(back_off.left(AT + Millis::seconds(25)), Millis::ZERO);
    }

    #[test]
    fn a_success_resets_it() {
        let failed = BackOff::default().after(&[], &[AT]);
        assert_eq!(failed.after(&[AT], &[]), BackOff::default());
        assert_eq!(failed.after(&[AT], &[AT]), BackOff::default());
    }

    #[test]
    fn only_failures_after_the_success_count() {
        let later = AT + Millis::seconds(3);
        let back_off = BackOff { failures: 5, last: Some(AT) }.after(&[AT], &[Instant(1), later]);
        assert_eq!(back_off, BackOff { failures: 1, last: Some(later) });
    }

    #[test]
    fn without_news_it_stays() {
        let failed = BackOff::default().after(&[], &[AT]);
        assert_eq!(failed.after(&[], &[]), failed);
    }
}
