package main

import (
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/taskagent"
)

// The pool of scripts/clients, with an agent that was registered once and is offline.
const (
	shared      = "keda-pool"
	placeholder = "java-template"
)

func poolName(pool taskagent.TaskAgentPool) string    { return of(pool.Name) }
func agentName(agent taskagent.TaskAgent) string      { return of(agent.Name) }
func queueName(queue taskagent.TaskAgentQueue) string { return of(queue.Name) }

func pools(client taskagent.Client) int {
	automation := taskagent.TaskAgentPoolTypeValues.Automation
	made := call(client.AddAgentPool, taskagent.AddAgentPoolArgs{Pool: &taskagent.TaskAgentPool{
		Name: new("go"), AutoProvision: new(false), PoolType: &automation,
	}})
	equal("pool", []any{*made.Name, *made.PoolType, *made.Size}, []any{"go", automation, 0})
	refused("TaskAgentPoolExistsException", client.AddAgentPool,
		taskagent.AddAgentPoolArgs{Pool: &taskagent.TaskAgentPool{Name: new("GO")}})
	renamed := call(client.UpdateAgentPool, taskagent.UpdateAgentPoolArgs{
		PoolId: made.Id, Pool: &taskagent.TaskAgentPool{Name: new("go pool"), AutoSize: new(false)},
	})
	equal("updated pool", []any{*renamed.Id, *renamed.Name, *renamed.AutoSize}, []any{*made.Id, "go pool", false})
	read := call(client.GetAgentPool, taskagent.GetAgentPoolArgs{
		PoolId: made.Id, ActionFilter: &taskagent.TaskAgentPoolActionFilterValues.Manage,
	})
	equal("pool read back", []any{*read.Name, *read.AutoSize, *read.AutoProvision}, []any{"go pool", false, false})
	equal("created on", read.CreatedOn, made.CreatedOn)

	everything := each(*call(client.GetAgentPools, taskagent.GetAgentPoolsArgs{}), poolName)
	equal("all pools", inOrder(everything), []string{"Default", "go pool", shared})
	byName := taskagent.GetAgentPoolsArgs{PoolName: new("Go Pool"), PoolType: &automation}
	equal("by name", each(*call(client.GetAgentPools, byName), poolName), []string{"go pool"})
	ofDeployment := taskagent.GetAgentPoolsArgs{PoolType: &taskagent.TaskAgentPoolTypeValues.Deployment}
	equal("deployment pools", len(*call(client.GetAgentPools, ofDeployment)), 0)
	found := (*call(client.GetAgentPools, taskagent.GetAgentPoolsArgs{PoolName: new(shared)}))[0]
	byIds := taskagent.GetAgentPoolsByIdsArgs{PoolIds: &[]int{*made.Id, *found.Id}}
	equal("by ids", inOrder(each(*call(client.GetAgentPoolsByIds, byIds), poolName)), []string{"go pool", shared})

	do(client.DeleteAgentPool, taskagent.DeleteAgentPoolArgs{PoolId: made.Id})
	refused("TaskAgentPoolNotFoundException", client.GetAgentPool, taskagent.GetAgentPoolArgs{PoolId: made.Id})
	return *found.Id
}

