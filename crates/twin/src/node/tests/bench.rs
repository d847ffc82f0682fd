//! A small world: the nodes, the service, and a queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use azure_devops::{
    BuildCall, BuildId, Call, Definition, DefinitionRef, JobTemplate, Reply, Secret, Service,
    Settings as ServiceSettings,
};
use controllers::{NodeId, Phase, PodId, PodReport, Uid};
use kubelet::Template;
use kubelet::template::environment::Referred;
use model::event::JobResult;
use model::scenario::{Organization, ParallelJobs, Placeholder, Pool};
use model::{Event, Fact, Instant, Millis, MillisRange};
use serde_json::{Value, json};

use crate::node::{
    Around, Change, Faults, NewPod, NoFaults, Nodes, Occupation, Out, PodTemplate, Settings, Wake,
};

pub(super) const URL: &str = "http://ado.test/acme";
const EPOCH: Duration = Duration::from_secs(1_790_000_000);
const POOL: &str = "keda-pool";

pub(super) struct Bench {
    pub(super) now: Instant,
    pub(super) service: Service,
    pub(super) nodes: Nodes,
    pub(super) faults: Box<dyn Faults>,
    pub(super) reports: BTreeMap<PodId, PodReport>,
    /// Pods whose object a kubelet has deleted.
    pub(super) finished: Vec<PodId>,
    pub(super) log: Vec<Event>,
    out: Out,
    queue: BinaryHeap<Reverse<Wake>>,
    pods: u32,
}

