//! Definitions as the service keeps them: pools found, dependencies resolved, everything checked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use model::{Instant, Millis, MillisRange};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::call::{BuildAnswer, DefinitionQuery, DefinitionRef};
use super::definition::{Definition, JobTemplate, Phase};
use super::progress::{Outline, PhaseShape, StageShape};
use super::told::{Revision, RevisionKind, Told};
use super::{Build, BuildPriority};
use crate::call::Answer;
use crate::demands::{Demand, Demands};
use crate::ids::{DefinitionId, PoolId};
use crate::limits::{MAX_DEFINITIONS, MAX_JOBS_OF_BUILD};
use crate::pools::{checked_name, same_name};
use crate::{Refusal, Service};

/// A definition that is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KnownDefinition {
    pub(crate) id: DefinitionId,
    pub(crate) name: Arc<str>,
    pub(crate) project: String,
    pub(crate) project_id: Uuid,
    pub(crate) pool: PoolId,
    pub(crate) revision: u32,
    pub(crate) priority: BuildPriority,
    pub(crate) created: Instant,
    pub(crate) what: Arc<Blueprint>,
    /// What a client said of it.
    pub(crate) told: Option<Box<Told>>,
    /// Its changes, from the first on, once there are two. The oldest are forgotten.
    pub(crate) changes: Vec<Revision>,
    /// Since when it is only there for its builds.
    pub(crate) deleted: Option<Instant>,
}

/// What a build of a definition runs. A build keeps the one that it was queued with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Blueprint {
    pub(crate) outline: Outline,
    /// The names of its stages.
    pub(crate) stages: Vec<Arc<str>>,
    pub(crate) phases: Vec<KnownPhase>,
    /// How many jobs all of it has.
    pub(crate) jobs: usize,
}

/// A phase of a definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownPhase {
    pub(crate) name: Arc<str>,
    pub(crate) pool: PoolId,
    pub(crate) timeout: Option<Millis>,
    pub(crate) cancel_timeout: Option<Millis>,
    pub(crate) jobs: Vec<KnownJob>,
}

/// A job of a definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KnownJob {
    pub(crate) name: Arc<str>,
    pub(crate) demands: Demands,
    pub(crate) duration: MillisRange,
}

/// All definitions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Definitions {
    by_id: BTreeMap<DefinitionId, KnownDefinition>,
    /// Those that are not deleted, by lower-case name.
    by_name: BTreeMap<String, Vec<DefinitionId>>,
    /// The one that was deleted first comes first.
    deleted: VecDeque<DefinitionId>,
    last: u64,
    /// How many bytes of what clients said are kept.
    told_bytes: usize,
}

impl Definitions {
    pub(crate) fn get(&self, id: DefinitionId) -> Option<&KnownDefinition> {
        self.by_id.get(&id)
    }

    /// The one of this name, whatever the case, in a project if one is given.
    pub(super) fn named(&self, project: Option<Uuid>, name: &str) -> Option<&KnownDefinition> {
        let named = self.by_name.get(&name.to_lowercase())?;
        let mut named = named.iter().filter_map(|id| self.by_id.get(id));
        named.find(|known| project.is_none_or(|project| known.project_id == project))
    }

    /// How many there are, without those that are deleted.
    pub(super) fn present(&self) -> usize {
        self.by_id.len() - self.deleted.len()
    }

    pub(super) fn deleted(&self) -> usize {
        self.deleted.len()
    }

    pub(super) fn deleted_first(&self) -> impl Iterator<Item = DefinitionId> {
        self.deleted.iter().copied()
    }

    /// The ids of a project's, without those that are deleted.
    pub(crate) fn of_project(&self, project: Uuid) -> Vec<DefinitionId> {
        let of_it =
            self.by_id.values().filter(|known| known.project_id == project && known.deleted.is_none());
        of_it.map(|known| known.id).collect()
    }

    /// How many bytes of what clients said are kept, but for what is said of one.
    pub(super) fn told_bytes(&self, without: Option<DefinitionId>) -> usize {
        let own = without.and_then(|id| self.get(id)).map_or(0, KnownDefinition::told_bytes);
        self.told_bytes - own
    }

    pub(super) fn next_id(&self) -> DefinitionId {
        DefinitionId(self.last + 1)
    }

    pub(super) fn insert(&mut self, known: KnownDefinition) {
        self.last = self.last.max(known.id.0);
        self.told_bytes += known.told_bytes();
        if known.deleted.is_some() {
            self.deleted.push_back(known.id);
        } else {
            self.by_name.entry(known.name.to_lowercase()).or_default().push(known.id);
        }
        self.by_id.insert(known.id, known);
    }

    /// Takes it out altogether.
    pub(super) fn forget(&mut self, id: DefinitionId) -> Option<KnownDefinition> {
        let known = self.by_id.remove(&id)?;
        self.told_bytes -= known.told_bytes();
        self.deleted.retain(|deleted| *deleted != id);
        let key = known.name.to_lowercase();
        if let Some(named) = self.by_name.get_mut(&key) {
            named.retain(|other| *other != id);
            if named.is_empty() {
                self.by_name.remove(&key);
            }
        }
        Some(known)
    }

