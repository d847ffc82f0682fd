//! The protocol's JSON: dates, enums and the objects that both the service and
//! an agent read and write.
//!
//! Members are camelCase, unset ones are left out, dates are UTC with `Z` and no
//! trailing zeros, and enums are text on the way out, text or number on the way in.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Instant;
use model::event::JobResult;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// The message that carries a job. Types of messages are compared whatever their case.
pub const JOB_MESSAGE: &str = "PipelineAgentJobRequest";
/// The message that asks an agent to end a job.
pub const CANCEL_MESSAGE: &str = "JobCancellation";
/// The message that asks an agent to update itself.
pub const REFRESH_MESSAGE: &str = "AgentRefresh";
/// The variable by which a job tells the emulated agent how long to work.
pub const DURATION_VARIABLE: &str = "poolproof.durationMillis";
/// The event that ends a job.
pub const JOB_COMPLETED: &str = "JobCompleted";
/// The endpoint that carries the job's token.
pub const SYSTEM_CONNECTION: &str = "SystemVssConnection";

/// Writes an instant as the wire does: `2022-09-28T11:19:49.89Z`.
///
/// # Panics
/// Never for dates before the year 9999.
#[must_use]
pub fn date(epoch: Duration, instant: Instant) -> String {
    let millis = epoch.as_millis() + u128::from(instant.0);
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let latest = jiff::Timestamp::MAX;
    jiff::Timestamp::from_millisecond(millis).unwrap_or(latest).to_string()
}

/// Reads a date of the wire, as milliseconds since 1970; nothing if it is none. azure-devops-node-api writes
/// dates in queries as JavaScript's `toUTCString` does: `Tue, 24 Nov 2026 16:04:01 GMT`.
///
/// In queries azure-devops-node-api 17.0.1 (VsoClient.ts, `queryParamsToStringHelper`) writes dates as HTTP does.
#[must_use]
pub fn millis_of_date(text: &str) -> Option<i64> {
    let date = text
        .parse::<jiff::Timestamp>()
        .or_else(|_| jiff::fmt::rfc2822::parse(text).map(|date| date.timestamp()));
    date.ok().map(jiff::Timestamp::as_millisecond)
}

/// A message as a poll returns it. `body` is always a text, JSON in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageEnvelope {
    /// Its id.
    pub message_id: u64,
    /// Its type.
    pub message_type: String,
    /// What the encryption of the body begins with, in base64; only of an encrypted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iv: Option<String>,
    /// Its JSON; base64 of what became of it, if it is encrypted.
    pub body: String,
}

/// The body of a [`JOB_MESSAGE`]: what the real agent needs, and what ours reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobMessage {
    /// [`JOB_MESSAGE`] again.
    pub message_type: String,
    /// The plan that the job belongs to.
    pub plan: Plan,
    /// Where the job's records would go.
    pub timeline: Timeline,
    /// The job's id.
    pub job_id: Uuid,
    /// The job's name.
    pub job_name: String,
    /// The job's name for people.
    pub job_display_name: String,
    /// The container that the job runs in: none.
    #[serde(default)]
    pub job_container: Option<serde_json::Value>,
    /// The job request's id.
    pub request_id: u64,
    /// Never set: the agent learns it when it renews.
    #[serde(default = "never")]
    pub locked_until: String,
    /// What of the workspace is cleaned: nothing.
    #[serde(default)]
    pub workspace: BTreeMap<String, String>,
    /// The job's variables.
    pub variables: BTreeMap<String, Variable>,
    /// The connection back to the service.
    pub resources: Resources,
    /// The job's steps; ours has none.
    #[serde(default)]
    pub steps: Vec<serde_json::Value>,
    /// What to mask in logs.
    #[serde(default)]
    pub mask: Vec<serde_json::Value>,
}

impl JobMessage {
    /// The token with which the job's events are sent.
    #[must_use]
    pub fn access_token(&self) -> Option<&str> {
        let connection =
            self.resources.endpoints.iter().find(|endpoint| endpoint.name == SYSTEM_CONNECTION)?;
        connection.authorization.parameters.get("AccessToken").map(String::as_str)
    }

    /// How long the emulated agent works on it.
    #[must_use]
    pub fn duration(&self) -> Option<model::Millis> {
        self.variables.get(DURATION_VARIABLE)?.value.parse().ok().map(model::Millis)
    }
}

/// The date that .NET takes for none.
pub(crate) fn never() -> String {
    "0001-01-01T00:00:00".to_owned()
}

/// The plan of a job message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The project's id: the scope of the plan's routes.
    pub scope_identifier: Uuid,
    /// `Build`: the hub of the plan's routes.
    pub plan_type: String,
    /// From 8 on, jobs end by an event.
    pub version: u32,
    /// Its id.
    pub plan_id: Uuid,
    /// What belongs together.
    pub plan_group: String,
    /// The build.
    pub artifact_uri: String,
    /// The definition.
    pub definition: Named,
    /// The build.
    pub owner: Named,
}

/// Something with an id and a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Nothing: the agent only wants it to be there.
    #[serde(rename = "_links", default)]
    pub links: BTreeMap<String, String>,
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// The timeline of a job message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// Its id.
    pub id: Uuid,
    /// How often it changed.
    pub change_id: u32,
    /// Where it is: where the plan is.
    #[serde(default)]
    pub location: Option<String>,
}

