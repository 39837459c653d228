/** Commands between workers: where they run, their results, and calls that cannot be answered. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { HubSnapshot } from '../../src/handlers/define.ts';
import { hostile } from './hostile.ts';
import { connect, connectApart, connectWhere, eventually, startHub, type HubProcess } from '../support.ts';

/** JSON omits symbols, and `then` is read once. */
const fineForCommands = ['returns symbol', 'resolves with symbol', 'returns a then that is there once'];

describe('commands', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({
      workers: 3,
      env: {
        WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts'),
        WSHUB_HANDLER_TIMEOUT_MS: '5000',
      },
    });
  });
  after(() => hub.end());

  it('run in the worker that is named, also the own one, and return its result', async () => {
    const [one, other] = await connectApart(hub, 'command');
    for (const by of [other.workerId, one.workerId]) {
      one.send({ type: 'ask', name: 'add', payload: { a: 1, b: 2 }, workerId: by });
      assert.deepEqual(await one.next(), { value: { sum: 3, by, from: one.workerId } });
    }
  });

  it('reject for an unknown worker or command, and if the function fails', async () => {
    const [one, other] = await connectApart(hub, 'rejects');
    for (const [name, workerId, wanted] of [
      ['add', 'w99', /no worker w99/],
      ['add', '', /no worker/],
      ['nothing', other.workerId, /no command "nothing"/],
      ['constructor', one.workerId, /no command "constructor"/],
      ['whoAmI', other.workerId, /no command "whoAmI"/], // that is for all workers
      ['fail', other.workerId, /no such luck/],
      ['fail', one.workerId, /no such luck/],
    ] as const) {
      one.send({ type: 'ask', name, workerId });
      const { rejected } = (await one.next()) as { rejected: string };
      assert.match(rejected, wanted);
    }
  });

  it('reject at once if the result cannot be sent, or if the thrown value throws on access', async () => {
    const [one, other] = await connectApart(hub, 'hostile');
    for (const name of Object.keys(hostile).filter((kind) => !fineForCommands.includes(kind))) {
      one.send({ type: 'ask', name: 'hostile', payload: name, workerId: other.workerId });
      const { rejected } = (await one.next()) as { rejected: string };
      assert.equal(typeof rejected, 'string', name);
      assert.doesNotMatch(rejected, /did not answer/, name);
    }
    one.send({ type: 'askAll', name: 'hostile', payload: 'resolves with bigint' });
    const outcomes = JSON.stringify(await one.next());
    assert.match(
      outcomes,
      /handler_failed/,
      'the own outcome is the value itself, which cannot be sent to a client',
    );
    one.send({ type: 'ask', name: 'silent', workerId: other.workerId });
    assert.deepEqual(await one.next(), {}, 'undefined is a result');
  });

  it('reject at the timeout', async () => {
    const [one, other] = await connectApart(hub, 'deadline');
    one.send({ type: 'ask', name: 'never', workerId: other.workerId });
    // The handler that awaits it times out at the same moment; its sender gets an error in both cases.
    const answer = JSON.stringify(await one.next());
    assert.match(answer, /did not answer \\"never\\" within 5000 ms|handler_failed/);
  });

  it('for all workers run once in each, including the caller, and return each outcome', async () => {
    const [one, other] = await connectApart(hub, 'broadcast');
    const ids = hub.workers.map(({ workerId }) => workerId).toSorted();
    one.send({ type: 'askAll', name: 'whoAmI', payload: [1] });
    const outcomes = (await one.next()) as { workerId: string; value: unknown }[];
    assert.deepEqual(
      outcomes.toSorted((a, b) => a.workerId.localeCompare(b.workerId)),
      ids.map((by) => ({ workerId: by, value: { payload: [1], by, from: one.workerId } })),
    );
    one.send({ type: 'askAll', name: 'failOn', payload: other.workerId });
    const fared = (await one.next()) as { workerId: string }[];
    assert.deepEqual(
      fared.toSorted((a, b) => a.workerId.localeCompare(b.workerId)),
      ids.map((workerId) =>
        workerId === other.workerId ? { workerId, error: 'not here' } : { workerId, value: 'well' },
      ),
    );
  });

  it('see the state of the whole hub from every worker', async () => {
    const clients = [];
    for (const { workerId } of hub.workers) {
      clients.push(await connectWhere(hub, 'seen', (found) => found === workerId));
    }
    const wanted = new Map(clients.map(({ workerId }) => [workerId, 1]));
    for (const client of clients) {
      await eventually(async () => {
        client.send({ type: 'state' });
        const state = (await client.next()) as HubSnapshot;
        assert.equal(state.workerId, client.workerId);
        const seen = state.channels.find(({ channel }) => channel === 'seen');
        const shares = new Map(seen?.workers.map(({ workerId, connections }) => [workerId, connections]));
        return seen?.connections === 3 &&
          JSON.stringify([...shares].sort()) === JSON.stringify([...wanted].sort())
          ? true
          : undefined;
      }, `the state as ${client.workerId} sees it`);
      client.send({ type: 'channels' });
      const list = (await client.next()) as HubSnapshot['channels'];
      assert.equal(list.find(({ channel }) => channel === 'seen')?.connections, 3);
    }
  });

  it('reject when the worker dies during the call', async () => {
    const [one, other] = await connectApart(hub, 'dies');
    const asker = await connectWhere(hub, 'asker', (workerId) => workerId === one.workerId);
    one.send({ type: 'ask', name: 'never', workerId: other.workerId });
    // Follows the call on the same link, so the call has arrived when this is answered.
    asker.send({ type: 'ask', name: 'add', payload: { a: 1, b: 1 }, workerId: other.workerId });
    await asker.next();
    process.kill(hub.pidOf(other.workerId), 'SIGKILL');
    assert.deepEqual(await one.next(), { rejected: `worker ${other.workerId} is gone` });
    assert.equal((await connect(hub, 'dies')).channel, 'dies');
  });
});
