//! Pools: found by name, by id, and made.

use azure_devops::{
    Answer, Call, PoolCall, PoolChange, PoolDetails, PoolDraft, PoolId, PoolQuery, PoolType, Properties,
    PropertyFilter, Refusal,
};

use crate::driver::{Organization, POOL, settings, with_placeholder};

fn pools(organization: &mut Organization, name: Option<&str>, ids: &[u64]) -> Vec<PoolId> {
    let ids = ids.iter().copied().map(PoolId).collect();
    match organization.call(Call::ListPools { name: name.map(str::to_owned), ids }) {
        Ok(Answer::Pools(found)) => found,
        other => panic!("no list: {other:?}"),
    }
}

#[test]
fn a_pool_is_found_by_its_name_whatever_the_case() {
    let mut organization = Organization::new(settings());
    organization.call(Call::CreatePool { name: "My Pool".to_owned(), placeholders: vec![] }).expect("a pool");
    assert_eq!(pools(&mut organization, Some("KEDA-pool"), &[]), [POOL]);
    assert_eq!(pools(&mut organization, Some("my pool"), &[]), [PoolId(19)]);
    assert_eq!(pools(&mut organization, Some("keda"), &[]), []);
    assert_eq!(pools(&mut organization, None, &[]), [POOL, PoolId(19)]);
    assert_eq!(pools(&mut organization, None, &[19, 20]), [PoolId(19)]);
}

#[test]
fn an_unknown_pool_is_not_found_or_an_empty_object_by_a_switch() {
    let mut strict = Organization::new(settings());
    assert_eq!(strict.call(Call::FindPool(PoolId(7))).err(), Some(Refusal::PoolNotFound(PoolId(7))));
    assert_eq!(strict.call(Call::GetPool(PoolId(7))).err(), Some(Refusal::PoolNotFound(PoolId(7))));
    assert_eq!(strict.read(Call::FindPool(POOL))["id"], 18);

    let mut lenient = settings();
    lenient.switches.unknown_pool_is_empty = true;
    let mut lenient = Organization::new(lenient);
    assert_eq!(lenient.read(Call::FindPool(PoolId(7))), serde_json::json!({}));
    assert_eq!(lenient.read(Call::FindPool(POOL))["name"], "keda-pool");
}

#[test]
fn a_pool_tells_its_name_and_how_many_agents_it_has() {
    let mut organization = Organization::new(with_placeholder(settings(), &[]));
    organization.register("a-1");
    let pool = organization.read(Call::GetPool(POOL));
    assert_eq!((&pool["name"], &pool["size"]), (&"keda-pool".into(), &2.into()));
    assert_eq!(pool["poolType"], "automation");
    assert_eq!(pool["createdOn"], "2026-09-21T14:13:20Z");
}

#[test]
fn a_pool_s_name_is_taken_once() {
    let mut organization = Organization::new(settings());
    let mut create = |name: &str| {
        organization.call(Call::CreatePool { name: name.to_owned(), placeholders: vec![] }).map(|_| ())
    };
    assert_eq!(create("other"), Ok(()));
    assert_eq!(create("Other"), Err(Refusal::PoolExists("Other".to_owned())));
    assert!(matches!(create(" "), Err(Refusal::Invalid(_))));
}

fn create(organization: &mut Organization, name: &str, details: PoolDetails) -> Result<PoolId, Refusal> {
    match organization.call(PoolCall::Create(PoolDraft { name: name.to_owned(), details }).into())? {
        Answer::Pool(id) => Ok(id),
        other => panic!("no pool: {other:?}"),
    }
}

fn found(organization: &mut Organization, query: PoolQuery) -> Vec<u64> {
    let list = organization.read(PoolCall::List(query).into());
    list["value"].as_array().expect("a list").iter().filter_map(|pool| pool["id"].as_u64()).collect()
}

fn noted(name: &str) -> Properties {
    [(name.to_owned(), serde_json::json!({"$type": "System.String", "$value": "x"}))].into()
}

