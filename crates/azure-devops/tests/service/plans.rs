//! Plans: what workers report, what is added to it, and what bounds it.

use azure_devops::limits::{MAX_FEED_LINES, MAX_LOG_BYTES, MAX_TIMELINES};
use azure_devops::plans::{AttachmentKey, RecordChange, RecordState};
use azure_devops::{Answer, Call, Caller, PlanCall, Refusal};
use model::Millis;
use model::event::JobResult;
use serde_json::Value;
use uuid::Uuid;

use crate::driver::{Got, Organization, settings, with_placeholder};

/// A job that an agent has.
fn taken() -> (Organization, Got) {
    let mut organization = Organization::new(with_placeholder(settings(), &[]));
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    let got = organization.take(session);
    (organization, got)
}

impl Organization {
    fn plan(&mut self, plan: Uuid, call: PlanCall) -> Result<Answer, Refusal> {
        self.call(Call::Plan { plan, call: Box::new(call) })
    }

    fn read_plan(&mut self, plan: Uuid, call: PlanCall) -> Value {
        let answer = self.plan(plan, call).expect("an answer");
        self.json(&answer)
    }

    fn job_record(&self, plan: Uuid) -> (RecordState, Option<JobResult>, Option<String>) {
        let records = self.service.plan_records(plan);
        let [record] = records.as_slice() else { panic!("one job: {records:?}") };
        (record.state, record.job_result(), record.worker_name.clone())
    }
}

fn record(id: Uuid) -> RecordChange {
    RecordChange { id, ..RecordChange::default() }
}

#[test]
fn every_job_has_a_record_that_follows_it_though_nobody_reports() {
    let mut organization = Organization::with_template();
    organization.burst(1);
    let (_, session) = organization.listen("pod-a");
    let got = organization.job(session);
    assert_eq!(organization.job_record(got.plan).0, RecordState::Pending);
    organization.delete(session, got.message).expect("the message");
    assert_eq!(organization.job_record(got.plan), (RecordState::InProgress, None, Some("pod-a".to_owned())));
    organization.complete(got, JobResult::Failed).expect("a job");
    assert_eq!(
        organization.job_record(got.plan),
        (RecordState::Completed, Some(JobResult::Failed), Some("pod-a".to_owned()))
    );
    assert!(organization.service.plan(got.plan).is_none(), "nothing is kept of a plan that is only read");
}

#[test]
fn what_a_worker_told_of_its_job_stands_until_the_job_is_over() {
    let (mut organization, got) = taken();
    let job = organization.service.plan_records(got.plan)[0].id;
    let told =
        RecordChange { name: Some("told".to_owned()), state: Some(RecordState::Pending), ..record(job) };
    let call = PlanCall::UpdateRecords { timeline: got.plan, changes: vec![told] };
    let answer = organization.read_plan(got.plan, call);
    assert_eq!((&answer["count"], &answer["value"][0]["name"]), (&1.into(), &"told".into()));
    let timeline = PlanCall::GetTimeline { timeline: got.plan, records: true };
    let read = organization.read_plan(got.plan, timeline.clone());
    assert_eq!(
        (&read["records"][0]["name"], &read["records"][0]["state"]),
        (&"told".into(), &"pending".into())
    );
    organization.complete(got, JobResult::Canceled).expect("a job");
    let read = organization.read_plan(got.plan, timeline);
    assert_eq!(
        (&read["records"][0]["state"], &read["records"][0]["result"]),
        (&"completed".into(), &"canceled".into())
    );
}

#[test]
fn an_abandoned_job_s_record_is_over_though_its_worker_never_said_so() {
    let (mut organization, got) = taken();
    organization.pass(Millis::minutes(11));
    let (state, result, _) = organization.job_record(got.plan);
    assert_eq!((state, result), (RecordState::Completed, Some(JobResult::Abandoned)));
}

#[test]
fn a_log_grows_by_what_is_appended_and_is_read_by_lines() {
    let (mut organization, got) = taken();
    let log = organization.read_plan(got.plan, PlanCall::CreateLog { path: "logs\\a".to_owned() });
    assert_eq!((&log["id"], &log["lineCount"]), (&1.into(), &0.into()));
    for text in ["one\ntwo\n", "three\n"] {
        organization.read_plan(got.plan, PlanCall::AppendLog { log: 1, text: text.to_owned() });
    }
    let all = organization.read_plan(got.plan, PlanCall::ReadLog { log: 1, start: 0, end: None });
    assert_eq!(all, serde_json::json!({ "count": 3, "value": ["one", "two", "three"] }));
    let part = organization.read_plan(got.plan, PlanCall::ReadLog { log: 1, start: 1, end: Some(2) });
    assert_eq!(part["value"], serde_json::json!(["two"]));
    let reports = organization.service.plan(got.plan).expect("reports");
    assert_eq!(reports.log_lines(1), Some(vec!["one", "two", "three"]));
    assert_eq!(reports.log_lines(2), None);
}

