//! One request: its organisation, its token, its route, its body, its answer,
//! and what the log gets to know of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::header::{ACCEPT, AUTHORIZATION, EXPECT, HOST, HeaderMap, USER_AGENT};
use axum::http::uri::PathAndQuery;
use axum::response::Response;
use azure_devops::faults::{Fate, Upset};
use azure_devops::{ApiVersions, Call, Caller, Message, PlanCall, Refusal, Secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::event::ScalerRow;
use model::fault::service::KEDA_USER_AGENT;
use model::fault::{self, Shown};
use model::{Fact, Instant, Millis};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::control_faults;
use crate::decoding::{self, Work};
use crate::discovery::locations::{self, Location};
use crate::discovery::versions;
use crate::faults::{self, Effect, Instead};
use crate::held;
use crate::journal::NotKept;
use crate::organization::{Called, Encoded, Polled, ScalerRead, Shared};
use crate::packages::{self, PackageQuery};
use crate::query::{self, Query};
use crate::responses;
use crate::routes::{self, BuildPlace, Route};
use crate::sealing::Seal;
use crate::{Hub, Limits, discovery, oauth};

/// What the log is told for the status of a request that its caller gave up.
const NO_ANSWER: u16 = 0;
/// The longest `User-Agent` that the log keeps.
const MAX_CALLER: usize = 100;

/// How long a refused request's body is waited for.
const UNREAD_TIME: Duration = Duration::from_secs(1);

/// Answers any request that is below an organisation, or below nothing. A poll that is held is answered with
/// a promise.
pub(crate) async fn answer(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let version = version(&request);
    let mut response = answer_any(hub, request, version).await;
    version.tell(&mut response);
    response
}

/// The version in which a request is answered.
fn version(request: &Request) -> versions::Answered {
    let asked = versions::asked(request.method(), request.uri().query(), request.headers());
    versions::Answered::of(asked, location(request.uri().path()))
}

/// The resource that is asked for, below the organisation.
fn location(path: &str) -> Option<&'static Location> {
    locations::of_path(query::segments(path).get(1..)?)
}

async fn answer_any(hub: Arc<Hub>, request: Request, version: versions::Answered) -> Response {
    let segments = query::segments(request.uri().path());
    if let (&Method::POST, Some(host)) = (request.method(), oauth::host(&segments)) {
        let host = host.and_then(|host| host.parse().ok());
        return Box::pin(oauth::answer(&hub, host, request)).await;
    }
    let Some((first, rest)) = segments.split_first() else {
        return responses::refusal(&Refusal::NothingHere("/".to_owned()));
    };
    if *request.method() == Method::OPTIONS && first.eq_ignore_ascii_case("_apis") {
        // The Python client looks here for what it misses at the organisation, as if that were a collection.
        return responses::json(locations::NONE);
    }
    let Some(organization) = hub.find(first) else {
        return responses::refusal(&Refusal::NothingHere(format!("/{first}")));
    };
    let route = routes::find(request.method(), rest);
    let known = route.as_ref().ok().and_then(Option::as_ref);
    let asked = Asked::new(&organization, &request, known);
    if let Some(effect) = effect(&organization, &request, known, &asked) {
        let response = Box::pin(answer_otherwise(&hub, &organization, request, route, asked, effect)).await;
        return kept(&organization, response).await;
    }
    match answer_organization(&hub, &organization, request, route, &asked).await {
        Begun::Answered(answered) => asked.answered(&organization, answered).await,
        Begun::Held(mut poll) => held::promise(async move {
            let answered = poll.answer(&organization, &asked).await;
            let mut response = asked.answered(&organization, answered).await;
            version.tell(&mut response);
            response
        }),
    }
}

/// What faults make of a request. Ours never fail.
fn effect(organization: &Shared, request: &Request, known: Option<&Route>, asked: &Asked) -> Option<Effect> {
    if known.is_some_and(faults::is_control) || organization.faults().on.is_empty() {
        return None;
    }
    let token = presented_token(request.headers());
    let caller = organization.look(|service| service.authorize(token.as_ref()));
    let hit = asked.hit(known.and_then(faults::route), faults::shown(&caller));
    let mut effect = organization.faults().effect(&hit, asked.key.as_deref())?;
    if effect.delay_per_row > Millis::ZERO {
        effect.delay += Millis(effect.delay_per_row.0.saturating_mul(rows(organization, request, known)));
    }
    Some(effect)
}

