//! `check entrypoint`: any start script, run by a real bash through its whole
//! life against a pool of its own, and judged by what the pool saw.
//!
//! Every [`Step`] is one life: a folder, a token file, an organisation and a
//! process group that nobody shares. The script downloads the agent package,
//! registers, works and leaves with the machine's own curl, jq and tar, in real
//! time. Steps run side by side; the slowest waits for the script's own pause
//! between two attempts to unregister.
//!
//! What a container has and this has not: the script is not process 1, so a
//! signal that it does not handle ends it, where a container's would be ignored;
//! and it sees the machine's files, so a script that leaves its folder writes
//! there.

mod process;
mod steps;
mod trial;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clock::Clock;
use model::{Fact, Instant};
use server::{Package, Server};

/// What to check.
#[derive(Debug, Clone)]
pub struct Options {
    /// The start script.
    pub script: PathBuf,
    /// The statically linked program that is the package's listener: this one.
    pub binary: Vec<u8>,
    /// Arguments for the script, as a container's `args`.
    pub arguments: Vec<String>,
    /// Only steps with these names; all of them if empty.
    pub only: Vec<String>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// One life each, in the order in which they are defined.
    pub steps: Vec<Step>,
}

/// One life of the script.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What should happen.
    pub expected: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What differs from what was expected, or why the step was skipped.
    pub because: Option<String>,
    /// What the pool saw, in order.
    pub saw: Vec<Sighting>,
    /// The exit codes of the step's scripts, as a shell tells them (128 and the signal for one that
    /// was ended by a signal). `None` for one that was still running and was killed.
    pub exit_codes: Vec<Option<i32>>,
    /// The last lines that the scripts printed.
    pub console: String,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// It does not apply to this script.
    Skipped,
}

