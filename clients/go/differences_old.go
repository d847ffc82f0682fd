//go:build old

package main

import (
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

// What the old client does otherwise.

func allPipelines(client pipelines.Client, args pipelines.ListPipelinesArgs) []pipelines.Pipeline {
	return call(client.ListPipelines, args).Value
}

// It has no such call.
func queuesForPools(taskagent.Client, int) {}
