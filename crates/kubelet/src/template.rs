//! What pods of one template share, read from a manifest or from the API's pod.
//!
//! Both give the same template: what the API server fills in by itself (a restart
//! policy, a grace period, requests where there are limits) is filled in here too.

pub mod environment;
pub mod expansion;
pub mod lean;
pub mod quantity;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Millis;
use serde::Deserialize;
use serde_json::Value;

use crate::entrypoint::Script;
use crate::spec::{ContainerSpec, PodSpec, ReadinessProbe, RestartPolicy};
use lean::{Exec, LeanContainer, LeanSpec, Probe, Resources, Variable, VariablesFrom};

/// An annotation that says which start script the agents of a pod have: `run-docker` or `run`. Without it
/// an image that [`Script::of_image`] knows says so, else it is `run-docker`.
pub const SCRIPT_ANNOTATION: &str = "poolproof/start-script";
/// A pod's grace period. Source: Kubernetes 1.35.4, `pkg/apis/core/types.go`, `DefaultTerminationGracePeriodSeconds`.
const DEFAULT_GRACE: u64 = 30;
/// The account of a pod that names none. Source: as above, `plugin/pkg/admission/serviceaccount/admission.go`,
/// `DefaultServiceAccountName`.
const DEFAULT_SERVICE_ACCOUNT: &str = "default";

/// What a pod is made from, its name and other singularities aside.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// What its life depends on.
    pub spec: Arc<PodSpec>,
    /// The containers' environments, init containers first.
    pub environments: Vec<EnvironmentSpec>,
    /// `serviceAccountName`.
    pub service_account: String,
    /// Which start script its agents have.
    pub script: Script,
    /// What of it is not modelled, as sentences.
    pub not_modelled: Vec<String>,
}

/// What a container's environment is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvironmentSpec {
    /// The container's name.
    pub container: String,
    /// `env`.
    pub variables: Vec<Variable>,
    /// `envFrom`.
    pub variables_from: Vec<VariablesFrom>,
    /// `resources`.
    pub resources: Resources,
    /// Whether `--once` is among the container's arguments.
    pub once: bool,
}

impl Template {
    /// Of a specification and the annotations beside it.
    #[must_use]
    pub fn of(spec: &LeanSpec, annotations: Option<&BTreeMap<String, String>>) -> Self {
        let mut not_modelled = Vec::new();
        let script = match annotations.and_then(|all| all.get(SCRIPT_ANNOTATION)) {
            None => spec
                .containers
                .iter()
                .find_map(|container| Script::of_image(&container.image))
                .unwrap_or_default(),
            Some(name) if name == "run-docker" => Script::RunDocker,
            Some(name) if name == "run" => Script::Run,
            Some(other) => {
                not_modelled.push(format!("the start script `{other}`: the agents run `run-docker`'s"));
                Script::RunDocker
            }
        };
        Self {
            environments: spec.init_containers.iter().chain(&spec.containers).map(environment).collect(),
            spec: Arc::new(pod_spec(spec, &mut not_modelled)),
            service_account: spec
                .service_account_name
                .clone()
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| DEFAULT_SERVICE_ACCOUNT.to_owned()),
            script,
            not_modelled,
        }
    }

    /// Of a manifest's `template` or `spec.template`, or of a whole pod: `metadata` and `spec`.
    ///
    /// # Errors
    /// If it is no pod template, with the parser's words.
    pub fn of_manifest(manifest: &Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Manifest {
            metadata: Metadata,
            spec: LeanSpec,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Metadata {
            annotations: Option<BTreeMap<String, String>>,
        }
        let manifest: Manifest = serde_json::from_value(without_nulls(manifest))?;
        Ok(Self::of(&manifest.spec, manifest.metadata.annotations.as_ref()))
    }

    /// Whether an environment quotes the pod's labels or annotations, so that they must be kept.
    #[must_use]
    pub fn reads_metadata(&self) -> bool {
        let path = |variable: &Variable| {
            variable.value_from.as_ref()?.field_ref.as_ref().map(|field| field.field_path.clone())
        };
        self.environments
            .iter()
            .flat_map(|environment| &environment.variables)
            .filter_map(path)
            .any(|path| path.starts_with("metadata.labels") || path.starts_with("metadata.annotations"))
    }
}

