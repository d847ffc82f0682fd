//! Definitions, builds, their timelines and logs, pipelines and runs, and what an agent writes of a job.

use azure_devops_rust_api::build::models::{
    BuildQueryOrder, BuildResult, BuildStatus, UpdateStageParameters,
};
use azure_devops_rust_api::distributed_task::models::{JobEvent, TaskLog, VssJsonCollectionWrapper};
use azure_devops_rust_api::pipelines::models::RunPipelineParameters;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::made::{build, from};
use crate::pools::{elements, id, names};
use crate::recorded::{Clients, ORGANIZATION, PROJECT, call, failure, raw};

/// The definitions of scripts/clients, and what they are made of.
const ONE_JOB: &str = "compile";
const THREE_JOBS: &str = "fan-out";
const LINES: [&str; 3] = ["first line", "second line", "third line"];
/// The crate writes a log's text as JSON, so that its line ends are none.
const ONE_LINE: u32 = 1;
const BRANCH: &str = "refs/heads/rust";
const MISSING: i32 = 4711;

/// The ids of a list's elements.
fn ids(list: &Value) -> Vec<i32> {
    elements(list).iter().map(id).collect()
}

/// Checks the calls on definitions, and gives the ids of both.
pub async fn definitions(clients: &Clients) -> (i32, i32) {
    let listed = call!(clients.build.definitions_client().list(ORGANIZATION, PROJECT));
    assert_eq!(names(&listed), [ONE_JOB, THREE_JOBS]);
    let one = call!(clients.build.definitions_client().list(ORGANIZATION, PROJECT).name(ONE_JOB));
    let three = call!(clients.build.definitions_client().list(ORGANIZATION, PROJECT).name(THREE_JOBS));
    let (one, three) = (id(&one["value"][0]), id(&three["value"][0]));
    let read = call!(clients.build.definitions_client().get(ORGANIZATION, PROJECT, one));
    assert_eq!((id(&read), &read["name"], &read["project"]["name"]), (one, &json!(ONE_JOB), &json!(PROJECT)));
    let missing = failure!(clients.build.definitions_client().get(ORGANIZATION, PROJECT, MISSING));
    assert_eq!(missing, "DefinitionNotFoundException");
    (one, three)
}

async fn queue(clients: &Clients, definition: i32, more: Value) -> Value {
    let body = build(definition.into(), more);
    call!(clients.build.builds_client().queue(ORGANIZATION, body, PROJECT))
}

async fn get(clients: &Clients, build: i32) -> Value {
    call!(clients.build.builds_client().get(ORGANIZATION, PROJECT, build))
}

/// A build that is cancelled before it starts.
pub async fn queued_and_cancelled(clients: &Clients, definition: i32) -> Value {
    let queued =
        queue(clients, definition, json!({ "sourceBranch": BRANCH, "parameters": "{\"a\":\"b\"}" })).await;
    assert_eq!((&queued["status"], &queued["result"]), (&json!("notStarted"), &Value::Null));
    assert_eq!(id(&queued["definition"]), definition);
    let read = get(clients, id(&queued)).await;
    assert_eq!((&read["sourceBranch"], &read["parameters"]), (&json!(BRANCH), &json!("{\"a\":\"b\"}")));
    assert_eq!((&read["buildNumber"], &read["queueTime"]), (&queued["buildNumber"], &queued["queueTime"]));

    let change = build(definition.into(), json!({ "id": queued["id"], "status": "cancelling" }));
    call!(clients.build.builds_client().update_build(ORGANIZATION, change, PROJECT, id(&queued)));
    let over = get(clients, id(&queued)).await;
    assert_eq!((&over["status"], &over["result"]), (&json!("completed"), &json!("canceled")));
    queued
}

/// A build from its first to its last moment, as its agent writes it and as its readers see it.
pub async fn run_by_an_agent(clients: &Clients, agent: &Agent, definition: i32) -> Value {
    let queued = queue(clients, definition, json!({})).await;
    let job = agent.take_job().await;
    assert_eq!(get(clients, id(&queued)).await["status"], json!("inProgress"));
    let log = write_log(clients, &job).await;
    agent.complete(&job, "succeeded").await;

    let over = get(clients, id(&queued)).await;
    assert_eq!((&over["status"], &over["result"]), (&json!("completed"), &json!("succeeded")));
    // The crate puts a timeline's id into the path whether there is one or not.
    let timeline = call!(clients.build.timeline_client().get(ORGANIZATION, PROJECT, id(&queued), ""));
    let records = timeline["records"].as_array().expect("records");
    let record = records.iter().find(|record| record["type"] == "Job").expect("the job's record");
    assert_eq!((&record["state"], &record["result"]), (&json!("completed"), &json!("succeeded")));
    assert_eq!(record["workerName"], json!("rust-agent"));
    let by_id = timeline["id"].as_str().expect("an id");
    let again = call!(clients.build.timeline_client().get(ORGANIZATION, PROJECT, id(&queued), by_id));
    assert_eq!(again["records"].as_array().map(Vec::len), Some(records.len()));

    let logs = call!(clients.build.builds_client().get_build_logs(ORGANIZATION, PROJECT, id(&queued)));
    let of_job = logs["value"].as_array().and_then(|logs| logs.iter().find(|one| id(one) == log));
    assert_eq!(of_job.expect("the job's log")["lineCount"], json!(ONE_LINE));
    read_log(clients, id(&queued), log).await;
    queued
}

