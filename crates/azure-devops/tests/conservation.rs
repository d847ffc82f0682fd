//! What must hold whatever is called, and whenever: no job is lost, none runs
//! twice, no agent has two, the parallel limit holds, held polls are answered,
//! and everything ends once agents behave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use azure_devops::{
    AgentChange, AgentDraft, AgentId, Answer, BuildCall, BuildId, Call, Definition, DefinitionRef, Effects,
    JobRequestQuery, JobTemplate, MessageContent, MessageId, PoolId, Refusal, Reply, RequestId, Secret,
    Service, SessionDraft, Settings, WaiterId,
};
use model::event::JobResult;
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Fact, Instant, Millis, MillisRange};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

const POOLS: [PoolId; 2] = [PoolId(1), PoolId(2)];

/// What may be done, with small numbers that pick among what is there.
#[derive(Debug, Clone, Copy)]
enum Step {
    Register { pool: usize, name: u8, gpu: bool },
    Replace { pick: usize },
    Enable { pick: usize, enabled: bool },
    Remove { pick: usize },
    Open { pick: usize },
    Close { pick: usize },
    Poll { pick: usize, after_last: bool },
    DeleteMessage { pick: usize },
    Renew { pick: usize, to_top: bool },
    Complete { pick: usize, shutting_down: bool },
    Finish { pick: usize },
    QueueBuild { definition: usize },
    CancelBuild { pick: usize },
    List { pool: usize, top: bool },
    Pass { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = 0_usize..12;
    let step = prop_oneof![
        3 => (0_usize..2, 0_u8..8, any::<bool>()).prop_map(|(pool, name, gpu)| Step::Register { pool, name, gpu }),
        1 => pick.clone().prop_map(|pick| Step::Replace { pick }),
        1 => (pick.clone(), any::<bool>()).prop_map(|(pick, enabled)| Step::Enable { pick, enabled }),
        1 => pick.clone().prop_map(|pick| Step::Remove { pick }),
        4 => pick.clone().prop_map(|pick| Step::Open { pick }),
        1 => pick.clone().prop_map(|pick| Step::Close { pick }),
        5 => (pick.clone(), any::<bool>()).prop_map(|(pick, after_last)| Step::Poll { pick, after_last }),
        4 => pick.clone().prop_map(|pick| Step::DeleteMessage { pick }),
        2 => (pick.clone(), any::<bool>()).prop_map(|(pick, to_top)| Step::Renew { pick, to_top }),
        3 => (pick.clone(), any::<bool>()).prop_map(|(pick, shutting_down)| Step::Complete { pick, shutting_down }),
        1 => pick.clone().prop_map(|pick| Step::Finish { pick }),
        4 => (0_usize..4).prop_map(|definition| Step::QueueBuild { definition }),
        1 => pick.prop_map(|pick| Step::CancelBuild { pick }),
        1 => (0_usize..2, any::<bool>()).prop_map(|(pool, top)| Step::List { pool, top }),
        4 => prop_oneof![0_u64..3_000, 10_000_u64..100_000, 200_000_u64..700_000]
            .prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

/// Who holds a request, as the log tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Queued,
    Assigned(u64),
    Received(u64),
    Finished,
}

struct World {
    service: Service,
    limit: Option<u32>,
    now: Instant,
    sessions: Vec<(PoolId, Uuid)>,
    messages: Vec<(PoolId, Uuid, MessageId)>,
    /// Jobs that an agent saw the message of.
    seen: Vec<(PoolId, RequestId, Uuid)>,
    builds: u64,
    pending: BTreeMap<WaiterId, (PoolId, Uuid)>,
    requests: BTreeMap<u64, Held>,
    /// Which kinds of facts were told, with the result of endings.
    kinds: BTreeSet<String>,
    ids: BTreeSet<(&'static str, String)>,
}

impl World {
    fn new(limit: Option<u32>, delay: u64, seed: u64) -> Self {
        let pool = |id: PoolId| scenario::Pool {
            name: format!("pool-{id}"),
            id: id.0,
            agents: vec![Placeholder {
                name: "template".to_owned(),
                capabilities: BTreeMap::from([("gpu".to_owned(), "1".to_owned())]),
            }],
        };
        let organization = scenario::Organization {
            parallel_jobs: limit.map_or(ParallelJobs::Unlimited, ParallelJobs::Limited),
            assign_delay: MillisRange { least: Millis::ZERO, most: Millis(delay) },
            job_lock: Millis::minutes(10),
            session_expiry: Millis::minutes(5),
            quirks: model::quirks::Quirks::default(),
            pools: POOLS.map(pool).to_vec(),
        };
        let settings =
            Settings::new("acme", "http://ado/acme", Secret::new("pat"), seed, Duration::ZERO, &organization);
        let mut world = Self {
            service: Service::new(settings),
            limit,
            now: Instant::START,
            sessions: Vec::new(),
            messages: Vec::new(),
            seen: Vec::new(),
            builds: 0,
            pending: BTreeMap::new(),
            requests: BTreeMap::new(),
            kinds: BTreeSet::new(),
            ids: BTreeSet::new(),
        };
        for (number, (pool, demands)) in
            [(0, vec![]), (0, vec!["gpu"]), (1, vec![]), (1, vec!["gpu"])].into_iter().enumerate()
        {
            let job = |job: usize| {
                JobTemplate::new(
                    format!("Job {job}"),
                    demands.iter().map(|text: &&str| text.parse().expect("a demand")).collect(),
                    Millis::minutes(1),
                )
            };
            let definition = Definition::flat(
                number.to_string(),
                "p",
                format!("pool-{}", POOLS[pool]),
                (0..=number).map(job).collect(),
            );
            world.call(Call::Build(BuildCall::define(definition))).expect("a definition");
        }
        world
    }

    fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        let poll = match call {
            Call::Poll { pool, session, .. } => Some((pool, session)),
            _ => None,
        };
        let (reply, effects) = self.service.handle(self.now, call);
        let reply = match reply {
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(refusal),
            Reply::Held(waiter) => {
                self.pending.insert(waiter, poll.expect("only polls are held"));
                Ok(Answer::NoMessage)
            }
        };
        self.observe(effects);
        let answer = reply?;
        if let (Some((pool, session)), Answer::Message(message)) = (poll, &answer) {
            self.saw(pool, session, message.id, message.content);
        }
        Ok(answer)
    }

    fn saw(&mut self, pool: PoolId, session: Uuid, id: MessageId, content: MessageContent) {
        self.messages.push((pool, session, id));
        if let MessageContent::Job { request, plan, .. } = content {
            self.seen.push((pool, request, plan));
        }
    }

    fn observe(&mut self, effects: Effects) {
        for fact in &effects.facts {
            let told = serde_json::to_value(fact).expect("a fact is JSON");
            let kind = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
            self.kinds.insert(format!("{} {}", kind("event"), kind("result")).trim_end().to_owned());
            self.follow(fact);
        }
        for (waiter, answer) in effects.answered {
            let (pool, session) =
                self.pending.remove(&waiter).expect("an answer to a poll that is held, once");
            if let Ok(Answer::Message(message)) = answer {
                self.saw(pool, session, message.id, message.content);
            }
        }
        self.check();
    }

    /// Follows a fact and checks that it may follow what came before.
    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::JobRequestQueued { request, .. } => {
                assert!(self.requests.insert(*request, Held::Queued).is_none(), "{request} was there");
            }
            Fact::JobRequestAssigned { request, agent } => {
                self.change(*request, Held::Queued, Held::Assigned(*agent));
            }
            Fact::JobRequestReceived { request, agent } => {
                self.change(*request, Held::Assigned(*agent), Held::Received(*agent));
            }
            Fact::JobRequestRequeued { request, agent, .. } => {
                self.change(*request, Held::Assigned(*agent), Held::Queued);
            }
            Fact::JobRequestFinished { request, agent, .. } => {
                let before = self.requests.insert(*request, Held::Finished);
                let holder = match before {
                    Some(Held::Queued) => None,
                    Some(Held::Assigned(agent) | Held::Received(agent)) => Some(agent),
                    other => panic!("{request} ended from {other:?}"),
                };
                assert_eq!(*agent, holder, "the holder of {request}");
            }
            Fact::AgentRegistered { agent, replaced: false, .. } => self.unique("agent", agent),
            Fact::SessionOpened { session, .. } => self.unique("session", session),
            Fact::BuildQueued { build, .. } => self.unique("build", build),
            Fact::AgentRemoved { agent } => {
                assert!(self.of_agent(*agent).is_none(), "agent {agent} was removed with a job");
            }
            _ => {}
        }
    }

