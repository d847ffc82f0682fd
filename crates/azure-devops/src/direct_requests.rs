//! Job requests that somebody queues directly, without a build, and messages that somebody sends to the agent of one.
//!
//! The calls are those of azure-devops-node-api 17.0.1 (TaskAgentApiBase, `queueAgentRequestByPool`,
//! `queueAgentRequest`, `sendMessage`). In the real service an orchestration makes them: it queues a request, waits until
//! an agent is reserved, and sends the job's message itself. Here nobody orchestrates, so the agent is sent a
//! job as from a build; `sendMessage` sends it something beside that.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use model::{Fact, Millis};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::builds::{BuildPriority, DEFAULT_DURATION, JOB_TIMEOUT};
use crate::call::Answer;
use crate::demands::{Demand, Demands};
use crate::ids::{BuildId, PoolId, QueueId, RequestId};
use crate::job_requests::{JobRequest, State};
use crate::limits::{
    MAX_DIRECT_BYTES, MAX_NAME, MAX_REQUEST_BYTES, MAX_SENT_BYTES, MAX_SENT_MESSAGES, MAX_SENT_TEXT,
    MAX_UNFINISHED_REQUESTS,
};
use crate::messages::{MessageContent, SentText};
use crate::parallel::ParallelismTag;
use crate::{Refusal, Service};

/// The build of job requests that have none.
const NO_BUILD: BuildId = BuildId(0);
/// What the job of a request is called that does not say.
const UNNAMED_JOB: &str = "Job";

/// A job request that is to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestDraft {
    /// What it demands of an agent. The service adds nothing.
    pub demands: Vec<Demand>,
    /// What its job is called.
    pub name: Option<String>,
    /// Its plan; a new one if it does not say.
    pub plan: Option<Uuid>,
    /// The id of its job; a new one if it does not say.
    pub job: Option<Uuid>,
    /// The project that it is for.
    pub scope: Option<Uuid>,
    /// What kind of plan it is of.
    pub plan_type: Option<String>,
    /// What the orchestration calls it.
    pub orchestration: Option<String>,
    /// What is told as its definition: id and name.
    pub definition: Option<(u64, String)>,
    /// What is told as its owner: id and name.
    pub owner: Option<(u64, String)>,
    /// How long the emulated agent works on it; [`DEFAULT_DURATION`] if it does not say.
    pub duration: Option<Millis>,
}

impl RequestDraft {
    fn size(&self) -> usize {
        let texts = [&self.name, &self.plan_type, &self.orchestration].into_iter().flatten();
        let named = [&self.definition, &self.owner].into_iter().flatten().map(|(_, name)| name);
        texts.chain(named).map(String::len).sum()
    }
}

/// What was told of requests that somebody queued directly.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Directs {
    by_id: BTreeMap<RequestId, RequestDraft>,
    bytes: usize,
}

impl Directs {
    pub(crate) fn get(&self, id: RequestId) -> Option<&RequestDraft> {
        self.by_id.get(&id)
    }

    fn insert(&mut self, id: RequestId, draft: RequestDraft) {
        self.bytes += draft.size();
        self.by_id.insert(id, draft);
    }

    pub(crate) fn forget(&mut self, id: RequestId) {
        if let Some(draft) = self.by_id.remove(&id) {
            self.bytes -= draft.size();
        }
    }
}

impl Service {
    /// `POST queues/{id}/agentrequests`: queues a request in the pool of a queue, for the queue's project.
    pub(crate) fn queue_request_to(
        &mut self,
        project: &str,
        queue: QueueId,
        draft: RequestDraft,
    ) -> Result<Answer, Refusal> {
        let queue = self.queue_in(project, queue)?;
        let (pool, scope) = (queue.pool, Some(queue.project));
        self.queue_request(pool, RequestDraft { scope, ..draft })
    }

