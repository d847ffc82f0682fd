//! Logs for tests, written in seconds. Reads of the queue carry the rows that the
//! jobs written so far would have, so a test says what happens and not what is seen.

use std::collections::BTreeMap;

use model::event::{JobResult, Outcome, RequestForm, RunStarted, ScaleTarget, ScalerRow, Trigger};
use model::fault::{Edit, Fault as FaultKind, Program, Restart, Route, ServiceAnswer, ServiceFault};
use model::instant::MillisRange;
use model::scenario::{
    Agents, Burst, Cluster, Expectation, Organization, ParallelJobs, Pool, Scenario, Until,
};
use model::{Event, Fact, Instant, Millis, Source};

use crate::report::{Finding, Report};

/// The pool of every test.
pub(crate) const POOL: u64 = 18;
/// The workload of every test.
pub(crate) const WORKLOAD: &str = "Deployment/agents";

/// A log under construction.
#[derive(Clone)]
pub(crate) struct Log {
    started: RunStarted,
    target: ScaleTarget,
    ready: u64,
    events: Vec<Event>,
    /// When reads succeed, and with what status.
    reads: Vec<(Instant, u16, u64)>,
    end: Option<(u64, Outcome)>,
}

fn scenario() -> Scenario {
    Scenario {
        name: "article".into(),
        about: "Four pipelines run at once, the agents go from 1 to 4 and back.".into(),
        references: vec!["kedacore/keda#8185".into()],
        organization: Organization {
            parallel_jobs: ParallelJobs::Unlimited,
            assign_delay: MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) },
            job_lock: Millis::minutes(10),
            session_expiry: Millis::minutes(5),
            quirks: model::quirks::Quirks::default(),
            pools: vec![Pool { name: "keda-pool".into(), id: POOL, agents: Vec::new() }],
        },
        manifests: Vec::new(),
        substitute: BTreeMap::new(),
        cluster: Cluster::default(),
        agents: Agents::default(),
        definitions: Vec::new(),
        load: Vec::<Burst>::new(),
        faults: Vec::new(),
        until: Until::Settled,
        at_most: Millis::minutes(25),
        expect: Vec::new(),
        known_bad: None,
        expect_findings: Vec::new(),
    }
}

impl Log {
    /// A ScaledObject over a Deployment: minimum 1, maximum 5, everything else by default.
    pub(crate) fn new() -> Self {
        let target = ScaleTarget {
            scaler: "ScaledObject".into(),
            name: "agents".into(),
            workload: WORKLOAD.into(),
            min: 1,
            max: 5,
            idle: None,
            polling_interval_s: 30,
            cooldown_s: 300,
            grace_s: 30,
            triggers: vec![Trigger {
                kind: "azure-pipelines".into(),
                metadata: BTreeMap::from([("poolID".into(), POOL.to_string())]),
                metric_type: "AverageValue".into(),
            }],
            behavior: None,
            stabilization_s: 300,
            strategy: None,
            spec: serde_json::Value::Null,
            annotations: BTreeMap::new(),
            keda: "2.21.0".into(),
            kubernetes: "1.35.4".into(),
        };
        let started = RunStarted {
            engine: "local".into(),
            speed: 1,
            seed: 7,
            repetition: 1,
            versions: BTreeMap::from([
                ("keda".into(), "2.21.0".into()),
                ("kubernetes".into(), "1.35.4".into()),
            ]),
            replay: "poolproof run scenarios/article.yaml --seed 7".into(),
            namespace: "article".into(),
            manifests: Vec::new(),
            scenario: scenario(),
        };
        Self { started, target, ready: 2, events: Vec::new(), reads: Vec::new(), end: None }
    }

    /// A ScaledJob: minimum 0, maximum 5.
    pub(crate) fn scaled_job() -> Self {
        Self::new().target(|target| {
            target.scaler = "ScaledJob".into();
            target.workload = "Job/agents".into();
            target.min = 0;
        })
    }

    pub(crate) fn started(mut self, change: impl FnOnce(&mut RunStarted)) -> Self {
        change(&mut self.started);
        self
    }

    pub(crate) fn target(mut self, change: impl FnOnce(&mut ScaleTarget)) -> Self {
        change(&mut self.target);
        self
    }

    pub(crate) fn keda(self, version: &str) -> Self {
        self.target(|target| target.keda = version.into()).started(|started| {
            started.versions.insert("keda".into(), version.into());
        })
    }

    pub(crate) fn expect(self, expectation: Expectation) -> Self {
        self.started(|started| started.scenario.expect.push(expectation))
    }

