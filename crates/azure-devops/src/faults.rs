//! Faults of the service that are on: which requests they hit, and what becomes of those.
//!
//! They stand in front of the service, as what fails does in life: whoever carries requests to it (the server, or
//! the simulation) asks here first. What a fault changes in the service itself it does by a call, [`Upset`].
//!
//! Chance and delays are drawn from a stream of each fault's own, so a fault that is added moves no other.

mod made;

use std::collections::BTreeMap;
use std::fmt;

use model::fault::{Budget, CalledBy, NamedAnswer, Route, ServiceAnswer, ServiceFault, Shown};
use model::scenario::ParallelJobs;
use model::{Instant, Millis, stream};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::Answer;
use crate::ids::{MessageId, RequestId};
use crate::job_requests::State;
use crate::limits::MAX_AGENTS;
use crate::messages::Message;
use crate::{Refusal, Service};

pub use self::made::{MadeFault, MadeFaults};

/// So many messages' fates are remembered: both polls of a session may be answered with the same one.
const MOST_FATES: usize = 1_024;
/// From what is left of a budget on its headers are sent, in parts of the whole. The real service sends them "once
/// near or over"; how near is not said.
const NEAR: u32 = 5;

/// What a fault does to the service itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upset {
    /// The organisation has this many parallel jobs from here on, whatever was set; as many as were set, if it is
    /// nothing.
    ParallelJobs(Option<ParallelJobs>),
    /// A message to an agent is lost. The service takes it for delivered, so its job waits for the agent in vain.
    LoseMessage {
        /// The session.
        session: Uuid,
        /// The message.
        message: MessageId,
    },
    /// The lock of a job that an agent has is lost, as if it had run out.
    LoseLock(RequestId),
    /// No upset yet: a fault was made over the control route. It is kept for whoever goes on with the service.
    Make {
        /// Its number: one more than that of the last one.
        id: u32,
        /// The fault. Its times count from now.
        fault: Box<ServiceFault>,
    },
    /// One of these was taken away again.
    Unmake(u32),
}

/// A fault's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultId {
    /// One of the scenario's, counted from 0.
    Scenario(u32),
    /// One that was made over the control route, counted from 1.
    Control(u32),
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(number) => write!(f, "{number}"),
            Self::Control(number) => write!(f, "control {number}"),
        }
    }
}

/// A request, as faults tell requests apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// When it arrives.
    pub at: Instant,
    /// Where it goes; none of ours may be the only ones that faults of every route hit.
    pub route: Option<Route>,
    /// Which program it comes from.
    pub caller: CalledBy,
    /// What it shows of itself. [`Shown::Anything`] is nobody's.
    pub credential: Shown,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effect {
    /// How much later it is answered.
    pub delay: Millis,
    /// How much later for each row of the answer, if that is a list.
    pub delay_per_row: Millis,
    /// What is answered instead, and by which fault.
    pub answer: Option<(FaultId, ServiceAnswer)>,
    /// What the caller is told of its budget.
    pub rate: Option<Rate>,
}

/// How a caller stands with its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many units there are.
    pub limit: u32,
    /// How many are left.
    pub remaining: u32,
    /// How long this request is delayed because of it.
    pub delay: Millis,
    /// Until all units are there again.
    pub reset: Millis,
    /// If the request is refused: when one will not be.
    pub retry_after: Option<Millis>,
}

/// What becomes of a message on its way to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Lost,
    /// It arrives, and arrives again.
    Twice,
}

/// The faults that are on.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    on: BTreeMap<FaultId, On>,
    /// The last messages' fates.
    fates: BTreeMap<MessageId, Fate>,
    /// What each session's next poll for work is answered.
    again: BTreeMap<u128, Message>,
}

/// A fault that is on.
#[derive(Debug)]
struct On {
    fault: ServiceFault,
    hits: u64,
    chance: ChaCha8Rng,
    delays: ChaCha8Rng,
    buckets: BTreeMap<(u8, Shown), Bucket>,
}

/// What a caller has left, in thousandths of a unit times the window's milliseconds, so that nothing is rounded.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: i128,
    at: Instant,
}

