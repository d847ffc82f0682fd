//! Logs that make no sense: the verifier judges them without a panic.

use std::collections::BTreeMap;

use model::event::{JobResult, Outcome, RequestForm, ScalerRow};
use model::fault::{
    Edit, Fault, KedaUpgrade, NamedAnswer, NodeLoss, PodFault, Program, Restart, Route, ServiceAnswer,
    ServiceFault, WhichPod,
};
use model::scenario::{Expectation, Percentiles, Within};
use model::{Event, Fact, Instant, Millis, Source};
use proptest::prelude::*;

use crate::testing::{Log, WORKLOAD, article, name};

/// Few names, so that events meet.
fn agent() -> impl Strategy<Value = u64> {
    0_u64..4
}

/// Near, far and absurd instants.
fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![8 => 0_u64..1_000_000, 1 => Just(u64::MAX), 1 => any::<u64>()].prop_map(Instant)
}

fn result() -> impl Strategy<Value = JobResult> {
    prop_oneof![
        Just(JobResult::Succeeded),
        Just(JobResult::Failed),
        Just(JobResult::Canceled),
        Just(JobResult::Abandoned)
    ]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0_u32..20, 1 => Just(u32::MAX)]
}

fn service_fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        agent().prop_map(|request| Fact::JobRequestQueued {
            request,
            build: 1,
            job: String::new(),
            pool: 18,
            demands: vec![]
        }),
        (agent(), agent()).prop_map(|(request, agent)| Fact::JobRequestAssigned { request, agent }),
        (agent(), agent()).prop_map(|(request, agent)| Fact::JobRequestReceived { request, agent }),
        (agent(), proptest::option::of(agent()), result())
            .prop_map(|(request, agent, result)| Fact::JobRequestFinished { request, agent, result }),
        (agent(), agent()).prop_map(|(request, agent)| Fact::JobRequestRequeued {
            request,
            agent,
            because: String::new()
        }),
        (agent(), any::<bool>(), any::<bool>()).prop_map(|(agent, replaced, placeholder)| {
            Fact::AgentRegistered { agent, name: name(agent), pool: 18, replaced, placeholder }
        }),
        agent().prop_map(|agent| Fact::AgentOnline { agent }),
        agent().prop_map(|agent| Fact::AgentOffline { agent }),
        agent().prop_map(|agent| Fact::AgentRemoved { agent }),
        (any::<u16>(), any::<u64>(), agent(), any::<bool>()).prop_map(
            |(status, latency_ms, request, received)| {
                let row = ScalerRow {
                    request,
                    demands: vec![],
                    assigned: received,
                    received,
                    result: None,
                    matched_agents: vec![],
                };
                Fact::ScalerRead { pool: 18, form: RequestForm::All, status, latency_ms, rows: vec![row] }
            }
        ),
    ]
}

fn cluster_fact() -> impl Strategy<Value = Fact> {
    let container = || "agent".to_owned();
    prop_oneof![
        (count(), count(), count()).prop_map(|(spec, status, ready)| Fact::Replicas {
            workload: WORKLOAD.into(),
            spec,
            status,
            ready
        }),
        agent().prop_map(|pod| Fact::PodCreated { pod: name(pod), owner: Some("Job/agents-a".into()) }),
        agent().prop_map(|pod| Fact::PodScheduled { pod: name(pod), node: "node-1".into() }),
        agent().prop_map(|pod| Fact::PodRunning { pod: name(pod) }),
        (agent(), any::<u64>()).prop_map(|(pod, grace_s)| Fact::PodTerminating { pod: name(pod), grace_s }),
        agent().prop_map(|pod| Fact::PodGone { pod: name(pod) }),
        (agent(), any::<u32>()).prop_map(move |(pod, restarts)| Fact::ContainerStarted {
            pod: name(pod),
            container: container(),
            restarts,
            agent: Some(name(pod))
        }),
        (agent(), any::<i32>()).prop_map(move |(pod, code)| Fact::ContainerExited {
            pod: name(pod),
            container: container(),
            code,
            agent: None
        }),
        (agent(), instant()).prop_map(move |(pod, until)| Fact::ContainerBackOff {
            pod: name(pod),
            container: container(),
            until
        }),
        Just(Fact::KubernetesJobCreated { job: "agents-a".into() }),
        Just(Fact::KubernetesJobFinished { job: "agents-a".into(), succeeded: true }),
        Just(Fact::KubernetesJobDeleted { job: "agents-a".into() }),
        any::<bool>().prop_map(|active| {
            let active = if active { "True/ValidMetricFound" } else { "False/FailedGetExternalMetric" };
            let conditions = BTreeMap::from([("ScalingActive".to_owned(), active.to_owned())]);
            Fact::HpaStatus { hpa: "keda-hpa-agents".into(), current: 0, desired: 0, conditions }
        }),
    ]
}

