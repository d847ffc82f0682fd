package main

import (
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/build"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/pipelines"
	"github.com/microsoft/azure-devops-go-api/azuredevops/v7/task"
)

// The definitions of scripts/clients, and what they are made of.
const (
	oneJob    = "compile"
	threeJobs = "fan-out"
	branch    = "refs/heads/go"
	missing   = 4711
)

var lines = []string{"first line", "second line", "third line"}

func definitions(client build.Client) map[string]int {
	list := func(args build.GetDefinitionsArgs) []build.BuildDefinitionReference {
		args.Project = new(project)
		return call(client.GetDefinitions, args).Value
	}
	name := func(one build.BuildDefinitionReference) string { return of(one.Name) }
	everything := list(build.GetDefinitionsArgs{})
	equal("definitions", inOrder(each(everything, name)), []string{oneJob, threeJobs})
	found := list(build.GetDefinitionsArgs{Name: new(oneJob)})
	equal("by name", each(found, name), []string{oneJob})
	equal("its project", *found[0].Project.Name, project)
	read := call(client.GetDefinition, build.GetDefinitionArgs{Project: new(project), DefinitionId: found[0].Id})
	equal("definition", []any{*read.Id, *read.Name, *read.Path}, []any{*found[0].Id, oneJob, `\`})
	refused("DefinitionNotFoundException", client.GetDefinition,
		build.GetDefinitionArgs{Project: new(project), DefinitionId: new(missing)})

	// A page, and the next one by its token.
	first := call(client.GetDefinitions, build.GetDefinitionsArgs{Project: new(project), Top: new(1)})
	check(len(first.Value) == 1 && first.ContinuationToken != "", "the first page of definitions: %v", first)
	second := call(client.GetDefinitions,
		build.GetDefinitionsArgs{Project: new(project), Top: new(1), ContinuationToken: &first.ContinuationToken})
	pages := inOrder(append(each(first.Value, name), each(second.Value, name)...))
	equal("both pages", pages, []string{oneJob, threeJobs})

	byName := map[string]int{}
	for _, one := range everything {
		byName[*one.Name] = *one.Id
	}
	return byName
}

func queue(client build.Client, definition int, more build.Build) *build.Build {
	more.Definition = &build.DefinitionReference{Id: &definition}
	return call(client.QueueBuild, build.QueueBuildArgs{Project: new(project), Build: &more})
}

func get(client build.Client, id int) *build.Build {
	return call(client.GetBuild, build.GetBuildArgs{Project: new(project), BuildId: &id})
}

var cancelling = build.Build{Status: &build.BuildStatusValues.Cancelling}

func queuedAndCancelled(client build.Client, definition int) *build.Build {
	queued := queue(client, definition, build.Build{SourceBranch: new(branch), Parameters: new(`{"system.debug":"true"}`)})
	equal("queued", []any{*queued.Status, queued.Result == nil, *queued.Definition.Id},
		[]any{build.BuildStatusValues.NotStarted, true, definition})
	read := get(client, *queued.Id)
	equal("read back", []any{*read.BuildNumber, *read.SourceBranch, *read.Parameters, read.StartTime == nil},
		[]any{*queued.BuildNumber, branch, `{"system.debug":"true"}`, true})

	call(client.UpdateBuild, build.UpdateBuildArgs{Project: new(project), BuildId: queued.Id, Build: &cancelling})
	over := get(client, *queued.Id)
	equal("cancelled", []any{*over.Status, *over.Result},
		[]any{build.BuildStatusValues.Completed, build.BuildResultValues.Canceled})
	check(!over.FinishTime.Time.Before(over.QueueTime.Time), "it ends after it began")
	return queued
}

// cancelledAsKedaDoes sends the whole build back with its state changed, which is what KEDA's own tests do.
func cancelledAsKedaDoes(client build.Client, definition int) {
	queued := queue(client, definition, build.Build{})
	whole := get(client, *queued.Id)
	whole.Status = &build.BuildStatusValues.Cancelling
	call(client.UpdateBuild, build.UpdateBuildArgs{Project: new(project), BuildId: queued.Id, Build: whole})
	equal("cancelled as KEDA does", *get(client, *queued.Id).Result, build.BuildResultValues.Canceled)
}

// runByAnAgent is a build from its first to its last moment, as its agent writes it and as its readers see it.
func runByAnAgent(client build.Client, tasks task.Client, agent *agent, definition int) *build.Build {
	queued := queue(client, definition, build.Build{})
	job := agent.takeJob()
	equal("started", *get(client, *queued.Id).Status, build.BuildStatusValues.InProgress)
	log := writeLog(tasks, job)
	writeRecord(tasks, job, log)
	agent.complete(job, "succeeded")

	over := get(client, *queued.Id)
	equal("ended", []any{*over.Status, *over.Result},
		[]any{build.BuildStatusValues.Completed, build.BuildResultValues.Succeeded})
	check(!over.StartTime.Time.Before(over.QueueTime.Time) && !over.FinishTime.Time.Before(over.StartTime.Time),
		"its times are in order")
	readTimeline(client, *queued.Id, log)
	return queued
}

func writeLog(client task.Client, job job) int {
	scope, plan := &job.Plan.ScopeIdentifier, &job.Plan.PlanId
	made := call(client.CreateLog, task.CreateLogArgs{
		ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, Log: &task.TaskLog{Path: new(`logs\` + job.JobId.String())},
	})
	appended := call(client.AppendLogContent, task.AppendLogContentArgs{
		ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, LogId: made.Id,
		UploadStream: strings.NewReader(strings.Join(lines, "\n") + "\n"),
	})
	equal("log", []any{*appended.Id, int(*appended.LineCount)}, []any{*made.Id, len(lines)})
	read := call(client.GetLog, task.GetLogArgs{ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, LogId: made.Id})
	equal("log read back", *read, lines)
	all := call(client.GetLogs, task.GetLogsArgs{ScopeIdentifier: scope, HubName: new(hub), PlanId: plan})
	equal("logs", each(*all, func(one task.TaskLog) int { return *one.Id }), []int{*made.Id})
	return *made.Id
}

func writeRecord(client task.Client, job job, log int) {
	scope, plan, timeline := &job.Plan.ScopeIdentifier, &job.Plan.PlanId, &job.Timeline.Id
	record := task.TimelineRecord{
		Id: &job.JobId, Type: new("Job"), Name: new("compile"), State: &task.TimelineRecordStateValues.InProgress,
		WorkerName: new("go-agent"), Log: &task.TaskLogReference{Id: &log},
	}
	written := call(client.UpdateRecords, task.UpdateRecordsArgs{
		ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, TimelineId: timeline,
		Records: &azuredevops.VssJsonCollectionWrapper{Count: new(1), Value: &[]any{record}},
	})
	equal("record", []any{*(*written)[0].Id, *(*written)[0].WorkerName}, []any{job.JobId, "go-agent"})
	records := call(client.GetRecords, task.GetRecordsArgs{
		ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, TimelineId: timeline,
	})
	at := slices.IndexFunc(*records, func(one task.TimelineRecord) bool { return *one.Id == job.JobId })
	check(at >= 0, "record read back")
	read := (*records)[at]
	equal("record read back", []any{*read.State, *read.Log.Id}, []any{task.TimelineRecordStateValues.InProgress, log})
	found := call(client.GetTimeline, task.GetTimelineArgs{
		ScopeIdentifier: scope, HubName: new(hub), PlanId: plan, TimelineId: timeline, IncludeRecords: new(true),
	})
	equal("timeline", *found.Id, *timeline)
	all := call(client.GetTimelines, task.GetTimelinesArgs{ScopeIdentifier: scope, HubName: new(hub), PlanId: plan})
	equal("timelines", each(*all, func(one task.Timeline) uuid.UUID { return *one.Id }), []uuid.UUID{*timeline})
}

func readTimeline(client build.Client, id, log int) {
	args := build.GetBuildTimelineArgs{Project: new(project), BuildId: &id}
	timeline := call(client.GetBuildTimeline, args)
	at := slices.IndexFunc(*timeline.Records, func(one build.TimelineRecord) bool { return *one.Type == "Job" })
	check(at >= 0, "the job's record")
	record := (*timeline.Records)[at]
	equal("the job's record", []any{*record.WorkerName, *record.State, *record.Result, *record.Log.Id}, []any{
		"go-agent", build.TimelineRecordStateValues.Completed, build.TaskResultValues.Succeeded, log,
	})
	args.TimelineId = timeline.Id
	equal("timeline by its id", len(*call(client.GetBuildTimeline, args).Records), len(*timeline.Records))

	logs := call(client.GetBuildLogs, build.GetBuildLogsArgs{Project: new(project), BuildId: &id})
	at = slices.IndexFunc(*logs, func(one build.BuildLog) bool { return *one.Id == log })
	check(at >= 0 && int(*(*logs)[at].LineCount) == len(lines), "lines of the log")
	text, err := io.ReadAll(call(client.GetBuildLog, build.GetBuildLogArgs{Project: new(project), BuildId: &id, LogId: &log}))
	check(err == nil, "log: %v", err)
	equal("log as text", strings.Fields(string(text)), strings.Fields(strings.Join(lines, "\n")))
	part := build.GetBuildLogLinesArgs{Project: new(project), BuildId: &id, LogId: &log}
	equal("log as lines", *call(client.GetBuildLogLines, part), lines)
	part.StartLine, part.EndLine = new(uint64(2)), new(uint64(3))
	equal("part of a log", *call(client.GetBuildLogLines, part), lines[1:])
}

func lists(client build.Client, cancelled, succeeded *build.Build) {
	page := func(args build.GetBuildsArgs) *build.GetBuildsResponseValue {
		args.Project = new(project)
		return call(client.GetBuilds, args)
	}
	id := func(one build.Build) int { return *one.Id }
	ids := func(args build.GetBuildsArgs) []int { return each(page(args).Value, id) }
	newestFirst := &build.BuildQueryOrderValues.QueueTimeDescending
	everything := ids(build.GetBuildsArgs{QueryOrder: newestFirst})
	check(slices.IsSortedFunc(everything, func(a, b int) int { return b - a }), "newest first: %v", everything)
	oldest := ids(build.GetBuildsArgs{QueryOrder: &build.BuildQueryOrderValues.QueueTimeAscending})
	slices.Reverse(oldest)
	equal("oldest first", oldest, everything)
	equal("by number", ids(build.GetBuildsArgs{BuildNumber: cancelled.BuildNumber}), []int{*cancelled.Id})
	equal("by branch", ids(build.GetBuildsArgs{BranchName: new(branch)}), []int{*cancelled.Id})
	equal("by result", ids(build.GetBuildsArgs{ResultFilter: &build.BuildResultValues.Succeeded}), []int{*succeeded.Id})
	equal("by state", ids(build.GetBuildsArgs{StatusFilter: &build.BuildStatusValues.NotStarted}), []int{})
	// What KEDA's own tests ask for.
	asKeda := build.GetBuildsArgs{StatusFilter: &build.BuildStatusValues.All, QueryOrder: newestFirst, Top: new(20)}
	equal("as KEDA's tests ask", ids(asKeda), everything)
	// Pages of two, each by the token of the one before.
	var paged []int
	args := build.GetBuildsArgs{QueryOrder: newestFirst, Top: new(2)}
	for range everything {
		one := page(args)
		check(len(one.Value) <= 2, "a page is as long as asked for")
		paged = append(paged, each(one.Value, id)...)
		if one.ContinuationToken == "" {
			break
		}
		args.ContinuationToken = &one.ContinuationToken
	}
	equal("pages", paged, everything)
	latest := call(client.GetLatestBuild, build.GetLatestBuildArgs{Project: new(project), Definition: new(oneJob)})
	equal("latest", *latest.Status, build.BuildStatusValues.Completed)
}

// marks are tags, and what a build of the fake never has.
func marks(client build.Client, id int) {
	add := build.AddBuildTagArgs{Project: new(project), BuildId: &id, Tag: new("nightly")}
	equal("tag", *call(client.AddBuildTag, add), []string{"nightly"})
	several := build.AddBuildTagsArgs{Project: new(project), BuildId: &id, Tags: &[]string{"linux", "slow"}}
	equal("tags", inOrder(*call(client.AddBuildTags, several)), []string{"linux", "nightly", "slow"})
	remove := build.DeleteBuildTagArgs{Project: new(project), BuildId: &id, Tag: new("slow")}
	equal("tag deleted", inOrder(*call(client.DeleteBuildTag, remove)), []string{"linux", "nightly"})
	read := call(client.GetBuildTags, build.GetBuildTagsArgs{Project: new(project), BuildId: &id})
	equal("tags read back", inOrder(*read), []string{"linux", "nightly"})

	equal("artifacts", len(*call(client.GetArtifacts, build.GetArtifactsArgs{Project: new(project), BuildId: &id})), 0)
	refused("VssResourceNotFoundException", client.GetArtifact,
		build.GetArtifactArgs{Project: new(project), BuildId: &id, ArtifactName: new("drop")})
	refused("VssResourceNotFoundException", client.GetFile, build.GetFileArgs{
		Project: new(project), BuildId: &id, ArtifactName: new("drop"), FileId: new("1"), FileName: new("a"),
	})
	changes := call(client.GetBuildChanges, build.GetBuildChangesArgs{Project: new(project), BuildId: &id})
	equal("changes", len(changes.Value), 0)
	items := call(client.GetBuildWorkItemsRefs, build.GetBuildWorkItemsRefsArgs{Project: new(project), BuildId: &id})
	equal("work items", len(*items), 0)
	usage := call(client.GetResourceUsage, build.GetResourceUsageArgs{})
	check(*usage.DistributedTaskAgents > 0 && *usage.TotalUsage == 0, "usage: %v", usage)
}

func deleted(client build.Client, id int) {
	do(client.DeleteBuild, build.DeleteBuildArgs{Project: new(project), BuildId: &id})
	refused("BuildNotFoundException", client.GetBuild, build.GetBuildArgs{Project: new(project), BuildId: &id})
}

func pipelinesAndRuns(client pipelines.Client, builds build.Client, definition int, withLogs *build.Build) {
	name := func(one pipelines.Pipeline) string { return of(one.Name) }
	listed := allPipelines(client, pipelines.ListPipelinesArgs{Project: new(project)})
	equal("pipelines", inOrder(each(listed, name)), []string{oneJob, threeJobs})
	read := call(client.GetPipeline, pipelines.GetPipelineArgs{Project: new(project), PipelineId: &definition})
	equal("pipeline", []any{*read.Id, *read.Name, *read.Folder, *read.Revision}, []any{definition, oneJob, `\`, 1})

	run := call(client.RunPipeline, pipelines.RunPipelineArgs{
		Project: new(project), PipelineId: &definition, RunParameters: &pipelines.RunPipelineParameters{
			Variables: &map[string]pipelines.Variable{"colour": {Value: new("red")}},
		},
	})
	equal("run", []any{*run.State, run.Result == nil}, []any{pipelines.RunStateValues.InProgress, true})
	equal("a run is a build", *get(builds, *run.Id).BuildNumber, *run.Name)
	call(builds.UpdateBuild, build.UpdateBuildArgs{Project: new(project), BuildId: run.Id, Build: &cancelling})
	over := call(client.GetRun, pipelines.GetRunArgs{Project: new(project), PipelineId: &definition, RunId: run.Id})
	equal("run read back", []any{*over.Name, *over.State, *over.Result},
		[]any{*run.Name, pipelines.RunStateValues.Completed, pipelines.RunResultValues.Canceled})
	runs := call(client.ListRuns, pipelines.ListRunsArgs{Project: new(project), PipelineId: &definition})
	equal("the newest run is first", *(*runs)[0].Id, *run.Id)

	logs := call(client.ListLogs, pipelines.ListLogsArgs{Project: new(project), PipelineId: &definition, RunId: withLogs.Id})
	log := (*logs.Logs)[0]
	readLog := call(client.GetLog, pipelines.GetLogArgs{
		Project: new(project), PipelineId: &definition, RunId: withLogs.Id, LogId: log.Id,
	})
	equal("log of a run", []any{*readLog.Id, *readLog.LineCount}, []any{*log.Id, *log.LineCount})
	preview(client, definition)
}
