//! Replicas stay within the bounds of the moment, whoever sets them, and KEDA keeps on reading.

use std::collections::{BTreeMap, BTreeSet};

use model::fault::{Fault, Program};
use model::{Event, Fact, Instant, Millis};
use twin::Ended;
use twin::generate::Scaler;

use super::Trial;
use super::invariants::Invariant;

/// How long something that had begun before a change may go on as before: a sync or a poll with its requests.
const UNDER_WAY: Millis = Millis::seconds(5);
/// A sync of the HPA (`--horizontal-pod-autoscaler-sync-period`).
const SYNC: Millis = Millis::seconds(15);
/// How much longer than its interval a read may be away: requests, a restart, and a sync of the HPA, since
/// KEDA 2.21 polls by what the HPA has just read.
const POLL_SLACK: Millis = Millis::seconds(25);
/// How long the controllers may be away.
const MANAGER_AWAY: Millis = Millis::seconds(30);

/// A bound that changes: what it was from when on.
#[derive(Debug)]
struct Bound(Vec<(Instant, u32)>);

impl Bound {
    fn set(&mut self, at: Instant, value: u32) {
        self.0.push((at, value));
    }

    fn now(&self) -> u32 {
        self.0.last().map_or(0, |(_, value)| *value)
    }

    /// The highest that it was at any time of the last `span`.
    fn highest(&self, at: Instant, span: Millis) -> u32 {
        let mut highest = 0;
        for (since, value) in self.0.iter().rev() {
            highest = highest.max(*value);
            if *since + span < at {
                break;
            }
        }
        highest
    }
}

#[derive(Debug)]
pub(super) struct Scale {
    /// Whether KEDA scales Jobs.
    jobs: bool,
    min: u32,
    max: Bound,
    /// What edits of the scenario, by their number, set the maximum to.
    edits: BTreeMap<u32, u32>,
    spec: Bound,
    /// The last write that was accepted.
    written: Option<u32>,
    /// Pods that are neither ended nor on their way out.
    alive: BTreeSet<String>,
    pods_lag: Millis,
    unfinished: BTreeSet<String>,
    /// When KEDA was last known to read, while the load goes on.
    last_read: Option<Instant>,
    interval: Millis,
    /// What KEDA asks for when it falls back; it goes by no bounds then (K:pkg/scaling/executor/
    /// scale_scaledobjects.go, `doFallbackScaling`).
    fallback: Option<u32>,
}

impl Scale {
    pub(super) fn of(trial: &Trial) -> Self {
        let recipe = &trial.recipe;
        let edit = |(number, fault): (u32, &Fault)| match fault {
            Fault::Edit(edit) => {
                let max = edit.patch.get("spec")?.get("maxReplicaCount")?.as_u64()?;
                Some((number, u32::try_from(max).ok()?))
            }
            _ => None,
        };
        let away =
            |fault: &Fault| matches!(fault, Fault::Restart(it) if it.what == Program::KubeControllerManager);
        let stateful = matches!(recipe.scaler, Scaler::Object { stateful: true, .. });
        let pods_lag = if stateful {
            // One pod after the other goes, each with its grace period.
            Millis::minutes(60)
        } else if trial.scenario().faults.iter().any(away) {
            MANAGER_AWAY
        } else {
            UNDER_WAY
        };
        Self {
            jobs: matches!(recipe.scaler, Scaler::Job { .. }),
            min: recipe.min,
            max: Bound(vec![(Instant::START, recipe.max)]),
            edits: (0..).zip(&trial.scenario().faults).filter_map(edit).collect(),
            spec: Bound(vec![(Instant::START, recipe.min)]),
            written: None,
            alive: BTreeSet::new(),
            pods_lag,
            unfinished: BTreeSet::new(),
            last_read: None,
            interval: Millis::seconds(recipe.polling_interval.into()),
            fallback: match &recipe.scaler {
                Scaler::Object { fallback, .. } => fallback.map(|(_, replicas)| replicas),
                Scaler::Job { .. } => None,
            },
        }
    }

