//! Requests that are too much, too odd, or not HTTP.

use std::time::Duration;

use server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Served, TOKEN, basic, read, to_end};
use crate::life::{POOL, open, register};

const HEALTH: &[u8] = b"GET /_poolproof/health HTTP/1.1\r\nHost: x\r\n\r\n";
/// Short, but nothing depends on how short.
const SHORT: Duration = Duration::from_millis(20);

/// The answer to a request on a connection that stays open.
async fn healthy(stream: &mut TcpStream) -> bool {
    is_answered(stream).await.expect("an answer")
}

/// The same; `None` if the server has closed it.
async fn is_answered(stream: &mut TcpStream) -> Option<bool> {
    stream.write_all(HEALTH).await.ok()?;
    let mut bytes = [0; 1024];
    let length = stream.read(&mut bytes).await.ok()?;
    (length > 0).then(|| read(&bytes[..length]).status == 200)
}

/// The head of a request to make a pool, with these headers, and the beginning of its body.
fn make_pool(headers: &str, body: &str) -> String {
    format!(
        "POST /acme/_apis/distributedtask/pools HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n{headers}\r\n\r\n{body}",
        basic("", TOKEN)
    )
}

#[tokio::test]
async fn a_connection_too_many_waits_until_another_one_ends() {
    let served = Served::within(1, Limits { connections: 2, ..Limits::default() }).await;
    let (mut first, mut second) = (served.connect().await, served.connect().await);
    assert!(healthy(&mut first).await && healthy(&mut second).await);
    let mut third = served.connect().await;
    third.write_all(make_pool("Content-Length: 15", r#"{"name":"late"}"#).as_bytes()).await.expect("sent");
    let pools = |pools: &[u8]| String::from_utf8_lossy(pools).contains("late");
    let list =
        format!("GET /acme/_apis/distributedtask/pools HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", basic("", TOKEN));
    for _ in 0..100 {
        first.write_all(list.as_bytes()).await.expect("sent");
        let mut bytes = [0; 4096];
        let length = first.read(&mut bytes).await.expect("an answer");
        assert!(!pools(&bytes[..length]), "the third connection was served beside the other two");
    }
    drop(second);
    assert_eq!(read(&to_end(&mut third).await).status, 200);
}

#[tokio::test]
async fn a_connection_that_sends_no_whole_head_in_time_is_closed() {
    let served = Served::within(1, Limits { head_time: SHORT, ..Limits::default() }).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET /_poolproof/health HTTP/1.1\r\nHost").await.expect("sent");
    let answer = to_end(&mut stream).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    // So short a time may be over before a machine that stalls has sent anything.
    let mut idle = loop {
        let mut idle = served.connect().await;
        if let Some(is_well) = is_answered(&mut idle).await {
            assert!(is_well);
            break idle;
        }
    };
    assert!(to_end(&mut idle).await.is_empty(), "an idle connection is closed without a word");
}

#[tokio::test]
async fn a_poll_may_be_held_longer_than_a_head_may_take() {
    // 50 s of scenario time are 5 s.
    let head_time = Duration::from_secs(1);
    let served = Served::within(10, Limits { head_time, ..Limits::default() }).await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let empty = served.get(&format!("{POOL}/messages?sessionId={session}")).await;
    assert_eq!(empty.status, 202);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let served = Served::within(1, Limits { body_time: SHORT, ..Limits::default() }).await;
    let answer = served.raw(make_pool("Content-Length: 15", r#"{"name":"#).as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["typeKey"]), (408, &"RequestTimeoutException".into()));
    let whole = served.raw(make_pool("Content-Length: 12", r#"{"name":"x"}"#).as_bytes()).await;
    assert_eq!(whole.status, 200);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let served = Served::within(1, Limits { body_bytes: 16, ..Limits::default() }).await;
    let chunked = |name: &str| {
        let body = format!(r#"{{"name":"{name}"}}"#);
        make_pool("Transfer-Encoding: chunked", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    };
    assert_eq!(served.raw(chunked("12345").as_bytes()).await.status, 200);
    let answer = served.raw(chunked("123456").as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["typeKey"]), (413, &"RequestContentTooLargeException".into()));
}

#[tokio::test]
async fn a_poll_that_is_held_is_answered_when_the_server_stops() {
    let stop_time = Duration::from_secs(60);
    let served = Served::within(1, Limits { stop_time, ..Limits::default() }).await;
    let agent = register(&served).await;
    let session = open(&served, agent).await;
    let mut stream = served.connect().await;
    let poll = format!(
        "GET /acme/{POOL}/messages?sessionId={session} HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n",
        basic("", TOKEN)
    );
    stream.write_all(poll.as_bytes()).await.expect("sent");
    // Only a stop that finds the poll held is worth a look; one that comes first closes the connection.
    while served.organization.held() == 0 {
        tokio::task::yield_now().await;
    }
    served.server.stop().await;
    assert_eq!(read(&to_end(&mut stream).await).status, 404);
}

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
    // Its port is anybody's then: once in a while another test's server has it, but not every time.
    for _ in 0..10 {
        let served = Served::start().await;
        let address = served.server.address();
        served.server.stop().await;
        if TcpStream::connect(address).await.is_err() {
            return;
        }
    }
    panic!("stopped servers are reached");
}
