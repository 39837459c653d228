/** `?presence=true`: who is on the channel, then who joins and leaves, over WebSockets and event streams. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { SignJWT } from 'jose';
import { openStream } from '../event-source.ts';
import {
  codeOf,
  connect,
  connectWhere,
  eventually,
  hubFor,
  request,
  temporaryFolder,
  type Client,
  type HubProcess,
} from '../support.ts';

const namespaces = JSON.stringify([
  { name: 'room', presence: true, joinLeave: true },
  { name: 'kept', presence: true, joinLeave: true, historySize: 100, historyTtl: '1h' },
  { name: 'list', presence: true },
  { name: 'events', joinLeave: true },
]);

function hubWith(t: TestContext, workers = 2): Promise<HubProcess> {
  return hubFor(t, { workers, env: { WSHUB_NAMESPACES: namespaces } });
}

type Listed = { status: string; clients: { connectionId: string }[]; truncated: boolean };

async function listed(client: Client): Promise<string[]> {
  const { status, clients, truncated } = (await client.next()) as Listed;
  assert.deepEqual([status, truncated], ['presence', false]);
  return clients.map(({ connectionId }) => connectionId).sort();
}

const joined = ({ connectionId }: { connectionId: string }) => ({ status: 'joined', connectionId });
const left = ({ connectionId }: { connectionId: string }) => ({ status: 'left', connectionId });

interface Notice {
  status?: string;
  connectionId?: string;
  clients?: { connectionId: string }[];
}

/** Waits until what the client was told adds up to these members. Each change must be told once. */
async function sees(client: Client, expected: string[]): Promise<void> {
  await eventually(() => {
    const present = new Set<string>();
    for (const text of client.received) {
      const { status, clients = [], connectionId = '' } = JSON.parse(text) as Notice;
      if (status === 'presence') for (const each of clients) present.add(each.connectionId);
      if (status === 'joined') {
        assert.equal(present.has(connectionId), false, `${connectionId} joined twice`);
        present.add(connectionId);
      }
      if (status === 'left')
        assert.equal(present.delete(connectionId), true, `${connectionId} was not there`);
    }
    return [...present].sort().join() === expected.join() ? true : undefined;
  }, `the members ${expected.join()}`);
}

const ids = (...clients: { connectionId: string }[]) =>
  clients.map(({ connectionId }) => connectionId).sort();

