//! Small logs, built by hand.
