//! What the controller does differently from one Kubernetes version to the next.

use model::Millis;
use semver::Version;

/// Between two syncs of one HPA. Source: Kubernetes 1.35.4,
/// `pkg/controller/podautoscaler/config/v1alpha1/defaults.go`, `HorizontalPodAutoscalerSyncPeriod`.
pub const SYNC_PERIOD: Millis = Millis::seconds(15);
/// How long a high recommendation holds the replicas up. Source: as above,
/// `HorizontalPodAutoscalerDownscaleStabilizationWindow`.
pub const DOWNSCALE_STABILISATION: Millis = Millis::seconds(300);
/// How far the ratio of usage and target may be from one. Source: as above,
/// `HorizontalPodAutoscalerTolerance`.
pub const TOLERANCE: f64 = 0.1;
/// How often a write of the scale subresource is tried. Source: client-go 0.35.4,
/// `util/retry/util.go`, `DefaultRetry`, `Steps`.
pub const WRITE_TRIES: u8 = 5;
/// Between two tries; its jitter, up to a tenth of it, is left out. Source: as above, `Duration`.
pub const RETRY_PAUSE: Millis = Millis(10);

/// How a ratio is held against the tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToleranceForm {
    /// `|1 - ratio| <= tolerance`, up to 1.32: eleven jobs for ten pods are outside, since
    /// `1.1 - 1.0` is a little more than a tenth in floating point.
    Distance,
    /// `1 - down <= ratio <= 1 + up`, from 1.33: eleven jobs for ten pods are inside.
    Bounds,
}

/// The rules of one Kubernetes version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubernetesRules {
    /// How the tolerance is tested. Source: Kubernetes 1.35.4,
    /// `pkg/controller/podautoscaler/replica_calculator.go`, `isWithin`.
    pub tolerance_form: ToleranceForm,
    /// Whether `behavior.scaleUp.tolerance` and `behavior.scaleDown.tolerance` count: 1.35 and later.
    /// Source: `pkg/features/kube_features.go`, `HPAConfigurableTolerance`.
    pub tolerance_by_direction: bool,
    /// How often a scale is written while it meets conflicts: five times from 1.34, before that once.
    /// Source: `pkg/controller/podautoscaler/horizontal.go`, `reconcileAutoscaler`.
    pub write_tries: u8,
}

impl KubernetesRules {
    /// The rules of `version`. Older versions than 1.32 are taken for 1.32, newer ones than 1.35 for 1.35.
    #[must_use]
    pub fn of(version: &Version) -> Self {
        let since = |minor| (version.major, version.minor) >= (1, minor);
        Self {
            tolerance_form: if since(33) { ToleranceForm::Bounds } else { ToleranceForm::Distance },
            tolerance_by_direction: since(35),
            write_tries: if since(34) { WRITE_TRIES } else { 1 },
        }
    }
}

impl Default for KubernetesRules {
    /// Those of the newest version that is modelled.
    fn default() -> Self {
        Self::of(&Version::new(1, 35, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(minor: u64) -> KubernetesRules {
        KubernetesRules::of(&Version::new(1, minor, 4))
    }

    #[test]
    fn the_tolerance_has_bounds_from_1_33() {
        assert_eq!(of(32).tolerance_form, ToleranceForm::Distance);
        assert_eq!(of(33).tolerance_form, ToleranceForm::Bounds);
    }

    #[test]
    fn each_direction_has_its_own_tolerance_from_1_35() {
        assert!(!of(34).tolerance_by_direction);
        assert!(of(35).tolerance_by_direction);
    }

    #[test]
    fn conflicts_are_tried_again_from_1_34() {
        assert_eq!((of(33).write_tries, of(34).write_tries), (1, 5));
    }

    #[test]
    fn versions_outside_the_range_are_taken_for_the_nearest() {
        assert_eq!((of(29), of(36)), (of(32), of(35)));
    }
}
