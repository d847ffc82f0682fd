//! Demands of jobs and capabilities of agents.
//!
//! The grammar is Azure Pipelines': `name` (it exists), `name -equals value`,
//! and `name -gtVersion version`, which the service itself adds for the agent's
//! version. Names and values are compared whatever their case. Versions are
//! satisfied from the demanded one on.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

/// One demand, kept as it was written: KEDA compares the whole text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    text: String,
    name: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Anything,
    Value(String),
    VersionFrom(String),
}

/// Why a text is not a demand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a demand; write `name` or `name -equals value`")]
pub struct NotADemand(String);

impl FromStr for Demand {
    type Err = NotADemand;

    fn from_str(text: &str) -> Result<Self, NotADemand> {
        let text = text.trim();
        let mut words = text.splitn(3, char::is_whitespace);
        let name = words.next().unwrap_or_default();
        let operator = words.next().map(str::to_ascii_lowercase);
        let value = words.next().map(|value| value.trim().to_lowercase()).unwrap_or_default();
        let wanted = match operator.as_deref() {
            None => Wanted::Anything,
            Some("-equals") if !value.is_empty() => Wanted::Value(value),
            Some("-gtversion") if !value.is_empty() => Wanted::VersionFrom(value),
            Some(_) => return Err(NotADemand(text.to_owned())),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(NotADemand(text.to_owned()));
        }
        Ok(Self { text: text.to_owned(), name: name.to_lowercase(), wanted })
    }
}

impl Demand {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the service adds to every job.
    pub(crate) fn agent_version(at_least: &str) -> Self {
        Self {
            text: format!("{AGENT_VERSION} -gtVersion {at_least}"),
            name: AGENT_VERSION.to_lowercase(),
            wanted: Wanted::VersionFrom(at_least.to_lowercase()),
        }
    }

    /// Whether this is a demand on the agent's version.
    pub(crate) fn is_agent_version(&self) -> bool {
        self.name.eq_ignore_ascii_case(AGENT_VERSION)
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All demands of a job. Jobs of one definition share them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demands(Arc<[Demand]>);

impl Demands {
    pub(crate) fn new(demands: Vec<Demand>) -> Self {
        Self(demands.into())
    }

    /// As they were written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Demand::as_str)
    }

    /// Whether both are the very same list: quicker than comparing, and enough to skip work.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Demands {
    type Target = [Demand];
    fn deref(&self) -> &[Demand] {
        &self.0
    }
}

/// The capability that holds the agent's version.
pub(crate) const AGENT_VERSION: &str = "Agent.Version";
const AGENT_NAME: &str = "Agent.Name";

/// What an agent can do, ready to be compared: lower-case names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(BTreeMap<String, String>);

impl Capabilities {
    /// The union of what the agent tells, what its users add, and what the service computes.
    pub(crate) fn new(
        name: &str,
        version: &str,
        system: &BTreeMap<String, String>,
        user: &BTreeMap<String, String>,
    ) -> Self {
        let computed = [(AGENT_NAME, name), (AGENT_VERSION, version)];
        let told = system.iter().chain(user).map(|(name, value)| (name.as_str(), value.as_str()));
        let known = computed.into_iter().filter(|(_, value)| !value.is_empty()).chain(told);
        Self(known.map(|(name, value)| (name.to_lowercase(), value.to_lowercase())).collect())
    }

    /// Whether every demand is satisfied.
    pub(crate) fn satisfy(&self, demands: &[Demand]) -> bool {
        demands.iter().all(|demand| match (self.0.get(&demand.name), &demand.wanted) {
            (None, _) => false,
            (Some(_), Wanted::Anything) => true,
            (Some(value), Wanted::Value(wanted)) => value == wanted,
            (Some(value), Wanted::VersionFrom(wanted)) => is_version_from(value, wanted),
        })
    }
}

/// Whether a dotted version is another one or a later one. What is not a number counts as zero.
fn is_version_from(version: &str, least: &str) -> bool {
    fn parts(version: &str) -> impl Iterator<Item = u64> {
        version.split('.').map(|part| part.parse().unwrap_or(0)).chain(std::iter::repeat(0)).take(4)
    }
    parts(version).ge(parts(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(pairs: &[(&str, &str)]) -> Capabilities {
        let told = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Capabilities::new("a-1", "4.258.1", &told, &BTreeMap::new())
    }

    fn demands(texts: &[&str]) -> Vec<Demand> {
        texts.iter().map(|text| text.parse().expect("a demand")).collect()
    }

    #[test]
    fn a_name_alone_demands_that_the_capability_exists() {
        let agent = capabilities(&[("maven", "1")]);
        assert!(agent.satisfy(&demands(&["Maven"])));
        assert!(!agent.satisfy(&demands(&["gradle"])));
    }

    #[test]
    fn equals_compares_values_whatever_the_case() {
        let agent = capabilities(&[("Agent.OS", "Linux")]);
        assert!(agent.satisfy(&demands(&["agent.os -equals LINUX"])));
        assert!(!agent.satisfy(&demands(&["Agent.OS -equals Windows_NT"])));
    }

    #[test]
    fn a_version_is_satisfied_from_the_demanded_one_on() {
        let agent = capabilities(&[]);
        for (least, satisfied) in [("4.258.1", true), ("2.182.1", true), ("4.258", true), ("4.259", false)] {
            assert_eq!(agent.satisfy(&[Demand::agent_version(least)]), satisfied, "{least}");
        }
        let nameless = Capabilities::new("a", "", &BTreeMap::new(), &BTreeMap::new());
        assert!(!nameless.satisfy(&[Demand::agent_version("2.182.1")]), "no version, no match");
    }

    #[test]
    fn every_demand_must_be_satisfied() {
        let agent = capabilities(&[("java", "17"), ("cmake", "3")]);
        assert!(agent.satisfy(&demands(&["java", "cmake"])));
        assert!(!agent.satisfy(&demands(&["java", "gpu"])));
        assert!(agent.satisfy(&[]));
    }

    #[test]
    fn a_demand_keeps_its_text_and_nonsense_is_none() {
        assert_eq!(demands(&[" os -equals Linux "])[0].as_str(), "os -equals Linux");
        for text in ["", "os -equals", "os -like x", "-equals x", "two words"] {
            assert!(text.parse::<Demand>().is_err(), "{text}");
        }
    }
}
