//! `poolproof bench latency`: how long jobs take from their queue to their agent, over many runs
//! and under every combination of the settings that are swept.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cluster::local::{self, DEFAULT_SPEED};
use indicatif::ProgressBar;
use runner::batch::{Batch, DEFAULT_PARALLEL, Finished};
use runner::case::{self, CaseError, Overrides, Prepared};
use runner::run::REPORT;
use runner::settings::Change;
use runner::sim::{self, Run, Simulation};
use verifier::latency::{FILE, FORMAT, Latency, Measured, Row};

use super::package::package;
use super::run::{live, make_folder, no_two_alike, prepare_with, substitutions};
use super::simulate::{quoted, simulations, write_report};
use super::{Outcome, failure, has_colour, interruption, print, read_events, width};
use crate::arguments::{
    BenchCommand, Colour, Engine, LatencyArguments, Output, REPEAT_REAL, REPEAT_SIMULATED, Sweep,
};
use crate::exit::{Exit, Failure};

/// More runs than this nobody waits for.
const MOST_RUNS: u64 = 200_000;
/// The longest name of a scenario (`model::rules`).
const LONGEST_NAME: usize = 40;
/// Where the scenarios of our own go, below the results.
const SCENARIOS: &str = "scenarios";
/// The scenarios that are measured if none is named, with their manifests: this binary may be all that there is.
const OUR_OWN: [(&str, &str); 4] = [
    ("scaledobject.yaml", include_str!("../../../../scenarios/latency/scaledobject.yaml")),
    ("scaledobject/agents.yml", include_str!("../../../../scenarios/latency/scaledobject/agents.yml")),
    ("scaledjob.yaml", include_str!("../../../../scenarios/latency/scaledjob.yaml")),
    ("scaledjob/agents.yml", include_str!("../../../../scenarios/latency/scaledjob/agents.yml")),
];

/// A scenario under one combination of settings.
struct Planned {
    case: Prepared,
    scenario: String,
    settings: BTreeMap<String, String>,
}

pub(crate) async fn bench(command: BenchCommand, colour: Colour) -> Outcome {
    let BenchCommand::Latency(arguments) = command;
    refuse_what_is_for_the_other_engine(&arguments)?;
    let planned = plan(&arguments, colour)?;
    let seeds = seeds(&arguments);
    let runs = planned.len() as u64 * seeds.len() as u64;
    if runs > MOST_RUNS {
        return Err(Failure::usage(format!(
            "these are {runs} runs, and at most {MOST_RUNS} are made at once"
        )));
    }
    make_folder(&arguments.out)?;
    let (rows, exit) = match arguments.on {
        Engine::Sim => (simulate(&arguments, &planned, &seeds, colour)?, Exit::Passed),
        Engine::Local => run(&arguments, planned).await?,
    };
    let latency = Latency {
        format: FORMAT,
        poolproof: env!("CARGO_PKG_VERSION").to_owned(),
        engine: if arguments.on == Engine::Sim { sim::ENGINE } else { "local" }.to_owned(),
        speed: if arguments.on == Engine::Sim { 0 } else { speed(&arguments) },
        again: again(&arguments),
        rows,
    };
    report(&arguments, &latency, colour)?;
    let nothing = latency.rows.iter().any(|row| row.runs.is_empty());
    Ok(if exit == Exit::Passed && nothing { Exit::Inconclusive } else { exit })
}

fn refuse_what_is_for_the_other_engine(arguments: &LatencyArguments) -> Result<(), Failure> {
    let range = arguments.seed.0 != arguments.seed.1;
    if range && arguments.repeat.is_some() {
        return Err(Failure::usage("--repeat is for one seed: a range has its repetitions"));
    }
    let (given, other): (&[(&str, bool)], &str) = match arguments.on {
        Engine::Sim => (
            &[("--speed", arguments.speed.is_some()), ("--parallel", arguments.parallel.is_some())],
            "is for real clusters: add `--on local`",
        ),
        Engine::Local => (
            &[("a range of seeds", range), ("--jobs", arguments.jobs.is_some())],
            "is for simulations: leave `--on local` away",
        ),
    };
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} {other}"))),
        None => Ok(()),
    }
}

