//! One run: a prepared scenario on an engine, from an empty namespace to the
//! last pod's end. It does what the plan says and writes down what it did;
//! whether what came of it is right is somebody else's question.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cluster::local::LocalError;
use cluster::local::audit::AuditTail;
use cluster::node::{self, NodeOptions, Nodes};
use cluster::watch::Watch;
use cluster::workspace::{Workspace, WorkspaceError};
use model::event::{Outcome, RunStarted};
use model::manifest::Document;
use model::scenario::Until;
use model::{Fact, Instant, Millis};
use server::{NewOrganization, Organization, Server};
use tokio::sync::watch;
use twin::{DRAIN_SLACK, IN_PLACE_LIMIT, SETTLED_FOR};

use crate::case::Prepared;
use crate::engine::Engine;
use crate::faults::Faults;
use crate::filled::{Filled, fill_in};
use crate::plan::{self, Plan};
use crate::recorder::Recorder;
use crate::state::State;

/// Which run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// What is run.
    pub case: Prepared,
    /// A short name, unique on the engine: namespace, organisation and nodes are called after it.
    pub id: String,
    /// Which repetition it is, from 1.
    pub repetition: u32,
    /// Where its random choices come from.
    pub seed: u64,
    /// The command that repeats it.
    pub replay: String,
    /// The folder for its log.
    pub folder: PathBuf,
}

/// Why a run did not come to its end. Findings are not among them.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster did not do as asked.
    #[error(transparent)]
    Cluster(#[from] WorkspaceError),
    /// The machine did not.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The nodes did not start, or did not come back.
    #[error("the nodes are not there: {0}")]
    Nodes(String),
    /// A fault changes an object that no manifest has.
    #[error("no manifest has the object `{0}` that a fault changes")]
    NoSuchObject(String),
    /// The service did not take the organisation.
    #[error("the service did not take the organisation: {0}")]
    Service(String),
    /// The log cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It does.
    GoOn,
    /// Somebody wants it to end.
    Interrupt,
    /// The engine broke.
    Broken(String),
}

/// The name of the log in a run's folder.
pub const LOG: &str = "events.jsonl";
/// The name of the report beside it.
pub const REPORT: &str = "report.json";

/// Runs it. `observe` is given the recorder's state as soon as there is one; `stop` says
/// when the run is to end early.
///
/// # Errors
/// [`RunError`] if the harness failed; what was started is ended.
pub async fn run(
    request: &RunRequest,
    engine: &Engine,
    server: &Server,
    observe: impl FnOnce(watch::Receiver<State>),
    stop: watch::Receiver<Stop>,
) -> Result<PathBuf, RunError> {
    let path = request.folder.join(LOG);
    let log_error = |source| RunError::Log { path: path.clone(), source };
    std::fs::create_dir_all(&request.folder).map_err(log_error)?;
    let recorder = Recorder::start(&path, engine.clock().now()).map_err(log_error)?;
    // A report says what became of the log beside it: an earlier one's is none of this.
    let _ = std::fs::remove_file(request.folder.join(REPORT));
    observe(recorder.state());
    let mut run = Run { request, engine, server, recorder: &recorder, stop };
    let ended = run.live().await;
    let (outcome, because) = match &ended {
        Ok((outcome, because)) => (*outcome, because.clone()),
        Err(error) => (Outcome::Failed, Some(error.to_string())),
    };
    recorder.tell(engine.clock().now(), Fact::RunFinished { outcome, because });
    // A disk that is full explains whatever else went wrong.
    recorder.finish().await.map_err(log_error)?;
    ended.map(|_| path)
}

struct Run<'a> {
    request: &'a RunRequest,
    engine: &'a Engine,
    server: &'a Server,
    recorder: &'a Recorder,
    stop: watch::Receiver<Stop>,
}

/// Where a run lives.
struct Site<'a> {
    workspace: &'a Workspace,
    organization: &'a Organization,
    nodes: &'a Nodes,
    watch: &'a Watch,
    filled: &'a [Filled],
}

