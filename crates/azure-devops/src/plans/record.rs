//! Records of a timeline: what a worker says about its job and the job's tasks.
//!
//! The members are those of the public contract (ChristopherHX/runner.server,
//! Sdk/DTWebApi/WebApi/TimelineRecord.cs); others are ignored.

use std::collections::BTreeMap;

use model::event::JobResult;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::secret::without_secrets;
use crate::wire::{WireResult, wire_enum};

/// The kind of a job's record.
pub const JOB_RECORD: &str = "Job";

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordState {
    /// Nobody has begun.
    #[default]
    Pending,
    /// Somebody works on it.
    InProgress,
    /// Over.
    Completed,
}

impl<'de> Deserialize<'de> for RecordState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = [
            (0, "pending", Self::Pending),
            (1, "inprogress", Self::InProgress),
            (2, "completed", Self::Completed),
        ];
        wire_enum(deserializer, "a record's state", names.into_iter())
    }
}

/// A log that a record points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogReference {
    /// The log's number in its plan.
    pub id: u64,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A record of a timeline. Dates are texts as the worker sent them: UTC with `Z`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Its id; a job's record has the job's.
    pub id: Uuid,
    /// The record that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<Uuid>,
    /// `Job`, `Task`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// What people read.
    pub name: String,
    /// What other jobs call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ref_name: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_time: Option<String>,
    /// What it does at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_operation: Option<String>,
    /// How much of it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_complete: Option<i64>,
    /// Where it stands.
    pub state: RecordState,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<WireResult>,
    /// Why it ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_code: Option<String>,
    /// The timeline's change that changed it last.
    pub change_id: u64,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// Its place among the parts of its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<i64>,
    /// Its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogReference>,
    /// The timeline with its parts, if they have one of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// How many errors there were.
    pub error_count: u64,
    /// How many warnings there were.
    pub warning_count: u64,
    /// Errors and warnings, as many as were sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issues: Vec<Value>,
    /// Variables that it set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Value>,
    /// Which attempt it is.
    pub attempt: u64,
    /// The attempts before it, as the service knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub previous_attempts: Vec<Value>,
    /// What it is called in the whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
}

/// What a worker says of a record: members that it leaves out, or sends as `null`, stay as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the members of Record")]
pub struct RecordChange {
    pub id: Uuid,
    pub parent_id: Option<Uuid>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub name: Option<String>,
    pub ref_name: Option<String>,
    pub start_time: Option<String>,
    pub finish_time: Option<String>,
    pub current_operation: Option<String>,
    pub percent_complete: Option<i64>,
    pub state: Option<RecordState>,
    pub result: Option<WireResult>,
    pub result_code: Option<String>,
    pub worker_name: Option<String>,
    pub order: Option<i64>,
    pub log: Option<LogReference>,
    pub details: Option<Value>,
    pub error_count: Option<u64>,
    pub warning_count: Option<u64>,
    pub issues: Option<Vec<Value>>,
    pub variables: Option<BTreeMap<String, Value>>,
    pub attempt: Option<u64>,
    pub identifier: Option<String>,
}

impl Record {
    /// A record of which nothing is known.
    pub(crate) fn new(id: Uuid) -> Self {
        Self { id, attempt: 1, ..Self::default() }
    }

    /// Has a job's record say what the service knows of the job. What a worker told stands, but no
    /// record goes on after its job.
    pub(crate) fn follow(&mut self, known: RecordChange) {
        let reported = self.change_id > 0;
        let ended = known.state == Some(RecordState::Completed) && self.state != RecordState::Completed;
        if !reported || ended {
            self.merge(known);
        }
    }

    /// How it ended.
    #[must_use]
    pub fn job_result(&self) -> Option<JobResult> {
        self.result.map(|result| result.0)
    }

    /// Takes over what was said. The real service merges by members (the worker sends only some of them:
    /// azure-pipelines-agent, JobServerQueue.cs, `MergeTimelineRecords` does the same before it sends).
    pub(crate) fn merge(&mut self, change: RecordChange) {
        fn replace<T>(place: &mut Option<T>, said: Option<T>) {
            if said.is_some() {
                *place = said;
            }
        }
        replace(&mut self.parent_id, change.parent_id);
        self.kind = change.kind.unwrap_or(std::mem::take(&mut self.kind));
        self.name = change.name.unwrap_or(std::mem::take(&mut self.name));
        replace(&mut self.ref_name, change.ref_name);
        replace(&mut self.start_time, change.start_time.filter(|date| is_date(date)));
        replace(&mut self.finish_time, change.finish_time.filter(|date| is_date(date)));
        replace(&mut self.current_operation, change.current_operation);
        replace(&mut self.percent_complete, change.percent_complete);
        self.state = change.state.unwrap_or(self.state);
        replace(&mut self.result, change.result);
        replace(&mut self.result_code, change.result_code);
        replace(&mut self.worker_name, change.worker_name);
        replace(&mut self.order, change.order);
        replace(&mut self.log, change.log);
        replace(&mut self.details, change.details);
        self.error_count = change.error_count.unwrap_or(self.error_count);
        self.warning_count = change.warning_count.unwrap_or(self.warning_count);
        if let Some(issues) = change.issues.filter(|issues| !issues.is_empty()) {
            self.issues = issues;
        }
        if let Some(variables) = change.variables {
            // Nothing here needs a secret, so it is not kept.
            let told = variables.into_iter().map(|(name, value)| (name, without_secrets(&value)));
            self.variables.extend(told);
        }
        self.attempt = change.attempt.unwrap_or(self.attempt).max(1);
        replace(&mut self.identifier, change.identifier);
    }
}

/// Dates that were never set come as the year 1, which clients in Go cannot read.
fn is_date(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok_and(|date| date > jiff::Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(json: &str) -> RecordChange {
        serde_json::from_str(json).expect("a record")
    }

    #[test]
    fn members_that_are_left_out_stay_as_they_are() {
        let mut record = Record::default();
        record.merge(change(
            r#"{"type":"Job","name":"build","state":"inProgress","workerName":"pod-a","unknown":1,
                "startTime":"2026-09-28T11:20:22.4633333Z","variables":{"a":{"value":"1"}}}"#,
        ));
        record
            .merge(change(r#"{"name":null,"state":2,"result":"Succeeded","variables":{"b":{"value":"2"}}}"#));
        assert_eq!((record.kind.as_str(), record.name.as_str()), ("Job", "build"));
        assert_eq!((record.state, record.job_result()), (RecordState::Completed, Some(JobResult::Succeeded)));
        assert_eq!(record.start_time.as_deref(), Some("2026-09-28T11:20:22.4633333Z"));
        assert_eq!(record.variables.len(), 2);
        assert_eq!(record.attempt, 1);
    }

    #[test]
    fn a_date_that_was_never_set_is_none() {
        let mut record = Record::default();
        for date in ["0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "soon"] {
            record.merge(RecordChange { start_time: Some(date.to_owned()), ..RecordChange::default() });
            assert_eq!(record.start_time, None, "{date}");
        }
    }
}
