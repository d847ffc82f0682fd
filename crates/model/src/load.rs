//! A scenario from a file's text: all mistakes at once, each with its place.

use crate::check;
use crate::fault::Fault;
use crate::pipeline::Served;
use crate::problem::{Mark, Place, Problem, sorted};
use crate::rules;
use crate::scenario::Scenario;
use crate::schemas;
use crate::yaml::{self, Dialect, Node};

/// A scenario and where in its file everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The scenario.
    pub scenario: Scenario,
    /// Where its parts stand, for mistakes that only others can see.
    pub places: Places,
}

/// Where the parts of a scenario stand in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Places {
    file: String,
    root: Node,
}

impl Places {
    /// The place of the value at this path of field names and indices, such as
    /// `["manifests", "1"]`; of the nearest above it if there is none.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Place {
        self.root.nearest(path.iter().copied()).of(&self.file)
    }

    /// The place of a key of a map, such as `["substitute", "your token"]`.
    #[must_use]
    pub fn key(&self, path: &[&str]) -> Place {
        let key = path.split_last().and_then(|(key, above)| {
            let parent = above.iter().try_fold(&self.root, |node, step| node.get(step))?;
            parent.entry(key)
        });
        key.map_or_else(|| self.at(path), |entry| entry.key_mark.of(&self.file))
    }
}

/// A file's bytes as text, or why they are none.
///
/// # Errors
/// The first byte that is not part of UTF-8.
pub fn text<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b str, Problem> {
    yaml::text(file, bytes)
}

/// The scenario that a text states. `file` is its name in the problems.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn scenario(file: &str, text: &str) -> Result<Scenario, Vec<Problem>> {
    scenario_with_places(file, text).map(|loaded| loaded.scenario)
}

/// The fault that a text states: one of a scenario's list, without the scenario. JSON is such a text, too.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn fault(file: &str, text: &str) -> Result<Fault, Vec<Problem>> {
    let root = only_document(file, text, "fault", "write `service:` with what the fault is")?;
    let schema = schemars::schema_for!(Fault).to_value();
    let mut problems = check::check(file, &root, &schema);
    problems.extend(rules::check_fault(file, &root));
    if !problems.is_empty() {
        return Err(sorted(problems));
    }
    serde_json::from_value(root.to_json())
        .map_err(|error| vec![Mark::START.of(file).problem(error.to_string())])
}

/// The configuration of a served organisation that a text states.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn served(file: &str, text: &str) -> Result<Served, Vec<Problem>> {
    let root = only_document(file, text, "configuration", "it begins with `organization:`")?;
    let schema = schemars::schema_for!(Served).to_value();
    let mut problems = check::check(file, &root, &schema);
    problems.extend(rules::check_served(file, &root));
    if !problems.is_empty() {
        return Err(sorted(problems));
    }
    serde_json::from_value(root.to_json())
        .map_err(|error| vec![Mark::START.of(file).problem(error.to_string())])
}

/// The scenario that a text states, and where its parts stand.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn scenario_with_places(file: &str, text: &str) -> Result<Loaded, Vec<Problem>> {
    let root = only_document(file, text, "scenario", "a scenario begins with `name: ...`")?;
    let mut problems = check::check(file, &root, schemas::scenario().as_value());
    problems.extend(rules::check(file, &root));
    if problems.is_empty() {
        match serde_json::from_value(root.to_json()) {
            Ok(scenario) => return Ok(Loaded { scenario, places: Places { file: file.to_owned(), root } }),
            Err(error) => problems.push(root.mark.of(file).problem(error.to_string())),
        }
    }
    Err(sorted(problems))
}

fn only_document(file: &str, text: &str, what: &str, example: &str) -> Result<Node, Vec<Problem>> {
    let at_start = |message| Err(vec![Mark::START.of(file).problem(message).with_hint(example)]);
    let mut documents = yaml::parse(file, text, Dialect::Core)?;
    match documents.len() {
        0 => at_start("the file is empty"),
        1 => {
            let root = documents.remove(0);
            if root.is_null() {
                return at_start("the file is empty");
            }
            if root.entries().is_empty() {
                let message = format!("this is no {what} but {}", root.described());
                return Err(vec![root.mark.of(file).problem(message).with_hint(example)]);
            }
            Ok(root)
        }
        _ => {
            let second = documents[1].mark.of(file).problem("a second document in the file");
            let hint = format!("a {what} has a file of its own: remove everything from `---` on");
            Err(vec![second.with_hint(hint)])
        }
    }
}
