//! `poolproof run`: scenarios on an engine, judged.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use cluster::local::{self, DEFAULT_SPEED, LocalError, Progress, Step};
use model::scenario::Substitute;
use runner::batch::{Batch, DEFAULT_PARALLEL, Ended, Finished};
use runner::case::{self, CaseError, Overrides, Prepared};
use runner::run::REPORT;
use serde::Serialize;
use tokio::sync::watch;
use verifier::Report;

use super::package::package;
use super::verify::{exit_of, judge, to_json};
use super::{Outcome, has_colour, interruption, print, width};
use crate::aggregate::{self, Group};
use crate::arguments::{Colour, Output, RunArguments};
use crate::exit::{Exit, Failure};
use crate::matrix::{self, Matrix};
use crate::problems;
use crate::progress::Live;

pub(crate) async fn run(arguments: RunArguments, colour: Colour) -> Outcome {
    if let Some(flag) = for_the_twin(&arguments) {
        return Err(Failure::usage(format!("{flag} is for simulations: leave `--on local` away")));
    }
    arguments.keda.iter().try_for_each(|keda| local::check_version(keda))?;
    let cases = prepare(&arguments, colour)?;
    let cache = local::cache()?;
    let (keda, speed) = versions(&arguments, &cache)?;
    let batch = Batch {
        cases,
        keda,
        repeat: arguments.repeat,
        seed: arguments.seed.0,
        speed,
        parallel: arguments.parallel.unwrap_or(DEFAULT_PARALLEL),
        cluster: arguments.cluster.clone(),
        cache,
        out: arguments.out.clone(),
        replay_options: replay_options(&arguments),
        packages: vec![package()?],
    };
    no_two_alike(&batch.cases, &batch.keda)?;
    batch.check().map_err(Failure::usage)?;
    make_folder(&arguments.out)?;
    let interrupted = interruption();
    let ended = live(&batch, &interrupted).await;
    let exit = report(&arguments, &ended, colour)?;
    Ok(if *interrupted.borrow() { Exit::Interrupted } else { exit })
}

/// Runs the batch, and shows on a terminal how far it is.
pub(super) async fn live(batch: &Batch, interrupted: &watch::Receiver<bool>) -> Ended {
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

/// A flag that means nothing to a real cluster.
fn for_the_twin(arguments: &RunArguments) -> Option<&'static str> {
    let given = [
        ("a range of seeds", arguments.seed.0 != arguments.seed.1),
        ("--jobs", arguments.jobs.is_some()),
        ("--align", arguments.align.is_some()),
    ];
    given.into_iter().find_map(|(flag, given)| given.then_some(flag))
}

/// Reads every scenario; all mistakes of all files are told at once.
pub(super) fn prepare(arguments: &RunArguments, colour: Colour) -> Result<Vec<Prepared>, Failure> {
    let overrides = Overrides {
        manifests: arguments.manifest.clone(),
        substitute: substitutions(&arguments.substitute)?,
    };
    prepare_with(&arguments.scenarios, &overrides, colour)
}

/// The same for scenarios as they are.
pub(super) fn prepare_files(scenarios: &[PathBuf], colour: Colour) -> Result<Vec<Prepared>, Failure> {
    prepare_with(scenarios, &Overrides::default(), colour)
}

