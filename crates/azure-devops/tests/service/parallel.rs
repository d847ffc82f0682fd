//! Parallel jobs: their limits by tag, and what is told of them.

use azure_devops::faults::Upset;
use azure_devops::{Call, ParallelismTag, PoolCall, RequestId};
use model::scenario::ParallelJobs;

use crate::driver::{Organization, POOL, settings, with_placeholder};

fn with_agents(limit: ParallelJobs) -> Organization {
    let mut settings = with_placeholder(settings(), &[]);
    settings.parallel_jobs = limit;
    let mut organization = Organization::new(settings);
    for name in ["a-1", "a-2", "a-3"] {
        organization.listen(name);
    }
    organization
}

fn set(organization: &mut Organization, tag: ParallelismTag, limit: ParallelJobs) {
    organization.call(PoolCall::SetParallelJobs { tag, limit }.into()).expect("set");
    organization.pass(model::Millis::ZERO);
}

fn usage(organization: &mut Organization, tag: ParallelismTag, running: bool) -> serde_json::Value {
    organization.read(PoolCall::ResourceUsage { tag, hosted: false, running }.into())
}

#[test]
fn a_higher_limit_lets_waiting_jobs_run_at_once() {
    let mut organization = with_agents(ParallelJobs::Limited(1));
    organization.burst(3);
    organization.pass(model::Millis::ZERO);
    assert_eq!(organization.assignments().len(), 1);
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Limited(2));
    assert_eq!(organization.assignments().len(), 2);
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Unlimited);
    assert_eq!(organization.assignments().len(), 3);
}

#[test]
fn a_lower_limit_ends_nothing_and_the_other_tag_s_limit_is_not_minded() {
    let mut organization = with_agents(ParallelJobs::Limited(2));
    organization.burst(3);
    organization.pass(model::Millis::ZERO);
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Limited(1));
    assert_eq!(usage(&mut organization, ParallelismTag::Private, false)["usedCount"], 2);
    set(&mut organization, ParallelismTag::Public, ParallelJobs::Limited(9));
    assert_eq!(organization.assignments().len(), 2);
}

/// Puts another limit in the place of what was set, or no longer does.
fn upset(organization: &mut Organization, instead: Option<ParallelJobs>) {
    organization.call(Call::Upset(Upset::ParallelJobs(instead))).expect("done");
    organization.pass(model::Millis::ZERO);
}

#[test]
fn what_was_set_before_a_fault_counts_again_after_it() {
    let mut organization = with_agents(ParallelJobs::Unlimited);
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Limited(2));
    upset(&mut organization, Some(ParallelJobs::Limited(1)));
    organization.burst(3);
    organization.pass(model::Millis::ZERO);
    assert_eq!(organization.assignments().len(), 1);
    upset(&mut organization, None);
    assert_eq!(organization.assignments().len(), 2, "as many as were set, not as there were at the start");
}

#[test]
fn what_is_set_during_a_fault_counts_from_its_end_on() {
    let mut organization = with_agents(ParallelJobs::Limited(1));
    upset(&mut organization, Some(ParallelJobs::Limited(2)));
    organization.burst(3);
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Unlimited);
    assert_eq!(organization.assignments().len(), 2);
    assert_eq!(organization.service.replaced_parallel_jobs(), Some(ParallelJobs::Limited(2)));
    upset(&mut organization, None);
    assert_eq!(organization.assignments().len(), 3);
}

#[test]
fn jobs_of_public_projects_count_against_a_limit_of_their_own() {
    let mut organization = with_agents(ParallelJobs::Limited(0));
    let public = azure_devops::BuildCall::DefineProject { name: "shop".to_owned(), public: true };
    organization.call(public.into()).expect("a project");
    organization.burst(2);
    organization.pass(model::Millis::ZERO);
    assert_eq!(organization.assignments().len(), 2);
    assert_eq!(usage(&mut organization, ParallelismTag::Public, false)["usedCount"], 2);
    assert_eq!(usage(&mut organization, ParallelismTag::Private, false)["usedCount"], 0);
    assert_eq!(organization.row(RequestId(1))["data"]["ParallelismTag"], "Public");
}

#[test]
fn limits_are_told_with_what_was_bought_and_no_limit_has_no_number() {
    let mut organization = with_agents(ParallelJobs::Limited(3));
    let limits = organization.read(PoolCall::ResourceLimits.into());
    let (private, public) = (&limits["value"][0], &limits["value"][1]);
    assert_eq!((&private["parallelismTag"], &private["totalCount"]), (&"Private".into(), &3.into()));
    assert_eq!(private["resourceLimitsData"], serde_json::json!({"FreeCount": "1", "PurchasedCount": "2"}));
    assert_eq!((&public["parallelismTag"], public.get("totalCount")), (&"Public".into(), None));
}

#[test]
fn running_requests_are_told_if_somebody_asks() {
    let mut organization = with_agents(ParallelJobs::Limited(1));
    organization.burst(2);
    organization.pass(model::Millis::ZERO);
    let told = usage(&mut organization, ParallelismTag::Private, true);
    assert_eq!(told["runningRequests"].as_array().map(Vec::len), Some(1));
    assert_eq!(told["runningRequests"][0]["requestId"], 1);
    assert_eq!(usage(&mut organization, ParallelismTag::Private, false).get("runningRequests"), None);
    let hosted = PoolCall::ResourceUsage { tag: ParallelismTag::Private, hosted: true, running: true };
    let hosted = organization.read(hosted.into());
    assert_eq!((&hosted["usedCount"], &hosted["resourceLimit"]["totalCount"]), (&0.into(), &0.into()));
}

#[test]
fn a_request_tells_what_it_waits_for_if_somebody_asks() {
    let mut organization = with_agents(ParallelJobs::Limited(1));
    organization.burst(3);
    organization.pass(model::Millis::ZERO);
    let status = |organization: &mut Organization, request: u64| {
        let call = PoolCall::GetStatus { pool: POOL, request: RequestId(request) };
        organization.read(call.into())["statusMessage"].as_str().map(str::to_owned)
    };
    assert_eq!(status(&mut organization, 1), None, "it runs");
    let waits = status(&mut organization, 3).expect("a message");
    assert!(
        waits.contains("parallelism type 'Private self-hosted'") && waits.ends_with("queue: 2"),
        "{waits}"
    );
    set(&mut organization, ParallelismTag::Private, ParallelJobs::Unlimited);
    organization.burst(1);
    let waits = status(&mut organization, 4).expect("a message");
    assert!(waits.starts_with("All potential agents are in use"), "{waits}");
    assert_eq!(organization.row(RequestId(4)).get("statusMessage"), None);

    let mut offline = Organization::with_template();
    offline.burst(1);
    assert_eq!(status(&mut offline, 1).as_deref(), Some("All eligible agents are disabled or offline"));
    let pool = offline.read(Call::ListAgents {
        pool: POOL,
        name: None,
        demands: vec![],
        include: azure_devops::Include::default(),
    });
    offline.remove(azure_devops::AgentId(pool["value"][0]["id"].as_u64().expect("an id"))).expect("removed");
    assert_eq!(
        status(&mut offline, 1).as_deref(),
        Some("No agents in pool keda-pool are currently able to service this request.")
    );
}
