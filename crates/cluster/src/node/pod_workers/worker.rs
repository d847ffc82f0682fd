//! One pod on a node: its machine, and what of it is written to the API.

use std::sync::Arc;

use clock::Clock;
use kubelet::{Pod, Template};
use model::{Instant, Millis};

use crate::node::environment::{Metadata, PodFacts};
use crate::node::lean::LeanPod;
use crate::node::objects::{node_address, pod_address};
use crate::node::statuses::{self, Place};
use crate::node::tasks::{Life, PodKey, count};
use crate::node::writes::{PodName, Write};

/// The first pause before a failed write is tried again, in scenario time.
const WRITE_AGAIN: Millis = Millis::seconds(1);
/// The longest such pause: the fifth.
const MOST_DOUBLINGS: u32 = 4;

pub(super) struct Worker {
    key: PodKey,
    /// Which pod of its namespace it is, by creation: its random streams are named by it.
    ordinal: u64,
    pub(super) node: usize,
    pub(super) name: PodName,
    pub(super) template: Arc<Template>,
    pub(super) machine: Pod,
    /// The host name, where it is not the pod's name.
    host_name: Option<Box<str>>,
    /// Labels and annotations, where an environment quotes them.
    metadata: Option<Arc<Metadata>>,
    /// The containers' agents, init containers first.
    pub(super) lives: Box<[Option<Life>]>,
    /// The grace of the deletion that the machine knows of.
    pub(super) deletion: Option<Millis>,
    /// Whether the object is gone.
    pub(super) gone: bool,
    /// The entry in the heap of timers that counts.
    pub(super) wakes_at: Option<Instant>,
    /// Whether nobody else writes the condition `PodScheduled`.
    writes_scheduled: bool,
    pub(super) unpublished: bool,
    pub(super) undeleted: bool,
    /// Whether the pod is in the queue of writes, or a write is under way.
    pub(super) writing: bool,
    /// Whether the write under way is the deletion.
    pub(super) deleting: bool,
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    /// When nothing is left of it on the node, between its processes' end and its object's deletion.
    pub(super) torn_down_at: Option<Instant>,
}

impl Worker {
    pub(super) fn new(
        (key, ordinal): (PodKey, u64),
        node: usize,
        name: PodName,
        template: Arc<Template>,
        machine: Pod,
        pod: &LeanPod,
    ) -> Self {
        let metadata = template.reads_metadata().then(|| {
            Arc::new(Metadata {
                labels: pod.metadata.labels.clone().unwrap_or_default(),
                annotations: pod.metadata.annotations.clone().unwrap_or_default(),
            })
        });
        let conditions = pod.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        Self {
            key,
            ordinal,
            node,
            name,
            lives: (0..count(machine.spec())).map(|_| None).collect(),
            template,
            machine,
            host_name: pod.spec.hostname.as_deref().filter(|name| !name.is_empty()).map(Into::into),
            metadata,
            deletion: None,
            gone: false,
            wakes_at: None,
            writes_scheduled: !conditions.iter().any(|condition| condition.kind == "PodScheduled"),
            unpublished: false,
            undeleted: false,
            writing: false,
            deleting: false,
            failures: 0,
            retry_at: None,
            torn_down_at: None,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.machine.next_deadline(), self.retry_at, self.torn_down_at].into_iter().flatten().min()
    }

    pub(super) fn facts(&self, nodes: &[String]) -> PodFacts {
        PodFacts {
            name: self.name.name.to_string(),
            namespace: Arc::clone(&self.name.namespace),
            uid: self.name.uid.to_string(),
            host_name: self.host_name().to_owned(),
            node: nodes[self.node].clone(),
            service_account: self.template.service_account.clone(),
            pod_ip: pod_address(self.key).to_string(),
            host_ip: node_address(self.node).to_string(),
            metadata: self.metadata.clone(),
        }
    }

    /// What `hostname` prints: at the most 63 characters.
    ///
    /// Source: Kubernetes 1.35.4, `pkg/kubelet/kubelet_pods.go`, `truncatePodHostnameIfNeeded`.
    fn host_name(&self) -> &str {
        const MOST: usize = 63;
        let name = self.host_name.as_deref().unwrap_or(&self.name.name);
        name.get(..MOST).unwrap_or(name).trim_end_matches(['-', '.'])
    }

    /// Which pod of its namespace it is, by creation.
    pub(super) fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Whether the pod has something to write, and is not at it.
    pub(super) fn may_queue(&self) -> bool {
        (self.unpublished || self.undeleted) && !self.writing && !self.gone && self.retry_at.is_none()
    }

    /// The status goes first: whoever waits for the pod's end sees how it ended.
    pub(super) fn next_write(&self, clock: &Clock) -> Option<Write> {
        if self.gone {
            None
        } else if self.unpublished {
            let place = Place {
                uid: &self.name.uid,
                pod_ip: &pod_address(self.key).to_string(),
                host_ip: &node_address(self.node).to_string(),
                writes_scheduled: self.writes_scheduled,
            };
            let status = self.machine.status();
            Some(Write::Status(statuses::patch(clock, &status, self.machine.spec(), place)))
        } else {
            self.undeleted.then_some(Write::Delete)
        }
    }

    /// The write under way failed: it is tried again after a pause.
    pub(super) fn failed(&mut self, now: Instant) {
        if self.deleting {
            self.undeleted = true;
        } else {
            self.unpublished = true;
        }
        let doublings = self.failures.min(MOST_DOUBLINGS);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + Millis(WRITE_AGAIN.0 << doublings));
    }
}
