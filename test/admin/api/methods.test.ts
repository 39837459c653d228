/** The methods of Centrifugo's server API over HTTP, with their errors. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectApart, connectWhere, eventually, type Client } from '../../support.ts';
import { Wire } from '../../session/wire.ts';
import { ApiHub, type Reply } from './api-hub.ts';

describe('a method of the server API', () => {
  let api: ApiHub;
  before(async () => {
    api = await ApiHub.start({ after });
  });
  after(() => api.hub.end());

  it('publishes to the clients of all workers, and answers an empty result without history', async () => {
    const clients = await connectApart(api.hub, await api.url('news'));
    for (const port of [api.hub.port, api.hub.opsPort]) {
      const data = '{"b": 1,  "a":[2]}';
      const answer = await api.post('/api/publish', `{"data":${data},"channel":"news","unknown":1}`, {
        port,
      });
      assert.deepEqual([answer.status, answer.body], [200, { result: {} }]);
      for (const client of clients) {
        await client.next();
        assert.equal(client.received.at(-1), data);
      }
    }
    const b64data = Buffer.from('"in base64"').toString('base64');
    assert.deepEqual(await api.result('publish', { channel: 'news', b64data }), {});
    for (const client of clients) assert.equal(await client.next(), 'in base64');
    for (const client of clients) await client.close();
  });

  it('answers with the position in a channel with history, and stores a message with a key once', async () => {
    const one = (await api.result('publish', { channel: 'kept:1', data: 1, idempotency_key: 'k' })) as object;
    assert.deepEqual(Object.keys(one), ['offset', 'epoch']);
    assert.deepEqual(await api.result('publish', { channel: 'kept:1', data: 2, idempotency_key: 'k' }), one);
    const { epoch } = one as { epoch: string };
    assert.deepEqual(await api.result('publish', { channel: 'kept:1', data: 3 }), { offset: 2, epoch });
  });

  it('refuses a publication that it cannot deliver, by the code of the cause', async () => {
    const data = {};
    for (const [params, wanted] of [
      [{ channel: 'news' }, 107],
      [{ data }, 107],
      [{ channel: '', data }, 107],
      [{ channel: 5, data }, 107],
      [{ channel: 'a\u0000', data }, 107],
      [{ channel: 'news', b64data: 'gICA' }, 107],
      [{ channel: 'news', b64data: Buffer.from('text').toString('base64') }, 107],
      [{ channel: 'news', data: 'x'.repeat(1_000) }, 107],
      [{ channel: 'news', data, idempotency_key: 'k' }, 107],
      [{ channel: 'kept:1', data, idempotency_key: 'k'.repeat(256) }, 107],
      [{ channel: 'other:1', data }, 102],
      [{ channel: 'news', data, skip_history: true }, 108],
      [{ channel: 'news', data, tags: { a: 'b' } }, 108],
      [{ channel: 'news', data, version: 1 }, 108],
    ] as const) {
      assert.equal(await api.code('publish', params), wanted, JSON.stringify(params).slice(0, 80));
    }
    assert.equal(await api.code('publish', '{"channel":"news","data":{1}}'), 107);
    const idle = {
      skip_history: false,
      tags: {},
      version: 0,
      version_epoch: '',
      idempotency_key: '',
      b64data: '',
    };
    assert.deepEqual(await api.result('publish', { channel: 'news', data, delta: true, ...idle }), {});
  });

  it('broadcasts to many channels, with one response for each', async () => {
    const client = await api.enter('news');
    const channels = ['news', 'kept:2', 'other:1', ''];
    const { responses } = (await api.result('broadcast', { channels, data: [1] })) as { responses: Reply[] };
    assert.deepEqual(await client.next(), [1]);
    assert.deepEqual(
      responses.map(({ result: placed, error }) => error?.code ?? (placed as { offset?: number }).offset),
      [undefined, 1, 102, 107],
    );
    for (const wrong of [[], 'news', null]) {
      assert.equal(await api.code('broadcast', { channels: wrong, data: 1 }), 107);
    }
    await client.close();
  });

  it('lists and counts the clients of a channel; clients without a user count as one', async () => {
    const anna = await api.enter('room', 'anna');
    const again = await connectWhere(api.hub, await api.url('room', 'anna'), (id) => id !== anna.workerId);
    const nobodies = [await api.enter('room'), await api.enter('room')];
    const info = ({ connectionId }: Client) => ({
      client: connectionId,
      user: 'anna',
      conn_info: { name: 'anna' },
    });
    const { presence } = (await api.result('presence', { channel: 'room' })) as { presence: object };
    assert.deepEqual(presence, {
      [anna.connectionId]: info(anna),
      [again.connectionId]: info(again),
      ...Object.fromEntries(nobodies.map(({ connectionId: id }) => [id, { client: id, user: '' }])),
    });
    assert.deepEqual(await api.result('presence_stats', { channel: 'room' }), {
      num_clients: 4,
      num_users: 2,
    });
    assert.deepEqual(await api.result('presence', { channel: 'none' }), { presence: {} });
    assert.deepEqual(await api.result('presence_stats', { channel: 'none' }), {
      num_clients: 0,
      num_users: 0,
    });
    for (const method of ['presence', 'presence_stats']) {
      assert.equal(await api.code(method, { channel: 'bare:1' }), 108);
      assert.equal(await api.code(method, { channel: 'other:1' }), 102);
      assert.equal(await api.code(method, {}), 107);
    }
    for (const client of [anna, again, ...nobodies]) await client.close();
  });

  it('reads the history from both ends and from a position, and empties it', async () => {
    const channel = 'kept:3';
    const placed = [];
    for (const data of [{ n: 1 }, { n: 2 }, { n: 3 }])
      placed.push(await api.result('publish', { channel, data }));
    const [{ epoch }] = placed as [{ epoch: string }];
    const top = { epoch, offset: 3 };
    const read = async (params: object) => {
      const history = (await api.result('history', { channel, ...params })) as {
        publications: { offset: number }[];
      };
      const { publications, ...rest } = history;
      assert.deepEqual(rest, top);
      return publications.map(({ offset }) => offset);
    };
    assert.deepEqual(await api.result('history', { channel, limit: 1 }), {
      publications: [{ data: { n: 1 }, offset: 1 }],
      ...top,
    });
    assert.deepEqual(await read({}), []);
    assert.deepEqual(await read({ limit: -1 }), [1, 2, 3]);
    assert.deepEqual(await read({ limit: 2, reverse: true }), [3, 2]);
    assert.deepEqual(await read({ limit: 1, since: { offset: 1, epoch } }), [2]);
    assert.deepEqual(await read({ limit: -1, since: { offset: 1 } }), [2, 3]);
    assert.deepEqual(await read({ limit: -1, since: { offset: 0, epoch } }), [1, 2, 3]);
    assert.deepEqual(await read({ limit: -1, since: { offset: 3, epoch }, reverse: true }), [2, 1]);
    for (const [params, wanted] of [
      [{ since: { offset: 1, epoch: 'other' }, limit: 1 }, 112],
      [{ since: { offset: 0, epoch: 'other' }, limit: 1 }, 112],
      [{ since: { offset: 0, epoch }, limit: 1, reverse: true }, 107],
      [{ since: { offset: -1, epoch }, limit: 1 }, 107],
      [{ limit: 1.5 }, 107],
    ] as const) {
      assert.equal(await api.code('history', { channel, ...params }), wanted, JSON.stringify(params));
    }
    assert.deepEqual(await api.result('history_remove', { channel }), {});
    assert.deepEqual(await read({ limit: -1 }), []);
    for (const method of ['history', 'history_remove']) {
      assert.equal(await api.code(method, { channel: 'bare:1' }), 108);
      assert.equal(await api.code(method, { channel: 'other:1' }), 102);
    }
  });

  it('lists channels with their clients, by pattern', async () => {
    const clients = [
      await api.enter('list/a'),
      await api.enter('list/a'),
      await api.enter('list/bb'),
      await api.enter('kept:9'),
    ];
    const list = async (params: object) => (await api.result('channels', params)) as { channels: object };
    const all = { 'list/a': { num_clients: 2 }, 'list/bb': { num_clients: 1 } };
    assert.deepEqual(await list({ pattern: 'list/*' }), { channels: all });
    assert.deepEqual(await list({ pattern: 'l*/?' }), { channels: { 'list/a': { num_clients: 2 } } });
    assert.deepEqual(await list({}), { channels: { ...all, 'kept:9': { num_clients: 1 } } });
    assert.deepEqual(await list({ pattern: 'nothing' }), { channels: {} });
    assert.equal(await api.code('channels', { pattern: '{a,b}' }), 107);
    for (const client of clients) await client.close();
  });

  it('describes each worker as a node, with sums that are right', async () => {
    const clients = [await api.enter('info/a', 'anna'), await api.enter('info/b'), await api.enter('info/b')];
    const sum = (nodes: Record<string, number>[], name: string) =>
      nodes.reduce((total, node) => total + (node[name] ?? Number.NaN), 0);
    const nodes = await eventually(async () => {
      const answer = (await api.result('info', {})) as { nodes: Record<string, number>[] };
      return sum(answer.nodes, 'num_clients') === 3 ? answer.nodes : undefined; // earlier ones have left
    }, 'the sum of the clients');
    assert.deepEqual(
      nodes.map(({ uid }) => uid).sort(),
      api.hub.workers.map(({ workerId }) => workerId).sort(),
    );
    assert.equal(sum(nodes, 'num_subs'), 3);
    for (const node of nodes) {
      assert.equal(typeof node['version'], 'string');
      const own = clients.filter(({ workerId }) => workerId === String(node['uid']));
      assert.equal(node['num_channels'], new Set(own.map(({ channel }) => channel)).size);
      const users = new Set(own.map((client) => (client === clients[0] ? 'anna' : '')));
      assert.equal(node['num_users'], users.size);
    }
    for (const client of clients) await client.close();
  });

  it('disconnects a user everywhere, but for the white list, and a client by its id', async () => {
    const anna = await api.enter('room', 'anna');
    const again = await connectWhere(api.hub, await api.url('room', 'anna'), (id) => id !== anna.workerId);
    const kept = await api.enter('room', 'anna');
    const bert = await api.enter('room', 'bert');
    const whitelist = [kept.connectionId];
    assert.deepEqual(await api.result('disconnect', { user: 'anna', whitelist }), {});
    for (const client of [anna, again]) {
      assert.deepEqual(await client.end(), { code: 4000, reason: 'connection_killed' });
    }
    const close = { code: 4500, reason: 'go away' };
    assert.deepEqual(await api.result('disconnect', { user: 'bert', client: kept.connectionId }), {});
    assert.deepEqual(await api.result('disconnect', { client: bert.connectionId, disconnect: close }), {});
    assert.deepEqual(await bert.end(), close);
    assert.deepEqual(await api.result('disconnect', { user: 'nobody' }), {});
    for (const params of [{}, { user: '' }, { user: 'anna', disconnect: { code: 200 } }]) {
      assert.equal(await api.code('disconnect', params), 107);
    }
    assert.equal(await api.code('disconnect', { user: 'anna', session: 's' }), 108);
    kept.ws.ping();
    await new Promise((resolve) => kept.ws.once('pong', resolve));
    await kept.close();
  });

  describe('for SDK clients', () => {
    /** Sessions of a user on both workers. */
    async function sessionsOf(sub: string): Promise<Wire[]> {
      const token = await api.token({ sub, info: { name: sub }, channels: [] });
      const sessions: Wire[] = [];
      const workers = new Set<unknown>();
      while (workers.size < 2) {
        const wire = await Wire.connect(api.hub, { token });
        sessions.push(wire);
        const { body } = await api.hub.admin('GET', `/connections/${wire.clientId}`);
        workers.add((body as { workerId: string }).workerId);
      }
      return sessions;
    }

    it('subscribes a user everywhere, ends the subscriptions, and tells each client', async () => {
      const sessions = await sessionsOf('carl');
      const params = { user: 'carl', channel: 'news', info: { seat: 7 }, data: { welcome: true } };
      assert.deepEqual(await api.result('subscribe', params), {});
      for (const wire of sessions) {
        assert.deepEqual(await wire.line(), {
          push: { channel: 'news', subscribe: { data: { welcome: true } } },
        });
      }
      const { presence } = (await api.result('presence', { channel: 'news' })) as { presence: object };
      assert.deepEqual(Object.values(presence)[0], {
        client: Object.keys(presence)[0],
        user: 'carl',
        conn_info: { name: 'carl' },
        chan_info: { seat: 7 },
      });
      await api.result('publish', { channel: 'news', data: 1 });
      for (const wire of sessions) {
        assert.deepEqual(await wire.line(), { push: { channel: 'news', pub: { data: 1 } } });
      }
      const [first, ...others] = sessions;
      assert.deepEqual(await api.result('unsubscribe', { client: first?.clientId, channel: 'news' }), {});
      assert.deepEqual(await api.result('unsubscribe', { user: 'carl', channel: 'news' }), {});
      const ended = { code: 2000, reason: 'server unsubscribe' };
      for (const wire of sessions) {
        assert.deepEqual(await wire.line(), { push: { channel: 'news', unsubscribe: ended } });
      }
      for (const wire of [first, ...others]) await wire?.close();
    });

    it('subscribes from a position, and sends what was missed', async () => {
      const [wire, ...others] = await sessionsOf('dora');
      const channel = 'kept:sub';
      const { epoch } = (await api.result('publish', { channel, data: 1 })) as { epoch: string };
      await api.result('publish', { channel, data: 2 });
      const since = { epoch, offset: 1 };
      const subscribe = { client: wire?.clientId, channel, recover_since: since };
      assert.deepEqual(await api.result('subscribe', subscribe), {});
      assert.deepEqual(await wire?.lines(2), [
        { push: { channel, subscribe: { recoverable: true, positioned: true, ...since } } },
        { push: { channel, pub: { data: 2, offset: 2 } } },
      ]);
      for (const one of [wire, ...others]) await one?.close();
    });

    it('refuses what it cannot subscribe', async () => {
      for (const [params, wanted] of [
        [{ channel: 'news' }, 107],
        [{ user: 'carl' }, 107],
        [{ user: 'carl', channel: 'news', tagsFilter: {} }, 107],
        [{ user: 'carl', channel: 'news', info: 'x'.repeat(1_000) }, 107],
        [{ user: 'carl', channel: 'other:1' }, 102],
      ] as const) {
        assert.equal(await api.code('subscribe', params), wanted, JSON.stringify(params).slice(0, 80));
      }
      assert.deepEqual(await api.result('subscribe', { user: 'nobody', channel: 'news' }), {});
    });

    it('sets when they expire, and closes those that have', async () => {
      const [wire, ...others] = await sessionsOf('erna');
      const { clientId: client } = wire ?? {};
      const at = Math.floor(Date.now() / 1000) + 3_600;
      assert.deepEqual(await api.result('refresh', { client, expire_at: at }), {});
      const { push } = (await wire?.line()) as { push: { refresh: { expires: boolean; ttl: number } } };
      assert.ok(push.refresh.expires && push.refresh.ttl > 3_500 && push.refresh.ttl <= 3_600);
      assert.deepEqual(await api.result('refresh', { client, expire_at: 0 }), {});
      assert.deepEqual(await wire?.line(), { push: { refresh: {} } });
      const plain = await api.enter('room', 'erna');
      assert.deepEqual(await api.result('refresh', { user: 'erna', expired: true }), {});
      for (const one of [wire, ...others]) assert.equal((await one?.end())?.code, 3005);
      assert.equal((await plain.end()).code, 4103);
    });

    it('unsubscribes a plain client by closing it', async () => {
      const plain = await api.enter('room', 'fritz');
      assert.deepEqual(await api.result('unsubscribe', { user: 'fritz', channel: 'other' }), {});
      assert.deepEqual(await api.result('unsubscribe', { user: 'fritz', channel: 'room' }), {});
      assert.equal((await plain.end()).code, 4001);
    });
  });
});
