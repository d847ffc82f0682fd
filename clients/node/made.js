// What a client makes of definitions, pipelines and projects, job requests without a build, and archives of logs.
'use strict';

const assert = require('node:assert');
const bi = require('azure-devops-node-api/interfaces/BuildInterfaces');
const pi = require('azure-devops-node-api/interfaces/PipelinesInterfaces');
const ti = require('azure-devops-node-api/interfaces/TaskAgentInterfaces');
const { OperationStatus } = require('azure-devops-node-api/interfaces/common/OperationsInterfaces');
const { Agent } = require('./agent');
const { names, refused } = require('./pools');
const { PROJECT } = require('./recorded');

async function definitions({ build, taskAgent }, pool) {
  const [queue] = await taskAgent.getAgentQueuesForPools([pool], PROJECT);
  const given = {
    name: 'node-made', path: '\\node', description: 'made by a client', queue: { id: queue.id },
    queueStatus: bi.DefinitionQueueStatus.Enabled, quality: bi.DefinitionQuality.DefinitionQuality,
    process: { type: 2, yamlFilename: 'node.yml' }, variables: { colour: { value: 'red' } },
  };
  const made = await build.createDefinition(given, PROJECT);
  assert.deepStrictEqual([made.name, made.revision, made.queue.id], ['node-made', 1, queue.id]);
  await refused('DefinitionExistsException', build.createDefinition({ ...given, name: 'NODE-made' }, PROJECT));
  const read = await build.getDefinition(PROJECT, made.id);
  assert.deepStrictEqual([read.path, read.description], ['\\node', 'made by a client']);
  assert.deepStrictEqual([read.process.yamlFilename, read.variables.colour.value], ['node.yml', 'red']);
  assert.strictEqual(read.queueStatus, bi.DefinitionQueueStatus.Enabled);

  const renamed = await build.updateDefinition({ ...read, name: 'node-renamed', comment: 'another name' }, PROJECT, made.id);
  assert.deepStrictEqual([renamed.id, renamed.name, renamed.revision], [made.id, 'node-renamed', 2]);
  assert.strictEqual((await build.getDefinition(PROJECT, made.id)).name, 'node-renamed');
  // A client of this kind makes nothing of a 404, which is what a stale revision is answered.
  assert.strictEqual(await build.updateDefinition({ ...read, name: 'stale' }, PROJECT, made.id), null);
  const revisions = await build.getDefinitionRevisions(PROJECT, made.id);
  assert.deepStrictEqual(revisions.map((one) => [one.revision, one.name, one.changeType, one.comment]), [
    [1, 'node-made', bi.AuditAction.Add, undefined], [2, 'node-renamed', bi.AuditAction.Update, 'another name'],
  ]);
  return made.id;
}

// Several builds are cancelled at once, one of them runs again and is cancelled again, and the definition goes.
async function buildsOf(build, definition) {
  const queue = () => build.queueBuild({ definition: { id: definition } }, PROJECT);
  const queued = [await queue(), await queue()];
  const cancelling = queued.map(({ id }) => ({ id, status: bi.BuildStatus.Cancelling }));
  const changed = await build.updateBuilds(cancelling, PROJECT);
  assert.deepStrictEqual(changed.map((one) => [one.id, one.result]),
    queued.map(({ id }) => [id, bi.BuildResult.Canceled]));
  const [{ id }] = queued;
  await build.updateStage({ state: bi.StageUpdateType.Retry, forceRetryAllJobs: false }, id, '__default', PROJECT);
  const again = await build.getBuild(PROJECT, id);
  assert.deepStrictEqual([again.status, again.result], [bi.BuildStatus.NotStarted, undefined]);
  const timeline = await build.getBuildTimeline(PROJECT, id);
  const [job] = timeline.records.filter((record) => record.type === 'Job');
  assert.deepStrictEqual([job.attempt, job.previousAttempts.length], [2, 1]);
  await build.updateBuild({ status: bi.BuildStatus.Cancelling }, PROJECT, id);

  await build.deleteDefinition(PROJECT, definition);
  assert.strictEqual(await build.getDefinition(PROJECT, definition), null);
  assert.strictEqual((await build.getBuild(PROJECT, id)).definition.name, 'node-renamed', 'its builds stay');
  const restored = await build.restoreDefinition(PROJECT, definition, false);
  assert.deepStrictEqual([restored.id, restored.name], [definition, 'node-renamed']);
  for (const one of queued) await build.deleteBuild(PROJECT, one.id);
  await build.deleteDefinition(PROJECT, definition);
}

