//! The environment that a container gets, as far as the manifests tell.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::kubernetes::Container;
use super::{Document, Object};

/// A container's variables. `None` is a value that the manifests do not tell.
pub(super) fn environment(container: &Container, documents: &[Document]) -> BTreeMap<String, Option<String>> {
    let mut environment = BTreeMap::new();
    for source in &container.env_from {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let secret = source.secret_ref.as_ref().map(|reference| values("Secret", &reference.name, documents));
        let map =
            source.config_map_ref.as_ref().map(|reference| values("ConfigMap", &reference.name, documents));
        for (key, value) in secret.into_iter().chain(map).flatten().flatten() {
            environment.insert(format!("{prefix}{key}"), Some(value));
        }
    }
    for variable in &container.env {
        let source = variable.value_from.as_ref();
        let secret = source.and_then(|source| source.secret_key_ref.as_ref()).map(|key| ("Secret", key));
        let map = source.and_then(|source| source.config_map_key_ref.as_ref()).map(|key| ("ConfigMap", key));
        let written = variable.value.clone().unwrap_or_default();
        let value = match secret.or(map) {
            Some((kind, key)) => {
                values(kind, &key.name, documents).and_then(|mut values| values.remove(&key.key))
            }
            None if source.is_some() => None,
            // Refers to other variables, some of which only the cluster knows.
            None if written.contains("$(") => None,
            None => Some(written),
        };
        environment.insert(variable.name.clone(), value);
    }
    environment
}

/// What a Secret or a ConfigMap holds, as it is; nothing if no manifest has it.
pub(super) fn values(kind: &str, name: &str, documents: &[Document]) -> Option<BTreeMap<String, String>> {
    documents.iter().find_map(|document| match document.typed() {
        Object::Secret(secret) if kind == "Secret" && secret.metadata.name == name => {
            let decoded =
                secret.data.iter().map(|(key, value)| (key.clone(), decoded(value).unwrap_or_default()));
            Some(decoded.chain(secret.string_data.clone()).collect())
        }
        Object::ConfigMap(map) if kind == "ConfigMap" && map.metadata.name == name => Some(map.data.clone()),
        _ => None,
    })
}

/// What a value of a Secret's `data` stands for, if it is base64.
pub(super) fn decoded(value: &str) -> Option<String> {
    // Line breaks inside are allowed, as Go's encoding/base64 skips them.
    let compact: String = value.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    STANDARD.decode(compact).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
