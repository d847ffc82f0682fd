//! The binary on real control planes: it ends with everything it started, in
//! whatever way it ends; runs do not disturb each other; what is wrong with a
//! run is told as what it is.
//!
//! These tests need Go and, the first time, minutes to build Kubernetes and
//! KEDA: `just e2e` runs them by name.

#![expect(clippy::disallowed_methods, reason = "processes are waited for in wall time")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use model::event::Outcome;
use model::{Event, Fact, Instant as At, Millis};
use rustix::process::{Pid, Signal, kill_process};

/// The longest any step may take, in wall time: one builds KEDA's tests.
const LIMIT: Duration = Duration::from_secs(1800);
/// At which speeds a run is tried, one after the other, on a machine that is too slow to tell.
const SPEEDS: [&str; 3] = ["20", "20", "10"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn scenario(name: &str) -> String {
    root().join("scenarios").join(name).display().to_string()
}

/// A cache of the test's own whose built programs are the user's: clusters are apart, builds are shared.
fn cache(folder: &Path) -> PathBuf {
    let own = folder.join("cache");
    fs::create_dir_all(&own).expect("a folder");
    let users = std::env::var_os("POOLPROOF_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache").join("poolproof")
    });
    let programs = users.join("programs");
    assert!(programs.exists(), "build first: poolproof cluster build");
    std::os::unix::fs::symlink(programs, own.join("programs")).expect("a link");
    own
}

fn poolproof(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolproof"));
    command.args(arguments).current_dir(folder).env("POOLPROOF_CACHE", folder.join("cache"));
    command
}

/// Everything that runs out of this test's folders: by its command line or its environment.
fn processes_of(folder: &Path) -> BTreeSet<u32> {
    let mark = folder.display().to_string();
    let ids = fs::read_dir("/proc").expect("Linux").flatten().filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut about = fs::read(entry.path().join("cmdline")).ok()?;
        about.extend(fs::read(entry.path().join("environ")).unwrap_or_default());
        String::from_utf8_lossy(&about).contains(&mark).then_some(id)
    });
    ids.collect()
}

