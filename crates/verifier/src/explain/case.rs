//! One KEDA object with all that its story needs: what it said when, and who read the queue for it.

use std::collections::BTreeSet;

use model::event::ScaleTarget;
use model::{Instant, Millis};
use serde_json::Value;

use crate::bounds::slack;
use crate::count::{CountRule, version};
use crate::history::{Change, History, Read, Steps, Target};
use crate::hpa::Hpa;

/// Polls keep their distance from start to start; one may be told this much off it.
const POLL_JITTER: Millis = Millis::seconds(1);
/// A read and the HPA's request that caused it are seen by two observers, this far apart at most.
const READ_SKEW: Millis = Millis(300);

/// A KEDA object.
pub(super) struct Case<'a> {
    pub(super) history: &'a History,
    /// The object, as `ScaledObject/name`.
    pub(super) object: &'a str,
    pub(super) target: &'a Target,
    pub(super) is_job: bool,
    /// What it said, from when.
    pub(super) eras: Vec<Era<'a>>,
    /// Its replicas, or its unfinished Jobs.
    pub(super) replicas: Steps,
    /// The replicas that exist.
    pub(super) status: Steps,
    pub(super) until: Instant,
    pub(super) slack: Millis,
    /// Reads of its pools in order, with who caused them.
    pub(super) reads: Vec<(&'a Read, Reader)>,
}

/// What an object said from an instant on.
pub(super) struct Era<'a> {
    pub(super) from: Instant,
    pub(super) scale: &'a ScaleTarget,
    pub(super) because: &'a str,
    pub(super) hpa: Hpa,
    pub(super) triggers: Vec<CaseTrigger>,
}

/// A trigger.
pub(super) struct CaseTrigger {
    /// The metric's name (kedacore/keda pkg/scalers/azure_pipelines_scaler.go, `GetMetricSpecForScaling`).
    pub(super) metric: String,
    pub(super) kind: String,
    pub(super) pool: Option<u64>,
    /// How it counts, if it is a trigger on Azure Pipelines and KEDA's version is known.
    pub(super) rule: Option<CountRule>,
    /// Whether its metricType is Value.
    pub(super) is_value: bool,
}

/// Who caused a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Poll,
    Hpa,
}

impl<'a> Case<'a> {
    pub(super) fn of(history: &'a History, object: &'a str, target: &'a Target) -> Self {
        let eras: Vec<Era<'a>> = target
            .eras()
            .into_iter()
            .map(|(from, scale, because)| Era::of(history, from, scale, because))
            .collect();
        let pools: BTreeSet<u64> =
            eras.iter().flat_map(|era| &era.triggers).filter_map(|trigger| trigger.pool).collect();
        let is_job = target.scale.scaler == "ScaledJob";
        let status = history.workloads.get(&target.scale.workload).map(|workload| workload.status.clone());
        let mut case = Self {
            history,
            object,
            target,
            is_job,
            eras,
            replicas: history.replicas_of(target),
            status: status.unwrap_or_default(),
            until: history.judged_until(),
            slack: slack(history),
            reads: Vec::new(),
        };
        let reads = history.reads.iter().filter(|read| pools.contains(&read.pool) && read.at <= case.until);
        case.reads = case.attributed(reads.collect());
        case
    }

