//! Pipelines: what waits for what, how many jobs at once, what a time-out and a cancellation come to.

use azure_devops::{
    Answer, BuildCall, BuildDetails, BuildDraft, BuildId, BuildPriority, Call, Condition, DEFAULT_STAGE,
    Definition, DefinitionId, DefinitionRef, JobTemplate, Phase, QueueTimeFailure, Refusal, Reply, RequestId,
    Stage,
};
use model::event::JobResult;
use model::{Fact, Instant, Millis};
use serde_json::Value;

use crate::driver::{Got, Organization, settings};

fn phase(name: &str, depends_on: &[&str], jobs: usize) -> Phase {
    let job = |number: usize| JobTemplate::new(format!("{name} {number}"), vec![], Millis::minutes(1));
    Phase {
        name: name.to_owned(),
        depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        jobs: (1..=jobs).map(job).collect(),
        ..Phase::default()
    }
}

fn pipeline(stages: Vec<Stage>) -> Definition {
    Definition { stages, ..Definition::flat("ci", "shop", "keda-pool", vec![]) }
}

fn queued_with(phases: Vec<Phase>) -> (Organization, BuildId) {
    let mut organization = Organization::with_template();
    let definition = pipeline(vec![Stage::of(DEFAULT_STAGE, phases)]);
    organization.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    let build = organization.queue("ci").expect("a build");
    (organization, build)
}

/// The names of the jobs that were queued so far.
fn queued(organization: &Organization) -> Vec<String> {
    let name = |fact: &Fact| match fact {
        Fact::JobRequestQueued { job, .. } => Some(job.clone()),
        _ => None,
    };
    organization.facts.iter().filter_map(name).collect()
}

fn run_next(organization: &mut Organization, session: uuid::Uuid, result: JobResult) -> Got {
    let got = organization.take(session);
    organization.complete(got, result).expect("the end");
    got
}

fn read(organization: &mut Organization, build: BuildId) -> Value {
    organization.read(Call::Build(BuildCall::get(build)))
}

#[test]
fn a_phase_waits_for_what_it_depends_on_and_keeps_within_its_limit() {
    let mut test = phase("test", &["build"], 3);
    test.max_parallel = Some(2);
    let (mut organization, build) = queued_with(vec![phase("build", &[], 1), test]);
    let (_, session) = organization.listen("pod-a");
    assert_eq!(queued(&organization), ["build 1"]);
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(queued(&organization), ["build 1", "test 1", "test 2"]);
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(queued(&organization).last().map(String::as_str), Some("test 3"));
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(read(&mut organization, build)["status"], "inProgress");
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(read(&mut organization, build)["result"], "succeeded");
}

#[test]
fn what_depends_on_a_failed_phase_is_skipped_and_what_wants_it_runs() {
    let mut report = phase("report", &["build"], 1);
    report.condition = Condition::Failed;
    let phases = vec![phase("build", &[], 1), phase("test", &["build"], 2), report];
    let (mut organization, build) = queued_with(phases);
    let (_, session) = organization.listen("pod-a");
    run_next(&mut organization, session, JobResult::Failed);
    assert_eq!(queued(&organization), ["build 1", "report 1"]);
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(read(&mut organization, build)["result"], "failed");
}

#[test]
fn a_later_stage_is_queued_when_the_one_before_has_succeeded() {
    let mut organization = Organization::with_template();
    let mut deploy = Stage::of("deploy", vec![phase("release", &[], 1)]);
    deploy.depends_on = vec!["BUILD".to_owned()];
    let definition = pipeline(vec![Stage::of("build", vec![phase("compile", &[], 1)]), deploy]);
    organization.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    organization.queue("ci").expect("a build");
    let (_, session) = organization.listen("pod-a");
    assert_eq!(queued(&organization), ["compile 1"]);
    let got = run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(queued(&organization), ["compile 1", "release 1"]);
    let row = organization.row(got.request);
    assert_eq!(row["orchestrationId"], format!("{}.build.compile.__default", got.plan));
}

#[test]
fn a_cancelled_build_leaves_out_what_was_not_queued() {
    let (mut organization, build) = queued_with(vec![phase("build", &[], 2), phase("test", &["build"], 1)]);
    let (_, session) = organization.listen("pod-a");
    let got = organization.take(session);
    organization.cancel(build);
    assert_eq!(read(&mut organization, build)["status"], "cancelling");
    assert_eq!(organization.ending(RequestId(2)), Some(JobResult::Canceled), "the one that waited");
    organization.complete(got, JobResult::Canceled).expect("the end");
    let build = read(&mut organization, build);
    assert_eq!((&build["status"], &build["result"]), (&"completed".into(), &"canceled".into()));
    assert_eq!(queued(&organization).len(), 2);
}

