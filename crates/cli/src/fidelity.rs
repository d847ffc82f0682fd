//! The twin held against real KEDA: the same scenarios on both engines, the
//! decisions and the steps of both side by side, and what differs made small.

mod held;
mod suite;
mod table;

pub(crate) use held::{Held, hold};
pub(crate) use suite::{Entry, library, random, write_recipe};
pub(crate) use table::{Table, by_version};
