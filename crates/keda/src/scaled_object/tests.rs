//! The machine in a small world: a service that answers as told, and an API that writes what it is told.

mod fallback;
mod life;
mod outages;
mod pausing;
mod polling;
mod properties;
mod queries;

use std::collections::BTreeMap;

use model::manifest::keda::ScaledObject as Manifest;
use model::{Instant, Millis};
use semver::Version;
use serde_json::{Value as Json, json};

use super::*;
use crate::rules::Rules;
use crate::scaler::{Answer, Failure, Request, Surroundings};

/// How long the service takes.
const LATENCY: Millis = Millis(40);

pub(super) fn rules(version: &str) -> &'static Rules {
    Rules::of(&Version::parse(version).expect("a version")).expect("modelled")
}

pub(super) fn surroundings() -> Surroundings {
    let parameters =
        [("organizationURL", "https://dev.azure.com/contoso"), ("personalAccessToken", "secret")];
    Surroundings {
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Surroundings::default()
    }
}

/// A ScaledObject with one trigger, and what else its spec says.
pub(super) fn spec(version: &str, more: Json, annotations: &[(&str, &str)]) -> Spec {
    let mut manifest = json!({
        "metadata": { "name": "agents", "annotations": BTreeMap::from_iter(annotations.iter().copied()) },
        "spec": {
            "scaleTargetRef": { "name": "agents" },
            "triggers": [{ "type": "azure-pipelines", "metadata": { "poolID": "7" } }],
        },
    });
    if let Json::Object(fields) = more {
        for (field, value) in fields {
            manifest["spec"][field] = value;
        }
    }
    let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
    let triggers = manifest.spec.triggers.len();
    Spec::read(rules(version), manifest, vec![surroundings(); triggers]).expect("a spec")
}

/// What the service says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Says {
    Jobs(u64),
    Fails(u16),
    /// Never answers.
    Hangs,
}

pub(super) struct World {
    pub(super) version: &'static str,
    pub(super) machine: ScaledObject,
    pub(super) now: Instant,
    pub(super) view: View,
    pub(super) jobs: Says,
    /// Whether the pool is found.
    pub(super) pools: bool,
    /// What writes fail with.
    pub(super) conflict: Option<&'static str>,
    pub(super) log: Vec<(Instant, Action)>,
    answers: Vec<(Instant, u64, Answer)>,
}

