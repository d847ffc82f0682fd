//! One life after the other.

use azure_devops::{BuildCall, Call};
use controllers::{NodeId, Phase};
use model::event::JobResult;
use model::{Fact, Millis};
use serde_json::json;

use super::bench::{Bench, manifest, template};
use crate::node::Occupation;

/// Longer than any start.
const START: Millis = Millis::seconds(60);

#[test]
fn an_agent_of_a_job_does_one_job_and_its_pod_succeeds() {
    let mut bench = Bench::new(1);
    bench.build(1, Millis::minutes(2));
    let pod = bench.start(&template(&manifest("Never", "pat", "run-docker")));
    let took = bench.wait(START, |bench| bench.is(pod, Occupation::Busy));
    assert!(took >= Millis::seconds(29), "pull, start and start-up took {took}");
    bench.wait(Millis::minutes(3), |bench| bench.phase(pod) == Some(Phase::Succeeded));
    assert_eq!(bench.results(), [JobResult::Succeeded]);
    assert_eq!((bench.exits(), bench.registered()), (vec![0], 0));
    assert!(bench.finished.is_empty(), "nobody asked for its deletion");
    assert!(bench.reports[&pod].finished.is_some());
}

#[test]
fn an_agent_of_a_deployment_comes_back_with_back_off() {
    let mut bench = Bench::new(2);
    bench.build(2, Millis::minutes(1));
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.wait(Millis::minutes(10), |bench| bench.results().len() == 2);
    assert!(bench.reports[&pod].restarts.sum >= 1);
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    assert_eq!(bench.exits(), [0, 0]);
    let back_offs = bench.count(|fact| matches!(fact, Fact::ContainerBackOff { .. }));
    assert_eq!(back_offs, 1, "the first restart comes at once");
    let started =
        |fact: &Fact| matches!(fact, Fact::ContainerStarted { agent: Some(name), .. } if name == "agents-0");
    assert_eq!(bench.count(started), 3);
}

#[test]
fn the_newer_script_keeps_its_agent() {
    let mut bench = Bench::new(3);
    let pod = bench.start(&template(&manifest("Always", "pat", "run")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    bench.build(1, Millis::minutes(1));
    bench.wait(Millis::minutes(3), |bench| bench.results() == [JobResult::Succeeded]);
    bench.pass(Millis::minutes(60));
    assert!(bench.is(pod, Occupation::Idle) && bench.exits().is_empty());
    assert_eq!(bench.count(|fact| matches!(fact, Fact::SessionOpened { .. })), 1);
}

#[test]
fn an_idle_agent_is_unregistered_on_term() {
    let mut bench = Bench::new(4);
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    bench.delete(pod, Millis::seconds(30));
    bench.pass(Millis::seconds(2));
    assert_eq!((bench.exits(), bench.registered()), (vec![0], 0));
    assert_eq!(bench.finished, [pod]);
    assert!(bench.is(pod, Occupation::Nothing));
    assert_eq!(bench.count(|fact| matches!(fact, Fact::ContainerSignalled { .. })), 1);
}

#[test]
fn a_busy_agent_has_its_grace_and_no_longer() {
    let mut bench = Bench::new(5);
    bench.build(1, Millis::minutes(20));
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Busy));
    bench.delete(pod, Millis::minutes(5));
    bench.pass(Millis::minutes(5) - Millis::seconds(1));
    assert!(bench.is(pod, Occupation::Busy), "its removal is refused and tried again");
    assert!(bench.count(|fact| matches!(fact, Fact::AgentRemovalRefused { .. })) >= 9);
    bench.pass(Millis::seconds(2));
    assert_eq!(bench.exits(), [137]);
    bench.wait(Millis::minutes(12), |bench| bench.results() == [JobResult::Abandoned]);
    assert_eq!(bench.registered(), 1, "nobody has unregistered it");
}

#[test]
fn a_busy_agent_that_finishes_within_its_grace_succeeds() {
    let mut bench = Bench::new(6);
    bench.build(1, Millis::minutes(2));
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Busy));
    bench.delete(pod, Millis::minutes(60));
    bench.wait(Millis::minutes(4), |bench| bench.finished == [pod]);
    assert_eq!((bench.results(), bench.registered()), (vec![JobResult::Succeeded], 0));
}

#[test]
fn a_killed_agent_comes_back_under_its_name_and_waits_for_its_session() {
    let mut bench = Bench::new(7);
    bench.build(1, Millis::minutes(20));
    let pod = bench.start(&template(&manifest("Always", "pat", "run")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Busy));
    bench.kill(pod);
    assert_eq!(bench.exits(), [137]);
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    let replaced = |fact: &Fact| matches!(fact, Fact::AgentRegistered { replaced: true, .. });
    assert_eq!((bench.count(replaced), bench.registered()), (1, 1));
    bench.wait(Millis::minutes(12), |bench| bench.results() == [JobResult::Abandoned]);
}

