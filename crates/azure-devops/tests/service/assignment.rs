//! Which job goes to which agent, and when.

use azure_devops::{AgentChange, BuildCall, Call, Reply, RequestId};
use model::event::JobResult;
use model::scenario::ParallelJobs;
use model::{Fact, Millis, MillisRange};

use crate::driver::{Organization, POOL, settings, with_placeholder};

#[test]
fn the_oldest_job_goes_first() {
    let mut organization = Organization::with_template();
    organization.burst(2);
    organization.pass(Millis::seconds(1));
    organization.burst(1);
    organization.pass(Millis::seconds(1));
    let mut requests = Vec::new();
    for name in ["pod-a", "pod-b", "pod-c"] {
        let (_, session) = organization.listen(name);
        requests.push(organization.job(session).request.0);
    }
    assert_eq!(requests, [1, 2, 3]);
}

#[test]
fn a_job_that_was_moved_to_the_top_goes_before_older_ones() {
    let mut organization = Organization::with_template();
    organization.burst(3);
    let top = Call::RenewJobRequest { pool: POOL, request: RequestId(3), to_top: true };
    organization.call(top).expect("moved");
    let (_, session) = organization.listen("pod-a");
    assert_eq!(organization.job(session).request, RequestId(3));
    let (_, session) = organization.listen("pod-b");
    assert_eq!(organization.job(session).request, RequestId(1));
}

#[test]
fn a_job_goes_only_to_an_agent_that_satisfies_its_demands() {
    let mut organization = Organization::new(with_placeholder(settings(), &[("java", "17"), ("gpu", "1")]));
    organization.define("gpu", 1, &["gpu"]);
    organization.define("java", 1, &["java -equals 17"]);
    organization.queue("gpu").expect("a build");
    organization.queue("java").expect("a build");
    let java = organization.register_with("pod-java", &[("java", "17")]);
    let session = organization.open(java);
    assert_eq!(organization.job(session).request, RequestId(2), "the older one needs another agent");
    let gpu = organization.register_with("pod-gpu", &[("gpu", "1")]);
    let session = organization.open(gpu);
    assert_eq!(organization.job(session).request, RequestId(1));
}

#[test]
fn a_disabled_agent_gets_no_job_until_it_is_enabled() {
    let mut organization = Organization::with_template();
    let (agent, _) = organization.listen("pod-a");
    let enable = |organization: &mut Organization, enabled: bool| {
        let change = AgentChange { enabled: Some(enabled), ..AgentChange::default() };
        organization.call(Call::UpdateAgent { pool: POOL, agent, change }).expect("changed");
    };
    enable(&mut organization, false);
    organization.burst(1);
    assert_eq!(organization.assignments(), []);
    enable(&mut organization, true);
    assert_eq!(organization.assignments(), [(1, agent.0)]);
}

#[test]
fn an_offline_agent_gets_no_job() {
    let mut organization = Organization::with_template();
    let agent = organization.register("pod-a");
    organization.burst(1);
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.assignments(), []);
    organization.open(agent);
    assert_eq!(organization.assignments(), [(1, agent.0)]);
}

#[test]
fn an_agent_has_one_job_at_a_time() {
    let mut organization = Organization::with_template();
    let (agent, session) = organization.listen("pod-a");
    organization.burst(2);
    let first = organization.take(session);
    organization.pass(Millis::minutes(1));
    organization.hold(session, None);
    assert_eq!(organization.assignments(), [(1, agent.0)]);
    organization.complete(first, JobResult::Succeeded).expect("the end");
    assert_eq!(organization.assignments(), [(1, agent.0), (2, agent.0)]);
}

#[test]
fn jobs_above_the_parallel_limit_wait_though_agents_are_idle() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.parallel_jobs = ParallelJobs::Limited(1);
    let mut organization = Organization::new(settings);
    let (_, session) = organization.listen("pod-a");
    organization.listen("pod-b");
    organization.burst(2);
    assert_eq!(organization.assignments().len(), 1);
    let got = organization.take(session);
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.assignments().len(), 1);
    organization.complete(got, JobResult::Succeeded).expect("the end");
    assert_eq!(organization.assignments().len(), 2);
}

#[test]
fn the_parallel_limit_is_the_organisation_s_not_the_pool_s() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.parallel_jobs = ParallelJobs::Limited(1);
    let mut other = settings.pools[0].clone();
    (other.name, other.id) = ("other".to_owned(), 3);
    settings.pools.push(other);
    let mut organization = Organization::new(settings);
    organization.burst(1);
    let definition = azure_devops::Definition::flat(
        "elsewhere",
        "shop",
        "other",
        vec![azure_devops::JobTemplate::new("Job", vec![], Millis(1))],
    );
    organization.call(Call::Build(BuildCall::define(definition))).expect("a definition");
    organization.pass(Millis::seconds(1));
    organization.queue("elsewhere").expect("a build");
    let draft = crate::driver::draft("pod-other", &[]);
    let pool = azure_devops::PoolId(3);
    let agent = match organization.call(Call::RegisterAgent { pool, draft }) {
        Ok(azure_devops::Answer::Agent(id, _)) => id,
        other => panic!("{other:?}"),
    };
    let draft = azure_devops::SessionDraft { agent, ..azure_devops::SessionDraft::default() };
    organization.call(Call::OpenSession { pool, draft }).expect("a session");
    assert_eq!(organization.assignments(), [(2, agent.0)], "only this pool has an agent");
    organization.listen("pod-a");
    assert_eq!(organization.assignments().len(), 1, "the one parallel job is in use");
}

