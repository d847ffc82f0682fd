//! Where KEDA and the agents would look for the organisation: always at the fake.
//!
//! A manifest's own address belongs to a real organisation. Were it left in place, KEDA and the
//! agents would take the manifest's token there. So every value that can tell them an address must
//! begin with a text that is replaced by the fake's, also one that another value overrides.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::environment::decoded;
use super::keda::{AZURE_PIPELINES, Trigger};
use super::kubernetes::Container;
use super::{Document, Object};
use crate::problem::Problem;
use crate::scenario::{Scenario, Substitute};
use crate::yaml::shortened;

/// The variable that tells Microsoft's entrypoint, and the emulated agent, where the organisation is.
const URL_VARIABLE: &str = "AZP_URL";
/// The trigger's setting, and the parameter of a `TriggerAuthentication`
/// (K:pkg/scalers/azure_pipelines_scaler.go, `azurePipelinesMetadata`).
const URL_SETTING: &str = "organizationURL";
/// The trigger's setting that names a variable of the workload's container.
const URL_FROM_VARIABLE: &str = "organizationURLFromEnv";
/// Variables that refer to variables are followed so far.
const MOST_REFERENCES: u32 = 8;

/// A value, where it stands, and how.
pub(super) struct Found<'d> {
    document: &'d Document,
    path: Vec<String>,
    text: String,
    held: Held,
}

/// How a value stands in the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// As it is.
    Plain,
    /// As it is, in a Secret.
    Secret,
    /// As base64, in a Secret.
    Base64,
    /// Only the cluster knows it.
    Unknown,
}

impl Found<'_> {
    /// Whether nobody may see it.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.held, Held::Secret | Held::Base64)
    }
}

/// A container, and where it stands.
struct Placed<'d> {
    document: &'d Document,
    path: Vec<String>,
    container: Container,
}

/// Every address that would lead somewhere else than to the fake.
pub(super) fn problems(scenario: &Scenario, documents: &[Document]) -> Vec<Problem> {
    let judge = Judge { substitute: &scenario.substitute, documents };
    let mut problems = Vec::new();
    for document in documents {
        for placed in containers(document) {
            problems.extend(judge.variable(&placed, URL_VARIABLE));
        }
        problems.extend(judge.scaler(document));
    }
    problems
}

struct Judge<'d> {
    substitute: &'d BTreeMap<String, Substitute>,
    documents: &'d [Document],
}

impl<'d> Judge<'d> {
    fn scaler(&self, document: &'d Document) -> Vec<Problem> {
        let (triggers, target, source) = match document.typed() {
            Object::ScaledObject(object) => {
                let reference = &object.spec.scale_target_ref;
                let target = self.documents.iter().find(|other| {
                    other.is_workload() && other.kind() == reference.kind() && other.name() == reference.name
                });
                (&object.spec.triggers, target, &reference.env_source_container_name)
            }
            Object::ScaledJob(object) => {
                (&object.spec.triggers, Some(document), &object.spec.env_source_container_name)
            }
            _ => return Vec::new(),
        };
        let mut problems = Vec::new();
        for (at, trigger) in triggers.iter().enumerate().filter(|(_, one)| one.kind == AZURE_PIPELINES) {
            let at = at.to_string();
            if let Some(text) = trigger.metadata.get(URL_SETTING) {
                let path = ["spec", "triggers", &at, "metadata", URL_SETTING].map(str::to_owned).to_vec();
                let found = Found { document, path, text: text.clone(), held: Held::Plain };
                problems.extend(self.judged(URL_SETTING, &found, None));
            }
            let from = trigger.setting(URL_FROM_VARIABLE).zip(chosen(target, source.as_deref()));
            problems.extend(from.into_iter().flat_map(|(name, placed)| self.variable(&placed, name)));
            problems.extend(self.authentication(trigger, target));
        }
        problems
    }

    /// What the trigger's `TriggerAuthentication` says
    /// (K:pkg/scaling/resolver/scale_resolvers.go, `resolveAuthRef`).
    fn authentication(&self, trigger: &Trigger, target: Option<&'d Document>) -> Vec<Problem> {
        let name = trigger.authentication_ref.as_ref().map(|reference| reference.name.as_str());
        let mut problems = Vec::new();
        for document in self.documents.iter().filter(|document| Some(document.name()) == name) {
            let Object::TriggerAuthentication(authentication) = document.typed() else { continue };
            let spec = &authentication.spec;
            let secrets = spec.secret_target_ref.iter().map(|parameter| ("Secret", parameter));
            let maps = spec.config_map_target_ref.iter().map(|parameter| ("ConfigMap", parameter));
            for (kind, parameter) in secrets.chain(maps).filter(|(_, one)| one.parameter == URL_SETTING) {
                for found in values(kind, &parameter.name, &parameter.key, self.documents) {
                    problems.extend(self.judged(URL_SETTING, &found, None));
                }
            }
            let text = |entry: &'d Json, field| entry.get(field).and_then(Json::as_str);
            for entry in spec.env.iter().filter(|entry| text(entry, "parameter") == Some(URL_SETTING)) {
                let from = text(entry, "name").zip(chosen(target, text(entry, "containerName")));
                problems.extend(from.into_iter().flat_map(|(name, placed)| self.variable(&placed, name)));
            }
        }
        problems
    }