    fn change(&mut self, request: u64, from: Held, to: Held) {
        let before = self.requests.insert(request, to);
        assert_eq!(before, Some(from), "{request} became {to:?}");
    }

    fn unique(&mut self, kind: &'static str, id: &impl ToString) {
        let id = id.to_string();
        assert!(self.ids.insert((kind, id.clone())), "two {kind}s are called {id}");
    }

    fn of_agent(&self, agent: u64) -> Option<u64> {
        let is_held = |held: &Held| matches!(held, Held::Assigned(by) | Held::Received(by) if *by == agent);
        self.requests.iter().find(|(_, held)| is_held(held)).map(|(request, _)| *request)
    }

    fn check(&self) {
        let holders: Vec<u64> = self
            .requests
            .values()
            .filter_map(|held| match held {
                Held::Assigned(agent) | Held::Received(agent) => Some(*agent),
                _ => None,
            })
            .collect();
        let distinct: BTreeSet<u64> = holders.iter().copied().collect();
        assert_eq!(holders.len(), distinct.len(), "an agent has two jobs: {holders:?}");
        if let Some(limit) = self.limit {
            assert!(holders.len() <= limit as usize, "{} jobs of {limit}", holders.len());
        }
        for agent in self.service.agents() {
            assert_eq!(agent.request.map(|request| request.0), self.of_agent(agent.id.0), "{}", agent.name);
        }
        let unfinished = self.requests.values().filter(|held| **held != Held::Finished).count();
        assert_eq!(unfinished, self.service.unfinished(), "a job is lost");
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now + Millis(millis);
        while let Some(due) = self.service.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            let effects = self.service.advance(self.now);
            self.observe(effects);
            let next = self.service.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "what was due at {} is still due", self.now);
        }
        self.now = until;
    }

    fn agent(&self, pick: usize) -> Option<(PoolId, AgentId, String)> {
        let agents = self.service.agents();
        let agent = agents.get(pick % agents.len().max(1))?;
        Some((agent.pool, agent.id, agent.name.clone()))
    }

    fn take_step(&mut self, step: Step) {
        // Refusals are fine: what is checked is that nothing breaks.
        let _ = match step {
            Step::Register { pool, name, gpu } => {
                let draft = draft(&format!("pod-{name}"), gpu);
                self.call(Call::RegisterAgent { pool: POOLS[pool], draft })
            }
            Step::Replace { pick } => self.of_picked(pick, |pool, agent, name| {
                let draft = draft(name, false);
                Call::ReplaceAgent { pool, agent, draft }
            }),
            Step::Enable { pick, enabled } => self.of_picked(pick, |pool, agent, _| {
                let change = AgentChange { enabled: Some(enabled), ..AgentChange::default() };
                Call::UpdateAgent { pool, agent, change }
            }),
            Step::Remove { pick } => self.of_picked(pick, |pool, agent, _| Call::RemoveAgent { pool, agent }),
            Step::Open { pick } => self.open(pick),
            Step::Close { pick } => match one_of(&self.sessions, pick) {
                Some((pool, session)) => self.call(Call::CloseSession { pool, session }),
                None => Ok(Answer::Done),
            },
            Step::Poll { pick, after_last } => match one_of(&self.sessions, pick) {
                Some((pool, session)) => {
                    let seen = self.messages.iter().filter(|(_, of, _)| *of == session).map(|(_, _, id)| *id);
                    let after = seen.max().filter(|_| after_last);
                    self.call(Call::Poll { pool, session, after })
                }
                None => Ok(Answer::Done),
            },
            Step::DeleteMessage { pick } => match one_of(&self.messages, pick) {
                Some((pool, session, message)) => self.call(Call::DeleteMessage { pool, session, message }),
                None => Ok(Answer::Done),
            },
            Step::Renew { pick, to_top } => match one_of(&self.seen, pick) {
                Some((pool, request, _)) => self.call(Call::RenewJobRequest { pool, request, to_top }),
                None => Ok(Answer::Done),
            },
            Step::Complete { pick, shutting_down } => match one_of(&self.seen, pick) {
                Some((_, request, plan)) => self.call(Call::CompleteJob {
                    plan,
                    request,
                    result: JobResult::Succeeded,
                    agent_shutting_down: shutting_down,
                }),
                None => Ok(Answer::Done),
            },
            Step::Finish { pick } => match one_of(&self.seen, pick) {
                Some((pool, request, _)) => {
                    self.call(Call::FinishJobRequest { pool, request, result: JobResult::Failed })
                }
                None => Ok(Answer::Done),
            },
            Step::QueueBuild { definition } => {
                let queued =
                    self.call(Call::Build(BuildCall::queue(DefinitionRef::Name(definition.to_string()))));
                self.builds += u64::from(queued.is_ok());
                queued
            }
            Step::CancelBuild { pick } => {
                self.call(Call::Build(BuildCall::cancel(BuildId(pick as u64 % self.builds.max(1) + 1))))
            }
            Step::List { pool, top } => self.list(POOLS[pool], top),
            Step::Pass { millis } => {
                self.pass(millis);
                Ok(Answer::Done)
            }
        };
    }

    fn of_picked(
        &mut self,
        pick: usize,
        call: impl FnOnce(PoolId, AgentId, &str) -> Call,
    ) -> Result<Answer, Refusal> {
        match self.agent(pick) {
            Some((pool, agent, name)) => self.call(call(pool, agent, &name)),
            None => Ok(Answer::Done),
        }
    }

    fn open(&mut self, pick: usize) -> Result<Answer, Refusal> {
        let Some((pool, agent, _)) = self.agent(pick) else { return Ok(Answer::Done) };
        let draft = SessionDraft { owner: "pod".into(), agent, ..SessionDraft::default() };
        let opened = self.call(Call::OpenSession { pool, draft })?;
        if let Answer::Session(session) = &opened {
            self.sessions.push((pool, *session));
        }
        Ok(opened)
    }

    /// Every list is JSON, and its rows say what the log's rows say.
    fn list(&mut self, pool: PoolId, top: bool) -> Result<Answer, Refusal> {
        let query = JobRequestQuery { top: top.then_some(250), ..JobRequestQuery::default() };
        let answer = self.call(Call::ListJobRequests { pool, query })?;
        let Answer::JobRequests(list) = &answer else { panic!("no list") };
        let rows = self.service.scaler_rows(list);
        let mut bytes = Vec::new();
        self.service.encode(&answer, &mut bytes);
        let written: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        let written = written["value"].as_array().expect("a list");
        assert_eq!(written.len(), rows.len());
        for (row, written) in rows.iter().zip(written) {
            assert_eq!(written["requestId"], row.request);
            assert_eq!(written.get("receiveTime").is_some(), row.received);
            let matched =
                written.get("matchedAgents").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
            assert_eq!(matched, row.matched_agents.len());
        }
        Ok(answer)
    }

    /// From now on agents behave: one able agent a pool polls, takes, finishes. Everything must end.
    fn behave(&mut self) {
        // What the old agents held is abandoned or goes back, and their sessions expire.
        self.pass(Millis::minutes(16).0);
        assert!(self.pending.is_empty(), "a poll was never answered: {:?}", self.pending);
        for pool in POOLS {
            let agent = match self.call(Call::RegisterAgent { pool, draft: draft("able", true) }) {
                Ok(Answer::Agent(id, _)) => id,
                other => panic!("{other:?}"),
            };
            let draft = SessionDraft { owner: "pod".into(), agent, ..SessionDraft::default() };
            let Ok(Answer::Session(session)) = self.call(Call::OpenSession { pool, draft }) else {
                panic!("no session");
            };
            self.sessions.push((pool, session));
        }
        let able = self.sessions[self.sessions.len() - POOLS.len()..].to_vec();
        let rounds = 4 * self.requests.len() + 10;
        for _ in 0..rounds {
            for (pool, session) in &able {
                self.work_once(*pool, *session);
            }
            self.pass(Millis::seconds(55).0);
        }
        let left: Vec<_> = self.requests.iter().filter(|(_, held)| **held != Held::Finished).collect();
        assert!(left.is_empty(), "these never ended: {left:?}");
    }

    fn work_once(&mut self, pool: PoolId, session: Uuid) {
        let polled = self.call(Call::Poll { pool, session, after: None }).expect("the session lives");
        let Answer::Message(message) = polled else { return };
        self.call(Call::DeleteMessage { pool, session, message: message.id }).expect("it is there");
        if let MessageContent::Job { request, plan, .. } = message.content {
            let end =
                Call::CompleteJob { plan, request, result: JobResult::Succeeded, agent_shutting_down: false };
            self.call(end).expect("it ends");
        }
    }
}

