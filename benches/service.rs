//! How fast the service decides: jobs from queued to finished with a thousand
//! agents that wait, and KEDA's read of 250 rows.
//!
//! `cargo bench -p poolproof-azure-devops`. Figures to hold it against: 20,000
//! jobs a second, and 10,000 reads of 250 rows a second, with HTTP around them.

use std::hint::black_box;
use std::time::Duration;

use azure_devops::{
    AgentDraft, Answer, BuildCall, Call, Definition, DefinitionRef, JobRequestQuery, JobTemplate,
    MessageContent, PoolId, Reply, Secret, Service, SessionDraft, Settings,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::event::JobResult;
use model::scenario::{self, ParallelJobs, Placeholder};
use model::{Instant, Millis, MillisRange};
use uuid::Uuid;

const POOL: PoolId = PoolId(1);
const NOW: Instant = Instant(1_000);
const AGENTS: usize = 1_000;
const ROWS: usize = 250;
const FINISHED: usize = 10_000;

fn service() -> Service {
    let template = Placeholder { name: "template".to_owned(), capabilities: [].into() };
    let organization = scenario::Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange::exactly(Millis::ZERO),
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![scenario::Pool { name: "pool".to_owned(), id: POOL.0, agents: vec![template] }],
    };
    let url = "http://127.0.0.1:8080/acme";
    Service::new(Settings::new("acme", url, Secret::new("pat"), 1, Duration::ZERO, &organization))
}

fn call(service: &mut Service, call: Call) -> Answer {
    match service.handle(NOW, call).0 {
        Reply::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn define(service: &mut Service, jobs: usize) {
    let job = |number: usize| {
        JobTemplate::new(
            format!("Job {number}"),
            vec!["Agent.Name".parse().expect("a demand")],
            Millis::minutes(5),
        )
    };
    let definition = Definition::flat("ci", "project", "pool", (0..jobs).map(job).collect());
    call(service, Call::Build(BuildCall::define(definition)));
}

fn queue() -> Call {
    Call::Build(BuildCall::queue(DefinitionRef::Name("ci".to_owned())))
}

/// Agents that listen, each with a poll that is held.
fn listening(service: &mut Service, agents: usize) -> Vec<Uuid> {
    let listen = |number: usize| {
        let draft = AgentDraft {
            name: format!("pod-{number}").into(),
            version: "4.258.1".into(),
            ..AgentDraft::default()
        };
        let Answer::Agent(agent, _) = call(service, Call::RegisterAgent { pool: POOL, draft }) else {
            panic!("not registered");
        };
        let draft = SessionDraft { agent, ..SessionDraft::default() };
        let Answer::Session(session) = call(service, Call::OpenSession { pool: POOL, draft }) else {
            panic!("not opened");
        };
        service.handle(NOW, Call::Poll { pool: POOL, session, after: None });
        session
    };
    (0..agents).map(listen).collect()
}

/// A build of as many jobs as there are agents, from queued to finished.
fn work_through(service: &mut Service, sessions: &[Uuid]) {
    let (_, effects) = service.handle(NOW, queue());
    assert_eq!(effects.answered.len(), sessions.len(), "every held poll got a job");
    for session in sessions {
        let polled = call(service, Call::Poll { pool: POOL, session: *session, after: None });
        let Answer::Message(message) = polled else { panic!("no message") };
        let MessageContent::Job { request, plan, .. } = message.content else { panic!("no job") };
        call(service, Call::DeleteMessage { pool: POOL, session: *session, message: message.id });
        call(
            service,
            Call::CompleteJob { plan, request, result: JobResult::Succeeded, agent_shutting_down: false },
        );
    }
}

fn assign(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assign");
    group.throughput(Throughput::Elements(AGENTS as u64)).sample_size(20);
    let ready = || {
        let mut service = service();
        define(&mut service, AGENTS);
        let sessions = listening(&mut service, AGENTS);
        (service, sessions)
    };
    group.bench_function("queued to finished, 1,000 agents", |bencher| {
        bencher.iter_batched_ref(
            ready,
            |(service, sessions)| work_through(service, sessions),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// A pool with 250 jobs that wait, and 10,000 that are finished.
fn busy_pool() -> Service {
    let mut service = service();
    define(&mut service, FINISHED);
    if let Answer::Build(build) = call(&mut service, queue()) {
        call(&mut service, Call::Build(BuildCall::cancel(build)));
    }
    define(&mut service, ROWS);
    call(&mut service, queue());
    service
}

fn read(service: &mut Service, query: &JobRequestQuery, out: &mut Vec<u8>) {
    let answer = call(service, Call::ListJobRequests { pool: POOL, query: query.clone() });
    out.clear();
    service.encode(&answer, out);
}

fn job_requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jobrequests");
    let unfinished = JobRequestQuery { completed: Some(0), ..JobRequestQuery::default() };
    let mut service = busy_pool();
    let mut out = Vec::new();
    read(&mut service, &unfinished, &mut out);
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("250 rows, with matched agents", |bencher| {
        bencher.iter(|| {
            read(&mut service, &unfinished, &mut out);
            black_box(out.len())
        });
    });
    let everything = JobRequestQuery { completed: Some(10_000), ..JobRequestQuery::default() };
    read(&mut service, &everything, &mut out);
    group.throughput(Throughput::Bytes(out.len() as u64));
    group.bench_function("10,250 rows", |bencher| {
        bencher.iter(|| {
            read(&mut service, &everything, &mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

criterion_group!(benches, assign, job_requests);
criterion_main!(benches);
