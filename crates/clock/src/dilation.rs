//! How a process is told that its time runs faster: the patched Go runtime and
//! the agent's listener read the same two variables.

/// The variable that says how many times faster than real a process' time runs.
pub const SPEED_VARIABLE: &str = "POOLPROOF_SPEED";
/// The variable that says since when, in nanoseconds since 1970.
pub const EPOCH_VARIABLE: &str = "POOLPROOF_EPOCH";
