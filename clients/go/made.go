package main

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"

	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/build"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/core"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/operations"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

// What a client makes of definitions, pipelines and projects, and archives of logs.

func queueTo(client taskagent.Client, pool int) int {
	for _, queue := range *call(client.GetAgentQueues, taskagent.GetAgentQueuesArgs{Project: new(project)}) {
		if *queue.Pool.Id == pool {
			return *queue.Id
		}
	}
	panic("the project has no queue to the pool")
}

func readDefinition(client build.Client, id int) *build.BuildDefinition {
	return call(client.GetDefinition, build.GetDefinitionArgs{Project: new(project), DefinitionId: &id})
}

func madeDefinitions(client build.Client, queue int) int {
	given := build.BuildDefinition{
		Name: new("go-made"), Path: new(`\go`), Description: new("made by a client"), Queue: &build.AgentPoolQueue{Id: &queue},
		QueueStatus: &build.DefinitionQueueStatusValues.Enabled,
		Variables:   &map[string]build.BuildDefinitionVariable{"colour": {Value: new("red")}},
	}
	made := call(client.CreateDefinition, build.CreateDefinitionArgs{Project: new(project), Definition: &given})
	equal("definition", []any{*made.Name, *made.Revision, *made.Queue.Id}, []any{"go-made", 1, queue})
	refused("DefinitionExistsException", client.CreateDefinition,
		build.CreateDefinitionArgs{Project: new(project), Definition: &given})
	read := readDefinition(client, *made.Id)
	equal("read back", []any{*read.Path, *read.Description, *(*read.Variables)["colour"].Value},
		[]any{`\go`, "made by a client", "red"})

	read.Name, read.Comment = new("go-renamed"), new("another name")
	update := build.UpdateDefinitionArgs{Project: new(project), DefinitionId: made.Id, Definition: read}
	renamed := call(client.UpdateDefinition, update)
	equal("renamed", []any{*renamed.Id, *renamed.Name, *renamed.Revision}, []any{*made.Id, "go-renamed", 2})
	equal("renamed, read back", *readDefinition(client, *made.Id).Name, "go-renamed")
	refused("DefinitionNotFoundException", client.UpdateDefinition, update)
	revisions := *call(client.GetDefinitionRevisions,
		build.GetDefinitionRevisionsArgs{Project: new(project), DefinitionId: made.Id})
	told := each(revisions, func(one build.BuildDefinitionRevision) []any { return []any{*one.Name, *one.ChangeType} })
	equal("revisions", told, [][]any{
		{"go-made", build.AuditActionValues.Add}, {"go-renamed", build.AuditActionValues.Update},
	})
	return *made.Id
}

// buildsOf cancels several builds at once and has one of them run again; then the definition goes.
func buildsOf(client build.Client, definition int) {
	queued := []*build.Build{queue(client, definition, build.Build{}), queue(client, definition, build.Build{})}
	cancel := each(queued, func(one *build.Build) build.Build { return build.Build{Id: one.Id, Status: cancelling.Status} })
	changed := *call(client.UpdateBuilds, build.UpdateBuildsArgs{Project: new(project), Builds: &cancel})
	equal("cancelled at once", each(changed, func(one build.Build) build.BuildResult { return *one.Result }),
		[]build.BuildResult{build.BuildResultValues.Canceled, build.BuildResultValues.Canceled})
	retried(client, *queued[0].Id)

	args := build.DeleteDefinitionArgs{Project: new(project), DefinitionId: &definition}
	do(client.DeleteDefinition, args)
	refused("DefinitionNotFoundException", client.GetDefinition,
		build.GetDefinitionArgs{Project: new(project), DefinitionId: &definition})
	equal("its builds stay", *get(client, *queued[0].Id).Definition.Name, "go-renamed")
	restored := call(client.RestoreDefinition,
		build.RestoreDefinitionArgs{Project: new(project), DefinitionId: &definition, Deleted: new(false)})
	equal("restored", *restored.Name, "go-renamed")
	for _, one := range queued {
		do(client.DeleteBuild, build.DeleteBuildArgs{Project: new(project), BuildId: one.Id})
	}
	do(client.DeleteDefinition, args)
}

// The client cannot say where a pipeline's YAML is, so there is nothing to make one of.
func madePipelines(client pipelines.Client) {
	refused("InvalidRequestException", client.CreatePipeline, pipelines.CreatePipelineArgs{
		Project: new(project), InputParameters: &pipelines.CreatePipelineParameters{
			Name:          new("go-pipeline"),
			Configuration: &pipelines.CreatePipelineConfigurationParameters{Type: &pipelines.ConfigurationTypeValues.Yaml},
		},
	})
}

func archives(client build.Client, id int) {
	logs := *call(client.GetBuildLogs, build.GetBuildLogsArgs{Project: new(project), BuildId: &id})
	log := logs[0].Id
	holdsTheLog(call(client.GetBuildLogsZip, build.GetBuildLogsZipArgs{Project: new(project), BuildId: &id}))
	holdsTheLog(call(client.GetBuildLogZip, build.GetBuildLogZipArgs{Project: new(project), BuildId: &id, LogId: log}))
}

func holdsTheLog(archive io.ReadCloser) {
	content, err := io.ReadAll(archive)
	check(err == nil, "archive: %v", err)
	files, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	check(err == nil, "archive: %v", err)
	equal("files of the archive", len(files.File), 1)
	file, err := files.File[0].Open()
	check(err == nil, "archive: %v", err)
	text, err := io.ReadAll(file)
	check(err == nil, "archive: %v", err)
	equal("the log in the archive", strings.Split(strings.TrimSpace(string(text)), "\r\n"), lines)
}

func madeProjects(client core.Client) {
	made := call(client.QueueCreateProject, core.QueueCreateProjectArgs{
		ProjectToCreate: &core.TeamProject{Name: new("go-project"), Description: new("made")},
	})
	equal("operation", *made.Status, operations.OperationStatusValues.Queued)
	get := core.GetProjectArgs{ProjectId: new("go-project")}
	read := call(client.GetProject, get)
	equal("project", []any{*read.Description, *read.State}, []any{"made", core.ProjectStateValues.WellFormed})
	call(client.UpdateProject, core.UpdateProjectArgs{
		ProjectId: read.Id, ProjectUpdate: &core.TeamProject{Description: new("changed")},
	})
	equal("project changed", *call(client.GetProject, get).Description, "changed")
	call(client.QueueDeleteProject, core.QueueDeleteProjectArgs{ProjectId: read.Id})
	refused("ProjectDoesNotExistWithNameException", client.GetProject, get)
}
