//! The local engine's cluster: etcd, the Kubernetes control plane and KEDA as
//! plain processes on loopback, with clocks that can run faster than real.
//!
//! ```text
//!  we ──orders──► supervisor ──► etcd, kube-apiserver, kube-controller-manager,
//!   (pipe: its end is the end      kube-scheduler, KEDA operator, KEDA adapter
//!    of everything behind it)
//! ```
//!
//! [`build`](build()) makes the programs, [`LocalCluster`] is a running cluster that ends when
//! it is dropped, [`named`] are clusters that outlive the command that started them, [`audit`] tells what
//! the API server saw of the HPA and of whoever scales.

pub mod audit;
mod build;
mod certificates;
mod control_plane;
mod folder;
mod keda;
pub mod named;
mod overlay;
mod ports;
mod probe;
mod supervisor;
mod toolchain;

use std::fmt;
use std::path::PathBuf;

pub use build::{
    DEFAULT_KEDA, KUBERNETES, KedaTest, Programs, build, build_keda_tests, check_test, check_version,
};
pub use certificates::CertificateError;
pub use control_plane::{DEFAULT_NODES, LocalCluster, NODES_LABEL, Request};
pub use folder::cache;
pub use probe::ClockProbe;

/// The highest speed that is allowed: past it KEDA's 3 s time-out is too short on the wall.
pub const MAXIMUM_SPEED: u32 = 60;
/// The speed when none is asked for.
pub const DEFAULT_SPEED: u32 = 20;

/// Why there is no local cluster.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// There is no Go that answers.
    #[error("no Go toolchain answers: {0}\ninstall Go 1.26 (https://go.dev/dl) and put it on PATH")]
    NoGo(String),
    /// The runtime is not the one that the patches were made for.
    #[error(
        "time cannot run faster under {version}: {because}\nuse Go 1.26, or `--speed 1`, which needs no patch"
    )]
    RuntimeDiffers {
        /// Go's version.
        version: String,
        /// The pattern that is not there.
        because: String,
    },
    /// A version that is not one.
    #[error("`{0}` is not a KEDA version; write it like `2.21.0`")]
    NotAVersion(String),
    /// Not a folder of KEDA's tests.
    #[error(
        "KEDA has no tests in `{0}`; write a folder of its module, like `tests/scalers/azure/azure_pipelines`"
    )]
    NotATest(String),
    /// A version from before the flags that are used.
    #[error("KEDA {0} is too old to be started like this; 2.10.0 is the oldest")]
    TooOld(String),
    /// A module could not be downloaded.
    #[error("cannot download {module}: {said}")]
    DownloadFailed {
        /// The module and its version.
        module: String,
        /// What Go said.
        said: String,
    },
    /// A build failed.
    #[error("building {what} failed:\n{said}")]
    BuildFailed {
        /// What was built.
        what: String,
        /// The last lines of what Go said.
        said: String,
    },
    /// Nothing says where the cache is.
    #[error("no cache folder: set POOLPROOF_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
    /// The disk said no.
    #[error("cannot use {}: {source}", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A cluster of that name runs.
    #[error(
        "a cluster named `{0}` is there already; `poolproof cluster status` lists them, `poolproof cluster down --name {0}` ends it"
    )]
    NameTaken(String),
    /// No cluster of that name runs.
    #[error("there is no cluster named `{0}`; `poolproof cluster up --name {0}` starts it")]
    NoSuchCluster(String),
    /// Somebody else's cluster, in which nothing is restarted.
    #[error(
        "the cluster `{0}` is shared: a scenario that restarts or replaces its programs needs one of its own; \
         leave --cluster out"
    )]
    Shared(String),
    /// A name that cannot be a folder's.
    #[error("`{0}` is not a cluster name: use lower-case letters, digits and dashes, at most 40")]
    BadName(String),
    /// A program could not be run at all.
    #[error("cannot run {}: {source}", program.display())]
    CannotRun {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A process of the cluster did not start, or ended.
    #[error("{name} ended ({status}){tail}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        tail: String,
    },
    /// Something did not become ready in time.
    #[error("{what} was not ready within {seconds} s{tail}")]
    NotReady {
        /// What.
        what: String,
        /// Wall time.
        seconds: u64,
        /// The last lines of the log that may say why.
        tail: String,
    },
    /// The supervisor is gone, and everything with it.
    #[error("the supervisor of the cluster's processes ended")]
    SupervisorGone,
    /// No port could be had.
    #[error("no free port on 127.0.0.1")]
    NoPort(#[source] std::io::Error),
    /// Certificates could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The API server said no.
    #[error("the API server refused {what}: {}", crate::reason(source))]
    Kubernetes {
        /// What was asked.
        what: String,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The speed is out of bounds.
    #[error("speed {0} is not possible: between 1 and {MAXIMUM_SPEED}")]
    Speed(u32),
}

impl LocalError {
    /// A process ended. Its log is read now: the folder may go before somebody reads the message.
    fn ended(name: String, status: String, log: &std::path::Path) -> Self {
        Self::Ended { name, status, tail: log_tail(log) }
    }
}

/// The last lines of a process' log, for its error message.
fn log_tail(log: &std::path::Path) -> String {
    const SHOWN: usize = 5;
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].iter().fold(String::new(), |mut tail, line| {
        tail.push_str("\n  ");
        tail.push_str(line);
        tail
    })
}

/// Told what is going on while something takes long.
pub struct Progress<'a>(&'a (dyn Fn(Step<'_>) + Send + Sync));

/// A step of something that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// What begins now.
    Begins(&'a str),
    /// So many packages of a program are compiled.
    Compiled {
        /// The program.
        what: &'a str,
        /// Packages that were compiled; those in Go's cache are not counted.
        packages: u32,
    },
}

impl<'a> Progress<'a> {
    /// Progress that is told to `listener`.
    pub fn new(listener: &'a (dyn Fn(Step<'_>) + Send + Sync)) -> Self {
        Self(listener)
    }

    fn step(&self, what: &str) {
        (self.0)(Step::Begins(what));
    }

    fn compiled(&self, what: &str, packages: u32) {
        (self.0)(Step::Compiled { what, packages });
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
