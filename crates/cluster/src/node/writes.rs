//! Requests to the API server about pods: bounded in number, one at a time for each pod.

use std::collections::VecDeque;
use std::sync::Arc;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, Request};
use kube::{Client, Error};
use serde_json::Value;
use tokio::task::JoinSet;

use super::tasks::PodKey;

/// Requests that are under way at once.
const AT_ONCE: usize = 32;

/// What is asked of the API server about one pod.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Write {
    /// Its status is this.
    Status(Value),
    /// Its object may go.
    Delete,
}

/// Who a pod is, for the API server.
#[derive(Debug, Clone)]
pub(super) struct PodName {
    pub(super) namespace: Arc<str>,
    pub(super) name: Box<str>,
    pub(super) uid: Box<str>,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// The pod is gone, or another one has its name.
    Gone,
    /// It did not work and is to be tried again.
    Failed,
}

/// The writes under way and the pods that wait for theirs.
pub(super) struct Writes {
    client: Client,
    queue: VecDeque<PodKey>,
    pub(super) under_way: JoinSet<(PodKey, Outcome)>,
}

impl Writes {
    pub(super) fn new(client: Client) -> Self {
        Self { client, queue: VecDeque::new(), under_way: JoinSet::new() }
    }

    /// The pod has something to write. It must not be in the queue yet.
    pub(super) fn queue(&mut self, pod: PodKey) {
        self.queue.push_back(pod);
    }

    /// The next pod whose write may begin.
    pub(super) fn next(&mut self) -> Option<PodKey> {
        if self.under_way.len() < AT_ONCE { self.queue.pop_front() } else { None }
    }

    pub(super) fn begin(&mut self, pod: PodKey, name: &PodName, write: &Write) {
        let request = request(name, write);
        let client = self.client.clone();
        self.under_way.spawn(async move {
            let answer = match request {
                // The answer is the whole pod, which nobody reads.
                Ok(request) => client.request_text(request).await.map(drop),
                Err(error) => Err(Error::BuildRequest(error)),
            };
            let outcome = match answer {
                Ok(()) => Outcome::Done,
                Err(Error::Api(status)) if matches!(status.code, 404 | 409) => Outcome::Gone,
                Err(_) => Outcome::Failed,
            };
            (pod, outcome)
        });
    }
}

fn request(name: &PodName, write: &Write) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
    let pods = Request::new(format!("/api/v1/namespaces/{}/pods", name.namespace));
    match write {
        Write::Status(patch) => {
            pods.patch_subresource("status", &name.name, &PatchParams::default(), &Patch::Strategic(patch))
        }
        Write::Delete => {
            let uid = Some(name.uid.to_string());
            let preconditions = Some(Preconditions { uid, resource_version: None });
            let now =
                DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
            pods.delete(&name.name, &now)
        }
    }
}
