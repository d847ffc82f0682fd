//! What KEDA's azure-pipelines scaler asks.

use model::Fact;
use model::event::{RequestForm, ScalerRow};

use crate::client::Served;
use crate::life::{POOL, job, open, register};

const JOBS: &str = "_apis/distributedtask/pools/18/jobrequests";

/// KEDA decodes every time as RFC 3339 and fails the whole read on one that is not.
fn check_times(row: &serde_json::Value) {
    for member in ["queueTime", "assignTime", "receiveTime", "lockedUntil", "finishTime"] {
        if let Some(time) = row.get(member) {
            let time = time.as_str().expect("text");
            assert!(time.starts_with("20") && time.ends_with('Z'), "{member}: {time}");
        }
    }
}

#[tokio::test]
async fn keda_finds_the_pool_by_name_and_by_id() {
    let served = Served::start().await;
    let by_name = served.keda("_apis/distributedtask/pools?poolName=KEDA-pool").await.json();
    assert_eq!((&by_name["count"], &by_name["value"][0]["id"]), (&1.into(), &18.into()));
    let unknown = served.keda("_apis/distributedtask/pools?poolName=no+such+pool").await.json();
    assert_eq!(unknown["value"], serde_json::json!([]));
    let by_id = served.keda("_apis/distributedtask/pools?poolID=18").await.json();
    assert_eq!(by_id["id"], 18);
    assert_eq!(served.keda("_apis/distributedtask/pools?poolID=19").await.status, 404);
}

#[tokio::test]
async fn keda_reads_the_queue_in_its_three_forms() {
    let served = Served::start().await;
    served.define("ci", 3);
    served.organization.queue_build("ci").expect("a build");
    for (query, matched) in [("", true), ("?completedRequestCount=0", true), ("?$top=250", false)] {
        let answer = served.keda(&format!("{JOBS}{query}")).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8; api-version=7.1-preview.1")
        );
        let list = answer.json();
        assert_eq!(list["count"], 3, "{query}");
        for row in list["value"].as_array().expect("a list") {
            check_times(row);
            assert_eq!(row["matchedAgents"][0]["name"] == "template", matched, "{query}");
            assert!(row.get("result").is_none() && row.get("receiveTime").is_none());
        }
    }
}

#[tokio::test]
async fn a_read_of_keda_s_is_logged_with_its_rows() {
    let mut served = Served::start().await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    served.keda(&format!("{JOBS}?%24top=250")).await;
    let read = |fact: &Fact| match fact {
        Fact::ScalerRead { pool: 18, form, status, rows, .. } => Some((*form, *status, rows.clone())),
        _ => None,
    };
    let row = ScalerRow {
        request: 1,
        demands: vec!["Agent.Version -gtVersion 2.182.1".to_owned()],
        assigned: false,
        received: false,
        result: None,
        matched_agents: vec![],
    };
    assert_eq!(served.event(read).await, (RequestForm::Top, 200, vec![row]));
    served.keda(JOBS).await;
    let (form, status, rows) = served.event(read).await;
    assert_eq!(
        (form, status, rows[0].matched_agents.as_slice()),
        (RequestForm::All, 200, &["template".to_owned()][..])
    );
}

#[tokio::test]
async fn a_read_that_failed_is_logged_too() {
    let mut served = Served::start().await;
    let read = |fact: &Fact| match fact {
        Fact::ScalerRead { pool, form, status, .. } => Some((*pool, *form, *status)),
        _ => None,
    };
    let agent = "User-Agent: Go-http-client/1.1";
    served.send("GET", &format!("/acme/{JOBS}?completedRequestCount=0"), &[agent], "").await;
    assert_eq!(served.event(read).await, (18, RequestForm::CompletedCount, 401));
    served.keda("_apis/distributedtask/pools/7/jobrequests").await;
    assert_eq!(served.event(read).await, (7, RequestForm::All, 404));
}

#[tokio::test]
async fn a_read_of_somebody_else_is_no_scaler_read() {
    let mut served = Served::start().await;
    assert_eq!(served.get(JOBS).await.status, 200);
    served.organization.remove();
    let mut reads = 0;
    while let Ok(event) = served.events.try_recv() {
        reads += usize::from(matches!(event.fact, Fact::ScalerRead { .. }));
    }
    assert_eq!(reads, 0);
}

#[tokio::test]
async fn a_list_that_is_read_again_tells_what_calls_have_changed() {
    let served = Served::start().await;
    let path = format!("{JOBS}?completedRequestCount=9");
    let read = async |served: &Served| served.keda(&path).await.json()["value"].clone();
    assert_eq!(read(&served).await, serde_json::json!([]));
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let queued = read(&served).await;
    assert_eq!(queued, read(&served).await, "nothing happened");
    assert!(queued[0].get("assignTime").is_none());

    let agent = register(&served).await;
    let registered = read(&served).await;
    assert_eq!(registered[0]["matchedAgents"][1]["status"], "offline");
    let session = open(&served, agent).await;
    let (message, _) = job(&served.get(&format!("{POOL}/messages?sessionId={session}")).await.body);
    assert!(read(&served).await[0]["assignTime"].is_string());
    served.ask("DELETE", &format!("{POOL}/messages/{message}?sessionId={session}"), "").await;
    let received = read(&served).await[0]["lockedUntil"].clone();
    clock::wall::pause(std::time::Duration::from_millis(2)).await;
    served.ask("PATCH", &format!("{JOBS}/1"), r#"{"requestId":1}"#).await;
    let renewed = read(&served).await[0]["lockedUntil"].clone();
    assert!(padded(&renewed) > padded(&received), "{renewed} after {received}");
    assert_eq!(
        served.keda(&format!("{JOBS}?completedRequestCount=0&planId={}", uuid::Uuid::nil())).await.json()["count"],
        0
    );
}

#[tokio::test]
async fn a_list_that_is_read_again_tells_what_time_has_changed() {
    // The session lives for five seconds.
    let served = Served::at_speed(60).await;
    let agent = register(&served).await;
    open(&served, agent).await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let is_assigned = |list: serde_json::Value| list["value"][0].get("assignTime").is_some();
    assert!(is_assigned(served.keda(JOBS).await.json()));
    let until_the_session_expires = async {
        while is_assigned(served.keda(JOBS).await.json()) {
            clock::wall::pause(std::time::Duration::from_millis(20)).await;
        }
    };
    let limit = std::time::Duration::from_secs(120);
    clock::wall::timeout(limit, until_the_session_expires).await.expect("the job waits again");
}

/// A date with all its milliseconds, so that texts compare as dates do.
fn padded(date: &serde_json::Value) -> String {
    let date = date.as_str().expect("a date").trim_end_matches('Z');
    let (seconds, millis) = date.split_once('.').unwrap_or((date, ""));
    format!("{seconds}.{millis:0<3}")
}