impl<'a> Site<'a> {
    fn documents(&self) -> impl Iterator<Item = &'a Document> + use<'a> {
        self.filled.iter().flat_map(|filled| &filled.documents)
    }
}

type Ended = (Outcome, Option<String>);

impl Run<'_> {
    fn now(&self) -> Instant {
        self.engine.clock().now()
    }

    fn tell(&self, fact: Fact) {
        self.recorder.tell(self.now(), fact);
    }

    async fn live(&mut self) -> Result<Ended, RunError> {
        let Self { request, engine, .. } = *self;
        let scenario = &request.case.scenario;
        let plan = plan::plan(scenario, request.seed);
        let token = new_token();
        let organization = self.server.add_organization(NewOrganization {
            name: request.id.clone(),
            token: token.clone(),
            settings: scenario.organization.clone(),
            seed: request.seed,
            events: self.recorder.events().clone(),
        });
        let organization = organization.map_err(|error| RunError::Service(error.to_string()))?;
        let filled = fill_in(&request.case, &organization.url(), &token);
        self.tell(Fact::RunStarted(Box::new(self.started(&filled))));
        self.tell(Fact::ScaleTarget(Box::new(
            request.case.targets.scale_target(engine.keda(), cluster::local::KUBERNETES),
        )));
        let workspace =
            Workspace::create(engine.client(), &format!("poolproof-{}", request.id), &request.id).await?;
        let ended = self.on_nodes(&workspace, &organization, &filled, &plan).await;
        if engine.stays() {
            // Best effort: the run's verdict does not depend on it, and the next run there sweeps.
            let _ = workspace.end().await;
            await_end(&workspace).await;
        }
        organization.remove();
        ended
    }

    async fn on_nodes(
        &mut self,
        workspace: &Workspace,
        organization: &Organization,
        filled: &[Filled],
        plan: &Plan,
    ) -> Result<Ended, RunError> {
        let engine = self.engine;
        let nodes = node::start(engine.client(), self.node_options(), Some(self.recorder.events().clone()))
            .await
            .map_err(|error| RunError::Nodes(error.to_string()))?;
        let watch = Watch::start(
            &engine.client(),
            workspace.namespace(),
            &self.request.id,
            engine.clock(),
            self.recorder.events(),
        );
        let events = self.recorder.events().clone();
        let audit = AuditTail::start(engine.audit_log(), workspace.namespace(), engine.clock(), events);
        let ended = match engine.probe(self.recorder.events().clone()) {
            Ok(_probe) => {
                let site = Site { workspace, organization, nodes: &nodes, watch: &watch, filled };
                self.load_and_drain(&site, plan).await
            }
            Err(error) => Err(error.into()),
        };
        drop((watch, audit));
        // Nodes that cannot be deleted belong to a cluster that ends, or has ended.
        let _ = nodes.stop().await;
        ended
    }

    async fn load_and_drain(&mut self, site: &Site<'_>, plan: &Plan) -> Result<Ended, RunError> {
        for document in site.documents() {
            site.workspace.apply(document.value()).await?;
        }
        let ready = match self.await_in_place().await {
            Waited::Held => Ok(()),
            Waited::Limit => Err((Outcome::BoundReached, Some(self.not_in_place()))),
            Waited::Broken(ended) => Err(ended),
        };
        let Err(ended) = ready else {
            self.tell(Fact::RunReady {});
            let ready = self.now();
            let faults = self.faults(site);
            let scenario = &self.request.case.scenario;
            return tokio::select! {
                error = faults.drive(ready, scenario) => Err(error),
                ended = self.queue_settle_and_drain(site, plan, ready) => ended,
            };
        };
        self.drain_unless_broken(site, ended).await
    }

    fn faults<'s>(&self, site: &Site<'s>) -> Faults<'s>
    where
        Self: 's,
    {
        let objects = site.documents().map(|document| (document.object(), document)).collect();
        let Site { workspace, organization, nodes, watch, .. } = *site;
        Faults {
            engine: self.engine,
            recorder: self.recorder,
            workspace,
            organization,
            nodes,
            watch,
            objects,
        }
    }

    async fn queue_settle_and_drain(
        &mut self,
        site: &Site<'_>,
        plan: &Plan,
        ready: Instant,
    ) -> Result<Ended, RunError> {
        let ended = self.queue_and_settle(site.organization, plan, ready).await?;
        self.drain_unless_broken(site, ended).await
    }

    async fn drain_unless_broken(&mut self, site: &Site<'_>, ended: Ended) -> Result<Ended, RunError> {
        if !matches!(ended.0, Outcome::Failed | Outcome::Interrupted) {
            self.drain(site).await?;
        }
        Ok(ended)
    }

    async fn await_in_place(&mut self) -> Waited {
        let limit = self.now() + IN_PLACE_LIMIT;
        self.wait_for(limit, State::is_in_place).await
    }

    fn not_in_place(&self) -> String {
        let state = self.recorder.state();
        let state = state.borrow();
        let because = match state.readiness() {
            None => "KEDA has not taken the object up".to_owned(),
            Some(ready) if ready.status == "True" => {
                format!("{} replicas and {} agents are there", state.replicas(), state.idle())
            }
            Some(ready) => format!("Ready={} {}: {}", ready.status, ready.reason, ready.message),
        };
        format!("not in place within {IN_PLACE_LIMIT}: {because}")
    }

    async fn queue_and_settle(
        &mut self,
        organization: &Organization,
        plan: &Plan,
        ready: Instant,
    ) -> Result<Ended, RunError> {
        let scenario = &self.request.case.scenario;
        let limit = ready + scenario.at_most;
        for definition in &plan.definitions {
            organization
                .define(definition.clone())
                .map_err(|refusal| RunError::Service(refusal.to_string()))?;
        }
        for build in &plan.builds {
            if let Some(ended) = self.await_instant(ready + build.at, limit).await {
                return Ok(ended);
            }
            // A refusal is in the log: the service writes it there.
            let _ = organization.queue_build(&build.definition);
        }
        Ok(match scenario.until {
            Until::After(duration) => match self.wait_for(ready + duration, |_| false).await {
                Waited::Broken(ended) => ended,
                Waited::Limit | Waited::Held => (Outcome::DurationReached, None),
            },
            Until::Settled => {
                // Nothing is settled while something is still to come.
                let faults = scenario.faults.iter().map(|fault| fault.until().unwrap_or(fault.at()));
                let last = ready + faults.max().unwrap_or_default();
                match self.await_instant(last, limit).await {
                    Some(ended) => ended,
                    None => self.settle(limit).await,
                }
            }
        })
    }

    /// Waits until an instant; answers how the run ended if it ended first.
    async fn await_instant(&mut self, due: Instant, limit: Instant) -> Option<Ended> {
        match self.wait_for(due.min(limit), |_| false).await {
            Waited::Limit if due <= limit => None,
            Waited::Broken(ended) => Some(ended),
            Waited::Limit | Waited::Held => Some((Outcome::BoundReached, None)),
        }
    }

    async fn settle(&mut self, limit: Instant) -> Ended {
        loop {
            match self.wait_for(limit, State::is_settled).await {
                Waited::Held => {}
                Waited::Limit => return (Outcome::BoundReached, None),
                Waited::Broken(ended) => return ended,
            }
            let calm = self.now() + SETTLED_FOR;
            match self.wait_for(calm, |state| !state.is_settled()).await {
                Waited::Held => {} // it moved again
                Waited::Limit => return (Outcome::Settled, None),
                Waited::Broken(ended) => return ended,
            }
        }
    }

    /// Takes the workload away, KEDA's object first: otherwise it would miss its target.
    async fn drain(&mut self, site: &Site<'_>) -> Result<(), RunError> {
        self.tell(Fact::RunDraining {});
        for document in site.documents().filter(|document| document.is_scaler()) {
            site.workspace.delete(document.value()).await?;
        }
        for document in site.documents().filter(|document| document.is_workload()) {
            site.workspace.delete(document.value()).await?;
        }
        let grace = Millis::seconds(self.request.case.targets.grace_s());
        let limit = self.now() + grace + DRAIN_SLACK;
        // What has not drained by then is in the log as it is.
        self.wait_for(limit, State::is_drained).await;
        Ok(())
    }

    /// Waits until the state is as wished, at the longest until `limit`.
    async fn wait_for(&mut self, limit: Instant, wished: impl Fn(&State) -> bool) -> Waited {
        let mut state = self.recorder.state();
        let clock = self.engine.clock();
        let held = clock.timeout(limit, state.wait_for(|state| state.failure.is_some() || wished(state)));
        tokio::select! {
            held = held => match held {
                Err(clock::Elapsed) => Waited::Limit,
                Ok(Err(_)) => Waited::Broken((Outcome::Failed, Some("the log cannot be written".to_owned()))),
                Ok(Ok(state)) => match &state.failure {
                    Some(because) => Waited::Broken((Outcome::Failed, Some(because.clone()))),
                    None => Waited::Held,
                },
            },
            ended = stopped(&mut self.stop) => Waited::Broken(ended),
        }
    }

    fn started(&self, filled: &[Filled]) -> RunStarted {
        let request = self.request;
        RunStarted {
            engine: "local".to_owned(),
            speed: self.engine.clock().speed(),
            seed: request.seed,
            repetition: request.repetition,
            versions: self.engine.versions(),
            replay: request.replay.clone(),
            namespace: format!("poolproof-{}", request.id),
            manifests: filled.iter().map(|filled| filled.applied.clone()).collect(),
            scenario: request.case.scenario.clone(),
        }
    }

    fn node_options(&self) -> NodeOptions {
        let scenario = &self.request.case.scenario;
        let label = (cluster::local::NODES_LABEL.to_owned(), self.request.id.clone());
        NodeOptions {
            prefix: self.request.id.clone(),
            nodes: scenario.cluster.nodes,
            pods_per_node: scenario.cluster.pods_per_node,
            labels: BTreeMap::from([label]),
            image_pull: scenario.cluster.image_pull,
            container_start: scenario.cluster.container_start,
            tear_down: Millis::ZERO,
            agent_start_up: scenario.agents.start_up,
            agent_capabilities: scenario.agents.capabilities.clone(),
            seed: self.request.seed,
            clock: self.engine.clock(),
        }
    }
}

