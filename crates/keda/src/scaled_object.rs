//! A ScaledObject as KEDA's operator works on it: the controller that makes its HPA, the loop that
//! polls its triggers and moves replicas between zero and one, and the answers to the HPA.
//!
//! - [`decide`]: the decision table of a poll, pure, with its reason.
//! - [`ScaledObject`]: the machine around it.
//!
//! What is not modelled: formulas (`advanced.scalingModifiers`), triggers of other types, the lag of informer
//! caches beyond what the [`View`] shows, reconciles that find nothing to do, and
//! limits of the whole operator.

mod action;
mod conditions;
mod decide;
mod health;
mod hpa;
mod machine;
mod poll;
mod query;
mod reconcile;
mod spec;
#[cfg(test)]
mod tests;

pub use action::{Action, Input, Options, SCALING_DISABLED, ScalingActive, View, WriteId};
pub use conditions::{Condition, ConditionType, Status};
pub use decide::{Because, Decision, Policy, PollInputs, decide};
pub use hpa::{HpaMetric, HpaSpec, metric_name};
pub use machine::{API_REQUEST_TIMEOUT, ScaledObject};
pub use poll::HPA_GRACE_PERIOD;
pub use query::QUERY_TIMEOUT;
pub use reconcile::{FIRST_BACK_OFF, LONGEST_BACK_OFF, back_off};
pub use spec::{
    FORCE_ACTIVATION, FallbackBehavior, FallbackSpec, PAUSED, PAUSED_REPLICAS, PAUSED_SCALE_IN,
    PAUSED_SCALE_OUT, Spec, SpecError,
};
