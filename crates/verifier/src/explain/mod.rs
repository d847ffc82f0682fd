//! Why replicas were what they were: every read of the queue with the rows that count, and every step
//! with its reason, from the facts of a log and the documented rules. A rule of KEDA or the HPA that
//! does not lead to what the log shows is no explanation, and then it says so.

mod case;
mod hpa;
mod jobs;
mod keda;
mod moment;
mod notes;
mod reads;
mod steps;
#[cfg(test)]
mod tests;

use model::{Event, Instant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::case::Case;
use self::jobs::JobLoop;
use crate::count::CountRule;
use crate::history::History;
use crate::report::Run;
use crate::verdict;

/// Explains a log. With `at`, that instant is shown in detail as well.
#[must_use]
pub fn explain(events: impl IntoIterator<Item = Event>, at: Option<Instant>) -> Explanation {
    let history = History::of(events);
    let mut objects = Vec::new();
    let mut moments = Vec::new();
    for (object, target) in &history.targets {
        let case = Case::of(&history, object, target);
        let (story, moment) = story(&case, at);
        objects.push(story);
        moments.extend(moment);
    }
    let steps = objects.iter().flat_map(|story| &story.entries);
    let not_explained = steps.filter(|entry| matches!(entry, Entry::Step(step) if !step.explained)).count();
    Explanation {
        run: verdict::run(&history),
        objects,
        not_explained: u32::try_from(not_explained).unwrap_or(u32::MAX),
        moment: at.map(|at| Moment { at, objects: moments }),
    }
}

fn story(case: &Case<'_>, at: Option<Instant>) -> (ObjectStory, Option<MomentOfObject>) {
    let (steps, reads, proposals) = if case.is_job {
        let jobs = JobLoop::of(case);
        (jobs.steps(case), reads::stories(case, |index| jobs.nothing(case, index)), None)
    } else {
        let proposals = hpa::proposals(case);
        (steps::of_workload(case, &proposals), reads::stories(case, |_| None), Some(proposals))
    };
    let moment = at.map(|at| moment::of(case, proposals.as_ref(), &steps, at));
    let mut entries: Vec<Entry> = notes::of(case).into_iter().map(Entry::Note).collect();
    entries.extend(reads.into_iter().map(Entry::Reads));
    entries.extend(steps.into_iter().map(Entry::Step));
    entries.sort_by_key(Entry::at);
    let story = ObjectStory {
        object: case.object.to_owned(),
        workload: case.target.scale.workload.clone(),
        settings: settings(case),
        entries,
    };
    (story, moment)
}

fn settings(case: &Case<'_>) -> Vec<String> {
    let era = case.era(Instant::START);
    let scale = era.scale;
    let mut settings = Vec::new();
    let bounds =
        format!("{} to {} replicas, a poll every {}s", scale.min, scale.max, scale.polling_interval_s);
    settings.push(match (case.is_job, &scale.strategy) {
        (true, strategy) => {
            format!("KEDA {}: {bounds}, {} strategy", scale.keda, strategy.as_deref().unwrap_or("default"))
        }
        (false, _) => format!(
            "KEDA {}: {bounds}, cooldown {}s, scale-down window {}s",
            scale.keda, scale.cooldown_s, scale.stabilization_s
        ),
    });
    for trigger in &era.triggers {
        let words = trigger.rule.as_ref().map_or_else(
            || format!("is a trigger of type {}, whose values the log does not have", trigger.kind),
            CountRule::words,
        );
        settings.push(format!("{} {words}", trigger.metric));
    }
    if era.polls_do_not_read() && !case.is_job {
        settings.push("polls take what the HPA read last, so the HPA's reads are all there are".to_owned());
    }
    settings
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
