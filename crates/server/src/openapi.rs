//! The routes that are modelled as an OpenAPI 3 document, for people and for fuzzers.
//!
//! It is made of the location table (`discovery/locations.txt`), which a test holds against the routes, so that
//! a route that is modelled is in the document without anybody writing it there. A template's value at the end
//! may be missing, which OpenAPI has as a path of its own. What bodies look like is in `openapi/bodies.json`, by
//! method and template: a route without an entry takes any object. A method that the document has on one of the
//! two paths and the service only on the other answers 501, as everything does that is not modelled.

use serde_json::{Map, Value, json};

use crate::discovery::locations;

/// Bodies by `METHOD template`.
const BODIES: &str = include_str!("openapi/bodies.json");
/// The control routes, which the location table does not have.
const CONTROL: [(&str, &str); 4] = [
    ("POST", "_poolproof/definitions"),
    ("POST", "_poolproof/projects"),
    ("POST", "_poolproof/pools"),
    ("GET", "_poolproof/faults"),
];
/// Statuses that mean that it was done.
const DONE: [(&str, &str); 3] = [
    ("200", "Done."),
    ("202", "A poll that ended without a message, or a change of a project that is queued."),
    ("204", "Done, with nothing to tell."),
];
/// Statuses of refusals. `azure_devops::Refusal` says when; 503 is a state that cannot be written down.
const REFUSED: [(&str, &str); 12] = [
    ("400", "It cannot be understood."),
    ("401", "No token, or a wrong one."),
    ("403", "The token does not open this."),
    ("404", "It is not there."),
    ("408", "The body did not arrive in time."),
    ("409", "It is taken, in use, or over."),
    ("413", "The body is too large."),
    ("414", "The path is too long."),
    ("431", "The head is too large."),
    ("501", "The real service has this, and it is not modelled."),
    ("503", "What happens cannot be written down at the moment."),
    ("507", "A bound of ours is reached."),
];

/// The status of a state that cannot be written down: only what the service decides waits for that.
const NOT_KEPT: &str = "503";
/// The status of a bound: only what is told more than before reaches one.
const FULL: &str = "507";
/// How templates end that are answered without asking the service.
const ANSWERED_AT_ONCE: [&str; 9] = [
    "/ConnectionData",
    "/ResourceAreas",
    "/ResourceAreas/{areaId}",
    "/FeatureFlags/{name}",
    "/CustomerIntelligence/Events",
    "/tasks/{taskId}",
    "/tasks/{taskId}/{versionString}",
    "/packages/{packageType}/{platform}",
    "/packages/{packageType}/{platform}/{version}",
];
/// How templates end that take something and keep no more of it than they had.
const KEEP_NO_MORE: [(&str, &str); 6] = [
    ("POST", "/CustomerIntelligence/Events"),
    ("POST", "/preview"),
    ("POST", "/sessions"),
    ("PATCH", "/jobrequests/{requestId}"),
    ("PUT", "/usercapabilities"),
    ("PUT", "/updates"),
];

/// Whether a method may be answered with this status at a path.
fn can_be(status: &str, method: &str, path: &str) -> bool {
    match status {
        NOT_KEPT => !ANSWERED_AT_ONCE.iter().any(|end| path.ends_with(end)),
        FULL => {
            let keeps = |(of, end): &(&str, &str)| !(method == *of && path.ends_with(end));
            !matches!(method, "GET" | "DELETE") && KEEP_NO_MORE.iter().all(keeps)
        }
        _ => true,
    }
}

/// The area whose refusals are OAuth's (RFC 6749, 5.2).
const TOKENS: &str = "oauth2";

fn token_refused() -> Value {
    let text = json!({ "type": "string" });
    let properties = json!({ "error": text, "error_description": text });
    let schema = json!({ "type": "object", "required": ["error"], "properties": properties });
    json!({ "description": "No token is issued.", "content": { "application/json": { "schema": schema } } })
}

