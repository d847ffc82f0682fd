//! The five requests of the scaler, and how it tells of their failures
//! (K:pkg/scalers/azure_pipelines_scaler.go, `getAzurePipelineRequest` and its callers).

use std::fmt::Write as _;

use model::event::RequestForm;

use super::settings::{AzurePipelines, PoolReference};
use crate::rules::{ScalerRules, Top};

/// What KEDA asks Azure DevOps for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The pool of the trigger's `poolName`, whenever a scaler is made.
    PoolByName,
    /// The pool of the trigger's `poolID`, whenever a scaler is made.
    PoolById {
        /// The pool's id.
        pool: i64,
    },
    /// The pool's job requests, with `$top`.
    Top {
        /// The pool's id.
        pool: i64,
        /// `jobsToFetch`.
        rows: i64,
    },
    /// The pool's job requests, without a query.
    All {
        /// The pool's id.
        pool: i64,
    },
    /// The pool's unfinished job requests.
    Unfinished {
        /// The pool's id.
        pool: i64,
    },
}

impl Request {
    /// The request that makes a scaler (`parseAzurePipelinesMetadata`).
    #[must_use]
    pub fn resolving(settings: &AzurePipelines) -> Self {
        match settings.pool {
            PoolReference::Name(_) => Self::PoolByName,
            PoolReference::Id(pool) => Self::PoolById { pool },
        }
    }

    /// The request that reads the queue (`GetAzurePipelinesQueueURL`).
    #[must_use]
    pub fn reading(rules: &ScalerRules, settings: &AzurePipelines, pool: i64) -> Self {
        let top = match rules.top {
            Top::Never => false,
            Top::Always => true,
            Top::UnlessParent => settings.parent.is_none(),
        };
        if settings.unfinished_only {
            Self::Unfinished { pool }
        } else if top {
            Self::Top { pool, rows: settings.jobs_to_fetch }
        } else {
            Self::All { pool }
        }
    }

    /// The form of the query, if job requests are asked for.
    #[must_use]
    pub fn form(self) -> Option<RequestForm> {
        match self {
            Self::PoolByName | Self::PoolById { .. } => None,
            Self::Top { .. } => Some(RequestForm::Top),
            Self::All { .. } => Some(RequestForm::All),
            Self::Unfinished { .. } => Some(RequestForm::CompletedCount),
        }
    }

    /// The whole address.
    #[must_use]
    pub fn url(self, rules: &ScalerRules, settings: &AzurePipelines) -> String {
        let mut url = format!("{}/_apis/distributedtask/pools", settings.organization_url);
        match self {
            Self::PoolByName => {
                url.push_str("?poolName=");
                if let PoolReference::Name(name) = &settings.pool {
                    if rules.pool_name_escaped { escape(&mut url, name) } else { url.push_str(name) }
                }
            }
            Self::PoolById { pool } => append(&mut url, format_args!("?poolID={pool}")),
            Self::Top { pool, rows } => append(&mut url, format_args!("/{pool}/jobrequests?$top={rows}")),
            Self::All { pool } => append(&mut url, format_args!("/{pool}/jobrequests")),
            Self::Unfinished { pool } => {
                append(&mut url, format_args!("/{pool}/jobrequests?completedRequestCount=0"));
            }
        }
        url
    }
}

fn append(url: &mut String, text: std::fmt::Arguments<'_>) {
    url.write_fmt(text).expect("a String takes everything");
}

/// Go's `url.QueryEscape`.
fn escape(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b' ' => url.push('+'),
            b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => append(url, format_args!("%{byte:02X}")),
        }
    }
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The pool that was asked for: its id.
    Pool(i64),
    /// Job requests, already counted by [`count`](super::count).
    Count(u64),
    /// Nothing that can be used.
    Failure(Failure),
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A status outside 200 to 299.
    Status(u16),
    /// Not the JSON that is expected, for example a sign-in page with 203.
    Malformed,
    /// The client gave up waiting.
    TimedOut,
    /// No connection.
    Unreachable,
    /// The call that it belonged to has ended.
    Cancelled,
    /// No pool of that name.
    NoSuchPool,
    /// Several pools of that name: how many.
    ManyPools(u32),
}

impl Failure {
    /// The error as the scaler tells it.
    #[must_use]
    pub fn text(self, rules: &ScalerRules, settings: &AzurePipelines, request: Request) -> String {
        let name = match &settings.pool {
            PoolReference::Name(name) => name.as_str(),
            PoolReference::Id(_) => "",
        };
        let url = || request.url(rules, settings);
        let text = match self {
            Self::Malformed => return "invalid character '<' looking for beginning of value".to_owned(),
            Self::NoSuchPool => return format!("agent pool with name `{name}` not found"),
            Self::ManyPools(number) => return format!("found {number} agent pool with name `{name}`"),
            Self::Status(status) => {
                let label = if rules.pool_name_escaped { "urlString" } else { "url" };
                format!(
                    "the Azure DevOps REST API returned error. {label}: {} status: {status} response: ",
                    url()
                )
            }
            Self::TimedOut => format!(
                "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                url()
            ),
            Self::Unreachable => format!("Get \"{}\": connect: connection refused", url()),
            Self::Cancelled => format!("Get \"{}\": context canceled", url()),
        };
        match request {
            Request::PoolById { pool } if rules.pool_id_cause => {
                format!("agent pool with id `{pool}` not found: {text}")
            }
            Request::PoolById { pool } => format!("agent pool with id `{pool}` not found"),
            _ => text,
        }
    }
}

#[cfg(test)]
mod tests;
