//go:build !old

package main

import (
	"strings"

	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/build"
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

func preview(client pipelines.Client, definition int) {
	found := call(client.Preview, pipelines.PreviewArgs{
		Project: new(project), PipelineId: &definition,
		RunParameters: &pipelines.RunPipelineParameters{PreviewRun: new(true)},
	})
	check(strings.Contains(*found.FinalYaml, "name: keda-pool"), "%s", *found.FinalYaml)
}

// A build has one stage if its definition names none; to cancel it is to cancel the build.
func cancelledByItsStage(client build.Client, definition int) {
	queued := queue(client, definition, build.Build{})
	do(client.UpdateStage, build.UpdateStageArgs{
		Project: new(project), BuildId: queued.Id, StageRefName: new("__default"),
		UpdateParameters: &build.UpdateStageParameters{State: &build.StageUpdateTypeValues.Cancel},
	})
	equal("cancelled by its stage", *get(client, *queued.Id).Result, build.BuildResultValues.Canceled)
}

// A build that was cancelled runs again.
func retried(client build.Client, id int) {
	do(client.UpdateStage, build.UpdateStageArgs{
		Project: new(project), BuildId: &id, StageRefName: new("__default"),
		UpdateParameters: &build.UpdateStageParameters{State: &build.StageUpdateTypeValues.Retry},
	})
	equal("runs again", *get(client, id).Status, build.BuildStatusValues.NotStarted)
	timeline := call(client.GetBuildTimeline, build.GetBuildTimelineArgs{Project: new(project), BuildId: &id})
	for _, record := range *timeline.Records {
		if *record.Type == "Job" {
			equal("the second attempt", []int{*record.Attempt, len(*record.PreviousAttempts)}, []int{2, 1})
		}
	}
	call(client.UpdateBuild, build.UpdateBuildArgs{Project: new(project), BuildId: &id, Build: &cancelling})
}