    /// `POST jobrequests`.
    pub(crate) fn queue_request(&mut self, pool: PoolId, draft: RequestDraft) -> Result<Answer, Refusal> {
        self.check_request(pool, &draft)?;
        let demands = Demands::new(draft.demands.clone());
        let is_public = draft.scope.and_then(|scope| self.projects.get(scope)).is_some_and(|one| one.public);
        let id = RequestId(self.numbers.request);
        self.numbers.request += 1;
        let name = draft.name.clone().unwrap_or_else(|| UNNAMED_JOB.to_owned());
        self.tell(|| Fact::JobRequestQueued {
            request: id.0,
            build: NO_BUILD.0,
            job: name.clone(),
            pool: pool.0,
            demands: demands.texts().map(str::to_owned).collect(),
        });
        let queued = JobRequest {
            id,
            pool,
            build: NO_BUILD,
            plan: draft.plan.unwrap_or_else(|| self.guid()),
            job_id: draft.job.unwrap_or_else(|| self.guid()),
            phase: 0,
            name: name.into(),
            demands,
            duration: draft.duration.unwrap_or(DEFAULT_DURATION),
            timeout: Some(JOB_TIMEOUT),
            cancel_timeout: self.settings.cancel_timeout,
            timed_out: false,
            priority: 0,
            rank: BuildPriority::default(),
            tag: if is_public { ParallelismTag::Public } else { ParallelismTag::Private },
            queued: self.now,
            token: None,
            state: State::Queued,
            row: OnceCell::new(),
            shown_agent: None,
        };
        self.direct.insert(id, draft);
        self.requests.insert(id, queued);
        if let Some(pool) = self.pools.get_mut(&pool) {
            pool.unfinished.insert(id);
        }
        self.put_in_queue(id);
        Ok(Answer::JobRequest(id))
    }

    fn check_request(&self, pool: PoolId, draft: &RequestDraft) -> Result<(), Refusal> {
        let pool = self.pool(pool)?;
        if draft.size() > MAX_REQUEST_BYTES {
            let message = format!("The texts of a job request have at most {MAX_REQUEST_BYTES} bytes.");
            return Err(Refusal::Invalid(message));
        }
        if self.direct.bytes + draft.size() > MAX_DIRECT_BYTES {
            return Err(Refusal::Full { what: "bytes of job requests", limit: MAX_DIRECT_BYTES });
        }
        if self.unfinished() + self.jobs_to_come() >= MAX_UNFINISHED_REQUESTS {
            return Err(Refusal::Full { what: "unfinished job requests", limit: MAX_UNFINISHED_REQUESTS });
        }
        if let Some(job) = draft.job.filter(|job| self.requests.values().any(|other| other.job_id == *job)) {
            return Err(Refusal::Invalid(format!("There is a request of the job {job} already.")));
        }
        let demands = Demands::new(draft.demands.clone());
        if self.matching_agents(pool, &demands).next().is_none() {
            let demands = demands.texts().collect::<Vec<_>>().join(", ");
            return Err(Refusal::NoAgentSatisfies { pool: pool.name.clone(), demands });
        }
        Ok(())
    }

    /// `POST messages?requestId=`: sends a message to the agent that has a request.
    pub(crate) fn send_message(
        &mut self,
        pool: PoolId,
        request: RequestId,
        text: SentText,
    ) -> Result<Answer, Refusal> {
        let job = self.job(pool, request)?;
        let agent = job.reserved().filter(|_| job.result().is_none()).map(|reserved| reserved.agent);
        let session = agent.and_then(|agent| self.agents.get(&agent)?.session);
        let session = session.ok_or_else(|| {
            Refusal::Invalid(format!("The job request {request} has no agent that listens."))
        })?;
        if text.kind.is_empty() || text.kind.len() > MAX_NAME || text.body.len() > MAX_SENT_TEXT {
            let message = format!(
                "A message has a type of 1 to {MAX_NAME} bytes, and a body of at most {MAX_SENT_TEXT}."
            );
            return Err(Refusal::Invalid(message));
        }
        let sent = |session: &crate::sessions::Session| {
            session
                .messages
                .values()
                .filter_map(|stored| stored.text.as_ref())
                .map(|text| text.body.len())
                .collect::<Vec<_>>()
        };
        let own = self.sessions.get(&session.as_u128()).map_or(0, |session| sent(session).len());
        if own >= MAX_SENT_MESSAGES {
            return Err(Refusal::Full { what: "messages of a session", limit: MAX_SENT_MESSAGES });
        }
        let all: usize = self.sessions.values().flat_map(sent).sum();
        if all + text.body.len() > MAX_SENT_BYTES {
            return Err(Refusal::Full { what: "bytes of messages", limit: MAX_SENT_BYTES });
        }
        let message = self.next_message();
        self.send(session, message, MessageContent::Sent { request, session });
        if let Some(session) = self.sessions.get_mut(&session.as_u128())
            && let Some(stored) = session.messages.get_mut(&message)
        {
            stored.text = Some(Box::new(text));
        }
        Ok(Answer::Done)
    }

    /// What somebody sent, unless it was deleted since.
    pub(crate) fn sent_text(&self, session: Uuid, message: crate::ids::MessageId) -> Option<&SentText> {
        self.sessions.get(&session.as_u128())?.messages.get(&message)?.text.as_deref()
    }
}
