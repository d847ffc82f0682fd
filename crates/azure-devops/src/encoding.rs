//! Answers as JSON.
//!
//! Rows of job requests are kept as bytes and spliced: KEDA and every agent
//! read the same rows again and again, and they change only when a request does.

mod build;
mod builds;
mod objects;
mod pools;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::event::JobResult;
use serde::Serialize;
use uuid::Uuid;

use self::objects::{
    AgentAuthorization, AgentObject, AgentReference, JobData, JobRequestObject, Link, LinkedReference, Links,
    PendingUpdateObject, QueueReference, SessionObject, TokenObject,
};
use crate::Service;
use crate::agents::Agent;
use crate::builds::{Build, DEFAULT_STAGE, KnownDefinition};
use crate::call::{Answer, Include, JobRequestList};
use crate::demands::Demands;
use crate::ids::{AgentId, BuildId, RequestId};
use crate::job_requests::{JobRequest, ShownAgent};
use crate::messages::{Message, MessageContent};
use crate::pools::{Matches, PropertyFilter};
use crate::wire::{
    self, CancelMessage, Endpoint, JobMessage, MessageEnvelope, Named, RefreshMessage, Variable,
};

/// Azure DevOps' own service, which owns every job request (seen in public payloads).
const SERVICE_OWNER: &str = "00025394-6065-48ca-87d9-7f5672854ef7";
/// How long an agent may take to update itself (ChristopherHX/runner.server, AgentRefreshMessage.cs: an agent that gets
/// none takes five minutes).
const UPDATE_TIMEOUT: model::Millis = model::Millis::minutes(5);
/// From version 8 on a plan's jobs end by an event; the real service is at 9 or later.
pub(crate) const PLAN_VERSION: u32 = 9;

impl Service {
    /// Writes an answer's JSON to the end of `out`. Answers without a body write nothing.
    ///
    /// # Panics
    /// If the answer is not one that this service just gave: ids stand for what is in it.
    pub fn encode(&self, answer: &Answer, out: &mut Vec<u8>) {
        match answer {
            Answer::Done | Answer::NoMessage => {}
            Answer::Token(issued) => write(
                out,
                &TokenObject {
                    access_token: issued.token.expose(),
                    token_type: "JWT",
                    expires_in: issued.expires_in,
                },
            ),
            Answer::Plan(plan, answer) => self.write_plan_answer(*plan, answer, out),
            Answer::Empty => out.extend_from_slice(b"{}"),
            Answer::Pools(ids) => {
                write_list(out, ids, |id, out| self.write_pool(*id, &PropertyFilter::default(), out));
            }
            Answer::Pool(id) => self.write_pool(*id, &PropertyFilter::default(), out),
            Answer::OfPools(answer) => self.write_pool_answer(answer, out),
            Answer::Continued(page, _) => self.encode(page, out),
            Answer::Agents(ids, include) => {
                write_list(out, ids, |id, out| self.write_agent(*id, *include, out));
            }
            Answer::Agent(id, include) => self.write_agent(*id, *include, out),
            Answer::Session(id) => self.write_session(*id, out),
            Answer::Message(message) => self.write_message(*message, out),
            Answer::JobRequests(list) => self.write_job_requests(list, out),
            Answer::JobRequest(id) => self.write_job_request(*id, out),
            Answer::Definitions(ids) => write_list(out, ids, |id, out| self.write_definition(*id, out)),
            Answer::Definition(id) => self.write_definition(*id, out),
            Answer::Builds(ids) => write_list(out, ids, |id, out| self.write_build(*id, out)),
            Answer::Build(id) => self.write_build(*id, out),
            Answer::OfBuilds(answer) => self.write_build_answer(answer, out),
        }
    }

