//! The `poolproof` binary: reads the command line, composes the packages,
//! chooses the exit code. It decides nothing else.

#![expect(clippy::print_stderr, reason = "a command line talks to people")]

mod aggregate;
mod arguments;
mod bisect;
mod command;
mod exit;
mod fidelity;
mod matrix;
mod problems;
mod progress;
mod sweep;

use std::process::ExitCode;

fn main() -> ExitCode {
    command::main()
}
