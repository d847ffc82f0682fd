//! `configure` and `remove`: the set-up's decisions, carried out on a socket.

use std::collections::BTreeMap;

use azure_devops::agent::{
    Failure, FailureKind, Registration, Setup, SetupAnswer, SetupCall, SetupError, SetupResult, SetupStep,
    wire,
};
use clock::Clock;

use crate::Identity;
use crate::address::{Address, AddressError};
use crate::http::{Connection, exchange};

/// Why `config.sh` failed. The message is its console's; it exits with 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigureError {
    /// The organisation's address can't be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The service would not, or could not be asked.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Why `config.sh remove` failed. The message is its console's; it exits with 1, and a start
/// script tries again after a while.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// The organisation's address can't be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The agent holds a job.
    #[error("{0}")]
    Busy(String),
    /// The service would not, or could not be asked.
    #[error(transparent)]
    Failed(Failure),
}

/// How a removal succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The agent was unregistered.
    Removed,
    /// The pool had no agent of that name.
    NotThere,
}

/// Registers an agent, in the place of one with the same name if `replace` says so.
///
/// # Errors
/// As `config.sh` fails; nothing was registered.
pub async fn configure(
    clock: Clock,
    identity: &Identity,
    capabilities: &BTreeMap<String, String>,
    replace: bool,
) -> Result<Registration, ConfigureError> {
    register(clock, identity, capabilities, replace).await.map(|(registration, _)| registration)
}

/// The same, and whether it took another agent's place.
pub(crate) async fn register(
    clock: Clock,
    identity: &Identity,
    capabilities: &BTreeMap<String, String>,
    replace: bool,
) -> Result<(Registration, bool), ConfigureError> {
    let address = Address::of(identity)?;
    let capabilities = azure_devops::agent::capabilities(&identity.name, capabilities.clone());
    let setup =
        Setup::configure(identity.pool.as_str(), identity.name.as_str(), replace, seed(&identity.name));
    let result = carry_out(clock, &address, setup, &identity.name, &capabilities).await?;
    let SetupResult::Registered { pool, agent, replaced } = result else {
        unreachable!("a configuration ends with a registration or an error");
    };
    let registration = Registration { pool, agent, name: identity.name.clone(), capabilities };
    Ok((registration, replaced))
}

/// Unregisters an agent.
///
/// # Errors
/// As `config.sh remove` fails, for example while the agent holds a job.
pub async fn remove(
    clock: Clock,
    identity: &Identity,
    registration: &Registration,
) -> Result<(), RemoveError> {
    unregister(clock, identity, registration).await.map(|_| ())
}

/// The same, and whether there was anything to unregister.
///
/// # Errors
/// As [`remove`].
pub async fn unregister(
    clock: Clock,
    identity: &Identity,
    registration: &Registration,
) -> Result<Removal, RemoveError> {
    let address = Address::of(identity)?;
    let Registration { pool, agent, name, capabilities } = registration;
    let setup = Setup::remove(*pool, *agent, name.as_str(), seed(name));
    match carry_out(clock, &address, setup, name, capabilities).await {
        Ok(SetupResult::NotThere) => Ok(Removal::NotThere),
        Ok(_) => Ok(Removal::Removed),
        Err(SetupError::Failed(failure)) if failure.kind == FailureKind::JobStillRunning => {
            Err(RemoveError::Busy(failure.message))
        }
        Err(SetupError::Failed(failure)) => Err(RemoveError::Failed(failure)),
        Err(error) => Err(RemoveError::Failed(Failure::new(FailureKind::Other, error.to_string()))),
    }
}

/// The set-up's pauses differ between agents; they matter only while the service is failing.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

async fn carry_out(
    clock: Clock,
    address: &Address,
    mut setup: Setup,
    name: &str,
    capabilities: &BTreeMap<String, String>,
) -> Result<SetupResult, SetupError> {
    let mut idle = None;
    let mut step = setup.start(clock.now());
    loop {
        let (call, at, limit) = match step {
            SetupStep::End(end) => return end,
            SetupStep::Call { call, at, limit } => (call, at, limit),
        };
        clock.sleep_until(at).await;
        let request = wire::setup_request(&call, name, capabilities);
        let made = make(address, &call, request, &mut idle);
        let answer = clock.timeout(clock.now() + limit, made).await.unwrap_or_else(|_| {
            let message = format!("The HTTP request timed out after {limit}.");
            Err(Failure::new(FailureKind::Unreachable, message))
        });
        step = setup.answer(clock.now(), answer);
    }
}

async fn make(
    address: &Address,
    call: &SetupCall,
    request: wire::Request,
    idle: &mut Option<Connection>,
) -> Result<SetupAnswer, Failure> {
    let (connection, response) = exchange(address, &request, idle.take()).await;
    *idle = connection;
    let response = response?;
    wire::setup_answer(call, response.status, &response.body)
}
