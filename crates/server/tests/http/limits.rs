//! Requests that are too much, too odd, or not HTTP.

use crate::client::{Served, TOKEN, basic};

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let served = Served::start().await;
    let name = "x".repeat(1024 * 1024);
    let answer = served.ask("POST", "_apis/distributedtask/pools", &format!(r#"{{"name":"{name}"}}"#)).await;
    assert_eq!(answer.status, 413);
    let small = served.ask("POST", "_apis/distributedtask/pools", r#"{"name":"small"}"#).await;
    assert_eq!(small.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = Served::start().await;
    let long = format!("X-Long: {}", "x".repeat(64 * 1024));
    let answer = served.send("GET", "/acme/_apis", &[&basic("", TOKEN), &long], "").await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_body_or_an_id_that_cannot_be_read_is_a_bad_request() {
    let served = Served::start().await;
    for (method, path, body) in [
        ("POST", "_apis/distributedtask/pools", "not json"),
        ("POST", "_apis/distributedtask/pools/18/agents", ""),
        ("GET", "_apis/distributedtask/pools/abc", ""),
        ("GET", "_apis/distributedtask/pools/18/jobrequests?$top=many", ""),
        ("GET", "_apis/distributedtask/pools/18/messages", ""),
        ("GET", "_apis/distributedtask/pools/18/agents?demands=os%20-like%20x", ""),
    ] {
        let answer = served.ask(method, path, body).await;
        assert_eq!(answer.status, 400, "{method} {path}");
        assert_eq!(answer.json()["typeKey"], "InvalidRequestException", "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_answered_400() {
    let served = Served::start().await;
    assert_eq!(served.raw(b"\x16\x03\x01 this is TLS\r\n\r\n").await.status, 400);
    assert_eq!(served.send("GET", "/_poolproof/health", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let served = Served::start().await;
    let one = format!("GET /acme/_apis/ResourceAreas HTTP/1.1\r\nHost: x\r\n{}\r\n", basic("", TOKEN));
    let last = "GET /_poolproof/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = served.raw(format!("{one}\r\n{last}").as_bytes()).await;
    let body = String::from_utf8(answer.body).expect("text");
    assert_eq!(answer.status, 200);
    assert!(
        body.starts_with(r#"{"count":0,"value":null}"#) && body.ends_with(r#"{"status":"ok"}"#),
        "{body}"
    );
}

#[tokio::test]
async fn a_stopped_server_is_not_reached() {
    let served = Served::start().await;
    let address = served.server.address();
    served.server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
