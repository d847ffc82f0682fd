//! Agents that talk to the service as values see what agents see that talk JSON with it.

use std::collections::BTreeMap;
use std::time::Duration;

use azure_devops::agent::{
    self, Answer, CallId, Failure, Listener, Output, Registration, Setup, SetupAnswer, SetupResult,
    SetupStep, direct, wire,
};
use azure_devops::wire::PlanEvent;
use azure_devops::{
    AgentDraft, AgentId, BuildCall, BuildId, Call, Definition, DefinitionRef, Effects, Include, JobTemplate,
    MessageId, PoolId, Refusal, Reply, RequestId, Secret, Service, SessionDraft, Settings, WaiterId,
};
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Fact, Instant, Millis, MillisRange};
use proptest::prelude::*;
use serde_json::Value;

const POOL: &str = "keda pool/ä";
const EPOCH: Duration = Duration::from_millis(1_790_000_000_123);

/// How an agent's calls get to the service, and the answers back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Wire,
    Direct,
}

struct Agent {
    name: String,
    registration: Registration,
    listener: Listener,
    calls: BTreeMap<CallId, agent::Call>,
    ended: bool,
}

struct Arm {
    way: Way,
    service: Service,
    now: Instant,
    agents: Vec<Agent>,
    waiters: BTreeMap<WaiterId, (usize, CallId)>,
    told: Vec<String>,
    facts: Vec<Fact>,
    builds: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Agent { name: u8, once: bool, replace: bool },
    Remove { pick: usize },
    Stop { pick: usize },
    Crash { pick: usize },
    Build { jobs: usize, seconds: u64 },
    Cancel { pick: u64 },
    Pass { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pick = 0_usize..8;
    let step = prop_oneof![
        4 => (0_u8..5, any::<bool>(), any::<bool>())
            .prop_map(|(name, once, replace)| Step::Agent { name, once, replace }),
        1 => pick.clone().prop_map(|pick| Step::Remove { pick }),
        1 => pick.clone().prop_map(|pick| Step::Stop { pick }),
        1 => pick.prop_map(|pick| Step::Crash { pick }),
        3 => (1_usize..4, 0_u64..400).prop_map(|(jobs, seconds)| Step::Build { jobs, seconds }),
        1 => (1_u64..6).prop_map(|pick| Step::Cancel { pick }),
        6 => prop_oneof![0_u64..5_000, 5_000_u64..60_000, 60_000_u64..800_000]
            .prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..60)
}

fn service() -> Service {
    let placeholder = Placeholder { name: "template".to_owned(), capabilities: BTreeMap::new() };
    let organization = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange { least: Millis::ZERO, most: Millis(3000) },
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![scenario::Pool { name: POOL.to_owned(), id: 18, agents: vec![placeholder] }],
    };
    Service::new(Settings::new("acme", "http://ado.test/acme", Secret::new("pat"), 5, EPOCH, &organization))
}

impl Arm {
    fn new(way: Way) -> Self {
        Self {
            way,
            service: service(),
            now: Instant::START,
            agents: Vec::new(),
            waiters: BTreeMap::new(),
            told: Vec::new(),
            facts: Vec::new(),
            builds: 0,
        }
    }

    fn ask(&mut self, call: Call) -> Reply {
        let (reply, effects) = self.service.handle(self.now, call);
        self.take(effects);
        reply
    }

    fn take(&mut self, effects: Effects) {
        self.facts.extend(effects.facts);
        for (waiter, answer) in effects.answered {
            let Some((agent, id)) = self.waiters.remove(&waiter) else { continue };
            let Some(call) = self.agents[agent].calls.get(&id).cloned() else { continue };
            let answer = self.read(&call, answer);
            self.answer(agent, id, answer);
        }
    }

