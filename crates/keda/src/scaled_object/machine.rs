//! The machine: its state, and which part of it answers to what.

use std::borrow::Cow;
use std::sync::Arc;

use model::{Instant, Millis};

use super::action::{Action, Input, Options, ScalingActive, View, WriteId};
use super::conditions::{Condition, ConditionType, Conditions, Status};
use super::health::Health;
use super::hpa::HpaSpec;
use super::poll::Poll;
use super::query::{Held, Query};
use super::reconcile::Reconcile;
use super::spec::Spec;
use crate::rules::Rules;
use crate::scaler::{AzurePipelines, CacheKey, CallId, Outcome, Scalers, Task};

/// How long a write may take before 2.21, which gave it a limit: the API server's own
/// (k8s:staging/src/k8s.io/apiserver/pkg/server/config.go, `RequestTimeout`).
pub const API_REQUEST_TIMEOUT: Millis = Millis::seconds(60);

/// A polling interval of zero (allowed until 2.19) makes one poll follow the other; so does this.
const LEAST_INTERVAL: Millis = Millis(1);

/// One ScaledObject as the operator works on it.
///
/// Status (conditions, lastActiveTime, failure counters) outlives the operator's process, as it is in the API;
/// everything else goes with it.
#[derive(Debug, Clone)]
pub struct ScaledObject {
    pub(super) rules: &'static Rules,
    pub(super) options: Options,
    pub(super) namespace: String,
    pub(super) spec: Arc<Spec>,
    pub(super) generation: u64,
    pub(super) created: Instant,
    pub(super) operator_runs: bool,
    pub(super) deleted: bool,
    pub(super) scalers: Scalers,
    pub(super) reconcile: Reconcile,
    pub(super) repeat: Option<Repeat>,
    /// The generation whose loop this process started.
    pub(super) seen: Option<u64>,
    pub(super) poll: Option<Poll>,
    pub(super) queries: Vec<Query>,
    pub(super) held: Vec<Held>,
    /// What polls found for queries (`useCachedMetrics`), or queries for polls (2.21), by trigger.
    pub(super) records: Vec<Option<Record>>,
    pub(super) hpa: Option<HpaSpec>,
    pub(super) hpa_created: Instant,
    pub(super) scaling_active: Option<ScalingActive>,
    pub(super) conditions: Conditions,
    pub(super) last_active: Option<Instant>,
    pub(super) health: Health,
    pub(super) original_replicas: Option<u32>,
    writes: WriteId,
}

/// The scale loop's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Repeat {
    pub(super) interval: Millis,
    /// When the next poll starts, unless one is still under way.
    pub(super) next: Instant,
}

/// What a read found (K:pkg/scaling/cache/metricscache).
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// The value in thousandths, if there is one.
    pub(super) milli: Option<i64>,
    pub(super) active: bool,
    pub(super) falls_back: bool,
    pub(super) error: Option<Arc<str>>,
}

impl ScaledObject {
    /// A ScaledObject that the operator has not seen yet. `created` is its creationTimestamp.
    #[must_use]
    pub fn new(
        rules: &'static Rules,
        options: Options,
        namespace: &str,
        spec: Spec,
        created: Instant,
    ) -> Self {
        let triggers = Arc::clone(&spec.triggers);
        let number = triggers.len();
        let mut health = Health::default();
        health.resize(number);
        Self {
            rules,
            options,
            namespace: namespace.to_owned(),
            spec: Arc::new(spec),
            generation: 1,
            created: whole_seconds(created),
            operator_runs: true,
            deleted: false,
            scalers: Scalers::new(rules, options.http_timeout, triggers, 1),
            reconcile: Reconcile::default(),
            repeat: None,
            seen: None,
            poll: None,
            queries: Vec::new(),
            held: Vec::new(),
            records: vec![None; number],
            hpa: None,
            hpa_created: Instant::START,
            scaling_active: None,
            conditions: Conditions::default(),
            last_active: None,
            health,
            original_replicas: None,
            writes: 0,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input, view: &View, out: &mut Vec<Action>) {
        match input {
            Input::Created => self.reconcile.ask(now),
            Input::Edited(spec) => self.edited(now, *spec),
            Input::Deleted => self.delete(now, out),
            Input::OperatorDown => self.operator_down(out),
            Input::OperatorStarted(rules) => self.operator_started(now, rules, out),
            Input::Answer { call, answer } => self.scalers.answer(now, call, answer, out),
            Input::Query { id, metric } => self.query(now, id, metric, out),
            Input::QueryGone { id } => self.query_gone(now, id, out),
            Input::HpaStatus(scaling_active) => self.scaling_active = scaling_active,
            Input::HpaGone => {
                self.hpa = None;
                self.scaling_active = None;
                self.reconcile.ask(now);
            }
            Input::Scaled { write, result } => self.scaled(now, write, result, view, out),
        }
        self.advance(now, view, out);
    }

    /// Does what is due. To be called when [`Self::next_deadline`] has come.
    pub fn advance(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) {
        self.release_held(now, out);
        if !self.operator_runs || self.deleted {
            return;
        }
        self.scalers.advance(now, out);
        self.writes_expire(now, view, out);
        loop {
            while let Some(outcome) = self.scalers.next_outcome() {
                self.go_on(now, outcome, view, out);
            }
            let did_reconcile = self.start_reconcile(now, view, out);
            let did_poll = self.start_poll(now, out);
            if !did_reconcile && !did_poll {
                return;
            }
        }
    }

    /// When something is due next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let held = self.held.iter().map(|held| held.until).min();
        if !self.operator_runs || self.deleted {
            return held;
        }
        let poll = match (&self.poll, self.repeat) {
            (Some(poll), _) => poll.write.map(|(_, until)| until),
            (None, repeat) => repeat.map(|repeat| repeat.next),
        };
        [held, poll, self.reconcile.deadline(), self.scalers.next_deadline()].into_iter().flatten().min()
    }

