//! A count over time: a value holds until the next one.

use model::Instant;

use crate::series::Point;

/// A step function of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    points: Vec<Point>,
}

impl Steps {
    /// From `at` on the value is `value`. Instants come in order.
    pub(crate) fn set(&mut self, at: Instant, value: u32) {
        match self.points.last_mut() {
            Some(last) if last.value == value => {}
            Some(last) if last.at == at => last.value = value,
            _ => self.points.push(Point { at, value }),
        }
    }

    /// A count that every delta moves.
    pub(crate) fn counting(mut deltas: Vec<(Instant, i64)>) -> Self {
        deltas.sort_by_key(|(at, _)| *at);
        let mut steps = Self::default();
        let mut level = 0_i64;
        let mut deltas = deltas.into_iter().peekable();
        while let Some((at, delta)) = deltas.next() {
            level = level.saturating_add(delta);
            // Only the last of several changes in one instant is a value that held.
            if deltas.peek().is_none_or(|next| next.0 != at) {
                steps.set(at, u32::try_from(level.max(0)).unwrap_or(u32::MAX));
            }
        }
        steps
    }

    /// The sum of several counts.
    pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut deltas = Vec::new();
        for steps in all {
            let mut before = 0_i64;
            for point in &steps.points {
                deltas.push((point.at, i64::from(point.value) - before));
                before = i64::from(point.value);
            }
        }
        Self::counting(deltas)
    }

    /// The value now.
    pub(crate) fn last(&self) -> u32 {
        self.points.last().map_or(0, |point| point.value)
    }

    /// The value at an instant, if one is known by then.
    pub(crate) fn at(&self, at: Instant) -> Option<u32> {
        let after = self.points.partition_point(|point| point.at <= at);
        after.checked_sub(1).and_then(|index| self.points.get(index)).map(|point| point.value)
    }

    /// Every value that held at some time from `from` to `to`, both included.
    pub(crate) fn values(&self, from: Instant, to: Instant) -> impl Iterator<Item = u32> {
        let first = self.points.partition_point(|point| point.at <= from).saturating_sub(1);
        self.points.iter().skip(first).take_while(move |point| point.at <= to).map(|point| point.value)
    }

    /// The points.
    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Every change with the value before it. The first value is no change.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        self.points.windows(2).filter_map(|pair| match pair {
            [before, after] => {
                Some(Change { at: after.at, since: before.at, from: before.value, to: after.value })
            }
            _ => None,
        })
    }

    /// Every value with the span that it held for, up to `end`.
    pub(crate) fn plateaus(&self, end: Instant) -> impl Iterator<Item = Plateau> {
        let ends = self.points.iter().skip(1).map(|point| point.at).chain([end]);
        self.points
            .iter()
            .zip(ends)
            .map(move |(point, until)| Plateau { from: point.at, until: until.min(end), value: point.value })
            .filter(|plateau| plateau.from < plateau.until)
    }

    /// The first instant from `from` on at which the value is at most `most`.
    pub(crate) fn first_at_most(&self, from: Instant, most: u32) -> Option<Instant> {
        if self.at(from).is_some_and(|value| value <= most) {
            return Some(from);
        }
        self.points.iter().find(|point| point.at > from && point.value <= most).map(|point| point.at)
    }

    /// The area under the steps from `from` to `to`, in minutes.
    pub(crate) fn minutes(&self, from: Instant, to: Instant) -> f64 {
        self.plateaus(to)
            .filter(|plateau| plateau.until > from)
            .map(|plateau| {
                plateau.until.since(plateau.from.max(from)).as_seconds() / 60.0 * f64::from(plateau.value)
            })
            .sum()
    }
}

/// A change of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// When.
    pub(crate) at: Instant,
    /// Since when the value before had held.
    pub(crate) since: Instant,
    /// The value before.
    pub(crate) from: u32,
    /// The value after.
    pub(crate) to: u32,
}

/// A value and the span that it held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plateau {
    /// Since when.
    pub(crate) from: Instant,
    /// Until when.
    pub(crate) until: Instant,
    /// The value.
    pub(crate) value: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(points: &[(u64, u32)]) -> Steps {
        let mut steps = Steps::default();
        for (at, value) in points {
            steps.set(Instant(*at), *value);
        }
        steps
    }

    #[test]
    fn a_value_holds_until_the_next() {
        let steps = steps(&[(10, 1), (20, 4), (30, 4), (40, 0)]);
        assert_eq!(steps.at(Instant(9)), None);
        assert_eq!(steps.at(Instant(39)), Some(4));
        assert_eq!(steps.changes().count(), 2);
        assert_eq!(steps.values(Instant(15), Instant(20)).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(steps.first_at_most(Instant(21), 1), Some(Instant(40)));
        assert_eq!(steps.first_at_most(Instant(15), 1), Some(Instant(15)));
    }

    #[test]
    fn changes_in_one_instant_count_as_one() {
        let counted = Steps::counting(vec![(Instant(5), 1), (Instant(1), 1), (Instant(5), -1)]);
        assert_eq!(counted, steps(&[(1, 1)]));
    }

    #[test]
    fn a_sum_has_every_change_of_its_parts() {
        let sum = Steps::sum([&steps(&[(1, 2), (5, 1)]), &steps(&[(3, 1)])]);
        assert_eq!(sum, steps(&[(1, 2), (3, 3), (5, 2)]));
    }

    #[test]
    fn the_area_is_cut_at_both_ends() {
        let steps = steps(&[(0, 2), (60_000, 1)]);
        assert!((steps.minutes(Instant(30_000), Instant(120_000)) - 2.0).abs() < 1e-9);
    }
}
