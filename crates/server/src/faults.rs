//! Faults of the service: while one is on, requests to its route are answered
//! otherwise, later, or not at all. Which requests, and with what, is the scenario's choice.
//!
//! A fault comes before everything else, the token included: it is what stands in front of the
//! service that fails. Control routes are ours and never fail.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use azure_devops::{BadToken, Call, Refusal};
use model::Millis;
use model::event::ScalerRow;
use model::fault::{self, NamedAnswer, ServiceAnswer, ServiceFault};
use serde_json::json;

use crate::organization::Encoded;
use crate::responses;
use crate::routes::Route;

/// The most different reads of KEDA's that are remembered, for faults that answer as before.
const MOST_READS: usize = 64;
/// What Azure DevOps calls an answer that its own parts did not give.
const UNAVAILABLE: (&str, &str) = ("VssServiceResponseException", "Microsoft.VisualStudio.Services.Common");
/// The same for a caller that asks too much. Source: Azure DevOps, "Rate and usage limits".
const BLOCKED: (&str, &str) = ("RequestBlockedException", "Microsoft.TeamFoundation.Framework.Server");

/// The faults that are on, by their number.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    on: BTreeMap<u32, On>,
    /// What KEDA reads, by path and query.
    reads: BTreeMap<Box<str>, Call>,
}

#[derive(Debug)]
struct On {
    fault: ServiceFault,
    /// What KEDA's reads were answered when it began.
    before: BTreeMap<Box<str>, Snapshot>,
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
    /// What is answered instead.
    pub(crate) answer: Option<Instead>,
}

/// What is answered instead.
#[derive(Debug)]
pub(crate) enum Instead {
    /// This status.
    Status(u16),
    /// A page in HTML.
    SignInPage,
    /// Half of the answer that is right.
    Malformed,
    /// What was right when the fault began.
    Before(Box<Snapshot>),
    /// Nothing.
    Nothing,
}

impl Faults {
    /// A fault begins. `read` answers what KEDA has been reading.
    pub(crate) fn begin(
        &mut self,
        number: u32,
        fault: ServiceFault,
        mut read: impl FnMut(Call) -> Option<Snapshot>,
    ) {
        let mut before = BTreeMap::new();
        if fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Stale)) {
            for (key, call) in &self.reads {
                before.extend(read(call.clone()).map(|snapshot| (key.clone(), snapshot)));
            }
        }
        self.on.insert(number, On { fault, before });
    }

    pub(crate) fn end(&mut self, number: u32) {
        self.on.remove(&number);
    }

    /// KEDA reads this.
    pub(crate) fn remember(&mut self, key: &str, call: &Call) {
        if self.reads.len() < MOST_READS && !self.reads.contains_key(key) {
            self.reads.insert(key.into(), call.clone());
        }
    }

    /// What becomes of a request to `route`, of KEDA's if `key` is given. Of several faults the longest
    /// delay counts, and the first answer.
    pub(crate) fn effect(&self, route: Option<&Route>, key: Option<&str>) -> Option<Effect> {
        let mut found = None::<Effect>;
        for On { fault, before } in self.on.values().filter(|on| concerns(on.fault.route, route)) {
            let effect = found.get_or_insert_default();
            effect.delay = effect.delay.max(fault.delay.map_or(Millis::ZERO, |delay| delay.most));
            if effect.answer.is_none() {
                effect.answer = fault.answer.and_then(|answer| instead(answer, before, key));
            }
        }
        found
    }
}

fn instead(
    answer: ServiceAnswer,
    before: &BTreeMap<Box<str>, Snapshot>,
    key: Option<&str>,
) -> Option<Instead> {
    Some(match answer {
        ServiceAnswer::Status(status) => Instead::Status(status),
        ServiceAnswer::Named(NamedAnswer::SignInPage) => Instead::SignInPage,
        ServiceAnswer::Named(NamedAnswer::Malformed) => Instead::Malformed,
        ServiceAnswer::Named(NamedAnswer::Hang) => Instead::Nothing,
        ServiceAnswer::Named(
            NamedAnswer::Redirect
            | NamedAnswer::TokenExpired
            | NamedAnswer::Truncated
            | NamedAnswer::WithoutList
            | NamedAnswer::Reordered
            | NamedAnswer::MessageLost
            | NamedAnswer::MessageTwice
            | NamedAnswer::LockLost,
        ) => return None,
        // What nobody had asked before has no answer from before.
        ServiceAnswer::Named(NamedAnswer::Stale) => Instead::Before(Box::new(before.get(key?)?.clone())),
    })
}

