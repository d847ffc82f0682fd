//! What is kept of one plan.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::call::{AttachmentKey, PlanAnswer, PlanCall};
use super::record::{Record, RecordChange};
use crate::Refusal;
use crate::ids::BuildId;
use crate::limits::{
    MAX_ATTACHMENTS, MAX_FEED_LINE, MAX_FEED_LINES, MAX_LOG_BYTES, MAX_LOGS, MAX_RECORDS, MAX_TIMELINES,
};

/// What a record, a log or an attachment takes beside its texts, about.
const OVERHEAD: usize = 400;
/// What a line or a name takes beside its text, about.
const LINE: usize = 48;

/// What workers have reported about one plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanReports {
    plan: Uuid,
    build: BuildId,
    timelines: BTreeMap<Uuid, Timeline>,
    /// The lines for whoever watches, by record.
    feeds: BTreeMap<Uuid, VecDeque<String>>,
    logs: Vec<Log>,
    /// In the order in which they came.
    attachments: Vec<(AttachmentKey, Attachment)>,
    bytes: usize,
}

/// A timeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timeline {
    /// Its id; the main one has the plan's.
    pub id: Uuid,
    /// How often it changed.
    pub change_id: u64,
    /// When it last changed.
    pub changed: String,
    records: BTreeMap<Uuid, Record>,
}

impl Timeline {
    fn new(id: Uuid, changed: String) -> Self {
        Self { id, change_id: 1, changed, records: BTreeMap::new() }
    }

    /// Its records, by id.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// A record.
    #[must_use]
    pub fn record(&self, id: Uuid) -> Option<&Record> {
        self.records.get(&id)
    }
}

/// A log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// Its number in its plan, from 1.
    pub id: u64,
    /// The path that the worker gave it.
    pub path: String,
    /// When it was made.
    pub created: String,
    /// When text was last added.
    pub changed: String,
    text: String,
}

