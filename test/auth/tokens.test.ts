/** Client tokens: keys, channels, expiry, and refusals. */
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exportJWK, SignJWT, type JWTPayload } from 'jose';
import { WebSocket } from 'ws';
import { counted } from '../metrics/exposition.ts';
import {
  codeOf,
  connect,
  handshake,
  hubFor,
  request,
  runCli,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const all = [{ name: '*', can: ['subscribe', 'publish'] }];
const secret = randomBytes(32).toString('base64');

function sign(claims: JWTPayload, key: KeyObject | Uint8Array, alg: string, kid?: string): Promise<string> {
  const header = kid === undefined ? { alg } : { alg, kid };
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
}

const signed = (claims: JWTPayload) => sign(claims, Buffer.from(secret), 'HS256');
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const soon = () => Math.floor(Date.now() / 1000) + 600;
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The refusal of a handshake. */
function refusal(hub: HubProcess, path: string, headers: Record<string, string> = {}) {
  return request(hub.port, 'GET', `/${path}`, { headers: { ...handshake, ...headers } });
}

function keyFile(t: Parameters<typeof temporaryFolder>[0], content: string | Buffer): string {
  const file = join(temporaryFolder(t), 'key');
  writeFileSync(file, content);
  return file;
}

describe('with an HMAC secret', () => {
  let hub: HubProcess;
  const file = keyFile({ after }, `${secret}\n`);
  before(async () => {
    hub = await startHub({
      env: {
        WSHUB_JWT_SECRET_FILE: file,
        WSHUB_JWT_AUDIENCE: 'chat',
        WSHUB_JWT_ISSUER: 'https://login.example',
      },
    });
  });
  after(() => hub.end());
  const good = { aud: 'chat', iss: 'https://login.example', sub: 'anna', channels: all };

  it('accepts a valid token in each of the three places', async () => {
    const token = await signed({ ...good, exp: soon() });
    const one = await connect(hub, 'room', bearer(token));
    const two = await connect(hub, `room?token=${token}`);
    const three = new WebSocket(`ws://127.0.0.1:${hub.port}/room`, ['bearer', token]);
    await new Promise((resolve, reject) => three.on('open', resolve).on('error', reject));
    assert.equal(three.protocol, 'bearer');
    one.send('hello');
    assert.equal(await two.next(), 'hello');
    three.close();
    await Promise.all([one.close(), two.close()]);
    await hub.logged('connection closed', { connectionId: one.connectionId, user: 'anna' });
  });

  it('says why a token is not accepted', async () => {
    const now = Math.floor(Date.now() / 1000);
    const refused: [reason: RegExp, token: string | null][] = [
      [/a token is required/, null],
      [/not a valid JWT/, 'nonsense'],
      [/not a valid JWT/, 'a.b.c'],
      [/not a valid JWT/, (await signed(good)).slice(0, -20).concat('=!')],
      [/has expired/, await signed({ ...good, exp: now - 60 })],
      [/not valid yet/, await signed({ ...good, nbf: now + 600 })],
      [/aud is not accepted/, await signed({ ...good, aud: 'mail' })],
      [/iss is not accepted/, await signed({ ...good, iss: 'https://evil.example' })],
      [/signature is wrong/, await sign(good, randomBytes(32), 'HS256')],
      [/"channels"/, await signed({ ...good, channels: [{ name: 'a*b', can: ['subscribe'] }] })],
      [
        /algorithm is not accepted/,
        await sign(good, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, 'ES256'),
      ],
      [/algorithm is not accepted/, `${encode({ alg: 'none' })}.${encode(good)}.`],
      [/not a valid JWT/, `${encode({ alg: 'HS256', crit: ['x'], x: 1 })}.${encode(good)}.AAAA`],
    ];
    for (const [reason, token] of refused) {
      const answer = await refusal(hub, 'room', token === null ? {} : bearer(token).headers);
      const { error } = answer.body as { error: { code: string; message: string } };
      assert.equal(answer.status, 401, `${reason}: ${error.message}`);
      assert.equal(error.code, 'unauthorized');
      assert.match(error.message, reason);
      assert.match(String(answer.headers['www-authenticate']), /^Bearer/);
    }
    await counted(hub, 'wshub_connections_rejected_total', 'reason="unauthorized"');
  });

  it('refuses a channel that the token does not name, with 403', async () => {
    const token = await signed({
      ...good,
      channels: [
        { name: 'room:*', can: ['subscribe'] },
        { name: 'inbox', can: ['publish'] },
      ],
    });
    const client = await connect(hub, 'room:7', bearer(token));
    for (const channel of ['room', 'inbox', 'xroom:7', '__proto__']) {
      const answer = await refusal(hub, channel, bearer(token).headers);
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'forbidden'], channel);
    }
    await client.close();
  });

  it('opens for a token without publish, and answers its messages with forbidden', async () => {
    const reader = await connect(
      hub,
      'news',
      bearer(await signed({ ...good, channels: [{ name: 'news', can: ['subscribe'] }] })),
    );
    const writer = await connect(hub, 'news', bearer(await signed(good)));
    reader.send('mine');
    assert.equal(codeOf({ status: 0, headers: {}, body: await reader.next() }), 'forbidden');
    await counted(hub, 'wshub_message_errors_total', 'reason="forbidden"');
    writer.send('yours');
    assert.equal(await reader.next(), 'yours');
    assert.equal(await writer.next(), 'yours');
    assert.deepEqual(writer.rest(), []);
    await Promise.all([reader.close(), writer.close()]);
  });

  it('closes a connection with 4103 when its token ends', async () => {
    const client = await connect(
      hub,
      'room',
      bearer(await signed({ ...good, exp: Math.floor(Date.now() / 1000) + 5 })),
    );
    assert.deepEqual(await client.next(), { status: 'disconnected', reason: 'token_expired', code: 4103 });
    assert.deepEqual(await client.end(), { code: 4103, reason: 'token_expired' });
    await counted(hub, 'wshub_connections_closed_total', 'reason="token_expired"');
  });

  it('leaves no part of a token in the log', () => {
    const log = JSON.stringify(hub.log) + hub.stderr;
    assert.doesNotMatch(log, /eyJ|token=|nonsense/);
    assert.ok(log.includes('client refused'));
  });
});

