//! What is to happen later, and the controllers' work queues.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use model::Instant;

use crate::ids::{JobId, NodeId, PodId, WorkloadId};

/// An object that a controller works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Deployment(WorkloadId),
    ReplicaSet(WorkloadId, u16),
    StatefulSet(WorkloadId),
    Job(JobId),
}

impl Key {
    /// Whose key it is.
    pub(crate) fn controller(self) -> Controller {
        match self {
            Self::Deployment(_) => Controller::Deployment,
            Self::ReplicaSet(..) => Controller::ReplicaSet,
            Self::StatefulSet(_) => Controller::StatefulSet,
            Self::Job(_) => Controller::Job,
        }
    }
}

/// Who has a client of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Deployment,
    ReplicaSet,
    StatefulSet,
    Job,
    Garbage,
    TimeToLive,
    NodeLifecycle,
    TaintEviction,
    PodGarbage,
}

/// How many there are; the first four have work queues.
pub(crate) const CONTROLLERS: usize = 9;

/// A call that a sync waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    /// A pod is created; a StatefulSet's has this ordinal.
    CreatePod(u32),
    /// A pod is deleted.
    DeletePod(PodId),
    /// A Deployment's ReplicaSet is created or changed: the step that the sync is at.
    WriteSet,
    /// The object's status is written.
    WriteStatus,
    /// The finalizer of a Job's pod is removed.
    Untrack(PodId),
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The delayed entry of a work queue is due.
    Due(Key),
    /// A call of the key's sync has taken effect.
    Called(Key, Call),
    /// A controller has written an event.
    Recorded(Controller),
    /// The garbage collector deletes a pod.
    CollectPod(PodId),
    /// The garbage collector deletes a ReplicaSet.
    CollectSet(WorkloadId, u16),
    /// The garbage collector lets a Job go whose dependents are gone.
    ReleaseJob(JobId),
    /// The Job controller removes the finalizer of a pod that has no Job.
    UntrackOrphan(PodId),
    /// A finished Job's time is over.
    Expired(JobId),
    /// It is deleted.
    Expire(JobId),
    /// The node lifecycle controller finds that a node is silent, in its n-th silence.
    Silent(NodeId, u32),
    /// It sets the condition of a pod on it.
    MarkNotReady(PodId),
    /// The node gets the taint NoExecute.
    Taint(NodeId, u32),
    /// Its pods have tolerated that long enough.
    Intolerable(NodeId, u32),
    /// One of them is deleted.
    Evict(PodId),
    /// The pods of a node that is gone are collected.
    CollectNode(NodeId),
    /// One of them is.
    Abandon(PodId),
    /// The scheduler looks at the head of its queue.
    Attempt,
    /// A pod is bound.
    Bind(PodId, NodeId),
}

/// The life of the controller-manager that a timer belongs to; this one is nobody's.
pub(crate) const ALWAYS: u32 = u32::MAX;

/// What is to happen, in order.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Entry>,
    number: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: Instant,
    number: u64,
    life: u32,
    timer: Timer,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl Timers {
    pub(crate) fn push(&mut self, at: Instant, life: u32, timer: Timer) {
        self.heap.push(Entry { at, number: self.number, life, timer });
        self.number += 1;
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|entry| entry.at)
    }

    /// The first that is due, with its time and the life that it belongs to.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, u32, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Entry { at, life, timer, .. }| (at, life, timer))
    }
}

/// A key in its work queue.
///
/// Source: client-go 0.35.4, `util/workqueue/queue.go` and `delaying_queue.go`: a key waits once, is not
/// worked
/// on twice at once, and of several delays the earliest wins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Work {
    pub(crate) dirty: bool,
    pub(crate) busy: bool,
    pub(crate) due: Option<Instant>,
}

/// A work queue and its workers.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) ready: VecDeque<Key>,
    pub(crate) busy: u32,
}
