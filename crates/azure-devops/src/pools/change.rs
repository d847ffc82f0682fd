//! Pools are listed, made, changed and taken away.

use super::call::{PoolAnswer, PoolChange, PoolDraft, PoolQuery};
use super::{Pool, checked_name, same_name};
use crate::call::Answer;
use crate::ids::PoolId;
use crate::limits::{MAX_METADATA, MAX_POOLS, MAX_PROPERTIES};
use crate::{Refusal, Service};

impl Service {
    pub(crate) fn find_pools(&self, query: &PoolQuery) -> PoolAnswer {
        let wanted = |pool: &&Pool| {
            query.name.as_deref().is_none_or(|name| same_name(&pool.name, name))
                && (query.ids.is_empty() || query.ids.contains(&pool.id))
                && query.kind.is_none_or(|kind| pool.details.kind == kind)
        };
        let found = self.pools.values().filter(wanted).map(|pool| pool.id).collect();
        PoolAnswer::Pools(found, query.properties.clone())
    }

    pub(crate) fn make_pool(&mut self, draft: PoolDraft) -> Result<Answer, Refusal> {
        let name = checked_name(&draft.name, "pool")?;
        check_size(draft.details.properties.len(), draft.details.metadata.as_deref())?;
        if self.pool_by_name(name).is_some() {
            return Err(Refusal::PoolExists(name.to_owned()));
        }
        if self.pools.len() >= MAX_POOLS {
            return Err(Refusal::Full { what: "pools", limit: MAX_POOLS });
        }
        let id = PoolId(self.numbers.pool);
        self.numbers.pool += 1;
        self.pools.insert(id, Pool { details: draft.details, ..Pool::new(id, name, self.now) });
        self.pool_appeared(id);
        Ok(Answer::Pool(id))
    }

    pub(crate) fn change_pool(&mut self, id: PoolId, change: PoolChange) -> Result<Answer, Refusal> {
        let name = match &change.name {
            Some(name) => Some(checked_name(name, "pool")?.to_owned()),
            None => None,
        };
        if let Some(name) = &name
            && self.pool_by_name(name).is_some_and(|other| other.id != id)
        {
            return Err(Refusal::PoolExists(name.clone()));
        }
        let pool = self.pools.get_mut(&id).ok_or(Refusal::PoolNotFound(id))?;
        let new = change.properties.keys().filter(|name| !pool.details.properties.contains_key(*name));
        check_size(pool.details.properties.len() + new.count(), None)?;
        let details = &mut pool.details;
        let appeared = change.auto_provision == Some(true) && !details.auto_provision;
        details.auto_provision = change.auto_provision.unwrap_or(details.auto_provision);
        details.auto_update = change.auto_update.unwrap_or(details.auto_update);
        details.auto_size = change.auto_size.unwrap_or(details.auto_size);
        details.target_size = change.target_size.or(details.target_size);
        details.properties.extend(change.properties);
        if let Some(name) = name {
            pool.name.clone_from(&name);
            self.queues.pool_renamed(id, &name);
        }
        if appeared {
            self.pool_appeared(id);
        }
        Ok(Answer::Pool(id))
    }

    /// Refused as long as something is in it, or leads to it. Which of these the real service minds, and
    /// in which words, is not documented. Queues that came with the pool go with it.
    pub(crate) fn remove_pool(&mut self, id: PoolId) -> Result<Answer, Refusal> {
        let pool = self.pool(id)?;
        let in_use = |by: &'static str| Refusal::PoolInUse { pool: pool.name.clone(), by };
        if !pool.agents.is_empty() {
            return Err(in_use("agents"));
        }
        if !pool.unfinished.is_empty() {
            return Err(in_use("job requests"));
        }
        if self.queues.lead_to(id) {
            return Err(in_use("queues"));
        }
        // Their jobs would be queued nowhere, and they would never end.
        if self.is_needed_by_builds(id) {
            return Err(in_use("builds that run"));
        }
        if let Some(pool) = self.pools.remove(&id) {
            for request in pool.finished {
                self.requests.remove(&request);
            }
        }
        self.queues.pool_removed(id);
        Ok(Answer::Done)
    }

    pub(crate) fn set_metadata(&mut self, id: PoolId, metadata: String) -> Result<Answer, Refusal> {
        check_size(0, Some(&metadata))?;
        let pool = self.pools.get_mut(&id).ok_or(Refusal::PoolNotFound(id))?;
        pool.details.metadata = Some(metadata);
        Ok(Answer::Done)
    }
}

/// Whether so much may be kept with a pool or an agent.
pub(crate) fn check_size(properties: usize, metadata: Option<&str>) -> Result<(), Refusal> {
    if properties > MAX_PROPERTIES {
        return Err(Refusal::Full { what: "properties of one thing", limit: MAX_PROPERTIES });
    }
    match metadata {
        Some(text) if text.len() > MAX_METADATA => Err(Refusal::TooLarge(MAX_METADATA)),
        _ => Ok(()),
    }
}
