//! An organisation on the server: the service behind its lock, the polls that
//! wait outside it, and the task that lets time pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::header::{HeaderName, HeaderValue};
use azure_devops::Message;
use azure_devops::faults::{FaultId, Upset};
use azure_devops::{
    AgentSnapshot, Answer, BuildAnswer, BuildCall, BuildId, Call, Definition, DefinitionId, DefinitionRef,
    Effects, JobRequestQuery, PoolId, Refusal, Reply, Secret, Service, Settings, Switches, WaiterId,
};
use clock::Clock;
use model::event::{RequestForm, ScalerRow};
use model::fault::ServiceFault;
use model::{Event, Fact, Instant, Source, scenario};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::control_faults;
use crate::faults::{Faults, Snapshot};
use crate::journal::{self, Journal, Line, StateError, Ticket};
use crate::{Hub, responses};

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
    /// What the organisation's calls are kept in, if they are.
    journal: Option<Journal>,
    waiters: BTreeMap<WaiterId, oneshot::Sender<Polled>>,
    /// The list that was read last, as long as nothing has happened that it could tell of: several
    /// scalers read the same one, and it has hundreds of kilobytes.
    last_list: Option<(PoolId, JobRequestQuery, Bytes)>,
    /// When the task that lets time pass wakes.
    wakes: Option<Instant>,
    closed: bool,
}

impl State {
    /// Has the service take a call, and the journal keep it if it is accepted and changes anything.
    fn handle(&mut self, now: Instant, call: Call) -> (Reply, Effects) {
        let Some(journal) = &self.journal else { return self.service.handle(now, call) };
        let line = Line::of(now, &call);
        let (reply, effects) = self.service.handle(now, call);
        if let (Some(line), Reply::Answer(_) | Reply::Held(_)) = (line, &reply) {
            journal.keep(&line);
            journal.shorten(now, &self.service);
        }
        (reply, effects)
    }

    /// The JSON of a list of job requests.
    fn encode_list(&mut self, pool: PoolId, query: JobRequestQuery, answer: &Answer) -> Encoded {
        let known = self.last_list.take().filter(|(of, by, _)| *of == pool && *by == query);
        let body = known.map_or_else(|| encode(&self.service, answer).body, |(_, _, body)| body);
        self.last_list = Some((pool, query, body.clone()));
        Encoded { status: 200, body, ..Encoded::default() }.continued(answer)
    }
}

/// An answer, ready to be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    /// Headers beside those of the body; mostly none.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Encoded {
    fn with(mut self, name: HeaderName, value: &str) -> Self {
        // What cannot be in a header is left out.
        self.headers.extend(value.parse().ok().map(|value| (name, value)));
        self
    }

    /// With the token of the next page, if there is one.
    fn continued(self, answer: &Answer) -> Self {
        match answer.continuation() {
            Some(token) => self.with(responses::CONTINUATION, &token.to_string()),
            None => self,
        }
    }
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

/// An answer, and the message in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Polled {
    pub(crate) answer: Encoded,
    pub(crate) message: Option<Message>,
}

impl From<Encoded> for Polled {
    fn from(answer: Encoded) -> Self {
        Self { answer, message: None }
    }
}

