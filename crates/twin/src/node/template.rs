//! A pod template made ready: what all of its pods share is worked out once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use azure_devops::agent::{capabilities, direct};
use azure_devops::{OwnCapability, Secret, SharedCapabilities, SystemCapabilities};
use kubelet::template::environment::{Agent, PodFacts, Referred, decide, resolve};
use kubelet::template::lean::Variable;
use kubelet::template::{EnvironmentSpec, Template};
use kubelet::{Program, entrypoint};
use model::Millis;

/// A pod template with the Secrets and ConfigMaps that it refers to.
///
/// Left out: labels and annotations in a container's environment, which read as if there were none.
#[derive(Debug)]
pub struct PodTemplate {
    template: Template,
    namespace: Arc<str>,
    referred: Referred,
    agent_capabilities: BTreeMap<String, String>,
    software: direct::Software,
    containers: Vec<Ready>,
}

/// What a container of the template runs, as far as it is the same in every pod.
#[derive(Debug)]
enum Ready {
    /// Something that it refers to is missing or not modelled.
    Refused(Box<str>),
    /// Anything that is not an agent.
    Plain,
    /// An agent that differs from pod to pod in fields of the pod at the most.
    Agent(Box<ReadyAgent>),
    /// Environments that are to be resolved for each pod.
    ByPod,
}

#[derive(Debug)]
struct ReadyAgent {
    program: entrypoint::Settings,
    organization: Arc<Organization>,
    /// Where the agent's name comes from; nothing is the host's name.
    name: Option<Name>,
    shared: Arc<SharedCapabilities>,
    named: OwnCapability,
    /// `Agent.ComputerName`, unless the environment says it.
    computer: Option<OwnCapability>,
    by_pod: Vec<(OwnCapability, Field)>,
}

#[derive(Debug)]
enum Name {
    Fixed(Arc<str>),
    Field(Field),
}

/// Where an agent belongs, and with which token.
#[derive(Debug)]
pub(super) struct Organization {
    pub(super) url: String,
    pub(super) token: Secret,
    pub(super) pool: Arc<str>,
}

/// A field of a pod that an environment may quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Uid,
    Node,
    PodIp,
    HostIp,
}

impl Field {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "metadata.name" => Self::Name,
            "metadata.uid" => Self::Uid,
            "spec.nodeName" => Self::Node,
            "status.podIP" | "status.podIPs" => Self::PodIp,
            "status.hostIP" | "status.hostIPs" => Self::HostIp,
            _ => return None,
        })
    }
}

/// One pod among those of a template.
#[derive(Debug, Clone, Copy)]
pub(super) struct Singular<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) uid: u128,
    pub(super) node: &'a str,
    pub(super) node_index: usize,
    pub(super) ordinal: u64,
}

/// What a container of one pod runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) agent: Option<RunningAgent>,
}

/// The agent in it.
#[derive(Debug)]
pub(super) struct RunningAgent {
    pub(super) organization: Arc<Organization>,
    pub(super) identity: direct::Identity,
}

impl PodTemplate {
    /// Of a template in a namespace, with the objects that it may refer to, and what agents can
    /// do beside their container's environment.
    #[must_use]
    pub fn new(
        template: Template,
        namespace: &str,
        referred: Referred,
        agent_capabilities: BTreeMap<String, String>,
    ) -> Self {
        let mut ready = Self {
            template,
            namespace: namespace.into(),
            referred,
            agent_capabilities,
            software: direct::Software::default(),
            containers: Vec::new(),
        };
        ready.containers = ready.template.environments.iter().map(|each| ready.prepare(each)).collect();
        ready
    }