fn await_state(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Starts a run of the article and waits until its log says that it is in place.
fn run_in_the_middle(folder: &Path, options: &[&str]) -> Child {
    let start = |speed: &str| {
        let mut run = poolproof(folder, &["run", &scenario("article.yaml"), "--on", "local"]);
        // A cluster that is there has its speed already.
        run.args(if options.is_empty() { vec!["--speed", speed] } else { options.to_vec() });
        run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
    };
    let log = || {
        let results = fs::read_dir(folder.join("results")).ok()?;
        results.flatten().find_map(|entry| fs::read_to_string(entry.path().join("events.jsonl")).ok())
    };
    let is_ready = || log().is_some_and(|text| text.contains("\"run.ready\""));
    for speed in SPEEDS {
        let _ = fs::remove_dir_all(folder.join("results"));
        let mut child = start(speed);
        // On a machine that is too slow it gives up before.
        await_state("the run is in place", || is_ready() || child.try_wait().expect("a state").is_some());
        if child.try_wait().expect("a state").is_none() {
            return child;
        }
    }
    panic!("no run is ever in place");
}

/// The minimal scenario with other lines at its end, as a file of the test's own.
fn faulty(folder: &Path, lines: &str) -> String {
    let text = fs::read_to_string(root().join("scenarios/minimal.yaml")).expect("the scenario");
    let manifests = root().join("scenarios").display().to_string();
    let text = text.replace(" article/", &format!(" {manifests}/article/"));
    let text = text.replace("[article/", &format!("[{manifests}/article/"));
    let text = text.replace("name: minimal", "name: faulty");
    let path = folder.join("faulty.yaml");
    fs::write(&path, format!("{text}{lines}")).expect("a file");
    path.display().to_string()
}

/// Whether nothing can be told from a run, which is said: it is neither good nor bad.
fn is_inconclusive(output: &Output) -> bool {
    let inconclusive = output.status.code() == Some(4);
    if inconclusive {
        let _ = writeln!(std::io::stderr(), "inconclusive:\n{}", text_of(output));
    }
    inconclusive
}

/// Tries a run until something can be told from it, or for the last time.
fn until_told(run: impl Fn(&str) -> Output) -> Output {
    let mut tries = SPEEDS.into_iter().map(run);
    let told = tries.by_ref().take(SPEEDS.len() - 1).find(|output| !is_inconclusive(output));
    told.unwrap_or_else(|| tries.next().expect("one is left"))
}

/// Runs a scenario to its end and reads its log, in the order of its instants.
fn run_to_the_end(folder: &Path, scenario: &str) -> Vec<Event> {
    let output = until_told(|speed| {
        let mut run = poolproof(folder, &["run", scenario, "--on", "local", "--speed", speed]);
        run.output().expect("an output")
    });
    let text = fs::read_to_string(log(folder)).unwrap_or_else(|_| panic!("{}", text_of(&output)));
    let mut events: Vec<Event> =
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    events.sort_by_key(|event| event.at);
    let finished = |event: &Event| {
        matches!(event.fact, Fact::RunFinished { outcome: Outcome::Settled | Outcome::DurationReached, .. })
    };
    assert!(events.iter().any(finished), "{}", text_of(&output));
    await_state("everything is gone", || processes_of(folder).is_empty());
    events
}

fn log(folder: &Path) -> PathBuf {
    folder.join("results/faulty-keda-2.21.0/events.jsonl")
}

/// When the first fact like this was seen.
fn first(events: &[Event], like: impl Fn(&Fact) -> bool) -> At {
    events.iter().find(|event| like(&event.fact)).expect("a fact like this").at
}

fn clusters(folder: &Path) -> usize {
    fs::read_dir(folder.join("cache/clusters")).map_or(0, |entries| entries.flatten().count())
}

fn signal(child: &Child, signal: Signal) {
    send(child.id(), signal);
}

fn send(process: u32, signal: Signal) {
    kill_process(id(process), signal).expect("a signal");
}

fn id(process: u32) -> Pid {
    i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process id")
}

#[test]
fn a_killed_run_leaves_no_process_and_the_next_one_sweeps_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let mut child = run_in_the_middle(folder.path(), &[]);
    assert!(processes_of(folder.path()).len() > 6, "a control plane runs");
    signal(&child, Signal::KILL);
    child.wait().expect("an end");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
    assert_eq!(clusters(folder.path()), 1, "the folder is still there");

    let output = poolproof(folder.path(), &["cluster", "up", "--name", "next"]).output().expect("an output");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(clusters(folder.path()), 1, "only the new cluster's folder is there");
    let down = poolproof(folder.path(), &["cluster", "down", "--name", "next"]).status().expect("a status");
    assert!(down.success());
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
    assert_eq!(clusters(folder.path()), 0);
}

#[test]
fn an_interrupted_run_cleans_up_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let mut child = run_in_the_middle(folder.path(), &[]);
    signal(&child, Signal::INT);
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(130));
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
    assert_eq!(clusters(folder.path()), 0);
}

