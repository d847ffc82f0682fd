//! Faults of the service, as long as they last.

use std::collections::BTreeMap;

use azure_devops::faults::{self, Asked, Effect, FaultId};
use model::event::ScalerRow;
use model::fault::{CalledBy, Fault, Route, ServiceAnswer, ServiceFault, Shown};
use model::scenario::ParallelJobs;
use model::{Instant, Scenario};

use crate::node::{FaultAnswer, Faults};

/// The faults that are on, by their number in the scenario.
#[derive(Debug)]
pub(super) struct ServiceFaults {
    on: faults::Faults,
    /// What KEDA's reads were answered when each fault with `stale` began.
    before: BTreeMap<FaultId, Before>,
}

/// An answer from before.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    pub(super) count: u64,
    pub(super) rows: Vec<ScalerRow>,
}

impl ServiceFaults {
    pub(super) fn new(seed: u64) -> Self {
        Self { on: faults::Faults::new(seed), before: BTreeMap::new() }
    }

    pub(super) fn begin(&mut self, number: u32, fault: ServiceFault) {
        self.on.begin(FaultId::Scenario(number), fault);
    }

    pub(super) fn end(&mut self, number: u32) {
        let id = FaultId::Scenario(number);
        self.on.end(id);
        self.before.remove(&id);
    }

    pub(super) fn remember(&mut self, number: u32, before: Before) {
        self.before.insert(FaultId::Scenario(number), before);
    }

    /// What reads of job requests were answered when a fault began, if it still lasts.
    pub(super) fn before(&self, fault: FaultId) -> Option<&Before> {
        self.before.get(&fault)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    pub(super) fn parallel_jobs(&self) -> Option<ParallelJobs> {
        self.on.parallel_jobs()
    }

    /// What becomes of a request. In a simulation everybody shows the personal access token.
    pub(super) fn effect(&mut self, now: Instant, route: Route, caller: CalledBy) -> Option<Effect> {
        let credential = Shown::PersonalAccessToken;
        self.on.effect(&Asked { at: now, route: Some(route), caller, credential })
    }
}

impl Faults for ServiceFaults {
    fn intercept(&mut self, now: Instant, route: Route, caller: CalledBy) -> Option<FaultAnswer> {
        if self.on.is_empty() {
            return None;
        }
        let Effect { delay, delay_per_row, answer, .. } = self.effect(now, route, caller)?;
        Some(FaultAnswer { answer: answer.map(|(_, answer)| answer), delay, delay_per_row })
    }

    fn on(&mut self) -> Option<&mut faults::Faults> {
        if self.on.is_empty() { None } else { Some(&mut self.on) }
    }
}

/// What of a scenario's faults the simulation does not model, by its field; the first, if there is any.
pub(super) fn not_modelled(scenario: &Scenario) -> Option<String> {
    let quirks = &scenario.organization.quirks;
    let set = [
        ("job_still_running_status", quirks.job_still_running_status.is_some()),
        ("session_expired_status", quirks.session_expired_status.is_some()),
        ("job_token_expired_status", quirks.job_token_expired_status.is_some()),
        ("agent_authorization", quirks.agent_authorization.is_some()),
        ("session_encryption", quirks.session_encryption.is_some()),
        ("newest_agent", quirks.newest_agent.is_some()),
        ("listener_token_life", quirks.listener_token_life.is_some()),
        ("api_versions", quirks.api_versions.is_some()),
    ];
    if let Some((field, _)) = set.iter().find(|(_, set)| *set) {
        return Some(format!(
            "organization.quirks.{field}: it makes no difference to what is simulated; take the engine `local`"
        ));
    }
    let faults = scenario.faults.iter().enumerate();
    faults.into_iter().find_map(|(number, fault)| {
        let Fault::Service(fault) = fault else { return None };
        let (field, because) = not_modelled_of(fault)?;
        Some(format!("faults.{number}.service.{field}: {because}"))
    })
}

fn not_modelled_of(fault: &ServiceFault) -> Option<(&'static str, &'static str)> {
    if matches!(fault.route, Route::Builds | Route::Discovery | Route::Tokens) {
        return Some(("route", "nobody asks for it in a simulation; take the engine `local`"));
    }
    if !matches!(fault.credential, Shown::Anything | Shown::PersonalAccessToken) {
        let because = "everybody shows the personal access token in a simulation; take the engine `local`";
        return Some(("credential", because));
    }
    let asks = match fault.caller {
        CalledBy::Anybody => true,
        CalledBy::Keda => matches!(fault.route, Route::All | Route::Pools | Route::JobRequests),
        CalledBy::Agent => !matches!(fault.route, Route::JobRequests | Route::Packages),
        CalledBy::Other => matches!(fault.route, Route::All | Route::Packages),
    };
    (!asks).then_some(("caller", "it does not ask for this route in a simulation; take the engine `local`"))
}

/// The HTTP status that an answer has on the wire; none for one that never comes, or breaks off.
pub(super) fn status(answer: ServiceAnswer) -> Option<u16> {
    use model::fault::NamedAnswer::{Hang, Redirect, SignInPage, TokenExpired, Truncated};
    match answer {
        ServiceAnswer::Status(status) => Some(status),
        ServiceAnswer::Named(SignInPage) => Some(203),
        ServiceAnswer::Named(Redirect) => Some(302),
        ServiceAnswer::Named(TokenExpired) => Some(401),
        ServiceAnswer::Named(Hang | Truncated) => None,
        ServiceAnswer::Named(_) => Some(200),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_about_its_route_while_it_is_on() {
        let mut faults = ServiceFaults::new(1);
        let answer = Some(ServiceAnswer::Status(503));
        faults.begin(0, ServiceFault { route: Route::JobRequests, answer, ..ServiceFault::default() });
        let mut hit = |route| faults.intercept(Instant::START, route, CalledBy::Keda).is_some();
        assert!(hit(Route::JobRequests) && !hit(Route::Pools));
        faults.end(0);
        assert!(faults.intercept(Instant::START, Route::JobRequests, CalledBy::Keda).is_none());
        assert!(faults.on().is_none());
    }

    #[test]
    fn what_the_simulation_does_not_model_is_told_by_its_field() {
        let field = |fault: ServiceFault| not_modelled_of(&fault).map(|(field, _)| field);
        let route = |route| ServiceFault { route, ..ServiceFault::default() };
        assert_eq!(field(route(Route::Discovery)), Some("route"));
        assert_eq!(field(route(Route::Locks)), None);
        assert_eq!(
            field(ServiceFault { credential: Shown::JobToken, ..ServiceFault::default() }),
            Some("credential")
        );
        assert_eq!(field(ServiceFault { caller: CalledBy::Other, ..route(Route::Pools) }), Some("caller"));
        assert_eq!(field(ServiceFault { caller: CalledBy::Other, ..route(Route::Packages) }), None);
    }
}
