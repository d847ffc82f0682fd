//! The objects of a scenario's manifests, made ready to be simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controllers::workload::{
    Kind as WorkloadKind, NewWorkload, PodManagement, Strategy, Template as WorkloadTemplate,
};
use controllers::{JobSpec, PodReplacement, RestartPolicy};
use kubelet::Template;
use kubelet::template::environment::{Kind, Referred};
use model::Millis;
use model::manifest::kubernetes::{DEFAULT_GRACE_S, DEFAULT_REPLICAS};
use model::manifest::{Document, Object, ScaledJob, ScaledObject, TriggerAuthentication};
use serde_json::Value as Json;

use crate::TwinError;
use crate::node::PodTemplate;

/// Everything that a run applies.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    /// What KEDA scales by.
    pub(crate) scaler: Scaler,
    /// Deployments and StatefulSets, in the order of the files.
    pub(crate) workloads: Vec<Workload>,
    /// TriggerAuthentications by name.
    pub(crate) authentications: BTreeMap<String, TriggerAuthentication>,
    /// Secrets and ConfigMaps.
    pub(crate) values: Referred,
    /// The objects as they were written, by `Kind/name`: what edits are merged into.
    pub(crate) written: BTreeMap<String, Json>,
}

/// What KEDA scales by.
#[derive(Debug, Clone)]
pub(crate) enum Scaler {
    Object(Box<ScaledObject>),
    Job(Box<ScaledJob>, Box<JobTemplate>),
}

/// A Deployment or a StatefulSet.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) new: NewWorkload,
    pub(crate) template: Arc<PodTemplate>,
    /// `Deployment/name`.
    pub(crate) object: String,
}

/// What a ScaledJob's Jobs are made from.
#[derive(Debug, Clone)]
pub(crate) struct JobTemplate {
    pub(crate) spec: JobSpec,
    pub(crate) hash: u32,
    pub(crate) template: Arc<PodTemplate>,
}

/// What every pod of the run shares.
pub(crate) struct Surroundings<'s> {
    pub(crate) namespace: &'s str,
    pub(crate) capabilities: &'s BTreeMap<String, String>,
}

impl Objects {
    /// Reads the documents.
    pub(crate) fn read(documents: &[Document], around: &Surroundings<'_>) -> Result<Self, TwinError> {
        let values = values(documents);
        let written: BTreeMap<String, Json> =
            documents.iter().map(|document| (document.object(), document.value().clone())).collect();
        let (mut scaler, mut workloads, mut authentications) = (None, Vec::new(), BTreeMap::new());
        for document in documents {
            match document.typed() {
                Object::Deployment(_) | Object::StatefulSet(_) => {
                    workloads.push(workload(document.value(), &values, around)?);
                }
                Object::ScaledObject(object) => scaler = Some(Scaler::Object(object.clone())),
                Object::ScaledJob(object) => {
                    let template = job_template(document.value(), &values, around)?;
                    scaler = Some(Scaler::Job(object.clone(), Box::new(template)));
                }
                Object::TriggerAuthentication(object) => {
                    authentications.insert(object.metadata.name.clone(), (**object).clone());
                }
                Object::Secret(_) | Object::ConfigMap(_) | Object::Other => {}
            }
        }
        let scaler = scaler.ok_or_else(|| TwinError::Manifest("no manifest has a KEDA object".to_owned()))?;
        Ok(Self { scaler, workloads, authentications, values, written })
    }
}

/// A workload as it is written.
pub(crate) fn workload(
    written: &Json,
    values: &Referred,
    around: &Surroundings<'_>,
) -> Result<Workload, TwinError> {
    let text = |pointer: &str| written.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let object = format!("{kind}/{name}");
    let of_kind = match kind {
        "StatefulSet" => WorkloadKind::StatefulSet(match text("/spec/podManagementPolicy") {
            "Parallel" => PodManagement::Parallel,
            _ => PodManagement::OrderedReady,
        }),
        _ => WorkloadKind::Deployment(match text("/spec/strategy/type") {
            "Recreate" => Strategy::Recreate,
            _ => Strategy::RollingUpdate,
        }),
    };
    let replicas = written.pointer("/spec/replicas").and_then(Json::as_u64);
    let template = written.pointer("/spec/template").unwrap_or(&Json::Null);
    let pod_template = pod_template(&object, template, values, around)?;
    let new = NewWorkload {
        name: name.into(),
        kind: of_kind,
        replicas: replicas.map_or(DEFAULT_REPLICAS, number),
        template: WorkloadTemplate { hash: hash(template), grace: grace(template) },
    };
    Ok(Workload { new, template: pod_template, object })
}

