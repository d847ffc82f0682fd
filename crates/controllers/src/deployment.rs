//! The Deployment controller.
//!
//! Source: Kubernetes 1.35.4, `pkg/controller/deployment/sync.go`, `rolling.go`, `recreate.go` and
//! `util/deployment_util.go`.

use std::collections::VecDeque;

use model::Instant;

use crate::cluster::{Action, Cluster};
use crate::ids::WorkloadId;
use crate::names;
use crate::queue::{Call, Controller, Key};
use crate::replica_set::ReplicaSet;
use crate::workload::{Counts, Kind, MAX_SURGE_PERCENT, MAX_UNAVAILABLE_PERCENT, Strategy, Workload};

/// One write of a sync; they are made one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A ReplicaSet is created for the template, with these replicas.
    Create(u32),
    /// A ReplicaSet gets these replicas.
    Scale(u16, u32),
    /// The Deployment's status is written, if it is news.
    Status,
}

/// A ReplicaSet as the decisions see it: what of it is read, and its replicas, which they change.
#[derive(Debug, Clone, Copy)]
struct Size {
    index: u16,
    replicas: u32,
    /// Ready for `minReadySeconds`, which is zero here.
    available: u32,
    desired: u32,
    most: u32,
}

/// What a decision looks at.
struct Plan<'w> {
    workload: &'w Workload,
    new: Option<Size>,
    /// Oldest first.
    old: Vec<Size>,
    steps: VecDeque<Step>,
}

/// `percent` of `of`.
fn share(of: u32, percent: u32, up: bool) -> u32 {
    let hundredths = u64::from(of) * u64::from(percent);
    let rounded = if up { hundredths.div_ceil(100) } else { hundredths / 100 };
    u32::try_from(rounded).unwrap_or(u32::MAX)
}

impl Workload {
    fn rolls(&self) -> bool {
        self.kind == Kind::Deployment(Strategy::RollingUpdate)
    }

    /// How many pods more than the replicas there may be.
    pub(crate) fn max_surge(&self) -> u32 {
        if self.rolls() { share(self.replicas, MAX_SURGE_PERCENT, true) } else { 0 }
    }

    /// How many replicas may be missing: by `ResolveFenceposts` one if both would be none.
    pub(crate) fn max_unavailable(&self) -> u32 {
        if !self.rolls() || self.replicas == 0 {
            return 0;
        }
        let unavailable = share(self.replicas, MAX_UNAVAILABLE_PERCENT, false);
        if unavailable == 0 && self.max_surge() == 0 { 1 } else { unavailable }
    }
}