    fn encoded(&self, answer: Result<azure_devops::Answer, Refusal>) -> (u16, Vec<u8>) {
        let mut body = Vec::new();
        match answer {
            Ok(answer) => {
                self.service.encode(&answer, &mut body);
                let status = match answer {
                    azure_devops::Answer::NoMessage => 202,
                    azure_devops::Answer::Done => 204,
                    _ => 200,
                };
                (status, body)
            }
            Err(refusal) => (refusal.status(), refusal.body()),
        }
    }

    fn read(
        &self,
        call: &agent::Call,
        answer: Result<azure_devops::Answer, Refusal>,
    ) -> Result<Answer, Failure> {
        match self.way {
            Way::Direct => direct::answer(&self.service, call, answer),
            Way::Wire => {
                let (status, body) = self.encoded(answer);
                wire::answer(call, status, &body)
            }
        }
    }

    fn answer(&mut self, agent: usize, id: CallId, answer: Result<Answer, Failure>) {
        if self.agents[agent].ended {
            return;
        }
        self.agents[agent].calls.remove(&id);
        let outputs = self.agents[agent].listener.answer(self.now, id, answer);
        self.outputs(agent, outputs);
    }

    fn outputs(&mut self, agent: usize, outputs: Vec<Output>) {
        for output in outputs {
            self.told.push(format!("{} {agent}: {output:?}", self.now));
            match output {
                Output::Call { id, call } => self.call(agent, id, &call),
                Output::Abandon(id) => {
                    self.agents[agent].calls.remove(&id);
                }
                Output::Observed(_) => {}
                Output::Exit(_) => self.agents[agent].ended = true,
            }
        }
    }

    fn call(&mut self, agent: usize, id: CallId, call: &agent::Call) {
        self.agents[agent].calls.insert(id, call.clone());
        let registration = &self.agents[agent].registration;
        let made = match self.way {
            Way::Wire => decode(&wire::request(call, registration)),
            Way::Direct => direct::call(call, &directly(registration)).expect("a call"),
        };
        let answer = match self.ask(made) {
            Reply::Held(waiter) => {
                self.waiters.insert(waiter, (agent, id));
                return;
            }
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(refusal),
        };
        let answer = self.read(call, answer);
        self.answer(agent, id, answer);
    }

    fn set_up(
        &mut self,
        mut setup: Setup,
        name: &str,
        capabilities: &BTreeMap<String, String>,
    ) -> Option<SetupResult> {
        let mut step = setup.start(self.now);
        loop {
            let call = match step {
                SetupStep::Call { call, .. } => call,
                SetupStep::End(end) => {
                    self.told.push(format!("{} {name}: {end:?}", self.now));
                    return end.ok();
                }
            };
            self.told.push(format!("{} {name}: {call:?}", self.now));
            let identity = direct::Identity {
                name: name.into(),
                software: direct::Software::default(),
                capabilities: capabilities.clone().into(),
            };
            let made = match self.way {
                Way::Wire => decode(&wire::setup_request(&call, name, capabilities)),
                Way::Direct => direct::setup_call(&call, &identity),
            };
            let answer = match self.ask(made) {
                Reply::Answer(answer) => Ok(answer),
                Reply::Refused(refusal) => Err(refusal),
                Reply::Held(_) => panic!("only polls are held"),
            };
            let answer: Result<SetupAnswer, Failure> = match self.way {
                Way::Direct => direct::setup_answer(&call, answer),
                Way::Wire => {
                    let (status, body) = self.encoded(answer);
                    wire::setup_answer(&call, status, &body)
                }
            };
            step = setup.answer(self.now, answer);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Agent { name, once, replace } => self.start(&format!("Pod {name}"), once, replace),
            Step::Remove { pick } => {
                if let Some(agent) = self.agents.get(pick) {
                    let Registration { pool, agent, name, capabilities } = agent.registration.clone();
                    self.set_up(Setup::remove(pool, agent, name.as_str(), 1), &name, &capabilities);
                }
            }
            Step::Stop { pick } => {
                if self.agents.get(pick).is_some_and(|agent| !agent.ended) {
                    let outputs = self.agents[pick].listener.stop(self.now);
                    self.outputs(pick, outputs);
                }
            }
            Step::Crash { pick } => {
                if let Some(agent) = self.agents.get_mut(pick) {
                    agent.ended = true;
                }
            }
            Step::Build { jobs, seconds } => self.build(jobs, Millis::seconds(seconds)),
            Step::Cancel { pick } => {
                if pick <= self.builds {
                    self.ask(Call::Build(BuildCall::cancel(BuildId(pick))));
                }
            }
            Step::Pass { millis } => self.pass(Millis(millis)),
        }
    }

