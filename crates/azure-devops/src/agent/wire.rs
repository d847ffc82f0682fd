//! The agent's calls as HTTP requests, and HTTP responses as answers.
//!
//! The routes are Azure DevOps' own; api-versions are those that the agent sends
//! (from the public fork of its SDK in ChristopherHX/runner.server).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::call::{Answer, Call, Completion, Failure, FailureKind};
use super::setup::{SetupAnswer, SetupCall};
use super::{AGENT_VERSION, Registration};

/// A request, without the organisation's address and without its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// Path and query, below the organisation's address, without a slash in front.
    pub target: String,
    /// The body, if there is one, in JSON.
    pub body: Option<String>,
}

impl Request {
    fn bare(method: &'static str, target: String) -> Self {
        Self { method, target, body: None }
    }

    fn with(method: &'static str, target: String, body: &serde_json::Value) -> Self {
        Self { method, target, body: Some(body.to_string()) }
    }
}

const API: &str = "api-version=5.1-preview.1";
const AGENTS_API: &str = "api-version=6.0-preview.1";
const EVENTS_API: &str = "api-version=2.0-preview.1";
const NO_GUID: &str = "00000000-0000-0000-0000-000000000000";

/// The request that a listener's call is.
#[must_use]
pub fn request(call: &Call, registration: &Registration) -> Request {
    let pool = format!("_apis/distributedtask/pools/{}", registration.pool);
    match call {
        Call::OpenSession => Request::with(
            "POST",
            format!("{pool}/sessions?{API}"),
            &json!({
                "sessionId": NO_GUID,
                "ownerName": registration.name,
                "agent": {
                    "id": registration.agent,
                    "name": registration.name,
                    "version": AGENT_VERSION,
                    "osDescription": OS_DESCRIPTION,
                },
                "systemCapabilities": registration.capabilities,
            }),
        ),
        Call::CloseSession { session } => Request::bare("DELETE", format!("{pool}/sessions/{session}?{API}")),
        Call::Poll { session, last_message: Some(last) } => {
            Request::bare("GET", format!("{pool}/messages?sessionId={session}&lastMessageId={last}&{API}"))
        }
        Call::Poll { session, last_message: None } | Call::KeepAlive { session } => {
            Request::bare("GET", format!("{pool}/messages?sessionId={session}&{API}"))
        }
        Call::DeleteMessage { session, message } => {
            Request::bare("DELETE", format!("{pool}/messages/{message}?sessionId={session}&{API}"))
        }
        Call::Renew { request } => Request::with(
            "PATCH",
            format!("{pool}/jobrequests/{request}?lockToken={NO_GUID}&{API}"),
            &json!({ "requestId": request }),
        ),
        Call::Complete(completion) => complete(completion),
    }
}

fn complete(completion: &Completion) -> Request {
    let Completion { scope, hub, plan, job, request, result, agent_shutting_down } = completion;
    Request::with(
        "POST",
        format!(
            "{}/_apis/distributedtask/hubs/{}/plans/{plan}/events?{EVENTS_API}",
            encode(&scope.to_string()),
            encode(hub)
        ),
        &json!({
            "name": "JobCompleted",
            "jobId": job,
            "requestId": request,
            "result": result,
            "agentShuttingDown": agent_shutting_down,
        }),
    )
}

/// What an agent says of its system.
pub(super) const OS_DESCRIPTION: &str = "Linux (emulated)";

/// The request that a call of the set-up is.
#[must_use]
pub fn setup_request(
    call: &SetupCall,
    name: &str,
    capabilities: &std::collections::BTreeMap<String, String>,
) -> Request {
    let agents = |pool: u64| format!("_apis/distributedtask/pools/{pool}/agents");
    let agent = |id: u64| {
        json!({
            "id": id,
            "maxParallelism": 1,
            "name": name,
            "version": AGENT_VERSION,
            "osDescription": OS_DESCRIPTION,
            "enabled": true,
            "provisioningState": "Provisioned",
            "systemCapabilities": capabilities,
        })
    };
    match call {
        SetupCall::FindPool { name } => Request::bare(
            "GET",
            format!("_apis/distributedtask/pools?poolName={}&poolType=Automation&{API}", encode(name)),
        ),
        SetupCall::FindAgent { pool, name } => Request::bare(
            "GET",
            format!("{}?agentName={}&includeCapabilities=False&{AGENTS_API}", agents(*pool), encode(name)),
        ),
        SetupCall::AddAgent { pool } => {
            Request::with("POST", format!("{}?{AGENTS_API}", agents(*pool)), &agent(0))
        }
        SetupCall::ReplaceAgent { pool, agent: id } => {
            Request::with("PUT", format!("{}/{id}?{AGENTS_API}", agents(*pool)), &agent(*id))
        }
        SetupCall::RemoveAgent { pool, agent: id } => {
            Request::bare("DELETE", format!("{}/{id}?{AGENTS_API}", agents(*pool)))
        }
    }
}

