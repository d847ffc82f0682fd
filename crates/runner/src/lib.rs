//! A scenario on an engine gives an event log.
//!
//! [`case`] reads and checks what there is to run, [`plan`] says what happens when,
//! [`run`] lives one run, [`batch`] many side by side. [`recorder`] writes the log and
//! [`state`] folds it: the runner waits for states of its own log, and nothing here
//! judges what it sees.

pub mod batch;
pub mod case;
pub mod engine;
pub mod entrypoint;
mod faults;
pub mod filled;
pub mod plan;
pub mod recorder;
pub mod run;
pub mod settings;
pub mod sim;
pub mod state;

pub use run::{new_seed, new_token};
