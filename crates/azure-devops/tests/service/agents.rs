//! Agents: registered, found, replaced, removed, and refused while they work.

use azure_devops::{AgentChange, AgentId, Answer, Call, Include, PoolId, Refusal};
use model::Fact;
use model::event::JobResult;

use crate::driver::{EVERYTHING, Organization, POOL, draft, owned, settings, with_placeholder};

fn found(organization: &mut Organization, name: Option<&str>, demands: &[&str]) -> Vec<AgentId> {
    let call = Call::ListAgents {
        pool: POOL,
        name: name.map(str::to_owned),
        demands: demands.iter().map(|text| text.parse().expect("a demand")).collect(),
        include: Include::default(),
    };
    match organization.call(call) {
        Ok(Answer::Agents(agents, _)) => agents,
        other => panic!("no list: {other:?}"),
    }
}

#[test]
fn a_placeholder_is_registered_and_offline_from_the_start() {
    let mut organization = Organization::new(with_placeholder(settings(), &[("java", "17")]));
    let template = found(&mut organization, Some("TEMPLATE"), &[])[0];
    let agent = organization.agent(template);
    assert_eq!((&agent["status"], &agent["enabled"]), (&"offline".into(), &true.into()));
    assert_eq!(agent["systemCapabilities"]["java"], "17");
    let told = |fact: &Fact| matches!(fact, Fact::AgentRegistered { placeholder: true, replaced: false, .. });
    assert_eq!(organization.count(told), 1);
}

#[test]
fn an_agent_s_name_is_taken_once_whatever_the_case() {
    let mut organization = Organization::new(settings());
    organization.register("pod-a");
    let again = organization.call(Call::RegisterAgent { pool: POOL, draft: draft("POD-A", &[]) });
    let taken = Refusal::AgentExists { pool: "keda-pool".to_owned(), name: "POD-A".to_owned() };
    assert_eq!(again.err(), Some(taken));
    organization.register("pod-b");
    let nowhere = organization.call(Call::RegisterAgent { pool: PoolId(7), draft: draft("pod-c", &[]) });
    assert_eq!(nowhere.err(), Some(Refusal::PoolNotFound(PoolId(7))));
}

#[test]
fn agents_are_listed_by_name_and_by_demands() {
    let mut organization = Organization::new(settings());
    let java = organization.register_with("pod-a", &[("java", "17")]);
    let plain = organization.register("pod-b");
    assert_eq!(found(&mut organization, None, &[]), [java, plain]);
    assert_eq!(found(&mut organization, Some("POD-B"), &[]), [plain]);
    assert_eq!(found(&mut organization, None, &["Java -equals 17"]), [java]);
    assert_eq!(found(&mut organization, Some("pod-b"), &["java"]), []);
}

#[test]
fn an_agent_tells_only_what_is_asked_for() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    let got = organization.take(session);
    organization.complete(got, JobResult::Succeeded).expect("the end");
    organization.burst(1);

    let bare = organization.read(Call::GetAgent { pool: POOL, agent, include: Include::default() });
    assert_eq!(bare["name"], "pod-a");
    assert_eq!(bare["osDescription"], "Linux");
    for member in ["systemCapabilities", "assignedRequest", "lastCompletedRequest"] {
        assert!(bare.get(member).is_none(), "{member}");
    }
    let full = organization.read(Call::GetAgent { pool: POOL, agent, include: EVERYTHING });
    assert_eq!(full["assignedRequest"]["requestId"], 2);
    assert_eq!(full["lastCompletedRequest"]["requestId"], 1);
    assert_eq!(full["lastCompletedRequest"]["result"], "succeeded");
}

#[test]
fn a_replaced_agent_keeps_its_id_and_loses_its_session() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    let held = organization.hold(session, None);
    let replaced =
        organization.call(Call::ReplaceAgent { pool: POOL, agent, draft: draft("pod-a", &[("gpu", "1")]) });
    assert!(matches!(replaced, Ok(Answer::Agent(id, _)) if id == agent));
    let answered = organization.answered.remove(&held).expect("an answer");
    assert_eq!(answered.err(), Some(Refusal::SessionExpired(session)));
    assert_eq!(organization.agent(agent)["status"], "offline");
    assert_eq!(organization.agent(agent)["systemCapabilities"]["gpu"], "1");
    organization.open(agent);
}

