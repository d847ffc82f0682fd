//! What a trigger refers to: the environment of the scaled container, and the
//! parameters of its TriggerAuthentication.

use std::collections::BTreeMap;
use std::sync::Arc;

use keda::scaler::Surroundings;
use kubelet::Template;
use kubelet::template::environment::{Kind, PodFacts, Referred, resolve};
use model::manifest::TriggerAuthentication;
use model::manifest::keda::{ParameterReference, Trigger};
use serde_json::Value as Json;

/// The surroundings of a trigger. `container` is `envSourceContainerName`, or the first one.
pub(crate) fn surroundings(
    trigger: &Trigger,
    template: &Template,
    container: Option<&str>,
    authentications: &BTreeMap<String, TriggerAuthentication>,
    values: &Referred,
) -> Surroundings {
    let reference = trigger.authentication_ref.as_ref();
    let authentication = reference.and_then(|reference| authentications.get(&reference.name));
    let mut parameters = BTreeMap::new();
    if let Some(authentication) = authentication {
        let spec = &authentication.spec;
        parameters.extend(referred(&spec.secret_target_ref, Kind::Secret, values));
        parameters.extend(referred(&spec.config_map_target_ref, Kind::ConfigMap, values));
        for variable in &spec.env {
            let text =
                |field: &str| variable.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
            let environment = environment(template, text("containerName").or(container), values);
            if let (Some(parameter), Some(value)) =
                (text("parameter"), text("name").and_then(|name| environment.get(name)))
            {
                parameters.insert(parameter.to_owned(), value.clone());
            }
        }
    }
    let identity = authentication.and_then(|authentication| authentication.spec.pod_identity.as_ref());
    let provider = identity.and_then(|identity| identity.get("provider")).and_then(Json::as_str);
    Surroundings {
        environment: environment(template, container, values),
        parameters,
        pod_identity: provider.map(str::to_owned),
    }
}

fn referred(
    references: &[ParameterReference],
    kind: Kind,
    values: &Referred,
) -> impl Iterator<Item = (String, String)> {
    references.iter().filter_map(move |reference| {
        let entries = values.get(&(kind, reference.name.clone()))?;
        Some((reference.parameter.clone(), entries.get(&reference.key)?.clone()))
    })
}

/// A container's environment as KEDA resolves it, without the pod's own facts
/// (K:pkg/scaling/resolver/scale_resolvers.go, `resolveEnv`).
fn environment(template: &Template, container: Option<&str>, values: &Referred) -> BTreeMap<String, String> {
    let mut environments = template.environments.iter().skip(template.spec.init_containers.len());
    let found = match container {
        Some(name) => template.environments.iter().find(|environment| environment.container == name),
        None => environments.next(),
    };
    let nobody = PodFacts {
        name: String::new(),
        namespace: Arc::from(""),
        uid: String::new(),
        host_name: String::new(),
        node: String::new(),
        service_account: String::new(),
        pod_ip: String::new(),
        host_ip: String::new(),
        metadata: None,
    };
    found.and_then(|environment| resolve(environment, &nobody, values).ok()).unwrap_or_default()
}
