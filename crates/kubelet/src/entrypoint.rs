//! The start script of an Azure Pipelines agent in a container, as a pure machine.
//!
//! The script looks up the agent's package, downloads it, configures the agent,
//! runs it in the background and waits; its traps unregister the agent on the
//! way out. What it does under signals, and its exit codes, were found by running
//! such a script under bash 5.2 as PID 1 with stand-ins for the agent's scripts:
//!
//! | what happens | what comes of it |
//! | --- | --- |
//! | lookup refused or empty | 1; not JSON: jq's 4; no connection: curl's 7 |
//! | configuration fails | its exit code, nothing is unregistered: no trap is set yet |
//! | TERM before the traps are set | PID 1 without a handler: ignored for good, until SIGKILL |
//! | TERM after that | the trap runs at once and unregisters, again every 30 s while refused; the agent itself is not told |
//! | the trap then exits with 143 | but the EXIT trap has the last word: 0 |
//! | the agent ends, whatever its code | EXIT trap: unregisters, 0 |
//! | TERM while the EXIT trap is at it | once the running command is done the TERM trap takes over: 143 |
//! | agent's name contains "template" | no traps: exit code of the agent, TERM ignored |
//!
//! The scripts of KEDA's test images differ, found in the same way:
//!
//! | what happens | [`Script::KedaAgent`] | [`Script::KedaAdvancedAgent`] |
//! | --- | --- | --- |
//! | the agent ends | its exit code; it stays registered: there is no EXIT trap | unregisters, 0 |
//! | TERM, and the removal succeeds | 143 | 0: the EXIT trap has the last word |
//! | a removal is refused | 1, at once | once more by the EXIT trap, then 1 |

use model::{Instant, Millis};

/// From a refused removal to the next try. Source: the script's `sleep 30`.
pub const RETRY_REMOVAL: Millis = Millis::seconds(30);
/// When the agent's configuration begins, in percent of the time from the container's start to
/// listening. The package's download is most of what lies before it. An assumption.
pub const CONFIGURES_AT_PERCENT: u64 = 50;
/// When configuring is done and the traps are set, in percent of the same time. What follows is the
/// listener's own start. An assumption.
pub const STARTS_AGENT_AT_PERCENT: u64 = 80;

/// Exit code of the script when it finds something missing.
const MISSING: i32 = 1;
/// Exit code of the agent's removal when it is refused, with which `set -e` leaves a script that does not retry.
const REFUSED: i32 = 1;
/// Exit code after the TERM trap: 128 + 15.
const TERMINATED: i32 = 143;

/// What differs from one script to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which script it is.
    pub script: Script,
    /// Whether `--once` is among the container's arguments.
    pub once: bool,
    /// Whether `AZP_AGENT_NAME` contains "template": the agent is to stay registered.
    pub template: bool,
    /// Whether the script has a token, an address and what else it insists on.
    pub complete: bool,
    /// Whether it is PID 1, which no signal ends that it has no trap for, except SIGKILL.
    pub first_process: bool,
    /// From the container's start to listening for jobs.
    pub start_up: Millis,
}

/// The known scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Script {
    /// Microsoft's of 2023: sets its traps after configuring, not for templates, never disables the
    /// EXIT trap, and always runs the agent with `--once`.
    #[default]
    RunDocker,
    /// Microsoft's of today: sets its traps before configuring, disables the EXIT trap when cleaning
    /// up, and runs the agent with `--once` only if told so.
    Run,
    /// Microsoft's of 2021, as KEDA's end-to-end tests have it in `tests-azure-pipelines-agent`: traps for
    /// TERM and INT only, set after configuring; the agent takes one job after the other; a removal that
    /// is refused ends the script. Source: kedacore/test-tools, commit b3a02cc,
    /// `e2e/images/azure-pipelines/agent/start.sh`.
    KedaAgent,
    /// The one of `tests-azure-pipelines-advagent`: as [`Self::RunDocker`], but a removal that is refused
    /// ends the script. Source: as above, commit 4713819, `e2e/images/azure-pipelines/advagent/start.sh`.
    KedaAdvancedAgent,
}

/// The images of KEDA's end-to-end tests, whatever their tag, and their scripts.
const IMAGES: [(&str, Script); 2] = [
    ("ghcr.io/kedacore/tests-azure-pipelines-agent", Script::KedaAgent),
    ("ghcr.io/kedacore/tests-azure-pipelines-advagent", Script::KedaAdvancedAgent),
];

