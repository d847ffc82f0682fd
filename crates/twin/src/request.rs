//! What the twin is asked, and what it answers.

use azure_devops::Definition;
use model::event::{Outcome, RunStarted, ScaleTarget};
use model::manifest::Document;
use model::{Event, Millis, Problem, Scenario};
use semver::Version;

use crate::alignment::Alignment;

/// A scenario that is to be simulated, with everything that was drawn and filled in.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// Its manifests, filled in.
    pub documents: &'a [Document],
    /// The organisation's address, as it was filled in.
    pub organization_url: &'a str,
    /// The token that opens it.
    pub token: &'a str,
    /// The pipelines.
    pub definitions: &'a [Definition],
    /// The builds in the order of their moments: when, from the moment that everything is in place,
    /// and which definition by its place in the list.
    pub builds: &'a [(Millis, usize)],
    /// Where every random choice comes from.
    pub seed: u64,
    /// KEDA's version.
    pub keda: &'a Version,
    /// Kubernetes' version.
    pub kubernetes: &'a Version,
    /// What is to be as it was in a log.
    pub alignment: Option<&'a Alignment>,
    /// The first two facts of the log; none if no log is wanted.
    pub log: Option<(&'a RunStarted, &'a ScaleTarget)>,
    /// How much may happen.
    pub limits: Limits,
}

/// How much may happen in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most events of the queue.
    pub events: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: MOST_EVENTS }
    }
}

/// The most events of a run, unless asked otherwise: some hundred times those of a week with 100,000 jobs.
pub const MOST_EVENTS: u64 = 2_000_000_000;

/// A simulated run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The log, if one was wanted.
    pub events: Vec<Event>,
    /// How the run came to its end.
    pub outcome: Outcome,
    /// What happened in it, counted.
    pub statistics: Statistics,
}

/// What happened in a run, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Events of the queue.
    pub events: u64,
    /// Calls of agents to the service.
    pub calls: u64,
    /// Steps of the controllers, the scheduler and the garbage collector.
    pub steps: u64,
    /// How long the run was.
    pub length: Millis,
    /// Jobs that were queued.
    pub jobs: u64,
    /// Jobs that ended.
    pub finished: u64,
    /// The most replicas, or unfinished Kubernetes Jobs, at any time.
    pub peak: u32,
}

/// Why a scenario is not simulated.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// The manifests hold what the twin does not model.
    #[error("the twin does not model everything in the manifests")]
    NotModelled(Vec<Problem>),
    /// KEDA of that version is not modelled.
    #[error("{0}")]
    Version(String),
    /// The manifests' values do not make sense together.
    #[error("{0}")]
    Manifest(String),
    /// Too much happened.
    #[error("more than {events} events happened by {at}: the run was given up")]
    TooMuch {
        /// How many may.
        events: u64,
        /// When that was.
        at: Millis,
    },
}
