//! From a build that is queued to the message in the hands of an agent that waits.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::wall::{self, Stopwatch};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::Outcome;
use crate::client::Connection;
use crate::idle::open_session;
use crate::report::Report;
use crate::service::Service;

const AGENTS: usize = 1_000;
const POOL: &str = "/_apis/distributedtask/pools/2";
/// One job every so often: a hundred a second.
const EVERY: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(120);

pub(crate) async fn measure(program: &Path, report: &mut Report) -> Outcome<()> {
    let service = Service::start(program).await?;
    let definition = service.define("one", 1).await?;
    let (arrived, mut arrivals) = unbounded_channel();
    let watch = Stopwatch::start();
    for number in 0..AGENTS {
        let (connection, session) = open_session(&service.target, &format!("agent-{number}")).await?;
        let poll = service.target.request("GET", &format!("{POOL}/messages?sessionId={session}"), "");
        tokio::spawn(wait_for_job(connection, poll, watch, arrived.clone()));
    }
    wall::pause(Duration::from_millis(500)).await;
    let queued = Arc::new(Mutex::new(Vec::with_capacity(AGENTS)));
    let mut connection = Connection::open(&service.target).await?;
    let request = service.queue(definition);
    let start = watch.elapsed();
    for number in 0..AGENTS {
        let due = start + EVERY * u32::try_from(number)?;
        wall::pause(due.saturating_sub(watch.elapsed())).await;
        let at = watch.elapsed();
        let build: Value = serde_json::from_slice(connection.send(&request).await?.body)?;
        let id = build["id"].as_u64().ok_or("no build id")?;
        queued.lock().unwrap_or_else(PoisonError::into_inner).push((id, at));
    }
    let mut latencies = Vec::with_capacity(AGENTS);
    while latencies.len() < AGENTS {
        let arrival = wall::timeout(LONGEST, arrivals.recv()).await.map_err(|_| "a job never arrived")?;
        let (build, at) = arrival.ok_or("the agents have ended")?;
        let queued = queued.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, from) = queued.iter().find(|(id, _)| *id == build).ok_or("a job of nobody")?;
        latencies.push(at.saturating_sub(*from));
    }
    latencies.sort_unstable();
    let at =
        |share: usize| latencies.get((AGENTS * share / 100).min(AGENTS - 1)).copied().unwrap_or_default();
    let milliseconds = |span: Duration| span.as_secs_f64() * 1000.0;
    let measured = format!("p50 {:.1} ms, p99 {:.1} ms", milliseconds(at(50)), milliseconds(at(99)));
    let holds = at(99) < Duration::from_millis(20);
    report.tell("1,000 waiting agents, queued to delivered", &measured, "p99 < 20 ms", holds);
    Ok(())
}

/// Polls until a job comes, and says of which build it is and when it came.
async fn wait_for_job(
    mut connection: Connection,
    poll: Vec<u8>,
    watch: Stopwatch,
    arrived: UnboundedSender<(u64, Duration)>,
) -> Outcome<()> {
    loop {
        let response = connection.send(&poll).await?;
        let at = watch.elapsed();
        if response.status != 200 || response.body.is_empty() {
            continue;
        }
        let message: Value = serde_json::from_slice(response.body)?;
        let job: Value = serde_json::from_str(message["body"].as_str().ok_or("no body")?)?;
        let build = &job["variables"]["build.buildId"]["value"];
        let build = build.as_str().and_then(|id| id.parse().ok()).or_else(|| build.as_u64());
        let build = build.ok_or_else(|| format!("no build in {job}"))?;
        let _ = arrived.send((build, at));
        return Ok(());
    }
}