#[test]
fn a_pool_is_made_with_what_is_said_of_it_and_found_by_its_type() {
    let mut organization = Organization::new(settings());
    let details = PoolDetails { kind: PoolType::Deployment, target_size: Some(4), ..PoolDetails::default() };
    let id = create(&mut organization, "machines", details).expect("a pool");
    let pool = organization.read(Call::GetPool(id));
    assert_eq!((&pool["poolType"], &pool["targetSize"]), (&"deployment".into(), &4.into()));
    assert_eq!((&pool["autoProvision"], &pool["agentCloudId"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(pool["createdBy"], pool["owner"]);
    let of = |kind| PoolQuery { kind: Some(kind), ..PoolQuery::default() };
    assert_eq!(found(&mut organization, of(PoolType::Deployment)), [id.0]);
    assert_eq!(found(&mut organization, of(PoolType::Automation)), [POOL.0]);
}

#[test]
fn properties_are_told_only_of_those_that_are_asked_for() {
    let mut organization = Organization::new(settings());
    let details = PoolDetails { properties: noted("Team"), ..PoolDetails::default() };
    let id = create(&mut organization, "own", details).expect("a pool");
    let mut told = |names: &[&str]| {
        let properties = PropertyFilter::of(names.iter().map(|name| (*name).to_owned()).collect());
        let query = PoolQuery { ids: vec![id], properties, ..PoolQuery::default() };
        organization.read(PoolCall::List(query).into())["value"][0]["properties"].clone()
    };
    assert_eq!(told(&["team"])["Team"]["$value"], "x");
    assert_eq!(told(&["*"])["Team"]["$value"], "x");
    assert_eq!(told(&["other"]), serde_json::json!({}));
    assert_eq!(told(&[]), serde_json::json!({}));
}

#[test]
fn a_change_of_a_pool_leaves_what_it_does_not_name() {
    let mut organization = Organization::new(settings());
    organization.register("a-1");
    organization.define("ci", 1, &[]);
    let change =
        PoolChange { name: Some("renamed".to_owned()), auto_update: Some(false), ..PoolChange::default() };
    organization.call(PoolCall::Change { pool: POOL, change }.into()).expect("changed");
    let pool = organization.read(Call::GetPool(POOL));
    assert_eq!((&pool["name"], &pool["autoUpdate"]), (&"renamed".into(), &false.into()));
    assert_eq!((&pool["autoProvision"], &pool["size"]), (&true.into(), &1.into()));
    let query = azure_devops::QueueQuery::default();
    let queues = organization.read(PoolCall::ListQueues { project: "shop".to_owned(), query }.into());
    assert_eq!(queues["value"][0]["name"], "renamed", "the queue that came with it");
}

#[test]
fn a_pool_gets_no_name_that_another_has() {
    let mut organization = Organization::new(settings());
    create(&mut organization, "other", PoolDetails::default()).expect("a pool");
    let mut rename = |pool: PoolId, name: &str| {
        let change = PoolChange { name: Some(name.to_owned()), ..PoolChange::default() };
        organization.call(PoolCall::Change { pool, change }.into()).map(|_| ())
    };
    assert_eq!(rename(POOL, "OTHER"), Err(Refusal::PoolExists("OTHER".to_owned())));
    assert_eq!(rename(POOL, "KEDA-Pool"), Ok(()), "its own, in another case");
    assert_eq!(rename(PoolId(99), "new"), Err(Refusal::PoolNotFound(PoolId(99))));
}

#[test]
fn a_pool_goes_once_nothing_is_in_it_and_nothing_leads_to_it() {
    let mut organization = Organization::new(settings());
    let agent = organization.register("a-1");
    organization.define("ci", 1, &[]);
    let build = organization.queue("ci").expect("a build");
    let refused = |by| Some(Refusal::PoolInUse { pool: "keda-pool".to_owned(), by });
    let remove = || PoolCall::Remove(POOL).into();
    assert_eq!(organization.call(remove()).err(), refused("agents"));
    organization.remove(agent).expect("removed");
    assert_eq!(organization.call(remove()).err(), refused("job requests"));
    organization.call(azure_devops::BuildCall::cancel(build).into()).expect("cancelled");
    let own =
        PoolCall::AddQueue { project: "shop".to_owned(), name: Some("own".to_owned()), pool: Some(POOL) };
    let own = organization.read(own.into())["id"].as_u64().expect("an id");
    assert_eq!(organization.call(remove()).err(), refused("queues"));
    let queue = azure_devops::QueueId(own);
    organization.call(PoolCall::RemoveQueue { project: "shop".to_owned(), queue }.into()).expect("removed");
    assert!(matches!(organization.call(remove()), Ok(Answer::Done)));
    assert_eq!(organization.call(Call::GetPool(POOL)).err(), Some(Refusal::PoolNotFound(POOL)));
    assert!(organization.queue("ci").is_err(), "nothing can wait in it any more");
}

/// A build whose second job waits for another pool: the first one's agent, its session, and the other pool.
fn with_a_later_pool(condition: azure_devops::Condition) -> (Organization, uuid::Uuid, PoolId) {
    let mut organization = Organization::with_template();
    let other = organization
        .call(Call::CreatePool { name: "later".to_owned(), placeholders: vec![placeholder("template")] })
        .expect("a pool");
    let Answer::Pool(other) = other else { panic!("{other:?}") };
    let phase = |name: &str, pool: Option<&str>, after: &[&str]| azure_devops::Phase {
        name: name.to_owned(),
        pool: pool.map(str::to_owned),
        depends_on: after.iter().map(|name| (*name).to_owned()).collect(),
        jobs: vec![azure_devops::JobTemplate::new(name.to_owned(), vec![], model::Millis::minutes(1))],
        condition,
        ..azure_devops::Phase::default()
    };
    let phases = vec![phase("first", None, &[]), phase("second", Some("later"), &["first"])];
    let stages = vec![azure_devops::Stage::of(azure_devops::DEFAULT_STAGE, phases)];
    let definition = azure_devops::Definition {
        stages,
        ..azure_devops::Definition::flat("ci".to_owned(), "shop", "keda-pool", vec![])
    };
    organization.call(Call::Build(azure_devops::BuildCall::define(definition))).expect("a definition");
    let (_, session) = organization.listen("a-1");
    organization.queue("ci").expect("a build");
    let agents = organization.read(Call::ListAgents {
        pool: other,
        name: None,
        demands: vec![],
        include: azure_devops::Include::default(),
    });
    let template = azure_devops::AgentId(agents["value"][0]["id"].as_u64().expect("an id"));
    organization.call(Call::RemoveAgent { pool: other, agent: template }).expect("removed");
    (organization, session, other)
}

fn placeholder(name: &str) -> model::scenario::Placeholder {
    model::scenario::Placeholder { name: name.to_owned(), capabilities: std::collections::BTreeMap::new() }
}

#[test]
fn a_pool_stays_as_long_as_a_later_job_of_a_running_build_needs_it() {
    let (mut organization, session, other) = with_a_later_pool(azure_devops::Condition::Succeeded);
    let remove = || Call::from(PoolCall::Remove(other));
    let refused = Some(Refusal::PoolInUse { pool: "later".to_owned(), by: "builds that run" });
    assert_eq!(organization.call(remove()).err(), refused);
    let first = organization.take(session);
    assert_eq!(organization.call(remove()).err(), refused);
    organization.complete(first, model::event::JobResult::Succeeded).expect("the end");
    assert!(matches!(organization.call(remove()).err(), Some(Refusal::PoolInUse { by: "job requests", .. })));
}

#[test]
fn a_pool_goes_once_no_running_build_can_come_to_need_it() {
    let (mut organization, session, other) = with_a_later_pool(azure_devops::Condition::Succeeded);
    let first = organization.take(session);
    organization.complete(first, model::event::JobResult::Failed).expect("the end");
    assert!(organization.call(Call::from(PoolCall::Remove(other))).is_ok());
    assert_eq!(organization.service.unfinished(), 0);
}

#[test]
fn a_text_is_kept_with_a_pool() {
    let mut organization = Organization::new(settings());
    let read = |organization: &mut Organization| organization.read(PoolCall::GetMetadata(POOL).into());
    assert_eq!(read(&mut organization), "");
    organization
        .call(PoolCall::SetMetadata { pool: POOL, metadata: "kept".to_owned() }.into())
        .expect("kept");
    assert_eq!(read(&mut organization), "kept");
    let long = "x".repeat(azure_devops::limits::MAX_METADATA + 1);
    let refused = organization.call(PoolCall::SetMetadata { pool: POOL, metadata: long }.into());
    assert!(matches!(refused, Err(Refusal::TooLarge(_))));
}

#[test]
fn an_owner_has_every_permission_on_a_pool_that_is_there() {
    let mut organization = Organization::new(settings());
    let has = |pool| Call::from(PoolCall::HasPermissions { pool, permissions: 27 });
    assert_eq!(organization.read(has(POOL)), true);
    assert_eq!(organization.call(has(PoolId(99))).err(), Some(Refusal::PoolNotFound(PoolId(99))));
}
