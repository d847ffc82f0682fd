//! The agent on real sockets against the real fake, in dilated time.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::{Identity, Observation, Registration, RemoveError, RunOptions, configure, remove, run};
use azure_devops::{Definition, JobTemplate};
use clock::{Clock, wall};
use model::event::JobResult;
use model::scenario::{Organization as Settings, ParallelJobs, Pool};
use model::{Event, Fact, Millis, MillisRange};
use server::{NewOrganization, Organization, Server};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

const TOKEN: &str = "a-token";
/// What an agent waits for, and is waited for, takes seconds at this speed: a machine that stalls for less changes nothing.
const SPEED: u32 = 20;
/// For what ends by waiting, and by nothing that could come too late.
const FAST: u32 = 100;
/// No wait of these tests takes longer, in wall time, unless something is broken.
const BOUND: Duration = Duration::from_secs(120);

struct World {
    clock: Clock,
    organization: Organization,
    events: UnboundedReceiver<Event>,
    facts: Vec<Fact>,
    _server: Server,
}

impl World {
    async fn new() -> Self {
        Self::at_speed(SPEED).await
    }

    async fn at_speed(speed: u32) -> Self {
        let clock = Clock::start(speed);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::start(server::Options { listen, clock, packages: Vec::new() }).await;
        let server = server.expect("a free port");
        let (sender, events) = unbounded_channel();
        let organization = server
            .add_organization(NewOrganization {
                name: "acme".to_owned(),
                token: TOKEN.to_owned(),
                settings: Settings {
                    parallel_jobs: ParallelJobs::Unlimited,
                    assign_delay: MillisRange::exactly(Millis::seconds(1)),
                    job_lock: Millis::minutes(10),
                    session_expiry: Millis::minutes(5),
                    quirks: model::quirks::Quirks::default(),
                    pools: vec![Pool { name: "keda pool".to_owned(), id: 18, agents: Vec::new() }],
                },
                seed: 1,
                events: sender,
            })
            .expect("the first organisation");
        Self { clock, organization, events, facts: Vec::new(), _server: server }
    }

    fn identity(&self, name: &str) -> Identity {
        Identity {
            url: self.organization.url(),
            token: TOKEN.to_owned(),
            pool: "keda pool".to_owned(),
            name: name.to_owned(),
        }
    }

    async fn configured(&self, name: &str) -> (Identity, Registration) {
        let identity = self.identity(name);
        let registration = configure(self.clock, &identity, &BTreeMap::new(), true).await;
        let registration = registration.expect("it can be registered");
        (identity, registration)
    }

    fn queue_job(&self, duration: Millis) {
        let job = JobTemplate::new("Job", Vec::new(), duration);
        let (name, project, pool) = ("ci".to_owned(), "p".to_owned(), "keda pool".to_owned());
        self.organization.define(Definition::flat(name, project, pool, vec![job])).expect("its pool exists");
        self.organization.queue_build("ci").expect("an agent can run it");
    }

