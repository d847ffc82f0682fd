//! Queues: what a project has of the pools.

use azure_devops::{
    Answer, Call, PoolAnswer, PoolCall, PoolDetails, PoolDraft, PoolId, QueueId, QueueQuery, Refusal,
};
use serde_json::Value;

use crate::driver::{Organization, POOL, settings};

fn with_project() -> Organization {
    let mut organization = Organization::new(settings());
    organization.register("a-1");
    organization.define("ci", 1, &[]);
    organization
}

fn list(organization: &mut Organization, query: QueueQuery) -> Vec<(u64, String)> {
    let list = organization.read(PoolCall::ListQueues { project: "shop".to_owned(), query }.into());
    let queue = |queue: &Value| {
        (queue["id"].as_u64().expect("an id"), queue["name"].as_str().expect("a name").to_owned())
    };
    list["value"].as_array().expect("a list").iter().map(queue).collect()
}

fn add(
    organization: &mut Organization,
    name: Option<&str>,
    pool: Option<PoolId>,
) -> Result<QueueId, Refusal> {
    let call = PoolCall::AddQueue { project: "SHOP".to_owned(), name: name.map(str::to_owned), pool };
    match organization.call(call.into())? {
        Answer::OfPools(PoolAnswer::Queue(id)) => Ok(id),
        other => panic!("no queue: {other:?}"),
    }
}

fn pool(organization: &mut Organization, name: &str, auto_provision: bool) -> PoolId {
    let details = PoolDetails { auto_provision, ..PoolDetails::default() };
    match organization.call(PoolCall::Create(PoolDraft { name: name.to_owned(), details }).into()) {
        Ok(Answer::Pool(id)) => id,
        other => panic!("no pool: {other:?}"),
    }
}

#[test]
fn a_project_has_a_queue_to_every_pool_that_is_provisioned_for_all() {
    let mut organization = with_project();
    let known = list(&mut organization, QueueQuery::default());
    assert_eq!(known.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["keda-pool"]);
    pool(&mut organization, "for all", true);
    pool(&mut organization, "for nobody", false);
    let known = list(&mut organization, QueueQuery::default());
    assert_eq!(known.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["keda-pool", "for all"]);
}

#[test]
fn queues_are_found_by_name_by_id_and_by_pool() {
    let mut organization = with_project();
    let other = pool(&mut organization, "other", true);
    let all = list(&mut organization, QueueQuery::default());
    let names = QueueQuery { names: vec!["KEDA-pool".to_owned()], ..QueueQuery::default() };
    assert_eq!(list(&mut organization, names), all[..1]);
    let ids = QueueQuery { ids: vec![QueueId(all[1].0)], ..QueueQuery::default() };
    assert_eq!(list(&mut organization, ids), all[1..]);
    let pools = QueueQuery { pools: vec![other, PoolId(99)], ..QueueQuery::default() };
    assert_eq!(list(&mut organization, pools), all[1..]);
    let none = QueueQuery { names: vec!["keda".to_owned()], ..QueueQuery::default() };
    assert_eq!(list(&mut organization, none), []);
}

#[test]
fn a_queue_tells_its_project_and_its_pool() {
    let mut organization = with_project();
    let (id, _) = list(&mut organization, QueueQuery::default())[0];
    let get = |project: &str| PoolCall::GetQueue { project: project.to_owned(), queue: QueueId(id) };
    let queue = organization.read(get("shop").into());
    assert_eq!((&queue["pool"]["id"], &queue["pool"]["size"]), (&18.into(), &1.into()));
    let by_id = queue["projectId"].as_str().expect("an id").to_owned();
    assert_eq!(organization.read(get(&by_id).into()), queue);
    let nobody = organization.call(get("nobody").into()).err();
    assert_eq!(nobody, Some(Refusal::ProjectNotFound("nobody".to_owned())));
}

#[test]
fn a_queue_is_made_to_a_pool_by_its_id_or_by_the_pool_s_name() {
    let mut organization = with_project();
    let pool = pool(&mut organization, "own", false);
    let by_name = add(&mut organization, Some("own"), None).expect("a queue");
    assert_eq!(add(&mut organization, Some("OWN"), None), Err(Refusal::QueueExists("OWN".to_owned())));
    let by_id = add(&mut organization, Some("second"), Some(pool)).expect("a queue");
    assert_ne!(by_name, by_id);
    assert_eq!(
        add(&mut organization, Some("nothing"), None),
        Err(Refusal::PoolNameNotFound("nothing".to_owned()))
    );
    assert_eq!(add(&mut organization, None, Some(PoolId(99))), Err(Refusal::PoolNotFound(PoolId(99))));
    assert!(matches!(add(&mut organization, None, None), Err(Refusal::Invalid(_))));
}

#[test]
fn a_queue_that_is_taken_away_is_gone_and_its_pool_stays() {
    let mut organization = with_project();
    let (id, _) = list(&mut organization, QueueQuery::default())[0];
    let remove = || PoolCall::RemoveQueue { project: "shop".to_owned(), queue: QueueId(id) }.into();
    assert!(matches!(organization.call(remove()), Ok(Answer::Done)));
    assert_eq!(organization.call(remove()).err(), Some(Refusal::QueueNotFound(QueueId(id))));
    assert!(organization.call(Call::GetPool(POOL)).is_ok());
    assert_eq!(list(&mut organization, QueueQuery::default()), []);
    organization.call(PoolCall::ProvisionQueues { project: "shop".to_owned() }.into()).expect("queues");
    assert_eq!(list(&mut organization, QueueQuery::default()).len(), 1, "with another id");
}

#[test]
fn a_queue_s_requests_are_those_of_its_project_in_its_pool() {
    let mut organization = with_project();
    organization.queue("ci").expect("a build");
    let (id, _) = list(&mut organization, QueueQuery::default())[0];
    let requests = |project: &str, queue: u64| {
        PoolCall::ListQueueRequests {
            project: project.to_owned(),
            queue: QueueId(queue),
            query: azure_devops::JobRequestQuery::default(),
        }
        .into()
    };
    assert_eq!(organization.read(requests("shop", id))["count"], 1);
    let elsewhere = organization.call(requests("shop", 99)).err();
    assert_eq!(elsewhere, Some(Refusal::QueueNotFound(QueueId(99))));
    let other = pool(&mut organization, "other", true);
    let query = QueueQuery { pools: vec![other], ..QueueQuery::default() };
    let (other, _) = list(&mut organization, query)[0];
    assert_eq!(organization.read(requests("shop", other))["count"], 0);
}
