//! One KEDA object, the reads of its queue, and what each of them asks for: the
//! ground on which raises and reductions are judged.

use model::event::ScaleTarget;
use model::{Instant, Millis};
use serde_json::Value;

use crate::bounds::{Bounds, reads_of};
use crate::count::{CountRule, version};
use crate::disturbances::{self, Disturbance};
use crate::history::{History, Steps, Target};
use crate::hpa::Hpa;

/// One KEDA object and what it was told.
#[derive(Debug)]
pub(crate) struct Tracking<'a> {
    /// The object.
    pub(crate) target: &'a Target,
    /// What it says while this holds.
    pub(crate) scale: &'a ScaleTarget,
    /// What it scales.
    pub(crate) subject: String,
    /// Its replicas until the workload was deleted.
    pub(crate) replicas: Steps,
    /// Since when it says so.
    pub(crate) from: Instant,
    /// Until when it is judged.
    pub(crate) until: Instant,
    /// The reads of its pool.
    pub(crate) seen: Vec<Seen>,
    /// Its HPA.
    pub(crate) hpa: Hpa,
    /// What time it is given.
    pub(crate) bounds: Bounds,
    /// Whether every read but the first comes from an HPA sync.
    pub(crate) only_syncs_read: bool,
    /// Whether it counts jobs that wait, but not those that run.
    pub(crate) sees_only_waiting_jobs: bool,
    /// Whether the HPA is answered with what the last poll read.
    pub(crate) is_cached: bool,
    /// Spans in which the HPA said that it could not scale.
    pub(crate) inactive: Vec<(Instant, Instant)>,
    /// When the scenario restarted Kubernetes' controllers.
    pub(crate) restarts: Vec<Instant>,
    /// What the scenario did to it.
    pub(crate) disturbances: Vec<Disturbance>,
    /// Spans in which something kept it from scaling, merged.
    blind: Vec<(Instant, Instant)>,
}

/// A read of the queue, and what it asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// When it was answered.
    pub(crate) at: Instant,
    /// Whether KEDA could use it.
    pub(crate) good: bool,
    /// The most jobs that count for a trigger.
    pub(crate) count: u64,
    /// Whether the trigger is active.
    pub(crate) active: bool,
    /// The fewest replicas that an HPA may propose on it. Tolerance and the lag of status leave a choice.
    pub(crate) low: u32,
    /// The most.
    pub(crate) high: u32,
}

impl<'a> Tracking<'a> {
    /// Why an object cannot be judged, or what it takes to judge it: one for each time that it said something else.
    pub(crate) fn of(history: &'a History, target: &'a Target) -> Result<Vec<Self>, String> {
        let eras = target.eras();
        let rules: Vec<(Instant, Vec<CountRule>)> = eras
            .iter()
            .map(|(from, scale, _)| Ok((*from, count_rules(history, scale)?.1)))
            .collect::<Result<_, String>>()?;
        let ends = eras.iter().skip(1).map(|(from, ..)| *from).chain([history.judged_until()]);
        eras.iter()
            .zip(ends)
            .filter(|((from, ..), until)| *from < *until || eras.len() == 1)
            .map(|((from, scale, _), until)| Self::of_era(history, (target, scale), (*from, until), &rules))
            .collect()
    }

