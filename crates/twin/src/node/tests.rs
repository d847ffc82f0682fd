//! Whole lives of pods against the service.

mod bench;
mod faults;
mod lives;
mod properties;
