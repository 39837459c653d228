/** API keys over a running hub: scopes, channels, both headers, both ports, reload, and what is logged of them. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { digestOf } from '../../src/auth/api-keys.ts';
import {
  codeOf,
  connect,
  eventually,
  hubFor,
  request,
  runCli,
  startHub,
  temporaryFolder,
  type Answer,
  type HubProcess,
} from '../support.ts';

const entry = (name: string, scopes: string[], channels: string[]) => ({
  name,
  sha256: digestOf(`key-of-${name}`).toString('hex'),
  scopes,
  channels,
});

const keys = [
  entry('writer', ['publish'], ['news:*', 'ticker']),
  entry('reader', ['read'], ['news:*']),
  entry('watcher', ['read'], ['*']),
  entry('manager', ['manage'], ['news:*']),
  entry('chief', ['manage', 'read', 'publish'], ['*']),
];

type Outcome = [status: number, code?: string];
const forbidden: Outcome = [403, 'forbidden'];

/** An admin request with the key of this name. */
async function ask(
  port: number,
  name: string,
  method: string,
  path: string,
  body?: string,
): Promise<Answer & { outcome: Outcome }> {
  const headers = { 'x-api-key': `key-of-${name}` };
  const answer = await request(port, method, path, { headers, ...(body === undefined ? {} : { body }) });
  const code = codeOf(answer);
  return { ...answer, outcome: code === undefined ? [answer.status] : [answer.status, code] };
}

/** Resolves when the hub has logged this message so many times. */
async function loggedTimes(hub: HubProcess, msg: string, times: number): Promise<void> {
  await eventually(
    () => (hub.log.filter((line) => line.msg === msg).length >= times ? true : undefined),
    `"${msg}" ${times} times`,
  );
}

describe('an API key', () => {
  let hub: HubProcess;
  before(async () => {
    const file = join(temporaryFolder({ after }), 'keys.json');
    writeFileSync(file, JSON.stringify(keys), { mode: 0o600 });
    hub = await startHub({ env: { WSHUB_API_KEYS_FILE: file } });
  });
  after(() => hub.end());

  it('is accepted in either header, on both ports, and X-API-Key wins', async () => {
    for (const port of [hub.port, hub.opsPort]) {
      const status = async (headers: Record<string, string>) =>
        (await request(port, 'GET', '/state', { headers })).status;
      assert.equal(await status({ authorization: 'Bearer key-of-watcher' }), 200);
      assert.equal(await status({ 'x-api-key': 'key-of-watcher' }), 200);
      assert.equal(await status({ 'x-api-key': hub.token }), 200);
      assert.equal(await status({ 'x-api-key': 'key-of-watcher', authorization: 'Basic b3RoZXI=' }), 200);
      assert.equal(await status({ 'x-api-key': 'wrong', authorization: `Bearer ${hub.token}` }), 403);
      assert.equal(await status({ 'x-api-key': '', authorization: `Bearer ${hub.token}` }), 200);
      assert.equal(await status({ 'x-api-key': '' }), 401);
      assert.equal(await status({ 'x-api-key': String(keys[0]?.sha256) }), 403);
    }
  });

  it('allows only the actions of its scopes and channels', async () => {
    const open = await connect(hub, 'news:1');
    const other = await connect(hub, 'attic');
    const path = `/connections/${open.connectionId}`;
    const kill = `/kill-connection/attic/${other.connectionId}/${other.workerId}`;
    for (const port of [hub.port, hub.opsPort]) {
      const outcomes: [name: string, method: string, path: string, outcome: Outcome][] = [
        ['writer', 'POST', '/channels/news:1/messages', [202]],
        ['writer', 'POST', '/channels/ticker/messages', [202]],
        ['writer', 'POST', '/admin/channels/news:1/messages', [202]],
        ['writer', 'POST', '/channels/tickers/messages', forbidden],
        ['writer', 'POST', '/channels/news/messages', forbidden],
        ['writer', 'POST', `/channels/${'x'.repeat(256)}/messages`, [400, 'bad_channel']],
        ['writer', 'GET', '/channels/news:1', forbidden],
        ['writer', 'DELETE', '/channels/news:1', forbidden],
        ['reader', 'GET', '/channels/news:1', [200]],
        ['reader', 'GET', '/channels/attic', forbidden],
        ['reader', 'GET', '/channels/nobody', forbidden],
        ['reader', 'GET', '/state', forbidden],
        ['reader', 'GET', path, forbidden],
        ['reader', 'POST', '/channels/news:1/messages', forbidden],
        ['watcher', 'GET', '/state', [200]],
        ['watcher', 'GET', path, [200]],
        ['watcher', 'DELETE', path, forbidden],
        ['watcher', 'DELETE', '/users/anna', forbidden],
        ['manager', 'DELETE', '/channels/attic', forbidden],
        ['manager', 'DELETE', '/delete/attic', forbidden],
        ['manager', 'DELETE', kill, forbidden],
        ['manager', 'DELETE', path, forbidden],
        ['manager', 'DELETE', '/users/anna', forbidden],
        ['manager', 'DELETE', '/delete/news:none', [404, 'not_found']],
        ['manager', 'POST', '/reload', forbidden],
        ['watcher', 'POST', '/reload', forbidden],
        ['chief', 'DELETE', '/users/anna', [404, 'not_found']],
        ['nobody', 'GET', '/state', forbidden],
      ];
      for (const [name, method, target, outcome] of outcomes) {
        const answer = await ask(port, name, method, target, method === 'POST' ? '1' : undefined);
        assert.deepEqual(answer.outcome, outcome, `${name} ${method} ${target}`);
      }
    }
    assert.deepEqual(await open.take(4), [1, 1, 1, 1]);
    assert.deepEqual(other.rest(), []);
    assert.deepEqual((await ask(hub.port, 'manager', 'DELETE', '/channels/news:1')).outcome, [200]);
    assert.equal((await open.end()).code, 4001);
    await other.close();
  });

  it('has its forbidden requests refused before their bodies are read', async () => {
    const answer = await ask(hub.port, 'writer', 'POST', '/channels/attic/messages', '{');
    assert.deepEqual(answer.outcome, forbidden);
  });

  it('lists only the channels that it may use, on every page', async () => {
    const names = ['attic', 'news:a', 'news:b', 'newsroom', 'news:c', 'zoo'];
    const clients = [];
    for (const name of names) clients.push(await connect(hub, name));
    const pages: string[][] = [];
    let after = '';
    do {
      const { body } = await ask(hub.opsPort, 'reader', 'GET', `/channels?limit=2&after=${after}`);
      const page = body as { channels: { channel: string }[]; next?: string };
      pages.push(page.channels.map(({ channel }) => channel));
      after = page.next ?? '';
    } while (after !== '');
    assert.deepEqual(pages.flat(), ['news:a', 'news:b', 'news:c']);
    const { body } = await ask(hub.port, 'chief', 'GET', '/channels');
    assert.deepEqual(
      (body as { channels: { channel: string }[] }).channels.map(({ channel }) => channel),
      names.sort(),
    );
    for (const client of clients) await client.close();
  });

  it('is named in the log by its name, also where it is refused', async () => {
    await ask(hub.port, 'writer', 'DELETE', '/delete/news:logged');
    const { level, key, result } = await hub.logged('admin action', {
      action: 'delete_channel',
      key: 'writer',
    });
    assert.deepEqual({ level, key, result }, { level: 'info', key: 'writer', result: 'forbidden' });
    await ask(hub.opsPort, 'watcher', 'GET', '/state');
    await hub.logged('admin action', { action: 'state', key: 'watcher', result: 'done' });
    assert.equal(JSON.stringify(hub.log).includes('key-of-'), false);
  });

  it('that is wrong counts as a wrong admin token does', async (t) => {
    const limited = await hubFor(t, { workers: 1, env: { WSHUB_ADMIN_FAILURE_LIMIT: '3' } });
    const outcomes: Outcome[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      outcomes.push((await ask(limited.opsPort, name, 'GET', '/state')).outcome);
    }
    assert.deepEqual(outcomes, [forbidden, forbidden, forbidden, [429, 'rate_limited']]);
  });
});

