//! CrashLoopBackOff: when a container that ended is started again.

use model::stream::below;
use model::{Instant, Millis};
use rand_chacha::ChaCha8Rng;

/// The first delay. Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet.go`, `newCrashLoopBackOff` with
/// `initialCrashLoopBackOff`.
pub const FIRST_DELAY: Millis = Millis::seconds(10);
/// The longest delay. Source: as above, `MaxCrashLoopBackOff`.
pub const LONGEST_DELAY: Millis = Millis::seconds(300);
/// A container that ends longer than this after its last restart starts over without delay.
/// Source: as above, `crashLoopBackOff.HasExpiredFunc`.
pub const FORGOTTEN_AFTER: Millis = Millis::seconds(600);
/// The kubelet looks again at least this often. Source: as above, `SyncFrequency`, used by
/// `pod_workers.go`, `completeWork`.
pub const LONGEST_STEP: Millis = Millis::seconds(60);
/// How much longer than asked a step may take: half. Source: `pod_workers.go`,
/// `workerBackOffPeriodJitterFactor`.
const JITTER_PERMILLE: u64 = 500;

/// One container's back-off. It dies with the pod.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackOff {
    /// The delay that counts for the next exit; none before the first restart.
    delay: Option<Millis>,
    /// When the delay was last raised: at the last restart.
    raised: Instant,
}

impl BackOff {
    /// How long a container that exited at `exit` has to wait, counted from its exit.
    #[must_use]
    pub fn delay_after(&self, exit: Instant) -> Millis {
        match self.delay {
            Some(delay) if !self.forgotten(exit) => delay,
            _ => Millis::ZERO,
        }
    }

    /// When a container that exited at `exit` is started again, with the kubelet's jitter.
    ///
    /// The kubelet comes back after what remains of the delay, at the most a minute, prolonged by
    /// up to half; if the delay is not over by then, once more. Source: Kubernetes 1.35.4,
    /// `pkg/kubelet/pod_workers.go`, `completeWork`; `kuberuntime_manager.go`, `doBackOff`.
    #[must_use]
    pub fn restart_at(&self, exit: Instant, random: &mut ChaCha8Rng) -> Instant {
        let over = exit + self.delay_after(exit);
        let mut at = exit;
        while at < over {
            at += jittered(over.since(at).min(LONGEST_STEP), random);
        }
        at
    }

    /// The container that exited at `exit` is started again at `now`: the next delay is twice as long.
    ///
    /// Source: client-go 0.35.4, `util/flowcontrol/backoff.go`, `Next`.
    pub fn restarted(&mut self, now: Instant, exit: Instant) {
        self.delay = Some(match self.delay {
            Some(delay) if !self.forgotten(exit) => (delay + delay).min(LONGEST_DELAY),
            _ => FIRST_DELAY,
        });
        self.raised = now;
    }

    fn forgotten(&self, exit: Instant) -> bool {
        exit.since(self.raised) > FORGOTTEN_AFTER
    }
}

/// `span`, prolonged by up to half. At least a millisecond, so that waiting gets somewhere.
///
/// Source: `k8s.io/apimachinery`, `pkg/util/wait/backoff.go`, `Jitter`.
pub(crate) fn jittered(span: Millis, random: &mut ChaCha8Rng) -> Millis {
    let most = span.0.saturating_mul(JITTER_PERMILLE) / 1000;
    Millis(span.0 + below(random, most + 1)).max(Millis(1))
}

#[cfg(test)]
mod tests {
    use model::stream::stream;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delays_double_from_ten_seconds_to_five_minutes() {
        let (mut back_off, mut now, mut delays) = (BackOff::default(), Instant(0), Vec::new());
        for _ in 0..9 {
            now += Millis::seconds(1);
            let delay = back_off.delay_after(now);
            back_off.restarted(now + delay, now);
            now += delay;
            delays.push(delay.0 / 1000);
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_for_ten_minutes_starts_over() {
        let mut back_off = BackOff::default();
        back_off.restarted(Instant(0), Instant(0));
        back_off.restarted(Instant(1000), Instant(500));
        let kept = Instant(1000) + FORGOTTEN_AFTER;
        assert_eq!(back_off.delay_after(kept), Millis::seconds(20));
        let forgotten = kept + Millis(1);
        assert_eq!(back_off.delay_after(forgotten), Millis::ZERO);
        back_off.restarted(forgotten, forgotten);
        assert_eq!(back_off.delay_after(forgotten + Millis(1)), FIRST_DELAY);
    }

    #[test]
    fn the_first_restart_comes_at_once() {
        let exit = Instant(77_000);
        assert_eq!(BackOff::default().restart_at(exit, &mut stream(1, "test")), exit);
    }

    proptest! {
        #[test]
        fn a_restart_waits_its_delay_and_at_the_most_half_of_it_more(seed: u64, restarts in 1_usize..8) {
            let (mut back_off, mut random, mut now) = (BackOff::default(), stream(seed, "test"), Instant(0));
            for _ in 0..restarts {
                back_off.restarted(now, now);
                now += Millis(1);
            }
            let (delay, at) = (back_off.delay_after(now), back_off.restart_at(now, &mut random));
            prop_assert!(at.since(now) >= delay);
            prop_assert!(at.since(now).0 <= delay.0 * 3 / 2 + 1);
        }
    }
}
