// Pools, agents, queues, job requests, packages and limits: what TaskAgentApi has of them.
'use strict';

const assert = require('node:assert');
const bi = require('azure-devops-node-api/interfaces/BuildInterfaces');
const ti = require('azure-devops-node-api/interfaces/TaskAgentInterfaces');
const { Agent } = require('./agent');
const { PROJECT, text } = require('./recorded');

// The pool of scripts/clients, with an agent that was registered once and is offline.
const SHARED = 'keda-pool';
const PLACEHOLDER = 'java-template';
const MISSING = 4711;
const NO_LOCK = '00000000-0000-0000-0000-000000000000';

const names = (things) => things.map((thing) => thing.name);
const sorted = (things) => [...things].sort();

// The call must fail, and say why by the key that clients look at.
async function refused(typeKey, promise) {
  await assert.rejects(promise, (error) => {
    assert.strictEqual(error.result?.typeKey, typeKey, error.message);
    return true;
  });
}

async function pools(taskAgent) {
  const made = await taskAgent.addAgentPool({ name: 'node', autoProvision: false, poolType: ti.TaskAgentPoolType.Automation });
  assert.deepStrictEqual([made.name, made.poolType, made.size], ['node', ti.TaskAgentPoolType.Automation, 0]);
  await refused('TaskAgentPoolExistsException', taskAgent.addAgentPool({ name: 'NODE' }));
  const renamed = await taskAgent.updateAgentPool({ name: 'node pool', autoUpdate: false }, made.id);
  assert.deepStrictEqual([renamed.id, renamed.name, renamed.autoUpdate], [made.id, 'node pool', false]);
  const read = await taskAgent.getAgentPool(made.id, undefined, ti.TaskAgentPoolActionFilter.Manage);
  assert.deepStrictEqual([read.name, read.autoUpdate, read.autoProvision], ['node pool', false, false]);
  assert.ok(read.createdOn instanceof Date && read.createdOn.getTime() === made.createdOn.getTime());

  assert.deepStrictEqual(sorted(names(await taskAgent.getAgentPools())), sorted(['Default', SHARED, 'node pool']));
  const automation = ti.TaskAgentPoolType.Automation;
  assert.deepStrictEqual(names(await taskAgent.getAgentPools('Node Pool', undefined, automation)), ['node pool']);
  assert.deepStrictEqual(await taskAgent.getAgentPools(undefined, undefined, ti.TaskAgentPoolType.Deployment), []);
  const [shared] = await taskAgent.getAgentPools(SHARED);
  assert.deepStrictEqual(sorted(names(await taskAgent.getAgentPoolsByIds([made.id, shared.id]))), [SHARED, 'node pool']);

  assert.strictEqual(await taskAgent.hasPoolPermissions(shared.id, 1), true);
  await taskAgent.deleteAgentPool(made.id);
  // A client of this kind makes nothing of a 404.
  assert.strictEqual(await taskAgent.getAgentPool(made.id), null);
  return shared.id;
}

