//! What `poolproof bisect` is given.

use std::path::PathBuf;

use clap::Args;
use cluster::local::MAXIMUM_SPEED;
use semver::Version;

use super::{Engine, Output, up_to};

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|error| format!("{error}; write all three numbers: `2.21.0`"))
}

#[derive(Debug, Args)]
pub(crate) struct BisectArguments {
    /// The scenario that passes on one version and fails on the other.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// A version on which it passes. If it is the newer one, the version that mended it is looked for.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) good: Version,
    /// A version on which it fails.
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub(crate) bad: Version,
    /// Where to run it. On real KEDA only the versions that are tried are built, some minutes each.
    #[arg(long, value_enum, default_value_t = Engine::Sim)]
    pub(crate) on: Engine,
    /// How many times faster than real time real KEDA runs [default: 20].
    #[arg(long, value_name = "N", value_parser = up_to(MAXIMUM_SPEED.into()))]
    pub(crate) speed: Option<u32>,
    /// How often each version is tried: what breaks in one of the runs is broken.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repeat: u32,
    /// The seed of the first run; further ones have the next.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The folder for logs and reports.
    #[arg(long, value_name = "DIR", default_value = "results/bisect")]
    pub(crate) out: PathBuf,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}
