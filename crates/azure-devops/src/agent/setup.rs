//! `config.sh` and `config.sh remove`: a few calls in a row.
//!
//! Source: microsoft/azure-pipelines-agent, src/Agent.Listener/Configuration/ConfigurationManager.cs,
//! `ConfigureAsync` and `UnconfigureAsync`. It all happens on the client's side: whether a name is
//! taken is asked before the agent is added, and a removal looks the name up but deletes the id
//! that was stored when the agent was configured.

use std::sync::Arc;

use model::{Instant, Millis};

use super::call::{Failure, FailureKind};
use super::calls::{HTTP_TIMEOUT, RETRIES, back_off};
use super::random::Random;

/// A call of the set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupCall {
    /// Look up a pool by name.
    FindPool {
        /// Its name.
        name: Arc<str>,
    },
    /// Look up an agent by name.
    FindAgent {
        /// The pool's id.
        pool: u64,
        /// The agent's name.
        name: Arc<str>,
    },
    /// Register a new agent.
    AddAgent {
        /// The pool's id.
        pool: u64,
    },
    /// Take the place of an agent.
    ReplaceAgent {
        /// The pool's id.
        pool: u64,
        /// The agent's id.
        agent: u64,
    },
    /// Unregister an agent.
    RemoveAgent {
        /// The pool's id.
        pool: u64,
        /// The agent's id.
        agent: u64,
    },
}

/// The service's answer to a call of the set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupAnswer {
    /// The first of what was looked up, if anything was found.
    Found(Option<u64>),
    /// The agent has this id.
    Agent(u64),
    /// Done.
    Done,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetupStep {
    /// Make a call, not before this instant, and give it up at the other.
    Call {
        /// The call.
        call: SetupCall,
        /// When.
        at: Instant,
        /// How long to wait for the answer.
        limit: Millis,
    },
    /// It has ended.
    End(Result<SetupResult, SetupError>),
}

/// How a set-up succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupResult {
    /// The agent is registered under these ids.
    Registered {
        /// The pool's id.
        pool: u64,
        /// The agent's id.
        agent: u64,
        /// Whether it took another's place.
        replaced: bool,
    },
    /// The agent is not registered any more.
    Removed,
    /// There was no agent of that name.
    NotThere,
}

/// Why a set-up failed. The messages are what the agent's console says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No pool has that name, or none that this token may see.
    #[error("Agent pool not found: '{0}'")]
    PoolNotFound(String),
    /// The name is taken, and `--replace` was not given.
    #[error("Pool {pool} already contains an agent with name {name}.")]
    AgentExists {
        /// The pool's id.
        pool: u64,
        /// The agent's name.
        name: String,
    },
    /// The service would not, or could not be asked.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A set-up under way.
#[derive(Debug)]
pub struct Setup {
    task: Task,
    call: SetupCall,
    attempt: u32,
    random: Random,
}

#[derive(Debug)]
enum Task {
    Configure { pool: Arc<str>, agent: Arc<str>, replace: bool },
    Remove { pool: u64, agent: u64 },
}

impl Setup {
    /// Registers `agent` in `pool`.
    #[must_use]
    pub fn configure(
        pool: impl Into<Arc<str>>,
        agent: impl Into<Arc<str>>,
        replace: bool,
        seed: u64,
    ) -> Self {
        let pool = pool.into();
        let task = Task::Configure { pool: Arc::clone(&pool), agent: agent.into(), replace };
        Self {
            task,
            call: SetupCall::FindPool { name: pool },
            attempt: 1,
            random: Random::new(seed, "agent set-up"),
        }
    }

    /// Unregisters the agent that was configured under these ids.
    #[must_use]
    pub fn remove(pool: u64, agent: u64, name: impl Into<Arc<str>>, seed: u64) -> Self {
        Self {
            task: Task::Remove { pool, agent },
            call: SetupCall::FindAgent { pool, name: name.into() },
            attempt: 1,
            random: Random::new(seed, "agent set-up"),
        }
    }