    async fn sees(&mut self, which: fn(&Fact) -> bool) -> &Fact {
        let waited = wall::timeout(BOUND, async {
            loop {
                let event = self.events.recv().await.expect("the organisation lives");
                let found = which(&event.fact);
                self.facts.push(event.fact);
                if found {
                    return;
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it was not seen: {:?}", self.facts));
        self.facts.last().expect("it was just seen")
    }
}

fn once() -> RunOptions {
    RunOptions { once: true, seed: 7 }
}

fn online(fact: &Fact) -> bool {
    matches!(fact, Fact::AgentOnline { .. })
}
fn received(fact: &Fact) -> bool {
    matches!(fact, Fact::JobRequestReceived { .. })
}
fn finished(fact: &Fact) -> bool {
    matches!(fact, Fact::JobRequestFinished { .. })
}
fn closed(fact: &Fact) -> bool {
    matches!(fact, Fact::SessionClosed { .. })
}

#[tokio::test]
async fn an_agent_registers_runs_a_job_leaves_and_is_unregistered() {
    let mut world = World::new().await;
    let (identity, registration) = world.configured("pod-1").await;
    assert_eq!(registration.pool, 18);
    let observed = Arc::new(Mutex::new(Vec::new()));
    let running = tokio::spawn({
        let (clock, identity, registration) = (world.clock, identity.clone(), registration.clone());
        let observed = Arc::clone(&observed);
        async move {
            let observe = |observation| observed.lock().unwrap().push(observation);
            run(clock, &identity, &registration, once(), pending(), observe).await
        }
    });
    world.sees(online).await;
    world.queue_job(Millis::minutes(3));
    world.sees(received).await;
    let refused = remove(world.clock, &identity, &registration).await;
    assert!(matches!(&refused, Err(RemoveError::Busy(words)) if words.contains("pod-1")), "{refused:?}");
    let Fact::JobRequestFinished { result, .. } = *world.sees(finished).await else { unreachable!() };
    assert_eq!(result, JobResult::Succeeded);
    assert_eq!(wall::timeout(BOUND, running).await.expect("it leaves").unwrap(), 0);
    world.sees(closed).await;
    assert_eq!(world.organization.agents().len(), 1, "leaving is not unregistering");
    remove(world.clock, &identity, &registration).await.unwrap();
    assert!(world.organization.agents().is_empty());
    remove(world.clock, &identity, &registration).await.expect("nothing to remove is no failure");
    let observed = observed.lock().unwrap();
    assert!(matches!(
        observed[..],
        [
            Observation::Listening { .. },
            Observation::JobStarted { .. },
            Observation::JobLocked { .. },
            Observation::JobCompleted { result: JobResult::Succeeded, .. },
        ]
    ));
}

#[tokio::test]
async fn a_name_that_is_taken_is_replaced_or_refused() {
    let world = World::new().await;
    let (identity, first) = world.configured("pod-1").await;
    let (_, second) = world.configured("pod-1").await;
    assert_eq!(first.agent, second.agent, "the id is kept");
    let refused = configure(world.clock, &identity, &BTreeMap::new(), false).await.unwrap_err();
    assert_eq!(refused.to_string(), "Pool 18 already contains an agent with name pod-1.");
}

#[tokio::test]
async fn what_config_cannot_do_it_says() {
    let world = World::at_speed(FAST).await;
    let configure = async |identity: Identity| {
        configure(world.clock, &identity, &BTreeMap::new(), true).await.unwrap_err().to_string()
    };
    let right = world.identity("pod-1");
    let words = configure(Identity { pool: "no such pool".to_owned(), ..right.clone() }).await;
    assert_eq!(words, "Agent pool not found: 'no such pool'");
    let words = configure(Identity { token: "wrong".to_owned(), ..right.clone() }).await;
    assert!(words.to_lowercase().contains("authorized"), "{words}");
    let words = configure(Identity { url: "http://127.0.0.1:1/acme".to_owned(), ..right.clone() }).await;
    assert!(words.contains("127.0.0.1:1"), "{words}");
    let words = configure(Identity { url: right.url.replace("http:", "https:"), ..right }).await;
    assert!(words.contains("TLS"), "{words}");
}

#[tokio::test]
async fn a_stopped_agent_cancels_its_job_and_closes_its_session() {
    let mut world = World::new().await;
    let (identity, registration) = world.configured("pod-1").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let (sender, mut observed) = unbounded_channel();
    let clock = world.clock;
    let running = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        let options = RunOptions { once: false, seed: 7 };
        let observe = move |observation| drop(sender.send(observation));
        run(clock, &identity, &registration, options, stopped, observe).await
    });
    world.sees(online).await;
    world.queue_job(Millis::minutes(60));
    // One that is stopped before it holds the job's lock drops the job without a word.
    let locked =
        async { while !matches!(observed.recv().await.expect("it runs"), Observation::JobLocked { .. }) {} };
    wall::timeout(BOUND, locked).await.expect("it works on the job");
    stop.send(()).unwrap();
    let Fact::JobRequestFinished { result, .. } = *world.sees(finished).await else { unreachable!() };
    assert_eq!(result, JobResult::Canceled);
    world.sees(closed).await;
    assert_eq!(wall::timeout(BOUND, running).await.expect("it leaves").unwrap(), 0);
}

#[tokio::test]
async fn an_agent_that_crashes_says_nothing_and_its_session_expires() {
    let mut world = World::at_speed(FAST).await;
    let (identity, registration) = world.configured("pod-1").await;
    let clock = world.clock;
    let running =
        tokio::spawn(async move { run(clock, &identity, &registration, once(), pending(), |_| {}).await });
    world.sees(online).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    world.sees(|fact| matches!(fact, Fact::SessionExpired { .. })).await;
    assert!(!world.facts.iter().any(closed), "a crash is not an orderly end");
}

/// A request's head, from a service that never answers.
async fn heard(listener: &TcpListener) -> (TcpStream, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.expect("the agent connects");
    let mut text = Vec::new();
    while !text.windows(4).any(|four| four == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut text).await.expect("a request") > 0, "it waits for an answer");
    }
    (stream, text)
}

#[tokio::test]
async fn a_dropped_agent_closes_its_socket() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/acme", listener.local_addr().unwrap());
    let identity = Identity { url, token: TOKEN.to_owned(), pool: "p".to_owned(), name: "n".to_owned() };
    let registration =
        Registration { pool: 1, agent: 2, name: "n".to_owned(), capabilities: BTreeMap::new() };
    let clock = Clock::start(1);
    let running = run(clock, &identity, &registration, once(), pending(), |_| {});
    let (mut stream, mut text) = tokio::select! {
        code = running => panic!("nobody answers it, and it ends: {code}"),
        heard = heard(&listener) => heard,
    };
    // It is dropped now.
    let closed = wall::timeout(BOUND, stream.read_to_end(&mut text)).await;
    closed.expect("the agent closes its socket").unwrap();
    let text = String::from_utf8(text).expect("its requests are text");
    assert!(text.starts_with("POST /acme/_apis/distributedtask/pools/1/sessions?"), "{text}");
    assert!(text.contains("\r\nAuthorization: Basic VnN0c0FnZW50OmEtdG9rZW4=\r\n"), "{text}");
}
