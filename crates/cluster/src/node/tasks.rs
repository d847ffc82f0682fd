//! What takes time beside requests to the API server: resolving environments, and agents.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent::{Identity, Observation, Registration, RunOptions};
use clock::Clock;
use kubelet::entrypoint::{self, Package};
use kubelet::{PodSpec, Template};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

use super::environment::{Decided, PodFacts, decide, references, resolve};
use super::references::References;
use model::Millis;

/// A pod's number on these nodes.
pub(super) type PodKey = u64;

/// Which start of which container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) pod: PodKey,
    pub(super) container: usize,
    pub(super) start: u32,
}

/// Something that a task has found out.
#[derive(Debug)]
pub(super) struct News {
    pub(super) of: Address,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// What a container runs, or why that cannot be said.
    Decided(Result<Box<Decided>, String>),
    /// The agent is registered, and this is what it knows of itself.
    Registered(Box<Registration>),
    /// News for the start script.
    Entrypoint(entrypoint::Input),
}

/// The tasks under way. Dropping it ends them all without a word.
pub(super) struct Tasks {
    clock: Clock,
    references: Arc<References>,
    /// Not bounded, and need not be: a container has one task that speaks, and it speaks seldom.
    sender: UnboundedSender<News>,
    pub(super) news: UnboundedReceiver<News>,
    pub(super) under_way: JoinSet<()>,
}

/// The agent of a container's current start.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) identity: Arc<Identity>,
    /// Until it has been configured.
    pub(super) capabilities: BTreeMap<String, String>,
    /// From its configuration to its removal.
    pub(super) registration: Option<Arc<Registration>>,
    running: Option<AbortHandle>,
    /// Looking up, configuring or removing: one at a time.
    errand: Option<AbortHandle>,
}

impl Life {
    pub(super) fn new(identity: Identity, capabilities: BTreeMap<String, String>) -> Self {
        Self { identity: Arc::new(identity), capabilities, registration: None, running: None, errand: None }
    }

    /// Every process of the container is gone.
    pub(super) fn vanish(&mut self) {
        for task in [self.running.take(), self.errand.take()].into_iter().flatten() {
            task.abort();
        }
        self.registration = None;
        self.capabilities.clear();
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.vanish();
    }
}

impl Tasks {
    pub(super) fn new(clock: Clock, references: References) -> Self {
        let (sender, news) = unbounded_channel();
        Self { clock, references: Arc::new(references), sender, news, under_way: JoinSet::new() }
    }

    /// Resolves a container's environment and says what it runs.
    pub(super) fn decide(&mut self, of: Address, template: Arc<Template>, facts: PodFacts, start_up: Millis) {
        let (references_of, sender) = (Arc::clone(&self.references), self.sender.clone());
        self.under_way.spawn(async move {
            let spec = &template.environments[of.container];
            let decided = match references_of.read(&facts.namespace, references(spec)).await {
                Ok(referred) => resolve(spec, &facts, &referred)
                    .and_then(|found| decide(found, &facts.host_name, template.script, spec.once, start_up)),
                Err(message) => Err(message),
            };
            let _ = sender.send(News { of, what: What::Decided(decided.map(Box::new)) });
        });
    }

    /// Carries out what a start script does.
    pub(super) fn carry_out(&mut self, of: Address, action: entrypoint::Action, life: &mut Life, seed: u64) {
        match action {
            entrypoint::Action::LookUpPackage => self.look_up(of, life),
            entrypoint::Action::Configure => self.configure(of, life),
            entrypoint::Action::RunAgent { once } => self.run(of, life, RunOptions { once, seed }),
            entrypoint::Action::Remove => self.remove(of, life),
            entrypoint::Action::Exit(_) => unreachable!("a pod keeps its containers' exits to itself"),
        }
    }

    fn look_up(&mut self, of: Address, life: &mut Life) {
        let (identity, sender) = (Arc::clone(&life.identity), self.sender.clone());
        life.errand = Some(self.under_way.spawn(async move {
            let package = match agent::look_up_package(&identity, agent::PLATFORM).await {
                agent::PackageLookup::Found => Package::Found,
                agent::PackageLookup::NotOffered => Package::NotOffered,
                agent::PackageLookup::Unreadable => Package::Unreadable,
                agent::PackageLookup::Unreachable => Package::Unreachable,
            };
            tell(&sender, of, entrypoint::Input::Package(package));
        }));
    }

    fn configure(&mut self, of: Address, life: &mut Life) {
        let (clock, identity, sender) = (self.clock, Arc::clone(&life.identity), self.sender.clone());
        let capabilities = std::mem::take(&mut life.capabilities);
        life.errand = Some(self.under_way.spawn(async move {
            match agent::configure(clock, &identity, &capabilities, true).await {
                Ok(registration) => {
                    let what = What::Registered(Box::new(registration));
                    let _ = sender.send(News { of, what });
                }
                // Whatever the reason, `config.sh` exits with 1.
                Err(_) => tell(&sender, of, entrypoint::Input::ConfigureFailed(1)),
            }
        }));
    }

    fn run(&mut self, of: Address, life: &mut Life, options: RunOptions) {
        let Some(registration) = life.registration.clone() else {
            tell(&self.sender, of, entrypoint::Input::AgentExited(agent::exit_code::TERMINATED_ERROR));
            return;
        };
        let (clock, identity, sender) = (self.clock, Arc::clone(&life.identity), self.sender.clone());
        life.running = Some(self.under_way.spawn(async move {
            let observe = |observation| {
                if matches!(observation, Observation::Listening { .. }) {
                    tell(&sender, of, entrypoint::Input::Listening);
                }
            };
            // Nobody signals the agent: it is a child of PID 1, in the background.
            let never = std::future::pending();
            let code = agent::run(clock, &identity, &registration, options, never, observe).await;
            tell(&sender, of, entrypoint::Input::AgentExited(code));
        }));
    }

    fn remove(&mut self, of: Address, life: &mut Life) {
        let Some(registration) = life.registration.clone() else {
            // No configuration lies on the disk: nothing is asked of the service.
            tell(&self.sender, of, entrypoint::Input::Removed);
            return;
        };
        let (clock, identity, sender) = (self.clock, Arc::clone(&life.identity), self.sender.clone());
        life.errand = Some(self.under_way.spawn(async move {
            let input = match agent::remove(clock, &identity, &registration).await {
                Ok(_) => entrypoint::Input::Removed,
                Err(_) => entrypoint::Input::RemoveFailed,
            };
            tell(&sender, of, input);
        }));
    }
}

/// The receiver is gone only when the nodes are stopped, and then nobody cares.
fn tell(sender: &UnboundedSender<News>, of: Address, input: entrypoint::Input) {
    let _ = sender.send(News { of, what: What::Entrypoint(input) });
}

/// How many containers a pod has, init containers included.
pub(super) fn count(spec: &PodSpec) -> usize {
    spec.init_containers.len() + spec.containers.len()
}
