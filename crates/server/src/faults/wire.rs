//! What faults answer, byte by byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use axum::response::Response;
use azure_devops::faults::{BLOCKED, Rate};
use azure_devops::{BadToken, Refusal};
use http_body_util::{BodyExt, Collected};
use hyper::body::Frame;
use model::{Instant, Millis};
use serde_json::{Value, json};

use crate::organization::Encoded;
use crate::responses;

/// What Azure DevOps calls an answer that its own parts did not give.
const UNAVAILABLE: (&str, &str) = ("VssServiceResponseException", "Microsoft.VisualStudio.Services.Common");
/// The same for a caller that asks too much. Source: Azure DevOps, "Rate and usage limits".
const BLOCKED_CALLER: (&str, &str) = ("RequestBlockedException", "Microsoft.TeamFoundation.Framework.Server");
/// The same for a token that has expired.
const UNAUTHORIZED: (&str, &str) = ("VssUnauthorizedException", "Microsoft.VisualStudio.Services.Common");
/// What a caller that asks too much is told (seen in public threads).
const TOO_MUCH: &str = "TF400733: The request has been canceled: Request was blocked due to exceeding usage of \
    resource 'Core/DistributedTask' in namespace 'User'.";
/// What whoever shows an expired token is told (seen in public threads).
const EXPIRED: &str = "Access Denied: The Personal Access Token used has expired.";
/// The resource that budgets are of, in headers.
const RESOURCE: HeaderValue = HeaderValue::from_static("Core/DistributedTask");
/// A success that has no list in it: KEDA, which knows the list by its name, counts nothing.
pub(crate) const NO_LIST: &str = "{\"$id\":\"1\",\"message\":\"The service is not available.\"}";
/// Where the C# client looks for the message of a 401 without a body.
const SERVICE_ERROR: HeaderName = HeaderName::from_static("x-tfs-serviceerror");

/// An error of that status with the body that clients of Azure DevOps know.
pub(crate) fn error(status: u16, origin: &str) -> Response {
    match status {
        // Without a redirect, whatever the caller wishes: the scenario asked for this status.
        401 => return responses::unauthorized(BadToken::Redirect, false, origin),
        403 => return responses::refusal(&Refusal::AccessDenied),
        _ => {}
    }
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or("The request failed.");
    if status == BLOCKED {
        error_body(status, TOO_MUCH, BLOCKED_CALLER)
    } else {
        error_body(status, reason, UNAVAILABLE)
    }
}

fn error_body(status: u16, message: &str, (key, assembly): (&str, &str)) -> Response {
    let body = json!({
        "$id": "1",
        "innerException": null,
        "message": message,
        "typeName": format!("{assembly}.{key}, {assembly}"),
        "typeKey": key,
        "errorCode": 0,
        "eventId": 3000,
    });
    responses::encoded(Encoded { status, body: body.to_string().into(), ..Encoded::default() })
}

/// 302 to the sign-in page, whatever the caller wishes.
pub(crate) fn redirect(origin: &str) -> Response {
    responses::unauthorized(BadToken::Redirect, true, origin)
}

/// 401 with the challenge, and why.
pub(crate) fn token_expired(origin: &str) -> Response {
    let challenge = responses::unauthorized(BadToken::Unauthorized, false, origin);
    let mut response = error_body(challenge.status().as_u16(), EXPIRED, UNAUTHORIZED);
    for (name, value) in challenge.headers() {
        if *name != SERVICE_ERROR && !response.headers().contains_key(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    if let Ok(message) = EXPIRED.replace(' ', "%20").replace(':', "%3A").parse() {
        response.headers_mut().insert(SERVICE_ERROR, message);
    }
    response
}

/// Tells a caller how it stands with its budget.
pub(crate) fn told_of_budget(response: &mut Response, rate: &Rate, epoch: Duration, now: Instant) {
    let reset = epoch + Duration::from_millis((now + rate.reset).0);
    let headers = response.headers_mut();
    let mut tell = |name: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let Millis(delay) = rate.delay;
    tell("x-ratelimit-delay", format!("{}.{:03}", delay / 1000, delay % 1000));
    tell("x-ratelimit-limit", rate.limit.to_string());
    tell("x-ratelimit-remaining", rate.remaining.to_string());
    tell("x-ratelimit-reset", reset.as_secs().to_string());
    if let Some(Millis(after)) = rate.retry_after {
        tell(RETRY_AFTER_NAME, after.div_ceil(1000).to_string());
    } else if delay > 0 {
        tell(RETRY_AFTER_NAME, delay.div_ceil(1000).to_string());
    }
    headers.insert(HeaderName::from_static("x-ratelimit-resource"), RESOURCE);
}

const RETRY_AFTER_NAME: &str = "retry-after";

/// A response whose list runs the other way round; anything else stays as it is.
pub(crate) async fn reversed(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let mut json = serde_json::from_slice::<Value>(&whole).ok();
    let Some(list) = json.as_mut().and_then(|json| json.get_mut("value")).and_then(Value::as_array_mut)
    else {
        return Response::from_parts(parts, Body::from(whole));
    };
    list.reverse();
    parts.headers.remove(CONTENT_LENGTH);
    let body = json.map(|json| json.to_string()).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}

/// A response whose connection breaks off in the middle of the body; an empty one stays as it is.
pub(crate) async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    if whole.is_empty() {
        return Response::from_parts(parts, Body::empty());
    }
    // The head promises all of it.
    parts.headers.insert(CONTENT_LENGTH, whole.len().into());
    let half = Some(whole.slice(..whole.len() / 2));
    Response::from_parts(parts, Body::new(BreaksOff { half, flushes: true }))
}

/// Half of a body, and then an error.
struct BreaksOff {
    half: Option<Bytes>,
    /// Whether what there is has still to go out: an error at once would take it along.
    flushes: bool,
}

impl hyper::body::Body for BreaksOff {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if std::mem::take(&mut self.flushes) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }
}
