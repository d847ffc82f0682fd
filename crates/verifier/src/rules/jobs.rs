//! Jobs: none is lost, none runs twice, no agent has two at once.

use model::Millis;
use model::event::{JobResult, Outcome};

use super::{Breach, Judged, Rule, consequences};
use crate::history::{History, Hold, Job};
use crate::report::Severity;

const LOST: Rule = Rule {
    name: "job_lost",
    severity: Severity::Violation,
    about: "every job that is queued ends before the run does",
    source: "a run that settles has no unfinished job; one that is cut short by its scenario's `until` may have some",
};
const ABANDONED: Rule = Rule {
    name: "job_abandoned",
    severity: Severity::Violation,
    about: "no job is given up because its agent was not heard of any more",
    source: "Azure DevOps ends a job as abandoned when its lock is not renewed in time",
};
const TWICE: Rule = Rule {
    name: "job_run_twice",
    severity: Severity::Violation,
    about: "a job is received by one agent, and ends once",
    source: "Azure DevOps gives a job request to one agent; only one that was never received goes back to the queue",
};
const TWO_JOBS: Rule = Rule {
    name: "agent_with_two_jobs",
    severity: Severity::Violation,
    about: "an agent holds one job at a time",
    source: "Azure Pipelines agents run one job at a time; microsoft/azure-pipelines-agent#2728 for `--once`",
};

pub(super) const RULES: &[Rule] = &[LOST, ABANDONED, TWICE, TWO_JOBS];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for (request, job) in &history.jobs {
        judge_end(history, *request, job, judged);
        judge_once(history, *request, job, judged);
    }
    judge_one_at_a_time(history, judged);
}

fn named(request: u64, job: &Job) -> String {
    if job.name.is_empty() {
        format!("job request {request}")
    } else {
        format!("job request {request} ({})", job.name)
    }
}

fn judge_end(history: &History, request: u64, job: &Job, judged: &mut Judged) {
    let abandoned = job.finishes.iter().find(|finish| finish.result == JobResult::Abandoned);
    if let Some(finish) = abandoned {
        let pod = job.received().and_then(|taken| history.pod_of(taken.agent, taken.at));
        let taken = pod.zip(job.received());
        let taken = taken.and_then(|(pod, taken)| consequences::took_pod(history, pod, taken.at));
        // The agent may be alive, and its renewals unanswered.
        let lock =
            history.started.as_ref().map_or(Millis::ZERO, |started| started.scenario.organization.job_lock);
        let alive = pod.is_some_and(|pod| pod.gone.is_none_or(|gone| gone > finish.at));
        let cut = consequences::cut_off(history, &consequences::TO_KEEP_A_JOB, finish.at - lock, finish.at)
            .filter(|_| alive);
        if let Some(fault) = taken.or(cut) {
            let measured = format!("abandoned at {}", finish.at);
            return consequences::tell(judged, finish.at, named(request, job), measured, &fault.name());
        }
        let agent = finish
            .agent
            .map_or_else(|| "no agent".to_owned(), |agent| format!("agent {}", history.agent_name(agent)));
        let received = job
            .received()
            .map_or_else(|| "never received".to_owned(), |taken| format!("received at {}", taken.at));
        judged.find(
            &ABANDONED,
            finish.at,
            Breach {
                subject: named(request, job),
                measured: format!("abandoned with {agent}, {received}"),
                bound: "a result of its own".to_owned(),
                because: "its agent stopped renewing the job's lock: the agent was killed, or cut off"
                    .to_owned(),
            },
        );
    }
    let cut_short = matches!(
        history.finished,
        Some((_, Outcome::Interrupted | Outcome::DurationReached | Outcome::Failed, _)) | None
    );
    if job.queued.is_some() && job.finishes.is_empty() && !cut_short {
        let state = match (job.received(), job.assignments.last()) {
            (Some(taken), _) => format!(
                "received by agent {} at {}, and never ended",
                history.agent_name(taken.agent),
                taken.at
            ),
            (None, Some(assigned)) => {
                format!(
                    "assigned to agent {} at {}, and never received",
                    history.agent_name(assigned.agent),
                    assigned.at
                )
            }
            (None, None) => "never assigned".to_owned(),
        };
        judged.find(
            &LOST,
            job.queued.unwrap_or(history.end),
            Breach {
                subject: named(request, job),
                measured: state,
                bound: format!("ended by {}", history.end),
                because: "whoever queued it waits for a result".to_owned(),
            },
        );
    }
}

