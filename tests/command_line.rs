//! The command line without a cluster: what is wrong is told with its place, the
//! exit code is right, and nothing is left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn poolproof(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(arguments)
        .current_dir(folder)
        .env("POOLPROOF_CACHE", folder.join("cache"))
        .output()
        .expect("the binary runs")
}

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

/// Runs the article's scenario after `change` was made in its text, next to its manifests.
fn changed_article(change: impl Fn(&str) -> String) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = folder.path().join("article");
    fs::create_dir(&manifests).expect("a folder");
    for name in ["deployment.yml", "scale-object.yml"] {
        fs::copy(scenarios().join("article").join(name), manifests.join(name)).expect("a copy");
    }
    let text = fs::read_to_string(scenarios().join("article.yaml")).expect("the scenario");
    fs::write(folder.path().join("changed.yaml"), change(&text)).expect("a file");
    (poolproof(&["run", "changed.yaml", "--on", "local"], folder.path()), folder)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_nothing_left(folder: &Path) {
    assert!(!folder.join("cache").exists(), "a scenario with mistakes starts nothing");
    assert!(!folder.join("results").exists(), "a scenario with mistakes writes nothing");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_a_hint() {
    let (output, folder) = changed_article(|text| {
        let text = text.replace("at_most:", "at_mots:");
        text.replace("builds: 4", "builds: four")
    });
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("at_mots") && said.contains("at_most"), "{said}");
    assert!(said.contains("builds"), "{said}");
    assert!(said.lines().filter(|line| line.starts_with("changed.yaml:")).count() >= 2, "{said}");
    assert_nothing_left(folder.path());
}

#[test]
fn a_pool_that_the_scenario_does_not_declare_is_a_mistake() {
    let (output, folder) = changed_article(|text| text.replace("id: 18", "id: 19"));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("scale-object.yml:") && said.contains("18"), "{said}");
    assert_nothing_left(folder.path());
}

#[test]
fn a_manifest_that_is_not_yaml_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("garbage.yml"), b"a: [1, 2\n\t\x00{{").expect("a file");
    let scenario = scenarios().join("article.yaml");
    let arguments = ["run", scenario.to_str().expect("a path"), "--on", "local", "--manifest", "garbage.yml"];
    let output = poolproof(&arguments, folder.path());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("garbage.yml:"), "{said}");
    assert_nothing_left(folder.path());
}

#[test]
fn wrong_usage_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let article = scenarios().join("article.yaml").display().to_string();
    let wrong: [&[&str]; 19] = [
        &[],
        &["run"],
        &["run", "x.yaml"],
        &["run", "not-there.yaml", "--on", "local"],
        &["run", &article, "--keda", "2.99.0"],
        &["run", &article, "--speed", "20"],
        &["run", &article, "--seed", "9..3"],
        &["run", &article, "--on", "local", "--seed", "1..3"],
        &["run", &article, "--repeat", "2", "--seed", "1..3"],
        &["run", "--follow", "x.jsonl", "--keda", "2.21.0"],
        &["run", "--follow", "not-there.jsonl"],
        &["explain", "not-there.jsonl"],
        &["fidelity"],
        &["verify", "not-there.jsonl"],
        &["cluster", "up", "--name", "../x"],
        &["cluster", "build", "--tests", "../x"],
        &["cluster", "exec", "--name", "x"],
        &["serve", "--speed", "0"],
        &["serve", "--listen", "0.0.0.0:0"],
    ];
    for arguments in wrong {
        let output = poolproof(arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(!output.stderr.is_empty(), "{arguments:?} says why");
    }
}

#[test]
fn a_scenario_is_simulated_with_nothing_but_the_binary() {
    let folder = tempfile::tempdir().expect("a folder");
    let article = scenarios().join("article.yaml").display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(["run", &article])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    assert!(said.starts_with("PASSED  article") && said.contains("simulated"), "{said}");
    assert!(said.contains("Over time") && said.contains("--on local"), "{said}");
}

#[test]
fn what_the_twin_does_not_model_is_named_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(scenarios().join("article/deployment.yml")).expect("the manifest");
    let text = text.replacen("    spec:\n", "    spec:\n      nodeSelector: { pool: agents }\n", 1);
    fs::write(folder.path().join("deployment.yml"), text).expect("a file");
    let scenario = scenarios().join("article.yaml").display().to_string();
    let scaler = scenarios().join("article/scale-object.yml").display().to_string();
    let arguments = [
        "run",
        &scenario,
        "--manifest",
        "deployment.yml",
        "--manifest",
        &scaler,
        "--substitute",
        "https://dev.azure.com/your-organization=organization_url",
        "--substitute",
        "personal access token, base64=personal_access_token_base64",
    ];
    let output = poolproof(&arguments, folder.path());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("deployment.yml:") && said.contains("spec.template.spec.nodeSelector"), "{said}");
    assert!(!folder.path().join("results").exists(), "nothing is left");
}

/// Simulates a scenario of the library with these faults.
fn with_faults(name: &str, faults: &str) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(scenarios().join(format!("{name}.yaml"))).expect("the scenario");
    let manifests = scenarios().display().to_string();
    let text = text
        .replace("manifests: [", &format!("manifests: [{manifests}/"))
        .replace(", article/", &format!(", {manifests}/article/"));
    let text = text.replacen("until: settled", &format!("faults:\n{faults}until: settled"), 1);
    fs::write(folder.path().join("upset.yaml"), text).expect("a file");
    (poolproof(&["run", "upset.yaml"], folder.path()), folder)
}

