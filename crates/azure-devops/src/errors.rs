//! Why the service refuses a call, and the error body that says so.
//!
//! Clients key on `typeKey`: the agent maps it to an exception, and takes an
//! unknown one for a passing trouble that it retries for ever. Where a status
//! code is not documented, the one that clients and reimplementations are known
//! to accept is used (ChristopherHX/runner.server for the agent's calls).

use serde::Serialize;

use crate::ids::{AgentId, BuildId, DefinitionId, MessageId, PoolId, QueueId, RequestId};

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
    /// Nobody asked the agent to update.
    #[error("There is no pending update for agent {0}.")]
    NoPendingUpdate(AgentId),
    /// An agent's assertion is not good for a token; why.
    #[error("{0}")]
    InvalidClient(String),
    /// The token is another plan's.
    #[error("Access denied. The token does not open orchestration plan {0}.")]
    PlanSecurity(uuid::Uuid),
    /// The plan has no such timeline.
    #[error("No timeline found with identifier {0}.")]
    TimelineNotFound(uuid::Uuid),
    /// The plan has that timeline already.
    #[error("A timeline with identifier {0} already exists.")]
    TimelineExists(uuid::Uuid),
    /// The plan has no such log.
    #[error("No log found with identifier {0}.")]
    LogNotFound(u64),
    /// No task with that id is kept here.
    #[error("No task definition found with identifier {0}.")]
    TaskDefinitionNotFound(String),
    /// No such build.
    #[error("The requested build {0} could not be found.")]
    BuildNotFound(BuildId),
    /// No build of the definition is completed, or none of the branch.
    #[error("No completed builds were found for pipeline {0}.")]
    NoBuildOf(DefinitionId),
    /// No such definition.
    #[error("Definition {0} could not be found.")]
    DefinitionNotFound(DefinitionId),
    /// No such definition.
    #[error("Definition {0} could not be found.")]
    DefinitionNameNotFound(String),
    /// The project has a definition of that name (seen in public reports).
    #[error("Build pipeline {name} already exists for project {project}")]
    DefinitionExists {
        /// The definition's name.
        name: String,
        /// The project's name.
        project: String,
    },
    /// Somebody switched the definition off.
    #[error("The build pipeline {0} is disabled: no builds of it can be queued.")]
    DefinitionDisabled(String),
    /// No agent of the pool, in whatever state, could ever run one of the jobs.
    #[error("No agent found in pool {pool} which satisfies the specified demands: {demands}")]
    NoAgentSatisfies {
        /// The pool's name.
        pool: String,
        /// The demands, comma-separated.
        demands: String,
    },
    /// No such project.
    #[error(
        "TF200016: The following project does not exist: {0}. Verify that the name of the project is correct and \
         that the project exists on the specified Azure DevOps Server."
    )]
    ProjectNotFound(String),
    /// The name is taken.
    #[error(
        "TF200019: The following project already exists on the Azure DevOps Server: {0}. You cannot create a new \
         project with the same name as an existing project. Provide a different name."
    )]
    ProjectExists(String),
    /// No such queue.
    #[error("No agent queue found with identifier {0}.")]
    QueueNotFound(QueueId),
    /// The project has a queue of that name.
    #[error("An agent queue with name {0} already exists.")]
    QueueExists(String),
    /// The pool cannot go while something is in it or leads to it.
    #[error("The agent pool {pool} cannot be deleted because it is in use by {by}.")]
    PoolInUse {
        /// The pool's name.
        pool: String,
        /// What uses it.
        by: &'static str,
    },
    /// The list has no such row any more.
    #[error("The continuation token {0} is not valid.")]
    BadContinuation(u64),
    /// No server of today knows this version.
    #[error(
        "The requested REST API version of {asked} is out of range for this server. The latest REST API version \
         this server supports is {latest}."
    )]
    VersionOutOfRange {
        /// As it was asked for.
        asked: String,
        /// The latest one.
        latest: &'static str,
    },
    /// The resource is a preview in this version, and the caller does not say that it knows.
    #[error(
        "The requested version \"{0}\" of the resource is under preview. The -preview flag must be supplied in the \
         api-version for such requests. For example: \"{0}-preview\""
    )]
    VersionInPreview(String),
    /// A write has to name a version.
    #[error(
        "No api-version was supplied for the \"{0}\" request. The version must be supplied either as part of the \
         Accept header (e.g. \"application/json; api-version=1.0\") or as a query parameter (e.g. \
         \"?api-version=1.0\")."
    )]
    VersionNotSpecified(String),
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
    /// The call may have been done or not: what happens here cannot be written down at the moment.
    #[error("Poolproof cannot keep its state: the disk is full or fails.")]
    NotKept,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidClient(_)
            | Self::Invalid(_)
            | Self::NoAgentSatisfies { .. }
            | Self::DefinitionDisabled(_)
            | Self::BadContinuation(_)
            | Self::VersionOutOfRange { .. }
            | Self::VersionInPreview(_)
            | Self::VersionNotSpecified(_) => 400,
            Self::Unauthorized => 401,
            // runner.server answers 403 for a dead session; 404 is also seen.
            Self::AccessDenied | Self::SessionExpired(_) | Self::PlanSecurity(_) => 403,
            Self::PoolNotFound(_)
            | Self::PoolNameNotFound(_)
            | Self::AgentNotFound(_)
            | Self::MessageNotFound(_)
            | Self::JobNotFound(_)
            | Self::PlanNotFound(_)
            | Self::TimelineNotFound(_)
            | Self::NoPendingUpdate(_)
            | Self::LogNotFound(_)
            | Self::TaskDefinitionNotFound(_)
            | Self::BuildNotFound(_)
            | Self::NoBuildOf(_)
            | Self::DefinitionNotFound(_)
            | Self::DefinitionNameNotFound(_)
            | Self::ProjectNotFound(_)
            | Self::QueueNotFound(_)
            | Self::NothingHere(_) => 404,
            Self::TooSlow => 408,
            Self::PoolExists(_)
            | Self::PoolInUse { .. }
            | Self::QueueExists(_)
            | Self::DefinitionExists { .. }
            | Self::ProjectExists(_)
            | Self::AgentExists { .. }
            | Self::JobStillRunning { .. }
            | Self::SessionConflict { .. }
            | Self::TimelineExists(_)
            | Self::JobTokenExpired(_) => 409,
            Self::TooLarge(_) => 413,
            Self::NotModelled { .. } => 501,
            Self::NotKept => 503,
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
            Self::NoPendingUpdate(_) => "TaskAgentPendingUpdateNotFoundException",
            Self::InvalidClient(_) => "invalid_client",
            Self::PlanSecurity(_) => "TaskOrchestrationPlanSecurityException",
            Self::TimelineNotFound(_) => "TimelineNotFoundException",
            Self::TimelineExists(_) => "TimelineExistsException",
            Self::LogNotFound(_) => "TaskOrchestrationPlanLogNotFoundException",
            Self::TaskDefinitionNotFound(_) => "TaskDefinitionNotFoundException",
            Self::BuildNotFound(_) | Self::NoBuildOf(_) => "BuildNotFoundException",
            Self::DefinitionNotFound(_) | Self::DefinitionNameNotFound(_) => "DefinitionNotFoundException",
            Self::DefinitionExists { .. } => "DefinitionExistsException",
            Self::DefinitionDisabled(_) => "DefinitionDisabledException",
            Self::NoAgentSatisfies { .. } => "BuildRequestValidationFailedException",
            Self::ProjectNotFound(_) => "ProjectDoesNotExistWithNameException",
            Self::ProjectExists(_) => "ProjectAlreadyExistsException",
            Self::QueueNotFound(_) => "TaskAgentQueueNotFoundException",
            Self::QueueExists(_) => "TaskAgentQueueExistsException",
            Self::PoolInUse { .. } => "InvalidOperationException",
            Self::BadContinuation(_) => "InvalidContinuationTokenException",
            Self::VersionOutOfRange { .. } => "VssVersionOutOfRangeException",
            Self::VersionInPreview(_) => "VssInvalidPreviewVersionException",
            Self::VersionNotSpecified(_) => "VssVersionNotSpecifiedException",
            Self::Invalid(_) => "InvalidRequestException",
            Self::Full { .. } => "RequestBlockedException",
            Self::NothingHere(_) => "VssResourceNotFoundException",
            Self::NotModelled { .. } => "NotImplementedException",
            Self::TooLarge(_) => "RequestContentTooLargeException",
            Self::TooSlow => "RequestTimeoutException",
            Self::NotKept => "VssServiceResponseException",
        }
    }

    /// The JSON body.
    ///
    /// # Panics
    /// Never: the body holds texts and numbers only.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let key = self.type_key();
        if let Self::InvalidClient(description) = self {
            // The token end point speaks OAuth (RFC 6749, 5.2).
            let body = serde_json::json!({ "error": key, "error_description": description });
            return body.to_string().into_bytes();
        }
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
