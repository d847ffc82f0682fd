//! What pods of one template share, kept once.

use std::sync::Arc;

use kubelet::entrypoint::Script;
use kubelet::spec::{ContainerSpec, PodSpec, ReadinessProbe, RestartPolicy};
use model::Millis;

use super::lean::{Exec, LeanContainer, LeanPod, LeanSpec, Probe, Resources, Variable, VariablesFrom};

/// An annotation that says which start script the agents of a pod have: `run-docker` (the default) or `run`.
pub(super) const SCRIPT_ANNOTATION: &str = "poolproof/start-script";
/// A pod's grace period. Source: Kubernetes 1.35.4, `pkg/apis/core/types.go`, `DefaultTerminationGracePeriodSeconds`.
const DEFAULT_GRACE: u64 = 30;

/// What a pod is made from, its name and other singularities aside.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    pub(super) spec: Arc<PodSpec>,
    /// The containers' environments, init containers first.
    pub(super) environments: Vec<EnvironmentSpec>,
    pub(super) service_account: String,
    pub(super) script: Script,
    /// What of it is not modelled, as sentences.
    pub(super) not_modelled: Vec<String>,
}

/// What a container's environment is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EnvironmentSpec {
    pub(super) container: String,
    pub(super) variables: Vec<Variable>,
    pub(super) variables_from: Vec<VariablesFrom>,
    pub(super) resources: Resources,
    /// Whether `--once` is among the container's arguments.
    pub(super) once: bool,
}

impl Template {
    pub(super) fn of(pod: &LeanPod) -> Self {
        let spec = &pod.spec;
        let mut not_modelled = Vec::new();
        let script = match pod.metadata.annotations.as_ref().and_then(|all| all.get(SCRIPT_ANNOTATION)) {
            None => Script::RunDocker,
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
            service_account: spec.service_account_name.clone().unwrap_or_default(),
            script,
            not_modelled,
        }
    }

    /// Whether an environment quotes the pod's labels or annotations, so that they must be kept.
    pub(super) fn reads_metadata(&self) -> bool {
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

fn environment(container: &LeanContainer) -> EnvironmentSpec {
    EnvironmentSpec {
        container: container.name.clone(),
        variables: container.env.clone(),
        variables_from: container.env_from.clone(),
        resources: container.resources.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Option<Millis> {
        slept(&Exec { command: words.iter().map(|word| (*word).to_owned()).collect() })
    }

    #[test]
    fn a_hook_that_only_sleeps_is_understood() {
        for words in [
            &["sleep", "15"][..],
            &["/bin/sleep", "15s"],
            &["sh", "-c", "sleep 15"],
            &["/bin/bash", "-c", "exec sleep 15;"],
        ] {
            assert_eq!(command(words), Some(Millis::seconds(15)), "{words:?}");
        }
        assert_eq!(command(&["sleep", "2m"]), Some(Millis::minutes(2)));
    }

    #[test]
    fn a_hook_that_does_more_is_not() {
        for words in [
            &["sh", "-c", "sleep 15 && ./config.sh remove"][..],
            &["sh", "-c", "while pgrep Agent.Worker; do sleep 5; done"],
            &["./config.sh", "remove"],
            &["sleep", "a while"],
            &[],
        ] {
            assert_eq!(command(words), None, "{words:?}");
        }
    }
}
