//! What there is to run: a scenario with its manifests, read and checked before
//! anything is started.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use model::manifest::{self, Document, Targets};
use model::problem::Problem;
use model::scenario::Substitute;
use model::{Scenario, load};

use crate::settings::{self, Change};

/// The largest file that is read: a megabyte is a large manifest already.
const LARGEST_FILE: u64 = 4 << 20;

/// A scenario whose files were read and found good.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The scenario's file, as it was named.
    pub file: String,
    /// The scenario.
    pub scenario: Scenario,
    /// Its manifests, as they stand in the files.
    pub manifests: Vec<(String, Vec<Document>)>,
    /// What KEDA scales in them.
    pub targets: Targets,
}

/// What takes the place of what a scenario says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Manifests instead of the scenario's.
    pub manifests: Vec<PathBuf>,
    /// Substitutions instead of the scenario's.
    pub substitute: BTreeMap<String, Substitute>,
}

/// Why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Files hold mistakes.
    #[error("{} in the scenario's files", counted(problems.len()))]
    Mistakes {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The manifests are good as they are, and not with these settings.
    #[error("{file} does not go with {settings}: {because}")]
    Settings {
        /// The scenario.
        file: String,
        /// The settings.
        settings: String,
        /// Why not.
        because: String,
    },
}

/// Reads a scenario and its manifests and checks that they fit each other.
///
/// # Errors
/// [`CaseError::Mistakes`] with every mistake of every file; [`CaseError::Unreadable`] for a file
/// that is not there.
pub fn prepare(path: &Path, overrides: &Overrides) -> Result<Prepared, CaseError> {
    prepare_changed(path, overrides, &[])
}

/// The same with other settings than the manifests have.
///
/// # Errors
/// As [`prepare`], and [`CaseError::Settings`] if they do not fit.
pub fn prepare_changed(
    path: &Path,
    overrides: &Overrides,
    changes: &[Change],
) -> Result<Prepared, CaseError> {
    let file = path.display().to_string();
    let bytes = read(path)?;
    let text = load::text(&file, &bytes).map_err(one)?;
    let mut loaded = load::scenario_with_places(&file, text).map_err(mistakes)?;
    let scenario = &mut loaded.scenario;
    let mut paths: Vec<PathBuf> = overrides.manifests.clone();
    if paths.is_empty() {
        let folder = path.parent().unwrap_or(Path::new("."));
        paths = scenario.manifests.iter().map(|manifest| folder.join(manifest)).collect();
    } else {
        scenario.manifests = paths.iter().map(|path| path.display().to_string()).collect();
        // What another manifest left open is not open in this one.
        scenario.substitute.clear();
    }
    scenario.substitute.extend(overrides.substitute.clone());
    let mut manifests = read_manifests(&paths)?;
    let check = |manifests: &[(String, Vec<Document>)]| {
        let documents: Vec<Document> = manifests.iter().flat_map(|(_, all)| all.clone()).collect();
        manifest::check(scenario, &loaded.places, &documents)
    };
    let mut targets = check(&manifests).map_err(mistakes)?;
    if !changes.is_empty() {
        targets = settings::apply(&mut manifests, changes)
            .and_then(|()| check(&manifests).map_err(|problems| in_words(&problems)))
            .map_err(|because| CaseError::Settings {
                file: file.clone(),
                settings: settings::in_words(changes),
                because,
            })?;
    }
    Ok(Prepared { file, scenario: loaded.scenario, manifests, targets })
}

fn in_words(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn read_manifests(paths: &[PathBuf]) -> Result<Vec<(String, Vec<Document>)>, CaseError> {
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let file = path.display().to_string();
        let bytes = read(path)?;
        let documents = match load::text(&file, &bytes) {
            Ok(text) => manifest::load(&file, text),
            Err(problem) => Err(vec![problem]),
        };
        match documents {
            Ok(documents) => manifests.push((file, documents)),
            Err(mistakes) => problems.extend(mistakes),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(CaseError::Mistakes { problems }) }
}

fn read(path: &Path) -> Result<Vec<u8>, CaseError> {
    let failed = |source| CaseError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // What a device or a pipe says of its size is nothing to go by.
    let read = fs::File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes));
    if read.map_err(failed)? as u64 > LARGEST_FILE {
        return Err(failed(std::io::Error::other(format!("it has more than {LARGEST_FILE} bytes"))));
    }
    Ok(bytes)
}

fn mistakes(problems: Vec<Problem>) -> CaseError {
    CaseError::Mistakes { problems }
}

fn one(problem: Problem) -> CaseError {
    mistakes(vec![problem])
}

fn counted(problems: usize) -> String {
    if problems == 1 { "1 mistake".to_owned() } else { format!("{problems} mistakes") }
}
