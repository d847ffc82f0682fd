//! An organisation on the server: the service behind its lock, the polls that
//! wait outside it, and the task that lets time pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use azure_devops::{
    AgentSnapshot, Answer, BuildId, Call, Definition, DefinitionId, DefinitionRef, Effects, JobRequestQuery,
    PoolId, Refusal, Reply, Secret, Service, Settings, Switches, WaiterId,
};
use clock::Clock;
use model::event::{RequestForm, ScalerRow};
use model::fault::ServiceFault;
use model::{Event, Fact, Instant, Source, scenario};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::Hub;
use crate::faults::{Faults, Snapshot};

/// What an organisation is made of.
pub struct NewOrganization {
    /// Its name: the first segment of every path.
    pub name: String,
    /// The personal access token that opens it.
    pub token: String,
    /// Its pools, limits and delays.
    pub settings: scenario::Organization,
    /// Where its random choices come from.
    pub seed: u64,
    /// Where its events go.
    pub events: UnboundedSender<Event>,
}

/// Why an organisation was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Names are unique whatever the case.
    #[error("there is an organization named {0} already")]
    NameTaken(String),
    /// It has to be one segment of a path.
    #[error("`{0}` cannot be an organization's name; use letters, digits, dashes and dots")]
    BadName(String),
}

/// An organisation that is served, for those who run it in the same process.
#[derive(Debug, Clone)]
pub struct Organization {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
}

/// An organisation as connections see it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) url: String,
    clock: Clock,
    events: UnboundedSender<Event>,
    /// Never held across an await: whoever locks decides, and lets go.
    state: Mutex<State>,
    /// Locked before the state, where both are.
    faults: Mutex<Faults>,
    /// Turned true when the organisation is removed.
    closed: watch::Sender<bool>,
    /// Something is due earlier than the task that lets time pass knows.
    earlier: Notify,
    time: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    service: Service,
    waiters: BTreeMap<WaiterId, oneshot::Sender<Encoded>>,
    /// The list that was read last, as long as nothing has happened that it could tell of: several
    /// scalers read the same one, and it has hundreds of kilobytes.
    last_list: Option<(PoolId, JobRequestQuery, Bytes)>,
    /// When the task that lets time pass wakes.
    wakes: Option<Instant>,
    closed: bool,
}

impl State {
    /// The JSON of a list of job requests.
    fn encode_list(&mut self, pool: PoolId, query: JobRequestQuery, answer: &Answer) -> Encoded {
        let known = self.last_list.take().filter(|(of, by, _)| *of == pool && *by == query);
        let body = known.map_or_else(|| encode(&self.service, answer).body, |(_, _, body)| body);
        self.last_list = Some((pool, query, body.clone()));
        Encoded { status: 200, body }
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// KEDA reading the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScalerRead {
    pub(crate) pool: PoolId,
    pub(crate) form: RequestForm,
    pub(crate) arrival: Instant,
}

impl ScalerRead {
    /// What the log is told of it.
    pub(crate) fn fact(self, now: Instant, status: u16, rows: Vec<ScalerRow>) -> Fact {
        let latency_ms = now.since(self.arrival).0;
        Fact::ScalerRead { pool: self.pool.0, form: self.form, status, latency_ms, rows }
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Called {
    Answered(Encoded),
    Held(oneshot::Receiver<Encoded>),
}

pub(crate) fn add(
    hub: &Arc<Hub>,
    new: NewOrganization,
    switches: Switches,
) -> Result<Organization, AddError> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-.~".contains(character);
    if new.name.is_empty() || !new.name.chars().all(allowed) || new.name.chars().all(|dot| dot == '.') {
        return Err(AddError::BadName(new.name));
    }
    let name = new.name.clone();
    let make = || Shared::start(hub, new, switches);
    let shared = hub.insert(&name, make).ok_or(AddError::NameTaken(name))?;
    Ok(Organization { hub: Arc::clone(hub), shared })
}

impl Organization {
    /// Its address, which is what `AZP_URL` and KEDA's `organizationURL` are.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.url.clone()
    }

    /// Makes a definition, or gives the one with the same name other jobs.
    ///
    /// # Errors
    /// If it names no pool of this organisation, or no jobs.
    pub fn define(&self, definition: Definition) -> Result<DefinitionId, Refusal> {
        match self.shared.decide(Call::Define(definition))? {
            Answer::Definition(id) => Ok(id),
            other => unreachable!("a definition is answered with its id, not with {other:?}"),
        }
    }

