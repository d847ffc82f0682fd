//! What one metric asks for, before any window or limit.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/replica_calculator.go`. Numbers are
//! converted as Go does it on amd64, in the same order of operations: whether eleven jobs are within
//! the tolerance of ten pods depends on the last bit.

use crate::desired::View;
use crate::rules::{KubernetesRules, TOLERANCE, ToleranceForm};
use crate::spec::{Behavior, Target};

/// What one metric asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// So many replicas. Negative if a `Value` metric is.
    pub replicas: i32,
    /// What the HPA's status says: thousandths for each pod, or in all for `Value`.
    pub shown: i64,
    /// Whether the usage is within the tolerance.
    pub tolerated: bool,
}

/// How far from one the ratio of usage and target may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerances {
    form: ToleranceForm,
    down: f64,
    up: f64,
}

impl Tolerances {
    /// Those that count for an HPA with this behavior. Source: `horizontal.go`, `tolerancesForHpa`.
    #[must_use]
    pub fn of(rules: &KubernetesRules, behavior: Option<&Behavior>) -> Self {
        let own = behavior.filter(|_| rules.tolerance_by_direction);
        Self {
            form: rules.tolerance_form,
            down: own.and_then(|behavior| behavior.down.tolerance).unwrap_or(TOLERANCE),
            up: own.and_then(|behavior| behavior.up.tolerance).unwrap_or(TOLERANCE),
        }
    }

    fn has(self, ratio: f64) -> bool {
        match self.form {
            ToleranceForm::Distance => (1.0 - ratio).abs() <= TOLERANCE,
            ToleranceForm::Bounds => (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up),
        }
    }
}

/// What a metric with `target` and the value `milli` asks for.
///
/// Nothing if that cannot be told: `Value` without any pod is as if the metric had not been read.
#[must_use]
pub fn propose(tolerances: Tolerances, target: Target, view: &View, milli: i64) -> Option<Proposal> {
    match target {
        Target::AverageValue(target) => Some(per_pod(tolerances, target, view.status_replicas, milli)),
        Target::Value(target) => in_all(tolerances, target, view, milli),
    }
}

/// Source: `GetExternalPerPodMetricReplicas`. Neither readiness nor `spec.replicas` counts, and a
/// negative value is taken for an overflow of the sum.
#[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
fn per_pod(tolerances: Tolerances, target: i64, status_replicas: i32, milli: i64) -> Proposal {
    let usage = if milli < 0 { i64::MAX } else { milli };
    let ratio = usage as f64 / (target as f64 * f64::from(status_replicas));
    let tolerated = tolerances.has(ratio);
    let replicas = if tolerated {
        status_replicas
    } else {
        let wanted = (usage as f64 / target as f64).ceil();
        if wanted > f64::from(i32::MAX) { i32::MAX } else { to_i32(wanted) }
    };
    let shown = if usage as f64 >= i64::MAX as f64 {
        i64::MAX
    } else {
        to_i64((usage as f64 / f64::from(status_replicas)).ceil())
    };
    Proposal { replicas, shown, tolerated }
}

/// Source: `GetExternalMetricReplicas` with `getUsageRatioReplicaCount` and `getReadyPodsCount`.
#[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
fn in_all(tolerances: Tolerances, target: i64, view: &View, milli: i64) -> Option<Proposal> {
    let ratio = milli as f64 / target as f64;
    let proposal = |replicas, tolerated| Some(Proposal { replicas, shown: milli, tolerated });
    if view.spec_replicas == 0 {
        return proposal(to_i32(ratio.ceil()), false);
    }
    if tolerances.has(ratio) {
        return proposal(view.spec_replicas, true);
    }
    if view.pods == 0 {
        return None;
    }
    let wanted = ratio * f64::from(view.ready);
    proposal(if wanted > f64::from(i32::MAX) { i32::MAX } else { to_i32(wanted.ceil()) }, false)
}

/// `int32(x)` of Go on amd64: what does not fit, and what is no number, is the smallest one.
pub(crate) fn to_i32(x: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is caught before")]
    if x.trunc() >= f64::from(i32::MIN) && x.trunc() <= f64::from(i32::MAX) { x as i32 } else { i32::MIN }
}

