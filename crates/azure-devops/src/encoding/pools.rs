//! Answers about pools, queues and parallel jobs as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::objects::{Link, PoolReference};
use super::{text, write, write_list};
use crate::Service;
use crate::call::Include;
use crate::ids::{AgentId, PoolId, QueueId, RequestId};
use crate::parallel::ParallelismTag;
use crate::pools::{Pool, PoolAnswer, PoolType, PropertyFilter};

/// The name of the one person that an organisation has: whoever owns its token.
const OWNER: &str = "poolproof";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolObject<'a> {
    created_on: String,
    auto_provision: bool,
    auto_update: bool,
    auto_size: bool,
    // These two are there, and null, in public payloads.
    target_size: Option<u32>,
    agent_cloud_id: Option<u32>,
    created_by: Identity,
    owner: Identity,
    properties: BTreeMap<&'a str, &'a Value>,
    #[serde(flatten)]
    reference: PoolReference<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    display_name: &'static str,
    url: String,
    #[serde(rename = "_links")]
    links: Avatar,
    id: Uuid,
    unique_name: &'static str,
    image_url: String,
    descriptor: &'static str,
}

#[derive(Serialize)]
struct Avatar {
    avatar: Link,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueObject<'a> {
    id: u64,
    project_id: Uuid,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<PoolReference<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLimit {
    host_id: Uuid,
    parallelism_tag: &'static str,
    is_hosted: bool,
    /// Left out if there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<u32>,
    is_premium: bool,
    failed_to_reach_all_providers: bool,
    resource_limits_data: BTreeMap<&'static str, String>,
}

impl Service {
    pub(super) fn write_pool_answer(&self, answer: &PoolAnswer, out: &mut Vec<u8>) {
        match answer {
            PoolAnswer::Pools(ids, properties) => {
                write_list(out, ids, |id, out| self.write_pool(*id, properties, out));
            }
            PoolAnswer::Metadata(id) => {
                let metadata = self.pools.get(id).and_then(|pool| pool.details.metadata.as_deref());
                write(out, &metadata.unwrap_or_default());
            }
            PoolAnswer::Yes(yes) => write(out, yes),
            PoolAnswer::Agents(ids, include, properties) => {
                write_list(out, ids, |id, out| self.write_agent_with(*id, *include, properties, out));
            }
            PoolAnswer::Agent(id, include, properties) => {
                self.write_agent_with(*id, *include, properties, out);
            }
            PoolAnswer::Queues(ids) => write_list(out, ids, |id, out| self.write_queue(*id, out)),
            PoolAnswer::Queue(id) => self.write_queue(*id, out),
            PoolAnswer::Status(id) => self.write_status(*id, out),
            PoolAnswer::ResourceLimits => {
                write_list(out, &ParallelismTag::ALL, |tag, out| {
                    write(out, &self.resource_limit(*tag, false));
                });
            }
            PoolAnswer::ResourceUsage { tag, hosted, running } => {
                self.write_usage(*tag, *hosted, *running, out);
            }
        }
    }

    /// A pool, with those of its properties that are wanted.
    pub(super) fn write_pool(&self, id: PoolId, properties: &PropertyFilter, out: &mut Vec<u8>) {
        let Some(pool) = self.pools.get(&id) else { return };
        let details = &pool.details;
        let properties = details.properties.iter().filter(|(name, _)| properties.is_told(name));
        write(
            out,
            &PoolObject {
                created_on: self.date(pool.created),
                auto_provision: details.auto_provision,
                auto_update: details.auto_update,
                auto_size: details.auto_size,
                target_size: details.target_size,
                agent_cloud_id: details.agent_cloud,
                created_by: self.owner(),
                owner: self.owner(),
                properties: properties.map(|(name, value)| (name.as_str(), value)).collect(),
                reference: self.pool_reference(pool),
            },
        );
    }

