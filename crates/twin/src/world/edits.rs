//! The scenario's edits, tried before the run: what the API would refuse, or the twin does not model, is told
//! then and not in the middle.

use model::fault::{Edit, Fault};
use model::manifest::{ScaledJob, ScaledObject};
use serde_json::Value as Json;

use super::operator::check_object;
use crate::manifests::objects::{Objects, Surroundings, job_template, workload};
use crate::manifests::paths_not_modelled;
use crate::merge_patch::merge;
use crate::request::{Request, TwinError};

/// Tries every edit in the order of their moments.
pub(super) fn check(request: &Request<'_>, objects: &Objects, namespace: &str) -> Result<(), TwinError> {
    let mut edits: Vec<(usize, &Edit)> = Vec::new();
    for (number, fault) in request.scenario.faults.iter().enumerate() {
        if let Fault::Edit(edit) = fault {
            edits.push((number, edit));
        }
    }
    edits.sort_by_key(|(_, edit)| edit.at);
    let mut written = objects.written.clone();
    let around = Surroundings { namespace, capabilities: &request.scenario.agents.capabilities };
    for (number, edit) in edits {
        let wrong = |because: &str| TwinError::Manifest(format!("faults.{number}.edit: {because}"));
        let Some(object) = written.get_mut(&edit.object) else {
            return Err(wrong(&format!("{} is in no manifest", edit.object)));
        };
        let target = object.pointer("/spec/scaleTargetRef").cloned();
        merge(object, &Json::Object(edit.patch.clone()));
        if object.pointer("/spec/scaleTargetRef").cloned() != target {
            return Err(wrong("the twin does not model another scaleTargetRef in mid-run"));
        }
        tried(request, objects, &around, edit, object).map_err(|error| wrong(&error.to_string()))?;
    }
    Ok(())
}

fn tried(
    request: &Request<'_>,
    objects: &Objects,
    around: &Surroundings<'_>,
    edit: &Edit,
    object: &Json,
) -> Result<(), TwinError> {
    let refused = |because: String| TwinError::Manifest(because);
    let (kind, _) = edit.object.split_once('/').unwrap_or_default();
    let paths = paths_not_modelled(kind, object).unwrap_or_default();
    if let Some(path) = paths.first() {
        return Err(refused(format!("the twin does not model `{}`", path.join("."))));
    }
    match kind {
        "Deployment" | "StatefulSet" => workload(object, &objects.values, around).map(|_| ()),
        "ScaledObject" => {
            let read: ScaledObject =
                serde_json::from_value(object.clone()).map_err(|error| refused(error.to_string()))?;
            check_object(objects, &read, request.keda)
        }
        "ScaledJob" => {
            let _: ScaledJob =
                serde_json::from_value(object.clone()).map_err(|error| refused(error.to_string()))?;
            job_template(object, &objects.values, around).map(|_| ())
        }
        other => Err(refused(format!("the twin does not model a change of a {other} in mid-run"))),
    }
}
