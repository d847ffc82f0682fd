//! Faults of the service: while one is on, requests to its route are answered
//! otherwise, later, or not at all. Which requests, and with what, is the scenario's choice.
//!
//! A fault comes before everything else, the token included: it is what stands in front of the
//! service that fails. Control routes are ours and never fail.
//!
//! What is hit is decided by [`azure_devops::faults`]; here is what it looks like on the wire.

mod wire;

use std::collections::BTreeMap;

use axum::response::Response;
use azure_devops::faults::{self, Asked, FaultId, Rate};
use azure_devops::{Call, Caller, Refusal};
use model::Millis;
use model::event::ScalerRow;
use model::fault::{self, CalledBy, NamedAnswer, ServiceAnswer, ServiceFault, Shown};

use crate::organization::{Encoded, Shared};
use crate::responses;
use crate::routes::Route;

pub(crate) use wire::{NO_LIST, error, redirect, reversed, token_expired, told_of_budget, truncated};

/// The most different reads of KEDA's that are remembered, for faults that answer as before.
const MOST_READS: usize = 64;

/// The faults that are on, by their number.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) on: faults::Faults,
    /// What KEDA's reads were answered when each fault that answers as before began.
    before: BTreeMap<FaultId, BTreeMap<Box<str>, Snapshot>>,
    /// What KEDA reads, by path and query.
    reads: BTreeMap<Box<str>, Call>,
    /// Those that were made over the control route.
    pub(crate) made: crate::control_faults::Made,
}

/// An answer to a read, and its rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) answer: Encoded,
    pub(crate) rows: Vec<ScalerRow>,
}

/// What becomes of a request.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    /// How much later it is answered.
    pub(crate) delay: Millis,
    /// How much later for each row.
    pub(crate) delay_per_row: Millis,
    /// What is answered instead.
    pub(crate) answer: Option<Instead>,
    /// What the caller is told of its budget.
    pub(crate) rate: Option<Rate>,
}

/// What is answered instead.
#[derive(Debug)]
pub(crate) enum Instead {
    /// This status.
    Status(u16),
    /// A page in HTML.
    SignInPage,
    /// Where to sign in.
    Redirect,
    /// The personal access token has expired.
    TokenExpired,
    /// Half of the answer that is right.
    Malformed,
    /// The same, and the connection breaks off.
    Truncated,
    /// A success without a list.
    WithoutList,
    /// The rows the other way round.
    Reordered,
    /// What was right when the fault began.
    Before(Box<Snapshot>),
    /// Nothing.
    Nothing,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            on: faults::Faults::new(seed),
            before: BTreeMap::new(),
            reads: BTreeMap::new(),
            made: crate::control_faults::Made::default(),
        }
    }

    /// A fault begins. `read` answers what KEDA has been reading.
    pub(crate) fn begin(
        &mut self,
        id: FaultId,
        fault: ServiceFault,
        mut read: impl FnMut(Call) -> Option<Snapshot>,
    ) {
        if fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Stale)) {
            let mut before = BTreeMap::new();
            for (key, call) in &self.reads {
                before.extend(read(call.clone()).map(|snapshot| (key.clone(), snapshot)));
            }
            self.before.insert(id, before);
        }
        self.on.begin(id, fault);
    }

    /// A fault is over.
    pub(crate) fn end(&mut self, id: FaultId) -> Option<ServiceFault> {
        self.before.remove(&id);
        self.on.end(id)
    }

    /// KEDA reads this.
    pub(crate) fn remember(&mut self, key: &str, call: &Call) {
        if self.reads.len() < MOST_READS && !self.reads.contains_key(key) {
            self.reads.insert(key.into(), call.clone());
        }
    }

    /// What becomes of a request, of KEDA's if `key` is given.
    pub(crate) fn effect(&mut self, asked: &Asked, key: Option<&str>) -> Option<Effect> {
        let effect = self.on.effect(asked)?;
        Some(Effect {
            delay: effect.delay,
            delay_per_row: effect.delay_per_row,
            answer: effect.answer.and_then(|(id, answer)| self.instead(id, answer, key)),
            rate: effect.rate,
        })
    }

    fn instead(&self, id: FaultId, answer: ServiceAnswer, key: Option<&str>) -> Option<Instead> {
        let named = match answer {
            ServiceAnswer::Status(status) => return Some(Instead::Status(status)),
            ServiceAnswer::Named(named) => named,
        };
        Some(match named {
            NamedAnswer::SignInPage => Instead::SignInPage,
            NamedAnswer::Redirect => Instead::Redirect,
            NamedAnswer::TokenExpired => Instead::TokenExpired,
            NamedAnswer::Malformed => Instead::Malformed,
            NamedAnswer::Truncated => Instead::Truncated,
            NamedAnswer::WithoutList => Instead::WithoutList,
            NamedAnswer::Reordered => Instead::Reordered,
            NamedAnswer::Hang => Instead::Nothing,
            // What nobody had asked before has no answer from before.
            NamedAnswer::Stale => Instead::Before(Box::new(self.before.get(&id)?.get(key?)?.clone())),
            NamedAnswer::MessageLost | NamedAnswer::MessageTwice | NamedAnswer::LockLost => return None,
        })
    }
}