describe('the API keys file', () => {
  it('is read again by a reload; an invalid file fails the reload and keeps the old keys', async (t) => {
    const file = join(temporaryFolder(t), 'keys.json');
    const write = (names: string[]) => {
      writeFileSync(file, JSON.stringify(names.map((name) => entry(name, ['read'], ['*']))));
    };
    write(['old']);
    const env = { WSHUB_API_KEYS_FILE: file, WSHUB_DRAIN_SPREAD_MS: '0' };
    const hub = await hubFor(t, { workers: 1, env });
    const statuses = async () => {
      const asked = [hub.port, hub.opsPort].flatMap((port) =>
        ['old', 'new'].map((name) => ask(port, name, 'GET', '/state')),
      );
      return (await Promise.all(asked)).map(({ status }) => status);
    };
    assert.deepEqual(await statuses(), [200, 403, 200, 403]);

    writeFileSync(file, '[{"name": "new"');
    hub.signal('SIGHUP');
    const { reason, level } = await hub.logged('reload failed; the current workers keep serving');
    assert.equal(level, 'error');
    assert.match(String(reason), /^API keys file .*keys\.json: it is not JSON/);
    assert.deepEqual(await statuses(), [200, 403, 200, 403]);

    write(['new']);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    assert.deepEqual(await statuses(), [403, 200, 403, 200]);

    write([]);
    hub.signal('SIGHUP');
    await loggedTimes(hub, 'reload done', 2);
    assert.deepEqual(await statuses(), [403, 403, 403, 403]);
    assert.equal((await hub.admin('GET', '/state')).status, 200);
  });

  it('is logged with a warning if all users can read it', async (t) => {
    const file = join(temporaryFolder(t), 'keys.json');
    writeFileSync(file, '[]');
    chmodSync(file, 0o644);
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_API_KEYS_FILE: file } });
    const { level } = await hub.logged('all users can read the API keys file');
    assert.equal(level, 'warn');
  });

  it('that is broken stops the start and check-config with one line', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'keys.json');
    writeFileSync(file, JSON.stringify([{ ...entry('a', ['read'], ['*']), sha256: 'the-key-itself' }]));
    for (const args of [[], ['check-config']]) {
      const env = { WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', TMPDIR: folder, WSHUB_API_KEYS_FILE: file };
      const { code, stderr } = await runCli(args, env);
      assert.equal(code, 1);
      assert.match(stderr, /^wshub: API keys file [^\n]*: key 1 must have as "sha256" the SHA-256 [^\n]+\n$/);
      assert.equal(stderr.includes('the-key-itself'), false);
    }
  });
});

describe('wshub api-key', () => {
  it('prints a key and an entry that a hub accepts', async (t) => {
    const { code, stdout } = await runCli(['api-key']);
    assert.equal(code, 0);
    const [, key = '', made = ''] = /^key: {3}([\w-]{43})\nentry: (\{.*\})\n$/.exec(stdout) ?? [];
    const file = join(temporaryFolder(t), 'keys.json');
    writeFileSync(file, `[${made}]`, { mode: 0o600 });
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_API_KEYS_FILE: file } });
    const headers = { authorization: `Bearer ${key}` };
    const answer = await request(hub.port, 'POST', '/channels/a/messages', { headers, body: '1' });
    assert.equal(answer.status, 202);
  });
});
