//! Definitions that clients make, change, delete and restore.

use azure_devops::{
    Answer, BuildCall, BuildChange, BuildId, Call, Condition, DEFAULT_DURATION, Definition, DefinitionDraft,
    DefinitionId, DefinitionQuery, DefinitionRef, MessageContent, PhaseDraft, QueueId, QueueReference,
    Refusal,
};
use model::event::JobResult;
use model::{Fact, Millis};
use serde_json::{Value, json};

use crate::driver::{Organization, POOL};

/// An organisation with a project, and a pool that can run anything.
fn organization() -> Organization {
    let mut organization = Organization::with_template();
    organization.define("there", 1, &[]);
    organization
}

fn draft(name: &str) -> DefinitionDraft {
    DefinitionDraft::new("shop".to_owned(), name.to_owned())
}

fn phase(name: &str, depends_on: &[&str], jobs: u32) -> PhaseDraft {
    PhaseDraft {
        name: name.to_owned(),
        reference: Some(format!("ref {name}")),
        depends_on: depends_on.iter().map(|name| format!("REF {name}")).collect(),
        condition: Condition::default(),
        demands: Vec::new(),
        queue: None,
        jobs,
        max_parallel: None,
        duration: None,
        timeout: None,
        cancel_timeout: None,
    }
}

fn create(organization: &mut Organization, draft: DefinitionDraft) -> Result<DefinitionId, Refusal> {
    match organization.call(BuildCall::CreateDefinition(Box::new(draft)).into())? {
        Answer::Definition(id) => Ok(id),
        other => panic!("no definition: {other:?}"),
    }
}

fn update(
    organization: &mut Organization,
    id: DefinitionId,
    draft: DefinitionDraft,
) -> Result<Answer, Refusal> {
    organization.call(BuildCall::UpdateDefinition(id, Box::new(draft)).into())
}

fn read(organization: &mut Organization, id: DefinitionId) -> Value {
    organization.read(BuildCall::GetDefinition(Some("shop".to_owned()), id).into())
}

fn delete(organization: &mut Organization, id: DefinitionId) -> Result<Answer, Refusal> {
    organization.call(BuildCall::DeleteDefinition(None, id).into())
}

fn names(organization: &mut Organization) -> Vec<String> {
    let list = organization.read(BuildCall::ListDefinitions(Box::default()).into());
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    list["value"].as_array().expect("a list").iter().map(name).collect()
}

/// The names of the jobs that were queued so far.
fn queued(organization: &Organization) -> Vec<String> {
    let name = |fact: &Fact| match fact {
        Fact::JobRequestQueued { job, .. } => Some(job.clone()),
        _ => None,
    };
    organization.facts.iter().filter_map(name).collect()
}

#[test]
fn a_definition_that_a_client_makes_runs_one_job_of_the_default_duration() {
    let mut organization = organization();
    let id = create(&mut organization, draft("made")).expect("a definition");
    let value = read(&mut organization, id);
    assert_eq!((&value["name"], &value["revision"]), (&"made".into(), &1.into()));
    assert_eq!(value["queue"]["pool"]["id"], POOL.0);
    organization.queue("MADE").expect("a build");
    assert_eq!(organization.service.unfinished(), 1);
    let (_, session) = organization.listen("pod-a");
    let message = organization.message(session);
    assert!(matches!(message.content, MessageContent::Job { duration, .. } if duration == DEFAULT_DURATION));
}

#[test]
fn a_variable_says_how_long_it_takes_and_demands_are_those_of_the_body() {
    let mut organization = organization();
    let demands = vec!["gpu".parse().expect("a demand")];
    let duration = Some(Millis::seconds(5));
    create(&mut organization, DefinitionDraft { duration, demands, ..draft("made") }).expect("a definition");
    assert!(matches!(organization.queue("made"), Err(Refusal::NoAgentSatisfies { .. })));
    let agent = organization.register_with("pod-a", &[("gpu", "1")]);
    organization.queue("made").expect("a build");
    let session = organization.open(agent);
    let message = organization.message(session);
    assert!(matches!(message.content, MessageContent::Job { duration: Millis(5_000), .. }));
}

