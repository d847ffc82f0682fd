//! Busy agents: a pod that is picked for deletion at work, and whether its job survives.

use std::collections::BTreeMap;

use model::event::JobResult;
use model::scenario::Expectation;
use model::{Instant, Millis};

use super::tracking::tracked;
use super::{Breach, Judged, Rule};
use crate::history::{Change, History, Hold, Pod};
use crate::report::Severity;
use crate::words::span;

/// So long may a job's end be reported after its process.
const REPORT_LAG: Millis = Millis::seconds(1);
/// So long after a reduction a pod that it removes gets its deletion timestamp.
const DELETION_LAG: Millis = Millis::seconds(10);

const KILLED: Rule = Rule {
    name: "no_busy_agent_killed",
    severity: Severity::Violation,
    about: "no pod is deleted under a job that does not survive it; a pod whose agent finishes within its grace is picked, not killed",
    source: "kubernetes pkg/controller/controller_utils.go, ActivePodsWithRanks: work does not protect a pod",
};

pub(super) const RULES: &[Rule] = &[KILLED];

/// A pod that got its deletion timestamp while its agent held a job.
#[derive(Debug)]
pub(crate) struct Picked<'a> {
    /// The pod.
    pub(crate) pod: &'a Pod,
    /// When.
    pub(crate) at: Instant,
    /// The job.
    pub(crate) hold: Hold,
    /// How the job was ended, if it did not survive.
    pub(crate) killed: Option<String>,
}

/// The busy pods that were picked for deletion before the workload itself was deleted.
pub(crate) fn picked_pods(history: &History) -> Vec<Picked<'_>> {
    let holds = history.holds();
    let mut of_agent: BTreeMap<String, Vec<&Hold>> = BTreeMap::new();
    for hold in &holds {
        of_agent.entry(history.agent_name(hold.agent)).or_default().push(hold);
    }
    let until = history.judged_until();
    let mut picked = Vec::new();
    for pod in &history.pods {
        let Some((at, _)) = pod.terminating.filter(|(at, _)| *at < until || history.draining.is_none())
        else {
            continue;
        };
        let agents = pod.agents.iter().chain(Some(&pod.name).filter(|name| !pod.agents.contains(*name)));
        for hold in agents
            .flat_map(|agent| of_agent.get(agent).into_iter().flatten())
            .filter(|hold| hold.holds_at(at))
        {
            // An agent's name outlives its pod where pods come back under the same name.
            let lives = |name: u64| history.pod_of(name, at).is_none_or(|lived| std::ptr::eq(lived, pod));
            if lives(hold.agent) {
                picked.push(Picked { pod, at, hold: **hold, killed: killed(pod, at, hold) });
            }
        }
    }
    picked.sort_by_key(|picked| (picked.at, picked.hold.request));
    picked
}

fn killed(pod: &Pod, at: Instant, hold: &Hold) -> Option<String> {
    match hold.result {
        Some(JobResult::Abandoned) => return Some("was abandoned".to_owned()),
        Some(JobResult::Canceled) => return Some("was cancelled".to_owned()),
        Some(JobResult::Succeeded | JobResult::SucceededWithIssues | JobResult::Skipped) => return None,
        Some(JobResult::Failed) | None => {}
    }
    // Taken back before the agent had received it: nothing ran.
    if hold.result.is_none() && hold.until.is_some() {
        return None;
    }
    let during = |when: Instant| when >= at && hold.until.is_none_or(|until| when + REPORT_LAG < until);
    let signalled = pod.containers.values().flat_map(|container| &container.signals);
    if let Some((when, _)) = signalled.into_iter().find(|(when, signal)| signal == "SIGKILL" && during(*when))
    {
        return Some(format!("was under way when its container got SIGKILL at {when}"));
    }
    let exited = pod.containers.values().flat_map(|container| &container.exits);
    let exited = exited.into_iter().find(|(when, _)| during(*when));
    exited.map(|(when, code)| format!("was under way when its container exited with {code} at {when}"))
}

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let expected = history.started.iter().flat_map(|started| &started.scenario.expect);
    if !expected.into_iter().any(|expectation| *expectation == Expectation::NoBusyAgentKilled) {
        return;
    }
    for picked in picked_pods(history) {
        let Some(killed) = &picked.killed else { continue };
        let grace = picked.pod.terminating.map_or(Millis::ZERO, |(_, grace)| grace);
        let received = picked.hold.received.unwrap_or(picked.hold.assigned);
        judged.find(
            &KILLED,
            picked.at,
            Breach {
                subject: format!("Pod/{}", picked.pod.name),
                measured: format!(
                    "deleted {} into job request {}, which {killed}",
                    span(picked.at.since(received)),
                    picked.hold.request
                ),
                bound: "deleted only without a job, or with grace enough to finish it".to_owned(),
                because: reason(history, picked.at, grace),
            },
        );
    }
}

/// Who took the pod away, as far as the log tells.
fn reason(history: &History, at: Instant, grace: Millis) -> String {
    let cause = tracked(history, "ScaledObject", |_, _| {}).iter().find_map(|tracking| {
        let reductions = tracking.replicas.changes().filter(|change| change.to < change.from);
        // A watch may tell of the pod before it tells of the replicas.
        let near = |change: &Change| change.at <= at + DELETION_LAG && at.since(change.at) <= DELETION_LAG;
        let change = reductions.filter(near).last()?;
        let blind = if tracking.sees_only_waiting_jobs {
            format!(
                "; KEDA {} as configured counts jobs that wait and not those that run",
                tracking.target.scale.keda
            )
        } else {
            String::new()
        };
        let chosen = "a ReplicaSet picks its victims without regard to work";
        Some(format!(
            "{} went from {} to {} at {}, and {chosen}{blind}",
            tracking.subject, change.from, change.to, change.at
        ))
    });
    let cause = cause.unwrap_or_else(|| "it was deleted while its agent worked".to_owned());
    format!("{cause}; the grace period is {}", span(grace))
}
