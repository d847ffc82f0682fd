//! A scenario's manifests with everything filled in that they leave to their reader.

use std::collections::BTreeMap;

use model::event::AppliedManifest;
use model::manifest::{self, Document};
use model::scenario::Substitute;

use crate::case::Prepared;

/// A manifest with everything filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// Its objects.
    pub documents: Vec<Document>,
    /// What was changed in it, for the log.
    pub applied: AppliedManifest,
}

/// The manifests of a case with the organisation's address and a token filled in.
#[must_use]
pub fn fill_in(case: &Prepared, url: &str, token: &str) -> Vec<Filled> {
    let texts: BTreeMap<String, String> = case
        .scenario
        .substitute
        .iter()
        .map(|(text, with)| (text.clone(), value_of(*with, url, token)))
        .collect();
    let fill = |(file, documents): &(String, Vec<Document>)| {
        let mut documents = documents.clone();
        let substituted = manifest::substitute(&mut documents, &texts);
        let objects = documents.iter().map(Document::object).collect();
        Filled { applied: AppliedManifest { file: file.clone(), objects, substituted }, documents }
    };
    case.manifests.iter().map(fill).collect()
}

fn value_of(what: Substitute, url: &str, token: &str) -> String {
    match what {
        Substitute::OrganizationUrl => url.to_owned(),
        Substitute::PersonalAccessToken => token.to_owned(),
        Substitute::PersonalAccessTokenBase64 => manifest::base64(token),
    }
}
