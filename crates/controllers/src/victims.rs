//! Which pods a ReplicaSet deletes first.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/controller_utils.go`, `ActivePodsWithRanks.Less`.

use std::cmp::{Ordering, Reverse};

use model::Instant;

use crate::ids::{PodId, Uid};
use crate::pod::{Phase, Restarts};

/// What the order looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The pod.
    pub pod: PodId,
    /// Whether it has a node.
    pub assigned: bool,
    /// Its phase.
    pub phase: Phase,
    /// Since which whole second it has been ready, if it is.
    pub ready: Option<Instant>,
    /// Its deletion cost.
    pub cost: i32,
    /// Active pods of the same Deployment on its node.
    pub rank: u32,
    /// Its UID.
    pub uid: Uid,
    /// Its restarts.
    pub restarts: Restarts,
    /// The whole second of its creation.
    pub created: Instant,
}

/// Whether `one` goes before `other`.
///
/// This is no order in the strict sense: pods of one second are compared by what follows, pods of other
/// seconds by their UIDs, so three pods can go round in a circle.
#[must_use]
pub fn compare(one: &Candidate, other: &Candidate, now: Instant) -> Ordering {
    let first = (one.assigned.cmp(&other.assigned))
        .then(one.phase.cmp(&other.phase))
        .then(one.ready.is_some().cmp(&other.ready.is_some()))
        .then(one.cost.cmp(&other.cost))
        .then(Reverse(one.rank).cmp(&Reverse(other.rank)));
    if first.is_ne() {
        return first;
    }
    if let (Some(since), Some(other_since)) = (one.ready, other.ready)
        && since != other_since
    {
        return younger_first(since, other_since, now).then(one.uid.cmp(&other.uid));
    }
    let restarts =
        |candidate: &Candidate| Reverse((candidate.restarts.most, candidate.restarts.most_of_sidecars));
    let second = restarts(one).cmp(&restarts(other));
    if second.is_ne() || one.created == other.created {
        return second;
    }
    younger_first(one.created, other.created, now).then(one.uid.cmp(&other.uid))
}

/// The age's power of two, in nanoseconds.
///
/// Source: the same file, `logarithmicRankDiff`.
fn younger_first(one: Instant, other: Instant, now: Instant) -> Ordering {
    let power = |at: Instant| {
        let nanoseconds = now.since(at).0.saturating_mul(1_000_000);
        nanoseconds.checked_ilog2()
    };
    power(one).cmp(&power(other))
}

/// Sorts candidates, those that go first in front. What counts as equal keeps its order.
///
/// A merge sort of our own: the standard library's may panic if the order goes round in a circle.
pub fn sort(candidates: &mut Vec<Candidate>, now: Instant) {
    let mut merged = Vec::with_capacity(candidates.len());
    let mut width = 1;
    while width < candidates.len() {
        merged.clear();
        for pair in candidates.chunks(2 * width) {
            let (left, right) = pair.split_at(width.min(pair.len()));
            merge(left, right, now, &mut merged);
        }
        std::mem::swap(candidates, &mut merged);
        width *= 2;
    }
}