    fn within(&self, at: Instant, replicas: u32, what: &str) -> Result<(), String> {
        let max = self.max.highest(at, UNDER_WAY);
        if replicas > max { Err(format!("{what} {replicas}, the maximum is {max}")) } else { Ok(()) }
    }

    /// A maximum that was lowered holds after a sync.
    fn lowered(&self, at: Instant) -> Result<(), String> {
        let held = self.max.highest(at, SYNC + UNDER_WAY).max(self.fallback.unwrap_or_default());
        let is = self.spec.now();
        if !self.jobs && self.last_read.is_some() && is > held {
            return Err(format!(
                "{is} replicas are asked for, the maximum has been {held} for longer than a sync"
            ));
        }
        Ok(())
    }

    fn reads_go_on(&self, at: Instant) -> Result<(), String> {
        match self.last_read {
            Some(last) if last + self.interval + POLL_SLACK < at => {
                Err(format!("KEDA has read nothing since {}", last.since(Instant::START)))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, at: Instant, writer: &str, replicas: u32) -> Result<(), String> {
        self.written = Some(replicas);
        if writer == "keda" && self.fallback == Some(replicas) {
            return Ok(());
        }
        let least = if writer == "hpa" { self.min.max(1) } else { self.min };
        if replicas < least {
            return Err(format!("{writer} asks for {replicas}, the minimum is {least}"));
        }
        self.within(at, replicas, &format!("{writer} asks for"))
    }

    fn replicas(&mut self, at: Instant, spec: u32, status: u32) -> Result<(), String> {
        if spec != self.spec.now() {
            if self.written != Some(spec) && self.last_read.is_some() {
                return Err(format!("{spec} replicas are asked for, and nobody wrote it"));
            }
            self.spec.set(at, spec);
        }
        let most = self.spec.highest(at, self.pods_lag);
        if status > most && self.last_read.is_some() {
            return Err(format!("{status} replicas exist, {most} were asked for"));
        }
        Ok(())
    }

    fn count_pods(&self, at: Instant) -> Result<(), String> {
        let (alive, most) = (self.alive.len(), self.spec.highest(at, self.pods_lag));
        let few = u32::try_from(alive).is_ok_and(|alive| alive <= most);
        if few || self.jobs {
            Ok(())
        } else {
            Err(format!("{alive} pods live, {most} replicas were asked for"))
        }
    }
}

impl Invariant for Scale {
    fn see(&mut self, event: &Event) -> Result<(), String> {
        let at = event.at;
        self.reads_go_on(at)?;
        self.lowered(at)?;
        match &event.fact {
            Fact::RunReady {} => self.last_read = Some(at),
            Fact::ScalerRead { .. } => self.last_read = self.last_read.map(|_| at),
            Fact::RunDraining {} => self.last_read = None,
            Fact::FaultOn { fault, .. } => {
                if let Some(max) = self.edits.get(fault) {
                    self.max.set(at, *max);
                }
            }
            Fact::ScaleWritten { writer, replicas, status: 200, .. } => self.write(at, writer, *replicas)?,
            Fact::HpaStatus { desired, .. } => self.within(at, *desired, "the HPA wants")?,
            Fact::Replicas { spec, status, .. } => self.replicas(at, *spec, *status)?,
            Fact::PodCreated { pod, .. } => {
                self.alive.insert(pod.clone());
                self.count_pods(at)?;
            }
            Fact::PodTerminating { pod, .. } | Fact::PodEnded { pod, .. } | Fact::PodGone { pod } => {
                self.alive.remove(pod);
            }
            Fact::KubernetesJobCreated { job } => {
                if !self.unfinished.insert(job.clone()) {
                    return Err(format!("Job/{job} is created twice"));
                }
                let unfinished = u32::try_from(self.unfinished.len()).unwrap_or(u32::MAX);
                self.within(at, unfinished, "unfinished Jobs:")?;
            }
            Fact::KubernetesJobFinished { job, .. } | Fact::KubernetesJobDeleted { job } => {
                self.unfinished.remove(job);
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&self, _: &Ended) -> Result<(), String> {
        Ok(())
    }
}
