//! The engine `sim`: a prepared scenario in virtual time. It needs nothing but
//! this process, and the same seed gives the same log.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cluster::local::{DEFAULT_KEDA, KUBERNETES};
use model::event::RunStarted;
use model::{Millis, Problem};
use semver::Version;
use twin::{Alignment, Ended, Limits, Request, TwinError};

use crate::case::Prepared;
use crate::filled::{Filled, fill_in};
use crate::plan::{self, Plan};

/// The engine's name in a log.
pub const ENGINE: &str = "sim";
/// The organisation's address in the twin. Nothing is ever sent there: `.invalid` has no addresses (RFC 2606).
const ORGANIZATION_URL: &str = "https://azure-devops.invalid/poolproof";
/// The token in the twin. It opens nothing anywhere else.
const TOKEN: &str = "the-token-of-the-twin-opens-nothing-but-the-twin-0000";

/// A scenario on one KEDA version, ready to be simulated under any seed.
#[derive(Debug)]
pub struct Simulation<'c> {
    case: &'c Prepared,
    filled: Vec<Filled>,
    documents: Vec<model::manifest::Document>,
    keda: Version,
    kubernetes: Version,
}

/// One run of it.
#[derive(Debug, Clone, Copy)]
pub struct Run<'r> {
    /// The seed.
    pub seed: u64,
    /// Which repetition it is, from 1.
    pub repetition: u32,
    /// The command that repeats it.
    pub replay: &'r str,
    /// What is to be as it was in a real log.
    pub alignment: Option<&'r Alignment>,
    /// Whether a log is wanted.
    pub log: bool,
}

impl<'c> Simulation<'c> {
    /// The scenario on this KEDA version, or on its own.
    ///
    /// # Errors
    /// What of it the twin does not model.
    pub fn new(case: &'c Prepared, keda: Option<&str>) -> Result<Self, TwinError> {
        let problems: Vec<Problem> = case
            .manifests
            .iter()
            .flat_map(|(_, documents)| twin::manifests::not_modelled(documents))
            .collect();
        if !problems.is_empty() {
            return Err(TwinError::NotModelled(problems));
        }
        let keda = keda.or(case.scenario.cluster.keda.as_deref()).unwrap_or(DEFAULT_KEDA);
        let keda = Version::parse(keda).map_err(|error| TwinError::Version(format!("{keda}: {error}")))?;
        let filled = fill_in(case, ORGANIZATION_URL, TOKEN);
        let documents = filled.iter().flat_map(|filled| filled.documents.clone()).collect();
        let kubernetes = Version::parse(KUBERNETES).expect("a version is a version");
        Ok(Self { case, filled, documents, keda, kubernetes })
    }

    /// The scenario's name.
    #[must_use]
    pub fn scenario(&self) -> &str {
        &self.case.scenario.name
    }

    /// The scenario's file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.case.file
    }

    /// KEDA's version.
    #[must_use]
    pub fn keda(&self) -> String {
        self.keda.to_string()
    }

    /// Simulates one run.
    ///
    /// # Errors
    /// [`TwinError`].
    pub fn run(&self, run: &Run<'_>) -> Result<Ended, TwinError> {
        let scenario = &self.case.scenario;
        let Plan { definitions, builds } = plan::plan(scenario, run.seed);
        let places: BTreeMap<&str, usize> =
            definitions.iter().enumerate().map(|(at, definition)| (definition.name.as_str(), at)).collect();
        let builds: Vec<(Millis, usize)> =
            builds.iter().map(|build| (build.at, places[build.definition.as_str()])).collect();
        let started = self.started(run);
        let target = self.case.targets.scale_target(&self.keda.to_string(), KUBERNETES);
        twin::run(&Request {
            scenario,
            documents: &self.documents,
            organization_url: ORGANIZATION_URL,
            token: TOKEN,
            definitions: &definitions,
            builds: &builds,
            seed: run.seed,
            keda: &self.keda,
            kubernetes: &self.kubernetes,
            alignment: run.alignment,
            log: run.log.then_some((&started, &target)),
            limits: Limits::default(),
        })
    }

    fn started(&self, run: &Run<'_>) -> RunStarted {
        let version = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        RunStarted {
            engine: ENGINE.to_owned(),
            speed: 0,
            seed: run.seed,
            repetition: run.repetition,
            versions: BTreeMap::from([
                version("poolproof", env!("CARGO_PKG_VERSION")),
                version("keda", &self.keda.to_string()),
                version("kubernetes", KUBERNETES),
            ]),
            replay: run.replay.to_owned(),
            namespace: format!("poolproof-{}", self.case.scenario.name),
            manifests: self.filled.iter().map(|filled| filled.applied.clone()).collect(),
            scenario: self.case.scenario.clone(),
        }
    }
}

/// Does `work` for every number below `count`, on `threads` threads; the answers in the order of the
/// numbers, whoever computed them. `stop` ends it early: then some are missing.
pub fn in_parallel<T: Send>(
    count: usize,
    threads: NonZeroUsize,
    stop: &AtomicBool,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<T>>> = Mutex::new((0..count).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(count) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let answer = work(number);
                    if let Ok(mut answers) = answers.lock() {
                        answers[number] = Some(answer);
                    }
                }
            });
        }
    });
    answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_whoever_computed_them() {
        for threads in 1..5 {
            let threads = NonZeroUsize::new(threads).expect("not zero");
            let answers = in_parallel(100, threads, &AtomicBool::new(false), |number| number * number);
            let expected: Vec<_> = (0..100).map(|number| Some(number * number)).collect();
            assert_eq!(answers, expected);
        }
    }

    #[test]
    fn what_is_stopped_says_what_is_missing() {
        let stop = AtomicBool::new(false);
        let one = NonZeroUsize::new(1).expect("not zero");
        let answers = in_parallel(100, one, &stop, |number| stop.store(number == 3, Ordering::Relaxed));
        assert_eq!(answers.iter().flatten().count(), 4);
    }
}
