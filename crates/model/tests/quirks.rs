//! The table of quirks in docs/fidelity.md has every switch that there is, and tests that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::schemas;

/// Settings of an organization that are quirks, too.
const OF_THE_ORGANIZATION: [&str; 2] = ["job_lock", "session_expiry"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cells of the table's rows, without its head.
fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/fidelity.md")).expect("docs/fidelity.md");
    let (_, after) = text.split_once("## Quirks of the real service\n").expect("the table's heading");
    let section = after.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
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
    for row in rows() {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(row[..2].iter().all(|cell| cell.len() > 8), "{row:?}");
        assert!(sources.contains(&format!("fn {}(", word(&row[4]))), "there is no test {}", row[4]);
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
