//! All pods of all nodes: their machines, their deadlines, and who does what they want.

mod faults;
mod ordinals;
mod worker;
mod writing;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use futures_util::StreamExt;
use kube::Client;
use kube::api::{Api, ResourceExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config};
use kubelet::{Action, Images, Input, Pod, Sight, Template};
use model::stream::{Numbered, stream};
use model::{Event, Fact, Instant, Millis, Source};
use rand_chacha::rand_core::Rng;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::NodeOptions;
use super::lean::{self, LeanPod};
use super::references::References;
use super::tasks::{Address, Life, News, PodKey, Tasks, What};
use super::writes::{PodName, Writes};
use faults::Lost;
use ordinals::Ordinals;
use worker::Worker;

pub(super) use faults::Order;

/// The first pause before a broken watch is set up again, in scenario time. Each is twice as long as
/// the one before it.
const WATCH_AGAIN: Millis = Millis(500);
/// The longest such pause.
const WATCH_AGAIN_MOST: Millis = Millis::seconds(10);

/// The pods of the nodes.
pub(super) struct PodWorkers {
    client: Client,
    clock: Clock,
    options: NodeOptions,
    names: Arc<[String]>,
    events: Option<UnboundedSender<Event>>,
    orders: UnboundedReceiver<Order>,
    lost: Lost,
    ordinals: Ordinals,
    workers: BTreeMap<PodKey, Box<Worker>>,
    by_uid: BTreeMap<Box<str>, PodKey>,
    next_key: PodKey,
    /// Each node's images.
    images: Vec<Images>,
    templates: HashSet<Arc<Template>>,
    namespaces: BTreeSet<Arc<str>>,
    streams: Streams,
    /// When which pod wants to be woken. Entries that do not agree with their worker are out of date.
    timers: BinaryHeap<Reverse<(Instant, PodKey)>>,
    writes: Writes,
    tasks: Tasks,
}

/// What is drawn for each pod, start and agent: numbered as the twin numbers them.
struct Streams {
    pod: Numbered,
    start_up: Numbered,
    agent: Numbered,
}

impl PodWorkers {
    pub(super) fn new(
        client: Client,
        options: NodeOptions,
        names: Arc<[String]>,
        events: Option<UnboundedSender<Event>>,
        orders: UnboundedReceiver<Order>,
    ) -> Self {
        let clock = options.clock;
        let numbered = |purpose| Numbered::new(options.seed, purpose);
        Self {
            streams: Streams {
                pod: numbered("pod"),
                start_up: numbered("start up"),
                agent: numbered("agent"),
            },
            writes: Writes::new(client.clone()),
            tasks: Tasks::new(clock, References::new(client.clone(), clock)),
            images: vec![Images::default(); names.len()],
            client,
            clock,
            options,
            names,
            events,
            orders,
            lost: Lost::default(),
            ordinals: Ordinals::default(),
            workers: BTreeMap::new(),
            by_uid: BTreeMap::new(),
            next_key: 0,
            templates: HashSet::new(),
            namespaces: BTreeSet::new(),
            timers: BinaryHeap::new(),
        }
    }

    /// Runs the pods until it is dropped.
    pub(super) async fn work(mut self) {
        // A field selector cannot name several nodes; pods of others are dropped as they come. Pods that
        // have no node yet are seen for the order in which they were created.
        let api: Api<LeanPod> = Api::all_with(self.client.clone(), &lean::pods());
        let mut pods = pin!(watcher::watcher(api, Config::default()).backoff(Pauses::new(self.clock)));
        let mut listed = Vec::new();
        let clock = self.clock;
        loop {
            let due = self.timers.peek().map(|Reverse((at, _))| *at);
            tokio::select! {
                Some(change) = pods.next() => {
                    // An error has been seen by the stream, which tries again.
                    if let Ok(change) = change {
                        self.seen(clock.now(), change, &mut listed);
                    }
                }
                Some(news) = self.tasks.news.recv() => self.heard(clock.now(), news),
                Some(order) = self.orders.recv() => self.ordered(clock.now(), order),
                Some(written) = self.writes.under_way.join_next() => {
                    if let Ok((key, outcome)) = written {
                        self.written(clock.now(), key, outcome);
                    }
                }
                Some(_) = self.tasks.under_way.join_next() => {}
                () = until(clock, due) => self.wake(clock.now()),
            }
            self.begin_writes();
        }
    }

