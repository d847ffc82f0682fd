//! One run of the real thing, and the twin's beside it.

use std::path::Path;

use model::Event;
use runner::case::Prepared;
use runner::sim::{Run, Simulation};
use serde::Serialize;
use twin::Alignment;
use twin::follow::{Followed, follow};
use verifier::{Difference, Likeness, Verdict};

use crate::command::{failure, read_events, write_log};
use crate::exit::Failure;

/// What came of holding one against the other.
#[derive(Debug, Serialize)]
pub(crate) struct Held {
    /// The scenario.
    pub(crate) scenario: String,
    /// KEDA's version.
    pub(crate) keda: String,
    /// How many real runs it took: the last one counts.
    pub(crate) attempts: u32,
    /// Whether the real run can be told from at all.
    pub(crate) conclusive: bool,
    /// Every decision of KEDA and the HPA in the real run, as the twin would have taken it.
    pub(crate) decisions: Followed,
    /// The steps of both by themselves.
    pub(crate) difference: Difference,
}

impl Held {
    /// Whether every decision is equal and the steps are, boundary cases aside.
    pub(crate) fn is_equal(&self) -> bool {
        !self.conclusive
            || (self.decisions.differences.is_empty()
                && !matches!(self.difference.verdict, Likeness::Different))
    }

    /// Whether another run may say more.
    pub(crate) fn is_doubtful(&self) -> bool {
        !self.conclusive || !self.decisions.differences.is_empty()
    }
}

/// Simulates what the log is of, aligned with it, and holds both against each other. The twin's log is
/// written to `folder`.
pub(crate) fn hold(case: &Prepared, keda: &str, log: &Path, folder: &Path) -> Result<Held, Failure> {
    let real = read_events(log)?;
    let conclusive = verifier::verify(real.clone()).verdict != Verdict::Inconclusive;
    let simulated = simulated(case, keda, log, &real)?;
    write_log(folder, &simulated)?;
    Ok(Held {
        scenario: case.scenario.name.clone(),
        keda: keda.to_owned(),
        attempts: 1,
        conclusive,
        decisions: follow(&real),
        difference: verifier::diff(real, simulated),
    })
}

fn simulated(case: &Prepared, keda: &str, log: &Path, real: &[Event]) -> Result<Vec<Event>, Failure> {
    let alignment = Alignment::of(real);
    let alignment = alignment.as_ref();
    let seed = real.iter().find_map(|event| match &event.fact {
        model::Fact::RunStarted(started) => Some(started.seed),
        _ => None,
    });
    let simulation = Simulation::new(case, Some(keda)).map_err(|error| failure(&error))?;
    let seed = seed.unwrap_or(1);
    let replay = format!("poolproof run {} --keda {keda} --seed {seed} --align {}", case.file, log.display());
    let run = Run { seed, repetition: 1, replay: &replay, alignment, log: true };
    Ok(simulation.run(&run).map_err(|error| failure(&error))?.events)
}
