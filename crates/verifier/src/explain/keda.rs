//! Steps that KEDA's operator takes itself: out of zero and the idle count, and back.

use model::{Instant, Millis};
use serde_json::Value;

use super::case::{Case, Reader};
use super::reads::{is_active, most};
use crate::bounds::LAST_ACTIVE_ROUNDING;
use crate::history::{Change, Read};
use crate::words::{counted, span};

/// An annotation that takes the place of work (kedacore/keda apis/keda/v1alpha1/scaledobject_types.go).
const FORCE_ACTIVATION: &str = "autoscaling.keda.sh/force-activation";

/// Whether a step explains itself, and how.
pub(super) type Reason = Result<String, String>;

/// Why KEDA raised: out of zero or the idle count, or up to the minimum.
pub(super) fn raise(case: &Case<'_>, change: Change) -> Reason {
    let era = case.era(change.at);
    let from_to = format!("from {} to {}", change.from, change.to);
    let polled = last_poll(case, change.at, |_| true);
    let active = polled.filter(|read| is_active(case, read));
    if era.scale.annotations.get(FORCE_ACTIVATION).is_some_and(|value| value == "true") {
        return Ok(format!("KEDA: force-activation is set, {from_to}"));
    }
    let expected = era.floor();
    match (active, polled) {
        _ if change.to != expected => {
            Err(format!("KEDA leaves {} for {expected}, not for {}", change.from, change.to))
        }
        (Some(read), _) if change.at.since(read.at) <= era.poll() + case.slack => Ok(format!(
            "KEDA: active, {from_to}: the poll at {} counted {}",
            read.at,
            counted(most(case, read), "job")
        )),
        (None, Some(read)) if !read.succeeded() && era.spec("/fallback").is_some() => {
            Ok(format!("KEDA: active by its fallback while reads fail, {from_to}"))
        }
        (_, _) if change.to <= era.scale.min => {
            Ok(format!("KEDA: {} is below minReplicaCount, {from_to}", change.from))
        }
        (None, Some(read)) => Err(format!(
            "the last poll, at {}, {}, and KEDA leaves zero for work only",
            read.at,
            read.failure().unwrap_or_else(|| "counted no job".to_owned())
        )),
        (Some(read), _) => {
            Err(format!("the last poll that counted work was at {}, too long before", read.at))
        }
        (None, None) => Err("the log has no poll before it".to_owned()),
    }
}

/// Why KEDA lowered to zero or to the idle count.
pub(super) fn rest(case: &Case<'_>, change: Change) -> Reason {
    let era = case.era(change.at);
    let cooldown = era.cooldown();
    let polled = last_poll(case, change.at, |_| true);
    if let Some(failed) = polled.filter(|read| !read.succeeded()) {
        return Err(format!(
            "the poll at {} {}, and KEDA lowers to {} only in a poll without errors (since 2.20 one that met a closed \
             cache passes for one)",
            failed.at,
            failed.failure().unwrap_or_default(),
            change.to
        ));
    }
    if let Some(busy) = polled.filter(|read| is_active(case, read)) {
        let count = counted(most(case, busy), "job");
        return Err(format!("the poll at {} still counted {count}", busy.at));
    }
    let Some(active) = last_poll(case, change.at, |read| is_active(case, read)) else {
        let initial = era.spec("/initialCooldownPeriod").and_then(Value::as_u64).unwrap_or_default();
        return Ok(format!(
            "KEDA: never active since it began, and initialCooldownPeriod of {initial}s over, from {} to {}",
            change.from, change.to
        ));
    };
    let over = cooldown_over(active.at, cooldown);
    if change.at + LAST_ACTIVE_ROUNDING + case.slack < over {
        return Err(format!(
            "the poll at {} counted {}, so KEDA's cooldown of {}s is not over before {over}",
            active.at,
            counted(most(case, active), "job"),
            era.scale.cooldown_s
        ));
    }
    Ok(format!(
        "KEDA: cooldown of {}s over since {over}, from {} to {}: the poll at {} was the last that counted a job",
        era.scale.cooldown_s, change.from, change.to, active.at
    ))
}

/// lastActiveTime has whole seconds.
pub(super) fn cooldown_over(active: Instant, cooldown: Millis) -> Instant {
    Instant(active.0 / 1000 * 1000) + cooldown
}

/// The last poll up to an instant of which something holds.
pub(super) fn last_poll<'c>(
    case: &'c Case<'_>,
    at: Instant,
    holds: impl Fn(&Read) -> bool,
) -> Option<&'c Read> {
    let after = case.reads.partition_point(|(read, _)| read.at <= at);
    // Where polls take what the HPA read, its reads are what they know.
    let known = |reader: Reader, read: &Read| reader == Reader::Poll || case.era(read.at).polls_do_not_read();
    let before = case.reads.iter().take(after).rev();
    before.filter(|(read, reader)| known(*reader, read)).map(|(read, _)| *read).find(|read| holds(read))
}

/// How long ago something was, for a sentence.
pub(super) fn ago(at: Instant, now: Instant) -> String {
    format!("{} before", span(now.since(at)))
}
