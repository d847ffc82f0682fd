//! When the scenario itself kept KEDA or the HPA from doing what their rules say, and for how long after.

use model::event::ScaleTarget;
use model::fault::{CalledBy, Fault, Route, ServiceAnswer, ServiceFault, Shown};
use model::{Instant, Millis};

use crate::bounds::slack;
use crate::held_up;
use crate::history::{FaultSpan, History, KEDA_TIME_OUT, Target};
use crate::hpa::SYNC_PERIOD;

/// From its kill until a program of the cluster works again, and the work that its start costs a real machine.
const RESTART: Millis = Millis::seconds(30);
const RESTART_WALL: Millis = Millis::seconds(10);
/// A sync that was under way when KEDA went away ends at the API server's time-out.
const HANGING_SYNC: Millis = Millis::seconds(60);
/// So long may a program take to work again, at any speed.
const LONGEST_RESTART: Millis = Millis::seconds(300);
/// Until the API server asks a metrics server again that did not answer (kube-aggregator's availability check).
const AGGREGATOR: Millis = Millis::seconds(30);
/// Annotations by which a user takes over (kedacore/keda apis/keda/v1alpha1/scaledobject_types.go).
const ANNOTATIONS: [&str; 5] = [
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-replicas",
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
    "autoscaling.keda.sh/force-activation",
];

/// A span in which some rules do not hold, or cannot be held against anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disturbance {
    /// From when.
    pub(crate) from: Instant,
    /// Until when, recovery included.
    pub(crate) to: Instant,
    /// Whether KEDA and the HPA may decide otherwise, and not only later.
    pub(crate) decides: bool,
    /// Whether KEDA may take the last replicas away, since its polls meet what another's failure left.
    pub(crate) rests: bool,
    /// What it is.
    pub(crate) because: String,
}

impl Disturbance {
    /// The same, for a list of what was not judged.
    pub(crate) fn sentence(&self) -> String {
        format!("from {} to {}, because of {}", self.from, self.to, self.because)
    }
}

/// How long a program of the cluster may take to work again after it was killed.
pub(crate) fn restart(history: &History) -> Millis {
    let speed = history.started.as_ref().map_or(1, |started| u64::from(started.speed.max(1)));
    (RESTART + Millis(RESTART_WALL.0.saturating_mul(speed))).min(LONGEST_RESTART)
}

/// What disturbed a KEDA object, in order.
pub(crate) fn of(history: &History, object: &str) -> Vec<Disturbance> {
    let Some(target) = history.targets.get(object) else { return Vec::new() };
    let mut all = Vec::new();
    for fault in &history.faults {
        let scale = target.scale_at(fault.from);
        all.extend(of_fault(history, fault, object, scale));
    }
    all.extend(of_annotations(history, object));
    for (condition, what) in [("Paused", "a pause of the object"), ("Fallback", "KEDA's fallback")] {
        all.extend(of_condition(history, object, condition, what));
    }
    all.extend(of_standstills(history, target));
    all.sort_by_key(|one| (one.from, one.to));
    all
}

/// What a controller that stood still comes to do only later.
fn of_standstills(history: &History, target: &Target) -> impl Iterator<Item = Disturbance> {
    let round = SYNC_PERIOD + slack(history);
    held_up::spans(history, target).into_iter().map(move |(from, to)| Disturbance {
        from,
        to: to + round,
        decides: false,
        rests: false,
        because: "the HPA's controller, which stood still".to_owned(),
    })
}

fn of_fault(history: &History, fault: &FaultSpan, object: &str, scale: &ScaleTarget) -> Option<Disturbance> {
    let round = Millis::seconds(scale.polling_interval_s).max(SYNC_PERIOD) + SYNC_PERIOD + slack(history);
    let (from, to) = fault.span(history.end);
    let one = |to: Instant, decides, rests| {
        Some(Disturbance { from, to: to + round, decides, rests, because: fault.name() })
    };
    match &fault.fault {
        Some(Fault::Service(service)) if concerns_keda(service) => {
            // Also until a hanging request is given up, with its repetitions.
            let slow = is_slow(service);
            let given_up = if slow { HANGING_SYNC } else { KEDA_TIME_OUT };
            one(to + given_up, false, slow)
        }
        _ if fault.restarts_keda() => one(to + restart(history) + HANGING_SYNC.max(AGGREGATOR), true, true),
        _ if fault.restarts_controllers() => one(to + restart(history), true, false),
        _ if fault.edits(object).is_some() || fault.edits(&scale.workload).is_some() => one(to, true, true),
        _ => None,
    }
}

/// Whether a fault of the service changes what KEDA is told. What happens to messages and locks it is told as it is.
pub(crate) fn concerns_keda(fault: &ServiceFault) -> bool {
    let about_agents = matches!(fault.answer, Some(ServiceAnswer::Named(answer)) if answer.is_special());
    let shows = matches!(fault.credential, Shown::Anything | Shown::PersonalAccessToken);
    let concerns = |route| fault.concerns(route, CalledBy::Keda);
    shows && !about_agents && (concerns(Route::JobRequests) || concerns(Route::Pools))
}

/// Whether KEDA waits in vain.
fn is_slow(fault: &ServiceFault) -> bool {
    fault.longest_delay().is_none_or(|delay| delay >= KEDA_TIME_OUT)
}

