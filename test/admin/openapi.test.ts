/** docs/openapi.yaml against the source and against a running hub: routes both ways, and every answer. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { SignJWT } from 'jose';
import { parse } from 'yaml';
import { actions } from '../../src/admin/actions.ts';
import { methods as apiMethods, unavailableMethods } from '../../src/admin/api/methods.ts';
import { pathsOf } from '../../src/admin/routes.ts';
import { connect, startHub, temporaryFolder, type Answer, type Client, type HubProcess } from '../support.ts';

interface Operation {
  'x-scope'?: string;
  responses: Record<string, { $ref?: string }>;
}
interface Document {
  paths: Record<string, Record<string, unknown>>;
  components: { responses: Record<string, unknown> };
}

const document = parse(readFileSync(new URL('../../docs/openapi.yaml', import.meta.url), 'utf8')) as Document;
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
ajv.addSchema(document, 'openapi');

const methods = ['get', 'post', 'put', 'patch', 'delete'];
const opsOnly = ['GET /healthz', 'GET /readyz', 'GET /metrics'];
const routes = actions.flatMap((action) => action.routes);
const apiNames = [...apiMethods.map(({ name }) => name), ...unavailableMethods];

/** A path of the hub as OpenAPI spells it. */
function template(path: string): string {
  return path.replaceAll(/:(\w+)/g, '{$1}');
}

/** Fails unless the document allows the answer. */
function check(method: string, path: string, { status, body, headers }: Answer): void {
  const operation = document.paths[path]?.[method.toLowerCase()] as Operation | undefined;
  assert.ok(operation, `${method} ${path} is not documented`);
  const key = String(status) in operation.responses ? String(status) : 'default';
  const response = operation.responses[key];
  assert.ok(
    response && (key !== 'default' || status >= 400),
    `${method} ${path}: ${status} is not documented`,
  );
  const pointer =
    response.$ref ?? `#/paths/${path.replaceAll('/', '~1')}/${method.toLowerCase()}/responses/${key}`;
  const $ref = `openapi${encodeURI(pointer)}/content/application~1json/schema`;
  const validate = ajv.compile({ $ref });
  assert.match(headers['content-type'] ?? '', /^application\/json/);
  assert.ok(
    validate(body),
    `${method} ${path} ${status}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(body)}`,
  );
}

