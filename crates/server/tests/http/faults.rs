//! Faults: what clients get while one is on, and what the log is told of it.

use std::time::Duration;

use model::event::RequestForm;
use model::fault::{NamedAnswer, Route, ServiceAnswer, ServiceFault};
use model::{Fact, Millis, MillisRange};
use tokio::io::AsyncWriteExt;

use crate::client::{Served, TOKEN, basic};

const JOBS: &str = "_apis/distributedtask/pools/18/jobrequests";
const POOLS: &str = "_apis/distributedtask/pools?poolName=keda-pool";
const FAULTS: &str = "_poolproof/faults";

fn fault(route: Route, answer: ServiceAnswer) -> ServiceFault {
    ServiceFault { route, answer: Some(answer), ..ServiceFault::default() }
}

fn read(fact: &Fact) -> Option<(RequestForm, u16, usize, u64)> {
    match fact {
        Fact::ScalerRead { form, status, rows, latency_ms, .. } => {
            Some((*form, *status, rows.len(), *latency_ms))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_status_comes_with_the_body_of_azure_devops_for_its_route_alone() {
    let mut served = Served::start().await;
    served.organization.begin_fault(0, fault(Route::JobRequests, ServiceAnswer::Status(503)));
    let answer = served.keda(JOBS).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["message"], "Service Unavailable");
    assert!(answer.json()["typeKey"].is_string());
    assert_eq!(served.event(read).await.1, 503);
    assert_eq!(served.keda(POOLS).await.status, 200);
    served.organization.end_fault(0);
    assert_eq!(served.keda(JOBS).await.status, 200);
    assert_eq!(served.event(read).await.1, 200);
}

#[tokio::test]
async fn a_401_is_challenged_and_the_sign_in_page_is_html() {
    let mut served = Served::start().await;
    served.organization.begin_fault(0, fault(Route::All, ServiceAnswer::Status(401)));
    let answer = served.keda(JOBS).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").is_some());
    served.organization.end_fault(0);
    served.organization.begin_fault(1, fault(Route::All, ServiceAnswer::Named(NamedAnswer::SignInPage)));
    let answer = served.keda(JOBS).await;
    assert_eq!((answer.status, answer.header("content-type")), (203, Some("text/html; charset=utf-8")));
    assert_eq!(served.event(read).await.1, 401);
    assert_eq!(served.event(read).await.1, 203);
}

#[tokio::test]
async fn a_malformed_answer_breaks_off_and_has_no_rows() {
    let mut served = Served::start().await;
    served.define("ci", 3);
    served.organization.queue_build("ci").expect("a build");
    let whole = served.get(JOBS).await.body;
    served
        .organization
        .begin_fault(0, fault(Route::JobRequests, ServiceAnswer::Named(NamedAnswer::Malformed)));
    let broken = served.keda(JOBS).await;
    assert_eq!(broken.status, 200);
    assert_eq!(broken.body, whole[..whole.len() / 2]);
    let (_, status, rows, _) = served.event(read).await;
    assert_eq!((status, rows), (200, 0));
}

#[tokio::test]
async fn a_stale_answer_is_the_one_of_the_beginning() {
    let mut served = Served::start().await;
    served.define("ci", 2);
    served.keda(JOBS).await;
    served.organization.begin_fault(0, fault(Route::JobRequests, ServiceAnswer::Named(NamedAnswer::Stale)));
    served.organization.queue_build("ci").expect("a build");
    assert_eq!(served.keda(JOBS).await.json()["count"], 0);
    assert_eq!(served.get(JOBS).await.json()["count"], 2, "only KEDA is told of the past");
    served.organization.end_fault(0);
    assert_eq!(served.keda(JOBS).await.json()["count"], 2);
    let mut rows = Vec::new();
    for _ in 0..3 {
        rows.push(served.event(read).await.2);
    }
    assert_eq!(rows, [0, 0, 2]);
}

#[tokio::test]
async fn a_delay_is_scenario_time_and_what_is_read_is_of_its_end() {
    // A build is queued long before the delay is over, which is half a second.
    let mut served = Served::at_speed(8).await;
    served.define("ci", 1);
    let late = ServiceFault {
        delay: Some(MillisRange::exactly(Millis::seconds(4))),
        answer: None,
        ..fault(Route::JobRequests, ServiceAnswer::Status(500))
    };
    served.organization.begin_fault(0, late);
    let later = async {
        clock::wall::pause(Duration::from_millis(50)).await;
        served.organization.queue_build("ci").expect("a build");
    };
    let (answer, ()) = tokio::join!(served.keda(JOBS), later);
    assert_eq!(answer.json()["count"], 1);
    let (_, status, rows, latency) = served.event(read).await;
    assert_eq!((status, rows), (200, 1));
    assert!(latency >= 4000, "{latency}");
}

#[tokio::test]
async fn who_is_not_answered_gives_up_and_the_log_says_so() {
    let mut served = Served::start().await;
    let hangs = r#"{"service":{"from":"0s","route":"job_requests","answer":"hang"}}"#;
    assert_eq!(served.ask("POST", FAULTS, hangs).await.status, 200);
    let mut stream = served.connect().await;
    let authorization = basic("", TOKEN);
    let request = format!(
        "GET /acme/{JOBS} HTTP/1.1\r\nHost: a\r\n{authorization}\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    until_hit(&served, 1).await;
    drop(stream);
    let (_, status, rows, _) = served.event(read).await;
    assert_eq!((status, rows), (0, 0));
    // Nobody waits for the rest of the organisation's life.
    let hangs = served.keda(JOBS);
    let end = async {
        until_hit(&served, 2).await;
        served.organization.remove();
    };
    let (answer, ()) = tokio::join!(hangs, end);
    assert_eq!(answer.status, 404);
}

/// Waits until the first fault that was made over the control route has hit so many requests.
async fn until_hit(served: &Served, hits: u64) {
    while served.get(&format!("{FAULTS}/1")).await.json()["hits"] != hits {
        clock::wall::pause(Duration::from_millis(5)).await;
    }
}