    /// The template itself.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Whether a container runs an agent in every pod, as far as can be told without one.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.containers.iter().any(|container| matches!(container, Ready::Agent(_) | Ready::ByPod))
    }

    fn prepare(&self, spec: &EnvironmentSpec) -> Ready {
        let Some(fields) = fields(spec) else { return Ready::ByPod };
        let environment = match resolve(spec, &self.facts(None), &self.referred) {
            Ok(environment) => environment,
            Err(message) => return Ready::Refused(message.into()),
        };
        let named = environment.get("AZP_AGENT_NAME").filter(|name| !name.is_empty()).cloned();
        let decided = match decide(environment, "", self.template.script, spec.once, Millis::ZERO) {
            Ok(decided) => decided,
            Err(message) => return Ready::Refused(message.into()),
        };
        let (Program::Entrypoint(program), Some(agent)) = (decided.program, decided.agent) else {
            return Ready::Plain;
        };
        let field_of_name = fields.iter().find(|(name, _)| name == "AZP_AGENT_NAME").map(|(_, field)| *field);
        let name = field_of_name.map(Name::Field).or(named.map(|name| Name::Fixed(name.into())));
        let mut machine = agent.capabilities.clone();
        machine.retain(|variable, _| !fields.iter().any(|(by_pod, _)| by_pod == variable));
        machine.extend(self.agent_capabilities.clone());
        let by_pod = fields.iter().filter(|(name, _)| !self.agent_capabilities.contains_key(name));
        let says_computer = machine.contains_key(COMPUTER) || fields.iter().any(|(name, _)| name == COMPUTER);
        let by_pod = by_pod.map(|(name, field)| (OwnCapability::named(name), *field)).collect();
        let mut shared = capabilities("", machine);
        shared.remove(NAME);
        if !says_computer {
            shared.remove(COMPUTER);
        }
        Ready::Agent(Box::new(ReadyAgent {
            program,
            organization: Arc::new(organization(&agent)),
            name,
            shared: Arc::new(SharedCapabilities::new(shared)),
            named: OwnCapability::named(NAME),
            computer: (!says_computer).then(|| OwnCapability::named(COMPUTER)),
            by_pod,
        }))
    }

    /// What a container runs in this pod. An error is the kubelet's message.
    pub(super) fn decide(
        &self,
        container: usize,
        pod: Singular<'_>,
        start_up: Millis,
    ) -> Result<Running, Box<str>> {
        match &self.containers[container] {
            Ready::Refused(message) => Err(message.clone()),
            Ready::Plain => Ok(Running { program: Program::Plain, agent: None }),
            Ready::Agent(ready) => Ok(ready.of(pod, start_up, &self.software)),
            Ready::ByPod => self.decide_by_pod(container, pod, start_up).map_err(String::into_boxed_str),
        }
    }

    fn decide_by_pod(
        &self,
        container: usize,
        pod: Singular<'_>,
        start_up: Millis,
    ) -> Result<Running, String> {
        let spec = &self.template.environments[container];
        let facts = self.facts(Some(pod));
        let environment = resolve(spec, &facts, &self.referred)?;
        let decided = decide(environment, &facts.host_name, self.template.script, spec.once, start_up)?;
        let agent = decided.agent.map(|agent| {
            let organization = Arc::new(organization(&agent));
            let mut machine = agent.capabilities;
            machine.extend(self.agent_capabilities.clone());
            let capabilities = capabilities(&agent.name, machine).into();
            RunningAgent {
                organization,
                identity: direct::Identity {
                    name: agent.name.into(),
                    software: self.software.clone(),
                    capabilities,
                },
            }
        });
        Ok(Running { program: decided.program, agent })
    }

    fn facts(&self, pod: Option<Singular<'_>>) -> PodFacts {
        let text = |of: &dyn Fn(Singular<'_>) -> String| pod.map(of).unwrap_or_default();
        PodFacts {
            name: text(&|pod| pod.name.to_string()),
            namespace: Arc::clone(&self.namespace),
            uid: text(&|pod| pod.field(Field::Uid).to_string()),
            host_name: text(&|pod| pod.host_name().to_string()),
            node: text(&|pod| pod.node.to_owned()),
            service_account: self.template.service_account.clone(),
            pod_ip: text(&|pod| pod.field(Field::PodIp).to_string()),
            host_ip: text(&|pod| pod.field(Field::HostIp).to_string()),
            metadata: None,
        }
    }
}