    fn variable(&self, placed: &Placed<'d>, name: &str) -> Vec<Problem> {
        let all = variables(placed, name, self.documents);
        all.iter().filter_map(|found| self.judged(name, found, Some(placed))).collect()
    }

    /// What is wrong with this value as the organisation's address.
    fn judged(&self, name: &str, found: &Found<'d>, placed: Option<&Placed<'d>>) -> Option<Problem> {
        // Nothing, or only white space: nobody is called (K:pkg/scalers/scalersconfig/typed_config.go trims).
        if found.text.trim().is_empty() && found.held != Held::Unknown || self.leads_here(found, placed, 0) {
            return None;
        }
        let path: Vec<&str> = found.path.iter().map(String::as_str).collect();
        let place = found.document.place(&path);
        let text = found.text.trim();
        // A name and a password may stand before the host.
        let quotable = found.held == Held::Plain && !text.contains('@');
        let problem = match found.held {
            Held::Unknown => place
                .problem(format!("the manifests do not tell `{name}`: KEDA and agents might call anyone"))
                .with_hint("write the address as its `value`, and substitute it by `organization_url`"),
            Held::Base64 => place
                .problem(format!(
                    "`{name}` is base64, in which nothing is replaced: KEDA and agents would call it"
                ))
                .with_hint("put the address under `stringData`, and substitute it by `organization_url`"),
            Held::Plain | Held::Secret => {
                let what = if quotable { format!("`{}`", shortened(text)) } else { "an address".to_owned() };
                let unreplaced = self.unreplaced(text);
                let message = format!("`{name}` is {what}, and {unreplaced}: KEDA and agents would call it");
                place.problem(message).with_hint(if quotable {
                    format!(
                        "substitute it: `{text}: organization_url` under `substitute`, or --substitute \
                         '{text}=organization_url'"
                    )
                } else {
                    "substitute all of it by `organization_url`".to_owned()
                })
            }
        };
        Some(if quotable || found.held == Held::Unknown { problem } else { problem.private() })
    }

    fn unreplaced(&self, text: &str) -> &'static str {
        let mut texts = self.substitute.iter().filter(|(_, what)| **what == Substitute::OrganizationUrl);
        if texts.any(|(part, _)| text.contains(part.as_str())) {
            "nothing replaces its beginning"
        } else {
            "nothing replaces it"
        }
    }

    /// Whether the value begins with the fake's address once everything is filled in.
    fn leads_here(&self, found: &Found<'d>, placed: Option<&Placed<'d>>, references: u32) -> bool {
        if matches!(found.held, Held::Base64 | Held::Unknown) {
            return false;
        }
        let text = found.text.as_str();
        if let Some(what) = self.first_replaced(text) {
            return what == Substitute::OrganizationUrl;
        }
        let Some((placed, name)) = placed.zip(reference(text)) else { return false };
        let named = variables(placed, name, self.documents);
        references < MOST_REFERENCES
            && !named.is_empty()
            && named.iter().all(|found| self.leads_here(found, Some(placed), references + 1))
    }

    /// What the beginning of a text is replaced by, as [`super::substitute`] does it.
    fn first_replaced(&self, text: &str) -> Option<Substitute> {
        let mut rest = text;
        loop {
            let known = self
                .substitute
                .iter()
                .filter(|(text, _)| !text.is_empty() && rest.starts_with(text.as_str()));
            if let Some((_, what)) = known.max_by_key(|(text, _)| text.len()) {
                return Some(*what);
            }
            let next = rest.chars().next().filter(|next| next.is_whitespace())?;
            rest = &rest[next.len_utf8()..];
        }
    }
}

/// The variable that a text begins with, as in `$(NAME)/more`.
fn reference(text: &str) -> Option<&str> {
    let (name, _) = text.trim_start().strip_prefix("$(")?.split_once(')')?;
    Some(name)
}