async function agents(taskAgent, pool) {
  const given = {
    name: 'node-1', version: '4.258.1', osDescription: 'Linux', maxParallelism: 1, enabled: true,
    status: ti.TaskAgentStatus.Offline, systemCapabilities: { 'Agent.Name': 'node-1', maven: '3.9' },
  };
  const made = await taskAgent.addAgent(given, pool);
  assert.deepStrictEqual([made.name, made.version, made.status], ['node-1', '4.258.1', ti.TaskAgentStatus.Offline]);
  await refused('TaskAgentExistsException', taskAgent.addAgent(given, pool));

  // Members are there only for whoever asks.
  const plain = await taskAgent.getAgent(pool, made.id);
  assert.deepStrictEqual([plain.osDescription, plain.systemCapabilities], ['Linux', undefined]);
  const full = await taskAgent.getAgent(pool, made.id, true, true, true);
  assert.deepStrictEqual(full.systemCapabilities, given.systemCapabilities);
  assert.deepStrictEqual([full.assignedRequest, full.lastCompletedRequest], [undefined, undefined]);

  const listed = async (...filters) => names(await taskAgent.getAgents(pool, ...filters));
  const byDemands = (...demands) => listed(undefined, false, false, false, undefined, demands);
  assert.deepStrictEqual(sorted(await listed()), [PLACEHOLDER, 'node-1']);
  assert.deepStrictEqual(await listed('NODE-1'), ['node-1']);
  assert.deepStrictEqual(await byDemands('maven'), ['node-1']);
  assert.deepStrictEqual(await byDemands('java -equals 17'), [PLACEHOLDER]);
  assert.deepStrictEqual(await byDemands('maven', 'java'), []);

  const capable = await taskAgent.updateAgentUserCapabilities({ gpu: '2', disk: 'fast' }, pool, made.id);
  assert.deepStrictEqual(capable.userCapabilities, { gpu: '2', disk: 'fast' });
  await taskAgent.updateAgentUserCapabilities({ gpu: '1' }, pool, made.id);
  assert.deepStrictEqual((await taskAgent.getAgent(pool, made.id, true)).userCapabilities, { gpu: '1' });
  assert.deepStrictEqual(await byDemands('gpu -equals 1', 'maven'), ['node-1']);

  const changed = await taskAgent.updateAgent({ id: made.id, enabled: false }, pool, made.id);
  assert.deepStrictEqual([changed.enabled, changed.version], [false, '4.258.1']);
  assert.strictEqual((await taskAgent.getAgent(pool, made.id)).enabled, false);
  const replaced = await taskAgent.replaceAgent({ ...given, version: '4.259.0' }, pool, made.id);
  assert.deepStrictEqual([replaced.id, replaced.version], [made.id, '4.259.0']);
  assert.strictEqual((await taskAgent.getAgent(pool, made.id)).version, '4.259.0');

  await taskAgent.deleteAgent(pool, made.id);
  assert.strictEqual(await taskAgent.getAgent(pool, made.id), null);
}

async function queues(taskAgent, pool) {
  const madePool = await taskAgent.addAgentPool({ name: 'node-queue', autoProvision: false });
  const made = await taskAgent.addAgentQueue({ name: 'node-queue', pool: { id: madePool.id } }, PROJECT, true);
  assert.deepStrictEqual([made.name, made.pool.id, made.pool.name], ['node-queue', madePool.id, 'node-queue']);
  const read = await taskAgent.getAgentQueue(made.id, PROJECT, ti.TaskAgentQueueActionFilter.Use);
  assert.deepStrictEqual([read.id, read.pool.id, read.projectId], [made.id, madePool.id, made.projectId]);
  assert.deepStrictEqual(names(await taskAgent.getAgentQueues(PROJECT, 'node-queue')), ['node-queue']);
  const everything = names(await taskAgent.getAgentQueues(PROJECT));
  assert.ok(everything.includes('node-queue') && everything.includes(SHARED), everything);
  assert.deepStrictEqual(names(await taskAgent.getAgentQueuesByIds([made.id], PROJECT)), ['node-queue']);
  const byNames = await taskAgent.getAgentQueuesByNames([SHARED, 'node-queue'], PROJECT);
  assert.deepStrictEqual(sorted(names(byNames)), [SHARED, 'node-queue']);
  const forPools = await taskAgent.getAgentQueuesForPools([pool], PROJECT);
  assert.deepStrictEqual(forPools.map((queue) => queue.pool.id), [pool]);
  await taskAgent.deleteAgentQueue(made.id, PROJECT);
  assert.strictEqual(await taskAgent.getAgentQueue(made.id, PROJECT), null);
  await taskAgent.deleteAgentPool(madePool.id);
}

