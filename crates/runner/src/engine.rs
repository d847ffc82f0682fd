//! What a run happens on: a cluster of its own that ends with it, or one that
//! somebody named and that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clock::Clock;
use cluster::Client;
use cluster::local::{self, ClockProbe, LocalCluster, LocalError, Programs, Progress, named::NamedCluster};
use model::Event;
use model::fault::Program;
use tokio::sync::mpsc::UnboundedSender;

/// The local engine: real etcd, API server, controllers, scheduler and KEDA as processes.
pub enum Engine {
    /// A cluster of our own, and the KEDA versions that may take over in it.
    Own(Box<LocalCluster>, BTreeMap<String, Programs>),
    /// A cluster that stays: how to reach it, and our clock on it.
    Named(Box<NamedCluster>, Client, Clock),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(cluster, _) => f.debug_tuple("Own").field(cluster).finish(),
            Self::Named(named, _, _) => f.debug_tuple("Named").field(named).finish(),
        }
    }
}

impl Engine {
    /// Builds what is missing and starts a cluster of our own, in which the versions `upgrades` of KEDA
    /// may take over later.
    ///
    /// # Errors
    /// [`LocalError`]; nothing remains.
    pub async fn own(
        cache: &Path,
        name: &str,
        keda: &str,
        upgrades: &BTreeSet<String>,
        speed: u32,
        progress: &Progress<'_>,
    ) -> Result<Self, LocalError> {
        let mut later = BTreeMap::new();
        for version in upgrades {
            later.insert(version.clone(), local::build(cache, version, speed, progress).await?);
        }
        let programs = local::build(cache, keda, speed, progress).await?;
        let request = local::Request { cache, name, programs: &programs, speed };
        Ok(Self::Own(Box::new(LocalCluster::start(request, progress).await?), later))
    }

    /// Joins a cluster that somebody started.
    ///
    /// # Errors
    /// [`LocalError`] if there is none of that name.
    pub async fn join(cache: &Path, name: &str) -> Result<Self, LocalError> {
        let named = local::named::find(cache, name)?;
        let (client, clock) = (named.connect().await?, named.clock());
        // Best effort: what a killed run left costs room and disturbs nobody.
        let _ = cluster::workspace::sweep(&client).await;
        Ok(Self::Named(Box::new(named), client, clock))
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        match self {
            Self::Own(cluster, _) => cluster.client(),
            Self::Named(_, client, _) => client.clone(),
        }
    }

    /// The clock of everything that happens on this engine.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match self {
            Self::Own(cluster, _) => cluster.clock(),
            Self::Named(_, _, clock) => *clock,
        }
    }

    /// KEDA's version.
    #[must_use]
    pub fn keda(&self) -> &str {
        match self {
            Self::Own(cluster, _) => &cluster.programs().keda,
            Self::Named(named, _, _) => &named.keda,
        }
    }

    /// What takes part, by name.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<String, String> {
        let (kubernetes, go) = match self {
            Self::Own(cluster, _) => (local::KUBERNETES, cluster.programs().go.as_str()),
            Self::Named(named, _, _) => (named.kubernetes.as_str(), named.go.as_str()),
        };
        let versions = [
            ("poolproof", env!("CARGO_PKG_VERSION")),
            ("keda", self.keda()),
            ("kubernetes", kubernetes),
            ("go", go),
        ];
        versions.map(|(name, version)| (name.to_owned(), version.to_owned())).into()
    }

    /// Starts a probe that tells how well the machine holds the speed.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn probe(&self, events: UnboundedSender<Event>) -> Result<ClockProbe, LocalError> {
        match self {
            Self::Own(cluster, _) => cluster.probe(cluster.clock(), events),
            Self::Named(named, _, clock) => named.probe(*clock, events),
        }
    }

    /// The file in which the API server notes the HPA's reads and every write of a scale.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        match self {
            Self::Own(cluster, _) => cluster.audit_log(),
            Self::Named(named, _, _) => named.audit_log(),
        }
    }

    /// Kills a program and starts it again; answers when it runs.
    ///
    /// # Errors
    /// [`LocalError::Shared`] in a cluster that somebody else holds; otherwise if it does not start.
    pub async fn restart(&self, program: Program) -> Result<(), LocalError> {
        match self {
            Self::Own(cluster, _) => cluster.restart(program).await,
            Self::Named(named, _, _) => Err(LocalError::Shared(named.name.clone())),
        }
    }

    /// Puts another version of KEDA in the place of the one that runs.
    ///
    /// # Errors
    /// [`LocalError::Shared`] in a cluster that somebody else holds; [`LocalError::NotAVersion`] for a
    /// version that was not named at the start; otherwise if it does not start.
    pub async fn upgrade_keda(&self, version: &str) -> Result<(), LocalError> {
        match self {
            Self::Own(cluster, upgrades) => {
                let programs = upgrades.get(version);
                let programs = programs.ok_or_else(|| LocalError::NotAVersion(version.to_owned()))?;
                cluster.upgrade_keda(programs).await
            }
            Self::Named(named, _, _) => Err(LocalError::Shared(named.name.clone())),
        }
    }

    /// Waits until the cluster breaks; answers how.
    pub async fn await_failure(&self) -> String {
        match self {
            Self::Own(cluster, _) => cluster.await_failure().await,
            Self::Named(named, _, _) => {
                named.await_end().await;
                format!("the cluster `{}` was ended", named.name)
            }
        }
    }

    /// Whether what a run leaves in the cluster must be removed: it is not if the cluster ends anyway.
    #[must_use]
    pub fn stays(&self) -> bool {
        matches!(self, Self::Named(..))
    }

    /// Ends a cluster of our own; leaves one that stays.
    pub async fn end(self) {
        if let Self::Own(cluster, _) = self {
            cluster.end().await;
        }
    }
}
