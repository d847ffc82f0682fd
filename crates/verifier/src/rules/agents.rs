//! Agents: whoever registers is unregistered in the end.

use model::Millis;
use model::event::Outcome;
use model::scenario::Expectation;

use super::{Breach, Judged, Rule, consequences};
use crate::history::History;
use crate::report::Severity;

/// So long before its end may an agent that nobody deleted have tried to leave.
const LEAVING: Millis = Millis::seconds(30);

const DEREGISTER: Rule = Rule {
    name: "agents_deregister",
    severity: Severity::Violation,
    about: "once the workload is deleted and its pods are gone, no agent is left in the pool but placeholders",
    source: "an agent leaves the pool by `config.sh remove` only; one that is killed stays in it, offline",
};

pub(super) const RULES: &[Rule] = &[DEREGISTER];

pub(super) fn judge(history: &History, judged: &mut Judged) {
    let expected = history.started.iter().flat_map(|started| &started.scenario.expect);
    if !expected.into_iter().any(|expectation| *expectation == Expectation::AgentsDeregister) {
        return;
    }
    if matches!(history.finished, None | Some((_, Outcome::Interrupted | Outcome::Failed, _))) {
        judged.skip(&DEREGISTER, "pool", "the run did not come to its end, so agents had no chance to leave");
        return;
    }
    for (id, agent) in &history.agents {
        let Some(registered) =
            agent.registered.last().filter(|_| agent.is_registered() && !agent.placeholder)
        else {
            continue;
        };
        let online = agent.presence.last() == 1;
        let pod = history.pod_of(*id, *registered);
        let taken = pod.and_then(|pod| consequences::took_pod(history, pod, *registered));
        // Nobody listened when the agent left.
        let left = pod.and_then(|pod| {
            let exits = pod.containers.values().flat_map(|container| &container.exits);
            let last = exits.map(|(at, _)| *at).max().or(pod.gone)?;
            let since = last - pod.terminating.map_or(LEAVING, |(_, grace)| grace);
            consequences::cut_off(history, &consequences::TO_LEAVE, since, last)
        });
        if let Some(fault) = taken.or(left) {
            let subject = format!("agent {}", history.agent_name(*id));
            let measured = format!("registered at {registered}, and never removed");
            consequences::tell(judged, history.end, subject, measured, &fault.name());
            continue;
        }
        let (state, because) = match pod {
            Some(pod) if pod.gone.is_some() => {
                let gone = pod.gone.unwrap_or_default();
                (
                    format!("orphaned: its pod {} was gone at {gone}", pod.name),
                    "the pod ended before the agent had unregistered",
                )
            }
            Some(pod) => (
                format!("its pod {} is still there", pod.name),
                "the pod did not end although the workload was deleted",
            ),
            None => ("no pod of its name is known".to_owned(), "nobody is left to unregister it"),
        };
        judged.find(
            &DEREGISTER,
            history.end,
            Breach {
                subject: format!("agent {}", history.agent_name(*id)),
                measured: format!(
                    "registered at {registered}, {} at the end; {state}",
                    if online { "online" } else { "offline" }
                ),
                bound: "unregistered".to_owned(),
                because: because.to_owned(),
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use model::{Fact, Source};

    use super::*;
    use crate::testing::{Log, article};

    fn expecting(log: Log) -> Log {
        log.expect(Expectation::AgentsDeregister)
    }

    #[test]
    fn agents_that_all_leave_are_deregistered() {
        assert_eq!(expecting(article()).found("agents_deregister"), []);
    }

    #[test]
    fn an_agent_that_stays_in_the_pool_is_orphaned_when_its_pod_is_gone() {
        let stays = expecting(article().without(|fact| *fact == Fact::AgentRemoved { agent: 3 }));
        let finding = stays.only("agents_deregister");
        assert_eq!(finding.subject, "agent agents-3");
        assert!(finding.measured.contains("online at the end; orphaned"), "{}", finding.measured);
        let offline = stays.fact(710, Source::Service, Fact::AgentOffline { agent: 3 });
        assert!(offline.only("agents_deregister").measured.contains("offline at the end"));
    }

    #[test]
    fn a_placeholder_stays_and_that_is_as_it_should_be() {
        let template = |placeholder| Fact::AgentRegistered {
            agent: 40,
            name: "template".into(),
            pool: 18,
            replaced: false,
            placeholder,
        };
        assert_eq!(
            expecting(article()).fact(1, Source::Service, template(true)).found("agents_deregister"),
            []
        );
        let worker = expecting(article()).fact(1, Source::Service, template(false)).only("agents_deregister");
        assert!(worker.measured.contains("no pod of its name"));
    }

    #[test]
    fn an_interrupted_run_says_nothing_about_deregistration() {
        let log = expecting(article().without(|fact| *fact == Fact::AgentRemoved { agent: 3 }));
        let report = log.end(720, Outcome::Interrupted).verify();
        assert!(report.findings.iter().all(|finding| finding.rule != "agents_deregister"));
        assert!(report.not_judged.iter().any(|rule| rule.rule == "agents_deregister"));
    }
}
