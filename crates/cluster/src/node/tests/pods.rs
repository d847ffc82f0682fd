//! Nodes and their pods, from binding to the end.

use std::collections::BTreeMap;

use clock::Clock;
use model::{Event, Fact, Millis, MillisRange, Source};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::api::{FakeApi, LIMIT, condition, pod_path};
use crate::node::{self, NodeOptions, Nodes};

/// Fast enough that a pod lives within a second of wall time.
const SPEED: u32 = 100;

pub(super) struct Site {
    pub(super) api: FakeApi,
    pub(super) nodes: Nodes,
    events: UnboundedReceiver<Event>,
}

impl Site {
    pub(super) async fn open() -> Self {
        Self::open_tearing_down(Millis::ZERO).await
    }

    /// On nodes that take so long to clear up after a pod.
    async fn open_tearing_down(tear_down: Millis) -> Self {
        let api = FakeApi::new();
        let (sender, events) = unbounded_channel();
        let options = NodeOptions {
            prefix: "pool".to_owned(),
            nodes: 2,
            pods_per_node: 30,
            labels: BTreeMap::from([("poolproof".to_owned(), "yes".to_owned())]),
            image_pull: MillisRange::exactly(Millis::seconds(5)),
            container_start: MillisRange::exactly(Millis::seconds(1)),
            tear_down,
            agent_start_up: MillisRange::exactly(Millis::seconds(8)),
            agent_capabilities: BTreeMap::new(),
            seed: 1,
            clock: Clock::start(SPEED),
        };
        let nodes = node::start(api.client(), options, Some(sender)).await.expect("the API accepts nodes");
        Self { api, nodes, events }
    }

    pub(super) fn facts(&mut self) -> Vec<Fact> {
        let mut facts = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            assert_eq!(event.by, Source::Node);
            facts.push(event.fact);
        }
        facts
    }
}

pub(super) fn plain() -> Value {
    json!({"restartPolicy": "Always", "containers": [{"name": "web", "image": "nginx"}]})
}

/// An agent whose organisation nobody serves.
fn agent(policy: &str) -> Value {
    json!({"restartPolicy": policy, "containers": [{
        "name": "agent", "image": "agent:latest",
        "env": [
            {"name": "AZP_URL", "value": "http://127.0.0.1:9/nobody"},
            {"name": "AZP_POOL", "value": "keda-pool"},
            {"name": "AZP_TOKEN", "valueFrom": {"secretKeyRef": {"name": "azdevops", "key": "AZP_TOKEN"}}},
        ],
    }]})
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "azdevops", "namespace": "default"},
        "data": {"AZP_TOKEN": "dG9rZW4="},
    })
}

const SECRET: &str = "/api/v1/namespaces/default/secrets/azdevops";

#[tokio::test]
async fn a_bound_pod_runs_and_says_so() {
    let site = Site::open().await;
    site.api.bind("web-1", "pool-2", plain());
    let pod = site.api.pod_in("web-1", "Running").await;
    for kind in ["PodScheduled", "Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers"] {
        assert_eq!(condition(&pod, kind), "True", "{kind}");
    }
    let status = &pod["status"];
    assert_eq!(status["hostIP"], "198.18.0.2");
    assert_eq!(status["podIP"], "198.19.0.1");
    assert!(status["startTime"].is_string());
    let container = &status["containerStatuses"][0];
    assert_eq!((&container["name"], &container["ready"]), (&json!("web"), &json!(true)));
    assert!(container["state"]["running"]["startedAt"].is_string());
    assert_eq!(container["restartCount"], 0);
}

