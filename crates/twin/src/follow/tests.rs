//! Small logs, built by hand: what is right is equal, and one number changed is found.

use model::{Event, Millis};
use serde_json::{Value as Json, json};

use super::{Followed, What, Who, follow};

mod jobs;
mod polls;
mod syncs;

/// A log under way.
#[derive(Clone)]
struct Story {
    events: Vec<Json>,
}

impl Story {
    /// A run of a KEDA object with this spec; its pool is 7.
    fn of(scaler: &str, keda: &str, spec: Json) -> Self {
        Self::with_faults(scaler, keda, spec, &json!([]))
    }

    fn with_faults(scaler: &str, keda: &str, mut spec: Json, faults: &Json) -> Self {
        let number = |name: &str, default: u64| spec.get(name).and_then(Json::as_u64).unwrap_or(default);
        let (min, max) = (number("minReplicaCount", 0), number("maxReplicaCount", 100));
        let (interval, cooldown) = (number("pollingInterval", 30), number("cooldownPeriod", 300));
        spec["triggers"] = json!([{ "type": "azure-pipelines", "metadata": trigger(&spec) }]);
        let triggers = json!([{
            "kind": "azure-pipelines", "metadata": trigger(&spec), "metric_type": "AverageValue"
        }]);
        if scaler == "ScaledObject" {
            spec["scaleTargetRef"] = json!({ "name": "agents" });
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("trigger");
        }
        let scenario = json!({
            "name": "story", "about": "A story.", "organization": { "pools": [{ "name": "pool", "id": 7 }] },
            "manifests": [], "load": [], "at_most": "1h", "faults": faults,
        });
        let mut story = Self { events: Vec::new() };
        story.fact(0, json!({
            "event": "run.started", "engine": "local", "speed": 1, "seed": 1, "repetition": 1, "versions": {},
            "replay": "", "namespace": "n", "manifests": [], "scenario": scenario,
        }));
        story.fact(0, json!({
            "event": "scale_target", "scaler": scaler, "name": "agents", "workload": "Deployment/agents",
            "min": min, "max": max, "polling_interval_s": interval, "cooldown_s": cooldown, "grace_s": 30,
            "triggers": triggers, "stabilization_s": 300, "spec": spec, "keda": keda, "kubernetes": "1.35.4",
        }));
        story
    }

    fn fact(&mut self, at: u64, mut fact: Json) {
        fact["at"] = json!(at);
        fact["by"] = json!("kubernetes");
        self.events.push(fact);
    }

    /// A read of job requests with so many unreceived and received ones, answered in a millisecond.
    fn read(&mut self, at: u64, queued: u64, received: u64) {
        let rows: Vec<Json> = (0..queued + received)
            .map(|request| json!({ "request": request, "assigned": request >= queued, "received": request >= queued }))
            .collect();
        self.fact(at, json!({
            "event": "scaler.read", "pool": 7, "form": "top", "status": 200, "latency_ms": 1, "rows": rows,
        }));
    }

    /// A read that failed.
    fn refused(&mut self, at: u64, status: u16) {
        self.fact(
            at,
            json!({
                "event": "scaler.read", "pool": 7, "form": "top", "status": status, "latency_ms": 1,
            }),
        );
    }

    /// The HPA asks, and a read is made for it; it is told so many thousandths.
    fn sync(&mut self, at: u64, queued: u64, received: u64, value: Option<i64>) {
        self.read(at - 5, queued, received);
        self.asked(at, 200, value);
    }

    fn asked(&mut self, at: u64, status: u16, value: Option<i64>) {
        let mut fact = json!({
            "event": "hpa.read", "metric": "s0-azure-pipelines-7", "status": status, "latency_ms": 10,
        });
        if let Some(value) = value {
            fact["value_milli"] = json!(value);
        }
        self.fact(at, fact);
    }

    fn write(&mut self, at: u64, writer: &str, replicas: u64) {
        self.wrote(at, writer, replicas, 200);
    }

    fn wrote(&mut self, at: u64, writer: &str, replicas: u64, status: u16) {
        self.fact(at, json!({
            "event": "scale.written", "workload": "Deployment/agents", "writer": writer, "replicas": replicas,
            "status": status,
        }));
    }

    /// The workload has so many replicas, all of them ready.
    fn replicas(&mut self, at: u64, replicas: u64) {
        self.fact(
            at,
            json!({
                "event": "replicas", "workload": "Deployment/agents", "spec": replicas, "status": replicas,
                "ready": replicas,
            }),
        );
    }

    fn fault(&mut self, at: u64, fault: u64) {
        self.fact(at, json!({ "event": "fault.on", "fault": fault, "what": "something" }));
    }

    /// The run is over long after the last fact.
    fn follow(&self) -> Followed {
        let mut story = self.clone();
        let end = self.events.iter().filter_map(|event| event["at"].as_u64()).max().unwrap_or(0);
        story.fact(end + Millis::minutes(1).0, json!({ "event": "run.draining" }));
        let events: Vec<Event> =
            story.events.into_iter().map(|event| serde_json::from_value(event).expect("an event")).collect();
        follow(&events)
    }
}

/// The trigger's metadata: those of `trigger` in the spec, and a pool.
fn trigger(spec: &Json) -> Json {
    let mut metadata = spec.get("trigger").cloned().unwrap_or_else(|| json!({}));
    metadata["poolID"] = json!("7");
    metadata["organizationURLFromEnv"] = json!("AZP_URL");
    metadata
}

/// How many decisions of a kind were compared and equal.
fn kind(followed: &Followed, who: Who, what: What) -> (u64, u64) {
    let kind = followed.kinds.iter().find(|kind| (kind.who, kind.what) == (who, what));
    kind.map_or((0, 0), |kind| (kind.compared, kind.equal))
}

/// Every decision was equal, none of them at a boundary.
fn assert_equal(followed: &Followed, number: u64) {
    assert_eq!(followed.differences, [], "{followed:#?}");
    assert_eq!(followed.boundaries, [], "{followed:#?}");
    assert_eq!((followed.compared, followed.equal), (number, number), "{followed:#?}");
}

/// One decision was not equal, and this is what was expected and seen.
fn assert_differs(followed: &Followed, what: What, expected: Option<i64>, seen: Option<i64>) {
    let [difference] = followed.differences.as_slice() else { panic!("{followed:#?}") };
    assert_eq!(
        (difference.what, difference.expected, difference.seen),
        (what, expected, seen),
        "{followed:#?}"
    );
    assert_eq!(followed.equal + 1, followed.compared);
}

#[test]
fn a_log_that_does_not_say_what_was_run_is_not_followed() {
    let followed = follow(&[]);
    assert_eq!(followed.compared, 0);
    assert_eq!(followed.skipped.len(), 1);
}

#[test]
fn a_version_that_is_not_known_is_not_followed() {
    let followed = Story::of("ScaledObject", "2.8.0", json!({})).follow();
    assert_eq!(followed.compared, 0);
    assert!(followed.skipped.iter().any(|skipped| skipped.why.contains("2.8.0")), "{followed:#?}");
}

#[test]
fn the_account_is_written_as_json_and_told_in_a_line() {
    let mut story = Story::of("ScaledObject", "2.21.0", json!({ "minReplicaCount": 1 }));
    story.replicas(10, 1);
    story.sync(15_000, 1, 0, None);
    let followed = story.follow();
    assert_eq!(followed.line(), "KEDA 2.21.0: 2 of 2 decisions equal");
    let json = serde_json::to_value(&followed).expect("JSON");
    assert_eq!(json["kinds"][1]["what"], "replicas");
    assert_eq!(json["audited"], true);
}