#[test]
fn phases_of_a_designer_s_process_run_in_their_order() {
    let mut organization = organization();
    let phases = vec![phase("Build", &[], 2), phase("Test", &["build"], 1)];
    create(&mut organization, DefinitionDraft { phases, ..draft("made") }).expect("a definition");
    organization.queue("made").expect("a build");
    assert_eq!(queued(&organization), ["Build 1", "Build 2"]);
    let (_, session) = organization.listen("pod-a");
    for _ in 0..2 {
        let got = organization.take(session);
        organization.complete(got, JobResult::Succeeded).expect("the end");
    }
    assert_eq!(queued(&organization), ["Build 1", "Build 2", "Test"]);
    let circle = vec![phase("a", &["b"], 1), phase("b", &["a"], 1)];
    let refused = create(&mut organization, DefinitionDraft { phases: circle, ..draft("circle") });
    assert!(matches!(refused, Err(Refusal::Invalid(_))));
}

#[test]
fn what_a_client_said_is_shown_again_and_what_the_service_knows_is_not_changed_by_it() {
    let mut organization = organization();
    let members = json!({ "path": "\\folder", "description": "all of it", "variables": { "a": { "value": "b" } }, "url": "x" });
    let members = members.as_object().cloned().expect("an object");
    let id = create(&mut organization, DefinitionDraft { members, ..draft("made") }).expect("a definition");
    let value = read(&mut organization, id);
    assert_eq!((&value["path"], &value["description"]), (&"\\folder".into(), &"all of it".into()));
    assert_eq!(value["variables"]["a"]["value"], "b");
    assert!(
        value["url"].as_str().is_some_and(|url| url.ends_with(&format!("/_apis/build/Definitions/{id}")))
    );
    let pipeline = organization.read(BuildCall::GetPipeline(None, id).into());
    assert_eq!(pipeline["folder"], "\\folder");
}

#[test]
fn names_are_unique_within_a_project_and_not_beyond() {
    let mut organization = organization();
    let taken = create(&mut organization, draft("THERE")).expect_err("taken");
    assert_eq!((taken.status(), taken.type_key()), (409, "DefinitionExistsException"));
    let elsewhere = DefinitionDraft { project: "poolproof".to_owned(), ..draft("there") };
    let other = create(&mut organization, elsewhere).expect("another project's");
    let named = |project: &str| {
        BuildCall::Queue(Box::new(azure_devops::BuildDraft {
            project: Some(project.to_owned()),
            ..DefinitionRef::Name("there".to_owned()).into()
        }))
    };
    let build = organization.read(named("poolproof").into());
    assert_eq!(build["definition"]["id"], other.0);
    let build = organization.read(named("shop").into());
    assert_eq!(build["definition"]["id"], 1);
}

#[test]
fn an_update_needs_the_present_revision_and_the_right_id() {
    let mut organization = organization();
    let id = create(&mut organization, draft("made")).expect("a definition");
    let with = |id: Option<DefinitionId>, revision: Option<u32>| DefinitionDraft {
        id,
        revision,
        ..draft("renamed")
    };
    assert!(matches!(update(&mut organization, id, with(None, Some(1))), Err(Refusal::Invalid(_))));
    let stale = update(&mut organization, id, with(Some(id), Some(2))).expect_err("not that revision");
    assert_eq!(stale, Refusal::DefinitionNotFound(id));
    update(&mut organization, id, with(Some(id), Some(1))).expect("changed");
    let value = read(&mut organization, id);
    assert_eq!((&value["name"], &value["revision"]), (&"renamed".into(), &2.into()));
    assert_eq!(names(&mut organization), ["there", "renamed"]);
    assert!(organization.queue("made").is_err(), "its old name is free");
    create(&mut organization, draft("made")).expect("for another one");
}

#[test]
fn revisions_tell_what_became_of_a_definition() {
    let mut organization = organization();
    let comment = Some("because".to_owned());
    let id = create(&mut organization, draft("made")).expect("a definition");
    let changed = DefinitionDraft { id: Some(id), revision: Some(1), comment, ..draft("renamed") };
    update(&mut organization, id, changed).expect("changed");
    let list = organization.read(BuildCall::ListRevisions(None, id).into());
    let told = |one: &Value| (one["revision"].clone(), one["name"].clone(), one["changeType"].clone());
    let revisions: Vec<_> = list["value"].as_array().expect("a list").iter().map(told).collect();
    assert_eq!(
        revisions,
        [(1.into(), "made".into(), "add".into()), (2.into(), "renamed".into(), "update".into())]
    );
    assert_eq!(list["value"][1]["comment"], "because");
    let one = organization.read(BuildCall::ListRevisions(None, DefinitionId(1)).into());
    assert_eq!(one["count"], 1, "one that was never changed");
    let former = organization.call(BuildCall::GetRevision(None, id, 1).into());
    assert!(matches!(former, Err(Refusal::NotModelled { .. })));
    assert!(organization.call(BuildCall::GetRevision(None, id, 2).into()).is_ok());
}

