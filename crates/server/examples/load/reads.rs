//! KEDA's read of 250 rows: beside a bare axum server with the same bytes, and with many finished jobs kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use clock::wall::Stopwatch;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::client::{Connection, Target, rate};
use crate::report::{Report, note};
use crate::service::Service;

/// What KEDA asks since 2.18, by default.
pub(crate) const ROWS: &str = "/_apis/distributedtask/pools/2/jobrequests?completedRequestCount=0";
/// With `jobsToFetch`.
const NEWEST_ROWS: &str = "/_apis/distributedtask/pools/2/jobrequests?$top=250";
pub(crate) const JOBS: usize = 250;
pub(crate) const CONNECTIONS: usize = 8;
pub(crate) const SPAN: Duration = Duration::from_secs(2);
/// Each side is measured so often, in turn: the best counts, since others only slow down.
pub(crate) const ROUNDS: usize = 3;
const FINISHED: usize = 10_000;
const READS_AFTER_CHANGES: usize = 300;

/// Serves a file's bytes for every path, as few lines as axum wants.
pub(crate) async fn serve_static(file: &Path) -> Outcome<()> {
    let bytes = Bytes::from(std::fs::read(file)?);
    let answer = move || {
        let bytes = bytes.clone();
        async move { ([(CONTENT_TYPE, "application/json; charset=utf-8")], bytes) }
    };
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    note("listening on", &listener.local_addr()?.to_string());
    axum::serve(listener, Router::new().fallback(get(answer))).await?;
    Ok(())
}

async fn start_static(body: &[u8]) -> Outcome<(Child, Target, tempfile::NamedTempFile)> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), body)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("static")
        .arg(file.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let line = BufReader::new(stdout).lines().next_line().await?.ok_or("no address")?;
    let address = line.rsplit(' ').next().ok_or("no address")?;
    Ok((child, Target::new(&format!("http://{address}"), "")?, file))
}

/// A service with 250 jobs that wait, and the answer that tells of them.
pub(crate) async fn with_rows(program: &Path) -> Outcome<(Service, Vec<u8>)> {
    let service = Service::start(program).await?;
    let definition = service.define("many", JOBS).await?;
    let mut connection = Connection::open(&service.target).await?;
    connection.send(&service.queue(definition)).await?;
    let body = connection.send(&service.target.request("GET", ROWS, "")).await?.body.to_vec();
    let rows = serde_json::from_slice::<serde_json::Value>(&body)?["count"].as_u64();
    if rows != Some(JOBS as u64) {
        return Err(format!("{rows:?} rows instead of {JOBS}").into());
    }
    Ok((service, body))
}

/// The same bytes from here and from a bare server.
pub(crate) async fn against_static(program: &Path, report: &mut Report) -> Outcome<()> {
    let (service, body) = with_rows(program).await?;
    let (_child, bare, _file) = start_static(&body).await?;
    let (mut own, mut other) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let request = service.target.request("GET", ROWS, "");
        own = own.max(rate(&service.target, request, CONNECTIONS, SPAN).await?);
        other = other.max(rate(&bare, bare.request("GET", "/", ""), CONNECTIONS, SPAN).await?);
    }
    let share = own / other;
    note("axum, the same bytes", &format!("{other:.0} reads/s of {} kB", body.len() / 1000));
    let measured = format!("{own:.0} reads/s, {:.0} % of it", share * 100.0);
    report.tell("jobrequests, 250 rows", &measured, ">= 80 %", share >= 0.8);
    Ok(())
}

/// Reads while jobs come and go, with and without finished jobs that are kept.
pub(crate) async fn with_finished_jobs(program: &Path, report: &mut Report) -> Outcome<()> {
    for path in [ROWS, NEWEST_ROWS] {
        let (few, _) = with_rows(program).await?;
        let (many, _) = with_rows(program).await?;
        finish(&many, FINISHED).await?;
        let (mut without, mut with) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            without = without.min(read_after_changes(&few, path).await?);
            with = with.min(read_after_changes(&many, path).await?);
        }
        let ratio = with.as_secs_f64() / without.as_secs_f64();
        let figure = format!("a read after a change, {FINISHED} finished, {}", form(path));
        let measured = format!("{:.2} ms, {ratio:.2} x none", with.as_secs_f64() * 1000.0);
        report.tell(&figure, &measured, "<= 1.2 x", ratio <= 1.2);
    }
    Ok(())
}

fn form(path: &str) -> &str {
    path.rsplit('?').next().unwrap_or(path)
}

/// Jobs that were cancelled are finished ones.
async fn finish(service: &Service, jobs: usize) -> Outcome<()> {
    let definition = service.define("finished", 100).await?;
    let mut connection = Connection::open(&service.target).await?;
    for _ in 0..jobs.div_ceil(100) {
        cancel_one(service, &mut connection, definition).await?;
    }
    Ok(())
}

async fn cancel_one(service: &Service, connection: &mut Connection, definition: u64) -> Outcome<()> {
    let body = json!({ "definition": { "id": definition } }).to_string();
    let queued = connection.ask(&service.target, "POST", "/poolproof/_apis/build/builds", &body).await?;
    let path = format!("/poolproof/_apis/build/builds/{}", queued["id"]);
    connection.ask(&service.target, "PATCH", &path, r#"{"status":"cancelling"}"#).await?;
    Ok(())
}

/// What a read takes if something has happened since the last one.
async fn read_after_changes(service: &Service, path: &str) -> Outcome<Duration> {
    let definition = service.define("one", 1).await?;
    let mut connection = Connection::open(&service.target).await?;
    let request = service.target.request("GET", path, "");
    let mut took = Vec::with_capacity(READS_AFTER_CHANGES);
    for _ in 0..READS_AFTER_CHANGES {
        cancel_one(service, &mut connection, definition).await?;
        let watch = Stopwatch::start();
        connection.send(&request).await?;
        took.push(watch.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(took.len() / 2).copied().unwrap_or_default())
}
