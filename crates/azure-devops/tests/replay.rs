//! What a journal rests on: a service is a function of its settings and of the calls that it accepted
//! and that say that they change it, each with its instant.
//!
//! Three of them live through a random life. The first is served: it is asked at any time, refuses,
//! looks, and is woken whenever somebody likes. The second is made afterwards, of the accepted calls alone.
//! The third is made of a snapshot somewhere on the way, and the accepted calls after it. From then on
//! nobody can tell them apart.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_devops::{
    AgentChange, AgentDraft, AgentId, Answer, BuildCall, BuildId, Call, Definition, DefinitionRef, Effects,
    Include, JobRequestQuery, JobTemplate, MessageContent, MessageId, PlanCall, PoolId, Reply, RequestId,
    Secret, Service, SessionDraft, Settings, WaiterId,
};
use model::event::JobResult;
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Instant, Millis, MillisRange};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

const POOL: PoolId = PoolId(1);

/// What may be done, with small numbers that pick among what is there, or is not.
#[derive(Debug, Clone, Copy)]
enum Step {
    Register { name: u8, gpu: bool },
    Replace { pick: u64 },
    Enable { pick: u64, enabled: bool },
    Describe { pick: u64 },
    Remove { pick: u64 },
    Open { pick: u64 },
    Close { pick: usize },
    Poll { pick: usize, after_last: bool },
    DeleteMessage { pick: usize },
    Renew { pick: u64, to_top: bool },
    Complete { pick: usize },
    Finish { pick: u64 },
    Queue { definition: u8 },
    Cancel { pick: u64 },
    Report { pick: usize },
    AskPlan { pick: usize },
    MakePool { name: u8 },
    Look,
    Pass { millis: u64 },
    Wake { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0_u64..12;
    let pick = 0_usize..12;
    let span = || prop_oneof![3 => 0_u64..3_000, 2 => 10_000_u64..100_000, 1 => 200_000_u64..700_000];
    let step = prop_oneof![
        3 => (0_u8..6, any::<bool>()).prop_map(|(name, gpu)| Step::Register { name, gpu }),
        1 => id.clone().prop_map(|pick| Step::Replace { pick }),
        1 => (id.clone(), any::<bool>()).prop_map(|(pick, enabled)| Step::Enable { pick, enabled }),
        1 => id.clone().prop_map(|pick| Step::Describe { pick }),
        1 => id.clone().prop_map(|pick| Step::Remove { pick }),
        6 => (0_u64..4).prop_map(|pick| Step::Open { pick }),
        1 => pick.clone().prop_map(|pick| Step::Close { pick }),
        8 => (0_usize..4, any::<bool>()).prop_map(|(pick, after_last)| Step::Poll { pick, after_last }),
        5 => (0_usize..4).prop_map(|pick| Step::DeleteMessage { pick }),
        2 => (id.clone(), any::<bool>()).prop_map(|(pick, to_top)| Step::Renew { pick, to_top }),
        4 => (0_usize..4).prop_map(|pick| Step::Complete { pick }),
        1 => id.clone().prop_map(|pick| Step::Finish { pick }),
        4 => (0_u8..4).prop_map(|definition| Step::Queue { definition }),
        1 => id.prop_map(|pick| Step::Cancel { pick }),
        2 => pick.clone().prop_map(|pick| Step::Report { pick }),
        2 => pick.prop_map(|pick| Step::AskPlan { pick }),
        1 => (0_u8..3).prop_map(|name| Step::MakePool { name }),
        3 => Just(Step::Look),
        4 => span().prop_map(|millis| Step::Pass { millis }),
        2 => span().prop_map(|millis| Step::Wake { millis }),
    ];
    prop::collection::vec(step, 1..120)
}

fn settings(seed: u64, limit: Option<u32>) -> Settings {
    let template = Placeholder {
        name: "template".to_owned(),
        capabilities: BTreeMap::from([("gpu".to_owned(), "1".to_owned())]),
    };
    let organization = scenario::Organization {
        parallel_jobs: limit.map_or(ParallelJobs::Unlimited, ParallelJobs::Limited),
        assign_delay: MillisRange { least: Millis::ZERO, most: Millis(2_500) },
        ..scenario::Organization::with_pools(vec![scenario::Pool {
            name: "pool".to_owned(),
            id: POOL.0,
            agents: vec![template],
        }])
    };
    Settings::new("acme", "http://ado/acme", Secret::new("pat"), seed, Duration::ZERO, &organization)
}

fn definition(number: u8) -> Definition {
    let demands = if number % 2 == 1 { vec!["gpu".parse().expect("a demand")] } else { vec![] };
    let job = |job: u8| JobTemplate::new(format!("Job {job}"), demands.clone(), Millis::minutes(1));
    Definition::flat(number.to_string(), "p", "pool", (0..=number).map(job).collect())
}

fn draft(name: u8, gpu: bool) -> AgentDraft {
    let capabilities = if gpu { vec![("gpu".to_owned(), "1".to_owned())] } else { vec![] };
    AgentDraft {
        name: format!("agent-{name}").into(),
        version: "4.258.1".into(),
        capabilities: capabilities.into_iter().collect::<BTreeMap<_, _>>().into(),
        ..AgentDraft::default()
    }
}

/// The one that is served, and what was kept of what it was asked.
struct Served {
    service: Service,
    now: Instant,
    journal: Vec<(Instant, Call)>,
    sessions: Vec<Uuid>,
    messages: Vec<(Uuid, MessageId)>,
    jobs: Vec<(RequestId, Uuid)>,
    /// Whose polls are held.
    held: BTreeMap<WaiterId, Uuid>,
    /// The highest id of an agent.
    agents: u64,
}

impl Served {
    fn ask(&mut self, call: Call) {
        let kept = call.changes_state().then(|| call.clone());
        let poll = match call {
            Call::Poll { session, .. } => Some(session),
            _ => None,
        };
        let (reply, effects) = self.service.handle(self.now, call);
        if let (Some(call), Reply::Answer(_) | Reply::Held(_)) = (kept, &reply) {
            self.journal.push((self.now, call));
        }
        match reply {
            Reply::Answer(Answer::Session(session)) => self.sessions.push(session),
            Reply::Answer(Answer::Agent(agent, _)) => self.agents = self.agents.max(agent.0),
            Reply::Answer(answer) => self.saw(poll, &answer),
            Reply::Held(waiter) => {
                self.held.extend(poll.map(|session| (waiter, session)));
            }
            Reply::Refused(_) => {}
        }
        self.follow(effects);
    }

