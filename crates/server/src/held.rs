//! What is left of a poll that is held: no request, no head, only what its answer needs.
//!
//! Idle agents hold two polls each, for most of a minute, again and again: most of what a server with
//! thousands of them keeps is this. A handler hands it out in the extensions of a response that is not to be
//! sent, and the connection (`conversation`) waits for the right one without HTTP's buffers.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;

/// A response that is still to come. Dropped, nobody waits for it any more.
pub(crate) type Promise = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A promise as an extension of a response: those have to be cloned and shared, in principle.
#[derive(Clone)]
struct Promised(Arc<Mutex<Option<Promise>>>);

/// A response that stands for one that is still to come.
pub(crate) fn promise(response: impl Future<Output = Response> + Send + 'static) -> Response {
    let promise: Promise = Box::pin(response);
    let mut stands_for_it = Response::default();
    stands_for_it.extensions_mut().insert(Promised(Arc::new(Mutex::new(Some(promise)))));
    stands_for_it
}

/// The promise that a response stands for, if it is no response yet.
pub(crate) fn promised(response: &mut Response) -> Option<Promise> {
    let Promised(promise) = response.extensions_mut().remove()?;
    promise.lock().unwrap_or_else(PoisonError::into_inner).take()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[tokio::test]
    async fn a_promise_is_taken_once() {
        let mut stands_for_it = promise(async {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        });
        let promise = promised(&mut stands_for_it).expect("a promise");
        assert_eq!(promise.await.status(), StatusCode::ACCEPTED);
        assert!(promised(&mut stands_for_it).is_none());
    }

    #[test]
    fn a_response_promises_nothing_by_itself() {
        assert!(promised(&mut Response::default()).is_none());
    }
}
