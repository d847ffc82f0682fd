//! A namespace of the run's own: made, filled with the user's objects as they
//! are, and removed on every way out.

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy,
};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use crate::local::NODES_LABEL;
use crate::reason;

/// Who created an object.
const FIELD_MANAGER: &str = "poolproof";
/// The annotation that the admission plug-in PodNodeSelector reads.
const SELECTOR_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";

/// The annotation that says which process a namespace belongs to, and which nodes go with it.
const OWNER_ANNOTATION: &str = "poolproof.dev/owner";
/// The label of everything that a run makes.
const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", "poolproof");

/// What the cluster did not do.
#[derive(Debug, thiserror::Error)]
#[error("the cluster refused {what}: {}", reason(source))]
pub struct WorkspaceError {
    /// What was asked.
    pub what: String,
    /// What it said.
    #[source]
    source: Box<kube::Error>,
}

/// A namespace whose pods go to nodes of its own.
#[derive(Clone)]
pub struct Workspace {
    client: Client,
    namespace: String,
}

impl Workspace {
    /// Creates the namespace. Its pods go to the nodes with the label value `nodes`.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn create(client: Client, namespace: &str, nodes: &str) -> Result<Self, WorkspaceError> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": namespace,
                "labels": { MANAGED.0: MANAGED.1 },
                "annotations": {
                    SELECTOR_ANNOTATION: format!("{NODES_LABEL}={nodes}"),
                    OWNER_ANNOTATION: owner::this_process(),
                },
            },
        });
        let workspace = Self { client, namespace: namespace.to_owned() };
        workspace.apply(&object).await?;
        Ok(workspace)
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Creates an object as it is; one that belongs to a namespace goes to this one.
    ///
    /// # Errors
    /// If the API server does not know the kind, or refuses the object.
    pub async fn apply(&self, object: &Value) -> Result<(), WorkspaceError> {
        let (api, mut object) = self.api(object).await?;
        object.metadata.namespace = None;
        let parameters =
            PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let what = describe(&object);
        api.create(&parameters, &object).await.map(|_| ()).map_err(|error| refused(&what, error))
    }

    /// Deletes an object and, in the background, what it owns. One that is gone already is fine.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn delete(&self, object: &Value) -> Result<(), WorkspaceError> {
        let (api, object) = self.api(object).await?;
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let name = object.metadata.name.clone().unwrap_or_default();
        match api.delete(&name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(refused(&describe(&object), error)),
            Ok(_) => Ok(()),
        }
    }

    /// Merges a JSON merge patch into an object that is there.
    ///
    /// # Errors
    /// If the API server does not know the object, or refuses the patch.
    pub async fn patch(&self, object: &Value, patch: &Map<String, Value>) -> Result<(), WorkspaceError> {
        let (api, object) = self.api(object).await?;
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let name = object.metadata.name.clone().unwrap_or_default();
        let patched = api.patch(&name, &parameters, &Patch::Merge(patch)).await;
        patched.map(|_| ()).map_err(|error| refused(&format!("a change of {}", describe(&object)), error))
    }

    /// Deletes a pod as anybody could, with its own grace period. One that is gone already is fine.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn delete_pod(&self, pod: &str) -> Result<(), WorkspaceError> {
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod } });
        self.delete(&object).await
    }

    /// Orders the end of the namespace and of everything in it.
    ///
    /// # Errors
    /// If the API server refuses.
    pub async fn end(&self) -> Result<(), WorkspaceError> {
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": self.namespace } });
        self.delete(&object).await
    }

    /// Whether the namespace still exists.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn exists(&self) -> Result<bool, WorkspaceError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let found = api.get_metadata_opt(&self.namespace).await;
        found.map(|found| found.is_some()).map_err(|error| refused("a look at the namespace", error))
    }

    async fn api(&self, object: &Value) -> Result<(Api<DynamicObject>, DynamicObject), WorkspaceError> {
        let object: DynamicObject = serde_json::from_value(object.clone())
            .map_err(|error| refused("an object without kind", kube::Error::SerdeError(error)))?;
        let types = object.types.clone().unwrap_or_default();
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", &types.api_version));
        let kind = GroupVersionKind::gvk(group, version, &types.kind);
        let (resource, capabilities): (ApiResource, _) = discovery::pinned_kind(&self.client, &kind)
            .await
            .map_err(|error| refused(&describe(&object), error))?;
        let api = match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        };
        Ok((api, object))
    }
}

/// Removes what runs left behind that were killed: namespaces whose owner is dead, and their nodes.
///
/// # Errors
/// If the API server refuses.
pub async fn sweep(client: &Client) -> Result<(), WorkspaceError> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let nodes: Api<Node> = Api::all(client.clone());
    let ours = ListParams::default().labels(&format!("{}={}", MANAGED.0, MANAGED.1));
    let found =
        namespaces.list_metadata(&ours).await.map_err(|error| refused("a list of namespaces", error))?;
    for namespace in found {
        let annotations = namespace.metadata.annotations.unwrap_or_default();
        let owner = annotations.get(OWNER_ANNOTATION).map_or("", String::as_str);
        let (Some(name), false) = (namespace.metadata.name, owner::lives(owner)) else { continue };
        if let Some(selector) = annotations.get(SELECTOR_ANNOTATION) {
            let theirs = ListParams::default().labels(selector);
            let gone = nodes.delete_collection(&DeleteParams::default(), &theirs).await;
            gone.map_err(|error| refused("the end of dead nodes", error))?;
        }
        let gone = namespaces.delete(&name, &DeleteParams::default()).await;
        gone.map_err(|error| refused(&format!("the end of namespace {name}"), error))?;
    }
    Ok(())
}

mod owner {
    //! Which process something belongs to. A process id is used again, so the time of the process'
    //! start goes with it (field 22 of `/proc/PID/stat`; see proc(5)).

    use std::fs;

    const STARTED: usize = 22;

    /// This process.
    pub(super) fn this_process() -> String {
        let id = std::process::id();
        format!("{id}-{}", started(id).unwrap_or_default())
    }

    /// Whether the process that called itself this is still there.
    pub(super) fn lives(owner: &str) -> bool {
        let Some((id, start)) = owner.split_once('-') else { return false };
        id.parse().ok().and_then(started).is_some_and(|started| started == start)
    }

    fn started(id: u32) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the program's name in parentheses, which may hold anything.
        let after_name = &stat[stat.rfind(')')? + 1..];
        after_name.split_whitespace().nth(STARTED - 3).map(str::to_owned)
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn this_process_lives_and_another_with_its_id_does_not() {
            let owner = super::this_process();
            assert!(super::lives(&owner), "{owner}");
            assert!(!super::lives(&format!("{}-1", std::process::id())));
            assert!(!super::lives("") && !super::lives("4294967295-1"));
        }
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

fn describe(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    format!("{kind}/{}", object.metadata.name.as_deref().unwrap_or("?"))
}

fn refused(what: &str, source: kube::Error) -> WorkspaceError {
    WorkspaceError { what: what.to_owned(), source: Box::new(source) }
}