    fn seen(&mut self, now: Instant, change: watcher::Event<LeanPod>, listed: &mut Vec<LeanPod>) {
        match change {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(pod) => listed.push(pod),
            watcher::Event::InitDone => self.listed(now, std::mem::take(listed)),
            watcher::Event::Apply(pod) => self.applied(now, &pod),
            watcher::Event::Delete(pod) => {
                let uid = pod.uid().unwrap_or_default();
                self.ordinals.forget(&uid);
                if let Some(key) = self.by_uid.get(uid.as_str()) {
                    self.gone(now, *key);
                }
                self.lost.forget(&uid);
            }
        }
    }

    /// Everything that is there, after a watch was set up: what is not among it is gone.
    fn listed(&mut self, now: Instant, mut pods: Vec<LeanPod>) {
        pods.sort_by_cached_key(ordinals::creation);
        for pod in &pods {
            self.applied(now, pod);
        }
        let uids: BTreeSet<String> = pods.iter().filter_map(ResourceExt::uid).collect();
        self.ordinals.keep(&uids);
        let missing = self.by_uid.iter().filter(|(uid, _)| !uids.contains(&***uid));
        let gone: Vec<PodKey> = missing.map(|(_, key)| *key).collect();
        gone.into_iter().for_each(|key| self.gone(now, key));
    }

    fn applied(&mut self, now: Instant, pod: &LeanPod) {
        let uid = pod.uid().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let Some(node) = self.node(&pod.spec.node_name) else {
            if pod.spec.node_name.is_empty() {
                self.ordinals.created(namespace, &uid);
            } else {
                self.ordinals.forget(&uid);
            }
            return;
        };
        if self.lost.has(node) {
            self.lost.park(uid, pod);
            return;
        }
        let key = match self.by_uid.get(uid.as_str()) {
            Some(key) => *key,
            // Ended before these nodes began: there is nothing to run, and its owner will delete it.
            None if matches!(
                pod.status.as_ref().map(|status| status.phase.as_str()),
                Some("Succeeded" | "Failed")
            ) =>
            {
                return;
            }
            None => self.take(now, node, uid.into(), pod),
        };
        let grace = pod.metadata.deletion_timestamp.as_ref().map(|_| {
            let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
            Millis::seconds(u64::try_from(seconds).unwrap_or(0))
        });
        let worker = self.workers.get_mut(&key).expect("every uid has its worker");
        if let Some(grace) = grace
            && worker.deletion != Some(grace)
        {
            worker.deletion = Some(grace);
            self.tell(now, key, Input::Deleted { grace });
        }
    }

    /// The node of that name, by its index.
    fn node(&self, name: &str) -> Option<usize> {
        let number: usize = name.strip_prefix(&self.options.prefix)?.strip_prefix('-')?.parse().ok()?;
        let index = number.checked_sub(1)?;
        (self.names.get(index)? == name).then_some(index)
    }

    fn take(&mut self, now: Instant, node: usize, uid: Box<str>, pod: &LeanPod) -> PodKey {
        let key = self.next_key;
        self.next_key += 1;
        let template = self.template(now, pod);
        let namespace = self.namespace(&pod.namespace().unwrap_or_default());
        let name = PodName { namespace, name: pod.name_any().into(), uid: uid.clone() };
        let ordinal = self.ordinals.taken(&name.namespace, &uid);
        let random = self.streams.pod.of(ordinal);
        let settings = kubelet::Settings { container_start: self.options.container_start };
        let (machine, actions) = Pod::new(now, Arc::clone(&template.spec), settings, random);
        let worker = Worker::new((key, ordinal), node, name, template, machine, pod);
        self.workers.insert(key, Box::new(worker));
        self.by_uid.insert(uid, key);
        self.carry_out(now, key, actions);
        key
    }

