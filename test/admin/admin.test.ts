/** The admin routes, on a worker's port and on the ops port: each reaches all workers. */
import assert from 'node:assert/strict';
import type { Agent } from 'node:http';
import { after, before, describe, it } from 'node:test';
import type { Actions } from '../../src/admin/actions.ts';
import {
  codeOf,
  connect,
  connectApart,
  startHub,
  type Answer,
  type Client,
  type HubProcess,
} from '../support.ts';

async function assertDeleted(client: Client): Promise<void> {
  assert.deepEqual(await client.next(), { status: 'disconnected', reason: 'channel_deleted', code: 4001 });
  assert.deepEqual(await client.end(), { code: 4001, reason: 'channel_deleted' });
}

describe('the admin routes', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub.end());

  /** Sends a request to a worker other than the client's. */
  async function fromOtherWorker(client: Client, method: string, path: string): Promise<Answer> {
    const agent: Agent = await hub.publicConnection((workerId) => workerId !== client.workerId);
    const answer = await hub.admin(method, path, { port: hub.port, agent });
    agent.destroy();
    return answer;
  }

  it('DELETE a channel on all workers, asked on any of them', async () => {
    const [one, other] = await connectApart(hub, 'delete/me');
    const bystander = await connect(hub, 'delete/me/not');
    for (const client of [one, other]) {
      const again = client === one ? [] : [await connect(hub, 'delete/me'), await connect(hub, 'delete/me')];
      const { status, body } = await fromOtherWorker(client, 'DELETE', '/delete/delete%2Fme');
      assert.deepEqual({ status, body }, { status: 200, body: { channel: 'delete/me', closed: 2 } });
      await Promise.all((client === one ? [one, other] : again).map(assertDeleted));
      const gone = await fromOtherWorker(client, 'DELETE', '/delete/delete%2Fme');
      assert.deepEqual([gone.status, codeOf(gone)], [404, 'not_found']);
    }
    bystander.send('untouched');
    assert.equal(await bystander.next(), 'untouched');
  });

  it('DELETE a channel on all workers, asked on the ops port', async () => {
    const clients = await connectApart(hub, 'delete ops');
    const { status, body } = await hub.admin('DELETE', '/delete/delete%20ops');
    assert.deepEqual({ status, body }, { status: 200, body: { channel: 'delete ops', closed: 2 } });
    await Promise.all(clients.map(assertDeleted));
    assert.equal((await hub.admin('DELETE', '/delete/delete%20ops')).status, 404);
  });

  it('DELETE one connection, on whichever worker it is', async () => {
    const [one, other] = await connectApart(hub, 'kill/me');
    const pathOf = ({ connectionId, workerId }: Client, channel = 'kill%2Fme') =>
      `/kill-connection/${channel}/${connectionId}/${workerId}`;
    for (const wrong of [
      pathOf(one, 'kill'),
      `/kill-connection/kill%2Fme/${one.connectionId}/${other.workerId}`,
      `/kill-connection/kill%2Fme/${one.connectionId}/w99`,
      `/kill-connection/kill%2Fme/nobody/${one.workerId}`,
    ]) {
      const answer = await hub.admin('DELETE', wrong);
      assert.deepEqual([answer.status, codeOf(answer)], [404, 'not_found'], wrong);
    }
    const { status, body } = await fromOtherWorker(one, 'DELETE', pathOf(one));
    const { connectionId, workerId } = one;
    assert.deepEqual(
      { status, body },
      { status: 200, body: { channel: 'kill/me', connectionId, workerId, closed: 1 } },
    );
    assert.deepEqual(await one.next(), { status: 'disconnected', reason: 'connection_killed', code: 4000 });
    assert.deepEqual(await one.end(), { code: 4000, reason: 'connection_killed' });
    assert.equal((await hub.admin('DELETE', pathOf(one))).status, 404);
    other.send('untouched');
    assert.equal(await other.next(), 'untouched');
    assert.equal((await hub.admin('DELETE', pathOf(other))).status, 200);
    assert.equal((await other.end()).code, 4000);
  });

  it('list the channels with their workers, by prefix and up to a limit', async () => {
    const [one, other] = await connectApart(hub, 'list/a');
    const more = [await connect(hub, 'list/b'), await connect(hub, 'list/c')];
    const { status, body } = await hub.admin('GET', '/channels?prefix=list/&limit=2');
    assert.equal(status, 200);
    const { channels, truncated } = body as Actions['list_channels']['answer'];
    assert.deepEqual(
      channels.map(({ channel, connections }) => ({ channel, connections })),
      [
        { channel: 'list/a', connections: 2 },
        { channel: 'list/b', connections: 1 },
      ],
    );
    assert.deepEqual(
      new Map(channels[0]?.workers.map(({ workerId, connections }) => [workerId, connections])),
      new Map([one, other].map(({ workerId }) => [workerId, 1])),
    );
    assert.equal(truncated, true);
    const all = (await hub.admin('GET', '/channels?prefix=list/')).body as Actions['list_channels']['answer'];
    assert.deepEqual([all.channels.length, all.truncated], [3, false]);
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'limit=1&limit=2', 'prefix=a&prefix=b']) {
      const answer = await hub.admin('GET', `/channels?${query}`);
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_query'], query);
    }
    for (const client of [one, other, ...more]) await client.close();
  });

  it('show the connections of a channel', async () => {
    const clients = await connectApart(hub, 'show/me');
    const { status, body } = await fromOtherWorker(clients[0], 'GET', '/channels/show%2Fme');
    assert.equal(status, 200);
    const { channel, total, connections } = body as Actions['show_channel']['answer'];
    assert.deepEqual([channel, total], ['show/me', 2]);
    for (const { connectionId, workerId } of clients) {
      const shown = connections.find((connection) => connection.connectionId === connectionId);
      assert.ok(shown);
      assert.deepEqual(
        [shown.workerId, shown.remoteAddress, shown.bufferedBytes],
        [workerId, '127.0.0.1', 0],
      );
      assert.ok(Math.abs(Date.now() - Date.parse(shown.since)) < 600_000);
    }
    const limited = (await hub.admin('GET', '/channels/show%2Fme?limit=1')).body;
    const { total: all, connections: first } = limited as Actions['show_channel']['answer'];
    assert.deepEqual([all, first.length], [2, 1]);
    assert.equal((await hub.admin('GET', '/channels/show%2Fnobody')).status, 404);
  });

  it('show the state of the whole hub', async () => {
    const clients = [...(await connectApart(hub, 'state')), await connect(hub, 'state/too')];
    const onWorker = (id: string) => clients.filter(({ workerId }) => workerId === id).length;
    const { status, body } = await fromOtherWorker(clients[0] as Client, 'GET', '/state');
    assert.equal(status, 200);
    const state = body as Actions['state']['answer'];
    assert.deepEqual([state.version, state.node], ['0.1.0', process.version]);
    assert.deepEqual(
      state.workers.map(({ workerId, pid, state: now }) => ({ workerId, pid, now })).toSorted(byWorker),
      hub.workers.map(({ workerId, pid }) => ({ workerId, pid, now: 'ready' })).toSorted(byWorker),
    );
    const named = state.channels.filter(({ channel }) => channel.startsWith('state'));
    assert.deepEqual(
      named.map(({ channel, connections }) => [channel, connections]),
      [
        ['state', 2],
        ['state/too', 1],
      ],
    );
    for (const { workerId, connections } of state.workers) assert.ok(connections >= onWorker(workerId));
    assert.equal(
      state.totals.connections,
      state.workers.reduce((sum, { connections }) => sum + connections, 0),
    );
  });
});

function byWorker(a: { workerId: string }, b: { workerId: string }): number {
  return a.workerId.localeCompare(b.workerId);
}
