//! The agent package that start scripts download: it carries this very binary.

use crate::exit::Failure;

/// Packs the running binary.
pub(crate) fn package() -> Result<server::Package, Failure> {
    let unreadable = |error| Failure::environment(format!("cannot read this program's own file: {error}"));
    let binary = std::env::current_exe().and_then(std::fs::read).map_err(unreadable)?;
    let agent::Package { version, file_name, bytes, .. } = agent::package(&binary, agent::AGENT_VERSION);
    Ok(server::Package { platform: agent::PLATFORM.to_owned(), version, file_name, bytes })
}