#[test]
fn the_assignment_comes_after_a_delay_from_the_range() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.assign_delay = MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) };
    let mut organization = Organization::new(settings);
    let (_, session) = organization.listen("pod-a");
    let held = organization.hold(session, None);
    organization.burst(1);
    organization.pass(Millis(999));
    assert_eq!(organization.assignments(), []);
    assert_eq!(organization.row(RequestId(1)).get("assignTime"), None, "a promise is not seen from outside");
    organization.pass(Millis(2001));
    assert_eq!(organization.assignments().len(), 1);
    assert!(organization.answered.contains_key(&held));
}

#[test]
fn the_same_seed_draws_the_same_delays() {
    let run = |seed: u64| {
        let mut settings = with_placeholder(settings(), &[]);
        settings.assign_delay = MillisRange { least: Millis::ZERO, most: Millis::minutes(1) };
        settings.seed = seed;
        let mut organization = Organization::new(settings);
        for number in 0..5 {
            organization.listen(&format!("pod-{number}"));
        }
        organization.burst(5);
        organization.pass(Millis::minutes(2));
        organization.facts
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn an_agent_that_goes_before_the_assignment_leaves_the_job_to_another() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.assign_delay = MillisRange::exactly(Millis::seconds(2));
    let mut organization = Organization::new(settings);
    let (first, session) = organization.listen("pod-a");
    organization.burst(1);
    organization.pass(Millis::seconds(1));
    organization.close(session);
    organization.remove(first).expect("it had no job yet");
    let (second, _) = organization.listen("pod-b");
    organization.pass(Millis::seconds(2));
    assert_eq!(organization.assignments(), [(1, second.0)]);
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestRequeued { .. })), 0);
}

#[test]
fn a_job_that_was_never_received_goes_back_when_the_session_ends() {
    let mut organization = Organization::with_template();
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    organization.close(session);
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestRequeued { request: 1, .. })), 1);
    assert_eq!(organization.row(RequestId(1)).get("reservedAgent"), None);
    organization.remove(agent).expect("it is free again");
    let (_, session) = organization.listen("pod-b");
    assert_eq!(organization.job(session).request, RequestId(1));
}

#[test]
fn a_job_that_was_never_received_goes_back_when_the_session_expires() {
    let mut organization = Organization::with_template();
    organization.listen("pod-a");
    organization.burst(1);
    organization.pass(Millis::minutes(5));
    let (_, session) = organization.listen("pod-b");
    assert_eq!(organization.take(session).request, RequestId(1));
    organization.pass(Millis::minutes(5));
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestRequeued { .. })), 1);
}

#[test]
fn a_job_that_a_living_agent_does_not_take_goes_back_in_time() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.receive_limit = Millis::minutes(2);
    let mut organization = Organization::new(settings);
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    organization.job(session);
    organization.pass(Millis::minutes(1));
    organization.job(session);
    assert_eq!(organization.assignments().len(), 1);
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.count(|fact| matches!(fact, Fact::JobRequestRequeued { .. })), 1);
    assert_eq!(organization.assignments(), [(1, agent.0), (1, agent.0)], "it is still the only agent");
}

#[test]
fn an_agent_that_is_shutting_down_gets_no_further_job() {
    let mut organization = Organization::with_template();
    let (agent, session) = organization.listen("pod-a");
    organization.burst(2);
    let got = organization.take(session);
    let last = Call::CompleteJob {
        plan: got.plan,
        request: got.request,
        result: JobResult::Succeeded,
        agent_shutting_down: true,
    };
    organization.call(last).expect("the end");
    organization.pass(Millis::minutes(1));
    assert_eq!(organization.assignments(), [(1, agent.0)]);
    organization.remove(agent).expect("nothing holds it");
}

#[test]
fn an_agent_that_was_shutting_down_and_comes_back_gets_jobs_again() {
    let mut organization = Organization::with_template();
    let (agent, session) = organization.listen("pod-a");
    organization.burst(2);
    let got = organization.take(session);
    let last = Call::CompleteJob {
        plan: got.plan,
        request: got.request,
        result: JobResult::Succeeded,
        agent_shutting_down: true,
    };
    organization.call(last).expect("the end");
    organization.close(session);
    organization.open(agent);
    assert_eq!(organization.assignments(), [(1, agent.0), (2, agent.0)]);
}

#[test]
fn a_service_that_knows_no_shutting_down_gives_the_next_job() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.switches.heed_shutting_down = false;
    let mut organization = Organization::new(settings);
    let (agent, session) = organization.listen("pod-a");
    organization.burst(2);
    let got = organization.take(session);
    let last = Call::CompleteJob {
        plan: got.plan,
        request: got.request,
        result: JobResult::Succeeded,
        agent_shutting_down: true,
    };
    organization.call(last).expect("the end");
    assert_eq!(organization.assignments(), [(1, agent.0), (2, agent.0)]);
    assert!(organization.remove(agent).is_err(), "it holds the next job");
    assert!(matches!(organization.poll(session, None), Reply::Answer(_)));
}