/// A manifest's pod template with one agent.
pub(super) fn manifest(restart_policy: &str, token: &str, script: &str) -> Value {
    json!({
        "metadata": { "annotations": { "poolproof/start-script": script } },
        "spec": {
            "restartPolicy": restart_policy,
            "containers": [{
                "name": "agent",
                "image": "agent:1",
                "env": [
                    { "name": "AZP_URL", "value": URL },
                    { "name": "AZP_POOL", "value": POOL },
                    { "name": "AZP_TOKEN", "value": token },
                    { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                    { "name": "JAVA", "value": "17" },
                ],
            }],
        },
    })
}

pub(super) fn template(manifest: &Value) -> Arc<PodTemplate> {
    let template = Template::of_manifest(manifest).expect("a template");
    Arc::new(PodTemplate::new(template, "article", Referred::new(), BTreeMap::new()))
}

fn service(seed: u64) -> Service {
    let placeholder = Placeholder {
        name: "template".to_owned(),
        capabilities: BTreeMap::from([("JAVA".to_owned(), "17".to_owned())]),
    };
    let organization = Organization {
        parallel_jobs: ParallelJobs::Unlimited,
        assign_delay: MillisRange { least: Millis(500), most: Millis(3000) },
        job_lock: Millis::minutes(10),
        session_expiry: Millis::minutes(5),
        quirks: model::quirks::Quirks::default(),
        pools: vec![Pool { name: POOL.to_owned(), id: 7, agents: vec![placeholder] }],
    };
    Service::new(ServiceSettings::new("acme", URL, Secret::new("pat"), seed, EPOCH, &organization))
}

impl Bench {
    pub(super) fn new(seed: u64) -> Self {
        let settings = Settings {
            seed,
            epoch: EPOCH,
            nodes: vec!["node-1".to_owned(), "node-2".to_owned()],
            image_pull: MillisRange::exactly(Millis::seconds(20)),
            container_start: MillisRange { least: Millis::seconds(1), most: Millis::seconds(3) },
            agent_start_up: MillisRange { least: Millis::seconds(8), most: Millis::seconds(20) },
        };
        Self {
            now: Instant::START,
            service: service(seed),
            nodes: Nodes::new(settings),
            faults: Box::new(NoFaults),
            reports: BTreeMap::new(),
            finished: Vec::new(),
            log: Vec::new(),
            out: Out { wants_facts: true, ..Out::default() },
            queue: BinaryHeap::new(),
            pods: 0,
        }
    }

    fn step(&mut self, step: impl FnOnce(&mut Nodes, Instant, &mut Around<'_>)) {
        let mut around = Around { service: &mut self.service, faults: &mut *self.faults, out: &mut self.out };
        step(&mut self.nodes, self.now, &mut around);
        self.queue.extend(self.out.wakes.drain(..).map(Reverse));
        for change in self.out.changes.drain(..) {
            match change {
                Change::Report(pod, report) => {
                    self.reports.insert(pod, report);
                }
                Change::Finished(pod) => self.finished.push(pod),
            }
        }
        self.log.append(&mut self.out.facts);
    }

    /// A pod on the first node.
    pub(super) fn start(&mut self, template: &Arc<PodTemplate>) -> PodId {
        self.start_on(NodeId(0), template)
    }

    pub(super) fn start_on(&mut self, node: NodeId, template: &Arc<PodTemplate>) -> PodId {
        let id = PodId(self.pods);
        self.pods += 1;
        self.start_again(id, node, template);
        id
    }

    pub(super) fn start_again(&mut self, id: PodId, node: NodeId, template: &Arc<PodTemplate>) {
        let name: Arc<str> = format!("agents-{}", id.0).into();
        let new = NewPod { id, node, name: &name, uid: Uid(u128::from(id.0)), template };
        self.step(|nodes, now, around| nodes.start_pod(now, new, around));
    }

    pub(super) fn delete(&mut self, pod: PodId, grace: Millis) {
        self.step(|nodes, now, around| nodes.delete_pod(now, pod, grace, around));
    }

    pub(super) fn gone(&mut self, pod: PodId) {
        self.step(|nodes, now, around| nodes.pod_gone(now, pod, around));
    }

    pub(super) fn kill(&mut self, pod: PodId) {
        self.step(|nodes, now, around| nodes.kill(now, pod, around));
    }

    /// Lets time pass. What the kubelets delete is gone at once.
    pub(super) fn until(&mut self, until: Instant) {
        loop {
            let wake = self.queue.peek().map(|Reverse(wake)| wake.at);
            let service = self.service.next_deadline();
            let due = [wake, service].into_iter().flatten().min().filter(|due| *due <= until);
            let Some(due) = due else { break };
            self.now = self.now.max(due);
            if service.is_some_and(|service| service <= self.now) {
                let effects = self.service.advance(self.now);
                let told = |fact| Event { at: self.now, by: model::Source::Service, fact };
                self.log.extend(effects.facts.into_iter().map(told));
                for (waiter, answer) in effects.answered {
                    self.step(|nodes, now, around| nodes.answered(now, waiter, answer, around));
                }
            } else if let Some(Reverse(wake)) = self.queue.pop() {
                self.step(|nodes, now, around| nodes.wake(now, wake, around));
            }
            let finished = self.finished.clone();
            for pod in finished {
                self.gone(pod);
            }
        }
        self.now = self.now.max(until);
    }

    pub(super) fn pass(&mut self, span: Millis) {
        self.until(self.now + span);
    }

    /// Lets time pass until something holds, and says how long that took.
    pub(super) fn wait(&mut self, most: Millis, holds: impl Fn(&Self) -> bool) -> Millis {
        let since = self.now;
        while !holds(self) {
            assert!(self.now.since(since) <= most, "it never held; the log: {:#?}", self.log);
            self.pass(Millis(250));
        }
        self.now.since(since)
    }

    pub(super) fn call(&mut self, call: Call) -> Reply {
        let (reply, effects) = self.service.handle(self.now, call);
        let told = |fact| Event { at: self.now, by: model::Source::Service, fact };
        self.log.extend(effects.facts.into_iter().map(told));
        for (waiter, answer) in effects.answered {
            self.step(|nodes, now, around| nodes.answered(now, waiter, answer, around));
        }
        reply
    }

    /// Queues a build of so many jobs.
    pub(super) fn build(&mut self, jobs: usize, duration: Millis) -> Option<BuildId> {
        let job = |number: usize| {
            JobTemplate::new(
                format!("Job {number}"),
                vec!["JAVA -equals 17".parse().expect("a demand")],
                duration,
            )
        };
        let definition = Definition::flat("ci", "project", POOL.to_owned(), (0..jobs).map(job).collect());
        self.call(Call::Build(BuildCall::define(definition)));
        match self.call(Call::Build(BuildCall::queue(DefinitionRef::Name("ci".to_owned())))) {
            Reply::Answer(azure_devops::Answer::Build(build)) => Some(build),
            _ => None,
        }
    }

    pub(super) fn phase(&self, pod: PodId) -> Option<Phase> {
        self.reports.get(&pod).map(|report| report.phase)
    }

    pub(super) fn is(&self, pod: PodId, occupation: Occupation) -> bool {
        self.nodes.occupation(pod) == occupation
    }

    /// The results of job requests, in the order of their ends.
    pub(super) fn results(&self) -> Vec<JobResult> {
        let result = |event: &Event| match event.fact {
            Fact::JobRequestFinished { result, .. } => Some(result),
            _ => None,
        };
        self.log.iter().filter_map(result).collect()
    }

    pub(super) fn count(&self, which: impl Fn(&Fact) -> bool) -> usize {
        self.log.iter().filter(|event| which(&event.fact)).count()
    }

    /// The exit codes of containers, in order.
    pub(super) fn exits(&self) -> Vec<i32> {
        let code = |event: &Event| match event.fact {
            Fact::ContainerExited { code, .. } => Some(code),
            _ => None,
        };
        self.log.iter().filter_map(code).collect()
    }

    /// How many agents are registered, the placeholder aside.
    pub(super) fn registered(&self) -> usize {
        self.service.agents().len() - 1
    }
}
