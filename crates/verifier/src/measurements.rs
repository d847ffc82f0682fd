//! What was measured in a run, whether or not a rule asks for it. Spans are in
//! milliseconds of scenario time, capacity is in minutes of one agent or pod.

use std::collections::BTreeMap;

use model::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measurements {
    /// Builds and their jobs.
    pub jobs: JobCounts,
    /// The most replicas that were ever asked for, and when first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Peak>,
    /// From the end of the last job until the replicas were at their minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to_min_ms: Option<u64>,
    /// From queued to received, over all jobs that were received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_wait: Option<Distribution>,
    /// The way of a job through KEDA, the HPA, the scheduler and the agent.
    pub stages: Vec<Stage>,
    /// Agents and what they did with their time.
    pub agents: AgentTime,
    /// Pods and what they were good for.
    pub pods: PodTime,
    /// KEDA's reads of the queue.
    pub scaler: ScalerReads,
    /// How well clocks kept time.
    pub clock: ClockQuality,
    /// Requests that were refused, failed or are not modelled: method, route and status to how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_requests: BTreeMap<String, u32>,
}

/// Builds and jobs, counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct JobCounts {
    /// Builds that were accepted.
    pub builds: u32,
    /// Builds that were refused.
    pub builds_refused: u32,
    /// Jobs that were queued.
    pub queued: u32,
    /// Jobs that an agent received.
    pub received: u32,
    /// Jobs that ended well, with or without issues.
    pub succeeded: u32,
    /// Jobs that ended in another way, abandoned ones included.
    pub unsuccessful: u32,
    /// Jobs whose agent was not heard of any more.
    pub abandoned: u32,
    /// Jobs that had not ended when the log did.
    pub unfinished: u32,
    /// How often the service took a job back from an agent that had not received it.
    pub requeued: u32,
}

/// The most replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peak {
    /// How many.
    pub replicas: u32,
    /// When first.
    pub at: Instant,
}

/// A summary of many spans. Percentiles are values that occurred (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// How many.
    pub count: u32,
    /// The shortest.
    pub min_ms: u64,
    /// Their mean.
    pub mean_ms: u64,
    /// Half of them took at most this.
    pub p50_ms: u64,
    /// Nineteen of twenty took at most this.
    pub p95_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Distribution {
    /// The summary of `spans`; none if there are none.
    #[must_use]
    pub fn of(mut spans: Vec<u64>) -> Option<Self> {
        spans.sort_unstable();
        let count = u64::try_from(spans.len()).ok().filter(|count| *count > 0)?;
        let sum = spans.iter().fold(0_u64, |sum, span| sum.saturating_add(*span));
        let rank = |percent: u64| {
            let rank = (count * percent).div_ceil(100).clamp(1, count) - 1;
            spans.get(usize::try_from(rank).unwrap_or_default()).copied().unwrap_or_default()
        };
        Some(Self {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            min_ms: rank(0),
            mean_ms: sum / count,
            p50_ms: rank(50),
            p95_ms: rank(95),
            max_ms: rank(100),
        })
    }
}

/// One stage of a job's way, measured over the jobs that went through it, with its budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// From what to what, such as `pod created -> scheduled`.
    pub stage: String,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Distribution>,
    /// The most it should take, if that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_ms: Option<u64>,
    /// What the budget is made of.
    pub budget_because: String,
}

/// Agents and what they did with their time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AgentTime {
    /// Agents that registered, placeholders aside.
    pub registered: u32,
    /// Agents that were unregistered.
    pub removed: u32,
    /// Minutes that agents held a job.
    pub busy_minutes: f64,
    /// Minutes that agents were online, in a pod that was there, without a job.
    pub idle_minutes: f64,
    /// Pods that were picked for deletion while their agent held a job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy_pods_picked: Vec<String>,
    /// Those of them whose job did not survive it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy_pods_killed: Vec<String>,
}

/// Pods and what they were good for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PodTime {
    /// Minutes of all replicas that were asked for.
    pub replica_minutes: f64,
    /// Minutes of replicas beyond both the minimum and the jobs there were: the price of the stabilisation window and the cool-down.
    pub surplus_minutes: f64,
    /// Minutes that containers waited in CrashLoopBackOff: replicas that look right while agents sleep.
    pub back_off_minutes: f64,
}

/// KEDA's reads of the queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ScalerReads {
    /// How many.
    pub count: u32,
    /// How many did not succeed.
    pub failed: u32,
    /// From one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<Distribution>,
    /// From the request to the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Distribution>,
}

/// How well clocks kept time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClockQuality {
    /// Ticks of the probe.
    pub ticks: u32,
    /// The mean lateness of a tick.
    pub late_ms_mean: u64,
    /// The latest tick's lateness.
    pub late_ms_max: u64,
    /// Ticks that came later than a second of scenario time.
    pub late_ticks: u32,
    /// Answers of the service that took longer than a second of scenario time.
    pub slow_answers: u32,
    /// The furthest that an event stood behind a later one in the log.
    pub disorder_ms: u64,
}
