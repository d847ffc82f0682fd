//! An agent and the service in one thread: calls and answers as values, without
//! HTTP and without JSON.
//!
//! Whatever [`wire`](super::wire) and a server between them would make of a call
//! and of its answer, this makes of it too; tests hold one against the other.

use std::sync::Arc;
use std::time::Duration;

use super::call::{Answer, Call, Completion, Failure, FailureKind};
use super::job::JobMessage;
use super::setup::{SetupAnswer, SetupCall};
use super::{AGENT_VERSION, wire};
use crate::{
    AgentDraft, AgentId, Include, MessageContent, MessageId, PoolId, Refusal, RequestId, Service,
    SessionDraft, SystemCapabilities,
};

/// What an agent says of itself when it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: Arc<str>,
    /// What it is, and what it runs on.
    pub software: Software,
    /// What it can do.
    pub capabilities: SystemCapabilities,
}

/// What is the same for every agent. Made once, it is told without a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Software {
    version: Arc<str>,
    os_description: Arc<str>,
}

impl Default for Software {
    fn default() -> Self {
        Self { version: AGENT_VERSION.into(), os_description: wire::OS_DESCRIPTION.into() }
    }
}

/// What an agent knows of itself once it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its pool.
    pub pool: PoolId,
    /// Its id.
    pub agent: AgentId,
    /// What it says of itself.
    pub identity: Identity,
}

/// The service's call that a listener's is.
///
/// # Errors
/// If a session or plan is called by what the service can't have called it.
pub fn call(call: &Call, registration: &Registration) -> Result<crate::Call, Failure> {
    let pool = registration.pool;
    let guid = |id: &super::Id| id.guid().ok_or_else(|| unreadable(id));
    Ok(match call {
        Call::OpenSession => crate::Call::OpenSession {
            pool,
            draft: SessionDraft {
                owner: Arc::clone(&registration.identity.name),
                agent: registration.agent,
                version: Some(Arc::clone(&registration.identity.software.version)),
                os_description: Some(Arc::clone(&registration.identity.software.os_description)),
                capabilities: Some(registration.identity.capabilities.clone()),
            },
        },
        Call::CloseSession { session } => crate::Call::CloseSession { pool, session: guid(session)? },
        Call::Poll { session, last_message } => {
            crate::Call::Poll { pool, session: guid(session)?, after: last_message.map(MessageId) }
        }
        Call::KeepAlive { session } => crate::Call::Poll { pool, session: guid(session)?, after: None },
        Call::DeleteMessage { session, message } => {
            crate::Call::DeleteMessage { pool, session: guid(session)?, message: MessageId(*message) }
        }
        Call::Renew { request } => {
            crate::Call::RenewJobRequest { pool, request: RequestId(*request), to_top: false }
        }
        Call::Complete(completion) => {
            let Completion { plan, request, result, agent_shutting_down, .. } = &**completion;
            crate::Call::CompleteJob {
                plan: guid(plan)?,
                request: RequestId(*request),
                result: *result,
                agent_shutting_down: *agent_shutting_down,
            }
        }
    })
}

/// The service's call that one of the set-up is.
#[must_use]
pub fn setup_call(call: &SetupCall, identity: &Identity) -> crate::Call {
    let draft = || AgentDraft {
        name: Arc::clone(&identity.name),
        version: Arc::clone(&identity.software.version),
        os_description: Arc::clone(&identity.software.os_description),
        enabled: Some(true),
        capabilities: identity.capabilities.clone(),
        ..AgentDraft::default()
    };
    match call {
        SetupCall::FindPool { name } => {
            crate::Call::ListPools { name: Some(name.to_string()), ids: Vec::new() }
        }
        SetupCall::FindAgent { pool, name } => crate::Call::ListAgents {
            pool: PoolId(*pool),
            name: Some(name.to_string()),
            demands: Vec::new(),
            include: Include::default(),
        },
        SetupCall::AddAgent { pool } => crate::Call::RegisterAgent { pool: PoolId(*pool), draft: draft() },
        SetupCall::ReplaceAgent { pool, agent } => {
            crate::Call::ReplaceAgent { pool: PoolId(*pool), agent: AgentId(*agent), draft: draft() }
        }
        SetupCall::RemoveAgent { pool, agent } => {
            crate::Call::RemoveAgent { pool: PoolId(*pool), agent: AgentId(*agent) }
        }
    }
}

