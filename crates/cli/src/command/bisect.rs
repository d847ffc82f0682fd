//! `poolproof bisect`: the version of KEDA that broke a scenario, or mended it.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use cluster::local::{self, DEFAULT_SPEED};
use runner::batch::{Batch, DEFAULT_PARALLEL};
use runner::case::Prepared;
use runner::run::{LOG, REPORT, folder};
use runner::sim::{Run, Simulation};
use semver::Version;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use verifier::{Report, Verdict};

use super::package::package;
use super::run::{judged, live, make_folder, prepare_files};
use super::simulate::{simulations, write_report};
use super::verify::to_json;
use super::{Outcome, failure, has_colour, interruption, print, read_events, width, write_log};
use crate::arguments::{BisectArguments, Colour, Engine, Output};
use crate::bisect::change::Change;
use crate::bisect::{Search, broken};
use crate::exit::{Exit, Failure};

/// What came of the scenario on one version.
#[derive(Debug, Serialize)]
struct Trial {
    #[serde(serialize_with = "as_text")]
    keda: Version,
    /// The rules that were broken in any run.
    broken: BTreeSet<String>,
    /// The log of its first run.
    log: PathBuf,
    #[serde(skip)]
    reports: Vec<Report>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found {
    format: u32,
    scenario: String,
    /// In the order in which they were tried.
    tried: Vec<Trial>,
    /// The rules that tell good from bad.
    rules: BTreeSet<String>,
    /// Whether the version that was found mended what was broken before.
    mended: bool,
    /// The last version as before.
    #[serde(serialize_with = "as_text")]
    before: Version,
    /// The first version that is otherwise.
    #[serde(serialize_with = "as_text")]
    after: Version,
    change: Change,
}

fn as_text<S: Serializer>(version: &Version, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(version)
}

pub(crate) async fn bisect(arguments: BisectArguments, colour: Colour) -> Outcome {
    let one = [arguments.scenario.clone()];
    let cases = prepare_files(&one, colour)?;
    let [case] = cases.as_slice() else {
        return Err(Failure::usage("name one scenario: its versions are searched one after another"));
    };
    let Some(mut search) = Search::between(&arguments.good, &arguments.bad) else {
        return Err(Failure::usage("--good and --bad name the same version"));
    };
    make_folder(&arguments.out)?;
    let mut tries =
        Tries { arguments: &arguments, case, colour, interrupted: interruption(), tried: Vec::new() };
    let (good, bad) = (tries.one(&arguments.good).await?, tries.one(&arguments.bad).await?);
    let rules: BTreeSet<String> = tries.of(bad).broken.difference(&tries.of(good).broken).cloned().collect();
    if rules.is_empty() {
        return Err(not_told_apart(tries.of(good), tries.of(bad)));
    }
    let mended = arguments.good > arguments.bad;
    while let Some(version) = search.next().cloned() {
        let tried = tries.one(&version).await?;
        let is_bad = !tries.of(tried).broken.is_disjoint(&rules);
        search.tell(is_bad != mended);
    }
    let found = tries.found(&search, rules, mended)?;
    match arguments.output {
        Output::Json => print(&format!("{}\n", to_json(&found)?)),
        Output::Text => {
            print(&found.render(&arguments, width(), has_colour(colour, std::io::stdout().is_terminal())));
        }
    }
    Ok(Exit::Passed)
}

/// Nothing that the bad version breaks is whole on the good one.
fn not_told_apart(good: &Trial, bad: &Trial) -> Failure {
    let names = |trial: &Trial| match trial.broken.len() {
        0 => "nothing".to_owned(),
        _ => trial.broken.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    let hint = if good.broken.is_empty() {
        "chance may have been kind to it: `--repeat 10` tries each version more often"
    } else {
        "swap --good and --bad if you meant it the other way round"
    };
    let message = format!(
        "KEDA {} breaks {} and KEDA {} breaks {}: nothing tells them apart; {hint}",
        good.keda,
        names(good),
        bad.keda,
        names(bad)
    );
    Failure { exit: Exit::Inconclusive, message }
}

/// Versions, tried one after another.
struct Tries<'a> {
    arguments: &'a BisectArguments,
    case: &'a Prepared,
    colour: Colour,
    interrupted: watch::Receiver<bool>,
    tried: Vec<Trial>,
}

impl Tries<'_> {
    /// A trial by its place.
    fn of(&self, place: usize) -> &Trial {
        &self.tried[place]
    }

