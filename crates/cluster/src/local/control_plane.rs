//! A running local cluster: the order in which its processes start, and how
//! one knows that each is ready.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock;
use clock::dilation::{EPOCH_VARIABLE, SPEED_VARIABLE};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use model::Event;
use model::fault::Program;
use tokio::sync::mpsc::UnboundedSender;

use super::build::Programs;
use super::certificates::Certificates;
use super::folder::ClusterFolder;
use super::probe::ClockProbe;
use super::supervisor::{Process, Supervisor};
use super::{LocalError, MAXIMUM_SPEED, Progress, audit, keda, log_tail, ports};

/// How often a cluster is started anew if somebody else took one of its ports first.
const START_TRIES: u32 = 3;
/// How long a part may take until it is ready, in wall time.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(300);
/// Pause between two looks, in wall time.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The component with the HPA.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
/// The nodes that pods go to unless their namespace says otherwise.
pub const DEFAULT_NODES: &str = "default";
/// The label of nodes and the key of the selector that leads pods to them.
pub const NODES_LABEL: &str = "poolproof.dev/nodes";

/// Which cluster to start.
#[derive(Debug)]
pub struct Request<'a> {
    /// The cache.
    pub cache: &'a Path,
    /// Its name, unique among the living.
    pub name: &'a str,
    /// What it is made of.
    pub programs: &'a Programs,
    /// How many times faster than real its time runs.
    pub speed: u32,
}

/// Faster time, as the processes are told of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dilation {
    pub(super) speed: u32,
    pub(super) epoch: Duration,
}

impl Dilation {
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (SPEED_VARIABLE.to_owned(), self.speed.to_string()),
            (EPOCH_VARIABLE.to_owned(), self.epoch.as_nanos().to_string()),
        ])
    }
}

/// A cluster of our own. It ends when it is dropped, and when this process ends in whatever way.
pub struct LocalCluster {
    // Declared first, dropped first: the processes end before their folder goes.
    supervisor: Supervisor,
    /// How each process was started, by its name.
    processes: Mutex<BTreeMap<String, Process>>,
    client: Client,
    kubeconfig: PathBuf,
    clock: Clock,
    dilation: Dilation,
    programs: Programs,
    folder: ClusterFolder,
}

impl fmt::Debug for LocalCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCluster").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl LocalCluster {
    /// Starts a cluster and waits until KEDA's metrics are served.
    ///
    /// # Errors
    /// [`LocalError`]; nothing remains of a cluster that did not come up.
    pub async fn start(request: Request<'_>, progress: &Progress<'_>) -> Result<Self, LocalError> {
        if !(1..=MAXIMUM_SPEED).contains(&request.speed) {
            return Err(LocalError::Speed(request.speed));
        }
        let folder = ClusterFolder::create(request.cache, request.name)?;
        let mut tries = 1;
        let running = loop {
            match Running::start(&request, folder.path(), progress).await {
                Err(_) if tries < START_TRIES && folder.is_a_port_taken() => {
                    folder.clear();
                    tries += 1;
                }
                result => break result?,
            }
        };
        let Running { supervisor, processes, client, kubeconfig, clock, dilation } = running;
        let (processes, programs) = (Mutex::new(processes), request.programs.clone());
        Ok(Self { supervisor, processes, client, kubeconfig, clock, dilation, programs, folder })
    }

    /// A client with all rights.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The file that `kubectl` takes.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The cluster's own clock: its scenario time began when the cluster was started.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What it is made of.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The folder with certificates and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a clock probe that writes what it sees to `events`.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn probe(&self, clock: Clock, events: UnboundedSender<Event>) -> Result<ClockProbe, LocalError> {
        ClockProbe::start(&self.programs.launcher, &self.dilation, clock, events)
    }

    /// The file in which the API server notes the HPA's reads and every write of a scale.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        audit::log(self.folder())
    }

    /// Kills a program and starts it again as it was; answers when it runs.
    ///
    /// # Errors
    /// [`LocalError`] if it does not end or start.
    pub async fn restart(&self, program: Program) -> Result<(), LocalError> {
        let name = match program {
            Program::KedaOperator => keda::OPERATOR,
            Program::KubeControllerManager => CONTROLLER_MANAGER,
        };
        self.supervisor.kill(&[name]).await?;
        self.start_again(name).await?;
        self.supervisor.expect_no_more();
        Ok(())
    }

    /// Puts another version of KEDA in the place of the one that runs: both programs end, the resource
    /// definitions are replaced, and both programs start with the flags of those before them.
    ///
    /// # Errors
    /// [`LocalError`] if one does not end or start, or the API server refuses the definitions.
    pub async fn upgrade_keda(&self, programs: &Programs) -> Result<(), LocalError> {
        self.supervisor.kill(&[keda::OPERATOR, keda::ADAPTER]).await?;
        keda::apply_crds(&self.client, &programs.crds).await?;
        for (name, program) in [(keda::OPERATOR, &programs.operator), (keda::ADAPTER, &programs.adapter)] {
            if let Some(process) = self.processes().get_mut(name) {
                process.program.clone_from(program);
            }
            self.start_again(name).await?;
        }
        self.supervisor.expect_no_more();
        Ok(())
    }

    async fn start_again(&self, name: &str) -> Result<(), LocalError> {
        let process = self.processes().get(name).cloned();
        let process = process.expect("whatever runs was started with its name");
        self.supervisor.run(process).await.map(|_| ())
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<String, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a process of the cluster ends, which none does by itself; answers which and how.
    pub async fn await_failure(&self) -> String {
        let mut changes = self.supervisor.changes();
        loop {
            if let Some((name, status)) = self.supervisor.ended().into_iter().next() {
                return format!("{name} ended ({status})");
            }
            if changes.changed().await.is_err() {
                return LocalError::SupervisorGone.to_string();
            }
        }
    }

    /// Ends every process and removes the folder.
    pub async fn end(mut self) {
        self.supervisor.end().await;
    }
}

