//! Folders: the cache of built programs, and one folder per living cluster.
//!
//! A cluster's folder is locked by whoever started it and, through a second
//! lock, by the supervisor of its processes. When both locks are free nobody
//! lives there any more, and the next start removes it.

use std::fs::{self, File, TryLockError};
use std::io;
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
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(LocalError::NameTaken(name.to_owned()));
            }
            other => other.map_err(failed)?,
        }
        let lock = File::create(path.join(OWNER_LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { path, _lock: lock })
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

/// Whether nobody lives in a cluster's folder.
#[must_use]
pub(super) fn is_dead(path: &Path) -> bool {
    is_free(&path.join(OWNER_LOCK)) && is_free(&path.join(SUPERVISOR_LOCK))
}

fn is_free(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
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
