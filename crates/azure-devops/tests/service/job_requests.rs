//! The lists that KEDA reads.

use azure_devops::{Answer, BuildCall, Call, Definition, JobRequestQuery, JobTemplate, RequestId, RowOrder};
use model::Millis;
use model::event::{JobResult, RequestForm, ScalerRow};
use serde_json::Value;

use crate::driver::{Organization, POOL, settings, with_placeholder};

/// Two finished, one running, one assigned, one queued job: ids 1 and 2, 3, 4, 5.
fn mixed(organization: &mut Organization) {
    let (_, session) = organization.listen("pod-a");
    organization.burst(5);
    for _ in 0..2 {
        organization.pass(Millis::seconds(1));
        let got = organization.take(session);
        organization.complete(got, JobResult::Succeeded).expect("the end");
    }
    organization.take(session);
    organization.listen("pod-b");
}

fn ids(organization: &mut Organization, query: JobRequestQuery) -> Vec<u64> {
    organization.rows(query).rows.into_iter().map(|id| id.0).collect()
}

fn top(rows: u32) -> JobRequestQuery {
    JobRequestQuery { top: Some(rows), ..JobRequestQuery::default() }
}

fn completed(rows: u32) -> JobRequestQuery {
    JobRequestQuery { completed: Some(rows), ..JobRequestQuery::default() }
}

fn json(organization: &mut Organization, query: JobRequestQuery) -> Vec<Value> {
    let list = organization.rows(query);
    let value = organization.json(&Answer::JobRequests(list));
    let rows = value["value"].as_array().expect("a list").clone();
    assert_eq!(value["count"], rows.len());
    rows
}

#[test]
fn a_list_has_the_unfinished_rows_by_id_and_then_the_latest_finished() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    assert_eq!(ids(&mut organization, JobRequestQuery::default()), [3, 4, 5, 2, 1]);
    assert_eq!(ids(&mut organization, completed(0)), [3, 4, 5]);
    assert_eq!(ids(&mut organization, completed(1)), [3, 4, 5, 2]);
    assert_eq!(ids(&mut organization, top(4)), [3, 4, 5, 2]);
}

#[test]
fn the_newest_come_first_if_the_switch_says_so() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.switches.row_order = RowOrder::NewestFirst;
    let mut organization = Organization::new(settings);
    mixed(&mut organization);
    assert_eq!(ids(&mut organization, JobRequestQuery::default()), [5, 4, 3, 2, 1]);
    assert_eq!(ids(&mut organization, top(2)), [5, 4], "older ones that wait are hidden");
}

#[test]
fn top_wins_over_completed_request_count() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    let both = JobRequestQuery { top: Some(250), completed: Some(0), ..JobRequestQuery::default() };
    assert_eq!(both.form(), RequestForm::Top);
    assert_eq!(ids(&mut organization, both), [3, 4, 5, 2, 1]);
}

#[test]
fn top_has_200_rows_at_most_and_the_other_forms_have_all() {
    let mut organization = Organization::with_template();
    organization.burst(260);
    assert_eq!(ids(&mut organization, top(250)).len(), 200);
    assert_eq!(ids(&mut organization, top(10)).len(), 10);
    assert_eq!(ids(&mut organization, completed(0)).len(), 260);
    assert_eq!(ids(&mut organization, JobRequestQuery::default()).len(), 260);
}

#[test]
fn a_list_without_a_query_holds_so_many_finished_rows_as_the_switch_says() {
    let mut settings = with_placeholder(settings(), &[]);
    settings.switches.completed_by_default = 1;
    let mut organization = Organization::new(settings);
    mixed(&mut organization);
    assert_eq!(ids(&mut organization, JobRequestQuery::default()), [3, 4, 5, 2]);
    assert_eq!(ids(&mut organization, completed(9)), [3, 4, 5, 2, 1]);
}

#[test]
fn matched_agents_stand_on_rows_without_an_agent_only() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    for row in json(&mut organization, JobRequestQuery::default()) {
        let names = row.get("matchedAgents").map(|agents| {
            let agents = agents.as_array().expect("a list").iter();
            agents.map(|agent| agent["name"].as_str().expect("a name").to_owned()).collect::<Vec<String>>()
        });
        let expected =
            (row["requestId"] == 5).then(|| ["template", "pod-a", "pod-b"].map(str::to_owned).to_vec());
        assert_eq!(names, expected, "{}", row["requestId"]);
    }
}