#[test]
fn edits_that_the_twin_cannot_follow_are_refused_before_the_run() {
    for (patch, expected) in [
        ("object: Secret/azdevops, patch: { data: { AZP_TOKEN: Zm9v } }", "Secret"),
        (
            "object: Deployment/azdevops-deployment, patch: { spec: { template: { spec: { nodeSelector: { a: b } } } } }",
            "spec.template.spec.nodeSelector",
        ),
        (
            "object: ScaledObject/azure-pipelines-scaledobject, patch: { spec: { scaleTargetRef: { name: x } } }",
            "scaleTargetRef",
        ),
    ] {
        let (output, folder) = with_faults("article", &format!("  - edit: {{ at: 2m, {patch} }}\n"));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{patch}: {said}");
        assert!(said.contains("faults.0.edit") && said.contains(expected), "{patch}: {said}");
        drop(folder);
    }
    let good = "object: ScaledObject/azure-pipelines-scaledobject, patch: { spec: { maxReplicaCount: 2 } }";
    let (output, _folder) = with_faults("article", &format!("  - edit: {{ at: 30s, {good} }}\n"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("peak 2 at"), "{said}{}", stderr(&output));
}

#[test]
fn an_annotation_makes_no_other_generation_of_a_scaled_job_and_a_spec_does() {
    let edit = |patch: &str| {
        let fault =
            format!("  - edit: {{ at: 5m, object: ScaledJob/azdevops-agents, patch: {{ {patch} }} }}\n");
        let (output, _folder) = with_faults("scaledjob-scale-in", &fault);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Rollout is immediate by default: another generation deletes the Job that runs for 25 minutes.
    let paused = edit("metadata: { annotations: { autoscaling.keda.sh/paused: 'true' } }");
    assert!(paused.contains("4 jobs in 4 builds, 4 succeeded"), "{paused}");
    let changed = edit("spec: { pollingInterval: 20 }");
    assert!(changed.contains("4 jobs in 4 builds, 3 succeeded"), "{changed}");
}

#[test]
fn a_sweep_says_how_values_are_spread_and_repeats_its_worst_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = scenarios().join("article-scale-in.yaml").display().to_string();
    let output = poolproof(&["run", &scenario, "--seed", "1..30"], folder.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("30 runs") && said.contains("p95"), "{said}");
    let again =
        said.lines().find_map(|line| line.trim().strip_prefix("again: poolproof ")).expect("a command");
    let words: Vec<&str> = again.split(' ').collect();
    let repeated = poolproof(&words, folder.path());
    let found = String::from_utf8_lossy(&repeated.stdout);
    let worst = said.lines().find_map(|line| line.trim().strip_prefix("worst: seed ")).expect("the worst");
    let seed = worst.split(',').next().expect("a number");
    assert_eq!(repeated.status.code(), Some(0), "{found}");
    assert!(
        found.contains(&format!("seed {seed}, settled")) && found.contains("no_busy_agent_killed"),
        "{found}"
    );
}

#[test]
fn a_log_is_explained_followed_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = scenarios().join("article.yaml").display().to_string();
    for out in ["a", "b"] {
        assert_eq!(poolproof(&["run", &scenario, "--out", out], folder.path()).status.code(), Some(0));
    }
    let [a, b] = ["a", "b"].map(|out| format!("{out}/article-keda-2.21.0/events.jsonl"));
    let explained = poolproof(&["explain", &a], folder.path());
    let said = String::from_utf8_lossy(&explained.stdout);
    assert!(said.contains("each of 4 steps"), "{said}");
    let followed = poolproof(&["run", "--follow", &a], folder.path());
    assert_eq!(followed.status.code(), Some(0), "{}", String::from_utf8_lossy(&followed.stdout));
    let same = poolproof(&["diff", &a, &b], folder.path());
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stdout));

    // The HPA wrote one replica more than its reads ask for, and nobody scaled in.
    let text = fs::read_to_string(folder.path().join(&a)).expect("the log");
    let wrong = text.replace("\"writer\":\"hpa\",\"replicas\":4", "\"writer\":\"hpa\",\"replicas\":5");
    assert_ne!(wrong, text);
    fs::write(folder.path().join("wrong.jsonl"), wrong).expect("a file");
    let followed = poolproof(&["run", "--follow", "wrong.jsonl"], folder.path());
    assert_eq!(followed.status.code(), Some(1), "{}", String::from_utf8_lossy(&followed.stdout));
    let short: Vec<&str> = text.lines().filter(|line| !line.contains("\"spec\":3")).collect();
    fs::write(folder.path().join("short.jsonl"), short.join("\n")).expect("a file");
    let other = poolproof(&["diff", &a, "short.jsonl"], folder.path());
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stdout));
}

#[test]
fn a_machine_without_go_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(["cluster", "build"])
        .env("PATH", folder.path())
        .env("POOLPROOF_CACHE", folder.path().join("cache"))
        .output()
        .expect("the binary runs");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("Go"), "{said}");
}

/// A server that is ended with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_served_organisation_says_its_address_and_a_busy_port_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_poolproof"))
        .args(["serve", "--organization", "acme"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("standard output");
    let _served = Served(child);
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    assert!(line.starts_with("http://127.0.0.1:") && line.trim_end().ends_with("/acme"), "{line}");

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = poolproof(&["serve", "--listen", &address], folder.path());
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains(&address), "{said}");
}

#[test]
fn a_log_that_is_no_log_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("log.jsonl"), "{\"at\":0}\n{\"at\":1}\n").expect("a file");
    let output = poolproof(&["verify", "log.jsonl"], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("log.jsonl:1:"), "{}", stderr(&output));
}
