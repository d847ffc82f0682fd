//! A pod's life decided, as a pure state machine.
//!
//! A [`Pod`] is told what happens ([`Input`]) and the time, and answers with
//! what is to be done ([`Action`]); [`Pod::next_deadline`] says when it wants to
//! be woken. It knows what a kubelet knows: phases and conditions, images,
//! readiness, restarts and their back-off, graceful deletion. What runs in a
//! container is a [`Process`]: something plain that runs until it is told to
//! stop, or the start script of an Azure Pipelines agent as PID 1
//! ([`Entrypoint`]), whose own actions the shell executes.
//!
//! ```text
//!   watch, timers, outcomes ──► Pod ──► publish the status, pull, resolve the environment, delete the object
//!                                │
//!                                └─ Container ─ Process ─ Entrypoint ──► look up the package, configure, run, remove
//! ```
//!
//! # What is left out
//! Failing image pulls, resources and eviction, startup and liveness probes
//! (they always succeed), post-start hooks, volumes, ephemeral containers, static
//! pods, restart rules per container, `activeDeadlineSeconds` of a pod, readiness
//! gates, and hooks before the stop other than a sleep.
//!
//! # Determinism
//! The only sources of variation are the inputs and the stream that the pod is
//! given. Nothing here reads a clock or iterates over a hash map.

pub mod back_off;
mod container;
pub mod entrypoint;
pub mod images;
mod pod;
mod process;
pub mod spec;
pub mod status;
pub mod template;

pub use back_off::BackOff;
pub use container::{LEAST_GRACE, RETRY_CONFIGURATION};
pub use entrypoint::Entrypoint;
pub use images::Images;
pub use pod::{Action, Input, LONGEST_RESTART, Pod, Settings, Sight, TEAR_DOWN};
pub use process::{INIT_RUN, Process, Program};
pub use spec::{ContainerSpec, PodSpec};
pub use status::{Phase, PodStatus};
pub use template::Template;
