//! What is published about reports and rules is what the code says.
//! `UPDATE_SCHEMAS=1 cargo test -p poolproof-verifier` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use verifier::compare::Comparison;
use verifier::latency::Latency;
use verifier::{Report, Severity, rules};

fn is_current(path: &str, current: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
        fs::write(&file, current).expect("a written file");
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == current,
        "{path} is not current: run `UPDATE_SCHEMAS=1 cargo test -p poolproof-verifier --test documents`"
    );
}

#[test]
fn the_schema_of_reports_is_current() {
    let schema = schemars::schema_for!(Report);
    let text = serde_json::to_string_pretty(&schema).expect("a schema") + "\n";
    is_current("schema/report.schema.json", &text);
}

#[test]
fn the_schemas_of_latencies_and_their_comparison_are_current() {
    let text = |schema| serde_json::to_string_pretty(&schema).expect("a schema") + "\n";
    is_current("schema/latency.schema.json", &text(schemars::schema_for!(Latency)));
    is_current("schema/comparison.schema.json", &text(schemars::schema_for!(Comparison)));
}

#[test]
fn the_table_of_rules_is_current() {
    let mut text = String::from(
        "# Rules\n\nEvery rule that the verifier applies. A broken rule makes the verdict `findings`; one that is\n\
         marked inconclusive says that the run cannot be judged, a note changes nothing.\n\n\
         | rule | broken means | what must hold | source |\n| --- | --- | --- | --- |\n",
    );
    for rule in rules() {
        let severity = match rule.severity {
            Severity::Inconclusive => "inconclusive",
            Severity::Violation => "findings",
            Severity::Note => "note",
        };
        let cell = |text: &str| text.replace('|', "\\|");
        writeln!(text, "| `{}` | {severity} | {} | {} |", rule.name, cell(rule.about), cell(rule.source))
            .expect("a string takes all");
    }
    is_current("docs/rules.md", &text);
}
