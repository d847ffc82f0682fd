//! The organisation's state, its timers, and the one way in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::event::ScalerRow;
use model::{Fact, Instant, stream};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::agents::Agents;
use crate::builds::{Builds, Definitions};
use crate::call::{Answer, Call, Caller, Credential, Effects, JobRequestList, Reply};
use crate::direct_requests::Directs;
use crate::faults::MadeFaults;
use crate::ids::{PoolId, RequestId, WaiterId};
use crate::job_requests::JobRequest;
use crate::messages::Waiter;
use crate::oauth::Clients;
use crate::parallel::Parallel;
use crate::plans::Plans;
use crate::pools::Pool;
use crate::projects::{DEFAULT_PROJECT, Projects};
use crate::queues::Queues;
use crate::sequence::Sequence;
use crate::sessions::Sessions;
use crate::timers::Timers;
use crate::{Refusal, Settings, snapshot, wire};

/// One organisation.
///
/// [`handle`](Self::handle) takes one call, [`advance`](Self::advance) lets time
/// pass, [`next_deadline`](Self::next_deadline) says when that is needed next.
#[derive(Debug, Serialize, Deserialize)]
pub struct Service {
    #[serde(skip, default = "snapshot::no_settings")]
    pub(crate) settings: Settings,
    pub(crate) now: Instant,
    pub(crate) pools: BTreeMap<PoolId, Pool>,
    pub(crate) agents: Agents,
    pub(crate) sessions: Sessions,
    pub(crate) waiters: Sequence<WaiterId, Waiter>,
    pub(crate) requests: Sequence<RequestId, JobRequest>,
    pub(crate) direct: Directs,
    pub(crate) projects: Projects,
    pub(crate) definitions: Definitions,
    pub(crate) builds: Builds,
    pub(crate) plans: Plans,
    pub(crate) clients: Clients,
    pub(crate) parallel: Parallel,
    pub(crate) queues: Queues,
    pub(crate) made_faults: MadeFaults,
    /// Whether a job and an agent may have become free for each other.
    pub(crate) may_promise: bool,
    pub(crate) numbers: Numbers,
    pub(crate) assign_delays: ChaCha8Rng,
    /// How long the jobs of a build take whose definition leaves it to chance.
    pub(crate) durations: ChaCha8Rng,
    guids: ChaCha8Rng,
    tokens: ChaCha8Rng,
    timers: Timers,
    /// When held polls end, in their order: all are held equally long. The first is one that is still held.
    pub(crate) polls: VecDeque<(Instant, WaiterId)>,
    /// Nothing is due before this instant. Something may be due later than that.
    nothing_until: Instant,
    #[serde(skip)]
    effects: Effects,
    #[serde(skip)]
    wants_facts: bool,
    /// The kind of every plan.
    pub(crate) plan_type: Arc<str>,
}

/// The next number of everything that is numbered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Numbers {
    pub(crate) pool: u64,
    pub(crate) agent: u64,
    pub(crate) message: u64,
    pub(crate) request: u64,
    pub(crate) waiter: u64,
}

/// What may be due at some instant, in the order in which it is done then: an agent that has gone
/// silent is gone before the job that it never took is offered again. A timer that finds nothing to
/// do any more does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Timer {
    /// A session may have gone silent.
    Session(u128),
    /// A job that was promised to an agent is assigned to it.
    Assign(RequestId),
    /// An assigned job that was never received goes back to the queue.
    Receive(RequestId),
    /// The lock of a received job runs out.
    Lock(RequestId),
    /// A cancelled job has had its time to end.
    Cancel(RequestId),
    /// A received job has run as long as it may.
    Timeout(RequestId),
}

