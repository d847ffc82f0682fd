//! The vocabulary of Poolproof: what a scenario file says, what an event log
//! says, and the instants and durations both are written in.
//!
//! This crate holds data and its validation. It reads no clock, opens no file
//! and uses no other package of the workspace; the verifier sees nothing else.

pub mod agent_version;
mod check;
pub mod event;
pub mod fault;
pub mod instant;
pub mod load;
pub mod manifest;
pub mod pipeline;
pub mod problem;
pub mod quirks;
pub mod range;
pub mod rules;
pub mod scenario;
pub mod schemas;
pub mod stream;
mod yaml;

pub use event::{Event, Fact, Source};
pub use instant::{Instant, Millis, MillisRange};
pub use problem::Problem;
pub use scenario::Scenario;
pub use stream::stream;