/// Whether a fault of `of` is about requests to `route`.
fn concerns(of: fault::Route, route: Option<&Route>) -> bool {
    match of {
        fault::Route::All => !matches!(route, Some(Route::Define | Route::DefinePool)),
        fault::Route::Pools => matches!(route, Some(Route::Pools | Route::Pool(_))),
        fault::Route::JobRequests => matches!(route, Some(Route::JobRequests(_))),
        fault::Route::Agents => {
            matches!(route, Some(Route::Agents(_) | Route::Agent(..) | Route::UserCapabilities(..)))
        }
        fault::Route::Sessions => matches!(route, Some(Route::Sessions(_) | Route::Session(..))),
        fault::Route::Messages => matches!(route, Some(Route::Messages(_) | Route::Message(..))),
        _ => false,
    }
}

/// An error of that status with the body that clients of Azure DevOps know.
pub(crate) fn error(status: u16, origin: &str) -> Response {
    match status {
        // Without a redirect, whatever the caller wishes: the scenario asked for this status.
        401 => return responses::unauthorized(BadToken::Redirect, false, origin),
        403 => return responses::refusal(&Refusal::AccessDenied),
        _ => {}
    }
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let (key, assembly) = if status == 429 { BLOCKED } else { UNAVAILABLE };
    let body = json!({
        "$id": "1",
        "innerException": null,
        "message": reason.unwrap_or("The request failed."),
        "typeName": format!("{assembly}.{key}, {assembly}"),
        "typeKey": key,
        "errorCode": 0,
        "eventId": 3000,
    });
    responses::encoded(Encoded { status, body: body.to_string().into() })
}

#[cfg(test)]
mod tests {
    use azure_devops::{PoolId, RequestId};

    use super::*;

    fn fault(route: fault::Route, answer: Option<ServiceAnswer>, delay: Option<Millis>) -> ServiceFault {
        ServiceFault { route, answer, delay: delay.map(model::MillisRange::exactly), ..ServiceFault::default() }
    }

    #[test]
    fn a_fault_is_about_its_route_and_about_nothing_else() {
        let list = Route::JobRequests(PoolId(1));
        let one = Route::JobRequest(PoolId(1), RequestId(1));
        assert!(concerns(fault::Route::JobRequests, Some(&list)));
        assert!(!concerns(fault::Route::JobRequests, Some(&one)));
        assert!(concerns(fault::Route::All, Some(&one)) && concerns(fault::Route::All, None));
        assert!(!concerns(fault::Route::All, Some(&Route::Define)));
        assert!(!concerns(fault::Route::Pools, Some(&list)) && !concerns(fault::Route::Pools, None));
    }

    #[test]
    fn of_several_faults_the_first_answer_counts_and_the_longest_delay() {
        let mut faults = Faults::default();
        let late = fault(fault::Route::Pools, None, Some(Millis::seconds(4)));
        let refuses = fault(fault::Route::All, Some(ServiceAnswer::Status(503)), Some(Millis::seconds(1)));
        faults.begin(0, late, |_| None);
        faults.begin(1, refuses, |_| None);
        let effect = faults.effect(Some(&Route::Pools), None).expect("an effect");
        assert_eq!(effect.delay, Millis::seconds(4));
        assert!(matches!(effect.answer, Some(Instead::Status(503))));
        faults.end(1);
        let effect = faults.effect(Some(&Route::Pools), None).expect("an effect");
        assert!(effect.answer.is_none());
        assert!(faults.effect(Some(&Route::Locations), None).is_none());
    }

    #[test]
    fn a_stale_answer_is_that_of_the_beginning_and_only_for_what_was_read_before() {
        let mut faults = Faults::default();
        faults.remember("/jobrequests", &Call::ListPools { name: None, ids: Vec::new() });
        let stale = fault(fault::Route::All, Some(ServiceAnswer::Named(NamedAnswer::Stale)), None);
        let body = || Snapshot { answer: Encoded { status: 200, body: "before".into() }, rows: vec![] };
        faults.begin(0, stale, |_| Some(body()));
        let answer = |key| faults.effect(Some(&Route::Pools), key).and_then(|effect| effect.answer);
        let Some(Instead::Before(snapshot)) = answer(Some("/jobrequests")) else { panic!("an answer") };
        assert_eq!(snapshot.answer.body, "before");
        assert!(answer(Some("/other")).is_none() && answer(None).is_none());
    }
}