#[test]
fn a_wrong_token_is_a_finding_that_quotes_keda() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    // The Secret of KEDA gets a token that the organisation does not know; the agents' Secret the right one.
    let manifests = root().join("scenarios/article");
    let text = fs::read_to_string(manifests.join("scale-object.yml")).expect("a manifest");
    let line =
        text.lines().find(|line| line.trim_start().starts_with("personalAccessToken:")).expect("the token");
    let indent = &line[..line.len() - line.trim_start().len()];
    let wrong = text.replace(line, &format!("{indent}personalAccessToken: d3Jvbmc="));
    fs::write(folder.path().join("wrong.yml"), wrong).expect("a file");
    let deployment = manifests.join("deployment.yml").display().to_string();
    let about = fs::read_to_string(root().join("scenarios/article.yaml")).expect("the scenario");
    let substitutes: Vec<String> = substitutes(&about);
    let article = scenario("article.yaml");
    let arguments = [
        "run",
        &article,
        "--on",
        "local",
        "--manifest",
        &deployment,
        "--manifest",
        "wrong.yml",
        "-o",
        "json",
    ];
    let output = until_told(|speed| {
        let mut run = poolproof(folder.path(), &arguments);
        for substitute in &substitutes {
            run.args(["--substitute", substitute]);
        }
        run.args(["--speed", speed]).output().expect("an output")
    });
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("scaler_not_ready") && said.contains("401"), "{said}");
}

/// The scenario's own substitutions, as options.
fn substitutes(scenario: &str) -> Vec<String> {
    let section = scenario.split("\nsubstitute:\n").nth(1).expect("a section");
    let lines = section.lines().take_while(|line| line.starts_with("  "));
    let pairs = lines.filter(|line| !line.trim_start().starts_with('#'));
    pairs
        .map(|line| {
            let (text, what) = line.trim().rsplit_once(": ").expect("a pair");
            format!("{}={what}", text.trim_matches(['"', '\'']))
        })
        .collect()
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A machine with no time for the control plane: its processes are stopped for a second, which is
/// twenty seconds of theirs.
#[test]
fn a_speed_that_the_machine_cannot_hold_is_inconclusive() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let child = run_in_the_middle(folder.path(), &[]);
    let others: Vec<u32> =
        processes_of(folder.path()).into_iter().filter(|&process| process != child.id()).collect();
    for order in [Signal::STOP, Signal::CONT, Signal::STOP, Signal::CONT] {
        for &process in &others {
            // One that has ended meanwhile hears nothing.
            let _ = kill_process(id(process), order);
        }
        thread::sleep(Duration::from_secs(1));
    }
    let status = child.wait_with_output().expect("an end").status;
    assert_eq!(status.code(), Some(4));
    let report = fs::read_dir(folder.path().join("results")).expect("results").flatten().next();
    let report = report.expect("a run").path().join("report.json");
    let report = fs::read_to_string(report).expect("a report");
    assert!(report.contains("machine_too_slow"), "{report}");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let start = |speed: &str, out: &str| {
        let minimal = scenario("minimal.yaml");
        poolproof(folder.path(), &["run", &minimal, "--on", "local", "--speed", speed, "--out", out])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs")
    };
    let both = |speed: &str| {
        let (one, two) = (start(speed, "one"), start(speed, "two"));
        [one, two].map(|child| child.wait_with_output().expect("an output"))
    };
    // Two control planes share the machine: at half the usual speed each has its time.
    let mut outputs = both("10");
    for speed in ["10", "5"] {
        if outputs.iter().any(is_inconclusive) {
            outputs = both(speed);
        }
    }
    for output in &outputs {
        assert!(output.status.success(), "{}", text_of(output));
    }
    assert_eq!(clusters(folder.path()), 0);
}

