//! The calls that the service does not model: each is made, and has to be refused by name.

use azure_devops_rust_api::{build, core, distributed_task};

use crate::made::made;
use crate::recorded::{Clients, ORGANIZATION, PROJECT, refused};

/// An id of a plan or a job, whatever there is.
const PLAN: &str = "11111111-1111-1111-1111-111111111111";

pub async fn refuse_the_rest(clients: &Clients) {
    of_distributed_task(clients).await;
    of_build(clients).await;
    of_pipelines(clients).await;
    of_core(clients).await;
}

async fn of_distributed_task(clients: &Clients) {
    refused!(clients.distributed_task.oidctoken_client().create(
        ORGANIZATION,
        serde_json::Value::Null,
        PROJECT,
        "Build",
        PLAN,
        PLAN
    ));
    refused!(clients.distributed_task.variablegroups_client().get_variable_groups(ORGANIZATION, PROJECT));
    refused!(
        clients
            .distributed_task
            .variablegroups_client()
            .add(ORGANIZATION, made::<distributed_task::models::VariableGroupParameters>())
    );
    refused!(clients.distributed_task.variablegroups_client().share_variable_group(ORGANIZATION, vec![], 1));
    refused!(clients.distributed_task.variablegroups_client().update(
        ORGANIZATION,
        made::<distributed_task::models::VariableGroupParameters>(),
        1
    ));
    refused!(clients.distributed_task.variablegroups_client().delete(ORGANIZATION, 1, "1"));
    refused!(clients.distributed_task.variablegroups_client().get_variable_groups_by_id(
        ORGANIZATION,
        PROJECT,
        "1"
    ));
    refused!(clients.distributed_task.variablegroups_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.agentclouds_client().list(ORGANIZATION));
    refused!(
        clients
            .distributed_task
            .agentclouds_client()
            .add(ORGANIZATION, made::<distributed_task::models::TaskAgentCloud>())
    );
    refused!(clients.distributed_task.agentclouds_client().get(ORGANIZATION, 1));
    refused!(clients.distributed_task.agentclouds_client().update(
        ORGANIZATION,
        made::<distributed_task::models::TaskAgentCloud>(),
        1
    ));
    refused!(clients.distributed_task.agentclouds_client().delete(ORGANIZATION, 1));
    refused!(clients.distributed_task.requests_client().list(ORGANIZATION, 1));
    refused!(clients.distributed_task.agentcloudtypes_client().list(ORGANIZATION));
    refused!(clients.distributed_task.yamlschema_client().get(ORGANIZATION));
    refused!(clients.distributed_task.deploymentgroups_client().list(ORGANIZATION, PROJECT));
    refused!(clients.distributed_task.deploymentgroups_client().add(
        ORGANIZATION,
        made::<distributed_task::models::DeploymentGroupCreateParameter>(),
        PROJECT
    ));
    refused!(clients.distributed_task.deploymentgroups_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.deploymentgroups_client().update(
        ORGANIZATION,
        made::<distributed_task::models::DeploymentGroupUpdateParameter>(),
        PROJECT,
        1
    ));
    refused!(clients.distributed_task.deploymentgroups_client().delete(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.targets_client().list(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.targets_client().update(ORGANIZATION, vec![], PROJECT, 1));
    refused!(clients.distributed_task.targets_client().get(ORGANIZATION, PROJECT, 1, 1));
    refused!(clients.distributed_task.targets_client().delete(ORGANIZATION, PROJECT, 1, 1));
    refused!(clients.distributed_task.environments_client().list(ORGANIZATION, PROJECT));
    refused!(clients.distributed_task.environments_client().add(
        ORGANIZATION,
        made::<distributed_task::models::EnvironmentCreateParameter>(),
        PROJECT
    ));
    refused!(clients.distributed_task.environments_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.environments_client().update(
        ORGANIZATION,
        made::<distributed_task::models::EnvironmentUpdateParameter>(),
        PROJECT,
        1
    ));
    refused!(clients.distributed_task.environments_client().delete(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.environmentdeployment_records_client().list(ORGANIZATION, PROJECT, 1));
    refused!(clients.distributed_task.kubernetes_client().add(
        ORGANIZATION,
        made::<distributed_task::models::KubernetesResourceCreateParameters>(),
        PROJECT,
        1
    ));
    refused!(clients.distributed_task.kubernetes_client().get(ORGANIZATION, PROJECT, 1, 1));
    refused!(clients.distributed_task.kubernetes_client().delete(ORGANIZATION, PROJECT, 1, 1));
    refused!(clients.distributed_task.taskgroups_client().add(
        ORGANIZATION,
        made::<distributed_task::models::TaskGroupCreateParameter>(),
        PROJECT
    ));
    refused!(clients.distributed_task.taskgroups_client().list(ORGANIZATION, PROJECT, "1"));
    refused!(clients.distributed_task.taskgroups_client().update(
        ORGANIZATION,
        made::<distributed_task::models::TaskGroupUpdateParameter>(),
        PROJECT,
        "1"
    ));
    refused!(clients.distributed_task.taskgroups_client().delete(ORGANIZATION, PROJECT, "1"));
    refused!(clients.distributed_task.elasticpools_client().list(ORGANIZATION));
    refused!(clients.distributed_task.elasticpools_client().create(
        ORGANIZATION,
        made::<distributed_task::models::ElasticPool>(),
        "1"
    ));
    refused!(clients.distributed_task.elasticpools_client().get(ORGANIZATION, 1));
    refused!(clients.distributed_task.elasticpools_client().update(
        ORGANIZATION,
        made::<distributed_task::models::ElasticPoolSettings>(),
        1
    ));
    refused!(clients.distributed_task.elasticpoollogs_client().list(ORGANIZATION, 1));
    refused!(clients.distributed_task.nodes_client().list(ORGANIZATION, 1));
    refused!(clients.distributed_task.nodes_client().update(
        ORGANIZATION,
        made::<distributed_task::models::ElasticNodeSettings>(),
        1,
        1
    ));
}

async fn of_build(clients: &Clients) {
    refused!(clients.build.artifacts_client().create(
        ORGANIZATION,
        made::<build::models::BuildArtifact>(),
        PROJECT,
        1
    ));
    refused!(clients.build.leases_client().get_retention_leases_by_user_id(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.leases_client().get_retention_leases_by_owner_id(ORGANIZATION, PROJECT));
    refused!(clients.build.leases_client().get_retention_leases_by_minimal_retention_leases(
        ORGANIZATION,
        PROJECT,
        "1"
    ));
    refused!(clients.build.leases_client().add(ORGANIZATION, vec![], PROJECT));
    refused!(clients.build.leases_client().delete(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.leases_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.leases_client().update(
        ORGANIZATION,
        made::<build::models::RetentionLeaseUpdate>(),
        PROJECT,
        1
    ));
    refused!(clients.build.controllers_client().list(ORGANIZATION));
    refused!(clients.build.controllers_client().get(ORGANIZATION, 1));
    refused!(clients.build.history_client().get(ORGANIZATION));
    refused!(clients.build.badge_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.badge_client().get_build_badge_data(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.authorizedresources_client().list(ORGANIZATION, PROJECT));
    refused!(clients.build.authorizedresources_client().authorize_project_resources(
        ORGANIZATION,
        vec![],
        PROJECT
    ));
    refused!(clients.build.builds_client().get_retention_leases_for_build(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.builds_client().get_build_work_items_refs_from_commits(
        ORGANIZATION,
        vec![],
        PROJECT,
        1
    ));
    refused!(clients.build.builds_client().get_changes_between_builds(ORGANIZATION, PROJECT));
    refused!(clients.build.builds_client().get_work_items_between_builds(ORGANIZATION, PROJECT, 1, 1));
    refused!(clients.build.attachments_client().get(ORGANIZATION, PROJECT, 1, "1", "1", "1", "1"));
    refused!(clients.build.attachments_client().list(ORGANIZATION, PROJECT, 1, "1"));
    refused!(clients.build.properties_client().get_build_properties(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.properties_client().update_build_properties(
        ORGANIZATION,
        made::<build::models::JsonPatchDocument>(),
        PROJECT,
        1
    ));
    refused!(clients.build.properties_client().get_definition_properties(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.properties_client().update_definition_properties(
        ORGANIZATION,
        made::<build::models::JsonPatchDocument>(),
        PROJECT,
        1
    ));
    refused!(clients.build.report_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.tags_client().update_build_tags(
        ORGANIZATION,
        made::<build::models::UpdateTagParameters>(),
        PROJECT,
        1
    ));
    refused!(clients.build.tags_client().get_definition_tags(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.tags_client().add_definition_tags(ORGANIZATION, vec![], PROJECT, 1));
    refused!(clients.build.tags_client().update_definition_tags(
        ORGANIZATION,
        made::<build::models::UpdateTagParameters>(),
        PROJECT,
        1
    ));
    refused!(clients.build.tags_client().add_definition_tag(ORGANIZATION, PROJECT, 1, "1"));
    refused!(clients.build.tags_client().delete_definition_tag(ORGANIZATION, PROJECT, 1, "1"));
    refused!(clients.build.tags_client().get_tags(ORGANIZATION, PROJECT));
    refused!(clients.build.tags_client().delete_tag(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.metrics_client().get_definition_metrics(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.metrics_client().get_project_metrics(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.resources_client().list(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.resources_client().authorize_definition_resources(
        ORGANIZATION,
        vec![],
        PROJECT,
        1
    ));
    refused!(clients.build.yaml_client().get(ORGANIZATION, PROJECT, 1));
    refused!(clients.build.templates_client().list(ORGANIZATION, PROJECT));
    refused!(clients.build.templates_client().get(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.templates_client().save_template(
        ORGANIZATION,
        made::<build::models::BuildDefinitionTemplate>(),
        PROJECT,
        "1"
    ));
    refused!(clients.build.templates_client().delete(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.folders_client().update(
        ORGANIZATION,
        made::<build::models::Folder>(),
        PROJECT,
        "1"
    ));
    refused!(clients.build.folders_client().create(
        ORGANIZATION,
        made::<build::models::Folder>(),
        PROJECT,
        "1"
    ));
    refused!(clients.build.folders_client().delete(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.folders_client().list(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.general_settings_client().get(ORGANIZATION, PROJECT));
    refused!(clients.build.general_settings_client().update(
        ORGANIZATION,
        made::<build::models::PipelineGeneralSettings>(),
        PROJECT
    ));
    refused!(clients.build.options_client().list(ORGANIZATION, PROJECT));
    refused!(clients.build.retention_client().get(ORGANIZATION, PROJECT));
    refused!(clients.build.retention_client().update(
        ORGANIZATION,
        made::<build::models::UpdateProjectRetentionSettingModel>(),
        PROJECT
    ));
    refused!(clients.build.settings_client().get(ORGANIZATION, PROJECT));
    refused!(clients.build.settings_client().update(
        ORGANIZATION,
        made::<build::models::BuildSettings>(),
        PROJECT
    ));
    refused!(clients.build.status_client().get(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().list(ORGANIZATION, PROJECT));
    refused!(clients.build.source_providers_client().list_branches(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().get_file_contents(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().get_path_contents(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().get_pull_request(ORGANIZATION, PROJECT, "1", "1"));
    refused!(clients.build.source_providers_client().list_repositories(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().list_webhooks(ORGANIZATION, PROJECT, "1"));
    refused!(clients.build.source_providers_client().restore_webhooks(ORGANIZATION, vec![], PROJECT, "1"));
}

async fn of_pipelines(clients: &Clients) {
    refused!(clients.pipelines.artifacts_client().get(ORGANIZATION, PROJECT, 1, 1, "1"));
}

async fn of_core(clients: &Clients) {
    refused!(clients.core.processes_client().list(ORGANIZATION));
    refused!(clients.core.processes_client().get(ORGANIZATION, "1"));
    refused!(clients.core.projects_client().get_project_properties(ORGANIZATION, PROJECT));
    refused!(clients.core.projects_client().set_project_properties(
        ORGANIZATION,
        PROJECT,
        made::<core::models::JsonPatchDocument>()
    ));
    refused!(clients.core.avatar_client().set_project_avatar(
        ORGANIZATION,
        made::<core::models::ProjectAvatar>(),
        PROJECT
    ));
    refused!(clients.core.avatar_client().remove_project_avatar(ORGANIZATION, PROJECT));
    refused!(clients.core.categorized_teams_client().get(ORGANIZATION, PROJECT));
    refused!(clients.core.teams_client().get_teams(ORGANIZATION, PROJECT));
    refused!(clients.core.teams_client().create(ORGANIZATION, made::<core::models::WebApiTeam>(), PROJECT));
    refused!(clients.core.teams_client().get(ORGANIZATION, PROJECT, "1"));
    refused!(clients.core.teams_client().update(
        ORGANIZATION,
        made::<core::models::WebApiTeam>(),
        PROJECT,
        "1"
    ));
    refused!(clients.core.teams_client().delete(ORGANIZATION, PROJECT, "1"));
    refused!(clients.core.teams_client().get_team_members_with_extended_properties(
        ORGANIZATION,
        PROJECT,
        "1"
    ));
    refused!(clients.core.teams_client().get_all_teams(ORGANIZATION));
}