    fn of_era(
        history: &'a History,
        (target, scale): (&'a Target, &'a ScaleTarget),
        (from, until): (Instant, Instant),
        rules: &[(Instant, Vec<CountRule>)],
    ) -> Result<Self, String> {
        let (pool, own) = count_rules(history, scale)?;
        let keda = version(&scale.keda).ok_or("its version of KEDA is not known")?;
        let until = until.min(history.judged_until());
        let object = format!("{}/{}", scale.scaler, scale.name);
        let disturbances: Vec<Disturbance> = disturbances::of(history, &object)
            .into_iter()
            .filter(|one| one.from < until && one.to > from)
            .collect();
        let inactive = inactive(history, target);
        let spans = disturbances.iter().map(|one| (one.from, one.to));
        let restarts = history.faults.iter().filter(|fault| fault.restarts_controllers());
        let mut tracking = Self {
            target,
            scale,
            subject: if scale.scaler == "ScaledJob" { object } else { scale.workload.clone() },
            replicas: cut(&history.replicas_of(target), until),
            from,
            until,
            seen: Vec::new(),
            hpa: Hpa::of(scale.behavior.as_ref()),
            bounds: Bounds::of(history, scale),
            is_cached: is_cached(scale),
            // With a minimum above zero a poll takes what the HPA read last (kedacore/keda
            // apis/keda/v1alpha1/scaledobject_types.go, `UsesHPAObservations`, since 2.21).
            only_syncs_read: keda.minor >= 21
                && scale.min > 0
                && scale.idle.is_none()
                && !is_cached(scale)
                && readers(history, pool) == 1,
            sees_only_waiting_jobs: own.iter().any(CountRule::sees_only_waiting_jobs),
            blind: disturbances::merged(spans.chain(inactive.iter().copied())),
            inactive,
            restarts: restarts.map(|fault| fault.from).collect(),
            disturbances,
        };
        let status = history
            .workloads
            .get(&scale.workload)
            .map(|workload| workload.status.clone())
            .unwrap_or_default();
        for read in reads_of(history, pool).filter(|read| read.at <= until) {
            // Counted by the rules that held when it was read.
            let after = rules.partition_point(|(since, _)| *since <= read.at);
            let Some((_, then)) = rules.get(after.saturating_sub(1)) else { continue };
            let answers = then.iter().map(|rule| (rule, rule.count(&read.rows)));
            tracking.see(read.at, read.succeeded(), answers, &status);
        }
        Ok(tracking)
    }

    fn see<'r>(
        &mut self,
        at: Instant,
        good: bool,
        counts: impl Iterator<Item = (&'r CountRule, u64)>,
        status: &Steps,
    ) {
        let mut seen = Seen { at, good, count: 0, active: false, low: 0, high: 0 };
        let (from, to) = (at - self.bounds.slack, at + self.bounds.slack);
        for (rule, count) in counts {
            let per_replica = rule.target.max(1);
            let exact = u32::try_from(count.div_ceil(per_replica)).unwrap_or(u32::MAX);
            // Within the tolerance the proposal is what status.replicas says, and status lags behind spec.
            let replicas = self.replicas.values(from, to).chain(status.values(from, to));
            let kept = replicas.filter(|replicas| self.hpa.tolerates(count, per_replica, *replicas));
            let (low, high) = kept.fold((exact, exact), |(low, high), kept| (low.min(kept), high.max(kept)));
            seen.count = seen.count.max(count);
            seen.active |= count > rule.activation;
            seen.low = seen.low.max(low);
            seen.high = seen.high.max(high);
        }
        let (least, most) = (self.floor(), self.scale.max.max(self.floor()));
        (seen.low, seen.high) = (seen.low.clamp(least, most), seen.high.clamp(least, most));
        self.seen.push(seen);
    }

    /// The HPA's minimum: at least one (kedacore/keda apis/keda/v1alpha1/scaledobject_types.go, `GetHPAMinReplicas`).
    pub(crate) fn floor(&self) -> u32 {
        self.scale.min.max(1)
    }

    /// What KEDA itself lowers to when there is no work, if it may: to the idle count, or to zero.
    pub(crate) fn rest(&self) -> Option<u32> {
        match (self.scale.idle, self.scale.min) {
            (Some(idle), _) => Some(idle),
            (None, 0) => Some(0),
            (None, _) => None,
        }
    }

    /// The reads that were answered between two instants, both included.
    pub(crate) fn seen_between(&self, from: Instant, to: Instant) -> &[Seen] {
        let first = self.seen.partition_point(|seen| seen.at < from);
        let after = self.seen.partition_point(|seen| seen.at <= to);
        self.seen.get(first..after.max(first)).unwrap_or_default()
    }

    /// The last good read at or before an instant.
    pub(crate) fn last_good(&self, at: Instant) -> Option<&Seen> {
        let after = self.seen.partition_point(|seen| seen.at <= at);
        self.seen.iter().take(after).rev().find(|seen| seen.good)
    }

    /// How much of the span from `from` to `to` something kept it from scaling.
    pub(crate) fn blind_between(&self, from: Instant, to: Instant) -> Millis {
        disturbances::overlap(&self.blind, from, to)
    }

    /// The same without what the HPA said of itself: a poll does not depend on it.
    pub(crate) fn disturbed_between(&self, from: Instant, to: Instant) -> Millis {
        let spans = disturbances::merged(self.disturbances.iter().map(|one| (one.from, one.to)));
        disturbances::overlap(&spans, from, to)
    }

