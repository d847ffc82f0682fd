//! Pools, agents, queues.

use azure_devops_rust_api::distributed_task::models::{TaskAgent, TaskAgentPool, TaskAgentQueue};
use serde_json::{Value, json};

use crate::made::from;
use crate::recorded::{Clients, ORGANIZATION, PROJECT, call, failure};

/// The pool of scripts/clients, with an agent that was registered once and is offline.
const SHARED: &str = "keda-pool";
const PLACEHOLDER: &str = "java-template";

/// An id as the crate takes it.
pub fn id(of: &Value) -> i32 {
    of["id"].as_i64().and_then(|id| i32::try_from(id).ok()).unwrap_or_else(|| panic!("no id: {of}"))
}

/// A list's elements. The crate's own lists leave out what is empty.
pub fn elements(list: &Value) -> &[Value] {
    list["value"].as_array().map_or(&[], Vec::as_slice)
}

/// The names of a list's elements, sorted.
pub fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        elements(list).iter().map(|one| one["name"].as_str().expect("a name")).collect();
    names.sort_unstable();
    names
}

/// Checks the calls on pools, and gives the shared pool's id.
pub async fn pools(clients: &Clients) -> i32 {
    let given: TaskAgentPool =
        from(json!({ "name": "rust", "autoProvision": false, "poolType": "automation" }));
    let made = call!(clients.distributed_task.pools_client().add(ORGANIZATION, given.clone()));
    assert_eq!(
        (&made["name"], &made["poolType"], &made["size"]),
        (&json!("rust"), &json!("automation"), &json!(0))
    );
    let again = failure!(clients.distributed_task.pools_client().add(ORGANIZATION, given));
    assert_eq!(again, "TaskAgentPoolExistsException");
    let change: TaskAgentPool = from(json!({ "name": "rust pool", "autoUpdate": false }));
    let renamed = call!(clients.distributed_task.pools_client().update(ORGANIZATION, change, id(&made)));
    assert_eq!((&renamed["id"], &renamed["name"]), (&made["id"], &json!("rust pool")));
    let read = call!(clients.distributed_task.pools_client().get(ORGANIZATION, id(&made)));
    assert_eq!(
        (&read["name"], &read["autoUpdate"], &read["createdOn"]),
        (&json!("rust pool"), &json!(false), &made["createdOn"])
    );

    let listed = call!(clients.distributed_task.pools_client().get_agent_pools(ORGANIZATION));
    assert_eq!(names(&listed), ["Default", SHARED, "rust pool"]);
    let found =
        call!(clients.distributed_task.pools_client().get_agent_pools(ORGANIZATION).pool_name(SHARED));
    assert_eq!(names(&found), [SHARED]);
    let shared = id(&found["value"][0]);
    let ids = format!("{shared},{}", id(&made));
    let by_ids = call!(clients.distributed_task.pools_client().get_agent_pools_by_ids(ORGANIZATION, ids));
    assert_eq!(names(&by_ids), [SHARED, "rust pool"]);

    call!(clients.distributed_task.pools_client().delete(ORGANIZATION, id(&made)));
    let gone = failure!(clients.distributed_task.pools_client().get(ORGANIZATION, id(&made)));
    assert_eq!(gone, "TaskAgentPoolNotFoundException");
    shared
}

