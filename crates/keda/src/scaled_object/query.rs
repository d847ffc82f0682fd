//! The HPA's queries (K:pkg/scaling/scale_handler.go, `GetScaledObjectMetrics`; K:pkg/provider, K:pkg/metricsservice).

use model::{Instant, Millis};

use super::action::{Action, View};
use super::health::Side;
use super::hpa::metric_name;
use super::machine::{Record, ScaledObject};
use crate::scaler::{CacheKey, Reading, Task};

/// How long the metrics adapter waits for an operator that is not there: as long as the API server
/// lets the HPA's request take (k8s:staging/src/k8s.io/apiserver, `--request-timeout`). The
/// adapter's own settings for retries and timeouts have no effect with grpc-go.
pub const QUERY_TIMEOUT: Millis = Millis::seconds(60);

/// A query that the operator works on.
#[derive(Debug, Clone)]
pub(super) struct Query {
    id: u64,
    metric: usize,
    cache: Option<CacheKey>,
}

/// A query that waits in the adapter until there is an operator.
#[derive(Debug, Clone)]
pub(super) struct Held {
    id: u64,
    metric: usize,
    pub(super) until: Instant,
}

impl ScaledObject {
    /// The HPA asks.
    pub(super) fn query(&mut self, now: Instant, id: u64, metric: usize, out: &mut Vec<Action>) {
        if self.deleted {
            out.push(Action::AnswerQuery { id, result: Err("scaledObject not found".to_owned()) });
        } else if self.operator_runs {
            self.queries.push(Query { id, metric, cache: None });
            self.scalers.obtain(now, Task::Query(id), out);
        } else {
            self.held.push(Held { id, metric, until: now + QUERY_TIMEOUT });
        }
    }

    /// Nobody waits for the answer any more.
    pub(super) fn query_gone(&mut self, now: Instant, id: u64, out: &mut Vec<Action>) {
        self.held.retain(|held| held.id != id);
        if self.take_query(id).is_some() {
            self.scalers.end(now, Task::Query(id), out);
        }
    }

    /// Queries that waited in the adapter go on once there is an operator, or have waited long enough.
    pub(super) fn release_held(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(position) =
            self.held.iter().position(|held| self.operator_runs || self.deleted || held.until <= now)
        {
            let Held { id, metric, until } = self.held.swap_remove(position);
            if until <= now {
                let error = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
                out.push(Action::AnswerQuery { id, result: Err(error.to_owned()) });
            } else {
                self.query(now, id, metric, out);
            }
        }
    }

    /// The operator lost its callers, or the object is gone.
    pub(super) fn fail_queries(&mut self, error: &str, out: &mut Vec<Action>) {
        for query in self.queries.drain(..) {
            out.push(Action::AnswerQuery { id: query.id, result: Err(error.to_owned()) });
        }
    }

    fn take_query(&mut self, id: u64) -> Option<Query> {
        let position = self.queries.iter().position(|query| query.id == id)?;
        Some(self.queries.swap_remove(position))
    }

    /// There is a cache: the metric is looked for in it, and read.
    pub(super) fn query_trigger(
        &mut self,
        now: Instant,
        id: u64,
        result: Result<CacheKey, String>,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let cache = match result {
            Ok(cache) => cache,
            Err(error) => return self.reply(now, id, Err(format!("error getting scalers {error}")), out),
        };
        let Some(query) = self.queries.iter_mut().find(|query| query.id == id) else { return };
        query.cache = Some(cache);
        let trigger = query.metric;
        if !self.scalers.built_by_poll(cache) {
            self.health.copy_for_cache(cache);
        }
        // The HPA may still ask by the name of a pool that has since become another.
        let asked = self.hpa.as_ref().and_then(|hpa| hpa.metrics.get(trigger));
        let pool = self.scalers.scaler(cache, trigger).map(|(_, pool)| pool);
        let known =
            pool.is_some_and(|pool| asked.is_none_or(|asked| asked.name == metric_name(trigger, pool)));
        if !known {
            return self.no_metric(now, id, trigger, out);
        }
        let cached = self.spec.cached.get(trigger).copied().unwrap_or(false);
        let record = self.records.get(trigger).and_then(Option::as_ref).filter(|_| cached);
        if let Some(record) = record.cloned() {
            let record = self.with_fallback(Some(Side::Query(cache)), trigger, record, view, out);
            self.query_found(now, id, trigger, record, out);
        } else {
            self.scalers.read(now, Task::Query(id), cache, trigger, out);
        }
    }

    /// The trigger was read.
    pub(super) fn query_read(
        &mut self,
        now: Instant,
        id: u64,
        reading: Reading,
        view: &View,
        out: &mut Vec<Action>,
    ) {
        let Some(query) = self.queries.iter().find(|query| query.id == id) else { return };
        let (trigger, side) = (query.metric, query.cache.map(Side::Query));
        match self.observe(side, trigger, reading, view, out) {
            Some(record) => self.query_found(now, id, trigger, record, out),
            None => self.no_metric(now, id, trigger, out),
        }
    }

    fn query_found(&mut self, now: Instant, id: u64, trigger: usize, record: Record, out: &mut Vec<Action>) {
        let observed = self.rules.cache.hpa_observations && self.spec.uses_hpa_observations();
        // Also while there is no loop yet: its first poll then takes over what it finds.
        if observed && let Some(place) = self.records.get_mut(trigger) {
            *place = Some(record.clone());
        }
        let result = match (record.error, record.milli) {
            (Some(_), _) => {
                self.drop_cache();
                Err(if self.rules.cache.query_error_named {
                    format!("metric:{} encountered error", self.applied_name(trigger))
                } else {
                    self.nothing_found(trigger)
                })
            }
            (None, Some(milli)) => Ok(milli),
            (None, None) => Err(self.nothing_found(trigger)),
        };
        self.reply(now, id, result, out);
    }

    fn no_metric(&mut self, now: Instant, id: u64, trigger: usize, out: &mut Vec<Action>) {
        let error = self.nothing_found(trigger);
        self.reply(now, id, Err(error), out);
    }

    fn nothing_found(&self, trigger: usize) -> String {
        format!("no matching metrics found for {}", self.applied_name(trigger))
    }

    fn applied_name(&self, trigger: usize) -> &str {
        let metric = self.hpa.as_ref().and_then(|hpa| hpa.metrics.get(trigger));
        metric.map_or("", |metric| &metric.name)
    }

    fn reply(&mut self, now: Instant, id: u64, result: Result<i64, String>, out: &mut Vec<Action>) {
        if self.take_query(id).is_some() {
            out.push(Action::AnswerQuery { id, result });
            self.scalers.end(now, Task::Query(id), out);
        }
    }
}
