/** Requests to Centrifugo's server API: secrets, permissions, batches, refusals, metrics and log lines. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { methods, unavailableMethods } from '../../../src/admin/api/methods.ts';
import { eventually, request } from '../../support.ts';
import { ApiHub, narrowKey, type Reply } from './api-hub.ts';

describe('the server API', () => {
  let api: ApiHub;
  before(async () => {
    api = await ApiHub.start({ after });
  });
  after(() => api.hub.end());

  it('takes the secret as X-API-Key, apikey and bearer, and answers 401 without a valid one', async () => {
    const ask = (headers: object, path = '/api/info') =>
      request(api.hub.port, 'POST', path, { headers: { ...headers }, body: '{}' });
    for (const headers of [
      { 'x-api-key': api.hub.token },
      { authorization: `apikey ${api.hub.token}` },
      { authorization: `Bearer ${api.hub.token}` },
    ]) {
      assert.equal((await ask(headers)).status, 200);
    }
    for (const headers of [{}, { 'x-api-key': 'wrong' }, { authorization: 'apikey wrong' }]) {
      for (const path of ['/api/info', '/api', '/api/batch'])
        assert.equal((await ask(headers, path)).status, 401);
    }
  });

  it('lets an API key do what its scopes and channels allow', async () => {
    const options = { headers: { authorization: `apikey ${narrowKey}` } };
    assert.deepEqual(await api.result('publish', { channel: 'news', data: 1 }, options), {});
    const { responses } = (await api.result(
      'broadcast',
      { channels: ['news', 'room'], data: 1 },
      options,
    )) as {
      responses: Reply[];
    };
    assert.deepEqual(
      responses.map(({ error }) => error?.code),
      [undefined, 103],
    );
    const clients = [await api.enter('news/1'), await api.enter('room')];
    assert.deepEqual(await api.result('channels', {}, options), {
      channels: { 'news/1': { num_clients: 1 } },
    });
    for (const [method, params] of [
      ['publish', { channel: 'room', data: 1 }],
      ['presence', { channel: 'room' }],
      ['history_remove', { channel: 'news' }],
      ['disconnect', { user: 'anna' }],
      ['info', {}],
    ] as const) {
      assert.equal(await api.code(method, params, options), 103, method);
    }
    for (const client of clients) await client.close();
  });

  it('executes a batch in its order or in parallel, and replies to every command', async () => {
    const client = await api.enter('news');
    const data = 'x';
    const commands = [
      { publish: { channel: 'news', data: 1 } },
      { publish: { channel: 'other:1', data } },
      { broadcast: { channels: ['news'], data: 2 } },
      { presence_stats: { channel: 'news' } },
      { rpc: { method: 'x' } },
      { fly: {} },
      {},
    ];
    const { status, body } = await api.post('/api/batch', { commands });
    assert.equal(status, 200);
    const { replies } = body as { replies: (Reply & Record<string, unknown>)[] };
    assert.deepEqual(replies.slice(0, 1).concat(replies.slice(2, 4)), [
      { publish: {} },
      { broadcast: { responses: [{ result: {} }] } },
      { presence_stats: { num_clients: 1, num_users: 1 } },
    ]);
    assert.deepEqual(
      [1, 4, 5, 6].map((index) => replies[index]?.error?.code),
      [102, 108, 104, 104],
    );
    assert.deepEqual(await client.take(2), [1, 2]);
    const many = Array.from({ length: 200 }, (_, n) => ({ publish: { channel: 'kept:5', data: n } }));
    const parallel = (await api.post('/api/batch', { commands: many, parallel: true })).body as {
      replies: { publish: { offset: number } }[];
    };
    assert.deepEqual(
      parallel.replies.map(({ publish }) => publish.offset).sort((a, b) => a - b),
      many.map((_, n) => n + 1),
    );
    assert.deepEqual((await api.post('/api/batch', {})).body, { replies: [] });
    await client.close();
  });

  it('executes commands in lines', async () => {
    const lines = [
      { method: 'presence_stats', params: { channel: 'lines' } },
      { method: 'publish', params: { channel: 'other:1', data: 1 } },
      { method: 'info' },
    ].map((command) => JSON.stringify(command));
    const headers = { 'x-api-key': api.hub.token };
    const options = { method: 'POST', headers, body: lines.join('\n') };
    const answer = await fetch(`http://127.0.0.1:${api.hub.port}/api`, options);
    const replies = (await answer.text()).split('\n').map((line) => JSON.parse(line) as Reply);
    assert.deepEqual(replies[0], { result: { num_clients: 0, num_users: 0 } });
    assert.equal(replies[1]?.error?.code, 102);
    assert.ok(replies[2]?.result);
  });

  it('refuses a body that is no JSON object, and executes nothing of a batch that it cannot read', async () => {
    const client = await api.enter('news');
    for (const path of ['/api/publish', '/api/batch', '/api']) {
      for (const body of ['[1]', '{"a":', 'text']) {
        const { status } = await api.post(path, body);
        assert.equal(status, 400, `${path} ${body}`);
      }
    }
    const broken = '{"commands":[{"publish":{"channel":"news","data":1}},{"publish":1}]}';
    assert.equal((await api.post('/api/batch', broken)).status, 400);
    const many = { commands: Array.from({ length: 1_001 }, () => ({ info: {} })) };
    assert.equal((await api.post('/api/batch', many)).status, 413);
    assert.equal((await api.post('/api', '{"method":"info"}\n'.repeat(1_001))).status, 413);
    await api.result('publish', { channel: 'news', data: 'the first' });
    assert.equal(await client.next(), 'the first');
    await client.close();
  });

  it('answers methods that the hub does not have with `not available`', async () => {
    for (const method of unavailableMethods) assert.equal(await api.code(method, {}), 108, method);
    assert.equal((await api.post('/api/fly', {})).status, 404);
  });

  it('is under /admin too, counted by route and action, and logged with its target', async () => {
    for (const { name } of methods)
      assert.equal((await api.post(`/admin/api/${name}`, {})).status, 200, name);
    await api.call('presence_stats', { channel: 'log/me' });
    const { msg } = await api.hub.logged('admin action', { action: 'presence_stats', result: 'done' });
    const lines = api.hub.log.filter((line) => line.msg === msg);
    assert.ok(lines.some(({ target }) => JSON.stringify(target) === '{"channel":"log/me"}'));
    const text = await eventually(async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${api.hub.opsPort}/metrics`)).text();
      return metrics.includes('route="/api/info"') ? metrics : undefined;
    }, 'the metrics of the server API');
    assert.match(
      text,
      /wshub_http_requests_total\{method="POST",route="\/api\/presence_stats",code="200"\} [1-9]/,
    );
    assert.match(text, /wshub_admin_actions_total\{action="disconnect",result="bad_request"\} [1-9]/);
  });
});
