//! One of two logs, in time since `run.ready`.

use std::collections::BTreeMap;

use model::event::ScaleTarget;
use model::{Instant, Millis};

use super::TimedStep;
use crate::count::{CountRule, version};
use crate::history::{History, Steps};

/// From one HPA sync to the next, at most.
const LONGEST_SYNC: Millis = Millis::seconds(16);

/// A log and what its decisions hang on.
pub(super) struct Side {
    pub(super) history: History,
    ready: Instant,
    /// Until when the workload was left to itself.
    pub(super) until: Instant,
    /// When the queue was read.
    pub(super) beats: Vec<Instant>,
    /// What can change a decision, and when it happened.
    pub(super) causes: Vec<(Instant, String)>,
}

/// The steps of a workload, and its replicas over time; for a ScaledJob the Jobs made so far.
pub(super) struct Course {
    pub(super) steps: Vec<TimedStep>,
    pub(super) level: Steps,
    /// What each good read asked for.
    pub(super) wanted: Vec<(Instant, u32)>,
    /// How far decisions are apart, and what holds a reduction back.
    pub(super) pace: Pace,
}

/// How far decisions are apart, and what holds a reduction back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From one poll to the next.
    poll: Millis,
    /// Whether every step is a poll's.
    only_polls: bool,
    pub(super) cooldown: Millis,
    pub(super) window: Millis,
}

impl Pace {
    /// From one chance to take a step to the next: KEDA's polls lead out of zero and back, the HPA's syncs
    /// do the rest.
    pub(super) fn period(&self, step: TimedStep) -> Millis {
        let polled = self.only_polls || step.from == 0 || step.to == 0;
        if polled { self.poll.max(LONGEST_SYNC) } else { LONGEST_SYNC }
    }
}

impl Side {
    pub(super) fn of(history: History) -> Self {
        let ready = history.ready.unwrap_or_default();
        let since = |at: Instant| Instant(at.0.saturating_sub(ready.0));
        let beats = history.reads.iter().map(|read| since(read.at)).collect();
        let until = since(history.judged_until());
        let mut side = Self { history, ready, until, beats, causes: Vec::new() };
        side.causes = side.all_causes();
        side
    }

    /// An instant since `run.ready`; what came before it counts as at it.
    pub(super) fn since(&self, at: Instant) -> Instant {
        Instant(at.0.saturating_sub(self.ready.0))
    }

    fn all_causes(&self) -> Vec<(Instant, String)> {
        let received_count = self.history.targets.values().any(|target| {
            version(&target.scale.keda).is_some_and(|keda| {
                let rules = target.scale.triggers.iter();
                rules
                    .map(|trigger| CountRule::of(&trigger.metadata, &keda))
                    .any(|rule| rule.sees_only_waiting_jobs())
            })
        });
        let mut causes = Vec::new();
        for (request, job) in &self.history.jobs {
            let mut add = |what: &str, at: Option<Instant>| {
                causes.extend(at.map(|at| (self.since(at), format!("job {request} was {what}"))));
            };
            add("queued", job.queued);
            add("finished", job.finished().map(|finish| finish.at));
            add("received", job.received().map(|taken| taken.at).filter(|_| received_count));
        }
        for (name, job) in &self.history.kubernetes_jobs {
            causes.extend(job.finished.map(|at| (self.since(at), format!("Job/{name} finished"))));
        }
        for pod in self.history.pods.iter().filter(|pod| owned_by_job(pod.owner.as_deref())) {
            causes.extend(pod.running.map(|at| (self.since(at), format!("Pod/{} ran", pod.name))));
        }
        for fault in &self.history.faults {
            causes.push((self.since(fault.from), format!("{} began", fault.name())));
            causes.extend(fault.to.map(|at| (self.since(at), format!("fault {} was over", fault.index))));
        }
        causes.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        causes
    }

    /// The last read at or before an instant.
    pub(super) fn beat_before(&self, at: Instant) -> Option<Instant> {
        let after = self.beats.partition_point(|beat| *beat <= at);
        after.checked_sub(1).and_then(|index| self.beats.get(index)).copied()
    }

    /// The first read after an instant.
    pub(super) fn beat_after(&self, at: Instant) -> Option<Instant> {
        self.beats.get(self.beats.partition_point(|beat| *beat <= at)).copied()
    }

    /// The read that is nearest to an instant.
    pub(super) fn beat_near(&self, at: Instant) -> Option<Instant> {
        let both = [self.beat_before(at), self.beat_after(at)];
        both.into_iter().flatten().min_by_key(|beat| beat.0.abs_diff(at.0))
    }

    /// The courses of its workloads and ScaledJobs, by name.
    pub(super) fn courses(&self) -> BTreeMap<String, Course> {
        let mut courses = BTreeMap::new();
        for (object, target) in &self.history.targets {
            let scale = &target.scale;
            let pace = Pace {
                poll: Millis::seconds(scale.polling_interval_s),
                only_polls: scale.scaler == "ScaledJob",
                cooldown: Millis::seconds(scale.cooldown_s),
                window: Millis::seconds(scale.stabilization_s),
            };
            let (name, level) = if scale.scaler == "ScaledJob" {
                (object.clone(), self.made())
            } else {
                (scale.workload.clone(), self.shifted(&self.history.replicas_of(target)))
            };
            let wanted = self.wanted(scale);
            let steps = level.changes().filter(|change| change.at < self.until);
            let steps = steps.map(|change| TimedStep { at: change.at, from: change.from, to: change.to });
            courses.insert(name, Course { steps: steps.collect(), level, wanted, pace });
        }
        courses
    }

    /// What each good read of the queue asked for, by the rules of the object's triggers.
    fn wanted(&self, scale: &ScaleTarget) -> Vec<(Instant, u32)> {
        let Some(keda) = version(&scale.keda) else { return Vec::new() };
        let triggers = scale.triggers.iter().filter(|trigger| trigger.kind == "azure-pipelines");
        let rules: Vec<CountRule> = triggers.map(|trigger| CountRule::of(&trigger.metadata, &keda)).collect();
        let reads = self.history.reads.iter().filter(|read| read.succeeded());
        let wanted = reads.map(|read| {
            let one = |rule: &CountRule| rule.count(&read.rows).div_ceil(rule.target.max(1));
            let most = rules.iter().map(one).max().unwrap_or_default();
            (self.since(read.at), u32::try_from(most).unwrap_or(u32::MAX))
        });
        wanted.collect()
    }

    fn shifted(&self, steps: &Steps) -> Steps {
        let mut shifted = Steps::default();
        for point in steps.points() {
            shifted.set(self.since(point.at), point.value);
        }
        shifted
    }

    /// The Kubernetes Jobs made so far. Those that one poll made count as made at once.
    fn made(&self) -> Steps {
        let mut created: Vec<Instant> = self
            .history
            .kubernetes_jobs
            .values()
            .filter_map(|job| job.created)
            .map(|at| self.since(at))
            .collect();
        created.sort_unstable();
        let mut deltas = vec![(Instant::START, 0)];
        let mut poll: Option<(Option<Instant>, Instant)> = None;
        for at in created {
            let beat = self.beat_before(at);
            let first = match poll {
                Some((of, first)) if of == beat => first,
                _ => at,
            };
            poll = Some((beat, first));
            deltas.push((first, 1));
        }
        Steps::counting(deltas)
    }
}

fn owned_by_job(owner: Option<&str>) -> bool {
    owner.is_some_and(|owner| owner.starts_with("Job/"))
}
