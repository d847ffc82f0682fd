// Definitions, builds, their timelines and logs, pipelines and runs: BuildApi, PipelinesApi, and TaskApi for what an
// agent writes of a job.
'use strict';

const assert = require('node:assert');
const { Readable } = require('node:stream');
const bi = require('azure-devops-node-api/interfaces/BuildInterfaces');
const pi = require('azure-devops-node-api/interfaces/PipelinesInterfaces');
const ti = require('azure-devops-node-api/interfaces/TaskAgentInterfaces');
const { MISSING, names, sorted } = require('./pools');
const { PROJECT, text } = require('./recorded');

// The definitions of scripts/clients, and what they are made of.
const ONE_JOB = 'compile';
const THREE_JOBS = 'fan-out';
const LINES = ['first line', 'second line', 'third line'];
const { BuildStatus, BuildResult, BuildQueryOrder } = bi;

async function definitions(build) {
  const everything = await build.getDefinitions(PROJECT);
  assert.deepStrictEqual(sorted(names(everything)), [ONE_JOB, THREE_JOBS]);
  const [found] = await build.getDefinitions(PROJECT, ONE_JOB);
  assert.deepStrictEqual([found.name, found.project.name], [ONE_JOB, PROJECT]);
  assert.strictEqual(found.queueStatus, bi.DefinitionQueueStatus.Enabled);
  const read = await build.getDefinition(PROJECT, found.id);
  assert.deepStrictEqual([read.id, read.name, read.path], [found.id, ONE_JOB, '\\']);
  assert.strictEqual(await build.getDefinition(PROJECT, MISSING), null);
  return new Map(everything.map((one) => [one.name, one.id]));
}

const queue = (build, definition, more = {}) => build.queueBuild({ definition: { id: definition }, ...more }, PROJECT);

async function queuedAndCancelled(build, definition) {
  const queued = await queue(build, definition, { sourceBranch: 'refs/heads/node', parameters: '{"system.debug":"true"}' });
  assert.deepStrictEqual([queued.status, queued.result], [BuildStatus.NotStarted, undefined]);
  assert.deepStrictEqual([queued.definition.id, queued.reason], [definition, bi.BuildReason.Manual]);
  const read = await build.getBuild(PROJECT, queued.id);
  assert.deepStrictEqual([read.buildNumber, read.sourceBranch], [queued.buildNumber, 'refs/heads/node']);
  assert.deepStrictEqual([read.parameters, read.startTime], ['{"system.debug":"true"}', undefined]);
  // Enumerations go over the wire as numbers.
  await build.updateBuild({ status: BuildStatus.Cancelling }, PROJECT, queued.id);
  const over = await build.getBuild(PROJECT, queued.id);
  assert.deepStrictEqual([over.status, over.result], [BuildStatus.Completed, BuildResult.Canceled]);
  assert.ok(over.finishTime >= over.queueTime);
  return queued;
}

// A build from its first to its last moment, as its agent writes it and as its readers see it.
async function runByAnAgent({ build, task, taskAgent }, agent, pool, definition) {
  const queued = await queue(build, definition);
  const job = await agent.takeJob();
  const renewed = await agent.renew(job);
  assert.ok(renewed.lockedUntil > renewed.receiveTime);
  const started = await build.getBuild(PROJECT, queued.id);
  assert.deepStrictEqual([started.status, started.result], [BuildStatus.InProgress, undefined]);
  const busy = await taskAgent.getAgent(pool, agent.registered.id, false, true);
  assert.strictEqual(busy.assignedRequest.requestId, job.requestId);
  const usage = await taskAgent.getResourceUsage('Private', false, true);
  assert.deepStrictEqual(usage.runningRequests.map((one) => one.requestId), [job.requestId]);

  const log = await writeLog(task, job);
  await writeRecord(task, job, log);
  await agent.complete(job, 'succeeded');

  const ended = await build.getBuild(PROJECT, queued.id);
  assert.deepStrictEqual([ended.status, ended.result], [BuildStatus.Completed, BuildResult.Succeeded]);
  assert.ok(ended.queueTime <= ended.startTime && ended.startTime <= ended.finishTime);
  await readTimeline(build, queued.id, log);
  const requests = await taskAgent.getAgentRequestsForAgent(pool, agent.registered.id, 5);
  assert.deepStrictEqual(requests.map((one) => [one.requestId, one.result]), [[job.requestId, ti.TaskResult.Succeeded]]);
  return queued;
}