fn repeat(arguments: &LatencyArguments) -> u32 {
    let usual = if arguments.on == Engine::Sim { REPEAT_SIMULATED } else { REPEAT_REAL };
    arguments.repeat.unwrap_or(usual)
}

fn speed(arguments: &LatencyArguments) -> u32 {
    arguments.speed.unwrap_or(DEFAULT_SPEED)
}

fn seeds(arguments: &LatencyArguments) -> Vec<u64> {
    let (first, last) = arguments.seed;
    if first != last {
        // As many as would be too many anyway are not written down.
        return (first..=last)
            .take(usize::try_from(MOST_RUNS).unwrap_or(usize::MAX).saturating_add(1))
            .collect();
    }
    (0..u64::from(repeat(arguments))).map(|more| first.wrapping_add(more)).collect()
}

/// Every scenario under every combination of the settings that it has.
fn plan(arguments: &LatencyArguments, colour: Colour) -> Result<Vec<Planned>, Failure> {
    no_setting_twice(&arguments.sweep)?;
    let overrides = Overrides {
        manifests: arguments.manifest.clone(),
        substitute: substitutions(&arguments.substitute)?,
    };
    let files =
        if arguments.scenarios.is_empty() { our_own(&arguments.out)? } else { arguments.scenarios.clone() };
    let cases = prepare_with(&files, &overrides, colour)?;
    no_two_alike(&cases, &[])?;
    let has = |case: &Prepared, sweep: &Sweep| {
        case.manifests
            .iter()
            .flat_map(|(_, documents)| documents)
            .any(|document| sweep.setting.is_of(document))
    };
    if let Some(nobody_s) = arguments.sweep.iter().find(|sweep| !cases.iter().any(|case| has(case, sweep))) {
        let name = nobody_s.setting.name();
        return Err(Failure::usage(format!("no object of the scenarios has the setting {name}")));
    }
    let mut planned = Vec::new();
    for case in &cases {
        let mut of_case: Vec<&Sweep> = arguments.sweep.iter().filter(|sweep| has(case, sweep)).collect();
        // In the order of the table's columns, the last of which changes first.
        of_case.sort_by_key(|sweep| sweep.setting.name());
        for changes in combinations(&of_case) {
            planned.push(planned_with(Path::new(&case.file), &overrides, &changes)?);
        }
    }
    Ok(planned)
}

fn no_setting_twice(sweeps: &[Sweep]) -> Result<(), Failure> {
    for (at, sweep) in sweeps.iter().enumerate() {
        if sweeps[..at].iter().any(|other| other.setting == sweep.setting) {
            let name = sweep.setting.name();
            return Err(Failure::usage(format!("{name} is swept twice: write its values into one --sweep")));
        }
    }
    Ok(())
}

/// Each value of each with each of all others; the last one changes first.
fn combinations(sweeps: &[&Sweep]) -> Vec<Vec<Change>> {
    sweeps.iter().fold(vec![Vec::new()], |combinations, sweep| {
        let with = |combination: Vec<Change>| {
            sweep.changes.iter().map(move |change| {
                let mut more = combination.clone();
                more.push(change.clone());
                more
            })
        };
        combinations.into_iter().flat_map(with).collect()
    })
}

fn planned_with(file: &Path, overrides: &Overrides, changes: &[Change]) -> Result<Planned, Failure> {
    let mut case = case::prepare_changed(file, overrides, changes).map_err(|error| match error {
        // They were read and checked a moment ago.
        CaseError::Mistakes { .. } => Failure::usage(format!("{} was changed meanwhile", file.display())),
        error => Failure::usage(error),
    })?;
    // What it expects was written for its own settings, and this measures.
    case.scenario.expect.clear();
    case.scenario.expect_findings.clear();
    case.scenario.known_bad = None;
    let settings =
        changes.iter().map(|change| (change.setting.name().to_owned(), change.written.clone())).collect();
    Ok(Planned { scenario: case.scenario.name.clone(), case, settings })
}

