//! What a trace file says.
//!
//! `{{name}}` in paths, headers and bodies stands for a value that was kept before; a text that is nothing but
//! that becomes the value itself. In an expected body an object may have further members; `"*"` is anything, and
//! `"=name"` keeps what stands there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// A trace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trace {
    /// Where the calls and their order are from.
    pub(crate) source: String,
    pub(crate) steps: Vec<Step>,
}

/// One thing that is done.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Step {
    /// A request.
    Request(Request),
    /// Requests that are under way at the same time.
    Together(Vec<Request>),
    /// The agent asks for a token.
    Token(TokenRequest),
    /// Somebody queues a build with one job.
    Queue(String),
    /// Somebody cancels the last build.
    CancelBuild(()),
    /// Scenario time passes, in seconds.
    Wait(u64),
}

/// A request and its answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Method and path, the latter below the organisation unless it begins with a slash.
    pub(crate) send: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// Who sends it.
    #[serde(default, rename = "as")]
    pub(crate) sender: Sender,
    /// It is sent bare first, and again once this scheme is offered.
    pub(crate) challenged: Option<String>,
    /// The body waits for `100 Continue`.
    #[serde(default)]
    pub(crate) expect_continue: bool,
    pub(crate) body: Option<Value>,
    pub(crate) status: u16,
    /// Headers of the answer, each with a part of its value.
    #[serde(default)]
    pub(crate) answer_headers: BTreeMap<String, String>,
    pub(crate) answer: Option<Value>,
    /// The answer is a message: what its decrypted body says.
    pub(crate) message: Option<Value>,
    /// The answer is a new session: its key is kept.
    #[serde(default)]
    pub(crate) session: bool,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sender {
    /// Somebody without a credential.
    Nobody,
    /// `config.sh`, with the personal access token.
    #[default]
    Configuration,
    /// The listener, with the token that it was issued.
    Listener,
    /// The worker, with its job's token.
    Worker,
}

/// A request for a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// Claims that are other than they should be.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, Value>,
    /// How far the agent's clock is off, in seconds.
    #[serde(default)]
    pub(crate) clock_off_by: i64,
    /// Whether the signature is spoilt.
    #[serde(default)]
    pub(crate) spoilt: bool,
    /// Whether the last assertion is sent again.
    #[serde(default)]
    pub(crate) again: bool,
    pub(crate) status: u16,
    /// A part of the error's description.
    pub(crate) error: Option<String>,
}

/// Reads a trace.
pub(crate) fn load(name: &str) -> Trace {
    let file = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let trace: Trace =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(!trace.source.is_empty(), "{name} says where it is from");
    trace
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

/// Puts values into a text.
pub(crate) fn filled(text: &str, values: &BTreeMap<String, Value>) -> String {
    let mut filled = text.to_owned();
    for (name, value) in values {
        let place = format!("{{{{{name}}}}}");
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        filled = filled.replace(&place, &plain);
    }
    assert!(!filled.contains("{{"), "a value is missing: {filled}");
    filled
}

/// Puts values into a body.
pub(crate) fn filled_in(body: &Value, values: &BTreeMap<String, Value>) -> Value {
    match body {
        Value::String(text) => {
            let name = text.strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
            match name.and_then(|name| values.get(name)) {
                Some(value) => value.clone(),
                None => Value::String(filled(text, values)),
            }
        }
        Value::Array(items) => items.iter().map(|item| filled_in(item, values)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), filled_in(value, values))).collect()
        }
        other => other.clone(),
    }
}

/// Compares what came with what was expected, and keeps what was asked for.
pub(crate) fn compare(
    expected: &Value,
    got: &Value,
    at: &str,
    values: &mut BTreeMap<String, Value>,
) -> Result<(), String> {
    match (expected, got) {
        (Value::String(any), _) if any == "*" => Ok(()),
        (Value::String(text), _) if text.starts_with('=') => {
            values.insert(text[1..].to_owned(), got.clone());
            Ok(())
        }
        (Value::Object(expected), Value::Object(got)) => {
            for (name, value) in expected {
                let at = format!("{at}.{name}");
                let found = got.get(name).ok_or_else(|| format!("{at} is missing"))?;
                compare(value, found, &at, values)?;
            }
            Ok(())
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            for (place, (expected, got)) in expected.iter().zip(got).enumerate() {
                compare(expected, got, &format!("{at}[{place}]"), values)?;
            }
            Ok(())
        }
        (expected, got) => {
            let expected = filled_in(expected, values);
            if expected == *got { Ok(()) } else { Err(format!("{at} is {got}, not {expected}")) }
        }
    }
}

#[test]
fn what_is_expected_is_a_part_of_what_comes() {
    let mut values = BTreeMap::new();
    let got = serde_json::json!({ "id": 7, "name": "a", "list": [1, { "x": true, "y": null }] });
    let expected = serde_json::json!({ "id": "=id", "list": [1, { "x": true }] });
    assert_eq!(compare(&expected, &got, "", &mut values), Ok(()));
    assert_eq!(values["id"], 7);
    assert_eq!(filled("/agents/{{id}}", &values), "/agents/7");
    let other = serde_json::json!({ "list": [2, "*"] });
    assert_eq!(compare(&other, &got, "", &mut values), Err(".list[0] is 1, not 2".to_owned()));
    let missing = serde_json::json!({ "nothing": "*" });
    assert_eq!(compare(&missing, &got, "", &mut values), Err(".nothing is missing".to_owned()));
}
