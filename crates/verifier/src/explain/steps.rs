//! Who took a step, and why.

use model::Millis;

use super::case::Case;
use super::hpa::{self, Proposal};
use super::keda::{self, Reason};
use super::{Actor, Step};
use crate::history::{Change, ScaleWrite};

/// From a write of replicas to the watch that tells of them.
const WATCH_LAG: Millis = Millis::seconds(2);

/// The steps of a ScaledObject.
pub(super) fn of_workload(case: &Case<'_>, proposals: &Result<Vec<Proposal>, String>) -> Vec<Step> {
    case.changes().map(|change| step(case, proposals, change)).collect()
}

fn step(case: &Case<'_>, proposals: &Result<Vec<Proposal>, String>, change: Change) -> Step {
    let write = write_of(case, change);
    let edit = case.history.faults.iter().find(|fault| {
        fault.edits(&case.target.scale.workload).is_some()
            && fault.from <= change.at + case.slack
            && change.at.since(fault.from) <= case.slack
    });
    let (by, reason) = match (write, edit) {
        (_, Some(edit)) => (Actor::Other, Ok(format!("the scenario: {}", edit.name()))),
        (Some(write), None) if write.writer == "keda" => (Actor::Keda, by_keda(case, change)),
        (Some(write), None) if write.writer == "hpa" => (Actor::Hpa, hpa::step(case, proposals, change)),
        (Some(write), None) => {
            (Actor::Other, Ok(format!("`{}` set the replicas to {}", write.writer, write.replicas)))
        }
        (None, None) if is_keda_s(case, change) => (Actor::Keda, by_keda(case, change)),
        (None, None) => (Actor::Hpa, hpa::step(case, proposals, change)),
    };
    let explained = reason.is_ok();
    let because = reason.unwrap_or_else(|because| format!("not explained: {because}"));
    Step { at: change.at, from: change.from, to: change.to, by, explained, because }
}

/// The write that a step shows, where the log has writes.
fn write_of<'c>(case: &'c Case<'_>, change: Change) -> Option<&'c ScaleWrite> {
    let near = |write: &&ScaleWrite| {
        write.workload == case.target.scale.workload
            && write.replicas == change.to
            && (200..300).contains(&write.status)
            && write.at <= change.at + WATCH_LAG
            && change.at.since(write.at) <= WATCH_LAG + case.slack
    };
    let off = |write: &&ScaleWrite| change.at.since(write.at).0.max(write.at.since(change.at).0);
    case.history.scale_writes.iter().filter(near).min_by_key(off)
}

/// Whether only KEDA takes such a step: the HPA leaves zero alone and never goes below its minimum.
fn is_keda_s(case: &Case<'_>, change: Change) -> bool {
    let era = case.era(change.at);
    let up = change.to > change.from && (change.from == 0 || era.scale.idle == Some(change.from));
    up || (change.to < change.from && era.rest() == Some(change.to) && change.to < era.floor())
}

fn by_keda(case: &Case<'_>, change: Change) -> Reason {
    if change.to > change.from { keda::raise(case, change) } else { keda::rest(case, change) }
}
