//! The calls that the crate has, by its own source: none may be left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const MODULES: [&str; 4] = ["build", "core", "distributed_task", "pipelines"];

/// Every call as `module.group.operation`; `source` is the crate's folder.
pub fn all(source: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for module in MODULES {
        let path = source.join("src").join(module).join("mod.rs");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut group = "";
        let mut in_client = false;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("pub mod ") {
                group = rest.trim_end_matches([' ', '{', ';']);
            } else if line == "    impl Client {" {
                in_client = true;
            } else if line == "    }" {
                in_client = false;
            } else if let Some(rest) = line.strip_prefix("        pub fn ").filter(|_| in_client) {
                let name = rest.split('(').next().unwrap_or_default();
                found.insert(format!("{module}.{group}.{name}"));
            }
        }
    }
    assert!(found.len() > 100, "the crate's source has another form than this looks for: {found:?}");
    found
}
