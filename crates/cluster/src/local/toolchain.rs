//! The Go toolchain on this machine: where it is, its version, and a command
//! that runs it in an environment of our own choice.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::process::Command;

use super::LocalError;

/// Runs a command in its own process group; a watcher kills the group when standard input ends. The
/// watcher's standard input is named, since a shell gives background commands none; its outputs are its
/// own, since whoever reads the command's waits for their end.
const LEASH: &str = "exec 3<&0
(cat <&3; kill -KILL 0) >/dev/null 2>&1 &
watcher=$!
\"$@\" </dev/null 3<&-
code=$?
kill $watcher
exit $code";

/// A Go toolchain that answered.
#[derive(Debug, Clone)]
pub(super) struct Go {
    program: PathBuf,
    /// As `go version` says it: `go1.26.8`.
    pub(super) version: String,
    /// Where the standard library's source lies.
    pub(super) root: PathBuf,
    /// `linux/amd64`.
    pub(super) platform: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Environment {
    goversion: String,
    goroot: PathBuf,
    goos: String,
    goarch: String,
}

impl Go {
    /// The Go that `PATH` names.
    ///
    /// # Errors
    /// [`LocalError::NoGo`] if there is none, or if it does not answer.
    pub(super) async fn find() -> Result<Self, LocalError> {
        Self::at(Path::new("go")).await
    }

    /// The Go at `program`.
    ///
    /// # Errors
    /// [`LocalError::NoGo`] if it does not answer as Go does.
    pub(super) async fn at(program: &Path) -> Result<Self, LocalError> {
        let output = Command::new(program)
            .args(["env", "-json", "GOVERSION", "GOROOT", "GOOS", "GOARCH"])
            .env("GOTOOLCHAIN", "local")
            .output()
            .await
            .map_err(|error| LocalError::NoGo(error.to_string()))?;
        if !output.status.success() {
            return Err(LocalError::NoGo(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let found: Environment = serde_json::from_slice(&output.stdout)
            .map_err(|error| LocalError::NoGo(format!("`go env -json` said something else: {error}")))?;
        Ok(Self {
            program: program.to_owned(),
            version: found.goversion,
            root: found.goroot,
            platform: format!("{}/{}", found.goos, found.goarch),
        })
    }

    /// A command of this toolchain that builds the same whatever the caller's environment says.
    #[must_use]
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        Self::settle(&mut command);
        command
    }

    /// The same on a leash: when our end of its standard input closes, in whatever way we end, the
    /// command and every compiler that it started are killed.
    #[must_use]
    pub(super) fn leashed_command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh"]).arg(&self.program).process_group(0);
        Self::settle(&mut command);
        command
    }

    fn settle(command: &mut Command) {
        for variable in ["GOOS", "GOARCH", "GOEXPERIMENT", "GOAMD64", "GOARM64"] {
            command.env_remove(variable);
        }
        command
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOTOOLCHAIN", "local")
            .kill_on_drop(true);
    }
}
