//! Projects: what definitions, builds and queues belong to. One that a definition names comes into being with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::builds::BuildAnswer;
use crate::call::Answer;
use crate::limits::MAX_PROJECTS;
use crate::pools::checked_name;
use crate::{Refusal, Service};

/// The project that is always there, so that clients that begin by listing projects find one.
pub const DEFAULT_PROJECT: &str = "poolproof";

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Project {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// Whether everybody can see it: its jobs then count as public ones.
    pub(crate) public: bool,
    /// What it is for.
    pub(crate) description: Option<String>,
}

/// All projects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Projects {
    /// By lower-case name.
    by_name: BTreeMap<String, Project>,
    /// How many were taken away.
    removed: u64,
    /// How many changes there were that clients ask for as operations.
    pub(crate) operations: u64,
}

impl Projects {
    pub(crate) fn get(&self, id: Uuid) -> Option<&Project> {
        self.by_name.values().find(|project| project.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut Project> {
        self.by_name.values_mut().find(|project| project.id == id)
    }

    /// The one of this name, whatever the case.
    pub(crate) fn named(&self, name: &str) -> Option<&Project> {
        self.by_name.get(&name.to_lowercase())
    }

    pub(crate) fn rename(&mut self, id: Uuid, name: &str) {
        if let Some(project) = self.take(id) {
            self.by_name.insert(name.to_lowercase(), Project { name: name.to_owned(), ..project });
        }
    }

    pub(crate) fn remove(&mut self, id: Uuid) {
        if self.take(id).is_some() {
            self.removed += 1;
        }
    }

    fn take(&mut self, id: Uuid) -> Option<Project> {
        let key = self.get(id)?.name.to_lowercase();
        self.by_name.remove(&key)
    }
}

impl Service {
    /// The id of a project that is meant by its name, whatever the case, or by its id.
    pub(crate) fn project_id(&self, project: &str) -> Result<Uuid, Refusal> {
        let named = self.projects.named(project);
        let by_id = || self.projects.get(project.parse().ok()?);
        let found = named.or_else(by_id).map(|project| project.id);
        found.ok_or_else(|| Refusal::ProjectNotFound(project.to_owned()))
    }

    /// The id of the project with this name, which comes into being if it is not there.
    pub(crate) fn ensure_project(&mut self, name: &str) -> Result<Uuid, Refusal> {
        if let Some(known) = self.projects.named(name) {
            return Ok(known.id);
        }
        checked_name(name, "project")?;
        if self.projects.by_name.len() >= MAX_PROJECTS {
            return Err(Refusal::Full { what: "projects", limit: MAX_PROJECTS });
        }
        // A name may come again, and so may the one that a project had before it was renamed.
        let id = match self.projects.removed {
            0 => self.named_guid("project", name),
            removed => self.named_guid("project", &format!("{name}/{removed}")),
        };
        let id = if self.projects.get(id).is_some() { self.guid() } else { id };
        let project = Project { id, name: name.to_owned(), public: false, description: None };
        self.projects.by_name.insert(name.to_lowercase(), project);
        self.project_appeared(id);
        Ok(id)
    }

    pub(crate) fn define_project(&mut self, name: &str, public: bool) -> Result<Answer, Refusal> {
        let id = self.ensure_project(name)?;
        if let Some(project) = self.projects.get_mut(id) {
            project.public = public;
        }
        Ok(BuildAnswer::Project(id).into())
    }

    pub(crate) fn list_projects(&self, top: Option<u32>, skip: u32) -> Answer {
        let all = self.projects.by_name.values().map(|project| project.id).skip(skip as usize);
        let mut found: Vec<Uuid> = all.collect();
        let top = top.map_or(usize::MAX, |top| top as usize);
        // A page of nothing would lead to itself.
        let next = (top > 0 && found.len() > top).then(|| u64::from(skip) + top as u64);
        found.truncate(top);
        Answer::from(BuildAnswer::Projects(found)).continued(next)
    }
}