    fn start(&mut self, name: &str, once: bool, replace: bool) {
        let machine = BTreeMap::from([("JAVA".to_owned(), "17 ä\"".to_owned())]);
        let capabilities = agent::capabilities(name, machine);
        let setup = Setup::configure(POOL, name, replace, 1);
        let Some(SetupResult::Registered { pool, agent, .. }) = self.set_up(setup, name, &capabilities)
        else {
            return;
        };
        let registration = Registration { pool, agent, name: name.to_owned(), capabilities };
        let seed = self.agents.len() as u64;
        let listener = Listener::new(agent::Settings::new(once, seed, EPOCH));
        let calls = BTreeMap::new();
        self.agents.push(Agent { name: name.to_owned(), registration, listener, calls, ended: false });
        let place = self.agents.len() - 1;
        let outputs = self.agents[place].listener.start(self.now);
        self.outputs(place, outputs);
    }

    fn build(&mut self, jobs: usize, duration: Millis) {
        let job = |number: usize| {
            JobTemplate::new(format!("Job {number}"), vec!["java".parse().expect("a demand")], duration)
        };
        let definition = Definition::flat("ci", "project", POOL.to_owned(), (0..jobs).map(job).collect());
        self.ask(Call::Build(BuildCall::define(definition)));
        if let Reply::Answer(_) =
            self.ask(Call::Build(BuildCall::queue(DefinitionRef::Name("ci".to_owned()))))
        {
            self.builds += 1;
        }
    }

    fn pass(&mut self, span: Millis) {
        let until = self.now + span;
        loop {
            let service = self.service.next_deadline();
            let agents = self.agents.iter().filter(|agent| !agent.ended);
            let agents = agents.filter_map(|agent| agent.listener.next_deadline()).min();
            let due = [service, agents].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            let effects = self.service.advance(self.now);
            self.take(effects);
            for agent in 0..self.agents.len() {
                let is_due = self.agents[agent].listener.next_deadline().is_some_and(|due| due <= self.now);
                if is_due && !self.agents[agent].ended {
                    let outputs = self.agents[agent].listener.advance(self.now);
                    self.outputs(agent, outputs);
                }
            }
        }
        self.now = until;
    }
}

fn directly(registration: &Registration) -> direct::Registration {
    direct::Registration {
        pool: PoolId(registration.pool),
        agent: AgentId(registration.agent),
        identity: direct::Identity {
            name: registration.name.as_str().into(),
            software: direct::Software::default(),
            capabilities: registration.capabilities.clone().into(),
        },
    }
}

