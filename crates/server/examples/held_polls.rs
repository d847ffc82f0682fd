//! How much memory a poll that is held costs the server.
//!
//! `cargo run --release -p poolproof-server --example held_polls` serves and
//! starts itself again as the client, so that the client's memory is not counted.
//! The client registers agents and holds one poll for each, on a connection that
//! has served other requests before, as an agent's has.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use model::scenario::{self, ParallelJobs, Pool};
use model::{Millis, MillisRange};
use server::{NewOrganization, Options, Organization, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOKEN: &str = "token";
const STEPS: [usize; 2] = [1_000, 5_000];
const POOL: &str = "/acme/_apis/distributedtask/pools/1";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(address), Some(polls)) => runtime.block_on(hold(address.parse()?, polls.parse()?)),
        _ => runtime.block_on(measure()),
    }
}

#[expect(clippy::print_stdout, reason = "a program for people")]
async fn measure() -> Outcome<()> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start(Options { listen, clock: Clock::start(1), packages: vec![] }).await?;
    let organization = server.add_organization(organization())?;
    let mut held = 0;
    let mut clients = Vec::new();
    // The first few pay for what is paid once.
    for step in [100].into_iter().chain(STEPS) {
        let before = resident()?;
        let added = step - held;
        let client = Command::new(std::env::current_exe()?)
            .args([server.address().to_string(), added.to_string()])
            .stdin(Stdio::piped())
            .spawn()?;
        clients.push(client);
        await_held(&organization, step).await;
        let each = (resident()? - before) / added;
        println!("{step:>5} polls held: {each:>6} bytes for each of the last {added}");
        held = step;
    }
    for mut client in clients {
        client.kill()?;
        client.wait()?;
    }
    Ok(())
}

fn organization() -> NewOrganization {
    let settings = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::default(),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![Pool { name: "pool".to_owned(), id: 1, agents: vec![] }],
    };
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    NewOrganization { name: "acme".to_owned(), token: TOKEN.to_owned(), settings, seed: 1, events }
}

async fn await_held(organization: &Organization, polls: usize) {
    while organization.held() < polls {
        clock::wall::pause(Duration::from_millis(20)).await;
    }
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Outcome<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

/// The client: holds so many polls, again and again, until it is killed.
async fn hold(address: SocketAddr, polls: usize) -> Outcome<()> {
    let mut agents = Vec::new();
    for number in 0..polls {
        let mut stream = TcpStream::connect(address).await?;
        let name = format!("agent-{}-{number}", std::process::id());
        let body = format!(r#"{{"name":"{name}","version":"4.258.1"}}"#);
        let agent = ask(&mut stream, "POST", &format!("{POOL}/agents"), &body).await?;
        let body = format!(r#"{{"ownerName":"{name}","agent":{{"id":{}}}}}"#, agent["id"]);
        let session = ask(&mut stream, "POST", &format!("{POOL}/sessions"), &body).await?;
        let session = session["sessionId"].as_str().ok_or("no session")?.to_owned();
        agents.push(tokio::spawn(async move {
            loop {
                // An empty answer, and the next poll.
                let _ = ask(&mut stream, "GET", &format!("{POOL}/messages?sessionId={session}"), "").await;
            }
        }));
    }
    std::future::pending().await
}

async fn ask(stream: &mut TcpStream, method: &str, target: &str, body: &str) -> Outcome<serde_json::Value> {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: VstsAgentCore-linux-x64/4.258.1 (poolproof)\r\n\
         Authorization: Basic {}\r\nAccept: application/json; api-version=5.1-preview.1\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n{body}",
        STANDARD.encode(format!(":{TOKEN}")),
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes[..length]);
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no head")?;
    Ok(serde_json::from_str(body).unwrap_or_default())
}
