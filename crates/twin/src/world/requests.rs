//! KEDA's requests to Azure DevOps, and what becomes of them.
//!
//! What the wire would do to them is decided here: tokens, addresses, faults. An
//! answer is counted from the service's rows in place, by KEDA's own rule.

use std::collections::BTreeMap;

use azure_devops::faults::FaultId;
use azure_devops::{BadToken, Call, JobRequestQuery, PoolId, Reply, Row, Secret};
use keda::scaler::{Answer, Authentication, CallId, Failure, PoolReference, Request};
use model::event::{RequestForm, ScalerRow};
use model::fault::{CalledBy, NamedAnswer, Route, ServiceAnswer};
use model::{Fact, Instant, Millis};

use super::faults::{Before, status};
use super::{Task, World};

/// What the log is told for a request that its caller gave up.
const NO_ANSWER: u16 = 0;
/// How KEDA introduces itself (Go's `net/http`).
const CALLER: &str = "Go-http-client/1.1";
/// The route of both requests for a pool.
const POOLS: &str = "_apis/distributedtask/pools";

/// Requests whose answers are under way.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: BTreeMap<CallId, Waiting>,
    /// The last read of job requests.
    read: Option<Request>,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Waiting {
    request: Request,
    asked: Instant,
    instead: Option<(FaultId, ServiceAnswer)>,
}

/// A row of the service's, as KEDA reads it.
struct Read<'a>(Row<'a>);

impl keda::scaler::Row for Read<'_> {
    fn received(&self) -> bool {
        self.0.is_received()
    }
    fn finished(&self) -> bool {
        self.0.result().is_some()
    }
    fn demands(&self) -> impl Iterator<Item = &str> {
        self.0.demands()
    }
    fn matched_agents(&self) -> impl Iterator<Item = &str> {
        self.0.matched_agents()
    }
}

