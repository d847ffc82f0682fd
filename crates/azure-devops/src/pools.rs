//! Agent pools: who is in them, what waits in them, what was done in them.

mod call;
mod change;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::{Fact, Instant, scenario};
use serde::{Deserialize, Serialize};

use crate::agents::NewAgent;
use crate::assignment::QueueKey;
use crate::call::{AgentDraft, Answer};
use crate::demands::Demands;
use crate::ids::{AgentId, PoolId, RequestId};
use crate::limits::{MAX_AGENTS, MAX_NAME, MAX_POOLS, MAX_REMEMBERED_MATCHES};
use crate::parallel::ParallelismTag;
use crate::settings::PLACEHOLDER_VERSION;
use crate::{AllAgentsMatch, Refusal, Service};

pub use call::{
    AgentQuery, PoolAnswer, PoolCall, PoolChange, PoolDetails, PoolDraft, PoolQuery, PoolType, Properties,
    PropertyFilter,
};
pub(crate) use change::check_size;

/// An agent pool.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pool {
    pub(crate) id: PoolId,
    pub(crate) name: String,
    pub(crate) created: Instant,
    pub(crate) details: PoolDetails,
    pub(crate) agents: BTreeSet<AgentId>,
    /// Agents by lower-case name.
    pub(crate) by_name: BTreeMap<Arc<str>, AgentId>,
    /// Agents that could take a job at once: online, enabled, without a job, and staying.
    pub(crate) idle: BTreeSet<AgentId>,
    /// Requests that nobody was promised to, by the limit that they count against and what they demand,
    /// each in its order.
    #[serde(with = "crate::snapshot::pairs")]
    pub(crate) queue: BTreeMap<(ParallelismTag, Demands), BTreeSet<QueueKey>>,
    pub(crate) unfinished: BTreeSet<RequestId>,
    /// The latest at the end.
    pub(crate) finished: VecDeque<RequestId>,
    /// Worked out when somebody reads rows, until an agent changes.
    #[serde(skip)]
    matches: RefCell<BTreeMap<Demands, Arc<Matches>>>,
}

/// The agents that satisfy some demands, as rows list them.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// The members `matchesAllAgentsInPool` and `matchedAgents` with the commas before them; empty if there
    /// is none to list.
    pub(crate) member: Vec<u8>,
    pub(crate) names: Vec<String>,
}

impl Pool {
    fn new(id: PoolId, name: &str, created: Instant) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created,
            details: PoolDetails::usual(),
            agents: BTreeSet::new(),
            by_name: BTreeMap::new(),
            idle: BTreeSet::new(),
            queue: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            finished: VecDeque::new(),
            matches: RefCell::default(),
        }
    }

    /// Forgets which agents match what: one of them changed.
    pub(crate) fn forget_matches(&mut self) {
        self.matches.get_mut().clear();
    }
}

impl Service {
    pub(crate) fn add_scenario_pool(&mut self, pool: &scenario::Pool) {
        let id = PoolId(pool.id);
        self.pools.insert(id, Pool::new(id, &pool.name, self.now));
        self.numbers.pool = self.numbers.pool.max(pool.id.saturating_add(1));
        for placeholder in &pool.agents {
            self.add_placeholder(id, placeholder);
        }
    }

    fn add_placeholder(&mut self, pool: PoolId, placeholder: &scenario::Placeholder) {
        let draft = AgentDraft {
            name: placeholder.name.as_str().into(),
            version: PLACEHOLDER_VERSION.into(),
            capabilities: placeholder.capabilities.clone().into(),
            ..AgentDraft::default()
        };
        self.insert_agent(pool, draft, NewAgent::Placeholder);
    }

    pub(crate) fn pool(&self, id: PoolId) -> Result<&Pool, Refusal> {
        self.pools.get(&id).ok_or(Refusal::PoolNotFound(id))
    }

    pub(crate) fn pool_by_name(&self, name: &str) -> Option<&Pool> {
        self.pools.values().find(|pool| same_name(&pool.name, name))
    }

    pub(crate) fn list_pools(&self, name: Option<&str>, ids: &[PoolId]) -> Answer {
        let wanted = |pool: &&Pool| {
            name.is_none_or(|name| same_name(&pool.name, name)) && (ids.is_empty() || ids.contains(&pool.id))
        };
        Answer::Pools(self.pools.values().filter(wanted).map(|pool| pool.id).collect())
    }

    /// `pools?poolID=N`. KEDA before 2.17 takes the polled pool's id from the answer's top level
    /// (keda v2.6-v2.16, azure_pipelines_scaler.go, validatePoolID), so it is one object.
    pub(crate) fn find_pool(&self, id: PoolId) -> Result<Answer, Refusal> {
        match self.pool(id) {
            Err(_) if self.settings.switches.unknown_pool_is_empty => Ok(Answer::Empty),
            found => found.map(|pool| Answer::Pool(pool.id)),
        }
    }

