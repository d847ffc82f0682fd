//! The archive that a start script downloads and unpacks.
//!
//! Its layout is the real agent's as far as scripts look at it; the one program
//! in it is this project's own binary under the listener's name.

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

/// An agent package, as the service offers it for download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its version, as in `4.258.1`.
    pub version: String,
    /// Its file name.
    pub file_name: String,
    /// The `tar.gz`.
    pub bytes: Vec<u8>,
    /// The archive's SHA-256 in hexadecimal.
    pub sha256: String,
}

/// The platform that the package is for, in the words of the packages route.
pub const PLATFORM: &str = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };

const SCRIPTS: [(&str, &str); 4] = [
    ("config.sh", include_str!("package/config.sh")),
    ("env.sh", include_str!("package/env.sh")),
    ("run-docker.sh", include_str!("package/run-docker.sh")),
    ("run.sh", include_str!("package/run.sh")),
];

/// Packs the statically linked `poolproof` binary and the scripts around it.
///
/// The same binary and version give the same bytes: no times, no owners. The archive is a gzip
/// file, since scripts unpack with `tar -xz`, but nothing in it is compressed: it goes from one
/// process to the next on one machine, and every container unpacks it anew.
///
/// # Panics
/// Never: writing to memory does not fail.
#[must_use]
pub fn package(binary: &[u8], version: &str) -> Package {
    let bytes = pack(binary).expect("writing to memory does not fail");
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let file_name = format!("vsts-agent-{PLATFORM}-{version}.tar.gz");
    Package { version: version.to_owned(), file_name, bytes, sha256 }
}

fn pack(binary: &[u8]) -> io::Result<Vec<u8>> {
    let room = Vec::with_capacity(binary.len() + binary.len() / 1000 + 64 * 1024);
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(room, Compression::none());
    let mut archive = tar::Builder::new(gzip);
    add(&mut archive, "bin/", tar::EntryType::Directory, &[])?;
    add(&mut archive, "bin/Agent.Listener", tar::EntryType::Regular, binary)?;
    for (name, text) in SCRIPTS {
        add(&mut archive, name, tar::EntryType::Regular, text.as_bytes())?;
    }
    let mut gzip = archive.into_inner()?;
    gzip.flush()?;
    gzip.finish()
}

fn add(
    archive: &mut tar::Builder<impl io::Write>,
    path: &str,
    kind: tar::EntryType,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    fn unpacked(package: &Package) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(package.bytes.as_slice()));
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (path, (entry.header().mode().unwrap(), content))
        });
        entries.collect()
    }

    #[test]
    fn the_archive_has_what_start_scripts_run_at_its_top_and_executable() {
        let files = unpacked(&package(b"\x7fELF", "4.258.1"));
        for name in ["config.sh", "run.sh", "run-docker.sh", "env.sh", "bin/Agent.Listener"] {
            assert_eq!(files[name].0, 0o755, "{name}");
        }
        assert_eq!(files["bin/Agent.Listener"].1, b"\x7fELF");
        assert!(files.keys().all(|path| !path.starts_with('/') && !path.starts_with("./")));
        for (name, (_, content)) in files.iter().filter(|(name, _)| name.ends_with(".sh")) {
            assert!(content.starts_with(b"#!/bin/bash\n"), "{name}");
            assert!(!content.contains(&b'\r'), "{name}");
        }
    }

    #[test]
    fn the_same_binary_gives_the_same_bytes_and_another_one_others() {
        let first = package(b"one", "4.258.1");
        assert_eq!(first, package(b"one", "4.258.1"));
        assert_ne!(first.sha256, package(b"two", "4.258.1").sha256);
        assert_eq!(first.file_name, format!("vsts-agent-{PLATFORM}-4.258.1.tar.gz"));
    }
}
