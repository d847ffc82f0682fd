//! Just enough of an HTTP/1.1 client for an agent: one request at a time on a
//! connection, JSON bodies, and next to no memory while a poll is held.
//!
//! hyper's client keeps a read buffer of 8 kB and more a connection as soon as
//! it waits for a response, and an idle agent waits on two. Here the buffer is
//! made when bytes are there.

use std::io;
use std::net::SocketAddr;

use azure_devops::agent::wire::Request;
use azure_devops::agent::{AGENT_VERSION, Failure, FailureKind};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::address::Address;

/// More than any response head of the service.
const MAX_HEAD: usize = 16 * 1024;
/// More than any job message.
const MAX_BODY: usize = 4 * 1024 * 1024;
const MAX_HEADERS: usize = 64;
/// One read takes this much at the most. It lies on the stack, and only while bytes are there.
const READ: usize = 4 * 1024;

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A connection that waits for its next request.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Whether the peer has kept it open, as far as one can know.
    pub(crate) fn is_usable(&self) -> bool {
        let mut byte = [0];
        matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Sends a request, on `idle` if there is one, and waits for its response.
///
/// Gives back the connection if it can take another request.
pub(crate) async fn exchange(
    address: &Address,
    request: &Request,
    idle: Option<Connection>,
) -> (Option<Connection>, Result<Response, Failure>) {
    let head = head(address, request);
    if let Some(connection) = idle.filter(Connection::is_usable) {
        match attempt(connection.stream, head.clone(), request.method).await {
            Ok((connection, response)) => return (connection, Ok(response)),
            // The service closed it in the very moment: nothing was done yet, or it can be done twice.
            Err(Broken { answered: false, .. }) if request.method != "POST" => {}
            Err(broken) => return (None, Err(broken.failure())),
        }
    }
    let stream = match Box::pin(connect(address)).await {
        Ok(stream) => stream,
        Err(error) => {
            let message = format!("Connection refused ({}): {error}", address.authority);
            return (None, Err(Failure::new(FailureKind::Unreachable, message)));
        }
    };
    match attempt(stream, head, request.method).await {
        Ok((connection, response)) => (connection, Ok(response)),
        Err(broken) => (None, Err(broken.failure())),
    }
}

/// Sends a request that is all written out, on a connection of its own, and waits for its response.
pub(crate) async fn fetch(address: &Address, request: String) -> io::Result<Response> {
    let stream = Box::pin(connect(address)).await?;
    attempt(stream, request, "GET").await.map(|(_, response)| response).map_err(|broken| broken.error)
}

async fn connect(address: &Address) -> io::Result<TcpStream> {
    let stream = match address.host.parse() {
        Ok(ip) => TcpStream::connect(SocketAddr::new(ip, address.port)).await?,
        Err(_) => TcpStream::connect((address.host.as_str(), address.port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn head(address: &Address, request: &Request) -> String {
    let Address { authority, base, authorization, .. } = address;
    let Request { method, target, body } = request;
    let mut head = format!(
        "{method} {base}{target} HTTP/1.1\r\n\
         Host: {authority}\r\n\
         Authorization: {authorization}\r\n\
         User-Agent: VstsAgentCore-linux-x64/{AGENT_VERSION} (poolproof)\r\n\
         Accept: application/json\r\n\
         X-TFS-FedAuthRedirect: Suppress\r\n"
    );
    match body {
        Some(body) => {
            head.push_str("Content-Type: application/json; charset=utf-8\r\n");
            head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        }
        // Without it some servers wait for a body.
        None if *method != "GET" => head.push_str("Content-Length: 0\r\n\r\n"),
        None => head.push_str("\r\n"),
    }
    head
}

/// A connection that ended before its response did.
#[derive(Debug)]
struct Broken {
    /// Whether any byte of a response had come.
    answered: bool,
    error: io::Error,
}

impl Broken {
    fn failure(self) -> Failure {
        Failure::new(FailureKind::Unreachable, format!("The response ended prematurely: {}", self.error))
    }
}

async fn attempt(
    mut stream: TcpStream,
    request: String,
    method: &str,
) -> Result<(Option<Connection>, Response), Broken> {
    stream.write_all(request.as_bytes()).await.map_err(|error| Broken { answered: false, error })?;
    drop(request);
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes, method, false) {
            Ok(Progress::Done { response, reusable }) => {
                return Ok((reusable.then_some(Connection { stream }), response));
            }
            Ok(Progress::More) => {}
            Err(error) => return Err(Broken { answered: !bytes.is_empty(), error }),
        }
        let answered = !bytes.is_empty();
        let more = read(&stream, &mut bytes).await.map_err(|error| Broken { answered, error })?;
        if !more {
            return match parse(&bytes, method, true) {
                Ok(Progress::Done { response, .. }) => Ok((None, response)),
                Ok(Progress::More) => Err(Broken { answered, error: io::ErrorKind::UnexpectedEof.into() }),
                Err(error) => Err(Broken { answered, error }),
            };
        }
    }
}

/// Waits for bytes and takes them; false at the end.
async fn read(stream: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        stream.ready(Interest::READABLE).await?;
        match take(stream, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            taken => return taken,
        }
    }
}

/// Not async: its buffer must not live in a future.
fn take(stream: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; READ];
    let taken = stream.try_read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..taken]);
    Ok(taken > 0)
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    More,
    Done { response: Response, reusable: bool },
}

