//! `poolproof fidelity`: the twin held against real KEDA, scenario by scenario.

use std::path::{Path, PathBuf};

use cluster::local::{self, DEFAULT_SPEED, Progress, Step};
use model::Fact;
use model::event::Outcome;
use runner::batch::{Batch, DEFAULT_PARALLEL, Ended};
use runner::case::Prepared;
use runner::run::{LOG, folder};
use serde_json::json;
use tokio::sync::watch;
use twin::generate::Recipe;

use super::follow::sentence;
use super::package::package;
use super::run::{make_folder, no_two_alike, prepare_files};
use super::simulate::simulations;
use super::verify::{read_events, to_json};
use super::{interruption, print};
use crate::arguments::{Colour, FidelityArguments};
use crate::exit::{Exit, Failure};
use crate::fidelity::{self, Entry, Held, Table};
use crate::progress::Live;

/// How often a scenario that differs is made smaller.
const MOST_ROUNDS: usize = 20;
/// How often a run that cannot be told from, or that differs, is run again, each time with less beside it.
const MOST_REPEATS: u32 = 2;

/// How fast real runs are, and how many live side by side.
#[derive(Debug, Clone, Copy)]
struct Pace {
    speed: u32,
    parallel: usize,
}

impl Pace {
    fn of(arguments: &FidelityArguments) -> Self {
        Self {
            speed: arguments.speed.unwrap_or(DEFAULT_SPEED),
            parallel: arguments.parallel.unwrap_or(DEFAULT_PARALLEL),
        }
    }

    /// Half of both: a machine that was late has four times the room.
    fn calmer(self) -> Self {
        Self { speed: (self.speed / 2).max(1), parallel: (self.parallel / 2).max(1) }
    }
}

pub(crate) async fn fidelity(arguments: FidelityArguments, colour: Colour) -> Result<Exit, Failure> {
    make_folder(&arguments.out)?;
    let library = prepare_files(&arguments.scenarios, colour)?;
    let mut entries: Vec<Entry> = fidelity::library(library).collect();
    entries.extend(fidelity::random(&arguments.out.join("scenarios"), arguments.seed, arguments.random)?);
    if entries.is_empty() {
        return Err(Failure::usage("nothing to hold against each other: name scenarios, or --random N"));
    }
    let cases: Vec<Prepared> = entries.iter().map(|entry| entry.case.clone()).collect();
    // What the twin does not model is told before anything is run.
    simulations(&cases, &arguments.keda, colour)?;
    let interrupted = interruption();
    let pace = Pace::of(&arguments);
    let mut held = hold_all(&arguments, &entries, &arguments.keda, "", pace, &interrupted).await?;
    repeat(&arguments, &entries, &mut held, pace, &interrupted).await?;
    if *interrupted.borrow() {
        return Ok(Exit::Interrupted);
    }
    let tables = fidelity::by_version(&held);
    let text = to_json(&json!({ "format": 1, "versions": tables, "scenarios": held }))? + "\n";
    let path = arguments.out.join("fidelity.json");
    std::fs::write(&path, text)
        .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))?;
    for held in held.iter().filter(|held| !held.is_equal()) {
        tell(held);
    }
    print(&Table::render(&tables));
    let missing = entries.len() * arguments.keda.len() - held.len();
    if missing > 0 {
        eprintln!("error: {missing} runs did not come to their end");
        return Ok(Exit::Inconclusive);
    }
    if arguments.shrink && !held.iter().all(Held::is_equal) {
        shrink(&arguments, &entries, &held, &interrupted).await?;
    }
    Ok(if *interrupted.borrow() { Exit::Interrupted } else { exit_of(&held) })
}

/// Decisions are exact. How the rest came about, as fast as this machine is today, is reported.
fn exit_of(held: &[Held]) -> Exit {
    let mut conclusive = held.iter().filter(|held| held.conclusive && held.decisions.compared > 0).peekable();
    if conclusive.peek().is_none() {
        Exit::Inconclusive
    } else if conclusive.all(|held| held.decisions.differences.is_empty()) {
        Exit::Passed
    } else {
        Exit::Findings
    }
}

