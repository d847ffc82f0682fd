//! Every call of the Rust client for pools, agents, queues, definitions, builds, pipelines and projects, against
//! `poolproof serve`. scripts/clients starts both, and says where the crate's source is.

mod agent;
mod builds;
mod changes;
mod made;
mod operations;
mod pools;
mod recorded;
mod rest;

use std::env;
use std::path::Path;

use azure_core::http::Url;
use serde_json::json;

use agent::Agent;
use recorded::{Clients, ORGANIZATION, PROJECT, call, failure};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let variable = |name| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let address = variable("POOLPROOF_URL");
    let origin = address.strip_suffix(ORGANIZATION).expect("the organisation's address");
    let origin = Url::parse(origin).expect("an address");
    let token = variable("POOLPROOF_TOKEN");
    let clients = Clients::new(origin.clone(), &token);

    let pool = pools::pools(&clients).await;
    pools::agents(&clients, pool).await;
    pools::queues(&clients, pool).await;
    projects(&clients).await;
    changes::projects(&clients).await;

    let (one_job, three_jobs) = builds::definitions(&clients).await;
    let made = changes::definitions(&clients, pool).await;
    changes::builds_of(&clients, made).await;
    changes::pipelines(&clients).await;
    let cancelled = builds::queued_and_cancelled(&clients, one_job).await;
    let agent = Agent::join(&clients, &origin, &token, pool, "rust-agent").await;
    let succeeded = builds::run_by_an_agent(&clients, &agent, one_job).await;
    agent.leave().await;
    builds::lists(&clients, &cancelled, &succeeded).await;
    builds::pipelines_and_runs(&clients, one_job, pools::id(&succeeded)).await;
    builds::marks(&clients, pools::id(&succeeded), three_jobs).await;
    builds::deleted(&clients, pools::id(&cancelled)).await;

    rest::refuse_the_rest(&clients).await;
    assert!(clients.all_refused(), "calls that are not refused as what is not modelled");
    let mut left_out = operations::all(Path::new(&variable("POOLPROOF_CLIENT_SOURCE")));
    for call in clients.called() {
        assert!(left_out.remove(&call), "{call} is not found in the crate's source");
    }
    assert!(left_out.is_empty(), "calls of the crate that nobody makes: {left_out:?}");
    clients.report();
}

async fn projects(clients: &Clients) {
    let listed = call!(clients.core.projects_client().list(ORGANIZATION));
    assert_eq!(pools::names(&listed), ["poolproof", PROJECT]);
    let by_name = call!(clients.core.projects_client().get(ORGANIZATION, PROJECT));
    assert_eq!((&by_name["name"], &by_name["state"]), (&json!(PROJECT), &json!("wellFormed")));
    let id = by_name["id"].as_str().expect("an id");
    let by_id = call!(clients.core.projects_client().get(ORGANIZATION, id));
    assert_eq!(by_id["name"], json!(PROJECT));
    let nobody = failure!(clients.core.projects_client().get(ORGANIZATION, "nobody"));
    assert_eq!(nobody, "ProjectDoesNotExistWithNameException");
}
