//! The programs of a local cluster, built from their Go modules once and kept
//! in the cache under a name that says what they were made of.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::overlay::{Overlay, short_hash};
use super::toolchain::Go;
use super::{LocalError, Progress};

/// The Kubernetes version of the control plane; the launcher's go.mod says the same.
pub const KUBERNETES: &str = "1.35.4";
/// The KEDA version of a cluster that names none.
pub const DEFAULT_KEDA: &str = "2.21.0";

/// The oldest KEDA whose programs take the flags that they are started with.
const OLDEST_KEDA: (u16, u16) = (2, 10);

/// How Go builds programs; `-v` prints a package a line.
const PROGRAMS: [&str; 2] = ["build", "-v"];
/// How Go builds KEDA's end-to-end tests without running them. Source: KEDA 2.21.0, `tests/README.md`: the tag.
const TESTS: [&str; 5] = ["test", "-c", "-vet=off", "-tags", "e2e"];

/// The launcher's source, carried in this binary so that it can be built anywhere.
const LAUNCHER_SOURCE: [(&str, &str); 5] = [
    ("go.mod", include_str!("../../../../kind/local/launcher/go.mod")),
    ("go.sum", include_str!("../../../../kind/local/launcher/go.sum")),
    ("main.go", include_str!("../../../../kind/local/launcher/main.go")),
    ("clock_probe.go", include_str!("../../../../kind/local/launcher/clock_probe.go")),
    ("supervise.go", include_str!("../../../../kind/local/launcher/supervise.go")),
];

/// Everything that has to be on disk before a cluster can start.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The control plane in one file.
    pub launcher: PathBuf,
    /// KEDA's operator.
    pub operator: PathBuf,
    /// KEDA's metrics adapter.
    pub adapter: PathBuf,
    /// The folder of KEDA's custom resource definitions.
    pub crds: PathBuf,
    /// KEDA's version.
    pub keda: String,
    /// Go's version.
    pub go: String,
}

/// Builds what is not in the cache yet for a cluster with `keda`, able to run at `speed`.
///
/// # Errors
/// [`LocalError`] if Go is missing or differs, a version does not exist, or a build fails.
pub async fn build(
    cache: &Path,
    keda: &str,
    speed: u32,
    progress: &Progress<'_>,
) -> Result<Programs, LocalError> {
    check_version(keda)?;
    let (go, overlay) = toolchain(speed).await?;
    let builder = Builder { cache, go: &go, overlay: overlay.as_ref(), progress };
    let launcher = builder.launcher().await?;
    let keda_folder = builder.keda(keda).await?;
    Ok(Programs {
        launcher: launcher.join("launcher"),
        operator: keda_folder.join("operator"),
        adapter: keda_folder.join("adapter"),
        crds: keda_folder.join("crds"),
        keda: keda.to_owned(),
        go: go.version.clone(),
    })
}

/// A test program of KEDA's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KedaTest {
    /// The program. It takes `go test`'s flags as `-test.v` and so on.
    pub program: PathBuf,
    /// The folder of its source, in which `go test` would run it.
    pub folder: PathBuf,
}

/// Builds KEDA's own end-to-end tests as they are, with clocks like those of the programs that they test.
/// `packages` are folders of KEDA's module, such as `tests/scalers/azure/azure_pipelines`.
///
/// # Errors
/// [`LocalError::NotATest`] if KEDA has no such tests; else as [`build`].
pub async fn build_keda_tests(
    cache: &Path,
    keda: &str,
    speed: u32,
    packages: &[String],
    progress: &Progress<'_>,
) -> Result<Vec<KedaTest>, LocalError> {
    check_version(keda)?;
    packages.iter().try_for_each(|package| check_test(package))?;
    let (go, overlay) = toolchain(speed).await?;
    let builder = Builder { cache, go: &go, overlay: overlay.as_ref(), progress };
    builder.keda_tests(keda, packages).await
}

/// Checks that a text can be a folder of KEDA's tests. It becomes an argument of Go.
///
/// # Errors
/// [`LocalError::NotATest`].
pub fn check_test(package: &str) -> Result<(), LocalError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    if package.starts_with("tests/") && package.chars().all(good) {
        Ok(())
    } else {
        Err(LocalError::NotATest(package.to_owned()))
    }
}

/// Go, and its patched runtime. In real time the programs can be built as they are.
async fn toolchain(speed: u32) -> Result<(Go, Option<Overlay>), LocalError> {
    let go = Go::find().await?;
    match Overlay::of(&go) {
        Ok(overlay) => Ok((go, Some(overlay))),
        Err(_) if speed == 1 => Ok((go, None)),
        Err(error) => Err(error),
    }
}

