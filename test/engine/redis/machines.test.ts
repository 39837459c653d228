/** Hubs on several machines: hubs of their own that share one redis-server. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { noRedis, RedisServer } from '../../redis-server.ts';
import { scrape, sum } from '../../metrics/exposition.ts';
import {
  codeOf,
  connect,
  connectApart,
  eventually,
  handshake,
  hubFor,
  request,
  type Client,
  type Environment,
  type HubProcess,
} from '../../support.ts';

const namespaces = JSON.stringify([{ name: 'log', historySize: 10_000, historyTtl: '1h' }]);

function hubOn(t: TestContext, server: RedisServer, env: Environment = {}): Promise<HubProcess> {
  return hubFor(t, {
    env: { WSHUB_ENGINE: 'redis', WSHUB_REDIS_URL: server.url, WSHUB_NAMESPACES: namespaces, ...env },
  });
}

async function twoHubs(t: TestContext, env: Environment = {}) {
  const server = await RedisServer.start(t);
  const [one, other] = await Promise.all([hubOn(t, server, env), hubOn(t, server, env)]);
  return { server, one, other };
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

async function publish(hub: HubProcess, channel: string, value: unknown): Promise<number> {
  const { status } = await hub.admin('POST', `/channels/${channel}/messages`, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  });
  return status;
}

/** Resolves when every hub knows whether the server is reached. */
async function areUp(hubs: readonly HubProcess[], isUp: boolean): Promise<void> {
  for (const hub of hubs) {
    await eventually(
      async () => {
        const { samples } = await scrape(hub);
        return sum(samples, 'wshub_engine_up') === (isUp ? 1 : 0) ? true : undefined;
      },
      `an engine that is ${isUp ? 'up' : 'down'}`,
    );
  }
}

async function areTwo(hub: HubProcess): Promise<void> {
  await eventually(
    async () => (sum((await scrape(hub)).samples, 'wshub_machines') === 2 ? true : undefined),
    'two machines',
  );
}

const positionOf = ({ epoch, offset }: { epoch: string; offset: number }) => `${epoch}:${offset}`;