    fn template(&mut self, now: Instant, pod: &LeanPod) -> Arc<Template> {
        let template = Template::of(&pod.spec, pod.metadata.annotations.as_ref());
        if let Some(known) = self.templates.get(&template) {
            return Arc::clone(known);
        }
        for message in &template.not_modelled {
            let fact = Fact::KubernetesEvent {
                object: format!("Pod/{}", pod.name_any()),
                kind: "Warning".to_owned(),
                reason: "NotModelled".to_owned(),
                message: message.clone(),
            };
            self.log(now, fact);
        }
        let template = Arc::new(template);
        self.templates.insert(Arc::clone(&template));
        template
    }

    fn namespace(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.namespaces.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.namespaces.insert(Arc::clone(&name));
        name
    }

    fn gone(&mut self, now: Instant, key: PodKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        worker.gone = true;
        if worker.machine.phase().is_terminal() || self.lost.has(worker.node) {
            self.forget(key);
        } else {
            self.tell(now, key, Input::Gone);
        }
    }

    fn forget(&mut self, key: PodKey) {
        let Some(worker) = self.workers.remove(&key) else { return };
        self.by_uid.remove(&worker.name.uid);
        // One is the set's, one the worker's.
        if Arc::strong_count(&worker.template) <= 2 {
            self.templates.remove(&worker.template);
        }
    }

    fn heard(&mut self, now: Instant, news: News) {
        let node = self.workers.get(&news.of.pod).map(|worker| worker.node);
        if node.is_some_and(|node| self.lost.has(node)) {
            self.lost.keep(news);
            return;
        }
        let News { of: Address { pod: key, container, start }, what } = news;
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let input = match what {
            What::Decided(Ok(decided)) => {
                let given = &self.options.agent_capabilities;
                worker.lives[container] = decided.agent.map(|(identity, mut capabilities)| {
                    capabilities.extend(given.clone());
                    Life::new(identity, capabilities)
                });
                Input::Program { container, program: decided.program }
            }
            What::Decided(Err(message)) => {
                Input::ConfigurationError { container, message: message.into_boxed_str() }
            }
            What::Registered(registration) => {
                if worker.machine.starts(container) == start
                    && let Some(life) = &mut worker.lives[container]
                {
                    life.registration = Some(Arc::new(*registration));
                }
                Input::Entrypoint { container, start, input: kubelet::entrypoint::Input::Configured }
            }
            What::Entrypoint(input) => Input::Entrypoint { container, start, input },
        };
        self.tell(now, key, input);
    }

    fn wake(&mut self, now: Instant) {
        while let Some(Reverse((at, key))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(worker) = self.workers.get_mut(&key).filter(|worker| worker.wakes_at == Some(at)) else {
                continue;
            };
            worker.wakes_at = None;
            if worker.retry_at.is_some_and(|retry_at| retry_at <= now) {
                worker.retry_at = None;
                self.queue_write(key);
            }
            let worker = self.workers.get_mut(&key).expect("it was just there");
            if worker.torn_down_at.is_some_and(|torn_down_at| torn_down_at <= now) {
                worker.torn_down_at = None;
                worker.undeleted = true;
                self.queue_write(key);
            }
            let worker = self.workers.get_mut(&key).expect("it was just there");
            let actions = worker.machine.advance(now);
            self.carry_out(now, key, actions);
        }
    }