    /// The first call.
    #[must_use]
    pub fn start(&self, now: Instant) -> SetupStep {
        SetupStep::Call { call: self.call.clone(), at: now, limit: HTTP_TIMEOUT }
    }

    /// Takes the answer to the last call.
    pub fn answer(&mut self, now: Instant, answer: Result<SetupAnswer, Failure>) -> SetupStep {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) if failure.kind == FailureKind::Unavailable && self.attempt <= RETRIES => {
                let at = now + back_off(self.attempt, &mut self.random);
                self.attempt += 1;
                return SetupStep::Call { call: self.call.clone(), at, limit: HTTP_TIMEOUT };
            }
            Err(failure) => return SetupStep::End(Err(self.failed(failure))),
        };
        match self.next(&answer) {
            Ok(call) => {
                self.call = call;
                self.attempt = 1;
                self.start(now)
            }
            Err(end) => SetupStep::End(end),
        }
    }

    fn failed(&self, failure: Failure) -> SetupError {
        match (&self.task, failure.kind) {
            (Task::Configure { agent, .. }, FailureKind::AgentExists) => {
                SetupError::AgentExists { pool: self.pool(), name: agent.to_string() }
            }
            _ => failure.into(),
        }
    }

    fn pool(&self) -> u64 {
        match self.call {
            SetupCall::FindPool { .. } => 0,
            SetupCall::FindAgent { pool, .. }
            | SetupCall::AddAgent { pool }
            | SetupCall::ReplaceAgent { pool, .. }
            | SetupCall::RemoveAgent { pool, .. } => pool,
        }
    }

    /// The call after an answer, or the end.
    fn next(&self, answer: &SetupAnswer) -> Result<SetupCall, Result<SetupResult, SetupError>> {
        match (&self.task, &self.call, answer) {
            (Task::Configure { pool, .. }, SetupCall::FindPool { .. }, SetupAnswer::Found(None)) => {
                Err(Err(SetupError::PoolNotFound(pool.to_string())))
            }
            (Task::Configure { agent, .. }, SetupCall::FindPool { .. }, SetupAnswer::Found(Some(pool))) => {
                Ok(SetupCall::FindAgent { pool: *pool, name: agent.clone() })
            }
            (Task::Configure { .. }, &SetupCall::FindAgent { pool, .. }, SetupAnswer::Found(None)) => {
                Ok(SetupCall::AddAgent { pool })
            }
            (
                Task::Configure { agent: name, replace, .. },
                &SetupCall::FindAgent { pool, .. },
                &SetupAnswer::Found(Some(agent)),
            ) => {
                if *replace {
                    Ok(SetupCall::ReplaceAgent { pool, agent })
                } else {
                    Err(Err(SetupError::AgentExists { pool, name: name.to_string() }))
                }
            }
            (_, &SetupCall::AddAgent { pool }, &SetupAnswer::Agent(agent)) => {
                Err(Ok(SetupResult::Registered { pool, agent, replaced: false }))
            }
            (_, &SetupCall::ReplaceAgent { pool, .. }, &SetupAnswer::Agent(agent)) => {
                Err(Ok(SetupResult::Registered { pool, agent, replaced: true }))
            }
            (Task::Remove { .. }, SetupCall::FindAgent { .. }, SetupAnswer::Found(None)) => {
                Err(Ok(SetupResult::NotThere))
            }
            (&Task::Remove { pool, agent }, SetupCall::FindAgent { .. }, SetupAnswer::Found(Some(_))) => {
                Ok(SetupCall::RemoveAgent { pool, agent })
            }
            (_, SetupCall::RemoveAgent { .. }, SetupAnswer::Done) => Err(Ok(SetupResult::Removed)),
            (_, call, answer) => Err(Err(Failure::new(
                FailureKind::Other,
                format!("unexpected answer to {call:?}: {answer:?}"),
            )
            .into())),
        }
    }
}
