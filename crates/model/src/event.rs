//! The event log: one JSON object a line, each a fact that somebody saw.
//!
//! ```json
//! {"at":12345,"by":"service","event":"job_request.assigned","request":7,"agent":3}
//! ```
//!
//! The vocabulary is closed. Every report, chart, benchmark and judgement is a
//! fold over it, so an event says what was seen, never what it means.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::instant::Instant;
use crate::scenario::Scenario;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When it was seen, in milliseconds since the start of the run.
    pub at: Instant,
    /// Who saw it.
    pub by: Source,
    /// What was seen.
    #[serde(flatten)]
    pub fact: Fact,
}

/// Who saw a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The runner: it knows the plan and what it did.
    Run,
    /// The Azure DevOps service.
    Service,
    /// The watch on the Kubernetes API.
    Kubernetes,
    /// The node that runs the pods.
    Node,
    /// The machine: clocks and load.
    Machine,
}

/// What was seen. The names are Azure DevOps', Kubernetes' and KEDA's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event")]
pub enum Fact {
    /// A run begins. It carries everything that was asked for, so that the log can be judged alone.
    #[serde(rename = "run.started")]
    RunStarted(Box<RunStarted>),
    /// A KEDA object and the workload it scales, as the cluster's API returned them.
    #[serde(rename = "scale_target")]
    ScaleTarget(Box<ScaleTarget>),
    /// Everything is in place: the workload was applied and the load's clock starts.
    #[serde(rename = "run.ready")]
    RunReady {},
    /// The load is over: the workload is deleted now, and its pods drain.
    #[serde(rename = "run.draining")]
    RunDraining {},
    /// The run is over.
    #[serde(rename = "run.finished")]
    RunFinished {
        /// How it came to its end.
        outcome: Outcome,
        /// What went wrong, if something did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },

    /// A build was accepted; its jobs follow as job requests.
    #[serde(rename = "build.queued")]
    BuildQueued {
        /// The build's id.
        build: u64,
        /// The definition's name.
        definition: String,
        /// How many jobs it queued at once.
        jobs: u32,
    },
    /// A build was refused, for example because no agent of the pool could ever run it.
    #[serde(rename = "build.refused")]
    BuildRefused {
        /// The definition's name.
        definition: String,
        /// How many jobs it would have queued.
        jobs: u32,
        /// The service's message.
        because: String,
    },
    /// Every job of a build has ended.
    #[serde(rename = "build.completed")]
    BuildCompleted {
        /// The build's id.
        build: u64,
        /// The worst result of its jobs.
        result: JobResult,
    },

    /// A job waits for an agent.
    #[serde(rename = "job_request.queued")]
    JobRequestQueued {
        /// The job request's id.
        request: u64,
        /// The build it belongs to.
        build: u64,
        /// The job's name.
        job: String,
        /// The pool's id.
        pool: u64,
        /// What it demands of an agent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        demands: Vec<String>,
    },
    /// An agent was reserved for the job.
    #[serde(rename = "job_request.assigned")]
    JobRequestAssigned {
        /// The job request's id.
        request: u64,
        /// The agent's id.
        agent: u64,
    },
    /// The agent took the job: the lock runs from here on.
    #[serde(rename = "job_request.received")]
    JobRequestReceived {
        /// The job request's id.
        request: u64,
        /// The agent's id.
        agent: u64,
    },
    /// The job ended.
    #[serde(rename = "job_request.finished")]
    JobRequestFinished {
        /// The job request's id.
        request: u64,
        /// The agent it was assigned to, if it ever was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<u64>,
        /// How it ended.
        result: JobResult,
    },
    /// A job whose agent never took it waits again.
    #[serde(rename = "job_request.requeued")]
    JobRequestRequeued {
        /// The job request's id.
        request: u64,
        /// The agent that had been reserved.
        agent: u64,
        /// Why the service took it back.
        because: String,
    },

    /// An agent is in the pool.
    #[serde(rename = "agent.registered")]
    AgentRegistered {
        /// The agent's id.
        agent: u64,
        /// Its name, for an agent in a pod usually the pod's.
        name: String,
        /// The pool's id.
        pool: u64,
        /// Whether it took the place of one with the same name.
        #[serde(default)]
        replaced: bool,
        /// Whether the scenario put it there, to stay offline and make builds acceptable.
        #[serde(default)]
        placeholder: bool,
    },
    /// An agent has a session.
    #[serde(rename = "agent.online")]
    AgentOnline {
        /// The agent's id.
        agent: u64,
    },
    /// An agent has no session any more.
    #[serde(rename = "agent.offline")]
    AgentOffline {
        /// The agent's id.
        agent: u64,
    },
    /// An agent was unregistered.
    #[serde(rename = "agent.removed")]
    AgentRemoved {
        /// The agent's id.
        agent: u64,
    },
    /// A busy agent was to be unregistered.
    #[serde(rename = "agent.removal_refused")]
    AgentRemovalRefused {
        /// The agent's id.
        agent: u64,
        /// The job request it holds.
        request: u64,
    },
    /// An agent listens for jobs.
    #[serde(rename = "session.opened")]
    SessionOpened {
        /// The agent's id.
        agent: u64,
        /// The session's id.
        session: String,
    },
    /// An agent ended its session in order.
    #[serde(rename = "session.closed")]
    SessionClosed {
        /// The agent's id.
        agent: u64,
        /// The session's id.
        session: String,
    },
    /// The service gave up a session that had gone silent, or that was replaced.
    #[serde(rename = "session.expired")]
    SessionExpired {
        /// The agent's id.
        agent: u64,
        /// The session's id.
        session: String,
        /// Why the service ended it.
        because: String,
    },
    /// A second session was asked for while the first lived.
    #[serde(rename = "session.refused")]
    SessionRefused {
        /// The agent's id.
        agent: u64,
    },

    /// KEDA asked for the pool's job requests, and this is what it was told.
    #[serde(rename = "scaler.read")]
    ScalerRead {
        /// The pool's id.
        pool: u64,
        /// The query's form.
        form: RequestForm,
        /// The HTTP status.
        status: u16,
        /// From the request's arrival to the answer, in milliseconds of scenario time.
        latency_ms: u64,
        /// The rows of the answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rows: Vec<ScalerRow>,
    },
    /// Any other request to the service that was refused, failed or is not modelled.
    #[serde(rename = "request")]
    Request {
        /// The HTTP method.
        method: String,
        /// The route's template, or the path where no route matched.
        route: String,
        /// The HTTP status.
        status: u16,
        /// From the request's arrival to the answer, in milliseconds of scenario time.
        latency_ms: u64,
        /// The caller's `User-Agent`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<String>,
    },

    /// The workload's counts changed.
    #[serde(rename = "replicas")]
    Replicas {
        /// The workload, as `Deployment/name`.
        workload: String,
        /// What is asked for.
        spec: u32,
        /// What exists.
        status: u32,
        /// What is ready.
        ready: u32,
    },
    /// A pod exists.
    #[serde(rename = "pod.created")]
    PodCreated {
        /// The pod's name.
        pod: String,
        /// Its controller, as `ReplicaSet/name` or `Job/name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
    },
    /// A pod has a node.
    #[serde(rename = "pod.scheduled")]
    PodScheduled {
        /// The pod's name.
        pod: String,
        /// The node's name.
        node: String,
    },
    /// A pod's phase is Running.
    #[serde(rename = "pod.running")]
    PodRunning {
        /// The pod's name.
        pod: String,
    },
    /// A pod's Ready condition is True.
    #[serde(rename = "pod.ready")]
    PodReady {
        /// The pod's name.
        pod: String,
    },
    /// A pod has a deletion timestamp.
    #[serde(rename = "pod.terminating")]
    PodTerminating {
        /// The pod's name.
        pod: String,
        /// The grace period in seconds.
        grace_s: u64,
    },
    /// A pod's phase is Succeeded or Failed.
    #[serde(rename = "pod.ended")]
    PodEnded {
        /// The pod's name.
        pod: String,
        /// `Succeeded` or `Failed`.
        phase: String,
    },
    /// A pod's object is gone.
    #[serde(rename = "pod.gone")]
    PodGone {
        /// The pod's name.
        pod: String,
    },
    /// A container's main process was started.
    #[serde(rename = "container.started")]
    ContainerStarted {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// How often it was started before in this pod.
        restarts: u32,
        /// The name of the agent that lives in it, if one does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// A container got a signal.
    #[serde(rename = "container.signalled")]
    ContainerSignalled {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// `SIGTERM` or `SIGKILL`.
        signal: String,
    },
    /// A container's main process ended.
    #[serde(rename = "container.exited")]
    ContainerExited {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// Its exit code; 128 + n after signal n.
        code: i32,
        /// The name of the agent that lived in it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// A container waits in CrashLoopBackOff.
    #[serde(rename = "container.back_off")]
    ContainerBackOff {
        /// The pod's name.
        pod: String,
        /// The container's name.
        container: String,
        /// When it is started again.
        until: Instant,
    },
    /// A Kubernetes Job exists.
    #[serde(rename = "kubernetes_job.created")]
    KubernetesJobCreated {
        /// The Job's name.
        job: String,
    },
    /// A Kubernetes Job has the condition Complete or Failed.
    #[serde(rename = "kubernetes_job.finished")]
    KubernetesJobFinished {
        /// The Job's name.
        job: String,
        /// Whether the condition was Complete.
        succeeded: bool,
    },
    /// A Kubernetes Job's object is gone.
    #[serde(rename = "kubernetes_job.deleted")]
    KubernetesJobDeleted {
        /// The Job's name.
        job: String,
    },
    /// The HPA's status changed.
    #[serde(rename = "hpa.status")]
    HpaStatus {
        /// The HPA's name.
        hpa: String,
        /// The replicas it saw.
        current: u32,
        /// The replicas it wants.
        desired: u32,
        /// Condition type to its status and reason, as `True/ValidMetricFound`.
        conditions: BTreeMap<String, String>,
    },
    /// The HPA asked for an external metric, as the API server's audit log tells.
    #[serde(rename = "hpa.read")]
    HpaRead {
        /// The metric's name.
        metric: String,
        /// The HTTP status of the answer.
        status: u16,
        /// From the request's arrival at the API server to the answer, in milliseconds of scenario time.
        latency_ms: u64,
        /// The metric's value in thousandths, if one was answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value_milli: Option<i64>,
    },
    /// Somebody set a workload's replicas, as the API server's audit log tells.
    #[serde(rename = "scale.written")]
    ScaleWritten {
        /// The workload, as `Deployment/name`.
        workload: String,
        /// Who: `hpa`, `keda`, or the user's name.
        writer: String,
        /// What it asked for.
        replicas: u32,
        /// The HTTP status of the answer: 409 if somebody else was faster.
        status: u16,
    },
    /// A condition of a KEDA object changed.
    #[serde(rename = "condition")]
    Condition {
        /// The object, as `ScaledObject/name`.
        object: String,
        /// The condition's type.
        condition: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// One word.
        #[serde(default)]
        reason: String,
        /// A sentence.
        #[serde(default)]
        message: String,
    },
    /// A Kubernetes Event about an object of the run.
    #[serde(rename = "kubernetes.event")]
    KubernetesEvent {
        /// The object, as `Pod/name`.
        object: String,
        /// `Normal` or `Warning`.
        kind: String,
        /// One word.
        reason: String,
        /// A sentence.
        message: String,
    },

    /// A fault of the scenario begins, or a change is made.
    #[serde(rename = "fault.on")]
    FaultOn {
        /// Which of the scenario's faults, from 0.
        fault: u32,
        /// What it is, in a few words.
        what: String,
        /// The pod or the node that it hits, if it hits one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hits: Option<String>,
    },
    /// A fault of the scenario is over.
    #[serde(rename = "fault.off")]
    FaultOff {
        /// Which of the scenario's faults, from 0.
        fault: u32,
    },
    /// How well clocks kept time since the last such event.
    #[serde(rename = "clock.quality")]
    ClockQuality {
        /// Ticks of the probe.
        ticks: u32,
        /// The latest tick's lateness, in milliseconds of scenario time.
        late_ms_max: u64,
        /// The mean lateness, in milliseconds of scenario time.
        late_ms_mean: u64,
        /// Ticks that came later than a second of scenario time.
        late_ticks: u32,
    },
    /// The harness itself failed: nothing that follows can be trusted.
    #[serde(rename = "harness.failed")]
    HarnessFailed {
        /// What failed.
        because: String,
    },
}

/// Everything that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// `sim` or `local`; later `kind` and `context`.
    pub engine: String,
    /// How many times faster than the wall clock scenario time runs; 0 where it is simulated.
    pub speed: u32,
    /// The seed that every random choice of the run comes from.
    pub seed: u64,
    /// Which repetition of the scenario this is, from 1.
    pub repetition: u32,
    /// What took part: `poolproof`, `keda`, `kubernetes`, `go`.
    pub versions: BTreeMap<String, String>,
    /// The command that repeats this run.
    pub replay: String,
    /// The namespace of the workload.
    pub namespace: String,
    /// The manifests as applied: file, and how often each text was replaced in it.
    pub manifests: Vec<AppliedManifest>,
    /// The scenario as it was read.
    pub scenario: Scenario,
}

/// A manifest file and what was changed in it before it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedManifest {
    /// The file, as it was named.
    pub file: String,
    /// Objects of the file, as `Deployment/name`.
    pub objects: Vec<String>,
    /// Which texts were replaced, and how often. What replaced them is not told: it may be a secret.
    pub substituted: BTreeMap<String, u32>,
}

/// A KEDA object and its workload: all that the bounds need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScaleTarget {
    /// `ScaledObject` or `ScaledJob`.
    pub scaler: String,
    /// The KEDA object's name.
    pub name: String,
    /// What is scaled, as `Deployment/name`; for a ScaledJob `Job/name`.
    pub workload: String,
    /// minReplicaCount.
    pub min: u32,
    /// maxReplicaCount.
    pub max: u32,
    /// idleReplicaCount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// pollingInterval in seconds.
    pub polling_interval_s: u64,
    /// cooldownPeriod in seconds.
    pub cooldown_s: u64,
    /// The workload's grace period in seconds.
    pub grace_s: u64,
    /// The triggers.
    pub triggers: Vec<Trigger>,
    /// The HPA's behavior, if the ScaledObject sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<serde_json::Value>,
    /// scaleDown.stabilizationWindowSeconds that applies.
    pub stabilization_s: u64,
    /// scalingStrategy.strategy of a ScaledJob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// The KEDA object's spec as it was written, without the pods of a ScaledJob.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub spec: serde_json::Value,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// KEDA's version.
    pub keda: String,
    /// Kubernetes' version.
    pub kubernetes: String,
}

