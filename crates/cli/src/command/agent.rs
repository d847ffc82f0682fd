//! `poolproof agent`, and the same under the name that the agent package gives it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The agent's folder, if this process was started as the listener of an unpacked package.
pub(crate) fn listener_folder() -> Option<PathBuf> {
    // The name by which it was called: a link keeps it, the file that it leads to need not have it.
    let called = PathBuf::from(std::env::args_os().next()?);
    agent::listener::directory_of(&std::path::absolute(called).ok()?)
}

/// Runs the listener as a program of its own.
pub(crate) fn main(folder: &Path) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    run(&arguments, folder).into()
}

/// Runs the listener; its files are in `folder`.
pub(crate) fn run(arguments: &[String], folder: &Path) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return 1;
        }
    };
    let code = runtime.block_on(agent::listener(arguments, folder));
    u8::try_from(code).unwrap_or(1)
}