/// Reads the response to a listener's call.
///
/// # Errors
/// With what the agent makes of a refusal, or of a response that it can't read.
pub fn answer(call: &Call, status: u16, body: &[u8]) -> Result<Answer, Failure> {
    succeeded(status, body)?;
    match call {
        Call::OpenSession => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Session {
                session_id: String,
                encryption_key: Option<serde_json::Value>,
            }
            let session: Session = read(body)?;
            if session.encryption_key.is_some() {
                let message = "the service encrypts its messages, which this agent can't read";
                return Err(Failure::new(FailureKind::Other, message));
            }
            Ok(Answer::Session { session: session.session_id.as_str().into() })
        }
        Call::Poll { .. } | Call::KeepAlive { .. } => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct Message {
                message_id: u64,
                message_type: String,
                #[serde(default)]
                body: String,
            }
            if status == 202 || body.is_empty() {
                return Ok(Answer::NoMessage);
            }
            Ok(match read::<Option<Message>>(body)? {
                None => Answer::NoMessage,
                Some(Message { message_id, message_type, body }) => {
                    Answer::Message { message: message_id, kind: message_type, body }
                }
            })
        }
        Call::Renew { .. } => {
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase")]
            struct JobRequest {
                locked_until: String,
            }
            let request: JobRequest = read(body)?;
            let locked_until: jiff::Timestamp = request.locked_until.parse().map_err(unreadable)?;
            let locked_until = Duration::try_from(locked_until.as_duration()).unwrap_or_default();
            Ok(Answer::Renewed { locked_until })
        }
        Call::CloseSession { .. } | Call::DeleteMessage { .. } | Call::Complete(_) => Ok(Answer::Done),
    }
}

/// Reads the response to a call of the set-up.
///
/// # Errors
/// With what the agent makes of a refusal, or of a response that it can't read.
pub fn setup_answer(call: &SetupCall, status: u16, body: &[u8]) -> Result<SetupAnswer, Failure> {
    #[derive(Deserialize)]
    struct Thing {
        id: u64,
    }
    #[derive(Deserialize)]
    struct List {
        value: Vec<Thing>,
    }
    succeeded(status, body)?;
    match call {
        SetupCall::FindPool { .. } | SetupCall::FindAgent { .. } => {
            let list: List = read(body)?;
            Ok(SetupAnswer::Found(list.value.first().map(|thing| thing.id)))
        }
        SetupCall::AddAgent { .. } | SetupCall::ReplaceAgent { .. } => {
            Ok(SetupAnswer::Agent(read::<Thing>(body)?.id))
        }
        SetupCall::RemoveAgent { .. } => Ok(SetupAnswer::Done),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, format!("unreadable response: {error}"))
}

/// The body of an error, as far as the agent looks at it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ErrorBody {
    message: Option<String>,
    type_key: Option<String>,
}

pub(super) fn succeeded(status: u16, body: &[u8]) -> Result<(), Failure> {
    // 203 carries a sign-in page, which the client refuses for its media type.
    if status == 203 {
        let message = "the response is a sign-in page (HTTP status code 203)";
        return Err(Failure::new(FailureKind::Unauthorized, message));
    }
    if (200..300).contains(&status) {
        return Ok(());
    }
    let error: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let kind = kind(status, error.type_key.as_deref().unwrap_or_default());
    let message = match (error.message, kind) {
        (Some(message), _) => message,
        // The SDK's own words for a 401 without a body.
        (None, FailureKind::Unauthorized) => "You are not authorized to access this resource.".to_owned(),
        (None, _) => format!("The service answered with HTTP status code {status}."),
    };
    Err(Failure { kind, message })
}

/// What the agent makes of a refusal: exceptions are told apart by `typeKey`; the status counts where
/// the HTTP layer acts on it.
pub(super) fn kind(status: u16, type_key: &str) -> FailureKind {
    match (type_key, status) {
        ("TaskAgentSessionConflictException", _) => FailureKind::SessionConflict,
        ("TaskAgentSessionExpiredException", _) => FailureKind::SessionExpired,
        ("TaskAgentNotFoundException", _) => FailureKind::AgentNotFound,
        ("TaskAgentExistsException", _) => FailureKind::AgentExists,
        ("TaskAgentPoolNotFoundException", _) => FailureKind::PoolNotFound,
        ("AccessDeniedException", _) => FailureKind::AccessDenied,
        ("VssUnauthorizedException", _) => FailureKind::Unauthorized,
        ("TaskAgentAccessTokenExpiredException", _) => FailureKind::AccessTokenExpired,
        ("TaskAgentJobNotFoundException", _) => FailureKind::JobNotFound,
        ("TaskAgentJobTokenExpiredException", _) => FailureKind::JobTokenExpired,
        ("TaskAgentJobStillRunningException", _) => FailureKind::JobStillRunning,
        ("TaskOrchestrationPlanNotFoundException" | "TaskOrchestrationPlanSecurityException", _) => {
            FailureKind::PlanNotFound
        }
        (_, 401) => FailureKind::Unauthorized,
        (_, 502..=504) => FailureKind::Unavailable,
        _ => FailureKind::Other,
    }
}

/// Percent-encodes everything but unreserved characters.
fn encode(text: &str) -> Cow<'_, str> {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(unreserved) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}
