//! KEDA decided: what its operator asks of Azure DevOps, and what it scales when,
//! as pure state machines for every version from 2.9 to 2.21.
//!
//! - [`rules`]: what differs between versions, as data.
//! - [`scaler`]: what is asked of Azure DevOps, and what is made of the answers.
//! - [`scaled_object`]: the ScaledObject's controller, loop and answers to the HPA.
//! - [`scaled_job`]: the ScaledJob loop.
//!
//! No clocks, no threads, no I/O. Out of scope are limits of the whole operator: its five
//! reconcile workers and its client's 20 requests a second (they matter from
//! about ten objects on, or for bursts of Jobs, and belong to whoever runs several machines side by side).

pub mod rules;
pub mod scaled_job;
pub mod scaled_object;
pub mod scaler;

pub use rules::{Rules, UnknownVersion};
pub use scaler::{Row, count};