    fn follow(&mut self, effects: Effects) {
        for (waiter, answer) in effects.answered {
            let session = self.held.remove(&waiter);
            if let Ok(answer) = answer {
                self.saw(session, &answer);
            }
        }
    }

    fn saw(&mut self, session: Option<Uuid>, answer: &Answer) {
        let (Some(session), Answer::Message(message)) = (session, answer) else { return };
        self.messages.push((session, message.id));
        if let MessageContent::Job { request, plan, .. } = message.content {
            self.jobs.push((request, plan));
        }
    }

    fn step(&mut self, step: Step) {
        // Nearly always one that is there, or was.
        let agents = self.agents + 1;
        let agent = |pick: u64| AgentId(agents.saturating_sub(pick % (agents + 1)));
        let call = match step {
            Step::Register { name, gpu } => Call::RegisterAgent { pool: POOL, draft: draft(name, gpu) },
            Step::Replace { pick } => {
                Call::ReplaceAgent { pool: POOL, agent: agent(pick), draft: draft(pick as u8, true) }
            }
            Step::Enable { pick, enabled } => Call::UpdateAgent {
                pool: POOL,
                agent: agent(pick),
                change: AgentChange { enabled: Some(enabled), ..AgentChange::default() },
            },
            Step::Describe { pick } => Call::SetUserCapabilities {
                pool: POOL,
                agent: agent(pick),
                capabilities: BTreeMap::from([("gpu".to_owned(), pick.to_string())]),
            },
            Step::Remove { pick } => Call::RemoveAgent { pool: POOL, agent: agent(pick) },
            Step::Open { pick } => {
                let draft =
                    SessionDraft { agent: agent(pick), owner: "pod".into(), ..SessionDraft::default() };
                Call::OpenSession { pool: POOL, draft }
            }
            Step::Close { pick } => Call::CloseSession { pool: POOL, session: self.session(pick) },
            Step::Poll { pick, after_last } => {
                let session = self.session(pick);
                let last = self.messages.iter().filter(|(of, _)| *of == session).map(|(_, id)| *id).max();
                Call::Poll { pool: POOL, session, after: last.filter(|_| after_last) }
            }
            Step::DeleteMessage { pick } => {
                let (session, message) =
                    *pick_of(&self.messages, pick).unwrap_or(&(Uuid::nil(), MessageId(9)));
                Call::DeleteMessage { pool: POOL, session, message }
            }
            Step::Renew { pick, to_top } => {
                Call::RenewJobRequest { pool: POOL, request: RequestId(pick), to_top }
            }
            Step::Complete { pick } => {
                let (request, plan) = *pick_of(&self.jobs, pick).unwrap_or(&(RequestId(1), Uuid::nil()));
                Call::CompleteJob { plan, request, result: JobResult::Succeeded, agent_shutting_down: false }
            }
            Step::Finish { pick } => {
                Call::FinishJobRequest { pool: POOL, request: RequestId(pick), result: JobResult::Failed }
            }
            Step::Queue { definition } => {
                Call::Build(BuildCall::queue(DefinitionRef::Name(definition.to_string())))
            }
            Step::Cancel { pick } => Call::Build(BuildCall::cancel(BuildId(pick))),
            Step::Report { pick } => {
                let plan = pick_of(&self.jobs, pick).map_or(Uuid::nil(), |(_, plan)| *plan);
                let call = PlanCall::CreateLog { path: format!("logs\\{pick}") };
                Call::Plan { plan, call: Box::new(call) }
            }
            Step::AskPlan { pick } => {
                let plan = pick_of(&self.jobs, pick).map_or(Uuid::nil(), |(_, plan)| *plan);
                Call::Plan { plan, call: Box::new(PlanCall::ListRecords(plan)) }
            }
            Step::MakePool { name } => {
                Call::CreatePool { name: format!("more-{name}"), placeholders: Vec::new() }
            }
            Step::Look => {
                look(&mut self.service, self.now, &self.jobs);
                return;
            }
            Step::Pass { millis } => {
                self.now += Millis(millis);
                return;
            }
            Step::Wake { millis } => {
                self.now += Millis(millis);
                let effects = self.service.advance(self.now);
                self.follow(effects);
                return;
            }
        };
        self.ask(call);
    }

