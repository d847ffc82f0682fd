//! The table of quirks in docs/fidelity.md has every switch that there is, and tests that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::schemas;

/// Settings of an organization that are quirks, too.
const OF_THE_ORGANIZATION: [&str; 3] = ["assign_delay", "job_lock", "session_expiry"];
/// What stands above tests in a table.
const TESTS: &str = "test";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document() -> String {
    fs::read_to_string(root().join("docs/fidelity.md")).expect("docs/fidelity.md")
}

/// What stands below a heading.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, after) = text.split_once(&format!("## {heading}\n")).expect("the heading");
    after.split("\n## ").next().unwrap_or_default()
}

/// The cells of a table's rows, its head among them.
fn cells(table: &str) -> Vec<Vec<String>> {
    let rows = table.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---"));
    rows.map(|row| row.trim_matches('|').split(" |").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The rows of the table of switches.
fn rows() -> Vec<Vec<String>> {
    cells(section(&document(), "Quirks of the real service")).split_off(1)
}

fn word(cell: &str) -> &str {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or_else(|| panic!("{cell}"))
}

#[test]
fn the_table_has_every_switch_and_no_other() {
    let schema = schemas::scenario();
    let switches = schema.pointer("/$defs/Quirks/properties").expect("quirks in the schema");
    let mut known: BTreeSet<&str> = switches.as_object().expect("a map").keys().map(String::as_str).collect();
    known.extend(OF_THE_ORGANIZATION);
    let rows = rows();
    let told: BTreeSet<&str> = rows.iter().map(|row| word(&row[2])).collect();
    assert_eq!(told, known);
    assert_eq!(rows.len(), told.len(), "each once");
}

#[test]
fn every_row_says_where_from_and_names_a_test_that_is_there() {
    let mut sources = String::new();
    for folder in ["azure-devops", "server"] {
        read_all(&root().join("crates").join(folder), &mut sources);
    }
    let text = document();
    let tables = text
        .split("\n\n")
        .map(cells)
        .filter(|table| table.first().is_some_and(|head| head.last().is_some_and(|last| last == TESTS)));
    let mut count = 0;
    for table in tables {
        let (head, rows) = table.split_first().expect("a head");
        let from = head.iter().position(|cell| cell == "where from").expect("where it is known from");
        for row in rows {
            assert_eq!(row.len(), head.len(), "{row:?}");
            assert!(row[0].len() > 3 && row[from].len() > 3, "{row:?}");
            for test in row[row.len() - 1].split(", ").map(word) {
                assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
            }
        }
        count += 1;
    }
    assert!(count >= 4, "switches, other quirks, agents, faults");
}

#[test]
fn the_table_of_faults_has_every_answer_and_every_effect() {
    let (schema, text) = (schemas::scenario(), document());
    let table = section(&text, "Faults of the service");
    let answers = schema.pointer("/$defs/NamedAnswer/oneOf").and_then(|answers| answers.as_array());
    let answers: Vec<String> = answers
        .expect("the answers")
        .iter()
        .map(|answer| format!("| `answer: {}` |", answer["const"].as_str().expect("a word")))
        .collect();
    let effects =
        ["delay", "delay_per_row", "budget", "parallel_jobs"].map(|effect| format!("| `{effect}` |"));
    assert!(answers.len() > 10, "{answers:?}");
    for row in answers.iter().chain(&effects) {
        assert!(table.contains(row.as_str()), "{row}");
    }
}

fn read_all(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("a file"));
        }
    }
}
