//! The rules, one file a noun. Each states a documented behaviour and where it is
//! documented; each looks at the history alone.
//!
//! An expectation's rule has the expectation's name; every other rule is named after what it finds.

mod agents;
mod builds;
mod busy;
mod cause;
mod consequences;
mod job_numbers;
mod jobs;
mod kubernetes_jobs;
mod machine;
mod raises;
mod reads;
mod reductions;
mod replicas;
mod run;
mod scaler;
mod spacing;
mod surplus;
mod tracking;
mod waiting;

use model::Instant;

use crate::history::History;
use crate::report::{Finding, NotJudged, Severity};

pub(crate) use busy::picked_pods;
pub(crate) use machine::{SLOW_ANSWER, mean_lateness};
pub(crate) use replicas::{back_at_minimum, peak};
use scaler::not_ready_to_the_end;
pub(crate) use tracking::Tracking;

/// So many findings of one rule are kept; the last one says how many there were.
const FINDINGS_OF_A_RULE: usize = 100;

/// A rule, for readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which findings and scenarios use. It never changes.
    pub name: &'static str,
    /// What its breach means for the verdict.
    pub severity: Severity,
    /// What must hold, in a line.
    pub about: &'static str,
    /// Where that is documented.
    pub source: &'static str,
}

/// A rule and the function that applies it; several rules may share one.
type Group = (&'static [Rule], fn(&History, &mut Judged));

const GROUPS: [Group; 18] = [
    (run::RULES, run::judge),
    (machine::RULES, machine::judge),
    (cause::RULES, cause::judge),
    (spacing::RULES, spacing::judge),
    (builds::RULES, builds::judge),
    (jobs::RULES, jobs::judge),
    (busy::RULES, busy::judge),
    (consequences::RULES, consequences::judge),
    (agents::RULES, agents::judge),
    (scaler::RULES, scaler::judge),
    (raises::RULES, raises::judge),
    (reductions::RULES, reductions::judge),
    (replicas::RULES, replicas::judge),
    (kubernetes_jobs::RULES, kubernetes_jobs::judge),
    (job_numbers::RULES, job_numbers::judge),
    (waiting::RULES, waiting::judge),
    (surplus::RULES, surplus::judge),
    (reads::RULES, reads::judge),
];

/// Every rule, for documentation and for checking the names in a scenario.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    GROUPS.iter().flat_map(|(rules, _)| rules.iter()).chain(crate::verdict::RULES)
}

/// What all rules said.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    pub(crate) not_judged: Vec<NotJudged>,
}

/// Applies every rule.
pub(crate) fn judge(history: &History) -> Judged {
    let mut judged = Judged::default();
    for (rules, apply) in GROUPS {
        apply(history, &mut judged);
        for rule in rules {
            judged.bound(rule);
        }
    }
    judged
}

impl Judged {
    /// Reports a breach of `rule`.
    pub(crate) fn find(&mut self, rule: &Rule, at: Instant, breach: Breach) {
        self.findings.push(rule.finding(at, breach));
    }

    /// Reports that `rule` was not applied.
    fn skip(&mut self, rule: &Rule, subject: impl Into<String>, because: impl Into<String>) {
        let (subject, because) = (subject.into(), because.into());
        self.not_judged.push(NotJudged { rule: rule.name.to_owned(), subject, because });
    }

    /// Keeps the first findings of a rule when there are very many.
    fn bound(&mut self, rule: &Rule) {
        let count = self.findings.iter().filter(|finding| finding.rule == rule.name).count();
        if count <= FINDINGS_OF_A_RULE {
            return;
        }
        let mut kept = 0;
        self.findings.retain(|finding| {
            kept += usize::from(finding.rule == rule.name);
            finding.rule != rule.name || kept < FINDINGS_OF_A_RULE
        });
        let at = self
            .findings
            .iter()
            .rfind(|finding| finding.rule == rule.name)
            .map_or(Instant::START, |last| last.at);
        let more = count + 1 - FINDINGS_OF_A_RULE;
        self.find(
            rule,
            at,
            Breach {
                subject: format!("{more} more"),
                measured: format!("{count} findings"),
                bound: "none".to_owned(),
                because: format!("only the first {} findings of a rule are listed", FINDINGS_OF_A_RULE - 1),
            },
        );
    }
}

/// How a rule is broken.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) subject: String,
    pub(crate) measured: String,
    pub(crate) bound: String,
    pub(crate) because: String,
}

impl Rule {
    /// A breach of this rule as a finding.
    pub(crate) fn finding(&self, at: Instant, breach: Breach) -> Finding {
        let Breach { subject, measured, bound, because } = breach;
        let rule = self.name.to_owned();
        Finding { severity: self.severity, rule, at, subject, measured, bound, because, expected: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_says_what_it_wants() {
        let names: BTreeSet<&str> = rules().map(|rule| rule.name).collect();
        assert_eq!(names.len(), rules().count());
        for rule in rules() {
            assert!(
                rule.name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'),
                "{}",
                rule.name
            );
            assert!(!rule.about.is_empty() && !rule.source.is_empty(), "{}", rule.name);
        }
    }

    #[test]
    fn very_many_findings_of_a_rule_are_cut_and_the_last_one_says_so() {
        let rule = &run::RULES[0];
        let mut judged = Judged::default();
        for index in 0..250_u64 {
            let breach = Breach {
                subject: String::new(),
                measured: String::new(),
                bound: String::new(),
                because: String::new(),
            };
            judged.find(rule, Instant(index), breach);
        }
        judged.bound(rule);
        assert_eq!(judged.findings.len(), FINDINGS_OF_A_RULE);
        assert_eq!(judged.findings.last().expect("a last finding").measured, "250 findings");
        judged.bound(rule);
        assert_eq!(judged.findings.len(), FINDINGS_OF_A_RULE);
    }
}
