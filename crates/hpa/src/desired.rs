//! How many replicas an HPA wants: the whole decision of one sync.

use std::fmt;

use model::{Instant, Millis};

use crate::history::History;
use crate::normalise::normalise;
use crate::propose::{Proposal, Tolerances, propose};
use crate::rules::KubernetesRules;
use crate::spec::{HpaSpec, PolicyKind};
use crate::status::{Condition, Conditions, Reason};

/// What every sync says once it has read the scale.
const READ_SCALE: Condition = Condition::yes(Reason::SucceededGetScale);

/// What the controller sees of the scaled workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// `spec.replicas` of the scale.
    pub spec_replicas: i32,
    /// `status.replicas` of the scale, which lags.
    pub status_replicas: i32,
    /// Pods that the selector finds, whatever their phase, terminating ones too. Only for `Value`.
    pub pods: i32,
    /// Those of them that are Running and Ready, terminating or not. Only for `Value`.
    pub ready: i32,
}

/// The answer for a metric: its value in thousandths, or nothing if the read failed.
pub type Answer = Option<i64>;

/// What one sync wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desired {
    /// What is to be written, if it differs from what is there.
    pub replicas: i32,
    /// What the metrics ask for, before windows and limits; what is there if no metric was read.
    pub raw: i32,
    /// Why.
    pub because: Because,
    /// The conditions that this sync sets before it writes.
    pub conditions: Conditions,
}

/// Why an HPA wants so many replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// There are none: the HPA leaves that to KEDA.
    Zero,
    /// More than maxReplicas: down to it at once, without a read.
    AboveMax {
        /// What is there.
        current: i32,
        /// maxReplicas.
        max: i32,
    },
    /// Fewer than minReplicas: up to it at once, without a read.
    BelowMin {
        /// What is there.
        current: i32,
        /// minReplicas.
        min: i32,
    },
    /// No metric could be read, or some could not and the others ask for less than is there.
    Unread {
        /// The first that could not be read, from zero.
        metric: usize,
    },
    /// What the metrics ask for.
    Wanted {
        /// That.
        wanted: i32,
        /// Whether the usage is within the tolerance, so that no change is asked for.
        tolerated: bool,
    },
    /// A recommendation of the last minutes was higher.
    Held {
        /// What the metrics ask for.
        wanted: i32,
        /// What was recommended, or what is there if that is less.
        held: i32,
        /// How far back recommendations count.
        window: Millis,
    },
    /// A recommendation of the last minutes was lower.
    HeldBack {
        /// What the metrics ask for.
        wanted: i32,
        /// What was recommended, or what is there if that is more.
        held: i32,
        /// How far back recommendations count.
        window: Millis,
    },
    /// Without a behavior, one sync at the most doubles, or grows to four.
    Doubling {
        /// What is wanted.
        wanted: i32,
        /// What is there.
        current: i32,
        /// What is allowed.
        limit: i32,
    },
    /// A policy allows no more growth.
    Policy {
        /// What is wanted.
        wanted: i32,
        /// What it was at the start of the policy's period.
        start: i32,
        /// What is counted.
        kind: PolicyKind,
        /// The policy's value, negative if it is one for shrinking.
        value: i32,
        /// What is allowed.
        limit: i32,
    },
    /// selectPolicy is Disabled in this direction.
    Disabled {
        /// What is wanted.
        wanted: i32,
        /// What is there.
        current: i32,
    },
    /// maxReplicas.
    Max {
        /// What is wanted.
        wanted: i32,
        /// maxReplicas.
        max: i32,
    },
    /// minReplicas.
    Min {
        /// What is wanted.
        wanted: i32,
        /// minReplicas.
        min: i32,
    },
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Zero => write!(f, "no replicas, so the HPA is disabled"),
            Self::AboveMax { current, max } => write!(f, "{current} are more than maxReplicas {max}"),
            Self::BelowMin { current, min } => write!(f, "{current} are fewer than minReplicas {min}"),
            Self::Unread { metric } => write!(f, "metric {metric} could not be read"),
            Self::Wanted { wanted, tolerated: false } => write!(f, "{wanted} wanted"),
            Self::Wanted { wanted, tolerated: true } => write!(f, "{wanted} are within the tolerance"),
            Self::Held { wanted, held, window } => {
                write!(f, "{wanted} wanted, {held} held by a recommendation of the last {window}")
            }
            Self::HeldBack { wanted, held, window } => {
                write!(f, "{wanted} wanted, held back at {held} by a recommendation of the last {window}")
            }
            Self::Doubling { wanted, current, limit } if current.checked_mul(2) == Some(limit) => {
                write!(f, "{wanted} wanted, growth limit 2x{current} = {limit}")
            }
            Self::Doubling { wanted, limit, .. } => write!(f, "{wanted} wanted, growth limit {limit}"),
            Self::Policy { wanted, start, kind: PolicyKind::Pods, value, limit } => {
                write!(f, "{wanted} wanted, policy {start}{value:+} = {limit}")
            }
            Self::Policy { wanted, start, kind: PolicyKind::Percent, value, limit } => {
                write!(f, "{wanted} wanted, policy {start}{value:+}% = {limit}")
            }
            Self::Disabled { wanted, current } => {
                write!(f, "{wanted} wanted, selectPolicy is Disabled: {current} stay")
            }
            Self::Max { wanted, max } => write!(f, "{wanted} wanted, maxReplicas {max}"),
            Self::Min { wanted, min } => write!(f, "{wanted} wanted, minReplicas {min}"),
        }
    }
}

