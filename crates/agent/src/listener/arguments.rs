//! The listener's command line.

use std::collections::BTreeMap;

/// What the listener is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Configure,
    Remove,
    Run,
}

/// A command and its flags, by their names in lower case: the real listener ignores case too.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) command: Command,
    flags: BTreeMap<String, String>,
}

const SWITCHES: [&str; 4] = ["unattended", "replace", "acceptteeeula", "once"];
const OPTIONS: [&str; 7] = ["agent", "url", "auth", "token", "pool", "work", "startuptype"];

impl Arguments {
    /// Reads a command line without the program's name.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, String> {
        let (command, flags) = match arguments.first().map(String::as_str) {
            Some("configure") => (Command::Configure, &arguments[1..]),
            Some("remove") => (Command::Remove, &arguments[1..]),
            Some("run") => (Command::Run, &arguments[1..]),
            _ => (Command::Run, arguments),
        };
        let arguments = Self { command, flags: flags_of(flags)? };
        if command != Command::Run && !arguments.switch("unattended") {
            return Err("the emulated agent asks no questions: --unattended is missing".to_owned());
        }
        Ok(arguments)
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<String, String> {
        match self.value(name) {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(format!(
                "Invalid configuration provided for {name}. Terminating unattended configuration: --{name} is missing"
            )),
        }
    }
}

fn flags_of(arguments: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut flags = BTreeMap::new();
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let name = argument.strip_prefix("--").unwrap_or_default().to_ascii_lowercase();
        if SWITCHES.contains(&name.as_str()) {
            flags.insert(name, String::new());
        } else if OPTIONS.contains(&name.as_str()) {
            // A value may be empty, but it is not the next flag.
            let value = rest.next_if(|value| !value.starts_with("--"));
            let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
            flags.insert(name, value.clone());
        } else {
            return Err(format!("unrecognized command-line input argument: '{argument}'"));
        }
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_known_by_name_in_any_case_and_order() {
        let arguments =
            parse("configure --UNATTENDED --url http://x/y --token t --Replace --acceptTeeEula").unwrap();
        assert_eq!(arguments.command, Command::Configure);
        assert_eq!(arguments.value("url"), Some("http://x/y"));
        assert!(arguments.switch("replace") && !arguments.switch("once"));
    }

    #[test]
    fn no_command_means_run_as_service_or_not() {
        for line in ["run --startuptype service", "--startuptype service"] {
            assert_eq!(parse(line).unwrap().command, Command::Run);
        }
        assert!(parse("run --once").unwrap().switch("once"));
    }

    #[test]
    fn a_flag_without_its_value_or_without_a_meaning_is_refused() {
        assert!(parse("configure --unattended --url --token t").is_err());
        assert!(parse("run --sometimes").is_err());
        assert!(parse("run once").is_err());
    }
}
