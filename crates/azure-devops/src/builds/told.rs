//! Definitions that clients make, change, delete and restore.
//!
//! What a build of one runs is what its phases say, if it has a designer's process. YAML is in a repository, and there
//! are no repositories: without phases it is one job, or, of a definition that a control route or a scenario has made,
//! what that said. A change of the queue moves the jobs that wait in the definition's own pool.
//!
//! A stale revision is answered as an unknown definition (MicrosoftDocs/vsts-rest-api-specs#356); names are unique
//! within a project, whatever the folder (Dejulia489/AzurePipelinesPS#20 has the words). The builds of a deleted
//! definition can still be read, until it is forgotten; the real service shows them as deleted ones.

use std::sync::Arc;

use model::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::blueprint::{Blueprint, KnownDefinition};
use super::call::BuildAnswer;
use super::draft::{DefinitionDraft, QueueReference};
use super::{Build, BuildPriority};
use crate::call::Answer;
use crate::ids::{BuildId, DefinitionId, PoolId};
use crate::limits::{
    MAX_COMMENT, MAX_DEFINITION_BYTES, MAX_DEFINITIONS, MAX_DELETED_DEFINITIONS, MAX_REVISIONS,
    MAX_TOLD_BYTES,
};
use crate::pools::checked_name;
use crate::secret::without_secrets;
use crate::{Refusal, Service};

/// The folder of definitions that name none.
const ROOT: &str = "\\";

/// What a client said of a definition.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// What is shown again as it was told.
    pub(crate) members: Map<String, Value>,
    /// How many bytes that is, about.
    bytes: usize,
    /// Whether a client says what it runs, too.
    runs: bool,
    /// Whether no builds of it may be queued.
    pub(crate) disabled: bool,
}

/// A change of a definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) number: u32,
    pub(crate) at: Instant,
    pub(crate) kind: RevisionKind,
    pub(crate) name: Arc<str>,
    pub(crate) comment: Option<String>,
}

/// What a change was (azure-devops-node-api 17.0.1, BuildInterfaces, `AuditAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RevisionKind {
    Add,
    Update,
    Delete,
}

impl KnownDefinition {
    pub(super) fn told_bytes(&self) -> usize {
        self.told.as_ref().map_or(0, |told| told.bytes)
    }

    /// The folder that it is in.
    pub(crate) fn path(&self) -> &str {
        let told = self.told.as_ref().and_then(|told| told.members.get("path")?.as_str());
        told.unwrap_or(ROOT)
    }

    /// A control route or a scenario says it.
    pub(super) fn no_client_says_what_it_runs(&mut self) {
        if let Some(told) = &mut self.told {
            told.runs = false;
        }
    }

    /// All revisions that are known, the oldest first. The first one is not kept until there is a second.
    pub(crate) fn revisions(&self) -> Vec<Revision> {
        if self.changes.is_empty() { vec![self.made()] } else { self.changes.clone() }
    }

    /// Its first revision.
    fn made(&self) -> Revision {
        let comment = self.told.as_ref().and_then(|told| told.members.get("comment")?.as_str());
        Revision {
            number: self.revision,
            at: self.created,
            kind: RevisionKind::Add,
            name: Arc::clone(&self.name),
            comment: comment.map(str::to_owned),
        }
    }

    /// Counts a change. It has changed already, but for its name: that is `name` from now on.
    pub(crate) fn changed(
        &mut self,
        at: Instant,
        kind: RevisionKind,
        name: Arc<str>,
        comment: Option<String>,
    ) {
        if self.changes.is_empty() {
            self.changes.push(self.made());
        }
        self.revision = self.revision.saturating_add(1);
        self.name = Arc::clone(&name);
        self.changes.push(Revision { number: self.revision, at, kind, name, comment });
        if self.changes.len() > MAX_REVISIONS {
            self.changes.remove(0);
        }
    }
}

impl Blueprint {
    /// The same with the jobs of one pool in another.
    fn moved(&self, from: PoolId, to: PoolId) -> Self {
        let mut moved = self.clone();
        moved.phases.iter_mut().filter(|phase| phase.pool == from).for_each(|phase| phase.pool = to);
        moved
    }
}

/// What of a draft was looked at before anything is changed.
struct Checked {
    name: Arc<str>,
    pool: PoolId,
    bytes: usize,
}

