//! What the azure-pipelines trigger counts, by KEDA's version.
//!
//! Source of every rule here: kedacore/keda pkg/scalers/azure_pipelines_scaler.go at the tag that is
//! named, functions `GetAzurePipelinesQueueLength`, `getMatchedAgentMetric` and `getDemandMatch…`.

use std::collections::BTreeMap;

use model::event::ScalerRow;
use semver::Version;

/// `targetPipelinesQueueLength`.
const DEFAULT_TARGET: u64 = 1;
/// `activationTargetPipelinesQueueLength`.
const DEFAULT_ACTIVATION: u64 = 0;
/// Demands on the agent's own version are left out of every comparison.
const AGENT_VERSION_DEMAND: &str = "Agent.Version";

/// A KEDA or Kubernetes version without what stands before and after its three numbers.
pub(crate) fn version(text: &str) -> Option<Version> {
    let bare = text.trim().trim_start_matches('v');
    let version = Version::parse(bare).ok()?;
    Some(Version::new(version.major, version.minor, version.patch))
}

/// How a trigger counts the rows of an answer.
#[derive(Debug, Clone)]
pub(crate) struct CountRule {
    keda: Version,
    parent: Option<String>,
    demands: Option<Vec<String>>,
    require_all: bool,
    require_all_and_ignore_others: bool,
    ignore_case: bool,
    counts_received: bool,
    /// Jobs per replica.
    pub(crate) target: u64,
    /// The trigger is active above this count.
    pub(crate) activation: u64,
}

impl CountRule {
    /// The rule of a trigger under a version of KEDA.
    pub(crate) fn of(metadata: &BTreeMap<String, String>, keda: &Version) -> Self {
        let text = |key: &str| metadata.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let number = |key: &str, default| text(key).and_then(|text| text.parse().ok()).unwrap_or(default);
        let since = |minor, patch| *keda >= Version::new(2, minor, patch);
        let flag = |key: &str, default| text(key).and_then(parse_bool).unwrap_or(default);
        // Received jobs: counted up to 2.19, not in 2.20 (kedacore/keda#7757), by choice from 2.21 on (#7905).
        let counts_received = if since(21, 0) { flag("scaleOnInFlight", true) } else { !since(20, 0) };
        Self {
            keda: keda.clone(),
            // `parent` and `demands` came with 2.8 (kedacore/keda#2795).
            parent: text("parent").filter(|_| since(8, 0)).map(str::to_owned),
            demands: text("demands")
                .filter(|_| since(8, 0))
                .map(|list| list.split(',').map(str::to_owned).collect()),
            // 2.10 (#4326), 2.17 (#6626), 2.18 (#7112).
            require_all: since(10, 0) && flag("requireAllDemands", false),
            require_all_and_ignore_others: since(17, 0) && flag("requireAllDemandsAndIgnoreOthers", false),
            ignore_case: since(18, 0) && flag("caseInsensitiveDemandsProcessing", false),
            counts_received,
            target: number("targetPipelinesQueueLength", DEFAULT_TARGET),
            activation: number("activationTargetPipelinesQueueLength", DEFAULT_ACTIVATION),
        }
    }

    /// Whether jobs that an agent has received are invisible to it. With `parent` they are in every version,
    /// since the service lists matched agents of unassigned jobs only.
    pub(crate) fn sees_only_waiting_jobs(&self) -> bool {
        !self.counts_received || self.parent.is_some()
    }

    /// The count of an answer.
    pub(crate) fn count(&self, rows: &[ScalerRow]) -> u64 {
        let counted = rows.iter().filter(|row| self.counts(row)).count();
        u64::try_from(counted).unwrap_or(u64::MAX)
    }

    /// Whether a row counts.
    pub(crate) fn counts(&self, row: &ScalerRow) -> bool {
        if row.result.is_some() || (row.received && !self.counts_received) {
            return false;
        }
        match (&self.parent, &self.demands) {
            (Some(parent), _) => row.matched_agents.iter().any(|name| name == parent),
            (None, Some(demands)) => self.demands_match(&row.demands, demands),
            (None, None) => true,
        }
    }

