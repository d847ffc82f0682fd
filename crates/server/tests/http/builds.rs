//! Projects, pipelines and builds as clients ask for them.

use azure_devops::{DEFAULT_STAGE, Definition, JobTemplate, Phase, Stage};
use model::Millis;

use crate::client::Served;

/// A pipeline of a job and, after it, a matrix of which one job at a time may wait.
fn pipeline() -> Definition {
    let phase = |name: &str, depends_on: &[&str], jobs: &[&str]| Phase {
        name: name.to_owned(),
        depends_on: depends_on.iter().map(|name| (*name).to_owned()).collect(),
        jobs: jobs.iter().map(|name| JobTemplate::new(*name, vec![], Millis::seconds(1))).collect(),
        max_parallel: Some(1),
        ..Phase::default()
    };
    let phases = vec![phase("build", &[], &["build"]), phase("test", &["build"], &["test a", "test b"])];
    Definition {
        stages: vec![Stage::of(DEFAULT_STAGE, phases)],
        ..Definition::flat("matrix", "My Project", "keda-pool", vec![])
    }
}

async fn served() -> Served {
    let served = Served::start().await;
    served.organization.define(pipeline()).expect("a definition");
    served
}

#[tokio::test]
async fn a_project_is_meant_by_its_name_or_its_id() {
    let served = served().await;
    let projects = served.get("_apis/projects").await.json();
    let project =
        projects["value"].as_array().expect("a list").iter().find(|one| one["name"] == "My Project");
    let id = project.expect("the definition's project")["id"].as_str().expect("an id").to_owned();
    for named in ["my%20project", id.as_str()] {
        let listed = served.get(&format!("{named}/_apis/build/definitions?name=MAT*")).await.json();
        assert_eq!((&listed["count"], &listed["value"][0]["name"]), (&1.into(), &"matrix".into()), "{named}");
    }
    let unknown = served.get("nowhere/_apis/build/definitions").await;
    assert_eq!(unknown.status, 404);
    let other = served.get("poolproof/_apis/build/definitions").await.json();
    assert_eq!(other["count"], 0, "another project has none");
}

#[tokio::test]
async fn a_build_is_queued_listed_cancelled_and_deleted() {
    let served = served().await;
    let queued = r#"{"definition":{"id":1},"sourceBranch":"topic","tags":["nightly"]}"#;
    let build = served.ask("POST", "My%20Project/_apis/build/builds", queued).await.json();
    assert_eq!(
        (&build["status"], &build["sourceBranch"]),
        (&"notStarted".into(), &"refs/heads/topic".into())
    );
    for (filter, count) in [
        ("statusFilter=notStarted", 1),
        ("statusFilter=2", 0),
        ("statusFilter=all&queryOrder=queueTimeDescending&$top=20", 1),
        ("tagFilters=Nightly&branchName=topic&reasonFilter=manual", 1),
        ("resultFilter=failed", 0),
        ("minTime=2999-01-01T00:00:00Z", 0),
    ] {
        let listed = served.get(&format!("my%20project/_apis/build/builds?{filter}")).await.json();
        assert_eq!(listed["count"], count, "{filter}");
    }
    let path = "My%20Project/_apis/build/builds/1";
    assert_eq!(served.ask("DELETE", path, "").await.status, 400, "it is not completed");
    let mut whole = served.get(path).await.json();
    whole["status"] = "cancelling".into();
    let cancelled = served.ask("PATCH", path, &whole.to_string()).await.json();
    assert_eq!((&cancelled["status"], &cancelled["result"]), (&"completed".into(), &"canceled".into()));
    assert_eq!(served.ask("DELETE", path, "").await.status, 204);
    assert_eq!(served.get(path).await.status, 404);
}

#[tokio::test]
async fn builds_come_page_by_page() {
    let served = served().await;
    for _ in 0..3 {
        served.organization.queue_build("matrix").expect("a build");
    }
    let first = served.get("_apis/build/builds?$top=2").await;
    let token = first.header("x-ms-continuationtoken").expect("there is another page").to_owned();
    assert_eq!(first.json()["value"][0]["id"], 3);
    let nothing = served.get("_apis/build/builds?$top=0").await;
    assert_eq!(nothing.header("x-ms-continuationtoken"), None, "a page of nothing leads nowhere");
    let second = served.get(&format!("_apis/build/builds?$top=2&continuationToken={token}")).await;
    assert_eq!(second.header("x-ms-continuationtoken"), None);
    assert_eq!(second.json()["value"][0]["id"], 1);
}

#[tokio::test]
async fn a_run_is_a_build_and_its_timeline_tells_of_the_matrix() {
    let served = served().await;
    let body = r#"{"resources":{"repositories":{"self":{"refName":"refs/heads/main"}}}}"#;
    let run = served.ask("POST", "My%20Project/_apis/pipelines/1/runs", body).await.json();
    assert_eq!((&run["id"], &run["state"]), (&1.into(), &"inProgress".into()));
    let timeline = served.get("My%20Project/_apis/build/builds/1/timeline").await.json();
    let records = timeline["records"].as_array().expect("records");
    let named = |kind: &str| -> Vec<&str> {
        let of = records.iter().filter(|record| record["type"] == kind);
        of.filter_map(|record| record["name"].as_str()).collect()
    };
    assert_eq!((named("Phase"), named("Job")), (vec!["build", "test"], vec!["build"]));
    let preview = served.ask("POST", "My%20Project/_apis/pipelines/1/preview", "{}").await.json();
    assert!(preview["finalYaml"].as_str().is_some_and(|yaml| yaml.contains("dependsOn: [build]")));
    assert_eq!(served.get("My%20Project/_apis/build/builds/1/artifacts").await.json()["count"], 0);
    assert_eq!(served.get("My%20Project/_apis/build/builds/1/logs/1").await.status, 404);
}
