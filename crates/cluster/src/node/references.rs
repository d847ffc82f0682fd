//! The Secrets and ConfigMaps that environments refer to, read once in a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clock::Clock;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use model::{Instant, Millis};
use tokio::sync::Mutex;

use super::environment::{Entries, Kind, Referred};

/// How long what was read counts. A kubelet watches what its pods refer to, so it knows of a change
/// almost at once; a thousand pods that start together must not make a thousand requests.
const COUNTS_FOR: Millis = Millis::seconds(2);

/// Kind, namespace and name of an object.
type Name = (Kind, Arc<str>, String);

/// What was read, and when.
pub(super) struct References {
    client: Client,
    clock: Clock,
    read: Mutex<BTreeMap<Name, (Instant, Option<Entries>)>>,
}

impl References {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        Self { client, clock, read: Mutex::default() }
    }

    /// The objects that exist among the wanted ones. An error is a message for the container's status.
    pub(super) async fn read(
        &self,
        namespace: &Arc<str>,
        wanted: BTreeSet<(Kind, String)>,
    ) -> Result<Referred, String> {
        let mut found = Referred::new();
        for (kind, name) in wanted {
            if let Some(entries) = self.entries(kind, namespace, &name).await? {
                found.insert((kind, name), entries);
            }
        }
        Ok(found)
    }

    async fn entries(&self, kind: Kind, namespace: &Arc<str>, name: &str) -> Result<Option<Entries>, String> {
        let key = (kind, Arc::clone(namespace), name.to_owned());
        // Held while asking, so that only the first of many asks.
        let mut read = self.read.lock().await;
        if let Some((at, entries)) = read.get(&key)
            && self.clock.now().since(*at) <= COUNTS_FOR
        {
            return Ok(entries.clone());
        }
        let entries = match kind {
            Kind::Secret => self.secret(namespace, name).await,
            Kind::ConfigMap => self.config_map(namespace, name).await,
        }
        .map_err(|error| error.to_string())?
        .map(Arc::new);
        let now = self.clock.now();
        read.retain(|_, (at, _)| now.since(*at) <= COUNTS_FOR);
        read.insert(key, (now, entries.clone()));
        Ok(entries)
    }

    async fn secret(&self, namespace: &str, name: &str) -> kube::Result<Option<BTreeMap<String, String>>> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let data = api.get_opt(name).await?.map(|secret| secret.data.unwrap_or_default());
        Ok(data.map(|data| {
            let text = |(key, value): (String, k8s_openapi::ByteString)| {
                Some((key, String::from_utf8(value.0).ok()?))
            };
            data.into_iter().filter_map(text).collect()
        }))
    }

    async fn config_map(
        &self,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<BTreeMap<String, String>>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        Ok(api.get_opt(name).await?.map(|map| map.data.unwrap_or_default()))
    }
}