    /// Changes one, whatever about it.
    pub(crate) fn change(&mut self, id: DefinitionId, change: impl FnOnce(&mut KnownDefinition)) {
        if let Some(mut known) = self.forget(id) {
            change(&mut known);
            self.insert(known);
        }
    }
}

/// The places of names in a list of names, which all have to be there.
fn places(names: &[&str], of: &str, wanted: &[String], what: &str) -> Result<Vec<usize>, Refusal> {
    let place = |wanted: &String| {
        let found = names.iter().position(|name| same_name(name, wanted));
        found.ok_or_else(|| {
            Refusal::Invalid(format!("The {what} {of} depends on the unknown {what} {wanted}."))
        })
    };
    wanted.iter().map(place).collect()
}

/// Whether something waits for itself.
fn has_cycle(depends_on: &[Vec<usize>], first: usize) -> bool {
    let mut free = vec![false; depends_on.len()];
    loop {
        let next = (0..free.len())
            .find(|place| !free[*place] && depends_on[*place].iter().all(|before| free[*before - first]));
        match next {
            Some(place) => free[place] = true,
            None => return free.contains(&false),
        }
    }
}

fn check_names(names: &[&str], what: &'static str) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        checked_name(name, what)?;
        if !seen.insert(name.to_lowercase()) {
            return Err(Refusal::Invalid(format!("There are two {what}s named {name}.")));
        }
    }
    Ok(())
}

impl Service {
    pub(crate) fn list_definitions(&self, query: &DefinitionQuery) -> Result<Answer, Refusal> {
        let project = query.project.as_deref().map(|project| self.project_id(project)).transpose()?;
        let wanted = |known: &&KnownDefinition| {
            known.deleted.is_none()
                && project.is_none_or(|project| known.project_id == project)
                && query.name.as_deref().is_none_or(|pattern| matches_pattern(&known.name, pattern))
                && (query.ids.is_empty() || query.ids.contains(&known.id))
                && query.after.is_none_or(|after| known.id >= after)
        };
        let mut found: Vec<DefinitionId> =
            self.definitions.by_id.values().filter(wanted).map(|known| known.id).collect();
        let next = query.top.and_then(|top| found.get(usize::try_from(top).ok()?).copied());
        if let Some(next) = next {
            found.retain(|id| *id < next);
        }
        // A page of nothing would lead to itself.
        let next = next.filter(|_| query.top != Some(0));
        if query.by_name {
            found.sort_by_key(|id| self.definitions.get(*id).map(|known| known.name.to_lowercase()));
        }
        let answer = match query.as_pipelines {
            true => BuildAnswer::Pipelines(found).into(),
            false => Answer::Definitions(found),
        };
        Ok(answer.continued(next.map(|next| next.0)))
    }

    pub(crate) fn get_definition(
        &self,
        project: Option<&str>,
        id: DefinitionId,
    ) -> Result<&KnownDefinition, Refusal> {
        let known = self.definitions.get(id).filter(|known| known.deleted.is_none());
        let known = known.ok_or(Refusal::DefinitionNotFound(id))?;
        match project.map(|project| self.project_id(project)).transpose()? {
            Some(project) if project != known.project_id => Err(Refusal::DefinitionNotFound(id)),
            _ => Ok(known),
        }
    }

    pub(crate) fn find_definition(
        &self,
        project: Option<&str>,
        reference: &DefinitionRef,
    ) -> Result<&KnownDefinition, Refusal> {
        match reference {
            DefinitionRef::Id(id) => self.get_definition(project, *id),
            DefinitionRef::Name(name) => {
                let unknown = || Refusal::DefinitionNameNotFound(name.clone());
                let project = project.map(|project| self.project_id(project)).transpose();
                let known = project.ok().and_then(|project| self.definitions.named(project, name));
                known.ok_or_else(unknown)
            }
        }
    }

    /// Makes a definition. One with the same name keeps its id and gets the new jobs.
    pub(crate) fn define(&mut self, definition: &Definition) -> Result<Answer, Refusal> {
        let name = checked_name(&definition.name, "definition")?.to_owned();
        let pool = self.pool_named(&definition.pool)?;
        let what = Arc::new(self.blueprint(definition, pool)?);
        let in_project = self.project_id(&definition.project).ok();
        let known = in_project.and_then(|project| self.definitions.named(Some(project), &name));
        let known = known.or_else(|| self.definitions.named(None, &name)).map(|known| known.id);
        if known.is_none() && self.definitions.present() >= MAX_DEFINITIONS {
            return Err(Refusal::Full { what: "definitions", limit: MAX_DEFINITIONS });
        }
        let project_id = self.ensure_project(&definition.project)?;
        let (project, priority) = (definition.project.clone(), definition.priority);
        let name: Arc<str> = name.into();
        let Some(id) = known else {
            let (id, created) = (self.definitions.next_id(), self.now);
            let (told, changes, deleted) = (None, Vec::new(), None);
            self.definitions.insert(KnownDefinition {
                id,
                name,
                project,
                project_id,
                pool,
                revision: 1,
                priority,
                created,
                what,
                told,
                changes,
                deleted,
            });
            return Ok(Answer::Definition(id));
        };
        if self.definitions.get(id).is_some_and(|known| known.name != name || known.project != project) {
            for build in self.builds.values().filter(|build: &&Build| build.definition == id) {
                self.write_rows_of(build);
            }
        }
        let now = self.now;
        self.definitions.change(id, |known| {
            (known.project, known.project_id, known.pool) = (project, project_id, pool);
            (known.priority, known.what) = (priority, what);
            known.changed(now, RevisionKind::Update, name, None);
            known.no_client_says_what_it_runs();
        });
        Ok(Answer::Definition(id))
    }

