//! Agents that nobody needed, as the scenario expects it.

use std::collections::BTreeSet;

use model::scenario::Expectation;

use super::{Breach, Judged, Rule};
use crate::history::History;
use crate::report::Severity;
use crate::words::names;

const SURPLUS: Rule = Rule {
    name: "surplus_agents",
    severity: Severity::Violation,
    about: "no more agents than the scenario expects register and never receive a job",
    source: "the scenario's expect: surplus_agents",
};

pub(super) const RULES: &[Rule] = &[SURPLUS];

/// So many of them are named.
const NAMED: usize = 5;

pub(super) fn judge(history: &History, judged: &mut Judged) {
    for expectation in history.started.iter().flat_map(|started| &started.scenario.expect) {
        let Expectation::SurplusAgents(bound) = expectation else { continue };
        let surplus = without_a_job(history);
        if u32::try_from(surplus.len()).unwrap_or(u32::MAX) <= *bound {
            continue;
        }
        judged.find(
            &SURPLUS,
            history.end,
            Breach {
                subject: "agents".to_owned(),
                measured: format!(
                    "{} registered and never received a job: {}",
                    surplus.len(),
                    names(&surplus, NAMED)
                ),
                bound: format!("{bound} at most"),
                because: "each of them cost a pod and, while it was online, could take a job that another pod was made for"
                    .to_owned(),
            },
        );
    }
}

/// The names of those that never received one, placeholders aside.
fn without_a_job(history: &History) -> Vec<&str> {
    let worked: BTreeSet<u64> =
        history.jobs.values().flat_map(|job| &job.receptions).map(|taken| taken.agent).collect();
    let agents = history
        .agents
        .iter()
        .filter(|(id, agent)| !agent.placeholder && !agent.registered.is_empty() && !worked.contains(id));
    agents.map(|(_, agent)| agent.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    #[test]
    fn whoever_received_a_job_is_not_in_surplus() {
        assert_eq!(article().expect(Expectation::SurplusAgents(1)).found("surplus_agents"), []);
    }

    #[test]
    fn more_agents_without_a_job_than_expected_are_named() {
        let log = article().expect(Expectation::SurplusAgents(1));
        let finding = log.registered(300, 8).registered(300, 9).only("surplus_agents");
        assert!(finding.measured.contains("never received a job: "), "{}", finding.measured);
        assert_eq!(finding.bound, "1 at most");
    }
}
