//! As much of an API server as a node asks for: nodes, leases, pods with a watch, Secrets.
//!
//! Only what a node can see is there; merging knows of conditions and of nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

/// The longest that a test waits for something, in wall time.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(super) struct FakeApi {
    state: Arc<Mutex<Held>>,
    /// Changes with every request, so that a test can wait for one.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Held {
    /// Every object by its path.
    pub(super) objects: BTreeMap<String, Value>,
    /// Every request that changes something: method, path, body.
    pub(super) requests: Vec<(String, String, Value)>,
    /// How many writes of a status are refused with 500.
    pub(super) refuse: u32,
    /// Whether the next watch is refused: what it asks for is too long ago.
    expired: bool,
    version: u64,
    watchers: Vec<mpsc::UnboundedSender<Bytes>>,
}

impl FakeApi {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), changed: watch::Sender::new(0) }
    }

    pub(super) fn client(&self) -> kube::Client {
        let node = patch(write).get(read).delete(remove);
        let router = Router::new()
            .route("/api/v1/nodes/{name}", node)
            .route("/api/v1/nodes/{name}/status", patch(write))
            .route("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}", patch(write))
            .route("/api/v1/pods", get(pods))
            .route("/api/v1/namespaces/{namespace}/pods/{name}/status", patch(write))
            .route("/api/v1/namespaces/{namespace}/pods/{name}", axum::routing::delete(remove))
            .route("/api/v1/namespaces/{namespace}/secrets/{name}", get(read))
            .with_state(self.clone());
        kube::Client::new(router, "default")
    }

    /// Puts an object there, as somebody else than the node does.
    pub(super) fn put(&self, path: &str, object: Value) {
        let mut held = self.lock();
        held.apply(path, object, false);
        drop(held);
        self.changed.send_modify(|n| *n += 1);
    }

    /// A pod that the scheduler has bound.
    pub(super) fn bind(&self, name: &str, node: &str, spec: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
            "spec": {"nodeName": node},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
        });
        merge(&mut pod["spec"], spec);
        self.put(&pod_path(name), pod);
    }

    /// What a graceful DELETE does to the object.
    pub(super) fn terminate(&self, name: &str, grace: u64) {
        let deletion =
            json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace});
        self.put(&pod_path(name), json!({ "metadata": deletion }));
    }

    /// Takes an object away without telling anybody, breaks every watch, and has forgotten why.
    pub(super) fn lose(&self, path: &str) {
        let mut held = self.lock();
        held.objects.remove(path);
        held.watchers.clear();
        held.expired = true;
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.state.lock().expect("no test panics while it holds the lock")
    }

    /// Waits until what is held passes, and gives what was found.
    pub(super) async fn until<T>(&self, what: &str, mut found: impl FnMut(&Held) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                if let Some(found) = found(&self.lock()) {
                    return found;
                }
                changes.changed().await.expect("the sender is held by self");
            }
        };
        match clock::wall::timeout(LIMIT, wait).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain until {what}; held: {:#?}", self.lock().objects),
        }
    }

    /// Waits for a pod's phase and gives the pod.
    pub(super) async fn pod_in(&self, name: &str, phase: &str) -> Value {
        let path = pod_path(name);
        let found =
            |held: &Held| held.objects.get(&path).filter(|pod| pod["status"]["phase"] == phase).cloned();
        self.until(&format!("{name} is {phase}"), found).await
    }
}

pub(super) fn pod_path(name: &str) -> String {
    format!("/api/v1/namespaces/default/pods/{name}")
}

/// A condition's status.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    let found = conditions.iter().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or("missing")
}

impl Held {
    fn apply(&mut self, path: &str, change: Value, gone: bool) {
        self.version += 1;
        let object = self.objects.entry(path.to_owned()).or_insert_with(|| json!({}));
        let kind = if object["metadata"]["resourceVersion"].is_null() { "ADDED" } else { "MODIFIED" };
        merge(object, change);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let event = json!({"type": if gone { "DELETED" } else { kind }, "object": object});
        if gone {
            self.objects.remove(path);
        }
        if path.contains("/pods/") {
            let line = Bytes::from(format!("{event}\n"));
            self.watchers.retain(|watcher| watcher.send(line.clone()).is_ok());
        }
    }
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                match into.get_mut(&key) {
                    Some(held) if key == "conditions" => merge_conditions(held, &value),
                    Some(held) if held.is_object() => merge(held, value),
                    _ => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (into, change) => *into = change,
    }
}

