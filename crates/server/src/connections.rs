//! Connections: accepted up to a bound, each with time limits for what the other side owes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;

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
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(MAX_BUFFER);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (slot, stream) = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = &mut stop => break,
        };
        // Answers are small and awaited: none should wait for the next packet.
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, limits.write_time);
        let service = TowerToHyperService::new(router.clone());
        // A client that goes away is no event: agents crash by closing their sockets.
        match &tls {
            None => {
                let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
                connections.spawn(async move {
                    let _ = connection.await;
                    drop(slot);
                });
            }
            Some(tls) => {
                let (builder, watcher, accepted) = (builder.clone(), graceful.watcher(), tls.accept(stream));
                connections.spawn(async move {
                    // Whoever does not say what TLS begins with has as long as for a head.
                    if let Ok(Ok(stream)) = clock::wall::timeout(limits.head_time, accepted).await {
                        let _ = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
                    }
                    drop(slot);
                });
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    // Whoever is not done by then is cut off with the set of connections.
    let _ = clock::wall::timeout(limits.stop_time, graceful.shutdown()).await;
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
