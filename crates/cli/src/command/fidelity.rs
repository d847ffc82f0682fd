//! `poolproof fidelity`: the twin held against real KEDA, scenario by scenario.

use std::path::Path;

use cluster::local::{self, DEFAULT_SPEED, Progress, Step};
use runner::batch::{Batch, DEFAULT_PARALLEL, Ended};
use runner::case::Prepared;
use serde_json::json;
use twin::generate::Recipe;

use super::package::package;
use super::run::{make_folder, no_two_alike, prepare_files};
use super::verify::to_json;
use super::{Outcome, interruption, print};
use crate::arguments::{Colour, FidelityArguments};
use crate::exit::{Exit, Failure};
use crate::fidelity::{self, Entry, Held, Table};
use crate::progress::Live;

/// How often a scenario that differs is made smaller.
const MOST_ROUNDS: usize = 20;

pub(crate) async fn fidelity(arguments: FidelityArguments, colour: Colour) -> Outcome {
    make_folder(&arguments.out)?;
    let library = prepare_files(&arguments.scenarios, colour)?;
    let mut entries: Vec<Entry> = fidelity::library(library).collect();
    entries.extend(fidelity::random(&arguments.out.join("scenarios"), arguments.seed, arguments.random)?);
    if entries.is_empty() {
        return Err(Failure::usage("nothing to hold against each other: name scenarios, or --random N"));
    }
    let held = hold_all(&arguments, &entries, &arguments.keda, "").await?;
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
    if held.iter().all(Held::is_equal) {
        return Ok(Exit::Passed);
    }
    if arguments.shrink {
        shrink(&arguments, &entries, &held).await?;
    }
    Ok(Exit::Findings)
}

/// Says what differs.
fn tell(held: &Held) {
    eprintln!("{} on KEDA {}:", held.scenario, held.keda);
    for difference in &held.decisions.differences {
        eprintln!("  decision {difference}");
    }
    eprintln!("  steps: {}", held.difference.because);
}

/// Runs everything for real, simulates it, and holds one against the other.
async fn hold_all(
    arguments: &FidelityArguments,
    entries: &[Entry],
    keda: &[String],
    below: &str,
) -> Result<Vec<Held>, Failure> {
    let cases: Vec<Prepared> = entries.iter().map(|entry| entry.case.clone()).collect();
    no_two_alike(&cases, keda)?;
    let out = arguments.out.join("real").join(below);
    let batch = Batch {
        cases,
        keda: keda.to_vec(),
        repeat: 1,
        seed: arguments.seed,
        speed: arguments.speed.unwrap_or(DEFAULT_SPEED),
        parallel: arguments.parallel.unwrap_or(DEFAULT_PARALLEL),
        cluster: None,
        cache: local::cache()?,
        out,
        replay_options: Vec::new(),
        packages: vec![package()?],
    };
    let ended = run(&batch).await;
    let mut all = Vec::new();
    for finished in &ended.finished {
        let Ok(log) = &finished.log else { continue };
        let entry = entries.iter().find(|entry| entry.case.scenario.name == finished.name.scenario);
        let Some(entry) = entry else { continue };
        let keda = &finished.name.keda;
        let folder = format!("{}-keda-{keda}", finished.name.scenario);
        let folder = arguments.out.join("twin").join(below).join(folder);
        all.push(fidelity::hold(&entry.case, keda, log, &folder)?);
    }
    for (keda, error) in &ended.failures {
        return Err(Failure::environment(format!("KEDA {keda}: {error}")));
    }
    Ok(all)
}

async fn run(batch: &Batch) -> Ended {
    let live = Live::new(batch.runs());
    let interrupted = interruption();
    let step = |step: Step<'_>| live.step(step);
    let progress = Progress::new(&step);
    let ended = tokio::select! {
        ended = batch.run(&progress, &live, &interrupted) => ended,
        () = live.draw() => unreachable!("it draws for ever"),
    };
    live.finish();
    ended
}

/// Makes every random scenario that differs smaller, as long as it still differs, and writes it down.
async fn shrink(arguments: &FidelityArguments, entries: &[Entry], held: &[Held]) -> Result<(), Failure> {
    for held in held.iter().filter(|held| !held.is_equal()) {
        let entry = entries.iter().find(|entry| entry.case.scenario.name == held.scenario);
        let Some(recipe) = entry.and_then(|entry| entry.recipe.clone()) else { continue };
        let smallest = smallest(arguments, recipe, &held.keda).await?;
        let folder = arguments.out.join("smallest").join(format!("{}-keda-{}", held.scenario, held.keda));
        fidelity::write_recipe(&folder, &smallest)?;
        eprintln!("the smallest that still differs: {}", folder.join("scenario.yaml").display());
    }
    Ok(())
}

/// The smallest recipe that still differs. All that are one step smaller run side by side.
async fn smallest(arguments: &FidelityArguments, mut recipe: Recipe, keda: &str) -> Result<Recipe, Failure> {
    for round in 0..MOST_ROUNDS {
        let below = format!("smaller-{}-keda-{keda}-{round}", recipe.seed);
        let folder = arguments.out.join("scenarios").join(&below);
        let candidates = candidates(&folder, &recipe)?;
        let entries: Vec<Entry> = candidates.iter().map(|(_, entry)| entry.clone()).collect();
        let held = hold_all(arguments, &entries, &[keda.to_owned()], &below).await?;
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
