//! Plans: what workers report about the jobs of a build while they run them.
//!
//! A build has one plan; its timeline has a record a job and a task, its logs are what the tasks
//! wrote. The plan's main timeline has the plan's id, as the job's message says. Everything is kept
//! as it was sent, within bounds: reports of the oldest finished builds go first.
//!
//! An agent without real steps reports nothing but its jobs' ends, so nothing is kept of a plan
//! until somebody reports. What the service knows of the jobs itself is added when somebody reads.

mod call;
mod encoding;
mod record;
mod reports;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use call::{AttachmentKey, PlanAnswer, PlanCall};
pub use record::{JOB_RECORD, LogReference, Record, RecordChange, RecordState};
pub(crate) use reports::value_size;
pub use reports::{Attachment, Log, PlanReports, Timeline};

use crate::builds::BuildStatus;
use crate::call::Answer;
use crate::ids::{BuildId, RequestId};
use crate::job_requests::{JobRequest, State};
use crate::limits::{MAX_REPORTED_BYTES, MAX_REPORTED_PLANS};
use crate::wire::WireResult;
use crate::{Refusal, Service};

/// What has been reported about plans.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plans {
    by_id: BTreeMap<Uuid, PlanReports>,
    /// The oldest first.
    order: VecDeque<Uuid>,
    /// What all of them take, about.
    bytes: usize,
}

impl Service {
    /// What workers have reported about a plan; nothing if nobody has reported yet.
    #[must_use]
    pub fn plan(&self, plan: Uuid) -> Option<&PlanReports> {
        self.plans.by_id.get(&plan)
    }

    /// The records of a plan's main timeline, by id: what workers reported, and what the service knows
    /// of the jobs itself. Every job has a record with its id.
    #[must_use]
    pub fn plan_records(&self, plan: Uuid) -> Vec<Record> {
        let mut records: BTreeMap<Uuid, Record> = self
            .plan(plan)
            .into_iter()
            .flat_map(PlanReports::records)
            .map(|record| (record.id, record.clone()))
            .collect();
        for job in self.requests.values().filter(|job| job.plan == plan) {
            let record = records.entry(job.job_id).or_insert_with(|| Record::new(job.job_id));
            record.follow(self.known_of_job(job));
        }
        records.into_values().collect()
    }

    /// Whether a job request belongs to a plan.
    pub(crate) fn is_of_plan(&self, request: RequestId, plan: Uuid) -> bool {
        self.requests.get(&request).is_some_and(|job| job.plan == plan)
    }