#[test]
fn top_leaves_matched_agents_out() {
    let mut organization = Organization::with_template();
    organization.burst(2);
    let has_them = |rows: Vec<Value>| rows.iter().all(|row| row.get("matchedAgents").is_some());
    assert!(has_them(json(&mut organization, completed(0))));
    assert!(json(&mut organization, top(250)).iter().all(|row| row.get("matchedAgents").is_none()));
}

#[test]
fn matched_agents_follow_the_agents() {
    let mut organization = Organization::new(settings());
    let agent = organization.register_with("pod-a", &[("java", "17")]);
    organization.define("java", 1, &["java"]);
    organization.queue("java").expect("a build");
    let matched = |organization: &mut Organization| {
        json(organization, completed(0))[0]
            .get("matchedAgents")
            .map(|agents| agents.as_array().expect("a list").len())
    };
    assert_eq!(matched(&mut organization), Some(1));
    organization.register("pod-b");
    assert_eq!(matched(&mut organization), Some(1), "it has no java");
    organization.register_with("pod-c", &[("java", "21")]);
    assert_eq!(matched(&mut organization), Some(2));
    organization.remove(agent).expect("removed");
    assert_eq!(matched(&mut organization), Some(1));
    let list = organization.service.agents().into_iter().map(|agent| agent.id).collect::<Vec<_>>();
    for agent in list {
        organization.remove(agent).expect("removed");
    }
    assert_eq!(matched(&mut organization), None, "an empty list is left out");
}

#[test]
fn a_row_has_the_members_of_its_state_and_no_unset_ones() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    let rows = json(&mut organization, JobRequestQuery::default());
    let members = ["assignTime", "reservedAgent", "receiveTime", "lockedUntil", "finishTime", "result"];
    for (request, set) in [(5, 0), (4, 2), (3, 4), (2, 6)] {
        let row = rows.iter().find(|row| row["requestId"] == request).expect("the row");
        for (position, member) in members.iter().enumerate() {
            assert_eq!(row.get(member).is_some(), position < set, "{member} of {request}");
        }
    }
    let queued = rows.iter().find(|row| row["requestId"] == 5).expect("the row");
    assert_eq!(queued["queueTime"], "2026-09-21T14:13:20Z");
    assert_eq!(queued["demands"], serde_json::json!(["Agent.Version -gtVersion 2.182.1"]));
    assert_eq!(queued["data"], serde_json::json!({ "ParallelismTag": "Private", "IsScheduledKey": "False" }));
    assert_eq!(queued["poolId"], 18);
    assert_eq!(queued["definition"]["name"], "burst of 5");
}

#[test]
fn a_reserved_agent_s_status_follows_the_agent() {
    let mut organization = Organization::with_template();
    let (_, session) = organization.listen("pod-a");
    organization.burst(1);
    organization.take(session);
    let status = |organization: &mut Organization| {
        json(organization, completed(0))[0]["reservedAgent"]["status"].as_str().expect("a status").to_owned()
    };
    assert_eq!(status(&mut organization), "online");
    organization.close(session);
    assert_eq!(status(&mut organization), "offline");
}

#[test]
fn rows_are_filtered_by_agent_plan_and_job() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    organization.burst(1);
    let agents = organization.service.agents();
    let agent = |name: &str| agents.iter().find(|agent| agent.name == name).expect("an agent").id;
    let of = |agents: Vec<azure_devops::AgentId>| JobRequestQuery { agents, ..JobRequestQuery::default() };
    let (one, other) = (agent("pod-a"), agent("pod-b"));
    assert_eq!(ids(&mut organization, of(vec![one])), [3, 2, 1]);
    assert_eq!(ids(&mut organization, of(vec![other])), [4]);
    let unfinished = JobRequestQuery { completed: Some(0), ..of(vec![one, other]) };
    assert_eq!(unfinished.form(), RequestForm::Filtered);
    assert_eq!(ids(&mut organization, unfinished), [3, 4]);
    let row = organization.row(RequestId(6));
    let plan = serde_json::from_value(row["planId"].clone()).expect("a plan");
    let job = serde_json::from_value(row["jobId"].clone()).expect("a job");
    assert_eq!(ids(&mut organization, JobRequestQuery { plan: Some(plan), ..of(vec![]) }), [6]);
    assert_eq!(ids(&mut organization, JobRequestQuery { job: Some(job), ..of(vec![]) }), [6]);
}

