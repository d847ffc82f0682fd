//! From what the metrics ask for to what is written: windows and limits, in the two ways that the
//! controller has.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/podautoscaler/horizontal.go`.

use model::{Instant, Millis};

use crate::desired::Because;
use crate::history::History;
use crate::propose::to_i32;
use crate::rules::DOWNSCALE_STABILISATION;
use crate::spec::{Behavior, HpaSpec, Policy, PolicyKind, ScalingRules, Select};
use crate::status::{Condition, Conditions, Reason};

/// Without a behavior, one sync may multiply the replicas by this. Source: `scaleUpLimitFactor`.
const GROWTH_FACTOR: f64 = 2.0;
/// Without a behavior, one sync may always grow to this. Source: `scaleUpLimitMinimum`.
const GROWTH_MINIMUM: f64 = 4.0;

/// A number and why it is not what was asked for; nothing if it is.
type Held = (i32, Option<Because>);
/// As [`Held`], with the reason of the condition ScalingLimited.
type Limited = (i32, Reason, Option<Because>);

/// What is to be written instead of `raw`, why, and the conditions. Records `raw`.
pub(crate) fn normalise(
    spec: &HpaSpec,
    history: &mut History,
    now: Instant,
    current: i32,
    raw: i32,
) -> (i32, Option<Because>, Conditions) {
    let ((stabilised, held), able) = match &spec.behavior {
        None => (stabilise(history, now, raw), Reason::ScaleDownStabilized),
        Some(behavior) => {
            let reason = if raw >= current { Reason::ScaleUpStabilized } else { Reason::ScaleDownStabilized };
            (stabilise_with(behavior, history, now, current, raw), reason)
        }
    };
    let (replicas, reason, limited) = match &spec.behavior {
        None => limit(spec, current, stabilised),
        Some(behavior) => limit_with(spec, behavior, history, now, current, stabilised),
    };
    let able = if stabilised == raw { Reason::ReadyForNewScale } else { able };
    let conditions = Conditions {
        able_to_scale: Some(Condition::yes(able)),
        scaling_limited: Some(Condition { holds: replicas != stabilised, reason }),
        scaling_active: None,
    };
    (replicas, limited.or(held), conditions)
}

/// Without a behavior: the highest recommendation of five minutes counts, this one included. It holds
/// up, and it pulls up as well. Source: `stabilizeRecommendation`.
fn stabilise(history: &mut History, now: Instant, raw: i32) -> Held {
    let mut highest = raw;
    let mut free = None;
    for (place, old) in history.recommendations().iter().enumerate() {
        if old.at + DOWNSCALE_STABILISATION < now {
            free = Some(place);
        } else {
            highest = highest.max(old.replicas);
        }
    }
    history.recommended(now, raw, free);
    let held = Because::Held { wanted: raw, held: highest, window: DOWNSCALE_STABILISATION };
    (highest, (highest != raw).then_some(held))
}

/// With a behavior: as near to what is there as the recommendations of each direction's window allow.
/// Source: `stabilizeRecommendationWithBehaviors`.
fn stabilise_with(behavior: &Behavior, history: &mut History, now: Instant, current: i32, raw: i32) -> Held {
    let (up, down) = (behavior.up.window, behavior.down.window);
    let (mut lowest, mut highest, mut free) = (raw, raw, None);
    for (place, old) in history.recommendations().iter().enumerate() {
        if old.at + up > now {
            lowest = lowest.min(old.replicas);
        }
        if old.at + down > now {
            highest = highest.max(old.replicas);
        }
        if old.at + up < now && old.at + down < now {
            free = Some(place);
        }
    }
    history.recommended(now, raw, free);
    let stabilised = current.max(lowest).min(highest);
    let because = if raw >= current {
        Because::HeldBack { wanted: raw, held: stabilised, window: up }
    } else {
        Because::Held { wanted: raw, held: stabilised, window: down }
    };
    (stabilised, (stabilised != raw).then_some(because))
}