/// A trigger of a KEDA object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// Its type.
    pub kind: String,
    /// Its metadata, as written.
    pub metadata: BTreeMap<String, String>,
    /// `AverageValue` or `Value`.
    pub metric_type: String,
}

/// The query by which the pool's job requests were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestForm {
    /// Without a query: queued, running and recently finished.
    All,
    /// `$top=N`: at most 200 rows, without matched agents.
    Top,
    /// `completedRequestCount=N`.
    CompletedCount,
    /// By agents or by plan.
    Filtered,
}

/// What one row of the answer told KEDA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScalerRow {
    /// The job request's id.
    pub request: u64,
    /// Its demands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
    /// Whether `assignTime` was set.
    #[serde(default)]
    pub assigned: bool,
    /// Whether `receiveTime` was set.
    #[serde(default)]
    pub received: bool,
    /// `result`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// The names of `matchedAgents`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched_agents: Vec<String>,
}

/// How a job or a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum JobResult {
    /// As wished.
    Succeeded,
    /// With issues.
    SucceededWithIssues,
    /// The job said no.
    Failed,
    /// Somebody cancelled it.
    Canceled,
    /// It never had to run.
    Skipped,
    /// Its agent was not heard of any more.
    Abandoned,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No unfinished job, replicas at the minimum.
    Settled,
    /// The duration that the scenario asked for is over.
    DurationReached,
    /// The bound `at_most` was reached first.
    BoundReached,
    /// Somebody interrupted it.
    Interrupted,
    /// The harness broke.
    Failed,
}
