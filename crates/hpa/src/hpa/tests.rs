//! An HPA held against the numbers that the controller gives, and what always holds.

mod life;
mod properties;
mod vectors;

use model::{Instant, Millis};
use semver::Version;

use super::*;
use crate::spec::{Behavior, Metric, Target};
use crate::{Conditions, desired};

/// Syncs of the tests are 15.02 s apart.
const FINISHING: Millis = Millis(20);

fn rules(minor: u64) -> KubernetesRules {
    KubernetesRules::of(&Version::new(1, minor, 0))
}

/// An HPA from 1 to `max` by one metric, `target` for each pod.
fn spec(max: i32, target: i64) -> HpaSpec {
    let target = Target::AverageValue(target * 1000);
    HpaSpec {
        min: 1,
        max,
        metrics: vec![Metric { name: "s0-azure-pipelines-7".into(), target }],
        behavior: None,
    }
}

fn with_behavior(mut spec: HpaSpec, behavior: &str) -> HpaSpec {
    let json = serde_json::from_str(behavior).expect("JSON");
    spec.behavior = Some(Behavior::from_json(&json).expect("a behavior"));
    spec
}

/// A workload that follows at once, and its HPA; what is decided is also decided by `desired` alone.
struct Cluster {
    hpa: Hpa,
    rules: KubernetesRules,
    history: History,
    view: View,
    actions: Vec<Action>,
    /// How many metrics were read.
    reads: usize,
}

impl Cluster {
    fn new(spec: HpaSpec, minor: u64, replicas: i32) -> Self {
        let mut hpa = Hpa::new(Instant::START, spec, rules(minor));
        hpa.set_finishing(FINISHING);
        let mut cluster = Self {
            hpa,
            rules: rules(minor),
            history: History::new(),
            view: View::default(),
            actions: Vec::new(),
            reads: 0,
        };
        cluster.scale(replicas);
        cluster
    }

    /// Somebody scales the workload, and it follows.
    fn scale(&mut self, replicas: i32) {
        self.view =
            View { spec_replicas: replicas, status_replicas: replicas, pods: replicas, ready: replicas };
    }

    /// Carries out the next sync; `answers` is what each metric says. Tells the replicas after it.
    fn sync(&mut self, answers: &[Answer]) -> i32 {
        let now = self.hpa.next_deadline().expect("a sync to come");
        let alone = desired(self.hpa.spec(), &self.rules, &mut self.history, now, &self.view, answers);
        let current = self.view.spec_replicas;
        self.hpa.advance(now, Some(&self.view), &mut self.actions);
        while let Some(action) = self.actions.pop() {
            let input = match action {
                Action::Read { sync, metric } => {
                    self.reads += 1;
                    Input::Answered { sync, answer: answers[metric] }
                }
                Action::Write { sync, replicas, .. } => {
                    self.scale(replicas);
                    Input::Written { sync, outcome: Written::Done }
                }
                Action::Status => continue,
                Action::Forgotten => panic!("it is not deleted"),
            };
            self.hpa.handle(now, input, Some(&self.view.clone()), &mut self.actions);
        }
        assert_eq!(self.hpa.last(), Some(&alone), "the loop and the function decide alike");
        assert_eq!(self.view.spec_replicas, alone.replicas, "{}", alone.because);
        if let Some(behavior) = self.hpa.spec().behavior.as_ref().filter(|_| alone.replicas != current) {
            let longest = crate::normalise::longest_period(behavior, current, alone.replicas);
            self.history.scaled(now, current, alone.replicas, longest);
        }
        assert_eq!(self.history, self.hpa.history, "the loop and the function remember alike");
        self.view.spec_replicas
    }

    /// One sync for each number of jobs, nothing for a read that fails.
    fn syncs(&mut self, jobs: impl IntoIterator<Item = Option<i64>>) -> Vec<i32> {
        jobs.into_iter().map(|jobs| self.sync(&[jobs.map(|jobs| jobs * 1000)])).collect()
    }

    /// Syncs until `end`, with the same number of jobs.
    fn until(&mut self, end: Instant, jobs: i64) -> Vec<i32> {
        let mut replicas = Vec::new();
        while self.hpa.next_deadline().is_some_and(|at| at < end) {
            replicas.extend(self.syncs([Some(jobs)]));
        }
        replicas
    }

    fn because(&self) -> String {
        self.hpa.last().expect("a decision").because.to_string()
    }

    fn conditions(&self) -> Conditions {
        self.hpa.status().conditions
    }
}