/// Without a behavior: min, max, and at the most twice as many or four. Source:
/// `convertDesiredReplicasWithRules`, `calculateScaleUpLimit`.
fn limit(spec: &HpaSpec, current: i32, wanted: i32) -> Limited {
    // Past a thousand million pods the controller's conversion overflows; here it ends at the largest.
    let growth = to_i32((GROWTH_FACTOR * f64::from(current)).max(GROWTH_MINIMUM).min(f64::from(i32::MAX)));
    if wanted < spec.min {
        (spec.min, Reason::TooFewReplicas, Some(Because::Min { wanted, min: spec.min }))
    } else if spec.max > growth && wanted > growth {
        (growth, Reason::ScaleUpLimit, Some(Because::Doubling { wanted, current, limit: growth }))
    } else if wanted > spec.max {
        (spec.max, Reason::TooManyReplicas, Some(Because::Max { wanted, max: spec.max }))
    } else {
        (wanted, Reason::DesiredWithinRange, None)
    }
}

/// With a behavior: min, max, and the policies. Source: `convertDesiredReplicasWithBehaviorRate`.
fn limit_with(
    spec: &HpaSpec,
    behavior: &Behavior,
    history: &History,
    now: Instant,
    current: i32,
    wanted: i32,
) -> Limited {
    let policies = Policies { history, now, current, wanted };
    if wanted > current {
        let (rate, because) = policies.limit(&behavior.up, Direction::Up);
        let rate = rate.max(current);
        if spec.max > rate && wanted > rate {
            return (rate, Reason::ScaleUpLimit, Some(because.at(rate)));
        }
        if wanted > spec.max {
            return (spec.max, Reason::TooManyReplicas, Some(Because::Max { wanted, max: spec.max }));
        }
    } else if wanted < current {
        let (rate, because) = policies.limit(&behavior.down, Direction::Down);
        let rate = rate.min(current);
        if spec.min < rate && wanted < rate {
            return (rate, Reason::ScaleDownLimit, Some(because.at(rate)));
        }
        if wanted < spec.min {
            return (spec.min, Reason::TooFewReplicas, Some(Because::Min { wanted, min: spec.min }));
        }
    }
    (wanted, Reason::DesiredWithinRange, None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// What the policies of one direction are held against.
#[derive(Clone, Copy)]
struct Policies<'a> {
    history: &'a History,
    now: Instant,
    current: i32,
    wanted: i32,
}

impl Policies<'_> {
    /// How far the policies let the replicas go, and the one that decides. Source:
    /// `calculateScaleUpLimitWithScalingRules`, `calculateScaleDownLimitWithBehaviors`.
    fn limit(&self, rules: &ScalingRules, direction: Direction) -> (i32, Because) {
        let Self { current, wanted, .. } = *self;
        let disabled = (current, Because::Disabled { wanted, current });
        if rules.select == Select::Disabled {
            return disabled;
        }
        // The largest change is the highest number on the way up and the lowest on the way down.
        let highest = (rules.select == Select::Max) == (direction == Direction::Up);
        let mut chosen: Option<(i32, Because)> = None;
        for policy in &rules.policies {
            let start = self.history.replicas_at_start(self.now, policy.period(), current);
            let limit = proposed(policy, direction, start);
            let better = |best: i32| if highest { limit > best } else { limit < best };
            if chosen.is_none_or(|(best, _)| better(best)) {
                let value = if direction == Direction::Up { policy.value } else { -policy.value };
                let kind = policy.kind;
                chosen = Some((limit, Because::Policy { wanted, start, kind, value, limit }));
            }
        }
        chosen.unwrap_or(disabled)
    }
}

/// How far one policy lets the replicas go that were `start` when its period began.
fn proposed(policy: &Policy, direction: Direction, start: i32) -> i32 {
    let share = f64::from(policy.value) / 100.0;
    match (policy.kind, direction) {
        (PolicyKind::Pods, Direction::Up) => start.wrapping_add(policy.value),
        (PolicyKind::Pods, Direction::Down) => start.wrapping_sub(policy.value),
        (PolicyKind::Percent, Direction::Up) => to_i32((f64::from(start) * (1.0 + share)).ceil()),
        (PolicyKind::Percent, Direction::Down) => to_i32(f64::from(start) * (1.0 - share)),
    }
}

impl Because {
    /// With `limit` as what is allowed: not beyond what is there already.
    fn at(self, allowed: i32) -> Self {
        match self {
            Self::Policy { wanted, start, kind, value, .. } => {
                Self::Policy { wanted, start, kind, value, limit: allowed }
            }
            other => other,
        }
    }
}

/// The longest period that a direction's policies look back; what is stored is kept that long.
pub(crate) fn longest_period(behavior: &Behavior, from: i32, to: i32) -> Millis {
    if to > from { behavior.up.longest_period() } else { behavior.down.longest_period() }
}