/// What runs in a cluster's folder.
struct Running {
    supervisor: Supervisor,
    processes: BTreeMap<String, Process>,
    client: Client,
    kubeconfig: PathBuf,
    clock: Clock,
    dilation: Dilation,
}

impl Running {
    /// One try. When it fails, its processes are gone and their logs are still there.
    async fn start(
        request: &Request<'_>,
        folder: &Path,
        progress: &Progress<'_>,
    ) -> Result<Self, LocalError> {
        let clock = Clock::start(request.speed);
        let dilation = Dilation { speed: request.speed, epoch: clock.epoch() };
        let [etcd, etcd_peer, apiserver, controller_manager, scheduler] = ports::free()?;
        let certificates = Certificates::make(&folder.join("certificates"), clock.epoch())?;
        let kubeconfig = write_kubeconfigs(folder, apiserver, &certificates)?;
        write_admission(folder)?;
        audit::write_policy(folder)?;
        let client = connect(&kubeconfig).await?;
        let mut plane = ControlPlane {
            supervisor: Supervisor::start(&request.programs.launcher, folder)?,
            folder,
            launcher: &request.programs.launcher,
            certificates: &certificates,
            environment: dilation.environment(),
            processes: BTreeMap::new(),
        };
        progress.step("starting the control plane");
        plane.etcd(etcd, etcd_peer).await?;
        plane.apiserver(apiserver, etcd).await?;
        await_text(&client, "/readyz", "kube-apiserver", &plane.log("kube-apiserver"), &plane.supervisor)
            .await?;
        plane.controller_manager(controller_manager).await?;
        plane.scheduler(scheduler).await?;
        progress.step(&format!("starting KEDA {}", request.programs.keda));
        let for_keda = kubeconfig_path(folder, "keda");
        keda::install(&mut plane, &client, request.programs, &for_keda).await?;
        let ControlPlane { supervisor, processes, .. } = plane;
        Ok(Self { supervisor, processes, client, kubeconfig, clock, dilation })
    }
}

/// The processes while they are being started.
pub(super) struct ControlPlane<'a> {
    pub(super) supervisor: Supervisor,
    folder: &'a Path,
    launcher: &'a Path,
    pub(super) certificates: &'a Certificates,
    environment: BTreeMap<String, String>,
    processes: BTreeMap<String, Process>,
}

