//! Job requests: what waits, runs and was done in a pool.
//!
//! ```text
//! queued ── promised ── assigned ── received ── finished
//!   └──────────┴───────────┴───────────┴─ cancelled, abandoned: finished as well
//! ```
//! Outside, a promised request is a queued one: the service has found an agent
//! for it, and assigns it in a moment. An assigned one that is never received
//! goes back to the queue; a received one whose lock runs out is abandoned.

use std::cell::OnceCell;
use std::sync::Arc;

use model::event::{JobResult, RequestForm, ScalerRow};
use model::{Fact, Instant, Millis};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::builds::BuildPriority;
use crate::call::{Answer, JobRequestList, JobRequestQuery};
use crate::demands::Demands;
use crate::ids::{AgentId, BuildId, MessageId, PoolId, RequestId};
use crate::limits::{MAX_FINISHED_REQUESTS, MAX_ROWS_WITH_TOP};
use crate::messages::MessageContent;
use crate::parallel::ParallelismTag;
use crate::service::Timer;
use crate::{ReceiveTime, Refusal, RowOrder, Secret, Service};

/// A job request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobRequest {
    pub(crate) id: RequestId,
    pub(crate) pool: PoolId,
    pub(crate) build: BuildId,
    pub(crate) plan: Uuid,
    pub(crate) job_id: Uuid,
    pub(crate) name: Arc<str>,
    pub(crate) demands: Demands,
    /// Which of the organisation's limits it counts against.
    pub(crate) tag: ParallelismTag,
    pub(crate) duration: Millis,
    /// The place of its phase among its build's.
    pub(crate) phase: usize,
    /// How long it may run from when its agent took it.
    pub(crate) timeout: Option<Millis>,
    /// How long it may go on once it is cancelled.
    pub(crate) cancel_timeout: Millis,
    /// Whether it was cancelled because it ran too long.
    pub(crate) timed_out: bool,
    /// How urgent its build is.
    pub(crate) rank: BuildPriority,
    pub(crate) priority: u32,
    pub(crate) queued: Instant,
    /// What makes the token that its message carries a secret; a new one with each assignment.
    pub(crate) token: Option<Uuid>,
    pub(crate) state: State,
    /// Its JSON without `matchedAgents` and without the closing brace, once somebody asked. Whatever
    /// changes the request forgets it.
    #[serde(with = "crate::snapshot::text")]
    pub(crate) row: OnceCell<Vec<u8>>,
    /// The agent that it was reserved for, as it was when the job ended.
    pub(crate) shown_agent: Option<Box<ShownAgent>>,
}

/// What a row tells of an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ShownAgent {
    pub(crate) id: AgentId,
    pub(crate) pool: PoolId,
    pub(crate) name: Arc<str>,
    pub(crate) version: Arc<str>,
    pub(crate) os_description: Arc<str>,
    pub(crate) enabled: bool,
    pub(crate) online: bool,
}

/// Where a job request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Nobody has been found for it.
    Queued,
    /// An agent has been found, and will be assigned.
    Promised { agent: AgentId, due: Instant },
    /// Reserved for an agent, which was sent the message.
    Assigned { agent: AgentId, at: Instant, message: MessageId, give_up: Instant },
    /// The agent has it.
    Received(Received),
    /// Over.
    Finished { reserved: Option<Reserved>, at: Instant, result: JobResult },
}

/// A job that its agent took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) agent: AgentId,
    pub(crate) assigned: Instant,
    pub(crate) received: Instant,
    /// The `receiveTime` that is told: see [`ReceiveTime`].
    pub(crate) receive_time: Option<Instant>,
    pub(crate) locked_until: Instant,
    /// When the lock's timer goes off.
    lock_timer: Instant,
    /// When it has run as long as it may.
    times_out: Option<Instant>,
    /// When the service ends the cancelled job itself.
    end_by: Option<Instant>,
}

/// What is told of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) agent: AgentId,
    pub(crate) assigned: Instant,
    /// When it was received, and until when it was locked then.
    pub(crate) received: Option<(Instant, Instant)>,
    /// The `receiveTime` that is told.
    pub(crate) receive_time: Option<Instant>,
}

/// What shows that an agent has its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It deleted the message.
    MessageDeleted,
    /// It renewed the lock.
    LockRenewed,
    /// It reported the end.
    Ended,
}

impl JobRequest {
    /// The request that a job's token names.
    pub(crate) fn of_token(token: &Secret) -> Option<RequestId> {
        token.expose().split_once('.').and_then(|(request, _)| request.parse().ok())
    }