impl Plan<'_> {
    /// What one sync writes.
    fn of(workload: &Workload) -> VecDeque<Step> {
        let mut plan = Plan { workload, new: None, old: Vec::new(), steps: VecDeque::new() };
        for (index, set) in workload.sets.iter().enumerate().filter(|(_, set)| !set.gone) {
            let size = Size {
                index: u16::try_from(index).unwrap_or(u16::MAX),
                replicas: set.replicas,
                available: set.status.counts.ready,
                desired: set.desired,
                most: set.most,
            };
            if set.template.hash == workload.template.hash && plan.new.is_none() {
                plan.new = Some(size);
            } else {
                plan.old.push(size);
            }
        }
        if !workload.deleting {
            plan.decide();
        }
        plan.steps.push_back(Step::Status);
        plan.steps
    }

    fn decide(&mut self) {
        // `isScalingEvent`
        let replicas = self.workload.replicas;
        let mut active = self.old.iter().chain(&self.new).filter(|size| size.replicas > 0);
        if active.any(|size| size.desired != replicas) {
            self.scale();
        } else if self.workload.rolls() {
            self.roll();
        } else {
            self.recreate();
        }
    }

    fn resize(&mut self, size: Size, replicas: u32) {
        self.steps.push_back(Step::Scale(size.index, replicas));
    }

    fn total(&self) -> u32 {
        self.old.iter().chain(&self.new).map(|size| size.replicas).sum()
    }

    /// The replicas changed: the active ReplicaSet gets them, several share the change in proportion.
    fn scale(&mut self) {
        let replicas = self.workload.replicas;
        let active: Vec<Size> =
            self.old.iter().chain(&self.new).filter(|size| size.replicas > 0).copied().collect();
        if let [only] = active[..] {
            if only.replicas != replicas {
                self.resize(only, replicas);
            }
            return;
        }
        if let Some(new) = self.new
            && [new.replicas, new.desired, new.available] == [replicas; 3]
        {
            for old in self.old.clone().into_iter().filter(|old| old.replicas > 0) {
                self.resize(old, 0);
            }
        } else if self.workload.rolls() {
            self.scale_in_proportion(active);
        }
    }

    fn scale_in_proportion(&mut self, mut active: Vec<Size>) {
        let replicas = self.workload.replicas;
        let allowed = if replicas > 0 { replicas + self.workload.max_surge() } else { 0 };
        let to_add = i64::from(allowed) - i64::from(self.total());
        // The largest first; of the same size the newest gains first, the oldest loses first.
        active.sort_by_key(|size| (std::cmp::Reverse(size.replicas), size.index));
        if to_add > 0 {
            active.sort_by_key(|size| std::cmp::Reverse((size.replicas, size.index)));
        }
        let mut added = 0;
        let mut sizes: Vec<i64> = Vec::with_capacity(active.len());
        for size in &active {
            let share = self.proportion(size, to_add, to_add - added);
            added += share;
            sizes.push(i64::from(size.replicas) + share);
        }
        if let Some(largest) = sizes.first_mut() {
            *largest = (*largest + to_add - added).max(0);
        }
        for (size, replicas) in active.into_iter().zip(sizes) {
            self.resize(size, u32::try_from(replicas).unwrap_or(0));
        }
    }

    /// `GetReplicaSetProportion`
    fn proportion(&self, size: &Size, to_add: i64, left: i64) -> i64 {
        if size.replicas == 0 || left == 0 {
            return 0;
        }
        let workload = self.workload;
        let before = if size.most == 0 { workload.status.replicas } else { size.most };
        let fraction = if workload.replicas == 0 {
            -i64::from(size.replicas)
        } else if before == 0 {
            0
        } else {
            let now = i64::from(workload.replicas + workload.max_surge());
            // Halves are rounded up: both are positive.
            let scaled = (2 * i64::from(size.replicas) * now + i64::from(before)) / (2 * i64::from(before));
            scaled - i64::from(size.replicas)
        };
        if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
    }

    /// `NewRSNewReplicas`
    fn new_replicas(&self, current: u32) -> u32 {
        let replicas = self.workload.replicas;
        if !self.workload.rolls() {
            return replicas;
        }
        let room = (replicas + self.workload.max_surge()).saturating_sub(self.total());
        current + room.min(replicas.saturating_sub(current))
    }

    fn roll(&mut self) {
        let replicas = self.workload.replicas;
        let Some(new) = self.new else {
            let first = self.new_replicas(0);
            self.steps.push_back(Step::Create(first));
            // The new ReplicaSet has its size: what follows in the same sync is the old ones' turn.
            self.shrink_old(Size {
                index: u16::MAX,
                replicas: first,
                available: 0,
                desired: replicas,
                most: 0,
            });
            return;
        };
        let wanted = if new.replicas > replicas { replicas } else { self.new_replicas(new.replicas) };
        if wanted == new.replicas {
            self.shrink_old(new);
        } else {
            self.resize(new, wanted);
        }
    }

    /// `reconcileOldReplicaSets`
    fn shrink_old(&mut self, new: Size) {
        let signed = |number: u32| i64::from(number);
        let least = signed(self.workload.replicas) - signed(self.workload.max_unavailable());
        let old_total: u32 = self.old.iter().map(|size| size.replicas).sum();
        let total = signed(old_total + new.replicas);
        let most = total - least - (signed(new.replicas) - signed(new.available));
        if old_total == 0 || most <= 0 {
            return;
        }
        // Those that are not available first, whatever happens to the others.
        let mut cleaned = 0;
        for index in 0..self.old.len() {
            let old = self.old[index];
            let unhealthy = signed(old.replicas) - signed(old.available);
            let down = unhealthy.min(most - cleaned);
            if down > 0 {
                cleaned += down;
                self.take(index, down);
            }
        }
        let available: u32 = self.old.iter().map(|size| size.available).sum::<u32>() + new.available;
        let mut left = signed(available) - least;
        for index in 0..self.old.len() {
            let down = signed(self.old[index].replicas).min(left);
            if down > 0 {
                left -= down;
                self.take(index, down);
            }
        }
    }

    fn take(&mut self, index: usize, down: i64) {
        let replicas = (i64::from(self.old[index].replicas) - down).max(0);
        self.old[index].replicas = u32::try_from(replicas).unwrap_or(0);
        self.resize(self.old[index], self.old[index].replicas);
    }

    fn recreate(&mut self) {
        let mut shrunk = false;
        for old in self.old.clone().into_iter().filter(|old| old.replicas > 0) {
            self.resize(old, 0);
            shrunk = true;
        }
        if shrunk || self.old_pods_run() {
            return;
        }
        let replicas = self.workload.replicas;
        match self.new {
            None => self.steps.push_back(Step::Create(replicas)),
            Some(new) if new.replicas != replicas => self.resize(new, replicas),
            Some(_) => {}
        }
    }

    fn old_pods_run(&self) -> bool {
        self.old.iter().any(|old| {
            let set = &self.workload.sets[usize::from(old.index)];
            set.status.counts.replicas > 0 || set.active + set.terminating > 0
        })
    }
}

