//! Steps side by side: where both logs have different replicas, for how long, and whether what they
//! decide on fell so close to a poll or sync that either may be right.

use model::{Instant, Millis};

use super::side::{Course, Side};
use super::{Disagreement, StepSequence};
use crate::words::span;

/// What happens this close to a poll or sync is seen by it in one log and by the next in the other.
pub(super) const BOUNDARY: Millis = Millis::seconds(1);

/// The steps of one workload in both logs.
pub(super) fn compare(of: &str, sides: [&Side; 2], courses: [&Course; 2], limit: Millis) -> StepSequence {
    let [a, b] = courses;
    let same = a.steps.iter().zip(&b.steps).take_while(|(a, b)| (a.from, a.to) == (b.from, b.to)).count();
    let equal = same == a.steps.len() && same == b.steps.len();
    let apart = a.steps.iter().zip(&b.steps).take(same);
    let apart = apart.map(|(a, b)| i64::try_from(b.at.0).unwrap_or(i64::MAX).saturating_sub_unsigned(a.at.0));
    let mut sequence = StepSequence {
        of: of.to_owned(),
        steps: [a.steps.clone(), b.steps.clone()],
        equal,
        first_difference: (!equal).then(|| u32::try_from(same).unwrap_or(u32::MAX)),
        apart_ms: apart.collect(),
        disagreements: Vec::new(),
    };
    let mut earlier: Option<Instant> = None;
    for (from, to, replicas) in disagreements(sides, courses) {
        if to.since(from) <= limit {
            continue;
        }
        let inside = courses.iter().flat_map(|course| {
            let steps = course.steps.iter().filter(|step| step.at >= from && step.at < to);
            steps.map(|step| course.pace.period(*step))
        });
        // A decision one period later delays each step after it by one, and nothing for longer.
        let longest = inside.fold(limit, |sum, period| sum + period);
        let longest = longest + held_apart(courses, from, limit);
        let short = to.since(from) <= longest + later_ends(sides);
        let boundary = boundary(sides, courses, from).filter(|_| to.since(from) <= longest);
        let boundary = boundary.or_else(|| {
            let cause = earlier.filter(|_| short && later_ends(sides) > Millis::ZERO)?;
            Some(format!("jobs ended later in one log after the boundary case at {cause}"))
        });
        if boundary.is_some() {
            earlier.get_or_insert(from);
        }
        sequence.disagreements.push(Disagreement { from, to, replicas, boundary });
    }
    sequence
}

/// How long replicas stay apart that one read of the queue has sent to different heights: until what
/// holds them up is over.
fn held_apart(courses: [&Course; 2], from: Instant, limit: Millis) -> Millis {
    let near = |course: &Course| {
        course.steps.iter().find(|step| step.at >= from && step.at <= from + limit).map(|step| step.to)
    };
    match courses.map(near) {
        [Some(a), Some(b)] if a != b => courses[0].pace.window.max(courses[0].pace.cooldown),
        _ => Millis::ZERO,
    }
}

/// The longest that the end of a job differs by.
fn later_ends([a, b]: [&Side; 2]) -> Millis {
    let ends = a.history.jobs.iter().filter_map(|(request, job)| {
        let other = b.history.jobs.get(request)?.finished()?;
        Some(a.since(job.finished()?.at).0.abs_diff(b.since(other.at).0))
    });
    Millis(ends.max().unwrap_or_default())
}

/// The spans in which both logs have different replicas, while both last.
fn disagreements([a, b]: [&Side; 2], courses: [&Course; 2]) -> Vec<(Instant, Instant, [u32; 2])> {
    let end = a.until.min(b.until);
    let mut instants: Vec<Instant> =
        courses.iter().flat_map(|course| course.level.points()).map(|point| point.at).collect();
    instants.push(end);
    instants.sort_unstable();
    instants.dedup();
    let mut spans: Vec<(Instant, Instant, [u32; 2])> = Vec::new();
    let mut open: Option<(Instant, [u32; 2])> = None;
    for at in instants.into_iter().filter(|at| *at <= end) {
        let values = courses.map(|course| course.level.at(at).unwrap_or_default());
        match open {
            None if values[0] != values[1] && at < end => open = Some((at, values)),
            Some((from, replicas)) if values[0] == values[1] || at == end => {
                spans.push((from, at, replicas));
                open = None;
            }
            _ => {}
        }
    }
    spans
}

/// How far apart both logs read the queue around an instant, if that is beyond the limit.
pub(super) fn out_of_phase([a, b]: [&Side; 2], at: Instant, limit: Millis) -> Option<Millis> {
    let beat = a.beat_before(at)?;
    let off = Millis(b.beat_near(beat)?.0.abs_diff(beat.0));
    (off > limit).then_some(off)
}

/// What fell within a second of a poll or sync that one log decided in and the other did not.
fn boundary(sides: [&Side; 2], courses: [&Course; 2], from: Instant) -> Option<String> {
    let first = courses.iter().position(|course| course.steps.iter().any(|step| step.at == from))?;
    let step = courses[first].steps.iter().find(|step| step.at == from)?;
    let decided = sides[first].beat_before(from)?;
    let pace = courses[first].pace;
    let here = [Some(decided), sides[1 - first].beat_near(decided)];
    if step.to > step.from {
        return near(sides, here.into_iter().flatten());
    }
    let (held, least) = if step.to == 0 { (pace.cooldown, 1) } else { (pace.window, step.from) };
    // The last read that asked for what is taken away, and the first that did not.
    let turn = [0, 1].map(|index| {
        let known = courses[index].wanted.iter().rfind(|(at, wanted)| *at <= decided && *wanted >= least);
        let last = known.map(|(at, _)| *at);
        [last, last.and_then(|last| sides[index].beat_after(last))]
    });
    let beats = turn.into_iter().flatten().flatten().chain(here.into_iter().flatten());
    near(sides, beats).or_else(|| {
        let what = if step.to == 0 { "cooldown" } else { "scale-down window" };
        let over = |index: usize| Some((sides[index], turn[index][0]? + held, ["A", "B"][index]));
        let mut overs = [0, 1].into_iter().filter_map(over);
        overs.find_map(|(side, over, name)| expiry(side, over, what, name))
    })
}

/// The first cause within a second of one of these reads.
fn near(sides: [&Side; 2], beats: impl Iterator<Item = Instant>) -> Option<String> {
    for beat in beats {
        for (index, side) in sides.iter().enumerate() {
            let first = side.causes.partition_point(|(at, _)| *at + BOUNDARY < beat);
            if let Some((at, what)) = side.causes.get(first).filter(|(at, _)| *at <= beat + BOUNDARY) {
                let order = if *at <= beat { "before" } else { "after" };
                return Some(format!(
                    "{what} at {at} in log {}, {} {order} a read of the queue at {beat}",
                    ["A", "B"][index],
                    span(Millis(at.0.abs_diff(beat.0)))
                ));
            }
        }
    }
    None
}

/// A window or a cool-down that was over within a second of a read.
fn expiry(side: &Side, over: Instant, what: &str, name: &str) -> Option<String> {
    let read = side.beat_near(over)?;
    let off = Millis(read.0.abs_diff(over.0));
    (off <= BOUNDARY).then(|| {
        format!("the {what} was over at {over} in log {name}, {} from its read at {read}", span(off))
    })
}
