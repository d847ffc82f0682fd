//! The routes of pools' metadata and permissions, of queues and of parallel jobs.

use azure_devops::{PoolId, QueueId, Refusal};

use crate::query::parse;

/// One of them. Projects are as they were written: a name, or an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PoolRoute {
    Metadata(PoolId),
    Permissions(PoolId, u32),
    Queues(String),
    Queue(String, QueueId),
    QueueRequests(String, QueueId),
    ResourceLimits,
    ResourceUsage,
    /// Control: how many jobs may run at once.
    ParallelJobs,
}

impl PoolRoute {
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Metadata(_) => "_apis/distributedtask/pools/{poolId}/poolmetadata",
            Self::Permissions(..) => "_apis/distributedtask/pools/{poolId}/permissions/{permissions}",
            Self::Queues(_) => "{project}/_apis/distributedtask/queues",
            Self::Queue(..) => "{project}/_apis/distributedtask/queues/{queueId}",
            Self::QueueRequests(..) => "{project}/_apis/distributedtask/queues/{queueId}/agentrequests",
            Self::ResourceLimits => "_apis/distributedtask/resourcelimits",
            Self::ResourceUsage => "_apis/distributedtask/resourceusage",
            Self::ParallelJobs => "_poolproof/parallel-jobs",
        }
    }
}

/// The route of a path in lower case, below `_apis`, of a project if there is one.
pub(super) fn find(project: Option<&str>, segments: &[&str]) -> Result<Option<PoolRoute>, Refusal> {
    let ["distributedtask", rest @ ..] = segments else { return Ok(None) };
    Ok(Some(match (project, rest) {
        (_, ["pools", pool, "poolmetadata"]) => PoolRoute::Metadata(parse("poolId", pool)?),
        (_, ["pools", pool, "permissions", permissions]) => {
            PoolRoute::Permissions(parse("poolId", pool)?, parse("permissions", permissions)?)
        }
        (_, ["resourcelimits"]) => PoolRoute::ResourceLimits,
        (_, ["resourceusage"]) => PoolRoute::ResourceUsage,
        (Some(project), ["queues"]) => PoolRoute::Queues(project.to_owned()),
        (Some(project), ["queues", queue]) => PoolRoute::Queue(project.to_owned(), parse("queueId", queue)?),
        (Some(project), ["queues", queue, "agentrequests"]) => {
            PoolRoute::QueueRequests(project.to_owned(), parse("queueId", queue)?)
        }
        _ => return Ok(None),
    }))
}
