//! A server, and the agent that replays traces against it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use azure_devops::{SessionEncryption, Switches};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use model::event::JobResult;
use model::quirks::Quirks;
use model::scenario::{self, ParallelJobs, Placeholder, Pool};
use model::{Event, Millis, MillisRange};
use serde_json::{Value, json};
use server::{Limits, NewOrganization, Options, Package, Server};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use uuid::Uuid;

use crate::agent::{self, Key};
use crate::connection::{Answer, Connection};
use crate::script::{self, Request, Sender, Step, TokenRequest};

/// The personal access token.
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123";
/// The pool that agents join.
pub(crate) const POOL: &str = "keda-pool";
const POOL_ID: u64 = 18;
/// How the agent introduces itself.
const USER_AGENT: &str = "VSServices/16.255.0 (NetStandard; Linux 6.1) VstsAgentCore-linux-x64/4.258.1";

pub(crate) struct Replay {
    server: Server,
    clock: Clock,
    /// Held, so that somebody listens.
    _events: UnboundedReceiver<Event>,
    key: Key,
    values: BTreeMap<String, Value>,
    connections: BTreeMap<&'static str, Connection>,
    session_key: Vec<u8>,
    encryption: SessionEncryption,
    assertion: String,
    agents: Vec<String>,
    result: Option<JobResult>,
}

/// A server with one organisation. Empty polls are held as long as the quirk says, or for 50 s.
pub(crate) async fn serve(
    speed: u32,
    switches: Switches,
    long_poll: Option<Millis>,
    package: Package,
) -> (Server, Clock, UnboundedReceiver<Event>, String) {
    let clock = Clock::start(speed);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options { listen, clock, packages: vec![package] };
    let server = Server::start_with(options, Limits::default()).await.expect("a free port");
    let (sender, events) = unbounded_channel();
    let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
    let pools = vec![Pool { name: POOL.to_owned(), id: POOL_ID, agents: vec![template] }];
    let organization = NewOrganization {
        name: "Acme".to_owned(),
        token: TOKEN.to_owned(),
        settings: scenario::Organization {
            parallel_jobs: ParallelJobs::Unlimited,
            assign_delay: MillisRange::exactly(Millis::ZERO),
            quirks: Quirks { long_poll, ..Quirks::default() },
            ..scenario::Organization::with_pools(pools)
        },
        seed: 7,
        events: sender,
    };
    let organization = server.add_organization_with(organization, switches).expect("the name is free");
    let url = organization.url();
    (server, clock, events, url)
}

impl Replay {
    pub(crate) async fn start(speed: u32, switches: Switches, long_poll: Option<Millis>) -> Self {
        let package = Package {
            platform: "linux-x64".to_owned(),
            version: switches.newest_agent.to_string(),
            file_name: "vsts-agent-linux-x64.tar.gz".to_owned(),
            bytes: vec![0x1f, 0x8b, 1, 2, 3],
        };
        let (server, clock, events, url) = serve(speed, switches, long_poll, package).await;
        let key = Key::load();
        let values = BTreeMap::from([
            ("pool".to_owned(), json!(POOL_ID)),
            ("url".to_owned(), json!(url)),
            ("publicKey".to_owned(), key.public.clone()),
            ("step".to_owned(), json!(Uuid::from_u128(0x51e9))),
            ("now".to_owned(), json!("2026-09-28T11:20:22.4633333Z")),
        ]);
        Self {
            server,
            clock,
            _events: events,
            key,
            values,
            connections: BTreeMap::new(),
            session_key: Vec::new(),
            encryption: SessionEncryption::Off,
            assertion: String::new(),
            agents: Vec::new(),
            result: None,
        }
    }

    /// The agents that are registered when the last trace has ended, in order.
    pub(crate) fn agents(&self) -> Vec<&str> {
        self.agents.iter().map(String::as_str).collect()
    }

    /// How the last build had ended by then.
    pub(crate) fn result_of_build(&self) -> Option<JobResult> {
        self.result
    }

    /// What the key of the last session said of the encryption.
    pub(crate) fn saw_encryption(&self) -> SessionEncryption {
        self.encryption
    }

    /// Replays a trace.
    pub(crate) async fn play(&mut self, name: &str) {
        for (place, step) in script::load(name).steps.into_iter().enumerate() {
            let at = format!("{name}, step {}", place + 1);
            match step {
                Step::Request(request) => self.request(&request, &at).await,
                Step::Together(requests) => self.together(&requests, &at).await,
                Step::Token(request) => self.token(&request, &at).await,
                Step::Queue(definition) => self.queue(&definition).await,
                Step::CancelBuild(()) => self.cancel().await,
                Step::Wait(seconds) => {
                    let until = self.clock.now() + Millis::seconds(seconds);
                    self.clock.sleep_until(until).await;
                }
            }
        }
        self.look().await;
    }

