//! Builds: queued with all their jobs, refused, cancelled, completed.

use azure_devops::limits::{MAX_ALL_BUILDS_BYTES, MAX_BUILD_BYTES, MAX_NAME, MAX_TAGS};
use azure_devops::{
    Answer, BuildAnswer, BuildCall, BuildChange, BuildDetails, BuildDraft, BuildId, BuildQuery, BuildStatus,
    Call, Definition, DefinitionId, DefinitionQuery, DefinitionRef, JobTemplate, Refusal,
};
use model::event::JobResult;
use model::{Fact, Millis};
use serde_json::json;

use crate::driver::{Organization, settings, with_placeholder};

#[test]
fn a_build_queues_all_jobs_of_its_definition_at_once() {
    let mut organization = Organization::with_template();
    organization.define("ci", 3, &[]);
    let build = organization.queue("CI").expect("a build, whatever the case of the name");
    assert_eq!(organization.service.unfinished(), 3);
    let told = |fact: &Fact| matches!(fact, Fact::BuildQueued { build: 1, jobs: 3, definition } if definition == "ci");
    assert_eq!(organization.count(told), 1);
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestQueued { build: 1, .. })), 3);
    let build = organization.read(Call::Build(BuildCall::get(build)));
    assert_eq!((&build["status"], &build["buildNumber"]), (&"notStarted".into(), &"20260921.1".into()));
    assert!(build.get("result").is_none() && build.get("startTime").is_none());
}

#[test]
fn jobs_of_one_build_share_the_plan_and_have_ids_of_their_own() {
    let mut organization = Organization::with_template();
    organization.burst(2);
    let [one, other] = [1, 2].map(|request| organization.row(azure_devops::RequestId(request)));
    assert_eq!(one["planId"], other["planId"]);
    assert_eq!(one["owner"], other["owner"]);
    assert_ne!(one["jobId"], other["jobId"]);
    assert_ne!(one["orchestrationId"], other["orchestrationId"]);
}

#[test]
fn a_build_that_no_agent_could_ever_run_is_refused() {
    let mut organization = Organization::new(with_placeholder(settings(), &[("java", "17")]));
    organization.define("maven", 1, &["maven"]);
    organization.define("java", 1, &["java"]);
    let refused = organization.queue("maven").expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "No agent found in pool keda-pool which satisfies the specified demands: \
         maven, Agent.Version -gtVersion 2.182.1"
    );
    assert_eq!((refused.status(), refused.type_key()), (400, "BuildRequestValidationFailedException"));
    assert_eq!(organization.service.unfinished(), 0);
    assert_eq!(organization.count(|fact| matches!(fact, Fact::BuildRefused { jobs: 1, .. })), 1);
    organization.queue("java").expect("the offline placeholder satisfies it");
}

#[test]
fn a_build_for_an_empty_pool_is_refused() {
    let mut organization = Organization::new(settings());
    organization.define("ci", 1, &[]);
    assert!(matches!(organization.queue("ci"), Err(Refusal::NoAgentSatisfies { .. })));
    organization.register("pod-a");
    organization.queue("ci").expect("one offline agent is enough");
}

#[test]
fn a_build_goes_from_not_started_over_in_progress_to_completed() {
    let mut organization = Organization::with_template();
    let build = organization.burst(2);
    let status = |organization: &mut Organization| {
        organization.read(Call::Build(BuildCall::get(build)))["status"].clone()
    };
    let (_, session) = organization.listen("pod-a");
    assert_eq!(status(&mut organization), "notStarted", "assigned is not started");
    let got = organization.take(session);
    assert_eq!(status(&mut organization), "inProgress");
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert_eq!(status(&mut organization), "inProgress", "one job is left");
    let got = organization.take(session);
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert_eq!(status(&mut organization), "completed");
    let told = |fact: &Fact| matches!(fact, Fact::BuildCompleted { build: 1, result: JobResult::Succeeded });
    assert_eq!(organization.count(told), 1);
}

#[test]
fn a_build_is_as_bad_as_its_worst_job() {
    for (results, worst) in [
        ([JobResult::Succeeded, JobResult::SucceededWithIssues], "partiallySucceeded"),
        ([JobResult::Failed, JobResult::Canceled], "failed"),
        ([JobResult::Canceled, JobResult::Succeeded], "canceled"),
        ([JobResult::Succeeded, JobResult::Skipped], "succeeded"),
    ] {
        let mut organization = Organization::with_template();
        let build = organization.burst(2);
        let (_, session) = organization.listen("pod-a");
        for result in results {
            let got = organization.take(session);
            organization.complete(got, result).expect("the end");
        }
        assert_eq!(organization.read(Call::Build(BuildCall::get(build)))["result"], worst, "{results:?}");
    }
}

