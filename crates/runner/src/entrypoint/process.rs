//! A script in a process group of its own that does not outlive the check.
//!
//! The group's leader is a watcher: a shell that reads from a pipe whose other
//! end only the check holds. When that end is closed, because the check is done,
//! gave up, or was killed, the watcher kills the group and itself with it. What
//! leaves the group (`setsid`) is out of its reach.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::SignalKind;

/// Removes the folder too, since a check that was killed cannot.
const WATCHER: &str = r#"trap '' INT TERM HUP; read -r _; rm -rf -- "$1"; kill -KILL -- "-$$""#;

/// The signals that a script is sent, by number and kind.
const SIGNALS: [(u32, SignalKind); 2] = [(2, SignalKind::interrupt()), (15, SignalKind::terminate())];

/// A shell cannot trap a signal that was ignored when it was started (bash(1), SIGNALS), and whatever a
/// shell starts in the background begins with SIGINT ignored. A signal that this process hears,
/// though, has its default again in what it starts (execve(2)).
fn hear_what_is_ignored() -> io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for (number, kind) in SIGNALS {
        if ignored & (1 << (number - 1)) != 0 {
            drop(tokio::signal::unix::signal(kind)?);
        }
    }
    Ok(())
}

/// A running script and everything that it starts.
#[derive(Debug)]
pub(super) struct Script {
    script: Child,
    watcher: Child,
    /// Closed with this value.
    leash: Option<ChildStdin>,
    group: Pid,
    console: PathBuf,
    status: Option<ExitStatus>,
}

impl Script {
    /// Starts `program` with exactly this environment in `folder`. If the check is killed, `doomed`
    /// is removed.
    pub(super) fn start(
        program: &[&str],
        arguments: &[String],
        folder: &Path,
        doomed: &Path,
        environment: &BTreeMap<&str, String>,
    ) -> io::Result<Self> {
        let mut watcher = Command::new("bash")
            .args(["-c", WATCHER, "watcher"])
            .arg(doomed)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        hear_what_is_ignored()?;
        let leash = watcher.stdin.take();
        let leader = watcher.id().and_then(|id| i32::try_from(id).ok());
        let leader = leader.ok_or_else(|| io::Error::other("the watcher has no process id"))?;
        let group = Pid::from_raw(leader).ok_or_else(|| io::Error::other("the watcher has no process id"))?;
        let path = doomed.join("console.log");
        let console = File::create(&path)?;
        let script = Command::new(program[0])
            .args(&program[1..])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stderr(console.try_clone()?)
            .stdout(console)
            .process_group(leader)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { script, watcher, leash, group, console: path, status: None })
    }

    /// Sends a signal to the script alone, as a container's end does to process 1.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = self.script.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        match id {
            Some(id) => Ok(kill_process(id, signal)?),
            None => Err(io::Error::other("the script has ended already")),
        }
    }

    /// Waits for the script's end; what it started may go on.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        if self.status.is_none() {
            self.status = Some(self.script.wait().await?);
        }
        Ok(())
    }

    /// Whether the script has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// The exit code as a shell tells it, once the script has ended.
    pub(super) fn exit_code(&self) -> Option<i32> {
        let status = self.status?;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal))
    }

    /// The last lines of what the script and its children printed.
    pub(super) fn console(&self, lines: usize) -> String {
        let text = std::fs::read(&self.console).unwrap_or_default();
        let text = without_colours(&String::from_utf8_lossy(&text));
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Kills what is left of the group and waits for the two that are this process' own.
    pub(super) async fn end(mut self) {
        self.kill();
        // Killed above: there is nothing else to learn.
        let _ = self.script.wait().await;
        let _ = self.watcher.wait().await;
    }

    fn kill(&mut self) {
        // Gone already is just as well.
        let _ = kill_process_group(self.group, Signal::KILL);
        drop(self.leash.take());
    }
}

/// The text without the escape sequences that terminals take for colours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or(""),
        );
    }
    plain
}

impl Drop for Script {
    fn drop(&mut self) {
        // Not after the watcher was waited for: its number may be somebody else's by then.
        if self.watcher.id().is_some() {
            self.kill();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clock::wall;

    use super::*;

    fn start(text: &str, folder: &Path) -> Script {
        let environment = BTreeMap::from([("PATH", std::env::var("PATH").unwrap())]);
        Script::start(&["bash", "-c", text], &[], folder, folder, &environment).unwrap()
    }

    async fn gone(id: i32) -> bool {
        for _ in 0..2400 {
            // A process that nobody has waited for yet has ended all the same.
            let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return true;
            }
            wall::pause(Duration::from_millis(50)).await;
        }
        false
    }

    async fn child(folder: &Path) -> i32 {
        loop {
            let text = std::fs::read_to_string(folder.join("child")).unwrap_or_default();
            if let Some(id) = text.strip_suffix('\n') {
                return id.parse().unwrap();
            }
            wall::pause(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn exit_codes_are_a_shells() {
        let folder = tempfile::tempdir().unwrap();
        for (text, code) in [("exit 7", 7), ("kill -TERM $$", 143)] {
            let mut script = start(text, folder.path());
            assert_eq!((script.exit_code(), script.has_ended()), (None, false));
            script.ended().await.unwrap();
            assert_eq!(script.exit_code(), Some(code));
            script.end().await;
        }
    }

    #[tokio::test]
    async fn what_a_script_leaves_behind_ends_with_it_or_when_it_is_dropped() {
        for ordered in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let mut script = start("sleep 3000 & echo $! > child; exit 0", folder.path());
            let child = child(folder.path()).await;
            script.ended().await.unwrap();
            assert!(!gone_now(child), "it outlives the script");
            if ordered {
                script.end().await;
            } else {
                drop(script);
            }
            assert!(gone(child).await, "in order: {ordered}");
        }
    }

    fn gone_now(id: i32) -> bool {
        !Path::new(&format!("/proc/{id}")).exists()
    }

    #[tokio::test]
    async fn the_watcher_ends_the_group_and_the_folder_when_the_check_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let doomed = folder.path().join("doomed");
        std::fs::create_dir(&doomed).unwrap();
        let environment = BTreeMap::from([("PATH", std::env::var("PATH").unwrap())]);
        let text = "trap '' TERM; sleep 3000 & echo $! > ../child; wait";
        let mut script = Script::start(&["bash", "-c", text], &[], &doomed, &doomed, &environment).unwrap();
        let child = child(folder.path()).await;
        // All that the kernel does for a process that was killed.
        drop(script.leash.take());
        assert!(gone(child).await);
        script.ended().await.unwrap();
        assert_eq!(script.exit_code(), Some(137));
        assert!(!doomed.exists());
        script.end().await;
    }

    #[test]
    fn colours_are_not_text() {
        assert_eq!(without_colours("a \x1b[1;36mb\x1b[0m c"), "a b c");
        assert_eq!(without_colours("plain"), "plain");
    }
}
