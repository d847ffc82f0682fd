//! Faults of the service, as long as they last.

use std::collections::BTreeMap;

use model::event::ScalerRow;
use model::fault::{Route, ServiceAnswer, ServiceFault};
use model::{Instant, Millis};

use crate::node::{FaultAnswer, Faults};

/// The faults that are on, by their number in the scenario.
#[derive(Debug, Default)]
pub(super) struct ServiceFaults {
    on: BTreeMap<u32, ServiceFault>,
    /// What KEDA's reads were answered when each fault with `stale` began.
    before: BTreeMap<u32, Before>,
}

/// An answer from before.
#[derive(Debug, Clone, Default)]
pub(super) struct Before {
    pub(super) count: u64,
    pub(super) rows: Vec<ScalerRow>,
}

impl ServiceFaults {
    pub(super) fn begin(&mut self, number: u32, fault: ServiceFault) {
        self.on.insert(number, fault);
    }

    pub(super) fn end(&mut self, number: u32) {
        self.on.remove(&number);
        self.before.remove(&number);
    }

    pub(super) fn remember(&mut self, number: u32, before: Before) {
        self.before.insert(number, before);
    }

    /// What reads of job requests were answered when the fault began that answers them now.
    pub(super) fn before(&self) -> Option<&Before> {
        let mut concerned = self.on.iter().filter(|(_, fault)| {
            matches!(fault.route, Route::All | Route::JobRequests) && fault.answer.is_some()
        });
        self.before.get(concerned.next()?.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }
}

impl Faults for ServiceFaults {
    /// Of several faults the longest delay counts, and the first answer.
    fn intercept(&self, _now: Instant, route: Route) -> Option<FaultAnswer> {
        let mut found: Option<FaultAnswer> = None;
        for fault in self.on.values().filter(|fault| fault.route == Route::All || fault.route == route) {
            let so_far = found.get_or_insert(FaultAnswer { answer: None, delay: Millis::ZERO });
            so_far.delay = so_far.delay.max(fault.delay.map_or(Millis::ZERO, |delay| delay.most));
            so_far.answer = so_far.answer.or(fault.answer);
        }
        found
    }
}

/// The HTTP status that an answer has on the wire; none for one that never comes.
pub(super) fn status(answer: ServiceAnswer) -> Option<u16> {
    use model::fault::NamedAnswer::{Hang, Malformed, SignInPage, Stale};
    match answer {
        ServiceAnswer::Status(status) => Some(status),
        ServiceAnswer::Named(SignInPage) => Some(203),
        ServiceAnswer::Named(Malformed | Stale) => Some(200),
        ServiceAnswer::Named(Hang) => None,
        ServiceAnswer::Named(_) => Some(200),
    }
}

#[cfg(test)]
mod tests {
    use model::fault::NamedAnswer;

    use super::*;

    fn fault(route: Route, answer: Option<ServiceAnswer>, delay: u64) -> ServiceFault {
        let delay = (delay > 0).then_some(model::MillisRange::exactly(Millis(delay)));
        ServiceFault { route, answer, delay, ..ServiceFault::default() }
    }

    #[test]
    fn a_fault_is_about_its_route_while_it_is_on() {
        let mut faults = ServiceFaults::default();
        faults.begin(0, fault(Route::JobRequests, Some(ServiceAnswer::Status(503)), 0));
        assert!(faults.intercept(Instant::START, Route::JobRequests).is_some());
        assert!(faults.intercept(Instant::START, Route::Agents).is_none());
        faults.end(0);
        assert!(faults.intercept(Instant::START, Route::JobRequests).is_none());
    }

    #[test]
    fn of_several_faults_the_first_answer_counts_and_the_longest_delay() {
        let mut faults = ServiceFaults::default();
        faults.begin(0, fault(Route::All, None, 5));
        faults.begin(1, fault(Route::Pools, Some(ServiceAnswer::Named(NamedAnswer::Hang)), 3));
        faults.begin(2, fault(Route::Pools, Some(ServiceAnswer::Status(500)), 0));
        let hang = Some(ServiceAnswer::Named(NamedAnswer::Hang));
        assert_eq!(
            faults.intercept(Instant::START, Route::Pools),
            Some(FaultAnswer { answer: hang, delay: Millis(5) })
        );
    }
}