/// What a listener reads in the service's answer to its call.
///
/// # Errors
/// With what the agent makes of a refusal, or of an answer that means nothing to it.
pub fn answer(
    service: &Service,
    call: &Call,
    answer: Result<crate::Answer, Refusal>,
) -> Result<Answer, Failure> {
    let answer = answer.map_err(|refusal| failure(&refusal))?;
    match (call, answer) {
        (Call::OpenSession, crate::Answer::Session(id)) => Ok(Answer::Session { session: id.into() }),
        (Call::Poll { .. } | Call::KeepAlive { .. }, answer) => Ok(polled(service, &answer)),
        (Call::Renew { .. }, crate::Answer::JobRequest(request)) => {
            let locked_until = service.locked_until(request).ok_or_else(|| unreadable(&request))?;
            Ok(Answer::Renewed { locked_until: date(service, locked_until) })
        }
        (Call::CloseSession { .. } | Call::DeleteMessage { .. } | Call::Complete(_), _) => Ok(Answer::Done),
        (Call::OpenSession | Call::Renew { .. }, answer) => Err(unreadable(&format_args!("{answer:?}"))),
    }
}

/// What a listener reads in the answer to a poll.
#[must_use]
pub fn polled(service: &Service, answer: &crate::Answer) -> Answer {
    let crate::Answer::Message(message) = answer else { return Answer::NoMessage };
    let id = message.id.0;
    match message.content {
        MessageContent::Job { request, .. } => match service.agent_job(request) {
            Some(job) => Answer::Job { message: id, job: Box::new(job) },
            None => Answer::NoMessage,
        },
        // An agent without a binary of its own has nothing to update.
        MessageContent::Refresh { .. } => Answer::Message {
            message: id,
            kind: crate::wire::REFRESH_MESSAGE.to_owned(),
            body: String::new(),
        },
        MessageContent::Sent { session, .. } => {
            let text = service.sent_text(session, message.id).cloned();
            let (kind, body) = text.map(|text| (text.kind, text.body)).unwrap_or_default();
            Answer::Message { message: id, kind, body }
        }
        MessageContent::Cancel { request } => match service.job_id(request) {
            Some(job) => Answer::Cancellation { message: id, job: job.into() },
            None => Answer::NoMessage,
        },
    }
}

/// What the set-up reads in the service's answer to its call.
///
/// # Errors
/// With what the agent makes of a refusal, or of an answer that means nothing to it.
pub fn setup_answer(
    call: &SetupCall,
    answer: Result<crate::Answer, Refusal>,
) -> Result<SetupAnswer, Failure> {
    let answer = answer.map_err(|refusal| failure(&refusal))?;
    match (call, answer) {
        (SetupCall::FindPool { .. }, crate::Answer::Pools(found)) => {
            Ok(SetupAnswer::Found(found.first().map(|pool| pool.0)))
        }
        (SetupCall::FindAgent { .. }, crate::Answer::Agents(found, _)) => {
            Ok(SetupAnswer::Found(found.first().map(|agent| agent.0)))
        }
        (SetupCall::AddAgent { .. } | SetupCall::ReplaceAgent { .. }, crate::Answer::Agent(agent, _)) => {
            Ok(SetupAnswer::Agent(agent.0))
        }
        (SetupCall::RemoveAgent { .. }, _) => Ok(SetupAnswer::Done),
        (_, answer) => Err(unreadable(&format_args!("{answer:?}"))),
    }
}

/// What an agent makes of a refusal.
#[must_use]
pub fn failure(refusal: &Refusal) -> Failure {
    Failure::new(wire::kind(refusal.status(), refusal.type_key()), refusal.to_string())
}

/// What an agent makes of an HTTP status with a body that says nothing, as something between it and
/// the service gives it; nothing if the status is one of success.
#[must_use]
pub fn failure_of_status(status: u16) -> Option<Failure> {
    wire::succeeded(status, b"").err()
}

/// What an agent makes of an answer that breaks off.
#[must_use]
pub fn broken_answer() -> Failure {
    unreadable(&"EOF while parsing an object")
}

/// Locks are told as dates without fractions of a millisecond.
fn date(service: &Service, instant: model::Instant) -> Duration {
    service.settings().epoch + Duration::from_millis(instant.0)
}

fn unreadable(what: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, format!("unreadable response: {what}"))
}

impl Service {
    /// A job as its agent reads it in the message.
    fn agent_job(&self, request: RequestId) -> Option<JobMessage> {
        let job = self.requests.get(&request)?;
        let definition = self.builds.get(job.build).and_then(|build| self.definitions.get(build.definition));
        Some(JobMessage {
            request: request.0,
            job: job.job_id.into(),
            name: Arc::clone(&job.name),
            scope: definition.map(|definition| definition.project_id).unwrap_or_default().into(),
            hub: Arc::clone(&self.plan_type),
            plan: job.plan.into(),
            duration: job.duration,
        })
    }
}
