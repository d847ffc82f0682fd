//! When the HPA's controller itself stood still: it did not ask, though its last question had been answered.
//!
//! Nothing that KEDA does can cause that. On a machine that runs a dilated control plane, a process that gets
//! no processor for a second and a half has missed half a minute at twenty times the wall clock's speed.

use model::{Instant, Millis};

use crate::history::{History, Target};
use crate::hpa::SYNC_PERIOD;
use crate::report::SIMULATED;

/// Two syncs in a row are gone.
pub(crate) const TOO_LONG: Millis = Millis(SYNC_PERIOD.0 * 2);

/// The spans, from an answer to the next question, in which a target's HPA should have asked and did not.
/// Empty for simulated runs, whose controllers stand still for a reason, and where the engine does not see questions.
pub(crate) fn spans(history: &History, target: &Target) -> Vec<(Instant, Instant)> {
    if history.started.as_ref().is_none_or(|started| started.engine == SIMULATED)
        || target.scale.scaler != "ScaledObject"
    {
        return Vec::new();
    }
    let replicas = history.replicas_of(target);
    let restarted = |from: Instant, to: Instant| {
        history.faults.iter().any(|fault| {
            let (start, end) = fault.span(history.end);
            start <= to && from <= end && (fault.restarts_keda() || fault.restarts_controllers())
        })
    };
    history
        .hpa_reads
        .windows(2)
        .filter_map(|pair| match pair {
            [answered, next] => Some((answered.at, next.at - next.latency)),
            _ => None,
        })
        .filter(|&(from, to)| to.since(from) > TOO_LONG)
        // Of a workload without replicas an HPA asks nothing.
        .filter(|&(from, to)| replicas.values(from, to).all(|replicas| replicas > 0))
        .filter(|&(from, to)| !restarted(from, to))
        .collect()
}
