//! What pods write to the API: queued, begun and done.

use model::Instant;

use super::PodWorkers;
use crate::node::tasks::PodKey;
use crate::node::writes::{Outcome, Write};

impl PodWorkers {
    pub(super) fn queue_write(&mut self, key: PodKey) {
        if let Some(worker) = self.workers.get_mut(&key)
            && worker.may_queue()
        {
            worker.writing = true;
            self.writes.queue(key);
        }
    }

    pub(super) fn begin_writes(&mut self) {
        while let Some(key) = self.writes.next() {
            let Some(worker) = self.workers.get_mut(&key) else { continue };
            if self.lost.has(worker.node) {
                worker.writing = false;
                continue;
            }
            match worker.next_write(&self.clock) {
                Some(write) => {
                    if write == Write::Delete {
                        worker.undeleted = false;
                    } else {
                        worker.unpublished = false;
                    }
                    worker.deleting = write == Write::Delete;
                    self.writes.begin(key, &worker.name, &write);
                }
                None => worker.writing = false,
            }
        }
    }

    pub(super) fn written(&mut self, now: Instant, key: PodKey, outcome: Outcome) {
        let Some(worker) = self.workers.get_mut(&key) else { return };
        worker.writing = false;
        match outcome {
            Outcome::Done => worker.failures = 0,
            // The watch will say so.
            Outcome::Gone => {}
            Outcome::Failed => {
                worker.failed(now);
                self.set_timer(key);
                return;
            }
        }
        self.queue_write(key);
    }
}
