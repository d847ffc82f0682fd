//! Random scenarios, run and checked: shared by the test of the invariants and the long run of them.

pub(crate) mod case;
mod invariants;
mod jobs;
mod pods;
mod scale;

use model::Scenario;
use model::stream::{below, stream};
use semver::Version;
use twin::generate::{self, Recipe};
use twin::{Ended, Limits};

use case::Case;

/// Far more events than a random scenario has: one that reaches this goes round in circles.
const MOST_EVENTS: u64 = 2_000_000;
/// One scenario of so many is as long as those that are held against the real thing.
const LONG_ONE_OF: u64 = 4;
/// A version for each set of rules that is modelled, and some that have those of an earlier one.
const KEDA: [&str; 21] = [
    "2.9.0", "2.9.3", "2.10.0", "2.10.1", "2.11.2", "2.12.0", "2.12.1", "2.13.1", "2.14.0", "2.14.1",
    "2.15.1", "2.16.1", "2.17.3", "2.18.0", "2.18.1", "2.18.3", "2.19.0", "2.20.0", "2.20.2", "2.21.0",
    "2.21.1",
];

/// A random scenario on a random version of KEDA.
pub(crate) struct Trial {
    pub(crate) recipe: Recipe,
    case: Case,
}

impl Trial {
    /// The trial of this seed.
    pub(crate) fn draw(seed: u64) -> Result<Self, String> {
        let mut dice = stream(seed, "trial");
        let limits =
            if below(&mut dice, LONG_ONE_OF) == 0 { generate::Limits::REAL } else { generate::Limits::SHORT };
        let keda = KEDA[usize::try_from(below(&mut dice, KEDA.len() as u64)).map_err(case::debug)?];
        let keda = Version::parse(keda).map_err(case::debug)?;
        let recipe = Recipe::draw(seed, limits);
        let written = recipe.written();
        Ok(Self { case: Case::read(&written.scenario, &written.manifest, keda)?, recipe })
    }

    pub(crate) fn scenario(&self) -> &Scenario {
        &self.case.scenario
    }

    /// Simulates it.
    pub(crate) fn run(&self, log: bool) -> Result<Ended, String> {
        self.case.run(self.recipe.seed, log, Limits { events: MOST_EVENTS })
    }

    /// Its version of KEDA and its files, to be read.
    pub(crate) fn text(&self) -> String {
        let written = self.recipe.written();
        format!("# KEDA {}\n{}---\n{}", self.case.keda, written.scenario, written.manifest)
    }

    /// Simulates it with a log and without, and says what of it cannot be.
    pub(crate) fn check(&self) -> Result<(), String> {
        let told = self.run(true)?;
        let silent = self.run(false)?;
        if (told.outcome, told.statistics) != (silent.outcome, silent.statistics) {
            return Err(format!(
                "the log changes the run: {:?} {:?} with it, {:?} {:?} without",
                told.outcome, told.statistics, silent.outcome, silent.statistics
            ));
        }
        invariants::check(self, &told).map_err(|broken| format!("{broken}\n{}", self.text()))
    }
}