/// A variable of a job message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its value.
    pub value: String,
    /// Whether steps cannot change it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_read_only: bool,
}

/// The connections of a job message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Exactly one is called [`SYSTEM_CONNECTION`].
    pub endpoints: Vec<Endpoint>,
    /// None are needed without a checkout.
    #[serde(default)]
    pub repositories: Vec<serde_json::Value>,
}

/// A connection of a job message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Whether other projects use it.
    #[serde(default)]
    pub is_shared: bool,
    /// Whether it is there already.
    #[serde(default)]
    pub is_ready: bool,
    /// What else is known of it: `ServerId` and `ServerName`.
    #[serde(default)]
    pub data: BTreeMap<String, String>,
    /// How to be let in.
    pub authorization: Authorization,
}

/// How to be let in. It holds a token, so it is not to be printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// `OAuth`.
    pub scheme: String,
    /// `AccessToken`.
    pub parameters: BTreeMap<String, String>,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The body of a [`CANCEL_MESSAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelMessage {
    /// The job.
    pub job_id: Uuid,
    /// How long it may take to end, as `00:05:00`.
    pub timeout: String,
}

/// The body of a [`REFRESH_MESSAGE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshMessage {
    /// The agent.
    pub agent_id: u64,
    /// How long the update may take, as `00:05:00`.
    pub timeout: String,
    /// The version to update to.
    pub target_version: String,
}

/// The body of `POST plans/{id}/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanEvent {
    /// [`JOB_COMPLETED`].
    pub name: String,
    /// The job.
    #[serde(default)]
    pub job_id: Uuid,
    /// The job request.
    pub request_id: u64,
    /// How it ended.
    pub result: WireResult,
    /// Whether the agent takes no further job.
    #[serde(default)]
    pub agent_shutting_down: bool,
}

/// A result as the wire has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WireResult(pub JobResult);

/// In the order of the protocol's numbers.
const RESULTS: [(&str, JobResult); 6] = [
    ("succeeded", JobResult::Succeeded),
    ("succeededwithissues", JobResult::SucceededWithIssues),
    ("failed", JobResult::Failed),
    ("canceled", JobResult::Canceled),
    ("skipped", JobResult::Skipped),
    ("abandoned", JobResult::Abandoned),
];

impl<'de> Deserialize<'de> for WireResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names =
            RESULTS.iter().enumerate().map(|(number, (name, result))| (number as u64, *name, *result));
        wire_enum(deserializer, "a result", names).map(Self)
    }
}

/// Reads an enum that comes as a text, whatever its case, or as a number.
pub(crate) fn wire_enum<'de, D, T>(
    deserializer: D,
    what: &'static str,
    names: impl Iterator<Item = (u64, &'static str, T)>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    struct TextOrNumber(&'static str);
    enum Told {
        Text(String),
        Number(u64),
    }
    impl Visitor<'_> for TextOrNumber {
        type Value = Told;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{} as text or number", self.0)
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Told, E> {
            Ok(Told::Number(number))
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Told, E> {
            Ok(text.parse().map_or_else(|_| Told::Text(text.to_lowercase()), Told::Number))
        }
    }
    let told = deserializer.deserialize_any(TextOrNumber(what))?;
    for (number, name, value) in names {
        match &told {
            Told::Text(text) if text == name => return Ok(value),
            Told::Number(told) if *told == number => return Ok(value),
            _ => {}
        }
    }
    Err(de::Error::custom(format_args!("unknown value for {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc_without_trailing_zeros() {
        let epoch = Duration::from_millis(1_664_363_989_890);
        assert_eq!(date(epoch, Instant::START), "2022-09-28T11:19:49.89Z");
        assert_eq!(date(epoch, Instant(110)), "2022-09-28T11:19:50Z");
    }

    #[test]
    fn a_date_is_read_as_clients_write_it() {
        assert_eq!(millis_of_date("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(millis_of_date("Thu, 01 Jan 1970 00:00:02 GMT"), Some(2_000));
        assert_eq!(millis_of_date("soon"), None);
    }

    #[test]
    fn a_result_is_read_from_text_or_number() {
        let read = |json: &str| serde_json::from_str::<WireResult>(json).map(|result| result.0).ok();
        assert_eq!(read("\"Succeeded\""), Some(JobResult::Succeeded));
        assert_eq!(read("\"succeededWithIssues\""), Some(JobResult::SucceededWithIssues));
        assert_eq!(read("3"), Some(JobResult::Canceled));
        assert_eq!(read("5"), Some(JobResult::Abandoned));
        assert_eq!(read("6"), None);
        assert_eq!(read("\"great\""), None);
        assert_eq!(
            serde_json::to_string(&WireResult(JobResult::SucceededWithIssues)).unwrap(),
            "\"succeededWithIssues\""
        );
    }

    #[test]
    fn a_date_is_read_as_json_writes_it_and_as_http_does() {
        let expected = Some(1_795_536_241_000);
        for text in ["2026-11-24T16:04:01Z", "Tue, 24 Nov 2026 16:04:01 GMT"] {
            assert_eq!(millis_of_date(text), expected, "{text}");
        }
        assert_eq!(millis_of_date("yesterday"), None);
    }
}
