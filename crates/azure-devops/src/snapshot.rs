//! The state of an organisation as bytes, so that a journal of calls need not grow for ever.
//!
//! A service is a function of its settings and of the calls that changed it, each with its instant:
//! [`Call::changes_state`](crate::Call::changes_state) says which those are, and what time brings about
//! is done at its own instant, however late somebody asks. So whoever keeps those calls, in their order,
//! can make the service again; and whoever keeps a [`Service::snapshot`] and the calls after it can, too.
//!
//! JSON, since the vocabulary of calls and scenarios leaves members out, which only a format that names
//! its members can read back. Everything that a service holds derives `Serialize` and `Deserialize`:
//! what does not, does not compile. What can be worked out again is skipped: bytes that are kept for
//! answers, matches, and what nobody was told yet.

use std::time::Duration;

use model::MillisRange;
use model::scenario::ParallelJobs;

use crate::{Secret, Service, Settings, Switches};

/// Why bytes are no snapshot of such a service.
#[derive(Debug, thiserror::Error)]
#[error("this is not a snapshot that this version has written: {0}")]
pub struct NotASnapshot(#[from] serde_json::Error);

impl Service {
    /// Its whole state, except for its settings. Held polls are part of it: whoever makes a service of
    /// it has nobody to answer, as if their callers had gone.
    ///
    /// It holds the secrets of running jobs, so it belongs where only its owner can read it.
    ///
    /// # Errors
    /// If something in it cannot be written as JSON, which is a mistake here.
    pub fn snapshot(&self) -> Result<Vec<u8>, NotASnapshot> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The service that a snapshot was made of, with the settings that it was started with.
    ///
    /// # Errors
    /// If another version wrote it.
    pub fn restore(settings: Settings, snapshot: &[u8]) -> Result<Self, NotASnapshot> {
        let mut service: Self = serde_json::from_slice(snapshot)?;
        // The pools are in the snapshot, as they are by now.
        service.settings = Settings { pools: Vec::new(), ..settings };
        service.want_facts(true);
        Ok(service)
    }
}

impl Settings {
    /// All that decides what calls come to, by name: not the address and not the token, which may change.
    #[must_use]
    pub fn kept(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(members)) => members,
            Ok(_) | Err(_) => serde_json::Map::new(),
        }
    }
}

/// What stands in for the settings until [`Service::restore`] puts them in.
pub(crate) fn no_settings() -> Settings {
    Settings {
        name: String::new(),
        url: String::new(),
        token: Secret::new(""),
        seed: 0,
        epoch: Duration::ZERO,
        parallel_jobs: ParallelJobs::default(),
        assign_delay: MillisRange::default(),
        job_lock: model::Millis::ZERO,
        session_expiry: model::Millis::ZERO,
        long_poll: model::Millis::ZERO,
        receive_limit: model::Millis::ZERO,
        cancel_timeout: model::Millis::ZERO,
        minimum_agent_version: String::new(),
        pools: Vec::new(),
        switches: Switches::default(),
    }
}

/// A map whose keys are no texts, as a list of pairs.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K, V, S>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Serialize,
        V: Serialize,
        S: Serializer,
    {
        serializer.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// JSON that was written once and is kept, as a text.
pub(crate) mod text {
    use std::cell::OnceCell;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        kept: &OnceCell<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        kept.get().map(|bytes| String::from_utf8_lossy(bytes)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OnceCell<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| OnceCell::from(text.into_bytes())).unwrap_or_default())
    }
}