    async fn request(&mut self, request: &Request, at: &str) {
        let who = match request.sender {
            Sender::Nobody => "nobody",
            Sender::Configuration => "configuration",
            Sender::Listener => "listener",
            Sender::Worker => "worker",
        };
        let mut connection = match self.connections.remove(who) {
            Some(connection) => connection,
            None => Connection::open(self.server.address()).await,
        };
        if let Some(scheme) = &request.challenged {
            let bare = self.send(&mut connection, request, Sender::Nobody).await;
            assert_eq!(bare.status, 401, "{at}: without a credential");
            let offered = bare.header("www-authenticate");
            assert!(offered.contains(scheme), "{at}: {scheme} is not offered: {offered}");
            assert_eq!(bare.header("x-vss-authenticateerror"), "", "{at}: that would end it");
        }
        if connection.ended {
            connection = Connection::open(self.server.address()).await;
        }
        let answer = self.send(&mut connection, request, request.sender).await;
        assert!(!connection.ended, "{at}: the body is not waited for");
        self.connections.insert(who, connection);
        self.check(request, &answer, at);
    }

    /// Each on a connection of its own, all of them under way before the first is answered.
    async fn together(&mut self, requests: &[Request], at: &str) {
        let mut sent = Vec::new();
        for request in requests {
            let mut connection = Connection::open(self.server.address()).await;
            let (head, body) = self.written(request, request.sender);
            sent.push(tokio::spawn(async move { connection.send(&head, &body, false).await }));
        }
        for (request, answer) in requests.iter().zip(sent) {
            let answer = answer.await.expect("an answer");
            self.check(request, &answer, at);
        }
    }

    async fn send(&self, connection: &mut Connection, request: &Request, sender: Sender) -> Answer {
        let (head, body) = self.written(request, sender);
        connection.send(&head, &body, request.expect_continue).await
    }

