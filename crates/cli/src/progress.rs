//! What a person sees while something takes long: a line on standard error that
//! is written over, on a terminal only.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use cluster::local::Step;
use indicatif::{ProgressBar, ProgressStyle};
use runner::batch::{Observer, RunName};
use runner::state::State;
use tokio::sync::watch;

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(100);

/// The live line.
#[derive(Debug)]
pub(crate) struct Live {
    bar: ProgressBar,
    runs: Mutex<BTreeMap<String, watch::Receiver<State>>>,
    ended: Mutex<usize>,
    of: usize,
}

impl Live {
    /// A line for `of` runs; it draws nothing where standard error is not a terminal.
    pub(crate) fn new(of: usize) -> Self {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(TICK);
        Self { bar, runs: Mutex::default(), ended: Mutex::new(0), of }
    }

    /// Shows what goes on; off a terminal, as a line of its own.
    pub(crate) fn say(&self, what: &str) {
        self.step(Step::Begins(what));
    }

    /// Shows a step of a build or a start; off a terminal, only its beginning.
    pub(crate) fn step(&self, step: Step<'_>) {
        match step {
            Step::Begins(what) if self.bar.is_hidden() => eprintln!("{what}"),
            Step::Begins(what) => self.bar.set_message(what.to_owned()),
            Step::Compiled { what, packages } => {
                if packages == 1 && self.bar.is_hidden() {
                    eprintln!("building {what} (some minutes, once)");
                }
                self.bar.set_message(format!(
                    "building {what}: {packages} packages compiled (some minutes, once)"
                ));
            }
        }
    }

    /// Draws the state of the runs until it is dropped.
    pub(crate) async fn draw(&self) {
        loop {
            clock::wall::pause(TICK).await;
            if let Some(line) = self.line() {
                self.bar.set_message(line);
            }
        }
    }

    fn line(&self) -> Option<String> {
        let runs = self.runs.lock().expect("nobody panics with the runs");
        let ended = *self.ended.lock().expect("nobody panics with the count");
        let mut states = runs.iter();
        let (name, first) = states.next()?;
        if runs.len() == 1 {
            let count = if self.of > 1 { format!("{ended}/{} done  ", self.of) } else { String::new() };
            return Some(format!("{count}{}", describe(name, &first.borrow())));
        }
        let (mut queued, mut busy, mut idle, mut replicas) = (0, 0, 0, 0);
        for state in runs.values() {
            let state = state.borrow();
            queued += state.queued();
            busy += state.busy();
            idle += state.idle();
            replicas += state.replicas();
        }
        let at = first.borrow().at;
        Some(format!(
            "{ended}/{} done  {} running at {at}  queue {queued}  busy {busy}  idle {idle}  replicas {replicas}",
            self.of,
            runs.len()
        ))
    }

    /// Clears the line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn describe(name: &str, state: &State) -> String {
    format!(
        "{name}  {}  queue {}  busy {}  idle {}  replicas {}",
        state.at,
        state.queued(),
        state.busy(),
        state.idle(),
        state.replicas()
    )
}

fn key(name: &RunName) -> String {
    format!("{} on KEDA {} #{}", name.scenario, name.keda, name.repetition)
}

impl Observer for Live {
    fn began(&self, name: &RunName, state: watch::Receiver<State>) {
        self.runs.lock().expect("nobody panics with the runs").insert(key(name), state);
    }

    fn ended(&self, name: &RunName) {
        self.runs.lock().expect("nobody panics with the runs").remove(&key(name));
        *self.ended.lock().expect("nobody panics with the count") += 1;
    }
}
