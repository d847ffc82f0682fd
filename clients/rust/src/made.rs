//! Bodies of calls.

use serde_json::{Value, json};

/// A body of any kind, for calls that are refused whatever it says: the members that some kind cannot be without.
pub fn made<T: serde::de::DeserializeOwned>() -> T {
    let with = |id: Value| {
        serde_json::from_value(json!({
            "id": id,
            "name": "1",
            "url": "",
            "revision": 1,
            "queueStatus": "enabled",
            "visibility": "private",
            "project": { "name": "1", "visibility": "private" },
        }))
    };
    with(json!(1)).or_else(|_| with(json!("1"))).unwrap_or_else(|error| panic!("{error}"))
}

/// A body that says this.
pub fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// A build to be queued or changed. The crate cannot leave a member out that every build in an answer has.
pub fn build(definition: i64, more: Value) -> azure_devops_rust_api::build::models::Build {
    let project = json!({ "name": crate::recorded::PROJECT, "visibility": "private" });
    let mut body = json!({
        "id": 0,
        "priority": "normal",
        "reason": "manual",
        "project": project,
        "definition": {
            "id": definition, "project": project, "queueStatus": "enabled", "revision": 1, "url": "",
        },
    });
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    from(body)
}
