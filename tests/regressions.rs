//! The library of regressions and patterns does what its files say: on every KEDA version that the twin knows, a
//! scenario finds something exactly where it says that it does.
//!
//! docs/regressions.md is made of the same files: `UPDATE_DOCS=1 cargo test -p poolproof --test regressions`
//! writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use keda::rules::TABLE;
use model::range::Range;
use runner::case::{Overrides, Prepared, prepare};
use runner::sim::{self, Run, Simulation};
use semver::Version;
use verifier::{Report, Severity, Verdict};

/// The folders, and the fewest scenarios that each holds.
const FOLDERS: [(&str, usize); 2] = [("regressions", 60), ("patterns", 10)];
/// How a scenario is named that shows the way out of what the one without it shows.
const REMEDY: &str = "-remedy";
/// What asks for the document to be written.
const UPDATE: &str = "UPDATE_DOCS";
/// Every setting of the azure-pipelines trigger that decides what is counted or when.
const SETTINGS: [&str; 14] = [
    "poolID",
    "poolName",
    "organizationURLFromEnv",
    "parent",
    "demands",
    "requireAllDemands",
    "requireAllDemandsAndIgnoreOthers",
    "caseInsensitiveDemandsProcessing",
    "targetPipelinesQueueLength",
    "activationTargetPipelinesQueueLength",
    "jobsToFetch",
    "fetchUnfinishedJobsOnly",
    "scaleOnInFlight",
    "useCachedMetrics",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The scenarios of a folder, in the order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("scenarios").join(folder)).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    files.sort();
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn prepared(path: &Path) -> Prepared {
    prepare(path, &Overrides::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of them.
fn library() -> Vec<Prepared> {
    let files = FOLDERS.iter().flat_map(|(folder, least)| {
        let files = files(folder);
        assert!(files.len() >= *least, "scenarios/{folder} has {} scenarios", files.len());
        files
    });
    files.map(|path| prepared(&path)).collect()
}

/// Those after which KEDA's rules are others than before: what lies between is as the one before it.
fn versions() -> Vec<Version> {
    TABLE.iter().map(|((major, minor, patch), _)| Version::new(*major, *minor, *patch)).collect()
}

fn judged(case: &Prepared, keda: &Version) -> Report {
    let simulation = Simulation::new(case, Some(&keda.to_string()))
        .unwrap_or_else(|error| panic!("{}: {error}", case.scenario.name));
    let run = Run { seed: 1, repetition: 1, replay: "", alignment: None, log: true };
    let ended =
        simulation.run(&run).unwrap_or_else(|error| panic!("{} on KEDA {keda}: {error}", case.scenario.name));
    verifier::verify(ended.events)
}

/// Why a report is not what its scenario says of this version; nothing if it is.
fn contradiction(case: &Prepared, keda: &Version, report: &Report) -> Option<String> {
    let scenario = &case.scenario;
    let found: BTreeSet<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Violation)
        .map(|finding| finding.rule.as_str())
        .collect();
    let bad = scenario.known_bad.as_ref().filter(|bad| {
        let range: Range = bad.keda.parse().expect("a range");
        range.contains(keda)
    });
    let names = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
    let announced: BTreeSet<String> = match bad {
        Some(bad) => names(&bad.findings),
        None => names(&scenario.expect_findings),
    };
    let missing: Vec<&String> = announced.iter().filter(|rule| !found.contains(rule.as_str())).collect();
    // On a bad version one breach leads to others; by design only what is named.
    let unannounced: Vec<&&str> =
        found.iter().filter(|rule| bad.is_none() && !announced.contains(**rule)).collect();
    let nothing = (bad.is_some() && found.is_empty()).then_some("nothing at all");
    let what = if report.verdict == Verdict::Inconclusive {
        format!("inconclusive: {}", report.because)
    } else if let Some(nothing) = nothing {
        format!("finds {nothing}, though this version is said to be bad")
    } else if !missing.is_empty() {
        format!("does not find {missing:?}; finds {found:?}")
    } else if !unannounced.is_empty() {
        format!("finds {unannounced:?}, which it does not announce")
    } else {
        return None;
    };
    Some(format!("{} on KEDA {keda} {what}", scenario.name))
}

#[test]
fn every_scenario_finds_what_it_says_on_the_versions_that_it_says_and_nothing_on_others() {
    let (library, versions) = (library(), versions());
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let count = library.len() * versions.len();
    let wrong = sim::in_parallel(count, threads, &AtomicBool::new(false), |number| {
        let (case, keda) = (&library[number / versions.len()], &versions[number % versions.len()]);
        contradiction(case, keda, &judged(case, keda))
    });
    let wrong: Vec<String> =
        wrong.into_iter().filter_map(|judged| judged.expect("every run was made")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_scenario_that_claims_the_wrong_versions_is_noticed() {
    let mut case = prepared(&root().join("scenarios/regressions/01-default-starves.yaml"));
    let (good, bad) = (Version::new(2, 21, 0), Version::new(2, 20, 2));
    let of = |case: &Prepared, keda: &Version| contradiction(case, keda, &judged(case, keda));
    assert_eq!((of(&case, &good), of(&case, &bad)), (None, None));
    let known_bad = case.scenario.known_bad.take();
    assert!(of(&case, &bad).expect("a finding").contains("does not announce"));
    case.scenario.known_bad = known_bad.map(|mut bad| {
        bad.keda = ">=2.20.0".to_owned();
        bad
    });
    assert!(of(&case, &good).is_some_and(|what| what.contains("2.21.0")));
}

#[test]
fn every_file_is_named_after_its_scenario_and_names_its_schema_and_its_threads() {
    let head = "# yaml-language-server: $schema=../../schema/scenario.schema.json\n";
    for (folder, _) in FOLDERS {
        for path in files(folder) {
            let (text, scenario) = (read(&path), prepared(&path).scenario);
            assert!(text.starts_with(head), "{} does not begin with its schema", path.display());
            assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(scenario.name.as_str()));
            assert!(!scenario.references.is_empty(), "{} names no thread", scenario.name);
            for thread in &scenario.references {
                assert!(link(thread).is_some(), "{}: `{thread}` is no thread", scenario.name);
            }
        }
    }
}

#[test]
fn what_is_wrong_by_design_has_its_remedy_beside_it() {
    let regressions: BTreeMap<String, Prepared> = files("regressions")
        .iter()
        .map(|path| {
            let case = prepared(path);
            (case.scenario.name.clone(), case)
        })
        .collect();
    for (name, case) in &regressions {
        let scenario = &case.scenario;
        if let Some(shows) = name.strip_suffix(REMEDY) {
            assert!(regressions.contains_key(shows), "{name} is the remedy of nothing");
            assert!(scenario.expect_findings.is_empty(), "{name} is wrong by design, and called a remedy");
        } else {
            let by_design = !scenario.expect_findings.is_empty();
            assert!(by_design || scenario.known_bad.is_some(), "{name} is wrong nowhere");
            let remedy = regressions.contains_key(&format!("{name}{REMEDY}"));
            assert!(remedy || !by_design, "{name} is wrong by design and has no remedy");
        }
    }
}

#[test]
fn every_setting_of_the_trigger_is_used_by_some_scenario() {
    let library = library();
    let documents = library.iter().flat_map(|case| &case.manifests).flat_map(|(_, documents)| documents);
    let written: String = documents.map(|document| document.value().to_string()).collect();
    let unused = SETTINGS.iter().filter(|setting| !written.contains(&format!("\"{setting}\":")));
    assert_eq!(unused.collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// A thread as a link: `kedacore/keda#8185`.
fn link(thread: &str) -> Option<String> {
    let (repository, number) = thread.split_once('#')?;
    let named = repository.split_once('/').is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty());
    (named && number.parse::<u32>().is_ok())
        .then(|| format!("[{thread}](https://github.com/{repository}/issues/{number})"))
}

/// The first sentence of a text.
fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

/// On which versions a scenario is bad, in words.
fn bad_on(case: &Prepared, remedy: bool) -> String {
    let scenario = &case.scenario;
    let range = scenario.known_bad.as_ref().map(|bad| bad.keda.replace("||", "or"));
    match (scenario.expect_findings.is_empty(), range) {
        (false, _) => "all, by design".to_owned(),
        (true, Some(range)) if remedy => format!("does not help {range}"),
        (true, Some(range)) => range,
        (true, None) => "none".to_owned(),
    }
}

fn rows(folder: &str, table: &mut String) {
    for path in files(folder) {
        let case = prepared(&path);
        let name = &case.scenario.name;
        let number = name.split_once('-').map_or("", |(number, _)| number);
        let number = if number.parse::<u32>().is_ok() { number } else { "" };
        let threads: Vec<String> =
            case.scenario.references.iter().filter_map(|thread| link(thread)).collect();
        let about = first_sentence(&case.scenario.about).replace('|', "\\|");
        let bad = bad_on(&case, folder == "patterns" || name.ends_with(REMEDY));
        let file = format!("[{name}](../scenarios/{folder}/{name}.yaml)");
        let number = if folder == "regressions" { format!("{number} | ") } else { String::new() };
        let _ = writeln!(table, "| {number}{about} | {} | {bad} | {file} |", threads.join(", "));
    }
}

fn document() -> String {
    let mut text = "# Regressions and patterns\n\n\
        What users of KEDA's azure-pipelines scaler ran into, as scenarios that fail where they saw it and pass where it was mended, \
        and the set-ups that are recommended. Made of `scenarios/regressions` and `scenarios/patterns` by `tests/regressions.rs`, \
        which runs each of them on every version of KEDA that the twin knows, 2.9 to 2.21.\n\n\
        A version is bad if the scenario must find something on it. What is wrong by design is so on all of them, and the file with \
        `-remedy` in its name shows the way out.\n\n\
        ## Regressions\n\n\
        | number | what goes wrong, or what helps | threads | bad versions of KEDA | file |\n| --- | --- | --- | --- | --- |\n"
        .to_owned();
    rows("regressions", &mut text);
    text += "\n## Patterns\n\n| what it does | threads | bad versions of KEDA | file |\n| --- | --- | --- | --- |\n";
    rows("patterns", &mut text);
    text
}

#[test]
fn the_table_of_regressions_is_that_of_the_files() {
    let (path, current) = (root().join("docs/regressions.md"), document());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &current).expect("the document is written");
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == current,
        "docs/regressions.md is not that of the files: UPDATE_DOCS=1 cargo test -p poolproof --test regressions"
    );
}
