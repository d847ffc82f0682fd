//! Queues: a project's way to a pool. Builds name a queue, and wait in its pool.
//!
//! A pool that is provisioned for all projects (`autoProvision`) has a queue in each, and a project that
//! comes into being gets one of each such pool; other queues somebody has made. A queue has the name of
//! its pool unless it was given another.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::{Answer, JobRequestQuery};
use crate::ids::{PoolId, QueueId};
use crate::limits::MAX_QUEUES;
use crate::pools::{PoolAnswer, checked_name, same_name};
use crate::{Refusal, Service};

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) project: Uuid,
    pub(crate) name: String,
    pub(crate) pool: PoolId,
    /// Whether it is there because its pool is: then it goes with it.
    pub(crate) provisioned: bool,
}

/// All queues, and the projects that have them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queues {
    #[serde(with = "crate::snapshot::pairs")]
    by_id: BTreeMap<QueueId, Queue>,
    /// The first of a project that leads to a pool.
    #[serde(with = "crate::snapshot::pairs")]
    by_pool: BTreeMap<(Uuid, PoolId), QueueId>,
    projects: BTreeSet<Uuid>,
    last: u64,
}

impl Queues {
    fn is_full(&self) -> bool {
        self.by_id.len() >= MAX_QUEUES
    }

    fn add(&mut self, project: Uuid, pool: PoolId, name: &str, provisioned: bool) -> QueueId {
        self.last += 1;
        let id = QueueId(self.last);
        self.by_id.insert(id, Queue { id, project, name: name.to_owned(), pool, provisioned });
        self.by_pool.entry((project, pool)).or_insert(id);
        id
    }

    fn remove(&mut self, id: QueueId) {
        let Some(gone) = self.by_id.remove(&id) else { return };
        let place = (gone.project, gone.pool);
        if self.by_pool.get(&place) != Some(&id) {
            return;
        }
        match self.by_id.values().find(|queue| (queue.project, queue.pool) == place) {
            Some(other) => self.by_pool.insert(place, other.id),
            None => self.by_pool.remove(&place),
        };
    }

    /// Whether somebody has made a queue that leads to a pool.
    pub(crate) fn lead_to(&self, pool: PoolId) -> bool {
        self.by_id.values().any(|queue| queue.pool == pool && !queue.provisioned)
    }

    /// A pool is gone, and with it the queues that came with it.
    pub(crate) fn pool_removed(&mut self, pool: PoolId) {
        self.by_id.retain(|_, queue| queue.pool != pool);
        self.by_pool.retain(|(_, of), _| *of != pool);
    }

    /// A project is gone, and with it its queues.
    pub(crate) fn project_removed(&mut self, project: Uuid) {
        self.by_id.retain(|_, queue| queue.project != project);
        self.by_pool.retain(|(of, _), _| *of != project);
        self.projects.remove(&project);
    }

    /// A pool has another name: the queues that came with it have it, too.
    pub(crate) fn pool_renamed(&mut self, pool: PoolId, name: &str) {
        for queue in self.by_id.values_mut().filter(|queue| queue.pool == pool && queue.provisioned) {
            name.clone_into(&mut queue.name);
        }
    }
}

/// Which queues to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueQuery {
    /// `queueName`, `queueNames`: exactly these, whatever the case; any if empty.
    pub names: Vec<String>,
    /// `queueIds`; any if empty.
    pub ids: Vec<QueueId>,
    /// `poolIds`; any if empty.
    pub pools: Vec<PoolId>,
}

impl Service {
    /// A project has come into being: it gets a queue to every pool that is provisioned for all.
    pub(crate) fn project_appeared(&mut self, project: Uuid) {
        if !self.queues.projects.insert(project) {
            return;
        }
        let pools: Vec<PoolId> = self.pools.keys().copied().collect();
        for pool in pools {
            self.provision(project, pool);
        }
    }

    /// A pool has come into being.
    pub(crate) fn pool_appeared(&mut self, pool: PoolId) {
        let projects: Vec<Uuid> = self.queues.projects.iter().copied().collect();
        for project in projects {
            self.provision(project, pool);
        }
    }

    fn provision(&mut self, project: Uuid, pool: PoolId) {
        let Some(known) = self.pools.get(&pool).filter(|pool| pool.details.auto_provision) else { return };
        let is_there = self.queues.by_pool.contains_key(&(project, pool));
        if !is_there && !self.queues.is_full() {
            self.queues.add(project, pool, &known.name, true);
        }
    }

