// Clients that remember which of their methods were called, and what came of it.
//
// A method counts as answered once it resolved, or was refused for a reason of the service's; the checks of what it gave
// end the program if they fail.
// `refuseTheRest` calls every public method that nobody has called yet, and accepts nothing but the answer of a
// service that does not model it. So a method that begins to be answered has to be checked, or the program fails.
'use strict';

const assert = require('node:assert');
const { Readable } = require('node:stream');

const PROJECT = 'shop';
const NOT_MODELLED = /is not modelled by Poolproof\.$/;

// The client's base class has these, and makes no call of them.
const HELPERS = ['constructor', 'createAcceptHeader', 'createRequestOptions', 'formatResponse', 'extractRateLimitHeaders'];

class Recorded {
  constructor(api, client) {
    this.api = api;
    this.client = client;
    this.outcomes = new Map();
    return new Proxy(this, {
      get: (recorded, name) => recorded[name] ?? ((...given) => recorded.call(name, given)),
    });
  }

  async call(name, given) {
    try {
      const answer = await this.client[name](...given);
      this.outcomes.set(name, 'answered');
      return answer;
    } catch (error) {
      // An answer, too, for the caller to look at, unless it says that nothing is modelled.
      if (error.result?.typeKey && error.statusCode !== 501) this.outcomes.set(name, 'answered');
      throw error;
    }
  }

  // Calls every method that was not called yet, and tells of all that are not refused.
  async refuseTheRest() {
    const wrong = [];
    for (const name of methods(this.client)) {
      if (this.outcomes.has(name)) continue;
      try {
        this.outcomes.set(name, await this.refusal(name));
      } catch (error) {
        wrong.push(error.message);
      }
    }
    assert.deepStrictEqual(wrong, []);
  }

  async refusal(name) {
    const called = `${this.api}.${name}`;
    let answer;
    try {
      answer = await this.client[name](...something(this.client[name]));
    } catch (error) {
      // The client looks a call's address up in the service's list, and asks nothing if it is not there.
      if (/^Failed to find api location/.test(error.message)) return 'not offered';
      assert.strictEqual(error.statusCode, 501, `${called}: ${error.message}`);
      assert.match(error.message, NOT_MODELLED, called);
      assert.strictEqual(error.result.typeKey, 'NotImplementedException', called);
      return '501';
    }
    // Downloads resolve to the response, whatever its status.
    if (answer instanceof Readable && answer.statusCode === 501) {
      assert.match(JSON.parse(await text(answer)).message, NOT_MODELLED, called);
      return '501';
    }
    return assert.fail(`${called} is answered, and nothing checks the answer: ${answer}`);
  }

  // One line a method, as scripts/clients reads them.
  report() {
    for (const name of [...this.outcomes.keys()].sort()) {
      console.log(['call', this.api, name, this.outcomes.get(name)].join('\t'));
    }
  }
}

function methods(client) {
  const found = new Set();
  for (let type = Object.getPrototypeOf(client); type !== Object.prototype; type = Object.getPrototypeOf(type)) {
    Object.getOwnPropertyNames(type).forEach((name) => found.add(name));
  }
  return [...found].filter((name) => !name.startsWith('_') && !HELPERS.includes(name)).sort();
}

// Something for each parameter of a method, by its name.
function something(method) {
  const source = method.toString();
  const [, parameters] = /\(([^)]*)\)/.exec(source);
  return parameters.split(', ').filter(Boolean).map((name) => {
    if (name === 'project' || name === 'projectId') return PROJECT;
    if (name === 'customHeaders') return {};
    if (name === 'contentStream') return Readable.from([Buffer.from('x')]);
    if (/Date|Time|completedOn/.test(name)) return new Date(0);
    // Lists have plural names, or are joined; where one is not a list, the client writes it as its only element.
    if (/s$/.test(name) || source.includes(`${name}.join(`)) return ['1'];
    return '1';
  });
}

async function text(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

module.exports = { PROJECT, Recorded, text };