/// Spans in which an annotation of the object lets somebody else decide.
fn of_annotations(history: &History, object: &str) -> Vec<Disturbance> {
    let Some(target) = history.targets.get(object) else { return Vec::new() };
    let eras = target.eras();
    let mut all = Vec::new();
    for (index, (from, scale, _)) in eras.iter().enumerate() {
        let to = eras.get(index + 1).map_or(history.end, |(next, ..)| *next);
        let set = |key: &&&str| scale.annotations.get(**key).is_some_and(|value| value != "false");
        if let Some(key) = ANNOTATIONS.iter().find(set) {
            let because = format!("the annotation {key}");
            all.push(Disturbance { from: *from, to, decides: true, rests: true, because });
        }
    }
    all
}

/// Spans in which a condition of the object is True, and the reconcile after them.
fn of_condition(history: &History, object: &str, condition: &str, what: &str) -> Vec<Disturbance> {
    let written = history.conditions.get(&(object.to_owned(), condition.to_owned()));
    let poll = history.targets.get(object).map_or(30, |target| target.scale.polling_interval_s);
    let round = Millis::seconds(poll).max(SYNC_PERIOD) + SYNC_PERIOD + slack(history);
    let mut all = Vec::new();
    let mut since = None;
    let mut close = |from: Instant, to: Instant| {
        let because = format!("{what} (condition {condition})");
        all.push(Disturbance { from: from - round, to: to + round, decides: true, rests: true, because });
    };
    for condition in written.into_iter().flatten() {
        match (condition.status == "True", since) {
            (true, None) => since = Some(condition.at),
            (false, Some(from)) => {
                close(from, condition.at);
                since = None;
            }
            _ => {}
        }
    }
    if let Some(from) = since {
        close(from, history.end);
    }
    all
}

/// Spans in order, those that touch together as one.
pub(crate) fn merged(spans: impl IntoIterator<Item = (Instant, Instant)>) -> Vec<(Instant, Instant)> {
    let mut spans: Vec<_> = spans.into_iter().collect();
    spans.sort_unstable();
    let mut merged: Vec<(Instant, Instant)> = Vec::new();
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// How much of a span lies in others that are merged.
pub(crate) fn overlap(spans: &[(Instant, Instant)], from: Instant, to: Instant) -> Millis {
    spans.iter().fold(Millis::ZERO, |sum, (start, end)| sum + (*end).min(to).since((*start).max(from)))
}

/// The faults of the service that change what KEDA is told, and until its requests in them are answered.
pub(crate) fn service_spans(history: &History) -> Vec<(Instant, Instant)> {
    let faults = history.faults.iter().filter(|fault| match &fault.fault {
        Some(Fault::Service(service)) => concerns_keda(service),
        _ => false,
    });
    merged(faults.map(|fault| {
        let (from, to) = fault.span(history.end);
        (from, to + KEDA_TIME_OUT + slack(history))
    }))
}

#[cfg(test)]
mod tests {
    use model::fault::{Budget, NamedAnswer};

    use super::*;

    #[test]
    fn a_fault_concerns_keda_if_it_hits_what_keda_asks_for() {
        let answer = |named| Some(ServiceAnswer::Named(named));
        let plain = ServiceFault { answer: Some(ServiceAnswer::Status(503)), ..ServiceFault::default() };
        assert!(concerns_keda(&plain));
        assert!(concerns_keda(&ServiceFault {
            caller: CalledBy::Keda,
            route: Route::Pools,
            ..plain.clone()
        }));
        assert!(!concerns_keda(&ServiceFault { caller: CalledBy::Agent, ..plain.clone() }));
        assert!(!concerns_keda(&ServiceFault { route: Route::Locks, ..plain.clone() }));
        assert!(!concerns_keda(&ServiceFault { credential: Shown::JobToken, ..plain }));
        for about_agents in [NamedAnswer::MessageLost, NamedAnswer::MessageTwice, NamedAnswer::LockLost] {
            let fault = ServiceFault { answer: answer(about_agents), ..ServiceFault::default() };
            assert!(!concerns_keda(&fault), "{about_agents:?}");
        }
        let jobs = Some(model::scenario::ParallelJobs::Limited(1));
        assert!(!concerns_keda(&ServiceFault { parallel_jobs: jobs, ..ServiceFault::default() }));
    }

    #[test]
    fn a_fault_is_slow_if_keda_may_give_up_on_it() {
        let delay = |delay: &str| ServiceFault {
            delay: Some(delay.parse().expect("a range")),
            ..ServiceFault::default()
        };
        assert!(is_slow(&delay("1s..4s")) && !is_slow(&delay("1s..2s")));
        let rows = ServiceFault { delay_per_row: Some(Millis(2)), ..ServiceFault::default() };
        assert!(is_slow(&rows), "nobody knows how many rows there will be");
        let budget = |longest_delay| ServiceFault {
            budget: Some(Budget { longest_delay, ..Budget::default() }),
            ..ServiceFault::default()
        };
        assert!(is_slow(&budget(Millis::seconds(30))) && !is_slow(&budget(Millis::seconds(1))));
    }

    #[test]
    fn spans_that_touch_are_one_and_count_once() {
        let at = |from, to| (Instant(from), Instant(to));
        let spans = merged([at(5, 9), at(1, 3), at(2, 4), at(9, 10)]);
        assert_eq!(spans, [at(1, 4), at(5, 10)]);
        assert_eq!(overlap(&spans, Instant(3), Instant(6)), Millis(2));
    }
}
