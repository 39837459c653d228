/** Which web pages may connect, and whose word for an address is taken. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAllowedOrigin } from '../../src/http/origin.ts';
import { counted } from '../observability/exposition.ts';
import { codeOf, connect, handshake, hubFor, request, type HubProcess } from '../support.ts';

async function addressSeen(hub: HubProcess, headers: Record<string, string>): Promise<unknown> {
  const client = await connect(hub, 'where', { headers });
  const answer = await hub.admin('GET', '/channels/where');
  await client.close();
  return (answer.body as { connections: { remoteAddress: string }[] }).connections[0]?.remoteAddress;
}

describe('isAllowedOrigin', () => {
  it('lets the own hostname, what is listed, and what is no browser', () => {
    const listed = ['https://app.example', 'http://localhost:3000'];
    const cases: [origin: string | undefined, allowed: boolean][] = [
      [undefined, true],
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
      assert.equal(isAllowedOrigin(origin, 'hub.example', listed), allowed, origin);
    }
    assert.equal(isAllowedOrigin('https://evil.example', 'hub.example', ['*']), true);
    assert.equal(isAllowedOrigin('file://', '', []), false);
  });
});

describe('a cross-site upgrade', () => {
  it('is refused with 403, unless the page is of the own host or listed', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ALLOWED_ORIGINS: 'https://app.example' } });
    const from = (origin: string) => ({ headers: { ...handshake, origin } });
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1.evil.example']) {
      const answer = await request(hub.port, 'GET', '/room', from(origin));
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'origin_not_allowed'], origin);
    }
    // Without a trusted proxy a forwarded host is anybody's word.
    const forwarded = await request(hub.port, 'GET', '/room', {
      headers: { ...handshake, origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' },
    });
    assert.equal(forwarded.status, 403);
    await counted(hub, 'wshub_connections_rejected_total', 'reason="origin"');
    for (const origin of ['https://app.example', 'http://127.0.0.1', 'http://127.0.0.1:3000']) {
      await (await connect(hub, 'room', { headers: { origin } })).close();
    }
  });

  it('is let in everywhere with *', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: { WSHUB_ALLOWED_ORIGINS: '*' } });
    await (await connect(hub, 'room', { headers: { origin: 'https://any.example' } })).close();
  });
});

describe("a client's address", () => {
  it('is that of its TCP connection where no proxy is trusted', async (t) => {
    const hub = await hubFor(t, { workers: 1 });
    assert.equal(await addressSeen(hub, { 'x-forwarded-for': '203.0.113.9' }), '127.0.0.1');
  });

  it('is what the outermost trusted proxy saw', async (t) => {
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
});
