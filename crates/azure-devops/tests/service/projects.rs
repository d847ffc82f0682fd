//! Projects that clients make, change and take away.

use azure_devops::{Answer, BuildCall, Call, JobRequestQuery, ProjectChange, Refusal};
use serde_json::Value;

use crate::driver::Organization;

fn named(name: &str) -> ProjectChange {
    ProjectChange { name: Some(name.to_owned()), ..ProjectChange::default() }
}

fn create(organization: &mut Organization, draft: ProjectChange) -> Result<Answer, Refusal> {
    organization.call(BuildCall::CreateProject(draft).into())
}

fn change(organization: &mut Organization, project: &str, change: ProjectChange) -> Result<Answer, Refusal> {
    organization.call(BuildCall::ChangeProject(project.to_owned(), change).into())
}

fn remove(organization: &mut Organization, project: &str) -> Result<Answer, Refusal> {
    organization.call(BuildCall::RemoveProject(project.to_owned()).into())
}

fn read(organization: &mut Organization, project: &str) -> Value {
    organization.read(BuildCall::GetProject(project.to_owned()).into())
}

#[test]
fn a_project_is_made_by_an_operation_that_has_succeeded_when_somebody_asks() {
    let mut organization = Organization::with_template();
    let description = Some("for a test".to_owned());
    let answer =
        create(&mut organization, ProjectChange { description, public: Some(true), ..named("made") });
    let queued = organization.json(&answer.expect("an operation"));
    assert_eq!(queued["status"], "queued");
    let id = queued["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    assert_eq!(organization.read(BuildCall::GetOperation(id).into())["status"], "succeeded");
    let project = read(&mut organization, "MADE");
    assert_eq!((&project["description"], &project["visibility"]), (&"for a test".into(), &"public".into()));
    let unknown = organization.call(BuildCall::GetOperation(uuid::Uuid::nil()).into());
    assert!(matches!(unknown, Err(Refusal::NothingHere(_))));
}

#[test]
fn names_of_projects_are_unique_whatever_the_case() {
    let mut organization = Organization::with_template();
    create(&mut organization, named("one")).expect("made");
    create(&mut organization, named("other")).expect("made");
    let taken = create(&mut organization, named("ONE")).expect_err("taken");
    assert_eq!((taken.status(), taken.type_key()), (409, "ProjectAlreadyExistsException"));
    assert!(matches!(change(&mut organization, "one", named("Other")), Err(Refusal::ProjectExists(_))));
    change(&mut organization, "one", named("ONE")).expect("its own name in another case");
    assert_eq!(read(&mut organization, "one")["name"], "ONE");
}

#[test]
fn a_renamed_project_keeps_its_id_and_its_definitions() {
    let mut organization = Organization::with_template();
    organization.define("ci", 1, &[]);
    let id = read(&mut organization, "shop")["id"].clone();
    change(&mut organization, "shop", named("store")).expect("renamed");
    assert_eq!(read(&mut organization, "store")["id"], id);
    assert!(organization.call(BuildCall::GetProject("shop".to_owned()).into()).is_err());
    let build = organization.queue("ci").expect("a build");
    assert_eq!(organization.read(Call::Build(BuildCall::get(build)))["project"]["name"], "store");
    create(&mut organization, named("shop")).expect("its name is free");
    assert_ne!(read(&mut organization, "shop")["id"], id);
}

#[test]
fn a_project_goes_with_its_definitions_and_what_waits_is_cancelled() {
    let mut organization = Organization::with_template();
    organization.define("ci", 2, &[]);
    organization.queue("ci").expect("a build");
    let id = read(&mut organization, "shop")["id"].clone();
    remove(&mut organization, "shop").expect("removed");
    assert_eq!(organization.service.unfinished(), 0);
    assert!(organization.queue("ci").is_err());
    assert_eq!(organization.rows(JobRequestQuery::default()).rows.len(), 2, "the pool remembers");
    assert!(matches!(remove(&mut organization, "shop"), Err(Refusal::ProjectNotFound(_))));
    organization.define("ci", 1, &[]);
    assert_ne!(read(&mut organization, "shop")["id"], id, "another one with its name");
    organization.queue("ci").expect("a build");
}

#[test]
fn a_description_is_bounded() {
    let mut organization = Organization::with_template();
    let described = |length: usize| ProjectChange { description: Some("x".repeat(length)), ..named("made") };
    assert!(matches!(create(&mut organization, described(20_000)), Err(Refusal::Invalid(_))));
    create(&mut organization, described(10_000)).expect("made");
}
