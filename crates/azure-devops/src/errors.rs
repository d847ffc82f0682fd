//! Why the service refuses a call, and the error body that says so.
//!
//! Clients key on `typeKey`: the agent maps it to an exception, and takes an
//! unknown one for a passing trouble that it retries for ever. Where a status
//! code is not documented, the one that clients and reimplementations are known
//! to accept is used (ChristopherHX/runner.server for the agent's calls).

use serde::Serialize;

use crate::ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, RequestId};

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No token, or a wrong one.
    #[error("TF400813: The user '' is not authorized to access this resource.")]
    Unauthorized,
    /// The token does not open this.
    #[error("Access denied. The token of a job does not permit this.")]
    AccessDenied,
    /// No such pool.
    #[error("No agent pool found with identifier {0}.")]
    PoolNotFound(PoolId),
    /// A definition names a pool that is not there.
    #[error("No agent pool found with name {0}.")]
    PoolNameNotFound(String),
    /// The name is taken.
    #[error("An agent pool with name {0} already exists.")]
    PoolExists(String),
    /// No such agent.
    #[error("The agent with identifier {0} was not found.")]
    AgentNotFound(AgentId),
    /// The name is taken.
    #[error("Pool {pool} already contains an agent with name {name}.")]
    AgentExists {
        /// The pool's name.
        pool: String,
        /// The agent's name.
        name: String,
    },
    /// The agent holds a job.
    #[error("Agent \"{agent}\" is running a job for pool \"{pool}\"")]
    JobStillRunning {
        /// The agent's name.
        agent: String,
        /// The pool's name.
        pool: String,
    },
    /// The agent has a live session.
    #[error("The task agent {agent} already has an active session for owner {owner}.")]
    SessionConflict {
        /// The agent's name.
        agent: String,
        /// Whose session it is.
        owner: String,
    },
    /// The session has ended, or never was.
    #[error("The session {0} has expired.")]
    SessionExpired(uuid::Uuid),
    /// The session has no such message.
    #[error("The message with identifier {0} was not found.")]
    MessageNotFound(MessageId),
    /// No such job request.
    #[error("The job request {0} was not found.")]
    JobNotFound(RequestId),
    /// The job request is not, or no longer, reserved for an agent.
    #[error("The lock of job request {0} has expired or the job has ended.")]
    JobTokenExpired(RequestId),
    /// No such plan.
    #[error("No orchestration plan found with identifier {0}.")]
    PlanNotFound(uuid::Uuid),
    /// No such build.
    #[error("The requested build {0} could not be found.")]
    BuildNotFound(BuildId),
    /// No such definition.
    #[error("Definition {0} could not be found.")]
    DefinitionNotFound(DefinitionId),
    /// No such definition.
    #[error("Definition {0} could not be found.")]
    DefinitionNameNotFound(String),
    /// No agent of the pool, in whatever state, could ever run one of the jobs.
    #[error("No agent found in pool {pool} which satisfies the specified demands: {demands}")]
    NoAgentSatisfies {
        /// The pool's name.
        pool: String,
        /// The demands, comma-separated.
        demands: String,
    },
    /// The call cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// A bound of ours is reached.
    #[error("Poolproof keeps no more than {limit} {what}.")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The organisation, or something else at this address, is not there.
    #[error("There is nothing at {0}.")]
    NothingHere(String),
    /// The real service has this; we do not model it.
    #[error("{route} is not modelled by Poolproof.")]
    NotModelled {
        /// Method and path.
        route: String,
    },
    /// The body is larger than any that is needed.
    #[error("The request body is larger than {0} bytes.")]
    TooLarge(usize),
    /// The body did not arrive in time.
    #[error("The request body did not arrive in time.")]
    TooSlow,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) | Self::NoAgentSatisfies { .. } => 400,
            Self::Unauthorized => 401,
            // runner.server answers 403 for a dead session; 404 is also seen.
            Self::AccessDenied | Self::SessionExpired(_) => 403,
            Self::PoolNotFound(_)
            | Self::PoolNameNotFound(_)
            | Self::AgentNotFound(_)
            | Self::MessageNotFound(_)
            | Self::JobNotFound(_)
            | Self::PlanNotFound(_)
            | Self::BuildNotFound(_)
            | Self::DefinitionNotFound(_)
            | Self::DefinitionNameNotFound(_)
            | Self::NothingHere(_) => 404,
            Self::TooSlow => 408,
            Self::PoolExists(_)
            | Self::AgentExists { .. }
            | Self::JobStillRunning { .. }
            | Self::SessionConflict { .. }
            | Self::JobTokenExpired(_) => 409,
            Self::TooLarge(_) => 413,
            Self::NotModelled { .. } => 501,
            Self::Full { .. } => 507,
        }
    }

    /// The name that clients know the error by.
    #[must_use]
    pub fn type_key(&self) -> &'static str {
        match self {
            Self::Unauthorized => "VssUnauthorizedException",
            Self::AccessDenied => "AccessDeniedException",
            Self::PoolNotFound(_) | Self::PoolNameNotFound(_) => "TaskAgentPoolNotFoundException",
            Self::PoolExists(_) => "TaskAgentPoolExistsException",
            Self::AgentNotFound(_) => "TaskAgentNotFoundException",
            Self::AgentExists { .. } => "TaskAgentExistsException",
            Self::JobStillRunning { .. } => "TaskAgentJobStillRunningException",
            Self::SessionConflict { .. } => "TaskAgentSessionConflictException",
            Self::SessionExpired(_) => "TaskAgentSessionExpiredException",
            Self::MessageNotFound(_) => "TaskAgentMessageNotFoundException",
            Self::JobNotFound(_) => "TaskAgentJobNotFoundException",
            Self::JobTokenExpired(_) => "TaskAgentJobTokenExpiredException",
            Self::PlanNotFound(_) => "TaskOrchestrationPlanNotFoundException",
            Self::BuildNotFound(_) => "BuildNotFoundException",
            Self::DefinitionNotFound(_) | Self::DefinitionNameNotFound(_) => "DefinitionNotFoundException",
            Self::NoAgentSatisfies { .. } => "BuildRequestValidationFailedException",
            Self::Invalid(_) => "InvalidRequestException",
            Self::Full { .. } => "RequestBlockedException",
            Self::NothingHere(_) => "VssResourceNotFoundException",
            Self::NotModelled { .. } => "NotImplementedException",
            Self::TooLarge(_) => "RequestContentTooLargeException",
            Self::TooSlow => "RequestTimeoutException",
        }
    }

    /// The JSON body.
    ///
    /// # Panics
    /// Never: the body holds texts and numbers only.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let key = self.type_key();
        let body = ErrorBody {
            id: "1",
            inner_exception: (),
            message: self.to_string(),
            type_name: format!("{NAMESPACE}.{key}, {NAMESPACE}"),
            type_key: key,
            error_code: 0,
            event_id: EVENT_ID,
        };
        serde_json::to_vec(&body).expect("texts and numbers are JSON")
    }
}

