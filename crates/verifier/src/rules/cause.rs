//! Physics: nothing happens before its cause. A breach means that the log, or what wrote it, is broken.

use model::{Instant, Millis};

use super::{Breach, Judged, Rule};
use crate::bounds::slack;
use crate::history::{Agent, History, Job, Pod};
use crate::report::Severity;

const BEFORE_CAUSE: Rule = Rule {
    name: "effect_before_cause",
    severity: Severity::Inconclusive,
    about: "jobs are queued, assigned, received and ended in this order; pods created, scheduled, run; agents registered, then used",
    source: "the life cycles of job requests (Azure DevOps) and pods (Kubernetes)",
};

pub(super) const RULES: &[Rule] = &[BEFORE_CAUSE];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let mut order = Order { judged, slack: slack(history) };
    for (request, job) in &history.jobs {
        judge_job(history, *request, job, &mut order);
    }
    for (id, agent) in &history.agents {
        judge_agent(history, *id, agent, &mut order);
    }
    for pod in &history.pods {
        judge_pod(pod, &mut order);
    }
    judge_reads(history, &mut order);
}

struct Order<'a> {
    judged: &'a mut Judged,
    slack: Millis,
}

impl Order<'_> {
    /// `effect` needs `cause` before it, both seen by the same observer.
    fn after(&mut self, subject: &str, effect: (&str, Option<Instant>), cause: (&str, Option<Instant>)) {
        self.within(Millis::ZERO, subject, effect, cause);
    }

    /// The same for two observers, whose reports may overtake each other a little.
    fn roughly_after(
        &mut self,
        subject: &str,
        effect: (&str, Option<Instant>),
        cause: (&str, Option<Instant>),
    ) {
        self.within(self.slack, subject, effect, cause);
    }

    fn within(
        &mut self,
        slack: Millis,
        subject: &str,
        effect: (&str, Option<Instant>),
        cause: (&str, Option<Instant>),
    ) {
        let (Some(at), Some(before)) = (effect.1, cause.1) else { return };
        if at + slack < before {
            self.breach(
                subject,
                at,
                format!("{} at {at}, {} at {before}", effect.0, cause.0),
                format!("{} first", cause.0),
            );
        }
    }

    fn breach(&mut self, subject: &str, at: Instant, measured: String, bound: String) {
        self.judged.find(
            &BEFORE_CAUSE,
            at,
            Breach {
                subject: subject.to_owned(),
                measured,
                bound,
                because: "an effect cannot come before its cause: the log, or what wrote it, is broken"
                    .to_owned(),
            },
        );
    }
}

fn judge_job(history: &History, request: u64, job: &Job, order: &mut Order<'_>) {
    let subject = format!("job request {request}");
    let first = [job.assignments.first(), job.receptions.first()].into_iter().flatten().map(|one| one.at);
    let first = first.chain(job.finishes.iter().map(|finish| finish.at)).min();
    if let Some(at) = first.filter(|_| job.queued.is_none()) {
        order.breach(&subject, at, "it was never queued".to_owned(), "queued first".to_owned());
    }
    order.after(&subject, ("touched", first), ("queued", job.queued));
    for taken in &job.receptions {
        let reserved =
            job.assignments.iter().any(|assigned| assigned.agent == taken.agent && assigned.at <= taken.at);
        if !reserved {
            let agent = history.agent_name(taken.agent);
            order.breach(
                &subject,
                taken.at,
                format!("received by agent {agent}, which was not assigned"),
                "assigned first".to_owned(),
            );
        }
    }
    if let (Some(finish), Some(taken)) = (job.finished(), job.received()) {
        order.after(&subject, ("ended", Some(finish.at)), ("received", Some(taken.at)));
    }
    for assigned in &job.assignments {
        let known = history.agents.get(&assigned.agent);
        let registered = known.and_then(|agent| agent.registered_before(assigned.at));
        let removed = known.and_then(|agent| agent.removed.iter().rfind(|removed| **removed < assigned.at));
        if registered.is_none() || removed.copied() > registered {
            let measured =
                format!("assigned to agent {}, which was not registered", history.agent_name(assigned.agent));
            order.breach(&subject, assigned.at, measured, "registered first".to_owned());
        }
    }
}

fn judge_agent(history: &History, id: u64, agent: &Agent, order: &mut Order<'_>) {
    let subject = format!("agent {}", history.agent_name(id));
    let first_online = agent.presence.points().first().filter(|point| point.value == 1).map(|point| point.at);
    let registered = agent.registered.first().copied();
    order.after(&subject, ("online", first_online), ("registered", registered));
    order.after(&subject, ("removed", agent.removed.first().copied()), ("registered", registered));
    if registered.is_none() && (first_online.is_some() || !agent.removed.is_empty()) {
        let at = first_online.or(agent.removed.first().copied()).unwrap_or_default();
        order.breach(&subject, at, "it was never registered".to_owned(), "registered first".to_owned());
    }
    if let Some(pod) =
        registered.filter(|_| !agent.placeholder).and_then(|at| history.pod_of(id, at + order.slack))
    {
        let started = pod.containers.values().filter_map(|container| container.starts.first()).min().copied();
        order.roughly_after(&subject, ("registered", registered), ("its container started", started));
    }
}

