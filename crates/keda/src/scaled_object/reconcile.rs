//! The controller brings a ScaledObject in order
//! (K:controllers/keda/scaledobject_controller.go, `Reconcile`, `reconcileScaledObject`).

use model::{Instant, Millis};

use super::action::{Action, View, WriteId};
use super::conditions::{ConditionType, Status};
use super::decide::Because;
use super::hpa::{HpaMetric, HpaSpec};
use super::machine::ScaledObject;
use super::poll::NO_FALLBACK;
use crate::scaler::{CacheKey, Task};

/// The wait after a first failed reconcile; it doubles (controller-runtime, client-go
/// `util/workqueue/default_rate_limiters.go`).
pub const FIRST_BACK_OFF: Millis = Millis(5);
/// The longest wait.
pub const LONGEST_BACK_OFF: Millis = Millis::seconds(1000);

pub(super) const READY_REASON: &str = "ScaledObjectReady";
pub(super) const READY_MESSAGE: &str = "ScaledObject is defined correctly and is ready for scaling";
pub(super) const PAUSED_REASON: &str = "ScaledObjectPaused";
pub(super) const PAUSED_MESSAGE: &str = "ScaledObject is paused";
const UNPAUSED_MESSAGE: &str = "pause annotation removed for ScaledObject";

/// Where the controller stands with this object.
#[derive(Debug, Clone, Default)]
pub(super) struct Reconcile {
    due: Option<Instant>,
    failures: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// The scalers are being built.
    Building,
    /// The paused replicas are being written.
    Pausing { write: WriteId, until: Instant },
}

impl Reconcile {
    /// Something wants it done; what waits for a retry is done at once.
    pub(super) fn ask(&mut self, now: Instant) {
        self.due = Some(now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Idle => self.due,
            Stage::Building => None,
            Stage::Pausing { until, .. } => Some(until),
        }
    }

    pub(super) fn waits_for(&self, write: WriteId) -> bool {
        matches!(self.stage, Stage::Pausing { write: waits_for, .. } if waits_for == write)
    }

    pub(super) fn write_until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Pausing { until, .. } => Some(until),
            Stage::Idle | Stage::Building => None,
        }
    }
}

/// The wait before the next try after so many failures.
#[must_use]
pub fn back_off(failures: u32) -> Millis {
    let doubled = 1_u64.checked_shl(failures).and_then(|factor| FIRST_BACK_OFF.0.checked_mul(factor));
    Millis(doubled.unwrap_or(LONGEST_BACK_OFF.0)).min(LONGEST_BACK_OFF)
}

impl ScaledObject {
    /// Starts a reconcile if one is due.
    pub(super) fn start_reconcile(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) -> bool {
        if self.reconcile.stage != Stage::Idle || self.reconcile.due.is_none_or(|due| now < due) {
            return false;
        }
        self.reconcile.due = None;
        self.initialize_conditions(out);
        if self.spec.paused_by_reconciler(self.rules) {
            self.pause(now, view, out);
            return true;
        }
        self.partly_paused_or_not(out);
        let (kind, name) = self.spec.target();
        let Some(replicas) = view.replicas else {
            let error = format!("{}s.apps {name:?} not found", kind.to_lowercase());
            self.event(true, "ScaledObjectCheckFailed", "Target resource doesn't exist", out);
            self.failed(now, "ScaledObject doesn't have correct scaleTargetRef specification", &error, out);
            return true;
        };
        self.original_replicas.get_or_insert(replicas);
        if let Some(error) = self.spec.wrong_bounds() {
            let message = "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification";
            self.failed(now, message, &error, out);
            return true;
        }
        self.reconcile.stage = Stage::Building;
        self.scalers.obtain(now, Task::Reconcile, out);
        true
    }

    /// K:apis/keda/v1alpha1/condition_types.go, `GetInitializedConditions`.
    fn initialize_conditions(&mut self, out: &mut Vec<Action>) {
        if self.conditions.get(ConditionType::Ready).is_some() {
            return;
        }
        for condition in [ConditionType::Ready, ConditionType::Active, ConditionType::Fallback] {
            self.set(condition, Status::Unknown, "", "", out);
        }
        let paused =
            if self.rules.scaled_object.paused_is_false_at_first { Status::False } else { Status::Unknown };
        self.set(ConditionType::Paused, paused, "", "", out);
    }

    /// Stops everything and deletes the HPA (`handlePause`). Replicas named by the annotation are set by the same
    /// reconcile, as from 2.20 on. Before, later reconciles and polls shared that work
    /// and could come into each other's way (#6982, #7231); that is not modelled.
    fn pause(&mut self, now: Instant, view: &View, out: &mut Vec<Action>) {
        if self.conditions.status(ConditionType::Paused) != Status::True {
            self.set(ConditionType::Paused, Status::True, PAUSED_REASON, PAUSED_MESSAGE, out);
            self.pause_event("ScaledObjectPaused", PAUSED_MESSAGE, out);
        }
        self.stop_loop(now, out);
        if let Some(hpa) = self.hpa.take() {
            out.push(Action::DeleteHpa { name: hpa.name });
            self.scaling_active = None;
        }
        match (self.spec.policy.paused_replicas, view.replicas) {
            (Some(replicas), Some(current)) if replicas != current => {
                let write = self.next_write();
                self.reconcile.stage = Stage::Pausing { write, until: self.write_limit(now) };
                out.push(Action::Scale { write, replicas, because: Because::PausedReplicas });
            }
            (Some(_), None) => {
                let error = "failed to get scale for target resource: not found";
                self.failed(now, "failed to scale target to paused replica count", error, out);
            }
            _ => self.succeeded(PAUSED_MESSAGE, out),
        }
    }

