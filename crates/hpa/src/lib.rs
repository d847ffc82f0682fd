//! The HorizontalPodAutoscaler controller decided, as a pure state machine: HPAs with External metrics,
//! as KEDA makes them.
//!
//! [`desired`] is the whole decision of one sync and can be called alone, with what a real sync read.
//! An [`Hpa`] is what the controller does about one HPA: when it syncs, what it reads and writes.
//!
//! # What is left out
//! Other metrics than External ones, `minReplicas: 0` (a feature gate that is off), selectors that
//! find the pods of two HPAs, and the limit of five syncs at a time.

mod desired;
mod history;
mod hpa;
mod normalise;
pub mod propose;
pub mod quantity;
mod queue;
pub mod rules;
pub mod spec;
pub mod status;

pub use desired::{Answer, Because, Desired, View, desired};
pub use history::History;
pub use hpa::{Action, FINISHING, Hpa, Input, Written};
pub use rules::KubernetesRules;
pub use spec::{Behavior, HpaSpec, Metric, Policy, PolicyKind, ScalingRules, Select, Target};
pub use status::{Condition, Conditions, Reason, Status};
