//! The scale loop: one poll from its start to the conditions that it leaves behind
//! (K:pkg/scaling/scale_handler.go, `startScaleLoop`, `checkScalers`, `getScaledObjectState`;
//! K:pkg/scaling/executor/scale_scaledobjects.go, `RequestScale`).

use std::borrow::Cow;
use std::sync::Arc;

use model::{Instant, Millis};

use super::action::{Action, SCALING_DISABLED, View, WriteId};
use super::conditions::{ConditionType, Status};
use super::decide::{Because, Decision, PollInputs, decide};
use super::health::{self, Side};
use super::hpa::metric_name;
use super::machine::{Record, ScaledObject, whole_seconds};
use super::reconcile::{PAUSED_MESSAGE, PAUSED_REASON, READY_MESSAGE, READY_REASON};
use crate::rules::{Fallback, HpaHealth, Ready};
use crate::scaler::{CacheKey, Reading, Task};

/// How long an HPA is left in peace before its health lowers Ready (2.20.0 and 2.20.1, `hpaHealthGracePeriod`).
pub const HPA_GRACE_PERIOD: Millis = Millis::minutes(1);

pub(super) const FALLS_BACK: &str = "At least one trigger is falling back on this scaled object";
pub(super) const NO_FALLBACK: &str = "No fallbacks are active on this scaled object";

/// A poll under way.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    /// The cache that it reads in.
    cache: Option<CacheKey>,
    /// The triggers that it reads.
    triggers: usize,
    /// The next trigger, where they are read one after the other.
    next: usize,
    /// Triggers that are not answered yet.
    missing: usize,
    /// Whether the HPA's reads may stand for its own (2.21).
    observes: bool,
    /// Whether the condition Fallback was True when it began.
    fell_back: bool,
    active: bool,
    error: bool,
    falls_back: bool,
    /// The triggers that are active.
    active_triggers: Vec<usize>,
    /// What is kept for queries.
    records: Vec<Option<Record>>,
    /// The decision, while its write is under way.
    decision: Option<Decision>,
    /// The write under way, and until when it may take.
    pub(super) write: Option<(WriteId, Instant)>,
}

impl ScaledObject {
    /// Starts a poll if it is time. Polls follow each other at max(P, duration), from start to start.
    pub(super) fn start_poll(&mut self, now: Instant, out: &mut Vec<Action>) -> bool {
        let Some(repeat) = self.repeat.as_mut().filter(|repeat| self.poll.is_none() && repeat.next <= now)
        else {
            return false;
        };
        repeat.next = now + repeat.interval;
        self.health.read_for_poll();
        self.poll = Some(Poll {
            cache: None,
            triggers: self.spec.triggers.len(),
            next: 0,
            missing: 0,
            observes: false,
            fell_back: self.conditions.status(ConditionType::Fallback) == Status::True,
            active: false,
            error: false,
            falls_back: false,
            active_triggers: Vec::new(),
            records: Vec::new(),
            decision: None,
            write: None,
        });
        self.scalers.obtain(now, Task::Poll, out);
        true
    }

    /// There is a cache: all triggers are read, or there is none, and the poll ends without a trace.
    pub(super) fn poll_triggers(
        &mut self,
        now: Instant,
        result: &Result<CacheKey, String>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let Ok(cache) = *result else {
            self.poll = None;
            return;
        };
        let observes = self.rules.cache.hpa_observations
            && self.spec.uses_hpa_observations()
            && self.scaling_active.as_ref().is_some_and(|scaling| scaling.active);
        let Some(poll) = &mut self.poll else { return };
        let triggers = poll.triggers;
        (poll.cache, poll.missing, poll.observes) = (Some(cache), triggers, observes);
        if triggers == 0 {
            return self.poll_decides(now, view, out);
        }
        let at_once = if self.rules.cache.parallel { triggers } else { 1 };
        for _ in 0..at_once {
            self.poll_next(now, view, out);
        }
    }

    /// Reads the next trigger, or takes over what the HPA's read found.
    fn poll_next(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) {
        let Some(poll) = &mut self.poll else { return };
        let (Some(cache), trigger, triggers) = (poll.cache, poll.next, poll.triggers) else { return };
        poll.next += 1;
        let observed = self.records.get(trigger).and_then(Option::as_ref).filter(|_| poll.observes);
        if let Some(record) = observed.cloned() {
            self.poll_takes(now, trigger, Some(record), view, out);
        } else if trigger < triggers {
            self.scalers.read(now, Task::Poll, cache, trigger, out);
        }
    }

