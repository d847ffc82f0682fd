//! What clients ask first: who the service is, and where its routes are.

pub(crate) mod locations;
#[cfg(test)]
mod modelled;
pub(crate) mod versions;

use azure_devops::Caller;
use serde_json::{Value, json};
use uuid::Uuid;

/// Every area lives at the organisation's address: the form of a server on premises, which makes
/// the Node, Python and Go clients use the address that they were given.
pub(crate) const RESOURCE_AREAS: &str = r#"{"count":0,"value":null}"#;

/// Who presents a token: a name, and what tells its id from the others'.
fn user(caller: Caller) -> (&'static str, u128) {
    match caller {
        Caller::Owner => ("owner", 0),
        Caller::Listener(_) => ("agent", 1),
        Caller::Job(_) => ("build-service", 2),
    }
}

/// `connectionData`, with which clients test their credential.
///
/// `serviceOwner` must be the zero GUID: with any other the agent's SDK looks every area up and
/// fails on the first that is missing.
pub(crate) fn connection_data(instance: Uuid, url: &str, caller: Caller) -> Value {
    let (name, number) = user(caller);
    let user = json!({
        "id": Uuid::from_u128(instance.as_u128() ^ number),
        "descriptor": format!("Microsoft.IdentityModel.Claims.ClaimsIdentity;{name}"),
        "subjectDescriptor": format!("poolproof.{name}"),
        "providerDisplayName": name,
        "isActive": true,
        "resourceVersion": 2,
        "metaTypeId": 0,
        "properties": { "Account": { "$type": "System.String", "$value": name } },
    });
    json!({
        "authenticatedUser": user,
        "authorizedUser": user,
        "instanceId": instance,
        "deploymentId": instance,
        "deploymentType": "onPremises",
        "locationServiceData": {
            "serviceOwner": Uuid::nil(),
            "accessMappings": [{
                "displayName": "Public Access Mapping",
                "moniker": "PublicAccessMapping",
                "accessPoint": format!("{url}/"),
                "serviceOwner": Uuid::nil(),
                "virtualDirectory": "",
            }],
            "clientCacheFresh": false,
            "clientCacheTimeToLive": 3600,
            "defaultAccessMappingMoniker": "PublicAccessMapping",
            "lastChangeId": 1,
            "lastChangeId64": 1,
            "serviceDefinitions": [],
        },
    })
}