    /// `status.lastActiveTime`, in whole seconds.
    #[must_use]
    pub fn last_active(&self) -> Option<Instant> {
        self.last_active
    }

    /// A condition, if it was ever set.
    #[must_use]
    pub fn condition(&self, condition: ConditionType) -> Option<&Condition> {
        self.conditions.get(condition)
    }

    /// The object as it is written.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The HPA as it was applied last.
    #[must_use]
    pub fn hpa(&self) -> Option<&HpaSpec> {
        self.hpa.as_ref()
    }

    /// Whether the scale loop runs.
    #[must_use]
    pub fn loop_runs(&self) -> bool {
        self.repeat.is_some()
    }

    /// Puts the next poll at `at`, to follow a real operator's phase. From there on the cadence is its own again.
    pub fn align(&mut self, at: Instant) {
        if let Some(repeat) = &mut self.repeat {
            repeat.next = at;
        }
    }

    /// The settings that a request is made with: whoever answers it counts with them.
    #[must_use]
    pub fn settings_of(&self, call: CallId) -> Option<&AzurePipelines> {
        self.scalers.settings_of(call)
    }

    fn go_on(&mut self, now: Instant, outcome: Outcome, view: &View, out: &mut Vec<Action>) {
        match outcome {
            Outcome::Obtained { task, result } => {
                match &result {
                    Ok(cache) => self.tell_built(*cache, out),
                    Err(error) => self.event(true, "KEDAScalerFailed", error.clone(), out),
                }
                match task {
                    Task::Reconcile => self.ensure_hpa(now, result, view, out),
                    Task::Poll => self.poll_triggers(now, &result, view, out),
                    Task::Query(id) => self.query_trigger(now, id, result, view, out),
                }
            }
            Outcome::Read { task: Task::Poll, trigger, reading } => {
                self.poll_read(now, trigger, reading, view, out);
            }
            Outcome::Read { task: Task::Query(id), reading, .. } => {
                self.query_read(now, id, reading, view, out);
            }
            // A reconcile builds, it does not read.
            Outcome::Read { task: Task::Reconcile, .. } => {}
        }
    }

    fn tell_built(&mut self, cache: CacheKey, out: &mut Vec<Action>) {
        let built = self.scalers.take_built(cache);
        if self.rules.scaled_object.built_events {
            for _ in 0..built {
                self.event(false, "KEDAScalersStarted", "Scaler azure-pipelines is built", out);
            }
        }
    }

    fn edited(&mut self, now: Instant, spec: Spec) {
        if spec.manifest().spec != self.spec.manifest().spec {
            self.generation += 1;
        }
        self.health.resize(spec.triggers.len());
        self.scalers.change(Arc::clone(&spec.triggers), self.generation);
        self.spec = Arc::new(spec);
        self.reconcile.ask(now);
    }

    fn delete(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.deleted {
            return;
        }
        if self.operator_runs {
            self.stop_loop(now, out);
            if let Some(replicas) = self.original_replicas.filter(|_| self.spec.restore) {
                let write = self.next_write();
                let because = super::decide::Because::Restored;
                out.push(Action::Scale { write, replicas, because });
            }
        }
        if self.operator_runs {
            self.event(true, "ScaledObjectDeleted", "ScaledObject was deleted", out);
        }
        self.fail_queries("error getting scalers ScaledObject not found", out);
        self.scalers.restart(self.rules, out);
        self.reconcile = Reconcile::default();
        if let Some(hpa) = self.hpa.take() {
            // Its owner is gone: the garbage collector deletes it.
            out.push(Action::DeleteHpa { name: hpa.name });
        }
        self.deleted = true;
    }