fn invalid(message: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Reads a response out of what has come so far.
fn parse(bytes: &[u8], method: &str, at_end: bool) -> io::Result<Progress> {
    let mut bytes = bytes;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let length = match head.parse(bytes).map_err(invalid)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial if bytes.len() > MAX_HEAD => {
                return Err(invalid("the response's head is too long"));
            }
            httparse::Status::Partial => return Ok(Progress::More),
        };
        let status = head.code.unwrap_or(0);
        // Interim responses (100 Continue) come before the real one.
        if (100..200).contains(&status) {
            bytes = &bytes[length..];
            continue;
        }
        let framing = Framing::of(method, status, head.headers)?;
        let keep = head.version == Some(1) && !says(head.headers, "connection", "close");
        let body = match framing {
            Framing::Length(size) if size > MAX_BODY => return Err(invalid("the response is too long")),
            Framing::Length(size) => bytes[length..].get(..size).map(<[u8]>::to_vec),
            Framing::Chunked => chunked(&bytes[length..])?,
            Framing::UntilTheEnd if bytes.len() > MAX_HEAD + MAX_BODY => {
                return Err(invalid("the response is too long"));
            }
            Framing::UntilTheEnd => at_end.then(|| bytes[length..].to_vec()),
        };
        let reusable = keep && framing != Framing::UntilTheEnd;
        return Ok(match body {
            Some(body) => Progress::Done { response: Response { status, body }, reusable },
            None => Progress::More,
        });
    }
}

/// How a body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilTheEnd,
}

impl Framing {
    fn of(method: &str, status: u16, headers: &[httparse::Header<'_>]) -> io::Result<Self> {
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Self::Length(0));
        }
        if says(headers, "transfer-encoding", "chunked") {
            return Ok(Self::Chunked);
        }
        let length = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        match length {
            None => Ok(Self::UntilTheEnd),
            Some(header) => std::str::from_utf8(header.value)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map(Self::Length)
                .ok_or_else(|| invalid("the response's length is not a number")),
        }
    }
}

fn says(headers: &[httparse::Header<'_>], name: &str, word: &str) -> bool {
    headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).any(|header| {
        header
            .value
            .split(|byte| *byte == b',')
            .any(|value| value.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// The body of a chunked response, if all of it has come.
fn chunked(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let parsed =
            httparse::parse_chunk_size(rest).map_err(|_| invalid("a chunk's size is not a number"))?;
        let httparse::Status::Complete((start, size)) = parsed else { return Ok(None) };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > MAX_BODY - body.len() {
            return Err(invalid("the response is too long"));
        }
        let chunk = &rest[start..];
        // Trailers are not expected: the last chunk ends with an empty line.
        let Some(data) = chunk.get(..size + 2) else { return Ok(None) };
        if &data[size..] != b"\r\n" {
            return Err(invalid("a chunk does not end where it says"));
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&data[..size]);
        rest = &chunk[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(bytes: &[u8]) -> Option<(u16, Vec<u8>, bool)> {
        match parse(bytes, "GET", false).unwrap() {
            Progress::More => None,
            Progress::Done { response: Response { status, body }, reusable } => {
                Some((status, body, reusable))
            }
        }
    }

    #[test]
    fn a_response_is_complete_when_its_last_byte_has_come_and_not_before() {
        for (text, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                "hello",
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ] {
            for cut in 0..text.len() {
                assert_eq!(done(&text.as_bytes()[..cut]).map(|_| ()), None, "{text:?} cut at {cut}");
            }
            let (_, read, reusable) = done(text.as_bytes()).unwrap();
            assert_eq!(read, body.as_bytes());
            assert!(reusable);
        }
    }

    #[test]
    fn a_connection_that_the_service_closes_is_not_used_again() {
        let closing = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(done(closing), Some((202, Vec::new(), false)));
        let open_ended = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
        assert_eq!(done(open_ended), None);
        let Progress::Done { response, reusable } = parse(open_ended, "GET", true).unwrap() else {
            panic!("the end is a body's end");
        };
        assert_eq!((response.body.as_slice(), reusable), (b"until the end".as_slice(), false));
    }

    #[test]
    fn what_is_not_a_response_or_has_no_bound_is_an_error() {
        for bytes in [
            b"SMTP ready\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            assert!(parse(bytes, "GET", false).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        assert!(parse(&endless, "GET", false).is_err());
    }
}