    /// Tries a version; answers the trial's place.
    async fn one(&mut self, version: &Version) -> Result<usize, Failure> {
        if std::io::stderr().is_terminal() {
            eprintln!("trying KEDA {version}");
        }
        let (reports, log) = match self.arguments.on {
            Engine::Sim => self.simulated(version)?,
            Engine::Local => self.real(version).await?,
        };
        if let Some(report) = reports.iter().find(|report| report.verdict == Verdict::Inconclusive) {
            let message =
                format!("KEDA {version} cannot be judged: {}; its log is {}", report.because, log.display());
            return Err(Failure { exit: Exit::Inconclusive, message });
        }
        self.tried.push(Trial { keda: version.clone(), broken: broken(&reports), log, reports });
        Ok(self.tried.len() - 1)
    }

    fn folder(&self, version: &Version, repetition: u32) -> PathBuf {
        let BisectArguments { out, repeat, .. } = self.arguments;
        folder(out, &self.case.scenario.name, &version.to_string(), repetition, *repeat)
    }

    fn simulated(&self, version: &Version) -> Result<(Vec<Report>, PathBuf), Failure> {
        let cases = std::slice::from_ref(self.case);
        let simulations = simulations(cases, &[version.to_string()], self.colour)?;
        let simulation: &Simulation<'_> = &simulations[0];
        let mut reports = Vec::new();
        for repetition in 1..=self.arguments.repeat {
            let seed = self.arguments.seed.wrapping_add(u64::from(repetition) - 1);
            let replay = format!("poolproof run {} --keda {version} --seed {seed}", simulation.file());
            let run = Run { seed, repetition, replay: &replay, alignment: None, log: true };
            let ended = simulation.run(&run).map_err(|error| failure(&error))?;
            let folder = self.folder(version, repetition);
            write_log(&folder, &ended.events)?;
            let report = verifier::verify(ended.events);
            write_report(&folder.join(REPORT), &report)?;
            reports.push(report);
        }
        Ok((reports, self.folder(version, 1).join(LOG)))
    }

    async fn real(&self, version: &Version) -> Result<(Vec<Report>, PathBuf), Failure> {
        let keda = version.to_string();
        local::check_version(&keda)?;
        let batch = Batch {
            cases: vec![self.case.clone()],
            keda: vec![keda],
            repeat: self.arguments.repeat,
            seed: self.arguments.seed,
            speed: self.arguments.speed.unwrap_or(DEFAULT_SPEED),
            parallel: DEFAULT_PARALLEL,
            cluster: None,
            cache: local::cache()?,
            out: self.arguments.out.clone(),
            replay_options: Vec::new(),
            packages: vec![package()?],
        };
        let ended = live(&batch, &self.interrupted).await;
        if *self.interrupted.borrow() {
            return Err(Failure {
                exit: Exit::Interrupted,
                message: format!("interrupted at KEDA {version}"),
            });
        }
        if let Some((keda, error)) = ended.failures.into_iter().next() {
            return Err(Failure::environment(format!("nothing was run on KEDA {keda}: {error}")));
        }
        let reports: Result<Vec<Report>, String> = ended.finished.iter().map(judged).collect();
        let reports = reports.map_err(|error| Failure::environment(format!("KEDA {version}: {error}")))?;
        Ok((reports, self.folder(version, 1).join(LOG)))
    }

    fn found(self, search: &Search, rules: BTreeSet<String>, mended: bool) -> Result<Found, Failure> {
        let (before, after) = search.found();
        let (before, after) = (before.clone(), after.clone());
        let trial = |version: &Version| {
            let trial = self.tried.iter().find(|trial| trial.keda == *version);
            trial.ok_or_else(|| Failure::internal(format!("KEDA {version} was not tried")))
        };
        let bad = trial(if mended { &before } else { &after })?;
        let log = |version| trial(version).and_then(|trial| read_events(&trial.log));
        let change = Change::of(&rules, &bad.reports, log(&before)?, log(&after)?);
        let scenario = self.case.scenario.name.clone();
        Ok(Found { format: 1, scenario, tried: self.tried, rules, mended, before, after, change })
    }
}

impl Found {
    fn render(&self, arguments: &BisectArguments, width: usize, colour: bool) -> String {
        let Self { scenario, before, after, mended, .. } = self;
        let on = match arguments.on {
            Engine::Sim => "simulated",
            Engine::Local => "on real KEDA",
        };
        let what = if *mended { "First good version" } else { "First bad version" };
        let mut text =
            format!("{what}: {after}\n  {scenario}, {on}; the one before it is {before}\n\nTried\n");
        for Trial { keda, broken, log, .. } in &self.tried {
            let told = broken.iter().filter(|rule| self.rules.contains(*rule)).cloned().collect::<Vec<_>>();
            let told = if told.is_empty() { "good".to_owned() } else { format!("bad: {}", told.join(", ")) };
            text.push_str(&format!("  {:<8}{told}\n          {}\n", keda.to_string(), shown(log)));
        }
        let bad = if *mended { before } else { after }.to_string();
        let sides = [before.to_string(), after.to_string()];
        text + &self.change.render([&sides[0], &sides[1]], &bad, width, colour)
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