#[test]
fn a_pod_whose_object_is_gone_is_torn_down() {
    let mut bench = Bench::new(8);
    let pod = bench.start(&template(&manifest("Always", "pat", "run-docker")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    bench.gone(pod);
    bench.pass(Millis::seconds(5));
    assert!(bench.is(pod, Occupation::Nothing) && bench.finished.is_empty());
    assert_eq!(bench.registered(), 0, "the trap had the time to unregister it");
}

#[test]
fn a_wrong_token_fails_as_the_script_does() {
    let mut bench = Bench::new(9);
    let pod = bench.start(&template(&manifest("Always", "wrong", "run-docker")));
    bench.pass(Millis::minutes(3));
    let exits = bench.exits();
    assert!(exits.len() >= 3 && exits.iter().all(|code| *code == 1), "{exits:?}");
    assert!(bench.count(|fact| matches!(fact, Fact::ContainerBackOff { .. })) >= 2);
    assert_eq!((bench.registered(), bench.phase(pod)), (0, Some(Phase::Running)));
}

#[test]
fn another_address_is_not_reached() {
    let mut elsewhere = manifest("Never", "pat", "run-docker");
    elsewhere["spec"]["containers"][0]["env"][0]["value"] = json!("http://elsewhere.test/acme");
    let mut bench = Bench::new(10);
    let pod = bench.start(&template(&elsewhere));
    bench.wait(START, |bench| bench.phase(pod) == Some(Phase::Failed));
    assert_eq!(bench.exits(), [7]);
}

#[test]
fn a_missing_secret_keeps_the_container_from_starting() {
    let mut refers = manifest("Always", "pat", "run-docker");
    refers["spec"]["containers"][0]["env"][2] = json!({ "name": "AZP_TOKEN", "valueFrom": { "secretKeyRef": { "name": "azdevops", "key": "token" } } });
    let mut bench = Bench::new(11);
    let pod = bench.start(&template(&refers));
    bench.pass(Millis::minutes(5));
    assert_eq!((bench.phase(pod), bench.exits()), (Some(Phase::Pending), vec![]));
}

#[test]
fn plain_pods_run_until_they_are_told() {
    let plain = json!({ "spec": { "containers": [{ "name": "web", "image": "nginx" }] } });
    let mut bench = Bench::new(12);
    let pod = bench.start(&template(&plain));
    bench.wait(START, |bench| bench.is(pod, Occupation::Runs));
    bench.delete(pod, Millis::seconds(30));
    bench.pass(Millis::seconds(1));
    assert_eq!((bench.exits(), bench.finished.clone()), (vec![143], vec![pod]));
}

#[test]
fn what_a_lost_node_ran_is_started_again_when_it_is_back() {
    let mut bench = Bench::new(13);
    bench.build(1, Millis::minutes(20));
    let template = template(&manifest("Always", "pat", "run"));
    let lost = bench.start(&template);
    bench.wait(START, |bench| bench.is(lost, Occupation::Busy));
    let other = bench.start_on(NodeId(1), &template);
    bench.nodes.lose_node(bench.now, NodeId(0));
    assert!(bench.is(lost, Occupation::Nothing));
    bench.pass(Millis::minutes(12));
    assert_eq!(bench.results(), [JobResult::Abandoned], "nobody renewed its lock");
    assert!(bench.is(other, Occupation::Idle), "the other node goes on");
    bench.nodes.return_node(bench.now, NodeId(0));
    bench.start_again(lost, NodeId(0), &template);
    bench.wait(START, |bench| bench.is(lost, Occupation::Idle));
    assert_eq!(bench.reports[&lost].restarts.sum, 1);
}

#[test]
fn a_pod_that_was_deleted_while_its_node_was_lost_ends_when_it_is_back() {
    let mut bench = Bench::new(14);
    let pod = bench.start(&template(&manifest("Always", "pat", "run")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Idle));
    bench.nodes.lose_node(bench.now, NodeId(0));
    bench.pass(Millis::minutes(6));
    bench.nodes.return_node(bench.now, NodeId(0));
    bench.delete(pod, Millis::seconds(30));
    bench.pass(Millis::seconds(2));
    assert_eq!(bench.finished, [pod]);
}

#[test]
fn a_cancelled_build_ends_its_agents_work() {
    let mut bench = Bench::new(15);
    let build = bench.build(1, Millis::minutes(20)).expect("a build");
    let pod = bench.start(&template(&manifest("Never", "pat", "run-docker")));
    bench.wait(START, |bench| bench.is(pod, Occupation::Busy));
    bench.call(Call::Build(BuildCall::cancel(build)));
    bench.pass(Millis::seconds(10));
    assert_eq!((bench.results(), bench.phase(pod)), (vec![JobResult::Canceled], Some(Phase::Succeeded)));
}

#[test]
fn the_same_seed_gives_the_same_log_and_names_do_not_matter() {
    let run = |seed| {
        let mut bench = Bench::new(seed);
        let template = template(&manifest("Always", "pat", "run-docker"));
        bench.build(5, Millis::minutes(3));
        for _ in 0..3 {
            bench.start(&template);
        }
        bench.pass(Millis::minutes(30));
        bench.log
    };
    assert_eq!(run(16), run(16));
    assert_ne!(run(16), run(17));
}

#[test]
fn a_pod_whose_object_goes_before_it_runs_is_forgotten() {
    let mut bench = Bench::new(18);
    bench.build(1, Millis::seconds(1));
    let pod = bench.start(&template(&manifest("Always", "pat", "run")));
    bench.gone(pod);
    bench.pass(Millis::minutes(1));
    assert!(bench.nodes.pods.iter().all(Option::is_none), "{:#?}", bench.nodes.pods);
}
