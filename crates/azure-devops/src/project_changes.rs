//! Projects are made, changed and taken away by clients.
//!
//! The real service does so in the background, and answers with an operation that can be asked how far it is
//! (Azure DevOps' documentation, "Projects - Create", "Operations - Get"). Here it is done at once: the operation is told as
//! queued, and whoever asks for it learns that it has succeeded. What else a project has beside pools, builds and their
//! definitions there is not here.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::builds::BuildAnswer;
use crate::call::Answer;
use crate::ids::BuildId;
use crate::limits::{MAX_DESCRIPTION, MAX_OPERATIONS};
use crate::pools::checked_name;
use crate::{Refusal, Service};

/// A project that is to be made, or what changes about one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProjectChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether everybody can see it.
    pub public: Option<bool>,
}

impl Service {
    /// `POST projects`.
    pub(crate) fn create_project(&mut self, draft: ProjectChange) -> Result<Answer, Refusal> {
        let name = checked_name(draft.name.as_deref().unwrap_or_default(), "project")?.to_owned();
        check_description(&draft)?;
        if self.projects.named(&name).is_some() {
            return Err(Refusal::ProjectExists(name));
        }
        let id = self.ensure_project(&name)?;
        self.change_told(id, draft);
        Ok(self.operation())
    }

    /// `PATCH projects/{id}`.
    pub(crate) fn change_project(&mut self, project: &str, change: ProjectChange) -> Result<Answer, Refusal> {
        let id = self.project_id(project)?;
        check_description(&change)?;
        if let Some(name) = &change.name {
            let name = checked_name(name, "project")?;
            if self.projects.named(name).is_some_and(|other| other.id != id) {
                return Err(Refusal::ProjectExists(name.to_owned()));
            }
            self.projects.rename(id, name);
            for definition in self.definitions.of_project(id) {
                self.definitions.change(definition, |known| name.clone_into(&mut known.project));
            }
        }
        self.change_told(id, change);
        Ok(self.operation())
    }

    fn change_told(&mut self, id: Uuid, change: ProjectChange) {
        let Some(project) = self.projects.get_mut(id) else { return };
        project.public = change.public.unwrap_or(project.public);
        project.description = change.description.or(project.description.take());
    }

    /// `DELETE projects/{id}`: with its queues, its definitions and their builds. What runs is cancelled.
    pub(crate) fn remove_project(&mut self, project: &str) -> Result<Answer, Refusal> {
        let id = self.project_id(project)?;
        let of_it =
            |build: BuildId| self.builds.get(build).and_then(|build| self.project_of(build)) == Some(id);
        let builds: Vec<BuildId> =
            self.builds.values().map(|build| build.id).filter(|id| of_it(*id)).collect();
        for build in &builds {
            self.cancel_build(*build);
        }
        for definition in self.definitions.of_project(id) {
            self.remove_definition(definition);
        }
        self.queues.project_removed(id);
        self.projects.remove(id);
        Ok(self.operation())
    }

    fn operation(&mut self) -> Answer {
        self.projects.operations += 1;
        let number = self.projects.operations;
        BuildAnswer::Operation { id: self.operation_id(number), is_new: true }.into()
    }

    fn operation_id(&self, number: u64) -> Uuid {
        self.named_guid("operation", &number.to_string())
    }

    /// `GET operations/{id}`: one of the latest.
    pub(crate) fn get_operation(&self, id: Uuid) -> Result<Answer, Refusal> {
        let last = self.projects.operations;
        let mut known = last.saturating_sub(MAX_OPERATIONS) + 1..=last;
        let found = known.any(|number| self.operation_id(number) == id);
        if !found {
            return Err(Refusal::NothingHere(format!("operation {id}")));
        }
        Ok(BuildAnswer::Operation { id, is_new: false }.into())
    }
}

fn check_description(change: &ProjectChange) -> Result<(), Refusal> {
    if change.description.as_ref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
        return Err(Refusal::Invalid(format!("A description has at most {MAX_DESCRIPTION} bytes.")));
    }
    Ok(())
}
