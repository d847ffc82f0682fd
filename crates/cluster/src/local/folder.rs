//! Folders: the cache of built programs, and one folder per living cluster.
//!
//! A cluster's folder is locked by whoever started it and, through a second
//! lock, by the supervisor of its processes. When both locks are free nobody
//! lives there any more, and the next start removes it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::LocalError;

/// Lock of whoever started the cluster.
const OWNER_LOCK: &str = "owner.lock";
/// Lock of the supervisor.
pub(super) const SUPERVISOR_LOCK: &str = "supervisor.lock";

/// The folder for everything that can be made again: `$POOLPROOF_CACHE`, else the user's cache folder.
///
/// # Errors
/// If neither a variable nor a home folder says where that is.
pub fn cache() -> Result<PathBuf, LocalError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("POOLPROOF_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("poolproof")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("poolproof")))
        .ok_or(LocalError::NoCacheFolder)
}

/// A folder of one cluster, removed when dropped.
#[derive(Debug)]
pub(super) struct ClusterFolder {
    path: PathBuf,
    // Held, never read: the lock lives as long as the file is open.
    _lock: File,
}

impl ClusterFolder {
    /// Creates `clusters/NAME` in the cache and locks it. Folders of clusters that are dead are removed first.
    ///
    /// # Errors
    /// [`LocalError::NameTaken`] if a living cluster has the name; [`LocalError::Folder`] if the disk says no.
    pub(super) fn create(cache: &Path, name: &str) -> Result<Self, LocalError> {
        let all = cache.join("clusters");
        let path = all.join(name);
        let failed = |source| LocalError::Folder { path: path.clone(), source };
        fs::create_dir_all(&all).map_err(failed)?;
        // One at a time: a folder must not be swept between its creation and its lock.
        let door = File::create(cache.join("clusters.lock")).map_err(failed)?;
        door.lock().map_err(failed)?;
        sweep(&all);
        // Keys and tokens lie in it: it is its owner's alone.
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(LocalError::NameTaken(name.to_owned()));
            }
            other => other.map_err(failed)?,
        }
        let lock = File::create(path.join(OWNER_LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Whether some process found its port taken: it was free when it was chosen.
    pub(super) fn is_a_port_taken(&self) -> bool {
        let logs = self.entries().filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.into_iter()
            .any(|log| fs::read_to_string(log).is_ok_and(|text| text.contains("address already in use")))
    }

    /// Removes everything but the locks, for another try.
    pub(super) fn clear(&self) {
        for path in self.entries().filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }

    fn entries(&self) -> impl Iterator<Item = PathBuf> + use<> {
        fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path())
    }

    /// Where it is.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ClusterFolder {
    fn drop(&mut self) {
        // What cannot be removed now, the next start sweeps.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Whether whoever started the cluster is still there.
#[must_use]
pub(super) fn has_owner(path: &Path) -> bool {
    !is_free(&path.join(OWNER_LOCK))
}

/// Whether nobody lives in a cluster's folder.
#[must_use]
pub(super) fn is_dead(path: &Path) -> bool {
    is_free(&path.join(OWNER_LOCK)) && is_free(&path.join(SUPERVISOR_LOCK))
}

fn is_free(lock: &Path) -> bool {
    match File::open(lock) {
        // A shared lock: two who look at the same moment must not see each other.
        Ok(file) => !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes the folders of dead clusters.
fn sweep(all: &Path) {
    let Ok(entries) = fs::read_dir(all) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_dead(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_clusters_name_is_taken_and_its_folder_stays() {
        let cache = tempfile::tempdir().expect("a folder");
        let first = ClusterFolder::create(cache.path(), "one").expect("a cluster folder");
        let taken = ClusterFolder::create(cache.path(), "one");
        assert!(matches!(taken, Err(LocalError::NameTaken(_))), "{taken:?}");
        assert!(first.path().exists());
    }

    #[test]
    fn a_dead_clusters_folder_is_swept() {
        let cache = tempfile::tempdir().expect("a folder");
        let dead = cache.path().join("clusters").join("dead");
        fs::create_dir_all(&dead).expect("a folder");
        fs::write(dead.join(OWNER_LOCK), "").expect("a lock file nobody holds");
        let living = ClusterFolder::create(cache.path(), "living").expect("a cluster folder");
        assert!(!dead.exists());
        assert!(living.path().exists());
    }

    #[test]
    fn a_port_that_was_taken_is_seen_in_a_log_and_cleared_for_another_try() {
        let cache = tempfile::tempdir().expect("a folder");
        let folder = ClusterFolder::create(cache.path(), "one").expect("a cluster folder");
        fs::write(folder.path().join("etcd.log"), "listening").expect("a log");
        assert!(!folder.is_a_port_taken());
        let log = folder.path().join("kube-scheduler.log");
        fs::write(&log, "listen tcp 127.0.0.1:1: bind: address already in use").expect("a log");
        assert!(folder.is_a_port_taken());
        folder.clear();
        assert!(!log.exists() && folder.path().join(OWNER_LOCK).exists());
    }

    #[test]
    fn a_folder_whose_supervisor_lives_is_not_swept() {
        let cache = tempfile::tempdir().expect("a folder");
        let path = cache.path().join("clusters").join("ending");
        fs::create_dir_all(&path).expect("a folder");
        fs::write(path.join(OWNER_LOCK), "").expect("a lock file nobody holds");
        let supervisor = File::create(path.join(SUPERVISOR_LOCK)).expect("a lock file");
        supervisor.lock().expect("a lock");
        let _other = ClusterFolder::create(cache.path(), "other").expect("a cluster folder");
        assert!(path.exists());
    }
}