impl Service {
    /// An organisation with the pools and placeholders of its settings. What it did on the way is
    /// told with the effects of the first call or advance.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let seed = settings.seed;
        // Each organisation of a run has a seed of its own.
        let of = |purpose: &str| stream::stream(seed, &format!("azure devops {purpose}"));
        let mut service = Self {
            now: Instant::START,
            pools: BTreeMap::new(),
            agents: Agents::default(),
            sessions: Sessions::default(),
            waiters: Sequence::default(),
            requests: Sequence::default(),
            direct: Directs::default(),
            projects: Projects::default(),
            definitions: Definitions::default(),
            builds: Builds::default(),
            plans: Plans::default(),
            clients: Clients::default(),
            parallel: Parallel::new(settings.parallel_jobs),
            queues: Queues::default(),
            made_faults: MadeFaults::default(),
            may_promise: false,
            numbers: Numbers { pool: 1, agent: 1, message: 1, request: 1, waiter: 1 },
            assign_delays: of("assign delays"),
            durations: of("durations"),
            guids: of("guids"),
            tokens: of("tokens"),
            timers: Timers::default(),
            polls: VecDeque::new(),
            nothing_until: Instant::START,
            effects: Effects::default(),
            wants_facts: true,
            plan_type: PLAN_TYPE.into(),
            settings,
        };
        for pool in std::mem::take(&mut service.settings.pools) {
            service.add_scenario_pool(&pool);
        }
        service.ensure_project(DEFAULT_PROJECT).expect("a good name, and room for one");
        service
    }

    /// The settings that it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who presents this token.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] if it opens nothing.
    pub fn authorize(&self, presented: Credential<'_>) -> Result<Caller, Refusal> {
        self.authorize_at(self.now, presented)
    }

    /// The same at an instant that the service may not have been told of: agents' tokens run out.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`] if it opens nothing.
    pub fn authorize_at(&self, now: Instant, presented: Credential<'_>) -> Result<Caller, Refusal> {
        let presented = presented.ok_or(Refusal::Unauthorized)?;
        if self.settings.token.matches(presented) {
            return Ok(Caller::Owner);
        }
        if let Some(agent) = self.listener_of(presented, now) {
            return Ok(Caller::Listener(agent));
        }
        let request = JobRequest::of_token(presented).ok_or(Refusal::Unauthorized)?;
        match self.requests.get(&request) {
            Some(job) if job.opens(presented) => Ok(Caller::Job(request)),
            _ => Err(Refusal::Unauthorized),
        }
    }

    /// Whether this caller may make this call.
    ///
    /// # Errors
    /// [`Refusal::PlanSecurity`] if a job calls another's plan, [`Refusal::JobTokenExpired`] if an agent renews or ends
    /// a job that it does not have, as to one that has lost its job, [`Refusal::AccessDenied`] otherwise.
    pub fn permit(&self, caller: Caller, call: &Call) -> Result<(), Refusal> {
        match (caller, call) {
            (Caller::Job(own), Call::Plan { plan, .. } | Call::CompleteJob { plan, .. })
                if !self.is_of_plan(own, *plan) =>
            {
                Err(Refusal::PlanSecurity(*plan))
            }
            (
                Caller::Listener(own),
                Call::Poll { session, .. }
                | Call::CloseSession { session, .. }
                | Call::DeleteMessage { session, .. },
            ) if self.sessions.get(&session.as_u128()).is_some_and(|session| session.agent != own) => {
                Err(Refusal::AccessDenied)
            }
            // What an agent gave up, or lost, another one may have by now.
            (
                Caller::Listener(own),
                Call::RenewJobRequest { request, to_top: false, .. } | Call::FinishJobRequest { request, .. },
            ) if self.requests.get(request).is_some_and(|job| !job.is_reserved_for(own)) => {
                Err(Refusal::JobTokenExpired(*request))
            }
            (Caller::Listener(_), Call::RenewJobRequest { to_top: true, .. }) => Err(Refusal::AccessDenied),
            _ if caller.may(call) => Ok(()),
            _ => Err(Refusal::AccessDenied),
        }
    }

    /// Takes one call. Time that passed since the last one is caught up with first.
    pub fn handle(&mut self, now: Instant, call: Call) -> (Reply, Effects) {
        let mut effects = Effects::default();
        let reply = self.handle_into(now, call, &mut effects);
        (reply, effects)
    }

    /// The same, with the effects added to those of before: whoever calls often keeps the room.
    pub fn handle_into(&mut self, now: Instant, call: Call, effects: &mut Effects) -> Reply {
        self.pass_time(now);
        let reply = self.dispatch(call).unwrap_or_else(Reply::Refused);
        self.settle();
        self.effects.move_to(effects);
        reply
    }

    /// Lets time pass.
    pub fn advance(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        self.advance_into(now, &mut effects);
        effects
    }

    /// The same, with the effects added to those of before.
    pub fn advance_into(&mut self, now: Instant, effects: &mut Effects) {
        self.pass_time(now);
        self.effects.move_to(effects);
    }

    /// Whether facts are told from here on. They are unless somebody says that nobody listens.
    pub fn want_facts(&mut self, wanted: bool) {
        self.wants_facts = wanted;
    }

    /// When [`advance`](Self::advance) has something to do next, if nobody calls before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| at);
        let poll = self.polls.front().map(|(at, _)| *at);
        match (timer, poll) {
            (Some(timer), Some(poll)) => Some(timer.min(poll)),
            (timer, poll) => timer.or(poll),
        }
    }

    /// How many job requests have no result.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.pools.values().map(|pool| pool.unfinished.len()).sum()
    }

    /// What the rows of a list tell KEDA.
    #[must_use]
    pub fn scaler_rows(&self, list: &JobRequestList) -> Vec<ScalerRow> {
        list.rows.iter().filter_map(|id| self.scaler_row(*id, list.matched_agents)).collect()
    }

    fn dispatch(&mut self, call: Call) -> Result<Reply, Refusal> {
        let answer = match call {
            Call::ListPools { name, ids } => self.list_pools(name.as_deref(), &ids),
            Call::FindPool(pool) => self.find_pool(pool)?,
            Call::Pools(call) => self.pool_call(*call)?,
            Call::GetPool(pool) => self.get_pool(pool)?,
            Call::CreatePool { name, placeholders } => self.create_pool(&name, &placeholders)?,
            Call::ListAgents { pool, name, demands, include } => {
                self.list_agents(pool, name.as_deref(), &demands, include)?
            }
            Call::GetAgent { pool, agent, include } => self.get_agent(pool, agent, include)?,
            Call::RegisterAgent { pool, draft } => self.register_agent(pool, draft)?,
            Call::ReplaceAgent { pool, agent, draft } => self.replace_agent(pool, agent, draft)?,
            Call::UpdateAgent { pool, agent, change } => self.update_agent(pool, agent, change)?,
            Call::SetUserCapabilities { pool, agent, capabilities } => {
                self.set_user_capabilities(pool, agent, capabilities)?
            }
            Call::RemoveAgent { pool, agent } => self.remove_agent(pool, agent)?,
            Call::OpenSession { pool, draft } => self.open_session(pool, draft)?,
            Call::CloseSession { pool, session } => self.close_session(pool, session)?,
            Call::Poll { pool, session, after } => return self.poll(pool, session, after),
            Call::DeleteMessage { pool, session, message } => self.delete_message(pool, session, message)?,
            Call::ListJobRequests { pool, query } => self.list_job_requests(pool, &query)?,
            Call::GetJobRequest { pool, request } => self.get_job_request(pool, request)?,
            Call::RenewJobRequest { pool, request, to_top } => self.renew(pool, request, to_top)?,
            Call::FinishJobRequest { pool, request, result } => {
                self.finish_by_patch(pool, request, result)?
            }
            Call::CompleteJob { plan, request, result, agent_shutting_down } => {
                self.complete_job(plan, request, result, agent_shutting_down)?
            }
            Call::RefreshAgents { pool, agent } => self.refresh_agents(pool, agent)?,
            Call::SetUpdateState { pool, agent, state } => self.set_update_state(pool, agent, &state)?,
            Call::IssueToken(assertion) => self.issue_token(*assertion)?,
            Call::Plan { plan, call } => self.plan_call(plan, *call)?,
            Call::Build(call) => return self.dispatch_build(call),
            Call::Upset(upset) => self.upset(upset)?,
        };
        Ok(Reply::Answer(answer))
    }

    /// Moves on to `now` and does what is due until then. Time never goes back: callers read
    /// their clock before they get here.
    ///
    /// What is due is done at its own instant, however late somebody comes: the same calls at the same
    /// instants make the same service, whoever else looked at it in between.
    fn pass_time(&mut self, now: Instant) {
        let now = self.now.max(now);
        while self.nothing_until < now
            && let Some(due) = self.next_deadline().filter(|due| *due < now)
        {
            self.now = self.now.max(due);
            self.settle();
        }
        self.now = now;
        self.settle();
    }

    /// Promises jobs to agents and does what is due, until neither finds anything more to do.
    fn settle(&mut self) {
        if self.now < self.nothing_until && !self.may_promise {
            return;
        }
        loop {
            self.promise_jobs();
            let poll = self.polls.front().copied().filter(|(at, _)| *at <= self.now);
            let timer = self.timers.first().filter(|(at, _)| *at <= self.now);
            match (timer, poll) {
                // At one instant a poll ends last.
                (Some((at, timer)), poll) if poll.is_none_or(|(ends, _)| at <= ends) => {
                    self.timers.remove((at, timer));
                    self.fire(at, timer);
                }
                (_, Some((_, waiter))) => self.answer_waiter(waiter, Ok(Answer::NoMessage)),
                (_, None) => break,
            }
        }
        self.nothing_until = self.next_deadline().unwrap_or(Instant(u64::MAX));
    }

    fn fire(&mut self, at: Instant, timer: Timer) {
        match timer {
            Timer::Assign(request) => self.assign(request, at),
            Timer::Receive(request) => self.give_up_receiving(request, at),
            Timer::Lock(request) => self.abandon_if_unlocked(request),
            Timer::Cancel(request) => self.end_cancelled(request, at),
            Timer::Timeout(request) => self.time_out(request, at),
            Timer::Session(session) => self.expire_if_silent(Uuid::from_u128(session)),
        }
    }

    pub(crate) fn set_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.insert((at, timer));
        self.nothing_until = self.nothing_until.min(at);
    }

    /// Has a held poll end then, which is not before any other does.
    pub(crate) fn set_poll(&mut self, at: Instant, waiter: WaiterId) {
        self.polls.push_back((at, waiter));
        self.nothing_until = self.nothing_until.min(at);
    }

    pub(crate) fn clear_timer(&mut self, at: Instant, timer: Timer) {
        self.timers.remove((at, timer));
    }

    pub(crate) fn tell(&mut self, fact: impl FnOnce() -> Fact) {
        if self.wants_facts {
            self.effects.facts.push(fact());
        }
    }

    pub(crate) fn answer_later(&mut self, waiter: WaiterId, answer: Result<Answer, Refusal>) {
        self.effects.answered.push((waiter, answer));
    }

    /// A new GUID, the same for the same seed and calls.
    pub(crate) fn guid(&mut self) -> Uuid {
        guid_from(&mut self.guids)
    }

    /// What makes a job's token a secret.
    pub(crate) fn job_token(&mut self) -> Uuid {
        guid_from(&mut self.tokens)
    }

    /// A GUID that belongs to a name: an organisation's, a project's.
    pub(crate) fn named_guid(&self, kind: &str, name: &str) -> Uuid {
        let name = name.to_lowercase();
        guid_from(&mut stream::stream(self.settings.seed, &format!("guid of {kind}/{name}")))
    }

    /// The organisation's id.
    #[must_use]
    pub fn instance_id(&self) -> Uuid {
        self.named_guid("organization", &self.settings.name)
    }

    pub(crate) fn date(&self, instant: Instant) -> String {
        wire::date(self.settings.epoch, instant)
    }
}

/// What kind of plans there are: builds.
const PLAN_TYPE: &str = "Build";

/// A random (version 4) GUID of a stream.
fn guid_from(rng: &mut ChaCha8Rng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