describe('presence=true', () => {
  it('lists who is there, oneself included, then tells of others, with user and info', async (t) => {
    const secret = randomBytes(32).toString('base64');
    const file = join(temporaryFolder(t), 'key');
    writeFileSync(file, secret);
    const hub = await hubFor(t, { env: { WSHUB_NAMESPACES: namespaces, WSHUB_JWT_SECRET_FILE: file } });
    const path = async (query: string, sub?: string) => {
      const claims = {
        ...(sub && { sub, info: { name: sub, '"': ['é'] } }),
        channels: [{ name: '*', can: ['subscribe'] }],
      };
      const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
      return `room:1?${query}token=${token}`;
    };
    const anna = await connect(hub, await path('presence=true&', 'anna'));
    const of = (client: Client, user: string) => ({
      connectionId: client.connectionId,
      user,
      info: { name: user, '"': ['é'] },
    });
    assert.deepEqual(await anna.next(), {
      status: 'presence',
      clients: [of(anna, 'anna')],
      truncated: false,
    });
    const bert = await connectWhere(hub, await path('', 'bert'), (workerId) => workerId !== anna.workerId);
    const messages = [await anna.next()];
    while (!JSON.stringify(messages.at(-1)).includes(bert.connectionId)) messages.push(await anna.next());
    assert.deepEqual(messages.at(-1), { status: 'joined', ...of(bert, 'bert') });
    const [stream] = await openStream(hub, await path('presence=true&'));
    const first = await stream.next();
    assert.equal(first.event, 'presence');
    const { clients } = JSON.parse(first.data) as { clients: { connectionId: string }[] };
    assert.equal(clients.length, 3);
    assert.deepEqual(
      clients.find(({ connectionId }) => connectionId === bert.connectionId),
      of(bert, 'bert'),
    );
    await bert.close();
    const leave = await stream.next();
    assert.deepEqual(
      [leave.event, JSON.parse(leave.data)],
      ['left', { status: 'left', ...of(bert, 'bert') }],
    );
    stream.close();
    assert.deepEqual(bert.rest(), [], 'without presence=true nothing is told');
  });

  it('tells every watcher on every worker the same, once, while clients come and go', async (t) => {
    const hub = await hubWith(t);
    const watchers = [await connect(hub, 'room:1?presence=true')];
    watchers.push(
      await connectWhere(hub, 'room:1?presence=true', (workerId) => workerId !== watchers[0]?.workerId),
    );
    const others = await Promise.all(Array.from({ length: 40 }, () => connect(hub, 'room:1')));
    await Promise.all(others.slice(0, 25).map((client) => client.close()));
    const late = await connect(hub, 'room:1?presence=true');
    const expected = ids(...watchers, ...others.slice(25), late);
    for (const watcher of [...watchers, late]) await sees(watcher, expected);
  });

  it('precedes the replay, and keeps the order of messages and changes', async (t) => {
    const hub = await hubWith(t);
    const watcher = await connect(hub, 'kept:1?presence=true&history=10');
    assert.deepEqual(await listed(watcher), ids(watcher));
    for (let round = 0; round < 5; round++) {
      const other = await connect(hub, 'kept:1');
      other.send({ round });
      await other.next();
      await other.close();
      assert.deepEqual(await watcher.take(3), [joined(other), { round }, left(other)]);
    }
    const late = await connect(hub, 'kept:1?presence=true&history=10');
    assert.deepEqual(await listed(late), ids(watcher, late));
    assert.deepEqual(
      await late.take(5),
      [0, 1, 2, 3, 4].map((round) => ({ round })),
    );
  });

  it('gives the list or the changes alone as the namespace says, and is refused without either', async (t) => {
    const hub = await hubWith(t, 1);
    const [list, events] = [
      await connect(hub, 'list:1?presence=true'),
      await connect(hub, 'events:1?presence=true'),
    ];
    assert.deepEqual(await listed(list), ids(list));
    const [first, second] = [await connect(hub, 'list:1?presence=true'), await connect(hub, 'events:1')];
    assert.deepEqual(await listed(first), ids(list, first));
    assert.deepEqual(await events.next(), joined(second));
    assert.deepEqual([list.rest(), second.rest()], [[], []]);
    for (const path of ['/other?presence=true', '/room:1?presence=yes']) {
      const answer = await request(hub.port, 'GET', path, { headers: { accept: 'text/event-stream' } });
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_query']);
    }
    const off = await connect(hub, 'other?presence=false');
    assert.deepEqual(off.rest(), []);
  });

  it('lists 1000 members at most and says so', async (t) => {
    const hub = await hubWith(t);
    const clients: Client[] = [];
    while (clients.length < 1_000) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => connect(hub, 'room:1')))));
    }
    for (const [path, size] of [
      ['room:1', 1_000],
      ['list:1', 1],
    ] as const) {
      const watcher = await connect(hub, `${path}?presence=true`);
      const { clients: named, truncated } = (await watcher.next()) as Listed;
      assert.deepEqual([named.length, truncated], [size, size === 1_000]);
      assert.ok(named.some(({ connectionId }) => connectionId === watcher.connectionId));
    }
  });

  it('tells the end of a killed worker as one leave for each of its members', async (t) => {
    const hub = await hubWith(t);
    const watcher = await connect(hub, 'room:1?presence=true');
    const elsewhere = (workerId: string) => workerId !== watcher.workerId;
    const one = await connectWhere(hub, 'room:1', elsewhere);
    const two = await connectWhere(hub, 'room:1', elsewhere);
    await sees(watcher, ids(watcher, one, two));
    process.kill(hub.pidOf(one.workerId), 'SIGKILL');
    await sees(watcher, ids(watcher));
    const back = await connect(hub, 'room:1');
    await sees(watcher, ids(watcher, back));
    const answer = await hub.admin('GET', '/channels/room:1/presence');
    assert.deepEqual(ids(...(answer.body as Listed).clients), ids(watcher, back));
  });

  it('is right while a reload moves the clients, and after a restart of the hub', async (t) => {
    const env = {
      WSHUB_NAMESPACES: namespaces,
      WSHUB_DRAIN_SPREAD_MS: '0',
      WSHUB_STATE_DIR: temporaryFolder(t),
    };
    const hub = await hubFor(t, { env });
    const before = await Promise.all(Array.from({ length: 10 }, () => connect(hub, 'room:1')));
    hub.signal('SIGHUP');
    await hub.logged('new workers serve, the old ones drain');
    const old = new Set(before.map(({ workerId }) => workerId));
    const watcher = await connectWhere(hub, 'room:1?presence=true', (workerId) => !old.has(workerId));
    const after = [watcher, ...(await Promise.all(Array.from({ length: 10 }, () => connect(hub, 'room:1'))))];
    await Promise.all(before.map((client) => client.end()));
    await hub.logged('reload done');
    const stayed = after.filter(({ closed }) => !closed);
    assert.ok(stayed.includes(watcher));
    await sees(watcher, ids(...stayed));
    const { body } = await hub.admin('GET', '/channels/room:1/presence/stats');
    assert.deepEqual(body, { channel: 'room:1', connections: stayed.length, users: 0 });
    await hub.end();
    const again = await hubFor(t, { env });
    const first = await connect(again, 'room:1?presence=true');
    assert.deepEqual(await listed(first), ids(first), 'nobody has stayed');
  });

  it('notices nothing of the death of the broker, and tells what has changed meanwhile', async (t) => {
    const hub = await hubWith(t);
    const watcher = await connect(hub, 'room:1?presence=true');
    const stays = await connectWhere(hub, 'room:1', (workerId) => workerId !== watcher.workerId);
    const leaves = await connect(hub, 'room:1');
    const broker = (await hub.logged('broker ready'))['brokerPid'] as number;
    await sees(watcher, ids(watcher, stays, leaves));
    const seen = watcher.received.length;
    process.kill(broker, 'SIGKILL');
    await hub.logged('broker died', { brokerPid: broker });
    const comes = await connect(hub, 'room:1');
    await leaves.close();
    await sees(watcher, ids(watcher, stays, comes));
    const last = await connect(hub, 'room:1?presence=true');
    assert.deepEqual(await listed(last), ids(watcher, stays, comes, last));
    await stays.close();
    await sees(watcher, ids(watcher, comes, last));
    const changes = watcher.received.slice(seen).map((text) => (JSON.parse(text) as Notice).status);
    assert.deepEqual(changes.toSorted(), ['joined', 'joined', 'left', 'left']);
  });
});
