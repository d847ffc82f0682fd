//! What a fault of the scenario did by itself: told, and held against nobody.

use model::fault::Route;
use model::{Instant, Millis};

use super::{Breach, Judged, Rule};
use crate::bounds::slack;
use crate::history::{FaultSpan, History, Pod};
use crate::report::Severity;

/// From a fault until the API's watch tells what it did.
const TOLD: Millis = Millis::seconds(5);

const CONSEQUENCE: Rule = Rule {
    name: "fault_consequence",
    severity: Severity::Note,
    about: "jobs and agents that a fault of the scenario took by itself; no other rule counts them",
    source: "the scenario's faults, and events fault.on and fault.off",
};

pub(super) const RULES: &[Rule] = &[CONSEQUENCE];

/// Every consequence is told by the rule that leaves it out.
pub(super) fn judge(_: &History, _: &mut Judged) {}

/// Tells of a consequence.
pub(super) fn tell(judged: &mut Judged, at: Instant, subject: String, measured: String, fault: &str) {
    let bound = "as the scenario has it".to_owned();
    let because = format!("{fault} did that, and nothing that is tested could have kept it from it");
    judged.find(&CONSEQUENCE, at, Breach { subject, measured, bound, because });
}

/// The fault that killed a pod, deleted it or took its node away after something began in it.
pub(super) fn took_pod<'h>(history: &'h History, pod: &Pod, began: Instant) -> Option<&'h FaultSpan> {
    let taken = |fault: &&FaultSpan| {
        began <= fault.from + slack(history) && (fault.takes_pod(pod) || fault.takes_node_of(pod))
    };
    history.faults.iter().find(taken)
}

/// The fault that a pod's deletion at an instant is.
pub(super) fn deleted_pod<'h>(history: &'h History, pod: &Pod, at: Instant) -> Option<&'h FaultSpan> {
    let near = |fault: &&FaultSpan| {
        let by_hand = fault.takes_pod(pod)
            && at.since(fault.from) <= TOLD + slack(history)
            && fault.from <= at + slack(history);
        by_hand || (fault.takes_node_of(pod) && fault.from <= at)
    };
    history.faults.iter().find(near)
}

/// What keeps an agent's job its own: renewals, and that it hears of cancellations. Job requests were the name of
/// locks, too, before those had one of their own.
pub(super) const TO_KEEP_A_JOB: [Route; 4] =
    [Route::Locks, Route::JobRequests, Route::Plans, Route::Messages];
/// What an agent asks for to leave its pool.
pub(super) const TO_LEAVE: [Route; 2] = [Route::Agents, Route::Sessions];

/// The fault of the service that cut an agent off from these routes between two instants.
pub(super) fn cut_off<'h>(
    history: &'h History,
    routes: &[Route],
    from: Instant,
    to: Instant,
) -> Option<&'h FaultSpan> {
    let overlaps = |fault: &&FaultSpan| {
        let (start, end) = fault.span(history.end);
        fault.cuts_agents_off(routes) && start <= to && from <= end
    };
    history.faults.iter().find(overlaps)
}