/// What a ScaledJob's Jobs are made from, as it is written.
pub(crate) fn job_template(
    written: &Json,
    values: &Referred,
    around: &Surroundings<'_>,
) -> Result<JobTemplate, TwinError> {
    let job = written.pointer("/spec/jobTargetRef").unwrap_or(&Json::Null);
    let field = |name: &str| job.get(name).and_then(Json::as_u64);
    let defaults = JobSpec::default();
    let template = job.get("template").unwrap_or(&Json::Null);
    // A Job without `completions` and with `parallelism` is a work queue (`SetDefaults_Job`).
    let (parallelism, completions) = (field("parallelism").map(number), field("completions").map(number));
    let completions = if completions.is_none() && parallelism.is_none() { Some(1) } else { completions };
    let spec = JobSpec {
        parallelism: parallelism.unwrap_or(defaults.parallelism),
        completions,
        backoff_limit: field("backoffLimit").map_or(defaults.backoff_limit, number),
        active_deadline: field("activeDeadlineSeconds").map(Millis::seconds),
        ttl: field("ttlSecondsAfterFinished").map(Millis::seconds),
        replacement: match job.get("podReplacementPolicy").and_then(Json::as_str) {
            Some("Failed") => PodReplacement::Failed,
            _ => PodReplacement::TerminatingOrFailed,
        },
        // Without one KEDA writes OnFailure (scale_jobs.go, `generateJobs`).
        restart_policy: match template.pointer("/spec/restartPolicy").and_then(Json::as_str) {
            Some("Never") => RestartPolicy::Never,
            _ => RestartPolicy::OnFailure,
        },
        grace: grace(template),
    };
    let mut with_policy = template.clone();
    if let Some(pod) = with_policy.get_mut("spec").and_then(Json::as_object_mut) {
        pod.entry("restartPolicy").or_insert_with(|| "OnFailure".into());
    }
    let name = written.pointer("/metadata/name").and_then(Json::as_str).unwrap_or_default();
    let template = pod_template(&format!("ScaledJob/{name}"), &with_policy, values, around)?;
    Ok(JobTemplate { spec, hash: hash(&with_policy), template })
}

fn pod_template(
    object: &str,
    template: &Json,
    values: &Referred,
    around: &Surroundings<'_>,
) -> Result<Arc<PodTemplate>, TwinError> {
    let read = Template::of_manifest(template)
        .map_err(|error| TwinError::Manifest(format!("{object}: the pod template: {error}")))?;
    if let Some(sentence) = read.not_modelled.first() {
        return Err(TwinError::Manifest(format!("{object}: the twin does not model {sentence}")));
    }
    let capabilities = around.capabilities.clone();
    Ok(Arc::new(PodTemplate::new(read, around.namespace, values.clone(), capabilities)))
}

fn grace(template: &Json) -> Millis {
    let seconds = template.pointer("/spec/terminationGracePeriodSeconds").and_then(Json::as_u64);
    Millis::seconds(seconds.unwrap_or(DEFAULT_GRACE_S))
}

/// What makes a template differ from another: FNV-1a of its text. Real ones are hashed from another
/// form of the same object; a hash's value matters to nobody.
fn hash(template: &Json) -> u32 {
    template
        .to_string()
        .bytes()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn number(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The entries of all Secrets and ConfigMaps, decoded.
fn values(documents: &[Document]) -> Referred {
    let mut values = Referred::new();
    for document in documents {
        let (kind, name, entries) = match document.typed() {
            Object::Secret(secret) => {
                let decoded = secret.data.iter().filter_map(|(key, value)| {
                    let bytes = STANDARD.decode(value.trim()).ok()?;
                    Some((key.clone(), String::from_utf8(bytes).ok()?))
                });
                let mut entries: BTreeMap<String, String> = decoded.collect();
                entries.extend(secret.string_data.clone());
                (Kind::Secret, &secret.metadata.name, entries)
            }
            Object::ConfigMap(map) => (Kind::ConfigMap, &map.metadata.name, map.data.clone()),
            _ => continue,
        };
        values.insert((kind, name.clone()), Arc::new(entries));
    }
    values
}