    pub(crate) fn fact(mut self, at: u64, by: Source, fact: Fact) -> Self {
        self.events.push(Event { at: Instant(at * 1000), by, fact });
        self
    }

    /// A fault of the scenario that begins in this second, and is over in that one if it lasts.
    pub(crate) fn fault(self, fault: FaultKind, hits: Option<&str>, from: u64, to: Option<u64>) -> Self {
        let index = u32::try_from(self.started.scenario.faults.len()).expect("few faults");
        let (what, hits) = (fault.what(), hits.map(str::to_owned));
        let log = self.started(|started| started.scenario.faults.push(fault));
        let log = log.fact(from, Source::Run, Fact::FaultOn { fault: index, what, hits });
        match to {
            Some(to) => log.fact(to, Source::Run, Fact::FaultOff { fault: index }),
            None => log,
        }
    }

    /// Somebody changes an object.
    pub(crate) fn edited(
        self,
        at: u64,
        object: &str,
        patch: serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        let edit = Edit { at: Millis::seconds(at), object: object.to_owned(), patch };
        self.fault(FaultKind::Edit(edit), None, at, None)
    }

    /// A program of the cluster starts anew.
    pub(crate) fn restarted(self, at: u64, what: Program) -> Self {
        self.fault(FaultKind::Restart(Restart { at: Millis::seconds(at), what }), None, at, None)
    }

    /// The service answers otherwise for a while.
    pub(crate) fn outage(self, from: u64, to: u64, answer: ServiceAnswer) -> Self {
        let fault = ServiceFault {
            from: Millis::seconds(from),
            to: Some(Millis::seconds(to)),
            route: Route::All,
            answer: Some(answer),
            ..ServiceFault::default()
        };
        self.fault(FaultKind::Service(fault), None, from, Some(to))
    }

    /// When everything is in place.
    pub(crate) fn ready(mut self, at: u64) -> Self {
        self.ready = at;
        self
    }

    /// Removes what a test wants to tell otherwise.
    pub(crate) fn without(mut self, gone: impl Fn(&Fact) -> bool) -> Self {
        self.events.retain(|event| !gone(&event.fact));
        self
    }

    pub(crate) fn queued(self, at: u64, request: u64) -> Self {
        self.fact(
            at,
            Source::Service,
            Fact::BuildQueued { build: request, definition: "build".into(), jobs: 1 },
        )
        .fact(
            at,
            Source::Service,
            Fact::JobRequestQueued {
                request,
                build: request,
                job: "job".into(),
                pool: POOL,
                demands: Vec::new(),
            },
        )
    }

    pub(crate) fn assigned(self, at: u64, request: u64, agent: u64) -> Self {
        self.fact(at, Source::Service, Fact::JobRequestAssigned { request, agent })
    }

    pub(crate) fn received(self, at: u64, request: u64, agent: u64) -> Self {
        self.fact(at, Source::Service, Fact::JobRequestReceived { request, agent })
    }

    pub(crate) fn finished(self, at: u64, request: u64, agent: u64, result: JobResult) -> Self {
        self.fact(at, Source::Service, Fact::JobRequestFinished { request, agent: Some(agent), result })
    }

    /// A job's whole life: queued, received and ended in the second that is named.
    pub(crate) fn job(self, request: u64, agent: u64, (queued, received, ended): (u64, u64, u64)) -> Self {
        self.queued(queued, request)
            .assigned(received, request, agent)
            .received(received, request, agent)
            .finished(ended, request, agent, JobResult::Succeeded)
    }

    pub(crate) fn registered(self, at: u64, agent: u64) -> Self {
        let name = name(agent);
        self.fact(
            at,
            Source::Service,
            Fact::AgentRegistered { agent, name, pool: POOL, replaced: false, placeholder: false },
        )
        .fact(at + 1, Source::Service, Fact::AgentOnline { agent })
    }

    pub(crate) fn removed(self, at: u64, agent: u64) -> Self {
        self.fact(at, Source::Service, Fact::AgentRemoved { agent })
    }

    /// A pod is created, and four seconds later its container runs an agent of the same name, which registers.
    pub(crate) fn agent_pod(self, created: u64, agent: u64) -> Self {
        let pod = name(agent);
        self.fact(
            created,
            Source::Kubernetes,
            Fact::PodCreated { pod: pod.clone(), owner: Some("ReplicaSet/agents".into()) },
        )
        .fact(created, Source::Kubernetes, Fact::PodScheduled { pod: pod.clone(), node: "node-1".into() })
        .container_started(created + 4, agent)
        .fact(created + 4, Source::Kubernetes, Fact::PodRunning { pod })
        .registered(created + 14, agent)
    }

