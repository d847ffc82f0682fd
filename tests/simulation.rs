//! Simulated runs are promises: the same scenario, version and seed give the same log, byte for byte, in
//! another process, with other threads, and after a change of the code, unless it says so.
//!
//! The last is held by the logs in `tests/golden`. A change that is meant to change them rewrites them with
//! `UPDATE_GOLDEN=1 cargo test -p poolproof --test simulation`, and its diff shows what it changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use twin::generate::{Limits, MANIFEST, Recipe};

/// The versions that the logs are kept of: two that count jobs differently.
const VERSIONS: [&str; 2] = ["2.21.0", "2.20.2"];
/// What asks for the logs to be rewritten.
const UPDATE: &str = "UPDATE_GOLDEN";
/// How to.
const REWRITE: &str = "if that is meant: UPDATE_GOLDEN=1 cargo test -p poolproof --test simulation";
/// Random scenarios in one process, and under which seed and version each lot runs.
const LOT: u64 = 50;
const LOTS: [(u64, &str); 4] =
    [(1, "2.21.0"), (u64::MAX - 1, "2.20.2"), (7_205_759_403_792, "2.16.1"), (4, "2.10.1")];
/// Which results there can be of a run that was judged: passed, findings, nothing to be said.
const JUDGED: [Option<i32>; 3] = [Some(0), Some(1), Some(4)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .arg("run")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(JUDGED.contains(&output.status.code()), "{arguments:?}: {said}");
    output
}

/// Writes the scenarios of these seeds into `folder`, each with a manifest of its own.
fn write_random(folder: &Path, seeds: impl Iterator<Item = u64>) {
    fs::create_dir_all(folder.join("manifests")).expect("a folder");
    for seed in seeds {
        let limits = if seed % 4 == 0 { Limits::REAL } else { Limits::SHORT };
        let written = Recipe::draw(seed, limits).written();
        let manifest = format!("manifests/{seed}.yml");
        let scenario = written.scenario.replace(MANIFEST, &manifest);
        fs::write(folder.join(format!("{seed}.yaml")), scenario).expect("a scenario");
        fs::write(folder.join(manifest), written.manifest).expect("a manifest");
    }
}

/// The files of all runs in a folder of results, with what is in them.
fn results(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("results") {
        let run = entry.expect("an entry").path();
        for entry in fs::read_dir(&run).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("a file in the folder").display().to_string();
            all.push((name, fs::read(&path).expect("a file")));
        }
    }
    all.sort();
    all
}

/// Where two texts differ first, with both lines.
fn difference(is: &str, was: &str) -> Option<String> {
    let (mut is, mut was) = (is.lines(), was.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (is.next(), was.next()) {
            (None, None) => return None,
            (is, was) if is == was => {}
            (is, was) => {
                let line = |line: Option<&str>| line.unwrap_or("(the log is over)").to_owned();
                return Some(format!("line {number}\n   was: {}\n    is: {}", line(was), line(is)));
            }
        }
    }
}

#[test]
fn two_processes_write_the_same_bytes_whatever_the_scenario() {
    let folder = tempfile::tempdir().expect("a folder");
    for (lot, (seed, keda)) in (0..).zip(LOTS) {
        let name = format!("lot-{lot}");
        write_random(&folder.path().join(&name), lot * LOT..(lot + 1) * LOT);
        let seed = seed.to_string();
        let in_a_process = |out: &str| {
            run(&[&name, "--keda", keda, "--seed", &seed, "--out", out], folder.path());
            results(&folder.path().join(out))
        };
        let (first, second) = (in_a_process(&format!("{name}-a")), in_a_process(&format!("{name}-b")));
        let logs = first.iter().filter(|(name, _)| name.ends_with(".jsonl")).count();
        assert_eq!(logs as u64, LOT, "a log of each scenario");
        assert_eq!(first.len(), second.len());
        for ((name, one), (_, other)) in first.iter().zip(&second) {
            let texts = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
            assert!(one == other, "{name} differs: {:?}", difference(&texts.0, &texts.1));
        }
    }
}

#[test]
fn another_seed_is_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let article = root().join("scenarios/article.yaml").display().to_string();
    let of = |seed: &str| {
        run(&[&article, "--seed", seed, "--out", seed], folder.path());
        // The first line names the seed.
        let log = results(&folder.path().join(seed)).remove(0).1;
        log.into_iter().skip_while(|byte| *byte != b'\n').collect::<Vec<u8>>()
    };
    assert_ne!(of("1"), of("2"));
}

#[test]
fn how_many_simulations_run_at_a_time_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let article = root().join("scenarios/article.yaml").display().to_string();
    let with = |jobs: &str| {
        run(&[&article, "--seed", "1..50", "-j", jobs, "-o", "json", "--out", "out"], folder.path()).stdout
    };
    let (one, four) = (with("1"), with("4"));
    assert!(one.len() > 10_000, "fifty reports");
    assert!(one == four, "{:?}", difference(&String::from_utf8_lossy(&four), &String::from_utf8_lossy(&one)));
}

#[test]
fn every_scenario_gives_the_log_that_is_kept_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out").display().to_string();
    run(&["scenarios", "--keda", &VERSIONS.join(","), "--seed", "1", "--out", &out], &root());
    let golden = root().join("tests/golden");
    let update = std::env::var_os(UPDATE).is_some();
    let mut wrong = Vec::new();
    let mut kept = BTreeSet::new();
    for (name, log) in results(&folder.path().join("out")) {
        let Some(run) = name.strip_suffix("/events.jsonl") else { continue };
        let file = golden.join(format!("{run}.jsonl"));
        kept.insert(file.clone());
        if update {
            fs::create_dir_all(&golden).expect("a folder");
            fs::write(&file, log).expect("a log");
            continue;
        }
        match fs::read_to_string(&file) {
            Ok(was) => {
                let differs = difference(&String::from_utf8_lossy(&log), &was);
                wrong.extend(differs.map(|differs| format!("tests/golden/{run}.jsonl, {differs}")));
            }
            Err(error) => wrong.push(format!("tests/golden/{run}.jsonl: {error}")),
        }
    }
    for entry in fs::read_dir(&golden).expect("a folder of logs") {
        let file = entry.expect("an entry").path();
        if !kept.contains(&file) && update {
            fs::remove_file(&file).expect("a log of no scenario");
        } else if !kept.contains(&file) {
            wrong.push(format!("{} is the log of no scenario", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n\n{REWRITE}", wrong.join("\n"));
}
