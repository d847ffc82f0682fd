//! Agents of a pool: registered, replaced, changed, removed.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Fact, Instant};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::{AgentChange, AgentDraft, Answer, Include};
use crate::capabilities::{Capabilities, lower_case};
use crate::demands::Demand;
use crate::ids::{AgentId, PoolId, RequestId};
use crate::job_requests::ShownAgent;
use crate::limits::MAX_AGENTS;
use crate::oauth::PublicKey;
use crate::pools::{AgentQuery, PoolAnswer, Properties, check_size, checked_name};
use crate::sequence::Sequence;
use crate::sessions::SessionEnd;
use crate::updates::PendingUpdate;
use crate::{Refusal, Service};

/// An agent that is registered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Agent {
    pub(crate) id: AgentId,
    pub(crate) pool: PoolId,
    pub(crate) name: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) os_description: Arc<str>,
    pub(crate) enabled: bool,
    pub(crate) max_parallelism: u32,
    pub(crate) properties: Properties,
    pub(crate) created: Instant,
    pub(crate) status_changed: Instant,
    pub(crate) user_capabilities: BTreeMap<String, String>,
    pub(crate) capabilities: Capabilities,
    /// An agent with a session is online.
    pub(crate) session: Option<Uuid>,
    /// The request that is reserved for it.
    pub(crate) request: Option<RequestId>,
    /// The request that will be reserved for it in a moment.
    pub(crate) promised: Option<RequestId>,
    pub(crate) last_completed: Option<RequestId>,
    /// It said that it takes no further job.
    pub(crate) shutting_down: bool,
    /// What it registered with; without one it gets no tokens and no encrypted messages.
    pub(crate) key: Option<Arc<PublicKey>>,
    pub(crate) pending_update: Option<Box<PendingUpdate>>,
    /// Its JSON in `matchedAgents`, once somebody asked. Whatever changes the agent forgets it.
    #[serde(skip)]
    pub(crate) reference: OnceCell<Vec<u8>>,
}

impl Agent {
    /// Whether it could take a job if it has none.
    pub(crate) fn takes_jobs(&self) -> bool {
        self.session.is_some() && self.enabled && !self.shutting_down
    }

    /// What rows tell of it.
    pub(crate) fn shown(&self) -> ShownAgent {
        ShownAgent {
            id: self.id,
            pool: self.pool,
            name: Arc::clone(&self.name),
            version: Arc::clone(&self.version),
            os_description: Arc::clone(&self.os_description),
            enabled: self.enabled,
            online: self.session.is_some(),
        }
    }

    fn is_idle(&self) -> bool {
        self.takes_jobs() && self.request.is_none() && self.promised.is_none()
    }
}

/// Agents by their ids: found in one step, gone through in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Agents {
    /// Boxed: a placeholder stays for ever, and with it the places of all agents that came and went after it.
    by_id: Sequence<AgentId, Box<Agent>>,
    count: usize,
}

impl Agents {
    pub(crate) fn get(&self, id: &AgentId) -> Option<&Agent> {
        self.by_id.get(id).map(|agent| &**agent)
    }

    pub(crate) fn get_mut(&mut self, id: &AgentId) -> Option<&mut Agent> {
        self.by_id.get_mut(id).map(|agent| &mut **agent)
    }

    /// Adds an agent, whose id is higher than any before.
    fn insert(&mut self, agent: Agent) {
        self.by_id.insert(agent.id, Box::new(agent));
        self.count += 1;
    }

    fn remove(&mut self, id: AgentId) -> Option<Box<Agent>> {
        let removed = self.by_id.remove(&id)?;
        self.count -= 1;
        Some(removed)
    }

    fn values(&self) -> impl Iterator<Item = &Agent> {
        self.by_id.values().map(|agent| &**agent)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }
}

/// How an agent came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewAgent {
    /// It registered itself.
    Registered,
    /// The scenario put it there, to stay offline.
    Placeholder,
}

/// An agent as a runner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSnapshot {
    /// Its id.
    pub id: AgentId,
    /// Its name.
    pub name: String,
    /// Its pool.
    pub pool: PoolId,
    /// Whether it has a session.
    pub online: bool,
    /// Whether it may take jobs.
    pub enabled: bool,
    /// The job request that is reserved for it.
    pub request: Option<RequestId>,
}