impl Cluster {
    pub(crate) fn sync_deployment(&mut self, now: Instant, id: WorkloadId) {
        let workload = self.workload_mut(id);
        workload.steps = if workload.deleted { VecDeque::new() } else { Plan::of(workload) };
        self.next_step(now, id);
    }

    fn next_step(&mut self, now: Instant, id: WorkloadId) {
        let key = Key::Deployment(id);
        match self.workload(id).steps.front() {
            Some(Step::Create(_) | Step::Scale(..)) => self.call(now, key, Call::WriteSet),
            Some(Step::Status) if self.status_is_news(id) => self.call(now, key, Call::WriteStatus),
            Some(Step::Status) | None => self.end_sync(key),
        }
    }

    /// What the status is to say: the sums of what the ReplicaSets' statuses say.
    fn sums(&self, id: WorkloadId) -> (Counts, u32) {
        let mut counts = Counts::default();
        let mut terminating = 0;
        for set in self.workload(id).sets.iter().filter(|set| !set.gone) {
            counts.replicas += set.status.counts.replicas;
            counts.ready += set.status.counts.ready;
            terminating += set.status.terminating;
        }
        (counts, terminating)
    }

    fn status_is_news(&self, id: WorkloadId) -> bool {
        let workload = self.workload(id);
        let said = (workload.status, workload.terminating);
        workload.observed != workload.generation || said != self.sums(id)
    }

    pub(crate) fn deployment_called(
        &mut self,
        now: Instant,
        id: WorkloadId,
        call: Call,
        out: &mut Vec<Action>,
    ) {
        let workload = self.workload_mut(id);
        if workload.deleted {
            workload.steps.clear();
        }
        let step = workload.steps.pop_front();
        match (call, step) {
            (Call::WriteSet, Some(Step::Create(replicas))) => {
                self.create_set(now, id, replicas);
                if replicas > 0 {
                    self.record_scaling(now, id);
                }
            }
            (Call::WriteSet, Some(Step::Scale(index, replicas))) => self.scale_set(now, id, index, replicas),
            (Call::WriteStatus, Some(Step::Status)) => {
                let (counts, terminating) = self.sums(id);
                let workload = self.workload_mut(id);
                workload.observed = workload.generation;
                (workload.status, workload.terminating) = (counts, terminating);
                workload.version.0 += 1;
                self.tell_replicas(id, out);
            }
            _ => {}
        }
        self.next_step(now, id);
    }

    fn create_set(&mut self, now: Instant, id: WorkloadId, replicas: u32) {
        let workload = self.workload_mut(id);
        let Ok(index) = u16::try_from(workload.sets.len()) else { return };
        let name = names::replica_set(&workload.name, workload.template.hash);
        let most = workload.replicas + workload.max_surge();
        let set = ReplicaSet::new(name, workload.template, replicas, workload.replicas, most);
        workload.sets.push(set);
        self.notify(now, Key::ReplicaSet(id, index));
        self.notify(now, Key::Deployment(id));
    }

    fn scale_set(&mut self, now: Instant, id: WorkloadId, index: u16, replicas: u32) {
        let workload = self.workload_mut(id);
        let (desired, most) = (workload.replicas, workload.replicas + workload.max_surge());
        let set = &mut workload.sets[usize::from(index)];
        let resized = std::mem::replace(&mut set.replicas, replicas) != replicas;
        (set.desired, set.most) = (desired, most);
        if resized {
            self.record_scaling(now, id);
        }
        self.notify(now, Key::ReplicaSet(id, index));
        self.notify(now, Key::Deployment(id));
    }

    fn record_scaling(&mut self, now: Instant, id: WorkloadId) {
        if self.workload_mut(id).spam.passes(now) {
            self.record(now, Controller::Deployment);
        }
    }
}