/// The API server drops members that are null, as an empty one in YAML is.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(name, member)| (name.clone(), without_nulls(member)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// Where there is a limit and no request, the limit is the request.
///
/// Source: Kubernetes 1.35.4, `pkg/apis/core/v1/defaults.go`, `SetDefaults_Pod`.
fn resources(container: &LeanContainer) -> Resources {
    let mut resources = container.resources.clone();
    for (name, limit) in &resources.limits {
        resources.requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
    resources
}

fn environment(container: &LeanContainer) -> EnvironmentSpec {
    EnvironmentSpec {
        container: container.name.clone(),
        variables: container.env.clone(),
        variables_from: container.env_from.clone(),
        resources: resources(container),
        once: container.args.iter().any(|argument| argument == "--once"),
    }
}

fn pod_spec(spec: &LeanSpec, not_modelled: &mut Vec<String>) -> PodSpec {
    let restart_policy = match spec.restart_policy.as_str() {
        "Never" => RestartPolicy::Never,
        "OnFailure" => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    PodSpec {
        restart_policy,
        grace: Millis::seconds(spec.termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE)),
        share_process_namespace: spec.share_process_namespace.unwrap_or(false),
        init_containers: spec.init_containers.iter().map(|each| container(each, not_modelled)).collect(),
        containers: spec.containers.iter().map(|each| container(each, not_modelled)).collect(),
    }
}

fn container(container: &LeanContainer, not_modelled: &mut Vec<String>) -> ContainerSpec {
    ContainerSpec {
        name: container.name.clone(),
        image: container.image.clone(),
        sidecar: container.restart_policy.as_deref() == Some("Always"),
        pre_stop: pre_stop(container, not_modelled),
        readiness: container.readiness_probe.as_ref().map(readiness),
    }
}

fn pre_stop(container: &LeanContainer, not_modelled: &mut Vec<String>) -> Option<Millis> {
    let hook = container.lifecycle.as_ref()?.pre_stop.as_ref()?;
    let span = match (&hook.sleep, &hook.exec) {
        (Some(sleep), _) => Some(Millis::seconds(sleep.seconds)),
        (None, Some(exec)) => slept(exec),
        (None, None) => None,
    };
    if span.is_none() {
        not_modelled.push(format!(
            "the pre-stop hook of container `{}` is not a sleep: here it takes no time and has no effect",
            container.name
        ));
    }
    span
}

/// How long a command sleeps that does nothing else: `sleep 15`, also within `sh -c`.
fn slept(exec: &Exec) -> Option<Millis> {
    let words: Vec<&str> = exec.command.iter().flat_map(|word| word.split_whitespace()).collect();
    let shell = |word: &str| matches!(word.rsplit('/').next(), Some("sh" | "bash" | "ash" | "dash"));
    let words = match words.as_slice() {
        [first, "-c", command @ ..] if shell(first) => command,
        all => all,
    };
    let words = if let ["exec", command @ ..] = words { command } else { words };
    match words {
        [program, span] if program.rsplit('/').next() == Some("sleep") => {
            let span = span.trim_end_matches(';');
            let (number, unit) =
                span.split_at(span.find(|c: char| !c.is_ascii_digit()).unwrap_or(span.len()));
            let seconds = match unit {
                "" | "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            number.parse::<u64>().ok().map(|number| Millis::seconds(number.saturating_mul(seconds)))
        }
        _ => None,
    }
}

fn readiness(probe: &Probe) -> ReadinessProbe {
    let default = ReadinessProbe::default();
    ReadinessProbe {
        asks_the_agent: probe.exec.is_some(),
        initial_delay: Millis::seconds(probe.initial_delay_seconds.unwrap_or(0)),
        period: probe.period_seconds.map_or(default.period, Millis::seconds),
        success_threshold: probe.success_threshold.unwrap_or(default.success_threshold),
        failure_threshold: probe.failure_threshold.unwrap_or(default.failure_threshold),
    }
}
