//! What clients ask first: who the service is, and where its routes are.

pub(crate) mod locations;
#[cfg(test)]
mod modelled;
pub(crate) mod versions;

use serde_json::{Value, json};
use uuid::Uuid;

/// Every area lives at the organisation's address: the form of a server on premises, which makes
/// the Node, Python and Go clients use the address that they were given.
pub(crate) const RESOURCE_AREAS: &str = r#"{"count":0,"value":null}"#;

/// `connectionData`, with which clients test their credential.
///
/// `serviceOwner` must be the zero GUID: with any other the agent's SDK looks every area up and
/// fails on the first that is missing.
pub(crate) fn connection_data(instance: Uuid, url: &str) -> Value {
    let user = json!({
        "id": instance,
        "descriptor": "Microsoft.IdentityModel.Claims.ClaimsIdentity;poolproof",
        "subjectDescriptor": "poolproof.owner",
        "providerDisplayName": "poolproof",
        "isActive": true,
        "resourceVersion": 2,
        "metaTypeId": 0,
        "properties": { "Account": { "$type": "System.String", "$value": "poolproof" } },
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