/// Writes our own scenarios where the results go, so that they can be read, and changed.
fn our_own(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = out.join(SCENARIOS);
    let mut scenarios = Vec::new();
    for (name, text) in OUR_OWN {
        let path = folder.join(name);
        make_folder(path.parent().unwrap_or(&folder))?;
        write(&path, text)?;
        if name.ends_with(".yaml") {
            scenarios.push(path);
        }
    }
    Ok(scenarios)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))
}

/// Simulates everything; nothing is written, for any run is repeated in milliseconds.
fn simulate(
    arguments: &LatencyArguments,
    planned: &[Planned],
    seeds: &[u64],
    colour: Colour,
) -> Result<Vec<Row>, Failure> {
    let versions: Vec<String> = arguments.keda.iter().cloned().collect();
    let mut all: Vec<Simulation<'_>> = Vec::new();
    for one in planned {
        all.extend(simulations(std::slice::from_ref(&one.case), &versions, colour)?);
    }
    let count = all.len() * seeds.len();
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
    let threads =
        arguments.jobs.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let stop = AtomicBool::new(false);
    let measured = sim::in_parallel(count, threads, &stop, |number| {
        let measured = simulated(&all[number / seeds.len()], seeds[number % seeds.len()]);
        bar.inc(1);
        stop.fetch_or(measured.is_err(), Ordering::Relaxed);
        measured
    });
    bar.finish_and_clear();
    let measured: Vec<Measured> = measured.into_iter().flatten().collect::<Result<_, _>>()?;
    let mut measured = measured.into_iter();
    let row = |(one, simulation): (&Planned, &Simulation<'_>)| {
        let runs = measured.by_ref().take(seeds.len()).collect();
        Row::of(one.scenario.clone(), simulation.keda(), one.settings.clone(), runs)
    };
    Ok(planned.iter().zip(&all).map(row).collect())
}

fn simulated(simulation: &Simulation<'_>, seed: u64) -> Result<Measured, Failure> {
    let run = Run { seed, repetition: 1, replay: "", alignment: None, log: true };
    let ended = simulation.run(&run).map_err(|error| {
        let Failure { exit, message } = failure(&error);
        Failure { exit, message: format!("{}, seed {seed}: {message}", simulation.scenario()) }
    })?;
    let (report, times) = verifier::verify_with_times(ended.events);
    Ok(Measured::new(&report, times))
}

/// Runs everything on real KEDA, side by side.
async fn run(arguments: &LatencyArguments, planned: Vec<Planned>) -> Result<(Vec<Row>, Exit), Failure> {
    arguments.keda.iter().try_for_each(|keda| local::check_version(keda))?;
    let (mut cases, mut rows) = (Vec::new(), Vec::new());
    let several = planned.len() > 1;
    for (at, Planned { mut case, scenario, settings }) in planned.into_iter().enumerate() {
        // Each has a folder and a namespace of its own.
        if several {
            case.scenario.name = numbered(&scenario, at + 1);
        }
        rows.push((case.scenario.name.clone(), scenario, settings));
        cases.push(case);
    }
    let batch = Batch {
        cases,
        keda: arguments.keda.iter().cloned().collect(),
        repeat: repeat(arguments),
        seed: arguments.seed.0,
        speed: speed(arguments),
        parallel: arguments.parallel.unwrap_or(DEFAULT_PARALLEL),
        cluster: None,
        cache: local::cache()?,
        out: arguments.out.clone(),
        replay_options: Vec::new(),
        packages: vec![package()?],
    };
    let interrupted = interruption();
    let ended = live(&batch, &interrupted).await;
    for (keda, error) in &ended.failures {
        eprintln!("error: nothing was run on KEDA {keda}: {error}");
    }
    let broken = !ended.failures.is_empty();
    let mut by_name: BTreeMap<String, (String, Vec<(u32, Measured)>)> = BTreeMap::new();
    for run in &ended.finished {
        let seed = batch.seed.wrapping_add(u64::from(run.name.repetition) - 1);
        let measured = measured(run).unwrap_or_else(|because| Measured::failed(seed, because));
        let (keda, runs) = by_name.entry(run.name.scenario.clone()).or_default();
        keda.clone_from(&run.name.keda);
        runs.push((run.name.repetition, measured));
    }
    let row = |(name, scenario, settings): (String, String, BTreeMap<String, String>)| {
        let (keda, mut runs) = by_name.remove(&name).unwrap_or_default();
        runs.sort_by_key(|(repetition, _)| *repetition);
        Row::of(scenario, keda, settings, runs.into_iter().map(|(_, measured)| measured).collect())
    };
    let rows = rows.into_iter().map(row).collect();
    let exit = match (*interrupted.borrow(), broken) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Environment,
        (false, false) => Exit::Passed,
    };
    Ok((rows, exit))
}

