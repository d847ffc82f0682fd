//! The HorizontalPodAutoscaler controller decided, as a pure state machine: HPAs with External metrics,
//! as KEDA makes them.
//!
//! ```text
//!   timer ──► Hpa ──► Read each metric ──► desired ──► Write the scale, if it changes ──► Status, if it changes
//!              │                              │
//!              └ queue: when                  └ propose: what each metric asks for (tolerance, readiness)
//!                                               normalise: what of it is written (windows, policies, min, max)
//!                                               History: what was recommended and written before
//! ```
//!
//! [`desired()`] is the whole decision of one sync: a function of the spec, the rules of a Kubernetes
//! version, what was seen and read, and the [`History`]. It tells why it decided so ([`Because`]), and
//! can be called alone with what a real sync read, to hold a real run against it:
//!
//! ```
//! use hpa::{History, HpaSpec, KubernetesRules, Metric, Target, View, desired};
//! use model::Instant;
//!
//! let target = Target::AverageValue(1000);
//! let metrics = vec![Metric { name: "s0-azure-pipelines-7".into(), target }];
//! let spec = HpaSpec { min: 1, max: 100, metrics, behavior: None };
//! let view = View { spec_replicas: 8, status_replicas: 8, pods: 8, ready: 8 };
//! let mut history = History::new();
//! let rules = KubernetesRules::default();
//!
//! let decided = desired(&spec, &rules, &mut history, Instant::START, &view, &[Some(50_000)]);
//! assert_eq!(decided.replicas, 16);
//! assert_eq!(decided.because.to_string(), "50 wanted, growth limit 2x8 = 16");
//! ```
//!
//! An [`Hpa`] is what the controller does about one name: when it syncs, what it reads and writes, what
//! restarts of the controller, edits and deletions do to it. Its shell wakes it at
//! [`Hpa::next_deadline`] and tells it the outcome of every [`Action`].
//!
//! # Units
//! Replicas are `i32`, as in Kubernetes. Values and targets of metrics are thousandths in an `i64`, as
//! the controller has them: one job is 1000.
//!
//! # What is left out
//! Other metrics than External ones; `minReplicas: 0`, a feature gate that is off; selectors that find
//! the pods of two HPAs; the limit of five syncs at a time, so that one read that hangs delays nobody
//! else; events; the jitter of the pause after a conflict.
//!
//! # Determinism
//! The only sources of variation are the inputs and their times. Nothing here reads a clock, draws a
//! chance or iterates over a hash map, and once the windows are full a sync allocates nothing.

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
pub use spec::{Behavior, HpaSpec, Metric, Policy, PolicyKind, ScalingRules, Select, SpecError, Target};
pub use status::{Condition, Conditions, Reason, Status};