/// `int64(x)` of Go on amd64.
fn to_i64(x: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is caught before")]
    if (-BOUND..BOUND).contains(&x) { x as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    fn tolerances(minor: u64) -> Tolerances {
        Tolerances::of(&KubernetesRules::of(&Version::new(1, minor, 0)), None)
    }

    fn average(minor: u64, target: i64, replicas: i32, milli: i64) -> Proposal {
        let view = View { spec_replicas: replicas, status_replicas: replicas, pods: 0, ready: 0 };
        propose(tolerances(minor), Target::AverageValue(target), &view, milli).expect("a proposal")
    }

    fn value(target: i64, view: View, milli: i64) -> Option<i32> {
        propose(tolerances(35), Target::Value(target), &view, milli).map(|proposal| proposal.replicas)
    }

    #[test]
    fn an_average_value_asks_for_as_many_as_share_it() {
        assert_eq!(average(35, 1000, 1, 9000).replicas, 9);
        assert_eq!(average(35, 3000, 4, 14_000).replicas, 5);
    }

    #[test]
    fn within_the_tolerance_as_many_as_there_are() {
        assert_eq!(average(35, 3000, 4, 13_000), Proposal { replicas: 4, shown: 3250, tolerated: true });
        assert_eq!(average(35, 1000, 20, 18_000).replicas, 20);
        assert_eq!(average(35, 1000, 20, 17_000).replicas, 17);
    }

    #[test]
    fn eleven_jobs_for_ten_pods_are_within_the_tolerance_from_1_33() {
        assert_eq!(average(33, 1000, 10, 11_000).replicas, 10);
        assert_eq!(average(32, 1000, 10, 11_000).replicas, 11);
        assert_eq!(average(32, 1000, 11, 12_000).replicas, 11);
    }

    #[test]
    fn the_two_forms_differ_only_where_ten_jobs_weigh_eleven_targets() {
        for target in 1..=10_i64 {
            for replicas in 1..=200_i32 {
                for queue in 0..=i64::from(replicas) * target * 2 {
                    let [old, new] =
                        [32, 33].map(|minor| average(minor, target * 1000, replicas, queue * 1000));
                    let differs = 10 * queue == 11 * target * i64::from(replicas);
                    assert_eq!(old.tolerated != new.tolerated, differs, "{queue} / {target} / {replicas}");
                }
            }
        }
    }

    #[test]
    fn the_status_lags_and_zero_pods_are_never_within_the_tolerance() {
        assert_eq!(average(35, 1000, 0, 7000), Proposal { replicas: 7, shown: i64::MIN, tolerated: false });
        assert_eq!(average(35, 1000, 0, 0).replicas, 0);
    }

    #[test]
    fn a_value_grows_with_the_ready_pods() {
        let view = |ready| View { spec_replicas: 4, status_replicas: 4, pods: 4, ready };
        assert_eq!(value(2000, view(4), 10_000), Some(20));
        assert_eq!(value(2000, view(1), 10_000), Some(5));
        assert_eq!(value(2000, view(0), 10_000), Some(0));
        assert_eq!(value(2000, view(0), 2100), Some(4));
    }

    #[test]
    fn a_value_without_any_pod_is_as_if_it_had_not_been_read() {
        let view = View { spec_replicas: 4, status_replicas: 0, pods: 0, ready: 0 };
        assert_eq!(value(2000, view, 10_000), None);
        assert_eq!(value(2000, view, 2000), Some(4));
    }

    #[test]
    fn numbers_that_do_not_fit_are_held_as_go_holds_them() {
        assert_eq!(
            average(35, 1, 1, i64::MAX),
            Proposal { replicas: i32::MAX, shown: i64::MAX, tolerated: false }
        );
        assert_eq!(average(35, 1000, 1, -1).replicas, i32::MAX);
        let view = View { spec_replicas: 1, status_replicas: 1, pods: 9, ready: 9 };
        assert_eq!(value(1, view, i64::MAX), Some(i32::MAX));
        assert_eq!(value(1, view, i64::MIN), Some(i32::MIN));
        assert_eq!((to_i32(2_147_483_647.9), to_i32(2_147_483_648.0)), (i32::MAX, i32::MIN));
        assert_eq!((to_i32(f64::NAN), to_i64(f64::INFINITY), to_i64(-1.5)), (i32::MIN, i64::MIN, -1));
    }

    #[test]
    fn each_direction_has_its_own_tolerance_from_1_35() {
        let mut behavior = Behavior::default();
        behavior.up.tolerance = Some(0.5);
        behavior.down.tolerance = Some(0.0);
        let of = |minor| Tolerances::of(&KubernetesRules::of(&Version::new(1, minor, 0)), Some(&behavior));
        assert!(of(35).has(1.5) && !of(35).has(1.51) && !of(35).has(0.99) && of(35).has(1.0));
        assert!(!of(34).has(1.5) && of(34).has(0.9));
    }
}
