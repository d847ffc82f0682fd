//! What else happened: faults, changes of the object, and conditions that say that something is wrong.

use super::Note;
use super::case::Case;
use crate::history::WrittenCondition;
use crate::words::span;

/// What the log tells of beside reads and steps.
pub(super) fn of(case: &Case<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let told = |name: &str| case.eras.iter().any(|era| era.because == name);
    for fault in case.history.faults.iter().filter(|fault| !told(&fault.name())) {
        let (from, to) = fault.span(case.history.end);
        let begins = if from < to { " begins" } else { "" };
        notes.push(Note { at: fault.from, what: format!("{}{begins}", fault.name()) });
        notes.extend(fault.to.map(|at| Note { at, what: format!("fault {} is over", fault.index) }));
    }
    for pair in case.eras.windows(2) {
        let [before, after] = pair else { continue };
        let what = format!("{}: {}", after.because, changes(before.scale, after.scale));
        notes.push(Note { at: after.from, what });
    }
    for condition in ["Ready", "Fallback", "Paused"] {
        let written = case.history.conditions.get(&(case.object.to_owned(), condition.to_owned()));
        notes.extend(conditions(condition, written.map(Vec::as_slice).unwrap_or_default()));
    }
    if !case.is_job {
        notes.extend(hpa_conditions(case));
    }
    notes.retain(|note| note.at < case.until);
    notes.sort_by_key(|note| note.at);
    notes
}

fn changes(before: &model::event::ScaleTarget, after: &model::event::ScaleTarget) -> String {
    let mut parts = Vec::new();
    let mut say = |what: &str, before: String, after: String| {
        if before != after {
            parts.push(format!("{what} {before} becomes {after}"));
        }
    };
    say("KEDA", before.keda.clone(), after.keda.clone());
    say("minReplicaCount", before.min.to_string(), after.min.to_string());
    say("maxReplicaCount", before.max.to_string(), after.max.to_string());
    say("pollingInterval", before.polling_interval_s.to_string(), after.polling_interval_s.to_string());
    say("cooldownPeriod", before.cooldown_s.to_string(), after.cooldown_s.to_string());
    say("scale-down window", before.stabilization_s.to_string(), after.stabilization_s.to_string());
    if before.triggers != after.triggers {
        parts.push("the triggers change".to_owned());
    }
    if before.annotations != after.annotations {
        parts.push("the annotations change".to_owned());
    }
    if parts.is_empty() { "its spec changes".to_owned() } else { parts.join(", ") }
}

/// A condition that turns bad, and good again.
fn conditions(name: &str, written: &[WrittenCondition]) -> Vec<Note> {
    // Ready is good when True, the others when they are not.
    let is_bad = |condition: &WrittenCondition| match name {
        "Ready" => condition.status == "False",
        _ => condition.status == "True",
    };
    let mut notes = Vec::new();
    let mut bad = false;
    for condition in written {
        if is_bad(condition) != bad {
            bad = !bad;
            let text = [condition.reason.as_str(), condition.message.as_str()];
            let text: Vec<&str> = text.into_iter().filter(|text| !text.is_empty()).collect();
            let what = format!("condition {name}={} {}", condition.status, text.join(": "));
            notes.push(Note { at: condition.at, what: what.trim_end().to_owned() });
        }
    }
    notes
}

/// Spans in which the HPA said that it cannot scale.
fn hpa_conditions(case: &Case<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut since = None;
    for status in &case.history.hpa {
        let active = status.scaling_active.as_deref().unwrap_or("True");
        let failing = !active.starts_with("True") && !active.ends_with("/ScalingDisabled");
        match (failing, since) {
            (true, None) => {
                since = Some(status.at);
                let what = format!("the HPA's condition ScalingActive={active}: it holds its replicas");
                notes.push(Note { at: status.at, what });
            }
            (false, Some(start)) => {
                since = None;
                let what = format!(
                    "the HPA's condition ScalingActive={active} after {}",
                    span(status.at.since(start))
                );
                notes.push(Note { at: status.at, what });
            }
            _ => {}
        }
    }
    notes
}