impl Service {
    pub(crate) fn create_definition(&mut self, draft: DefinitionDraft) -> Result<Answer, Refusal> {
        let draft = without_secrets_of(draft);
        if let Some(id) = draft.id.filter(|id| id.0 != 0) {
            return Err(Refusal::Invalid(format!(
                "A new pipeline has no ID, but the supplied one has ID {id}."
            )));
        }
        let checked = self.check_draft(&draft, None)?;
        if self.definitions.present() >= MAX_DEFINITIONS {
            return Err(Refusal::Full { what: "definitions", limit: MAX_DEFINITIONS });
        }
        let Checked { name, pool, bytes } = checked;
        let (what, runs, priority) = match draft.copy_of.filter(|_| draft.phases.is_empty()) {
            Some(id) => {
                let original = self.get_definition(Some(&draft.project), id)?;
                (Arc::new(original.what.moved(original.pool, pool)), false, original.priority)
            }
            None => (Arc::new(self.told_blueprint(&draft, pool)?), true, BuildPriority::default()),
        };
        let project_id = self.project_id(&draft.project)?;
        let project = self.projects.get(project_id).map(|project| project.name.clone()).unwrap_or_default();
        let id = self.definitions.next_id();
        let told = Told { members: draft.members, bytes, runs, disabled: draft.disabled };
        let known = KnownDefinition {
            id,
            name,
            project,
            project_id,
            pool,
            revision: 1,
            priority,
            created: self.now,
            what,
            told: Some(Box::new(told)),
            changes: Vec::new(),
            deleted: None,
        };
        self.definitions.insert(known);
        Ok(Answer::Definition(id))
    }

    pub(crate) fn update_definition(
        &mut self,
        id: DefinitionId,
        draft: DefinitionDraft,
    ) -> Result<Answer, Refusal> {
        let draft = without_secrets_of(draft);
        let supplied = draft.id.unwrap_or_default();
        if supplied != id {
            let message = format!(
                "The request specifies pipeline ID {id} but the supplied pipeline has ID {supplied}."
            );
            return Err(Refusal::Invalid(message));
        }
        let known = self.get_definition(Some(&draft.project), id)?;
        if draft.revision != Some(known.revision) {
            return Err(Refusal::DefinitionNotFound(id));
        }
        let (from, ran) = (known.pool, Arc::clone(&known.what));
        let told_before = known.told.as_ref().is_some_and(|told| told.runs);
        let Checked { name, pool, bytes } = self.check_draft(&draft, Some(id))?;
        let runs = told_before || !draft.phases.is_empty();
        let what = match (runs, pool == from) {
            (true, _) => Arc::new(self.told_blueprint(&draft, pool)?),
            (false, true) => ran,
            (false, false) => Arc::new(ran.moved(from, pool)),
        };
        if self.definitions.get(id).is_some_and(|known| known.name != name) {
            for build in self.builds.values().filter(|build: &&Build| build.definition == id) {
                self.write_rows_of(build);
            }
        }
        let (now, comment) = (self.now, draft.comment);
        let told = Told { members: draft.members, bytes, runs, disabled: draft.disabled };
        self.definitions.change(id, |known| {
            (known.pool, known.what) = (pool, what);
            known.changed(now, RevisionKind::Update, name, comment);
            known.told = Some(Box::new(told));
        });
        Ok(Answer::Definition(id))
    }

    /// `DELETE`: it is in no list any more, and nothing can be queued of it. What is queued runs on.
    pub(crate) fn delete_definition(
        &mut self,
        project: Option<&str>,
        id: DefinitionId,
    ) -> Result<Answer, Refusal> {
        self.get_definition(project, id)?;
        let kept = self.builds.values().any(|build| build.definition == id && build.details.keep_forever);
        if kept {
            let message = format!("Builds of the pipeline {id} are kept forever: it cannot be deleted.");
            return Err(Refusal::Invalid(message));
        }
        self.remove_definition(id);
        Ok(Answer::Done)
    }

    pub(crate) fn remove_definition(&mut self, id: DefinitionId) {
        let now = self.now;
        self.definitions.change(id, |known| {
            let name = Arc::clone(&known.name);
            known.changed(now, RevisionKind::Delete, name, None);
            known.deleted = Some(now);
        });
        if self.definitions.deleted() > MAX_DELETED_DEFINITIONS {
            self.forget_a_definition();
        }
    }

    /// Forgets the definition that was deleted first, with its builds, unless they go on.
    fn forget_a_definition(&mut self) {
        let has_ended = |id: &DefinitionId| {
            !self.builds.values().any(|build| build.definition == *id && build.finished.is_none())
        };
        let Some(oldest) = self.definitions.deleted_first().find(has_ended) else { return };
        let of_it = self.builds.values().filter(|build| build.definition == oldest);
        let builds: Vec<BuildId> = of_it.map(|build| build.id).collect();
        for build in builds {
            self.remove_build(build);
        }
        self.definitions.forget(oldest);
    }