/// The .NET namespace and assembly of the pool's exceptions.
const NAMESPACE: &str = "Microsoft.TeamFoundation.DistributedTask.WebApi";
/// What the service puts into every error (seen in public payloads).
const EVENT_ID: u32 = 3000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ErrorBody {
    #[serde(rename = "$id")]
    id: &'static str,
    inner_exception: (),
    message: String,
    type_name: String,
    type_key: &'static str,
    error_code: u32,
    event_id: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_carries_the_key_that_clients_look_for() {
        let body: serde_json::Value =
            serde_json::from_slice(&Refusal::PoolNotFound(PoolId(3)).body()).expect("JSON");
        assert_eq!(body["typeKey"], "TaskAgentPoolNotFoundException");
        assert_eq!(body["message"], "No agent pool found with identifier 3.");
        assert_eq!(body["innerException"], serde_json::Value::Null);
        assert_eq!(body["eventId"], 3000);
    }

    #[test]
    fn a_busy_agent_is_named_as_the_real_service_names_it() {
        let refusal = Refusal::JobStillRunning { agent: "a-1".into(), pool: "keda".into() };
        assert_eq!(refusal.to_string(), "Agent \"a-1\" is running a job for pool \"keda\"");
        assert_eq!((refusal.status(), refusal.type_key()), (409, "TaskAgentJobStillRunningException"));
    }
}
