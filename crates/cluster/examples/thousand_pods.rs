//! A thousand pods at once on one control plane in real time: how long until all
//! are Running, and how much memory they cost the process that plays the nodes.
//!
//! ```text
//! thousand_pods POOLPROOF               our nodes, an emulated agent in each pod
//! thousand_pods POOLPROOF KWOK STAGES   KWOK's nodes, with the stage files of a folder
//! ```
//!
//! The organisation is served by another process, `POOLPROOF serve`, so that the
//! memory counted here is the nodes' alone.

#![expect(clippy::print_stdout, reason = "figures for people")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clock::wall::{Stopwatch, pause};
use cluster::local::{self, DEFAULT_KEDA, LocalCluster, NODES_LABEL, Progress, Step};
use cluster::node::{self, NodeOptions, Nodes};
use cluster::workspace::Workspace;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use model::{Millis, MillisRange};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PODS: u32 = 1000;
const NODES: u32 = 5;
const NAME: &str = "thousand";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (poolproof, kwok) = match arguments.as_slice() {
        [poolproof] => (poolproof, None),
        [poolproof, kwok, stages] => (poolproof, Some((kwok, stages))),
        _ => return Err("usage: thousand_pods POOLPROOF [KWOK STAGES]".into()),
    };
    let cache = local::cache()?;
    let silent = |_: Step<'_>| {};
    let progress = Progress::new(&silent);
    let programs = local::build(&cache, DEFAULT_KEDA, 1, &progress).await?;
    let request = local::Request { cache: &cache, name: NAME, programs: &programs, speed: 1 };
    let cluster = LocalCluster::start(request, &progress).await?;
    let measured = measure(&cluster, poolproof, kwok).await;
    cluster.end().await;
    measured
}

async fn measure(cluster: &LocalCluster, poolproof: &Path, kwok: Option<(&PathBuf, &PathBuf)>) -> Result<()> {
    let served = Served::start(poolproof, cluster.folder()).await?;
    let workspace = Workspace::create(cluster.client(), NAME, NAME).await?;
    let nodes = match kwok {
        None => Players::Ours { _nodes: node::start(cluster.client(), options(cluster), None).await? },
        Some((kwok, stages)) => Players::Kwok(start_kwok(cluster, &workspace, kwok, stages).await?),
    };
    pause(Duration::from_secs(5)).await;
    let base = nodes.memory()?;
    let start = Stopwatch::start();
    workspace.apply(&deployment(&served)).await?;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), workspace.namespace());
    loop {
        let found = deployments.get(NAME).await?;
        let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or(0);
        if u32::try_from(ready).is_ok_and(|ready| ready == PODS) {
            break;
        }
        pause(Duration::from_millis(50)).await;
    }
    println!("{PODS} pods Running after {:.1} s", start.elapsed().as_secs_f64());
    if let Players::Ours { .. } = nodes {
        while served.online()? < PODS as usize {
            pause(Duration::from_millis(200)).await;
        }
        println!("{PODS} agents online after {:.1} s", start.elapsed().as_secs_f64());
    }
    // Long enough for every agent to have both its polls open.
    pause(Duration::from_secs(45)).await;
    let now = nodes.memory()?;
    println!(
        "memory {base} kB before, {now} kB after: {} kB a pod",
        now.saturating_sub(base) / u64::from(PODS)
    );
    Ok(())
}

fn options(cluster: &LocalCluster) -> NodeOptions {
    NodeOptions {
        prefix: NAME.to_owned(),
        nodes: NODES,
        pods_per_node: PODS,
        labels: BTreeMap::from([(NODES_LABEL.to_owned(), NAME.to_owned())]),
        image_pull: MillisRange::default(),
        container_start: MillisRange::default(),
        tear_down: Millis::ZERO,
        agent_start_up: MillisRange::default(),
        agent_capabilities: BTreeMap::new(),
        seed: 1,
        clock: cluster.clock(),
    }
}

/// Who plays the nodes.
enum Players {
    Ours { _nodes: Nodes },
    Kwok(Child),
}

impl Players {
    /// Resident memory of the process, in kB.
    fn memory(&self) -> Result<u64> {
        let process = match self {
            Self::Ours { .. } => std::process::id(),
            Self::Kwok(child) => child.id().ok_or("KWOK ended")?,
        };
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

async fn start_kwok(
    cluster: &LocalCluster,
    workspace: &Workspace,
    kwok: &Path,
    stages: &Path,
) -> Result<Child> {
    for number in 1..=NODES {
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": format!("{NAME}-{number}"),
                "annotations": { "kwok.x-k8s.io/node": "fake" },
                "labels": { NODES_LABEL: NAME },
            },
            "status": {
                "allocatable": { "cpu": "1000", "memory": "1Ti", "pods": PODS.to_string() },
                "capacity": { "cpu": "1000", "memory": "1Ti", "pods": PODS.to_string() },
            },
        });
        workspace.apply(&node).await?;
    }
    let mut command = Command::new(kwok);
    command.arg("--kubeconfig").arg(cluster.kubeconfig());
    command.arg("--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake");
    for entry in fs::read_dir(stages)? {
        command.arg("--config").arg(entry?.path());
    }
    let log = fs::File::create(cluster.folder().join("kwok.log"))?;
    Ok(command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true).spawn()?)
}

/// An organisation served by a process of its own.
struct Served {
    url: String,
    token: String,
    events: PathBuf,
    _process: Child,
}

impl Served {
    async fn start(poolproof: &Path, folder: &Path) -> Result<Self> {
        let events = folder.join("served.jsonl");
        let mut process = Command::new(poolproof)
            .args(["serve", "--pool", NAME, "--events"])
            .arg(&events)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let url = said.next_line().await?.ok_or("no address")?;
        let token = said.next_line().await?.ok_or("no token")?;
        Ok(Self { url, token, events, _process: process })
    }

    /// How many agents have come online.
    fn online(&self) -> Result<usize> {
        Ok(fs::read_to_string(&self.events)?.matches("\"agent.online\"").count())
    }
}

fn deployment(served: &Served) -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": NAME },
        "spec": {
            "replicas": PODS,
            "selector": { "matchLabels": { "app": NAME } },
            "template": {
                "metadata": { "labels": { "app": NAME } },
                "spec": { "containers": [{
                    "name": "agent",
                    "image": "agent",
                    "env": [
                        { "name": "AZP_URL", "value": served.url },
                        { "name": "AZP_POOL", "value": NAME },
                        { "name": "AZP_TOKEN", "value": served.token },
                    ],
                }] },
            },
        },
    })
}