fn draft(name: &str, gpu: bool) -> AgentDraft {
    let capabilities: BTreeMap<String, String> =
        gpu.then(|| ("gpu".to_owned(), "1".to_owned())).into_iter().collect();
    let (name, version) = (name.into(), "4.258.1".into());
    AgentDraft { name, version, capabilities: capabilities.into(), ..AgentDraft::default() }
}

fn one_of<T: Copy>(items: &[T], pick: usize) -> Option<T> {
    // The latest are the most likely to live.
    let newest_first = items.len().checked_sub(1 + pick % items.len().max(1))?;
    items.get(newest_first).copied()
}

proptest! {
    #[test]
    fn whatever_is_called_no_job_is_lost_or_run_twice(
        steps in steps(),
        limit in prop::option::of(1_u32..4),
        delay in prop_oneof![Just(0_u64), 1_u64..5_000],
        seed: u64,
    ) {
        let mut world = World::new(limit, delay, seed);
        for step in steps {
            world.take_step(step);
        }
        world.behave();
    }

    #[test]
    fn the_same_calls_give_the_same_answers(steps in steps(), seed: u64) {
        let run = || {
            let mut world = World::new(Some(2), 3_000, seed);
            let mut trace = Vec::new();
            for step in steps.clone() {
                world.take_step(step);
                trace.push((world.service.next_deadline(), world.requests.len(), world.sessions.clone()));
            }
            trace
        };
        prop_assert_eq!(run(), run());
    }
}

/// The property above says little if the steps never get that far.
#[test]
fn the_steps_reach_every_state() {
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    for seed in 0..200 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let mut world = World::new(Some(3), 2_000, seed);
        for step in steps {
            world.take_step(step);
        }
        kinds.append(&mut world.kinds);
    }
    for kind in [
        "agent.removal_refused",
        "agent.removed",
        "build.completed failed",
        "build.completed succeeded",
        "job_request.finished abandoned",
        "job_request.finished canceled",
        "job_request.finished failed",
        "job_request.finished succeeded",
        "job_request.received",
        "job_request.requeued",
        "session.closed",
        "session.expired",
        "session.refused",
    ] {
        assert!(kinds.contains(kind), "{kind} never happened; these did: {kinds:?}");
    }
}