    /// Whether a decision at an instant is KEDA's and the HPA's own, and told by the rules that hold then.
    pub(crate) fn judges(&self, at: Instant) -> bool {
        at >= self.from
            && at < self.until
            && !self.disturbances.iter().any(|one| one.decides && one.from <= at && at <= one.to)
    }

    /// The same for taking the last replicas away.
    pub(crate) fn judges_rest(&self, at: Instant) -> bool {
        self.judges(at) && !self.disturbances.iter().any(|one| one.rests && one.from <= at && at <= one.to)
    }

    /// From when an object and what it says could be followed.
    pub(crate) fn start(&self) -> Instant {
        self.from.max(self.target.at)
    }
}

/// The objects of a kind that can be judged; `skip` hears of the others.
pub(crate) fn tracked<'a>(
    history: &'a History,
    scaler: &str,
    mut skip: impl FnMut(String, String),
) -> Vec<Tracking<'a>> {
    let mut tracked = Vec::new();
    for (name, target) in history.targets.iter().filter(|(_, target)| target.scale.scaler == scaler) {
        match Tracking::of(history, target) {
            Ok(eras) => tracked.extend(eras),
            Err(because) => skip(name.clone(), because),
        }
    }
    tracked
}

/// The pool that an object's triggers read, and how each of them counts; or why that cannot be told.
fn count_rules(history: &History, scale: &ScaleTarget) -> Result<(u64, Vec<CountRule>), String> {
    let keda = version(&scale.keda).ok_or_else(|| format!("`{}` is not a version of KEDA", scale.keda))?;
    if scale.spec.pointer("/advanced/scalingModifiers/formula").is_some() {
        return Err("its scalingModifiers make another metric of what is read".to_owned());
    }
    let mut rules = Vec::new();
    let mut pool = None;
    for trigger in &scale.triggers {
        if trigger.kind != "azure-pipelines" {
            return Err(format!(
                "it has a trigger of type {}, whose values the log does not have",
                trigger.kind
            ));
        }
        if trigger.metric_type == "Value" {
            return Err("metricType Value depends on which pods are ready at each sync".to_owned());
        }
        let own = history.pool_of(&trigger.metadata).ok_or("its trigger's pool is not known")?;
        if *pool.get_or_insert(own) != own {
            return Err("its triggers read different pools".to_owned());
        }
        rules.push(CountRule::of(&trigger.metadata, &keda));
    }
    Ok((pool.ok_or("it has no trigger")?, rules))
}

/// Whether a trigger says `useCachedMetrics`.
fn is_cached(scale: &ScaleTarget) -> bool {
    let triggers = scale.spec.get("triggers").and_then(Value::as_array);
    triggers.into_iter().flatten().any(|trigger| trigger.get("useCachedMetrics") == Some(&Value::Bool(true)))
}

/// How many objects read a pool.
fn readers(history: &History, pool: u64) -> usize {
    let triggers = history.targets.values().flat_map(|target| &target.scale.triggers);
    triggers.filter(|trigger| history.pool_of(&trigger.metadata) == Some(pool)).count()
}

/// The steps up to an instant.
fn cut(steps: &Steps, until: Instant) -> Steps {
    let mut cut = Steps::default();
    for point in steps.points().iter().take_while(|point| point.at < until) {
        cut.set(point.at, point.value);
    }
    cut
}

/// The spans in which an object's HPA had `ScalingActive` False for another reason than zero replicas.
fn inactive(history: &History, target: &Target) -> Vec<(Instant, Instant)> {
    let objects = history.targets.values().filter(|other| other.scale.scaler == "ScaledObject").count();
    let own = format!("keda-hpa-{}", target.scale.name);
    let mut spans = Vec::new();
    let mut since = None;
    for status in history.hpa.iter().filter(|status| objects == 1 || status.hpa == own) {
        let failing = status
            .scaling_active
            .as_deref()
            .is_some_and(|text| !text.starts_with("True") && !text.ends_with("/ScalingDisabled"));
        match (failing, since) {
            (true, None) => since = Some(status.at),
            (false, Some(start)) => {
                spans.push((start, status.at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|start| (start, history.end)));
    spans
}
