//! Connections: accepted up to a bound, each with time limits for what the other side owes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;

use crate::conversation::{Host, hold};
use crate::patience::Patient;
use crate::{Limits, Tls};

/// The most a connection buffers, and so the longest head.
const MAX_BUFFER: usize = 16 * 1024;
/// How long to wait when the system refuses another connection, for example for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is told to stop; then connections end with the answer that is on its way.
/// Dropped, or if an answer takes too long, it closes them as they are.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tls: Option<Tls>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(MAX_BUFFER);
    let host = Arc::new(Host { http, router });
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let (slot, stream) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = &mut stop => break,
        };
        // Answers are small and awaited: none should wait for the next packet.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, limits.write_time, slot);
        let (host, stopped) = (Arc::clone(&host), stopped.clone());
        match &tls {
            None => connections.spawn(hold(host, stream, stopped)),
            Some(tls) => {
                let accepted = tls.accept(stream);
                connections.spawn(async move {
                    // Whoever does not say what TLS begins with has as long as for a head.
                    if let Ok(Ok(stream)) = clock::wall::timeout(limits.head_time, accepted).await {
                        Box::pin(hold(host, stream, stopped)).await;
                    }
                })
            }
        };
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    stopping.send_replace(true);
    // Whoever is not done by then is cut off with the set of connections.
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = clock::wall::timeout(limits.stop_time, ended).await;
}

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream) {
    let slot = Arc::clone(slots).acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (slot, stream),
            Err(_) => clock::wall::pause(ACCEPT_PAUSE).await,
        }
    }
}
