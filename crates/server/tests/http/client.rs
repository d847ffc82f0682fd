//! A server with one organisation, and a client that writes HTTP by hand, so that it can write it oddly.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use azure_devops::{Definition, JobTemplate, Switches};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use model::scenario::{self, ParallelJobs, Placeholder, Pool};
use model::{Event, Fact, Millis, MillisRange};
use serde_json::Value;
use server::{Limits, NewOrganization, Options, Organization, Package, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123";
/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) organization: Organization,
    pub(crate) events: UnboundedReceiver<Event>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header's value; the name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub(crate) fn settings() -> scenario::Organization {
    let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
    scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::exactly(Millis::ZERO),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![Pool { name: "keda-pool".to_owned(), id: 18, agents: vec![template] }],
    }
}

pub(crate) fn package() -> Package {
    Package {
        platform: "linux-x64".to_owned(),
        version: "4.258.1".to_owned(),
        file_name: "vsts-agent-linux-x64-4.258.1.tar.gz".to_owned(),
        bytes: vec![0x1f, 0x8b, 1, 2, 3],
    }
}

impl Served {
    /// Scenario time runs this much faster than the wall clock.
    pub(crate) async fn at_speed(speed: u32) -> Self {
        Self::within(speed, Limits::default()).await
    }

    /// The same with limits of its own.
    pub(crate) async fn within(speed: u32, limits: Limits) -> Self {
        Self::made(speed, limits, Switches::default()).await
    }

    /// One that behaves as the switches say.
    pub(crate) async fn with_switches(switches: Switches) -> Self {
        Self::made(1, Limits::default(), switches).await
    }

    async fn made(speed: u32, limits: Limits, switches: Switches) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = Options { listen, clock: Clock::start(speed), packages: vec![package()] };
        let server = Server::start_with(options, limits).await.expect("a free port");
        let (sender, events) = unbounded_channel();
        let new = NewOrganization {
            name: "Acme".to_owned(),
            token: TOKEN.to_owned(),
            settings: settings(),
            seed: 7,
            events: sender,
        };
        let organization = server.add_organization_with(new, switches);
        Self { server, organization: organization.expect("the name is free"), events }
    }

    pub(crate) async fn start() -> Self {
        Self::at_speed(1).await
    }

    pub(crate) fn define(&self, name: &str, jobs: usize) {
        let job = |number: usize| JobTemplate::new(format!("Job {number}"), vec![], Millis::seconds(30));
        let definition =
            Definition::flat(name.to_owned(), "My Project", "keda-pool", (1..=jobs).map(job).collect());
        self.organization.define(definition).expect("a definition");
    }

    /// Sends a request with the token; the path is below the organisation.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, &format!("/acme/{path}"), &[&basic("", TOKEN)], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// A read as KEDA does it.
    pub(crate) async fn keda(&self, path: &str) -> Answer {
        let agent = "User-Agent: Go-http-client/1.1";
        self.send("GET", &format!("/acme/{path}"), &[&basic("", TOKEN), agent], "").await
    }

    /// Sends exactly these headers, beside those of the body.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: ado.example:8080\r\nConnection: close\r\n");
        for header in headers {
            request += &format!("{header}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.raw(request.as_bytes()).await
    }

    /// Sends these bytes and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        // Who is refused before everything is sent is answered all the same.
        let _ = stream.write_all(request).await;
        read(&to_end(&mut stream).await)
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.expect("a connection")
    }

    /// The next event that is like this; others are skipped.
    pub(crate) async fn event<T>(&mut self, like: impl Fn(&Fact) -> Option<T>) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.expect("the organisation lives");
                if let Some(found) = like(&event.fact) {
                    return found;
                }
            }
        };
        clock::wall::timeout(LIMIT, wait).await.expect("the event in time")
    }
}

/// Reads until the server closes, be it that it has not read everything and so resets the connection.
pub(crate) async fn to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = clock::wall::timeout(LIMIT, stream.read_to_end(&mut bytes)).await;
    match read.expect("the server closes in time") {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("no answer: {error}"),
        _ => bytes,
    }
}

pub(crate) fn read(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let headers = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, headers, body: bytes[end + 4..].to_vec() }
}

pub(crate) fn basic(user: &str, token: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{token}")))
}
