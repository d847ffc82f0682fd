//! Many scenarios on many KEDA versions as one table: a scenario is a row, a version is a column.

use std::fmt::Write as _;

use verifier::Verdict;

use crate::aggregate::Group;

/// What came of every scenario on every version.
pub(crate) struct Matrix {
    /// Oldest first.
    versions: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    scenario: String,
    /// One for each version.
    cells: Vec<Cell>,
}

/// What came of a scenario on a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    NotRun,
    Passed,
    /// The scenario says that this version is bad, and it is.
    KnownBad,
    /// The scenario says that what it does is wrong, whatever the version.
    ByDesign,
    Inconclusive,
    Failed,
}

impl Cell {
    const ALL: [Self; 6] =
        [Self::Passed, Self::KnownBad, Self::ByDesign, Self::Failed, Self::Inconclusive, Self::NotRun];

    fn of(group: &Group) -> Self {
        let known_bad = || group.reports.iter().any(|report| report.announced.known_bad.is_some());
        match group.verdict() {
            Some(Verdict::Passed) => Self::Passed,
            Some(Verdict::ExpectedFindings) if known_bad() => Self::KnownBad,
            Some(Verdict::ExpectedFindings) => Self::ByDesign,
            Some(Verdict::Inconclusive) => Self::Inconclusive,
            Some(Verdict::Findings) => Self::Failed,
            None => Self::NotRun,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::NotRun => "-",
            Self::Passed => "pass",
            Self::KnownBad => "bad",
            Self::ByDesign => "design",
            Self::Inconclusive => "?",
            Self::Failed => "FAIL",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::NotRun => "not run",
            Self::Passed => "every rule holds",
            Self::KnownBad => "fails as its known_bad says",
            Self::ByDesign => "breaks what it says that it breaks by design",
            Self::Inconclusive => "cannot be judged",
            Self::Failed => "a finding that nobody announced",
        }
    }
}

/// Whether this is better read as a table: people read a few reports one by one.
pub(crate) fn is_wanted(groups: &[Group]) -> bool {
    const READ_ONE_BY_ONE: usize = 3;
    groups.len() > READ_ONE_BY_ONE && groups.iter().any(|group| group.scenario != groups[0].scenario)
}

/// Whether somebody has to look at this group's report, whatever the table says.
pub(crate) fn needs_a_look(group: &Group) -> bool {
    matches!(group.verdict(), Some(Verdict::Findings | Verdict::Inconclusive))
}

impl Matrix {
    /// The table of these groups; scenarios in the order in which they come.
    pub(crate) fn of(groups: &[Group]) -> Self {
        let mut versions: Vec<String> = groups.iter().map(|group| group.keda.clone()).collect();
        versions.sort_by_key(|version| (semver::Version::parse(version).ok(), version.clone()));
        versions.dedup();
        let mut rows: Vec<Row> = Vec::new();
        for group in groups {
            let at = match rows.iter().position(|row| row.scenario == group.scenario) {
                Some(at) => at,
                None => {
                    let cells = vec![Cell::NotRun; versions.len()];
                    rows.push(Row { scenario: group.scenario.clone(), cells });
                    rows.len() - 1
                }
            };
            if let Some(column) = versions.iter().position(|version| *version == group.keda) {
                rows[at].cells[column] = Cell::of(group);
            }
        }
        Self { versions, rows }
    }

    /// The table, what its words mean, and how often each is in it. Where it is wider than `width`, versions
    /// in a row on which everything is the same share a column.
    pub(crate) fn render(&self, width: usize, colour: bool) -> String {
        let each: Vec<_> = (0..self.versions.len()).map(|at| (at, at)).collect();
        let widest = |columns: &[(usize, usize)]| {
            let table = self.table(columns, false);
            table.lines().map(|line| line.chars().count()).max().unwrap_or_default()
        };
        let columns = if widest(&each) > width { self.alike() } else { each };
        self.table(&columns, colour) + "\n" + &self.legend()
    }