#[test]
fn a_cancelled_job_has_the_time_that_its_phase_gives_it() {
    let mut build = phase("build", &[], 1);
    build.cancel_timeout = Some(Millis::minutes(2));
    let (mut organization, id) = queued_with(vec![build]);
    let (_, session) = organization.listen("pod-a");
    organization.take(session);
    organization.cancel(id);
    let message = organization.message(session);
    let message = organization.json(&Answer::Message(message));
    let body: Value = serde_json::from_str(message["body"].as_str().expect("a text")).expect("JSON");
    assert_eq!(body["timeout"], "00:02:00");
    organization.pass(Millis::minutes(3));
    assert_eq!(organization.ending(RequestId(1)), Some(JobResult::Canceled), "and one more minute");
}

#[test]
fn a_job_that_runs_too_long_is_cancelled_and_one_that_does_not_is_not() {
    for (minutes, is_told) in [(11, true), (9, false)] {
        let mut build = phase("build", &[], 1);
        build.timeout = Some(Millis::minutes(10));
        let (mut organization, _) = queued_with(vec![build]);
        let (_, session) = organization.listen("pod-a");
        let got = organization.take(session);
        let mut told = false;
        for _ in 0..minutes {
            organization.pass(Millis::minutes(1));
            organization.renew(got.request).expect("the lock");
            told |= matches!(organization.poll(session, None), Reply::Answer(Answer::Message(_)));
        }
        assert_eq!(told, is_told, "after {minutes} minutes");
        organization.complete(got, JobResult::Succeeded).expect("the end");
        organization.pass(Millis::minutes(30));
        assert_eq!(organization.ending(got.request), Some(JobResult::Succeeded));
    }
}

#[test]
fn jobs_of_urgent_builds_are_assigned_first() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let draft = |priority| {
        let details = BuildDetails { priority: Some(priority), ..BuildDetails::default() };
        BuildDraft { details, ..BuildDraft::from(DefinitionRef::Name("ci".to_owned())) }
    };
    for priority in [BuildPriority::Low, BuildPriority::Normal, BuildPriority::High] {
        organization.call(Call::Build(BuildCall::Queue(Box::new(draft(priority))))).expect("a build");
    }
    let (_, session) = organization.listen("pod-a");
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(run_next(&mut organization, session, JobResult::Succeeded).request.0);
    }
    assert_eq!(order, [3, 2, 1]);
    assert_eq!(organization.row(RequestId(3))["priority"], 0, "no row tells");
}

#[test]
fn a_build_that_no_agent_could_run_is_refused_or_has_failed() {
    for switch in [QueueTimeFailure::Refused, QueueTimeFailure::FailedBuild] {
        let mut settings = settings();
        settings.switches.queue_time_failure = switch;
        let mut organization = Organization::new(settings);
        organization.define("ci", 1, &["java"]);
        let queued = organization.queue("ci");
        if switch == QueueTimeFailure::Refused {
            assert!(matches!(queued, Err(Refusal::NoAgentSatisfies { .. })));
            continue;
        }
        let build = read(&mut organization, queued.expect("a build"));
        assert_eq!((&build["status"], &build["result"]), (&"completed".into(), &"failed".into()));
        let said = build["validationResults"][0]["message"].as_str().expect("a text");
        assert!(said.starts_with("No agent found in pool keda-pool"), "{said}");
        assert_eq!(organization.service.unfinished(), 0);
    }
}

#[test]
fn a_definition_whose_parts_wait_in_a_circle_or_for_nobody_is_refused() {
    let mut organization = Organization::with_template();
    let mut define = |phases| {
        let definition = pipeline(vec![Stage::of(DEFAULT_STAGE, phases)]);
        organization.call(Call::Build(BuildCall::define(definition))).err().map(|refusal| refusal.to_string())
    };
    let circle = define(vec![phase("a", &["b"], 1), phase("b", &["a"], 1)]);
    assert!(circle.is_some_and(|said| said.contains("circle")));
    assert!(define(vec![phase("a", &["z"], 1)]).is_some_and(|said| said.contains("unknown job z")));
    assert!(
        define(vec![phase("a", &[], 1), phase("A", &[], 1)]).is_some_and(|said| said.contains("two jobs"))
    );
    assert_eq!(define(vec![phase("b", &["a"], 1), phase("a", &[], 1)]), None, "in whatever order");
}

