// Plays an agent with the client's own calls, so that builds come to something.
'use strict';

const assert = require('node:assert');

const NO_SESSION = '00000000-0000-0000-0000-000000000000';
const EVENTS = '557624af-b29e-4c20-8ab0-0399d2204f3f';
const VERSION = '4.258.1';
// How long a job may take to come, in milliseconds.
const PATIENCE = 300_000;

class Agent {
  static async join(taskAgent, task, pool, name, systemCapabilities, version = VERSION) {
    const agent = new Agent();
    Object.assign(agent, { taskAgent, task, pool });
    agent.registered = await taskAgent.addAgent(
      { name, version, maxParallelism: 1, enabled: true, systemCapabilities }, pool);
    const reference = { id: agent.registered.id, name, version };
    const session = await taskAgent.createAgentSession(
      { sessionId: NO_SESSION, ownerName: name, agent: reference, systemCapabilities }, pool);
    assert.strictEqual(session.ownerName, name);
    assert.strictEqual(session.agent.id, reference.id);
    agent.session = session.sessionId;
    return agent;
  }

  // Waits for a message of this type, takes it, and gives what it says.
  async take(type) {
    const end = Date.now() + PATIENCE;
    while (Date.now() < end) {
      const message = await this.taskAgent.getMessage(this.pool, this.session);
      if (!message) continue;
      await this.taskAgent.deleteMessage(this.pool, message.messageId, this.session);
      if (message.messageType === type) return JSON.parse(message.body);
    }
    return assert.fail(`no ${type} came`);
  }

  takeJob() {
    return this.take('PipelineAgentJobRequest');
  }

  // Keeps the job: the service takes one away from an agent that no longer renews it.
  renew(job) {
    return this.taskAgent.updateAgentRequest({ requestId: job.requestId }, this.pool, job.requestId, NO_SESSION);
  }

  async complete(job, result) {
    const event = { name: 'JobCompleted', jobId: job.jobId, requestId: job.requestId, result };
    const { scopeIdentifier, planId } = job.plan;
    // The client has no call for it, but the way to make one.
    const { vsoClient, rest } = this.task.client;
    const route = { scopeIdentifier, hubName: 'Build', planId };
    const { requestUrl } = await vsoClient.getVersioningData('7.1-preview.1', 'distributedtask', EVENTS, route);
    await rest.create(requestUrl, event);
  }

  // Ends the session; the registration stays.
  async leave() {
    await this.taskAgent.deleteAgentSession(this.pool, this.session);
  }
}

module.exports = { Agent };