/// What the service's shell makes of an agent's request.
fn decode(request: &wire::Request) -> Call {
    let (path, query) = request.target.split_once('?').expect("an api-version at least");
    let value = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.clone().find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    };
    let body: Value =
        request.body.as_ref().map_or(Value::Null, |body| serde_json::from_str(body).expect("JSON"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let capabilities = || -> BTreeMap<String, String> {
        serde_json::from_value(body["systemCapabilities"].clone()).expect("capabilities")
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let parts: Vec<&str> = path.split('/').collect();
    let draft = || AgentDraft {
        name: text(&body["name"]).into(),
        version: text(&body["version"]).into(),
        os_description: text(&body["osDescription"]).into(),
        enabled: body["enabled"].as_bool(),
        capabilities: capabilities().into(),
        ..AgentDraft::default()
    };
    let session = || value("sessionId").expect("a session").parse().expect("a GUID");
    match (request.method, parts.as_slice()) {
        ("GET", ["_apis", _, "pools"]) => Call::ListPools { name: value("poolName"), ids: Vec::new() },
        ("POST", [.., "plans", plan, "events"]) => {
            let event: PlanEvent = serde_json::from_value(body.clone()).expect("an event");
            Call::CompleteJob {
                plan: plan.parse().expect("a GUID"),
                request: RequestId(event.request_id),
                result: event.result.0,
                agent_shutting_down: event.agent_shutting_down,
            }
        }
        (method, ["_apis", _, "pools", pool, rest @ ..]) => {
            let pool = PoolId(number(pool));
            match (method, rest) {
                ("POST", ["sessions"]) => Call::OpenSession {
                    pool,
                    draft: SessionDraft {
                        owner: text(&body["ownerName"]).into(),
                        agent: AgentId(body["agent"]["id"].as_u64().expect("an id")),
                        version: Some(text(&body["agent"]["version"]).into()),
                        os_description: Some(text(&body["agent"]["osDescription"]).into()),
                        capabilities: Some(capabilities().into()),
                    },
                },
                ("DELETE", ["sessions", session]) => {
                    Call::CloseSession { pool, session: session.parse().expect("a GUID") }
                }
                ("GET", ["messages"]) => {
                    let after = value("lastMessageId").map(|last| MessageId(number(&last)));
                    Call::Poll { pool, session: session(), after }
                }
                ("DELETE", ["messages", message]) => {
                    Call::DeleteMessage { pool, session: session(), message: MessageId(number(message)) }
                }
                ("PATCH", ["jobrequests", request]) => {
                    Call::RenewJobRequest { pool, request: RequestId(number(request)), to_top: false }
                }
                ("GET", ["agents"]) => Call::ListAgents {
                    pool,
                    name: value("agentName"),
                    demands: Vec::new(),
                    include: Include::default(),
                },
                ("POST", ["agents"]) => Call::RegisterAgent { pool, draft: draft() },
                ("PUT", ["agents", agent]) => {
                    Call::ReplaceAgent { pool, agent: AgentId(number(agent)), draft: draft() }
                }
                ("DELETE", ["agents", agent]) => Call::RemoveAgent { pool, agent: AgentId(number(agent)) },
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, behind @ ..]) = (first, after) {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).expect("digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("digits"));
            rest = behind;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn agents_do_the_same_whichever_way_they_talk(steps in steps()) {
        let (mut by_wire, mut directly) = (Arm::new(Way::Wire), Arm::new(Way::Direct));
        for step in steps {
            by_wire.step(step);
            directly.step(step);
            prop_assert_eq!(&by_wire.told, &directly.told);
            prop_assert_eq!(&by_wire.facts, &directly.facts);
        }
    }
}

#[test]
fn both_ways_go_through_a_job_and_its_end() {
    for way in [Way::Wire, Way::Direct] {
        let mut arm = Arm::new(way);
        arm.step(Step::Agent { name: 1, once: true, replace: true });
        arm.step(Step::Build { jobs: 1, seconds: 90 });
        arm.step(Step::Pass { millis: 120_000 });
        assert!(arm.agents[0].ended && arm.agents[0].name == "Pod 1", "{way:?}");
        assert!(arm.facts.iter().any(|fact| matches!(fact, Fact::BuildCompleted { .. })), "{way:?}");
        let told = arm.told.join("\n");
        for what in ["JobStarted", "JobLocked", "Renew", "JobCompleted", "Exit(0)"] {
            assert!(told.contains(what), "{way:?}: no {what} in\n{told}");
        }
    }
}