    /// Columns from a version to another, of which all between are alike.
    fn alike(&self) -> Vec<(usize, usize)> {
        let mut columns: Vec<(usize, usize)> = Vec::new();
        for at in 0..self.versions.len() {
            match columns.last_mut() {
                Some((first, last)) if self.rows.iter().all(|row| row.cells[*first] == row.cells[at]) => {
                    *last = at;
                }
                _ => columns.push((at, at)),
            }
        }
        columns
    }

    fn table(&self, columns: &[(usize, usize)], colour: bool) -> String {
        let name = self.rows.iter().map(|row| row.scenario.chars().count()).max().unwrap_or_default();
        let titles: Vec<String> = columns
            .iter()
            .map(|&(first, last)| match last - first {
                0 => self.versions[first].clone(),
                _ => format!("{}..{}", self.versions[first], self.versions[last]),
            })
            .collect();
        let mut text = format!("{:name$}", "KEDA");
        for title in &titles {
            let _ = write!(text, "  {title:<NARROWEST$}");
        }
        let mut text = text.trim_end().to_owned() + "\n";
        for row in &self.rows {
            let _ = write!(text, "{:name$}", row.scenario);
            for (at, (&(first, _), title)) in columns.iter().zip(&titles).enumerate() {
                let cell = row.cells[first];
                // Nothing follows the last one.
                let wide = if at + 1 == columns.len() { 0 } else { title.len().max(NARROWEST) };
                let _ = write!(text, "  {}", painted(cell, &format!("{:<wide$}", cell.word()), colour));
            }
            text.push('\n');
        }
        text
    }

    fn legend(&self) -> String {
        let mut text = String::new();
        for cell in Cell::ALL {
            let count = self.rows.iter().flat_map(|row| &row.cells).filter(|one| **one == cell).count();
            if count > 0 {
                let _ = writeln!(text, "{count:>4} {:<6}  {}", cell.word(), cell.meaning());
            }
        }
        text
    }
}

/// The narrowest column.
const NARROWEST: usize = 6;

fn painted(cell: Cell, text: &str, colour: bool) -> String {
    let code = match cell {
        Cell::Passed => "32",
        Cell::Failed => "1;31",
        Cell::Inconclusive => "33",
        Cell::KnownBad | Cell::ByDesign => "36",
        Cell::NotRun => "2",
    };
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Matrix {
        let row = |scenario: &str, cells: &[Cell]| Row { scenario: scenario.into(), cells: cells.to_vec() };
        Matrix {
            versions: vec!["2.9.0".into(), "2.20.2".into(), "2.21.0".into()],
            rows: vec![
                row("busy-agents-vanish", &[Cell::Passed, Cell::KnownBad, Cell::Passed]),
                row("other", &[Cell::NotRun, Cell::Failed, Cell::Inconclusive]),
            ],
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_scenario_and_says_what_its_words_mean() {
        let expected = "\
KEDA                2.9.0   2.20.2  2.21.0
busy-agents-vanish  pass    bad     pass
other               -       FAIL    ?

   2 pass    every rule holds
   1 bad     fails as its known_bad says
   1 FAIL    a finding that nobody announced
   1 ?       cannot be judged
   1 -       not run
";
        assert_eq!(matrix().render(80, false), expected);
    }

    #[test]
    fn versions_that_are_alike_share_a_column_where_there_is_no_room() {
        let mut all = matrix();
        all.versions.extend((1..20).map(|patch| format!("2.21.{patch}")));
        all.rows.iter_mut().for_each(|row| {
            let last = row.cells[2];
            row.cells.extend(std::iter::repeat_n(last, 19));
        });
        let text = all.render(60, false);
        assert_eq!(
            text.lines().next(),
            Some("KEDA                2.9.0   2.20.2  2.21.0..2.21.19"),
            "{text}"
        );
        assert!(text.contains("  21 pass"), "{text}");
        assert!(all.render(400, false).contains("2.21.18"));
    }

    #[test]
    fn colour_changes_no_width() {
        let coloured = matrix().render(80, true);
        let mut parts = coloured.split('\x1b');
        let first = parts.next().unwrap_or_default().to_owned();
        let plain = first + &parts.filter_map(|part| Some(part.split_once('m')?.1)).collect::<String>();
        assert_eq!(plain, matrix().render(80, false));
    }
}
