//! Responses: JSON, empty, the challenge, the sign-in page.

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use axum::response::Response;
use azure_devops::{BadToken, Refusal};
use http_body_util::{BodyExt, Collected};

use crate::organization::{Encoded, refused};

/// What the real service says of its JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8; api-version=7.1");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const ZIP: HeaderValue = HeaderValue::from_static("application/zip");
const GZIP: HeaderValue = HeaderValue::from_static("application/gzip");
/// Where the C# client looks for the message of a 401 or 403 without a body.
pub(crate) const SERVICE_ERROR: HeaderName = HeaderName::from_static("x-tfs-serviceerror");
/// Where a list that goes on tells how to ask for the next page.
pub(crate) const CONTINUATION: HeaderName = HeaderName::from_static("x-ms-continuationtoken");
/// Where the sign-in page is.
pub(crate) const SIGN_IN: &str = "/_poolproof/sign-in";
/// What a follower of the real service's redirect ends at, with status 203.
const SIGN_IN_PAGE: &str =
    "<!DOCTYPE html>\n<html><head><title>Sign in to your account</title></head><body>Sign in</body></html>\n";

fn with(status: u16, content_type: Option<HeaderValue>, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}

/// An answer; an empty one has no content type.
pub(crate) fn encoded(answer: Encoded) -> Response {
    let content_type = (!answer.body.is_empty()).then_some(JSON);
    let mut response = with(answer.status, content_type, answer.body);
    response.headers_mut().extend(answer.headers);
    response
}

/// Bytes that are no JSON, unless it is a refusal.
pub(crate) fn bytes(answer: Encoded) -> Response {
    match answer.status {
        200 => with(200, Some(BYTES), answer.body),
        _ => encoded(answer),
    }
}

/// A ZIP archive, unless it is a refusal.
pub(crate) fn archive(answer: Encoded) -> Response {
    match answer.status {
        200 => with(200, Some(ZIP), answer.body),
        _ => encoded(answer),
    }
}

/// Plain text, unless it is a refusal.
pub(crate) fn text(answer: Encoded) -> Response {
    match answer.status {
        200 => with(200, Some(TEXT), answer.body),
        _ => encoded(answer),
    }
}

pub(crate) fn json(body: impl Into<Bytes>) -> Response {
    with(200, Some(JSON), body.into())
}

pub(crate) fn package(body: Bytes) -> Response {
    with(200, Some(GZIP), body)
}

pub(crate) fn refusal(refusal: &Refusal) -> Response {
    encoded(refused(refusal))
}

/// What a missing or wrong token is answered. Who asks for no redirect (the SDKs do) gets the
/// challenge, which must offer Basic and Bearer: the agent takes no other 401 for one.
pub(crate) fn unauthorized(mode: BadToken, redirect_is_wanted: bool, origin: &str) -> Response {
    match mode {
        BadToken::Redirect if redirect_is_wanted => {
            let mut response = with(302, None, Bytes::new());
            if let Ok(location) = format!("{origin}{SIGN_IN}").parse() {
                response.headers_mut().insert(LOCATION, location);
            }
            response
        }
        BadToken::SignInPage if redirect_is_wanted => sign_in_page(),
        _ => {
            let mut response = encoded(refused(&Refusal::Unauthorized));
            let challenge =
                format!("Bearer authorization_uri={origin}/oauth, Basic realm=\"{origin}/\", TFS-Federated");
            if let Ok(challenge) = challenge.parse() {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// Half of a response's body, with the headers of the whole; an empty one stays as it is.
pub(crate) async fn broken_off(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    // Bodies are made here, in memory: they cannot break off by themselves.
    let whole = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
}

pub(crate) fn sign_in_page() -> Response {
    with(203, Some(HTML), Bytes::from_static(SIGN_IN_PAGE.as_bytes()))
}

pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
