//! HTTP/1.1 by hand, as the agent speaks it: one connection that is kept, bodies that may wait for `100 Continue`.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// All values of a header, joined.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.head.lines().filter_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        values.collect::<Vec<_>>().join(", ")
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    /// Nothing more can be sent.
    pub(crate) ended: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("a connection"),
            read: Vec::new(),
            ended: false,
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn send(&mut self, head: &str, body: &[u8], expect_continue: bool) -> Answer {
        self.stream.write_all(head.as_bytes()).await.expect("sent");
        if expect_continue {
            let head = self.head().await;
            if !head.starts_with("HTTP/1.1 100") {
                // The body is not wanted: it is not sent, and the connection has ended.
                self.ended = true;
                return self.answer(head).await;
            }
        }
        self.stream.write_all(body).await.expect("sent");
        let head = self.head().await;
        self.answer(head).await
    }

    async fn answer(&mut self, head: String) -> Answer {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new() };
        let length: usize = answer.header("content-length").parse().unwrap_or_default();
        while self.read.len() < length {
            self.more().await;
        }
        answer.body = self.read.drain(..length).collect();
        answer
    }

    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).expect("text");
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await.expect("an answer");
        assert!(count > 0, "the server closed: {}", String::from_utf8_lossy(&self.read));
        self.read.extend_from_slice(&bytes[..count]);
    }
}
