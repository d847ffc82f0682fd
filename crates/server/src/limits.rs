//! What a client may take: connections, time and bytes.
//!
//! The times are wall time: they protect the harness and have nothing to do with a scenario.

use std::time::Duration;

/// How many connections are served at once; more wait to be accepted.
const CONNECTIONS: usize = 20_000;
/// How long a connection may take for a request's head, idle time included. Longer than any client
/// here leaves a connection idle (KEDA: 90 s, an agent between renewals: 60 s).
const HEAD_TIME: Duration = Duration::from_secs(120);
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long a client may take nothing of an answer that is ready for it.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// The longest request body. An agent's registration, with its whole environment, has some 20 kB.
const BODY_BYTES: usize = 1024 * 1024;
/// How long a stop waits for answers that are on their way.
const STOP_TIME: Duration = Duration::from_secs(1);

/// The limits of a server; the defaults suit everybody but tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are served at once; more wait to be accepted.
    pub connections: usize,
    /// How long a connection may take for a request's head, idle time included.
    pub head_time: Duration,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// How long a client may take nothing of an answer that is ready for it.
    pub write_time: Duration,
    /// The longest body.
    pub body_bytes: usize,
    /// How long a stop waits for answers that are on their way.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS,
            head_time: HEAD_TIME,
            body_time: BODY_TIME,
            write_time: WRITE_TIME,
            body_bytes: BODY_BYTES,
            stop_time: STOP_TIME,
        }
    }
}
