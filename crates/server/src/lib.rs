//! Azure DevOps served: HTTP around `azure_devops::Service`, which decides.
//!
//! A [`Server`] listens on one address and holds organisations, each with its
//! own state, token and lock. For every request it checks the token, reads the
//! route and the body, calls the service under the lock, and writes the answer;
//! a poll that is held waits outside the lock. One task an organisation wakes
//! when the service has something to do by itself.
//!
//! Requests go through an axum router. Its connections are driven by hyper
//! instead of `axum::serve`: a thousand idle agents hold two polls each, for hours,
//! so a connection must be small, and bounded in number and time, none of which
//! `axum::serve` lets one say. While a poll is held, hyper's buffers are given back
//! (`conversation`); the example `held_polls` measures what is left.
//!
//! Left out: HTTP/2, and every route that neither KEDA, nor a start script,
//! nor an agent needs; those answer 501.

mod connections;
mod control;
mod control_faults;
mod conversation;
mod decoding;
mod discovery;
mod faults;
#[doc(hidden)]
pub mod fuzzing;
mod handler;
mod held;
mod journal;
mod limits;
mod oauth;
mod openapi;
mod organization;
mod packages;
mod patience;
mod query;
mod responses;
mod router;
mod routes;
mod sealing;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use azure_devops::Switches;
use clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use journal::{State, StateError, Survive};
pub use limits::Limits;
pub use organization::{AddError, NewOrganization, Organization};
pub use packages::Package;
pub use tls::{SelfSigned, Tls, TlsError};

use organization::Shared;

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one. Who asks for more than loopback must mean it.
    pub listen: SocketAddr,
    /// The time of every organisation.
    pub clock: Clock,
    /// The agent packages that start scripts download.
    pub packages: Vec<Package>,
}

/// A running server. Dropped, it stops at once.
#[derive(Debug)]
pub struct Server {
    hub: Arc<Hub>,
    serving: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

/// What every connection sees.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    /// `https` if connections are encrypted.
    pub(crate) scheme: &'static str,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) packages: Vec<packages::Offer>,
    /// By lower-case name.
    organizations: RwLock<BTreeMap<String, Arc<Shared>>>,
}

impl Server {
    /// Listens, and serves from now on.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start(options: Options) -> Result<Self, io::Error> {
        Self::start_with(options, Limits::default()).await
    }

    /// Listens with other limits, and serves from now on.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start_with(options: Options, limits: Limits) -> Result<Self, io::Error> {
        Self::start_encrypted(options, limits, None).await
    }

    /// Listens, with every connection encrypted if there is a certificate, and serves from now on.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn start_encrypted(
        options: Options,
        limits: Limits,
        tls: Option<Tls>,
    ) -> Result<Self, io::Error> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = reachable(listener.local_addr()?);
        let packages = options.packages.into_iter().map(packages::Offer::new).collect();
        let hub = Arc::new(Hub {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            clock: options.clock,
            limits,
            packages,
            organizations: RwLock::new(BTreeMap::new()),
        });
        let router = router::router(Arc::clone(&hub));
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(connections::serve(listener, router, limits, tls, stopped));
        Ok(Self { hub, serving, stop: Some(stop) })
    }

    /// Where it can be reached from this machine.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.hub.address
    }

    /// Adds an organisation, with its pools and placeholders.
    ///
    /// # Errors
    /// If the name is taken, whatever the case, or cannot be one.
    pub fn add_organization(&self, new: NewOrganization) -> Result<Organization, AddError> {
        let switches = Switches::of(&new.settings.quirks);
        self.add_organization_with(new, switches)
    }

    /// Adds an organisation that behaves as the switches say where the real service is not known.
    ///
    /// # Errors
    /// If the name is taken, whatever the case, or cannot be one.
    pub fn add_organization_with(
        &self,
        new: NewOrganization,
        switches: Switches,
    ) -> Result<Organization, AddError> {
        organization::add(&self.hub, new, switches)
    }

    /// Adds an organisation that goes on as its state says, and whose calls are kept there from now on.
    ///
    /// # Errors
    /// If the name is taken or cannot be one, or if the state is that of other settings or of another version.
    pub fn add_organization_kept(
        &self,
        new: NewOrganization,
        switches: Switches,
        state: State,
    ) -> Result<Organization, StateError> {
        organization::add_kept(&self.hub, new, switches, state)
    }

    /// Removes the organisations, which answers every poll that is held, stops listening, and closes
    /// every connection once its answer is out.
    pub async fn stop(mut self) {
        self.hub.remove_all();
        if let Some(stop) = self.stop.take() {
            // Nobody hears it if the task has panicked; then there is nothing to stop.
            let _ = stop.send(());
        }
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        self.hub.remove_all();
    }
}

impl Hub {
    /// What an organisation is reached at.
    pub(crate) fn url_of(&self, organization: &str) -> String {
        format!("{}://{}/{organization}", self.scheme, self.address)
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Shared>> {
        let organizations = self.organizations.read().unwrap_or_else(PoisonError::into_inner);
        organizations.get(&name.to_lowercase()).map(Arc::clone)
    }

    /// All organisations, by their names.
    pub(crate) fn organizations(&self) -> Vec<Arc<Shared>> {
        let organizations = self.organizations.read().unwrap_or_else(PoisonError::into_inner);
        organizations.values().map(Arc::clone).collect()
    }

    /// Adds what `make` makes, unless the name is taken.
    pub(crate) fn insert(&self, name: &str, make: impl FnOnce() -> Arc<Shared>) -> Option<Arc<Shared>> {
        let mut organizations = self.organizations.write().unwrap_or_else(PoisonError::into_inner);
        let key = name.to_lowercase();
        if organizations.contains_key(&key) {
            return None;
        }
        Some(Arc::clone(organizations.entry(key).or_insert_with(make)))
    }

    pub(crate) fn remove(&self, name: &str) {
        let mut organizations = self.organizations.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = organizations.remove(&name.to_lowercase()) {
            shared.close();
        }
    }

    fn remove_all(&self) {
        let mut organizations = self.organizations.write().unwrap_or_else(PoisonError::into_inner);
        for shared in std::mem::take(&mut *organizations).into_values() {
            shared.close();
        }
    }
}

/// An address that clients on this machine can name: "every address" is not one.
fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, bound.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, bound.port()).into(),
        _ => bound,
    }
}
