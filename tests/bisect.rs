//! `poolproof bisect` finds the version that broke a scenario, or mended it; `poolproof run` shows many scenarios on
//! many versions as one table.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn poolproof(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("the binary runs")
}

fn bisect(scenario: &str, good: &str, bad: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text");
    let all = ["bisect", scenario, "--good", good, "--bad", bad, "--out", out];
    poolproof(&[&all, more].concat())
}

fn told(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn the_first_bad_version_is_named_with_what_it_does_otherwise() {
    let text = told(&bisect("scenarios/busy-agents-vanish.yaml", "2.9.0", "2.20.2", &[]));
    assert!(text.starts_with("First bad version: 2.20.0\n"), "{text}");
    assert!(text.contains("the one before it is 2.19.0"), "{text}");
    assert!(text.contains("no_busy_agent_killed: "), "{text}");
    assert!(text.contains("2.20.0 does not count 1, 2: received by an agent"), "{text}");
    assert!(text.contains("2.19.0 counts 1, 2: received by an agent and not finished"), "{text}");
}

#[test]
fn the_version_that_mended_it_is_found_when_the_good_one_is_newer() {
    let json = told(&bisect("scenarios/busy-agents-vanish.yaml", "2.21.0", "2.20.0", &["-o", "json"]));
    let found: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&found["before"], &found["after"]), (&"2.20.2".into(), &"2.21.0".into()), "{json}");
    assert_eq!(found["mended"], true);
    let tried: Vec<_> = found["tried"].as_array().expect("a list").iter().map(|one| &one["keda"]).collect();
    // Both ends, and the two between.
    assert_eq!(tried, ["2.21.0", "2.20.0", "2.20.1", "2.20.2"]);
}

#[test]
fn versions_that_cannot_be_told_apart_end_the_search_before_it_begins() {
    let scenario = "scenarios/busy-agents-vanish.yaml";
    let alike = refused(&bisect(scenario, "2.18.0", "2.19.0", &[]), 4);
    assert!(alike.contains("nothing tells them apart"), "{alike}");
    let swapped = refused(&bisect(scenario, "2.20.2", "2.19.0", &[]), 4);
    assert!(swapped.contains("swap --good and --bad"), "{swapped}");
    let same = refused(&bisect(scenario, "2.20.2", "2.20.2", &[]), 2);
    assert!(same.contains("the same version"), "{same}");
    let old = refused(&bisect(scenario, "2.3.0", "2.20.2", &[]), 2);
    assert!(old.contains("2.3.0 is not modelled"), "{old}");
}

#[test]
fn the_regressions_of_2_20_are_found_where_they_came_in() {
    for scenario in ["01-default-starves", "02-busy-agents-vanish"] {
        let file = format!("scenarios/regressions/{scenario}.yaml");
        let text = told(&bisect(&file, "2.19.0", "2.20.2", &[]));
        assert!(text.starts_with("First bad version: 2.20.0\n"), "{scenario}: {text}");
    }
}

#[test]
fn many_scenarios_on_many_versions_are_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text");
    let files = ["scenarios/minimal.yaml", "scenarios/busy-agents-vanish.yaml"];
    let flags = ["--keda", "2.21.0,2.20.2", "--out", out];
    let text = told(&poolproof(&[&["run"][..], &files, &flags].concat()));
    let row = |scenario: &str| {
        let line = text.lines().find(|line| line.starts_with(scenario));
        line.unwrap_or_else(|| panic!("{text}")).split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(row("KEDA"), ["KEDA", "2.20.2", "2.21.0"]);
    assert_eq!(row("busy-agents-vanish"), ["busy-agents-vanish", "bad", "pass"]);
    assert_eq!(row("minimal"), ["minimal", "pass", "pass"]);
}

#[test]
fn a_scenario_that_nobody_announced_to_fail_is_shown_before_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let text = std::fs::read_to_string(root.join("busy-agents-vanish.yaml")).expect("a scenario");
    // The same, and it no longer says on which versions it fails.
    let kept: Vec<&str> = text.split("\nknown_bad:").collect();
    let rest =
        kept[1].lines().skip(1).skip_while(|line| line.starts_with(' ')).collect::<Vec<_>>().join("\n");
    let manifests = root.join("busy-agents-vanish");
    let silent = format!("{}\n{rest}", kept[0])
        .replace("busy-agents-vanish/", &format!("{}/", manifests.display()))
        .replace("name: busy-agents-vanish", "name: silent");
    let file = folder.path().join("silent.yaml");
    std::fs::write(&file, silent).expect("written");
    let out = folder.path().join("out");
    let output = poolproof(&[
        "run",
        file.to_str().expect("text"),
        "scenarios/minimal.yaml",
        "--keda",
        "2.20.2,2.21.0",
        "--out",
        out.to_str().expect("text"),
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("no_busy_agent_killed"), "{text}");
    let row = text.lines().find(|line| line.starts_with("silent ")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["silent", "FAIL", "pass"]);
}
