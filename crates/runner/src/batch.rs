//! Many runs: scenarios by KEDA versions by repetitions. Each version gets one
//! control plane, on which the runs live side by side, each in a namespace with
//! nodes and an organisation of its own. A run that restarts the programs of its
//! control plane has one to itself.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use cluster::local::{DEFAULT_KEDA, LocalError, Progress};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::Millis;
use model::fault::Fault;
use server::{Options, Server};
use tokio::sync::watch;

use crate::case::Prepared;
use crate::engine::Engine;
use crate::faults::needs_a_cluster_of_its_own;
use crate::run::{RunError, RunRequest, Stop, folder, run};
use crate::state::State;

/// How many runs live side by side, unless asked otherwise. Thirty were measured to keep time at speed 20.
pub const DEFAULT_PARALLEL: usize = 10;

/// How much later than the one before a run begins, in scenario time. Runs that begin at the same moment
/// would have all their control loops in step, and wait for each other in the clients of KEDA.
const STAGGER: Millis = Millis::seconds(7);

/// What to run.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The scenarios.
    pub cases: Vec<Prepared>,
    /// KEDA's versions; if there are none, each scenario's own.
    pub keda: Vec<String>,
    /// How often each is run.
    pub repeat: u32,
    /// The seed of the first repetition; each further one has the next.
    pub seed: u64,
    /// How many times faster than real.
    pub speed: u32,
    /// How many runs live side by side.
    pub parallel: usize,
    /// A cluster that is there already.
    pub cluster: Option<String>,
    /// Where built programs are kept.
    pub cache: PathBuf,
    /// Where logs go.
    pub out: PathBuf,
    /// Options of the command line that a repetition needs too, such as `--manifest FILE`.
    pub replay_options: Vec<String>,
    /// The package that start scripts download.
    pub packages: Vec<server::Package>,
}

/// A scenario, and which repetition of it.
type Planned<'a> = (&'a Prepared, u32);

/// One run of a batch, as it is told to whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// The scenario.
    pub scenario: String,
    /// KEDA's version.
    pub keda: String,
    /// Which repetition, from 1.
    pub repetition: u32,
}

/// How a run of a batch ended.
#[derive(Debug)]
pub struct Finished {
    /// Which run.
    pub name: RunName,
    /// Where its log is, or why there is none.
    pub log: Result<PathBuf, RunError>,
}

/// How a batch ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// The runs that began.
    pub finished: Vec<Finished>,
    /// The KEDA versions on which nothing could be run, and why.
    pub failures: Vec<(String, LocalError)>,
}

/// Told of the runs of a batch.
pub trait Observer: Sync {
    /// A run began; its state changes until it ends.
    fn began(&self, name: &RunName, state: watch::Receiver<State>);
    /// A run ended.
    fn ended(&self, name: &RunName);
}

impl Batch {
    /// How many runs it is.
    #[must_use]
    pub fn runs(&self) -> usize {
        let versions = self.keda.len().max(1);
        self.cases.len() * versions * usize::try_from(self.repeat).unwrap_or(usize::MAX)
    }

    /// Checks that nobody's cluster would be disturbed.
    ///
    /// # Errors
    /// [`LocalError::Shared`] if a scenario restarts programs of a cluster that somebody named.
    pub fn check(&self) -> Result<(), LocalError> {
        let disturbs = self.cases.iter().any(|case| needs_a_cluster_of_its_own(&case.scenario));
        match &self.cluster {
            Some(name) if disturbs => Err(LocalError::Shared(name.clone())),
            _ => Ok(()),
        }
    }

