//! The words between an agent's decisions and whoever carries them out.

use std::sync::Arc;
use std::time::Duration;

use model::event::JobResult;

use super::id::Id;
use super::job::JobMessage;

/// Names a call until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u32);

/// A call to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Start to listen.
    OpenSession,
    /// Stop listening.
    CloseSession {
        /// The session.
        session: Id,
    },
    /// Wait for a message after the last one seen. The service holds the answer back.
    Poll {
        /// The session.
        session: Id,
        /// The last message that was received in it.
        last_message: Option<u64>,
    },
    /// The same without a last message, made beside the other only to show that the agent lives.
    KeepAlive {
        /// The session.
        session: Id,
    },
    /// Take a message off the session's queue.
    DeleteMessage {
        /// The session.
        session: Id,
        /// The message.
        message: u64,
    },
    /// Keep the lock on a job.
    Renew {
        /// The job request.
        request: u64,
    },
    /// Tell the plan how the job ended.
    Complete(Box<Completion>),
}

/// The event that ends a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The project that the plan belongs to.
    pub scope: Id,
    /// The plan's kind, which names the hub.
    pub hub: Arc<str>,
    /// The plan.
    pub plan: Id,
    /// The job.
    pub job: Id,
    /// Its job request.
    pub request: u64,
    /// How it ended.
    pub result: JobResult,
    /// Whether the agent takes no further job.
    pub agent_shutting_down: bool,
}

/// The service's answer to a call that it carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A session was opened.
    Session {
        /// Its id.
        session: Id,
    },
    /// A message, still on the queue.
    Message {
        /// Its id.
        message: u64,
        /// Its type, in any case.
        kind: String,
        /// Its text.
        body: String,
    },
    /// A message that brings a job, read already.
    Job {
        /// Its id.
        message: u64,
        /// The job.
        job: Box<JobMessage>,
    },
    /// A message that cancels a job, read already.
    Cancellation {
        /// Its id.
        message: u64,
        /// The job that is to end.
        job: Id,
    },
    /// Nothing came while the poll was held.
    NoMessage,
    /// The lock holds on.
    Renewed {
        /// Until this date, since 1970.
        locked_until: Duration,
    },
    /// Done, with nothing to tell.
    Done,
}

/// A call that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the agent makes of it.
    pub kind: FailureKind,
    /// The service's message, or what the network said.
    pub message: String,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// What the agent makes of a failure. The service's are told apart by `typeKey`, not by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The agent has a live session already.
    SessionConflict,
    /// The session is over.
    SessionExpired,
    /// The agent is not registered any more.
    AgentNotFound,
    /// An agent of that name exists.
    AgentExists,
    /// The pool is gone.
    PoolNotFound,
    /// The identity may not do that.
    AccessDenied,
    /// The token was not accepted.
    Unauthorized,
    /// The token was revoked.
    AccessTokenExpired,
    /// The job request is gone.
    JobNotFound,
    /// The lock was lost, or the job has ended.
    JobTokenExpired,
    /// The agent holds a job.
    JobStillRunning,
    /// The plan is gone, or closed to this agent.
    PlanNotFound,
    /// 502, 503 or 504: worth another try at once.
    Unavailable,
    /// No answer: the network, or the time limit.
    Unreachable,
    /// Anything else.
    Other,
}

/// What the machine wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Make this call and bring its answer.
    Call {
        /// Names it.
        id: CallId,
        /// The call.
        call: Call,
    },
    /// Give up on a call: its connection is closed, its answer is not wanted.
    Abandon(CallId),
    /// Nothing to do, but somebody may want to know.
    Observed(Observation),
    /// The process ends.
    Exit(i32),
}

/// What the agent says on its console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It has a session.
    Listening {
        /// The session's id.
        session: Id,
    },
    /// Another session of the same agent lives; it tries again.
    SessionExists,
    /// It has waited long enough for the other session to end.
    SessionExistsStopRetry,
    /// It is not registered any more.
    AgentMissing,
    /// It can't get a session and won't try again.
    SessionCreateFailed {
        /// The reason.
        message: String,
    },
    /// The first failure of a series; it tries on.
    ConnectError {
        /// The failure.
        message: String,
    },
    /// The series of failures is over.
    Reconnected,
    /// It fails for good.
    Failed {
        /// The failure.
        message: String,
    },
    /// A job was received, and its lock is about to be taken.
    JobStarted {
        /// The job request.
        request: u64,
        /// The job's display name.
        name: Arc<str>,
    },
    /// The job's lock is held, and its work begins.
    JobLocked {
        /// The job request.
        request: u64,
    },
    /// The job's work is over, and the plan is about to be told.
    JobCompleted {
        /// The job request.
        request: u64,
        /// The job's display name.
        name: Arc<str>,
        /// How it ended.
        result: JobResult,
    },
    /// The job was given up without a word to the service.
    JobDropped {
        /// The job request.
        request: u64,
        /// The reason.
        because: String,
    },
    /// A message that means nothing to this agent.
    MessageIgnored {
        /// Its type.
        kind: String,
    },
    /// It was told to stop.
    Stopping,
}
