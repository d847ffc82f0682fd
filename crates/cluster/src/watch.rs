//! The watch on a namespace: every change of a pod, a workload, a Kubernetes
//! Job, an HPA or a KEDA object becomes a fact in the log.
//!
//! Kubernetes is watched, never polled. The instant of a fact is that of its
//! arrival here: the API's own times are whole seconds.

mod index;

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clock::Clock;
use futures_util::StreamExt;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::watcher::{self, Config};
use kube::runtime::{WatchStreamExt, utils::Backoff};
use kube::{Api, Client, ResourceExt};
use model::{Event, Fact, Millis, Source};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use index::Index;

/// Pause before a broken watch is set up again, in scenario time.
const WATCH_AGAIN: Millis = Millis(500);

/// What is watched: the kinds that have facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Pod,
    Workload(&'static str),
    Job,
    Hpa,
    Keda(&'static str),
    Event,
}

/// Group, version, kind, plural, and how it is understood.
const WATCHED: [(&str, &str, &str, &str, Kind); 8] = [
    ("", "v1", "Pod", "pods", Kind::Pod),
    ("apps", "v1", "Deployment", "deployments", Kind::Workload("Deployment")),
    ("apps", "v1", "StatefulSet", "statefulsets", Kind::Workload("StatefulSet")),
    ("batch", "v1", "Job", "jobs", Kind::Job),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Kind::Hpa),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", Kind::Keda("ScaledObject")),
    ("keda.sh", "v1alpha1", "ScaledJob", "scaledjobs", Kind::Keda("ScaledJob")),
    ("", "v1", "Event", "events", Kind::Event),
];

/// A watch that goes on until it is dropped.
#[derive(Debug)]
pub struct Watch {
    announced: Announced,
    _tasks: JoinSet<()>,
}

/// The nodes whose loss is no failure of the harness.
type Announced = Arc<Mutex<BTreeSet<String>>>;

impl Watch {
    /// Watches `namespace`, and the nodes whose label `nodes` is given, and writes facts to `events`.
    #[must_use]
    pub fn start(
        client: &Client,
        namespace: &str,
        nodes: &str,
        clock: Clock,
        events: &UnboundedSender<Event>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        let again = clock.on_the_wall(WATCH_AGAIN);
        for (group, version, kind, plural, watched) in WATCHED {
            let api: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource(group, version, kind, plural));
            let mut index = Index::new(watched);
            let events = events.clone();
            let tell = move |change: Change<'_>| {
                let facts = match change {
                    Change::Applied(name, object) => index.applied(name, object),
                    Change::Gone(name) => index.gone(name),
                };
                facts
                    .into_iter()
                    .all(|fact| events.send(Event { at: clock.now(), by: Source::Kubernetes, fact }).is_ok())
            };
            tasks.spawn(follow(api, Config::default(), again, tell));
        }
        let announced = Announced::default();
        tasks.spawn(follow_nodes(client, nodes, Arc::clone(&announced), clock, again, events.clone()));
        Self { announced, _tasks: tasks }
    }

    /// From here on it is no failure of the harness if this node is not ready.
    pub fn announce_loss(&self, node: &str) {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned());
    }
}

/// A node of the run that stops being ready makes everything after it worthless, unless that was announced.
fn follow_nodes(
    client: &Client,
    nodes: &str,
    announced: Announced,
    clock: Clock,
    again: Duration,
    events: UnboundedSender<Event>,
) -> impl Future<Output = ()> + use<> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource("", "v1", "Node", "nodes"));
    let selector = format!("{}={nodes}", crate::local::NODES_LABEL);
    let mut ready = BTreeSet::new();
    let tell = move |change: Change<'_>| {
        let Change::Applied(name, object) = change else { return true };
        if index::condition(object, "Ready") == Some("True") {
            ready.insert(name.to_owned());
        } else if ready.remove(name)
            && !announced.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
        {
            let fact = Fact::HarnessFailed { because: format!("node {name} is not ready any more") };
            return events.send(Event { at: clock.now(), by: Source::Kubernetes, fact }).is_ok();
        }
        true
    };
    follow(api, Config::default().labels(&selector), again, tell)
}

enum Change<'a> {
    Applied(&'a str, &'a serde_json::Value),
    Gone(&'a str),
}

/// Follows one kind until nobody listens any more. Objects that vanished while a watch was broken are told as gone.
async fn follow(
    api: Api<DynamicObject>,
    config: Config,
    again: Duration,
    mut tell: impl FnMut(Change<'_>) -> bool + Send,
) {
    let mut stream = pin!(watcher::watcher(api, config).backoff(Steady(again)));
    let (mut known, mut listed) = (BTreeSet::new(), BTreeSet::new());
    while let Some(change) = stream.next().await {
        // An error has been seen by the stream, which tries again.
        let Ok(change) = change else { continue };
        let heard = match change {
            watcher::Event::Init => {
                listed.clear();
                true
            }
            watcher::Event::InitApply(object) => {
                listed.insert(object.name_any());
                known.insert(object.name_any());
                applied(&object, &mut tell)
            }
            watcher::Event::InitDone => {
                let vanished: Vec<_> = known.difference(&listed).cloned().collect();
                known.retain(|name| listed.contains(name));
                vanished.iter().all(|name| tell(Change::Gone(name)))
            }
            watcher::Event::Apply(object) => {
                known.insert(object.name_any());
                applied(&object, &mut tell)
            }
            watcher::Event::Delete(object) => {
                known.remove(&object.name_any());
                tell(Change::Gone(&object.name_any()))
            }
        };
        if !heard {
            return;
        }
    }
}

fn applied(object: &DynamicObject, tell: &mut impl FnMut(Change<'_>) -> bool) -> bool {
    let Ok(value) = serde_json::to_value(object) else { return true };
    tell(Change::Applied(&object.name_any(), &value))
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Always the same pause: the control plane is on this machine, and a longer one would be hours of scenario time.
struct Steady(Duration);

impl Iterator for Steady {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}