    pub(super) fn pool_reference<'a>(&self, pool: &'a Pool) -> PoolReference<'a> {
        PoolReference {
            id: pool.id.0,
            scope: self.instance_id(),
            name: &pool.name,
            is_hosted: false,
            pool_type: match pool.details.kind {
                PoolType::Automation => "automation",
                PoolType::Deployment => "deployment",
            },
            size: pool.agents.len(),
            is_legacy: false,
            options: "none",
        }
    }

    fn owner(&self) -> Identity {
        let (id, url) = (self.instance_id(), &self.settings.url);
        let image = format!("{url}/_apis/GraphProfile/MemberAvatars/aad.{OWNER}");
        Identity {
            display_name: OWNER,
            url: format!("{url}/_apis/Identities/{id}"),
            links: Avatar { avatar: Link { href: image.clone() } },
            id,
            unique_name: OWNER,
            image_url: image,
            descriptor: "aad.poolproof",
        }
    }

    fn write_agent_with(
        &self,
        id: AgentId,
        include: Include,
        properties: &PropertyFilter,
        out: &mut Vec<u8>,
    ) {
        let Some(agent) = self.agents.get(&id) else { return };
        self.write_agent(id, include, out);
        let told: BTreeMap<_, _> =
            agent.properties.iter().filter(|(name, _)| properties.is_told(name)).collect();
        if !told.is_empty() {
            out.pop();
            out.extend_from_slice(b",\"properties\":");
            write(out, &told);
            out.push(b'}');
        }
    }

    fn write_queue(&self, id: QueueId, out: &mut Vec<u8>) {
        let Ok(queue) = self.queue(None, id) else { return };
        let pool = self.pools.get(&queue.pool).map(|pool| self.pool_reference(pool));
        write(out, &QueueObject { id: queue.id.0, project_id: queue.project, name: &queue.name, pool });
    }

    /// A job request, and what it waits for.
    fn write_status(&self, id: RequestId, out: &mut Vec<u8>) {
        let Some(job) = self.requests.get(&id) else { return };
        self.write_job_request(id, out);
        if let Some(message) = self.waits_for(job) {
            out.pop();
            out.extend_from_slice(b",\"statusMessage\":");
            out.extend_from_slice(text(&message).as_bytes());
            out.push(b'}');
        }
    }

    /// On agents of one's own one job is free; what a limit has beyond it was bought. Microsoft's own
    /// agents have none here.
    fn resource_limit(&self, tag: ParallelismTag, hosted: bool) -> ResourceLimit {
        let limit = if hosted { Some(0) } else { self.parallel.limit(tag) };
        let data = limit.filter(|_| !hosted).map(|limit| {
            let free = limit.min(1);
            [("FreeCount", free.to_string()), ("PurchasedCount", (limit - free).to_string())]
        });
        ResourceLimit {
            host_id: self.instance_id(),
            parallelism_tag: tag.as_str(),
            is_hosted: hosted,
            total_count: limit,
            is_premium: false,
            failed_to_reach_all_providers: false,
            resource_limits_data: data.into_iter().flatten().collect(),
        }
    }

    fn write_usage(&self, tag: ParallelismTag, hosted: bool, running: bool, out: &mut Vec<u8>) {
        let limit = text(&self.resource_limit(tag, hosted));
        let used = if hosted { 0 } else { self.parallel.in_use(tag) };
        let head = format!("{{\"resourceLimit\":{limit},\"usedCount\":{used},\"usedMinutes\":0");
        out.extend_from_slice(head.as_bytes());
        if running {
            out.extend_from_slice(b",\"runningRequests\":[");
            let unfinished = self.pools.values().flat_map(|pool| &pool.unfinished);
            let jobs = unfinished.filter_map(|id| self.requests.get(id));
            let running = jobs.filter(|job| !hosted && job.tag == tag && job.reserved().is_some());
            for (place, job) in running.enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(self.row(job));
                out.push(b'}');
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}
