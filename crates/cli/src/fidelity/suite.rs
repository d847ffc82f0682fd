//! Which scenarios are held against each other: those that somebody wrote, and random ones.

use std::path::{Path, PathBuf};

use runner::case::{self, CaseError, Overrides, Prepared};
use twin::generate::{Limits, MANIFEST, Recipe};

use crate::exit::Failure;

/// A scenario of the suite.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) case: Prepared,
    /// What it was drawn from, if it is a random one.
    pub(crate) recipe: Option<Recipe>,
}

/// The scenarios that somebody wrote.
pub(crate) fn library(cases: Vec<Prepared>) -> impl Iterator<Item = Entry> {
    cases.into_iter().map(|case| Entry { case, recipe: None })
}

/// `count` random ones from `seed` on, written below `folder`.
pub(crate) fn random(folder: &Path, seed: u64, count: u64) -> Result<Vec<Entry>, Failure> {
    (0..count)
        .map(|more| {
            let recipe = Recipe::draw(seed.wrapping_add(more), Limits::REAL);
            let case = write_recipe(&folder.join(format!("random-{}", recipe.seed)), &recipe)?;
            Ok(Entry { case, recipe: Some(recipe) })
        })
        .collect()
}

/// Writes a recipe as files and reads it like any other scenario.
pub(crate) fn write_recipe(folder: &Path, recipe: &Recipe) -> Result<Prepared, Failure> {
    let failed =
        |path: &Path, error| Failure::environment(format!("cannot write {}: {error}", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let written = recipe.written();
    let scenario: PathBuf = folder.join("scenario.yaml");
    for (path, text) in [(&scenario, &written.scenario), (&folder.join(MANIFEST), &written.manifest)] {
        std::fs::write(path, text).map_err(|error| failed(path, error))?;
    }
    case::prepare(&scenario, &Overrides::default()).map_err(|error| match error {
        CaseError::Mistakes { problems } => {
            Failure::internal(format!("{}: {}", scenario.display(), problems[0]))
        }
        other => Failure::environment(other),
    })
}
