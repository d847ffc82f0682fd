//! One request: its organisation, its token, its route, its body, its answer,
//! and what the log gets to know of it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, USER_AGENT};
use axum::http::uri::PathAndQuery;
use axum::response::Response;
use azure_devops::{Call, Caller, Refusal, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::event::ScalerRow;
use model::{Fact, Instant, Millis};

use crate::decoding::{self, Work};
use crate::faults::{self, Effect, Instead};
use crate::organization::{Called, Encoded, ScalerRead, Shared};
use crate::packages::{self, PackageQuery};
use crate::query::{self, Query};
use crate::responses;
use crate::routes::{self, Route};
use crate::{Hub, Limits, discovery};

/// What the log is told for the status of a request that its caller gave up.
const NO_ANSWER: u16 = 0;
/// The longest `User-Agent` that the log keeps.
const MAX_CALLER: usize = 100;

/// Answers any request that is below an organisation, or below nothing.
pub(crate) async fn answer(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let segments = query::segments(request.uri().path());
    let Some((first, rest)) = segments.split_first() else {
        return responses::refusal(&Refusal::NothingHere("/".to_owned()));
    };
    let Some(organization) = hub.find(first) else {
        return responses::refusal(&Refusal::NothingHere(format!("/{first}")));
    };
    let route = routes::find(request.method(), rest);
    // A poll waits for most of a minute: nothing is kept until then that is not needed.
    drop(segments);
    let known = route.as_ref().ok().and_then(Option::as_ref);
    let asked = Asked::new(&organization, &request, known);
    let effect = organization.faults().effect(known, asked.key.as_deref());
    if let Some(effect) = effect {
        return Box::pin(answer_otherwise(&hub, &organization, request, route, asked, effect)).await;
    }
    let answered = answer_organization(&hub, &organization, request, route, &asked).await;
    if !answered.told {
        asked.record(&organization, answered.response.status().as_u16(), Vec::new());
    }
    answered.response
}

/// Answers while a fault is on.
async fn answer_otherwise(
    hub: &Hub,
    organization: &Shared,
    request: Request,
    route: Result<Option<Route>, Refusal>,
    asked: Asked,
    effect: Effect,
) -> Response {
    let due = asked.arrival + effect.delay;
    let waits = effect.delay > Millis::ZERO || matches!(effect.answer, Some(Instead::Nothing));
    let until = (!matches!(effect.answer, Some(Instead::Nothing))).then_some(due);
    let waiting = Waiting { organization, asked: Some(asked) };
    let removed = waits && !organization.wait(until).await;
    let asked = waiting.over();
    let mut rows = Vec::new();
    let response = match effect.answer {
        _ if removed => responses::encoded(gone(organization)),
        Some(Instead::Nothing) => unreachable!("only the organization's end ends this wait"),
        Some(Instead::Status(status)) => faults::error(status, &origin(hub, request.headers())),
        Some(Instead::SignInPage) => responses::sign_in_page(),
        Some(Instead::Before(snapshot)) => {
            rows = snapshot.rows;
            responses::encoded(snapshot.answer)
        }
        Some(Instead::Malformed) => {
            // The rows are there, but nobody can read them.
            let unread = Asked { scaler_read: None, key: None, ..asked.clone() };
            let answered = answer_organization(hub, organization, request, route, &unread).await;
            responses::broken_off(answered.response).await
        }
        None => {
            let answered = answer_organization(hub, organization, request, route, &asked).await;
            if answered.told {
                return answered.response;
            }
            answered.response
        }
    };
    asked.record(organization, response.status().as_u16(), rows);
    response
}

/// A request that waits. Whoever gives it up is told to have got no answer.
struct Waiting<'a> {
    organization: &'a Shared,
    asked: Option<Asked>,
}

impl Waiting<'_> {
    fn over(mut self) -> Asked {
        self.asked.take().expect("only this takes it")
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(asked) = self.asked.take() {
            asked.record(self.organization, NO_ANSWER, Vec::new());
        }
    }
}

/// A response, and whether the log was told of it already.
struct Answered {
    response: Response,
    told: bool,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self { response, told: false }
    }
}

async fn answer_organization(
    hub: &Hub,
    organization: &Shared,
    request: Request,
    route: Result<Option<Route>, Refusal>,
    asked: &Asked,
) -> Answered {
    let origin = origin(hub, request.headers());
    let token = presented_token(request.headers());
    let caller = organization.look(|service| service.authorize(token.as_ref()));
    let Ok(caller) = caller else {
        let suppressed = request.headers().get("x-tfs-fedauthredirect");
        let suppressed = suppressed.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"suppress"));
        let mode = organization.look(|service| service.settings().switches.bad_token);
        return responses::unauthorized(mode, !suppressed, &origin).into();
    };
    // Boxed, so that a poll that is held does not keep the room that this needs.
    match Box::pin(understand(request, route, &hub.limits)).await {
        Ok(Work::Call(call)) => {
            if let Some(key) = &asked.key {
                organization.faults().remember(key, &call);
            }
            call_service(organization, caller, call, asked.scaler_read).await
        }
        Ok(work) => answer_locally(hub, organization, &work, &origin).into(),
        Err(refusal) => responses::refusal(&refusal).into(),
    }
}