    fn operator_down(&mut self, out: &mut Vec<Action>) {
        self.operator_runs = false;
        self.fail_queries("rpc error: code = Unavailable desc = error reading from server: EOF", out);
        self.scalers.restart(self.rules, out);
        self.reconcile = Reconcile::default();
        self.repeat = None;
        self.seen = None;
        self.poll = None;
        self.records.fill(None);
        self.health.restart();
    }

    fn operator_started(&mut self, now: Instant, rules: &'static Rules, out: &mut Vec<Action>) {
        if self.operator_runs {
            self.operator_down(out);
        }
        self.operator_runs = true;
        if !std::ptr::eq(self.rules, rules) {
            self.rules = rules;
            self.spec = Arc::new(self.spec.reread(rules));
        }
        self.scalers.restart(rules, out);
        self.scalers.change(Arc::clone(&self.spec.triggers), self.generation);
        self.reconcile.ask(now);
    }

    /// Starts the loop, or starts it anew (`HandleScalableObject`).
    pub(super) fn start_loop(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.repeat.is_some() {
            self.end_loop(now, out);
        } else {
            self.event(false, "KEDAScalersStarted", "Started scalers watch", out);
        }
        self.records.resize(self.spec.triggers.len(), None);
        self.repeat = Some(Repeat { interval: self.spec.polling_interval.max(LEAST_INTERVAL), next: now });
        self.seen = Some(self.generation);
    }

    /// Stops the loop (`DeleteScalableObject`).
    pub(super) fn stop_loop(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.repeat.is_some() {
            self.event(false, "KEDAScalersStopped", "Stopped scalers watch", out);
        }
        self.end_loop(now, out);
        self.repeat = None;
        self.seen = None;
    }

    /// A loop on its way out gives up its poll and drops records and cache by the object's name: after a
    /// change of the spec that is the cache which the reconcile has just built. Whether
    /// the next loop's poll meets it before is a race; here the old loop is always the faster.
    fn end_loop(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.scalers.end(now, Task::Poll, out);
        self.poll = None;
        self.records.fill(None);
        self.scalers.clear_cache();
    }

    /// Any failed read drops the cache, and until 2.20 the records with it (`ClearScalersCache`).
    pub(super) fn drop_cache(&mut self) {
        self.scalers.clear_cache();
        if self.rules.cache.error_drops_records {
            self.records.fill(None);
        }
    }

    pub(super) fn next_write(&mut self) -> WriteId {
        self.writes += 1;
        self.writes
    }

    /// Until when a write may take.
    pub(super) fn write_limit(&self, now: Instant) -> Instant {
        let limit = if self.rules.scaled_object.failed_scale_is_told {
            self.spec.polling_interval + self.options.kubernetes_api_timeout
        } else {
            API_REQUEST_TIMEOUT
        };
        now + limit
    }

    fn scaled(
        &mut self,
        now: Instant,
        write: WriteId,
        result: Result<u32, String>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        if !self.operator_runs || self.deleted {
            return;
        }
        if self.poll.as_ref().and_then(|poll| poll.write).is_some_and(|(waits_for, _)| waits_for == write) {
            self.poll_scaled(now, &result, view, out);
        } else if self.reconcile.waits_for(write) {
            self.paused_scaled(now, result.map(|_| ()), out);
        }
    }

    fn writes_expire(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) {
        const LATE: &str = "context deadline exceeded";
        if self.poll.as_ref().and_then(|poll| poll.write).is_some_and(|(_, until)| until <= now) {
            self.poll_scaled(now, &Err(LATE.to_owned()), view, out);
        }
        if self.reconcile.write_until().is_some_and(|until| until <= now) {
            self.paused_scaled(now, Err(LATE.to_owned()), out);
        }
    }

    pub(super) fn set(
        &mut self,
        condition: ConditionType,
        status: Status,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
        out: &mut Vec<Action>,
    ) {
        self.conditions.set(condition, status, reason, message, out);
    }

    pub(super) fn event(
        &self,
        warning: bool,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
        out: &mut Vec<Action>,
    ) {
        out.push(Action::Event { warning, reason, message: message.into() });
    }
}

/// As the API keeps times: fractions are cut off.
pub(super) fn whole_seconds(at: Instant) -> Instant {
    Instant(at.0 / 1000 * 1000)
}