/// How many rows a request would be answered with.
fn rows(organization: &Shared, request: &Request, known: Option<&Route>) -> u64 {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let work = known.map(|route| decoding::decode(request.method(), route, &query, b""));
    match work {
        Some(Ok(Some(Work::Call(call)))) if !call.changes_state() => organization.rows(call),
        _ => 0,
    }
}

/// Waits until everything is kept that a response may tell of, whoever asked for it. If it cannot be
/// kept, nobody is told.
pub(crate) async fn kept(organization: &Shared, response: Response) -> Response {
    match organization.ticket() {
        None => response,
        Some(ticket) => match ticket.await {
            Ok(Ok(())) => response,
            Ok(Err(NotKept)) | Err(_) => responses::refusal(&Refusal::NotKept),
        },
    }
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
    let mut asked = waiting.over();
    let mut rows = Vec::new();
    let mut breaks_off = false;
    let tell = |mut response: Response| {
        if let Some(rate) = &effect.rate {
            faults::told_of_budget(&mut response, rate, organization.epoch(), organization.now());
        }
        response
    };
    let response = match effect.answer {
        _ if removed => responses::encoded(gone(organization)),
        Some(Instead::Nothing) => unreachable!("only the organization's end ends this wait"),
        Some(Instead::Status(status)) => faults::error(status, &origin(hub, request.headers())),
        Some(Instead::SignInPage) => responses::sign_in_page(),
        Some(Instead::Redirect) => faults::redirect(&origin(hub, request.headers())),
        Some(Instead::TokenExpired) => faults::token_expired(&origin(hub, request.headers())),
        Some(Instead::WithoutList) => responses::json(faults::NO_LIST),
        Some(Instead::Before(snapshot)) => {
            rows = snapshot.rows;
            responses::encoded(snapshot.answer)
        }
        Some(broken @ (Instead::Malformed | Instead::Truncated)) => {
            // The rows are there, but nobody can read them.
            let unread = Asked { scaler_read: None, key: None, ..asked.clone() };
            let begun = answer_organization(hub, organization, request, route, &unread).await;
            let answered = begun.answer(organization, &unread).await;
            breaks_off = matches!(broken, Instead::Truncated);
            if breaks_off {
                faults::truncated(answered.response).await
            } else {
                responses::broken_off(answered.response).await
            }
        }
        Some(Instead::Reordered) => {
            asked.reversed = true;
            let begun = answer_organization(hub, organization, request, route, &asked).await;
            let answered = begun.answer(organization, &asked).await;
            // Job requests are the other way round by the service itself, before `$top` cuts them off.
            let response = if answered.told || asked.is_list_of_jobs {
                answered.response
            } else {
                faults::reversed(answered.response).await
            };
            if answered.told {
                return tell(response);
            }
            response
        }
        None => {
            let begun = answer_organization(hub, organization, request, route, &asked).await;
            let answered = begun.answer(organization, &asked).await;
            if answered.told {
                return tell(answered.response);
            }
            answered.response
        }
    };
    let status = if breaks_off { NO_ANSWER } else { response.status().as_u16() };
    asked.record(organization, status, rows);
    tell(response)
}

