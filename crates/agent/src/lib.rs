//! The emulated agent on real sockets, and the package that start scripts download.
//!
//! [`configure`], [`run`] and [`remove`] are what `config.sh`, `run.sh` and
//! `config.sh remove` do; every decision is `azure_devops::agent`'s. The futures
//! hold nothing but their sockets: one that is dropped is an agent that crashed,
//! and the service learns of it by protocol only. An idle agent costs a few
//! kilobytes, so a thousand of them live in one process.
//!
//! [`package`] is the archive that a start script downloads; [`listener`] is the
//! program inside it.
//!
//! Left out: TLS. An organisation's address starts with `http://`.

mod address;
mod archive;
mod http;
pub mod listener;
mod lookup;
mod setup;
mod shell;

pub use address::AddressError;
pub use archive::{PLATFORM, Package, package};
pub use azure_devops::agent::{AGENT_VERSION, Observation, Registration, exit_code};
pub use listener::listener;
pub use lookup::{PackageLookup, look_up_package};
pub use setup::{ConfigureError, Removal, RemoveError, configure, remove, unregister};
pub use shell::{RunOptions, run};

/// What `config.sh` is told.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The organisation's address.
    pub url: String,
    /// The personal access token.
    pub token: String,
    /// The pool's name.
    pub pool: String,
    /// The agent's name.
    pub name: String,
}

/// The token stays out of logs.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, token: _, pool, name } = self;
        f.debug_struct("Identity")
            .field("url", url)
            .field("pool", pool)
            .field("name", name)
            .finish_non_exhaustive()
    }
}