pub(super) fn prepare_with(
    scenarios: &[PathBuf],
    overrides: &Overrides,
    colour: Colour,
) -> Result<Vec<Prepared>, Failure> {
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for file in scenario_files(scenarios)? {
        match case::prepare(&file, overrides) {
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
        // A remedy comes after what it mends.
        inside.sort_by(|a, b| a.file_stem().cmp(&b.file_stem()));
        files.extend(inside);
    }
    Ok(files)
}

/// `TEXT=WHAT`, split at the last `=`: a text may have one, what is filled in has none.
pub(super) fn substitutions(given: &[String]) -> Result<BTreeMap<String, Substitute>, Failure> {
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
pub(super) fn replay_options(arguments: &RunArguments) -> Vec<String> {
    let manifests = arguments.manifest.iter().map(|file| ("--manifest", file.display().to_string()));
    let substitutes = arguments.substitute.iter().map(|given| ("--substitute", given.clone()));
    manifests.chain(substitutes).flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::environment(format!("cannot make the folder {}: {error}", path.display())))
}

/// Each run's folder is named after its scenario and version.
pub(super) fn no_two_alike(cases: &[Prepared], keda: &[String]) -> Result<(), Failure> {
    let mut names: Vec<&str> = cases.iter().map(|case| case.scenario.name.as_str()).collect();
    let mut versions: Vec<&str> = keda.iter().map(String::as_str).collect();
    for (what, all) in [("a scenario named", &mut names), ("KEDA", &mut versions)] {
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::usage(format!("{what} {} is there twice", twice[0])));
        }
    }
    Ok(())
}

/// What did not come to a report.
#[derive(Debug, Serialize)]
pub(super) struct NotRun {
    /// The scenario; none if nothing could be run on this version.
    scenario: Option<String>,
    keda: String,
    error: String,
}

/// Judges every log, writes the reports, prints; answers the worst.
fn report(arguments: &RunArguments, ended: &Ended, colour: Colour) -> Outcome {
    let mut reports: Vec<Report> = Vec::new();
    let without = |(keda, error): &(String, LocalError)| NotRun {
        scenario: None,
        keda: keda.clone(),
        error: error.to_string(),
    };
    let mut failures: Vec<NotRun> = ended.failures.iter().map(without).collect();
    for run in &ended.finished {
        match judged(run) {
            Ok(report) => reports.push(report),
            Err(error) => failures.push(NotRun {
                scenario: Some(run.name.scenario.clone()),
                keda: run.name.keda.clone(),
                error,
            }),
        }
    }
    let groups = aggregate::group(reports);
    for group in &groups {
        group.write(&arguments.out).map_err(Failure::environment)?;
    }
    print_groups(&groups, &failures, arguments.output, colour)?;
    Ok(if failures.is_empty() { worst(&groups) } else { Exit::Environment })
}

/// Prints what came of everything, for people or for programs.
pub(super) fn print_groups(
    groups: &[Group],
    failures: &[NotRun],
    output: Output,
    colour: Colour,
) -> Result<(), Failure> {
    match output {
        Output::Json => {
            let all = serde_json::json!({ "format": 1, "groups": groups, "failures": failures });
            print(&format!("{}\n", to_json(&all)?));
        }
        Output::Text => {
            let colour = has_colour(colour, std::io::stdout().is_terminal());
            let matrix = matrix::is_wanted(groups);
            let shown = groups.iter().filter(|group| !matrix || matrix::needs_a_look(group));
            shown.for_each(|group| print(&format!("{}\n", group.render(width(), colour))));
            if matrix {
                print(&Matrix::of(groups).render(width(), colour));
            }
        }
    }
    for NotRun { scenario, keda, error } in failures {
        eprintln!("error: {} on KEDA {keda}: {error}", scenario.as_deref().unwrap_or("nothing was run"));
    }
    Ok(())
}

/// The report on a run, written beside its log.
pub(super) fn judged(run: &Finished) -> Result<Report, String> {
    let log = run.log.as_ref().map_err(ToString::to_string)?;
    let report = judge(log).map_err(|failure| failure.message)?;
    let text = to_json(&report).map_err(|failure| failure.message)? + "\n";
    let path = log.with_file_name(REPORT);
    std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(report)
}

/// The exit code of everything together: any finding counts before anything inconclusive.
pub(super) fn worst(groups: &[Group]) -> Exit {
    let exits: Vec<_> = groups.iter().filter_map(Group::verdict).map(exit_of).collect();
    let worst = [Exit::Findings, Exit::Inconclusive].into_iter().find(|exit| exits.contains(exit));
    // No run at all has shown nothing.
    worst.unwrap_or(if exits.is_empty() { Exit::Inconclusive } else { Exit::Passed })
}