impl World<'_> {
    /// KEDA sends a request.
    pub(super) fn ask(&mut self, call: CallId, request: Request) {
        if request.form().is_some() {
            self.pending.read = Some(request);
        }
        if !self.faults.is_empty() {
            let route = if request.form().is_some() { Route::JobRequests } else { Route::Pools };
            if let Some(effect) = self.faults.effect(self.now, route, CalledBy::Keda) {
                let waiting = Waiting { request, asked: self.now, instead: effect.answer };
                self.pending.waiting.insert(call, waiting);
                let hangs = effect
                    .answer
                    .is_some_and(|(_, answer)| answer == ServiceAnswer::Named(NamedAnswer::Hang));
                if !hangs {
                    let delay = effect.delay + self.delay_of_rows(request, effect.delay_per_row);
                    self.queue.push(self.now + delay, Task::Answer(call));
                }
                return;
            }
        }
        let answer = self.answer(call, request, self.now);
        self.operator_answered(call, answer);
    }

    /// KEDA gives a request up.
    pub(super) fn abandon(&mut self, call: CallId) {
        if let Some(Waiting { request, asked, .. }) = self.pending.waiting.remove(&call) {
            self.tell_read(request, asked, NO_ANSWER, Vec::new());
        }
    }

    /// A delayed answer's time has come.
    pub(super) fn answer_arrives(&mut self, call: CallId) {
        let Some(Waiting { request, asked, instead }) = self.pending.waiting.remove(&call) else { return };
        let answer = match instead {
            None => self.answer(call, request, asked),
            Some((fault, instead)) => {
                let (answer, rows) = self.spoilt(call, request, fault, instead);
                self.tell_read(request, asked, status(instead).unwrap_or(NO_ANSWER), rows);
                answer
            }
        };
        self.operator_answered(call, answer);
    }

    /// How much later a list is answered for its rows.
    fn delay_of_rows(&mut self, request: Request, delay_per_row: Millis) -> Millis {
        if delay_per_row == Millis::ZERO {
            return Millis::ZERO;
        }
        self.service_is_current();
        let rows = match list_of(request, false) {
            Some(list) => match self.call(list) {
                Reply::Answer(azure_devops::Answer::JobRequests(list)) => list.rows.len(),
                _ => 0,
            },
            // A pool by its name, or id.
            None => 1,
        };
        Millis(delay_per_row.0.saturating_mul(u64::try_from(rows).unwrap_or(u64::MAX)))
    }

    fn spoilt(
        &mut self,
        call: CallId,
        request: Request,
        fault: FaultId,
        instead: ServiceAnswer,
    ) -> (Answer, Vec<ScalerRow>) {
        let failure = |failure| (Answer::Failure(failure), Vec::new());
        let named = match instead {
            ServiceAnswer::Status(status) => return failure(Failure::Status(status)),
            ServiceAnswer::Named(named) => named,
        };
        match named {
            NamedAnswer::Stale => match self.faults.before(fault).cloned() {
                Some(Before { count, rows }) if request.form().is_some() => (Answer::Count(count), rows),
                _ => (self.right_answer(call, request, false).0, Vec::new()),
            },
            NamedAnswer::Reordered => {
                self.service_is_current();
                let (answer, status) = self.right_answer(call, request, true);
                let rows =
                    if self.log.wanted && status == 200 { self.rows(request, true) } else { Vec::new() };
                (answer, rows)
            }
            NamedAnswer::TokenExpired => failure(Failure::Status(401)),
            NamedAnswer::WithoutList => (without_list(request), Vec::new()),
            // A client that follows the redirect ends at the sign-in page, too.
            _ => failure(Failure::Malformed),
        }
    }

    /// What the service answers, told to the log.
    fn answer(&mut self, call: CallId, request: Request, asked: Instant) -> Answer {
        self.service_is_current();
        let (answer, status) = self.right_answer(call, request, false);
        let rows = if self.log.wanted && status == 200 { self.rows(request, false) } else { Vec::new() };
        self.tell_read(request, asked, status, rows);
        answer
    }

    /// What the service does at this very instant comes before what is read of it: whether the log asks for
    /// rows, too, must not matter.
    fn service_is_current(&mut self) {
        if self.service.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            self.advance_service();
        }
    }

    /// What the service answers, and with which status.
    fn right_answer(&mut self, call: CallId, request: Request, reversed: bool) -> (Answer, u16) {
        let Some(settings) = self.operator.settings_of(call) else {
            return (Answer::Failure(Failure::Cancelled), NO_ANSWER);
        };
        if settings.organization_url != self.request.organization_url {
            return (Answer::Failure(Failure::Unreachable), NO_ANSWER);
        }
        let token = match &settings.authentication {
            Authentication::PersonalAccessToken(token) => Some(Secret::new(token)),
            _ => None,
        };
        if self.service.authorize(token.as_ref()).is_err() {
            // KEDA asks for no challenge, and follows redirects: to a page that it cannot read.
            return match self.service.settings().switches.bad_token {
                BadToken::Unauthorized => (Answer::Failure(Failure::Status(401)), 401),
                BadToken::Redirect => (Answer::Failure(Failure::Malformed), 302),
                BadToken::SignInPage => (Answer::Failure(Failure::Malformed), 203),
            };
        }
        match request {
            Request::PoolByName => {
                let PoolReference::Name(name) = &settings.pool else {
                    return (Answer::Failure(Failure::NoSuchPool), 200);
                };
                let name = name.clone();
                (self.pool_by_name(name), 200)
            }
            Request::PoolById { pool } => match self.call_pool(pool) {
                Some(id) => (Answer::Pool(id), 200),
                None => (Answer::Failure(Failure::Status(404)), 404),
            },
            Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool } => {
                let Ok(pool) = u64::try_from(pool) else {
                    return (Answer::Failure(Failure::Status(404)), 404);
                };
                let query = query(request, reversed);
                let rules = &self.operator.rules().scaler;
                let rows = self.service.unfinished_rows(PoolId(pool), &query).map(Read);
                (Answer::Count(keda::scaler::count(rules, settings, rows)), 200)
            }
        }
    }

    fn pool_by_name(&mut self, name: String) -> Answer {
        match self.call(Call::ListPools { name: Some(name), ids: Vec::new() }) {
            Reply::Answer(azure_devops::Answer::Pools(pools)) => match pools.as_slice() {
                [pool] => Answer::Pool(signed(pool.0)),
                [] => Answer::Failure(Failure::NoSuchPool),
                several => {
                    Answer::Failure(Failure::ManyPools(u32::try_from(several.len()).unwrap_or(u32::MAX)))
                }
            },
            _ => Answer::Failure(Failure::NoSuchPool),
        }
    }

    fn call_pool(&mut self, pool: i64) -> Option<i64> {
        let id = PoolId(u64::try_from(pool).ok()?);
        match self.call(Call::FindPool(id)) {
            Reply::Answer(azure_devops::Answer::Pool(pool)) => Some(signed(pool.0)),
            _ => None,
        }
    }

    /// The rows of the answer, for the log.
    fn rows(&mut self, request: Request, reversed: bool) -> Vec<ScalerRow> {
        let Some(list) = list_of(request, reversed) else { return Vec::new() };
        match self.call(list) {
            Reply::Answer(azure_devops::Answer::JobRequests(list)) => self.service.scaler_rows(&list),
            _ => Vec::new(),
        }
    }

    /// Remembers what KEDA is answered now, for faults that answer as before.
    pub(super) fn remember_answers(&mut self, fault: u32) {
        self.service_is_current();
        let (Some(settings), Some(request)) = (self.operator.settings(), self.pending.read) else { return };
        let (Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool }) = request
        else {
            return;
        };
        let pool = PoolId(u64::try_from(pool).unwrap_or_default());
        let query = query(request, false);
        let rows = self.service.unfinished_rows(pool, &query).map(Read);
        let count = keda::scaler::count(&self.operator.rules().scaler, &settings, rows);
        let rows = if self.log.wanted { self.rows(request, false) } else { Vec::new() };
        self.faults.remember(fault, Before { count, rows });
    }

    /// Tells the log of a request as the server does: every read of job requests, and what failed of the rest.
    fn tell_read(&mut self, request: Request, asked: Instant, status: u16, rows: Vec<ScalerRow>) {
        if !self.log.wanted {
            return;
        }
        self.tell_of_nodes();
        let latency_ms = self.now.since(asked).0;
        let pool = match request {
            Request::PoolByName | Request::PoolById { .. } => {
                if (200..300).contains(&status) {
                    return;
                }
                let told = || Fact::Request {
                    method: "GET".to_owned(),
                    route: POOLS.to_owned(),
                    status,
                    latency_ms,
                    caller: Some(CALLER.to_owned()),
                };
                return self.log.tell(self.now, model::Source::Service, told);
            }
            Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool } => pool,
        };
        let form = request.form().unwrap_or(RequestForm::All);
        let pool = u64::try_from(pool).unwrap_or_default();
        let told = || Fact::ScalerRead { pool, form, status, latency_ms, rows };
        self.log.tell(self.now, model::Source::Service, told);
    }
}

