//! Kubernetes manifests: a typed view of the kinds that a run depends on, from
//! files with several documents. Everything else passes through untouched.
//!
//! What is applied is [`Document::value`], the object as it was written (less
//! what [`substitute`] fills in). The typed view is for reading: what is scaled
//! how, which pool is watched, which one the agents join.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::check;
use crate::problem::{Mark, Place, Problem, Span, did_you_mean, sorted};
use crate::yaml::{self, Dialect, Entry, Kind, Node, Scalar, Value, shortened};

mod address;
mod environment;
pub mod keda;
pub mod kubernetes;
mod private;
mod target;
mod verify;

pub use keda::{ScaledJob, ScaledObject, TriggerAuthentication};
pub use kubernetes::{ConfigMap, Deployment, Metadata, Secret, StatefulSet};
pub use target::{Scaler, Targets};
pub use verify::check;

/// One object of a manifest file.
#[derive(Debug, Clone)]
pub struct Document {
    file: String,
    root: Node,
    value: Json,
    typed: Object,
    /// From where in the file secrets could be seen.
    secrets: Vec<Span>,
}

/// An object as far as it is understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// `apps/v1`, kind Deployment.
    Deployment(Box<Deployment>),
    /// `apps/v1`, kind StatefulSet.
    StatefulSet(Box<StatefulSet>),
    /// `keda.sh/v1alpha1`, kind ScaledObject.
    ScaledObject(Box<ScaledObject>),
    /// `keda.sh/v1alpha1`, kind ScaledJob.
    ScaledJob(Box<ScaledJob>),
    /// `keda.sh/v1alpha1`, kind TriggerAuthentication.
    TriggerAuthentication(Box<TriggerAuthentication>),
    /// `v1`, kind Secret.
    Secret(Box<Secret>),
    /// `v1`, kind ConfigMap.
    ConfigMap(Box<ConfigMap>),
    /// Anything else: applied, and not looked into.
    Other,
}

/// The kinds that are understood, with the API version that is.
const UNDERSTOOD: [(&str, &str); 7] = [
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("ScaledObject", keda::API_VERSION),
    ("ScaledJob", keda::API_VERSION),
    ("TriggerAuthentication", keda::API_VERSION),
    ("Secret", "v1"),
    ("ConfigMap", "v1"),
];

impl Document {
    /// The file it stands in, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The object, to be applied.
    #[must_use]
    pub fn value(&self) -> &Json {
        &self.value
    }

    /// The object as far as it is understood.
    #[must_use]
    pub fn typed(&self) -> &Object {
        &self.typed
    }

    /// `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// The object as `Kind/name`.
    #[must_use]
    pub fn object(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// Whether KEDA scales something by it.
    #[must_use]
    pub fn is_scaler(&self) -> bool {
        matches!(self.typed, Object::ScaledObject(_) | Object::ScaledJob(_))
    }

    /// Whether it makes pods by itself.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        matches!(self.typed, Object::Deployment(_) | Object::StatefulSet(_))
    }

    /// The place of the value at this path of keys and indices, or of the nearest above it.
    #[must_use]
    pub fn place(&self, path: &[&str]) -> Place {
        self.root.nearest(path.iter().copied()).of(&self.file)
    }

    fn text(&self, path: &[&str]) -> &str {
        path.iter().try_fold(&self.root, |node, step| node.get(step)).and_then(Node::text).unwrap_or_default()
    }

    fn new(file: &str, root: Node, secrets: Vec<Span>) -> Self {
        let value = root.to_json();
        let mut document = Self { file: file.to_owned(), root, value, typed: Object::Other, secrets };
        document.typed = document.understood();
        document
    }

    fn understood(&self) -> Object {
        fn typed<T: DeserializeOwned>(value: &Json, variant: fn(Box<T>) -> Object) -> Object {
            serde_json::from_value(value.clone()).map_or(Object::Other, |object| variant(Box::new(object)))
        }
        match (self.kind(), self.api_version()) {
            ("Deployment", "apps/v1") => typed(&self.value, Object::Deployment),
            ("StatefulSet", "apps/v1") => typed(&self.value, Object::StatefulSet),
            ("ScaledObject", keda::API_VERSION) => typed(&self.value, Object::ScaledObject),
            ("ScaledJob", keda::API_VERSION) => typed(&self.value, Object::ScaledJob),
            ("TriggerAuthentication", keda::API_VERSION) => typed(&self.value, Object::TriggerAuthentication),
            ("Secret", "v1") => typed(&self.value, Object::Secret),
            ("ConfigMap", "v1") => typed(&self.value, Object::ConfigMap),
            _ => Object::Other,
        }
    }
}

/// The objects of a file. `file` is its name in the problems.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn load(file: &str, text: &str) -> Result<Vec<Document>, Vec<Problem>> {
    let roots = yaml::parse(file, text, Dialect::Kubernetes)
        .map_err(|problems| private::hide_unread(problems, text))?;
    // `---` at the end or twice in a row leaves nothing, which kubectl passes over too.
    let roots: Vec<Node> = roots.into_iter().filter(|root| !root.is_null()).collect();
    if roots.is_empty() {
        let hint = "a manifest begins with `apiVersion: ...`";
        return Err(vec![Mark::START.of(file).problem("the file holds no object").with_hint(hint)]);
    }
    let problems: Vec<Problem> = roots.iter().flat_map(|root| problems_of(file, root)).collect();
    let secrets = |root: &Node| private::spans(root, text);
    if problems.is_empty() {
        let document = |root: Node| {
            let secrets = secrets(&root);
            Document::new(file, root, secrets)
        };
        return Ok(roots.into_iter().map(document).collect());
    }
    let secrets: Vec<Span> = roots.iter().flat_map(secrets).collect();
    Err(private::hide_in(sorted(problems), &secrets))
}

