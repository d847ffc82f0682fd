//! What all of it comes to, by KEDA version.

use std::fmt::Write as _;

use model::Millis;
use serde::Serialize;
use verifier::Likeness;

use super::Held;

/// One line of the table.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    keda: String,
    scenarios: usize,
    repeated: usize,
    inconclusive: usize,
    decisions: u64,
    decisions_equal: u64,
    steps: usize,
    equal: usize,
    equal_but_boundary: usize,
    boundaries: u32,
    different: usize,
    worst_ms: u64,
}

/// The table, a line for each version, in the order of the runs.
pub(crate) fn by_version(all: &[Held]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for held in all {
        let at = tables.iter().position(|table| table.keda == held.keda).unwrap_or_else(|| {
            tables.push(Table { keda: held.keda.clone(), ..Table::default() });
            tables.len() - 1
        });
        tables[at].add(held);
    }
    tables
}

impl Table {
    fn add(&mut self, held: &Held) {
        self.scenarios += 1;
        self.repeated += usize::from(held.attempts > 1);
        if !held.conclusive {
            self.inconclusive += 1;
            return;
        }
        self.decisions += held.decisions.compared;
        self.decisions_equal += held.decisions.equal;
        self.steps += held.difference.steps.iter().map(|sequence| sequence.steps[0].len()).sum::<usize>();
        match held.difference.verdict {
            Likeness::Equal { worst_ms } => {
                self.equal += 1;
                self.worst_ms = self.worst_ms.max(worst_ms);
            }
            Likeness::EqualButBoundary { worst_ms, boundaries } => {
                self.equal_but_boundary += 1;
                self.boundaries += boundaries;
                self.worst_ms = self.worst_ms.max(worst_ms);
            }
            Likeness::Different => self.different += 1,
        }
    }

    /// The lines as Markdown, to be put into a document.
    pub(crate) fn render(tables: &[Self]) -> String {
        let mut text = String::from(
            "| KEDA | scenarios | repeated | inconclusive | decisions compared | equal | step sequences equal | equal but for boundary cases \
             | different | worst step difference |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for table in tables {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} ({} cases) | {} | {} |",
                table.keda,
                table.scenarios,
                table.repeated,
                table.inconclusive,
                table.decisions,
                table.decisions_equal,
                table.equal,
                table.equal_but_boundary,
                table.boundaries,
                table.different,
                Millis(table.worst_ms),
            );
        }
        text
    }
}