    fn pool_named(&self, name: &str) -> Result<PoolId, Refusal> {
        let pool = self.pool_by_name(name).map(|pool| pool.id);
        pool.ok_or_else(|| Refusal::PoolNameNotFound(name.to_owned()))
    }

    pub(super) fn blueprint(&self, definition: &Definition, pool: PoolId) -> Result<Blueprint, Refusal> {
        let jobs = definition.jobs().count();
        if jobs == 0 || jobs > MAX_JOBS_OF_BUILD {
            return Err(Refusal::Invalid(format!("A definition names 1 to {MAX_JOBS_OF_BUILD} jobs.")));
        }
        let names: Vec<&str> = definition.stages.iter().map(|stage| stage.name.as_str()).collect();
        check_names(&names, "stage")?;
        let mut blueprint = Blueprint {
            outline: Outline::default(),
            stages: names.iter().map(|name| Arc::from(*name)).collect(),
            phases: Vec::new(),
            jobs,
        };
        for stage in &definition.stages {
            let phases = self.add_phases(&mut blueprint, &stage.phases, pool)?;
            let depends_on = places(&names, &stage.name, &stage.depends_on, "stage")?;
            blueprint.outline.stages.push(StageShape { depends_on, condition: stage.condition, phases });
        }
        let stages: Vec<_> = blueprint.outline.stages.iter().map(|stage| stage.depends_on.clone()).collect();
        if has_cycle(&stages, 0) {
            return Err(Refusal::Invalid(
                "The stages of a definition depend on each other in a circle.".to_owned(),
            ));
        }
        Ok(blueprint)
    }

    fn add_phases(
        &self,
        blueprint: &mut Blueprint,
        phases: &[Phase],
        pool: PoolId,
    ) -> Result<std::ops::Range<usize>, Refusal> {
        let first = blueprint.phases.len();
        let stage = blueprint.outline.stages.len();
        let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
        check_names(&names, "job")?;
        let mut graph = Vec::with_capacity(phases.len());
        for phase in phases {
            if phase.jobs.is_empty() || phase.max_parallel == Some(0) {
                let message = format!("The job {} has nothing to run.", phase.name);
                return Err(Refusal::Invalid(message));
            }
            let mut depends_on = places(&names, &phase.name, &phase.depends_on, "job")?;
            depends_on.iter_mut().for_each(|place| *place += first);
            graph.push(depends_on.clone());
            let pool = phase.pool.as_deref().map_or(Ok(pool), |name| self.pool_named(name))?;
            blueprint.outline.phases.push(PhaseShape {
                stage,
                depends_on,
                condition: phase.condition,
                jobs: phase.jobs.len(),
                max_parallel: phase.max_parallel.map_or(usize::MAX, |most| most as usize),
            });
            blueprint.phases.push(KnownPhase {
                name: phase.name.as_str().into(),
                pool,
                timeout: phase.timeout,
                cancel_timeout: phase.cancel_timeout,
                jobs: self.known_jobs(&phase.jobs),
            });
        }
        if has_cycle(&graph, first) {
            return Err(Refusal::Invalid(
                "The jobs of a definition depend on each other in a circle.".to_owned(),
            ));
        }
        Ok(first..blueprint.phases.len())
    }

    /// The service adds a demand on the agent's version to every job (seen in public payloads).
    fn known_jobs(&self, templates: &[JobTemplate]) -> Vec<KnownJob> {
        let version = Demand::agent_version(&self.settings.minimum_agent_version);
        let known = |template: &JobTemplate| {
            let mut demands = template.demands.clone();
            if !demands.iter().any(Demand::is_agent_version) {
                demands.push(version.clone());
            }
            KnownJob {
                name: template.name.as_str().into(),
                demands: Demands::new(demands),
                duration: template.duration,
            }
        };
        templates.iter().map(known).collect()
    }
}

/// Whether a name matches, whatever the case; a `*` at either end stands for anything (Azure Pipelines'
/// documentation, "Definitions - List").
fn matches_pattern(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (name.to_lowercase(), pattern.to_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (None, None) => name == pattern,
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (Some(_), Some(_)) => name.contains(pattern.trim_matches('*')),
    }
}
