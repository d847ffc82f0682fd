//! Plans, timelines, records, logs and attachments as JSON.

use serde::Serialize;
use uuid::Uuid;

use super::call::{AttachmentKey, PlanAnswer};
use super::record::Record;
use super::reports::{Attachment, Log, PlanReports, Timeline};
use crate::Service;
use crate::encoding::{PLAN_TYPE, PLAN_VERSION, build_uri, write, write_list};

impl Service {
    pub(crate) fn write_plan_answer(&self, id: Uuid, answer: &PlanAnswer, out: &mut Vec<u8>) {
        let Ok(reports) = self.reports(id) else { return };
        let timeline = |id: &Uuid| reports.timeline(*id);
        match answer {
            PlanAnswer::Plan => self.write_plan(id, &reports, out),
            PlanAnswer::Timelines => {
                let all: Vec<&Timeline> = reports.timelines().collect();
                write_list(out, &all, |one, out| self.write_timeline(id, one, false, out));
            }
            PlanAnswer::Timeline { timeline: wanted, records } => {
                if let Some(found) = timeline(wanted) {
                    self.write_timeline(id, found, *records, out);
                }
            }
            PlanAnswer::Records { timeline: wanted, ids } => {
                let Some(found) = timeline(wanted) else { return };
                if let Some(ids) = ids {
                    let records: Vec<&Record> = ids.iter().filter_map(|id| found.record(*id)).collect();
                    write(out, &List { count: records.len(), value: records });
                } else {
                    let records = self.records(id, found);
                    write(out, &List { count: records.len(), value: records });
                }
            }
            PlanAnswer::Logs => {
                let all: Vec<&Log> = reports.logs().collect();
                write_list(out, &all, |log, out| write(out, &self.log_object(id, log)));
            }
            PlanAnswer::Log(log) => {
                if let Some(log) = reports.log(*log) {
                    write(out, &self.log_object(id, log));
                }
            }
            PlanAnswer::Lines { log, start, end } => {
                let Some(log) = reports.log(*log) else { return };
                let skip = usize::try_from(*start).unwrap_or(usize::MAX);
                let end = end.map_or(usize::MAX, |end| usize::try_from(end).unwrap_or(usize::MAX));
                let lines: Vec<&str> = log.lines().take(end).skip(skip).collect();
                write(out, &List { count: lines.len(), value: lines });
            }
            PlanAnswer::Attachment(key) => {
                if let Some(attachment) = reports.attachment(key) {
                    write(out, &self.attachment_object(id, key, attachment));
                }
            }
            PlanAnswer::Content(key) => {
                if let Some(attachment) = reports.attachment(key) {
                    out.extend_from_slice(&attachment.content);
                }
            }
            PlanAnswer::Attachments(kind) => {
                let wanted: Vec<_> =
                    reports.attachments().filter(|(key, _)| key.kind.eq_ignore_ascii_case(kind)).collect();
                write_list(out, &wanted, |(key, attachment), out| {
                    write(out, &self.attachment_object(id, key, attachment));
                });
            }
        }
    }

    fn write_plan(&self, id: Uuid, reports: &PlanReports, out: &mut Vec<u8>) {
        let project = self.project_of_plan(reports);
        let build = reports.build();
        write(
            out,
            &PlanObject {
                scope_identifier: project,
                plan_id: id,
                plan_type: PLAN_TYPE,
                plan_group: format!("{PLAN_TYPE}:{project}:{build}"),
                version: PLAN_VERSION,
                artifact_uri: build_uri(build),
                timeline: TimelineReference {
                    id,
                    change_id: reports.timeline(id).map_or(1, |main| main.change_id),
                    location: self.timeline_url(id, id),
                },
            },
        );
    }

    fn write_timeline(&self, plan: Uuid, timeline: &Timeline, records: bool, out: &mut Vec<u8>) {
        write(
            out,
            &TimelineObject {
                records: records.then(|| self.records(plan, timeline)),
                last_changed_on: &timeline.changed,
                last_changed_by: self.instance_id(),
                reference: TimelineReference {
                    id: timeline.id,
                    change_id: timeline.change_id,
                    location: self.timeline_url(plan, timeline.id),
                },
            },
        );
    }

    /// The records of a timeline; those of jobs are in the main one.
    fn records(&self, plan: Uuid, timeline: &Timeline) -> Vec<Record> {
        if timeline.id == plan { self.plan_records(plan) } else { timeline.records().cloned().collect() }
    }

    fn log_object<'a>(&self, plan: Uuid, log: &'a Log) -> LogObject<'a> {
        LogObject {
            id: log.id,
            path: &log.path,
            location: format!("{}/logs/{}", self.plan_url(plan), log.id),
            line_count: log.lines().count(),
            created_on: &log.created,
            last_changed_on: &log.changed,
        }
    }

    fn attachment_object<'a>(
        &self,
        plan: Uuid,
        key: &'a AttachmentKey,
        attachment: &'a Attachment,
    ) -> AttachmentObject<'a> {
        let AttachmentKey { timeline, record, kind, name } = key;
        let href = format!(
            "{}/timelines/{timeline}/records/{record}/attachments/{kind}/{name}",
            self.plan_url(plan)
        );
        AttachmentObject {
            links: SelfLink { this: Href { href } },
            kind,
            name,
            created_on: &attachment.created,
            last_changed_on: &attachment.changed,
            last_changed_by: self.instance_id(),
            timeline_id: *timeline,
            record_id: *record,
        }
    }

    fn timeline_url(&self, plan: Uuid, timeline: Uuid) -> String {
        format!("{}/timelines/{timeline}", self.plan_url(plan))
    }

    fn plan_url(&self, plan: Uuid) -> String {
        let project = self.reports(plan).map(|reports| self.project_of_plan(&reports)).unwrap_or_default();
        let url = &self.settings.url;
        format!("{url}/{project}/_apis/distributedtask/hubs/{PLAN_TYPE}/plans/{plan}")
    }

    fn project_of_plan(&self, reports: &PlanReports) -> Uuid {
        let build = self.builds.get(reports.build());
        let definition = build.and_then(|build| self.definitions.get(build.definition));
        definition.map(|definition| definition.project_id).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct List<T> {
    count: usize,
    value: Vec<T>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanObject {
    scope_identifier: Uuid,
    plan_id: Uuid,
    plan_type: &'static str,
    plan_group: String,
    version: u32,
    artifact_uri: String,
    timeline: TimelineReference,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimelineReference {
    id: Uuid,
    change_id: u64,
    location: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimelineObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<Record>>,
    last_changed_on: &'a str,
    last_changed_by: Uuid,
    #[serde(flatten)]
    reference: TimelineReference,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogObject<'a> {
    id: u64,
    path: &'a str,
    location: String,
    line_count: usize,
    created_on: &'a str,
    last_changed_on: &'a str,
}

#[derive(Serialize)]
struct Href {
    href: String,
}

#[derive(Serialize)]
struct SelfLink {
    #[serde(rename = "self")]
    this: Href,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentObject<'a> {
    #[serde(rename = "_links")]
    links: SelfLink,
    #[serde(rename = "type")]
    kind: &'a str,
    name: &'a str,
    created_on: &'a str,
    last_changed_on: &'a str,
    last_changed_by: Uuid,
    timeline_id: Uuid,
    record_id: Uuid,
}
