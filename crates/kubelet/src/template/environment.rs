//! A container's environment, and what it says will run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use model::Millis;

use super::EnvironmentSpec;
use super::expansion::expand;
use super::lean::{FieldRef, ResourceFieldRef, ValueFrom};
use super::quantity::divided;
use crate::entrypoint::{self, Script};
use crate::process::Program;

/// Where a variable's value can come from, beside the pod itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

/// A Secret's or ConfigMap's entries. What is not text is left out.
pub type Entries = Arc<BTreeMap<String, String>>;
/// The objects that an environment refers to; those that do not exist are not in it.
pub type Referred = BTreeMap<(Kind, String), Entries>;

/// What the downward API tells of a pod.
#[derive(Debug)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its uid.
    pub uid: String,
    /// What `hostname` prints in it.
    pub host_name: String,
    /// Its node's name.
    pub node: String,
    /// Its service account.
    pub service_account: String,
    /// Its address.
    pub pod_ip: String,
    /// Its node's address.
    pub host_ip: String,
    /// Its labels and annotations, where an environment quotes them.
    pub metadata: Option<Arc<Metadata>>,
}

/// A pod's labels and annotations.
#[derive(Debug, Default)]
pub struct Metadata {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Kind {
    /// As the API's "not found" writes it.
    fn resource(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::ConfigMap => "configmap",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// The objects that have to be read before an environment can be resolved.
#[must_use]
pub fn references(spec: &EnvironmentSpec) -> BTreeSet<(Kind, String)> {
    let whole = spec.variables_from.iter().flat_map(|from| {
        let secret = from.secret_ref.as_ref().map(|secret| (Kind::Secret, secret.name.clone()));
        let config_map = from.config_map_ref.as_ref().map(|map| (Kind::ConfigMap, map.name.clone()));
        secret.into_iter().chain(config_map)
    });
    let keys = spec.variables.iter().filter_map(|variable| variable.value_from.as_ref()).flat_map(|from| {
        let secret = from.secret_key_ref.as_ref().map(|key| (Kind::Secret, key.name.clone()));
        let config_map = from.config_map_key_ref.as_ref().map(|key| (Kind::ConfigMap, key.name.clone()));
        secret.into_iter().chain(config_map)
    });
    whole.chain(keys).collect()
}

/// The environment. An error is the kubelet's message for CreateContainerConfigError.
///
/// Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet_pods.go`, `makeEnvironmentVariables`. The variables
/// of Services are left out.
///
/// # Errors
/// If something that it refers to is missing or not modelled.
pub fn resolve(
    spec: &EnvironmentSpec,
    pod: &PodFacts,
    referred: &Referred,
) -> Result<BTreeMap<String, String>, String> {
    let mut environment = BTreeMap::new();
    for from in &spec.variables_from {
        let config_map = from.config_map_ref.as_ref().map(|reference| (Kind::ConfigMap, reference));
        let secret = from.secret_ref.as_ref().map(|reference| (Kind::Secret, reference));
        let Some((kind, reference)) = config_map.or(secret) else { continue };
        match referred.get(&(kind, reference.name.clone())) {
            Some(entries) => environment
                .extend(entries.iter().map(|(key, value)| (format!("{}{key}", from.prefix), value.clone()))),
            None if reference.optional => {}
            None => return Err(not_found(kind, &reference.name)),
        }
    }
    for variable in &spec.variables {
        let value = match &variable.value_from {
            Some(from) if variable.value.is_empty() => resolve_source(from, spec, pod, referred)?,
            _ => Some(expand(&variable.value, &environment)),
        };
        if let Some(value) = value {
            environment.insert(variable.name.clone(), value);
        }
    }
    Ok(environment)
}

fn resolve_source(
    from: &ValueFrom,
    spec: &EnvironmentSpec,
    pod: &PodFacts,
    referred: &Referred,
) -> Result<Option<String>, String> {
    if let Some(field) = &from.field_ref {
        return pod.field(field).map(Some);
    }
    if let Some(resource) = &from.resource_field_ref {
        return resolve_resource(resource, spec).map(Some);
    }
    let config_map = from.config_map_key_ref.as_ref().map(|key| (Kind::ConfigMap, key));
    let secret = from.secret_key_ref.as_ref().map(|key| (Kind::Secret, key));
    let Some((kind, key)) = config_map.or(secret) else {
        return Err("a variable's source is not modelled".to_owned());
    };
    match referred.get(&(kind, key.name.clone())) {
        Some(entries) => match entries.get(&key.key) {
            Some(value) => Ok(Some(value.clone())),
            None if key.optional => Ok(None),
            None => Err(format!(
                "couldn't find key {} in {} {}/{}",
                key.key,
                kind.name(),
                pod.namespace,
                key.name
            )),
        },
        None if key.optional => Ok(None),
        None => Err(not_found(kind, &key.name)),
    }
}

fn not_found(kind: Kind, name: &str) -> String {
    format!("{} \"{name}\" not found", kind.resource())
}

/// A container's own request or limit. Another container's, and the node's in place of a limit that
/// is not set, are not modelled.
fn resolve_resource(field: &ResourceFieldRef, spec: &EnvironmentSpec) -> Result<String, String> {
    let not_modelled = || format!("resourceFieldRef {} is not modelled here", field.resource);
    if !field.container_name.is_empty() && field.container_name != spec.container {
        return Err(not_modelled());
    }
    let (class, resource) = field.resource.split_once('.').ok_or_else(not_modelled)?;
    let amount = match class {
        "limits" => spec.resources.limits.get(resource),
        "requests" => spec.resources.requests.get(resource).or_else(|| spec.resources.limits.get(resource)),
        _ => None,
    };
    let value =
        amount.and_then(|amount| divided(amount.as_str(), &field.divisor)).ok_or_else(not_modelled)?;
    Ok(value.to_string())
}

/// What `hostname` prints in a pod of that name: at the most 63 characters.
///
/// Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet_pods.go`, `truncatePodHostnameIfNeeded`.
#[must_use]
pub fn host_name(name: &str) -> &str {
    const MOST: usize = 63;
    name.get(..MOST).unwrap_or(name).trim_end_matches(['-', '.'])
}

impl PodFacts {
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet_pods.go`, `podFieldSelectorRuntimeValue`, and
    /// `pkg/fieldpath/fieldpath.go`, `ExtractFieldPathAsString`.
    fn field(&self, field: &FieldRef) -> Result<String, String> {
        let metadata = self.metadata.as_deref();
        let all = |map: Option<&BTreeMap<String, String>>| {
            let lines = map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let one = |map: Option<&BTreeMap<String, String>>, key: &str| {
            map.and_then(|map| map.get(key)).cloned().unwrap_or_default()
        };
        let labels = metadata.map(|metadata| &metadata.labels);
        let annotations = metadata.map(|metadata| &metadata.annotations);
        Ok(match field.field_path.as_str() {
            "metadata.name" => self.name.clone(),
            "metadata.namespace" => self.namespace.to_string(),
            "metadata.uid" => self.uid.clone(),
            "metadata.labels" => all(labels),
            "metadata.annotations" => all(annotations),
            "spec.nodeName" => self.node.clone(),
            "spec.serviceAccountName" => self.service_account.clone(),
            "status.podIP" | "status.podIPs" => self.pod_ip.clone(),
            "status.hostIP" | "status.hostIPs" => self.host_ip.clone(),
            path => {
                let subscript = |map| {
                    let key = path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")?;
                    Some(key.to_owned())
                };
                match (subscript("metadata.labels"), subscript("metadata.annotations")) {
                    (Some(key), _) => one(labels, &key),
                    (_, Some(key)) => one(annotations, &key),
                    _ => return Err(format!("fieldRef {path} is not modelled here")),
                }
            }
        })
    }
}

/// What a container runs, and as which agent.
#[derive(Debug, PartialEq, Eq)]
pub struct Decided {
    /// What it runs.
    pub program: Program,
    /// The agent in it.
    pub agent: Option<Agent>,
}

/// What an environment says of the agent in the container.
#[derive(Clone, PartialEq, Eq)]
pub struct Agent {
    /// The organisation's address.
    pub url: String,
    /// The personal access token.
    pub token: String,
    /// The pool's name.
    pub pool: String,
    /// The agent's name.
    pub name: String,
    /// The environment without the token: the agent's capabilities.
    pub capabilities: BTreeMap<String, String>,
}

/// The token stays out of logs.
impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, token: _, pool, name, capabilities } = self;
        f.debug_struct("Agent")
            .field("url", url)
            .field("pool", pool)
            .field("name", name)
            .field("capabilities", capabilities)
            .finish_non_exhaustive()
    }
}

/// A container whose environment has an organisation's address and a pool runs an agent; any other
/// just runs.
///
/// The script reads the token with `$(cat FILE)`, so that space around it does not count; the agent
/// is told to ignore the token's variables, the others become its capabilities.
///
/// # Errors
/// If what the environment asks for is not modelled.
pub fn decide(
    mut environment: BTreeMap<String, String>,
    host_name: &str,
    script: Script,
    once: bool,
    start_up: Millis,
) -> Result<Decided, String> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let (Some(url), Some(pool)) = (set("AZP_URL"), set("AZP_POOL")) else {
        return Ok(Decided { program: Program::Plain, agent: None });
    };
    let token = set("AZP_TOKEN");
    if token.is_none()
        && let Some(file) = set("AZP_TOKEN_FILE")
    {
        return Err(format!(
            "the token in {file} (AZP_TOKEN_FILE) is not modelled: volumes are not mounted here"
        ));
    }
    let given_name = set("AZP_AGENT_NAME");
    let settings = entrypoint::Settings {
        script,
        once,
        template: given_name.as_ref().is_some_and(|name| name.contains("template")),
        complete: token.is_some(),
        first_process: true,
        start_up,
    };
    let token = token.unwrap_or_default().trim().to_owned();
    let name = given_name.unwrap_or_else(|| host_name.to_owned());
    environment.remove("AZP_TOKEN");
    environment.remove("AZP_TOKEN_FILE");
    let url = url.trim_end_matches('/').to_owned();
    let agent = Agent { url, token, pool, name, capabilities: environment };
    Ok(Decided { program: Program::Entrypoint(settings), agent: Some(agent) })
}

#[cfg(test)]
mod tests;