const NAME: &str = "Agent.Name";
const COMPUTER: &str = "Agent.ComputerName";

impl ReadyAgent {
    fn of(&self, pod: Singular<'_>, start_up: Millis, software: &direct::Software) -> Running {
        let name = match &self.name {
            None => pod.host_name(),
            Some(Name::Fixed(name)) => Arc::clone(name),
            Some(Name::Field(field)) => pod.field(*field),
        };
        let template = self.name.is_some() && name.contains("template");
        let program = entrypoint::Settings { start_up, template, ..self.program };
        let by_pod = self.by_pod.iter().map(|(own, field)| own.with(&pod.field(*field)));
        let computer = self.computer.iter().map(|own| own.with(&name));
        let own = by_pod.chain(computer).chain([self.named.with(&name)]);
        let capabilities = SystemCapabilities::new(&self.shared, own);
        Running {
            program: Program::Entrypoint(program),
            agent: Some(RunningAgent {
                organization: Arc::clone(&self.organization),
                identity: direct::Identity { name, software: software.clone(), capabilities },
            }),
        }
    }
}

impl Singular<'_> {
    fn host_name(&self) -> Arc<str> {
        let host_name = kubelet::template::environment::host_name(self.name);
        if host_name.len() == self.name.len() { Arc::clone(self.name) } else { host_name.into() }
    }

    /// Addresses are those that are set aside for benchmarks (RFC 2544): nodes have the lower half,
    /// pods the upper.
    fn field(&self, field: Field) -> Arc<str> {
        let address = |third: u8, number: u64| {
            let [.., high, low] = (number % 65_534 + 1).to_be_bytes();
            format!("198.{third}.{high}.{low}").into()
        };
        match field {
            Field::Name => Arc::clone(self.name),
            Field::Uid => {
                let uid = self.uid.to_be_bytes().map(|byte| format!("{byte:02x}")).concat();
                let (a, b, c, d, e) = (&uid[..8], &uid[8..12], &uid[12..16], &uid[16..20], &uid[20..]);
                format!("{a}-{b}-{c}-{d}-{e}").into()
            }
            Field::Node => self.node.into(),
            Field::PodIp => address(19, self.ordinal),
            Field::HostIp => address(18, self.node_index as u64),
        }
    }
}

fn organization(agent: &Agent) -> Organization {
    Organization {
        url: agent.url.clone(),
        token: Secret::new(&agent.token),
        pool: agent.pool.as_str().into(),
    }
}

/// The variables that quote fields of the pod; nothing if the environment depends on the pod in
/// another way than that, so that it has to be resolved for each.
fn fields(spec: &EnvironmentSpec) -> Option<Vec<(String, Field)>> {
    let mut fields = Vec::new();
    let mut names = BTreeSet::new();
    for variable in &spec.variables {
        if !names.insert(variable.name.as_str()) {
            return None;
        }
        match path(variable) {
            None | Some("metadata.namespace" | "spec.serviceAccountName") => {}
            Some(path) => fields.push((variable.name.clone(), Field::at(path)?)),
        }
    }
    let quoted = |name: &str| spec.variables.iter().any(|each| each.value.contains(&format!("$({name})")));
    let decides = |name: &str| matches!(name, "AZP_URL" | "AZP_POOL" | "AZP_TOKEN" | "AZP_TOKEN_FILE");
    let simple = fields.iter().all(|(name, _)| !quoted(name) && !decides(name));
    simple.then_some(fields)
}

fn path(variable: &Variable) -> Option<&str> {
    if !variable.value.is_empty() {
        return None;
    }
    variable.value_from.as_ref()?.field_ref.as_ref().map(|field| field.field_path.as_str())
}
