//! The supervisor: a process that starts the others on order and kills them
//! when our end of its standard input closes, in whatever way we end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{self, watch};

use super::LocalError;
use super::folder::SUPERVISOR_LOCK;

/// How long the supervisor may take to kill everything, in wall time.
const END_LIMIT: Duration = Duration::from_secs(60);
/// The same where nothing can be awaited.
const DROP_LIMIT: Duration = Duration::from_secs(60);
/// The signal that no process can refuse.
const SIGKILL: i32 = 9;
/// Pause between two looks whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What to start.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Process {
    /// Its name, unique among those that live.
    pub(super) name: String,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its whole environment.
    pub(super) environment: BTreeMap<String, String>,
    /// Its working folder.
    pub(super) directory: PathBuf,
    /// The file that gets its output.
    pub(super) log: PathBuf,
}

#[derive(Deserialize)]
struct Report {
    event: String,
    name: String,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    status: String,
}

/// What is known of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, with this process id.
    Running(u32),
    /// It did not start, or it ended: this is how.
    Ended(String),
}

/// What is known of all of them.
#[derive(Debug, Default)]
struct Known {
    states: BTreeMap<String, State>,
    /// Those that are being ended on purpose: their end is no failure.
    expected: BTreeSet<String>,
}

/// The supervisor's life in our hands. Dropping it ends every process.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    orders: sync::Mutex<Option<ChildStdin>>,
    known: Arc<Mutex<Known>>,
    changed: watch::Receiver<()>,
}

impl Supervisor {
    /// Starts a supervisor that holds the lock of `folder`.
    ///
    /// # Errors
    /// If the launcher cannot be run.
    pub(super) fn start(launcher: &Path, folder: &Path) -> Result<Self, LocalError> {
        let cannot = |source| LocalError::CannotRun { program: launcher.to_owned(), source };
        let mut child = Command::new(launcher)
            .arg("supervise")
            .arg("--lock")
            .arg(folder.join(SUPERVISOR_LOCK))
            .env_clear()
            // A Ctrl-C is ours to handle: it must not reach the cluster before we are done with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(cannot)?;
        let orders = child.stdin.take();
        let reports = child.stdout.take().expect("standard output was asked for");
        let known = Arc::<Mutex<Known>>::default();
        let (tell, changed) = watch::channel(());
        let heard = Arc::clone(&known);
        tokio::spawn(async move {
            let mut lines = BufReader::new(reports).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Ok(report) = serde_json::from_str::<Report>(&line) else { continue };
                let state = match report.event.as_str() {
                    "started" => State::Running(report.pid),
                    _ => State::Ended(report.status),
                };
                heard.lock().expect("nobody panics with the states").states.insert(report.name, state);
                if tell.send(()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, orders: sync::Mutex::new(orders), known, changed })
    }

    /// Orders a start and waits until it is known whether the process runs.
    ///
    /// # Errors
    /// [`LocalError::Ended`] if it did not start.
    pub(super) async fn run(&self, process: Process) -> Result<u32, LocalError> {
        let name = process.name.clone();
        let mut changes = self.changes();
        self.known().states.remove(&name);
        self.order(&serde_json::json!({ "start": process })).await?;
        loop {
            match self.state(&name) {
                Some(State::Running(pid)) => return Ok(pid),
                Some(State::Ended(status)) => {
                    return Err(LocalError::ended(name, status, &process.log));
                }
                None => changes.changed().await.map_err(|_| LocalError::SupervisorGone)?,
            }
        }
    }

    /// Kills processes on purpose, and waits until they are gone. Their end is no failure from here
    /// until they have been [`run`](Self::run) again and are [`expected`](Self::expect_no_more) no more.
    ///
    /// # Errors
    /// [`LocalError::NotReady`] if one does not end; [`LocalError::SupervisorGone`].
    pub(super) async fn kill(&self, names: &[&str]) -> Result<(), LocalError> {
        let mut changes = self.changes();
        self.known().expected.extend(names.iter().map(|&name| name.to_owned()));
        for name in names {
            self.order(&serde_json::json!({ "signal": SIGKILL, "name": name })).await?;
        }
        let gone = async {
            while names.iter().any(|name| matches!(self.state(name), Some(State::Running(_)))) {
                changes.changed().await.map_err(|_| LocalError::SupervisorGone)?;
            }
            Ok(())
        };
        clock::wall::timeout(END_LIMIT, gone).await.unwrap_or_else(|_| {
            Err(LocalError::NotReady {
                what: format!("the end of {}", names.join(" and ")),
                seconds: END_LIMIT.as_secs(),
                tail: String::new(),
            })
        })
    }

    /// From here on the end of any process is a failure again.
    pub(super) fn expect_no_more(&self) {
        self.known().expected.clear();
    }

    /// What is known of a process.
    #[must_use]
    pub(super) fn state(&self, name: &str) -> Option<State> {
        self.known().states.get(name).cloned()
    }

    /// The processes that have ended by themselves, and how.
    #[must_use]
    pub(super) fn ended(&self) -> Vec<(String, String)> {
        let known = self.known();
        let ended = known.states.iter().filter_map(|(name, state)| match state {
            State::Ended(status) if !known.expected.contains(name) => Some((name.clone(), status.clone())),
            State::Ended(_) | State::Running(_) => None,
        });
        ended.collect()
    }

    /// A receiver that is told whenever some process started or ended.
    #[must_use]
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.clone()
    }

    /// Kills everything and waits until it is gone.
    pub(super) async fn end(&mut self) {
        *self.orders.get_mut() = None;
        if clock::wall::timeout(END_LIMIT, self.child.wait()).await.is_err() {
            // The kernel kills the rest with it.
            let _ = self.child.kill().await;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics with the states")
    }

    async fn order(&self, order: &serde_json::Value) -> Result<(), LocalError> {
        let mut orders = self.orders.lock().await;
        let orders = orders.as_mut().ok_or(LocalError::SupervisorGone)?;
        orders.write_all(format!("{order}\n").as_bytes()).await.map_err(|_| LocalError::SupervisorGone)
    }
}

/// Whoever drops it goes on only when the processes are gone, so that their folder can be removed.
impl Drop for Supervisor {
    fn drop(&mut self) {
        *self.orders.get_mut() = None;
        let start = clock::wall::Stopwatch::start();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < DROP_LIMIT {
            clock::wall::block(LOOK_AGAIN);
        }
    }
}
