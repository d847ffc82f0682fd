//! Which rules and which spec were in force when.

use std::sync::Arc;

use keda::Rules;
use keda::scaled_job::Settings;
use keda::scaled_object::{HpaMetric, HpaSpec, Spec};
use keda::scaler::{AzurePipelines, PoolReference, Surroundings, Triggers};
use model::fault::Fault;
use model::manifest::{ScaledJob, ScaledObject};
use model::{Fact, Instant, Millis};
use semver::Version;
use serde_json::{Value as Json, json};

use super::book::Book;
use super::log::Log;
use crate::hpa_spec::translated;
use crate::merge_patch::merge;

/// How long a change takes to be in force everywhere: until KEDA has reconciled, and the HPA has been changed.
const SETTLES: Millis = Millis::seconds(2);
/// And so many times as long as one fact takes to be seen.
const SETTLES_LAGS: u64 = 10;
/// How long an upgrade or a restart takes until the new operator polls.
const TAKES_OVER: Millis = Millis::minutes(1);
/// What stands for the address and the token, which no log tells and no decision asks for.
const ADDRESS: &str = "https://dev.azure.com/organization";

/// Rules and spec over time.
pub(super) struct Revisions {
    list: Vec<Revision>,
    /// When the HPA's controller lost its history.
    pub(super) forgotten: Vec<Instant>,
    /// When KEDA's operator was restarted.
    pub(super) restarted: Vec<Instant>,
    /// When somebody changed the object.
    pub(super) edited: Vec<Instant>,
}

/// Rules and spec from a certain time on.
pub(super) struct Revision {
    pub(super) from: Instant,
    settles: Millis,
    pub(super) rules: &'static Rules,
    pub(super) object: Object,
}

/// What is scaled how.
pub(super) enum Object {
    Scaled { spec: Box<Spec>, hpa: Box<hpa::HpaSpec> },
    Job { settings: Box<Settings>, triggers: Triggers },
}

impl Revision {
    /// Settings of a trigger.
    pub(super) fn trigger(&self, place: usize) -> Option<&AzurePipelines> {
        self.triggers().get(place)?.as_deref().ok()
    }

    /// Every trigger.
    pub(super) fn triggers(&self) -> &Triggers {
        match &self.object {
            Object::Scaled { spec, .. } => &spec.triggers,
            Object::Job { triggers, .. } => triggers,
        }
    }

    /// P.
    pub(super) fn polling_interval(&self) -> Millis {
        match &self.object {
            Object::Scaled { spec, .. } => spec.polling_interval,
            Object::Job { settings, .. } => settings.polling_interval,
        }
    }

    /// Whether polls take over what the HPA read.
    pub(super) fn observes(&self) -> bool {
        match &self.object {
            Object::Scaled { spec, .. } => self.rules.cache.hpa_observations && spec.uses_hpa_observations(),
            Object::Job { .. } => false,
        }
    }
}

impl Revisions {
    /// Reads them from a log.
    pub(super) fn of(log: &Log<'_>, book: &mut Book) -> Result<Self, String> {
        let mut written = written(log, book);
        let mut rules = rules(&log.target.keda)?;
        let pools = pools(log);
        let first = Revision {
            from: Instant::START,
            settles: Millis::ZERO,
            rules,
            object: object(log, &written, rules, &pools)?,
        };
        let mut all =
            Self { list: vec![first], forgotten: Vec::new(), restarted: Vec::new(), edited: Vec::new() };
        for event in &log.events {
            let Fact::FaultOn { fault, .. } = &event.fact else { continue };
            let at = event.at;
            let settles = match log.fault(*fault) {
                Some(Fault::Restart(restart)) => {
                    let list = match restart.what {
                        model::fault::Program::KedaOperator => &mut all.restarted,
                        model::fault::Program::KubeControllerManager => &mut all.forgotten,
                    };
                    list.push(at);
                    continue;
                }
                Some(Fault::Edit(edit))
                    if edit.object == format!("{}/{}", log.target.scaler, log.target.name) =>
                {
                    merge(&mut written, &Json::Object(edit.patch.clone()));
                    all.edited.push(at);
                    SETTLES + Millis(log.lag.0 * SETTLES_LAGS)
                }
                Some(Fault::KedaUpgrade(upgrade)) => {
                    rules = self::rules(&upgrade.version)?;
                    all.restarted.push(at);
                    TAKES_OVER
                }
                _ => continue,
            };
            match object(log, &written, rules, &pools) {
                Ok(object) => all.list.push(Revision { from: at, settles, rules, object }),
                Err(why) => book.skip(at, format!("the changed object is not read: {why}")),
            }
        }
        Ok(all)
    }

    /// What may have been in force then, what the log tells first.
    pub(super) fn at(&self, at: Instant) -> Vec<&Revision> {
        let next = self.list.partition_point(|revision| revision.from <= at);
        let mut found: Vec<&Revision> = Vec::new();
        for revision in self.list[..next].iter().rev() {
            found.push(revision);
            if at.since(revision.from) > revision.settles {
                break;
            }
        }
        found
    }

    /// What the log says was in force.
    pub(super) fn in_force(&self, at: Instant) -> &Revision {
        let next = self.list.partition_point(|revision| revision.from <= at);
        &self.list[next.saturating_sub(1)]
    }
}