/// Checks that a KEDA version can be built. It becomes part of folder names and of a module query:
/// nothing but numbers and dots will do.
///
/// # Errors
/// [`LocalError::NotAVersion`] or [`LocalError::TooOld`].
pub fn check_version(keda: &str) -> Result<(), LocalError> {
    let numbers: Result<Vec<u16>, _> = keda.split('.').map(str::parse).collect();
    match numbers.as_deref() {
        Ok([major, minor, _]) if (*major, *minor) < OLDEST_KEDA => Err(LocalError::TooOld(keda.to_owned())),
        Ok([_, _, _]) => Ok(()),
        _ => Err(LocalError::NotAVersion(keda.to_owned())),
    }
}

struct Builder<'a> {
    cache: &'a Path,
    go: &'a Go,
    overlay: Option<&'a Overlay>,
    progress: &'a Progress<'a>,
}

impl Builder<'_> {
    async fn launcher(&self) -> Result<PathBuf, LocalError> {
        let mut hasher = Sha256::new();
        for (name, text) in LAUNCHER_SOURCE {
            hasher.update(name);
            hasher.update(text);
        }
        let name = format!("launcher-{KUBERNETES}-{}", short_hash(hasher));
        self.cached(&name, async |folder: &Path| {
            let source = folder.join("source");
            fs::create_dir_all(&source).map_err(|error| folder_error(&source, error))?;
            for (name, text) in LAUNCHER_SOURCE {
                let path = source.join(name);
                fs::write(&path, text).map_err(|error| folder_error(&path, error))?;
            }
            let what = format!("Kubernetes {KUBERNETES} control plane");
            self.go_build(&what, &source, folder, &PROGRAMS, &["."]).await
        })
        .await
    }

    async fn keda(&self, version: &str) -> Result<PathBuf, LocalError> {
        self.cached(&format!("keda-{version}"), async |folder: &Path| {
            let what = format!("KEDA {version}");
            self.progress.step(&format!("downloading {what}"));
            let module = self.download(version).await?;
            let crds = folder.join("crds");
            copy_yaml(&module.join("config").join("crd").join("bases"), &crds)
                .map_err(|error| folder_error(&crds, error))?;
            self.go_build(&what, &module, folder, &PROGRAMS, &["./cmd/operator", "./cmd/adapter"]).await
        })
        .await
    }

    async fn keda_tests(&self, version: &str, packages: &[String]) -> Result<Vec<KedaTest>, LocalError> {
        let module = self.download(version).await?;
        if let Some(missing) = packages.iter().find(|package| !module.join(package).is_dir()) {
            return Err(LocalError::NotATest(missing.clone()));
        }
        let mut hasher = Sha256::new();
        packages.iter().for_each(|package| hasher.update(format!("{package}\n")));
        let name = format!("keda-{version}-tests-{}", short_hash(hasher));
        let built = self
            .cached(&name, async |folder: &Path| {
                let what = format!("KEDA {version}'s own tests");
                self.progress.step(&format!("building {what}"));
                let paths: Vec<String> = packages.iter().map(|package| format!("./{package}")).collect();
                let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                self.go_build(&what, &module, folder, &TESTS, &paths).await
            })
            .await?;
        let test = |package: &String| {
            let name = package.rsplit('/').next().unwrap_or(package);
            KedaTest { program: built.join(format!("{name}.test")), folder: module.join(package) }
        };
        Ok(packages.iter().map(test).collect())
    }

    /// The folder `name` of the cache, made by `make` if it is not there. Whoever comes second waits.
    async fn cached(
        &self,
        name: &str,
        make: impl AsyncFnOnce(&Path) -> Result<(), LocalError>,
    ) -> Result<PathBuf, LocalError> {
        let overlay = self.overlay.map_or_else(|| "real-time".to_owned(), Overlay::hash);
        let name = format!("{name}-{}-{overlay}", self.go.version);
        let programs = self.cache.join("programs");
        let done = programs.join(&name);
        if done.exists() {
            return Ok(done);
        }
        fs::create_dir_all(&programs).map_err(|error| folder_error(&programs, error))?;
        let lock = lock_build(&programs.join(format!("{name}.lock")), self.progress).await?;
        if !done.exists() {
            let making = programs.join(format!("{name}.making"));
            let _ = fs::remove_dir_all(&making); // left by a build that was interrupted
            fs::create_dir_all(&making).map_err(|error| folder_error(&making, error))?;
            make(&making).await?;
            fs::rename(&making, &done).map_err(|error| folder_error(&done, error))?;
        }
        drop(lock);
        Ok(done)
    }

    /// Builds `packages` of the module at `source` into `folder`, each under its own name; `how` is Go's
    /// command with what it has for itself.
    async fn go_build(
        &self,
        what: &str,
        source: &Path,
        folder: &Path,
        how: &[&str],
        packages: &[&str],
    ) -> Result<(), LocalError> {
        let temporary = folder.join("temporary");
        fs::create_dir_all(&temporary).map_err(|error| folder_error(&temporary, error))?;
        let mut command = self.go.leashed_command();
        // What an interrupted build leaves lies where the next one clears up.
        command.env("GOTMPDIR", &temporary);
        command.current_dir(source).args(how).args(["-trimpath", "-buildvcs=false", "-ldflags", "-s -w"]);
        if let Some(overlay) = self.overlay {
            let folder = folder.join("overlay");
            let list = overlay.write(&folder).map_err(|error| folder_error(&folder, error))?;
            command.arg("-overlay").arg(list);
        }
        // A folder, with its slash, as output keeps the programs' own names.
        command.arg("-o").arg(folder.join("")).args(packages);
        self.watch_build(what, command).await?;
        let _ = fs::remove_dir_all(temporary);
        Ok(())
    }

    /// Runs a build; `-v` prints a package a line, which is the only progress Go shows.
    async fn watch_build(&self, what: &str, mut command: Command) -> Result<(), LocalError> {
        let mut child = command
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .map_err(|error| LocalError::NoGo(error.to_string()))?;
        // The leash: while it is held, the build lives.
        let _leash = child.stdin.take();
        let stderr = child.stderr.take().expect("standard error was asked for");
        let mut lines = BufReader::new(stderr).lines();
        let (mut compiled, mut said) = (0_u32, Vec::new());
        while let Ok(Some(line)) = lines.next_line().await {
            if is_package(&line) {
                compiled += 1;
                self.progress.compiled(what, compiled);
            } else if !line.starts_with("go: downloading ") {
                said.push(line);
            }
        }
        let status = child.wait().await.map_err(|error| LocalError::NoGo(error.to_string()))?;
        if status.success() {
            return Ok(());
        }
        Err(LocalError::BuildFailed { what: what.to_owned(), said: last_lines(&said) })
    }

    async fn download(&self, version: &str) -> Result<PathBuf, LocalError> {
        let module = format!("github.com/kedacore/keda/v2@v{version}");
        let failed = |said: String| LocalError::DownloadFailed { module: module.clone(), said };
        let output = self
            .go
            .command()
            .args(["mod", "download", "-json", &module])
            .current_dir(self.cache)
            .output()
            .await
            .map_err(|error| LocalError::NoGo(error.to_string()))?;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))?;
        match (&answer["Dir"], &answer["Error"]) {
            (serde_json::Value::String(folder), _) => Ok(PathBuf::from(folder)),
            (_, error) => Err(failed(error.as_str().unwrap_or("no folder in the answer").to_owned())),
        }
    }
}