#[test]
fn an_update_keeps_what_a_control_route_said_that_it_runs_and_moves_it_with_the_queue() {
    let mut organization = organization();
    organization.define("three", 3, &[]);
    let id = DefinitionId(2);
    let other = organization.call(Call::CreatePool { name: "other".to_owned(), placeholders: Vec::new() });
    let Ok(Answer::Pool(other)) = other else { panic!("no pool: {other:?}") };
    let queue = Some(QueueReference { name: Some("other".to_owned()), ..QueueReference::default() });
    let moved = DefinitionDraft { id: Some(id), revision: Some(1), queue, ..draft("three") };
    update(&mut organization, id, moved).expect("changed");
    assert_eq!(read(&mut organization, id)["queue"]["pool"]["id"], other.0);
    assert!(
        matches!(organization.queue("three"), Err(Refusal::NoAgentSatisfies { pool, .. }) if pool == "other")
    );
    let back = QueueReference { pool: Some(POOL), ..QueueReference::default() };
    let moved = DefinitionDraft { id: Some(id), revision: Some(2), queue: Some(back), ..draft("three") };
    update(&mut organization, id, moved).expect("changed");
    organization.queue("three").expect("a build");
    assert_eq!(organization.service.unfinished(), 3);
}

#[test]
fn a_copy_runs_what_its_original_runs() {
    let mut organization = organization();
    organization.define("three", 3, &[]);
    let copy = DefinitionDraft { copy_of: Some(DefinitionId(2)), ..draft("copy") };
    create(&mut organization, copy).expect("a definition");
    organization.queue("copy").expect("a build");
    assert_eq!(organization.service.unfinished(), 3);
    let none = DefinitionDraft { copy_of: Some(DefinitionId(99)), ..draft("copy of nothing") };
    assert_eq!(create(&mut organization, none), Err(Refusal::DefinitionNotFound(DefinitionId(99))));
}

#[test]
fn builds_of_a_deleted_definition_stay_readable_and_no_new_ones_are_queued() {
    let mut organization = organization();
    let build = organization.queue("there").expect("a build");
    delete(&mut organization, DefinitionId(1)).expect("deleted");
    assert!(names(&mut organization).is_empty());
    assert!(organization.queue("there").is_err());
    let value = organization.read(Call::Build(BuildCall::get(build)));
    assert_eq!((&value["definition"]["name"], &value["status"]), (&"there".into(), &"notStarted".into()));
    let (_, session) = organization.listen("pod-a");
    let got = organization.take(session);
    organization.complete(got, JobResult::Succeeded).expect("what is queued runs on");
    assert_eq!(organization.read(Call::Build(BuildCall::get(build)))["result"], "succeeded");
    assert!(matches!(delete(&mut organization, DefinitionId(1)), Err(Refusal::DefinitionNotFound(_))));
}

#[test]
fn a_definition_whose_build_is_kept_forever_is_not_deleted() {
    let mut organization = organization();
    let build = organization.queue("there").expect("a build");
    let keep = |keep: bool| {
        let change = BuildChange { keep_forever: Some(keep), ..BuildChange::default() };
        Call::Build(BuildCall::Change(None, build, change))
    };
    organization.call(keep(true)).expect("kept");
    assert!(matches!(delete(&mut organization, DefinitionId(1)), Err(Refusal::Invalid(_))));
    organization.call(keep(false)).expect("not kept");
    delete(&mut organization, DefinitionId(1)).expect("deleted");
}

#[test]
fn a_deleted_definition_is_restored_unless_its_name_is_taken() {
    let mut organization = organization();
    let restore =
        |id: u64| Call::Build(BuildCall::RestoreDefinition(Some("shop".to_owned()), DefinitionId(id)));
    assert!(organization.call(restore(1)).is_err(), "it is there");
    delete(&mut organization, DefinitionId(1)).expect("deleted");
    let other = create(&mut organization, draft("there")).expect("its name is free");
    assert_eq!(other, DefinitionId(2), "its id is not");
    assert!(matches!(organization.call(restore(1)), Err(Refusal::DefinitionExists { .. })));
    delete(&mut organization, other).expect("deleted");
    organization.call(restore(1)).expect("restored");
    assert_eq!(names(&mut organization), ["there"]);
    organization.queue("there").expect("a build");
}