const planOf = (job) => [job.plan.scopeIdentifier, 'Build', job.plan.planId];

async function writeLog(task, job) {
  const plan = planOf(job);
  const log = await task.createLog({ path: `logs\\${job.jobId}` }, ...plan);
  const stream = Readable.from([Buffer.from(LINES.map((line) => `${line}\n`).join(''))]);
  const appended = await task.appendLogContent({}, stream, ...plan, log.id);
  assert.deepStrictEqual([appended.id, appended.lineCount], [log.id, LINES.length]);
  assert.deepStrictEqual(await task.getLog(...plan, log.id), LINES);
  assert.deepStrictEqual((await task.getLogs(...plan)).map((one) => one.id), [log.id]);
  return log.id;
}

async function writeRecord(task, job, log) {
  const plan = planOf(job);
  const timeline = job.timeline.id;
  const record = {
    id: job.jobId, type: 'Job', name: 'compile', state: ti.TimelineRecordState.InProgress, workerName: 'node-agent',
    log: { id: log },
  };
  const [written] = await task.updateRecords({ count: 1, value: [record] }, ...plan, timeline);
  assert.deepStrictEqual([written.id, written.workerName], [job.jobId, 'node-agent']);
  const records = await task.getRecords(...plan, timeline);
  const read = records.find((one) => one.id === job.jobId);
  assert.deepStrictEqual([read.state, read.log.id], [ti.TimelineRecordState.InProgress, log]);
  assert.strictEqual((await task.getTimeline(...plan, timeline, undefined, true)).id, timeline);
  assert.deepStrictEqual((await task.getTimelines(...plan)).map((one) => one.id), [timeline]);
  await task.appendTimelineRecordFeed({ count: 1, value: LINES, stepId: job.jobId }, ...plan, timeline, job.jobId);
}

async function readTimeline(build, id, log) {
  const timeline = await build.getBuildTimeline(PROJECT, id);
  const jobs = timeline.records.filter((record) => record.type === 'Job');
  assert.deepStrictEqual(jobs.map((one) => [one.workerName, one.state, one.result, one.log.id]),
    [['node-agent', bi.TimelineRecordState.Completed, bi.TaskResult.Succeeded, log]]);
  const byId = await build.getBuildTimeline(PROJECT, id, timeline.id);
  assert.strictEqual(byId.records.length, timeline.records.length);
  const logs = await build.getBuildLogs(PROJECT, id);
  assert.strictEqual(logs.find((one) => one.id === log).lineCount, LINES.length);
  const whole = await text(await build.getBuildLog(PROJECT, id, log));
  assert.deepStrictEqual(whole.trimEnd().split(/\r?\n/), LINES);
  assert.deepStrictEqual(await build.getBuildLogLines(PROJECT, id, log), LINES);
  assert.deepStrictEqual(await build.getBuildLogLines(PROJECT, id, log, 2, 3), LINES.slice(1));
}

// getBuilds takes its filters by position.
const FILTERS = [
  'definitions', 'queues', 'buildNumber', 'minTime', 'maxTime', 'requestedFor', 'reasonFilter', 'statusFilter',
  'resultFilter', 'tagFilters', 'properties', 'top', 'continuationToken', 'maxBuildsPerDefinition', 'deletedFilter',
  'queryOrder', 'branchName', 'buildIds',
];

async function lists(build, cancelled, succeeded) {
  const ids = async (filters) =>
    (await build.getBuilds(PROJECT, ...FILTERS.map((name) => filters[name]))).map((one) => one.id);
  const everything = await ids({ queryOrder: BuildQueryOrder.QueueTimeDescending });
  assert.deepStrictEqual(everything, [...everything].sort((a, b) => b - a));
  assert.deepStrictEqual(await ids({ queryOrder: BuildQueryOrder.QueueTimeAscending }), [...everything].reverse());
  assert.deepStrictEqual(sorted(await ids({ buildIds: [cancelled.id, succeeded.id] })), sorted([cancelled.id, succeeded.id]));
  assert.deepStrictEqual(await ids({ buildNumber: cancelled.buildNumber }), [cancelled.id]);
  assert.deepStrictEqual(await ids({ resultFilter: BuildResult.Succeeded }), [succeeded.id]);
  assert.deepStrictEqual(await ids({ statusFilter: BuildStatus.NotStarted }), []);
  assert.strictEqual((await ids({ statusFilter: BuildStatus.All })).length, everything.length);
  assert.deepStrictEqual(await ids({ branchName: 'refs/heads/node' }), [cancelled.id]);
  assert.deepStrictEqual(await ids({ reasonFilter: bi.BuildReason.Schedule }), []);
  assert.deepStrictEqual(await ids({ top: 2, queryOrder: BuildQueryOrder.QueueTimeDescending }), everything.slice(0, 2));
  const since = await ids({ minTime: succeeded.queueTime, queryOrder: BuildQueryOrder.QueueTimeAscending });
  assert.ok(since.includes(succeeded.id), since);
  const latest = await build.getLatestBuild(PROJECT, ONE_JOB);
  assert.strictEqual(latest.status, BuildStatus.Completed);
}