fn run_fact() -> impl Strategy<Value = Fact> {
    let samples = (any::<u32>(), any::<u64>(), any::<u64>(), any::<u32>());
    prop_oneof![
        Just(Fact::RunReady {}),
        Just(Fact::RunDraining {}),
        Just(Fact::RunFinished { outcome: Outcome::BoundReached, because: None }),
        samples.prop_map(|(ticks, late_ms_max, late_ms_mean, late_ticks)| Fact::ClockQuality {
            ticks,
            late_ms_max,
            late_ms_mean,
            late_ticks
        }),
        Just(Fact::HarnessFailed { because: String::new() }),
        any::<bool>().prop_map(|ready| Fact::Condition {
            object: "ScaledObject/agents".into(),
            condition: "Ready".into(),
            status: if ready { "True".into() } else { "False".into() },
            reason: String::new(),
            message: String::new()
        }),
    ]
}

/// Facts of the scenario's faults, of the audit log and of conditions that they bring.
fn fault_fact() -> impl Strategy<Value = Fact> {
    let condition = |condition: &str, is: bool| Fact::Condition {
        object: "ScaledObject/agents".into(),
        condition: condition.into(),
        status: if is { "True".into() } else { "False".into() },
        reason: String::new(),
        message: String::new(),
    };
    prop_oneof![
        (0_u32..8).prop_map(|fault| Fact::FaultOn {
            fault,
            what: "something".into(),
            hits: Some(if fault % 2 == 0 { name(1) } else { "node-1".into() })
        }),
        (0_u32..8).prop_map(|fault| Fact::FaultOff { fault }),
        (any::<u16>(), any::<u64>(), proptest::option::of(any::<i64>())).prop_map(
            |(status, latency_ms, value_milli)| Fact::HpaRead {
                metric: "s0-azure-pipelines-18".into(),
                status,
                latency_ms,
                value_milli
            }
        ),
        (count(), any::<bool>()).prop_map(|(replicas, keda)| Fact::ScaleWritten {
            workload: WORKLOAD.into(),
            writer: if keda { "keda".into() } else { "hpa".into() },
            replicas,
            status: 200
        }),
        any::<bool>().prop_map(move |is| condition("Paused", is)),
        any::<bool>().prop_map(move |is| condition("Fallback", is)),
    ]
}