#[test]
fn a_disabled_definition_takes_no_builds() {
    let mut organization = organization();
    let id =
        create(&mut organization, DefinitionDraft { disabled: true, ..draft("made") }).expect("a definition");
    let refused = organization.queue("made").expect_err("refused");
    assert_eq!((refused.status(), refused.type_key()), (400, "DefinitionDisabledException"));
    let enabled = DefinitionDraft { id: Some(id), revision: Some(1), ..draft("made") };
    update(&mut organization, id, enabled).expect("changed");
    assert_eq!(organization.queue("made"), Ok(BuildId(1)));
}

#[test]
fn the_control_route_takes_over_what_a_client_made_and_its_words_stay() {
    let mut organization = organization();
    let members = json!({ "description": "a client's" }).as_object().cloned().expect("an object");
    let id = create(&mut organization, DefinitionDraft { members, ..draft("made") }).expect("a definition");
    let job = azure_devops::JobTemplate::new("Job", vec![], Millis(1));
    let jobs = vec![job.clone(), azure_devops::JobTemplate { name: "other".to_owned(), ..job }];
    let definition = Definition::flat("made", "shop", "keda-pool", jobs);
    organization.call(Call::Build(BuildCall::define(definition))).expect("defined");
    let value = read(&mut organization, id);
    assert_eq!((&value["revision"], &value["description"]), (&2.into(), &"a client's".into()));
    organization.queue("made").expect("a build");
    assert_eq!(organization.service.unfinished(), 2);
}

#[test]
fn what_a_definition_says_is_bounded_and_a_queue_has_to_be_there() {
    let mut organization = organization();
    let members = json!({ "description": "x".repeat(300_000) }).as_object().cloned().expect("an object");
    let large = create(&mut organization, DefinitionDraft { members, ..draft("made") });
    assert!(matches!(large, Err(Refusal::Full { .. })));
    let queue = Some(QueueReference { id: Some(QueueId(99)), ..QueueReference::default() });
    let nowhere = create(&mut organization, DefinitionDraft { queue, ..draft("made") });
    assert_eq!(nowhere, Err(Refusal::QueueNotFound(QueueId(99))));
    let query = DefinitionQuery { name: Some("made".to_owned()), ..DefinitionQuery::default() };
    let found = organization.read(BuildCall::ListDefinitions(Box::new(query)).into());
    assert_eq!(found["count"], 0, "nothing came of them");
}

#[test]
fn a_pipeline_is_a_definition_in_other_words() {
    let mut organization = organization();
    let members = json!({ "path": "\\a", "process": { "type": 2, "yamlFilename": "x.yml" }, "repository": { "id": "r", "type": "GitHub" } });
    let members = members.as_object().cloned().expect("an object");
    let pipeline = BuildCall::CreatePipeline(Box::new(DefinitionDraft { members, ..draft("made") }));
    let made = organization.read(pipeline.into());
    assert_eq!((&made["folder"], &made["configuration"]["path"]), (&"\\a".into(), &"x.yml".into()));
    assert_eq!(made["configuration"]["repository"], json!({ "id": "r", "type": "gitHub" }));
    let id = DefinitionId(made["id"].as_u64().expect("an id"));
    assert_eq!(read(&mut organization, id)["process"]["yamlFilename"], "x.yml");
    let usual = organization.read(BuildCall::GetPipeline(None, DefinitionId(1)).into());
    assert_eq!(usual["configuration"]["repository"]["type"], "azureReposGit", "one of the control route's");
}

#[test]
fn a_secret_variable_is_there_without_its_value() {
    let mut organization = organization();
    let variables = json!({ "key": { "value": "hush", "isSecret": true }, "plain": { "value": "told" } });
    let members = json!({ "variables": variables }).as_object().cloned().expect("an object");
    let id = create(&mut organization, DefinitionDraft { members, ..draft("made") }).expect("a definition");
    let told = read(&mut organization, id)["variables"].clone();
    assert_eq!((&told["key"]["value"], &told["plain"]["value"]), (&Value::Null, &"told".into()));
}
