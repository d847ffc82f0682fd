//! An organisation under test: it keeps the time, the facts and the answers of held polls.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_devops::{
    AgentDraft, AgentId, Answer, BuildCall, BuildId, Call, Definition, DefinitionRef, Effects, Include,
    JobRequestList, JobRequestQuery, JobTemplate, Message, MessageContent, MessageId, PoolId, Refusal, Reply,
    RequestId, Secret, Service, SessionDraft, Settings, WaiterId,
};
use model::event::JobResult;
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Fact, Instant, Millis, MillisRange};
use serde_json::Value;
use uuid::Uuid;

pub(crate) const POOL: PoolId = PoolId(18);
pub(crate) const EVERYTHING: Include =
    Include { capabilities: true, assigned_request: true, last_completed_request: true };

pub(crate) struct Organization {
    pub(crate) service: Service,
    pub(crate) now: Instant,
    pub(crate) facts: Vec<Fact>,
    pub(crate) answered: BTreeMap<WaiterId, Result<Answer, Refusal>>,
}

/// A job that an agent got by message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) message: MessageId,
    pub(crate) request: RequestId,
    pub(crate) plan: Uuid,
}

pub(crate) fn settings() -> Settings {
    let organization = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::exactly(Millis::ZERO),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![scenario::Pool { name: "keda-pool".to_owned(), id: POOL.0, agents: vec![] }],
    };
    let epoch = Duration::from_secs(1_790_000_000);
    Settings::new("acme", "http://127.0.0.1:8080/acme", Secret::new("pat"), 7, epoch, &organization)
}

/// The pool of `settings` has a placeholder with these capabilities.
pub(crate) fn with_placeholder(mut settings: Settings, capabilities: &[(&str, &str)]) -> Settings {
    let capabilities = owned(capabilities);
    settings.pools[0].agents.push(Placeholder { name: "template".to_owned(), capabilities });
    settings
}

