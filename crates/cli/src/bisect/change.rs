//! What another version does otherwise in the same scenario: what it breaks, what it counts, which steps it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use model::Event;
use serde::Serialize;
use verifier::{Difference, Entry, Explanation, Finding, Report};

/// So many job requests of one reason are named.
const NAMED: usize = 8;

/// Two runs beside each other, of the version before and of the one that changed.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    /// The first finding of every rule that only one of them breaks.
    findings: Vec<Finding>,
    /// What only one of them says of a row of the queue.
    reasons: [Vec<Reason>; 2],
    /// Steps, jobs, reads and agents of both.
    difference: Difference,
}

/// Why rows count, or do not.
#[derive(Debug, Serialize)]
pub(crate) struct Reason {
    counts: bool,
    because: String,
    requests: BTreeSet<u64>,
}

impl Change {
    /// `broken` are the rules that tell the versions apart; `reports` those of the side that breaks them.
    pub(crate) fn of(
        broken: &BTreeSet<String>,
        reports: &[Report],
        before: Vec<Event>,
        after: Vec<Event>,
    ) -> Self {
        let first = |rule: &String| {
            reports.iter().flat_map(|report| &report.findings).find(|finding| finding.rule == *rule).cloned()
        };
        let sides = [&before, &after].map(|log| reasons(&verifier::explain(log.iter().cloned(), None)));
        let only = |of: usize| {
            let missing = |(told, _): &(&(bool, String), _)| !sides[1 - of].contains_key(*told);
            let reason = |((counts, because), requests): (&(bool, String), &BTreeSet<u64>)| Reason {
                counts: *counts,
                because: because.clone(),
                requests: requests.clone(),
            };
            sides[of].iter().filter(missing).map(reason).collect()
        };
        Self {
            findings: broken.iter().filter_map(first).collect(),
            reasons: [only(0), only(1)],
            difference: verifier::diff(before, after),
        }
    }

    /// The change as text.
    pub(crate) fn render(&self, [before, after]: [&str; 2], bad: &str, width: usize, colour: bool) -> String {
        let mut text = format!("\nWhat breaks on {bad}\n");
        for Finding { at, rule, subject, measured, .. } in &self.findings {
            let _ = writeln!(text, "  {rule}: {at} {subject}: {measured}");
        }
        let told = [(before, &self.reasons[0]), (after, &self.reasons[1])];
        if told.iter().any(|(_, reasons)| !reasons.is_empty()) {
            text.push_str("\nWhat counts\n");
        }
        for (version, reasons) in told {
            for Reason { counts, because, requests } in reasons {
                let named: Vec<String> = requests.iter().take(NAMED).map(u64::to_string).collect();
                let more = if requests.len() > NAMED { " and more" } else { "" };
                let counts = if *counts { "counts" } else { "does not count" };
                let _ = writeln!(text, "  {version} {counts} {}{more}: {because}", named.join(", "));
            }
        }
        let _ = writeln!(text, "\nWhat changed: A is {before}, B is {after}");
        text + &self.difference.render(width, colour)
    }
}

/// What is said of rows in any read, and of which.
fn reasons(explanation: &Explanation) -> BTreeMap<(bool, String), BTreeSet<u64>> {
    let mut reasons: BTreeMap<(bool, String), BTreeSet<u64>> = BTreeMap::new();
    let entries = explanation.objects.iter().flat_map(|object| &object.entries);
    let reads = entries.filter_map(|entry| match entry {
        Entry::Reads(reads) => Some(reads),
        _ => None,
    });
    for row in reads.flat_map(|reads| &reads.triggers).flat_map(|trigger| &trigger.rows) {
        reasons.entry((row.counts, row.because.clone())).or_default().insert(row.request);
    }
    reasons
}
