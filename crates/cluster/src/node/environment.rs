//! What a container's environment says will run, as the emulated agent is told it.

use std::collections::BTreeMap;

use agent::Identity;
use kubelet::Program;
use kubelet::entrypoint::Script;
use kubelet::template::environment;
use model::Millis;

pub(super) use environment::{Entries, Kind, Metadata, PodFacts, Referred, references, resolve};

/// What a container runs, and as which agent with which capabilities.
#[derive(Debug)]
pub(super) struct Decided {
    pub(super) program: Program,
    pub(super) agent: Option<(Identity, BTreeMap<String, String>)>,
}

/// As [`environment::decide`].
pub(super) fn decide(
    variables: BTreeMap<String, String>,
    host_name: &str,
    script: Script,
    once: bool,
    start_up: Millis,
) -> Result<Decided, String> {
    let environment::Decided { program, agent } =
        environment::decide(variables, host_name, script, once, start_up)?;
    let agent = agent.map(|environment::Agent { url, token, pool, name, capabilities }| {
        (Identity { url, token, pool, name }, capabilities)
    });
    Ok(Decided { program, agent })
}