/// The document.
pub(crate) fn document() -> Value {
    let bodies: Map<String, Value> = serde_json::from_str(BODIES).unwrap_or_default();
    let mut paths = Map::new();
    for location in locations::all() {
        let template = location.template.replace("{area}", location.area);
        let template = template.replace("{resource}", location.resource).replace("{*", "{");
        for (method, _) in location.methods.iter().filter(|(_, is_modelled)| *is_modelled) {
            for path in forms(&template) {
                add(&mut paths, method, path, location.area, &bodies);
            }
        }
    }
    for (method, path) in CONTROL {
        add(&mut paths, method, path, "control", &bodies);
    }
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "The part of Azure DevOps that Poolproof models",
            "description": "Paths match whatever their case; members that are not known are ignored.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": "/{organization}", "variables": { "organization": { "default": "poolproof" } } }],
        "security": [{ "pat": [] }, { "bearer": [] }],
        "paths": paths,
        "components": { "securitySchemes": security(), "schemas": schemas(), "responses": responses() },
    })
}

/// A template as it is and, if it ends in a value, without that.
fn forms(template: &str) -> impl Iterator<Item = &str> {
    let shorter = template.rsplit_once('/').filter(|_| template.ends_with('}')).map(|(shorter, _)| shorter);
    [Some(template), shorter].into_iter().flatten()
}

fn add(paths: &mut Map<String, Value>, method: &str, path: &str, tag: &str, bodies: &Map<String, Value>) {
    let item = paths.entry(format!("/{path}")).or_insert_with(|| json!({ "parameters": parameters(path) }));
    let mut responses = Map::new();
    let statuses = DONE.iter().chain(&REFUSED).map(|(status, _)| status);
    for status in statuses.filter(|status| can_be(status, method, path)) {
        responses.insert((*status).to_owned(), json!({ "$ref": format!("#/components/responses/{status}") }));
    }
    if tag == TOKENS {
        responses.insert("400".to_owned(), token_refused());
    }
    let mut operation = json!({ "tags": [tag], "responses": responses });
    if !matches!(method, "GET" | "DELETE") {
        let any = || json!({ "type": "object" });
        let schema = bodies.get(&format!("{method} {path}")).cloned().unwrap_or_else(any);
        operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
    }
    if path.ends_with("/messages") {
        operation["parameters"] =
            json!([{ "name": "sessionId", "in": "query", "schema": { "type": "string" } }]);
    }
    if path.ends_with("/jobrequests") {
        let number = |name: &str| json!({ "name": name, "in": "query", "schema": { "type": "integer" } });
        operation["parameters"] = json!([number("$top"), number("completedRequestCount"), number("agentId")]);
    }
    item[method.to_lowercase()] = operation;
}

fn parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": kind(name) })).collect()
}

/// What a value of a path looks like.
fn kind(name: &str) -> Value {
    match name {
        "project" | "scopeIdentifier" => {
            json!({ "type": "string", "enum": ["poolproof", "no such project"] })
        }
        "planId" | "timelineId" | "recordId" | "sessionId" | "jobId" | "taskId" | "areaId" | "hostId"
        | "operationId" => {
            json!({ "type": "string", "format": "uuid" })
        }
        "hubName" => json!({ "type": "string", "enum": ["Build"] }),
        "packageType" => json!({ "type": "string", "enum": ["agent"] }),
        "poolId" | "agentId" | "requestId" | "messageId" | "queueId" | "buildId" | "definitionId"
        | "pipelineId" | "runId" | "logId" => json!({ "$ref": "#/components/schemas/Id" }),
        _ => json!({ "type": "string", "minLength": 1, "maxLength": 20 }),
    }
}

