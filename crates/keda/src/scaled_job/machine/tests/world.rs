//! A small world around one machine.

use std::collections::BTreeMap;

use model::manifest::keda::ScaledJob;
use model::stream::stream;
use serde_json::{Value as Json, json};

use super::super::*;
use crate::scaled_job::counts::{Finished, PodConditions, PodPhase, PodView};
use crate::scaler::{DEFAULT_HTTP_TIMEOUT, Failure, Request, Surroundings};

/// How long Azure DevOps takes to answer.
const SERVICE: u64 = 100;
/// How long the API takes.
const API: u64 = 2;

/// A Job.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) finished: Option<Finished>,
    pub(super) completed: Option<u64>,
    pub(super) generation: Option<String>,
    pub(super) runs: bool,
}

#[derive(Debug)]
enum Arrival {
    Answer(CallId, Request),
    Created(ApiCall, Arc<Revision>),
    Deleted(ApiCall, String),
}

/// A machine and what it talks to.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: u64,
    client: ClientBucket,
    arrivals: BTreeMap<(u64, u64), Arrival>,
    number: u64,
    pub(super) jobs: Vec<Job>,
    /// What the service counts for the trigger of this pool.
    pub(super) queues: BTreeMap<i64, u64>,
    /// Whether the service refuses to find pools.
    pub(super) pools_fail: bool,
    /// Pools whose job requests it refuses to tell.
    pub(super) reads_fail: Vec<i64>,
    /// How long it takes to answer.
    pub(super) latency: u64,
    /// Whether it does not answer at all.
    pub(super) hangs: bool,
    /// Whether the API refuses to create and to delete.
    pub(super) api_fails: bool,
    /// What happened, as short texts.
    pub(super) log: Vec<(u64, String)>,
    pub(super) reasons: Vec<String>,
}

/// A ScaledJob with one trigger per pool and this specification beside.
pub(super) fn scaled_job(pools: &[i64], spec: &Json) -> Source {
    let triggers: Vec<Json> = pools
        .iter()
        .map(|pool| json!({"type": "azure-pipelines", "metadata": {
            "poolID": pool.to_string(), "organizationURLFromEnv": "URL", "personalAccessTokenFromEnv": "TOKEN",
        }}))
        .collect();
    let mut object = json!({
        "metadata": {"name": "agents"},
        "spec": {"jobTargetRef": {"template": {"spec": {"containers": [{"name": "agent"}]}}}, "triggers": triggers},
    });
    for (key, value) in spec.as_object().expect("a map") {
        object["spec"][key] = value.clone();
    }
    let object: ScaledJob = serde_json::from_value(object).expect("a ScaledJob");
    let environment = [("URL", "https://dev.azure.com/o"), ("TOKEN", "t")];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let surroundings = vec![Surroundings { environment, ..Surroundings::default() }; pools.len()];
    Source { object: Arc::new(object), generation: 1, surroundings: surroundings.into() }
}

pub(super) fn operator(version: &str) -> Operator {
    let version: Version = version.parse().expect("a version");
    Operator {
        rules: Rules::of(&version).expect("a known version"),
        version,
        http_timeout: DEFAULT_HTTP_TIMEOUT,
        api_timeout: Millis::ZERO,
    }
}

impl World {
    /// The operator has just come to the object.
    pub(super) fn new(version: &str, source: Source) -> Self {
        let mut world = Self::before(version, source);
        world.tell(Input::OperatorStarted(operator(version)));
        world
    }

    /// An operator has written the finalizer, but this one has not come to the object yet.
    pub(super) fn before(version: &str, source: Source) -> Self {
        let mut world = Self::unseen(version, source);
        world.machine.finalized = true;
        world
    }

