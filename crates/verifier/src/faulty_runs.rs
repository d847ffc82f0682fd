//! Tests of runs with faults: what a fault did is not held against anybody, and what is broken beside it is still found.

use model::event::{JobResult, Outcome};
use model::fault::{
    Fault as FaultKind, KedaUpgrade, NamedAnswer, NodeLoss, PodFault, Program, ServiceAnswer, WhichPod,
};
use model::scenario::Expectation;
use model::{Fact, Millis, Source};
use serde_json::{Map, Value, json};

use crate::testing::{Log, article};

fn patch(value: &Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn skipped(log: &Log, rule: &str) -> bool {
    log.verify().not_judged.iter().any(|one| one.rule == rule && one.because.contains("fault 0"))
}

/// The article's steps after the first, at other times.
fn lowered(log: Log, steps: &[(u64, u32)]) -> Log {
    let log = log.without(|fact| matches!(fact, Fact::Replicas { .. })).replicas(1, 1).replicas(66, 4);
    steps.iter().fold(log, |log, (at, replicas)| log.replicas(*at, *replicas))
}

/// Reads between 200 and 290 fail, and KEDA says so.
fn outage() -> Log {
    let log = article().unread(200, 290).answered(205, 503, 10).answered(250, 503, 10);
    log.condition(4, "True", "", "")
        .condition(206, "False", "TriggerError", "503")
        .condition(300, "True", "", "")
}

#[test]
fn reads_that_fail_in_an_outage_are_no_findings_and_those_after_it_are() {
    for rule in ["scaler_not_ready", "queue_not_read"] {
        assert!(!outage().found(rule).is_empty(), "{rule} without the announcement");
        assert_eq!(outage().outage(200, 290, ServiceAnswer::Status(503)).found(rule), [], "{rule}");
    }
    let later = outage().outage(200, 290, ServiceAnswer::Status(503)).unread(400, 480);
    assert_eq!(later.found("queue_not_read").len(), 1);
    let later = later.condition(480, "False", "TriggerError", "x").condition(600, "True", "", "");
    assert_eq!(later.only("scaler_not_ready").at.0, 480_000);
}

#[test]
fn slow_answers_of_a_fault_are_not_the_machines() {
    let slow = |log: Log| log.answered(205, 200, 2000).answered(206, 200, 2000).answered(207, 200, 2000);
    assert_eq!(slow(article()).found("machine_too_slow").len(), 1);
    let announced = slow(article()).outage(200, 290, ServiceAnswer::Named(NamedAnswer::Hang));
    assert_eq!(announced.found("machine_too_slow"), []);
    let later = announced.answered(500, 200, 2000).answered(501, 200, 2000).answered(502, 200, 2000);
    assert_eq!(later.only("machine_too_slow").at.0, 500_000);
}

#[test]
fn broken_json_is_no_read_although_its_status_is_200() {
    let zero = |log: Log| {
        let log =
            log.target(|target| (target.min, target.cooldown_s) = (0, 60)).replicas(1, 1).reads(15, 30, 400);
        log.replicas(260, 0).end(400, Outcome::DurationReached)
    };
    assert_eq!(zero(Log::new()).found("early_reduction"), []);
    let broken = zero(Log::new()).outage(10, 255, ServiceAnswer::Named(NamedAnswer::Malformed));
    assert_eq!(broken.only("early_reduction").bound, "not before a poll finds no work");
}

#[test]
fn decisions_while_kedas_operator_restarts_are_not_judged() {
    // The window of the last proposal of four ends at 650.
    let early = lowered(article(), &[(420, 3), (696, 1)]);
    assert_eq!(early.found("early_reduction").len(), 1);
    let during = early.clone().restarted(415, Program::KedaOperator);
    assert_eq!(during.found("early_reduction"), []);
    assert!(skipped(&during, "early_reduction"));
    assert_eq!(early.restarted(100, Program::KedaOperator).found("early_reduction").len(), 1);
}

#[test]
fn after_a_restart_of_the_controllers_the_hpa_keeps_what_it_finds_for_a_window() {
    let log = |lowered_at| {
        let log = lowered(article(), &[(lowered_at, 1)]).reads(710, 15, 1100);
        log.end(1100, Outcome::DurationReached)
    };
    let restarted = |at| log(at).restarted(400, Program::KubeControllerManager);
    assert!(!log(722).found("late_return").is_empty());
    assert_eq!(restarted(722).found("late_return"), []);
    assert_eq!(restarted(722).found("early_reduction"), []);
    // Three were wanted from 380 on, and the replicas that it found at 400 hold to 700.
    assert_eq!(restarted(682).found("early_reduction").len(), 1);
    assert!(!restarted(900).found("late_return").is_empty());
}

#[test]
fn an_edit_changes_the_bounds_from_then_on() {
    let ten = patch(&json!({ "spec": { "maxReplicaCount": 10 } }));
    let burst = |log: Log| {
        let log = log.replicas(1, 1).reads(20, 15, 200);
        let log = (1..=8).fold(log, |log, request| log.queued(100, request));
        log.replicas(111, 4).replicas(126, 8).end(200, Outcome::DurationReached)
    };
    assert_eq!(burst(Log::new()).found("replicas_above_max").len(), 1);
    let raised = burst(Log::new().edited(50, "ScaledObject/agents", ten.clone()));
    assert_eq!(raised.found("replicas_above_max"), []);
    assert_eq!(raised.found("raise_without_demand"), []);
    let beyond = raised.replicas(141, 11);
    assert_eq!(beyond.only("replicas_above_max").bound, "at most 10");
    assert_eq!(beyond.only("raise_without_demand").measured, "raised from 8 to 11");
}

#[test]
fn a_maximum_that_is_lowered_takes_hold_in_the_next_sync() {
    let two = patch(&json!({ "spec": { "maxReplicaCount": 2 } }));
    let edited = |at| lowered(article(), &[(at, 2)]).edited(200, "ScaledObject/agents", two.clone());
    assert_eq!(edited(216).found("replicas_above_max"), []);
    assert_eq!(edited(216).found("early_reduction"), []);
    assert_eq!(edited(300).only("replicas_above_max").measured, "4 replicas for 3m54s");
}

#[test]
fn triggers_of_an_edit_count_from_then_on() {
    let triggers =
        json!([{ "type": "azure-pipelines", "metadata": { "poolID": "18", "scaleOnInFlight": "false" } }]);
    let forgets = patch(&json!({ "spec": { "triggers": triggers } }));
    // The jobs run until 363 and more, but from 100 on only waiting jobs count: the window ends soon after 400.
    let log = |lowered_at| {
        lowered(article(), &[(lowered_at, 1)]).edited(150, "ScaledObject/agents", forgets.clone())
    };
    assert_eq!(log(456).found("early_reduction"), []);
    assert_eq!(log(300).found("early_reduction").len(), 1);
    assert_eq!(lowered(article(), &[(456, 1)]).found("early_reduction").len(), 1);
}

#[test]
fn an_upgrade_of_keda_changes_how_it_counts() {
    let upgrade =
        || FaultKind::KedaUpgrade(KedaUpgrade { at: Millis::seconds(100), version: "2.20.2".into() });
    let log = |to: u64| lowered(article(), &[(to, 1)]);
    // Received jobs count no more once 2.20 has taken over.
    assert_eq!(log(580).found("early_reduction").len(), 1);
    let upgraded = log(580).fault(upgrade(), None, 100, None);
    assert_eq!(upgraded.found("early_reduction"), []);
    assert!(skipped(&upgraded, "late_raise"));
    assert_eq!(log(350).fault(upgrade(), None, 100, None).found("early_reduction").len(), 1);
}

/// Agent 2's container is killed at 200, and its job is given up later.
fn killed() -> Log {
    let own = |fact: &Fact| match fact {
        Fact::JobRequestFinished { request: 2, .. } | Fact::AgentRemoved { agent: 2 } => true,
        Fact::PodTerminating { pod, .. } | Fact::PodGone { pod } | Fact::ContainerExited { pod, .. } => {
            pod == "agents-2"
        }
        _ => false,
    };
    let log = article().without(own).container_exited(200, 2, 137).gone(202, 2);
    log.finished(690, 2, 2, JobResult::Abandoned).expect(Expectation::AgentsDeregister)
}

fn pod_fault(at: u64) -> PodFault {
    PodFault { at: Millis::seconds(at), pod: WhichPod::Busy }
}

#[test]
fn a_job_and_an_agent_that_a_fault_killed_are_told_as_its_doing() {
    for rule in ["job_abandoned", "agents_deregister"] {
        assert_eq!(killed().found(rule).len(), 1, "{rule}");
    }
    let announced = killed().fault(FaultKind::PodKill(pod_fault(200)), Some("agents-2"), 200, None);
    for rule in ["job_abandoned", "agents_deregister"] {
        assert_eq!(announced.found(rule), [], "{rule}");
    }
    let told = announced.found("fault_consequence");
    assert_eq!(told.len(), 2);
    assert!(
        told[0].because.contains("fault 0 (the oldest busy pod is killed: agents-2)"),
        "{}",
        told[0].because
    );
    // Another agent's job is not excused.
    let other = announced.queued(400, 9).assigned(401, 9, 1).received(402, 9, 1);
    let other = other.finished(500, 9, 1, JobResult::Abandoned);
    assert!(other.only("job_abandoned").measured.contains("agents-1"));
}

#[test]
fn a_busy_pod_that_the_scenario_deletes_is_not_kedas_victim() {
    let deleted = |agent| {
        let own = |fact: &Fact| match fact {
            Fact::JobRequestFinished { request, .. } => *request == agent,
            Fact::PodTerminating { pod, .. } | Fact::PodGone { pod } | Fact::ContainerExited { pod, .. } => {
                *pod == crate::testing::name(agent)
            }
            _ => false,
        };
        let log = article().expect(Expectation::NoBusyAgentKilled).without(own).deleted(200, agent, 30);
        log.container_exited(230, agent, 137).gone(231, agent).finished(
            690,
            agent,
            agent,
            JobResult::Abandoned,
        )
    };
    assert_eq!(deleted(2).found("no_busy_agent_killed").len(), 1);
    let fault = |log: Log| log.fault(FaultKind::PodDelete(pod_fault(200)), Some("agents-2"), 200, None);
    assert_eq!(fault(deleted(2)).found("no_busy_agent_killed"), []);
    assert!(!fault(deleted(2)).found("fault_consequence").is_empty());
    assert_eq!(fault(deleted(3)).only("no_busy_agent_killed").subject, "Pod/agents-3");
}

#[test]
fn pods_of_a_lost_node_are_excused_and_those_of_others_are_not() {
    let loss = |hits: &str, log: Log| {
        let loss = NodeLoss { from: Millis::seconds(150), to: None, node: 1 };
        log.fault(FaultKind::NodeLoss(loss), Some(hits), 150, None)
    };
    let event = |log: Log| {
        let event = Fact::KubernetesEvent {
            object: "Node/node-1".into(),
            kind: "Normal".into(),
            reason: "NodeNotReady".into(),
            message: "Node node-1 status is now: NodeNotReady".into(),
        };
        log.fact(200, Source::Kubernetes, event)
    };
    let slow = || event(article().agent_pod(100, 9).deleted(500, 9, 30));
    assert_eq!(slow().found("node_not_ready").len(), 1);
    assert_eq!(slow().found("pod_outlived_grace").len(), 1);
    assert_eq!(loss("node-1", slow()).found("node_not_ready"), []);
    assert_eq!(loss("node-1", slow()).found("pod_outlived_grace"), []);
    assert_eq!(loss("node-2", slow()).found("node_not_ready").len(), 1);
    assert_eq!(loss("node-2", slow()).found("pod_outlived_grace").len(), 1);
}

#[test]
fn a_changed_scaled_job_deletes_its_old_jobs_and_nothing_else_does() {
    let log = |deleted| {
        let log =
            Log::scaled_job().reads(15, 30, 500).job(1, 1, (60, 150, 290)).kubernetes_job("a", 76, None);
        let deleted_job = Fact::KubernetesJobDeleted { job: "a".into() };
        log.fact(deleted, Source::Kubernetes, deleted_job).end(500, Outcome::DurationReached)
    };
    let change = patch(&json!({ "spec": { "maxReplicaCount": 9 } }));
    let edited = |deleted| log(deleted).edited(200, "ScaledJob/agents", change.clone());
    assert_eq!(log(205).found("unfinished_job_deleted").len(), 1);
    assert_eq!(edited(205).found("unfinished_job_deleted"), []);
    assert_eq!(edited(150).found("unfinished_job_deleted").len(), 1);
    assert_eq!(edited(400).found("unfinished_job_deleted").len(), 1);
}

#[test]
fn while_an_object_is_paused_nobody_scales_it() {
    let condition = |log: Log, at, status: &str| {
        let fact = Fact::Condition {
            object: "ScaledObject/agents".into(),
            condition: "Paused".into(),
            status: status.into(),
            reason: String::new(),
            message: String::new(),
        };
        log.fact(at, Source::Kubernetes, fact)
    };
    let by_hand = lowered(article(), &[(250, 2), (696, 1)]);
    assert_eq!(by_hand.found("early_reduction").len(), 1);
    let paused = condition(condition(by_hand.clone(), 210, "True"), 300, "False");
    assert_eq!(paused.found("early_reduction"), []);
    let earlier = condition(condition(by_hand, 100, "True"), 150, "False");
    assert_eq!(earlier.found("early_reduction").len(), 1);
}

#[test]
fn cached_metrics_let_a_raise_wait_for_a_poll() {
    let late = |cached: bool| {
        let log =
            article().without(|fact| matches!(fact, Fact::Replicas { .. })).replicas(1, 1).replicas(104, 4);
        log.target(|target| {
            target.polling_interval_s = 15;
            target.spec = json!({ "triggers": [{ "type": "azure-pipelines", "useCachedMetrics": cached }] });
        })
    };
    assert_eq!(late(false).found("late_raise").len(), 1);
    assert_eq!(late(true).found("late_raise").len(), 1);
    let sooner = |cached| {
        let log = late(cached).without(|fact| matches!(fact, Fact::Replicas { spec: 4, .. }));
        log.replicas(96, 4).found("late_raise").len()
    };
    assert_eq!((sooner(false), sooner(true)), (1, 0));
}

#[test]
fn cached_metrics_let_an_hpa_lower_between_two_polls() {
    // The only read near the reduction at 666 is that of the poll at 615.
    let lowered = |cached: bool| {
        article().unread(616, 720).target(|target| {
            target.polling_interval_s = 60;
            target.spec = json!({ "triggers": [{ "type": "azure-pipelines", "useCachedMetrics": cached }] });
        })
    };
    let unread = |cached| {
        let found = lowered(cached).found("early_reduction");
        found
            .iter()
            .filter(|finding| {
                finding.because.contains("no read of the queue succeeded") && finding.at.0 < 670_000
            })
            .count()
    };
    assert_eq!((unread(false), unread(true)), (1, 0));
}