    /// Why a row counts, or why not.
    pub(crate) fn why(&self, row: &ScalerRow) -> String {
        if let Some(result) = row.result {
            return format!("finished: {result:?}");
        }
        if row.received && !self.counts_received {
            return if self.keda >= Version::new(2, 21, 0) {
                "received by an agent, and scaleOnInFlight is false".to_owned()
            } else {
                format!("received by an agent, and KEDA {} does not count received jobs", self.keda)
            };
        }
        let state = match (row.received, row.assigned) {
            (true, _) => "received by an agent and not finished",
            (false, true) => "assigned and not received",
            (false, false) => "waits for an agent",
        };
        match (&self.parent, &self.demands) {
            (Some(parent), _) if self.counts(row) => {
                format!("{state}, and `{parent}` is among its matchedAgents")
            }
            (Some(parent), _) => {
                format!("parent `{parent}` is not among its matchedAgents ({})", listed(&row.matched_agents))
            }
            (None, Some(_)) if row.demands.is_empty() => format!("{state}, and demands nothing"),
            (None, Some(demands)) if self.counts(row) => {
                format!("{state}, and its demands ({}) match `{}`", listed(&row.demands), demands.join(","))
            }
            (None, Some(demands)) => self.why_demands_do_not_match(&row.demands, demands),
            (None, None) => state.to_owned(),
        }
    }

    fn why_demands_do_not_match(&self, job: &[String], trigger: &[String]) -> String {
        let (wanted, offered) = (bare(job), bare(trigger));
        let missing = |from: &[String], among: &[String]| -> Vec<String> {
            from.iter().filter(|one| !among.iter().any(|other| self.same(one, other))).cloned().collect()
        };
        let (not_offered, not_wanted) = (missing(&wanted, &offered), missing(&offered, &wanted));
        let ignores_others = self.require_all_and_ignore_others && !self.require_all;
        if !not_offered.is_empty() && !ignores_others {
            return format!("demands do not match: the trigger does not name {}", listed(&not_offered));
        }
        if !not_wanted.is_empty() && (self.require_all || ignores_others) {
            let rule = if ignores_others { "requireAllDemandsAndIgnoreOthers" } else { "requireAllDemands" };
            return format!(
                "demands do not match: the job does not demand {}, and {rule} is set",
                listed(&not_wanted)
            );
        }
        format!(
            "demands do not match: KEDA {} counts {} pairs of equal demands in {} and `{}`",
            self.keda,
            self.pairs(&wanted, &offered),
            listed(job),
            trigger.join(",")
        )
    }

    /// How it counts, in a sentence.
    pub(crate) fn words(&self) -> String {
        let jobs = match (&self.parent, &self.demands) {
            (Some(parent), _) => {
                format!("jobs that agent `{parent}` matches, which the service tells of waiting jobs only")
            }
            (None, Some(demands)) => format!(
                "jobs whose demands match `{}`{}",
                demands.join(","),
                if self.require_all {
                    ", all of them"
                } else if self.require_all_and_ignore_others {
                    ", all of those and any others"
                } else {
                    ""
                }
            ),
            (None, None) => "every job".to_owned(),
        };
        let received = if self.counts_received { "until they end" } else { "until an agent receives them" };
        let active = match self.activation {
            0 => String::new(),
            activation => format!(", and is active above {activation}"),
        };
        format!("counts {jobs}, {received}; {} for one replica{active}", self.target)
    }

    fn same(&self, left: &str, right: &str) -> bool {
        if self.ignore_case { left.eq_ignore_ascii_case(right) } else { left == right }
    }

    fn pairs(&self, wanted: &[String], offered: &[String]) -> usize {
        wanted.iter().flat_map(|left| offered.iter().filter(|right| self.same(left, right))).count()
    }

    fn demands_match(&self, job: &[String], trigger: &[String]) -> bool {
        let (wanted, offered) = (bare(job), bare(trigger));
        let matches = self.pairs(&wanted, &offered);
        if self.keda < Version::new(2, 10, 1) {
            // Up to 2.10.0 exactly one demand on the agent's version was taken for granted, and a job without
            // demands never matched (fixed by kedacore/keda#4401 and #4405).
            let others = job.len().checked_sub(1);
            return others == Some(matches) && (!self.require_all || matches == offered.len());
        }
        if self.require_all {
            matches == wanted.len() && matches == offered.len()
        } else if self.require_all_and_ignore_others {
            matches == offered.len()
        } else {
            matches == wanted.len()
        }
    }
}

