//! Between KEDA's operator and everybody else: its requests, the HPA that it
//! makes, the replicas and Jobs that it writes.

use std::collections::BTreeMap;

use controllers::Version as ResourceVersion;
use hpa::{Hpa, Input as HpaInput, KubernetesRules};
use keda::Rules;
use keda::scaled_job;
use keda::scaled_object::{self, Action, ConditionType, ScalingActive};
use keda::scaler::{Answer, AzurePipelines, CallId};
use model::{Instant, Millis, stream};
use semver::Version;
use serde_json::Value as Json;

use super::World;
use crate::TwinError;
use crate::manifests::objects::Objects;

mod jobs;
mod object;

/// KEDA's operator with its one object, and the HPA that it has made.
pub(super) struct Operator {
    pub(super) kind: Kind,
    version: Version,
    rules: &'static Rules,
    /// The KEDA object, as `ScaledObject/name`.
    object: String,
    /// What is scaled, as `Deployment/name`.
    pub(super) target: String,
    generation: u64,
    object_actions: Vec<Action>,
    job_actions: Vec<scaled_job::Action>,
    pub(super) hpa: Option<Box<Hpa>>,
    pub(super) hpa_actions: Vec<hpa::Action>,
    pub(super) hpa_name: String,
    hpa_rules: KubernetesRules,
    metric_names: Vec<String>,
    /// The scaled workload's version when the HPA read it.
    pub(super) seen: Option<ResourceVersion>,
    /// The HPA's queries that KEDA has not answered: which sync asked for which metric, and when.
    queries: BTreeMap<u64, (u32, usize, Instant)>,
    next_query: u64,
    /// KEDA polls at these instants of a log, the last one first.
    polls: Vec<Instant>,
    /// The HPA syncs at these, the last one first.
    syncs: Vec<Instant>,
}

/// Which of KEDA's two objects there is.
pub(super) enum Kind {
    Object(Box<scaled_object::ScaledObject>),
    Job { machine: Box<scaled_job::Machine>, client: scaled_job::ClientBucket },
}

/// Whether the operator of that version takes the object.
pub(super) fn check_object(
    objects: &Objects,
    object: &model::manifest::ScaledObject,
    version: &Version,
) -> Result<(), TwinError> {
    let rules = Rules::of(version).map_err(|error| TwinError::Version(error.to_string()))?;
    object::spec(objects, object, rules).map(|_| ())
}