fn merge(mut left: &[Candidate], mut right: &[Candidate], now: Instant, merged: &mut Vec<Candidate>) {
    while let ([first, rest @ ..], [other, others @ ..]) = (left, right) {
        if compare(other, first, now).is_lt() {
            merged.push(*other);
            right = others;
        } else {
            merged.push(*first);
            left = rest;
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Instant = Instant(10_000_000);

    fn candidate(pod: u32) -> Candidate {
        Candidate {
            pod: PodId(pod),
            assigned: true,
            phase: Phase::Running,
            ready: Some(Instant(9_000_000)),
            cost: 0,
            rank: 1,
            uid: Uid(u128::from(pod)),
            restarts: Restarts::default(),
            created: Instant(8_000_000),
        }
    }

    /// The first goes before the second, whatever their order was.
    fn goes_first(one: Candidate, other: Candidate) {
        for mut candidates in [vec![one, other], vec![other, one]] {
            sort(&mut candidates, NOW);
            assert_eq!(candidates[0], one);
        }
    }

    #[test]
    fn a_pod_without_a_node_goes_first() {
        let unassigned = Candidate { assigned: false, phase: Phase::Pending, ready: None, ..candidate(1) };
        goes_first(unassigned, candidate(0));
        goes_first(unassigned, Candidate { phase: Phase::Pending, ready: None, ..candidate(0) });
    }

    #[test]
    fn a_pending_pod_goes_before_a_running_one() {
        let pending = Candidate { phase: Phase::Pending, ready: None, ..candidate(1) };
        goes_first(pending, candidate(0));
        goes_first(pending, Candidate { ready: None, cost: -5, ..candidate(0) });
    }

    #[test]
    fn a_pod_that_is_not_ready_goes_before_one_that_is() {
        goes_first(Candidate { ready: None, ..candidate(1) }, candidate(0));
        goes_first(Candidate { ready: None, cost: 100, ..candidate(1) }, candidate(0));
    }

    #[test]
    fn a_lower_deletion_cost_goes_first() {
        goes_first(Candidate { cost: -1, ..candidate(1) }, candidate(0));
        goes_first(candidate(1), Candidate { cost: 1, rank: 9, ..candidate(0) });
    }

    #[test]
    fn a_crowded_node_goes_first() {
        goes_first(Candidate { rank: 2, ..candidate(1) }, candidate(0));
        let older = Candidate { rank: 2, ready: Some(Instant(1_000_000)), ..candidate(1) };
        goes_first(older, candidate(0));
    }

    #[test]
    fn a_pod_that_is_ready_for_half_the_time_goes_first() {
        // 100 s and 1000 s lie in different powers of two, whatever the UIDs say.
        let ready = |pod, since| Candidate { ready: Some(Instant(since)), ..candidate(pod) };
        goes_first(ready(1, 9_900_000), ready(0, 9_000_000));
        goes_first(ready(1, 9_730_000), ready(0, 9_720_000));
    }

    #[test]
    fn within_a_power_of_two_the_smaller_uid_goes_first() {
        // 280 s and 540 s are both below 549.7 s and above 274.8 s.
        let ready = |pod, since| Candidate { ready: Some(Instant(since)), ..candidate(pod) };
        goes_first(ready(0, 9_460_000), ready(1, 9_720_000));
        goes_first(ready(0, 9_720_000), ready(1, 9_460_000));
    }

    #[test]
    fn of_the_same_second_the_one_with_more_restarts_goes_first() {
        let restarted = |pod, most, most_of_sidecars| Candidate {
            restarts: Restarts { most, most_of_sidecars, sum: 0 },
            ..candidate(pod)
        };
        goes_first(restarted(1, 1, 0), restarted(0, 0, 7));
        goes_first(restarted(1, 1, 1), restarted(0, 1, 0));
    }

    #[test]
    fn of_the_same_second_the_newer_goes_first() {
        let created = |pod, at| Candidate { created: Instant(at), ..candidate(pod) };
        goes_first(created(1, 9_900_000), created(0, 8_000_000));
        goes_first(created(0, 8_000_000), created(1, 8_100_000));
    }

    #[test]
    fn what_is_equal_in_everything_keeps_its_order() {
        let mut candidates = vec![candidate(3), candidate(1), candidate(2)];
        sort(&mut candidates, NOW);
        assert_eq!(candidates.iter().map(|candidate| candidate.pod.0).collect::<Vec<_>>(), [3, 1, 2]);
    }

    proptest! {
        #[test]
        fn sorting_loses_nobody(seconds in prop::collection::vec((0_u64..4, 0_u64..4, 0_u32..2, 0_u32..50), 0..60)) {
            let mut candidates: Vec<_> = (0..).zip(&seconds).map(|(pod, (ready, created, rank, uid))| Candidate {
                ready: Some(Instant(ready * 1000)), created: Instant(created * 1000), rank: *rank,
                uid: Uid(u128::from(*uid)), ..candidate(pod)
            }).collect();
            sort(&mut candidates, NOW);
            let mut pods: Vec<_> = candidates.iter().map(|candidate| candidate.pod.0).collect();
            pods.sort_unstable();
            prop_assert!(pods.into_iter().eq(0..u32::try_from(seconds.len()).unwrap()));
        }
    }
}