fn merge_conditions(held: &mut Value, change: &Value) {
    let held = held.as_array_mut().expect("conditions");
    for condition in change.as_array().expect("conditions") {
        held.retain(|known| known["type"] != condition["type"]);
        held.push(condition.clone());
    }
}

async fn pods(State(api): State<FakeApi>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    assert_eq!(query.get("fieldSelector"), None);
    let mut held = api.lock();
    if query.get("watch").map(String::as_str) != Some("true") {
        let pods: Vec<&Value> =
            held.objects.iter().filter(|(path, _)| path.contains("/pods/")).map(|(_, pod)| pod).collect();
        let list = json!({
            "apiVersion": "v1", "kind": "PodList",
            "metadata": {"resourceVersion": held.version.to_string()}, "items": pods,
        });
        return axum::Json(list).into_response();
    }
    if std::mem::take(&mut held.expired) {
        let status = json!({"status": "Failure", "message": "too old", "reason": "Expired", "code": 410});
        return format!("{}\n", json!({"type": "ERROR", "object": status})).into_response();
    }
    let since: u64 = query.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
    let (sender, receiver) = mpsc::unbounded_channel();
    for (_, pod) in held.objects.iter().filter(|(path, _)| path.contains("/pods/")) {
        let version: u64 = pod["metadata"]["resourceVersion"].as_str().unwrap_or("0").parse().unwrap_or(0);
        if version > since {
            let line = format!("{}\n", json!({"type": "MODIFIED", "object": pod}));
            let _ = sender.send(Bytes::from(line));
        }
    }
    held.watchers.push(sender);
    let lines =
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>)).into_response()
}

async fn write(State(api): State<FakeApi>, uri: axum::http::Uri, body: Bytes) -> Response {
    let change: Value = serde_json::from_slice(&body).expect("a patch is JSON");
    let path = uri.path().trim_end_matches("/status").to_owned();
    let answer = {
        let mut held = api.lock();
        held.requests.push(("PATCH".to_owned(), uri.path().to_owned(), change.clone()));
        let uid = change["metadata"]["uid"].as_str();
        let is_pod = path.contains("/pods/");
        if is_pod && held.refuse > 0 {
            held.refuse -= 1;
            refusal(StatusCode::INTERNAL_SERVER_ERROR)
        } else if is_pod && held.objects.get(&path).is_none_or(|pod| pod["metadata"]["uid"].as_str() != uid) {
            refusal(StatusCode::CONFLICT)
        } else {
            held.apply(&path, change, false);
            axum::Json(held.objects[&path].clone()).into_response()
        }
    };
    api.changed.send_modify(|n| *n += 1);
    answer
}

async fn read(State(api): State<FakeApi>, uri: axum::http::Uri) -> Response {
    let held = api.lock();
    match held.objects.get(uri.path()) {
        Some(object) => axum::Json(object.clone()).into_response(),
        None => refusal(StatusCode::NOT_FOUND),
    }
}

async fn remove(
    State(api): State<FakeApi>,
    Path(_): Path<BTreeMap<String, String>>,
    uri: axum::http::Uri,
    body: Bytes,
) -> Response {
    let options: Value = serde_json::from_slice(&body).unwrap_or_default();
    let answer = {
        let mut held = api.lock();
        held.requests.push(("DELETE".to_owned(), uri.path().to_owned(), options));
        match held.objects.get(uri.path()).cloned() {
            Some(object) => {
                held.apply(uri.path(), json!({}), true);
                axum::Json(object).into_response()
            }
            None => refusal(StatusCode::NOT_FOUND),
        }
    };
    api.changed.send_modify(|n| *n += 1);
    answer
}

fn refusal(code: StatusCode) -> Response {
    let reason = match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::CONFLICT => "Conflict",
        _ => "InternalError",
    };
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "message": reason, "reason": reason, "code": code.as_u16(),
    });
    (code, axum::Json(status)).into_response()
}
