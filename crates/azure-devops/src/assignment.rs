//! Which job goes to which agent, and when.
//!
//! A job is promised to an agent as soon as both are there and the organisation
//! has a parallel job left, and assigned a moment later: the moment is drawn
//! from the settings. The order of jobs is priority, then age. Which of several
//! idle agents the real service picks is not known; here it is the one that
//! registered first. A promise is broken when its agent goes; the job then
//! stands where it stood before.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use model::{Fact, Instant};

use crate::Service;
use crate::builds::BuildPriority;
use crate::demands::Demands;
use crate::ids::{AgentId, PoolId, RequestId};
use crate::job_requests::State;
use crate::messages::MessageContent;
use crate::parallel::ParallelismTag;
use crate::service::Timer;

/// The place of a request in its queue: what was pushed to the top first, then what the most urgent
/// builds wait for, then the oldest.
pub(crate) type QueueKey = (Reverse<(u32, BuildPriority)>, Instant, RequestId);

impl Service {
    fn queue_key(&self, id: RequestId) -> Option<(PoolId, (ParallelismTag, Demands), QueueKey)> {
        let job = self.requests.get(&id)?;
        Some((job.pool, (job.tag, job.demands.clone()), (Reverse((job.priority, job.rank)), job.queued, id)))
    }

    pub(crate) fn put_in_queue(&mut self, id: RequestId) {
        if let Some((pool, kind, key)) = self.queue_key(id)
            && let Some(pool) = self.pools.get_mut(&pool)
        {
            pool.queue.entry(kind).or_default().insert(key);
            self.may_promise = true;
        }
    }

    pub(crate) fn take_from_queue(&mut self, id: RequestId) {
        if let Some((pool, kind, key)) = self.queue_key(id)
            && let Some(pool) = self.pools.get_mut(&pool)
            && let Some(waiting) = pool.queue.get_mut(&kind)
        {
            waiting.remove(&key);
            if waiting.is_empty() {
                pool.queue.remove(&kind);
            }
        }
    }

    /// Somebody pushed the request to the top of the queue.
    pub(crate) fn move_to_top(&mut self, id: RequestId) {
        let top = self.requests.values().filter(|job| job.result().is_none()).map(|job| job.priority).max();
        let queued = self.requests.get(&id).is_some_and(|job| job.state == State::Queued);
        if queued {
            self.take_from_queue(id);
        }
        if let Some(job) = self.requests.get_mut(&id).filter(|job| job.result().is_none()) {
            job.priority = top.unwrap_or_default().saturating_add(1);
            job.row.take();
        }
        if queued {
            self.put_in_queue(id);
        }
    }

    /// Promises what can be promised. Does nothing unless something changed since it last found nothing.
    pub(crate) fn promise_jobs(&mut self) {
        if !std::mem::take(&mut self.may_promise) {
            return;
        }
        let mut hopeless = BTreeSet::new();
        while self.parallel.any_is_free() {
            let Some((request, agent)) = self.next_pair(&mut hopeless) else { return };
            self.promise(request, agent);
        }
    }

    /// The first job in order that an idle agent can run, with that agent. Demands that no idle
    /// agent satisfies are remembered: within one pass agents only get fewer.
    fn next_pair(&self, hopeless: &mut BTreeSet<(PoolId, Demands)>) -> Option<(RequestId, AgentId)> {
        let mut best: Option<(QueueKey, AgentId)> = None;
        for pool in self.pools.values().filter(|pool| !pool.idle.is_empty()) {
            for ((tag, demands), waiting) in &pool.queue {
                let Some(first) = waiting.first().copied().filter(|_| self.parallel.is_free(*tag)) else {
                    continue;
                };
                if best.is_some_and(|(key, _)| key <= first) {
                    continue;
                }
                if !hopeless.is_empty() && hopeless.contains(&(pool.id, demands.clone())) {
                    continue;
                }
                let satisfies = |id: &&AgentId| {
                    self.agents.get(id).is_some_and(|agent| agent.capabilities.satisfy(demands))
                };
                match pool.idle.iter().find(satisfies) {
                    Some(agent) => best = Some((first, *agent)),
                    None => {
                        hopeless.insert((pool.id, demands.clone()));
                    }
                }
            }
        }
        best.map(|((_, _, request), agent)| (request, agent))
    }