impl Script {
    /// The script of an image whose source is public.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        IMAGES
            .into_iter()
            .find(|(known, _)| {
                name.strip_prefix(known).is_some_and(|tag| tag.is_empty() || tag.starts_with(':'))
            })
            .map(|(_, script)| script)
    }
}

/// What the machine is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The answer to [`Action::LookUpPackage`].
    Package(Package),
    /// [`Action::Configure`] succeeded: the agent is registered.
    Configured,
    /// [`Action::Configure`] failed with this exit code.
    ConfigureFailed(i32),
    /// The agent has a session.
    Listening,
    /// The agent ended with this exit code.
    AgentExited(i32),
    /// [`Action::Remove`] succeeded, or there was nothing to remove.
    Removed,
    /// [`Action::Remove`] was refused, or the service could not be reached.
    RemoveFailed,
    /// SIGTERM.
    Term,
}

/// What became of looking up the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// There is one.
    Found,
    /// The answer names none: a refused token's answer is an empty body.
    NotOffered,
    /// The answer is not JSON, for example a sign-in page.
    Unreadable,
    /// There was no answer.
    Unreachable,
}

/// What the machine wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Ask the service for the agent's package.
    LookUpPackage,
    /// Register the agent, replacing one of the same name.
    Configure,
    /// Run the agent.
    RunAgent {
        /// For one job only.
        once: bool,
    },
    /// Unregister the agent.
    Remove,
    /// The script has ended, and every process of the container with it.
    Exit(i32),
}

/// The start script.
#[derive(Debug, Clone)]
pub struct Entrypoint {
    settings: Settings,
    started: Instant,
    /// Whether a configuration lies on the disk, so that there is something to remove.
    configured: bool,
    listening: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LookingUp,
    Downloading {
        until: Instant,
    },
    Configuring,
    /// Registered; the agent's tools have yet to finish.
    Configured {
        until: Instant,
    },
    /// Traps are set, the listener starts.
    StartingAgent {
        until: Instant,
    },
    Running,
    Removing(CleanUp),
    Waiting {
        until: Instant,
        clean_up: CleanUp,
    },
    Ended,
}

/// A run of the script's clean-up function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CleanUp {
    trap: Trap,
    /// TERM came while a command of the EXIT trap ran.
    term: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trap {
    Exit,
    Term,
    /// The TERM trap inside the EXIT trap, which will not run again.
    TermInExit,
}

impl Entrypoint {
    /// The script is started at `now`.
    #[must_use]
    pub fn start(now: Instant, settings: Settings) -> (Self, Action) {
        let mut script =
            Self { settings, started: now, configured: false, listening: false, state: State::LookingUp };
        let action = if settings.complete { Action::LookUpPackage } else { script.exit(MISSING) };
        (script, action)
    }