    fn session(&self, pick: usize) -> Uuid {
        pick_of(&self.sessions, pick).copied().unwrap_or_default()
    }
}

fn pick_of<T>(things: &[T], pick: usize) -> Option<&T> {
    things.get(things.len().checked_sub(1)?.saturating_sub(pick))
}

/// All that can be read, as it would be sent.
fn look(service: &mut Service, now: Instant, jobs: &[(RequestId, Uuid)]) -> Vec<String> {
    let include = Include { capabilities: true, assigned_request: true, last_completed_request: true };
    let list = |query| Call::ListJobRequests { pool: POOL, query };
    let mut calls = vec![
        Call::ListPools { name: None, ids: Vec::new() },
        Call::ListAgents { pool: POOL, name: None, demands: Vec::new(), include },
        list(JobRequestQuery::default()),
        list(JobRequestQuery { top: Some(250), ..JobRequestQuery::default() }),
        list(JobRequestQuery { completed: Some(5), ..JobRequestQuery::default() }),
        Call::Build(BuildCall::list(azure_devops::BuildQuery::default())),
        Call::Build(BuildCall::ListProjects { top: None, skip: 0 }),
    ];
    calls.extend((1..12).map(|id| Call::GetJobRequest { pool: POOL, request: RequestId(id) }));
    calls.extend(
        jobs.iter().map(|(_, plan)| Call::Plan { plan: *plan, call: Box::new(PlanCall::ListRecords(*plan)) }),
    );
    calls.extend(jobs.iter().map(|(_, plan)| Call::Plan { plan: *plan, call: Box::new(PlanCall::ListLogs) }));
    calls
        .into_iter()
        .map(|call| {
            let (reply, _) = service.handle(now, call);
            told(service, reply)
        })
        .collect()
}

fn told(service: &Service, reply: Reply) -> String {
    match reply {
        Reply::Answer(answer) => {
            let mut bytes = Vec::new();
            service.encode(&answer, &mut bytes);
            String::from_utf8(bytes).expect("JSON is text")
        }
        Reply::Refused(refusal) => refusal.to_string(),
        Reply::Held(waiter) => format!("held {waiter}"),
    }
}

/// What is done to all of them in the end: it draws from every stream.
fn afterwards(service: &mut Service, mut now: Instant, jobs: &[(RequestId, Uuid)]) -> Vec<String> {
    let mut told_of = Vec::new();
    for round in 0..3_u8 {
        let open = |agent| Call::OpenSession {
            pool: POOL,
            draft: SessionDraft { agent: AgentId(agent), owner: "pod".into(), ..SessionDraft::default() },
        };
        let calls = [
            Call::RegisterAgent { pool: POOL, draft: draft(20 + round, true) },
            open(u64::from(round) + 2),
            Call::Build(BuildCall::queue(DefinitionRef::Name("3".to_owned()))),
        ];
        for call in calls {
            let (reply, effects) = service.handle(now, call);
            told_of.push(told(service, reply));
            told_of.push(format!("{:?}", effects.answered));
        }
        now += Millis(2_000);
        told_of.push(format!("{:?}", service.advance(now).answered));
        told_of.extend(look(service, now, jobs));
        now += Millis(400_000);
    }
    told_of
}

/// A life: the service that was served, what was kept of it, and a snapshot with how much was kept by then.
struct Life {
    served: Served,
    snapshot: Vec<u8>,
    kept_before: usize,
}

fn live(steps: &[Step], settings: Settings, cut: usize) -> Life {
    let mut served = Served {
        service: Service::new(settings),
        now: Instant::START,
        journal: Vec::new(),
        sessions: Vec::new(),
        messages: Vec::new(),
        jobs: Vec::new(),
        held: BTreeMap::new(),
        agents: 1,
    };
    for number in 0..4 {
        served.ask(Call::Build(BuildCall::define(definition(number))));
    }
    let mut snapshot = (served.service.snapshot().expect("JSON"), served.journal.len());
    for (number, step) in steps.iter().enumerate() {
        served.step(*step);
        if number == cut {
            snapshot = (served.service.snapshot().expect("JSON"), served.journal.len());
        }
    }
    Life { served, snapshot: snapshot.0, kept_before: snapshot.1 }
}

/// Makes the calls of a journal, as they are read from it.
fn replay<'a>(mut service: Service, journal: impl IntoIterator<Item = &'a (Instant, Call)>) -> Service {
    service.want_facts(false);
    for (at, call) in journal {
        let line = serde_json::to_string(call).expect("JSON");
        let (reply, _) = service.handle(*at, serde_json::from_str(&line).expect("a call"));
        assert!(!matches!(reply, Reply::Refused(_)), "{line} is refused: {reply:?}");
    }
    service
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_service_is_made_again_by_the_calls_that_it_accepted(
        steps in steps(),
        seed in 0_u64..1000,
        limit in prop::option::of(1_u32..3),
        cut in 0_usize..120,
    ) {
        let Life { served, snapshot, kept_before } = live(&steps, settings(seed, limit), cut);
        let Served { mut service, now, journal, jobs, .. } = served;
        let mut replayed = replay(Service::new(settings(seed, limit)), &journal);
        let restored = Service::restore(settings(seed, limit), &snapshot).expect("a snapshot");
        let mut restored = replay(restored, &journal[kept_before..]);
        let is = look(&mut service, now, &jobs);
        prop_assert_eq!(&is, &look(&mut replayed, now, &jobs));
        prop_assert_eq!(&is, &look(&mut restored, now, &jobs));
        let will_be = afterwards(&mut service, now, &jobs);
        prop_assert_eq!(&will_be, &afterwards(&mut replayed, now, &jobs));
        prop_assert_eq!(&will_be, &afterwards(&mut restored, now, &jobs));
    }
}

