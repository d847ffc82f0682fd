//! Protective waits of the harness itself, in wall time: ready checks,
//! connecting, tearing down. Nothing that belongs to a scenario waits here.

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Elapsed;

/// Waits for `future` no longer than `limit` of wall time.
///
/// # Errors
/// [`Elapsed`] if the limit came first.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(limit, future).await.map_err(|_| Elapsed)
}

/// Waits between two tries of something.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits where nothing can be awaited, as in a `drop`.
pub fn block(duration: Duration) {
    std::thread::sleep(duration);
}

/// The date on the wall, since 1970, for what has to be known after the process: it may go back.
#[must_use]
pub fn date() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// How long something takes on the wall, for progress lines and reports.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Wall time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
