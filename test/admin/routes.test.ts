/** The admin routes as the table of actions has them: documented, under /admin too, off the public port on demand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { actions, type Actions } from '../../src/admin/actions.ts';
import { methods } from '../../src/admin/api/methods.ts';
import {
  codeOf,
  connect,
  connectApart,
  hubFor,
  startHub,
  type Client,
  type HubProcess,
  type RequestOptions,
} from '../support.ts';

const routes = actions.flatMap((action) => action.routes);

describe('the table of routes in the documentation', () => {
  it('has the routes of the actions, and no others', () => {
    const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
    const table = text.split('\n\n').find((block) => /^\| `DELETE \/delete\/:channel`/m.test(block)) ?? '';
    const rows = [...table.matchAll(/`((?:GET|POST|DELETE) \/[^?`]*)/g)].map(([, route]) => route);
    const opsOnly = ['GET /metrics', 'GET /healthz', 'GET /readyz'];
    const wanted = [...routes.map(({ method, path }) => `${method} ${path}`), ...opsOnly];
    assert.deepEqual(rows.sort(), wanted.sort());
  });

  it('has the methods of the server API with their scopes, and no others', () => {
    const text = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
    const table = text.split('\n\n').find((block) => /^\| `publish`/m.test(block)) ?? '';
    const rows = [...table.matchAll(/^\| `(\w+)` +\| `(\w+)`/gm)].map(([, name, scope]) => [name, scope]);
    const wanted = methods.map(({ name, action }) => [name, action.scope]);
    assert.deepEqual(rows.sort(), wanted.sort());
  });
});

describe('an admin route', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub();
  });
  after(() => hub.end());

  /** Options of a request to a worker other than the client's. */
  async function elsewhere({ workerId }: Client): Promise<RequestOptions> {
    return { port: hub.port, agent: await hub.publicConnection((id) => id !== workerId) };
  }

  it('exists under /admin too, except for /delete and /kill-connection', async () => {
    const client = await connect(hub, 'room');
    for (const port of [hub.port, hub.opsPort]) {
      for (const path of ['/state', '/channels', '/channels/room', `/connections/${client.connectionId}`]) {
        assert.equal((await hub.admin('GET', `/admin${path}`, { port })).status, 200, path);
      }
      const body = JSON.stringify({ from: port });
      assert.equal((await hub.admin('POST', '/admin/channels/room/messages', { port, body })).status, 202);
      assert.deepEqual(await client.next(), { from: port });
      const { connectionId, workerId } = client;
      for (const path of [
        '/delete/room',
        `/kill-connection/room/${connectionId}/${workerId}`,
        '/admin/state',
      ]) {
        const answer = await hub.admin('DELETE', `/admin${path}`, { port });
        assert.deepEqual([answer.status, codeOf(answer)], [404, 'not_found'], path);
      }
      const stranger = { authorization: 'Bearer wrong' };
      assert.equal((await hub.admin('GET', '/admin/state', { port, headers: stranger })).status, 403);
    }
    assert.equal((await hub.admin('DELETE', '/admin/channels/room')).status, 200);
    assert.equal((await client.end()).code, 4001);
  });

  it('is counted as the same route under /admin', async () => {
    await hub.admin('GET', '/admin/state', { port: hub.port });
    const text = await (await fetch(`http://127.0.0.1:${hub.opsPort}/metrics`)).text();
    assert.match(text, /wshub_http_requests_total\{method="GET",route="\/state",code="200"\} [1-9]/);
    assert.doesNotMatch(text, /route="\/admin/);
    for (const { name } of actions)
      assert.ok(text.includes(`wshub_admin_actions_total{action="${name}",result="done"} `), name);
  });

  it('shows and closes a connection, on whichever worker it is', async () => {
    const [one, other] = await connectApart(hub, 'find/me');
    const path = `/connections/${one.connectionId}`;
    const options = await elsewhere(one);
    const { status, body } = await hub.admin('GET', path, options);
    const { since, ...shown } = body as Actions['show_connection']['answer'];
    assert.equal(status, 200);
    assert.ok(!Number.isNaN(Date.parse(since)));
    const { connectionId, workerId } = one;
    const wanted = { connectionId, workerId, remoteAddress: '127.0.0.1', bufferedBytes: 0 };
    assert.deepEqual(shown, { ...wanted, channels: ['find/me'] });
    const closed = await hub.admin('DELETE', path, options);
    assert.deepEqual([closed.status, closed.body], [200, { connectionId, closed: 1 }]);
    assert.deepEqual(await one.next(), { status: 'disconnected', reason: 'connection_killed', code: 4000 });
    assert.deepEqual(await one.end(), { code: 4000, reason: 'connection_killed' });
    for (const method of ['GET', 'DELETE']) {
      for (const id of [connectionId, 'nobody']) {
        const gone = await hub.admin(method, `/connections/${id}`);
        assert.deepEqual([gone.status, codeOf(gone)], [404, 'not_found']);
      }
    }
    options.agent?.destroy();
    other.send('untouched');
    assert.equal(await other.next(), 'untouched');
    await other.close();
  });

  it('leads through all pages of a list', async () => {
    const names = ['page/a', 'page/b', 'page/c', 'page/d', 'page/e'];
    const clients = await Promise.all(names.map((name) => connect(hub, name)));
    const seen: string[][] = [];
    for (let next: string | undefined = ''; next !== undefined;) {
      const query: string = `prefix=page/&limit=2&after=${encodeURIComponent(next)}`;
      const { body } = await hub.admin('GET', `/channels?${query}`);
      const page = body as Actions['list_channels']['answer'];
      assert.equal(page.truncated, page.next !== undefined);
      seen.push(page.channels.map(({ channel }) => channel));
      next = page.next;
    }
    assert.deepEqual(seen, [names.slice(0, 2), names.slice(2, 4), names.slice(4)]);
    for (const client of clients) await client.close();
  });

  it('leads through all connections of a channel', async () => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(hub, 'crowd')));
    const seen: string[] = [];
    let pages = 0;
    for (let next: string | undefined = ''; next !== undefined; pages += 1) {
      const { body } = await hub.admin('GET', `/channels/crowd?limit=2&after=${next}`);
      const page: Actions['show_channel']['answer'] = body as Actions['show_channel']['answer'];
      assert.equal(page.total, 5);
      seen.push(...page.connections.map(({ connectionId }) => connectionId));
      next = page.next;
    }
    assert.deepEqual(seen, clients.map(({ connectionId }) => connectionId).sort());
    assert.equal(pages, 3);
    for (const client of clients) await client.close();
  });
});