/// Says what differs.
fn tell(held: &Held) {
    eprintln!("{} on KEDA {}:", held.scenario, held.keda);
    for difference in &held.decisions.differences {
        eprintln!("  {}", sentence(difference));
    }
    eprintln!("  steps: {}", held.difference.because);
}

/// Runs again, more slowly, what cannot be told from or differs: what a late machine made of a run does not come
/// again, what the twin does wrong does. The last run is the one that counts.
async fn repeat(
    arguments: &FidelityArguments,
    entries: &[Entry],
    held: &mut [Held],
    mut pace: Pace,
    interrupted: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    for attempt in 1..=MOST_REPEATS {
        pace = pace.calmer();
        for keda in &arguments.keda {
            let doubtful = |entry: &&Entry| {
                let name = &entry.case.scenario.name;
                held.iter().any(|held| held.keda == *keda && held.scenario == *name && held.is_doubtful())
            };
            let again: Vec<Entry> = entries.iter().filter(doubtful).cloned().collect();
            if again.is_empty() || *interrupted.borrow() {
                continue;
            }
            let below = format!("again-{attempt}");
            for mut new in
                hold_all(arguments, &again, std::slice::from_ref(keda), &below, pace, interrupted).await?
            {
                new.attempts = attempt + 1;
                let old = held.iter_mut().find(|old| old.scenario == new.scenario && old.keda == new.keda);
                *old.expect("only what was held is held again") = new;
            }
        }
    }
    Ok(())
}

/// Runs everything for real, simulates it, and holds one against the other.
async fn hold_all(
    arguments: &FidelityArguments,
    entries: &[Entry],
    keda: &[String],
    below: &str,
    pace: Pace,
    interrupted: &watch::Receiver<bool>,
) -> Result<Vec<Held>, Failure> {
    let cases: Vec<Prepared> = entries.iter().map(|entry| entry.case.clone()).collect();
    no_two_alike(&cases, keda)?;
    let out = arguments.out.join("real").join(below);
    for keda in keda {
        let left: Vec<Prepared> = cases
            .iter()
            .filter(|case| !(arguments.resume && is_resumed(arguments, &log(&out, case, keda), case, pace)))
            .cloned()
            .collect();
        if left.is_empty() || *interrupted.borrow() {
            continue;
        }
        let batch = Batch {
            cases: left,
            keda: vec![keda.clone()],
            repeat: 1,
            seed: arguments.seed,
            speed: pace.speed,
            parallel: pace.parallel,
            cluster: None,
            cache: local::cache()?,
            out: out.clone(),
            replay_options: Vec::new(),
            packages: vec![package()?],
        };
        let ended = run(&batch, interrupted).await;
        for finished in &ended.finished {
            if let Err(error) = &finished.log {
                eprintln!("error: {} on KEDA {keda}: {error}", finished.name.scenario);
            }
        }
        if let Some((keda, error)) = ended.failures.first() {
            eprintln!("error: KEDA {keda}: {error}");
        }
    }
    let pairs = keda.iter().flat_map(|keda| cases.iter().map(move |case| (keda, case)));
    let finished = pairs.filter(|(keda, case)| is_finished(&log(&out, case, keda)));
    let twin = arguments.out.join("twin").join(below);
    let hold = |(keda, case): (&String, &Prepared)| {
        let folder = folder(&twin, &case.scenario.name, keda, 1, 1);
        fidelity::hold(case, keda, &log(&out, case, keda), &folder)
    };
    finished.map(hold).collect()
}

fn log(out: &Path, case: &Prepared, keda: &str) -> PathBuf {
    folder(out, &case.scenario.name, keda, 1, 1).join(LOG)
}

