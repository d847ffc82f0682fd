//! What a client makes of definitions, pipelines and projects.

use azure_devops_rust_api::build::models::{BuildDefinition, UpdateStageParameters};
use azure_devops_rust_api::core::models::TeamProject;
use azure_devops_rust_api::pipelines::models::CreatePipelineParameters;
use serde_json::{Value, json};

use crate::made::{build, from};
use crate::pools::{elements, id, names};
use crate::recorded::{Clients, ORGANIZATION, PROJECT, call, failure};

/// A definition as the crate can write it: it cannot leave a member out that every definition in an answer has.
fn definition(more: Value) -> BuildDefinition {
    let mut body = json!({
        "id": 0, "url": "", "revision": 1, "queueStatus": "enabled",
        "project": { "name": PROJECT, "visibility": "private" },
    });
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    from(body)
}

/// Checks the calls on definitions that change them, and gives the id of one that is left.
pub async fn definitions(clients: &Clients, pool: i32) -> i32 {
    let pools = pool.to_string();
    let queues = call!(clients.distributed_task.queues_client().get_agent_queues_for_pools(
        ORGANIZATION,
        pools,
        PROJECT
    ));
    let queue = id(&queues["value"][0]);
    let given = definition(json!({
        "name": "rust-made", "path": "\\rust", "description": "made by a client", "queue": { "id": queue },
        "variables": { "colour": { "value": "red" } },
    }));
    let made = call!(clients.build.definitions_client().create(ORGANIZATION, given.clone(), PROJECT));
    assert_eq!((&made["name"], &made["revision"]), (&json!("rust-made"), &json!(1)));
    assert_eq!(id(&made["queue"]), queue);
    let again = failure!(clients.build.definitions_client().create(ORGANIZATION, given, PROJECT));
    assert_eq!(again, "DefinitionExistsException");
    let read = call!(clients.build.definitions_client().get(ORGANIZATION, PROJECT, id(&made)));
    assert_eq!((&read["path"], &read["description"]), (&json!("\\rust"), &json!("made by a client")));
    assert_eq!(read["variables"]["colour"]["value"], json!("red"));

    let renamed = json!({ "id": id(&made), "name": "rust-renamed", "comment": "another name", "queue": { "id": queue } });
    let renamed = definition(renamed);
    let changed =
        call!(clients.build.definitions_client().update(ORGANIZATION, renamed.clone(), PROJECT, id(&made)));
    assert_eq!((&changed["name"], &changed["revision"]), (&json!("rust-renamed"), &json!(2)));
    let stale =
        failure!(clients.build.definitions_client().update(ORGANIZATION, renamed, PROJECT, id(&made)));
    assert_eq!(stale, "DefinitionNotFoundException");
    let revisions =
        call!(clients.build.definitions_client().get_definition_revisions(ORGANIZATION, PROJECT, id(&made)));
    let told: Vec<_> =
        elements(&revisions).iter().map(|one| (one["name"].clone(), one["changeType"].clone())).collect();
    assert_eq!(told, [(json!("rust-made"), json!("add")), (json!("rust-renamed"), json!("update"))]);
    id(&made)
}

/// Several builds are cancelled at once, one of them runs again and is cancelled again, and the definition goes.
pub async fn builds_of(clients: &Clients, definition: i32) {
    let mut queued = Vec::new();
    for _ in 0..2 {
        let body = build(definition.into(), json!({}));
        queued.push(id(&call!(clients.build.builds_client().queue(ORGANIZATION, body, PROJECT))));
    }
    let cancel = |build_id: &i32| build(definition.into(), json!({ "id": build_id, "status": "cancelling" }));
    let changes = queued.iter().map(cancel).collect::<Vec<_>>();
    let changed = call!(clients.build.builds_client().update_builds(ORGANIZATION, changes, PROJECT));
    let results: Vec<_> = elements(&changed).iter().map(|one| one["result"].clone()).collect();
    assert_eq!(results, [json!("canceled"), json!("canceled")]);

    let first = queued[0];
    let retry: UpdateStageParameters = from(json!({ "state": "retry" }));
    call!(clients.build.stages_client().update(ORGANIZATION, retry, first, "__default", PROJECT));
    let again = call!(clients.build.builds_client().get(ORGANIZATION, PROJECT, first));
    assert_eq!((&again["status"], &again["result"]), (&json!("notStarted"), &Value::Null));
    let change = cancel(&first);
    call!(clients.build.builds_client().update_build(ORGANIZATION, change, PROJECT, first));

    call!(clients.build.definitions_client().delete(ORGANIZATION, PROJECT, definition));
    let gone = failure!(clients.build.definitions_client().get(ORGANIZATION, PROJECT, definition));
    assert_eq!(gone, "DefinitionNotFoundException");
    let kept = call!(clients.build.builds_client().get(ORGANIZATION, PROJECT, first));
    assert_eq!(kept["definition"]["name"], json!("rust-renamed"), "its builds stay");
    let restored = call!(clients.build.definitions_client().restore_definition(
        ORGANIZATION,
        PROJECT,
        definition,
        false
    ));
    assert_eq!(restored["name"], json!("rust-renamed"));
    for build in queued {
        call!(clients.build.builds_client().delete(ORGANIZATION, PROJECT, build));
    }
    call!(clients.build.definitions_client().delete(ORGANIZATION, PROJECT, definition));
}

/// The crate cannot say where a pipeline's YAML is, so there is nothing to make one of.
pub async fn pipelines(clients: &Clients) {
    let given: CreatePipelineParameters =
        from(json!({ "name": "rust-pipeline", "configuration": { "type": "yaml" } }));
    let refused = failure!(clients.pipelines.pipelines_client().create(ORGANIZATION, given, PROJECT));
    assert_eq!(refused, "InvalidRequestException");
}

/// Checks the calls on projects that change them.
pub async fn projects(clients: &Clients) {
    let project = |description: &str| -> TeamProject {
        from(json!({ "name": "rust-project", "visibility": "private", "description": description }))
    };
    let made = call!(clients.core.projects_client().create(ORGANIZATION, project("made")));
    assert_eq!(made["status"], json!("queued"));
    let read = call!(clients.core.projects_client().get(ORGANIZATION, "rust-project"));
    assert_eq!((&read["description"], &read["state"]), (&json!("made"), &json!("wellFormed")));
    let project_id = read["id"].as_str().expect("an id");
    call!(clients.core.projects_client().update(ORGANIZATION, project("changed"), project_id));
    let read = call!(clients.core.projects_client().get(ORGANIZATION, project_id));
    assert_eq!(read["description"], json!("changed"));
    let listed = call!(clients.core.projects_client().list(ORGANIZATION));
    assert!(names(&listed).contains(&"rust-project"), "{listed}");
    call!(clients.core.projects_client().delete(ORGANIZATION, project_id));
    let gone = failure!(clients.core.projects_client().get(ORGANIZATION, "rust-project"));
    assert_eq!(gone, "ProjectDoesNotExistWithNameException");
}
