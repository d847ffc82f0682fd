//! The ScaledObject's side.

use hpa::{Hpa, Input as HpaInput};
use keda::Rules;
use keda::scaled_object::{Action, HpaSpec, Input, Spec, View};
use model::manifest::ScaledObject;
use model::{Fact, Millis, MillisRange, stream};
use serde_json::Value as Json;

use super::{Kind, World};
use crate::TwinError;
use crate::hpa_spec::translated;
use crate::manifests::objects::{Objects, Scaler};
use crate::manifests::surroundings::surroundings;

/// The object as the operator's version reads it.
pub(super) fn spec(
    objects: &Objects,
    object: &ScaledObject,
    rules: &'static Rules,
) -> Result<Spec, TwinError> {
    let reference = &object.spec.scale_target_ref;
    let target = format!("{}/{}", reference.kind(), reference.name);
    let workload = objects.workloads.iter().find(|workload| workload.object == target);
    let Some(workload) = workload else {
        return Err(TwinError::Manifest(format!("{target} is in no manifest")));
    };
    let template = workload.template.template();
    let container = reference.env_source_container_name.as_deref();
    let each =
        object.spec.triggers.iter().map(|trigger| {
            surroundings(trigger, template, container, &objects.authentications, &objects.values)
        });
    Spec::read(rules, object.clone(), each.collect()).map_err(|error| TwinError::Manifest(error.to_string()))
}

impl World<'_> {
    /// What KEDA sees of the workload.
    pub(super) fn operator_view(&self) -> View {
        let Some(scaled) = self.scaled else { return View::default() };
        let workload = self.cluster.workload(scaled);
        let replicas = (!workload.is_deleted()).then(|| workload.replicas());
        View { replicas, ready: workload.status().ready }
    }

    pub(super) fn tell_object(&mut self, input: Input) {
        let view = self.operator_view();
        let operator = &mut self.operator;
        if let Kind::Object(machine) = &mut operator.kind {
            machine.handle(self.now, input, &view, &mut operator.object_actions);
        }
    }

    /// Does what KEDA wants for its ScaledObject; whether it wanted anything.
    pub(super) fn carry_out_object(&mut self) -> bool {
        let mut any = false;
        while !self.operator.object_actions.is_empty() {
            any = true;
            let mut actions = std::mem::take(&mut self.operator.object_actions);
            for action in actions.drain(..) {
                self.carry_out_one(action);
            }
            if self.operator.object_actions.is_empty() {
                self.operator.object_actions = actions;
            }
        }
        any
    }

    fn carry_out_one(&mut self, action: Action) {
        match action {
            Action::Request { call, request, .. } => self.ask(call, request),
            Action::Abandon { call } => self.abandon(call),
            Action::AnswerQuery { id, result } => {
                if let Some((sync, metric, asked)) = self.operator.queries.remove(&id) {
                    self.hpa_answered(sync, metric, result.ok(), self.now.since(asked));
                }
            }
            Action::Scale { write, replicas, .. } => {
                let Some(scaled) = self.scaled else { return };
                let before = self.cluster.workload(scaled).replicas();
                self.cluster.scale(self.now, scaled, replicas, &mut self.cluster_actions);
                self.scale_written("keda", replicas, 200);
                self.tell_object(Input::Scaled { write, result: Ok(before) });
            }
            Action::ApplyHpa(spec) => self.apply_hpa(&spec),
            Action::DeleteHpa { .. } => self.tell_hpa(HpaInput::Deleted),
            Action::Condition { condition, status, reason, message } => {
                let object = self.operator.object.clone();
                let values = [status.name(), &reason, &message];
                self.log.condition(self.now, &object, condition.name(), values);
            }
            Action::Event { warning, reason, message } => {
                let object = self.operator.object.clone();
                let kind = if warning { "Warning" } else { "Normal" };
                self.log.kubernetes(self.now, || Fact::KubernetesEvent {
                    object,
                    kind: kind.to_owned(),
                    reason: reason.to_owned(),
                    message: message.into_owned(),
                });
            }
        }
    }

    /// KEDA creates its HPA, or changes it.
    fn apply_hpa(&mut self, spec: &HpaSpec) {
        let Ok(translated) = translated(spec) else { return };
        self.operator.hpa_name.clone_from(&spec.name);
        self.operator.metric_names = spec.metrics.iter().map(|metric| metric.name.clone()).collect();
        if self.operator.hpa.is_none() {
            let rules = self.operator.hpa_rules;
            let mut hpa = Hpa::new(self.now, translated, rules);
            if self.request.alignment.is_none() {
                hpa.resync_at(self.now + resync_phase(self.request.seed));
            }
            self.operator.hpa = Some(Box::new(hpa));
            self.align_sync();
        } else if self.operator.hpa.as_ref().is_some_and(|hpa| hpa.exists()) {
            self.tell_hpa(HpaInput::Edited(translated));
        } else {
            self.tell_hpa(HpaInput::Recreated(translated));
        }
    }

    pub(super) fn edit_object(&mut self, written: &Json) {
        let Ok(object) = serde_json::from_value::<ScaledObject>(written.clone()) else { return };
        let Ok(spec) = spec(&self.objects, &object, self.operator.rules) else { return };
        self.objects.scaler = Scaler::Object(Box::new(object));
        self.tell_object(Input::Edited(Box::new(spec)));
    }
}

/// How long after the HPA's creation the controller's informer resyncs for the first time, which it does every
/// 15 s (Kubernetes 1.35.4, `cmd/kube-controller-manager/app/autoscaling.go` passes the sync period as the resync's).
fn resync_phase(seed: u64) -> Millis {
    let period = MillisRange { least: Millis::ZERO, most: Millis::seconds(15) };
    period.draw(&mut stream(seed, "phase of the HPA's resync"))
}
