//! What the controller says about an HPA: its status and conditions.

use std::fmt;

use model::Instant;

use crate::spec::HpaSpec;

/// Why a condition holds or does not. Source of names and messages: Kubernetes 1.35.4,
/// `pkg/controller/podautoscaler/horizontal.go`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// AbleToScale: the scale was read.
    SucceededGetScale,
    /// AbleToScale is false: the scale was not read.
    FailedGetScale,
    /// AbleToScale: the scale was written.
    SucceededRescale {
        /// What was written.
        replicas: i32,
    },
    /// AbleToScale is false: the scale was not written.
    FailedUpdateScale,
    /// AbleToScale: what was recommended counts.
    ReadyForNewScale,
    /// AbleToScale: a higher recommendation of the window counts.
    ScaleDownStabilized,
    /// AbleToScale: a lower recommendation of the window counts.
    ScaleUpStabilized,
    /// ScalingActive: a metric was read.
    ValidMetricFound {
        /// The one that counts, from zero.
        metric: usize,
    },
    /// ScalingActive is false: a metric was not read.
    FailedGetExternalMetric {
        /// The first of those, from zero.
        metric: usize,
    },
    /// ScalingActive is false: there are no replicas.
    ScalingDisabled,
    /// ScalingLimited is false.
    DesiredWithinRange,
    /// ScalingLimited: growth is too fast.
    ScaleUpLimit,
    /// ScalingLimited: shrinking is too fast.
    ScaleDownLimit,
    /// ScalingLimited: maxReplicas.
    TooManyReplicas,
    /// ScalingLimited: minReplicas.
    TooFewReplicas,
}

/// A condition's status and reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Whether its status is True.
    pub holds: bool,
    /// Why.
    pub reason: Reason,
}

/// The three conditions; absent until they are set for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// `AbleToScale`.
    pub able_to_scale: Option<Condition>,
    /// `ScalingActive`: what KEDA from 2.21 looks at before it polls by itself.
    pub scaling_active: Option<Condition>,
    /// `ScalingLimited`.
    pub scaling_limited: Option<Condition>,
}

/// An HPA's status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `currentReplicas`: the scale's spec as it was read.
    pub current: i32,
    /// `desiredReplicas`.
    pub desired: i32,
    /// `currentMetrics` in thousandths; nothing for a metric that was not read.
    pub metrics: Vec<Option<i64>>,
    /// `lastScaleTime`.
    pub last_scale: Option<Instant>,
    /// `conditions`.
    pub conditions: Conditions,
}

impl Reason {
    /// As it stands in the condition.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SucceededGetScale => "SucceededGetScale",
            Self::FailedGetScale => "FailedGetScale",
            Self::SucceededRescale { .. } => "SucceededRescale",
            Self::FailedUpdateScale => "FailedUpdateScale",
            Self::ReadyForNewScale => "ReadyForNewScale",
            Self::ScaleDownStabilized => "ScaleDownStabilized",
            Self::ScaleUpStabilized => "ScaleUpStabilized",
            Self::ValidMetricFound { .. } => "ValidMetricFound",
            Self::FailedGetExternalMetric { .. } => "FailedGetExternalMetric",
            Self::ScalingDisabled => "ScalingDisabled",
            Self::DesiredWithinRange => "DesiredWithinRange",
            Self::ScaleUpLimit => "ScaleUpLimit",
            Self::ScaleDownLimit => "ScaleDownLimit",
            Self::TooManyReplicas => "TooManyReplicas",
            Self::TooFewReplicas => "TooFewReplicas",
        }
    }

    /// The condition's message. Of errors only the beginning: what comes after it is the API server's.
    #[must_use]
    pub fn message(self, spec: &HpaSpec) -> Message<'_> {
        Message { reason: self, spec }
    }
}

/// A condition's message, written when somebody wants to read it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    reason: Reason,
    spec: &'a HpaSpec,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |metric: usize| self.spec.metrics.get(metric).map_or("", |metric| &*metric.name);
        f.write_str(match self.reason {
            Reason::SucceededGetScale => {
                "the HPA controller was able to get the target's current scale"
            }
            Reason::FailedGetScale => "the HPA controller was unable to get the target's current scale",
            Reason::SucceededRescale { replicas } => {
                return write!(f, "the HPA controller was able to update the target scale to {replicas}");
            }
            Reason::FailedUpdateScale => "the HPA controller was unable to update the target scale",
            Reason::ReadyForNewScale => "recommended size matches current size",
            Reason::ScaleDownStabilized => {
                "recent recommendations were higher than current one, applying the highest recent recommendation"
            }
            Reason::ScaleUpStabilized => {
                "recent recommendations were lower than current one, applying the lowest recent recommendation"
            }
            Reason::ValidMetricFound { metric } => {
                let name = name(metric);
                return write!(
                    f,
                    "the HPA was able to successfully calculate a replica count from external metric {name}"
                );
            }
            Reason::FailedGetExternalMetric { metric } => {
                let name = name(metric);
                return write!(
                    f,
                    "the HPA was unable to compute the replica count: unable to get external metric {name}"
                );
            }
            Reason::ScalingDisabled => "scaling is disabled since the replica count of the target is zero",
            Reason::DesiredWithinRange => "the desired count is within the acceptable range",
            Reason::ScaleUpLimit => {
                "the desired replica count is increasing faster than the maximum scale rate"
            }
            Reason::ScaleDownLimit => {
                "the desired replica count is decreasing faster than the maximum scale rate"
            }
            Reason::TooManyReplicas => "the desired replica count is more than the maximum replica count",
            Reason::TooFewReplicas => "the desired replica count is less than the minimum replica count",
        })
    }
}

impl Condition {
    /// One that is true.
    #[must_use]
    pub const fn yes(reason: Reason) -> Self {
        Self { holds: true, reason }
    }

    /// One that is false.
    #[must_use]
    pub const fn no(reason: Reason) -> Self {
        Self { holds: false, reason }
    }
}

/// Status and reason, as `True/ValidMetricFound`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", if self.holds { "True" } else { "False" }, self.reason.name())
    }
}

impl Conditions {
    /// Sets what `newer` sets and leaves the rest as it is.
    pub fn overlay(&mut self, newer: Self) {
        self.able_to_scale = newer.able_to_scale.or(self.able_to_scale);
        self.scaling_active = newer.scaling_active.or(self.scaling_active);
        self.scaling_limited = newer.scaling_limited.or(self.scaling_limited);
    }

    /// Those that were ever set, by the names of their types.
    pub fn named(self) -> impl Iterator<Item = (&'static str, Condition)> {
        let all = [
            ("AbleToScale", self.able_to_scale),
            ("ScalingActive", self.scaling_active),
            ("ScalingLimited", self.scaling_limited),
        ];
        all.into_iter().filter_map(|(name, condition)| Some((name, condition?)))
    }

    /// Whether ScalingActive is True.
    #[must_use]
    pub fn is_active(self) -> bool {
        self.scaling_active.is_some_and(|condition| condition.holds)
    }
}
