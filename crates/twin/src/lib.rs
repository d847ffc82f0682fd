//! The twin: a scenario in virtual time, on one thread, in milliseconds.
//!
//! KEDA, the HPA, Kubernetes' controllers and scheduler, the kubelets, the agents
//! and Azure DevOps are the pure machines of `keda`, `hpa`, `controllers`,
//! `kubelet` and `azure-devops`; the last two are the ones that the fake node and
//! the server run too. Here they are told the time by one queue and hand each
//! other what they ask for.
//!
//! Reading order: [`request`] (what goes in and comes out), `world` (who is told
//! what when), [`node`] (pods with agents inside), [`manifests`] (what is read,
//! and what is refused), [`alignment`] and [`follow`] (how it is held against the real thing).
//!
//! # Determinism
//! Same request, same seed: the same events, byte for byte. Everything random
//! comes from named streams of the seed, and nothing iterates over a hash map.

pub mod alignment;
pub mod follow;
pub mod generate;
mod hpa_spec;
pub mod manifests;
mod merge_patch;
pub mod node;
pub mod queue;
pub mod request;
mod world;

pub use alignment::Alignment;
pub use request::{Ended, Limits, Request, Statistics, TwinError};
pub use world::{DRAIN_SLACK, IN_PLACE_LIMIT, SETTLED_FOR, run};