#[test]
fn a_log_that_is_not_there_or_too_long_is_refused_and_nothing_changes() {
    let (mut organization, got) = taken();
    let append = |log, text| PlanCall::AppendLog { log, text };
    for log in [0, 1] {
        let refused = organization.plan(got.plan, append(log, "x".to_owned()));
        assert_eq!(refused.err(), Some(Refusal::LogNotFound(log)));
    }
    assert!(organization.service.plan(got.plan).is_none(), "a refused report is no report");
    organization.plan(got.plan, PlanCall::CreateLog { path: String::new() }).expect("a log");
    organization.plan(got.plan, append(1, "x".repeat(MAX_LOG_BYTES))).expect("room for it");
    let full = organization.plan(got.plan, append(1, "x".to_owned()));
    assert!(matches!(full, Err(Refusal::Full { .. })), "{full:?}");
}

#[test]
fn a_timeline_is_made_once_and_its_parts_need_it() {
    let (mut organization, got) = taken();
    let other = Uuid::from_u128(5);
    let get = || PlanCall::GetTimeline { timeline: other, records: false };
    assert_eq!(organization.plan(got.plan, get()).err(), Some(Refusal::TimelineNotFound(other)));
    organization.plan(got.plan, PlanCall::CreateTimeline(other)).expect("a timeline");
    let again = organization.plan(got.plan, PlanCall::CreateTimeline(other));
    assert_eq!(again.err(), Some(Refusal::TimelineExists(other)));
    let main = organization.plan(got.plan, PlanCall::CreateTimeline(got.plan));
    assert_eq!(main.err(), Some(Refusal::TimelineExists(got.plan)), "a plan has one from the start");
    for number in 10.. {
        match organization.plan(got.plan, PlanCall::CreateTimeline(Uuid::from_u128(number))) {
            Ok(_) => assert!(number < 10 + MAX_TIMELINES as u128, "there is a bound"),
            Err(refusal) => {
                assert!(matches!(refusal, Refusal::Full { .. }), "{refusal:?}");
                break;
            }
        }
    }
}

#[test]
fn of_the_lines_for_whoever_watches_the_last_are_kept() {
    let (mut organization, got) = taken();
    let step = Uuid::from_u128(5);
    for first in 0..3 {
        let lines = (0..MAX_FEED_LINES / 2).map(|line| format!("{first} {line}")).collect();
        let call = PlanCall::AppendFeed { timeline: got.plan, record: step, step: None, lines };
        organization.plan(got.plan, call).expect("heard");
    }
    let reports = organization.service.plan(got.plan).expect("reports");
    assert_eq!(reports.feed(step).count(), MAX_FEED_LINES);
    assert_eq!(reports.feed(step).next(), Some("1 0"));
}

#[test]
fn an_attachment_is_replaced_by_one_of_the_same_name() {
    let (mut organization, got) = taken();
    let key =
        AttachmentKey { timeline: got.plan, record: got.plan, kind: "K".to_owned(), name: "n".to_owned() };
    let read = PlanCall::ReadAttachment(key.clone());
    assert!(organization.plan(got.plan, read.clone()).is_err(), "nothing is attached yet");
    for content in ["old", "new"] {
        let call = PlanCall::PutAttachment { key: key.clone(), content: content.into() };
        organization.plan(got.plan, call).expect("attached");
    }
    let list = organization.read_plan(got.plan, PlanCall::ListAttachments { kind: "k".to_owned() });
    assert_eq!(list["count"], 1);
    let answer = organization.plan(got.plan, read).expect("its bytes");
    let mut bytes = Vec::new();
    organization.service.encode(&answer, &mut bytes);
    assert_eq!(bytes, b"new");
}

#[test]
fn secret_variables_of_a_record_are_not_kept() {
    let (mut organization, got) = taken();
    let id = Uuid::from_u128(7);
    let secret = serde_json::json!({ "value": "hunter2", "isSecret": true });
    let variables =
        [("password".to_owned(), secret), ("name".to_owned(), serde_json::json!({ "value": "shop" }))];
    let change = RecordChange { variables: Some(variables.into()), ..record(id) };
    let call = PlanCall::UpdateRecords { timeline: got.plan, changes: vec![change] };
    organization.call(Call::Plan { plan: got.plan, call: Box::new(call) }).expect("told");
    let shown = organization
        .read(Call::Plan { plan: got.plan, call: Box::new(PlanCall::ListRecords(got.plan)) })
        .to_string();
    assert!(shown.contains("shop") && !shown.contains("hunter2"), "{shown}");
    let kept = String::from_utf8(organization.service.snapshot().expect("a snapshot")).expect("text");
    assert!(!kept.contains("hunter2"));
}

#[test]
fn a_job_s_token_opens_its_own_plan_alone() {
    let (mut organization, got) = taken();
    organization.burst(1);
    let own = Caller::Job(got.request);
    let call = |plan| Call::Plan { plan, call: Box::new(PlanCall::Get) };
    assert_eq!(organization.service.permit(own, &call(got.plan)), Ok(()));
    let other = Uuid::from_u128(9);
    assert_eq!(organization.service.permit(own, &call(other)), Err(Refusal::PlanSecurity(other)));
    assert_eq!(organization.plan(other, PlanCall::Get).err(), Some(Refusal::PlanNotFound(other)));
}

#[test]
fn reading_changes_nothing_and_telling_does() {
    for (call, changes) in [
        (PlanCall::Get, false),
        (PlanCall::ListLogs, false),
        (PlanCall::Event { name: "JobStarted".to_owned() }, false),
        (PlanCall::CreateLog { path: String::new() }, true),
    ] {
        assert_eq!(call.changes_state(), changes, "{call:?}");
    }
}
