//! What `poolproof bench` and `poolproof compare` are given.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use cluster::local::MAXIMUM_SPEED;
use runner::settings::{Change, Setting};
use verifier::compare::Limit;

use super::{Engine, Output, any_version, parallel, seeds, up_to};

/// How often a scenario is simulated, unless asked otherwise: 20 jobs each, so that p99 is more than a handful of them.
pub(crate) const REPEAT_SIMULATED: u32 = 100;
/// How often it is run on real KEDA: one lot of runs side by side, and enough for `compare`.
pub(crate) const REPEAT_REAL: u32 = 10;

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Measure how long a job takes from its queue to its agent, stage by stage, each beside what it may take.
    #[command(after_help = LATENCY_HELP)]
    Latency(LatencyArguments),
}

const LATENCY_HELP: &str = "\
Stages: seen (by KEDA's read of the queue), raised (replicas, or the Kubernetes Job), created, scheduled and running
(the pod), registered (the agent), assigned and received (the job). new-pod is from queued to received for jobs whose
agent came after them, agent-there for the others, whole for all.

The jobs of all repetitions are one distribution. What a scenario expects is not asked: this measures. Runs that
cannot be judged, because the machine was too slow for instance, are in no figure, and are named.

Settings that can be swept: pollingInterval, strategy (of a ScaledJob), stabilization (of a ScaledObject),
minReplicaCount (replicas for short), maxReplicaCount. Each takes the place of what the manifests say; several sweeps
give every combination. A scenario that does not have a setting is not repeated for it.

Exit codes: 0 measured, 4 if under some combination no run could be measured, others as for all commands";

#[derive(Debug, Args)]
pub(crate) struct LatencyArguments {
    /// Scenario files; a folder stands for the scenarios in it. Without any, one for a ScaledObject and one for a
    /// ScaledJob, which are written to the results.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Where to run them.
    #[arg(long, value_enum, default_value_t = Engine::Sim)]
    pub(crate) on: Engine,
    /// KEDA's version instead of the scenario's.
    #[arg(long, value_name = "VERSION", value_parser = any_version)]
    pub(crate) keda: Option<String>,
    /// A setting and the values that it is to have, such as pollingInterval=5s,15s,30s or strategy=default,accurate;
    /// can be given more than once.
    #[arg(long, value_name = "SETTING=VALUE,...", value_parser = sweep)]
    pub(crate) sweep: Vec<Sweep>,
    /// How often each scenario is run under each combination of settings [default: 100 simulated, 10 on real KEDA].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) repeat: Option<u32>,
    /// The seed of the first repetition, further ones have the next; or a range of seeds to simulate, both ends included.
    #[arg(long, value_name = "N|N..M", default_value = "1", value_parser = seeds)]
    pub(crate) seed: (u64, u64),
    /// How many simulations run at the same time [default: one for each processor].
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// How many times faster than real time real KEDA runs [default: 20].
    #[arg(long, value_name = "N", value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: Option<u32>,
    /// How many real runs live side by side on one control plane [default: 10].
    #[arg(long, value_name = "N", value_parser = parallel)]
    pub(crate) parallel: Option<usize>,
    /// A manifest instead of the scenario's; can be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Vec<PathBuf>,
    /// What your manifest leaves to its reader to fill in, as for `run`.
    #[arg(long, value_name = "TEXT=WHAT")]
    pub(crate) substitute: Vec<String>,
    /// The folder for `result.json`, and for the logs of real runs.
    #[arg(long, value_name = "DIR", default_value = "results/latency")]
    pub(crate) out: PathBuf,
    /// What to print; the JSON is that of `result.json`.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// A setting and its values.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) setting: Setting,
    pub(crate) changes: Vec<Change>,
}

/// `pollingInterval=5s,15s,30s`.
fn sweep(text: &str) -> Result<Sweep, String> {
    let Some((name, values)) = text.split_once('=') else {
        return Err("write a setting and its values: `pollingInterval=5s,15s,30s`".to_owned());
    };
    let setting = Setting::named(name)?;
    let changes = values.split(',').map(|value| setting.to(value.trim())).collect::<Result<Vec<_>, _>>()?;
    for (at, change) in changes.iter().enumerate() {
        if changes[..at].contains(change) {
            return Err(format!("{} is there twice", change.written));
        }
    }
    Ok(Sweep { setting, changes })
}

const COMPARE_HELP: &str = "\
A limit is [STAGE:]pNN +N%, or +N with a unit of time: `p95 +10%`, `seen:p50 +2s`. Without a stage it is the whole way,
from queued to received; `bench latency --help` names the stages.

Every difference comes with the interval in which it lies with 95 % confidence, worked out by drawing the runs of both
sides anew 2000 times. Runs are drawn, not jobs, for the jobs of a run share its polls. If both sides have the same
seeds, their runs are drawn in pairs, which takes away the noise that they have in common. The same files give the same
answer. A limit then comes to one of four:

  SLOWER       the whole interval lies beyond the limit: the build fails, with exit code 1
  within       the whole interval lies within it: exit code 0
  not shown    the interval lies on both sides, so it may be noise, which fails no build: exit code 0
  CANNOT TELL  a side has fewer than 8 runs or too few jobs for the percentile (20 for p95, 100 for p99), or more jobs
               were never received than before, or a scenario is in one file only: exit code 4

Scenarios are lined up by name and swept settings; of two files with one line each, these are compared whatever they
are of. Without --fail-if the exit code is 0.";

#[derive(Debug, Args)]
#[command(after_help = COMPARE_HELP)]
pub(crate) struct CompareArguments {
    /// What was measured before: the folder of a `bench latency`, or its `result.json`.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// What was measured after.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// Fail if a percentile got slower by more than this, and that is not noise; can be given more than once.
    #[arg(long, value_name = "LIMIT", value_parser = limit)]
    pub(crate) fail_if: Vec<Limit>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

fn limit(text: &str) -> Result<Limit, String> {
    text.parse().map_err(|error: verifier::compare::LimitError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_a_setting_and_its_values() {
        let read = sweep("pollingInterval=5s, 15s").expect("a sweep");
        let values: Vec<_> = read.changes.iter().map(|change| change.written.as_str()).collect();
        assert_eq!((read.setting, values), (Setting::PollingInterval, vec!["5s", "15s"]));
    }

    #[test]
    fn a_sweep_without_sense_is_refused() {
        for (text, because) in [
            ("pollingInterval", "its values"),
            ("polling=5s", "no setting"),
            ("pollingInterval=", "not a duration"),
            ("pollingInterval=5s,5s", "twice"),
            ("pollingInterval=60s,1m", "twice"),
        ] {
            let said = sweep(text).expect_err(text);
            assert!(said.contains(because), "{text}: {said}");
        }
    }
}