    /// Queues a build of a definition.
    ///
    /// # Errors
    /// If there is no such definition, or no agent that could ever run one of its jobs.
    pub fn queue_build(&self, definition: &str) -> Result<BuildId, Refusal> {
        let reference = DefinitionRef::Name(definition.to_owned());
        match self.shared.decide(Call::QueueBuild(reference))? {
            Answer::Build(id) => Ok(id),
            other => unreachable!("a build is answered with its id, not with {other:?}"),
        }
    }

    /// Cancels what is left of a build.
    ///
    /// # Errors
    /// If there is no such build.
    pub fn cancel_build(&self, build: BuildId) -> Result<(), Refusal> {
        self.shared.decide(Call::CancelBuild(build)).map(|_| ())
    }

    /// How many of its job requests have no result.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.shared.lock().service.unfinished()
    }

    /// How many polls are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.lock().waiters.len()
    }

    /// Its agents, by id.
    #[must_use]
    pub fn agents(&self) -> Vec<AgentSnapshot> {
        self.shared.lock().service.agents()
    }

    /// From here on it answers as the fault says; the fault's times are the caller's to keep.
    pub fn begin_fault(&self, number: u32, fault: ServiceFault) {
        self.shared.faults().begin(number, fault, |call| self.shared.snapshot(call));
    }

    /// From here on this fault is over. Requests that wait because of it wait on.
    pub fn end_fault(&self, number: u32) {
        self.shared.faults().end(number);
    }

    /// Takes it off the server. Polls that are held are answered as if it had never been there.
    pub fn remove(&self) {
        self.hub.remove(&self.shared.name);
    }
}