func agents(client taskagent.Client, pool int) {
	given := taskagent.TaskAgent{
		Name: new("go-1"), Version: new("4.258.1"), OsDescription: new("Linux"), MaxParallelism: new(1), Enabled: new(true),
		SystemCapabilities: &map[string]string{"Agent.Name": "go-1", "maven": "3.9"},
	}
	offline := taskagent.TaskAgentStatusValues.Offline
	made := call(client.AddAgent, taskagent.AddAgentArgs{Agent: &given, PoolId: &pool})
	equal("agent", []any{*made.Name, *made.Version, *made.Status}, []any{"go-1", "4.258.1", offline})
	refused("TaskAgentExistsException", client.AddAgent, taskagent.AddAgentArgs{Agent: &given, PoolId: &pool})

	// Members are there only for whoever asks.
	get := taskagent.GetAgentArgs{PoolId: &pool, AgentId: made.Id}
	plain := call(client.GetAgent, get)
	equal("plain", []any{*plain.OsDescription, plain.SystemCapabilities == nil}, []any{"Linux", true})
	get.IncludeCapabilities, get.IncludeAssignedRequest, get.IncludeLastCompletedRequest = new(true), new(true), new(true)
	full := call(client.GetAgent, get)
	equal("capabilities", *full.SystemCapabilities, *given.SystemCapabilities)
	equal("its requests", []any{full.AssignedRequest == nil, full.LastCompletedRequest == nil}, []any{true, true})

	list := func(args taskagent.GetAgentsArgs) []string {
		args.PoolId = &pool
		return inOrder(each(*call(client.GetAgents, args), agentName))
	}
	equal("all agents", list(taskagent.GetAgentsArgs{}), []string{"go-1", placeholder})
	equal("by name", list(taskagent.GetAgentsArgs{AgentName: new("GO-1")}), []string{"go-1"})
	equal("by a demand", list(taskagent.GetAgentsArgs{Demands: &[]string{"maven"}}), []string{"go-1"})
	equal("by a value", list(taskagent.GetAgentsArgs{Demands: &[]string{"java -equals 17"}}), []string{placeholder})
	equal("by both", list(taskagent.GetAgentsArgs{Demands: &[]string{"maven", "java"}}), []string{})

	update := taskagent.UpdateAgentArgs{
		PoolId: &pool, AgentId: made.Id, Agent: &taskagent.TaskAgent{Id: made.Id, Enabled: new(false)},
	}
	changed := call(client.UpdateAgent, update)
	equal("disabled", []any{*changed.Enabled, *changed.Version}, []any{false, "4.258.1"})
	equal("disabled, read back", *call(client.GetAgent, get).Enabled, false)
	given.Version = new("4.259.0")
	replace := taskagent.ReplaceAgentArgs{PoolId: &pool, AgentId: made.Id, Agent: &given}
	replaced := call(client.ReplaceAgent, replace)
	equal("replaced", []any{*replaced.Id, *replaced.Version}, []any{*made.Id, "4.259.0"})
	equal("replaced, read back", *call(client.GetAgent, get).Version, "4.259.0")

	do(client.DeleteAgent, taskagent.DeleteAgentArgs{PoolId: &pool, AgentId: made.Id})
	refused("TaskAgentNotFoundException", client.GetAgent, get)
}

func queues(client taskagent.Client, pool int) {
	madePool := call(client.AddAgentPool, taskagent.AddAgentPoolArgs{
		Pool: &taskagent.TaskAgentPool{Name: new("go-queue"), AutoProvision: new(false)},
	})
	made := call(client.AddAgentQueue, taskagent.AddAgentQueueArgs{
		Project: new(project), AuthorizePipelines: new(true),
		Queue: &taskagent.TaskAgentQueue{Name: new("go-queue"), Pool: &taskagent.TaskAgentPoolReference{Id: madePool.Id}},
	})
	equal("queue", []any{*made.Name, *made.Pool.Id, *made.Pool.Name}, []any{"go-queue", *madePool.Id, "go-queue"})
	get := taskagent.GetAgentQueueArgs{Project: new(project), QueueId: made.Id}
	read := call(client.GetAgentQueue, get)
	equal("queue read back", []any{*read.Id, *read.Pool.Id, *read.ProjectId}, []any{*made.Id, *madePool.Id, *made.ProjectId})

	named := taskagent.GetAgentQueuesArgs{Project: new(project), QueueName: new("go-queue")}
	equal("by name", each(*call(client.GetAgentQueues, named), queueName), []string{"go-queue"})
	byIds := taskagent.GetAgentQueuesByIdsArgs{Project: new(project), QueueIds: &[]int{*made.Id}}
	equal("by ids", each(*call(client.GetAgentQueuesByIds, byIds), queueName), []string{"go-queue"})
	byNames := taskagent.GetAgentQueuesByNamesArgs{Project: new(project), QueueNames: &[]string{shared, "go-queue"}}
	equal("by names", inOrder(each(*call(client.GetAgentQueuesByNames, byNames), queueName)), []string{"go-queue", shared})
	queuesForPools(client, pool)

	do(client.DeleteAgentQueue, taskagent.DeleteAgentQueueArgs{Project: new(project), QueueId: made.Id})
	equal("deleted", len(*call(client.GetAgentQueuesByIds, byIds)), 0)
	do(client.DeleteAgentPool, taskagent.DeleteAgentPoolArgs{PoolId: madePool.Id})
}