/// The list that a read asks for, if it asks for one.
fn list_of(request: Request, reversed: bool) -> Option<Call> {
    let (Request::Top { pool, .. } | Request::All { pool } | Request::Unfinished { pool }) = request else {
        return None;
    };
    let pool = PoolId(u64::try_from(pool).ok()?);
    Some(Call::ListJobRequests { pool, query: query(request, reversed) })
}

/// What KEDA reads in a success that has neither a list nor an id in it: Go leaves them empty.
/// Source: kedacore/keda pkg/scalers/azure_pipelines_scaler.go, `JobRequests`, `poolIDResponse`.
fn without_list(request: Request) -> Answer {
    match request {
        Request::PoolByName => Answer::Failure(Failure::NoSuchPool),
        Request::PoolById { .. } => Answer::Pool(0),
        Request::Top { .. } | Request::All { .. } | Request::Unfinished { .. } => Answer::Count(0),
    }
}

/// A read as the service takes it.
fn query(request: Request, reversed: bool) -> JobRequestQuery {
    let mut query = JobRequestQuery { reversed, ..JobRequestQuery::default() };
    match request {
        Request::Top { rows, .. } => query.top = Some(u32::try_from(rows).unwrap_or(u32::MAX)),
        Request::Unfinished { .. } => query.completed = Some(0),
        _ => {}
    }
    query
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
