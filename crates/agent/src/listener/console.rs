//! The listener's words, and what it finds out about its machine.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use azure_devops::agent::Observation;
use clock::Clock;
use model::event::JobResult;

/// Standard output and standard error. A console that is gone is no reason to stop.
pub(super) struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Console<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    pub(super) fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    pub(super) fn section(&mut self, title: &str) {
        self.line(&format!("\n>> {title}\n"));
    }

    pub(super) fn timed(&mut self, clock: Clock, text: &str) {
        self.line(&format!("{}: {text}", date(clock)));
    }

    pub(super) fn error(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
        let _ = self.err.flush();
    }

    pub(super) fn observed(&mut self, clock: Clock, observation: &Observation) {
        match observation {
            Observation::Listening { .. } => self.timed(clock, "Listening for Jobs"),
            Observation::SessionExists => self.error("A session for this agent already exists."),
            Observation::SessionExistsStopRetry => {
                self.error("Stop retry on SessionConflictException after retried for 240 seconds.");
            }
            Observation::AgentMissing => {
                self.error("The agent no longer exists on the server. Please reconfigure the agent.");
            }
            Observation::SessionCreateFailed { message } => {
                self.error(&format!("Failed to create session. {message}"));
            }
            Observation::ConnectError { message } => self.error(&format!(
                "{}: Agent connect error: {message}. Retrying until reconnected.",
                date(clock)
            )),
            Observation::Reconnected => self.timed(clock, "Agent reconnected."),
            Observation::Failed { message } => self.error(&format!("An error occurred: {message}")),
            // The real one says nothing at this point.
            Observation::JobLocked { .. } => {}
            Observation::JobStarted { name, .. } => self.timed(clock, &format!("Running job: {name}")),
            Observation::JobCompleted { name, result, .. } => {
                self.timed(clock, &format!("Job {name} completed with result: {}", word(*result)));
            }
            Observation::JobDropped { request, because } => {
                self.timed(clock, &format!("Job request {request} was dropped: {because}"));
            }
            Observation::MessageIgnored { kind } => {
                self.timed(clock, &format!("Received a message with unsupported message type {kind}."));
            }
            Observation::Stopping => self.line("Exiting..."),
        }
    }
}

fn word(result: JobResult) -> &'static str {
    match result {
        JobResult::Succeeded => "Succeeded",
        JobResult::SucceededWithIssues => "SucceededWithIssues",
        JobResult::Failed => "Failed",
        JobResult::Canceled => "Canceled",
        JobResult::Skipped => "Skipped",
        JobResult::Abandoned => "Abandoned",
    }
}

/// As .NET's universal sortable format writes it: `2026-08-02 07:27:14Z`.
fn date(clock: Clock) -> String {
    let seconds = i64::try_from(clock.date(clock.now()).as_secs()).unwrap_or(i64::MAX);
    let date = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    date.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Variables that are nobody's capabilities.
/// Source: microsoft/azure-pipelines-agent, src/Microsoft.VisualStudio.Services.Agent/Capabilities/
/// EnvironmentCapabilitiesProvider.cs, its list of well-known names.
const IGNORED: [&str; 8] = ["TERM", "SHLVL", "LS_COLORS", "MAIL", "PS1", "_", "OLDPWD", "VSO_AGENT_IGNORE"];
/// A variable with a longer value is not a capability; source: the same file.
const LONGEST_VALUE: usize = 1024;
/// Programs that are capabilities if they lie on the path.
/// Source: the same agent, NixCapabilitiesProvider.cs.
const TOOLS: [(&str, &str); 12] = [
    ("bash", "bash"),
    ("curl", "curl"),
    ("docker", "docker"),
    ("git", "git"),
    ("java", "java"),
    ("make", "make"),
    ("maven", "mvn"),
    ("node.js", "node"),
    ("npm", "npm"),
    ("python", "python"),
    ("python3", "python3"),
    ("sh", "sh"),
];

/// What the machine can do: its environment and the programs on its path.
pub(super) fn capabilities(
    environment: &BTreeMap<String, String>,
    root: &Path,
    host_name: &str,
) -> BTreeMap<String, String> {
    let unwanted = environment.get("VSO_AGENT_IGNORE").map_or("", String::as_str);
    let wanted = |name: &str| {
        !IGNORED.contains(&name)
            && unwanted.split(',').all(|unwanted| !unwanted.trim().eq_ignore_ascii_case(name))
    };
    let path = environment.get("PATH").map_or("", String::as_str);
    let tools = TOOLS.iter().filter_map(|(capability, program)| {
        let found =
            std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())?;
        Some(((*capability).to_owned(), found.to_string_lossy().into_owned()))
    });
    let variables = environment
        .iter()
        .filter(|(name, value)| wanted(name) && value.len() < LONGEST_VALUE)
        .map(|(name, value)| (name.clone(), value.clone()));
    let own = [
        ("Agent.ComputerName".to_owned(), host_name.to_owned()),
        ("Agent.HomeDirectory".to_owned(), root.to_string_lossy().into_owned()),
    ];
    variables.chain(tools).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_a_capability_but_for_what_the_script_hides() {
        let environment = [
            ("gpu", "1"),
            ("AZP_TOKEN_FILE", "/azp/.token"),
            ("VSO_AGENT_IGNORE", "AZP_TOKEN,AZP_TOKEN_FILE"),
            ("TERM", "xterm"),
            ("PATH", "/nowhere:/bin"),
        ];
        let environment =
            environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let capabilities = capabilities(&environment, Path::new("/azp"), "pod-1");
        assert_eq!(capabilities["gpu"], "1");
        assert_eq!(capabilities["Agent.ComputerName"], "pod-1");
        assert_eq!(capabilities["sh"], "/bin/sh");
        for hidden in ["AZP_TOKEN_FILE", "VSO_AGENT_IGNORE", "TERM", "docker compose"] {
            assert!(!capabilities.contains_key(hidden), "{hidden}");
        }
    }
}
