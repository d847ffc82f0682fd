//! The token end point: an agent's signed assertion for a token (RFC 7523).
//!
//! It stands at the server's address and not below an organisation, as `vstoken.dev.azure.com` does, and
//! needs no other credential. Errors are OAuth's, not Azure DevOps'.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use azure_devops::faults::Asked;
use azure_devops::oauth::{Assertion, PublicKey};
use azure_devops::{Call, Refusal, Service};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::fault::{self, CalledBy, Shown};
use serde::Deserialize;
use uuid::Uuid;

use crate::organization::{Called, Shared};
use crate::query::{Query, segments};
use crate::{Hub, faults, handler, responses, sealing};

/// What kind of assertion agents send.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The end point as the log names it.
pub(crate) const ROUTE: &str = "_apis/oauth2/token";

/// The host that a path asks a token of, if it is one of the token end point: `Some(None)` leaves it to the client.
pub(crate) fn host(segments: &[String]) -> Option<Option<&str>> {
    let is = |segment: &String, name: &str| segment.eq_ignore_ascii_case(name);
    // With and without the organisation.
    let below = segments.iter().position(|segment| is(segment, "_apis")).filter(|place| *place < 2)?;
    match &segments[below + 1..] {
        [area, token] if is(area, "oauth2") && is(token, "token") => Some(None),
        [area, token, host] if is(area, "oauth2") && is(token, "token") => Some(Some(host)),
        _ => None,
    }
}

/// Answers a request for a token.
pub(crate) async fn answer(hub: &Hub, host: Option<Uuid>, request: Request) -> Response {
    let origin = handler::origin(hub, request.headers());
    let told = handler::Asked::of_token(hub.clock.now(), &request);
    let named = named(hub, host, request.uri().path());
    let understood = understand(hub, request).await;
    let found = understood.and_then(|signed| Ok((find(hub, host, &signed)?, signed)));
    let ((organization, key), signed) = match found {
        Ok(found) => found,
        Err(refusal) => {
            let response = responses::refusal(&refusal);
            if let Some(organization) = named {
                told.record(&organization, response.status().as_u16(), Vec::new());
            }
            return response;
        }
    };
    let waiting = handler::Waiting::new(&organization, told);
    // Who asks for a token shows none.
    let asked = Asked {
        at: organization.now(),
        route: Some(fault::Route::Tokens),
        caller: CalledBy::Agent,
        credential: Shown::Nothing,
    };
    let right = || issue(&organization, &key, &signed).unwrap_or_else(|refusal| responses::refusal(&refusal));
    let response = faults::in_front(&organization, &asked, &origin, right).await;
    let response = handler::kept(&organization, response).await;
    waiting.over().record(&organization, response.status().as_u16(), Vec::new());
    response
}

/// The organisation whose log is told of a request that none is found for: the one that the request names, or the only
/// one there is.
fn named(hub: &Hub, host: Option<Uuid>, path: &str) -> Option<Arc<Shared>> {
    let all = hub.organizations();
    let is_host = |one: &&Arc<Shared>| host == Some(one.look(Service::instance_id));
    if let Some(of_host) = all.iter().find(is_host) {
        return Some(Arc::clone(of_host));
    }
    let first = segments(path).first().and_then(|first| hub.find(first));
    first.or_else(|| all.first().filter(|_| all.len() == 1).map(Arc::clone))
}

/// An assertion with its signature.
struct Signed {
    claims: Claims,
    /// Header and payload as they were signed.
    text: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    aud: String,
    #[serde(default)]
    jti: String,
    #[serde(default)]
    nbf: Time,
    exp: Time,
}

/// Seconds since 1970. C# writes whole numbers; the standard allows fractions, too.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(from = "f64")]
struct Time(i64);

impl From<f64> for Time {
    #[expect(clippy::cast_possible_truncation, reason = "a date that large is far beyond any check")]
    fn from(seconds: f64) -> Self {
        Self(seconds as i64)
    }
}

