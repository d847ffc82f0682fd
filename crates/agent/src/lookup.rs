//! What a start script does before there is an agent: it asks the service for the agent's package.

use serde_json::Value;

use crate::Identity;
use crate::address::Address;
use crate::http::fetch;

/// What the script makes of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackageLookup {
    /// There is a package.
    Found,
    /// The answer names none. That a token is refused looks the same: an empty body.
    NotOffered,
    /// The answer is not JSON, for example a sign-in page.
    Unreadable,
    /// There was no answer.
    Unreachable,
}

/// Asks for the newest package of a platform, as `curl -u user:TOKEN` and `jq` do it together.
///
/// The status does not count: curl runs without `--fail`. The package itself is not downloaded.
pub async fn look_up_package(identity: &Identity, platform: &str) -> PackageLookup {
    let Ok(address) = Address::of(identity) else { return PackageLookup::Unreachable };
    let Address { authority, base, authorization, .. } = &address;
    let request = format!(
        "GET {base}_apis/distributedtask/packages/agent?platform={platform}&top=1 HTTP/1.1\r\n\
         Host: {authority}\r\n\
         Authorization: {authorization}\r\n\
         User-Agent: curl/7.68.0 (poolproof)\r\n\
         Accept: application/json;\r\n\
         Connection: close\r\n\r\n"
    );
    match fetch(&address, request).await {
        Ok(response) => read(&response.body),
        Err(_) => PackageLookup::Unreachable,
    }
}

fn read(body: &[u8]) -> PackageLookup {
    if body.trim_ascii().is_empty() {
        return PackageLookup::NotOffered;
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => match answer["value"][0]["downloadUrl"].as_str() {
            Some(url) if !url.is_empty() => PackageLookup::Found,
            _ => PackageLookup::NotOffered,
        },
        Err(_) => PackageLookup::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_jq_reads_it() {
        let packages = br#"{"count":1,"value":[{"downloadUrl":"http://h/agent.tar.gz"}]}"#;
        assert_eq!(read(packages), PackageLookup::Found);
        assert_eq!(read(br#"{"count":0,"value":[]}"#), PackageLookup::NotOffered);
        assert_eq!(read(br#"{"message":"no"}"#), PackageLookup::NotOffered);
        assert_eq!(read(b""), PackageLookup::NotOffered);
        assert_eq!(read(b"<html>Sign In</html>"), PackageLookup::Unreadable);
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        // A port that is ours for as long as this socket lives, on which nobody listens.
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let url = format!("http://{}/o", socket.local_addr().expect("an address"));
        let identity = Identity { url, token: "t".into(), pool: "p".into(), name: "n".into() };
        assert_eq!(look_up_package(&identity, "linux-x64").await, PackageLookup::Unreachable);
        let identity = Identity { url: "ftp://h".into(), ..identity };
        assert_eq!(look_up_package(&identity, "linux-x64").await, PackageLookup::Unreachable);
    }
}
