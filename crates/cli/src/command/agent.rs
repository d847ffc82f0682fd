//! `poolproof agent`, and the same under the name that the agent package gives it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The file name under which this binary is the agent's listener.
const LISTENER: &str = "Agent.Listener";

/// The arguments, if this process was started as the listener of an agent package.
pub(crate) fn listener_arguments() -> Option<Vec<String>> {
    let mut arguments = std::env::args();
    let program = PathBuf::from(arguments.next()?);
    (program.file_name()? == LISTENER).then(|| arguments.collect())
}

/// Runs the listener as a program of its own.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    run(arguments).into()
}

/// Runs the listener in the current folder, which is where its files are.
pub(crate) fn run(arguments: &[String]) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return 1;
        }
    };
    let code = runtime.block_on(agent::listener(arguments, Path::new(".")));
    u8::try_from(code).unwrap_or(1)
}
