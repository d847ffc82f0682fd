//! The ScaledJob's side.

use std::sync::Arc;

use controllers::{Cluster, Job, JobId, NewJob, Phase, Propagation};
use keda::Rules;
use keda::scaled_job::{
    Action, Condition, Finished, GENERATION, Input, JobView, Operator, PodConditions, PodPhase, PodView,
    Revision, Source, Status, WantedJobs, condition_message,
};
use keda::scaler::DEFAULT_HTTP_TIMEOUT;
use model::manifest::ScaledJob;
use model::{Fact, Millis};
use semver::Version;
use serde_json::Value as Json;

use super::{Kind, World};
use crate::manifests::objects::{self, JobTemplate, Objects, Scaler, Surroundings};
use crate::manifests::surroundings::surroundings;

/// How the controllers call the one ScaledJob.
const SCALED_JOB: u32 = 0;

/// Jobs of a ScaledJob that exist at the same time, roughly: KEDA keeps a hundred that have ended.
const USUAL_JOBS: usize = 128;

/// The generation of a Job that has none written on it, as those of KEDA before 2.14.1.
const NO_ANNOTATION: u64 = 0;

/// The operator's process.
pub(super) fn operator(version: &Version, rules: &'static Rules) -> Operator {
    Operator {
        version: version.clone(),
        rules,
        http_timeout: DEFAULT_HTTP_TIMEOUT,
        api_timeout: Millis::ZERO,
    }
}

/// The ScaledJob with what its triggers refer to.
pub(super) fn source(
    objects: &Objects,
    object: &ScaledJob,
    template: &JobTemplate,
    generation: u64,
) -> Source {
    let container = object.spec.env_source_container_name.as_deref();
    let template = template.template.template();
    let each =
        object.spec.triggers.iter().map(|trigger| {
            surroundings(trigger, template, container, &objects.authentications, &objects.values)
        });
    Source { object: Arc::new(object.clone()), generation, surroundings: each.collect() }
}

impl World<'_> {
    pub(super) fn tell_jobs(&mut self, input: &Input<'_>) {
        let operator = &mut self.operator;
        if let Kind::Job { machine, client } = &mut operator.kind {
            machine.handle(self.now, input.clone(), client, &mut operator.job_actions);
        }
    }

    /// Does what KEDA wants for its ScaledJob; whether it wanted anything.
    pub(super) fn carry_out_jobs(&mut self) -> bool {
        let mut any = false;
        while !self.operator.job_actions.is_empty() {
            any = true;
            let mut actions = std::mem::take(&mut self.operator.job_actions);
            for action in actions.drain(..) {
                self.carry_out_one_of_jobs(action);
            }
            if self.operator.job_actions.is_empty() {
                self.operator.job_actions = actions;
            }
        }
        any
    }

    fn carry_out_one_of_jobs(&mut self, action: Action) {
        match action {
            Action::Request { call, request, .. } => self.ask(call, request),
            Action::Abandon { call } => self.abandon(call),
            Action::AbandonApi { .. } | Action::Decided(_) => {}
            Action::LookAtJobs => self.look_at_jobs(),
            Action::CreateJob { call, revision } => {
                self.create_job(&revision);
                self.tell_jobs(&Input::Done { call, succeeded: true });
            }
            Action::DeleteJob { call, name, foreground } => {
                let found = self.cluster.jobs_of(SCALED_JOB).find(|(_, job)| **job.name() == *name);
                let found = found.map(|(id, _)| id);
                if let Some(id) = found {
                    self.delete_job(id, foreground);
                }
                self.tell_jobs(&Input::Done { call, succeeded: found.is_some() });
            }
            Action::Condition { condition, status, reason } => {
                let object = self.operator.object.clone();
                let values = [status_name(status), reason, condition_message(reason)];
                self.log.condition(self.now, &object, condition_name(condition), values);
            }
            Action::Event(event) => {
                let object = self.operator.object.clone();
                let kind = if event.is_warning() { "Warning" } else { "Normal" };
                self.log.kubernetes(self.now, || Fact::KubernetesEvent {
                    object,
                    kind: kind.to_owned(),
                    reason: event.reason().to_owned(),
                    message: event.to_string(),
                });
            }
            Action::Panic(_) => {
                // The container is started again by its kubelet, and panics again: it is as if KEDA were gone.
                self.stop_operator();
            }
        }
    }

    fn create_job(&mut self, revision: &Revision) {
        let Scaler::Job(_, template) = &self.objects.scaler else { return };
        let annotated = revision.metadata.annotations.contains_key(GENERATION);
        let generation = if annotated { revision.source.generation } else { NO_ANNOTATION };
        self.job_templates.insert(generation, template.hash);
        let new = NewJob {
            generate_name: &revision.metadata.generate_name,
            scaled_job: SCALED_JOB,
            generation,
            spec: template.spec,
        };
        self.cluster.create_job(self.now, new, &mut self.cluster_actions);
        self.statistics.peak = self.statistics.peak.max(self.replicas());
    }

    fn delete_job(&mut self, id: JobId, foreground: bool) {
        let propagation = if foreground { Propagation::Foreground } else { Propagation::Background };
        self.cluster.delete_job(self.now, id, propagation, &mut self.cluster_actions);
    }

    /// Tells KEDA which Jobs there are, as far as it matters to it.
    fn look_at_jobs(&mut self) {
        let (cluster, operator) = (&self.cluster, &mut self.operator);
        let Kind::Job { machine, client } = &mut operator.kind else { return };
        let wanted = machine.wanted_jobs();
        let mut tell = |views: &[JobView<'_>]| {
            machine.handle(self.now, Input::Jobs(views), client, &mut operator.job_actions);
        };
        match wanted {
            WantedJobs::All => show(cluster, cluster.jobs_of(SCALED_JOB), tell),
            WantedJobs::Unfinished => show(cluster, cluster.unfinished_jobs_of(SCALED_JOB), tell),
            WantedJobs::Finished => {
                // As many as there mostly are, so that the list grows once.
                let mut views = Vec::with_capacity(USUAL_JOBS);
                let finished = cluster.jobs_of(SCALED_JOB).filter(|(_, job)| job.finished().is_some());
                views.extend(finished.map(|(_, job)| job_view(job, None, &[])));
                tell(&views);
            }
        }
    }

    pub(super) fn edit_jobs(&mut self, written: &Json) {
        let Ok(object) = serde_json::from_value::<ScaledJob>(written.clone()) else { return };
        let scenario = self.request.scenario;
        let around =
            Surroundings { namespace: self.namespace(), capabilities: &scenario.agents.capabilities };
        let Ok(template) = objects::job_template(written, &self.objects.values, &around) else { return };
        self.templates.insert(template.hash, template.template.clone());
        self.job_templates.insert(self.operator.generation, template.hash);
        let source = source(&self.objects, &object, &template, self.operator.generation);
        self.objects.scaler = Scaler::Job(Box::new(object), Box::new(template));
        self.tell_jobs(&Input::Edited(source));
    }

    /// The ScaledJob is deleted, and the garbage collector deletes its Jobs.
    pub(super) fn delete_jobs(&mut self) {
        self.tell_jobs(&Input::Deleted);
        let jobs: Vec<JobId> = self.cluster.jobs_of(SCALED_JOB).map(|(id, _)| id).collect();
        for id in jobs {
            self.delete_job(id, false);
        }
    }
}