#[tokio::test]
async fn a_deleted_pod_ends_and_takes_its_object_along() {
    let mut site = Site::open().await;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    site.api.terminate("web-1", 30);
    site.api
        .until("the pod is gone", |held| (!held.objects.contains_key(&pod_path("web-1"))).then_some(()))
        .await;
    let (last_status, deletion) = {
        let held = site.api.lock();
        let of_pod: Vec<_> =
            held.requests.iter().filter(|(_, path, _)| path.contains("/pods/web-1")).collect();
        (of_pod[of_pod.len() - 2].2.clone(), of_pod[of_pod.len() - 1].clone())
    };
    assert_eq!(last_status["status"]["phase"], "Failed");
    assert_eq!(last_status["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 143);
    assert_eq!(deletion.0, "DELETE");
    assert_eq!(deletion.2["gracePeriodSeconds"], 0);
    assert_eq!(deletion.2["preconditions"]["uid"], "uid-web-1");
    let names: Vec<_> = site
        .facts()
        .into_iter()
        .map(|fact| match fact {
            Fact::ContainerStarted { pod, container, restarts: 0, agent: None } => {
                format!("{pod}/{container} started")
            }
            Fact::ContainerSignalled { signal, .. } => signal,
            Fact::ContainerExited { code, .. } => format!("exited {code}"),
            other => panic!("nothing else happens: {other:?}"),
        })
        .collect();
    assert_eq!(names, ["web-1/web started", "SIGTERM", "exited 143"]);
}

#[tokio::test]
async fn a_pod_s_object_stays_until_its_node_has_cleared_up() {
    // Beyond what the test waits for.
    let site = Site::open_tearing_down(Millis::minutes(600)).await;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    site.api.terminate("web-1", 30);
    site.api.pod_in("web-1", "Failed").await;
    // Whatever is written after that comes before what is written for another pod.
    site.api.bind("web-2", "pool-1", plain());
    site.api.pod_in("web-2", "Running").await;
    assert!(site.api.lock().objects.contains_key(&pod_path("web-1")), "nothing has cleared up yet");

    let site = Site::open_tearing_down(Millis::seconds(2)).await;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    site.api.terminate("web-1", 30);
    site.api
        .until("the pod is gone", |held| (!held.objects.contains_key(&pod_path("web-1"))).then_some(()))
        .await;
}

#[tokio::test]
async fn a_missing_secret_holds_a_container_back_until_it_is_there() {
    let site = Site::open().await;
    site.api.bind("agent-1", "pool-1", agent("Always"));
    let waiting = site
        .api
        .until("the container waits", |held| {
            let pod = held.objects.get(&pod_path("agent-1"))?;
            let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"];
            (waiting["reason"] == "CreateContainerConfigError").then(|| waiting.clone())
        })
        .await;
    assert_eq!(waiting["message"], "secret \"azdevops\" not found");
    site.api.put(SECRET, secret());
    site.api.pod_in("agent-1", "Running").await;
}

#[tokio::test]
async fn an_agent_without_a_service_fails_as_curl_does() {
    let mut site = Site::open().await;
    site.api.put(SECRET, secret());
    site.api.bind("job-1", "pool-1", agent("Never"));
    let pod = site.api.pod_in("job-1", "Failed").await;
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 7);
    assert_eq!(condition(&pod, "Ready"), "False");
    let agents: Vec<_> = site
        .facts()
        .into_iter()
        .filter_map(|fact| match fact {
            Fact::ContainerStarted { agent, .. } | Fact::ContainerExited { agent, .. } => agent,
            _ => None,
        })
        .collect();
    assert_eq!(agents, ["job-1", "job-1"]);
}

#[tokio::test]
async fn an_agent_of_a_deployment_comes_back_with_back_off() {
    let mut site = Site::open().await;
    site.api.put(SECRET, secret());
    site.api.bind("agent-1", "pool-1", agent("Always"));
    let container = site
        .api
        .until("it waits in back-off", |held| {
            let container = &held.objects.get(&pod_path("agent-1"))?["status"]["containerStatuses"][0];
            (container["state"]["waiting"]["reason"] == "CrashLoopBackOff").then(|| container.clone())
        })
        .await;
    assert_eq!(container["restartCount"], 1, "the first restart comes at once");
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 7);
    let backs_off = |fact: &Fact| matches!(fact, Fact::ContainerBackOff { .. });
    assert_eq!(site.facts().iter().filter(|fact| backs_off(fact)).count(), 1);
}

#[tokio::test]
async fn pods_of_other_nodes_are_left_alone() {
    let site = Site::open().await;
    for node in ["pool-3", "pool-02", "pool", "other-1", "pool-0"] {
        site.api.bind(&format!("on-{node}"), node, plain());
    }
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    let held = site.api.lock();
    let touched: Vec<_> = held.requests.iter().filter(|(_, path, _)| path.contains("/pods/on-")).collect();
    assert!(touched.is_empty(), "{touched:?}");
}

