//! A connection from its first request to its last.
//!
//! hyper serves it, but for the time in which a poll is held: hyper's least buffers have 16 kB, and some
//! thousand idle agents hold two polls each. So the request of a poll that is held ends hyper's part as an error
//! that nobody sees; what is left is the stream, and the promise of a response. When the response is there, hyper
//! takes the stream up again: it reads a head that stands for the poll's, is given the response for it, and goes on
//! with what the client sent since.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::held::{self, Promise};

/// What all connections have in common.
pub(crate) struct Host {
    pub(crate) http: http1::Builder,
    pub(crate) router: Router,
}

/// Serves a connection until either side ends it; told to stop, with the answer that is on its way.
pub(crate) async fn hold<S>(host: Arc<Host>, stream: S, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = Rewound { before: Vec::new(), stream };
    let mut answer = None;
    // Boxed, so that nothing of hyper stays while a poll is held.
    while let Some(mut poll) = Box::pin(talk(&host, stream, answer.take(), &mut stop)).await {
        tokio::select! {
            response = &mut poll.promise => answer = Some(response),
            () = poll.stream.gone() => return,
        }
        stream = poll.stream;
        stream.before.splice(..0, poll.head.iter().copied());
    }
}

/// A connection whose poll is held.
struct Parked<S> {
    promise: Promise,
    /// What hyper reads again as the poll's head.
    head: Bytes,
    /// With what the client has sent after the poll.
    stream: Rewound<S>,
}

/// Has hyper serve the stream until it ends, or until a poll is held. The first request is answered with the
/// answer, if there is one.
async fn talk<S>(
    host: &Host,
    stream: Rewound<S>,
    answer: Option<Response>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Parked<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let state = Arc::new(State::default());
    let desk = Desk {
        router: TowerToHyperService::new(host.router.clone()),
        answer: Mutex::new(answer),
        state: Arc::clone(&state),
    };
    let stream = TokioIo::new(Watched { stream, state: Arc::clone(&state) });
    let mut connection = host.http.serve_connection(stream, desk);
    tokio::select! {
        // First: a connection that has not read anything would end at once.
        biased;
        // A client that goes away is no event: agents crash by closing their sockets.
        _ = &mut connection => {}
        () = stopped(stop) => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = (&mut connection).await;
        }
    }
    let (promise, head) = state.held.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().stream;
    stream.before.splice(..0, parts.read_buf.iter().copied());
    Some(Parked { promise, head, stream })
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error is a server that is gone altogether.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// What the service of a connection and its stream know of each other.
#[derive(Default)]
struct State {
    /// The poll that is held, and its head.
    held: Mutex<Option<(Promise, Bytes)>>,
    /// The client has not yet taken all that was written: an earlier answer would be lost with hyper's buffers.
    owes: AtomicBool,
}

/// Answers the requests of one connection.
struct Desk {
    router: TowerToHyperService<Router>,
    /// The answer to the first request.
    answer: Mutex<Option<Response>>,
    state: Arc<State>,
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response;
    type Error = Held;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Held>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = answer {
            return Box::pin(std::future::ready(Ok(answer)));
        }
        let state = Arc::clone(&self.state);
        let version = request.version();
        let connection = request.headers().get(CONNECTION).cloned();
        let answer = self.router.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            state.settle(response, || head(version, connection.as_ref())).await
        })
    }
}

impl State {
    /// The response, unless it stands for one that the connection can wait for without hyper.
    async fn settle(&self, mut response: Response, head: impl FnOnce() -> Bytes) -> Result<Response, Held> {
        let Some(promise) = held::promised(&mut response) else { return Ok(response) };
        if self.owes.load(Ordering::Relaxed) {
            return Ok(promise.await);
        }
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((promise, head()));
        Err(Held)
    }
}

/// A head that says what a request's said of its connection; everything else has been heard.
fn head(version: Version, connection: Option<&HeaderValue>) -> Bytes {
    match (version, connection) {
        (Version::HTTP_11, None) => Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n"),
        (version, connection) => {
            let connection = connection.map_or(&b""[..], HeaderValue::as_bytes);
            let line = format!("GET / {version:?}\r\nConnection: ");
            [line.as_bytes(), connection, b"\r\n\r\n"].concat().into()
        }
    }
}

/// Why hyper's part of a connection ends while its poll is held.
#[derive(Debug)]
struct Held;

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the poll is held")
    }
}

impl std::error::Error for Held {}

/// A stream of which something is read again, or was read too early.
struct Rewound<S> {
    before: Vec<u8>,
    stream: S,
}

