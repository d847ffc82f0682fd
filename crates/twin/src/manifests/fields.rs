//! A manifest against the fields that the twin models.

use model::Problem;
use model::manifest::Document;
use serde_json::Value as Json;

use super::modelled::{
    CONTAINER, DEPLOYMENT, JOB, METADATA, SCALED_JOB, SCALED_OBJECT, STATEFUL_SET, TEMPLATE, TRIGGER,
    TRIGGER_AUTHENTICATION, VALUES, WITHOUT_EFFECT,
};

/// What of these objects the twin does not model: a problem for each field, with its place.
#[must_use]
pub fn not_modelled(documents: &[Document]) -> Vec<Problem> {
    documents.iter().flat_map(of_document).collect()
}

fn of_document(document: &Document) -> Vec<Problem> {
    let Some(paths) = paths_not_modelled(document.kind(), document.value()) else {
        let problem =
            document.place(&["kind"]).problem(format!("the twin does not model a `{}`", document.kind()));
        return vec![problem.with_hint("leave the file out, or run the scenario with `--on local`")];
    };
    let problem = |path: Vec<String>| {
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        let problem =
            document.place(&steps).problem(format!("the twin does not model `{}`", steps.join(".")));
        problem.with_hint("leave it out, or run the scenario with `--on local`")
    };
    paths.into_iter().map(problem).collect()
}

/// The fields of an object of that kind that the twin does not model; nothing for a kind that it does not model.
pub(crate) fn paths_not_modelled(kind: &str, object: &Json) -> Option<Vec<Vec<String>>> {
    if WITHOUT_EFFECT.contains(&kind) {
        return Some(Vec::new());
    }
    let mut walk = Walk { fields: fields(kind)?, path: Vec::new(), found: Vec::new() };
    walk.node(object);
    Some(walk.found)
}

/// The patterns of a kind; none for a kind that is not modelled.
fn fields(kind: &str) -> Option<Vec<String>> {
    let mut all: Vec<String> = METADATA.iter().map(|&field| field.to_owned()).collect();
    let mut add = |prefix: &str, fields: &[&str]| {
        all.extend(fields.iter().map(|field| format!("{prefix}{field}")));
    };
    let template = |add: &mut dyn FnMut(&str, &[&str]), at: &str| {
        add(at, TEMPLATE);
        for list in ["containers", "initContainers"] {
            add(&format!("{at}spec.{list}.*."), CONTAINER);
        }
    };
    match kind {
        "Deployment" => {
            add("", DEPLOYMENT);
            template(&mut add, "spec.template.");
        }
        "StatefulSet" => {
            add("", STATEFUL_SET);
            template(&mut add, "spec.template.");
        }
        "ScaledObject" => {
            add("", SCALED_OBJECT);
            add("spec.triggers.*.", TRIGGER);
        }
        "ScaledJob" => {
            add("", SCALED_JOB);
            add("spec.triggers.*.", TRIGGER);
            add("spec.jobTargetRef.", JOB);
            template(&mut add, "spec.jobTargetRef.template.");
        }
        "TriggerAuthentication" => add("", TRIGGER_AUTHENTICATION),
        "Secret" | "ConfigMap" => add("", VALUES),
        _ => return None,
    }
    Some(all)
}

struct Walk {
    fields: Vec<String>,
    path: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Walk {
    fn node(&mut self, node: &Json) {
        match node {
            // Nothing written is nothing to model.
            Json::Null => {}
            Json::Object(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    self.step(key, value);
                }
            }
            Json::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.step(&index.to_string(), item);
                }
            }
            // An empty list or map says no more than its absence.
            Json::Object(_) | Json::Array(_) => {}
            _ => self.leaf(),
        }
    }

    fn step(&mut self, key: &str, value: &Json) {
        self.path.push(key.to_owned());
        if self.leads_somewhere() {
            self.node(value);
        } else {
            self.report();
        }
        self.path.pop();
    }

    fn leaf(&mut self) {
        if !self.fields.iter().any(|field| fit(field, &self.path) == Fit::Whole) {
            self.report();
        }
    }

    fn leads_somewhere(&self) -> bool {
        self.fields.iter().any(|field| fit(field, &self.path) != Fit::Not)
    }

    fn report(&mut self) {
        self.found.push(self.path.clone());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Fit {
    Not,
    /// The path is above what the pattern names.
    Above,
    Whole,
}

fn fit(pattern: &str, path: &[String]) -> Fit {
    let mut steps = pattern.split('.');
    for key in path {
        match steps.next() {
            Some("**") => return Fit::Whole,
            Some("*") => {}
            Some(step) if step == key => {}
            _ => return Fit::Not,
        }
    }
    match steps.next() {
        None | Some("**") => Fit::Whole,
        Some(_) => Fit::Above,
    }
}

#[cfg(test)]
mod tests {
    use model::manifest;

    use super::*;

    const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: agents, labels: { a.b/c: d } }
spec:
  replicas: 1
  selector: { matchLabels: { app: agents } }
  template:
    metadata: { labels: { app: agents } }
    spec:
      containers:
        - { name: agent, image: agent, env: [{ name: AZP_POOL, value: p }], resources: { limits: { cpu: 1 } } }
";

    fn told(text: &str) -> Vec<String> {
        let documents = manifest::load("agents.yml", text).expect("a good manifest");
        not_modelled(&documents).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_modelled_is_passed() {
        assert_eq!(told(DEPLOYMENT), Vec::<String>::new());
    }

    #[test]
    fn every_other_field_is_named_with_its_place() {
        let text = format!("{DEPLOYMENT}          livenessProbe: {{ exec: {{ command: [x] }} }}\n      nodeSelector: {{ a: b }}\n")
            .replace("name: agent, image: agent, env", "name: agent, image: agent, livenessProbe: { exec: {} }, env")
            .replace("          livenessProbe: { exec: { command: [x] } }\n", "");
        let told = told(&text);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("spec.template.spec.containers.0.livenessProbe"), "{told:?}");
        assert!(
            told[1].contains("agents.yml:12") && told[1].contains("spec.template.spec.nodeSelector"),
            "{told:?}"
        );
    }

    #[test]
    fn a_kind_that_is_not_modelled_is_named() {
        let told = told("apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: nightly }\n");
        assert!(told[0].contains("CronJob"), "{told:?}");
        assert!(
            super::not_modelled(
                &manifest::load("a.yml", "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: a }\n")
                    .expect("good")
            )
            .is_empty()
        );
    }

    #[test]
    fn a_pattern_fits_what_it_names_and_what_leads_there() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(fit("a.*.c", &path("a.0.c")), Fit::Whole);
        assert_eq!(fit("a.*.c", &path("a.0")), Fit::Above);
        assert_eq!(fit("a.*.c", &path("a.0.d")), Fit::Not);
        assert_eq!(fit("a.**", &path("a.0.d")), Fit::Whole);
        assert_eq!(fit("a", &path("a.b")), Fit::Not);
    }
}