#[test]
fn a_full_disk_is_told_and_nothing_remains() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    // A log that goes to a device that is always full.
    let results = folder.path().join("results/minimal-keda-2.21.0");
    fs::create_dir_all(&results).expect("a folder");
    std::os::unix::fs::symlink("/dev/full", results.join("events.jsonl")).expect("a link");
    let output = poolproof(folder.path(), &["run", &scenario("minimal.yaml"), "--on", "local"]).output();
    let output = output.expect("an output");
    assert_eq!(output.status.code(), Some(3), "{}", text_of(&output));
    assert!(text_of(&output).contains("events.jsonl"), "{}", text_of(&output));
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn the_supervisor_of_a_killed_holder_ends_the_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let up = poolproof(folder.path(), &["cluster", "up", "--name", "held"]).output().expect("an output");
    assert!(up.status.success(), "{}", text_of(&up));
    let status = poolproof(folder.path(), &["cluster", "status", "-o", "json"]).output().expect("an output");
    let text = String::from_utf8_lossy(&status.stdout).into_owned();
    let holder = text.lines().find_map(|line| line.trim().strip_prefix("\"holder\": ")).expect("a holder");
    let holder: i32 = holder.trim_end_matches(',').parse().expect("a process id");
    kill_process(Pid::from_raw(holder).expect("a process id"), Signal::KILL).expect("a signal");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
    let down = poolproof(folder.path(), &["cluster", "down", "--name", "held"]).output().expect("an output");
    assert_eq!(down.status.code(), Some(3), "there is none any more: {}", text_of(&down));
}

#[test]
fn a_cluster_in_the_foreground_serves_commands_and_ends_with_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let up = ["cluster", "up", "--foreground", "--name", "here", "--speed", "10"];
    let mut child = poolproof(folder.path(), &up).stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    assert!(line.starts_with("here: KEDA "), "{line}");
    let inside = |command: &[&str]| {
        let arguments = [&["cluster", "exec", "--name", "here", "--"], command].concat();
        poolproof(folder.path(), &arguments).output().expect("an output")
    };
    let nodes = inside(&["kubectl", "get", "nodes", "-o", "name"]);
    assert!(text_of(&nodes).contains("node/node-1"), "{}", text_of(&nodes));
    assert!(text_of(&inside(&["sh", "-c", "echo speed $POOLPROOF_SPEED"])).contains("speed 10"));
    assert_eq!(inside(&["sh", "-c", "exit 7"]).status.code(), Some(7), "its exit code is the command's");
    assert_eq!(inside(&["no-such-program"]).status.code(), Some(3));
    signal(&child, Signal::TERM);
    assert!(child.wait().expect("an end").success());
    assert_eq!(clusters(folder.path()), 0);
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn a_killed_script_of_kedas_own_tests_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let out = folder.path().join("out");
    let mut child = Command::new(root().join("scripts/keda-e2e"))
        .arg("--out")
        .arg(&out)
        .env("POOLPROOF", env!("CARGO_BIN_EXE_poolproof"))
        .env("POOLPROOF_CACHE", folder.path().join("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the script runs");
    // The first time, the tests are built.
    let begun =
        || fs::read_to_string(out.join("azure_pipelines.log")).is_ok_and(|log| log.contains("activation"));
    await_state("the tests run", || begun() || child.try_wait().expect("a state").is_some());
    assert!(begun(), "it ended before its tests began");
    signal(&child, Signal::KILL);
    child.wait().expect("an end");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
    assert_eq!(clusters(folder.path()), 0);
}