    /// Its token. It names its request, so that it is looked up before it is compared.
    pub(crate) fn secret(&self) -> Option<Secret> {
        self.token.map(|token| Secret::new(&format!("{}.{}", self.id, token.simple())))
    }

    /// Whether this is the token of the running job.
    pub(crate) fn opens(&self, token: &Secret) -> bool {
        self.result().is_none() && self.secret().is_some_and(|own| own.matches(token))
    }

    pub(crate) fn finished_at(&self) -> Option<Instant> {
        match self.state {
            State::Finished { at, .. } => Some(at),
            _ => None,
        }
    }

    pub(crate) fn result(&self) -> Option<JobResult> {
        match self.state {
            State::Finished { result, .. } => Some(result),
            _ => None,
        }
    }

    /// Whether this agent has it, or had it when it ended.
    pub(crate) fn is_reserved_for(&self, agent: AgentId) -> bool {
        self.reserved().is_some_and(|reserved| reserved.agent == agent)
    }

    /// The reservation as the outside sees it.
    pub(crate) fn reserved(&self) -> Option<Reserved> {
        match self.state {
            State::Queued | State::Promised { .. } => None,
            State::Assigned { agent, at, .. } => {
                Some(Reserved { agent, assigned: at, received: None, receive_time: None })
            }
            State::Received(job) => Some(Reserved {
                agent: job.agent,
                assigned: job.assigned,
                received: Some((job.received, job.locked_until)),
                receive_time: job.receive_time,
            }),
            State::Finished { reserved, .. } => reserved,
        }
    }
}

impl Service {
    pub(crate) fn job(&self, pool: PoolId, id: RequestId) -> Result<&JobRequest, Refusal> {
        self.pool(pool)?;
        self.requests.get(&id).filter(|job| job.pool == pool).ok_or(Refusal::JobNotFound(id))
    }

    pub(crate) fn get_job_request(&mut self, pool: PoolId, id: RequestId) -> Result<Answer, Refusal> {
        self.job(pool, id)?;
        Ok(Answer::JobRequest(id))
    }

    /// The list in its query forms, none of them documented: keda's azure_pipelines_scaler.go and its
    /// issues #4387 (`$top` leaves `matchedAgents` out) and #6819 (200 rows) say what they answer.
    pub(crate) fn list_job_requests(
        &mut self,
        pool: PoolId,
        query: &JobRequestQuery,
    ) -> Result<Answer, Refusal> {
        let switches = self.settings.switches;
        let known = self.pool(pool)?;
        let filtered = query.form() == RequestForm::Filtered;
        let scope = |job: &JobRequest| match self.builds.get(job.build) {
            Some(build) => self.definitions.get(build.definition).map(|definition| definition.project_id),
            None => self.direct.get(job.id)?.scope,
        };
        let wanted = |id: &RequestId| {
            !filtered || self.requests.get(id).is_some_and(|job| is_wanted(job, query, scope))
        };
        let limit = match (query.top, query.completed) {
            (Some(_), _) => usize::MAX,
            (None, Some(count)) => usize::try_from(count).unwrap_or(usize::MAX),
            (None, None) => usize::try_from(switches.completed_by_default).unwrap_or(usize::MAX),
        };
        let finished = known.finished.iter().rev().copied().filter(wanted).take(limit);
        let rows = known.unfinished.iter().copied().filter(wanted).chain(finished);
        let (rows, next) = if (switches.row_order == RowOrder::NewestFirst) != query.reversed {
            let mut rows: Vec<RequestId> = rows.collect();
            rows.sort_unstable_by(|one, other| other.cmp(one));
            page(rows.into_iter(), query)?
        } else {
            page(rows, query)?
        };
        let matched_agents = query.top.is_none();
        Ok(Answer::JobRequests(JobRequestList { rows, matched_agents, next }))
    }

    /// Whether a row tells which agents match: the real service is said to tell it of rows that
    /// have no agent yet.
    pub(crate) fn shows_matches(&self, job: &JobRequest) -> bool {
        let only_unassigned = self.settings.switches.matched_agents_on_unassigned_only;
        job.result().is_none() && (job.reserved().is_none() || !only_unassigned)
    }

    pub(crate) fn scaler_row(&self, id: RequestId, matched_agents: bool) -> Option<ScalerRow> {
        let job = self.requests.get(&id)?;
        let reserved = job.reserved();
        let matches =
            (matched_agents && self.shows_matches(job)).then(|| self.matches_of(job.pool, &job.demands));
        Some(ScalerRow {
            request: id.0,
            demands: job.demands.texts().map(str::to_owned).collect(),
            assigned: reserved.is_some(),
            received: reserved.is_some_and(|reserved| reserved.receive_time.is_some()),
            result: job.result(),
            matched_agents: matches.map(|matches| matches.names.clone()).unwrap_or_default(),
        })
    }

