//! Clusters that outlive the command that started them. A holder process owns
//! each; a file in the cluster's folder says how to reach it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Clock;
use kube::Client;
use model::Event;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use super::control_plane::{Dilation, LOOK_AGAIN, LocalCluster, connect};
use super::probe::ClockProbe;
use super::{KUBERNETES, LocalError, audit, folder};

/// The file that a holder writes when its cluster is ready.
const FILE: &str = "cluster.json";
/// The folder of the programs that a command inside the cluster finds on its `PATH`.
const COMMANDS: &str = "bin";
/// How long a cluster may take to end, in wall time.
const END_LIMIT: Duration = Duration::from_secs(90);

/// How to reach a cluster that somebody else holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedCluster {
    /// Its name.
    pub name: String,
    /// The process id of its holder.
    pub holder: u32,
    /// How many times faster than real its time runs.
    pub speed: u32,
    /// When its time began to, in nanoseconds since 1970.
    pub epoch: u64,
    /// KEDA's version.
    pub keda: String,
    /// Kubernetes' version.
    pub kubernetes: String,
    /// The version of the Go that built it.
    pub go: String,
    /// The file that `kubectl --kubeconfig` takes.
    pub kubeconfig: PathBuf,
    /// The launcher, which has a clock probe and `kubectl`.
    pub launcher: PathBuf,
}

impl LocalCluster {
    /// Writes how to reach this cluster into its folder; the calling process is its holder.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn announce(&self, name: &str) -> Result<NamedCluster, LocalError> {
        let named = NamedCluster {
            name: name.to_owned(),
            holder: std::process::id(),
            speed: self.clock().speed(),
            epoch: u64::try_from(self.clock().epoch().as_nanos()).unwrap_or(u64::MAX),
            keda: self.programs().keda.clone(),
            kubernetes: KUBERNETES.to_owned(),
            go: self.programs().go.clone(),
            kubeconfig: self.kubeconfig().to_owned(),
            launcher: self.programs().launcher.clone(),
        };
        write_kubectl(&self.folder().join(COMMANDS), &named.launcher)
            .map_err(|source| LocalError::Folder { path: self.folder().join(COMMANDS), source })?;
        let (path, making) = (self.folder().join(FILE), self.folder().join("cluster.json.making"));
        let text = serde_json::to_string_pretty(&named).expect("a cluster is plain data");
        // Renamed into place: whoever waits for the file reads all of it.
        fs::write(&making, text)
            .and_then(|()| fs::rename(&making, &path))
            .map_err(|source| LocalError::Folder { path, source })?;
        Ok(named)
    }
}

/// `kubectl` under its own name: the launcher's, with everything that it is called with.
fn write_kubectl(folder: &Path, launcher: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let quoted = launcher.display().to_string().replace('\'', r"'\''");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o700).open(folder.join("kubectl"))?;
    writeln!(file, "#!/bin/sh\nexec '{quoted}' kubectl \"$@\"")
}

impl NamedCluster {
    /// What a command's environment must say for it to be at home in this cluster: `kubectl` and every
    /// client that reads `KUBECONFIG` find it, and programs built with its runtime have its clock.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, OsString> {
        let mut path = OsString::from(self.folder().join(COMMANDS));
        if let Some(inherited) = std::env::var_os("PATH").filter(|inherited| !inherited.is_empty()) {
            path.push(":");
            path.push(inherited);
        }
        let named = [("KUBECONFIG", self.kubeconfig.clone().into_os_string()), ("PATH", path)];
        let named = named.into_iter().map(|(name, value)| (name.to_owned(), value));
        let clock = self.dilation().environment().into_iter().map(|(name, value)| (name, value.into()));
        named.chain(clock).collect()
    }

    fn dilation(&self) -> Dilation {
        Dilation { speed: self.speed, epoch: Duration::from_nanos(self.epoch) }
    }

    fn folder(&self) -> &Path {
        self.kubeconfig.parent().unwrap_or(Path::new("."))
    }

    /// A client with all rights.
    ///
    /// # Errors
    /// If the cluster cannot be reached.
    pub async fn connect(&self) -> Result<Client, LocalError> {
        connect(&self.kubeconfig).await
    }

    /// A clock whose scenario time begins now and whose date is the cluster's.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::join(self.speed, Duration::from_nanos(self.epoch))
    }

    /// Starts a clock probe beside the cluster.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn probe(&self, clock: Clock, events: UnboundedSender<Event>) -> Result<ClockProbe, LocalError> {
        ClockProbe::start(&self.launcher, &self.dilation(), clock, events)
    }

    /// The file in which the API server notes the HPA's reads and every write of a scale.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        audit::log(self.folder())
    }

    /// Waits until nobody holds the cluster any more.
    pub async fn await_end(&self) {
        while !folder::is_dead(self.folder()) {
            clock::wall::pause(Duration::from_secs(1)).await;
        }
    }
}

