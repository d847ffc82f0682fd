// Every call of the official Node client for pools, agents, queues, job requests, packages, limits, definitions, builds,
// pipelines and projects, against `poolproof serve`. scripts/clients starts both.
'use strict';

const assert = require('node:assert');
const { WebApi, getPersonalAccessTokenHandler } = require('azure-devops-node-api');
const { Agent } = require('./agent');
const builds = require('./builds');
const made = require('./made');
const pools = require('./pools');
const { PROJECT, Recorded } = require('./recorded');

async function main() {
  const connection = new WebApi(process.env.POOLPROOF_URL, getPersonalAccessTokenHandler(process.env.POOLPROOF_TOKEN));
  const { authenticatedUser } = await connection.connect();
  assert.ok(authenticatedUser.id);
  const taskAgent = new Recorded('TaskAgent', await connection.getTaskAgentApi());
  const build = new Recorded('Build', await connection.getBuildApi());
  const pipelines = new Recorded('Pipelines', await connection.getPipelinesApi());
  const core = new Recorded('Core', await connection.getCoreApi());
  const task = new Recorded('Task', await connection.getTaskApi());

  const pool = await pools.pools(taskAgent);
  await pools.agents(taskAgent, pool);
  await pools.queues(taskAgent, pool);
  await pools.packages(taskAgent);
  await pools.limits(taskAgent);
  await pools.metadata(taskAgent, pool);
  await projects(core);
  await made.projects(core);

  const byName = await builds.definitions(build);
  await pools.jobRequests(taskAgent, build, pool, byName.get(builds.ONE_JOB));
  await made.buildsOf(build, await made.definitions({ build, taskAgent }, pool));
  await made.pipelines({ build, pipelines });
  await made.requests(taskAgent, task);
  await pools.updates(taskAgent, task);
  await pools.tasksAndQueues(taskAgent);
  const cancelled = await builds.queuedAndCancelled(build, byName.get(builds.ONE_JOB));
  const agent = await Agent.join(taskAgent, task, pool, 'node-agent', { 'Agent.Name': 'node-agent', java: '21' });
  const succeeded = await builds.runByAnAgent({ build, task, taskAgent }, agent, pool, byName.get(builds.ONE_JOB));
  await agent.leave();
  await builds.lists(build, cancelled, succeeded);
  await builds.pipelinesAndRuns(pipelines, build, byName.get(builds.ONE_JOB), succeeded);
  await made.archives(build, succeeded.id, 'first line');
  await builds.marks(build, succeeded.id, byName.get(builds.THREE_JOBS));
  await builds.deleted(build, cancelled.id);

  for (const recorded of [taskAgent, build, pipelines, core]) await recorded.refuseTheRest();
  for (const recorded of [taskAgent, build, pipelines, core, task]) recorded.report();
}

async function projects(core) {
  const listed = await core.getProjects('wellFormed', 10);
  assert.deepStrictEqual(pools.sorted(pools.names(listed)), ['poolproof', PROJECT]);
  const byName = await core.getProject(PROJECT);
  assert.strictEqual(byName.name, PROJECT);
  assert.strictEqual((await core.getProject(byName.id, true)).name, PROJECT);
  assert.strictEqual(await core.getProject('nobody'), null);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
