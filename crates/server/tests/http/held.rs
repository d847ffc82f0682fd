//! Connections whose poll is held.

use std::time::Duration;

use server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Served, TOKEN, basic, read, to_end};
use crate::life::{POOL, open, register};

/// A connection with a poll that is held, and its session. What comes after is sent with it.
async fn held(served: &Served, after: &str) -> (TcpStream, String) {
    let agent = register(served).await;
    let session = open(served, agent).await;
    let mut stream = served.connect().await;
    let token = basic("", TOKEN);
    let poll =
        format!("GET /acme/{POOL}/messages?sessionId={session} HTTP/1.1\r\nHost: x\r\n{token}\r\n\r\n");
    stream.write_all(format!("{poll}{after}").as_bytes()).await.expect("sent");
    while served.organization.held() == 0 {
        clock::wall::pause(Duration::from_millis(1)).await;
    }
    (stream, session)
}

#[tokio::test]
async fn a_poll_ends_with_its_session_and_its_connection_serves_on() {
    let served = Served::start().await;
    let last = "GET /_poolproof/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (mut stream, session) = held(&served, last).await;
    assert_eq!(served.ask("DELETE", &format!("{POOL}/sessions/{session}"), "").await.status, 204);
    let answer = read(&to_end(&mut stream).await);
    assert_eq!((answer.status, answer.header("content-length")), (202, Some("0")));
    let next = read(&answer.body);
    assert_eq!((next.status, next.body.as_slice()), (200, br#"{"status":"ok"}"#.as_slice()));
}

#[tokio::test]
async fn an_agent_that_goes_away_from_its_poll_leaves_its_place_to_others() {
    let served = Served::within(1, Limits { connections: 1, ..Limits::default() }).await;
    let (stream, _) = held(&served, "").await;
    let mut other = served.connect().await;
    other.write_all(b"GET /_poolproof/health HTTP/1.1\r\nConnection: close\r\n\r\n").await.expect("sent");
    drop(stream);
    assert_eq!(read(&to_end(&mut other).await).status, 200);
}