/// The container whose environment KEDA reads: the one of this name, or else the first
/// (K:pkg/scaling/resolver/scale_resolvers.go, `ResolveContainerEnv`).
fn chosen<'d>(target: Option<&'d Document>, name: Option<&str>) -> Option<Placed<'d>> {
    let name = name.filter(|name| !name.is_empty());
    let mut all = containers(target?).into_iter().filter(|placed| {
        let mut steps = placed.path.iter().rev();
        steps.nth(1).is_some_and(|list| list == "containers")
    });
    all.find(|placed| name.is_none_or(|name| placed.container.name == name))
}

/// All values that a container's variable has or would have, were it not for another.
pub(super) fn variable<'d>(
    container: &Container,
    document: &'d Document,
    path: &[&str],
    name: &str,
    documents: &'d [Document],
) -> Vec<Found<'d>> {
    let path = path.iter().map(|step| (*step).to_owned()).collect();
    variables(&Placed { document, path, container: container.clone() }, name, documents)
}

fn variables<'d>(placed: &Placed<'d>, name: &str, documents: &'d [Document]) -> Vec<Found<'d>> {
    let Placed { document, path, container } = placed;
    let mut all = Vec::new();
    for source in &container.env_from {
        let Some(key) = name.strip_prefix(source.prefix.as_deref().unwrap_or_default()) else { continue };
        let secret = source.secret_ref.as_ref().map(|reference| ("Secret", &reference.name));
        let map = source.config_map_ref.as_ref().map(|reference| ("ConfigMap", &reference.name));
        let objects = secret.into_iter().chain(map);
        all.extend(objects.flat_map(|(kind, object)| values(kind, object, key, documents)));
    }
    for (at, variable) in container.env.iter().enumerate().filter(|(_, variable)| variable.name == name) {
        let below = |field: &str| {
            let steps = ["env".to_owned(), at.to_string(), field.to_owned()];
            path.iter().cloned().chain(steps).collect::<Vec<String>>()
        };
        if let Some(text) = &variable.value {
            all.push(Found { document, path: below("value"), text: text.clone(), held: Held::Plain });
        }
        let Some(source) = &variable.value_from else { continue };
        let secret = source.secret_key_ref.as_ref().map(|key| ("Secret", key));
        let map = source.config_map_key_ref.as_ref().map(|key| ("ConfigMap", key));
        if secret.is_none() && map.is_none() {
            let path = below("valueFrom");
            all.push(Found { document, path, text: String::new(), held: Held::Unknown });
        }
        let keys = secret.into_iter().chain(map);
        all.extend(keys.flat_map(|(kind, key)| values(kind, &key.name, &key.key, documents)));
    }
    all
}

/// What stands under a key of a Secret or a ConfigMap; of a Secret's two maps the one that wins.
fn values<'d>(kind: &str, name: &str, key: &str, documents: &'d [Document]) -> Vec<Found<'d>> {
    let named = documents.iter().filter(|document| document.kind() == kind && document.name() == name);
    let value = |document: &'d Document| {
        let found = |field: &str, text: &str, held| {
            let path = vec![field.to_owned(), key.to_owned()];
            Found { document, path, text: text.to_owned(), held }
        };
        match document.typed() {
            Object::ConfigMap(map) => map.data.get(key).map(|text| found("data", text, Held::Plain)),
            Object::Secret(secret) => match (secret.string_data.get(key), secret.data.get(key)) {
                (Some(text), _) => Some(found("stringData", text, Held::Secret)),
                // What is no base64 counts as it is written: it is something, and no address.
                (None, Some(text)) => {
                    let held = decoded(text).unwrap_or_else(|| text.clone());
                    Some(found("data", &held, Held::Base64))
                }
                (None, None) => None,
            },
            _ => None,
        }
    };
    named.filter_map(value).collect()
}

/// Every container of an object of any kind: also a Pod's or a Job's would call its organisation.
fn containers(document: &Document) -> Vec<Placed<'_>> {
    let mut all = Vec::new();
    collect(document, document.value(), &mut Vec::new(), &mut all);
    all
}

fn collect<'d>(document: &'d Document, value: &Json, path: &mut Vec<String>, all: &mut Vec<Placed<'d>>) {
    let steps: Vec<(String, &Json)> = match value {
        Json::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Json::Array(items) => items.iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect(),
        _ => return,
    };
    let holds_containers = value.is_array()
        && path.last().is_some_and(|key| {
            matches!(key.as_str(), "containers" | "initContainers" | "ephemeralContainers")
        });
    for (step, below) in steps {
        path.push(step);
        if holds_containers && let Ok(container) = serde_json::from_value(without_nulls(below)) {
            all.push(Placed { document, path: path.clone(), container });
        }
        collect(document, below, path, all);
        path.pop();
    }
}

/// A null counts as absent, as the API server takes it.
fn without_nulls(value: &Json) -> Json {
    match value {
        Json::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect()
        }
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
