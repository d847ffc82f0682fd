//! A log, sorted by what decisions are made from.

use std::collections::BTreeMap;

use model::event::{RunStarted, ScaleTarget, ScalerRow};
use model::fault::{CalledBy, Fault, NamedAnswer, Route, ServiceAnswer};
use model::{Event, Fact, Instant, Millis};

/// How far a log's times are off on a machine that is not too busy, in milliseconds of wall time: a fact is
/// told when it arrived, and a program's own copy of the cluster is about as old as that.
const LAG_WALL_MS: u64 = 50;
/// The same where scenario time is simulated.
const LAG_LEAST_MS: u64 = 20;
/// An answer that takes longer than this does not reach KEDA (K:cmd/operator/main.go, `KEDA_HTTP_DEFAULT_TIMEOUT`).
const HTTP_TIMEOUT_MS: u64 = 3000;

/// A log.
pub(super) struct Log<'a> {
    /// In order of time, until the workload is deleted.
    pub(super) events: Vec<&'a Event>,
    pub(super) started: &'a RunStarted,
    pub(super) target: &'a ScaleTarget,
    /// When the KEDA object was first seen.
    pub(super) created: Instant,
    /// Nothing counts from here on.
    pub(super) end: Instant,
    /// How far times may be off.
    pub(super) lag: Millis,
    /// Whether the API server's audit log is in it.
    pub(super) audited: bool,
    /// What KEDA was told of job requests.
    pub(super) reads: Vec<Read<'a>>,
    /// What the HPA asked for.
    pub(super) asked: Vec<Asked<'a>>,
    /// Who set replicas, in a log without audit as far as it can be told.
    pub(super) writes: Vec<Write>,
    /// The workload over time.
    pub(super) workload: Vec<(Instant, Workload)>,
    /// The HPA's condition ScalingActive over time.
    scaling_active: Vec<(Instant, bool)>,
}

/// A read of job requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read<'a> {
    /// When it was answered.
    pub(super) at: Instant,
    /// When it was asked.
    pub(super) from: Instant,
    pub(super) pool: u64,
    /// The rows, if KEDA could make anything of the answer.
    pub(super) rows: Option<&'a [ScalerRow]>,
}

/// The HPA asked for a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// When it was answered.
    pub(super) at: Instant,
    /// When it was asked.
    pub(super) from: Instant,
    pub(super) metric: &'a str,
    /// Whether there was an answer.
    pub(super) answered: bool,
    /// The value in thousandths, if the log knows it.
    pub(super) value: Option<i64>,
}

/// Somebody set replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Write {
    pub(super) at: Instant,
    pub(super) writer: Writer,
    pub(super) replicas: u32,
    /// Whether it was done, and not refused for a conflict.
    pub(super) done: bool,
}

/// Who set replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Hpa,
    Keda,
    /// Somebody.
    Other,
}

/// The scaled workload's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Workload {
    pub(super) spec: u32,
    pub(super) status: u32,
    pub(super) ready: u32,
}

impl<'a> Log<'a> {
    /// Sorts a log. Nothing if it does not say what was run.
    pub(super) fn of(events: &'a [Event]) -> Option<Self> {
        let mut sorted: Vec<&Event> = events.iter().collect();
        sorted.sort_by_key(|event| event.at);
        let started = sorted.iter().find_map(|event| match &event.fact {
            Fact::RunStarted(started) => Some(&**started),
            _ => None,
        })?;
        let (told, target) = sorted.iter().find_map(|event| match &event.fact {
            Fact::ScaleTarget(target) => Some((event.at, &**target)),
            _ => None,
        })?;
        // The manifests may be read long before they are applied.
        let object = format!("{}/{}", target.scaler, target.name);
        let created = sorted.iter().find_map(|event| match &event.fact {
            Fact::Condition { object: about, .. } if *about == object => Some(event.at),
            _ => None,
        });
        let created = created.unwrap_or(told);
        let ends = |event: &&&Event| {
            matches!(event.fact, Fact::RunDraining {} | Fact::RunFinished { .. } | Fact::HarnessFailed { .. })
        };
        let end = sorted.iter().find(ends).map(|event| event.at);
        let end = end.or_else(|| sorted.last().map(|event| event.at)).unwrap_or_default();
        sorted.retain(|event| event.at <= end);
        let audited =
            sorted.iter().any(|event| matches!(event.fact, Fact::HpaRead { .. } | Fact::ScaleWritten { .. }));
        let lag = Millis((LAG_WALL_MS * u64::from(started.speed)).max(LAG_LEAST_MS));
        let mut log = Self {
            events: sorted,
            started,
            target,
            created,
            end,
            lag,
            audited,
            reads: Vec::new(),
            asked: Vec::new(),
            writes: Vec::new(),
            workload: Vec::new(),
            scaling_active: Vec::new(),
        };
        log.sort();
        Some(log)
    }