    /// The agent has the job. The lock runs from the first sign on, whatever `receiveTime` waits for: an agent
    /// whose renewal is refused drops its job.
    pub(crate) fn receive(&mut self, id: RequestId, sign: Sign) {
        self.lock(id);
        let Some(job) = self.requests.get_mut(&id) else { return };
        let State::Received(received) = &mut job.state else { return };
        let is_told = match self.settings.switches.receive_time {
            ReceiveTime::FirstSign => true,
            ReceiveTime::MessageDeleted => sign != Sign::LockRenewed,
            ReceiveTime::LockRenewed => sign != Sign::MessageDeleted,
        };
        if is_told && received.receive_time.is_none() {
            received.receive_time = Some(self.now);
            job.row.take();
        }
    }

    fn lock(&mut self, id: RequestId) {
        let now = self.now;
        let locked_until = now + self.settings.job_lock;
        let Some(job) = self.requests.get_mut(&id) else { return };
        let State::Assigned { agent, at, give_up, .. } = job.state else { return };
        job.state = State::Received(Received {
            agent,
            assigned: at,
            received: now,
            receive_time: None,
            locked_until,
            lock_timer: locked_until,
            times_out: job.timeout.map(|timeout| now + timeout),
            end_by: None,
        });
        job.row.take();
        let (build, timeout) = (job.build, job.timeout);
        self.clear_timer(give_up, Timer::Receive(id));
        if let Some(timeout) = timeout {
            self.set_timer(now + timeout, Timer::Timeout(id));
        }
        self.set_timer(locked_until, Timer::Lock(id));
        self.tell(|| Fact::JobRequestReceived { request: id.0, agent: agent.0 });
        self.build_started(build);
    }

    /// Whose call it is cannot be told from a personal access token, so a call about a request whose
    /// agent has not even seen the message is taken for a late one of an agent that had it before.
    fn receive_if_delivered(&mut self, id: RequestId, sign: Sign) {
        let has_it = match self.requests.get(&id).map(|job| job.state) {
            Some(State::Assigned { agent, message, .. }) => {
                let session = self.agents.get(&agent).and_then(|agent| agent.session);
                self.was_delivered(session, message)
            }
            Some(State::Received(received)) => received.receive_time.is_none(),
            _ => false,
        };
        if has_it {
            self.receive(id, sign);
        }
    }

    /// `PATCH jobrequests/{id}`: renews the lock. The first renewal is how the agent takes the job.
    pub(crate) fn renew(&mut self, pool: PoolId, id: RequestId, to_top: bool) -> Result<Answer, Refusal> {
        self.job(pool, id)?;
        if to_top {
            self.move_to_top(id);
            return Ok(Answer::JobRequest(id));
        }
        self.receive_if_delivered(id, Sign::LockRenewed);
        let locked_until = self.now + self.settings.job_lock;
        match self.requests.get_mut(&id).map(|job| (&mut job.state, &mut job.row)) {
            Some((State::Received(received), row)) => {
                received.locked_until = locked_until;
                row.take();
                Ok(Answer::JobRequest(id))
            }
            _ => Err(Refusal::JobTokenExpired(id)),
        }
    }

    /// `PATCH jobrequests/{id}` with a result: how jobs of plans before version 8 end.
    pub(crate) fn finish_by_patch(
        &mut self,
        pool: PoolId,
        id: RequestId,
        result: JobResult,
    ) -> Result<Answer, Refusal> {
        self.renew(pool, id, false)?;
        self.receive_if_delivered(id, Sign::Ended);
        self.finish(id, result);
        Ok(Answer::JobRequest(id))
    }

    /// `DELETE jobrequests/{id}`: ends it wherever it stands (azure-devops-node-api 17.0.1, TaskAgentApiBase,
    /// `deleteAgentRequest`). One that has ended already stays as it is.
    pub(crate) fn end_job_request(
        &mut self,
        pool: PoolId,
        id: RequestId,
        result: JobResult,
        agent_shutting_down: bool,
    ) -> Result<Answer, Refusal> {
        let job = self.job(pool, id)?;
        if job.result().is_some() {
            return Ok(Answer::Done);
        }
        let reserved = job.reserved();
        if agent_shutting_down
            && self.settings.switches.heed_shutting_down
            && let Some(agent) = reserved.and_then(|reserved| self.agents.get_mut(&reserved.agent))
        {
            agent.shutting_down = true;
        }
        self.finish(id, result);
        Ok(Answer::Done)
    }