    pub(crate) fn container_started(self, at: u64, agent: u64) -> Self {
        let (pod, container) = (name(agent), "agent".to_owned());
        self.fact(
            at,
            Source::Node,
            Fact::ContainerStarted { pod: pod.clone(), container, restarts: 0, agent: Some(pod) },
        )
    }

    pub(crate) fn container_exited(self, at: u64, agent: u64, code: i32) -> Self {
        let (pod, container) = (name(agent), "agent".to_owned());
        self.fact(
            at,
            Source::Node,
            Fact::ContainerExited { pod: pod.clone(), container, code, agent: Some(pod) },
        )
    }

    /// A pod gets its deletion timestamp.
    pub(crate) fn deleted(self, at: u64, agent: u64, grace_s: u64) -> Self {
        self.fact(at, Source::Kubernetes, Fact::PodTerminating { pod: name(agent), grace_s })
    }

    /// A pod's agent leaves the pool, its container exits and the pod is gone.
    pub(crate) fn left(self, at: u64, agent: u64) -> Self {
        self.removed(at, agent).container_exited(at, agent, 0).gone(at + 1, agent)
    }

    pub(crate) fn gone(self, at: u64, agent: u64) -> Self {
        self.fact(at, Source::Kubernetes, Fact::PodGone { pod: name(agent) })
    }

    pub(crate) fn replicas(self, at: u64, spec: u32) -> Self {
        let fact = Fact::Replicas { workload: WORKLOAD.into(), spec, status: spec, ready: spec };
        self.fact(at, Source::Kubernetes, fact)
    }

    /// A Kubernetes Job, created and finished.
    pub(crate) fn kubernetes_job(self, name: &str, created: u64, finished: Option<u64>) -> Self {
        let job = name.to_owned();
        let log = self.fact(created, Source::Kubernetes, Fact::KubernetesJobCreated { job: job.clone() });
        match finished {
            Some(at) => {
                log.fact(at, Source::Kubernetes, Fact::KubernetesJobFinished { job, succeeded: true })
            }
            None => log,
        }
    }

    /// A Kubernetes Job's pod, created and running.
    pub(crate) fn job_pod(self, created: u64, running: u64, job: &str) -> Self {
        let pod = format!("{job}-pod");
        let made = Fact::PodCreated { pod: pod.clone(), owner: Some(format!("Job/{job}")) };
        self.fact(created, Source::Kubernetes, made).fact(
            running,
            Source::Kubernetes,
            Fact::PodRunning { pod },
        )
    }

    /// Reads at `first` and every `every` seconds until before `until`.
    pub(crate) fn reads(mut self, first: u64, every: u64, until: u64) -> Self {
        let mut at = first;
        while at < until {
            self.reads.push((Instant(at * 1000), 200, 40));
            at += every;
        }
        self
    }

    pub(crate) fn answered(mut self, at: u64, status: u16, latency_ms: u64) -> Self {
        self.reads.push((Instant(at * 1000), status, latency_ms));
        self
    }

    /// Takes away the reads of a span.
    pub(crate) fn unread(mut self, from: u64, to: u64) -> Self {
        self.reads.retain(|(at, ..)| at.0 < from * 1000 || at.0 >= to * 1000);
        self
    }

    pub(crate) fn condition(self, at: u64, status: &str, reason: &str, message: &str) -> Self {
        let object = format!("{}/{}", self.target.scaler, self.target.name);
        let (condition, status) = ("Ready".to_owned(), status.to_owned());
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.fact(at, Source::Kubernetes, Fact::Condition { object, condition, status, reason, message })
    }

    /// The workload is deleted, and ten seconds later the run is over.
    pub(crate) fn end(mut self, at: u64, outcome: Outcome) -> Self {
        self.end = Some((at, outcome));
        self
    }

    pub(crate) fn endless(mut self) -> Self {
        self.end = None;
        self
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let event = |at: u64, by, fact| Event { at: Instant(at * 1000), by, fact };
        let mut events = vec![
            event(0, Source::Run, Fact::RunStarted(Box::new(self.started.clone()))),
            event(1, Source::Kubernetes, Fact::ScaleTarget(Box::new(self.target.clone()))),
            event(self.ready, Source::Run, Fact::RunReady {}),
        ];
        events.extend(self.events.iter().cloned());
        events.extend(self.reads.iter().map(|(at, status, latency_ms)| Event {
            at: *at,
            by: Source::Service,
            fact: Fact::ScalerRead {
                pool: POOL,
                form: RequestForm::Top,
                status: *status,
                latency_ms: *latency_ms,
                rows: if *status == 200 { self.rows(*at) } else { Vec::new() },
            },
        }));
        if let Some((at, outcome)) = self.end {
            events.push(event(at, Source::Run, Fact::RunDraining {}));
            events.push(event(at + 10, Source::Run, Fact::RunFinished { outcome, because: None }));
        }
        events.sort_by_key(|event| event.at);
        events
    }

