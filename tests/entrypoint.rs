//! `check entrypoint` against this project's own start script, and against
//! scripts that do one thing wrong each. Needs bash, curl, jq and tar.

use std::path::{Path, PathBuf};

use runner::entrypoint::{Options, Report, Step, Verdict, check, step_names};

fn article() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/article/start.sh");
    std::fs::read_to_string(path).expect("the article's entrypoint is part of the repository")
}

/// The article's entrypoint with one thing changed.
fn article_but(wrong: &str, with: &str) -> String {
    let text = article();
    assert!(text.contains(wrong), "the entrypoint has changed: {wrong}");
    text.replace(wrong, with)
}

fn checked(text: &str, only: &[&str]) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let script: PathBuf = folder.path().join("start.sh");
    std::fs::write(&script, text).expect("a file");
    let options = Options {
        script,
        binary: std::fs::read(env!("CARGO_BIN_EXE_poolproof")).expect("the binary was built"),
        arguments: Vec::new(),
        only: only.iter().map(|&name| name.to_owned()).collect(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(check(options)).expect("the check can run here")
}

fn only_step(text: &str, name: &str) -> Step {
    let mut report = checked(text, &[name]);
    assert_eq!(report.steps.len(), 1);
    report.steps.remove(0)
}

fn assert_fails(step: &Step, because: &str) {
    let reason = step.because.as_deref().unwrap_or_default();
    assert!(step.verdict == Verdict::Failed && reason.contains(because), "{step}");
}

#[test]
fn the_articles_entrypoint_lives_every_life_as_it_should() {
    let report = checked(&article(), &[]);
    let names: Vec<&str> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(names, step_names());
    assert!(report.steps.iter().all(Step::passed), "{report}");
    // The first exit trap runs on the way out of the others, and its code is the last word.
    let codes = |name: &str| &report.steps.iter().find(|step| step.name == name).expect("it ran").exit_codes;
    assert_eq!(codes("one job"), &[Some(0)]);
    assert_eq!(codes("TERM while idle"), &[Some(0)]);
    assert_eq!(codes("template"), &[Some(143)], "without traps a signal is a shell's end");
    assert_eq!(codes("wrong token"), &[Some(1)]);
}

#[test]
fn a_script_that_does_not_unregister_at_its_end_is_found_out() {
    let text = article_but("trap 'unregister; exit 0' EXIT", ":");
    assert_fails(&only_step(&text, "one job"), "still registered at the end: entrypoint-one");
    assert!(only_step(&text, "TERM while idle").passed(), "the trap for TERM is still there");
}

#[test]
fn a_script_that_gives_up_on_a_busy_agent_is_found_out() {
    let text = article_but("    sleep 30\n", "    break\n");
    assert_fails(&only_step(&text, "TERM while busy"), "did not succeed");
}

#[test]
fn a_script_that_waits_in_the_foreground_hears_of_no_signal() {
    let text = article_but("./run-docker.sh \"$@\" --once &\nwait $!", "./run-docker.sh \"$@\" --once");
    assert_fails(&only_step(&text, "INT while idle"), "still running");
}

#[test]
fn a_script_that_hides_its_failure_is_found_out() {
    let text = article_but("  exit 1\n", "  exit 0\n");
    assert_fails(&only_step(&text, "wrong token"), "exit code 0");
}

#[test]
fn a_script_without_template_agents_is_not_asked_for_them() {
    let text = article().replace("template", "placeholder");
    assert_eq!(only_step(&text, "template").verdict, Verdict::Skipped);
    let text = article_but("!= *template*", "!= *no-such-template*");
    assert_fails(&only_step(&text, "template"), "unregistered");
}

#[test]
fn windows_line_ends_are_reported_as_such() {
    let report = checked(&article().replace('\n', "\r\n"), &[]);
    assert_eq!(report.steps.len(), 1);
    assert_fails(&report.steps[0], "line 1 ends with a carriage return");
    assert_fails(&report.steps[0], "fails at its first line");
    assert_eq!(report.steps[0].exit_codes, [Some(127)]);
}