/// Reads query and body. What is not modelled is refused by name.
async fn understand(
    request: Request,
    route: Result<Option<Route>, Refusal>,
    limits: &Limits,
) -> Result<Work, Refusal> {
    let (parts, body) = request.into_parts();
    let not_modelled = || Refusal::NotModelled { route: format!("{} {}", parts.method, parts.uri.path()) };
    let route = route?.ok_or_else(not_modelled)?;
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let body = read_body(body, limits).await?;
    decoding::decode(&parts.method, &route, &query, &body)?.ok_or_else(not_modelled)
}

async fn read_body(body: Body, limits: &Limits) -> Result<Bytes, Refusal> {
    let limited = Limited::new(body, limits.body_bytes);
    let read = clock::wall::timeout(limits.body_time, limited.collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(limits.body_bytes)),
        Ok(Err(_)) => Err(Refusal::Invalid("The request body broke off.".to_owned())),
        Err(clock::Elapsed) => Err(Refusal::TooSlow),
    }
}

async fn call_service(
    organization: &Shared,
    caller: Caller,
    call: Call,
    scaler_read: Option<ScalerRead>,
) -> Answered {
    if !caller.may(&call) {
        return responses::refusal(&Refusal::AccessDenied).into();
    }
    let answer = match organization.call(call, scaler_read) {
        Called::Answered(answer) => answer,
        Called::Held(held) => held.await.unwrap_or_else(|_| gone(organization)),
    };
    Answered { response: responses::encoded(answer), told: scaler_read.is_some() }
}

/// A held poll's organisation was removed.
fn gone(organization: &Shared) -> Encoded {
    crate::organization::refused(&Refusal::NothingHere(format!("/{}", organization.name)))
}

fn answer_locally(hub: &Hub, organization: &Shared, work: &Work, origin: &str) -> Response {
    match work {
        Work::Call(_) => unreachable!("calls go to the service"),
        Work::ConnectionData => {
            let instance = organization.look(azure_devops::Service::instance_id);
            let url = format!("{origin}/{}", organization.name);
            responses::json(discovery::connection_data(instance, &url).to_string())
        }
        Work::ResourceAreas => responses::json(discovery::RESOURCE_AREAS),
        Work::Locations => responses::json(discovery::locations().to_string()),
        Work::Packages(query) => answer_packages(hub, organization, query, origin),
    }
}

fn answer_packages(hub: &Hub, organization: &Shared, query: &PackageQuery, origin: &str) -> Response {
    let created =
        organization.look(|service| azure_devops::wire::date(service.settings().epoch, Instant::START));
    let found = packages::find(&hub.packages, query);
    let objects: Vec<_> =
        found.into_iter().map(|offer| packages::object(offer, origin, created.clone())).collect();
    let body = match (&query.version, objects.first()) {
        (Some(_), Some(one)) => serde_json::to_vec(one),
        (Some(version), None) => {
            return responses::refusal(&Refusal::NothingHere(format!("package version {version}")));
        }
        (None, _) => serde_json::to_vec(&serde_json::json!({ "count": objects.len(), "value": objects })),
    };
    responses::json(body.expect("texts and numbers are JSON"))
}

/// What the client calls this server: it may know it by another name than we do.
fn origin(hub: &Hub, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-.:[]_".contains(character);
    match host {
        Some(host) if !host.is_empty() && host.chars().all(allowed) => format!("http://{host}"),
        _ => format!("http://{}", hub.address),
    }
}

/// The token of a request, by either scheme: of Basic it is the password, whoever the user is.
fn presented_token(headers: &HeaderMap) -> Option<Secret> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Secret::new(value));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, token)| Secret::new(token))
}

/// What the log gets to know of a request.
#[derive(Clone)]
struct Asked {
    arrival: Instant,
    method: Method,
    route: Cow<'static, str>,
    caller: Option<String>,
    /// Set if this is KEDA reading the queue.
    scaler_read: Option<ScalerRead>,
    /// Path and query of a read of KEDA's.
    key: Option<Box<str>>,
}

impl Asked {
    fn new(organization: &Shared, request: &Request, route: Option<&Route>) -> Self {
        let caller = request.headers().get(USER_AGENT).and_then(|caller| caller.to_str().ok());
        let keda = caller.is_some_and(is_keda) && request.method() == Method::GET;
        let form = || decoding::form(&Query::parse(request.uri().query().unwrap_or_default()));
        let arrival = organization.now();
        Self {
            arrival,
            method: request.method().clone(),
            route: route.map_or_else(
                || Cow::Owned(request.uri().path().to_owned()),
                |route| Cow::Borrowed(route.template()),
            ),
            caller: caller.map(|caller| caller.chars().take(MAX_CALLER).collect()),
            scaler_read: match route {
                Some(Route::JobRequests(pool)) if keda => {
                    Some(ScalerRead { pool: *pool, form: form(), arrival })
                }
                _ => None,
            },
            key: keda.then(|| request.uri().path_and_query().map_or("", PathAndQuery::as_str).into()),
        }
    }

    /// KEDA's reads are told whatever came of them, other requests if they failed.
    fn record(self, organization: &Shared, status: u16, rows: Vec<ScalerRow>) {
        let now = organization.now();
        if let Some(read) = self.scaler_read {
            organization.tell(read.fact(now, status, rows));
        } else if status >= 300 || matches!(status, NO_ANSWER | 203) {
            let latency_ms = now.since(self.arrival).0;
            let (method, route) = (self.method.to_string(), self.route.into_owned());
            organization.tell(Fact::Request { method, route, status, latency_ms, caller: self.caller });
        }
    }
}

/// KEDA sets no `User-Agent`, so Go's default tells it from agents and SDKs.
fn is_keda(caller: &str) -> bool {
    caller.starts_with("Go-http-client")
}