#[tokio::test]
async fn a_write_that_fails_is_repeated() {
    let site = Site::open().await;
    site.api.lock().refuse = 3;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    assert_eq!(site.api.lock().refuse, 0);
}

#[tokio::test]
async fn a_pod_that_vanished_while_the_watch_was_broken_is_torn_down() {
    let mut site = Site::open().await;
    site.api.bind("web-1", "pool-1", plain());
    site.api.pod_in("web-1", "Running").await;
    site.facts();
    site.api.lose(&pod_path("web-1"));
    let exited = async {
        while let Some(event) = site.events.recv().await {
            if let Fact::ContainerExited { code, .. } = event.fact {
                return Some(code);
            }
        }
        None
    };
    let code = clock::wall::timeout(LIMIT, exited).await;
    assert_eq!(code, Ok(Some(143)));
}

#[tokio::test]
async fn nodes_are_ready_stay_alive_and_go() {
    let site = Site::open().await;
    let node = site.api.lock().objects["/api/v1/nodes/pool-1"].clone();
    assert_eq!(condition(&node, "Ready"), "True");
    assert_eq!(node["status"]["allocatable"]["pods"], "30");
    assert_eq!(node["metadata"]["labels"]["poolproof"], "yes");
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "pool-1");
    let renewals = |held: &super::api::Held| {
        let of_lease = |path: &String| path.ends_with("/leases/pool-1");
        held.requests.iter().filter(|(_, path, _)| of_lease(path)).count()
    };
    site.api.until("the lease is renewed twice", |held| (renewals(held) >= 3).then_some(())).await;
    site.nodes.stop().await.expect("the API lets nodes go");
    let (left, renewed) = {
        let held = site.api.lock();
        (held.objects.keys().filter(|path| path.starts_with("/api/v1/nodes/")).count(), renewals(&held))
    };
    assert_eq!(left, 0);
    clock::wall::pause(std::time::Duration::from_millis(300)).await;
    assert_eq!(renewals(&site.api.lock()), renewed, "nothing goes on after the stop");
}

#[tokio::test]
async fn a_hook_that_is_not_modelled_is_said_once() {
    let mut site = Site::open().await;
    let mut spec = plain();
    spec["containers"][0]["lifecycle"] = json!({"preStop": {"exec": {"command": ["./config.sh", "remove"]}}});
    for name in ["web-1", "web-2"] {
        site.api.bind(name, "pool-1", spec.clone());
        site.api.pod_in(name, "Running").await;
    }
    let said = |fact: &Fact| matches!(fact, Fact::KubernetesEvent { reason, .. } if reason == "NotModelled");
    assert_eq!(site.facts().iter().filter(|fact| said(fact)).count(), 1);
}

#[tokio::test]
async fn an_agent_is_called_after_its_host_name() {
    let mut site = Site::open().await;
    site.api.put(SECRET, secret());
    let long = format!("agents-{}", "x".repeat(80));
    let mut named = agent("Never");
    named["hostname"] = "agent-0".into();
    site.api.bind("job-1", "pool-1", named);
    site.api.bind(&long, "pool-1", agent("Never"));
    site.api.pod_in("job-1", "Failed").await;
    site.api.pod_in(&long, "Failed").await;
    let mut agents: Vec<_> = site
        .facts()
        .into_iter()
        .filter_map(|fact| if let Fact::ContainerExited { agent, .. } = fact { agent } else { None })
        .collect();
    agents.sort();
    assert_eq!(agents, ["agent-0", &long[..63]], "a host name has 63 characters at the most");
}

#[tokio::test]
async fn dropped_nodes_do_nothing_more() {
    let Site { api, nodes, mut events } = Site::open().await;
    api.bind("web-1", "pool-1", plain());
    api.pod_in("web-1", "Running").await;
    drop(nodes);
    // The tasks are gone when nobody can send events any more.
    while events.recv().await.is_some() {}
    let done = api.lock().requests.len();
    api.terminate("web-1", 30);
    clock::wall::pause(std::time::Duration::from_millis(300)).await;
    assert_eq!(api.lock().requests.len(), done);
    assert!(api.lock().objects.contains_key("/api/v1/nodes/pool-1"), "only a stop deletes them");
}