/// Something that the pool saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// When, since the check began.
    pub at: Instant,
    /// What.
    pub fact: Fact,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The machine lacks what every start script runs.
    #[error("start scripts need {}, which this machine does not have", .0.join(", "))]
    MissingTools(Vec<&'static str>),
    /// The script can't be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The script.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// No step has such a name.
    #[error("there is no step named `{name}`; there are {}", .known.join(", "))]
    UnknownStep {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The pool can't be served.
    #[error("cannot serve a pool: {0}")]
    Server(io::Error),
    /// A folder or a process could not be made.
    #[error("cannot run the script: {0}")]
    Process(#[from] io::Error),
}

impl Step {
    /// Whether it went as expected.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

impl Report {
    /// Whether nothing failed, and anything was tested.
    #[must_use]
    pub fn passed(&self) -> bool {
        let failed = self.steps.iter().any(|step| step.verdict == Verdict::Failed);
        !failed && self.steps.iter().any(Step::passed)
    }
}

/// The programs that a start script runs.
const TOOLS: [&str; 5] = ["bash", "curl", "jq", "tar", "gzip"];

/// Runs the script through every step.
///
/// Whatever way this ends, nothing that was started stays: not when the future is dropped, and not
/// when this process is killed.
///
/// # Errors
/// If nothing could be checked.
pub async fn check(options: Options) -> Result<Report, CheckError> {
    let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !on_the_path(tool)).collect();
    if !missing.is_empty() {
        return Err(CheckError::MissingTools(missing));
    }
    let text = std::fs::read(&options.script)
        .map_err(|error| CheckError::Unreadable { path: options.script.clone(), error })?;
    let mut chosen = steps::ALL.to_vec();
    if let Some(name) = options.only.iter().find(|name| !chosen.iter().any(|step| step.name == **name)) {
        let known = chosen.iter().map(|step| step.name).collect();
        return Err(CheckError::UnknownStep { name: name.clone(), known });
    }
    chosen.retain(|step| options.only.is_empty() || options.only.iter().any(|name| name == step.name));

    if text.contains(&b'\r') {
        return Ok(Report { steps: vec![steps::line_ends(&text).await?] });
    }
    let package = agent::package(&options.binary, agent::AGENT_VERSION);
    let clock = Clock::start(1);
    let server = Server::start(server::Options {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        clock,
        packages: vec![Package {
            platform: agent::PLATFORM.to_owned(),
            version: package.version,
            file_name: package.file_name,
            bytes: package.bytes,
        }],
    })
    .await
    .map_err(CheckError::Server)?;
    let bench = trial::Bench { server: &server, text: &text, arguments: &options.arguments };
    let lives = chosen.iter().map(|step| steps::live(step, &bench));
    let steps = futures_util::future::join_all(lives).await.into_iter().collect::<Result<_, _>>();
    server.stop().await;
    Ok(Report { steps: steps? })
}

fn on_the_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// The names of the steps, in order.
#[must_use]
pub fn step_names() -> Vec<&'static str> {
    steps::ALL.iter().map(|step| step.name).collect()
}

/// The binary that is running, which `check` packs as the listener.
///
/// # Errors
/// If it cannot be read.
pub fn own_binary() -> io::Result<Vec<u8>> {
    std::fs::read(Path::new("/proc/self/exe"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            write!(f, "{step}")?;
        }
        let count = |verdict| self.steps.iter().filter(|step| step.verdict == verdict).count();
        writeln!(
            f,
            "{} passed, {} failed, {} skipped",
            count(Verdict::Passed),
            count(Verdict::Failed),
            count(Verdict::Skipped)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Passed => "passed ",
            Verdict::Failed => "FAILED ",
            Verdict::Skipped => "skipped",
        };
        writeln!(f, "{verdict} {}: {}", self.name, self.expected)?;
        if let Some(because) = &self.because {
            writeln!(f, "        {because}")?;
        }
        for sighting in &self.saw {
            writeln!(f, "        {sighting}")?;
        }
        let codes: Vec<String> = self
            .exit_codes
            .iter()
            .map(|code| code.map_or_else(|| "still running, killed".to_owned(), |code| code.to_string()))
            .collect();
        if !codes.is_empty() {
            writeln!(f, "        exit code {}", codes.join(" and "))?;
        }
        if self.verdict == Verdict::Failed {
            for line in self.console.lines() {
                writeln!(f, "        | {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.at)?;
        match &self.fact {
            Fact::AgentRegistered { agent, name, replaced: false, .. } => {
                write!(f, "agent {agent} registered as {name}")
            }
            Fact::AgentRegistered { agent, name, .. } => write!(f, "agent {agent} replaced as {name}"),
            Fact::AgentOnline { agent } => write!(f, "agent {agent} online"),
            Fact::AgentOffline { agent } => write!(f, "agent {agent} offline"),
            Fact::AgentRemoved { agent } => write!(f, "agent {agent} removed"),
            Fact::AgentRemovalRefused { agent, request } => {
                write!(f, "agent {agent} not removed: it runs job request {request}")
            }
            Fact::JobRequestQueued { request, .. } => write!(f, "job request {request} queued"),
            Fact::JobRequestReceived { request, agent } => {
                write!(f, "job request {request} received by agent {agent}")
            }
            Fact::JobRequestFinished { request, result, .. } => {
                write!(f, "job request {request} finished: {result:?}")
            }
            Fact::SessionRefused { agent } => write!(f, "agent {agent} was refused a second session"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Whether a fact belongs into a report on a script.
pub(crate) fn is_told(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::AgentRegistered { .. }
            | Fact::AgentOnline { .. }
            | Fact::AgentOffline { .. }
            | Fact::AgentRemoved { .. }
            | Fact::AgentRemovalRefused { .. }
            | Fact::JobRequestQueued { .. }
            | Fact::JobRequestReceived { .. }
            | Fact::JobRequestFinished { .. }
            | Fact::JobRequestRequeued { .. }
            | Fact::SessionRefused { .. }
    )
}