/// A request that waits. Whoever gives it up is told to have got no answer.
pub(crate) struct Waiting<'a> {
    organization: &'a Shared,
    asked: Option<Asked>,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(organization: &'a Shared, asked: Asked) -> Self {
        Self { organization, asked: Some(asked) }
    }

    pub(crate) fn over(mut self) -> Asked {
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

/// What a request comes to at first.
enum Begun {
    Answered(Answered),
    Held(HeldPoll),
}

impl<T: Into<Answered>> From<T> for Begun {
    fn from(answered: T) -> Self {
        Self::Answered(answered.into())
    }
}

impl Begun {
    /// What it comes to in the end.
    async fn answer(self, organization: &Shared, asked: &Asked) -> Answered {
        match self {
            Self::Answered(answered) => answered,
            Self::Held(mut poll) => poll.answer(organization, asked).await,
        }
    }
}

/// A poll that waits for its answer.
struct HeldPoll {
    answer: oneshot::Receiver<Polled>,
    form: Form,
}

impl HeldPoll {
    async fn answer(&mut self, organization: &Shared, asked: &Asked) -> Answered {
        let polled = (&mut self.answer).await.unwrap_or_else(|_| gone(organization).into());
        self.form.answered(organization, asked, polled)
    }
}

async fn answer_organization(
    hub: &Hub,
    organization: &Shared,
    request: Request,
    route: Result<Option<Route>, Refusal>,
    asked: &Asked,
) -> Begun {
    let origin = origin(hub, request.headers());
    let token = presented_token(request.headers());
    let now = organization.now();
    let caller = organization.look(|service| service.authorize_at(now, token.as_ref()));
    let shown = faults::shown(&caller);
    let Ok(caller) = caller else {
        let suppressed = request.headers().get("x-tfs-fedauthredirect");
        let suppressed = suppressed.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"suppress"));
        let mode = organization.look(|service| service.settings().switches.bad_token);
        // What nobody has read when the connection closes may take the answer with it. Who first asks
        // whether the body is wanted has not sent it.
        if !request.headers().contains_key(EXPECT) {
            let body = read_body(request.into_body(), &hub.limits);
            let _ = Box::pin(clock::wall::timeout(UNREAD_TIME, body)).await;
        }
        return responses::unauthorized(mode, !suppressed, &origin).into();
    };
    if caller != Caller::Owner && is_control(request.uri().path()) {
        return responses::refusal(&Refusal::AccessDenied).into();
    }
    let rule = organization.look(|service| service.settings().switches.api_versions);
    match Box::pin(understand(request, route, rule, &hub.limits)).await {
        Ok(Work::Call(mut call)) => {
            if let Some(key) = asked.key.as_ref().filter(|_| !call.changes_state())
                && organization.look(|service| service.permit(caller, &call)).is_ok()
            {
                organization.faults().remember(key, &call);
            }
            if let (true, Call::ListJobRequests { query, .. }) = (asked.reversed, &mut call) {
                query.reversed = true;
            }
            call_service(organization, caller, call, asked, shown)
        }
        Ok(Work::Faults(_)) if caller != Caller::Owner => responses::refusal(&Refusal::AccessDenied).into(),
        Ok(work) => answer_locally(hub, organization, caller, &work, &origin).into(),
        Err(refusal) => responses::refusal(&refusal).into(),
    }
}

/// Whether a path is one of our own, which only who owns the organisation may use.
fn is_control(path: &str) -> bool {
    query::segments(path).get(1).is_some_and(|segment| segment.eq_ignore_ascii_case("_poolproof"))
}

/// Reads query and body. What is not modelled is refused by name.
async fn understand(
    request: Request,
    route: Result<Option<Route>, Refusal>,
    rule: ApiVersions,
    limits: &Limits,
) -> Result<Work, Refusal> {
    let (parts, body) = request.into_parts();
    if let (ApiVersions::Strict, Some(location)) = (rule, location(parts.uri.path())) {
        versions::check(&parts, location)?;
    }
    let not_modelled = || Refusal::NotModelled { route: format!("{} {}", parts.method, parts.uri.path()) };
    let route = route?.ok_or_else(not_modelled)?;
    let wants_zip = matches!(route, Route::Builds(_)) && wants(&parts.headers, "application/zip");
    if wants_zip && !has_archive(&route) {
        return Err(not_modelled());
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let body = read_body(body, limits).await?;
    let work = decoding::decode(&parts.method, &route, &query, &body)?.ok_or_else(not_modelled)?;
    let work = if wants(&parts.headers, "octet-stream") { with_bytes(work) } else { work };
    if wants_zip {
        return decoding::builds::with_zip(work).ok_or_else(not_modelled);
    }
    Ok(if wants(&parts.headers, "application/json") { decoding::builds::with_json(work) } else { work })
}

/// Whether there is an archive of what is there: of logs.
fn has_archive(route: &Route) -> bool {
    matches!(route, Route::Builds(route) if matches!(route.place, BuildPlace::Logs(_) | BuildPlace::Log(..)))
}

/// SDKs ask for an attachment's bytes, a log's lines instead of its text, or an archive of logs by what they accept.
fn wants(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains(media_type))
}

