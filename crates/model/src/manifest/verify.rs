//! Manifests against the scenario: what would never work, before anything starts.

use std::collections::{BTreeMap, BTreeSet};

use super::address;
use super::environment::{decoded, environment, values};
use super::keda::{self, AZURE_PIPELINES, ScaledObject, Trigger};
use super::kubernetes::{Container, PodSpec};
use super::private;
use super::target::Targets;
use super::{Document, Object, body};
use crate::fault::Fault;
use crate::load::Places;
use crate::problem::{Problem, did_you_mean, one_of, sorted};
use crate::scenario::{Pool, Scenario, Substitute};
use crate::yaml::{Kind, Node, Scalar, Value, shortened};

/// The variable that tells the article's entrypoint, and Microsoft's own, which pool to join.
const POOL_VARIABLE: &str = "AZP_POOL";

/// What is scaled, if scenario and manifests fit each other. Ask before [`super::substitute`].
///
/// # Errors
/// Everything that does not fit, sorted by place.
pub fn check(scenario: &Scenario, places: &Places, documents: &[Document]) -> Result<Targets, Vec<Problem>> {
    let mut checker = Checker { scenario, places, documents, problems: Vec::new() };
    checker.objects_are_unique();
    checker.texts_occur();
    checker.secrets_are_base64();
    checker.addresses_are_the_fake_s();
    checker.agents_join_known_pools();
    checker.edited_objects_exist();
    let target = checker.target();
    match target {
        Some(target) if checker.problems.is_empty() => Ok(target),
        _ => Err(private::hide(sorted(checker.problems), documents)),
    }
}

struct Checker<'c> {
    scenario: &'c Scenario,
    places: &'c Places,
    documents: &'c [Document],
    problems: Vec<Problem>,
}