impl ControlPlane<'_> {
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    pub(super) async fn run(
        &mut self,
        name: &str,
        program: &Path,
        arguments: Vec<String>,
        more: &[(&str, &str)],
    ) -> Result<(), LocalError> {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let process = Process {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments,
            environment,
            directory: self.folder.to_owned(),
            log: self.log(name),
        };
        self.processes.insert(name.to_owned(), process.clone());
        self.supervisor.run(process).await.map(|_| ())
    }

    /// A component of the launcher: its name is the launcher's sub-command.
    async fn component(&mut self, name: &str, flags: &[(&str, String)]) -> Result<(), LocalError> {
        let launcher = self.launcher;
        let arguments = std::iter::once(name.to_owned()).chain(as_flags(flags)).collect();
        self.run(name, launcher, arguments, &[]).await
    }

    async fn etcd(&mut self, client: u16, peer: u16) -> Result<(), LocalError> {
        // Everybody on the machine can reach a port: who reads the store must have its certificate.
        let (client, peer) = (format!("https://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let flags = [
            ("data-dir", self.folder.join("etcd").display().to_string()),
            ("listen-client-urls", client.clone()),
            ("advertise-client-urls", client),
            ("listen-peer-urls", peer.clone()),
            ("initial-advertise-peer-urls", peer.clone()),
            ("initial-cluster", format!("default={peer}")),
            ("cert-file", self.certificates.certificate("etcd").display().to_string()),
            ("key-file", self.certificates.key("etcd").display().to_string()),
            ("trusted-ca-file", self.certificates.certificate("etcd-ca").display().to_string()),
            ("client-cert-auth", "true".to_owned()),
            // The data live as long as the processes.
            ("unsafe-no-fsync", "true".to_owned()),
            ("log-level", "warn".to_owned()),
        ];
        self.component("etcd", &flags).await
    }

    async fn apiserver(&mut self, port: u16, etcd: u16) -> Result<(), LocalError> {
        let certificate = |name: &str| self.certificates.certificate(name).display().to_string();
        let key = |name: &str| self.certificates.key(name).display().to_string();
        let mut flags = vec![
            ("etcd-servers", format!("https://127.0.0.1:{etcd}")),
            ("etcd-cafile", certificate("etcd-ca")),
            ("etcd-certfile", certificate("etcd-client")),
            ("etcd-keyfile", key("etcd-client")),
            ("secure-port", port.to_string()),
            ("bind-address", "127.0.0.1".to_owned()),
            ("advertise-address", "127.0.0.1".to_owned()),
            ("tls-cert-file", certificate("apiserver")),
            ("tls-private-key-file", key("apiserver")),
            ("client-ca-file", certificate("ca")),
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            (
                "service-account-key-file",
                self.certificates.public_key("service-account").display().to_string(),
            ),
            ("service-account-signing-key-file", key("service-account")),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            ("requestheader-client-ca-file", certificate("front-proxy-ca")),
            ("requestheader-allowed-names", "front-proxy-client".to_owned()),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
            ("requestheader-group-headers", "X-Remote-Group".to_owned()),
            ("requestheader-username-headers", "X-Remote-User".to_owned()),
            ("proxy-client-cert-file", certificate("front-proxy-client")),
            ("proxy-client-key-file", key("front-proxy-client")),
            // Leads each namespace's pods to the nodes of whoever made the namespace.
            ("enable-admission-plugins", "PodNodeSelector".to_owned()),
            ("admission-control-config-file", self.folder.join("admission.yaml").display().to_string()),
        ];
        flags.extend(audit::flags(self.folder));
        self.component("kube-apiserver", &flags).await
    }

    async fn controller_manager(&mut self, port: u16) -> Result<(), LocalError> {
        let mut flags = self.client_flags("controller-manager", port);
        flags.extend([
            ("root-ca-file", self.certificates.certificate("ca").display().to_string()),
            (
                "service-account-private-key-file",
                self.certificates.key("service-account").display().to_string(),
            ),
            ("use-service-account-credentials", "true".to_owned()),
        ]);
        self.component(CONTROLLER_MANAGER, &flags).await
    }

    async fn scheduler(&mut self, port: u16) -> Result<(), LocalError> {
        let flags = self.client_flags("scheduler", port);
        self.component("kube-scheduler", &flags).await
    }

    fn client_flags(&self, client: &str, port: u16) -> Vec<(&'static str, String)> {
        let kubeconfig = kubeconfig_path(self.folder, client).display().to_string();
        vec![
            ("kubeconfig", kubeconfig.clone()),
            ("authentication-kubeconfig", kubeconfig.clone()),
            ("authorization-kubeconfig", kubeconfig),
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            ("leader-elect", "false".to_owned()),
        ]
    }
}

