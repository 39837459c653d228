/** The admin token: its sources, and refusals without it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  codeOf,
  connect,
  hubFor,
  request,
  runCli,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const statusWith = async (hub: HubProcess, token: string) => {
  const headers = { authorization: `Bearer ${token}` };
  const answers = [hub.opsPort, hub.port].map((port) => request(port, 'GET', '/state', { headers }));
  const [ops, open] = (await Promise.all(answers)).map(({ status }) => status);
  assert.equal(ops, open);
  return ops;
};

describe('an admin route', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ workers: 1 });
  });
  after(() => hub.end());

  const routes = [
    ['DELETE', '/delete/guarded'],
    ['DELETE', '/kill-connection/guarded/id/w1'],
    ['DELETE', '/users/guarded'],
    ['GET', '/channels'],
    ['GET', '/channels/guarded'],
    ['POST', '/channels/guarded/messages'],
    ['POST', '/publish'],
    ['POST', '/reload'],
    ['GET', '/state'],
  ] as const;
  for (const [method, path] of routes) {
    it(`${method} ${path} answers 401 without a token and 403 to a wrong one, on both ports`, async () => {
      const client = await connect(hub, 'guarded');
      const id = path.replace('/id/', `/${client.connectionId}/`);
      for (const port of [hub.port, hub.opsPort]) {
        for (const authorization of [undefined, '', 'Bearer', 'Bearer ', `Basic ${hub.token}`, hub.token]) {
          const headers = authorization === undefined ? {} : { authorization };
          const answer = await request(port, method, id, {
            headers,
            ...(method === 'POST' ? { body: '1' } : {}),
          });
          assert.deepEqual([answer.status, codeOf(answer)], [401, 'unauthorized'], authorization);
          assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
        }
        for (const token of ['wrong', `${hub.token}x`, hub.token.slice(0, -1), hub.token.toUpperCase()]) {
          const headers = { authorization: `Bearer ${token}` };
          const answer = await request(port, method, id, {
            headers,
            ...(method === 'POST' ? { body: '1' } : {}),
          });
          assert.deepEqual([answer.status, codeOf(answer)], [403, 'forbidden'], token);
        }
      }
      client.send('untouched');
      assert.equal(await client.next(), 'untouched');
      await client.close();
    });
  }

  it('logs who came with a wrong token, and not the token', async (t) => {
    const fresh = await hubFor(t, { workers: 1 }); // repeated warnings are counted instead
    const headers = { authorization: 'Bearer guessed-at-night' };
    await request(fresh.port, 'DELETE', '/delete/logged', { headers });
    const { level, worker, remoteAddress, method } = await fresh.logged('wrong admin token or API key', {
      path: '/delete/logged',
    });
    const wanted = { level: 'warn', worker: 'w1', remoteAddress: '127.0.0.1', method: 'DELETE' };
    assert.deepEqual({ level, worker, remoteAddress, method }, wanted);
    assert.equal(JSON.stringify(fresh.log).includes('guessed-at-night'), false);
  });

  it('takes the scheme in any case, and never writes the token to the log', async () => {
    const headers = { authorization: `bearer ${hub.token}` };
    assert.equal((await request(hub.opsPort, 'GET', '/state', { headers })).status, 200);
    assert.equal(JSON.stringify(hub.log).includes(hub.token), false);
  });
});

describe('the admin token', () => {
  it('is generated where none is given, into a file of mode 0600 that goes with the hub', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ADMIN_TOKEN: undefined } });
    const file = join(hub.runtimeDir, 'admin.token');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const token = readFileSync(file, 'utf8').trim();
    assert.ok(token.length >= 32);
    assert.equal(await statusWith(hub, token), 200);
    assert.equal(await statusWith(hub, 'wrong'), 403);
    assert.equal((await hub.logged('hub starts'))['adminToken'], file);
    assert.equal(JSON.stringify(hub.log).includes(token), false);
    hub.signal('SIGTERM');
    assert.equal(await hub.ended(), 0);
    assert.equal(existsSync(file), false);
    const next = await hubFor(t, {
      workers: 1,
      env: { WSHUB_ADMIN_TOKEN: undefined, WSHUB_RUNTIME_DIR: hub.runtimeDir },
    });
    assert.notEqual(readFileSync(file, 'utf8').trim(), token);
    await next.end();
  });

  it('comes from a file before the environment, and from there before the credentials', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'token');
    writeFileSync(file, 'of-the-file\n');
    mkdirSync(join(folder, 'credentials'));
    writeFileSync(join(folder, 'credentials/admin.token'), 'of-the-credentials\n');
    const all = {
      WSHUB_ADMIN_TOKEN_FILE: file,
      WSHUB_ADMIN_TOKEN: 'of-the-environment',
      CREDENTIALS_DIRECTORY: join(folder, 'credentials'),
    };
    const first = await hubFor(t, { workers: 1, env: all });
    assert.deepEqual(
      [await statusWith(first, 'of-the-file'), await statusWith(first, 'of-the-environment')],
      [200, 403],
    );
    const second = await hubFor(t, { workers: 1, env: { ...all, WSHUB_ADMIN_TOKEN_FILE: undefined } });
    assert.deepEqual(
      [await statusWith(second, 'of-the-environment'), await statusWith(second, 'of-the-credentials')],
      [200, 403],
    );
    const third = await hubFor(t, {
      workers: 1,
      env: { CREDENTIALS_DIRECTORY: all.CREDENTIALS_DIRECTORY, WSHUB_ADMIN_TOKEN: undefined },
    });
    assert.equal(await statusWith(third, 'of-the-credentials'), 200);
    assert.equal(existsSync(join(third.runtimeDir, 'admin.token')), false);
  });

  it('stops the start with one line where it was promised and is missing, empty or not ASCII', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'token');
    mkdirSync(join(folder, 'tmp'));
    const refusal = async (env: Record<string, string>) => {
      const ports = { WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', TMPDIR: join(folder, 'tmp') };
      const { code, stderr } = await runCli([], { ...ports, ...env });
      assert.equal(code, 1);
      assert.match(stderr, /^wshub: [^\n]+\n$/);
      assert.deepEqual(readdirSync(join(folder, 'tmp')), [], 'the runtime directory is removed');
      return stderr;
    };
    assert.match(await refusal({ WSHUB_ADMIN_TOKEN_FILE: file }), /admin token cannot be read: ENOENT/);
    writeFileSync(file, ' \n');
    assert.match(await refusal({ WSHUB_ADMIN_TOKEN_FILE: file }), /admin token in .*token is empty/);
    assert.match(await refusal({ WSHUB_ADMIN_TOKEN: '' }), /WSHUB_ADMIN_TOKEN/);
    const secret = await refusal({ WSHUB_ADMIN_TOKEN: 'geheim-ü' });
    assert.match(secret, /WSHUB_ADMIN_TOKEN .*other than visible ASCII/);
    assert.equal(secret.includes('geheim'), false);
  });
});
