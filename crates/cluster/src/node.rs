//! The fake node: a kubelet for many pods on a real API server.
//!
//! Every decision about a pod is [`kubelet::Pod`]'s and every decision about an
//! agent is `agent`'s; here are only their hands. One task holds all machines of
//! all nodes and one heap of their deadlines; a watch tells it of pods, and what
//! takes time (a request to the API server, an agent's session) is a task of its
//! own that ends with it.
//!
//! ```text
//!  API server ──watch──► PodWorkers (machines, timers) ──► writes: status, deletion (bounded)
//!                           ▲   │
//!                    outcomes   ▼
//!                       agents, environments (tasks)           leases, node status (one task)
//! ```
//!
//! Left out: Kubernetes Events, the kubelet's own API (logs, exec), volumes, the
//! variables of Services in a container's environment, and everything that
//! [`kubelet`] leaves out.

mod dates;
mod environment;
mod heartbeat;
mod lean;
mod objects;
mod pod_workers;
mod references;
mod statuses;
mod tasks;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use kube::Client;
use model::{Event, MillisRange};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// Nodes to be made.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// What their names begin with: `prefix-1` and so on.
    pub prefix: String,
    /// How many.
    pub nodes: u32,
    /// How many pods each takes.
    pub pods_per_node: u32,
    /// Their labels, beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// How long a node takes to pull an image; it pulls it once.
    pub image_pull: MillisRange,
    /// How long a container takes to start when its image is there.
    pub container_start: MillisRange,
    /// From an agent container's start to listening for jobs.
    pub agent_start_up: MillisRange,
    /// What agents can do, beside their container's environment.
    pub agent_capabilities: BTreeMap<String, String>,
    /// What every random choice comes from.
    pub seed: u64,
    /// The clock of the run.
    pub clock: Clock,
}

/// Why there are no nodes.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The API server would not have a node or its lease.
    #[error("cannot create node {node}: {source}")]
    Create {
        /// The node.
        node: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The API server would not let a node go.
    #[error("cannot delete node {node}: {source}")]
    Delete {
        /// The node.
        node: String,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("the API server took longer than {} s to delete the nodes", DELETE_LIMIT.as_secs())]
    Slow,
}

/// Nodes that run pods until they are stopped or dropped.
pub struct Nodes {
    client: Client,
    names: Arc<[String]>,
    tasks: JoinSet<()>,
}

/// The longest that deleting the Node objects may take, in wall time.
const DELETE_LIMIT: Duration = Duration::from_secs(30);

/// Makes nodes and runs the pods that are bound to them.
///
/// # Errors
/// If the API server does not accept a node or its lease.
pub async fn start(
    client: Client,
    options: NodeOptions,
    events: Option<UnboundedSender<Event>>,
) -> Result<Nodes, NodeError> {
    let names: Arc<[String]> = (1..=options.nodes).map(|n| format!("{}-{n}", options.prefix)).collect();
    objects::create(&client, &options, &names).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(heartbeat::keep_alive(client.clone(), options.clone(), Arc::clone(&names)));
    tasks.spawn(pod_workers::PodWorkers::new(client.clone(), options, Arc::clone(&names), events).work());
    Ok(Nodes { client, names, tasks })
}

impl Nodes {
    /// The nodes' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Ends every pod's processes without a word and deletes the Node objects.
    ///
    /// # Errors
    /// If a Node object could not be deleted.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.tasks.shutdown().await;
        clock::wall::timeout(DELETE_LIMIT, objects::delete(&self.client, &self.names))
            .await
            .unwrap_or(Err(NodeError::Slow))
    }
}
