//! `bin/Agent.Listener` of the package: what `config.sh` and `run.sh` start.
//!
//! It takes the flags that start scripts give the real one, keeps its state in
//! the agent's folder as that one does, and speaks its words on the console. A
//! flag that it does not know is an error: the real listener only warns, but a
//! check should not pass by ignoring what a script asks for.

mod arguments;
mod console;
mod state;

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use azure_devops::agent::exit_code;
use clock::Clock;
use clock::dilation::{EPOCH_VARIABLE, SPEED_VARIABLE};

use crate::setup::{Removal, register, unregister};
use crate::shell::{RunOptions, run};
use crate::{Identity, Registration};
use arguments::{Arguments, Command};
use console::Console;
use state::State;

/// The file name under which the binary is a listener.
pub const FILE_NAME: &str = "Agent.Listener";

/// The agent's folder, if `program` is the listener of an unpacked package.
#[must_use]
pub fn directory_of(program: &Path) -> Option<PathBuf> {
    if program.file_name()? != FILE_NAME {
        return None;
    }
    Some(program.parent()?.parent()?.to_owned())
}

/// Does what the listener's command line says, in the process' own environment, and gives the exit
/// code. `arguments` come without the program's name.
pub async fn listener(arguments: &[String], directory: &Path) -> i32 {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    listen(arguments, directory, &environment, terminated(), &mut io::stdout(), &mut io::stderr()).await
}

/// Completes when the process is told to end.
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without handlers the signals end the process by themselves.
        _ => std::future::pending().await,
    }
}

/// The same with everything that comes from the process passed in.
pub(crate) async fn listen(
    arguments: &[String],
    directory: &Path,
    environment: &BTreeMap<String, String>,
    stop: impl Future<Output = ()>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    let mut console = Console::new(out, err);
    let begun = Arguments::parse(arguments).and_then(|arguments| Ok((arguments, clock(environment)?)));
    let (arguments, clock) = match begun {
        Ok(begun) => begun,
        Err(message) => {
            console.error(&message);
            return exit_code::TERMINATED_ERROR;
        }
    };
    let task = Task { clock, arguments, state: State::of(directory), environment };
    let done = match task.arguments.command {
        Command::Configure => task.configure(&mut console).await.map(|()| exit_code::SUCCESS),
        Command::Remove => task.remove(&mut console).await.map(|()| exit_code::SUCCESS),
        Command::Run => task.run(&mut console, stop).await,
    };
    done.unwrap_or_else(|message| {
        console.error(&message);
        exit_code::TERMINATED_ERROR
    })
}

fn clock(environment: &BTreeMap<String, String>) -> Result<Clock, String> {
    let number = |name: &str| match environment.get(name) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{name} is not a whole number above zero: {text}")),
        },
    };
    let speed = number(SPEED_VARIABLE)?.unwrap_or(1);
    let speed = u32::try_from(speed).map_err(|_| format!("{SPEED_VARIABLE} is too large: {speed}"))?;
    Ok(match number(EPOCH_VARIABLE)? {
        Some(since) => Clock::join(speed, Duration::from_nanos(since)),
        None => Clock::start(speed),
    })
}

struct Task<'a> {
    clock: Clock,
    arguments: Arguments,
    state: State,
    environment: &'a BTreeMap<String, String>,
}