fn with_bytes(work: Work) -> Work {
    match work {
        Work::Call(Call::Plan { plan, mut call }) => {
            if let PlanCall::GetAttachment(key) = *call {
                *call = PlanCall::ReadAttachment(key);
            }
            Work::Call(Call::Plan { plan, call })
        }
        other => other,
    }
}

pub(crate) async fn read_body(body: Body, limits: &Limits) -> Result<Bytes, Refusal> {
    let limited = Limited::new(body, limits.body_bytes);
    let read = clock::wall::timeout(limits.body_time, limited.collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge(limits.body_bytes)),
        Ok(Err(_)) => Err(Refusal::Invalid("The request body broke off.".to_owned())),
        Err(clock::Elapsed) => Err(Refusal::TooSlow),
    }
}

fn call_service(organization: &Shared, caller: Caller, call: Call, asked: &Asked, shown: Shown) -> Begun {
    let permitted = match caller {
        Caller::Owner => Ok(()),
        _ => organization.look(|service| service.permit(caller, &call)),
    };
    if let Err(refusal) = permitted {
        return responses::refusal(&refusal).into();
    }
    let form = Form::of(&call, shown);
    if let Some(again) = before_call(organization, &call, asked, shown) {
        return responses::encoded(form.seal.done(organization, again)).into();
    }
    match organization.call(call, asked.scaler_read) {
        Called::Answered(polled) => form.answered(organization, asked, polled).into(),
        Called::Held(answer) => Begun::Held(HeldPoll { answer, form }),
    }
}

/// What becomes of a call's answer on its way to the client.
struct Form {
    seal: Seal,
    content: Content,
    /// The session of a poll.
    session: Option<Uuid>,
    /// What the caller showed.
    shown: Shown,
}

/// What an answer is.
enum Content {
    Json,
    Text,
    Bytes,
    Archive,
}

impl Form {
    fn of(call: &Call, shown: Shown) -> Self {
        let is_bytes = |call: &PlanCall| matches!(call, PlanCall::ReadAttachment(_));
        let content = match call {
            _ if decoding::builds::is_text(call) => Content::Text,
            _ if decoding::builds::is_zip(call) => Content::Archive,
            Call::Plan { call, .. } if is_bytes(call) => Content::Bytes,
            _ => Content::Json,
        };
        let session = match call {
            Call::Poll { session, .. } => Some(*session),
            _ => None,
        };
        Self { seal: Seal::of(call), content, session, shown }
    }

    fn answered(&self, organization: &Shared, asked: &Asked, polled: Polled) -> Answered {
        let mut answer = polled.answer;
        if let (Some(session), Some(message)) = (self.session, polled.message)
            && is_lost(organization, asked, self.shown, session, message)
        {
            answer = Encoded { status: NO_MESSAGE, ..Encoded::default() };
        }
        let response = match self.content {
            Content::Text => responses::text(answer),
            Content::Json => responses::encoded(self.seal.done(organization, answer)),
            Content::Bytes => responses::bytes(answer),
            Content::Archive => responses::archive(answer),
        };
        Answered { response, told: asked.scaler_read.is_some() }
    }
}

/// The status of a poll without a message.
const NO_MESSAGE: u16 = 202;

/// What faults do before a call is made: a message comes again, a lock is lost.
fn before_call(organization: &Shared, call: &Call, asked: &Asked, shown: Shown) -> Option<Encoded> {
    let mut faults = organization.faults();
    if faults.on.is_empty() {
        return None;
    }
    match call {
        Call::Poll { session, after, .. } => {
            let can_come =
                |message: &Message| organization.look(|service| service.can_come_again(*session, message));
            let message = faults.on.again(*session, *after, can_come)?;
            drop(faults);
            return Some(organization.message(message));
        }
        Call::CloseSession { session, .. } => faults.on.session_ended(*session),
        Call::RenewJobRequest { request, .. }
            if faults.on.loses_lock(&asked.hit(Some(fault::Route::Locks), shown)) =>
        {
            drop(faults);
            organization.upset(Upset::LoseLock(*request));
        }
        _ => {}
    }
    None
}

