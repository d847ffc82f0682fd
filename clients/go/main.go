// Every call of the official Go client for pools, agents, queues, definitions, builds, pipelines and projects, against
// `poolproof serve`. scripts/clients starts both, and builds this program twice: as it stands for version 7, and with
// the import path of version 1 (and the tag "old"), which is the one in KEDA's own tests.
package main

import (
	"os"

	"github.com/microsoft/azure-devops-go-api/azuredevops/v7"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/build"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/core"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/task"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

func main() {
	connection := azuredevops.NewPatConnection(os.Getenv("POOLPROOF_URL"), os.Getenv("POOLPROOF_TOKEN"))
	taskAgents, err := taskagent.NewClient(ctx, connection)
	check(err == nil, "%v", err)
	builds, err := build.NewClient(ctx, connection)
	check(err == nil, "%v", err)
	cores, err := core.NewClient(ctx, connection)
	check(err == nil, "%v", err)
	runs, tasks := pipelines.NewClient(ctx, connection), task.NewClient(ctx, connection)

	pool := pools(taskAgents)
	agents(taskAgents, pool)
	queues(taskAgents, pool)
	projects(cores)
	madeProjects(cores)

	byName := definitions(builds)
	buildsOf(builds, madeDefinitions(builds, queueTo(taskAgents, pool)))
	madePipelines(runs)
	cancelled := queuedAndCancelled(builds, byName[oneJob])
	cancelledAsKedaDoes(builds, byName[oneJob])
	agent := join(connection, taskAgents, pool, "go-agent")
	succeeded := runByAnAgent(builds, tasks, agent, byName[oneJob])
	last := call(taskAgents.GetAgent, taskagent.GetAgentArgs{
		PoolId: &pool, AgentId: &agent.registered, IncludeLastCompletedRequest: new(true),
	})
	equal("the agent's last request", *last.LastCompletedRequest.Result, taskagent.TaskResultValues.Succeeded)
	agent.leave()
	lists(builds, cancelled, succeeded)
	pipelinesAndRuns(runs, builds, byName[oneJob], succeeded)
	archives(builds, *succeeded.Id)
	marks(builds, *succeeded.Id)
	cancelledByItsStage(builds, byName[threeJobs])
	deleted(builds, *cancelled.Id)

	refuseTheRest("taskagent", taskAgents)
	refuseTheRest("build", builds)
	refuseTheRest("pipelines", runs)
	refuseTheRest("core", cores)
	report()
}

func projects(client core.Client) {
	listed := call(client.GetProjects, core.GetProjectsArgs{StateFilter: &core.ProjectStateValues.WellFormed, Top: new(10)})
	names := each(listed.Value, func(one core.TeamProjectReference) string { return *one.Name })
	equal("projects", inOrder(names), []string{"poolproof", project})
	byName := call(client.GetProject, core.GetProjectArgs{ProjectId: new(project)})
	equal("project", []any{*byName.Name, *byName.State}, []any{project, core.ProjectStateValues.WellFormed})
	byId := call(client.GetProject, core.GetProjectArgs{ProjectId: new(byName.Id.String()), IncludeCapabilities: new(true)})
	equal("project by its id", *byId.Name, project)
}
