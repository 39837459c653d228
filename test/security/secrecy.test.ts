/** Tokens stay where they are: whatever is done with one, no log line, metric or span has a part of it. */
import assert from 'node:assert/strict';
import crypto, { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { FailedLogins } from '../../src/http/failed-logins.ts';
import { createLog } from '../../src/platform/log.ts';
import { authenticator } from '../../src/http/authenticate.ts';
import { digestOf, identifier } from '../../src/auth/api-keys.ts';
import { scrape } from '../metrics/exposition.ts';
import { connect, handshake, openSocket, request, startHub, temporaryFolder } from '../support.ts';

describe('a token', () => {
  it('is in no log line, metric or span, however it was sent and whatever became of it', async (t) => {
    const exported: Buffer[] = [];
    const collector = createServer((incoming, response) => {
      incoming.on('data', (chunk: Buffer) => exported.push(chunk));
      incoming.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
    });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    t.after(() => collector.close());
    const secret = randomBytes(32).toString('base64url');
    const file = join(temporaryFolder(t), 'secret');
    writeFileSync(file, secret);
    const adminToken = randomBytes(24).toString('base64url');
    const apiKey = randomBytes(24).toString('base64url');
    const sha256 = digestOf(apiKey).toString('hex');
    const keysFile = join(temporaryFolder(t), 'keys.json');
    writeFileSync(keysFile, JSON.stringify([{ name: 'reader', sha256, scopes: ['read'], channels: ['*'] }]));
    const hub = await startHub({
      workers: 1,
      env: {
        WSHUB_LOG_LEVEL: 'trace',
        WSHUB_JWT_SECRET_FILE: file,
        WSHUB_ADMIN_TOKEN: adminToken,
        WSHUB_API_KEYS_FILE: keysFile,
        WSHUB_TRACE_CHANNELS: 'true',
        WSHUB_TRUST_TRACEPARENT: 'true',
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`,
        OTEL_TRACES_SAMPLER: 'always_on',
        OTEL_BSP_SCHEDULE_DELAY: '50',
      },
    });
    try {
      const sign = (channel: string, expires: string) =>
        new SignJWT({ channels: [{ name: channel, can: ['subscribe', 'publish'] }] })
          .setProtectedHeader({ alg: 'HS256' })
          .setExpirationTime(expires)
          .sign(Buffer.from(secret));
      const tokens = {
        good: await sign('room', '1h'),
        expired: await sign('room', '-1h'),
        elsewhere: await sign('attic', '1h'),
        forged: `${(await sign('room', '1h')).slice(0, -8)}AAAAAAAA`,
        garbage: randomBytes(30).toString('base64url'),
      };
      const authorization = (token: string) => ({ authorization: `Bearer ${token}` });

      const clients = [
        await connect(hub, 'room', { headers: authorization(tokens.good) }),
        await connect(hub, `room?token=${tokens.good}`),
      ];
      const third = new WebSocket(`ws://127.0.0.1:${hub.port}/room`, ['bearer', tokens.good]);
      await new Promise((resolve, reject) => third.on('open', resolve).on('error', reject));
      clients[0]?.send({ traced: true });
      for (const client of clients) await client.next();
      for (const token of Object.values(tokens)) {
        const ways: [path: string, headers: Record<string, string>][] = [
          ['', authorization(token)],
          [`?token=${token}`, {}],
          ['', { 'sec-websocket-protocol': `bearer, ${token}` }],
        ];
        for (const [query, headers] of ways) {
          // As upgrades that must fail, as plain HTTP, and on admin routes, whose token it is not.
          const broken = { ...handshake, 'sec-websocket-version': '7', ...headers };
          await request(hub.port, 'GET', `/room${query}`, { headers: broken });
          if (token !== tokens.good) {
            const upgrade = await request(hub.port, 'GET', `/room${query}`, {
              headers: { ...handshake, ...headers },
            });
            assert.ok([401, 403].includes(upgrade.status));
          }
          await request(hub.port, 'GET', `/room${query}`, { headers });
          await request(hub.port, 'DELETE', `/delete/room${query}`, { headers });
          await request(hub.opsPort, 'GET', `/state${query}`, { headers });
        }
        const { socket, answer } = await openSocket(hub.port);
        socket.write(
          `GET /room?token=${token} HTTP/1.1\r\nAuthorization: Bearer ${token}\r\nno header\r\n\r\n`,
        );
        assert.match(await answer, /^HTTP\/1\.1 400 /);
      }
      const admin = { headers: authorization(adminToken) };
      assert.equal((await request(hub.opsPort, 'GET', '/state', admin)).status, 200);
      for (const headers of [authorization(apiKey), { 'x-api-key': apiKey }]) {
        assert.equal((await request(hub.port, 'GET', '/state', { headers })).status, 200);
        assert.equal((await request(hub.opsPort, 'DELETE', '/delete/room', { headers })).status, 403);
        await request(hub.port, 'GET', '/room', { headers: { ...handshake, ...headers } });
      }
      await request(hub.port, 'POST', `/channels/room/messages?token=${tokens.good}`, {
        ...admin,
        body: '{',
      });
      assert.equal((await request(hub.port, 'DELETE', '/delete/room', admin)).status, 200);
      await Promise.all(clients.map((client) => client.end()));
      const { text } = await scrape(hub);
      third.terminate();
      await hub.end(); // the last spans have been sent

      const spans = Buffer.concat(exported).toString('latin1');
      assert.ok(spans.includes('publish') && spans.includes('DELETE'), 'spans were exported');
      const all = JSON.stringify(hub.log) + hub.stderr + text + spans;
      assert.ok(all.includes('client refused'));
      for (const secretText of [secret, adminToken, apiKey, sha256, ...Object.values(tokens)]) {
        // Parts as well: of a JWT the head, the claims and the signature.
        for (const part of secretText.split('.').filter((piece) => piece.length > 10)) {
          assert.equal(all.includes(part.slice(0, 16)), false, 'a part of a token was told');
        }
      }
    } finally {
      hub.killAll();
    }
  });

  it('of the admin routes is compared by digests of one length, in constant time', (t) => {
    const compare = t.mock.method(crypto, 'timingSafeEqual');
    syncBuiltinESMExports();
    t.after(() => {
      compare.mock.restore();
      syncBuiltinESMExports();
    });
    const token = 'the-one-and-only';
    const log = createLog('silent', 'test', 'json');
    const key = 'the-one-and-other';
    const sha256 = digestOf(key).toString('hex');
    const identify = identifier(token, [{ name: 'k', sha256, scopes: ['read'], channels: ['*'] }]);
    const authenticate = authenticator({
      identify,
      failedLogins: new FailedLogins(0),
      address: () => '',
      log,
    });
    const ask = (given: string) => {
      const get = (name: string) => (name === 'authorization' ? `Bearer ${given}` : '');
      return authenticate({ get, req: {} } as never);
    };
    for (const wrong of ['t', 'the-one-and-onlx', 'xhe-one-and-only', `${token}x`, 'x'.repeat(5_000)]) {
      assert.throws(() => ask(wrong), { code: 'forbidden' });
    }
    assert.equal(ask(token).key, undefined);
    assert.equal(ask(key).key, 'k');
    assert.equal(compare.mock.callCount(), 7 * 2);
    for (const { arguments: sides } of compare.mock.calls) {
      assert.deepEqual(
        sides.map((side) => side.byteLength),
        [32, 32],
      );
    }
  });
});
