//! `poolproof cluster`: clusters that stay.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use ::cluster::local::named::{self, NamedCluster};
use ::cluster::local::{
    self, DEFAULT_NODES, LocalCluster, LocalError, NODES_LABEL, Programs, Progress, Step,
};
use ::cluster::node::{self, NodeOptions};
use model::scenario::{Agents, Cluster};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::verify::to_json;
use super::{Outcome, a_signal, interruption, print};
use crate::arguments::{ClusterCommand, ClusterVersion, Output};
use crate::exit::{Exit, Failure};
use crate::progress::Live;

pub(crate) async fn cluster(command: ClusterCommand) -> Outcome {
    let cache = local::cache()?;
    match command {
        ClusterCommand::Build { version } => {
            build(&cache, &version, &mut interruption()).await.map(|_| Exit::Passed)
        }
        ClusterCommand::Up { version, name, nodes, pods_per_node } => {
            named::check_name(&name.name)?;
            up(&cache, &version, &name.name, nodes, pods_per_node).await
        }
        ClusterCommand::Down { name } => {
            named::end(&cache, &name.name).await?;
            Ok(Exit::Passed)
        }
        ClusterCommand::Status { output } => status(&cache, output),
        ClusterCommand::Hold { version, name, nodes, pods_per_node } => {
            hold(&cache, &version, &name.name, nodes, pods_per_node).await
        }
    }
}

async fn build(
    cache: &Path,
    version: &ClusterVersion,
    interrupted: &mut watch::Receiver<bool>,
) -> Result<Programs, Failure> {
    let live = Live::new(0);
    let step = |step: Step<'_>| live.step(step);
    let progress = Progress::new(&step);
    let built = tokio::select! {
        built = local::build(cache, &version.keda, version.speed, &progress) => built,
        _ = interrupted.wait_for(|&interrupted| interrupted) => {
            live.finish();
            return Err(interrupted_failure());
        }
    };
    live.finish();
    Ok(built?)
}

/// Builds here, where progress can be seen, then leaves the cluster to a holder.
async fn up(cache: &Path, version: &ClusterVersion, name: &str, nodes: u32, pods_per_node: u32) -> Outcome {
    if named::find(cache, name).is_ok() {
        return Err(LocalError::NameTaken(name.to_owned()).into());
    }
    let mut interrupted = interruption();
    build(cache, version, &mut interrupted).await?;
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let mut holder = Command::new(program)
        .args(["cluster", "hold", "--name", name, "--keda", &version.keda])
        .args(["--speed", &version.speed.to_string(), "--nodes", &nodes.to_string()])
        .args(["--pods-per-node", &pods_per_node.to_string()])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Failure::environment)?;
    let mut said = BufReader::new(holder.stderr.take().expect("standard error was asked for")).lines();
    let mut last = String::new();
    loop {
        let line = tokio::select! {
            line = said.next_line() => line,
            _ = interrupted.wait_for(|&interrupted| interrupted) => {
                terminate(&mut holder).await;
                return Err(interrupted_failure());
            }
        };
        match line {
            Ok(Some(line)) if line == READY => {
                print(&describe(&named::find(cache, name)?));
                return Ok(Exit::Passed);
            }
            Ok(Some(line)) => {
                last.push_str(line.trim_start_matches("error: "));
                last.push('\n');
            }
            Ok(None) | Err(_) => {
                return Err(Failure::environment(format!("the cluster did not start\n{}", last.trim_end())));
            }
        }
    }
}

fn interrupted_failure() -> Failure {
    Failure { exit: Exit::Interrupted, message: "interrupted".to_owned() }
}

/// Asks the holder to end what it has started, and waits.
async fn terminate(holder: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(id) = holder.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
    let _ = holder.wait().await;
}

/// What the holder says when its cluster is ready; nobody reads further.
const READY: &str = "ready";

async fn hold(cache: &Path, version: &ClusterVersion, name: &str, nodes: u32, pods_per_node: u32) -> Outcome {
    let silent = |_: Step<'_>| {};
    let progress = Progress::new(&silent);
    let programs = local::build(cache, &version.keda, version.speed, &progress).await?;
    let request = local::Request { cache, name, programs: &programs, speed: version.speed };
    let cluster = tokio::select! {
        cluster = LocalCluster::start(request, &progress) => cluster?,
        () = a_signal() => return Err(interrupted_failure()),
    };
    let nodes = node::start(cluster.client(), options(&cluster, nodes, pods_per_node), None)
        .await
        .map_err(Failure::environment)?;
    cluster.announce(name)?;
    // Whoever started us may be gone by now; the cluster stays all the same.
    let _ = writeln!(std::io::stderr(), "{READY}");
    tokio::select! {
        () = a_signal() => {}
        because = cluster.await_failure() => {
            stopped(nodes).await;
            cluster.end().await;
            return Err(Failure::environment(because));
        }
    }
    stopped(nodes).await;
    cluster.end().await;
    Ok(Exit::Passed)
}

/// The nodes of a cluster that has no scenario: everything as a scenario's defaults have it.
fn options(cluster: &LocalCluster, nodes: u32, pods_per_node: u32) -> NodeOptions {
    let (defaults, agents) = (Cluster::default(), Agents::default());
    NodeOptions {
        prefix: "node".to_owned(),
        nodes,
        pods_per_node,
        labels: BTreeMap::from([(NODES_LABEL.to_owned(), DEFAULT_NODES.to_owned())]),
        image_pull: defaults.image_pull,
        container_start: defaults.container_start,
        agent_start_up: agents.start_up,
        agent_capabilities: agents.capabilities,
        seed: 1,
        clock: cluster.clock(),
    }
}

fn status(cache: &Path, output: Output) -> Outcome {
    let living = named::list(cache);
    match output {
        Output::Json => print(&format!("{}\n", to_json(&living)?)),
        Output::Text if living.is_empty() => print("no cluster lives; `poolproof cluster up` starts one\n"),
        Output::Text => living.iter().for_each(|named| print(&describe(named))),
    }
    Ok(Exit::Passed)
}

fn describe(named: &NamedCluster) -> String {
    let NamedCluster { name, keda, kubernetes, speed, kubeconfig, launcher, .. } = named;
    format!(
        "{name}: KEDA {keda} on Kubernetes {kubernetes}, speed {speed}\n  \
         {} kubectl --kubeconfig {} get pods -A\n",
        launcher.display(),
        kubeconfig.display()
    )
}

/// The cluster ends with its nodes: one that cannot be deleted goes with it.
async fn stopped(nodes: node::Nodes) {
    let _ = nodes.stop().await;
}
