//! `minReplicaCount` and `maxReplicaCount` of a ScaledJob, as the versions take them.

use model::manifest::keda::{DEFAULT_MAX_REPLICA_COUNT, DEFAULT_MIN_REPLICA_COUNT};

use super::OperatorPanics;
use crate::rules::{JobBounds, ScaledJobRules};

/// What remains of the two counts (K:apis/keda/v1alpha1/scaledjob_types.go, `MinReplicaCount` and `MaxReplicaCount`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The Jobs that are there in any case.
    pub minimum: i64,
    /// The Jobs that triggers can ask for beyond the minimum.
    pub beyond: i64,
}

impl Bounds {
    /// The bounds of a specification.
    ///
    /// Three oddities are KEDA's own. Without `maxReplicaCount` the minimum comes on top of the default of
    /// 100. With a minimum above the maximum both bounds are the maximum, so that twice as many Jobs as it
    /// allows may run; until 2.10 nothing goes beyond it.
    ///
    /// # Errors
    /// Until 2.10 a minimum without a maximum makes the operator panic.
    pub fn of(
        rules: &ScaledJobRules,
        minimum: Option<u32>,
        maximum: Option<u32>,
    ) -> Result<Self, OperatorPanics> {
        let clipped = rules.bounds == JobBounds::Clipped;
        let Some(least) = minimum.map(i64::from) else {
            let most = maximum.unwrap_or(DEFAULT_MAX_REPLICA_COUNT);
            let least = i64::from(DEFAULT_MIN_REPLICA_COUNT);
            return Ok(Self { minimum: least, beyond: i64::from(most) - least });
        };
        match maximum.map(i64::from) {
            None if clipped => Ok(Self { minimum: least, beyond: i64::from(DEFAULT_MAX_REPLICA_COUNT) }),
            None => Err(OperatorPanics::MinimumWithoutMaximum),
            Some(most) if least > most => Ok(Self { minimum: most, beyond: if clipped { most } else { 0 } }),
            Some(most) => Ok(Self { minimum: least, beyond: most - least }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scaled_job::tests::rules;

    fn bounds(version: &str, minimum: Option<u32>, maximum: Option<u32>) -> (i64, i64) {
        let bounds = Bounds::of(rules(version), minimum, maximum).expect("bounds");
        (bounds.minimum, bounds.beyond)
    }

    #[test]
    fn what_the_minimum_holds_triggers_cannot_ask_for() {
        assert_eq!(bounds("2.21.0", None, Some(10)), (0, 10));
        assert_eq!(bounds("2.21.0", Some(3), Some(10)), (3, 7));
    }

    #[test]
    fn without_a_maximum_the_minimum_comes_on_top_of_the_default() {
        assert_eq!(bounds("2.21.0", None, None), (0, 100));
        assert_eq!(bounds("2.21.0", Some(3), None), (3, 100));
    }

    #[test]
    fn a_minimum_above_the_maximum_doubles_the_maximum_since_2_11() {
        assert_eq!(bounds("2.11.0", Some(6), Some(4)), (4, 4));
        assert_eq!(bounds("2.10.1", Some(6), Some(4)), (4, 0));
    }

    #[test]
    fn a_minimum_without_a_maximum_was_fatal_until_2_10() {
        assert_eq!(Bounds::of(rules("2.10.1"), Some(1), None), Err(OperatorPanics::MinimumWithoutMaximum));
        assert_eq!(bounds("2.11.0", Some(1), None), (1, 100));
        assert_eq!(bounds("2.10.1", None, None), (0, 100));
    }
}