    /// `PATCH ?deleted=false`: the deleted definition is there again.
    pub(crate) fn restore_definition(
        &mut self,
        project: Option<&str>,
        id: DefinitionId,
    ) -> Result<Answer, Refusal> {
        let project = project.map(|project| self.project_id(project)).transpose()?;
        let known = self.definitions.get(id).filter(|known| known.deleted.is_some());
        let known = known.filter(|known| project.is_none_or(|project| known.project_id == project));
        let known = known.ok_or(Refusal::DefinitionNotFound(id))?;
        if let Some(other) = self.definitions.named(Some(known.project_id), &known.name) {
            return Err(exists(other));
        }
        let now = self.now;
        self.definitions.change(id, |known| {
            let name = Arc::clone(&known.name);
            known.deleted = None;
            known.changed(now, RevisionKind::Update, name, None);
        });
        Ok(Answer::Definition(id))
    }

    pub(crate) fn list_revisions(&self, project: Option<&str>, id: DefinitionId) -> Result<Answer, Refusal> {
        Ok(BuildAnswer::Revisions(self.get_definition(project, id)?.id).into())
    }

    fn check_draft(&self, draft: &DefinitionDraft, own: Option<DefinitionId>) -> Result<Checked, Refusal> {
        let project = self.project_id(&draft.project)?;
        let name = checked_name(&draft.name, "definition")?;
        if let Some(other) = self.definitions.named(Some(project), name).filter(|other| Some(other.id) != own)
        {
            return Err(exists(other));
        }
        if draft.comment.as_ref().is_some_and(|comment| comment.len() > MAX_COMMENT) {
            return Err(Refusal::Invalid(format!("A comment has at most {MAX_COMMENT} bytes.")));
        }
        let bytes = serde_json::to_vec(&draft.members).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_DEFINITION_BYTES {
            return Err(Refusal::Full { what: "bytes of a definition", limit: MAX_DEFINITION_BYTES });
        }
        if self.definitions.told_bytes(own) + bytes > MAX_TOLD_BYTES {
            return Err(Refusal::Full { what: "bytes of definitions", limit: MAX_TOLD_BYTES });
        }
        let pool = match &draft.queue {
            Some(queue) => self.pool_of_queue(&draft.project, queue)?,
            None => self.first_pool(&draft.project)?,
        };
        Ok(Checked { name: name.into(), pool, bytes })
    }

    fn told_blueprint(&self, draft: &DefinitionDraft, pool: PoolId) -> Result<Blueprint, Refusal> {
        let named = |pool: PoolId| self.pool(pool).map(|pool| pool.name.clone());
        let of_queue = |queue: &QueueReference| named(self.pool_of_queue(&draft.project, queue)?);
        let definition = draft.definition(named(pool)?, of_queue)?;
        self.blueprint(&definition, pool)
    }

    /// The pool that a queue leads to. A project whose pool it is not shows the pool for a queue.
    fn pool_of_queue(&self, project: &str, queue: &QueueReference) -> Result<PoolId, Refusal> {
        let project = self.project_id(project)?;
        let by_id = queue.id.map(|id| self.queue(Some(project), id));
        let refusal = match by_id {
            Some(Ok(found)) => return Ok(found.pool),
            Some(Err(refusal)) => refusal,
            None => Refusal::Invalid("A queue is named by its id or its name.".to_owned()),
        };
        let by_pool = queue.pool.and_then(|pool| self.pools.get(&pool)).map(|pool| pool.id);
        let by_name = || self.queue_named(project, queue.name.as_deref()?).map(|queue| queue.pool);
        let named = by_pool.or_else(by_name);
        named.ok_or_else(|| match &queue.name {
            Some(name) if queue.id.is_none() => Refusal::PoolNameNotFound(name.clone()),
            _ => refusal,
        })
    }

    /// The pool of a definition that names no queue.
    fn first_pool(&self, project: &str) -> Result<PoolId, Refusal> {
        let first = self.first_queue(self.project_id(project)?).map(|queue| queue.pool);
        first.ok_or_else(|| Refusal::Invalid(format!("The project {project} has no agent queue.")))
    }
}

/// Nothing here needs the value of a secret variable, so it is not kept.
fn without_secrets_of(mut draft: DefinitionDraft) -> DefinitionDraft {
    if let Some(variables) = draft.members.get_mut("variables") {
        *variables = without_secrets(variables);
    }
    draft
}

fn exists(known: &KnownDefinition) -> Refusal {
    Refusal::DefinitionExists { name: known.name.to_string(), project: known.project.clone() }
}