#[test]
fn the_log_s_rows_say_what_the_wire_s_rows_say() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    for query in [JobRequestQuery::default(), completed(0), top(250)] {
        let list = organization.rows(query.clone());
        let rows = organization.service.scaler_rows(&list);
        let written = json(&mut organization, query);
        assert_eq!(rows.len(), written.len());
        for (row, written) in rows.iter().zip(written) {
            assert_eq!(row.request, written["requestId"]);
            assert_eq!(row.assigned, written.get("assignTime").is_some());
            assert_eq!(row.received, written.get("receiveTime").is_some());
            assert_eq!(row.result.is_some(), written.get("result").is_some());
            assert_eq!(serde_json::json!(row.demands), written["demands"]);
            let matched = written.get("matchedAgents").and_then(Value::as_array).map_or(0, Vec::len);
            assert_eq!(row.matched_agents.len(), matched);
        }
    }
}

#[test]
fn only_so_many_finished_rows_are_kept() {
    let mut organization = Organization::with_template();
    let limit = azure_devops::limits::MAX_FINISHED_REQUESTS;
    organization.define("large", limit, &[]);
    for _ in 0..2 {
        let build = organization.queue("large").expect("a build");
        organization
            .call(azure_devops::Call::Build(azure_devops::BuildCall::cancel(build)))
            .expect("cancelled");
    }
    let rows = ids(&mut organization, completed(u32::MAX));
    assert_eq!(rows.len(), limit);
    assert_eq!(rows.last(), Some(&(limit as u64 + 1)));
    let forgotten = azure_devops::Call::GetJobRequest { pool: POOL, request: RequestId(1) };
    assert!(organization.call(forgotten).is_err());
}

/// What KEDA counts, read without an answer, against the rows of the answer.
fn same_rows(organization: &mut Organization, query: &JobRequestQuery) {
    let list = organization.rows(query.clone());
    let service = &organization.service;
    let told = service.scaler_rows(&list);
    let told: Vec<_> = told.into_iter().filter(|row| row.result.is_none()).collect();
    let seen: Vec<_> = service
        .unfinished_rows(POOL, query)
        .map(|row| ScalerRow {
            request: row.request().0,
            demands: row.demands().map(str::to_owned).collect(),
            assigned: row.is_assigned(),
            received: row.is_received(),
            result: row.result(),
            matched_agents: row.matched_agents().map(str::to_owned).collect(),
        })
        .collect();
    assert_eq!(seen, told, "{query:?}");
    let rows: Vec<_> = service.rows(&list).map(|row| row.request()).collect();
    assert_eq!(rows, list.rows);
    for row in service.unfinished_rows(POOL, query) {
        for agent in ["template", "pod-a", "pod-b", "POD-A", "nobody"] {
            let listed = row.matched_agents().any(|name| name == agent);
            assert_eq!(row.matches_agent(agent), listed, "{agent}");
        }
    }
}

#[test]
fn rows_read_without_an_answer_are_those_of_the_answer() {
    for row_order in [RowOrder::UnfinishedFirst, RowOrder::NewestFirst] {
        let mut settings = with_placeholder(settings(), &[]);
        settings.switches.row_order = row_order;
        let mut organization = Organization::new(settings);
        same_rows(&mut organization, &top(250));
        mixed(&mut organization);
        organization.burst(3);
        for query in [JobRequestQuery::default(), completed(0), completed(1)] {
            same_rows(&mut organization, &query);
        }
        for rows in 0..10 {
            same_rows(&mut organization, &top(rows));
        }
    }
}

#[test]
fn an_ended_row_tells_of_its_definition_as_it_was() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    let before = json(&mut organization, completed(10));
    let mut again = Organization::with_template();
    mixed(&mut again);
    let definition = Definition::flat(
        "ci".to_uppercase(),
        "another project",
        "keda-pool",
        vec![JobTemplate::new("Job", Vec::new(), Millis::ZERO)],
    );
    again.call(Call::Build(BuildCall::define(definition))).expect("defined");
    let after = json(&mut again, completed(10));
    let ended =
        |rows: &[Value]| rows.iter().filter(|row| !row["result"].is_null()).cloned().collect::<Vec<_>>();
    assert_eq!(ended(&before), ended(&after));
    assert_eq!(ended(&after).len(), 2);
}

fn page(organization: &mut Organization, query: JobRequestQuery) -> (Vec<u64>, Option<u64>) {
    let answer = organization.call(Call::ListJobRequests { pool: POOL, query }).expect("a list");
    let Answer::JobRequests(list) = &answer else { panic!("no list: {answer:?}") };
    (list.rows.iter().map(|id| id.0).collect(), answer.continuation())
}

