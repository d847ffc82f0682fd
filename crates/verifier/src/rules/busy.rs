//! Busy agents: a pod that is picked for deletion at work, and whether its job survives.

use std::collections::BTreeMap;

use model::event::JobResult;
use model::scenario::Expectation;
use model::{Instant, Millis};

use super::tracking::{Tracking, tracked};
use super::{Breach, Judged, Rule, consequences};
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
    let tracked = tracked(history, "ScaledObject", |_, _| {});
    for picked in picked_pods(history) {
        let Some(killed) = &picked.killed else { continue };
        if let Some(fault) = consequences::deleted_pod(history, picked.pod, picked.at) {
            let measured =
                format!("deleted in the middle of job request {}, which {killed}", picked.hold.request);
            let subject = format!("Pod/{}", picked.pod.name);
            consequences::tell(judged, picked.at, subject, measured, &fault.name());
            continue;
        }
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
                because: reason(&tracked, picked.at, grace),
            },
        );
    }
}

/// Who took the pod away, as far as the log tells.
fn reason(tracked: &[Tracking<'_>], at: Instant, grace: Millis) -> String {
    let cause = tracked.iter().find_map(|tracking| {
        let reductions = tracking.replicas.changes().filter(|change| change.to < change.from);
        // A watch may tell of the pod before it tells of the replicas.
        let near = |change: &Change| change.at <= at + DELETION_LAG && at.since(change.at) <= DELETION_LAG;
        let change = reductions.filter(near).last()?;
        let blind = if tracking.sees_only_waiting_jobs {
            format!(
                "; KEDA {} as configured counts jobs that wait and not those that run",
                tracking.scale.keda
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

#[cfg(test)]
mod tests {
    use model::Fact;
    use model::Source;
    use model::scenario::Expectation;

    use super::*;
    use crate::testing::{Log, article, busy_agents_killed};

    /// Agent 2's pod is deleted at 200, in the middle of its job, and exits then.
    fn deleted_at_work(result: JobResult, ended: u64, exited: u64, code: i32) -> Log {
        let own_end = |fact: &Fact| matches!(fact, Fact::JobRequestFinished { request: 2, .. });
        let own_death = |fact: &Fact| match fact {
            Fact::PodTerminating { pod, .. } | Fact::PodGone { pod } | Fact::ContainerExited { pod, .. } => {
                pod == "agents-2"
            }
            Fact::AgentRemoved { agent } => *agent == 2,
            _ => false,
        };
        let log = article().expect(Expectation::NoBusyAgentKilled).without(own_end).without(own_death);
        log.deleted(200, 2, 3600)
            .finished(ended, 2, 2, result)
            .container_exited(exited, 2, code)
            .gone(exited + 1, 2)
    }

    #[test]
    fn a_pod_without_a_job_may_be_deleted() {
        assert_eq!(article().expect(Expectation::NoBusyAgentKilled).found("no_busy_agent_killed"), []);
        assert!(picked_pods(&History::of(article().events())).is_empty());
    }

    #[test]
    fn a_pod_whose_agent_finishes_within_its_grace_is_picked_but_not_killed() {
        let log = deleted_at_work(JobResult::Succeeded, 387, 389, 0);
        assert_eq!(log.found("no_busy_agent_killed"), []);
        let agents = log.verify().measurements.agents;
        assert_eq!((agents.busy_pods_picked, agents.busy_pods_killed), (vec!["agents-2".to_owned()], vec![]));
    }

    #[test]
    fn a_pod_whose_job_is_cancelled_abandoned_or_cut_off_is_killed() {
        let cancelled = deleted_at_work(JobResult::Canceled, 202, 203, 0).only("no_busy_agent_killed");
        assert_eq!((cancelled.subject.as_str(), cancelled.at.0), ("Pod/agents-2", 200_000));
        assert!(cancelled.measured.contains("was cancelled"));
        assert!(
            deleted_at_work(JobResult::Abandoned, 700, 230, 137)
                .only("no_busy_agent_killed")
                .measured
                .contains("was abandoned")
        );
        assert!(
            deleted_at_work(JobResult::Failed, 700, 230, 143)
                .only("no_busy_agent_killed")
                .measured
                .contains("exited with 143")
        );
        let signal = Fact::ContainerSignalled {
            pod: "agents-2".into(),
            container: "agent".into(),
            signal: "SIGKILL".into(),
        };
        let killed = deleted_at_work(JobResult::Failed, 700, 230, 137).fact(229, Source::Node, signal);
        assert!(killed.only("no_busy_agent_killed").measured.contains("SIGKILL"));
    }

    #[test]
    fn the_runs_own_clean_up_kills_nobody() {
        let log = busy_agents_killed().expect(Expectation::NoBusyAgentKilled);
        assert_eq!(log.found("no_busy_agent_killed").len(), 2);
        assert_eq!(log.end(160, model::event::Outcome::DurationReached).found("no_busy_agent_killed"), []);
    }

    #[test]
    fn the_reason_names_the_reduction_and_a_metric_that_forgets_running_jobs() {
        let log = busy_agents_killed().expect(Expectation::NoBusyAgentKilled);
        let because = &log.found("no_busy_agent_killed")[0].because;
        assert!(because.contains("went from 2 to 0") && because.contains("2.20.2"), "{because}");
    }
}