describe('the time of a token', () => {
  const key = keyFile({ after }, secret);
  const second = () => Math.floor(Date.now() / 1000);

  it('is checked with a leeway, which does not prolong a token that has not ended', async (t) => {
    const env = { WSHUB_JWT_SECRET_FILE: key, WSHUB_JWT_LEEWAY_MS: '600000' };
    const hub = await hubFor(t, { workers: 1, env });
    const enter = async (claims: JWTPayload) =>
      connect(hub, 'room', bearer(await signed({ ...claims, channels: all })));
    const early = await enter({ nbf: second() + 300 });
    const late = await enter({ exp: second() - 590 });
    const timely = await enter({ exp: second() + 10 });
    assert.deepEqual(await late.end(), { code: 4103, reason: 'token_expired' });
    assert.deepEqual(await timely.end(), { code: 4103, reason: 'token_expired' });
    assert.equal(early.closed, undefined);
    const tooLate = await refusal(
      hub,
      'room',
      bearer(await signed({ exp: second() - 660, channels: all })).headers,
    );
    assert.equal(tooLate.status, 401);
    await early.close();
  });

  it('may have to end soon', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { WSHUB_JWT_SECRET_FILE: key, WSHUB_JWT_MAX_TTL_MS: '600000' },
    });
    for (const claims of [{}, { exp: second() + 1_200 }]) {
      const answer = await refusal(hub, 'room', bearer(await signed({ ...claims, channels: all })).headers);
      const { error } = answer.body as { error: { code: string; message: string } };
      assert.deepEqual([answer.status, error.code], [401, 'unauthorized']);
      assert.match(error.message, /must end \(exp\) within 600 s/);
    }
    await (await connect(hub, 'room', bearer(await signed({ exp: second() + 300, channels: all })))).close();
  });
});

describe('DELETE /users/:user', () => {
  it('closes all connections of the user, on all workers and channels, asked on either port', async (t) => {
    const hub = await hubFor(t, { env: { WSHUB_JWT_SECRET_FILE: keyFile(t, secret) } });
    const enter = async (sub: string, channel: string) =>
      connect(hub, channel, bearer(await signed({ sub, channels: all })));
    /** Connections of a user until both workers have one. */
    const enterApart = async (sub: string) => {
      const own = [await enter(sub, 'room')];
      while (new Set(own.map(({ workerId }) => workerId)).size < 2)
        own.push(await enter(sub, `of ${own.length}`));
      return own;
    };
    const bystander = await enter('ann', 'room');
    for (const port of [hub.opsPort, hub.port]) {
      const own = await enterApart('anna/ä');
      const path = `/users/${encodeURIComponent('anna/ä')}`;
      const { status, body } = await hub.admin('DELETE', path, { port });
      assert.deepEqual({ status, body }, { status: 200, body: { user: 'anna/ä', closed: own.length } });
      for (const client of own) {
        assert.deepEqual(await client.end(), { code: 4000, reason: 'connection_killed' });
      }
      const gone = await hub.admin('DELETE', path, { port });
      assert.deepEqual([gone.status, codeOf(gone)], [404, 'not_found']);
    }
    const line = await hub.logged('admin action', { action: 'close_user', result: 'done' });
    assert.deepEqual(line['target'], { user: 'anna/ä' });
    await counted(hub, 'wshub_admin_actions_total', 'action="close_user"', 'result="done"');
    bystander.send('still here');
    assert.equal(await bystander.next(), 'still here');
    await bystander.close();
  });

  it('closes very many', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWT_SECRET_FILE: keyFile(t, secret) } });
    const token = bearer(await signed({ sub: 'anna', channels: all }));
    const clients = await Promise.all(Array.from({ length: 300 }, () => connect(hub, 'room', token)));
    const { body } = await hub.admin('DELETE', '/users/anna');
    assert.deepEqual(body, { user: 'anna', closed: 300 });
    for (const client of clients) assert.equal((await client.end()).code, 4000);
  });
});