impl Faults {
    /// No fault is on. What they draw comes from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, on: BTreeMap::new(), fates: BTreeMap::new(), again: BTreeMap::new() }
    }

    /// From here on a fault is on. Its own times are the caller's to keep.
    pub fn begin(&mut self, id: FaultId, fault: ServiceFault) {
        let of = |purpose: &str| stream::stream(self.seed, &format!("service fault {id} {purpose}"));
        let (chance, delays) = (of("chance"), of("delay"));
        self.on.insert(id, On { fault, hits: 0, chance, delays, buckets: BTreeMap::new() });
    }

    /// A fault is over.
    pub fn end(&mut self, id: FaultId) -> Option<ServiceFault> {
        let over = self.on.remove(&id);
        if self.on.is_empty() {
            self.fates.clear();
        }
        over.map(|on| on.fault)
    }

    /// Whether no fault is on, nor anything of one still to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.on.is_empty() && self.again.is_empty()
    }

    /// How many requests, messages or renewals a fault has hit; none if it is not on.
    #[must_use]
    pub fn hits(&self, id: FaultId) -> Option<u64> {
        self.on.get(&id).map(|on| on.hits)
    }

    /// How many parallel jobs the organisation has because of faults; of several the first counts.
    #[must_use]
    pub fn parallel_jobs(&self) -> Option<ParallelJobs> {
        self.on.values().find_map(|on| on.fault.parallel_jobs)
    }

    /// What becomes of a request. Of several faults the longest delay counts, and the first answer.
    pub fn effect(&mut self, asked: &Asked) -> Option<Effect> {
        let mut found = None::<Effect>;
        for (id, on) in &mut self.on {
            if special(&on.fault).is_some() || !on.concerns(asked) || !on.hits() {
                continue;
            }
            let effect = found.get_or_insert_default();
            if let Some(delay) = on.fault.delay {
                effect.delay = effect.delay.max(delay.draw(&mut on.delays));
            }
            effect.delay_per_row = effect.delay_per_row.max(on.fault.delay_per_row.unwrap_or_default());
            let mut answer = on.fault.answer;
            if let Some(budget) = on.fault.budget {
                let rate = on.take(&budget, asked);
                effect.delay = effect.delay.max(rate.delay);
                if rate.retry_after.is_some() {
                    answer = Some(ServiceAnswer::Status(BLOCKED));
                }
                if rate.is_told() {
                    effect.rate = effect.rate.or(Some(rate));
                }
            }
            effect.answer = effect.answer.or(answer.map(|answer| (*id, answer)));
        }
        found
    }

    /// What becomes of a message that a poll is answered with. [`Fate::Lost`] is the caller's to tell the
    /// service, with [`Upset::LoseMessage`].
    pub fn message(&mut self, asked: &Asked, session: Uuid, message: Message) -> Fate {
        if let Some(fate) = self.fates.get(&message.id) {
            return *fate;
        }
        let mut fate = Fate::Arrives;
        for on in self.on.values_mut() {
            let becomes = match special(&on.fault) {
                Some(NamedAnswer::MessageLost) => Fate::Lost,
                Some(NamedAnswer::MessageTwice) => Fate::Twice,
                _ => continue,
            };
            if on.concerns(asked) && on.hits() {
                fate = becomes;
                break;
            }
        }
        if fate == Fate::Twice {
            self.again.insert(session.as_u128(), message);
            // Sessions that nobody polls any more: there are never that many that live.
            if self.again.len() > MAX_AGENTS {
                self.again.pop_first();
            }
        }
        self.fates.insert(message.id, fate);
        if self.fates.len() > MOST_FATES {
            self.fates.pop_first();
        }
        fate
    }

    /// The message that a poll is answered with although it has been there. The poll by which an agent shows that
    /// it lives throws away what it gets, and is told nothing twice. `can_come` says whether a message can still
    /// come again: not if its session is over in whatever way, see [`Service::can_come_again`].
    pub fn again(
        &mut self,
        session: Uuid,
        after: Option<MessageId>,
        can_come: impl FnOnce(&Message) -> bool,
    ) -> Option<Message> {
        let message = self.again.get(&session.as_u128())?;
        if !can_come(message) {
            self.again.remove(&session.as_u128());
            return None;
        }
        if after? < message.id {
            return None;
        }
        self.again.remove(&session.as_u128())
    }

    /// A session is over, and with it what would have come again.
    pub fn session_ended(&mut self, session: Uuid) {
        self.again.remove(&session.as_u128());
    }

    /// Whether a renewal finds its lock lost. It is the caller's to tell the service, with [`Upset::LoseLock`],
    /// before it makes the call.
    pub fn loses_lock(&mut self, asked: &Asked) -> bool {
        self.on
            .values_mut()
            .any(|on| special(&on.fault) == Some(NamedAnswer::LockLost) && on.concerns(asked) && on.hits())
    }
}

