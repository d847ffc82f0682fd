//! `poolproof run`: scenarios on an engine, judged.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use cluster::local::{self, DEFAULT_SPEED, Progress, Step};
use model::scenario::Substitute;
use runner::batch::{Batch, Finished};
use runner::case::{self, CaseError, Overrides, Prepared};
use verifier::Report;

use super::package::package;
use super::verify::{exit_of, judge, to_json};
use super::{Outcome, has_colour, interruption, print, width};
use crate::aggregate::{self, Group};
use crate::arguments::{Colour, Output, RunArguments};
use crate::exit::{Exit, Failure};
use crate::problems;
use crate::progress::Live;

/// The name of the report beside a run's log.
const REPORT: &str = "report.json";

pub(crate) async fn run(arguments: RunArguments, colour: Colour) -> Outcome {
    let cases = prepare(&arguments, colour)?;
    let cache = local::cache()?;
    let (keda, speed) = versions(&arguments, &cache)?;
    let batch = Batch {
        cases,
        keda,
        repeat: arguments.repeat,
        seed: arguments.seed,
        speed,
        parallel: arguments.parallel,
        cluster: arguments.cluster.clone(),
        cache,
        out: arguments.out.clone(),
        replay_options: replay_options(&arguments),
        packages: vec![package()?],
    };
    make_folder(&arguments.out)?;
    let live = Live::new(batch.runs());
    let interrupted = interruption();
    let step = |step: Step<'_>| live.step(step);
    let progress = Progress::new(&step);
    let finished = tokio::select! {
        finished = batch.run(&progress, &live, &interrupted) => finished,
        () = live.draw() => unreachable!("it draws for ever"),
    };
    live.finish();
    let exit = report(&arguments, &finished?, colour)?;
    Ok(if *interrupted.borrow() { Exit::Interrupted } else { exit })
}

/// Reads every scenario; all mistakes of all files are told at once.
fn prepare(arguments: &RunArguments, colour: Colour) -> Result<Vec<Prepared>, Failure> {
    let overrides = Overrides {
        manifests: arguments.manifest.clone(),
        substitute: substitutions(&arguments.substitute)?,
    };
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for file in scenario_files(&arguments.scenarios)? {
        match case::prepare(&file, &overrides) {
            Ok(case) => cases.push(case),
            Err(CaseError::Mistakes { problems }) => mistakes.extend(problems),
            Err(error) => return Err(Failure::usage(error)),
        }
    }
    if mistakes.is_empty() {
        return Ok(cases);
    }
    let shown = problems::render(&mistakes, has_colour(colour, std::io::stderr().is_terminal()));
    eprint!("{shown}");
    Err(Failure::usage(CaseError::Mistakes { problems: mistakes }))
}

/// A folder stands for the scenarios in it, in the order of their names.
fn scenario_files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            if entry.is_file() && entry.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                inside.push(entry);
            }
        }
        if inside.is_empty() {
            return Err(Failure::usage(format!("there is no scenario in {}", path.display())));
        }
        inside.sort();
        files.extend(inside);
    }
    Ok(files)
}

/// `TEXT=WHAT`, split at the last `=`: a text may have one, what is filled in has none.
fn substitutions(given: &[String]) -> Result<BTreeMap<String, Substitute>, Failure> {
    let parse = |given: &String| {
        let (text, what) = given.rsplit_once('=').unwrap_or((given, ""));
        let what = serde_json::from_value(what.into()).map_err(|_| {
            Failure::usage(format!(
                "--substitute {given}: write TEXT=organization_url, TEXT=personal_access_token or \
                 TEXT=personal_access_token_base64"
            ))
        })?;
        Ok((text.to_owned(), what))
    };
    given.iter().map(parse).collect()
}

/// KEDA's versions and the speed; a named cluster has its own.
fn versions(arguments: &RunArguments, cache: &Path) -> Result<(Vec<String>, u32), Failure> {
    let Some(name) = &arguments.cluster else {
        return Ok((arguments.keda.clone(), arguments.speed.unwrap_or(DEFAULT_SPEED)));
    };
    let named = local::named::find(cache, name)?;
    let other_keda = arguments.keda.iter().any(|keda| *keda != named.keda);
    let other_speed = arguments.speed.is_some_and(|speed| speed != named.speed);
    if other_keda || other_speed {
        return Err(Failure::usage(format!(
            "the cluster `{name}` runs KEDA {} at speed {}; leave --keda and --speed out, or name these",
            named.keda, named.speed
        )));
    }
    Ok((vec![named.keda], named.speed))
}

/// What else a single repetition needs on its command line.
fn replay_options(arguments: &RunArguments) -> Vec<String> {
    let manifests = arguments.manifest.iter().map(|file| ("--manifest", file.display().to_string()));
    let substitutes = arguments.substitute.iter().map(|given| ("--substitute", format!("'{given}'")));
    manifests.chain(substitutes).flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::environment(format!("cannot make the folder {}: {error}", path.display())))
}

/// Judges every log, writes the reports, prints; answers the worst.
fn report(arguments: &RunArguments, finished: &[Finished], colour: Colour) -> Outcome {
    let mut reports: Vec<Report> = Vec::new();
    let mut failures = Vec::new();
    for run in finished {
        match &run.log {
            Ok(log) => {
                let report = judge(log)?;
                write_report(log, &report)?;
                reports.push(report);
            }
            Err(error) => failures.push(format!("{} on KEDA {}: {error}", run.name.scenario, run.name.keda)),
        }
    }
    let groups = aggregate::group(reports);
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&groups)?)),
        Output::Text => {
            let colour = has_colour(colour, std::io::stdout().is_terminal());
            groups.iter().for_each(|group| print(&format!("{}\n", group.render(width(), colour))));
        }
    }
    for failure in &failures {
        eprintln!("error: {failure}");
    }
    Ok(if failures.is_empty() { worst(&groups) } else { Exit::Environment })
}

fn write_report(log: &Path, report: &Report) -> Result<(), Failure> {
    let path = log.with_file_name(REPORT);
    std::fs::write(&path, to_json(report)? + "\n")
        .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))
}

/// The exit code of everything together: any finding counts before anything inconclusive.
fn worst(groups: &[Group]) -> Exit {
    let exits: Vec<_> = groups.iter().filter_map(Group::verdict).map(exit_of).collect();
    let worst = [Exit::Findings, Exit::Inconclusive].into_iter().find(|exit| exits.contains(exit));
    // No run at all has shown nothing.
    worst.unwrap_or(if exits.is_empty() { Exit::Inconclusive } else { Exit::Passed })
}
