//! Between the HPA and everybody else: what it reads, and what it writes.

use std::collections::BTreeMap;

use hpa::{Action, Input, View, Written};
use model::{Fact, Millis};

use super::World;

/// What the API server answers to a read that failed behind it.
const FAILED: u16 = 500;

impl World<'_> {
    pub(super) fn advance_hpa(&mut self) {
        let view = self.hpa_view();
        // A retry goes by the version that it has read itself.
        if self.operator.hpa.as_ref().is_some_and(|hpa| !hpa.is_syncing()) {
            self.operator.seen = self.scaled.map(|workload| self.cluster.workload(workload).version());
        }
        let mut actions = std::mem::take(&mut self.operator.hpa_actions);
        if let Some(hpa) = &mut self.operator.hpa {
            hpa.advance(self.now, view.as_ref(), &mut actions);
        }
        self.operator.hpa_actions = actions;
    }

    pub(super) fn tell_hpa(&mut self, input: Input) {
        let view = self.hpa_view();
        let mut actions = std::mem::take(&mut self.operator.hpa_actions);
        if let Some(hpa) = &mut self.operator.hpa {
            hpa.handle(self.now, input, view.as_ref(), &mut actions);
        }
        self.operator.hpa_actions = actions;
    }

    /// What the HPA sees of the workload.
    fn hpa_view(&self) -> Option<View> {
        let workload = self.cluster.workload(self.scaled?);
        if workload.is_deleted() {
            return None;
        }
        let counts = workload.status();
        let signed = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Some(View {
            spec_replicas: signed(workload.replicas()),
            status_replicas: signed(counts.replicas),
            pods: signed(counts.replicas),
            ready: signed(counts.ready),
        })
    }

    /// Does what the HPA wants; whether it wanted anything.
    pub(super) fn carry_out_hpa(&mut self) -> bool {
        let mut any = false;
        while !self.operator.hpa_actions.is_empty() {
            any = true;
            let mut actions = std::mem::take(&mut self.operator.hpa_actions);
            for action in actions.drain(..) {
                match action {
                    Action::Read { sync, metric } => self.query(sync, metric),
                    Action::Write { sync, replicas, .. } => self.write_scale(sync, replicas),
                    Action::Status => self.hpa_status(),
                    Action::Forgotten => self.operator.hpa_forgotten(),
                }
            }
            // The room is used again, unless something came in meanwhile.
            if self.operator.hpa_actions.is_empty() {
                self.operator.hpa_actions = actions;
            }
        }
        any
    }

    /// KEDA's metrics API has answered the HPA.
    pub(super) fn hpa_answered(&mut self, sync: u32, metric: usize, value: Option<i64>, latency: Millis) {
        if self.log.wanted {
            let metric = self.operator.metric_name(metric);
            let status = if value.is_some() { 200 } else { FAILED };
            let (at, latency_ms) = (self.now, latency.0);
            self.log.kubernetes(at, || Fact::HpaRead { metric, status, latency_ms, value_milli: value });
        }
        self.tell_hpa(Input::Answered { sync, answer: value });
    }

    fn write_scale(&mut self, sync: u32, replicas: i32) {
        let Some(workload) = self.scaled else { return };
        let wanted = u32::try_from(replicas).unwrap_or(0);
        let seen = self.operator.seen.unwrap_or_default();
        // The retry reads the workload again before it writes.
        self.operator.seen = Some(self.cluster.workload(workload).version());
        let written = self.cluster.scale_if(self.now, workload, wanted, seen, &mut self.cluster_actions);
        let status = if written.is_ok() { 200 } else { 409 };
        self.scale_written("hpa", wanted, status);
        let outcome = if written.is_ok() { Written::Done } else { Written::Conflict };
        self.tell_hpa(Input::Written { sync, outcome });
    }

    pub(super) fn scale_written(&mut self, writer: &'static str, replicas: u32, status: u16) {
        self.statistics.peak = self.statistics.peak.max(replicas);
        if !self.log.wanted {
            return;
        }
        let workload = self.operator.target.clone();
        let writer = writer.to_owned();
        self.log.kubernetes(self.now, || Fact::ScaleWritten { workload, writer, replicas, status });
    }

    fn hpa_status(&mut self) {
        let Some(hpa) = &self.operator.hpa else { return };
        let status = hpa.status();
        let unsigned = |count: i32| u32::try_from(count).unwrap_or(0);
        let (current, desired) = (unsigned(status.current), unsigned(status.desired));
        if self.log.wanted {
            let conditions: BTreeMap<String, String> = status
                .conditions
                .named()
                .map(|(name, condition)| (name.to_owned(), condition.to_string()))
                .collect();
            let hpa = self.operator.hpa_name.clone();
            self.log.hpa(self.now, || Fact::HpaStatus { hpa, current, desired, conditions });
        }
        self.tell_operator_of_hpa();
    }

    pub(super) fn stop_hpa(&mut self) {
        self.tell_hpa(Input::ControllerStopped);
    }

    pub(super) fn start_hpa(&mut self) {
        self.tell_hpa(Input::ControllerStarted);
    }
}
