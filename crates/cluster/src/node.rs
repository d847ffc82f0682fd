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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use kube::Client;
use model::{Event, Millis, MillisRange};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use pod_workers::Order;

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
    /// From the end of a pod's last process to the deletion of its object. A kubelet stops the sandbox and
    /// unmounts the volumes first, which takes it a second or two; runs leave that out.
    pub tear_down: Millis,
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
    /// The API server did not hear of a node that is back.
    #[error("cannot bring node {node} back: {source}")]
    Return {
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
    options: NodeOptions,
    names: Arc<[String]>,
    orders: UnboundedSender<Order>,
    /// The nodes that have vanished, by index: nobody says that they are alive.
    lost: watch::Sender<BTreeSet<usize>>,
    tasks: JoinSet<()>,
}

/// The longest that deleting the Node objects may take, in wall time.
const DELETE_LIMIT: Duration = Duration::from_secs(90);

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
    let (orders, ordered) = unbounded_channel();
    let (lost, is_lost) = watch::channel(BTreeSet::new());
    tasks.spawn(heartbeat::keep_alive(client.clone(), options.clone(), Arc::clone(&names), is_lost));
    let workers =
        pod_workers::PodWorkers::new(client.clone(), options.clone(), Arc::clone(&names), events, ordered);
    tasks.spawn(workers.work());
    Ok(Nodes { client, options, names, orders, lost, tasks })
}

impl Nodes {
    /// The nodes' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a node, counted from 1.
    #[must_use]
    pub fn name(&self, node: u32) -> Option<&str> {
        self.numbered(node).map(|(_, name)| name)
    }

    /// Kills the processes of a pod's containers, as somebody on the node could. A pod that does not run
    /// here is none of ours.
    pub fn kill(&self, namespace: &str, pod: &str) {
        self.order(Order::Kill { namespace: namespace.to_owned(), pod: pod.to_owned() });
    }

    /// Makes a node vanish with everything on it: its processes end without a word, and nobody says any
    /// more that it is alive. Nodes are counted from 1.
    pub fn lose(&self, node: u32) {
        let Some((index, _)) = self.numbered(node) else { return };
        self.lost.send_modify(|lost| {
            lost.insert(index);
        });
        self.order(Order::Lose(index));
    }

    /// Brings a lost node back, with nothing running on it; its images are still there. The pods that are
    /// bound to it are told of again, and their containers are dead.
    ///
    /// # Errors
    /// [`NodeError::Return`] if the API server does not hear that it is alive.
    pub async fn bring_back(&self, node: u32) -> Result<(), NodeError> {
        let Some((index, name)) = self.numbered(node) else { return Ok(()) };
        self.lost.send_modify(|lost| {
            lost.remove(&index);
        });
        self.order(Order::Return(index));
        let alive = async {
            objects::renew_lease(&self.client, &self.options.clock, name, None).await?;
            objects::write_status(&self.client, &self.options, index, name).await
        };
        alive.await.map_err(|source| NodeError::Return { node: name.to_owned(), source: Box::new(source) })
    }

    fn numbered(&self, node: u32) -> Option<(usize, &str)> {
        let index = usize::try_from(node).ok()?.checked_sub(1)?;
        Some((index, self.names.get(index)?.as_str()))
    }

    fn order(&self, order: Order) {
        // Whoever carries orders out lives as long as this.
        let _ = self.orders.send(order);
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