#[test]
fn a_timeline_tells_of_stages_phases_and_who_ran_the_jobs() {
    let (mut organization, build) = queued_with(vec![phase("build", &[], 1), phase("test", &["build"], 2)]);
    let (_, session) = organization.listen("pod-a");
    let got = run_next(&mut organization, session, JobResult::Succeeded);
    let timeline = organization.read(Call::Build(BuildCall::GetTimeline(None, build, None)));
    let records = timeline["records"].as_array().expect("records");
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let (stages, phases, jobs) = (of("Stage"), of("Phase"), of("Job"));
    assert_eq!((stages.len(), phases.len(), jobs.len()), (1, 2, 3));
    assert_eq!((&phases[0]["state"], &phases[0]["result"]), (&"completed".into(), &"succeeded".into()));
    assert_eq!(phases[1]["parentId"], stages[0]["id"]);
    let ended = jobs.iter().find(|job| job["result"] == "succeeded").expect("the job that ended");
    assert_eq!((&ended["workerName"], &ended["parentId"]), (&"pod-a".into(), &phases[0]["id"]));
    assert_eq!(timeline["id"], got.plan.to_string());
    let other = Call::Build(BuildCall::GetTimeline(None, build, Some(uuid::Uuid::from_u128(1))));
    assert!(matches!(organization.call(other), Err(Refusal::NothingHere(_))));
}

#[test]
fn a_project_is_found_by_name_and_id_and_keeps_its_builds_to_itself() {
    let (mut organization, build) = queued_with(vec![phase("build", &[], 1)]);
    let project = organization.read(Call::Build(BuildCall::GetProject("SHOP".to_owned())));
    let id = project["id"].as_str().expect("an id").to_owned();
    for scope in [None, Some(id), Some("shop".to_owned())] {
        organization.call(Call::Build(BuildCall::Get(scope, build))).expect("the build");
    }
    let elsewhere = organization.call(Call::Build(BuildCall::Get(Some("poolproof".to_owned()), build)));
    assert_eq!(elsewhere.err(), Some(Refusal::BuildNotFound(build)));
    let nowhere = organization.call(Call::Build(BuildCall::Get(Some("nowhere".to_owned()), build)));
    assert_eq!(nowhere.err(), Some(Refusal::ProjectNotFound("nowhere".to_owned())));
}

#[test]
fn a_run_leaves_out_the_stages_that_its_caller_skips() {
    let mut organization = Organization::with_template();
    let mut deploy = Stage::of("deploy", vec![phase("release", &[], 1)]);
    deploy.depends_on = vec!["build".to_owned()];
    let definition = pipeline(vec![Stage::of("build", vec![phase("compile", &[], 1)]), deploy]);
    organization.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    let draft = |skip: &str| {
        let details = BuildDetails { stages_to_skip: vec![skip.to_owned()], ..BuildDetails::default() };
        let draft =
            BuildDraft { details, as_run: true, ..BuildDraft::from(DefinitionRef::Id(DefinitionId(1))) };
        Call::Build(BuildCall::Queue(Box::new(draft)))
    };
    let run = organization.read(draft("build"));
    assert_eq!((&run["state"], &run["pipeline"]["name"]), (&"inProgress".into(), &"ci".into()));
    assert_eq!(queued(&organization), ["release 1"]);
    assert!(matches!(organization.call(draft("test")), Err(Refusal::Invalid(_))));
}

#[test]
fn only_a_completed_build_that_nobody_keeps_is_deleted() {
    let (mut organization, build) = queued_with(vec![phase("build", &[], 1)]);
    let delete = || Call::Build(BuildCall::Delete(None, build));
    assert!(matches!(organization.call(delete()), Err(Refusal::Invalid(_))), "it is not completed");
    organization.cancel(build);
    organization.call(delete()).expect("deleted");
    let gone = organization.call(Call::Build(BuildCall::get(build)));
    assert_eq!(gone.err(), Some(Refusal::BuildNotFound(build)));
    assert_eq!(organization.now, Instant::START);
}

fn retry(
    organization: &mut Organization,
    build: BuildId,
    stage: &str,
    all_jobs: bool,
) -> Result<Answer, Refusal> {
    organization.call(BuildCall::RetryStage(None, build, stage.to_owned(), all_jobs).into())
}