#[test]
fn a_replaced_agent_s_session_lives_on_if_the_switch_says_so() {
    let mut settings = settings();
    settings.switches.replace_ends_session = false;
    let mut organization = Organization::new(settings);
    let (agent, session) = organization.listen("pod-a");
    organization
        .call(Call::ReplaceAgent { pool: POOL, agent, draft: draft("pod-a", &[]) })
        .expect("replaced");
    assert_eq!(organization.agent(agent)["status"], "online");
    assert!(matches!(organization.try_open(agent), Err(Refusal::SessionConflict { .. })));
    organization.hold(session, None);
}

#[test]
fn a_replacement_takes_no_other_agent_s_name() {
    let mut organization = Organization::new(settings());
    let one = organization.register("pod-a");
    organization.register("pod-b");
    let mut replace = |name: &str| {
        organization.call(Call::ReplaceAgent { pool: POOL, agent: one, draft: draft(name, &[]) }).map(|_| ())
    };
    assert!(matches!(replace("pod-B"), Err(Refusal::AgentExists { .. })));
    assert_eq!(replace("pod-c"), Ok(()));
    organization.register("pod-a");
}

#[test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let mut organization = Organization::new(settings());
    let agent = organization.register("pod-a");
    let change = AgentChange { enabled: Some(false), ..AgentChange::default() };
    organization.call(Call::UpdateAgent { pool: POOL, agent, change }).expect("changed");
    let changed = organization.agent(agent);
    assert_eq!((&changed["enabled"], &changed["maxParallelism"]), (&false.into(), &1.into()));
    let change = AgentChange { max_parallelism: Some(2), ..AgentChange::default() };
    organization.call(Call::UpdateAgent { pool: POOL, agent, change }).expect("changed");
    let changed = organization.agent(agent);
    assert_eq!((&changed["enabled"], &changed["maxParallelism"]), (&false.into(), &2.into()));
}

#[test]
fn user_capabilities_satisfy_demands_and_are_replaced_as_a_whole() {
    let mut organization = Organization::new(settings());
    let agent = organization.register("pod-a");
    let mut set = |pairs: &[(&str, &str)]| {
        let capabilities = owned(pairs);
        organization.call(Call::SetUserCapabilities { pool: POOL, agent, capabilities }).expect("set");
        (found(&mut organization, None, &["gpu"]).len(), found(&mut organization, None, &["maven"]).len())
    };
    assert_eq!(set(&[("gpu", "1")]), (1, 0));
    assert_eq!(set(&[("maven", "3")]), (0, 1));
}

#[test]
fn an_idle_agent_is_removed_with_its_session() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    let held = organization.hold(session, None);
    organization.remove(agent).expect("removed");
    let answered = organization.answered.remove(&held).expect("an answer");
    assert_eq!(answered.err(), Some(Refusal::AgentNotFound(agent)));
    assert_eq!(organization.remove(agent).err(), Some(Refusal::AgentNotFound(agent)));
    assert_eq!(organization.try_open(agent).err(), Some(Refusal::AgentNotFound(agent)));
    let told: Vec<&Fact> = organization.facts.iter().rev().take(2).collect();
    assert!(matches!(told[..], [Fact::AgentRemoved { .. }, Fact::AgentOffline { .. }]), "{told:?}");
    organization.register("pod-a");
}

#[test]
fn a_busy_agent_is_not_removed() {
    let mut organization = Organization::new(settings());
    let (agent, session) = organization.listen("pod-a");
    organization.burst(1);
    let busy = Refusal::JobStillRunning { agent: "pod-a".to_owned(), pool: "keda-pool".to_owned() };
    assert_eq!(organization.remove(agent).err(), Some(busy.clone()), "assigned and not yet received");
    let got = organization.take(session);
    assert_eq!(organization.remove(agent).err(), Some(busy), "received");
    organization.complete(got, JobResult::Succeeded).expect("the end");
    organization.remove(agent).expect("idle again");
    assert_eq!(organization.count(|fact| matches!(fact, Fact::AgentRemovalRefused { request: 1, .. })), 2);
}

#[test]
fn an_agent_is_not_found_in_another_pool() {
    let mut organization = Organization::new(settings());
    let agent = organization.register("pod-a");
    organization.call(Call::CreatePool { name: "other".to_owned(), placeholders: vec![] }).expect("a pool");
    let elsewhere = Call::RemoveAgent { pool: PoolId(19), agent };
    assert_eq!(organization.call(elsewhere).err(), Some(Refusal::AgentNotFound(agent)));
    assert_eq!(organization.service.agents().len(), 1);
}