impl<S: AsyncRead + Unpin> Rewound<S> {
    /// Waits until the other side closes. If it has something to say instead, that is kept, and nothing tells any
    /// more whether it is still there.
    async fn gone(&mut self) {
        if self.before.is_empty() {
            let mut byte = [0];
            match self.stream.read(&mut byte).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.before.extend(byte),
            }
        }
        std::future::pending::<()>().await;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.before.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.before.len().min(buffer.remaining());
        buffer.put_slice(&self.before[..length]);
        self.before.drain(..length);
        if self.before.is_empty() {
            self.before = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// A stream that tells whether its client takes what is written.
struct Watched<S> {
    stream: Rewound<S>,
    state: Arc<State>,
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn write<T>(&mut self, write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.stream.stream));
        self.state.owes.store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|stream| stream.poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write(|stream| stream.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use hyper_util::rt::TokioTimer;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    use super::*;

    /// Longer than anything here takes.
    const LIMIT: Duration = Duration::from_secs(60);
    /// Room for everything that a test sends.
    const ROOM: usize = 4096;
    const LAST: &str = "GET /empty HTTP/1.1\r\nConnection: close\r\n\r\n";

    struct Served {
        client: DuplexStream,
        /// Told when a poll is asked for.
        asked: Arc<Notify>,
        /// Has the poll be answered.
        due: Arc<Notify>,
        connection: JoinHandle<()>,
        _stop: watch::Sender<bool>,
    }

    /// A connection whose either direction has so much room.
    fn serve(room: usize) -> Served {
        let (asked, due) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, awaited) = (Arc::clone(&asked), Arc::clone(&due));
        let poll = move || async move {
            told.notify_one();
            held::promise(async move {
                awaited.notified().await;
                StatusCode::ACCEPTED.into_response()
            })
        };
        let router = Router::new().route("/empty", get(async || ())).route("/poll", get(poll));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        let (client, server) = duplex(room);
        let (stop, stopped) = watch::channel(false);
        let connection = tokio::spawn(hold(Arc::new(Host { http, router }), server, stopped));
        Served { client, asked, due, connection, _stop: stop }
    }

    impl Served {
        async fn send(&mut self, text: &str) {
            self.client.write_all(text.as_bytes()).await.expect("sent");
        }

        /// The status lines of everything that is answered until the server closes.
        async fn statuses(&mut self) -> Vec<String> {
            let mut text = String::new();
            let read = clock::wall::timeout(LIMIT, self.client.read_to_string(&mut text)).await;
            read.expect("the server closes in time").expect("answers");
            assert!(text.ends_with("\r\n\r\n"), "whole answers, without bodies: {text}");
            text.lines().filter(|line| line.starts_with("HTTP/")).map(str::to_owned).collect()
        }
    }

    #[tokio::test]
    async fn what_is_sent_behind_a_poll_is_answered_after_it() {
        let mut at_once = serve(ROOM);
        at_once.send(&format!("GET /poll HTTP/1.1\r\n\r\n{LAST}")).await;
        at_once.asked.notified().await;
        at_once.due.notify_one();
        assert_eq!(at_once.statuses().await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 200 OK"]);
        let mut later = serve(ROOM);
        later.send("GET /poll HTTP/1.1\r\n\r\n").await;
        later.asked.notified().await;
        later.send(LAST).await;
        tokio::task::yield_now().await;
        later.due.notify_one();
        assert_eq!(later.statuses().await, ["HTTP/1.1 202 Accepted", "HTTP/1.1 200 OK"]);
    }

    #[tokio::test]
    async fn a_connection_serves_on_after_one_poll_and_another() {
        let mut served = serve(ROOM);
        for _ in 0..3 {
            served.send("GET /poll HTTP/1.1\r\n\r\n").await;
            served.asked.notified().await;
            served.due.notify_one();
        }
        served.send(LAST).await;
        let statuses = served.statuses().await;
        assert_eq!(statuses.len(), 4, "{statuses:?}");
        assert_eq!(statuses[2..], ["HTTP/1.1 202 Accepted", "HTTP/1.1 200 OK"]);
    }

    #[tokio::test]
    async fn a_connection_ends_after_its_poll_if_that_said_so() {
        for (head, status) in [
            ("GET /poll HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 202 Accepted"),
            ("GET /poll HTTP/1.0\r\n\r\n", "HTTP/1.0 202 Accepted"),
        ] {
            let mut served = serve(ROOM);
            served.send(head).await;
            served.asked.notified().await;
            served.due.notify_one();
            assert_eq!(served.statuses().await, [status]);
        }
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_not_waited_for() {
        let mut served = serve(ROOM);
        served.send("GET /poll HTTP/1.1\r\n\r\n").await;
        served.asked.notified().await;
        let Served { client, due, connection, .. } = served;
        drop(client);
        clock::wall::timeout(LIMIT, connection).await.expect("it ends in time").expect("no panic");
        assert_eq!(Arc::strong_count(&due), 1, "and nobody waits for the answer");
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_slowly_is_not_lost_when_a_poll_is_held() {
        // Less than an answer needs.
        let mut served = serve(48);
        served.due.notify_one();
        served.send("GET /empty HTTP/1.1\r\n\r\nGET /poll HTTP/1.1\r\n\r\n").await;
        let mut text = String::new();
        while !(text.contains("HTTP/1.1 202 Accepted") && text.ends_with("\r\n\r\n")) {
            let mut bytes = [0; 8];
            let length = clock::wall::timeout(LIMIT, served.client.read(&mut bytes)).await.expect("in time");
            text += std::str::from_utf8(&bytes[..length.expect("an answer")]).expect("text");
        }
        let (first, _) = text.split_once("HTTP/1.1 202").expect("two answers");
        assert!(first.starts_with("HTTP/1.1 200 OK") && first.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_connection_keeps_its_buffers_while_something_of_an_earlier_answer_is_in_them() {
        let poll = || held::promise(async { StatusCode::ACCEPTED.into_response() });
        let state = State::default();
        let in_vain = || Bytes::from_static(b"no head is wanted");
        state.owes.store(true, Ordering::Relaxed);
        let response = state.settle(poll(), in_vain).await;
        assert_eq!(response.map(|response| response.status()).ok(), Some(StatusCode::ACCEPTED));
        state.owes.store(false, Ordering::Relaxed);
        assert!(state.settle(poll(), || head(Version::HTTP_11, None)).await.is_err());
        let held = state.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        assert_eq!(held.expect("the poll is held").1, "GET / HTTP/1.1\r\n\r\n");
        let other = state.settle(StatusCode::OK.into_response(), in_vain).await;
        assert_eq!(other.map(|response| response.status()).ok(), Some(StatusCode::OK));
    }
}