#[test]
fn a_killed_build_leaves_no_compiler() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = poolproof(folder.path(), &["cluster", "build"])
        .env("GOCACHE", folder.path().join("go"))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    await_state("compilers run", || processes_of(folder.path()).len() > 4);
    signal(&child, Signal::KILL);
    child.wait().expect("an end");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn what_a_killed_run_left_in_a_named_cluster_is_swept_by_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let up = poolproof(folder.path(), &["cluster", "up", "--name", "kept"]).output().expect("an output");
    assert!(up.status.success(), "{}", text_of(&up));
    let mut child = run_in_the_middle(folder.path(), &["--cluster", "kept"]);
    signal(&child, Signal::KILL);
    child.wait().expect("an end");
    let names = || {
        // `cluster up` says how to call kubectl.
        let told = String::from_utf8_lossy(&up.stdout).into_owned();
        let line = told.lines().find(|line| line.contains(" kubectl ")).expect("a command");
        let mut words = line.split_whitespace();
        let launcher = words.next().expect("a program");
        let kubeconfig = words.nth(2).expect("a file");
        let get = ["kubectl", "--kubeconfig", kubeconfig, "get", "namespaces,nodes", "-o", "name"];
        let output = Command::new(launcher).args(get).output().expect("kubectl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(names().contains("namespace/poolproof-article"), "{}", names());
    let minimal = scenario("minimal.yaml");
    let run = ["run", &minimal, "--on", "local", "--cluster", "kept", "--out", "second"];
    // The cluster has its speed already.
    let output = until_told(|_| poolproof(folder.path(), &run).output().expect("an output"));
    assert!(output.status.success(), "{}", text_of(&output));
    await_state("nothing of either run is left", || {
        !names().contains("poolproof-") && !names().contains("node/article-")
    });
    let down = poolproof(folder.path(), &["cluster", "down", "--name", "kept"]).status().expect("a status");
    assert!(down.success());
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn progress_is_told_line_by_line_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let mut child = poolproof(folder.path(), &["run", &scenario("minimal.yaml"), "--on", "local"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut first = String::new();
    let stderr = child.stderr.take().expect("standard error");
    BufReader::new(stderr).read_line(&mut first).expect("a line");
    signal(&child, Signal::TERM);
    child.wait().expect("an end");
    assert!(first.starts_with("starting"), "{first}");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn a_restarted_operator_goes_on_and_the_audit_log_tells_what_the_hpa_does() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let lines = "faults:\n  - restart: { at: 5s, what: keda_operator }\n  \
                 - restart: { at: 2m, what: kube_controller_manager }\n";
    let events = run_to_the_end(folder.path(), &faulty(folder.path(), lines));
    let restarted = first(&events, |fact| matches!(fact, Fact::FaultOn { fault: 0, .. }));
    let read = events.iter().any(|event| {
        event.at > restarted
            && matches!(&event.fact, Fact::ScalerRead { status: 200, rows, .. } if rows.len() == 2)
    });
    assert!(read, "the new operator reads the queue");
    // Every step of the replicas was written by the HPA, and both tell of it.
    let mut spec = 1;
    let (mut steps, mut written) = (Vec::new(), Vec::new());
    let draining = first(&events, |fact| matches!(fact, Fact::RunDraining {}));
    for event in events.iter().filter(|event| event.at < draining) {
        match &event.fact {
            Fact::Replicas { spec: now, .. } if *now != spec => {
                spec = *now;
                steps.push(spec);
            }
            Fact::ScaleWritten { workload, writer, replicas, status: 200 } => {
                assert_eq!((workload.as_str(), writer.as_str()), ("Deployment/azdevops-deployment", "hpa"));
                written.push(*replicas);
            }
            _ => {}
        }
    }
    assert_eq!(steps, [2, 1]);
    assert_eq!(written, steps);
    // Its reads come every 15 s, but for the restart of the program that it lives in.
    let reads: Vec<At> = events
        .iter()
        .filter(|event| matches!(event.fact, Fact::HpaRead { status: 200, .. }))
        .map(|event| event.at)
        .collect();
    let mut gaps: Vec<Millis> = reads.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    gaps.sort_unstable();
    let median = gaps[gaps.len() / 2];
    assert!(median >= Millis::seconds(14) && median <= Millis::seconds(18), "{gaps:?}");
}

#[test]
fn an_outage_is_seen_in_what_keda_was_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let lines = "faults:\n  - service: { from: 30s, to: 2m, route: job_requests, answer: 503 }\n";
    let events = run_to_the_end(folder.path(), &faulty(folder.path(), lines));
    let from = first(&events, |fact| matches!(fact, Fact::FaultOn { fault: 0, .. }));
    let to = first(&events, |fact| matches!(fact, Fact::FaultOff { fault: 0 }));
    // A fault is told of before it is on, and before it is over; what arrives between may go either way.
    let between = |at: At, from: At| at >= from && at < from + Millis::seconds(2);
    let mut refused = 0;
    for event in &events {
        let Fact::ScalerRead { status, latency_ms, .. } = event.fact else { continue };
        let arrival = At(event.at.0.saturating_sub(latency_ms));
        let during = arrival >= from && arrival < to;
        if !between(arrival, from) && !between(arrival, to) {
            assert_eq!(status, if during { 503 } else { 200 }, "{event:?}");
        }
        refused += u32::from(status == 503);
    }
    assert!(refused > 4, "{refused} reads");
    let failed = events.iter().filter(|event| matches!(event.fact, Fact::HpaRead { status: 500, .. }));
    assert!(failed.count() > 2, "the HPA gets no metric meanwhile");
}

#[test]
fn a_lost_node_is_no_failure_of_the_harness_and_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let lines = "cluster: { nodes: 1 }\nfaults:\n  - node_loss: { from: 5s, to: 2m }\nuntil: 4m\n";
    let events = run_to_the_end(folder.path(), &faulty(folder.path(), lines));
    let lost =
        first(&events, |fact| matches!(fact, Fact::FaultOn { hits: Some(node), .. } if node.ends_with("-1")));
    let back = first(&events, |fact| matches!(fact, Fact::FaultOff { fault: 0 }));
    let silent = |event: &&Event| event.by == model::Source::Node && event.at > lost && event.at < back;
    assert_eq!(events.iter().find(silent), None);
    let not_ready = |event: &Event| {
        event.at < back && matches!(event.fact, Fact::Replicas { spec: 1.., ready: 0, .. }) && event.at > lost
    };
    assert!(events.iter().any(not_ready), "Kubernetes has noticed");
    let again = first(&events, |fact| matches!(fact, Fact::ContainerStarted { restarts: 1, .. }));
    assert!(again > back);
    assert!(!events.iter().any(|event| matches!(event.fact, Fact::HarnessFailed { .. })));
}

#[test]
fn a_killed_run_leaves_nothing_while_its_programs_are_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let lines = "faults:\n  - restart: { at: 1s, what: kube_controller_manager }\n  \
                 - keda_upgrade: { at: 2s, version: 2.20.2 }\n";
    let scenario = faulty(folder.path(), lines);
    let mut child = poolproof(folder.path(), &["run", &scenario, "--on", "local"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    await_state("the upgrade has begun", || {
        fs::read_to_string(log(folder.path())).is_ok_and(|text| text.contains("KEDA becomes 2.20.2"))
    });
    signal(&child, Signal::KILL);
    child.wait().expect("an end");
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}

#[test]
fn programs_of_a_shared_cluster_are_not_restarted() {
    let folder = tempfile::tempdir().expect("a folder");
    cache(folder.path());
    let up = poolproof(folder.path(), &["cluster", "up", "--name", "shared"]).output().expect("an output");
    assert!(up.status.success(), "{}", text_of(&up));
    let scenario = faulty(folder.path(), "faults:\n  - restart: { at: 5s, what: keda_operator }\n");
    let run = ["run", &scenario, "--on", "local", "--cluster", "shared"];
    let output = poolproof(folder.path(), &run).output().expect("an output");
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("needs one of its own"), "{}", text_of(&output));
    // The audit log is there for runs that join.
    let pods = faulty(folder.path(), "faults:\n  - pod_kill: { at: 5s }\n");
    let run = ["run", &pods, "--on", "local", "--cluster", "shared"];
    let output = poolproof(folder.path(), &run).output().expect("an output");
    let text = fs::read_to_string(log(folder.path())).unwrap_or_else(|_| panic!("{}", text_of(&output)));
    assert!(text.contains("\"hpa.read\"") && text.contains("\"scale.written\""), "{}", text_of(&output));
    let down = poolproof(folder.path(), &["cluster", "down", "--name", "shared"]).status().expect("a status");
    assert!(down.success());
    await_state("everything is gone", || processes_of(folder.path()).is_empty());
}