/// Whether a message that is on its way gets lost. It may also come to be sent again.
fn is_lost(organization: &Shared, asked: &Asked, shown: Shown, session: Uuid, message: Message) -> bool {
    let mut faults = organization.faults();
    if faults.on.is_empty() {
        return false;
    }
    let hit = asked.hit(Some(fault::Route::Messages), shown);
    let lost = faults.on.message(&hit, session, message) == Fate::Lost;
    drop(faults);
    if lost {
        organization.upset(Upset::LoseMessage { session, message: message.id });
    }
    lost
}

/// A held poll's organisation was removed.
fn gone(organization: &Shared) -> Encoded {
    crate::organization::refused(&Refusal::NothingHere(format!("/{}", organization.name)))
}

fn answer_locally(hub: &Hub, organization: &Shared, caller: Caller, work: &Work, origin: &str) -> Response {
    match work {
        Work::Call(_) => unreachable!("calls go to the service"),
        Work::ConnectionData => {
            let instance = organization.look(azure_devops::Service::instance_id);
            let url = format!("{origin}/{}", organization.name);
            responses::json(discovery::connection_data(instance, &url, caller).to_string())
        }
        Work::Heard => responses::encoded(Encoded { status: 200, ..Encoded::default() }),
        Work::Json(json) => responses::json(json.clone()),
        Work::ResourceAreas => responses::json(discovery::RESOURCE_AREAS),
        Work::Locations(area) => responses::json(locations::list(area.as_deref()).to_string()),
        Work::Packages(query) => answer_packages(hub, organization, query, origin),
        Work::Faults(work) => match hub.find(&organization.name) {
            Some(organization) => control_faults::answer(&organization, work),
            None => responses::encoded(gone(organization)),
        },
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
pub(crate) fn origin(hub: &Hub, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-.:[]_".contains(character);
    match host {
        Some(host) if !host.is_empty() && host.chars().all(allowed) => format!("{}://{host}", hub.scheme),
        _ => format!("{}://{}", hub.scheme, hub.address),
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
pub(crate) struct Asked {
    arrival: Instant,
    method: Method,
    route: Cow<'static, str>,
    caller: Option<String>,
    /// Set if this is KEDA reading the queue.
    scaler_read: Option<ScalerRead>,
    /// Path and query of a read of KEDA's.
    key: Option<Box<str>>,
    /// Whether this is a list of job requests, whoever reads it.
    is_list_of_jobs: bool,
    /// Whether rows are answered the other way round.
    reversed: bool,
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
            is_list_of_jobs: matches!(route, Some(Route::JobRequests(_))),
            reversed: false,
        }
    }

    /// A request for a token, which no organisation may be found for.
    pub(crate) fn of_token(arrival: Instant, request: &Request) -> Self {
        let caller = request.headers().get(USER_AGENT).and_then(|caller| caller.to_str().ok());
        Self {
            arrival,
            method: request.method().clone(),
            route: Cow::Borrowed(oauth::ROUTE),
            caller: caller.map(|caller| caller.chars().take(MAX_CALLER).collect()),
            scaler_read: None,
            key: None,
            is_list_of_jobs: false,
            reversed: false,
        }
    }

    /// The request, as faults tell requests apart.
    fn hit(&self, route: Option<fault::Route>, credential: Shown) -> azure_devops::faults::Asked {
        let caller = faults::called_by(self.caller.as_deref(), credential);
        azure_devops::faults::Asked { at: self.arrival, route, caller, credential }
    }

    /// The response, once it may be told, and the log knows of it.
    async fn answered(self, organization: &Shared, answered: Answered) -> Response {
        let response = kept(organization, answered.response).await;
        if !answered.told {
            self.record(organization, response.status().as_u16(), Vec::new());
        }
        response
    }

    /// KEDA's reads are told whatever came of them, other requests if they failed.
    pub(crate) fn record(self, organization: &Shared, status: u16, rows: Vec<ScalerRow>) {
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
    caller.starts_with(KEDA_USER_AGENT)
}
