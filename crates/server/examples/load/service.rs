//! `poolproof serve` as a process of its own, with a pool and a template agent in it.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Outcome;
use crate::client::{Connection, Target};

/// A server that ends with this.
pub(crate) struct Service {
    child: Child,
    /// Its organisation.
    pub(crate) target: Target,
    /// Its address and token, for another process.
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Service {
    /// Starts it. Its pool has the id 2, after the one that every server has.
    pub(crate) async fn start(program: &Path) -> Outcome<Self> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let url = lines.next_line().await?.ok_or("the server says no address")?;
        let token = lines.next_line().await?.ok_or("the server says no token")?;
        // What else it prints has to go somewhere.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let target = Target::new(&url, &token)?;
        let service = Self { child, target, url, token };
        let mut connection = Connection::open(&service.target).await?;
        let pool = json!({ "name": "load", "agents": [{ "name": "template" }] }).to_string();
        connection.ask(&service.target, "POST", "/_poolproof/pools", &pool).await?;
        Ok(service)
    }

    /// A definition whose builds have so many jobs.
    pub(crate) async fn define(&self, name: &str, jobs: usize) -> Outcome<u64> {
        let jobs = json!([{ "duration": "5m", "count": jobs }]);
        let body = json!({ "name": name, "pool": "load", "jobs": jobs }).to_string();
        let mut connection = Connection::open(&self.target).await?;
        let answer = connection.ask(&self.target, "POST", "/_poolproof/definitions", &body).await?;
        answer["id"].as_u64().ok_or_else(|| format!("no id in {answer}").into())
    }

    /// The bytes that queue a build of a definition.
    pub(crate) fn queue(&self, definition: u64) -> Vec<u8> {
        let body = json!({ "definition": { "id": definition } }).to_string();
        self.target.request("POST", "/poolproof/_apis/build/builds?api-version=7.1", &body)
    }

    /// What the process uses: memory in bytes, processor time in clock ticks.
    pub(crate) fn usage(&self) -> Outcome<(u64, u64)> {
        let id = self.child.id().ok_or("the server has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let resident: u64 = resident.trim().trim_end_matches(" kB").parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("no fields")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        // proc(5): utime and stime are fields 14 and 15, the name the second.
        let used = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
        Ok((resident * 1024, used.ok_or("no processor time")?))
    }
}
