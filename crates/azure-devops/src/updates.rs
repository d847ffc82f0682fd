//! Agent updates: agents are asked to refresh, and say how far they are.

use model::Instant;
pub use model::agent_version::{AgentVersion, NotAVersion};
use serde::{Deserialize, Serialize};

use crate::call::{Answer, Include};
use crate::ids::{AgentId, PoolId};
use crate::limits::MAX_UPDATE_STATE;
use crate::messages::MessageContent;
use crate::{Refusal, Service};

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
            // One that its agent has not deleted says the same.
            if self.is_asked_to_refresh(session) {
                continue;
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