async function pipelines({ build, pipelines: client }) {
  const configuration = { type: pi.ConfigurationType.Yaml, path: '/node.yml', repository: { id: 'r', type: 'azureReposGit' } };
  const made = await client.createPipeline({ name: 'node-pipeline', folder: '\\node', configuration }, PROJECT);
  assert.deepStrictEqual([made.name, made.folder, made.revision], ['node-pipeline', '\\node', 1]);
  const read = await client.getPipeline(PROJECT, made.id);
  assert.deepStrictEqual([read.configuration.path, read.configuration.type], ['/node.yml', pi.ConfigurationType.Yaml]);
  await build.deleteDefinition(PROJECT, made.id);
  assert.strictEqual(await client.getPipeline(PROJECT, made.id), null);
}

// Job requests without a build, by a pool and by a queue, and a message to the agent that has one.
async function requests(taskAgent, task) {
  const pool = await taskAgent.addAgentPool({ name: 'node-requests', autoProvision: true });
  const agent = await Agent.join(taskAgent, task, pool.id, 'node-asked', { 'Agent.Name': 'node-asked', gpu: '1' });
  const demands = [{ name: 'gpu', value: '1' }];
  const owner = { id: 7, name: 'somebody' };
  const queued = await taskAgent.queueAgentRequestByPool({ jobName: 'by hand', demands, owner }, pool.id);
  assert.deepStrictEqual([queued.poolId, queued.owner.name, queued.result], [pool.id, 'somebody', undefined]);
  const job = await agent.takeJob();
  assert.deepStrictEqual([job.requestId, job.jobName], [queued.requestId, 'by hand']);
  await taskAgent.sendMessage({ messageType: 'Note', body: JSON.stringify({ text: 'hello' }) }, pool.id, queued.requestId);
  assert.deepStrictEqual(await agent.take('Note'), { text: 'hello' });
  await agent.complete(job, 'succeeded');
  assert.strictEqual((await taskAgent.getAgentRequest(pool.id, queued.requestId)).result, ti.TaskResult.Succeeded);

  const [queue] = await taskAgent.getAgentQueuesForPools([pool.id], PROJECT);
  const other = await taskAgent.queueAgentRequest({ demands }, PROJECT, queue.id);
  const listed = await taskAgent.getAgentRequestsForQueue(PROJECT, queue.id, 10);
  assert.deepStrictEqual(listed.map((one) => one.requestId), [other.requestId]);
  await agent.complete(await agent.takeJob(), 'succeeded');
  await agent.leave();
}

async function archives(build, id, line) {
  const [log] = await build.getBuildLogs(PROJECT, id);
  for (const stream of [await build.getBuildLogsZip(PROJECT, id), await build.getBuildLogZip(PROJECT, id, log.id)]) {
    const parts = [];
    for await (const part of stream) parts.push(part);
    const archive = Buffer.concat(parts);
    assert.deepStrictEqual([archive.subarray(0, 2).toString(), archive.includes(line)], ['PK', true]);
  }
}

async function projects(core) {
  const made = await core.queueCreateProject({ name: 'node-project', description: 'made', capabilities: {} });
  assert.strictEqual(made.status, OperationStatus.Queued);
  const read = await core.getProject('node-project');
  assert.deepStrictEqual([read.description, read.state], ['made', 'wellFormed']);
  await core.updateProject({ description: 'changed' }, read.id);
  assert.strictEqual((await core.getProject(read.id)).description, 'changed');
  assert.ok(names(await core.getProjects()).includes('node-project'));
  await core.queueDeleteProject(read.id);
  assert.strictEqual(await core.getProject('node-project'), null);
}

module.exports = { archives, buildsOf, definitions, pipelines, projects, requests };