#[test]
fn an_abandoned_job_fails_its_build() {
    let mut organization = Organization::with_template();
    organization.burst(1);
    let (_, session) = organization.listen("pod-a");
    organization.take(session);
    organization.pass(Millis::minutes(10));
    let told = |fact: &Fact| matches!(fact, Fact::BuildCompleted { result: JobResult::Failed, .. });
    assert_eq!(organization.count(told), 1);
}

#[test]
fn a_definition_with_the_same_name_keeps_its_id_and_gets_the_new_jobs() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    organization.define("Ci", 2, &[]);
    organization.define("other", 1, &[]);
    let definition = organization.read(Call::Build(BuildCall::GetDefinition(None, DefinitionId(1))));
    assert_eq!((&definition["revision"], &definition["name"]), (&2.into(), &"Ci".into()));
    organization.queue("ci").expect("a build");
    assert_eq!(organization.service.unfinished(), 2);
    let named = organization.call(Call::Build(BuildCall::ListDefinitions(Box::new(DefinitionQuery {
        name: Some("OTHER".to_owned()),
        ..DefinitionQuery::default()
    }))));
    assert!(matches!(named, Ok(Answer::Definitions(ids)) if ids == [DefinitionId(2)]));
}

#[test]
fn what_is_not_there_cannot_be_built_or_defined() {
    let mut organization = Organization::with_template();
    let unknown = organization.call(Call::Build(BuildCall::queue(DefinitionRef::Id(DefinitionId(9)))));
    assert_eq!(unknown.err(), Some(Refusal::DefinitionNotFound(DefinitionId(9))));
    assert_eq!(organization.queue("ci").err(), Some(Refusal::DefinitionNameNotFound("ci".to_owned())));
    let job = JobTemplate::new("Job", vec![], Millis(1));
    let definition =
        |pool: &str, jobs: Vec<JobTemplate>| Definition::flat("ci", "shop", pool.to_owned(), jobs);
    let elsewhere = organization.call(Call::Build(BuildCall::define(definition("nowhere", vec![job]))));
    assert_eq!(elsewhere.err(), Some(Refusal::PoolNameNotFound("nowhere".to_owned())));
    let empty = organization.call(Call::Build(BuildCall::define(definition("keda-pool", vec![]))));
    assert!(matches!(empty, Err(Refusal::Invalid(_))));
    assert_eq!(
        organization.call(Call::Build(BuildCall::get(BuildId(1)))).err(),
        Some(Refusal::BuildNotFound(BuildId(1)))
    );
}

#[test]
fn builds_are_listed_by_definition_status_and_order() {
    let mut organization = Organization::with_template();
    organization.define("one", 1, &[]);
    organization.define("other", 1, &[]);
    for name in ["one", "other", "one"] {
        organization.queue(name).expect("a build");
    }
    organization.call(Call::Build(BuildCall::cancel(BuildId(1)))).expect("cancelled");
    let mut list = |query: BuildQuery| match organization.call(Call::Build(BuildCall::list(query))) {
        Ok(Answer::Continued(page, _)) => match *page {
            Answer::Builds(ids) => ids.into_iter().map(|id| id.0).collect(),
            other => panic!("{other:?}"),
        },
        Ok(Answer::Builds(ids)) => ids.into_iter().map(|id| id.0).collect::<Vec<u64>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(BuildQuery::default()), [3, 2, 1]);
    assert_eq!(list(BuildQuery { ascending: true, top: Some(2), ..BuildQuery::default() }), [1, 2]);
    assert_eq!(list(BuildQuery { definitions: vec![DefinitionId(1)], ..BuildQuery::default() }), [3, 1]);
    assert_eq!(list(BuildQuery { statuses: vec![BuildStatus::Completed], ..BuildQuery::default() }), [1]);
    assert_eq!(list(BuildQuery { ids: vec![BuildId(2)], ..BuildQuery::default() }), [2]);
}

fn draft(details: BuildDetails) -> Call {
    let definition = DefinitionRef::Name("ci".to_owned());
    let draft = BuildDraft { project: None, definition, details, as_run: true };
    Call::Build(BuildCall::Queue(Box::new(draft)))
}

