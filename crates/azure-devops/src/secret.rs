//! Tokens, which must never be seen in logs, events or errors.

use std::fmt;
use std::hint::black_box;

use serde_json::Value;

/// A token: comparable, never printable.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a token. White space around it is not part of it: files end with a line feed.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(token.trim().to_owned())
    }

    /// The token itself, for the one place that puts it on the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same token. How long it takes depends on the lengths alone,
    /// not on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let mut difference = usize::from(ours.len() != theirs.len());
        for (position, byte) in theirs.iter().enumerate() {
            let our_byte = ours.get(position).copied().unwrap_or_default();
            difference |= usize::from(black_box(our_byte ^ byte));
        }
        black_box(difference) == 0 && !ours.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Variables as they are shown: whoever is marked as a secret (`isSecret`) is there without its value, as the real
/// service answers (Azure DevOps' documentation, "Runs - Get": `Variable`).
pub(crate) fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(members) => {
            let is_secret = members.iter().any(|(name, mark)| is(name, "isSecret") && is_set(mark));
            let shown = |(name, value): (&String, &Value)| {
                let is_hidden = is_secret && is(name, "value");
                (name.clone(), if is_hidden { Value::Null } else { without_secrets(value) })
            };
            Value::Object(members.iter().map(shown).collect())
        }
        other => other.clone(),
    }
}

/// Members are known whatever their case, as .NET reads them.
fn is(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
}

/// Whatever .NET could read as true, and more: what is marked in any way is not shown.
fn is_set(mark: &Value) -> bool {
    match mark {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().eq_ignore_ascii_case("false") && !text.trim().is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) | Value::Array(_) | Value::Object(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_equals_itself_and_nothing_else() {
        let token = Secret::new("abc\n");
        assert!(token.matches(&Secret::new("abc")));
        for other in ["abd", "ab", "abcd", ""] {
            assert!(!token.matches(&Secret::new(other)), "{other}");
        }
        assert!(!Secret::new("").matches(&Secret::new("")), "no token opens nothing");
    }

    #[test]
    fn what_is_marked_as_a_secret_is_shown_without_its_value() {
        let told = serde_json::json!({
            "password": { "value": "hunter2", "isSecret": true }, "other": { "VALUE": "hunter2", "issecret": "True" },
            "number": { "isSecret": 1, "value": { "deep": "hunter2" } }, "list": [{ "isSecret": true, "value": "hunter2" }],
        });
        let shown = without_secrets(&told);
        assert!(!shown.to_string().contains("hunter2"), "{shown}");
        assert_eq!(shown["password"], serde_json::json!({ "value": null, "isSecret": true }));
    }

    #[test]
    fn what_is_no_secret_is_shown_as_it_is() {
        let told = serde_json::json!({
            "a": { "value": "1" }, "b": { "value": "2", "isSecret": false }, "c": { "value": "3", "isSecret": "false" },
            "d": "4", "e": [5, null],
        });
        assert_eq!(without_secrets(&told), told);
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(..)");
        assert!(!format!("{:?}", Some(Secret::new("hunter2"))).contains("hunter2"));
    }
}
