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
}

impl Read {
    /// Whether KEDA can use it. Any status of 200 to 299 is parsed (kedacore/keda
    /// pkg/scalers/azure_pipelines_scaler.go, getAzurePipelineRequest); the sign-in page that comes with
    /// 203 is not JSON.
    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status) && self.status != 203
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