describe('WSHUB_ADMIN_PUBLIC=false', () => {
  it('leaves the public port without admin routes, and the ops port with them', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_ADMIN_PUBLIC: 'false' } });
    const client = await connect(hub, 'room');
    for (const { method, path, onlyAtRoot } of routes) {
      const spelled = path.replace(':channel', 'room').replaceAll(/:\w+/g, 'any');
      for (const spelling of onlyAtRoot ? [spelled] : [spelled, `/admin${spelled}`]) {
        const answer = await hub.admin(method, spelling, {
          port: hub.port,
          ...(method === 'POST' ? { body: '1' } : {}),
        });
        const unserved = method === 'GET' ? [426, 'upgrade_required'] : [404, 'not_found'];
        assert.deepEqual([answer.status, codeOf(answer)], unserved, `${method} ${spelling}`);
      }
    }
    for (const path of ['/api', '/api/batch', '/api/info', '/admin/api/info']) {
      assert.equal((await hub.admin('POST', path, { port: hub.port, body: '{}' })).status, 404, path);
      assert.equal((await hub.admin('POST', path, { body: '{}' })).status, 200, path);
    }
    assert.equal((await hub.admin('GET', '/channels/room')).status, 200);
    const { status } = await hub.admin('POST', '/channels/room/messages', { body: '"from ops"' });
    assert.equal(status, 202);
    assert.equal(await client.next(), 'from ops');
  });
});
