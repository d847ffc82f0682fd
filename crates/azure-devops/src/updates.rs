//! Agent updates: agents are asked to refresh, and say how far they are.

use std::fmt;
use std::str::FromStr;

use model::Instant;
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Include};
use crate::ids::{AgentId, PoolId};
use crate::limits::MAX_UPDATE_STATE;
use crate::messages::MessageContent;
use crate::{Refusal, Service};

/// A version of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentVersion {
    /// The first number.
    pub major: u32,
    /// The second.
    pub minor: u32,
    /// The third.
    pub patch: u32,
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version; it has three numbers, as in 4.258.1")]
pub struct NotAVersion(String);

impl FromStr for AgentVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let mut numbers = text.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Ok(Self { major, minor, patch }),
            _ => Err(NotAVersion(text.to_owned())),
        }
    }
}

/// An agent was asked to update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingUpdate {
    pub(crate) requested: Instant,
    pub(crate) source: Option<AgentVersion>,
    pub(crate) target: AgentVersion,
    /// What the agent said last.
    pub(crate) state: Option<String>,
}

impl Service {
    /// `POST messages`, with or without an agent: asks agents of a pool to update. Those that are offline or
    /// have that version are not asked (as the button of the real service's page does it; not documented).
    pub(crate) fn refresh_agents(&mut self, pool: PoolId, agent: Option<AgentId>) -> Result<Answer, Refusal> {
        let target = self.settings.switches.newest_agent;
        let asked: Vec<AgentId> = match agent {
            Some(agent) => vec![self.agent(pool, agent)?.id],
            None => self.pool(pool)?.agents.iter().copied().collect(),
        };
        for id in asked {
            let Some(agent) = self.agents.get(&id) else { continue };
            let source: Option<AgentVersion> = agent.version.parse().ok();
            let Some(session) = agent.session.filter(|_| source.is_none_or(|source| source < target)) else {
                continue;
            };
            let update = PendingUpdate { requested: self.now, source, target, state: None };
            if let Some(agent) = self.agents.get_mut(&id) {
                agent.pending_update = Some(Box::new(update));
            }
            let message = self.next_message();
            self.send(session, message, MessageContent::Refresh { agent: id, target });
        }
        Ok(Answer::Done)
    }

    /// `PUT updates?currentState=...`: how far an agent's update is.
    pub(crate) fn set_update_state(
        &mut self,
        pool: PoolId,
        id: AgentId,
        state: &str,
    ) -> Result<Answer, Refusal> {
        let agent = self.agent(pool, id)?;
        if agent.pending_update.is_none() {
            return Err(Refusal::NoPendingUpdate(id));
        }
        let state: String = state.chars().take(MAX_UPDATE_STATE).collect();
        if let Some(update) = self.agents.get_mut(&id).and_then(|agent| agent.pending_update.as_mut()) {
            update.state = Some(state);
        }
        Ok(Answer::Agent(id, Include::default()))
    }

    /// The agent listens again, with this version.
    pub(crate) fn end_update(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Some(update) = &agent.pending_update else { return };
        if agent.version.parse::<AgentVersion>().is_ok_and(|version| version >= update.target) {
            agent.pending_update = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let version = |text: &str| text.parse::<AgentVersion>().expect("a version");
        assert!(version("4.9.0") < version("4.258.1"));
        assert_eq!(version("4.258.1").to_string(), "4.258.1");
    }

    #[test]
    fn what_is_no_version_says_so() {
        for text in ["", "4", "4.258", "4.258.x", "4.258.1.2"] {
            assert_eq!(text.parse::<AgentVersion>(), Err(NotAVersion(text.to_owned())));
        }
    }
}
