//! The HorizontalPodAutoscaler's rules for one External metric.
//!
//! Sources: kubernetes/kubernetes pkg/controller/podautoscaler/horizontal.go (`normalizeDesiredReplicas`,
//! `normalizeDesiredReplicasWithBehaviors`, `calculateScaleUpLimit…`), …/replica_calculator.go
//! (`GetExternalPerPodMetricReplicas`), pkg/apis/autoscaling/v2/defaults.go.

use model::Millis;
use serde_json::Value;

/// `--horizontal-pod-autoscaler-sync-period`.
pub(crate) const SYNC_PERIOD: Millis = Millis::seconds(15);
/// `--horizontal-pod-autoscaler-tolerance`.
const TOLERANCE: f64 = 0.1;
/// So much is a comparison of quotients off in floating point; both outcomes are then allowed.
const ROUNDING: f64 = 1e-6;
/// Without behavior a sync grows to the larger of twice and four (`scaleUpLimitFactor`, `scaleUpLimitMinimum`).
const GROWTH_FACTOR: u32 = 2;
const GROWTH_MINIMUM: u32 = 4;

/// An HPA's behavior: none is another path through the controller than one with defaults.
#[derive(Debug, Clone)]
pub(crate) struct Hpa {
    behavior: Option<Behavior>,
}

#[derive(Debug, Clone)]
struct Behavior {
    up: Direction,
    down: Direction,
}

/// One direction of a behavior.
#[derive(Debug, Clone)]
struct Direction {
    window: Millis,
    select: Select,
    policies: Vec<Policy>,
    tolerance: f64,
    /// Whether the policies are the defaults.
    plain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Select {
    Max,
    Min,
    Disabled,
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    percent: bool,
    value: u32,
    period: Millis,
}

impl Hpa {
    /// The HPA of a behavior as Kubernetes' API writes it.
    pub(crate) fn of(behavior: Option<&Value>) -> Self {
        let null = Value::Null;
        let part = |value: &Value, key: &str| value.get(key).cloned().unwrap_or(Value::Null);
        let behavior = behavior.filter(|value| **value != null).map(|value| Behavior {
            up: Direction::of(&part(value, "scaleUp"), Millis::ZERO, &[(false, 4), (true, 100)]),
            down: Direction::of(&part(value, "scaleDown"), Millis::seconds(300), &[(true, 100)]),
        });
        Self { behavior }
    }

    /// Whether proposals of the whole window pull replicas up: only without behavior.
    pub(crate) fn window_pulls_up(&self) -> bool {
        self.behavior.is_none()
    }

    /// Whether a sync can be held back by the one before it.
    pub(crate) fn a_sync_may_stall(&self) -> bool {
        self.behavior.is_some()
    }

    /// Whether it never raises.
    pub(crate) fn never_raises(&self) -> bool {
        self.behavior.as_ref().is_some_and(|behavior| behavior.up.select == Select::Disabled)
    }

    /// Whether it never lowers.
    pub(crate) fn never_lowers(&self) -> bool {
        self.behavior.as_ref().is_some_and(|behavior| behavior.down.select == Select::Disabled)
    }

    /// Whether it lowers in one step.
    pub(crate) fn lowers_at_once(&self) -> bool {
        self.behavior.as_ref().is_none_or(|behavior| behavior.down.plain)
    }

    /// How much longer than a sync a raise may take by its own window and policies.
    pub(crate) fn raise_delay(&self) -> Millis {
        self.behavior.as_ref().map_or(Millis::ZERO, |behavior| {
            let longest = behavior.up.policies.iter().map(|policy| policy.period).max().unwrap_or_default();
            behavior.up.window + (longest - SYNC_PERIOD)
        })
    }

    /// The most that one sync raises `current` to, when `moved` tells how many replicas the HPA added and took
    /// away within a period.
    pub(crate) fn growth_limit(&self, current: u32, moved: impl Fn(Millis) -> (u32, u32)) -> u32 {
        let Some(behavior) = &self.behavior else {
            return current.saturating_mul(GROWTH_FACTOR).max(GROWTH_MINIMUM);
        };
        let limits = behavior.up.policies.iter().map(|policy| {
            let (added, removed) = moved(policy.period);
            let start = current.saturating_add(removed).saturating_sub(added);
            let by = if policy.percent {
                u64::from(start) * u64::from(policy.value)
            } else {
                u64::from(policy.value) * 100
            };
            start.saturating_add(u32::try_from(by.div_ceil(100)).unwrap_or(u32::MAX))
        });
        let limit = match behavior.up.select {
            Select::Max => limits.max(),
            Select::Min => limits.min(),
            Select::Disabled => None,
        };
        limit.unwrap_or(current).max(current)
    }

    /// The growth limit as a formula, such as `2x8 = 16`.
    pub(crate) fn growth_words(&self, current: u32, limit: u32) -> String {
        if self.behavior.is_some() {
            format!("of its scaleUp policies {limit}")
        } else if current.saturating_mul(GROWTH_FACTOR) >= GROWTH_MINIMUM {
            format!("{GROWTH_FACTOR}x{current} = {limit}")
        } else {
            limit.to_string()
        }
    }

    /// The longest period of the policies for raises, or for reductions.
    pub(crate) fn longest_period(&self, raises: bool) -> Millis {
        self.behavior.as_ref().map_or(Millis::ZERO, |behavior| {
            let direction = if raises { &behavior.up } else { &behavior.down };
            direction.policies.iter().map(|policy| policy.period).max().unwrap_or_default()
        })
    }