fn judge_once(history: &History, request: u64, job: &Job, judged: &mut Judged) {
    if let (Some(first), Some(again)) = (job.receptions.first(), job.receptions.get(1)) {
        judged.find(
            &TWICE,
            again.at,
            Breach {
                subject: named(request, job),
                measured: format!(
                    "received by agent {} at {} and by agent {} at {}",
                    history.agent_name(first.agent),
                    first.at,
                    history.agent_name(again.agent),
                    again.at
                ),
                bound: "received once".to_owned(),
                because: "its steps may have run twice".to_owned(),
            },
        );
    }
    if let (Some(first), Some(again)) = (job.finishes.first(), job.finishes.get(1)) {
        judged.find(
            &TWICE,
            again.at,
            Breach {
                subject: named(request, job),
                measured: format!(
                    "ended {:?} at {} and {:?} at {}",
                    first.result, first.at, again.result, again.at
                ),
                bound: "ended once".to_owned(),
                because: "its steps may have run twice".to_owned(),
            },
        );
    }
}

fn judge_one_at_a_time(history: &History, judged: &mut Judged) {
    let mut holds = history.holds();
    holds.sort_by_key(|hold| (hold.agent, hold.assigned, hold.request));
    let mut before: Option<Hold> = None;
    for hold in holds {
        let held = before.filter(|before| before.agent == hold.agent);
        if let Some(held) = held.filter(|held| held.holds_at(hold.assigned) && held.request != hold.request) {
            judged.find(&TWO_JOBS, hold.assigned, Breach {
                subject: format!("agent {}", history.agent_name(hold.agent)),
                measured: format!("got job request {} while it held {}", hold.request, held.request),
                bound: "one job at a time".to_owned(),
                because: "an agent that is busy, or about to leave, does not take the second job; it waits until its lock is lost".to_owned(),
            });
        }
        let longest = |one: &Hold| one.until.unwrap_or(history.end);
        before = match held {
            Some(held) if longest(&held) > longest(&hold) => Some(held),
            _ => Some(hold),
        };
    }
}

#[cfg(test)]
mod tests {
    use model::event::Outcome;
    use model::{Fact, Source};

    use super::*;
    use crate::testing::article;

    #[test]
    fn a_job_without_an_end_is_lost_unless_the_run_was_cut_short() {
        assert_eq!(article().found("job_lost"), []);
        let waiting = article().queued(400, 9);
        assert_eq!(waiting.only("job_lost").measured, "never assigned");
        let running = waiting.clone().assigned(401, 9, 1).received(402, 9, 1);
        assert!(running.only("job_lost").measured.starts_with("received by agent agents-1"));
        assert_eq!(waiting.clone().end(720, Outcome::Interrupted).found("job_lost"), []);
        assert_eq!(waiting.end(720, Outcome::DurationReached).found("job_lost"), []);
    }

    #[test]
    fn an_abandoned_job_is_found_and_a_failed_one_is_its_owners_affair() {
        let ended = |result| {
            article().queued(400, 9).assigned(401, 9, 1).received(402, 9, 1).finished(500, 9, 1, result)
        };
        assert_eq!(ended(JobResult::Failed).found("job_abandoned"), []);
        assert!(ended(JobResult::Abandoned).only("job_abandoned").measured.contains("agent agents-1"));
    }

    #[test]
    fn a_job_is_received_once_and_ends_once() {
        assert_eq!(article().found("job_run_twice"), []);
        let again = article().assigned(120, 1, 2).received(121, 1, 2);
        assert!(again.only("job_run_twice").measured.contains("agents-1 at 01:03.0 and by agent agents-2"));
        let ended = article().finished(420, 1, 1, JobResult::Failed);
        assert_eq!(ended.only("job_run_twice").bound, "ended once");
    }

    #[test]
    fn a_job_that_was_never_received_may_go_to_another_agent() {
        let because = "the agent did not take it".to_owned();
        let back = Fact::JobRequestRequeued { request: 9, agent: 1, because };
        let log = article().queued(400, 9).assigned(401, 9, 1).fact(460, Source::Service, back);
        let log = log.assigned(461, 9, 2).received(462, 9, 2).finished(470, 9, 2, JobResult::Succeeded);
        assert_eq!(log.found("job_run_twice"), []);
        assert_eq!(log.found("agent_with_two_jobs"), []);
    }

    #[test]
    fn an_agent_has_one_job_at_a_time() {
        let second = |at| {
            article().queued(90, 9).assigned(at, 9, 1).received(at + 1, 9, 1).finished(
                500,
                9,
                1,
                JobResult::Succeeded,
            )
        };
        // Agent 1's own job ends at 363.
        assert_eq!(second(364).found("agent_with_two_jobs"), []);
        assert_eq!(second(300).only("agent_with_two_jobs").measured, "got job request 9 while it held 1");
    }
}