impl<'c> Checker<'c> {
    fn pools(&self) -> &'c [Pool] {
        &self.scenario.organization.pools
    }

    fn edited_objects_exist(&mut self) {
        for (at, fault) in self.scenario.faults.iter().enumerate() {
            let Fault::Edit(edit) = fault else { continue };
            if self.documents.iter().any(|document| document.object() == edit.object) {
                continue;
            }
            let objects: Vec<String> = self.documents.iter().map(Document::object).collect();
            let known = || objects.iter().map(String::as_str);
            let hint = did_you_mean(&edit.object, known())
                .unwrap_or_else(|| format!("the manifests have {}", one_of(known())));
            let place = self.places.at(&["faults", &at.to_string(), "edit", "object"]);
            let message = format!("{} is in no manifest", shortened(&edit.object));
            self.problems.push(place.problem(message).with_hint(hint));
        }
    }

    fn objects_are_unique(&mut self) {
        let mut seen = BTreeMap::new();
        for document in self.documents {
            if let Some(first) = seen.insert((document.api_version(), document.object()), document) {
                let place = first.place(&["metadata", "name"]);
                let hint = format!("the first is in {}, line {}", place.file, place.position.line);
                let message = format!("{} is defined twice", document.object());
                self.problems.push(document.place(&["metadata", "name"]).problem(message).with_hint(hint));
            }
        }
    }

    /// A text to be substituted that stands nowhere would leave a placeholder in place.
    fn texts_occur(&mut self) {
        for (text, what) in &self.scenario.substitute {
            let mut texts = self.documents.iter().flat_map(Document::texts);
            if texts.any(|found| found.contains(text)) {
                continue;
            }
            let place = self.places.key(&["substitute", text]);
            self.problems.push(if *what == Substitute::OrganizationUrl {
                let message = format!("`{}` stands in no manifest: nothing to substitute", shortened(text));
                // What a Secret holds is not told, not even as a suggestion.
                let open = self.documents.iter().filter(|document| document.secrets.is_empty());
                place.problem(message).with_hint_if(did_you_mean(text, open.flat_map(Document::texts)))
            } else {
                // It may be a real token.
                let message = format!("the text for `{}` stands in no manifest", named(*what));
                place.problem(message).with_hint("write it exactly as it stands there").private()
            });
        }
    }

    fn secrets_are_base64(&mut self) {
        for document in self.documents {
            let Object::Secret(secret) = document.typed() else { continue };
            for (key, value) in &secret.data {
                let place = document.place(&["data", key]);
                let filled =
                    self.scenario.substitute.iter().filter(|(text, _)| value.contains(text.as_str()));
                let mut filled = filled.peekable();
                if filled.peek().is_none() && decoded(value).is_none() {
                    let hint = "put the value under `stringData`, or substitute it (`substitute:`)";
                    let problem = place.problem(format!("`{key}` is not base64")).with_hint(hint);
                    self.problems.push(problem.private());
                    continue;
                }
                for (_, what) in filled {
                    let hint = match what {
                        Substitute::PersonalAccessTokenBase64 => continue,
                        Substitute::PersonalAccessToken => "substitute it by `personal_access_token_base64`",
                        Substitute::OrganizationUrl => "put the value under `stringData`",
                    };
                    let message = format!("`{key}` must be base64, and `{}` would stand in it", named(*what));
                    self.problems.push(place.problem(message).with_hint(hint).private());
                }
            }
        }
    }

    fn addresses_are_the_fake_s(&mut self) {
        for problem in address::problems(self.scenario, self.documents) {
            // One mistake is told once.
            if self.problems.iter().all(|told| told.place != problem.place) {
                self.problems.push(problem);
            }
        }
    }

    fn agents_join_known_pools(&mut self) {
        for document in self.documents {
            let Some((pod, path)) = pod_of(document.typed()) else { continue };
            for (at, container) in pod.containers.iter().enumerate() {
                let at = at.to_string();
                let path: Vec<&str> = path.iter().copied().chain(["containers", at.as_str()]).collect();
                self.references_exist(document, container, &path);
                self.agent_joins_known_pool(document, container, &path);
            }
        }
    }

    fn agent_joins_known_pool(&mut self, document: &Document, container: &Container, path: &[&str]) {
        let environment = environment(container, self.documents);
        let Some(Some(pool)) = environment.get(POOL_VARIABLE) else { return };
        let names: Vec<&str> = self.pools().iter().map(|pool| pool.name.as_str()).collect();
        if names.contains(&pool.as_str()) {
            return;
        }
        let at = container.env.iter().position(|variable| variable.name == POOL_VARIABLE);
        let at = at.map(|at| at.to_string());
        let inner = at.as_deref().map_or_else(|| vec!["envFrom"], |at| vec!["env", at, "value"]);
        let inner: Vec<&str> = path.iter().copied().chain(inner).collect();
        let found = address::variable(container, document, path, POOL_VARIABLE, self.documents);
        let secret = found.iter().any(address::Found::is_secret);
        let hint = did_you_mean(pool, names.iter().copied()).filter(|_| !secret);
        let hint = hint.unwrap_or_else(|| format!("the scenario declares {}", one_of(names)));
        let message = if secret {
            "agents would join a pool that the scenario does not declare".to_owned()
        } else {
            format!("agents would join pool `{}`, which the scenario does not declare", shortened(pool))
        };
        self.problems.push(document.place(&inner).problem(message).with_hint(hint));
    }

    /// Every run has a namespace of its own: what is in no manifest is not there.
    fn references_exist(&mut self, document: &Document, container: &Container, path: &[&str]) {
        for (at, variable) in container.env.iter().enumerate() {
            let Some(source) = &variable.value_from else { continue };
            let secret = source.secret_key_ref.as_ref().map(|key| ("Secret", "secretKeyRef", key));
            let map = source.config_map_key_ref.as_ref().map(|key| ("ConfigMap", "configMapKeyRef", key));
            for (kind, field, key) in secret.into_iter().chain(map) {
                if key.optional == Some(true) {
                    continue;
                }
                let at = at.to_string();
                let path: Vec<&str> =
                    path.iter().copied().chain(["env", at.as_str(), "valueFrom", field]).collect();
                self.key_exists(document, &path, kind, &key.name, &key.key);
            }
        }
    }

    fn key_exists(&mut self, document: &Document, path: &[&str], kind: &str, name: &str, key: &str) {
        let below = |field| path.iter().copied().chain([field]).collect::<Vec<&str>>();
        match values(kind, name, self.documents) {
            None => self.missing(document, &below("name"), kind, name),
            Some(values) if !values.contains_key(key) => {
                let message = format!("{kind}/{name} has no key `{}`", shortened(key));
                let hint = did_you_mean(key, values.keys().map(String::as_str));
                self.problems.push(document.place(&below("key")).problem(message).with_hint_if(hint));
            }
            Some(_) => {}
        }
    }

    fn missing(&mut self, document: &Document, path: &[&str], kind: &str, name: &str) {
        let same_kind = self.documents.iter().filter(|document| document.kind() == kind);
        let names: Vec<&str> = same_kind.map(Document::name).collect();
        let hint = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| match names.as_slice() {
            [] => format!("no manifest has a {kind}"),
            names => format!("the manifests have {}", one_of(names.iter().copied())),
        });
        let message = format!("{kind}/{} is in no manifest", shortened(name));
        self.problems.push(document.place(path).problem(message).with_hint(hint));
    }

    /// The one KEDA object and what it scales.
    fn target(&mut self) -> Option<Targets> {
        let mut scalers = self.documents.iter().filter(|document| document.is_scaler());
        let Some(document) = scalers.next() else {
            let hint = "add the file with the ScaledObject or the ScaledJob";
            let problem =
                self.places.at(&["manifests"]).problem("nothing is scaled: no manifest has a KEDA object");
            self.problems.push(problem.with_hint(hint));
            return None;
        };
        for other in scalers {
            let message = format!("a second KEDA object: there is {} already", document.object());
            let hint = "a run judges one of them; put the others into scenarios of their own";
            self.problems.push(other.place(&["kind"]).problem(message).with_hint(hint));
        }
        match document.typed() {
            Object::ScaledObject(object) => {
                self.triggers(document, &object.spec.triggers);
                self.counts(document, object);
                let grace_s = self.workload(document, object)?;
                Some(Targets::of_scaled_object(object, grace_s).written(document.value()))
            }
            Object::ScaledJob(object) => {
                self.triggers(document, &object.spec.triggers);
                Some(Targets::of_scaled_job(object).written(document.value()))
            }
            _ => None,
        }
    }

    /// The grace period of the workload that a ScaledObject names.
    fn workload(&mut self, document: &Document, object: &ScaledObject) -> Option<u64> {
        let reference = &object.spec.scale_target_ref;
        let kind = reference.kind();
        if !matches!(kind, "Deployment" | "StatefulSet") {
            let message = format!("scaling a `{}` is not understood", shortened(kind));
            let hint = did_you_mean(kind, ["Deployment", "StatefulSet"])
                .unwrap_or_else(|| "only a Deployment or a StatefulSet can be scaled".to_owned());
            self.problems
                .push(document.place(&["spec", "scaleTargetRef", "kind"]).problem(message).with_hint(hint));
            return None;
        }
        let found =
            self.documents.iter().find(|other| other.kind() == kind && other.name() == reference.name);
        match found.and_then(|found| pod_of(found.typed())) {
            Some((pod, _)) => Some(pod.grace_s()),
            None => {
                self.missing(document, &["spec", "scaleTargetRef", "name"], kind, &reference.name);
                None
            }
        }
    }

    /// The rules of the ScaledObject's CRD that its schema here cannot say
    /// (K:apis/keda/v1alpha1/scaledobject_types.go, validation rules and `CheckReplicaCountBoundsAreValid`).
    fn counts(&mut self, document: &Document, object: &ScaledObject) {
        let spec = &object.spec;
        let min = spec.min_replica_count.unwrap_or(keda::DEFAULT_MIN_REPLICA_COUNT);
        let max = spec.max_replica_count.unwrap_or(keda::DEFAULT_MAX_REPLICA_COUNT);
        if min > max {
            let message = format!("minReplicaCount {min} is more than maxReplicaCount {max}");
            self.problems.push(document.place(&["spec", "minReplicaCount"]).problem(message));
        }
        // An explicit minimum of 0 counts as 1 here.
        let bound = if spec.min_replica_count.is_some() { min.max(1) } else { min };
        if let Some(idle) = spec.idle_replica_count.filter(|idle| *idle >= bound) {
            let message = format!("idleReplicaCount {idle} must be less than minReplicaCount {min}");
            self.problems.push(document.place(&["spec", "idleReplicaCount"]).problem(message));
        }
    }

    fn triggers(&mut self, document: &Document, triggers: &[Trigger]) {
        if triggers.iter().all(|trigger| trigger.kind != AZURE_PIPELINES) {
            let place = match triggers {
                [_, ..] => document.place(&["spec", "triggers", "0", "type"]),
                [] => document.place(&["spec", "triggers"]),
            };
            let hint = triggers.iter().find_map(|trigger| did_you_mean(&trigger.kind, [AZURE_PIPELINES]));
            let problem = place.problem(format!("no trigger has the type `{AZURE_PIPELINES}`"));
            self.problems.push(problem.with_hint_if(hint));
        }
        for (at, trigger) in triggers.iter().enumerate() {
            let at = at.to_string();
            if trigger.kind == AZURE_PIPELINES {
                self.watched_pool(document, trigger, &at);
            }
            self.authentication(document, trigger, &at);
        }
    }

    /// poolName wins over poolID (K:pkg/scalers/azure_pipelines_scaler.go, `parseAzurePipelinesMetadata`).
    fn watched_pool(&mut self, document: &Document, trigger: &Trigger, at: &str) {
        let place = |field: &str| document.place(&["spec", "triggers", at, "metadata", field]);
        let pools = self.pools();
        if let Some(name) = trigger.setting("poolName") {
            let names: Vec<&str> = pools.iter().map(|pool| pool.name.as_str()).collect();
            if !names.contains(&name) {
                let hint = did_you_mean(name, names.iter().copied());
                let hint = hint.unwrap_or_else(|| format!("the scenario declares {}", one_of(names)));
                let message = format!("the scenario declares no pool `{}`", shortened(name));
                self.problems.push(place("poolName").problem(message).with_hint(hint));
            }
            return;
        }
        let ids: Vec<String> = pools.iter().map(|pool| pool.id.to_string()).collect();
        let declared = || format!("the scenario declares {}", one_of(ids.iter().map(String::as_str)));
        match trigger.setting("poolID") {
            None => {
                let hint = did_you_mean_key(trigger, &["poolID", "poolName"]);
                let hint = hint.unwrap_or_else(|| "add `poolID` or `poolName`".to_owned());
                let place = document.place(&["spec", "triggers", at, "metadata"]);
                self.problems.push(place.problem("the trigger names no pool").with_hint(hint));
            }
            Some(id) if !pools.iter().any(|pool| Ok(pool.id) == id.parse()) => {
                let message = format!("the scenario declares no pool with the id `{}`", shortened(id));
                self.problems.push(place("poolID").problem(message).with_hint(declared()));
            }
            Some(_) => {}
        }
    }

    fn authentication(&mut self, document: &Document, trigger: &Trigger, at: &str) {
        let Some(reference) = &trigger.authentication_ref else { return };
        if reference.kind.as_deref().is_some_and(|kind| kind != "TriggerAuthentication") {
            return;
        }
        let found = self.documents.iter().find_map(|other| match other.typed() {
            Object::TriggerAuthentication(object) if object.metadata.name == reference.name => {
                Some((other, object))
            }
            _ => None,
        });
        let Some((other, authentication)) = found else {
            let path = ["spec", "triggers", at, "authenticationRef", "name"];
            return self.missing(document, &path, "TriggerAuthentication", &reference.name);
        };
        for (at, parameter) in authentication.spec.secret_target_ref.iter().enumerate() {
            let at = at.to_string();
            let path = ["spec", "secretTargetRef", at.as_str()];
            self.key_exists(other, &path, "Secret", &parameter.name, &parameter.key);
        }
    }
}

