"""What a client makes of definitions, pipelines and projects, and archives of logs."""

import io
import zipfile

from azure.devops.v7_1.build.models import Build, BuildDefinition, UpdateStageParameters
from azure.devops.v7_1.core.models import TeamProject
from azure.devops.v7_1.pipelines.models import CreatePipelineConfigurationParameters, CreatePipelineParameters

from pools import names, refused
from recorded import PROJECT, equal


class YamlConfiguration(CreatePipelineConfigurationParameters):
    """The client's own knows nothing of a configuration but its type."""

    _attribute_map = {
        **CreatePipelineConfigurationParameters._attribute_map,
        "path": {"key": "path", "type": "str"},
        "repository": {"key": "repository", "type": "object"},
    }

    def __init__(self, path, repository):
        super().__init__(type="yaml")
        self.path, self.repository = path, repository


def definitions(build, task_agent, pool):
    queue = task_agent.get_agent_queues_for_pools([pool], project=PROJECT)[0].id
    given = BuildDefinition(
        name="python-made",
        path="\\python",
        description="made by a client",
        queue={"id": queue},
        queue_status="enabled",
        variables={"colour": {"value": "red"}},
    )
    made = build.create_definition(given, PROJECT)
    equal((made.name, made.revision, made.queue.id), ("python-made", 1, queue), "definition")
    refused("DefinitionExistsException", build.create_definition, given, PROJECT)
    read = build.get_definition(PROJECT, made.id)
    equal((read.path, read.description, read.queue_status), ("\\python", "made by a client", "enabled"), "read back")
    equal(read.variables["colour"].value, "red", "variable read back")

    read.name, read.comment = "python-renamed", "another name"
    renamed = build.update_definition(read, PROJECT, made.id)
    equal((renamed.id, renamed.name, renamed.revision), (made.id, "python-renamed", 2), "renamed")
    equal(build.get_definition(PROJECT, made.id).name, "python-renamed", "renamed, read back")
    refused("DefinitionNotFoundException", build.update_definition, read, PROJECT, made.id)
    revisions = build.get_definition_revisions(PROJECT, made.id)
    told = [(one.revision, one.name, one.change_type, one.comment) for one in revisions]
    equal(
        told, [(1, "python-made", "add", None), (2, "python-renamed", "update", "another name")], "revisions"
    )
    return made.id


def builds_of(build, definition):
    """Several builds are cancelled at once, one of them runs again and is cancelled again, and the definition goes."""
    queued = [build.queue_build(Build(definition={"id": definition}), PROJECT) for _ in range(2)]
    changed = build.update_builds([Build(id=one.id, status="cancelling") for one in queued], PROJECT)
    equal([(one.id, one.result) for one in changed], [(one.id, "canceled") for one in queued], "cancelled at once")
    first = queued[0].id
    build.update_stage(UpdateStageParameters(state="retry"), first, "__default", project=PROJECT)
    equal(build.get_build(PROJECT, first).status, "notStarted", "runs again")
    job = [record for record in build.get_build_timeline(PROJECT, first).records if record.type == "Job"][0]
    equal((job.attempt, len(job.previous_attempts)), (2, 1), "the second attempt")
    build.update_build(Build(status="cancelling"), PROJECT, first)

    build.delete_definition(PROJECT, definition)
    refused("DefinitionNotFoundException", build.get_definition, PROJECT, definition)
    equal(build.get_build(PROJECT, first).definition.name, "python-renamed", "its builds stay")
    restored = build.restore_definition(PROJECT, definition, False)
    equal((restored.id, restored.name), (definition, "python-renamed"), "restored")
    for one in queued:
        build.delete_build(PROJECT, one.id)
    build.delete_definition(PROJECT, definition)


def pipelines(client, build):
    given = CreatePipelineParameters(
        name="python-pipeline", folder="\\python", configuration=CreatePipelineConfigurationParameters(type="yaml")
    )
    refused("InvalidRequestException", client.create_pipeline, given, PROJECT)
    given.configuration = YamlConfiguration("/python.yml", {"id": "r", "type": "azureReposGit"})
    made = client.create_pipeline(given, PROJECT)
    equal((made.name, made.folder, made.revision), ("python-pipeline", "\\python", 1), "pipeline")
    equal(client.get_pipeline(PROJECT, made.id).configuration.type, "yaml", "pipeline read back")
    build.delete_definition(PROJECT, made.id)
    refused("DefinitionNotFoundException", client.get_pipeline, PROJECT, made.id)


def archives(build, build_id, lines):
    log = build.get_build_logs(PROJECT, build_id)[0].id
    for parts in (build.get_build_logs_zip(PROJECT, build_id), build.get_build_log_zip(PROJECT, build_id, log)):
        archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
        equal(archive.testzip(), None, "the archive is whole")
        equal(archive.namelist(), [f"{log}.txt"], "its files")
        equal(archive.read(f"{log}.txt").decode().splitlines(), lines, "the log in the archive")


def projects(core, operations):
    made = core.queue_create_project(TeamProject(name="python-project", description="made", visibility="private"))
    equal(made.status, "queued", "operation")
    equal(operations.get_operation(made.id).status, "succeeded", "operation read back")
    read = core.get_project("python-project")
    equal((read.description, read.state), ("made", "wellFormed"), "project")
    core.update_project(TeamProject(description="changed"), read.id)
    equal(core.get_project(read.id).description, "changed", "project changed")
    assert "python-project" in names(core.get_projects()), "all projects"
    core.queue_delete_project(read.id)
    refused("ProjectDoesNotExistWithNameException", core.get_project, "python-project")