describe('with a public key', () => {
  it('accepts only the algorithms of the key, so that a public key cannot serve as a secret', async (t) => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWT_PUBLIC_KEY_FILE: keyFile(t, pem) } });
    const claims = { channels: all };
    const confused = await refusal(
      hub,
      'room',
      bearer(await sign(claims, Buffer.from(pem), 'HS256')).headers,
    );
    assert.equal(confused.status, 401);
    const none = await refusal(hub, 'room', bearer(`${encode({ alg: 'none' })}.${encode(claims)}.`).headers);
    assert.equal(none.status, 401);
    for (const alg of ['RS256', 'PS512']) {
      const client = await connect(hub, 'room', bearer(await sign(claims, privateKey, alg)));
      await client.close();
    }
  });

  it('accepts keys on elliptic curves', async (t) => {
    for (const [curve, alg] of [
      ['P-256', 'ES256'],
      ['P-521', 'ES512'],
    ] as const) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
      const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWT_PUBLIC_KEY_FILE: keyFile(t, pem) } });
      const client = await connect(hub, 'room', bearer(await sign({ channels: all }, privateKey, alg)));
      await client.close();
    }
  });
});

describe('with a key set', () => {
  it('fetches it, bounds the refetching, and says so while it cannot be fetched', async (t) => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const jwk = { ...(await exportJWK(createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })))) };
    const keySet = JSON.stringify({ keys: [{ ...jwk, kid: 'one', alg: 'EdDSA' }] });
    let fetches = 0;
    let down = true;
    const server = createServer((_, response) => {
      fetches += 1;
      response.statusCode = down ? 500 : 200;
      response.end(down ? 'down' : keySet);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_JWKS_URL: `http://127.0.0.1:${port}/keys` } });
    const good = bearer(await sign({ channels: all }, privateKey, 'EdDSA', 'one'));
    const unknown = bearer(await sign({ channels: all }, privateKey, 'EdDSA', 'two'));

    for (let i = 0; i < 10; i += 1) {
      const answer = await refusal(hub, 'room', good.headers);
      assert.deepEqual([answer.status, codeOf(answer)], [503, 'unavailable']);
      assert.match(String(answer.headers['retry-after']), /^\d+$/);
    }
    await counted(hub, 'wshub_connections_rejected_total', 'reason="unavailable"');
    const failed = fetches;
    assert.ok(failed <= 3, `${failed} fetches for 10 clients`);
    down = false;
    let entered = false;
    while (!entered) {
      entered = await connect(hub, 'room', good).then(
        () => true,
        () => false,
      );
    }
    for (let i = 0; i < 10; i += 1) {
      assert.equal((await refusal(hub, 'room', unknown.headers)).status, 401);
    }
    assert.ok(fetches - failed <= 2, `${fetches - failed} fetches for 10 unknown keys`);
  });
});

describe('without a key', () => {
  it('a token is not looked at', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    const client = await connect(hub, 'room?token=nonsense');
    await client.close();
  });

  it('a bad key or a contradiction stops the start with a sentence', async (t) => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const cases: [env: Record<string, string>, sentence: RegExp][] = [
      [{ WSHUB_JWT_SECRET_FILE: '/nowhere/secret' }, /token secret cannot be read/],
      [{ WSHUB_JWT_SECRET_FILE: keyFile(t, 'short') }, /shorter than 32 bytes/],
      [{ WSHUB_JWT_PUBLIC_KEY_FILE: keyFile(t, 'no key') }, /no PEM public key/],
      [
        {
          WSHUB_JWT_PUBLIC_KEY_FILE: keyFile(t, pair.publicKey.export({ type: 'spki', format: 'pem' })),
        },
        /RSA of 2048 bits/,
      ],
      [
        {
          WSHUB_JWT_PUBLIC_KEY_FILE: keyFile(t, pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
        },
        /private key/,
      ],
      [
        { WSHUB_JWT_SECRET_FILE: '/a', WSHUB_JWKS_URL: 'https://b' },
        /WSHUB_JWT_SECRET_FILE and WSHUB_JWKS_URL/,
      ],
      [{ WSHUB_JWT_AUDIENCE: 'chat' }, /WSHUB_JWT_AUDIENCE asks for a claim/],
      [{ WSHUB_JWT_MAX_TTL_MS: '1000' }, /WSHUB_JWT_MAX_TTL_MS asks for a claim/],
      [{ WSHUB_JWKS_URL: 'ftp://x' }, /WSHUB_JWKS_URL: "ftp:\/\/x" is not allowed/],
    ];
    for (const [env, sentence] of cases) {
      const { code, stderr } = await runCli(['start'], {
        WSHUB_PORT: '0',
        WSHUB_OPS_PORT: '0',
        WSHUB_WORKERS: '1',
        WSHUB_LOG_LEVEL: 'silent',
        ...env,
      });
      assert.equal(code, 1);
      assert.match(stderr, sentence);
      assert.equal(stderr.trim().split('\n').length, 1);
    }
  });
});
