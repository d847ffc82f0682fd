//! Connections: accepted up to a bound, each with time limits for what the other side owes.
//!
//! The limits are wall time: they protect the harness and have nothing to do with a scenario.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Hub, handler};

/// How many connections are served at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 20_000;
/// How long a connection may take for a request's head, idle time included. Longer than any client
/// here leaves a connection idle (KEDA: 90 s, an agent between renewals: 60 s).
const HEAD_LIMIT: Duration = Duration::from_secs(120);
/// The most a connection buffers, and so the longest head.
const MAX_BUFFER: usize = 16 * 1024;
/// How long to wait when the system refuses another connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until it is dropped; then all of them are closed.
pub(crate) async fn accept(listener: TcpListener, hub: Arc<Hub>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                clock::wall::pause(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and awaited: none should wait for the next packet.
        let _ = stream.set_nodelay(true);
        let hub = Arc::clone(&hub);
        connections.spawn(async move {
            let service = service_fn(move |request| handler::answer(Arc::clone(&hub), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(MAX_BUFFER)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no event: agents crash by closing their sockets.
            let _ = connection.await;
            drop(slot);
        });
        while connections.try_join_next().is_some() {}
    }
}
