//! Style as a test: who may use whom, a head on every file, what pure code must not touch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom, as ARCHITECTURE.md says.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("azure-devops", &["model"]),
    ("kubelet", &["model"]),
    ("keda", &["model"]),
    ("hpa", &["model"]),
    ("controllers", &["model"]),
    ("twin", &["azure-devops", "controllers", "hpa", "keda", "kubelet", "model"]),
    ("verifier", &["model"]),
    ("server", &["azure-devops", "clock", "model"]),
    ("agent", &["azure-devops", "clock", "model"]),
    ("cluster", &["agent", "azure-devops", "kubelet", "clock", "model"]),
    ("runner", &["agent", "azure-devops", "cluster", "clock", "kubelet", "model", "server", "twin"]),
    (
        "cli",
        &[
            "agent",
            "azure-devops",
            "cluster",
            "clock",
            "hpa",
            "keda",
            "kubelet",
            "model",
            "runner",
            "server",
            "twin",
            "verifier",
        ],
    ),
];

/// Libraries that belong to some packages only.
const ONLY_IN: [(&str, &[&str]); 4] = [
    ("kube", &["cluster"]),
    ("k8s-openapi", &["cluster"]),
    ("axum", &["server"]),
    ("tokio", &["clock", "server", "agent", "cluster", "runner", "cli"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The dependencies of each package, without those for its tests.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let folders = fs::read_dir(root().join("crates")).expect("a folder of packages");
    let packages = folders.map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("a manifest");
        let section = manifest.split("[dependencies]\n").nth(1).unwrap_or_default();
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let names =
            lines.filter_map(|line| line.split_once([' ', '.', '=']).map(|(name, _)| name.to_owned()));
        (name, names.filter(|name| !name.is_empty()).collect())
    });
    packages.collect()
}

#[test]
fn packages_use_only_those_that_they_may() {
    let allowed: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let packages = dependencies();
    assert_eq!(
        packages.keys().map(String::as_str).collect::<Vec<_>>(),
        allowed.keys().copied().collect::<Vec<_>>()
    );
    for (package, used) in packages {
        for name in used.iter().filter(|name| allowed.contains_key(name.as_str())) {
            let may = allowed[package.as_str()].contains(&name.as_str());
            assert!(may, "{package} must not use {name}: ARCHITECTURE.md says who may use whom");
        }
    }
}

#[test]
fn libraries_stay_where_they_belong() {
    for (package, used) in dependencies() {
        for (library, only_in) in ONLY_IN {
            let uses = used.iter().any(|name| name == library);
            assert!(!uses || only_in.contains(&package.as_str()), "{package} must not use {library}");
        }
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["crates", "tests", "benches"] {
        rust_files(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the files are looked for in the wrong place: {}", found.len());
    found
}

#[test]
fn every_file_says_what_it_is_for() {
    for path in all_rust_files() {
        let text = fs::read_to_string(&path).expect("a text");
        assert!(text.starts_with("//! "), "{} has no head", path.display());
    }
}

/// The longest a file may get before it has to be split.
const LONGEST_FILE: usize = 700;

#[test]
fn files_fit_in_a_head() {
    for path in all_rust_files() {
        let lines = fs::read_to_string(&path).expect("a text").lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; split it", path.display());
    }
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    for (package, _) in MAY_USE {
        let manifest = root().join("crates").join(package).join("Cargo.toml");
        let text = fs::read_to_string(manifest).expect("a manifest");
        assert!(text.contains("[lints]\nworkspace = true"), "{package} does not take the workspace's lints");
    }
}