#[test]
fn a_page_ends_with_a_token_that_begins_the_next_one() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    assert_eq!(page(&mut organization, top(2)), (vec![3, 4], Some(5)));
    let next = JobRequestQuery { from: Some(RequestId(5)), ..top(2) };
    assert_eq!(page(&mut organization, next), (vec![5, 2], Some(1)));
    let last = JobRequestQuery { from: Some(RequestId(1)), ..top(2) };
    assert_eq!(page(&mut organization, last), (vec![1], None));
    assert_eq!(page(&mut organization, top(5)).1, None, "nothing is left");
    assert_eq!(page(&mut organization, completed(0)).1, None, "only `$top` has pages");
}

#[test]
fn a_token_of_a_row_that_is_not_there_is_refused() {
    let mut organization = Organization::with_template();
    mixed(&mut organization);
    let query = JobRequestQuery { from: Some(RequestId(99)), ..top(2) };
    let refused = organization.call(Call::ListJobRequests { pool: POOL, query }).err();
    assert_eq!(refused, Some(azure_devops::Refusal::BadContinuation(99)));
}

#[test]
fn rows_say_that_all_agents_match_as_the_switch_says() {
    use azure_devops::AllAgentsMatch::{Listed, Told, ToldOnly};
    for (switch, told, listed) in [(Listed, false, true), (Told, true, true), (ToldOnly, true, false)] {
        let mut settings = with_placeholder(settings(), &[]);
        settings.switches.all_agents_match = switch;
        let mut organization = Organization::new(settings);
        organization.burst(1);
        let row = organization.row(RequestId(1));
        assert_eq!(row.get("matchesAllAgentsInPool").is_some(), told, "{switch:?}");
        assert_eq!(row.get("matchedAgents").is_some(), listed, "{switch:?}");
        let list = organization.rows(JobRequestQuery::default());
        let seen = organization.service.rows(&list).next().expect("a row").matches_agent("template");
        assert_eq!(seen, listed, "{switch:?}: a reader without JSON sees the same");
        assert_eq!(organization.service.scaler_rows(&list)[0].matched_agents.is_empty(), !listed);
    }
}

#[test]
fn rows_that_not_all_agents_match_say_nothing_of_it() {
    let mut organization = Organization::with_template();
    organization.register_with("gpu-1", &[("gpu", "1")]);
    organization.define("gpu", 1, &["gpu"]);
    organization.queue("gpu").expect("a build");
    let row = organization.row(RequestId(1));
    assert_eq!(row.get("matchesAllAgentsInPool"), None);
    assert_eq!(row["matchedAgents"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_request_is_ended_by_hand_wherever_it_stands() {
    let mut organization = Organization::with_template();
    let (agent, session) = organization.listen("a-1");
    organization.burst(2);
    organization.pass(Millis::ZERO);
    let got = organization.take(session);
    let end = |request, result| azure_devops::PoolCall::EndJobRequest {
        pool: POOL,
        request,
        result,
        agent_shutting_down: true,
    };
    organization.call(end(RequestId(2), JobResult::Canceled).into()).expect("queued");
    organization.call(end(got.request, JobResult::Failed).into()).expect("running");
    assert_eq!(organization.ending(RequestId(2)), Some(JobResult::Canceled));
    assert_eq!(organization.ending(got.request), Some(JobResult::Failed));
    organization.burst(1);
    organization.pass(Millis::ZERO);
    assert_eq!(organization.assignments(), [(1, agent.0)], "its agent takes no further job");
    // What is over is over: its former agent may have a life of its own since.
    let (other, session) = organization.listen("a-2");
    organization.pass(Millis::ZERO);
    let next = organization.take(session);
    organization
        .call(azure_devops::Call::FinishJobRequest {
            pool: POOL,
            request: next.request,
            result: JobResult::Succeeded,
        })
        .expect("done");
    organization.call(end(next.request, JobResult::Failed).into()).expect("over");
    assert_eq!(organization.ending(next.request), Some(JobResult::Succeeded));
    organization.burst(1);
    organization.pass(Millis::ZERO);
    assert_eq!(organization.assignments().last().map(|(_, agent)| *agent), Some(other.0));
    assert_eq!(organization.assignments().len(), 3, "and takes another job");
    let gone = organization.call(end(RequestId(99), JobResult::Failed).into()).err();
    assert_eq!(gone, Some(azure_devops::Refusal::JobNotFound(RequestId(99))));
}