async fn understand(hub: &Hub, request: Request<Body>) -> Result<Signed, Refusal> {
    let body = handler::read_body(request.into_body(), &hub.limits).await?;
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let member = |name: &str| form.text(name).unwrap_or_default();
    if member("grant_type") != "client_credentials" || member("client_assertion_type") != ASSERTION_TYPE {
        return Err(invalid("The request is for another grant than one by a signed assertion."));
    }
    read_assertion(member("client_assertion")).ok_or_else(|| invalid("The bearer token cannot be read."))
}

fn read_assertion(text: &str) -> Option<Signed> {
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Header = serde_json::from_slice(&part(header)?).ok()?;
    let claims: Claims = serde_json::from_slice(&part(claims)?).ok()?;
    let signature = part(signature)?;
    (header.alg == "RS256").then(|| Signed { claims, text: signed.to_owned(), signature })
}

/// The organisation that knows a client, and the client's key.
fn find(hub: &Hub, host: Option<Uuid>, signed: &Signed) -> Result<(Arc<Shared>, Arc<PublicKey>), Refusal> {
    let claims = &signed.claims;
    let client = claims.iss.parse::<Uuid>().ok();
    let found = client.and_then(|client| {
        let of_client = |organization: &Arc<Shared>| {
            organization.look(|service| {
                let is_host = host.is_none_or(|host| host == service.instance_id());
                service.key_of_client(client).filter(|_| is_host)
            })
        };
        hub.organizations().into_iter().find_map(|one| of_client(&one).map(|key| (one, key)))
    });
    found.ok_or_else(|| Refusal::InvalidClient(format!("The client {} is not known.", claims.iss)))
}

fn issue(organization: &Shared, key: &PublicKey, signed: &Signed) -> Result<Response, Refusal> {
    let claims = &signed.claims;
    if !sealing::has_signed(key, signed.text.as_bytes(), &signed.signature) {
        return Err(invalid("The signature of the bearer token is not the client's."));
    }
    let assertion = Assertion {
        issuer: claims.iss.clone(),
        subject: claims.sub.clone(),
        audience: claims.aud.clone(),
        id: claims.jti.clone(),
        not_before: claims.nbf.0,
        expires: claims.exp.0,
    };
    match organization.call(Call::IssueToken(Box::new(assertion)), None) {
        Called::Answered(answered) => Ok(responses::encoded(answered.answer)),
        Called::Held(_) => unreachable!("only polls are held"),
    }
}

fn invalid(why: &str) -> Refusal {
    Refusal::InvalidClient(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_end_point_is_found_at_the_server_s_address_and_below_an_organization() {
        let host_of = |path: &str| host(&segments(path)).map(|host| host.map(str::to_owned));
        assert_eq!(host_of("/_apis/oauth2/token"), Some(None));
        assert_eq!(host_of("/_APIs/OAuth2/Token/abc"), Some(Some("abc".to_owned())));
        assert_eq!(host_of("/acme/_apis/oauth2/token/abc/"), Some(Some("abc".to_owned())));
        assert_eq!(host_of("/acme/project/_apis/oauth2/token"), None);
        assert_eq!(host_of("/_apis/oauth2"), None);
    }

    #[test]
    fn an_assertion_that_is_not_signed_as_agents_sign_cannot_be_read() {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let claims = part(r#"{"iss":"a","exp":1700000000}"#);
        let with = |header: &str| format!("{}.{claims}.{}", part(header), part("x"));
        assert!(read_assertion(&with(r#"{"alg":"RS256","typ":"JWT"}"#)).is_some());
        for none in [with(r#"{"alg":"none"}"#), with(r#"{"alg":"HS256"}"#), "a.b".to_owned(), String::new()] {
            assert!(read_assertion(&none).is_none(), "{none}");
        }
    }
}