/// A setting's name that is close to one of these.
fn did_you_mean_key(trigger: &Trigger, names: &[&str]) -> Option<String> {
    let written: BTreeSet<&str> = trigger.metadata.keys().map(String::as_str).collect();
    written.iter().find_map(|key| did_you_mean(key, names.iter().copied()))
}

/// What is filled in, as scenario files name it.
fn named(what: Substitute) -> &'static str {
    match what {
        Substitute::OrganizationUrl => "organization_url",
        Substitute::PersonalAccessToken => "personal_access_token",
        Substitute::PersonalAccessTokenBase64 => "personal_access_token_base64",
    }
}

/// The pods of an object, and where they stand in it.
fn pod_of(object: &Object) -> Option<(&PodSpec, &'static [&'static str])> {
    match object {
        Object::Deployment(object) => Some((&object.spec.template.spec, &["spec", "template", "spec"])),
        Object::StatefulSet(object) => Some((&object.spec.template.spec, &["spec", "template", "spec"])),
        Object::ScaledJob(object) => {
            let pod = &object.spec.job_target_ref.template.spec;
            Some((pod, &["spec", "jobTargetRef", "template", "spec"]))
        }
        _ => None,
    }
}

impl Document {
    /// Every text that could be substituted.
    fn texts(&self) -> impl Iterator<Item = &str> {
        body(&self.root).flat_map(|entry| texts(&entry.node))
    }
}

fn texts(node: &Node) -> Box<dyn Iterator<Item = &str> + '_> {
    match &node.value {
        Value::Scalar(Scalar { text, kind: Kind::Text }) => Box::new(std::iter::once(text.as_str())),
        Value::Scalar(_) => Box::new(std::iter::empty()),
        Value::List(items) => Box::new(items.iter().flat_map(texts)),
        Value::Map(entries) => Box::new(entries.iter().flat_map(|entry| texts(&entry.node))),
    }
}