fn rules(version: &str) -> Result<&'static Rules, String> {
    let version = version.trim_start_matches('v');
    let version: Version = version.parse().map_err(|_| format!("{version:?} is no version of KEDA"))?;
    Rules::of(&version).map_err(|error| error.to_string())
}

/// The object as it was written, as far as the log has it.
fn written(log: &Log<'_>, book: &mut Book) -> Json {
    let target = log.target;
    let metadata = json!({ "name": target.name, "annotations": target.annotations });
    if !target.spec.is_null() {
        return json!({ "metadata": metadata, "spec": target.spec });
    }
    book.skip(
        log.created,
        "the log does not carry the object's spec: fallback, history limits, pauses and calculations are taken for unset",
    );
    let triggers = target.triggers.iter().map(|trigger| {
        json!({ "type": trigger.kind, "metadata": trigger.metadata, "metricType": trigger.metric_type })
    });
    let job = target.scaler == "ScaledJob";
    let mut spec = json!({
        "pollingInterval": target.polling_interval_s,
        "minReplicaCount": target.min,
        "maxReplicaCount": target.max,
        "triggers": triggers.collect::<Vec<_>>(),
    });
    let more = if job {
        json!({ "scalingStrategy": { "strategy": target.strategy } })
    } else {
        let (kind, name) = target.workload.split_once('/').unwrap_or(("Deployment", &target.workload));
        json!({
            "scaleTargetRef": { "kind": kind, "name": name },
            "cooldownPeriod": target.cooldown_s,
            "idleReplicaCount": target.idle,
            "advanced": { "horizontalPodAutoscalerConfig": { "behavior": target.behavior } },
        })
    };
    merge(&mut spec, &more);
    json!({ "metadata": metadata, "spec": spec })
}

/// The object as KEDA's rules take it.
fn object(
    log: &Log<'_>,
    written: &Json,
    rules: &'static Rules,
    pools: &[Option<i64>],
) -> Result<Object, String> {
    let mut written = written.clone();
    let text = |error: serde_json::Error| format!("{}: {error}", log.target.name);
    if log.target.scaler == "ScaledJob" {
        if let Some(spec) = written.get_mut("spec").and_then(Json::as_object_mut) {
            spec.insert("jobTargetRef".to_owned(), json!({ "template": { "spec": { "containers": [] } } }));
        }
        let job: ScaledJob = serde_json::from_value(written).map_err(text)?;
        let triggers = job.spec.triggers.iter().map(|trigger| {
            AzurePipelines::parse(&rules.scaler, trigger, &surroundings(&trigger.metadata)).map(Arc::new)
        });
        let triggers: Triggers = triggers.collect();
        let settings = Box::new(Settings::of(&rules.scaled_job, &job));
        return refused(&triggers).map(|()| Object::Job { settings, triggers });
    }
    let object: ScaledObject = serde_json::from_value(written).map_err(text)?;
    let each = object.spec.triggers.iter().map(|trigger| surroundings(&trigger.metadata)).collect();
    let spec = Spec::read(rules, object, each).map_err(|error| error.to_string())?;
    refused(&spec.triggers)?;
    let metrics = spec.triggers.iter().enumerate().filter_map(|(place, trigger)| {
        let settings = trigger.as_deref().ok()?;
        let named = match settings.pool {
            PoolReference::Id(id) => Some(id),
            PoolReference::Name(_) => None,
        };
        let pool = pools.get(place).copied().flatten().or(named);
        Some(HpaMetric::of(place, settings, pool.unwrap_or_default()))
    });
    let hpa = translated(&HpaSpec::of(rules, &spec, metrics.collect()))?;
    Ok(Object::Scaled { spec: Box::new(spec), hpa: Box::new(hpa) })
}

fn refused(triggers: &Triggers) -> Result<(), String> {
    let error = triggers.iter().find_map(|trigger| trigger.as_ref().err());
    error.map_or(Ok(()), |error| Err(format!("the scaler refuses its settings: {error}")))
}

/// The pool of each trigger, as the metrics' names tell it, `s0-azure-pipelines-7`.
fn pools(log: &Log<'_>) -> Vec<Option<i64>> {
    let named = |place: usize| {
        let prefix = format!("s{place}-");
        let mut asked = log.asked.iter().filter(|asked| asked.metric.starts_with(&prefix));
        asked.next()?.metric.rsplit('-').next()?.parse().ok()
    };
    let only = log.reads.first().filter(|first| log.reads.iter().all(|read| read.pool == first.pool));
    let only = only.and_then(|read| i64::try_from(read.pool).ok());
    (0..log.target.triggers.len()).map(|place| named(place).or(only)).collect()
}

/// Something for every variable and parameter that a trigger may refer to.
fn surroundings(metadata: &std::collections::BTreeMap<String, String>) -> Surroundings {
    let mut surroundings = Surroundings::default();
    for variable in
        metadata.iter().filter(|(name, _)| name.ends_with("FromEnv")).map(|(_, variable)| variable)
    {
        surroundings.environment.insert(variable.clone(), ADDRESS.to_owned());
    }
    for parameter in ["organizationURL", "personalAccessToken"] {
        surroundings.parameters.insert(parameter.to_owned(), ADDRESS.to_owned());
    }
    surroundings
}
