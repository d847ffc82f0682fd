//! Messages to agents, and the long polls that wait for them.
//!
//! A message stays until its agent deletes it: a poll never consumes. The real
//! agent holds two polls at once, one for work and one to be seen alive
//! (azure-pipelines-agent, MessageListener.cs, `GetNextMessageAsync` and
//! `KeepAlive`), so a session has two waiters.

use model::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::call::{Answer, Reply};
use crate::ids::{AgentId, MessageId, PoolId, RequestId, WaiterId};
use crate::job_requests::Sign;
use crate::limits::MAX_HELD_POLLS;
use crate::{AgentVersion, Refusal, Service};

/// A message as an agent gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// What it says.
    pub content: MessageContent,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageContent {
    /// Run this job.
    Job {
        /// The job request.
        request: RequestId,
        /// Its plan, which its end is told to.
        plan: Uuid,
        /// How long the emulated agent works on it.
        duration: Millis,
    },
    /// Update yourself.
    Refresh {
        /// The agent.
        agent: AgentId,
        /// To this version.
        target: AgentVersion,
    },
    /// What somebody sent to the agent that has a job request.
    Sent {
        /// The job request.
        request: RequestId,
        /// The session that it was sent to.
        session: Uuid,
    },
    /// End this job.
    Cancel {
        /// The job request.
        request: RequestId,
    },
}

impl MessageContent {
    /// The job request that it is about, if it is about one.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match self {
            Self::Job { request, .. } | Self::Cancel { request } | Self::Sent { request, .. } => {
                Some(*request)
            }
            Self::Refresh { .. } => None,
        }
    }
}

/// A message that somebody sends, as the agent is to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentText {
    /// `messageType`.
    pub kind: String,
    /// `body`.
    pub body: String,
}

/// A message that is not deleted yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) content: MessageContent,
    /// What somebody sent.
    pub(crate) text: Option<Box<SentText>>,
    /// Whether a poll returned it.
    pub(crate) delivered: bool,
}

/// A held poll.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Waiter {
    session: Uuid,
    after: Option<MessageId>,
}

impl Service {
    pub(crate) fn poll(
        &mut self,
        pool: PoolId,
        id: Uuid,
        after: Option<MessageId>,
    ) -> Result<Reply, Refusal> {
        let now = self.now;
        let session = self.session_mut(pool, id)?;
        session.last_seen = now;
        let waiting =
            session.messages.iter_mut().find(|(message, _)| after.is_none_or(|last| **message > last));
        if let Some((message, stored)) = waiting {
            stored.delivered = true;
            return Ok(Reply::Answer(Answer::Message(Message { id: *message, content: stored.content })));
        }
        if session.waiters.len() >= MAX_HELD_POLLS {
            let oldest = session.waiters[0];
            self.answer_waiter(oldest, Ok(Answer::NoMessage));
        }
        let waiter = WaiterId(self.numbers.waiter);
        self.numbers.waiter += 1;
        let until = now + self.settings.long_poll;
        self.set_poll(until, waiter);
        self.waiters.insert(waiter, Waiter { session: id, after });
        if let Some(session) = self.sessions.get_mut(&id.as_u128()) {
            session.waiters.push(waiter);
        }
        Ok(Reply::Held(waiter))
    }

    /// Ends a held poll.
    pub(crate) fn answer_waiter(&mut self, id: WaiterId, answer: Result<Answer, Refusal>) {
        let Some(waiter) = self.waiters.remove(&id) else { return };
        while self.polls.front().is_some_and(|(_, poll)| self.waiters.get(poll).is_none()) {
            self.polls.pop_front();
        }
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&waiter.session.as_u128()) {
            session.last_seen = now;
            session.waiters.retain(|held| *held != id);
        }
        self.answer_later(id, answer);
    }

    /// The id of the next message.
    pub(crate) fn next_message(&mut self) -> MessageId {
        let id = MessageId(self.numbers.message);
        self.numbers.message += 1;
        id
    }

    /// Puts a message into a session. Every held poll that has not seen a later one gets it.
    pub(crate) fn send(&mut self, to: Uuid, id: MessageId, content: MessageContent) {
        let Some(session) = self.sessions.get_mut(&to.as_u128()) else { return };
        let mut woken = [None; MAX_HELD_POLLS];
        for (place, waiter) in woken.iter_mut().zip(&session.waiters) {
            let has_not_seen = |waiter: &Waiter| waiter.after.is_none_or(|last| id > last);
            *place = Some(*waiter).filter(|waiter| self.waiters.get(waiter).is_some_and(has_not_seen));
        }
        let delivered = woken.iter().any(Option::is_some);
        session.messages.insert(id, StoredMessage { content, text: None, delivered });
        for waiter in woken.into_iter().flatten() {
            self.answer_waiter(waiter, Ok(Answer::Message(Message { id, content })));
        }
    }

    /// The agent deletes a job's message once it has handed the job to a worker: that is one of
    /// the ways in which the service learns that the job was received.
    pub(crate) fn delete_message(
        &mut self,
        pool: PoolId,
        id: Uuid,
        message: MessageId,
    ) -> Result<Answer, Refusal> {
        let session = self.session_mut(pool, id)?;
        let agent = session.agent;
        let stored = session.messages.remove(&message).ok_or(Refusal::MessageNotFound(message))?;
        if let MessageContent::Job { request, .. } = stored.content
            && self.agents.get(&agent).is_some_and(|agent| agent.request == Some(request))
        {
            self.receive(request, Sign::MessageDeleted);
        }
        Ok(Answer::Done)
    }

    /// Whether a session has a message that asks its agent to update.
    pub(crate) fn is_asked_to_refresh(&self, session: Uuid) -> bool {
        let is_refresh = |stored: &StoredMessage| matches!(stored.content, MessageContent::Refresh { .. });
        self.sessions.get(&session.as_u128()).is_some_and(|session| session.messages.values().any(is_refresh))
    }

    /// Takes back a job's message that its agent has not deleted.
    pub(crate) fn take_back_message(&mut self, session: Option<Uuid>, request: RequestId) {
        if let Some(session) = session.and_then(|session| self.sessions.get_mut(&session.as_u128())) {
            session.messages.retain(|_, stored| {
                !matches!(stored.content, MessageContent::Job { request: about, .. } if about == request)
            });
        }
    }

    /// Whether the agent that a job is reserved for has seen its message.
    pub(crate) fn was_delivered(&self, session: Option<Uuid>, message: MessageId) -> bool {
        let session = session.and_then(|session| self.sessions.get(&session.as_u128()));
        session.and_then(|session| session.messages.get(&message)).is_some_and(|stored| stored.delivered)
    }
}
