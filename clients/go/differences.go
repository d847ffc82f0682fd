//go:build !old

package main

import (
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

// What this client does otherwise than the old one.

func allPipelines(client pipelines.Client, args pipelines.ListPipelinesArgs) []pipelines.Pipeline {
	return *call(client.ListPipelines, args)
}

func queuesForPools(client taskagent.Client, pool int) {
	found := call(client.GetAgentQueuesForPools, taskagent.GetAgentQueuesForPoolsArgs{
		Project: new(project), PoolIds: &[]int{pool},
	})
	equal("for pools", each(*found, func(one taskagent.TaskAgentQueue) int { return *one.Pool.Id }), []int{pool})
}