/// Lives of which nothing is left to chance.
fn fixed_lives() -> Vec<Life> {
    let mut runner = TestRunner::deterministic();
    let lives = (0..40).map(|seed| {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        live(&steps, settings(seed, None), 30)
    });
    lives.collect()
}

#[test]
fn lives_are_full_enough_to_tell_something() {
    let lives = fixed_lives();
    let kept = |like: fn(&Call) -> bool| {
        let kept = |life: &Life| life.served.journal.iter().filter(|(_, call)| like(call)).count();
        lives.iter().map(kept).sum::<usize>()
    };
    for (what, count) in [
        ("polls", kept(|call| matches!(call, Call::Poll { .. }))),
        ("messages deleted", kept(|call| matches!(call, Call::DeleteMessage { .. }))),
        ("jobs completed", kept(|call| matches!(call, Call::CompleteJob { .. }))),
        ("agents removed", kept(|call| matches!(call, Call::RemoveAgent { .. }))),
        ("locks renewed", kept(|call| matches!(call, Call::RenewJobRequest { .. }))),
        ("reports", kept(|call| matches!(call, Call::Plan { .. }))),
    ] {
        assert!(count > 9, "{what}: {count}");
    }
}

#[test]
fn without_the_polls_of_its_agents_a_service_is_another_one() {
    let mut differ = 0;
    for (seed, life) in (0..).zip(fixed_lives()) {
        let Served { mut service, now, mut journal, jobs, .. } = life.served;
        // Without polls sessions end early, so that what came after may be refused.
        journal.retain(|(_, call)| !matches!(call, Call::Poll { .. }));
        let mut replayed = Service::new(settings(seed, None));
        for (at, call) in journal {
            replayed.handle(at, call);
        }
        differ += usize::from(look(&mut service, now, &jobs) != look(&mut replayed, now, &jobs));
    }
    assert!(differ > 0, "polls need not be kept");
}

#[test]
fn a_snapshot_of_something_else_is_refused() {
    for text in ["", "{}", "[1]", "{\"now\":0}"] {
        assert!(Service::restore(settings(1, None), text.as_bytes()).is_err(), "{text}");
    }
    let mut service = Service::new(settings(1, None));
    let whole = service.snapshot().expect("JSON");
    let cut = &whole[..whole.len() - 1];
    assert!(Service::restore(settings(1, None), cut).is_err());
    let mut same = Service::restore(settings(1, None), &whole).expect("a snapshot");
    let looked = |service: &mut Service| look(service, Instant(5), &[]);
    assert_eq!(looked(&mut service), looked(&mut same));
}
