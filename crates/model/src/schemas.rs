//! The published JSON schemas, generated from the types.

use schemars::generate::SchemaSettings;
use schemars::{Schema, schema_for};

use crate::event::Event;
use crate::scenario::Scenario;

/// The schema of scenario files.
#[must_use]
pub fn scenario() -> Schema {
    schema_for!(Scenario)
}

/// The schema of a line of the event log.
///
/// It is the one of what is written: a field that is always there is required,
/// though a reader may do without.
#[must_use]
pub fn events() -> Schema {
    SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<Event>()
}
