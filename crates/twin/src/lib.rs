//! The twin: a scenario in virtual time, on one thread, in milliseconds.

pub mod generate;
pub mod manifests;
pub mod node;