// Tags, and what a build of the fake never has.
async function marks(build, id, definition) {
  assert.deepStrictEqual(await build.addBuildTag(PROJECT, id, 'nightly'), ['nightly']);
  assert.deepStrictEqual(sorted(await build.addBuildTags(['linux', 'slow'], PROJECT, id)), ['linux', 'nightly', 'slow']);
  assert.deepStrictEqual(sorted(await build.deleteBuildTag(PROJECT, id, 'slow')), ['linux', 'nightly']);
  assert.deepStrictEqual(sorted(await build.getBuildTags(PROJECT, id)), ['linux', 'nightly']);
  assert.deepStrictEqual(await build.getArtifacts(PROJECT, id), []);
  assert.strictEqual(await build.getArtifact(PROJECT, id, 'drop'), null);
  assert.strictEqual((await build.getFile(PROJECT, id, 'drop', '1', 'a')).statusCode, 404);
  assert.deepStrictEqual(await build.getBuildChanges(PROJECT, id), []);
  assert.deepStrictEqual(await build.getBuildWorkItemsRefs(PROJECT, id), []);
  const usage = await build.getResourceUsage();
  assert.ok(usage.distributedTaskAgents > 0 && usage.totalUsage === 0, JSON.stringify(usage));
  // A build has one stage if its definition names none; to cancel it is to cancel the build.
  const queued = await queue(build, definition);
  await build.updateStage({ state: bi.StageUpdateType.Cancel }, queued.id, '__default', PROJECT);
  assert.strictEqual((await build.getBuild(PROJECT, queued.id)).result, BuildResult.Canceled);
}

async function deleted(build, id) {
  await build.deleteBuild(PROJECT, id);
  assert.strictEqual(await build.getBuild(PROJECT, id), null);
}

async function pipelinesAndRuns(pipelines, build, definition, withLogs) {
  const listed = await pipelines.listPipelines(PROJECT);
  assert.deepStrictEqual(sorted(names(listed)), [ONE_JOB, THREE_JOBS]);
  const read = await pipelines.getPipeline(PROJECT, definition);
  assert.deepStrictEqual([read.id, read.name, read.folder, read.revision], [definition, ONE_JOB, '\\', 1]);

  const parameters = {
    resources: { repositories: { self: { refName: 'refs/heads/main' } } }, variables: { colour: { value: 'red' } },
  };
  const run = await pipelines.runPipeline(parameters, PROJECT, definition);
  assert.deepStrictEqual([run.state, run.result, run.pipeline.id], [pi.RunState.InProgress, undefined, definition]);
  assert.strictEqual((await build.getBuild(PROJECT, run.id)).buildNumber, run.name);
  await build.updateBuild({ status: BuildStatus.Cancelling }, PROJECT, run.id);
  const over = await pipelines.getRun(PROJECT, definition, run.id);
  assert.deepStrictEqual([over.name, over.state, over.result], [run.name, pi.RunState.Completed, pi.RunResult.Canceled]);
  const [newest] = await pipelines.listRuns(PROJECT, definition);
  assert.strictEqual(newest.id, run.id);

  const preview = await pipelines.preview({ previewRun: true }, PROJECT, definition);
  assert.match(preview.finalYaml, /name: keda-pool/);
  const { logs: [first] } = await pipelines.listLogs(PROJECT, definition, withLogs.id);
  const log = await pipelines.getLog(PROJECT, definition, withLogs.id, first.id);
  assert.deepStrictEqual([log.id, log.lineCount], [first.id, first.lineCount]);
}

module.exports = {
  ONE_JOB, THREE_JOBS, definitions, deleted, lists, marks, pipelinesAndRuns, queuedAndCancelled, runByAnAgent,
};