fn judge_pod(pod: &Pod, order: &mut Order<'_>) {
    let subject = format!("Pod/{}", pod.name);
    let started = pod.containers.values().filter_map(|container| container.starts.first()).min().copied();
    order.after(&subject, ("scheduled", pod.scheduled), ("created", pod.created));
    order.after(&subject, ("running", pod.running), ("scheduled", pod.scheduled));
    order.after(&subject, ("ready", pod.ready), ("running", pod.running));
    order.after(&subject, ("gone", pod.gone), ("created", pod.created));
    order.roughly_after(&subject, ("container started", started), ("scheduled", pod.scheduled));
    order.roughly_after(&subject, ("running", pod.running), ("container started", started));
}

fn judge_reads(history: &History, order: &mut Order<'_>) {
    for read in &history.reads {
        for row in &read.rows {
            let subject = format!("scaler.read of job request {}", row.request);
            let job = history.jobs.get(&row.request);
            let Some(queued) = job.and_then(|job| job.queued) else {
                order.breach(&subject, read.at, "a row without a job".to_owned(), "queued first".to_owned());
                continue;
            };
            order.after(&subject, ("in the answer", Some(read.at)), ("queued", Some(queued)));
            let taken = job.and_then(Job::received).map(|taken| taken.at);
            if row.received && taken.is_none_or(|taken| taken > read.at) {
                order.breach(
                    &subject,
                    read.at,
                    "a row with receiveTime".to_owned(),
                    "received first".to_owned(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Fact, Source};

    use crate::testing::{Log, article};

    fn broken(log: &Log) -> Vec<String> {
        log.found("effect_before_cause").into_iter().map(|finding| finding.measured).collect()
    }

    #[test]
    fn a_run_in_its_natural_order_has_every_effect_after_its_cause() {
        assert_eq!(broken(&article()), Vec::<String>::new());
    }

    #[test]
    fn a_job_is_queued_assigned_and_received_in_this_order() {
        assert_eq!(
            broken(&article().queued(200, 9).assigned(190, 9, 1)),
            ["touched at 03:10.0, queued at 03:20.0"]
        );
        assert_eq!(
            broken(&article().queued(200, 9).received(205, 9, 1)),
            ["received by agent agents-1, which was not assigned"]
        );
        assert_eq!(broken(&article().assigned(200, 9, 1)), ["it was never queued"]);
        let result = model::event::JobResult::Succeeded;
        let early =
            article().queued(200, 9).assigned(201, 9, 1).finished(202, 9, 1, result).received(203, 9, 1);
        assert_eq!(broken(&early), ["ended at 03:22.0, received at 03:23.0"]);
    }

    #[test]
    fn a_job_goes_to_an_agent_of_the_pool() {
        assert_eq!(
            broken(&article().queued(200, 9).assigned(201, 9, 77)),
            ["assigned to agent #77, which was not registered"]
        );
        // Agent 4 left at 668.
        assert_eq!(
            broken(&article().queued(690, 9).assigned(691, 9, 4)),
            ["assigned to agent agents-4, which was not registered"]
        );
    }

    #[test]
    fn an_agent_registers_from_a_container_before_it_is_online() {
        assert_eq!(
            broken(&article().fact(200, Source::Service, Fact::AgentOnline { agent: 50 })),
            ["it was never registered"]
        );
        let early = article().registered(30, 50).container_started(60, 50);
        assert_eq!(broken(&early), ["registered at 00:30.0, its container started at 01:00.0"]);
    }

    #[test]
    fn a_pod_is_created_scheduled_and_running_in_this_order() {
        let pod = || "pod".to_owned();
        let log = article()
            .fact(100, Source::Kubernetes, Fact::PodCreated { pod: pod(), owner: None })
            .fact(90, Source::Kubernetes, Fact::PodRunning { pod: pod() })
            .fact(95, Source::Kubernetes, Fact::PodScheduled { pod: pod(), node: "node-1".into() });
        assert_eq!(
            broken(&log),
            ["running at 01:30.0, scheduled at 01:35.0", "scheduled at 01:35.0, created at 01:40.0"]
        );
    }

    #[test]
    fn a_read_tells_of_jobs_that_are_there() {
        use model::event::{RequestForm, ScalerRow};
        let row = |request, received| ScalerRow {
            request,
            demands: vec![],
            assigned: false,
            received,
            result: None,
            matched_agents: vec![],
        };
        let read = |row| Fact::ScalerRead {
            pool: 18,
            form: RequestForm::Top,
            status: 200,
            latency_ms: 1,
            rows: vec![row],
        };
        assert_eq!(broken(&article().fact(62, Source::Service, read(row(2, false)))), Vec::<String>::new());
        assert_eq!(
            broken(&article().fact(62, Source::Service, read(row(2, true)))),
            ["a row with receiveTime"]
        );
        assert_eq!(
            broken(&article().fact(62, Source::Service, read(row(99, false)))),
            ["a row without a job"]
        );
    }
}
