//! The command line.

mod bench;
mod bisect;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::RangedI64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use cluster::local::{DEFAULT_KEDA, DEFAULT_SPEED, MAXIMUM_SPEED, check_test, check_version};
use model::Millis;
use model::rules::{MOST_NODES, MOST_PODS_PER_NODE};

pub(crate) use self::bench::{
    BenchCommand, CompareArguments, LatencyArguments, REPEAT_REAL, REPEAT_SIMULATED, Sweep,
};
pub(crate) use self::bisect::BisectArguments;

/// Proves a KEDA-scaled Azure DevOps agent pool before production.
#[derive(Debug, Parser)]
#[command(name = "poolproof", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
}

const EXIT_CODES: &str = "Exit codes: 0 passed, 1 findings, 2 wrong usage or scenario, 3 environment, \
                          4 inconclusive, 5 internal error, 130 interrupted";

/// A number from 1 to `most`.
fn up_to(most: u64) -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=i64::try_from(most).unwrap_or(i64::MAX))
}

/// Any version: which ones there are is the engine's to say.
fn any_version(text: &str) -> Result<String, String> {
    let checked = semver::Version::parse(text).map(|_| text.to_owned());
    checked.map_err(|error| format!("{error}; write all three numbers: `2.21.0`"))
}

fn keda_version(text: &str) -> Result<String, String> {
    check_version(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn keda_test(text: &str) -> Result<String, String> {
    check_test(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

fn parallel(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&runs| runs > 0).ok_or_else(|| "write a number above zero".to_owned())
}

/// The most seeds at once.
const MOST_SEEDS: u64 = 10_000_000;

/// `N`, or `N..M` with both ends included.
fn seeds(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    let (first, last) = match text.split_once("..") {
        Some((first, last)) => (number(first)?, number(last.trim_start_matches('='))?),
        None => (number(text)?, number(text)?),
    };
    match last.checked_sub(first) {
        None => Err(format!("{last} comes before {first}")),
        Some(more) if more >= MOST_SEEDS => Err(format!("at most {MOST_SEEDS} seeds at once")),
        Some(_) => Ok((first, last)),
    }
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios and judge what came of them.
    Run(RunArguments),
    /// Judge a saved event log.
    Verify(VerifyArguments),
    /// Say for each read of the queue which jobs count, and for each step of the replicas why.
    Explain(ExplainArguments),
    /// Line up two logs of the same scenario: the same steps, and how far apart in time?
    Diff(DiffArguments),
    /// Hold the simulation against real KEDA: the same scenarios on both, decision by decision and step by step.
    Fidelity(FidelityArguments),
    /// Measure, over many runs.
    Bench {
        #[command(subcommand)]
        command: BenchCommand,
    },
    /// Hold two results of `bench latency` side by side: did it get slower, or is that noise?
    Compare(CompareArguments),
    /// Find the version of KEDA that broke a scenario, or mended it, and show what changed.
    Bisect(BisectArguments),
    /// Serve a fake Azure DevOps organisation.
    Serve(ServeArguments),
    /// Local clusters: real Kubernetes and KEDA as plain processes.
    Cluster {
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Check something of yours against the fake Azure DevOps.
    Check {
        #[command(subcommand)]
        command: CheckCommand,
    },
    /// The emulated agent, as a start script calls it: configure, run or remove.
    #[command(disable_help_flag = true)]
    Agent {
        /// What `config.sh` or `run.sh` was given.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Scenario files; a folder stands for the scenarios in it.
    #[arg(required_unless_present = "follow", value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Instead of running anything: the log of a real run, whose reads, phases and victims the simulation is fed;
    /// every decision of KEDA and the HPA must come out equal. Can be given more than once.
    #[arg(long, value_name = "LOG", conflicts_with_all = [
        "scenarios", "on", "keda", "speed", "repeat", "parallel", "seed", "jobs", "align", "cluster", "manifest", "substitute",
    ])]
    pub(crate) follow: Vec<PathBuf>,
    /// Where to run them.
    #[arg(long, value_enum, default_value_t = Engine::Sim)]
    pub(crate) on: Engine,
    /// KEDA's versions instead of the scenario's, separated by commas.
    #[arg(long, value_name = "VERSION", value_delimiter = ',', value_parser = any_version)]
    pub(crate) keda: Vec<String>,
    /// How many times faster than real time runs [default: 20, or the named cluster's].
    #[arg(long, value_name = "N", value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: Option<u32>,
    /// How often each scenario is run.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// How many runs live side by side on one control plane [default: 10].
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub(crate) parallel: Option<usize>,
    /// The seed of every random choice of ours, further repetitions have the next ones; or a range of
    /// seeds, both ends included, each of which is simulated.
    #[arg(long, value_name = "N|N..M", default_value = "1", value_parser = seeds)]
    pub(crate) seed: (u64, u64),
    /// How many simulations run at the same time [default: one for each processor].
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The log of a real run of the same scenario: the simulation takes over when KEDA polled, when the HPA
    /// read and which pods were deleted, which are chance, so that the rest can be compared.
    #[arg(long, value_name = "LOG")]
    pub(crate) align: Option<PathBuf>,
    /// A cluster that `cluster up` started, instead of one of the run's own.
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// A manifest instead of the scenario's; can be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Vec<PathBuf>,
    /// What your manifest leaves to its reader to fill in; TEXT is the placeholder that stands there,
    /// which is logged, so never a secret: TEXT=organization_url,
    /// TEXT=personal_access_token or TEXT=personal_access_token_base64.
    #[arg(long, value_name = "TEXT=WHAT")]
    pub(crate) substitute: Vec<String>,
    /// The folder for logs and reports.
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub(crate) out: PathBuf,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

impl RunArguments {
    /// The seeds of the repetitions.
    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, last) = self.seed;
        let repeat = u64::from(self.repeat) - 1;
        (first..=last).chain((1..=repeat).map(move |more| last.wrapping_add(more)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Simulated: KEDA, Kubernetes and the agents in virtual time, in milliseconds.
    Sim,
    /// Real Kubernetes and KEDA as local processes, with fake nodes.
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The log, `events.jsonl` of a run; `-` is standard input.
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// The log, `events.jsonl` of a run; `-` is standard input.
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,
    /// The state at this moment of the run and the last decisions before it, such as `2m30s`.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Millis>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The first log, usually of the real thing.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The second log, usually of the simulation.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// How far apart the same step may be.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub(crate) within: Millis,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct FidelityArguments {
    /// Scenario files; a folder stands for the scenarios in it.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// KEDA's versions, separated by commas.
    #[arg(long, value_name = "VERSION", value_delimiter = ',', default_value = DEFAULT_KEDA, value_parser = keda_version)]
    pub(crate) keda: Vec<String>,
    /// How many random scenarios to add.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) random: u64,
    /// The seed of every random choice of ours, and the number of the first random scenario.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Make each random scenario that differs smaller, as long as it still differs, and write it down.
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Keep the real runs that an earlier call has finished.
    #[arg(long)]
    pub(crate) resume: bool,
    /// How many times faster than real time the real runs are.
    #[arg(long, value_name = "N", value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: Option<u32>,
    /// How many real runs live side by side on one control plane [default: 10].
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub(crate) parallel: Option<usize>,
    /// The folder for logs, random scenarios and the result.
    #[arg(long, value_name = "DIR", default_value = "results/fidelity")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where to listen; port 0 lets the system choose. An address that others can reach needs a --token-file.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Keep what happens in a folder, and go on from there: whatever was answered is there again, even if this
    /// process is killed.
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) state: Option<PathBuf>,
    /// What an answered call survives: the end of this process, or that of the machine, which has every answer
    /// wait for the disk.
    #[arg(long, value_enum, default_value_t = Survive::Process, requires = "state")]
    pub(crate) state_sync: Survive,
    /// After how many bytes a snapshot takes the place of the calls before it.
    #[arg(long, value_name = "BYTES", requires = "state", hide = true)]
    pub(crate) state_tail: Option<u64>,
    /// Encrypt with the certificate of this file, and those between it and its root after it, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "tls_self_signed")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Encrypt with a certificate of our own, `certificate.pem` of this folder, which clients have to trust. It is made
    /// if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) tls_self_signed: Option<PathBuf>,
    /// Another name or address that the certificate is made for, beside localhost and the one to listen on.
    #[arg(long, value_name = "NAME", requires = "tls_self_signed")]
    pub(crate) tls_name: Vec<String>,
    /// The organisation's name.
    #[arg(long, value_name = "NAME", default_value = "poolproof")]
    pub(crate) organization: String,
    /// A pool, as NAME or NAME=ID; can be given more than once.
    #[arg(long, value_name = "NAME[=ID]", default_value = "Default")]
    pub(crate) pool: Vec<String>,
    /// A file with the organisation as a scenario has it, its `projects`, and `definitions` of what its
    /// pipelines run; it takes the place of --pool and --parallel-jobs.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pool", "parallel_jobs"])]
    pub(crate) config: Option<PathBuf>,
    /// The file with the personal access token; without it one is made and written to standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How many jobs may run at once [default: unlimited].
    #[arg(long, value_name = "N")]
    pub(crate) parallel_jobs: Option<u32>,
    /// The seed of every random choice, job tokens among them: whoever knows it can work them out. Without it one is
    /// drawn, which a state keeps.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// How many times faster than real its time runs.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: u32,
    /// Its time is that of the named cluster.
    #[arg(long, value_name = "NAME", conflicts_with = "speed")]
    pub(crate) cluster: Option<String>,
    /// Append what happens to a file, one event a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
}

/// What an answered call survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Survive {
    /// The end of the process, kill -9 included.
    Process,
    /// The end of the machine, power failures included.
    Machine,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Build what a cluster needs, if it is not in the cache.
    Build {
        #[command(flatten)]
        version: ClusterVersion,
        /// Build KEDA's own end-to-end tests of this folder of its module too, such as
        /// `tests/scalers/azure/azure_pipelines`, and print the program and the folder to run it in,
        /// with a tab between them; can be given more than once.
        #[arg(long, value_name = "FOLDER", value_parser = keda_test)]
        tests: Vec<String>,
    },
    /// Start a cluster that stays until `cluster down`.
    Up {
        #[command(flatten)]
        version: ClusterVersion,
        #[command(flatten)]
        name: ClusterName,
        #[command(flatten)]
        nodes: ClusterNodes,
        /// Do not come back: the cluster ends with this command.
        #[arg(long)]
        foreground: bool,
    },
    /// Run a command at home in a cluster: `kubectl` and `KUBECONFIG` reach it, and programs that were
    /// built like its own have its clock.
    Exec {
        #[command(flatten)]
        name: ClusterName,
        /// The command, after `--`.
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// End a cluster.
    Down {
        #[command(flatten)]
        name: ClusterName,
    },
    /// List the clusters that live.
    Status {
        /// What to print.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Hold a cluster until somebody ends it; `cluster up` starts this.
    #[command(hide = true)]
    Hold {
        #[command(flatten)]
        version: ClusterVersion,
        #[command(flatten)]
        name: ClusterName,
        #[command(flatten)]
        nodes: ClusterNodes,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ClusterNodes {
    /// How many fake nodes it has.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = up_to(MOST_NODES))]
    pub(crate) nodes: u32,
    /// How many pods a node takes.
    #[arg(long, value_name = "N", default_value_t = 110, value_parser = up_to(MOST_PODS_PER_NODE))]
    pub(crate) pods_per_node: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterVersion {
    /// KEDA's version.
    #[arg(long, value_name = "VERSION", default_value = DEFAULT_KEDA, value_parser = keda_version)]
    pub(crate) keda: String,
    /// How many times faster than real time runs.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_SPEED, value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ClusterName {
    /// The cluster's name.
    #[arg(long, default_value = "default")]
    pub(crate) name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Run a container's start script through its whole life, under real bash.
    Entrypoint {
        /// The script.
        path: PathBuf,
        /// Only this step; can be given more than once.
        #[arg(long, value_name = "NAME")]
        step: Vec<String>,
        /// What to print.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// What the script is called with, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Arguments::command().debug_assert();
    }
}
