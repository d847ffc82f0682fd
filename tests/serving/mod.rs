//! A real `poolproof serve`, and a client that writes HTTP by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

/// A server, ended with the test.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Served {
    pub(crate) fn start(state: &Path, more: &[&str]) -> Self {
        Self::start_under(&[], state, more)
    }

    /// The same, with something before its command.
    pub(crate) fn start_under(before: &[&str], state: &Path, more: &[&str]) -> Self {
        Self::start_with(before, state, more, Stdio::inherit())
    }

    /// The same, with a place for what it says of errors.
    pub(crate) fn start_with(before: &[&str], state: &Path, more: &[&str], errors: impl Into<Stdio>) -> Self {
        let state = state.to_str().expect("text");
        Self::start_as(before, &[&["--state", state], more].concat(), errors)
    }

    /// One that keeps nothing.
    pub(crate) fn forgetful(more: &[&str]) -> Self {
        Self::start_as(&[], more, Stdio::inherit())
    }

    fn start_as(before: &[&str], arguments: &[&str], errors: impl Into<Stdio>) -> Self {
        let mut command: Vec<&str> = before.to_vec();
        command.extend([env!("CARGO_BIN_EXE_poolproof"), "serve"]);
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (url, token) = (line(), line());
        Self { child, url, token }
    }

    pub(crate) fn client(&self) -> Client {
        let (address, organization) =
            self.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("an address");
        Client {
            address: address.to_owned(),
            organization: organization.to_owned(),
            token: self.token.clone(),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, by its id, without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it lives");
        self.child.wait().expect("it ends");
    }
}

impl Served {
    /// Asks it to end, as a terminal or a container's runtime does, and waits until it has.
    pub(crate) fn end(mut self) -> ExitStatus {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, Signal::TERM).expect("it lives");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who asks one server, a connection for each request.
#[derive(Clone)]
pub(crate) struct Client {
    address: String,
    organization: String,
    token: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_ask(method, path, body).expect("the server lives")
    }

    /// `None` if the server went before the answer was there as a whole.
    pub(crate) fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let request = format!(
            "{method} /{}/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.organization,
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        read(&bytes)
    }
}

/// An answer with a length that is all there.
fn read(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let body = bytes[end + 4..].to_vec();
    (length.unwrap_or(0) == body.len()).then_some(Answer { status, body })
}

/// Waits for a state, not for a time; the bound is far beyond what it takes.
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LIMIT.as_millis() / 20 {
        if holds() {
            return;
        }
        clock::wall::block(Duration::from_millis(20));
    }
    panic!("there was no {what} in time");
}
