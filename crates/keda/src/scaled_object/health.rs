//! Failure counters and the fallback's value (K:pkg/fallback/fallback.go).
//!
//! The counters are in the object's status, but each side counts on its own copy of it: the loop on the object
//! that it reads anew before every poll, the HPA's queries on the one in the scalers cache. That is the loop's
//! if the poll built the cache, and a copy as old as the cache if a reconcile or a query did.

use super::action::View;
use super::spec::{FallbackBehavior, FallbackSpec};
use crate::rules::Rules;
use crate::scaler::{AzurePipelines, CacheKey, MetricType};

/// Failures in a row by trigger.
pub(super) type Counters = Vec<u32>;

/// Everybody's copy of the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    /// What the API holds.
    pub(super) status: Counters,
    /// What the loop read before its poll.
    polled: Counters,
    /// What came with caches that the poll did not build.
    cached: Vec<(CacheKey, Counters)>,
}

/// Whose copy is counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The loop's.
    Poll,
    /// That of the cache which a query reads in.
    Query(CacheKey),
}

impl Health {
    /// The triggers are others now.
    pub(super) fn resize(&mut self, triggers: usize) {
        self.status.resize(triggers, 0);
        self.polled.resize(triggers, 0);
        self.cached.clear();
    }

    /// The process is gone, and with it every copy.
    pub(super) fn restart(&mut self) {
        self.cached.clear();
    }

    /// The loop reads its object.
    pub(super) fn read_for_poll(&mut self) {
        self.polled.clone_from(&self.status);
    }

    /// A cache was built by somebody else than the poll.
    pub(super) fn copy_for_cache(&mut self, cache: CacheKey) {
        if !self.cached.iter().any(|(known, _)| *known == cache) {
            // Only the newest is given out; one more may still be read in.
            if self.cached.len() > 1 {
                self.cached.remove(0);
            }
            self.cached.push((cache, self.status.clone()));
        }
    }

    fn copy(&mut self, side: Side) -> &mut Counters {
        let Side::Query(cache) = side else { return &mut self.polled };
        let copy = self.cached.iter_mut().find(|(known, _)| *known == cache);
        copy.map_or(&mut self.polled, |(_, counters)| counters)
    }

    /// A read succeeded.
    pub(super) fn succeeded(&mut self, side: Side, trigger: usize) {
        self.set(side, trigger, 0);
    }

    /// A read failed: how many have in a row, as this side knows.
    pub(super) fn failed(&mut self, side: Side, trigger: usize) -> u32 {
        let failures = self.copy(side).get(trigger).copied().unwrap_or(0).saturating_add(1);
        self.set(side, trigger, failures);
        failures
    }

    fn set(&mut self, side: Side, trigger: usize, failures: u32) {
        if let Some(own) = self.copy(side).get_mut(trigger) {
            *own = failures;
        }
        if let Some(status) = self.status.get_mut(trigger) {
            *status = failures;
        }
    }

    /// Whether any trigger is past the threshold, as this side knows (`fallbackExceededThreshold`).
    pub(super) fn falls_back(&mut self, side: Side, threshold: u32) -> bool {
        self.copy(side).iter().any(|failures| *failures > threshold)
    }
}

/// Whether a fallback applies to this metric at all (`isFallbackEnabled`).
pub(super) fn applies(rules: &Rules, settings: &AzurePipelines) -> bool {
    settings.metric_type == MetricType::AverageValue || rules.scaled_object.fallback_for_value
}

/// The metric's value while falling back, in thousandths (`doFallback`); none if no
/// pod is ready to divide a Value by.
pub(super) fn value(fallback: &FallbackSpec, settings: &AzurePipelines, view: &View) -> Option<i64> {
    let current = view.replicas;
    let replicas = match fallback.behavior {
        FallbackBehavior::Static | FallbackBehavior::ScalingModifiers => fallback.replicas,
        FallbackBehavior::CurrentReplicas => current?,
        FallbackBehavior::CurrentReplicasIfHigher => fallback.replicas.max(current?),
        FallbackBehavior::CurrentReplicasIfLower => fallback.replicas.min(current?),
    };
    let target_milli = settings.target.saturating_mul(1000);
    match settings.metric_type {
        MetricType::AverageValue => Some(target_milli.saturating_mul(i64::from(replicas))),
        MetricType::Value if view.ready == 0 => None,
        MetricType::Value => {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "as KEDA computes it"
            )]
            let milli =
                (settings.target as f64 * 1000.0 * (f64::from(replicas) / f64::from(view.ready))) as i64;
            Some(milli)
        }
    }
}