    /// A trigger was read.
    pub(super) fn poll_read(
        &mut self,
        now: Instant,
        trigger: usize,
        reading: Reading,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let counts = self.rules.scaled_object.fallback == Fallback::PollAndHpa;
        let record = self.observe(counts.then_some(Side::Poll), trigger, reading, view, out);
        self.poll_takes(now, trigger, record, view, out);
    }

    /// What a read means for this trigger, fallback included (`observeMetric`). Nothing if the cache was closed.
    pub(super) fn observe(
        &mut self,
        side: Option<Side>,
        trigger: usize,
        reading: Reading,
        view: &View,
        out: &mut Vec<Action>,
    ) -> Option<Record> {
        let raw = match reading {
            Reading::Closed => return None,
            Reading::Count(count) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let Some(Ok(settings)) = self.spec.triggers.get(trigger) else { return None };
                let active = count > settings.activation_target;
                Record { milli: Some(count.saturating_mul(1000)), active, falls_back: false, error: None }
            }
            Reading::Failed(error) => {
                Record { milli: None, active: false, falls_back: false, error: Some(error.into()) }
            }
        };
        Some(self.with_fallback(side, trigger, raw, view, out))
    }

    /// `GetMetricsWithFallback`.
    pub(super) fn with_fallback(
        &mut self,
        side: Option<Side>,
        trigger: usize,
        raw: Record,
        view: &View,
        out: &mut Vec<Action>,
    ) -> Record {
        let spec = Arc::clone(&self.spec);
        let (Some(side), Some(fallback), Some(Ok(settings))) =
            (side, &spec.fallback, spec.triggers.get(trigger))
        else {
            return raw;
        };
        if !health::applies(self.rules, settings) {
            return raw;
        }
        let mut record = raw;
        if record.error.is_none() {
            self.health.succeeded(side, trigger);
            record.falls_back = false;
        } else if self.health.failed(side, trigger) > fallback.failure_threshold
            && let Some(milli) = health::value(fallback, settings, view)
        {
            record = Record { milli: Some(milli), active: false, falls_back: true, error: None };
        }
        if self.health.falls_back(side, fallback.failure_threshold) {
            self.set(ConditionType::Fallback, Status::True, "FallbackExists", FALLS_BACK, out);
        } else {
            self.set(ConditionType::Fallback, Status::False, "NoFallbackFound", NO_FALLBACK, out);
        }
        record
    }

    /// One trigger of the poll is done.
    fn poll_takes(
        &mut self,
        now: Instant,
        trigger: usize,
        record: Option<Record>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let keeps = self.spec.cached.get(trigger).copied().unwrap_or(false);
        let Some(poll) = &mut self.poll else { return };
        poll.missing = poll.missing.saturating_sub(1);
        if let Some(record) = record {
            poll.falls_back |= record.falls_back;
            if let Some(error) = &record.error {
                poll.error = true;
                let message = Cow::Owned(error.to_string());
                out.push(Action::Event { warning: true, reason: "KEDAScalerFailed", message });
            } else if record.active || record.falls_back {
                poll.active = true;
                poll.active_triggers.push(trigger);
            }
            if keeps {
                poll.records.resize(poll.records.len().max(trigger + 1), None);
                if let Some(place) = poll.records.get_mut(trigger) {
                    *place = Some(record);
                }
            }
        }
        if poll.missing == 0 {
            self.poll_decides(now, view, out);
        } else if !self.rules.cache.parallel {
            self.poll_next(now, view, out);
        }
    }

    /// Every trigger is done.
    fn poll_decides(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) {
        let Some(poll) = &self.poll else { return };
        let (active, error, falls_back, fell_back) =
            (poll.active, poll.error, poll.falls_back, poll.fell_back);
        if error && self.rules.cache.poll_error_drops {
            self.drop_cache();
        }
        if self.rules.scaled_object.fallback_events && falls_back != fell_back {
            let (reason, message) = if falls_back {
                ("ScaledObjectFallbackActivated", "ScaledObject fallback is active")
            } else {
                ("ScaledObjectFallbackDeactivated", "ScaledObject fallback is no longer active")
            };
            self.event(false, reason, message, out);
        }
        let Some(current) = view.replicas else { return self.poll_without_target(out) };
        let inputs =
            PollInputs { now, created: self.created, last_active: self.last_active, current, active, error };
        let decision = decide(self.rules, &self.spec.policy, &inputs);
        let Some(replicas) = decision.replicas else {
            return self.poll_ends(now, decision, current, None, out);
        };
        let (write, until) = (self.next_write(), self.write_limit(now));
        out.push(Action::Scale { write, replicas, because: decision.because });
        if let Some(poll) = &mut self.poll {
            (poll.decision, poll.write) = (Some(decision), Some((write, until)));
        }
    }

    /// The target cannot be read.
    fn poll_without_target(&mut self, out: &mut Vec<Action>) {
        self.poll = None;
        if self.rules.scaled_object.ready == Ready::EveryPoll {
            let (kind, name) = self.spec.target();
            let message = format!(
                "Error getting current replicas count for ScaleTarget: {kind}.apps {name:?} not found"
            );
            self.set(ConditionType::Ready, Status::False, "ErrorGettingCurrentReplicas", message, out);
        }
    }

    /// The write was answered.
    pub(super) fn poll_scaled(
        &mut self,
        now: Instant,
        result: &Result<u32, String>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let Some(decision) = self.poll.as_mut().and_then(|poll| poll.decision.take()) else { return };
        let current = view.replicas.unwrap_or(0);
        self.poll_ends(now, decision, current, Some(result), out);
    }

    fn poll_ends(
        &mut self,
        now: Instant,
        decision: Decision,
        current: u32,
        written: Option<&Result<u32, String>>,
        out: &mut Vec<Action>,
    ) {
        let Some(poll) = self.poll.take() else { return };
        let failed = match written {
            Some(Err(error)) => Some(error.as_str()),
            _ => None,
        };
        let from = match written {
            Some(Ok(from)) => *from,
            // What KEDA tells when even its GET failed is not known here.
            _ => current,
        };
        if decision.active_now && failed.is_none() {
            self.last_active = Some(whole_seconds(now));
        }
        if written.is_some() {
            self.scale_event(decision, from, failed, &poll, out);
        }
        self.ready_condition(now, decision, failed, poll.error, out);
        self.active_condition(decision, poll.active, failed.is_some(), out);
        if decision.because == Because::FallbackAtOnce {
            self.set(ConditionType::Fallback, Status::True, "FallbackExists", FALLS_BACK, out);
        }
        self.hpa_condition(out);
        if !poll.records.is_empty() {
            self.records = poll.records;
            self.records.resize(self.spec.triggers.len(), None);
        }
    }

    fn scale_event(
        &self,
        decision: Decision,
        from: u32,
        failed: Option<&str>,
        poll: &Poll,
        out: &mut Vec<Action>,
    ) {
        let Some(to) = decision.replicas else { return };
        let rules = &self.rules.scaled_object;
        let (kind, name) = self.spec.target();
        let target = format!("apps/v1.{kind} {}/{name} from {from} to {to}", self.namespace);
        let cause = failed.filter(|_| rules.failed_scale_is_told).map(|error| format!(": {error}"));
        let cause = cause.unwrap_or_default();
        let (reason, message) = match (decision.because, failed.is_some()) {
            (Because::Activated | Because::ForcedActivation, true) => (
                "KEDAScaleTargetActivationFailed",
                format!("Failed to {} {target}{cause}", rules.failed_to_scale),
            ),
            (Because::ForcedActivation, false) => (
                "KEDAScaleTargetActivated",
                format!("Scaled {target}, caused by forced activation annotation"),
            ),
            (Because::Activated, false) if rules.activation_names_triggers => {
                let names: Vec<String> =
                    poll.active_triggers.iter().map(|trigger| self.metric_name(poll, *trigger)).collect();
                ("KEDAScaleTargetActivated", format!("Scaled {target}, triggered by {}", names.join(";")))
            }
            (Because::Activated, false) => ("KEDAScaleTargetActivated", format!("Scaled {target}")),
            (Because::CooledDown, true) => {
                ("KEDAScaleTargetDeactivationFailed", format!("Failed to deactivate {target}{cause}"))
            }
            (Because::CooledDown, false) => ("KEDAScaleTargetDeactivated", format!("Deactivated {target}")),
            _ => return,
        };
        self.event(failed.is_some(), reason, message, out);
    }

    fn metric_name(&self, poll: &Poll, trigger: usize) -> String {
        let pool = poll.cache.and_then(|cache| self.scalers.scaler(cache, trigger)).map(|(_, pool)| pool);
        let applied = || self.hpa.as_ref()?.metrics.get(trigger).map(|metric| metric.name.clone());
        pool.map(|pool| metric_name(trigger, pool)).or_else(applied).unwrap_or_default()
    }

    fn ready_condition(
        &mut self,
        now: Instant,
        decision: Decision,
        failed: Option<&str>,
        error: bool,
        out: &mut Vec<Action>,
    ) {
        let rules = self.rules.scaled_object;
        let every = rules.ready == Ready::EveryPoll;
        let mut ready: (Status, &'static str, Cow<'static, str>) = match decision.because {
            Because::PartialError => (
                Status::Unknown,
                "PartialTriggerError",
                "Some triggers defined in ScaledObject are not working correctly".into(),
            ),
            Because::TriggerError => (
                Status::False,
                "TriggerError",
                "Triggers defined in ScaledObject are not working correctly".into(),
            ),
            _ if every || !error => (Status::True, READY_REASON, READY_MESSAGE.into()),
            _ => return,
        };
        if let Some(error) = failed.filter(|_| rules.failed_scale_is_told) {
            let what = match decision.because {
                Because::CooledDown => "error deactivating ScaleTarget",
                Because::BelowMinimum => {
                    "error setting ScaleTarget replicas count to ScaledObject minReplicaCount"
                }
                _ => "error activating ScaleTarget",
            };
            ready = (Status::False, "ErrorScalingTarget", format!("{what}: {error}").into());
        }
        let paused = matches!(decision.because, Because::Paused | Because::PausedReplicas);
        if every && paused {
            self.set(ConditionType::Paused, Status::True, PAUSED_REASON, PAUSED_MESSAGE, out);
        } else if rules.hpa_health == HpaHealth::LowersReady {
            ready = self.lowered(now, ready);
        }
        let (status, reason, message) = ready;
        // Until 2.19 it is left alone if it has that status already, whatever its reason.
        if every || self.conditions.status(ConditionType::Ready) != status {
            self.set(ConditionType::Ready, status, reason, message, out);
        }
    }

    /// In 2.20.0 and 2.20.1, an HPA that does not scale makes Ready False.
    fn lowered(
        &self,
        now: Instant,
        ready: (Status, &'static str, Cow<'static, str>),
    ) -> (Status, &'static str, Cow<'static, str>) {
        let unhealthy = self.scaling_active.as_ref().filter(|scaling| {
            !scaling.active
                && scaling.reason != SCALING_DISABLED
                && now >= self.hpa_created + HPA_GRACE_PERIOD
        });
        let Some(scaling) = unhealthy else { return ready };
        let (status, reason, message) = ready;
        let because = &scaling.reason;
        if status == Status::True {
            let message = format!("ScaledObject is configured correctly but HPA is not healthy: {because}");
            return (Status::False, "HPAMetricsUnavailable", message.into());
        }
        let message = format!(
            "Not ready because HPA is not healthy: {because} and SO is not healthy: {reason} - {message}"
        );
        (Status::False, "ScalingDegraded", message.into())
    }

    fn active_condition(&mut self, decision: Decision, active: bool, failed: bool, out: &mut Vec<Action>) {
        const CONDITION: ConditionType = ConditionType::Active;
        const INACTIVE: &str = "Scaling is not performed because triggers are not active";
        if matches!(decision.because, Because::Paused | Because::PausedReplicas) {
            return;
        }
        let forced = self.spec.policy.forced;
        let every = self.rules.scaled_object.ready == Ready::EveryPoll;
        if decision.because == Because::CoolingDown {
            let message = "Scaler cooling down because triggers are not active";
            return self.set(CONDITION, Status::False, "ScalerCooldown", message, out);
        }
        if decision.because == Because::CooledDown && !failed {
            return self.set(CONDITION, Status::False, "ScalerNotActive", INACTIVE, out);
        }
        let status = if active || forced { Status::True } else { Status::False };
        // Until 2.19 only a change of the status was written.
        if !every && self.conditions.status(CONDITION) == status {
            return;
        }
        // The annotation's message comes first from 2.20 on; before, that of the triggers did.
        if forced && (every || !active) {
            let message = "Scaling is performed because activation is being forced by annotation";
            self.set(CONDITION, status, "ScalerActive", message, out);
        } else if status == Status::True {
            let message = "Scaling is performed because triggers are active";
            self.set(CONDITION, status, "ScalerActive", message, out);
        } else {
            self.set(CONDITION, status, "ScalerNotActive", INACTIVE, out);
        }
    }

    /// `checkHPAHealth` of 2.20.2 and later: while the HPA says nothing, neither does this.
    fn hpa_condition(&mut self, out: &mut Vec<Action>) {
        if self.rules.scaled_object.hpa_health != HpaHealth::Condition || self.spec.policy.paused {
            return;
        }
        let Some(scaling) = self.scaling_active.clone() else { return };
        let condition = ConditionType::HpaActive;
        if scaling.active {
            self.set(condition, Status::True, "HPAActive", "HPA is actively scaling", out);
        } else if scaling.reason == SCALING_DISABLED {
            self.set(condition, Status::True, SCALING_DISABLED, scaling.message, out);
        } else {
            let reason =
                if scaling.reason.is_empty() { "HPAMetricsUnavailable".into() } else { scaling.reason };
            let message = format!("HPA is not actively scaling: {}", scaling.message);
            self.set(condition, Status::False, reason, message, out);
        }
    }
}