impl World {
    /// A world in which the object has just been created, with these replicas.
    pub(super) fn new(version: &'static str, spec: Spec, replicas: u32, jobs: u64) -> Self {
        let machine = ScaledObject::new(rules(version), Options::default(), "team", spec, Instant::START);
        Self {
            version,
            machine,
            now: Instant::START,
            view: View { replicas: Some(replicas), ready: replicas },
            jobs: Says::Jobs(jobs),
            pools: true,
            conflict: None,
            log: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// The same, created and run to this second.
    pub(super) fn created(version: &'static str, more: Json, replicas: u32, jobs: u64) -> Self {
        let mut world = Self::new(version, spec(version, more, &[]), replicas, jobs);
        world.tell(Input::Created);
        world
    }

    pub(super) fn tell(&mut self, input: Input) {
        let mut out = Vec::new();
        self.machine.handle(self.now, input, &self.view, &mut out);
        self.took(out);
    }

    pub(super) fn annotate(&mut self, more: Json, annotations: &[(&str, &str)]) {
        let spec = spec(self.version, more, annotations);
        self.tell(Input::Edited(Box::new(spec)));
    }

    /// Lets time pass, to the end of this second.
    pub(super) fn run_to(&mut self, seconds: u64) {
        let end = Instant(seconds * 1000);
        loop {
            let answer = self.answers.iter().map(|(at, ..)| *at).min();
            let due = self.machine.next_deadline();
            let Some(next) = [answer, due].into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if let Some(position) = self.answers.iter().position(|(at, ..)| *at <= self.now) {
                let (_, call, answer) = self.answers.remove(position);
                self.tell(Input::Answer { call, answer });
            } else {
                let mut out = Vec::new();
                self.machine.advance(self.now, &self.view, &mut out);
                self.took(out);
            }
        }
        self.now = end;
    }

    fn took(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.log.push((self.now, action.clone()));
            match action {
                Action::Request { call, request, .. } => self.serve(call, request),
                Action::Scale { write, replicas, .. } => {
                    let before = self.view.replicas.unwrap_or(0);
                    let result = self.conflict.map_or(Ok(before), |error| Err(error.to_owned()));
                    if result.is_ok() {
                        self.view = View { replicas: Some(replicas), ready: replicas };
                    }
                    self.tell(Input::Scaled { write, result });
                }
                _ => {}
            }
        }
    }

    fn serve(&mut self, call: u64, request: Request) {
        let answer = match (request.form(), self.jobs) {
            (None, _) if self.pools => Answer::Pool(7),
            (None, _) => Answer::Failure(Failure::Status(503)),
            (Some(_), Says::Jobs(jobs)) => Answer::Count(jobs),
            (Some(_), Says::Fails(status)) => Answer::Failure(Failure::Status(status)),
            (Some(_), Says::Hangs) => return,
        };
        self.answers.push((self.now + LATENCY, call, answer));
    }

    /// The HPA asks, and is answered within 20 s.
    pub(super) fn ask(&mut self, id: u64) -> Result<i64, String> {
        self.tell(Input::Query { id, metric: 0 });
        let mut second = self.now.0 / 1000;
        loop {
            let answered = self.log.iter().find_map(|(_, action)| match action {
                Action::AnswerQuery { id: answered, result } if *answered == id => Some(result.clone()),
                _ => None,
            });
            if let Some(result) = answered {
                return result;
            }
            second += 1;
            assert!(second < self.now.0 / 1000 + 20, "query {id} is not answered");
            self.run_to(second);
        }
    }

    /// When replicas were written, to what and why.
    pub(super) fn scales(&self) -> Vec<(u64, u32, Because)> {
        let scale = |(at, action): &(Instant, Action)| match action {
            Action::Scale { replicas, because, .. } => Some((at.0 / 1000, *replicas, *because)),
            _ => None,
        };
        self.log.iter().filter_map(scale).collect()
    }

    /// The requests since then: `2` for the pool, `3` for job requests, `x` for one given up.
    pub(super) fn requests_since(&self, second: u64) -> String {
        let letter = |(at, action): &(Instant, Action)| match action {
            _ if at.0 < second * 1000 => None,
            Action::Request { request, .. } => Some(if request.form().is_some() { '3' } else { '2' }),
            Action::Abandon { .. } => Some('x'),
            _ => None,
        };
        self.log.iter().filter_map(letter).collect()
    }

    /// When job requests were asked for, in seconds.
    pub(super) fn reads(&self) -> Vec<u64> {
        let read = |(at, action): &(Instant, Action)| match action {
            Action::Request { request, .. } if request.form().is_some() => Some(at.0 / 1000),
            _ => None,
        };
        self.log.iter().filter_map(read).collect()
    }

    pub(super) fn events(&self) -> Vec<&'static str> {
        let reason = |(_, action): &(Instant, Action)| match action {
            Action::Event { reason, .. } => Some(*reason),
            _ => None,
        };
        self.log.iter().filter_map(reason).collect()
    }

    /// A condition as `status/reason`.
    pub(super) fn condition(&self, condition: ConditionType) -> String {
        let Some(found) = self.machine.condition(condition) else { return String::new() };
        format!("{}/{}", found.status.name(), found.reason)
    }

    pub(super) fn hpa_says(&mut self, active: bool, reason: &'static str) {
        let scaling = ScalingActive { active, reason: reason.into(), message: "m".into() };
        self.tell(Input::HpaStatus(Some(scaling)));
    }
}
