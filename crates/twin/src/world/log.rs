//! The log of a simulated run: the facts that a real run's observers would have seen.

use std::collections::BTreeMap;

use model::{Event, Fact, Instant, Source};

/// The log, if one is wanted. Facts are closures, so that nothing is built for nobody.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) wanted: bool,
    pub(super) events: Vec<Event>,
    /// What a watch has told of conditions: type to status, reason and message.
    conditions: BTreeMap<String, (String, String, String)>,
    /// What a watch has told of the HPA.
    hpa: Option<Fact>,
}

impl Log {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn tell(&mut self, at: Instant, by: Source, fact: impl FnOnce() -> Fact) {
        if self.wanted {
            self.events.push(Event { at, by, fact: fact() });
        }
    }

    /// What the runner itself saw.
    pub(super) fn run(&mut self, at: Instant, fact: impl FnOnce() -> Fact) {
        self.tell(at, Source::Run, fact);
    }

    /// What a watch saw, or the API server's audit log.
    pub(super) fn kubernetes(&mut self, at: Instant, fact: impl FnOnce() -> Fact) {
        self.tell(at, Source::Kubernetes, fact);
    }

    /// The HPA's status was written; a watch tells it if it is another than before.
    pub(super) fn hpa(&mut self, at: Instant, fact: impl FnOnce() -> Fact) {
        if self.wanted {
            let fact = fact();
            if self.hpa.as_ref() != Some(&fact) {
                self.hpa = Some(fact.clone());
                self.kubernetes(at, || fact);
            }
        }
    }

    /// A condition of the KEDA object was written; a watch tells it if it is another than before.
    pub(super) fn condition(&mut self, at: Instant, object: &str, condition: &str, values: [&str; 3]) {
        if !self.wanted {
            return;
        }
        let [status, reason, message] = values.map(str::to_owned);
        let told = (status.clone(), reason.clone(), message.clone());
        if self.conditions.get(condition) == Some(&told) {
            return;
        }
        self.conditions.insert(condition.to_owned(), told);
        let (object, condition) = (object.to_owned(), condition.to_owned());
        self.kubernetes(at, || Fact::Condition { object, condition, status, reason, message });
    }
}
