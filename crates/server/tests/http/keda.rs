//! What KEDA's azure-pipelines scaler asks.

use model::Fact;
use model::event::{RequestForm, ScalerRow};

use crate::client::Served;

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
        assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8; api-version=7.1"));
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
