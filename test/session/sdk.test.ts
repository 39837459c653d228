/** The JavaScript SDK, unchanged, against two workers: every method, both protocols on one channel, the admin actions. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, connectApart, startHub, type HubProcess } from '../support.ts';
import { connectSdk, dataOf, subscribed } from './wire.ts';

const namespaces = JSON.stringify([
  { name: 'h', historySize: 100, historyTtl: '300s', presence: true, joinLeave: true },
  { name: 'silent', echo: false },
]);

describe('the JavaScript SDK', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({
      env: { WSHUB_NAMESPACES: namespaces, WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts') },
    });
  });
  after(() => hub.end());

  it('exchanges messages with plain clients of both workers', async (t) => {
    const { client, events: clientEvents } = await connectSdk(t, hub);
    const sdkId = clientEvents.of('connected')[0]?.['client'];
    for (const channel of ['mixed', 'h:mixed']) {
      const { sub, events } = await subscribed(client, channel);
      const plain = await connectApart(hub, channel);
      await sub.publish({ from: 'sdk' });
      for (const one of plain) assert.deepEqual(await one.next(), { from: 'sdk' });
      plain[0].send({ from: 'one' });
      await events.until('publication', 2);
      plain[1].send({ from: 'other' });
      const received = await events.until('publication', 3);
      assert.deepEqual(dataOf(received), [{ from: 'sdk' }, { from: 'one' }, { from: 'other' }]);
      if (channel.startsWith('h:')) {
        assert.deepEqual(
          received.map(({ offset, info }) => [offset, (info as { client: string }).client]),
          [
            [1, sdkId],
            [2, plain[0].connectionId],
            [3, plain[1].connectionId],
          ],
        );
      }
      await Promise.all(plain.map((one) => one.close()));
    }
  });

  it('publishes without a subscription, and not to itself where echo is off', async (t) => {
    const { client } = await connectSdk(t, hub);
    const plain = await connect(hub, 'silent:x');
    await client.publish('silent:x', 'unsubscribed');
    assert.equal(await plain.next(), 'unsubscribed');
    const { sub, events } = await subscribed(client, 'silent:x');
    await sub.publish('own');
    assert.equal(await plain.next(), 'own');
    plain.send('end');
    assert.deepEqual(dataOf(await events.until('publication')), ['end']);
    await plain.close();
  });

  it('passes what it publishes to the handlers of types', async (t) => {
    const { client } = await connectSdk(t, hub);
    for (const channel of ['typed', 'h:typed']) {
      const { sub, events } = await subscribed(client, channel);
      await sub.publish({ type: 'double', n: 21 });
      await sub.publish({ type: 'silent' });
      await assert.rejects(sub.publish({ type: 'broken' }), { code: 100, temporary: true });
      await sub.publish({ type: 'other' });
      assert.deepEqual(dataOf(await events.until('publication', 2)), [{ doubled: 42 }, { type: 'other' }]);
    }
  });

  it('asks the handlers onSubscribe and onPublish', async (t) => {
    const { client } = await connectSdk(t, hub);
    for (const [channel, code] of [
      ['asked:no', 1001],
      ['asked:broken', 100],
    ] as const) {
      const sub = client.newSubscription(channel, { minResubscribeDelay: 60_000 });
      const refused = new Promise<number>((resolve) => {
        sub.on('error', ({ error }) => {
          resolve(error.code);
        });
        sub.on('unsubscribed', (event) => {
          resolve(event.code);
        });
      });
      sub.subscribe();
      assert.equal(await refused, code);
      sub.unsubscribe();
    }
    const { sub, events } = await subscribed(client, 'asked:yes');
    await assert.rejects(sub.publish('refused'), { code: 1002, message: 'not like this', temporary: true });
    await sub.publish('fine');
    assert.deepEqual(dataOf(await events.until('publication')), [{ changed: 'fine' }]);
  });

  it('calls methods', async (t) => {
    const { client, events } = await connectSdk(t, hub);
    const { events: told } = await subscribed(client, 'told');
    assert.deepEqual(await client.rpc('add', [1, 2, 3]), { data: 6 });
    assert.deepEqual(await client.rpc('nothing', {}), { data: undefined });
    assert.deepEqual(await client.rpc('later', { x: 1 }), { data: { x: 1 } });
    await assert.rejects(client.rpc('own', {}), { code: 409, message: 'sold out', temporary: true });
    await assert.rejects(client.rpc('broken', {}), { code: 100 });
    await assert.rejects(client.rpc('unknown', {}), { code: 104 });
    await assert.rejects(client.rpc('constructor', {}), { code: 104 });
    await client.send({ type: 'tell', n: 1 });
    assert.deepEqual(dataOf(await events.until('message')), [{ told: { type: 'tell', n: 1 } }]);
    await told.until('publication');
  });

  it('is closed by a handler for good, or with a code of its own', async (t) => {
    for (const [code, wanted] of [
      [undefined, 3507],
      [4600, 4600],
    ] as const) {
      const { client, events } = await connectSdk(t, hub);
      client.rpc('close', code).catch(() => undefined);
      const [end] = await events.until('disconnected');
      assert.equal(end?.['code'], wanted);
    }
  });

  it('reads history and presence, and is told of joins and leaves', async (t) => {
    const one = await connectSdk(t, hub);
    const { sub, events } = await subscribed(one.client, 'h:room');
    const [joined] = await events.until('join');
    const id = (joined?.['info'] as { client: string }).client;
    for (let n = 1; n <= 3; n += 1) await sub.publish(n);
    const { publications, offset, epoch } = await sub.history({ limit: 2 });
    assert.deepEqual([dataOf(publications as never), offset], [[1, 2], 3]);
    assert.deepEqual(
      dataOf((await sub.history({ limit: 5, since: { offset: 2, epoch } })).publications as never),
      [3],
    );
    assert.deepEqual(dataOf((await sub.history({ limit: 2, reverse: true })).publications as never), [3, 2]);
    assert.deepEqual((await sub.history({ limit: 0 })).publications, []);
    const plain = await connect(hub, 'h:room');
    await events.until('join', 2);
    assert.deepEqual(await sub.presenceStats(), { numClients: 2, numUsers: 1 });
    assert.deepEqual(Object.keys((await sub.presence()).clients).sort(), [id, plain.connectionId].sort());
    await plain.close();
    const [left] = await events.until('leave');
    assert.equal((left?.['info'] as { client: string }).client, plain.connectionId);
  });

  it('keeps its connection when a channel is deleted, and loses it when it is killed', async (t) => {
    const { client, events } = await connectSdk(t, hub);
    const deleted = await subscribed(client, 'deleted');
    const other = await subscribed(client, 'kept');
    const answer = await hub.admin('DELETE', '/channels/deleted');
    assert.deepEqual(answer.body, { channel: 'deleted', closed: 1 });
    const [ended] = await deleted.events.until('unsubscribed');
    assert.equal(ended?.['code'], 2000);
    await other.sub.publish('still there');
    await other.events.until('publication');
    const [connected] = await events.until('connected');
    const { body } = await hub.admin('GET', `/connections/${String(connected?.['client'])}`);
    assert.deepEqual((body as { channels: string[] }).channels, ['kept']);
    await hub.admin('DELETE', `/connections/${String(connected?.['client'])}`);
    const [end] = await events.until('disconnected');
    assert.deepEqual([end?.['code'], end?.['reason']], [3503, 'connection_killed']);
  });
});
