//! Encrypted connections, clients that never read, whose token opens what, and the document of the routes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use azure_devops::wire::{JobMessage, MessageEnvelope};
use clock::Clock;
use serde_json::Value;
use server::{Limits, NewOrganization, Options, Server, Tls, TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::{Served, TOKEN, basic, read, settings, to_end};
use crate::life::{POOL, open, register};

/// Short, but nothing depends on how short.
const SHORT: Duration = Duration::from_millis(20);

async fn encrypted(tls: Tls, limits: Limits) -> Server {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = Options { listen, clock: Clock::start(1), packages: vec![] };
    let server = Server::start_encrypted(options, limits, Some(tls)).await.expect("a free port");
    let (events, _received) = unbounded_channel();
    let new = NewOrganization {
        name: "acme".to_owned(),
        token: TOKEN.to_owned(),
        settings: settings(),
        seed: 7,
        events,
    };
    server.add_organization(new).expect("the name is free");
    server
}

/// A client that trusts this certificate and no other.
fn connector(certificate: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn an_encrypted_server_is_reached_by_who_trusts_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Tls::self_signed(folder.path(), &["localhost".to_owned()]).expect("a certificate");
    let server = encrypted(made.tls, Limits::default()).await;
    let stream = TcpStream::connect(server.address()).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    let mut stream = connector(&made.certificate).connect(name.clone(), stream).await.expect("trusted");
    let request = format!(
        "GET /acme/_apis/connectionData HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\n{}\r\n\r\n",
        basic("", TOKEN)
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    let answer = read(&bytes);
    assert_eq!(answer.status, 200);
    let address = &answer.json()["locationServiceData"]["accessMappings"][0]["accessPoint"];
    assert_eq!(address, "https://localhost:1/acme/");

    // The next start has the same certificate; another folder has another.
    let again = Tls::self_signed(folder.path(), &["localhost".to_owned()]).expect("a certificate");
    let server = encrypted(again.tls, Limits::default()).await;
    let stream = TcpStream::connect(server.address()).await.expect("a connection");
    assert!(connector(&again.certificate).connect(name.clone(), stream).await.is_ok());
    let elsewhere = folder.path().join("elsewhere");
    let other = Tls::self_signed(&elsewhere, &["localhost".to_owned()]).expect("a certificate");
    let stream = TcpStream::connect(server.address()).await.expect("a connection");
    assert!(connector(&other.certificate).connect(name, stream).await.is_err(), "it is not trusted");
}

#[tokio::test]
async fn whoever_speaks_no_tls_to_an_encrypted_server_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Tls::self_signed(folder.path(), &["localhost".to_owned()]).expect("a certificate");
    let server = encrypted(made.tls, Limits { head_time: SHORT, ..Limits::default() }).await;
    let mut plain = TcpStream::connect(server.address()).await.expect("a connection");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(!to_end(&mut plain).await.starts_with(b"HTTP"));
    let mut silent = TcpStream::connect(server.address()).await.expect("a connection");
    assert!(to_end(&mut silent).await.is_empty(), "who says nothing is closed as well");
}

#[test]
fn a_certificate_that_is_none_is_refused_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bad, missing) = (folder.path().join("bad.pem"), folder.path().join("missing.pem"));
    std::fs::write(&bad, "no certificate").expect("written");
    assert!(matches!(Tls::read(&bad, &bad), Err(TlsError::NotPem { path, .. }) if path == bad));
    assert!(matches!(Tls::read(&missing, &bad), Err(TlsError::Io { path, .. }) if path == missing));
    let one = Tls::self_signed(&folder.path().join("one"), &["a".to_owned()]).expect("a certificate");
    Tls::self_signed(&folder.path().join("two"), &["a".to_owned()]).expect("a certificate");
    let key = folder.path().join("two/key.pem");
    assert!(matches!(Tls::read(&one.certificate, &key), Err(TlsError::Unusable(_))), "not its key");
    assert!(!format!("{:?}", one.tls).contains("KEY"));
}

#[tokio::test]
async fn a_client_that_never_reads_is_dropped() {
    let limits = Limits { write_time: SHORT, ..Limits::default() };
    let served = Served::within(1, limits).await;
    let mut stream = served.connect().await;
    // Far more answers than any buffer takes.
    let one = format!("GET /_poolproof/openapi.json HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "x".repeat(100));
    let asked = clock::wall::timeout(Duration::from_secs(120), async {
        while stream.write_all(one.as_bytes()).await.is_ok() {}
    });
    asked.await.expect("the server closes the connection");
    assert_eq!(served.send("GET", "/_poolproof/health", &[], "").await.status, 200);
}

/// The job of the next message of a new agent's session.
async fn next_job(served: &Served) -> JobMessage {
    let agent = register(served).await;
    let session = open(served, agent).await;
    let answer = served.get(&format!("{POOL}/messages?sessionId={session}")).await;
    let envelope: MessageEnvelope = serde_json::from_slice(&answer.body).expect("a message");
    serde_json::from_str(&envelope.body).expect("a job")
}

#[tokio::test]
async fn a_job_s_token_works_for_its_own_plan_and_nowhere_else() {
    let served = Served::start().await;
    served.define("ci", 1);
    served.organization.queue_build("ci").expect("a build");
    let other = served.organization.queue_build("ci").expect("a build");
    let job = next_job(&served).await;
    let token = format!("Authorization: Bearer {}", job.access_token().expect("a token"));
    let plan = |plan: &str| {
        format!("/acme/{}/_apis/distributedtask/hubs/Build/plans/{plan}/logs", job.plan.scope_identifier)
    };
    let other = served.get(&format!("_apis/build/builds/{other}")).await.json();
    let other = other["orchestrationPlan"]["planId"].as_str().expect("a plan").to_owned();
    let own = job.plan.plan_id.to_string();
    assert_ne!(own, other);
    for control in ["definitions", "pools", "faults", "parallel-jobs"] {
        let answer =
            served.send("POST", &format!("/acme/_poolproof/{control}"), &[&token], "not even JSON").await;
        assert_eq!(answer.status, 403, "{control} is the owner's");
    }
    let log = r#"{"path":"logs\\1"}"#;
    assert_eq!(served.send("POST", &plan(&own), &[&token], log).await.status, 200);
    let refused = served.send("POST", &plan(&other), &[&token], log).await;
    assert_eq!(
        (refused.status, &refused.json()["typeKey"]),
        (403, &"TaskOrchestrationPlanSecurityException".into())
    );
    // The token's own number with another secret opens nothing, and neither does it in another organisation.
    let forged = token.replace(['a', 'b', 'c'], "d");
    assert_eq!(served.send("POST", &plan(&own), &[&forged], log).await.status, 401);
    let (events, _received) = unbounded_channel();
    let second = NewOrganization {
        name: "second".to_owned(),
        token: "x".to_owned(),
        settings: settings(),
        seed: 7,
        events,
    };
    served.server.add_organization(second).expect("the name is free");
    let there = plan(&own).replacen("/acme/", "/second/", 1);
    assert_eq!(served.send("POST", &there, &[&token], log).await.status, 401);
}

#[tokio::test]
async fn the_document_of_the_routes_is_served_without_a_token() {
    let served = Served::start().await;
    let answer = served.send("GET", "/_poolproof/openapi.json", &[], "").await;
    assert_eq!(answer.status, 200);
    let document: Value = answer.json();
    assert_eq!(document["openapi"], "3.0.3");
    assert!(document["paths"]["/_apis/distributedtask/pools"]["get"].is_object());
    assert!(!String::from_utf8_lossy(&answer.body).contains(TOKEN));
}