    /// How far proposals are looked back on for a raise, which takes the least of them.
    pub(crate) fn raise_window(&self) -> Millis {
        self.behavior.as_ref().map_or(Millis::ZERO, |behavior| behavior.up.window)
    }

    /// How often the growth limit applies on the way from `from` to `to`.
    pub(crate) fn growth_steps(&self, from: u32, to: u32) -> u32 {
        let (mut current, mut steps) = (from.max(1), 0);
        while current < to && steps < 64 {
            let next = self.growth_limit(current, |_| (0, 0));
            if next <= current {
                break;
            }
            (current, steps) = (next, steps + 1);
        }
        steps
    }

    /// Whether `count` jobs on `replicas` are close enough to change nothing (pkg/controller/podautoscaler
    /// `isWithin`; 1.33 and later take the tolerance of the direction).
    pub(crate) fn tolerates(&self, count: u64, per_replica: u64, replicas: u32) -> bool {
        let (up, down) = self
            .behavior
            .as_ref()
            .map_or((TOLERANCE, TOLERANCE), |behavior| (behavior.up.tolerance, behavior.down.tolerance));
        #[expect(clippy::cast_precision_loss, reason = "counts of jobs stay far below 2^52")]
        let ratio = count as f64 / (per_replica as f64 * f64::from(replicas));
        ratio >= 1.0 - down - ROUNDING && ratio <= 1.0 + up + ROUNDING
    }
}

impl Direction {
    fn of(value: &Value, window: Millis, policies: &[(bool, u32)]) -> Self {
        let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_u64);
        let given = value.get("policies").and_then(Value::as_array).filter(|list| !list.is_empty());
        let defaults = policies.iter().map(|(percent, value)| Policy {
            percent: *percent,
            value: *value,
            period: SYNC_PERIOD,
        });
        let read = |policy: &Value| Policy {
            percent: policy.get("type").and_then(Value::as_str) == Some("Percent"),
            value: number(policy, "value").and_then(|value| u32::try_from(value).ok()).unwrap_or(u32::MAX),
            period: number(policy, "periodSeconds").map_or(SYNC_PERIOD, Millis::seconds),
        };
        let select = match value.get("selectPolicy").and_then(Value::as_str) {
            Some("Disabled") => Select::Disabled,
            Some("Min") => Select::Min,
            _ => Select::Max,
        };
        Self {
            window: number(value, "stabilizationWindowSeconds").map_or(window, Millis::seconds),
            select,
            policies: given.map_or_else(|| defaults.collect(), |list| list.iter().map(read).collect()),
            tolerance: value.get("tolerance").and_then(quantity).unwrap_or(TOLERANCE),
            plain: given.is_none(),
        }
    }
}

/// A small quantity: a number, or a text such as `0.05` or `50m`.
fn quantity(value: &Value) -> Option<f64> {
    let text = match value {
        Value::Number(number) => return number.as_f64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    match text.strip_suffix('m') {
        Some(milli) => milli.parse::<f64>().ok().map(|milli| milli / 1000.0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn growth(hpa: &Hpa, to: u32) -> Vec<u32> {
        let (mut current, mut path) = (1, Vec::new());
        while current < to {
            current = hpa.growth_limit(current, |_| (0, 0)).min(to);
            path.push(current);
        }
        path
    }

    #[test]
    fn without_behavior_replicas_double_and_reach_four_at_once() {
        assert_eq!(growth(&Hpa::of(None), 110), [4, 8, 16, 32, 64, 110]);
        assert_eq!(Hpa::of(None).growth_steps(1, 17), 4);
    }

    #[test]
    fn with_default_behavior_replicas_double_or_grow_by_four() {
        let hpa = Hpa::of(Some(&json!({})));
        assert_eq!(growth(&hpa, 110), [5, 10, 20, 40, 80, 110]);
        assert_eq!(hpa.growth_steps(1, 100), 6);
        assert!(hpa.lowers_at_once() && !hpa.window_pulls_up());
    }

    #[test]
    fn policies_of_ones_own_take_the_place_of_the_defaults() {
        let policies = json!([{ "type": "Pods", "value": 3, "periodSeconds": 30 }]);
        let hpa = Hpa::of(Some(&json!({ "scaleUp": { "policies": policies } })));
        assert_eq!(hpa.growth_limit(4, |_| (0, 0)), 7);
        assert_eq!(hpa.growth_limit(7, |_| (3, 0)), 7);
        assert_eq!(hpa.growth_limit(7, |_| (3, 2)), 9);
        assert_eq!(hpa.raise_delay(), Millis::seconds(15));
        let never = Hpa::of(Some(&json!({ "scaleUp": { "selectPolicy": "Disabled" } })));
        assert!(never.never_raises() && !never.never_lowers());
    }

    #[test]
    fn a_tenth_more_or_less_changes_nothing() {
        let hpa = Hpa::of(None);
        assert!(hpa.tolerates(11, 1, 10) && hpa.tolerates(9, 1, 10));
        assert!(!hpa.tolerates(12, 1, 10) && !hpa.tolerates(4, 1, 1) && !hpa.tolerates(0, 1, 0));
        let exact =
            Hpa::of(Some(&json!({ "scaleUp": { "tolerance": "0" }, "scaleDown": { "tolerance": "500m" } })));
        assert!(!exact.tolerates(11, 1, 10) && exact.tolerates(5, 1, 10));
    }
}