    /// What a job request that has no agent waits for, in the words of the service's own pages (seen in
    /// public reports). Nothing for one that has an agent.
    pub(crate) fn waits_for(&self, job: &JobRequest) -> Option<String> {
        if job.reserved().is_some() || job.result().is_some() {
            return None;
        }
        let pool = self.pools.get(&job.pool)?;
        let waiting = pool.queue.get(&(job.tag, job.demands.clone()));
        let place =
            waiting.map_or(0, |waiting| waiting.iter().filter(|(.., other)| *other < job.id).count()) + 1;
        if !self.parallel.is_free(job.tag) {
            return Some(format!(
                "This agent request is not running because you have reached the maximum number of requests that \
                 can run for parallelism type '{} self-hosted'. Current position in queue: {place}",
                job.tag.as_str()
            ));
        }
        let able: Vec<_> = self.matching_agents(pool, &job.demands).collect();
        Some(match able.as_slice() {
            [] => format!("No agents in pool {} are currently able to service this request.", pool.name),
            able if !able.iter().any(|agent| agent.takes_jobs()) => {
                "All eligible agents are disabled or offline".to_owned()
            }
            _ => format!("All potential agents are in use. Current position in queue: {place}"),
        })
    }

    /// `JobCompleted`. The orchestration heeds no event of a job that has ended, so a repeated one
    /// is no error. An agent that says that it is shutting down takes no further job.
    pub(crate) fn complete_job(
        &mut self,
        plan: Uuid,
        id: RequestId,
        result: JobResult,
        agent_shutting_down: bool,
    ) -> Result<Answer, Refusal> {
        let job = self.requests.get(&id).filter(|job| job.plan == plan);
        let job = job.ok_or(Refusal::PlanNotFound(plan))?;
        if job.result().is_some() {
            return Ok(Answer::Done);
        }
        self.receive_if_delivered(id, Sign::Ended);
        let Some(State::Received(received)) = self.requests.get(&id).map(|job| job.state) else {
            return Err(Refusal::JobTokenExpired(id));
        };
        if agent_shutting_down
            && self.settings.switches.heed_shutting_down
            && let Some(agent) = self.agents.get_mut(&received.agent)
        {
            agent.shutting_down = true;
        }
        self.finish(id, result);
        Ok(Answer::Done)
    }

    /// The agent did not renew the lock in time: the job is lost. It is not queued again.
    pub(crate) fn abandon_if_unlocked(&mut self, id: RequestId) {
        let now = self.now;
        let Some(job) = self.requests.get_mut(&id) else { return };
        let State::Received(received) = &mut job.state else { return };
        if received.locked_until <= now {
            self.finish(id, JobResult::Abandoned);
            return;
        }
        let locked_until = received.locked_until;
        received.lock_timer = locked_until;
        self.set_timer(locked_until, Timer::Lock(id));
    }