fn problems_of(file: &str, root: &Node) -> Vec<Problem> {
    let root = &private::redacted(root);
    let text = |key| root.get(key).and_then(Node::text);
    let (kind, api_version) = (text("kind").unwrap_or_default(), text("apiVersion").unwrap_or_default());
    let mut problems = match (kind, api_version) {
        ("Deployment", "apps/v1") => against::<Deployment>(file, root),
        ("StatefulSet", "apps/v1") => against::<StatefulSet>(file, root),
        ("ScaledObject", keda::API_VERSION) => against::<ScaledObject>(file, root),
        ("ScaledJob", keda::API_VERSION) => against::<ScaledJob>(file, root),
        ("TriggerAuthentication", keda::API_VERSION) => against::<TriggerAuthentication>(file, root),
        ("Secret", "v1") => against::<Secret>(file, root),
        ("ConfigMap", "v1") => against::<ConfigMap>(file, root),
        _ => against::<kubernetes::Any>(file, root),
    };
    problems.extend(wrong_kind(file, root, kind, api_version));
    if let Some(namespace) = root.get("metadata").and_then(|metadata| metadata.entry("namespace")) {
        let problem = namespace.key_mark.of(file).problem("an object must not name its namespace");
        problems.push(problem.with_hint("leave it away: every run has a namespace of its own"));
    }
    problems
}

fn against<T: JsonSchema>(file: &str, root: &Node) -> Vec<Problem> {
    check::check(file, root, &schemars::schema_for!(T).to_value())
}

/// A kind that is understood, under an API version that is not: a slip, and nothing would be scaled.
fn wrong_kind(file: &str, root: &Node, kind: &str, api_version: &str) -> Option<Problem> {
    let place = |key: &str| root.get(key).map_or(root.mark, |node| node.mark).of(file);
    if kind == "List" {
        let hint = "put each of its items into a document of its own, with `---` between them";
        return Some(place("kind").problem("a `List` is not understood").with_hint(hint));
    }
    let known = UNDERSTOOD.iter().find(|(known, _)| *known == kind);
    if let Some((_, expected)) = known {
        return (!api_version.is_empty() && api_version != *expected).then(|| {
            let message = format!("`{kind}` is not understood in `{}`", shortened(api_version));
            place("apiVersion").problem(message).with_hint(format!("did you mean `{expected}`?"))
        });
    }
    if api_version.starts_with("keda.sh/") && kind != "ClusterTriggerAuthentication" && !kind.is_empty() {
        let kinds =
            UNDERSTOOD.iter().filter(|(_, version)| *version == keda::API_VERSION).map(|(kind, _)| *kind);
        let message = format!("KEDA has no kind `{}`", shortened(kind));
        return Some(place("kind").problem(message).with_hint_if(did_you_mean(kind, kinds)));
    }
    None
}

/// Fills in what the manifests leave to their reader: each text, in whole values or in parts of
/// them, by what stands for it. Keys, `apiVersion` and `kind` are left alone, and what was filled
/// in is not searched again. Returns how often each text was replaced.
pub fn substitute(documents: &mut [Document], texts: &BTreeMap<String, String>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for document in documents {
        for entry in body_mut(&mut document.root) {
            fill_in(&mut entry.node, texts, &mut counts);
        }
        let secrets = std::mem::take(&mut document.secrets);
        *document = Document::new(&document.file, document.root.clone(), secrets);
    }
    counts
}

/// A value as a Secret's `data` wants it.
#[must_use]
pub fn base64(value: &str) -> String {
    STANDARD.encode(value)
}

/// What of an object may be filled in: not what says which kind of object it is.
fn body(root: &Node) -> impl Iterator<Item = &Entry> {
    root.entries().iter().filter(|entry| is_body(entry))
}

fn body_mut(root: &mut Node) -> impl Iterator<Item = &mut Entry> {
    let entries = match &mut root.value {
        Value::Map(entries) => entries.as_mut_slice(),
        Value::Scalar(_) | Value::List(_) => &mut [],
    };
    entries.iter_mut().filter(|entry| is_body(entry))
}

fn is_body(entry: &Entry) -> bool {
    !matches!(entry.key.as_str(), "apiVersion" | "kind")
}

fn fill_in(node: &mut Node, texts: &BTreeMap<String, String>, counts: &mut BTreeMap<String, u32>) {
    match &mut node.value {
        Value::Scalar(Scalar { text, kind: Kind::Text }) => {
            if let Some(filled) = filled(text, texts, counts) {
                *text = filled;
            }
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| fill_in(item, texts, counts)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| fill_in(&mut entry.node, texts, counts)),
    }
}

/// The text with everything filled in, if anything was.
fn filled(
    text: &str,
    texts: &BTreeMap<String, String>,
    counts: &mut BTreeMap<String, u32>,
) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some(next) = rest.chars().next() {
        // Where one text begins another, the longer is meant.
        let known = texts.iter().filter(|(text, _)| !text.is_empty() && rest.starts_with(text.as_str()));
        if let Some((text, instead)) = known.max_by_key(|(text, _)| text.len()) {
            result.push_str(instead);
            rest = &rest[text.len()..];
            found = true;
            *counts.entry(text.clone()).or_default() += 1;
        } else {
            result.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    found.then_some(result)
}