    fn written(&self, request: &Request, sender: Sender) -> (String, Vec<u8>) {
        let (method, path) = request.send.split_once(' ').expect("a method and a path");
        let path = script::filled(path, &self.values);
        let path = if path.starts_with('/') { path } else { format!("/acme/{path}") };
        let (body, content_type) =
            match request.body.as_ref().map(|body| script::filled_in(body, &self.values)) {
                // Logs and attachments are bytes.
                Some(Value::String(text)) => (text.into_bytes(), "application/octet-stream"),
                Some(body) => (body.to_string().into_bytes(), "application/json; charset=utf-8"),
                None => (Vec::new(), ""),
            };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept-Encoding: gzip\r\n\
             X-TFS-FedAuthRedirect: Suppress\r\nX-TFS-Session: {}\r\nContent-Length: {}\r\n",
            self.server.address(),
            Uuid::from_u128(1),
            body.len()
        );
        if !content_type.is_empty() {
            head += &format!("Content-Type: {content_type}\r\n");
        }
        if request.expect_continue {
            head += "Expect: 100-continue\r\n";
        }
        for (name, value) in &request.headers {
            head += &format!("{name}: {}\r\n", script::filled(value, &self.values));
        }
        let token = |name: &str| self.values.get(name).and_then(Value::as_str).unwrap_or_default();
        head += &match sender {
            Sender::Nobody => String::new(),
            Sender::Configuration => {
                format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("VstsAgent:{TOKEN}")))
            }
            Sender::Listener => format!("Authorization: Bearer {}\r\n", token("listenerToken")),
            Sender::Worker => format!("Authorization: Bearer {}\r\n", token("jobToken")),
        };
        (head + "\r\n", body)
    }

    fn check(&mut self, request: &Request, answer: &Answer, at: &str) {
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, request.status, "{at}, {}: {text}", request.send);
        for (name, part) in &request.answer_headers {
            let value = answer.header(name);
            assert!(value.contains(part.as_str()), "{at}, {}: {name} is {value}", request.send);
        }
        let json = || -> Value {
            serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{at}, {}: {error}: {text}", request.send))
        };
        let mut compare = |expected: &Value, got: &Value| {
            let compared = script::compare(expected, got, "", &mut self.values);
            compared.unwrap_or_else(|error| panic!("{at}, {}: {error} in {got}", request.send));
        };
        match &request.answer {
            Some(Value::String(bytes)) if bytes != "*" => assert_eq!(&text, bytes, "{at}"),
            Some(expected) => compare(expected, &json()),
            None => {}
        }
        if let Some(expected) = &request.message {
            let message = json();
            let encrypted = message["iv"].is_string();
            let wanted = self.encryption != SessionEncryption::Off;
            assert_eq!(encrypted, wanted, "{at}: a session with a key has encrypted messages");
            compare(expected, &agent::read_message(&self.session_key, &message));
        }
        if request.session {
            (self.session_key, self.encryption) = self.key.session_key(&json());
        }
    }

    async fn token(&mut self, request: &TokenRequest, at: &str) {
        if !request.again {
            self.assertion = self.assert(request);
        }
        let form = format!(
            "grant_type=client_credentials&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3A\
             client-assertion-type%3Ajwt-bearer&client_assertion={}",
            self.assertion
        );
        // The end point's path stands, whatever the authorization's address: the agent puts its own server's before it.
        let url = self.values["authorizationUrl"].as_str().expect("an address");
        let path = url.splitn(4, '/').nth(3).expect("a path");
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {USER_AGENT}\r\nAccept: application/json\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            self.server.address(),
            form.len()
        );
        let mut connection = Connection::open(self.server.address()).await;
        let answer = connection.send(&head, form.as_bytes(), false).await;
        let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer.status, request.status, "{at}: {json}");
        match &request.error {
            Some(part) => {
                assert_eq!(json["error"], "invalid_client", "{at}");
                let description = json["error_description"].as_str().expect("a description");
                assert!(description.contains(part.as_str()), "{at}: {description}");
            }
            None => {
                assert_eq!(json["token_type"], "JWT", "{at}");
                assert!(json["expires_in"].is_u64(), "{at}");
                self.values.insert("listenerToken".to_owned(), json["access_token"].clone());
            }
        }
    }

    fn assert(&self, request: &TokenRequest) -> String {
        let since_1970 = self.clock.epoch().as_millis() + u128::from(self.clock.now().0);
        let now = i64::try_from(since_1970 / 1000).expect("a date") + request.clock_off_by;
        let client = &self.values["clientId"];
        let mut claims = json!({
            "iss": client,
            "sub": client,
            "aud": self.values["authorizationUrl"],
            "jti": Uuid::new_v4(),
            "nbf": now,
            "exp": now + 300,
        });
        for (name, value) in &request.claims {
            claims[name] = value.clone();
        }
        let mut signed = self.key.sign(&claims);
        if request.spoilt {
            // Another byte in the middle of the signature.
            let middle = signed.len() - 100;
            let other = if signed.as_bytes()[middle] == b'A' { "B" } else { "A" };
            signed.replace_range(middle..=middle, other);
        }
        signed
    }

    /// Asks as somebody else does, beside the agent.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let head = format!(
            "{method} /acme/{path} HTTP/1.1\r\nHost: ado\r\nAuthorization: Basic {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            STANDARD.encode(format!(":{TOKEN}")),
            body.len()
        );
        let mut connection = Connection::open(self.server.address()).await;
        let answer = connection.send(&head, body.as_bytes(), false).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status < 300, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn queue(&mut self, definition: &str) {
        let body =
            json!({ "name": definition, "pool": POOL, "jobs": [{ "name": "Job", "duration": "30s" }] });
        self.ask("POST", "_poolproof/definitions", &body).await;
        let build = json!({ "definition": { "name": definition } });
        let build = self.ask("POST", "_apis/build/builds", &build).await;
        self.values.insert("build".to_owned(), build["id"].clone());
    }

    async fn cancel(&self) {
        let path = format!("_apis/build/builds/{}", self.values["build"]);
        self.ask("PATCH", &path, &json!({ "status": "cancelling" })).await;
    }

    /// What the tests look at afterwards.
    async fn look(&mut self) {
        let agents =
            self.ask("GET", &format!("_apis/distributedtask/pools/{POOL_ID}/agents"), &json!({})).await;
        let agents = agents["value"].as_array().expect("a list");
        self.agents = agents.iter().filter_map(|agent| agent["name"].as_str()).map(str::to_owned).collect();
        let Some(build) = self.values.get("build") else { return };
        let build = self.ask("GET", &format!("_apis/build/builds/{build}"), &json!({})).await;
        self.result = serde_json::from_value(build["result"].clone()).ok();
    }
}