fn message_in(answer: &Answer) -> Option<Message> {
    match answer {
        Answer::Message(message) => Some(*message),
        _ => None,
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Called {
    Answered(Polled),
    Held(oneshot::Receiver<Polled>),
}

pub(crate) fn add(
    hub: &Arc<Hub>,
    new: NewOrganization,
    switches: Switches,
) -> Result<Organization, AddError> {
    check_name(&new.name)?;
    let name = new.name.clone();
    let make = || {
        let settings = settings(hub, &new, switches);
        let faults = Faults::new(settings.seed);
        Shared::start(hub, new, faults, Service::new(settings), None)
    };
    let shared = hub.insert(&name, make).ok_or(AddError::NameTaken(name))?;
    Ok(Organization { hub: Arc::clone(hub), shared })
}

/// Adds an organisation that goes on as its state says.
pub(crate) fn add_kept(
    hub: &Arc<Hub>,
    new: NewOrganization,
    switches: Switches,
    kept: journal::State,
) -> Result<Organization, StateError> {
    check_name(&new.name)?;
    let name = new.name.clone();
    let settings = settings(hub, &new, switches);
    let faults = Faults::new(settings.seed);
    let (service, journal) = kept.resume(settings, &hub.clock)?;
    let make = || {
        let shared = Shared::start(hub, new, faults, service, Some(journal));
        control_faults::restore(&shared);
        shared
    };
    let shared = hub.insert(&name, make).ok_or(AddError::NameTaken(name))?;
    Ok(Organization { hub: Arc::clone(hub), shared })
}

fn settings(hub: &Hub, new: &NewOrganization, switches: Switches) -> Settings {
    let token = Secret::new(&new.token);
    let url = hub.url_of(&new.name);
    let settings = Settings::new(&new.name, &url, token, new.seed, hub.clock.epoch(), &new.settings);
    Settings { switches, ..settings }
}

fn check_name(name: &str) -> Result<(), AddError> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-.~".contains(character);
    if name.is_empty() || !name.chars().all(allowed) || name.chars().all(|dot| dot == '.') {
        return Err(AddError::BadName(name.to_owned()));
    }
    Ok(())
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
        match self.shared.decide(Call::Build(BuildCall::define(definition)))? {
            Answer::Definition(id) => Ok(id),
            other => unreachable!("a definition is answered with its id, not with {other:?}"),
        }
    }

    /// Makes a project, or changes who can see it: the jobs of a public one count as public.
    ///
    /// # Errors
    /// If it cannot be one's name.
    pub fn define_project(&self, name: &str, public: bool) -> Result<(), Refusal> {
        let name = name.to_owned();
        self.shared.decide(BuildCall::DefineProject { name, public }.into()).map(|_| ())
    }

    /// Queues a build of a definition.
    ///
    /// # Errors
    /// If there is no such definition, or no agent that could ever run one of its jobs.
    pub fn queue_build(&self, definition: &str) -> Result<BuildId, Refusal> {
        let reference = DefinitionRef::Name(definition.to_owned());
        match self.shared.decide(Call::Build(BuildCall::queue(reference)))? {
            Answer::Build(id) => Ok(id),
            other => unreachable!("a build is answered with its id, not with {other:?}"),
        }
    }

    /// Cancels what is left of a build.
    ///
    /// # Errors
    /// If there is no such build.
    pub fn cancel_build(&self, build: BuildId) -> Result<(), Refusal> {
        self.shared.decide(Call::Build(BuildCall::cancel(build))).map(|_| ())
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
        self.shared.begin_fault(&mut self.shared.faults(), FaultId::Scenario(number), fault);
    }

    /// From here on this fault is over. Requests that wait because of it wait on.
    pub fn end_fault(&self, number: u32) {
        self.shared.end_fault(&mut self.shared.faults(), FaultId::Scenario(number));
    }

    /// Takes it off the server. Polls that are held are answered as if it had never been there.
    pub fn remove(&self) {
        self.hub.remove(&self.shared.name);
    }
}