    /// Whether the agent has a session.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listening
    }

    /// When the machine wants to be woken with [`Self::advance`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Downloading { until }
            | State::Configured { until }
            | State::StartingAgent { until }
            | State::Waiting { until, .. } => Some(until),
            State::LookingUp | State::Configuring | State::Running | State::Removing(_) | State::Ended => {
                None
            }
        }
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Instant) -> Option<Action> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        match self.state {
            State::Downloading { .. } => {
                self.state = State::Configuring;
                Some(Action::Configure)
            }
            State::Configured { .. } => {
                self.state = State::StartingAgent { until: (self.started + self.settings.start_up).max(now) };
                None
            }
            State::StartingAgent { .. } => {
                self.state = State::Running;
                Some(Action::RunAgent { once: self.once() })
            }
            State::Waiting { clean_up, .. } => Some(self.try_again(clean_up)),
            State::LookingUp | State::Configuring | State::Running | State::Removing(_) | State::Ended => {
                None
            }
        }
    }

    /// Something happened. What does not fit the state comes too late and is ignored.
    pub fn handle(&mut self, now: Instant, input: Input) -> Option<Action> {
        match (self.state, input) {
            (_, Input::Term) => self.terminate(),
            (State::LookingUp, Input::Package(package)) => self.looked_up(now, package),
            (State::Configuring, Input::Configured) => {
                self.configured = true;
                self.state = State::Configured { until: self.after(STARTS_AGENT_AT_PERCENT).max(now) };
                None
            }
            (State::Configuring, Input::ConfigureFailed(code)) => Some(self.fail(code)),
            (State::Running, Input::Listening) => {
                self.listening = true;
                None
            }
            (State::Running, Input::AgentExited(code)) => {
                self.listening = false;
                Some(self.fail(code))
            }
            (State::Removing(_) | State::Waiting { .. }, Input::AgentExited(_)) => {
                self.listening = false;
                None
            }
            (State::Removing(clean_up), Input::Removed) => {
                self.configured = false;
                Some(self.cleaned_up(clean_up))
            }
            (State::Removing(clean_up), Input::RemoveFailed) => self.refused(now, clean_up),
            _ => None,
        }
    }

    fn looked_up(&mut self, now: Instant, package: Package) -> Option<Action> {
        match package {
            Package::Found => {
                self.state = State::Downloading { until: self.after(CONFIGURES_AT_PERCENT).max(now) };
                None
            }
            Package::NotOffered => Some(self.exit(MISSING)),
            // jq 1.6 ("parse error: Invalid numeric literal") and curl ("failed to connect").
            Package::Unreadable => Some(self.exit(4)),
            Package::Unreachable => Some(self.exit(7)),
        }
    }

    fn terminate(&mut self) -> Option<Action> {
        if let State::Removing(clean_up) | State::Waiting { clean_up, .. } = &mut self.state {
            // Only the EXIT trap's clean-up is cut short: bash does not run a trap inside itself.
            clean_up.term |= clean_up.trap == Trap::Exit;
            None
        } else if self.traps() {
            Some(self.clean_up(Trap::Term))
        } else if self.settings.first_process || self.state == State::Ended {
            None
        } else {
            Some(self.exit(TERMINATED))
        }
    }

    /// A command failed or the last one ended: under `set -e` both leave the script.
    fn fail(&mut self, code: i32) -> Action {
        if self.traps() && self.settings.script != Script::KedaAgent {
            self.clean_up(Trap::Exit)
        } else {
            self.exit(code)
        }
    }

    /// Whether the script has set its traps.
    fn traps(&self) -> bool {
        match (self.settings.script, self.state) {
            (_, State::LookingUp | State::Downloading { .. } | State::Ended) => false,
            (Script::Run, _) => true,
            (_, State::Configuring | State::Configured { .. }) => false,
            (Script::RunDocker | Script::KedaAdvancedAgent, _) => !self.settings.template,
            (Script::KedaAgent, _) => true,
        }
    }

    fn clean_up(&mut self, trap: Trap) -> Action {
        let clean_up = CleanUp { trap, term: false };
        if self.configured {
            self.state = State::Removing(clean_up);
            Action::Remove
        } else {
            self.cleaned_up(clean_up)
        }
    }

    fn refused(&mut self, now: Instant, clean_up: CleanUp) -> Option<Action> {
        if clean_up.term {
            return Some(self.clean_up(Trap::TermInExit));
        }
        match (self.settings.script, clean_up.trap) {
            (Script::RunDocker | Script::Run, _) => {}
            (Script::KedaAdvancedAgent, Trap::Term) => return Some(self.clean_up(Trap::Exit)),
            (Script::KedaAgent | Script::KedaAdvancedAgent, _) => return Some(self.exit(REFUSED)),
        }
        self.state = State::Waiting { until: now + RETRY_REMOVAL, clean_up };
        None
    }

    fn try_again(&mut self, clean_up: CleanUp) -> Action {
        self.clean_up(if clean_up.term { Trap::TermInExit } else { clean_up.trap })
    }

    fn cleaned_up(&mut self, clean_up: CleanUp) -> Action {
        match clean_up.trap {
            Trap::Exit if clean_up.term => self.clean_up(Trap::TermInExit),
            Trap::Exit => self.exit(0),
            // The EXIT trap cleans up once more, finds nothing configured, and exits with 0.
            Trap::Term if matches!(self.settings.script, Script::RunDocker | Script::KedaAdvancedAgent) => {
                self.exit(0)
            }
            Trap::Term | Trap::TermInExit => self.exit(TERMINATED),
        }
    }

    fn exit(&mut self, code: i32) -> Action {
        self.state = State::Ended;
        self.listening = false;
        Action::Exit(code)
    }

    fn once(&self) -> bool {
        match self.settings.script {
            Script::RunDocker | Script::KedaAdvancedAgent => true,
            Script::Run => self.settings.once,
            Script::KedaAgent => false,
        }
    }

    fn after(&self, percent: u64) -> Instant {
        self.started + Millis(self.settings.start_up.0.saturating_mul(percent) / 100)
    }
}

#[cfg(test)]
mod tests;