fn schemas() -> Value {
    json!({
        "Id": { "type": "integer", "anyOf": [{ "minimum": 1, "maximum": 3 }, { "minimum": 0 }] },
        "Agent": {
            "type": "object",
            "required": ["name", "version"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 40 },
                "version": { "enum": ["4.258.1", "1.0", ""] },
                "osDescription": { "type": "string" },
                "enabled": { "type": "boolean" },
                "maxParallelism": { "type": "integer", "minimum": 1, "maximum": 9 },
                "systemCapabilities": { "type": "object", "additionalProperties": { "type": "string" } },
            },
        },
        "Definition": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "id": { "$ref": "#/components/schemas/Id" },
                "revision": { "enum": [1, 2] },
                "name": { "enum": ["ci", "made", ""] },
                "path": { "enum": ["\\", "\\folder"] },
                "queue": { "type": "object", "properties": { "id": { "$ref": "#/components/schemas/Id" } } },
                "queueStatus": { "enum": ["enabled", "disabled", 2] },
                "demands": { "type": "array", "items": { "enum": ["java", "os -equals linux", ""] }, "maxItems": 2 },
            },
        },
        "JobRequest": {
            "type": "object",
            "properties": {
                "jobName": { "type": "string" },
                "planId": { "type": "string", "format": "uuid" },
                "demands": { "type": "array", "items": { "enum": ["java", "os -equals linux", ""] }, "maxItems": 2 },
            },
        },
        "Project": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": { "enum": ["made", "poolproof", ""] },
                "description": { "type": "string" },
                "visibility": { "enum": ["private", "public", 2] },
            },
        },
        "Error": {
            "type": "object",
            "required": ["$id", "message", "typeKey", "typeName", "errorCode", "eventId"],
            "properties": {
                "message": { "type": "string" },
                "typeKey": { "type": "string" },
                "typeName": { "type": "string" },
                "errorCode": { "type": "integer" },
                "eventId": { "type": "integer" },
            },
        },
    })
}

fn security() -> Value {
    json!({
        "pat": { "type": "http", "scheme": "basic", "description": "Any user; the token is the password." },
        "bearer": { "type": "http", "scheme": "bearer" },
    })
}

fn responses() -> Value {
    let mut responses = Map::new();
    for (status, description) in DONE {
        responses.insert(status.to_owned(), json!({ "description": description }));
    }
    for (status, description) in REFUSED {
        let schema = json!({ "$ref": "#/components/schemas/Error" });
        let content = json!({ "application/json": { "schema": schema } });
        responses.insert(status.to_owned(), json!({ "description": description, "content": content }));
    }
    Value::Object(responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_modelled_method_of_the_location_table_is_in_the_document() {
        let document = document();
        let has = |method: &str, path: &str| document["paths"][path][method].is_object();
        assert!(
            has("get", "/_apis/distributedtask/pools") && has("get", "/_apis/distributedtask/pools/{poolId}")
        );
        assert!(has("post", "/{project}/_apis/build/builds"));
        assert!(!has("get", "/_apis/distributedtask/agentclouds"), "it is not modelled");
        let count: usize = document["paths"].as_object().expect("paths").len();
        assert!(count > 30, "{count}");
    }

    #[test]
    fn a_full_service_refuses_only_who_brings_more() {
        let document = document();
        let has = |method: &str, path: &str| document["paths"][path][method]["responses"][FULL].is_object();
        assert!(has("post", "/_apis/distributedtask/pools") && has("post", "/{project}/_apis/build/builds"));
        assert!(!has("get", "/_apis/distributedtask/pools"));
        assert!(!has("delete", "/_apis/distributedtask/pools/{poolId}"));
        assert!(!has("patch", "/_apis/distributedtask/pools/{poolId}/jobrequests/{requestId}"));
        for (method, end) in KEEP_NO_MORE {
            let paths = document["paths"].as_object().expect("paths");
            let known =
                |(path, of): (&String, &Value)| path.ends_with(end) && of[method.to_lowercase()].is_object();
            assert!(paths.iter().any(known), "there is no {method} {end}");
        }
    }

    #[test]
    fn every_body_belongs_to_a_method_of_the_document() {
        let document = document();
        let bodies: Map<String, Value> = serde_json::from_str(BODIES).expect("JSON");
        for key in bodies.keys() {
            let (method, path) = key.split_once(' ').expect("method and path");
            assert!(document["paths"][format!("/{path}")][method.to_lowercase()].is_object(), "{key}");
        }
    }

    #[test]
    fn every_status_of_a_refusal_is_in_the_document() {
        use azure_devops::Refusal;
        let refusals = [
            Refusal::Unauthorized,
            Refusal::AccessDenied,
            Refusal::Invalid(String::new()),
            Refusal::NothingHere(String::new()),
            Refusal::NotModelled { route: String::new() },
            Refusal::TooLarge(1),
            Refusal::TooSlow,
            Refusal::NotKept,
            Refusal::PoolExists(String::new()),
            Refusal::Full { what: "", limit: 1 },
        ];
        for refusal in refusals {
            let status = refusal.status().to_string();
            assert!(REFUSED.iter().any(|(known, _)| *known == status), "{refusal}: {status}");
        }
    }
}