// The job request of a build that waits, seen from its pool and from its queue.
async function jobRequests(taskAgent, build, pool, definition) {
  const queued = await build.queueBuild({ definition: { id: definition } }, PROJECT);
  const [made] = (await taskAgent.getAgentRequests(pool, 10)).filter((one) => one.owner.id === queued.id);
  assert.strictEqual(made.matchedAgents, undefined);
  const read = await taskAgent.getAgentRequest(pool, made.requestId, true);
  assert.deepStrictEqual([read.requestId, read.result, read.assignTime], [made.requestId, undefined, undefined]);
  assert.ok(read.demands.includes('java') && read.queueTime instanceof Date);
  assert.deepStrictEqual(names(read.matchedAgents), [PLACEHOLDER]);

  const ids = (requests) => requests.map((request) => request.requestId);
  assert.deepStrictEqual(ids(await taskAgent.getAgentRequestsForPlan(pool, made.planId, made.jobId)), [made.requestId]);
  const [queue] = await taskAgent.getAgentQueuesForPools([pool], PROJECT);
  assert.ok(ids(await taskAgent.getAgentRequestsForQueue(PROJECT, queue.id, 10)).includes(made.requestId));
  const [agent] = await taskAgent.getAgents(pool, PLACEHOLDER);
  assert.deepStrictEqual(await taskAgent.getAgentRequestsForAgent(pool, agent.id, 5), []);
  assert.deepStrictEqual(await taskAgent.getAgentRequestsForAgents(pool, [agent.id], 5), []);

  await taskAgent.deleteAgentRequest(pool, made.requestId, NO_LOCK, ti.TaskResult.Canceled);
  assert.strictEqual((await taskAgent.getAgentRequest(pool, made.requestId)).result, ti.TaskResult.Canceled);
  assert.strictEqual((await build.getBuild(PROJECT, queued.id)).result, bi.BuildResult.Canceled);
}

// An agent that is older than the newest package is asked to update itself, and says how far it is.
async function updates(taskAgent, task) {
  const pool = await taskAgent.addAgentPool({ name: 'node-updates', autoProvision: false });
  const old = await Agent.join(taskAgent, task, pool.id, 'node-old', { 'Agent.Name': 'node-old' }, '3.200.0');
  await taskAgent.refreshAgent(pool.id, old.registered.id);
  const asked = await old.take('AgentRefresh');
  assert.strictEqual(asked.agentId, old.registered.id);
  const updating = await taskAgent.updateAgentUpdateState(pool.id, old.registered.id, 'Downloading');
  assert.deepStrictEqual([updating.id, updating.pendingUpdate.currentState], [old.registered.id, 'Downloading']);
  await taskAgent.refreshAgents(pool.id);
  assert.strictEqual((await old.take('AgentRefresh')).agentId, old.registered.id);
  await old.leave();
}

// Tasks are asked for, and there are none; every project has its queues already.
async function tasksAndQueues(taskAgent) {
  assert.deepStrictEqual(await taskAgent.getTaskDefinitions(), []);
  const task = 'd9bafed4-0b18-4f58-968d-86655b4d2ce9';
  assert.strictEqual((await taskAgent.getTaskContentZip(task, '2.250.1')).statusCode, 404);
  assert.strictEqual(await taskAgent.getTaskDefinition(task, '2.250.1'), null);
  const before = names(await taskAgent.getAgentQueues(PROJECT));
  await taskAgent.createTeamProject(PROJECT);
  assert.deepStrictEqual(names(await taskAgent.getAgentQueues(PROJECT)), before);
}

async function packages(taskAgent) {
  const [newest] = await taskAgent.getPackages('agent', 'linux-x64', 1);
  assert.strictEqual(newest.platform, 'linux-x64');
  assert.match(newest.filename, /^vsts-agent-linux-x64-.*\.tar\.gz$/);
  const { major, minor, patch } = newest.version;
  const one = await taskAgent.getPackage('agent', 'linux-x64', `${major}.${minor}.${patch}`);
  assert.deepStrictEqual(one.downloadUrl, newest.downloadUrl);
}

async function limits(taskAgent) {
  const found = await taskAgent.getResourceLimits();
  const [limit] = found.filter((one) => one.parallelismTag === 'Private' && !one.isHosted);
  assert.ok(limit, JSON.stringify(found));
  const usage = await taskAgent.getResourceUsage('Private', false, true);
  assert.deepStrictEqual([usage.usedCount, usage.runningRequests], [0, []]);
  assert.strictEqual(usage.resourceLimit.totalCount, limit.totalCount);
}

async function metadata(taskAgent, pool) {
  await taskAgent.setAgentPoolMetadata({}, 'kept for the pool', pool);
  assert.match(await text(await taskAgent.getAgentPoolMetadata(pool)), /kept for the pool/);
}

module.exports = {
  MISSING, agents, jobRequests, limits, metadata, names, packages, pools, queues, refused, sorted,
  tasksAndQueues, updates,
};