    /// What is kept of a plan, or would be if somebody reported.
    fn reports(&self, plan: Uuid) -> Result<Cow<'_, PlanReports>, Refusal> {
        if let Some(reports) = self.plan(plan) {
            return Ok(Cow::Borrowed(reports));
        }
        let job = self.requests.values().rev().find(|job| job.plan == plan);
        let job = job.ok_or(Refusal::PlanNotFound(plan))?;
        Ok(Cow::Owned(PlanReports::new(plan, job.build, self.date(job.queued))))
    }

    pub(crate) fn plan_call(&mut self, plan: Uuid, call: PlanCall) -> Result<Answer, Refusal> {
        let reports = self.reports(plan)?;
        reports.check(&call)?;
        let answer = match call {
            PlanCall::Event { .. } => return Ok(Answer::Done),
            PlanCall::Get => PlanAnswer::Plan,
            PlanCall::ListTimelines => PlanAnswer::Timelines,
            PlanCall::GetTimeline { timeline, records } => PlanAnswer::Timeline { timeline, records },
            PlanCall::ListRecords(timeline) => PlanAnswer::Records { timeline, ids: None },
            PlanCall::ListLogs => PlanAnswer::Logs,
            PlanCall::ReadLog { log, start, end } => PlanAnswer::Lines { log, start, end },
            PlanCall::GetAttachment(key) => PlanAnswer::Attachment(key),
            PlanCall::ReadAttachment(key) => PlanAnswer::Content(key),
            PlanCall::ListAttachments { kind } => PlanAnswer::Attachments(kind),
            told => {
                let new = match reports {
                    Cow::Owned(new) => Some(new),
                    Cow::Borrowed(_) => None,
                };
                return self.report(plan, new, told);
            }
        };
        Ok(Answer::Plan(plan, Box::new(answer)))
    }

    /// Keeps what was told of a plan, which was checked.
    fn report(&mut self, plan: Uuid, new: Option<PlanReports>, told: PlanCall) -> Result<Answer, Refusal> {
        self.make_room(plan, new.is_some())?;
        if let Some(new) = new {
            self.plans.by_id.insert(plan, new);
            self.plans.order.push_back(plan);
        }
        let now = self.date(self.now);
        let reports = self.plans.by_id.get_mut(&plan).ok_or(Refusal::PlanNotFound(plan))?;
        let before = reports.bytes();
        let answer = reports.take(told, &now);
        self.plans.bytes = (self.plans.bytes + reports.bytes()).saturating_sub(before);
        Ok(answer.map_or(Answer::Done, |answer| Answer::Plan(plan, Box::new(answer))))
    }

    fn known_of_job(&self, job: &JobRequest) -> RecordChange {
        let reserved = job.reserved();
        let received = reserved.and_then(|reserved| reserved.received);
        let finished = match job.state {
            State::Finished { at, result, .. } => Some((at, result)),
            _ => None,
        };
        let agent = reserved.and_then(|reserved| self.agents.get(&reserved.agent));
        let name = job.shown_agent.as_ref().map(|agent| &agent.name).or(agent.map(|agent| &agent.name));
        RecordChange {
            id: job.job_id,
            kind: Some(JOB_RECORD.to_owned()),
            name: Some(job.name.to_string()),
            ref_name: Some(job.name.to_string()),
            start_time: received.map(|(received, _)| self.date(received)),
            finish_time: finished.map(|(at, _)| self.date(at)),
            state: Some(match (finished, received) {
                (Some(_), _) => RecordState::Completed,
                (None, Some(_)) => RecordState::InProgress,
                (None, None) => RecordState::Pending,
            }),
            result: finished.map(|(_, result)| WireResult(result)),
            worker_name: name.map(ToString::to_string),
            ..RecordChange::default()
        }
    }

    /// Forgets reports of finished builds, as many as it takes. Refused only if there is not one of them.
    fn make_room(&mut self, wanted_by: Uuid, is_new: bool) -> Result<(), Refusal> {
        let too_many = |plans: &Plans| is_new && plans.by_id.len() >= MAX_REPORTED_PLANS;
        let too_large = |plans: &Plans| plans.bytes >= MAX_REPORTED_BYTES;
        let mut forgot = false;
        while too_many(&self.plans) || too_large(&self.plans) {
            if self.forget_a_plan(wanted_by) {
                forgot = true;
            } else if forgot {
                return Ok(());
            } else if too_many(&self.plans) {
                return Err(Refusal::Full { what: "plans with reports", limit: MAX_REPORTED_PLANS });
            } else {
                return Err(Refusal::Full { what: "bytes of reports", limit: MAX_REPORTED_BYTES });
            }
        }
        Ok(())
    }

    /// Forgets what was reported about the oldest build that is over. False if there is none.
    fn forget_a_plan(&mut self, but: Uuid) -> bool {
        let over = |build: BuildId| {
            self.builds.get(build).is_none_or(|build| build.status() == BuildStatus::Completed)
        };
        let oldest = self.plans.order.iter().position(|plan| {
            *plan != but && self.plans.by_id.get(plan).is_none_or(|reports| over(reports.build()))
        });
        let Some(plan) = oldest.and_then(|oldest| self.plans.order.remove(oldest)) else { return false };
        if let Some(reports) = self.plans.by_id.remove(&plan) {
            self.plans.bytes = self.plans.bytes.saturating_sub(reports.bytes());
        }
        true
    }
}
