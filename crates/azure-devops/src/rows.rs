//! Rows of a pool's job requests as a reader in the same thread sees them: what an
//! answer would tell, without an answer.

use model::Instant;
use model::event::JobResult;
use uuid::Uuid;

use crate::call::{JobRequestList, JobRequestQuery};
use crate::ids::{PoolId, RequestId};
use crate::job_requests::{JobRequest, State};
use crate::limits::MAX_ROWS_WITH_TOP;
use crate::pools::Pool;
use crate::{RowOrder, Service};

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    service: &'a Service,
    job: &'a JobRequest,
    matched_agents: bool,
}

impl<'a> Row<'a> {
    /// The job request's id.
    #[must_use]
    pub fn request(&self) -> RequestId {
        self.job.id
    }

    /// The job's id.
    #[must_use]
    pub fn job_id(&self) -> Uuid {
        self.job.job_id
    }

    /// When it was queued.
    #[must_use]
    pub fn queued(&self) -> Instant {
        self.job.queued
    }

    /// Whether `assignTime` is set.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.job.reserved().is_some()
    }

    /// Whether `receiveTime` is set.
    #[must_use]
    pub fn is_received(&self) -> bool {
        match self.job.state {
            State::Queued | State::Promised { .. } | State::Assigned { .. } => false,
            State::Received(job) => job.receive_time.is_some(),
            State::Finished { reserved, .. } => {
                reserved.is_some_and(|reserved| reserved.receive_time.is_some())
            }
        }
    }

    /// `result`.
    #[must_use]
    pub fn result(&self) -> Option<JobResult> {
        self.job.result()
    }

    /// Its demands, as they were written.
    pub fn demands(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.job.demands.texts()
    }

    /// Whether another row has the very same demands: then it matches the same agents, too.
    #[must_use]
    pub fn demands_the_same(&self, other: &Self) -> bool {
        self.job.demands.is_same(&other.job.demands)
    }

    /// Whether the row has the member `matchedAgents`, if any agent matches.
    #[must_use]
    pub fn shows_matches(&self) -> bool {
        self.matched_agents && self.service.shows_matches(self.job)
    }

    /// The names in `matchedAgents`.
    pub fn matched_agents(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let shown = self.shows_matches();
        let pool = self
            .service
            .pools
            .get(&self.job.pool)
            .filter(|pool| shown && !self.service.tells_all_agents_only(pool, &self.job.demands));
        let (service, demands) = (self.service, &self.job.demands);
        pool.into_iter()
            .flat_map(move |pool| service.matching_agents(pool, demands))
            .filter(move |agent| service.is_listed(agent))
            .map(|agent| &*agent.name)
    }

    /// Whether an agent of exactly this name is among `matchedAgents`. It is looked up, not searched for.
    #[must_use]
    pub fn matches_agent(&self, name: &str) -> bool {
        let known = || {
            let id = self.service.pools.get(&self.job.pool)?.by_name.get(&*name.to_lowercase())?;
            self.service.agents.get(id)
        };
        let hidden = |pool: &Pool| self.service.tells_all_agents_only(pool, &self.job.demands);
        self.shows_matches()
            && !self.service.pools.get(&self.job.pool).is_some_and(hidden)
            && known().is_some_and(|agent| {
                &*agent.name == name
                    && self.service.is_listed(agent)
                    && agent.capabilities.satisfy(&self.job.demands)
            })
    }
}

impl Service {
    /// The rows of a list that was just answered, in order.
    pub fn rows<'a>(&'a self, list: &'a JobRequestList) -> impl Iterator<Item = Row<'a>> {
        list.rows.iter().filter_map(|id| self.requests.get(id)).map(|job| Row {
            service: self,
            job,
            matched_agents: list.matched_agents,
        })
    }

    /// The rows without a result that the answer to a query of a pool as a whole would have, in order, without the
    /// answer: those that KEDA counts. Demands are as in the answer. Nothing for a pool that is not there.
    pub fn unfinished_rows(&self, pool: PoolId, query: &JobRequestQuery) -> impl Iterator<Item = Row<'_>> {
        let top = query
            .top
            .map_or(usize::MAX, |top| usize::try_from(top).unwrap_or(usize::MAX).min(MAX_ROWS_WITH_TOP));
        let newest_first = (self.settings.switches.row_order == RowOrder::NewestFirst) != query.reversed;
        let hidden_below =
            if newest_first && query.top.is_some() { self.oldest_shown(pool, top) } else { None };
        let unfinished = self.pools.get(&pool).map(|pool| &pool.unfinished);
        let forth = unfinished.filter(|_| !newest_first).into_iter().flat_map(|ids| ids.iter());
        let back = unfinished.filter(|_| newest_first).into_iter().flat_map(|ids| ids.iter().rev());
        let matched_agents = query.top.is_none();
        forth
            .chain(back)
            .take(top)
            .filter(move |id| hidden_below.is_none_or(|oldest| **id >= oldest))
            .filter_map(|id| self.requests.get(id))
            .map(move |job| Row { service: self, job, matched_agents })
    }

    /// The oldest of the newest rows, finished ones among them.
    fn oldest_shown(&self, pool: PoolId, rows: usize) -> Option<RequestId> {
        let mut of_the_pool = self.requests.values().rev().filter(|job| job.pool == pool);
        of_the_pool.nth(rows.checked_sub(1)?).map(|job| job.id)
    }

    /// The id of a request's job.
    #[must_use]
    pub fn job_id(&self, request: RequestId) -> Option<Uuid> {
        self.requests.get(&request).map(|job| job.job_id)
    }

    /// Until when a received job is locked.
    #[must_use]
    pub fn locked_until(&self, request: RequestId) -> Option<Instant> {
        match self.requests.get(&request)?.state {
            State::Received(received) => Some(received.locked_until),
            State::Finished { reserved, .. } => reserved?.received.map(|(_, locked_until)| locked_until),
            State::Queued | State::Promised { .. } | State::Assigned { .. } => None,
        }
    }
}