impl Log {
    /// Its lines, without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines()
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A file that a worker attached to a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attachment {
    /// When it was first attached.
    pub created: String,
    /// When it was last replaced.
    pub changed: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

impl PlanReports {
    /// A plan about which nothing has been told, with its main timeline.
    pub(super) fn new(plan: Uuid, build: BuildId, created: String) -> Self {
        Self {
            plan,
            build,
            timelines: BTreeMap::from([(plan, Timeline::new(plan, created))]),
            feeds: BTreeMap::new(),
            logs: Vec::new(),
            attachments: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn build(&self) -> BuildId {
        self.build
    }

    /// What it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was reported of the records of the main timeline, by id. Those of jobs have the jobs' ids.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.timelines.get(&self.plan).into_iter().flat_map(Timeline::records)
    }

    /// Its timelines, by id.
    pub fn timelines(&self) -> impl Iterator<Item = &Timeline> {
        self.timelines.values()
    }

    /// A timeline.
    #[must_use]
    pub fn timeline(&self, id: Uuid) -> Option<&Timeline> {
        self.timelines.get(&id)
    }

    /// Its logs, by number.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        self.logs.iter()
    }

    /// A log by its number.
    #[must_use]
    pub fn log(&self, id: u64) -> Option<&Log> {
        self.logs.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// A log's lines, without their ends.
    #[must_use]
    pub fn log_lines(&self, id: u64) -> Option<Vec<&str>> {
        self.log(id).map(|log| log.lines().collect())
    }

    /// The last lines that a record's worker showed to whoever watches.
    pub fn feed(&self, record: Uuid) -> impl Iterator<Item = &str> {
        self.feeds.get(&record).into_iter().flatten().map(String::as_str)
    }

    /// Its attachments.
    pub fn attachments(&self) -> impl Iterator<Item = (&AttachmentKey, &Attachment)> {
        self.attachments.iter().map(|(key, attachment)| (key, attachment))
    }

    /// An attachment.
    #[must_use]
    pub fn attachment(&self, key: &AttachmentKey) -> Option<&Attachment> {
        self.attachments().find(|(known, _)| *known == key).map(|(_, attachment)| attachment)
    }

    /// Whether a call about this plan can be done.
    pub(super) fn check(&self, call: &PlanCall) -> Result<(), Refusal> {
        match call {
            PlanCall::GetTimeline { timeline, .. }
            | PlanCall::ListRecords(timeline)
            | PlanCall::AppendFeed { timeline, .. } => self.check_timeline(*timeline),
            PlanCall::CreateTimeline(id) => match self.timeline(*id) {
                Some(_) => Err(Refusal::TimelineExists(*id)),
                None => self.check_room_for(*id, 0),
            },
            PlanCall::UpdateRecords { timeline, changes } => self.check_room_for(*timeline, changes.len()),
            PlanCall::CreateLog { .. } if self.logs.len() >= MAX_LOGS => {
                Err(Refusal::Full { what: "logs of a plan", limit: MAX_LOGS })
            }
            PlanCall::ReadLog { log, .. } => self.log(*log).map(|_| ()).ok_or(Refusal::LogNotFound(*log)),
            PlanCall::AppendLog { log, text } => {
                let log = self.log(*log).ok_or(Refusal::LogNotFound(*log))?;
                if log.text.len() + text.len() > MAX_LOG_BYTES {
                    return Err(Refusal::Full { what: "bytes of a log", limit: MAX_LOG_BYTES });
                }
                Ok(())
            }
            PlanCall::PutAttachment { key, .. } => {
                if self.attachments.len() >= MAX_ATTACHMENTS && self.attachment(key).is_none() {
                    return Err(Refusal::Full { what: "attachments of a plan", limit: MAX_ATTACHMENTS });
                }
                self.check_timeline(key.timeline)
            }
            PlanCall::GetAttachment(key) | PlanCall::ReadAttachment(key) => {
                let found = self.attachment(key).map(|_| ());
                found.ok_or_else(|| Refusal::NothingHere(format!("attachment {}", key.name)))
            }
            PlanCall::Get
            | PlanCall::ListTimelines
            | PlanCall::ListLogs
            | PlanCall::CreateLog { .. }
            | PlanCall::ListAttachments { .. }
            | PlanCall::Event { .. } => Ok(()),
        }
    }

    fn check_timeline(&self, id: Uuid) -> Result<(), Refusal> {
        self.timeline(id).map(|_| ()).ok_or(Refusal::TimelineNotFound(id))
    }

    /// Whether a timeline, old or new, has room for this many records, as if they were new.
    fn check_room_for(&self, id: Uuid, records: usize) -> Result<(), Refusal> {
        match self.timeline(id) {
            None if self.timelines.len() >= MAX_TIMELINES => {
                Err(Refusal::Full { what: "timelines of a plan", limit: MAX_TIMELINES })
            }
            known if known.map_or(0, |known| known.records.len()) + records > MAX_RECORDS => {
                Err(Refusal::Full { what: "records of a timeline", limit: MAX_RECORDS })
            }
            _ => Ok(()),
        }
    }

    /// Keeps what was told, which was [checked](Self::check). Of the lines for whoever watches the oldest go.
    pub(super) fn take(&mut self, told: PlanCall, now: &str) -> Option<PlanAnswer> {
        match told {
            PlanCall::CreateTimeline(id) => {
                self.timeline_mut(id, now);
                Some(PlanAnswer::Timeline { timeline: id, records: false })
            }
            PlanCall::UpdateRecords { timeline, changes } => {
                Some(self.update_records(timeline, changes, now))
            }
            PlanCall::AppendFeed { record, step, lines, .. } => {
                self.append_feed(step.unwrap_or(record), lines);
                None
            }
            PlanCall::CreateLog { path } => Some(self.create_log(path, now)),
            PlanCall::AppendLog { log, text } => {
                self.append_log(log, &text, now);
                Some(PlanAnswer::Log(log))
            }
            PlanCall::PutAttachment { key, content } => {
                self.attach(key.clone(), content, now);
                Some(PlanAnswer::Attachment(key))
            }
            read => unreachable!("{read:?} tells nothing"),
        }
    }

    /// A timeline, which is made if it is not there.
    fn timeline_mut(&mut self, id: Uuid, now: &str) -> &mut Timeline {
        if !self.timelines.contains_key(&id) {
            self.bytes += OVERHEAD;
        }
        self.timelines.entry(id).or_insert_with(|| Timeline::new(id, now.to_owned()))
    }

    fn update_records(&mut self, id: Uuid, changes: Vec<RecordChange>, now: &str) -> PlanAnswer {
        let timeline = self.timeline_mut(id, now);
        timeline.change_id += 1;
        timeline.changed = now.to_owned();
        let ids: Vec<Uuid> = changes.iter().map(|change| change.id).collect();
        let (mut grown, mut shrunk) = (0_usize, 0_usize);
        for change in changes {
            let known = timeline.records.contains_key(&change.id);
            let record = timeline.records.entry(change.id).or_insert_with(|| Record::new(change.id));
            shrunk += if known { size(record) } else { 0 };
            record.merge(change);
            record.change_id = timeline.change_id;
            record.last_modified = Some(now.to_owned());
            grown += size(record);
        }
        self.bytes = (self.bytes + grown).saturating_sub(shrunk);
        PlanAnswer::Records { timeline: id, ids: Some(ids) }
    }

    fn append_feed(&mut self, record: Uuid, lines: Vec<String>) {
        if !self.feeds.contains_key(&record) && self.feeds.len() >= MAX_RECORDS {
            return;
        }
        if !self.feeds.contains_key(&record) {
            self.bytes += OVERHEAD;
        }
        let feed = self.feeds.entry(record).or_default();
        for line in lines {
            let line: String = line.chars().take(MAX_FEED_LINE).collect();
            self.bytes += LINE + line.len();
            feed.push_back(line);
            if feed.len() > MAX_FEED_LINES
                && let Some(oldest) = feed.pop_front()
            {
                self.bytes = self.bytes.saturating_sub(LINE + oldest.len());
            }
        }
    }

    fn create_log(&mut self, path: String, now: &str) -> PlanAnswer {
        let id = self.logs.len() as u64 + 1;
        self.bytes += OVERHEAD + path.len();
        let (created, changed) = (now.to_owned(), now.to_owned());
        self.logs.push(Log { id, path, created, changed, text: String::new() });
        PlanAnswer::Log(id)
    }

    fn append_log(&mut self, id: u64, text: &str, now: &str) {
        let place = id.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let Some(log) = place.and_then(|place| self.logs.get_mut(place)) else { return };
        log.text.push_str(text);
        log.changed = now.to_owned();
        self.bytes += text.len();
    }

    fn attach(&mut self, key: AttachmentKey, content: Vec<u8>, now: &str) {
        self.bytes += content.len();
        if let Some((_, attachment)) = self.attachments.iter_mut().find(|(known, _)| *known == key) {
            self.bytes = self.bytes.saturating_sub(attachment.content.len());
            attachment.content = content;
            attachment.changed = now.to_owned();
            return;
        }
        self.bytes += OVERHEAD + key.kind.len() + key.name.len();
        let attachment = Attachment { created: now.to_owned(), changed: now.to_owned(), content };
        self.attachments.push((key, attachment));
    }
}

/// What a record takes, about.
fn size(record: &Record) -> usize {
    let texts = [
        Some(&record.kind),
        Some(&record.name),
        record.ref_name.as_ref(),
        record.start_time.as_ref(),
        record.finish_time.as_ref(),
        record.current_operation.as_ref(),
        record.result_code.as_ref(),
        record.worker_name.as_ref(),
        record.identifier.as_ref(),
        record.log.as_ref().and_then(|log| log.location.as_ref()),
    ];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let values: usize = record.issues.iter().chain(&record.details).map(value_size).sum();
    let variables: usize =
        record.variables.iter().map(|(name, value)| LINE + name.len() + value_size(value)).sum();
    OVERHEAD + texts + values + variables
}

/// What a value takes, about.
pub(crate) fn value_size(value: &Value) -> usize {
    const NODE: usize = 32;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| NODE + name.len() + value_size(value)).sum()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports() -> PlanReports {
        PlanReports::new(Uuid::from_u128(1), BuildId(1), "2026-09-28T11:20:22Z".to_owned())
    }

    fn take(reports: &mut PlanReports, told: PlanCall) -> usize {
        let before = reports.bytes();
        reports.take(told, "2026-09-28T11:20:22Z");
        reports.bytes() - before
    }

    #[test]
    fn all_that_is_kept_is_counted() {
        let mut reports = reports();
        let long = || "x".repeat(10_000);
        let timeline = Uuid::from_u128(2);
        assert!(take(&mut reports, PlanCall::CreateTimeline(timeline)) > 0);
        let change = RecordChange {
            worker_name: Some(long()),
            identifier: Some(long()),
            kind: Some(long()),
            ref_name: Some(long()),
            details: Some(Value::String(long())),
            ..RecordChange::default()
        };
        let changes = vec![change];
        assert!(take(&mut reports, PlanCall::UpdateRecords { timeline, changes }) >= 50_000);
        let lines = vec![String::new(); 100];
        let feed = PlanCall::AppendFeed { timeline, record: timeline, step: None, lines };
        assert!(take(&mut reports, feed) >= 100 * LINE, "an empty line takes room, too");
        let key = AttachmentKey { timeline, record: timeline, kind: long(), name: long() };
        assert!(take(&mut reports, PlanCall::PutAttachment { key, content: Vec::new() }) >= 20_000);
    }

    #[test]
    fn what_is_replaced_or_goes_is_counted_no_more() {
        let mut reports = reports();
        let timeline = Uuid::from_u128(1);
        let record = |name: &str| PlanCall::UpdateRecords {
            timeline,
            changes: vec![RecordChange { worker_name: Some(name.to_owned()), ..RecordChange::default() }],
        };
        take(&mut reports, record("pod-a"));
        assert_eq!(take(&mut reports, record("pod-b")), 0);
        let feed = |lines: usize| PlanCall::AppendFeed {
            timeline,
            record: timeline,
            step: None,
            lines: vec!["x".to_owned(); lines],
        };
        take(&mut reports, feed(MAX_FEED_LINES));
        assert_eq!(take(&mut reports, feed(50)), 0, "as many of the oldest have gone");
    }
}