    /// The paused replicas were written, or not.
    pub(super) fn paused_scaled(&mut self, now: Instant, result: Result<(), String>, out: &mut Vec<Action>) {
        self.reconcile.stage = Stage::Idle;
        match result {
            Ok(()) => self.succeeded(PAUSED_MESSAGE, out),
            Err(error) => {
                let error = format!("failed to scale target to paused replica count: {error}");
                self.failed(now, "failed to scale target to paused replica count", &error, out);
            }
        }
    }

    fn partly_paused_or_not(&mut self, out: &mut Vec<Action>) {
        let policy = &self.spec.policy;
        let partly = policy.scale_in_paused || policy.scale_out_paused;
        let was_paused = self.conditions.status(ConditionType::Paused) == Status::True;
        if partly {
            self.set(ConditionType::Paused, Status::True, PAUSED_REASON, PAUSED_MESSAGE, out);
            if !was_paused {
                self.pause_event("ScaledObjectPaused", PAUSED_MESSAGE, out);
            }
        } else if was_paused {
            self.set(ConditionType::Paused, Status::False, "ScaledObjectUnpaused", UNPAUSED_MESSAGE, out);
            self.pause_event("ScaledObjectUnpaused", UNPAUSED_MESSAGE, out);
        }
    }

    fn pause_event(&self, reason: &'static str, message: &'static str, out: &mut Vec<Action>) {
        if self.rules.scaled_object.pause_events {
            self.event(false, reason, message, out);
        }
    }

    /// The scalers are built: the HPA is brought in order, and the loop started if it must be
    /// (`ensureHPAForScaledObjectExists`).
    pub(super) fn ensure_hpa(
        &mut self,
        now: Instant,
        result: Result<CacheKey, String>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        const FAILED: &str = "failed to ensure HPA is correctly created for ScaledObject";
        self.reconcile.stage = Stage::Idle;
        if self.reconcile.due.is_some() {
            // The object was changed meanwhile: what was built may be for its earlier form.
            self.start_reconcile(now, view, out);
            return;
        }
        let cache = match result {
            Ok(cache) => cache,
            Err(error) => return self.failed(now, FAILED, &error, out),
        };
        if !self.scalers.built_by_poll(cache) {
            self.health.copy_for_cache(cache);
        }
        let metrics = (0..self.spec.triggers.len()).filter_map(|trigger| {
            let (settings, pool) = self.scalers.scaler(cache, trigger)?;
            Some(HpaMetric::of(trigger, settings, pool))
        });
        let hpa = HpaSpec::of(self.rules, &self.spec, metrics.collect());
        if let Some(error) = hpa.refusal() {
            return self.failed(now, FAILED, &error, out);
        }
        let renamed = self.hpa.as_ref().filter(|known| known.name != hpa.name);
        if let Some(known) = renamed {
            out.push(Action::DeleteHpa { name: known.name.clone() });
            self.hpa = None;
        }
        let is_new = self.hpa.is_none();
        if is_new {
            self.hpa_created = now;
            self.scaling_active = None;
        }
        if self.hpa.as_ref() != Some(&hpa) {
            out.push(Action::ApplyHpa(Box::new(hpa.clone())));
            self.hpa = Some(hpa);
        }
        if is_new || self.seen != Some(self.generation) {
            self.start_loop(now, out);
        }
        self.succeeded(READY_MESSAGE, out);
    }

    fn succeeded(&mut self, message: &'static str, out: &mut Vec<Action>) {
        self.reconcile.failures = 0;
        if self.conditions.status(ConditionType::Ready) != Status::True {
            self.event(false, "ScaledObjectReady", "ScaledObject is ready for scaling", out);
        }
        self.set(ConditionType::Ready, Status::True, READY_REASON, message, out);
        self.no_fallback_condition(out);
    }

    fn failed(&mut self, now: Instant, message: &'static str, error: &str, out: &mut Vec<Action>) {
        let told = if self.rules.scaled_object.check_tells_cause {
            format!("{message}: {error}")
        } else {
            message.to_owned()
        };
        self.set(ConditionType::Ready, Status::False, "ScaledObjectCheckFailed", told.clone(), out);
        let reason = self.rules.scaled_object.unknown_state;
        self.set(ConditionType::Active, Status::Unknown, reason, "ScaledObject check failed", out);
        self.event(true, "ScaledObjectCheckFailed", told, out);
        self.no_fallback_condition(out);
        let retry = now + back_off(self.reconcile.failures);
        self.reconcile.failures = self.reconcile.failures.saturating_add(1);
        self.reconcile.due = Some(self.reconcile.due.map_or(retry, |due| due.min(retry)));
    }

    fn no_fallback_condition(&mut self, out: &mut Vec<Action>) {
        if self.spec.fallback.is_none() {
            self.set(ConditionType::Fallback, Status::False, "NoFallbackFound", NO_FALLBACK, out);
        }
    }
}