impl Service {
    /// Every agent of the organisation, by id.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentSnapshot> {
        let snapshot = |agent: &Agent| AgentSnapshot {
            id: agent.id,
            name: agent.name.to_string(),
            pool: agent.pool,
            online: agent.session.is_some(),
            enabled: agent.enabled,
            request: agent.request,
        };
        self.agents.values().map(snapshot).collect()
    }

    pub(crate) fn agent(&self, pool: PoolId, id: AgentId) -> Result<&Agent, Refusal> {
        self.pool(pool)?;
        self.agents.get(&id).filter(|agent| agent.pool == pool).ok_or(Refusal::AgentNotFound(id))
    }

    fn agent_mut(&mut self, pool: PoolId, id: AgentId) -> Result<&mut Agent, Refusal> {
        self.pool(pool)?;
        self.agents.get_mut(&id).filter(|agent| agent.pool == pool).ok_or(Refusal::AgentNotFound(id))
    }

    pub(crate) fn list_agents(
        &self,
        pool: PoolId,
        name: Option<&str>,
        demands: &[Demand],
        include: Include,
    ) -> Result<Answer, Refusal> {
        let pool = self.pool(pool)?;
        let able =
            |id: &AgentId| self.agents.get(id).is_some_and(|agent| agent.capabilities.satisfy(demands));
        let found = match name {
            Some(name) => pool.by_name.get(&*name.to_lowercase()).copied().filter(able).into_iter().collect(),
            None => pool.agents.iter().copied().filter(able).collect(),
        };
        Ok(Answer::Agents(found, include))
    }

    pub(crate) fn find_agents(&self, pool: PoolId, query: AgentQuery) -> Result<PoolAnswer, Refusal> {
        let AgentQuery { name, demands, include, properties } = query;
        match self.list_agents(pool, name.as_deref(), &demands, include)? {
            Answer::Agents(found, include) => Ok(PoolAnswer::Agents(found, include, properties)),
            other => unreachable!("agents are listed as agents, not as {other:?}"),
        }
    }

    pub(crate) fn get_agent(&self, pool: PoolId, id: AgentId, include: Include) -> Result<Answer, Refusal> {
        self.agent(pool, id).map(|agent| Answer::Agent(agent.id, include))
    }

    pub(crate) fn register_agent(&mut self, pool: PoolId, draft: AgentDraft) -> Result<Answer, Refusal> {
        let name = checked_name(&draft.name, "agent")?;
        let name = if *name == *draft.name { Arc::clone(&draft.name) } else { name.into() };
        let known = self.pool(pool)?;
        if known.by_name.contains_key(&*lower_case(&name)) {
            return Err(Refusal::AgentExists { pool: known.name.clone(), name: name.to_string() });
        }
        if self.agents.len() >= MAX_AGENTS {
            return Err(Refusal::Full { what: "agents", limit: MAX_AGENTS });
        }
        check_size(draft.properties.len(), None)?;
        let id = self.insert_agent(pool, AgentDraft { name, ..draft }, NewAgent::Registered);
        Ok(Answer::Agent(id, SAID_BY_ITSELF))
    }

    pub(crate) fn insert_agent(&mut self, pool: PoolId, draft: AgentDraft, kind: NewAgent) -> AgentId {
        let id = AgentId(self.numbers.agent);
        self.numbers.agent += 1;
        let user = draft.user_capabilities.unwrap_or_default();
        let agent = Agent {
            id,
            pool,
            capabilities: Capabilities::new(&draft.name, &draft.version, draft.capabilities, &user),
            name: draft.name,
            version: draft.version,
            os_description: draft.os_description,
            enabled: draft.enabled.unwrap_or(true),
            max_parallelism: draft.max_parallelism.unwrap_or(1),
            properties: draft.properties,
            created: self.now,
            status_changed: self.now,
            user_capabilities: user,
            session: None,
            request: None,
            promised: None,
            last_completed: None,
            shutting_down: false,
            key: draft.public_key,
            pending_update: None,
            reference: OnceCell::new(),
        };
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.agents.insert(id);
            pool.by_name.insert(Arc::clone(agent.capabilities.agent_name()), id);
        }
        self.agents.insert(agent);
        self.key_changed(id);
        self.agent_changed(id);
        self.tell_registered(id, kind, false);
        id
    }

    /// `PUT agents/{id}`, which `config.sh --replace` sends. The id stays; the session of the
    /// replaced agent ends at once, or lives on, by a switch.
    pub(crate) fn replace_agent(
        &mut self,
        pool: PoolId,
        id: AgentId,
        draft: AgentDraft,
    ) -> Result<Answer, Refusal> {
        let name = checked_name(&draft.name, "agent")?;
        let name = if *name == *draft.name { Arc::clone(&draft.name) } else { name.into() };
        check_size(draft.properties.len(), None)?;
        let session = self.agent(pool, id)?.session;
        self.rename_agent(pool, id, &name)?;
        if let Some(session) = session
            && self.settings.switches.replace_ends_session
        {
            self.end_session(session, SessionEnd::Expired("the agent was replaced"));
        }
        let agent = self.agent_mut(pool, id)?;
        agent.version = draft.version;
        agent.os_description = draft.os_description;
        agent.enabled = draft.enabled.unwrap_or(true);
        agent.capabilities.system = draft.capabilities;
        agent.max_parallelism = draft.max_parallelism.unwrap_or(1);
        agent.properties = draft.properties;
        if let Some(user) = draft.user_capabilities {
            agent.user_capabilities = user;
        }
        agent.shutting_down = false;
        agent.key = draft.public_key;
        agent.pending_update = None;
        self.key_changed(id);
        self.capabilities_changed(id);
        self.tell_registered(id, NewAgent::Registered, true);
        Ok(Answer::Agent(id, SAID_BY_ITSELF))
    }

    fn rename_agent(&mut self, pool: PoolId, id: AgentId, name: &Arc<str>) -> Result<(), Refusal> {
        let Some(known) = self.pools.get_mut(&pool) else { return Err(Refusal::PoolNotFound(pool)) };
        let Some(agent) = self.agents.get_mut(&id) else { return Err(Refusal::AgentNotFound(id)) };
        let key = lower_case(name);
        if known.by_name.get(&*key).is_some_and(|other| *other != id) {
            return Err(Refusal::AgentExists { pool: known.name.clone(), name: name.to_string() });
        }
        known.by_name.remove(&**agent.capabilities.agent_name());
        known.by_name.insert(key, id);
        agent.name = Arc::clone(name);
        Ok(())
    }

    pub(crate) fn update_agent(
        &mut self,
        pool: PoolId,
        id: AgentId,
        change: AgentChange,
    ) -> Result<Answer, Refusal> {
        let known = self.agent(pool, id)?;
        let new = change.properties.keys().filter(|name| !known.properties.contains_key(*name));
        check_size(known.properties.len() + new.count(), None)?;
        if let Some(name) = change.name {
            let name: Arc<str> = checked_name(&name, "agent")?.into();
            self.rename_agent(pool, id, &name)?;
        }
        let agent = self.agent_mut(pool, id)?;
        agent.enabled = change.enabled.unwrap_or(agent.enabled);
        agent.max_parallelism = change.max_parallelism.unwrap_or(agent.max_parallelism);
        agent.properties.extend(change.properties);
        if let Some(version) = change.version {
            agent.version = version;
        }
        if let Some(os_description) = change.os_description {
            agent.os_description = os_description;
        }
        if let Some(capabilities) = change.capabilities {
            agent.capabilities.system = capabilities;
        }
        if let Some(user) = change.user_capabilities {
            agent.user_capabilities = user;
        }
        self.capabilities_changed(id);
        Ok(Answer::Agent(id, Include::default()))
    }

    pub(crate) fn set_user_capabilities(
        &mut self,
        pool: PoolId,
        id: AgentId,
        capabilities: BTreeMap<String, String>,
    ) -> Result<Answer, Refusal> {
        self.agent_mut(pool, id)?.user_capabilities = capabilities;
        self.capabilities_changed(id);
        Ok(Answer::Agent(id, SAID_BY_ITSELF))
    }

    /// Refused while a job is reserved for the agent, taken or not yet taken: between the end of a
    /// `--once` agent's job and its removal it may have been given the next one
    /// (azure-pipelines-agent#3994).
    pub(crate) fn remove_agent(&mut self, pool: PoolId, id: AgentId) -> Result<Answer, Refusal> {
        let agent = self.agent(pool, id)?;
        if let Some(request) = agent.request {
            let refusal = Refusal::JobStillRunning {
                agent: agent.name.to_string(),
                pool: self.pool(pool)?.name.clone(),
            };
            self.tell(|| Fact::AgentRemovalRefused { agent: id.0, request: request.0 });
            return Err(refusal);
        }
        if let Some(session) = agent.session {
            self.end_session(session, SessionEnd::AgentRemoved);
        }
        if let Some(agent) = self.agents.remove(id)
            && let Some(pool) = self.pools.get_mut(&pool)
        {
            pool.agents.remove(&id);
            pool.idle.remove(&id);
            pool.by_name.remove(&**agent.capabilities.agent_name());
            pool.forget_matches();
        }
        self.forget_client(id);
        self.tell(|| Fact::AgentRemoved { agent: id.0 });
        Ok(Answer::Done)
    }

    pub(crate) fn capabilities_changed(&mut self, id: AgentId) {
        if let Some(agent) = self.agents.get_mut(&id) {
            let system = std::mem::take(&mut agent.capabilities.system);
            agent.capabilities =
                Capabilities::new(&agent.name, &agent.version, system, &agent.user_capabilities);
        }
        self.agent_changed(id);
    }

    /// To be called after any change of an agent: what is kept about it elsewhere follows.
    pub(crate) fn agent_changed(&mut self, id: AgentId) {
        let Some(agent) = self.agents.get(&id) else { return };
        if !agent.takes_jobs()
            && let Some(request) = agent.promised
        {
            self.break_promise(request);
        }
        let Some(agent) = self.agents.get_mut(&id) else { return };
        agent.reference.take();
        let (idle, request) = (agent.is_idle(), agent.request);
        if let Some(pool) = self.pools.get_mut(&agent.pool) {
            pool.forget_matches();
            if idle {
                pool.idle.insert(id);
            } else {
                pool.idle.remove(&id);
            }
        }
        if idle {
            self.may_promise = true;
        }
        if let Some(job) = request.and_then(|request| self.requests.get_mut(&request)) {
            job.row.take();
        }
    }
}

/// What the answer to a registration tells: what the agent said of itself.
const SAID_BY_ITSELF: Include =
    Include { capabilities: true, assigned_request: false, last_completed_request: false };
