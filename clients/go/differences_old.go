//go:build old

package main

import (
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/build"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

// What the old client does otherwise.

func allPipelines(client pipelines.Client, args pipelines.ListPipelinesArgs) []pipelines.Pipeline {
	return call(client.ListPipelines, args).Value
}

// It has none of these calls.

func queuesForPools(taskagent.Client, int) {}

func preview(pipelines.Client, int) {}

func cancelledByItsStage(build.Client, int) {}

func retried(build.Client, int) {}
