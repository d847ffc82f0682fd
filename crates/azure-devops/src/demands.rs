//! Demands of jobs and capabilities of agents.
//!
//! The grammar is Azure Pipelines': `name` (it exists), `name -equals value`,
//! and `name -gtVersion version`, which the service itself adds for the agent's
//! version. Names and values are compared whatever their case. Versions are
//! satisfied from the demanded one on.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One demand, kept as it was written: KEDA compares the whole text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
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

    /// The capability that it names, in lower case.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a capability of its name with this value, in lower case, will do.
    pub(crate) fn is_satisfied_by(&self, value: &str) -> bool {
        match &self.wanted {
            Wanted::Anything => true,
            Wanted::Value(wanted) => value == wanted,
            Wanted::VersionFrom(wanted) => is_version_from(value, wanted),
        }
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

impl From<Demand> for String {
    fn from(demand: Demand) -> Self {
        demand.text
    }
}

impl TryFrom<String> for Demand {
    type Error = NotADemand;

    fn try_from(text: String) -> Result<Self, NotADemand> {
        text.parse()
    }
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All demands of a job. Jobs of one definition share them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Demands(Arc<[Demand]>);

impl Ord for Demands {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.is_same(other) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl PartialOrd for Demands {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Demands {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Demands {}

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

/// Parts of a version.
const VERSION_PARTS: usize = 4;

/// Whether a dotted version is another one or a later one. What is not a number counts as zero.
fn is_version_from(version: &str, least: &str) -> bool {
    version_parts(version) >= version_parts(least)
}

/// Byte by byte: every job is compared with its agent's version.
fn version_parts(version: &str) -> [u64; VERSION_PARTS] {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let append = |number: u64, byte: &u8| number.checked_mul(10)?.checked_add(digit(*byte)?);
    let mut parts = [0; VERSION_PARTS];
    for (part, text) in parts.iter_mut().zip(version.as_bytes().split(|byte| *byte == b'.')) {
        *part = text.iter().try_fold(0, append).unwrap_or_default();
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::capabilities::{Capabilities, SystemCapabilities};

    fn capabilities(pairs: &[(&str, &str)]) -> Capabilities {
        let told: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Capabilities::new(&"a-1".into(), &"4.258.1".into(), told.into(), &BTreeMap::new())
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
        let nameless =
            Capabilities::new(&"a".into(), &"".into(), SystemCapabilities::default(), &BTreeMap::new());
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