/// Checks the calls on agents.
pub async fn agents(clients: &Clients, pool: i32) {
    let body = |version: &str| -> TaskAgent {
        from(json!({
            "name": "rust-1", "version": version, "osDescription": "Linux", "maxParallelism": 1, "enabled": true,
            "systemCapabilities": { "Agent.Name": "rust-1", "maven": "3.9" },
        }))
    };
    let made = call!(clients.distributed_task.agents_client().add(ORGANIZATION, body("4.258.1"), pool));
    assert_eq!((&made["name"], &made["status"]), (&json!("rust-1"), &json!("offline")));
    let again = failure!(clients.distributed_task.agents_client().add(ORGANIZATION, body("4.258.1"), pool));
    assert_eq!(again, "TaskAgentExistsException");

    // Members are there only for whoever asks.
    let agent = id(&made);
    let plain = call!(clients.distributed_task.agents_client().get(ORGANIZATION, pool, agent));
    assert_eq!((&plain["osDescription"], &plain["systemCapabilities"]), (&json!("Linux"), &Value::Null));
    let full = call!(
        clients.distributed_task.agents_client().get(ORGANIZATION, pool, agent).include_capabilities(true)
    );
    assert_eq!(full["systemCapabilities"], json!({ "Agent.Name": "rust-1", "maven": "3.9" }));

    let listed = call!(clients.distributed_task.agents_client().list(ORGANIZATION, pool));
    assert_eq!(names(&listed), [PLACEHOLDER, "rust-1"]);
    let named = call!(clients.distributed_task.agents_client().list(ORGANIZATION, pool).agent_name("RUST-1"));
    assert_eq!(names(&named), ["rust-1"]);
    let able =
        call!(clients.distributed_task.agents_client().list(ORGANIZATION, pool).demands("java -equals 17"));
    assert_eq!(names(&able), [PLACEHOLDER]);

    let change: TaskAgent = from(json!({ "id": agent, "enabled": false }));
    let changed = call!(clients.distributed_task.agents_client().update(ORGANIZATION, change, pool, agent));
    assert_eq!((&changed["enabled"], &changed["version"]), (&json!(false), &json!("4.258.1")));
    let replaced = call!(clients.distributed_task.agents_client().replace_agent(
        ORGANIZATION,
        body("4.259.0"),
        pool,
        agent
    ));
    assert_eq!((id(&replaced), &replaced["version"]), (agent, &json!("4.259.0")));
    let read = call!(clients.distributed_task.agents_client().get(ORGANIZATION, pool, agent));
    assert_eq!((&read["version"], &read["enabled"]), (&json!("4.259.0"), &json!(true)));

    call!(clients.distributed_task.agents_client().delete(ORGANIZATION, pool, agent));
    let gone = failure!(clients.distributed_task.agents_client().get(ORGANIZATION, pool, agent));
    assert_eq!(gone, "TaskAgentNotFoundException");
}

/// Checks the calls on queues.
pub async fn queues(clients: &Clients, pool: i32) {
    let given: TaskAgentPool = from(json!({ "name": "rust-queue", "autoProvision": false }));
    let of = call!(clients.distributed_task.pools_client().add(ORGANIZATION, given));
    let given: TaskAgentQueue = from(json!({ "name": "rust-queue", "pool": { "id": of["id"] } }));
    let made = call!(clients.distributed_task.queues_client().add(ORGANIZATION, given, PROJECT));
    assert_eq!((&made["name"], &made["pool"]["id"]), (&json!("rust-queue"), &of["id"]));
    let read = call!(clients.distributed_task.queues_client().get(ORGANIZATION, id(&made), PROJECT));
    assert_eq!((&read["id"], &read["projectId"]), (&made["id"], &made["projectId"]));

    let named = call!(
        clients
            .distributed_task
            .queues_client()
            .get_agent_queues(ORGANIZATION, PROJECT)
            .queue_name("rust-queue")
    );
    assert_eq!(names(&named), ["rust-queue"]);
    let ids = id(&made).to_string();
    let by_ids = call!(clients.distributed_task.queues_client().get_agent_queues_by_ids(
        ORGANIZATION,
        ids.as_str(),
        PROJECT
    ));
    assert_eq!(names(&by_ids), ["rust-queue"]);
    let both = format!("rust-queue,{SHARED}");
    let by_names = call!(clients.distributed_task.queues_client().get_agent_queues_by_names(
        ORGANIZATION,
        both,
        PROJECT
    ));
    assert_eq!(names(&by_names), [SHARED, "rust-queue"]);
    let for_pools = call!(clients.distributed_task.queues_client().get_agent_queues_for_pools(
        ORGANIZATION,
        pool.to_string(),
        PROJECT
    ));
    assert_eq!(for_pools["value"][0]["pool"]["id"], json!(pool));

    call!(clients.distributed_task.queues_client().delete(ORGANIZATION, id(&made), PROJECT));
    let left =
        call!(clients.distributed_task.queues_client().get_agent_queues_by_ids(ORGANIZATION, ids, PROJECT));
    assert_eq!(names(&left), [""; 0]);
    call!(clients.distributed_task.pools_client().delete(ORGANIZATION, id(&of)));
}