/// Demands without those on the agent's version.
fn bare(list: &[String]) -> Vec<String> {
    list.iter().filter(|demand| !demand.starts_with(AGENT_VERSION_DEMAND)).cloned().collect()
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::JobResult;

    fn row(request: u64, demands: &[&str]) -> ScalerRow {
        let demands = demands.iter().map(|demand| (*demand).to_owned()).collect();
        ScalerRow {
            request,
            demands,
            assigned: false,
            received: false,
            result: None,
            matched_agents: Vec::new(),
        }
    }

    /// An unreceived job that matches a template, a received one, a finished one, and an unreceived one that matches another agent.
    fn rows() -> Vec<ScalerRow> {
        let version = "Agent.Version -gtVersion 2.182.1";
        let mut rows = vec![
            row(1, &["java", version]),
            row(2, &[version]),
            row(3, &["java"]),
            row(4, &["java", "docker"]),
        ];
        rows[0].matched_agents = vec!["template".into()];
        rows[1].received = true;
        rows[2].result = Some(JobResult::Succeeded);
        rows[3].matched_agents = vec!["other".into()];
        rows
    }

    fn count(keda: (u64, u64, u64), metadata: &[(&str, &str)]) -> u64 {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        CountRule::of(&metadata, &Version::new(keda.0, keda.1, keda.2)).count(&rows())
    }

    #[test]
    fn received_jobs_count_except_in_2_20_or_by_choice() {
        let java = ("demands", "java");
        let all = ("requireAllDemands", "true");
        let others = ("requireAllDemandsAndIgnoreOthers", "true");
        for (keda, extra, expected) in [
            ((2, 19, 0), None, [3, 2, 1, 2, 3, 1]),
            ((2, 21, 0), None, [3, 2, 1, 2, 3, 1]),
            ((2, 20, 0), None, [2, 1, 1, 2, 2, 1]),
            ((2, 20, 2), None, [2, 1, 1, 2, 2, 1]),
            ((2, 21, 0), Some(("scaleOnInFlight", "false")), [2, 1, 1, 2, 2, 1]),
            // The key means nothing to older versions.
            ((2, 19, 0), Some(("scaleOnInFlight", "false")), [3, 2, 1, 2, 3, 1]),
        ] {
            let counts = [
                vec![],
                vec![java],
                vec![java, all],
                vec![java, others],
                vec![("demands", "java,docker")],
                vec![("parent", "template")],
            ]
            .map(|metadata| count(keda, &metadata.into_iter().chain(extra).collect::<Vec<_>>()));
            assert_eq!(counts, expected, "KEDA {keda:?} with {extra:?}");
        }
    }

    #[test]
    fn every_row_has_a_reason() {
        let why = |keda: (u64, u64, u64), metadata: &[(&str, &str)]| {
            let metadata =
                metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let rule = CountRule::of(&metadata, &Version::new(keda.0, keda.1, keda.2));
            rows().iter().map(|row| rule.why(row)).collect::<Vec<_>>()
        };
        let plain = why((2, 20, 2), &[]);
        assert_eq!(plain[0], "waits for an agent");
        assert_eq!(plain[1], "received by an agent, and KEDA 2.20.2 does not count received jobs");
        assert_eq!(plain[2], "finished: Succeeded");
        assert_eq!(
            why((2, 21, 0), &[("scaleOnInFlight", "false")])[1],
            "received by an agent, and scaleOnInFlight is false"
        );
        assert_eq!(
            why((2, 21, 0), &[("demands", "java")])[3],
            "demands do not match: the trigger does not name docker"
        );
        let all = [("demands", "java,docker"), ("requireAllDemands", "true")];
        assert!(why((2, 21, 0), &all)[0].contains("the job does not demand docker, and requireAllDemands"));
        let others = [("demands", "docker"), ("requireAllDemandsAndIgnoreOthers", "true")];
        assert!(why((2, 21, 0), &others)[0].contains("requireAllDemandsAndIgnoreOthers"));
        assert_eq!(
            why((2, 21, 0), &[("parent", "template")])[3],
            "parent `template` is not among its matchedAgents (other)"
        );
    }

    #[test]
    fn demands_meant_nothing_before_2_8_and_wanted_a_version_demand_before_2_10_1() {
        assert_eq!(count((2, 7, 0), &[("demands", "java")]), 3);
        // Only the first job's other demands are as many as those that match.
        assert_eq!(count((2, 10, 0), &[("demands", "java")]), 3);
        assert_eq!(count((2, 10, 1), &[("demands", "java")]), 2);
    }

    #[test]
    fn a_version_is_read_with_or_without_its_v() {
        assert_eq!(version("v2.20.1"), Some(Version::new(2, 20, 1)));
        assert_eq!(version("2.21.0-rc.1"), Some(Version::new(2, 21, 0)));
        assert_eq!(version("latest"), None);
    }
}