/// Has KEDA see these Jobs with their pods.
fn show<'c>(
    cluster: &'c Cluster,
    these: impl Iterator<Item = (JobId, &'c Job)>,
    tell: impl FnOnce(&[JobView<'_>]),
) {
    let (mut pods, mut jobs): (Vec<PodView>, Vec<_>) = (Vec::new(), Vec::new());
    let mut generations: Vec<(u64, String)> = Vec::new();
    for (_, job) in these {
        let first = pods.len();
        if job.finished().is_none() {
            pods.extend(job.pods().iter().filter_map(|id| cluster.pod(*id)).map(pod_view));
        }
        let generation = job.generation();
        if generations.last().is_none_or(|(last, _)| *last != generation) {
            generations.push((generation, generation.to_string()));
        }
        jobs.push((job, first..pods.len(), generations.len() - 1));
    }
    let annotation = |place: usize| {
        let (generation, text) = generations.get(place)?;
        (*generation != NO_ANNOTATION).then_some(text.as_str())
    };
    let views: Vec<JobView<'_>> = jobs
        .iter()
        .map(|(job, of_job, generation)| job_view(job, annotation(*generation), &pods[of_job.clone()]))
        .collect();
    tell(&views);
}

fn job_view<'c>(job: &'c Job, generation: Option<&'c str>, pods: &'c [PodView]) -> JobView<'c> {
    let how = |succeeded| if succeeded { Finished::Complete } else { Finished::Failed };
    JobView {
        name: job.name(),
        finished: job.finished().map(|finished| how(finished.succeeded)),
        completion_time: job.completion_time(),
        created: job.created(),
        generation,
        pods,
    }
}

fn pod_view(pod: &controllers::Pod) -> PodView {
    let phase = match pod.phase() {
        Phase::Pending => PodPhase::Pending,
        Phase::Running => PodPhase::Running,
        Phase::Succeeded => PodPhase::Succeeded,
        Phase::Failed => PodPhase::Failed,
    };
    let same = [
        (controllers::Conditions::POD_SCHEDULED, PodConditions::POD_SCHEDULED),
        (controllers::Conditions::POD_READY_TO_START_CONTAINERS, PodConditions::READY_TO_START_CONTAINERS),
        (controllers::Conditions::INITIALIZED, PodConditions::INITIALIZED),
        (controllers::Conditions::CONTAINERS_READY, PodConditions::CONTAINERS_READY),
        (controllers::Conditions::READY, PodConditions::READY),
    ];
    let held = same.into_iter().filter(|(theirs, _)| pod.conditions().has(*theirs));
    let conditions = held.fold(PodConditions::NONE, |all, (_, ours)| all.and(ours));
    PodView { phase, conditions }
}

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::True => "True",
        Status::False => "False",
        Status::Unknown => "Unknown",
    }
}

fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Ready => "Ready",
        Condition::Active => "Active",
        Condition::Paused => "Paused",
    }
}