fn noted(name: &str) -> azure_devops::Properties {
    [(name.to_owned(), serde_json::json!({"$type": "System.String", "$value": "x"}))].into()
}

#[test]
fn an_agent_registers_with_everything_that_is_said_of_it() {
    let mut organization = Organization::new(settings());
    let draft = azure_devops::AgentDraft {
        max_parallelism: Some(4),
        user_capabilities: Some(owned(&[("gpu", "1")])),
        properties: noted("Rack"),
        ..draft("a-1", &[])
    };
    let agent = organization.read(Call::RegisterAgent { pool: POOL, draft });
    assert_eq!((&agent["maxParallelism"], &agent["userCapabilities"]["gpu"]), (&4.into(), &"1".into()));
    assert_eq!(agent.get("properties"), None, "only if somebody asks for them");
    let id = AgentId(agent["id"].as_u64().expect("an id"));
    let plain =
        organization.read(Call::RegisterAgent { pool: POOL, draft: crate::driver::draft("a-2", &[]) });
    assert_eq!((&plain["maxParallelism"], plain.get("userCapabilities")), (&1.into(), None));
    let mut told = |filter: &str| {
        let properties = azure_devops::PropertyFilter::of(vec![filter.to_owned()]);
        let call = azure_devops::PoolCall::GetAgent {
            pool: POOL,
            agent: id,
            include: Include::default(),
            properties,
        };
        organization.read(call.into()).get("properties").cloned()
    };
    assert_eq!(told("*").map(|told| told["Rack"]["$value"].clone()), Some("x".into()));
    assert_eq!(told("RACK").map(|told| told["Rack"]["$value"].clone()), Some("x".into()));
    assert_eq!(told("Row"), None);
}

#[test]
fn agents_are_listed_with_properties_and_all_other_filters() {
    let mut organization = Organization::new(settings());
    let draft = azure_devops::AgentDraft { properties: noted("Rack"), ..draft("a-1", &[("gpu", "1")]) };
    organization.call(Call::RegisterAgent { pool: POOL, draft }).expect("an agent");
    organization.register("a-2");
    let mut names = |name: Option<&str>, demand: Option<&str>| {
        let query = azure_devops::AgentQuery {
            name: name.map(str::to_owned),
            demands: demand.into_iter().map(|text| text.parse().expect("a demand")).collect(),
            properties: azure_devops::PropertyFilter::of(vec!["*".to_owned()]),
            ..azure_devops::AgentQuery::default()
        };
        let list = organization.read(azure_devops::PoolCall::ListAgents { pool: POOL, query }.into());
        let agents = list["value"].as_array().expect("a list").clone();
        agents
            .iter()
            .map(|agent| (agent["name"].clone(), agent.get("properties").is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(None, None), [("a-1".into(), true), ("a-2".into(), false)]);
    assert_eq!(names(Some("A-2"), None), [("a-2".into(), false)]);
    assert_eq!(names(None, Some("gpu")), [("a-1".into(), true)]);
}

#[test]
fn a_changed_agent_keeps_what_the_change_does_not_name() {
    let mut organization = Organization::new(settings());
    let agent = organization.register_with("a-1", &[("java", "17")]);
    organization.register("a-2");
    let mut change = |change| organization.call(Call::UpdateAgent { pool: POOL, agent, change }).map(|_| ());
    let taken = AgentChange { name: Some("A-2".into()), ..AgentChange::default() };
    assert!(matches!(change(taken), Err(Refusal::AgentExists { .. })));
    let renamed = AgentChange {
        name: Some("b-1".into()),
        user_capabilities: Some(owned(&[("gpu", "1")])),
        ..AgentChange::default()
    };
    assert_eq!(change(renamed), Ok(()));
    let told = organization.agent(agent);
    assert_eq!((&told["name"], &told["version"]), (&"b-1".into(), &"4.258.1".into()));
    assert_eq!(
        (&told["systemCapabilities"]["java"], &told["userCapabilities"]["gpu"]),
        (&"17".into(), &"1".into())
    );
    let list = |name: &str, demand: &str| Call::ListAgents {
        pool: POOL,
        name: Some(name.to_owned()),
        demands: vec![demand.parse().expect("a demand")],
        include: Include::default(),
    };
    assert_eq!(
        organization.read(list("B-1", "gpu"))["count"],
        1,
        "found by its new name, with what it can do now"
    );
    assert_eq!(organization.read(list("a-1", "java"))["count"], 0);
}
