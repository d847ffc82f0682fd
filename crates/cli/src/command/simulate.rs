//! `poolproof run --on sim`: scenarios in virtual time, judged.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cluster::local;
use indicatif::ProgressBar;
use model::{Event, Fact};
use runner::case::Prepared;
use runner::run::{LOG, REPORT, folder};
use runner::sim::{self, Run, Simulation};
use serde::Serialize as _;
use twin::{Alignment, TwinError};
use verifier::Report;
use verifier::series::Series;

use super::run::{make_folder, no_two_alike, prepare, print_groups, replay_options, worst};
use super::verify::{read_events, to_json};
use super::{Outcome, has_colour, print};
use crate::aggregate;
use crate::arguments::{Colour, Output, RunArguments};
use crate::exit::{Exit, Failure};
use crate::problems;

/// More runs than this write no logs: a sweep is read as a table, and any seed is repeated in milliseconds.
const MOST_LOGS: u64 = 20;

/// How often a real cluster repeats what was swept here.
const REPETITIONS: u32 = 10;

pub(crate) fn simulate(arguments: &RunArguments, colour: Colour) -> Outcome {
    refuse_what_is_for_real_clusters(arguments)?;
    let cases = prepare(arguments, colour)?;
    no_two_alike(&cases, &arguments.keda)?;
    let alignment = arguments.align.as_deref().map(|log| aligned_with(log, &cases)).transpose()?;
    let simulations = simulations(&cases, &arguments.keda, colour)?;
    let seeds: Vec<u64> = arguments.seeds().collect();
    let logs = seeds.len() as u64 <= MOST_LOGS;
    if logs {
        make_folder(&arguments.out)?;
    }
    let sweep =
        Sweep { arguments, simulations: &simulations, seeds: &seeds, alignment: alignment.as_ref(), logs };
    let reports = sweep.run()?;
    let groups = aggregate::group(reports);
    if !logs {
        make_folder(&arguments.out)?;
    }
    for group in &groups {
        group.write(&arguments.out).map_err(Failure::environment)?;
    }
    print_groups(&groups, &[], arguments.output, colour)?;
    if arguments.output == Output::Text
        && let Some(proof) = proof(arguments, &simulations, &seeds)
    {
        print(&proof);
    }
    Ok(worst(&groups))
}

/// What of a real log the runs take over: it has to be of the same scenario, and to have come under load.
fn aligned_with(log: &Path, cases: &[Prepared]) -> Result<Alignment, Failure> {
    let events = read_events(log)?;
    let wrong = |because: &str| Failure::usage(format!("--align {}: {because}", log.display()));
    let scenario = events.iter().find_map(|event| match &event.fact {
        Fact::RunStarted(started) => Some(started.scenario.name.as_str()),
        _ => None,
    });
    match scenario {
        None => Err(wrong("this is no log of a run")),
        Some(name) if cases.iter().any(|case| case.scenario.name != name) => {
            Err(wrong(&format!("this is a log of the scenario `{name}`")))
        }
        Some(_) => Alignment::of(&events).ok_or_else(|| wrong("the run never came to its load")),
    }
}

/// What shows that the simulation is right: the same on the real programs, where these can be started.
fn proof(arguments: &RunArguments, simulations: &[Simulation<'_>], seeds: &[u64]) -> Option<String> {
    let mut versions: Vec<String> = simulations.iter().map(Simulation::keda).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.iter().any(|version| local::check_version(version).is_err()) {
        return None;
    }
    let mut words = vec!["poolproof".to_owned(), "run".to_owned()];
    words.extend(arguments.scenarios.iter().map(|file| file.display().to_string()));
    words.extend(["--on".to_owned(), "local".to_owned()]);
    if !arguments.keda.is_empty() {
        words.extend(["--keda".to_owned(), versions.join(",")]);
    }
    match seeds {
        [1] => {}
        [seed] => words.extend(["--seed".to_owned(), seed.to_string()]),
        // In a real cluster chance is no seed's: repetitions show what a sweep shows.
        _ => words.extend(["--repeat".to_owned(), REPETITIONS.to_string()]),
    }
    words.extend(replay_options(arguments));
    let command = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    Some(format!(
        "Simulated. Proven on real KEDA and a real control plane, which takes Go and some minutes:\n  {command}\n"
    ))
}

fn refuse_what_is_for_real_clusters(arguments: &RunArguments) -> Result<(), Failure> {
    if arguments.repeat > 1 && arguments.seed.0 != arguments.seed.1 {
        return Err(Failure::usage("--repeat is for one seed: a range has its repetitions"));
    }
    let given = [
        ("--speed", arguments.speed.is_some()),
        ("--cluster", arguments.cluster.is_some()),
        ("--parallel", arguments.parallel.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::usage(format!("{flag} is for real clusters: add `--on local`"))),
        None => Ok(()),
    }
}

/// Each scenario on each version; everything that the twin does not model is told at once.
pub(crate) fn simulations<'c>(
    cases: &'c [Prepared],
    versions: &[String],
    colour: Colour,
) -> Result<Vec<Simulation<'c>>, Failure> {
    let (mut simulations, mut mistakes) = (Vec::new(), Vec::new());
    let versions: Vec<Option<&str>> =
        if versions.is_empty() { vec![None] } else { versions.iter().map(|v| Some(v.as_str())).collect() };
    for case in cases {
        for keda in &versions {
            match Simulation::new(case, *keda) {
                Ok(simulation) => simulations.push(simulation),
                Err(TwinError::NotModelled(problems)) => {
                    mistakes.extend(problems);
                    break;
                }
                Err(error) => return Err(Failure::usage(error)),
            }
        }
    }
    if mistakes.is_empty() {
        return Ok(simulations);
    }
    eprint!("{}", problems::render(&mistakes, has_colour(colour, std::io::stderr().is_terminal())));
    Err(Failure::usage("the twin does not model everything in the manifests"))
}

