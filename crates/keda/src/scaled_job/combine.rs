//! What several triggers ask for together.

use super::bounds::Bounds;

/// What one trigger said. A trigger that could not be read has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The length of its queue.
    pub queue: f64,
    /// How much of it one Job stands for (`targetPipelinesQueueLength`).
    pub target: f64,
    /// Whether it is more than the activation target.
    pub active: bool,
}

/// How readings are combined (`multipleScalersCalculation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Calculation {
    /// The trigger with the longest queue decides, with its own target.
    #[default]
    Max,
    /// The one with the shortest.
    Min,
    /// The mean over the active triggers.
    Average,
    /// The sum over the active triggers.
    Sum,
}

impl Calculation {
    /// What `multipleScalersCalculation` means; anything unknown is `max`.
    #[must_use]
    pub fn of(text: Option<&str>) -> Self {
        match text {
            Some("min") => Self::Min,
            Some("avg") => Self::Average,
            Some("sum") => Self::Sum,
            _ => Self::Max,
        }
    }
}

/// What the triggers ask for together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Whether anything may be created: an active trigger decided, or there is a minimum.
    pub active: bool,
    /// The length of the queue, rounded up.
    pub queue_length: i64,
    /// How many Jobs that makes, at most as many as the bounds allow beyond the minimum.
    pub max_scale: i64,
}

/// Combines the readings (K:pkg/scaling/scaledjob/metrics.go, `IsScaledJobActive`).
///
/// Inactive readings have no part in it. A reading's own Jobs are cut off at the
/// bound before they are combined, and the result is cut off once more.
#[must_use]
pub fn combine(calculation: Calculation, bounds: Bounds, readings: &[Reading]) -> Asked {
    let mut total = Total::default();
    let mut count = 0_u32;
    for reading in readings.iter().filter(|reading| reading.active) {
        let jobs = jobs_of(*reading, bounds);
        match calculation {
            Calculation::Max if reading.queue > total.queue => total = Total::of(*reading, jobs),
            Calculation::Min if total.queue == 0.0 || reading.queue < total.queue => {
                total = Total::of(*reading, jobs);
            }
            Calculation::Sum | Calculation::Average => {
                total.queue += reading.queue;
                total.jobs += jobs;
                total.active = true;
                count += 1;
            }
            Calculation::Max | Calculation::Min => {}
        }
    }
    if calculation == Calculation::Average && count > 0 {
        total.queue /= f64::from(count);
        total.jobs /= f64::from(count);
    }
    Asked {
        active: total.active || bounds.minimum > 0,
        queue_length: ceiling(total.queue),
        max_scale: ceiling(total.jobs.min(beyond(bounds))),
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Total {
    queue: f64,
    jobs: f64,
    active: bool,
}

impl Total {
    fn of(reading: Reading, jobs: f64) -> Self {
        Self { queue: reading.queue, jobs, active: true }
    }
}

/// How many Jobs a reading asks for; none if its target is zero (metrics.go, `CalculateQueueLengthAndMaxValue`).
fn jobs_of(reading: Reading, bounds: Bounds) -> f64 {
    if reading.target == 0.0 { 0.0 } else { (reading.queue / reading.target).min(beyond(bounds)) }
}

#[expect(clippy::cast_precision_loss, reason = "a replica count has 32 bits")]
fn beyond(bounds: Bounds) -> f64 {
    bounds.beyond as f64
}

/// Rounded up (metrics.go, `ceilToInt64`).
#[expect(clippy::cast_possible_truncation, reason = "queues stay far below 2^53")]
fn ceiling(value: f64) -> i64 {
    value.ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { minimum: 0, beyond: 10 };

    fn reading(queue: f64, target: f64) -> Reading {
        Reading { queue, target, active: queue > 0.0 }
    }

    fn combined(calculation: Calculation, readings: &[Reading]) -> (bool, i64, i64) {
        let asked = combine(calculation, BOUNDS, readings);
        (asked.active, asked.queue_length, asked.max_scale)
    }

    #[test]
    fn the_longest_queue_brings_its_own_target() {
        let readings = [reading(6.0, 3.0), reading(5.0, 1.0)];
        assert_eq!(combined(Calculation::Max, &readings), (true, 6, 2));
        assert_eq!(combined(Calculation::Min, &readings), (true, 5, 5));
        assert_eq!(combined(Calculation::Sum, &readings), (true, 11, 7));
        assert_eq!(combined(Calculation::Average, &readings), (true, 6, 4));
    }

    #[test]
    fn an_inactive_trigger_has_no_part() {
        let quiet = Reading { queue: 2.0, target: 1.0, active: false };
        for calculation in [Calculation::Max, Calculation::Min, Calculation::Average, Calculation::Sum] {
            assert_eq!(combined(calculation, &[quiet, reading(4.0, 1.0)]), (true, 4, 4));
            assert_eq!(combined(calculation, &[quiet]), (false, 0, 0));
        }
    }

    #[test]
    fn an_active_trigger_with_an_empty_queue_counts_for_all_but_the_maximum() {
        // An activation target below zero makes an empty queue active.
        let empty = Reading { queue: 0.0, target: 1.0, active: true };
        assert_eq!(combined(Calculation::Max, &[empty]), (false, 0, 0));
        assert_eq!(combined(Calculation::Min, &[empty]), (true, 0, 0));
        assert_eq!(combined(Calculation::Sum, &[empty]), (true, 0, 0));
    }

    #[test]
    fn an_empty_queue_does_not_stay_the_smallest() {
        let empty = Reading { queue: 0.0, target: 1.0, active: true };
        assert_eq!(combined(Calculation::Min, &[empty, reading(4.0, 1.0)]), (true, 4, 4));
        assert_eq!(combined(Calculation::Min, &[reading(4.0, 1.0), empty]), (true, 0, 0));
    }

    #[test]
    fn each_reading_and_the_sum_stop_at_the_bound() {
        assert_eq!(combined(Calculation::Sum, &[reading(50.0, 1.0), reading(50.0, 1.0)]), (true, 100, 10));
        // 10 rather than 50 goes into the mean.
        assert_eq!(combined(Calculation::Average, &[reading(50.0, 1.0), reading(2.0, 1.0)]), (true, 26, 6));
    }

    #[test]
    fn a_target_of_zero_asks_for_no_job() {
        assert_eq!(combined(Calculation::Max, &[reading(5.0, 0.0)]), (true, 5, 0));
        assert_eq!(combined(Calculation::Max, &[reading(5.0, 2.0)]), (true, 5, 3));
    }

    #[test]
    fn a_minimum_is_always_active() {
        assert!(combine(Calculation::Max, Bounds { minimum: 1, beyond: 9 }, &[]).active);
        assert!(!combine(Calculation::Max, BOUNDS, &[]).active);
    }

    #[test]
    fn unknown_calculations_are_the_maximum() {
        assert_eq!(Calculation::of(None), Calculation::Max);
        assert_eq!(Calculation::of(Some("median")), Calculation::Max);
        assert_eq!(Calculation::of(Some("avg")), Calculation::Average);
    }
}