    /// What it said at an instant.
    pub(super) fn era(&self, at: Instant) -> &Era<'a> {
        let after = self.eras.partition_point(|era| era.from <= at);
        // An object is never without its first era.
        &self.eras[after.saturating_sub(1)]
    }

    /// Its changes of replicas until the workload is deleted.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        self.replicas.changes().filter(|change| change.at < self.until)
    }

    /// The replicas that held at an instant.
    pub(super) fn replicas_at(&self, at: Instant) -> u32 {
        self.replicas.at(at).unwrap_or_default()
    }

    /// Who caused each read: the HPA's own requests tell, where the log has them; else whether there was
    /// anything to sync, which version of KEDA it is, and the rhythm of polls.
    fn attributed(&self, reads: Vec<&'a Read>) -> Vec<(&'a Read, Reader)> {
        let mut rhythm: Option<Instant> = None;
        let mut last: Option<Instant> = None;
        let mut attributed = Vec::with_capacity(reads.len());
        let asked = self.asked_by_hpa(&reads);
        for (index, read) in reads.into_iter().enumerate() {
            let era = self.era(read.at);
            let began = read.at - read.latency;
            if last.is_some_and(|last| self.restarted_between(last, read.at)) {
                rhythm = None;
            }
            // What a read leads to may be written in the same instant.
            let before = Instant(began.0.saturating_sub(1));
            let running = self.replicas.at(before).is_some_and(|replicas| replicas > 0);
            let reader = if self.is_job || !running {
                Reader::Poll
            } else if !self.history.hpa_reads.is_empty() {
                if asked.contains(&index) { Reader::Hpa } else { Reader::Poll }
            } else if let Some(before) = rhythm {
                let on_time = !era.polls_do_not_read() && on_beat(before, began, era.poll());
                if on_time { Reader::Poll } else { Reader::Hpa }
            } else {
                // A scale loop polls as soon as it starts, before the HPA's first sync.
                Reader::Poll
            };
            if reader == Reader::Poll {
                rhythm = Some(began);
            }
            last = Some(read.at);
            attributed.push((read, reader));
        }
        attributed
    }

    fn restarted_between(&self, from: Instant, to: Instant) -> bool {
        let faults = &self.history.faults;
        let restarted = |fault: &&crate::history::FaultSpan| {
            (fault.restarts_keda() || fault.edits(self.object).is_some())
                && fault.from > from
                && fault.from <= to
        };
        faults.iter().any(|fault| restarted(&fault))
    }

    /// The reads that the HPA's own requests caused: for each the nearest, and what failed before it.
    fn asked_by_hpa(&self, reads: &[&Read]) -> BTreeSet<usize> {
        let mut claimed = BTreeSet::new();
        for asked in &self.history.hpa_reads {
            let from = asked.at - asked.latency - READ_SKEW;
            let first = reads.partition_point(|read| read.at < from);
            let near = reads.iter().enumerate().skip(first);
            let near = near.take_while(|(_, read)| read.at <= asked.at + READ_SKEW);
            let free: Vec<(usize, &&Read)> = near.filter(|(index, _)| !claimed.contains(index)).collect();
            let nearest = free.iter().min_by_key(|(_, read)| read.at.0.abs_diff(asked.at.0));
            let Some((nearest, last)) = nearest else { continue };
            claimed.insert(*nearest);
            let failed = free.iter().filter(|(_, read)| !read.succeeded() && read.at < last.at);
            claimed.extend(failed.map(|(index, _)| *index));
        }
        claimed
    }
}

fn on_beat(before: Instant, at: Instant, period: Millis) -> bool {
    let period = period.0.max(1);
    let off = at.since(before).0 % period;
    at.since(before).0 + POLL_JITTER.0 >= period && off.min(period - off) <= POLL_JITTER.0
}

impl<'a> Era<'a> {
    fn of(history: &History, from: Instant, scale: &'a ScaleTarget, because: &'a str) -> Self {
        let keda = version(&scale.keda);
        let trigger = |(index, trigger): (usize, &model::event::Trigger)| {
            let pool = history.pool_of(&trigger.metadata);
            let azure = trigger.kind == "azure-pipelines";
            let name = pool.map_or_else(|| trigger.kind.clone(), |pool| format!("azure-pipelines-{pool}"));
            CaseTrigger {
                metric: format!("s{index}-{name}"),
                kind: trigger.kind.clone(),
                pool: pool.filter(|_| azure),
                rule: keda.as_ref().filter(|_| azure).map(|keda| CountRule::of(&trigger.metadata, keda)),
                is_value: trigger.metric_type == "Value",
            }
        };
        let triggers = scale.triggers.iter().enumerate().map(trigger).collect();
        Self { from, scale, because, hpa: Hpa::of(scale.behavior.as_ref()), triggers }
    }

    pub(super) fn poll(&self) -> Millis {
        Millis::seconds(self.scale.polling_interval_s)
    }

    pub(super) fn cooldown(&self) -> Millis {
        Millis::seconds(self.scale.cooldown_s)
    }

    pub(super) fn window(&self) -> Millis {
        Millis::seconds(self.scale.stabilization_s)
    }

    /// The HPA's minimum.
    pub(super) fn floor(&self) -> u32 {
        self.scale.min.max(1)
    }

    /// What KEDA itself lowers to.
    pub(super) fn rest(&self) -> Option<u32> {
        self.scale.idle.or((self.scale.min == 0).then_some(0))
    }

    /// A value of the object's spec, where the log has it.
    pub(super) fn spec(&self, path: &str) -> Option<&'a Value> {
        self.scale.spec.pointer(path).filter(|value| !value.is_null())
    }

    /// Whether polls take what the HPA read last (kedacore/keda apis/keda/v1alpha1/scaledobject_types.go,
    /// `UsesHPAObservations`, since 2.21).
    pub(super) fn polls_do_not_read(&self) -> bool {
        let cached = self.spec("/triggers").and_then(Value::as_array).into_iter().flatten();
        let cached = cached.into_iter().any(|of| of.get("useCachedMetrics") == Some(&Value::Bool(true)));
        version(&self.scale.keda).is_some_and(|keda| keda.minor >= 21)
            && self.scale.min > 0
            && self.scale.idle.is_none()
            && !cached
            && self.spec("/advanced/scalingModifiers/formula").is_none()
    }
}