/// Whether there is a finished log of this very run: same scenario, seed and speed.
fn is_resumed(arguments: &FidelityArguments, log: &Path, case: &Prepared, pace: Pace) -> bool {
    let started = read_events(log).ok().and_then(|events| {
        events.into_iter().find_map(|event| match event.fact {
            Fact::RunStarted(started) => Some(started),
            _ => None,
        })
    });
    is_finished(log)
        && started.is_some_and(|started| {
            started.scenario == case.scenario && started.seed == arguments.seed && started.speed == pace.speed
        })
}

/// Whether the log is there and came to its end.
fn is_finished(log: &Path) -> bool {
    read_events(log).is_ok_and(|events| {
        events.iter().rev().any(|event| {
            matches!(&event.fact, Fact::RunFinished { outcome, .. }
                if !matches!(outcome, Outcome::Failed | Outcome::Interrupted))
        })
    })
}

async fn run(batch: &Batch, interrupted: &watch::Receiver<bool>) -> Ended {
    let live = Live::new(batch.runs());
    let step = |step: Step<'_>| live.step(step);
    let progress = Progress::new(&step);
    let ended = tokio::select! {
        ended = batch.run(&progress, &live, interrupted) => ended,
        () = live.draw() => unreachable!("it draws for ever"),
    };
    live.finish();
    ended
}

/// Makes every random scenario that differs smaller, as long as it still differs, and writes it down.
async fn shrink(
    arguments: &FidelityArguments,
    entries: &[Entry],
    held: &[Held],
    interrupted: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    for held in held.iter().filter(|held| !held.is_equal()) {
        let entry = entries.iter().find(|entry| entry.case.scenario.name == held.scenario);
        let Some(recipe) = entry.and_then(|entry| entry.recipe.clone()) else { continue };
        let smallest = smallest(arguments, recipe, &held.keda, interrupted).await?;
        if *interrupted.borrow() {
            return Ok(());
        }
        let folder = arguments.out.join("smallest").join(format!("{}-keda-{}", held.scenario, held.keda));
        fidelity::write_recipe(&folder, &smallest)?;
        eprintln!("the smallest that still differs: {}", folder.join("scenario.yaml").display());
    }
    Ok(())
}

/// The smallest recipe that still differs. All that are one step smaller run side by side.
async fn smallest(
    arguments: &FidelityArguments,
    mut recipe: Recipe,
    keda: &str,
    interrupted: &watch::Receiver<bool>,
) -> Result<Recipe, Failure> {
    for round in 0..MOST_ROUNDS {
        let below = format!("smaller-{}-keda-{keda}-{round}", recipe.seed);
        let folder = arguments.out.join("scenarios").join(&below);
        let candidates = candidates(&folder, &recipe)?;
        let entries: Vec<Entry> = candidates.iter().map(|(_, entry)| entry.clone()).collect();
        let pace = Pace::of(arguments);
        let held = hold_all(arguments, &entries, &[keda.to_owned()], &below, pace, interrupted).await?;
        let differs = |name: &str| held.iter().any(|held| held.scenario == name && !held.is_equal());
        let next = candidates.iter().find(|(_, entry)| differs(&entry.case.scenario.name));
        match next {
            Some((smaller, _)) => recipe = smaller.clone(),
            None => break,
        }
    }
    Ok(recipe)
}

/// Every recipe that is one step smaller, as scenarios with names of their own.
fn candidates(folder: &Path, recipe: &Recipe) -> Result<Vec<(Recipe, Entry)>, Failure> {
    let number = |(at, smaller): (usize, Recipe)| {
        let mut case = fidelity::write_recipe(&folder.join(at.to_string()), &smaller)?;
        case.scenario.name = format!("{}-{at}", case.scenario.name);
        Ok((smaller.clone(), Entry { case, recipe: Some(smaller) }))
    };
    recipe.smaller().into_iter().enumerate().map(number).collect()
}
