//! How much time the documentation allows, and how much the observation costs.

use model::event::ScaleTarget;
use model::{Instant, Millis};

use crate::count::version;
use crate::disturbances;
use crate::history::{History, Read};
use crate::hpa::SYNC_PERIOD;

/// From a change in the API until an informer or a watch has it.
const API_LAG: Millis = Millis::seconds(2);
/// So late may processes and observers be scheduled on a busy machine, in wall time; it is `speed` times that in
/// scenario time.
const WALL_JITTER: Millis = Millis(100);
/// The writes of an HPA sync after its read of the metric.
const SYNC_WRITES: Millis = Millis::seconds(1);
/// The longest read of a trigger: three time-outs of 3 s, and one more if its scaler had to be built first
/// (kedacore/keda pkg/scaling/cache/scalers_cache.go, `GetMetricsAndActivityForScaler`; `KEDA_HTTP_DEFAULT_TIMEOUT`).
const LONGEST_READ: Millis = Millis::seconds(12);
/// lastActiveTime has whole seconds (kedacore/keda pkg/scaling/executor/scale_scaledobjects.go, `updateLastActiveTime`).
pub(crate) const LAST_ACTIVE_ROUNDING: Millis = Millis::seconds(1);
/// The controller-manager creates this many pods, and KEDA this many Jobs, a second after a first lot
/// (20 requests a second, burst 30: kube-controller-manager `--kube-api-qps`, keda-operator `--kube-api-qps`).
const CREATIONS_A_SECOND: u64 = 20;
const CREATIONS_AT_ONCE: u64 = 15;

/// The tolerance of observation in this run: API lag, scheduling of the machine's processes, and the lateness that the probe measured.
pub(crate) fn slack(history: &History) -> Millis {
    let speed = history.started.as_ref().map_or(1, |started| started.speed.max(1));
    let late = history.clock.iter().map(|sample| sample.late_ms_max).max().unwrap_or_default();
    let jitter = Millis(WALL_JITTER.0.saturating_mul(u64::from(speed)));
    API_LAG + jitter.max(Millis(late)).min(Millis::seconds(30))
}

/// How long it may take to create `count` pods or Jobs at the client's rate limit.
pub(crate) fn creating(count: u32) -> Millis {
    Millis(u64::from(count).saturating_sub(CREATIONS_AT_ONCE).saturating_mul(1000) / CREATIONS_A_SECOND)
}

/// The bounds of one KEDA object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The tolerance of observation.
    pub(crate) slack: Millis,
    /// The polling interval.
    pub(crate) poll: Millis,
    /// The longest read that was seen.
    pub(crate) read: Millis,
    /// From one HPA sync to the next, at most.
    pub(crate) sync: Millis,
    /// cooldownPeriod.
    pub(crate) cooldown: Millis,
    /// The HPA's scale-down window.
    pub(crate) window: Millis,
    /// How many syncs a conflicting write costs: Kubernetes 1.34 and later try again at once.
    pub(crate) syncs_per_conflict: u64,
}

impl Bounds {
    /// The bounds of an object, as this run could observe them.
    pub(crate) fn of(history: &History, scale: &ScaleTarget) -> Self {
        // A fault of the service has bounds of its own.
        let faults = disturbances::service_spans(history);
        let usual = |read: &&Read| !faults.iter().any(|(from, to)| *from <= read.at && read.at <= *to);
        let latencies = history.reads.iter().filter(usual).map(|read| read.latency);
        let read = latencies.max().unwrap_or_default().min(LONGEST_READ);
        let retries = version(&scale.kubernetes).is_some_and(|kubernetes| kubernetes.minor >= 34);
        Self {
            slack: slack(history),
            poll: Millis::seconds(scale.polling_interval_s),
            read,
            sync: SYNC_PERIOD + read + SYNC_WRITES,
            cooldown: Millis::seconds(scale.cooldown_s),
            window: Millis::seconds(scale.stabilization_s),
            syncs_per_conflict: u64::from(!retries),
        }
    }

    /// `count` syncs.
    pub(crate) fn syncs(&self, count: u64) -> Millis {
        Millis(self.sync.0.saturating_mul(count))
    }

    /// From a poll that saw a job to the write that leaves zero; a conflicting write waits for the next poll.
    pub(crate) fn activation(&self) -> Millis {
        self.poll + self.read + self.slack
    }
}

/// The reads of a pool.
pub(crate) fn reads_of(history: &History, pool: u64) -> impl Iterator<Item = &Read> {
    history.reads.iter().filter(move |read| read.pool == pool)
}

/// The first good read at or after an instant that holds a request.
pub(crate) fn first_read_of(history: &History, pool: u64, request: u64, from: Instant) -> Option<Instant> {
    let start = history.reads.partition_point(|read| read.at < from);
    let mut later = history.reads.iter().skip(start).filter(|read| read.pool == pool && read.succeeded());
    later.find(|read| read.rows.iter().any(|row| row.request == request)).map(|read| read.at)
}