/// A name for one combination of a scenario, which is a name for namespaces too.
fn numbered(scenario: &str, number: usize) -> String {
    let number = format!("-{number}");
    let room = LONGEST_NAME - number.len();
    // It has nothing but letters, digits and dashes.
    let head: String = scenario.chars().take(room).collect();
    format!("{}{number}", head.trim_end_matches('-'))
}

/// The stages of a real run; its report is written beside its log.
fn measured(run: &Finished) -> Result<Measured, String> {
    let log = run.log.as_ref().map_err(ToString::to_string)?;
    let events = read_events(log).map_err(|failure| failure.message)?;
    let (report, times) = verifier::verify_with_times(events);
    write_report(&log.with_file_name(REPORT), &report).map_err(|failure| failure.message)?;
    Ok(Measured::new(&report, times))
}

/// The command that measures the same again.
fn again(arguments: &LatencyArguments) -> String {
    let mut words = vec!["poolproof".to_owned(), "bench".to_owned(), "latency".to_owned()];
    words.extend(arguments.scenarios.iter().map(|file| file.display().to_string()));
    let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if arguments.on == Engine::Local {
        add("--on", "local".to_owned());
        add("--speed", speed(arguments).to_string());
    }
    if let Some(keda) = &arguments.keda {
        add("--keda", keda.clone());
    }
    for Sweep { setting, changes } in &arguments.sweep {
        let values: Vec<&str> = changes.iter().map(|change| change.written.as_str()).collect();
        add("--sweep", format!("{}={}", setting.name(), values.join(",")));
    }
    match arguments.seed {
        (first, last) if first != last => add("--seed", format!("{first}..{last}")),
        (seed, _) => {
            add("--seed", seed.to_string());
            add("--repeat", repeat(arguments).to_string());
        }
    }
    arguments.manifest.iter().for_each(|file| add("--manifest", file.display().to_string()));
    arguments.substitute.iter().for_each(|given| add("--substitute", given.clone()));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Writes the result and prints it.
fn report(arguments: &LatencyArguments, latency: &Latency, colour: Colour) -> Result<(), Failure> {
    // Every job's times are in it: on a line of its own each would be most of the file.
    let text = serde_json::to_string(latency).map_err(Failure::internal)? + "\n";
    let path = arguments.out.join(FILE);
    write(&path, &text)?;
    match arguments.output {
        Output::Json => print(&text),
        Output::Text => {
            let colour = has_colour(colour, std::io::stdout().is_terminal());
            print(&format!("{}result {}\n", latency.render(width(), colour), path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use runner::settings::Setting;

    use super::*;

    fn sweep(setting: Setting, values: &[&str]) -> Sweep {
        let changes = values.iter().map(|value| setting.to(value).expect("a value")).collect();
        Sweep { setting, changes }
    }

    #[test]
    fn sweeps_give_every_combination() {
        let polls = sweep(Setting::PollingInterval, &["5s", "30s"]);
        let strategies = sweep(Setting::Strategy, &["default", "accurate"]);
        let all: Vec<String> = combinations(&[&polls, &strategies])
            .iter()
            .map(|changes| changes.iter().map(|change| change.written.as_str()).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(all, ["5s default", "5s accurate", "30s default", "30s accurate"]);
        assert_eq!(combinations(&[]), [Vec::new()]);
    }

    #[test]
    fn a_numbered_name_is_still_a_name() {
        assert_eq!(numbered("latency-scaledjob", 12), "latency-scaledjob-12");
        let long = numbered(&format!("{}-b", "a".repeat(37)), 7);
        assert_eq!(long, format!("{}-7", "a".repeat(37)));
        assert!(long.len() <= LONGEST_NAME);
    }
}