#[test]
fn what_is_said_about_a_build_is_bounded_from_the_start() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let long = "x".repeat(MAX_BUILD_BYTES + 1);
    for details in [
        BuildDetails { tags: vec!["t".to_owned(); MAX_TAGS + 1], ..BuildDetails::default() },
        BuildDetails { tags: vec![String::new()], ..BuildDetails::default() },
        BuildDetails { parameters: Some(long.clone()), ..BuildDetails::default() },
        BuildDetails { source_branch: Some(long.clone()), ..BuildDetails::default() },
        BuildDetails { template_parameters: Some(json!({ "deep": [long] })), ..BuildDetails::default() },
    ] {
        assert!(matches!(organization.call(draft(details)), Err(Refusal::Invalid(_))));
    }
    let fits = "x".repeat(MAX_BUILD_BYTES / 2);
    let details = BuildDetails { parameters: Some(fits), ..BuildDetails::default() };
    let Ok(Answer::OfBuilds(BuildAnswer::Run(build))) = organization.call(draft(details)) else {
        panic!("it is queued")
    };
    let number = Some("9".repeat(MAX_NAME + 1));
    let change = BuildChange { number, ..BuildChange::default() };
    let renamed = organization.call(Call::Build(BuildCall::Change(None, build, change)));
    assert!(matches!(renamed, Err(Refusal::Invalid(_))));
}

#[test]
fn the_oldest_completed_builds_make_room_for_what_is_said_about_new_ones() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let size = MAX_BUILD_BYTES - 1_000;
    let details = || BuildDetails { parameters: Some("x".repeat(size)), ..BuildDetails::default() };
    let most = u64::try_from(MAX_ALL_BUILDS_BYTES / size).expect("a number");
    for _ in 0..most {
        organization.call(draft(details())).expect("queued");
    }
    let full = organization.call(draft(details()));
    assert!(matches!(full, Err(Refusal::Full { .. })), "what runs makes no room");
    organization.cancel(BuildId(1));
    organization.cancel(BuildId(2));
    organization.call(draft(details())).expect("queued");
    let there = |organization: &mut Organization, id| {
        organization.call(Call::Build(BuildCall::get(BuildId(id)))).is_ok()
    };
    assert!(!there(&mut organization, 1) && there(&mut organization, 2));
}

#[test]
fn secret_variables_of_a_run_are_never_shown() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let variables = json!({
        "password": { "value": "hunter2", "isSecret": true }, "name": { "value": "shop", "isSecret": false },
    });
    let details = BuildDetails { variables: Some(variables), ..BuildDetails::default() };
    let run = organization.read(draft(details));
    assert_eq!(run["variables"]["password"], json!({ "value": null, "isSecret": true }));
    assert_eq!(run["variables"]["name"]["value"], "shop");
    let (definition, build) = (DefinitionId(1), BuildId(1));
    for call in [
        BuildCall::GetRun(None, definition, build),
        BuildCall::ListRuns(None, definition),
        BuildCall::get(build),
    ] {
        let shown = organization.read(Call::Build(call)).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_cancelled_build_that_is_completed_stays_as_it_is() {
    let mut organization = Organization::with_template();
    let build = organization.burst(1);
    let (_, session) = organization.listen("pod-a");
    let got = organization.take(session);
    organization.complete(got, JobResult::Succeeded).expect("the end");
    organization.call(Call::Build(BuildCall::cancel(build))).expect("no error");
    assert_eq!(organization.read(Call::Build(BuildCall::get(build)))["result"], "succeeded");
}

#[test]
fn several_builds_are_changed_together_or_none_of_them() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let [one, other] = [1, 2].map(|_| organization.queue("ci").expect("a build"));
    let cancel = || BuildChange { cancel: true, ..BuildChange::default() };
    let mut change = |ids: &[BuildId]| {
        let changes = ids.iter().map(|id| (*id, cancel())).collect();
        let answer = organization.call(BuildCall::ChangeSeveral(Some("shop".to_owned()), changes).into());
        let left = organization.service.unfinished();
        answer
            .map(|answer| (organization.json(&answer)["count"].clone(), left))
            .map_err(|refusal| (refusal, left))
    };
    assert_eq!(change(&[one, BuildId(9)]), Err((Refusal::BuildNotFound(BuildId(9)), 2)));
    assert_eq!(change(&[one, other]), Ok((2.into(), 0)));
}