impl Task<'_> {
    async fn configure(&self, console: &mut Console<'_>) -> Result<(), String> {
        if self.state.is_configured() {
            return Err("Cannot configure the agent because it is already configured. To reconfigure the \
                        agent, run 'config.cmd remove' or './config.sh remove' first."
                .to_owned());
        }
        let identity = Identity {
            url: self.arguments.required("url")?,
            token: self.token()?,
            pool: self.arguments.value("pool").unwrap_or("Default").to_owned(),
            name: self.arguments.value("agent").map_or_else(|| self.host_name(), str::to_owned),
        };
        console.section("Connect:");
        console.line("Connecting to server ...");
        console.section("Register Agent:");
        console.line("Scanning for tool capabilities.");
        let capabilities = console::capabilities(self.environment, self.state.root(), &self.host_name());
        console.line("Connecting to the server.");
        let registered =
            register(self.clock, &identity, &capabilities, self.arguments.switch("replace")).await;
        let (registration, replaced) = registered.map_err(|error| error.to_string())?;
        console.line(if replaced {
            "Successfully replaced the agent"
        } else {
            "Successfully added the agent"
        });
        console.line("Testing agent connection.");
        self.state
            .save(&identity, &registration, self.arguments.value("work").unwrap_or("_work"))
            .map_err(|error| format!("cannot save the settings: {error}"))?;
        console.timed(self.clock, "Settings Saved.");
        Ok(())
    }

    async fn remove(&self, console: &mut Console<'_>) -> Result<(), String> {
        const STEP: &str = "Removing agent from the server";
        console.line(STEP);
        let Some((mut identity, registration)) = self.state.load()? else {
            console.line(
                "Cannot connect to server, because config files are missing. Skipping removing agent from \
                 the server.",
            );
            return Ok(());
        };
        identity.token = self.token()?;
        match unregister(self.clock, &identity, &registration).await {
            Ok(Removal::Removed) => console.line(&format!("Succeeded: {STEP}")),
            Ok(Removal::NotThere) => console.line(&format!("Does not exist. Skipping {STEP}")),
            Err(error) => {
                console.error(&format!("Failed: {STEP}"));
                return Err(error.to_string());
            }
        }
        self.state.delete().map_err(|error| format!("cannot remove the settings: {error}"))?;
        console.line("Succeeded: Removing .credentials");
        console.line("Succeeded: Removing .agent");
        Ok(())
    }

    async fn run(&self, console: &mut Console<'_>, stop: impl Future<Output = ()>) -> Result<i32, String> {
        let Some((identity, mut registration)) = self.state.load()? else {
            return Err("Error: The agent is not configured. Run 'config.(sh/cmd)' first.".to_owned());
        };
        console.line("Scanning for tool capabilities.");
        registration.capabilities = azure_devops::agent::capabilities(
            &registration.name,
            console::capabilities(self.environment, self.state.root(), &self.host_name()),
        );
        console.line("Connecting to the server.");
        let options = RunOptions { once: self.arguments.switch("once"), seed: seed(&registration) };
        let clock = self.clock;
        let observe = |observation| console.observed(clock, &observation);
        Ok(run(clock, &identity, &registration, options, stop, observe).await)
    }

    fn token(&self) -> Result<String, String> {
        let auth = self.arguments.value("auth").unwrap_or("PAT");
        if !auth.eq_ignore_ascii_case("PAT") {
            return Err(format!("the emulated agent knows no --auth but PAT: {auth}"));
        }
        self.arguments.required("token")
    }

    fn host_name(&self) -> String {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = [self.environment.get("HOSTNAME").map_or("", String::as_str), kernel.trim(), "agent"];
        name.into_iter().find(|name| !name.is_empty()).unwrap_or("agent").to_owned()
    }
}

/// The pauses differ between agents, and between an agent and the next of the same name.
fn seed(registration: &Registration) -> u64 {
    registration.agent.wrapping_mul(1_000_003).wrapping_add(u64::from(std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(arguments: &[&str], directory: &Path, environment: &[(&str, &str)]) -> (i32, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let environment =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let stop = std::future::pending();
        let code = runtime.block_on(listen(&arguments, directory, &environment, stop, &mut out, &mut err));
        (code, String::from_utf8([out, err].concat()).unwrap())
    }

    #[test]
    fn only_a_program_of_that_name_is_a_listener_and_its_folder_is_two_up() {
        assert_eq!(directory_of(Path::new("/azp/bin/Agent.Listener")), Some("/azp".into()));
        assert_eq!(directory_of(Path::new("/usr/bin/poolproof")), None);
    }

    #[test]
    fn what_cannot_be_done_is_said_and_exits_with_one() {
        let folder = tempfile::tempdir().unwrap();
        for (arguments, words) in [
            (&["run", "--twice"][..], "unrecognized"),
            (&["dance"], "unrecognized"),
            (&["configure", "--unattended", "--url"], "--url needs a value"),
            (&["configure", "--unattended", "--token", "x"], "--url is missing"),
            (&["configure", "--url", "http://x/y", "--token", "x"], "--unattended"),
            (&["configure", "--unattended", "--url", "http://x/y", "--auth", "SP", "--token", "x"], "PAT"),
            (&["configure", "--unattended", "--url", "https://x/y", "--token", "x"], "TLS"),
            (&["run", "--once"], "not configured"),
        ] {
            let (code, text) = say(arguments, folder.path(), &[]);
            assert_eq!(code, exit_code::TERMINATED_ERROR, "{arguments:?}");
            assert!(text.contains(words), "{arguments:?} said {text}");
        }
        let (code, text) = say(&["run"], folder.path(), &[(SPEED_VARIABLE, "fast")]);
        assert_eq!(code, exit_code::TERMINATED_ERROR);
        assert!(text.contains(SPEED_VARIABLE), "{text}");
    }

    #[test]
    fn an_agent_that_was_never_configured_is_removed_without_a_word_to_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["remove", "--unattended", "--auth", "PAT", "--token", "x"];
        let (code, text) = say(&arguments, folder.path(), &[]);
        assert_eq!(code, exit_code::SUCCESS);
        assert!(text.contains("config files are missing"), "{text}");
    }
}