    fn agent_object<'a>(&self, agent: &'a ShownAgent) -> AgentReference<'a> {
        AgentReference {
            links: Links {
                this: Link { href: self.agent_url(agent) },
                web: Link {
                    href: format!(
                        "{}/_settings/agentpools?view=jobs&poolId={}&agentId={}",
                        self.settings.url, agent.pool, agent.id
                    ),
                },
            },
            id: agent.id.0,
            name: &agent.name,
            version: &agent.version,
            os_description: (!agent.os_description.is_empty()).then_some(&*agent.os_description),
            enabled: agent.enabled,
            status: if agent.online { "online" } else { "offline" },
            provisioning_state: "Provisioned",
            access_point: Some("CodexAccessMapping"),
        }
    }

    fn agent_url(&self, agent: &ShownAgent) -> String {
        format!("{}/_apis/distributedtask/pools/{}/agents/{}", self.settings.url, agent.pool, agent.id)
    }

    /// An agent as it stands in `matchedAgents`, where less is told of it than elsewhere (seen in
    /// public payloads).
    pub(crate) fn agent_reference<'a>(&self, agent: &'a Agent) -> &'a [u8] {
        agent.reference.get_or_init(|| {
            let mut out = Vec::new();
            let shown = agent.shown();
            let object = self.agent_object(&shown);
            write(&mut out, &AgentReference { os_description: None, access_point: None, ..object });
            out
        })
    }

    fn write_agent(&self, id: AgentId, include: Include, out: &mut Vec<u8>) {
        let Some(agent) = self.agents.get(&id) else { return };
        let capabilities =
            include.capabilities.then(|| (agent.capabilities.system.all(), &agent.user_capabilities));
        let shown = agent.shown();
        write(
            out,
            &AgentObject {
                reference: self.agent_object(&shown),
                max_parallelism: agent.max_parallelism,
                authorization: self.agent_authorization(agent),
                pending_update: agent.pending_update.as_deref().map(|update| PendingUpdateObject {
                    request_time: self.date(update.requested),
                    source_version: update.source.map(Into::into),
                    target_version: update.target.into(),
                    current_state: update.state.as_deref(),
                }),
                created_on: self.date(agent.created),
                status_changed_on: self.date(agent.status_changed),
                user_capabilities: capabilities
                    .as_ref()
                    .map(|(_, user)| *user)
                    .filter(|user| !user.is_empty()),
                system_capabilities: capabilities.map(|(system, _)| system),
            },
        );
        let requests = [
            ("assignedRequest", agent.request.filter(|_| include.assigned_request)),
            ("lastCompletedRequest", agent.last_completed.filter(|_| include.last_completed_request)),
        ];
        for (member, request) in requests {
            let Some(job) = request.and_then(|id| self.requests.get(&id)) else { continue };
            out.pop();
            out.extend_from_slice(format!(",\"{member}\":").as_bytes());
            out.extend_from_slice(self.row(job));
            out.extend_from_slice(b"}}");
        }
    }

    /// No `encryptionKey`: the agent then takes message bodies as plain text.
    fn write_session(&self, id: Uuid, out: &mut Vec<u8>) {
        let Some(session) = self.sessions.get(&id.as_u128()) else { return };
        let Some(agent) = self.agents.get(&session.agent) else { return };
        write(
            out,
            &SessionObject {
                session_id: session.id,
                owner_name: &session.owner,
                agent: self.agent_object(&agent.shown()),
            },
        );
    }

    /// Told only to agents that registered with a key.
    fn agent_authorization<'a>(&self, agent: &'a Agent) -> Option<AgentAuthorization<'a>> {
        let public_key = agent.key.as_deref().filter(|_| self.settings.switches.agent_authorization)?;
        Some(AgentAuthorization {
            client_id: self.client_of_agent(agent.id),
            authorization_url: self.authorization_url(),
            public_key,
        })
    }

    fn write_message(&self, message: Message, out: &mut Vec<u8>) {
        let write_envelope = |kind: &str, body: String, out: &mut Vec<u8>| {
            let (message_id, message_type) = (message.id.0, kind.to_owned());
            write(out, &MessageEnvelope { message_id, message_type, iv: None, body });
        };
        let request = message.content.request();
        let job = request.and_then(|request| self.requests.get(&request));
        match (message.content, job) {
            (MessageContent::Job { .. }, Some(job)) => {
                write_envelope(wire::JOB_MESSAGE, text(&self.job_message(job)), out);
            }
            (MessageContent::Cancel { .. }, Some(job)) => {
                let timeout = time_span(job.cancel_timeout);
                write_envelope(
                    wire::CANCEL_MESSAGE,
                    text(&CancelMessage { job_id: job.job_id, timeout }),
                    out,
                );
            }
            (MessageContent::Refresh { agent, target }, _) => {
                let body = RefreshMessage {
                    agent_id: agent.0,
                    timeout: time_span(UPDATE_TIMEOUT),
                    target_version: target.to_string(),
                };
                write_envelope(wire::REFRESH_MESSAGE, text(&body), out);
            }
            (MessageContent::Sent { session, .. }, _) => {
                let text = self.sent_text(session, message.id);
                let (kind, body) = text.map(|text| (&*text.kind, text.body.clone())).unwrap_or_default();
                write_envelope(kind, body, out);
            }
            (MessageContent::Job { .. } | MessageContent::Cancel { .. }, None) => {}
        }
    }

    /// What the real agent needs (its L1 tests and JobRunner.cs), without steps and without a checkout.
    fn job_message(&self, job: &JobRequest) -> JobMessage {
        let build = self.builds.get(job.build);
        let definition = build.and_then(|build| self.definitions.get(build.definition));
        let direct = self.direct.get(job.id);
        let scope = direct.and_then(|direct| direct.scope);
        let project = definition.map(|definition| definition.project_id).or(scope).unwrap_or_default();
        let named = |id: u64, name: &str| Named { links: BTreeMap::new(), id, name: name.to_owned() };
        let told =
            |told: Option<&(u64, String)>| told.map_or_else(|| named(0, ""), |(id, name)| named(*id, name));
        let token = job.secret().map(|token| token.expose().to_owned()).unwrap_or_default();
        JobMessage {
            message_type: wire::JOB_MESSAGE.to_owned(),
            plan: wire::Plan {
                scope_identifier: project,
                plan_type: PLAN_TYPE.to_owned(),
                version: PLAN_VERSION,
                plan_id: job.plan,
                plan_group: format!("Build:{project}:{}", job.build),
                artifact_uri: build_uri(job.build),
                definition: match definition {
                    Some(known) => named(known.id.0, &known.name),
                    None => told(direct.and_then(|direct| direct.definition.as_ref())),
                },
                owner: match build {
                    Some(build) => named(build.id.0, &self.build_number(build)),
                    None => told(direct.and_then(|direct| direct.owner.as_ref())),
                },
            },
            timeline: wire::Timeline { id: job.plan, change_id: 1, location: None },
            job_id: job.job_id,
            job_name: job.name.to_string(),
            job_display_name: job.name.to_string(),
            job_container: None,
            request_id: job.id.0,
            locked_until: wire::never(),
            workspace: BTreeMap::new(),
            variables: self.job_variables(job, build, definition),
            resources: wire::Resources {
                endpoints: vec![Endpoint {
                    name: wire::SYSTEM_CONNECTION.to_owned(),
                    url: format!("{}/", self.settings.url),
                    is_shared: false,
                    is_ready: true,
                    data: BTreeMap::from([
                        ("ServerId".to_owned(), self.instance_id().to_string()),
                        ("ServerName".to_owned(), self.settings.name.clone()),
                    ]),
                    authorization: wire::Authorization {
                        scheme: "OAuth".to_owned(),
                        parameters: BTreeMap::from([("AccessToken".to_owned(), token)]),
                    },
                }],
                repositories: Vec::new(),
            },
            steps: Vec::new(),
            mask: Vec::new(),
        }
    }

    fn job_variables(
        &self,
        job: &JobRequest,
        build: Option<&Build>,
        definition: Option<&KnownDefinition>,
    ) -> BTreeMap<String, Variable> {
        let url = format!("{}/", self.settings.url);
        let project = definition.map(|definition| definition.project.clone()).unwrap_or_default();
        let project_id = definition.map(|definition| definition.project_id.to_string()).unwrap_or_default();
        let variables = [
            ("system", "build".to_owned()),
            ("system.hosttype", "build".to_owned()),
            // The agent then goes by the address that it was configured with.
            ("system.servertype", "OnPremises".to_owned()),
            ("system.culture", "en-US".to_owned()),
            ("system.collectionId", self.instance_id().to_string()),
            ("system.collectionUri", url.clone()),
            ("system.teamFoundationCollectionUri", url.clone()),
            ("system.taskDefinitionsUri", url),
            ("system.teamProject", project),
            ("system.teamProjectId", project_id),
            ("system.definitionId", build.map(|build| build.definition.to_string()).unwrap_or_default()),
            ("system.planId", job.plan.to_string()),
            ("system.timelineId", job.plan.to_string()),
            ("system.jobId", job.job_id.to_string()),
            ("system.jobName", job.name.to_string()),
            ("system.jobDisplayName", job.name.to_string()),
            ("system.stageName", "__default".to_owned()),
            ("system.phaseName", job.name.to_string()),
            ("build.buildId", job.build.to_string()),
            ("build.buildNumber", build.map(|build| self.build_number(build)).unwrap_or_default()),
            ("build.containerId", job.build.to_string()),
            // Otherwise the agent asks for a repository.
            ("build.syncSources", "false".to_owned()),
            (wire::DURATION_VARIABLE, job.duration.0.to_string()),
        ];
        let variable = |(name, value): (&str, String)| {
            // What the service itself says cannot be changed by steps.
            let is_read_only = name.starts_with("system");
            (name.to_owned(), Variable { value, is_read_only })
        };
        variables.into_iter().map(variable).collect()
    }

    fn write_job_requests(&self, list: &JobRequestList, out: &mut Vec<u8>) {
        out.reserve(list.rows.len() * ROW_CAPACITY);
        let mut last: Option<(&Demands, Arc<Matches>)> = None;
        write_list(out, &list.rows, |id, out| {
            let Some(job) = self.requests.get(id) else { return };
            out.extend_from_slice(self.row(job));
            if list.matched_agents && self.shows_matches(job) {
                let matches = match last.take() {
                    Some((demands, matches)) if demands.is_same(&job.demands) => matches,
                    _ => self.matches_of(job.pool, &job.demands),
                };
                out.extend_from_slice(&matches.member);
                last = Some((&job.demands, matches));
            }
            out.push(b'}');
        });
    }

    fn write_job_request(&self, id: RequestId, out: &mut Vec<u8>) {
        let Some(job) = self.requests.get(&id) else { return };
        out.extend_from_slice(self.row(job));
        if self.shows_matches(job) {
            out.extend_from_slice(&self.matches_of(job.pool, &job.demands).member);
        }
        out.push(b'}');
    }

    /// A job request's JSON without `matchedAgents` and the closing brace.
    pub(crate) fn row<'a>(&self, job: &'a JobRequest) -> &'a [u8] {
        job.row.get_or_init(|| self.job_row(job))
    }

    fn job_row(&self, job: &JobRequest) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROW_CAPACITY);
        let build = self.builds.get(job.build);
        let definition = build.and_then(|build| self.definitions.get(build.definition));
        let direct = self.direct.get(job.id);
        let scope = direct.and_then(|direct| direct.scope);
        let project = definition.map(|definition| definition.project_id).or(scope).unwrap_or_default();
        let told = |told: &(u64, String), resource: &str| self.told_reference(project, told, resource);
        let reserved = job.reserved();
        let (finish_time, result) = match job.state {
            crate::job_requests::State::Finished { at, result, .. } => (Some(self.date(at)), Some(result)),
            _ => (None, None),
        };
        let received = reserved.and_then(|reserved| reserved.received);
        let shown = match (&job.shown_agent, reserved) {
            (Some(shown), _) => Some((**shown).clone()),
            (None, reserved) => {
                reserved.and_then(|reserved| self.agents.get(&reserved.agent)).map(Agent::shown)
            }
        };
        write(
            &mut out,
            &JobRequestObject {
                request_id: job.id.0,
                queue_time: self.date(job.queued),
                assign_time: reserved.map(|reserved| self.date(reserved.assigned)),
                receive_time: reserved.and_then(|reserved| Some(self.date(reserved.receive_time?))),
                locked_until: received.map(|(_, locked_until)| self.date(locked_until)),
                finish_time,
                result,
                service_owner: SERVICE_OWNER,
                host_id: self.instance_id(),
                scope_id: project,
                plan_type: direct.and_then(|direct| direct.plan_type.as_deref()).unwrap_or(PLAN_TYPE),
                plan_id: job.plan,
                job_id: job.job_id,
                demands: job.demands.texts().collect(),
                reserved_agent: shown.as_ref().map(|agent| self.agent_object(agent)),
                definition: match definition {
                    Some(known) => Some(self.definition_reference(known)),
                    None => direct.and_then(|it| Some(told(it.definition.as_ref()?, "Definitions"))),
                },
                owner: match build {
                    Some(build) => Some(self.owner_reference(build, definition)),
                    None => direct.and_then(|it| Some(told(it.owner.as_ref()?, "Builds"))),
                },
                data: JobData { parallelism_tag: job.tag.as_str(), is_scheduled_key: "False" },
                pool_id: job.pool.0,
                orchestration_id: direct
                    .and_then(|direct| direct.orchestration.clone())
                    .unwrap_or_else(|| self.orchestration_id(job, build)),
                priority: job.priority,
            },
        );
        out.pop();
        out
    }

    /// What the orchestration calls a job: its plan, its stage unless the pipeline names none, its phase,
    /// and which of the phase's jobs it is.
    fn orchestration_id(&self, job: &JobRequest, build: Option<&Build>) -> String {
        let phase = build.and_then(|build| Some((build, build.what.phases.get(job.phase)?)));
        let Some((build, phase)) = phase else { return format!("{}.__default", job.plan) };
        let leg = builds::leg(job, phase.jobs.len());
        let phase_name = phase.name.to_lowercase().replace(' ', "_");
        let stage = &*build.what.stages[build.what.outline.phases[job.phase].stage];
        if stage == DEFAULT_STAGE {
            format!("{}.{phase_name}.{leg}", job.plan)
        } else {
            format!("{}.{}.{phase_name}.{leg}", job.plan, stage.to_lowercase())
        }
    }

    /// A definition or an owner that somebody told of a request that he queued directly.
    fn told_reference(
        &self,
        project: Uuid,
        (id, name): &(u64, String),
        resource: &str,
    ) -> LinkedReference<'static> {
        let href = format!("{}/{project}/_apis/build/{resource}/{id}", self.settings.url);
        LinkedReference {
            links: Links { web: Link { href: href.clone() }, this: Link { href } },
            id: *id,
            name: name.clone().into(),
        }
    }

    fn definition_reference<'a>(&self, definition: &'a KnownDefinition) -> LinkedReference<'a> {
        let project = definition.project_id;
        let (url, id) = (&self.settings.url, definition.id);
        LinkedReference {
            links: Links {
                web: Link { href: format!("{url}/{project}/_build/definition?definitionId={id}") },
                this: Link { href: format!("{url}/{project}/_apis/build/Definitions/{id}") },
            },
            id: id.0,
            name: (&*definition.name).into(),
        }
    }

    fn owner_reference(
        &self,
        build: &Build,
        definition: Option<&KnownDefinition>,
    ) -> LinkedReference<'static> {
        let project = definition.map(|definition| definition.project_id).unwrap_or_default();
        let (url, id) = (&self.settings.url, build.id);
        LinkedReference {
            links: Links {
                web: Link { href: format!("{url}/{project}/_build/results?buildId={id}") },
                this: Link { href: format!("{url}/{project}/_apis/build/Builds/{id}") },
            },
            id: id.0,
            name: self.build_number(build).into(),
        }
    }

    fn queue_reference<'a>(&'a self, definition: &KnownDefinition) -> Option<QueueReference<'a>> {
        let pool = self.pools.get(&definition.pool)?;
        // A project whose pool it is not has no queue to it: then the pool stands for one.
        let (id, name) = match self.queue_of(definition.project_id, definition.pool) {
            Some(queue) => (queue.id.0, &*queue.name),
            None => (pool.id.0, &*pool.name),
        };
        Some(QueueReference { id, name, pool: self.pool_reference(pool) })
    }
}

