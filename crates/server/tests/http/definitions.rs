//! Definitions, pipelines, projects and job requests that clients make, as they are sent.

use serde_json::{Value, json};

use crate::client::{Served, TOKEN, basic};

async fn send(served: &Served, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = served.ask(method, path, &body.to_string()).await;
    let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, json)
}

#[tokio::test]
async fn a_definition_lives_from_its_first_revision_to_its_end() {
    let served = Served::start().await;
    let path = "poolproof/_apis/build/definitions";
    let given = json!({ "name": "made", "variables": { "a": { "value": "b" } }, "quality": 1 });
    let (status, made) = send(&served, "POST", path, &given).await;
    assert_eq!(
        (status, &made["revision"], &made["quality"]),
        (200, &json!(1), &json!("definition")),
        "{made}"
    );
    let one = format!("{path}/{}", made["id"]);
    assert_eq!(send(&served, "POST", path, &given).await.0, 409);
    let mut whole = served.get(&one).await.json();
    whole["name"] = "renamed".into();
    let (status, renamed) = send(&served, "PUT", &one, &whole).await;
    assert_eq!(
        (status, &renamed["revision"], &renamed["variables"]["a"]["value"]),
        (200, &json!(2), &json!("b"))
    );
    assert_eq!(send(&served, "PUT", &one, &whole).await.0, 404, "it is not the present revision");
    assert_eq!(served.get(&format!("{one}/revisions")).await.json()["count"], 2);
    assert_eq!(served.get(&format!("{one}?revision=1")).await.status, 501);

    let queued = json!({ "definition": { "id": made["id"] } });
    let (status, build) = send(&served, "POST", "poolproof/_apis/build/builds", &queued).await;
    assert_eq!(status, 200, "{build}");
    assert_eq!(served.ask("DELETE", &one, "").await.status, 204);
    assert_eq!(served.get(&one).await.status, 404);
    let kept = served.get(&format!("_apis/build/builds/{}", build["id"])).await.json();
    assert_eq!(kept["definition"]["name"], "renamed");
    let (status, restored) = send(&served, "PATCH", &format!("{one}?deleted=false"), &json!({})).await;
    assert_eq!((status, &restored["name"]), (200, &json!("renamed")));
}

#[tokio::test]
async fn a_pipeline_is_made_and_another_kind_of_it_is_not_modelled() {
    let served = Served::start().await;
    let given = |kind: &str| json!({ "name": "made", "folder": "\\f", "configuration": { "type": kind, "path": "/a.yml" } });
    let (status, made) = send(&served, "POST", "poolproof/_apis/pipelines", &given("yaml")).await;
    assert_eq!(
        (status, &made["folder"], &made["configuration"]["path"]),
        (200, &json!("\\f"), &json!("/a.yml"))
    );
    let (status, refused) = send(&served, "POST", "poolproof/_apis/pipelines", &given("designerJson")).await;
    assert_eq!((status, &refused["typeKey"]), (501, &json!("NotImplementedException")));
}

#[tokio::test]
async fn a_project_is_made_and_taken_away_by_operations() {
    let served = Served::start().await;
    let (status, operation) = send(&served, "POST", "_apis/projects", &json!({ "name": "made" })).await;
    assert_eq!((status, &operation["status"]), (202, &json!("queued")));
    let id = operation["id"].as_str().expect("an id");
    let done = served.get(&format!("_apis/operations/{id}")).await.json();
    assert_eq!(done["status"], "succeeded");
    let (status, _) =
        send(&served, "PATCH", "_apis/projects/made", &json!({ "description": "for a test" })).await;
    assert_eq!(
        (status, &served.get("_apis/projects/made").await.json()["description"]),
        (202, &json!("for a test"))
    );
    assert_eq!(served.ask("DELETE", "_apis/projects/made", "").await.status, 202);
    assert_eq!(served.get("_apis/projects/made").await.status, 404);
}

#[tokio::test]
async fn logs_come_as_an_archive_and_nothing_else_does() {
    let served = Served::start().await;
    let (_, queued) =
        send(&served, "POST", "poolproof/_apis/build/definitions", &json!({ "name": "made" })).await;
    let body = json!({ "definition": { "id": queued["id"] } });
    let (_, build) = send(&served, "POST", "poolproof/_apis/build/builds", &body).await;
    let plan = build["orchestrationPlan"]["planId"].as_str().expect("a plan");
    let logs = format!("p/_apis/distributedtask/hubs/Build/plans/{plan}/logs");
    let (_, log) = send(&served, "POST", &logs, &json!({ "path": "logs\\x" })).await;
    served.ask("POST", &format!("{logs}/{}", log["id"]), "one line\n").await;

    let zipped = async |path: &str| {
        let path = format!("/acme/poolproof/_apis/build/builds/{}/{path}", build["id"]);
        let headers = [basic("", TOKEN), "Accept: application/zip;api-version=7.1".to_owned()];
        served.send("GET", &path, &headers.each_ref().map(String::as_str), "").await
    };
    for path in ["logs".to_owned(), format!("logs/{}", log["id"])] {
        let archive = zipped(&path).await;
        assert_eq!(
            (archive.status, archive.header("content-type")),
            (200, Some("application/zip")),
            "{path}"
        );
        assert_eq!(&archive.body[..4], b"PK\x03\x04");
        assert!(archive.body.windows(10).any(|part| part == b"one line\r\n"), "stored as it is");
    }
    assert_eq!(zipped("logs/99").await.status, 404);
    assert_eq!(zipped("artifacts?artifactName=drop").await.status, 501);
}

#[tokio::test]
async fn a_request_is_queued_without_a_build_and_ends_like_any_other() {
    let served = Served::start().await;
    let pools = served.get("_apis/distributedtask/pools?poolName=keda-pool").await.json();
    let requests = format!("_apis/distributedtask/pools/{}/jobrequests", pools["value"][0]["id"]);
    let (status, queued) = send(&served, "POST", &requests, &json!({ "jobName": "by hand" })).await;
    assert_eq!(status, 200, "{queued}");
    assert_eq!(served.get(&requests).await.json()["value"][0]["requestId"], queued["requestId"]);
    let one = format!("{requests}/{}", queued["requestId"]);
    served.ask("DELETE", &format!("{one}?result=canceled"), "").await;
    assert_eq!(served.get(&one).await.json()["result"], "canceled");
    let (status, _) = send(&served, "POST", &requests, &json!({ "demands": ["gpu"] })).await;
    assert_eq!(status, 400, "no agent has it");
}