    fn rows(&self, at: Instant) -> Vec<ScalerRow> {
        let mut rows: BTreeMap<u64, ScalerRow> = BTreeMap::new();
        let mut events: Vec<&Event> = self.events.iter().filter(|event| event.at <= at).collect();
        events.sort_by_key(|event| event.at);
        for event in events {
            match &event.fact {
                Fact::JobRequestQueued { request, demands, .. } => {
                    let (request, demands) = (*request, demands.clone());
                    let row = ScalerRow {
                        request,
                        demands,
                        assigned: false,
                        received: false,
                        result: None,
                        matched_agents: vec![],
                    };
                    rows.insert(request, row);
                }
                Fact::JobRequestReceived { request, .. } => {
                    rows.entry(*request).and_modify(|row| row.received = true);
                }
                Fact::JobRequestFinished { request, result, .. } => {
                    rows.entry(*request).and_modify(|row| row.result = Some(*result));
                }
                _ => {}
            }
        }
        rows.into_values().collect()
    }

    pub(crate) fn verify(&self) -> Report {
        crate::verify(self.events())
    }

    /// The findings of a rule.
    pub(crate) fn found(&self, rule: &str) -> Vec<Finding> {
        assert!(crate::rules().any(|known| known.name == rule), "{rule} is a rule");
        self.verify().findings.into_iter().filter(|finding| finding.rule == rule).collect()
    }

    /// The only finding of a rule.
    #[track_caller]
    pub(crate) fn only(&self, rule: &str) -> Finding {
        let found = self.found(rule);
        assert_eq!(found.len(), 1, "one finding of {rule}: {found:#?}");
        found.into_iter().next().expect("one finding")
    }
}

/// The name of an agent and its pod.
pub(crate) fn name(agent: u64) -> String {
    format!("agents-{agent}")
}

/// The article's walk-through as KEDA 2.21 does it: four builds of five minutes at 1:00, replicas 1 to 4 and back.
pub(crate) fn article() -> Log {
    let mut log = Log::new().replicas(1, 1).agent_pod(2, 1).reads(20, 15, 700);
    log = log.job(1, 1, (60, 63, 363));
    // The sync at 65 reads four jobs.
    log = log.replicas(66, 4);
    for agent in 2..=4 {
        log = log.agent_pod(66 + agent / 2, agent).job(agent, agent, (60, 85 + agent, 385 + agent));
    }
    // The last read of four jobs is at 350, of three at 380; the first syncs 300 s after them are at 665 and 695.
    log = log.replicas(666, 3).deleted(667, 4, 30).left(668, 4);
    log = log.replicas(696, 1).deleted(697, 3, 30).left(698, 3).deleted(697, 2, 30).left(699, 2);
    log.end(720, Outcome::Settled).deleted(721, 1, 30).left(722, 1)
}

/// Two long jobs on a pool that may scale to zero after a minute, by a KEDA whose metric forgets jobs that run.
pub(crate) fn busy_agents_vanish(keda: &str) -> Log {
    let mut log = Log::new().keda(keda).target(|target| (target.min, target.cooldown_s) = (0, 60));
    log = log.replicas(1, 0).reads(15, 30, 76).queued(60, 1).queued(60, 2);
    // The poll at 75 leaves zero, the sync at 80 grows to two.
    log = log
        .replicas(76, 1)
        .agent_pod(77, 1)
        .replicas(81, 2)
        .agent_pod(82, 2)
        .reads(80, 15, 190)
        .reads(105, 30, 190);
    for agent in 1..=2 {
        log = log.assigned(99, agent, agent).received(100, agent, agent);
    }
    log
}

/// The same to the end of KEDA 2.20: zero at the first poll after the cool-down, and both agents die at work.
pub(crate) fn busy_agents_killed() -> Log {
    let mut log = busy_agents_vanish("2.20.2").unread(166, 190).reads(195, 30, 800).replicas(166, 0);
    for agent in 1..=2 {
        log = log.deleted(167, agent, 30).container_exited(197, agent, 137).gone(198, agent);
        log = log.finished(790 + agent, agent, agent, JobResult::Abandoned).fact(
            500,
            Source::Service,
            Fact::AgentOffline { agent },
        );
    }
    log.end(800, Outcome::Settled)
}