pub(crate) const PLAN_TYPE: &str = "Build";
/// A row with one demand and a reserved agent has about this many bytes.
const ROW_CAPACITY: usize = 1_600;

pub(crate) fn build_uri(build: BuildId) -> String {
    format!("vstfs:///Build/Build/{build}")
}

/// How the wire names a build's result.
pub(crate) fn build_result(result: JobResult) -> &'static str {
    match result {
        JobResult::Succeeded | JobResult::Skipped => "succeeded",
        JobResult::SucceededWithIssues => "partiallySucceeded",
        JobResult::Canceled => "canceled",
        JobResult::Failed | JobResult::Abandoned => "failed",
    }
}

/// A span as .NET writes it: `00:05:00`.
fn time_span(span: model::Millis) -> String {
    let seconds = span.0 / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub(crate) fn write(out: &mut Vec<u8>, object: &impl Serialize) {
    serde_json::to_writer(out, object).expect("texts, numbers and lists of them are JSON");
}

fn text(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("texts, numbers and lists of them are JSON")
}

/// Writes `{"count":N,"value":[...]}`.
pub(crate) fn write_list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>)) {
    out.extend_from_slice(format!("{{\"count\":{},\"value\":[", items.len()).as_bytes());
    for (position, one) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        item(one, out);
    }
    out.extend_from_slice(b"]}");
}