/// Answers a request that stands alone, as faults have it, if any is on; `right` answers it as it would be otherwise.
pub(crate) async fn in_front(
    organization: &Shared,
    asked: &Asked,
    origin: &str,
    right: impl FnOnce() -> Response,
) -> Response {
    let effect = organization.faults().effect(asked, None);
    let Some(effect) = effect else { return right() };
    let hangs = matches!(effect.answer, Some(Instead::Nothing));
    if hangs || effect.delay > Millis::ZERO {
        let until = (!hangs).then_some(asked.at + effect.delay);
        if !organization.wait(until).await {
            return responses::refusal(&Refusal::NothingHere(format!("/{}", organization.name)));
        }
    }
    let mut response = match effect.answer {
        Some(Instead::Status(status)) => error(status, origin),
        Some(Instead::SignInPage) => responses::sign_in_page(),
        Some(Instead::Redirect) => redirect(origin),
        Some(Instead::TokenExpired) => token_expired(origin),
        Some(Instead::WithoutList) => responses::json(NO_LIST),
        Some(Instead::Malformed) => responses::broken_off(right()).await,
        Some(Instead::Truncated) => truncated(right()).await,
        Some(Instead::Reordered | Instead::Before(_) | Instead::Nothing) | None => right(),
    };
    if let Some(rate) = &effect.rate {
        told_of_budget(&mut response, rate, organization.epoch(), organization.now());
    }
    response
}

/// What a request shows of itself, by what it opens.
pub(crate) fn shown(caller: &Result<Caller, Refusal>) -> Shown {
    match caller {
        Ok(Caller::Owner) => Shown::PersonalAccessToken,
        Ok(Caller::Listener(_)) => Shown::AgentToken,
        Ok(Caller::Job(_)) => Shown::JobToken,
        Err(_) => Shown::Nothing,
    }
}

/// Which program makes a request: what it says of itself, else what its token says.
pub(crate) fn called_by(user_agent: Option<&str>, credential: Shown) -> CalledBy {
    match (CalledBy::named(user_agent), credential) {
        (CalledBy::Other, Shown::AgentToken | Shown::JobToken) => CalledBy::Agent,
        (named, _) => named,
    }
}

/// The route as faults name it; nothing for one that only faults of every route are about. By its template, so that
/// what is added to the routes is not forgotten here.
pub(crate) fn route(route: &Route) -> Option<fault::Route> {
    by_template(route.template())
}

