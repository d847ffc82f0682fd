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
}

/// All projects, by lower-case name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Projects(BTreeMap<String, Project>);

impl Projects {
    pub(crate) fn get(&self, id: Uuid) -> Option<&Project> {
        self.0.values().find(|project| project.id == id)
    }
}

impl Service {
    /// The id of a project that is meant by its name, whatever the case, or by its id.
    pub(crate) fn project_id(&self, project: &str) -> Result<Uuid, Refusal> {
        let named = self.projects.0.get(&project.to_lowercase());
        let by_id = || self.projects.get(project.parse().ok()?);
        let found = named.or_else(by_id).map(|project| project.id);
        found.ok_or_else(|| Refusal::ProjectNotFound(project.to_owned()))
    }

    /// The id of the project with this name, which comes into being if it is not there.
    pub(crate) fn ensure_project(&mut self, name: &str) -> Result<Uuid, Refusal> {
        let key = name.to_lowercase();
        if let Some(known) = self.projects.0.get(&key) {
            return Ok(known.id);
        }
        checked_name(name, "project")?;
        if self.projects.0.len() >= MAX_PROJECTS {
            return Err(Refusal::Full { what: "projects", limit: MAX_PROJECTS });
        }
        let id = self.named_guid("project", name);
        self.projects.0.insert(key, Project { id, name: name.to_owned(), public: false });
        self.project_appeared(id);
        Ok(id)
    }

    pub(crate) fn define_project(&mut self, name: &str, public: bool) -> Result<Answer, Refusal> {
        let id = self.ensure_project(name)?;
        if let Some(project) = self.projects.0.get_mut(&name.to_lowercase()) {
            project.public = public;
        }
        Ok(BuildAnswer::Project(id).into())
    }

    pub(crate) fn list_projects(&self, top: Option<u32>, skip: u32) -> Answer {
        let all = self.projects.0.values().map(|project| project.id).skip(skip as usize);
        let mut found: Vec<Uuid> = all.collect();
        let top = top.map_or(usize::MAX, |top| top as usize);
        // A page of nothing would lead to itself.
        let next = (top > 0 && found.len() > top).then(|| u64::from(skip) + top as u64);
        found.truncate(top);
        Answer::from(BuildAnswer::Projects(found)).continued(next)
    }
}
