/** Handlers of client messages: their results, their context, and their failures. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, connectApart, connectWhere, startHub, type HubProcess } from '../support.ts';
import { hostile, odd } from './hostile.ts';

const failed = { error: { code: 'handler_failed', message: 'the handler of this message type failed' } };

describe('handlers', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({
      env: {
        WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts'),
        WSHUB_HANDLER_TIMEOUT_MS: '4000',
      },
    });
  });
  after(() => hub.end());

  it('get the messages of their type, and their results are published on all workers', async () => {
    const [one, other] = await connectApart(hub, 'types');
    for (const message of [{ type: 'double', n: 21 }, { type: 'silent' }, { type: 'twice', n: 1 }])
      one.send(message);
    one.send({ type: 'unknown', n: 2 });
    one.send([{ type: 'double' }]);
    const wanted = [
      { doubled: 42 },
      { published: 1 },
      { returned: 1 },
      { type: 'unknown', n: 2 },
      [{ type: 'double' }],
    ];
    for (const client of [one, other]) {
      assert.deepEqual(await client.take(wanted.length), wanted);
      assert.deepEqual(client.rest(), []);
    }
  });

  it('are not found by the names of prototype members', async () => {
    const client = await connect(hub, 'prototype');
    for (const type of ['constructor', '__proto__', 'toString', 'hasOwnProperty', '']) {
      client.send({ type });
      assert.deepEqual(await client.next(), { type });
    }
    client.send({ type: 7 });
    assert.deepEqual(await client.next(), { type: 7 });
  });

  it('publish and send in order', async () => {
    const [one, other] = await connectApart(hub, 'order');
    const wanted: unknown[] = [];
    const published: unknown[] = [];
    for (let n = 0; n < 50; n += 1) {
      one.send({ type: 'inOrder', n });
      wanted.push({ published: n }, { sent: n }, { then: n }, { returned: n });
      published.push({ published: n }, { then: n }, { returned: n });
    }
    assert.deepEqual(await one.take(wanted.length), wanted);
    assert.deepEqual(await other.take(published.length), published);
  });

  it('do not send their result to the sender with echo=false', async () => {
    const other = await connect(hub, 'types/echo');
    const silent = await connect(hub, 'types/echo?echo=false');
    silent.send({ type: 'double', n: 1 });
    assert.deepEqual(await other.next(), { doubled: 2 });
    other.send('end');
    assert.equal(await silent.next(), 'end');
  });

  it('answer one client, publish on other channels, and close', async () => {
    const [one, other] = await connectApart(hub, 'context');
    const elsewhere = await connectApart(hub, 'another');
    one.send({ type: 'reply' });
    const { connectionId: id, workerId } = one;
    assert.deepEqual(await one.next(), { id, claims: null, channel: 'context', workerId });
    one.send({ type: 'elsewhere', channel: 'another' });
    for (const client of elsewhere) assert.deepEqual(await client.next(), { from: 'elsewhere' });
    one.send({ type: 'elsewhere', channel: '' });
    assert.deepEqual(await one.next(), failed);
    one.send({ type: 'leave', code: 4567, reason: 'off you go' });
    assert.deepEqual(await one.end(), { code: 4567, reason: 'off you go' });
    other.send({ type: 'leave' });
    assert.deepEqual(await other.end(), { code: 4002, reason: 'forbidden' });
    assert.deepEqual([...one.rest(), ...other.rest()], []);
  });

  it('that are async keep the order of a connection, for any durations', async () => {
    const [one, other] = await connectApart(hub, 'async');
    const wanted: unknown[] = [];
    for (let n = 0; n < 40; n += 4) {
      one.send({ type: 'later', ms: 10, n });
      one.send({ type: 'double', n });
      one.send({ type: 'later', ms: 1, n });
      one.send({ relayed: n });
      wanted.push({ later: n }, { doubled: 2 * n }, { later: n }, { relayed: n });
    }
    assert.deepEqual(await one.take(wanted.length), wanted);
    assert.deepEqual(await other.take(wanted.length), wanted);
  });

  it('that are async delay no other client of the worker', async () => {
    const waiting = await connect(hub, 'waiting');
    const other = await connectWhere(hub, 'releasing', (workerId) => workerId === waiting.workerId);
    waiting.send({ type: 'wait' });
    // Sent after the waiting messages, on another connection: it would not be handled if they blocked the worker.
    waiting.send({ type: 'double', n: 4 });
    other.send({ type: 'double', n: 1 });
    assert.deepEqual(await other.next(), { doubled: 2 });
    other.send({ type: 'release' });
    assert.deepEqual(await waiting.take(2), ['released', { doubled: 8 }]);
  });

  for (const type of ['fail', 'failLater', 'unserializable']) {
    it(`that fail (${type}) send an error to their sender and have no other effect`, async () => {
      const [one, other] = await connectApart(hub, `faults/${type}`);
      one.send({ type });
      one.send('still here');
      assert.deepEqual(await one.take(2), [failed, 'still here']);
      assert.equal(await other.next(), 'still here');
      const { connectionId } = one;
      const line = await hub.logged('handler failed', { handler: type, connectionId, worker: one.workerId });
      assert.match((line['err'] as { stack: string }).stack, /functions\.ts|jsonOf/);
    });
  }

  it('that throw or return values that throw on access send one error to their sender', async () => {
    const client = await connect(hub, 'hostile');
    const { connectionId, workerId: worker } = client;
    for (const name of Object.keys(hostile)) {
      client.send({ type: 'hostile', name });
      client.send(name);
      assert.deepEqual(await client.take(2), [failed, name]);
    }
    assert.deepEqual(client.rest(), []);
    const lines = hub.log.filter(
      (line) => line.msg === 'handler failed' && line['connectionId'] === connectionId,
    );
    assert.ok(lines.length > 0); // the others are counted: test/platform/log-limit.test.ts
    assert.ok(lines.every((line) => line.worker === worker));
  });

  it('may return any thenable that resolves', async () => {
    const client = await connect(hub, 'odd');
    for (const name of Object.keys(odd)) {
      client.send({ type: 'odd', name });
      client.send(name);
      assert.deepEqual(await client.take(2), [1, name]);
    }
    assert.deepEqual(client.rest(), []);
  });

  it('close with a reason that is cut to 123 bytes, at a character boundary', async () => {
    for (const [reason, wanted] of [
      ['x'.repeat(123), 'x'.repeat(123)],
      ['x'.repeat(10_000), 'x'.repeat(123)],
      ['ü'.repeat(62), 'ü'.repeat(61)],
      [`xx${'😀'.repeat(31)}`, `xx${'😀'.repeat(30)}`],
      ['\ud800'.repeat(123), '\ufffd'.repeat(41)],
    ] as const) {
      const client = await connect(hub, 'reasons');
      client.send({ type: 'leave', code: 4000, reason });
      assert.deepEqual(await client.end(), { code: 4000, reason: wanted });
    }
  });

  it('that close with an invalid code or reason fail, and the connection stays open', async () => {
    const client = await connect(hub, 'wrong/close');
    for (const wrong of [
      { code: 1000 },
      { code: 3999 },
      { code: 5000 },
      { code: 4000.5 },
      { code: '4000' },
      { code: null },
      { code: 4000, reason: 7 },
      { code: 4000, reason: null },
      { code: 4000, reason: { length: 1 } },
    ]) {
      client.send({ type: 'leave', ...wrong });
      assert.deepEqual(await client.next(), failed, JSON.stringify(wrong));
    }
    client.send('still here');
    assert.equal(await client.next(), 'still here');
  });

  it('that never return fail after the timeout, and the connection stays open', async () => {
    const [one, other] = await connectApart(hub, 'never');
    one.send({ type: 'never' });
    one.send('still here');
    assert.deepEqual(await one.take(2), [failed, 'still here']);
    assert.equal(await other.next(), 'still here');
    const { connectionId } = one;
    const line = await hub.logged('handler failed', { handler: 'never', connectionId });
    assert.match((line['err'] as { message: string }).message, /no result within 4000 ms/);
  });

  it('that leave a rejection unhandled do not end the worker', async () => {
    const client = await connect(hub, 'forgotten');
    client.send({ type: 'forgotten' });
    assert.equal(await client.next(), 'forgot it');
    const line = await hub.logged('a promise was rejected and nobody handled it', {
      worker: client.workerId,
    });
    assert.match((line['err'] as { message: string }).message, /nobody handles this/);
    client.send('still here');
    assert.equal(await client.next(), 'still here');
  });

  it('may leave rejections unhandled whose reasons throw on access', async () => {
    const client = await connect(hub, 'forgotten/hostile');
    client.send({ type: 'forgottenHostile' });
    assert.equal(await client.next(), 'forgot them');
    client.send('still here');
    assert.equal(await client.next(), 'still here');
  });

  it('run onConnect before the first message, and onDisconnect after the end', async () => {
    const departures = await connect(hub, 'departures');
    const guest = await connect(hub, 'greeted/1');
    guest.send('hello');
    assert.deepEqual(await guest.take(2), ['welcome', 'hello']);
    guest.ws.terminate();
    assert.deepEqual(await departures.next(), { channel: 'greeted/1', id: guest.connectionId });
    const killed = await connect(hub, 'greeted/2');
    await hub.admin('DELETE', '/delete/greeted%2F2');
    assert.equal((await killed.end()).code, 4001);
    assert.deepEqual(await departures.next(), { channel: 'greeted/2', id: killed.connectionId });
  });

  it('are not run for the waiting messages of a connection that the hub has closed', async () => {
    const client = await connect(hub, 'evicted');
    const sameWorker = (workerId: string) => workerId === client.workerId;
    const [releaser, witness] = [
      await connectWhere(hub, 'releasing', sameWorker),
      await connectWhere(hub, 'departed', sameWorker),
    ];
    client.send({ type: 'wait' });
    for (let n = 0; n < 10; n += 1) client.send({ type: 'elsewhere', channel: 'departed' });
    releaser.send({ type: 'double', n: 1 }); // read behind those, so they wait when it is answered
    assert.deepEqual(await releaser.next(), { doubled: 2 });
    assert.equal((await hub.admin('DELETE', '/delete/evicted')).status, 200);
    assert.equal((await client.end()).code, 4001);
    releaser.send({ type: 'release' });
    releaser.send({ type: 'elsewhere', channel: 'releasing' });
    assert.deepEqual(await releaser.next(), { from: 'elsewhere' });
    witness.send('end');
    assert.equal(await witness.next(), 'end');
  });
});