impl Shared {
    fn start(
        hub: &Hub,
        new: NewOrganization,
        faults: Faults,
        service: Service,
        journal: Option<Journal>,
    ) -> Arc<Self> {
        let (clock, url) = (hub.clock, hub.url_of(&new.name));
        let state =
            State { service, journal, waiters: BTreeMap::new(), last_list: None, wakes: None, closed: false };
        let shared = Arc::new(Self {
            name: new.name,
            url,
            clock,
            events: new.events,
            state: Mutex::new(state),
            faults: Mutex::new(faults),
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

    /// From here on a fault is on. Whoever has the faults' lock decides about them and lets go when it is done.
    pub(crate) fn begin_fault(&self, faults: &mut Faults, id: FaultId, fault: ServiceFault) {
        faults.begin(id, fault, |call| self.snapshot(call));
        self.follow_parallel_jobs(faults);
    }

    /// From here on it is over.
    pub(crate) fn end_fault(&self, faults: &mut Faults, id: FaultId) {
        faults.end(id);
        self.follow_parallel_jobs(faults);
    }

    /// Has the service run as many jobs at once as the faults that are on say.
    pub(crate) fn follow_parallel_jobs(&self, faults: &Faults) {
        let instead = faults.on.parallel_jobs();
        if self.look(Service::replaced_parallel_jobs) != instead {
            self.upset(Upset::ParallelJobs(instead));
        }
    }

    /// Whether what is decided now can be kept, if it is to be.
    ///
    /// # Errors
    /// [`Refusal::NotKept`] as long as the journal cannot be written.
    pub(crate) fn check_kept(&self) -> Result<(), Refusal> {
        if self.lock().journal.as_ref().is_some_and(Journal::is_stuck) {
            return Err(Refusal::NotKept);
        }
        Ok(())
    }

    /// Does to the service what a fault does to it.
    pub(crate) fn upset(&self, upset: Upset) {
        self.decide(Call::Upset(upset)).expect("no upset is refused");
    }

    /// How many rows a read would be answered with now; none if it is no list.
    pub(crate) fn rows(&self, call: Call) -> u64 {
        let mut state = self.lock();
        let now = self.clock.now();
        let (reply, effects) = state.service.handle(now, call);
        let rows = match reply {
            // The longest one need not be written for it.
            Reply::Answer(Answer::JobRequests(list)) => u64::try_from(list.rows.len()).unwrap_or(u64::MAX),
            Reply::Answer(answer) => rows_in(&encode(&state.service, &answer).body),
            Reply::Refused(_) | Reply::Held(_) => 0,
        };
        self.apply(&mut state, now, effects);
        rows
    }

    /// A message that comes again, as it was.
    pub(crate) fn message(&self, message: Message) -> Encoded {
        self.look(|service| encode(service, &Answer::Message(message)))
    }

    pub(crate) fn epoch(&self) -> std::time::Duration {
        self.clock.epoch()
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

    /// What to wait for before anything is told that was decided until now; `None` if it is nothing.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.lock().journal.as_ref()?.ticket()
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
        let (reply, effects) = state.handle(now, call);
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
            return Called::Answered(refused(&Refusal::NothingHere(format!("/{}", self.name))).into());
        }
        if state.journal.as_ref().is_some_and(Journal::is_stuck) {
            return Called::Answered(refused(&Refusal::NotKept).into());
        }
        let now = self.clock.now();
        let list = match &call {
            Call::ListJobRequests { pool, query } => Some((*pool, query.clone())),
            _ => None,
        };
        let (reply, effects) = state.handle(now, call);
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
                let message = message_in(&answer);
                let answer = match list {
                    Some((pool, query)) => state.encode_list(pool, query, &answer),
                    None => encode(&state.service, &answer),
                };
                Called::Answered(Polled { answer, message })
            }
            Reply::Refused(refusal) => Called::Answered(refused_by(&state.service, &refusal).into()),
            Reply::Held(waiter) => {
                let (answer, held) = oneshot::channel();
                state.waiters.insert(waiter, answer);
                Called::Held(held)
            }
        };
        self.apply(&mut state, now, effects);
        if let (Some(read), Called::Answered(answer)) = (scaler_read, &called) {
            self.tell_at(now, read.fact(now, answer.answer.status, rows));
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
                Ok(answer) => {
                    Polled { answer: encode(&state.service, &answer), message: message_in(&answer) }
                }
                Err(refusal) => refused_by(&state.service, &refusal).into(),
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
        let journal = state.journal.take();
        drop(state);
        // Writes what is left.
        drop(journal);
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
        Answer::NoMessage | Answer::OfBuilds(BuildAnswer::Operation { is_new: true, .. }) => 202,
        Answer::Done => 204,
        _ => 200,
    };
    Encoded { status, body: body.into(), ..Encoded::default() }.continued(answer)
}

/// How many entries a list has, as it is written: every list says so.
fn rows_in(body: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct List {
        count: u64,
        #[serde(rename = "value")]
        _value: IgnoredAny,
    }
    serde_json::from_slice::<List>(body).map_or(0, |list| list.count)
}

/// What the service refuses, with the status that its switches say.
fn refused_by(service: &Service, refusal: &Refusal) -> Encoded {
    Encoded { status: service.settings().switches.status(refusal), ..refused(refusal) }
}

/// How much of an error's message its header tells: clients bound what they read of a head.
const MAX_TOLD: usize = 300;

pub(crate) fn refused(refusal: &Refusal) -> Encoded {
    let refused = Encoded { status: refusal.status(), body: refusal.body().into(), ..Encoded::default() };
    let told: String = refusal.to_string().chars().take(MAX_TOLD).collect();
    refused.with(responses::SERVICE_ERROR, &responses::percent_encoded(&told))
}