/// The status of a request that is refused because its caller asks too much.
pub const BLOCKED: u16 = 429;

fn special(fault: &ServiceFault) -> Option<NamedAnswer> {
    match fault.answer {
        Some(ServiceAnswer::Named(named)) if named.is_special() => Some(named),
        _ => None,
    }
}

impl On {
    fn concerns(&self, asked: &Asked) -> bool {
        let fault = &self.fault;
        let route = match asked.route {
            Some(route) => fault.concerns(route, asked.caller),
            None => fault.route == Route::All && fault.concerns(Route::All, asked.caller),
        };
        let expired = fault.answer == Some(ServiceAnswer::Named(NamedAnswer::TokenExpired));
        route
            && (fault.credential == Shown::Anything || fault.credential == asked.credential)
            && (!expired || asked.credential == Shown::PersonalAccessToken)
    }

    /// Whether it hits a request that it concerns. From one draw, if it is by chance.
    fn hits(&mut self) -> bool {
        if self.fault.count.is_some_and(|count| self.hits >= u64::from(count)) {
            return false;
        }
        let hit = match self.fault.percent {
            Some(percent) => stream::below(&mut self.chance, 100) < u64::from(percent),
            None => true,
        };
        self.hits += u64::from(hit);
        hit
    }

    fn take(&mut self, budget: &Budget, asked: &Asked) -> Rate {
        let window = i128::from(budget.window.0.max(1));
        let units = i128::from(budget.units.max(1));
        let key = (asked.caller as u8, asked.credential);
        let bucket = self.buckets.entry(key).or_insert(Bucket { level: units * window, at: asked.at });
        bucket.level = (bucket.level + i128::from(asked.at.since(bucket.at).0) * units).min(units * window);
        bucket.at = bucket.at.max(asked.at);
        let after = bucket.level - i128::from(budget.per_request) * window;
        let owed = millis_until(-after, units);
        if owed > budget.longest_delay {
            return Rate {
                limit: budget.units,
                remaining: 0,
                delay: Millis::ZERO,
                reset: millis_until(units * window - bucket.level, units),
                retry_after: Some(owed - budget.longest_delay),
            };
        }
        bucket.level = after;
        Rate {
            limit: budget.units,
            remaining: u32::try_from((after / window).max(0)).unwrap_or(u32::MAX),
            delay: owed,
            reset: millis_until(units * window - after, units),
            retry_after: None,
        }
    }
}

/// How long it takes to fill this much up, rounded up to the millisecond.
fn millis_until(missing: i128, per_milli: i128) -> Millis {
    if missing <= 0 {
        return Millis::ZERO;
    }
    Millis(u64::try_from((missing + per_milli - 1) / per_milli).unwrap_or(u64::MAX))
}

impl Rate {
    /// Whether the caller is told: on light use the service says nothing.
    fn is_told(&self) -> bool {
        self.retry_after.is_some() || self.delay > Millis::ZERO || self.remaining <= self.limit / NEAR
    }
}

impl Service {
    /// Whether a message that was on its way to a session before may come again: the session lives, and so does
    /// what the message is about.
    #[must_use]
    pub fn can_come_again(&self, session: Uuid, message: &Message) -> bool {
        self.sessions.contains_key(&session.as_u128())
            && message.content.request().is_none_or(|request| self.requests.get(&request).is_some())
    }

    /// Does what a fault does to the service itself.
    pub(crate) fn upset(&mut self, upset: Upset) -> Result<Answer, Refusal> {
        match upset {
            Upset::ParallelJobs(instead) => self.replace_parallel_jobs(instead),
            Upset::LoseMessage { session, message } => {
                if let Some(session) = self.sessions.get_mut(&session.as_u128()) {
                    session.messages.remove(&message);
                }
            }
            Upset::LoseLock(request) => self.lose_lock(request),
            Upset::Make { id, fault } => {
                self.made_faults.insert(id, MadeFault { at: self.now, fault: *fault });
            }
            Upset::Unmake(id) => self.made_faults.remove(id),
        }
        Ok(Answer::Done)
    }

    /// The faults that were made over the control route.
    #[must_use]
    pub fn made_faults(&self) -> &MadeFaults {
        &self.made_faults
    }

    /// One that no agent has keeps what it has.
    fn lose_lock(&mut self, request: RequestId) {
        let now = self.now;
        let Some(job) = self.requests.get_mut(&request) else { return };
        let State::Received(received) = &mut job.state else { return };
        received.locked_until = now;
        self.abandon_if_unlocked(request);
    }
}

#[cfg(test)]
mod tests;
