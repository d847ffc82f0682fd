//! What the fuzzers start from, and whatever they once found, on every change and with a stable compiler.

use std::fs;
use std::path::{Path, PathBuf};

use server::fuzzing::Target;

/// The files of a target's corpus, in order.
fn corpus(target: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a file");
        (path, String::from_utf8_lossy(&bytes).into_owned())
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn every_path_of_the_corpus_is_found_or_refused() {
    let mut answered = 0;
    for (path, text) in corpus("router") {
        let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
        let status = Target::default().request(method, target, b"{}");
        answered += usize::from(status == Some(200));
        assert!(status.is_none_or(|status| status < 500 || status == 501), "{}: {status:?}", path.display());
    }
    assert!(answered > 0, "none of them is understood");
}

#[test]
fn every_body_of_the_corpus_is_read_and_kept_or_refused() {
    let mut accepted = 0;
    for (path, text) in corpus("bodies") {
        let mut target = Target::default();
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default();
            let status = target.request(word(), word(), word().as_bytes());
            accepted += usize::from(status == Some(200));
            let fine = status.is_none_or(|status| status < 500 || matches!(status, 501 | 507));
            assert!(fine, "{}: {line}: {status:?}", path.display());
        }
        target.check_snapshot();
    }
    assert!(accepted > 4, "none of them is understood: {accepted}");
}

#[test]
fn every_scenario_of_the_corpus_is_read_or_has_problems() {
    let mut read = 0;
    for (path, text) in corpus("yaml") {
        match model::load::scenario("corpus.yaml", &text) {
            Ok(_) => read += 1,
            Err(problems) => assert!(!problems.is_empty(), "{}", path.display()),
        }
    }
    assert!(read > 0, "none of them is a scenario");
}