/// One fault of each kind, with numbers that are no use.
fn faulty(log: Log) -> Log {
    let patch = serde_json::json!({
        "metadata": { "annotations": { "autoscaling.keda.sh/paused": 7 } },
        "spec": { "maxReplicaCount": -3, "pollingInterval": 0, "cooldownPeriod": u64::MAX, "triggers": [7],
                  "advanced": null, "scalingStrategy": { "strategy": "custom",
                  "customScalingQueueLengthDeduction": i64::MIN, "customScalingRunningJobPercentage": "NaN" } }
    });
    let patch = patch.as_object().cloned().unwrap_or_default();
    let pod = PodFault { at: Millis(0), pod: WhichPod::Any };
    let service = ServiceFault {
        from: Millis(0),
        to: Some(Millis(1)),
        route: Route::All,
        answer: Some(ServiceAnswer::Named(NamedAnswer::Malformed)),
        delay: Some(model::MillisRange::exactly(Millis(u64::MAX))),
        ..ServiceFault::default()
    };
    let faults = vec![
        Fault::PodKill(pod.clone()),
        Fault::NodeLoss(NodeLoss { from: Millis(0), to: None, node: 1 }),
        Fault::PodDelete(pod),
        Fault::Service(service),
        Fault::Edit(Edit { at: Millis(0), object: "ScaledObject/agents".into(), patch: patch.clone() }),
        Fault::Edit(Edit { at: Millis(0), object: "ScaledJob/agents".into(), patch }),
        Fault::KedaUpgrade(KedaUpgrade { at: Millis(0), version: "next".into() }),
        Fault::Restart(Restart { at: Millis(0), what: Program::KubeControllerManager }),
    ];
    log.started(|started| started.scenario.faults = faults)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let fact = prop_oneof![5 => service_fact(), 5 => cluster_fact(), 1 => run_fact(), 2 => fault_fact()];
    proptest::collection::vec(
        (instant(), fact).prop_map(|(at, fact)| Event { at, by: Source::Service, fact }),
        0..80,
    )
}

fn expecting(log: Log) -> Log {
    let bounds = Percentiles { p50: Some(Millis(1)), p95: Some(Millis(1)), max: Some(Millis(1)) };
    log.expect(Expectation::PeakReplicas(3))
        .expect(Expectation::ReturnsToMin(Within { within: Millis(1) }))
        .expect(Expectation::NoSecondRise)
        .expect(Expectation::AgentsDeregister)
        .expect(Expectation::NoBusyAgentKilled)
        .expect(Expectation::QueueWait(bounds))
}

/// Every sum and every table of the report, too.
fn judge(events: Vec<Event>) {
    let explained = crate::explain(events.clone(), Some(Instant(100_000)));
    assert!(!explained.render(80, true).is_empty() && serde_json::to_string(&explained).is_ok());
    for (a, b) in [(events.clone(), article().events()), (article().events(), events.clone())] {
        let difference = crate::diff(a, b);
        assert!(!difference.render(80, true).is_empty() && serde_json::to_string(&difference).is_ok());
    }
    let report = crate::verify(events);
    for width in [0, 60, 80, 120] {
        assert!(!report.render(width, true).is_empty());
    }
    assert!(serde_json::to_string(&report).is_ok());
    assert!(!crate::aggregate(&[report.clone(), report]).render(80, false).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn facts_without_a_run_are_judged(events in events()) {
        judge(events);
    }

    #[test]
    fn facts_of_a_scaled_object_are_judged(events in events(), min in 0_u32..3, max in count(), behavior in any::<bool>()) {
        let log = faulty(expecting(Log::new())).target(|target| {
            (target.min, target.max) = (min, max);
            target.behavior = behavior.then(|| serde_json::json!({ "scaleUp": { "policies": [{ "type": "Percent", "value": 4_000_000_000_u64, "periodSeconds": u64::MAX }] } }));
        });
        let mut all = log.events();
        all.extend(events);
        judge(all);
    }

    #[test]
    fn facts_of_a_scaled_job_are_judged(events in events(), poll in 0_u64..3, cooldown in any::<u64>()) {
        let log = faulty(expecting(Log::scaled_job())).target(|target| {
            (target.polling_interval_s, target.cooldown_s) = (poll, cooldown);
        });
        let mut all = log.events();
        all.extend(events);
        judge(all);
    }

    #[test]
    fn facts_thrown_into_a_good_run_are_judged(events in events(), kept in 0_usize..400) {
        let mut all = faulty(expecting(article())).events();
        all.extend(events);
        all.truncate(kept);
        judge(all);
    }

    #[test]
    fn text_that_is_no_log_is_refused(text in "[ -~\n]{0,200}") {
        if let Ok(events) = crate::read_log(&text) {
            judge(events);
        }
    }
}
