//! The published schemas are those of the types. `UPDATE_SCHEMAS=1 cargo test -p poolproof-model`
//! writes them anew.

use std::fs;
use std::path::Path;

use model::schemas;
use schemars::Schema;

fn check(name: &str, schema: &Schema) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(name);
    if std::env::var_os("UPDATE_SCHEMAS").is_some_and(|value| value == "1") {
        let current = serde_json::to_string_pretty(schema).expect("a schema is JSON");
        fs::write(&path, format!("{current}\n")).expect("the schema is written");
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    let published: Option<serde_json::Value> = serde_json::from_str(&published).ok();
    assert!(
        published.as_ref() == Some(schema.as_value()),
        "schema/{name} is not that of the types: run `UPDATE_SCHEMAS=1 cargo test -p poolproof-model --test schemas`"
    );
}

#[test]
fn the_scenario_schema_is_current() {
    check("scenario.schema.json", &schemas::scenario());
}

#[test]
fn the_event_schema_is_current() {
    check("events.schema.json", &schemas::events());
}
