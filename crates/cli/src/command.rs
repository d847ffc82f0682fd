//! The commands, and what they have in common: a runtime, errors on standard
//! error, an exit code, and what Ctrl-C does.

mod agent;
mod bench;
mod bisect;
mod check;
mod cluster;
mod compare;
mod compare_latency;
mod fidelity;
mod follow;
mod package;
mod run;
mod serve;
mod simulate;
mod verify;

use std::future::Future;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::arguments::{Arguments, Colour, Command, Engine};
use crate::exit::{Exit, Failure};

pub(crate) use simulate::{failure, write_log};
pub(crate) use verify::read_events;

/// What a command comes to.
type Outcome = Result<Exit, Failure>;

/// Runs the command that the command line names.
pub(crate) fn main() -> ExitCode {
    // Inside the agent package the same binary is the agent's listener.
    if let Some(folder) = agent::listener_folder() {
        return agent::main(&folder);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Passed }.into();
        }
    };
    let colour = arguments.color;
    match dispatch(arguments.command, colour) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command, colour: Colour) -> Outcome {
    match command {
        Command::Run(arguments) if !arguments.follow.is_empty() => follow::follow_logs(&arguments),
        Command::Run(arguments) if arguments.on == Engine::Sim => simulate::simulate(&arguments, colour),
        Command::Run(arguments) => block_on(run::run(arguments, colour)),
        Command::Verify(arguments) => verify::verify(&arguments, colour),
        Command::Explain(arguments) => compare::explain(&arguments, colour),
        Command::Diff(arguments) => compare::diff(&arguments, colour),
        Command::Fidelity(arguments) => block_on(fidelity::fidelity(arguments, colour)),
        Command::Bench { command } => block_on(bench::bench(command, colour)),
        Command::Compare(arguments) => compare_latency::compare(&arguments, colour),
        Command::Bisect(arguments) => block_on(bisect::bisect(arguments, colour)),
        Command::Serve(arguments) => block_on(serve::serve(arguments)),
        Command::Cluster { command } => block_on(cluster::cluster(command)),
        Command::Check { command } => block_on(check::check(command)),
        Command::Agent { arguments } => Ok(Exit::Code(agent::run(&arguments, Path::new(".")))),
    }
}

fn block_on(future: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::environment)?;
    let outcome = runtime.block_on(future);
    // Watches and timers that nobody waits for any more need no time to end.
    runtime.shutdown_background();
    outcome
}

/// A flag that the first Ctrl-C (or TERM) turns true; the second one quits at once: whatever we
/// started ends with us.
fn interruption() -> watch::Receiver<bool> {
    let (interrupt, interrupted) = watch::channel(false);
    // From here on, not once the task runs: whoever is told that we are ready may end us at once.
    let mut signals = Signals::heard();
    tokio::spawn(async move {
        signals.next().await;
        if std::io::stderr().is_terminal() {
            eprintln!("\ncleaning up; once more to quit at once");
        }
        interrupt.send_replace(true);
        signals.next().await;
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    interrupted
}

/// Ctrl-C and TERM, heard since this was made.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

impl Signals {
    fn heard() -> Self {
        let heard = |kind| signal(kind).ok();
        Self { interrupt: heard(SignalKind::interrupt()), terminate: heard(SignalKind::terminate()) }
    }

    /// Waits for either.
    async fn next(&mut self) {
        tokio::select! {
            () = one(&mut self.interrupt) => {}
            () = one(&mut self.terminate) => {}
        }
    }
}

/// Waits for a signal, for ever if it cannot be heard.
async fn one(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether to write colour to standard output (or standard error).
fn has_colour(colour: Colour, is_terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if set("NO_COLOR") => false,
        Colour::Auto if set("CLICOLOR_FORCE") => true,
        Colour::Auto => is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// How wide a report may be: as the terminal, within reason.
fn width() -> usize {
    const NARROW: usize = 60;
    const WIDE: usize = 120;
    const USUAL: usize = 100;
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    columns.or_else(terminal).unwrap_or(USUAL).clamp(NARROW, WIDE)
}

/// Writes to standard output; a reader that has gone, as `head` does, is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