/// `--name=value`, the form that every component takes.
pub(super) fn as_flags(flags: &[(&str, String)]) -> impl Iterator<Item = String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}"))
}

/// Waits until a GET answers well.
pub(super) async fn await_text(
    client: &Client,
    path: &str,
    what: &str,
    log: &Path,
    supervisor: &Supervisor,
) -> Result<(), LocalError> {
    let ready = async {
        loop {
            if let Some((name, status)) = supervisor.ended().into_iter().next() {
                let log = log.with_file_name(format!("{name}.log"));
                return Err(LocalError::ended(name, status, &log));
            }
            let request = http::Request::get(path).body(Vec::new()).expect("a path of our own is a good one");
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
            clock::wall::pause(LOOK_AGAIN).await;
        }
    };
    clock::wall::timeout(READY_LIMIT, ready).await.unwrap_or_else(|_| {
        Err(LocalError::NotReady {
            what: what.to_owned(),
            seconds: READY_LIMIT.as_secs(),
            tail: log_tail(log),
        })
    })
}

/// A client for the cluster that a kubeconfig file names.
pub(super) async fn connect(kubeconfig: &Path) -> Result<Client, LocalError> {
    let refused = |source: kube::Error| LocalError::Kubernetes {
        what: format!("the connection of {}", kubeconfig.display()),
        source: Box::new(source),
    };
    let unreadable = |error: kube::config::KubeconfigError| LocalError::Folder {
        path: kubeconfig.to_owned(),
        source: std::io::Error::other(error),
    };
    let file = Kubeconfig::read_from(kubeconfig).map_err(unreadable)?;
    let config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(unreadable)?;
    Client::try_from(config).map_err(refused)
}

fn kubeconfig_path(folder: &Path, client: &str) -> PathBuf {
    folder.join(format!("{client}.kubeconfig"))
}

/// Writes a kubeconfig for each client; answers the administrator's.
fn write_kubeconfigs(folder: &Path, port: u16, certificates: &Certificates) -> Result<PathBuf, LocalError> {
    for client in ["admin", "controller-manager", "scheduler", "keda"] {
        let path = kubeconfig_path(folder, client);
        let text = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "poolproof",
            "clusters": [{ "name": "poolproof", "cluster": {
                "server": format!("https://127.0.0.1:{port}"),
                "certificate-authority": certificates.certificate("ca"),
            }}],
            "users": [{ "name": client, "user": {
                "client-certificate": certificates.certificate(client),
                "client-key": certificates.key(client),
            }}],
            "contexts": [{ "name": "poolproof", "context": { "cluster": "poolproof", "user": client }}],
        });
        fs::write(&path, format!("{text:#}\n")).map_err(|source| LocalError::Folder { path, source })?;
    }
    Ok(kubeconfig_path(folder, "admin"))
}

fn write_admission(folder: &Path) -> Result<(), LocalError> {
    let selector = serde_json::json!({
        "podNodeSelectorPluginConfig": {
            "clusterDefaultNodeSelector": format!("{NODES_LABEL}={DEFAULT_NODES}"),
        }
    });
    let admission = serde_json::json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{ "name": "PodNodeSelector", "path": folder.join("node-selector.yaml") }],
    });
    for (name, text) in [("node-selector.yaml", selector), ("admission.yaml", admission)] {
        let path = folder.join(name);
        fs::write(&path, text.to_string()).map_err(|source| LocalError::Folder { path, source })?;
    }
    Ok(())
}
