//! The `poolproof` binary.

fn main() {}