struct Sweep<'s> {
    arguments: &'s RunArguments,
    simulations: &'s [Simulation<'s>],
    seeds: &'s [u64],
    alignment: Option<&'s Alignment>,
    logs: bool,
}

impl Sweep<'_> {
    /// Every run; the reports in the order of scenarios, versions and seeds, whoever made them. The first
    /// that fails ends it.
    fn run(&self) -> Result<Vec<Report>, Failure> {
        let count = self.simulations.len() * self.seeds.len();
        let threads = self.arguments.jobs.or_else(|| thread::available_parallelism().ok());
        let threads = threads.unwrap_or(NonZeroUsize::MIN);
        let bar = if count > 1 && std::io::stderr().is_terminal() {
            ProgressBar::new(count as u64)
        } else {
            ProgressBar::hidden()
        };
        let stop = AtomicBool::new(false);
        let reports = sim::in_parallel(count, threads, &stop, |number| {
            let simulation = &self.simulations[number / self.seeds.len()];
            let report = self.one(simulation, number % self.seeds.len());
            bar.inc(1);
            stop.fetch_or(report.is_err(), Ordering::Relaxed);
            report
        });
        bar.finish_and_clear();
        reports.into_iter().flatten().collect()
    }

    fn one(&self, simulation: &Simulation<'_>, at: usize) -> Result<Report, Failure> {
        let seed = self.seeds[at];
        let repetition = u32::try_from(at + 1).unwrap_or(u32::MAX);
        let replay = self.replay(simulation, seed);
        let run = Run { seed, repetition, replay: &replay, alignment: self.alignment, log: true };
        let ended = simulation.run(&run).map_err(|error| {
            let Failure { exit, message } = failure(&error);
            let (scenario, keda) = (simulation.scenario(), simulation.keda());
            Failure { exit, message: format!("{scenario} on KEDA {keda}, seed {seed}: {message}") }
        })?;
        if self.logs {
            let folder = folder(
                &self.arguments.out,
                simulation.scenario(),
                &simulation.keda(),
                repetition,
                u32::try_from(self.seeds.len()).unwrap_or(u32::MAX),
            );
            write_log(&folder, &ended.events)?;
            let report = verifier::verify(ended.events);
            write_report(&folder.join(REPORT), &report)?;
            return Ok(report);
        }
        let mut report = verifier::verify(ended.events);
        // Of thousands of runs nobody sees the curves.
        report.series = Series::default();
        Ok(report)
    }

    fn replay(&self, simulation: &Simulation<'_>, seed: u64) -> String {
        let file = simulation.file();
        let mut words = vec!["poolproof".to_owned(), "run".to_owned(), file.to_owned()];
        words.extend(["--keda".to_owned(), simulation.keda(), "--seed".to_owned(), seed.to_string()]);
        words.extend(replay_options(self.arguments));
        if let Some(log) = &self.arguments.align {
            words.extend(["--align".to_owned(), log.display().to_string()]);
        }
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// What cannot be simulated is the scenario's fault, but for a run that never comes to its end.
pub(crate) fn failure(error: &TwinError) -> Failure {
    match error {
        TwinError::TooMuch { .. } => Failure { exit: Exit::Inconclusive, message: error.to_string() },
        _ => Failure::usage(error),
    }
}

/// A word as a shell reads it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A log as it is written: one event a line.
pub(crate) fn write_log(folder: &Path, events: &[Event]) -> Result<(), Failure> {
    make_folder(folder)?;
    // An earlier run's report is none of this log's.
    let _ = std::fs::remove_file(folder.join(REPORT));
    let mut text = Vec::with_capacity(events.len() * 128);
    for event in events {
        let mut line = serde_json::Serializer::new(&mut text);
        event
            .serialize(&mut line)
            .map_err(|error| Failure { exit: Exit::Internal, message: error.to_string() })?;
        text.push(b'\n');
    }
    write(&folder.join(LOG), &text)
}

/// A report beside its log.
pub(super) fn write_report(path: &Path, report: &Report) -> Result<(), Failure> {
    write(path, (to_json(report)? + "\n").as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))
}