fn by_template(template: &str) -> Option<fault::Route> {
    let has = |part: &str| template.contains(part);
    Some(match () {
        () if has("/plans") => fault::Route::Plans,
        () if has("oauth2") => fault::Route::Tokens,
        () if has("/packages") => fault::Route::Packages,
        () if template.ends_with("/jobrequests") => fault::Route::JobRequests,
        () if has("/jobrequests/") => fault::Route::Locks,
        () if has("/sessions") => fault::Route::Sessions,
        () if has("/messages") => fault::Route::Messages,
        () if has("/agents") => fault::Route::Agents,
        () if has("/pools") => fault::Route::Pools,
        () if has("_apis/build") || has("_apis/pipelines") || has("_apis/projects") => fault::Route::Builds,
        () if template == "_apis" || has("_apis/connectionData") || has("_apis/ResourceAreas") => {
            fault::Route::Discovery
        }
        () => return None,
    })
}

/// Whether a route is one of ours, which never fails.
pub(crate) fn is_control(route: &Route) -> bool {
    route.template().starts_with("_poolproof")
}

#[cfg(test)]
mod tests {
    use azure_devops::PoolId;
    use model::Instant;

    use super::*;

    #[test]
    fn every_route_has_the_name_that_faults_know_it_by() {
        for (template, named) in [
            ("_apis/distributedtask/pools", fault::Route::Pools),
            ("_apis/distributedtask/pools/{poolId}", fault::Route::Pools),
            ("_apis/distributedtask/pools/{poolId}/jobrequests", fault::Route::JobRequests),
            ("_apis/distributedtask/pools/{poolId}/jobrequests/{requestId}", fault::Route::Locks),
            ("_apis/distributedtask/pools/{poolId}/agents/{agentId}/updates", fault::Route::Agents),
            ("_apis/distributedtask/pools/{poolId}/sessions", fault::Route::Sessions),
            ("_apis/distributedtask/pools/{poolId}/messages/{messageId}", fault::Route::Messages),
            ("{project}/_apis/distributedtask/hubs/{hub}/plans/{planId}/events", fault::Route::Plans),
            ("_apis/distributedtask/packages/agent", fault::Route::Packages),
            ("{project}/_apis/build/builds/{buildId}", fault::Route::Builds),
            ("_apis", fault::Route::Discovery),
            ("_apis/connectionData", fault::Route::Discovery),
        ] {
            assert_eq!(by_template(template), Some(named), "{template}");
        }
        assert_eq!(by_template("{project}/_apis/distributedtask/queues"), None);
        let list = Route::JobRequests(PoolId(1));
        assert_eq!(route(&list), Some(fault::Route::JobRequests));
        assert!(is_control(&Route::Define) && !is_control(&list));
    }

    #[test]
    fn a_program_is_known_by_its_name_and_else_by_its_token() {
        assert_eq!(called_by(Some("Go-http-client/1.1"), Shown::PersonalAccessToken), CalledBy::Keda);
        assert_eq!(
            called_by(Some("VSServices/1 VstsAgentCore-linux-x64/4"), Shown::Nothing),
            CalledBy::Agent
        );
        assert_eq!(called_by(Some("curl/7.68.0"), Shown::PersonalAccessToken), CalledBy::Other);
        assert_eq!(called_by(None, Shown::JobToken), CalledBy::Agent);
    }

    #[test]
    fn a_stale_answer_is_that_of_the_beginning_and_only_for_what_was_read_before() {
        let mut faults = Faults::new(1);
        faults.remember("/jobrequests", &Call::ListPools { name: None, ids: Vec::new() });
        let answer = Some(ServiceAnswer::Named(NamedAnswer::Stale));
        let stale = ServiceFault { answer, ..ServiceFault::default() };
        let body = || Snapshot {
            answer: Encoded { status: 200, body: "before".into(), ..Encoded::default() },
            rows: vec![],
        };
        faults.begin(FaultId::Scenario(0), stale, |_| Some(body()));
        let credential = Shown::PersonalAccessToken;
        let route = Some(fault::Route::Pools);
        let asked = Asked { at: Instant::START, route, caller: CalledBy::Keda, credential };
        let mut answer = |key| faults.effect(&asked, key).and_then(|effect| effect.answer);
        let Some(Instead::Before(snapshot)) = answer(Some("/jobrequests")) else { panic!("an answer") };
        assert_eq!(snapshot.answer.body, "before");
        assert!(answer(Some("/other")).is_none() && answer(None).is_none());
    }
}
