//! One instant in detail: what was there, what held it, and the decision before it.

use model::Instant;

use super::case::{Case, Reader};
use super::hpa::{Proposal, holding};
use super::keda::{cooldown_over, last_poll};
use super::reads::{counts, is_active, most};
use super::{MomentOfObject, Reads, Step};
use crate::history::History;
use crate::words::{counted, span};

/// An object at an instant. `steps` are all of its steps.
pub(super) fn of(
    case: &Case<'_>,
    proposals: Option<&Result<Vec<Proposal>, String>>,
    steps: &[Step],
    at: Instant,
) -> MomentOfObject {
    let after = case.reads.partition_point(|(read, _)| read.at <= at);
    let last = after.checked_sub(1).and_then(|index| case.reads.get(index));
    let last_read = last.map(|(read, reader)| Reads {
        from: read.at,
        to: read.at,
        reads: 1,
        polls: u32::from(*reader == Reader::Poll),
        hpa_syncs: u32::from(*reader == Reader::Hpa),
        status: read.status,
        failed: read.failure(),
        triggers: if read.succeeded() { counts(case, read) } else { Vec::new() },
        decision: None,
    });
    let mut state = vec![replicas(case, at), jobs(case.history, at), agents(case.history, at)];
    if let Some(Ok(proposals)) = proposals.filter(|_| case.replicas_at(at) > 0) {
        state.extend(holding(case, proposals, at));
    }
    state.extend(hpa_status(case, at));
    state.extend(poll_state(case, at));
    let faults = case.history.faults.iter().filter(|fault| {
        let (from, to) = fault.span(case.history.end);
        from <= at && at < to
    });
    state.extend(faults.map(|fault| format!("{} is on", fault.name())));
    let last_step = steps.iter().rfind(|step| step.at <= at).cloned();
    MomentOfObject { object: case.object.to_owned(), state, last_read, last_step }
}

fn replicas(case: &Case<'_>, at: Instant) -> String {
    let asked = case.replicas_at(at);
    if case.is_job {
        return format!("{} unfinished", counted(asked, "Job"));
    }
    let workload = case.history.workloads.get(&case.target.scale.workload);
    let (status, ready) =
        workload.map_or((None, None), |workload| (workload.status.at(at), workload.ready.at(at)));
    format!(
        "{} asked for, {} exist, {} ready",
        counted(asked, "replica"),
        status.unwrap_or_default(),
        ready.unwrap_or_default()
    )
}

fn jobs(history: &History, at: Instant) -> String {
    let known = |when: Option<Instant>| when.is_some_and(|when| when <= at);
    let queued = history.jobs.values().filter(|job| known(job.queued));
    let unfinished = queued.filter(|job| !known(job.finished().map(|finish| finish.at)));
    let (running, waiting): (Vec<_>, Vec<_>) =
        unfinished.partition(|job| known(job.received().map(|taken| taken.at)));
    format!("{} wait, {} run", counted(waiting.len() as u64, "job"), running.len())
}

fn agents(history: &History, at: Instant) -> String {
    let workers = history.agents.values().filter(|agent| !agent.placeholder);
    let online = workers.filter(|agent| agent.presence.at(at) == Some(1)).count() as u64;
    let busy = history.holds().into_iter().filter(|hold| hold.holds_at(at)).count();
    format!("{} online, {busy} with a job", counted(online, "agent"))
}

/// What the HPA said of itself last.
fn hpa_status(case: &Case<'_>, at: Instant) -> Option<String> {
    let own = format!("keda-hpa-{}", case.target.scale.name);
    let only = case.history.targets.len() == 1;
    let after = case.history.hpa.partition_point(|status| status.at <= at);
    let mut said = case.history.hpa.iter().take(after).rev();
    let status = said.find(|status| !case.is_job && (only || status.hpa == own))?;
    let conditions = status.conditions.iter().map(|(name, said)| format!("{name}={said}"));
    let conditions: Vec<String> = conditions.collect();
    Some(format!(
        "the HPA's status, of {}: {} current, {} desired{}{}",
        status.at,
        status.current,
        status.desired,
        if conditions.is_empty() { "" } else { ", " },
        conditions.join(", ")
    ))
}

/// The last poll, and the cool-down that it left.
fn poll_state(case: &Case<'_>, at: Instant) -> Vec<String> {
    let era = case.era(at);
    let mut state = Vec::new();
    let polled = last_poll(case, at, |_| true);
    if let Some(read) = polled {
        let told = read.failure().unwrap_or_else(|| format!("counted {}", counted(most(case, read), "job")));
        let next = read.at + era.poll();
        let next =
            if era.polls_do_not_read() { String::new() } else { format!("; the next comes at about {next}") };
        state.push(format!("KEDA's last poll, at {}, {told}{next}", read.at));
    }
    let rests = era.rest().filter(|rest| !case.is_job && case.replicas_at(at) > *rest);
    let active = last_poll(case, at, |read| is_active(case, read));
    if let (Some(rest), Some(active)) = (rests, active) {
        let over = cooldown_over(active.at, era.cooldown());
        let when = if over > at {
            format!("over at {over}, in {}", span(over.since(at)))
        } else {
            format!("over since {over}")
        };
        state.push(format!(
            "KEDA's cooldown of {}s before {rest} counts from {} and is {when}",
            era.scale.cooldown_s, active.at
        ));
    }
    state
}
