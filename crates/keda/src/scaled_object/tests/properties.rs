//! Whatever happens, and in whatever order.

use proptest::prelude::*;

use super::*;
use crate::scaler::DEFAULT_HTTP_TIMEOUT;

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Answer(usize, Answer),
    Edit { interval: u32, min: u32, paused: bool },
    Down,
    Up(&'static str),
    Query,
    HpaStatus(bool),
    HpaGone,
    Written(bool),
    Target(Option<u32>),
    Stale,
}

const VERSIONS: [&str; 7] = ["2.9.0", "2.12.1", "2.16.1", "2.18.3", "2.19.0", "2.20.1", "2.21.0"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answer = prop_oneof![
        4 => (0..5_u64).prop_map(Answer::Count),
        4 => Just(Answer::Pool(7)),
        2 => Just(Answer::Failure(Failure::Status(503))),
        1 => Just(Answer::Failure(Failure::Malformed)),
    ];
    let step = prop_oneof![
        8 => (0..40_000_u64).prop_map(Step::Wait),
        12 => (0..4_usize, answer).prop_map(|(which, answer)| Step::Answer(which, answer)),
        1 => (1..40_u32, 0..4_u32, any::<bool>())
            .prop_map(|(interval, min, paused)| Step::Edit { interval, min, paused }),
        1 => Just(Step::Down),
        1 => prop::sample::select(&VERSIONS[..]).prop_map(Step::Up),
        3 => Just(Step::Query),
        1 => any::<bool>().prop_map(Step::HpaStatus),
        1 => Just(Step::HpaGone),
        6 => any::<bool>().prop_map(Step::Written),
        1 => prop::option::of(0..9_u32).prop_map(Step::Target),
        1 => Just(Step::Stale),
    ];
    prop::collection::vec(step, 1..90)
}

/// What the machine was promised, and what it owes.
struct Ledger {
    machine: ScaledObject,
    version: &'static str,
    now: Instant,
    view: View,
    min: u32,
    requests: Vec<(u64, Instant)>,
    queries: Vec<u64>,
    next_query: u64,
    writes: Vec<(u64, u32)>,
}

impl Ledger {
    fn tell(&mut self, input: Input) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &self.view, &mut out);
        self.book(out)
    }

    fn book(&mut self, actions: Vec<Action>) -> Result<(), TestCaseError> {
        for action in actions {
            match action {
                Action::Request { call, .. } => self.requests.push((call, self.now + DEFAULT_HTTP_TIMEOUT)),
                Action::Abandon { call } => {
                    prop_assert!(self.requests.iter().any(|(known, _)| *known == call), "given up twice");
                    self.requests.retain(|(known, _)| *known != call);
                }
                Action::AnswerQuery { id, .. } => {
                    prop_assert!(self.queries.contains(&id), "answered twice");
                    self.queries.retain(|known| *known != id);
                }
                Action::Scale { write, replicas, because } => {
                    let from_zero = matches!(because, Because::Activated | Because::ForcedActivation);
                    prop_assert!(!from_zero || replicas <= self.min.max(1), "{replicas} of {}", self.min);
                    self.writes.push((write, replicas));
                }
                _ => {}
            }
        }
        if self.machine.loop_runs() && self.machine.operator_runs {
            prop_assert!(self.machine.next_deadline().is_some(), "a loop without a next time");
        }
        for (call, until) in &self.requests {
            prop_assert!(*until >= self.now, "request {call} is neither answered nor given up");
        }
        Ok(())
    }

    fn wait(&mut self, millis: u64) -> Result<(), TestCaseError> {
        let end = self.now + Millis(millis);
        let mut rounds = 0;
        while let Some(due) = self.machine.next_deadline().filter(|due| *due <= end) {
            rounds += 1;
            prop_assert!(rounds < 10_000, "time stands still at {due}");
            self.now = self.now.max(due);
            let mut out = Vec::new();
            self.machine.advance(self.now, &self.view, &mut out);
            self.book(out)?;
        }
        self.now = end;
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Wait(millis) => self.wait(*millis),
            Step::Answer(which, answer) if !self.requests.is_empty() => {
                let (call, _) = self.requests.remove(which % self.requests.len());
                self.tell(Input::Answer { call, answer: *answer })
            }
            Step::Answer(..) => Ok(()),
            Step::Stale => self.tell(Input::Answer { call: 999_999, answer: Answer::Count(1) }),
            Step::Edit { interval, min, paused } => {
                self.min = *min;
                let annotations: &[(&str, &str)] = if *paused { &[(PAUSED, "true")] } else { &[] };
                let more =
                    json!({ "pollingInterval": interval, "minReplicaCount": min, "maxReplicaCount": 9 });
                self.tell(Input::Edited(Box::new(spec(self.version, more, annotations))))
            }
            Step::Down => self.tell(Input::OperatorDown),
            Step::Up(version) => {
                self.version = version;
                self.tell(Input::OperatorStarted(rules(version)))
            }
            Step::Query => {
                self.next_query += 1;
                let id = self.next_query;
                self.queries.push(id);
                self.tell(Input::Query { id, metric: 0 })
            }
            Step::HpaStatus(active) => {
                let scaling = ScalingActive { active: *active, reason: "r".into(), message: "m".into() };
                self.tell(Input::HpaStatus(Some(scaling)))
            }
            Step::HpaGone => self.tell(Input::HpaGone),
            Step::Written(succeeds) => {
                let Some((write, replicas)) = self.writes.pop() else { return Ok(()) };
                let before = self.view.replicas.unwrap_or(0);
                if *succeeds {
                    self.view = View { replicas: Some(replicas), ready: replicas };
                }
                let result = if *succeeds { Ok(before) } else { Err("conflict".to_owned()) };
                self.tell(Input::Scaled { write, result })
            }
            Step::Target(replicas) => {
                self.view = View { replicas: *replicas, ready: replicas.unwrap_or(0) };
                Ok(())
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_never_panics_hangs_or_forgets(
        version in prop::sample::select(&VERSIONS[..]),
        fallback in any::<bool>(),
        steps in steps(),
    ) {
        let more = if fallback { json!({ "fallback": { "failureThreshold": 1, "replicas": 3 } }) } else { json!({}) };
        let machine =
            ScaledObject::new(rules(version), Options::default(), "team", spec(version, more, &[]), Instant::START);
        let mut ledger = Ledger {
            machine,
            version,
            now: Instant::START,
            view: View { replicas: Some(0), ready: 0 },
            min: 0,
            requests: Vec::new(),
            queries: Vec::new(),
            next_query: 0,
            writes: Vec::new(),
        };
        ledger.tell(Input::Created)?;
        for step in &steps {
            ledger.take(step)?;
        }
        // Nobody answers any more: everything that is owed is given up in time.
        ledger.wait(120_000)?;
        prop_assert!(ledger.queries.is_empty(), "queries without an answer: {:?}", ledger.queries);
        ledger.tell(Input::OperatorDown)?;
        prop_assert!(ledger.requests.is_empty(), "requests that nobody waits for: {:?}", ledger.requests);
    }
}
