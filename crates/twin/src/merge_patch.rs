//! JSON merge patches: what an edit does to an object.

use serde_json::Value as Json;

/// A JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(serde_json::Map::new());
    }
    let Json::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_merge_patch_sets_adds_and_removes() {
        let mut target = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
        merge(&mut target, &json!({ "a": null, "b": { "c": 5 }, "e": [2, 3], "f": { "g": null, "h": 1 } }));
        assert_eq!(target, json!({ "b": { "c": 5, "d": 3 }, "e": [2, 3], "f": { "h": 1 } }));
    }
}
