//! What a configured agent keeps in its folder: `.agent` and `.credentials`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Identity, Registration};

/// The agent's folder.
pub(super) struct State {
    root: PathBuf,
}

/// `.agent`, with the real file's names.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    agent_id: u64,
    agent_name: String,
    pool_id: u64,
    pool_name: String,
    server_url: String,
    work_folder: String,
}

/// `.credentials`. A service that hands out no key makes the real agent keep its token like this.
#[derive(Serialize, Deserialize)]
struct Credentials {
    scheme: String,
    data: BTreeMap<String, String>,
}

impl State {
    pub(super) fn of(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn settings(&self) -> PathBuf {
        self.root.join(".agent")
    }

    fn credentials(&self) -> PathBuf {
        self.root.join(".credentials")
    }

    pub(super) fn is_configured(&self) -> bool {
        self.settings().exists()
    }

    pub(super) fn save(
        &self,
        identity: &Identity,
        registration: &Registration,
        work: &str,
    ) -> io::Result<()> {
        let credentials = Credentials {
            scheme: "PAT".to_owned(),
            data: BTreeMap::from([("token".to_owned(), identity.token.clone())]),
        };
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.credentials())?;
        file.write_all(&serde_json::to_vec_pretty(&credentials)?)?;
        let settings = Settings {
            agent_id: registration.agent,
            agent_name: identity.name.clone(),
            pool_id: registration.pool,
            pool_name: identity.pool.clone(),
            server_url: identity.url.clone(),
            work_folder: work.to_owned(),
        };
        fs::write(self.settings(), serde_json::to_vec_pretty(&settings)?)
    }

    /// What was saved, without capabilities, or nothing if the agent is not configured.
    pub(super) fn load(&self) -> Result<Option<(Identity, Registration)>, String> {
        let Some(settings) = read::<Settings>(&self.settings())? else { return Ok(None) };
        let credentials = read::<Credentials>(&self.credentials())?;
        let token = credentials.and_then(|mut credentials| credentials.data.remove("token"));
        let identity = Identity {
            url: settings.server_url,
            token: token.unwrap_or_default(),
            pool: settings.pool_name,
            name: settings.agent_name.clone(),
        };
        let registration = Registration {
            pool: settings.pool_id,
            agent: settings.agent_id,
            name: settings.agent_name,
            capabilities: BTreeMap::new(),
        };
        Ok(Some((identity, registration)))
    }

    pub(super) fn delete(&self) -> io::Result<()> {
        for path in [self.credentials(), self.settings()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {name}: {error}")),
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(format!("cannot read {name}: {error}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_gone_after_its_removal() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::of(folder.path());
        assert!(!state.is_configured() && state.load().unwrap().is_none());
        let identity = Identity {
            url: "http://ado/acme".to_owned(),
            token: "secret".to_owned(),
            pool: "pool".to_owned(),
            name: "pod-1".to_owned(),
        };
        let registration =
            Registration { pool: 18, agent: 7, name: "pod-1".to_owned(), capabilities: BTreeMap::new() };
        state.save(&identity, &registration, "_work").unwrap();
        assert!(state.is_configured());
        assert_eq!(state.load().unwrap(), Some((identity, registration)));
        let mode = fs::metadata(state.credentials()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the token is nobody else's");
        state.delete().unwrap();
        assert!(!state.is_configured() && !state.credentials().exists());
        state.delete().unwrap();
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".agent"), "{").unwrap();
        assert!(State::of(folder.path()).load().unwrap_err().contains("cannot read .agent"));
    }
}
