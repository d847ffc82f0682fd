//! Why replicas were what they were: every read of the queue with the rows that count, and every step
//! with its reason, from the facts of a log and the documented rules. A rule of KEDA or the HPA that
//! does not lead to what the log shows is no explanation, and then it says so.

use model::{Event, Instant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::report::Run;
use crate::verdict;

/// Explains a log. With `at`, that instant is shown in detail as well.
#[must_use]
pub fn explain(events: impl IntoIterator<Item = Event>, at: Option<Instant>) -> Explanation {
    let history = History::of(events);
    let moment = at.map(|at| Moment { at, objects: Vec::new() });
    Explanation { run: verdict::run(&history), objects: Vec::new(), not_explained: 0, moment }
}

/// Why replicas were what they were, for every KEDA object of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What ran.
    pub run: Run,
    /// Every KEDA object, with what happened to it.
    pub objects: Vec<ObjectStory>,
    /// How many steps have no reason that the log can tell.
    pub not_explained: u32,
    /// One instant in detail, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<Moment>,
}

/// What happened to one KEDA object, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectStory {
    /// The object, as `ScaledObject/name`.
    pub object: String,
    /// What it scales.
    pub workload: String,
    /// What it says, and how its triggers count, in sentences.
    pub settings: Vec<String>,
    /// Reads, steps and faults in order of time.
    pub entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// Reads of the queue that told the same.
    Reads(Reads),
    /// Replicas changed; for a ScaledJob its unfinished Jobs.
    Step(Step),
    /// Something that the scenario did, or that the cluster said of itself.
    Note(Note),
}

impl Entry {
    /// When it happened, or began.
    #[must_use]
    pub fn at(&self) -> Instant {
        match self {
            Self::Reads(reads) => reads.from,
            Self::Step(step) => step.at,
            Self::Note(note) => note.at,
        }
    }
}

/// One read of the queue, or several in a row that told nothing new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reads {
    /// The first.
    pub from: Instant,
    /// The last.
    pub to: Instant,
    /// How many there were.
    pub reads: u32,
    /// How many of them were KEDA's polls, as far as that can be told.
    pub polls: u32,
    /// How many of them were the HPA's, as far as that can be told.
    pub hpa_syncs: u32,
    /// The HTTP status.
    pub status: u16,
    /// Why KEDA could make nothing of them, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What each trigger made of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<TriggerCount>,
    /// What KEDA's ScaledJob loop made of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// What a trigger made of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerCount {
    /// The metric's name.
    pub metric: String,
    /// The rows that count.
    pub count: u64,
    /// Jobs for one replica.
    pub target: u64,
    /// Whether the trigger is active: whether more rows count than its activation target.
    pub active: bool,
    /// Every row of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowStory>,
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RowStory {
    /// The job request's id.
    pub request: u64,
    /// Whether it counts.
    pub counts: bool,
    /// By which rule.
    pub because: String,
}

/// Replicas changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When.
    pub at: Instant,
    /// The replicas before; for a ScaledJob the unfinished Jobs.
    pub from: u32,
    /// The replicas after.
    pub to: u32,
    /// Who changed them.
    pub by: Actor,
    /// Whether the documented rules lead from what the log tells to this step.
    pub explained: bool,
    /// Why, or why not.
    pub because: String,
}

/// Who changed replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// KEDA's operator.
    Keda,
    /// The HPA.
    Hpa,
    /// Kubernetes' Job controller: a Job ended.
    Job,
    /// Somebody else.
    Other,
}

/// Something that the scenario did, or that the cluster said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// What.
    pub what: String,
}

/// One instant in detail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// The instant.
    pub at: Instant,
    /// Each KEDA object then.
    pub objects: Vec<MomentOfObject>,
}

/// A KEDA object at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MomentOfObject {
    /// The object, as `ScaledObject/name`.
    pub object: String,
    /// What was there: replicas, jobs, agents, what holds what until when. In sentences.
    pub state: Vec<String>,
    /// The last read of the queue before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read: Option<Reads>,
    /// The last step before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<Step>,
}