impl Operator {
    /// The operator of that version, which has not seen the object yet.
    pub(super) fn new(
        objects: &Objects,
        version: &Version,
        kubernetes: &Version,
        namespace: &str,
        seed: u64,
    ) -> Result<Self, TwinError> {
        let rules = Rules::of(version).map_err(|error| TwinError::Version(error.to_string()))?;
        let random = stream(seed, "keda history");
        let (kind, object, target) = match &objects.scaler {
            crate::manifests::objects::Scaler::Object(object) => {
                let spec = object::spec(objects, object, rules)?;
                let name = &object.metadata.name;
                let reference = &object.spec.scale_target_ref;
                let target = format!("{}/{}", reference.kind(), reference.name);
                let options = scaled_object::Options::default();
                let machine =
                    scaled_object::ScaledObject::new(rules, options, namespace, spec, Instant::START);
                (Kind::Object(Box::new(machine)), format!("ScaledObject/{name}"), target)
            }
            crate::manifests::objects::Scaler::Job(object, template) => {
                let source = jobs::source(objects, object, template, 1);
                let machine = scaled_job::Machine::new(jobs::operator(version, rules), source, random);
                let client = scaled_job::ClientBucket::new(Instant::START);
                let name = &object.metadata.name;
                let kind = Kind::Job { machine: Box::new(machine), client };
                (kind, format!("ScaledJob/{name}"), format!("Job/{name}"))
            }
        };
        Ok(Self {
            kind,
            version: version.clone(),
            rules,
            object,
            target,
            generation: 1,
            object_actions: Vec::new(),
            job_actions: Vec::new(),
            hpa: None,
            hpa_actions: Vec::new(),
            hpa_name: String::new(),
            hpa_rules: KubernetesRules::of(kubernetes),
            metric_names: Vec::new(),
            seen: None,
            queries: BTreeMap::new(),
            next_query: 0,
            polls: Vec::new(),
            syncs: Vec::new(),
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// The settings that a request is made with.
    pub(super) fn settings_of(&self, call: CallId) -> Option<&AzurePipelines> {
        match &self.kind {
            Kind::Object(machine) => machine.settings_of(call),
            Kind::Job { machine, .. } => machine.scalers().settings_of(call),
        }
    }

    /// The settings of the first trigger, if the scaler takes them.
    pub(super) fn settings(&self) -> Option<AzurePipelines> {
        let triggers = match &self.kind {
            Kind::Object(machine) => &machine.spec().triggers,
            Kind::Job { machine, .. } => &machine.revision().triggers,
        };
        triggers.first()?.as_deref().ok().cloned()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match &self.kind {
            Kind::Object(machine) => machine.next_deadline(),
            Kind::Job { machine, .. } => machine.next_deadline(),
        }
    }

    pub(super) fn hpa_deadline(&self) -> Option<Instant> {
        self.hpa.as_ref()?.next_deadline()
    }

    /// Whether the condition Ready is True.
    pub(super) fn is_ready(&self) -> bool {
        match &self.kind {
            Kind::Object(machine) => machine
                .condition(ConditionType::Ready)
                .is_some_and(|ready| ready.status == scaled_object::Status::True),
            Kind::Job { machine, .. } => {
                machine.condition(scaled_job::Condition::Ready) == scaled_job::Status::True
            }
        }
    }

    /// The condition Ready: status, reason and message; nothing while KEDA has not set it.
    pub(super) fn readiness(&self) -> Option<(&'static str, String, String)> {
        match &self.kind {
            Kind::Object(machine) => machine
                .condition(ConditionType::Ready)
                .map(|ready| (ready.status.name(), ready.reason.to_string(), ready.message.to_string())),
            Kind::Job { machine, .. } => {
                let status = jobs::status_name(machine.condition(scaled_job::Condition::Ready));
                Some((status, String::new(), String::new()))
            }
        }
    }

    /// The replicas while there is nothing to do, as they are asked for by now.
    pub(super) fn min(&self) -> u32 {
        match &self.kind {
            Kind::Object(machine) => {
                let policy = &machine.spec().policy;
                policy.idle.unwrap_or(policy.min)
            }
            Kind::Job { machine, .. } => {
                machine.revision().source.object.spec.min_replica_count.unwrap_or_default()
            }
        }
    }

    pub(super) fn polling_interval(&self) -> Millis {
        match &self.kind {
            Kind::Object(machine) => machine.spec().polling_interval,
            Kind::Job { machine, .. } => machine.revision().settings.polling_interval,
        }
    }

    pub(super) fn metric_name(&self, metric: usize) -> String {
        self.metric_names.get(metric).cloned().unwrap_or_default()
    }

    pub(super) fn hpa_forgotten(&mut self) {
        self.hpa = None;
    }
}

impl World<'_> {
    pub(super) fn advance_operator(&mut self) {
        let view = self.operator_view();
        let operator = &mut self.operator;
        match &mut operator.kind {
            Kind::Object(machine) => machine.advance(self.now, &view, &mut operator.object_actions),
            Kind::Job { machine, client } => {
                machine.advance(self.now, client, &mut operator.job_actions);
            }
        }
    }

    pub(super) fn operator_answered(&mut self, call: CallId, answer: Answer) {
        match &self.operator.kind {
            Kind::Object(_) => self.tell_object(scaled_object::Input::Answer { call, answer }),
            Kind::Job { .. } => self.tell_jobs(&scaled_job::Input::Answered { call, answer }),
        }
    }

    /// Does what KEDA and the HPA want; whether they wanted anything.
    pub(super) fn operator_reacts(&mut self) -> bool {
        let object = self.carry_out_object();
        let jobs = self.carry_out_jobs();
        let hpa = self.carry_out_hpa();
        object || jobs || hpa
    }

    /// KEDA's operator sees the object for the first time.
    pub(super) fn start_operator(&mut self) {
        let operator = jobs::operator(&self.operator.version, self.operator.rules);
        if let Kind::Job { client, .. } = &mut self.operator.kind {
            *client = scaled_job::ClientBucket::new(self.now);
        }
        match &self.operator.kind {
            Kind::Object(_) => self.tell_object(scaled_object::Input::OperatorStarted(self.operator.rules)),
            Kind::Job { .. } => self.tell_jobs(&scaled_job::Input::OperatorStarted(operator)),
        }
    }

    pub(super) fn stop_operator(&mut self) {
        match &self.operator.kind {
            Kind::Object(_) => self.tell_object(scaled_object::Input::OperatorDown),
            Kind::Job { .. } => self.tell_jobs(&scaled_job::Input::OperatorStopped),
        }
    }

    /// Another version's operator takes the place of this one; whether there is such a version.
    pub(super) fn upgrade_operator(&mut self, version: &str) -> bool {
        let Some((version, rules)) = Version::parse(version)
            .ok()
            .and_then(|version| Some((version.clone(), Rules::of(&version).ok()?)))
        else {
            return false;
        };
        self.stop_operator();
        (self.operator.version, self.operator.rules) = (version, rules);
        true
    }

    /// The KEDA object has another spec or other annotations. Only a spec makes another generation.
    pub(super) fn edit_scaler(&mut self, before: &Json, written: &Json) {
        if before.get("spec") != written.get("spec") {
            self.operator.generation += 1;
        }
        match &self.operator.kind {
            Kind::Object(_) => self.edit_object(written),
            Kind::Job { .. } => self.edit_jobs(written),
        }
    }

    /// The KEDA object is deleted, and its HPA with it.
    pub(super) fn delete_scaler(&mut self) {
        match &self.operator.kind {
            Kind::Object(_) => self.tell_object(scaled_object::Input::Deleted),
            Kind::Job { .. } => self.delete_jobs(),
        }
        self.tell_hpa(HpaInput::Deleted);
    }

    /// The HPA asks KEDA for a metric.
    pub(super) fn query(&mut self, sync: u32, metric: usize) {
        let id = self.operator.next_query;
        self.operator.next_query += 1;
        self.operator.queries.insert(id, (sync, metric, self.now));
        self.tell_object(scaled_object::Input::Query { id, metric });
    }

    /// KEDA hears of the HPA's condition ScalingActive.
    pub(super) fn tell_operator_of_hpa(&mut self) {
        let Some(hpa) = &self.operator.hpa else { return };
        let active = hpa.status().conditions.scaling_active.map(|condition| ScalingActive {
            active: condition.holds,
            reason: condition.reason.name().into(),
            message: condition.reason.message(hpa.spec()).to_string().into(),
        });
        self.tell_object(scaled_object::Input::HpaStatus(active));
    }

    /// From here on loops run as in the log that the run is held against.
    pub(super) fn align(&mut self) {
        let Some(alignment) = self.request.alignment else { return };
        let instants = |spans: &[Millis]| spans.iter().rev().map(|span| self.now + *span).collect();
        let (polls, syncs) = (instants(&alignment.polls), instants(&alignment.syncs));
        (self.operator.polls, self.operator.syncs) = (polls, syncs);
        let victims = alignment.victims.iter().map(|ordinal| controllers::PodId(*ordinal));
        self.cluster.dictate_victims(victims);
        self.align_poll();
        self.align_sync();
    }

    /// The next poll is the log's next one.
    pub(super) fn align_poll(&mut self) {
        let operator = &mut self.operator;
        while operator.polls.last().is_some_and(|at| *at <= self.now) {
            operator.polls.pop();
        }
        let Some(at) = operator.polls.last().copied() else { return };
        match &mut operator.kind {
            Kind::Object(machine) => machine.align(at),
            Kind::Job { machine, .. } => machine.align(at),
        }
    }

    /// The next sync is the log's next one.
    pub(super) fn align_sync(&mut self) {
        let operator = &mut self.operator;
        while operator.syncs.last().is_some_and(|at| *at <= self.now) {
            operator.syncs.pop();
        }
        if let (Some(at), Some(hpa)) = (operator.syncs.last().copied(), &mut operator.hpa) {
            hpa.align(at);
        }
    }
}
