/** Messages between clients on different workers: recipients, order, no duplicates. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, connect, connectApart, fastPathsOff, type HubProcess, startHub } from '../support.ts';

describe('two workers', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub.end());

  it('relay the messages of clients on different workers, in order and both ways', async () => {
    const [one, other] = await connectApart(hub, 'order');
    assert.notEqual(one.workerId, other.workerId);
    const count = 1_000;
    for (let n = 0; n < count; n += 1) {
      one.send({ from: 'one', n });
      other.send({ from: 'other', n });
    }
    for (const client of [one, other]) {
      const messages = (await client.take(2 * count)) as { from: string; n: number }[];
      for (const from of ['one', 'other']) {
        assert.deepEqual(
          messages.filter((message) => message.from === from).map(({ n }) => n),
          Array.from({ length: count }, (_, n) => n),
        );
      }
      assert.deepEqual(client.rest(), []);
    }
  });

  it('relay any JSON value byte for byte', async () => {
    const [one, other] = await connectApart(hub, 'bytes');
    const texts = [
      '{"a" : 1e3,\n"a":2}',
      '[1, 2.50]',
      '"text"',
      'null',
      ' 7 ',
      '{"type":"chat","ü":"\\u0041"}',
      '""',
    ];
    for (const text of texts) one.ws.send(text);
    for (const client of [one, other]) {
      await client.take(texts.length);
      assert.deepEqual(client.received, texts);
    }
  });

  it('keep channels apart', async () => {
    const [one, other] = await connectApart(hub, 'apart/1');
    const [stranger, stranger2] = await connectApart(hub, 'apart/2');
    one.send('for 1');
    assert.equal(await other.next(), 'for 1');
    stranger.send('for 2');
    assert.equal(await stranger.next(), 'for 2');
    assert.equal(await stranger2.next(), 'for 2');
    assert.deepEqual([...stranger.rest(), ...stranger2.rest()], []);
  });

  it('do not send a message back to its author with echo=false', async () => {
    const silent = await connect(hub, 'echo?echo=false');
    const [one, other] = await connectApart(hub, 'echo');
    for (let n = 0; n < 50; n += 1) {
      silent.send({ own: n });
      if (n % 10 === 0) one.send({ n });
    }
    other.send('end');
    for (const client of [one, other]) assert.equal((await client.take(56)).length, 56);
    const seen = await silent.take(6);
    assert.deepEqual(
      seen.filter((message) => message !== 'end'),
      [0, 10, 20, 30, 40].map((n) => ({ n })),
    );
    assert.deepEqual(silent.rest(), []);
  });

  it(
    'have about equal numbers of clients, also after the clients of one have disconnected',
    { skip: fastPathsOff },
    async () => {
      const clients: Client[] = [];
      const countOn = (workerId: string) => clients.filter((client) => client.workerId === workerId).length;
      const uneven = () => Math.abs(countOn('w1') - countOn('w2'));
      for (let n = 0; n < 100; n += 1) clients.push(await connect(hub, 'spread'));
      assert.ok(uneven() <= 40, `${countOn('w1')} and ${countOn('w2')}`); // by chance alone: once in 10 000 times
      const leaving = clients.filter(({ workerId }) => workerId === 'w1');
      await Promise.all(leaving.map((client) => client.close()));
      clients.splice(0, clients.length, ...clients.filter(({ workerId }) => workerId !== 'w1'));
      const most = clients.length * 2; // by chance they would never get even in so few
      for (let n = 0; n < most && uneven() > 1; n += 1) {
        clients.push(await connect(hub, 'spread'));
        await sleep(5); // the primary learns of the closes within a few tenths of a second
      }
      assert.ok(uneven() <= 1, `${countOn('w1')} and ${countOn('w2')} after ${most} more`);
    },
  );
});

describe('four workers', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ workers: 4 });
  });
  after(() => hub.end());

  it('deliver every message of 200 connections on 20 channels exactly once to exactly the right clients', async () => {
    const channels = Array.from({ length: 20 }, (_, n) => `crowd/${n}`);
    const clients: Client[] = [];
    for (const channel of channels) {
      clients.push(...(await Promise.all(Array.from({ length: 10 }, () => connect(hub, channel)))));
    }
    assert.equal(new Set(clients.map(({ workerId }) => workerId)).size, 4);
    assert.equal(new Set(clients.map(({ connectionId }) => connectionId)).size, clients.length);
    const perClient = 20;
    for (let n = 0; n < perClient; n += 1) {
      for (const { ws, channel, connectionId } of clients)
        ws.send(JSON.stringify({ channel, connectionId, n }));
    }
    const byChannel = Map.groupBy(clients, ({ channel }) => channel);
    for (const client of clients) {
      const members = byChannel.get(client.channel) ?? [];
      await client.take(members.length * perClient);
      const wanted = members.flatMap(({ connectionId }) =>
        Array.from({ length: perClient }, (_, n) =>
          JSON.stringify({ channel: client.channel, connectionId, n }),
        ),
      );
      assert.deepEqual(client.received.toSorted(), wanted.toSorted());
    }
    // The messages of each sender kept their order, and none arrived after the last awaited one.
    for (const client of clients) {
      assert.deepEqual(client.rest(), []);
      const last = new Map<string, number>();
      for (const text of client.received) {
        const { connectionId, n } = JSON.parse(text) as { connectionId: string; n: number };
        assert.equal(n, (last.get(connectionId) ?? -1) + 1);
        last.set(connectionId, n);
      }
    }
  });
});
