//! `bench latency` and `compare` in virtual time: what is measured, what is swept, and what fails a build.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn scenario(name: &str) -> String {
    root().join("scenarios").join(name).display().to_string()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn poolproof(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(arguments)
        .current_dir(folder)
        .env("COLUMNS", "100")
        .output()
        .expect("the binary runs")
}

/// What it wrote, if it ended with this code.
fn said(output: &Output, code: i32) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}{error}");
    text
}

fn wrong(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The result of a measurement.
fn measure(folder: &Path, out: &str, arguments: &[&str]) -> Value {
    let all = [&["bench", "latency", "--out", out, "-o", "json"], arguments].concat();
    let printed = said(&poolproof(folder, &all), 0);
    let written = fs::read_to_string(folder.join(out).join("result.json")).expect("a result");
    assert_eq!(printed, written, "what is printed is what is written");
    serde_json::from_str(&written).expect("JSON")
}

/// A stage of a row.
fn stage<'r>(row: &'r Value, name: &str) -> &'r Value {
    let stages = row["stages"].as_array().expect("stages");
    stages.iter().find(|stage| stage["stage"] == name).expect("that stage")
}

#[test]
fn without_a_scenario_both_ways_of_scaling_are_measured() {
    let folder = tempfile::tempdir().expect("a folder");
    let result = measure(folder.path(), "out", &["--repeat", "3"]);
    assert_eq!(result["format"], 1);
    let rows = result["rows"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().map(|row| row["scenario"].as_str().expect("a name")).collect();
    assert_eq!(names, ["latency-scaledobject", "latency-scaledjob"]);
    for row in rows {
        assert_eq!(row["runs"].as_array().expect("runs").len(), 3);
        for name in [
            "seen",
            "raised",
            "created",
            "scheduled",
            "running",
            "registered",
            "assigned",
            "received",
            "new-pod",
        ] {
            let stage = stage(row, name);
            assert!(stage["took"]["count"].as_u64().expect("a count") > 0, "{name}");
            assert!(stage["budget_ms"].as_u64().is_some(), "{name}");
        }
        // Three times four builds, and three times two.
        assert_eq!(stage(row, "whole")["took"]["count"], 3 * 18);
    }
    assert!(folder.path().join("out/scenarios/scaledjob/agents.yml").is_file());
}

#[test]
fn a_table_and_a_chart_are_for_people() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["bench", "latency", &scenario("latency/scaledjob.yaml"), "--repeat", "3"];
    let text = said(&poolproof(folder.path(), &arguments), 0);
    let rows = text.lines().filter(|line| line.contains("queued → seen by KEDA")).count();
    assert_eq!(rows, 2, "a line of the table and a bar: {text}");
    assert!(text.contains("results/latency/result.json"), "{text}");
    assert!(text.contains("--seed 1 --repeat 3"), "{text}");
}

#[test]
fn a_shorter_poll_sees_jobs_sooner() {
    let folder = tempfile::tempdir().expect("a folder");
    let sweep = ["--sweep", "pollingInterval=5s,30s", "--repeat", "10"];
    let result =
        measure(folder.path(), "out", &[&[scenario("latency/scaledjob.yaml").as_str()], &sweep[..]].concat());
    let rows = result["rows"].as_array().expect("rows");
    let polls: Vec<_> =
        rows.iter().map(|row| row["settings"]["pollingInterval"].as_str().expect("a poll")).collect();
    assert_eq!(polls, ["5s", "30s"]);
    let longest = |row: &Value| stage(row, "seen")["took"]["max_ms"].as_u64().expect("a span");
    assert!(longest(&rows[0]) <= 6_000, "{}", longest(&rows[0]));
    assert!(longest(&rows[1]) > 15_000, "{}", longest(&rows[1]));
}

#[test]
fn warm_agents_spare_jobs_their_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let sweep = ["--sweep", "replicas=0,10", "--repeat", "10"];
    let result = measure(
        folder.path(),
        "out",
        &[&[scenario("latency/scaledobject.yaml").as_str()], &sweep[..]].concat(),
    );
    let p95 = |row: usize| stage(&result["rows"][row], "whole")["took"]["p95_ms"].as_u64().expect("a span");
    assert!(p95(1) < 10_000 && p95(0) > 30_000, "{} and {}", p95(0), p95(1));
    assert_eq!(result["rows"][1]["settings"]["minReplicaCount"], "10");
}

#[test]
fn each_scenario_is_swept_by_the_settings_that_it_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let sweep = [
        "--sweep",
        "strategy=default,accurate",
        "--sweep",
        "stabilization=0s,300s",
        "--sweep",
        "pollingInterval=15s",
    ];
    let result = measure(folder.path(), "out", &[&sweep[..], &["--repeat", "1"]].concat());
    let rows = result["rows"].as_array().expect("rows");
    let mut counted: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for row in rows {
        let names: Vec<_> = row["settings"].as_object().expect("settings").keys().cloned().collect();
        *counted.entry((row["scenario"].as_str().expect("a name"), names.join(" "))).or_default() += 1;
    }
    let expected = [
        (("latency-scaledjob", "pollingInterval strategy".to_owned()), 2),
        (("latency-scaledobject", "pollingInterval stabilization".to_owned()), 2),
    ];
    assert_eq!(counted, BTreeMap::from(expected));
}

