//! What agents say they can do.
//!
//! A thousand agents of one template differ in their name and in little else, so
//! what they share is kept once, and with it how demands compare it: in lower case.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::demands::{AGENT_VERSION, Demand};

/// What an agent tells: what it shares with others, and what is its own.
#[derive(Debug, Clone, Default)]
pub struct SystemCapabilities {
    shared: Option<Arc<SharedCapabilities>>,
    own: Option<Arc<[OwnCapability]>>,
}

/// Capabilities that many agents share.
#[derive(Debug, Default)]
pub struct SharedCapabilities {
    told: BTreeMap<String, String>,
    /// The same in lower case.
    compared: BTreeMap<String, String>,
}

/// A capability that is an agent's own.
#[derive(Debug, Clone)]
pub struct OwnCapability {
    name: Arc<str>,
    value: Arc<str>,
    compared_name: Arc<str>,
    compared_value: Arc<str>,
}

impl SharedCapabilities {
    /// Of names and values.
    #[must_use]
    pub fn new(told: BTreeMap<String, String>) -> Self {
        let compared = told.iter().map(|(name, value)| (name.to_lowercase(), value.to_lowercase())).collect();
        Self { told, compared }
    }
}

impl OwnCapability {
    /// A capability without a value.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let name: Arc<str> = name.into();
        let empty: Arc<str> = "".into();
        Self { compared_name: lower_case(&name), name, compared_value: Arc::clone(&empty), value: empty }
    }

    /// The same with this value.
    #[must_use]
    pub fn with(&self, value: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(&self.name),
            compared_name: Arc::clone(&self.compared_name),
            compared_value: lower_case(value),
            value: Arc::clone(value),
        }
    }
}

/// Names of pods and agents are in lower case nearly always.
pub(crate) fn lower_case(text: &Arc<str>) -> Arc<str> {
    let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    // All bytes, many at once: to stop at the first that is none would be slower.
    if text.bytes().fold(true, |all, byte| all & is_lower(byte)) {
        Arc::clone(text)
    } else {
        text.to_lowercase().into()
    }
}

impl SystemCapabilities {
    /// What is shared, and what is the agent's own, which counts where both name something.
    #[must_use]
    pub fn new(shared: &Arc<SharedCapabilities>, own: impl IntoIterator<Item = OwnCapability>) -> Self {
        Self { shared: Some(Arc::clone(shared)), own: Some(own.into_iter().collect()) }
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<&str, &str> {
        let shared = self.shared.iter().flat_map(|shared| &shared.told);
        let own = self.own.iter().flat_map(|own| own.iter());
        shared
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(own.map(|own| (&*own.name, &*own.value)))
            .collect()
    }

    fn compared(&self, name: &str) -> Option<&str> {
        let own = self.own.iter().flat_map(|own| own.iter()).rev().find(|own| &*own.compared_name == name);
        let shared = || self.shared.as_ref()?.compared.get(name).map(String::as_str);
        own.map(|own| &*own.compared_value).or_else(shared)
    }
}

/// As names and values: who shares what with whom is not kept.
impl Serialize for SystemCapabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.all().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SystemCapabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Self::from)
    }
}

impl PartialEq for SystemCapabilities {
    fn eq(&self, other: &Self) -> bool {
        self.all() == other.all()
    }
}

impl Eq for SystemCapabilities {}

impl From<BTreeMap<String, String>> for SystemCapabilities {
    fn from(told: BTreeMap<String, String>) -> Self {
        if told.is_empty() {
            return Self::default();
        }
        Self { shared: Some(Arc::new(SharedCapabilities::new(told))), own: None }
    }
}

/// The name of an agent as a capability, in lower case.
const AGENT_NAME: &str = "agent.name";

/// What an agent can do, ready to be compared: the union of what the service computes, what the agent tells,
/// and what its users add; what comes later counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Capabilities {
    name: Arc<str>,
    version: Arc<str>,
    pub(crate) system: SystemCapabilities,
    user: BTreeMap<String, String>,
}

impl Capabilities {
    pub(crate) fn new(
        name: &Arc<str>,
        version: &Arc<str>,
        system: SystemCapabilities,
        user: &BTreeMap<String, String>,
    ) -> Self {
        Self {
            name: lower_case(name),
            version: lower_case(version),
            system,
            user: user.iter().map(|(name, value)| (name.to_lowercase(), value.to_lowercase())).collect(),
        }
    }

    /// Its name in lower case.
    pub(crate) fn agent_name(&self) -> &Arc<str> {
        &self.name
    }

    fn get(&self, name: &str) -> Option<&str> {
        let computed = || match name {
            AGENT_NAME => Some(&*self.name),
            _ if name.eq_ignore_ascii_case(AGENT_VERSION) => Some(&*self.version),
            _ => None,
        };
        let user = self.user.get(name).map(String::as_str);
        user.or_else(|| self.system.compared(name)).or_else(|| computed().filter(|value| !value.is_empty()))
    }

    /// Whether every demand is satisfied.
    pub(crate) fn satisfy(&self, demands: &[Demand]) -> bool {
        demands
            .iter()
            .all(|demand| self.get(demand.name()).is_some_and(|value| demand.is_satisfied_by(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_agent_s_own_counts_before_what_it_shares() {
        let shared = Arc::new(SharedCapabilities::new(BTreeMap::from([
            ("Agent.OS".to_owned(), "Linux".to_owned()),
            ("Agent.Name".to_owned(), "template".to_owned()),
        ])));
        let name: Arc<str> = "Pod-1".into();
        let told = SystemCapabilities::new(&shared, [OwnCapability::named("Agent.Name").with(&name)]);
        assert_eq!(told.all(), BTreeMap::from([("Agent.Name", "Pod-1"), ("Agent.OS", "Linux")]));
        let plain = BTreeMap::from([
            ("Agent.OS".to_owned(), "Linux".to_owned()),
            ("Agent.Name".to_owned(), "Pod-1".to_owned()),
        ]);
        assert_eq!(told, plain.into(), "however it is kept");
        let capabilities = Capabilities::new(&"pod-1".into(), &"4.1".into(), told, &BTreeMap::new());
        assert_eq!(capabilities.get("agent.name"), Some("pod-1"));
        assert_eq!(capabilities.get("agent.os"), Some("linux"));
        assert_eq!(capabilities.get("agent.version"), Some("4.1"));
    }
}
