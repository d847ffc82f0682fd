//! What KEDA was told, and what it says about itself.

use model::event::ScalerRow;
use model::{Instant, Millis};

/// A read of the pool's job requests.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// When it was answered.
    pub(crate) at: Instant,
    /// The pool's id.
    pub(crate) pool: u64,
    /// The HTTP status.
    pub(crate) status: u16,
    /// From the request's arrival to the answer.
    pub(crate) latency: Millis,
    /// The rows of the answer.
    pub(crate) rows: Vec<ScalerRow>,
    /// Whether the answer was broken on purpose.
    pub(crate) broken: bool,
}

/// KEDA gives up on a request after this long (`KEDA_HTTP_DEFAULT_TIMEOUT`).
pub(crate) const KEDA_TIME_OUT: Millis = Millis::seconds(3);

impl Read {
    /// Whether KEDA can use it.
    pub(crate) fn succeeded(&self) -> bool {
        self.failure().is_none()
    }

    /// Why KEDA cannot use it. Any status of 200 to 299 is parsed (kedacore/keda
    /// pkg/scalers/azure_pipelines_scaler.go, getAzurePipelineRequest); the sign-in page that comes with
    /// 203 is not JSON.
    pub(crate) fn failure(&self) -> Option<String> {
        if self.latency >= KEDA_TIME_OUT {
            return Some(format!("no answer within {KEDA_TIME_OUT}, when KEDA gives up"));
        }
        match self.status {
            203 => Some("answered 203 with the sign-in page, which is not JSON".to_owned()),
            200..300 if self.broken => Some("answered with broken JSON".to_owned()),
            200..300 => None,
            0 => Some("never answered".to_owned()),
            status => Some(format!("answered {status}")),
        }
    }
}

/// A condition as it was written.
#[derive(Debug, Clone)]
pub(crate) struct WrittenCondition {
    /// When.
    pub(crate) at: Instant,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: String,
    /// One word.
    pub(crate) reason: String,
    /// A sentence.
    pub(crate) message: String,
}