    fn sort(&mut self) {
        let mut broken = BTreeMap::new();
        for event in self.events.clone() {
            let at = event.at;
            match &event.fact {
                Fact::FaultOn { fault, .. } if self.breaks(*fault) => {
                    broken.insert(*fault, ());
                }
                Fact::FaultOff { fault } => {
                    broken.remove(fault);
                }
                Fact::ScalerRead { pool, status, latency_ms, rows, .. } => {
                    // A sign-in page has 203, which is a success and no JSON.
                    let good = (200..300).contains(status) && *status != 203;
                    let good = good && broken.is_empty() && *latency_ms < HTTP_TIMEOUT_MS;
                    let rows = good.then_some(rows.as_slice());
                    self.reads.push(Read { at, from: at - Millis(*latency_ms), pool: *pool, rows });
                }
                Fact::HpaRead { metric, status, latency_ms, value_milli } => self.asked.push(Asked {
                    at,
                    from: at - Millis(*latency_ms),
                    metric,
                    answered: (200..300).contains(status),
                    value: *value_milli,
                }),
                Fact::HpaStatus { conditions, .. } => {
                    let active =
                        conditions.get("ScalingActive").is_some_and(|active| active.starts_with("True"));
                    self.scaling_active.push((at, active));
                }
                Fact::ScaleWritten { workload, writer, replicas, status }
                    if *workload == self.target.workload =>
                {
                    let writer = match writer.as_str() {
                        "hpa" => Writer::Hpa,
                        "keda" => Writer::Keda,
                        _ => Writer::Other,
                    };
                    self.written(Write {
                        at,
                        writer,
                        replicas: *replicas,
                        done: (200..300).contains(status),
                    });
                }
                Fact::Replicas { workload, spec, status, ready } if *workload == self.target.workload => {
                    self.counted(at, Workload { spec: *spec, status: *status, ready: *ready });
                }
                _ => {}
            }
        }
    }

    /// Whether a fault makes answers unreadable though their status is 200.
    fn breaks(&self, fault: u32) -> bool {
        let fault = usize::try_from(fault).ok().and_then(|fault| self.started.scenario.faults.get(fault));
        let Some(Fault::Service(fault)) = fault else { return false };
        fault.concerns(Route::JobRequests, CalledBy::Keda)
            && fault.answer == Some(ServiceAnswer::Named(NamedAnswer::Malformed))
    }

    fn written(&mut self, write: Write) {
        self.writes.push(write);
        if write.done
            && let Some(&(_, workload)) = self.workload.last()
            && workload.spec != write.replicas
        {
            self.workload.push((write.at, Workload { spec: write.replicas, ..workload }));
        }
    }

    fn counted(&mut self, at: Instant, counts: Workload) {
        let before = self.workload.last().map(|(_, before)| before.spec);
        if let Some(before) = before
            && before != counts.spec
        {
            // KEDA moves replicas from and to zero or idle ones, and up to the minimum; the rest is the HPA's.
            let idle = self.target.idle.unwrap_or(0);
            let keda = before <= idle || counts.spec <= idle;
            let writer = if keda { Writer::Keda } else { Writer::Hpa };
            // Audit logs of the first such runs leave zeros out.
            let left_out =
                counts.spec == 0 && !self.writes.iter().rev().any(|write| write.at + self.lag > at);
            if !self.audited || left_out {
                self.writes.push(Write { at, writer, replicas: counts.spec, done: true });
            }
        }
        self.workload.push((at, counts));
    }

    /// The workload as `who` may have seen it at that time, as the log tells it first. What is written just
    /// afterwards counts if somebody else wrote it: nobody sees their own write before they have made it.
    pub(super) fn seen(&self, at: Instant, who: Writer) -> Vec<Workload> {
        // In a simulation a decision and its write may have the same time.
        let until = |at: Instant| self.workload.partition_point(|(changed, _)| *changed < at);
        let Some(told) = self.workload(at - Millis(1)) else { return Vec::new() };
        let others = self.writes.iter().filter(|write| write.done && write.writer != who);
        let others: Vec<Instant> = others.map(|write| write.at).collect();
        let mut seen = vec![told];
        for place in until(at - self.lag).saturating_sub(1)..until(at + self.lag) {
            let Some(&(changed, mut workload)) = self.workload.get(place) else { continue };
            if !others.iter().any(|write| *write >= at && *write <= changed) && changed >= at {
                workload.spec = told.spec;
            }
            if !seen.contains(&workload) {
                seen.push(workload);
            }
        }
        seen
    }

    /// The workload as the log tells it.
    pub(super) fn workload(&self, at: Instant) -> Option<Workload> {
        let told = self.workload.partition_point(|(changed, _)| *changed <= at).checked_sub(1)?;
        self.workload.get(told).map(|(_, workload)| *workload)
    }

    /// Whether the HPA's condition ScalingActive was True then.
    pub(super) fn scales(&self, at: Instant) -> bool {
        let told = self.scaling_active.partition_point(|(changed, _)| *changed <= at).checked_sub(1);
        told.and_then(|told| self.scaling_active.get(told)).is_some_and(|(_, active)| *active)
    }

    /// A fault of the scenario by its number.
    pub(super) fn fault(&self, number: u32) -> Option<&'a Fault> {
        let started: &'a RunStarted = self.started;
        started.scenario.faults.get(usize::try_from(number).ok()?)
    }
}
