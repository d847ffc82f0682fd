//! What clients ask first: who the service is, and where its routes are.

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

/// The modelled part of the location table: area, resource, id, template, resource version.
const LOCATIONS: [(&str, &str, &str, &str, u32); 12] = [
    ("Location", "ConnectionData", "00d9565f-ed9c-4a06-9a50-00e7896ccab4", "_apis/{resource}", 1),
    ("Location", "ResourceAreas", "e81700f7-3be2-46de-8624-2eb35882fcaa", "_apis/{resource}/{areaId}", 1),
    (
        "distributedtask",
        "pools",
        "a8c47e17-4d56-4a56-92bb-de7ea7dc65be",
        "_apis/{area}/{resource}/{poolId}",
        1,
    ),
    (
        "distributedtask",
        "agents",
        "e298ef32-5878-4cab-993c-043836571f42",
        "_apis/{area}/pools/{poolId}/{resource}/{agentId}",
        1,
    ),
    (
        "distributedtask",
        "jobrequests",
        "fc825784-c92a-4299-9221-998a02d1b54f",
        "_apis/{area}/pools/{poolId}/{resource}/{requestId}",
        1,
    ),
    (
        "distributedtask",
        "sessions",
        "134e239e-2df3-4794-a6f6-24f1f19ec8dc",
        "_apis/{area}/pools/{poolId}/{resource}/{sessionId}",
        1,
    ),
    (
        "distributedtask",
        "messages",
        "c3a054f6-7a8a-49c0-944e-3a8e5d7adfd7",
        "_apis/{area}/pools/{poolId}/{resource}/{messageId}",
        1,
    ),
    (
        "distributedtask",
        "packages",
        "8ffcd551-079c-493a-9c02-54346299d144",
        "_apis/{area}/{resource}/{packageType}/{platform}/{version}",
        2,
    ),
    (
        "distributedtask",
        "usercapabilities",
        "30ba3ada-fedf-4da8-bbb5-dacf2f82e176",
        "_apis/{area}/pools/{poolId}/agents/{agentId}/{resource}",
        1,
    ),
    (
        "distributedtask",
        "events",
        "557624af-b29e-4c20-8ab0-0399d2204f3f",
        "{scopeIdentifier}/_apis/{area}/hubs/{hubName}/plans/{planId}/{resource}",
        1,
    ),
    (
        "build",
        "builds",
        "0cd358e1-9217-4d94-8269-1c1ee6f93dcf",
        "{project}/_apis/{area}/{resource}/{buildId}",
        7,
    ),
    (
        "build",
        "definitions",
        "dbeaf647-6167-421a-bda9-c9327b25e2e6",
        "{project}/_apis/{area}/{resource}/{definitionId}",
        7,
    ),
];

/// The answer to `OPTIONS _apis`, and to `OPTIONS _apis/{area}`: the whole list suits both.
pub(crate) fn locations() -> Value {
    let location = |(area, resource, id, template, version): &(&str, &str, &str, &str, u32)| {
        json!({
            "id": id,
            "area": area,
            "resourceName": resource,
            "routeTemplate": template,
            "resourceVersion": version,
            "minVersion": "1.0",
            "maxVersion": "7.2",
            "releasedVersion": "7.1",
        })
    };
    let value: Vec<Value> = LOCATIONS.iter().map(location).collect();
    json!({ "count": value.len(), "value": value })
}
