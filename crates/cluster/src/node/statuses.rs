//! A pod's status as the API wants it.

use clock::Clock;
use kubelet::spec::{ContainerSpec, PodSpec};
use kubelet::status::{ContainerState, ContainerStatus, PodStatus, Termination};
use model::Instant;
use serde_json::{Map, Value, json};

use super::dates;

/// Where a pod is, and who it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) uid: &'a str,
    pub(super) pod_ip: &'a str,
    pub(super) host_ip: &'a str,
    /// Whether somebody else than the scheduler bound the pod, so that nobody has written `PodScheduled`.
    pub(super) writes_scheduled: bool,
}

/// The strategic merge patch of the status, with the pod's uid, so that it never meets a successor
/// of the same name.
pub(super) fn patch(clock: &Clock, status: &PodStatus, spec: &PodSpec, place: Place<'_>) -> Value {
    let date = |instant| dates::seconds(clock, instant);
    let mut conditions: Vec<Value> = status
        .conditions
        .iter()
        .map(|condition| {
            let mut value = json!({
                "type": condition.kind.as_str(),
                "status": if condition.holds { "True" } else { "False" },
                "lastTransitionTime": date(condition.since),
            });
            // Null takes away what an earlier write left there.
            value["reason"] = text_or_null(condition.reason);
            value["message"] = text_or_null(&condition.message);
            value
        })
        .collect();
    if place.writes_scheduled {
        conditions.push(json!({
            "type": "PodScheduled", "status": "True", "lastTransitionTime": date(status.start_time),
        }));
    }
    let containers = |specs: &[ContainerSpec], statuses: &[ContainerStatus]| -> Vec<Value> {
        specs.iter().zip(statuses).map(|(spec, status)| container(clock, spec, status, place.uid)).collect()
    };
    let mut patch = json!({
        "metadata": {"uid": place.uid},
        "status": {
            "phase": status.phase.as_str(),
            "startTime": date(status.start_time),
            "hostIP": place.host_ip,
            "hostIPs": [{"ip": place.host_ip}],
            "podIP": place.pod_ip,
            "podIPs": [{"ip": place.pod_ip}],
            "conditions": conditions,
            "containerStatuses": containers(&spec.containers, &status.containers),
        },
    });
    if !spec.init_containers.is_empty() {
        patch["status"]["initContainerStatuses"] =
            containers(&spec.init_containers, &status.init_containers).into();
    }
    patch
}

fn text_or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

fn container(clock: &Clock, spec: &ContainerSpec, status: &ContainerStatus, uid: &str) -> Value {
    let id = container_id(uid, &spec.name, status.restarts);
    let earlier = container_id(uid, &spec.name, status.restarts.saturating_sub(1));
    let (state, was_created) = match &status.state {
        ContainerState::Waiting { reason, message } => {
            let mut waiting = Map::new();
            waiting.insert("reason".to_owned(), (*reason).into());
            if !message.is_empty() {
                waiting.insert("message".to_owned(), message.as_str().into());
            }
            (json!({ "waiting": waiting }), status.last.is_some())
        }
        ContainerState::Running { since } => {
            (json!({"running": {"startedAt": dates::seconds(clock, *since)}}), true)
        }
        ContainerState::Terminated(end) => (terminated(clock, end, &id), end.started.is_some()),
    };
    // A container that waits after its end is still the one that ended.
    let waits = matches!(status.state, ContainerState::Waiting { .. });
    let last = status.last.map(|end| terminated(clock, &end, if waits { &id } else { &earlier }));
    json!({
        "name": spec.name,
        "image": spec.image,
        "imageID": if was_created { spec.image.as_str() } else { "" },
        "containerID": if was_created { id.as_str() } else { "" },
        "ready": status.ready,
        "started": status.started,
        "restartCount": status.restarts,
        "state": state,
        "lastState": last.unwrap_or_else(|| json!({})),
    })
}

fn terminated(clock: &Clock, end: &Termination, id: &str) -> Value {
    let date = |instant: Instant| dates::seconds(clock, instant);
    let mut terminated = json!({
        "exitCode": end.code,
        "reason": end.reason(),
        "startedAt": end.started.map(date),
        "finishedAt": end.started.is_some().then(|| date(end.finished)),
    });
    if end.started.is_some() {
        terminated["containerID"] = id.into();
    }
    if !end.message().is_empty() {
        terminated["message"] = end.message().into();
    }
    json!({ "terminated": terminated })
}

fn container_id(uid: &str, container: &str, restarts: u32) -> String {
    format!("poolproof://{uid}/{container}/{restarts}")
}
