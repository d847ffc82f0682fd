//! `poolproof cluster`: clusters that stay.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use ::cluster::local::named::{self, NamedCluster};
use ::cluster::local::{
    self, DEFAULT_NODES, LocalCluster, LocalError, NODES_LABEL, Programs, Progress, Step,
};
use ::cluster::node::{self, NodeOptions};
use model::Millis;
use model::scenario::{Agents, Cluster};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::verify::to_json;
use super::{Outcome, Signals, interruption, print};
use crate::arguments::{ClusterCommand, ClusterNodes, ClusterVersion, Output};
use crate::exit::{Exit, Failure};
use crate::progress::Live;

pub(crate) async fn cluster(command: ClusterCommand) -> Outcome {
    let cache = local::cache()?;
    match command {
        ClusterCommand::Build { version, tests } => {
            let mut interrupted = interruption();
            build(&cache, &version, &mut interrupted).await?;
            build_tests(&cache, &version, &tests, &mut interrupted).await
        }
        ClusterCommand::Up { version, name, nodes, foreground } => {
            named::check_name(&name.name)?;
            if named::find(&cache, &name.name).is_ok() {
                return Err(LocalError::NameTaken(name.name).into());
            }
            build(&cache, &version, &mut interruption()).await?;
            if foreground {
                return hold(&cache, &version, &name.name, nodes, |named| print(&describe(named))).await;
            }
            up(&cache, &version, &name.name, nodes).await
        }
        ClusterCommand::Exec { name, command } => exec(&named::find(&cache, &name.name)?, &command),
        ClusterCommand::Down { name } => {
            named::end(&cache, &name.name).await?;
            Ok(Exit::Passed)
        }
        ClusterCommand::Status { output } => status(&cache, output),
        ClusterCommand::Hold { version, name, nodes } => {
            // Whoever started us may be gone by now; the cluster stays all the same.
            let ready = |_: &NamedCluster| drop(writeln!(std::io::stderr(), "{READY}"));
            hold(&cache, &version, &name.name, nodes, ready).await
        }
    }
}

async fn build(
    cache: &Path,
    version: &ClusterVersion,
    interrupted: &mut watch::Receiver<bool>,
) -> Result<Programs, Failure> {
    let building =
        async |progress: &Progress<'_>| local::build(cache, &version.keda, version.speed, progress).await;
    shown(building, interrupted).await
}

/// Prints what was built: a program and its folder a line.
async fn build_tests(
    cache: &Path,
    version: &ClusterVersion,
    packages: &[String],
    interrupted: &mut watch::Receiver<bool>,
) -> Outcome {
    if packages.is_empty() {
        return Ok(Exit::Passed);
    }
    let building = async |progress: &Progress<'_>| {
        local::build_keda_tests(cache, &version.keda, version.speed, packages, progress).await
    };
    for test in shown(building, interrupted).await? {
        print(&format!("{}\t{}\n", test.program.display(), test.folder.display()));
    }
    Ok(Exit::Passed)
}

/// Builds something while its progress is shown, until it is done or interrupted.
async fn shown<T>(
    building: impl AsyncFnOnce(&Progress<'_>) -> Result<T, LocalError>,
    interrupted: &mut watch::Receiver<bool>,
) -> Result<T, Failure> {
    let live = Live::new(0);
    let step = |step: Step<'_>| live.step(step);
    let progress = Progress::new(&step);
    let built = tokio::select! {
        built = building(&progress) => Some(built),
        _ = interrupted.wait_for(|&interrupted| interrupted) => None,
    };
    live.finish();
    Ok(built.ok_or_else(interrupted_failure)??)
}

/// Becomes the command: its exit code is ours, and signals reach it.
fn exec(named: &NamedCluster, command: &[OsString]) -> Outcome {
    use std::os::unix::process::CommandExt;
    let (program, arguments) = command.split_first().expect("the command line asks for a command");
    let environment = named.environment();
    let mut replacement = std::process::Command::new(program);
    // Only what was not found or may not be executed comes back.
    let error = replacement.args(arguments).envs(environment).exec();
    Err(Failure::environment(format!("cannot run {}: {error}", Path::new(program).display())))
}

/// Leaves the cluster to a holder.
async fn up(cache: &Path, version: &ClusterVersion, name: &str, nodes: ClusterNodes) -> Outcome {
    let mut interrupted = interruption();
    let program = std::env::current_exe().map_err(Failure::environment)?;
    let mut holder = Command::new(program)
        .args(["cluster", "hold", "--name", name, "--keda", &version.keda])
        .args(["--speed", &version.speed.to_string(), "--nodes", &nodes.nodes.to_string()])
        .args(["--pods-per-node", &nodes.pods_per_node.to_string()])
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

/// How long a node of a named cluster takes to clear up after a pod. An assumption: the tests that people write
/// against real clusters rest on pods that go after their Deployment has counted them off.
const TEAR_DOWN: Millis = Millis::seconds(2);
/// What the holder says when its cluster is ready; nobody reads further.
const READY: &str = "ready";

/// Holds a cluster until a signal; `ready` is told when it can be used.
async fn hold(
    cache: &Path,
    version: &ClusterVersion,
    name: &str,
    nodes: ClusterNodes,
    ready: impl FnOnce(&NamedCluster),
) -> Outcome {
    let mut signals = Signals::heard();
    let silent = |_: Step<'_>| {};
    let progress = Progress::new(&silent);
    let programs = local::build(cache, &version.keda, version.speed, &progress).await?;
    let request = local::Request { cache, name, programs: &programs, speed: version.speed };
    let cluster = tokio::select! {
        cluster = LocalCluster::start(request, &progress) => cluster?,
        () = signals.next() => return Err(interrupted_failure()),
    };
    let nodes =
        node::start(cluster.client(), options(&cluster, nodes), None).await.map_err(Failure::environment)?;
    ready(&cluster.announce(name)?);
    tokio::select! {
        () = signals.next() => {}
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
fn options(cluster: &LocalCluster, ClusterNodes { nodes, pods_per_node }: ClusterNodes) -> NodeOptions {
    let (defaults, agents) = (Cluster::default(), Agents::default());
    NodeOptions {
        prefix: "node".to_owned(),
        nodes,
        pods_per_node,
        labels: BTreeMap::from([(NODES_LABEL.to_owned(), DEFAULT_NODES.to_owned())]),
        image_pull: defaults.image_pull,
        container_start: defaults.container_start,
        tear_down: TEAR_DOWN,
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