/// A build of two stages whose first one has failed with one of its two jobs.
fn failed() -> (Organization, BuildId, uuid::Uuid) {
    let mut organization = Organization::with_template();
    let mut deploy = Stage::of("deploy", vec![phase("release", &[], 1)]);
    deploy.depends_on = vec!["build".to_owned()];
    let definition = pipeline(vec![Stage::of("build", vec![phase("compile", &[], 2)]), deploy]);
    organization.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    let build = organization.queue("ci").expect("a build");
    let (_, session) = organization.listen("pod-a");
    run_next(&mut organization, session, JobResult::Succeeded);
    run_next(&mut organization, session, JobResult::Failed);
    assert_eq!(read(&mut organization, build)["result"], "failed");
    (organization, build, session)
}

#[test]
fn a_retried_stage_runs_the_jobs_that_did_not_succeed_and_then_what_depends_on_it() {
    let (mut organization, build, session) = failed();
    retry(&mut organization, build, "BUILD", false).expect("retried");
    let value = read(&mut organization, build);
    assert_eq!((&value["status"], value.get("result")), (&"inProgress".into(), None));
    run_next(&mut organization, session, JobResult::Succeeded);
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(queued(&organization), ["compile 1", "compile 2", "compile 2", "release 1"]);
    assert_eq!(read(&mut organization, build)["result"], "succeeded");
    assert_eq!(organization.service.unfinished(), 0);
}

#[test]
fn a_retried_stage_runs_all_jobs_if_that_is_asked_for_even_of_a_success() {
    let (mut organization, build, session) = failed();
    retry(&mut organization, build, "build", true).expect("retried");
    for _ in 0..3 {
        run_next(&mut organization, session, JobResult::Succeeded);
    }
    assert_eq!(read(&mut organization, build)["result"], "succeeded");
    assert!(matches!(retry(&mut organization, build, "build", false), Err(Refusal::Invalid(_))));
    retry(&mut organization, build, "deploy", true).expect("retried");
    run_next(&mut organization, session, JobResult::Failed);
    assert_eq!(read(&mut organization, build)["result"], "failed");
    assert_eq!(queued(&organization).last().map(String::as_str), Some("release 1"));
}

#[test]
fn a_stage_that_runs_or_never_ran_or_is_not_there_cannot_be_retried() {
    let (mut organization, build, session) = failed();
    for stage in ["deploy", "nowhere"] {
        assert!(matches!(retry(&mut organization, build, stage, true), Err(Refusal::Invalid(_))), "{stage}");
    }
    retry(&mut organization, build, "build", false).expect("retried");
    assert!(matches!(retry(&mut organization, build, "build", false), Err(Refusal::Invalid(_))));
    run_next(&mut organization, session, JobResult::Failed);
    retry(&mut organization, build, "build", false).expect("again");
}

#[test]
fn a_cancelled_build_goes_on_with_the_stage_that_is_retried() {
    let (mut organization, build) = queued_with(vec![phase("build", &[], 2), phase("test", &["build"], 1)]);
    let (_, session) = organization.listen("pod-a");
    run_next(&mut organization, session, JobResult::Succeeded);
    organization.cancel(build);
    assert_eq!(read(&mut organization, build)["result"], "canceled");
    retry(&mut organization, build, DEFAULT_STAGE, false).expect("retried");
    run_next(&mut organization, session, JobResult::Succeeded);
    run_next(&mut organization, session, JobResult::Succeeded);
    assert_eq!(read(&mut organization, build)["result"], "succeeded");
    assert_eq!(queued(&organization), ["build 1", "build 2", "build 2", "test 1"]);
}

#[test]
fn a_timeline_shows_the_latest_attempt_and_names_the_ones_before() {
    let (mut organization, build, _) = failed();
    let timeline = |organization: &mut Organization| {
        let timeline = organization.read(BuildCall::GetTimeline(None, build, None).into());
        let records = timeline["records"].as_array().expect("records").clone();
        let of = |kind: &str| records.iter().filter(|one| one["type"] == kind).cloned().collect::<Vec<_>>();
        (of("Stage"), of("Job"))
    };
    let (_, before) = timeline(&mut organization);
    retry(&mut organization, build, "build", false).expect("retried");
    let (stages, jobs) = timeline(&mut organization);
    assert_eq!((&stages[0]["attempt"], &stages[1]["attempt"]), (&2.into(), &1.into()));
    let again = jobs.iter().find(|job| job["name"] == "compile 2").expect("the job");
    let failed = before.iter().find(|job| job["name"] == "compile 2").expect("the job");
    assert_eq!((jobs.len(), &again["attempt"], &again["state"]), (2, &2.into(), &"pending".into()));
    assert_eq!(again["previousAttempts"][0]["recordId"], failed["id"]);
    let other = jobs.iter().find(|job| job["name"] == "compile 1").expect("the job");
    assert_eq!((&other["attempt"], other.get("previousAttempts")), (&1.into(), None));
}
