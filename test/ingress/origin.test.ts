/** Which web pages may connect, and whose word for an address is taken. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readSettings } from '../../src/config/reader.ts';
import { plainAddress } from '../../src/http/client-address.ts';
import { AllowedOrigins } from '../../src/ingress/origin.ts';
import { counted } from '../metrics/exposition.ts';
import { codeOf, connect, handshake, hubFor, request, temporaryFolder, type HubProcess } from '../support.ts';

async function addressSeen(hub: HubProcess, headers: Record<string, string>): Promise<unknown> {
  const client = await connect(hub, 'where', { headers });
  const answer = await hub.admin('GET', '/channels/where');
  await client.close();
  return (answer.body as { connections: { remoteAddress: string }[] }).connections[0]?.remoteAddress;
}

function listed(...entries: string[]): AllowedOrigins {
  return new AllowedOrigins(readSettings({ WSHUB_ALLOWED_ORIGINS: entries.join(', ') }).allowedOrigins);
}

describe('AllowedOrigins', () => {
  it('allows the own hostname and listed origins', () => {
    const origins = listed('https://app.example', 'http://localhost:3000');
    const cases: [origin: string, allowed: boolean][] = [
      ['https://hub.example', true],
      ['http://hub.example:81', true],
      ['https://app.example', true],
      ['https://app.example:444', false],
      ['http://app.example', false],
      ['http://localhost:3000', true],
      ['https://hub.example.evil.example', false],
      ['https://evil-hub.example', false],
      ['https://hub.example@evil.example', false],
      ['null', false],
      ['', false],
      ['file://', false],
      ['https://app.example, https://evil.example', false],
    ];
    for (const [origin, allowed] of cases) {
      assert.equal(origins.allows(origin, 'hub.example'), allowed, origin);
    }
    assert.equal(listed('*').allows('https://evil.example', 'hub.example'), true);
    assert.equal(listed().allows('file://', ''), false);
  });

  it('ignores case, default port and trailing slash, on both sides', () => {
    const origins = listed('HTTPS://App.Example:443/', 'http://other.example:80', 'https://bücher.example');
    for (const origin of [
      'https://app.example',
      'https://APP.example',
      'https://app.example:443',
      'http://other.example',
      'https://xn--bcher-kva.example',
    ]) {
      assert.equal(origins.allows(origin, 'hub.example'), true, origin);
    }
    assert.equal(origins.allows('https://app.example:80', 'hub.example'), false);
  });

  it('accepts the origins of apps, extensions, files and sandboxes', () => {
    const all = [
      'capacitor://localhost',
      'tauri://localhost',
      'chrome-extension://abcdef',
      'file://',
      'null',
    ];
    for (const one of all) {
      for (const origin of all) assert.equal(listed(one).allows(origin, 'hub.example'), origin === one);
    }
  });

  it('accepts a star as the first label for every subdomain, and nowhere else', () => {
    const origins = listed('https://*.example', 'http://*.app.test:8443', 'app://*.Inner');
    const cases: [origin: string, allowed: boolean][] = [
      ['https://a.example', true],
      ['https://a.b.EXAMPLE', true],
      ['https://example', false],
      ['https://.example', false],
      ['https://aexample', false],
      ['http://a.example', false],
      ['https://a.example:444', false],
      ['https://a.example.evil.test', false],
      ['http://x.app.test:8443', true],
      ['http://x.app.test', false],
      ['app://x.inner', true],
    ];
    for (const [origin, allowed] of cases) {
      assert.equal(origins.allows(origin, 'hub.example'), allowed, origin);
    }
  });

  it('rejects entries that could never match', () => {
    for (const entry of [
      'app.example',
      'https://app.example/path',
      'https://user@app.example',
      'https://*',
      'https://*app.example',
      'https://a.*.example',
      'https://*.*.example',
      'https://*.example:*',
      '*.example',
      'wss://app.example',
      'capacitor://',
      'https://',
      'https://app.example:99999',
      ' ',
    ]) {
      assert.throws(() => listed('https://good.example', entry), /WSHUB_ALLOWED_ORIGINS: .*must be/, entry);
    }
  });
});

describe('a cross-site upgrade', () => {
  it('is refused with 403 unless its origin is the own host or listed, and the log names the setting', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ALLOWED_ORIGINS: 'https://app.example' } });
    const from = (origin: string) => ({ headers: { ...handshake, origin } });
    for (const origin of [
      'https://evil.example',
      'http://127.0.0.1.evil.example',
      `https://${'x'.repeat(900)}`,
    ]) {
      const answer = await request(hub.port, 'GET', '/room', from(origin));
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'origin_not_allowed'], origin);
    }
    // Without a trusted proxy a forwarded host is anybody's word.
    const forwarded = await request(hub.port, 'GET', '/room', {
      headers: { ...handshake, origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' },
    });
    assert.equal(forwarded.status, 403);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="origin_not_allowed"');
    const msg = 'a page was refused: its origin is not in WSHUB_ALLOWED_ORIGINS';
    const line = await hub.logged(msg, { level: 'warn', origin: 'https://evil.example' });
    assert.equal(line['hostname'], '127.0.0.1');
    for (const origin of ['https://app.example', 'http://127.0.0.1', 'http://127.0.0.1:3000']) {
      await (await connect(hub, 'room', { headers: { origin } })).close();
    }
  });

  it('is accepted from a page of the same machine if clients need no token', async (t) => {
    const trial = await hubFor(t, { workers: 1 });
    const status = async (hub: HubProcess, headers: Record<string, string>) =>
      (await request(hub.port, 'GET', '/room', { headers: { ...handshake, ...headers } })).status;
    const pages = ['null', 'file://', 'http://localhost:5173', 'http://[::1]', 'http://app.localhost'];
    for (const origin of pages) {
      assert.equal(await status(trial, { origin }), 101, origin);
      assert.equal(await status(trial, { origin, host: 'localhost:8080' }), 101, origin);
      for (const elsewhere of [
        { host: 'hub.example' },
        { 'x-forwarded-for': '127.0.0.1' },
        { forwarded: 'for=127.0.0.1' },
        { via: '1.1 proxy' },
      ]) {
        assert.equal(await status(trial, { origin, ...elsewhere }), 403, JSON.stringify(elsewhere));
      }
    }
    assert.equal(await status(trial, { origin: 'http://localhost.evil.example' }), 403);

    const file = join(temporaryFolder(t), 'secret');
    writeFileSync(file, 'a secret of the tests, long enough');
    const closed = await hubFor(t, { workers: 1, env: { WSHUB_JWT_SECRET_FILE: file } });
    for (const origin of pages) assert.equal(await status(closed, { origin }), 403, origin);
  });

  it('is accepted from every origin with *', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ALLOWED_ORIGINS: '*' } });
    await (await connect(hub, 'room', { headers: { origin: 'https://any.example' } })).close();
  });
});

describe("a client's address", () => {
  it('is that of its TCP connection without trusted proxies', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    assert.equal(await addressSeen(hub, { 'x-forwarded-for': '203.0.113.9' }), '127.0.0.1');
  });

  it('is the address that the outermost trusted proxy saw', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_TRUST_PROXY: '2' } });
    const cases = [
      ['198.51.100.1, 203.0.113.9, 10.0.0.1', '203.0.113.9'],
      ['203.0.113.9, 10.0.0.1', '203.0.113.9'],
      ['2001:db8::7, 10.0.0.1', '2001:db8::7'],
      ['10.0.0.1', '10.0.0.1'],
      ['<script>, 10.0.0.1', '127.0.0.1'],
    ];
    for (const [forwarded = '', address] of cases) {
      assert.equal(await addressSeen(hub, { 'x-forwarded-for': forwarded }), address, forwarded);
    }
    assert.equal(await addressSeen(hub, {}), '127.0.0.1');
  });

  it('is read in every form that proxies write, and invalid ones are logged', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_TRUST_PROXY: '1' } });
    for (const [said, address] of [
      ['203.0.113.1:50001', '203.0.113.1'],
      ['[2001:db8::1]:1', '2001:db8::1'],
      ['[2001:DB8:0::1]', '2001:db8::1'],
      ['"[2001:db8::1]:1"', '2001:db8::1'],
      ['"203.0.113.1"', '203.0.113.1'],
      ['::ffff:cb00:7101', '203.0.113.1'],
      ['::FFFF:203.0.113.1', '203.0.113.1'],
      ['198.51.100.1, , 203.0.113.1 ,', '203.0.113.1'],
    ] as const) {
      assert.equal(await addressSeen(hub, { 'x-forwarded-for': said }), address, said);
    }
    const msg =
      'X-Forwarded-For has an entry that is no address: its client counts under the address of a proxy';
    assert.ok(!hub.log.some((line) => line.msg === msg));
    assert.equal(await addressSeen(hub, { 'x-forwarded-for': 'unknown' }), '127.0.0.1');
    await hub.logged(msg, { level: 'warn', entry: 'unknown', setting: 'WSHUB_TRUST_PROXY' });
  });

  it('is the last address that is not a trusted proxy', async (t) => {
    const trust = 'loopback, 10.0.0.0/8, 2001:db8:1::/48, 192.0.2.7';
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_TRUST_PROXY: trust } });
    for (const [said, address] of [
      ['198.51.100.1, 203.0.113.9, 10.0.0.1', '203.0.113.9'],
      ['203.0.113.9', '203.0.113.9'],
      ['203.0.113.9, 192.0.2.7:1, [2001:db8:1::5], ::ffff:10.1.2.3', '203.0.113.9'],
      ['203.0.113.9, 192.0.2.8', '192.0.2.8'],
      ['10.0.0.2, 10.0.0.1', '10.0.0.2'],
      ['203.0.113.9, nonsense, 10.0.0.1', '10.0.0.1'],
      ['', '127.0.0.1'],
    ] as const) {
      assert.equal(await addressSeen(hub, { 'x-forwarded-for': said }), address, said);
    }
    const from = (headers: Record<string, string>) =>
      request(hub.port, 'GET', '/room', {
        headers: {
          ...handshake,
          origin: 'https://hub.example',
          'x-forwarded-host': 'hub.example',
          ...headers,
        },
      });
    assert.equal((await from({ 'x-forwarded-for': '203.0.113.9' })).status, 101);
  });

  it('is not read from the headers of an untrusted peer', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_TRUST_PROXY: 'uniquelocal,linklocal' } });
    assert.equal(await addressSeen(hub, { 'x-forwarded-for': '203.0.113.9' }), '127.0.0.1');
    const answer = await request(hub.port, 'GET', '/room', {
      headers: { ...handshake, origin: 'https://hub.example', 'x-forwarded-host': 'hub.example' },
    });
    assert.equal(answer.status, 403);
  });
});

describe('WSHUB_TRUST_PROXY', () => {
  it('accepts a number, or addresses, ranges and names of ranges', () => {
    const trust = (value: string) => readSettings({ WSHUB_TRUST_PROXY: value }).trustProxy;
    assert.equal(trust('16'), 16);
    assert.deepEqual(trust('loopback, ::1,10.0.0.0/8'), ['loopback', '::1', '10.0.0.0/8']);
    for (const value of [
      '17',
      '-1',
      '',
      'loopback,',
      'private',
      'toString',
      '10.0.0.0/33',
      '10.0.0/8',
      '10.0.0.0/',
      '::/129',
      'fe80::1%eth0',
      '::ffff:10.0.0.0/104',
      'proxy.example',
      '1,2',
    ]) {
      assert.throws(() => trust(value), /^OperatorError: WSHUB_TRUST_PROXY: .*must be a whole number/, value);
    }
  });
});

describe('plainAddress', () => {
  it('returns none for invalid addresses', () => {
    for (const text of [
      '',
      'unknown',
      '_hidden',
      '1.2.3',
      '1.2.3.4:',
      '1.2.3.4:port',
      '[1.2.3.4',
      '127.1',
      '0x7f000001',
    ]) {
      assert.equal(plainAddress(text), null, text);
    }
  });
});
