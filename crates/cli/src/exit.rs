//! Exit codes, all of them, in one place.

use std::fmt;
use std::process::ExitCode;

use cluster::local::LocalError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// As wished.
    Passed,
    /// Rules were broken.
    Findings,
    /// The command line or a scenario is wrong.
    Usage,
    /// The machine lacks something: Go, a port, room on the disk.
    Environment,
    /// Nothing can be said: the machine was too slow, or nothing was tested.
    Inconclusive,
    /// A bug of ours.
    Internal,
    /// Somebody interrupted it.
    Interrupted,
    /// What the agent's own programs exit with.
    Code(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Inconclusive => 4,
            Self::Internal => 5,
            Self::Interrupted => 130,
            Self::Code(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command gave up, and with which code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, message: message.to_string() }
    }

    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Internal, message: message.to_string() }
    }

    pub(crate) fn environment(message: impl fmt::Display) -> Self {
        Self { exit: Exit::Environment, message: message.to_string() }
    }
}

impl From<LocalError> for Failure {
    fn from(error: LocalError) -> Self {
        let exit = match &error {
            LocalError::NotAVersion(_)
            | LocalError::NotATest(_)
            | LocalError::TooOld(_)
            | LocalError::BadName(_)
            | LocalError::Speed(_) => Exit::Usage,
            _ => Exit::Environment,
        };
        Self { exit, message: error.to_string() }
    }
}
