//! Random scenarios without end: looks for a run in which something happens that cannot be.
//!
//! `cargo run --release -p poolproof-twin --example fuzz -- --from 1 --count 1000000 -j 2`
//!
//! Each seed draws a scenario, a version of KEDA and everything in the run. The
//! first seed in which an invariant breaks, or the twin panics, ends the search with
//! the command that repeats it. A search that was ended goes on with `--from`.
//! With `--all` it goes on and tells every broken seed; with `--show`, one seed's
//! scenario, manifest and log are printed.

#[path = "../tests/random/mod.rs"]
mod random;

use std::io::{self, IsTerminal as _, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use random::Trial;

/// How many seeds pass between two signs of progress.
const TELL_EVERY: u64 = 500;

struct Arguments {
    from: u64,
    count: u64,
    threads: u64,
    all: bool,
    show: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments { from: 1, count: 1000, threads: 1, all: false, show: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--from" => &mut arguments.from,
            "--count" => &mut arguments.count,
            "-j" => &mut arguments.threads,
            "--all" => {
                arguments.all = true;
                continue;
            }
            "--show" => {
                arguments.show = true;
                continue;
            }
            other => {
                return Err(format!("`{other}` is not understood: --from N --count N -j N --all --show"));
            }
        };
        let number = words.next().and_then(|number| number.parse().ok());
        *place = number.ok_or_else(|| format!("{word} needs a number"))?;
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let found = arguments().and_then(
        |arguments| {
            if arguments.show { show(arguments.from) } else { search(&arguments) }
        },
    );
    match found {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}");
            ExitCode::FAILURE
        }
    }
}

/// What was found first: the lowest of the seeds that broke.
type Found = Mutex<Option<(u64, String)>>;

fn search(arguments: &Arguments) -> Result<(), String> {
    // A panic is told as what it is: a finding.
    panic::set_hook(Box::new(|_| {}));
    let (next, passed, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let found: Found = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.count {
                        return;
                    }
                    let seed = arguments.from + number;
                    if let Err(broken) = one(seed) {
                        if arguments.all {
                            let first = broken.lines().next().unwrap_or_default();
                            let _ = writeln!(io::stdout(), "seed {seed}: {first}");
                            continue;
                        }
                        stop.store(true, Ordering::Relaxed);
                        keep(&found, seed, broken);
                        return;
                    }
                    let passed = passed.fetch_add(1, Ordering::Relaxed) + 1;
                    if passed.is_multiple_of(TELL_EVERY) && io::stderr().is_terminal() {
                        let _ = write!(io::stderr(), "\r{passed} of {}, at seed {seed}", arguments.count);
                    }
                }
            });
        }
    });
    let _ = panic::take_hook();
    match found.into_inner().map_err(|error| error.to_string())? {
        None => {
            let _ =
                writeln!(io::stdout(), "{} seeds from {}: nothing found", arguments.count, arguments.from);
            Ok(())
        }
        Some((seed, broken)) => Err(format!(
            "\nseed {seed}: {broken}\nagain: cargo run --release -p poolproof-twin --example fuzz -- --from {seed} --count 1\nits files and log: … --from {seed} --show"
        )),
    }
}

fn keep(found: &Found, seed: u64, broken: String) {
    let Ok(mut found) = found.lock() else { return };
    if found.as_ref().is_none_or(|(other, _)| seed < *other) {
        *found = Some((seed, broken));
    }
}

fn one(seed: u64) -> Result<(), String> {
    let checked = panic::catch_unwind(AssertUnwindSafe(|| Trial::draw(seed)?.check()));
    match checked {
        Ok(checked) => checked,
        Err(panicked) => {
            let message = panicked.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panicked.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(format!("panicked: {}", message.unwrap_or_default()))
        }
    }
}

fn show(seed: u64) -> Result<(), String> {
    let trial = Trial::draw(seed)?;
    let mut out = io::stdout().lock();
    let told = |error: io::Error| error.to_string();
    writeln!(out, "{}", trial.text()).map_err(told)?;
    for event in trial.run(true)?.events {
        let line = serde_json::to_string(&event).map_err(|error| error.to_string())?;
        writeln!(out, "{line}").map_err(told)?;
    }
    Ok(())
}
