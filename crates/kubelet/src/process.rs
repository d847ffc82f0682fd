//! What runs in a container: its first process, and what signals do to it.

use model::{Instant, Millis};

use crate::entrypoint::{self, Entrypoint};

/// How long a plain init container runs. An assumption: nobody can tell from its image.
pub const INIT_RUN: Millis = Millis::seconds(1);

/// What a container is to run, decided by its image and environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Anything that is not modelled. As an init container it ends with 0 after [`INIT_RUN`], else it
    /// runs until SIGTERM and exits with 143 at once.
    ///
    /// A first process without a handler would ignore SIGTERM; programs meant for containers have one.
    Plain,
    /// The start script of an agent. Its [`entrypoint::Settings::first_process`] is set by the pod.
    Entrypoint(entrypoint::Settings),
}

/// The first process of a running container.
#[derive(Debug, Clone)]
pub enum Process {
    /// Anything that is not modelled.
    Plain {
        /// When it ends by itself.
        ends: Option<Instant>,
    },
    /// The start script of an agent.
    Entrypoint(Entrypoint),
}

impl Process {
    /// The exit code of a process that SIGTERM ends: 128 + 15.
    const TERMINATED: i32 = 143;

    pub(crate) fn start(now: Instant, program: Program, init: bool) -> (Self, Option<entrypoint::Action>) {
        match program {
            Program::Plain => (Self::Plain { ends: init.then(|| now + INIT_RUN) }, None),
            Program::Entrypoint(settings) => {
                let (script, action) = Entrypoint::start(now, settings);
                (Self::Entrypoint(script), Some(action))
            }
        }
    }

    /// Whether an agent in it listens for jobs.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(self, Self::Entrypoint(script) if script.listens())
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self {
            Self::Plain { ends } => *ends,
            Self::Entrypoint(script) => script.next_deadline(),
        }
    }

    pub(crate) fn advance(&mut self, now: Instant) -> Option<entrypoint::Action> {
        match self {
            Self::Plain { ends } => {
                ends.is_some_and(|ends| ends <= now).then_some(entrypoint::Action::Exit(0))
            }
            Self::Entrypoint(script) => script.advance(now),
        }
    }

    pub(crate) fn handle(&mut self, now: Instant, input: entrypoint::Input) -> Option<entrypoint::Action> {
        match self {
            Self::Plain { .. } => {
                (input == entrypoint::Input::Term).then_some(entrypoint::Action::Exit(Self::TERMINATED))
            }
            Self::Entrypoint(script) => script.handle(now, input),
        }
    }
}
