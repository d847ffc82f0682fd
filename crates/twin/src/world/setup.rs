//! How a run begins: the machines are made, the manifests applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use azure_devops::{Secret, Service};
use controllers::{Cluster, NewNode, WorkloadId};
use model::{Fact, Instant, Millis};

use super::World;
use super::faults::ServiceFaults;
use super::log::Log;
use super::operator::Operator;
use super::requests::Pending;
use super::stage::Stage;
use crate::manifests::objects::{Objects, Scaler, Surroundings};
use crate::node::{Nodes, Out, Settings};
use crate::queue::Queue;
use crate::request::{Request, Statistics, TwinError};

/// The date of `Instant::START`. Any would do; a round one is easy to read in logs.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);
/// The organisation's name. No stream depends on it.
const ORGANIZATION: &str = "poolproof";

impl<'r> World<'r> {
    pub(super) fn new(request: &'r Request<'r>) -> Result<Self, TwinError> {
        let scenario = request.scenario;
        let namespace = namespace(request);
        let around = Surroundings { namespace, capabilities: &scenario.agents.capabilities };
        let objects = Objects::read(request.documents, &around)?;
        let operator = Operator::new(&objects, request.keda, request.kubernetes, namespace, request.seed)?;
        check_upgrades(request)?;
        if let Some(sentence) = super::faults::not_modelled(scenario) {
            return Err(TwinError::Manifest(format!("the twin does not model {sentence}")));
        }
        super::edits::check(request, &objects, namespace)?;
        let wanted = request.log.is_some();
        let organization = azure_devops::Settings::new(
            ORGANIZATION,
            request.organization_url,
            Secret::new(request.token),
            request.seed,
            EPOCH,
            &scenario.organization,
        );
        let mut service = Service::new(organization);
        service.want_facts(wanted);
        let names: Vec<String> = (1..=scenario.cluster.nodes).map(|node| format!("node-{node}")).collect();
        let nodes = Nodes::new(Settings {
            seed: request.seed,
            epoch: EPOCH,
            nodes: names.clone(),
            image_pull: scenario.cluster.image_pull,
            container_start: scenario.cluster.container_start,
            agent_start_up: scenario.agents.start_up,
        });
        let settings = cluster_settings(request);
        let mut world = Self {
            request,
            now: Instant::START,
            queue: Queue::default(),
            armed: [None; 4],
            statistics: Statistics::default(),
            log: Log::new(wanted),
            service,
            faults: ServiceFaults::new(request.seed),
            nodes,
            out: Out { wants_facts: wanted, ..Out::default() },
            effects: azure_devops::Effects::default(),
            cluster: Cluster::new(request.seed, settings),
            cluster_actions: Vec::new(),
            operator,
            objects,
            scaled: None,
            workloads: Vec::new(),
            templates: BTreeMap::new(),
            job_templates: BTreeMap::new(),
            pending: Pending::default(),
            stage: Stage::Starting,
            faults_over: Instant::START,
            faults_begun: BTreeSet::new(),
            ending: None,
            because: None,
            outcome: None,
        };
        if let Some(alignment) = request.alignment {
            let nodes = alignment.nodes.iter().map(|node| node.map(controllers::NodeId));
            world.cluster.dictate_nodes(nodes);
        }
        for name in names {
            let new = NewNode { name: name.as_str().into(), pods: scenario.cluster.pods_per_node };
            world.cluster.add_node(Instant::START, new, &mut world.cluster_actions);
        }
        Ok(world)
    }

    pub(super) fn namespace(&self) -> &'r str {
        namespace(self.request)
    }

    /// Applies the manifests: everything is there at the same instant, and everybody begins.
    pub(super) fn apply(&mut self) {
        if let Some((started, target)) = self.request.log {
            self.log.run(self.now, || Fact::RunStarted(Box::new(started.clone())));
            self.log.run(self.now, || Fact::ScaleTarget(Box::new(target.clone())));
        }
        let workloads = self.objects.workloads.clone();
        for workload in &workloads {
            self.templates.insert(workload.new.template.hash, Arc::clone(&workload.template));
            let actions = &mut self.cluster_actions;
            let id = self.cluster.create_workload(self.now, workload.new.clone(), actions);
            if workload.object == self.operator.target {
                self.scaled = Some(id);
            }
            self.workloads.push(id);
        }
        if let Scaler::Job(_, template) = &self.objects.scaler {
            self.templates.insert(template.hash, Arc::clone(&template.template));
            self.job_templates.insert(self.operator.generation(), template.hash);
        }
        self.start_stages();
        self.start_operator();
    }

    /// The grace period of the pods that the run ends with.
    pub(super) fn grace(&self) -> Millis {
        let of_workload = |id: &WorkloadId| self.cluster.workload(*id).template().grace;
        let of_jobs = match &self.objects.scaler {
            Scaler::Job(_, template) => template.spec.grace,
            Scaler::Object(_) => Millis::ZERO,
        };
        self.workloads.iter().map(of_workload).max().unwrap_or_default().max(of_jobs)
    }
}

/// How long calls and watches take: as long as ever in wall time, which is longer in the scenario time
/// of a run that was faster than the wall clock.
fn cluster_settings(request: &Request<'_>) -> controllers::Settings {
    let speed = request.alignment.map_or(1, |alignment| alignment.speed);
    controllers::Settings { facts: request.log.is_some(), ..controllers::Settings::default() }.at_speed(speed)
}

fn namespace<'r>(request: &'r Request<'r>) -> &'r str {
    request.log.map_or("poolproof", |(started, _)| started.namespace.as_str())
}

/// KEDA of every version that takes over in mid-run must be modelled.
fn check_upgrades(request: &Request<'_>) -> Result<(), TwinError> {
    for fault in &request.scenario.faults {
        if let model::fault::Fault::KedaUpgrade(upgrade) = fault {
            let version = semver::Version::parse(&upgrade.version)
                .map_err(|error| TwinError::Version(format!("{}: {error}", upgrade.version)))?;
            keda::Rules::of(&version).map_err(|error| TwinError::Version(error.to_string()))?;
        }
    }
    Ok(())
}