    /// What shares a control plane: all runs of a version, but for those that restart its programs.
    fn groups<'a>(&self, cases: &[&'a Prepared]) -> Vec<Vec<Planned<'a>>> {
        let of = |case: &'a Prepared| (1..=self.repeat).map(move |repetition| (case, repetition));
        let (alone, shared): (Vec<&Prepared>, Vec<&Prepared>) =
            cases.iter().partition(|case| needs_a_cluster_of_its_own(&case.scenario));
        let together: Vec<Planned<'_>> = shared.into_iter().flat_map(of).collect();
        let alone = alone.into_iter().flat_map(of).map(|planned| vec![planned]);
        [together].into_iter().filter(|together| !together.is_empty()).chain(alone).collect()
    }

    /// The versions in their order, each with the scenarios that run on it.
    fn by_version(&self) -> Vec<(String, Vec<&Prepared>)> {
        if !self.keda.is_empty() {
            return self.keda.iter().map(|keda| (keda.clone(), self.cases.iter().collect())).collect();
        }
        let mut versions: Vec<(String, Vec<&Prepared>)> = Vec::new();
        for case in &self.cases {
            let keda = case.scenario.cluster.keda.as_deref().unwrap_or(DEFAULT_KEDA);
            match versions.iter_mut().find(|(version, _)| version == keda) {
                Some((_, cases)) => cases.push(case),
                None => versions.push((keda.to_owned(), vec![case])),
            }
        }
        versions
    }

    /// Runs everything, as far as control planes start.
    pub async fn run(
        &self,
        progress: &Progress<'_>,
        observer: &dyn Observer,
        interrupted: &watch::Receiver<bool>,
    ) -> Ended {
        let mut ended = Ended::default();
        for (keda, cases) in self.by_version() {
            for group in self.groups(&cases) {
                if *interrupted.borrow() {
                    return ended;
                }
                let engine = tokio::select! {
                    engine = self.engine(&keda, &group, progress) => engine,
                    () = is_true(interrupted.clone()) => return ended,
                };
                let runs = match engine {
                    Ok(engine) => self.on(engine, &group, observer, interrupted).await,
                    Err(error) => Err(error),
                };
                match runs {
                    Ok(finished) => ended.finished.extend(finished),
                    Err(error) => ended.failures.push((keda.clone(), error)),
                }
            }
        }
        ended
    }

    async fn engine(
        &self,
        keda: &str,
        group: &[Planned<'_>],
        progress: &Progress<'_>,
    ) -> Result<Engine, LocalError> {
        match &self.cluster {
            Some(name) => {
                self.check()?;
                Engine::join(&self.cache, name).await
            }
            None => {
                let name = format!("run-{}-{keda}", std::process::id()).replace('.', "-");
                let faults = group.iter().flat_map(|(case, _)| &case.scenario.faults);
                let upgrades: BTreeSet<String> = faults
                    .filter_map(|fault| match fault {
                        Fault::KedaUpgrade(upgrade) => Some(upgrade.version.clone()),
                        _ => None,
                    })
                    .collect();
                Engine::own(&self.cache, &name, keda, &upgrades, self.speed, progress).await
            }
        }
    }

    /// Runs the scenarios on an engine, and ends it.
    async fn on(
        &self,
        engine: Engine,
        group: &[Planned<'_>],
        observer: &dyn Observer,
        interrupted: &watch::Receiver<bool>,
    ) -> Result<Vec<Finished>, LocalError> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options { listen, clock: engine.clock(), packages: self.packages.clone() };
        let server = Server::start(options).await.map_err(LocalError::NoPort)?;
        let (stop, stopped) = watch::channel(Stop::GoOn);
        let watch_over = async {
            tokio::select! {
                because = engine.await_failure() => stop.send_replace(Stop::Broken(because)),
                () = is_true(interrupted.clone()) => stop.send_replace(Stop::Interrupt),
            };
            std::future::pending::<()>().await;
        };
        let runs = self.side_by_side(&engine, &server, group, observer, stopped);
        let finished = tokio::select! {
            finished = runs => finished,
            () = watch_over => unreachable!("it waits for ever"),
        };
        server.stop().await;
        engine.end().await;
        Ok(finished)
    }

    async fn side_by_side(
        &self,
        engine: &Engine,
        server: &Server,
        group: &[Planned<'_>],
        observer: &dyn Observer,
        stop: watch::Receiver<Stop>,
    ) -> Vec<Finished> {
        let mut waiting = group.iter().copied();
        let mut living = FuturesUnordered::new();
        let mut finished = Vec::new();
        let mut number = 0;
        loop {
            while living.len() < self.parallel.max(1) && *stop.borrow() == Stop::GoOn {
                let Some((case, repetition)) = waiting.next() else { break };
                // Only the first wave: those that come later take the place of one that has ended.
                let wait = if number < self.parallel { STAGGER.0 * number as u64 } else { 0 };
                number += 1;
                let request = self.request(case, repetition, number, engine);
                let clock = engine.clock();
                let begins = clock.now() + Millis(wait);
                let stop = stop.clone();
                living.push(Box::pin(async move {
                    tokio::select! {
                        () = clock.sleep_until(begins) => {}
                        () = is_over(stop.clone()) => return None,
                    }
                    Some(one(request, engine, server, observer, stop).await)
                }));
            }
            match living.next().await {
                Some(run) => finished.extend(run),
                None => return finished,
            }
        }
    }

    fn request(&self, case: &Prepared, repetition: u32, number: usize, engine: &Engine) -> RunRequest {
        let scenario = &case.scenario.name;
        let seed = self.seed.wrapping_add(u64::from(repetition) - 1);
        let mut replay = format!(
            "poolproof run {} --on local --keda {} --speed {} --seed {seed}",
            quoted(&case.file),
            engine.keda(),
            engine.clock().speed()
        );
        for option in &self.replay_options {
            replay.push(' ');
            replay.push_str(&quoted(option));
        }
        RunRequest {
            case: case.clone(),
            id: format!("{scenario}-{}-{number}", std::process::id()),
            repetition,
            seed,
            replay,
            folder: folder(Path::new(&self.out), scenario, engine.keda(), repetition, self.repeat),
        }
    }
}

async fn one(
    request: RunRequest,
    engine: &Engine,
    server: &Server,
    observer: &dyn Observer,
    stop: watch::Receiver<Stop>,
) -> Finished {
    let name = RunName {
        scenario: request.case.scenario.name.clone(),
        keda: engine.keda().to_owned(),
        repetition: request.repetition,
    };
    let log = run(&request, engine, server, |state| observer.began(&name, state), stop).await;
    observer.ended(&name);
    Finished { name, log }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Waits until runs are to end early; for ever if nobody can say so any more.
async fn is_over(mut stop: watch::Receiver<Stop>) {
    if stop.wait_for(|stop| *stop != Stop::GoOn).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until the flag is true; for ever if nobody can turn it any more.
async fn is_true(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|&flag| flag).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_word_is_quoted_when_a_shell_would_split_it() {
        assert_eq!(quoted("scenarios/article.yaml"), "scenarios/article.yaml");
        assert_eq!(quoted("my file"), "'my file'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
