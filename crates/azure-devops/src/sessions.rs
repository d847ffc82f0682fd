//! Sessions: an agent with one is online and listens for jobs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use model::{Fact, Instant, Millis};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::call::{Answer, SessionDraft};
use crate::ids::{AgentId, PoolId, WaiterId};
use crate::inbox::Inbox;
use crate::limits::MAX_HELD_POLLS;
use crate::service::Timer;
use crate::{Refusal, Service};

/// An agent that listens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: Uuid,
    pub(crate) agent: AgentId,
    pub(crate) pool: PoolId,
    pub(crate) owner: Arc<str>,
    /// When a poll last began or ended.
    pub(crate) last_seen: Instant,
    /// When its timer goes off.
    timer: Instant,
    /// What the agent has not deleted yet.
    pub(crate) messages: Inbox,
    /// Polls that are held, the oldest first.
    #[serde(with = "few")]
    pub(crate) waiters: SmallVec<[WaiterId; MAX_HELD_POLLS]>,
}

/// A few things, as a list.
mod few {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use smallvec::{Array, SmallVec};

    pub(super) fn serialize<A: Array<Item: Serialize>, S: Serializer>(
        few: &SmallVec<A>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        few.as_slice().serialize(serializer)
    }

    pub(super) fn deserialize<'de, A: Array<Item: Deserialize<'de>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SmallVec<A>, D::Error> {
        Vec::<A::Item>::deserialize(deserializer).map(SmallVec::from_vec)
    }
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// Its agent ended it.
    Closed,
    /// The service gave it up.
    Expired(&'static str),
    /// Its agent was unregistered.
    AgentRemoved,
}

/// Sessions by their ids as numbers, which are random: no order and no further hash are needed. Nobody goes
/// through them.
pub(crate) type Sessions = HashMap<u128, Session, BuildHasherDefault<IdHasher>>;

/// Takes a random id for its own hash. Only ids that the service has drawn are kept.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = u64::try_from(id >> 64 ^ id & u128::from(u64::MAX)).unwrap_or_default();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Service {
    /// The session of a poll or a deletion. One that was never there has expired, too.
    pub(crate) fn session_mut(&mut self, pool: PoolId, id: Uuid) -> Result<&mut Session, Refusal> {
        self.pool(pool)?;
        self.sessions
            .get_mut(&id.as_u128())
            .filter(|session| session.pool == pool)
            .ok_or(Refusal::SessionExpired(id))
    }

    /// One live session an agent: a second one is a conflict, even of the same owner (seen in
    /// public reports: an agent that was restarted after a crash has to wait).
    pub(crate) fn open_session(&mut self, pool: PoolId, draft: SessionDraft) -> Result<Answer, Refusal> {
        let agent = self.agent(pool, draft.agent)?;
        if let Some(session) = agent.session.and_then(|session| self.sessions.get(&session.as_u128())) {
            let refusal =
                Refusal::SessionConflict { agent: agent.name.to_string(), owner: session.owner.to_string() };
            self.tell(|| Fact::SessionRefused { agent: draft.agent.0 });
            return Err(refusal);
        }
        let id = self.guid();
        let timer = self.silent_until(self.now);
        self.set_timer(timer, Timer::Session(id.as_u128()));
        let session = Session {
            id,
            agent: draft.agent,
            pool,
            owner: draft.owner,
            last_seen: self.now,
            timer,
            messages: Inbox::default(),
            waiters: SmallVec::new(),
        };
        self.sessions.insert(id.as_u128(), session);
        let now = self.now;
        if let Some(agent) = self.agents.get_mut(&draft.agent) {
            agent.session = Some(id);
            agent.status_changed = now;
            agent.shutting_down = false;
            if let Some(version) = draft.version {
                agent.version = version;
            }
            if let Some(description) = draft.os_description {
                agent.os_description = description;
            }
            if let Some(capabilities) = draft.capabilities {
                agent.capabilities.system = capabilities;
            }
        }
        self.end_update(draft.agent);
        self.tell(|| Fact::SessionOpened { agent: draft.agent.0, session: id.to_string() });
        self.tell(|| Fact::AgentOnline { agent: draft.agent.0 });
        self.capabilities_changed(draft.agent);
        Ok(Answer::Session(id))
    }

    pub(crate) fn close_session(&mut self, pool: PoolId, id: Uuid) -> Result<Answer, Refusal> {
        self.session_mut(pool, id)?;
        self.end_session(id, SessionEnd::Closed);
        Ok(Answer::Done)
    }

    /// When a session that was last seen then has been silent for too long. Never now, so that
    /// an expiry of zero does not fire for ever.
    fn silent_until(&self, last_seen: Instant) -> Instant {
        (last_seen + self.settings.session_expiry).max(self.now + Millis(1))
    }

    /// A session without a poll for `session_expiry` ends (seen in public reports: about 5 min).
    /// A poll that is held counts as one.
    pub(crate) fn expire_if_silent(&mut self, id: Uuid) {
        let Some(session) = self.sessions.get(&id.as_u128()) else { return };
        let last_seen = if session.waiters.is_empty() { session.last_seen } else { self.now };
        if last_seen + self.settings.session_expiry <= self.now && session.waiters.is_empty() {
            self.end_session(id, SessionEnd::Expired("no poll for too long"));
            return;
        }
        let timer = self.silent_until(last_seen);
        self.set_timer(timer, Timer::Session(id.as_u128()));
        if let Some(session) = self.sessions.get_mut(&id.as_u128()) {
            session.timer = timer;
        }
    }

    /// Ends a session: its polls are answered, its agent is offline, and a job that it was given
    /// and never took goes back to the queue. A job that it took goes on: only its lock tells.
    pub(crate) fn end_session(&mut self, id: Uuid, end: SessionEnd) {
        let Some(session) = self.sessions.remove(&id.as_u128()) else { return };
        self.clear_timer(session.timer, Timer::Session(id.as_u128()));
        let agent = session.agent.0;
        let because = match end {
            SessionEnd::Closed => "its agent ended the session",
            SessionEnd::Expired(because) => because,
            SessionEnd::AgentRemoved => "the agent was unregistered",
        };
        self.tell(|| match end {
            SessionEnd::Closed => Fact::SessionClosed { agent, session: id.to_string() },
            _ => Fact::SessionExpired { agent, session: id.to_string(), because: because.to_owned() },
        });
        for waiter in session.waiters {
            // Not known of the real service. An agent that ends its session waits for nothing more, so
            // its polls end as if their time were over; the others must learn that they are on their own.
            let answer = match end {
                SessionEnd::Closed => Ok(Answer::NoMessage),
                SessionEnd::AgentRemoved => Err(Refusal::AgentNotFound(session.agent)),
                SessionEnd::Expired(_) => Err(Refusal::SessionExpired(id)),
            };
            self.answer_waiter(waiter, answer);
        }
        let now = self.now;
        let mut given = None;
        if let Some(agent) = self.agents.get_mut(&session.agent) {
            agent.session = None;
            agent.status_changed = now;
            given = agent.request;
        }
        self.tell(|| Fact::AgentOffline { agent });
        if let Some(request) = given {
            self.requeue_if_not_received(request, because);
        }
        self.agent_changed(session.agent);
    }
}