    fn tell(&mut self, now: Instant, key: PodKey, input: Input) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        let actions = worker.machine.handle(now, input);
        self.carry_out(now, key, actions);
    }

    /// Does what a machine wants, and sets its timer.
    fn carry_out(&mut self, now: Instant, key: PodKey, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish => {
                    if let Some(worker) = self.workers.get_mut(&key) {
                        worker.unpublished = true;
                    }
                    self.queue_write(key);
                }
                Action::Pull { container } => self.pull(now, key, container),
                Action::Configure { container } => self.configure(key, container),
                Action::Entrypoint { container, start, action } => {
                    self.entrypoint(Address { pod: key, container, start }, action);
                }
                Action::Vanish { container } => {
                    let life = self.workers.get_mut(&key).and_then(|worker| worker.lives[container].as_mut());
                    life.into_iter().for_each(Life::vanish);
                }
                Action::Saw { container, sight } => self.saw(now, key, container, sight),
                Action::Finish => self.finish(now, key),
            }
        }
        self.set_timer(key);
    }

    fn set_timer(&mut self, key: PodKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        if self.lost.has(worker.node) {
            return;
        }
        let due = worker.next_deadline();
        if due != worker.wakes_at {
            worker.wakes_at = due;
            self.timers.extend(due.map(|at| Reverse((at, key))));
        }
    }

    fn pull(&mut self, now: Instant, key: PodKey, container: usize) {
        let Some(worker) = self.workers.get(&key) else { return };
        let image = worker.machine.container(container).image.as_str();
        let pull = || {
            let name = format!("image pull/{}/{image}", worker.node);
            self.options.image_pull.draw(&mut stream(self.options.seed, &name))
        };
        let span = if self.images[worker.node].lacks(image) { pull() } else { Millis::ZERO };
        let at = self.images[worker.node].request(now, image, span);
        self.tell(now, key, Input::Image { container, at });
    }

    fn configure(&mut self, key: PodKey, container: usize) {
        let Some(worker) = self.workers.get(&key) else { return };
        let start = worker.machine.starts(container);
        let mut random = self.streams.start_up.of2(worker.ordinal(), start);
        let start_up = self.options.agent_start_up.draw(&mut random);
        let of = Address { pod: key, container, start };
        let facts = worker.facts(&self.names);
        self.tasks.decide(of, Arc::clone(&worker.template), facts, start_up);
    }

    fn entrypoint(&mut self, of: Address, action: kubelet::entrypoint::Action) {
        let Some(worker) = self.workers.get_mut(&of.pod) else { return };
        let seed = self.streams.agent.of2(worker.ordinal(), of.start).next_u64();
        if let Some(life) = &mut worker.lives[of.container] {
            self.tasks.carry_out(of, action, life, seed);
        }
    }

    /// Every process has ended: the object can go, once the sandbox and the volumes are torn down.
    fn finish(&mut self, now: Instant, key: PodKey) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        if worker.gone {
            self.forget(key);
        } else if self.options.tear_down > Millis::ZERO {
            worker.torn_down_at = Some(now + self.options.tear_down);
        } else {
            worker.undeleted = true;
            self.queue_write(key);
        }
    }

    fn saw(&self, now: Instant, key: PodKey, container: usize, sight: Sight) {
        let Some(worker) = self.workers.get(&key) else { return };
        let agent = worker.lives[container].as_ref().map(|life| life.identity.name.clone());
        let pod = worker.name.name.to_string();
        let container = worker.machine.container(container).name.clone();
        let signal = |name: &str| name.to_owned();
        let fact = match sight {
            Sight::Started { restarts } => Fact::ContainerStarted { pod, container, restarts, agent },
            Sight::Term => Fact::ContainerSignalled { pod, container, signal: signal("SIGTERM") },
            Sight::Kill => Fact::ContainerSignalled { pod, container, signal: signal("SIGKILL") },
            Sight::Exited { code } => Fact::ContainerExited { pod, container, code, agent },
            Sight::BackOff { until } => Fact::ContainerBackOff { pod, container, until },
        };
        self.log(now, fact);
    }

    fn log(&self, now: Instant, fact: Fact) {
        if let Some(events) = &self.events {
            // A run that does not listen any more is over.
            let _ = events.send(Event { at: now, by: Source::Node, fact });
        }
    }
}

async fn until(clock: Clock, due: Option<Instant>) {
    match due {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Growing pauses in scenario time: kube's own are in wall time, and would be minutes of a fast run.
struct Pauses {
    clock: Clock,
    next: Millis,
}

impl Pauses {
    fn new(clock: Clock) -> Self {
        Self { clock, next: WATCH_AGAIN }
    }
}

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let pause = self.clock.on_the_wall(self.next);
        self.next = (self.next + self.next).min(WATCH_AGAIN_MOST);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.next = WATCH_AGAIN;
    }
}