impl Shared {
    fn start(hub: &Hub, new: NewOrganization, switches: Switches) -> Arc<Self> {
        let clock = hub.clock;
        let url = format!("http://{}/{}", hub.address, new.name);
        let token = Secret::new(&new.token);
        let mut settings = Settings::new(&new.name, &url, token, new.seed, clock.epoch(), &new.settings);
        settings.switches = switches;
        let state = State {
            service: Service::new(settings),
            waiters: BTreeMap::new(),
            last_list: None,
            wakes: None,
            closed: false,
        };
        let shared = Arc::new(Self {
            name: new.name,
            url,
            clock,
            events: new.events,
            state: Mutex::new(state),
            faults: Mutex::default(),
            closed: watch::Sender::new(false),
            earlier: Notify::new(),
            time: Mutex::new(None),
        });
        shared.let_time_pass();
        let task = tokio::spawn(pass_time(Arc::clone(&shared)));
        *shared.time.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        shared
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits until an instant, or for ever if there is none. False if the organisation is removed first.
    pub(crate) async fn wait(&self, until: Option<Instant>) -> bool {
        let due = async {
            match until {
                Some(until) => self.clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let mut closed = self.closed.subscribe();
        tokio::select! {
            () = due => true,
            // An error is impossible: the sender is held by self.
            _ = closed.wait_for(|closed| *closed) => false,
        }
    }

    /// What a read is answered now, with its rows. It is told to nobody.
    fn snapshot(&self, call: Call) -> Option<Snapshot> {
        let mut state = self.lock();
        let now = self.clock.now();
        let (reply, effects) = state.service.handle(now, call);
        let snapshot = match reply {
            Reply::Answer(answer) => {
                let rows = match &answer {
                    Answer::JobRequests(list) => state.service.scaler_rows(list),
                    _ => Vec::new(),
                };
                Some(Snapshot { answer: encode(&state.service, &answer), rows })
            }
            Reply::Refused(_) | Reply::Held(_) => None,
        };
        self.apply(&mut state, now, effects);
        snapshot
    }

    pub(crate) fn tell(&self, fact: Fact) {
        self.tell_at(self.clock.now(), fact);
    }

    fn tell_at(&self, at: Instant, fact: Fact) {
        // Nobody listens any more: the run is over.
        let _ = self.events.send(Event { at, by: Source::Service, fact });
    }

    /// Reads from the service.
    pub(crate) fn look<T>(&self, read: impl FnOnce(&Service) -> T) -> T {
        read(&self.lock().service)
    }

    /// Makes a call from within the process.
    fn decide(&self, call: Call) -> Result<Answer, Refusal> {
        let mut state = self.lock();
        // The time is read under the lock, so that it never goes back between two calls.
        let now = self.clock.now();
        let (reply, effects) = state.service.handle(now, call);
        state.last_list = None;
        self.apply(&mut state, now, effects);
        match reply {
            Reply::Answer(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(refusal),
            Reply::Held(_) => unreachable!("only polls are held"),
        }
    }

    /// Makes a call for a client. A read of KEDA's is told to the log here, under the lock: its
    /// rows stand between what was told before and what comes after.
    pub(crate) fn call(&self, call: Call, scaler_read: Option<ScalerRead>) -> Called {
        let mut state = self.lock();
        if state.closed {
            return Called::Answered(refused(&Refusal::NothingHere(format!("/{}", self.name))));
        }
        let now = self.clock.now();
        let list = match &call {
            Call::ListJobRequests { pool, query } => Some((*pool, query.clone())),
            _ => None,
        };
        let (reply, effects) = state.service.handle(now, call);
        // Rows change by calls, and by time with a fact.
        if list.is_none() || !effects.facts.is_empty() {
            state.last_list = None;
        }
        let mut rows = Vec::new();
        let called = match reply {
            Reply::Answer(answer) => {
                // Rows are some thousand texts, so they are told only if somebody listens.
                let told = scaler_read.is_some() && !self.events.is_closed();
                if let (true, Answer::JobRequests(list)) = (told, &answer) {
                    rows = state.service.scaler_rows(list);
                }
                Called::Answered(match list {
                    Some((pool, query)) => state.encode_list(pool, query, &answer),
                    None => encode(&state.service, &answer),
                })
            }
            Reply::Refused(refusal) => Called::Answered(refused(&refusal)),
            Reply::Held(waiter) => {
                let (answer, held) = oneshot::channel();
                state.waiters.insert(waiter, answer);
                Called::Held(held)
            }
        };
        self.apply(&mut state, now, effects);
        if let (Some(read), Called::Answered(answer)) = (scaler_read, &called) {
            self.tell_at(now, read.fact(now, answer.status, rows));
        }
        called
    }

    /// Tells what happened and answers the polls that have their answer now. Still under the
    /// lock: the log has the order in which things were decided.
    fn apply(&self, state: &mut State, now: Instant, effects: Effects) {
        if !effects.facts.is_empty() {
            // Whatever rows tell of is a call or a fact.
            state.last_list = None;
        }
        for fact in effects.facts {
            self.tell_at(now, fact);
        }
        for (waiter, answer) in effects.answered {
            let Some(waiting) = state.waiters.remove(&waiter) else { continue };
            let encoded = match answer {
                Ok(answer) => encode(&state.service, &answer),
                Err(refusal) => refused(&refusal),
            };
            // The client is gone. The message stays until it is deleted, so nothing is lost.
            let _ = waiting.send(encoded);
        }
        let due = state.service.next_deadline();
        if due.is_some_and(|due| state.wakes.is_none_or(|wakes| due < wakes)) {
            self.earlier.notify_one();
        }
    }

    /// Does what is due, and says when something is due next.
    fn let_time_pass(&self) -> Option<Instant> {
        let mut state = self.lock();
        let now = self.clock.now();
        let effects = state.service.advance(now);
        // Awake: nothing is earlier than this.
        state.wakes = Some(Instant::START);
        self.apply(&mut state, now, effects);
        state.wakes = state.service.next_deadline();
        state.wakes
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.closed.send_replace(true);
        state.waiters.clear();
        drop(state);
        if let Some(task) = self.time.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Sleeps until something is due, does it, and sleeps again.
async fn pass_time(shared: Arc<Shared>) {
    loop {
        let due = shared.let_time_pass();
        let sleep = async {
            match due {
                Some(due) => shared.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = shared.earlier.notified() => {}
        }
    }
}

fn encode(service: &Service, answer: &Answer) -> Encoded {
    let mut body = Vec::new();
    service.encode(answer, &mut body);
    let status = match answer {
        Answer::NoMessage => 202,
        Answer::Done => 204,
        _ => 200,
    };
    Encoded { status, body: body.into() }
}

pub(crate) fn refused(refusal: &Refusal) -> Encoded {
    Encoded { status: refusal.status(), body: refusal.body().into() }
}