    fn promise(&mut self, id: RequestId, agent: AgentId) {
        self.take_from_queue(id);
        let due = self.now + self.settings.assign_delay.draw(&mut self.assign_delays);
        if let Some(job) = self.requests.get_mut(&id) {
            job.state = State::Promised { agent, due };
            self.parallel.take(job.tag);
        }
        if let Some(agent) = self.agents.get_mut(&agent) {
            agent.promised = Some(id);
            if let Some(pool) = self.pools.get_mut(&agent.pool) {
                pool.idle.remove(&agent.id);
            }
        }
        self.set_timer(due, Timer::Assign(id));
    }

    /// The agent is not there any more, or the job: both are free again.
    pub(crate) fn break_promise(&mut self, id: RequestId) {
        let Some(job) = self.requests.get_mut(&id) else { return };
        let State::Promised { agent, due } = job.state else { return };
        job.state = State::Queued;
        let tag = job.tag;
        self.clear_timer(due, Timer::Assign(id));
        self.free_parallel_job(tag);
        self.put_in_queue(id);
        if let Some(known) = self.agents.get_mut(&agent) {
            known.promised = None;
        }
        self.agent_changed(agent);
    }

    pub(crate) fn free_parallel_job(&mut self, tag: ParallelismTag) {
        self.parallel.give_back(tag);
        self.may_promise = true;
    }

    /// Reserves the agent for the job that was promised to it, and sends it the message.
    pub(crate) fn assign(&mut self, id: RequestId, due: Instant) {
        let Some(job) = self.requests.get(&id) else { return };
        let State::Promised { agent, due: promised } = job.state else { return };
        let content = MessageContent::Job { request: id, plan: job.plan, duration: job.duration };
        let session = self.agents.get(&agent).and_then(|agent| agent.session);
        let (Some(session), true) = (session, promised == due) else { return };
        let (at, give_up) = (self.now, self.now + self.settings.receive_limit);
        let token = self.job_token();
        if let Some(known) = self.agents.get_mut(&agent) {
            known.promised = None;
            known.request = Some(id);
        }
        // The state is set before the message is sent: a held poll is answered with what stands there.
        let message = self.next_message();
        if let Some(job) = self.requests.get_mut(&id) {
            job.state = State::Assigned { agent, at, message, give_up };
            job.token = Some(token);
            job.row.take();
        }
        self.set_timer(give_up, Timer::Receive(id));
        self.tell(|| Fact::JobRequestAssigned { request: id.0, agent: agent.0 });
        self.send(session, message, content);
    }

    /// The agent had its time to take the job.
    pub(crate) fn give_up_receiving(&mut self, id: RequestId, due: Instant) {
        let is_due = |state: State| matches!(state, State::Assigned { give_up, .. } if give_up == due);
        if self.requests.get(&id).is_some_and(|job| is_due(job.state)) {
            self.requeue_if_not_received(id, "the agent did not take it in time");
        }
    }

    /// A job that its agent never took waits again, at its old place.
    pub(crate) fn requeue_if_not_received(&mut self, id: RequestId, because: &str) {
        let Some(job) = self.requests.get_mut(&id) else { return };
        let State::Assigned { agent, give_up, .. } = job.state else { return };
        job.state = State::Queued;
        job.token = None;
        job.row.take();
        let tag = job.tag;
        self.clear_timer(give_up, Timer::Receive(id));
        self.free_parallel_job(tag);
        self.tell(|| Fact::JobRequestRequeued { request: id.0, agent: agent.0, because: because.to_owned() });
        let session = self.agents.get_mut(&agent).and_then(|agent| {
            agent.request = None;
            agent.session
        });
        self.take_back_message(session, id);
        self.put_in_queue(id);
        self.agent_changed(agent);
    }
}