    /// The queue by which builds of a project get to a pool.
    pub(crate) fn queue_of(&self, project: Uuid, pool: PoolId) -> Option<&Queue> {
        self.queues.by_id.get(self.queues.by_pool.get(&(project, pool))?)
    }

    /// The queue that a project got first.
    pub(crate) fn first_queue(&self, project: Uuid) -> Option<&Queue> {
        self.queues.by_id.values().find(|queue| queue.project == project)
    }

    /// A project's queue with this name, whatever the case.
    pub(crate) fn queue_named(&self, project: Uuid, name: &str) -> Option<&Queue> {
        let mut of_project = self.queues.by_id.values().filter(|queue| queue.project == project);
        of_project.find(|queue| same_name(&queue.name, name))
    }

    /// A queue, of this project if one is given.
    pub(crate) fn queue(&self, project: Option<Uuid>, id: QueueId) -> Result<&Queue, Refusal> {
        let found = self.queues.by_id.get(&id);
        let found = found.filter(|queue| project.is_none_or(|project| queue.project == project));
        found.ok_or(Refusal::QueueNotFound(id))
    }

    /// A queue of a project that is named.
    pub(crate) fn queue_in(&self, project: &str, id: QueueId) -> Result<&Queue, Refusal> {
        self.queue(Some(self.project_id(project)?), id)
    }

    pub(crate) fn list_queues(&self, project: &str, query: &QueueQuery) -> Result<Answer, Refusal> {
        let project = self.project_id(project)?;
        let wanted = |queue: &&Queue| {
            queue.project == project
                && (query.ids.is_empty() || query.ids.contains(&queue.id))
                && (query.pools.is_empty() || query.pools.contains(&queue.pool))
                && (query.names.is_empty() || query.names.iter().any(|name| same_name(name, &queue.name)))
        };
        let found = self.queues.by_id.values().filter(wanted).map(|queue| queue.id).collect();
        Ok(Answer::OfPools(PoolAnswer::Queues(found)))
    }

    pub(crate) fn get_queue(&self, project: &str, id: QueueId) -> Result<Answer, Refusal> {
        self.queue_in(project, id).map(|queue| Answer::OfPools(PoolAnswer::Queue(queue.id)))
    }

    /// Makes a queue to a pool. Its name, unless given, is the pool's.
    pub(crate) fn add_queue(
        &mut self,
        project: &str,
        name: Option<&str>,
        pool: Option<PoolId>,
    ) -> Result<Answer, Refusal> {
        let project = self.project_id(project)?;
        let pool = match (pool, name) {
            (Some(pool), _) => self.pool(pool)?,
            (None, Some(name)) => {
                self.pool_by_name(name).ok_or_else(|| Refusal::PoolNameNotFound(name.to_owned()))?
            }
            (None, None) => return Err(Refusal::Invalid("The queue has to name a pool.".to_owned())),
        };
        let name = checked_name(name.unwrap_or(&pool.name), "queue")?.to_owned();
        let same = |queue: &Queue| queue.project == project && same_name(&queue.name, &name);
        if self.queues.by_id.values().any(same) {
            return Err(Refusal::QueueExists(name));
        }
        if self.queues.is_full() {
            return Err(Refusal::Full { what: "queues", limit: MAX_QUEUES });
        }
        let pool = pool.id;
        let id = self.queues.add(project, pool, &name, false);
        Ok(Answer::OfPools(PoolAnswer::Queue(id)))
    }

    /// `PUT queues`: a project gets its queues to the pools that are provisioned for all.
    pub(crate) fn provision_queues(&mut self, project: &str) -> Result<Answer, Refusal> {
        let project = self.project_id(project)?;
        let pools: Vec<PoolId> = self.pools.keys().copied().collect();
        for pool in pools {
            self.provision(project, pool);
        }
        Ok(Answer::Done)
    }

    /// The job requests of the queue's project that are in its pool. Rows are those of the pool.
    pub(crate) fn list_queue_requests(
        &mut self,
        project: &str,
        queue: QueueId,
        query: JobRequestQuery,
    ) -> Result<Answer, Refusal> {
        let queue = self.queue_in(project, queue)?;
        let (pool, scope) = (queue.pool, Some(queue.project));
        self.list_job_requests(pool, &JobRequestQuery { scope, ..query })
    }

    /// Takes a queue away. Its pool stays, and so does what waits in it.
    pub(crate) fn remove_queue(&mut self, project: &str, id: QueueId) -> Result<Answer, Refusal> {
        let id = self.queue_in(project, id)?.id;
        self.queues.remove(id);
        Ok(Answer::Done)
    }
}