async fn write_log(clients: &Clients, job: &Value) -> i32 {
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let (scope, plan) = (text(&job["plan"]["scopeIdentifier"]), text(&job["plan"]["planId"]));
    let path = format!("logs\\{}", text(&job["jobId"]));
    let given: TaskLog = from(json!({ "path": path }));
    let made = call!(clients.distributed_task.logs_client().create(
        ORGANIZATION,
        given,
        scope.as_str(),
        "Build",
        plan.as_str()
    ));
    let lines = LINES.map(|line| format!("{line}\n")).concat();
    let appended = call!(clients.distributed_task.logs_client().append_log_content(
        ORGANIZATION,
        lines,
        scope.as_str(),
        "Build",
        plan.as_str(),
        id(&made)
    ));
    assert_eq!((id(&appended), &appended["lineCount"]), (id(&made), &json!(ONE_LINE)));

    // An event that nothing comes of, and records that the crate writes as text where a list belongs.
    let event: JobEvent = from(json!({ "name": "JobStarted", "jobId": job["jobId"] }));
    call!(clients.distributed_task.events_client().post_event(
        ORGANIZATION,
        event,
        scope.as_str(),
        "Build",
        plan.as_str()
    ));
    let records: VssJsonCollectionWrapper = from(json!({ "count": 1, "value": "[]" }));
    let timeline = text(&job["timeline"]["id"]);
    let bad = failure!(clients.distributed_task.records_client().update(
        ORGANIZATION,
        records,
        scope,
        "Build",
        plan,
        timeline
    ));
    assert_eq!(bad, "InvalidRequestException");
    id(&made)
}

/// The crate reads a log's text as JSON, too, so it understands what it wrote.
async fn read_log(clients: &Clients, build: i32, log: i32) {
    let whole = call!(clients.build.builds_client().get_build_log(ORGANIZATION, PROJECT, build, log));
    let text = whole.as_str().expect("text");
    assert!(LINES.iter().all(|line| text.contains(line)), "{text}");
    let first = call!(
        clients
            .build
            .builds_client()
            .get_build_log(ORGANIZATION, PROJECT, build, log)
            .start_line(1)
            .end_line(1)
    );
    assert_eq!(first, whole);
}

/// The lists of builds: order, filters, pages.
pub async fn lists(clients: &Clients, cancelled: &Value, succeeded: &Value) {
    let newest = BuildQueryOrder::QueueTimeDescending;
    let everything =
        ids(&call!(clients.build.builds_client().list(ORGANIZATION, PROJECT).query_order(newest.clone())));
    assert!(everything.is_sorted_by(|a, b| a > b), "{everything:?}");
    let number = cancelled["buildNumber"].as_str().expect("a number");
    let found = call!(clients.build.builds_client().list(ORGANIZATION, PROJECT).build_number(number));
    assert_eq!(ids(&found), [id(cancelled)]);
    let found = call!(clients.build.builds_client().list(ORGANIZATION, PROJECT).branch_name(BRANCH));
    assert_eq!(ids(&found), [id(cancelled)]);
    let found = call!(
        clients.build.builds_client().list(ORGANIZATION, PROJECT).result_filter(BuildResult::Succeeded)
    );
    assert_eq!(ids(&found), [id(succeeded)]);
    let found = call!(
        clients.build.builds_client().list(ORGANIZATION, PROJECT).status_filter(BuildStatus::NotStarted)
    );
    assert_eq!(ids(&found), [0; 0]);
    let found = call!(clients.build.builds_client().list(ORGANIZATION, PROJECT).query_order(newest).top(2));
    assert_eq!(ids(&found), everything[..2]);
    let latest = call!(clients.build.latest_client().get(ORGANIZATION, PROJECT, ONE_JOB));
    assert_eq!(latest["status"], json!("completed"));
}