    /// Cancels a job: at once if no agent has it, otherwise by asking its agent.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        let now = self.now;
        let Some(job) = self.requests.get_mut(&id) else { return };
        let end_by = now + job.cancel_timeout + crate::settings::CANCEL_GRACE;
        match &mut job.state {
            State::Finished { .. } => {}
            State::Queued | State::Promised { .. } | State::Assigned { .. } => {
                self.finish(id, JobResult::Canceled);
            }
            State::Received(received) if received.end_by.is_none() => {
                received.end_by = Some(end_by);
                let agent = received.agent;
                self.set_timer(end_by, Timer::Cancel(id));
                if let Some(session) = self.agents.get(&agent).and_then(|agent| agent.session) {
                    let message = self.next_message();
                    self.send(session, message, MessageContent::Cancel { request: id });
                }
            }
            State::Received(_) => {}
        }
    }

    /// The job has run as long as it may: it is cancelled (Azure Pipelines' documentation, "timeouts").
    pub(crate) fn time_out(&mut self, id: RequestId, due: Instant) {
        let Some(job) = self.requests.get_mut(&id) else { return };
        if matches!(job.state, State::Received(received) if received.times_out == Some(due)) {
            job.timed_out = true;
            self.cancel(id);
        }
    }

    /// The cancelled job's time to end is over.
    pub(crate) fn end_cancelled(&mut self, id: RequestId, due: Instant) {
        let is_due = |job: &JobRequest| matches!(job.state, State::Received(job) if job.end_by == Some(due));
        if self.requests.get(&id).is_some_and(is_due) {
            self.finish(id, JobResult::Canceled);
        }
    }

    /// Ends a job request, wherever it stands.
    pub(crate) fn finish(&mut self, id: RequestId, result: JobResult) {
        let Some(job) = self.requests.get(&id) else { return };
        let (reserved, build, pool, tag) = (job.reserved(), job.build, job.pool, job.tag);
        let phase = job.phase;
        match job.state {
            State::Finished { .. } => return,
            State::Queued => self.take_from_queue(id),
            State::Promised { .. } => {
                self.break_promise(id);
                self.take_from_queue(id);
            }
            State::Assigned { agent, give_up, .. } => {
                self.clear_timer(give_up, Timer::Receive(id));
                self.take_back_message(self.agents.get(&agent).and_then(|agent| agent.session), id);
                self.free_parallel_job(tag);
            }
            State::Received(received) => {
                self.clear_timer(received.lock_timer, Timer::Lock(id));
                if let Some(end_by) = received.end_by {
                    self.clear_timer(end_by, Timer::Cancel(id));
                }
                if let Some(times_out) = received.times_out {
                    self.clear_timer(times_out, Timer::Timeout(id));
                }
                self.free_parallel_job(tag);
            }
        }
        let at = self.now;
        if let Some(job) = self.requests.get_mut(&id) {
            job.state = State::Finished { reserved, at, result };
            job.token = None;
            job.row.take();
            // The agent may be gone when somebody asks.
            let agent = reserved.and_then(|reserved| self.agents.get(&reserved.agent));
            job.shown_agent = agent.map(|agent| Box::new(agent.shown()));
        }
        let agent = reserved.map(|reserved| reserved.agent.0);
        self.tell(|| Fact::JobRequestFinished { request: id.0, agent, result });
        if let Some(reserved) = reserved {
            self.release_agent(reserved, id);
        }
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.unfinished.remove(&id);
            pool.finished.push_back(id);
        }
        self.forget_old_requests(pool);
        self.build_job_finished(build, phase, result);
    }

    fn release_agent(&mut self, reserved: Reserved, id: RequestId) {
        if let Some(agent) = self.agents.get_mut(&reserved.agent) {
            agent.request = None;
            if reserved.received.is_some() {
                agent.last_completed = Some(id);
            }
        }
        self.agent_changed(reserved.agent);
    }

    fn forget_old_requests(&mut self, pool: PoolId) {
        let Some(pool) = self.pools.get_mut(&pool) else { return };
        if pool.finished.len() <= MAX_FINISHED_REQUESTS {
            return;
        }
        let Some(oldest) = pool.finished.pop_front() else { return };
        self.direct.forget(oldest);
        let Some(job) = self.requests.remove(&oldest) else { return };
        let agent = job.reserved().and_then(|reserved| self.agents.get_mut(&reserved.agent));
        let Some(agent) = agent else { return };
        if agent.last_completed == Some(oldest) {
            agent.last_completed = None;
        }
        if let Some(session) = agent.session.and_then(|session| self.sessions.get_mut(&session.as_u128())) {
            session.messages.retain(|_, stored| stored.content.request() != Some(oldest));
        }
    }
}

/// The page that begins with a row, and with which row the next one begins; without `$top` all rows. A page has at
/// least one row, so that whoever asks for page after page comes to an end. No more rows are looked at than it has:
/// of the finished ones, ten thousand are kept.
fn page(
    rows: impl Iterator<Item = RequestId>,
    query: &JobRequestQuery,
) -> Result<(Vec<RequestId>, Option<RequestId>), Refusal> {
    let Some(top) = query.top else { return Ok((rows.collect(), None)) };
    let mut rows = rows.peekable();
    if let Some(from) = query.from {
        while rows.next_if(|row| *row != from).is_some() {}
        rows.peek().ok_or(Refusal::BadContinuation(from.0))?;
    }
    let size = usize::try_from(top).unwrap_or(usize::MAX).min(MAX_ROWS_WITH_TOP);
    let page = rows.by_ref().take(size).collect();
    Ok((page, rows.next().filter(|_| size > 0)))
}

fn is_wanted(job: &JobRequest, query: &JobRequestQuery, scope: impl Fn(&JobRequest) -> Option<Uuid>) -> bool {
    let of_agent = || job.reserved().is_some_and(|reserved| query.agents.contains(&reserved.agent));
    (query.agents.is_empty() || of_agent())
        && query.plan.is_none_or(|plan| job.plan == plan)
        && query.job.is_none_or(|id| job.job_id == id)
        && query.scope.is_none_or(|id| scope(job) == Some(id))
}