#[test]
fn the_same_is_measured_the_same_in_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |threads: &str, out: &str| {
        let arguments = ["--repeat", "5", "-j", threads, "--sweep", "pollingInterval=5s,30s"];
        measure(folder.path(), out, &arguments)
    };
    assert_eq!(of("1", "one"), of("4", "four"));
}

#[test]
fn a_sweep_that_cannot_be_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (object, job) = (scenario("latency/scaledobject.yaml"), scenario("latency/scaledjob.yaml"));
    let wrongs: [(&[&str], &str); 6] = [
        (&[&job, "--sweep", "stabilization=0s"], "no object of the scenarios has the setting stabilization"),
        (&[&object, "--sweep", "strategy=accurate"], "no object of the scenarios has the setting strategy"),
        (&[&object, "--sweep", "replicas=50"], "minReplicaCount 50 is more than maxReplicaCount 20"),
        (&[&object, "--sweep", "poll=5s"], "no setting"),
        (&[&object, "--sweep", "replicas=1", "--sweep", "replicas=2"], "swept twice"),
        (&[&object, "--speed", "20"], "--on local"),
    ];
    for (arguments, because) in wrongs {
        let said = wrong(&poolproof(folder.path(), &[&["bench", "latency"], arguments].concat()));
        assert!(said.contains(because), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("results").exists(), "nothing was begun");
}

/// Measures the ScaledJob with two polling intervals, under the same seeds.
fn before_and_after(folder: &Path, repeat: &str) {
    for (out, poll) in [("before", "15s"), ("after", "30s")] {
        let sweep = format!("pollingInterval={poll}");
        measure(folder, out, &[&scenario("latency/scaledjob.yaml"), "--sweep", &sweep, "--repeat", repeat]);
    }
}

#[test]
fn a_slow_down_fails_a_build_and_its_reverse_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    before_and_after(folder.path(), "30");
    let limits = ["--fail-if", "p95 +10%", "--fail-if", "seen:p50 +2s"];
    let slower = said(&poolproof(folder.path(), &[&["compare", "before", "after"], &limits[..]].concat()), 1);
    assert_eq!(slower.lines().filter(|line| line.contains("SLOWER")).count(), 2, "{slower}");
    let faster = said(&poolproof(folder.path(), &[&["compare", "after", "before"], &limits[..]].concat()), 0);
    assert!(faster.contains("within") && !faster.contains("SLOWER"), "{faster}");
}

#[test]
fn other_seeds_of_the_same_fail_no_build() {
    let folder = tempfile::tempdir().expect("a folder");
    for (out, seed) in [("before", "1..30"), ("after", "1001..1030")] {
        measure(folder.path(), out, &[&scenario("latency/scaledjob.yaml"), "--seed", seed]);
    }
    let arguments = ["compare", "before", "after", "--fail-if", "p95 +10%", "-o", "json"];
    let compared: Value =
        serde_json::from_str(&said(&poolproof(folder.path(), &arguments), 0)).expect("JSON");
    assert_eq!(compared["rows"][0]["paired"], false);
    let again = said(&poolproof(folder.path(), &arguments), 0);
    assert_eq!(
        compared,
        serde_json::from_str::<Value>(&again).expect("JSON"),
        "the same files, the same answer"
    );
}

#[test]
fn a_few_runs_cannot_tell() {
    let folder = tempfile::tempdir().expect("a folder");
    before_and_after(folder.path(), "3");
    let text = said(&poolproof(folder.path(), &["compare", "before", "after", "--fail-if", "p95 +10%"]), 4);
    assert!(text.contains("CANNOT TELL") && text.contains("it takes 8 on each side"), "{text}");
    said(&poolproof(folder.path(), &["compare", "before", "after"]), 0);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    measure(folder.path(), "it", &[&scenario("latency/scaledjob.yaml"), "--repeat", "1"]);
    fs::write(folder.path().join("newer.json"), "{\"format\": 2}\n").expect("a file");
    fs::write(folder.path().join("report.json"), "{\"verdict\": \"passed\"}\n").expect("a file");
    let wrongs: [(&[&str], &str); 4] = [
        (&["it", "nowhere"], "nowhere"),
        (&["it", "newer.json"], "it has format 2, and this version reads format 1"),
        (&["it", "report.json"], "this is no result of `bench latency`"),
        (&["it", "it", "--fail-if", "sean:p95 +10%"], "\n  sean:p95 +10%\n  ^^^^"),
    ];
    for (arguments, because) in wrongs {
        let said = wrong(&poolproof(folder.path(), &[&["compare"], arguments].concat()));
        assert!(said.contains(because), "{arguments:?}: {said}");
    }
}