pub(crate) fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Organization {
    pub(crate) fn new(settings: Settings) -> Self {
        let service = Service::new(settings);
        let mut organization =
            Self { service, now: Instant::START, facts: Vec::new(), answered: BTreeMap::new() };
        organization.pass(Millis::ZERO);
        organization
    }

    /// An organisation whose pool has an offline placeholder, so that builds are accepted.
    pub(crate) fn with_template() -> Self {
        Self::new(with_placeholder(settings(), &[]))
    }

    fn note(&mut self, effects: Effects) {
        self.facts.extend(effects.facts);
        self.answered.extend(effects.answered);
    }

    pub(crate) fn reply(&mut self, call: Call) -> Reply {
        let (reply, effects) = self.service.handle(self.now, call);
        self.note(effects);
        reply
    }

    pub(crate) fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        match self.reply(call) {
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(refusal),
            Reply::Held(waiter) => panic!("held as {waiter}"),
        }
    }

    /// Lets time pass, stopping at every deadline on the way.
    pub(crate) fn pass(&mut self, span: Millis) {
        let until = self.now + span;
        while let Some(due) = self.service.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let effects = self.service.advance(self.now);
            self.note(effects);
        }
        self.now = until;
        let effects = self.service.advance(until);
        self.note(effects);
    }

    pub(crate) fn json(&mut self, answer: &Answer) -> Value {
        let mut bytes = Vec::new();
        self.service.encode(answer, &mut bytes);
        serde_json::from_slice(&bytes).expect("an answer is JSON")
    }

    pub(crate) fn read(&mut self, call: Call) -> Value {
        let answer = self.call(call).expect("an answer");
        self.json(&answer)
    }

    pub(crate) fn register(&mut self, name: &str) -> AgentId {
        self.register_with(name, &[])
    }

    pub(crate) fn register_with(&mut self, name: &str, capabilities: &[(&str, &str)]) -> AgentId {
        match self.call(Call::RegisterAgent { pool: POOL, draft: draft(name, capabilities) }) {
            Ok(Answer::Agent(id, _)) => id,
            other => panic!("not registered: {other:?}"),
        }
    }

    pub(crate) fn open(&mut self, agent: AgentId) -> Uuid {
        match self.try_open(agent) {
            Ok(Answer::Session(id)) => id,
            other => panic!("not opened: {other:?}"),
        }
    }

    pub(crate) fn try_open(&mut self, agent: AgentId) -> Result<Answer, Refusal> {
        let draft = SessionDraft { owner: "pod".into(), agent, ..SessionDraft::default() };
        self.call(Call::OpenSession { pool: POOL, draft })
    }

    /// An agent that is registered and listens.
    pub(crate) fn listen(&mut self, name: &str) -> (AgentId, Uuid) {
        let agent = self.register(name);
        (agent, self.open(agent))
    }

    pub(crate) fn close(&mut self, session: Uuid) {
        self.call(Call::CloseSession { pool: POOL, session }).expect("a session");
    }

    pub(crate) fn remove(&mut self, agent: AgentId) -> Result<Answer, Refusal> {
        self.call(Call::RemoveAgent { pool: POOL, agent })
    }

    pub(crate) fn poll(&mut self, session: Uuid, after: Option<MessageId>) -> Reply {
        self.reply(Call::Poll { pool: POOL, session, after })
    }

    /// A poll that is held.
    pub(crate) fn hold(&mut self, session: Uuid, after: Option<MessageId>) -> WaiterId {
        match self.poll(session, after) {
            Reply::Held(waiter) => waiter,
            other => panic!("not held: {other:?}"),
        }
    }

    /// The message that a poll finds.
    pub(crate) fn message(&mut self, session: Uuid) -> Message {
        match self.poll(session, None) {
            Reply::Answer(Answer::Message(message)) => message,
            other => panic!("no message: {other:?}"),
        }
    }

    /// The job that a poll finds.
    pub(crate) fn job(&mut self, session: Uuid) -> Got {
        let message = self.message(session);
        match message.content {
            MessageContent::Job { request, plan, .. } => Got { message: message.id, request, plan },
            other => panic!("no job: {other:?}"),
        }
    }

    pub(crate) fn delete(&mut self, session: Uuid, message: MessageId) -> Result<Answer, Refusal> {
        self.call(Call::DeleteMessage { pool: POOL, session, message })
    }

    /// An agent takes the job that waits for it.
    pub(crate) fn take(&mut self, session: Uuid) -> Got {
        let got = self.job(session);
        self.delete(session, got.message).expect("the message");
        got
    }

    pub(crate) fn renew(&mut self, request: RequestId) -> Result<Answer, Refusal> {
        self.call(Call::RenewJobRequest { pool: POOL, request, to_top: false })
    }

    pub(crate) fn complete(&mut self, got: Got, result: JobResult) -> Result<Answer, Refusal> {
        let Got { request, plan, .. } = got;
        self.call(Call::CompleteJob { plan, request, result, agent_shutting_down: false })
    }

    pub(crate) fn define(&mut self, name: &str, jobs: usize, demands: &[&str]) {
        let job = |number: usize| {
            JobTemplate::new(
                format!("Job {number}"),
                demands.iter().map(|text| text.parse().expect("a demand")).collect(),
                Millis::minutes(5),
            )
        };
        let definition =
            Definition::flat(name.to_owned(), "shop", "keda-pool", (1..=jobs).map(job).collect());
        self.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    }

    pub(crate) fn queue(&mut self, name: &str) -> Result<BuildId, Refusal> {
        match self.call(Call::Build(BuildCall::queue(DefinitionRef::Name(name.to_owned()))))? {
            Answer::Build(id) => Ok(id),
            other => panic!("no build: {other:?}"),
        }
    }

    /// Cancels what is left of a build.
    pub(crate) fn cancel(&mut self, build: BuildId) {
        self.call(Call::Build(BuildCall::cancel(build))).expect("a build");
    }

    /// Queues a build with so many jobs that any agent can run.
    pub(crate) fn burst(&mut self, jobs: usize) -> BuildId {
        let name = format!("burst of {jobs}");
        self.define(&name, jobs, &[]);
        self.queue(&name).expect("a build")
    }

    pub(crate) fn rows(&mut self, query: JobRequestQuery) -> JobRequestList {
        match self.call(Call::ListJobRequests { pool: POOL, query }) {
            Ok(Answer::JobRequests(list)) => list,
            other => panic!("no list: {other:?}"),
        }
    }

    pub(crate) fn row(&mut self, request: RequestId) -> Value {
        self.read(Call::GetJobRequest { pool: POOL, request })
    }

    pub(crate) fn agent(&mut self, agent: AgentId) -> Value {
        self.read(Call::GetAgent { pool: POOL, agent, include: EVERYTHING })
    }

    /// How often a fact was told.
    pub(crate) fn count(&self, is: impl Fn(&Fact) -> bool) -> usize {
        self.facts.iter().filter(|fact| is(fact)).count()
    }

    /// Which agent each request was assigned to, in the order of the assignments.
    pub(crate) fn assignments(&self) -> Vec<(u64, u64)> {
        let assignment = |fact: &Fact| match fact {
            Fact::JobRequestAssigned { request, agent } => Some((*request, *agent)),
            _ => None,
        };
        self.facts.iter().filter_map(assignment).collect()
    }

    /// How a request ended, according to the log.
    pub(crate) fn ending(&self, wanted: RequestId) -> Option<JobResult> {
        let ending = |fact: &Fact| match fact {
            Fact::JobRequestFinished { request, result, .. } if *request == wanted.0 => Some(*result),
            _ => None,
        };
        self.facts.iter().find_map(ending)
    }
}

pub(crate) fn draft(name: &str, capabilities: &[(&str, &str)]) -> AgentDraft {
    AgentDraft {
        name: name.into(),
        version: "4.258.1".into(),
        os_description: "Linux".into(),
        enabled: None,
        capabilities: owned(capabilities).into(),
        ..AgentDraft::default()
    }
}
