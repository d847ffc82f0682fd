//! Counts over time, for charts.

use model::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts over time. Each list is a step function: a value holds until the next point.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The last instant of the log.
    pub end: Instant,
    /// Jobs that were queued and that no agent has received.
    pub waiting: Vec<Point>,
    /// Replicas asked for; for a ScaledJob the unfinished Jobs. Summed over the workloads.
    pub replicas: Vec<Point>,
    /// Replicas that are ready.
    pub ready: Vec<Point>,
    /// Agents that hold a job.
    pub busy: Vec<Point>,
    /// Agents with a session.
    pub online: Vec<Point>,
    /// Containers that wait in CrashLoopBackOff.
    pub back_off: Vec<Point>,
    /// The replicas that KEDA's last good read of the queue asks for, within minimum and maximum.
    pub wanted: Vec<Point>,
}

/// A value from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// From when.
    pub at: Instant,
    /// The value.
    pub value: u32,
}