/// Decides one sync, and records its recommendation in `history`.
///
/// `metrics` has an answer for each metric of `spec`; it is not looked at if the replicas are none or
/// outside of min and max, since then nothing is read. The caller tells [`History::scaled`] what it
/// wrote. Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`, `reconcileAutoscaler`.
pub fn desired(
    spec: &HpaSpec,
    rules: &KubernetesRules,
    history: &mut History,
    now: Instant,
    view: &View,
    metrics: &[Answer],
) -> Desired {
    let current = view.spec_replicas;
    history.first_seen(now, current);
    unread(spec, current).unwrap_or_else(|| {
        let tolerances = Tolerances::of(rules, spec.behavior.as_ref());
        let proposals = spec.metrics.iter().enumerate().map(|(place, metric)| {
            propose(tolerances, metric.target, view, metrics.get(place).copied().flatten()?)
        });
        decide(spec, history, now, current, proposals)
    })
}

/// What is decided without a read: whatever is zero, or outside of min and max.
pub(crate) fn unread(spec: &HpaSpec, current: i32) -> Option<Desired> {
    let (min, max) = (spec.min, spec.max);
    let (replicas, because) = match current {
        0 if min != 0 => (0, Because::Zero),
        _ if current > max => (max, Because::AboveMax { current, max }),
        _ if current < min => (min, Because::BelowMin { current, min }),
        _ => return None,
    };
    let mut conditions = Conditions { able_to_scale: Some(READ_SCALE), ..Conditions::default() };
    if because == Because::Zero {
        conditions.scaling_active = Some(Condition::no(Reason::ScalingDisabled));
    }
    Some(Desired { replicas, raw: current, because, conditions })
}

/// What is decided of the metrics' proposals, one for each metric, nothing for those without.
pub(crate) fn decide(
    spec: &HpaSpec,
    history: &mut History,
    now: Instant,
    current: i32,
    proposals: impl Iterator<Item = Option<Proposal>>,
) -> Desired {
    let (metric, proposal) = match highest(current, proposals) {
        Ok(found) => found,
        Err(metric) => {
            let conditions = Conditions {
                able_to_scale: Some(READ_SCALE),
                scaling_active: Some(Condition::no(Reason::FailedGetExternalMetric { metric })),
                scaling_limited: None,
            };
            return Desired {
                replicas: current,
                raw: current,
                because: Because::Unread { metric },
                conditions,
            };
        }
    };
    // `desiredReplicas` starts at zero and only takes what is more.
    let raw = proposal.replicas.max(0);
    let (replicas, because, mut conditions) = normalise(spec, history, now, current, raw);
    conditions.scaling_active = Some(Condition::yes(Reason::ValidMetricFound { metric }));
    let wanted = Because::Wanted { wanted: raw, tolerated: proposal.tolerated };
    Desired { replicas, raw, because: because.unwrap_or(wanted), conditions }
}

/// The highest proposal and its metric; or the first metric without one, if no other has one or the
/// others ask for less than is there. Source: as above, `computeReplicasForMetrics`.
fn highest(
    current: i32,
    proposals: impl Iterator<Item = Option<Proposal>>,
) -> Result<(usize, Proposal), usize> {
    let mut best: Option<(usize, Proposal)> = None;
    let mut invalid = None;
    for (metric, proposal) in proposals.enumerate() {
        let Some(proposal) = proposal else {
            invalid = invalid.or(Some(metric));
            continue;
        };
        // After a zero the next one counts whatever it is.
        if best.is_none_or(|(_, best)| best.replicas == 0 || proposal.replicas > best.replicas) {
            best = Some((metric, proposal));
        }
    }
    match (best, invalid) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(_)) if found.1.replicas >= current => Ok(found),
        (_, invalid) => Err(invalid.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_as_people_say_them() {
        let wanted = 50;
        let policy = |kind, value| Because::Policy { wanted, start: 8, kind, value, limit: 9 };
        let held = |held| Because::HeldBack { wanted, held, window: Millis::seconds(90) };
        for (because, told) in [
            (Because::AboveMax { current: 12, max: 9 }, "12 are more than maxReplicas 9"),
            (Because::Wanted { wanted, tolerated: false }, "50 wanted"),
            (Because::Wanted { wanted, tolerated: true }, "50 are within the tolerance"),
            (held(4), "50 wanted, held back at 4 by a recommendation of the last 1m30s"),
            (Because::Doubling { wanted, current: 1, limit: 4 }, "50 wanted, growth limit 4"),
            (Because::Doubling { wanted, current: 3, limit: 6 }, "50 wanted, growth limit 2x3 = 6"),
            (policy(PolicyKind::Pods, 1), "50 wanted, policy 8+1 = 9"),
            (policy(PolicyKind::Percent, -10), "50 wanted, policy 8-10% = 9"),
            (Because::Max { wanted, max: 10 }, "50 wanted, maxReplicas 10"),
            (Because::Min { wanted: 0, min: 1 }, "0 wanted, minReplicas 1"),
        ] {
            assert_eq!(because.to_string(), told);
        }
    }
}