describe('docs/openapi.yaml', () => {
  const secret = randomBytes(32).toString('base64');
  let hub: HubProcess;
  before(async () => {
    const file = join(temporaryFolder({ after }), 'secret');
    writeFileSync(file, secret);
    hub = await startHub({
      env: {
        WSHUB_JWT_SECRET_FILE: file,
        WSHUB_ADMIN_FAILURE_LIMIT: '1000',
        WSHUB_DRAIN_SPREAD_MS: '0',
        WSHUB_NAMESPACES: '[{"presence":true},{"name":"kept","historySize":10,"historyTtl":"1h"}]',
      },
    });
  });
  after(() => hub.end());

  /** A client of `room` with the user `anna`. */
  async function enter(): Promise<Client> {
    const claims = { sub: 'anna', channels: [{ name: '*', can: ['subscribe', 'publish'] }] };
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
    return connect(hub, 'room', { headers: { authorization: `Bearer ${token}` } });
  }

  it('names the scope of each route', () => {
    for (const { scope, routes: own } of actions) {
      for (const { method, path } of own) {
        const operation = document.paths[template(path)]?.[method.toLowerCase()] as Operation | undefined;
        assert.equal(operation?.['x-scope'], scope, `${method} ${path}`);
      }
    }
    for (const { name, action } of apiMethods) {
      const { post } = document.paths[`/api/${name}`] as { post?: Operation };
      assert.equal(post?.['x-scope'], action.scope, name);
    }
  });

  it('has the routes of the hub, and no others', () => {
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      methods.filter((method) => method in item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const wanted = [
      ...routes.map(({ method, path }) => `${method} ${template(path)}`),
      ...['/api', '/api/batch', ...apiNames.map((name) => `/api/${name}`)].map((path) => `POST ${path}`),
      ...opsOnly,
    ];
    assert.deepEqual(documented.sort(), wanted.sort());
  });

  for (const port of ['opsPort', 'port'] as const) {
    it(`describes the answers of every route, on the ${port}`, async () => {
      for (const action of actions) {
        for (const route of action.routes) {
          for (const path of pathsOf(route)) {
            const clients = [await enter(), await enter()];
            const { connectionId = '', workerId = '' } = clients[0] ?? {};
            const channel = action.name.endsWith('history') ? 'kept:room' : 'room';
            const values = { channel, user: 'anna', id: connectionId, connectionId, workerId };
            const existing = fill(path, values);
            const absent = fill(path, { ...values, channel: 'none', user: 'nobody', id: 'none' });
            const ask = async (asked: string, expected: number, options: object = {}) => {
              const answer = await hub.admin(route.method, asked, { port: hub[port], ...options });
              assert.equal(answer.status, expected, `${route.method} ${asked}`);
              check(route.method, template(route.path), answer);
            };
            await ask(existing, 401, { headers: { authorization: '' } });
            await ask(existing, 403, { headers: { authorization: 'Bearer wrong' } });
            const isEmpty = action.name.startsWith('presence');
            if (action.name.endsWith('history')) await ask(absent, 400);
            else if (absent !== existing && action.name !== 'publish') await ask(absent, isEmpty ? 200 : 404);
            if (action.name === 'read_history') await ask(`${existing}?since=1`, 400);
            if (action.name.startsWith('publish')) await ask(existing, 400, { body: '{' });
            if (action.name === 'publish') {
              const headers = { 'idempotency-key': 'k' };
              await ask(fill(path, { channel: 'kept:room' }), 202, { body: '{}', headers });
            }
            if (action.name.startsWith('list') || action.name === 'state') {
              await ask(`${existing}?limit=0`, 400);
              await ask(`${existing}?limit=1`, 200);
            }
            if (action.name === 'show_channel') await ask(`${existing}?limit=1`, 200); // it has `next`
            await ask(existing, action.status, route.method === 'POST' ? { body: bodyOf(action.name) } : {});
            for (const client of clients) await client.close();
          }
        }
      }
    });
  }

  it('describes the answers of the server API', async () => {
    const client = await enter();
    const ask = async (path: string, body: unknown, headers = {}) => {
      const answer = await hub.admin('POST', path, { body: JSON.stringify(body), headers });
      check('POST', path, answer);
      return answer;
    };
    const channel = 'kept:api';
    const publication = { data: {}, channel, channels: [channel, 'room', ''] };
    await ask('/api/publish', publication);
    for (const name of apiNames) {
      const room = {
        ...publication,
        channel: name.startsWith('history') ? channel : 'room',
        limit: 1,
        user: 'bert',
      };
      const { status, body } = await ask(`/api/${name}`, room);
      assert.equal(status, 200);
      assert.equal('error' in (body as object), unavailableMethods.includes(name), JSON.stringify(body));
      if (!['channels', 'info'].includes(name)) await ask(`/api/${name}`, { channel: '', channels: [] });
      await ask(`/api/${name}`, []);
      await ask(`/api/${name}`, {}, { authorization: 'apikey wrong' });
    }
    await ask('/api/batch', { commands: [{ publish: publication }, { fly: {} }] });
    await ask('/api', { method: 'publish', params: publication });
    await client.close();
  });

  it('describes the answers of the probes', async () => {
    for (const path of ['/healthz', '/readyz']) {
      check('GET', path, await hub.admin('GET', path, { headers: { authorization: '' } }));
    }
    const { status, headers } = await fetch(`http://127.0.0.1:${hub.opsPort}/metrics`);
    assert.equal(status, 200);
    assert.match(headers.get('content-type') ?? '', /^text\/plain/);
  });
});

/** With every kind of entry in the answer. */
function bodyOf(action: string): string {
  return action === 'publish_batch'
    ? '[{"channels":["room","kept:room"],"data":{}},{"channel":"","data":1}]'
    : '{}';
}

function fill(path: string, values: Readonly<Record<string, string>>): string {
  return path.replaceAll(/:(\w+)/g, (_, name: string) => values[name] ?? '');
}
