//! Idle agents: each with a session and two polls, all of them held.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use clock::wall;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::client::{Connection, Target};
use crate::report::{Report, note};
use crate::service::Service;

const POOL: &str = "/_apis/distributedtask/pools/2";
/// So many pay for what is paid once.
const FIRST: u64 = 100;
const AGENTS: u64 = 5_000;
/// How long nothing happens.
const QUIET: Duration = Duration::from_secs(10);
/// Linux counts processor time in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// Holds the polls of so many agents until it is killed; says so when they are all held.
pub(crate) async fn hold(url: &str, token: &str, agents: u64) -> Outcome<()> {
    let target = Target::new(url, token)?;
    for number in 0..agents {
        let name = format!("agent-{}-{number}", std::process::id());
        let (mut first, session) = open_session(&target, &name).await?;
        let mut second = Connection::open(&target).await?;
        let path = format!("{POOL}/messages?sessionId={session}");
        let poll = target.request("GET", &path, "");
        let again = poll.clone();
        tokio::spawn(async move { while first.send(&poll).await.is_ok() {} });
        tokio::spawn(async move { while second.send(&again).await.is_ok() {} });
    }
    note("polls held", &(agents * 2).to_string());
    std::future::pending().await
}

/// Registers an agent and opens its session.
pub(crate) async fn open_session(target: &Target, name: &str) -> Outcome<(Connection, String)> {
    let mut connection = Connection::open(target).await?;
    let body = json!({ "name": name, "version": "4.258.1" }).to_string();
    let agent = connection.ask(target, "POST", &format!("{POOL}/agents"), &body).await?;
    let body = json!({ "ownerName": name, "agent": { "id": agent["id"] } }).to_string();
    let session = connection.ask(target, "POST", &format!("{POOL}/sessions"), &body).await?;
    let session = session["sessionId"].as_str().ok_or("no session")?.to_owned();
    Ok((connection, session))
}

async fn start_holding(service: &Service, agents: u64) -> Outcome<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["hold", &service.url, &service.token, &agents.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    BufReader::new(stdout).lines().next_line().await?.ok_or("the agents' process ended")?;
    Ok(child)
}

pub(crate) async fn measure(program: &Path, report: &mut Report) -> Outcome<()> {
    let service = Service::start(program).await?;
    let _first = start_holding(&service, FIRST).await?;
    wall::pause(Duration::from_secs(1)).await;
    let (before, _) = service.usage()?;
    let _others = start_holding(&service, AGENTS - FIRST).await?;
    wall::pause(Duration::from_secs(1)).await;
    let (after, used_before) = service.usage()?;
    wall::pause(QUIET).await;
    let (_, used_after) = service.usage()?;
    let each = after.saturating_sub(before) / ((AGENTS - FIRST) * 2);
    let figure = format!("{AGENTS} idle agents, two polls each");
    report.tell(&figure, &format!("{each} bytes a connection"), "<= 10,000", each <= 10_000);
    #[expect(clippy::cast_precision_loss, reason = "a few ticks")]
    let busy = (used_after - used_before) as f64 / TICKS_A_SECOND / QUIET.as_secs_f64();
    let figure = format!("{} held polls, processor time", AGENTS * 2);
    report.tell(&figure, &format!("{:.1} % of a processor", busy * 100.0), "<= 1 %", busy <= 0.01);
    Ok(())
}
