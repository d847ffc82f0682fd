//! Pools: found by name, by id, and made.

use azure_devops::{Answer, Call, PoolId, Refusal};

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
