//! The azure-pipelines scaler: settings, requests, counting, and the scalers caches that hold it.
//!
//! Sources are K:pkg/scalers/azure_pipelines_scaler.go of the version at hand, and for caches
//! K:pkg/scaling/cache/scalers_cache.go and K:pkg/scaling/scale_handler.go.

mod counting;
mod request;
mod scalers;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod values;

pub use counting::{Row, count, counts};
pub use request::{Answer, Failure, Request};
pub use scalers::{
    CacheKey, CallId, DEFAULT_HTTP_TIMEOUT, LEAST_HTTP_TIMEOUT, Outcome, Reading, Scalers, Task, Triggers,
    Wire,
};
pub use settings::{
    Authentication, AzurePipelines, DEFAULT_ACTIVATION_TARGET, DEFAULT_JOBS_TO_FETCH,
    DEFAULT_SCALE_ON_IN_FLIGHT, DEFAULT_TARGET, MetricType, PoolReference, SERVICE_PRINCIPAL_PARAMETER,
    SettingsError, Surroundings,
};
pub(crate) use values::go_boolean;