/// Checks that a name can be a folder's.
///
/// # Errors
/// [`LocalError::BadName`].
pub fn check_name(name: &str) -> Result<(), LocalError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.len() <= 40 && name.chars().all(good) && !name.starts_with('-') {
        Ok(())
    } else {
        Err(LocalError::BadName(name.to_owned()))
    }
}

/// The clusters that live and are ready.
#[must_use]
pub fn list(cache: &Path) -> Vec<NamedCluster> {
    let Ok(entries) = fs::read_dir(cache.join("clusters")) else { return Vec::new() };
    let mut living: Vec<_> = entries.flatten().filter_map(|entry| read(&entry.path())).collect();
    living.sort_by(|a, b| a.name.cmp(&b.name));
    living
}

/// The living cluster of that name.
///
/// # Errors
/// [`LocalError::NoSuchCluster`] if there is none.
pub fn find(cache: &Path, name: &str) -> Result<NamedCluster, LocalError> {
    check_name(name)?;
    read(&cache.join("clusters").join(name)).ok_or_else(|| LocalError::NoSuchCluster(name.to_owned()))
}

fn read(folder: &Path) -> Option<NamedCluster> {
    if folder::is_dead(folder) {
        return None;
    }
    serde_json::from_str(&fs::read_to_string(folder.join(FILE)).ok()?).ok()
}

/// Ends a cluster: asks its holder, waits, and removes what is left.
///
/// # Errors
/// [`LocalError::NoSuchCluster`] if there is none; [`LocalError::NotReady`] if it does not end.
pub async fn end(cache: &Path, name: &str) -> Result<(), LocalError> {
    use rustix::process::{Pid, Signal, kill_process};
    let named = find(cache, name)?;
    let folder = cache.join("clusters").join(name);
    let holder = i32::try_from(named.holder).ok().and_then(Pid::from_raw);
    // While the owner's lock is held, the process id is still the holder's.
    if let Some(holder) = holder.filter(|_| folder::has_owner(&folder)) {
        let _ = kill_process(holder, Signal::TERM);
    }
    if await_death(&folder).await.is_ok() {
        return Ok(());
    }
    if let Some(holder) = holder.filter(|_| folder::has_owner(&folder)) {
        let _ = kill_process(holder, Signal::KILL);
    }
    await_death(&folder).await.map_err(|_| LocalError::NotReady {
        what: format!("the end of cluster `{name}`"),
        seconds: 2 * END_LIMIT.as_secs(),
        tail: String::new(),
    })?;
    let _ = fs::remove_dir_all(&folder);
    Ok(())
}

async fn await_death(folder: &Path) -> Result<(), clock::Elapsed> {
    clock::wall::timeout(END_LIMIT, async {
        while folder.exists() && !folder::is_dead(folder) {
            clock::wall::pause(LOOK_AGAIN).await;
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_letters_digits_and_dashes() {
        assert!(check_name("nightly-2").is_ok());
        for bad in ["", "Nightly", "../x", "-x", "a b", &"x".repeat(41)] {
            assert!(matches!(check_name(bad), Err(LocalError::BadName(_))), "{bad}");
        }
    }

    #[test]
    fn a_command_in_a_cluster_finds_kubectl_and_its_clock() {
        let folder = tempfile::tempdir().expect("a folder");
        let launcher = folder.path().join("a 'launcher'");
        fs::write(&launcher, "").expect("a file");
        let named = NamedCluster {
            name: "it".to_owned(),
            holder: 1,
            speed: 20,
            epoch: 7,
            keda: "2.21.0".to_owned(),
            kubernetes: KUBERNETES.to_owned(),
            go: "go1.26.0".to_owned(),
            kubeconfig: folder.path().join("kubeconfig"),
            launcher: launcher.clone(),
        };
        write_kubectl(&folder.path().join(COMMANDS), &launcher).expect("a program");
        let environment = named.environment();
        let told = |name: &str| environment[name].to_string_lossy().into_owned();
        assert_eq!(told("KUBECONFIG"), named.kubeconfig.display().to_string());
        assert_eq!((told("POOLPROOF_SPEED"), told("POOLPROOF_EPOCH")), ("20".to_owned(), "7".to_owned()));
        let first = std::env::split_paths(&environment["PATH"]).next().expect("a folder");
        let script = fs::read_to_string(first.join("kubectl")).expect("a script");
        assert!(script.contains(r"/a '\''launcher'\''' kubectl"), "{script}");
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_is_not_ended() {
        let cache = tempfile::tempdir().expect("a folder");
        let error = end(cache.path(), "none").await.expect_err("there is none");
        assert!(matches!(error, LocalError::NoSuchCluster(_)), "{error}");
    }
}