    /// No operator has come to it yet.
    pub(super) fn unseen(version: &str, source: Source) -> Self {
        Self {
            machine: Machine::new(operator(version), source, stream(1, "history")),
            now: 0,
            client: ClientBucket::new(Instant(0)),
            arrivals: BTreeMap::new(),
            number: 0,
            jobs: Vec::new(),
            queues: BTreeMap::new(),
            pools_fail: false,
            reads_fail: Vec::new(),
            latency: SERVICE,
            hangs: false,
            api_fails: false,
            log: Vec::new(),
            reasons: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, input: Input<'_>) {
        let mut actions = Vec::new();
        self.machine.handle(Instant(self.now), input, &mut self.client, &mut actions);
        self.carry_out(actions);
    }

    pub(super) fn restart(&mut self, version: &str) {
        self.tell(Input::OperatorStopped);
        self.tell(Input::OperatorStarted(operator(version)));
    }

    /// Changes the object; `generation` too if its specification changed.
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut ScaledJob)) {
        let mut source = self.machine.revision().source.clone();
        let mut object = (*source.object).clone();
        change(&mut object);
        source.generation += u64::from(object.spec != source.object.spec);
        source.object = Arc::new(object);
        self.tell(Input::Edited(source));
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        self.edit(|object| {
            object.metadata.annotations.insert(key.to_owned(), value.to_owned());
        });
    }

    /// Goes on until then.
    pub(super) fn run(&mut self, until: u64) {
        loop {
            let arrival = self.arrivals.first_key_value().map(|((at, _), _)| *at);
            let deadline = self.machine.next_deadline().map(|at| at.0);
            let Some(next) = [arrival, deadline].into_iter().flatten().min().filter(|at| *at <= until) else {
                break;
            };
            assert!(next >= self.now, "the machine wanted to be woken in the past");
            self.now = next;
            if arrival == Some(next) {
                let (_, arrival) = self.arrivals.pop_first().expect("an arrival");
                self.arrive(arrival);
            } else {
                let mut actions = Vec::new();
                self.machine.advance(Instant(next), &mut self.client, &mut actions);
                self.carry_out(actions);
            }
            assert!(self.log.len() < 100_000, "the machine does not come to rest");
        }
        self.now = until;
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Answer(call, request) => {
                let answer = self.answer(request);
                self.tell(Input::Answered { call, answer });
            }
            Arrival::Created(call, revision) => {
                let succeeded = !self.api_fails;
                if succeeded {
                    let generation =
                        revision.metadata.annotations.get(crate::scaled_job::GENERATION).cloned();
                    let name = format!("agents-{}", self.jobs.len());
                    self.jobs.push(Job { name, finished: None, completed: None, generation, runs: false });
                }
                self.tell(Input::Done { call, succeeded });
            }
            Arrival::Deleted(call, name) => {
                let succeeded = !self.api_fails && self.jobs.iter().any(|job| job.name == name);
                if succeeded {
                    self.jobs.retain(|job| job.name != name);
                }
                self.tell(Input::Done { call, succeeded });
            }
        }
    }

    fn answer(&self, request: Request) -> Answer {
        match request {
            Request::PoolById { .. } if self.pools_fail => Answer::Failure(Failure::Status(503)),
            Request::PoolById { pool } => Answer::Pool(pool),
            Request::PoolByName => Answer::Pool(1),
            Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool } => {
                if self.reads_fail.contains(&pool) {
                    Answer::Failure(Failure::Status(503))
                } else {
                    Answer::Count(self.queues.get(&pool).copied().unwrap_or(0))
                }
            }
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Request { call, request, .. } => {
                    let kind = match request {
                        Request::PoolById { pool } => format!("pool {pool}"),
                        Request::PoolByName => "pool by name".to_owned(),
                        Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool } => {
                            format!("read {pool}")
                        }
                    };
                    self.note(kind);
                    if !self.hangs {
                        self.schedule(self.latency, Arrival::Answer(call, request));
                    }
                }
                Action::Abandon { call } => {
                    self.note("abandon".to_owned());
                    self.arrivals
                        .retain(|_, arrival| !matches!(arrival, Arrival::Answer(known, _) if *known == call));
                }
                Action::AbandonApi { call } => {
                    self.note("abandon API".to_owned());
                    self.arrivals.retain(|_, arrival| {
                        !matches!(arrival, Arrival::Created(known, _) | Arrival::Deleted(known, _) if *known == call)
                    });
                }
                Action::LookAtJobs => self.show_jobs(),
                Action::CreateJob { call, revision } => {
                    self.note("create".to_owned());
                    self.schedule(API, Arrival::Created(call, revision));
                }
                Action::DeleteJob { call, name, foreground } => {
                    self.note(format!("delete {name}{}", if foreground { " after its pods" } else { "" }));
                    self.schedule(API, Arrival::Deleted(call, name.into()));
                }
                Action::Decided(created) => self.reasons.push(created.because.to_string()),
                Action::Condition { condition, status, reason } => {
                    self.note(format!("{condition:?}={status:?} {reason}"));
                }
                Action::Event(Event::JobsCreated { number }) => {
                    self.note(format!("KEDAJobsCreated {number}"));
                }
                Action::Event(Event::JobCreateFailed { number }) => {
                    self.note(format!("KEDAJobCreateFailed {number}"));
                }
                Action::Event(event) => self.note(event.reason().to_owned()),
                Action::Panic(panic) => self.note(format!("panic: {panic}")),
            }
        }
    }

    fn show_jobs(&mut self) {
        const RUNNING: &[PodView] = &[PodView { phase: PodPhase::Running, conditions: PodConditions::READY }];
        let wanted = self.machine.wanted_jobs();
        let jobs = self.jobs.clone();
        let views: Vec<JobView<'_>> = jobs
            .iter()
            .filter(|job| match wanted {
                WantedJobs::All => true,
                WantedJobs::Unfinished => job.finished.is_none(),
                WantedJobs::Finished => job.finished.is_some(),
            })
            .map(|job| JobView {
                name: &job.name,
                finished: job.finished,
                completion_time: job.completed.map(Instant),
                created: Instant(0),
                generation: job.generation.as_deref(),
                pods: if job.runs { RUNNING } else { &[] },
            })
            .collect();
        self.tell(Input::Jobs(&views));
    }

    fn schedule(&mut self, latency: u64, arrival: Arrival) {
        self.number += 1;
        self.arrivals.insert((self.now + latency, self.number), arrival);
    }

    fn note(&mut self, what: String) {
        self.log.push((self.now, what));
    }

    /// When each thing of that beginning happened.
    pub(super) fn times(&self, what: &str) -> Vec<u64> {
        self.log.iter().filter(|(_, entry)| entry.starts_with(what)).map(|(at, _)| *at).collect()
    }

    /// What happened, without the times.
    pub(super) fn entries(&self) -> Vec<&str> {
        self.log.iter().map(|(_, entry)| entry.as_str()).collect()
    }

    /// The unfinished Jobs.
    pub(super) fn unfinished(&self) -> usize {
        self.jobs.iter().filter(|job| job.finished.is_none()).count()
    }

    /// A Job that is there already.
    pub(super) fn add_job(&mut self, name: &str, generation: Option<&str>, finished: Option<Finished>) {
        self.jobs.push(Job {
            name: name.to_owned(),
            finished,
            completed: None,
            generation: generation.map(str::to_owned),
            runs: true,
        });
    }
}
