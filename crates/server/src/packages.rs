//! Agent packages: listed for start scripts, and downloaded without a token,
//! as the real service's are (start.sh pipes a plain `curl` into `tar -xz`).

use axum::body::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// An agent package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The platform, as start scripts name it: `linux-x64`.
    pub platform: String,
    /// The agent's version, as `4.258.1`.
    pub version: String,
    /// The file's name.
    pub file_name: String,
    /// The file: a gzipped tar without a top folder.
    pub bytes: Vec<u8>,
}

/// A package as it is offered.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) platform: String,
    pub(crate) version: String,
    pub(crate) file_name: String,
    pub(crate) bytes: Bytes,
    hash: String,
}

impl Offer {
    pub(crate) fn new(package: Package) -> Self {
        let digest = Sha256::digest(&package.bytes);
        Self {
            platform: package.platform,
            version: package.version,
            file_name: package.file_name,
            hash: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: package.bytes.into(),
        }
    }

    fn parts(&self) -> [u64; 3] {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        std::array::from_fn(|_| parts.next().unwrap_or(0))
    }
}

/// Which packages are asked for.
#[derive(Debug, Default)]
pub(crate) struct PackageQuery {
    pub(crate) platform: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) top: Option<usize>,
}

/// The packages that are asked for, the newest first.
pub(crate) fn find<'a>(offers: &'a [Offer], query: &PackageQuery) -> Vec<&'a Offer> {
    let is = |wanted: &Option<String>, value: &str| {
        wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let mut found: Vec<&Offer> = offers
        .iter()
        .filter(|offer| is(&query.platform, &offer.platform) && is(&query.version, &offer.version))
        .collect();
    found.sort_by_key(|offer| std::cmp::Reverse(offer.parts()));
    found.truncate(query.top.unwrap_or(usize::MAX));
    found
}

/// A package as the list tells of it. `origin` is what the client calls this server.
pub(crate) fn object(offer: &Offer, origin: &str, created_on: String) -> PackageObject {
    let [major, minor, patch] = offer.parts();
    PackageObject {
        kind: "agent",
        platform: offer.platform.clone(),
        created_on,
        version: PackageVersion { major, minor, patch },
        download_url: format!("{origin}{DOWNLOADS}{}", offer.file_name),
        filename: offer.file_name.clone(),
        hash_value: offer.hash.clone(),
    }
}

/// Where packages are downloaded from.
pub(crate) const DOWNLOADS: &str = "/_poolproof/packages/";

/// A package in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackageObject {
    #[serde(rename = "type")]
    kind: &'static str,
    platform: String,
    created_on: String,
    version: PackageVersion,
    download_url: String,
    filename: String,
    hash_value: String,
}

#[derive(Serialize)]
struct PackageVersion {
    major: u64,
    minor: u64,
    patch: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(platform: &str, version: &str) -> Offer {
        Offer::new(Package {
            platform: platform.to_owned(),
            version: version.to_owned(),
            file_name: format!("{platform}-{version}.tar.gz"),
            bytes: b"abc".to_vec(),
        })
    }

    #[test]
    fn packages_are_found_by_platform_the_newest_first() {
        let offers =
            [offer("linux-x64", "4.9.1"), offer("linux-x64", "4.258.1"), offer("win-x64", "4.258.1")];
        let query = PackageQuery { platform: Some("Linux-X64".into()), ..PackageQuery::default() };
        let versions: Vec<&str> = find(&offers, &query).iter().map(|offer| offer.version.as_str()).collect();
        assert_eq!(versions, ["4.258.1", "4.9.1"]);
        assert_eq!(find(&offers, &PackageQuery { top: Some(1), ..query }).len(), 1);
        let none = PackageQuery { platform: Some("osx-arm64".into()), ..PackageQuery::default() };
        assert!(find(&offers, &none).is_empty());
    }

    #[test]
    fn a_package_tells_its_hash_and_where_it_is() {
        let object = object(&offer("linux-x64", "4.258.1"), "http://ado:8080", "2026-01-01T00:00:00Z".into());
        let object = serde_json::to_value(object).expect("JSON");
        assert_eq!(object["downloadUrl"], "http://ado:8080/_poolproof/packages/linux-x64-4.258.1.tar.gz");
        assert_eq!(object["version"], serde_json::json!({ "major": 4, "minor": 258, "patch": 1 }));
        assert_eq!(object["hashValue"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
