//! The Jobs of a log and their pods, and what of them counted at a moment.

use std::collections::BTreeMap;

use keda::scaled_job::{Counts, PodConditions, PodPhase, PodView, Settings};
use model::{Fact, Instant};

use super::log::Log;
use super::revisions::Revision;

/// The Jobs of a log.
pub(super) struct Lives<'a>(pub(super) BTreeMap<&'a str, Life<'a>>);

/// A Job.
#[derive(Debug, Clone, Default)]
pub(super) struct Life<'a> {
    pub(super) name: &'a str,
    pub(super) created: Instant,
    /// When, and whether it succeeded.
    pub(super) finished: Option<(Instant, bool)>,
    pub(super) deleted: Option<Instant>,
    pods: Vec<Pod>,
}

/// A pod of a Job.
#[derive(Debug, Clone, Copy, Default)]
struct Pod {
    created: Instant,
    scheduled: Option<Instant>,
    running: Option<Instant>,
    ready: Option<Instant>,
    ended: Option<(Instant, bool)>,
    gone: Option<Instant>,
}

impl Pod {
    fn change(&mut self, fact: &Fact, at: Instant) {
        match fact {
            Fact::PodScheduled { .. } => self.scheduled = Some(at),
            Fact::PodRunning { .. } => self.running = Some(at),
            Fact::PodReady { .. } => self.ready = Some(at),
            Fact::PodEnded { phase, .. } => self.ended = Some((at, phase == "Succeeded")),
            Fact::PodGone { .. } => self.gone = Some(at),
            _ => {}
        }
    }

    fn view(&self, at: Instant) -> Option<PodView> {
        let by = |when: Option<Instant>| when.is_some_and(|when| when <= at);
        if self.created > at || by(self.gone) {
            return None;
        }
        let phase = match self.ended {
            Some((when, succeeded)) if when <= at => {
                if succeeded {
                    PodPhase::Succeeded
                } else {
                    PodPhase::Failed
                }
            }
            _ if by(self.running) => PodPhase::Running,
            _ => PodPhase::Pending,
        };
        let mut conditions = PodConditions::NONE;
        for (holds, more) in [
            (by(self.scheduled), PodConditions::POD_SCHEDULED),
            (by(self.running), PodConditions::READY_TO_START_CONTAINERS.and(PodConditions::INITIALIZED)),
            (
                by(self.ready) && phase == PodPhase::Running,
                PodConditions::READY.and(PodConditions::CONTAINERS_READY),
            ),
        ] {
            conditions = if holds { conditions.and(more) } else { conditions };
        }
        Some(PodView { phase, conditions })
    }
}

impl Life<'_> {
    /// Whether the Job counts as running and as pending.
    fn counts(&self, revision: &Revision, settings: &Settings, at: Instant) -> (bool, bool) {
        let by = |when: Option<Instant>| when.is_some_and(|when| when <= at);
        if self.created > at || by(self.deleted) || by(self.finished.map(|(when, _)| when)) {
            return (false, false);
        }
        let pods: Vec<PodView> = self.pods.iter().filter_map(|pod| pod.view(at)).collect();
        (true, settings.pending.holds(&revision.rules.scaled_job, &pods))
    }
}

impl<'a> Lives<'a> {
    /// Those of a log.
    pub(super) fn of(log: &Log<'a>) -> Self {
        let mut jobs: BTreeMap<&'a str, Life<'a>> = BTreeMap::new();
        let mut owners: BTreeMap<&'a str, (&'a str, usize)> = BTreeMap::new();
        for event in &log.events {
            let at = event.at;
            match &event.fact {
                Fact::KubernetesJobCreated { job } => {
                    jobs.entry(job).or_insert(Life { name: job, created: at, ..Life::default() });
                }
                Fact::KubernetesJobFinished { job, succeeded } => {
                    if let Some(life) = jobs.get_mut(job.as_str()) {
                        life.finished.get_or_insert((at, *succeeded));
                    }
                }
                Fact::KubernetesJobDeleted { job } => {
                    if let Some(life) = jobs.get_mut(job.as_str()) {
                        life.deleted = Some(at);
                    }
                }
                Fact::PodCreated { pod, owner: Some(owner) } => {
                    let Some(job) = owner.strip_prefix("Job/") else { continue };
                    let life = jobs.entry(job).or_insert(Life { name: job, created: at, ..Life::default() });
                    owners.insert(pod, (job, life.pods.len()));
                    life.pods.push(Pod { created: at, ..Pod::default() });
                }
                fact => {
                    let Some(owner) = pod_of(fact).and_then(|pod| owners.get(pod)) else { continue };
                    let pod = jobs.get_mut(owner.0).and_then(|life| life.pods.get_mut(owner.1));
                    if let Some(pod) = pod {
                        pod.change(fact, at);
                    }
                }
            }
        }
        Self(jobs)
    }

    /// How many Jobs may have been counted at these times, at the first of them first, and what must have been
    /// otherwise. Jobs that were created from the first on are not there yet.
    pub(super) fn seen(
        &self,
        revision: &Revision,
        settings: &Settings,
        times: [Instant; 3],
    ) -> Vec<(Counts, String)> {
        let [at, ..] = times;
        let mut told = Counts::default();
        let (mut least, mut most) = (Counts::default(), Counts::default());
        let mut unsure: Vec<String> = Vec::new();
        for life in self.0.values().filter(|life| life.created < at) {
            let states = times.map(|at| life.counts(revision, settings, at));
            let [(runs, waits), ..] = states;
            told.running += i64::from(runs);
            told.pending += i64::from(waits);
            least.running += i64::from(states.iter().all(|(runs, _)| *runs));
            least.pending += i64::from(states.iter().all(|(_, waits)| *waits));
            most.running += i64::from(states.iter().any(|(runs, _)| *runs));
            most.pending += i64::from(states.iter().any(|(_, waits)| *waits));
            if states.iter().any(|state| *state != states[0]) {
                unsure.push(life.name.to_owned());
            }
        }
        let mut seen = vec![(told, String::new())];
        for running in least.running..=most.running {
            for pending in least.pending..=most.pending {
                let counts = Counts { running, pending };
                if counts != told {
                    let unless = format!(
                        "{running} unfinished and {pending} pending Jobs were seen, as {} changed just then",
                        unsure.join(", ")
                    );
                    seen.push((counts, unless));
                }
            }
        }
        seen
    }
}

/// The pod that a fact is about, if it changes one.
fn pod_of(fact: &Fact) -> Option<&str> {
    match fact {
        Fact::PodScheduled { pod, .. }
        | Fact::PodRunning { pod }
        | Fact::PodReady { pod }
        | Fact::PodEnded { pod, .. }
        | Fact::PodGone { pod } => Some(pod),
        _ => None,
    }
}
