//! The smallest HTTP client that will do: one connection, one request after the other.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::wall::Stopwatch;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Outcome;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// Where an organisation is, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Host and port.
    pub(crate) host: String,
    /// The path before `_apis`, without a slash at its end.
    pub(crate) path: String,
    authorization: String,
}

impl Target {
    /// # Errors
    /// If the URL is no plain HTTP one.
    pub(crate) fn new(url: &str, token: &str) -> Outcome<Self> {
        let rest = url.strip_prefix("http://").ok_or("only plain HTTP")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        let authorization = STANDARD.encode(format!(":{token}"));
        Ok(Self { host: host.to_owned(), path, authorization })
    }

    /// The bytes of a request as KEDA's client would send it.
    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let Self { host, path: base, authorization } = self;
        let length = body.len();
        format!(
            "{method} {base}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: load/1\r\n\
             Authorization: Basic {authorization}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Status and body.
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> Outcome<Self> {
        let stream = TcpStream::connect(&target.host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends the bytes of a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Outcome<Response<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, head, length) = loop {
            self.fill().await?;
            if let Some(head) = read_head(&self.buffer)? {
                break head;
            }
        };
        let end = match length {
            Some(length) => head + length,
            None => self.chunked(head).await?,
        };
        while self.buffer.len() < end {
            self.fill().await?;
        }
        Ok(Response { status, body: self.buffer.get(head..end).unwrap_or_default() })
    }

    /// A body in chunks is only read to its end; nobody here looks into it.
    async fn chunked(&mut self, head: usize) -> Outcome<usize> {
        while !self.buffer.get(head..).unwrap_or_default().ends_with(b"0\r\n\r\n") {
            self.fill().await?;
        }
        Ok(self.buffer.len())
    }

    async fn fill(&mut self) -> Outcome<()> {
        self.buffer.reserve(CHUNK);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the server closed the connection".into()),
            _ => Ok(()),
        }
    }

    /// The same with JSON both ways.
    pub(crate) async fn ask(
        &mut self,
        target: &Target,
        method: &str,
        path: &str,
        body: &str,
    ) -> Outcome<Value> {
        let response = self.send(&target.request(method, path, body)).await?;
        if !(200..300).contains(&response.status) {
            let text = String::from_utf8_lossy(response.body).into_owned();
            return Err(format!("{method} {path} was answered {}: {text}", response.status).into());
        }
        if response.body.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(response.body)?)
    }
}

/// Status, length of the head and of the body, once the head is there. Without a length the body comes in chunks.
fn read_head(bytes: &[u8]) -> Outcome<Option<(u16, usize, Option<usize>)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map(|length| length.trim().parse()).transpose()?;
    let length = if head.contains("transfer-encoding: chunked") { None } else { Some(length.unwrap_or(0)) };
    Ok(Some((status, end + 4, length)))
}

/// Sends the same request on several connections for a while; answers come to so many a second.
pub(crate) async fn rate(
    target: &Target,
    request: Vec<u8>,
    connections: usize,
    span: Duration,
) -> Outcome<f64> {
    let watch = Stopwatch::start();
    let clients = (0..connections).map(|_| {
        let (target, request) = (target.clone(), request.clone());
        tokio::spawn(async move {
            let mut connection = Connection::open(&target).await?;
            let mut answered = 0_u32;
            while watch.elapsed() < span {
                let response = connection.send(&request).await?;
                if response.status != 200 {
                    return Err(format!("answered {}", response.status).into());
                }
                answered += 1;
            }
            Outcome::Ok(answered)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut all = 0.0;
    for client in clients {
        all += f64::from(client.await??);
    }
    Ok(all / watch.elapsed().as_secs_f64())
}