describe('several machines over Redis', { skip: noRedis }, () => {
  it('carry messages of channels without history, each once and in order', async (t) => {
    const { one, other } = await twoHubs(t);
    const [here, sibling] = await connectApart(one, 'room');
    const [there, farSibling] = await connectApart(other, 'room');
    for (const number of numbers(500)) here.send(number);
    for (const client of [here, sibling, there, farSibling]) {
      assert.deepEqual(await client.take(500), numbers(500));
    }
    there.send('back');
    for (const client of [here, sibling, there, farSibling]) assert.equal(await client.next(), 'back');
    assert.equal(await publish(one, 'room', 'by HTTP'), 202);
    for (const client of [here, sibling, there, farSibling]) {
      assert.equal(await client.next(), 'by HTTP');
      assert.deepEqual(client.rest(), []);
    }
    const { samples } = await scrape(one);
    assert.equal(sum(samples, 'wshub_engine_up'), 1);
    await areTwo(one);
  });

  it('keep the barrier: a client that is connected gets what other machines publish from then on', async (t) => {
    const { one, other } = await twoHubs(t);
    await Promise.all(
      numbers(100).map(async (number) => {
        const client = await connect(one, `fresh-${number}`);
        assert.equal(await publish(other, `fresh-${number}`, number), 202);
        assert.equal(await client.next(), number);
        await client.close();
      }),
    );
  });

  it('have one order of a channel with history, for all clients, and resume on either', async (t) => {
    const { one, other } = await twoHubs(t);
    const path = 'log:a?envelope=true&echo=false';
    const clients = [...(await connectApart(one, path)), ...(await connectApart(other, path))];
    const [first, , third] = clients;
    assert.ok(first && third);
    for (const number of numbers(200)) {
      first.send(`one ${number}`);
      third.send(`other ${number}`);
    }
    const reader = await connect(other, 'log:a?envelope=true&history=1000');
    const seen = await Promise.all(
      clients.map(async (client) => {
        const own = client === first || client === third ? 200 : 400;
        return (await client.take(own)) as { offset: number; data: string; epoch: string }[];
      }),
    );
    const [, whole] = seen;
    assert.ok(whole);
    assert.deepEqual(
      whole.map(({ offset }) => offset),
      numbers(400).map((number) => number + 1),
    );
    assert.deepEqual(seen[3], whole);
    for (const [index, sender] of [
      [0, 'one'],
      [2, 'other'],
    ] as const) {
      assert.deepEqual(
        seen[index],
        whole.filter(({ data }) => !data.startsWith(`${sender} `)),
        'not the own ones',
      );
    }
    assert.deepEqual(
      ((await reader.take(400)) as { offset: number }[]).map(({ offset }) => offset),
      numbers(400).map((number) => number + 1),
    );
    const position = whole[99];
    assert.ok(position);
    for (const hub of [one, other]) {
      const back = await connect(hub, `log:a?envelope=true&since=${positionOf(position)}`);
      assert.deepEqual(await back.take(300), whole.slice(100));
    }
  });

  it('serve on without the server: local channels live, those with history wait, and nothing is doubled', async (t) => {
    const { server, one, other } = await twoHubs(t);
    const [here, sibling] = await connectApart(one, 'room');
    const [logger, far] = [
      await connect(one, 'log:a?envelope=true'),
      await connect(other, 'log:a?envelope=true'),
    ];
    logger.send('before');
    assert.equal(((await far.next()) as { data: string }).data, 'before');
    server.signal('SIGSTOP'); // what is on its way is not known to be stored
    logger.send('uncertain');
    await areUp([one, other], false);
    here.send('alone');
    assert.equal(await sibling.next(), 'alone');
    const late = await connect(one, 'another');
    here.send('x');
    await late.close();
    const refused = await request(one.port, 'GET', '/log:b', { headers: handshake });
    assert.equal(refused.status, 503);
    assert.equal(codeOf(refused), 'unavailable');
    await eventually(
      async () => ((await publish(one, 'log:a', 'refused')) === 503 ? true : undefined),
      'a refused publication',
    );
    server.signal('SIGCONT');
    await areUp([one, other], true);
    logger.send('after');
    const texts = async (client: Client, count: number) =>
      ((await client.take(count)) as { data: string; offset: number }[]).map(({ data, offset }) => [
        data,
        offset,
      ]);
    const seen = await texts(far, 2);
    assert.deepEqual(seen[0], ['uncertain', 2]);
    await eventually(() => (far.received.at(-1)?.includes('after') ? true : undefined), 'the last message');
    const offsets = far.received.map((text) => (JSON.parse(text) as { offset: number }).offset);
    assert.deepEqual(
      offsets,
      numbers(offsets.length).map((number) => number + 1),
      'each once, in order',
    );
    const data = far.received.map((text) => (JSON.parse(text) as { data: string }).data);
    assert.equal(data.filter((text) => text === 'uncertain').length, 1);
    assert.equal(far.closed, undefined);
    assert.equal((await one.logged('engine not reached'))['level'], 'error');
  });

  it('refuse clients without the server if they are told to, and are not ready', async (t) => {
    const { server, one, other } = await twoHubs(t, { WSHUB_ENGINE_DOWN: 'refuse' });
    const client = await connect(one, 'room');
    await server.kill();
    await areUp([one, other], false);
    const refused = await request(one.port, 'GET', '/room', { headers: handshake });
    assert.equal(codeOf(refused), 'unavailable');
    await eventually(
      async () => ((await request(one.opsPort, 'GET', '/readyz')).status === 503 ? true : undefined),
      'a hub that is not ready',
    );
    await server.start();
    await areUp([one, other], true);
    await eventually(
      async () => ((await request(one.opsPort, 'GET', '/readyz')).status === 200 ? true : undefined),
      'a hub that is ready',
    );
    await (await connect(one, 'room')).close();
    assert.equal(client.closed, undefined);
  });

  it('start without the server, and use it when it comes', async (t) => {
    const server = await RedisServer.start(t);
    await server.kill();
    const hub = await hubOn(t, server);
    const client = await connect(hub, 'room');
    client.send('alone');
    assert.equal(await client.next(), 'alone');
    await server.start();
    await areUp([hub], true);
    await (await connect(hub, 'log:a')).close();
  });

  it('tell clients of a channel whose history is lost, and let them come back', async (t) => {
    const { server, one, other } = await twoHubs(t);
    const client = await connect(one, 'log:a?envelope=true');
    assert.equal(await publish(other, 'log:a', 'before'), 202);
    const { epoch, offset } = (await client.next()) as { epoch: string; offset: number };
    await server.kill();
    await server.start(); // empty
    assert.equal((await client.end()).code, 4201);
    const back = await connect(one, `log:a?envelope=true&since=${epoch}:${offset}`);
    assert.equal(await publish(other, 'log:a', 'after'), 202);
    assert.equal(((await back.next()) as { data: string }).data, 'after');
  });

  it('fill the gap that a killed broker and cut connections leave', async (t) => {
    const { server, one, other } = await twoHubs(t);
    const [sender, receiver] = [await connect(one, 'log:a?echo=false'), await connect(other, 'log:a')];
    let sent = 0;
    const send = (count: number) => {
      for (const target = sent + count; sent < target; sent++) sender.send(sent);
    };
    const kill = async (hub: HubProcess) => {
      const lines = hub.log.filter(({ msg }) => msg === 'broker ready');
      process.kill(Number(lines.at(-1)?.['brokerPid']), 'SIGKILL');
      await eventually(
        () => (hub.log.filter(({ msg }) => msg === 'broker ready').length > lines.length ? true : undefined),
        'the next broker',
      );
    };
    for (let round = 0; round < 3; round++) {
      send(100);
      await kill(round % 2 === 0 ? one : other);
      send(100);
      await server.cli('client', 'kill', 'type', 'pubsub');
      send(100);
      await server.cli('client', 'kill', 'type', 'normal');
    }
    assert.deepEqual(await receiver.take(sent), numbers(sent));
    assert.equal(receiver.closed, undefined);
  });

  it('list, close and delete on all machines, and name the machine of each worker', async (t) => {
    const { server, one, other } = await twoHubs(t);
    const [here, there] = [await connect(one, 'room'), await connect(other, 'room')];
    await areTwo(one);
    const machines = (await server.cli('zrange', 'wshub:machines', '0', '-1')).split('\n');
    const read = async (path: string) => (await one.admin('GET', path)).body as Record<string, unknown>;
    const state = (await read('/state')) as { totals: unknown; workers: { machine: string }[] };
    assert.deepEqual(state.totals, { workers: 4, connections: 2, channels: 1 });
    assert.deepEqual([...new Set(state.workers.map(({ machine }) => machine))].sort(), machines.toSorted());
    const room = (await read('/channels/room')) as { total: number; connections: { connectionId: string }[] };
    assert.equal(room.total, 2);
    assert.deepEqual(
      room.connections.map(({ connectionId }) => connectionId).sort(),
      [here.connectionId, there.connectionId].sort(),
    );
    const found = await read(`/connections/${there.connectionId}`);
    assert.ok(machines.includes(String(found['machine'])));
    const killed = await one.admin('DELETE', `/kill-connection/room/${there.connectionId}/${there.workerId}`);
    assert.equal(killed.status, 200);
    assert.equal((await there.end()).code, 4000);
    const again = await connect(other, 'room');
    const deleted = await other.admin('DELETE', '/channels/room');
    assert.deepEqual(deleted.body, { channel: 'room', closed: 2 });
    for (const client of [here, again]) assert.equal((await client.end()).code, 4001);
    assert.equal((await one.admin('DELETE', `/connections/${here.connectionId}`)).status, 404);
  });

  it('name a machine that does not answer, and forget one that has stopped', async (t) => {
    const { one, other } = await twoHubs(t);
    await areTwo(one);
    const { machine } = await other.logged('engine reached');
    const broker = Number((await other.logged('broker ready'))['brokerPid']);
    process.kill(broker, 'SIGSTOP');
    const silent = await one.admin('GET', '/channels');
    process.kill(broker, 'SIGCONT');
    assert.equal(silent.status, 504);
    assert.equal(
      (silent.body as { error: { message: string } }).error.message,
      `machine ${String(machine)} did not answer within 2000 ms`,
    );
    await eventually(
      async () => ((await one.admin('GET', '/channels')).status === 200 ? true : undefined),
      'an answer of both',
    );
    await other.end();
    assert.equal((await one.admin('GET', '/channels')).status, 200);
  });

  it('show one machine alone while the server is away', async (t) => {
    const { server, one } = await twoHubs(t);
    await server.kill();
    await areUp([one], false);
    const { status, body } = await one.admin('GET', '/state');
    assert.equal(status, 200);
    assert.equal((body as { partial?: boolean }).partial, true);
    assert.equal((await one.admin('GET', '/channels')).status, 504);
  });
});