/// Waits for the lock in a thread of its own: another build may hold it for minutes.
async fn lock_build(path: &Path, progress: &Progress<'_>) -> Result<File, LocalError> {
    let file = File::create(path).map_err(|error| folder_error(path, error))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    progress.step("waiting for another build of the same programs");
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked.expect("waiting for a lock does not panic").map_err(|error| folder_error(path, error))
}

fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#') && !line.contains(": ") && !line.contains(' ')
}

fn last_lines(lines: &[String]) -> String {
    const SHOWN: usize = 12;
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

fn copy_yaml(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if let (Some(name), Some("yaml")) = (path.file_name(), path.extension().and_then(|e| e.to_str())) {
            // Written anew: files of the module cache are read-only, and a copy would be too.
            fs::write(to.join(name), fs::read(&path)?)?;
        }
    }
    Ok(())
}

fn folder_error(path: &Path, source: std::io::Error) -> LocalError {
    LocalError::Folder { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keda_version_is_three_numbers() {
        assert!(check_version("2.21.0").is_ok());
        for bad in ["", "2.21", "v2.21.0", "2.21.0-rc1", "../../etc", "2.21.0.1"] {
            assert!(matches!(check_version(bad), Err(LocalError::NotAVersion(_))), "{bad}");
        }
        assert!(matches!(check_version("2.9.3"), Err(LocalError::TooOld(_))));
    }

    #[test]
    fn a_folder_of_kedas_tests_is_below_tests_and_has_no_tricks() {
        assert!(check_test("tests/scalers/azure/azure_pipelines").is_ok());
        for bad in ["tests/../../etc", "./tests/x", "cmd/operator", "tests/...", "-exec=x"] {
            assert!(matches!(check_test(bad), Err(LocalError::NotATest(_))), "{bad}");
        }
    }

    #[test]
    fn a_package_line_is_told_from_a_message() {
        assert!(is_package("k8s.io/api/core/v1"));
        for message in ["# k8s.io/api", "go: downloading x v1", "main.go:5:2: cannot use", ""] {
            assert!(!is_package(message), "{message}");
        }
    }
}
