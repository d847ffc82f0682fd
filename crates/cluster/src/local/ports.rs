//! Free ports on loopback, given by the system.

use std::net::{Ipv4Addr, TcpListener};

use super::LocalError;

/// `N` different ports that were free a moment ago.
///
/// Somebody else may take one before it is used; whoever starts a server on it finds out.
pub(super) fn free<const N: usize>() -> Result<[u16; N], LocalError> {
    // All are held until the last is found, or the system could give the same one twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LocalError::NoPort)?;
        *port = listener.local_addr().map_err(LocalError::NoPort)?.port();
        held.push(listener);
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_differ() {
        let ports: [u16; 16] = super::free().expect("free ports");
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
    }
}
