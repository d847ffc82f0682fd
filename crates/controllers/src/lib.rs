//! Kubernetes' controllers and scheduler decided, with the objects that they share.
//!
//! A [`Cluster`] holds what matters of one namespace: Deployments with their
//! ReplicaSets, StatefulSets, Jobs, pods and nodes. It is told what users,
//! KEDA, the HPA and the kubelets do, and the time; it answers with what a
//! kubelet is to do ([`Action`]) and, if wanted, with what a watch on the API
//! would have seen. [`Cluster::next_deadline`] says when it wants to be woken.
//!
//! ```text
//!   scale, edit, delete, create a Job ──► API objects ◄── reports and ends of pods (kubelets)
//!                                          │   ▲
//!                                  watches ▼   │ calls, each through its controller's client bucket
//!        Deployment, ReplicaSet, StatefulSet, Job, garbage collector, TTL, node lifecycle; scheduler
//!                                          │
//!                                          ▼ StartPod, DeletePod, PodGone
//! ```
//!
//! # How a controller works here
//! As in client-go: an object's change puts its key into the controller's work
//! queue after the watch's delay; a worker takes it, reads the objects, and makes
//! its calls one after another or a batch at a time. A call waits for the
//! controller's client bucket, takes effect after the API server's delay, and is
//! over then. A key is never worked on twice at once, and a worker waits for its
//! calls; that is why the expectations of the original always hold when a sync begins.
//!
//! ```
//! use controllers::{Action, Cluster, Kind, NewNode, NewWorkload, Settings, Strategy, Template};
//! use model::{Instant, Millis};
//!
//! let mut cluster = Cluster::new(1, Settings { facts: false, ..Settings::default() });
//! let mut actions = Vec::new();
//! cluster.add_node(Instant::START, NewNode { name: "node".into(), pods: 110 }, &mut actions);
//! let template = Template { hash: 1, grace: Millis::seconds(30) };
//! let kind = Kind::Deployment(Strategy::RollingUpdate);
//! let new = NewWorkload { name: "agents".into(), kind, replicas: 2, template };
//! let id = cluster.create_workload(Instant::START, new, &mut actions);
//! while let Some(next) = cluster.next_deadline() {
//!     cluster.advance(next, &mut actions);
//! }
//! assert_eq!(cluster.workload(id).status().replicas, 2);
//! assert!(matches!(actions[..], [Action::StartPod { .. }, Action::StartPod { .. }]));
//! ```
//!
//! # What is left out
//! Failing calls and conflicts between controllers, quotas, priorities and preemption, resources
//! other than the number of pods, `minReadySeconds`, paused Deployments and their
//! progress deadline, revision history, StatefulSets' claims and partitions, suspended and indexed Jobs,
//! pod failure and success policies, orphaned pods and adoption, the limit of
//! 12,500 ended pods, and eviction rates per zone.
//!
//! # Determinism
//! The only sources of variation are the calls and the seed. Nothing here reads
//! a clock or iterates over a hash map.

pub mod ids;
pub mod job;
pub mod node;
pub mod pod;
pub mod settings;
pub mod victims;
pub mod workload;

mod api;
mod client;
mod cluster;
mod collect;
mod deployment;
mod names;
mod nodes;
mod pods;
mod queue;
mod replica_set;
mod scheduler;
mod stateful_set;
mod watch;

#[cfg(test)]
mod random_trials;
#[cfg(test)]
mod trial;

pub use cluster::{Action, Cluster, Conflict, Propagation};
pub use ids::{JobId, NodeId, PodId, Uid, Version, WorkloadId};
pub use job::{Finished, Job, JobSpec, NewJob, PodReplacement, RestartPolicy};
pub use node::{NewNode, Node};
pub use pod::{Conditions, Deletion, Owner, Phase, Pod, PodReport, Restarts};
pub use settings::Settings;
pub use workload::{Counts, Kind, NewWorkload, PodManagement, Strategy, Template, Workload};
