//! What workers ask of a plan, and what they are answered.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::RecordChange;

/// A call below `{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PlanCall {
    /// `GET` the plan itself.
    Get,
    /// `GET timelines`.
    ListTimelines,
    /// `POST timelines`, or `PUT timelines/{id}`.
    CreateTimeline(Uuid),
    /// `GET timelines/{id}`.
    GetTimeline {
        /// The timeline.
        timeline: Uuid,
        /// `includeRecords`.
        records: bool,
    },
    /// `GET timelines/{id}/records`.
    ListRecords(Uuid),
    /// `PATCH timelines/{id}/records`.
    UpdateRecords {
        /// The timeline. The first update of one that is not there makes it.
        timeline: Uuid,
        /// The records with what changes about them.
        changes: Vec<RecordChange>,
    },
    /// `POST timelines/{id}/records/{id}/feed`: lines for whoever watches.
    AppendFeed {
        /// The timeline.
        timeline: Uuid,
        /// The record.
        record: Uuid,
        /// The record of the step that wrote them, if the worker tells.
        step: Option<Uuid>,
        /// The lines.
        lines: Vec<String>,
    },
    /// `GET logs`.
    ListLogs,
    /// `POST logs`.
    CreateLog {
        /// The path that the worker gave it.
        path: String,
    },
    /// `POST logs/{id}`: more of its text.
    AppendLog {
        /// The log.
        log: u64,
        /// The text.
        text: String,
    },
    /// `GET logs/{id}`.
    ReadLog {
        /// The log.
        log: u64,
        /// `startLine`, from 0.
        start: u64,
        /// `endLine`, which is not part of it.
        end: Option<u64>,
    },
    /// `PUT timelines/{id}/records/{id}/attachments/{type}/{name}`.
    PutAttachment {
        /// Which.
        key: AttachmentKey,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// `GET` of the same.
    GetAttachment(AttachmentKey),
    /// `GET` of the same with `/content`, or with `Accept: application/octet-stream`.
    ReadAttachment(AttachmentKey),
    /// `GET attachments/{type}`: of the whole plan.
    ListAttachments {
        /// The type, whatever the case.
        kind: String,
    },
    /// `POST events` with another name than `JobCompleted`: nothing comes of it.
    Event {
        /// Its name.
        name: String,
    },
}

impl PlanCall {
    /// Whether it tells something that is kept.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        match self {
            Self::CreateTimeline(_)
            | Self::UpdateRecords { .. }
            | Self::AppendFeed { .. }
            | Self::CreateLog { .. }
            | Self::AppendLog { .. }
            | Self::PutAttachment { .. } => true,
            Self::Get
            | Self::ListTimelines
            | Self::GetTimeline { .. }
            | Self::ListRecords(_)
            | Self::ListLogs
            | Self::ReadLog { .. }
            | Self::GetAttachment(_)
            | Self::ReadAttachment(_)
            | Self::ListAttachments { .. }
            | Self::Event { .. } => false,
        }
    }
}

/// What names an attachment in its plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttachmentKey {
    /// The timeline.
    pub timeline: Uuid,
    /// The record.
    pub record: Uuid,
    /// The type.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// What a plan's call is answered. Ids stand for what [`crate::Service::encode`] writes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanAnswer {
    /// The plan.
    Plan,
    /// All timelines, without records.
    Timelines,
    /// A timeline.
    Timeline {
        /// Which.
        timeline: Uuid,
        /// With its records.
        records: bool,
    },
    /// Records of a timeline; all of them if none are named.
    Records {
        /// The timeline.
        timeline: Uuid,
        /// Which.
        ids: Option<Vec<Uuid>>,
    },
    /// All logs.
    Logs,
    /// A log.
    Log(u64),
    /// Lines of a log.
    Lines {
        /// The log.
        log: u64,
        /// The first, from 0.
        start: u64,
        /// The one after the last.
        end: Option<u64>,
    },
    /// An attachment.
    Attachment(AttachmentKey),
    /// An attachment's bytes, which are no JSON.
    Content(AttachmentKey),
    /// Attachments of a type.
    Attachments(String),
}