    pub(crate) fn get_pool(&self, id: PoolId) -> Result<Answer, Refusal> {
        self.pool(id).map(|pool| Answer::Pool(pool.id))
    }

    pub(crate) fn create_pool(
        &mut self,
        name: &str,
        placeholders: &[scenario::Placeholder],
    ) -> Result<Answer, Refusal> {
        let name = checked_name(name, "pool")?;
        let mut names = BTreeSet::new();
        for placeholder in placeholders {
            if !names.insert(checked_name(&placeholder.name, "agent")?.to_lowercase()) {
                let (pool, name) = (name.to_owned(), placeholder.name.clone());
                return Err(Refusal::AgentExists { pool, name });
            }
        }
        if self.agents.len() + placeholders.len() > MAX_AGENTS {
            return Err(Refusal::Full { what: "agents", limit: MAX_AGENTS });
        }
        if self.pool_by_name(name).is_some() {
            return Err(Refusal::PoolExists(name.to_owned()));
        }
        if self.pools.len() >= MAX_POOLS {
            return Err(Refusal::Full { what: "pools", limit: MAX_POOLS });
        }
        let id = PoolId(self.numbers.pool);
        self.numbers.pool += 1;
        self.pools.insert(id, Pool::new(id, name, self.now));
        self.pool_appeared(id);
        for placeholder in placeholders {
            self.add_placeholder(id, placeholder);
        }
        Ok(Answer::Pool(id))
    }

    /// The registered agents of a pool that satisfy the demands, offline and disabled ones too.
    pub(crate) fn matching_agents<'a>(
        &'a self,
        pool: &'a Pool,
        demands: &'a Demands,
    ) -> impl Iterator<Item = &'a crate::agents::Agent> {
        pool.agents
            .iter()
            .filter_map(|id| self.agents.get(id))
            .filter(|agent| agent.capabilities.satisfy(demands))
    }

    /// Whether rows list an agent that satisfies their demands.
    pub(crate) fn is_listed(&self, agent: &crate::agents::Agent) -> bool {
        agent.enabled || self.settings.switches.disabled_agents_match
    }

    /// The agents that satisfy these demands, as rows list them.
    pub(crate) fn matches_of(&self, id: PoolId, demands: &Demands) -> Arc<Matches> {
        let Some(pool) = self.pools.get(&id) else { return Arc::default() };
        if let Some(known) = pool.matches.borrow().get(demands) {
            return Arc::clone(known);
        }
        let mut matches = Matches::default();
        for agent in self.matching_agents(pool, demands).filter(|agent| self.is_listed(agent)) {
            let opening: &[u8] = if matches.names.is_empty() { b",\"matchedAgents\":[" } else { b"," };
            matches.member.extend_from_slice(opening);
            matches.member.extend_from_slice(self.agent_reference(agent));
            matches.names.push(agent.name.to_string());
        }
        if !matches.names.is_empty() {
            matches.member.push(b']');
        }
        if matches.names.len() == pool.agents.len() && !matches.names.is_empty() {
            match self.settings.switches.all_agents_match {
                AllAgentsMatch::Listed => {}
                AllAgentsMatch::Told => drop(matches.member.splice(0..0, ALL_AGENTS.iter().copied())),
                AllAgentsMatch::ToldOnly => {
                    matches = Matches { member: ALL_AGENTS.to_vec(), names: Vec::new() };
                }
            }
        }
        let matches = Arc::new(matches);
        let mut remembered = pool.matches.borrow_mut();
        if remembered.len() >= MAX_REMEMBERED_MATCHES {
            remembered.clear();
        }
        remembered.insert(demands.clone(), Arc::clone(&matches));
        matches
    }

    /// Whether rows with these demands tell that all agents of the pool match, and name none.
    pub(crate) fn tells_all_agents_only(&self, pool: &Pool, demands: &Demands) -> bool {
        self.settings.switches.all_agents_match == AllAgentsMatch::ToldOnly
            && !pool.agents.is_empty()
            && self.matching_agents(pool, demands).count() == pool.agents.len()
    }

    pub(crate) fn tell_registered(&mut self, agent: AgentId, kind: NewAgent, replaced: bool) {
        let Some(known) = self.agents.get(&agent) else { return };
        let (name, pool) = (Arc::clone(&known.name), known.pool.0);
        self.tell(|| Fact::AgentRegistered {
            agent: agent.0,
            name: name.to_string(),
            pool,
            replaced,
            placeholder: kind == NewAgent::Placeholder,
        });
    }
}

/// What rows tell if every agent of the pool matches.
const ALL_AGENTS: &[u8] = b",\"matchesAllAgentsInPool\":true";

/// Names of pools, agents and definitions are compared whatever their case.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// A name that can be one.
pub(crate) fn checked_name<'a>(name: &'a str, of: &str) -> Result<&'a str, Refusal> {
    let name = name.trim();
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!("The {of}'s name must have 1 to {MAX_NAME} printable bytes.")));
    }
    Ok(name)
}