enum Waited {
    /// The state is as wished.
    Held,
    /// The limit came first.
    Limit,
    /// The run is over.
    Broken(Ended),
}

/// Waits until the run is to end early; for ever if nobody can say so any more.
async fn stopped(stop: &mut watch::Receiver<Stop>) -> Ended {
    match stop.wait_for(|stop| !matches!(stop, Stop::GoOn)).await.as_deref() {
        Ok(Stop::Broken(because)) => (Outcome::Failed, Some(because.clone())),
        Ok(_) => (Outcome::Interrupted, None),
        Err(_) => std::future::pending().await,
    }
}

async fn await_end(workspace: &Workspace) {
    const LIMIT: std::time::Duration = std::time::Duration::from_secs(90);
    let gone = async {
        while workspace.exists().await.unwrap_or(false) {
            clock::wall::pause(std::time::Duration::from_millis(100)).await;
        }
    };
    // A namespace that does not end stays labelled in a cluster that somebody owns.
    let _ = clock::wall::timeout(LIMIT, gone).await;
}

/// A personal access token, made by chance. A real one has 52 characters, and so has this one.
#[must_use]
pub fn new_token() -> String {
    let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    let mut token = random.map(|part| part.simple().to_string()).concat();
    token.truncate(52);
    token
}

/// A seed, made by chance, for what no run has to repeat.
#[must_use]
pub fn new_seed() -> u64 {
    // A random UUID has some bits that are always the same: none of them stands in the same place of both halves.
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    high ^ low
}

/// The folder of a run below `out`.
#[must_use]
pub fn folder(out: &Path, scenario: &str, keda: &str, repetition: u32, of: u32) -> PathBuf {
    let mut name = format!("{scenario}-keda-{keda}");
    if of > 1 {
        name.push_str(&format!("-{repetition}"));
    }
    out.join(name)
}