/// Tags, and what a build of the fake never has.
pub async fn marks(clients: &Clients, build: i32, definition: i32) {
    let sorted = |tags: Value| {
        let mut tags: Vec<String> = from(tags);
        tags.sort_unstable();
        tags
    };
    raw!(clients.build.tags_client().add_build_tag(ORGANIZATION, PROJECT, build, "nightly"));
    let several = vec!["linux".to_owned(), "slow".to_owned()];
    raw!(clients.build.tags_client().add_build_tags(ORGANIZATION, several, PROJECT, build));
    raw!(clients.build.tags_client().delete_build_tag(ORGANIZATION, PROJECT, build, "slow"));
    let read = raw!(clients.build.tags_client().get_build_tags(ORGANIZATION, PROJECT, build));
    assert_eq!(sorted(read["value"].clone()), ["linux", "nightly"]);

    let artifacts = call!(clients.build.artifacts_client().list(ORGANIZATION, PROJECT, build));
    assert!(elements(&artifacts).is_empty(), "{artifacts}");
    let none = failure!(clients.build.artifacts_client().get_artifact(ORGANIZATION, PROJECT, build, "drop"));
    assert_eq!(none, "VssResourceNotFoundException");
    let none =
        failure!(clients.build.artifacts_client().get_file(ORGANIZATION, PROJECT, build, "drop", "1", "a"));
    assert_eq!(none, "VssResourceNotFoundException");
    let changes = call!(clients.build.builds_client().get_build_changes(ORGANIZATION, PROJECT, build));
    assert!(elements(&changes).is_empty(), "{changes}");
    let items = call!(clients.build.builds_client().get_build_work_items_refs(ORGANIZATION, PROJECT, build));
    assert!(elements(&items).is_empty(), "{items}");
    let usage = call!(clients.build.resource_usage_client().get(ORGANIZATION));
    assert_eq!(usage["totalUsage"], json!(0));

    // A build has one stage if its definition names none; to cancel it is to cancel the build.
    let queued = queue(clients, definition, json!({})).await;
    let change: UpdateStageParameters = from(json!({ "state": "cancel" }));
    call!(clients.build.stages_client().update(ORGANIZATION, change, id(&queued), "__default", PROJECT));
    assert_eq!(get(clients, id(&queued)).await["result"], json!("canceled"));
}

/// Deletes a build.
pub async fn deleted(clients: &Clients, build: i32) {
    call!(clients.build.builds_client().delete(ORGANIZATION, PROJECT, build));
    let gone = failure!(clients.build.builds_client().get(ORGANIZATION, PROJECT, build));
    assert_eq!(gone, "BuildNotFoundException");
}

/// Checks the calls on pipelines and runs.
pub async fn pipelines_and_runs(clients: &Clients, definition: i32, with_logs: i32) {
    let listed = call!(clients.pipelines.pipelines_client().list(ORGANIZATION, PROJECT));
    assert_eq!(names(&listed), [ONE_JOB, THREE_JOBS]);
    let read = call!(clients.pipelines.pipelines_client().get(ORGANIZATION, PROJECT, definition));
    assert_eq!((id(&read), &read["name"], &read["folder"]), (definition, &json!(ONE_JOB), &json!("\\")));

    let given: RunPipelineParameters = from(json!({ "variables": { "colour": { "value": "red" } } }));
    let run = call!(clients.pipelines.runs_client().run_pipeline(ORGANIZATION, given, PROJECT, definition));
    assert_eq!((&run["state"], id(&run["pipeline"])), (&json!("inProgress"), definition));
    assert_eq!(get(clients, id(&run)).await["buildNumber"], run["name"]);
    let change = build(definition.into(), json!({ "id": run["id"], "status": "cancelling" }));
    call!(clients.build.builds_client().update_build(ORGANIZATION, change, PROJECT, id(&run)));
    let over = call!(clients.pipelines.runs_client().get(ORGANIZATION, PROJECT, definition, id(&run)));
    assert_eq!(
        (&over["name"], &over["state"], &over["result"]),
        (&run["name"], &json!("completed"), &json!("canceled"))
    );
    let runs = call!(clients.pipelines.runs_client().list(ORGANIZATION, PROJECT, definition));
    assert_eq!(ids(&runs)[0], id(&run));

    let given: RunPipelineParameters = from(json!({ "previewRun": true }));
    let preview = call!(clients.pipelines.preview_client().preview(ORGANIZATION, given, PROJECT, definition));
    assert!(preview["finalYaml"].as_str().is_some_and(|yaml| yaml.contains("name: keda-pool")), "{preview}");
    let listed = call!(clients.pipelines.logs_client().list(ORGANIZATION, PROJECT, definition, with_logs));
    let log = &listed["logs"][0];
    let read =
        call!(clients.pipelines.logs_client().get(ORGANIZATION, PROJECT, definition, with_logs, id(log)));
    assert_eq!((&read["id"], &read["lineCount"]), (&log["id"], &log["lineCount"]));
}
