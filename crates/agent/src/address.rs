//! An organisation's address, taken apart once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Identity;

/// An address that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// TLS is not spoken.
    #[error("the emulated agent does not speak TLS: {0} must start with http://")]
    Tls(String),
    /// Not an address at all.
    #[error("not the address of an organisation: {0}")]
    Malformed(String),
}

/// Where an agent's requests go, and as whom.
#[derive(Clone)]
pub(crate) struct Address {
    /// Host and port, as the `Host` header wants them.
    pub(crate) authority: String,
    /// The host alone, without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// In front of every request's path: starts and ends with a slash.
    pub(crate) base: String,
    /// The `Authorization` header. The agent's user name is fixed, and ignored.
    pub(crate) authorization: String,
}

impl Address {
    pub(crate) fn of(identity: &Identity) -> Result<Self, AddressError> {
        let url = identity.url.trim();
        let malformed = || AddressError::Malformed(url.to_owned());
        if url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err(AddressError::Tls(url.to_owned()));
        }
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let rest = &url[scheme.ok_or_else(malformed)?.len()..];
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| malformed())?),
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'?' && byte != b'#';
        if host.is_empty() || !rest.bytes().all(printable) {
            return Err(malformed());
        }
        let path = path.trim_end_matches('/');
        let base = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        let credentials = STANDARD.encode(format!("VstsAgent:{}", identity.token));
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            base,
            authorization: format!("Basic {credentials}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, AddressError> {
        Address::of(&Identity {
            url: url.to_owned(),
            token: "secret".to_owned(),
            pool: "p".to_owned(),
            name: "n".to_owned(),
        })
    }

    #[test]
    fn host_port_and_base_path_are_told_apart() {
        for (url, host, port, base) in [
            ("http://ado:8080/acme", "ado", 8080, "/acme/"),
            ("http://ado/acme/", "ado", 80, "/acme/"),
            ("HTTP://127.0.0.1:1", "127.0.0.1", 1, "/"),
            ("http://[::1]:81/a/b", "::1", 81, "/a/b/"),
            ("http://[::1]/a", "::1", 80, "/a/"),
        ] {
            let address = address(url).unwrap();
            assert_eq!((address.host.as_str(), address.port, address.base.as_str()), (host, port, base));
        }
    }

    #[test]
    fn the_token_travels_as_basic_credentials_of_the_agent() {
        assert_eq!(address("http://x/y").unwrap().authorization, "Basic VnN0c0FnZW50OnNlY3JldA==");
    }

    #[test]
    fn tls_and_nonsense_are_refused_in_words() {
        let words = |url| address(url).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(words("https://dev.azure.com/x").contains("does not speak TLS"));
        for url in
            ["ftp://x", "", "http://", "http://:80/x", "http://x:nine/y", "http://x/a b", "http://x/\r\ny"]
        {
            assert!(words(url).contains("not the address"), "{url} was taken");
        }
    }
}
